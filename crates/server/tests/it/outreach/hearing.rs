//! What comes back into the mailbox of an account: answers, bounces, complaints; and what is found where sent mail is kept.

use mainstay_testing::smtp_sink::{SinkAct, SinkFault, SinkStage, When};
use mainstay_testing::{ImapAct, ImapFault, ImapOptions, ImapServer, ImapStage};
use serde_json::{Value, json};

use super::{Agency, PATIENCE, account as by_sink};
use crate::support::{Engine, both, eventually, text};

both! {
    what_comes_back_stops_whoever_it_is_about,
    what_nobody_knows_of_is_found_where_sent_mail_is_kept,
    a_mailbox_that_is_not_let_in_says_so,
}

/// A mailbox that is read each second.
async fn open(engine: Engine) -> Option<(Agency, ImapServer)> {
    let options = mainstay_testing::smtp_sink::SinkOptions { keep_bytes: true, ..Default::default() };
    let agency = Agency::set(engine, options, &[("outreach.mailbox_seconds", "1")]).await?;
    Some((agency, ImapServer::start(ImapOptions::default()).expect("a mailbox")))
}

pub(crate) fn wish(mailbox: &ImapServer, password: &str) -> Value {
    let place = mailbox.address();
    json!({"host": place.ip().to_string(), "port": place.port(), "security": "none", "user_name": "ada", "password": password})
}

impl Agency {
    pub(super) async fn mailbox(&self, account: &str) -> Value {
        self.send("GET", &format!("/v1/sending-accounts/{account}/mailbox"), None).await.expect(200)
    }

    /// Has a mailbox be read, and waits until it was.
    async fn reads(&self, account: &str, mailbox: &ImapServer) {
        let path = format!("/v1/sending-accounts/{account}/mailbox");
        let put = self.send("PUT", &path, Some(wish(mailbox, "hunter2"))).await.expect(200);
        assert_eq!((&put["state"], &put["folder"]), (&json!("active"), &json!("INBOX")));
        assert!(!put.to_string().contains("hunter2"));
        eventually(async || self.mailbox(account).await["looked_at"].is_string().then_some(())).await;
    }

    pub(super) async fn lead_is(&self, campaign: &str, address: &str, state: &str) {
        let path = format!("/v1/campaigns/{campaign}/leads?query={address}");
        eventually(async || {
            let page = self.send("GET", &path, None).await.expect(200);
            (page["data"][0]["state"] == state).then_some(())
        })
        .await;
    }

    /// The Message-ID of what was sent to an address first.
    fn sent_to(&self, address: &str) -> String {
        let kept = self.sink.kept().into_iter().find(|kept| kept.recipients[0] == address);
        kept.unwrap_or_else(|| panic!("nothing was sent to {address}")).message_id
    }
}

pub(crate) fn reply(from: &str, to: &str, text: &str) -> Vec<u8> {
    format!(
        "From: Eve <{from}>\r\nTo: ada@example.com\r\nSubject: Re: Hello\r\nMessage-ID: <r.{from}>\r\nIn-Reply-To: <{to}>\r\n\
         Content-Type: text/plain\r\n\r\n{text}\r\n"
    )
    .into_bytes()
}

fn out_of_office(from: &str, to: &str) -> Vec<u8> {
    format!(
        "From: {from}\r\nTo: ada@example.com\r\nSubject: Out of office\r\nAuto-Submitted: auto-replied\r\nIn-Reply-To: <{to}>\r\n\r\n\
         I am away.\r\n"
    )
    .into_bytes()
}

pub(super) fn bounce(of: &str, recipient: &str, status: &str) -> Vec<u8> {
    format!(
        "From: MAILER-DAEMON@lead.example\r\nTo: ada@example.com\r\nSubject: Undelivered\r\nMIME-Version: 1.0\r\n\
         Content-Type: multipart/report; report-type=delivery-status; boundary=\"b\"\r\n\r\n\
         --b\r\nContent-Type: text/plain\r\n\r\nIt could not be delivered.\r\n\
         --b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.lead.example\r\n\r\n\
         Final-Recipient: rfc822; {recipient}\r\nAction: failed\r\nStatus: {status}\r\n\
         Diagnostic-Code: smtp; 550 {status} no\r\n\r\n\
         --b\r\nContent-Type: text/rfc822-headers\r\n\r\nMessage-ID: <{of}>\r\nTo: {recipient}\r\n\r\n--b--\r\n"
    )
    .into_bytes()
}

fn complaint(of: &str) -> Vec<u8> {
    format!(
        "From: feedback@isp.example\r\nTo: ada@example.com\r\nSubject: complaint\r\nMIME-Version: 1.0\r\n\
         Content-Type: multipart/report; report-type=feedback-report; boundary=\"b\"\r\n\r\n\
         --b\r\nContent-Type: text/plain\r\n\r\nA complaint.\r\n\
         --b\r\nContent-Type: message/feedback-report\r\n\r\nFeedback-Type: abuse\r\nUser-Agent: x/1\r\nVersion: 1\r\n\r\n\
         --b\r\nContent-Type: message/rfc822\r\n\r\nMessage-ID: <{of}>\r\nSubject: Hello\r\n\r\nHello\r\n--b--\r\n"
    )
    .into_bytes()
}

async fn what_comes_back_stops_whoever_it_is_about(engine: Engine) {
    let Some((agency, mailbox)) = open(engine).await else { return };
    let account = agency.account("ada@example.com", &json!({})).await;
    mailbox.append("INBOX", &reply("old@lead.example", "nothing@example.com", "from long before"));
    agency.reads(&account, &mailbox).await;
    let campaign = agency.campaign("Spring", &[&account], "9d").await;
    let names = ["answers", "leaves", "away", "gone", "full", "junk", "writes", "silent"];
    let addresses: Vec<String> = names.iter().map(|name| format!("{name}@lead.example")).collect();
    agency.add(&campaign, &addresses).await;
    agency.launch(&campaign).await;
    assert!(agency.sink.wait_for(8, PATIENCE).await);
    agency.until(&campaign, json!({"accepted": 8, "lead_active": 8, "queued": 8})).await;
    let of = |name: &str| agency.sent_to(&format!("{name}@lead.example"));
    mailbox.append("INBOX", &reply("answers@lead.example", &of("answers"), "Yes, please."));
    mailbox.append("INBOX", &reply("leaves@lead.example", &of("leaves"), "unsubscribe"));
    mailbox.append("INBOX", &out_of_office("away@lead.example", &of("away")));
    mailbox.append("INBOX", &bounce(&of("gone"), "gone@lead.example", "5.1.1"));
    mailbox.append("INBOX", &bounce(&of("full"), "full@lead.example", "5.2.2"));
    mailbox.append("INBOX", &complaint(&of("junk")));
    // It names nothing that was sent; the address does.
    mailbox.append("INBOX", &reply("writes@lead.example", "other@lead.example", "Hello again."));
    mailbox.append("INBOX", b"From: spam@nowhere.example\r\nSubject: Buy\r\n\r\nBuy this.\r\n");
    for (name, state) in [
        ("answers", "replied"),
        ("leaves", "unsubscribed"),
        ("gone", "bounced"),
        ("junk", "complained"),
        ("writes", "replied"),
    ] {
        agency.lead_is(&campaign, &format!("{name}@lead.example"), state).await;
    }
    let wanted = json!({"accepted": 8, "lead_active": 3, "queued": 3, "cancelled": 5, "replied": 2, "unsubscribed": 1, "bounced": 2,
        "complained": 1, "lead_replied": 2, "lead_unsubscribed": 1, "lead_bounced": 1, "lead_complained": 1});
    agency.until(&campaign, wanted).await;
    let listed = agency.send("GET", "/v1/suppressions", None).await.expect(200);
    let mut subjects: Vec<String> =
        listed["data"].as_array().expect("rows").iter().map(|row| text(&row["subject"])).collect();
    subjects.sort();
    assert_eq!(subjects, ["gone@lead.example", "junk@lead.example", "leaves@lead.example"]);
    assert!(mailbox.seen("INBOX").is_empty(), "nothing is marked as read");
    // What ends in the middle is heard again, and counts once.
    mailbox.fault(ImapFault::once(ImapStage::Fetch, ImapAct::CutHalfway));
    mailbox.append("INBOX", &reply("away@lead.example", &of("away"), "I am back."));
    agency.lead_is(&campaign, "away@lead.example", "replied").await;
    mailbox.renumber("INBOX", 77);
    mailbox.append("INBOX", &reply("silent@lead.example", &of("silent"), "Late."));
    agency.lead_is(&campaign, "silent@lead.example", "replied").await;
    let figures = agency.figures(&campaign).await;
    assert_eq!((&figures["replied"], &figures["bounced"]), (&json!(4), &json!(2)), "{figures:?}");
    agency.server.tells(&["mainstay_outreach_heard_total{outcome=\"automatic\"}"]).await;
    let path = format!("/v1/sending-accounts/{account}/mailbox");
    agency.send("DELETE", &path, None).await.expect(204);
    agency.send("GET", &path, None).await.expect(404);
}

async fn what_nobody_knows_of_is_found_where_sent_mail_is_kept(engine: Engine) {
    let Some((agency, mailbox)) = open(engine).await else { return };
    let account = agency.account("ada@example.com", &json!({})).await;
    agency.sink.fault(SinkFault {
        stage: SinkStage::Body,
        act: SinkAct::Cut,
        when: When::Recipient("eve@".to_owned()),
    });
    let campaign = agency.campaign("Spring", &[&account], "9d").await;
    agency.add(&campaign, &["eve@lead.example".to_owned()]).await;
    agency.launch(&campaign).await;
    agency.until(&campaign, json!({"unknown": 1, "lead_active": 1})).await;
    let unknown = agency.emails("state=unknown").await.remove(0);
    mailbox.add_folder("Sent", "\\Sent");
    agency.reads(&account, &mailbox).await;
    assert_eq!(agency.emails("state=unknown").await.len(), 1, "it is not there");
    let copy = format!("Message-ID: <{}>\r\nSubject: Hello\r\n\r\nHello\r\n", text(&unknown["message_id"]));
    mailbox.append("Sent", copy.as_bytes());
    agency.until(&campaign, json!({"accepted": 1, "lead_active": 1, "queued": 1})).await;
}

async fn a_mailbox_that_is_not_let_in_says_so(engine: Engine) {
    let Some((agency, mailbox)) = open(engine).await else { return };
    let account = agency.account("ada@example.com", &json!({})).await;
    let path = format!("/v1/sending-accounts/{account}/mailbox");
    let bad = json!({"host": "", "user_name": "a\nb", "security": "some", "folder": "", "port": 0});
    let refused = agency.send("PUT", &path, Some(bad)).await.expect(400);
    let fields: Vec<String> =
        refused["fields"].as_array().expect("fields").iter().map(|fault| text(&fault["field"])).collect();
    assert_eq!(fields, ["user_name", "folder", "host", "security", "port", "password"]);
    let nowhere = format!("/v1/sending-accounts/{}/mailbox", uuid::Uuid::nil());
    agency.send("PUT", &nowhere, Some(wish(&mailbox, "x"))).await.expect(404);
    agency.send("PUT", &path, Some(wish(&mailbox, "wrong"))).await.expect(200);
    let halted = eventually(async || {
        let mailbox = agency.mailbox(&account).await;
        (mailbox["state"] == "reconnect").then_some(mailbox)
    })
    .await;
    assert!(halted["reason"].is_string(), "{halted}");
    // Somebody sees to it, and it is read.
    agency.reads(&account, &mailbox).await;
    assert_eq!(agency.mailbox(&account).await["reason"], Value::Null);
    let wish = by_sink(&agency.sink, "other@example.com", &json!({}));
    agency.send("POST", "/v1/sending-accounts", Some(wish)).await.expect(201);
}
