//! Large bodies, many at once, and a bound on memory.

use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use futures_util::stream;
use serde_json::json;
use tokio::time::timeout;

use crate::support::binary::{Installation, Instance, PATIENCE};

/// The largest body that the API takes, in bytes, as it is by default.
const LARGEST: usize = 256 * 1024;
/// Bodies at the same time.
const AT_ONCE: usize = 200;
/// By how much the memory of the process may grow under all of it, in KiB: four times what all bodies together are.
const MOST_GROWTH: usize = 4 * AT_ONCE * LARGEST / 1024;

/// The most memory that the process ever had, in KiB.
fn peak(server: &Instance) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.process.id())).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a peak");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

/// Sends a body that says nothing of its length, for as long as it is taken. The status of the answer.
async fn endless(server: &Instance, token: &str) -> Option<u16> {
    let piece = Bytes::from(vec![b' '; 64 * 1024]);
    // 64 MiB, of which a bounded server takes a part.
    let pieces = stream::iter((0..1024).map(move |_| Ok::<_, std::io::Error>(piece.clone())));
    let request = server.request("POST", "/v1/messages", token).header("content-type", "application/json");
    // A server that refuses may also close before all of it was sent.
    let answer = request.body(reqwest::Body::wrap_stream(pieces)).send().await.ok()?;
    Some(answer.status().as_u16())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_bodies_are_refused_and_memory_stays_bounded() {
    let installation = Installation::new().with("MAINSTAY_OVERLOAD__ENABLED", "false");
    let token = installation.people(1).await.remove(0);
    let server = installation.serve().await;
    let send = async |length: usize| {
        let body = json!({"content": "x".repeat(length.saturating_sub(20))});
        let asked = timeout(PATIENCE, server.send("POST", "/v1/messages", &token, Some(body)));
        asked.await.expect("in time").expect("an answer")
    };
    assert_eq!(send(1000).await.status, 201);
    let before = peak(&server);
    for _ in 0..3 {
        let inside = join_all((0..AT_ONCE).map(|_| send(LARGEST - 100))).await;
        assert!(
            inside.into_iter().all(|answer| answer.refused(400, "invalid_input")["fields"][0]["code"] == "too_long")
        );
        let over = join_all((0..AT_ONCE).map(|_| send(LARGEST + 100))).await;
        for answer in over {
            answer.refused(413, "too_large");
        }
        let endless =
            timeout(2 * PATIENCE, join_all((0..20).map(|_| endless(&server, &token)))).await.expect("in time");
        assert!(endless.iter().flatten().all(|status| *status == 413), "{endless:?}");
    }
    let grown = peak(&server) - before;
    assert!(grown < MOST_GROWTH, "{grown} KiB more than the {before} KiB before");
    assert_eq!(send(1000).await.status, 201);
    assert_eq!(server.stop().await, Some(0));
}

/// A bound on the addresses of the process, as some hosts set one, is enough for it to start and to serve.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_serves_within_a_bound_on_its_addresses() {
    let installation = Installation::new().with("MAINSTAY_OVERLOAD__ENABLED", "false");
    let token = installation.people(1).await.remove(0);
    let installation = installation.through(&["prlimit", "--as=2147483648:2147483648", "--"]);
    let server = installation.serve().await;
    let all = join_all((0..50).map(|number| {
        let body = json!({"title": format!("Number {number}")});
        server.send("POST", "/v1/conversations", &token, Some(body))
    }));
    let all = timeout(Duration::from_secs(120), all).await.expect("in time");
    for answer in all {
        answer.expect("an answer").expect(201);
    }
    assert_eq!(server.stop().await, Some(0));
}
