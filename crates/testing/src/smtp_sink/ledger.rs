//! The books of the sink: what was kept, what was reached, what is to go wrong.

use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

use super::fault::{SinkAct, SinkFault, SinkStage};

/// A message that the sink kept.
#[derive(Clone, Debug)]
pub struct Kept {
    /// Its Message-ID without brackets; empty when it had none.
    pub message_id: String,
    /// The sender of the envelope.
    pub sender: String,
    /// The recipients of the envelope.
    pub recipients: Vec<String>,
    /// When, counted from the start of the sink.
    pub at: Duration,
    /// Whether the client was told so.
    pub told: bool,
    /// The message itself, when the sink keeps them.
    pub bytes: Option<Arc<[u8]>>,
}

pub(super) struct Ledger {
    books: Mutex<Books>,
    started: Instant,
    changed: Notify,
    changed_blocking: Condvar,
}

#[derive(Default)]
struct Books {
    kept: Vec<Kept>,
    counts: HashMap<String, u32>,
    reached: [u64; SinkStage::COUNT],
    faults: Vec<SinkFault>,
    chance: u64,
}

impl Ledger {
    pub(super) fn new(seed: u64) -> Self {
        // The generator stands still at zero.
        let books = Books { chance: seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1, ..Books::default() };
        Self {
            books: Mutex::new(books),
            started: Instant::now(),
            changed: Notify::new(),
            changed_blocking: Condvar::new(),
        }
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self) {
        self.changed.notify_waiters();
        self.changed_blocking.notify_all();
    }

    /// Notes that a stage is reached, and gives what goes wrong there.
    pub(super) fn reach(&self, stage: SinkStage, recipients: &[String]) -> Option<SinkAct> {
        let mut books = self.books();
        books.reached[stage as usize] += 1;
        let Books { faults, chance, .. } = &mut *books;
        let mut draw = || {
            *chance ^= *chance << 13;
            *chance ^= *chance >> 7;
            *chance ^= *chance << 17;
            // The upper bits, as a fraction.
            f64::from(u32::try_from(*chance >> 32).unwrap_or_default()) / (f64::from(u32::MAX) + 1.0)
        };
        let mut act = None;
        for fault in faults {
            if fault.acts(stage, recipients, &mut draw) {
                act = Some(fault.act.clone());
                break;
            }
        }
        drop(books);
        self.tell();
        act
    }

    pub(super) fn keep(
        &self,
        message_id: String,
        sender: String,
        recipients: Vec<String>,
        told: bool,
        bytes: Option<Arc<[u8]>>,
    ) {
        let at = self.started.elapsed();
        let mut books = self.books();
        *books.counts.entry(message_id.clone()).or_default() += 1;
        books.kept.push(Kept { message_id, sender, recipients, at, told, bytes });
        drop(books);
        self.tell();
    }

    pub(super) fn add_fault(&self, fault: SinkFault) {
        self.books().faults.push(fault);
    }

    pub(super) fn clear_faults(&self) {
        self.books().faults.clear();
    }

    pub(super) fn kept(&self) -> Vec<Kept> {
        self.books().kept.clone()
    }

    pub(super) fn count(&self) -> usize {
        self.books().kept.len()
    }

    pub(super) fn count_of(&self, message_id: &str) -> u32 {
        self.books().counts.get(message_id).copied().unwrap_or_default()
    }

    pub(super) fn duplicates(&self) -> Vec<(String, u32)> {
        let books = self.books();
        let mut many: Vec<_> =
            books.counts.iter().filter(|(_, count)| **count > 1).map(|(id, count)| (id.clone(), *count)).collect();
        many.sort();
        many
    }

    pub(super) fn reached(&self, stage: SinkStage) -> u64 {
        self.books().reached[stage as usize]
    }

    /// Waits until `done`; false when it is not within `patience`.
    pub(super) async fn wait(&self, patience: Duration, done: impl Fn(&Self) -> bool) -> bool {
        let waiting = async {
            loop {
                let changed = self.changed.notified();
                tokio::pin!(changed);
                // Registered before the look, so that no change falls between.
                changed.as_mut().enable();
                if done(self) {
                    return;
                }
                changed.await;
            }
        };
        timeout(patience, waiting).await.is_ok()
    }

    /// Waits on a thread that may wait until `count` messages were kept.
    pub(super) fn wait_blocking(&self, patience: Duration, count: usize) -> bool {
        let waiting = |books: &mut Books| books.kept.len() < count;
        match self.changed_blocking.wait_timeout_while(self.books(), patience, waiting) {
            Ok((_, waited)) => !waited.timed_out(),
            Err(_) => false,
        }
    }
}
