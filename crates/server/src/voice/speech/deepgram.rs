//! Deepgram, listening while somebody speaks (<https://developers.deepgram.com/reference/speech-to-text/listen-streaming>).
//! The connection is supervised: it is kept alive in silence, and made again when it breaks.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use http::{HeaderValue, header};
use mainstay_domain::{Error, Result};
use serde::Deserialize;
use tokio::net::TcpStream;
use tokio::sync::{Notify, mpsc};
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tokio_websockets::{ClientBuilder, Limits, MaybeTlsStream, Message, WebSocketStream};
use url::Url;

use super::guard::{Fault, Guard, Kind, SpeechFigures};
use super::http::secret;
use crate::config;
use crate::locking::lock;
use crate::voice::wire::Encoding;

/// How often a silent connection is told that it is wanted. After ten seconds without a word Deepgram ends it (NET-0001).
const KEEP_ALIVE: Duration = Duration::from_secs(4);
/// Sound that waits for the connection; of what is more the oldest is dropped.
const MOST_WAITING_MS: u32 = 1_000;
/// The largest message of Deepgram, in bytes.
const LARGEST: usize = 256 * 1024;
/// Connections in a row that fail before the session is told that nobody listens.
const MOST_FAILURES: u32 = 6;
/// The longest pause between two of them.
const LONGEST_PAUSE: Duration = Duration::from_secs(4);
/// How long the goodbye may take.
const GOODBYE: Duration = Duration::from_secs(1);

/// What is to be told to Deepgram.
#[derive(Debug)]
enum Up {
    Sound(Bytes, u32),
    Finalize,
}

/// What waits for the connection.
#[derive(Default)]
struct Queue {
    items: VecDeque<Up>,
    sound_ms: u32,
    closed: bool,
}

/// The way to Deepgram, for a session.
#[derive(Default)]
pub(in crate::voice) struct Sound {
    queue: Mutex<Queue>,
    more: Notify,
}

impl Sound {
    /// Adds sound. The answer is how many milliseconds of the oldest were dropped for it.
    pub(in crate::voice) fn push(&self, sound: Bytes, ms: u32) -> u32 {
        let mut queue = lock(&self.queue);
        queue.sound_ms += ms;
        queue.items.push_back(Up::Sound(sound, ms));
        let mut dropped = 0;
        while queue.sound_ms > MOST_WAITING_MS {
            let Some(oldest) = queue.items.iter().position(|item| matches!(item, Up::Sound(..))) else { break };
            if let Some(Up::Sound(_, ms)) = queue.items.remove(oldest) {
                queue.sound_ms -= ms;
                dropped += ms;
            }
        }
        drop(queue);
        self.more.notify_one();
        dropped
    }

    /// Asks for the text of all that was said until now.
    pub(in crate::voice) fn finalize(&self) {
        lock(&self.queue).items.push_back(Up::Finalize);
        self.more.notify_one();
    }

    /// Ends the connection.
    pub(in crate::voice) fn close(&self) {
        lock(&self.queue).closed = true;
        self.more.notify_one();
    }

    fn is_closed(&self) -> bool {
        lock(&self.queue).closed
    }

    /// What is next; nothing when it is closed.
    async fn next(&self) -> Option<Up> {
        loop {
            {
                let mut queue = lock(&self.queue);
                if let Some(item) = queue.items.pop_front() {
                    if let Up::Sound(_, ms) = &item {
                        queue.sound_ms -= ms;
                    }
                    return Some(item);
                }
                if queue.closed {
                    return None;
                }
            }
            self.more.notified().await;
        }
    }
}

/// What was understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::voice) enum Transcribed {
    /// What it may become.
    Interim(String),
    /// A part that is certain; and whether what was asked for by `finalize` ends with it, or the speech.
    Part { text: String, finalized: bool, speech_final: bool },
    /// Somebody began to speak.
    Started,
    /// Nothing was said for a while.
    Silence,
    /// The connection broke, and is made again.
    Lost,
    /// Nobody listens any more.
    Failed,
}

#[derive(Deserialize)]
#[serde(tag = "type")]
enum Said {
    Results {
        #[serde(default)]
        is_final: bool,
        #[serde(default)]
        speech_final: bool,
        #[serde(default)]
        from_finalize: bool,
        channel: Channel,
    },
    SpeechStarted {},
    UtteranceEnd {},
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
struct Channel {
    #[serde(default)]
    alternatives: Vec<Alternative>,
}

#[derive(Deserialize)]
struct Alternative {
    #[serde(default)]
    transcript: String,
}

/// Deepgram's ears.
pub(in crate::voice) struct Deepgram {
    guard: Guard,
    url: Url,
    key: Option<HeaderValue>,
    connect: Duration,
    idle: Duration,
    end_ms: u32,
}

/// What a session's connection is made of.
pub(in crate::voice) struct Ears {
    pub(in crate::voice) sound: Arc<Sound>,
    pub(in crate::voice) encoding: Encoding,
    pub(in crate::voice) language: String,
    pub(in crate::voice) to: mpsc::Sender<Transcribed>,
}

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

impl Deepgram {
    pub(super) fn new(config: &config::Config, figures: &SpeechFigures) -> Result<Self> {
        let deepgram = &config.voice.deepgram;
        let base = deepgram.base_url.trim_end_matches('/').replacen("http", "ws", 1);
        let mut url = Url::parse(&format!("{base}/v1/listen")).map_err(Error::internal)?;
        url.query_pairs_mut().append_pair("model", &deepgram.model);
        Ok(Self {
            guard: Guard::new("deepgram_listen", &config.providers, figures),
            url,
            key: secret("Token", &deepgram.api_key)?,
            connect: config.providers.connect_timeout(),
            idle: config.voice.idle_timeout(),
            end_ms: config.voice.end_ms,
        })
    }

    fn address(&self, ears: &Ears) -> String {
        let mut url = self.url.clone();
        let mut query = url.query_pairs_mut();
        query.append_pair("language", &ears.language).append_pair("interim_results", "true");
        query.append_pair("smart_format", "true");
        match ears.encoding {
            // The end of a turn is found here, and asked for.
            Encoding::PcmS16le => query
                .append_pair("encoding", "linear16")
                .append_pair("sample_rate", "16000")
                .append_pair("endpointing", "false"),
            Encoding::Opus => query
                .append_pair("encoding", "opus")
                .append_pair("sample_rate", "48000")
                .append_pair("vad_events", "true")
                .append_pair("utterance_end_ms", &self.end_ms.max(1000).to_string())
                .append_pair("endpointing", &self.end_ms.to_string()),
        };
        drop(query);
        url.into()
    }

    /// Listens until the way is closed.
    pub(in crate::voice) async fn listen(&self, ears: Ears) {
        let mut failures = 0;
        while !ears.sound.is_closed() {
            let fault = match self.connect(&ears).await {
                Ok(socket) => match self.hold(socket, &ears).await {
                    Ok(()) => return,
                    Err((fault, understood)) => {
                        failures = if understood { 0 } else { failures };
                        fault
                    }
                },
                Err(fault) => fault,
            };
            failures += 1;
            tracing::warn!(%fault, "the connection to those who listen broke; it is made again");
            let told = if failures < MOST_FAILURES { Transcribed::Lost } else { Transcribed::Failed };
            let _ = ears.to.send(told.clone()).await;
            if told == Transcribed::Failed {
                return;
            }
            sleep((super::guard::PAUSE * (1 << failures.min(8))).min(LONGEST_PAUSE)).await;
        }
    }

    async fn connect(&self, ears: &Ears) -> std::result::Result<Socket, Fault> {
        self.guard.request();
        let permit = self.guard.admit()?;
        let connected = self.connect_once(ears).await;
        self.guard.settle(permit, connected.as_ref().err());
        connected
    }

    async fn connect_once(&self, ears: &Ears) -> std::result::Result<Socket, Fault> {
        let fault = |error: &dyn std::fmt::Display| self.guard.fault(Kind::Unreachable, error);
        let limits = Limits::default().max_payload_len(Some(LARGEST));
        let builder = ClientBuilder::new().uri(&self.address(ears)).map_err(|error| fault(&error))?.limits(limits);
        let builder = match &self.key {
            Some(key) => builder.add_header(header::AUTHORIZATION, key.clone()).map_err(|error| fault(&error))?,
            None => builder,
        };
        match timeout(self.connect, Box::pin(builder.connect())).await {
            Err(_) => Err(self.guard.fault(Kind::Unreachable, "no connection in time")),
            Ok(Err(error)) => Err(fault(&error)),
            Ok(Ok((socket, _))) => Ok(socket),
        }
    }

    /// Serves one connection until the way is closed. The error also says whether anything was understood by it.
    async fn hold(&self, mut socket: Socket, ears: &Ears) -> std::result::Result<(), (Fault, bool)> {
        let mut ticks = interval(KEEP_ALIVE);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut understood = false;
        loop {
            let message = tokio::select! {
                biased;
                heard = socket.next() => match heard {
                    Some(Ok(message)) => {
                        if let Some(fault) = self.closed(&message) {
                            return Err((fault, understood));
                        }
                        if let Some(told) = message.as_text().and_then(read) {
                            understood = true;
                            let _ = ears.to.send(told).await;
                        }
                        continue;
                    }
                    Some(Err(error)) => return Err((self.guard.fault(Kind::Cut, error), understood)),
                    None => return Err((self.guard.fault(Kind::Cut, "it ended"), understood)),
                },
                up = ears.sound.next() => match up {
                    Some(Up::Sound(sound, _)) => Message::binary(sound),
                    Some(Up::Finalize) => Message::text(r#"{"type":"Finalize"}"#),
                    None => {
                        let _ = timeout(GOODBYE, goodbye(&mut socket)).await;
                        return Ok(());
                    }
                },
                _ = ticks.tick() => Message::text(r#"{"type":"KeepAlive"}"#),
            };
            match timeout(self.idle, socket.send(message)).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => return Err((self.guard.fault(Kind::Cut, error), understood)),
                Err(_) => return Err((self.guard.fault(Kind::IdleTimeout, "it takes nothing"), understood)),
            }
        }
    }

    fn closed(&self, message: &Message) -> Option<Fault> {
        let (code, reason) = message.as_close()?;
        Some(self.guard.fault(Kind::Cut, format_args!("{}: {reason}", u16::from(code))))
    }
}

/// Says goodbye, and waits for what is still to come.
async fn goodbye(socket: &mut Socket) {
    if socket.send(Message::text(r#"{"type":"CloseStream"}"#)).await.is_ok() {
        while let Some(Ok(message)) = socket.next().await {
            if message.is_close() {
                break;
            }
        }
    }
}

fn read(text: &str) -> Option<Transcribed> {
    match serde_json::from_str(text).ok()? {
        Said::Results { is_final, speech_final, from_finalize, channel } => {
            let text = channel.alternatives.into_iter().next().map(|one| one.transcript).unwrap_or_default();
            match is_final || from_finalize || speech_final {
                true => Some(Transcribed::Part { text, finalized: from_finalize, speech_final }),
                false => (!text.is_empty()).then_some(Transcribed::Interim(text)),
            }
        }
        Said::SpeechStarted {} => Some(Transcribed::Started),
        Said::UtteranceEnd {} => Some(Transcribed::Silence),
        Said::Other => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_deepgram_says_is_read() {
        let results = r#"{"type":"Results","channel_index":[0,1],"start":0.0,"duration":1.62,"is_final":true,"speech_final":true,"from_finalize":false,"channel":{"alternatives":[{"transcript":"book a cleaning","confidence":0.98,"words":[]}]},"metadata":{}}"#;
        let part = Transcribed::Part { text: "book a cleaning".to_owned(), finalized: false, speech_final: true };
        assert_eq!(read(results), Some(part));
        assert_eq!(read(r#"{"type":"SpeechStarted","channel":[0,1],"timestamp":0.1}"#), Some(Transcribed::Started));
        assert_eq!(read(r#"{"type":"UtteranceEnd","channel":[0,1],"last_word_end":1.5}"#), Some(Transcribed::Silence));
        assert_eq!(read(r#"{"type":"Metadata","duration":12.3,"channels":1}"#), None);
        assert_eq!(read(r#"{"type":"Results","channel":{}}"#), None, "an interim without words");
        assert_eq!(read("nonsense"), None);
    }

    #[tokio::test]
    async fn of_sound_that_waits_the_oldest_is_dropped() {
        let sound = Sound::default();
        let dropped: u32 = (0..60).map(|n| sound.push(Bytes::from(vec![n; 640]), 20)).sum();
        assert_eq!(dropped, 200);
        sound.finalize();
        let Some(Up::Sound(first, _)) = sound.next().await else { panic!("sound") };
        assert_eq!(first[0], 10);
    }
}
