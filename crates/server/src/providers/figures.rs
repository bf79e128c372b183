//! Counts of what the providers did, for the page of metrics and the health check.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::{BreakerState, FaultKind};

/// What one provider did since the start of this process.
#[derive(Clone, Debug)]
pub struct Figures {
    /// Its name: `anthropic`, `openai` or `offline`.
    pub provider: &'static str,
    /// Its model.
    pub model: String,
    /// What its breaker does with the next request.
    pub breaker: BreakerState,
    /// How often its breaker has opened.
    pub breaker_opened: u64,
    /// Requests that it answers now.
    pub in_flight: usize,
    /// Requests that wait for it now.
    pub queued: usize,
    /// Requests that were passed to it.
    pub requests: u64,
    /// Replies that it completed.
    pub replies: u64,
    /// Attempts after the first one of a request.
    pub retries: u64,
    /// Requests to go on with a reply that another provider began and broke off.
    pub continuations: u64,
    /// Failed attempts and refused requests by code, every code of [`FaultKind::CODES`] once.
    pub faults: Vec<(&'static str, u64)>,
    /// What the last attempt came to; nothing before the first.
    pub last: Option<LastOutcome>,
}

/// What the last request to somebody else came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastOutcome {
    /// How long ago it ended.
    pub ago: Duration,
    /// The code of its fault; nothing when it was answered.
    pub fault: Option<&'static str>,
}

/// Remembers what the last request came to.
#[derive(Debug, Default)]
pub(crate) struct Last(Mutex<Option<(Instant, Option<&'static str>)>>);

impl Last {
    /// One has ended: with this fault, or well.
    pub(crate) fn record(&self, fault: Option<&'static str>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), fault));
    }

    pub(crate) fn get(&self) -> Option<LastOutcome> {
        let last = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        last.map(|(at, fault)| LastOutcome { ago: at.elapsed(), fault })
    }
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) requests: Counter,
    pub(super) replies: Counter,
    pub(super) retries: Counter,
    pub(super) continuations: Counter,
    pub(super) last: Last,
    faults: [Counter; FaultKind::CODES.len()],
}

impl Counters {
    pub(super) fn fault(&self, kind: FaultKind) {
        if let Some(counter) = self.faults.get(kind.index()) {
            counter.add();
        }
    }

    pub(super) fn faults(&self) -> Vec<(&'static str, u64)> {
        FaultKind::CODES.into_iter().zip(self.faults.iter().map(Counter::get)).collect()
    }
}

#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    pub(super) fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
