//! Campaigns by Gmail while the servers that send them are killed: nothing is lost, nothing is sent twice, and what was taken
//! without a word is found among what was sent.

use std::time::Duration;

use mainstay_testing::postgres::{Cluster, Options};
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::calendars::with_google;
use super::outreach::{ask, figures};
use super::{cycles, report};
use crate::outreach::{gmail::wish, steps};
use crate::support::binary::{Installation, Instance, PATIENCE};
use crate::support::chance::Chance;
use crate::support::fake_gmail::MailFault;
use crate::support::fake_google::FakeGoogle;
use crate::support::text;

/// An account sends an email in a second at most, so there are many.
const ACCOUNTS: usize = 12;
const LEADS: usize = 30;
/// Google takes so long for each email that kills come in the middle.
const SLOW: MailFault = MailFault::Slow(400);

fn installation() -> Installation {
    super::outreach::installation().set("outreach.mailbox_seconds", "1")
}

/// A campaign by accounts that somebody has signed in to, which is begun.
async fn launch(server: &Instance, token: &str, google: &FakeGoogle) -> String {
    let mut accounts = Vec::new();
    for n in 0..ACCOUNTS {
        let address = format!("sender{n}@example.com");
        let id = text(&ask(server, token, "POST", "/v1/sending-accounts", wish(&address)).await["id"]);
        let begun = ask(server, token, "POST", &format!("/v1/sending-accounts/{id}/sign-in"), json!({})).await;
        google.is_signed_in(&address);
        let (state, code) = google.allows(&text(&begun["authorization_url"]));
        ask(server, token, "POST", "/v1/gmail-sign-ins", json!({"state": state, "code": code})).await;
        accounts.push(id);
    }
    let wish = json!({"name": "Campaign", "time_zone": "Europe/Berlin"});
    let id = text(&ask(server, token, "POST", "/v1/campaigns", wish).await["id"]);
    ask(server, token, "PUT", &format!("/v1/campaigns/{id}/steps"), steps("0h")).await;
    ask(server, token, "PUT", &format!("/v1/campaigns/{id}/accounts"), json!({"account_ids": accounts})).await;
    let leads: Vec<_> = (0..LEADS).map(|lead| json!({"email": format!("lead{lead}@{}.example", lead % 9)})).collect();
    ask(server, token, "POST", &format!("/v1/campaigns/{id}/leads"), json!({"leads": leads})).await;
    ask(server, token, "POST", &format!("/v1/campaigns/{id}/launch"), json!({})).await;
    id
}

async fn kill_while_sending(engine: &str, installation: &Installation, google: &FakeGoogle, nodes: usize) {
    google.mail_to("@", SLOW, u32::MAX);
    let token = installation.people(1).await.remove(0);
    let mut running = Vec::new();
    for _ in 0..nodes {
        running.push(installation.serve().await);
    }
    let campaign = [launch(&running[0], &token, google).await];
    let mut chance = Chance::seeded();
    for _ in 0..cycles() {
        // The moment is the point of the test, so it is waited for by the clock.
        sleep(Duration::from_millis(200 + chance.below(900))).await;
        let place = usize::try_from(chance.below(nodes as u64)).expect("a place");
        running[place].process.kill();
        running[place].process.wait(PATIENCE).await.expect("SIGKILL ends it");
        running[place] = installation.serve().await;
    }
    let begun = Instant::now();
    let (sums, open) = loop {
        let sums = figures(&running[0], &token, &campaign).await;
        let number = |kind: &str| sums.get(kind).copied().unwrap_or(0);
        let unknown = running[0].list("/v1/emails?state=unknown", &token, 100).await;
        let taken = |email: &serde_json::Value| google.sent().iter().any(|sent| email["message_id"] == sent.message_id);
        // What was taken is found; of what was not nobody knows, and a lead whose first email is unknown has no second one.
        let is_settled = number("queued") == 0 && number("lead_new") == 0 && !unknown.iter().any(taken);
        if is_settled && number("unknown") == i64::try_from(unknown.len()).expect("few") {
            break (sums, unknown.iter().filter(|email| email["step"] == 1).count());
        }
        assert!(begun.elapsed() < Duration::from_secs(240), "it does not come to an end: {sums:?}");
        sleep(Duration::from_millis(100)).await;
    };
    let number = |kind: &str| sums.get(kind).copied().unwrap_or(0);
    let sent = google.sent();
    report(&format!(
        "{engine}: {} kills, {sums:?}, {} at Gmail, {:?} after the last",
        cycles(),
        sent.len(),
        begun.elapsed()
    ));
    let mut names: Vec<_> = sent.iter().map(|sent| sent.message_id.clone()).collect();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), sent.len(), "nothing is sent twice");
    assert_eq!(
        number("accepted"),
        i64::try_from(sent.len()).expect("few"),
        "what counts as accepted is what was taken"
    );
    let most = i64::try_from(cycles()).expect("few") * i64::try_from(ACCOUNTS).expect("few");
    assert!(number("unknown") <= most, "{} are unknown", number("unknown"));
    let whole = number("accepted") + number("unknown") + i64::try_from(open).expect("few");
    assert_eq!(whole, i64::try_from(LEADS * 2).expect("few"), "nothing is lost: {sums:?}");
    for server in running {
        assert_eq!(server.stop().await, Some(0));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_sends_each_email_once_by_gmail_when_the_server_is_killed() {
    let (installation, google) = with_google(installation()).await;
    Box::pin(kill_while_sending("SQLite", &installation, &google, 1)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_sends_each_email_once_by_gmail_when_two_servers_are_killed() {
    let Some(cluster) = Cluster::start(Options::default()) else { return };
    let database = cluster.database().expect("a database");
    let (installation, google) = with_google(installation().on(&database.url)).await;
    installation.run(&["migrate", "up"]).await.says(0, &["applied 0001"]);
    Box::pin(kill_while_sending("PostgreSQL", &installation, &google, 2)).await;
}
