//! Lines that are protected, and who signs in over them.

use std::io::{Read as _, Write as _};

use mainstay_testing::SinkTls;

use super::*;

fn protected(tls: SinkTls, capabilities: &str) -> ImapServer {
    let users = vec![("ada".to_owned(), "hunter2 \"é\\".to_owned())];
    ImapServer::start(ImapOptions { tls, users, capabilities: capabilities.to_owned() }).unwrap()
}

const SECRET: &str = "hunter2 \"é\\";

#[tokio::test]
async fn every_way_to_sign_in_over_every_kind_of_line() {
    for (tls, security) in
        [(SinkTls::None, Security::None), (SinkTls::StartTls, Security::StartTls), (SinkTls::Implicit, Security::Tls)]
    {
        for (offers, way, command) in [
            ("AUTH=PLAIN SASL-IR", password(SECRET), "AUTHENTICATE PLAIN"),
            ("AUTH=PLAIN LOGINDISABLED", password(SECRET), "AUTHENTICATE PLAIN"),
            ("IDLE", password(SECRET), "LOGIN ada"),
            ("AUTH=XOAUTH2 SASL-IR", token(SECRET), "AUTHENTICATE XOAUTH2"),
            ("AUTH=XOAUTH2", token(SECRET), "AUTHENTICATE XOAUTH2"),
        ] {
            let server = protected(tls, offers);
            server.append("INBOX", &message("1@x"));
            let mut session = sign_in(&server, &settings(security, way), &patient()).await.unwrap();
            session.open("INBOX").await.unwrap();
            assert_eq!(uids(&session.newer(0, 1).await.unwrap()), [1], "{tls:?} {offers}");
            session.sign_out().await;
            assert!(server.commands().contains(&command.to_owned()), "{offers}: {:?}", server.commands());
        }
    }
}

#[tokio::test]
async fn wrong_credentials_need_a_person() {
    for (offers, way) in [
        ("AUTH=PLAIN SASL-IR", password("hunter3")),
        ("AUTH=PLAIN", password("hunter3")),
        ("", password("hunter3")),
        ("AUTH=XOAUTH2 SASL-IR", token("hunter3")),
        ("AUTH=XOAUTH2", token("hunter3")),
    ] {
        let server = protected(SinkTls::None, offers);
        let failed = sign_in(&server, &settings(Security::None, way), &patient()).await.unwrap_err();
        assert_eq!(failed.to_string(), "sign_in failed: NO [AUTHENTICATIONFAILED] wrong credentials", "{offers}");
        assert!(failed.needs_a_person());
    }
}

#[tokio::test]
async fn what_is_not_offered_is_not_tried() {
    let cases = [
        (SinkTls::None, "AUTH=PLAIN", settings(Security::StartTls, password("x")), Stage::StartTls),
        (SinkTls::None, "AUTH=XOAUTH2 LOGINDISABLED", settings(Security::None, password("x")), Stage::SignIn),
        (SinkTls::None, "AUTH=PLAIN", settings(Security::None, token("x")), Stage::SignIn),
        (SinkTls::None, "AUTH=XOAUTH2", settings(Security::None, token("a\u{1}b")), Stage::SignIn),
        (SinkTls::None, "AUTH=PLAIN", settings(Security::None, password("")), Stage::SignIn),
        (SinkTls::None, "AUTH=PLAIN", settings(Security::None, password("a\0b")), Stage::SignIn),
        (SinkTls::None, "AUTH=PLAIN", settings(Security::None, SignIn::None), Stage::SignIn),
    ];
    for (tls, offers, settings, stage) in cases {
        let server = protected(tls, offers);
        let failed = sign_in(&server, &settings, &patient()).await.unwrap_err();
        assert_eq!(failed.stage, stage, "{failed}");
        assert!(matches!(failed.cause, Cause::Unsuitable(_)) && failed.needs_a_person(), "{failed:?}");
        assert_eq!(server.reached(ImapStage::SignIn), 0);
    }
}

#[tokio::test]
async fn a_session_that_is_signed_in_already_is_taken_only_by_whoever_wants_none() {
    let server = ImapServer::start(ImapOptions { users: Vec::new(), ..ImapOptions::default() }).unwrap();
    for security in [Security::None, Security::StartTls] {
        let failed = sign_in(&server, &settings(security, password("x")), &patient()).await.unwrap_err();
        assert!(matches!(failed.cause, Cause::Unsuitable(_)), "{failed:?}");
    }
    let mut session = sign_in(&server, &settings(Security::None, SignIn::None), &patient()).await.unwrap();
    session.open("INBOX").await.unwrap();
}

#[tokio::test]
async fn a_certificate_for_another_name_or_of_nobody_is_refused() {
    for (tls, security) in [(SinkTls::StartTls, Security::StartTls), (SinkTls::Implicit, Security::Tls)] {
        let server = protected(tls, "AUTH=PLAIN");
        let mut other = settings(security, password(SECRET));
        other.name = "mail.example".to_owned();
        let mut stranger = settings(security, password(SECRET));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        stranger.tls = Arc::new(config.with_root_certificates(RootCertStore::empty()).with_no_client_auth());
        for settings in [other, stranger] {
            let failed = sign_in(&server, &settings, &patient()).await.unwrap_err();
            assert!(failed.stage == Stage::StartTls && matches!(failed.cause, Cause::Tls(_)), "{failed:?}");
        }
        assert_eq!(server.reached(ImapStage::SignIn), 0, "no secret was sent");
    }
}

/// A server that says these words one after each thing that it hears. Gives what it heard after the last.
fn script(listener: std::net::TcpListener, words: &'static [&'static str]) -> std::thread::JoinHandle<String> {
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut bytes = [0; 4_096];
        let mut last = String::new();
        for word in words {
            stream.write_all(word.as_bytes()).unwrap();
            let count = stream.read(&mut bytes).unwrap_or(0);
            last = String::from_utf8_lossy(&bytes[..count]).into_owned();
        }
        last
    })
}

fn listener() -> std::net::TcpListener {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap()
}

#[tokio::test]
async fn a_server_that_does_not_go_on_with_tls_is_left() {
    let acts: [(ImapAct, Expected); 3] = [
        (ImapAct::Hang, |cause| *cause == Cause::TimedOut),
        (ImapAct::Cut, |cause| *cause == Cause::Cut),
        (ImapAct::Answer("NO [UNAVAILABLE] later".to_owned()), |cause| matches!(cause, Cause::Answer(_))),
    ];
    for (act, expected) in acts {
        let server = protected(SinkTls::StartTls, "AUTH=PLAIN");
        let short = Timeouts { start_tls: SHORT, ..patient() };
        let timeouts = if matches!(act, ImapAct::Hang) { short } else { patient() };
        server.fault(ImapFault::once(ImapStage::StartTls, act));
        let failed = sign_in(&server, &settings(Security::StartTls, password(SECRET)), &timeouts).await.unwrap_err();
        assert!(failed.stage == Stage::StartTls && expected(&failed.cause), "{failed:?}");
        assert!(!failed.needs_a_person());
    }
    // One that takes the connection and says nothing.
    let listener = listener();
    let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let failed = Session::sign_in(stream, &settings(Security::Tls, password(SECRET)), &all(SHORT)).await.unwrap_err();
    assert_eq!(failed, Failed { stage: Stage::StartTls, cause: Cause::TimedOut });
}

#[tokio::test]
async fn words_injected_before_tls_are_refused() {
    let listener = listener();
    let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let words = &["* OK [CAPABILITY STARTTLS] x\r\n", "A1 OK go ahead\r\n* CAPABILITY AUTH=PLAIN\r\nA2 OK done\r\n"];
    let thread = script(listener, words);
    let failed =
        Session::sign_in(stream, &settings(Security::StartTls, password(SECRET)), &patient()).await.unwrap_err();
    assert_eq!((failed.stage, failed.cause), (Stage::StartTls, Cause::Garbage("bytes between STARTTLS and TLS")));
    assert_eq!(thread.join().unwrap(), "", "nothing more was sent");
}

#[tokio::test]
async fn a_server_that_repeats_the_secret_does_not_make_it_known() {
    let cases: [(&'static [&'static str], SignIn); 3] = [
        (
            &["* OK [CAPABILITY X] x\r\n", "+\r\n", "+\r\n", "A1 BAD unknown: LOGIN ada hunter2-hunter2\r\n"],
            password("hunter2-hunter2"),
        ),
        (
            &["* OK [CAPABILITY AUTH=PLAIN SASL-IR] x\r\n", "A1 BAD unknown: PLAIN AGFkYQBodW50ZXIyLWh1bnRlcjI=\r\n"],
            password("hunter2-hunter2"),
        ),
        (
            &["* OK [CAPABILITY AUTH=PLAIN SASL-IR] x\r\n", "* BYE what is AGFkYQBodW50ZXIyLWh1bnRl\r\n"],
            password("hunter2-hunter2"),
        ),
    ];
    for (words, way) in cases {
        let listener = listener();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let thread = script(listener, words);
        let settings = settings(Security::None, way);
        assert!(!format!("{settings:?}").contains("hunter2"), "{settings:?}");
        let failed = Session::sign_in(stream, &settings, &patient()).await.unwrap_err();
        let said = format!("{failed} {failed:?}");
        assert!(said.contains("***") && !said.contains("hunter2") && !said.contains("AGFk"), "{said}");
        thread.join().unwrap();
    }
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
    let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let thread = script(listener, &["* OK [CAPABILITY AUTH=PLAIN] x\r\n"]);
    let failed = Session::sign_in(stream, &settings(Security::None, password("x")), &patient()).await.unwrap_err();
    assert!(failed.stage == Stage::SignIn && matches!(failed.cause, Cause::Unsuitable(_)), "{failed:?}");
    assert_eq!(thread.join().unwrap(), "", "nothing was sent");
}
