//! Services of others that refuse everything, and say what they were asked: what they say must not get into the log either.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::to_bytes;
use axum::extract::{Request, State};
use axum::response::IntoResponse;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use serde_json::json;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::minting::{LETTERS, MARKER};
use crate::support::receiver::ALLOWED;

/// The most of a request that is said again, in bytes.
const MOST: usize = 16 * 1024;

/// A server of HTTP, one of SMTP and one of IMAP. Each says in its refusals what it was sent.
pub(super) struct Echo {
    pub(super) http: SocketAddr,
    pub(super) smtp: SocketAddr,
    pub(super) imap: SocketAddr,
    asked: Arc<watch::Sender<usize>>,
    _tasks: JoinSet<()>,
}

impl Echo {
    pub(super) async fn start() -> Self {
        let listen = async || {
            let listener = TcpListener::bind((ALLOWED, 0)).await.expect("an address");
            let address = listener.local_addr().expect("an address");
            (listener, address)
        };
        let ((http_listener, http), (smtp_listener, smtp), (imap_listener, imap)) =
            (listen().await, listen().await, listen().await);
        let asked = Arc::new(watch::Sender::new(0));
        let app = Router::new().fallback(refuse).with_state(Arc::clone(&asked));
        let mut tasks = JoinSet::new();
        tasks.spawn(async move { axum::serve(http_listener, app).await.expect("it serves") });
        tasks.spawn(take_mail(smtp_listener, SMTP, Arc::clone(&asked)));
        tasks.spawn(take_mail(imap_listener, IMAP, Arc::clone(&asked)));
        Self { http, smtp, imap, asked, _tasks: tasks }
    }

    /// How often it was asked for something.
    pub(super) fn asked(&self) -> usize {
        *self.asked.borrow()
    }
}

async fn refuse(State(asked): State<Arc<watch::Sender<usize>>>, request: Request) -> impl IntoResponse {
    asked.send_modify(|asked| *asked += 1);
    let turn = *asked.borrow();
    let (head, body) = request.into_parts();
    let body = to_bytes(body, MOST).await.unwrap_or_default();
    let whole = format!("{} {} {:?} {}", head.method, head.uri, head.headers, String::from_utf8_lossy(&body));
    // Where only a word or the beginning of a text is kept, it is one that was sent.
    let words = canaries_in(&whole);
    let word = words.first().cloned().unwrap_or_else(|| "nothing".to_owned());
    let said = format!("{} {whole}", words.join(" "));
    let error = json!({"message": said, "type": word, "code": word, "param": said, "status": word, "errors": [{"reason": word}]});
    let is_chat = head.uri.path().ends_with("/chat/completions");
    let (status, media, text) = match turn % 4 {
        1 if is_chat => (200, "text/event-stream", format!("data: {}\n\n", json!({ "error": error }))),
        2 if is_chat => (200, "text/event-stream", format!("data: {}\n\n", json!({ "choices": said }))),
        3 if is_chat => (500, "text/plain", said),
        // As servers of tokens refuse (RFC 6749, section 5.2).
        _ if head.uri.path() == "/token" => {
            (400, "application/json", json!({"error": word, "error_description": said}).to_string())
        }
        _ => (
            400,
            "application/json",
            json!({"error": error, "message": said, "code": 20001, "detail": said}).to_string(),
        ),
    };
    (StatusCode::from_u16(status).expect("a status"), [(CONTENT_TYPE, media)], text)
}

/// The words of the canaries in a request.
fn canaries_in(text: &str) -> Vec<String> {
    let words = text.match_indices(MARKER).filter_map(|(at, _)| text.get(at..at + MARKER.len() + LETTERS));
    words.take(20).map(str::to_owned).collect()
}

/// What a server of mail begins with.
const SMTP: &str = "220 echo.example.org ready";
const IMAP: &str = "* OK ready";

/// A server of mail: of SMTP, which takes who writes and refuses to whom, or of IMAP, which lets nobody in.
async fn refuse_mail(mut line: TcpStream, greeting: &'static str) {
    let (read, mut write) = line.split();
    let mut lines = BufReader::new(read).lines();
    let mut answer = greeting.to_owned();
    loop {
        if write.write_all(format!("{answer}\r\n").as_bytes()).await.is_err() {
            return;
        }
        let Ok(Some(said)) = lines.next_line().await else { return };
        let verb = said.split([' ', ':']).next().unwrap_or_default().to_ascii_uppercase();
        answer = match verb.as_str() {
            tag if greeting == IMAP => format!("{tag} NO [AUTHENTICATIONFAILED] {said} is not known here"),
            "EHLO" | "HELO" => "250 echo.example.org".to_owned(),
            "MAIL" => "250 2.1.0 taken".to_owned(),
            _ => format!("550 5.1.1 {said} is not known here"),
        };
    }
}

/// Takes lines to a server of mail.
async fn take_mail(listener: TcpListener, greeting: &'static str, asked: Arc<watch::Sender<usize>>) {
    let mut lines = JoinSet::new();
    while let Ok((line, _)) = listener.accept().await {
        asked.send_modify(|asked| *asked += 1);
        lines.spawn(refuse_mail(line, greeting));
    }
}
