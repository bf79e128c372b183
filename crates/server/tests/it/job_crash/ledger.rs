//! What was promised, what was acknowledged, and what took effect.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use mainstay_domain::{Ids, Secret};
use mainstay_jobs::Promise;
use mainstay_server::app::Outside;
use mainstay_server::ops::probe::Probe;
use mainstay_store::{Call, Enqueue, ListProbes, Options, QueueDepths, ReadQueues, Store};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::support::chance::Chance;

/// Who promises jobs at the same time.
const PROMISERS: u64 = 4;
/// How the keys begin.
const PREFIX: &str = "probe/";

/// A store of the test's own on the database of the servers.
struct Opened {
    store: Store,
    tasks: Vec<JoinHandle<()>>,
}

impl Drop for Opened {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

#[expect(clippy::disallowed_methods, reason = "a test has no lifecycle; what it starts ends with it")]
async fn open(url: &str) -> Opened {
    let outside = Outside::default();
    let options = Options::new(Secret::new(url.to_owned()));
    let (store, tasks) = Store::open(options, outside.entropy).await.expect("the store opens");
    Opened { store, tasks: tasks.into_iter().map(|task| tokio::spawn(task.future)).collect() }
}

/// Everything that was promised: whether it was acknowledged.
#[derive(Default)]
pub(super) struct Ledger {
    promised: BTreeMap<String, bool>,
}

/// The figures of a run.
#[derive(Debug, Default)]
pub(super) struct Tally {
    acknowledged: usize,
    unknown: usize,
    lost: Vec<String>,
    twice: Vec<String>,
    left: QueueDepths,
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { acknowledged, unknown, lost, twice, left } = self;
        let running: u32 = left.queues.iter().map(|queue| queue.running).sum();
        write!(
            f,
            "{acknowledged} acknowledged, {unknown} unknown, {} lost, {} twice, {running} still running, {} dead",
            lost.len(),
            twice.len(),
            left.dead
        )
    }
}

impl Tally {
    pub(super) fn is_settled(&self) -> bool {
        let waiting: u32 = self.left.queues.iter().map(|queue| queue.running + queue.ready).sum();
        self.lost.is_empty() && waiting == 0 && self.left.scheduled == 0
    }

    #[track_caller]
    pub(super) fn demand_perfection(&self) {
        assert!(self.acknowledged > 0, "nothing was promised");
        assert!(self.twice.is_empty(), "{self}: {:?}", self.twice);
        assert!(self.is_settled() && self.left.dead == 0, "{self}: {:?} {:?}", self.lost, self.left);
    }
}

impl Ledger {
    /// What the database has, compared with what is known.
    pub(super) async fn compare(&self, url: &str) -> Tally {
        let opened = open(url).await;
        let effects = effects(&opened.store).await;
        let left = opened.store.run(&call(), ReadQueues).await.expect("read");
        let mut tally = Tally { left, ..Tally::default() };
        for (key, acknowledged) in &self.promised {
            let count = effects.get(key).copied().unwrap_or(0);
            tally.acknowledged += usize::from(*acknowledged);
            tally.unknown += usize::from(!acknowledged);
            if *acknowledged && count == 0 {
                tally.lost.push(key.clone());
            }
            if count > 1 {
                tally.twice.push(format!("{key}: {count} times"));
            }
        }
        tally
    }
}

/// Waits until nothing is left to do, and says for how long at the most nothing became less.
pub(super) async fn longest_standstill(url: &str, patience: Duration) -> Duration {
    let opened = open(url).await;
    let (begun, mut least, mut since, mut longest) = (Instant::now(), u32::MAX, Instant::now(), Duration::ZERO);
    loop {
        let left = opened.store.run(&call(), ReadQueues).await.expect("read");
        let waiting: u32 = left.queues.iter().map(|queue| queue.running + queue.ready).sum::<u32>() + left.scheduled;
        longest = longest.max(since.elapsed());
        if waiting == 0 {
            return longest;
        }
        if waiting < least {
            (least, since) = (waiting, Instant::now());
        }
        assert!(begun.elapsed() < patience, "{left:?}");
        sleep(Duration::from_millis(20)).await;
    }
}

fn call() -> Call {
    Call::within(Duration::from_secs(10))
}

async fn effects(store: &Store) -> BTreeMap<String, i64> {
    let mut all = BTreeMap::new();
    let mut after = PREFIX.to_owned();
    loop {
        let list = ListProbes { after: after.clone(), prefix: PREFIX.to_owned() };
        let page = store.run(&call(), list).await.expect("read");
        let Some(last) = page.last() else { return all };
        after.clone_from(&last.key);
        all.extend(page.into_iter().map(|probe| (probe.key, probe.effects)));
    }
}

/// Tasks that promise jobs until they are stopped.
pub(super) struct Promiser {
    stop: CancellationToken,
    tasks: JoinSet<BTreeMap<String, bool>>,
    /// How many were acknowledged so far.
    acknowledged: Arc<AtomicU64>,
}

impl Promiser {
    pub(super) async fn start(url: &str, chance: &mut Chance) -> Self {
        let opened = Arc::new(open(url).await);
        let (stop, acknowledged) = (CancellationToken::new(), Arc::new(AtomicU64::new(0)));
        let mut tasks = JoinSet::new();
        for number in 0..PROMISERS {
            let (opened, stop, acknowledged) = (Arc::clone(&opened), stop.clone(), Arc::clone(&acknowledged));
            let chance = chance.fork();
            tasks.spawn(async move { promise(&opened.store, number, chance, &stop, &acknowledged).await });
        }
        Self { stop, tasks, acknowledged }
    }

    /// Stops, and gives what was promised.
    pub(super) async fn stop(mut self) -> Ledger {
        self.stop.cancel();
        let mut ledger = Ledger::default();
        while let Some(promised) = self.tasks.join_next().await {
            ledger.promised.extend(promised.expect("a promiser does not panic"));
        }
        ledger
    }

    /// Waits until something is acknowledged and done that was not before. Nothing when that takes too long.
    pub(super) async fn until_something_new_is_done(&self, url: &str, within: Duration) -> Option<Duration> {
        let begun = Instant::now();
        let before = self.acknowledged.load(Ordering::Acquire);
        while self.acknowledged.load(Ordering::Acquire) < before + 50 {
            if begun.elapsed() > within {
                return None;
            }
            sleep(Duration::from_millis(20)).await;
        }
        // The newest keys sort last.
        let opened = open(url).await;
        let count = effects(&opened.store).await.len();
        loop {
            if effects(&opened.store).await.len() > count + 20 {
                return Some(begun.elapsed());
            }
            if begun.elapsed() > within {
                return None;
            }
            sleep(Duration::from_millis(50)).await;
        }
    }
}

async fn promise(
    store: &Store,
    number: u64,
    mut chance: Chance,
    stop: &CancellationToken,
    acknowledged: &AtomicU64,
) -> BTreeMap<String, bool> {
    let outside = Outside::default();
    let ids = Ids::new(Arc::clone(&outside.clock), outside.entropy);
    let mut promised = BTreeMap::new();
    for round in 0_u64.. {
        if stop.is_cancelled() {
            break;
        }
        let now = outside.clock.now();
        let probes: Vec<_> = (0..=chance.below(4))
            .map(|place| Probe {
                key: format!("{PREFIX}{number}/{round:06}/{place}"),
                work_ms: chance.below(60),
                failures: u32::from(chance.below(20) == 0),
            })
            .collect();
        let job = |probe: &Probe| {
            let group = format!("group {}", chance_of(&probe.key));
            Promise::of(ids.make(), probe, now).expect("small").group(&group).job()
        };
        let enqueue = Enqueue { jobs: probes.iter().map(job).collect(), now };
        let known = store.run(&Call::within(Duration::from_secs(2)), enqueue).await.is_ok();
        if known {
            acknowledged.fetch_add(probes.len() as u64, Ordering::AcqRel);
        } else {
            sleep(Duration::from_millis(50)).await;
        }
        promised.extend(probes.into_iter().map(|probe| (probe.key, known)));
        sleep(Duration::from_millis(chance.below(30))).await;
    }
    promised
}

/// One of eight groups.
fn chance_of(key: &str) -> usize {
    key.len() % 8
}
