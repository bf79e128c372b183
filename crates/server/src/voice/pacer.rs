//! What is sent of the answer's sound, and when: never more than a little ahead of what is played, so that a control frame
//! never waits behind sound, and what is cut off is cut off at once.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

/// How far ahead of play sound is sent.
const AHEAD: Duration = Duration::from_millis(300);
/// Sound that waits to be sent; whoever makes more waits.
const MOST_WAITING: Duration = Duration::from_millis(1000);
/// The longest piece of one frame.
const LONGEST: Duration = Duration::from_millis(100);

/// Paces the sound of one turn.
#[derive(Debug)]
pub(super) struct Pacer {
    rate: u32,
    waiting: VecDeque<Bytes>,
    waiting_bytes: usize,
    sent: Duration,
    /// When play began, moved on by every moment in which there was nothing to play.
    began: Option<Instant>,
    sequence: u32,
}

impl Pacer {
    pub(super) fn new() -> Self {
        Self {
            rate: 24_000,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            sent: Duration::ZERO,
            began: None,
            sequence: 0,
        }
    }

    /// How long so many bytes last.
    fn lasts(&self, bytes: usize) -> Duration {
        Duration::from_secs_f64(bytes as f64 / 2.0 / f64::from(self.rate.max(1)))
    }

    /// From here on sound has this rate. What waits is of the old one and is sent as it is.
    pub(super) fn set_rate(&mut self, rate: u32) {
        self.rate = rate;
    }

    /// Takes sound: 16 bits, one channel.
    pub(super) fn push(&mut self, mut sound: Bytes) {
        let most = (LONGEST.as_secs_f64() * f64::from(self.rate)) as usize * 2;
        while sound.len() > most.max(2) {
            let piece = sound.split_to(most.max(2));
            self.waiting_bytes += piece.len();
            self.waiting.push_back(piece);
        }
        if !sound.is_empty() {
            self.waiting_bytes += sound.len();
            self.waiting.push_back(sound);
        }
    }

    /// Whether more may be made.
    pub(super) fn has_room(&self) -> bool {
        self.lasts(self.waiting_bytes) < MOST_WAITING
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// When the next piece is to be sent; nothing when none waits.
    pub(super) fn due(&self) -> Option<Instant> {
        self.waiting.front()?;
        Some(self.began.map_or_else(Instant::now, |began| began + self.sent.saturating_sub(AHEAD)))
    }

    /// The next piece and its number, if it is due.
    pub(super) fn next(&mut self) -> Option<(u32, Bytes)> {
        let now = Instant::now();
        if self.began.is_some_and(|began| began + self.sent.saturating_sub(AHEAD) > now) {
            return None;
        }
        let piece = self.waiting.pop_front()?;
        self.waiting_bytes -= piece.len();
        let played = self.began.map(|began| now.saturating_duration_since(began)).unwrap_or_default();
        // There was nothing to play for a while: play goes on now.
        let stood_still = played.saturating_sub(self.sent);
        self.began = Some(self.began.map_or(now, |began| began + stood_still));
        self.sent += self.lasts(piece.len());
        self.sequence += 1;
        Some((self.sequence - 1, piece))
    }

    /// How much has been played by now, as far as time says.
    pub(super) fn played(&self) -> Duration {
        self.began.map(|began| began.elapsed().min(self.sent)).unwrap_or_default()
    }

    /// How much has been sent.
    pub(super) fn sent(&self) -> Duration {
        self.sent
    }

    /// Whether the listener has something to hear.
    pub(super) fn is_playing(&self) -> bool {
        !self.waiting.is_empty() || self.played() < self.sent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second() -> Bytes {
        Bytes::from(vec![0; 48_000])
    }

    #[tokio::test(start_paused = true)]
    async fn sound_is_sent_a_little_ahead_of_play() {
        let mut pacer = Pacer::new();
        pacer.push(second());
        assert!(!pacer.has_room());
        let mut sent = Vec::new();
        while pacer.next().is_some() {}
        assert!((300..=400).contains(&pacer.sent().as_millis()), "{:?}", pacer.sent());
        while let Some(due) = pacer.due() {
            tokio::time::sleep_until(due).await;
            sent.push(pacer.next().expect("due").0);
            assert!(pacer.sent().saturating_sub(pacer.played()) <= Duration::from_millis(401));
        }
        assert_eq!(*sent.last().expect("pieces"), 9);
        assert!(pacer.is_playing());
        tokio::time::advance(Duration::from_millis(401)).await;
        assert!(!pacer.is_playing());
        assert_eq!(pacer.played(), pacer.sent());
    }

    #[tokio::test(start_paused = true)]
    async fn a_gap_is_not_made_up_for() {
        let mut pacer = Pacer::new();
        pacer.push(Bytes::from(vec![0; 4_800]));
        assert!(pacer.next().is_some());
        tokio::time::advance(Duration::from_secs(5)).await;
        pacer.push(second());
        while pacer.next().is_some() {}
        assert!(pacer.sent() <= Duration::from_millis(501), "{:?}", pacer.sent());
    }
}
