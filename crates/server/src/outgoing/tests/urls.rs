//! URLs as users write them.

use proptest::prelude::*;

use super::super::{BadUrl, NotPublic, Rules, validate_url};

fn https() -> Rules {
    Rules::default()
}

fn http() -> Rules {
    Rules { allow_http: true, ..Rules::default() }
}

#[test]
fn what_can_be_called_is_taken_as_it_will_be_sent() {
    for (text, stored) in [
        ("https://example.com", "https://example.com/"),
        ("HTTPS://EXAMPLE.com:443/a/../b?c=d", "https://example.com/b?c=d"),
        ("https://example.com:8443/hook", "https://example.com:8443/hook"),
        ("https://example.com:22/", "https://example.com:22/"),
        ("https://b\u{fc}cher.example/", "https://xn--bcher-kva.example/"),
        ("https://8.8.8.8/", "https://8.8.8.8/"),
        ("https://134744072/", "https://8.8.8.8/"),
        ("https://[2606:4700:4700::1111]/", "https://[2606:4700:4700::1111]/"),
        ("https://hooks/", "https://hooks/"),
        ("https://localhost.example.com/", "https://localhost.example.com/"),
    ] {
        assert_eq!(validate_url(text, &https()).unwrap().as_str(), stored, "{text}");
    }
    assert!(validate_url("http://example.com/", &http()).is_ok());
}

#[test]
fn what_cannot_be_called_is_refused_with_its_reason() {
    let scheme = BadUrl::Scheme { allow_http: false };
    for (text, bad) in [
        ("", BadUrl::NotUrl),
        ("example.com", BadUrl::NotUrl),
        ("//example.com/", BadUrl::NotUrl),
        ("https://", BadUrl::NoHost),
        ("https://exa mple.com/", BadUrl::NotUrl),
        (" https://example.com/", BadUrl::NotUrl),
        ("https://exam\nple.com/", BadUrl::NotUrl),
        ("https://example.com/\u{0}", BadUrl::NotUrl),
        ("https://example.com:99999/", BadUrl::NotUrl),
        ("https://1.2.3.4.5/", BadUrl::NotUrl),
        ("https://\"quoted\".example/", BadUrl::NotUrl),
        ("https://[::1/", BadUrl::NotUrl),
        ("https://[fe80::1%25eth0]/", BadUrl::NotUrl),
        ("http://example.com/", scheme),
        ("ftp://example.com/", scheme),
        ("file:///etc/passwd", scheme),
        ("gopher://127.0.0.1:6379/_x", scheme),
        ("javascript:alert(1)", scheme),
        ("data:text/plain,x", scheme),
        ("https://user@example.com/", BadUrl::Credentials),
        ("https://user:password@example.com/", BadUrl::Credentials),
        ("https://:password@example.com/", BadUrl::Credentials),
        ("https://example.com@127.0.0.1/", BadUrl::Credentials),
        ("https://example.com/#part", BadUrl::Fragment),
        ("https://example.com/#", BadUrl::Fragment),
    ] {
        assert_eq!(validate_url(text, &https()), Err(bad), "{text:?}");
    }
    assert_eq!(validate_url("ftp://example.com/", &http()), Err(BadUrl::Scheme { allow_http: true }));
}

#[test]
fn the_length_is_bounded_as_written_and_as_sent() {
    let url = |part: &str, count: usize| format!("https://example.com/{}", part.repeat(count));
    assert!(validate_url(&url("a", 2028), &https()).is_ok());
    assert_eq!(validate_url(&url("a", 2029), &https()), Err(BadUrl::TooLong));
    assert_eq!(validate_url(&url("\u{fc}", 400), &https()), Err(BadUrl::TooLong), "sent, each has six characters");
    assert_eq!(validate_url(&"x".repeat(1_000_000), &https()), Err(BadUrl::TooLong));
}

/// Ways to write an address that is not public, all of which some program takes.
pub(super) const LITERALS: [(&str, NotPublic); 32] = [
    ("127.0.0.1", NotPublic::Loopback),
    ("127.0.0.1.", NotPublic::Loopback),
    ("127.1", NotPublic::Loopback),
    ("127.0.1", NotPublic::Loopback),
    ("2130706433", NotPublic::Loopback),
    ("0x7f000001", NotPublic::Loopback),
    ("0x7f.1", NotPublic::Loopback),
    ("0X7F.0.0.0x1", NotPublic::Loopback),
    ("0177.0.0.1", NotPublic::Loopback),
    ("017700000001", NotPublic::Loopback),
    ("%31%32%37.0.0.1", NotPublic::Loopback),
    ("\u{ff11}\u{ff12}\u{ff17}.0.0.1", NotPublic::Loopback),
    ("127\u{3002}0\u{3002}0\u{3002}1", NotPublic::Loopback),
    ("\u{2460}27.0.0.1", NotPublic::Loopback),
    ("localhost", NotPublic::Loopback),
    ("localhost.", NotPublic::Loopback),
    ("LOCALHOST", NotPublic::Loopback),
    ("\u{24db}ocalhost", NotPublic::Loopback),
    ("anything.localhost", NotPublic::Loopback),
    ("[::1]", NotPublic::Loopback),
    ("[0:0:0:0:0:0:0:1]", NotPublic::Loopback),
    ("[::ffff:127.0.0.1]", NotPublic::Loopback),
    ("[::ffff:7f00:1]", NotPublic::Loopback),
    ("[64:ff9b::7f00:1]", NotPublic::Loopback),
    ("[::127.0.0.1]", NotPublic::Tunnel),
    ("[2002:7f00:1::]", NotPublic::Tunnel),
    ("0.0.0.0", NotPublic::Unspecified),
    ("0", NotPublic::Unspecified),
    ("[::]", NotPublic::Unspecified),
    ("169.254.169.254", NotPublic::LinkLocal),
    ("0xa9fea9fe", NotPublic::LinkLocal),
    ("[fd00:ec2::254]", NotPublic::Private),
];

#[test]
fn an_address_that_is_not_public_is_refused_however_it_is_written() {
    for (host, why) in LITERALS {
        assert_eq!(validate_url(&format!("https://{host}/"), &https()), Err(BadUrl::Address(why)), "{host}");
    }
    let allowed = Rules { allowed: vec!["127.0.0.0/8".parse().unwrap()], ..https() };
    for host in ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]"] {
        assert!(validate_url(&format!("https://{host}/"), &allowed).is_ok(), "{host}");
    }
    assert_eq!(validate_url("https://[::1]/", &allowed), Err(BadUrl::Address(NotPublic::Loopback)));
}

#[test]
fn the_details_say_what_to_do() {
    assert_eq!(BadUrl::Scheme { allow_http: false }.to_string(), "the URL must begin with https://");
    let address = BadUrl::Address(NotPublic::LinkLocal);
    assert_eq!(address.to_string(), "the host must be public, and this is a link-local address");
    assert_eq!(address.code(), "address_not_public");
}

proptest! {
    #[test]
    fn the_judged_host_is_the_dialled_one(
        text in prop_oneof!["https://[ -~]{1,40}", "https://\\PC{1,20}", "https:[/\\\\@:?#%a-c0-9.\\[\\]]{1,24}"],
    ) {
        if let Ok(url) = validate_url(&text, &https()) {
            let sent: http::Uri = url.as_str().parse().unwrap();
            prop_assert_eq!(sent.host(), url.host_str());
            prop_assert_eq!(sent.port_u16(), url.port());
            prop_assert_eq!(validate_url(url.as_str(), &https()), Ok(url));
        }
    }

    #[test]
    fn no_form_of_a_loopback_address_passes(low in 0..0x0100_0000_u32, form in 0..6) {
        let whole = 0x7f00_0000 | low;
        let [_, b, c, d] = low.to_be_bytes();
        let host = match form {
            0 => whole.to_string(),
            1 => format!("{whole:#x}"),
            2 => format!("0{whole:o}"),
            3 => format!("127.{low}"),
            4 => format!("0x7f.{b}.{}", u32::from(c) << 8 | u32::from(d)),
            _ => format!("[::ffff:127.{b}.{c}.{d}]"),
        };
        let refused = Err(BadUrl::Address(NotPublic::Loopback));
        prop_assert_eq!(validate_url(&format!("https://{host}/"), &https()), refused);
    }
}
