use mainstay_domain::Entropy;

use super::*;
use crate::outside::SystemEntropy;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const OTHER: &str = concat!("whsec", "_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=");
const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
const BODY: &[u8] = br#"{"test": 2432232314}"#;
const SIGNATURE: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
const AT: Timestamp = Timestamp::from_millis(1_614_265_330_000);

fn kept(texts: &[&str]) -> Secrets {
    Secrets::standard(&listed(texts)).unwrap()
}

fn scheme(texts: &[&str]) -> Scheme {
    Scheme::Standard(Standard::new(kept(texts)))
}

fn vector() -> Request {
    let request = Request::new(BODY).with("webhook-id", ID).with("webhook-timestamp", "1614265330");
    Request { now: AT, ..request.with("webhook-signature", SIGNATURE) }
}

fn sent(secrets: &Secrets, id: &str, at: Timestamp, body: &[u8]) -> Request {
    let mut request = Request { now: at, ..Request::new(body) };
    request.headers.extend(sign(secrets, id, at, body).unwrap().headers());
    request
}

#[test]
fn the_vector_is_good_in_both_directions() {
    assert_eq!(vector().code(&scheme(&[SECRET])), "good");
    assert_eq!(vector().code(&scheme(&["MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"])), "good", "without its prefix");
    let signed = sign(&kept(&[SECRET]), ID, AT, BODY).unwrap();
    assert_eq!((signed.timestamp, signed.signature), ("1614265330".parse().unwrap(), SIGNATURE.parse().unwrap()));
    assert_eq!(signed.id, ID);
}

#[test]
fn the_usual_is_refused() {
    let at = Timestamp::from_millis(SIGNED_AT * 1000);
    let good = sent(&kept(&[SECRET]), ID, at, BODY);
    refuses_the_usual(&scheme(&[SECRET]), &good, "webhook-signature");
    keeps_its_window(&scheme(&[SECRET]), &good, "webhook-timestamp");
    let code = |request: Request| request.code(&scheme(&[SECRET]));
    assert_eq!(code(good.clone().saying(br#"{"test":2432232314}"#)), "signature_mismatch", "written anew");
    assert_eq!(code(good.clone().with("webhook-id", "msg_other")), "signature_mismatch");
    assert_eq!(code(good.clone().without("webhook-id")), "signature_missing");
    assert_eq!(code(good.clone().with_twice("webhook-id")), "signature_malformed");
    // A moment in milliseconds is none of this standard: it lies in the future, were it signed.
    assert_eq!(code(good.clone().with("webhook-timestamp", "1700000000000")), "signature_mismatch");
    for bad in ["", "msg 1", "msg.1", &"x".repeat(257)] {
        assert_eq!(code(good.clone().with("webhook-id", bad)), "signature_malformed", "{bad:?}");
    }
}

#[test]
fn the_border_of_the_identity_cannot_be_moved() {
    // The same bytes are signed when the identity swallows the moment and the body begins with another.
    let at = Timestamp::from_millis(SIGNED_AT * 1000);
    let good = sent(&kept(&[SECRET]), "a", at, b"1700009999.{}");
    let moved = good.with("webhook-id", "a.1700000000").with("webhook-timestamp", "1700009999").saying(b"{}");
    assert_eq!(moved.later(9_999_000).code(&scheme(&[SECRET])), "signature_malformed");
}

#[test]
fn signatures_of_other_versions_are_passed_over() {
    let with = |value: &str| vector().with("webhook-signature", value).code(&scheme(&[SECRET]));
    let wrong = "v1,AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    assert_eq!(with(&format!("v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw {wrong} {SIGNATURE} v2,x")), "good");
    assert_eq!(with(wrong), "signature_mismatch");
    assert_eq!(with(&SIGNATURE.replace("v1,", "v1a,")), "signature_malformed", "none of them is one of v1");
    assert_eq!(with(&SIGNATURE.replace("v1,", "")), "signature_malformed");
    assert_eq!(with(&format!("{SIGNATURE} v1,short")), "signature_malformed");
    assert_eq!(with(&format!("{SIGNATURE}  {SIGNATURE}")), "signature_malformed");
    assert_eq!(with(&[SIGNATURE; 20].join(" ")), "good");
    assert_eq!(with(&[SIGNATURE; 21].join(" ")), "signature_malformed");
}

#[test]
fn a_secret_is_replaced_without_a_gap() {
    let (old, new, both) = (kept(&[OTHER]), kept(&[SECRET]), kept(&[SECRET, OTHER]));
    let delivery = sent(&both, ID, AT, BODY);
    let value = delivery.headers["webhook-signature"].to_str().unwrap();
    assert!(value.starts_with(SIGNATURE) && value.split(' ').count() == 2, "{value}");
    assert_eq!((delivery.code(&scheme(&[OTHER])), delivery.code(&scheme(&[SECRET]))), ("good", "good"));
    // And the other way round: a sender has one of them, and we know both.
    for sender in [&old, &new] {
        assert_eq!(sent(sender, ID, AT, BODY).code(&scheme(&[SECRET, OTHER])), "good");
    }
    assert_eq!(sent(&old, ID, AT, BODY).code(&scheme(&[SECRET])), "signature_mismatch");
}

#[test]
fn the_names_of_svix_are_taken_when_asked_for() {
    let svix = Scheme::Standard(Standard { names: HeaderNames::Svix, ..Standard::new(kept(&[SECRET])) });
    let request = Request::new(BODY).with("svix-id", ID).with("svix-timestamp", "1614265330");
    let request = Request { now: AT, ..request.with("svix-signature", SIGNATURE) };
    assert_eq!((request.code(&svix), vector().code(&svix)), ("good", "signature_missing"));
    assert_eq!(request.code(&scheme(&[SECRET])), "signature_missing");
}

#[test]
fn what_cannot_be_signed_is_refused() {
    let signed = |secrets: &[&str], id: &str, at| sign(&kept(secrets), id, at, BODY).map(|_| ());
    assert_eq!(signed(&[], ID, AT), Err(Unsignable::NoSecret));
    for bad in ["", "a.b", "a b", "é", "a\n", &"x".repeat(257)] {
        assert_eq!(signed(&[SECRET], bad, AT), Err(Unsignable::Identity), "{bad:?}");
    }
    assert_eq!(signed(&[SECRET], ID, Timestamp::from_millis(-1)), Err(Unsignable::Moment));
    assert_eq!(signed(&[SECRET], &"x".repeat(256), Timestamp::EPOCH), Ok(()));
}

#[test]
fn a_secret_that_we_make_is_one() {
    struct Counting;
    impl Entropy for Counting {
        fn fill(&self, buffer: &mut [u8]) {
            buffer.iter_mut().zip(0..).for_each(|(byte, at)| *byte = at);
        }
    }
    assert_eq!(generate_secret(&Counting).expose(), OTHER, "32 bytes");
    let secret = generate_secret(&SystemEntropy);
    assert_ne!(secret, generate_secret(&SystemEntropy));
    let secrets = Secrets::standard(&[secret]).unwrap();
    let scheme = Scheme::Standard(Standard::new(secrets.clone()));
    assert_eq!(sent(&secrets, ID, AT, BODY).code(&scheme), "good");
}
