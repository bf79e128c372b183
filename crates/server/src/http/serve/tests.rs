//! Raw sockets against a real server. The time is the real one, so the timeouts are short, and what is asserted about
//! them is that a connection ends at all and not before its time.

mod tls;

use std::time::Duration;

use axum::routing::{get, post};
use bytes::Bytes;
use futures_util::stream;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Notify;

use super::*;
use crate::http::Event;
use crate::lifecycle::Drained;

const HEAD: Duration = Duration::from_millis(300);
const IDLE: Duration = Duration::from_millis(700);
/// Far more than any of these takes: what is still open then would stay open for ever.
const FOR_EVER: Duration = Duration::from_secs(20);

fn config() -> config::Http {
    config::Http {
        host: "127.0.0.1".to_owned(),
        port: 0,
        public_url: String::new(),
        metrics_networks: Vec::new(),
        allowed_origins: Vec::new(),
        trusted_proxies: Vec::new(),
        max_connections: 100,
        header_timeout_ms: HEAD.as_millis() as u64,
        body_idle_timeout_ms: 300,
        write_timeout_ms: 300,
        keep_alive_timeout_ms: IDLE.as_millis() as u64,
        request_timeout_ms: 10_000,
        max_body_bytes: 1000,
        max_json_depth: 32,
        tls: config::Tls::default(),
    }
}

struct Running {
    address: SocketAddr,
    lifecycle: Lifecycle,
    metrics: HttpMetrics,
    /// A handler at `/wait` tells here that it has begun, and ends when it is told so.
    begun: Arc<Notify>,
    release: Arc<Notify>,
}

async fn start(config: config::Http) -> Running {
    start_with(config, None).await
}

async fn start_with(config: config::Http, tls: Option<Arc<Tls>>) -> Running {
    use crate::http::{RawBody, Routes, Settings, wrap};
    let lifecycle = Lifecycle::new();
    let metrics = HttpMetrics::register(&mut prometheus_client::registry::Registry::default());
    let (begun, release) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (tell, told) = (Arc::clone(&begun), Arc::clone(&release));
    let wait = move || async move {
        tell.notify_one();
        told.notified().await;
        "waited"
    };
    let flood = || async {
        let chunk = Bytes::from(vec![b'x'; 64 * 1024]);
        Body::from_stream(stream::repeat_with(move || Ok::<_, Infallible>(chunk.clone())))
    };
    let events = || async { super::super::event_stream(stream::pending::<Event<()>>()) };
    let router = Router::new()
        .route("/ok", get(|| async { "ok" }))
        .route("/echo", post(|RawBody(body): RawBody| async move { body }))
        .route("/ignore", post(|| async { "ignored" }))
        .route("/wait", get(wait))
        .route("/flood", get(flood))
        .route("/events", get(events));
    let (_, table) = Routes::<()>::new().build().expect("table");
    let ids = mainstay_domain::Ids::new(Arc::new(crate::outside::SystemClock), Arc::new(crate::outside::SystemEntropy));
    let settings = Settings::new(&config, &table, ids, metrics.clone()).expect("settings");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("listener");
    let address = listener.local_addr().expect("address");
    let (router, counted, life) = (wrap(router, settings), metrics.clone(), lifecycle.clone());
    lifecycle.spawn("http", async move { serve((listener, tls), router, &config, &counted, life).await });
    Running { address, lifecycle, metrics, begun, release }
}

struct Client(TcpStream);

impl Running {
    async fn connect(&self) -> Client {
        Client(TcpStream::connect(self.address).await.expect("connection"))
    }

    /// Sends these bytes on a connection of its own and reads until it is closed.
    async fn exchange(&self, bytes: impl AsRef<[u8]>) -> String {
        let mut client = self.connect().await;
        client.send(bytes).await;
        client.rest().await
    }

    async fn wait_until(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        let poll = async {
            while !holds(self) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        assert!(tokio::time::timeout(FOR_EVER, poll).await.is_ok(), "{what}");
    }
}

impl Client {
    async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        // The server may have closed already; what it said is read next.
        let _ = self.0.write_all(bytes.as_ref()).await;
    }

    /// Everything up to the end of the connection, however it ends.
    async fn rest(&mut self) -> String {
        let mut all = Vec::new();
        let mut buffer = [0; 4096];
        let reading = async {
            while let Ok(read @ 1..) = self.0.read(&mut buffer).await {
                all.extend_from_slice(&buffer[..read]);
            }
        };
        assert!(tokio::time::timeout(FOR_EVER, reading).await.is_ok(), "the connection stays open");
        String::from_utf8_lossy(&all).into_owned()
    }

    /// Reads until the text so far ends in this.
    async fn until(&mut self, end: &str) -> String {
        let mut all = Vec::new();
        let reading = async {
            while !all.ends_with(end.as_bytes()) {
                all.push(self.0.read_u8().await.expect("more"));
            }
        };
        assert!(tokio::time::timeout(FOR_EVER, reading).await.is_ok(), "{}", String::from_utf8_lossy(&all));
        String::from_utf8_lossy(&all).into_owned()
    }
}

fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap_or_default()
}

const OK: &str = "GET /ok HTTP/1.1\r\nhost: x\r\n\r\n";

#[tokio::test]
async fn requests_on_one_connection_are_answered_in_order() {
    let server = start(config()).await;
    let mut client = server.connect().await;
    client.send("POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\nfirst").await;
    assert_eq!(status(&client.until("first").await), "200");
    client.send(format!("{OK}POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\n\r\nlast{OK}")).await;
    let answers = client.until("last").await + &client.until("ok").await;
    assert_eq!(answers.matches("HTTP/1.1 200 OK").count(), 3, "{answers}");
}

#[tokio::test]
async fn a_connection_that_asks_nothing_is_closed() {
    let server = start(config()).await;
    let began = Instant::now();
    assert_eq!(server.exchange("").await, "");
    assert!(began.elapsed() >= HEAD, "{:?}", began.elapsed());
    let began = Instant::now();
    let mut client = server.connect().await;
    client.send(OK).await;
    assert_eq!(status(&client.rest().await), "200");
    assert!(began.elapsed() >= IDLE, "kept for the next request: {:?}", began.elapsed());
    server.wait_until("the places are free", |server| server.metrics.connections_open() == 0).await;
}

#[tokio::test]
async fn a_head_that_trickles_is_cut_off() {
    let server = start(config()).await;
    for before in ["", OK] {
        // The first head begins with the connection, a later one with its first byte.
        let mut began = Instant::now();
        let mut client = server.connect().await;
        client.send(before).await;
        if !before.is_empty() {
            client.until("ok").await;
            began = Instant::now();
        }
        let (mut reader, mut writer) = client.0.split();
        let trickle = async {
            while writer.write_all(b"x").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let mut byte = [0];
        let end = tokio::select! {
            read = reader.read(&mut byte) => read.unwrap_or(0),
            () = trickle => 0,
            () = tokio::time::sleep(FOR_EVER) => panic!("the connection stays open"),
        };
        assert_eq!(end, 0);
        // It is counted in whole milliseconds.
        assert!(began.elapsed() + Duration::from_millis(1) >= HEAD, "{:?}", began.elapsed());
    }
}

#[tokio::test]
async fn a_body_that_stands_still_is_answered_408_and_closed() {
    let server = start(config()).await;
    for head in ["content-length: 100\r\n\r\nabc", "transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n"] {
        let answer = server.exchange(format!("POST /echo HTTP/1.1\r\nhost: x\r\n{head}")).await;
        assert_eq!(status(&answer), "408", "{answer}");
        assert!(answer.contains("\"code\":\"request_timeout\""), "{answer}");
    }
}

#[tokio::test]
async fn a_body_that_nobody_reads_does_not_hold_the_connection() {
    let server = start(config()).await;
    let answer = server.exchange("POST /ignore HTTP/1.1\r\nhost: x\r\ncontent-length: 900\r\n\r\nabc").await;
    assert_eq!(status(&answer), "200");
}

#[tokio::test]
async fn what_is_too_large_is_refused_with_the_right_status() {
    let server = start(config()).await;
    let declared = "POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 99999999999\r\n\r\n";
    assert_eq!(status(&server.exchange(declared).await), "413");
    let expecting = "POST /echo HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 5000\r\n\r\n";
    assert_eq!(status(&server.exchange(expecting).await), "413", "the body is not even asked for");
    let chunks = "1f4\r\n".to_owned() + &"x".repeat(500) + "\r\n";
    let bomb = format!("POST /echo HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n{}", chunks.repeat(20));
    assert_eq!(status(&server.exchange(bomb).await), "413");
    let uri = |length| format!("GET /{} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n", "x".repeat(length));
    assert_eq!(status(&server.exchange(uri(9_000)).await), "414");
    assert_eq!(status(&server.exchange(uri(100_000)).await), "431");
    let many = format!("GET /ok HTTP/1.1\r\nhost: x\r\n{}\r\n", "a: b\r\n".repeat(200));
    assert_eq!(status(&server.exchange(many).await), "431");
    let large = format!("GET /ok HTTP/1.1\r\nhost: x\r\na: {}\r\n\r\n", "b".repeat(40_000));
    assert_eq!(status(&server.exchange(large).await), "431");
}

#[tokio::test]
async fn a_client_that_is_still_sending_can_read_why_it_was_refused() {
    let server = start(config()).await;
    let mut client = server.connect().await;
    client.send("POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 4000000\r\n\r\n").await;
    for _ in 0..4000 {
        client.0.write_all(&[b'x'; 1000]).await.expect("the connection is not reset");
    }
    assert_eq!(status(&client.until("}").await), "413");
}

#[tokio::test]
async fn an_endless_head_is_cut_at_its_bound() {
    let server = start(config()).await;
    let mut client = server.connect().await;
    client.send("GET /ok HTTP/1.1\r\nhost: x\r\n").await;
    let line = format!("a: {}\r\n", "b".repeat(1000));
    let mut sent = 0;
    while sent < 100_000_000 && client.0.write_all(line.as_bytes()).await.is_ok() {
        sent += line.len();
    }
    assert!(sent < 100_000_000, "the server reads for ever");
}

#[tokio::test]
async fn what_is_malformed_is_refused_and_closed() {
    let server = start(config()).await;
    for text in [
        "GARBAGE\r\n\r\n",
        "GET /ok HTTP/9.9\r\nhost: x\r\n\r\n",
        "GET /ok\r\n\r\n",
        "GET  /ok HTTP/1.1\r\nhost: x\r\n\r\n",
        "GET /ok HTTP/1.1\r\nhost: x\r\nbad header: 1\r\n\r\n",
        "GET /ok HTTP/1.1\r\nhost : x\r\n\r\n",
        "GET /ok HTTP/1.1\r\nhost: x\r\na: b\r\n c\r\n\r\n",
        "GET /ok HTTP/1.1\r\nhost: x\r\na: b\0c\r\n\r\n",
        "GET /o\0k HTTP/1.1\r\nhost: x\r\n\r\n",
        "\x16\x03\x01\x02\x00\x01\x00\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ] {
        let answer = server.exchange(text).await;
        assert!(["400", ""].contains(&status(&answer)), "{text:?}: {answer}");
    }
    for text in ["GET /ok HTTP/1.1\r\n\r\n", "GET /ok HTTP/1.1\r\nhost: x\r\nhost: y\r\n\r\n"] {
        assert_eq!(status(&server.exchange(text).await), "400", "{text:?}");
    }
    assert_eq!(status(&server.exchange("GET /ok HTTP/1.0\r\n\r\n").await), "200", "HTTP/1.0 knows no host");
}

#[tokio::test]
async fn no_second_request_can_be_smuggled_in_a_first() {
    let server = start(config()).await;
    let smuggled = "GET /ok HTTP/1.1\r\nhost: x\r\nx: y\r\n\r\n";
    for head in [
        "content-length: 6\r\ntransfer-encoding: chunked",
        "transfer-encoding: chunked\r\ncontent-length: 6",
        "transfer-encoding: xchunked",
        "transfer-encoding: chunked\r\ntransfer-encoding: identity",
        "transfer-encoding : chunked",
        "transfer-encoding: chunked, identity",
        "content-length: 5\r\ncontent-length: 6",
        "content-length: 5, 6",
        "content-length: +5",
        "content-length: -1",
        "content-length: 0x5",
        "content-length: 99999999999999999999999",
    ] {
        let text = format!("POST /echo HTTP/1.1\r\nhost: x\r\n{head}\r\n\r\n0\r\n\r\n{smuggled}");
        let answer = server.exchange(&text).await;
        assert!(!answer.contains("\r\n\r\nok"), "{head}: {answer}");
        assert!(answer.matches("HTTP/1.1 ").count() <= 1, "{head}: {answer}");
    }
}

#[tokio::test]
async fn bad_chunks_are_refused() {
    let server = start(config()).await;
    for body in
        ["zz\r\nabc\r\n", "-1\r\nabc\r\n", "3\r\nabcdef\r\n", "ffffffffffffffffff\r\nabc", "3 \r\nabc\r\n0\r\n\r\n"]
    {
        let head = "POST /echo HTTP/1.1\r\nhost: x\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n";
        let answer = server.exchange(format!("{head}{body}")).await;
        assert!(["400", "408", "200"].contains(&status(&answer)), "{body:?}: {answer}");
        assert_eq!(status(&answer) == "200", body.starts_with("3 "), "{body:?}: {answer}");
    }
}

#[tokio::test]
async fn a_client_that_does_not_read_is_cut_off() {
    let server = start(config()).await;
    let mut client = server.connect().await;
    client.send("GET /flood HTTP/1.1\r\nhost: x\r\n\r\n").await;
    server.wait_until("it is served", |server| server.metrics.connections_open() == 1).await;
    server.wait_until("it is cut off", |server| server.metrics.connections_open() == 0).await;
}

#[tokio::test]
async fn a_silent_stream_outlives_the_patience_for_idle_connections() {
    let server = start(config()).await;
    let mut client = server.connect().await;
    client.send("GET /events HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert_eq!(status(&client.until("\r\n\r\n").await), "200");
    let mut byte = [0];
    let silence = tokio::time::timeout(IDLE * 2, client.0.read(&mut byte)).await;
    assert!(silence.is_err(), "it is still open, and silent");
}

#[tokio::test]
async fn no_more_connections_are_open_than_allowed() {
    let server = start(config::Http { max_connections: 1, ..config() }).await;
    let mut first = server.connect().await;
    first.send("GET /wait HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
    server.begun.notified().await;
    let mut second = server.connect().await;
    second.send(OK).await;
    let mut byte = [0];
    assert!(tokio::time::timeout(Duration::from_millis(100), second.0.read(&mut byte)).await.is_err(), "it waits");
    assert_eq!(server.metrics.connections_open(), 1);
    server.release.notify_one();
    assert!(first.rest().await.ends_with("waited"));
    assert_eq!(status(&second.rest().await), "200");
}

#[tokio::test]
async fn a_soft_stop_finishes_requests_and_closes_idle_connections() {
    let server = start(config::Http { keep_alive_timeout_ms: 60_000, header_timeout_ms: 60_000, ..config() }).await;
    let mut idle = server.connect().await;
    idle.send(OK).await;
    idle.until("ok").await;
    let mut silent = server.connect().await;
    let mut busy = server.connect().await;
    busy.send("GET /wait HTTP/1.1\r\nhost: x\r\n\r\n").await;
    server.begun.notified().await;
    server.wait_until("all are open", |server| server.metrics.connections_open() == 3).await;
    let life = server.lifecycle.clone();
    let (drained, ()) = tokio::join!(life.drain(FOR_EVER), async {
        assert_eq!(idle.rest().await, "");
        assert_eq!(silent.rest().await, "");
        assert!(TcpStream::connect(server.address).await.is_err(), "nothing new is accepted");
        server.release.notify_one();
        let answer = busy.rest().await;
        assert!(answer.contains("connection: close") && answer.ends_with("waited"), "{answer}");
    });
    assert_eq!(drained, Drained { finished: 4, cut: Vec::new() });
}

#[tokio::test]
async fn a_hard_stop_closes_what_is_left() {
    let server = start(config()).await;
    let mut stream = server.connect().await;
    stream.send("GET /events HTTP/1.1\r\nhost: x\r\n\r\n").await;
    stream.until("\r\n\r\n").await;
    let drained = server.lifecycle.drain(Duration::from_millis(50)).await;
    assert_eq!(drained, Drained { finished: 1, cut: vec![("connection", 1)] });
    stream.rest().await;
    assert_eq!(server.metrics.connections_open(), 0);
}
