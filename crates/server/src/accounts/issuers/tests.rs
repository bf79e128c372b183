use mainstay_domain::{ManualClock, PersonId, Role, SessionId, TenantId};
use ring::hmac;
use serde_json::{Value, json};
use uuid::Uuid;

use super::fake::{Answer, FakeIssuer, Signer};
use super::*;
use crate::accounts::access_token::{self, AccessTokens};
use crate::accounts::keys::SigningKey;
use crate::accounts::refresh_token::RefreshTokens;
use crate::outside::SystemEntropy;

mod fetching;
mod forged;

const NOW: i64 = 1_800_000_000;
const ISSUER: &str = "https://issuer.test/";
const OTHER: &str = "https://other.test/";

fn issuer(name: &str, jwks_url: &str, algorithms: &[&str]) -> config::Issuer {
    config::Issuer {
        issuer: name.to_owned(),
        audience: "mainstay".to_owned(),
        jwks_url: jwks_url.to_owned(),
        algorithms: algorithms.iter().map(|name| (*name).to_owned()).collect(),
    }
}

fn configured(issuers: Vec<config::Issuer>) -> config::Auth {
    config::Auth { issuers, ..crate::accounts::testing::auth() }
}

fn issuers(list: Vec<config::Issuer>) -> Issuers {
    try_issuers(list, &HttpSettings::default()).unwrap()
}

fn try_issuers(list: Vec<config::Issuer>, settings: &HttpSettings) -> Result<Issuers> {
    // Tests run in one process: the first of them installs it.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let clock = Arc::new(ManualClock::new(Timestamp::from_millis(NOW * 1000)));
    Issuers::new(&configured(list), clock, settings)
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(20)
}

fn claims() -> Value {
    json!({"iss": ISSUER, "aud": "mainstay", "sub": "person 1", "iat": NOW - 10, "exp": NOW + 900})
}

fn with(changes: &Value) -> Value {
    let mut claims = claims();
    for (name, value) in changes.as_object().unwrap() {
        claims[name] = value.clone();
    }
    claims
}

fn header(signer: &Signer, kid: &str) -> Value {
    json!({"alg": signer.algorithm(), "kid": kid, "typ": "JWT"})
}

fn rsa_jwk() -> Value {
    let modulus = URL_SAFE_NO_PAD.encode(rsa_fixture::bytes(rsa_fixture::MODULUS));
    json!({"kty": "RSA", "kid": "rsa", "use": "sig", "n": modulus, "e": "AQAB"})
}

fn rsa_token(algorithm: &str, signature: &str) -> String {
    let header = format!(r#"{{"alg":"{algorithm}","kid":"rsa","typ":"JWT"}}"#);
    let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
    let signature = URL_SAFE_NO_PAD.encode(rsa_fixture::bytes(signature));
    format!("{}.{}.{signature}", encode(&header), encode(rsa_fixture::CLAIMS))
}

const EVERY: &[&str] = &["RS256", "RS384", "RS512", "ES256", "ES384", "EdDSA"];

#[tokio::test]
async fn tokens_of_every_algorithm_are_taken() {
    let signers = [Signer::p256(), Signer::p384(), Signer::ed25519()];
    let mut keys: Vec<Value> = signers.iter().map(|signer| signer.jwk(signer.algorithm())).collect();
    keys.push(rsa_jwk());
    let fake = FakeIssuer::start(Answer::Keys(keys, "max-age=600")).await;
    let issuers = issuers(vec![issuer(ISSUER, &fake.url(), EVERY)]);
    for signer in &signers {
        let token = signer.token(&header(signer, signer.algorithm()), &claims());
        assert!(issuers.looks_like(&token));
        let identity = issuers.verify(&token, soon()).await;
        assert_eq!(identity.map(|identity| identity.subject), Ok("person 1".to_owned()), "{}", signer.algorithm());
    }
    for (algorithm, signature) in
        [("RS256", rsa_fixture::RS256), ("RS384", rsa_fixture::RS384), ("RS512", rsa_fixture::RS512)]
    {
        let identity = issuers.verify(&rsa_token(algorithm, signature), soon()).await;
        assert_eq!(identity.map(|identity| identity.subject), Ok("rsa person".to_owned()), "{algorithm}");
    }
    assert_eq!(fake.hits(), 1);
}

/// The claims as the three providers document them.
#[tokio::test]
async fn the_claims_of_the_providers_are_read() {
    let signer = Signer::p256();
    let fake = FakeIssuer::start(Answer::Keys(vec![signer.jwk("k")], "")).await;
    let issuers = issuers(vec![issuer(ISSUER, &fake.url(), &["ES256"])]);
    let read = async |changes: Value| {
        issuers.verify(&signer.token(&header(&signer, "k"), &with(&changes)), soon()).await.unwrap()
    };
    let supabase = read(json!({
        "sub": "6a0c9f3e-4f0f-4b43-8a1e-1c5b0e0f8a11", "email": "Ada@Example.com", "role": "authenticated",
        "session_id": "b0a1", "aal": "aal1", "is_anonymous": false, "phone": "",
        "user_metadata": {"email_verified": true, "full_name": "Ada Lovelace"}, "app_metadata": {"provider": "email"},
    }))
    .await;
    assert_eq!(
        supabase,
        OutsideIdentity {
            issuer: ISSUER.to_owned(),
            subject: "6a0c9f3e-4f0f-4b43-8a1e-1c5b0e0f8a11".to_owned(),
            email: EmailAddress::parse("ada@example.com").ok(),
            email_verified: false,
            name: PersonName::parse("Ada Lovelace").ok(),
            session: Some("b0a1".to_owned()),
            issued_at: Timestamp::from_millis((NOW - 10) * 1000),
            expires_at: Timestamp::from_millis((NOW + 900) * 1000),
        }
    );
    let auth0 = read(json!({
        "aud": ["mainstay", "https://tenant.auth0.test/userinfo"], "sub": "auth0|1", "azp": "client", "scope": "openid",
        "email": "ada@example.com", "email_verified": true, "name": "Ada", "exp": NOW as f64 + 900.5,
    }))
    .await;
    assert!(auth0.email_verified && auth0.session.is_none());
    assert_eq!(auth0.expires_at, Timestamp::from_millis((NOW + 900) * 1000 + 500));
    let clerk = read(json!({"sid": "sess_1", "azp": "https://app.test", "nbf": NOW - 20, "sub": "user_1"})).await;
    assert_eq!((clerk.session.as_deref(), clerk.email, clerk.name), (Some("sess_1"), None, None));
    // What only describes the person never keeps anybody out, and is not believed either.
    let odd = read(json!({
        "email": "", "email_verified": "true", "name": 7, "sid": "", "user_metadata": "text", "session_id": null,
    }))
    .await;
    assert!(odd.email.is_none() && !odd.email_verified && odd.name.is_none() && odd.session.is_none());
}

#[tokio::test]
async fn a_token_without_a_key_name_needs_a_set_of_one_key() {
    let (one, two) = (Signer::p256(), Signer::ed25519());
    let fake = FakeIssuer::start(Answer::Keys(vec![one.jwk("one")], "")).await;
    let single = issuers(vec![issuer(ISSUER, &fake.url(), EVERY)]);
    let token = one.token(&json!({"alg": "ES256"}), &claims());
    assert!(single.verify(&token, soon()).await.is_ok());
    fake.answer(Answer::Keys(vec![one.jwk("one"), two.jwk("two")], ""));
    let double = issuers(vec![issuer(ISSUER, &fake.url(), EVERY)]);
    assert_eq!(double.verify(&token, soon()).await, Err(TokenFault::UnknownKey));
    assert_eq!(fake.hits(), 2, "a key without a name is not looked for again");
}

#[tokio::test]
async fn times_are_checked_with_leeway() {
    let signer = Signer::p256();
    let fake = FakeIssuer::start(Answer::Keys(vec![signer.jwk("k")], "")).await;
    let issuers = issuers(vec![issuer(ISSUER, &fake.url(), &["ES256"])]);
    for (changes, expected) in [
        (json!({"exp": NOW - 29}), Ok(())),
        (json!({"exp": NOW - 30}), Err(TokenFault::Expired)),
        (json!({"nbf": NOW + 30}), Ok(())),
        (json!({"nbf": NOW + 31}), Err(TokenFault::NotYetValid)),
        (json!({"iat": NOW + 30}), Ok(())),
        (json!({"iat": NOW + 31}), Err(TokenFault::NotYetValid)),
    ] {
        let token = signer.token(&header(&signer, "k"), &with(&changes));
        assert_eq!(issuers.verify(&token, soon()).await.map(|_| ()), expected, "{changes}");
    }
}

#[test]
fn issuers_that_are_not_well_described_are_refused() {
    let good = || issuer(ISSUER, "https://issuer.test/jwks", &["ES256"]);
    let settings = HttpSettings::default();
    assert!(try_issuers(vec![good(), config::Issuer { issuer: OTHER.to_owned(), ..good() }], &settings).is_ok());
    let cases = [
        ("auth.issuers[0].issuer", vec![config::Issuer { issuer: String::new(), ..good() }]),
        ("auth.issuers[0].audience", vec![config::Issuer { audience: String::new(), ..good() }]),
        ("auth.issuers[0].jwks_url", vec![issuer(ISSUER, "http://issuer.test/jwks", &["ES256"])]),
        ("auth.issuers[0].jwks_url", vec![issuer(ISSUER, "file:///etc/hostname", &["ES256"])]),
        ("auth.issuers[0].jwks_url", vec![issuer(ISSUER, "jwks", &["ES256"])]),
        ("auth.issuers[0].algorithms", vec![issuer(ISSUER, "https://issuer.test/jwks", &[])]),
        ("auth.issuers[0].algorithms", vec![issuer(ISSUER, "https://issuer.test/jwks", &["ES256", "HS256"])]),
        ("auth.issuers[0].algorithms", vec![issuer(ISSUER, "https://issuer.test/jwks", &["none"])]),
        ("auth.issuers[1].issuer", vec![good(), good()]),
    ];
    for (field, list) in cases {
        let refusal = try_issuers(list, &settings).unwrap_err();
        assert_eq!(refusal.fields.iter().map(|fault| fault.field.as_str()).collect::<Vec<_>>(), [field]);
    }
    let none = try_issuers(Vec::new(), &settings).unwrap();
    assert!(!none.looks_like("eyJ.eyJ.x"));
}
