//! The page of what sends the emails of campaigns: accounts, emails of which nobody knows, and whom nobody writes to.

use mainstay_testing::smtp_sink::{SinkAct, SinkFault, SinkStage, When};
use mainstay_testing::{ImapOptions, ImapServer};
use serde_json::json;

use super::calendar::HOSTILE;
use super::office::Office;
use crate::outreach::steps;
use crate::support::text;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_administrator_sees_what_sends_and_settles_what_nobody_knows() {
    let Some(office) = Office::set(&[("outreach.mailbox_seconds", "1")]).await else { return };
    let view = &office.view;
    let bob = office.server.person("bob").await;
    office.send("POST", "/v1/members", Some(json!({"email": bob.email, "role": "member"})), 201).await;
    office.arrive("/sending-accounts").await;
    view.counts(".accounts .nothing", "There is no account").await;
    let account = one_is_added(&office).await;
    it_is_changed_and_rests(&office, &account).await;
    its_mailbox_is_read(&office, &account).await;
    what_nobody_knows_is_settled(&office, &account).await;
    whom_nobody_writes_to(&office).await;
    on_a_phone(&office).await;

    view.sign_in(&bob.email, "password of bob", Some(&office.owner.organisation)).await;
    view.counts("#suppressions", "never@example.com").await;
    view.shows("document.querySelectorAll('#suppressions button, [data-form=suppress]').length === 0").await;
    view.click(".parts [data-part=accounts]").await;
    view.counts(".account", "ada@example.com").await;
    view.click(".account [data-part=mailbox] summary").await;
    view.counts(".account [data-part=mailbox]", "It has none").await;
    view.shows("document.querySelectorAll('.card-buttons button, [data-action=add-account]').length === 0").await;
    // A mailbox that is not there is asked for.
    view.complains_of_nothing_but(&["status of 400", "status of 401", "status of 404"]).await;
}

async fn one_is_added(office: &Office) -> String {
    let view = &office.view;
    let place = office.sink.address();
    view.click("[data-action=add-account]").await;
    view.shows("document.activeElement.name === 'address'").await;
    view.shows("[...document.querySelectorAll('[data-form=account] :is(input, select, textarea)')].every((one) => one.labels.length === 1)").await;
    let fields = [
        ("address", "ada@example.com"),
        ("sender_name", HOSTILE),
        ("host", "no host"),
        ("security", "none"),
        ("port", &place.port().to_string()),
        ("daily_cap", "100"),
        ("start", "20"),
        ("step", "40"),
        ("gap_seconds", "0"),
    ];
    for (name, words) in fields {
        office.write(&format!("[data-form=account] [name={name}]"), words).await;
    }
    // How it warms up is drawn as it is typed.
    view.shows("document.querySelector('dialog .ramp title')?.textContent.includes('From 20 a day by 40 more each day, up to 100')")
        .await;
    view.click("[data-form=account] [type=submit]").await;
    office.refuses("[data-form=account] [name=host]", "smtp.example.com").await;
    view.picture("account-form").await;
    office.write("[data-form=account] [name=host]", &place.ip().to_string()).await;
    view.click("[data-form=account] [type=submit]").await;
    view.counts(".account h2", "ada@example.com active").await;
    view.counts(".account", HOSTILE).await;
    view.counts(".account", "20, and later 100").await;
    view.shows("document.querySelectorAll('.account img').length === 0").await;
    view.shows("document.querySelector('.account .ramp .today')").await;
    text(&view.shows("document.querySelector('.account').dataset.account").await)
}

async fn it_is_changed_and_rests(office: &Office, account: &str) {
    let view = &office.view;
    view.click(&format!("[data-action=change-{account}]")).await;
    view.click("[data-form=account] [name=ramps]").await;
    view.shows("!document.querySelector('[data-form=account] [name=start]').checkVisibility()").await;
    office.write("[data-form=account] [name=sender_name]", "Ada").await;
    view.click("[data-form=account] [type=submit]").await;
    view.shows("document.querySelector('.account .ramp') === null").await;
    view.click(&format!("[data-action=pause-{account}]")).await;
    view.counts(".account h2", "paused").await;
    view.counts(".account", "What it owes waits").await;
    view.mean(&format!("[data-action=resume-{account}]")).await;
    view.counts(".account h2", "active").await;
    let kept = office.send("GET", &format!("/v1/sending-accounts/{account}"), None, 200).await;
    assert_eq!(
        (&kept["ramp_up"], &kept["sender_name"], &kept["daily_cap"]),
        (&json!(null), &json!("Ada"), &json!(100))
    );
    view.picture("accounts").await;
}

async fn its_mailbox_is_read(office: &Office, account: &str) {
    let view = &office.view;
    let imap = ImapServer::start(ImapOptions::default()).expect("a mailbox");
    let part = ".account [data-part=mailbox]";
    view.click(&format!("{part} summary")).await;
    view.counts(part, "answers, bounces and complaints are not heard").await;
    view.click(&format!("[data-action=mailbox-{account}]")).await;
    view.shows("document.activeElement.name === 'host'").await;
    view.shows("[...document.querySelectorAll('[data-form=mailbox] :is(input, select)')].every((one) => one.labels.length === 1)").await;
    let place = imap.address();
    let fields = [
        ("host", "no host"),
        ("security", "none"),
        ("port", &place.port().to_string()),
        ("user_name", "ada"),
        ("password", "hunter2"),
    ];
    for (name, words) in fields {
        office.write(&format!("[data-form=mailbox] [name={name}]"), words).await;
    }
    view.click("[data-form=mailbox] [type=submit]").await;
    office.refuses("[data-form=mailbox] [name=host]", "").await;
    view.picture("mailbox-form").await;
    office.write("[data-form=mailbox] [name=host]", &place.ip().to_string()).await;
    view.click("[data-form=mailbox] [type=submit]").await;
    view.counts(&format!("{part} .badge"), "is read").await;
    // The page asks again by itself until it was.
    view.shows(&format!("document.querySelector('{part} .facts time') !== null")).await;
    view.picture("mailbox").await;
    // A password that its server does not take, and the right one again: what is left empty stays.
    view.click(&format!("[data-action=mailbox-{account}]")).await;
    view.shows("document.querySelector('[data-form=mailbox] [name=password]')?.value === ''").await;
    office.write("[data-form=mailbox] [name=password]", "<b>wrong</b>").await;
    view.click("[data-form=mailbox] [type=submit]").await;
    view.counts(&format!("{part} .badge"), "not let in").await;
    view.counts(&format!("{part} [data-part=reason]"), "Correct the server, the user name or the password").await;
    view.picture("mailbox-not-let-in").await;
    let size = json!({"width": 360, "height": 780, "deviceScaleFactor": 1, "mobile": true});
    view.browser.devtools("Emulation.setDeviceMetricsOverride", size).await.unwrap();
    view.fits().await;
    view.picture("mailbox-phone").await;
    view.browser.devtools("Emulation.clearDeviceMetricsOverride", json!({})).await.unwrap();
    view.mean(&format!("[data-action=remove-mailbox-{account}]")).await;
    view.counts(part, "It has none").await;
    view.shows(&format!("document.activeElement.dataset.action === 'mailbox-{account}'")).await;
}

async fn what_nobody_knows_is_settled(office: &Office, account: &str) {
    let view = &office.view;
    for who in ["cut0@", "cut1@"] {
        let when = When::Recipient(who.to_owned());
        office.sink.fault(SinkFault { stage: SinkStage::Body, act: SinkAct::Cut, when });
    }
    office.sink.fault(SinkFault::for_recipient("gone@", "550 5.1.1 <b>no such user"));
    let wish = json!({"name": "Spring", "time_zone": "UTC"});
    let campaign = text(&office.send("POST", "/v1/campaigns", Some(wish), 201).await["id"]);
    let path = format!("/v1/campaigns/{campaign}");
    office.send("PUT", &format!("{path}/steps"), Some(steps("3d")), 200).await;
    office.send("PUT", &format!("{path}/accounts"), Some(json!({"account_ids": [account]})), 200).await;
    let leads: Vec<_> =
        ["cut0", "cut1", "gone", "fine"].iter().map(|name| json!({"email": format!("{name}@example.com")})).collect();
    office.send("POST", &format!("{path}/leads"), Some(json!({"leads": leads})), 201).await;
    view.click(".parts [data-part=emails]").await;
    view.rows(0).await;
    office.send("POST", &format!("{path}/launch"), None, 200).await;
    // They come into the list by themselves: four, and the second of who got the first.
    view.shows("document.querySelectorAll('.listing tbody tr').length === 5").await;
    // Their campaign leads here.
    office.goto(&format!("/campaigns?campaign={campaign}")).await;
    view.counts("[data-part=unknown]", "Of 2 emails nobody knows").await;
    view.click("[data-part=unknown] a").await;
    view.shows("document.querySelector('.listing[aria-busy=false] tbody')").await;
    view.rows(2).await;
    view.choose("state", "rejected").await;
    view.rows(1).await;
    view.counts(".listing tbody", "<b>no such user").await;
    view.choose("state", "unknown").await;
    view.rows(2).await;
    view.picture("emails").await;

    // One was sent, says somebody who has looked.
    view.click(".listing tbody a").await;
    view.is("unknown").await;
    view.item_says(&["never sent again by itself", "What the server said"]).await;
    view.mean(".item [data-action=sent]").await;
    view.is("accepted").await;
    view.click(".item .back").await;
    view.rows(1).await;
    // The other is sent again, which may be the second time.
    office.sink.heal();
    view.click(".listing tbody a").await;
    view.click(".item [data-action=resend]").await;
    view.counts("dialog[open]", "maybe for the second time").await;
    view.counts("dialog[open]", "arrives twice").await;
    view.picture("email-again").await;
    view.click("dialog[open] [data-answer=yes]").await;
    view.is("accepted").await;
    view.click(".item .back").await;
    view.rows(0).await;
}

async fn whom_nobody_writes_to(office: &Office) {
    let view = &office.view;
    view.click(".parts [data-part=suppressions]").await;
    // Whose address does not exist is there already.
    view.counts("#suppressions [data-subject='gone@example.com']", "bounced").await;
    office.write("[name=subjects]", "never@example.com\nnobody <i>").await;
    view.click("[data-form=suppress] [type=submit]").await;
    office.refuses("[name=subjects]", "nobody:").await;
    office.write("[name=subjects]", "never@example.com\n@no.example").await;
    view.click("[data-form=suppress] [type=submit]").await;
    view.counts("#suppressions [data-subject='never@example.com']", "by hand").await;
    view.counts("#suppressions", "@no.example").await;
    view.picture("suppressions").await;
    view.mean("[data-subject='@no.example'] [data-action=allow]").await;
    view.shows("!document.querySelector('#suppressions').textContent.includes('@no.example')").await;
    let list = office.send("GET", "/v1/suppressions", None, 200).await;
    assert_eq!(list["data"].as_array().expect("rows").len(), 2);
    // What came of an email leads to it.
    view.click("[data-subject='gone@example.com'] a").await;
    view.counts(".item h2", "gone@example.com rejected").await;
    view.browser.execute("history.back()", &[]).await.unwrap();
    view.counts("#suppressions", "never@example.com").await;
}

async fn on_a_phone(office: &Office) {
    let view = &office.view;
    let size = json!({"width": 360, "height": 780, "deviceScaleFactor": 1, "mobile": true});
    view.browser.devtools("Emulation.setDeviceMetricsOverride", size).await.unwrap();
    for (part, css) in [("accounts", ".account"), ("emails", ".listing tbody"), ("suppressions", "#suppressions li")] {
        office.goto(&format!("/sending-accounts?part={part}")).await;
        view.shows(&format!("document.querySelector({})", json!(css))).await;
        view.fits().await;
        view.picture(&format!("sending-{part}-phone")).await;
    }
    view.browser.devtools("Emulation.clearDeviceMetricsOverride", json!({})).await.unwrap();
}
