//! The breaker of the link: after some failures in a row Redis is not asked any more, until whoever keeps the link has
//! heard from it again. In this process only: each node learns for itself.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

/// Open or closed.
#[derive(Debug)]
pub(super) struct Breaker {
    threshold: u32,
    in_a_row: AtomicU32,
    open: AtomicBool,
    opened: AtomicU64,
    failures: AtomicU64,
}

impl Breaker {
    /// Closed; opens after so many failures in a row.
    pub(super) fn new(threshold: u32) -> Self {
        Self {
            threshold: threshold.max(1),
            in_a_row: AtomicU32::new(0),
            open: AtomicBool::new(false),
            opened: AtomicU64::new(0),
            failures: AtomicU64::new(0),
        }
    }

    /// Whether calls fail at once.
    pub(super) fn is_open(&self) -> bool {
        self.open.load(Ordering::Acquire)
    }

    /// A call was answered. It does not close an open breaker: the call may be from before.
    pub(super) fn succeeded(&self) {
        self.in_a_row.store(0, Ordering::Relaxed);
    }

    /// A call failed. True for the one that opens it.
    pub(super) fn failed(&self) -> bool {
        self.failures.fetch_add(1, Ordering::Relaxed);
        let enough = self.in_a_row.fetch_add(1, Ordering::Relaxed) + 1 >= self.threshold;
        enough && self.trip()
    }

    /// Opens it. False when it was open.
    pub(super) fn trip(&self) -> bool {
        let closed = !self.open.swap(true, Ordering::AcqRel);
        if closed {
            self.opened.fetch_add(1, Ordering::Relaxed);
        }
        closed
    }

    /// Closes it: Redis has answered.
    pub(super) fn close(&self) {
        self.in_a_row.store(0, Ordering::Relaxed);
        self.open.store(false, Ordering::Release);
    }

    /// How often it has opened, and how many calls have failed.
    pub(super) fn figures(&self) -> (u64, u64) {
        (self.opened.load(Ordering::Relaxed), self.failures.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_opens_after_failures_in_a_row_only_and_closes_when_told() {
        let breaker = Breaker::new(3);
        for _ in 0..5 {
            assert!(!breaker.failed() && !breaker.failed());
            breaker.succeeded();
        }
        assert!(!breaker.failed() && !breaker.failed() && !breaker.is_open());
        assert!(breaker.failed() && breaker.is_open());
        breaker.succeeded();
        assert!(breaker.is_open(), "an answer to a call from before says nothing");
        assert!(!breaker.failed(), "it opens once");
        breaker.close();
        assert!(!breaker.is_open());
        assert_eq!(breaker.figures(), (1, 14));
    }
}
