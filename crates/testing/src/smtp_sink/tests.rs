//! The sink keeps books that are right, fast enough, and whatever its clients do.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::*;

const PATIENCE: Duration = Duration::from_secs(30);

/// A client that says lines and hears answers.
struct Client(BufReader<TcpStream>);

impl Client {
    fn of(sink: &SmtpSink) -> Self {
        let stream = TcpStream::connect(sink.address()).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self(BufReader::new(stream))
    }

    fn greeted(sink: &SmtpSink) -> Self {
        let mut client = Self::of(sink);
        assert!(client.hear().starts_with("220"));
        assert!(client.ask("EHLO test").starts_with("250"));
        client
    }

    fn say(&mut self, text: &str) {
        self.0.get_mut().write_all(text.as_bytes()).unwrap();
    }

    /// The last line of an answer; empty when the line was cut.
    fn hear(&mut self) -> String {
        loop {
            let mut line = String::new();
            if self.0.read_line(&mut line).unwrap_or(0) == 0 {
                return String::new();
            }
            if line.as_bytes().get(3) != Some(&b'-') {
                return line.trim_end().to_owned();
            }
        }
    }

    fn ask(&mut self, line: &str) -> String {
        self.say(&format!("{line}\r\n"));
        self.hear()
    }

    /// Sends a message to a recipient in one go, and gives the four answers.
    fn send(&mut self, recipient: &str, id: &str) -> [String; 4] {
        self.say(&format!("MAIL FROM:<a@x.example>\r\nRCPT TO:<{recipient}>\r\nDATA\r\n"));
        let (first, second, third) = (self.hear(), self.hear(), self.hear());
        if !third.starts_with("354") {
            return [first, second, third, String::new()];
        }
        self.say(&format!("Subject: x\r\nMessage-ID: <{id}>\r\n\r\n..dotted\r\nMessage-ID: <no>\r\n.\r\n"));
        let last = self.hear();
        [first, second, third, last]
    }
}

#[test]
fn what_is_kept_is_in_the_books() {
    let sink = SmtpSink::start(SinkOptions { keep_bytes: true, ..SinkOptions::default() }).unwrap();
    let mut client = Client::greeted(&sink);
    for id in ["1@x", "2@x", "1@x"] {
        assert!(client.send("b@y.example", id)[3].starts_with("250"));
    }
    assert!(client.ask("QUIT").starts_with("221"));
    assert!(sink.wait_for_blocking(3, PATIENCE) && !sink.wait_for_blocking(4, Duration::from_millis(1)));
    assert_eq!((sink.count(), sink.count_of("1@x"), sink.count_of("2@x"), sink.count_of("3@x")), (3, 2, 1, 0));
    assert_eq!(sink.duplicates(), [("1@x".to_owned(), 2)]);
    let kept = &sink.kept()[1];
    assert_eq!((kept.message_id.as_str(), kept.sender.as_str(), kept.told), ("2@x", "a@x.example", true));
    assert_eq!(kept.recipients, ["b@y.example"]);
    assert_eq!(
        kept.bytes.as_deref().unwrap(),
        b"Subject: x\r\nMessage-ID: <2@x>\r\n\r\n.dotted\r\nMessage-ID: <no>\r\n"
    );
}

#[test]
fn faults_act_where_and_when_they_are_set() {
    let sink = SmtpSink::start(SinkOptions::default()).unwrap();
    sink.fault(SinkFault::for_recipient("gone", "550 5.1.1 no such user"));
    sink.fault(SinkFault::once(SinkStage::Body, SinkAct::Answer("451 4.3.0 later".to_owned())));
    let mut client = Client::greeted(&sink);
    let [_, second, third, _] = client.send("gone@y.example", "1@x");
    assert!(second.starts_with("550") && third.starts_with("554"), "{second} {third}");
    assert!(client.ask("RSET").starts_with("250"));
    assert!(client.send("b@y.example", "2@x")[3].starts_with("451"));
    assert!(client.send("b@y.example", "3@x")[3].starts_with("250"));
    assert_eq!((sink.count_of("2@x"), sink.count_of("3@x")), (0, 1));

    sink.heal();
    sink.fault(SinkFault::once(SinkStage::Body, SinkAct::KeepAndCut));
    sink.fault(SinkFault::once(SinkStage::Body, SinkAct::Cut));
    assert_eq!(Client::greeted(&sink).send("b@y.example", "4@x")[3], "");
    assert_eq!(Client::greeted(&sink).send("b@y.example", "5@x")[3], "");
    assert_eq!((sink.count_of("4@x"), sink.count_of("5@x")), (1, 0));
    assert!(!sink.kept().iter().find(|kept| kept.message_id == "4@x").unwrap().told);

    sink.heal();
    sink.fault(SinkFault::once(SinkStage::Data, SinkAct::Answer("421 4.3.2 closing".to_owned())));
    let mut client = Client::greeted(&sink);
    assert!(client.send("b@y.example", "6@x")[2].starts_with("421"));
    assert_eq!(client.hear(), "", "the line is closed");
}

#[test]
fn chance_is_decided_by_the_seed() {
    let run = |seed| {
        let sink = SmtpSink::start(SinkOptions { seed, ..SinkOptions::default() }).unwrap();
        let act = SinkAct::Answer("450 4.2.0 later".to_owned());
        sink.fault(SinkFault { stage: SinkStage::Sender, act, when: When::Chance(0.3) });
        let mut client = Client::greeted(&sink);
        let refused = |line: &str| line.starts_with("450");
        let mut decided = Vec::new();
        for _ in 0..200 {
            decided.push(refused(&client.ask("MAIL FROM:<a@x.example>")));
            client.ask("RSET");
        }
        decided
    };
    let first = run(7);
    let count = first.iter().filter(|refused| **refused).count();
    assert!((30..90).contains(&count), "{count} of 200");
    assert_eq!(first, run(7));
    assert_ne!(first, run(8));
}

#[test]
fn who_signs_in_is_checked() {
    let users = vec![("ada".to_owned(), "secret".to_owned())];
    let sink = SmtpSink::start(SinkOptions { users, ..SinkOptions::default() }).unwrap();
    let mut client = Client::greeted(&sink);
    assert!(client.ask("MAIL FROM:<a@x.example>").starts_with("530"));
    assert!(client.ask(&format!("AUTH PLAIN {}", STANDARD.encode("\0ada\0wrong"))).starts_with("535"));
    assert!(client.ask(&format!("AUTH PLAIN {}", STANDARD.encode("\0ada\0secret"))).starts_with("235"));
    assert!(client.ask("MAIL FROM:<a@x.example>").starts_with("250"));
    let mut client = Client::greeted(&sink);
    assert!(client.ask("AUTH LOGIN").starts_with("334"));
    assert!(client.ask(&STANDARD.encode("ada")).starts_with("334"));
    assert!(client.ask(&STANDARD.encode("secret")).starts_with("235"));
}

#[tokio::test]
async fn clients_that_vanish_leave_it_standing() {
    let sink = SmtpSink::start(SinkOptions::default()).unwrap();
    for part in
        ["", "EHLO x\r\nMAIL FROM:<a@x.example>\r\nRCPT TO:<b@y.example>\r\nDATA\r\nhalf a mess", "\0\0\0\n\n\n"]
    {
        let mut client = Client::of(&sink);
        client.say(part);
        drop(client);
    }
    assert!(sink.wait_for_stage(SinkStage::Greeting, 3, PATIENCE).await);
    sink.fault(SinkFault::once(SinkStage::Greeting, SinkAct::Hang));
    let mut hung = Client::of(&sink);
    hung.0.get_mut().set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    assert!(hung.0.get_mut().read(&mut [0; 1]).is_err(), "nothing is said");
    let mut client = Client::greeted(&sink);
    assert!(client.send("b@y.example", "1@x")[3].starts_with("250"));
    assert_eq!(sink.count(), 1);
}

#[tokio::test]
async fn a_stage_and_a_count_can_be_awaited() {
    let sink = SmtpSink::start(SinkOptions::default()).unwrap();
    let address = sink.address();
    let stream = TcpStream::connect(address).unwrap();
    assert!(sink.wait_for_stage(SinkStage::Greeting, 1, PATIENCE).await);
    assert!(!sink.wait_for(1, Duration::from_millis(1)).await);
    drop(stream);
    assert_eq!(sink.connections(), 1);
}

/// What the sink can take must be more than what is measured with it.
#[test]
fn it_keeps_three_thousand_messages_a_second() {
    let sink = SmtpSink::start(SinkOptions::default()).unwrap();
    let started = tokio::time::Instant::now();
    std::thread::scope(|scope| {
        for thread in 0..20 {
            let sink = &sink;
            scope.spawn(move || {
                let mut client = Client::greeted(sink);
                for number in 0..150 {
                    assert!(client.send("b@y.example", &format!("{thread}.{number}@x"))[3].starts_with("250"));
                }
            });
        }
    });
    let took = started.elapsed();
    println!("3,000 messages over 20 connections in {took:?}");
    assert_eq!((sink.count(), sink.duplicates().len()), (3_000, 0));
    // A machine that is busy with other builds is allowed ten times the time.
    assert!(took < Duration::from_secs(10), "{took:?}");
}
