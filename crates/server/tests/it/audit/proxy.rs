//! Stands between the audit and a server, and spoils what it says: that is how a control is broken that the program has no
//! switch for.

use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use tokio::net::TcpListener;

use crate::support::TestApp;

/// What was asked.
pub(super) struct Asked {
    pub(super) path: String,
    /// What stands behind the question mark; empty where there is none.
    pub(super) query: String,
    pub(super) method: Method,
    pub(super) headers: HeaderMap,
    pub(super) body: usize,
}

/// What is answered.
pub(super) struct Said {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) text: String,
}

impl Said {
    /// Answers something else.
    pub(super) fn become_(&mut self, status: u16, text: &str) {
        self.status = StatusCode::from_u16(status).expect("a status");
        text.clone_into(&mut self.text);
    }

    pub(super) fn set(&mut self, name: &'static str, value: &str) {
        self.headers.insert(HeaderName::from_static(name), HeaderValue::from_str(value).expect("a value"));
    }
}

pub(super) type Spoil = fn(&Asked, &mut Said);

/// A listener that is there before its server is.
pub(super) struct Proxy {
    pub(super) address: String,
    listener: Option<TcpListener>,
    spoil: Arc<Mutex<Option<Spoil>>>,
    own: Arc<Mutex<Option<Own>>>,
}

/// Requests to a path that are answered here, as a cache does, and never reach the server: the path, and what is said.
pub(super) type Own = (&'static str, &'static str);

#[derive(Clone)]
struct Passing {
    target: String,
    client: reqwest::Client,
    spoil: Arc<Mutex<Option<Spoil>>>,
    own: Arc<Mutex<Option<Own>>>,
}

impl Proxy {
    pub(super) async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = format!("http://{}", listener.local_addr().expect("an address"));
        Self { address, listener: Some(listener), spoil: Arc::default(), own: Arc::default() }
    }

    /// Passes on to this server from now on.
    pub(super) fn serve(&mut self, server: &TestApp) {
        let client = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .http1_title_case_headers()
            .build()
            .expect("a client");
        let (spoil, own) = (Arc::clone(&self.spoil), Arc::clone(&self.own));
        let passing = Passing { target: server.address.clone(), client, spoil, own };
        let listener = self.listener.take().expect("it serves once");
        let router = Router::new().fallback(pass).with_state(passing).layer(axum::extract::DefaultBodyLimit::disable());
        server.app.lifecycle.spawn("proxy", async move { axum::serve(listener, router).await });
    }

    /// Spoils answers so, or no more.
    pub(super) fn spoil(&self, spoil: Option<Spoil>) {
        *self.spoil.lock().unwrap_or_else(PoisonError::into_inner) = spoil;
    }

    /// Answers requests to a path itself, or none any more.
    pub(super) fn answer(&self, own: Option<Own>) {
        *self.own.lock().unwrap_or_else(PoisonError::into_inner) = own;
    }
}

/// Headers that are about the connection and not about the request.
const OWN: [&str; 4] = ["host", "content-length", "transfer-encoding", "keep-alive"];

async fn pass(State(passing): State<Passing>, method: Method, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let query = uri.query().unwrap_or_default().to_owned();
    let asked = Asked {
        path: uri.path().to_owned(),
        query,
        method: method.clone(),
        headers: headers.clone(),
        body: body.len(),
    };
    let own = *passing.own.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, text)) = own.filter(|(path, _)| *path == asked.path) {
        return (StatusCode::OK, text).into_response();
    }
    let mut request = passing.client.request(method, format!("{}{path}", passing.target)).body(body);
    for (name, value) in &headers {
        if !OWN.contains(&name.as_str()) {
            request = request.header(name, value);
        }
    }
    let mut said = match request.send().await {
        Ok(answer) => {
            let (status, mut headers) = (answer.status(), answer.headers().clone());
            for name in OWN {
                headers.remove(name);
            }
            Said { status, headers, text: answer.text().await.unwrap_or_default() }
        }
        Err(_) => Said { status: StatusCode::BAD_GATEWAY, headers: HeaderMap::new(), text: String::new() },
    };
    let spoil = *passing.spoil.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(spoil) = spoil {
        spoil(&asked, &mut said);
    }
    (said.status, said.headers, said.text).into_response()
}
