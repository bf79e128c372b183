//! Where all virtual users put their figures.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;
use tokio::time::Instant;

use crate::histogram::Histogram;

/// Kinds of errors that are told apart; further ones are counted together.
const MOST_KINDS: usize = 100;

/// What a virtual user does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// Sends a message and waits for its reply.
    Message,
    /// Reads the first page of conversations.
    Conversations,
    /// Reads the newest messages of a conversation.
    Messages,
    /// Asks what is new.
    Sync,
    /// Opens a live socket, until the server says that it is ready.
    Connect,
    /// Opens it again after it was lost, waiting included.
    Reconnect,
    /// From sending a message to hearing of it on the live socket.
    Delivery,
}

impl Operation {
    /// Every operation.
    pub const ALL: [Self; 7] = [
        Self::Message,
        Self::Conversations,
        Self::Messages,
        Self::Sync,
        Self::Connect,
        Self::Reconnect,
        Self::Delivery,
    ];

    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Message => "message",
            Self::Conversations => "conversations",
            Self::Messages => "messages",
            Self::Sync => "sync",
            Self::Connect => "connect",
            Self::Reconnect => "reconnect",
            Self::Delivery => "delivery",
        }
    }

    /// Whether it is a request, whose latency the thresholds are about.
    #[must_use]
    pub const fn is_request(self) -> bool {
        matches!(self, Self::Message | Self::Conversations | Self::Messages | Self::Sync)
    }
}

/// One second of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Second {
    /// Seconds since the beginning.
    pub at: u64,
    /// Requests that were answered.
    pub requests: u64,
    /// Errors of any kind.
    pub errors: u64,
    /// The median of their latencies, in milliseconds.
    pub p50_ms: f64,
    /// The 99th percentile.
    pub p99_ms: f64,
    /// Open live sockets.
    pub sockets: i64,
    /// Frames that came over them.
    pub frames: u64,
    /// The server's resident memory, in bytes; 0 when it is not known.
    pub server_memory: u64,
    /// The server's time on processors, in percent of one.
    pub server_cpu: f64,
    /// The generator's time on processors, in percent of one.
    pub own_cpu: f64,
}

/// The figures of a run, as they grow.
#[derive(Debug)]
pub(crate) struct Recorder {
    /// Requests that were meant to begin in this time count.
    steady: Range<Instant>,
    latencies: [Mutex<Histogram>; Operation::ALL.len()],
    second: Mutex<Histogram>,
    errors: Mutex<BTreeMap<(Operation, String), u64>>,
    second_errors: AtomicU64,
    sockets: AtomicI64,
    frames: AtomicU64,
    postponed: Mutex<BTreeMap<String, u64>>,
    cut: AtomicU64,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Recorder {
    pub(crate) fn new(steady: Range<Instant>) -> Self {
        Self {
            steady,
            latencies: Default::default(),
            second: Mutex::default(),
            errors: Mutex::default(),
            second_errors: AtomicU64::new(0),
            sockets: AtomicI64::new(0),
            frames: AtomicU64::new(0),
            postponed: Mutex::default(),
            cut: AtomicU64::new(0),
        }
    }

    /// Something was done now that was meant to begin at this moment. Sockets are opened before the steady part, so theirs
    /// always count.
    pub(crate) fn took(&self, operation: Operation, meant: Instant) {
        let latency = meant.elapsed();
        if operation.is_request() {
            lock(&self.second).record(latency);
        }
        if !operation.is_request() || self.steady.contains(&meant) {
            lock(&self.latencies[operation as usize]).record(latency);
        }
    }

    /// A socket was told to come later.
    pub(crate) fn postponed(&self, code: &str) {
        let mut postponed = lock(&self.postponed);
        let code = if postponed.len() < MOST_KINDS { code } else { "other" };
        *postponed.entry(code.to_owned()).or_default() += 1;
    }

    /// How many sockets were told so, by the code of the refusal.
    pub(crate) fn all_postponed(&self) -> BTreeMap<String, u64> {
        lock(&self.postponed).clone()
    }

    /// A socket was cut by us.
    pub(crate) fn cut(&self) {
        self.cut.fetch_add(1, Relaxed);
    }

    /// How many sockets were cut by us.
    pub(crate) fn all_cut(&self) -> u64 {
        self.cut.load(Relaxed)
    }

    pub(crate) fn failed(&self, operation: Operation, kind: &str) {
        self.second_errors.fetch_add(1, Relaxed);
        let mut errors = lock(&self.errors);
        let room = errors.len() < MOST_KINDS;
        let key = (operation, kind.to_owned());
        let key = if room || errors.contains_key(&key) { key } else { (operation, "other".to_owned()) };
        *errors.entry(key).or_default() += 1;
    }

    pub(crate) fn socket(&self, more: i64) {
        self.sockets.fetch_add(more, Relaxed);
    }

    pub(crate) fn sockets(&self) -> i64 {
        self.sockets.load(Relaxed)
    }

    pub(crate) fn frame(&self) {
        self.frames.fetch_add(1, Relaxed);
    }

    /// What the last second brought. Only one may ask.
    pub(crate) fn second(&self) -> Second {
        let mut latencies = lock(&self.second);
        let second = Second {
            requests: latencies.count(),
            errors: self.second_errors.swap(0, Relaxed),
            p50_ms: millis(latencies.quantile(0.5)),
            p99_ms: millis(latencies.quantile(0.99)),
            sockets: self.sockets(),
            frames: self.frames.swap(0, Relaxed),
            ..Second::default()
        };
        latencies.clear();
        second
    }

    pub(crate) fn latencies(&self, operation: Operation) -> Histogram {
        lock(&self.latencies[operation as usize]).clone()
    }

    pub(crate) fn errors(&self) -> BTreeMap<(Operation, String), u64> {
        lock(&self.errors).clone()
    }
}

/// As milliseconds, to the microsecond.
pub(crate) fn millis(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn only_what_was_meant_for_the_steady_part_counts() {
        let begin = Instant::now();
        let recorder = Recorder::new(begin + Duration::from_secs(10)..begin + Duration::from_secs(20));
        recorder.took(Operation::Message, begin);
        recorder.took(Operation::Connect, begin);
        // Answered long after the steady part, and meant for it.
        tokio::time::advance(Duration::from_secs(30)).await;
        recorder.took(Operation::Message, begin + Duration::from_secs(19));
        let messages = recorder.latencies(Operation::Message);
        assert_eq!((messages.count(), messages.max()), (1, Duration::from_secs(11)));
        assert_eq!(recorder.latencies(Operation::Connect).count(), 1);
        assert_eq!(recorder.second().requests, 2);
        assert_eq!(recorder.second().requests, 0, "each second stands for itself");
    }

    #[tokio::test]
    async fn kinds_of_errors_are_bounded() {
        let recorder = Recorder::new(Instant::now()..Instant::now());
        for number in 0..1_000 {
            recorder.failed(Operation::Sync, &format!("kind {number}"));
        }
        let errors = recorder.errors();
        assert!(errors.len() <= MOST_KINDS + 1);
        assert_eq!(errors.values().sum::<u64>(), 1_000);
    }
}
