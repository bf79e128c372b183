//! A call with the assistant, in the browser.

use mainstay_testing::{Browser, Scratch};
use serde_json::json;

use super::desk::{at_the_desk_with, is_known};
use crate::support::fake_provider::{Behaviour, FakeProvider};
use crate::voice::caller::espoken;
use crate::voice::fakes::FakeSpeech;

/// What the microphone hears: a while of nothing, a question, a long silence, and a second thought.
fn microphone(folder: &Scratch) -> Option<std::path::PathBuf> {
    let silence = |seconds: usize| vec![0; seconds * 32_000];
    let mut sound = silence(6);
    sound.extend(espoken("Please tell me a long story about a ship")?);
    sound.extend(silence(6));
    sound.extend(espoken("Stop now please, that is enough for today")?);
    sound.extend(silence(30));
    let mut file = Vec::new();
    let size = |bytes: usize| u32::try_from(bytes).expect("small").to_le_bytes();
    file.extend_from_slice(b"RIFF");
    file.extend_from_slice(&size(sound.len() + 36));
    file.extend_from_slice(b"WAVEfmt \x10\0\0\0\x01\0\x01\0");
    file.extend_from_slice(&16_000u32.to_le_bytes());
    file.extend_from_slice(&32_000u32.to_le_bytes());
    file.extend_from_slice(b"\x02\0\x10\0data");
    file.extend_from_slice(&size(sound.len()));
    file.extend_from_slice(&sound);
    let path = folder.path().join("microphone.wav");
    std::fs::write(&path, file).expect("written");
    Some(path)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_speaks_with_the_assistant_and_interrupts_it() {
    let folder = Scratch::new().unwrap();
    let Some(microphone) = microphone(&folder) else { return };
    let Some(browser) = Browser::start_with_microphone(&microphone).await else { return };
    let (model, speech) = (FakeProvider::start().await, FakeSpeech::start().await);
    speech.speaks_for(20_000);
    speech.hears("Tell me a story.");
    speech.hears("Stop.");
    model.push(Behaviour::words("Once there was a ship. It sailed and sailed."));
    model.push(Behaviour::words("As you wish."));
    at_the_desk_with(browser, async |desk| {
        desk.open().await;
        desk.sign_up("Ada Lovelace", "ada@example.com").await;
        // Where nobody is set up to listen there is nothing to press.
        desk.wait("return document.querySelector('#conversations .nothing')").await;
        desk.wait("return !document.querySelector('#composer-call').checkVisibility()").await;
        desk.stop_server().await;
        let (models, speeches) = (model.openai_url(), speech.url.clone());
        desk.start_server_with(&[
            ("MAINSTAY_PROVIDERS__ORDER", "[\"openai\"]"),
            ("OPENAI_BASE_URL", models.as_str()),
            ("MAINSTAY_VOICE__OPENAI__BASE_URL", speeches.as_str()),
        ])
        .await;
        desk.browser.refresh().await.unwrap();
        desk.click("#composer-call").await;
        desk.wait("return document.querySelector('#voice[open]')").await;
        desk.wait("return document.querySelector('#voice-captions [data-role=user]')?.textContent.includes('Tell me a story.')")
            .await;
        desk.wait("return document.querySelector('#voice-captions [data-role=assistant]')?.textContent.includes('Once there was')")
            .await;
        let heard = desk.wait("return document.querySelector('#voice-meter').value > 0.01 && document.querySelector('#voice').dataset.latency").await;
        assert!(heard.as_str().is_some_and(|latency| latency.parse::<u64>().is_ok()), "{heard}");
        if let Some(folder) = std::env::var_os("MAINSTAY_TEST_SCREENSHOTS").map(std::path::PathBuf::from) {
            std::fs::write(folder.join("voice.png"), desk.browser.screenshot().await.unwrap()).unwrap();
        }
        // The second thought interrupts the story.
        desk.wait("return [...document.querySelectorAll('#voice-captions [data-role=user]')].at(-1).textContent.includes('Stop.')")
            .await;
        desk.click("#voice-mute").await;
        desk.wait("return document.querySelector('#voice-mute').getAttribute('aria-pressed') === 'true'").await;
        desk.click("#voice-hang-up").await;
        desk.wait("return !document.querySelector('#voice')").await;
        // The conversation has what was said, and of the story what was heard.
        desk.wait("return [...document.querySelectorAll('.message')].length === 4").await;
        let token = desk.access_token().await;
        let sessions = desk.get("/v1/voice/sessions", &token).await;
        assert_eq!(sessions["data"][0]["turns"], json!(2), "{sessions}");
        let lines = desk.complaints().await;
        // The server was away for a moment.
        let away = |line: &&String| line.contains("ERR_CONNECTION_REFUSED");
        let others: Vec<_> = lines.iter().filter(|line| !is_known(line) && !away(line)).collect();
        assert!(others.is_empty(), "{others:?}");
    })
    .await;
}
