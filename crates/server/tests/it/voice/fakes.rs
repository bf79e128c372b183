//! Providers of speech that do as they are told: one over HTTP in the protocols of OpenAI and Deepgram, and Deepgram's socket.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use futures_util::{SinkExt as _, StreamExt as _, stream};
use http::StatusCode;
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_websockets::{CloseCode, Message, ServerBuilder, WebSocketStream};

/// What is done with one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// This status.
    Status(u16),
    /// The request is taken, and nothing is said.
    Hang,
    /// The answer breaks off at its beginning.
    Cut,
    /// A second of sound comes, and nothing after it.
    Stall,
}

#[derive(Default)]
struct Shared {
    faults: Mutex<VecDeque<(&'static str, Fault)>>,
    said: Mutex<VecDeque<String>>,
    asked: Mutex<Vec<(String, Vec<u8>)>>,
    usual: Mutex<String>,
    sound_ms: Mutex<usize>,
}

/// A server of speech. It stops when it is dropped.
pub(crate) struct FakeSpeech {
    pub(crate) url: String,
    shared: Arc<Shared>,
    _tasks: JoinSet<()>,
}

impl FakeSpeech {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let shared = Arc::new(Shared { sound_ms: Mutex::new(400), ..Shared::default() });
        let router = axum::Router::new().fallback(answer).with_state(Arc::clone(&shared));
        let mut tasks = JoinSet::new();
        tasks.spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, shared, _tasks: tasks }
    }

    /// What the next turn is taken for.
    pub(crate) fn hears(&self, text: &str) {
        self.shared.said.lock().unwrap().push_back(text.to_owned());
    }

    /// What a turn is taken for when nothing else was said.
    pub(crate) fn usually_hears(&self, text: &str) {
        *self.shared.usual.lock().unwrap() = text.to_owned();
    }

    /// What is done with the next request to an address that ends so.
    pub(crate) fn fails(&self, path: &'static str, fault: Fault) {
        self.shared.faults.lock().unwrap().push_back((path, fault));
    }

    /// How long the sound of each sentence is.
    pub(crate) fn speaks_for(&self, ms: usize) {
        *self.shared.sound_ms.lock().unwrap() = ms;
    }

    /// The bodies that were sent to an address.
    pub(crate) fn asked(&self, path: &str) -> Vec<Vec<u8>> {
        let asked = self.shared.asked.lock().unwrap();
        asked.iter().filter(|(asked, _)| asked == path).map(|(_, body)| body.clone()).collect()
    }
}

async fn answer(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let path = request.uri().path().to_owned();
    let body = axum::body::to_bytes(request.into_body(), 8 << 20).await.unwrap_or_default();
    shared.asked.lock().unwrap().push((path.clone(), body.to_vec()));
    let fault = {
        let mut faults = shared.faults.lock().unwrap();
        let next = faults.iter().position(|(end, _)| path.ends_with(end));
        next.and_then(|next| faults.remove(next)).map(|(_, fault)| fault)
    };
    match fault {
        Some(Fault::Status(status)) => {
            return (StatusCode::from_u16(status).unwrap(), json!({"error": {"message": "as told"}}).to_string())
                .into_response();
        }
        Some(Fault::Hang) => std::future::pending::<()>().await,
        Some(Fault::Cut) => {
            let pieces = [Ok(Bytes::new()), Err(std::io::Error::other("as told"))];
            return Body::from_stream(stream::iter(pieces)).into_response();
        }
        Some(Fault::Stall) => {
            let second = stream::iter([Ok::<_, std::io::Error>(Bytes::from(vec![7u8; 48_000]))]);
            return Body::from_stream(second.chain(stream::pending())).into_response();
        }
        None => {}
    }
    if path.ends_with("/transcriptions") {
        let usual = shared.usual.lock().unwrap().clone();
        let text = shared.said.lock().unwrap().pop_front().unwrap_or(usual);
        return json!({"text": text, "usage": {"type": "duration", "seconds": 1}}).to_string().into_response();
    }
    // In odd pieces, as a network would.
    let ms = *shared.sound_ms.lock().unwrap();
    let sound = vec![7u8; ms * 48];
    let pieces: Vec<_> =
        sound.chunks(4_001).map(|piece| Ok::<_, std::io::Error>(Bytes::copy_from_slice(piece))).collect();
    Body::from_stream(stream::iter(pieces)).into_response()
}

/// What Deepgram's socket does.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    /// Takes what is said for this, when it is asked for it.
    Says(&'static str),
    /// Ends the connection when it is asked, as it does after silence (NET-0001).
    Dies,
}

#[derive(Default)]
struct Ear {
    script: Mutex<VecDeque<Act>>,
    heard: watch::Sender<usize>,
    open: watch::Sender<usize>,
    connections: watch::Sender<usize>,
}

/// Deepgram's socket. It stops when it is dropped.
pub(crate) struct FakeDeepgram {
    pub(crate) url: String,
    ear: Arc<Ear>,
    _tasks: JoinSet<()>,
}

impl FakeDeepgram {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let ear = Arc::new(Ear::default());
        let accepting = Arc::clone(&ear);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let ear = Arc::clone(&accepting);
                connections.spawn(async move {
                    let Ok((_, socket)) = ServerBuilder::new().accept(stream).await else { return };
                    ear.connections.send_modify(|count| *count += 1);
                    ear.open.send_modify(|count| *count += 1);
                    listen(socket, &ear).await;
                    ear.open.send_modify(|count| *count -= 1);
                });
            }
        });
        Self { url, ear, _tasks: tasks }
    }

    pub(crate) fn then(&self, act: Act) {
        self.ear.script.lock().unwrap().push_back(act);
    }

    /// Bytes of sound that have arrived.
    pub(crate) fn heard(&self) -> usize {
        *self.ear.heard.borrow()
    }

    /// Waits until so many connections are open.
    pub(crate) async fn until_open(&self, count: usize) {
        self.ear.open.subscribe().wait_for(|open| *open == count).await.unwrap();
    }

    /// Waits until so many connections were made.
    pub(crate) async fn until_connected(&self, count: usize) {
        self.ear.connections.subscribe().wait_for(|made| *made >= count).await.unwrap();
    }
}

async fn listen(mut socket: WebSocketStream<TcpStream>, ear: &Ear) {
    let mut began = false;
    while let Some(Ok(message)) = socket.next().await {
        if message.is_binary() {
            let length = message.as_payload().len();
            ear.heard.send_modify(|heard| *heard += length);
            if !std::mem::replace(&mut began, true) {
                let started = json!({"type": "SpeechStarted", "channel": [0, 1], "timestamp": 0.1});
                let _ = socket.send(Message::text(started.to_string())).await;
            }
            continue;
        }
        let Some(text) = message.as_text() else { continue };
        if text.contains("CloseStream") {
            let _ = socket.send(Message::text(json!({"type": "Metadata", "duration": 1.0}).to_string())).await;
            let _ = socket.send(Message::close(Some(CloseCode::NORMAL_CLOSURE), "")).await;
        } else if text.contains("Finalize") {
            began = false;
            let act = ear.script.lock().unwrap().pop_front();
            match act {
                Some(Act::Dies) => {
                    let _ = socket.send(Message::close(Some(CloseCode::INTERNAL_SERVER_ERROR), "NET-0001")).await;
                    return;
                }
                Some(Act::Says(text)) => {
                    for (is_final, text) in [(false, &text[..text.len() / 2]), (true, text)] {
                        let results = json!({
                            "type": "Results", "channel_index": [0, 1], "start": 0.0, "duration": 1.0, "is_final": is_final,
                            "from_finalize": is_final, "channel": {"alternatives": [{"transcript": text, "confidence": 0.9}]},
                        });
                        let _ = socket.send(Message::text(results.to_string())).await;
                    }
                }
                None => {}
            }
        }
    }
}
