//! Whether and when a call is made again.
//!
//! A call is repeated only when it may be (see [`Repeat`]), a bounded number of times within a bounded time, after a wait
//! that doubles and is spread by chance, and never before the server's `Retry-After`. Over all calls of a client there is a
//! budget, so that repeating cannot become the load that keeps a server down.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use mainstay_domain::Entropy;
use tokio::time::Instant;

use crate::chance::{doubled, up_to};
use crate::error::{Error, TransportFault};

/// How calls are repeated.
#[derive(Clone, Copy, Debug)]
pub struct RetryPolicy {
    /// Attempts of one call in all: 4. With 1, nothing is repeated.
    pub attempts: u32,
    /// From the first attempt to the beginning of the last one: 30 s.
    pub total: Duration,
    /// The first wait: 200 ms. Each further one is twice as long, and each is a random part of it.
    pub base: Duration,
    /// The longest wait that the client chooses by itself: 5 s.
    pub cap: Duration,
    /// Repeats as a share of all calls, in percent: 15.
    pub budget_percent: u32,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            attempts: 4,
            total: Duration::from_secs(30),
            base: Duration::from_millis(200),
            cap: Duration::from_secs(5),
            budget_percent: 15,
        }
    }
}

/// When a call may be made again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Repeat {
    /// It does the same however often it is made: GET, PATCH, DELETE, or a POST with an idempotency key.
    Safe,
    /// Only when the server cannot have seen it.
    Unsent,
}

impl RetryPolicy {
    /// How long to wait before the next attempt, after `made` attempts; nothing when there is to be no further one.
    pub(crate) fn next(
        &self,
        error: &Error,
        repeat: Repeat,
        made: u32,
        begun: Instant,
        (budget, entropy): (&Budget, &dyn Entropy),
    ) -> Option<Duration> {
        let unsent = matches!(error, Error::Transport { fault: TransportFault::Connect, .. });
        if made >= self.attempts || !error.is_passing() || (repeat == Repeat::Unsent && !unsent) {
            return None;
        }
        let jitter = up_to(entropy, doubled(self.base, made.saturating_sub(1), self.cap));
        // Never before the moment that the server named, and not all at that moment.
        let wait = error.retry_after().unwrap_or_default() + jitter;
        (begun.elapsed() + wait <= self.total && budget.spend()).then_some(wait)
    }
}

/// Repeats as a share of calls: each call pays in a part of a repeat, each repeat takes out a whole one.
#[derive(Debug)]
pub(crate) struct Budget {
    percent: i64,
    /// In hundredths of a repeat.
    balance: AtomicI64,
}

impl Budget {
    /// What a client may spend before it has made any calls, so that the first one can be repeated, in repeats.
    const START: i64 = 10;
    /// The most that is kept, in repeats: what a quiet hour saves cannot become a storm.
    const MOST: i64 = 100;

    pub(crate) fn new(percent: u32) -> Self {
        let start = if percent == 0 { 0 } else { Self::START * 100 };
        Self { percent: i64::from(percent), balance: AtomicI64::new(start) }
    }

    /// Counts a call.
    pub(crate) fn call(&self) {
        let add = |balance: i64| Some((balance + self.percent).min(Self::MOST * 100));
        let _ = self.balance.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
    }

    /// Takes one repeat, if there is one left.
    fn spend(&self) -> bool {
        let take = |balance: i64| (balance >= 100).then_some(balance - 100);
        self.balance.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Problem;

    struct Half;
    impl Entropy for Half {
        fn fill(&self, buffer: &mut [u8]) {
            buffer.fill(0x80);
        }
    }

    fn refused(status: u16, after: Option<u64>) -> Error {
        Error::Problem(Box::new(Problem::read(status, after.map(Duration::from_secs), b"{}")))
    }

    fn next(error: &Error, repeat: Repeat, made: u32) -> Option<Duration> {
        RetryPolicy::default().next(error, repeat, made, Instant::now(), (&Budget::new(15), &Half))
    }

    #[tokio::test(start_paused = true)]
    async fn only_what_is_safe_and_passes_is_repeated() {
        assert!(next(&refused(503, None), Repeat::Safe, 1).is_some());
        assert_eq!(next(&refused(503, None), Repeat::Unsent, 1), None);
        assert_eq!(next(&refused(500, None), Repeat::Safe, 1), None);
        assert_eq!(next(&refused(409, None), Repeat::Safe, 1), None);
        let broken = |fault| Error::transport(fault, "cut");
        assert!(next(&broken(TransportFault::Broken), Repeat::Safe, 1).is_some());
        assert_eq!(next(&broken(TransportFault::Broken), Repeat::Unsent, 1), None);
        assert!(next(&broken(TransportFault::Connect), Repeat::Unsent, 1).is_some());
        assert_eq!(next(&broken(TransportFault::Broken), Repeat::Safe, 4), None);
    }

    #[tokio::test(start_paused = true)]
    async fn waits_double_and_never_undercut_the_server() {
        let half = |millis: u64| Duration::from_micros(millis * 1000 / 2);
        let wait = |error: &Error, made| next(error, Repeat::Safe, made).expect("a wait").as_millis();
        assert!(wait(&refused(503, None), 1).abs_diff(half(200).as_millis()) <= 1);
        assert!(wait(&refused(503, None), 3).abs_diff(half(800).as_millis()) <= 2);
        assert!(wait(&refused(429, Some(7)), 1) >= 7000);
        // A minute is more than the whole call may take: better to say so now.
        assert_eq!(next(&refused(429, Some(60)), Repeat::Safe, 1), None);
    }

    #[tokio::test(start_paused = true)]
    async fn repeats_are_a_share_of_calls() {
        let (policy, budget, error) = (RetryPolicy::default(), Budget::new(15), refused(503, None));
        let mut repeats = 0;
        for _ in 0..10_000 {
            budget.call();
            let wait = policy.next(&error, Repeat::Safe, 1, Instant::now(), (&budget, &Half));
            repeats += u32::from(wait.is_some());
        }
        assert!((1490..=1511).contains(&repeats), "{repeats}");
        assert!(!Budget::new(0).spend());
    }
}
