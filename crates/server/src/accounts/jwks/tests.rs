use serde_json::{Value, json};

use super::*;

fn set(keys: &Value) -> KeySet {
    KeySet::parse(json!({ "keys": keys }).to_string().as_bytes()).unwrap()
}

fn text(bytes: usize, fill: u8) -> String {
    URL_SAFE_NO_PAD.encode(vec![fill; bytes])
}

fn rsa() -> Value {
    json!({"kty": "RSA", "kid": "k", "n": text(256, 0xC1), "e": "AQAB"})
}

fn elliptic() -> Value {
    json!({"kty": "EC", "kid": "k", "crv": "P-256", "x": text(32, 1), "y": text(32, 2)})
}

fn edwards() -> Value {
    json!({"kty": "OKP", "kid": "k", "crv": "Ed25519", "x": text(32, 1)})
}

fn with(mut key: Value, changes: &Value) -> Value {
    for (name, value) in changes.as_object().unwrap() {
        key[name] = value.clone();
    }
    key
}

#[test]
fn a_key_is_for_the_algorithms_of_its_kind() {
    let taken = |key: &Value| -> Vec<&str> {
        let set = set(&json!([key]));
        ["RS256", "RS384", "RS512", "ES256", "ES384", "EdDSA"]
            .into_iter()
            .filter(|name| matches!(set.find(Some("k"), algorithm_named(name).unwrap()), Found::Key(_)))
            .collect()
    };
    assert_eq!(taken(&rsa()), ["RS256", "RS384", "RS512"]);
    assert_eq!(taken(&with(rsa(), &json!({"alg": "RS384"}))), ["RS384"]);
    assert_eq!(taken(&elliptic()), ["ES256"]);
    let larger = json!({"crv": "P-384", "x": text(48, 1), "y": text(48, 2)});
    assert_eq!(taken(&with(elliptic(), &larger)), ["ES384"]);
    assert_eq!(taken(&edwards()), ["EdDSA"]);
    assert_eq!(taken(&with(rsa(), &json!({"use": "sig", "key_ops": ["verify"]}))), ["RS256", "RS384", "RS512"]);
}

#[test]
fn keys_that_cannot_be_used_are_left_out_and_the_rest_stays() {
    let cases = [
        json!({"kty": "oct", "kid": "k", "k": "AAAA"}),
        json!({"kty": "oct", "kid": "k", "k": "AAAA", "alg": "RS256", "n": text(256, 0xC1), "e": "AQAB"}),
        json!({"kid": "k"}),
        json!({"kty": 7, "kid": "k"}),
        json!("text"),
        json!(null),
        with(rsa(), &json!({"use": "enc"})),
        with(rsa(), &json!({"key_ops": ["encrypt"]})),
        with(rsa(), &json!({"alg": "HS256"})),
        with(rsa(), &json!({"alg": "RSA-OAEP"})),
        with(rsa(), &json!({"alg": "ES256"})),
        with(rsa(), &json!({"alg": "PS256"})),
        with(rsa(), &json!({"n": text(128, 0xC1)})),
        with(rsa(), &json!({"n": text(1025, 0xC1)})),
        with(rsa(), &json!({"n": "not base64!"})),
        with(rsa(), &json!({"n": null})),
        with(rsa(), &json!({"e": ""})),
        with(rsa(), &json!({"e": text(6, 1)})),
        with(elliptic(), &json!({"crv": "P-521"})),
        with(elliptic(), &json!({"crv": "secp256k1"})),
        with(elliptic(), &json!({"crv": null})),
        with(elliptic(), &json!({"x": text(31, 1)})),
        with(elliptic(), &json!({"y": text(33, 1)})),
        with(elliptic(), &json!({"y": null})),
        with(edwards(), &json!({"crv": "X25519"})),
        with(edwards(), &json!({"crv": "P-256"})),
        with(edwards(), &json!({"x": text(31, 1)})),
    ];
    for bad in cases {
        let set = set(&json!([bad, with(edwards(), &json!({"kid": "good"}))]));
        assert_eq!(set.0.len(), 1, "{bad}");
        assert!(matches!(set.find(Some("good"), Algorithm::EdDSA), Found::Key(_)));
        assert!(matches!(set.find(Some("k"), Algorithm::RS256), Found::Unknown), "{bad}");
    }
}

#[test]
fn two_kinds_of_key_may_share_a_name() {
    let set = set(&json!([rsa(), elliptic()]));
    assert!(matches!(set.find(Some("k"), Algorithm::ES256), Found::Key(_)));
    assert!(matches!(set.find(Some("k"), Algorithm::RS256), Found::Key(_)));
    assert!(matches!(set.find(Some("k"), Algorithm::EdDSA), Found::Unfit));
    assert!(matches!(set.find(None, Algorithm::ES256), Found::Unknown));
    assert!(matches!(set.find(Some("other"), Algorithm::ES256), Found::Unknown));
}

#[test]
fn a_modulus_may_begin_with_zeros() {
    let padded = URL_SAFE_NO_PAD.encode([&[0][..], &[0xC1; 256]].concat());
    let set = set(&json!([with(rsa(), &json!({"n": padded}))]));
    let Found::Key(key) = set.find(Some("k"), Algorithm::RS256) else { panic!("it was left out") };
    let jsonwebtoken::DecodingKeyKind::RsaModulusExponent { n, .. } = key.kind() else { panic!("it is no RSA key") };
    assert_eq!(n.len(), 256);
}

#[test]
fn freshness_is_that_of_the_answer_within_bounds() {
    let age = |control: Option<&str>| {
        let mut headers = http::HeaderMap::new();
        if let Some(control) = control {
            headers.insert(CACHE_CONTROL, control.parse().unwrap());
        }
        super::age(&headers).as_secs()
    };
    for (control, seconds) in [
        (None, 3600),
        (Some(""), 3600),
        (Some("public"), 3600),
        (Some("public, max-age=600, must-revalidate"), 600),
        (Some("Max-Age=\"7200\""), 7200),
        (Some("max-age=1"), 300),
        (Some("max-age=0"), 300),
        (Some("max-age=31536000"), 86400),
        (Some("max-age=99999999999999999999999"), 3600),
        (Some("max-age=-5"), 3600),
        (Some("max-age"), 3600),
        (Some("no-store"), 300),
        (Some("no-cache, max-age=9999"), 300),
        (Some("s-maxage=5, max-age=900"), 900),
    ] {
        assert_eq!(age(control), seconds, "{control:?}");
    }
}
