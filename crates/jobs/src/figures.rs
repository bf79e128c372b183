//! The figures of jobs on this node, since its start.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// Bounds of the histograms, in seconds.
const BOUNDS: [f64; 16] =
    [0.001, 0.0025, 0.005, 0.01, 0.02, 0.035, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0, 600.0, 3600.0];

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct QueueLabel {
    queue: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OutcomeLabels {
    queue: &'static str,
    kind: &'static str,
    outcome: &'static str,
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Done.
    Done,
    /// Failed, and tried again.
    Failed,
    /// Failed for good.
    Dead,
    /// Run again later.
    Snoozed,
    /// Cancelled while it ran.
    Cancelled,
    /// Given to another worker at the stop.
    HandedBack,
    /// It belonged to somebody else by the time that it ended.
    Lost,
}

impl Outcome {
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Dead => "dead",
            Self::Snoozed => "snoozed",
            Self::Cancelled => "cancelled",
            Self::HandedBack => "handed_back",
            Self::Lost => "lost",
        }
    }
}

/// What is counted. Clones share it.
#[derive(Clone, Debug)]
pub struct JobFigures {
    outcomes: Family<OutcomeLabels, Counter>,
    waits: Family<QueueLabel, Histogram>,
    runs: Family<QueueLabel, Histogram>,
    running: Family<QueueLabel, Gauge>,
    claims: Family<QueueLabel, Counter>,
    pub(crate) rescued: Counter,
    pub(crate) stuck: Counter,
    pub(crate) ticks: Counter,
    pub(crate) forgotten: Counter,
    pub(crate) retried_endings: Counter,
    totals: Arc<Totals>,
}

/// What all queues come to.
#[derive(Debug, Default)]
struct Totals {
    ended: AtomicU64,
    took_us: AtomicU64,
}

impl JobFigures {
    /// Makes them known.
    #[must_use]
    pub fn register(registry: &mut Registry) -> Self {
        let histogram = || Histogram::new(BOUNDS);
        let figures = Self {
            outcomes: Family::default(),
            waits: Family::new_with_constructor(histogram as fn() -> Histogram),
            runs: Family::new_with_constructor(histogram as fn() -> Histogram),
            running: Family::default(),
            claims: Family::default(),
            rescued: Counter::default(),
            stuck: Counter::default(),
            ticks: Counter::default(),
            forgotten: Counter::default(),
            retried_endings: Counter::default(),
            totals: Arc::default(),
        };
        let f = &figures;
        registry.register(
            "mainstay_job_attempts",
            "Attempts that ended on this node, by how they ended",
            f.outcomes.clone(),
        );
        registry.register(
            "mainstay_job_wait_seconds",
            "From the moment that a job was due until it began",
            f.waits.clone(),
        );
        registry.register("mainstay_job_run_seconds", "How long attempts took", f.runs.clone());
        registry.register("mainstay_job_running", "Attempts that run on this node now", f.running.clone());
        registry.register("mainstay_job_claims", "Transactions of this node that claimed jobs", f.claims.clone());
        registry.register(
            "mainstay_job_rescues",
            "Jobs that were taken back from workers that had died",
            f.rescued.clone(),
        );
        registry.register("mainstay_job_stuck", "Attempts that did not stop at their deadline", f.stuck.clone());
        registry.register("mainstay_job_ticks", "Ticks of schedules that this node took", f.ticks.clone());
        registry.register("mainstay_job_forgotten", "Jobs that had been kept long enough", f.forgotten.clone());
        registry.register(
            "mainstay_job_ending_retries",
            "Batches of ended attempts that were not stored at the first try",
            f.retried_endings.clone(),
        );
        figures
    }

    /// How many attempts have ended on this node, and how long they took together.
    #[must_use]
    pub fn totals(&self) -> (u64, Duration) {
        let Totals { ended, took_us } = &*self.totals;
        (ended.load(Ordering::Relaxed), Duration::from_micros(took_us.load(Ordering::Relaxed)))
    }

    pub(crate) fn claimed(&self, queue: &'static str, waits: impl Iterator<Item = f64>) {
        let label = QueueLabel { queue };
        self.claims.get_or_create(&label).inc();
        let histogram = self.waits.get_or_create(&label);
        let (mut count, running) = (0, self.running.get_or_create(&label));
        for wait in waits {
            histogram.observe(wait);
            count += 1;
        }
        running.inc_by(count);
    }

    pub(crate) fn ended(&self, queue: &'static str, kind: &'static str, outcome: Outcome, took: f64) {
        let label = QueueLabel { queue };
        self.running.get_or_create(&label).dec();
        self.totals.ended.fetch_add(1, Ordering::Relaxed);
        let took_us = Duration::try_from_secs_f64(took).unwrap_or_default().as_micros();
        self.totals.took_us.fetch_add(u64::try_from(took_us).unwrap_or(0), Ordering::Relaxed);
        self.runs.get_or_create(&label).observe(took);
        self.outcomes.get_or_create(&OutcomeLabels { queue, kind, outcome: outcome.word() }).inc();
    }
}
