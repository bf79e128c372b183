//! What no setting and no answer breaks: the disk, the memory, the server of the database, time, and other nodes.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use mainstay_domain::{Clock, Timestamp};
use mainstay_server::app::Outside;
use mainstay_server::ops::audit::Verdict;
use mainstay_server::outside::SystemClock;
use mainstay_testing::postgres::Options;
use mainstay_testing::{Cluster, Database, Program, RedisServer};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::{Colours, GOOD, see};
use crate::support::binary::Installation;
use crate::support::mounted::{MEMORY, SMALL_DISK, mounted};
use crate::support::{Engine, TestApp};

/// Generous: the machine may be busy with other tests.
const PATIENCE: Duration = Duration::from_secs(60);
/// Connections of the small server of PostgreSQL, of which three are kept for its superuser.
const CONNECTIONS: &str = "60";

/// Breaks each.
pub(super) async fn change(engine: Engine, colours: &mut Colours) {
    age_a_key(engine, colours).await;
    name_providers(engine, colours).await;
    join_another_node(engine, colours).await;
    match engine {
        Engine::Sqlite => {
            lay_the_keys_beside_the_data(colours).await;
            fill_disk_and_memory(colours).await;
        }
        Engine::Postgres => change_the_server(colours).await,
    }
}

/// Looks until a check says so: what it looks at becomes known in the background.
async fn until(server: &TestApp, id: &str, wanted: Verdict) {
    let begun = Instant::now();
    loop {
        let seen = see(server, &server.address, id).await;
        if seen.verdict == wanted {
            return;
        }
        assert!(begun.elapsed() < PATIENCE, "{id} stays {:?}: {}", seen.verdict, seen.measured);
        sleep(Duration::from_millis(50)).await;
    }
}

/// The clock of the machine, behind by so many milliseconds.
struct Behind(AtomicI64);

impl Clock for Behind {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(SystemClock.now().as_millis() - self.0.load(Ordering::SeqCst))
    }
}

async fn age_a_key(engine: Engine, colours: &mut Colours) {
    const DAYS_401: i64 = 401 * 86_400_000;
    let clock = Arc::new(Behind(AtomicI64::new(DAYS_401)));
    let outside = Outside { clock: Arc::clone(&clock) as Arc<dyn Clock>, ..Outside::default() };
    let Some(server) = TestApp::start_with(engine, GOOD, outside).await else { return };
    colours.green(&see(&server, &server.address, "security.key_age").await);
    clock.0.store(0, Ordering::SeqCst);
    colours.red(&see(&server, &server.address, "security.key_age").await);
    server.app.lifecycle.stop_hard();
}

async fn name_providers(engine: Engine, colours: &mut Colours) {
    let Some(server) = TestApp::start(engine, GOOD).await else { return };
    // Only the offline responder. And the program is one that is searched for faults.
    for id in ["resilience.providers", "delivery.release_build"] {
        colours.red(&see(&server, &server.address, id).await);
    }
    server.app.lifecycle.stop_hard();
    let keys = [
        ("providers.order", r#"["anthropic", "openai"]"#),
        ("providers.anthropic.api_key", r#""a-key-for-tests""#),
        ("providers.openai.api_key", r#""a-key-for-tests""#),
        ("http.public_url", r#""https://chat.example.com""#),
    ];
    let Some(server) = TestApp::start(engine, &[GOOD, &keys].concat()).await else { return };
    for id in ["resilience.providers", "delivery.settings"] {
        colours.green(&see(&server, &server.address, id).await);
    }
    server.app.lifecycle.stop_hard();
}

async fn join_another_node(engine: Engine, colours: &mut Colours) {
    let Some(redis) = RedisServer::start(&[]) else { return };
    let url = json!(redis.url()).to_string();
    let settings = [GOOD, &[("redis.url", url.as_str())]].concat();
    let Some(server) = TestApp::start(engine, &settings).await else { return };
    until(&server, "resilience.redis", Verdict::Pass).await;
    colours.green(&see(&server, &server.address, "resilience.redis").await);
    if engine == Engine::Postgres {
        colours.red(&see(&server, &server.address, "resilience.nodes").await);
        let other = server.second_node().await;
        until(&server, "resilience.nodes", Verdict::Pass).await;
        colours.green(&see(&server, &server.address, "resilience.nodes").await);
        other.app.lifecycle.stop_hard();
    }
    server.app.lifecycle.stop_hard();
}

async fn lay_the_keys_beside_the_data(colours: &mut Colours) {
    let folder = tempfile::tempdir().expect("a folder");
    let place = |name: &str| folder.path().join(name).display().to_string();
    let (url, keys) = (json!(format!("sqlite:{}", place("test.db"))).to_string(), json!(place("keys")).to_string());
    let beside = [("database.url", url.as_str()), ("keys.directory", keys.as_str())];
    let Some(server) = TestApp::start(Engine::Sqlite, &[GOOD, &beside].concat()).await else { return };
    colours.red(&see(&server, &server.address, "security.keys_apart").await);
    server.app.lifecycle.stop_hard();
    let Some(server) = TestApp::start(Engine::Sqlite, GOOD).await else { return };
    for id in ["security.keys_apart", "capacity.disk", "capacity.memory", "data.durable_commits"] {
        colours.green(&see(&server, &server.address, id).await);
    }
    server.app.lifecycle.stop_hard();
}

/// A disk of eight mebibytes, and a machine that has given away all its memory but a tenth of a tenth.
async fn fill_disk_and_memory(colours: &mut Colours) {
    for (id, mount) in [("capacity.disk", SMALL_DISK), ("capacity.memory", MEMORY)] {
        // The mount lasts as long as the program: the schema is made by the same one.
        let Some(wrapper) = mounted(&format!("{mount} && \"$0\" migrate up >schema")) else {
            mainstay_testing::skip(id, "this machine permits no mount");
            colours.cannot_be_red(id);
            continue;
        };
        let installation = Installation::new().through(&wrapper);
        installation.write("meminfo", "MemTotal: 8000000 kB\nMemFree: 80000 kB\nMemAvailable: 80000 kB\n");
        let done = installation.run(&["audit", "--only", id, "--profile", "server", "--form", "json"]).await;
        let start = done.text.find('{').unwrap_or_else(|| panic!("no report: {}", done.text));
        let report: Value = serde_json::Deserializer::from_str(&done.text[start..])
            .into_iter()
            .next()
            .expect("a report")
            .unwrap_or_else(|error| panic!("{error}: {}", done.text));
        let finding = &report["findings"][0];
        assert_eq!((&finding["id"], &finding["verdict"]), (&json!(id), &json!("fail")), "{}", done.text);
        colours.was_red(id);
    }
}

fn cluster(checksums: bool, settings: &[(&str, &str)]) -> Option<Cluster> {
    let settings = settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Cluster::start(Options { checksums, settings, ..Options::default() })
}

/// A server with everything on, and the one of the other tests, which has nothing on and forgets what it was told.
async fn change_the_server(colours: &mut Colours) {
    const OF_THE_SERVER: [&str; 3] = ["data.durable_commits", "data.checksums", "data.archive"];
    let Some(careless) = TestApp::start(Engine::Postgres, GOOD).await else { return };
    for id in OF_THE_SERVER {
        colours.red(&see(&careless, &careless.address, id).await);
    }
    careless.app.lifecycle.stop_hard();
    let settings = [("archive_mode", "on"), ("archive_command", "true"), ("max_connections", CONNECTIONS)];
    let Some(cluster) = cluster(true, &settings) else { return };
    let database = Arc::new(cluster.database().expect("a database"));
    let server = TestApp::start_in(&database, GOOD).await;
    server.psql("SELECT pg_switch_wal()");
    until(&server, "data.archive", Verdict::Pass).await;
    for id in OF_THE_SERVER.into_iter().chain(["capacity.connections"]) {
        colours.green(&see(&server, &server.address, id).await);
    }
    let others = connect_others(&cluster, &database);
    until(&server, "capacity.connections", Verdict::Fail).await;
    colours.red(&see(&server, &server.address, "capacity.connections").await);
    others.iter().for_each(mainstay_testing::Process::terminate);
    server.app.lifecycle.stop_hard();
    server.app.store.close().await;
}

/// Connections of somebody else, who takes more than is left.
fn connect_others(cluster: &Cluster, database: &Database) -> Vec<mainstay_testing::Process> {
    let psql = || {
        let program = Program::new(cluster.binaries().join("psql"));
        let wait = format!("SELECT pg_sleep({})", PATIENCE.as_secs());
        program.args(["--no-psqlrc", "--dbname", &database.superuser_url, "--command", &wait])
    };
    (0..45).map(|_| psql().start().expect("it starts")).collect()
}
