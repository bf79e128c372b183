//! Signing up, in and out, refreshing, switching, members and keys, over the wire.

use serde_json::json;

use crate::support::{Engine, TestApp, both};

both! { a_person_signs_up_in_and_out }

async fn a_person_signs_up_in_and_out(engine: Engine) {
    let Some(server) = TestApp::start(engine, &[]).await else { return };
    let ada = server.person("ada").await;
    let again = json!({"email": "ADA@example.com", "password": "another password"});
    server.send("POST", "/v1/auth/sign-up", None, Some(again)).await.refused(409, "email_taken");
    let wrong = json!({"email": ada.email, "password": "not her password"});
    server.send("POST", "/v1/auth/sign-in", None, Some(wrong)).await.refused(401, "wrong_credentials");
    let right = json!({"email": ada.email, "password": "password of ada"});
    let signed_in = server.send("POST", "/v1/auth/sign-in", None, Some(right)).await.expect(200);
    let token = signed_in["access_token"].as_str().expect("a token").to_owned();
    let me = server.send("GET", "/v1/me", Some(&token), None).await.expect(200);
    assert_eq!((me["user"]["id"].as_str(), me["role"].as_str()), (Some(ada.id.as_str()), Some("owner")));
    server.send("POST", "/v1/auth/sign-out", Some(&token), None).await.expect(204);
    server.send("GET", "/v1/me", Some(&token), None).await.refused(401, "unauthenticated");
    server.send("GET", "/v1/me", Some(&ada.access_token), None).await.expect(200);
}
