//! Runs of every profile against a server that does what a test says.

#![expect(clippy::expect_used, reason = "a test fails where something is not as it must be")]

// The client's tests use more of it.
#[expect(dead_code, reason = "each test binary uses its own part of the fake")]
#[path = "../../../client/tests/it/support.rs"]
mod support;

use std::future::pending;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use mainstay_domain::{ManualClock, Secret, Timestamp};
use mainstay_load::{OperationFigures, Options, Profile, Progress, Report, Thresholds, run};
use serde_json::{Value, json};
use support::{Fake, Reply, Request, entropy, frame, web_socket};
use tokio::io::AsyncWriteExt as _;

const ID: &str = "00000000-0000-0000-0000-000000000001";

fn options(fake: &Fake, profile: Profile, users: usize) -> Options {
    Options {
        url: fake.address.clone(),
        profile,
        tokens: (0..users).map(|number| (Secret::new(format!("token-{number}")), None)).collect(),
        per_minute: 120.0,
        ramp_up: Duration::from_millis(500),
        steady: Duration::from_secs(3),
        ramp_down: Duration::from_millis(500),
        server_pid: None,
        own_server: false,
        thresholds: Thresholds { errors: Some(0), p99: Some(Duration::from_secs(20)), ..Thresholds::default() },
    }
}

async fn report(options: &Options) -> Report {
    let clock = ManualClock::new(Timestamp::EPOCH);
    run(options, &clock, entropy(), pending(), |_: &Progress| {}).await.expect("it runs")
}

fn figures<'a>(report: &'a Report, name: &str) -> &'a OperationFigures {
    report.operations.iter().find(|figures| figures.name == name).expect("it happened")
}

fn message() -> Value {
    json!({"id": ID, "role": "user", "content": "x", "status": "final", "error": null,
        "created_at": "2026-11-21T10:00:00.000Z"})
}

/// A server where all goes well.
fn good(request: &Request) -> Reply {
    let path = request.path.split('?').next().unwrap_or_default();
    match path {
        "/v1/messages" => Reply::Json(
            201,
            json!({"conversation_id": ID, "generation_id": ID, "message": message(),
            "reply": message()}),
        ),
        "/v1/sync" => Reply::Json(
            200,
            json!({"changes": [], "cursor": "1.1-1.0", "complete": true, "epoch": "1",
            "checksum": {"count": 0, "sum": 0}, "next_sync_after_ms": 500}),
        ),
        "/v1/live" => web_socket(request, b"", |mut stream| async move {
            let ready = frame(r#"{"type":"ready","cursor":"1.1-1.0","epoch":"1","safety_sync_after_ms":400}"#);
            stream.write_all(&ready).await.expect("sent");
            // Something changes all the time.
            for seq in 2..1_000 {
                let change =
                    format!(r#"{{"type":"change","stream":"membership","kind":"message","id":"{ID}","seq":{seq}}}"#);
                if stream.write_all(&frame(&change)).await.is_err() {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }),
        _ => Reply::Json(200, json!({"data": [], "next": null})),
    }
}

#[tokio::test]
async fn a_mixed_run_does_everything_and_counts_it() {
    let fake = Fake::start(|request, _| good(request)).await;
    let report = report(&options(&fake, Profile::Mixed, 20)).await;
    assert!(report.passed(), "{report}");
    assert_eq!(report.most_sockets, 20);
    for name in ["message", "conversations", "sync", "connect", "delivery"] {
        assert!(figures(&report, name).count > 0, "{name}: {report}");
    }
    // 20 users who mean to do 2 things a second, for 3 seconds: 120, give or take chance.
    let done: u64 = ["message", "messages", "conversations"].iter().map(|name| figures(&report, name).count).sum();
    assert!((60..=200).contains(&done), "{done}");
    assert!(figures(&report, "sync").count >= 40, "each user syncs about twice a second");
    let own = report.server.expect("the server is this process");
    assert_eq!(own.pid, std::process::id());
}

#[tokio::test]
async fn a_storm_ends_when_all_are_back() {
    let refused = AtomicUsize::new(0);
    let fake = Fake::start(move |request, number| {
        // After the storm the first few are told to come later.
        if request.path == "/v1/live" && number >= 30 && refused.fetch_add(1, Ordering::SeqCst) < 5 {
            return Reply::After(503, 0, json!({"code": "overloaded"}));
        }
        good(request)
    })
    .await;
    let options = Options { steady: Duration::from_secs(8), ..options(&fake, Profile::Storm, 30) };
    let thresholds = Thresholds { errors: Some(0), back: Some(Duration::from_secs(8)), ..Thresholds::default() };
    let report = report(&Options { thresholds, ..options }).await;
    let storm = report.storm.expect("a storm");
    assert_eq!((storm.cut, storm.back), (30, 30), "{report}");
    assert_eq!(report.postponed.get("overloaded"), Some(&5), "{report}");
    assert!(report.passed(), "{report}");
}

#[tokio::test]
async fn a_server_that_stands_still_is_seen_by_all_who_wanted_something() {
    // Every answer takes a quarter of a second longer than the users' pace allows: they fall behind more and more.
    let fake = Fake::start(|_, _| {
        std::thread::sleep(Duration::from_millis(100));
        Reply::Json(200, json!({"data": [], "next": null}))
    })
    .await;
    let slow = Options { per_minute: 1_200.0, ..options(&fake, Profile::Chat, 4) };
    let report = report(&slow).await;
    let lists = figures(&report, "conversations");
    assert!(lists.max_ms > 1_000.0, "the wait for the turn counts: {report}");
    assert!(report.errors.iter().any(|error| error.kind == "not_begun"), "{report}");
    assert!(!report.passed());
}

#[tokio::test]
async fn what_is_refused_is_counted_by_its_code() {
    let fake = Fake::start(|_, _| Reply::After(429, 60, json!({"code": "too_many_requests"}))).await;
    let report = report(&options(&fake, Profile::Sync, 3)).await;
    assert_eq!((report.errors.len(), report.errors[0].kind.as_str()), (1, "too_many_requests"), "{report}");
    assert_eq!(report.errors[0].count, 3, "nobody comes back before the minute is over, and nothing is repeated");
}
