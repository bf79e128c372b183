//! The inbox over the wire: what arrives is taken once, by whom it should be from, and processed in its own order.

mod answering;
mod batches;
mod commands;
mod managing;
mod refusing;
mod steering;

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::future::join_all;
use mainstay_domain::{InboxSourceId, Secret, TenantId, Timestamp};
use mainstay_server::webhooks::signature::{Secrets, sign};
use mainstay_store::{Call, ListSubjects, PauseQueue};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::subscriptions::signed_batch;
use crate::support::{ALL_AT_ONCE, Answer, Engine, Person, TestApp, both, text};

both! {
    a_thousand_copies_at_once_are_one_event,
    a_shuffled_day_ends_as_the_ordered_one,
    a_poison_event_ends_in_the_dead_letters_and_can_be_begun_anew,
    what_arrived_before_a_stop_is_processed_after_it,
}

/// Generous: the machine may be busy with other tests.
const PATIENCE: Duration = Duration::from_secs(60);
/// 32 bytes.
pub(crate) const SECRET: &str = concat!("whsec", "_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=");

/// A sender, and its address without the host.
pub(crate) struct Sender {
    pub(crate) id: String,
    pub(crate) path: String,
    pub(crate) token: String,
    pub(crate) tenant: TenantId,
}

/// Where a sender that was added tells of events.
pub(crate) fn path_of(made: &Value) -> String {
    let url = text(&made["url"]);
    url[url.find("/hooks/").expect("an address of a hook")..].to_owned()
}

/// Adds a sender.
pub(crate) async fn sender(server: &TestApp, person: &Person, body: Value) -> Sender {
    let made = server.send("POST", "/v1/inbox-sources", Some(&person.access_token), Some(body)).await.expect(201);
    let tenant = person.organisation.parse().expect("an id");
    Sender { id: text(&made["id"]), path: path_of(&made), token: person.access_token.clone(), tenant }
}

/// Adds a sender of Standard Webhooks.
pub(crate) async fn standard(server: &TestApp, person: &Person) -> Sender {
    sender(server, person, json!({"name": "Shop", "provider": "standard", "secrets": [SECRET]})).await
}

/// A request to a hook, with these headers.
pub(crate) async fn post(server: &TestApp, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    let mut request = server.client.post(format!("{}{path}", server.address)).body(body.to_owned());
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = request.send().await.expect("an answer");
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    Answer { status, headers, text: response.text().await.expect("a body") }
}

/// The headers of Standard Webhooks.
pub(crate) fn signed(id: &str, at: Timestamp, body: &str) -> [(String, String); 3] {
    let secrets = Secrets::standard(&[Secret::new(SECRET.to_owned())]).expect("a secret");
    let signed = sign(&secrets, id, at, body.as_bytes()).expect("signed");
    signed.headers().map(|(name, value)| (name.to_string(), value.to_str().expect("text").to_owned()))
}

pub(crate) async fn send(server: &TestApp, sender: &Sender, id: &str, body: &str) -> Answer {
    let headers = signed(id, server.now(), body);
    let headers = [0, 1, 2].map(|at| (headers[at].0.as_str(), headers[at].1.as_str()));
    post(server, &sender.path, &headers, body).await
}

/// All events of the organisation, the newest first.
pub(crate) async fn events(server: &TestApp, sender: &Sender, query: &str) -> Vec<Value> {
    let (mut all, mut after) = (Vec::new(), String::new());
    loop {
        let path = format!("/v1/inbox?limit=100&{query}{after}");
        let page = server.send("GET", &path, Some(&sender.token), None).await.expect(200);
        all.extend(page["data"].as_array().expect("events").iter().cloned());
        let Some(next) = page["next"].as_str() else { return all };
        after = format!("&after={next}");
    }
}

/// Waits until no event is pending.
pub(crate) async fn settled(server: &TestApp, sender: &Sender) {
    let begun = Instant::now();
    while !events(server, sender, "state=pending").await.is_empty() {
        assert!(begun.elapsed() < PATIENCE, "events are still pending");
        sleep(Duration::from_millis(20)).await;
    }
}

/// Pauses the processing on all nodes, or lets it go on.
pub(crate) async fn pause(server: &TestApp, paused: bool) {
    let pause = PauseQueue { queue: "inbox".to_owned(), paused_at: paused.then(|| server.now()) };
    assert_eq!(server.app.store.run(&Call::within(PATIENCE), pause).await, Ok(true));
}

/// What is known of each subject: version and payload.
pub(crate) async fn state(server: &TestApp, sender: &Sender) -> BTreeMap<String, (Option<i64>, String)> {
    let source: InboxSourceId = sender.id.parse().expect("an id");
    let list = ListSubjects { tenant: sender.tenant, source, after: String::new(), limit: 10_000 };
    let subjects = server.app.store.run(&Call::within(PATIENCE), list).await.expect("listed");
    let known = subjects.into_iter().map(|one| (one.subject, (one.version, one.payload.expect("it is kept"))));
    known.collect()
}

async fn a_thousand_copies_at_once_are_one_event(engine: Engine) {
    let Some(server) = TestApp::start(engine, &[ALL_AT_ONCE]).await else { return };
    let ada = server.person("ada").await;
    let sender = standard(&server, &ada).await;
    let body = r#"{"type": "order.paid", "timestamp": "2026-11-28T10:00:00Z", "data": {"id": "order 1"}}"#;
    let answers = join_all((0..1000).map(|_| send(&server, &sender, "msg_1", body))).await;
    let told: Vec<_> = answers.into_iter().map(|answer| answer.expect(200)).collect();
    assert!(told.iter().all(|answer| answer["received"] == true));
    assert_eq!(told.iter().filter(|answer| answer["duplicate"] == false).count(), 1);
    settled(&server, &sender).await;
    let all = events(&server, &sender, "").await;
    assert_eq!(all.len(), 1, "{all:?}");
    assert_eq!((&all[0]["identity"], &all[0]["state"]), (&json!("msg_1"), &json!("processed")));
    let path = format!("/v1/inbox/{}", text(&all[0]["id"]));
    let whole = server.send("GET", &path, Some(&sender.token), None).await.expect(200);
    assert_eq!((&whole["state"], &whole["job"]), (&json!("processed"), &Value::Null), "the effect came with the event");
    assert_eq!(state(&server, &sender).await["order 1"].1, body);
    let again = send(&server, &sender, "msg_1", body).await.expect(200);
    assert_eq!(again, json!({"received": true, "duplicate": true}));
    // Another event of the same bytes is another.
    assert_eq!(send(&server, &sender, "msg_2", body).await.expect(200)["duplicate"], false);
    let metrics = server.send("GET", "/metrics", None, None).await.text;
    for line in [
        "mainstay_webhooks_total{provider=\"standard\",outcome=\"stored\"} 2",
        "mainstay_webhooks_total{provider=\"standard\",outcome=\"duplicate\"} 1000",
        "mainstay_webhook_acknowledged_seconds_count{provider=\"standard\"} 1002",
    ] {
        assert!(metrics.contains(line), "{line}: {metrics}");
    }
}

/// A day of orders that change: identity and body, in order. Some things happen at one moment, some have none.
fn day(orders: usize, changes: usize) -> Vec<(String, String)> {
    let mut all = Vec::new();
    for change in 0..changes {
        for order in 0..orders {
            let second = 1_764_300_000 + (change / 2 * orders + order) * 10;
            let timestamp = if order == 0 { json!("who knows") } else { json!(second) };
            let data = json!({"id": format!("order {order}"), "status": change});
            let body = json!({"type": "order.changed", "timestamp": timestamp, "data": data});
            all.push((format!("msg_{order}_{change:03}"), body.to_string()));
        }
    }
    all
}

/// The same events in another order, the same each time.
pub(crate) fn shuffled<T>(mut events: Vec<T>, mut seed: u64) -> Vec<T> {
    for last in (1..events.len()).rev() {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        events.swap(last, usize::try_from(seed >> 33).expect("small") % (last + 1));
    }
    events
}

async fn a_shuffled_day_ends_as_the_ordered_one(engine: Engine) {
    let Some(server) = TestApp::start(engine, &[ALL_AT_ONCE]).await else { return };
    let ada = server.person("ada").await;
    let day = day(12, 20);
    // In order, one after the other has been processed.
    let ordered = standard(&server, &ada).await;
    for (id, body) in &day {
        assert_eq!(send(&server, &ordered, id, body).await.expect(200)["duplicate"], false);
    }
    settled(&server, &ordered).await;
    let expected = state(&server, &ordered).await;
    assert_eq!(expected.len(), 12);
    assert!(expected["order 1"].1.contains(r#""status":19"#), "{expected:?}");
    // Out of order, each three times, many at once.
    for seed in [1, 2] {
        let other = standard(&server, &ada).await;
        let copies = shuffled(day.iter().chain(&day).chain(&day).collect(), seed);
        let mut new = 0;
        for part in copies.chunks(90) {
            let answers = join_all(part.iter().map(|(id, body)| send(&server, &other, id, body))).await;
            new += answers.into_iter().filter(|answer| answer.clone().expect(200)["duplicate"] == false).count();
        }
        assert_eq!(new, day.len());
        settled(&server, &other).await;
        assert_eq!(state(&server, &other).await, expected, "whatever the order, seed {seed}");
    }
}

async fn a_poison_event_ends_in_the_dead_letters_and_can_be_begun_anew(engine: Engine) {
    let Some(server) = TestApp::start(engine, &[]).await else { return };
    let ada = server.person("ada").await;
    let sender = standard(&server, &ada).await;
    // It is about something that has no name: it is taken, and nobody can do anything with it.
    let body = json!({"type": "order.paid", "data": {"id": {"not": "a name"}}}).to_string();
    send(&server, &sender, "msg_1", &body).await.expect(200);
    let good = json!({"type": "order.paid", "data": {"id": 7}}).to_string();
    send(&server, &sender, "msg_2", &good).await.expect(200);
    settled(&server, &sender).await;
    let dead = events(&server, &sender, "state=dead").await;
    assert_eq!((dead.len(), &dead[0]["identity"]), (1, &json!("msg_1")));
    let path = format!("/v1/inbox/{}", text(&dead[0]["id"]));
    let get = async || server.send("GET", &path, Some(&sender.token), None).await.expect(200);
    let whole = get().await;
    assert_eq!(whole["payload"].to_string(), body, "it is kept as it came");
    let attempts = whole["job"]["attempts"].as_array().expect("attempts");
    assert_eq!((attempts.len(), &attempts[0]["outcome"]), (1, &json!("dead")));
    assert!(text(&attempts[0]["error"]).contains("neither a text nor a number"), "{whole}");
    assert_eq!(events(&server, &sender, "state=processed").await.len(), 1, "the others are not held up");
    assert_eq!(state(&server, &sender).await.keys().collect::<Vec<_>>(), ["7"]);

    // It says the same when it is begun anew, and is dead again.
    let again = server.send("POST", &format!("{path}/replay"), Some(&sender.token), None).await.expect(200);
    assert_eq!(again, json!({"replayed": 1, "next": null}));
    settled(&server, &sender).await;
    assert_eq!(get().await["job"]["attempts"].as_array().map(Vec::len), Some(2));
    let filter = json!({"filter": {"state": "dead", "source": sender.id}});
    let all = server.send("POST", "/v1/inbox/replays", Some(&sender.token), Some(filter)).await.expect(200);
    assert_eq!(all, json!({"replayed": 1, "next": null}));
    settled(&server, &sender).await;
    assert_eq!(get().await["job"]["attempts"].as_array().map(Vec::len), Some(3));
    // What was processed can be, too, and changes nothing.
    let before = state(&server, &sender).await;
    let filter = json!({"filter": {"kind": "order.paid", "state": "processed"}});
    let all = server.send("POST", "/v1/inbox/replays", Some(&sender.token), Some(filter)).await.expect(200);
    assert_eq!(all["replayed"], 1);
    settled(&server, &sender).await;
    assert_eq!(state(&server, &sender).await, before);
}

async fn what_arrived_before_a_stop_is_processed_after_it(engine: Engine) {
    // This node takes events in and works on none.
    let Some(server) = TestApp::start(engine, &[("jobs.enabled", "false")]).await else { return };
    let ada = server.person("ada").await;
    let body = json!({"name": "Shop", "provider": "fastspring", "secrets": ["mine"]});
    let sender = sender(&server, &ada, body).await;
    let event = |number| json!({"id": format!("evt {number}"), "type": "order.completed", "created": 1_764_300_000_000_i64, "data": {}});
    signed_batch(&server, &sender.path, "mine", (0..20).map(event).collect()).await.expect(200);
    assert_eq!(events(&server, &sender, "state=pending").await.len(), 20);
    let one = text(&events(&server, &sender, "").await[0]["id"]);
    let replay = format!("/v1/inbox/{one}/replay");
    server.send("POST", &replay, Some(&sender.token), None).await.refused(409, "not_ended");
    let server = server.restart(&[]).await;
    settled(&server, &sender).await;
    assert_eq!(events(&server, &sender, "state=processed").await.len(), 20);
    let path = format!("/v1/inbox/{one}");
    let whole = server.send("GET", &path, Some(&sender.token), None).await.expect(200);
    assert_eq!((&whole["job"]["state"], &whole["job"]["attempt"]), (&json!("done"), &json!(1)));
}

/// A tag in base64, as Twilio and FastSpring write it.
pub(crate) fn tag(algorithm: ring::hmac::Algorithm, secret: &str, parts: &[&str]) -> String {
    let key = ring::hmac::Key::new(algorithm, secret.as_bytes());
    STANDARD.encode(ring::hmac::sign(&key, parts.concat().as_bytes()))
}
