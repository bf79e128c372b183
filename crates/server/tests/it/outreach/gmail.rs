//! Accounts that send by the Gmail API, with a stand-in for Google: each email goes out once, what Google says of it is kept,
//! and what comes back is heard.

use std::collections::BTreeMap;
use std::time::Duration;

use mainstay_store::{Call, GetAccount};
use mainstay_testing::smtp_sink::SinkOptions;
use serde_json::{Value, json};

use super::Agency;
use super::hearing::{bounce, reply};
use crate::support::fake_gmail::{MailFault, header};
use crate::support::fake_google::FakeGoogle;
use crate::support::{Engine, both, eventually, text};

both! {
    the_emails_of_a_lead_go_into_one_thread,
    what_google_says_is_kept,
    an_account_that_is_shut_out_waits_for_somebody,
    what_comes_back_to_gmail_is_heard,
    only_who_began_signs_in_and_as_the_account,
    what_gmail_does_not_do_is_refused,
}

const ADA: &str = "ada@example.com";

async fn open(engine: Engine) -> Option<(Agency, FakeGoogle)> {
    let google = FakeGoogle::start().await;
    google.is_signed_in(ADA);
    let own = google.settings();
    let mut settings: Vec<(&str, &str)> = own.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    settings.push(("outreach.mailbox_seconds", "1"));
    Some((Agency::set(engine, SinkOptions::default(), &settings).await?, google))
}

/// An account at Gmail, as it is made by the API.
pub(crate) fn wish(address: &str) -> Value {
    json!({"kind": "gmail", "address": address, "sender_name": "Ada Lovelace", "daily_cap": 2_000})
}

impl Agency {
    /// An account that nobody has signed in to.
    async fn by_gmail(&self, address: &str) -> String {
        let made = self.send("POST", "/v1/sending-accounts", Some(wish(address))).await.expect(201);
        assert_eq!((&made["kind"], &made["state"]), (&json!("gmail"), &json!("reconnect")), "{made}");
        text(&made["id"])
    }

    /// Where somebody is led back to who has signed in at Google.
    async fn goes_to_google(&self, google: &FakeGoogle, account: &str) -> Value {
        let begun = self.send("POST", &format!("/v1/sending-accounts/{account}/sign-in"), None).await.expect(200);
        let url = text(&begun["authorization_url"]);
        assert!(
            url.contains("gmail.send") && url.contains("gmail.readonly") && url.contains("prompt=consent"),
            "{url}"
        );
        let (state, code) = google.allows(&url);
        json!({"state": state, "code": code})
    }

    async fn signs_in(&self, google: &FakeGoogle, account: &str) -> Value {
        let back = self.goes_to_google(google, account).await;
        self.send("POST", "/v1/gmail-sign-ins", Some(back)).await.expect(200)
    }

    async fn shown(&self, account: &str) -> Value {
        self.send("GET", &format!("/v1/sending-accounts/{account}"), None).await.expect(200)
    }

    /// Waits until an account is in a state. The answer is the account.
    async fn account_is(&self, account: &str, state: &str) -> Value {
        eventually(async || {
            let shown = self.shown(account).await;
            (shown["state"] == state).then_some(shown)
        })
        .await
    }
}

fn no_duplicates(google: &FakeGoogle) {
    let mut times: BTreeMap<String, u32> = BTreeMap::new();
    for sent in google.sent() {
        *times.entry(sent.message_id).or_default() += 1;
    }
    assert!(times.values().all(|times| *times == 1), "sent twice: {times:?}");
}

async fn the_emails_of_a_lead_go_into_one_thread(engine: Engine) {
    let Some((agency, google)) = open(engine).await else { return };
    let account = agency.by_gmail(ADA).await;
    let campaign = agency.campaign("Spring", &[&account], "0h").await;
    agency.add(&campaign, &["eve@lead.example".to_owned(), "bob@lead.example".to_owned()]).await;
    agency.launch(&campaign).await;
    assert_eq!(google.sent().len(), 0, "nobody has signed in yet");
    google.renames_mail();
    let signed_in = agency.signs_in(&google, &account).await;
    assert_eq!((&signed_in["state"], &signed_in["reason"]), (&json!("active"), &Value::Null));
    assert_eq!((&signed_in["gap_seconds"], &signed_in["has_password"]), (&json!(1), &json!(true)));
    agency.until(&campaign, json!({"accepted": 4, "lead_finished": 2})).await;
    no_duplicates(&google);
    for who in ["eve@lead.example", "bob@lead.example"] {
        let mine: Vec<_> = google.sent().into_iter().filter(|sent| sent.to == who).collect();
        assert_eq!(mine.len(), 2, "{who}");
        assert_eq!(mine[0].thread, mine[1].thread);
        // It names the first by what Google calls it.
        let first = header(&mine[0].raw, "Message-ID").expect("a name");
        assert!(first.ends_with("@mail.gmail.com>") && !first.contains(&mine[0].message_id), "{first}");
        assert_eq!(header(&mine[1].raw, "In-Reply-To"), Some(first));
    }
    let emails = agency.emails(&format!("campaign_id={campaign}")).await;
    assert!(emails.iter().all(|email| email["code"] == 200), "{emails:?}");
    let listed = agency.send("GET", "/v1/sending-accounts", None).await.expect(200);
    assert_eq!((&listed["data"][0]["kind"], &listed["data"][0]["sent"]), (&json!("gmail"), &json!(4)));
    assert!(!listed.to_string().contains("refresh-"));
    let health = agency.server.send("GET", "/health/external-apis", None, None).await.expect(200);
    assert!(health.to_string().contains("gmail"), "{health}");
    // A text is tried by it too.
    let wish = json!({"step": 1, "to": "me@example.com", "account_id": account});
    let tried = agency.send("POST", &format!("/v1/campaigns/{campaign}/test-emails"), Some(wish)).await.expect(200);
    assert_eq!(tried["outcome"], "accepted", "{tried}");
    assert!(google.sent().iter().any(|sent| sent.to == "me@example.com"));
}

async fn what_google_says_is_kept(engine: Engine) {
    let Some((agency, google)) = open(engine).await else { return };
    let account = agency.by_gmail(ADA).await;
    agency.signs_in(&google, &account).await;
    let campaign = agency.campaign("Spring", &[&account], "9d").await;
    for (who, fault) in [
        ("bad@", MailFault::Refuse(400, "invalidArgument")),
        ("often@", MailFault::Later(429, "rateLimitExceeded", 1)),
        ("rate@", MailFault::Later(403, "userRateLimitExceeded", 1)),
        ("stale@", MailFault::Refuse(401, "authError")),
        ("lost@", MailFault::Refuse(500, "backendError")),
        ("hang@", MailFault::Hang),
        ("cut@", MailFault::Cut),
    ] {
        google.mail_to(who, fault, 1);
    }
    let names = ["bad", "often", "rate", "stale", "lost", "hang", "cut", "fine"];
    let addresses: Vec<String> = names.iter().map(|name| format!("{name}@lead.example")).collect();
    agency.add(&campaign, &addresses).await;
    agency.launch(&campaign).await;
    // What was taken without a word is found among what was sent; what was not stays unknown, and is not sent again.
    let wanted = json!({"accepted": 6, "rejected": 1, "unknown": 1, "queued": 6, "lead_active": 7, "lead_stopped": 1});
    agency.until(&campaign, wanted).await;
    no_duplicates(&google);
    let unknown = agency.emails("state=unknown").await;
    assert_eq!((unknown.len(), text(&unknown[0]["to"])), (1, "lost@lead.example".to_owned()));
    assert!(text(&unknown[0]["said"]).contains("500"), "{unknown:?}");
    let rejected = agency.emails("state=rejected").await;
    assert_eq!((&rejected[0]["code"], text(&rejected[0]["to"])), (&json!(400), "bad@lead.example".to_owned()));
    let offered: Vec<u32> = addresses.iter().map(|address| google.offered(address)).collect();
    assert_eq!(offered, [1, 2, 2, 2, 1, 1, 1, 1], "what was not taken is offered again, once");
    assert_eq!(agency.shown(&account).await["state"], "active");
    agency.server.tells(&["mainstay_outreach_heard_total{outcome=\"found_sent\"} 2"]).await;
}

async fn an_account_that_is_shut_out_waits_for_somebody(engine: Engine) {
    let Some((agency, google)) = open(engine).await else { return };
    let account = agency.by_gmail(ADA).await;
    agency.signs_in(&google, &account).await;
    let campaign = agency.campaign("Spring", &[&account], "9d").await;
    google.mail_to("first@", MailFault::Refuse(403, "insufficientPermissions"), 1);
    agency.add(&campaign, &["first@lead.example".to_owned()]).await;
    agency.launch(&campaign).await;
    let halted = agency.account_is(&account, "reconnect").await;
    assert!(text(&halted["reason"]).contains("insufficientPermissions"), "{halted}");
    agency.send("POST", &format!("/v1/sending-accounts/{account}/resume"), None).await.expect(200);
    agency.until(&campaign, json!({"accepted": 1, "queued": 1, "lead_active": 1})).await;
    // Its owner takes the access away: nothing goes out, and nothing is lost.
    google.revokes();
    agency.add(&campaign, &["second@lead.example".to_owned()]).await;
    let halted = agency.account_is(&account, "reconnect").await;
    assert!(text(&halted["reason"]).contains("Connect the account again"), "{halted}");
    eventually(async || (agency.mailbox(&account).await["state"] == "reconnect").then_some(())).await;
    assert_eq!(google.offered("second@lead.example"), 0, "nothing is taken of whoever is shut out");
    let signed_in = agency.signs_in(&google, &account).await;
    assert_eq!(signed_in["state"], "active");
    agency.until(&campaign, json!({"accepted": 2, "queued": 2, "lead_active": 2})).await;
    eventually(async || (agency.mailbox(&account).await["state"] == "active").then_some(())).await;
    // The day is full: the account waits for long, whoever wakes it.
    google.mail_to("third@", MailFault::Refuse(403, "dailyLimitExceeded"), 1);
    agency.add(&campaign, &["third@lead.example".to_owned()]).await;
    let get =
        GetAccount { tenant: agency.owner.organisation.parse().expect("an id"), id: account.parse().expect("an id") };
    let hour = agency.server.now().plus(Duration::from_secs(3_500));
    eventually(async || {
        let call = Call::within(Duration::from_secs(20));
        let kept = agency.server.app.store.run(&call, get).await.expect("read").expect("an account");
        (kept.next_at > hour).then_some(())
    })
    .await;
    no_duplicates(&google);
}

async fn what_comes_back_to_gmail_is_heard(engine: Engine) {
    let Some((agency, google)) = open(engine).await else { return };
    let account = agency.by_gmail(ADA).await;
    google.arrives(ADA, &reply("old@lead.example", "nothing@example.com", "from long before"), None);
    agency.signs_in(&google, &account).await;
    let mailbox = eventually(async || {
        let mailbox = agency.mailbox(&account).await;
        mailbox["looked_at"].is_string().then_some(mailbox)
    })
    .await;
    assert_eq!((&mailbox["host"], &mailbox["user_name"]), (&json!("gmail.googleapis.com"), &json!(ADA)));
    google.renames_mail();
    let campaign = agency.campaign("Spring", &[&account], "9d").await;
    let names = ["answers", "gone", "thread", "late", "silent"];
    agency.add(&campaign, &names.map(|name| format!("{name}@lead.example"))).await;
    agency.launch(&campaign).await;
    agency.until(&campaign, json!({"accepted": 5, "lead_active": 5, "queued": 5})).await;
    let sent: BTreeMap<String, _> = google.sent().into_iter().map(|sent| (sent.to.clone(), sent)).collect();
    let of = |name: &str| &sent[&format!("{name}@lead.example")];
    let theirs = |name: &str| header(&of(name).raw, "Message-ID").expect("a name").trim_matches(['<', '>']).to_owned();
    google.arrives(ADA, &reply("answers@lead.example", &theirs("answers"), "Yes, please."), None);
    google.arrives(ADA, &bounce(&theirs("gone"), "gone@lead.example", "5.1.1"), None);
    // It names nothing that was sent, and comes from another address; the thread does.
    google.arrives(ADA, &reply("private@other.example", "other@lead.example", "Hello."), Some(&of("thread").thread));
    for (name, state) in [("answers", "replied"), ("gone", "bounced"), ("thread", "replied")] {
        agency.lead_is(&campaign, &format!("{name}@lead.example"), state).await;
    }
    // What came while the history did not reach is read nevertheless.
    google.asked();
    google.arrives_unseen(ADA, &reply("late@lead.example", &of("late").message_id, "Late."));
    agency.lead_is(&campaign, "late@lead.example", "replied").await;
    assert!(google.asked().contains(&"GET /gmail/v1/users/me/messages".to_owned()), "it is searched");
    let figures = agency.figures(&campaign).await;
    assert_eq!((&figures["replied"], &figures["bounced"]), (&json!(3), &json!(1)), "{figures:?}");
    assert_eq!(figures["lead_active"], 1, "{figures:?}");
}

async fn only_who_began_signs_in_and_as_the_account(engine: Engine) {
    let Some((agency, google)) = open(engine).await else { return };
    let account = agency.by_gmail(ADA).await;
    let stranger = agency.server.person("bea").await;
    let begin = format!("/v1/sending-accounts/{account}/sign-in");
    let path = "/v1/gmail-sign-ins";
    agency.server.send("POST", &begin, Some(&stranger.access_token), None).await.refused(404, "not_found");
    let back = agency.goes_to_google(&google, &account).await;
    agency.server.send("POST", path, None, Some(back.clone())).await.expect(401);
    let other = agency.server.send("POST", path, Some(&stranger.access_token), Some(back.clone())).await;
    other.refused(409, "sign_in_expired");
    // A calendar is another matter.
    agency.send("POST", "/v1/calendar-sign-ins", Some(back.clone())).await.refused(409, "sign_in_expired");
    let wrong = json!({"state": back["state"], "code": "x"});
    agency.send("POST", path, Some(wrong)).await.refused(409, "gmail_reconnect");
    agency.send("POST", path, Some(back)).await.refused(409, "sign_in_expired");
    // Somebody else's account.
    google.is_signed_in("bob@example.com");
    let back = agency.goes_to_google(&google, &account).await;
    let refused = agency.send("POST", path, Some(back)).await.refused(400, "invalid_input");
    assert_eq!(
        (text(&refused["fields"][0]["field"]), text(&refused["fields"][0]["code"])),
        ("address".to_owned(), "other_account".to_owned())
    );
    assert!(text(&refused["fields"][0]["detail"]).contains("bob@example.com"), "{refused}");
    agency.send("POST", &format!("/v1/sending-accounts/{account}/resume"), None).await.refused(409, "not_signed_in");
    agency.send("GET", &format!("/v1/sending-accounts/{account}/mailbox"), None).await.expect(404);
    google.is_signed_in("Ada@Example.com");
    let signed_in = agency.signs_in(&google, &account).await;
    assert_eq!((&signed_in["state"], &signed_in["address"]), (&json!("active"), &json!(ADA)));
    assert!(!signed_in.to_string().contains("refresh-"));
    // Whoever has it rest signs in again, and it goes on resting.
    agency.send("POST", &format!("/v1/sending-accounts/{account}/pause"), None).await.expect(200);
    assert_eq!(agency.signs_in(&google, &account).await["state"], "paused");
}

async fn what_gmail_does_not_do_is_refused(engine: Engine) {
    let Some(agency) = Agency::open(engine).await else { return };
    let mut bad = wish(ADA);
    for (field, value) in [
        ("host", json!("smtp.example.com")),
        ("password", json!("x")),
        ("daily_cap", json!(2_001)),
        ("connections", json!(2)),
    ] {
        bad[field] = value;
    }
    let refused = agency.send("POST", "/v1/sending-accounts", Some(bad)).await.refused(400, "invalid_input");
    let fields: Vec<String> =
        refused["fields"].as_array().expect("fields").iter().map(|fault| text(&fault["field"])).collect();
    assert_eq!(fields, ["host", "password", "daily_cap", "connections"]);
    let account = agency.by_gmail(ADA).await;
    let path = format!("/v1/sending-accounts/{account}");
    agency.send("POST", &format!("{path}/sign-in"), None).await.refused(409, "gmail_not_set_up");
    let imap = json!({"host": "imap.example.com", "user_name": "ada", "password": "x"});
    agency.send("PUT", &format!("{path}/mailbox"), Some(imap)).await.refused(409, "read_by_gmail");
    let mut smtp = wish(ADA);
    smtp["kind"] = json!("smtp");
    smtp["host"] = json!("smtp.example.com");
    let refused = agency.send("PUT", &path, Some(smtp)).await.refused(400, "invalid_input");
    assert_eq!(text(&refused["fields"][0]["field"]), "kind");
    let mut other = wish(ADA);
    other["gap_seconds"] = json!(30);
    let changed = agency.send("PUT", &path, Some(other)).await.expect(200);
    assert_eq!((&changed["gap_seconds"], &changed["state"]), (&json!(30), &json!("reconnect")));
    let mut odd = wish("eve@example.com");
    odd["kind"] = json!("pigeon");
    let refused = agency.send("POST", "/v1/sending-accounts", Some(odd)).await.refused(400, "invalid_input");
    assert_eq!(text(&refused["fields"][0]["field"]), "kind");
}
