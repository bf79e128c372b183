//! What browsers tell, and errors that are told to a server of error reports.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::support::binary::Installation;
use crate::support::receiver::{Answering, Arrival, Receiver};
use crate::support::{Engine, TestApp, both};

both! {
    what_browsers_tell_becomes_figures_and_the_last_errors_are_kept,
}

async fn what_browsers_tell_becomes_figures_and_the_last_errors_are_kept(engine: Engine) {
    let Some(server) = TestApp::start(engine, &[]).await else { return };
    let (ada, bob) = (server.person("ada").await, server.person("bob").await);
    let email = mainstay_domain::EmailAddress::parse(&ada.email).expect("an address");
    let call = mainstay_store::Call::within(Duration::from_secs(20));
    server.app.accounts.set_operator(&call, &email, true).await.expect("marked");
    let send = async |body: Value| server.send("POST", "/v1/client-reports", Some(&bob.access_token), Some(body)).await;
    let told = send(json!({"page": "/", "version": "abc", "reports": [
        {"kind": "vital", "name": "lcp", "value": 1234.5},
        {"kind": "vital", "name": "cls", "value": 0.02},
        {"kind": "vital", "name": "inp", "value": -1.0},
        {"kind": "memory", "bytes": 50_000_000},
        {"kind": "error", "message": "x is not a function of bob@example.com", "detail": "at a.js:1\u{7}"},
    ]}));
    assert_eq!(told.await.expect(202), json!({"counted": 4, "kept": 1}));
    let listed = server.send("GET", "/v1/client-reports", Some(&ada.access_token), None).await.expect(200);
    let [report] = listed["data"].as_array().expect("a list").as_slice() else { panic!("{listed}") };
    assert_eq!((&report["page"], &report["version"]), (&json!("/"), &json!("abc")));
    assert_eq!(
        (&report["message"], &report["detail"]),
        (&json!("x is not a function of [email]"), &json!("at a.js:1"))
    );
    assert_eq!((&report["organisation_id"], &report["person_id"]), (&json!(bob.organisation), &json!(bob.id)));
    // Who sends a flood is counted, and thirty of a minute are kept.
    let flood = json!({"page": "/nowhere/at/all", "reports": vec![json!({"kind": "error", "message": "again"}); 20]});
    let mut kept = 0;
    for _ in 0..3 {
        kept += send(flood.clone()).await.expect(202)["kept"].as_u64().expect("a number");
    }
    assert_eq!(kept, 29);
    let figures = server.send("GET", "/metrics", None, None).await.text;
    for line in [
        "mainstay_client_errors_total{page=\"/\"} 1",
        "mainstay_client_errors_total{page=\"other\"} 60",
        "mainstay_client_vital_seconds_count{name=\"lcp\"} 1",
        "mainstay_client_layout_shift_count 1",
        "mainstay_client_memory_bytes_count 1",
        "mainstay_client_reports_dropped_total{why=\"no_number\"} 1",
        "mainstay_client_reports_dropped_total{why=\"too_many\"} 31",
    ] {
        assert!(figures.lines().any(|found| found == line), "{line} is missing");
    }
    // What is bounded is bounded.
    let many = json!({"page": "/", "reports": vec![json!({"kind": "memory", "bytes": 1}); 21]});
    send(many).await.refused(400, "invalid_input");
    send(json!({"page": "/", "reports": []})).await.refused(400, "invalid_input");
    let long = json!({"page": "/", "reports": [{"kind": "error", "message": "x".repeat(70_000)}]});
    send(long).await.refused(413, "too_large");
    let unknown = json!({"page": "/", "reports": [{"kind": "vital", "name": "fps", "value": 60.0}]});
    send(unknown).await.refused(400, "invalid_input");
    server.send("GET", "/v1/client-reports", Some(&bob.access_token), None).await.refused(403, "forbidden");
}

/// The event in an envelope.
fn event(arrival: &Arrival) -> Value {
    let text = String::from_utf8(arrival.body.clone()).expect("text");
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!((lines.len(), &lines[1]["type"]), (3, &json!("event")), "{text}");
    assert_eq!(lines[1]["length"].as_u64(), text.lines().nth(2).map(|line| line.len() as u64));
    lines[2].clone()
}

/// The provider of billing refuses, which is an error of the log.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_error_is_told_with_its_release_its_request_and_the_lines_before_it() {
    let (sentry, provider) = (Receiver::start().await, Receiver::start().await);
    provider.answer(Answering::status(400));
    let dsn = format!("http://abcdef0123456789@{}/7", sentry.address);
    let installation = Installation::new()
        .with("MAINSTAY_ERRORS__DSN", &dsn)
        .with("MAINSTAY_ERRORS__ENVIRONMENT", "staging")
        .with("MAINSTAY_LOG__FORMAT", "json")
        .with("MAINSTAY_BILLING__FASTSPRING__STOREFRONT", "acme.onfastspring.com")
        .with("MAINSTAY_BILLING__FASTSPRING__PRODUCTS", "core-monthly = core")
        .with("MAINSTAY_BILLING__FASTSPRING__API_USERNAME", "acme")
        .with("MAINSTAY_BILLING__FASTSPRING__API_PASSWORD", "a-password-for-tests")
        .with("MAINSTAY_BILLING__FASTSPRING__API_URL", &format!("http://{}", provider.address));
    let server = installation.serve().await;
    let sign_up = json!({"email": "ada@example.com", "password": "password of ada", "name": "Ada"});
    let ada = server.send("POST", "/v1/auth/sign-up", "", Some(sign_up)).await.expect("an answer").expect(201);
    let token = ada["access_token"].as_str().expect("a token");
    let buy = async || {
        let answer = server.send("POST", "/v1/checkout-sessions", token, Some(json!({"plan": "core"}))).await;
        let answer = answer.expect("an answer");
        assert_eq!(answer.status, 502, "{}", answer.text);
        answer.headers["x-request-id"].to_str().expect("text").to_owned()
    };
    let request = buy().await;
    let arrivals = sentry.until(1).await;
    let auth = arrivals[0].header("x-sentry-auth");
    assert!(auth.contains("sentry_version=7") && auth.contains("sentry_key=abcdef0123456789"), "{auth}");
    assert_eq!(arrivals[0].header("content-type"), "application/x-sentry-envelope");
    let told = event(&arrivals[0]);
    assert_eq!(told["release"], concat!("mainstay@", env!("CARGO_PKG_VERSION")));
    assert_eq!((&told["environment"], &told["level"]), (&json!("staging"), &json!("error")));
    assert_eq!(told["tags"]["request_id"], request.as_str(), "{told}");
    assert_eq!((&told["tags"]["tenant_id"], &told["user"]["id"]), (&ada["organisation"]["id"], &ada["user"]["id"]));
    assert_eq!(told["exception"]["values"][0]["type"], "billing_provider_refused", "{told}");
    assert!(told["breadcrumbs"]["values"].is_array() && !told.to_string().contains("a-password-for-tests"));
    // A server that asks for rest is given it: the next error is counted and not sent.
    sentry.script([Answering::Status(429, vec![("retry-after", "3600".to_owned())])]);
    buy().await;
    sentry.until(2).await;
    let (mut dropped, begun) = (String::new(), Instant::now());
    // The answer of the server of reports comes after its request.
    while dropped.is_empty() {
        assert!(begun.elapsed() < Duration::from_secs(60), "it is not counted");
        buy().await;
        let text = server.send("GET", "/metrics", "", None).await.expect("an answer").text;
        let line =
            text.lines().find(|line| line.starts_with("mainstay_error_reports_dropped_total{why=\"asked_for_rest\"}"));
        dropped = line.unwrap_or_default().to_owned();
    }
    assert!(sentry.arrivals().len() <= 3, "{}", sentry.arrivals().len());
    assert_eq!(server.stop().await, Some(0));
    let lines = server.process.lines().join("\n");
    assert!(!lines.contains("abcdef0123456789"), "the key of the server of reports is in the log");
}
