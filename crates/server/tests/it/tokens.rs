//! Tokens that are not good, over HTTP; tokens of an outside issuer; and how soon a second node knows what was revoked.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use mainstay_domain::Secret;
use mainstay_server::accounts::keys::{Purpose, SigningKey};
use ring::hmac;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use self::issuer::{Answer as Keys, FakeIssuer, Signer};
use crate::support::{Engine, Person, TestApp, both};

// The issuer is shared with unit tests, and neither uses all of it.
#[expect(dead_code, reason = "each test binary uses its own part of the issuer")]
#[path = "../../src/accounts/issuers/fake.rs"]
mod issuer;

both! {
    forged_tokens_are_refused,
    a_token_of_an_outside_issuer_is_a_person_here,
}

const SIGNING_KEY: &str = "3f9c27a1d85e046bb2f7913ce04d6a85f1720b9e58c3d46a97ef1230bc8d5e64";
const HEADER: &str = r#"{"alg":"HS256","kid":"mainstay","typ":"at+jwt"}"#;

fn encoded(text: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(text)
}

fn access_key() -> hmac::Key {
    SigningKey::from_hex(&Secret::new(SIGNING_KEY.to_owned())).expect("a key").derive(Purpose::AccessToken)
}

/// A token with this header and payload, signed with HMAC-SHA256 by this key.
fn signed(header: &str, payload: &str, key: &hmac::Key) -> String {
    let message = format!("{}.{}", encoded(header), encoded(payload));
    let signature = encoded(hmac::sign(key, message.as_bytes()));
    format!("{message}.{signature}")
}

/// The payload of a token.
fn payload(token: &str) -> Value {
    let part = token.split('.').nth(1).expect("a payload");
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).expect("base64")).expect("JSON")
}

/// The payload with some claims set otherwise; null takes one away.
fn with(payload: &Value, changes: &Value) -> String {
    let mut payload = payload.clone();
    for (name, value) in changes.as_object().expect("claims") {
        if value.is_null() {
            payload.as_object_mut().expect("claims").remove(name);
        } else {
            payload[name] = value.clone();
        }
    }
    payload.to_string()
}

fn seconds(server: &TestApp) -> f64 {
    server.now().as_millis() as f64 / 1000.0
}

/// Tokens that are nearly good, each with what is wrong with it.
fn forgeries(server: &TestApp, person: &Person) -> Vec<(String, String)> {
    let good = &person.access_token;
    let claims = payload(good);
    let (text, now) = (claims.to_string(), seconds(server));
    let ours = access_key();
    let mut all: Vec<(String, String)> = Vec::new();
    let mut add = |name: &str, token: String| all.push((name.to_owned(), token));

    let parts: Vec<&str> = good.split('.').collect();
    for none in ["none", "None", "NONE", "nOnE", ""] {
        let header = encoded(format!(r#"{{"alg":"{none}","typ":"at+jwt"}}"#));
        add("alg none", format!("{header}.{}.", parts[1]));
        add("alg none with a signature", format!("{header}.{}.{}", parts[1], parts[2]));
        add("alg none in two parts", format!("{header}.{}", parts[1]));
    }
    add("no signature", format!("{}.{}.", parts[0], parts[1]));
    add("other key", signed(HEADER, &text, &hmac::Key::new(hmac::HMAC_SHA256, b"guessed")));
    add("empty key", signed(HEADER, &text, &hmac::Key::new(hmac::HMAC_SHA256, b"")));
    add(
        "the installation's key itself",
        signed(HEADER, &text, &hmac::Key::new(hmac::HMAC_SHA256, SIGNING_KEY.as_bytes())),
    );
    let key = SigningKey::from_hex(&Secret::new(SIGNING_KEY.to_owned())).expect("a key");
    add("the key of refresh tokens", signed(HEADER, &text, &key.derive(Purpose::RefreshToken)));
    add("the key of tickets", signed(HEADER, &text, &key.derive(Purpose::Ticket)));
    for header in [
        r#"{"alg":"HS256","kid":"other","typ":"at+jwt"}"#,
        r#"{"alg":"HS256","kid":"../../../../dev/null","typ":"at+jwt"}"#,
        r#"{"alg":"HS256","kid":"' or 1=1 --","typ":"at+jwt"}"#,
        r#"{"alg":"HS256","kid":"mainstay","typ":"JWT"}"#,
        r#"{"alg":"HS256","kid":"mainstay"}"#,
        r#"{"alg":"HS256","kid":"mainstay","typ":"at+jwt","crit":["exp"]}"#,
        r#"{"alg":"HS512","kid":"mainstay","typ":"at+jwt"}"#,
        r#"{"alg":"RS256","kid":"mainstay","typ":"at+jwt"}"#,
        r#"{"alg":"HS256","kid":"mainstay","typ":"at+jwt","jku":"http://127.0.0.1:9/keys"}"#,
        "{}",
        "[]",
        "",
    ] {
        add("another header", signed(header, &text, &ours));
    }
    for changes in [
        json!({"iss": "other"}),
        json!({"iss": null}),
        json!({"aud": "other"}),
        json!({"aud": ["mainstay"]}),
        json!({"aud": null}),
        json!({"exp": now - 60.0}),
        json!({"exp": null}),
        json!({"exp": "never"}),
        json!({"exp": 1e300}),
        json!({"exp": -1}),
        json!({"iat": now + 600.0, "exp": now + 900.0}),
        json!({"iat": null}),
        json!({"sub": null}),
        json!({"sub": "ada"}),
        json!({"org": null}),
        json!({"sid": null}),
        json!({"role": "god"}),
        json!({"role": null}),
    ] {
        add("another claim", signed(HEADER, &with(&claims, &changes), &ours));
    }
    add("a payload that is no JSON", signed(HEADER, "{", &ours));
    add("an empty payload", signed(HEADER, "", &ours));
    let raised = encoded(with(&claims, &json!({"org": "00000000-0000-7000-8000-000000000000"})));
    add("another payload under the signature", format!("{}.{raised}.{}", parts[0], parts[2]));
    for cut in [1, 2, 10, 43, 44, good.len() - 1] {
        add("truncated", good[..good.len() - cut].to_owned());
    }
    add("longer", format!("{good}A"));
    add("padded", format!("{good}="));
    add("a fourth part", format!("{good}.{}", parts[2]));
    add("upper case", good.to_uppercase());
    add("oversize", format!("{}.{}.{}", parts[0], "A".repeat(20_000), parts[2]));
    add("oversize and signed", signed(HEADER, &with(&claims, &json!({"x": "y".repeat(8000)})), &ours));
    add("a refresh token", person.refresh_token.clone());
    for key in [
        "mk_",
        "mk_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "mk_short",
        "null",
        "undefined",
        "eyJ",
        ".",
        "..",
        "é",
    ] {
        add("no token at all", key.to_owned());
    }
    add("the token twice", format!("{good} {good}"));
    add("the token in a list", format!("{good},{good}"));
    add("the token in quotes", format!("\"{good}\""));
    all
}

async fn forged_tokens_are_refused(engine: Engine) {
    let Some(server) = TestApp::start(engine, &[("auth.signing_key", &json!(SIGNING_KEY).to_string())]).await else {
        return;
    };
    let ada = server.person("ada").await;
    let good = ada.access_token.as_str();
    // What the forgeries are made of is right: the same made well is taken.
    assert_eq!(
        signed(
            HEADER,
            &String::from_utf8(URL_SAFE_NO_PAD.decode(good.split('.').nth(1).unwrap()).unwrap()).unwrap(),
            &access_key()
        ),
        good
    );
    let made = signed(HEADER, &payload(good).to_string(), &access_key());
    server.send("GET", "/v1/me", Some(&made), None).await.expect(200);
    for (name, token) in forgeries(&server, &ada) {
        let answer = server.send("GET", "/v1/me", Some(&token), None).await;
        assert_eq!(answer.status, 401, "{name}: {token}: {}", answer.text);
        assert_eq!(answer.headers["www-authenticate"], "Bearer", "{name}");
        let problem = answer.refused(401, "unauthenticated");
        assert!(!problem.to_string().contains("signature"), "which check failed is not told: {problem}");
    }

    let me = async |headers: &[(&str, &str)]| server.send_with("GET", "/v1/me", None, None, headers).await.status;
    for scheme in ["Bearer", "bearer", "BEARER"] {
        assert_eq!(me(&[("authorization", &format!("{scheme} {good}"))]).await, 200, "{scheme}");
    }
    for value in [
        good.to_owned(),
        format!("Basic {good}"),
        format!("Token {good}"),
        "Bearer".to_owned(),
        "Bearer ".to_owned(),
        String::new(),
    ] {
        assert_eq!(me(&[("authorization", &value)]).await, 401, "{value}");
    }
    let bearer = format!("Bearer {good}");
    assert_eq!(me(&[("authorization", &bearer), ("authorization", &bearer)]).await, 401, "two headers");
    assert_eq!(me(&[("authorization", &bearer), ("authorization", "Bearer x")]).await, 401, "two headers");
    assert_eq!(me(&[("cookie", &format!("access_token={good}; mainstay_refresh={}", ada.refresh_token))]).await, 401);
    for name in ["access_token", "token", "bearer_token", "authorization"] {
        let answer = server.send("GET", &format!("/v1/me?{name}={good}"), None, None).await;
        assert_eq!(answer.status, 401, "a token in the address is refused: it would stand in logs");
    }

    // What was good and is not any more.
    let body = json!({"name": "a key", "scopes": ["read"]});
    let made = server.send("POST", "/v1/api-keys", Some(good), Some(body)).await.expect(201);
    let key = made["secret"].as_str().expect("a key");
    server.send("GET", "/v1/me", Some(key), None).await.expect(200);
    let path = format!("/v1/api-keys/{}", made["id"].as_str().expect("an id"));
    server.send("DELETE", &path, Some(good), None).await.expect(204);
    server.send("GET", "/v1/me", Some(key), None).await.refused(401, "unauthenticated");
    server.send("DELETE", &path, Some(good), None).await.refused(404, "not_found");
    server.send("POST", "/v1/auth/sign-out", Some(good), None).await.expect(204);
    server.send("GET", "/v1/me", Some(good), None).await.refused(401, "unauthenticated");
    let refresh = json!({"refresh_token": ada.refresh_token});
    server.send("POST", "/v1/auth/refresh", None, Some(refresh)).await.refused(401, "signed_out");

    // What was refused stays refused when the server starts anew.
    let server = server.restart(&[("auth.signing_key", &json!(SIGNING_KEY).to_string())]).await;
    server.send("GET", "/v1/me", Some(good), None).await.refused(401, "unauthenticated");
    server.send("GET", "/v1/me", Some(key), None).await.refused(401, "unauthenticated");
}

async fn a_token_of_an_outside_issuer_is_a_person_here(engine: Engine) {
    let (signer, stranger) = (Signer::p256(), Signer::p256());
    let issuer = FakeIssuer::start(Keys::Keys(vec![signer.jwk("one")], "max-age=600")).await;
    let issuers = format!(
        r#"[{{ issuer = "https://issuer.test/", audience = "mainstay", jwks_url = "{}", algorithms = ["ES256"] }}]"#,
        issuer.url()
    );
    let Some(server) = TestApp::start(engine, &[("auth.issuers", &issuers)]).await else { return };
    let now = seconds(&server).floor();
    let header = json!({"alg": "ES256", "kid": "one", "typ": "JWT"});
    let claims = json!({
        "iss": "https://issuer.test/", "aud": "mainstay", "sub": "person 1", "iat": now, "exp": now + 600.0,
        "email": "outside@example.com", "email_verified": true, "name": "Somebody",
    });
    let claims_with = |changes: Value| serde_json::from_str::<Value>(&with(&claims, &changes)).expect("claims");
    let me = async |token: &str| server.send("GET", "/v1/me", Some(token), None).await;

    // Refused before anybody is made of them.
    let jwk = signer.jwk("one").to_string();
    let public_key = hmac::Key::new(hmac::HMAC_SHA256, jwk.as_bytes());
    let coordinates =
        [signer.jwk("one")["x"].as_str(), signer.jwk("one")["y"].as_str()].map(|part| part.expect("a part").to_owned());
    let point: Vec<u8> = coordinates.iter().flat_map(|part| URL_SAFE_NO_PAD.decode(part).expect("base64")).collect();
    let point = hmac::Key::new(hmac::HMAC_SHA256, &point);
    let hs256 = r#"{"alg":"HS256","kid":"one","typ":"JWT"}"#;
    for (name, token) in [
        ("another audience", signer.token(&header, &claims_with(json!({"aud": "other"})))),
        ("no audience", signer.token(&header, &claims_with(json!({"aud": null})))),
        ("another issuer", signer.token(&header, &claims_with(json!({"iss": "https://issuer.test"})))),
        ("expired", signer.token(&header, &claims_with(json!({"exp": now - 300.0})))),
        ("of the future", signer.token(&header, &claims_with(json!({"iat": now + 300.0, "nbf": now + 300.0})))),
        ("no subject", signer.token(&header, &claims_with(json!({"sub": null})))),
        ("another key", stranger.token(&header, &claims)),
        ("an unknown key", stranger.token(&json!({"alg": "ES256", "kid": "two", "typ": "JWT"}), &claims)),
        ("its own key", stranger.token(&json!({"alg": "ES256", "kid": "one", "jwk": stranger.jwk("one")}), &claims)),
        ("alg none", signer.token(&json!({"alg": "none", "kid": "one"}), &claims)),
        ("the public key as a secret", signed(hs256, &claims.to_string(), &public_key)),
        ("the point as a secret", signed(hs256, &claims.to_string(), &point)),
    ] {
        let answer = me(&token).await;
        assert_eq!(answer.status, 401, "{name}: {}", answer.text);
    }

    let first = me(&signer.token(&header, &claims)).await.expect(200);
    assert_eq!(
        (first["user"]["name"].as_str(), first["user"]["email"].as_str()),
        (Some("Somebody"), Some("outside@example.com"))
    );
    assert_eq!((first["role"].as_str(), first["memberships"].as_array().map(Vec::len)), (Some("owner"), Some(1)));
    let again = signer.token(&header, &claims_with(json!({"iat": now - 1.0})));
    assert_eq!(me(&again).await.expect(200)["user"]["id"], first["user"]["id"], "the same person");
    // Twenty first sights at once make one person.
    let other = signer.token(&header, &claims_with(json!({"sub": "person 2", "email": null, "name": "Other"})));
    let seen = futures_util::future::join_all((0..20).map(|_| me(&other))).await;
    let ids: std::collections::BTreeSet<String> =
        seen.into_iter().map(|answer| answer.expect(200)["user"]["id"].to_string()).collect();
    assert_eq!(ids.len(), 1, "{ids:?}");
    assert!(!ids.contains(&first["user"]["id"].to_string()));

    // An address that a password account has is not a way into it.
    let ada = server.person("ada").await;
    let thief = claims_with(json!({"sub": "person 3", "email": ada.email}));
    let answer = me(&signer.token(&header, &thief)).await.expect(200);
    assert!(answer["user"]["id"] != ada.id.as_str() && answer["user"]["email"].is_null(), "{answer}");
    let unsure = claims_with(json!({"sub": "person 4", "email": "eve@example.com", "email_verified": false}));
    let answer = me(&signer.token(&header, &unsure)).await.expect(200);
    assert!(answer["user"]["email"].is_null(), "an address that nobody vouches for is not kept: {answer}");

    // It works as any other, except for what belongs to a sign-in here.
    let token = signer.token(&header, &claims);
    let body = json!({"content": "Hello"});
    server.send("POST", "/v1/messages", Some(&token), Some(body)).await.expect(201);
    server.send("POST", "/v1/auth/sign-out", Some(&token), None).await.refused(403, "forbidden");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_node_revokes_another_refuses_within_5_seconds() {
    let Some(one) = TestApp::start(Engine::Postgres, &[]).await else { return };
    let two = one.second_node(&[]).await;
    let (ada, bob) = (one.person("ada").await, one.person("bob").await);
    let body = json!({"name": "a key", "scopes": ["read"]});
    let made = one.send("POST", "/v1/api-keys", Some(&ada.access_token), Some(body)).await.expect(201);
    let (id, key) = (made["id"].as_str().expect("an id"), made["secret"].as_str().expect("a key"));
    let bob_body = json!({"email": bob.email, "role": "admin"});
    one.send("POST", "/v1/members", Some(&ada.access_token), Some(bob_body)).await.expect(201);
    let switch = json!({"organisation_id": ada.organisation});
    let moved = one.send("POST", "/v1/auth/switch", Some(&bob.access_token), Some(switch)).await.expect(200);
    let member = moved["access_token"].as_str().expect("a token");
    // The other node knows them all, and remembers the key.
    for token in [ada.access_token.as_str(), key, member] {
        two.send("GET", "/v1/me", Some(token), None).await.expect(200);
    }
    one.send("DELETE", &format!("/v1/api-keys/{id}"), Some(&ada.access_token), None).await.expect(204);
    one.send("DELETE", &format!("/v1/members/{}", bob.id), Some(&ada.access_token), None).await.expect(204);
    one.send("POST", "/v1/auth/sign-out", Some(&ada.access_token), None).await.expect(204);
    let begun = Instant::now();
    for (name, token) in [("a key", key), ("a membership", member), ("a sign-in", ada.access_token.as_str())] {
        while two.send("GET", "/v1/me", Some(token), None).await.status == 200 {
            assert!(begun.elapsed() < Duration::from_secs(5), "{name} was still good after {:?}", begun.elapsed());
            sleep(Duration::from_millis(50)).await;
        }
        two.send("GET", "/v1/me", Some(token), None).await.refused(401, "unauthenticated");
    }
}
