//! Repeats of a message with the same `Idempotency-Key`.

use serde_json::json;

use super::{Stage, TEXT, id};
use crate::support::events::text;
use crate::support::fake_provider::{Behaviour, Gate, pieces};
use crate::support::{Engine, both};

both! { a_repeat_rejoins_the_reply_and_then_reads_it, repeats_at_the_same_moment_make_one_reply }

const KEY: &[(&str, &str)] = &[("idempotency-key", "key-1")];

async fn a_repeat_rejoins_the_reply_and_then_reads_it(engine: Engine) {
    // There is room for one: a repeat must not need more.
    let Some(stage) = Stage::set(engine, &[("assistant.max_generations_per_person", "1")]).await else { return };
    let gate = Gate::new();
    stage.provider.push(Behaviour::Gated(pieces(TEXT), gate.clone()));
    let body = json!({"content": "Hello"});
    let mut first = stage.stream(body.clone(), KEY).await;
    let start = first.next().await.expect("an event");
    gate.release(2);
    first.text_of(5).await;
    drop(first);
    let mut again = stage.stream(body.clone(), KEY).await;
    let restart = again.next().await.expect("an event");
    for part in ["conversation_id", "generation_id", "message"] {
        assert_eq!(restart.data[part], start.data[part], "{part}");
    }
    assert_eq!(again.text_of(10).await, "Olá mundo ", "from the beginning");
    let other = json!({"content": "Another"});
    stage.say_with(other, KEY).await.refused(422, "idempotency_key_reused");
    stage.say(body.clone()).await.refused(429, "too_many_replies");
    let waiting = stage.say_with(body.clone(), KEY);
    let (waited, events) = tokio::join!(waiting, async {
        gate.release(10);
        again.rest().await
    });
    let waited = waited.expect(201);
    assert_eq!((&waited["generation_id"], &waited["reply"]["content"]), (&start.data["generation_id"], &json!(TEXT)));
    assert_eq!(text(&events), "€ 🦀");
    let read = stage.say_with(body.clone(), KEY).await.expect(201);
    assert_eq!(read, waited, "after the end it is read");
    let events = stage.stream(body, KEY).await.rest().await;
    assert_eq!((text(&events).as_str(), &*events[events.len() - 1].event), (TEXT, "done"));
    assert_eq!(stage.provider.counts().requests, 1, "it was asked for once");
    let eve = stage.server.person("eve").await;
    let body = Some(json!({"content": "Hello"}));
    let hers = stage.server.send_with("POST", "/v1/messages", Some(&eve.access_token), body, KEY).await.expect(201);
    assert_ne!(hers["generation_id"], start.data["generation_id"], "a key is its owner's");
}

async fn repeats_at_the_same_moment_make_one_reply(engine: Engine) {
    let Some(stage) = Stage::set(engine, &[]).await else { return };
    let sends = (0..6).map(|_| stage.say_with(json!({"content": "Hello"}), KEY));
    let answers = futures_util::future::join_all(sends).await;
    let replies: Vec<_> = answers.into_iter().map(|answer| id(&answer.expect(201)["generation_id"])).collect();
    assert!(replies.iter().all(|reply| *reply == replies[0]), "{replies:?}");
    assert_eq!(stage.provider.counts().requests, 1);
    assert_eq!(stage.get("/v1/conversations").await.expect(200)["data"].as_array().map(Vec::len), Some(1));
}
