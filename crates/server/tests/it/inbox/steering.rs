//! Seeing how events fare, and cancelling one that waits.

use std::time::Duration;

use mainstay_store::{Call, ForgetJobs};
use serde_json::{Value, json};

use super::{PATIENCE, events, pause, send, sender, settled, standard, text};
use crate::subscriptions::signed_batch;
use crate::support::{Engine, TestApp, both};

both! {
    events_are_counted_by_sender_and_state,
    an_event_that_waits_is_cancelled_and_can_be_begun_anew,
}

/// An event that is about something with this name; one whose name is none has a job, which fails.
fn order(name: Value) -> String {
    json!({"type": "order.paid", "data": {"id": name}}).to_string()
}

async fn events_are_counted_by_sender_and_state(engine: Engine) {
    let Some(server) = TestApp::start(engine, &[]).await else { return };
    let (ada, bob) = (server.person("ada").await, server.person("bob").await);
    let counts = async |token: &str| server.send("GET", "/v1/inbox/counts", Some(token), None).await.expect(200);
    let nothing = json!({"pending": 0, "processed": 0, "dead": 0, "cancelled": 0, "more": false, "senders": []});
    assert_eq!(counts(&ada.access_token).await, nothing);
    let (shop, desk) = (standard(&server, &ada).await, standard(&server, &ada).await);
    for (number, name) in [json!("a"), json!("b"), json!({})].into_iter().enumerate() {
        send(&server, &shop, &format!("msg_{number}"), &order(name)).await.expect(200);
    }
    settled(&server, &shop).await;
    pause(&server, true).await;
    send(&server, &desk, "msg_0", &order(json!({}))).await.expect(200);
    let counted = counts(&ada.access_token).await;
    let of = |value: &Value| ["pending", "processed", "dead", "cancelled"].map(|state| value[state].as_u64());
    assert_eq!(of(&counted), [Some(1), Some(2), Some(1), Some(0)], "{counted}");
    let by = |id: &str| counted["senders"].as_array().expect("senders").iter().find(|one| one["source_id"] == id);
    assert_eq!(by(&shop.id).map(of), Some([Some(0), Some(2), Some(1), Some(0)]), "{counted}");
    assert_eq!(by(&desk.id).map(of), Some([Some(1), Some(0), Some(0), Some(0)]), "{counted}");
    let newest = events(&server, &shop, &format!("source={}", shop.id)).await[0]["received_at"].clone();
    assert_eq!(by(&shop.id).map(|one| &one["newest_at"]), Some(&newest));
    assert_eq!(counts(&bob.access_token).await, nothing, "nobody else hears of it");
}

async fn an_event_that_waits_is_cancelled_and_can_be_begun_anew(engine: Engine) {
    // Jobs that are done are forgotten at once; one that was cancelled must not be.
    let Some(server) = TestApp::start(engine, &[("jobs.keep_done_hours", "0")]).await else { return };
    let (ada, bob) = (server.person("ada").await, server.person("bob").await);
    let shop = sender(&server, &ada, json!({"name": "Shop", "provider": "fastspring", "secrets": ["mine"]})).await;
    pause(&server, true).await;
    let event = json!({"id": "evt 1", "type": "order.completed", "created": 1_764_300_000_000_i64, "data": {}});
    signed_batch(&server, &shop.path, "mine", vec![event]).await.expect(200);
    let path = format!("/v1/inbox/{}", text(&events(&server, &shop, "").await[0]["id"]));
    let steer = async |verb: &str, token: &str| server.send("POST", &format!("{path}/{verb}"), Some(token), None).await;
    steer("cancel", &bob.access_token).await.refused(404, "not_found");
    assert_eq!(steer("cancel", &shop.token).await.expect(200), json!({"cancelled": true}));
    pause(&server, false).await;
    let refused = steer("cancel", &shop.token).await.refused(409, "ended");
    assert!(text(&refused["detail"]).contains("this one is cancelled"), "{refused}");
    let whole = server.send("GET", &path, Some(&shop.token), None).await.expect(200);
    assert_eq!((&whole["state"], &whole["job"]["state"]), (&json!("cancelled"), &json!("cancelled")));
    assert_eq!((&whole["job"]["started_at"], &whole["job"]["attempts"]), (&Value::Null, &json!([])));
    // It is kept for as long as the event is, so that it never looks as if it had been processed.
    let later = server.now().plus(Duration::from_secs(29 * 86_400));
    server.app.store.run(&Call::within(PATIENCE), ForgetJobs { now: later }).await.expect("swept");
    assert_eq!(events(&server, &shop, "state=cancelled").await.len(), 1);
    assert_eq!(steer("replay", &shop.token).await.expect(200)["replayed"], 1);
    settled(&server, &shop).await;
    assert_eq!(events(&server, &shop, "state=processed").await.len(), 1);
    steer("cancel", &shop.token).await.refused(409, "ended");
}
