//! What runs in the background, and how it ends: named tasks, the soft and the hard stop, readiness.
//!
//! A stop has two steps. The **soft stop** asks: the server accepts nothing new, loops that look for work end, work that
//! was begun is finished. The **hard stop** takes: whatever is left is dropped where it stands. Between the two lies
//! [`Lifecycle::drain`]. All of it lives in one process; each node stops for itself.

mod signals;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt::Display;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt;
use mainstay_domain::panic_message;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::locking::lock;
use crate::ops::log::trail::Trail;

pub use signals::stop_on_signals;

/// Failures that are kept for the health page and the exit code. Later ones are logged only.
const MOST_FAILURES: usize = 100;

/// How long the tasks that the hard stop cut may take to let go of what they hold.
const UNWIND: Duration = Duration::from_secs(1);

/// A task that ended as it must not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The name of the task.
    pub name: &'static str,
    /// What happened.
    pub detail: String,
}

/// What became of the tasks that were running when the drain began.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drained {
    /// How many ended by themselves.
    pub finished: usize,
    /// The names of those that the hard stop cut, and how many there were of each.
    pub cut: Vec<(&'static str, usize)>,
}

/// How a task may end: with nothing to say, or with an error to report.
pub trait Outcome {
    /// The error, where there is one.
    fn fault(self) -> Option<String>;
}

impl Outcome for () {
    fn fault(self) -> Option<String> {
        None
    }
}

impl<E: Display> Outcome for Result<(), E> {
    fn fault(self) -> Option<String> {
        self.err().map(|error| error.to_string())
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Sort {
    Forever,
    Work,
}

#[derive(Default)]
struct Live {
    forever: BTreeMap<&'static str, usize>,
    work: BTreeMap<&'static str, usize>,
}

impl Live {
    fn of(&mut self, sort: Sort) -> &mut BTreeMap<&'static str, usize> {
        match sort {
            Sort::Forever => &mut self.forever,
            Sort::Work => &mut self.work,
        }
    }

    fn total(&self) -> usize {
        self.forever.values().chain(self.work.values()).sum()
    }

    fn names(&self) -> Vec<(&'static str, usize)> {
        let mut names = self.work.clone();
        for (name, count) in &self.forever {
            *names.entry(name).or_default() += count;
        }
        names.into_iter().collect()
    }
}

#[derive(Default)]
struct Shared {
    soft: CancellationToken,
    drained: CancellationToken,
    hard: CancellationToken,
    ready: AtomicBool,
    failed: AtomicBool,
    live: Mutex<Live>,
    ended: Notify,
    failures: Mutex<Vec<Failure>>,
}

/// The life of this process. Clones share it.
#[derive(Clone, Default)]
pub struct Lifecycle {
    shared: Arc<Shared>,
}

/// The first of the two that ends.
async fn until(future: impl Future<Output = ()>, end: impl Future<Output = ()>) {
    tokio::select! {
        () = future => {}
        () = end => {}
    }
}

/// Takes a task off the list, however it ends.
struct Entry {
    lifecycle: Lifecycle,
    name: &'static str,
    sort: Sort,
}

impl Entry {
    fn new(lifecycle: &Lifecycle, name: &'static str, sort: Sort) -> Self {
        *lock(&lifecycle.shared.live).of(sort).entry(name).or_default() += 1;
        Self { lifecycle: lifecycle.clone(), name, sort }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let mut live = lock(&self.lifecycle.shared.live);
        let names = live.of(self.sort);
        match names.get_mut(self.name) {
            Some(count) if *count > 1 => *count -= 1,
            _ => {
                names.remove(self.name);
            }
        }
        if names.is_empty() {
            drop(live);
            self.lifecycle.shared.ended.notify_waiters();
        }
    }
}

impl Lifecycle {
    /// The life of a process that has just started: not ready yet, nothing running.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Runs a task that lasts until the soft stop. One that ends earlier, by returning or by a panic, is a failure: it is
    /// logged, kept for [`failures`](Self::failures), and the process stops with exit code 1.
    ///
    /// A task that serves others' work (a writer, a batcher) listens to [`drained`](Self::drained) instead of
    /// [`stopped`](Self::stopped), so that the work can still be finished.
    pub fn spawn<F>(&self, name: &'static str, future: F)
    where
        F: Future<Output: Outcome> + Send + 'static,
    {
        self.start(name, Sort::Forever, future);
    }

    /// As [`spawn`](Self::spawn), for what knows no end of its own: it is dropped at the soft stop.
    pub fn spawn_until_stopped<F>(&self, name: &'static str, future: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.spawn(name, until(future, self.stopped()));
    }

    /// As [`spawn_until_stopped`](Self::spawn_until_stopped), for what serves others' work: it is dropped when that has been
    /// finished.
    pub fn spawn_until_drained<F>(&self, name: &'static str, future: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.spawn(name, until(future, self.drained()));
    }

    /// Runs work that ends by itself (a connection, a generation) and is waited for when the process stops. A panic or an
    /// error is logged and kept as a failure of that name; the process goes on. What a request leaves behind keeps its trail in
    /// the log.
    pub fn spawn_work<F>(&self, name: &'static str, future: F)
    where
        F: Future<Output: Outcome> + Send + 'static,
    {
        // Boxed once, since it is moved several times until it runs.
        let future = Box::pin(future);
        match Trail::current() {
            Some(trail) => self.start(name, Sort::Work, trail.within(future)),
            None => self.start(name, Sort::Work, future),
        }
    }

    /// As [`spawn`](Self::spawn), on a thread of its own: for what others wait for at every step, and what must not wait
    /// itself until the runtime has been through its requests.
    pub fn spawn_on_thread<F>(&self, name: &'static str, future: F)
    where
        F: Future<Output: Outcome> + Send + 'static,
    {
        let task = self.watched(name, Sort::Forever, future);
        let runtime = tokio::runtime::Handle::current();
        if let Err(error) = std::thread::Builder::new().name(name.to_owned()).spawn(move || runtime.block_on(task)) {
            // Its entry is gone with the closure.
            self.fail(name, format!("its thread did not start: {error}"), true);
            self.stop();
        }
    }

    #[expect(clippy::disallowed_methods, reason = "this is the one place where tasks start: here they get their name")]
    fn start<F>(&self, name: &'static str, sort: Sort, future: F)
    where
        F: Future<Output: Outcome> + Send + 'static,
    {
        tokio::spawn(self.watched(name, sort, future));
    }

    /// A future that is on the list while it lives, and whose end is judged.
    fn watched<F>(&self, name: &'static str, sort: Sort, future: F) -> impl Future<Output = ()> + Send + use<F>
    where
        F: Future<Output: Outcome> + Send + 'static,
    {
        let entry = Entry::new(self, name, sort);
        async move {
            let lifecycle = entry.lifecycle.clone();
            let end = tokio::select! {
                biased;
                end = AssertUnwindSafe(future).catch_unwind() => end,
                () = lifecycle.shared.hard.cancelled() => return drop(entry),
            };
            let fault = match end {
                Ok(outcome) => outcome.fault(),
                Err(panic) => Some(format!("panicked: {}", panic_message(&*panic))),
            };
            let early = sort == Sort::Forever && !lifecycle.stopping();
            match fault {
                Some(detail) => lifecycle.fail(name, detail, sort == Sort::Forever),
                None if early => lifecycle.fail(name, "ended before it was asked to".to_owned(), true),
                None => {}
            }
            if early {
                lifecycle.stop();
            }
            drop(entry);
        }
    }

    fn fail(&self, name: &'static str, detail: String, fatal: bool) {
        tracing::error!(task = name, detail, "a task failed");
        if fatal {
            self.shared.failed.store(true, Ordering::Release);
        }
        let mut failures = lock(&self.shared.failures);
        if failures.len() < MOST_FAILURES {
            failures.push(Failure { name, detail });
        }
    }

    /// The soft stop: not ready any more, nothing new. It can be asked for as often as one likes.
    pub fn stop(&self) {
        self.set_ready(false);
        self.shared.soft.cancel();
    }

    /// The soft and the hard stop at once: every task is dropped where it stands.
    pub fn stop_hard(&self) {
        self.stop();
        self.shared.drained.cancel();
        self.shared.hard.cancel();
    }

    /// Whether the soft stop has been asked for.
    #[must_use]
    pub fn stopping(&self) -> bool {
        self.shared.soft.is_cancelled()
    }

    /// Waits for the soft stop. The future borrows nothing, so that it can live in a task.
    pub fn stopped(&self) -> impl Future<Output = ()> + Send + use<> {
        self.shared.soft.clone().cancelled_owned()
    }

    /// Waits until the work that was begun before the stop is finished (or given up): when those who serve it may end.
    pub fn drained(&self) -> impl Future<Output = ()> + Send + use<> {
        self.shared.drained.clone().cancelled_owned()
    }

    /// Waits for the hard stop.
    pub fn stopped_hard(&self) -> impl Future<Output = ()> + Send + use<> {
        self.shared.hard.clone().cancelled_owned()
    }

    /// Stops softly, waits at most `timeout` for the work and then for everything else, and stops hard.
    pub async fn drain(&self, timeout: Duration) -> Drained {
        let deadline = Instant::now() + timeout;
        self.stop();
        let before = lock(&self.shared.live).total();
        tokio::select! {
            () = self.until(|live| live.work.is_empty()) => {}
            () = tokio::time::sleep_until(deadline) => {}
            () = self.shared.hard.cancelled() => {}
        }
        self.shared.drained.cancel();
        tokio::select! {
            biased;
            () = self.until(|live| live.total() == 0) => {}
            () = tokio::time::sleep_until(deadline) => {}
            () = self.shared.hard.cancelled() => {}
        }
        let cut = lock(&self.shared.live).names();
        self.stop_hard();
        for (name, count) in &cut {
            tracing::warn!(task = name, count, "cut off by the hard stop");
        }
        let _ = tokio::time::timeout(UNWIND, self.until(|live| live.total() == 0)).await;
        let finished = before.saturating_sub(cut.iter().map(|(_, count)| count).sum());
        Drained { finished, cut }
    }

    async fn until(&self, holds: impl Fn(&Live) -> bool) {
        loop {
            let ended = self.shared.ended.notified();
            tokio::pin!(ended);
            ended.as_mut().enable();
            if holds(&lock(&self.shared.live)) {
                return;
            }
            ended.await;
        }
    }

    /// Whether requests may be sent here: set by the composition root when everything is up, unset by the stop.
    #[must_use]
    pub fn ready(&self) -> bool {
        self.shared.ready.load(Ordering::Acquire) && !self.stopping()
    }

    /// Says whether requests may be sent here.
    pub fn set_ready(&self, ready: bool) {
        self.shared.ready.store(ready, Ordering::Release);
    }

    /// The tasks that ended as they must not, the oldest first, at most 100.
    #[must_use]
    pub fn failures(&self) -> Vec<Failure> {
        lock(&self.shared.failures).clone()
    }

    /// What runs now, by name.
    #[must_use]
    pub fn running(&self) -> Vec<(&'static str, usize)> {
        lock(&self.shared.live).names()
    }

    /// What the process should answer to its parent: 1 when a task that must last has failed.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        u8::from(self.shared.failed.load(Ordering::Acquire))
    }
}
