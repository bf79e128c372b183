//! Rotation of many rows while clients read and write, and the server is killed twice in the middle of it.
//!
//! `MAINSTAY_TEST_ROTATION_ROWS` says how many rows there are (3,000 unless told); `just rotation` takes 100,000.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use mainstay_domain::KeyVersion;
use mainstay_testing::postgres::{Cluster, Options};
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::commands::{installation, retire, status};
use super::crowd::{Crowd, Stage, app, count, fill, open_all};
use crate::support::binary::{Installation, Instance, PATIENCE};
use crate::support::chance::Chance;

/// Who reads and writes meanwhile.
const CLIENTS: usize = 32;

fn rows() -> usize {
    std::env::var("MAINSTAY_TEST_ROTATION_ROWS").map_or(3_000, |text| text.parse().expect("a number of rows"))
}

#[expect(clippy::print_stdout, reason = "the harness shows it when the test fails, or with --nocapture")]
fn report(line: &str) {
    println!("{line}");
}

/// What is refused is refused by what is tested, however busy the machine is.
fn patient() -> Installation {
    installation()
        .with("MAINSTAY_HTTP__REQUEST_TIMEOUT_MS", "10000")
        .with("MAINSTAY_DATABASE__ACQUIRE_TIMEOUT_MS", "9000")
        .with("MAINSTAY_DATABASE__STATEMENT_TIMEOUT_MS", "9000")
        .with("MAINSTAY_OVERLOAD__ENABLED", "false")
}

async fn killed(server: Instance, installation: &Installation, stage: &Stage) -> Instance {
    server.process.kill();
    server.process.wait(PATIENCE).await.expect("SIGKILL ends it");
    let server = installation.serve().await;
    stage.moved_to(&server.address);
    server
}

async fn rotate_under_load(engine: &str, installation: Installation, url: &str) {
    let (first, second) = (KeyVersion::FIRST, KeyVersion::new(2).expect("a number"));
    let mut chance = Chance::seeded();
    let tokens = installation.people(CLIENTS).await;
    let app = app(url, &installation.folder().join("data/keys")).await;
    let begun = Instant::now();
    let rows = fill(&app, rows()).await;
    report(&format!("{engine}: {rows} rows made in {} s", begun.elapsed().as_secs()));
    let mut server = installation.serve().await;
    let stage = Arc::new(Stage::default());
    stage.moved_to(&server.address);
    let crowd = Crowd::start(&stage, tokens, &mut chance);
    while stage.writes.load(Ordering::Relaxed) < CLIENTS as u64 {
        sleep(Duration::from_millis(10)).await;
    }
    installation.run(&["keys", "add"]).await.says(0, &["Key 2"]);
    let all = count(&app.store, first).await;
    assert!(all > rows, "the clients have rows too");
    let begun = Instant::now();
    installation.run(&["keys", "rotate"]).await.says(0, &["Key 2 seals"]);
    for share in [3, 2] {
        // In the middle: some is done, and some is left.
        let until = all - all / share;
        while count(&app.store, first).await > until {
            assert!(begun.elapsed() < PATIENCE * 10, "nothing is sealed anew");
            sleep(Duration::from_millis(2)).await;
        }
        let begun = Instant::now();
        server = killed(server, &installation, &stage).await;
        let left = count(&app.store, first).await;
        report(&format!(
            "{engine}: killed with {left} of {all} left, ready again after {} ms",
            begun.elapsed().as_millis()
        ));
    }
    while count(&app.store, first).await > 0 {
        assert!(begun.elapsed() < PATIENCE * 10, "it does not come to its end");
        sleep(Duration::from_millis(50)).await;
    }
    report(&format!("{engine}: everything sealed anew {} ms after the command", begun.elapsed().as_millis()));
    retire(&installation, "1").await;
    crowd.stop(&stage).await;
    let status = status(&installation).await;
    assert_eq!(
        (&status["keys"][0]["state"], &status["left"], &status["not_sealed"]),
        (&json!("retired"), &json!(0), &json!(0))
    );
    // Every one of them has its own secret.
    app.store.close().await;
    drop(app);
    std::fs::remove_file(installation.folder().join("data/keys/key-1")).expect("its file can be deleted");
    let app = self::app(url, &installation.folder().join("data/keys")).await;
    assert_eq!(open_all(&app, second).await, rows);
    let figure = |figure: &std::sync::atomic::AtomicU64| figure.load(Ordering::Relaxed);
    report(&format!(
        "{engine}: {} reads and {} writes meanwhile, none refused; {} calls were cut off by the kills and repeated",
        figure(&stage.reads),
        figure(&stage.writes),
        figure(&stage.cut)
    ));
    assert!(server.process.is_running());
    assert_eq!(server.stop().await, Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_read_fails_while_keys_rotate_and_the_server_is_killed_on_sqlite() {
    let folder = tempfile::tempdir().expect("a folder");
    let url = format!("sqlite:{}", folder.path().join("rotation.db").display());
    let installation = patient().on(&url).with("MAINSTAY_KEYS__DIRECTORY", "data/keys");
    Box::pin(rotate_under_load("SQLite", installation, &url)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_read_fails_while_keys_rotate_and_the_server_is_killed_on_postgres() {
    let Some(cluster) = Cluster::start(Options::default()) else { return };
    let database = cluster.database().expect("a database");
    let installation = patient().on(&database.url);
    installation.run(&["migrate", "up"]).await.says(0, &["applied 0011 keys"]);
    Box::pin(rotate_under_load("PostgreSQL", installation, &database.url)).await;
}
