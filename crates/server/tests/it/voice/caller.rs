//! Somebody who speaks into a voice session.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_websockets::{ClientBuilder, MaybeTlsStream, Message, WebSocketStream};

use crate::support::TestApp;

const PATIENCE: Duration = Duration::from_secs(30);
/// Sound that is sent ahead of time.
const AHEAD: Duration = Duration::from_millis(2_500);

/// What a session said.
#[derive(Clone, Debug)]
pub(super) enum Heard {
    Frame(Value),
    Sound { turn: u32, sequence: u32, bytes: usize },
    Closed(u16),
}

/// A line to a session.
pub(super) struct Caller {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    began: tokio::time::Instant,
    spoken: Duration,
    /// Sound that was heard since the last frame that was waited for, in bytes, by turn.
    pub(super) sound: Vec<(u32, u32, usize)>,
}

impl Caller {
    /// Opens a line without saying anything.
    pub(super) async fn open(app: &TestApp, token: &str, query: &str) -> Result<Self, tokio_websockets::Error> {
        Self::open_at(&app.address, token, query).await
    }

    /// The same, wherever the server is.
    pub(super) async fn open_at(base: &str, token: &str, query: &str) -> Result<Self, tokio_websockets::Error> {
        let address = format!("{}/v1/voice{query}", base.replace("http://", "ws://"));
        let value = format!("Bearer {token}").parse().expect("a header");
        let builder = ClientBuilder::new().uri(&address).expect("an address");
        let builder = builder.add_header(http::header::AUTHORIZATION, value).expect("allowed");
        builder.connect().await.map(|(socket, _)| Self {
            socket,
            began: tokio::time::Instant::now(),
            spoken: Duration::ZERO,
            sound: Vec::new(),
        })
    }

    /// Begins a session. The answer also has what it is ready with.
    pub(super) async fn start(app: &TestApp, token: &str, start: Value) -> (Self, Value) {
        let mut caller = Self::open(app, token, "").await.unwrap_or_else(|error| panic!("no line: {error}"));
        caller.say(start).await;
        let ready = caller.until("ready").await;
        (caller, ready)
    }

    pub(super) async fn say(&mut self, frame: Value) {
        self.socket.send(Message::text(frame.to_string())).await.expect("sent");
    }

    pub(super) async fn say_text(&mut self, text: &str) {
        self.socket.send(Message::text(text.to_owned())).await.expect("sent");
    }

    pub(super) async fn send(&mut self, sound: &[u8]) {
        self.socket.send(Message::binary(sound.to_vec())).await.expect("sent");
    }

    /// Hangs up, as a browser does.
    pub(super) async fn close(&mut self) {
        self.socket.send(Message::close(Some(tokio_websockets::CloseCode::GOING_AWAY), "")).await.expect("sent");
    }

    /// Speaks: in chunks of 20 milliseconds, no further ahead of time than a microphone after a stall of the network.
    pub(super) async fn speak(&mut self, sound: &[u8]) {
        for chunk in sound.chunks(640) {
            self.send(chunk).await;
            self.spoken += Duration::from_millis(20);
            let ahead = self.spoken.saturating_sub(self.began.elapsed());
            tokio::time::sleep(ahead.saturating_sub(AHEAD)).await;
        }
    }

    /// The next thing.
    pub(super) async fn next(&mut self) -> Heard {
        // The server's pings are no answer.
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let message = tokio::time::timeout_at(deadline, self.socket.next()).await.expect("in time");
            let Some(Ok(message)) = message else { return Heard::Closed(1006) };
            if let Some((code, _)) = message.as_close() {
                return Heard::Closed(code.into());
            }
            if message.is_binary() {
                let sound = message.as_payload();
                let number = |at: usize| u32::from_le_bytes(sound[at..at + 4].try_into().expect("four bytes"));
                return Heard::Sound { turn: number(0), sequence: number(4), bytes: sound.len() - 8 };
            }
            if let Some(text) = message.as_text() {
                return Heard::Frame(serde_json::from_str(text).expect("JSON"));
            }
        }
    }

    /// The next frame of this kind. What comes before is left out, and sound is remembered.
    pub(super) async fn until(&mut self, kind: &str) -> Value {
        loop {
            match self.next().await {
                Heard::Frame(frame) if frame["type"] == json!(kind) => return frame,
                Heard::Frame(frame) => assert_ne!(frame["type"], json!("ended"), "before {kind}: {frame}"),
                Heard::Sound { turn, sequence, bytes } => self.sound.push((turn, sequence, bytes)),
                Heard::Closed(code) => panic!("closed with {code} before {kind}"),
            }
        }
    }

    /// Waits until so much sound of a turn has come, in bytes.
    pub(super) async fn hear(&mut self, turn: u32, bytes: usize) {
        let of_turn = |sound: &[(u32, u32, usize)]| -> usize {
            sound.iter().filter(|(of, _, _)| *of == turn).map(|(_, _, bytes)| bytes).sum()
        };
        while of_turn(&self.sound) < bytes {
            match self.next().await {
                Heard::Sound { turn, sequence, bytes } => self.sound.push((turn, sequence, bytes)),
                Heard::Frame(_) => {}
                Heard::Closed(code) => panic!("closed with {code} before the sound"),
            }
        }
    }

    /// Says what a transcript was taken for.
    pub(super) async fn transcript(&mut self, role: &str, is_final: bool) -> Value {
        loop {
            let frame = self.until("transcript").await;
            if frame["role"] == json!(role) && frame["final"] == json!(is_final) {
                return frame;
            }
        }
    }

    /// Waits for the end: the reason, and the code that the line was closed with.
    pub(super) async fn ended(&mut self) -> (Value, u16) {
        let mut reason = Value::Null;
        loop {
            match self.next().await {
                Heard::Frame(frame) if frame["type"] == json!("ended") => reason = frame["reason"].clone(),
                Heard::Closed(code) => return (reason, code),
                Heard::Frame(_) | Heard::Sound { .. } => {}
            }
        }
    }
}

/// A hum in the rhythm of syllables, which is what counts of a voice: 16 kHz, 16 bits.
pub(super) fn voice(ms: u32) -> Vec<u8> {
    let sample = |n: u32| {
        let t = f64::from(n) / 16_000.0;
        let hum: f64 = [130.0, 260.0, 390.0].iter().map(|pitch| (t * pitch * std::f64::consts::TAU).sin()).sum();
        let rhythm = 0.6 + 0.4 * (t * 4.0 * std::f64::consts::TAU).sin();
        (hum / 3.0 * rhythm * 8_000.0) as i16
    };
    (0..ms * 16).flat_map(|n| sample(n).to_le_bytes()).collect()
}

/// Nothing to hear.
pub(super) fn silence(ms: u32) -> Vec<u8> {
    (0..ms * 16).flat_map(|n| (if n % 2 == 0 { 8i16 } else { -8 }).to_le_bytes()).collect()
}

/// What espeak-ng says, at 16 kHz; nothing where it is not installed.
pub(crate) fn espoken(text: &str) -> Option<Vec<u8>> {
    let made = std::process::Command::new("espeak-ng").args(["--stdout", "-v", "en", text]).output();
    let Ok(made) = made else {
        mainstay_testing::skip("espeak-ng", "espeak-ng is not installed: there is none on PATH");
        return None;
    };
    let file = made.stdout;
    let samples: Vec<i16> = file[44..].chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect();
    let count = samples.len() * 16_000 / 22_050;
    Some((0..count).flat_map(|n| samples[n * 22_050 / 16_000].to_le_bytes()).collect())
}
