//! Campaigns while the servers that send them are killed: nothing is lost, nothing is sent twice, and what nobody knows of is
//! no more than what was in flight at the kills.

use std::collections::BTreeMap;
use std::time::Duration;

use mainstay_testing::postgres::{Cluster, Options};
use mainstay_testing::smtp_sink::{SinkAct, SinkFault, SinkOptions, SinkStage, SmtpSink, When};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::{cycles, report};
use crate::outreach::{account, steps};
use crate::support::binary::{Installation, Instance, PATIENCE};
use crate::support::chance::Chance;
use crate::support::text;

const CONNECTIONS: usize = 2;
/// After so many kills the figures are compared with the rows.
const CHECKPOINT: u64 = 10;

/// How much is sent, in two steps to each lead.
struct Scale {
    accounts: usize,
    campaigns: usize,
    /// Of each campaign.
    leads: usize,
}

/// `MAINSTAY_TEST_CRASH_EMAILS` says how many emails there are in all: 1,200 unless told, over six accounts and three
/// campaigns; from 10,000 on over twenty and twelve.
fn scale() -> Scale {
    let emails: usize =
        std::env::var("MAINSTAY_TEST_CRASH_EMAILS").map_or(1_200, |text| text.parse().expect("a number of emails"));
    let (accounts, campaigns) = if emails < 10_000 { (6, 3) } else { (20, 12) };
    Scale { accounts, campaigns, leads: emails.div_ceil(2 * campaigns) }
}

pub(super) fn installation() -> Installation {
    Installation::new()
        .with("MAINSTAY_OUTREACH__ALLOW_PRIVATE", "127.0.0.0/8")
        .with("MAINSTAY_OUTREACH__RETRY_SECONDS", "1")
        .with("MAINSTAY_JOBS__RESCUE_AFTER_SECONDS", "2")
        .with("MAINSTAY_JOBS__POLL_MS", "100")
        .with("MAINSTAY_LOG__LEVEL", "error")
}

pub(super) async fn ask(server: &Instance, token: &str, method: &str, path: &str, body: Value) -> Value {
    let answer = server.send(method, path, token, Some(body)).await.expect("an answer");
    assert!((200..300).contains(&answer.status), "{method} {path}: {}", answer.text);
    answer.json()
}

/// Campaigns with all their leads, which are begun.
async fn launch(server: &Instance, token: &str, sink: &SmtpSink, scale: &Scale) -> Vec<String> {
    let mut accounts = Vec::new();
    for n in 0..scale.accounts {
        let wish = account(sink, &format!("sender{n}@example.com"), &json!({"connections": CONNECTIONS}));
        accounts.push(text(&ask(server, token, "POST", "/v1/sending-accounts", wish).await["id"]));
    }
    let mut campaigns = Vec::new();
    for n in 0..scale.campaigns {
        let wish = json!({"name": format!("Campaign {n}"), "time_zone": "Europe/Berlin"});
        let id = text(&ask(server, token, "POST", "/v1/campaigns", wish).await["id"]);
        ask(server, token, "PUT", &format!("/v1/campaigns/{id}/steps"), steps("0h")).await;
        let path = format!("/v1/campaigns/{id}/accounts");
        ask(server, token, "PUT", &path, json!({"account_ids": accounts})).await;
        for bite in (0..scale.leads).collect::<Vec<_>>().chunks(100) {
            let leads: Vec<_> =
                bite.iter().map(|lead| json!({"email": format!("lead{lead}@{}.example", lead % 9)})).collect();
            ask(server, token, "POST", &format!("/v1/campaigns/{id}/leads"), json!({"leads": leads})).await;
        }
        campaigns.push(id);
    }
    for id in &campaigns {
        ask(server, token, "POST", &format!("/v1/campaigns/{id}/launch"), json!({})).await;
    }
    campaigns
}

/// What the figures of all campaigns come to, by kind.
pub(super) async fn figures(server: &Instance, token: &str, campaigns: &[String]) -> BTreeMap<String, i64> {
    let mut sums = BTreeMap::new();
    for id in campaigns {
        let figures = server.get(&format!("/v1/campaigns/{id}/figures"), token).await;
        for figure in figures["data"].as_array().expect("rows") {
            *sums.entry(text(&figure["kind"])).or_default() += figure["count"].as_i64().expect("a number");
        }
    }
    sums
}

/// The figures of each campaign are its rows, by the word of the audit, while it is being sent.
async fn checkpoint(installation: &Installation) {
    const FIGURES: &str = "outreach.figures";
    let done = installation.run(&["audit", "--only", FIGURES, "--profile", "server", "--form", "json"]).await;
    let start = done.text.find('{').unwrap_or_else(|| panic!("no report: {}", done.text));
    let report = serde_json::Deserializer::from_str(&done.text[start..]).into_iter().next();
    let report: Value = report.expect("a report").unwrap_or_else(|error| panic!("{error}: {}", done.text));
    let finding = &report["findings"][0];
    assert_eq!((&finding["id"], &finding["verdict"]), (&json!(FIGURES), &json!("pass")), "{}", done.text);
}

async fn kill_while_sending(engine: &str, installation: &Installation, nodes: usize) {
    let sink = SmtpSink::start(SinkOptions::default()).expect("a sink");
    // Servers are a little slow, and now and then refuse for the moment.
    let slow = SinkAct::Slow(Duration::from_millis(3));
    sink.fault(SinkFault {
        stage: SinkStage::Body,
        act: SinkAct::Answer("451 4.3.0 later".to_owned()),
        when: When::Chance(0.02),
    });
    sink.fault(SinkFault {
        stage: SinkStage::Recipient,
        act: SinkAct::Answer("450 4.2.0 later".to_owned()),
        when: When::Chance(0.02),
    });
    sink.fault(SinkFault::always(SinkStage::Body, slow));
    let scale = scale();
    let token = installation.people(1).await.remove(0);
    let mut running = Vec::new();
    for _ in 0..nodes {
        running.push(installation.serve().await);
    }
    let campaigns = launch(&running[0], &token, &sink, &scale).await;
    let mut chance = Chance::seeded();
    for cycle in 1..=cycles() {
        // The moment is the point of the test, so it is waited for by the clock.
        sleep(Duration::from_millis(20 + chance.below(500))).await;
        let place = usize::try_from(chance.below(nodes as u64)).expect("a place");
        running[place].process.kill();
        running[place].process.wait(PATIENCE).await.expect("SIGKILL ends it");
        running[place] = installation.serve().await;
        if cycle % CHECKPOINT == 0 {
            checkpoint(installation).await;
        }
    }
    let begun = Instant::now();
    // Each email of a large run has twenty milliseconds, and all the rest four minutes.
    let emails = u32::try_from(scale.leads * scale.campaigns * 2).expect("few");
    let patience = Duration::from_secs(240) + Duration::from_millis(20) * emails;
    let emails = i64::from(emails);
    let sums = loop {
        let sums = figures(&running[0], &token, &campaigns).await;
        let number = |kind: &str| sums.get(kind).copied().unwrap_or(0);
        // A lead whose first email is unknown has no second one.
        if number("queued") == 0 && number("lead_new") == 0 {
            break sums;
        }
        assert!(begun.elapsed() < patience, "it does not come to an end: {sums:?}");
        sleep(Duration::from_millis(100)).await;
    };
    checkpoint(installation).await;
    let number = |kind: &str| sums.get(kind).copied().unwrap_or(0);
    report(&format!(
        "{engine}: {} kills, {sums:?}, {} at the mail server, {:?} after the last kill",
        cycles(),
        sink.count(),
        begun.elapsed()
    ));
    let unknown = running[0].list("/v1/emails?state=unknown", &token, 100).await;
    assert_eq!(sink.duplicates(), [], "nothing is sent twice");
    assert_eq!(number("unknown"), i64::try_from(unknown.len()).expect("few"));
    let most = i64::try_from(cycles()).expect("few") * i64::try_from(scale.accounts * CONNECTIONS).expect("few");
    assert!(number("unknown") <= most, "{} are unknown", number("unknown"));
    // Each email that there is was taken once; of the unknown ones some were.
    let taken_unknown = unknown.iter().filter(|email| sink.count_of(&text(&email["message_id"])) == 1).count();
    let taken = i64::try_from(sink.count() - taken_unknown).expect("few");
    assert_eq!(taken, number("accepted"), "what counts as accepted is what the server took");
    let open = unknown.iter().filter(|email| email["step"] == 1).count();
    assert_eq!(
        number("accepted") + number("unknown") + i64::try_from(open).expect("few"),
        emails,
        "nothing is lost: {sums:?}"
    );
    for server in running {
        assert_eq!(server.stop().await, Some(0));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_sends_each_email_once_when_the_server_is_killed() {
    kill_while_sending("SQLite", &installation(), 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_sends_each_email_once_when_two_servers_are_killed() {
    let Some(cluster) = Cluster::start(Options::default()) else { return };
    let database = cluster.database().expect("a database");
    let installation = installation().on(&database.url);
    installation.run(&["migrate", "up"]).await.says(0, &["applied 0001"]);
    kill_while_sending("PostgreSQL", &installation, 2).await;
}
