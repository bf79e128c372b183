//! What a session may not do, and what is left of one that has ended.

use std::sync::Arc;
use std::time::Duration;

use mainstay_domain::{Allowance, Clock as _, ManualClock, Plan, PlanLimits};
use mainstay_server::app::Outside;
use mainstay_server::outside::SystemClock;
use mainstay_store::{Call, SetPlanLimits};
use serde_json::json;

use super::caller::{Caller, Heard, silence, voice};
use super::fakes::FakeSpeech;
use super::{World, settings};
use crate::support::fake_provider::FakeProvider;
use crate::support::{Engine, TestApp, UPGRADE, both, eventually};

both!(
    who_is_not_known_or_has_no_place_is_refused_before_the_upgrade,
    the_chunk_beyond_the_limit_is_shed_and_told,
    what_is_no_frame_is_told_and_harms_nobody,
    a_conversation_of_others_is_not_there,
    all_of_a_session_is_given_back,
    who_has_no_speech_left_is_told_so,
    without_providers_it_says_so,
);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn places_hold_over_all_nodes_and_those_of_a_dead_one_are_free() {
    let clock = Arc::new(ManualClock::new(SystemClock.now()));
    let outside = Outside { clock: Arc::clone(&clock) as _, ..Outside::default() };
    let (model, speech) = (FakeProvider::start().await, FakeSpeech::start().await);
    let all = settings(&model, &speech, &[]);
    let all: Vec<_> = all.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    let Some(first) = TestApp::start_with(Engine::Postgres, &all, outside).await else { return };
    let second = first.second_node().await;
    let ada = first.person("ada").await;
    let start = json!({"type": "start"});
    let (_one, _) = Caller::start(&second, &ada.access_token, start.clone()).await;
    let (_two, _) = Caller::start(&first, &ada.access_token, start.clone()).await;
    let third = first.send_with("GET", "/v1/voice", Some(&ada.access_token), None, &UPGRADE).await;
    third.refused(429, "too_many_voice_sessions");
    // The node is gone without a word: nobody renews its place.
    second.app.lifecycle.stop_hard();
    clock.advance(Duration::from_secs(20));
    let (_three, _) = Caller::start(&first, &ada.access_token, start).await;
}

async fn who_is_not_known_or_has_no_place_is_refused_before_the_upgrade(engine: Engine) {
    let Some(world) = World::start(engine, &[]).await else { return };
    let app = &world.app;
    let ada = app.person("ada").await;
    app.send_with("GET", "/v1/voice", None, None, &UPGRADE).await.refused(401, "unauthenticated");
    app.send_with("GET", "/v1/voice", Some("nonsense"), None, &UPGRADE).await.refused(401, "unauthenticated");
    app.send("GET", "/v1/voice", Some(&ada.access_token), None).await.refused(426, "upgrade_required");
    // A ticket is good once.
    let ticket = app.send("POST", "/v1/live/tickets", Some(&ada.access_token), None).await.expect(201);
    let path = format!("/v1/voice?ticket={}", ticket["ticket"].as_str().expect("a ticket"));
    let with_ticket = app.send_with("GET", &path, None, None, &UPGRADE).await;
    assert_eq!(with_ticket.status, 101);
    app.send_with("GET", &path, None, None, &UPGRADE).await.refused(401, "unauthenticated");
    // That line hangs up without a word, and its place is free again.
    eventually(async || (app.app.voice.places() == 0).then_some(())).await;
    let start = json!({"type": "start"});
    let (mut one, _) = Caller::start(app, &ada.access_token, start.clone()).await;
    let (_two, _) = Caller::start(app, &ada.access_token, start.clone()).await;
    let refused = app.send_with("GET", "/v1/voice", Some(&ada.access_token), None, &UPGRADE).await;
    let why = refused.refused(429, "too_many_voice_sessions");
    assert!(why["detail"].as_str().expect("words").contains("2 voice sessions"), "{why}");
    one.say(json!({"type": "stop"})).await;
    assert_eq!(one.ended().await.0, json!("stopped"));
    eventually(async || (app.app.voice.places() == 1).then_some(())).await;
    let third = eventually(async || Caller::open(app, &ada.access_token, "").await.ok()).await;
    drop(third);
}

async fn the_chunk_beyond_the_limit_is_shed_and_told(engine: Engine) {
    let Some(world) = World::start(engine, &[("voice.chunk_burst", "100")]).await else { return };
    let ada = world.app.person("ada").await;
    let (mut caller, _) = Caller::start(&world.app, &ada.access_token, json!({"type": "start"})).await;
    // Slower than this no machine is: 150 chunks of 5 milliseconds at once.
    for chunk in silence(750).chunks(160) {
        caller.send(chunk).await;
    }
    let warning = caller.until("warning").await;
    assert_eq!((&warning["code"], &warning["count"]), (&json!("too_many_chunks"), &json!(1)));
    let metrics = world.app.send("GET", "/metrics", None, None).await.text;
    assert!(metrics.contains("mainstay_voice_chunks_shed_total{why=\"too_many_chunks\"}"), "{metrics}");
    // It goes on. Whoever does not stop is ended.
    caller.say(json!({"type": "ping", "t": 7})).await;
    assert_eq!(caller.until("pong").await["t"], json!(7));
    let end = async {
        loop {
            for chunk in silence(750).chunks(160) {
                caller.send(chunk).await;
            }
            caller.say(json!({"type": "ping"})).await;
            loop {
                match caller.next().await {
                    Heard::Closed(code) => return code,
                    Heard::Frame(frame) if frame["type"] == json!("pong") => break,
                    Heard::Frame(frame) if frame["type"] == json!("ended") => {
                        assert_eq!(frame["reason"], json!("flood"))
                    }
                    Heard::Frame(_) | Heard::Sound { .. } => {}
                }
            }
        }
    };
    assert_eq!(tokio::time::timeout(Duration::from_secs(20), end).await, Ok(4429));
}

/// What no client should send.
const MALFORMED: [&str; 14] = [
    "",
    "{",
    "null",
    "[]",
    "\"start\"",
    "{}",
    r#"{"type":null}"#,
    r#"{"type":"sing"}"#,
    r#"{"type":"played"}"#,
    r#"{"type":"played","turn":-1,"ms":1}"#,
    r#"{"type":"played","turn":1e99,"ms":1}"#,
    r#"{"type":"stop","now":true}"#,
    r#"{"type":"start","language":"../../etc"}"#,
    r#"{"type":"ping","t":"now"}"#,
];

async fn what_is_no_frame_is_told_and_harms_nobody(engine: Engine) {
    let Some(world) = World::start(engine, &[]).await else { return };
    let ada = world.app.person("ada").await;
    let (mut caller, _) = Caller::start(&world.app, &ada.access_token, json!({"type": "start"})).await;
    for frame in MALFORMED {
        caller.say_text(frame).await;
        let error = caller.until("error").await;
        let message = error["message"].as_str().expect("words");
        assert!(message.len() > 20 && message.len() < 400, "{frame}: {error}");
    }
    caller.send(&[1, 2, 3]).await;
    assert_eq!(caller.until("error").await["code"], json!("invalid_input"));
    for _ in 0..10 {
        caller.say_text("nonsense").await;
    }
    assert_eq!(caller.ended().await, (json!("bad_frames"), 1008));
    // What a session cannot begin with.
    for (start, field) in [
        (json!({"type": "start", "language": "-v evil"}), "language"),
        (json!({"type": "start", "sample_rate": 8000}), "rate"),
        (json!({"type": "start", "encoding": "opus"}), "opus"),
    ] {
        let mut caller = Caller::open(&world.app, &ada.access_token, "").await.expect("a line");
        caller.say(start).await;
        assert_eq!(caller.until("error").await["code"], json!("invalid_input"), "{field}");
        assert!(matches!(caller.next().await, Heard::Closed(1008)), "{field}");
        eventually(async || (world.app.app.voice.places() == 0).then_some(())).await;
    }
    assert_eq!(world.app.app.lifecycle.failures().len(), 0);
}

async fn a_conversation_of_others_is_not_there(engine: Engine) {
    let Some(world) = World::start(engine, &[]).await else { return };
    let (ada, bob) = (world.app.person("ada").await, world.app.person("bob").await);
    let of_bob =
        world.app.send("POST", "/v1/conversations", Some(&bob.access_token), Some(json!({"title": "mine"}))).await;
    let id = of_bob.expect(201)["id"].clone();
    let mut caller = Caller::open(&world.app, &ada.access_token, "").await.expect("a line");
    caller.say(json!({"type": "start", "conversation_id": id})).await;
    assert_eq!(caller.until("error").await["code"], json!("not_found"));
    assert!(matches!(caller.next().await, Heard::Closed(1008)));
    let (_caller, ready) =
        Caller::start(&world.app, &bob.access_token, json!({"type": "start", "conversation_id": id})).await;
    assert_eq!(ready["conversation_id"], id);
    let sessions = world.app.send("GET", "/v1/voice/sessions", Some(&ada.access_token), None).await.expect(200);
    assert_eq!(sessions["data"], json!([]));
}

async fn all_of_a_session_is_given_back(engine: Engine) {
    let Some(world) = World::start(engine, &[("voice.resume_seconds", "1")]).await else { return };
    let ada = world.app.person("ada").await;
    let running = || world.app.app.lifecycle.running().into_iter().filter(|(name, _)| *name == "voice").count();
    for way in ["stop", "close", "cut"] {
        world.speech.hears("Say something long.");
        world.speech.speaks_for(10_000);
        let (mut caller, _) = Caller::start(&world.app, &ada.access_token, json!({"type": "start"})).await;
        caller.speak(&silence(300)).await;
        caller.speak(&voice(600)).await;
        caller.speak(&silence(700)).await;
        caller.until("latency").await;
        match way {
            "stop" => caller.say(json!({"type": "stop"})).await,
            "close" => caller.close().await,
            _ => drop(caller),
        }
        eventually(async || (world.app.app.voice.counts() == (0, 0)).then_some(())).await;
        eventually(async || (world.app.app.voice.places() == 0 && running() == 0).then_some(())).await;
    }
    let sessions = world.app.send("GET", "/v1/voice/sessions", Some(&ada.access_token), None).await.expect(200);
    let reasons: Vec<_> = (0..3).map(|n| sessions["data"][n]["reason"].as_str().unwrap_or("-")).collect();
    assert_eq!(reasons, ["dropped", "hung_up", "stopped"]);
    let usage = world.app.send("GET", "/v1/usage", Some(&ada.access_token), None).await.expect(200);
    assert_eq!(usage["reserved_micros"], json!(0), "{usage}");
}

async fn who_has_no_speech_left_is_told_so(engine: Engine) {
    let Some(world) = World::start(engine, &[]).await else { return };
    let ada = world.app.person("ada").await;
    let limits = PlanLimits { voice_seconds: Allowance { per_day: Some(2), per_month: None }, ..PlanLimits::default() };
    world
        .app
        .app
        .store
        .run(&Call::within(Duration::from_secs(10)), SetPlanLimits(Plan::Free, limits))
        .await
        .expect("set");
    world.speech.hears("One.");
    let (mut caller, _) = Caller::start(&world.app, &ada.access_token, json!({"type": "start"})).await;
    caller.speak(&silence(300)).await;
    caller.speak(&voice(900)).await;
    caller.speak(&silence(700)).await;
    caller.until("audio_end").await;
    caller.speak(&voice(900)).await;
    caller.speak(&silence(700)).await;
    let error = caller.until("error").await;
    assert_eq!(error["code"], json!("quota_exceeded"), "{error}");
    assert!(error["retry_after_ms"].as_u64().is_some(), "{error}");
    assert_eq!(caller.ended().await, (json!("spent"), 1008));
    let mut caller = Caller::open(&world.app, &ada.access_token, "").await.expect("a line");
    caller.say(json!({"type": "start"})).await;
    assert_eq!(caller.until("error").await["code"], json!("quota_exceeded"));
}

async fn without_providers_it_says_so(engine: Engine) {
    let Some(app) = TestApp::start(engine, &[]).await else { return };
    let ada = app.person("ada").await;
    let refused = app.send_with("GET", "/v1/voice", Some(&ada.access_token), None, &UPGRADE).await;
    refused.refused(503, "voice_not_set_up");
    let sessions = app.send("GET", "/v1/voice/sessions", Some(&ada.access_token), None).await.expect(200);
    assert_eq!(sessions["available"], json!(false));
}
