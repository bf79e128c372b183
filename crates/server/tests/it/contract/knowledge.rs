//! The operations of what an organisation knows.

use serde_json::{Value, json};

use super::{Driver, text};

/// A document that says hello.
pub(super) fn document(name: &str) -> Value {
    json!({"title": name, "content": format!("Hello from {name}."), "language": "english"})
}

/// What an administrator does. One document stays, so that the assistant finds something.
pub(super) async fn drive(driver: &mut Driver<'_>, token: Option<&str>) {
    driver.good(201, "POST /v1/documents", None, token, Some(document("one that stays"))).await;
    let key = [("idempotency-key", "a document")];
    let made = driver.call("POST /v1/documents", None, token, Some(document("one")), &key).await.expect(201);
    driver.call("POST /v1/documents", None, token, Some(document("one")), &key).await.expect(201);
    let id = text(&made["id"]);
    let id = Some(id.as_str());
    driver.good(200, "GET /v1/documents", None, token, None).await;
    driver.good(200, "GET /v1/documents/{id}", id, token, None).await;
    let found = driver.server.send("GET", "/v1/documents/search?q=hello", token, None).await.expect(200);
    assert!(found["answer"]["text"].is_string(), "{found}");
    driver.good(200, "GET /v1/documents/search", None, token, None).await;
    driver.good(200, "PATCH /v1/documents/{id}", id, token, Some(json!({"title": "another"}))).await;
    driver.good(204, "DELETE /v1/documents/{id}", id, token, None).await;
}
