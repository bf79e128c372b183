//! From a list of people to their answers, as somebody sees it in the page: a list with bad rows, a sequence of two steps with
//! two texts, opens and clicks as they come, somebody who answers, and somebody who leaves without scripts.

use mainstay_testing::smtp_sink::Kept;
use mainstay_testing::{ImapOptions, ImapServer};
use serde_json::json;

use super::campaigns::{PATIENCE, READER, one_is_made};
use super::office::Office;
use crate::outreach::hearing::{reply, wish};
use crate::support::eventually;

const LIST: &str = "email;first name\\r\\n\
    ada@lead.example;Ada\\r\\n\
    nobody;Eve\\r\\n\
    bob@lead.example;Bob\\r\\n\
    two@@lead.example;Two\\r\\n\
    cy@lead.example;\\r\\n";
const PUBLIC: &str = "https://mail.example.com";

/// A message, as it reads.
fn reads(kept: &Kept) -> String {
    let message = String::from_utf8(kept.bytes.as_ref().expect("kept").to_vec()).expect("ASCII");
    message.replace("=\r\n", "").replace("=3D", "=")
}

/// The first path of ours in a message behind some words.
fn path_behind(message: &str, words: &str, path: &str) -> String {
    let behind = message.split(words).skip(1).find_map(|rest| rest.trim_start().strip_prefix(PUBLIC));
    let behind = behind.filter(|rest| rest.starts_with(path)).unwrap_or_else(|| panic!("{words}: {message}"));
    behind.split(['"', '>', ' ', '\r']).next().expect("its end").to_owned()
}

struct Walk {
    office: Office,
    mailbox: ImapServer,
    campaign: String,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn somebody_reads_a_list_in_sends_to_it_and_sees_who_opens_answers_and_leaves() {
    let Some(office) = Office::set(&[("outreach.mailbox_seconds", "1")]).await else { return };
    let mailbox = ImapServer::start(ImapOptions::default()).expect("a mailbox");
    let account = office.account("ada@example.com").await;
    office.send("PUT", &format!("/v1/sending-accounts/{account}/mailbox"), Some(wish(&mailbox, "hunter2")), 200).await;
    office.arrive("/campaigns").await;
    office.view.counts("#campaigns .nothing", "There are no campaigns yet").await;
    let campaign = one_is_made(&office).await;
    let walk = Walk { office, mailbox, campaign };
    walk.reads_a_list_in().await;
    walk.writes_two_steps().await;
    walk.chooses_who_sends(&account).await;
    walk.launches().await;
    walk.sees_who_opens_and_clicks().await;
    walk.sees_who_answers().await;
    walk.somebody_leaves_without_scripts().await;
    walk.office.view.complains_of_nothing_but(&["status of 400", "status of 401"]).await;
}

impl Walk {
    fn sent_to(&self, address: &str) -> Kept {
        let kept = self.office.sink.kept().into_iter().find(|kept| kept.recipients[0] == address);
        kept.unwrap_or_else(|| panic!("nothing was sent to {address}"))
    }

    async fn reads_a_list_in(&self) {
        let view = &self.office.view;
        self.office.part("import").await;
        self.office.choose_file("people.csv", &format!("\"{LIST}\"")).await;
        view.click("[data-action=begin-import]").await;
        view.counts(".import h3", "finished").await;
        view.counts(".import [data-count=added]", "3 added").await;
        view.counts(".import [data-count=bad]", "2 bad").await;
        view.click(".import [data-part=faults] summary").await;
        view.counts(".faults tbody", "two@@lead.example").await;
    }

    async fn writes_two_steps(&self) {
        let (office, view) = (&self.office, &self.office.view);
        office.part("sequence").await;
        let html = "<p>Dear {{first_name | \"friend\"}}, <a href=\"https://shop.example/one\">one</a> and \
            <a href=\"https://shop.example/two\">two</a>. <a href=\"{{unsubscribe_url}}\">Leave</a></p>";
        view.click("[data-step='1'] [data-action=add-variant]").await;
        view.shows("document.querySelectorAll('[data-step=\"1\"] .variant').length === 2").await;
        for (place, subject) in [(1, "Hello {{first_name | \"there\"}}"), (2, "Good day")] {
            let variant = format!("[data-step='1'] .variant:nth-of-type({place})");
            office.write(&format!("{variant} [name=subject]"), subject).await;
            office.write(&format!("{variant} [name=text]"), "Dear {{first_name | \"friend\"}}").await;
            view.click(&format!("{variant} summary")).await;
            office.write(&format!("{variant} [name=html]"), html).await;
        }
        view.click("[data-action=add-step]").await;
        office.write("[data-step='2'] [name=delay]", "2").await;
        office.write("[data-step='2'] [name=text]", "Did you see it?").await;
        view.click("[data-action=save-steps]").await;
        view.counts(".save-bar", "The sequence is saved").await;
    }

    async fn chooses_who_sends(&self, account: &str) {
        let view = &self.office.view;
        self.office.part("settings").await;
        view.click(&format!("[name=account-{account}]")).await;
        view.click("[data-form=accounts] [type=submit]").await;
        view.counts("section[data-part=accounts] .told", "It is saved").await;
        view.click("[data-form=settings] [name=track_opens]").await;
        view.click("[data-form=settings] [name=track_clicks]").await;
        view.click("[data-form=settings] [type=submit]").await;
        view.counts(".part-place .told", "The settings are saved").await;
    }

    async fn launches(&self) {
        self.office.part("figures").await;
        self.office.view.browser.execute("window.stays = true", &[]).await.unwrap();
        self.office.view.mean("[data-action=launch]").await;
        assert!(self.office.sink.wait_for(3, PATIENCE).await, "each good row is written to");
        self.office.figure("sent", "3").await;
    }

    /// Nobody reads an email in the second in which it comes: somebody goes on until it counts.
    async fn reader_goes_on(&self, path: &str, kind: &str) {
        let client = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build();
        let (client, url) = (client.expect("a client"), format!("{}{path}", self.office.server.address));
        let sums = format!("/v1/campaigns/{}/sums", self.campaign);
        eventually(async || {
            client.get(&url).header("user-agent", READER).send().await.expect("an answer");
            let sums = self.office.send("GET", &sums, None, 200).await;
            sums["texts"].as_array().expect("rows").iter().any(|row| row["kind"] == kind).then_some(())
        })
        .await;
    }

    async fn sees_who_opens_and_clicks(&self) {
        let message = reads(&self.sent_to("ada@lead.example"));
        self.reader_goes_on(&path_behind(&message, "<img src=\"", "/t/"), "opened").await;
        self.office.figure("opened", "1").await;
        self.reader_goes_on(&path_behind(&message, "<a href=\"", "/t/"), "clicked").await;
        self.office.figure("clicked", "1").await;
        self.office.view.counts(".figure-tables", "Step 1").await;
    }

    /// Bob answers, and gets no second email.
    async fn sees_who_answers(&self) {
        let (office, view) = (&self.office, &self.office.view);
        let id = self.sent_to("bob@lead.example").message_id;
        self.mailbox.append("INBOX", &reply("bob@lead.example", &id, "Yes, please."));
        office.figure("replied", "1").await;
        office.figure("leads", "1 replied").await;
        view.shows("window.stays === true").await;
        view.picture("campaign-walk").await;
        office.part("leads").await;
        view.rows(3).await;
        view.browser.find("#filter-query").await.unwrap().type_text("bob").await.unwrap();
        view.click(".filters [type=submit]").await;
        view.rows(1).await;
        view.click(".listing tbody a").await;
        view.is("replied").await;
        view.counts("[data-part=sent]", "cancelled").await;
    }

    /// Cy leaves by the link of the email, in a browser that runs nothing.
    async fn somebody_leaves_without_scripts(&self) {
        let (office, browser) = (&self.office, &self.office.view.browser);
        let link = path_behind(&reads(&self.sent_to("cy@lead.example")), "List-Unsubscribe: <", "/u/");
        browser.devtools("Emulation.setScriptExecutionDisabled", json!({"value": true})).await.unwrap();
        browser
            .goto("data:text/html,<p>off</p><script>document.querySelector('p').textContent='on'</script>")
            .await
            .unwrap();
        assert_eq!(browser.find("p").await.unwrap().text().await.unwrap(), "off");
        office.goto(&link).await;
        let asked = browser.find("main").await.unwrap().text().await.unwrap();
        assert!(asked.contains("Send no more mail to c…@lead.example?"), "{link}: {asked}");
        browser.find("form button").await.unwrap().click().await.unwrap();
        eventually(async || {
            let said = browser.find("main").await.ok()?.text().await.ok()?;
            said.contains("Nothing more is sent to c…@lead.example").then_some(())
        })
        .await;
        browser.devtools("Emulation.setScriptExecutionDisabled", json!({"value": false})).await.unwrap();
        office.goto(&format!("/campaigns?campaign={}&part=figures", self.campaign)).await;
        office.figure("unsubscribed", "1").await;
        office.figure("leads", "1 active · 1 replied · 1 unsubscribed").await;
        let emails = office.send("GET", &format!("/v1/emails?campaign_id={}", self.campaign), None, 200).await;
        let second = emails["data"].as_array().expect("rows").iter().filter(|email| email["step"] == 2);
        let mut second: Vec<_> = second.map(|email| (email["to"].as_str(), email["state"].as_str())).collect();
        second.sort_unstable();
        let wanted =
            [("ada@lead.example", "scheduled"), ("bob@lead.example", "cancelled"), ("cy@lead.example", "cancelled")];
        assert_eq!(second, wanted.map(|(to, state)| (Some(to), Some(state))));
        assert_eq!(office.sink.count(), 3, "nobody gets anything more");
    }
}
