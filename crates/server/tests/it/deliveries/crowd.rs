//! Fifty endpoints, more than half of them bad: the others do not notice.

use std::ops::Range;
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

/// How many endpoints there are of each sort.
struct Crowd {
    hang: usize,
    fail: usize,
    redirect: usize,
    flood: usize,
    good: usize,
}

/// Those that the promise is about: the bad ones hang, answer 500, lead to loopback, send 100 MB.
const CROWD: Crowd = Crowd { hang: 10, fail: 10, redirect: 5, flood: 5, good: 20 };
/// A fifth is bad.
const MEASURED: Crowd = Crowd { hang: 4, fail: 3, redirect: 1, flood: 2, good: 40 };
const ENDPOINTS: usize = 50;
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
async fn receivers(server: &TestApp, ada: &Person, canary: &Receiver, crowd: &Crowd) -> Vec<Receiver> {
    let mut receivers = Vec::new();
    for number in 0..ENDPOINTS {
        let receiver = Receiver::start().await;
        let inside = format!("http://{}/", canary.address);
        receiver.answer(match number {
            _ if number < crowd.hang => Answering::Hang,
            _ if number < crowd.hang + crowd.fail => Answering::status(500),
            _ if number < crowd.hang + crowd.fail + crowd.redirect => {
                Answering::Status(302, vec![("location", inside)])
            }
            _ if number < crowd.hang + crowd.fail + crowd.redirect + crowd.flood => Answering::Bytes(FLOODING),
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
        publish_some(server, tenant, first..first + TOGETHER).await;
    }
}

/// Publishes events, to each endpoint in turn.
async fn publish_some(server: &TestApp, tenant: TenantId, numbers: Range<usize>) {
    let now = server.now();
    let event = |n: usize| NewEvent {
        id: server.app.ids.make(),
        kind: EventType::parse(&format!("to.{}", n % ENDPOINTS)).expect("a type"),
        payload: format!(r#"{{"n":{n},"at":{}}}"#, now.as_millis()),
    };
    let publish = PublishEvents { tenant, events: numbers.map(event).collect(), claim: None, now };
    server.app.store.run(&Call::within(PATIENCE), publish).await.expect("published");
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
    let receivers = receivers(&server, &ada, &canary, &CROWD).await;
    let tenant: TenantId = ada.organisation.parse().expect("an id");
    let (before, begun) = (memory(), Instant::now());
    publish_all(&server, tenant).await;
    let published = begun.elapsed();
    let good = &receivers[ENDPOINTS - CROWD.good..];
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
    assert_eq!(delays.len(), each * CROWD.good, "each came once");
    assert!(share(99) < 1000, "p99 was {} ms", share(99));
    assert!(after < before + 200, "memory grew from {before} to {after} MiB");
    assert_eq!(canary.connections(), 0, "the canary was touched");
    // The bad ones were left alone soon.
    for receiver in &receivers[CROWD.hang..CROWD.hang + CROWD.fail + CROWD.redirect] {
        let tried = receiver.arrivals().len();
        assert!((5..=30).contains(&tried), "one that fails was tried {tried} times");
    }
    for receiver in &receivers[..CROWD.hang] {
        assert!(receiver.arrivals().len() <= 8, "a lane has four places");
    }
    let list = get(&server, &ada, "/v1/webhook-deliveries?limit=1&type=to.10").await;
    assert_eq!(list["data"][0]["type"], "to.10");
    // Whoever hangs must not hold up the end of the test.
    server.app.lifecycle.stop_hard();
    sleep(Duration::from_millis(1)).await;
}

mod measured {
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    #[ignore = "it measures; run it alone and with --release"]
    async fn on_sqlite() {
        deliveries_a_second(Engine::Sqlite).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    #[ignore = "it measures; run it alone and with --release"]
    async fn on_postgres() {
        deliveries_a_second(Engine::Postgres).await;
    }
}

/// How many are delivered in a second when all wait at once and a fifth of the endpoints is bad.
#[expect(clippy::print_stderr, reason = "it is what is measured")]
async fn deliveries_a_second(engine: Engine) {
    let settings: Vec<_> = SETTINGS.into_iter().filter(|(key, _)| *key != "deliveries.retry_seconds").collect();
    let outside = Outside { lookup: Arc::new(Rebinding::default()), ..Outside::default() };
    let Some(server) = TestApp::start_with(engine, &settings, outside).await else { return };
    let (ada, canary) = (server.person("ada").await, Receiver::on("127.0.0.1:0").await);
    let receivers = receivers(&server, &ada, &canary, &MEASURED).await;
    let tenant: TenantId = ada.organisation.parse().expect("an id");
    let (each, begun) = (400, Instant::now());
    for first in (0..each * ENDPOINTS).step_by(100) {
        publish_some(&server, tenant, first..first + 100).await;
    }
    let published = begun.elapsed();
    for receiver in &receivers[ENDPOINTS - MEASURED.good..] {
        receiver.until(each).await;
    }
    let took = begun.elapsed();
    let (all, good) = (each * ENDPOINTS, each * MEASURED.good);
    let rate = good as f64 / took.as_secs_f64();
    eprintln!("{engine:?}: {all} published in {published:?}, {good} delivered in {took:?}: {rate:.0} a second");
    assert_eq!(canary.connections(), 0, "the canary was touched");
    server.app.lifecycle.stop_hard();
}
