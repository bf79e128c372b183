//! Pauses between attempts to connect.

use std::sync::Arc;
use std::time::Duration;

use mainstay_domain::Entropy;

/// The first pause.
const FIRST: Duration = Duration::from_millis(100);
/// The longest.
const LONGEST: Duration = Duration::from_secs(3);
/// Failures in a row after which somebody should know.
const REPORTED: u32 = 3;

/// Pauses that double from 100 ms to 3 s. Each is shortened by up to a half, so that nodes do not come back in step.
pub(super) struct Backoff {
    entropy: Arc<dyn Entropy>,
    failures: u32,
}

impl Backoff {
    pub(super) fn new(entropy: Arc<dyn Entropy>) -> Self {
        Self { entropy, failures: 0 }
    }

    /// It worked. True when the failures before had been reported.
    pub(super) fn succeeded(&mut self) -> bool {
        std::mem::take(&mut self.failures) >= REPORTED
    }

    /// It failed: how long to wait, and whether this is the failure to report.
    pub(super) fn failed(&mut self) -> (Duration, bool) {
        let whole = FIRST.saturating_mul(1 << self.failures.min(10)).min(LONGEST);
        self.failures = self.failures.saturating_add(1);
        let mut byte = [0];
        self.entropy.fill(&mut byte);
        let [chance] = byte;
        (whole / 2 + whole / 2 * u32::from(chance) / 255, self.failures == REPORTED)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Always(u8);
    impl Entropy for Always {
        fn fill(&self, buffer: &mut [u8]) {
            buffer.fill(self.0);
        }
    }

    #[test]
    fn pauses_double_to_three_seconds_and_the_third_failure_is_reported() {
        let (mut long, mut short) = (Backoff::new(Arc::new(Always(255))), Backoff::new(Arc::new(Always(0))));
        for (failure, millis) in [100, 200, 400, 800, 1600, 3000, 3000, 3000].into_iter().enumerate() {
            assert_eq!(long.failed(), (Duration::from_millis(millis), failure == 2));
            assert_eq!(short.failed().0, Duration::from_millis(millis) / 2);
        }
        assert!(long.succeeded());
        assert_eq!(long.failed(), (Duration::from_millis(100), false));
        assert!(!long.succeeded());
    }
}
