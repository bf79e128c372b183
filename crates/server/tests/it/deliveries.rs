//! Deliveries over the wire, to receivers that listen on sockets: signed, tried again, bounded, replayed.

mod addresses;
mod commands;
mod crowd;
mod replays;
mod steering;

use std::time::Duration;

use mainstay_domain::EventType;
use mainstay_store::{Call, NewEvent, PublishEvents};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::support::receiver::{ALLOWED, Answering, Receiver};
use crate::support::{Engine, Person, TestApp, both};

both! {
    what_is_published_is_signed_and_delivered,
    what_fails_is_tried_again_and_logged,
    retry_after_is_honoured_by_the_whole_lane,
    gone_disables_and_tells_the_others,
    an_endpoint_that_keeps_failing_is_left_alone_until_it_is_well,
    a_rate_is_kept_and_nothing_is_lost,
    an_event_that_is_not_stored_is_not_delivered,
    what_is_said_of_an_endpoint_is_checked,
    only_administrators_may,
}

/// Generous: the machine may be busy with other tests.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Receivers are on a loopback address, and what fails is tried again at once.
pub(crate) const SETTINGS: [(&str, &str); 4] = [
    ("deliveries.allow_http", "true"),
    ("deliveries.allow_private", r#"["127.0.0.2/32"]"#),
    ("deliveries.retry_seconds", r#"["0.05", "0.05", "0.05"]"#),
    ("jobs.poll_ms", "200"),
];

pub(crate) async fn start(engine: Engine, settings: &[(&str, &str)]) -> Option<TestApp> {
    assert_eq!(ALLOWED, "127.0.0.2");
    let all: Vec<_> = SETTINGS
        .into_iter()
        .filter(|(key, _)| !settings.iter().any(|(own, _)| own == key))
        .chain(settings.iter().copied())
        .collect();
    TestApp::start(engine, &all).await
}

/// Makes an endpoint; the answer has its id and its secret.
pub(crate) async fn endpoint(server: &TestApp, person: &Person, body: Value) -> (String, String) {
    let made = server.send("POST", "/v1/webhook-endpoints", Some(&person.access_token), Some(body)).await.expect(201);
    let text = |name: &str| made[name].as_str().expect("a text").to_owned();
    (text("id"), text("secret"))
}

pub(crate) async fn publish(server: &TestApp, person: &Person, kind: &str, data: Value) -> Value {
    let body = json!({"type": kind, "data": data});
    server.send("POST", "/v1/webhook-events", Some(&person.access_token), Some(body)).await.expect(201)
}

pub(crate) async fn get(server: &TestApp, person: &Person, path: &str) -> Value {
    server.send("GET", path, Some(&person.access_token), None).await.expect(200)
}

/// Waits until what a path answers is as wanted.
pub(crate) async fn until(server: &TestApp, person: &Person, path: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    let end = Instant::now() + PATIENCE;
    loop {
        let answer = get(server, person, path).await;
        if wanted(&answer) {
            return answer;
        }
        assert!(Instant::now() < end, "{path} stays {answer}");
        sleep(Duration::from_millis(20)).await;
    }
}

async fn what_is_published_is_signed_and_delivered(engine: Engine) {
    let Some(server) = start(engine, &[]).await else { return };
    let (ada, receiver, other) = (server.person("ada").await, Receiver::start().await, Receiver::start().await);
    let token = Some(ada.access_token.as_str());
    let (id, secret) = endpoint(&server, &ada, json!({"url": receiver.url()})).await;
    endpoint(&server, &ada, json!({"url": other.url(), "event_types": ["invoice.paid"]})).await;
    let data = json!({"amount": 5, "to": "Ada \u{1F980}"});
    let event = publish(&server, &ada, "invoice.sent", data.clone()).await;
    assert_eq!(event["deliveries"], 1);
    let arrivals = receiver.until(1).await;
    let first = &arrivals[0];
    assert_eq!(first.header("webhook-id"), event["id"].as_str().expect("an id"));
    assert_eq!(first.header("content-type"), "application/json");
    assert!(first.header("user-agent").starts_with("mainstay/"));
    let sent = json!({"id": event["id"], "type": "invoice.sent", "timestamp": event["timestamp"], "data": data});
    assert_eq!(first.json(), sent);
    assert_eq!(first.verify(&secret), Ok(()));
    // While a secret is replaced both sign.
    let path = format!("/v1/webhook-endpoints/{id}/secret/rotate");
    let rotated = server.send("POST", &path, token, None).await.expect(200);
    let new = rotated["secret"].as_str().expect("a secret");
    publish(&server, &ada, "invoice.paid", json!({})).await;
    let arrivals = receiver.until(2).await;
    assert_eq!((arrivals[1].verify(&secret), arrivals[1].verify(new)), (Ok(()), Ok(())));
    assert!(arrivals[0].verify(new).is_err(), "the judge itself");
    // Filters, and a test whatever the filter.
    assert_eq!(other.until(1).await[0].json()["type"], "invoice.paid");
    let path = format!("/v1/webhook-endpoints/{id}/test");
    let test = server.send("POST", &path, token, None).await.expect(202);
    let arrivals = receiver.until(3).await;
    assert_eq!(arrivals[2].header("webhook-id"), test["event_id"].as_str().expect("an id"));
    assert_eq!(arrivals[2].json()["type"], "webhook.test");
    assert_eq!(other.arrivals().len(), 1);
    let types = get(&server, &ada, "/v1/webhook-event-types").await;
    let types: Vec<_> = types["data"].as_array().expect("types").iter().map(|one| one["type"].clone()).collect();
    assert_eq!(types[..3], ["webhook.test", "webhook_endpoint.disabled", "email.sent"]);
    assert_eq!(types[types.len() - 2..], ["invoice.paid", "invoice.sent"]);
    // The log, without anything that signs.
    let list = until(&server, &ada, "/v1/webhook-deliveries?state=delivered&type=invoice.sent", |list| {
        list["data"].as_array().is_some_and(|rows| rows.len() == 1)
    });
    let list = list.await;
    let path = format!("/v1/webhook-deliveries/{}", list["data"][0]["id"].as_str().expect("an id"));
    let log = get(&server, &ada, &path).await;
    assert_eq!((&log["state"], &log["attempts"], &log["status"]), (&json!("delivered"), &json!(1), &json!(200)));
    assert_eq!((&log["data"], &log["log"][0]["response_body"]), (&data, &json!("understood")));
    assert_eq!(log["log"][0]["request_headers"]["webhook-id"], event["id"]);
    assert!(!log.to_string().contains("v1,") && !log.to_string().contains("whsec_"), "{log}");
}

async fn what_fails_is_tried_again_and_logged(engine: Engine) {
    let Some(server) = start(engine, &[("deliveries.deadline_seconds", "1")]).await else { return };
    let (ada, receiver) = (server.person("ada").await, Receiver::start().await);
    let (id, secret) = endpoint(&server, &ada, json!({"url": receiver.url()})).await;
    // The deadline covers the body; redirects are not followed.
    let away = vec![("location", "http://127.0.0.1:1/".to_owned())];
    receiver.script([Answering::status(500), Answering::HangInBody, Answering::Status(302, away)]);
    publish(&server, &ada, "a", json!({})).await;
    let arrivals = receiver.until(4).await;
    assert!(arrivals.iter().all(|arrival| arrival.verify(&secret).is_ok()));
    assert!(arrivals.iter().all(|arrival| arrival.header("webhook-id") == arrivals[0].header("webhook-id")));
    let delivered = |list: &Value| list["data"][0]["state"] == "delivered";
    let list = until(&server, &ada, &format!("/v1/webhook-deliveries?endpoint={id}"), delivered).await;
    let path = format!("/v1/webhook-deliveries/{}", list["data"][0]["id"].as_str().expect("an id"));
    let log = get(&server, &ada, &path).await;
    let log = log["log"].as_array().expect("a log");
    let of = |n: usize| (log[n]["status"].clone(), log[n]["error"].as_str().unwrap_or_default().to_owned());
    assert_eq!(of(0), (json!(500), "The endpoint answered 500.".to_owned()));
    assert_eq!(of(1), (json!(200), "The host began its answer and did not end it in time.".to_owned()));
    assert_eq!(of(2), (json!(302), "The endpoint answered 302. Redirects are not followed.".to_owned()));
    assert_eq!(of(3), (json!(200), String::new()));
    assert!(log[1]["took_ms"].as_u64() >= Some(1000), "{log:?}");
    // What fails each time is given up at last.
    receiver.answer(Answering::status(404));
    publish(&server, &ada, "b", json!({})).await;
    let failed = |list: &Value| list["data"].as_array().is_some_and(|rows| rows.len() == 1);
    let list = until(&server, &ada, "/v1/webhook-deliveries?state=failed", failed).await;
    assert_eq!((&list["data"][0]["attempts"], &list["data"][0]["status"]), (&json!(4), &json!(404)));
    assert_eq!(receiver.arrivals().len(), 8);
}

async fn retry_after_is_honoured_by_the_whole_lane(engine: Engine) {
    let Some(server) = start(engine, &[]).await else { return };
    let (ada, receiver) = (server.person("ada").await, Receiver::start().await);
    let (id, _) = endpoint(&server, &ada, json!({"url": receiver.url()})).await;
    receiver.script([Answering::Status(429, vec![("retry-after", "2".to_owned())])]);
    publish(&server, &ada, "a", json!({"n": 1})).await;
    let refused = receiver.until(1).await[0].at;
    let path = format!("/v1/webhook-endpoints/{id}");
    until(&server, &ada, &path, |endpoint| !endpoint["resting_until"].is_null()).await;
    publish(&server, &ada, "a", json!({"n": 2})).await;
    let arrivals = receiver.until(3).await;
    for arrival in &arrivals[1..] {
        let waited = arrival.at.since(refused);
        assert!(waited >= Duration::from_millis(1_990), "it came after {waited:?}");
    }
}

async fn gone_disables_and_tells_the_others(engine: Engine) {
    let Some(server) = start(engine, &[]).await else { return };
    let (ada, gone, other) = (server.person("ada").await, Receiver::start().await, Receiver::start().await);
    let (id, _) = endpoint(&server, &ada, json!({"url": gone.url()})).await;
    endpoint(&server, &ada, json!({"url": other.url(), "event_types": ["webhook_endpoint.disabled"]})).await;
    gone.answer(Answering::status(410));
    publish(&server, &ada, "a", json!({})).await;
    let notice = other.until(1).await[0].json();
    assert_eq!((&notice["type"], &notice["data"]["endpoint_id"]), (&json!("webhook_endpoint.disabled"), &json!(id)));
    assert_eq!(notice["data"]["reason"], "gone");
    let path = format!("/v1/webhook-endpoints/{id}");
    let disabled = get(&server, &ada, &path).await;
    assert_eq!((&disabled["enabled"], &disabled["disabled_reason"]), (&json!(false), &json!("gone")));
    // Nothing goes there until it is enabled again; then it can be made up for.
    assert_eq!(publish(&server, &ada, "b", json!({})).await["deliveries"], 0);
    let token = Some(ada.access_token.as_str());
    server.send("POST", &format!("{path}/test"), token, None).await.refused(409, "endpoint_disabled");
    gone.answer(Answering::status(204));
    server.send("PATCH", &path, token, Some(json!({"enabled": true}))).await.expect(200);
    let since = json!({"since": "2020-01-01T00:00:00Z"});
    server.send("POST", &format!("{path}/replays"), token, Some(since)).await.expect(202);
    let arrivals = gone.until(4).await;
    let mut kinds: Vec<_> = arrivals[1..].iter().map(|one| one.json()["type"].to_string()).collect();
    kinds.sort();
    assert_eq!(kinds, [r#""a""#, r#""b""#, r#""webhook_endpoint.disabled""#]);
    // Disabling by hand cancels what waits.
    gone.answer(Answering::Status(503, vec![("retry-after", "3600".to_owned())]));
    publish(&server, &ada, "c", json!({})).await;
    until(&server, &ada, &path, |endpoint| !endpoint["resting_until"].is_null()).await;
    server.send("PATCH", &path, token, Some(json!({"enabled": false}))).await.expect(200);
    let list = format!("/v1/webhook-deliveries?endpoint={id}&state=cancelled");
    let list = until(&server, &ada, &list, |list| list["data"].as_array().is_some_and(|rows| rows.len() == 1)).await;
    assert_eq!(list["data"][0]["error"], "The endpoint was disabled.");
}

async fn an_endpoint_that_keeps_failing_is_left_alone_until_it_is_well(engine: Engine) {
    let settings = [("deliveries.rest_seconds", "1"), ("deliveries.retry_seconds", r#"["0.05", "60", "60"]"#)];
    let Some(server) = start(engine, &settings).await else { return };
    let (ada, receiver) = (server.person("ada").await, Receiver::start().await);
    let (id, _) = endpoint(&server, &ada, json!({"url": receiver.url()})).await;
    receiver.answer(Answering::status(500));
    for n in 0..20 {
        publish(&server, &ada, "a", json!({"n": n})).await;
    }
    let path = format!("/v1/webhook-endpoints/{id}");
    until(&server, &ada, &path, |endpoint| !endpoint["resting_until"].is_null()).await;
    // Five in a row, what was under way, and one each after a rest of one, two and four seconds.
    sleep(Duration::from_millis(500)).await;
    let tried = receiver.arrivals().len();
    assert!((5..=12).contains(&tried), "{tried} were tried although it failed each time");
    receiver.answer(Answering::status(200));
    let done = "/v1/webhook-deliveries?state=delivered";
    until(&server, &ada, done, |list| list["data"].as_array().is_some_and(|rows| rows.len() >= 8)).await;
    let well = get(&server, &ada, &path).await;
    assert_eq!((&well["consecutive_failures"], &well["resting_until"]), (&json!(0), &Value::Null));
}

async fn a_rate_is_kept_and_nothing_is_lost(engine: Engine) {
    let Some(server) = start(engine, &[]).await else { return };
    let (ada, receiver) = (server.person("ada").await, Receiver::start().await);
    // One in a quarter of a second, and a little more at once.
    endpoint(&server, &ada, json!({"url": receiver.url(), "rate_per_minute": 240})).await;
    for n in 0..20 {
        publish(&server, &ada, "a", json!({"n": n})).await;
    }
    let arrivals = receiver.until(20).await;
    let mut seen: Vec<_> = arrivals.iter().map(|one| one.json()["data"]["n"].as_u64()).collect();
    seen.sort_unstable();
    assert_eq!(seen, (0..20).map(Some).collect::<Vec<_>>());
    let took = arrivals[19].at.since(arrivals[0].at);
    assert!(took >= Duration::from_millis(15 * 253 - 100), "20 came within {took:?}");
}

async fn an_event_that_is_not_stored_is_not_delivered(engine: Engine) {
    let Some(server) = start(engine, &[]).await else { return };
    let (ada, receiver) = (server.person("ada").await, Receiver::start().await);
    endpoint(&server, &ada, json!({"url": receiver.url()})).await;
    let tenant = ada.organisation.parse().expect("an id");
    let kind = EventType::parse("a").expect("a type");
    let event = |payload: &str| NewEvent { id: server.app.ids.make(), kind: kind.clone(), payload: payload.to_owned() };
    let (good, twice) = (event("{}"), event("{}"));
    // The second has an id that is there already: the whole transaction is undone, the first with it.
    let run = async |events: Vec<NewEvent>| {
        let publish = PublishEvents { tenant, events, claim: None, now: server.now() };
        server.app.store.run(&Call::within(PATIENCE), publish).await
    };
    run(vec![twice.clone()]).await.expect("published");
    assert!(run(vec![good, twice]).await.is_err());
    publish(&server, &ada, "b", json!({})).await;
    receiver.until(2).await;
    let list = get(&server, &ada, "/v1/webhook-deliveries").await;
    assert_eq!(list["data"].as_array().map(Vec::len), Some(2), "{list}");
}

async fn what_is_said_of_an_endpoint_is_checked(engine: Engine) {
    let Some(server) = TestApp::start(engine, &[]).await else { return };
    let ada = server.person("ada").await;
    let token = Some(ada.access_token.as_str());
    let make = async |body: Value| server.send("POST", "/v1/webhook-endpoints", token, Some(body)).await;
    for (url, code) in [
        ("http://example.com/", "scheme_not_allowed"),
        ("https://127.0.0.1/", "address_not_public"),
        ("https://[::ffff:127.0.0.1]/", "address_not_public"),
        ("https://[64:ff9b::7f00:1]/", "address_not_public"),
        ("https://2130706433/", "address_not_public"),
        ("https://localhost/", "address_not_public"),
        ("https://user:password@example.com/", "has_credentials"),
        ("nonsense", "not_a_url"),
    ] {
        let problem = make(json!({"url": url})).await.refused(400, "invalid_input");
        assert_eq!(
            (&problem["fields"][0]["field"], &problem["fields"][0]["code"]),
            (&json!("url"), &json!(code)),
            "{url}"
        );
    }
    let good = "https://example.com/";
    for (body, field) in [
        (json!({"url": good, "event_types": ["ok", "not ok"]}), "event_types[1]"),
        (json!({"url": good, "rate_per_minute": 0}), "rate_per_minute"),
        (json!({"url": good, "description": "d".repeat(201)}), "description"),
    ] {
        let problem = make(body).await.refused(400, "invalid_input");
        assert_eq!(problem["fields"][0]["field"], field);
    }
    for n in 0..50 {
        make(json!({"url": good, "description": format!("{n}")})).await.expect(201);
    }
    make(json!({"url": good})).await.refused(409, "too_many_endpoints");
    // Events.
    let tell = async |body: Value| server.send("POST", "/v1/webhook-events", token, Some(body)).await;
    assert_eq!(
        tell(json!({"type": "webhook.test", "data": {}})).await.refused(400, "invalid_input")["fields"][0]["code"],
        "reserved"
    );
    tell(json!({"type": "a b", "data": {}})).await.refused(400, "invalid_input");
    tell(json!({"type": "a", "data": 5})).await.refused(400, "invalid_input");
    tell(json!({"type": "a", "data": {"text": "x".repeat(256 * 1024)}})).await.refused(413, "payload_too_large");
    let bad = format!("/v1/webhook-deliveries?state={}", "done");
    server.send("GET", &bad, token, None).await.refused(400, "invalid_input");
}

async fn only_administrators_may(engine: Engine) {
    let Some(server) = TestApp::start(engine, &[]).await else { return };
    let (ada, bob) = (server.person("ada").await, server.person("bob").await);
    let (id, _) = endpoint(&server, &ada, json!({"url": "https://hooks.example/"})).await;
    let add = json!({"email": bob.email, "role": "member"});
    server.send("POST", "/v1/members", Some(&ada.access_token), Some(add)).await.expect(201);
    let there = json!({"organisation_id": ada.organisation});
    let member = server.send("POST", "/v1/auth/switch", Some(&bob.access_token), Some(there)).await.expect(200);
    let member = member["access_token"].as_str();
    let path = format!("/v1/webhook-endpoints/{id}");
    assert_eq!(server.send("GET", &path, member, None).await.status, 403);
    let event = json!({"type": "a", "data": {}});
    assert_eq!(server.send("POST", "/v1/webhook-events", member, Some(event)).await.status, 403);
    // Another organisation's is not there.
    let other = Some(bob.access_token.as_str());
    server.send("GET", &path, other, None).await.refused(404, "not_found");
    server.send("PATCH", &path, other, Some(json!({"enabled": false}))).await.refused(404, "not_found");
    server.send("DELETE", &path, other, None).await.refused(404, "not_found");
    server.send("POST", &format!("{path}/secret/rotate"), other, None).await.refused(404, "not_found");
    server.send("POST", &format!("{path}/test"), other, None).await.refused(404, "not_found");
    let since = json!({"since": "2020-01-01T00:00:00Z"});
    server.send("POST", &format!("{path}/replays"), other, Some(since)).await.refused(404, "not_found");
}
