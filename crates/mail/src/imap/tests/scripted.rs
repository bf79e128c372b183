//! Servers with ways of their own, whose words a test writes.

use std::io::{BufRead as _, BufReader, Write as _};

use super::*;

/// Opens a folder.
const OPENED: &str = "* 3 EXISTS\r\n* OK [UIDVALIDITY 7] x\r\n* OK [UIDNEXT 10] x\r\n{tag} OK done\r\n";
/// Finds one message.
const FOUND: &str = "* SEARCH 9\r\n{tag} OK done\r\n";

/// A session with a server that answers each command with the next of these texts: `{tag}` stands for the command's tag.
async fn with(answers: &'static [&'static str]) -> Session {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut commands = BufReader::new(stream.try_clone().unwrap());
        stream.write_all(b"* PREAUTH [CAPABILITY IMAP4rev1] hello\r\n").unwrap();
        for answer in answers {
            let mut line = String::new();
            if commands.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            let tag = line.split(' ').next().unwrap_or_default();
            stream.write_all(answer.replace("{tag}", tag).as_bytes()).unwrap();
        }
        // Only the client ends it.
        let _ = commands.read_line(&mut String::new());
    });
    let stream = TcpStream::connect(address).await.unwrap();
    Session::sign_in(stream, &settings(Security::None, SignIn::None), &patient()).await.unwrap()
}

/// What comes of one message that is answered in this way.
async fn fetched(fetch: &'static str) -> Result<Vec<Letter>, Failed> {
    let answers: &'static [&'static str] = Box::leak(Box::new([OPENED, FOUND, fetch]));
    let mut session = with(answers).await;
    session.open("INBOX").await.unwrap();
    session.newer(8, 50).await
}

#[tokio::test]
async fn a_message_comes_in_any_form() {
    let whole = Letter { uid: 9, size: 3, internal_date: None, raw: b"a\r\n".to_vec(), refused: None };
    for fetch in [
        "* 1 FETCH (UID 9 RFC822.SIZE 3 BODY[]<0> {3}\r\na\r\n)\r\n{tag} OK done\r\n",
        "* 1 fetch (body[] {3+}\r\na\r\n uid 9 rfc822.size 3 internaldate nil)\r\n{tag} ok done\r\n",
        "* 1 FETCH (BODY[]<0> ~{3}\r\na\r\n RFC822.SIZE 3 FLAGS (\\Seen) X (a (b NIL) \"c\"))\r\n{tag} OK\r\n",
        "* 1 FETCH (UID 9 RFC822.SIZE 3)\r\n* 1 FETCH (FLAGS ())\r\n* 1 FETCH (UID 9 BODY[] {3}\r\na\r\n)\r\n{tag} OK done\r\n",
        "* 1 FETCH (UID 9 BODY[] {3}\r\na\r\n)\r\n* 1 FETCH (UID 9 FLAGS (\\Seen) MODSEQ (5))\r\n{tag} OK done\r\n",
        "* 1 FETCH (UID 9 BODY[] {3}\r\na\r\n)\r\n{tag} NO Some messages could not be fetched\r\n",
        "* 1 FETCH (UID 9 BODY[] {3}\na\r\n)\n{tag} OK done\n",
    ] {
        assert_eq!(fetched(fetch).await.unwrap(), std::slice::from_ref(&whole), "{fetch}");
    }
    let quoted = fetched("* 1 FETCH (UID 9 BODY[] \"a \\\"b\\\\\")\r\n{tag} OK done\r\n").await.unwrap();
    assert_eq!((quoted[0].raw.as_slice(), quoted[0].size), (b"a \"b\\".as_slice(), 5));
}

#[tokio::test]
async fn a_message_may_have_no_text() {
    for fetch in [
        "* 1 FETCH (UID 9 RFC822.SIZE 0 BODY[] NIL)\r\n{tag} OK done\r\n",
        "* 1 FETCH (UID 9 RFC822.SIZE 0 BODY[]<0> {0}\r\n)\r\n{tag} OK done\r\n",
        "* 1 FETCH (UID 9 RFC822.SIZE 0)\r\n{tag} OK done\r\n",
    ] {
        let letters = fetched(fetch).await.unwrap();
        assert_eq!((uids(&letters), letters[0].raw.as_slice()), (vec![9], [].as_slice()), "{fetch}");
    }
    for gone in ["{tag} OK done\r\n", "* 1 FETCH (UID 9 FLAGS (\\Deleted))\r\n{tag} OK done\r\n"] {
        assert_eq!(fetched(gone).await.unwrap(), [], "{gone}");
    }
}

#[tokio::test]
async fn a_server_that_gives_more_than_was_asked_for_is_cut_short() {
    let text = "x".repeat(heard::MOST_BYTES + 70_000);
    let fetch = format!("* 1 FETCH (UID 9 BODY[] {{{}}}\r\n{text})\r\n{{tag}} OK done\r\n", text.len());
    let letters = fetched(Box::leak(fetch.into_boxed_str())).await.unwrap();
    assert_eq!(letters[0].raw.len(), heard::MOST_BYTES);
}

#[tokio::test]
async fn a_folder_may_not_say_its_next_number() {
    let opened = "* 3 EXISTS\r\n{tag} OK [uidvalidity 7] done\r\n";
    let mut session = with(&[
        "* 3 EXISTS\r\n* OK [UIDVALIDITY 7]\r\n{tag} OK done\r\n",
        "* 3 FETCH (UID 41)\r\n{tag} OK done\r\n",
        "* 0 EXISTS\r\n* OK [UIDVALIDITY 8]\r\n{tag} OK done\r\n",
    ])
    .await;
    assert_eq!(session.open("INBOX").await.unwrap(), Folder { uid_validity: 7, uid_next: 42, exists: 3 });
    assert_eq!(session.open("INBOX").await.unwrap(), Folder { uid_validity: 8, uid_next: 1, exists: 0 });
    for without in [opened, "* 3 EXISTS\r\n* OK [UIDVALIDITY x]\r\n{tag} OK done\r\n"] {
        let mut session = with(Box::leak(Box::new([without]))).await;
        let failed = session.open("INBOX").await.unwrap_err();
        assert!(matches!(failed.cause, Cause::Garbage(_)) && session.is_spent(), "{failed}");
    }
}

#[tokio::test]
async fn a_search_may_come_in_parts_or_not_at_all() {
    let mut session = with(&[
        OPENED,
        "* SEARCH 12 10\r\n* SEARCH\r\n* search 0 9 10 3\r\n{tag} OK done\r\n",
        "* 1 FETCH (UID 9 BODY[] \"a\")\r\n{tag} OK done\r\n",
        "* 1 FETCH (UID 10 BODY[] \"b\")\r\n{tag} OK done\r\n",
        "{tag} OK done\r\n",
    ])
    .await;
    session.open("INBOX").await.unwrap();
    assert_eq!(uids(&session.newer(8, 2).await.unwrap()), [9, 10]);
    assert_eq!(session.newer(12, 2).await.unwrap(), []);
}

#[tokio::test]
async fn a_wish_for_more_of_a_whole_command_is_nonsense() {
    let mut session = with(&["+ go on\r\n"]).await;
    let failed = session.open("INBOX").await.unwrap_err();
    assert!(matches!(failed.cause, Cause::Garbage(_)) && session.is_spent());
}

#[tokio::test]
async fn a_farewell_in_the_middle_ends_the_session_with_its_words() {
    let mut session = with(&[OPENED, "* SEARCH 9\r\n* bye [x] autologout; idle\tfor too long\r\n"]).await;
    session.open("INBOX").await.unwrap();
    let failed = session.newer(8, 50).await.unwrap_err();
    assert_eq!(failed.to_string(), "search failed: the server ended the conversation: autologout; idle for too long");
}

#[tokio::test]
async fn messages_that_are_found_and_never_there_come_to_an_end() {
    let server = start();
    let mut session = inbox(&server, &patient()).await;
    let all: String = (1..=5_000).map(|uid| format!(" {uid}")).collect();
    let found = format!("* SEARCH{all}\r\n");
    server.fault(ImapFault::always(ImapStage::Search, ImapAct::Before(found.into_bytes())));
    let failed = session.newer(0, 1).await.unwrap_err();
    assert!(matches!(failed.cause, Cause::Garbage(_)), "{failed}");
    assert!(!session.is_spent());
}
