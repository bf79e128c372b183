//! An issuer for tests: real HTTP on a free port of this machine, and keys to sign with.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{self, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinSet;

/// What the issuer answers.
#[derive(Clone)]
pub(crate) enum Answer {
    /// These keys, with this `Cache-Control`.
    Keys(Vec<Value>, &'static str),
    /// These keys, once [`FakeIssuer::release`] is called.
    KeysWhenReleased(Vec<Value>),
    /// This status, with keys in the body that must not be believed.
    Status(u16, Vec<Value>),
    /// Elsewhere.
    Redirect(String),
    /// This text.
    Text(String),
    /// A body that does not end.
    Endless,
    /// Nothing, while the connection stays open.
    Hang,
    /// The end of the connection.
    Close,
}

pub(crate) struct FakeIssuer {
    address: SocketAddr,
    answer: Arc<Mutex<Answer>>,
    hits: Arc<AtomicUsize>,
    asked: Arc<Notify>,
    release: Arc<Notify>,
    _server: JoinSet<()>,
}

impl FakeIssuer {
    pub(crate) async fn start(answer: Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (answer, hits) = (Arc::new(Mutex::new(answer)), Arc::new(AtomicUsize::new(0)));
        let (asked, release) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let mut server = JoinSet::new();
        let shared = (Arc::clone(&answer), Arc::clone(&hits), Arc::clone(&asked), Arc::clone(&release));
        server.spawn(async move {
            let (answer, hits, asked, release) = shared;
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                hits.fetch_add(1, Ordering::SeqCst);
                let answer = answer.lock().unwrap().clone();
                connections.spawn(serve(stream, answer, Arc::clone(&asked), Arc::clone(&release)));
            }
        });
        Self { address, answer, hits, asked, release, _server: server }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/.well-known/jwks.json", self.address)
    }

    pub(crate) fn answer(&self, answer: Answer) {
        *self.answer.lock().unwrap() = answer;
    }

    /// How often it was asked.
    pub(crate) fn hits(&self) -> usize {
        self.hits.load(Ordering::SeqCst)
    }

    /// Waits until a request has been read.
    pub(crate) async fn asked(&self) {
        self.asked.notified().await;
    }

    /// Lets one answer go that waits for it.
    pub(crate) fn release(&self) {
        self.release.notify_one();
    }
}

async fn serve(mut stream: TcpStream, answer: Answer, asked: Arc<Notify>, release: Arc<Notify>) {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => request.push(byte),
            Err(_) => return,
        }
    }
    asked.notify_one();
    let keys = |keys: Vec<Value>| json!({ "keys": keys }).to_string();
    let (status, header, body) = match answer {
        Answer::Keys(set, control) => (200, format!("cache-control: {control}"), keys(set)),
        Answer::KeysWhenReleased(set) => {
            release.notified().await;
            (200, String::new(), keys(set))
        }
        Answer::Status(status, set) => (status, String::new(), keys(set)),
        Answer::Redirect(to) => (302, format!("location: {to}"), String::new()),
        Answer::Text(text) => (200, String::new(), text),
        Answer::Hang => std::future::pending().await,
        Answer::Close => return,
        Answer::Endless => {
            let head = "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{\"keys\":[],\"x\":\"";
            let mut going = stream.write_all(head.as_bytes()).await;
            while going.is_ok() {
                going = stream.write_all(&[b'x'; 16 * 1024]).await;
            }
            return;
        }
    };
    let header = if header.is_empty() { header } else { format!("{header}\r\n") };
    let head = format!("HTTP/1.1 {status} x\r\n{header}content-length: {}\r\nconnection: close\r\n\r\n", body.len());
    // The client may have gone away, which some tests do on purpose.
    let _ = stream.write_all(format!("{head}{body}").as_bytes()).await;
}

/// A key pair, made for one test.
pub(crate) enum Signer {
    P256(EcdsaKeyPair),
    P384(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

impl Signer {
    pub(crate) fn p256() -> Self {
        Self::P256(ecdsa(&signature::ECDSA_P256_SHA256_FIXED_SIGNING))
    }

    pub(crate) fn p384() -> Self {
        Self::P384(ecdsa(&signature::ECDSA_P384_SHA384_FIXED_SIGNING))
    }

    pub(crate) fn ed25519() -> Self {
        let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        Self::Ed25519(Ed25519KeyPair::from_pkcs8(document.as_ref()).unwrap())
    }

    pub(crate) fn algorithm(&self) -> &'static str {
        match self {
            Self::P256(_) => "ES256",
            Self::P384(_) => "ES384",
            Self::Ed25519(_) => "EdDSA",
        }
    }

    pub(crate) fn jwk(&self, kid: &str) -> Value {
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        match self {
            Self::P256(pair) | Self::P384(pair) => {
                let (x, y) = pair.public_key().as_ref()[1..].split_at(pair.public_key().as_ref().len() / 2);
                let curve = if x.len() == 32 { "P-256" } else { "P-384" };
                json!({
                    "kty": "EC", "crv": curve, "kid": kid, "use": "sig", "alg": self.algorithm(),
                    "x": encode(x), "y": encode(y),
                })
            }
            Self::Ed25519(pair) => json!({
                "kty": "OKP", "crv": "Ed25519", "kid": kid, "use": "sig", "x": encode(pair.public_key().as_ref()),
            }),
        }
    }

    pub(crate) fn sign(&self, message: &[u8]) -> Vec<u8> {
        match self {
            Self::P256(pair) | Self::P384(pair) => pair.sign(&SystemRandom::new(), message).unwrap().as_ref().to_vec(),
            Self::Ed25519(pair) => pair.sign(message).as_ref().to_vec(),
        }
    }

    /// A token with this header and these claims, whatever they say.
    pub(crate) fn token(&self, header: &Value, claims: &Value) -> String {
        self.token_of_text(&header.to_string(), &claims.to_string())
    }

    pub(crate) fn token_of_text(&self, header: &str, claims: &str) -> String {
        let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(self.sign(message.as_bytes())))
    }
}

fn ecdsa(algorithm: &'static signature::EcdsaSigningAlgorithm) -> EcdsaKeyPair {
    let random = SystemRandom::new();
    let document = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
    EcdsaKeyPair::from_pkcs8(algorithm, document.as_ref(), &random).unwrap()
}
