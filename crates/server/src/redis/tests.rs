//! The link and the bus on a real server that is killed, paused and restarted.

use std::sync::Arc;
use std::time::Duration;

use mainstay_testing::RedisServer;
use tokio::time::{Instant, timeout};

use super::*;
use crate::config::Config;
use crate::outside::SystemEntropy;

const PATIENCE: Duration = Duration::from_secs(30);

fn open(server: &RedisServer, lifecycle: &Lifecycle) -> Redis {
    open_with(server, lifecycle, "50")
}

fn open_with(server: &RedisServer, lifecycle: &Lifecycle, timeout_ms: &str) -> Redis {
    let url = format!("\"{}\"", server.url());
    let settings = [("redis.url", url.as_str()), ("redis.command_timeout_ms", timeout_ms)];
    let config = Config::from_overrides(&settings).expect("a configuration");
    let entropy: Arc<dyn Entropy> = Arc::new(SystemEntropy);
    Redis::open(&config.redis, &entropy, lifecycle).expect("an address").expect("a link")
}

async fn set(link: &Link) -> Result<(), Away> {
    link.call(|mut connection| async move { redis::cmd("SET").arg("a").arg("1").query_async(&mut connection).await })
        .await
}

async fn next(subscription: &mut Subscription) -> Event {
    timeout(PATIENCE, subscription.next()).await.expect("in time").expect("an event")
}

/// Waits until calls are answered again.
async fn answered(link: &Link) {
    timeout(PATIENCE, async {
        loop {
            link.up().await;
            if set(link).await.is_ok() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await
    .expect("it comes back");
}

#[tokio::test]
async fn without_an_address_nothing_is_opened() {
    let config = Config::from_overrides(&[]).expect("a configuration");
    let entropy: Arc<dyn Entropy> = Arc::new(SystemEntropy);
    assert!(Redis::open(&config.redis, &entropy, &Lifecycle::new()).expect("fine").is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_killed_costs_nobody_time_and_is_found_again() {
    let Some(mut server) = RedisServer::start(&[]) else { return };
    let lifecycle = Lifecycle::new();
    let Redis { link, bus } = open(&server, &lifecycle);
    let mut subscription = bus.subscribe("channel");
    answered(&link).await;
    assert_eq!(next(&mut subscription).await, Event::Connected);
    server.kill_9().expect("it dies");
    assert_eq!(next(&mut subscription).await, Event::Lost);
    // The first may still meet the broken connection; then calls fail at once.
    let _ = set(&link).await;
    let begun = Instant::now();
    for _ in 0..1_000 {
        assert!(set(&link).await.is_err());
    }
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?} for a thousand calls", begun.elapsed());
    assert_eq!(link.state(), State::Down);
    server.restart().expect("it starts");
    answered(&link).await;
    assert_eq!((link.state(), next(&mut subscription).await), (State::Up, Event::Connected));
    lifecycle.stop_hard();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_hangs_costs_a_timeout_or_three_and_then_nothing() {
    let Some(server) = RedisServer::start(&[]) else { return };
    let lifecycle = Lifecycle::new();
    let Redis { link, bus } = open(&server, &lifecycle);
    let mut subscription = bus.subscribe("channel");
    answered(&link).await;
    assert_eq!(next(&mut subscription).await, Event::Connected);
    server.pause();
    let begun = Instant::now();
    for _ in 0..3 {
        assert!(set(&link).await.is_err());
    }
    assert!(begun.elapsed() >= link.patience(), "the first waited for its answer");
    let begun = Instant::now();
    for _ in 0..1_000 {
        assert!(matches!(set(&link).await, Err(Away::Down)));
    }
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    // Nothing closes, and yet the silence is noticed.
    assert_eq!(next(&mut subscription).await, Event::Lost);
    server.resume();
    answered(&link).await;
    assert_eq!(next(&mut subscription).await, Event::Connected);
    lifecycle.stop_hard();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn errors_that_are_about_the_server_open_the_breaker() {
    let Some(server) = RedisServer::start(&[]) else { return };
    let lifecycle = Lifecycle::new();
    let Redis { link, .. } = open(&server, &lifecycle);
    answered(&link).await;
    server.configure("maxmemory", "1").expect("configured");
    timeout(PATIENCE, async { while !matches!(set(&link).await, Err(Away::Down)) {} })
        .await
        .expect("the breaker opens");
    server.configure("maxmemory", "0").expect("configured");
    answered(&link).await;
    server.command(&["REPLICAOF", "127.0.0.1", "1"]).expect("a replica of nothing");
    timeout(PATIENCE, async { while !matches!(set(&link).await, Err(Away::Down)) {} })
        .await
        .expect("the breaker opens on READONLY");
    server.command(&["REPLICAOF", "NO", "ONE"]).expect("its own again");
    answered(&link).await;
    lifecycle.stop_hard();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_arrive_in_order_and_a_slow_reader_is_told() {
    let Some(server) = RedisServer::start(&[]) else { return };
    let lifecycle = Lifecycle::new();
    // A machine that is busy with other tests must not look like a server that hangs.
    let (one, other) = (open_with(&server, &lifecycle, "5000"), open_with(&server, &lifecycle, "5000"));
    let (mut first, mut second) = (one.bus.subscribe("channel"), other.bus.subscribe("channel"));
    assert_eq!((next(&mut first).await, next(&mut second).await), (Event::Connected, Event::Connected));
    answered(&one.link).await;
    // A channel that is asked for while the connection stands, and one that a second reader joins.
    let (mut late, mut joined) = (other.bus.subscribe("late"), other.bus.subscribe("channel"));
    assert_eq!((next(&mut late).await, next(&mut joined).await), (Event::Connected, Event::Connected));
    let (channel, other_channel): (Arc<str>, Arc<str>) = ("channel".into(), "late".into());
    for number in 0..1_000_u32 {
        one.bus.publish(&channel, bytes::Bytes::copy_from_slice(&number.to_be_bytes()));
    }
    one.bus.publish(&other_channel, bytes::Bytes::from_static(b"hello"));
    for number in 0..1_000_u32 {
        let expected = Event::Message(bytes::Bytes::copy_from_slice(&number.to_be_bytes()));
        assert_eq!((next(&mut first).await, next(&mut second).await), (expected.clone(), expected.clone()));
        assert_eq!(next(&mut joined).await, expected);
    }
    assert_eq!(next(&mut late).await, Event::Message(bytes::Bytes::from_static(b"hello")));
    assert_eq!(one.bus.dropped(), 0);
    // Many more than a reader may be behind: it is told that some are lost, and goes on.
    for _ in 0..20 {
        for _ in 0..1_000 {
            one.bus.publish(&channel, bytes::Bytes::from_static(b"more"));
        }
        // Room to publish the next thousand: they have come back.
        for _ in 0..1_000 {
            assert!(matches!(next(&mut first).await, Event::Message(_)));
        }
    }
    one.bus.publish(&other_channel, bytes::Bytes::from_static(b"end"));
    assert_eq!(next(&mut late).await, Event::Message(bytes::Bytes::from_static(b"end")));
    assert_eq!((next(&mut second).await, next(&mut second).await), (Event::Lost, Event::Connected));
    assert!(matches!(next(&mut second).await, Event::Message(_)));
    lifecycle.stop_hard();
}
