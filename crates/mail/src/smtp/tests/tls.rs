//! Lines that are protected, and who signs in over them.

use std::io::{Read as _, Write as _};

use mainstay_testing::SinkTls;

use super::*;

fn protected(tls: SinkTls, auth: &str) -> SmtpSink {
    let users = vec![("ada".to_owned(), "hunter2 é".to_owned())];
    SmtpSink::start(SinkOptions { tls, users, auth: auth.to_owned(), ..SinkOptions::default() }).unwrap()
}

fn password(text: &str) -> SignIn {
    SignIn::Password { user: "ada".to_owned(), password: Secret::new(text.to_owned()) }
}

fn token(text: &str) -> SignIn {
    SignIn::OAuth { user: "ada".to_owned(), token: Secret::new(text.to_owned()) }
}

#[tokio::test]
async fn every_way_to_sign_in_over_every_kind_of_line() {
    for (tls, security) in
        [(SinkTls::None, Security::None), (SinkTls::StartTls, Security::StartTls), (SinkTls::Implicit, Security::Tls)]
    {
        for (auth, sign_in) in [
            ("PLAIN LOGIN XOAUTH2", password("hunter2 é")),
            ("LOGIN", password("hunter2 é")),
            ("XOAUTH2", token("hunter2 é")),
        ] {
            let sink = protected(tls, auth);
            let mut session = open(&sink, &server(security, sign_in), &patient()).await.unwrap();
            let outcome = send(&mut session, "b@y.example", "1@x").await;
            assert!(matches!(outcome, Outcome::Accepted(_)), "{tls:?} {auth}: {outcome:?}");
            session.quit().await;
        }
    }
}

#[tokio::test]
async fn wrong_credentials_are_the_accounts_matter() {
    for (auth, sign_in) in [("PLAIN", password("wrong")), ("LOGIN", password("wrong")), ("XOAUTH2", token("wrong"))] {
        let sink = protected(SinkTls::None, auth);
        let refused = open(&sink, &server(Security::None, sign_in), &patient()).await.unwrap_err();
        assert_eq!(refused.stage, Stage::SignIn);
        assert_eq!(refused.to_string(), "sign_in failed: 535 5.7.8 wrong credentials");
        assert_eq!(verdict(&refused), Verdict { later: false, about: About::Account });
    }
}

#[tokio::test]
async fn what_is_not_offered_is_not_tried() {
    let of = |security, sign_in| server(security, sign_in);
    let cases = [
        (SinkTls::None, "PLAIN", of(Security::StartTls, SignIn::None), Stage::StartTls),
        (SinkTls::None, "XOAUTH2", of(Security::None, password("x")), Stage::SignIn),
        (SinkTls::None, "PLAIN", of(Security::None, token("x")), Stage::SignIn),
        (SinkTls::None, "PLAIN", of(Security::None, password("")), Stage::SignIn),
        (SinkTls::None, "PLAIN", of(Security::None, password("a\0b")), Stage::SignIn),
    ];
    for (tls, auth, server, stage) in cases {
        let sink = protected(tls, auth);
        let refused = open(&sink, &server, &patient()).await.unwrap_err();
        assert_eq!(refused.stage, stage);
        assert!(matches!(refused.cause, Cause::Unsuitable(_)), "{refused:?}");
        assert_eq!(sink.reached(SinkStage::SignIn), 0);
    }
    let mut unnamed = plain();
    unnamed.hello = "x\r\nMAIL FROM:<>".to_owned();
    let sink = protected(SinkTls::None, "PLAIN");
    assert_eq!(open(&sink, &unnamed, &patient()).await.unwrap_err().stage, Stage::Hello);
}

#[tokio::test]
async fn a_certificate_for_another_name_or_of_nobody_is_refused() {
    let sink = protected(SinkTls::StartTls, "PLAIN");
    let mut other = server(Security::StartTls, password("hunter2 é"));
    other.name = "mail.example".to_owned();
    let refused = open(&sink, &other, &patient()).await.unwrap_err();
    assert!(refused.stage == Stage::StartTls && matches!(refused.cause, Cause::Tls(_)), "{refused:?}");
    let mut stranger = server(Security::StartTls, password("hunter2 é"));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    stranger.tls = Arc::new(config.with_root_certificates(RootCertStore::empty()).with_no_client_auth());
    let refused = open(&sink, &stranger, &patient()).await.unwrap_err();
    assert!(refused.stage == Stage::StartTls && matches!(refused.cause, Cause::Tls(_)), "{refused:?}");
    assert_eq!(sink.reached(SinkStage::SignIn), 0, "no secret was sent");
}

#[tokio::test]
async fn words_injected_before_tls_are_refused() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let thread = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut bytes = [0; 512];
        stream.write_all(b"220 x\r\n").unwrap();
        let _ = stream.read(&mut bytes).unwrap();
        stream.write_all(b"250-x\r\n250 STARTTLS\r\n").unwrap();
        let _ = stream.read(&mut bytes).unwrap();
        // In one write, as somebody on the way would put it there.
        stream.write_all(b"220 go ahead\r\n250-x\r\n250 AUTH PLAIN\r\n").unwrap();
        stream.read(&mut bytes).unwrap_or(0)
    });
    let stream = TcpStream::connect(address).await.unwrap();
    let asked = server(Security::StartTls, password("hunter2 é"));
    let refused = Session::open(stream, &asked, &patient()).await.unwrap_err();
    assert_eq!(refused.stage, Stage::StartTls);
    assert_eq!(refused.cause, Cause::Garbage("bytes between STARTTLS and TLS"));
    assert_eq!(thread.join().unwrap(), 0, "nothing more was sent");
}

/// The first address of this machine that is not the loopback, where there is one.
fn far_address() -> Option<std::net::IpAddr> {
    let socket = std::net::UdpSocket::bind("0.0.0.0:0").ok()?;
    // Nothing is sent: the system only chooses the way.
    socket.connect("192.0.2.1:9").ok()?;
    socket.local_addr().ok().map(|address| address.ip()).filter(|ip| !ip.is_loopback())
}

#[tokio::test]
async fn no_secret_goes_over_an_open_line_to_another_machine() {
    let Some(ip) = far_address() else { return };
    let Ok(listener) = std::net::TcpListener::bind((ip, 0)) else { return };
    let address = listener.local_addr().unwrap();
    let thread = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut bytes = [0; 512];
        stream.write_all(b"220 x\r\n").unwrap();
        let _ = stream.read(&mut bytes).unwrap();
        stream.write_all(b"250-x\r\n250 AUTH PLAIN\r\n").unwrap();
        stream.read(&mut bytes).unwrap_or(0)
    });
    let stream = TcpStream::connect(address).await.unwrap();
    let refused = Session::open(stream, &server(Security::None, password("x")), &patient()).await.unwrap_err();
    assert!(refused.stage == Stage::SignIn && matches!(refused.cause, Cause::Unsuitable(_)), "{refused:?}");
    assert_eq!(thread.join().unwrap(), 0, "nothing was sent");
}
