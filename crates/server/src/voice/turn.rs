//! A turn: what the caller said becomes a message, and its reply is spoken as it is made.

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use mainstay_domain::{ConversationId, Error, GenerationId, IdempotencyKey, Kind, MessageText, Timestamp};
use mainstay_store::{Bid, Call, Claim, ReserveSpeech};
use tokio::sync::mpsc;
use uuid::Uuid;

use super::sentences::{Cutter, Sentence};
use super::speech::{Fault, Mouth};
use crate::accounts::Member;
use crate::app::App;
use crate::assistant::SendRequest;
use crate::billing::refusal;
use crate::locking::lock;

/// How long storing what was said may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// The most that is spoken of one reply, in characters; the rest can be read.
pub(super) const MOST_SPOKEN: u64 = 4_000;
/// With less than so many characters left to speak a turn is not begun.
const LEAST_SPOKEN: u64 = 100;
/// What is set aside for a turn lasts so long beyond it.
const RESERVED_FOR: Duration = Duration::from_secs(30 * 60);
/// The longest message, in characters: what was said beyond is cut.
const LONGEST_MESSAGE: usize = 10_000;

/// Something to be done, owned by a session: dropping it ends it.
pub(super) type Work<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// What a turn tells while it is made.
#[derive(Debug)]
pub(super) enum TurnEvent {
    /// What the caller said.
    Understood(String),
    /// It is stored, and its reply is made.
    Begun(ConversationId, GenerationId),
    /// The first words of the reply are there.
    FirstToken,
    /// This is spoken from here on.
    Sentence(Sentence),
    /// From here on sound has so many samples in a second.
    Rate(u32),
    /// Sound.
    Sound(Bytes),
    /// Something could not be spoken.
    Unspoken(&'static str),
}

/// How a turn ended.
pub(super) enum End {
    Done,
    NothingUnderstood,
    /// Refused, for a reason that the caller is told; and whether nothing more can be said in this session.
    Refused(Error, bool),
    /// Nobody could make text of it.
    Unheard(Fault),
}

impl End {
    /// Without quota or budget nothing more can be said.
    fn refused(error: Error) -> Self {
        let is_over = matches!(error.code, "quota_exceeded" | "budget_spent");
        Self::Refused(error, is_over)
    }
}

/// What a turn took, until now.
#[derive(Debug, Default)]
struct Taken {
    reserved_at: Option<Timestamp>,
    characters: u64,
    most_characters: u64,
    cost: i64,
}

/// Counts what a turn takes, however it ends.
#[derive(Debug)]
pub(super) struct Meter {
    pub(super) id: Uuid,
    taken: Mutex<Taken>,
}

impl Meter {
    pub(super) fn new(id: Uuid) -> Self {
        Self { id, taken: Mutex::new(Taken { most_characters: MOST_SPOKEN, ..Taken::default() }) }
    }

    /// When it was set aside for, the characters that were spoken, and what they cost.
    pub(super) fn taken(&self) -> (Option<Timestamp>, u64, i64) {
        let taken = lock(&self.taken);
        (taken.reserved_at, taken.characters, taken.cost)
    }

    /// Whether so many characters may still be spoken; they are counted.
    fn speak(&self, characters: u64) -> bool {
        let mut taken = lock(&self.taken);
        let fits = taken.characters + characters <= taken.most_characters;
        if fits {
            taken.characters += characters;
        }
        fits
    }
}

/// What was said.
pub(super) enum Said {
    Sound(Vec<Bytes>),
    Text(String),
}

/// One turn to be made.
pub(super) struct Task {
    pub(super) app: Arc<App>,
    pub(super) by: Member,
    pub(super) language: String,
    pub(super) said: Said,
    pub(super) conversation: Option<ConversationId>,
    pub(super) meter: Arc<Meter>,
    pub(super) to: mpsc::Sender<TurnEvent>,
}

impl Task {
    /// Makes it, after what must be done before: the reply before this one is cut to what was heard.
    pub(super) async fn run(mut self, before: Option<Work<()>>) -> End {
        if let Some(before) = before {
            before.await;
        }
        if let Err(error) = self.reserve().await {
            return End::refused(error);
        }
        let text = match std::mem::replace(&mut self.said, Said::Text(String::new())) {
            Said::Text(text) => text,
            Said::Sound(sound) => match self.app.voice.speech.transcribe(&sound, &self.language).await {
                Ok(text) => text,
                Err(fault) => return End::Unheard(fault),
            },
        };
        let text: String = text.trim().chars().take(LONGEST_MESSAGE).collect();
        let Ok(content) = MessageText::parse(text.clone()) else { return End::NothingUnderstood };
        self.tell(TurnEvent::Understood(text)).await;
        match self.answer(content).await {
            Ok(()) => End::Done,
            Err(error) => End::refused(error),
        }
    }

    async fn tell(&self, event: TurnEvent) {
        // Whoever no longer listens has dropped this future.
        let _ = self.to.send(event).await;
    }

    /// Sets aside what the turn may cost, once.
    async fn reserve(&self) -> Result<(), Error> {
        if lock(&self.meter.taken).reserved_at.is_some() {
            return Ok(());
        }
        let now = self.app.clock.now();
        lock(&self.meter.taken).reserved_at = Some(now);
        let price = self.app.voice.speech.highest_price();
        let turn_ms = self.app.config.voice.max_turn_seconds * 1000;
        let bid = (!price.is_free()).then(|| Bid {
            least_micros: (price.of_listening(1000) + price.of_speaking(LEAST_SPOKEN)).max(1),
            most_micros: (price.of_listening(turn_ms) + price.of_speaking(MOST_SPOKEN)).max(1),
            lasts: RESERVED_FOR,
        });
        let (tenant, person) = (self.by.tenant, self.by.person);
        let reserve = ReserveSpeech { id: self.meter.id, tenant, person, bid, now };
        let granted = self.app.store.run(&Call::within(PATIENCE), reserve).await?;
        match granted {
            Err(spent) => {
                // Nothing was set aside, so that there is nothing to settle.
                lock(&self.meter.taken).reserved_at = None;
                Err(refusal(spent, now))
            }
            Ok(granted) => {
                if price.characters > 0 {
                    let left = u128::try_from(granted - price.of_listening(turn_ms)).unwrap_or(0);
                    let affordable = u64::try_from(left * 1_000_000 / u128::from(price.characters)).unwrap_or(u64::MAX);
                    lock(&self.meter.taken).most_characters = affordable.clamp(LEAST_SPOKEN, MOST_SPOKEN);
                }
                Ok(())
            }
        }
    }

    /// Sends what was said, and speaks the reply.
    async fn answer(&self, content: MessageText) -> Result<(), Error> {
        let key = IdempotencyKey::parse(&format!("voice:{}", self.meter.id));
        let key = key.map_err(|refused| Error::internal(refused.detail))?;
        let claim = Claim { key, fingerprint: self.meter.id.simple().to_string() };
        let request = SendRequest {
            conversation: self.conversation,
            new: false,
            content,
            images: Vec::new(),
            claim: Some(claim),
            paced: false,
        };
        let sent = self.app.assistant.send(&Call::within(PATIENCE), &self.by, request).await?;
        self.tell(TurnEvent::Begun(sent.message.conversation, sent.reply.id.into())).await;
        let Some(mut reply) = sent.listening() else {
            return Err(Error::internal("a turn was sent before"));
        };
        let (mut cutter, mut mouth) = (Cutter::default(), Mouth::new(self.to.clone()));
        let mut any = false;
        while let Some(text) = reply.next().await {
            if !std::mem::replace(&mut any, true) {
                self.tell(TurnEvent::FirstToken).await;
            }
            for sentence in cutter.take(&text) {
                self.speak(sentence, &mut mouth).await;
            }
        }
        if let Some(sentence) = cutter.finish() {
            self.speak(sentence, &mut mouth).await;
        }
        match reply.fault() {
            Some((code, detail)) if !any => {
                tracing::debug!(code, "a reply to what was said failed");
                Err(Error::new(Kind::Upstream, "reply_failed", detail))
            }
            _ => Ok(()),
        }
    }

    async fn speak(&self, sentence: Sentence, mouth: &mut Mouth) {
        let text = sentence.text.clone();
        if !self.meter.speak(text.chars().count() as u64) {
            return self.tell(TurnEvent::Unspoken("reply_too_long_to_speak")).await;
        }
        self.tell(TurnEvent::Sentence(sentence)).await;
        match self.app.voice.speech.speak(&text, &self.language, mouth).await {
            Ok(cost) => lock(&self.meter.taken).cost += cost,
            Err(_) => self.tell(TurnEvent::Unspoken("sentence_not_spoken")).await,
        }
    }
}
