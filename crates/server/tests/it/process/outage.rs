//! PostgreSQL restarted while the server runs.

use std::time::Duration;

use futures_util::future::join_all;
use mainstay_testing::postgres::{Cluster, Options, StopMode};
use serde_json::json;
use tokio::task::block_in_place;
use tokio::time::{Instant, sleep};

use crate::support::binary::{Installation, Instance};

/// One request of each sort: their statuses, and what is wrong with them.
async fn requests(server: &Instance, token: &str) -> Vec<u16> {
    let asks = [
        ("GET", "/v1/me", None),
        ("GET", "/v1/conversations", None),
        ("POST", "/v1/conversations", Some(json!({"title": "During the outage"}))),
        ("POST", "/v1/messages", Some(json!({"content": "Hello"}))),
        ("POST", "/v1/auth/sign-in", Some(json!({"email": "writer0@example.com", "password": "password of writer 0"}))),
    ];
    let answers = join_all(asks.into_iter().map(async |(method, path, body)| {
        let token = if path.starts_with("/v1/auth") { "" } else { token };
        let answer = server.send(method, path, token, body).await.expect("each request is answered");
        match answer.status {
            200 | 201 => {}
            503 => {
                assert!(answer.headers.contains_key("retry-after"), "{method} {path}: {}", answer.text);
                assert_eq!(answer.headers["content-type"], "application/problem+json");
            }
            // The commit was under way when the connection broke.
            504 if method == "POST" => assert_eq!(answer.json()["code"], "outcome_unknown", "{}", answer.text),
            status => panic!("{method} {path} was answered {status}: {}", answer.text),
        }
        answer.status
    }));
    answers.await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_of_postgres_is_answered_503_and_passes() {
    let Some(mut cluster) = Cluster::start(Options { fsync: false, ..Options::default() }) else { return };
    let database = cluster.database().expect("a database");
    let installation = Installation::new().on(&database.url);
    installation.run(&["migrate", "up"]).await.says(0, &["applied 0001"]);
    let token = installation.people(1).await.remove(0);
    let server = installation.serve().await;
    assert_eq!(requests(&server, &token).await, [200, 200, 201, 201, 200]);
    for mode in [StopMode::Fast, StopMode::Immediate] {
        block_in_place(|| cluster.stop(mode)).expect("PostgreSQL stops");
        let down = requests(&server, &token).await;
        assert!(down[1..].iter().all(|status| *status == 503), "{down:?}");
        server.get("/healthz", "").await;
        let begun = Instant::now();
        while server.send("GET", "/readyz", "", None).await.expect("an answer").status != 503 {
            assert!(begun.elapsed() < Duration::from_secs(10), "readiness does not notice");
            sleep(Duration::from_millis(20)).await;
        }
        block_in_place(|| cluster.restart()).expect("PostgreSQL starts");
        let begun = Instant::now();
        // What comes first is answered by connections that are dead: that, too, is no fault of the caller's.
        while server.send("GET", "/readyz", "", None).await.expect("an answer").status != 200 {
            assert!(begun.elapsed() < Duration::from_secs(10), "not ready 10 s after the restart");
            requests(&server, &token).await;
        }
        assert_eq!(requests(&server, &token).await, [200, 200, 201, 201, 200]);
    }
    assert_eq!(server.stop().await, Some(0));
}
