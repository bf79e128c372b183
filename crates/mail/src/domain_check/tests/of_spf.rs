//! SPF: each way in which a record does not count.

use super::*;

/// The name server with this record of SPF in place of the good one.
fn with(records: &[&str]) -> NameServer {
    let server = well();
    server.set("example.com", RecordType::Txt, records).unwrap();
    server
}

async fn code(server: &NameServer) -> Vec<(&'static str, Severity)> {
    found(server, &sender(Some(&our_key()))).await
}

#[tokio::test]
async fn a_record_has_to_be_there_once() {
    let server = with(&["something else"]);
    assert_eq!(code(&server).await, [("spf_missing", Warns)]);
    let told = findings(&server, &sender(Some(&our_key()))).await;
    let publish = told[0].publish.as_ref().unwrap().to_string();
    assert_eq!(publish, "example.com TXT v=spf1 a:smtp.provider.example ~all");
    server.set("smtp.provider.example", RecordType::A, &["192.0.2.2"]).unwrap();
    cured(&server, &sender(Some(&our_key()))).await;
    let server = with(&["v=spf1 mx -all", "v=spf1 include:provider.example -all"]);
    let told = findings(&server, &sender(Some(&our_key()))).await;
    assert_eq!(codes(&told), [("spf_several", Warns)]);
    assert_eq!(told[0].publish.as_ref().unwrap().value, "v=spf1 mx include:provider.example ~all");
    cured(&server, &sender(Some(&our_key()))).await;
}

#[tokio::test]
async fn a_record_has_to_be_good() {
    for record in
        ["v=spf1 ip:192.0.2.1 -all", "\"v=spf1 mx -all\"", "spf1 mx -all", "v=spf2 mx", "v=spf1 mx -all\u{fc}"]
    {
        assert_eq!(code(&with(&[record])).await, [("spf_invalid", Warns)], "{record}");
    }
    let server = with(&["v=spf1 include:nowhere.example -all"]);
    let told = findings(&server, &sender(Some(&our_key()))).await;
    assert_eq!(codes(&told), [("spf_invalid", Warns)]);
    assert!(told[0].detail.contains("nowhere.example (include), which has no record of SPF"), "{told:?}");
    let server = with(&["v=spf1 redirect=provider.example"]);
    server.set("provider.example", RecordType::Txt, &["v=spf1 -all", "v=spf1 ~all"]).unwrap();
    assert_eq!(code(&server).await, [("spf_invalid", Warns)]);
    server.set("provider.example", RecordType::Txt, &["v=spf1 nonsense"]).unwrap();
    let told = findings(&server, &sender(Some(&our_key()))).await;
    assert!(told[0].name == "provider.example" && told[0].detail.contains("\"nonsense\""), "{told:?}");
}

#[tokio::test]
async fn whoever_allows_everybody_is_told() {
    for record in ["v=spf1 +all", "v=spf1 mx all", "v=spf1 ip4:0.0.0.0/0 -all", "v=spf1 ip6:::/0 -all"] {
        let server = with(&[record]);
        assert_eq!(code(&server).await, [("spf_permits_all", Warns)], "{record}");
        cured(&server, &sender(Some(&our_key()))).await;
    }
    let server = with(&[]);
    server.set("provider.example", RecordType::Txt, &["v=spf1 +all"]).unwrap();
    for (record, everybody) in [
        ("v=spf1 include:provider.example -all", true),
        ("v=spf1 redirect=provider.example", true),
        ("v=spf1 ?include:provider.example -all", false),
        ("v=spf1 -all redirect=provider.example", false),
        ("v=spf1 -all +all", false),
        ("v=spf1 ?all", false),
    ] {
        server.set("example.com", RecordType::Txt, &[record]).unwrap();
        let told = findings(&server, &sender(Some(&our_key()))).await;
        assert_eq!(told.iter().any(|finding| finding.code == "spf_permits_all"), everybody, "{record}");
        assert!(told.iter().all(|finding| finding.publish.is_none()), "the cure is in the other record");
    }
}

#[tokio::test]
async fn ten_lookups_are_allowed_and_eleven_are_not() {
    let server = with(&[]);
    let terms = |count: usize| "a:mail.example.com ".repeat(count);
    server.set("example.com", RecordType::Txt, &[&format!("v=spf1 {}-all", terms(10))]).unwrap();
    assert_eq!(code(&server).await, []);
    server.set("example.com", RecordType::Txt, &[&format!("v=spf1 {}-all", terms(11))]).unwrap();
    assert_eq!(code(&server).await, [("spf_too_many_lookups", Warns)]);
    server.set("example.com", RecordType::Txt, &[&format!("v=spf1 {}-all {}", terms(10), terms(5))]).unwrap();
    assert_eq!(code(&server).await, [], "what comes after all is never reached");
    // Those of other records count, too, and so do names that nobody can look up here.
    server.set("provider.example", RecordType::Txt, &[&format!("v=spf1 {}", terms(8))]).unwrap();
    let record = |rest: &str| format!("v=spf1 include:provider.example exists:%{{i}}.example.com {rest}");
    server.set("example.com", RecordType::Txt, &[&record("-all")]).unwrap();
    assert_eq!(code(&server).await, []);
    for rest in ["ptr -all", "mx -all", "redirect=provider.example"] {
        server.set("example.com", RecordType::Txt, &[&record(rest)]).unwrap();
        assert_eq!(code(&server).await, [("spf_too_many_lookups", Warns)], "{rest}");
    }
}

#[tokio::test]
async fn records_in_a_circle_come_to_an_end() {
    for record in ["v=spf1 include:example.com -all", "v=spf1 redirect=example.com", "v=spf1 include:provider.example"]
    {
        let server = with(&[record]);
        server.set("provider.example", RecordType::Txt, &["v=spf1 include:example.com include:example.com"]).unwrap();
        assert_eq!(code(&server).await, [("spf_too_many_lookups", Warns)], "{record}");
        assert!(server.asked().len() < 40);
    }
}

#[tokio::test]
async fn names_that_have_nothing_count_and_so_do_many_servers() {
    let server = with(&["v=spf1 a:x.example mx:y.example -all"]);
    assert_eq!(code(&server).await, []);
    server.set("example.com", RecordType::Txt, &["v=spf1 a:x.example mx:y.example exists:z.example -all"]).unwrap();
    let told = findings(&server, &sender(Some(&our_key()))).await;
    assert_eq!(codes(&told), [("spf_too_many_lookups", Warns)]);
    assert!(told[0].detail.contains("more than 2 domains that have nothing, the last one z.example"), "{told:?}");
    let hosts: Vec<String> = (0..11).map(|number| format!("{number} mail{number}.example.com")).collect();
    let hosts: Vec<&str> = hosts.iter().map(String::as_str).collect();
    server.set("many.example", RecordType::Mx, &hosts).unwrap();
    server.set("example.com", RecordType::Txt, &["v=spf1 mx:many.example -all"]).unwrap();
    assert_eq!(code(&server).await, [("spf_too_many_lookups", Warns)]);
    server.set("many.example", RecordType::Mx, &hosts[1..]).unwrap();
    assert_eq!(code(&server).await, []);
}
