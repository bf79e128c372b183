//! How many jobs a second one node does, and how soon it begins one. `bench/jobs.sh` runs it on both engines.
//!
//! `throughput ADDRESS [JOBS] [RATE] [SECONDS]`: promises JOBS jobs that do nothing, and then lets a worker do them all; then
//! promises RATE of them a second for SECONDS, and tells how long each waited.

#![expect(clippy::print_stdout, clippy::expect_used, reason = "it is a program that prints figures")]

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mainstay_domain::{Clock, Entropy, Ids, Secret, Timestamp};
use mainstay_jobs::{BoxFuture, Done, Job, JobFigures, JobList, Promise, Queue, Settings, Spawn, Worker};
use mainstay_store::{Call, Enqueue, Keeping, Migrator, Options, OverallLimits, QueueLimits, Store};
use prometheus_client::registry::Registry;
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, MissedTickBehavior, interval};

const PATIENCE: Duration = Duration::from_secs(60);
/// Jobs of one transaction that promises them.
const AT_ONCE: usize = 1000;

/// A job that does nothing, and when it was promised, in milliseconds since 1970.
#[derive(Serialize, Deserialize)]
struct Nothing {
    at: i64,
}

impl Job for Nothing {
    const KIND: &'static str = "nothing";
    const QUEUE: &'static str = "bench";
}

struct Outside;

impl Clock for Outside {
    #[expect(clippy::disallowed_methods, reason = "a benchmark runs in real time")]
    fn now(&self) -> Timestamp {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(0))
    }
}

impl Entropy for Outside {
    fn fill(&self, buffer: &mut [u8]) {
        use std::hash::{BuildHasher as _, RandomState};
        for chunk in buffer.chunks_mut(8) {
            let drawn = RandomState::new().hash_one(chunk.as_ptr());
            chunk.copy_from_slice(&drawn.to_be_bytes()[..chunk.len()]);
        }
    }
}

struct Tasks;

impl Tasks {
    #[expect(clippy::disallowed_methods, reason = "a benchmark has no lifecycle")]
    fn start(task: BoxFuture<()>) {
        tokio::spawn(task);
    }
}

impl Spawn for Tasks {
    fn forever(&self, _: &'static str, task: BoxFuture<()>) {
        Self::start(task);
    }
    fn work(&self, _: &'static str, task: BoxFuture<()>) {
        Self::start(task);
    }
    fn stopped(&self) -> BoxFuture<()> {
        Box::pin(std::future::pending())
    }
    fn drained(&self) -> BoxFuture<()> {
        Box::pin(std::future::pending())
    }
}

/// What the jobs of a run did.
#[derive(Default)]
struct Seen {
    done: AtomicU64,
    waits: Mutex<Vec<Duration>>,
}

async fn open(address: &str) -> (Store, Ids) {
    let options = Options::new(Secret::new(address.to_owned()));
    let mut migrator = Migrator::open(&options).await.expect("the database can be reached");
    migrator.up(Outside.now(), PATIENCE).await.expect("the schema is made");
    let (store, tasks) = Store::open(options, Arc::new(Outside)).await.expect("the store opens");
    for task in tasks {
        if task.on_own_thread {
            let runtime = tokio::runtime::Handle::current();
            std::thread::spawn(move || runtime.block_on(task.future));
        } else {
            Tasks::start(task.future);
        }
    }
    (store, Ids::new(Arc::new(Outside), Arc::new(Outside)))
}

async fn promise(store: &Store, ids: &Ids, jobs: usize) {
    let now = Outside.now();
    let jobs = (0..jobs)
        .map(|_| Promise::of(ids.make(), &Nothing { at: now.as_millis() }, now).expect("small").job())
        .collect();
    store.run(&Call::within(PATIENCE), Enqueue { jobs, now }).await.expect("promised");
}

async fn hire(store: &Store, ids: &Ids, seen: &Arc<Seen>) -> Worker {
    let seen = Arc::clone(seen);
    let queue = Queue { name: "bench", slots: 2000, limits: QueueLimits::default(), oldest: PATIENCE };
    let list = JobList::new().queue(queue).kind(move |_, job: Nothing| {
        let now = Outside.now();
        if let Ok(mut waits) = seen.waits.lock() {
            waits.push(now.since(Timestamp::from_millis(job.at)));
        }
        seen.done.fetch_add(1, Ordering::Relaxed);
        async { Ok(Done::Finished) }
    });
    let settings = Settings {
        rescue_after: Duration::from_secs(30),
        poll: Duration::from_secs(1),
        batch: 500,
        keeping: Keeping { done: Duration::from_secs(3600), dead: Duration::from_secs(3600) },
        overall: OverallLimits::default(),
        grace: Duration::from_secs(1),
    };
    let outside: (Arc<dyn Clock>, Ids, Arc<dyn Entropy>) = (Arc::new(Outside), ids.clone(), Arc::new(Outside));
    let figures = JobFigures::register(&mut Registry::default());
    let worker = Worker::new(list, settings, store.clone(), outside, figures, Arc::new(Tasks)).expect("a list");
    worker.start(false).await.expect("it starts");
    worker
}

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |place: usize, default: usize| arguments.get(place).and_then(|n| n.parse().ok()).unwrap_or(default);
    let address = arguments.first().expect("the address of a database: sqlite:PATH or postgres://...");
    let (jobs, rate, seconds) = (number(1, 200_000), number(2, 1000), number(3, 10));
    let (store, ids) = open(address).await;
    let begun = Instant::now();
    for _ in 0..jobs.div_ceil(AT_ONCE) {
        promise(&store, &ids, AT_ONCE).await;
    }
    let promised = begun.elapsed().as_secs_f64();
    let total = jobs.div_ceil(AT_ONCE) * AT_ONCE;
    let seen = Arc::new(Seen::default());
    let begun = Instant::now();
    let worker = hire(&store, &ids, &seen).await;
    while seen.done.load(Ordering::Relaxed) < total as u64 || worker.running() > 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let took = begun.elapsed().as_secs_f64();
    let per_second = |took: f64| total as f64 / took;
    println!(
        "{}: {total} jobs promised at {:.0}/s, done at {:.0}/s",
        store.engine_name(),
        per_second(promised),
        per_second(took)
    );
    // Pickup: from the call that promises a job, its commit included, until its handler runs.
    let mut ticks = interval(Duration::from_secs(1) / u32::try_from(rate).expect("a rate"));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    if let Ok(mut waits) = seen.waits.lock() {
        waits.clear();
    }
    let before = seen.done.load(Ordering::Relaxed);
    for _ in 0..rate * seconds {
        ticks.tick().await;
        let (store, ids) = (store.clone(), ids.clone());
        Tasks::start(Box::pin(async move { promise(&store, &ids, 1).await }));
    }
    while seen.done.load(Ordering::Relaxed) < before + (rate * seconds) as u64 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let mut waits = seen.waits.lock().expect("no panic").clone();
    waits.sort_unstable();
    let percentile = |share: f64| waits[((waits.len() - 1) as f64 * share) as usize];
    println!("{rate}/s: begun {:?} (p50) and {:?} (p99) after the promise was made", percentile(0.5), percentile(0.99));
}
