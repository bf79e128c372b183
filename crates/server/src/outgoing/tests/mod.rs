//! The client against receivers that misbehave, names that change, and addresses written in every way.
//!
//! 127.0.0.2 is allowed here and plays the internet; 127.0.0.1 is not, and has a canary that nobody may touch.

mod addresses;
mod answers;
mod bare;
mod names;
mod tls;
mod urls;

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use std::{io, thread};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::HeaderMap;
use tokio::sync::oneshot;
use url::Url;

use super::{Answer, Failure, Lookup, Outgoing, Rules, Settings};

/// How long anything may take that must happen. It never does.
const PATIENCE: Duration = Duration::from_secs(20);
/// A deadline that is meant to strike.
const SHORT: Duration = Duration::from_millis(300);
/// The address that may be called.
const OUTSIDE: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));
/// The address that may not.
const INSIDE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

fn rules() -> Rules {
    Rules { allow_http: true, allowed: vec!["127.0.0.2/32".parse().unwrap()], refused: Vec::new() }
}

fn settings() -> Settings {
    Settings { deadline: PATIENCE, connect_timeout: PATIENCE, rules: rules(), ..Settings::default() }
}

fn client(settings: Settings, names: &Names) -> Outgoing {
    let _ = rustls::crypto::ring::default_provider().install_default();
    Outgoing::with_lookup(settings, Arc::new(names.clone())).unwrap()
}

async fn post(client: &Outgoing, url: &str) -> Result<Answer, Failure> {
    client.post(&Url::parse(url).unwrap(), HeaderMap::new(), Bytes::from_static(b"{}")).await
}

/// What one name stands for, one answer for each question. The last one stays.
#[derive(Clone, Default)]
struct Names {
    answers: Arc<Mutex<VecDeque<Vec<IpAddr>>>>,
    asked: Arc<AtomicUsize>,
}

impl Names {
    fn new<const N: usize>(answers: [&[IpAddr]; N]) -> Self {
        let answers = answers.into_iter().map(<[IpAddr]>::to_vec).collect();
        Self { answers: Arc::new(Mutex::new(answers)), ..Self::default() }
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

impl Lookup for Names {
    fn lookup(&self, _: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let mut answers = self.answers.lock().unwrap();
        let answer = if answers.len() > 1 { answers.pop_front() } else { answers.front().cloned() };
        Box::pin(async move { answer.ok_or_else(|| io::Error::from(ErrorKind::NotFound)) })
    }
}

/// A receiver on a thread of its own, and what its script found out.
struct Receiver<T> {
    address: SocketAddr,
    outcome: oneshot::Receiver<T>,
}

impl<T: Send + 'static> Receiver<T> {
    /// Listens on 127.0.0.2 and runs the script with the listener.
    fn listen(script: impl FnOnce(TcpListener) -> T + Send + 'static) -> Self {
        Self::on(TcpListener::bind((OUTSIDE, 0)).unwrap(), script)
    }

    fn on(listener: TcpListener, script: impl FnOnce(TcpListener) -> T + Send + 'static) -> Self {
        let address = listener.local_addr().unwrap();
        let (tell, outcome) = oneshot::channel();
        thread::spawn(move || tell.send(script(listener)).ok());
        Self { address, outcome }
    }

    /// Takes one connection and one request, and runs the script with both.
    fn once(script: impl FnOnce(&mut TcpStream, String) -> T + Send + 'static) -> Self {
        Self::listen(|listener| {
            let mut stream = accept(&listener);
            let request = read_request(&mut stream);
            script(&mut stream, request)
        })
    }

    fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    /// What the script returned. Fails when it panicked.
    async fn outcome(self) -> T {
        tokio::time::timeout(PATIENCE, self.outcome).await.expect("the script ends").expect("the script does not panic")
    }
}

fn accept(listener: &TcpListener) -> TcpStream {
    let (stream, _) = listener.accept().unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// The head and the body of a request with a length.
fn read_request(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    let mut piece = [0; 4096];
    loop {
        let count = stream.read(&mut piece).unwrap();
        assert!(count > 0, "the request ends early: {:?}", String::from_utf8_lossy(&text));
        text.extend_from_slice(&piece[..count]);
        let request = String::from_utf8(text.clone()).unwrap();
        let Some((head, body)) = request.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap_or("0");
        if body.len() >= length.parse().unwrap() {
            return request;
        }
    }
}

fn write(stream: &mut TcpStream, text: &str) {
    stream.write_all(text.as_bytes()).unwrap();
}

/// Waits for the other side to go. Whether it did, by an end or by a reset.
fn sees_the_end(stream: &mut TcpStream) -> bool {
    match stream.read(&mut [0; 16]) {
        Ok(count) => count == 0,
        Err(error) => matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe),
    }
}

/// A listener that must not be connected to.
struct Canary(TcpListener);

impl Canary {
    fn on(address: impl Into<SocketAddr>) -> Self {
        let listener = TcpListener::bind(address.into()).unwrap();
        listener.set_nonblocking(true).unwrap();
        Self(listener)
    }

    fn address(&self) -> SocketAddr {
        self.0.local_addr().unwrap()
    }

    /// Over loopback a connection waits here from the moment that connecting succeeds, so there is nothing to wait for.
    #[track_caller]
    fn is_untouched(&self) {
        let came = self.0.accept().map(|(_, from)| from);
        assert!(came.as_ref().is_err_and(|error| error.kind() == ErrorKind::WouldBlock), "touched: {came:?}");
    }
}

/// A listener outside, and a canary inside on the same port.
fn outside_and_inside() -> (TcpListener, Canary) {
    for _ in 0..100 {
        let outside = TcpListener::bind((OUTSIDE, 0)).unwrap();
        let port = outside.local_addr().unwrap().port();
        let Ok(inside) = TcpListener::bind((INSIDE, port)) else { continue };
        inside.set_nonblocking(true).unwrap();
        return (outside, Canary(inside));
    }
    panic!("no port is free on both addresses");
}

#[tokio::test]
async fn a_canary_notices_a_connection() {
    let canary = Canary::on((INSIDE, 0));
    canary.is_untouched();
    let _connection = tokio::net::TcpStream::connect(canary.address()).await.unwrap();
    assert!(canary.0.accept().is_ok());
}
