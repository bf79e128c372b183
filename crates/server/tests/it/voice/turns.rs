//! Turns: spoken, answered, interrupted, resumed.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::World;
use super::caller::{Caller, Heard, espoken, silence, voice};
use crate::support::fake_provider::{Behaviour, Gate, pieces};
use crate::support::{Engine, both};

both!(
    a_spoken_turn_is_answered,
    a_tool_that_is_used_does_not_end_the_turn,
    a_caller_is_heard_and_answered_by_the_program_that_needs_no_key,
    whoever_speaks_stops_the_answer,
    a_reply_in_the_making_is_stopped_too,
    what_is_not_understood_yet_goes_on,
    a_cut_line_resumes,
);

async fn messages(world: &World, token: &str, conversation: &Value) -> Vec<Value> {
    let path = format!("/v1/conversations/{}/messages", conversation.as_str().expect("an id"));
    let page = world.app.send("GET", &path, Some(token), None).await.expect(200);
    page["data"].as_array().expect("messages").clone()
}

async fn a_spoken_turn_is_answered(engine: Engine) {
    let Some(world) = World::start(engine, &[]).await else { return };
    let ada = world.app.person("ada").await;
    let token = &ada.access_token;
    world.speech.hears("When is it open?");
    world.model.push(Behaviour::words("We are open from nine. Come by at any time."));
    let (mut caller, ready) = Caller::start(&world.app, token, json!({"type": "start"})).await;
    assert_eq!((&ready["resumed"], &ready["limits"]["chunks_per_second"]), (&json!(false), &json!(100)));
    caller.speak(&silence(400)).await;
    caller.speak(&voice(800)).await;
    caller.speak(&silence(700)).await;
    assert_eq!(caller.until("speech_started").await["turn"], json!(1));
    assert_eq!(caller.transcript("user", true).await["text"], json!("When is it open?"));
    let conversation = caller.transcript("assistant", false).await["conversation_id"].clone();
    assert_eq!(caller.transcript("assistant", true).await["text"], json!("We are open from nine."));
    let start = caller.until("audio_start").await;
    assert_eq!((&start["turn"], &start["sample_rate"]), (&json!(1), &json!(24_000)));
    let latency = caller.until("latency").await;
    assert!(latency["first_audio_ms"].as_u64() >= latency["first_token_ms"].as_u64(), "{latency}");
    caller.until("audio_end").await;
    // All of the sound, in order: two sentences of 400 milliseconds.
    let numbers: Vec<_> = caller.sound.iter().map(|(_, number, _)| *number).collect();
    assert_eq!(numbers, (0..numbers.len() as u32).collect::<Vec<_>>());
    assert_eq!(caller.sound.iter().map(|(_, _, bytes)| bytes).sum::<usize>(), 2 * 400 * 48);
    // What was sent to be transcribed has the beginning of the speech, and little more.
    let wav = world.speech.asked("/v1/audio/transcriptions").remove(0);
    let seconds = wav.len() as f64 / 32_000.0;
    assert!((1.3..2.1).contains(&seconds), "{seconds}");
    caller.say(json!({"type": "stop"})).await;
    assert_eq!(caller.ended().await, (json!("stopped"), 1000));
    let stored = messages(&world, token, &conversation).await;
    let texts: Vec<_> = stored.iter().map(|message| message["content"].as_str().expect("a text")).collect();
    assert_eq!(texts, ["We are open from nine. Come by at any time.", "When is it open?"]);
    let sessions = crate::support::eventually(async || {
        let page = world.app.send("GET", "/v1/voice/sessions", Some(token), None).await.expect(200);
        (page["data"][0]["ended_at"] != Value::Null).then_some(page)
    })
    .await;
    let session = &sessions["data"][0];
    assert_eq!(
        (&session["reason"], &session["turns"], &session["conversation_id"]),
        (&json!("stopped"), &json!(1), &conversation)
    );
    let characters = session["spoken_characters"].as_i64().expect("a number");
    assert!((40..50).contains(&characters), "{session}");
    let heard_ms = session["heard_ms"].as_i64().expect("a number");
    assert_eq!(session["cost_micros"], json!(heard_ms / 10 + characters + i64::from(heard_ms % 10 > 0)), "{session}");
    let usage = world.app.send("GET", "/v1/usage", Some(token), None).await.expect(200);
    assert_eq!(usage["voice_seconds"], json!((heard_ms + 999) / 1000), "{usage}");
    assert_eq!(usage["reserved_micros"], json!(0), "{usage}");
}

async fn a_tool_that_is_used_does_not_end_the_turn(engine: Engine) {
    let Some(world) = World::start(engine, &[]).await else { return };
    let practice = crate::reception::Practice::open(&world.app, "ada", 1).await;
    let token = &practice.owner.access_token;
    world.speech.hears("When is it open?");
    world.model.push(Behaviour::Uses(pieces("One moment."), vec![("opening_hours".to_owned(), "{}".to_owned())]));
    world.model.push(Behaviour::words("It is always open."));
    let (mut caller, _) = Caller::start(&world.app, token, json!({"type": "start"})).await;
    caller.speak(&silence(400)).await;
    caller.speak(&voice(800)).await;
    caller.speak(&silence(700)).await;
    let conversation = caller.transcript("assistant", false).await["conversation_id"].clone();
    assert_eq!(caller.transcript("assistant", true).await["text"], json!("One moment."));
    assert_eq!(caller.transcript("assistant", true).await["text"], json!("It is always open."));
    caller.until("audio_end").await;
    let stored = messages(&world, token, &conversation).await;
    assert_eq!(stored[0]["tools"][0]["state"], json!("done"), "{stored:?}");
}

async fn a_caller_is_heard_and_answered_by_the_program_that_needs_no_key(engine: Engine) {
    let Some(spoken) = espoken("I would like an appointment") else { return };
    let espeak = [("voice.espeak.path", "\"espeak-ng\""), ("voice.text_to_speech", "[\"espeak\"]")];
    let Some(world) = World::start(engine, &espeak).await else { return };
    let ada = world.app.person("ada").await;
    world.speech.hears("I would like an appointment.");
    world.model.push(Behaviour::words("Gladly. When?"));
    let (mut caller, _) =
        Caller::start(&world.app, &ada.access_token, json!({"type": "start", "language": "en"})).await;
    let mut sound = silence(300);
    sound.extend(spoken);
    sound.extend(silence(800));
    caller.speak(&sound).await;
    caller.transcript("user", true).await;
    assert_eq!(caller.until("audio_start").await["sample_rate"], json!(22_050));
    caller.until("audio_end").await;
    let bytes: usize = caller.sound.iter().map(|(_, _, bytes)| bytes).sum();
    assert!(bytes > 22_050, "half a second at least: {bytes}");
}

/// A caller who hears the answer to a question.
async fn listening(world: &World, token: &str) -> (Caller, Value) {
    let (caller, conversation, _) = listening_with(world, token).await;
    (caller, conversation)
}

/// The same, and what the session was ready with.
async fn listening_with(world: &World, token: &str) -> (Caller, Value, Value) {
    world.speech.hears("Tell me a story.");
    let (mut caller, ready) = Caller::start(&world.app, token, json!({"type": "start"})).await;
    caller.speak(&silence(400)).await;
    caller.speak(&voice(600)).await;
    caller.speak(&silence(700)).await;
    let conversation = caller.transcript("assistant", false).await["conversation_id"].clone();
    caller.until("latency").await;
    (caller, conversation, ready)
}

/// Speaks until the answer is cleared. The answer is how long that took, from the moment the voice had been sent.
async fn interrupt(caller: &mut Caller) -> Duration {
    // As long as it takes to be a voice, and a frame more.
    caller.speak(&voice(260)).await;
    let began = Instant::now();
    loop {
        match caller.next().await {
            Heard::Frame(frame) if frame["type"] == json!("clear") => return began.elapsed(),
            Heard::Closed(code) => panic!("closed: {code}"),
            Heard::Frame(_) | Heard::Sound { .. } => {}
        }
    }
}

async fn whoever_speaks_stops_the_answer(engine: Engine) {
    let Some(world) = World::start(engine, &[]).await else { return };
    let ada = world.app.person("ada").await;
    // A second of the first sentence is made, and no more: however late the caller is, they hear a second of it.
    world.speech.fails("/speech", super::fakes::Fault::Stall);
    let story = "Once upon a time there was a ship on the sea. It sailed for years and never came home again.";
    world.model.push(Behaviour::words(story));
    let (mut caller, conversation) = listening(&world, &ada.access_token).await;
    caller.hear(1, 48_000).await;
    caller.say(json!({"type": "played", "turn": 1, "ms": 950})).await;
    let took = interrupt(&mut caller).await;
    assert!(took < Duration::from_millis(200), "{took:?}");
    assert_eq!(caller.until("speech_started").await["turn"], json!(2));
    // Nothing of the first answer is heard any more.
    world.speech.hears("Stop it.");
    world.model.push(Behaviour::words("As you wish, I am silent."));
    caller.sound.clear();
    caller.speak(&silence(700)).await;
    caller.until("audio_end").await;
    assert!(caller.sound.iter().all(|(turn, _, _)| *turn == 2), "{:?}", caller.sound);
    let stored = messages(&world, &ada.access_token, &conversation).await;
    let first = stored.iter().find(|message| message["content"].as_str().is_some_and(|text| text.starts_with("Once")));
    let kept = first.expect("the first answer")["content"].as_str().expect("a text");
    assert_eq!(kept, "Once upon a");
    assert_eq!(first.expect("the first answer")["status"], json!("stopped"));
    // The model is told what was heard of it, and no more.
    let asked = world.model.received().pop().expect("a request").body.to_string();
    assert!(!asked.contains("came home"), "{asked}");
}

async fn a_reply_in_the_making_is_stopped_too(engine: Engine) {
    let Some(world) = World::start(engine, &[]).await else { return };
    let ada = world.app.person("ada").await;
    let gate = Gate::new();
    world.model.push(Behaviour::Gated(pieces("A first sentence comes. And nothing more ever does."), gate.clone()));
    gate.release(5);
    let (mut caller, conversation) = listening(&world, &ada.access_token).await;
    let took = interrupt(&mut caller).await;
    assert!(took < Duration::from_millis(200), "{took:?}");
    // The model's answer is given up.
    world.model.until(|counts| counts.hangups == 1).await;
    let stored = crate::support::eventually(async || {
        let stored = messages(&world, &ada.access_token, &conversation).await;
        (stored[0]["status"] == json!("stopped")).then_some(stored)
    })
    .await;
    assert!("A first sentence comes.".starts_with(stored[0]["content"].as_str().expect("a text")), "{stored:?}");
    // `cancel` does the same without a word.
    world.speech.hears("Go on.");
    world.model.push(Behaviour::words("Now this one takes its time."));
    world.speech.speaks_for(5_000);
    caller.speak(&silence(700)).await;
    caller.until("latency").await;
    caller.say(json!({"type": "cancel"})).await;
    assert_eq!(caller.until("clear").await["turn"], json!(2));
}

async fn what_is_not_understood_yet_goes_on(engine: Engine) {
    let Some(world) = World::start(engine, &[("voice.first_byte_timeout_ms", "30000")]).await else { return };
    let ada = world.app.person("ada").await;
    world.speech.fails("/transcriptions", super::fakes::Fault::Hang);
    let (mut caller, _) = Caller::start(&world.app, &ada.access_token, json!({"type": "start"})).await;
    caller.speak(&silence(400)).await;
    caller.speak(&voice(600)).await;
    caller.speak(&silence(700)).await;
    assert_eq!(caller.until("speech_started").await["turn"], json!(1));
    let asked = async || (world.speech.asked("/v1/audio/transcriptions").len() == 1).then_some(());
    crate::support::eventually(asked).await;
    // While that hangs the caller goes on: one turn, with all that was said.
    world.speech.hears("One. Two.");
    caller.speak(&voice(600)).await;
    assert_eq!(caller.until("speech_started").await["turn"], json!(1));
    caller.speak(&silence(700)).await;
    assert_eq!(caller.transcript("user", true).await["text"], json!("One. Two."));
    let sent: Vec<_> = world.speech.asked("/v1/audio/transcriptions").iter().map(Vec::len).collect();
    assert!(sent.len() == 2 && sent[1] > sent[0] + 30_000, "{sent:?}");
}

async fn a_cut_line_resumes(engine: Engine) {
    let Some(world) = World::start(engine, &[("voice.sessions_free", "1")]).await else { return };
    let (ada, bob) = (world.app.person("ada").await, world.app.person("bob").await);
    world.model.push(Behaviour::words("A story, then."));
    let (caller, conversation, ready) = listening_with(&world, &ada.access_token).await;
    let (session, token) = (ready["session_id"].clone(), ready["resume_token"].as_str().expect("a token"));
    drop(caller);
    let waits = async || (world.app.app.voice.counts() == (1, 1)).then_some(());
    crate::support::eventually(waits).await;
    // The session keeps its place, and only who has its token takes it up.
    assert!(Caller::open(&world.app, &ada.access_token, "").await.is_err());
    let metrics = world.app.send("GET", "/metrics", None, None).await.text;
    assert!(metrics.contains("mainstay_voice_sessions_waiting 1"), "{metrics}");
    let query = format!("?resume={token}");
    let mut stranger = Caller::open(&world.app, &bob.access_token, &query).await.expect("a line of his own");
    stranger.say(json!({"type": "start", "resume": token})).await;
    assert_ne!(stranger.until("ready").await["session_id"], session, "a session of his own");
    let mut caller = Caller::open(&world.app, &ada.access_token, &query).await.expect("a line");
    caller.say(json!({"type": "start", "resume": token})).await;
    let ready = caller.until("ready").await;
    assert_eq!((&ready["session_id"], &ready["resumed"], &ready["turn"]), (&session, &json!(true), &json!(1)));
    assert_eq!(ready["conversation_id"], conversation);
    // And it goes on there.
    world.speech.hears("And then?");
    caller.speak(&voice(600)).await;
    caller.speak(&silence(700)).await;
    assert_eq!(caller.transcript("user", true).await["turn"], json!(2));
    assert_eq!(caller.transcript("assistant", false).await["conversation_id"], conversation);
}
