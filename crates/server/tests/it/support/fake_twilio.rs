//! Twilio's API of messages, as it is told to be: a real HTTP server on a free loopback port, with a ledger of the messages that
//! it took. Each request takes the next behaviour of the script, or is answered well when the script is done. While it is away
//! every request fails.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use http::{Method, StatusCode};
use mainstay_domain::{Clock, Timestamp};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// What is done with one request.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    /// This status, and nothing is taken.
    Status(u16),
    /// Nothing is taken, and nothing is said.
    Hang,
    /// The message is taken, and nothing is said.
    HangAfterTaking,
    /// The message is taken, and the answer breaks off in the middle.
    CutAfterTaking,
    /// The message is taken, and the status is 500.
    FailAfterTaking,
    /// The message is refused with this code.
    Refuse(i64),
}

/// A message that was taken.
#[derive(Clone, Debug)]
pub(crate) struct Taken {
    /// Its id.
    pub(crate) sid: String,
    /// Where to.
    pub(crate) to: String,
    /// What was said.
    pub(crate) body: String,
    /// Where its states are told, if anywhere.
    pub(crate) callback: Option<String>,
    /// The header with the credentials.
    pub(crate) authorization: String,
    at: Timestamp,
}

struct Shared {
    script: Mutex<VecDeque<Fault>>,
    taken: Mutex<Vec<Taken>>,
    away: AtomicBool,
    refused: AtomicUsize,
    clock: Arc<dyn Clock>,
}

/// The server. It stops when it is dropped.
pub(crate) struct FakeTwilio {
    pub(crate) url: String,
    shared: Arc<Shared>,
    _tasks: JoinSet<()>,
}

impl FakeTwilio {
    pub(crate) async fn start(clock: Arc<dyn Clock>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (script, taken, away) = (Mutex::default(), Mutex::default(), AtomicBool::new(false));
        let shared = Arc::new(Shared { script, taken, away, refused: AtomicUsize::new(0), clock });
        let router = axum::Router::new().fallback(answer).with_state(Arc::clone(&shared));
        let mut tasks = JoinSet::new();
        tasks.spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, shared, _tasks: tasks }
    }

    /// The next requests go wrong in these ways.
    pub(crate) fn fails(&self, faults: &[Fault]) {
        *self.shared.script.lock().unwrap() = faults.iter().copied().collect();
    }

    /// Every request fails from now on, or none does.
    pub(crate) fn is_away(&self, away: bool) {
        self.shared.away.store(away, Ordering::SeqCst);
    }

    /// How many requests have failed because it was away.
    pub(crate) fn refused(&self) -> usize {
        self.shared.refused.load(Ordering::SeqCst)
    }

    /// The messages that were taken, in their order.
    pub(crate) fn taken(&self) -> Vec<Taken> {
        self.shared.taken.lock().unwrap().clone()
    }
}

async fn answer(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    if shared.away.load(Ordering::SeqCst) {
        shared.refused.fetch_add(1, Ordering::SeqCst);
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    let path = head.uri.path().to_owned();
    let Some((_, rest)) = path.split_once("/Messages") else { return StatusCode::NOT_FOUND.into_response() };
    if head.method == Method::GET {
        return axum::Json(read(&shared, rest, head.uri.query().unwrap_or_default())).into_response();
    }
    let fields: Vec<(String, String)> = form_urlencoded::parse(&body).into_owned().collect();
    let field = |name: &str| fields.iter().find(|(field, _)| field == name).map(|(_, value)| value.clone());
    let fault = shared.script.lock().unwrap().pop_front();
    match fault {
        Some(Fault::Status(status)) => return (StatusCode::from_u16(status).unwrap(), "as told").into_response(),
        Some(Fault::Hang) => return std::future::pending().await,
        Some(Fault::Refuse(code)) => {
            let body = json!({"code": code, "message": "as told", "status": 400});
            return (StatusCode::BAD_REQUEST, axum::Json(body)).into_response();
        }
        _ => {}
    }
    let authorization = head.headers.get("authorization").map(|value| value.to_str().unwrap().to_owned());
    let message = {
        let mut taken = shared.taken.lock().unwrap();
        let message = Taken {
            sid: format!("SM{:032x}", taken.len() + 1),
            to: field("To").unwrap_or_default(),
            body: field("Body").unwrap_or_default(),
            callback: field("StatusCallback"),
            authorization: authorization.unwrap_or_default(),
            at: shared.clock.now(),
        };
        taken.push(message.clone());
        message
    };
    match fault {
        Some(Fault::HangAfterTaking) => std::future::pending().await,
        Some(Fault::FailAfterTaking) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        Some(Fault::CutAfterTaking) => {
            let pieces = [Ok(Bytes::from("{\"sid\": ")), Err(std::io::Error::other("as told"))];
            Response::new(Body::from_stream(stream::iter(pieces)))
        }
        _ => (StatusCode::CREATED, axum::Json(written(&message, "queued"))).into_response(),
    }
}

/// One message, or the list of those to a number.
fn read(shared: &Shared, rest: &str, query: &str) -> Value {
    let taken = shared.taken.lock().unwrap();
    let id = rest.trim_start_matches('/').trim_end_matches(".json");
    if let Some(message) = taken.iter().find(|message| message.sid == id) {
        return written(message, "delivered");
    }
    let to = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "To").map(|(_, to)| to.into_owned());
    let messages: Vec<Value> = taken
        .iter()
        .rev()
        .filter(|message| Some(&message.to) == to.as_ref())
        .map(|message| written(message, "sent"))
        .collect();
    json!({"messages": messages, "next_page_uri": null})
}

fn written(message: &Taken, status: &str) -> Value {
    let at = jiff::Timestamp::from_millisecond(message.at.as_millis()).unwrap();
    let at = jiff::fmt::rfc2822::to_string(&at.to_zoned(jiff::tz::TimeZone::UTC)).unwrap();
    let price = if status == "delivered" { json!("-0.00750") } else { Value::Null };
    json!({"sid": message.sid, "status": status, "body": message.body, "to": message.to, "direction": "outbound-api",
        "date_created": at, "num_segments": "1", "price": price, "price_unit": "USD", "error_code": null})
}
