//! The client against a server that keeps books and misbehaves, and against servers that say anything at all.

mod any_bytes;
mod tls;

use std::time::Duration;

use mainstay_testing::{SinkAct, SinkFault, SinkOptions, SinkStage, SmtpSink};
use rustls::RootCertStore;
use tokio::net::TcpStream;

use super::*;
use crate::message::Address;

const PATIENCE: Duration = Duration::from_secs(30);

/// Whether a cause is the one that a test is about.
type Expected = fn(&Cause) -> bool;

fn client() -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(SmtpSink::root()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    Arc::new(config.with_root_certificates(roots).with_no_client_auth())
}

fn server(security: Security, sign_in: SignIn) -> Server {
    Server { name: "localhost".to_owned(), security, tls: client(), sign_in, hello: "test.example".to_owned() }
}

/// Enough for a busy machine, except where a test wants a timeout.
fn patient() -> Timeouts {
    Timeouts {
        greeting: PATIENCE,
        hello: PATIENCE,
        start_tls: PATIENCE,
        sign_in: PATIENCE,
        sender: PATIENCE,
        recipient: PATIENCE,
        data: PATIENCE,
        block: PATIENCE,
        answer: PATIENCE,
        rest: PATIENCE,
        idle: PATIENCE,
    }
}

fn hasty() -> Timeouts {
    let short = Duration::from_millis(60);
    Timeouts {
        greeting: short,
        hello: short,
        start_tls: short,
        sign_in: short,
        sender: short,
        recipient: short,
        data: short,
        block: short,
        answer: short,
        rest: short,
        idle: short,
    }
}

fn plain() -> Server {
    server(Security::None, SignIn::None)
}

async fn open(sink: &SmtpSink, server: &Server, timeouts: &Timeouts) -> Result<Session, Refused> {
    Session::open(TcpStream::connect(sink.address()).await.unwrap(), server, timeouts).await
}

fn address(text: &str) -> Address {
    Address::parse("address", text).unwrap()
}

fn letter(id: &str) -> Vec<u8> {
    format!("Message-ID: <{id}>\r\nSubject: x\r\n\r\n.a dot\r\n..two\r\nend").into_bytes()
}

/// Sends one message; what went wrong before the body counts as refused.
async fn send(session: &mut Session, recipient: &str, id: &str) -> Outcome {
    let message = letter(id);
    match session.offer(Some(&address("a@x.example")), &address(recipient), message.len()).await {
        Ok(offered) => offered.deliver(&message).await,
        Err(refused) => Outcome::Refused(refused),
    }
}

fn sink(pipelining: bool) -> SmtpSink {
    SmtpSink::start(SinkOptions { pipelining, keep_bytes: true, ..SinkOptions::default() }).unwrap()
}

#[tokio::test]
async fn messages_arrive_as_they_are_over_one_session() {
    for pipelining in [true, false] {
        let sink = sink(pipelining);
        let mut session = open(&sink, &plain(), &patient()).await.unwrap();
        for number in 0..20 {
            let outcome = send(&mut session, "b@y.example", &format!("{number}@x")).await;
            let Outcome::Accepted(reply) = outcome else { panic!("{outcome:?}") };
            assert_eq!((reply.code, reply.enhanced.map(|code| code.to_string())), (250, Some("2.0.0".to_owned())));
        }
        assert!(!session.is_spent());
        session.quit().await;
        assert!(sink.wait_for(20, PATIENCE).await);
        assert_eq!((sink.connections(), sink.duplicates().len()), (1, 0));
        let kept = &sink.kept()[3];
        let mut whole = letter("3@x");
        whole.extend_from_slice(b"\r\n");
        assert_eq!(kept.bytes.as_deref().unwrap(), whole, "dots are as they were");
        assert_eq!(
            (kept.sender.as_str(), kept.recipients.as_slice()),
            ("a@x.example", ["b@y.example".to_owned()].as_slice())
        );
    }
}

#[tokio::test]
async fn the_null_sender_and_the_size_are_said() {
    let sink = SmtpSink::start(SinkOptions { size: Some(100), ..SinkOptions::default() }).unwrap();
    let mut session = open(&sink, &plain(), &patient()).await.unwrap();
    let large = session.offer(None, &address("b@y.example"), 101).await.unwrap_err();
    assert_eq!(large, Refused { stage: Stage::Sender, cause: Cause::TooLarge { most: 100 } });
    assert_eq!(sink.reached(SinkStage::Sender), 0, "nothing was asked");
    let offered = session.offer(None, &address("b@y.example"), 100).await.unwrap();
    assert!(matches!(offered.deliver(&letter("1@x")).await, Outcome::Accepted(_)));
    assert_eq!(sink.kept()[0].sender, "");
}

#[tokio::test]
async fn a_refusal_says_its_stage_and_leaves_the_session_good() {
    let stages = [
        (SinkStage::Sender, Stage::Sender),
        (SinkStage::Recipient, Stage::Recipient),
        (SinkStage::Data, Stage::Data),
        (SinkStage::Body, Stage::Body),
    ];
    for pipelining in [true, false] {
        for (at, stage) in stages {
            for (line, later) in [("450 4.2.0 not now", true), ("550-5.1.1 never\r\n550 5.1.1 ever", false)] {
                let sink = sink(pipelining);
                let mut session = open(&sink, &plain(), &patient()).await.unwrap();
                sink.fault(SinkFault::once(at, SinkAct::Answer(line.to_owned())));
                let Outcome::Refused(refused) = send(&mut session, "b@y.example", "1@x").await else {
                    panic!("{at:?}")
                };
                assert_eq!(refused.stage, stage);
                let Cause::Answer(reply) = &refused.cause else { panic!("{refused:?}") };
                assert_eq!(reply.to_string(), if later { "450 4.2.0 not now" } else { "550 5.1.1 never ever" });
                assert_eq!(verdict(&refused).later, later);
                assert!(!session.is_spent(), "{at:?} {line} {pipelining}");
                let next = send(&mut session, "b@y.example", "2@x").await;
                assert!(matches!(next, Outcome::Accepted(_)), "{at:?} {line} {pipelining}: {next:?}");
                assert_eq!((sink.count_of("1@x"), sink.count_of("2@x"), sink.connections()), (0, 1, 1));
            }
        }
    }
}

#[tokio::test]
async fn any_doubt_before_the_body_is_a_refusal_and_spends_the_session() {
    let raw = |text: &str| SinkAct::Raw(text.as_bytes().to_vec());
    let acts: [(SinkAct, Expected); 6] = [
        (SinkAct::Hang, |cause| *cause == Cause::TimedOut),
        (SinkAct::Slow(Duration::from_secs(1)), |cause| *cause == Cause::TimedOut),
        (SinkAct::Cut, |cause| *cause == Cause::Cut),
        (
            SinkAct::Answer("421 4.3.2 closing".to_owned()),
            |cause| matches!(cause, Cause::Answer(reply) if reply.code == 421),
        ),
        (raw("what?\r\n"), |cause| matches!(cause, Cause::Garbage(_))),
        (raw("399 neither yes nor no\r\n"), |cause| matches!(cause, Cause::Garbage(_))),
    ];
    for pipelining in [true, false] {
        for at in [SinkStage::Sender, SinkStage::Recipient, SinkStage::Data] {
            for (act, expected) in &acts {
                let sink = sink(pipelining);
                // Only what hangs needs a short time.
                let timeouts = if matches!(act, SinkAct::Hang | SinkAct::Slow(_)) { hasty() } else { patient() };
                let mut session =
                    open(&sink, &plain(), &Timeouts { greeting: PATIENCE, hello: PATIENCE, ..timeouts }).await.unwrap();
                sink.fault(SinkFault::once(at, act.clone()));
                let Outcome::Refused(refused) = send(&mut session, "b@y.example", "1@x").await else {
                    panic!("{at:?}")
                };
                assert!(expected(&refused.cause), "{at:?} {act:?} {pipelining}: {refused:?}");
                assert!(session.is_spent() && verdict(&refused).later, "{at:?} {act:?}");
                let next = session.offer(None, &address("b@y.example"), 1).await.unwrap_err();
                assert_eq!(next.cause, Cause::Spent);
                session.quit().await;
                assert_eq!(sink.count(), 0);
            }
        }
    }
}

#[tokio::test]
async fn after_the_first_byte_only_the_answer_tells() {
    let cases: [(SinkAct, u32, Expected); 7] = [
        (SinkAct::Hang, 0, |why| *why == Cause::TimedOut),
        (SinkAct::KeepAndHang, 1, |why| *why == Cause::TimedOut),
        (SinkAct::Cut, 0, |why| *why == Cause::Cut),
        (SinkAct::KeepAndCut, 1, |why| *why == Cause::Cut),
        (SinkAct::HalfClose, 1, |why| *why == Cause::Cut),
        (SinkAct::Slow(Duration::from_secs(1)), 1, |why| *why == Cause::TimedOut),
        (SinkAct::Raw(b"hello\r\n".to_vec()), 0, |why| matches!(why, Cause::Garbage(_))),
    ];
    for (act, kept, expected) in cases {
        let sink = sink(true);
        let answer = if matches!(act, SinkAct::Hang | SinkAct::KeepAndHang | SinkAct::Slow(_)) {
            hasty().answer
        } else {
            PATIENCE
        };
        let mut session = open(&sink, &plain(), &Timeouts { answer, ..patient() }).await.unwrap();
        sink.fault(SinkFault::once(SinkStage::Body, act.clone()));
        match send(&mut session, "b@y.example", "1@x").await {
            Outcome::Unknown { why, whole } => assert!(whole && expected(&why), "{act:?}: {why:?}"),
            other => panic!("{act:?}: {other:?}"),
        }
        assert!(session.is_spent(), "{act:?}");
        assert!(sink.wait_for_stage(SinkStage::Body, 1, PATIENCE).await);
        assert_eq!(sink.count_of("1@x"), kept, "{act:?}");
    }
}

#[tokio::test]
async fn a_late_answer_is_never_that_of_another_message() {
    let sink = sink(true);
    let mut session = open(&sink, &plain(), &patient()).await.unwrap();
    // The server says one answer too many; it could be taken for the next message's.
    sink.fault(SinkFault::once(SinkStage::Body, SinkAct::Answer("250 2.0.0 kept\r\n250 2.0.0 and again".to_owned())));
    assert!(matches!(send(&mut session, "b@y.example", "1@x").await, Outcome::Accepted(_)));
    // Seen at once, or at the latest before the next message.
    let Outcome::Refused(refused) = send(&mut session, "b@y.example", "2@x").await else { panic!("it was taken") };
    assert!(matches!(refused.cause, Cause::Spent | Cause::Garbage(_)), "{refused:?}");
    assert!(session.is_spent());
    assert_eq!((sink.count_of("1@x"), sink.count_of("2@x")), (1, 0));
}

#[tokio::test]
async fn a_dropped_future_or_offer_spends_the_session() {
    let sink = sink(true);
    let mut session = open(&sink, &plain(), &patient()).await.unwrap();
    session.offer(None, &address("b@y.example"), 1).await.map(|_| ()).unwrap();
    assert!(session.is_spent());
    drop(session);

    let mut session = open(&sink, &plain(), &patient()).await.unwrap();
    sink.fault(SinkFault::once(SinkStage::Recipient, SinkAct::Hang));
    let recipient = address("b@y.example");
    tokio::select! {
        _ = session.offer(None, &recipient, 1) => panic!("it hangs"),
        reached = sink.wait_for_stage(SinkStage::Recipient, 2, PATIENCE) => assert!(reached),
    }
    assert!(session.is_spent());

    let mut session = open(&sink, &plain(), &patient()).await.unwrap();
    sink.fault(SinkFault::once(SinkStage::Body, SinkAct::KeepAndHang));
    let message = letter("1@x");
    let recipient = address("b@y.example");
    let offered = session.offer(None, &recipient, message.len()).await.unwrap();
    tokio::select! {
        _ = offered.deliver(&message) => panic!("it hangs"),
        kept = sink.wait_for(1, PATIENCE) => assert!(kept),
    }
    assert!(session.is_spent());
}

#[tokio::test]
async fn a_farewell_while_nothing_is_asked_is_seen_before_the_next_message() {
    let sink = sink(true);
    let mut session = open(&sink, &plain(), &patient()).await.unwrap();
    assert!(matches!(send(&mut session, "b@y.example", "1@x").await, Outcome::Accepted(_)));
    // The end of the server ends the connection.
    drop(sink);
    let Outcome::Refused(refused) = send(&mut session, "b@y.example", "2@x").await else {
        panic!("the server is gone")
    };
    assert_eq!((refused.stage, refused.cause), (Stage::Sender, Cause::Cut));
    assert!(session.is_spent());
}

#[tokio::test]
async fn the_opening_names_what_failed() {
    let cut = |cause: &Cause| *cause == Cause::Cut;
    let timed_out = |cause: &Cause| *cause == Cause::TimedOut;
    let answered = |cause: &Cause| matches!(cause, Cause::Answer(_));
    let cases: [(SinkStage, SinkAct, Stage, Expected); 6] = [
        (SinkStage::Greeting, SinkAct::Hang, Stage::Greeting, timed_out),
        (SinkStage::Greeting, SinkAct::Cut, Stage::Greeting, cut),
        (SinkStage::Greeting, SinkAct::Answer("554 5.7.1 blocked".to_owned()), Stage::Greeting, answered),
        (SinkStage::Hello, SinkAct::Cut, Stage::Hello, cut),
        (SinkStage::Hello, SinkAct::Hang, Stage::Hello, timed_out),
        (SinkStage::Hello, SinkAct::Answer("450 4.3.2 later".to_owned()), Stage::Hello, answered),
    ];
    for (at, act, stage, expected) in cases {
        let sink = sink(true);
        sink.fault(SinkFault::always(at, act.clone()));
        let timeouts = if matches!(act, SinkAct::Hang) { hasty() } else { patient() };
        let refused = open(&sink, &plain(), &timeouts).await.unwrap_err();
        assert!(refused.stage == stage && expected(&refused.cause), "{act:?}: {refused:?}");
    }
    // A server of the old kind.
    let sink = sink(true);
    sink.fault(SinkFault::once(SinkStage::Hello, SinkAct::Answer("502 5.5.1 no EHLO here".to_owned())));
    let mut session = open(&sink, &plain(), &patient()).await.unwrap();
    assert!(matches!(send(&mut session, "b@y.example", "1@x").await, Outcome::Accepted(_)));
}

#[tokio::test]
async fn a_large_message_that_is_cut_in_the_middle_is_not_whole() {
    let sink = sink(true);
    let mut session = open(&sink, &plain(), &patient()).await.unwrap();
    // The sink hangs up after 32 MB.
    let message = vec![b'x'; 60 * 1024 * 1024];
    let offered = session.offer(None, &address("b@y.example"), 1).await.unwrap();
    match offered.deliver(&message).await {
        Outcome::Unknown { why, whole } => assert!(!whole && why == Cause::Cut, "{why:?}"),
        other => panic!("{other:?}"),
    }
    assert!(session.is_spent());
    assert_eq!(sink.count(), 0);
}

#[tokio::test]
async fn the_word_to_begin_without_a_recipient_ends_the_line() {
    use std::io::{Read as _, Write as _};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let place = listener.local_addr().unwrap();
    let thread = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut bytes = [0; 512];
        let says = [
            "220 x\r\n",
            "250-x\r\n250 PIPELINING\r\n",
            // Some servers answer DATA so although they have refused every recipient (RFC 2920, 3.1).
            "250 2.1.0 fine\r\n550 5.1.1 no such user\r\n354 go on\r\n",
        ];
        for (place, say) in says.iter().enumerate() {
            if place > 0 {
                let _ = stream.read(&mut bytes).unwrap();
            }
            stream.write_all(say.as_bytes()).unwrap();
        }
        stream.read(&mut bytes).unwrap_or(0)
    });
    let mut session = Session::open(TcpStream::connect(place).await.unwrap(), &plain(), &patient()).await.unwrap();
    let refused = session.offer(None, &address("b@y.example"), 1).await.unwrap_err();
    assert_eq!(refused.stage, Stage::Recipient);
    assert_eq!(verdict(&refused), Verdict { later: false, about: About::Recipient });
    assert!(session.is_spent());
    drop(session);
    assert_eq!(thread.join().unwrap(), 0, "neither a message nor an empty one was sent");
}
