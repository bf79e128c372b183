//! The circuit breaker: a provider that keeps failing is left alone for a while, then tried with one request.
//!
//! In this process only: each node learns for itself.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How long to wait for a probe that is under way, as advice to a caller.
const PROBE_ADVICE: Duration = Duration::from_secs(1);

/// What a breaker does with the next request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakerState {
    /// Lets it pass.
    Closed,
    /// Refuses it.
    Open,
    /// One request is on its way to see whether the provider is back; others are refused.
    HalfOpen,
}

/// What an attempt says about the provider's health.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It answered.
    Healthy,
    /// It answered, with a refusal that is about the request and not about its health.
    Answered,
    /// It failed.
    Failed,
    /// Nothing can be said.
    Unknown,
}

#[derive(Clone, Copy, Debug)]
enum Stance {
    Closed { failures: u32 },
    Open { until: Instant },
    Probing,
}

#[derive(Debug)]
struct State {
    stance: Stance,
    /// Grows with every change of stance, so that an attempt from before the change cannot judge what came after it.
    epoch: u64,
}

impl State {
    fn turn(&mut self, stance: Stance) {
        self.stance = stance;
        self.epoch += 1;
    }
}

/// The breaker of one provider.
#[derive(Debug)]
pub(crate) struct Breaker {
    name: &'static str,
    threshold: u32,
    open_for: Duration,
    state: Mutex<State>,
    opened: AtomicU64,
}

impl Breaker {
    /// A closed breaker that opens after `threshold` failures in a row (at least one).
    pub(crate) fn new(name: &'static str, threshold: u32, open_for: Duration) -> Self {
        let state = Mutex::new(State { stance: Stance::Closed { failures: 0 }, epoch: 0 });
        Self { name, threshold: threshold.max(1), open_for, state, opened: AtomicU64::new(0) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a request has a chance, without taking it: asked before queueing. The error says when to come back.
    pub(crate) fn look(&self) -> Result<(), Duration> {
        match self.state().stance {
            Stance::Closed { .. } => Ok(()),
            Stance::Open { until } => match until.saturating_duration_since(Instant::now()) {
                Duration::ZERO => Ok(()),
                left => Err(left),
            },
            Stance::Probing => Err(PROBE_ADVICE),
        }
    }

    /// Lets one attempt pass, or says when to come back. The first attempt after the pause is the probe.
    pub(crate) fn admit(&self) -> Result<Permit<'_>, Duration> {
        self.look()?;
        let mut state = self.state();
        match state.stance {
            Stance::Closed { .. } => {}
            Stance::Open { until } if until <= Instant::now() => state.turn(Stance::Probing),
            Stance::Open { .. } | Stance::Probing => return Err(PROBE_ADVICE),
        }
        Ok(Permit { breaker: self, epoch: state.epoch, verdict: Verdict::Unknown })
    }

    fn judge(&self, epoch: u64, verdict: Verdict) {
        let mut state = self.state();
        if state.epoch != epoch {
            return;
        }
        match (state.stance, verdict) {
            (Stance::Closed { .. }, Verdict::Healthy) => state.stance = Stance::Closed { failures: 0 },
            (Stance::Closed { failures }, Verdict::Failed) if failures + 1 < self.threshold => {
                state.stance = Stance::Closed { failures: failures + 1 };
            }
            (Stance::Closed { .. } | Stance::Probing, Verdict::Failed) => {
                state.turn(Stance::Open { until: Instant::now() + self.open_for });
                self.opened.fetch_add(1, Ordering::Relaxed);
                tracing::warn!(provider = self.name, "the provider keeps failing: it is left alone for a while");
            }
            (Stance::Probing, Verdict::Healthy | Verdict::Answered) => {
                state.turn(Stance::Closed { failures: 0 });
                tracing::info!(provider = self.name, "the provider answers again");
            }
            // A probe that was given up says nothing: the next request is the probe.
            (Stance::Probing, Verdict::Unknown) => state.turn(Stance::Open { until: Instant::now() }),
            (Stance::Closed { .. }, Verdict::Answered | Verdict::Unknown) | (Stance::Open { .. }, _) => {}
        }
    }

    /// The state, for the figures.
    pub(crate) fn current(&self) -> BreakerState {
        match self.state().stance {
            Stance::Closed { .. } => BreakerState::Closed,
            Stance::Open { .. } => BreakerState::Open,
            Stance::Probing => BreakerState::HalfOpen,
        }
    }

    /// How often it has opened.
    pub(crate) fn opened(&self) -> u64 {
        self.opened.load(Ordering::Relaxed)
    }
}

/// The right to one attempt. Dropped without a verdict, it says nothing about the provider.
#[derive(Debug)]
pub(crate) struct Permit<'a> {
    breaker: &'a Breaker,
    epoch: u64,
    verdict: Verdict,
}

impl Permit<'_> {
    /// Says how the attempt went.
    pub(crate) fn settle(mut self, verdict: Verdict) {
        self.verdict = verdict;
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        self.breaker.judge(self.epoch, self.verdict);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAUSE: Duration = Duration::from_secs(10);

    fn fail(breaker: &Breaker) {
        breaker.admit().unwrap().settle(Verdict::Failed);
    }

    #[tokio::test(start_paused = true)]
    async fn opens_after_failures_in_a_row_only() {
        let breaker = Breaker::new("test", 3, PAUSE);
        fail(&breaker);
        fail(&breaker);
        breaker.admit().unwrap().settle(Verdict::Healthy);
        fail(&breaker);
        fail(&breaker);
        // Refusals of the request neither count nor forgive.
        breaker.admit().unwrap().settle(Verdict::Answered);
        assert_eq!(breaker.current(), BreakerState::Closed);
        fail(&breaker);
        assert_eq!(breaker.current(), BreakerState::Open);
        assert_eq!(breaker.look(), Err(PAUSE));
        assert_eq!(breaker.opened(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn sends_exactly_one_probe_and_believes_it() {
        let breaker = Breaker::new("test", 1, PAUSE);
        fail(&breaker);
        tokio::time::advance(PAUSE).await;
        let probe = breaker.admit().unwrap();
        assert_eq!(breaker.current(), BreakerState::HalfOpen);
        assert!(breaker.admit().is_err() && breaker.look().is_err(), "a second one must wait for the probe");
        probe.settle(Verdict::Failed);
        assert_eq!(breaker.look(), Err(PAUSE), "a failed probe opens it anew");
        tokio::time::advance(PAUSE).await;
        breaker.admit().unwrap().settle(Verdict::Healthy);
        assert_eq!(breaker.current(), BreakerState::Closed);
        assert!(breaker.admit().is_ok() && breaker.admit().is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_probe_that_is_given_up_leaves_room_for_the_next() {
        let breaker = Breaker::new("test", 1, PAUSE);
        fail(&breaker);
        tokio::time::advance(PAUSE).await;
        drop(breaker.admit().unwrap());
        assert_eq!(breaker.current(), BreakerState::Open);
        breaker.admit().unwrap().settle(Verdict::Answered);
        assert_eq!(breaker.current(), BreakerState::Closed);
    }

    #[tokio::test(start_paused = true)]
    async fn an_attempt_from_before_cannot_judge_what_came_after() {
        let breaker = Breaker::new("test", 1, PAUSE);
        let (early_good, early_bad) = (breaker.admit().unwrap(), breaker.admit().unwrap());
        fail(&breaker);
        early_good.settle(Verdict::Healthy);
        assert_eq!(breaker.current(), BreakerState::Open);
        tokio::time::advance(PAUSE).await;
        let probe = breaker.admit().unwrap();
        early_bad.settle(Verdict::Failed);
        assert_eq!(breaker.current(), BreakerState::HalfOpen);
        probe.settle(Verdict::Healthy);
        assert_eq!(breaker.current(), BreakerState::Closed);
    }
}
