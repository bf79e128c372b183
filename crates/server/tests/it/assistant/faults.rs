//! Providers that fail, as a person sees it.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::{PATIENCE, Stage, TEXT, id};
use crate::support::events::text;
use crate::support::fake_provider::{Behaviour, FakeProvider, pieces};
use crate::support::{Engine, both};

both! {
    a_provider_that_asks_for_patience_is_given_it,
    the_next_provider_answers,
    a_fault_before_the_text_fails_the_reply,
    a_silent_provider_fails_the_reply_in_time,
    a_fault_in_the_text_keeps_what_has_come,
    a_provider_that_falls_silent_is_not_waited_for,
    the_next_model_goes_on_with_a_text_that_breaks_off,
    when_the_next_model_breaks_off_too_all_that_came_is_kept,
    a_reply_of_the_largest_length_says_so,
    a_provider_that_keeps_failing_is_left_alone,
    when_all_fail_each_is_heard,
}

const ONCE: (&str, &str) = ("providers.max_retries", "0");

async fn a_provider_that_asks_for_patience_is_given_it(engine: Engine) {
    let Some(stage) = Stage::set(engine, &[]).await else { return };
    stage.provider.push(Behaviour::Status(429, vec![("retry-after", "1")], "{}".to_owned()));
    let begun = Instant::now();
    let sent = stage.say(json!({"content": "Hello"})).await.expect(201);
    assert_eq!((&sent["reply"]["status"], stage.provider.counts().requests), (&json!("final"), 2));
    assert!(begun.elapsed() >= Duration::from_secs(1), "it waits as long as it was asked to");
}

async fn the_next_provider_answers(engine: Engine) {
    let second = FakeProvider::start().await;
    second.usually(Behaviour::words("The second answers."));
    let url = json!(second.openai_url()).to_string();
    let order = r#"["anthropic", "openai", "offline"]"#;
    let settings = [ONCE, ("providers.order", order), ("providers.openai.base_url", url.as_str())];
    let Some(stage) = Stage::set(engine, &settings).await else { return };
    stage.provider.usually(Behaviour::status(529, "overloaded_error"));
    let sent = stage.say(json!({"content": "Hello"})).await.expect(201);
    let reply = &sent["reply"];
    assert_eq!((&reply["provider"], &reply["content"]), (&json!("openai"), &json!("The second answers.")));
    assert_eq!((&reply["status"], &reply["error"]), (&json!("final"), &Value::Null));
    assert_eq!(reply["usage"], json!({"input_tokens": 16, "output_tokens": 42}));
    second.usually(Behaviour::status(500, "server_error"));
    let events = stage.stream(json!({"content": "Hello"}), &[]).await.rest().await;
    let end = &events[events.len() - 1];
    assert_eq!((end.event.as_str(), &end.data["reply"]["provider"]), ("done", &json!("offline")));
    assert!(text(&events).contains("No language model is connected"), "{events:?}");
}

/// Sends a message and follows its reply to the end, which must be a failure of this status and code.
async fn failing(stage: &Stage, status: &str, code: &str, content: &str) -> Value {
    let begun = Instant::now();
    let events = stage.stream(json!({"content": "Hello"}), &[]).await.rest().await;
    assert!(begun.elapsed() < PATIENCE, "{code}: within the time that is configured");
    assert_eq!(text(&events), content, "{code}");
    let end = &events[events.len() - 1];
    assert_eq!(end.event, "error", "{code}: {end:?}");
    let (problem, reply) = (&end.data["problem"], &end.data["reply"]);
    assert_eq!((&problem["code"], &problem["status"]), (&json!("reply_failed"), &json!(502)), "{code}");
    assert!(problem["request_id"].is_string(), "{problem}");
    assert_eq!((&reply["status"], &reply["error"]["code"]), (&json!(status), &json!(code)), "{reply}");
    assert_eq!((&reply["content"], &reply["error"]["detail"]), (&json!(content), &problem["detail"]));
    // Who made what there is, and what it took, is told with it.
    for known in ["provider", "model", "usage"] {
        assert!(content.is_empty() || !reply[known].is_null(), "{code}: no {known} in {reply}");
    }
    let mut stored = stage.reply(&id(&events[0].data["generation_id"])).await;
    stored["html"] = reply["html"].clone();
    assert_eq!(*reply, stored, "{code}");
    assert_eq!(stage.server.app.assistant.live_count(), 0);
    stored
}

/// The reply fails in the same way for who listens and for who waits.
async fn fails_without_text(stage: &Stage, cases: impl IntoIterator<Item = (Behaviour, &str, &str)>) {
    for (behaviour, code, says) in cases {
        stage.provider.push(behaviour.clone());
        let reply = failing(stage, "failed", code, "").await;
        let detail = reply["error"]["detail"].as_str().expect("a detail");
        assert!(detail.contains(says), "{code}: {detail}");
        stage.provider.push(behaviour);
        let waited = stage.say(json!({"content": "Hello"})).await.expect(201);
        let waited = &waited["reply"];
        assert_eq!((&waited["status"], &waited["error"]), (&json!("failed"), &reply["error"]), "{code}");
    }
}

async fn a_fault_before_the_text_fails_the_reply(engine: Engine) {
    let Some(stage) = Stage::set(engine, &[ONCE]).await else { return };
    let cases = [
        (Behaviour::Raw(b"<html>Welcome</html>\n\n".to_vec()), "garbage", "cannot be read"),
        (Behaviour::CutAfter(vec![]), "cut", "broke off"),
        (Behaviour::Answer(vec![]), "empty", "without text"),
        (Behaviour::status(500, "api_error"), "server_error", "status 500"),
        (Behaviour::status(401, "authentication_error"), "unauthorised", "ANTHROPIC_API_KEY"),
    ];
    fails_without_text(&stage, cases).await;
    stage.provider.push(Behaviour::status(401, "authentication_error"));
    let refused = stage.say(json!({"content": "Hello"})).await.expect(201);
    for unknown in ["provider", "model", "usage"] {
        assert!(refused["reply"][unknown].is_null(), "nobody had begun: {refused}");
    }
}

async fn a_silent_provider_fails_the_reply_in_time(engine: Engine) {
    let settings = [ONCE, ("providers.first_token_timeout_ms", "300")];
    let Some(stage) = Stage::set(engine, &settings).await else { return };
    let says = "anthropic did not begin to answer in time";
    let silences = [Behaviour::HangBeforeHeaders, Behaviour::HangAfterHeaders, Behaviour::PingAfter(vec![])];
    fails_without_text(&stage, silences.map(|behaviour| (behaviour, "first_token_timeout", says))).await;
}

/// What has come is kept, and the offline responder is not asked to go on.
async fn breaks_off(stage: &Stage, cases: impl IntoIterator<Item = (Behaviour, &str, &str)>) {
    for (behaviour, code, says) in cases {
        stage.provider.push(behaviour);
        let reply = failing(stage, "interrupted", code, "Olá mundo ").await;
        let detail = reply["error"]["detail"].as_str().expect("a detail");
        assert!(detail.contains(says), "{code}: {detail}");
    }
}

async fn a_fault_in_the_text_keeps_what_has_come(engine: Engine) {
    let settings = [ONCE, ("providers.order", r#"["anthropic", "offline"]"#)];
    let Some(stage) = Stage::set(engine, &settings).await else { return };
    let said = || pieces("Olá mundo ");
    let cases = [
        (Behaviour::CutAfter(said()), "cut", "broke off"),
        (Behaviour::EndAfter(said()), "cut", "broke off"),
        (Behaviour::ErrorAfter(said(), "overloaded_error"), "overloaded", "overloaded"),
    ];
    breaks_off(&stage, cases).await;
}

async fn a_provider_that_falls_silent_is_not_waited_for(engine: Engine) {
    let settings = [ONCE, ("providers.order", r#"["anthropic", "offline"]"#), ("providers.idle_timeout_ms", "1500")];
    let Some(stage) = Stage::set(engine, &settings).await else { return };
    let silences = [Behaviour::HangAfter(pieces("Olá mundo ")), Behaviour::PingAfter(pieces("Olá mundo "))];
    breaks_off(&stage, silences.map(|behaviour| (behaviour, "idle_timeout", "stopped in the middle"))).await;
}

/// Anthropic, a second fake as an OpenAI-compatible server, and the offline responder behind both.
async fn with_a_second(engine: Engine) -> Option<(Stage, FakeProvider)> {
    let second = FakeProvider::start().await;
    let url = json!(second.openai_url()).to_string();
    let order = r#"["anthropic", "openai", "offline"]"#;
    let settings = [ONCE, ("providers.order", order), ("providers.openai.base_url", url.as_str())];
    Some((Stage::set(engine, &settings).await?, second))
}

async fn the_next_model_goes_on_with_a_text_that_breaks_off(engine: Engine) {
    let Some((stage, second)) = with_a_second(engine).await else { return };
    second.usually(Behaviour::words("€ 🦀"));
    for first in
        [Behaviour::CutAfter(pieces("Olá mundo ")), Behaviour::ErrorAfter(pieces("Olá mundo "), "overloaded_error")]
    {
        stage.provider.push(first);
        let events = stage.stream(json!({"content": "Hello"}), &[]).await.rest().await;
        let [start, tokens @ .., done] = events.as_slice() else { panic!("{events:?}") };
        assert_eq!((start.event.as_str(), done.event.as_str()), ("start", "done"), "{events:?}");
        assert_eq!(text(&events), TEXT);
        let mut end = 0;
        for token in tokens {
            end += token.data["text"].as_str().expect("a text").len();
            assert_eq!((token.event.as_str(), token.id), ("token", Some(end as u64)));
        }
        let reply = &done.data["reply"];
        assert_eq!((&reply["content"], &reply["status"]), (&json!(TEXT), &json!("final")));
        assert_eq!((&reply["provider"], &reply["error"]), (&json!("openai"), &Value::Null));
        // The first counted 16 tokens in, and its 11 bytes are taken for 3; the second counted 16 and 42.
        assert_eq!(reply["usage"], json!({"input_tokens": 32, "output_tokens": 45}));
        assert_eq!(done.data["usage"], reply["usage"]);
        let generation = id(&start.data["generation_id"]);
        let mut stored = stage.reply(&generation).await;
        stored["html"] = reply["html"].clone();
        assert_eq!(*reply, stored);
        let seam = "Olá mundo ".len().to_string();
        assert_eq!(text(&stage.follow(&generation, Some(&seam)).await.rest().await), "€ 🦀");
    }
    stage.provider.push(Behaviour::CutAfter(pieces("Olá mundo ")));
    let waited = stage.say(json!({"content": "Hello"})).await.expect(201);
    assert_eq!((&waited["reply"]["content"], &waited["reply"]["status"]), (&json!(TEXT), &json!("final")));
    for received in second.received() {
        let messages = received.body["messages"].as_array().expect("messages");
        let roles: Vec<_> = messages.iter().map(|message| message["role"].as_str().expect("a role")).collect();
        assert_eq!(roles, ["system", "user", "assistant", "user"]);
        assert_eq!((&messages[1]["content"], &messages[2]["content"]), (&json!("Hello"), &json!("Olá mundo ")));
    }
    let figures = stage.server.app.assistant.provider_figures();
    let continuations: Vec<_> = figures.iter().map(|figures| figures.continuations).collect();
    assert_eq!((continuations, stage.provider.counts().requests), (vec![0, 3, 0], 3));
    let metrics = stage.get("/metrics").await.text;
    assert!(metrics.contains("mainstay_provider_openai_continuations_total 3"), "{metrics}");
}

async fn when_the_next_model_breaks_off_too_all_that_came_is_kept(engine: Engine) {
    let Some((stage, second)) = with_a_second(engine).await else { return };
    second.usually(Behaviour::CutAfter(pieces("€ 🦀")));
    stage.provider.push(Behaviour::ErrorAfter(pieces("Olá mundo "), "overloaded_error"));
    let reply = failing(&stage, "interrupted", "overloaded", TEXT).await;
    assert_eq!(reply["provider"], "openai");
    // Neither counted its output, and the second not its input: 5 bytes of question and the system prompt are estimated.
    assert_eq!(reply["usage"]["output_tokens"], 3 + 2, "{reply}");
    assert_eq!((stage.provider.counts().requests, second.counts().requests), (1, 1));
    assert_eq!(stage.server.app.assistant.provider_figures()[2].requests, 0, "the offline responder was not asked");
}

async fn a_reply_of_the_largest_length_says_so(engine: Engine) {
    let Some(stage) = Stage::set(engine, &[]).await else { return };
    stage.provider.usually(Behaviour::Truncated(pieces(TEXT)));
    let events = stage.stream(json!({"content": "Hello"}), &[]).await.rest().await;
    let end = &events[events.len() - 1];
    let reply = &end.data["reply"];
    assert_eq!((end.event.as_str(), &reply["status"], &reply["content"]), ("done", &json!("final"), &json!(TEXT)));
    assert_eq!((&reply["error"]["code"], &reply["provider"]), (&json!("max_tokens"), &json!("anthropic")));
    assert!(reply["error"]["detail"].as_str().expect("a detail").contains("assistant.max_reply_tokens"), "{reply}");
    assert_eq!(stage.reply(&id(&events[0].data["generation_id"])).await["error"], reply["error"]);
    let waited = stage.say(json!({"content": "Hello"})).await.expect(201);
    assert_eq!((&waited["reply"]["status"], &waited["reply"]["error"]), (&json!("final"), &reply["error"]));
}

async fn a_provider_that_keeps_failing_is_left_alone(engine: Engine) {
    let settings = [ONCE, ("providers.breaker_failures", "2"), ("providers.breaker_open_ms", "600000")];
    let Some(stage) = Stage::set(engine, &settings).await else { return };
    stage.provider.usually(Behaviour::status(500, "api_error"));
    for _ in 0..2 {
        failing(&stage, "failed", "server_error", "").await;
    }
    stage.provider.usually(Behaviour::HangBeforeHeaders);
    let reply = failing(&stage, "failed", "breaker_open", "").await;
    assert!(reply["error"]["detail"].as_str().expect("a detail").contains("left alone for a while"), "{reply}");
    assert_eq!(stage.provider.counts().requests, 2, "it was not asked again");
}

async fn when_all_fail_each_is_heard(engine: Engine) {
    let second = FakeProvider::start().await;
    second.usually(Behaviour::status(429, "rate_limit_error"));
    let url = json!(second.openai_url()).to_string();
    let order = r#"["anthropic", "openai"]"#;
    let settings = [ONCE, ("providers.order", order), ("providers.openai.base_url", url.as_str())];
    let Some(stage) = Stage::set(engine, &settings).await else { return };
    stage.provider.usually(Behaviour::status(529, "overloaded_error"));
    let reply = failing(&stage, "failed", "overloaded", "").await;
    let detail = reply["error"]["detail"].as_str().expect("a detail");
    for part in ["anthropic is overloaded", "openai says that its rate limit is reached"] {
        assert!(detail.contains(part), "{detail}");
    }
}
