//! The server is killed while it writes into a calendar: before the question, between it and the answer, and between that and
//! the commit. Each appointment stands there once, under the same id.

use std::collections::BTreeMap;
use std::time::Duration;

use mainstay_testing::postgres::{Cluster, Options};
use serde_json::{Value, json};
use tokio::time::sleep;

use super::{cycles, report};
use crate::calendars::event_of;
use crate::support::binary::{Installation, Instance, PATIENCE};
use crate::support::chance::Chance;
use crate::support::fake_google::{FakeGoogle, Fault};
use crate::support::{eventually, text};

struct Desk {
    token: String,
    service: String,
    starts: Vec<Value>,
}

/// Connects the calendar of a member of the staff, and waits until it was read: before that no times are offered.
pub(super) async fn connect(server: &Instance, google: &FakeGoogle, staff: &str, token: &str) {
    let path = format!("/v1/staff/{staff}/calendar");
    let begun = server.send("POST", &path, token, None).await.expect("an answer").expect(200);
    let (state, code) = google.allows(&text(&begun["authorization_url"]));
    let back = json!({"state": state, "code": code});
    server.send("POST", "/v1/calendar-sign-ins", token, Some(back)).await.expect("an answer").expect(200);
    eventually(async || (server.get(&path, token).await["state"] == "connected").then_some(())).await;
}

async fn set_up(server: &Instance, google: &FakeGoogle, token: &str) -> Desk {
    let send = async |method: &str, path: &str, body: Value| {
        server.send(method, path, token, Some(body)).await.expect("an answer")
    };
    let settings =
        json!({"time_zone": "UTC", "week": crate::reception::always(), "lead_minutes": 0, "step_minutes": 30});
    send("PUT", "/v1/reception", settings).await.expect(200);
    let service =
        text(&send("POST", "/v1/services", json!({"name": "Cleaning", "minutes": 30})).await.expect(201)["id"]);
    let staff = json!({"name": "Dr.", "services": [service]});
    let staff = text(&send("POST", "/v1/staff", staff).await.expect(201)["id"]);
    let free = server.get(&format!("/v1/availability?service_id={service}&days=20&limit=400"), token).await;
    let starts = free["data"].as_array().expect("times").iter().skip(8).map(|time| time["starts_at"].clone()).collect();
    connect(server, google, &staff, token).await;
    Desk { token: token.to_owned(), service, starts }
}

async fn write_and_kill(engine: &str, installation: &Installation, google: &FakeGoogle) {
    let mut chance = Chance::seeded();
    let token = installation.people(1).await.remove(0);
    let server = installation.serve().await;
    let desk = set_up(&server, google, &token).await;
    assert_eq!(server.stop().await, Some(0));
    let mut wanted: BTreeMap<String, String> = BTreeMap::new();
    let mut starts = desk.starts.iter();
    for cycle in 0..cycles() {
        let server = installation.serve().await;
        // What is asked is done, and the answer is not heard.
        google.is(Some(if cycle % 2 == 0 { Fault::Hang } else { Fault::Cut }));
        for _ in 0..3 {
            let start = starts.next().expect("a time");
            let contact = json!({"name": "Ada", "phone": "+49 30 901820"});
            let body = json!({"service_id": desk.service, "starts_at": start, "contact": contact});
            let made = server.send("POST", "/v1/appointments", &desk.token, Some(body)).await.expect("an answer");
            wanted.insert(event_of(&text(&made.expect(201)["id"])), text(start));
        }
        // The moment is the point of the test, so it is waited for by the clock.
        sleep(Duration::from_millis(chance.below(400))).await;
        server.process.kill();
        server.process.wait(PATIENCE).await.expect("SIGKILL ends it");
        google.is(None);
    }
    let server = installation.serve().await;
    let seen = || -> BTreeMap<String, String> {
        google.events().into_iter().map(|(id, event)| (id, text(&event["start"]["dateTime"]))).collect()
    };
    // What a worker that died has left is taken back when its lease has ended.
    for _ in 0..1_200 {
        if seen() == wanted {
            break;
        }
        sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(seen(), wanted, "each once, under its own id");
    let conflicts = server.get("/v1/calendar-conflicts", &desk.token).await;
    assert_eq!(conflicts["data"], json!([]));
    report(&format!("{engine}: {} kills, {} events", cycles(), wanted.len()));
    assert_eq!(server.stop().await, Some(0));
}

/// An installation with a stand-in for Google.
pub(super) async fn with_google(installation: Installation) -> (Installation, FakeGoogle) {
    let google = FakeGoogle::start().await;
    let set =
        |installation: Installation, (key, value): (String, String)| installation.set(&key, value.trim_matches('"'));
    (google.settings().into_iter().fold(installation, set), google)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_writes_each_appointment_once_when_the_server_is_killed() {
    let (installation, google) = with_google(super::installation()).await;
    Box::pin(write_and_kill("SQLite", &installation, &google)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_writes_each_appointment_once_when_the_server_is_killed() {
    let Some(cluster) = Cluster::start(Options::default()) else { return };
    let database = cluster.database().expect("a database");
    let (installation, google) = with_google(super::installation().on(&database.url)).await;
    installation.run(&["migrate", "up"]).await.says(0, &["applied 0001"]);
    Box::pin(write_and_kill("PostgreSQL", &installation, &google)).await;
}
