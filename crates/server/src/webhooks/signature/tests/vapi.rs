//! The vectors of `HMACAuthenticationPlan`, and the modes that only compare a token.

use super::*;

const BODY: &[u8] = br#"{"message":{"type":"status-update","status":"in-progress","call":{"id":"call-1"}}}"#;
const SIGNATURE: &str = "dcff4391bfe37a815f382c9b0b08abb512dedefdfd5ea2d634eb29455ab5f4de";

fn hmac() -> Hmac {
    Vapi::hmac(secrets(&["vapi-test-secret"]))
}

fn scheme(hmac: Hmac) -> Scheme {
    Scheme::Vapi(Vapi::Hmac(hmac))
}

fn good() -> Request {
    Request::new(BODY).with("x-signature", SIGNATURE).with("x-timestamp", "1700000000")
}

#[test]
fn the_vectors_are_good() {
    assert_eq!(BODY.len(), 82);
    assert_eq!(good().code(&scheme(hmac())), "good");

    let millis = "7849a0b86fda92367ea020dd27945327bbc24641290adb2968459a95b72df46c";
    let request = good().with("x-signature", millis).with("x-timestamp", "1700000000000");
    assert_eq!(request.code(&scheme(hmac())), "good");
    assert_eq!(request.later(300_001).code(&scheme(hmac())), "signature_stale");

    let body_only = "385a6e795b35781308b9d59755b1b44cbb043fcc4145b1a351291eaddbb869b0";
    let request = Request::new(BODY).with("x-signature", body_only);
    assert_eq!(request.code(&scheme(Hmac { format: PayloadFormat::body(), ..hmac() })), "good");

    let base64 = "3P9Dkb/jeoFfOCybCwirtRLe3v39XqLWNOspRVq19N4=";
    let request = good().with("x-signature", base64);
    assert_eq!(request.code(&scheme(Hmac { encoding: Encoding::Base64, ..hmac() })), "good");

    for (algorithm, signature) in [
        (Algorithm::Sha1, "11b72d414eab173f35ff99d6d2f320914c5978b3"),
        (
            Algorithm::Sha512,
            "0d1697be4192bcb2110ab55716fe5b28f552f43affc01dee5f0f93aeb39ef95b\
             66f5d08ccd886e5a3871ee7ce3e6ca4362734347baaa78a2104bec098e69ac70",
        ),
    ] {
        let request = good().with("x-signature", signature);
        assert_eq!(request.code(&scheme(Hmac { algorithm, ..hmac() })), "good");
        assert_eq!(request.code(&scheme(hmac())), "signature_malformed", "of another length than SHA-256 has");
    }
}

#[test]
fn a_signature_keeps_the_body_and_the_moment() {
    refuses_the_usual(&scheme(hmac()), &good(), "x-signature");
    keeps_its_window(&scheme(hmac()), &good(), "x-timestamp");
    // The same JSON in other words.
    let spaced = good().saying(
        &BODY.iter().flat_map(|byte| if *byte == b',' { vec![b',', b' '] } else { vec![*byte] }).collect::<Vec<_>>(),
    );
    assert_eq!(spaced.code(&scheme(hmac())), "signature_mismatch");
    // The same moment in other words, and the border moved.
    assert_eq!(good().with("x-timestamp", "01700000000").code(&scheme(hmac())), "signature_mismatch");
    assert_eq!(good().with("x-timestamp", "1700000000000").code(&scheme(hmac())), "signature_mismatch");
}

#[test]
fn settings_of_the_credential_are_followed() {
    let signed =
        |hmac: Hmac, header: &str, value: &str| good().without("x-signature").with(header, value).code(&scheme(hmac));
    let renamed = Hmac { signature_header: name("x-vapi-signature"), prefix: "sha256=".to_owned(), ..hmac() };
    assert_eq!(signed(renamed.clone(), "x-vapi-signature", &format!("sha256={SIGNATURE}")), "good");
    assert_eq!(signed(renamed.clone(), "x-vapi-signature", &format!("sha256={}", SIGNATURE.to_uppercase())), "good");
    assert_eq!(signed(renamed.clone(), "x-vapi-signature", SIGNATURE), "signature_malformed");
    assert_eq!(signed(renamed, "x-signature", SIGNATURE), "signature_missing");
    // The key in base64, as `secretIsBase64` has it.
    let decoded = Vapi::hmac(Secrets::base64(&listed(&["dmFwaS10ZXN0LXNlY3JldA=="])).unwrap());
    assert_eq!(good().code(&scheme(decoded)), "good");
    let literal = Vapi::hmac(secrets(&["dmFwaS10ZXN0LXNlY3JldA=="]));
    assert_eq!(good().code(&scheme(literal)), "signature_mismatch");
}

#[test]
fn every_place_of_a_format_is_signed() {
    let format = "v0 {method} {url} {svix-id} {timestamp} {body} end";
    let text = format!("v0 POST https://mainstay.example/hook msg_1 1700000000 {} end", str::from_utf8(BODY).unwrap());
    let tag = ring::hmac::sign(&ring::hmac::Key::new(ring::hmac::HMAC_SHA256, b"vapi-test-secret"), text.as_bytes());
    let signature = mainstay_domain::hexadecimal(tag.as_ref());
    let scheme = scheme(Hmac { format: format.parse().unwrap(), ..hmac() });
    let good = good().with("x-signature", &signature).with("svix-id", "msg_1");
    assert_eq!(good.code(&scheme), "good");
    assert_eq!(good.clone().at("https://mainstay.example/other").code(&scheme), "signature_mismatch");
    assert_eq!(good.clone().with("svix-id", "msg_2").code(&scheme), "signature_mismatch");
    assert_eq!(good.clone().with("svix-id", "msg 1").code(&scheme), "signature_malformed");
    assert_eq!(good.clone().with("svix-id", "msg:1").code(&scheme), "signature_malformed");
    assert_eq!(good.clone().with_twice("svix-id").code(&scheme), "signature_malformed");
    assert_eq!(good.without("svix-id").code(&scheme), "signature_missing");
}

#[test]
fn several_secrets_are_good_while_one_is_replaced() {
    let both = scheme(Vapi::hmac(secrets(&["the-new-one", "vapi-test-secret"])));
    assert_eq!(good().code(&both), "good");
    assert_eq!(good().code(&scheme(Vapi::hmac(secrets(&["the-new-one"])))), "signature_mismatch");
}

#[test]
fn a_shared_secret_stands_alone_in_its_header() {
    let scheme = Scheme::Vapi(Vapi::SharedSecret { secrets: secrets(&["new-token", "old-token"]) });
    let with = |value: &str| Request::new(BODY).with("x-vapi-secret", value);
    assert_eq!((with("new-token").code(&scheme), with("old-token").code(&scheme)), ("good", "good"));
    for bad in ["other-token", "new-toke", "new-token1", "NEW-TOKEN", "Bearer new-token"] {
        assert_eq!(with(bad).code(&scheme), "signature_mismatch", "{bad:?}");
    }
    assert_eq!(with("").code(&scheme), "signature_malformed");
    assert_eq!(with("new-token").with_twice("x-vapi-secret").code(&scheme), "signature_malformed");
    assert_eq!(Request::new(BODY).with("authorization", "Bearer new-token").code(&scheme), "signature_missing");
}

#[test]
fn a_bearer_token_stands_after_its_word() {
    let scheme = Scheme::Vapi(Vapi::bearer(secrets(&["new-token", "old-token"])));
    let with = |value: &str| Request::new(BODY).with("authorization", value).code(&scheme);
    for good in ["Bearer new-token", "bearer old-token", "BEARER  new-token"] {
        assert_eq!(with(good), "good", "{good:?}");
    }
    for bad in ["new-token", "Basic new-token", "Bearer", "Bearer ", "Bearernew-token", "", "Bearer\tnew-token"] {
        assert_eq!(with(bad), "signature_malformed", "{bad:?}");
    }
    assert_eq!(with("Bearer new-token, Bearer new-token"), "signature_mismatch");
    let renamed = Vapi::Bearer { secrets: secrets(&["token"]), header: name("x-key"), prefixed: false };
    assert_eq!(Request::new(BODY).with("x-key", "token").code(&Scheme::Vapi(renamed)), "good");
}

#[test]
fn an_access_token_is_good_until_its_end() {
    let granted = |token: &str, until: i64| Granted {
        token: Secret::new(token.to_owned()),
        until: Timestamp::from_millis(SIGNED_AT * 1000 + until),
    };
    let scheme = Scheme::Vapi(Vapi::OAuth2 {
        granted: vec![granted("first", 1000), granted("second", 3_600_000), granted("", 3_600_000)],
    });
    let with = |value: &str| Request::new(BODY).with("authorization", value);
    assert_eq!((with("Bearer first").code(&scheme), with("Bearer second").code(&scheme)), ("good", "good"));
    assert_eq!(with("Bearer first").later(999).code(&scheme), "good");
    assert_eq!(with("Bearer first").later(1000).code(&scheme), "signature_stale");
    assert_eq!(with("Bearer second").later(1000).code(&scheme), "good");
    assert_eq!(with("Bearer third").code(&scheme), "signature_mismatch");
    assert_eq!(with("Bearer ").code(&scheme), "signature_malformed");
    assert_eq!(Request::new(BODY).code(&scheme), "signature_missing");
}
