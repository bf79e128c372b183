//! Providers of speech that are asked over HTTP.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use mainstay_domain::{Error, Result, Secret};
use mainstay_store::trace::{Step, StepKind};
use reqwest::{Client, Response, Url};
use serde::Deserialize;
use serde_json::json;
use tokio::time::timeout;

use super::guard::{Fault, Guard, Kind, PAUSE, SpeechFigures};
use super::{Mouth, wav};
use crate::config;
use crate::voice::wire::RATE;

/// Samples in a second of what the two providers speak.
const SPOKEN_RATE: u32 = 24_000;
/// The most sound of one sentence, in bytes: two minutes.
const MOST_SOUND: usize = 2 * 60 * 2 * SPOKEN_RATE as usize;
/// The largest answer of a transcription, in bytes.
const LARGEST_ANSWER: usize = 256 * 1024;
/// What separates the parts of a form. It is in no sound that begins with a header, and in no word of ours.
const BOUNDARY: &str = "mainstay-6f1c0d5f9a2b4c7e";
/// Connections that are kept for further requests.
const IDLE_CONNECTIONS: usize = 32;

/// One provider over HTTP.
pub(super) struct HttpSpeech {
    guard: Guard,
    client: Client,
    key: Option<HeaderValue>,
    url: Url,
    first_byte: Duration,
    idle: Duration,
    form: Form,
}

enum Form {
    /// `POST /v1/speak` of Deepgram.
    DeepgramSpeak,
    /// `POST /v1/audio/speech`.
    Speech { model: String, voice: String },
    /// `POST /v1/audio/transcriptions`.
    Transcriptions { model: String },
}

#[derive(Deserialize)]
struct Transcription {
    text: String,
}

fn address(base: &str, path: &str) -> Result<Url> {
    let base = base.trim_end_matches('/');
    let path = if base.ends_with("/v1") { path.trim_start_matches("/v1") } else { path };
    Url::parse(&format!("{base}{path}")).map_err(Error::internal)
}

/// A key in the header that carries it.
pub(super) fn secret(before: &str, key: &Secret) -> Result<Option<HeaderValue>> {
    if key.is_empty() {
        return Ok(None);
    }
    let mut value = HeaderValue::from_str(&format!("{before} {}", key.expose())).map_err(Error::internal)?;
    value.set_sensitive(true);
    Ok(Some(value))
}

impl HttpSpeech {
    fn new(guard: Guard, url: Url, key: Option<HeaderValue>, form: Form, config: &config::Config) -> Result<Self> {
        let mut builder = Client::builder()
            .connect_timeout(config.providers.connect_timeout())
            .pool_max_idle_per_host(IDLE_CONNECTIONS)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .tcp_nodelay(true)
            .user_agent(concat!("mainstay/", env!("CARGO_PKG_VERSION")));
        if matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]")) {
            builder = builder.no_proxy();
        }
        let (first_byte, idle) = (config.voice.first_byte_timeout(), config.voice.idle_timeout());
        Ok(Self { guard, client: builder.build().map_err(Error::internal)?, key, url, first_byte, idle, form })
    }

    /// Deepgram, speaking.
    pub(super) fn deepgram(config: &config::Config, figures: &SpeechFigures) -> Result<Self> {
        let deepgram = &config.voice.deepgram;
        let mut url = address(&deepgram.base_url, "/v1/speak")?;
        url.query_pairs_mut()
            .append_pair("model", &deepgram.voice)
            .append_pair("encoding", "linear16")
            .append_pair("sample_rate", "24000")
            .append_pair("container", "none");
        let guard = Guard::new("deepgram_speak", &config.providers, figures);
        Self::new(guard, url, secret("Token", &deepgram.api_key)?, Form::DeepgramSpeak, config)
    }

    /// A server with OpenAI's protocol, speaking.
    pub(super) fn openai(config: &config::Config, figures: &SpeechFigures) -> Result<Self> {
        let openai = &config.voice.openai;
        let form = Form::Speech { model: openai.speech_model.clone(), voice: openai.voice.clone() };
        let url = address(&openai.base_url, "/v1/audio/speech")?;
        Self::new(
            Guard::new("openai_speech", &config.providers, figures),
            url,
            secret("Bearer", &openai.api_key)?,
            form,
            config,
        )
    }

    /// The same, listening.
    pub(super) fn transcriptions(config: &config::Config, figures: &SpeechFigures) -> Result<Self> {
        let openai = &config.voice.openai;
        let form = Form::Transcriptions { model: openai.transcription_model.clone() };
        let url = address(&openai.base_url, "/v1/audio/transcriptions")?;
        let guard = Guard::new("openai_transcriptions", &config.providers, figures);
        Self::new(guard, url, secret("Bearer", &openai.api_key)?, form, config)
    }

    /// Sends one request and waits for a status that promises what was asked for.
    async fn open(&self, kind: &'static str, body: Bytes) -> std::result::Result<Response, Fault> {
        let mut request = self.client.post(self.url.clone()).header(header::CONTENT_TYPE, kind).body(body);
        if let Some(key) = &self.key {
            request = request.header(header::AUTHORIZATION, key.clone());
        }
        let response = match timeout(self.first_byte, request.send()).await {
            Err(_) => return Err(self.guard.fault(Kind::FirstByteTimeout, "no answer in time")),
            Ok(Err(error)) => {
                let kind = if error.is_connect() { Kind::Unreachable } else { Kind::Cut };
                return Err(self.guard.fault(kind, error.without_url()));
            }
            Ok(Ok(response)) => response,
        };
        let status = response.status();
        let kind = match status.as_u16() {
            200..=299 => return Ok(response),
            401 | 403 => Kind::Unauthorised,
            429 | 503 | 529 => Kind::Busy,
            500..=599 => Kind::ServerError,
            _ => Kind::Refused,
        };
        // What a refusal says may repeat the key, so that only its status is kept.
        let mut fault = self.guard.fault(kind, format_args!("status {status}"));
        fault.retry_after = retry_after(&response, status);
        Err(fault)
    }

    async fn chunk(&self, response: &mut Response) -> std::result::Result<Option<Bytes>, Fault> {
        match timeout(self.idle, response.chunk()).await {
            Err(_) => Err(self.guard.fault(Kind::IdleTimeout, "the answer stood still")),
            Ok(Err(error)) => Err(self.guard.fault(Kind::Cut, error.without_url())),
            Ok(Ok(chunk)) => Ok(chunk),
        }
    }

    /// Speaks a sentence. Once sound has come, what fails is not tried again.
    pub(super) async fn speak(&self, text: &str, mouth: &mut Mouth) -> std::result::Result<(), Fault> {
        self.guard.request();
        let body = match &self.form {
            Form::Speech { model, voice } => {
                json!({"model": model, "voice": voice, "input": text, "response_format": "pcm"})
            }
            Form::DeepgramSpeak | Form::Transcriptions { .. } => json!({"text": text}),
        };
        let body = Bytes::from(body.to_string());
        let mut attempts = 0;
        loop {
            attempts += 1;
            let permit = self.guard.admit()?;
            let mut step = Step::begin(StepKind::Outgoing, self.guard.name);
            let spoken = self.speak_once(body.clone(), mouth).await;
            if let Err(fault) = &spoken {
                step.fail(fault.kind.code());
            }
            drop(step);
            self.guard.settle(permit, spoken.as_ref().err());
            match spoken {
                Err(fault) if !mouth.has_spoken() && self.guard.again(&fault, attempts) => {
                    tokio::time::sleep(fault.retry_after.unwrap_or(PAUSE).min(self.idle)).await;
                }
                spoken => return spoken,
            }
        }
    }

    async fn speak_once(&self, body: Bytes, mouth: &mut Mouth) -> std::result::Result<(), Fault> {
        let mut response = self.open("application/json", body).await?;
        let (mut odd, mut all) = (None, 0);
        while let Some(chunk) = self.chunk(&mut response).await? {
            all += chunk.len();
            if all > MOST_SOUND {
                return Err(self.guard.fault(Kind::Garbage, "more sound than any sentence has"));
            }
            if let Some(sound) = whole_samples(&mut odd, chunk) {
                mouth.say(SPOKEN_RATE, sound).await;
            }
        }
        if all == 0 { Err(self.guard.fault(Kind::Garbage, "an answer without sound")) } else { Ok(()) }
    }

    /// The text of a turn.
    pub(super) async fn transcribe(&self, sound: &[Bytes], language: &str) -> std::result::Result<String, Fault> {
        self.guard.request();
        let Form::Transcriptions { model } = &self.form else {
            return Err(self.guard.fault(Kind::Refused, "it does not listen"));
        };
        let body = form(model, language, &wav::file(RATE, sound));
        let mut attempts = 0;
        loop {
            attempts += 1;
            let permit = self.guard.admit()?;
            let mut step = Step::begin(StepKind::Outgoing, self.guard.name);
            let read = self.transcribe_once(body.clone()).await;
            if let Err(fault) = &read {
                step.fail(fault.kind.code());
            }
            drop(step);
            self.guard.settle(permit, read.as_ref().err());
            match read {
                Err(fault) if self.guard.again(&fault, attempts) => {
                    tokio::time::sleep(fault.retry_after.unwrap_or(PAUSE).min(self.idle)).await;
                }
                read => return read,
            }
        }
    }

    async fn transcribe_once(&self, body: Bytes) -> std::result::Result<String, Fault> {
        let kind = "multipart/form-data; boundary=mainstay-6f1c0d5f9a2b4c7e";
        let mut response = self.open(kind, body).await?;
        let mut answer = Vec::new();
        while let Some(chunk) = self.chunk(&mut response).await? {
            if answer.len() + chunk.len() > LARGEST_ANSWER {
                return Err(self.guard.fault(Kind::Garbage, "the answer is too large"));
            }
            answer.extend_from_slice(&chunk);
        }
        let read: Transcription =
            serde_json::from_slice(&answer).map_err(|error| self.guard.fault(Kind::Garbage, error))?;
        Ok(read.text.trim().to_owned())
    }
}

fn retry_after(response: &Response, status: StatusCode) -> Option<Duration> {
    let seconds = response.headers().get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    (status.as_u16() == 429 || status.as_u16() == 503).then(|| Duration::from_secs(seconds))
}

/// The form of a transcription (RFC 7578).
fn form(model: &str, language: &str, file: &[u8]) -> Bytes {
    let short = language.split('-').next().unwrap_or_default();
    let mut body = Vec::with_capacity(file.len() + 1024);
    for (name, value) in [("model", model), ("language", short), ("response_format", "json")] {
        let part = format!("--{BOUNDARY}\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
        body.extend_from_slice(part.as_bytes());
    }
    let head = "content-disposition: form-data; name=\"file\"; filename=\"turn.wav\"\r\ncontent-type: audio/wav";
    body.extend_from_slice(format!("--{BOUNDARY}\r\n{head}\r\n\r\n").as_bytes());
    body.extend_from_slice(file);
    body.extend_from_slice(format!("\r\n--{BOUNDARY}--\r\n").as_bytes());
    body.into()
}

/// Sound in whole samples of two bytes: what is odd waits for the next piece.
pub(super) fn whole_samples(odd: &mut Option<u8>, chunk: Bytes) -> Option<Bytes> {
    let whole = match odd.take() {
        None if chunk.len().is_multiple_of(2) => chunk,
        before => {
            let mut joined: Vec<u8> = before.into_iter().chain(chunk).collect();
            if !joined.len().is_multiple_of(2) {
                *odd = joined.pop();
            }
            joined.into()
        }
    };
    (!whole.is_empty()).then_some(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_sample_is_torn() {
        let mut odd = None;
        let pieces = [&[1u8, 2, 3][..], &[4], &[5], &[6, 7, 8]];
        let whole: Vec<_> =
            pieces.iter().filter_map(|piece| whole_samples(&mut odd, Bytes::copy_from_slice(piece))).collect();
        assert!(whole.iter().all(|piece| piece.len() % 2 == 0));
        assert_eq!(whole.concat(), [1, 2, 3, 4, 5, 6, 7, 8]);
    }

    #[test]
    fn a_version_is_not_named_twice() {
        for base in ["http://x/v1", "http://x/v1/", "http://x"] {
            assert_eq!(address(base, "/v1/audio/speech").expect("an address").as_str(), "http://x/v1/audio/speech");
        }
    }
}
