//! Live updates over WebSocket.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use mainstay_testing::RedisServer;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_websockets::{ClientBuilder, MaybeTlsStream, Message, WebSocketStream};

use crate::support::{Answer, Engine, Person, TestApp, UPGRADE, both};

both!(
    a_change_is_pushed_when_it_is_committed,
    a_socket_is_for_those_who_show_who_they_are,
    a_person_has_so_many_sockets_and_no_more,
    signing_out_ends_the_socket,
    a_slow_reader_is_told_to_sync,
    sockets_end_when_the_server_stops,
);

const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Socket(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Socket {
    pub(crate) async fn open(app: &TestApp, token: &str) -> Self {
        Self::try_open(app, Some(token), "").await.unwrap_or_else(|error| panic!("no socket: {error}"))
    }

    async fn try_open(app: &TestApp, token: Option<&str>, query: &str) -> Result<Self, tokio_websockets::Error> {
        let address = format!("{}/v1/live{query}", app.address.replace("http://", "ws://"));
        let mut builder = ClientBuilder::new().uri(&address).expect("an address");
        if let Some(token) = token {
            let value = format!("Bearer {token}").parse().expect("a header");
            builder = builder.add_header(http::header::AUTHORIZATION, value).expect("allowed");
        }
        builder.connect().await.map(|(socket, _)| Self(socket))
    }

    /// The next frame of ours, pings left out.
    pub(crate) async fn frame(&mut self) -> Value {
        loop {
            let message = tokio::time::timeout(PATIENCE, self.0.next()).await.expect("a frame in time");
            let message = message.expect("no end").expect("a frame");
            let Some(text) = message.as_text() else { continue };
            let frame: Value = serde_json::from_str(text).expect("JSON");
            if frame["type"] != json!("ping") {
                return frame;
            }
        }
    }

    /// The closing frame: its code and its reason.
    pub(crate) async fn closed(mut self) -> (u16, Value) {
        loop {
            let message = tokio::time::timeout(PATIENCE, self.0.next()).await.expect("an end in time");
            let message = message.expect("a closing frame").expect("a frame");
            if let Some((code, reason)) = message.as_close() {
                return (code.into(), serde_json::from_str(reason).expect("JSON"));
            }
        }
    }
}

async fn say(app: &TestApp, by: &Person, text: &str) -> Value {
    app.send("POST", "/v1/messages", Some(&by.access_token), Some(json!({"content": text}))).await.expect(201)
}

async fn a_change_is_pushed_when_it_is_committed(engine: Engine) {
    let Some(app) = TestApp::start(engine, &[]).await else { return };
    let (ada, bob) = (app.person("ada").await, app.person("bob").await);
    let mut sockets = vec![Socket::open(&app, &ada.access_token).await, Socket::open(&app, &ada.access_token).await];
    let mut stranger = Socket::open(&app, &bob.access_token).await;
    let mut cursors = Vec::new();
    for socket in sockets.iter_mut().chain([&mut stranger]) {
        let ready = socket.frame().await;
        assert_eq!(ready["type"], json!("ready"));
        cursors.push(ready["cursor"].as_str().expect("a cursor").to_owned());
    }
    let sent = say(&app, &ada, "hello").await;
    for socket in &mut sockets {
        let mut last = 0;
        let mut seen = Vec::new();
        // A conversation and two messages, and the reply once more when it is final.
        while seen.len() < 4 {
            let frame = socket.frame().await;
            assert_eq!((&frame["type"], &frame["stream"]), (&json!("change"), &json!("membership")));
            let seq = frame["seq"].as_i64().expect("a number");
            assert!(seq > last);
            last = seq;
            let status = frame["row"]["status"].as_str().unwrap_or("-").to_owned();
            seen.push((frame["kind"].as_str().expect("a kind").to_owned(), status));
            // What was settled before it was read comes once, as it is then.
            if seen.last().is_some_and(|(kind, _)| kind == "message")
                && frame["id"] == sent["reply"]["id"]
                && frame["row"]["status"] == json!("final")
            {
                break;
            }
        }
        assert!(seen.iter().any(|(kind, _)| kind == "conversation"));
    }
    // What was pushed is what a client that asks since then gets.
    let path = format!("/v1/sync?limit=50&cursor={}", cursors[0]);
    let page = app.send("GET", &path, Some(&ada.access_token), None).await.expect(200);
    assert_eq!(page["changes"].as_array().expect("changes").len(), 3);
    // The stranger has heard nothing: the next thing on that socket is their own.
    say(&app, &bob, "mine").await;
    let frame = stranger.frame().await;
    assert_eq!(frame["kind"], json!("conversation"));
    assert_eq!(frame["row"]["title"], json!("mine"));
    assert_eq!(app.app.hub.open_sockets(), 3);
    drop(sockets);
    drop(stranger);
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while app.app.hub.open_sockets() > 0 {
        assert!(tokio::time::Instant::now() < deadline, "a socket that is gone is still counted");
        tokio::task::yield_now().await;
    }
}

async fn a_socket_is_for_those_who_show_who_they_are(engine: Engine) {
    let Some(app) = TestApp::start(engine, &[]).await else { return };
    let ada = app.person("ada").await;
    assert!(Socket::try_open(&app, None, "").await.is_err());
    assert!(Socket::try_open(&app, Some("nonsense"), "").await.is_err());
    let refused: Answer = app.send_with("GET", "/v1/live", None, None, &UPGRADE).await;
    refused.refused(401, "unauthenticated");
    app.send("GET", "/v1/live", Some(&ada.access_token), None).await.refused(426, "upgrade_required");
    // A ticket is good once, and an access token is no ticket.
    let ticket = app.send("POST", "/v1/live/tickets", Some(&ada.access_token), None).await.expect(201);
    let query = format!("?ticket={}", ticket["ticket"].as_str().expect("a ticket"));
    let mut socket = Socket::try_open(&app, None, &query).await.expect("a socket");
    assert_eq!(socket.frame().await["type"], json!("ready"));
    assert!(Socket::try_open(&app, None, &query).await.is_err(), "a ticket was taken twice");
    assert!(Socket::try_open(&app, None, &format!("?ticket={}", ada.access_token)).await.is_err());
    // And a ticket is no access token.
    let as_token = ticket["ticket"].as_str().expect("a ticket");
    app.send("GET", "/v1/me", Some(as_token), None).await.refused(401, "unauthenticated");
}

async fn a_person_has_so_many_sockets_and_no_more(engine: Engine) {
    let Some(app) = TestApp::start(engine, &[("live.sockets_per_person", "3")]).await else { return };
    let (ada, bob) = (app.person("ada").await, app.person("bob").await);
    let mut sockets = Vec::new();
    for _ in 0..3 {
        let mut socket = Socket::open(&app, &ada.access_token).await;
        socket.frame().await;
        sockets.push(socket);
    }
    let refused: Answer = app.send_with("GET", "/v1/live", Some(&ada.access_token), None, &UPGRADE).await;
    refused.refused(429, "too_many_sockets");
    Socket::open(&app, &bob.access_token).await.frame().await;
    let mut left = sockets.pop().expect("a socket");
    left.0.close().await.expect("closed");
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while Socket::try_open(&app, Some(&ada.access_token), "").await.is_err() {
        assert!(tokio::time::Instant::now() < deadline, "the place of a socket that was closed is not free");
    }
}

async fn signing_out_ends_the_socket(engine: Engine) {
    let Some(app) = TestApp::start(engine, &[]).await else { return };
    let (ada, bob) = (app.person("ada").await, app.person("bob").await);
    let mut socket = Socket::open(&app, &ada.access_token).await;
    let mut other = Socket::open(&app, &bob.access_token).await;
    socket.frame().await;
    other.frame().await;
    app.send("POST", "/v1/auth/sign-out", Some(&ada.access_token), None).await.expect(204);
    let (code, reason) = socket.closed().await;
    assert_eq!((code, &reason["reconnect"]), (4401, &json!(false)));
    say(&app, &bob, "still here").await;
    assert_eq!(other.frame().await["type"], json!("change"));
}

async fn a_slow_reader_is_told_to_sync(engine: Engine) {
    let Some(app) = TestApp::start(engine, &[]).await else { return };
    let ada = app.person("ada").await;
    let mut slow = Socket::open(&app, &ada.access_token).await;
    slow.frame().await;
    // More than the sockets of the system and the outbox hold, while nothing is read.
    let long = "word ".repeat(1_900);
    let deadline = tokio::time::Instant::now() + Duration::from_secs(120);
    let told = || app.app.hub.figures()[3];
    while told() == 0 {
        assert!(tokio::time::Instant::now() < deadline, "the outbox never ran over");
        futures_util::future::join_all((0..8).map(|_| say(&app, &ada, &long))).await;
    }
    let mut frames = Vec::new();
    loop {
        let frame = slow.frame().await;
        frames.push(frame["type"].as_str().expect("a type").to_owned());
        if frames.last().is_some_and(|kind| kind == "ready") {
            break;
        }
    }
    assert_eq!(frames[frames.len() - 2], "resync");
    say(&app, &ada, "after").await;
    assert_eq!(slow.frame().await["type"], json!("change"), "it goes on");
}

async fn sockets_end_when_the_server_stops(engine: Engine) {
    let Some(app) = TestApp::start(engine, &[]).await else { return };
    let ada = app.person("ada").await;
    let mut socket = Socket::open(&app, &ada.access_token).await;
    socket.frame().await;
    socket.0.send(Message::text("{\"type\":\"pong\"}")).await.expect("sent");
    app.app.lifecycle.stop();
    let (code, reason) = socket.closed().await;
    assert_eq!((code, &reason["reconnect"]), (1001, &json!(true)));
    assert!(reason["after_ms"].as_u64().expect("a time") < 15_000);
}

/// Two nodes that share PostgreSQL, and Redis as long as it lives.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_on_one_node_reaches_the_sockets_of_another_with_redis_and_without() {
    let Some(mut redis) = RedisServer::start(&[]) else { return };
    let url = json!(redis.url()).to_string();
    let Some(app) = TestApp::start(Engine::Postgres, &[("redis.url", url.as_str())]).await else { return };
    let other = app.second_node().await;
    let ada = app.person("ada").await;
    let certain = async |wanted: bool| {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        while [&app, &other].iter().any(|node| node.app.nodes.certain() != wanted || node.app.nodes.count().get() != 2)
        {
            assert!(tokio::time::Instant::now() < deadline, "the nodes never became certain = {wanted}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    certain(true).await;
    let mut socket = Socket::open(&other, &ada.access_token).await;
    let ready = socket.frame().await;
    let cursor = ready["cursor"].as_str().expect("a cursor").to_owned();
    let pushed = async |socket: &mut Socket, text: &str| {
        let sent = say(&app, &ada, text).await;
        loop {
            let frame = socket.frame().await;
            if frame["id"] == sent["reply"]["id"] && frame["row"]["status"] == json!("final") {
                break;
            }
        }
    };
    pushed(&mut socket, "with Redis").await;
    // The other node answers from memory what it was told, and is right.
    let sync = async |cursor: &str| {
        let path = format!("/v1/sync?limit=50&cursor={cursor}");
        other.send("GET", &path, Some(&ada.access_token), None).await.expect(200)
    };
    let page = sync(&cursor).await;
    assert_eq!(page["changes"].as_array().expect("changes").len(), 3);
    let now = page["cursor"].as_str().expect("a cursor").to_owned();
    let asked = other.app.sync.heads.figures().1;
    assert_eq!(sync(&now).await["changes"], json!([]));
    assert_eq!(other.app.sync.heads.figures().1, asked, "nothing new needed a query");

    redis.kill_9().expect("killed");
    certain(false).await;
    pushed(&mut socket, "without Redis").await;
    assert_eq!(sync(&now).await["changes"].as_array().expect("changes").len(), 3, "in doubt the database is asked");

    redis.restart().expect("started");
    certain(true).await;
    pushed(&mut socket, "with Redis again").await;
    assert_eq!(sync(&now).await["changes"].as_array().expect("changes").len(), 6);
}
