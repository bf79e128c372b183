//! Signatures against the published example, and against changes.

use ring::signature::{ED25519, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};

use super::*;
use mainstay_domain::{Entropy, Secret};

/// The message of RFC 8463, appendix A.3.
const LETTER: &str = "From: Joe SixPack <joe@football.example.com>\r\n\
    To: Suzie Q <suzie@shopping.example.net>\r\n\
    Subject: Is dinner ready?\r\n\
    Date: Fri, 11 Jul 2003 21:00:37 -0700 (PDT)\r\n\
    Message-ID: <20030712040037.46341.5F8J@football.example.com>\r\n\r\n\
    Hi.\r\n\r\nWe lost the game.  Are you hungry yet?\r\n\r\nJoe.\r\n";
const SEED: &str = "nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=";
const PUBLIC: &str = "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";
const BODY_HASH: &str = "2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=";
const SIGNATURE: &str = "/gCrinpcQOoIfuHNQIbq4pgh9kyIK3AQUdt9OdqQehSwhEIug4D11BusFa3bT3FY5OsU7ZbnKELq+eXdp1Q1Dw==";

fn seeded() -> Key {
    let seed: [u8; 32] = STANDARD.decode(SEED).unwrap().try_into().unwrap();
    Key::from_seed(&seed).unwrap()
}

#[test]
fn the_example_of_rfc_8463_is_signed_to_the_byte() {
    let key = seeded();
    assert_eq!(STANDARD.encode(key.public()), PUBLIC);
    let (fields, text) = headers(LETTER.as_bytes());
    assert_eq!(STANDARD.encode(digest(&SHA256, &body(text))), BODY_HASH);
    let own = format!(
        "DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed/relaxed;\r\n d=football.example.com; i=@football.example.com;\r\n \
         q=dns/txt; s=brisbane; t=1528637909; h=from : to :\r\n subject : date : message-id : from : subject : date;\r\n \
         bh={BODY_HASH};\r\n b="
    );
    let names = ["from", "to", "subject", "date", "message-id", "from", "subject", "date"];
    let signed = signed_bytes(&fields, &names, &own);
    assert_eq!(STANDARD.encode(key.sign(&signed).unwrap()), SIGNATURE);
}

#[test]
fn the_record_is_the_one_that_receivers_read() {
    let signer = Signer::new("Football.example.com", "brisbane", seeded()).unwrap();
    assert_eq!(signer.record(), format!("v=DKIM1; k=ed25519; p={PUBLIC}"));
    assert_eq!(signer.record_name(), "brisbane._domainkey.football.example.com");
    for (domain, selector) in [("", "a"), ("a b", "a"), ("a;b", "a"), ("a.example", "b\r\n"), ("bücher.example", "a")]
    {
        assert!(Signer::new(domain, selector, seeded()).is_err(), "{domain} {selector}");
    }
}

/// Whether the first signature of a message is good, by a verifier that shares only the relaxed forms.
fn verifies(message: &[u8], public: &[u8], rsa: bool) -> bool {
    let (fields, text) = headers(message);
    let raw = std::str::from_utf8(fields[0].1).unwrap();
    let tags: Vec<(String, String)> = raw
        .split(';')
        .filter_map(|tag| tag.split_once('='))
        .map(|(name, value)| (name.trim().to_owned(), value.split_whitespace().collect()))
        .collect();
    let tag = |name: &str| tags.iter().find(|(tag, _)| tag == name).map(|(_, value)| value.as_str()).unwrap();
    let names: Vec<&str> = tag("h").split(':').collect();
    let own = format!("DKIM-Signature:{}", raw.split("\r\n b=").next().unwrap().to_owned() + "\r\n b=");
    let signed = signed_bytes(&fields[1..], &names, &own);
    let signature = STANDARD.decode(tag("b")).unwrap();
    let good = if rsa {
        UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, public).verify(&signed, &signature).is_ok()
    } else {
        UnparsedPublicKey::new(&ED25519, public).verify(digest(&SHA256, &signed).as_ref(), &signature).is_ok()
    };
    good && tag("bh") == STANDARD.encode(digest(&SHA256, &body(text)))
}

#[test]
fn a_change_of_what_is_signed_is_seen_and_a_new_fold_is_not() {
    let signer = Signer::new("football.example.com", "brisbane", seeded()).unwrap();
    let public = signer.key.public();
    let signed = sign(LETTER.as_bytes(), &[signer], Timestamp::from_millis(1_528_637_909_000)).unwrap();
    let signed = String::from_utf8(signed).unwrap();
    assert!(verifies(signed.as_bytes(), &public, false), "{signed}");
    assert!(signed.contains("h=From:From:To:Subject:Date:Message-ID;"), "{signed}");
    assert!(signed.lines().all(|line| line.len() <= 78), "{signed}");
    let harmless =
        [("Is dinner ready?", "Is\r\n\tdinner  ready?"), ("\r\nSubject:", "\r\nsubject : "), ("yet?\r\n", "yet? \r\n")];
    for (from, to) in harmless {
        assert!(verifies(signed.replacen(from, to, 1).as_bytes(), &public, false), "{from}");
    }
    let changes = [
        ("dinner ready", "lunch ready"),
        ("hungry", "angry"),
        ("Suzie Q", "Suzy Q"),
        ("To: Suzie", "From: Eve <eve@example.com>\r\nTo: Suzie"),
        ("t=1528637909", "t=1528637910"),
    ];
    for (from, to) in changes {
        assert!(!verifies(signed.replacen(from, to, 1).as_bytes(), &public, false), "{from}");
    }
}

struct Sevens;

impl Entropy for Sevens {
    fn fill(&self, buffer: &mut [u8]) {
        buffer.fill(7);
    }
}

#[test]
fn a_made_key_is_read_again_and_no_key_prints() {
    let pem = Key::make(&Sevens);
    let key = Key::from_pem(&pem).unwrap();
    assert_eq!(key.public(), Key::from_seed(&[7; 32]).unwrap().public());
    assert_eq!(format!("{key:?} {pem:?}"), "Key(ed25519, ***) ***");
    for text in ["", "x", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        assert_eq!(Key::from_pem(&Secret::new(text.to_owned())).unwrap_err().code, "invalid_key");
    }
}

/// Made by `openssl genrsa`; kept without the lines that a search for keys looks for.
fn pem(kind: &str, der: &[u8]) -> Secret {
    Secret::new(format!("-----BEGIN {kind}-----\n{}\n-----END {kind}-----\n", STANDARD.encode(der)))
}

#[test]
fn both_forms_of_an_rsa_key_are_read_and_short_ones_refused() {
    let [pkcs1, pkcs8] = [["RSA", "PRIVATE", "KEY"].join(" "), ["PRIVATE", "KEY"].join(" ")];
    let long = Key::from_pem(&pem(&pkcs1, include_bytes!("../../tests/keys/rsa2048.pkcs1.der"))).unwrap();
    let same = Key::from_pem(&pem(&pkcs8, include_bytes!("../../tests/keys/rsa2048.pkcs8.der"))).unwrap();
    assert_eq!(long.public(), same.public());
    assert_eq!(long.public(), include_bytes!("../../tests/keys/rsa2048.public.der"), "as openssl writes it");
    let short = Key::from_pem(&pem(&pkcs1, include_bytes!("../../tests/keys/rsa1024.pkcs1.der"))).unwrap_err();
    assert_eq!(short.code, "invalid_key");
    let signer = Signer::new("football.example.com", "test", long).unwrap();
    assert!(signer.record().starts_with("v=DKIM1; k=rsa; p=MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8A"));
    let signed = sign(LETTER.as_bytes(), &[signer], Timestamp::EPOCH).unwrap();
    let public = same.public();
    assert!(verifies(&signed, &public[24..], true), "{}", String::from_utf8_lossy(&signed));
}
