//! Jobs, while workers are killed, frozen, or cut off from their database: what was acknowledged when it was promised is
//! done, and its effect takes place once.
//!
//! `MAINSTAY_TEST_CRASH_CYCLES` says how often something is killed (10 unless told), `MAINSTAY_TEST_SEED` repeats the choices
//! of a run; the moment of death is real time, so a seed repeats what is chosen, not the race.

mod ledger;

use std::time::Duration;

use mainstay_testing::postgres::{Cluster, Options, StopMode};
use tokio::task::block_in_place;
use tokio::time::{Instant, sleep};

use crate::support::binary::{Installation, Instance, PATIENCE};
use crate::support::chance::Chance;
use ledger::{Ledger, Promiser};

/// After how long a worker is taken for dead here.
const RESCUE: Duration = Duration::from_secs(2);
/// Work goes on by itself within this time after a database is back.
const RESUMED: Duration = Duration::from_secs(10);

fn cycles() -> u64 {
    std::env::var("MAINSTAY_TEST_CRASH_CYCLES").map_or(10, |text| text.parse().expect("a number of cycles"))
}

#[expect(clippy::print_stdout, reason = "the harness shows it when the test fails, or with --nocapture")]
fn report(line: &str) {
    println!("{line}");
}

fn installation() -> Installation {
    Installation::new()
        .with("MAINSTAY_JOBS__RESCUE_AFTER_SECONDS", "2")
        .with("MAINSTAY_JOBS__SLOTS", "32")
        .with("MAINSTAY_DATABASE__STATEMENT_TIMEOUT_MS", "2000")
        .with("MAINSTAY_DATABASE__ACQUIRE_TIMEOUT_MS", "1000")
        .with("MAINSTAY_LOG__LEVEL", "error")
}

/// Kills one of the workers again and again while jobs are promised, starts it anew, and looks at what is left.
async fn kill_workers(engine: &str, installation: &Installation, url: &str, workers: usize) {
    let mut chance = Chance::seeded();
    let mut running = Vec::with_capacity(workers);
    for _ in 0..workers {
        running.push(installation.serve().await);
    }
    let promiser = Promiser::start(url, &mut chance).await;
    for _ in 0..cycles() {
        // The moment is the point of the test, so it is waited for by the clock.
        sleep(Duration::from_millis(50 + chance.below(551))).await;
        let place = usize::try_from(chance.below(workers as u64)).expect("a place");
        running[place].process.kill();
        running[place].process.wait(PATIENCE).await.expect("SIGKILL ends it");
        running[place] = installation.serve().await;
    }
    let ledger = promiser.stop().await;
    let begun = Instant::now();
    let stood = ledger::longest_standstill(url, PATIENCE).await;
    let done = begun.elapsed();
    let tally = ledger.settle(url, PATIENCE).await;
    report(&format!("{engine}: {} kills, {tally}; all done {done:?} after the last promise", cycles()));
    tally.demand_perfection();
    // What the dead had is taken from them after the rescue bound, and then done: nothing stands still for longer.
    assert!(stood < RESCUE + RESUMED, "something stood still for {stood:?}");
    for server in running {
        assert_eq!(server.stop().await, Some(0));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_loses_no_job_when_one_of_two_workers_is_killed() {
    let Some(cluster) = Cluster::start(Options::default()) else { return };
    let database = cluster.database().expect("a database");
    let installation = installation().on(&database.url);
    installation.run(&["migrate", "up"]).await.says(0, &["applied 0001"]);
    Box::pin(kill_workers("PostgreSQL", &installation, &database.url, 2)).await;
}

/// One process may serve from a file, so the one worker is killed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_loses_no_job_when_the_worker_is_killed() {
    let folder = tempfile::tempdir().expect("a folder");
    let url = format!("sqlite:{}", folder.path().join("jobs.db").display());
    let installation = installation().on(&url);
    installation.run(&["migrate", "up"]).await.says(0, &["applied 0001"]);
    Box::pin(kill_workers("SQLite", &installation, &url, 1)).await;
}

/// A worker stands still for longer than its lease in the middle of its work, and goes on: it changes nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_was_frozen_changes_nothing() {
    let Some(cluster) = Cluster::start(Options::default()) else { return };
    let database = cluster.database().expect("a database");
    let installation = installation().on(&database.url);
    installation.run(&["migrate", "up"]).await.says(0, &["applied 0001"]);
    let (frozen, awake) = (installation.serve().await, installation.serve().await);
    let mut chance = Chance::seeded();
    let promiser = Promiser::start(&database.url, &mut chance).await;
    let seconds = std::env::var("MAINSTAY_TEST_FROZEN_SECONDS").map_or(6, |text| text.parse().expect("seconds"));
    sleep(Duration::from_millis(500)).await;
    frozen.process.pause();
    sleep(Duration::from_secs(seconds)).await;
    frozen.process.resume();
    sleep(2 * RESCUE).await;
    let ledger = promiser.stop().await;
    let tally = ledger.settle(&database.url, PATIENCE).await;
    report(&format!("frozen for {seconds} s: {tally}"));
    tally.demand_perfection();
    assert!(awake.process.is_running() && frozen.process.is_running());
}

/// Work goes on by itself after each of the things that happen to a database.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jobs_survive_what_happens_to_postgres() {
    let Some(mut cluster) = Cluster::start(Options::default()) else { return };
    let database = cluster.database().expect("a database");
    let installation = installation().on(&database.url);
    installation.run(&["migrate", "up"]).await.says(0, &["applied 0001"]);
    let servers = [installation.serve().await, installation.serve().await];
    let mut chance = Chance::seeded();
    let promiser = Promiser::start(&database.url, &mut chance).await;
    resumed(&promiser, &database.url, "at the start").await;
    block_in_place(|| cluster.stop(StopMode::Immediate)).expect("PostgreSQL ends");
    block_in_place(|| cluster.restart()).expect("PostgreSQL starts again");
    resumed(&promiser, &database.url, "after a restart").await;
    for _ in 0..5 {
        let others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'";
        block_in_place(|| database.psql(others)).expect("killed");
        sleep(Duration::from_millis(200)).await;
    }
    resumed(&promiser, &database.url, "after its connections were killed").await;
    // Every connection of the workers waits for a lock, for longer than a statement may take. It is one lock: who asks for a
    // second one while holding the first may be the victim of a deadlock with a worker that took them the other way round.
    let exhaust = "BEGIN; LOCK TABLE job IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(4); COMMIT";
    block_in_place(|| database.psql(exhaust)).expect("locked");
    resumed(&promiser, &database.url, "after its pool was exhausted").await;
    let ledger = promiser.stop().await;
    let tally = ledger.settle(&database.url, PATIENCE).await;
    report(&format!("PostgreSQL was restarted, cut off and locked: {tally}"));
    tally.demand_perfection();
    assert!(servers.iter().all(|server: &Instance| server.process.is_running()));
}

/// Waits until a job that is promised from now on has taken effect.
async fn resumed(promiser: &Promiser, url: &str, when: &str) {
    let begun = Instant::now();
    let took = promiser.until_something_new_is_done(url, RESUMED).await;
    assert!(took.is_some(), "{when}: nothing was done within {:?}", begun.elapsed());
    report(&format!("{when}: done after {} ms", begun.elapsed().as_millis()));
}

/// What the test knows of its jobs.
impl Ledger {
    /// Waits until everything that was acknowledged has taken effect, and compares.
    async fn settle(self, url: &str, within: Duration) -> ledger::Tally {
        let begun = Instant::now();
        loop {
            let tally = self.compare(url).await;
            if tally.is_settled() || begun.elapsed() > within {
                return tally;
            }
            sleep(Duration::from_millis(100)).await;
        }
    }
}
