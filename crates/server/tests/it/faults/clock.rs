//! The clock of the machine jumps by an hour, forward and back.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use mainstay_domain::{Clock, EmailAddress, Timestamp};
use mainstay_server::app::Outside;
use mainstay_server::outside::SystemClock;
use mainstay_store::Call;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::support::{Engine, Person, TestApp, both};

both! { an_hour_forward_and_two_back_do_no_harm }

const HOUR_MS: i64 = 3_600_000;
/// Generous: the machine may be busy with other tests.
const PATIENCE: Duration = Duration::from_secs(60);

/// The clock of the machine, set wrong by so many milliseconds.
#[derive(Default)]
pub(crate) struct Jumping(AtomicI64);

impl Jumping {
    /// Sets it forward.
    pub(crate) fn forward(&self, by: Duration) {
        self.0.fetch_add(i64::try_from(by.as_millis()).expect("it fits"), Ordering::SeqCst);
    }
}

impl Clock for Jumping {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(SystemClock.now().as_millis() + self.0.load(Ordering::SeqCst))
    }
}

async fn until_ready(server: &TestApp) {
    let begun = Instant::now();
    loop {
        let ready = server.send("GET", "/readyz", None, None).await;
        if ready.status == 200 {
            return;
        }
        assert!(begun.elapsed() < PATIENCE, "it does not become ready: {}", ready.text);
        sleep(Duration::from_millis(50)).await;
    }
}

/// A token that is good now, as a client gets one when the old one is refused.
async fn refreshed(server: &TestApp, refresh_token: &mut String) -> String {
    let body = json!({"refresh_token": refresh_token});
    let pair = server.send("POST", "/v1/auth/refresh", None, Some(body)).await.expect(200);
    *refresh_token = pair["refresh_token"].as_str().expect("a token").to_owned();
    pair["access_token"].as_str().expect("a token").to_owned()
}

/// Everything works: messages, jobs (each once), figures (none below zero).
async fn works(server: &TestApp, token: &str, key: &str) {
    until_ready(server).await;
    let begun = Instant::now();
    // A node that just lost its lease by the jump says so until it has another one.
    loop {
        let sent = server.send("POST", "/v1/messages", Some(token), Some(json!({"content": key}))).await;
        if sent.status == 201 {
            assert_eq!(sent.json()["reply"]["status"], "final", "{}", sent.text);
            break;
        }
        assert!(sent.status == 503 && begun.elapsed() < PATIENCE, "{}", sent.text);
        sleep(Duration::from_millis(50)).await;
    }
    let probes = json!({"key": key, "count": 20});
    let promised = server.send("POST", "/v1/jobs/probes", Some(token), Some(probes)).await.expect(202);
    once(server, token, promised["prefix"].as_str().expect("a beginning"), 20).await;
    let figures = server.send("GET", "/metrics", None, None).await.text;
    for line in figures.lines().filter(|line| !line.starts_with('#')) {
        let value: f64 = line.rsplit_once(' ').and_then(|(_, value)| value.parse().ok()).unwrap_or(0.0);
        assert!(value >= 0.0, "{line}");
    }
}

/// Waits until so many probes have taken effect, each of them once.
async fn once(server: &TestApp, token: &str, prefix: &str, count: usize) {
    let begun = Instant::now();
    loop {
        let path = format!("/v1/jobs/probes?prefix={prefix}");
        let found = server.send("GET", &path, Some(token), None).await.expect(200);
        let rows = found["data"].as_array().expect("rows").clone();
        assert!(rows.iter().all(|probe| probe["effects"] == 1), "{found}");
        if rows.len() == count {
            return;
        }
        assert!(begun.elapsed() < PATIENCE, "{} of {count} are done", rows.len());
        sleep(Duration::from_millis(50)).await;
    }
}

async fn an_hour_forward_and_two_back_do_no_harm(engine: Engine) {
    let clock = Arc::new(Jumping(AtomicI64::new(0)));
    let outside = Outside { clock: Arc::clone(&clock) as Arc<dyn Clock>, ..Outside::default() };
    let Some(server) = TestApp::start_with(engine, &[("jobs.poll_ms", "200")], outside).await else { return };
    let Person { email, access_token, mut refresh_token, .. } = server.person("ada").await;
    let email = EmailAddress::parse(&email).expect("an address");
    server.app.accounts.set_operator(&Call::within(PATIENCE), &email, true).await.expect("marked");
    works(&server, &access_token, "before").await;
    // It fails once, and is due again some seconds later by the clock of then.
    let later = json!({"key": "across", "count": 5, "failures": 1});
    let across = server.send("POST", "/v1/jobs/probes", Some(&access_token), Some(later)).await.expect(202);
    let set = json!({"value": "120", "seconds": 1800, "reason": "a jump"});
    server.send("PUT", "/v1/controls/sync.interval", Some(&access_token), Some(set)).await.expect(200);

    // Forward: what ends within the hour has ended, a sign-in does not.
    clock.0.store(HOUR_MS, Ordering::SeqCst);
    server.send("GET", "/v1/me", Some(&access_token), None).await.refused(401, "unauthenticated");
    let token = refreshed(&server, &mut refresh_token).await;
    assert!(server.app.controls.in_force().is_empty(), "it was set for half an hour");
    works(&server, &token, "forward").await;
    once(&server, &token, across["prefix"].as_str().expect("a beginning"), 5).await;

    // Back, to an hour before the beginning: nothing that has happened happens again.
    clock.0.store(-HOUR_MS, Ordering::SeqCst);
    let token = refreshed(&server, &mut refresh_token).await;
    works(&server, &token, "back").await;
    once(&server, &token, across["prefix"].as_str().expect("a beginning"), 5).await;
    let conversations = server.send("GET", "/v1/conversations", Some(&token), None).await.expect(200);
    assert_eq!(conversations["data"].as_array().map(Vec::len), Some(3));
    let trail = server.send("GET", "/v1/controls/changes", Some(&token), None).await.expect(200);
    assert_ne!(trail["data"], Value::Array(Vec::new()));

    // And right again.
    clock.0.store(0, Ordering::SeqCst);
    let token = refreshed(&server, &mut refresh_token).await;
    works(&server, &token, "right").await;
}
