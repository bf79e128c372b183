//! A receiver of deliveries that does as it is told: a real HTTP server on a loopback address of its own.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mainstay_domain::{Clock, Secret, Timestamp};
use mainstay_server::app::Outside;
use mainstay_server::webhooks::signature::{Incoming, Refused, Scheme, Secrets, Standard};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// What the receiver does with one request.
#[derive(Clone, Debug)]
pub(crate) enum Answering {
    /// This status with these headers.
    Status(u16, Vec<(&'static str, String)>),
    /// Takes the request and says nothing.
    Hang,
    /// Says 200 and begins a body that does not end.
    HangInBody,
    /// Says 200 and sends so many bytes.
    Bytes(usize),
}

impl Answering {
    pub(crate) fn status(status: u16) -> Self {
        Self::Status(status, Vec::new())
    }
}

/// A request that came.
#[derive(Clone, Debug)]
pub(crate) struct Arrival {
    pub(crate) at: Timestamp,
    pub(crate) headers: http::HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Arrival {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers[name].to_str().expect("text")
    }

    /// Checks the signature as a receiver would that knows this secret.
    pub(crate) fn verify(&self, secret: &str) -> Result<(), Refused> {
        let secrets = Secrets::standard(&[Secret::new(secret.to_owned())]).expect("a secret");
        let incoming = Incoming { headers: &self.headers, url: "http://example.com/", body: &self.body, now: self.at };
        Scheme::Standard(Standard::new(secrets)).verify(&incoming)
    }
}

struct Shared {
    usual: Mutex<Answering>,
    script: Mutex<VecDeque<Answering>>,
    arrivals: watch::Sender<Vec<Arrival>>,
    connections: watch::Sender<usize>,
    clock: Arc<dyn Clock>,
}

/// The receiver.
pub(crate) struct Receiver {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
    _tasks: JoinSet<()>,
}

/// The address that tests deliver to: a loopback address which is on the list of those that are allowed, unlike 127.0.0.1.
pub(crate) const ALLOWED: &str = "127.0.0.2";
/// Generous: the machine may be busy with other tests.
const PATIENCE: Duration = Duration::from_secs(60);

impl Receiver {
    /// Takes what is delivered.
    pub(crate) async fn start() -> Self {
        Self::on(&format!("{ALLOWED}:0")).await
    }

    pub(crate) async fn on(address: &str) -> Self {
        let listener = TcpListener::bind(address).await.expect("an address");
        let address = listener.local_addr().expect("an address");
        let shared = Arc::new(Shared {
            usual: Mutex::new(Answering::status(200)),
            script: Mutex::default(),
            arrivals: watch::Sender::new(Vec::new()),
            connections: watch::Sender::new(0),
            clock: Outside::default().clock,
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, Arc::clone(&shared)));
        Self { address, shared, _tasks: tasks }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    /// Answers so from now on.
    pub(crate) fn answer(&self, answering: Answering) {
        *self.shared.usual.lock().unwrap() = answering;
    }

    /// Answers the next requests so, one after the other.
    pub(crate) fn script(&self, answers: impl IntoIterator<Item = Answering>) {
        self.shared.script.lock().unwrap().extend(answers);
    }

    pub(crate) fn arrivals(&self) -> Vec<Arrival> {
        self.shared.arrivals.borrow().clone()
    }

    /// How many connections were made to it.
    pub(crate) fn connections(&self) -> usize {
        *self.shared.connections.borrow()
    }

    /// Waits until so many requests have come.
    pub(crate) async fn until(&self, count: usize) -> Vec<Arrival> {
        let mut arrivals = self.shared.arrivals.subscribe();
        let came = timeout(PATIENCE, arrivals.wait_for(|arrivals| arrivals.len() >= count)).await;
        let came = came.unwrap_or_else(|_| panic!("{} of {count} came", self.arrivals().len()));
        came.expect("it lives").clone()
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        shared.connections.send_modify(|count| *count += 1);
        connections.spawn(serve(stream, Arc::clone(&shared)));
        while connections.try_join_next().is_some() {}
    }
}

async fn serve(mut stream: TcpStream, shared: Arc<Shared>) {
    let _ = stream.set_nodelay(true);
    while let Some((headers, body)) = read_request(&mut stream).await {
        let usual = shared.usual.lock().unwrap().clone();
        let answering = shared.script.lock().unwrap().pop_front().unwrap_or(usual);
        let at = shared.clock.now();
        shared.arrivals.send_modify(|arrivals| arrivals.push(Arrival { at, headers, body }));
        if reply(&mut stream, answering).await.is_err() {
            return;
        }
    }
}

async fn reply(stream: &mut TcpStream, answering: Answering) -> std::io::Result<()> {
    match answering {
        Answering::Status(status, headers) => {
            let lines: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
            let text = "understood";
            let head = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n{lines}\r\n{text}", text.len());
            stream.write_all(head.as_bytes()).await
        }
        Answering::Hang => std::future::pending().await,
        Answering::HangInBody => {
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\nhalf").await?;
            std::future::pending().await
        }
        Answering::Bytes(count) => {
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {count}\r\n\r\n");
            stream.write_all(head.as_bytes()).await?;
            let piece = [b'x'; 16 * 1024];
            for _ in 0..count / piece.len() {
                stream.write_all(&piece).await?;
            }
            stream.write_all(&piece[..count % piece.len()]).await
        }
    }
}

async fn read_request(stream: &mut TcpStream) -> Option<(http::HeaderMap, Vec<u8>)> {
    let mut bytes = Vec::new();
    let head_end = loop {
        if let Some(position) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break position + 4;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8_lossy(&bytes[..head_end]).into_owned();
    let headers: http::HeaderMap = head
        .lines()
        .skip(1)
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.parse::<http::HeaderName>().expect("a name"), value.parse().expect("a value")))
        .collect();
    let length: usize = headers.get("content-length")?.to_str().ok()?.parse().ok()?;
    while bytes.len() < head_end + length {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
    Some((headers, bytes[head_end..head_end + length].to_vec()))
}
