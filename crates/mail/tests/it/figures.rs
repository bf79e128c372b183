//! What it costs, told on demand: `cargo test --release -p mainstay-mail --test it figures -- --ignored --nocapture`.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mainstay_domain::{Secret, Timestamp};
use mainstay_mail::dkim::{Key, Signer, sign};
use mainstay_mail::message::{Address, Letter, Mailbox, Unsubscribe};
use mainstay_mail::smtp::{Outcome, Security, Server, Session, SignIn, Timeouts};
use mainstay_testing::{SinkOptions, SmtpSink};
use tokio::net::TcpStream;
use tokio::time::Instant;

fn letter(number: usize) -> Letter {
    let person =
        |name: &str, address: &str| Mailbox { name: name.to_owned(), address: Address::parse("to", address).unwrap() };
    Letter {
        from: person("Ada Lovelace", "ada@a.example"),
        to: person("Zoë Müller", &format!("zoe{number}@b.example")),
        reply_to: None,
        subject: "A question about your summer plans, Zoë".to_owned(),
        text: "Dear Zoë,\n\nwe have met in Berlin, and I should like to ask you something.\n".repeat(10),
        html: Some(
            "<p>Dear Zoë,</p><p>we have met in Berlin, and I should like to ask you something.</p>\n".repeat(12),
        ),
        message_id: format!("{number}.x@a.example"),
        date: Timestamp::from_millis(1_795_982_400_000),
        in_reply_to: None,
        references: Vec::new(),
        list_unsubscribe: Some(Unsubscribe { https: format!("https://a.example/u/{number:032}"), mailto: None }),
        list_id: None,
        feedback_id: None,
        auto_submitted: None,
    }
}

#[expect(clippy::print_stdout, reason = "the figures are what the test is for")]
fn rate(what: &str, count: usize, took: Duration) {
    println!("{what}: {:.0} a second", count as f64 / took.as_secs_f64());
}

#[test]
#[ignore = "prints figures; run in release"]
fn figures_of_writing_and_signing() {
    const COUNT: usize = 3_000;
    let label = ["RSA", "PRIVATE", "KEY"].join(" ");
    let der = STANDARD.encode(include_bytes!("../keys/rsa2048.pkcs1.der"));
    let pem = Secret::new(format!("-----BEGIN {label}-----\n{der}\n-----END {label}-----\n"));
    let rsa = [Signer::new("a.example", "rsa", Key::from_pem(&pem).unwrap()).unwrap()];
    let ed25519 = [Signer::new("a.example", "new", Key::from_seed(&[7; 32]).unwrap()).unwrap()];
    println!("a message of {} bytes", letter(0).write().unwrap().len());
    for (what, signers) in [
        ("written", &[][..]),
        ("written and signed with RSA 2048", &rsa),
        ("written and signed with Ed25519", &ed25519),
    ] {
        let started = Instant::now();
        for number in 0..COUNT {
            let message = letter(number).write().unwrap();
            std::hint::black_box(sign(&message, signers, Timestamp::EPOCH).unwrap());
        }
        rate(what, COUNT, started.elapsed());
    }
}

#[test]
#[ignore = "prints figures; run in release"]
fn figures_of_sending() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    for pipelining in [true, false] {
        for sessions in [1, 20] {
            let sink = SmtpSink::start(SinkOptions { pipelining, ..SinkOptions::default() }).unwrap();
            let count = 6_000 / sessions;
            let started = Instant::now();
            runtime.block_on(async {
                let mut senders = tokio::task::JoinSet::new();
                for session in 0..sessions {
                    senders.spawn(send(sink.address(), session, count));
                }
                while let Some(ended) = senders.join_next().await {
                    ended.unwrap();
                }
            });
            let with = if pipelining { "with" } else { "without" };
            rate(&format!("sent over {sessions} sessions {with} pipelining"), count * sessions, started.elapsed());
            assert_eq!((sink.count(), sink.duplicates().len()), (count * sessions, 0));
        }
    }
}

async fn send(address: std::net::SocketAddr, session: usize, count: usize) {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let server = Server {
        name: "localhost".to_owned(),
        security: Security::None,
        tls: Arc::new(tls.with_root_certificates(rustls::RootCertStore::empty()).with_no_client_auth()),
        sign_in: SignIn::None,
        hello: "test.example".to_owned(),
    };
    let stream = TcpStream::connect(address).await.unwrap();
    let mut session_of = Session::open(stream, &server, &Timeouts::default()).await.unwrap();
    let sender = Address::parse("from", "ada@a.example").unwrap();
    let recipient = Address::parse("to", "zoe@b.example").unwrap();
    for number in 0..count {
        let message = letter(session * 1_000_000 + number).write().unwrap();
        let offered = session_of.offer(Some(&sender), &recipient, message.len()).await.unwrap();
        let outcome = offered.deliver(&message).await;
        assert!(matches!(outcome, Outcome::Accepted(_)), "{outcome:?}");
    }
    session_of.quit().await;
}
