//! How long one attempt may take: to its first text, between texts, and in all.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::FaultKind;

/// How long the figures after a finished text may take.
const TAIL_TIME: Duration = Duration::from_secs(2);

/// How long things may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) first_token: Duration,
    pub(super) idle: Duration,
    pub(super) deadline: Instant,
}

/// Which wait is running. Only text resets it, so that a server that sends pings for ever does not hold us for ever.
pub(super) struct Timer {
    limits: Limits,
    due: Instant,
    kind: FaultKind,
}

impl Timer {
    /// Starts the wait for the first token.
    pub(super) fn start(limits: Limits) -> Self {
        Self { limits, due: Instant::now() + limits.first_token, kind: FaultKind::FirstTokenTimeout }
    }

    /// When everything must be over.
    pub(super) fn deadline(&self) -> Instant {
        self.limits.deadline
    }

    /// Begins the wait for the next text.
    pub(super) fn text_came(&mut self) {
        self.due = Instant::now() + self.limits.idle;
        self.kind = FaultKind::IdleTimeout;
    }

    /// Shortens the wait: only figures are to come.
    pub(super) fn text_is_whole(&mut self) {
        self.due = self.due.min(Instant::now() + TAIL_TIME);
    }

    /// Waits for `future` as long as it may take. The check before matters: a stream that always has something ready
    /// would never be timed out.
    pub(super) async fn hold<F: Future>(&self, future: F) -> Result<F::Output, FaultKind> {
        let (at, kind) = if self.limits.deadline <= self.due {
            (self.limits.deadline, FaultKind::Deadline)
        } else {
            (self.due, self.kind)
        };
        if at <= Instant::now() {
            return Err(kind);
        }
        timeout_at(at, future).await.map_err(|_| kind)
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    const FIRST: Duration = Duration::from_secs(20);
    const IDLE: Duration = Duration::from_secs(15);

    fn timer(deadline: Duration) -> Timer {
        Timer::start(Limits { first_token: FIRST, idle: IDLE, deadline: Instant::now() + deadline })
    }

    #[tokio::test(start_paused = true)]
    async fn each_wait_has_its_own_bound_and_the_deadline_holds_over_all() {
        let start = Instant::now();
        let mut timer = timer(Duration::from_secs(40));
        assert_eq!(timer.hold(pending::<()>()).await, Err(FaultKind::FirstTokenTimeout));
        assert_eq!(start.elapsed(), FIRST);
        timer.text_came();
        assert_eq!(timer.hold(pending::<()>()).await, Err(FaultKind::IdleTimeout));
        assert_eq!(start.elapsed(), FIRST + IDLE);
        timer.text_came();
        assert_eq!(timer.hold(pending::<()>()).await, Err(FaultKind::Deadline));
        assert_eq!(start.elapsed(), Duration::from_secs(40));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_always_ready_does_not_go_on_for_ever() {
        let timer = timer(Duration::from_secs(40));
        assert_eq!(timer.hold(ready(1)).await, Ok(1));
        tokio::time::advance(FIRST).await;
        assert_eq!(timer.hold(ready(1)).await, Err(FaultKind::FirstTokenTimeout));
    }

    #[tokio::test(start_paused = true)]
    async fn a_whole_text_waits_only_a_little_longer() {
        let start = Instant::now();
        let mut timer = timer(Duration::from_secs(40));
        timer.text_came();
        timer.text_is_whole();
        assert_eq!(timer.hold(pending::<()>()).await, Err(FaultKind::IdleTimeout));
        assert_eq!(start.elapsed(), TAIL_TIME);
    }
}
