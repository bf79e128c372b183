//! The server gives what was put into it, and misbehaves as it is told.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;

use super::*;

const PATIENCE: Duration = Duration::from_secs(30);

/// A client that says lines and hears answers.
struct Client(BufReader<TcpStream>);

impl Client {
    fn of(server: &ImapServer) -> Self {
        let stream = TcpStream::connect(server.address()).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self(BufReader::new(stream))
    }

    fn signed_in(server: &ImapServer) -> Self {
        let mut client = Self::of(server);
        assert_eq!(client.line(), "* OK hello");
        assert_eq!(client.ask("LOGIN ada \"hunter2\""), ["t OK welcome"]);
        client
    }

    /// A line with its end; without one when the connection was cut.
    fn whole_line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap_or(0);
        line
    }

    fn line(&mut self) -> String {
        self.whole_line().trim_end().to_owned()
    }

    fn say(&mut self, text: &str) {
        self.0.get_mut().write_all(text.as_bytes()).unwrap();
    }

    /// The lines of an answer, up to the one with the tag, or to the end of the connection.
    fn ask(&mut self, command: &str) -> Vec<String> {
        self.say(&format!("t {command}\r\n"));
        let mut lines = Vec::new();
        loop {
            let line = self.whole_line();
            let ended = !line.ends_with('\n') || line.starts_with("t ");
            lines.push(line.trim_end().to_owned());
            if ended {
                return lines;
            }
        }
    }
}

#[test]
fn messages_are_given_as_they_are() {
    let server = ImapServer::start(ImapOptions::default()).unwrap();
    assert_eq!(server.append("INBOX", b"Message-ID: <1@x>\r\n\r\none"), 1);
    assert_eq!(server.append_at("INBOX", 7, b"Message-ID: <2@x>\r\n\r\ntwo"), 7);
    let mut client = Client::signed_in(&server);
    let opened = client.ask("EXAMINE inbox");
    assert_eq!((opened[0].as_str(), opened[3].as_str()), ("* 2 EXISTS", "* OK [UIDVALIDITY 1] fine"));
    assert_eq!(opened.last().unwrap(), "t OK [READ-ONLY] open");
    assert_eq!(client.ask("UID SEARCH UID 9:*")[0], "* SEARCH 7", "as real servers do");
    assert_eq!(client.ask("UID SEARCH HEADER Message-ID \"<1@x>\"")[0], "* SEARCH 1");
    assert_eq!(client.ask("UID SEARCH BODY x"), ["t BAD what to look for?"]);
    let fetched = client.ask("UID FETCH 7 (UID RFC822.SIZE FLAGS BODY.PEEK[]<0.10>)");
    assert_eq!(fetched, ["* 2 FETCH (UID 7 RFC822.SIZE 24 FLAGS () BODY[]<0> {10}", "Message-ID)", "t OK done"]);
    let header = client.ask("UID FETCH 1 (BODY.PEEK[HEADER.FIELDS (MESSAGE-ID)])");
    assert_eq!(header[..2], ["* 1 FETCH (BODY[HEADER.FIELDS (MESSAGE-ID)] {21}", "MESSAGE-ID: <1@x>"]);
    assert_eq!((server.read("INBOX"), server.seen("INBOX")), (vec![7], Vec::new()));
    assert_eq!(client.ask("SELECT INBOX").last().unwrap(), "t OK [READ-WRITE] open");
    client.ask("UID FETCH 7 BODY[]");
    assert_eq!(server.seen("INBOX"), [7]);
    server.expunge("INBOX", 1);
    assert_eq!(client.ask("UID SEARCH ALL")[0], "* SEARCH 7");
    server.renumber("INBOX", 2);
    assert_eq!(client.ask("UID SEARCH ALL")[0], "* SEARCH 1");
    assert_eq!(client.ask("EXAMINE \"Nowhere\""), ["t NO [NONEXISTENT] no such folder"]);
    assert_eq!(client.ask("UID SEARCH ALL"), ["t BAD not now"]);
    server.add_folder("Sent", "\\Sent");
    assert_eq!(client.ask("LIST \"\" \"*\"")[1], "* LIST (\\Sent) \"/\" \"Sent\"");
    assert_eq!(client.ask("LOGOUT"), ["* BYE goodbye", "t OK done"]);
    assert_eq!(server.commands()[..2], ["LOGIN ada", "EXAMINE inbox"]);
}

#[test]
fn nobody_signs_in_with_wrong_credentials() {
    let server = ImapServer::start(ImapOptions::default()).unwrap();
    let mut client = Client::of(&server);
    client.line();
    assert_eq!(client.ask("EXAMINE INBOX"), ["t BAD not now"]);
    assert_eq!(client.ask("LOGIN ada wrong"), ["t NO [AUTHENTICATIONFAILED] wrong credentials"]);
    client.say("t LOGIN {3}\r\n");
    assert_eq!(client.line(), "+ go on");
    client.say("ada {7+}\r\nhunter2\r\n");
    assert_eq!(client.line(), "t OK welcome");
    assert_eq!(server.reached(ImapStage::SignIn), 2);
}

#[test]
fn faults_act_as_often_as_they_should() {
    let server = ImapServer::start(ImapOptions::default()).unwrap();
    server.append("INBOX", &b"1234567\r\n".repeat(100));
    let mut client = Client::signed_in(&server);
    server.fault(ImapFault::once(ImapStage::Open, ImapAct::Answer("NO [INUSE] later".to_owned())));
    assert_eq!(client.ask("EXAMINE INBOX"), ["t NO [INUSE] later"]);
    assert_eq!(client.ask("UID SEARCH ALL"), ["t BAD not now"], "it was not opened");
    client.ask("EXAMINE INBOX");
    server.fault(ImapFault::always(ImapStage::Search, ImapAct::Before(b"* 2 EXISTS\r\n".to_vec())));
    for _ in 0..2 {
        assert_eq!(client.ask("UID SEARCH ALL"), ["* 2 EXISTS", "* SEARCH 1", "t OK done"]);
    }
    server.heal();
    assert_eq!(client.ask("UID SEARCH ALL"), ["* SEARCH 1", "t OK done"]);
    server.fault(ImapFault::once(ImapStage::Fetch, ImapAct::CutHalfway));
    let half = client.ask("UID FETCH 1 (BODY.PEEK[])");
    assert_eq!((half[0].as_str(), half[1].as_str()), ("* 1 FETCH (BODY[] {900}", "1234567"));
    assert!(half.len() < 60 && !half.contains(&"t OK done".to_owned()), "{half:?}");
    let mut client = Client::of(&server);
    server.fault(ImapFault::once(ImapStage::SignIn, ImapAct::Bye("enough".to_owned())));
    client.line();
    assert_eq!(client.ask("LOGIN ada hunter2"), ["* BYE enough", ""]);
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn what_is_read_can_be_waited_for() {
    let server = ImapServer::start(ImapOptions::default()).unwrap();
    server.append("INBOX", b"x");
    assert!(!server.wait_for_read("INBOX", 1, Duration::from_millis(1)).await);
    let address = server.address();
    let client = tokio::task::spawn_blocking(move || {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(b"1 LOGIN ada hunter2\r\n2 EXAMINE INBOX\r\n3 UID FETCH 1 (BODY.PEEK[])\r\n").unwrap();
        stream
    });
    assert!(server.wait_for_read("INBOX", 1, PATIENCE).await);
    assert!(server.wait_for_stage(ImapStage::Fetch, 1, PATIENCE).await);
    drop(client.await.unwrap());
}
