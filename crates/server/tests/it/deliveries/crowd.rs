//! Fifty endpoints, more than half of them bad: the others do not notice.

use std::sync::Arc;
use std::time::Duration;

use mainstay_domain::{EventType, TenantId};
use mainstay_server::app::Outside;
use mainstay_store::{Call, NewEvent, PublishEvents};
use serde_json::json;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use super::addresses::Rebinding;
use super::{PATIENCE, SETTINGS, endpoint, get};
use crate::support::receiver::{Answering, Receiver};
use crate::support::{ALL_AT_ONCE, Engine, Person, TestApp, both};

both! {
    dead_and_slow_endpoints_delay_nobody,
}

const ENDPOINTS: usize = 50;
/// Of them: those that hang, answer 500, lead to loopback, send 100 MB; the rest is good.
const HANG: usize = 10;
const FAIL: usize = 10;
const REDIRECT: usize = 5;
const FLOOD: usize = 5;
const GOOD: usize = ENDPOINTS - HANG - FAIL - REDIRECT - FLOOD;
const FLOODING: usize = 100 * 1024 * 1024;
/// Events in a second, and for how long.
const EVENTS: usize = 500;
const SECONDS: usize = 10;
/// Events of one transaction.
const TOGETHER: usize = 10;

/// What this process has in memory, in MiB.
fn memory() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("a status");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a size");
    line.trim().trim_end_matches(" kB").parse::<usize>().expect("a number") / 1024
}

/// One receiver for each endpoint, the good ones last, and what is delivered to each: events of a type of its own.
async fn receivers(server: &TestApp, ada: &Person, canary: &Receiver) -> Vec<Receiver> {
    let mut receivers = Vec::new();
    for number in 0..ENDPOINTS {
        let receiver = Receiver::start().await;
        let inside = format!("http://{}/", canary.address);
        receiver.answer(match number {
            _ if number < HANG => Answering::Hang,
            _ if number < HANG + FAIL => Answering::status(500),
            _ if number < HANG + FAIL + REDIRECT => Answering::Status(302, vec![("location", inside)]),
            _ if number < ENDPOINTS - GOOD => Answering::Bytes(FLOODING),
            _ => Answering::status(200),
        });
        let body = json!({"url": receiver.url(), "event_types": [format!("to.{number}")]});
        endpoint(server, ada, body).await;
        receivers.push(receiver);
    }
    receivers
}

/// Publishes at an even pace, to each endpoint in turn.
async fn publish_all(server: &TestApp, tenant: TenantId) {
    let mut ticks = interval(Duration::from_secs(1) / u32::try_from(EVENTS / TOGETHER).expect("a number"));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    for first in (0..EVENTS * SECONDS).step_by(TOGETHER) {
        ticks.tick().await;
        let now = server.now();
        let event = |n: usize| NewEvent {
            id: server.app.ids.make(),
            kind: EventType::parse(&format!("to.{}", n % ENDPOINTS)).expect("a type"),
            payload: format!(r#"{{"n":{n},"at":{}}}"#, now.as_millis()),
        };
        let events = (first..first + TOGETHER).map(event).collect();
        let publish = PublishEvents { tenant, events, claim: None, now };
        server.app.store.run(&Call::within(PATIENCE), publish).await.expect("published");
    }
}

#[expect(clippy::print_stderr, reason = "the figures are worth more than whether they are good enough")]
async fn dead_and_slow_endpoints_delay_nobody(engine: Engine) {
    let settings: Vec<_> = SETTINGS
        .into_iter()
        .filter(|(key, _)| *key != "deliveries.retry_seconds" && *key != "jobs.poll_ms")
        .chain([ALL_AT_ONCE])
        .collect();
    let outside = Outside { lookup: Arc::new(Rebinding::default()), ..Outside::default() };
    let Some(server) = TestApp::start_with(engine, &settings, outside).await else { return };
    let (ada, canary) = (server.person("ada").await, Receiver::on("127.0.0.1:0").await);
    let receivers = receivers(&server, &ada, &canary).await;
    let tenant: TenantId = ada.organisation.parse().expect("an id");
    let (before, begun) = (memory(), Instant::now());
    publish_all(&server, tenant).await;
    let published = begun.elapsed();
    let good = &receivers[ENDPOINTS - GOOD..];
    let each = EVENTS * SECONDS / ENDPOINTS;
    for receiver in good {
        receiver.until(each).await;
    }
    let mut delays: Vec<u64> = good
        .iter()
        .flat_map(Receiver::arrivals)
        .map(|arrival| {
            let sent = arrival.json()["data"]["at"].as_i64().expect("a moment");
            u64::try_from(arrival.at.as_millis() - sent).unwrap_or(0)
        })
        .collect();
    delays.sort_unstable();
    let share = |percent: usize| delays[(delays.len() * percent / 100).min(delays.len() - 1)];
    let after = memory();
    eprintln!(
        "{engine:?}: {} deliveries to good endpoints; delay p50 {} ms, p95 {} ms, p99 {} ms, most {} ms; published in \
         {published:?}; memory {before} MiB before, {after} MiB after",
        delays.len(),
        share(50),
        share(95),
        share(99),
        share(100)
    );
    assert_eq!(delays.len(), each * GOOD, "each came once");
    assert!(share(99) < 1000, "p99 was {} ms", share(99));
    assert!(after < before + 200, "memory grew from {before} to {after} MiB");
    assert_eq!(canary.connections(), 0, "the canary was touched");
    // The bad ones were left alone soon.
    for receiver in &receivers[HANG..HANG + FAIL + REDIRECT] {
        let tried = receiver.arrivals().len();
        assert!((5..=30).contains(&tried), "one that fails was tried {tried} times");
    }
    for receiver in &receivers[..HANG] {
        assert!(receiver.arrivals().len() <= 8, "a lane has four places");
    }
    let list = get(&server, &ada, "/v1/webhook-deliveries?limit=1&type=to.10").await;
    assert_eq!(list["data"][0]["type"], "to.10");
    // Whoever hangs must not hold up the end of the test.
    server.app.lifecycle.stop_hard();
    sleep(Duration::from_millis(1)).await;
}
