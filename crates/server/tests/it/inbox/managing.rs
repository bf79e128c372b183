//! Adding senders, and what is refused there.

use serde_json::{Value, json};

use super::{sender, text};
use crate::support::{Engine, TestApp, both};

both! {
    a_sender_is_added_with_secrets_that_are_shown_once_or_never,
    settings_that_cannot_work_are_refused_by_field,
}

async fn a_sender_is_added_with_secrets_that_are_shown_once_or_never(engine: Engine) {
    let Some(server) = TestApp::start(engine, &[("http.public_url", "\"https://hooks.example.com\"")]).await else {
        return;
    };
    let ada = server.person("ada").await;
    let token = Some(ada.access_token.as_str());
    let body = json!({"name": " Shop ", "provider": "standard"});
    let key = [("idempotency-key", "a sender")];
    let made = server.send_with("POST", "/v1/inbox-sources", token, Some(body.clone()), &key).await.expect(201);
    let secret = text(&made["secret"]);
    assert!(secret.starts_with("whsec_"), "{made}");
    assert!(text(&made["url"]).starts_with("https://hooks.example.com/hooks/standard/"), "{made}");
    assert_eq!((&made["name"], &made["secrets"]), (&json!("Shop"), &json!(1)));
    let again = server.send_with("POST", "/v1/inbox-sources", token, Some(body), &key).await.expect(201);
    assert_eq!((&again["id"], &again["secret"]), (&made["id"], &Value::Null));
    let given = json!({"name": "Calls", "provider": "vapi", "secrets": ["canary-secret"], "scheme": {"mode": "hmac", "algorithm": "sha512"}});
    let given = server.send("POST", "/v1/inbox-sources", token, Some(given)).await.expect(201);
    assert_eq!(given["secret"], Value::Null, "what was brought is not shown");
    let list = server.send("GET", "/v1/inbox-sources", token, None).await;
    assert!(!list.text.contains("canary-secret") && !list.text.contains(&secret), "{}", list.text);
    assert_eq!(list.json()["data"].as_array().map(Vec::len), Some(2));
    assert_eq!(list.json()["data"][1]["scheme"], json!({"mode": "hmac", "algorithm": "sha512"}));

    // A member is no administrator, and another organisation sees nothing.
    let bob = server.person("bob").await;
    let path = format!("/v1/inbox-sources/{}", text(&made["id"]));
    server.send("GET", &path, Some(&bob.access_token), None).await.refused(404, "not_found");
    server
        .send("PATCH", &path, Some(&bob.access_token), Some(json!({"enabled": false})))
        .await
        .refused(404, "not_found");
    server.send("DELETE", &path, Some(&bob.access_token), None).await.refused(404, "not_found");
    let renamed = server.send("PATCH", &path, token, Some(json!({"name": "Store"}))).await.expect(200);
    assert_eq!((&renamed["name"], &renamed["secret"]), (&json!("Store"), &Value::Null));
    let others = sender(&server, &bob, json!({"name": "Shop", "provider": "generic"})).await;
    assert!(others.path.starts_with("/hooks/generic/"));
}

async fn settings_that_cannot_work_are_refused_by_field(engine: Engine) {
    let Some(server) = TestApp::start(engine, &[]).await else { return };
    let ada = server.person("ada").await;
    let token = Some(ada.access_token.as_str());
    let hmac = |fields: Value| {
        let mut scheme = json!({"mode": "hmac"});
        scheme.as_object_mut().expect("an object").extend(fields.as_object().expect("an object").clone());
        json!({"name": "x", "provider": "generic", "scheme": scheme})
    };
    for (body, field, code) in [
        (json!({"name": "", "provider": "vapi"}), "name", "invalid_name"),
        (json!({"name": "x", "provider": "stripe"}), "provider", "unknown_word"),
        (
            json!({"name": "x", "provider": "vapi", "scheme": {"mode": "twilio"}, "secrets": ["x"]}),
            "scheme.mode",
            "wrong_mode",
        ),
        (json!({"name": "x", "provider": "twilio"}), "secrets", "wrong_number"),
        (json!({"name": "x", "provider": "vapi", "secrets": vec!["x"; 11]}), "secrets", "wrong_number"),
        (json!({"name": "x", "provider": "standard", "secrets": ["whsec_x"]}), "secrets", "secret_not_base64"),
        (hmac(json!({"format": "{timestamp}"})), "scheme.format", "format_without_body"),
        (hmac(json!({"signature_header": "no header"})), "scheme.signature_header", "invalid_header"),
        (hmac(json!({"tolerance_seconds": 0})), "scheme.tolerance_seconds", "out_of_range"),
    ] {
        let refused = server.send("POST", "/v1/inbox-sources", token, Some(body)).await.refused(400, "invalid_input");
        let faults = refused["fields"].as_array().expect("fields");
        assert!(faults.iter().any(|fault| fault["field"] == field && fault["code"] == code), "{field}: {refused}");
    }
    for body in [hmac(json!({"unknown": 1})), json!({"name": "x", "provider": "vapi", "scheme": {"mode": "none"}})] {
        server.send("POST", "/v1/inbox-sources", token, Some(body)).await.refused(400, "invalid_input");
    }
    for query in ["state=nothing", "source=x", "other=1"] {
        server.send("GET", &format!("/v1/inbox?{query}"), token, None).await.refused(400, "invalid_input");
    }
    assert_eq!(server.send("GET", "/v1/inbox-sources", token, None).await.expect(200)["data"], json!([]));
}
