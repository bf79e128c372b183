//! Live sockets: frames, faults, and coming back.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use mainstay_client::{Disconnection, Error, Frame, Live, LiveEvent, LivePolicy, Tokens, TransportFault};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_websockets::{CloseCode, Message, ServerBuilder, WebSocketStream};

use crate::calls::secret;
use crate::support::{Fake, Reply, frame, web_socket};

const PING: &str = r#"{"type":"ping"}"#;

fn live(fake: &Fake) -> Live {
    let client = fake.builder().token(secret("key")).build().expect("a client");
    Live::with_policy(client, LivePolicy { base: Duration::from_millis(5), ..LivePolicy::default() })
}

fn server(stream: TcpStream) -> WebSocketStream<TcpStream> {
    ServerBuilder::new().serve(stream)
}

async fn close(stream: TcpStream, code: u16, reason: &str) {
    let mut socket = server(stream);
    let code = CloseCode::try_from(code).expect("a code");
    socket.send(Message::close(Some(code), reason)).await.expect("closed");
    let answer = socket.next().await.expect("an answer").expect("a frame");
    assert_eq!(answer.as_close().map(|(code, _)| code), Some(code));
}

/// Skips to the next time that the socket was lost.
async fn lost(live: &mut Live) -> (Disconnection, Duration) {
    loop {
        if let LiveEvent::Disconnected { cause, again_in } = live.next().await.expect("it comes back") {
            return (cause, again_in);
        }
    }
}

async fn text(live: &mut Live) -> String {
    loop {
        if let LiveEvent::Frame(frame) = live.next().await.expect("it goes on") {
            return String::from_utf8(frame.bytes().to_vec()).expect("text");
        }
    }
}

#[tokio::test]
async fn frames_come_as_they_are_sent_and_pings_are_answered() {
    // The first frame comes in one piece with the handshake.
    let first: &'static [u8] = Vec::leak(frame(PING));
    let fake = Fake::start(move |request, _| {
        assert_eq!((request.path.as_str(), request.header("authorization")), ("/v1/live", Some("Bearer key")));
        web_socket(request, first, |stream| async move {
            let mut socket = server(stream);
            socket.send(Message::ping("are you there")).await.expect("sent");
            let pong = socket.next().await.expect("an answer").expect("a frame");
            assert!(pong.is_pong() && &pong.as_payload()[..] == b"are you there");
            let large = json!({"type": "change", "stream": "membership", "kind": "message", "deleted": false,
                "id": "00000000-0000-0000-0000-000000000007", "seq": 3, "parent": null, "row": {"content": "x".repeat(300_000)}});
            socket.send(Message::text(large.to_string())).await.expect("sent");
            while socket.next().await.is_some() {}
        })
    })
    .await;
    let mut live = live(&fake);
    assert!(matches!(live.next().await, Ok(LiveEvent::Connected)));
    assert_eq!(text(&mut live).await, PING);
    let Ok(LiveEvent::Frame(raw)) = live.next().await else { unreachable!("the change comes next") };
    let Ok(Frame::Change(change)) = raw.read() else { unreachable!("it is a change") };
    assert!(change.row.is_some_and(|row| row.get().len() > 300_000));
    live.close().await;
}

#[tokio::test]
async fn the_server_says_when_to_come_back() {
    let fake = Fake::start(|request, number| match number {
        0 => web_socket(request, b"", |stream| close(stream, 1001, r#"{"reconnect":true,"after_ms":60}"#)),
        1 => Reply::After(503, 1, json!({"code": "overloaded"})),
        _ => web_socket(request, b"", |mut stream| async move {
            stream.write_all(&frame(PING)).await.expect("sent");
            std::future::pending::<()>().await;
        }),
    })
    .await;
    let mut live = live(&fake);
    let (cause, again_in) = lost(&mut live).await;
    assert!(matches!(cause, Disconnection::Closed(closure) if closure.code == 1001));
    assert!(again_in >= Duration::from_millis(60) && again_in < Duration::from_millis(500), "{again_in:?}");
    let (cause, again_in) = lost(&mut live).await;
    assert!(matches!(cause, Disconnection::Failed(error) if error.code() == Some("overloaded")));
    assert!(again_in >= Duration::from_secs(1));
    assert_eq!(text(&mut live).await, PING);
}

#[tokio::test]
async fn every_way_to_break_is_noticed() {
    let fake = Fake::start(|request, number| match number {
        // Cut in the middle of a frame.
        0 => web_socket(request, b"\x81\x7e\x40\x00{\"type\"", |_| async {}),
        // Half closed: nothing more comes, and nobody says so.
        1 => web_socket(request, b"", |mut stream| async move {
            stream.shutdown().await.expect("half closed");
            let _ = stream.read_to_end(&mut Vec::new()).await;
        }),
        // A frame that no server may send.
        2 => web_socket(request, b"\xf1\x00", |stream| async move {
            let _ = server(stream).next().await;
        }),
        // Silence.
        3 => web_socket(request, b"", |stream| async move {
            std::future::pending::<()>().await;
            drop(stream);
        }),
        // Not the answer to this handshake.
        4 => Reply::Cut(
            "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n".to_owned(),
        ),
        _ => Reply::Json(500, json!({"code": "internal"})),
    })
    .await;
    let mut live = live(&fake);
    let mut faults = Vec::new();
    for _ in 0..4 {
        let (cause, _) = lost(&mut live).await;
        let Disconnection::Failed(Error::Transport { fault, .. }) = cause else { unreachable!("{cause:?}") };
        faults.push(fault);
    }
    use TransportFault::{Broken, Idle};
    assert_eq!(faults, [Broken, Broken, Broken, Idle]);
    assert!(
        matches!(live.next().await, Err(Error::Decode { .. })),
        "a server that cannot shake hands will not learn it"
    );
}

#[tokio::test]
async fn who_is_not_wanted_does_not_come_back() {
    for (code, reason) in [(4401, r#"{"reconnect":false}"#), (4429, "")] {
        let fake =
            Fake::start(move |request, _| web_socket(request, b"", move |stream| close(stream, code, reason))).await;
        let mut live = live(&fake);
        assert!(matches!(live.next().await, Ok(LiveEvent::Connected)));
        for _ in 0..2 {
            assert!(matches!(live.next().await, Err(Error::Closed(closure)) if closure.code == code));
        }
        assert_eq!(fake.requests().len(), 1);
    }
    let fake = Fake::start(|_, _| Reply::Json(401, json!({"code": "token_expired"}))).await;
    assert_eq!(live(&fake).next().await.expect_err("refused").code(), Some("token_expired"));
    assert_eq!(fake.requests().len(), 1);
}

#[tokio::test]
async fn a_sign_in_comes_back_with_a_new_token() {
    let sockets = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&sockets);
    let fake = Fake::start(move |request, _| {
        if request.path == "/v1/auth/refresh" {
            let who = json!({"id": "00000000-0000-0000-0000-000000000004", "email": null, "name": "Ada"});
            let organisation = json!({"id": "00000000-0000-0000-0000-000000000005", "name": "Ada's", "plan": "free"});
            return Reply::Json(
                200,
                json!({"user": who, "organisation": organisation, "access_token": "new",
                "refresh_token": "next", "expires_in": 900}),
            );
        }
        match count.fetch_add(1, Ordering::SeqCst) {
            0 => web_socket(request, b"", |stream| close(stream, 4401, r#"{"reconnect":false}"#)),
            _ => {
                assert_eq!(request.header("authorization"), Some("Bearer new"));
                web_socket(request, b"", |mut stream| async move {
                    stream.write_all(&frame(PING)).await.expect("sent");
                    std::future::pending::<()>().await;
                })
            }
        }
    })
    .await;
    let old =
        Tokens { access_token: secret("old"), refresh_token: secret("first"), expires_in: Duration::from_secs(900) };
    let policy = LivePolicy { base: Duration::from_millis(5), ..LivePolicy::default() };
    let mut live = Live::with_policy(fake.client().with_session(old), policy);
    assert_eq!(text(&mut live).await, PING);
    assert_eq!(sockets.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_wait_that_is_given_up_loses_nothing() {
    let fake = Fake::start(|request, _| {
        web_socket(request, b"", |mut stream| async move {
            for number in 0..50 {
                let bytes = frame(&format!(r#"{{"type":"ping","n":{number}}}"#));
                // In pieces, so that the client is given up in the middle of a frame.
                for piece in bytes.chunks(5) {
                    stream.write_all(piece).await.expect("sent");
                    tokio::task::yield_now().await;
                }
            }
            std::future::pending::<()>().await;
        })
    })
    .await;
    let mut live = live(&fake);
    let mut numbers = Vec::new();
    while numbers.len() < 50 {
        let Ok(event) = tokio::time::timeout(Duration::from_micros(200), live.next()).await else { continue };
        if let LiveEvent::Frame(raw) = event.expect("it goes on") {
            let value: serde_json::Value = serde_json::from_slice(raw.bytes()).expect("JSON");
            numbers.push(value["n"].as_u64().expect("a number"));
        }
    }
    assert_eq!(numbers, (0..50).collect::<Vec<_>>());
    assert_eq!(fake.requests().len(), 1);
}
