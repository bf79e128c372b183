//! Names that lie, change or hang, and what is dialled for them.

use std::future::{pending, ready};
use std::net::Ipv6Addr;
use std::task::Poll;

use futures_util::poll;
use tower::{Layer, Service, service_fn};

use super::super::phase::{NotesConnecting, Progress};
use super::super::{BadUrl, Fault, NotPublic, Phase, SystemLookup};
use super::urls::LITERALS;
use super::*;

/// Answers one request on each connection, as often as there are closings.
fn answers(listener: TcpListener, closings: &'static [&'static str]) -> Receiver<()> {
    Receiver::on(listener, move |listener| {
        let mut stream = accept(&listener);
        for (at, closing) in closings.iter().enumerate() {
            read_request(&mut stream);
            write(&mut stream, &format!("HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: {closing}\r\n\r\n"));
            if *closing == "close" && at + 1 < closings.len() {
                stream = accept(&listener);
            }
        }
    })
}

#[tokio::test]
async fn a_name_that_changes_its_address_does_not_lead_inside() {
    let (listener, inside) = outside_and_inside();
    let url = format!("http://rebinding.example:{}/", inside.address().port());
    let receiver = answers(listener, &["close"]);
    let names = Names::new([&[OUTSIDE], &[INSIDE]]);
    let client = client(settings(), &names);
    assert_eq!(post(&client, &url).await.unwrap().status, 200);
    let failure = post(&client, &url).await.unwrap_err();
    assert_eq!(failure.fault, Fault::Refused(NotPublic::Loopback), "{failure:?}");
    assert!(failure.inside.contains("127.0.0.1") && !failure.fault.detail().contains("127.0.0.1"), "{failure:?}");
    assert_eq!(names.asked(), 2);
    inside.is_untouched();
    receiver.outcome().await;
}

#[tokio::test]
async fn a_connection_that_is_kept_goes_where_it_was_allowed_to_go() {
    let (listener, inside) = outside_and_inside();
    let url = format!("http://rebinding.example:{}/", inside.address().port());
    let receiver = answers(listener, &["keep-alive", "keep-alive", "close"]);
    let names = Names::new([&[OUTSIDE], &[INSIDE]]);
    let client = client(settings(), &names);
    for _ in 0..3 {
        let answer = post(&client, &url).await.unwrap();
        assert_eq!(answer.address, Some(receiver.address));
    }
    assert_eq!(names.asked(), 1);
    assert_eq!(post(&client, &url).await.unwrap_err().fault, Fault::Refused(NotPublic::Loopback));
    inside.is_untouched();
    receiver.outcome().await;
}

#[tokio::test]
async fn of_a_mixed_answer_only_what_is_allowed_is_dialled() {
    let mapped = IpAddr::V6(Ipv4Addr::LOCALHOST.to_ipv6_mapped());
    let mixed: [&[IpAddr]; 3] = [&[INSIDE, OUTSIDE], &[OUTSIDE, INSIDE], &[mapped, INSIDE, OUTSIDE, mapped]];
    for answer in mixed {
        let (listener, inside) = outside_and_inside();
        let url = format!("http://mixed.example:{}/", inside.address().port());
        let receiver = answers(listener, &["close"]);
        let client = client(settings(), &Names::new([answer]));
        assert_eq!(post(&client, &url).await.unwrap().address, Some(receiver.address), "{answer:?}");
        receiver.outcome().await;
        // Nobody listens outside any more, and that is no reason to try the others.
        assert_eq!(post(&client, &url).await.unwrap_err().fault, Fault::ConnectFailed, "{answer:?}");
        inside.is_untouched();
    }
}

#[tokio::test]
async fn a_name_that_stands_for_inside_only_is_not_dialled() {
    let inside = Canary::on((INSIDE, 0));
    let url = format!("http://inside.example:{}/", inside.address().port());
    for text in ["127.0.0.1", "::ffff:127.0.0.1", "64:ff9b::127.0.0.1", "0.0.0.0", "::", "::1", "169.254.169.254"] {
        let address: IpAddr = text.parse().unwrap();
        let failure = post(&client(settings(), &Names::new([&[address]])), &url).await.unwrap_err();
        assert!(matches!(failure.fault, Fault::Refused(_)), "{text}: {failure:?}");
    }
    inside.is_untouched();
}

#[tokio::test]
async fn a_host_that_is_written_as_an_address_is_judged_without_a_lookup() {
    let inside = Canary::on((INSIDE, 0));
    let inside_v6 = TcpListener::bind((Ipv6Addr::LOCALHOST, inside.address().port())).ok();
    let names = Names::new([&[OUTSIDE]]);
    let client = client(settings(), &names);
    for (host, why) in LITERALS {
        let failure = post(&client, &format!("http://{host}:{}/", inside.address().port())).await.unwrap_err();
        assert_eq!(failure.fault, Fault::BadUrl(BadUrl::Address(why)), "{host}");
    }
    assert_eq!(names.asked(), 0);
    inside.is_untouched();
    if let Some(listener) = inside_v6 {
        listener.set_nonblocking(true).unwrap();
        Canary(listener).is_untouched();
    }
}

#[tokio::test]
async fn an_allowed_address_of_ipv6_is_reached_by_name_and_as_it_is_written() {
    let Ok(listener) = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)) else {
        eprintln!("skipped: this machine has no IPv6");
        return;
    };
    let receiver = answers(listener, &["close", "close"]);
    let rules = Rules { allowed: vec!["::1/128".parse().unwrap()], ..rules() };
    let client = client(Settings { rules, ..settings() }, &Names::new([&[IpAddr::V6(Ipv6Addr::LOCALHOST)]]));
    for host in ["six.example", "[0::0:1]"] {
        let answer = post(&client, &format!("http://{host}:{}/", receiver.address.port())).await.unwrap();
        assert_eq!(answer.address, Some(receiver.address), "{host}");
    }
    receiver.outcome().await;
}

#[tokio::test]
async fn a_url_that_was_stored_under_other_rules_is_checked_again() {
    let outside = Canary::on((OUTSIDE, 0));
    let names = Names::new([&[OUTSIDE]]);
    let secure = Rules { allow_http: false, ..rules() };
    let client = client(Settings { rules: secure, ..settings() }, &names);
    for (url, bad) in [
        (format!("http://{}/", outside.address()), BadUrl::Scheme { allow_http: false }),
        (format!("https://user@{}/", outside.address()), BadUrl::Credentials),
        (format!("https://{}/#a", outside.address()), BadUrl::Fragment),
    ] {
        assert_eq!(post(&client, &url).await.unwrap_err().fault, Fault::BadUrl(bad), "{url}");
    }
    outside.is_untouched();
    assert_eq!(names.asked(), 0);
}

#[tokio::test]
async fn a_name_without_addresses_cannot_be_resolved() {
    for names in [Names::default(), Names::new([&[]])] {
        let failure = post(&client(settings(), &names), "http://nobody.example/").await.unwrap_err();
        assert_eq!(failure.fault, Fault::Unresolvable, "{failure:?}");
    }
}

struct Silent;

impl Lookup for Silent {
    fn lookup(&self, _: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        Box::pin(pending())
    }
}

#[tokio::test]
async fn a_lookup_without_end_is_left_in_time() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    for settings in [Settings { connect_timeout: SHORT, ..settings() }, Settings { deadline: SHORT, ..settings() }] {
        let client = Outgoing::with_lookup(settings, Arc::new(Silent)).unwrap();
        let failure = post(&client, "http://silent.example/").await.unwrap_err();
        assert_eq!(failure.fault, Fault::TimedOut(Phase::Resolve), "{failure:?}");
        assert!(failure.took < PATIENCE);
    }
}

#[tokio::test]
async fn the_system_knows_this_host() {
    let found = SystemLookup::default().lookup("localhost".to_owned()).await.unwrap();
    assert!(!found.is_empty() && found.iter().all(IpAddr::is_loopback), "{found:?}");
}

#[tokio::test]
async fn the_names_of_one_answer_that_are_dialled_are_few() {
    let many: Vec<IpAddr> = (1..=200).map(|last| IpAddr::V4(Ipv4Addr::new(8, 8, 8, last))).collect();
    let dialled = super::super::resolver::vet(&many, &rules()).unwrap();
    assert_eq!(dialled.iter().map(SocketAddr::ip).collect::<Vec<_>>(), many[..8]);
}

#[tokio::test]
async fn a_connection_that_is_made_for_later_is_not_waited_for() {
    let mut connector = NotesConnecting.layer(service_fn(|waits: bool| async move {
        if waits { pending().await } else { ready(Ok::<_, io::Error>(())).await }
    }));
    let progress = Progress::begin();
    assert_eq!(progress.phase(), Phase::Answer);
    progress.during(async { connector.call(false).await.unwrap() }).await;
    assert_eq!(progress.phase(), Phase::Answer);
    let mut connecting = Box::pin(connector.call(true));
    progress.during(async { connecting.set(connector.call(true)) }).await;
    assert_eq!(progress.phase(), Phase::Connect);
    assert_eq!(progress.during(async { poll!(&mut connecting) }).await.map(|it| it.is_ok()), Poll::Pending);
    assert_eq!(progress.phase(), Phase::Connect);
    assert_eq!(poll!(&mut connecting).map(|it| it.is_ok()), Poll::Pending, "now in a task of its own");
    assert_eq!(progress.phase(), Phase::Answer);
}
