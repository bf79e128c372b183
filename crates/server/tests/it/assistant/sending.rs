//! Messages and their replies, waited for and streamed.

use serde_json::{Value, json};

use super::{Stage, TEXT, id};
use crate::support::events::text;
use crate::support::fake_provider::{Behaviour, pieces};
use crate::support::{Engine, both};

both! {
    a_request_waits_for_the_reply,
    a_reply_comes_as_events,
    a_client_that_goes_away_leaves_the_reply_to_be_finished,
    the_history_is_sent_with_a_message,
    the_history_has_a_budget,
    html_is_safe,
}

async fn a_request_waits_for_the_reply(engine: Engine) {
    let Some(stage) = Stage::set(engine, &[]).await else { return };
    stage.provider.push(Behaviour::Answer(pieces(TEXT)));
    let sent = stage.say(json!({"content": "# How *are* you?\n\nTell me."})).await.expect(201);
    assert_eq!((&sent["message"]["role"], &sent["message"]["status"]), (&json!("user"), &json!("final")));
    let reply = &sent["reply"];
    assert_eq!(
        (&reply["role"], &reply["status"], &reply["content"]),
        (&json!("assistant"), &json!("final"), &json!(TEXT))
    );
    assert_eq!(reply["usage"], json!({"input_tokens": 16, "output_tokens": 42}));
    assert_eq!((&reply["provider"], &reply["error"]), (&json!("anthropic"), &Value::Null));
    assert_eq!(reply["id"], sent["generation_id"]);
    let read = stage.get(&format!("/v1/generations/{}", id(&sent["generation_id"]))).await.expect(200);
    assert_eq!((&read["reply"], &read["message"]), (reply, &sent["message"]), "what is stored is what was answered");
    let path = format!("/v1/conversations/{}", id(&sent["conversation_id"]));
    assert_eq!(stage.get(&path).await.expect(200)["title"], "How *are* you?", "the title comes from the first message");
    let messages = stage.get(&format!("{path}/messages")).await.expect(200);
    assert_eq!(messages, json!({"data": [reply, sent["message"]], "next": null}));
    let eve = stage.server.person("eve").await;
    for path in [path.clone(), format!("{path}/messages"), format!("/v1/generations/{}", id(&sent["generation_id"]))] {
        stage.server.send("GET", &path, Some(&eve.access_token), None).await.refused(404, "not_found");
    }
    let into = format!("{path}/messages");
    let body = Some(json!({"content": "Let me in"}));
    stage.server.send("POST", &into, Some(&eve.access_token), body).await.refused(404, "not_found");
    stage.say(json!({"content": " \n"})).await.refused(400, "invalid_input");
    assert_eq!(stage.provider.counts().requests, 1, "what is refused costs nothing");
    assert_eq!(stage.server.app.assistant.live_count(), 0);
}

async fn a_reply_comes_as_events(engine: Engine) {
    let Some(stage) = Stage::set(engine, &[]).await else { return };
    stage.provider.push(Behaviour::Answer(pieces(TEXT)));
    let events = stage.stream(json!({"content": "Hello"}), &[]).await.rest().await;
    let (start, done) = (&events[0], &events[events.len() - 1]);
    assert_eq!((start.event.as_str(), start.id), ("start", Some(0)));
    assert_eq!(start.data["message"]["content"], "Hello");
    assert_eq!(start.data["reply"]["status"], "streaming");
    assert_eq!(start.data["reply"]["id"], start.data["generation_id"]);
    let mut bytes = 0;
    for token in &events[1..events.len() - 1] {
        assert_eq!(token.event, "token");
        bytes += token.text().len() as u64;
        assert_eq!(token.id, Some(bytes), "the id is the place in the text");
    }
    assert_eq!(text(&events), TEXT);
    assert_eq!((done.event.as_str(), done.id), ("done", None));
    assert_eq!(done.data["usage"], json!({"input_tokens": 16, "output_tokens": 42}));
    assert_eq!(done.data["reply"]["html"], format!("<p>{TEXT}</p>\n"));
    let mut stored = stage.reply(&id(&start.data["generation_id"])).await;
    assert_eq!(stored["content"], TEXT);
    stored["html"] = done.data["reply"]["html"].clone();
    assert_eq!(done.data["reply"], stored);
}

async fn a_client_that_goes_away_leaves_the_reply_to_be_finished(engine: Engine) {
    let Some(stage) = Stage::set(engine, &[]).await else { return };
    let mut gated = stage.gated().await;
    gated.gate.release(1);
    assert_eq!(gated.events.text_of(1).await, "Olá ");
    let super::Gated { gate, events, generation, .. } = gated;
    drop(events);
    // The same for one that waits without streaming, and goes before anything has come.
    stage.provider.push(Behaviour::Gated(pieces(TEXT), gate.clone()));
    tokio::select! {
        _ = stage.say(json!({"content": "Are you there?"})) => panic!("an answer to a closed gate"),
        _ = stage.provider.until(|counts| counts.requests == 2) => {}
    }
    gate.release(20);
    let events = stage.follow(&generation, None).await.rest().await;
    assert_eq!((text(&events).as_str(), &*events[events.len() - 1].event), (TEXT, "done"));
    let newest = id(&stage.get("/v1/conversations").await.expect(200)["data"][0]["id"]);
    let messages = stage.get(&format!("/v1/conversations/{newest}/messages")).await.expect(200);
    let waited = id(&messages["data"][0]["id"]);
    stage.follow(&waited, None).await.rest().await;
    for generation in [generation, waited] {
        let reply = stage.reply(&generation).await;
        assert_eq!((&reply["status"], &reply["content"]), (&json!("final"), &json!(TEXT)));
    }
    assert_eq!(stage.provider.counts().hangups, 0);
}

fn text_of(value: &Value) -> &str {
    value.as_str().expect("a text")
}

/// What the provider was sent, as (role, content).
fn turns(body: &Value) -> Vec<(&str, &str)> {
    let messages = body["messages"].as_array().expect("messages");
    messages.iter().map(|message| (text_of(&message["role"]), text_of(&message["content"]))).collect()
}

async fn the_history_is_sent_with_a_message(engine: Engine) {
    let Some(stage) = Stage::set(engine, &[("assistant.system_prompt", r#""Be brief.""#)]).await else { return };
    stage.provider.push(Behaviour::words("First answer."));
    stage.provider.push(Behaviour::status(400, "invalid_request_error"));
    stage.provider.push(Behaviour::words("Third answer."));
    let first = stage.say(json!({"content": "First question"})).await.expect(201);
    let conversation = id(&first["conversation_id"]);
    let failed = stage.say(json!({"content": "Second question", "conversation_id": conversation})).await.expect(201);
    assert_eq!(failed["reply"]["status"], "failed");
    let into = format!("/v1/conversations/{conversation}/messages");
    let body = Some(json!({"content": "Third question"}));
    let third = stage.server.send("POST", &into, Some(&stage.ada.access_token), body).await.expect(201);
    assert_eq!(
        (&third["conversation_id"], &third["reply"]["content"]),
        (&json!(conversation), &json!("Third answer."))
    );
    let received = stage.provider.received();
    assert_eq!(received[0].body["system"], "Be brief.");
    assert_eq!(turns(&received[0].body), [("user", "First question")]);
    assert_eq!(
        turns(&received[2].body),
        [("user", "First question"), ("assistant", "First answer."), ("user", "Second question\n\nThird question")],
        "in order, without the reply that failed"
    );
}

async fn the_history_has_a_budget(engine: Engine) {
    // Tokens are counted as a quarter of the bytes, rounded up.
    let Some(stage) = Stage::set(engine, &[("assistant.history_tokens", "12")]).await else { return };
    for answer in ["answer number 1", "answer number 2", "answer number 3"] {
        stage.provider.push(Behaviour::words(answer));
    }
    let first = stage.say(json!({"content": "a question of 5 tok."})).await.expect(201);
    for question in ["second q", "third qu"] {
        stage.say(json!({"content": question, "conversation_id": first["conversation_id"]})).await.expect(201);
    }
    // 2 for the question, then 4, 2 and 4, which is all: the first question is too much, and no talk begins with an answer.
    let received = stage.provider.received();
    assert_eq!(
        turns(&received[2].body),
        [("user", "second q"), ("assistant", "answer number 2"), ("user", "third qu")]
    );
    assert_eq!(turns(&received[1].body).len(), 3, "11 of 12 tokens");
}

async fn html_is_safe(engine: Engine) {
    let Some(stage) = Stage::set(engine, &[]).await else { return };
    let evil = "Look: **bold** <script>alert(1)</script> <img src=x onerror=alert(2)> [x](javascript:alert(3))";
    stage.provider.push(Behaviour::words(evil));
    let sent = stage.say(json!({"content": "<b>mine</b>"})).await.expect(201);
    let path = format!("/v1/conversations/{}/messages", id(&sent["conversation_id"]));
    let messages = stage.get(&format!("{path}?html=true")).await.expect(200);
    let html = messages["data"][0]["html"].as_str().expect("html");
    assert!(html.contains("<strong>bold</strong>"), "{html}");
    for bad in ["<script", "<img", "href=\"javascript"] {
        assert!(!html.contains(bad), "{bad} in {html}");
    }
    assert_eq!(messages["data"][0]["content"], evil, "the text itself stays as it was said");
    assert_eq!(messages["data"][1]["html"], Value::Null, "a question is no Markdown of ours");
    let plain = stage.get(&path).await.expect(200);
    assert_eq!(plain["data"][0]["html"], Value::Null);
}
