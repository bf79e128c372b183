//! An answer that is made and heard: its sound, how long it took, and how much of it was heard.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use mainstay_domain::{ConversationId, GenerationId};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::pacer::Pacer;
use super::sentences::Sentence;
use super::turn::{End, Meter, TurnEvent, Work};

/// How long a character takes to be spoken, roughly: for a sentence whose sound is not whole yet.
const CHARACTER: Duration = Duration::from_millis(60);
/// A report of the client is believed to go on for so long.
const REPORT_LASTS: Duration = Duration::from_secs(2);

/// A sentence that is spoken.
#[derive(Debug)]
struct Spoken {
    sentence: Sentence,
    /// How much sound the answer has up to its end, as far as it has come.
    until: Duration,
}

/// When the stages of a turn were reached, from the end of the caller's speech, in milliseconds.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Latency {
    pub(super) transcript_ms: Option<u64>,
    pub(super) first_token_ms: Option<u64>,
    pub(super) first_audio_ms: Option<u64>,
}

/// The turn that is under way.
pub(super) struct Answering {
    pub(super) number: u32,
    pub(super) meter: Arc<Meter>,
    pub(super) heard_ms: u64,
    /// What was said, while it is not understood: when the caller goes on, it is the beginning of that.
    pub(super) sound: Vec<Bytes>,
    pub(super) text: String,
    /// Nothing once it has ended.
    pub(super) work: Option<Work<End>>,
    pub(super) events: mpsc::Receiver<TurnEvent>,
    pub(super) said_at: Instant,
    pub(super) latency: Latency,
    pub(super) understood: bool,
    pub(super) reply: Option<(ConversationId, GenerationId)>,
    pub(super) pacer: Pacer,
    pub(super) audio_started: bool,
    pub(super) rate: u32,
    spoken: Vec<Spoken>,
    sound_made: Duration,
    reported: Option<(Duration, Instant)>,
}

impl Answering {
    pub(super) fn new(
        number: u32,
        (meter, heard_ms): (Arc<Meter>, u64),
        (sound, text): (Vec<Bytes>, String),
        (work, events): (Work<End>, mpsc::Receiver<TurnEvent>),
        said_at: Instant,
    ) -> Self {
        Self {
            number,
            meter,
            heard_ms,
            sound,
            text,
            work: Some(work),
            events,
            said_at,
            latency: Latency::default(),
            understood: false,
            reply: None,
            pacer: Pacer::new(),
            audio_started: false,
            rate: 24_000,
            spoken: Vec::new(),
            sound_made: Duration::ZERO,
            reported: None,
        }
    }

    /// Milliseconds since the caller's speech ended.
    pub(super) fn since_said(&self) -> u64 {
        u64::try_from(self.said_at.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    pub(super) fn sentence(&mut self, sentence: Sentence) {
        self.spoken.push(Spoken { sentence, until: self.sound_made });
    }

    /// Sound of the sentence that is spoken.
    pub(super) fn sound(&mut self, sound: Bytes) {
        self.sound_made += Duration::from_secs_f64(sound.len() as f64 / 2.0 / f64::from(self.rate.max(1)));
        if let Some(spoken) = self.spoken.last_mut() {
            spoken.until = self.sound_made;
        }
        self.pacer.push(sound);
    }

    /// The client says how much it has played.
    pub(super) fn report(&mut self, played: Duration) {
        self.reported = Some((played.min(self.pacer.sent()), Instant::now()));
    }

    /// How much was heard: as the client said a moment ago, or else by the time since it was sent.
    fn heard(&self) -> Duration {
        match self.reported {
            Some((played, at)) if at.elapsed() < REPORT_LASTS => (played + at.elapsed()).min(self.pacer.sent()),
            _ => self.pacer.played(),
        }
    }

    /// How many bytes of the reply were heard: whole sentences, and of the one that was interrupted whole words.
    pub(super) fn heard_bytes(&self) -> usize {
        let heard = self.heard();
        let (mut bytes, mut from) = (0, Duration::ZERO);
        let is_whole = self.work.is_none();
        for (index, Spoken { sentence, until }) in self.spoken.iter().enumerate() {
            let is_last = index + 1 == self.spoken.len();
            let guess = CHARACTER * u32::try_from(sentence.text.chars().count()).unwrap_or(u32::MAX);
            let until = if is_last && !is_whole { (*until).max(from + guess) } else { *until };
            if heard >= until && until > from {
                (bytes, from) = (sentence.end, until);
                continue;
            }
            let share = if until > from {
                heard.saturating_sub(from).as_secs_f64() / (until - from).as_secs_f64()
            } else {
                0.0
            };
            let raw = &sentence.raw;
            let at = raw.floor_char_boundary((raw.len() as f64 * share.clamp(0.0, 1.0)) as usize);
            let word = if at == raw.len() { at } else { raw[..at].rfind(char::is_whitespace).unwrap_or(0) };
            return sentence.end - raw.len() + word;
        }
        bytes
    }

    /// Whether the caller would interrupt something by speaking.
    pub(super) fn is_under_way(&self) -> bool {
        self.work.is_some() || self.pacer.is_playing()
    }

    /// Whether all of it was made and sent.
    pub(super) fn is_sent(&self) -> bool {
        self.work.is_none() && self.events.is_empty() && self.pacer.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn answering() -> Answering {
        let (_, events) = mpsc::channel(1);
        let work: Work<End> = Box::pin(std::future::pending());
        let meter = Arc::new(Meter::new(Uuid::nil()));
        Answering::new(1, (meter, 0), (Vec::new(), String::new()), (work, events), Instant::now())
    }

    fn sentence(raw: &str, end: usize) -> Sentence {
        Sentence { text: raw.trim().to_owned(), raw: raw.to_owned(), end }
    }

    #[tokio::test(start_paused = true)]
    async fn a_reply_is_cut_to_the_words_that_were_heard() {
        let mut answering = answering();
        let (one, two) = ("The dentist is open.", " She is free at three.");
        answering.sentence(sentence(one, one.len()));
        // Two seconds each.
        answering.sound(Bytes::from(vec![0; 96_000]));
        answering.sentence(sentence(two, one.len() + two.len()));
        answering.sound(Bytes::from(vec![0; 96_000]));
        assert_eq!(answering.heard_bytes(), 0);
        let text = format!("{one}{two}");
        let heard = |answering: &Answering| text[..answering.heard_bytes()].to_owned();
        let play = async |answering: &mut Answering, ms: u64| {
            let until = Instant::now() + Duration::from_millis(ms);
            while let Some(due) = answering.pacer.due().filter(|due| *due <= until) {
                tokio::time::sleep_until(due).await;
                answering.pacer.next().expect("due");
            }
            tokio::time::sleep_until(until).await;
        };
        play(&mut answering, 1_000).await;
        assert_eq!(heard(&answering), "The");
        play(&mut answering, 2_000).await;
        assert_eq!(heard(&answering), "The dentist is open. She is");
        answering.report(Duration::from_millis(2_050));
        assert_eq!(heard(&answering), "The dentist is open.", "the client knows better");
        tokio::time::advance(Duration::from_secs(3)).await;
        assert_eq!(heard(&answering), "The dentist is open. She is free", "of what was sent");
    }
}
