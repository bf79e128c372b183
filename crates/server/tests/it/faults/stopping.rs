//! A stop while thousands are connected.

use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use tokio_websockets::{ClientBuilder, MaybeTlsStream, WebSocketStream};

use crate::support::binary::{Installation, Instance, PATIENCE};

const PEOPLE: usize = 25;
const SOCKETS: usize = 5_000;
/// How many are opened at the same time.
const AT_ONCE: usize = 64;
/// How long the server may take to stop, in seconds, as it is by default.
const DRAIN: u64 = 20;
/// Over how long those who are told goodbye come back, in milliseconds.
const SPREAD_MS: u64 = 15_000;

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Opens a socket, and waits until it is served.
async fn open(server: &Instance, token: &str) -> Socket {
    let address = format!("{}/v1/live", server.address.replace("http://", "ws://"));
    let value = format!("Bearer {token}").parse().expect("a header");
    let builder = ClientBuilder::new().uri(&address).expect("an address");
    let builder = builder.add_header(http::header::AUTHORIZATION, value).expect("allowed");
    let (mut socket, _) = timeout(PATIENCE, builder.connect()).await.expect("in time").expect("a socket");
    let first = timeout(PATIENCE, socket.next()).await.expect("in time").expect("no end").expect("a frame");
    assert!(first.as_text().is_some_and(|text| text.contains("ready")), "{first:?}");
    socket
}

/// The closing frame of a socket: its code and its reason. Nothing when it ends without one.
async fn goodbye(mut socket: Socket) -> Option<(u16, Value)> {
    while let Some(Ok(message)) = socket.next().await {
        if let Some((code, reason)) = message.as_close() {
            return Some((code.into(), serde_json::from_str(reason).unwrap_or(Value::Null)));
        }
    }
    None
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_thousand_sockets_are_told_goodbye_and_the_exit_is_clean() {
    let installation = Installation::new()
        .with("MAINSTAY_LIVE__SOCKETS_PER_PERSON", "1000")
        .with("MAINSTAY_LIVE__CONNECTS_PER_SECOND", "100000")
        // The machine may be busy: what is tested here is the end.
        .with("MAINSTAY_OVERLOAD__ENABLED", "false")
        .with("MAINSTAY_LIFECYCLE__DRAIN_SECONDS", &DRAIN.to_string());
    let tokens = installation.people(PEOPLE).await;
    let server = installation.serve().await;
    let opening = stream::iter(0..SOCKETS).map(|number| open(&server, &tokens[number % PEOPLE]));
    let sockets: Vec<Socket> = opening.buffer_unordered(AT_ONCE).collect().await;
    assert_eq!(sockets.len(), SOCKETS);
    let figures = server.send("GET", "/metrics", "", None).await.expect("an answer").text;
    assert!(figures.lines().any(|line| line == format!("mainstay_live_sockets {SOCKETS}")), "{figures}");

    let begun = Instant::now();
    server.process.terminate();
    let told = stream::iter(sockets).map(goodbye).buffer_unordered(SOCKETS).collect::<Vec<_>>();
    let told = timeout(PATIENCE, told).await.expect("all of them end");
    let exit = server.process.wait(PATIENCE).await.expect("it ends");
    let took = begun.elapsed();
    assert_eq!(exit.code(), Some(0), "{}", server.process.lines().join("\n"));
    assert!(took < Duration::from_secs(DRAIN), "it took {took:?}");
    let said = server.process.lines().join("\n");
    assert!(said.contains("everything was finished"), "{said}");

    let mut times = Vec::new();
    for one in told {
        let (code, reason) = one.expect("a closing frame");
        assert_eq!((code, &reason["reconnect"]), (1001, &Value::Bool(true)), "{reason}");
        times.push(reason["after_ms"].as_u64().expect("when to come back"));
    }
    // Evenly: in each fifth of the span about a fifth of them, so that the next node is not run over.
    let mut fifths = [0; 5];
    for after in &times {
        assert!(*after < SPREAD_MS, "{after}");
        fifths[usize::try_from(*after * 5 / SPREAD_MS).expect("a fifth")] += 1;
    }
    assert!(fifths.iter().all(|count| (SOCKETS / 5 - 250..=SOCKETS / 5 + 250).contains(count)), "{fifths:?}");
}
