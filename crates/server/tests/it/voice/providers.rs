//! Providers of speech that fail, and one that listens while somebody speaks.

use serde_json::json;

use super::World;
use super::caller::{Caller, silence, voice};
use super::fakes::{Act, FakeDeepgram, Fault};
use crate::support::{Engine, both};

both!(
    speech_is_transcribed_while_it_is_said,
    a_connection_that_dies_is_made_again,
    what_fails_is_tried_again_and_then_told,
    another_speaks_when_one_cannot,
);

async fn say(caller: &mut Caller) {
    caller.speak(&silence(300)).await;
    caller.speak(&voice(700)).await;
    caller.speak(&silence(700)).await;
}

async fn deepgram(engine: Engine) -> Option<(World, FakeDeepgram)> {
    let deepgram = FakeDeepgram::start().await;
    let url = json!(deepgram.url).to_string();
    let more = [
        ("voice.deepgram.api_key", "\"secret\""),
        ("voice.deepgram.base_url", url.as_str()),
        ("voice.text_to_speech", "[\"openai\"]"),
    ];
    Some((World::start(engine, &more).await?, deepgram))
}

async fn speech_is_transcribed_while_it_is_said(engine: Engine) {
    let Some((world, deepgram)) = deepgram(engine).await else { return };
    let ada = world.app.person("ada").await;
    deepgram.then(Act::Says("book a cleaning"));
    let (mut caller, _) = Caller::start(&world.app, &ada.access_token, json!({"type": "start"})).await;
    deepgram.until_connected(1).await;
    say(&mut caller).await;
    let interim = caller.transcript("user", false).await;
    assert!("book a cleaning".starts_with(interim["text"].as_str().expect("a text")), "{interim}");
    assert_eq!(caller.transcript("user", true).await["text"], json!("book a cleaning"));
    caller.until("audio_end").await;
    // Silence is not sent, so that it costs nothing: what was said, and what is around it.
    let seconds = deepgram.heard() as f64 / 32_000.0;
    assert!((1.0..2.2).contains(&seconds), "{seconds}");
    caller.say(json!({"type": "stop"})).await;
    assert_eq!(caller.ended().await.0, json!("stopped"));
    deepgram.until_open(0).await;
    // Opus goes through as it is: 20 milliseconds a packet.
    deepgram.then(Act::Says("unused"));
    let start = json!({"type": "start", "encoding": "opus"});
    let (mut caller, _) = Caller::start(&world.app, &ada.access_token, start).await;
    for _ in 0..20 {
        caller.send(&[0b0000_1000, 1, 2, 3]).await;
    }
    assert_eq!(caller.until("speech_started").await["turn"], json!(1));
}

async fn a_connection_that_dies_is_made_again(engine: Engine) {
    let Some((world, deepgram)) = deepgram(engine).await else { return };
    let ada = world.app.person("ada").await;
    deepgram.then(Act::Dies);
    deepgram.then(Act::Says("say it again"));
    let (mut caller, _) = Caller::start(&world.app, &ada.access_token, json!({"type": "start"})).await;
    deepgram.until_connected(1).await;
    say(&mut caller).await;
    assert_eq!(caller.until("warning").await["code"], json!("listening_interrupted"));
    assert_eq!(caller.until("warning").await["code"], json!("nothing_understood"));
    deepgram.until_connected(2).await;
    say(&mut caller).await;
    assert_eq!(caller.transcript("user", true).await["text"], json!("say it again"));
    caller.until("audio_end").await;
    let metrics = world.app.send("GET", "/metrics", None, None).await.text;
    assert!(metrics.contains("mainstay_voice_provider_requests_total{provider=\"deepgram_listen\"} 2"), "{metrics}");
}

async fn what_fails_is_tried_again_and_then_told(engine: Engine) {
    let more = [("voice.first_byte_timeout_ms", "300"), ("providers.max_retries", "1")];
    let Some(world) = World::start(engine, &more).await else { return };
    let ada = world.app.person("ada").await;
    let (mut caller, _) = Caller::start(&world.app, &ada.access_token, json!({"type": "start"})).await;
    // Too busy once: tried again.
    world.speech.fails("/transcriptions", Fault::Status(429));
    world.speech.hears("One.");
    say(&mut caller).await;
    assert_eq!(caller.transcript("user", true).await["text"], json!("One."));
    caller.until("audio_end").await;
    // It hangs, or breaks off twice: told, and the session goes on.
    for faults in [&[Fault::Hang][..], &[Fault::Cut, Fault::Cut], &[Fault::Status(401)]] {
        faults.iter().for_each(|fault| world.speech.fails("/transcriptions", *fault));
        say(&mut caller).await;
        assert_eq!(caller.until("error").await["code"], json!("not_transcribed"), "{faults:?}");
    }
    world.speech.hears("Two.");
    say(&mut caller).await;
    assert_eq!(caller.transcript("user", true).await["text"], json!("Two."));
    let metrics = world.app.send("GET", "/metrics", None, None).await.text;
    for kind in ["busy", "first_byte_timeout", "cut", "unauthorised"] {
        let figure =
            format!("mainstay_voice_provider_faults_total{{provider=\"openai_transcriptions\",why=\"{kind}\"}}");
        assert!(metrics.contains(&figure), "{figure}");
    }
}

async fn another_speaks_when_one_cannot(engine: Engine) {
    if super::caller::espoken("One").is_none() {
        return;
    }
    let more = [
        ("voice.espeak.path", "\"espeak-ng\""),
        ("voice.text_to_speech", "[\"openai\", \"espeak\"]"),
        ("providers.max_retries", "0"),
    ];
    let Some(world) = World::start(engine, &more).await else { return };
    let ada = world.app.person("ada").await;
    let (mut caller, _) = Caller::start(&world.app, &ada.access_token, json!({"type": "start"})).await;
    world.speech.hears("One.");
    world.speech.fails("/speech", Fault::Status(500));
    say(&mut caller).await;
    assert_eq!(caller.until("audio_start").await["sample_rate"], json!(22_050));
    caller.until("audio_end").await;
    // A program that is not there is a provider that cannot be reached.
    let missing = [("voice.espeak.path", "\"/nowhere/espeak-ng\""), ("voice.text_to_speech", "[\"espeak\"]")];
    let Some(world) = World::start(engine, &missing).await else { return };
    let ada = world.app.person("ada").await;
    let (mut caller, _) = Caller::start(&world.app, &ada.access_token, json!({"type": "start"})).await;
    world.speech.hears("One.");
    say(&mut caller).await;
    assert_eq!(caller.until("warning").await["code"], json!("sentence_not_spoken"));
}
