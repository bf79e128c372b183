//! A list is read into a campaign while the server is killed: it goes on from where it was, and each row counts once.

use std::time::Duration;

use mainstay_testing::postgres::{Cluster, Options};
use serde_json::{Value, json};
use tokio::time::sleep;

use super::{cycles, report};
use crate::contract::outreach::list;
use crate::support::binary::{Installation, Instance, PATIENCE};
use crate::support::chance::Chance;
use crate::support::text;

const GOOD: usize = 40_000;
const BAD: usize = 200;

async fn import_of(server: &Instance, token: &str, id: &str) -> (Value, usize) {
    let import = server.get(&format!("/v1/imports/{id}"), token).await;
    let at = usize::try_from(import["read_bytes"].as_u64().expect("a number")).expect("small");
    (import, at)
}

#[expect(clippy::disallowed_methods, reason = "a test has no lifecycle; what it starts ends with it")]
async fn kill_while_reading(engine: &str, installation: &Installation) {
    let token = installation.people(1).await.remove(0);
    let mut server = installation.serve().await;
    let ask = async |server: &Instance, path: &str, body: Value| {
        server.send("POST", path, &token, Some(body)).await.expect("an answer").expect(201)
    };
    let campaign = text(&ask(&server, "/v1/campaigns", json!({"name": "A list", "time_zone": "UTC"})).await["id"]);
    let path = format!("/v1/campaigns/{campaign}/imports");
    let import = text(&ask(&server, &path, json!({"name": "people.csv"})).await["id"]);
    let list = list(GOOD, BAD).into_bytes();
    let part = |server: &Instance, at: usize| {
        let path = format!("/v1/imports/{import}/content?offset={at}");
        server.request("POST", &path, &token).header("content-type", "text/csv").body(list[at..].to_vec()).send()
    };
    let mut chance = Chance::seeded();
    let mut places = Vec::new();
    for _ in 0..cycles() {
        let (now, at) = import_of(&server, &token, &import).await;
        if now["state"] == "finished" {
            break;
        }
        let sending = tokio::spawn(part(&server, at));
        // The moment is the point of the test, so it is waited for by the clock.
        sleep(Duration::from_millis(20 + chance.below(300))).await;
        server.process.kill();
        server.process.wait(PATIENCE).await.expect("SIGKILL ends it");
        let _ = sending.await.expect("no panic");
        server = installation.serve().await;
        places.push(import_of(&server, &token, &import).await.1);
    }
    let (now, at) = import_of(&server, &token, &import).await;
    if now["state"] != "finished" {
        let answer = part(&server, at).await.expect("an answer");
        assert_eq!(answer.status(), 200, "{}", answer.text().await.expect("a body"));
    }
    report(&format!("{engine}: killed with {places:?} of {} bytes read", list.len()));
    let (done, _) = import_of(&server, &token, &import).await;
    let counts = ["rows", "added", "duplicates", "bad"].map(|name| done[name].as_u64().expect("a number"));
    assert_eq!(counts, [GOOD + BAD, GOOD, 0, BAD].map(|count| count as u64), "{done}");
    let figures = server.get(&format!("/v1/campaigns/{campaign}/figures"), &token).await;
    assert_eq!((&figures["data"][0]["kind"], &figures["data"][0]["count"]), (&json!("lead_new"), &json!(GOOD)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_counts_each_row_once() {
    kill_while_reading("SQLite", &Installation::new().with("MAINSTAY_LOG__LEVEL", "error")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_counts_each_row_once() {
    let Some(cluster) = Cluster::start(Options::default()) else { return };
    let database = cluster.database().expect("a database");
    let installation = Installation::new().with("MAINSTAY_LOG__LEVEL", "error").on(&database.url);
    installation.run(&["migrate", "up"]).await.says(0, &["applied 0001"]);
    kill_while_reading("PostgreSQL", &installation).await;
}
