//! How many webhooks a second. Not run by itself: it says what a build with optimisations does on a machine with nothing
//! else to do.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};

use super::{Sender, sender, signed, standard};
use crate::support::{ALL_AT_ONCE, Engine, TestApp};

/// Connections that each send one after the other.
const CONNECTIONS: usize = 512;
/// Webhooks of each.
const EACH: usize = 100;

/// Sends requests and waits for each answer, on a connection of its own.
async fn send_all(address: String, requests: Vec<String>) {
    let mut stream = TcpStream::connect(address).await.expect("connected");
    let mut buffer = vec![0; 4096];
    for request in requests {
        stream.write_all(request.as_bytes()).await.expect("sent");
        let mut read = 0;
        // The body is short and comes with the head.
        while !buffer[..read].windows(9).any(|part| part == b"duplicate") || !buffer[..read].ends_with(b"}") {
            let more = stream.read(&mut buffer[read..]).await.expect("read");
            assert!(more > 0, "{}", String::from_utf8_lossy(&buffer[..read]));
            read += more;
        }
        assert!(buffer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&buffer[..read]));
    }
}

async fn done(server: &TestApp) -> u64 {
    let metrics = server.send("GET", "/metrics", None, None).await.text;
    let lines = metrics.lines().filter(|line| line.starts_with("mainstay_job_attempts_total{queue=\"inbox\""));
    lines.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
}

#[expect(clippy::print_stderr, reason = "what was measured is for whoever runs it")]
async fn pace(server: &TestApp, name: &str, sender: &Sender, request: impl Fn(&Sender, usize) -> String) {
    let address = server.address.trim_start_matches("http://").to_owned();
    let all: Vec<Vec<String>> = (0..CONNECTIONS)
        .map(|connection| (0..EACH).map(|number| request(sender, connection * EACH + number)).collect())
        .collect();
    let (before, begun) = (done(server).await, Instant::now());
    join_all(all.into_iter().map(|requests| send_all(address.clone(), requests))).await;
    let acknowledged = begun.elapsed();
    let count = CONNECTIONS * EACH;
    while done(server).await < before + count as u64 {
        sleep(Duration::from_millis(20)).await;
    }
    let processed = begun.elapsed();
    let rate = |took: Duration| count as f64 / took.as_secs_f64();
    eprintln!("{name}: {:.0} acknowledged and {:.0} processed a second", rate(acknowledged), rate(processed));
}

fn post(path: &str, headers: &str, body: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nHost: x\r\n{headers}Content-Length: {}\r\n\r\n{body}", body.len())
}

async fn run(engine: Engine) {
    let Some(server) = TestApp::start(engine, &[ALL_AT_ONCE, ("log.level", "\"warn\"")]).await else { return };
    let ada = server.person("ada").await;
    let calls = sender(&server, &ada, json!({"name": "Calls", "provider": "vapi", "secrets": ["a-secret"]})).await;
    pace(&server, "kept", &calls, |sender, number| {
        let body = json!({"message": {"type": "status-update", "status": "ended", "call": {"id": number.to_string()}}});
        post(&sender.path, "X-Vapi-Secret: a-secret\r\n", &body.to_string())
    })
    .await;
    let shop = standard(&server, &ada).await;
    let now = server.now();
    pace(&server, "newest of each thing", &shop, |sender, number| {
        let data = json!({"id": format!("order {}", number % 5000), "status": number});
        let body = json!({"type": "order.changed", "timestamp": 1_764_300_000 + number, "data": data}).to_string();
        let headers = signed(&format!("msg_{number}"), now, &body);
        let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        post(&sender.path, &headers, &body)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "it measures; run it alone and with --release"]
async fn on_sqlite() {
    run(Engine::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "it measures; run it alone and with --release"]
async fn on_postgres() {
    run(Engine::Postgres).await;
}
