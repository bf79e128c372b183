//! How many replies may be in the making, and that none stays behind.

use std::time::Duration;

use futures_util::StreamExt;
use serde_json::json;

use super::{PATIENCE, Stage, eventually, id};
use crate::support::fake_provider::Behaviour;
use crate::support::{Engine, both};

both! { one_person_has_so_many, one_node_has_so_many, nothing_stays_behind }

async fn one_person_has_so_many(engine: Engine) {
    let Some(stage) = Stage::set(engine, &[("assistant.max_generations_per_person", "2")]).await else { return };
    let (first, second) = (stage.gated().await, stage.gated().await);
    let refused = stage.say(json!({"content": "Hello"})).await;
    assert_eq!(refused.headers["retry-after"], "2");
    refused.refused(429, "too_many_replies");
    let eve = stage.server.person("eve").await;
    let body = Some(json!({"content": "Hello"}));
    stage.server.send("POST", "/v1/messages", Some(&eve.access_token), body).await.expect(201);
    stage.stop(&second.generation).await.expect(200);
    // There is room from the moment on at which the end is told.
    let third = stage.gated().await;
    stage.say(json!({"content": "Hello"})).await.refused(429, "too_many_replies");
    for gated in [first, third] {
        gated.open();
        gated.events.rest().await;
    }
    stage.say(json!({"content": "Hello"})).await.expect(201);
    assert_eq!(stage.get("/v1/conversations").await.expect(200)["data"].as_array().map(Vec::len), Some(4));
}

async fn one_node_has_so_many(engine: Engine) {
    let Some(stage) = Stage::set(engine, &[("assistant.max_generations", "1")]).await else { return };
    let gated = stage.gated().await;
    let eve = stage.server.person("eve").await;
    let send = || stage.server.send("POST", "/v1/messages", Some(&eve.access_token), Some(json!({"content": "Hello"})));
    let refused = send().await;
    assert_eq!(refused.headers["retry-after"], "2");
    refused.refused(503, "overloaded");
    gated.open();
    gated.events.rest().await;
    send().await.expect(201);
}

async fn nothing_stays_behind(engine: Engine) {
    let Some(stage) = Stage::set(engine, &[("assistant.max_generations_per_person", "1000")]).await else { return };
    let stage = &stage;
    let sends = (0..200u64).map(|number| async move {
        let body = json!({"content": format!("Message {number}")});
        // Some wait, some listen, some leave: at once, after a moment, or in the middle. Some ask for what fails.
        let chance = number.wrapping_mul(6_364_136_223_846_793_005).rotate_left(17);
        if chance % 7 == 0 {
            stage.provider.push(Behaviour::CutAfter(vec!["Half ".to_owned()]));
        }
        match chance % 5 {
            0 => drop(stage.say(body).await.expect(201)),
            1 => drop(stage.stream(body, &[]).await.rest().await),
            2 => drop(stage.stream(body, &[]).await.next().await),
            3 => drop(stage.stream(body, &[]).await.text_of(1).await),
            _ => {
                let moment = Duration::from_micros(chance % 20_000);
                let _ = tokio::time::timeout(moment, stage.say(body)).await;
            }
        }
    });
    let all = futures_util::stream::iter(sends).buffer_unordered(16).for_each(|()| async {});
    tokio::time::timeout(4 * PATIENCE, all).await.expect("all have been sent");
    let assistant = &stage.server.app.assistant;
    eventually("all replies have ended", || async { assistant.live_count() == 0 }).await;
    let mut after = String::new();
    let mut replies = 0;
    loop {
        let page = stage.get(&format!("/v1/conversations?limit=100{after}")).await.expect(200);
        for conversation in page["data"].as_array().expect("rows") {
            let path = format!("/v1/conversations/{}/messages", id(&conversation["id"]));
            let messages = stage.get(&path).await.expect(200);
            let status = messages["data"][0]["status"].as_str().expect("a status").to_owned();
            assert!(["final", "interrupted"].contains(&status.as_str()), "{messages}");
            replies += 1;
        }
        let Some(next) = page["next"].as_str() else { break };
        after = format!("&after={next}");
    }
    assert!((160..=200).contains(&replies), "{replies} were taken in");
    assert!(stage.server.app.lifecycle.failures().is_empty());
}
