//! The client against a mailbox that behaves and misbehaves, and against servers that say anything at all.

mod any_bytes;
mod faults;
mod finding;
mod scripted;
mod tls;

use std::time::Duration;

use mainstay_domain::Secret;
use mainstay_testing::{ImapAct, ImapFault, ImapOptions, ImapServer, ImapStage};
use rustls::RootCertStore;
use tokio::net::TcpStream;

use super::*;
use crate::heard;

const PATIENCE: Duration = Duration::from_secs(30);

fn client() -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(ImapServer::root()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    Arc::new(config.with_root_certificates(roots).with_no_client_auth())
}

fn password(text: &str) -> SignIn {
    SignIn::Password { user: "ada".to_owned(), password: Secret::new(text.to_owned()) }
}

fn token(text: &str) -> SignIn {
    SignIn::OAuth { user: "ada".to_owned(), token: Secret::new(text.to_owned()) }
}

fn settings(security: Security, sign_in: SignIn) -> Server {
    Server { name: "localhost".to_owned(), security, tls: client(), sign_in }
}

fn plain() -> Server {
    settings(Security::None, password("hunter2"))
}

/// Whether a cause is the one that a test is about.
type Expected = fn(&Cause) -> bool;

/// The same time for every stage.
fn all(time: Duration) -> Timeouts {
    Timeouts {
        greeting: time,
        capability: time,
        start_tls: time,
        sign_in: time,
        folder: time,
        search: time,
        fetch: time,
        rest: time,
        idle: time,
    }
}

/// Enough for a busy machine, except where a test wants a timeout.
fn patient() -> Timeouts {
    all(PATIENCE)
}

/// For a stage that is to take too long.
const SHORT: Duration = Duration::from_millis(60);

fn start() -> ImapServer {
    ImapServer::start(ImapOptions::default()).unwrap()
}

async fn sign_in(server: &ImapServer, settings: &Server, timeouts: &Timeouts) -> Result<Session, Failed> {
    Session::sign_in(TcpStream::connect(server.address()).await.unwrap(), settings, timeouts).await
}

/// A session with the inbox open.
async fn inbox(server: &ImapServer, timeouts: &Timeouts) -> Session {
    let mut session = sign_in(server, &plain(), timeouts).await.unwrap();
    session.open("INBOX").await.unwrap();
    session
}

fn message(id: &str) -> Vec<u8> {
    format!("Message-ID: <{id}>\r\nFrom: eve@x.example\r\nSubject: x\r\n\r\n) {{5}}\r\nA1 OK \"text\r\n").into_bytes()
}

fn uids(letters: &[Letter]) -> Vec<u32> {
    letters.iter().map(|letter| letter.uid).collect()
}

#[tokio::test]
async fn messages_are_read_in_order_and_not_marked() {
    let server = start();
    for number in 1..=5 {
        server.append("INBOX", &message(&format!("{number}@x")));
    }
    let mut session = sign_in(&server, &plain(), &patient()).await.unwrap();
    assert_eq!(session.open("INBOX").await.unwrap(), Folder { uid_validity: 1, uid_next: 6, exists: 5 });
    let letters = session.newer(2, 2).await.unwrap();
    assert_eq!(uids(&letters), [3, 4]);
    let first = &letters[0];
    assert_eq!((first.raw.clone(), first.size), (message("3@x"), message("3@x").len() as u64));
    assert_eq!(first.internal_date.map(|date| date.to_string()).as_deref(), Some("2026-02-01T11:30:00Z"));
    assert_eq!(first.refused, None);
    assert!(matches!(heard::hear(&first.raw), heard::Heard::Reply(_)));
    assert_eq!(uids(&session.newer(4, 50).await.unwrap()), [5]);
    assert_eq!(session.newer(5, 50).await.unwrap(), [], "the star is the last message, whatever its uid");
    assert_eq!(session.newer(u32::MAX, 50).await.unwrap(), []);
    server.append("INBOX", &message("6@x"));
    assert_eq!(uids(&session.newer(5, 0).await.unwrap()), [6], "what comes while the folder is open counts");
    assert!(server.seen("INBOX").is_empty());
    session.sign_out().await;
    assert_eq!(server.reached(ImapStage::SignOut), 1);
    assert!(server.commands().iter().all(|command| !command.starts_with("SELECT")));
}

#[tokio::test]
async fn an_empty_folder_and_one_that_is_not_there() {
    let server = start();
    let mut session = sign_in(&server, &plain(), &patient()).await.unwrap();
    let failed = session.newer(0, 1).await.unwrap_err();
    assert!(matches!(failed.cause, Cause::Unsuitable(_)) && !session.is_spent(), "{failed}");
    let failed = session.open("Nowhere").await.unwrap_err();
    assert_eq!(failed.to_string(), "folder failed: NO [NONEXISTENT] no such folder");
    // Nothing in a name ends the line: what is no letter of ASCII is encoded.
    let failed = session.open("a\r\nA9 LOGOUT").await.unwrap_err();
    assert!(matches!(failed.cause, Cause::Answer(_)) && !session.is_spent(), "{failed}");
    assert_eq!(server.commands().last().map(String::as_str), Some("EXAMINE a&AA0ACg-A9 LOGOUT"));
    assert_eq!(session.open("INBOX").await.unwrap(), Folder { uid_validity: 1, uid_next: 1, exists: 0 });
    assert_eq!(session.newer(0, 50).await.unwrap(), []);
    // A folder that is refused leaves none open.
    session.open("Nowhere").await.unwrap_err();
    assert!(session.newer(0, 50).await.is_err());
}

#[tokio::test]
async fn wide_gaps_between_uids_take_few_searches() {
    let server = start();
    for uid in [1, 1_700_000_000, 1_700_000_001, 4_000_000_000] {
        server.append_at("INBOX", uid, &message("1@x"));
    }
    let mut session = inbox(&server, &patient()).await;
    assert_eq!(uids(&session.newer(0, 50).await.unwrap()), [1]);
    assert_eq!(uids(&session.newer(1, 50).await.unwrap()), [1_700_000_000, 1_700_000_001]);
    assert_eq!(uids(&session.newer(1_700_000_001, 50).await.unwrap()), [4_000_000_000]);
    assert_eq!(session.newer(4_000_000_000, 50).await.unwrap(), []);
    assert!(server.reached(ImapStage::Search) < 40, "{}", server.reached(ImapStage::Search));
}

#[tokio::test]
async fn messages_are_bounded_in_number_and_bytes() {
    let server = start();
    let large = [message("1@x"), vec![b'x'; heard::MOST_BYTES]].concat();
    for _ in 0..12 {
        server.append("INBOX", &large);
    }
    let mut session = inbox(&server, &patient()).await;
    let letters = session.newer(0, 50).await.unwrap();
    assert_eq!(letters.len(), ENOUGH_BYTES / heard::MOST_BYTES);
    for letter in &letters {
        assert_eq!((letter.raw.len(), letter.size), (heard::MOST_BYTES, large.len() as u64));
    }
    assert_eq!(uids(&session.newer(8, 50).await.unwrap()), [9, 10, 11, 12]);
    for _ in 0..MOST_LETTERS {
        server.append("INBOX", &message("2@x"));
    }
    assert_eq!(session.newer(12, usize::MAX).await.unwrap().len(), MOST_LETTERS);
}

#[tokio::test]
async fn numbers_that_became_void_are_seen() {
    let server = start();
    server.append_at("INBOX", 9, &message("1@x"));
    let mut session = inbox(&server, &patient()).await;
    server.renumber("INBOX", 77);
    assert_eq!(session.open("INBOX").await.unwrap(), Folder { uid_validity: 77, uid_next: 2, exists: 1 });
    assert_eq!(uids(&session.newer(0, 50).await.unwrap()), [1]);
}
