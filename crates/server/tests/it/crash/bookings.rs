//! Callers who book while the server is killed: what was acknowledged is booked, once, and nobody has a time twice.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use mainstay_testing::postgres::{Cluster, Options};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::{cycles, installation, report};
use crate::support::binary::{Installation, Instance, PATIENCE};
use crate::support::chance::Chance;
use crate::support::text;

/// Callers at the same time.
const CALLERS: usize = 16;
/// Who does it.
const STAFF: usize = 3;

/// A wish, always with the same key and body.
struct Wish {
    key: String,
    body: Value,
    /// What the server said: an appointment, or nothing when it was somebody else's.
    told: Option<Option<Value>>,
}

/// Somebody who wants times, one after the other.
struct Caller {
    number: usize,
    chance: Chance,
    wishes: Vec<Wish>,
}

/// What there is to be had.
struct Offer {
    token: String,
    service: String,
    starts: Vec<Value>,
}

async fn set_up(server: &Instance, token: &str) -> Offer {
    let send = async |method: &str, path: &str, body: Value| {
        server.send(method, path, token, Some(body)).await.expect("an answer")
    };
    let settings = json!({"time_zone": "UTC", "week": crate::reception::always(), "lead_minutes": 0});
    send("PUT", "/v1/reception", settings).await.expect(200);
    let service = json!({"name": "Cleaning", "minutes": 30});
    let service = text(&send("POST", "/v1/services", service).await.expect(201)["id"]);
    for number in 0..STAFF {
        let body = json!({"name": format!("Dr. {number}"), "services": [service]});
        send("POST", "/v1/staff", body).await.expect(201);
    }
    let free = server.get(&format!("/v1/availability?service_id={service}&days=62&limit=2000"), token).await;
    // Not the very next ones, which are over before the test is.
    let starts = free["data"].as_array().expect("times").iter().skip(8).map(|time| time["starts_at"].clone());
    Offer { token: token.to_owned(), service, starts: starts.collect() }
}

impl Caller {
    /// Asks for a time again and again until it is answered, or the server is gone.
    async fn ask(server: &Instance, offer: &Offer, wish: &mut Wish) {
        let request = server.request("POST", "/v1/appointments", &offer.token).header("idempotency-key", &wish.key);
        let Ok(response) = request.json(&wish.body).send().await else { return };
        let status = response.status().as_u16();
        let Ok(answer) = response.json::<Value>().await else { return };
        match (status, answer["code"].as_str()) {
            (201, _) => wish.told = Some(Some(answer)),
            (409, Some("slot_taken")) => wish.told = Some(None),
            (503 | 504 | 409, _) => {}
            other => panic!("{other:?}: {answer}"),
        }
    }

    async fn call(&mut self, server: &Instance, offer: &Offer, stop: &CancellationToken) {
        for wish in self.wishes.iter_mut().filter(|wish| wish.told.is_none()) {
            Self::ask(server, offer, wish).await;
        }
        while !stop.is_cancelled() {
            let start = &offer.starts[usize::try_from(self.chance.below(offer.starts.len() as u64)).expect("a place")];
            let contact =
                json!({"name": format!("Caller {}", self.number), "phone": format!("+49 30 1000{:03}", self.number)});
            let body = json!({"service_id": offer.service, "starts_at": start, "contact": contact});
            let key = format!("caller {} wish {}", self.number, self.wishes.len());
            let mut wish = Wish { key, body, told: None };
            Self::ask(server, offer, &mut wish).await;
            let answered = wish.told.is_some();
            self.wishes.push(wish);
            if !answered {
                return;
            }
        }
    }
}

async fn book_and_kill(engine: &str, installation: &Installation) {
    let mut chance = Chance::seeded();
    let token = installation.people(1).await.remove(0);
    let server = installation.serve().await;
    let offer = Arc::new(set_up(&server, &token).await);
    assert_eq!(server.stop().await, Some(0));
    let mut callers: Vec<Caller> =
        (0..CALLERS).map(|number| Caller { number, chance: chance.fork(), wishes: Vec::new() }).collect();
    for _ in 0..cycles() {
        let (server, stop) = (Arc::new(installation.serve().await), CancellationToken::new());
        let mut tasks = JoinSet::new();
        for mut caller in callers {
            let (server, offer, stop) = (Arc::clone(&server), Arc::clone(&offer), stop.clone());
            tasks.spawn(async move {
                caller.call(&server, &offer, &stop).await;
                caller
            });
        }
        // The moment is the point of the test, so it is waited for by the clock.
        sleep(Duration::from_millis(50 + chance.below(551))).await;
        server.process.kill();
        server.process.wait(PATIENCE).await.expect("SIGKILL ends it");
        stop.cancel();
        callers = tasks.join_all().await;
    }
    let server = installation.serve().await;
    let (ended, unknown) = (CancellationToken::new(), callers.iter().flat_map(|caller| &caller.wishes));
    let unknown = unknown.filter(|wish| wish.told.is_none()).count();
    ended.cancel();
    for caller in &mut callers {
        caller.call(&server, &offer, &ended).await;
    }
    let booked = look_at_what_is_left(&server, &offer, &callers).await;
    report(&format!("{engine}: {} kills, {booked} booked, {unknown} unknown when the server died", cycles()));
    assert_eq!(server.stop().await, Some(0));
}

/// Compares what callers were told with what there is.
async fn look_at_what_is_left(server: &Instance, offer: &Offer, callers: &[Caller]) -> usize {
    let (first, last) = (&offer.starts[0], text(&offer.starts[offer.starts.len() - 1]));
    let mut rows: BTreeMap<String, Value> = BTreeMap::new();
    let mut after = String::new();
    loop {
        let path = format!("/v1/appointments?limit=100&from={}{after}", text(first));
        let until: mainstay_domain::Timestamp = last.parse().expect("a moment");
        let path = format!("{path}&until={}", until.plus(Duration::from_millis(1)));
        let page = server.get(&path, &offer.token).await;
        rows.extend(page["data"].as_array().expect("rows").iter().map(|row| (text(&row["id"]), row.clone())));
        let Some(next) = page["next"].as_str() else { break };
        after = format!("&after={next}");
    }
    let mut told = BTreeSet::new();
    for wish in callers.iter().flat_map(|caller| &caller.wishes) {
        let answer = wish.told.as_ref().expect("a server that runs answers");
        let Some(appointment) = answer else { continue };
        let id = text(&appointment["id"]);
        let row = rows.get(&id).unwrap_or_else(|| panic!("{id} was acknowledged and is not there"));
        assert_eq!((&row["starts_at"], &row["state"]), (&wish.body["starts_at"], &json!("booked")));
        assert!(told.insert(id), "two wishes were told of one appointment");
    }
    assert_eq!(told.len(), rows.len(), "an appointment is there that nobody was told of");
    let places: BTreeSet<_> = rows.values().map(|row| (text(&row["staff_id"]), text(&row["starts_at"]))).collect();
    assert_eq!(places.len(), rows.len(), "somebody does two things at once");
    rows.len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_keeps_each_booking_when_the_server_is_killed() {
    Box::pin(book_and_kill("SQLite", &installation())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_keeps_each_booking_when_the_server_is_killed() {
    let Some(cluster) = Cluster::start(Options::default()) else { return };
    let database = cluster.database().expect("a database");
    let installation = installation().on(&database.url);
    installation.run(&["migrate", "up"]).await.says(0, &["applied 0001"]);
    Box::pin(book_and_kill("PostgreSQL", &installation)).await;
}
