//! Health as those see it who watch from outside.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::support::fake_provider::{Behaviour, FakeProvider};
use crate::support::{Engine, TestApp, both};

both! {
    everything_is_told_with_its_state_its_time_and_its_age,
    a_provider_that_is_left_alone_is_told_of_and_not_asked,
    redis_is_missed_on_its_own_route_only,
}

/// Every check says how it is, what was seen, how long that took and how old it is.
#[track_caller]
fn well_told(body: &Value) {
    let checks = body["checks"].as_object().expect("checks");
    assert!(!checks.is_empty(), "{body}");
    for (name, check) in checks {
        assert!(check["status"].is_string() && check["detail"].is_string(), "{name}: {check}");
        assert!(check["took_ms"].is_u64() && check["age_ms"].is_u64(), "{name}: {check}");
    }
}

async fn everything_is_told_with_its_state_its_time_and_its_age(engine: Engine) {
    let Some(server) = TestApp::start(engine, &[]).await else { return };
    let body = server.send("GET", "/health", None, None).await.expect(200);
    well_told(&body);
    assert_eq!((&body["status"], &body["version"]), (&json!("ok"), &json!(env!("CARGO_PKG_VERSION"))), "{body}");
    for name in [
        "server",
        "database",
        "queues",
        "jobs",
        "keys",
        "replies",
        "revocations",
        "overload",
        "redis",
        "tasks",
        "offline",
    ] {
        assert_eq!(body["checks"][name]["status"], "ok", "{name} in {body}");
    }
    assert!(body["memory_bytes"].as_u64().is_some_and(|bytes| bytes > 1_000_000), "{body}");
    assert!(body["uptime_seconds"].is_u64() && body["server_time"].is_string(), "{body}");
    // It names no place and no secret.
    let secret = server.app.config.database.url.expose().rsplit('/').next().unwrap_or_default().to_owned();
    assert!(!body.to_string().contains(&secret) && !body.to_string().contains("127.0.0.1"), "{body}");
    for path in ["/healthz", "/readyz", "/health/database", "/health/queue", "/health/redis", "/health/providers"] {
        well_told(&server.send("GET", path, None, None).await.expect(200));
    }
    // However many ask at once, they are given one answer.
    let answers = join_all((0..50).map(|_| server.send("GET", "/health", None, None))).await;
    let took = |answer: &crate::support::Answer| answer.json()["checks"]["database"]["took_ms"].clone();
    assert!(answers.iter().all(|answer| answer.status == 200 && took(answer) == took(&answers[0])));
}

async fn a_provider_that_is_left_alone_is_told_of_and_not_asked(engine: Engine) {
    let provider = FakeProvider::start().await;
    provider.usually(Behaviour::status(500, "api_error"));
    let url = json!(provider.anthropic_url()).to_string();
    let settings = [
        ("providers.order", r#"["anthropic"]"#),
        ("providers.anthropic.api_key", "\"a-key\""),
        ("providers.anthropic.base_url", url.as_str()),
        ("providers.max_retries", "0"),
        ("providers.breaker_failures", "2"),
        ("providers.breaker_open_ms", "60000"),
    ];
    let Some(server) = TestApp::start(engine, &settings).await else { return };
    let providers = async || server.send("GET", "/health/providers", None, None).await;
    let before = providers().await.expect(200);
    assert_eq!(before["checks"]["anthropic"]["detail"], "it was not asked yet");
    let ada = server.person("ada").await;
    for _ in 0..2 {
        let body = json!({"content": "Hello"});
        server.send("POST", "/v1/messages", Some(&ada.access_token), Some(body)).await.expect(201);
    }
    let asked = provider.counts().requests;
    for path in ["/health/providers", "/health/external-apis"] {
        let after = server.send("GET", path, None, None).await.expect(503);
        well_told(&after);
        assert_eq!((&after["status"], &after["checks"]["anthropic"]["status"]), (&json!("failing"), &json!("failing")));
        let detail = after["checks"]["anthropic"]["detail"].as_str().expect("words");
        assert!(detail.contains("left alone") && !detail.contains(&url), "{detail}");
    }
    let begun = Instant::now();
    // What was looked at before the failures is told for a second.
    while server.send("GET", "/health", None, None).await.status != 503 {
        assert!(begun.elapsed() < Duration::from_secs(30), "/health does not tell of it");
    }
    server.send("GET", "/readyz", None, None).await.expect(200);
    assert_eq!(provider.counts().requests, asked, "health asks nobody");
}

async fn redis_is_missed_on_its_own_route_only(engine: Engine) {
    let port = mainstay_testing::free_port().expect("a port");
    let url = json!(format!("redis://:a-password@127.0.0.1:{port}/")).to_string();
    let Some(server) = TestApp::start(engine, &[("redis.url", url.as_str())]).await else { return };
    let body = server.send("GET", "/health", None, None).await.expect(200);
    assert_eq!((&body["status"], &body["checks"]["redis"]["status"]), (&json!("degraded"), &json!("degraded")));
    assert!(!body.to_string().contains("a-password") && !body.to_string().contains(&port.to_string()), "{body}");
    assert_eq!(server.send("GET", "/health/redis", None, None).await.expect(503)["status"], "failing");
}
