//! Those who wait for an answer.

use serde_json::json;

use super::{events, post, sender, settled};
use crate::support::{Engine, TestApp, both};

both! {
    whoever_waits_for_an_answer_gets_one_each_time,
}

async fn whoever_waits_for_an_answer_gets_one_each_time(engine: Engine) {
    let Some(server) = TestApp::start(engine, &[]).await else { return };
    let ada = server.person("ada").await;
    let sender = sender(&server, &ada, json!({"name": "Calls", "provider": "vapi", "secrets": ["a-secret"]})).await;
    let say = async |message: serde_json::Value| {
        let body = json!({ "message": message }).to_string();
        post(&server, &sender.path, &[("x-vapi-secret", "a-secret")], &body).await.expect(200)
    };
    let call = json!({"id": "call 1"});
    let tools = json!({"type": "tool-calls", "call": call, "toolCallList": [
        {"id": "call_A", "type": "function", "function": {"name": "book", "arguments": {}}},
        {"id": "call_B", "name": "cancel"},
    ]});
    let first = say(tools.clone()).await;
    let results = first["results"].as_array().expect("results");
    let ids: Vec<_> = results.iter().map(|one| (one["toolCallId"].clone(), one["name"].clone())).collect();
    assert_eq!(ids, [(json!("call_A"), json!("book")), (json!("call_B"), json!("cancel"))]);
    assert!(results.iter().all(|one| one["error"].as_str().is_some_and(|error| !error.contains('\n'))), "{first}");
    assert_eq!(say(tools).await, first, "who asks again is answered again");
    let request = say(json!({"type": "assistant-request", "call": call})).await;
    assert!(request["error"].is_string(), "{request}");
    // What needs no answer gets none.
    let status = say(json!({"type": "status-update", "status": "ended", "call": call})).await;
    assert_eq!(status, json!({"received": true, "duplicate": false}));
    let unknown = say(json!({"type": "something.new", "call": call, "timestamp": 1_764_300_000_000_i64})).await;
    assert_eq!(unknown["received"], true, "kinds that nobody knows are kept");
    settled(&server, &sender).await;
    let mut kinds: Vec<_> = events(&server, &sender, "state=processed").await;
    kinds.sort_by_key(|event| event["kind"].to_string());
    let kinds: Vec<_> = kinds.iter().map(|event| event["kind"].as_str().expect("a kind")).collect();
    assert_eq!(
        kinds,
        ["assistant-request", "something.new", "status-update", "tool-calls"],
        "all of it was stored, once"
    );
}
