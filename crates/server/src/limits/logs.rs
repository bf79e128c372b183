//! Lives in one process: the moments at which requests passed, for each subject. With Redis the log that decides is there,
//! and this one is what a node knows of it; without, each node has its own, so N nodes together let through up to N times
//! the limit.
//!
//! The log is exact: a request passes when fewer than the limit have passed in the window that ends with it, and only then.
//! So in no window, wherever it is laid, do more pass, and whoever stays under the limit is never refused. The moment is
//! read while the logs are locked, so that the moments of a log never run backwards.
//!
//! Memory is bounded. A log holds at most as many moments as its limit, and there are at most so many logs. Addresses have
//! logs apart from those of people, so that a flood of addresses forgets nobody who is signed in. When there is no room, of
//! some that were not seen for long the one with the fewest moments goes; if it still counted, that is said.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::key::{Key, Rule, Subject};
use super::verdict::{Standing, Verdict};

/// Parts of the table, each with its own lock; as many again for addresses.
const SHARDS: usize = 64;
/// How many logs are looked at for one that may go.
const CANDIDATES: usize = 8;
/// The most limits of one request.
pub(super) const MOST_RULES: usize = 4;

/// A moment, in microseconds since an arbitrary beginning.
pub(super) type Moment = u64;

/// The logs.
#[derive(Debug)]
pub(super) struct Logs {
    shards: Vec<Mutex<Shard>>,
    hasher: RandomState,
    window: Moment,
    /// The most logs of one shard.
    capacity: usize,
    evicted: AtomicU64,
}

#[derive(Debug, Default)]
struct Shard {
    logs: HashMap<Key, VecDeque<Moment>>,
    /// Every key of `logs` once, roughly by age.
    order: VecDeque<Key>,
}

type Guard<'a> = MutexGuard<'a, Shard>;

/// A window in microseconds.
pub(super) fn micros(duration: Duration) -> Moment {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

impl Logs {
    /// Logs of this window, for at most about `keys` addresses and as many other subjects.
    pub(super) fn new(window: Duration, keys: usize) -> Self {
        Self {
            shards: (0..2 * SHARDS).map(|_| Mutex::default()).collect(),
            hasher: RandomState::new(),
            window: micros(window),
            capacity: (keys / SHARDS).max(1),
            evicted: AtomicU64::new(0),
        }
    }

    /// Decides about a request: all of its limits are looked at, and it is counted in all of them or in none. `now` is
    /// asked while they are locked.
    pub(super) fn decide(&self, rules: &[Rule], now: impl FnOnce() -> Moment) -> Verdict {
        let (mut guards, places) = self.lock(rules);
        let now = now();
        let mut standings = Vec::with_capacity(rules.len());
        for (rule, place) in rules.iter().zip(places) {
            let Some(shard) = guards.get_mut(place).and_then(Option::as_mut) else { continue };
            standings.push(shard.look(rule, now, self.window));
        }
        if standings.iter().all(|standing| !standing.refused) {
            for ((standing, rule), place) in standings.iter_mut().zip(rules).zip(places) {
                let Some(shard) = guards.get_mut(place).and_then(Option::as_mut) else { continue };
                self.push(shard, rule.key, now);
                standing.left = standing.left.saturating_sub(1);
                if standing.left == 0 || standing.more_in.is_zero() {
                    standing.more_in = shard.more_in(rule, now, self.window);
                }
            }
        }
        Verdict { standings, window: Duration::from_micros(self.window) }
    }

    /// Counts a pass that was decided elsewhere, or whatever the limit is. No more than `most` are kept.
    pub(super) fn record(&self, key: Key, at: Moment, most: usize) {
        let mut shard = self.shard(self.place(&key));
        self.push(&mut shard, key, at);
        if let Some(log) = shard.logs.get_mut(&key) {
            while log.len() > most {
                log.pop_front();
            }
        }
    }

    /// Takes one pass of this moment away again.
    pub(super) fn give_back(&self, key: Key, at: Moment) {
        let mut shard = self.shard(self.place(&key));
        let Some(log) = shard.logs.get_mut(&key) else { return };
        if let Some(place) = log.iter().rposition(|moment| *moment == at) {
            log.remove(place);
        }
    }

    /// The moments of a log that still count.
    pub(super) fn moments(&self, key: &Key, now: Moment) -> Vec<Moment> {
        let mut shard = self.shard(self.place(key));
        let Some(log) = shard.logs.get_mut(key) else { return Vec::new() };
        prune(log, now, self.window);
        log.iter().copied().collect()
    }

    /// Forgets the logs that count nothing any more.
    pub(super) fn sweep(&self, now: Moment) {
        for place in 0..self.shards.len() {
            let mut guard = self.shard(place);
            let Shard { logs, order } = &mut *guard;
            logs.retain(|_, log| {
                prune(log, now, self.window);
                log.shrink_to(2 * log.len());
                !log.is_empty()
            });
            order.retain(|key| logs.contains_key(key));
            logs.shrink_to(2 * logs.len());
            order.shrink_to(2 * order.len());
        }
    }

    /// How many logs there are.
    pub(super) fn keys(&self) -> usize {
        (0..self.shards.len()).map(|place| self.shard(place).logs.len()).sum()
    }

    /// How many logs were forgotten while they still counted.
    pub(super) fn evicted(&self) -> u64 {
        self.evicted.load(Ordering::Relaxed)
    }

    fn place(&self, key: &Key) -> usize {
        let hash = usize::try_from(self.hasher.hash_one(key) >> 32).unwrap_or_default();
        let half = if matches!(key.subject, Subject::Address(_)) { SHARDS } else { 0 };
        half + hash % SHARDS
    }

    fn shard(&self, place: usize) -> Guard<'_> {
        // Every place is below the number of shards, and there is at least one.
        let shard = self.shards.get(place).unwrap_or(&self.shards[0]);
        shard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Locks the shards of these rules, each once and in one order for everybody; and for each rule, which guard is its.
    fn lock(&self, rules: &[Rule]) -> ([Option<Guard<'_>>; MOST_RULES], [usize; MOST_RULES]) {
        let mut wanted = [usize::MAX; MOST_RULES];
        for (place, rule) in wanted.iter_mut().zip(rules) {
            *place = self.place(&rule.key);
        }
        let mut sorted = wanted;
        sorted.sort_unstable();
        let mut guards = [const { None }; MOST_RULES];
        let mut before = None;
        for (guard, place) in guards.iter_mut().zip(sorted) {
            if place != usize::MAX && before != Some(place) {
                *guard = Some(self.shard(place));
            }
            before = Some(place);
        }
        (guards, wanted.map(|place| sorted.iter().position(|one| *one == place).unwrap_or_default()))
    }

    fn push(&self, shard: &mut Shard, key: Key, at: Moment) {
        if let Some(log) = shard.logs.get_mut(&key) {
            // What was decided elsewhere may come late: it counts from the newest on, which errs towards refusing.
            log.push_back(log.back().map_or(at, |newest| at.max(*newest)));
            return;
        }
        if shard.logs.len() >= self.capacity && shard.make_room(at, self.window) {
            self.evicted.fetch_add(1, Ordering::Relaxed);
        }
        shard.logs.insert(key, VecDeque::from([at]));
        shard.order.push_back(key);
    }
}

impl Shard {
    /// How a limit stands before a request.
    fn look(&mut self, rule: &Rule, now: Moment, window: Moment) -> Standing {
        let limit = usize::try_from(rule.limit).unwrap_or(usize::MAX);
        let used = self.logs.get_mut(&rule.key).map_or(0, |log| {
            prune(log, now, window);
            log.len()
        });
        let left = u32::try_from(limit.saturating_sub(used)).unwrap_or(u32::MAX);
        Standing { rule: *rule, left, more_in: self.more_in(rule, now, window), refused: left == 0 }
    }

    /// How long until one more passes than now.
    fn more_in(&self, rule: &Rule, now: Moment, window: Moment) -> Duration {
        if rule.limit == 0 {
            return Duration::from_micros(window);
        }
        let limit = usize::try_from(rule.limit).unwrap_or(usize::MAX);
        // A limit that was lowered has more in its log than it allows: all of those must go first.
        let log = self.logs.get(&rule.key);
        let leaving = log.and_then(|log| log.get(log.len().saturating_sub(limit)));
        Duration::from_micros(leaving.map_or(0, |at| (at + window).saturating_sub(now)))
    }

    /// Makes room for one more log. True when what had to go still counted.
    fn make_room(&mut self, now: Moment, window: Moment) -> bool {
        let mut fewest: Option<(usize, Key)> = None;
        for _ in 0..CANDIDATES.min(self.order.len()) {
            let Some(key) = self.order.pop_front() else { break };
            let Some(log) = self.logs.get_mut(&key) else { continue };
            prune(log, now, window);
            let moments = log.len();
            if moments == 0 {
                self.logs.remove(&key);
                self.order.extend(fewest.map(|(_, key)| key));
                return false;
            }
            match &mut fewest {
                Some((least, kept)) if moments < *least => {
                    self.order.push_back(std::mem::replace(kept, key));
                    *least = moments;
                }
                Some(_) => self.order.push_back(key),
                None => fewest = Some((moments, key)),
            }
        }
        let gone = fewest.and_then(|(_, key)| self.logs.remove(&key));
        gone.is_some()
    }
}

/// Drops the moments that count no longer: each counts for exactly one window.
fn prune(log: &mut VecDeque<Moment>, now: Moment, window: Moment) {
    while log.front().is_some_and(|at| at + window <= now) {
        log.pop_front();
    }
}

#[cfg(test)]
mod tests;
