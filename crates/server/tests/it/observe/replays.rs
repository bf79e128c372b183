//! Recordings of pages, by the wire: who may send one, what is taken of it, who may look, and how it goes.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Answer, Engine, Person, TestApp, both};

both! {
    a_recording_is_taken_of_who_agrees_shown_to_operators_and_removed_when_asked,
    recordings_are_bounded_and_refused_where_they_are_off,
}

const ON: (&str, &str) = ("replay.enabled", "true");

fn chunk(id: &str, number: u32, events: &Value) -> Value {
    json!({"replay_id": id, "number": number, "page": "/calls", "version": "0123456789abcdef", "reason": "sampled",
        "events": events.to_string()})
}

/// One event in which this stands, at this moment.
fn said(text: &str, at: u64) -> Value {
    json!([{"type": 3, "timestamp": at, "data": {"source": 0, "texts": [{"id": 4, "value": text}]}}])
}

async fn post(server: &TestApp, by: &Person, body: Value) -> Answer {
    server.send("POST", "/v1/replays", Some(&by.access_token), Some(body)).await
}

async fn agree(server: &TestApp, by: &Person) -> Answer {
    server.send("PUT", "/v1/replay-consent", Some(&by.access_token), None).await
}

async fn operator(server: &TestApp) -> Person {
    let person = server.person("operator").await;
    let email = mainstay_domain::EmailAddress::parse(&person.email).expect("an address");
    let call = mainstay_store::Call::within(Duration::from_secs(20));
    server.app.accounts.set_operator(&call, &email, true).await.expect("marked");
    person
}

async fn a_recording_is_taken_of_who_agrees_shown_to_operators_and_removed_when_asked(engine: Engine) {
    let Some(server) = TestApp::start(engine, &[ON]).await else { return };
    let (ada, bob, watcher) = (server.person("ada").await, server.person("bob").await, operator(&server).await);
    let ask =
        async |method: &str, path: &str, by: &Person| server.send(method, path, Some(&by.access_token), None).await;
    let id = uuid::Uuid::from_u128(7).to_string();
    server.send("POST", "/v1/replays", None, Some(chunk(&id, 0, &said("*", 1)))).await.refused(401, "unauthenticated");
    post(&server, &ada, chunk(&id, 0, &said("*", 1))).await.refused(403, "no_consent");
    let consent = ask("GET", "/v1/replay-consent", &ada).await.expect(200);
    assert_eq!(consent, json!({"available": true, "given_at": null, "sample_percent": 10, "keep_days": 30}));
    assert_eq!(agree(&server, &ada).await.status, 204);
    assert!(ask("GET", "/v1/replay-consent", &ada).await.expect(200)["given_at"].is_string());
    // What can be read is not taken, nor what is none of rrweb's.
    for events in [said("Iris", 1), json!([{"type": 3}]), json!({}), json!([])] {
        let refused = post(&server, &ada, chunk(&id, 0, &events)).await;
        assert!(!refused.text.contains("Iris"), "{}", refused.text);
        refused.refused(400, "invalid_input");
    }
    let mark = json!([{"type": 5, "timestamp": 9_000, "data": {"tag": "error", "payload": {}}}]);
    for (number, events, kept) in [(1, &mark, true), (0, &said("** *", 1_000), true), (1, &mark, false)] {
        let taken = post(&server, &ada, chunk(&id, number, events)).await.expect(202);
        assert_eq!(taken, json!({"kept": kept}), "chunk {number}");
    }
    // Another person has the same id without knowing of it, and a recording of their own organisation.
    agree(&server, &bob).await;
    post(&server, &bob, chunk(&id, 0, &said("****", 5))).await.expect(202);
    ask("DELETE", "/v1/replays", &bob).await.expect(200);
    for path in ["/v1/replays", &format!("/v1/replays/{id}")] {
        ask("GET", path, &ada).await.refused(403, "forbidden");
    }
    let listed = ask("GET", "/v1/replays?with_errors=true", &watcher).await.expect(200);
    let [one] = listed["data"].as_array().expect("a list").as_slice() else { panic!("{listed}") };
    let shown =
        [&one["id"], &one["organisation_id"], &one["person_id"], &one["page"], &one["errors"], &one["duration_ms"]];
    assert_eq!(json!(shown), json!([id, ada.organisation, ada.id, "/calls", 1, 8_000]), "{one}");
    let whole = ask("GET", &format!("/v1/replays/{id}"), &watcher).await.expect(200);
    assert_eq!(whole["chunks"], json!([said("** *", 1_000), mark]));
    ask("GET", &format!("/v1/replays/{}", uuid::Uuid::from_u128(8)), &watcher).await.refused(404, "not_found");
    let log = ask("GET", "/v1/access-log", &ada).await.expect(200);
    let entries = log["data"].as_array().expect("a list");
    assert_eq!(entries.len(), 1, "{log}");
    assert_eq!(
        json!([entries[0]["what"], entries[0]["subject_id"], entries[0]["person_id"]]),
        json!(["replay", id, watcher.id])
    );
    assert_eq!(ask("DELETE", "/v1/replays", &ada).await.expect(200), json!({"forgotten": 1}));
    ask("GET", &format!("/v1/replays/{id}"), &watcher).await.refused(404, "not_found");
    post(&server, &ada, chunk(&id, 2, &said("*", 1))).await.refused(403, "no_consent");
    let figures = server.send("GET", "/metrics", None, None).await.text;
    for line in [
        "mainstay_replay_chunks_total 3",
        "mainstay_replay_refusals_total{why=\"no_consent\"} 2",
        "mainstay_replay_refusals_total{why=\"not_masked\"} 4",
    ] {
        assert!(figures.lines().any(|found| found == line), "{line} is missing");
    }
}

async fn recordings_are_bounded_and_refused_where_they_are_off(engine: Engine) {
    let Some(off) = TestApp::start(engine, &[]).await else { return };
    let ada = off.person("ada").await;
    agree(&off, &ada).await.refused(409, "replays_off");
    let id = uuid::Uuid::from_u128(7).to_string();
    post(&off, &ada, chunk(&id, 0, &said("*", 1))).await.refused(409, "replays_off");
    let consent = off.send("GET", "/v1/replay-consent", Some(&ada.access_token), None).await.expect(200);
    assert_eq!(consent["available"], json!(false));
    // A million bytes of all organisations.
    let Some(server) = TestApp::start(engine, &[ON, ("replay.most_megabytes", "1")]).await else { return };
    let bob = server.person("bob").await;
    agree(&server, &bob).await;
    let many = |count: usize| json!(vec![said(&"*".repeat(900), 1)[0].clone(); count]);
    post(&server, &bob, chunk(&id, 0, &many(2_000))).await.refused(400, "invalid_input");
    post(&server, &bob, chunk(&id, 400, &said("*", 1))).await.refused(400, "invalid_input");
    let large = many(600);
    post(&server, &bob, chunk(&id, 0, &large)).await.expect(202);
    post(&server, &bob, chunk(&id, 1, &large)).await.refused(409, "replays_full");
    // There is room when something has gone, once it is looked again.
    server.send("DELETE", "/v1/replays", Some(&bob.access_token), None).await.expect(200);
    let wrong = json!({"replay_id": id, "number": 0, "page": "/", "version": "a b", "reason": "error", "events": "[]"});
    post(&server, &bob, wrong).await.refused(400, "invalid_input");
}
