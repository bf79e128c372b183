//! How much of the database is used: connections that are lent, waits for one, transactions and commits, by kind.
//!
//! Lives in one process; each node sees its own use. Everything here is counted since the start, so that whoever looks
//! twice knows what happened in between.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use prometheus_client::metrics::histogram::Histogram;
use tokio::time::Instant;

use crate::error::Error;

/// Bounds of the histograms, in seconds.
const BOUNDS: [f64; 11] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 2.5];

/// What a connection is lent for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lending {
    /// Requests. On SQLite the readers.
    Requests,
    /// Writing that was collected in batches. On SQLite the one writer, whoever writes.
    Writing,
    /// Work across organisations (PostgreSQL).
    System,
    /// Claiming and ending jobs (PostgreSQL).
    Jobs,
}

/// Every kind, in the order of [`Store::usage`](crate::Store::usage).
pub const LENDINGS: [Lending; 4] = [Lending::Requests, Lending::Writing, Lending::System, Lending::Jobs];

/// The use of one kind of connections, since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Usage {
    /// How many there may be.
    pub size: usize,
    /// How many are lent now.
    pub in_use: usize,
    /// The most that were lent at once since this was read last: whoever reads it, reads it for all.
    pub most_in_use: usize,
    /// The time that each was lent, added up.
    pub lent: Duration,
    /// How often one was lent.
    pub loans: u64,
    /// The time that was waited for one, added up.
    pub waited: Duration,
    /// How often none came in time.
    pub refused: u64,
}

/// Counts loans.
#[derive(Debug)]
pub(crate) struct Meter {
    kinds: [Kind; LENDINGS.len()],
    pub(crate) waits: Histogram,
    pub(crate) commits: Histogram,
    /// Whether the last transaction that wrote found no room on the disk.
    full: AtomicBool,
}

#[derive(Debug, Default)]
struct Kind {
    level: Mutex<Level>,
    loans: AtomicU64,
    waited_micros: AtomicU64,
    refused: AtomicU64,
}

/// How many are lent, and the area under that curve.
#[derive(Clone, Copy, Debug, Default)]
struct Level {
    in_use: usize,
    most: usize,
    lent: Duration,
    changed: Option<Instant>,
}

impl Level {
    fn settle(&mut self, now: Instant) {
        if let Some(changed) = self.changed {
            let factor = u32::try_from(self.in_use).unwrap_or(u32::MAX);
            self.lent += now.saturating_duration_since(changed).saturating_mul(factor);
        }
        self.changed = Some(now);
    }
}

impl Kind {
    fn level(&self) -> MutexGuard<'_, Level> {
        self.level.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Meter {
    fn default() -> Self {
        let (waits, commits) = (Histogram::new(BOUNDS), Histogram::new(BOUNDS));
        Self { kinds: Default::default(), waits, commits, full: AtomicBool::new(false) }
    }
}

impl Meter {
    /// A transaction that writes has ended, well or with this error.
    pub(crate) fn wrote(&self, error: Option<&Error>) {
        match error {
            None => self.full.store(false, Ordering::Relaxed),
            Some(Error::Full(_)) => self.full.store(true, Ordering::Relaxed),
            Some(_) => {}
        }
    }

    pub(crate) fn is_full(&self) -> bool {
        self.full.load(Ordering::Relaxed)
    }

    /// Counts a connection as lent after a wait that began at `since`, until the answer is dropped.
    pub(crate) fn lend(&self, lending: Lending, since: Instant) -> Lent<'_> {
        let now = Instant::now();
        let waited = now.saturating_duration_since(since);
        self.waits.observe(waited.as_secs_f64());
        let kind = &self.kinds[lending as usize];
        kind.loans.fetch_add(1, Ordering::Relaxed);
        kind.waited_micros.fetch_add(u64::try_from(waited.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
        let mut level = kind.level();
        level.settle(now);
        level.in_use += 1;
        level.most = level.most.max(level.in_use);
        Lent(kind)
    }

    /// Counts a wait that ended without a connection.
    pub(crate) fn refuse(&self, lending: Lending, since: Instant) {
        let waited = since.elapsed();
        self.waits.observe(waited.as_secs_f64());
        let kind = &self.kinds[lending as usize];
        kind.refused.fetch_add(1, Ordering::Relaxed);
        kind.waited_micros.fetch_add(u64::try_from(waited.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// The use of each kind, with these sizes.
    pub(crate) fn usage(&self, sizes: [usize; LENDINGS.len()]) -> [Usage; LENDINGS.len()] {
        let mut all = [Usage::default(); LENDINGS.len()];
        for ((usage, kind), size) in all.iter_mut().zip(&self.kinds).zip(sizes) {
            let mut level = kind.level();
            level.settle(Instant::now());
            *usage = Usage {
                size,
                in_use: level.in_use,
                most_in_use: level.most,
                lent: level.lent,
                loans: kind.loans.load(Ordering::Relaxed),
                waited: Duration::from_micros(kind.waited_micros.load(Ordering::Relaxed)),
                refused: kind.refused.load(Ordering::Relaxed),
            };
            level.most = level.in_use;
        }
        all
    }
}

/// A connection that is lent.
pub(crate) struct Lent<'m>(&'m Kind);

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        let mut level = self.0.level();
        level.settle(Instant::now());
        level.in_use = level.in_use.saturating_sub(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_time_of_every_loan_is_added_up() {
        let meter = Meter::default();
        let asked = Instant::now();
        tokio::time::advance(Duration::from_secs(1)).await;
        let first = meter.lend(Lending::Requests, asked);
        tokio::time::advance(Duration::from_secs(2)).await;
        let second = meter.lend(Lending::Requests, Instant::now());
        tokio::time::advance(Duration::from_secs(3)).await;
        drop(first);
        let [requests, writing, ..] = meter.usage([4, 1, 2, 3]);
        assert_eq!((requests.size, requests.in_use, requests.most_in_use, requests.loans), (4, 1, 2, 2));
        assert_eq!(requests.lent, Duration::from_secs(2 + 2 * 3));
        assert_eq!(requests.waited, Duration::from_secs(1));
        assert_eq!((writing.size, writing.loans), (1, 0));
        tokio::time::advance(Duration::from_secs(1)).await;
        let [requests, ..] = meter.usage([4, 1, 2, 3]);
        assert_eq!((requests.most_in_use, requests.lent), (1, Duration::from_secs(9)), "also while it lasts");
        drop(second);
    }
}
