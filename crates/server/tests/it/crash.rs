//! Nothing that was acknowledged is lost, and nothing stands twice, whatever is killed at whatever moment.
//!
//! `MAINSTAY_TEST_CRASH_CYCLES` says how often (5 unless told), `MAINSTAY_TEST_SEED` repeats the choices of a run; the
//! moment of death is real time, so a seed repeats what is sent, not the race.

mod bookings;
mod calendars;
mod day;
mod gmail;
mod importing;
mod ledger;
mod outreach;
mod verify;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use mainstay_testing::postgres::{Cluster, Options, StopMode};
use tokio::task::{JoinSet, block_in_place};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::support::binary::{Installation, Instance, PATIENCE};
use crate::support::chance::Chance;
use ledger::Writer;
use verify::verify;

/// People who write at the same time.
const WRITERS: usize = 32;
/// A server is ready again within this time after its start.
const READY: Duration = Duration::from_secs(5);
/// A server whose database was away is ready again within this time after it is back.
const RECOVERED: Duration = Duration::from_secs(10);

fn cycles() -> u64 {
    std::env::var("MAINSTAY_TEST_CRASH_CYCLES").map_or(5, |text| text.parse().expect("a number of cycles"))
}

#[expect(clippy::print_stdout, reason = "the harness shows it when the test fails, or with --nocapture")]
fn report(line: &str) {
    println!("{line}");
}

fn writers(tokens: Vec<String>, chance: &mut Chance) -> Vec<Writer> {
    tokens.into_iter().enumerate().map(|(number, token)| Writer::new(number, token, chance.fork())).collect()
}

fn installation() -> Installation {
    // Streamed replies take about a fifth of a second, so that many are cut in the middle.
    Installation::new().with("MAINSTAY_PROVIDERS__OFFLINE__WORD_MS", "2")
}

/// What the writers share with whoever kills.
#[derive(Clone, Default)]
struct Work {
    stop: CancellationToken,
    acknowledged: Arc<AtomicU64>,
}

fn set_to_work(server: &Arc<Instance>, writers: Vec<Writer>, work: &Work, outage: bool) -> JoinSet<Writer> {
    let mut tasks = JoinSet::new();
    for mut writer in writers {
        let (server, work) = (Arc::clone(server), work.clone());
        tasks.spawn(async move {
            writer.write(&server, &work.stop, &work.acknowledged, outage).await;
            writer
        });
    }
    tasks
}

async fn collect(mut tasks: JoinSet<Writer>) -> Vec<Writer> {
    let mut writers = Vec::with_capacity(WRITERS);
    while let Some(writer) = tasks.join_next().await {
        writers.push(writer.expect("a writer does not panic"));
    }
    writers.sort_by_key(|writer| writer.number);
    writers
}

/// Kills the server again and again, and looks at what is left.
async fn kill_the_server(engine: &str, installation: &Installation) {
    let mut chance = Chance::seeded();
    let mut writers = writers(installation.people(WRITERS).await, &mut chance);
    let limits = ["plan", "limits", "free", "--messages-per-day", "none", "--messages-per-month", "none"];
    installation.run(&limits).await.says(0, &["free"]);
    let mut slowest = Duration::ZERO;
    let mut died_unknown = 0;
    for cycle in 0..cycles() {
        let server = Arc::new(installation.serve().await);
        assert!(server.ready_after < READY, "cycle {cycle}: ready only after {:?}", server.ready_after);
        slowest = slowest.max(server.ready_after);
        let work = Work::default();
        let tasks = set_to_work(&server, writers, &work, false);
        // The moment is the point of the test, so it is waited for by the clock.
        sleep(Duration::from_millis(50 + chance.below(551))).await;
        server.process.kill();
        server.process.wait(PATIENCE).await.expect("SIGKILL ends it");
        writers = collect(tasks).await;
        died_unknown += writers.iter().filter(|writer| writer.has_pending()).count();
    }
    let server = installation.serve().await;
    assert!(server.ready_after < READY, "the last start: ready only after {:?}", server.ready_after);
    slowest = slowest.max(server.ready_after);
    let tally = verify(&server, &mut writers).await;
    report(&format!(
        "{engine}: {} cycles, {} acknowledged, {died_unknown} unknown when the server died, {tally}, slowest readiness {} ms",
        cycles(),
        tally.acknowledged,
        slowest.as_millis()
    ));
    tally.demand_perfection();
    assert_eq!(server.stop().await, Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_survives_kill_9_of_the_server() {
    kill_the_server("SQLite", &installation()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_survives_kill_9_of_the_server() {
    let Some(cluster) = Cluster::start(Options::default()) else { return };
    let database = cluster.database().expect("a database");
    let installation = installation().on(&database.url);
    installation.run(&["migrate", "up"]).await.says(0, &["applied 0001"]);
    kill_the_server("PostgreSQL", &installation).await;
}

/// Waits until the server says of itself that it is (not) ready, and gives how long that took.
async fn until_ready(server: &Instance, ready: bool, within: Duration) -> Duration {
    let begun = Instant::now();
    let mut last = String::new();
    while begun.elapsed() < within {
        let answer = server.send("GET", "/readyz", "", None).await.expect("readiness is always answered");
        assert!([200, 503].contains(&answer.status), "{}", answer.text);
        if (answer.status == 200) == ready {
            return begun.elapsed();
        }
        last = answer.text;
        sleep(Duration::from_millis(20)).await;
    }
    panic!("/readyz did not become {ready} within {within:?}: {last}\n{}", server.process.lines().join("\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_server_survives_crashes_of_postgres() {
    let Some(mut cluster) = Cluster::start(Options::default()) else { return };
    let database = cluster.database().expect("a database");
    let installation = installation().on(&database.url);
    installation.run(&["migrate", "up"]).await.says(0, &["applied 0001"]);
    let mut chance = Chance::seeded();
    let mut writers = writers(installation.people(WRITERS).await, &mut chance);
    let limits = ["plan", "limits", "free", "--messages-per-day", "none", "--messages-per-month", "none"];
    installation.run(&limits).await.says(0, &["free"]);
    let server = Arc::new(installation.serve().await);
    let mut slowest = Duration::ZERO;
    // One of each kind at least.
    let cycles = (cycles() / 5).max(2);
    for cycle in 0..cycles {
        let work = Work::default();
        let tasks = set_to_work(&server, writers, &work, true);
        sleep(Duration::from_millis(50 + chance.below(551))).await;
        let died = if cycle % 2 == 0 {
            block_in_place(|| cluster.stop(StopMode::Immediate))
        } else {
            block_in_place(|| cluster.kill_9())
        };
        died.expect("PostgreSQL ends");
        until_ready(&server, false, RECOVERED).await;
        block_in_place(|| cluster.restart()).expect("PostgreSQL starts again");
        let took = until_ready(&server, true, RECOVERED).await;
        slowest = slowest.max(took);
        // Everybody gets through again.
        let (before, begun) = (work.acknowledged.load(Ordering::Relaxed), Instant::now());
        while work.acknowledged.load(Ordering::Relaxed) < before + WRITERS as u64 {
            assert!(begun.elapsed() < PATIENCE, "cycle {cycle}: nobody gets through after the outage");
            sleep(Duration::from_millis(10)).await;
        }
        work.stop.cancel();
        writers = collect(tasks).await;
        assert!(server.process.is_running(), "cycle {cycle}: the server went on");
    }
    let tally = verify(&server, &mut writers).await;
    report(&format!(
        "PostgreSQL crashed under the server: {cycles} cycles, {} acknowledged, {tally}, slowest recovery {} ms",
        tally.acknowledged,
        slowest.as_millis()
    ));
    tally.demand_perfection();
    assert_eq!(server.stop().await, Some(0));
}
