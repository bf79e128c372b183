//! The section `[jobs]`.

use std::time::Duration;

use mainstay_jobs::Settings;
use mainstay_store::{Keeping, OverallLimits, Rate};
use serde::{Deserialize, Serialize};

use super::schema::Bound;

pub(super) const BOUNDS: &[Bound] = &[
    ("jobs.rescue_after_seconds", 2, 3_600),
    ("jobs.poll_ms", 100, 60_000),
    ("jobs.batch", 1, 1_000),
    ("jobs.slots", 1, 10_000),
    ("jobs.running_overall", 0, 1_000_000),
    ("jobs.begun_per_second_overall", 0, 1_000_000),
    ("jobs.keep_done_hours", 0, 8_760),
    ("jobs.keep_dead_days", 1, 3_650),
    ("jobs.stop_grace_seconds", 0, 3_600),
    ("jobs.oldest_seconds", 1, 86_400),
];

/// Work that is done later.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Jobs {
    /// Whether this node works on jobs. One that does not still promises them.
    pub enabled: bool,
    /// After how many seconds a worker that does not answer is taken for dead, and its jobs are given to others.
    pub rescue_after_seconds: u64,
    /// How often a node looks for jobs that nobody told it of, in milliseconds.
    pub poll_ms: u64,
    /// The most jobs that are claimed, or ended, by one transaction.
    pub batch: u32,
    /// How many jobs of each queue a node runs at once.
    pub slots: u32,
    /// How many jobs of all queues run at once, on all nodes together; 0 for as many as there are slots.
    pub running_overall: u32,
    /// How many jobs of all queues are begun within a second, on all nodes together; 0 for any number.
    pub begun_per_second_overall: u32,
    /// For how many hours jobs that were done or cancelled are kept.
    pub keep_done_hours: u64,
    /// For how many days jobs that were given up are kept.
    pub keep_dead_days: u64,
    /// How long a job may go on after the server was told to stop, in seconds; then it is handed to another node.
    pub stop_grace_seconds: u64,
    /// How old the oldest job that could run may be, in seconds, until `/health/queue` fails.
    pub oldest_seconds: u64,
}

impl Jobs {
    /// How the worker goes about it.
    #[must_use]
    pub const fn settings(&self) -> Settings {
        Settings {
            rescue_after: Duration::from_secs(self.rescue_after_seconds),
            poll: Duration::from_millis(self.poll_ms),
            batch: self.batch,
            overall: self.overall(),
            keeping: self.keeping(),
            grace: Duration::from_secs(self.stop_grace_seconds),
        }
    }

    /// What holds over all queues and nodes.
    const fn overall(&self) -> OverallLimits {
        let running = if self.running_overall == 0 { None } else { Some(self.running_overall) };
        let jobs = self.begun_per_second_overall;
        let rate = if jobs == 0 { None } else { Some(Rate { jobs, within: Duration::from_secs(1) }) };
        OverallLimits { running, rate }
    }

    /// For how long jobs that have ended are kept.
    #[must_use]
    pub const fn keeping(&self) -> Keeping {
        Keeping {
            done: Duration::from_secs(self.keep_done_hours * 3_600),
            dead: Duration::from_secs(self.keep_dead_days * 86_400),
        }
    }

    /// How old the oldest job that could run may be.
    #[must_use]
    pub const fn oldest(&self) -> Duration {
        Duration::from_secs(self.oldest_seconds)
    }
}
