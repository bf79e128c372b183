//! More to do than can be done at once: refused fast and truly, never what must not be, and every place comes back.

use std::time::Duration;

use futures_util::future::join_all;
use mainstay_server::ops::pools;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::support::{Engine, TestApp, both};

both! {
    what_is_too_much_is_refused_fast_and_what_matters_never,
    a_request_that_waits_for_a_model_keeps_no_place,
    a_client_that_trickles_its_body_keeps_no_place,
}

/// One place, no queue to speak of.
const NARROW: &[(&str, &str)] = &[
    ("overload.least_in_flight", "1"),
    ("overload.first_in_flight", "1"),
    ("overload.most_in_flight", "1"),
    ("overload.queue", "2"),
    ("overload.queue_per_tenant", "1"),
    ("overload.queue_timeout_ms", "20"),
];

/// Waits until nobody is inside.
async fn until_free(server: &TestApp) {
    let patience = Instant::now() + Duration::from_secs(20);
    while server.app.overload.standing().inside > 0 {
        assert!(Instant::now() < patience, "a place did not come back: {:?}", server.app.overload);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn what_is_too_much_is_refused_fast_and_what_matters_never(engine: Engine) {
    let Some(server) = TestApp::start(engine, NARROW).await else { return };
    let (ada, bob) = (server.person("ada").await, server.person("bob").await);
    let sent = server.send("POST", "/v1/messages", Some(&ada.access_token), Some(json!({"content": "Hello"}))).await;
    let generation = sent.expect(201)["generation_id"].as_str().expect("an id").to_owned();
    // The only place is taken, by somebody else, for as long as this test likes.
    until_free(&server).await;
    let context = mainstay_server::http::RequestContext::taking_a_place(&server.app.overload);
    context.admit(mainstay_server::http::overload::Key::address([192, 0, 2, 1].into())).await.expect("there is room");
    assert_eq!(server.app.overload.standing().inside, 1);

    let begun = Instant::now();
    let refused = [
        server.send("GET", "/v1/conversations", Some(&ada.access_token), None).await,
        server.send("POST", "/v1/messages", Some(&bob.access_token), Some(json!({"content": "Hello"}))).await,
        server
            .send("POST", "/v1/auth/sign-up", None, Some(json!({"email": "c@example.com", "password": "a long one"})))
            .await,
    ];
    assert!(begun.elapsed() < Duration::from_secs(5), "refusing must be fast");
    for answer in refused {
        let after: u64 = answer.headers["retry-after"].to_str().expect("a text").parse().expect("seconds");
        assert!((1..=5).contains(&after));
        answer.refused(503, "overloaded");
    }
    for path in ["/healthz", "/readyz", "/health/database", "/metrics"] {
        server.send("GET", path, None, None).await.expect_ok(path);
    }
    let stop = format!("/v1/generations/{generation}/stop");
    server.send("POST", &stop, Some(&ada.access_token), None).await.expect(200);
    server.send("POST", "/v1/auth/sign-out", Some(&bob.access_token), None).await.expect_ok("sign-out");
    let figures = server.send("GET", "/metrics", None, None).await.text;
    let counted = figures.lines().filter(|line| line.starts_with("mainstay_overload_refused_total"));
    let counted: u64 = counted.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum();
    assert_eq!(counted, 3, "{figures}");

    drop(context);
    until_free(&server).await;
    server.send("GET", "/v1/conversations", Some(&ada.access_token), None).await.expect(200);
}

async fn a_request_that_waits_for_a_model_keeps_no_place(engine: Engine) {
    let mut settings = NARROW.to_vec();
    settings.extend([("providers.offline.word_ms", "40"), ("overload.queue_timeout_ms", "5000")]);
    settings.retain(|(key, value)| *key != "overload.queue_timeout_ms" || *value == "5000");
    let Some(server) = TestApp::start(engine, &settings).await else { return };
    let ada = server.person("ada").await;
    let mut events =
        server.events("POST", "/v1/messages", &ada.access_token, Some(json!({"content": "Hello"})), &[]).await;
    let start = events.next().await.expect("the first event");
    assert_eq!(start.event, "start");
    // The reply is being made, and there is one place only.
    until_free(&server).await;
    server.send("GET", "/v1/conversations", Some(&ada.access_token), None).await.expect(200);
    // So it is for requests that wait for their reply without a stream.
    let send = || server.send("POST", "/v1/messages", Some(&ada.access_token), Some(json!({"content": "Hello"})));
    for answer in join_all([send(), send()]).await {
        assert_ne!(answer.status, 503, "{}", answer.text);
    }
    until_free(&server).await;
}

async fn a_client_that_trickles_its_body_keeps_no_place(engine: Engine) {
    let Some(server) = TestApp::start(engine, NARROW).await else { return };
    let ada = server.person("ada").await;
    until_free(&server).await;
    let address = server.address.trim_start_matches("http://").to_owned();
    let mut slow = TcpStream::connect(&address).await.expect("a connection");
    let body = r#"{"content":"Hello"}"#;
    let head = format!(
        "POST /v1/messages HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{}",
        ada.access_token,
        body.len(),
        &body[..5],
    );
    slow.write_all(head.as_bytes()).await.expect("it is read");
    // Its head has been answered to nobody yet, and everybody else is served.
    for _ in 0..20 {
        server.send("GET", "/v1/conversations", Some(&ada.access_token), None).await.expect(200);
    }
    slow.write_all(&body.as_bytes()[5..]).await.expect("it is read");
    let mut answer = [0; 12];
    slow.read_exact(&mut answer).await.expect("an answer");
    assert_eq!(&answer, b"HTTP/1.1 201");
    drop(slow);
    until_free(&server).await;
}

/// Pools that can never fit what the server of the database allows are refused at start, with what to do.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pools_that_cannot_fit_are_refused_at_start() {
    let Some(server) = TestApp::start(Engine::Postgres, &[]).await else { return };
    let database = &server.app.config.database;
    let fits = pools::check_room(database, &server.app.store).await;
    assert!(fits.is_ok(), "{fits:?}");
    let many = mainstay_server::config::Database { nodes: 1000, ..database.clone() };
    let refused = pools::check_room(&many, &server.app.store).await.expect_err("16,000 connections");
    assert_eq!(refused.code, "too_many_connections");
    for part in ["database.pool_size (19)", "1000 nodes", "19000 connections", "max_connections"] {
        assert!(refused.detail.contains(part), "{}", refused.detail);
    }
}

/// Clients that hang up in the middle, requests that run into their deadline, refusals and faults: every place comes back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_place_comes_back() {
    let settings =
        [("overload.first_in_flight", "4"), ("overload.least_in_flight", "4"), ("http.request_timeout_ms", "3000")];
    let settings = [&settings[..], &[("database.acquire_timeout_ms", "500"), ("database.statement_timeout_ms", "500")]];
    let Some(server) = TestApp::start(Engine::Sqlite, &settings.concat()).await else { return };
    let ada = server.person("ada").await;
    let address = server.address.trim_start_matches("http://").to_owned();
    let (address, ada, server) = (&address, &ada, &server);
    let hang_up = |number: u64| async move {
        let mut client = TcpStream::connect(address).await.expect("a connection");
        let head = format!(
            "GET /v1/conversations HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {}\r\n\r\n",
            ada.access_token
        );
        client.write_all(head.as_bytes()).await.expect("it is read");
        tokio::time::sleep(Duration::from_micros(number * 97 % 3000)).await;
    };
    join_all((0..100).map(hang_up)).await;
    let ask = |number: u32| async move {
        let bad = json!({"content": if number.is_multiple_of(2) { "" } else { "Hello" }, "unknown": 1});
        server.send("POST", "/v1/messages", Some(&ada.access_token), Some(bad)).await.status
    };
    let statuses = join_all((0..40).map(ask)).await;
    assert!(statuses.iter().all(|status| [400, 503].contains(status)), "{statuses:?}");
    until_free(server).await;
    assert_eq!(server.app.overload.standing().waiting, 0);
    server.send("GET", "/v1/conversations", Some(&ada.access_token), None).await.expect(200);
}
