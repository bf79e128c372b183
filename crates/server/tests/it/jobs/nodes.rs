//! Two nodes: what one promises, the other begins at once.

use std::time::Duration;

use mainstay_testing::RedisServer;
use serde_json::json;
use tokio::time::Instant;

use super::{PATIENCE, mark, probes, rows, until};
use crate::support::{Engine, TestApp};

/// One node promises and leaves the work to another, which would look by itself once a minute only.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_node_promises_another_begins_at_once() {
    let Some(redis) = RedisServer::start(&[]) else { return };
    let url = json!(redis.url()).to_string();
    let settings = [("redis.url", url.as_str()), ("redis.command_timeout_ms", "5000"), ("jobs.poll_ms", "60000")];
    let off = [&settings[..], &[("jobs.enabled", "false")]].concat();
    let Some(promises) = TestApp::start(Engine::Postgres, &off).await else { return };
    let works = promises.another_node(&settings).await;
    let ada = promises.person("ada").await;
    mark(&promises, &ada, true).await;
    let mut channel = works.app.redis.as_ref().expect("a link").bus.subscribe("mainstay:jobs");
    let connected = tokio::time::timeout(PATIENCE, channel.next()).await.expect("in time");
    assert_eq!(connected, Some(mainstay_server::redis::Event::Connected));
    let mut slowest = Duration::ZERO;
    for _ in 0..5 {
        let begun = Instant::now();
        let prefix = probes(&promises, &ada, json!({"count": 20})).await;
        let path = format!("/v1/jobs/probes?prefix={prefix}");
        until(&promises, &ada, &path, |found| rows(found).len() == 20).await;
        slowest = slowest.max(begun.elapsed());
    }
    assert!(slowest < Duration::from_secs(20), "far below the poll, however busy the machine is: {slowest:?}");
    // What is let go on is told, too.
    let pause = |verb: &str| format!("/v1/queues/probes/{verb}");
    super::post(&promises, &ada, &pause("pause"), None).await.expect(204);
    let prefix = probes(&promises, &ada, json!({"count": 1})).await;
    let begun = Instant::now();
    super::post(&promises, &ada, &pause("resume"), None).await.expect(204);
    until(&promises, &ada, &format!("/v1/jobs/probes?prefix={prefix}"), |found| rows(found).len() == 1).await;
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
}

/// Without Redis the poll finds it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_redis_the_poll_finds_what_another_node_promised() {
    let off = [("jobs.enabled", "false"), ("jobs.poll_ms", "200")];
    let Some(promises) = TestApp::start(Engine::Postgres, &off).await else { return };
    let _works = promises.another_node(&[("jobs.poll_ms", "200")]).await;
    let ada = promises.person("ada").await;
    mark(&promises, &ada, true).await;
    let prefix = probes(&promises, &ada, json!({"count": 5})).await;
    until(&promises, &ada, &format!("/v1/jobs/probes?prefix={prefix}"), |found| rows(found).len() == 5).await;
}
