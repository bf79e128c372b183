//! The section `[sync]`.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Fault;
use super::rules::durations;
use super::schema::Bound;

pub(super) const BOUNDS: &[Bound] = &[
    ("sync.active_seconds", 1, 3_600),
    ("sync.hour_seconds", 1, 86_400),
    ("sync.day_seconds", 1, 86_400),
    ("sync.core_seconds", 1, 86_400),
    ("sync.cohort_size", 1, 1_000_000),
    ("sync.cohort_span_ms", 1, 60_000),
    ("sync.load_percent", 1, 100),
    ("sync.head_cache", 0, 100_000_000),
    ("sync.tombstone_days", 1, 3_650),
];

/// Delta sync and its pace.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Sync {
    /// When a client comes back for which something changed within the last hour, in seconds.
    pub active_seconds: u64,
    /// When it comes back after an hour without a change, in seconds.
    pub hour_seconds: u64,
    /// When it comes back after a day without a change, in seconds.
    pub day_seconds: u64,
    /// The plan core never comes back sooner, in seconds. The plan free does not sync in the background at all.
    pub core_seconds: u64,
    /// The most clients that one node lets come back within each span.
    pub cohort_size: u32,
    /// The length of a span, in milliseconds.
    pub cohort_span_ms: u64,
    /// While the database is used beyond this share of what it was measured to bear, all intervals double, step by step.
    pub load_percent: u32,
    /// Streams whose position a node keeps in memory, so that "nothing new" needs no query. About 200 bytes each.
    pub head_cache: usize,
    /// For how many days clients learn of deletions. Who was away for longer begins again.
    pub tombstone_days: u64,
}

durations!(Sync {
    active: from_secs(active_seconds),
    hour: from_secs(hour_seconds),
    day: from_secs(day_seconds),
    core: from_secs(core_seconds),
    cohort_span: from_millis(cohort_span_ms),
});

impl Sync {
    /// The interval for a client for which nothing has changed for so long.
    #[must_use]
    pub fn interval(&self, quiet: Duration) -> Duration {
        const HOUR: Duration = Duration::from_secs(3_600);
        if quiet < HOUR {
            self.active()
        } else if quiet < HOUR * 24 {
            self.hour()
        } else {
            self.day()
        }
    }

    /// For how long tombstones are kept.
    #[must_use]
    pub fn tombstones_last(&self) -> Duration {
        Duration::from_secs(self.tombstone_days * 86_400)
    }

    pub(super) fn validate(&self, faults: &mut Vec<Fault>) {
        if self.active_seconds > self.hour_seconds || self.hour_seconds > self.day_seconds {
            let reason = "must not be longer than the interval after it: active_seconds, hour_seconds, day_seconds";
            faults.push(Fault::new("sync.active_seconds", reason, "Order the three from short to long"));
        }
    }
}
