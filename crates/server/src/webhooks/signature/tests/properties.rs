//! What holds for every body: what was signed is good, what was changed is not, and nothing panics.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use ring::hmac;

use super::*;
use crate::webhooks::form;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

fn bytes(most: usize) -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..most)
}

/// The bytes with one bit of them turned over.
fn flipped(bytes: &[u8], at: usize) -> Vec<u8> {
    let mut changed = bytes.to_vec();
    if let Some(byte) = changed.get_mut(at / 8 % bytes.len().max(1)) {
        *byte ^= 1 << (at % 8);
    }
    changed
}

/// The request with one bit of a header turned over, where that is still a header.
fn flipped_header(request: &Request, header: &str, at: usize) -> Option<Request> {
    let value = HeaderValue::from_bytes(&flipped(request.headers[header].as_bytes(), at)).ok()?;
    let mut changed = request.clone();
    changed.headers.insert(name(header), value);
    Some(changed)
}

fn standard() -> (Scheme, Secrets) {
    let secrets = Secrets::standard(&listed(&[SECRET])).unwrap();
    (Scheme::Standard(Standard::new(secrets.clone())), secrets)
}

fn sha256(message: &[u8]) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, b"secret"), message).as_ref().to_vec()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_we_sign_is_good_and_any_bit_counts(
        body in bytes(300),
        id in "[!-\\-/-~]{1,40}",
        seconds in 0_i64..4_000_000_000,
        at in any::<usize>(),
    ) {
        let (scheme, secrets) = standard();
        let now = Timestamp::from_millis(seconds * 1000 + 999);
        let mut good = Request { now, ..Request::new(&body) };
        good.headers.extend(sign(&secrets, &id, now, &body).unwrap().headers());
        prop_assert_eq!(good.verify(&scheme), Ok(()));
        if !body.is_empty() {
            prop_assert_eq!(good.clone().saying(&flipped(&body, at)).code(&scheme), "signature_mismatch");
        }
        for header in ["webhook-id", "webhook-timestamp", "webhook-signature"] {
            if let Some(changed) = flipped_header(&good, header, at) {
                prop_assert!(changed.verify(&scheme).is_err(), "{header}: {:?}", changed.headers[header]);
            }
        }
    }

    #[test]
    fn any_bit_counts_for_fastspring_and_vapi(body in bytes(300), at in any::<usize>()) {
        let fastspring = Scheme::FastSpring(FastSpring { secrets: secrets(&["secret"]) });
        let vapi = Scheme::Vapi(Vapi::Hmac(Vapi::hmac(secrets(&["secret"]))));
        let moment = SIGNED_AT.to_string();
        let signature = mainstay_domain::hexadecimal(&sha256(&[moment.as_bytes(), b".", &body].concat()));
        let good = Request::new(&body)
            .with("x-fs-signature", &STANDARD.encode(sha256(&body)))
            .with("x-signature", &signature)
            .with("x-timestamp", &moment);
        for scheme in [&fastspring, &vapi] {
            prop_assert_eq!(good.verify(scheme), Ok(()));
            if !body.is_empty() {
                prop_assert_eq!(good.clone().saying(&flipped(&body, at)).code(scheme), "signature_mismatch");
            }
        }
        for (scheme, header) in [(&fastspring, "x-fs-signature"), (&vapi, "x-signature"), (&vapi, "x-timestamp")] {
            let Some(changed) = flipped_header(&good, header, at) else { continue };
            // A hexadecimal digit in capitals is the same digit.
            let same = changed.headers[header].to_str().is_ok_and(|text| text.to_lowercase() == signature);
            prop_assert_eq!(changed.verify(scheme).is_ok(), same, "{}", header);
        }
    }

    #[test]
    fn any_bit_counts_for_twilio(fields in prop::collection::vec(("[A-Za-z]{1,6}", ".{0,8}"), 1..6), at in any::<usize>()) {
        let scheme = Scheme::Twilio(Twilio { secrets: secrets(&["secret"]) });
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(&fields).finish();
        let mut sorted = fields;
        sorted.sort();
        sorted.dedup();
        let mut signed = "https://mainstay.example/hook".to_owned();
        signed.extend(sorted.iter().flat_map(|(name, value)| [name.as_str(), value.as_str()]));
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, b"secret"), signed.as_bytes());
        let good = Request::new(body.as_bytes()).with_form().with("x-twilio-signature", &STANDARD.encode(tag));
        prop_assert_eq!(good.verify(&scheme), Ok(()));
        let changed = good.clone().saying(&flipped(body.as_bytes(), at));
        // `%2B` and `%2b` are the same character.
        let same = form::fields(&changed.body) == form::fields(&good.body);
        prop_assert_eq!(changed.verify(&scheme).is_ok(), same);
    }

    #[test]
    fn no_request_makes_it_panic_or_passes(
        body in bytes(100),
        url in ".{0,40}",
        header in prop::collection::vec(any::<u8>(), 0..80),
        millis in any::<i64>(),
    ) {
        let (standard, _) = standard();
        let schemes = [
            standard,
            Scheme::FastSpring(FastSpring { secrets: secrets(&["secret"]) }),
            Scheme::Twilio(Twilio { secrets: secrets(&["secret"]) }),
            Scheme::Vapi(Vapi::Hmac(Vapi::hmac(secrets(&["secret"])))),
            Scheme::Vapi(Vapi::bearer(secrets(&["a-secret-that-no-chance-finds"]))),
        ];
        let names = [
            "webhook-id", "webhook-timestamp", "webhook-signature", "x-fs-signature", "x-twilio-signature", "x-signature",
            "x-timestamp", "authorization",
        ];
        let mut request = Request { now: Timestamp::from_millis(millis), ..Request::new(&body).with_form().at(&url) };
        if let Ok(value) = HeaderValue::from_bytes(&header) {
            names.iter().for_each(|header| { request.headers.insert(name(header), value.clone()); });
        }
        for scheme in &schemes {
            prop_assert!(request.verify(scheme).is_err());
        }
    }

    #[test]
    fn no_text_makes_a_format_or_a_secret_panic(text in ".{0,60}") {
        if let Ok(format) = text.parse::<PayloadFormat>() {
            prop_assert_eq!(format.to_string(), text.clone());
        }
        let listed = listed(&[&text]);
        let _ = (Secrets::text(&listed).is_ok(), Secrets::base64(&listed).is_ok(), Secrets::standard(&listed).is_ok());
    }
}
