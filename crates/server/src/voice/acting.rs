//! What a session does when something happens: sound arrives, somebody begins or ends to speak, the answer is made.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use mainstay_domain::Error;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_websockets::Message;

use super::answering::{Answering, Latency};
use super::detector::{FRAME_MS, Heard};
use super::figures::Why;
use super::gate::Verdict;
use super::line::{Dropped, Line};
use super::reason::Reason;
use super::session::{Capture, Next, Session};
use super::speech::{Fault, Transcribed};
use super::turn::{End, Meter, Said, Task, TurnEvent};
use super::wire::{self, ClientFrame, Encoding, RATE, ServerFrame, audio_frame};

/// Bytes of 20 milliseconds.
const SLICE: usize = (RATE as usize / 1000) * FRAME_MS as usize * 2;
/// Events of a turn that wait to be taken.
const MOST_EVENTS: usize = 16;
/// How long the last words are waited for after speech has ended, where it is transcribed while it is said.
const LAST_WORDS: Duration = Duration::from_millis(1500);
/// Frames that are none, after which a session is ended.
const MOST_BAD_FRAMES: u32 = 20;

type Acted = Result<Option<Reason>, Dropped>;

impl Session {
    pub(super) async fn act(&mut self, line: &mut Line, next: Next) -> Acted {
        match next {
            Next::Frame(message) => {
                line.heard_at = Instant::now();
                self.frame(line, message).await
            }
            Next::Heard(heard) => self.heard(line, heard).await,
            Next::Told(event) => self.told(line, event).await.map(|()| None),
            Next::Ended(end) => self.turn_ended(line, end).await,
            Next::SoundDue => self.send_sound(line).await.map(|()| None),
            Next::Tick => {
                self.last_words(false);
                self.tick(line).await
            }
            _ => Ok(None),
        }
    }

    async fn frame(&mut self, line: &mut Line, message: Message) -> Acted {
        if message.is_binary() {
            return self.sound(line, message.into_payload().into()).await;
        }
        let Some(text) = message.as_text() else { return Ok(None) };
        match wire::read(text) {
            Err(error) => {
                self.bad_frames += 1;
                self.say_error(line, &error).await?;
                Ok((self.bad_frames >= MOST_BAD_FRAMES).then_some(Reason::BadFrames))
            }
            Ok(ClientFrame::Stop {}) => Ok(Some(Reason::Stopped)),
            Ok(ClientFrame::Ping { t }) => line.say(&ServerFrame::Pong { t }).await.map(|()| None),
            Ok(ClientFrame::Start(_)) => {
                let error = Error::invalid_field("type", "already_started", "A session is started once.");
                self.say_error(line, &error).await.map(|()| None)
            }
            Ok(ClientFrame::Played { turn, ms }) => {
                if let Some(answering) = self.answering.as_mut().filter(|answering| answering.number == turn) {
                    answering.report(Duration::from_millis(u64::from(ms)));
                }
                Ok(None)
            }
            Ok(ClientFrame::Cancel {}) => {
                self.active_at = Instant::now();
                self.interrupt(line).await.map(|()| None)
            }
            Ok(ClientFrame::Commit {}) => {
                self.active_at = Instant::now();
                if self.capture.is_some() {
                    self.detector.end();
                    self.end_of_speech();
                } else {
                    line.say(&ServerFrame::Warning { code: "nothing_heard", count: 1 }).await?;
                }
                Ok(None)
            }
        }
    }

    pub(super) async fn say_error(&mut self, line: &mut Line, error: &Error) -> Result<(), Dropped> {
        let detail = error.fields.first().map_or(error.detail.as_ref(), |field| field.detail.as_ref());
        let retry_after_ms = error.retry_after.map(|wait| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX));
        line.say(&ServerFrame::Error { code: error.code, message: detail, retry_after_ms }).await
    }

    /// A chunk of sound.
    async fn sound(&mut self, line: &mut Line, chunk: Bytes) -> Acted {
        let opus_ms = match self.encoding {
            Encoding::PcmS16le => None,
            Encoding::Opus => Some(wire::opus_ms(&chunk)),
        };
        let ms = match opus_ms {
            Some(Some(ms)) => ms,
            None if !chunk.is_empty() && chunk.len().is_multiple_of(2) => {
                u32::try_from(chunk.len()).unwrap_or(u32::MAX).div_ceil(2 * RATE / 1000)
            }
            _ => {
                self.bad_frames += 1;
                let cure = "A binary frame is whole samples of 16 bits, or one packet of Opus, as start has said.";
                self.say_error(line, &Error::invalid_field("audio", "not_audio", cure)).await?;
                return Ok((self.bad_frames >= MOST_BAD_FRAMES).then_some(Reason::BadFrames));
            }
        };
        let shed = |excess: super::gate::Excess| {
            self.app.voice.figures.shed.get_or_create(&Why { why: excess.code() }).inc();
        };
        match self.gate.take(f64::from(ms)) {
            Verdict::Taken => {}
            Verdict::Shed(excess, told) => {
                shed(excess);
                if let Some(count) = told {
                    line.say(&ServerFrame::Warning { code: excess.code(), count }).await?;
                }
                return Ok(None);
            }
            Verdict::Enough(excess) => {
                shed(excess);
                return Ok(Some(Reason::Flood));
            }
        }
        match self.encoding {
            Encoding::Opus => {
                let mut is_too_long = false;
                if let Some(capture) = &mut self.capture {
                    capture.ms += u64::from(ms);
                    is_too_long = capture.ms >= self.app.config.voice.max_turn_seconds * 1000;
                }
                self.stream(chunk, ms);
                if is_too_long {
                    self.end_of_speech();
                }
                Ok(None)
            }
            Encoding::PcmS16le => self.samples(line, chunk).await,
        }
    }

    async fn samples(&mut self, line: &mut Line, mut chunk: Bytes) -> Acted {
        let most_turn = self.app.config.voice.max_turn_seconds * 1000;
        while !chunk.is_empty() {
            let slice = chunk.split_to(SLICE.min(chunk.len()));
            let ms = u64::try_from(slice.len()).unwrap_or(u64::MAX).div_ceil(u64::from(2 * RATE / 1000));
            let heard = self.detector.hear(&slice);
            if let Some(capture) = self.capture.as_mut().filter(|capture| capture.closing.is_none()) {
                capture.ms += ms;
                let is_too_long = capture.ms >= most_turn;
                if self.hearing.is_none() {
                    capture.sound.push(slice);
                } else {
                    self.stream(slice, ms as u32);
                }
                if is_too_long || heard == Some(Heard::End) {
                    self.detector.end();
                    self.end_of_speech();
                }
            } else {
                self.keep(slice);
                if heard == Some(Heard::Start) {
                    self.speech(line).await?;
                }
            }
        }
        Ok(None)
    }

    /// Keeps what was heard last.
    fn keep(&mut self, slice: Bytes) {
        let voice = &self.app.config.voice;
        let most = ((voice.pre_roll_ms + voice.start_ms) / FRAME_MS) as usize;
        // Of its own: a slice would keep the whole chunk that it was cut from.
        self.pre_roll.push_back(Bytes::copy_from_slice(&slice));
        while self.pre_roll.len() > most {
            self.pre_roll.pop_front();
        }
    }

    /// Sends sound to those who transcribe while it is said.
    fn stream(&mut self, sound: Bytes, ms: u32) {
        if let Some(hearing) = &self.hearing {
            let dropped = hearing.sound.push(sound, ms);
            self.app.voice.figures.dropped.inc_by(u64::from(dropped));
        }
    }

    /// Somebody has begun to speak.
    async fn speech(&mut self, line: &mut Line) -> Result<(), Dropped> {
        self.active_at = Instant::now();
        // What is not understood yet goes on; what is answered is interrupted.
        let before = match self.answering.take_if(|answering| !answering.understood && answering.work.is_some()) {
            Some(answering) => Some(answering),
            None => {
                self.interrupt(line).await?;
                None
            }
        };
        let pre_roll: Vec<Bytes> = self.pre_roll.drain(..).collect();
        let pre_ms = pre_roll.len() as u64 * u64::from(FRAME_MS);
        let mut capture = match before {
            Some(Answering { meter, heard_ms, sound, text, .. }) => {
                Capture { sound, ms: heard_ms, text, meter, closing: None }
            }
            None => {
                self.turn += 1;
                let meter = Arc::new(Meter::new(self.app.ids.make()));
                Capture { sound: Vec::new(), ms: 0, text: String::new(), meter, closing: None }
            }
        };
        capture.ms += pre_ms;
        if self.hearing.is_none() {
            capture.sound.extend(pre_roll);
        } else {
            pre_roll.into_iter().for_each(|slice| self.stream(slice, FRAME_MS));
        }
        self.capture = Some(capture);
        line.say(&ServerFrame::SpeechStarted { turn: self.turn }).await
    }

    /// Speech is over: its turn begins, or its last words are waited for.
    fn end_of_speech(&mut self) {
        let now = Instant::now();
        let Some(capture) = &mut self.capture else { return };
        match &self.hearing {
            Some(hearing) if self.encoding == Encoding::PcmS16le => {
                hearing.sound.finalize();
                capture.closing = Some((now, now + LAST_WORDS));
            }
            _ => {
                capture.closing = Some((now, now));
                self.last_words(true);
            }
        }
    }

    /// The last words of a turn have come, or are not waited for any longer: its reply is made.
    fn last_words(&mut self, all: bool) {
        let is_due = |capture: &mut Capture| capture.closing.is_some_and(|(_, until)| all || until <= Instant::now());
        let Some(capture) = self.capture.take_if(is_due) else { return };
        let said_at = capture.closing.map_or_else(Instant::now, |(since, _)| since);
        let Capture { sound, ms, text, meter, .. } = capture;
        let said = if self.hearing.is_some() { Said::Text(text.clone()) } else { Said::Sound(sound.clone()) };
        let (to, events) = mpsc::channel(MOST_EVENTS);
        let task = Task {
            app: Arc::clone(&self.app),
            by: self.by.clone(),
            language: self.language.clone(),
            said,
            conversation: self.conversation,
            meter: Arc::clone(&meter),
            to,
        };
        self.app.voice.figures.turns.inc();
        let work = Box::pin(task.run(self.cutting.take()));
        self.answering = Some(Answering::new(self.turn, (meter, ms), (sound, text), (work, events), said_at));
    }

    /// Those who transcribe while somebody speaks have understood something.
    async fn heard(&mut self, line: &mut Line, heard: Transcribed) -> Acted {
        let of_opus = self.encoding == Encoding::Opus;
        match heard {
            Transcribed::Started if of_opus && self.capture.is_none() => self.speech(line).await?,
            Transcribed::Interim(text) => {
                if of_opus && self.capture.is_none() {
                    self.speech(line).await?;
                }
                self.say_interim(line, &text).await?;
            }
            Transcribed::Part { text, finalized, speech_final } => {
                if of_opus && self.capture.is_none() && !text.is_empty() {
                    self.speech(line).await?;
                }
                if let Some(capture) = &mut self.capture {
                    if !text.is_empty() {
                        capture.text = format!("{} {text}", capture.text).trim().to_owned();
                    }
                    self.say_interim(line, "").await?;
                }
                if finalized {
                    self.last_words(true);
                } else if of_opus && speech_final {
                    self.end_of_speech();
                }
            }
            Transcribed::Silence if of_opus => self.end_of_speech(),
            Transcribed::Lost => {
                line.say(&ServerFrame::Warning { code: "listening_interrupted", count: 1 }).await?;
            }
            Transcribed::Failed => {
                let fault = "Nobody can be reached who makes text of speech. Try again in a moment.";
                let frame = ServerFrame::Error { code: "nobody_listens", message: fault, retry_after_ms: Some(10_000) };
                line.say(&frame).await?;
                return Ok(Some(Reason::NobodyListens));
            }
            Transcribed::Started | Transcribed::Silence => {}
        }
        Ok(None)
    }

    /// What the turn may become.
    async fn say_interim(&mut self, line: &mut Line, more: &str) -> Result<(), Dropped> {
        let before = self.capture.as_ref().map_or("", |capture| &capture.text);
        let text = format!("{before} {more}");
        let (turn, conversation_id) = (self.turn, None);
        let text = text.trim();
        line.say(&ServerFrame::Transcript { turn, role: "user", is_final: false, text, conversation_id }).await
    }

    /// The turn tells how far it is.
    async fn told(&mut self, line: &mut Line, event: TurnEvent) -> Result<(), Dropped> {
        let Some(answering) = &mut self.answering else { return Ok(()) };
        let (turn, since) = (answering.number, answering.since_said());
        match event {
            TurnEvent::Understood(text) => {
                answering.understood = true;
                (answering.sound, answering.text) = (Vec::new(), String::new());
                answering.latency.transcript_ms = Some(since);
                self.app.voice.figures.stage("transcript", since);
                let (role, text, conversation_id) = ("user", text.as_str(), None);
                line.say(&ServerFrame::Transcript { turn, role, is_final: true, text, conversation_id }).await
            }
            TurnEvent::Begun(conversation, generation) => {
                answering.reply = Some((conversation, generation));
                self.conversation = Some(conversation);
                let conversation_id = Some(conversation.uuid());
                let (role, text) = ("assistant", "");
                line.say(&ServerFrame::Transcript { turn, role, is_final: false, text, conversation_id }).await
            }
            TurnEvent::FirstToken => {
                answering.latency.first_token_ms = Some(since);
                self.app.voice.figures.stage("first_token", since);
                Ok(())
            }
            TurnEvent::Sentence(sentence) => {
                let text = sentence.text.clone();
                answering.sentence(sentence);
                let (role, text, conversation_id) = ("assistant", text.as_str(), None);
                line.say(&ServerFrame::Transcript { turn, role, is_final: true, text, conversation_id }).await
            }
            TurnEvent::Rate(rate) => {
                answering.rate = rate;
                answering.pacer.set_rate(rate);
                answering.audio_started = true;
                let frame = ServerFrame::AudioStart { turn, encoding: "pcm_s16le", sample_rate: rate };
                line.say(&frame).await
            }
            TurnEvent::Sound(sound) => {
                answering.sound(sound);
                self.send_sound(line).await
            }
            TurnEvent::Unspoken(code) => line.say(&ServerFrame::Warning { code, count: 1 }).await,
        }
    }

    /// Sends the sound that is due.
    async fn send_sound(&mut self, line: &mut Line) -> Result<(), Dropped> {
        let Some(answering) = &mut self.answering else { return Ok(()) };
        let (turn, mut first) = (answering.number, None);
        while let Some((sequence, piece)) = answering.pacer.next() {
            line.send(Message::binary(audio_frame(turn, sequence, &piece))).await?;
            if answering.latency.first_audio_ms.is_none() {
                let since = answering.since_said();
                answering.latency.first_audio_ms = Some(since);
                let Latency { transcript_ms, first_token_ms, first_audio_ms } = answering.latency;
                self.app.voice.figures.stage("first_audio", since);
                line.say(&ServerFrame::Latency { turn, transcript_ms, first_token_ms, first_audio_ms }).await?;
                first = Some(since);
            }
        }
        if answering.is_sent() && std::mem::take(&mut answering.audio_started) {
            line.say(&ServerFrame::AudioEnd { turn }).await?;
        }
        if let Some(latency_ms) = first {
            self.remember(latency_ms);
        }
        Ok(())
    }

    /// The turn's work is done; its sound may still be played.
    async fn turn_ended(&mut self, line: &mut Line, end: End) -> Acted {
        // What it told last comes before its end.
        while let Some(Ok(event)) = self.answering.as_mut().map(|answering| answering.events.try_recv()) {
            self.told(line, event).await?;
        }
        self.active_at = Instant::now();
        self.settle(false);
        match end {
            End::Done => {}
            End::NothingUnderstood => {
                self.answering = None;
                line.say(&ServerFrame::Warning { code: "nothing_understood", count: 1 }).await?;
            }
            End::Unheard(fault) => {
                self.answering = None;
                self.say_unheard(line, &fault).await?;
            }
            End::Refused(error, is_over) => {
                self.answering = None;
                if error.code == "not_found" {
                    // The conversation was deleted: the next turn begins another.
                    self.conversation = None;
                }
                self.say_error(line, &error).await?;
                return Ok(is_over.then_some(Reason::Spent));
            }
        }
        self.send_sound(line).await?;
        Ok(None)
    }

    async fn say_unheard(&mut self, line: &mut Line, fault: &Fault) -> Result<(), Dropped> {
        tracing::warn!(%fault, "a turn was not understood");
        let message = "What you said could not be made into text. Say it again in a moment.";
        let retry_after_ms = fault.retry_after.map(|wait| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX));
        line.say(&ServerFrame::Error { code: "not_transcribed", message, retry_after_ms }).await
    }
}
