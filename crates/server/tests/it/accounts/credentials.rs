//! Another password, signing out everywhere, and being disabled.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;
use tokio::time::Instant;

use super::{refresh, status_of};
use crate::support::{Engine, TestApp, both, text};

both! {
    a_password_is_changed_by_who_knows_it,
    guessing_at_a_change_of_the_password_is_throttled,
    signing_out_everywhere_ends_all,
    who_is_disabled_is_out_everywhere,
}

/// What somebody has who is signed in: an access token, a refresh token, and a key that they have made.
struct Holder {
    token: String,
    refresh: String,
    key: String,
}

impl Holder {
    async fn of(server: &TestApp, email: &str, password: &str) -> Self {
        let body = json!({"email": email, "password": password});
        let signed_in = server.send("POST", "/v1/auth/sign-in", None, Some(body)).await.expect(200);
        let token = text(&signed_in["access_token"]);
        let key = json!({"name": "k", "scopes": ["read"]});
        let key = server.send("POST", "/v1/api-keys", Some(&token), Some(key)).await.expect(201);
        Self { token, refresh: text(&signed_in["refresh_token"]), key: text(&key["secret"]) }
    }
}

async fn a_password_is_changed_by_who_knows_it(engine: Engine) {
    let Some(server) = TestApp::start(engine, &[]).await else { return };
    let ada = server.person("ada").await;
    let other = Holder::of(&server, &ada.email, "password of ada").await;
    let change = async |token: &str, current: &str, new: &str| {
        let body = json!({"current_password": current, "new_password": new});
        server.send("POST", "/v1/auth/password", Some(token), Some(body)).await
    };
    let token = &ada.access_token;
    let wrong = change(token, "not her password", "another of hers").await.refused(400, "invalid_input");
    assert_eq!(
        (&wrong["fields"][0]["field"], &wrong["fields"][0]["code"]),
        (&json!("current_password"), &json!("wrong_password"))
    );
    for (bad, code) in [("short", "too_short"), ("1234567890", "too_common"), (&ada.email, "same_as_email")] {
        let problem = change(token, "password of ada", bad).await.refused(400, "invalid_input");
        let field = &problem["fields"][0];
        assert_eq!((field["field"].as_str(), field["code"].as_str()), (Some("new_password"), Some(code)));
    }
    change(&other.key, "password of ada", "another of hers").await.refused(403, "forbidden");
    let next = change(token, "password of ada", "another of hers").await.expect(200);
    assert_eq!(next["organisation"]["id"], json!(ada.organisation));
    for old in [token, &other.token] {
        assert_eq!(status_of(&server, old).await, 401, "all that was signed in is out");
    }
    for old in [&ada.refresh_token, &other.refresh] {
        refresh(&server, old).await.refused(401, "signed_out");
    }
    assert_eq!(status_of(&server, &text(&next["access_token"])).await, 200);
    refresh(&server, &text(&next["refresh_token"])).await.expect(200);
    let sign_in = async |password: &str| {
        server.send("POST", "/v1/auth/sign-in", None, Some(json!({"email": ada.email, "password": password}))).await
    };
    sign_in("password of ada").await.refused(401, "wrong_credentials");
    sign_in("another of hers").await.expect(200);
    // The key is hers, and not of a sign-in: it stays.
    assert_eq!(status_of(&server, &other.key).await, 200);
}

async fn guessing_at_a_change_of_the_password_is_throttled(engine: Engine) {
    let settings = [("auth.sign_in_failures", "3")];
    let Some(server) = TestApp::start(engine, &settings).await else { return };
    let ada = server.person("ada").await;
    let guess = json!({"current_password": "a guess of somebody", "new_password": "another of theirs"});
    let statuses = join_all(
        (0..8).map(|_| server.send("POST", "/v1/auth/password", Some(&ada.access_token), Some(guess.clone()))),
    )
    .await;
    let count = |status| statuses.iter().filter(|answer| answer.status == status).count();
    assert_eq!((count(400), count(429)), (3, 5));
}

async fn signing_out_everywhere_ends_all(engine: Engine) {
    let Some(server) = TestApp::start(engine, &[]).await else { return };
    let (ada, bob) = (server.person("ada").await, server.person("bob").await);
    let other = Holder::of(&server, &ada.email, "password of ada").await;
    server.send("POST", "/v1/auth/sign-out-everywhere", Some(&other.token), None).await.expect(204);
    for token in [&ada.access_token, &other.token] {
        assert_eq!(status_of(&server, token).await, 401);
    }
    refresh(&server, &ada.refresh_token).await.refused(401, "signed_out");
    assert_eq!(status_of(&server, &bob.access_token).await, 200);
    assert_eq!(status_of(&server, &other.key).await, 200);
}

/// As the command line does it, beside the server that serves.
async fn who_is_disabled_is_out_everywhere(engine: Engine) {
    let Some(server) = TestApp::start(engine, &[]).await else { return };
    let ada = server.person("ada").await;
    let held = Holder::of(&server, &ada.email, "password of ada").await;
    let email = mainstay_domain::EmailAddress::parse(&ada.email).expect("an address");
    let call = || mainstay_store::Call::within(Duration::from_secs(20));
    server.app.accounts.disable(&call(), &email, true).await.expect("disabled");
    let begun = Instant::now();
    for token in [&ada.access_token, &held.token, &held.key] {
        while status_of(&server, token).await != 401 {
            assert!(begun.elapsed() < Duration::from_secs(5), "every node knows within five seconds");
        }
    }
    refresh(&server, &held.refresh).await.refused(401, "signed_out");
    let body = json!({"email": ada.email, "password": "password of ada"});
    server.send("POST", "/v1/auth/sign-in", None, Some(body.clone())).await.refused(403, "account_disabled");
    server.app.accounts.disable(&call(), &email, false).await.expect("enabled");
    let again = server.send("POST", "/v1/auth/sign-in", None, Some(body)).await.expect(200);
    assert_eq!(status_of(&server, &text(&again["access_token"])).await, 200);
    assert_eq!(status_of(&server, &ada.access_token).await, 401, "what ended does not begin again");
    let new = mainstay_domain::Secret::new("one that was given to her".to_owned());
    server.app.accounts.reset_password(&call(), &email, &new).await.expect("set");
    assert_eq!(status_of(&server, &text(&again["access_token"])).await, 401);
    let body = json!({"email": ada.email, "password": "one that was given to her"});
    server.send("POST", "/v1/auth/sign-in", None, Some(body)).await.expect(200);
}
