//! The operations of the inbox.

use serde_json::json;

use super::{Driver, text};
use crate::inbox::{sender, tag};
use crate::support::{Person, TestApp};

/// FastSpring's own address is there.
pub(super) const FASTSPRING: (&str, &str) = ("billing.fastspring.webhook_secrets", "\"a-secret\"");

/// A sender, and an event of it.
pub(super) async fn arrive(server: &TestApp, ada: &Person, number: usize) {
    let body = json!({"name": format!("Sender {number}"), "provider": "vapi", "secrets": ["a-secret"]});
    let sender = sender(server, ada, body).await;
    let event = Some(json!({"message": {"type": "hang"}}));
    server.send_with("POST", &sender.path, None, event, &[("x-vapi-secret", "a-secret")]).await.expect(200);
}

/// What an administrator does, and whoever sends.
pub(super) async fn drive(driver: &mut Driver<'_>, ada: &Person) {
    let token = Some(ada.access_token.as_str());
    let key = [("idempotency-key", "a sender")];
    let body = json!({"name": "Calls", "provider": "vapi", "secrets": ["a-secret"], "scheme": {"mode": "oauth2"}});
    let made = driver.call("POST /v1/inbox-sources", None, token, Some(body.clone()), &key).await.expect(201);
    driver.call("POST /v1/inbox-sources", None, token, Some(body), &key).await.expect(201);
    let id = text(&made["id"]);
    driver.good(200, "GET /v1/inbox-sources", None, token, None).await;
    driver.good(200, "GET /v1/inbox-sources/{id}", Some(&id), token, None).await;

    let url = text(&made["url"]);
    let place = &url[url.find("/hooks/").expect("a hook") + "/hooks/".len()..];
    let form = "grant_type=client_credentials&client_secret=a-secret";
    let path = format!("{}/hooks/{place}/token", driver.server.address);
    let asked = driver.server.client.post(path).header("content-type", "application/x-www-form-urlencoded");
    let granted = asked.body(form).send().await.expect("an answer").text().await.expect("a body");
    let granted: serde_json::Value = serde_json::from_str(&granted).expect("JSON");
    driver.seen.entry(("POST".to_owned(), "/hooks/{provider}/{key}/token".to_owned())).or_default().insert(200);
    driver.good(200, "PATCH /v1/inbox-sources/{id}", Some(&id), token, Some(json!({"rotate": true}))).await;

    let bearer = format!("Bearer {}", text(&granted["access_token"]));
    let event = json!({"message": {"type": "hang", "call": {"id": "call"}, "timestamp": 1}});
    for _ in 0..2 {
        let headers = [("authorization", bearer.as_str())];
        let hook = "POST /hooks/{provider}/{key}";
        driver.call(hook, Some(place), None, Some(event.clone()), &headers).await.expect(200);
    }
    let batch =
        json!({"events": [{"id": "evt 1", "type": "order.completed"}, {"id": "evt 2", "type": "order.failed"}]});
    for _ in 0..2 {
        let signature = tag(ring::hmac::HMAC_SHA256, "a-secret", &[&batch.to_string()]);
        let headers = [("x-fs-signature", signature.as_str())];
        driver.call("POST /hooks/fastspring", None, None, Some(batch.clone()), &headers).await.expect(200);
    }
    let list = driver.good(200, "GET /v1/inbox", None, token, None).await;
    let event = text(&list["data"][0]["id"]);
    driver.good(200, "GET /v1/inbox/{id}", Some(&event), token, None).await;
    let sender = crate::inbox::Sender {
        id: id.clone(),
        path: String::new(),
        token: ada.access_token.clone(),
        tenant: ada.organisation.parse().expect("an id"),
    };
    crate::inbox::settled(driver.server, &sender).await;
    // While its queue is paused it stays pending.
    crate::inbox::pause(driver.server, true).await;
    driver.good(200, "POST /v1/inbox/{id}/replay", Some(&event), token, None).await;
    driver.good(200, "GET /v1/inbox/counts", None, token, None).await;
    driver.good(200, "POST /v1/inbox/{id}/cancel", Some(&event), token, None).await;
    crate::inbox::pause(driver.server, false).await;
    driver.good(200, "POST /v1/inbox/{id}/replay", Some(&event), token, None).await;
    crate::inbox::settled(driver.server, &sender).await;
    driver.good(200, "POST /v1/inbox/replays", None, token, Some(json!({"filter": {}}))).await;
    driver.good(204, "DELETE /v1/inbox-sources/{id}", Some(&id), token, None).await;
}
