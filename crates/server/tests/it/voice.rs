//! Voice sessions: a caller speaks into the socket, and hears the answer.

mod bounds;
pub(crate) mod caller;
pub(crate) mod fakes;
mod load;
mod providers;
mod turns;

use serde_json::json;

use self::fakes::FakeSpeech;
use crate::support::fake_provider::FakeProvider;
use crate::support::{Engine, TestApp};

/// A server, and who makes its replies, its text and its speech.
pub(crate) struct World {
    pub(crate) app: TestApp,
    pub(crate) model: FakeProvider,
    pub(crate) speech: FakeSpeech,
}

impl World {
    /// Starts on this engine, with further settings; nothing when it is not on this machine.
    pub(crate) async fn start(engine: Engine, more: &[(&str, &str)]) -> Option<Self> {
        let (model, speech) = (FakeProvider::start().await, FakeSpeech::start().await);
        let settings = settings(&model, &speech, more);
        let settings: Vec<_> = settings.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        let app = TestApp::start(engine, &settings).await?;
        Some(Self { app, model, speech })
    }
}

/// The settings by which a server finds them.
pub(crate) fn settings(model: &FakeProvider, speech: &FakeSpeech, more: &[(&str, &str)]) -> Vec<(String, String)> {
    let all = [
        ("providers.openai.base_url", json!(model.openai_url()).to_string()),
        ("voice.openai.base_url", json!(speech.url).to_string()),
        ("voice.openai.minute_price_micros", "6000".to_owned()),
        ("voice.openai.characters_price_micros", "1000000".to_owned()),
    ];
    let mut all: Vec<_> = all.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    all.retain(|(key, _)| !more.iter().any(|(own, _)| own == key));
    all.extend(more.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
    all
}
