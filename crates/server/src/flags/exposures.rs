//! Lives in one process: exposures on their way to the database. They are written together once a second, off the path of
//! the request. A unit that was told of before is remembered, so that only the first exposure costs a row. A crash loses at
//! most what came in the last second; the unit is written the next time that it is shown its variant. On several nodes each
//! remembers for itself, and the database keeps the earliest.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use mainstay_domain::{Error, ExperimentId, Kind, Result, TenantId, Timestamp};
use mainstay_store::{Call, Exposure, RecordExposures, Store};
use moka::sync::Cache;
use tokio::sync::Notify;
use uuid::Uuid;

use crate::config;
use crate::locking::lock;

/// Rows of one transaction.
const TOGETHER: usize = 500;
/// How long a transaction may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Sorted, so that two nodes take the locks of rows in one order.
type Key = (ExperimentId, TenantId, Uuid);

/// Exposures that are not in the database yet, and those that are known to be.
pub struct Exposures {
    waiting: Mutex<BTreeMap<Key, (usize, Timestamp)>>,
    most: usize,
    known: Cache<Key, ()>,
    /// There is enough for a transaction.
    enough: Notify,
    written: AtomicU64,
    lost: AtomicU64,
}

/// How a flush has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flushed {
    /// Nothing waits any more.
    All,
    /// The database does not take them now.
    Later,
}

impl Exposures {
    /// None yet.
    #[must_use]
    pub fn new(settings: &config::Flags) -> Self {
        Self {
            waiting: Mutex::default(),
            most: settings.waiting_exposures,
            known: Cache::builder().max_capacity(settings.known_exposures).build(),
            enough: Notify::new(),
            written: AtomicU64::new(0),
            lost: AtomicU64::new(0),
        }
    }

    /// Takes an exposure, to be written soon. One that is known costs nothing.
    ///
    /// # Errors
    /// `overloaded` when too many wait: the database has not taken them for a while.
    pub fn add(&self, exposure: Exposure) -> Result<()> {
        let key = (exposure.experiment, exposure.tenant, exposure.unit);
        if self.known.contains_key(&key) {
            return Ok(());
        }
        let mut waiting = lock(&self.waiting);
        if waiting.contains_key(&key) {
            return Ok(());
        }
        if waiting.len() >= self.most {
            let detail = "Too many exposures wait to be written. Try again in a moment.";
            return Err(Error::new(Kind::Unavailable, "overloaded", detail).retry_after(Duration::from_secs(2)));
        }
        waiting.insert(key, (exposure.variant, exposure.at));
        if waiting.len() == TOGETHER {
            self.enough.notify_one();
        }
        Ok(())
    }

    /// Waits until there is enough for a transaction.
    pub async fn enough(&self) {
        self.enough.notified().await;
    }

    /// Writes what waits. What cannot be written now stays; what can never be is dropped and said.
    pub async fn flush(&self, store: &Store) -> Flushed {
        loop {
            let rows: Vec<Exposure> = lock(&self.waiting).iter().take(TOGETHER).map(exposure).collect();
            if rows.is_empty() {
                return Flushed::All;
            }
            let keys: Vec<Key> = rows.iter().map(|row| (row.experiment, row.tenant, row.unit)).collect();
            let count = keys.len() as u64;
            match store.run(&Call::within(PATIENCE), RecordExposures(rows)).await {
                Ok(()) => {
                    self.written.fetch_add(count, Ordering::Relaxed);
                    // Known before it is taken from those that wait, so that nobody adds it in between.
                    keys.iter().for_each(|key| self.known.insert(*key, ()));
                    self.forget(&keys);
                }
                Err(error) if is_passing(&error) => {
                    tracing::warn!(%error, "exposures cannot be written; it is tried again");
                    return Flushed::Later;
                }
                Err(error) => {
                    tracing::error!(%error, count, "exposures cannot be written, and are lost");
                    self.lost.fetch_add(count, Ordering::Relaxed);
                    self.forget(&keys);
                }
            }
        }
    }

    fn forget(&self, keys: &[Key]) {
        let mut waiting = lock(&self.waiting);
        for key in keys {
            waiting.remove(key);
        }
    }

    /// How many wait, were written (repeats of other nodes among them), and were lost.
    #[must_use]
    pub fn figures(&self) -> (usize, u64, u64) {
        let waiting = lock(&self.waiting).len();
        (waiting, self.written.load(Ordering::Relaxed), self.lost.load(Ordering::Relaxed))
    }
}

fn exposure(((experiment, tenant, unit), (variant, at)): (&Key, &(usize, Timestamp))) -> Exposure {
    Exposure { experiment: *experiment, tenant: *tenant, unit: *unit, variant: *variant, at: *at }
}

/// True when the rows are not at fault.
fn is_passing(error: &mainstay_store::Error) -> bool {
    use mainstay_store::Error;
    !matches!(error, Error::Unique(_) | Error::Missing(_) | Error::Constraint(_) | Error::Isolation(_) | Error::Bug(_))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exposure(unit: u128) -> Exposure {
        Exposure {
            experiment: ExperimentId(Uuid::from_u128(1)),
            tenant: TenantId(Uuid::from_u128(2)),
            unit: Uuid::from_u128(unit),
            variant: 0,
            at: Timestamp::EPOCH,
        }
    }

    #[test]
    fn what_waits_is_bounded_and_a_repeat_takes_no_room() {
        let settings = config::Flags { waiting_exposures: 2, known_exposures: 10, keep_stopped_days: 1 };
        let exposures = Exposures::new(&settings);
        for unit in [1, 2, 1, 2] {
            exposures.add(exposure(unit)).expect("there is room");
        }
        let refused = exposures.add(exposure(3)).expect_err("there is none");
        assert_eq!((refused.kind, refused.code), (Kind::Unavailable, "overloaded"));
        assert_eq!(exposures.figures(), (2, 0, 0));
        // Once it is known to be written, it costs nothing even when there is no room.
        let known = exposure(3);
        exposures.known.insert((known.experiment, known.tenant, known.unit), ());
        exposures.add(known).expect("it is known");
        assert_eq!(exposures.figures(), (2, 0, 0));
    }

    #[test]
    fn only_rows_that_are_at_fault_are_given_up() {
        use mainstay_store::Error;
        for passing in [Error::Unavailable(String::new()), Error::Timeout, Error::OutcomeUnknown, Error::QueueFull] {
            assert!(is_passing(&passing), "{passing:?}");
        }
        for lasting in [Error::Isolation(String::new()), Error::Constraint(String::new()), Error::Bug(String::new())] {
            assert!(!is_passing(&lasting), "{lasting:?}");
        }
    }
}
