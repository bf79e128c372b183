//! Lives in one process: on several nodes each has its own log, so N nodes together let through up to N times the limit.
//!
//! That is a bound that can be told, and guessing a password stays slow; what must be exact across nodes is kept in the
//! database. The log itself is exact: there is never more than the limit within any window, at whatever moment the window
//! is laid, which counters per fixed window do not give. What is refused is not counted.
//!
//! An attempt is counted before it is made ([`Throttle::reserve`]) and given back when it succeeds, so that a hundred
//! attempts at once do not all see an empty log. Memory is bounded: one key has at most `limit` entries, and of more than
//! `capacity` keys the one that was used least recently goes, which [`Throttle::evicted`] counts.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::limits::Network;

/// How many keys a throttle remembers unless told otherwise.
pub const CAPACITY: usize = 100_000;

/// At most so many entries of one key within any window of a given length.
#[derive(Debug)]
pub struct Throttle {
    limit: usize,
    window: Duration,
    capacity: usize,
    evicted: AtomicU64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    logs: HashMap<Arc<str>, Log>,
    /// The keys by their newest entry, oldest first; the number tells keys of the same moment apart.
    order: BTreeMap<(Instant, u64), Arc<str>>,
    next: u64,
}

#[derive(Debug)]
struct Log {
    /// Oldest first, at most `limit`.
    entries: VecDeque<Instant>,
    /// Where the key stands in `order`.
    place: (Instant, u64),
}

impl Throttle {
    /// At most `limit` entries of a key in any `window`, for at most `capacity` keys. A limit or a capacity of 0 counts
    /// as 1.
    #[must_use]
    pub fn new(limit: usize, window: Duration, capacity: usize) -> Self {
        Self {
            limit: limit.max(1),
            window,
            capacity: capacity.max(1),
            evicted: AtomicU64::new(0),
            state: Mutex::default(),
        }
    }

    /// Whether one more would be let through. It counts nothing, so two callers may both hear yes: to let at most the
    /// limit through, use [`Self::reserve`].
    ///
    /// # Errors
    /// How long to wait.
    pub fn check(&self, key: &str, now: Instant) -> Result<(), Duration> {
        self.wait(&self.state(), key, now).map_or(Ok(()), Err)
    }

    /// Counts an attempt before it is made.
    ///
    /// # Errors
    /// How long to wait. A refusal is not counted.
    pub fn reserve(&self, key: &str, now: Instant) -> Result<Reservation<'_>, Duration> {
        let mut state = self.state();
        if let Some(wait) = self.wait(&state, key, now) {
            return Err(wait);
        }
        let at = self.add(&mut state, key, now);
        Ok(Reservation { throttle: self, key: key.into(), at })
    }

    /// Counts what has happened, whatever the limit. Past the limit the oldest entry makes room, so one throttle is used
    /// either by this and [`Self::check`] or by [`Self::reserve`]: a place given back could not bring that entry back.
    pub fn record(&self, key: &str, now: Instant) {
        self.add(&mut self.state(), key, now);
    }

    /// Forgets everything about a key.
    pub fn forgive(&self, key: &str) {
        let mut state = self.state();
        if let Some(log) = state.logs.remove(key) {
            state.order.remove(&log.place);
        }
    }

    /// Keys that were forgotten before their time because there were more than the capacity: above zero, a flood of keys
    /// may have made room for attempts that the limit would have refused.
    #[must_use]
    pub fn evicted(&self) -> u64 {
        self.evicted.load(Ordering::Relaxed)
    }

    /// How many keys are remembered.
    #[must_use]
    pub fn keys(&self) -> usize {
        self.state().logs.len()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How long until one more fits, when it does not now. Each entry counts for exactly one window from its moment.
    fn wait(&self, state: &State, key: &str, now: Instant) -> Option<Duration> {
        let log = state.logs.get(key)?;
        if log.entries.len() < self.limit {
            return None;
        }
        let free_at = *log.entries.front()? + self.window;
        (free_at > now).then(|| free_at - now)
    }

    /// Adds an entry and answers its moment. Callers read the clock before they hold the lock, so one may come late with
    /// an earlier moment: it counts from the newest entry on, which keeps the log in order and errs towards refusing.
    fn add(&self, state: &mut State, key: &str, now: Instant) -> Instant {
        self.drop_expired(state, now);
        state.next += 1;
        let number = state.next;
        if let Some(log) = state.logs.get_mut(key) {
            let at = now.max(log.place.0);
            log.entries.push_back(at);
            if log.entries.len() > self.limit {
                log.entries.pop_front();
            }
            let before = std::mem::replace(&mut log.place, (at, number));
            if let Some(key) = state.order.remove(&before) {
                state.order.insert((at, number), key);
            }
            return at;
        }
        if state.logs.len() >= self.capacity
            && let Some((_, oldest)) = state.order.pop_first()
        {
            state.logs.remove(&oldest);
            self.evicted.fetch_add(1, Ordering::Relaxed);
        }
        let key: Arc<str> = key.into();
        state.logs.insert(Arc::clone(&key), Log { entries: VecDeque::from([now]), place: (now, number) });
        state.order.insert((now, number), key);
        now
    }

    /// Drops at most two keys whose every entry is past: with each addition, that is faster than keys come.
    fn drop_expired(&self, state: &mut State, now: Instant) {
        for _ in 0..2 {
            let Some(first) = state.order.first_entry().filter(|first| first.key().0 + self.window <= now) else {
                return;
            };
            let key = first.remove();
            state.logs.remove(&key);
        }
    }

    /// Takes one entry of this moment away again.
    fn give_back(&self, key: &str, at: Instant) {
        let mut guard = self.state();
        let state = &mut *guard;
        let Some(log) = state.logs.get_mut(key) else { return };
        let Some(found) = log.entries.iter().rposition(|entry| *entry == at) else { return };
        log.entries.remove(found);
        let before = log.place;
        match log.entries.back() {
            None => {
                state.logs.remove(key);
                state.order.remove(&before);
            }
            Some(newest) if *newest != before.0 => {
                log.place = (*newest, before.1);
                if let Some(key) = state.order.remove(&before) {
                    state.order.insert((log.place.0, log.place.1), key);
                }
            }
            Some(_) => {}
        }
    }
}

/// An attempt that has been counted. Dropped, it stays counted: a request that is cut off half-way was an attempt.
#[derive(Debug)]
#[must_use = "dropping a reservation keeps the attempt counted"]
pub struct Reservation<'a> {
    throttle: &'a Throttle,
    key: Box<str>,
    at: Instant,
}

impl Reservation<'_> {
    /// The attempt succeeded: its place is free again.
    pub fn success(self) {
        self.throttle.give_back(&self.key, self.at);
    }

    /// The attempt failed and stays counted.
    pub fn failure(self) {}
}

/// The key of an address.
#[must_use]
pub fn address_key(address: IpAddr) -> String {
    Network::from(address).to_string()
}

#[cfg(test)]
mod tests;
