//! DMARC: which policy counts, and for whom SPF and DKIM have to speak.

use super::*;

fn policy(server: &NameServer, domain: &str, values: &[&str]) {
    server.set(&format!("_dmarc.{domain}"), RecordType::Txt, values).unwrap();
}

/// Who sends from a domain below, signed by this domain, with bounces to that one.
fn from_below<'a>(key: &'a PublicKey, signs: &'a str, bounces: &'a str) -> Sender<'a> {
    let dkim = Some(DkimKey { selector: "one", domain: signs, public_key: Some(key) });
    Sender { domain: "news.mail.example.com", envelope_domain: bounces, dkim, ..sender(None) }
}

async fn found_but_mx(server: &NameServer, sender: &Sender<'_>) -> Vec<(&'static str, Severity)> {
    without_mx(found(server, sender).await)
}

fn without_mx(mut told: Vec<(&'static str, Severity)>) -> Vec<(&'static str, Severity)> {
    told.retain(|(code, _)| !code.starts_with("mx_"));
    told
}

#[tokio::test]
async fn a_policy_has_to_be_there_once_and_good() {
    let (server, key) = (well(), our_key());
    let cases: [(&str, &[&str]); 7] = [
        ("dmarc_missing", &[]),
        ("dmarc_missing", &["something else"]),
        ("dmarc_several", &[POLICY, POLICY]),
        ("dmarc_invalid", &["v=DMARC1"]),
        ("dmarc_invalid", &["v=DMARC1; p=monitor"]),
        ("dmarc_invalid", &["v=dmarc1; p=none"]),
        ("dmarc_invalid", &["p=none; v=DMARC1"]),
    ];
    for (code, values) in cases {
        policy(&server, "example.com", values);
        let told = findings(&server, &sender(Some(&key))).await;
        assert_eq!(codes(&told), [(code, Warns)], "{values:?}");
        let publish = told[0].publish.as_ref().unwrap().to_string();
        assert_eq!(publish, "_dmarc.example.com TXT v=DMARC1; p=none");
        cured(&server, &sender(Some(&key))).await;
    }
    policy(&server, "example.com", &["something else", POLICY]);
    assert_eq!(found(&server, &sender(Some(&key))).await, []);
}

#[tokio::test]
async fn a_domain_falls_under_the_policy_of_its_organisation() {
    let (server, key) = (well(), our_key());
    let sender = from_below(&key, "example.com", "example.com");
    assert_eq!(found_but_mx(&server, &sender).await, []);
    let asked: Vec<String> = server.asked().into_iter().map(|asked| asked.name).collect();
    for name in ["_dmarc.news.mail.example.com", "_dmarc.mail.example.com", "_dmarc.example.com"] {
        assert!(asked.iter().any(|one| one == name), "{name}");
    }
    assert!(!asked.iter().any(|one| one == "_dmarc.com"));
    // A bad one of its own is told; a bad one on the way only where no other counts.
    policy(&server, "news.mail.example.com", &["v=DMARC1"]);
    assert_eq!(found_but_mx(&server, &sender).await, [("dmarc_invalid", Warns)]);
    policy(&server, "news.mail.example.com", &[]);
    policy(&server, "mail.example.com", &["v=DMARC1"]);
    assert_eq!(found_but_mx(&server, &sender).await, []);
    policy(&server, "example.com", &[]);
    let told = findings(&server, &sender).await;
    let told: Vec<&Finding> = told.iter().filter(|finding| !finding.code.starts_with("mx_")).collect();
    assert_eq!((told.len(), told[0].code, told[0].name.as_str()), (1, "dmarc_invalid", "mail.example.com"));
    policy(&server, "mail.example.com", &[]);
    let told = findings(&server, &sender).await;
    assert_eq!((told[0].code, told[0].name.as_str()), ("dmarc_missing", "news.mail.example.com"));
    // What a registry says is not what the organisation says.
    policy(&server, "example.com", &["v=DMARC1; p=reject; psd=y"]);
    assert_eq!(found_but_mx(&server, &sender).await, [("dmarc_missing", Warns)]);
    // Somebody on the way cannot be asked.
    server.fault("_dmarc.mail.example.com", NameFault::Code(2));
    assert_eq!(found_but_mx(&server, &sender).await, [("dns_unanswered", Warns)]);
    policy(&server, "news.mail.example.com", &[POLICY]);
    let own = from_below(&key, "example.com", "news.mail.example.com");
    server.set("news.mail.example.com", RecordType::Txt, &["v=spf1 ip4:192.0.2.1 -all"]).unwrap();
    assert_eq!(found_but_mx(&server, &own).await, [], "with a policy of its own that does not matter");
}

#[tokio::test]
async fn one_of_the_two_has_to_speak_for_the_domain() {
    let (server, key) = (well(), our_key());
    server.set("other.example", RecordType::Txt, &["v=spf1 ip4:192.0.2.1 -all"]).unwrap();
    server.set("one._domainkey.other.example", RecordType::Txt, &[&key.record()]).unwrap();
    server.set("other.example", RecordType::Mx, &["10 mail.example.com"]).unwrap();
    let other = DkimKey { selector: "one", domain: "other.example", public_key: Some(&key) };
    let by_nobody = Sender { envelope_domain: "other.example", dkim: Some(other), ..sender(None) };
    let by_spf = Sender { dkim: Some(other), ..sender(None) };
    let by_dkim = Sender { envelope_domain: "other.example", ..sender(Some(&key)) };
    let by_somebody = Sender { envelope_domain: "other.example", dkim: None, ..sender(None) };
    for (asked, severity) in [("none", Warns), ("quarantine", Blocks), ("reject", Blocks)] {
        policy(&server, "example.com", &[&format!("v=DMARC1; p={asked}")]);
        assert_eq!(found(&server, &by_nobody).await, [("dmarc_not_aligned", severity)], "{asked}");
        assert_eq!(found(&server, &by_spf).await, []);
        assert_eq!(found(&server, &by_dkim).await, []);
        assert_eq!(found(&server, &by_somebody).await, [("dkim_unknown", Informs)]);
    }
    // What is for the domain cannot pass, and what passes is not for it.
    server.set(KEY_NAME, RecordType::Txt, &[]).unwrap();
    assert_eq!(found(&server, &by_dkim).await, [("dkim_missing", Warns), ("dmarc_not_aligned", Blocks)]);
    // Where it is not known whether it passes, nothing is claimed.
    server.fault(KEY_NAME, NameFault::Code(2));
    assert_eq!(found(&server, &by_dkim).await, [("dns_unanswered", Warns)]);
}

#[tokio::test]
async fn names_are_near_enough_within_their_organisation_unless_the_policy_is_strict() {
    let (server, key) = (well(), our_key());
    let below = from_below(&key, "example.com", "example.com");
    policy(&server, "example.com", &["v=DMARC1; p=reject"]);
    assert_eq!(found_but_mx(&server, &below).await, []);
    policy(&server, "example.com", &["v=DMARC1; p=reject; adkim=s"]);
    assert_eq!(found_but_mx(&server, &below).await, [], "SPF is still near enough");
    policy(&server, "example.com", &["v=DMARC1; p=reject; adkim=s; aspf=s"]);
    assert_eq!(found_but_mx(&server, &below).await, [("dmarc_not_aligned", Blocks)]);
    policy(&server, "example.com", &["v=DMARC1; p=reject; sp=none; adkim=s; aspf=s"]);
    assert_eq!(found_but_mx(&server, &below).await, [("dmarc_not_aligned", Warns)], "names below are asked for less");
    assert_eq!(found_but_mx(&server, &sender(Some(&key))).await, []);
    // A name that says that it is an organisation of its own is not spoken for by those above it.
    policy(&server, "mail.example.com", &["v=DMARC1; p=reject; psd=n"]);
    assert_eq!(found_but_mx(&server, &below).await, [("dmarc_not_aligned", Blocks)]);
    policy(&server, "mail.example.com", &["v=DMARC1; p=reject"]);
    policy(&server, "example.com", &["v=DMARC1; p=none; psd=y"]);
    assert_eq!(found_but_mx(&server, &below).await, [("dmarc_not_aligned", Blocks)], "what is above is a registry");
    policy(&server, "mail.example.com", &[]);
    policy(&server, "news.mail.example.com", &["v=DMARC1; p=reject"]);
    assert_eq!(found_but_mx(&server, &below).await, [("dmarc_not_aligned", Blocks)]);
    server.set("mail.example.com", RecordType::Txt, &["v=spf1 ip4:192.0.2.1 -all"]).unwrap();
    let beside = from_below(&key, "example.com", "mail.example.com");
    assert_eq!(found_but_mx(&server, &beside).await, [], "what stands right below a registry is an organisation");
}
