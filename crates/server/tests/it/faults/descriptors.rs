//! No file descriptors are left.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use crate::support::binary::{Installation, PATIENCE};

/// What the process may have open.
const FILES: usize = 96;
/// How long a request on a connection that is open may take. Generous: the machine may be busy.
const SOON: Duration = Duration::from_secs(20);

/// One connection that stays open: a client with a pool might open another one, which nobody would accept.
struct Kept {
    stream: BufReader<TcpStream>,
    token: String,
}

impl Kept {
    async fn open(address: &str, token: &str) -> Self {
        let stream = TcpStream::connect(address).await.expect("connected");
        Self { stream: BufReader::new(stream), token: token.to_owned() }
    }

    /// Sends a request and reads its answer: the status and the body.
    async fn send(&mut self, method: &str, path: &str, body: &str) -> (u16, Value) {
        timeout(SOON, self.exchange(method, path, body)).await.expect("in time")
    }

    async fn exchange(&mut self, method: &str, path: &str, body: &str) -> (u16, Value) {
        let (token, length) = (&self.token, body.len());
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\n\
             content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
        );
        self.stream.write_all(request.as_bytes()).await.expect("written");
        let (mut status, mut length) = (0, 0);
        loop {
            let mut line = String::new();
            self.stream.read_line(&mut line).await.expect("a line of the head");
            let line = line.trim_end().to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            if let Some(rest) = line.strip_prefix("http/1.1 ") {
                status = rest[..3].parse().expect("a status");
            }
            if let Some(rest) = line.strip_prefix("content-length: ") {
                length = rest.parse().expect("a length");
            }
        }
        let mut answer = vec![0; length];
        self.stream.read_exact(&mut answer).await.expect("a body");
        (status, serde_json::from_slice(&answer).unwrap_or(Value::Null))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_descriptors_nobody_new_comes_in_and_who_is_in_is_served() {
    let limit = format!("--nofile={FILES}:{FILES}");
    let installation = Installation::new()
        .with("MAINSTAY_DATABASE__POOL_SIZE", "12")
        // Who says nothing stays, so that it is the test that gives the descriptors back.
        .with("MAINSTAY_HTTP__HEADER_TIMEOUT_MS", "60000")
        .with("MAINSTAY_HTTP__KEEP_ALIVE_TIMEOUT_MS", "300000");
    let token = installation.people(1).await.remove(0);
    let installation = installation.through(&["prlimit", &limit, "--"]);
    let server = installation.serve().await;
    let address = server.address.trim_start_matches("http://").to_owned();
    let mut kept = Kept::open(&address, &token).await;
    let hello = json!({"content": "Before"}).to_string();
    assert_eq!(kept.send("POST", "/v1/messages", &hello).await.0, 201);

    let mut fillers = Vec::new();
    for _ in 0..2 * FILES {
        // The operating system takes them in; the server does not.
        fillers.push(timeout(PATIENCE, TcpStream::connect(&address)).await.expect("in time").expect("connected"));
    }
    // It tries less and less often, once a second in the end.
    let begun = Instant::now();
    server.process.wait_for_line("pause=1s", PATIENCE).await.expect("it says so, and waits");
    let failed = || server.process.lines().iter().filter(|line| line.contains("cannot accept connections")).count();
    let tried = failed();
    assert!((2..=12 + begun.elapsed().as_secs() as usize).contains(&tried), "it spins: {tried} tries");

    for number in 0..5 {
        let body = json!({"content": format!("Number {number}")}).to_string();
        let (status, answer) = kept.send("POST", "/v1/messages", &body).await;
        assert_eq!(status, 201, "{answer}");
        let (status, answer) = kept.send("GET", "/v1/conversations", "").await;
        assert_eq!(status, 200, "{answer}");
    }
    assert_eq!(kept.send("GET", "/healthz", "").await.1["status"], "ok");

    // When they are given back, whoever comes is let in, without a restart.
    drop(fillers);
    let fresh = reqwest::Client::builder().no_proxy().build().expect("a client");
    let asked = fresh.get(format!("{}/readyz", server.address)).send();
    let answer = timeout(SOON, asked).await.expect("in time").expect("an answer");
    assert_eq!(answer.status().as_u16(), 200);
    assert_eq!(server.list("/v1/conversations", &token, 100).await.len(), 6);
    assert_eq!(server.stop().await, Some(0));
}
