//! Three nodes that share a Redis which is killed, hung, flapping, out of memory and flushed. In no window do more than the
//! limit pass, nobody waits long, and all recovers by itself.

use std::sync::atomic::AtomicBool;

use mainstay_domain::{PersonId, TenantId};
use mainstay_testing::RedisServer;
use tokio::time::sleep;
use uuid::Uuid;

use super::super::key::Subject;
use super::super::{Class, Limits};
use super::*;
use crate::config::Config;
use crate::controls::{Catalogue, Controls};
use crate::lifecycle::Lifecycle;
use crate::outside::{SystemClock, SystemEntropy};

const NODES: usize = 3;
const LIMIT: u32 = 60;
const PATIENCE: Duration = Duration::from_secs(180);

/// One of these tests at a time: each keeps a machine busy.
static GATE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

type Passes = Arc<Mutex<Vec<(Instant, Instant)>>>;

struct Cluster {
    _gate: tokio::sync::MutexGuard<'static, ()>,
    server: RedisServer,
    nodes: Vec<Arc<Shared>>,
    lifecycle: Lifecycle,
    window: Duration,
    /// Requests that passed, on any node, for the person: when each was asked and when it was answered.
    passes: Passes,
    /// The longest that a request took.
    slowest: Arc<Mutex<Duration>>,
}

fn rules() -> Vec<Rule> {
    let tenant = TenantId(Uuid::from_u128(1));
    let person = Subject::Person(tenant, PersonId(Uuid::from_u128(2)));
    vec![
        Rule { key: Key::new(person, Class::Other), name: "user", limit: LIMIT },
        Rule { key: Key::overall(Subject::Organisation(tenant)), name: "organisation", limit: 6_000 },
    ]
}

impl Cluster {
    /// Nodes that share a Redis. Commands have this long.
    async fn start(window: Duration, patience_ms: u64) -> Option<Self> {
        let server = RedisServer::start(&[])?;
        let mut cluster = Self {
            _gate: GATE.lock().await,
            server,
            nodes: Vec::new(),
            lifecycle: Lifecycle::new(),
            window,
            passes: Arc::default(),
            slowest: Arc::default(),
        };
        for _ in 0..NODES {
            cluster.add(patience_ms).await;
        }
        Some(cluster)
    }

    async fn add(&mut self, patience_ms: u64) {
        let node = Arc::new(node(&self.server.url(), patience_ms, self.window, &self.lifecycle));
        let (subscription, keeper) = (node.subscribe(), Arc::clone(&node));
        self.lifecycle.spawn("keeper", async move { keeper.keep(subscription).await });
        node.joined(PATIENCE).await;
        self.nodes.push(node);
    }

    /// One request to a node.
    async fn ask(&self, node: usize) -> Verdict {
        ask(&self.nodes[node], &self.passes, &self.slowest).await
    }

    /// Asks all nodes at once, again and again, until told to stop.
    fn storm(&self, every: Duration) -> Arc<AtomicBool> {
        let stop = Arc::new(AtomicBool::new(false));
        for node in &self.nodes {
            for _ in 0..2 {
                let (node, stop) = (Arc::clone(node), Arc::clone(&stop));
                let (passes, slowest) = (Arc::clone(&self.passes), Arc::clone(&self.slowest));
                self.lifecycle.spawn_work("storm", async move {
                    while !stop.load(Ordering::Relaxed) {
                        ask(&node, &passes, &slowest).await;
                        sleep(every).await;
                    }
                });
            }
        }
        stop
    }

    /// Waits until Redis alone decides on every node.
    async fn together(&self) {
        timeout(PATIENCE, async {
            while !self.nodes.iter().all(|node| node.is_together()) {
                sleep(Duration::from_millis(10)).await;
            }
        })
        .await
        .expect("all recovers by itself");
    }

    async fn alone(&self) {
        timeout(PATIENCE, async {
            while self.nodes.iter().any(|node| node.is_together()) {
                sleep(Duration::from_millis(5)).await;
            }
        })
        .await
        .expect("the loss is noticed");
    }

    fn count(&self) -> usize {
        lock(&self.passes).len()
    }

    /// In no window, wherever it is laid, did more than the limit pass. A pass was decided at some moment between question
    /// and answer: only what lies in a window with both of them was surely let pass in it.
    fn never_more_than_the_limit(&self) {
        let passes = lock(&self.passes).clone();
        // The clock of Redis is set while it runs, and ours is not: in such a time by no more than this.
        let window = self.window - Duration::from_millis(5);
        for (first, _) in &passes {
            let inside =
                passes.iter().filter(|(asked, answered)| asked >= first && *answered < *first + window).count();
            assert!(inside <= LIMIT as usize, "{inside} in one window");
        }
    }

    /// The end of a fault: all of the limit can be had again, and what was promised held all the time.
    async fn recovers(&self, stop: &AtomicBool) {
        self.together().await;
        let before = self.count();
        sleep(Duration::from_secs(5)).await;
        stop.store(true, Ordering::Relaxed);
        assert!(self.count() >= before + 60, "all of the limit can be had again");
        self.never_more_than_the_limit();
        self.nobody_waited();
    }

    fn nobody_waited(&self) {
        let slowest = *lock(&self.slowest);
        // Two timeouts, and what a busy machine adds.
        assert!(slowest < Duration::from_millis(1_000), "a request took {slowest:?}");
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.lifecycle.stop_hard();
    }
}

/// One of the nodes that share the Redis of this address.
fn node(url: &str, patience_ms: u64, window: Duration, lifecycle: &Lifecycle) -> Shared {
    let (url, patience) = (format!("\"{url}\""), patience_ms.to_string());
    let settings = [("redis.url", url.as_str()), ("redis.command_timeout_ms", patience.as_str())];
    let config = Config::from_overrides(&settings).expect("a configuration");
    let entropy: Arc<dyn Entropy> = Arc::new(SystemEntropy);
    let redis = Redis::open(&config.redis, &entropy, lifecycle).expect("an address").expect("a link");
    let count = NodeCount::default();
    count.set(NODES);
    Shared::new(redis, count, window, (10_000, 6_000), entropy.as_ref())
}

async fn ask(node: &Shared, passes: &Passes, slowest: &Mutex<Duration>) -> Verdict {
    let begun = Instant::now();
    let verdict = node.decide(&rules()).await;
    let now = Instant::now();
    if verdict.passes() {
        lock(passes).push((begun, now));
    }
    let mut slowest = lock(slowest);
    *slowest = (now - begun).max(*slowest);
    verdict
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_nodes_let_exactly_the_limit_pass() {
    let Some(cluster) = Cluster::start(Duration::from_secs(60), 5_000).await else { return };
    let answers = futures_util::future::join_all((0..300).map(|number| cluster.ask(number % NODES))).await;
    assert_eq!(answers.iter().filter(|verdict| verdict.passes()).count(), 60);
    // And all on one node, and the standing is that of all.
    let verdict = cluster.ask(0).await;
    assert_eq!((verdict.passes(), verdict.standings[0].left, verdict.standings[1].left), (false, 0, 5_940));
    assert!(verdict.wait() <= Duration::from_secs(60) && verdict.wait() > Duration::from_secs(30));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_joins_believes_the_log_and_may_have_all_that_is_left() {
    let Some(mut cluster) = Cluster::start(Duration::from_secs(60), 5_000).await else { return };
    for _ in 0..20 {
        assert!(cluster.ask(0).await.passes());
    }
    cluster.add(5_000).await;
    assert!(cluster.nodes[3].is_together());
    for _ in 0..40 {
        assert!(cluster.ask(3).await.passes());
    }
    assert!(!cluster.ask(3).await.passes());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_wait_is_true_over_the_nodes() {
    let Some(cluster) = Cluster::start(Duration::from_secs(2), 5_000).await else { return };
    for number in 0..60 {
        assert!(cluster.ask(number % NODES).await.passes());
    }
    let refused = cluster.ask(1).await;
    assert!(!refused.passes());
    sleep(refused.wait() + Duration::from_millis(2)).await;
    assert!(cluster.ask(2).await.passes());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_in_the_middle() {
    let Some(mut cluster) = Cluster::start(Duration::from_secs(4), 100).await else { return };
    for number in 0..30 {
        assert!(cluster.ask(number % 2).await.passes());
    }
    let stop = cluster.storm(Duration::from_millis(5));
    cluster.server.kill_9().expect("it dies");
    cluster.alone().await;
    sleep(Duration::from_secs(5)).await;
    let alone = cluster.count();
    assert!(alone > 60, "each node goes on with its share: {alone}");
    cluster.server.restart().expect("it starts");
    cluster.recovers(&stop).await;
}

/// What Redis has granted in its last moment, and has not told the other nodes any more, is not let pass by them again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_between_an_answer_and_its_message() {
    for round in 0..20 {
        let Some(mut cluster) = Cluster::start(Duration::from_secs(60), 100).await else { return };
        let stop = cluster.storm(Duration::ZERO);
        // While the limit is being used up, a little later each time.
        let enough = round * 3;
        while cluster.count() < enough {
            tokio::task::yield_now().await;
        }
        cluster.server.kill_9().expect("it dies");
        cluster.alone().await;
        sleep(Duration::from_millis(300)).await;
        stop.store(true, Ordering::Relaxed);
        let passed = cluster.count();
        assert!(passed <= LIMIT as usize, "{passed} passed when Redis was killed after {enough}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hung_in_the_middle() {
    let Some(cluster) = Cluster::start(Duration::from_secs(4), 100).await else { return };
    for number in 0..30 {
        assert!(cluster.ask(number % 2).await.passes());
    }
    let stop = cluster.storm(Duration::from_millis(5));
    cluster.server.pause();
    cluster.alone().await;
    sleep(Duration::from_secs(4)).await;
    cluster.server.resume();
    cluster.recovers(&stop).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn flapping() {
    let Some(mut cluster) = Cluster::start(Duration::from_secs(4), 100).await else { return };
    let stop = cluster.storm(Duration::from_millis(5));
    for round in 0..6 {
        if round % 2 == 0 {
            cluster.server.kill_9().expect("it dies");
            sleep(Duration::from_millis(300)).await;
            cluster.server.restart().expect("it starts");
        } else {
            cluster.server.pause();
            sleep(Duration::from_millis(300)).await;
            cluster.server.resume();
        }
        sleep(Duration::from_millis(500)).await;
    }
    cluster.recovers(&stop).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn out_of_memory() {
    let Some(cluster) = Cluster::start(Duration::from_secs(4), 100).await else { return };
    for number in 0..30 {
        assert!(cluster.ask(number % 2).await.passes());
    }
    let stop = cluster.storm(Duration::from_millis(5));
    cluster.server.configure("maxmemory", "1mb").expect("configured");
    // Whatever it holds is above that: nothing can be written any more.
    cluster.alone().await;
    sleep(Duration::from_secs(5)).await;
    assert!(cluster.count() > 60, "each node goes on with its share");
    cluster.server.configure("maxmemory", "0").expect("configured");
    cluster.recovers(&stop).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn flushed_in_the_middle() {
    let Some(cluster) = Cluster::start(Duration::from_secs(4), 100).await else { return };
    let stop = cluster.storm(Duration::from_millis(5));
    for _ in 0..3 {
        sleep(Duration::from_millis(700)).await;
        cluster.server.flush().expect("flushed");
    }
    cluster.alone().await;
    cluster.together().await;
    // One log alone is lost, as when Redis makes room.
    let before = cluster.count();
    sleep(Duration::from_secs(5)).await;
    let keys = cluster.server.command(&["KEYS", "{mainstay:limits}:other:*"]).expect("keys");
    let key = keys.lines().find(|line| line.starts_with('{')).expect("a log").to_owned();
    cluster.server.command(&["DEL", &key]).expect("deleted");
    cluster.alone().await;
    cluster.together().await;
    stop.store(true, Ordering::Relaxed);
    assert!(cluster.count() >= before + 60, "all of the limit can be had again");
    cluster.never_more_than_the_limit();
    cluster.nobody_waited();
}

/// The answer of Redis came before the loss was noticed, and is looked at after others have decided by the share.
#[tokio::test]
async fn what_was_granted_is_not_used_once_the_share_has_decided() {
    let lifecycle = Lifecycle::new();
    // Nobody listens there.
    let node = node("redis://127.0.0.1:1", 100, Duration::from_secs(60), &lifecycle);
    let (rules, (_, _, gaps)) = (rules(), node.phase());
    assert!(node.granted(&rules, &[0, 0], gaps).await.is_some());
    assert!(node.gap::<()>(gaps, None, false).is_none());
    let passed = (0..LIMIT).filter(|_| node.share(&rules).0.passes()).count();
    assert_eq!(passed, 19, "its share of 20 less what was granted");
    assert!(node.granted(&rules, &[1, 1], gaps).await.is_none(), "the share is used up");
    lifecycle.stop_hard();
}

/// What was decided alone and is remembered only when its node is back is written down all the same: otherwise another node,
/// for which the log is whole by then, lets as many pass again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_remembered_late_is_written_down() {
    let Some(cluster) = Cluster::start(Duration::from_secs(60), 5_000).await else { return };
    let (late, other) = (&cluster.nodes[0], &cluster.nodes[1]);
    let mut told = std::pin::pin!(other.changed.notified());
    told.as_mut().enable();
    late.keep_for_later(&rules(), late.passes.fetch_add(1, Ordering::Relaxed), late.now());
    timeout(PATIENCE, told).await.expect("the other node is told");
    assert_eq!(cluster.ask(1).await.standings[0].left, LIMIT - 2);
    assert!(late.is_together());
}

/// A process that stood still finds its time of waiting over, and messages that it has not read.
#[tokio::test]
async fn what_came_while_the_process_stood_still_is_read_before_the_share_decides() {
    let Some(cluster) = Cluster::start(Duration::from_secs(60), 100).await else { return };
    let url = cluster.server.url();
    let elsewhere = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let lifecycle = Lifecycle::new();
            let node = Arc::new(node(&url, 5_000, Duration::from_secs(60), &lifecycle));
            let (subscription, keeper) = (node.subscribe(), Arc::clone(&node));
            lifecycle.spawn("keeper", async move { keeper.keep(subscription).await });
            node.joined(PATIENCE).await;
            for _ in 0..30 {
                assert!(node.decide(&rules()).await.passes());
            }
            lifecycle.stop_hard();
        });
    });
    // Nothing else runs in this process meanwhile: its one thread waits here.
    elsewhere.join().expect("the other node's passes");
    let node = &cluster.nodes[0];
    assert!(node.gap::<()>(node.phase().2, None, false).is_none());
    std::thread::sleep(Duration::from_millis(150));
    let mut passed = 0;
    for _ in 0..LIMIT {
        passed += usize::from(cluster.ask(0).await.passes());
    }
    assert_eq!(passed, 10, "a third of what the other node has left");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_redis_from_the_beginning_each_node_takes_its_share() {
    let Some(mut server) = RedisServer::start(&[]) else { return };
    server.kill_9().expect("it dies");
    let lifecycle = Lifecycle::new();
    let url = format!("\"{}\"", server.url());
    let config = Config::from_overrides(&[("redis.url", &url), ("limits.free.other", "60")]).expect("a configuration");
    let entropy: Arc<dyn Entropy> = Arc::new(SystemEntropy);
    let redis = Redis::open(&config.redis, &entropy, &lifecycle).expect("an address");
    let mut registry = prometheus_client::registry::Registry::default();
    let nodes = NodeCount::default();
    nodes.set(3);
    let (clock, chance) = (Arc::new(SystemClock), Arc::clone(&entropy));
    let controls = Controls::new(clock, chance, Catalogue::new([]), &mut registry);
    let limits = Limits::new((config.limits.clone(), controls), (redis, &nodes), entropy.as_ref(), &mut registry);
    let mut passed = 0;
    for _ in 0..100 {
        passed += usize::from(limits.decide(Class::Other, &rules()).await.passes());
    }
    assert_eq!((passed, limits.is_shared()), (20, Some(false)));
    lifecycle.stop_hard();
}
