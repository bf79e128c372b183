//! Lives in one process: when each client is to come back. Every node paces the clients that it answers.
//!
//! The wish comes from the plan and from how long ago something changed: 30 s while active, 5 min after an hour, 30 min
//! after a day, `core` never sooner than 60 s, `free` not at all in the background. It is stretched, step by step, while the
//! database is used beyond its line, and jittered. Then it gets a place in a cohort: so many clients at most come back
//! within each span, and the next ones are put into the span after it, so that a fleet that was answered at once does not
//! come back at once.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use mainstay_domain::{Entropy, Plan};
use tokio::time::Instant;

use crate::config;

/// The largest stretch.
const MOST_STRETCH: u32 = 16;
/// A wish is spread by this share of itself.
const JITTER: f64 = 0.2;
/// Spans that a wish is put off by at most: past it the cohort is overfull, and counted.
const MOST_SPANS: u64 = 10_000;

/// Says when clients come back.
pub struct Pacing {
    settings: config::Sync,
    entropy: Arc<dyn Entropy>,
    began: Instant,
    /// Clients in each span that is not over, by the number of the span.
    cohorts: Mutex<BTreeMap<u64, u32>>,
    stretch: AtomicU32,
    overfull: AtomicU32,
}

impl Pacing {
    /// Paces by these settings.
    #[must_use]
    pub fn new(settings: config::Sync, entropy: Arc<dyn Entropy>) -> Self {
        Self {
            settings,
            entropy,
            began: Instant::now(),
            cohorts: Mutex::default(),
            stretch: AtomicU32::new(1),
            overfull: AtomicU32::new(0),
        }
    }

    /// By how much every interval is stretched now.
    #[must_use]
    pub fn stretch(&self) -> u32 {
        self.stretch.load(Ordering::Relaxed)
    }

    /// Clients that found no place in a cohort, since the start.
    #[must_use]
    pub fn overfull(&self) -> u32 {
        self.overfull.load(Ordering::Relaxed)
    }

    /// One step: doubles the intervals while the database is used beyond its line, and halves them when it is well below.
    /// `load` is how far it is used of what was measured that it can: 0.8 is the line.
    pub fn step(&self, load: f64) {
        let line = f64::from(self.settings.load_percent) / 100.0;
        let now = self.stretch();
        let next = if load > line {
            (now * 2).min(MOST_STRETCH)
        } else if load < line * 0.75 {
            (now / 2).max(1)
        } else {
            now
        };
        self.stretch.store(next, Ordering::Relaxed);
    }

    /// When a client comes back, in milliseconds; nothing when it does not sync in the background. `quiet` is how long ago
    /// something last changed for it; `least` is what an operator wants at least.
    pub fn next(&self, plan: Plan, quiet: Duration, least: Duration) -> Option<u64> {
        let base = match plan {
            Plan::Free => return None,
            Plan::Core => self.settings.interval(quiet).max(self.settings.core()),
            Plan::Studio => self.settings.interval(quiet),
        };
        Some(self.place((base * self.stretch()).max(least)))
    }

    /// A jittered wish, moved to the first span that has room.
    fn place(&self, wish: Duration) -> u64 {
        // Never sooner than the wish: a floor that is jittered below itself is none.
        let wish = wish.mul_f64(1.0 + JITTER * self.entropy.fraction());
        let span = self.settings.cohort_span();
        let now = self.began.elapsed();
        let index = |moment: Duration| u64::try_from(moment.as_millis() / span.as_millis().max(1)).unwrap_or(u64::MAX);
        let mut cohorts = self.cohorts.lock().unwrap_or_else(PoisonError::into_inner);
        let past = index(now);
        while cohorts.first_key_value().is_some_and(|(span, _)| *span < past) {
            cohorts.pop_first();
        }
        let first = index(now + wish);
        let room =
            (first..first + MOST_SPANS).find(|span| cohorts.get(span).is_none_or(|n| *n < self.settings.cohort_size));
        let chosen = room.unwrap_or_else(|| {
            self.overfull.fetch_add(1, Ordering::Relaxed);
            first
        });
        *cohorts.entry(chosen).or_default() += 1;
        drop(cohorts);
        // Within its span each client keeps its own moment.
        let moved = span * u32::try_from(chosen - first).unwrap_or(u32::MAX);
        u64::try_from((wish + moved).as_millis()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outside::SystemEntropy;

    fn pacing() -> Pacing {
        let config = crate::config::Config::from_overrides(&[]).expect("the defaults");
        Pacing::new(config.sync, Arc::new(SystemEntropy))
    }

    const MINUTE: Duration = Duration::from_secs(60);

    #[tokio::test(start_paused = true)]
    async fn each_plan_and_each_quiet_has_its_pace() {
        let pacing = pacing();
        assert_eq!(pacing.next(Plan::Free, Duration::ZERO, Duration::ZERO), None);
        let cases = [
            (Plan::Studio, Duration::ZERO, 30),
            (Plan::Studio, 61 * MINUTE, 300),
            (Plan::Studio, 25 * 60 * MINUTE, 1800),
            (Plan::Core, Duration::ZERO, 60),
            (Plan::Core, 61 * MINUTE, 300),
        ];
        for (plan, quiet, seconds) in cases {
            let after = pacing.next(plan, quiet, Duration::ZERO).expect("it syncs");
            assert!((seconds * 1000..=seconds * 1250).contains(&after), "{plan} after {quiet:?}: {after}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_comes_back_sooner_than_an_operator_wants() {
        let pacing = pacing();
        let next = |plan, quiet, least| pacing.next(plan, quiet, Duration::from_secs(least));
        let after = next(Plan::Studio, Duration::ZERO, 600).expect("it syncs");
        assert!((600_000..=750_000).contains(&after), "{after}");
        let after = next(Plan::Studio, 25 * 60 * MINUTE, 600).expect("it syncs");
        assert!(after >= 1_800_000, "a longer wish stays: {after}");
        assert_eq!(next(Plan::Free, Duration::ZERO, 600), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_fleet_that_is_answered_at_once_does_not_come_back_at_once() {
        let pacing = pacing();
        let mut per_span: BTreeMap<u64, u32> = BTreeMap::new();
        for _ in 0..10_000 {
            let after = pacing.next(Plan::Studio, Duration::ZERO, Duration::ZERO).expect("it syncs");
            *per_span.entry(after / 250).or_default() += 1;
        }
        assert!(per_span.values().all(|count| *count <= 100), "{per_span:?}");
        assert_eq!(pacing.overfull(), 0);
        // All of them are back within what 10,000 clients in cohorts of 100 need, after the wish.
        assert!(per_span.keys().last().is_some_and(|last| *last <= (30_000 + 6_000) / 250 + 101));
    }

    #[tokio::test(start_paused = true)]
    async fn intervals_double_step_by_step_and_come_back() {
        let pacing = pacing();
        let stretches: Vec<_> = [0.9, 0.9, 0.7, 0.9, 0.9, 0.9, 0.1, 0.1, 0.1, 0.1, 0.1]
            .into_iter()
            .map(|load| {
                pacing.step(load);
                pacing.stretch()
            })
            .collect();
        assert_eq!(stretches, [2, 4, 4, 8, 16, 16, 8, 4, 2, 1, 1]);
        pacing.step(0.9);
        let after = pacing.next(Plan::Studio, Duration::ZERO, Duration::ZERO).expect("it syncs");
        assert!(after >= 60_000, "{after}");
    }

    #[tokio::test(start_paused = true)]
    async fn spans_that_are_over_take_no_memory() {
        let pacing = pacing();
        for _ in 0..1000 {
            pacing.next(Plan::Studio, Duration::ZERO, Duration::ZERO);
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        assert!(pacing.cohorts.lock().expect("lock").len() < 40);
    }
}
