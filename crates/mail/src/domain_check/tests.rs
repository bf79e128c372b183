//! Each finding over real sockets, its cure, and what is told when nobody answers.

mod of_dmarc;
mod of_spf;

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mainstay_domain::Entropy;
use mainstay_testing::{NameFault, NameServer, RecordType};

use super::*;
use crate::dkim::KeyRecord;

const PATIENCE: Duration = Duration::from_secs(20);
const POLICY: &str = "v=DMARC1; p=none; rua=mailto:dmarc@example.com";
const KEY_NAME: &str = "one._domainkey.example.com";

struct Same;

impl Entropy for Same {
    fn fill(&self, buffer: &mut [u8]) {
        buffer.fill(7);
    }
}

fn key_of(bytes: &[u8], kind: &str) -> PublicKey {
    let record = format!("v=DKIM1; k={kind}; p={}", STANDARD.encode(bytes));
    KeyRecord::read(record.as_bytes()).unwrap().key.unwrap()
}

fn our_key() -> PublicKey {
    key_of(include_bytes!("../../tests/keys/rsa2048.public.der"), "rsa")
}

/// An RSA key of so many bytes, bare.
fn key_of_bytes(length: u8) -> PublicKey {
    let modulus = [&[2, 0x81, length + 1, 0][..], &vec![0xff; usize::from(length)]].concat();
    let numbers = [&modulus[..], &[2, 3, 1, 0, 1]].concat();
    key_of(&[&[0x30, 0x81, u8::try_from(numbers.len()).unwrap()][..], &numbers].concat(), "rsa")
}

/// A name server under which all is well for [`sender`].
fn well() -> NameServer {
    let server = NameServer::start().unwrap();
    let set = |name: &str, kind: RecordType, values: &[&str]| server.set(name, kind, values).unwrap();
    set(
        "example.com",
        RecordType::Txt,
        &["a word that something else needs", "v=spf1 include:provider.example mx ~all"],
    );
    set("provider.example", RecordType::Txt, &["v=spf1 ip4:192.0.2.0/24 -all"]);
    set("example.com", RecordType::Mx, &["10 mail.example.com"]);
    set("mail.example.com", RecordType::A, &["192.0.2.1"]);
    set(KEY_NAME, RecordType::Txt, &[&our_key().record()]);
    set("_dmarc.example.com", RecordType::Txt, &[POLICY]);
    set("links.example.com", RecordType::Cname, &["app.host.example"]);
    set("app.host.example", RecordType::Aaaa, &["2001:db8::1"]);
    server
}

fn sender(key: Option<&PublicKey>) -> Sender<'_> {
    Sender {
        domain: "example.com",
        envelope_domain: "example.com",
        dkim: Some(DkimKey { selector: "one", domain: "example.com", public_key: key }),
        tracking_domain: Some("links.example.com"),
        tracking_target: Some("app.host.example"),
        sends_through: Some("smtp.provider.example"),
    }
}

fn resolver(server: &NameServer) -> Resolver {
    Resolver::new(vec![server.address()], Arc::new(Same)).with_patience(PATIENCE, 1)
}

async fn findings(server: &NameServer, sender: &Sender<'_>) -> Vec<Finding> {
    check(&resolver(server), sender).await
}

fn codes(findings: &[Finding]) -> Vec<(&'static str, Severity)> {
    findings.iter().map(|finding| (finding.code, finding.severity)).collect()
}

async fn found(server: &NameServer, sender: &Sender<'_>) -> Vec<(&'static str, Severity)> {
    codes(&findings(server, sender).await)
}

/// Does what the findings say, and checks again: each record that is to be published cures its finding.
async fn cured(server: &NameServer, sender: &Sender<'_>) {
    let told = findings(server, sender).await;
    for publish in told.iter().filter_map(|finding| finding.publish.as_ref()) {
        let kind = if publish.kind == "TXT" { RecordType::Txt } else { RecordType::Cname };
        server.set(&publish.name, kind, &[&publish.value]).unwrap();
    }
    let after = found(server, sender).await;
    for finding in told.iter().filter(|finding| finding.publish.is_some()) {
        assert!(!after.iter().any(|(code, _)| *code == finding.code), "{finding:?}");
        assert!(finding.detail.contains(&finding.publish.as_ref().unwrap().value), "{finding:?}");
    }
}

use Severity::{Blocks, Informs, Warns};

#[tokio::test]
async fn nothing_is_found_where_all_is_well() {
    let (server, key) = (well(), our_key());
    assert_eq!(findings(&server, &sender(Some(&key))).await, []);
    let upper = Sender { domain: "Example.COM.", ..sender(Some(&key)) };
    assert_eq!(findings(&server, &upper).await, []);
    assert_eq!(findings(&server, &sender(None)).await, [], "a key that the provider has");
    let bare = Sender { dkim: None, tracking_domain: None, ..sender(None) };
    assert_eq!(found(&server, &bare).await, [("dkim_unknown", Informs)]);
}

#[tokio::test]
async fn other_letters_than_ascii_are_looked_up_as_the_dns_has_them() {
    let server = well();
    let other = Sender { domain: "bücher.example", envelope_domain: "bücher.example", dkim: None, ..sender(None) };
    let told = findings(&server, &other).await;
    assert_eq!(told[0].name, "xn--bcher-kva.example");
    assert!(server.asked().iter().any(|asked| asked.name == "_dmarc.xn--bcher-kva.example"));
}

#[tokio::test]
async fn names_that_are_none_are_told_and_the_rest_is_checked() {
    let (server, key) = (well(), our_key());
    let bad = Sender { domain: "192.0.2.1", tracking_domain: Some("a b"), ..sender(Some(&key)) };
    assert_eq!(found(&server, &bad).await, [("domain_invalid", Blocks), ("domain_invalid", Blocks)]);
    let selector = DkimKey { selector: "a..b", domain: "example.com", public_key: Some(&key) };
    let bad = Sender { dkim: Some(selector), ..sender(None) };
    assert_eq!(found(&server, &bad).await, [("domain_invalid", Blocks)]);
    let none = Sender { domain: "", envelope_domain: "\n", dkim: None, tracking_domain: None, ..sender(None) };
    assert_eq!(found(&server, &none).await.len(), 3);
}

#[tokio::test]
async fn each_fault_of_the_key_is_told_with_its_cure() {
    let (ours, short) = (our_key(), key_of_bytes(128));
    let (tiny, other) = (key_of_bytes(64), key_of(&[1; 32], "ed25519"));
    let good = ours.record();
    let revoked = "v=DKIM1; k=rsa; p=".to_owned();
    let testing = good.replace("k=rsa", "k=rsa; t=y");
    let cases: [(&str, Vec<&str>, &PublicKey, bool); 9] = [
        ("dkim_missing", vec![], &ours, false),
        ("dkim_several", vec![&good, "v=DKIM1; p="], &ours, false),
        ("dkim_invalid", vec!["v=DKIM1; p=AAAA"], &ours, false),
        ("dkim_key_revoked", vec![&revoked], &ours, false),
        ("dkim_testing", vec![&testing], &ours, false),
        ("dkim_key_differs", vec![&good], &other, false),
        ("dkim_key_short", vec![], &short, true),
        ("dkim_key_short", vec![], &tiny, false),
        ("dkim_key_not_widely_read", vec![], &other, true),
    ];
    for (code, values, key, passes) in cases {
        let server = well();
        let own = key.record();
        let values = if code.contains("short") || code.contains("read") { vec![own.as_str()] } else { values };
        server.set(KEY_NAME, RecordType::Txt, &values).unwrap();
        let sender = sender(Some(key));
        assert_eq!(found(&server, &sender).await, [(code, Warns)], "{code}");
        cured(&server, &sender).await;
        // Without SPF it is the last that could pass.
        server.set(KEY_NAME, RecordType::Txt, &values).unwrap();
        server.set("example.com", RecordType::Txt, &[]).unwrap();
        let severity = if passes { Warns } else { Blocks };
        assert_eq!(found(&server, &sender).await, [("spf_missing", severity), (code, severity)], "{code}");
    }
}

#[tokio::test]
async fn without_spf_and_dkim_nothing_goes_out() {
    let (server, key) = (well(), our_key());
    server.set("example.com", RecordType::Txt, &["something else"]).unwrap();
    server.set(KEY_NAME, RecordType::Txt, &[]).unwrap();
    let told = findings(&server, &sender(Some(&key))).await;
    assert_eq!(codes(&told), [("spf_missing", Blocks), ("dkim_missing", Blocks)]);
    assert!(told.iter().all(|finding| finding.detail.starts_with("Neither SPF nor DKIM")), "{told:?}");
    assert_eq!(told[1].publish.as_ref().unwrap().to_string(), format!("{KEY_NAME} TXT {}", key.record()));
    cured(&server, &sender(Some(&key))).await;
    // Where the provider may sign, nobody can know.
    server.set("example.com", RecordType::Txt, &[]).unwrap();
    let told = found(&server, &Sender { dkim: None, ..sender(None) }).await;
    assert_eq!(told, [("spf_missing", Warns), ("dkim_unknown", Informs)]);
}

#[tokio::test]
async fn answers_have_to_find_a_way_back() {
    let (server, key) = (well(), our_key());
    let mx = |values: &[&str]| server.set("example.com", RecordType::Mx, values).unwrap();
    server.set("example.com", RecordType::Txt, &["v=spf1 a:mail.example.com ~all"]).unwrap();
    mx(&[]);
    assert_eq!(found(&server, &sender(Some(&key))).await, [("mx_missing", Blocks)]);
    server.set("example.com", RecordType::A, &["192.0.2.1"]).unwrap();
    assert_eq!(found(&server, &sender(Some(&key))).await, [("mx_missing", Warns)], "there is an address at least");
    mx(&["0 ."]);
    assert_eq!(found(&server, &sender(Some(&key))).await, [("mx_null", Blocks)]);
    mx(&["10 gone.example.com", "20 also-gone.example.com"]);
    assert_eq!(found(&server, &sender(Some(&key))).await, [("mx_unresolvable", Warns)]);
    mx(&["10 gone.example.com", "20 mail.example.com"]);
    assert_eq!(found(&server, &sender(Some(&key))).await, []);
    // Bounces go elsewhere: there it blocks, and at the address it warns.
    server.set("bounce.example.com", RecordType::Txt, &["v=spf1 ip4:192.0.2.1 -all"]).unwrap();
    let apart = Sender { envelope_domain: "bounce.example.com", ..sender(Some(&key)) };
    assert_eq!(found(&server, &apart).await, [("mx_missing", Blocks)]);
    mx(&["0 ."]);
    assert_eq!(found(&server, &apart).await, [("mx_null", Warns), ("mx_missing", Blocks)]);
}

#[tokio::test]
async fn links_have_to_lead_somewhere() {
    let (server, key) = (well(), our_key());
    let alias = |values: &[&str]| server.set("links.example.com", RecordType::Cname, values).unwrap();
    for target in [&[][..], &["gone.host.example"], &["links.example.com"]] {
        alias(target);
        let told = findings(&server, &sender(Some(&key))).await;
        assert_eq!(codes(&told), [("tracking_domain_missing", Blocks)], "{target:?}");
        assert_eq!(told[0].publish.as_ref().unwrap().to_string(), "links.example.com CNAME app.host.example");
        cured(&server, &sender(Some(&key))).await;
    }
    alias(&[]);
    let told = findings(&server, &Sender { tracking_target: None, ..sender(Some(&key)) }).await;
    assert_eq!((told[0].code, told[0].publish.as_ref()), ("tracking_domain_missing", None));
    server.set("links.example.com", RecordType::A, &["192.0.2.1"]).unwrap();
    assert_eq!(found(&server, &sender(Some(&key))).await, []);
}

#[tokio::test]
async fn a_server_that_cannot_say_is_not_one_that_has_nothing() {
    let key = our_key();
    let cases = [
        ("example.com", 2),
        ("provider.example", 1),
        (KEY_NAME, 1),
        ("_dmarc.example.com", 1),
        ("mail.example.com", 1),
        ("links.example.com", 1),
    ];
    for (name, count) in cases {
        let server = well();
        server.fault(name, NameFault::Code(2));
        let told = findings(&server, &sender(Some(&key))).await;
        assert_eq!(codes(&told), vec![("dns_unanswered", Warns); count], "{name}");
        assert!(told.iter().all(|finding| finding.name == name && finding.detail.contains("SERVFAIL")), "{told:?}");
        server.heal();
        assert_eq!(found(&server, &sender(Some(&key))).await, []);
    }
}

#[tokio::test]
async fn aliases_in_a_circle_are_nothing_that_could_pass() {
    let (server, key) = (well(), our_key());
    server.set("example.com", RecordType::Txt, &[]).unwrap();
    server.set(KEY_NAME, RecordType::Txt, &[]).unwrap();
    server.set(KEY_NAME, RecordType::Cname, &[KEY_NAME]).unwrap();
    let told = found(&server, &sender(Some(&key))).await;
    assert_eq!(told, [("spf_missing", Blocks), ("dns_alias_loop", Blocks)]);
}

/// With the clock of the test, which goes on at once when nothing else is to be done.
#[tokio::test(start_paused = true)]
async fn silence_is_told_in_bounded_time() {
    let (server, key) = (well(), our_key());
    server.fault("*", NameFault::Silence);
    for wait in [1, 25, 600] {
        let resolver = Resolver::new(vec![server.address()], Arc::new(Same));
        let resolver = resolver.with_patience(Duration::from_secs(wait), 2);
        let begun = tokio::time::Instant::now();
        let told = check(&resolver, &sender(Some(&key))).await;
        assert_eq!(codes(&told), [("dns_unanswered", Warns); 5]);
        assert!(begun.elapsed() <= Duration::from_secs(31), "{:?}", begun.elapsed());
    }
}

#[tokio::test]
async fn answers_of_any_kind_do_no_harm() {
    let key = our_key();
    let server = well();
    for bytes in [vec![], vec![0x81, 0x80], vec![0x81, 0x82, 0, 0, 0, 0, 0, 0, 0, 0], vec![0xff; 400]] {
        server.fault("*", NameFault::Garbage(bytes));
        let resolver = Resolver::new(vec![server.address()], Arc::new(Same));
        let told = check(&resolver.with_patience(Duration::from_millis(30), 1), &sender(Some(&key))).await;
        assert_eq!(codes(&told), [("dns_unanswered", Warns); 5]);
        server.heal();
    }
}

#[test]
fn a_check_can_be_sent_to_another_thread() {
    fn sent<T: Send>(_: T) {}
    let resolver = Resolver::new(Vec::new(), Arc::new(Same));
    sent(check(&resolver, &sender(None)));
    assert_eq!(Informs.as_str(), "informs");
    assert!(Informs < Warns && Warns < Blocks);
}
