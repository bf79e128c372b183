//! The client against a name server that misbehaves, and against servers that say anything at all.

mod any_bytes;

use std::sync::atomic::{AtomicU8, Ordering};

use mainstay_testing::{NameFault, NameServer, RecordType};

use super::*;

/// Enough for a busy machine, except where a test wants a timeout.
const PATIENCE: Duration = Duration::from_secs(30);

/// Bytes that count up.
#[derive(Default)]
struct Counting(AtomicU8);

impl Entropy for Counting {
    fn fill(&self, buffer: &mut [u8]) {
        buffer.fill_with(|| self.0.fetch_add(1, Ordering::Relaxed));
    }
}

fn resolver(servers: &[&NameServer]) -> Resolver {
    let servers = servers.iter().map(|server| server.address()).collect();
    Resolver::new(servers, Arc::new(Counting::default())).with_patience(PATIENCE, 2)
}

fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

async fn texts(resolver: &Resolver, of: &str) -> Result<Vec<String>, Trouble> {
    let texts = resolver.texts(&name(of)).await?;
    Ok(texts.into_iter().map(|text| String::from_utf8(text).unwrap()).collect())
}

/// A server that has one text under `a.example`.
fn server() -> NameServer {
    let server = NameServer::start().unwrap();
    server.set("a.example", RecordType::Txt, &["hello"]).unwrap();
    server
}

#[tokio::test]
async fn each_kind_of_record_is_read() {
    let server = server();
    let long = "x".repeat(700);
    server.set("b.example", RecordType::Txt, &["one", &long, ""]).unwrap();
    server.set("b.example", RecordType::Mx, &["20 second.example", "10 First.example"]).unwrap();
    server.set("b.example", RecordType::A, &["192.0.2.1"]).unwrap();
    server.set("b.example", RecordType::Aaaa, &["2001:db8::1"]).unwrap();
    server.set("none.example", RecordType::Mx, &["0 ."]).unwrap();
    let resolver = resolver(&[&server]);
    let texts = texts(&resolver, "B.example").await.unwrap();
    assert_eq!(texts, ["one".to_owned(), long, String::new()], "strings are joined, records are not");
    let exchangers = resolver.mail_exchangers(&name("b.example")).await.unwrap();
    let hosts: Vec<&str> = exchangers.iter().map(|one| one.host.as_str()).collect();
    assert_eq!(hosts, ["first.example", "second.example"]);
    assert!(resolver.mail_exchangers(&name("none.example")).await.unwrap()[0].host.is_root());
    let addresses = resolver.addresses(&name("b.example")).await.unwrap();
    assert_eq!(addresses, ["192.0.2.1".parse::<IpAddr>().unwrap(), "2001:db8::1".parse().unwrap()]);
    assert_eq!(resolver.addresses(&name("a.example")).await, Ok(Vec::new()), "the name is there, without addresses");
    assert_eq!(resolver.addresses(&name("c.example")).await, Ok(Vec::new()), "the name is not there");
}

#[tokio::test]
async fn aliases_are_followed_however_they_are_told() {
    let server = server();
    server.set("b.example", RecordType::Cname, &["c.example"]).unwrap();
    server.set("c.example", RecordType::Cname, &["a.example"]).unwrap();
    server.set("lost.example", RecordType::Cname, &["nowhere.example"]).unwrap();
    let resolver = resolver(&[&server]);
    assert_eq!(texts(&resolver, "b.example").await.unwrap(), ["hello"]);
    assert_eq!(server.asked().len(), 1, "the whole way is in one answer");
    server.fault("*", NameFault::AliasOnly);
    assert_eq!(texts(&resolver, "b.example").await.unwrap(), ["hello"]);
    assert_eq!(server.asked().len(), 4);
    server.heal();
    assert_eq!(texts(&resolver, "lost.example").await, Ok(Vec::new()));
    assert_eq!(resolver.addresses(&name("b.example")).await, Ok(Vec::new()));
}

#[tokio::test]
async fn aliases_that_go_round_or_on_and_on_are_given_up() {
    let server = server();
    server.set("x.example", RecordType::Cname, &["y.example"]).unwrap();
    server.set("y.example", RecordType::Cname, &["x.example"]).unwrap();
    server.set("self.example", RecordType::Cname, &["self.example"]).unwrap();
    for number in 0..9 {
        let target = if number == 8 { "a.example".to_owned() } else { format!("n{}.example", number + 1) };
        server.set(&format!("n{number}.example"), RecordType::Cname, &[&target]).unwrap();
    }
    let resolver = resolver(&[&server]);
    for faulty in [false, true] {
        for round in ["x.example", "self.example", "n0.example"] {
            assert_eq!(texts(&resolver, round).await, Err(Trouble::AliasLoop), "{round}");
        }
        assert_eq!(texts(&resolver, "n1.example").await.unwrap(), ["hello"], "eight are allowed");
        if !faulty {
            server.fault("*", NameFault::AliasOnly);
        }
    }
    assert!(server.asked().len() < 50);
}

#[tokio::test]
async fn what_was_cut_is_fetched_by_tcp() {
    let server = server();
    let long = "x".repeat(5_000);
    server.set("b.example", RecordType::Txt, &[&long]).unwrap();
    let resolver = resolver(&[&server]);
    assert_eq!(texts(&resolver, "b.example").await.unwrap(), [long]);
    server.fault("a.example", NameFault::Truncated);
    assert_eq!(texts(&resolver, "a.example").await.unwrap(), ["hello"]);
    let by_tcp: Vec<bool> = server.asked().iter().map(|asked| asked.by_tcp).collect();
    assert_eq!(by_tcp, [false, true, false, true]);
    server.heal();
    server.fault("a.example", NameFault::TruncatedAlways);
    assert_eq!(texts(&resolver, "a.example").await, Err(Trouble::Garbage("an answer by TCP that was cut")));
}

#[tokio::test]
async fn a_server_that_declines_is_not_one_that_has_nothing() {
    let server = server();
    let resolver = resolver(&[&server]);
    for code in [2, 5, 9] {
        server.fault("*", NameFault::Code(code));
        assert_eq!(texts(&resolver, "a.example").await, Err(Trouble::Declined(code)));
        server.heal();
    }
    server.fault("*", NameFault::Code(3));
    assert_eq!(texts(&resolver, "a.example").await, Ok(Vec::new()));
    server.heal();
    server.fault("*", NameFault::Referral);
    assert!(matches!(texts(&resolver, "a.example").await, Err(Trouble::Garbage(_))));
    assert_eq!(server.asked().len(), 9, "each server is asked twice");
    let nobody = Resolver::new(Vec::new(), Arc::new(Counting::default()));
    assert_eq!(texts(&nobody, "a.example").await, Err(Trouble::NoServer));
}

#[tokio::test]
async fn the_next_attempt_and_the_next_server_are_tried() {
    let (bad, good) = (server(), server());
    bad.fault("*", NameFault::Code(2));
    assert_eq!(texts(&resolver(&[&bad, &good]), "a.example").await.unwrap(), ["hello"]);
    let server = server();
    server.fault_times("a.example", NameFault::Code(2), 1);
    assert_eq!(texts(&resolver(&[&server]), "a.example").await.unwrap(), ["hello"]);
    // Nobody listens there any more, which the system tells at once.
    let gone = NameServer::start().unwrap();
    let resolver = resolver(&[&gone, &good]);
    drop(gone);
    assert_eq!(texts(&resolver, "a.example").await.unwrap(), ["hello"]);
}

#[tokio::test]
async fn a_server_without_edns_is_asked_without_it() {
    let server = server();
    server.fault("*", NameFault::NoExtensions);
    assert_eq!(texts(&resolver(&[&server]), "a.example").await.unwrap(), ["hello"]);
    let extended: Vec<bool> = server.asked().iter().map(|asked| asked.extended).collect();
    assert_eq!(extended, [true, false]);
}

#[tokio::test]
async fn answers_that_somebody_made_up_are_passed_over() {
    let server = server();
    server.fault("*", NameFault::Forged);
    assert_eq!(texts(&resolver(&[&server]), "a.example").await.unwrap(), ["hello"]);
}

#[tokio::test]
async fn a_question_that_is_lost_is_asked_again() {
    let server = server();
    server.fault_times("a.example", NameFault::Silence, 1);
    // Of the many attempts after the first, one is answered in time on any machine.
    let resolver = resolver(&[&server]).with_patience(Duration::from_millis(100), 100);
    assert_eq!(texts(&resolver, "a.example").await.unwrap(), ["hello"]);
}

/// With the clock of the test, which goes on at once when nothing else is to be done.
#[tokio::test(start_paused = true)]
async fn waiting_has_an_end() {
    let (first, second) = (server(), server());
    let resolver = resolver(&[&first, &second]).with_patience(Duration::from_secs(2), 3);
    let deaf =
        [NameFault::Silence, NameFault::WrongId, NameFault::OtherQuestion, NameFault::Garbage(vec![0x81, 0x80, 0])];
    for fault in deaf {
        for server in [&first, &second] {
            server.heal();
            server.fault("*", fault.clone());
        }
        let begun = tokio::time::Instant::now();
        assert_eq!(texts(&resolver, "a.example").await, Err(Trouble::TimedOut), "{fault:?}");
        assert!((12..13).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());
    }
    let endless = Resolver::new(vec![first.address()], Arc::new(Counting::default())).with_patience(Duration::MAX, 1);
    assert_eq!(texts(&endless, "a.example").await, Err(Trouble::TimedOut));
}

#[test]
fn a_resolver_can_be_sent_and_does_not_print_much() {
    fn sent<T: Send + Sync>(_: &T) {}
    let resolver = Resolver::new(vec!["192.0.2.1:53".parse().unwrap(); 9], Arc::new(Counting::default()));
    sent(&resolver);
    assert_eq!(resolver.servers.len(), MOST_SERVERS);
    assert!(format!("{resolver:?}").contains("192.0.2.1:53"));
    assert!(Resolver::system(Arc::new(Counting::default())).is_ok());
    assert!(Trouble::Declined(2).to_string().contains("SERVFAIL"));
}
