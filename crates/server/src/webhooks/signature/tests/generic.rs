use mainstay_domain::hexadecimal;
use ring::hmac;

use super::*;

fn tag(message: &[u8]) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, b"generic-secret"), message).as_ref().to_vec()
}

fn plain() -> Hmac {
    Hmac::new(name("x-hub-signature-256"), secrets(&["generic-secret"]))
}

#[test]
fn a_body_signed_as_by_github() {
    // "It's a Secret to Everybody" and "Hello, World!": the vector of GitHub's page on validating deliveries.
    let hmac = Hmac::new(name("x-hub-signature-256"), secrets(&["It's a Secret to Everybody"]));
    let scheme = Scheme::Generic(Hmac { prefix: "sha256=".to_owned(), ..hmac });
    let good = Request::new(b"Hello, World!")
        .with("x-hub-signature-256", "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17");
    refuses_the_usual(&scheme, &good, "x-hub-signature-256");
}

#[test]
fn a_body_signed_in_base64() {
    use base64::Engine as _;
    let scheme = Scheme::Generic(Hmac { encoding: Encoding::Base64, ..plain() });
    let signature = base64::engine::general_purpose::STANDARD.encode(tag(b"{}"));
    let good = Request::new(b"{}").with("x-hub-signature-256", &signature);
    refuses_the_usual(&scheme, &good, "x-hub-signature-256");
    let unpadded = good.clone().with("x-hub-signature-256", signature.trim_end_matches('='));
    assert_eq!(unpadded.code(&scheme), "signature_malformed");
}

#[test]
fn a_moment_is_signed_with_the_body() {
    let scheme = Scheme::Generic(plain().with_timestamp(name("x-sent-at")));
    let good = Request::new(b"{}").with("x-hub-signature-256", &hexadecimal(&tag(b"1700000000.{}")));
    let good = good.with("x-sent-at", "1700000000");
    refuses_the_usual(&scheme, &good, "x-hub-signature-256");
    keeps_its_window(&scheme, &good, "x-sent-at");
    let narrow = plain().with_timestamp(name("x-sent-at"));
    let window = Window { past: Duration::from_secs(1), future: Duration::from_secs(1) };
    let narrow = Scheme::Generic(Hmac { window, ..narrow });
    assert_eq!((good.clone().later(1000).code(&narrow), good.later(1001).code(&narrow)), ("good", "signature_stale"));
}

#[test]
fn a_format_as_slack_has_it() {
    let format = "v0:{timestamp}:{body}".parse().unwrap();
    let scheme = Scheme::Generic(Hmac { prefix: "v0=".to_owned(), format, ..plain() });
    let request = Request::new(b"a=1").with("x-timestamp", "1700000000");
    let signature = format!("v0={}", hexadecimal(&tag(b"v0:1700000000:a=1")));
    assert_eq!(request.with("x-hub-signature-256", &signature).code(&scheme), "good");
}

#[test]
fn formats_are_checked() {
    let parsed = |text: &str| text.parse::<PayloadFormat>();
    for good in
        ["{body}", "{timestamp}.{body}", "{svix-id}.{timestamp}.{body}", "v0:{timestamp}:{body}", "{body}|{url} é"]
    {
        assert_eq!(parsed(good).unwrap().to_string(), good);
    }
    assert_eq!(parsed("{body}"), Ok(PayloadFormat::body()));
    assert_eq!(parsed("{timestamp}.{body}"), Ok(PayloadFormat::timestamp_and_body()));
    for (bad, fault) in [
        ("", BadFormat::Body),
        ("{timestamp}", BadFormat::Body),
        ("{body}.{body}", BadFormat::Body),
        ("{timestamp}{body}", BadFormat::Touching),
        ("{timestamp}0{body}", BadFormat::Touching),
        ("{svix-id}_{body}", BadFormat::Touching),
        ("{body", BadFormat::UnknownPlace),
        ("{", BadFormat::UnknownPlace),
        ("body}", BadFormat::UnknownPlace),
        ("{Body}", BadFormat::UnknownPlace),
        ("{{body}}", BadFormat::UnknownPlace),
        ("{secret}.{body}", BadFormat::UnknownPlace),
    ] {
        assert_eq!(parsed(bad), Err(fault), "{bad:?}");
    }
    assert_eq!(parsed(&format!("{}{{body}}", "x".repeat(200))), Err(BadFormat::TooLong));
    assert!(BadFormat::UnknownPlace.detail().contains("{svix-id}"), "{}", BadFormat::UnknownPlace);
}
