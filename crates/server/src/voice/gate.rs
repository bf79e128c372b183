//! How much audio a session may send: so many chunks in a second, and little more of it than time passes.

use std::time::Duration;

use tokio::time::Instant;

/// Seconds of audio for each second that passes.
const AUDIO_RATE: f64 = 1.2;
/// Milliseconds of audio that may come at once, after a stall of the network.
const AUDIO_BURST: f64 = 5_000.0;
/// After how long of shedding without a pause a session is ended.
const SUSTAINED: Duration = Duration::from_secs(5);
/// How long nothing must be shed for it to count as a pause.
const PAUSE: Duration = Duration::from_secs(1);
/// A client is warned at most once in this time.
const WARN_EVERY: Duration = Duration::from_secs(1);

/// Why a chunk is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Excess {
    /// Too many chunks.
    Chunks,
    /// Too much audio.
    Audio,
}

impl Excess {
    pub(super) const fn code(self) -> &'static str {
        match self {
            Self::Chunks => "too_many_chunks",
            Self::Audio => "too_much_audio",
        }
    }
}

/// What is done with a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Taken,
    /// Not taken. The client is told how many were not since it was told last, unless that was a moment ago.
    Shed(Excess, Option<u64>),
    /// Not taken, as so many before.
    Enough(Excess),
}

/// The buckets of one session.
pub(super) struct Gate {
    rate: f64,
    burst: f64,
    chunks: f64,
    audio: f64,
    filled_at: Instant,
    /// Since when and until when chunks were shed, without a pause.
    streak: Option<(Instant, Instant)>,
    untold: u64,
    told_at: Option<Instant>,
}

impl Gate {
    pub(super) fn new(per_second: u32, burst: u32) -> Self {
        let burst = f64::from(burst);
        Self {
            rate: f64::from(per_second),
            burst,
            chunks: burst,
            audio: AUDIO_BURST,
            filled_at: Instant::now(),
            streak: None,
            untold: 0,
            told_at: None,
        }
    }

    /// Judges a chunk that lasts so many milliseconds.
    pub(super) fn take(&mut self, ms: f64) -> Verdict {
        let now = Instant::now();
        let passed = now.saturating_duration_since(self.filled_at).as_secs_f64();
        self.filled_at = now;
        self.chunks = (self.chunks + passed * self.rate).min(self.burst);
        self.audio = (self.audio + passed * 1000.0 * AUDIO_RATE).min(AUDIO_BURST);
        let excess = if self.chunks < 1.0 {
            Excess::Chunks
        } else if self.audio < ms {
            Excess::Audio
        } else {
            self.chunks -= 1.0;
            self.audio -= ms;
            return Verdict::Taken;
        };
        let since = match self.streak {
            Some((since, last)) if now.saturating_duration_since(last) < PAUSE => since,
            _ => now,
        };
        self.streak = Some((since, now));
        self.untold += 1;
        if now.saturating_duration_since(since) >= SUSTAINED {
            return Verdict::Enough(excess);
        }
        let is_due = self.told_at.is_none_or(|at| now.saturating_duration_since(at) >= WARN_EVERY);
        let told = is_due.then(|| {
            self.told_at = Some(now);
            std::mem::take(&mut self.untold)
        });
        Verdict::Shed(excess, told)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn so_many_chunks_and_one_more_is_shed_and_told() {
        let mut gate = Gate::new(100, 100);
        for _ in 0..100 {
            assert_eq!(gate.take(10.0), Verdict::Taken);
        }
        assert_eq!(gate.take(10.0), Verdict::Shed(Excess::Chunks, Some(1)));
        assert_eq!(gate.take(10.0), Verdict::Shed(Excess::Chunks, None), "once is enough");
        tokio::time::advance(Duration::from_millis(10)).await;
        assert_eq!(gate.take(10.0), Verdict::Taken);
        tokio::time::advance(Duration::from_secs(1)).await;
        let shed = (0..120).filter(|_| gate.take(1.0) != Verdict::Taken).count();
        assert_eq!(shed, 20);
    }

    #[tokio::test(start_paused = true)]
    async fn large_chunks_are_no_way_around() {
        let mut gate = Gate::new(100, 200);
        assert_eq!(gate.take(2_000.0), Verdict::Taken);
        assert_eq!(gate.take(2_000.0), Verdict::Taken);
        assert_eq!(gate.take(2_000.0), Verdict::Shed(Excess::Audio, Some(1)));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(gate.take(2_000.0), Verdict::Taken, "1000 were left and 1200 came");
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_does_not_stop_is_ended_and_a_pause_forgives() {
        let flood = async |gate: &mut Gate, ticks: u32| {
            for _ in 0..ticks {
                tokio::time::advance(Duration::from_millis(100)).await;
                for _ in 0..30 {
                    if let Verdict::Enough(excess) = gate.take(1.0) {
                        return Some(excess);
                    }
                }
            }
            None
        };
        let mut gate = Gate::new(100, 100);
        assert_eq!(flood(&mut gate, 48).await, None);
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!(flood(&mut gate, 48).await, None, "it began anew");
        assert_eq!(flood(&mut gate, 20).await, Some(Excess::Chunks));
    }
}
