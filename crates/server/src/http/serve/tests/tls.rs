//! The same over TLS of the server's own.

use mainstay_testing::{Scratch, SelfSigned};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ProtocolVersion, RootCertStore, SupportedProtocolVersion};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::*;
use crate::ops::audit::handshake::{GOOD, Reply, TLS12, VERSIONS, WEAK, offer, shown};

/// A server with a certificate, and the files that it is in.
struct Secure {
    running: Running,
    tls: Arc<Tls>,
    own: SelfSigned,
    files: Scratch,
}

impl Secure {
    async fn start() -> Self {
        let (own, files) = (SelfSigned::of(&["localhost"]), Scratch::new().expect("a folder"));
        let (certificate, key) = own.write_to(files.path());
        let settings = config::Tls {
            certificate_path: certificate.display().to_string(),
            key_path: key.display().to_string(),
            look_seconds: 1,
            redirect_port: 0,
        };
        let metrics = HttpMetrics::register(&mut prometheus_client::registry::Registry::default());
        let tls = Tls::open(&settings, &metrics).expect("it opens").expect("it is on");
        let running = start_with(config(), Some(Arc::clone(&tls))).await;
        tls.start(&running.lifecycle);
        Self { running, tls, own, files }
    }

    async fn connect(&self, versions: &[&'static SupportedProtocolVersion]) -> TlsStream<TcpStream> {
        let mut roots = RootCertStore::empty();
        roots.add(self.own.certificate()).expect("a root");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut client = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .expect("versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        client.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let stream = TcpStream::connect(self.running.address).await.expect("a connection");
        let name = ServerName::try_from("localhost").expect("a name");
        TlsConnector::from(Arc::new(client)).connect(name, stream).await.expect("a handshake")
    }

    fn place(&self) -> (&'static str, u16) {
        ("127.0.0.1", self.running.address.port())
    }
}

async fn ask(stream: &mut TlsStream<TcpStream>, path: &str) -> String {
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut all = Vec::new();
    while !all.ends_with(b"ok") {
        all.push(stream.read_u8().await.expect("more"));
    }
    String::from_utf8(all).expect("text")
}

#[tokio::test]
async fn both_versions_are_spoken_and_one_protocol() {
    let secure = Secure::start().await;
    for (version, spoken) in
        [(&rustls::version::TLS12, ProtocolVersion::TLSv1_2), (&rustls::version::TLS13, ProtocolVersion::TLSv1_3)]
    {
        let mut stream = secure.connect(&[version]).await;
        assert_eq!(stream.get_ref().1.protocol_version(), Some(spoken));
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(b"http/1.1".as_slice()));
        assert_eq!(status(&ask(&mut stream, "/ok").await), "200");
        assert_eq!(status(&ask(&mut stream, "/ok").await), "200", "the connection is kept");
    }
}

#[tokio::test]
async fn nothing_older_and_nothing_weak_is_spoken() {
    let secure = Secure::start().await;
    let all: Vec<u16> = GOOD.into_iter().chain(WEAK.map(|(suite, _)| suite)).collect();
    for (version, name) in VERSIONS {
        let reply = offer(secure.place(), version, &all).await.expect("an answer");
        match version {
            TLS12 => {
                assert!(matches!(reply, Reply::Accepts { version: TLS12, suite } if GOOD.contains(&suite)), "{reply:?}")
            }
            // protocol_version, RFC 8446, section 6.2.
            _ => assert!(matches!(reply, Reply::Refuses(70) | Reply::Closes), "{name}: {reply:?}"),
        }
    }
    for (suite, fault) in WEAK {
        // handshake_failure.
        assert_eq!(offer(secure.place(), TLS12, &[suite]).await.expect("an answer"), Reply::Refuses(40), "{fault}");
    }
}

#[tokio::test]
async fn who_does_not_shake_hands_is_cut_off_and_counted() {
    let secure = Secure::start().await;
    let failed = || secure.tls.failed();
    assert_eq!(secure.running.exchange("GET /ok HTTP/1.1\r\nHost: a\r\n\r\n").await.find("200"), None, "in the clear");
    let mut silent = secure.running.connect().await;
    assert_eq!(silent.rest().await, "", "nothing is said to who says nothing");
    let mut half = secure.running.connect().await;
    half.send([22, 3, 1, 2, 0, 1]).await;
    assert_eq!(half.rest().await, "");
    secure.running.wait_until("three are counted", |_| failed() == 3).await;
    let mut stream = secure.connect(rustls::ALL_VERSIONS).await;
    assert_eq!(status(&ask(&mut stream, "/ok").await), "200");
}

#[tokio::test]
async fn slow_heads_and_idle_connections_are_cut_off_under_tls_too() {
    let secure = Secure::start().await;
    let mut slow = secure.connect(rustls::ALL_VERSIONS).await;
    slow.write_all(b"GET /ok HTTP/1.1\r\nHost: a\r\nX: ").await.expect("sent");
    let mut idle = secure.connect(rustls::ALL_VERSIONS).await;
    ask(&mut idle, "/ok").await;
    for mut stream in [slow, idle] {
        let end = async { while let Ok(1..) = stream.read(&mut [0; 512]).await {} };
        assert!(tokio::time::timeout(FOR_EVER, end).await.is_ok(), "it stays open");
    }
}

#[tokio::test]
async fn a_renewed_certificate_is_shown_without_a_restart_and_nobody_is_cut_off() {
    let secure = Secure::start().await;
    let mut before = secure.connect(rustls::ALL_VERSIONS).await;
    before.write_all(b"GET /wait HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await.expect("sent");
    secure.running.begun.notified().await;
    assert_eq!(shown(secure.place(), "localhost").await.expect("one"), secure.own.certificate());
    let renewed = SelfSigned::of(&["localhost"]);
    renewed.write_to(secure.files.path());
    let begun = Instant::now();
    while shown(secure.place(), "localhost").await.expect("one") != renewed.certificate() {
        assert!(begun.elapsed() < FOR_EVER, "the old one is shown");
    }
    secure.running.release.notify_one();
    let mut answer = String::new();
    before.read_to_string(&mut answer).await.expect("an answer");
    assert!(answer.ends_with("waited"), "who was there before stays: {answer}");
    assert_eq!(secure.tls.certificate().certificate, renewed.certificate());
}

#[tokio::test]
async fn a_stop_finishes_what_is_asked_and_waits_for_no_handshake() {
    let secure = Secure::start().await;
    let mut waiting = secure.connect(rustls::ALL_VERSIONS).await;
    waiting.write_all(b"GET /wait HTTP/1.1\r\nHost: a\r\n\r\n").await.expect("sent");
    secure.running.begun.notified().await;
    let _half = secure.running.connect().await;
    let release = Arc::clone(&secure.running.release);
    let finishing = async {
        secure.running.lifecycle.stopped().await;
        release.notify_one();
        let mut answer = String::new();
        waiting.read_to_string(&mut answer).await.expect("an answer");
        answer
    };
    let (drained, answer) = tokio::join!(secure.running.lifecycle.drain(FOR_EVER), finishing);
    assert!(answer.ends_with("waited"), "{answer}");
    assert_eq!(drained.cut, []);
}
