//! The operations of the assistant: conversations, images, sync, live and voice.

use serde_json::json;

use super::{Driver, text};
use crate::support::UPGRADE;

/// What a member does: conversations, messages, replies.
pub(super) async fn drive(driver: &mut Driver<'_>, token: Option<&str>) {
    let title = json!({"title": "A title"});
    let key = [("idempotency-key", "a conversation")];
    let made = driver.call("POST /v1/conversations", None, token, Some(title.clone()), &key).await.expect(201);
    driver.call("POST /v1/conversations", None, token, Some(title.clone()), &key).await.expect(201);
    let id = text(&made["id"]);
    driver.good(200, "GET /v1/conversations", None, token, None).await;
    driver.good(200, "GET /v1/conversations/{id}", Some(&id), token, None).await;
    driver.good(200, "PATCH /v1/conversations/{id}", Some(&id), token, Some(title)).await;
    let hello = json!({"content": "Hello"});
    let into = "POST /v1/conversations/{id}/messages";
    driver.good(201, into, Some(&id), token, Some(hello.clone())).await;
    let key = [("idempotency-key", "a message")];
    for _ in 0..2 {
        driver.call(into, Some(&id), token, Some(hello.clone()), &key).await.expect(201);
    }
    driver.good(200, "GET /v1/conversations/{id}/messages", Some(&id), token, None).await;
    let sent = driver.good(201, "POST /v1/messages", None, token, Some(hello.clone())).await;
    let key = [("idempotency-key", "another message")];
    for _ in 0..2 {
        driver.call("POST /v1/messages", None, token, Some(hello.clone()), &key).await.expect(201);
    }
    let events = [("accept", "text/event-stream")];
    for (operation, id) in [("POST /v1/messages", None), (into, Some(id.as_str()))] {
        let streamed = driver.call(operation, id, token, Some(hello.clone()), &events).await;
        assert_eq!((streamed.status, &streamed.headers["content-type"]), (200, &"text/event-stream".parse().unwrap()));
        assert!(streamed.text.contains("event: done"), "{}", streamed.text);
    }
    drive_images(driver, token).await;
    let reply = text(&sent["generation_id"]);
    driver.good(200, "GET /v1/generations/{id}", Some(&reply), token, None).await;
    driver.good(200, "POST /v1/generations/{id}/stop", Some(&reply), token, None).await;
    let events = driver.call("GET /v1/generations/{id}/events", Some(&reply), token, None, &[]).await;
    assert_eq!(events.status, 200);
    driver.good(204, "DELETE /v1/conversations/{id}", Some(&id), token, None).await;
}

/// An image, uploaded, sent and shown.
async fn drive_images(driver: &mut Driver<'_>, token: Option<&str>) {
    let uploaded = driver.server.upload("/v1/images", token, "image/png", crate::images::png(3, 2)).await;
    driver.seen.entry(("POST".to_owned(), "/v1/images".to_owned())).or_default().insert(uploaded.status);
    let id = text(&uploaded.expect(201)["id"]);
    let body = json!({"content": "Hello", "images": [id]});
    driver.good(201, "POST /v1/messages", None, token, Some(body)).await;
    driver.good(200, "GET /v1/images/{id}", Some(&id), token, None).await;
}

/// What a client that follows does.
pub(super) async fn drive_sync(driver: &mut Driver<'_>, token: Option<&str>) {
    driver.good(200, "GET /v1/sync", None, token, None).await;
    let id = "01a1ff20-0000-7000-8000-000000000001";
    let send = json!({"kind": "message.send", "id": id, "conversation_id": id, "content": "Hello", "new": true});
    let body = json!({"client_id": id, "mutations": [send]});
    driver.good(200, "POST /v1/sync", None, token, Some(body)).await;
    driver.good(200, "GET /v1/sync", None, token, None).await;
    driver.good(201, "POST /v1/live/tickets", None, token, None).await;
    let opened = driver.call("GET /v1/live", None, token, None, &UPGRADE).await;
    assert_eq!(opened.status, 101, "{}", opened.text);
    let opened = driver.call("GET /v1/voice", None, token, None, &UPGRADE).await;
    assert_eq!(opened.status, 101, "{}", opened.text);
    driver.good(200, "GET /v1/voice/sessions", None, token, None).await;
}
