//! FastSpring's API, as it is told to be: a real HTTP server on a free loopback port. Each request takes the next behaviour
//! of the script, or is answered well when the script is done.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use http::StatusCode;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// What is done with one request.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    /// This status.
    Status(u16),
    /// The request is taken, and nothing is said.
    Hang,
    /// The answer breaks off in the middle.
    Cut,
    /// 200 and an error inside, as FastSpring does for what it cannot change.
    ErrorInside,
    /// 200 and no JSON.
    Garbage,
}

/// A request as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    /// Method and path.
    pub(crate) what: String,
    /// The header with the credentials.
    pub(crate) authorization: String,
    /// The body.
    pub(crate) body: Value,
}

#[derive(Default)]
struct Shared {
    script: Mutex<VecDeque<Fault>>,
    asked: Mutex<Vec<Asked>>,
}

/// The server. It stops when it is dropped.
pub(crate) struct FakeFastSpring {
    pub(crate) url: String,
    shared: Arc<Shared>,
    _tasks: JoinSet<()>,
}

impl FakeFastSpring {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let shared = Arc::new(Shared::default());
        let router = axum::Router::new().fallback(answer).with_state(Arc::clone(&shared));
        let mut tasks = JoinSet::new();
        tasks.spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, shared, _tasks: tasks }
    }

    /// The next requests go wrong in these ways.
    pub(crate) fn fails(&self, faults: &[Fault]) {
        *self.shared.script.lock().unwrap() = faults.iter().copied().collect();
    }

    /// Every request since the last time that somebody asked.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut *self.shared.asked.lock().unwrap())
    }
}

async fn answer(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let authorization = head.headers.get("authorization").map(|value| value.to_str().unwrap().to_owned());
    let what = format!("{} {}", head.method, head.uri.path());
    let asked = Asked { what: what.clone(), authorization: authorization.unwrap_or_default(), body: body.clone() };
    shared.asked.lock().unwrap().push(asked);
    let fault = shared.script.lock().unwrap().pop_front();
    match fault {
        Some(Fault::Status(status)) => (StatusCode::from_u16(status).unwrap(), "as told").into_response(),
        Some(Fault::Hang) => std::future::pending().await,
        Some(Fault::Cut) => {
            let pieces = [Ok(Bytes::from("{\"id\": ")), Err(std::io::Error::other("as told"))];
            Response::new(Body::from_stream(stream::iter(pieces)))
        }
        Some(Fault::Garbage) => "<html>".into_response(),
        Some(Fault::ErrorInside) => {
            let one = json!({"subscription": "x", "result": "error", "error": {"product": "Not found"}});
            axum::Json(json!({"subscriptions": [one]})).into_response()
        }
        None if what == "POST /sessions" => axum::Json(json!({"id": "session_1-A"})).into_response(),
        None => axum::Json(json!({"subscriptions": [{"result": "success"}]})).into_response(),
    }
}
