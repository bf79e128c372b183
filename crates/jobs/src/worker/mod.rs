//! A worker: everything on this node that claims, runs and ends jobs.
//!
//! Lives in one process; several nodes share the work through the database, and nothing here has to be known to another.

mod ending;
mod fetch;
mod lease;
mod run;
mod ticking;
mod upkeep;

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use mainstay_domain::{Clock, Entropy, Ids, JobId, Result, Timestamp};
use mainstay_store::{Call, ExpireLeases, JobListener, Keeping, OpenQueues, OverallLimits, Store};
use tokio::sync::{Notify, Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use crate::BoxFuture;
use crate::figures::JobFigures;
use crate::list::JobList;

pub(crate) use ending::Ended;

/// How long a transaction of a worker may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Where a worker's tasks run.
pub trait Spawn: Send + Sync + 'static {
    /// Runs what ends by itself some time after the soft stop.
    fn forever(&self, name: &'static str, task: BoxFuture<()>);
    /// Runs an attempt, which ends by itself and is waited for at the stop.
    fn work(&self, name: &'static str, task: BoxFuture<()>);
    /// Waits for the soft stop: nothing new is begun.
    fn stopped(&self) -> BoxFuture<()>;
    /// Waits until the work that was begun before the stop has ended, or is given up.
    fn drained(&self) -> BoxFuture<()>;
}

/// Says of which queues nothing is begun for now.
pub trait Gate: Send + Sync + 'static {
    /// Whether jobs of this queue are begun. Asked before each claim.
    fn is_open(&self, queue: &'static str) -> bool;
}

/// How a worker goes about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// After how long a worker that does not answer is taken for dead.
    pub rescue_after: Duration,
    /// How often it is looked for work that nobody told of.
    pub poll: Duration,
    /// The most jobs of one claim, and of one ending.
    pub batch: u32,
    /// What holds over all queues and nodes.
    pub overall: OverallLimits,
    /// For how long jobs that have ended are kept.
    pub keeping: Keeping,
    /// How long attempts may go on after the soft stop before they are handed back.
    pub grace: Duration,
}

/// An attempt that runs here.
struct Running {
    queue: &'static str,
    kind: &'static str,
    ended: Ended,
    deadline: tokio::time::Instant,
    cancel: CancellationToken,
}

struct Inner {
    store: Store,
    clock: Arc<dyn Clock>,
    ids: Ids,
    entropy: Arc<dyn Entropy>,
    settings: Settings,
    list: JobList,
    figures: JobFigures,
    spawn: Arc<dyn Spawn>,
    /// The number of this worker's lease; 0 while it has none.
    lease: AtomicI64,
    /// Cancelled when the lease that it belongs to is lost.
    lost: Mutex<CancellationToken>,
    leased: Notify,
    running: Mutex<HashMap<(JobId, i64), Running>>,
    slots: BTreeMap<&'static str, Arc<Semaphore>>,
    wakes: BTreeMap<&'static str, Notify>,
    upkeep: Notify,
    /// When upkeep looks next, in milliseconds since 1970.
    next_look: AtomicU64,
    /// Nothing is claimed any more.
    stopping: CancellationToken,
    /// Attempts are handed back.
    hand_back: CancellationToken,
    endings: OnceLock<mpsc::Sender<ending::Waiting>>,
    gate: OnceLock<Arc<dyn Gate>>,
}

/// A worker. Clones share it.
#[derive(Clone)]
pub struct Worker {
    inner: Arc<Inner>,
}

impl Worker {
    /// A worker that does not work yet.
    ///
    /// # Errors
    /// When a name stands twice in the list.
    pub fn new(
        list: JobList,
        settings: Settings,
        store: Store,
        (clock, ids, entropy): (Arc<dyn Clock>, Ids, Arc<dyn Entropy>),
        figures: JobFigures,
        spawn: Arc<dyn Spawn>,
    ) -> Result<Self> {
        list.check()?;
        let queues = || list.queues.iter();
        let slots = queues().map(|queue| (queue.name, Arc::new(Semaphore::new(queue.slots.max(1) as usize)))).collect();
        let wakes = queues().map(|queue| (queue.name, Notify::new())).collect();
        let inner = Inner {
            store,
            clock,
            ids,
            entropy,
            settings,
            list,
            figures,
            spawn,
            lease: AtomicI64::new(0),
            lost: Mutex::default(),
            leased: Notify::new(),
            running: Mutex::default(),
            slots,
            wakes,
            upkeep: Notify::new(),
            next_look: AtomicU64::new(u64::MAX),
            stopping: CancellationToken::new(),
            hand_back: CancellationToken::new(),
            endings: OnceLock::new(),
            gate: OnceLock::new(),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// From its start on, the worker begins nothing of a queue whose gate is shut. When one opens again, it looks at the next
    /// poll, or at a [`hint`](Self::hint). Once.
    #[must_use]
    pub fn behind(self, gate: Arc<dyn Gate>) -> Self {
        let _ = self.inner.gate.set(gate);
        self
    }

    /// Takes a lease and begins to work. `alone` says that no other process can be working on this database: what others
    /// have left is then taken up at once.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub async fn start(&self, alone: bool) -> Result<()> {
        let inner = &self.inner;
        let names = inner.list.queues.iter().map(|queue| queue.name).collect();
        inner.store.run(&Call::within(PATIENCE), OpenQueues(names)).await?;
        if alone {
            let expire = ExpireLeases { prefix: lease::WORKERS, now: inner.clock.now() };
            inner.store.run(&Call::within(PATIENCE), expire).await?;
        }
        inner.register_schedules().await?;
        let name = inner.acquire().await?;
        inner.store.listen_for_jobs(Arc::new(Hint(Arc::clone(inner))));
        let most: u32 = inner.list.queues.iter().map(|queue| queue.slots.max(1)).sum();
        let (sender, receiver) = mpsc::channel(most as usize + 1);
        let _ = inner.endings.set(sender);
        let until = |name, end: BoxFuture<()>, task: BoxFuture<()>| {
            inner.spawn.forever(
                name,
                Box::pin(async move {
                    tokio::select! {
                        () = task => {}
                        () = end => {}
                    }
                }),
            );
        };
        inner.spawn.forever("job lease", Box::pin(Arc::clone(inner).hold(name)));
        until("job endings", inner.spawn.drained(), Box::pin(Arc::clone(inner).end_all(receiver)));
        until("job watch", inner.spawn.drained(), Box::pin(Arc::clone(inner).watch()));
        until("job upkeep", inner.spawn.stopped(), Box::pin(Arc::clone(inner).keep_moving()));
        until("job rescue", inner.spawn.stopped(), Box::pin(Arc::clone(inner).rescue()));
        until("job forgetting", inner.spawn.stopped(), Box::pin(Arc::clone(inner).forget()));
        for queue in inner.list.queues.clone() {
            // A claim that is under way at the stop is finished, and what it got is handed back.
            until("job queue", inner.spawn.drained(), Box::pin(Arc::clone(inner).fetch(queue)));
        }
        let (handing, stopped) = (Arc::clone(inner), inner.spawn.stopped());
        until(
            "job stop",
            inner.spawn.drained(),
            Box::pin(async move {
                stopped.await;
                handing.stopping.cancel();
                tokio::time::sleep(handing.settings.grace).await;
                handing.hand_back.cancel();
                std::future::pending().await
            }),
        );
        Ok(())
    }

    /// Whether this worker holds its lease, without which it claims nothing.
    #[must_use]
    pub fn has_lease(&self) -> bool {
        self.inner.lease.load(Ordering::Acquire) != 0
    }

    /// How many attempts run here.
    #[must_use]
    pub fn running(&self) -> usize {
        self.inner.running().len()
    }

    /// Stops an attempt that runs here: the wish has been stored. Elsewhere it is seen within a second.
    pub fn cancel(&self, job: JobId) {
        self.inner.cancel(job);
    }

    /// Another node has promised something in these queues; all, when none is named.
    pub fn hint(&self, queues: &[String]) {
        for (name, wake) in &self.inner.wakes {
            if queues.is_empty() || queues.iter().any(|queue| queue == name) {
                wake.notify_one();
            }
        }
        self.inner.upkeep.notify_one();
    }
}

impl Inner {
    fn running(&self) -> MutexGuard<'_, HashMap<(JobId, i64), Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lost_token(&self) -> CancellationToken {
        self.lost.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn cancel(&self, job: JobId) {
        for (_, running) in self.running().iter().filter(|((id, _), _)| *id == job) {
            running.cancel.cancel();
        }
    }

    fn wake(&self, queue: &str) {
        if let Some(wake) = self.wakes.get(queue) {
            wake.notify_one();
        }
    }

    fn call(&self) -> Call {
        Call::within(PATIENCE)
    }

    fn is_open(&self, queue: &'static str) -> bool {
        self.gate.get().is_none_or(|gate| gate.is_open(queue))
    }

    /// Something is due at this moment: looked at in time.
    fn due(&self, moment: Timestamp) {
        let moment = u64::try_from(moment.as_millis()).unwrap_or(0);
        if moment < self.next_look.load(Ordering::Acquire) {
            self.next_look.fetch_min(moment, Ordering::AcqRel);
            self.upkeep.notify_one();
        }
    }
}

/// Wakes whoever waits for jobs, after a commit of this process.
struct Hint(Arc<Inner>);

impl JobListener for Hint {
    fn promised(&self, queues: &[(String, Timestamp)]) {
        let now = self.0.clock.now();
        for (queue, due) in queues {
            if *due <= now && !queue.is_empty() {
                self.0.wake(queue);
            } else {
                self.0.due(*due);
            }
        }
    }
}
