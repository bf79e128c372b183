//! Outreach: a campaign goes out step by step, each email once; whoever leaves gets nothing more; what a mail server says is
//! kept and told.

mod checklist;
mod events;
mod exporting;
pub(crate) mod gmail;
pub(crate) mod hearing;
mod importing;
mod tracking;
mod trying;

use std::time::Duration;

use mainstay_domain::{Entropy, Secret};
use mainstay_mail::dkim::Key;
use mainstay_mail::lint::lint;
use mainstay_testing::smtp_sink::{Kept, SinkAct, SinkFault, SinkOptions, SinkStage, SmtpSink, When};
use serde_json::{Value, json};

use crate::support::{Answer, Engine, Person, TestApp, both, eventually, text};

both! {
    a_campaign_is_sent_step_by_step,
    whoever_leaves_gets_nothing_more,
    what_a_mail_server_says_is_kept,
    what_would_go_wrong_is_said_before,
    an_account_that_is_not_let_in_says_so,
    what_a_server_finds_too_large_is_given_up,
    a_line_that_breaks_at_each_attempt_is_given_up,
}

const PATIENCE: Duration = Duration::from_secs(60);

/// A server, somebody who writes to people by it, and the mail server that takes it.
pub(crate) struct Agency {
    pub(crate) server: TestApp,
    pub(crate) owner: Person,
    pub(crate) sink: SmtpSink,
}

/// An account that sends by a sink, as it is made by the API.
pub(crate) fn account(sink: &SmtpSink, address: &str, more: &Value) -> Value {
    let place = sink.address();
    let mut account = json!({"address": address, "sender_name": "Ada, \"Countess\" Lovelace", "host": place.ip().to_string(),
        "port": place.port(), "security": "none", "daily_cap": 100_000, "connections": 2});
    account.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    account
}

/// Two steps; the second comes so long after the first.
pub(crate) fn steps(delay: &str) -> Value {
    json!({"steps": [
        {"delay": "0d", "variants": [
            {"name": "A", "subject": "Hello {{first_name | \"there\"}}", "text": "Dear {{first_name | \"friend\"}},\n.\nto leave: {{unsubscribe_url}}\n"},
            {"name": "B", "subject": "Good day", "text": "Good day from B", "html": "<p>Good day, {{first_name | \"friend\"}} <a href=\"{{unsubscribe_url}}\">leave</a></p>"}]},
        {"delay": delay, "variants": [{"name": "A", "subject": "Again", "text": "Did you see it, {{first_name | \"friend\"}}?"}]}]})
}

impl Agency {
    async fn open(engine: Engine) -> Option<Self> {
        Self::with(engine, SinkOptions { keep_bytes: true, ..SinkOptions::default() }).await
    }

    async fn with(engine: Engine, options: SinkOptions) -> Option<Self> {
        Self::set(engine, options, &[]).await
    }

    pub(crate) async fn set(engine: Engine, options: SinkOptions, further: &[(&str, &str)]) -> Option<Self> {
        let sink = SmtpSink::start(options).expect("a sink");
        let settings = [
            ("outreach.allow_private", r#"["127.0.0.0/8"]"#),
            ("outreach.retry_seconds", "1"),
            ("http.public_url", r#""https://mail.example.com""#),
            ("jobs.poll_ms", "100"),
        ];
        let server = TestApp::start(engine, &[&settings, further].concat()).await?;
        let owner = server.person("ada").await;
        Some(Self { server, owner, sink })
    }

    pub(crate) async fn send(&self, method: &str, path: &str, body: Option<Value>) -> Answer {
        self.server.send(method, path, Some(&self.owner.access_token), body).await
    }

    pub(crate) async fn account(&self, address: &str, more: &Value) -> String {
        let made = self.send("POST", "/v1/sending-accounts", Some(account(&self.sink, address, more))).await;
        text(&made.expect(201)["id"])
    }

    /// A campaign with two steps, which some accounts send.
    pub(crate) async fn campaign(&self, name: &str, accounts: &[&str], delay: &str) -> String {
        let wish = json!({"name": name, "time_zone": "Europe/Berlin"});
        let id = text(&self.send("POST", "/v1/campaigns", Some(wish)).await.expect(201)["id"]);
        self.send("PUT", &format!("/v1/campaigns/{id}/steps"), Some(steps(delay))).await.expect(200);
        let accounts = json!({"account_ids": accounts});
        self.send("PUT", &format!("/v1/campaigns/{id}/accounts"), Some(accounts)).await.expect(200);
        id
    }

    pub(crate) async fn add(&self, campaign: &str, addresses: &[String]) -> Vec<Value> {
        let lead = |(n, address): (usize, &String)| {
            let fields = if n % 2 == 0 { json!({"first_name": format!("Zoë {n} <script>")}) } else { json!({}) };
            json!({"email": address, "fields": fields})
        };
        let leads: Vec<_> = addresses.iter().enumerate().map(lead).collect();
        let added = self.send("POST", &format!("/v1/campaigns/{campaign}/leads"), Some(json!({"leads": leads}))).await;
        added.expect(201)["data"].as_array().expect("rows").clone()
    }

    pub(crate) async fn launch(&self, campaign: &str) {
        self.send("POST", &format!("/v1/campaigns/{campaign}/launch"), None).await.expect(200);
    }

    /// The figures of a campaign, added up by kind.
    async fn figures(&self, campaign: &str) -> serde_json::Map<String, Value> {
        let figures = self.send("GET", &format!("/v1/campaigns/{campaign}/figures"), None).await.expect(200);
        let mut sums = serde_json::Map::new();
        for figure in figures["data"].as_array().expect("rows") {
            let sum = sums.get(text(&figure["kind"]).as_str()).and_then(Value::as_i64).unwrap_or(0);
            sums.insert(text(&figure["kind"]), json!(sum + figure["count"].as_i64().expect("a number")));
        }
        sums
    }

    /// Waits until the figures of a campaign are these.
    pub(crate) async fn until(&self, campaign: &str, wanted: Value) {
        let wanted = wanted.as_object().expect("an object").clone();
        let end = tokio::time::Instant::now() + PATIENCE;
        loop {
            let figures = self.figures(campaign).await;
            if figures == wanted {
                return;
            }
            assert!(tokio::time::Instant::now() < end, "{figures:?} instead of {wanted:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn emails(&self, query: &str) -> Vec<Value> {
        let page = self.send("GET", &format!("/v1/emails?{query}&limit=100"), None).await.expect(200);
        page["data"].as_array().expect("rows").clone()
    }
}

/// What an account signs with: a key of its own.
pub(crate) fn signed(domain: &str) -> Value {
    let key: Secret = Key::make(&mainstay_server::outside::SystemEntropy as &dyn Entropy);
    json!({"dkim": {"selector": "s1", "domain": domain, "private_key": key.expose()}})
}

fn people(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("lead{n}@{}.example", n % 5)).collect()
}

/// The path of the link by which whoever got this leaves.
fn leaving(kept: &Kept) -> String {
    let message = String::from_utf8(kept.bytes.as_ref().expect("kept").to_vec()).expect("ASCII");
    let unfolded = message.replace("\r\n ", " ");
    let line = unfolded.lines().find_map(|line| line.strip_prefix("List-Unsubscribe: ")).expect("the header");
    let (_, path) = line.split_once("https://mail.example.com").expect("the link");
    path.split('>').next().expect("its end").to_owned()
}

async fn a_campaign_is_sent_step_by_step(engine: Engine) {
    let Some(agency) = Agency::open(engine).await else { return };
    let one = agency.account("ada@example.com", &signed("example.com")).await;
    let mut more = signed("example.org");
    more["reply_to"] = json!("team@example.org");
    let other = agency.account("eve@example.org", &more).await;
    let campaign = agency.campaign("Spring", &[&one, &other], "0h").await;
    let leads = people(30);
    let added = agency.add(&campaign, &leads).await;
    assert!(added.iter().all(|lead| lead["outcome"] == "added"), "{added:?}");
    let again = agency.add(&campaign, &leads[..2]).await;
    assert!(again.iter().all(|lead| lead["outcome"] == "duplicate"), "{again:?}");
    assert_eq!(agency.sink.count(), 0, "a draft sends nothing");
    agency.launch(&campaign).await;
    assert!(agency.sink.wait_for(60, PATIENCE).await, "{} were sent", agency.sink.count());
    agency.until(&campaign, json!({"accepted": 60, "lead_finished": 30})).await;
    assert_eq!(agency.sink.count(), 60);
    assert_eq!(agency.sink.duplicates(), []);
    for kept in agency.sink.kept() {
        let bytes = kept.bytes.as_ref().expect("kept");
        let faults = lint(bytes);
        assert!(faults.is_empty(), "{faults:?}: {}", String::from_utf8_lossy(bytes));
        assert!(leads.contains(&kept.recipients[0]));
    }
    // The second email of a lead follows the first: from the same account, in its thread, under its subject.
    for address in &leads {
        let mine: Vec<_> = agency.sink.kept().into_iter().filter(|kept| kept.recipients[0] == *address).collect();
        assert_eq!(mine.len(), 2, "{address}");
        assert_eq!(mine[0].sender, mine[1].sender);
        let second = String::from_utf8(mine[1].bytes.as_ref().expect("kept").to_vec()).expect("ASCII");
        assert!(second.contains(&format!("In-Reply-To: <{}>", mine[0].message_id)), "{second}");
        let subject = second.lines().find_map(|line| line.strip_prefix("Subject: ")).expect("a subject");
        assert!(subject.starts_with("Re: ") || subject.starts_with("=?utf-8?Q?Re=3A_"), "{second}");
    }
    let texts: std::collections::BTreeSet<String> = agency
        .emails(&format!("campaign_id={campaign}"))
        .await
        .iter()
        .map(|email| text(&email["variant_id"]))
        .collect();
    assert_eq!(texts.len(), 3, "both texts of the first step, and that of the second");
    // Who is added later is written to without another word.
    agency.add(&campaign, &["late@example.com".to_owned()]).await;
    assert!(agency.sink.wait_for(62, PATIENCE).await);
}

async fn whoever_leaves_gets_nothing_more(engine: Engine) {
    let Some(agency) = Agency::open(engine).await else { return };
    let account = agency.account("ada@example.com", &json!({})).await;
    let campaign = agency.campaign("Spring", &[&account], "1h").await;
    let other = agency.campaign("Summer", &[&account], "1h").await;
    let leads = people(3);
    let added = agency.add(&campaign, &leads).await;
    agency.add(&other, &leads).await;
    agency.launch(&campaign).await;
    assert!(agency.sink.wait_for(3, PATIENCE).await);
    agency.until(&campaign, json!({"accepted": 3, "queued": 3, "lead_active": 3})).await;
    let first = agency.sink.kept().into_iter().find(|kept| kept.recipients[0] == leads[0]).expect("sent");
    let link = leaving(&first);
    // Opening the link changes nothing: scanners open whatever is in a message.
    let shown = agency.server.send("GET", &link, None, None).await;
    assert!(
        shown.status == 200 && shown.text.contains("Unsubscribe") && !shown.text.contains(&leads[0]),
        "{}",
        shown.text
    );
    assert_eq!(agency.figures(&campaign).await["lead_active"], 3);
    // One click of a mail program: no cookie, no script, no redirect.
    let url = format!("{}{link}", agency.server.address);
    let client = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build();
    let click = client.expect("a client").post(url).header("content-type", "application/x-www-form-urlencoded");
    let clicked = click.body("List-Unsubscribe=One-Click").send().await.expect("an answer");
    assert_eq!(clicked.status(), 200);
    let after = json!({"accepted": 3, "queued": 2, "cancelled": 1, "lead_active": 2, "lead_unsubscribed": 1, "unsubscribed": 1});
    agency.until(&campaign, after.clone()).await;
    agency.server.send("POST", &link, None, None).await.expect_ok("once more does no harm");
    agency.until(&campaign, after).await;
    // Nobody of the organisation writes to them any more.
    let list = agency.send("GET", "/v1/suppressions", None).await.expect(200);
    assert_eq!(
        (text(&list["data"][0]["subject"]), text(&list["data"][0]["reason"])),
        (leads[0].clone(), "unsubscribed".to_owned())
    );
    agency.launch(&other).await;
    assert!(agency.sink.wait_for(5, PATIENCE).await);
    agency.until(&other, json!({"accepted": 2, "queued": 2, "lead_active": 2, "lead_stopped": 1})).await;
    // By hand, and by a whole domain.
    agency.send("POST", &format!("/v1/leads/{}/stop", text(&added[1]["id"])), None).await.expect(200);
    let domain = json!({"subjects": ["@2.example"]});
    assert_eq!(agency.send("POST", "/v1/suppressions", Some(domain)).await.expect(201)["added"], 1);
    agency
        .until(
            &campaign,
            json!({"accepted": 3, "cancelled": 3, "lead_stopped": 2, "lead_unsubscribed": 1, "unsubscribed": 1}),
        )
        .await;
    for bad in ["/u/x", "/u/AAAA", &format!("{}A", link)] {
        agency.server.send("GET", bad, None, None).await.refused(404, "not_found");
        agency.server.send("POST", bad, None, None).await.refused(404, "not_found");
    }
}

async fn what_a_mail_server_says_is_kept(engine: Engine) {
    let Some(agency) = Agency::open(engine).await else { return };
    let account = agency.account("ada@example.com", &json!({"connections": 1})).await;
    let campaign = agency.campaign("Spring", &[&account], "30d").await;
    let leads: Vec<String> =
        ["gone", "full", "fine", "cut", "lost"].iter().map(|name| format!("{name}@example.com")).collect();
    agency.sink.fault(SinkFault::for_recipient("gone@", "550 5.1.1 no such user"));
    agency.sink.fault(SinkFault::for_recipient("full@", "452 4.2.2 mailbox full"));
    let cut = |act| SinkFault { stage: SinkStage::Body, act, when: When::Recipient("cut@".to_owned()) };
    agency.sink.fault(cut(SinkAct::KeepAndCut));
    let lost = SinkFault { stage: SinkStage::Body, act: SinkAct::Cut, when: When::Recipient("lost@".to_owned()) };
    agency.sink.fault(lost);
    agency.add(&campaign, &leads).await;
    agency.launch(&campaign).await;
    let settled = async || {
        let figures = agency.figures(&campaign).await;
        let is = |kind: &str, number: i64| figures.get(kind).and_then(Value::as_i64) == Some(number);
        (is("accepted", 1) && is("unknown", 2) && is("rejected", 1)).then_some(())
    };
    eventually(settled).await;
    let rejected = agency.emails("state=rejected").await;
    assert_eq!(rejected[0]["code"], 550);
    assert_eq!(text(&rejected[0]["enhanced_code"]), "5.1.1");
    assert!(!rejected[0]["bounced_at"].is_null(), "{}", rejected[0]);
    let list = agency.send("GET", "/v1/suppressions", None).await.expect(200);
    assert_eq!(
        (text(&list["data"][0]["subject"]), text(&list["data"][0]["reason"])),
        ("gone@example.com".to_owned(), "bounced".to_owned())
    );
    // What is full is offered again until it is not.
    agency.sink.heal();
    eventually(async || {
        let figures = agency.figures(&campaign).await;
        (figures.get("accepted").and_then(Value::as_i64) == Some(2)).then_some(())
    })
    .await;
    // Of what was cut off nobody knows, whether the server has it (one) or not (the other): nothing is sent again by itself.
    let unknown = agency.emails("state=unknown").await;
    assert_eq!(unknown.len(), 2);
    for email in unknown {
        let id = text(&email["id"]);
        let kept = agency.sink.count_of(&text(&email["message_id"]));
        match text(&email["to"]).as_str() {
            "cut@example.com" => {
                assert_eq!(kept, 1);
                agency.send("POST", &format!("/v1/emails/{id}/sent"), None).await.expect(200);
                agency.send("POST", &format!("/v1/emails/{id}/sent"), None).await.refused(409, "not_open");
            }
            _ => {
                assert_eq!(kept, 0);
                agency.send("POST", &format!("/v1/emails/{id}/resend"), None).await.expect(200);
            }
        }
    }
    agency
        .until(
            &campaign,
            json!({"accepted": 4, "rejected": 1, "bounced": 1, "queued": 4, "lead_active": 4, "lead_bounced": 1}),
        )
        .await;
    assert_eq!(agency.sink.duplicates(), []);
}

async fn what_would_go_wrong_is_said_before(engine: Engine) {
    let Some(agency) = Agency::open(engine).await else { return };
    let wish = json!({"name": "Spring", "time_zone": "Europe/Berlin"});
    let id = text(&agency.send("POST", "/v1/campaigns", Some(wish)).await.expect(201)["id"]);
    let launch = format!("/v1/campaigns/{id}/launch");
    let refused = agency.send("POST", &launch, None).await.refused(400, "invalid_input");
    let fields: Vec<String> =
        refused["fields"].as_array().expect("fields").iter().map(|field| text(&field["field"])).collect();
    assert_eq!(fields, ["steps", "account_ids"]);
    let steps =
        |text: &str| json!({"steps": [{"delay": "0d", "variants": [{"name": "A", "subject": "Hi", "text": text}]}]});
    let path = format!("/v1/campaigns/{id}/steps");
    let bad = agency.send("PUT", &path, Some(steps("Hello {{first_name"))).await.refused(400, "invalid_input");
    assert!(text(&bad["fields"][0]["detail"]).contains("line 1"), "{bad}");
    agency.send("PUT", &path, Some(steps("Hello {{first_name}}"))).await.expect(200);
    let account = agency.account("ada@example.com", &json!({})).await;
    agency
        .send("PUT", &format!("/v1/campaigns/{id}/accounts"), Some(json!({"account_ids": [account]})))
        .await
        .expect(200);
    agency.add(&id, &people(2)).await;
    let refused = agency.send("POST", &launch, None).await.refused(400, "invalid_input");
    assert_eq!(text(&refused["fields"][0]["field"]), "leads.first_name", "one of the two has no name: {refused}");
    agency.send("PUT", &path, Some(steps("Hello {{first_name | \"you\"}}"))).await.expect(200);
    agency.send("POST", &launch, None).await.expect(200);
    agency.send("POST", &launch, None).await.refused(409, "campaign_state");
    assert!(agency.sink.wait_for(2, PATIENCE).await);
    agency.send("POST", &format!("/v1/campaigns/{id}/pause"), None).await.expect(200);
    agency.add(&id, &["later@example.com".to_owned()]).await;
    agency.send("POST", &format!("/v1/campaigns/{id}/stop"), None).await.expect(200);
    agency.until(&id, json!({"accepted": 2, "lead_finished": 2, "lead_stopped": 1})).await;
}

async fn an_account_that_is_not_let_in_says_so(engine: Engine) {
    let users = vec![("ada".to_owned(), "the right one".to_owned())];
    let options = SinkOptions { users, keep_bytes: true, ..SinkOptions::default() };
    let Some(agency) = Agency::with(engine, options).await else { return };
    let signs_in = |password: &str| json!({"user_name": "ada", "password": password});
    let account_id = agency.account("ada@example.com", &signs_in("not the one")).await;
    let campaign = agency.campaign("Spring", &[&account_id], "1d").await;
    agency.add(&campaign, &people(2)).await;
    agency.launch(&campaign).await;
    let path = format!("/v1/sending-accounts/{account_id}");
    let told = eventually(async || {
        let account = agency.send("GET", &path, None).await.expect(200);
        (account["state"] == "reconnect").then_some(account)
    })
    .await;
    assert!(text(&told["reason"]).contains("535"), "{told}");
    assert!(!told.to_string().contains("not the one"), "no secret is shown: {told}");
    let right = account(&agency.sink, "ada@example.com", &signs_in("the right one"));
    agency.send("PUT", &path, Some(right)).await.expect(200);
    agency.send("POST", &format!("{path}/resume"), None).await.expect(200);
    assert!(agency.sink.wait_for(2, PATIENCE).await, "what it owed waited");
    agency.until(&campaign, json!({"accepted": 2, "queued": 2, "lead_active": 2})).await;
}

async fn what_a_server_finds_too_large_is_given_up(engine: Engine) {
    let options = SinkOptions { size: Some(100), ..SinkOptions::default() };
    let Some(agency) = Agency::with(engine, options).await else { return };
    let account = agency.account("ada@example.com", &json!({})).await;
    let campaign = agency.campaign("Spring", &[&account], "1d").await;
    agency.add(&campaign, &people(2)).await;
    agency.launch(&campaign).await;
    agency.until(&campaign, json!({"rejected": 2, "lead_stopped": 2})).await;
    let rejected = agency.emails("state=rejected").await;
    assert!(text(&rejected[0]["said"]).contains("100 bytes"), "{}", rejected[0]);
    assert_eq!(agency.sink.count(), 0);
}

async fn a_line_that_breaks_at_each_attempt_is_given_up(engine: Engine) {
    let options = SinkOptions::default();
    let Some(agency) = Agency::set(engine, options, &[("outreach.most_attempts", "2")]).await else { return };
    // Whatever stands in front of the server does not like two of its people.
    for (stage, who) in [(SinkStage::Recipient, "lead0@"), (SinkStage::Data, "lead1@")] {
        agency.sink.fault(SinkFault { stage, act: SinkAct::Cut, when: When::Recipient(who.to_owned()) });
    }
    let account = agency.account("ada@example.com", &json!({"connections": 1})).await;
    let campaign = agency.campaign("Spring", &[&account], "1d").await;
    agency.add(&campaign, &people(4)).await;
    agency.launch(&campaign).await;
    agency
        .until(&campaign, json!({"accepted": 2, "rejected": 2, "queued": 2, "lead_active": 2, "lead_stopped": 2}))
        .await;
    for rejected in agency.emails("state=rejected").await {
        assert!(text(&rejected["said"]).contains("Given up after 2 attempts"), "{rejected}");
    }
    assert_eq!(agency.sink.count(), 2);
}
