//! The operations of outreach.

use std::time::Duration;

use mainstay_domain::{CampaignId, EmailId, SendingAccountId, TenantId};
use mainstay_store::{BeginRun, Call, ClaimEmails, EmailEnd, EndEmail, FenceEmail, RunOf, SendingLane};
use serde_json::{Value, json};

use super::{Driver, text};
use crate::support::fake_google::FakeGoogle;
use crate::support::{Person, TestApp};

/// An account whose server is not there: what it owes waits.
pub(crate) fn account(name: &str) -> Value {
    json!({"address": format!("{name}@example.com"), "host": "mail.invalid", "daily_cap": 1_000_000})
}

/// A campaign that sends at any time.
pub(crate) fn campaign(name: &str) -> Value {
    json!({"name": name, "time_zone": "UTC"})
}

/// Two steps.
pub(crate) fn steps() -> Value {
    json!({"steps": [
        {"delay": "0d", "variants": [{"name": "A", "subject": "Hello", "text": "Hello {{first_name | \"there\"}}"}]},
        {"delay": "3d", "variants": [{"name": "A", "subject": "Again", "text": "Again"}]}]})
}

/// A mailbox that nobody reads: its server is not there.
pub(crate) fn mailbox() -> Value {
    json!({"host": "127.0.0.1", "port": 9, "user_name": "ada", "password": "secret"})
}

/// So many leads.
pub(crate) fn leads(count: usize) -> Value {
    let lead = |n: usize| json!({"email": format!("canary{n}@example.org"), "fields": {"first_name": "Canary"}});
    json!({"leads": (0..count).map(lead).collect::<Vec<_>>()})
}

/// A campaign that runs, and so many of its emails, which a run has in its hands and of which nobody knows. Nobody works on
/// jobs here, or what works is overtaken.
pub(crate) async fn running(server: &TestApp, person: &Person, count: usize) -> (String, String, Vec<String>) {
    let token = Some(person.access_token.as_str());
    let send = async |method: &str, path: &str, body: Option<Value>| server.send(method, path, token, body).await;
    let account = text(&send("POST", "/v1/sending-accounts", Some(account("ada"))).await.expect(201)["id"]);
    let campaign = text(&send("POST", "/v1/campaigns", Some(campaign("A canary"))).await.expect(201)["id"]);
    send("PUT", &format!("/v1/campaigns/{campaign}/steps"), Some(steps())).await.expect(200);
    let accounts = json!({"account_ids": [account]});
    send("PUT", &format!("/v1/campaigns/{campaign}/accounts"), Some(accounts)).await.expect(200);
    send("POST", &format!("/v1/campaigns/{campaign}/leads"), Some(leads(count))).await.expect(201);
    // Before any worker has a run: the account of the campaign is told to go on only when it is launched.
    let emails = unknown(server, person, (&campaign, &account), count).await;
    (campaign, account, emails)
}

async fn unknown(server: &TestApp, person: &Person, of: (&str, &str), count: usize) -> Vec<String> {
    let (store, now, call) = (&server.app.store, server.now(), Call::within(Duration::from_secs(20)));
    let tenant: TenantId = person.organisation.parse().expect("an id");
    let (campaign, account): (CampaignId, SendingAccountId) =
        (of.0.parse().expect("an id"), of.1.parse().expect("an id"));
    // Past the API, so that no job is promised.
    let seen = mainstay_domain::CampaignState::Draft;
    let state = mainstay_domain::CampaignState::Running;
    let set = mainstay_store::SetCampaignState { tenant, id: campaign, seen, state, now };
    store.run(&call, set).await.expect("set");
    let mut emails = Vec::new();
    // A worker that has the account too may have them first, and puts them back.
    while emails.len() < count {
        let (call, now) = (Call::within(Duration::from_secs(20)), server.now());
        let begun =
            store.run_for_jobs(&call, BeginRun { tenant, account, now }).await.expect("begun").expect("an account");
        let run = RunOf { tenant, account, run: begun.account.run };
        let first = begun.campaigns[0].steps[0].variants.clone();
        let lanes = vec![SendingLane { campaign, zone: "UTC".to_owned(), first }];
        let ids: Vec<EmailId> = (0..count).map(|_| server.app.ids.make()).collect();
        let claim = ClaimEmails { run, lanes, ids, next_at: None, now };
        let Ok(mainstay_store::EmailClaim::Claimed(claimed)) = store.run_for_jobs(&call, claim).await else { continue };
        for email in claimed {
            let fence = FenceEmail { run, id: email.id, attempts: email.attempts, now };
            if !store.fence_email(&call, fence).await.expect("answered") {
                continue;
            }
            let end = EmailEnd::Unknown("The canary was cut off.".to_owned());
            let end = EndEmail { run, id: email.id, attempts: email.attempts, fenced: true, end, now };
            assert!(store.end_email(&call, end).await.expect("answered"));
            emails.push(email.id.to_string());
        }
    }
    emails
}

/// What an administrator does.
pub(super) async fn drive(driver: &mut Driver<'_>, google: &FakeGoogle, ada: &Person) {
    let token = Some(ada.access_token.as_str());
    let (running_campaign, account_id, emails) = running(driver.server, ada, 3).await;
    let made = driver.good(201, "POST /v1/sending-accounts", None, token, Some(account("eve"))).await;
    let other = text(&made["id"]);
    driver.good(200, "GET /v1/sending-accounts", None, token, None).await;
    driver.good(200, "GET /v1/sending-accounts/{id}", Some(&other), token, None).await;
    driver.good(200, "PUT /v1/sending-accounts/{id}", Some(&other), token, Some(account("eve"))).await;
    driver.good(200, "POST /v1/sending-accounts/{id}/pause", Some(&other), token, None).await;
    driver.good(200, "POST /v1/sending-accounts/{id}/resume", Some(&other), token, None).await;
    drive_gmail(driver, google, ada).await;
    let key = [("idempotency-key", "a campaign")];
    let made = driver.call("POST /v1/campaigns", None, token, Some(campaign("Spring")), &key).await.expect(201);
    driver.call("POST /v1/campaigns", None, token, Some(campaign("Spring")), &key).await.expect(201);
    let id = text(&made["id"]);
    let id = Some(id.as_str());
    driver.good(200, "GET /v1/campaigns", None, token, None).await;
    driver.good(200, "GET /v1/campaigns/{id}", id, token, None).await;
    driver.good(200, "PUT /v1/campaigns/{id}/steps", id, token, Some(steps())).await;
    driver.good(200, "GET /v1/campaigns/{id}/steps", id, token, None).await;
    let needs =
        json!({"steps": [{"delay": "0d", "variants": [{"name": "A", "subject": "Hi", "text": "{{first_name}}"}]}]});
    driver.good(200, "PUT /v1/campaigns/{id}/steps", id, token, Some(needs)).await;
    let accounts = json!({"account_ids": [account_id, other]});
    driver.good(200, "PUT /v1/campaigns/{id}/accounts", id, token, Some(accounts)).await;
    driver.good(200, "GET /v1/campaigns/{id}/accounts", id, token, None).await;
    let added = driver.good(201, "POST /v1/campaigns/{id}/leads", id, token, Some(leads(2))).await;
    driver.good(200, "GET /v1/campaigns/{id}/leads", id, token, None).await;
    let lead = &added["data"][0]["id"];
    let wish = json!({"step": 1, "lead_id": lead});
    driver.good(200, "POST /v1/campaigns/{id}/preview", id, token, Some(wish)).await;
    let wish = json!({"step": 1, "lead_id": lead, "to": "me@example.com", "account_id": account_id});
    driver.good(200, "POST /v1/campaigns/{id}/test-emails", id, token, Some(wish)).await;
    driver.good(200, "GET /v1/campaigns/{id}/checklist", id, token, None).await;
    let account = Some(account_id.as_str());
    driver.good(200, "PUT /v1/sending-accounts/{id}/mailbox", account, token, Some(mailbox())).await;
    driver.good(200, "GET /v1/sending-accounts/{id}/mailbox", account, token, None).await;
    driver.good(204, "DELETE /v1/sending-accounts/{id}/mailbox", account, token, None).await;
    driver.good(200, "POST /v1/campaigns/{id}/launch", id, token, None).await;
    driver.good(200, "PUT /v1/campaigns/{id}", id, token, Some(campaign("Summer"))).await;
    driver.good(201, "POST /v1/campaigns/{id}/leads", id, token, Some(leads(3))).await;
    let wish = json!({"name": "people.csv", "columns": [{"is": "address"}, {"is": "own", "field": "nick"}]});
    let begun = driver.good(201, "POST /v1/campaigns/{id}/imports", id, token, Some(wish)).await;
    let import = text(&begun["id"]);
    let import = Some(import.as_str());
    driver.good(200, "GET /v1/campaigns/{id}/imports", id, token, None).await;
    driver.good(200, "GET /v1/imports/{id}", import, token, None).await;
    driver.upload(("/v1/imports/preview", "?whole=true"), None, token, list(2, 1)).await;
    driver.upload(("/v1/imports/{id}/content", ""), import, token, list(2, 1)).await;
    driver.good(200, "GET /v1/imports/{id}/faults", import, token, None).await;
    let table = driver.call("GET /v1/imports/{id}/faults.csv", import, token, None, &[]).await;
    assert!(table.status == 200 && table.text.starts_with("line,column,"), "{}", table.text);
    let wish = json!({"name": "more.csv"});
    let begun = driver.good(201, "POST /v1/campaigns/{id}/imports", id, token, Some(wish)).await;
    driver.good(200, "POST /v1/imports/{id}/cancel", Some(&text(&begun["id"])), token, None).await;
    let lead = text(&added["data"][0]["id"]);
    driver.good(200, "GET /v1/leads/{id}", Some(&lead), token, None).await;
    driver.good(200, "POST /v1/leads/{id}/stop", Some(&lead), token, None).await;
    drive_figures(driver, &running_campaign, token).await;
    driver.good(200, "GET /v1/emails", None, token, None).await;
    driver.good(200, "GET /v1/emails/{id}", Some(&emails[0]), token, None).await;
    driver.good(200, "POST /v1/emails/{id}/resend", Some(&emails[0]), token, None).await;
    driver.good(200, "POST /v1/emails/{id}/sent", Some(&emails[1]), token, None).await;
    let (tenant, email) = (ada.organisation.parse().expect("an id"), emails[2].parse().expect("an id"));
    let link = driver.server.app.outreach.leaving_link(tenant, email);
    let leave = link.rsplit('/').next();
    driver.good_page("GET /u/{token}", leave).await;
    driver.good_page("POST /u/{token}", leave).await;
    let image = driver.server.app.outreach.image_link(tenant, email);
    driver.good_page("GET /t/{token}", image.rsplit('/').next()).await;
    let sent = driver.server.send("GET", &format!("/v1/emails/{}", emails[1]), token, None).await.expect(200);
    let wish = Some(json!({"email": sent["to"]}));
    driver.good(200, "POST /v1/campaigns/{id}/conversions", Some(&text(&sent["campaign_id"])), token, wish).await;
    driver.good(200, "POST /v1/campaigns/{id}/pause", id, token, None).await;
    driver.good(200, "POST /v1/campaigns/{id}/stop", id, token, None).await;
    let subjects = json!({"subjects": ["@example.net", "somebody@example.com"]});
    driver.good(201, "POST /v1/suppressions", None, token, Some(subjects)).await;
    driver.good(200, "GET /v1/suppressions", None, token, None).await;
    driver.good(204, "DELETE /v1/suppressions/{subject}", Some("somebody@example.com"), token, None).await;
}

/// What came of a campaign, told and as tables.
async fn drive_figures(driver: &mut Driver<'_>, campaign: &str, token: Option<&str>) {
    driver.good(200, "GET /v1/campaigns/{id}/figures", Some(campaign), token, None).await;
    driver.good(200, "GET /v1/campaigns/{id}/sums", Some(campaign), token, None).await;
    for (operation, head) in
        [("GET /v1/campaigns/{id}/leads.csv", "email,"), ("GET /v1/campaigns/{id}/figures.csv", "day,step,")]
    {
        let table = driver.call(operation, Some(campaign), token, None, &[]).await;
        assert!(table.status == 200 && table.text.starts_with(head), "{}", table.text);
    }
}

/// An account at Gmail, which somebody signs in to.
async fn drive_gmail(driver: &mut Driver<'_>, google: &FakeGoogle, ada: &Person) {
    let token = Some(ada.access_token.as_str());
    let wish = crate::outreach::gmail::wish("mail@example.com");
    let made = driver.good(201, "POST /v1/sending-accounts", None, token, Some(wish)).await;
    let id = text(&made["id"]);
    let begun = driver.good(200, "POST /v1/sending-accounts/{id}/sign-in", Some(&id), token, None).await;
    google.is_signed_in("mail@example.com");
    let (state, code) = google.allows(&text(&begun["authorization_url"]));
    let back = json!({"state": state, "code": code});
    driver.good(200, "POST /v1/gmail-sign-ins", None, token, Some(back)).await;
}

/// A list of people, of whom some have bad addresses.
pub(crate) fn list(good: usize, bad: usize) -> String {
    let good = (0..good).map(|n| format!("listed{n}@example.org,Eve\n"));
    let bad = (0..bad).map(|n| format!("nobody{n},Eve\n"));
    std::iter::once("email,first name\n".to_owned()).chain(good).chain(bad).collect()
}

/// Reads a list into a campaign. The answer is the import.
pub(crate) async fn read(server: &TestApp, person: &Person, campaign: &str, list: &str) -> Value {
    let token = Some(person.access_token.as_str());
    let wish = json!({"name": "people.csv", "bytes": list.len()});
    let begun = server.send("POST", &format!("/v1/campaigns/{campaign}/imports"), token, Some(wish)).await.expect(201);
    let path = format!("/v1/imports/{}/content", text(&begun["id"]));
    server.upload(&path, token, "text/csv", list.as_bytes().to_vec()).await.expect(200)
}

/// Five of each list, the campaign that has five leads, and the import that has five faults.
pub(super) async fn five(server: &TestApp, ada: &Person) -> (String, String) {
    let token = Some(ada.access_token.as_str());
    let (id, ..) = running(server, ada, 5).await;
    for number in 0..4 {
        server.send("POST", "/v1/campaigns", token, Some(campaign(&number.to_string()))).await.expect(201);
        server.send("POST", "/v1/sending-accounts", token, Some(account(&number.to_string()))).await.expect(201);
    }
    let subjects = json!({"subjects": (0..5).map(|n| format!("{n}@example.net")).collect::<Vec<_>>()});
    server.send("POST", "/v1/suppressions", token, Some(subjects)).await.expect(201);
    let mut import = String::new();
    for _ in 0..5 {
        import = text(&read(server, ada, &id, &list(0, 5)).await["id"]);
    }
    (id, import)
}
