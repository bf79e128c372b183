//! A database, and workers on it.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mainstay_domain::{Clock, Entropy, Ids, JobId, JobState, Secret, Timestamp};
use mainstay_jobs::{BoxFuture, JobFigures, JobList, Promise, Queue, Settings, Spawn, Worker};
use mainstay_store::{
    Call, Enqueue, Enqueued, GetJob, JobLife, Keeping, Migrator, Options, OverallLimits, QueueLimits, Store,
};
use mainstay_testing::postgres::{Cluster, Database};
use prometheus_client::registry::Registry;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

/// How long anything is waited for.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Engine {
    Sqlite,
    Postgres,
}

/// The real time, which a test can set forward.
#[derive(Default)]
pub(crate) struct TestClock {
    ahead: AtomicI64,
}

impl TestClock {
    pub(crate) fn set(&self, moment: Timestamp) {
        self.ahead.store(moment.as_millis() - real_millis(), Ordering::SeqCst);
    }
}

#[expect(clippy::disallowed_methods, reason = "a test of workers runs in real time")]
fn real_millis() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    i64::try_from(since.as_millis()).expect("in range")
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(real_millis() + self.ahead.load(Ordering::SeqCst))
    }
}

struct Chance;

impl Entropy for Chance {
    fn fill(&self, buffer: &mut [u8]) {
        use std::hash::{BuildHasher as _, RandomState};
        for chunk in buffer.chunks_mut(8) {
            let drawn = RandomState::new().hash_one(chunk.as_ptr());
            chunk.copy_from_slice(&drawn.to_be_bytes()[..chunk.len()]);
        }
    }
}

/// Tasks of a test's worker.
#[derive(Default)]
pub(crate) struct Tasks {
    pub(crate) stopped: CancellationToken,
    pub(crate) drained: CancellationToken,
    pub(crate) killed: CancellationToken,
    running: Mutex<Vec<tokio::task::JoinHandle<()>>>,
}

impl Tasks {
    #[expect(clippy::disallowed_methods, reason = "a test has no lifecycle")]
    fn start(&self, task: BoxFuture<()>) {
        let killed = self.killed.clone();
        let task = tokio::spawn(async move {
            tokio::select! {
                () = task => {}
                () = killed.cancelled() => {}
            }
        });
        self.running.lock().expect("no test panics in it").push(task);
    }
}

impl Spawn for Tasks {
    fn forever(&self, _: &'static str, task: BoxFuture<()>) {
        self.start(task);
    }
    fn work(&self, _: &'static str, task: BoxFuture<()>) {
        self.start(task);
    }
    fn stopped(&self) -> BoxFuture<()> {
        Box::pin(self.stopped.clone().cancelled_owned())
    }
    fn drained(&self) -> BoxFuture<()> {
        Box::pin(self.drained.clone().cancelled_owned())
    }
}

pub(crate) fn queue(name: &'static str) -> Queue {
    Queue { name, slots: 8, limits: QueueLimits::default(), oldest: Duration::from_secs(60) }
}

pub(crate) const SETTINGS: Settings = Settings {
    rescue_after: Duration::from_secs(2),
    poll: Duration::from_millis(500),
    batch: 100,
    keeping: Keeping { done: Duration::from_secs(600), dead: Duration::from_secs(600) },
    overall: OverallLimits { running: None, rate: None },
    grace: Duration::from_millis(200),
};

/// A worker that works.
pub(crate) struct Hired {
    pub(crate) worker: Worker,
    pub(crate) tasks: Arc<Tasks>,
}

impl Drop for Hired {
    fn drop(&mut self) {
        self.tasks.killed.cancel();
    }
}

/// A database with its schema.
pub(crate) struct Stage {
    pub(crate) store: Store,
    pub(crate) clock: Arc<TestClock>,
    pub(crate) ids: Ids,
    options: Options,
    _background: Tasks,
    _folder: tempfile::TempDir,
    _database: Option<Database>,
}

impl Stage {
    /// Nothing when the engine is not on this machine.
    pub(crate) async fn set(engine: Engine) -> Option<Self> {
        let folder = tempfile::tempdir().expect("a folder");
        let database = match engine {
            Engine::Sqlite => None,
            Engine::Postgres => Some(Cluster::shared()?.database().expect("a database")),
        };
        let url = match &database {
            None => format!("sqlite:{}", folder.path().join("test.db").display()),
            Some(database) => database.url.clone(),
        };
        let options = Options::new(Secret::new(url));
        let clock = Arc::new(TestClock::default());
        let mut migrator = Migrator::open(&options).await.expect("the migrator opens");
        migrator.up(clock.now(), PATIENCE).await.expect("the schema is made");
        let background = Tasks::default();
        let store = open(&options, &background).await;
        let ids = Ids::new(Arc::clone(&clock) as Arc<dyn Clock>, Arc::new(Chance));
        Some(Self { store, clock, ids, options, _background: background, _folder: folder, _database: database })
    }

    pub(crate) async fn hire(&self, list: JobList) -> Hired {
        self.hire_with(list, SETTINGS, self.store.clone()).await
    }

    /// A worker with its own connections, as on another node.
    pub(crate) async fn hire_elsewhere(&self, list: JobList) -> Hired {
        let store = open(&self.options, &self._background).await;
        self.hire_with(list, SETTINGS, store).await
    }

    pub(crate) async fn hire_with(&self, list: JobList, settings: Settings, store: Store) -> Hired {
        let tasks = Arc::new(Tasks::default());
        let clock = Arc::clone(&self.clock) as Arc<dyn Clock>;
        let outside = (clock, self.ids.clone(), Arc::new(Chance) as Arc<dyn Entropy>);
        let figures = JobFigures::register(&mut Registry::default());
        let spawn = Arc::clone(&tasks) as Arc<dyn Spawn>;
        let worker = Worker::new(list, settings, store, outside, figures, spawn).expect("a list without faults");
        worker.start(false).await.expect("it starts");
        Hired { worker, tasks }
    }

    pub(crate) async fn promise(&self, promises: Vec<Promise>) -> Vec<JobId> {
        let jobs = promises.into_iter().map(Promise::job).collect();
        let enqueue = Enqueue { jobs, now: self.clock.now() };
        let answers = self.store.run(&Call::within(PATIENCE), enqueue).await.expect("enqueued");
        answers.into_iter().filter_map(Enqueued::job).collect()
    }

    pub(crate) async fn life(&self, job: JobId) -> JobLife {
        self.store.run(&Call::within(PATIENCE), GetJob(job)).await.expect("read").expect("it is there")
    }

    /// Waits until a job is in a state.
    pub(crate) async fn until(&self, job: JobId, state: JobState) -> JobLife {
        let begun = Instant::now();
        loop {
            let life = self.life(job).await;
            if life.job.state == state {
                return life;
            }
            assert!(begun.elapsed() < PATIENCE, "{job} did not become {state}: {life:?}");
            sleep(Duration::from_millis(10)).await;
        }
    }
}

async fn open(options: &Options, background: &Tasks) -> Store {
    let (store, tasks) = Store::open(options.clone(), Arc::new(Chance)).await.expect("the store opens");
    for task in tasks {
        background.start(task.future);
    }
    store
}
