//! Whose requests are not taken.

use std::time::Duration;

use ring::hmac;
use serde_json::json;

use super::{SECRET, Sender, events, post, send, sender, signed, standard, tag, text};
use crate::support::{Answer, Engine, TestApp, both};

both! {
    nothing_is_taken_that_the_sender_did_not_sign_just_so,
    each_kind_of_sender_proves_itself_in_its_own_way,
    addresses_that_are_nobodys_or_switched_off_take_nothing,
}

/// Sends with these headers of Standard Webhooks.
async fn with(server: &TestApp, sender: &Sender, headers: &[(String, String)], body: &str) -> Answer {
    let headers: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    post(server, &sender.path, &headers, body).await
}

async fn nothing_is_taken_that_the_sender_did_not_sign_just_so(engine: Engine) {
    let Some(server) = TestApp::start(engine, &[]).await else { return };
    let ada = server.person("ada").await;
    let sender = standard(&server, &ada).await;
    let body = r#"{"type": "order.paid", "data": {"id": "order 1", "price": 1.0}}"#;
    let now = server.now();
    let good = signed("msg_1", now, body);

    // Stripped: without any of its headers.
    for missing in 0..3 {
        let rest: Vec<_> =
            good.iter().enumerate().filter(|(at, _)| *at != missing).map(|(_, one)| one.clone()).collect();
        with(&server, &sender, &rest, body).await.refused(401, "signature_missing");
    }
    with(&server, &sender, &[], body).await.refused(401, "signature_missing");
    // Stale, and from the future: also an old request that somebody repeats word for word.
    for (at, code) in [
        (now.minus(Duration::from_secs(301)), "signature_stale"),
        (now.minus(Duration::from_secs(86_400)), "signature_stale"),
        (now.plus(Duration::from_secs(360)), "signature_in_future"),
    ] {
        with(&server, &sender, &signed("msg_1", at, body), body).await.refused(401, code);
    }
    // Replayed with another moment or another identity, which are signed.
    let later = signed("msg_1", now.plus(Duration::from_secs(60)), body);
    with(&server, &sender, &[good[0].clone(), later[1].clone(), good[2].clone()], body)
        .await
        .refused(401, "signature_mismatch");
    let other = signed("msg_2", now, body);
    with(&server, &sender, &[other[0].clone(), good[1].clone(), good[2].clone()], body)
        .await
        .refused(401, "signature_mismatch");
    // Written anew: the same JSON in other bytes.
    let anew = serde_json::from_str::<serde_json::Value>(body).expect("JSON").to_string();
    for changed in
        [anew.as_str(), &format!("{body}\n"), &body.replace("1.0", "1.00"), &body.replace("order 1", "order 2"), ""]
    {
        with(&server, &sender, &good, changed).await.refused(401, "signature_mismatch");
    }
    // With two signatures in two headers nobody knows which was checked; one that is none is no signature.
    let twice: Vec<_> = good.iter().chain([&other[2]]).cloned().collect();
    with(&server, &sender, &twice, body).await.refused(401, "signature_malformed");
    let none = [good[0].clone(), good[1].clone(), (good[2].0.clone(), "v1,none".to_owned())];
    with(&server, &sender, &none, body).await.refused(401, "signature_malformed");
    assert_eq!(events(&server, &sender, "").await, Vec::<serde_json::Value>::new(), "none of it was stored");

    // Whoever set it up sees what was wrong last; nobody else does.
    let path = format!("/v1/inbox-sources/{}", sender.id);
    let shown = server.send("GET", &path, Some(&sender.token), None).await.expect(200);
    assert_eq!(shown["last_refusal"]["code"], "signature_malformed", "{shown}");
    // Genuine and unreadable.
    for body in ["", "{", "[1", "\u{fffd}"] {
        send(&server, &sender, "msg_1", body).await.refused(400, "webhook_not_json");
    }
    assert_eq!(send(&server, &sender, "msg_1", body).await.expect(200)["duplicate"], false, "the good one is good");
    // Larger than anything that senders send.
    let large = format!(r#"{{"data": "{}"}}"#, "x".repeat(1024 * 1024));
    send(&server, &sender, "msg_3", &large).await.refused(413, "too_large");
    let largest = format!(r#"{{"data": "{}"}}"#, "x".repeat(1024 * 1024 - 12));
    send(&server, &sender, "msg_3", &largest).await.expect(200);
}

async fn each_kind_of_sender_proves_itself_in_its_own_way(engine: Engine) {
    let settings =
        [("http.public_url", "\"https://hooks.example.com\""), ("billing.fastspring.webhook_secrets", "\"old new\"")];
    let Some(server) = TestApp::start(engine, &settings).await else { return };
    let ada = server.person("ada").await;
    let call = r#"{"message": {"type": "status-update", "status": "ended", "call": {"id": "call 1"}}}"#;
    let vapi = |scheme: serde_json::Value| json!({"name": "Calls", "provider": "vapi", "secrets": ["a-secret"], "scheme": scheme});
    let taken = async |sender: &Sender, headers: &[(&str, &str)], body: &str| {
        assert_eq!(post(&server, &sender.path, headers, body).await.expect(200)["received"], true);
        let wrong: Vec<_> = headers.iter().map(|(name, value)| (*name, value.replace("secret", "secreT"))).collect();
        let wrong: Vec<_> = wrong.iter().map(|(name, value)| (*name, value.as_str())).collect();
        if headers.iter().any(|(_, value)| value.contains("secret")) {
            post(&server, &sender.path, &wrong, body).await.refused(401, "signature_mismatch");
        }
        post(&server, &sender.path, &[], body).await.refused(401, "signature_missing");
        assert_eq!(events(&server, sender, &format!("source={}", sender.id)).await.len(), 1);
    };
    // Vapi's four ways.
    let one = sender(&server, &ada, vapi(json!({"mode": "shared_secret"}))).await;
    taken(&one, &[("x-vapi-secret", "a-secret")], call).await;
    let one = sender(&server, &ada, vapi(json!({"mode": "bearer"}))).await;
    taken(&one, &[("authorization", "Bearer a-secret")], call).await;
    let one = sender(&server, &ada, vapi(json!({"mode": "oauth2"}))).await;
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let ask = async |body: &str| post(&server, &format!("{}/token", one.path), &form, body).await;
    ask("grant_type=client_credentials&client_id=x&client_secret=none").await.refused(401, "invalid_client");
    ask("grant_type=password&client_secret=a-secret").await.refused(401, "invalid_client");
    let granted = ask("grant_type=client_credentials&client_id=x&client_secret=a-secret").await.expect(200);
    let token = format!("Bearer {}", text(&granted["access_token"]));
    taken(&one, &[("authorization", &token)], call).await;
    let forged = token.replacen("mst_1", "mst_2", 1);
    post(&server, &one.path, &[("authorization", &forged)], call).await.refused(401, "signature_mismatch");
    let one = sender(&server, &ada, vapi(json!({"mode": "hmac"}))).await;
    let moment = server.now().as_seconds().to_string();
    let key = hmac::Key::new(hmac::HMAC_SHA256, b"a-secret");
    let signature = mainstay_domain::hexadecimal(hmac::sign(&key, format!("{moment}.{call}").as_bytes()).as_ref());
    taken(&one, &[("x-signature", &signature), ("x-timestamp", &moment)], call).await;

    // Twilio signs the public address, not the one that the request came to.
    let one = sender(&server, &ada, json!({"name": "Texts", "provider": "twilio", "secrets": ["a-token"]})).await;
    let form = "MessageSid=SM1&MessageStatus=delivered";
    let url = format!("https://hooks.example.com{}", one.path);
    let signature = tag(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, "a-token", &[&url, "MessageSidSM1MessageStatusdelivered"]);
    let headers = [("content-type", "application/x-www-form-urlencoded"), ("x-twilio-signature", signature.as_str())];
    let answer = post(&server, &one.path, &headers, form).await;
    assert_eq!((answer.status, &answer.headers["content-type"]), (200, &"text/xml".parse().expect("a value")));
    assert!(answer.text.ends_with("<Response></Response>"), "{}", answer.text);
    post(&server, &format!("{}?x=1", one.path), &headers, form).await.refused(401, "signature_mismatch");

    // GitHub's way, as an example of any other.
    let scheme = json!({"mode": "hmac", "signature_header": "x-hub-signature-256", "prefix": "sha256="});
    let body = json!({"name": "Code", "provider": "generic", "secrets": ["a-secret"], "scheme": scheme});
    let one = sender(&server, &ada, body).await;
    let signature = mainstay_domain::hexadecimal(hmac::sign(&key, b"{\"type\":\"push\"}").as_ref());
    taken(&one, &[("x-hub-signature-256", &format!("sha256={signature}"))], r#"{"type":"push"}"#).await;

    // FastSpring: of the organisation, and of the installation with either of its secrets. A batch is one answer.
    let batch = r#"{"events": [{"id": "evt 1", "type": "order.completed"}, {"id": "evt 2", "type": "x"}, {"id": "evt 1", "type": "order.completed"}]}"#;
    let one = sender(&server, &ada, json!({"name": "Sales", "provider": "fastspring", "secrets": ["a-secret"]})).await;
    let signature = tag(hmac::HMAC_SHA256, "a-secret", &[batch]);
    assert_eq!(
        post(&server, &one.path, &[("x-fs-signature", &signature)], batch).await.expect(200)["duplicate"],
        false
    );
    assert_eq!(events(&server, &one, &format!("source={}", one.id)).await.len(), 2);
    post(&server, "/hooks/fastspring", &[("x-fs-signature", &signature)], batch)
        .await
        .refused(401, "signature_mismatch");
    for (secret, duplicate) in [("old", false), ("new", true)] {
        let signature = tag(hmac::HMAC_SHA256, secret, &[batch]);
        let told = post(&server, "/hooks/fastspring", &[("x-fs-signature", &signature)], batch).await.expect(200);
        assert_eq!(told, json!({"received": true, "duplicate": duplicate}));
    }
    let all = events(&server, &one, "").await;
    assert!(all.iter().all(|event| event["source_id"] != "00000000-0000-0000-0000-000000000000"), "{all:?}");
    let empty = tag(hmac::HMAC_SHA256, "new", &[r#"{"events": []}"#]);
    post(&server, "/hooks/fastspring", &[("x-fs-signature", &empty)], r#"{"events": []}"#).await.expect(200);
}

async fn addresses_that_are_nobodys_or_switched_off_take_nothing(engine: Engine) {
    let Some(server) = TestApp::start(engine, &[]).await else { return };
    let ada = server.person("ada").await;
    let sender = standard(&server, &ada).await;
    let key = sender.path.rsplit('/').next().expect("a key").to_owned();
    for path in [
        "/hooks/standard/00000000000000000000000000000000".to_owned(),
        "/hooks/standard/short".to_owned(),
        format!("/hooks/vapi/{key}"),
        format!("/hooks/nobody/{key}"),
        format!("/hooks/standard/{key}0"),
        "/hooks/fastspring".to_owned(),
    ] {
        for _ in 0..2 {
            post(&server, &path, &[], "{}").await.refused(404, "not_found");
        }
    }
    let path = format!("/v1/inbox-sources/{}", sender.id);
    let patch = async |body| server.send("PATCH", &path, Some(&sender.token), Some(body)).await.expect(200);
    send(&server, &sender, "msg_1", "{}").await.expect(200);
    assert!(patch(json!({"enabled": false})).await["disabled_at"].is_string());
    send(&server, &sender, "msg_2", "{}").await.refused(410, "webhook_disabled");
    assert!(patch(json!({"enabled": true})).await["disabled_at"].is_null());
    send(&server, &sender, "msg_2", "{}").await.expect(200);
    // Replacing a secret: for a while both are good.
    let rotated = patch(json!({"rotate": true})).await;
    assert_eq!(rotated["secrets"], 2);
    let new = text(&rotated["secret"]);
    send(&server, &sender, "msg_3", "{}").await.expect(200);
    assert_eq!(patch(json!({"secrets": [new]})).await["secret"], json!(null), "it is shown once");
    send(&server, &sender, "msg_4", "{}").await.refused(401, "signature_mismatch");
    patch(json!({"secrets": [SECRET]})).await;
    send(&server, &sender, "msg_4", "{}").await.expect(200);
    server.send("DELETE", &path, Some(&sender.token), None).await.expect(204);
    send(&server, &sender, "msg_5", "{}").await.refused(404, "not_found");
    assert_eq!(events(&server, &sender, "").await.len(), 4, "what it has sent stays");
}
