//! Every switch is shown to do what it says: one case for each part, one for each queue.

use mainstay_domain::JobPriority;
use mainstay_server::controls::{Control, Part};
use mainstay_server::job_list;
use mainstay_store::{Enqueue, GetJob, NewJob};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::{PATIENCE, call, clear, operated, set};
use crate::deliveries::{SETTINGS, endpoint, publish};
use crate::inbox::{self, standard};
use crate::live::Socket;
use crate::support::receiver::Receiver;
use crate::support::{Answer, Engine, Person, TestApp, UPGRADE, both};

both! {
    every_part_can_be_turned_off,
    every_route_of_a_part_is_refused,
    every_queue_can_be_turned_off,
    what_was_sent_before_is_found_while_messages_are_off,
}

fn off(answer: Answer) {
    let after = answer.headers.get("retry-after").and_then(|value| value.to_str().ok()).map(str::to_owned);
    let problem = answer.refused(503, "switched_off");
    let detail = problem["detail"].as_str().expect("a detail");
    assert!(detail.contains("switched off until 20"), "{detail}");
    let after: u64 = after.expect("when to come back").parse().expect("seconds");
    assert!((1..=75).contains(&after), "{after}");
}

async fn every_part_can_be_turned_off(engine: Engine) {
    let Some((server, ada)) = operated(engine, &SETTINGS).await else { return };
    let bob = server.person("bob").await;
    for part in Part::ALL {
        let name = part.as_str();
        match part {
            Part::SignUp => {
                let body = json!({"email": "carol@example.com", "password": "a long password", "name": "Carol"});
                refuses(&server, &ada, name, "POST", "/v1/auth/sign-up", None, body, 201).await;
            }
            Part::SignIn => {
                let body = json!({"email": bob.email, "password": "password of bob"});
                refuses(&server, &ada, name, "POST", "/v1/auth/sign-in", None, body, 200).await;
            }
            Part::Messages => {
                let body = json!({"content": "Hello"});
                refuses(&server, &ada, name, "POST", "/v1/messages", Some(&bob), body, 201).await;
                let id = "01a1ff20-0000-7000-8000-000000000001";
                refuses(&server, &ada, name, "POST", "/v1/sync", Some(&bob), written(id), 200).await;
            }
            Part::Conversations => conversations(&server, &ada, &bob).await,
            Part::Sync => {
                refuses(&server, &ada, name, "GET", "/v1/sync", Some(&bob), Value::Null, 200).await;
                let body = written("01a1ff20-0000-7000-8000-000000000003");
                refuses(&server, &ada, name, "POST", "/v1/sync", Some(&bob), body, 200).await;
            }
            Part::Live => live(&server, &ada, &bob).await,
            Part::Purchases => {
                // Nobody sells here: without the switch another problem is answered.
                let body = json!({"plan": "core"});
                refuses(&server, &ada, name, "POST", "/v1/checkout-sessions", Some(&bob), body.clone(), 409).await;
                refuses(&server, &ada, name, "POST", "/v1/plan/change", Some(&bob), body, 409).await;
            }
            Part::Webhooks => webhooks(&server, &ada, &bob).await,
            Part::Deliveries => deliveries(&server, &ada, &bob).await,
        }
    }
}

/// A message that was written offline, which makes its conversation.
fn written(id: &str) -> Value {
    let send = json!({"kind": "message.send", "id": id, "conversation_id": id, "content": "Hi", "new": true});
    json!({"client_id": id, "mutations": [send]})
}

/// While the switch is off the request is refused; then it is answered as ever.
#[expect(clippy::too_many_arguments, reason = "one row of a table")]
async fn refuses(
    server: &TestApp,
    ada: &Person,
    name: &str,
    method: &str,
    path: &str,
    by: Option<&Person>,
    body: Value,
    status: u16,
) {
    let token = by.map(|person| person.access_token.as_str());
    let body = (!body.is_null()).then_some(body);
    let send = async || server.send(method, path, token, body.clone()).await;
    set(server, ada, name, "off").await;
    off(send().await);
    clear(server, ada, name).await;
    let answer = send().await;
    assert_eq!(answer.status, status, "{method} {path}: {}", answer.text);
    assert_ne!(answer.json()["code"], "switched_off", "{method} {path}");
}

/// Nobody begins a conversation, and those that are there go on.
async fn conversations(server: &TestApp, ada: &Person, bob: &Person) {
    let (token, hello) = (Some(bob.access_token.as_str()), json!({"content": "Hello"}));
    let begun = server.send("POST", "/v1/messages", token, Some(hello.clone())).await.expect(201);
    let into = format!("/v1/conversations/{}/messages", begun["conversation_id"].as_str().expect("an id"));
    set(server, ada, "conversations", "off").await;
    off(server.send("POST", "/v1/conversations", token, Some(json!({"title": "New"}))).await);
    off(server.send("POST", "/v1/messages", token, Some(hello.clone())).await);
    off(server.send("POST", "/v1/sync", token, Some(written("01a1ff20-0000-7000-8000-000000000002"))).await);
    server.send("POST", &into, token, Some(hello.clone())).await.expect(201);
    clear(server, ada, "conversations").await;
    server.send("POST", "/v1/messages", token, Some(hello)).await.expect(201);
}

/// Who is connected is told to come back later, and nobody connects.
async fn live(server: &TestApp, ada: &Person, bob: &Person) {
    let token = Some(bob.access_token.as_str());
    let mut socket = Socket::open(server, &bob.access_token).await;
    socket.frame().await;
    set(server, ada, "live", "off").await;
    let (code, reason) = socket.closed().await;
    assert_eq!((code, &reason["reconnect"]), (4503, &json!(true)));
    assert!(reason["after_ms"].as_u64().is_some_and(|after| after >= 60_000), "{reason}");
    off(server.send_with("GET", "/v1/live", token, None, &UPGRADE).await);
    off(server.send("POST", "/v1/live/tickets", token, None).await);
    clear(server, ada, "live").await;
    Socket::open(server, &bob.access_token).await.frame().await;
}

/// What arrives is stored and acknowledged, and has its effect later.
async fn webhooks(server: &TestApp, ada: &Person, bob: &Person) {
    let sender = standard(server, bob).await;
    let body = r#"{"type": "order.paid", "timestamp": "2026-11-28T10:00:00Z", "data": {"id": "order 1"}}"#;
    set(server, ada, "webhooks", "off").await;
    let told = inbox::send(server, &sender, "msg_1", body).await.expect(200);
    assert_eq!((&told["received"], &told["duplicate"]), (&json!(true), &json!(false)));
    let told = inbox::send(server, &sender, "msg_1", body).await.expect(200);
    assert_eq!(told["duplicate"], true, "a repeat is known");
    assert_eq!(inbox::events(server, &sender, "state=pending").await.len(), 1);
    assert!(inbox::state(server, &sender).await.is_empty(), "it has no effect yet");
    clear(server, ada, "webhooks").await;
    inbox::settled(server, &sender).await;
    assert_eq!(inbox::state(server, &sender).await["order 1"].1, body);
}

/// What is published waits, and is delivered later.
async fn deliveries(server: &TestApp, ada: &Person, bob: &Person) {
    let receiver = Receiver::start().await;
    endpoint(server, bob, json!({"url": receiver.url()})).await;
    set(server, ada, "deliveries", "off").await;
    let event = publish(server, bob, "invoice.sent", json!({"amount": 5})).await;
    assert_eq!(event["deliveries"], 1);
    let waiting = super::get(server, bob, "/v1/webhook-deliveries?state=pending").await;
    assert_eq!(waiting["data"].as_array().map(Vec::len), Some(1));
    let health = server.send("GET", "/health/queue", None, None).await.expect(200);
    let detail = health["checks"]["queues"]["detail"].as_str().expect("a detail").to_owned();
    assert!(detail.contains("switched off: deliveries"), "{detail}");
    let queues = super::get(server, ada, "/v1/queues").await;
    let all = queues["data"].as_array().expect("queues");
    let stopped: Vec<_> =
        all.iter().filter(|queue| queue["off_until"].is_string()).map(|queue| &queue["name"]).collect();
    assert_eq!(stopped, [&json!("deliveries")]);
    assert!(receiver.arrivals().is_empty());
    clear(server, ada, "deliveries").await;
    assert_eq!(receiver.until(1).await[0].json()["data"], json!({"amount": 5}));
}

/// Every route that names a part in the table of routes, whatever it is sent.
async fn every_route_of_a_part_is_refused(engine: Engine) {
    let Some((server, ada)) = operated(engine, &[]).await else { return };
    let table: Vec<_> = server.table.iter().filter_map(|route| Some((route.policy.part?, route))).collect();
    assert!(table.len() >= 9, "{}", table.len());
    for (part, route) in table {
        set(&server, &ada, part.as_str(), "off").await;
        off(server.send(route.method.as_str(), route.path, None, Some(json!({}))).await);
        // A browser that asks first whether it may ask is answered.
        let preflight = server.send("OPTIONS", route.path, None, None).await;
        assert_ne!(preflight.json()["code"], "switched_off");
        clear(&server, &ada, part.as_str()).await;
        let answer = server.send(route.method.as_str(), route.path, None, Some(json!({}))).await;
        assert_ne!(answer.json()["code"], "switched_off", "{} {}", route.method, route.path);
    }
    let figures = server.send("GET", "/metrics", None, None).await.text;
    assert!(figures.contains("mainstay_controls_refusals_total{part=\"sign_up\"} 1"), "{figures}");
}

/// A job that fails at its only attempt, whoever begins it.
fn doomed(server: &TestApp, queue: &'static str) -> NewJob {
    NewJob {
        id: server.app.ids.make(),
        queue,
        kind: "probe",
        group: "g".to_owned(),
        tenant: None,
        priority: JobPriority::Normal,
        arguments: "{}".to_owned(),
        unique: None,
        run_at: server.now(),
        most_attempts: 1,
        trace: None,
    }
}

async fn every_queue_can_be_turned_off(engine: Engine) {
    let Some((server, ada)) = operated(engine, &[("jobs.poll_ms", "200")]).await else { return };
    let queues = job_list::queues(&server.app.config).map(|queue| queue.name);
    for (place, queue) in queues.into_iter().enumerate() {
        let name = Control::of_queue(queue).name();
        set(&server, &ada, &name, "off").await;
        let other = queues[(place + 1) % queues.len()];
        let (waits, runs) = (doomed(&server, queue), doomed(&server, other));
        let (waiting, running) = (waits.id, runs.id);
        let promise = Enqueue { jobs: vec![waits, runs], now: server.now() };
        server.app.store.run(&call(), promise).await.expect("promised");
        ended(&server, running).await;
        let life = server.app.store.run(&call(), GetJob(waiting)).await.expect("read").expect("it is there");
        assert_eq!(life.job.state.as_str(), "ready", "{name}");
        let cleared = server.now();
        clear(&server, &ada, &name).await;
        let life = ended(&server, waiting).await;
        assert!(life.attempts[0].started_at >= cleared, "{name}: it was begun while it was off: {life:?}");
    }
}

/// Waits until a job was given up.
async fn ended(server: &TestApp, job: mainstay_domain::JobId) -> mainstay_store::JobLife {
    let begun = Instant::now();
    loop {
        let life = server.app.store.run(&call(), GetJob(job)).await.expect("read").expect("it is there");
        if life.job.state.as_str() == "dead" {
            return life;
        }
        assert!(begun.elapsed() < PATIENCE, "it is not given up: {life:?}");
        sleep(std::time::Duration::from_millis(20)).await;
    }
}

async fn what_was_sent_before_is_found_while_messages_are_off(engine: Engine) {
    let Some((server, ada)) = operated(engine, &[]).await else { return };
    let (token, body) = (Some(ada.access_token.as_str()), Some(json!({"content": "Hello"})));
    let key = [("idempotency-key", "before")];
    let send = async |key: &[(&str, &str)]| server.send_with("POST", "/v1/messages", token, body.clone(), key).await;
    let first = send(&key).await.expect(201);
    set(&server, &ada, "messages", "off").await;
    assert_eq!(send(&key).await.expect(201)["message"]["id"], first["message"]["id"]);
    off(send(&[("idempotency-key", "after")]).await);
    let path = format!("/v1/generations/{}", first["generation_id"].as_str().expect("an id"));
    super::get(&server, &ada, &path).await;
    clear(&server, &ada, "messages").await;
    send(&[("idempotency-key", "after")]).await.expect(201);
}
