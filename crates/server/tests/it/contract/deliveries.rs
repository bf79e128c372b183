//! The operations of deliveries.

use serde_json::{Value, json};

use super::{Driver, text};
use crate::support::TestApp;

/// An endpoint that nobody can reach.
pub(super) fn endpoint(name: &str) -> Value {
    json!({"url": format!("https://hooks.example/{name}")})
}

pub(super) fn event(name: &str) -> Value {
    json!({"type": "invoice.paid", "data": {"name": name}})
}

/// One more of each list.
pub(super) async fn make(server: &TestApp, token: Option<&str>, number: usize) {
    // The first event goes to one endpoint, the fifth to five; what else becomes of things goes to none.
    let mut wish = endpoint(&number.to_string());
    wish["event_types"] = json!(["invoice.paid"]);
    server.send("POST", "/v1/webhook-endpoints", token, Some(wish)).await.expect(201);
    server.send("POST", "/v1/webhook-events", token, Some(event("one"))).await.expect(201);
}

/// What an administrator does.
pub(super) async fn drive(driver: &mut Driver<'_>, token: Option<&str>) {
    let key = [("idempotency-key", "an endpoint")];
    let made = driver.call("POST /v1/webhook-endpoints", None, token, Some(endpoint("one")), &key).await.expect(201);
    driver.call("POST /v1/webhook-endpoints", None, token, Some(endpoint("one")), &key).await.expect(201);
    let id = text(&made["id"]);
    let id = Some(id.as_str());
    driver.good(200, "GET /v1/webhook-endpoints", None, token, None).await;
    driver.good(200, "GET /v1/webhook-endpoints/{id}", id, token, None).await;
    driver.good(200, "POST /v1/webhook-endpoints/{id}/secret/rotate", id, token, None).await;
    driver.good(202, "POST /v1/webhook-endpoints/{id}/test", id, token, None).await;
    let since = json!({"since": "2020-01-01T00:00:00Z"});
    driver.good(202, "POST /v1/webhook-endpoints/{id}/replays", id, token, Some(since)).await;
    let key = [("idempotency-key", "an event")];
    for _ in 0..2 {
        driver.call("POST /v1/webhook-events", None, token, Some(event("one")), &key).await.expect(201);
    }
    driver.good(200, "GET /v1/webhook-event-types", None, token, None).await;
    let list = driver.good(200, "GET /v1/webhook-deliveries", None, token, None).await;
    let delivery = text(&list["data"][0]["id"]);
    driver.good(200, "GET /v1/webhook-deliveries/{id}", Some(&delivery), token, None).await;
    driver.good(200, "GET /v1/webhook-deliveries/counts", None, token, None).await;
    driver.good(202, "POST /v1/webhook-deliveries/{id}/replay", Some(&delivery), token, None).await;
    // Nobody can reach the endpoint: it waits for its second attempt, or for its first.
    driver.good(204, "POST /v1/webhook-deliveries/{id}/cancel", Some(&delivery), token, None).await;
    driver.good(200, "PATCH /v1/webhook-endpoints/{id}", id, token, Some(json!({"enabled": false}))).await;
    driver.good(204, "DELETE /v1/webhook-endpoints/{id}", id, token, None).await;
}
