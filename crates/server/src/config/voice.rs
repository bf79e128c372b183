//! The section `[voice]`.

use mainstay_domain::Secret;
use serde::{Deserialize, Serialize};

use super::rules::{self, durations};
use super::schema::Bound;
use super::{Fault, Warning};

/// A million of the currency's unit.
const MOST_PRICE: i64 = 1_000_000_000_000;

pub(super) const BOUNDS: &[Bound] = &[
    ("voice.sessions_free", 1, 100),
    ("voice.sessions_paid", 1, 100),
    ("voice.sessions_per_node", 1, 100_000),
    ("voice.lease_seconds", 2, 300),
    ("voice.resume_seconds", 1, 300),
    ("voice.max_session_seconds", 10, 14_400),
    ("voice.idle_seconds", 5, 3_600),
    ("voice.max_turn_seconds", 5, 60),
    ("voice.start_ms", 40, 2_000),
    ("voice.end_ms", 100, 5_000),
    ("voice.pre_roll_ms", 0, 1_000),
    ("voice.chunks_per_second", 10, 1_000),
    ("voice.chunk_burst", 10, 5_000),
    ("voice.first_byte_timeout_ms", 10, 60_000),
    ("voice.idle_timeout_ms", 10, 60_000),
    ("voice.deepgram.minute_price_micros", 0, MOST_PRICE),
    ("voice.deepgram.characters_price_micros", 0, MOST_PRICE),
    ("voice.openai.minute_price_micros", 0, MOST_PRICE),
    ("voice.openai.characters_price_micros", 0, MOST_PRICE),
    ("voice.espeak.words_per_minute", 80, 450),
    ("voice.espeak.max_processes", 1, 256),
];

/// Voice sessions.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Voice {
    /// Who makes text of speech: "deepgram", "openai" or "none". Empty: the first of them that is set up; none without.
    pub speech_to_text: String,
    /// Who makes speech of text, in order: the next one is asked when the one before cannot. Any of "deepgram", "openai", "espeak". Empty: those that are set up.
    pub text_to_speech: Vec<String>,
    /// How many sessions a person on the plan free has at once, over all nodes.
    pub sessions_free: u32,
    /// How many a person on another plan has.
    pub sessions_paid: u32,
    /// How many sessions this node has at once.
    pub sessions_per_node: usize,
    /// For how long the place of a session is kept without renewal, in seconds: after that time the places of a node that died are free.
    pub lease_seconds: u64,
    /// For how long a session whose line dropped waits to be resumed, in seconds.
    pub resume_seconds: u64,
    /// The longest session, in seconds.
    pub max_session_seconds: u64,
    /// How long nobody may say anything before a session ends, in seconds.
    pub idle_seconds: u64,
    /// The longest turn of the caller, in seconds. It then counts as said.
    pub max_turn_seconds: u64,
    /// How long a voice must be heard to count as speech, in milliseconds.
    pub start_ms: u32,
    /// How long silence must last to end a turn, in milliseconds.
    pub end_ms: u32,
    /// How much of what was heard before speech was noticed belongs to it, in milliseconds.
    pub pre_roll_ms: u32,
    /// Chunks of audio that a session sends in a second.
    pub chunks_per_second: u32,
    /// Chunks that may come at once, after a stall of the network.
    pub chunk_burst: u32,
    /// How long a provider of speech may take to the beginning of its answer, in milliseconds. Connecting, retries and the breaker are as in [providers].
    pub first_byte_timeout_ms: u64,
    /// How long a provider of speech may pause, in milliseconds.
    pub idle_timeout_ms: u64,
    /// Deepgram: both ways.
    pub deepgram: Deepgram,
    /// Any server that speaks the protocol of OpenAI's audio: both ways.
    pub openai: Speech,
    /// espeak-ng, a program on this machine that needs no key: text into speech.
    pub espeak: Espeak,
}

/// Deepgram.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Deepgram {
    /// The key. DEEPGRAM_API_KEY sets it too.
    pub api_key: Secret,
    /// A file that holds the key.
    pub api_key_file: String,
    /// Where it is.
    pub base_url: String,
    /// The model that listens.
    pub model: String,
    /// The model that speaks.
    pub voice: String,
    /// What a minute that is listened to costs, in millionths of the currency's unit.
    pub minute_price_micros: u64,
    /// What a million characters that are spoken cost, in millionths of the currency's unit.
    pub characters_price_micros: u64,
}

/// A server that speaks the protocol of OpenAI's audio.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Speech {
    /// The key, which a local server may not need.
    pub api_key: Secret,
    /// A file that holds the key.
    pub api_key_file: String,
    /// Where it is. Empty: it is not used.
    pub base_url: String,
    /// The model that listens. Empty: it does not listen.
    pub transcription_model: String,
    /// The model that speaks. Empty: it does not speak.
    pub speech_model: String,
    /// The voice that it speaks with.
    pub voice: String,
    /// What a minute that is listened to costs, in millionths of the currency's unit.
    pub minute_price_micros: u64,
    /// What a million characters that are spoken cost, in millionths of the currency's unit.
    pub characters_price_micros: u64,
}

/// espeak-ng.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Espeak {
    /// The program, with its path. Empty: it is not used.
    pub path: String,
    /// The voice, as `espeak-ng --voices` lists them. Empty: that of the session's language.
    pub voice: String,
    /// The pace.
    pub words_per_minute: u32,
    /// How many of these programs run at once. A sentence waits for its turn.
    pub max_processes: usize,
}

durations!(Voice {
    lease: from_secs(lease_seconds),
    resume: from_secs(resume_seconds),
    max_session: from_secs(max_session_seconds),
    idle: from_secs(idle_seconds),
    max_turn: from_secs(max_turn_seconds),
    first_byte_timeout: from_millis(first_byte_timeout_ms),
    idle_timeout: from_millis(idle_timeout_ms),
});

/// Who makes text of speech, or speech of text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpeechProvider {
    /// `"deepgram"`.
    Deepgram,
    /// `"openai"`.
    OpenAi,
    /// `"espeak"`.
    Espeak,
}

impl SpeechProvider {
    const ALL: [Self; 3] = [Self::Deepgram, Self::OpenAi, Self::Espeak];

    /// As it is written in the configuration.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Deepgram => "deepgram",
            Self::OpenAi => "openai",
            Self::Espeak => "espeak",
        }
    }

    fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|provider| provider.as_str() == name)
    }
}

impl Voice {
    /// Who listens; nothing when nobody is set up to.
    #[must_use]
    pub fn listener(&self) -> Option<SpeechProvider> {
        let wanted = SpeechProvider::parse(&self.speech_to_text);
        let fits = |provider: &SpeechProvider| self.can_listen(*provider) && wanted.is_none_or(|one| one == *provider);
        SpeechProvider::ALL.into_iter().find(fits).filter(|_| self.speech_to_text != "none")
    }

    /// Who speaks, in order.
    #[must_use]
    pub fn speakers(&self) -> Vec<SpeechProvider> {
        if self.text_to_speech.is_empty() {
            return SpeechProvider::ALL.into_iter().filter(|provider| self.can_speak(*provider)).collect();
        }
        self.text_to_speech.iter().filter_map(|name| SpeechProvider::parse(name)).collect()
    }

    fn can_listen(&self, provider: SpeechProvider) -> bool {
        match provider {
            SpeechProvider::Deepgram => !self.deepgram.api_key.is_empty(),
            SpeechProvider::OpenAi => !self.openai.base_url.is_empty() && !self.openai.transcription_model.is_empty(),
            SpeechProvider::Espeak => false,
        }
    }

    fn can_speak(&self, provider: SpeechProvider) -> bool {
        match provider {
            SpeechProvider::Deepgram => !self.deepgram.api_key.is_empty(),
            SpeechProvider::OpenAi => !self.openai.base_url.is_empty() && !self.openai.speech_model.is_empty(),
            SpeechProvider::Espeak => !self.espeak.path.is_empty(),
        }
    }

    pub(super) fn validate(&self, faults: &mut Vec<Fault>) {
        match (self.speech_to_text.as_str(), SpeechProvider::parse(&self.speech_to_text)) {
            ("" | "none", _) => {}
            (_, Some(provider)) if self.can_listen(provider) => {}
            (name, provider) => {
                let reason = match provider {
                    Some(_) => format!("names {name}, which is not set up to listen"),
                    None => format!("'{}' is not a provider", rules::shown(name)),
                };
                let cure = "Use deepgram with its key, openai with its base_url, none, or nothing";
                faults.push(Fault::new("voice.speech_to_text", reason, cure));
            }
        }
        for name in &self.text_to_speech {
            if SpeechProvider::parse(name).is_none_or(|provider| !self.can_speak(provider)) {
                let reason = format!("'{}' is not set up to speak", rules::shown(name));
                let cure = "Use some of deepgram with its key, openai with its base_url, espeak with its path";
                faults.push(Fault::new("voice.text_to_speech", reason, cure));
            }
        }
        for (section, key, address) in self.outside() {
            if !address.is_empty() {
                faults.extend(rules::web_address(&format!("{section}.base_url"), address, rules::Path::Any).err());
            }
            if !key.expose().bytes().all(|letter| letter.is_ascii_graphic()) {
                let reason = "has a blank, a line end or a letter in it that no key has";
                faults.push(Fault::new(format!("{section}.api_key"), reason, "Copy the key again"));
            }
        }
    }

    pub(super) fn advise(&self, warnings: &mut Vec<Warning>) {
        for (section, key, address) in self.outside() {
            if !key.is_empty() && rules::is_open(address) {
                let reason = "is not encrypted: the key and what is said cross the network for everybody to hear";
                warnings.push(Fault::new(format!("{section}.base_url"), reason, "Use https"));
            }
        }
    }

    fn outside(&self) -> [(&'static str, &Secret, &str); 2] {
        let Self { deepgram, openai, .. } = self;
        [("voice.deepgram", &deepgram.api_key, &deepgram.base_url), ("voice.openai", &openai.api_key, &openai.base_url)]
    }
}
