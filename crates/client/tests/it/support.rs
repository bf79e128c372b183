//! A small HTTP server that a test scripts, faults included.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mainstay_client::{Client, ClientBuilder, RetryPolicy, Timeouts};
use mainstay_domain::Entropy;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// Chance that is the same in every run.
pub(crate) struct Counting(AtomicU8);

impl Entropy for Counting {
    fn fill(&self, buffer: &mut [u8]) {
        for byte in buffer {
            *byte = self.0.fetch_add(37, Ordering::Relaxed);
        }
    }
}

pub(crate) fn entropy() -> Arc<dyn Entropy> {
    Arc::new(Counting(AtomicU8::new(1)))
}

/// What came in.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) headers: HashMap<String, String>,
    pub(crate) body: String,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }
}

/// What goes out.
pub(crate) enum Reply {
    /// An answer with JSON.
    Json(u16, serde_json::Value),
    /// The same, with `Retry-After` in seconds.
    After(u16, u64, serde_json::Value),
    /// These bytes, and then the connection is cut.
    Cut(String),
    /// Nothing, for ever.
    Hang,
    /// Something of the test's own.
    Own(Own),
}

pub(crate) type Own = Box<dyn FnOnce(TcpStream) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send>;
type Script = dyn Fn(&Request, usize) -> Reply + Send + Sync;

pub(crate) struct Fake {
    pub(crate) address: String,
    seen: Arc<Mutex<Vec<Request>>>,
    _serving: JoinSet<()>,
}

impl Fake {
    /// Starts a server. The script gets each request and its number, from 0.
    pub(crate) async fn start(script: impl Fn(&Request, usize) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = format!("http://{}", listener.local_addr().expect("an address"));
        let seen = Arc::new(Mutex::new(Vec::new()));
        let script: Arc<Script> = Arc::new(script);
        let mut serving = JoinSet::new();
        let all = Arc::clone(&seen);
        serving.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(stream, Arc::clone(&script), Arc::clone(&all)));
            }
        });
        Self { address, seen, _serving: serving }
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.seen.lock().expect("requests").clone()
    }

    /// A client of this server that does not wait long.
    pub(crate) fn builder(&self) -> ClientBuilder {
        let second = Duration::from_secs(1);
        let timeouts = Timeouts { connect: second, first_byte: second, reply: second, idle: second, live_idle: second };
        let retry = RetryPolicy { base: Duration::from_millis(5), ..RetryPolicy::default() };
        Client::builder(&self.address, entropy()).timeouts(timeouts).retry(retry)
    }

    pub(crate) fn client(&self) -> Client {
        self.builder().build().expect("a client")
    }
}

async fn serve(mut stream: TcpStream, script: Arc<Script>, seen: Arc<Mutex<Vec<Request>>>) {
    while let Some(request) = read(&mut stream).await {
        let number = {
            let mut seen = seen.lock().expect("requests");
            seen.push(request.clone());
            seen.len() - 1
        };
        let answer = match script(&request, number) {
            Reply::Json(status, body) => text(status, "", &body),
            Reply::After(status, seconds, body) => text(status, &format!("retry-after: {seconds}\r\n"), &body),
            Reply::Cut(bytes) => {
                let _ = stream.write_all(bytes.as_bytes()).await;
                return;
            }
            Reply::Hang => std::future::pending().await,
            Reply::Own(own) => return own(stream).await,
        };
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

fn text(status: u16, headers: &str, body: &serde_json::Value) -> String {
    let body = body.to_string();
    format!(
        "HTTP/1.1 {status} Said\r\ncontent-type: application/json\r\n{headers}content-length: {}\r\n\r\n{body}",
        body.len()
    )
}

async fn read(stream: &mut TcpStream) -> Option<Request> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).ok()?;
    let mut lines = head.split("\r\n");
    let mut first = lines.next()?.split(' ');
    let (method, path) = (first.next()?.to_owned(), first.next()?.to_owned());
    let pairs = lines.filter_map(|line| line.split_once(": "));
    let headers: HashMap<_, _> = pairs.map(|(name, value)| (name.to_lowercase(), value.to_owned())).collect();
    let length = headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    Some(Request { method, path, headers, body: String::from_utf8(body).ok()? })
}

/// Answers the handshake of a WebSocket and gives the connection to the test, with these bytes already on their way.
pub(crate) fn web_socket<F>(
    request: &Request,
    first: &'static [u8],
    own: impl FnOnce(TcpStream) -> F + Send + 'static,
) -> Reply
where
    F: Future<Output = ()> + Send + 'static,
{
    use base64::Engine as _;
    let key =
        format!("{}258EAFA5-E914-47DA-95CA-C5AB0DC85B11", request.header("sec-websocket-key").unwrap_or_default());
    let digest = ring::digest::digest(&ring::digest::SHA1_FOR_LEGACY_USE_ONLY, key.as_bytes());
    let accept = base64::engine::general_purpose::STANDARD.encode(digest);
    Reply::Own(Box::new(move |mut stream| {
        Box::pin(async move {
            let head = format!(
                "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
                 sec-websocket-accept: {accept}\r\n\r\n"
            );
            let bytes = [head.as_bytes(), first].concat();
            if stream.write_all(&bytes).await.is_ok() {
                own(stream).await;
            }
        })
    }))
}

/// A text frame of a server, unmasked. At most 125 bytes.
pub(crate) fn frame(text: &str) -> Vec<u8> {
    [&[0x81, u8::try_from(text.len()).expect("a short text")], text.as_bytes()].concat()
}
