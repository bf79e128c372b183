//! espeak-ng: speech by a program on this machine. The text goes in as its input and never through a shell, and whoever no
//! longer listens ends it.

use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::guard::{Fault, Guard, Kind, SpeechFigures};
use super::http::whole_samples;
use super::{Mouth, wav};
use crate::config;

/// How much of its output is read at once.
const PIECE: usize = 4096;

/// The program.
pub(super) struct Espeak {
    guard: Guard,
    path: String,
    voice: String,
    words_per_minute: u32,
    turns: Arc<Semaphore>,
    first_byte: Duration,
    idle: Duration,
}

impl Espeak {
    pub(super) fn new(config: &config::Config, figures: &SpeechFigures) -> Self {
        let espeak = &config.voice.espeak;
        Self {
            guard: Guard::new("espeak", &config.providers, figures),
            path: espeak.path.clone(),
            voice: espeak.voice.clone(),
            words_per_minute: espeak.words_per_minute,
            turns: Arc::new(Semaphore::new(espeak.max_processes)),
            first_byte: config.voice.first_byte_timeout(),
            idle: config.voice.idle_timeout(),
        }
    }

    pub(super) async fn speak(&self, text: &str, language: &str, mouth: &mut Mouth) -> Result<(), Fault> {
        self.guard.request();
        let turn = timeout(self.first_byte, self.turns.acquire()).await;
        let Ok(Ok(_turn)) = turn else { return Err(self.guard.fault(Kind::Busy, "no process was free in time")) };
        let permit = self.guard.admit()?;
        let spoken = self.speak_once(text, language, mouth).await;
        self.guard.settle(permit, spoken.as_ref().err());
        spoken
    }

    fn start(&self, language: &str) -> std::io::Result<Child> {
        let voice = if self.voice.is_empty() { language.to_lowercase() } else { self.voice.clone() };
        Command::new(&self.path)
            .args(["--stdin", "--stdout", "-v", &voice, "-s", &self.words_per_minute.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
    }

    async fn speak_once(&self, text: &str, language: &str, mouth: &mut Mouth) -> Result<(), Fault> {
        let mut child = self.start(language).map_err(|error| self.guard.fault(Kind::Unreachable, error))?;
        let (Some(mut input), Some(mut output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(self.guard.fault(Kind::Unreachable, "it has no input or no output"));
        };
        // A sentence is smaller than the buffer of a pipe, so this never waits for what is read below.
        input.write_all(text.as_bytes()).await.map_err(|error| self.guard.fault(Kind::Cut, error))?;
        drop(input);
        let mut head = BytesMut::new();
        let (mut rate, mut odd, mut wait) = (None, None, self.first_byte);
        loop {
            let mut piece = BytesMut::with_capacity(PIECE);
            match timeout(wait, output.read_buf(&mut piece)).await {
                Err(_) if rate.is_none() => return Err(self.guard.fault(Kind::FirstByteTimeout, "no sound in time")),
                Err(_) => return Err(self.guard.fault(Kind::IdleTimeout, "it stood still")),
                Ok(Err(error)) => return Err(self.guard.fault(Kind::Cut, error)),
                Ok(Ok(0)) => break,
                Ok(Ok(_)) => wait = self.idle,
            }
            let sound: Bytes = match rate {
                Some(_) => piece.freeze(),
                None => {
                    head.extend_from_slice(&piece);
                    match wav::begin(&head) {
                        Some((found, at)) => {
                            rate = Some(found);
                            head.split_off(at).freeze()
                        }
                        None if head.len() > wav::LONGEST_HEADER => {
                            return Err(self.guard.fault(Kind::Garbage, "its output is no sound"));
                        }
                        None => continue,
                    }
                }
            };
            if let (Some(rate), Some(sound)) = (rate, whole_samples(&mut odd, sound)) {
                mouth.say(rate, sound).await;
            }
        }
        let ended = timeout(self.idle, child.wait()).await;
        match ended {
            Ok(Ok(status)) if status.success() && rate.is_some() => Ok(()),
            Ok(Ok(status)) => Err(self.guard.fault(Kind::Refused, format_args!("it ended with {status}"))),
            Ok(Err(error)) => Err(self.guard.fault(Kind::Cut, error)),
            Err(_) => Err(self.guard.fault(Kind::IdleTimeout, "it does not end")),
        }
    }
}
