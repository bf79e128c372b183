//! Who makes text of speech and speech of text, behind one interface. Each has a time to connect, to its first byte and
//! between pieces, a budget of retries and a breaker.

mod deepgram;
mod espeak;
mod guard;
mod http;
mod wav;

pub(super) use deepgram::{Ears, Sound, Transcribed};
pub(super) use guard::{Fault, SpeechFigures};

use bytes::Bytes;
use mainstay_domain::Result;
use tokio::sync::mpsc;

use self::deepgram::Deepgram;
use self::espeak::Espeak;
use self::http::HttpSpeech;
use super::turn::TurnEvent;
use crate::config::{Config, SpeechProvider};

/// What speech costs, in millionths of the currency's unit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Price {
    /// A minute that is listened to.
    pub(super) minute: u64,
    /// A million characters that are spoken.
    pub(super) characters: u64,
}

impl Price {
    /// What so many milliseconds of listening cost, rounded up.
    pub(super) fn of_listening(self, ms: u64) -> i64 {
        i64::try_from((u128::from(self.minute) * u128::from(ms)).div_ceil(60_000)).unwrap_or(i64::MAX)
    }

    /// What so many characters cost, rounded up.
    pub(super) fn of_speaking(self, characters: u64) -> i64 {
        i64::try_from((u128::from(self.characters) * u128::from(characters)).div_ceil(1_000_000)).unwrap_or(i64::MAX)
    }

    pub(super) const fn is_free(self) -> bool {
        self.minute == 0 && self.characters == 0
    }
}

/// Where the sound of a turn goes while it is made.
pub(super) struct Mouth {
    to: mpsc::Sender<TurnEvent>,
    rate: Option<u32>,
    spoken: bool,
}

impl Mouth {
    pub(super) fn new(to: mpsc::Sender<TurnEvent>) -> Self {
        Self { to, rate: None, spoken: false }
    }

    /// A sentence begins.
    fn begin(&mut self) {
        self.spoken = false;
    }

    /// Whether sound of this sentence has come.
    fn has_spoken(&self) -> bool {
        self.spoken
    }

    /// Passes sound on, and waits while there is enough of it.
    async fn say(&mut self, rate: u32, sound: Bytes) {
        if self.rate != Some(rate) {
            self.rate = Some(rate);
            let _ = self.to.send(TurnEvent::Rate(rate)).await;
        }
        self.spoken = true;
        // Whoever no longer listens has dropped this future.
        let _ = self.to.send(TurnEvent::Sound(sound)).await;
    }
}

enum Listener {
    Stream(Box<Deepgram>),
    Request(Box<HttpSpeech>),
}

enum Speaker {
    Http(Box<HttpSpeech>),
    Program(Box<Espeak>),
}

/// The providers of this process.
pub(super) struct Speech {
    listener: Option<Listener>,
    speakers: Vec<(Speaker, Price)>,
    minute: u64,
}

impl Speech {
    pub(super) fn new(config: &Config, figures: &SpeechFigures) -> Result<Self> {
        let voice = &config.voice;
        let (listener, minute) = match voice.listener() {
            Some(SpeechProvider::Deepgram) => {
                (Some(Listener::Stream(Box::new(Deepgram::new(config, figures)?))), voice.deepgram.minute_price_micros)
            }
            Some(SpeechProvider::OpenAi) => (
                Some(Listener::Request(Box::new(HttpSpeech::transcriptions(config, figures)?))),
                voice.openai.minute_price_micros,
            ),
            Some(SpeechProvider::Espeak) | None => (None, 0),
        };
        let mut speakers = Vec::new();
        for provider in voice.speakers() {
            let (speaker, characters) = match provider {
                SpeechProvider::Deepgram => (
                    Speaker::Http(Box::new(HttpSpeech::deepgram(config, figures)?)),
                    voice.deepgram.characters_price_micros,
                ),
                SpeechProvider::OpenAi => (
                    Speaker::Http(Box::new(HttpSpeech::openai(config, figures)?)),
                    voice.openai.characters_price_micros,
                ),
                SpeechProvider::Espeak => (Speaker::Program(Box::new(Espeak::new(config, figures))), 0),
            };
            speakers.push((speaker, Price { minute, characters }));
        }
        Ok(Self { listener, speakers, minute })
    }

    /// Whether there is anybody to listen and anybody to speak.
    pub(super) fn is_set_up(&self) -> bool {
        self.listener.is_some() && !self.speakers.is_empty()
    }

    /// Whether what is said is transcribed while it is said.
    pub(super) fn streams(&self) -> Option<&Deepgram> {
        match &self.listener {
            Some(Listener::Stream(deepgram)) => Some(deepgram),
            _ => None,
        }
    }

    /// The highest prices.
    pub(super) fn highest_price(&self) -> Price {
        let characters = self.speakers.iter().map(|(_, price)| price.characters).max().unwrap_or(0);
        Price { minute: self.minute, characters }
    }

    /// The text of a turn that was collected.
    pub(super) async fn transcribe(&self, sound: &[Bytes], language: &str) -> std::result::Result<String, Fault> {
        match &self.listener {
            Some(Listener::Request(provider)) => provider.transcribe(sound, language).await,
            _ => Err(Fault::nobody()),
        }
    }

    /// Speaks a sentence: the next provider is asked while nothing of it was heard. The answer is what it cost.
    pub(super) async fn speak(&self, text: &str, language: &str, mouth: &mut Mouth) -> std::result::Result<i64, Fault> {
        mouth.begin();
        let mut first = None;
        for (speaker, price) in &self.speakers {
            let spoken = match speaker {
                Speaker::Http(provider) => provider.speak(text, mouth).await,
                Speaker::Program(program) => program.speak(text, language, mouth).await,
            };
            let cost = price.of_speaking(text.chars().count() as u64);
            match spoken {
                Ok(()) => return Ok(cost),
                Err(fault) => {
                    tracing::warn!(%fault, "a sentence was not spoken");
                    if mouth.has_spoken() {
                        return Err(fault);
                    }
                    first.get_or_insert(fault);
                }
            }
        }
        Err(first.unwrap_or_else(Fault::nobody))
    }
}

impl Fault {
    fn nobody() -> Self {
        Self::new("none", guard::Kind::Unreachable, "nobody is set up")
    }
}
