//! A model provider that does as it is told: a real HTTP server on a free loopback port that speaks the Messages API
//! at `/v1/messages` and chat completions at `/v1/chat/completions`. Each request takes the next behaviour of the
//! script, or the usual one when the script is done.

#[path = "fake_protocol.rs"]
mod protocol;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use self::protocol::Wire;

/// What the server does with one request.
#[derive(Clone, Debug)]
pub(crate) enum Behaviour {
    /// A whole answer in these pieces.
    Answer(Vec<String>),
    /// The same, each piece when the gate lets it pass, and so the end.
    Gated(Vec<String>, Gate),
    /// A whole answer that ends because of the limit of tokens.
    Truncated(Vec<String>),
    /// A whole answer: these pieces, and the wish to use these tools, each with its arguments.
    Uses(Vec<String>, Vec<(String, String)>),
    /// The same, and the connection is reset before the answer is whole.
    CutAfterUses(Vec<String>, Vec<(String, String)>),
    /// A whole answer without any count of tokens.
    Uncounted(Vec<String>),
    /// This status with these headers and this body.
    Status(u16, Vec<(&'static str, &'static str)>, String),
    /// Refuses `stream_options` with 400; answers without it.
    RefuseStreamOptions(Vec<String>),
    /// Takes the request and says nothing.
    HangBeforeHeaders,
    /// Says 200 and nothing more.
    HangAfterHeaders,
    /// Says these pieces and nothing more.
    HangAfter(Vec<String>),
    /// Says these pieces and resets the connection.
    CutAfter(Vec<String>),
    /// Says these pieces, closes its half of the connection and keeps the other open.
    HalfCloseAfter(Vec<String>),
    /// Says these pieces and ends the body as if it were whole.
    EndAfter(Vec<String>),
    /// Says these pieces, then pings for ever.
    PingAfter(Vec<String>),
    /// Says these pieces, then reports an error of this type inside the stream.
    ErrorAfter(Vec<String>, &'static str),
    /// A whole answer, one byte a chunk.
    ByteByByte(Vec<String>),
    /// A whole answer whose last event lacks its blank line.
    NoLastBlankLine(Vec<String>),
    /// A whole answer, and then the connection stays open without a word.
    NeverEnds(Vec<String>),
    /// These bytes as the body of an event stream.
    Raw(Vec<u8>),
    /// The same, and then nothing more.
    RawThenHang(Vec<u8>),
    /// This status, and a body that never comes.
    StatusThenHang(u16),
}

impl Behaviour {
    /// A whole answer in one piece for each word.
    pub(crate) fn words(text: &str) -> Self {
        Self::Answer(pieces(text))
    }

    /// Nothing said, and the wish to use one tool.
    pub(crate) fn uses(name: &str, arguments: &Value) -> Self {
        Self::Uses(Vec::new(), vec![(name.to_owned(), arguments.to_string())])
    }

    /// 429 that asks to come back after so many milliseconds.
    pub(crate) fn rate_limited(after_ms: &'static str) -> Self {
        Self::Status(429, vec![("retry-after-ms", after_ms)], error_body("rate_limit_error"))
    }

    /// This status with the body that the real servers give.
    pub(crate) fn status(status: u16, error_type: &str) -> Self {
        Self::Status(status, Vec::new(), error_body(error_type))
    }
}

/// A text cut after each space.
pub(crate) fn pieces(text: &str) -> Vec<String> {
    text.split_inclusive(' ').map(str::to_owned).collect()
}

fn error_body(error_type: &str) -> String {
    json!({"type": "error", "error": {"type": error_type, "message": "as told"}}).to_string()
}

/// Lets pieces pass one by one.
#[derive(Clone, Debug)]
pub(crate) struct Gate(Arc<Semaphore>);

impl Gate {
    /// A closed gate.
    pub(crate) fn new() -> Self {
        Self(Arc::new(Semaphore::new(0)))
    }

    /// Lets so many pieces pass, over all requests that wait at this gate.
    pub(crate) fn release(&self, count: usize) {
        self.0.add_permits(count);
    }
}

/// A request as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    /// The path.
    pub(crate) path: String,
    /// The headers, names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    /// The body.
    pub(crate) body: Value,
}

impl Received {
    /// The value of a header.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }
}

/// What has happened so far.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    /// Connections that were opened.
    pub(crate) connections: usize,
    /// Requests that arrived.
    pub(crate) requests: usize,
    /// Requests whose client went away before the end.
    pub(crate) hangups: usize,
}

struct Shared {
    script: Mutex<VecDeque<Behaviour>>,
    usual: Mutex<Behaviour>,
    received: Mutex<Vec<Received>>,
    counts: watch::Sender<Counts>,
}

/// The server. It stops when it is dropped.
pub(crate) struct FakeProvider {
    address: SocketAddr,
    shared: Arc<Shared>,
    _tasks: JoinSet<()>,
}

impl FakeProvider {
    /// Starts one. Its usual behaviour is a short answer.
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            script: Mutex::default(),
            usual: Mutex::new(Behaviour::words("Hello from the fake provider.")),
            received: Mutex::default(),
            counts: watch::Sender::new(Counts::default()),
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, Arc::clone(&shared)));
        Self { address, shared, _tasks: tasks }
    }

    /// The base URL for the Messages API.
    pub(crate) fn anthropic_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The base URL for chat completions.
    pub(crate) fn openai_url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// Adds a behaviour to the script.
    pub(crate) fn push(&self, behaviour: Behaviour) {
        self.shared.script.lock().unwrap().push_back(behaviour);
    }

    /// Sets what is done when the script is done.
    pub(crate) fn usually(&self, behaviour: Behaviour) {
        *self.shared.usual.lock().unwrap() = behaviour;
    }

    /// Every request so far.
    pub(crate) fn received(&self) -> Vec<Received> {
        self.shared.received.lock().unwrap().clone()
    }

    /// The counts so far.
    pub(crate) fn counts(&self) -> Counts {
        *self.shared.counts.borrow()
    }

    /// Waits until the counts are as wanted.
    pub(crate) async fn until(&self, wanted: impl Fn(&Counts) -> bool) -> Counts {
        *self.shared.counts.subscribe().wait_for(|counts| wanted(counts)).await.unwrap()
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        shared.counts.send_modify(|counts| counts.connections += 1);
        connections.spawn(serve(stream, Arc::clone(&shared)));
        while connections.try_join_next().is_some() {}
    }
}

/// How a request ended.
enum Ending {
    /// In full: the connection can be used again.
    Whole,
    /// The connection is done with.
    Closed,
    /// The client went away.
    HungUp,
}

async fn serve(mut stream: TcpStream, shared: Arc<Shared>) {
    let _ = stream.set_nodelay(true);
    while let Some(received) = read_request(&mut stream).await {
        let behaviour = {
            let usual = shared.usual.lock().unwrap().clone();
            shared.script.lock().unwrap().pop_front().unwrap_or(usual)
        };
        let wire = if received.path.ends_with("/messages") { Wire::Anthropic } else { Wire::OpenAi };
        let with_options = received.body.get("stream_options").is_some();
        shared.received.lock().unwrap().push(received);
        shared.counts.send_modify(|counts| counts.requests += 1);
        match (Talk { stream: &mut stream, wire }).perform(behaviour, with_options).await {
            Ok(Ending::Whole) => {}
            Ok(Ending::Closed) => return,
            Ok(Ending::HungUp) | Err(_) => return shared.counts.send_modify(|counts| counts.hangups += 1),
        }
    }
}

async fn read_request(stream: &mut TcpStream) -> Option<Received> {
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
    let mut lines = head.lines();
    let path = lines.next()?.split(' ').nth(1)?.to_owned();
    let headers: Vec<_> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
        .collect();
    let length: usize = headers.iter().find(|(name, _)| name == "content-length")?.1.parse().ok()?;
    while bytes.len() < head_end + length {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
    let body = serde_json::from_slice(&bytes[head_end..head_end + length]).unwrap_or(Value::Null);
    Some(Received { path, headers, body })
}

/// One answer.
struct Talk<'a> {
    stream: &'a mut TcpStream,
    wire: Wire,
}

impl Talk<'_> {
    async fn perform(&mut self, behaviour: Behaviour, with_options: bool) -> std::io::Result<Ending> {
        use Behaviour as B;
        let wire = self.wire;
        match behaviour {
            B::Answer(pieces) => return self.whole(&pieces, wire.ending(false, true)).await,
            B::Truncated(pieces) => return self.whole(&pieces, wire.ending(true, true)).await,
            B::Uncounted(pieces) => {
                self.head().await?;
                self.chunk(wire.opening(false).as_bytes()).await?;
                self.say(&pieces).await?;
                self.chunk(wire.ending(false, false).as_bytes()).await?;
                return self.end().await;
            }
            B::Uses(pieces, uses) => return self.whole(&pieces, wire.uses(&uses) + &wire.ending_to_use()).await,
            B::CutAfterUses(pieces, uses) => {
                self.begin(&pieces).await?;
                self.chunk(wire.uses(&uses).as_bytes()).await?;
                self.stream.set_zero_linger()?;
                return Ok(Ending::Closed);
            }
            B::NoLastBlankLine(pieces) => {
                return self.whole(&pieces, wire.ending(false, true).trim_end().to_owned()).await;
            }
            B::Gated(pieces, gate) => return self.gated(&pieces, &gate).await,
            B::Status(status, headers, body) => return self.status(status, &headers, &body).await,
            B::RefuseStreamOptions(_) if with_options => {
                return self.status(400, &[], r#"{"error":{"message":"unknown field"}}"#).await;
            }
            B::RefuseStreamOptions(pieces) => return self.whole(&pieces, wire.ending(false, false)).await,
            B::ByteByByte(pieces) => return self.byte_by_byte(&pieces).await,
            B::Raw(body) => {
                self.head().await?;
                self.chunk(&body).await?;
                return self.end().await;
            }
            B::RawThenHang(body) => {
                self.head().await?;
                self.chunk(&body).await?;
            }
            B::StatusThenHang(status) => {
                let head = format!("HTTP/1.1 {status} As Told\r\ncontent-length: 100\r\n\r\n");
                self.stream.write_all(head.as_bytes()).await?;
            }
            B::HangBeforeHeaders => {}
            B::HangAfterHeaders => self.head().await?,
            B::HangAfter(pieces) => self.begin(&pieces).await?,
            B::NeverEnds(pieces) => {
                self.begin(&pieces).await?;
                self.chunk(wire.ending(false, true).as_bytes()).await?;
            }
            B::CutAfter(pieces) => {
                self.begin(&pieces).await?;
                self.stream.set_zero_linger()?;
                return Ok(Ending::Closed);
            }
            B::HalfCloseAfter(pieces) => {
                self.begin(&pieces).await?;
                self.stream.shutdown().await?;
            }
            B::EndAfter(pieces) => {
                self.begin(&pieces).await?;
                return self.end().await;
            }
            B::PingAfter(pieces) => {
                self.begin(&pieces).await?;
                return self.ping_for_ever().await;
            }
            B::ErrorAfter(pieces, error_type) => {
                self.begin(&pieces).await?;
                self.chunk(wire.error(error_type).as_bytes()).await?;
                return self.end().await;
            }
        }
        gone(self.stream).await;
        Ok(Ending::HungUp)
    }

    async fn head(&mut self) -> std::io::Result<()> {
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
        self.stream.write_all(head.as_bytes()).await
    }

    async fn chunk(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        let mut framed = format!("{:x}\r\n", bytes.len()).into_bytes();
        framed.extend_from_slice(bytes);
        framed.extend_from_slice(b"\r\n");
        self.stream.write_all(&framed).await
    }

    async fn end(&mut self) -> std::io::Result<Ending> {
        self.stream.write_all(b"0\r\n\r\n").await?;
        Ok(Ending::Whole)
    }

    async fn say(&mut self, pieces: &[String]) -> std::io::Result<()> {
        for piece in pieces {
            self.chunk(self.wire.piece(piece).as_bytes()).await?;
        }
        Ok(())
    }

    async fn begin(&mut self, pieces: &[String]) -> std::io::Result<()> {
        self.head().await?;
        self.chunk(self.wire.opening(true).as_bytes()).await?;
        self.say(pieces).await
    }

    async fn whole(&mut self, pieces: &[String], ending: String) -> std::io::Result<Ending> {
        self.begin(pieces).await?;
        self.chunk(ending.as_bytes()).await?;
        self.end().await
    }

    async fn gated(&mut self, pieces: &[String], gate: &Gate) -> std::io::Result<Ending> {
        self.begin(&[]).await?;
        for index in 0..=pieces.len() {
            tokio::select! {
                permit = gate.0.acquire() => permit.unwrap().forget(),
                () = gone(self.stream) => return Ok(Ending::HungUp),
            }
            self.say(pieces.get(index..=index).unwrap_or_default()).await?;
        }
        self.chunk(self.wire.ending(false, true).as_bytes()).await?;
        self.end().await
    }

    async fn status(&mut self, status: u16, headers: &[(&str, &str)], body: &str) -> std::io::Result<Ending> {
        let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let length = body.len();
        let answer = format!(
            "HTTP/1.1 {status} As Told\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n{headers}\r\n{body}"
        );
        self.stream.write_all(answer.as_bytes()).await?;
        Ok(Ending::Whole)
    }

    async fn byte_by_byte(&mut self, pieces: &[String]) -> std::io::Result<Ending> {
        let mut text = self.wire.opening(true);
        text.extend(pieces.iter().map(|piece| self.wire.piece(piece)));
        text += &self.wire.ending(false, true);
        self.head().await?;
        for byte in text.into_bytes() {
            self.chunk(&[byte]).await?;
        }
        self.end().await
    }

    async fn ping_for_ever(&mut self) -> std::io::Result<Ending> {
        let mut pace = tokio::time::interval(Duration::from_millis(10));
        loop {
            tokio::select! {
                _ = pace.tick() => {}
                () = gone(self.stream) => return Ok(Ending::HungUp),
            }
            self.chunk(self.wire.ping().as_bytes()).await?;
        }
    }
}

/// Waits until the client has closed the connection.
async fn gone(stream: &TcpStream) {
    let _ = stream.peek(&mut [0]).await;
}
