//! PostgreSQL behind PgBouncer in transaction mode.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use mainstay_testing::postgres::Cluster;
use mainstay_testing::{Process, Program, free_port, skip};

use super::migrations::chat;
use crate::support::binary::Installation;

const PGBOUNCER: &str = "/usr/sbin/pgbouncer";

/// A pooler in front of the shared server, which lends connections for a transaction each.
async fn pooler(port: u16, folder: &std::path::Path, users: &[String]) -> Process {
    let listen = free_port().expect("a port");
    let file = |name: &str| folder.join(name).display().to_string();
    let settings = format!(
        "[databases]\n* = host=127.0.0.1 port={port}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {listen}\n\
         unix_socket_dir =\nauth_type = trust\nauth_file = {}\npool_mode = transaction\ndefault_pool_size = 5\n\
         ignore_startup_parameters = extra_float_digits\n",
        file("users.txt")
    );
    fs::write(file("pgbouncer.ini"), settings).expect("a file is written");
    let users: String = users.iter().map(|user| format!("\"{user}\" \"\"\n")).collect();
    fs::write(file("users.txt"), users).expect("a file is written");
    // It refuses to run as root, and reads its files as whoever it becomes.
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).expect("the folder is opened");
    let root = fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0);
    let arguments: &[&str] = if root { &["-u", "postgres"] } else { &[] };
    let program = Program::new(PGBOUNCER).args(arguments).arg(file("pgbouncer.ini"));
    let process = program.start().expect("it starts");
    process.wait_for_line("process up", Duration::from_secs(30)).await.expect("the pooler is up");
    process
}

/// The port that a pooler listens on.
async fn port_of(process: &Process) -> String {
    let line = process.wait_for_line("listening on 127.0.0.1:", Duration::from_secs(30)).await.expect("it listens");
    line.rsplit(':').next().expect("a port").trim().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_pooler_needs_logins_of_the_roles() {
    if !std::path::Path::new(PGBOUNCER).exists() {
        skip("PgBouncer", "/usr/sbin/pgbouncer is not installed (package pgbouncer)");
        return;
    }
    let Some(cluster) = Cluster::shared() else { return };
    let database = cluster.database().expect("a database");
    let direct = Installation::new().on(&database.url).with("MAINSTAY_PROVIDERS__OFFLINE__WORD_MS", "1");
    direct.run(&["migrate", "up"]).await.says(0, &["applied 0001"]);
    let logins = ["app", "system"].map(|role| (role, format!("{role}_of_{}", database.name())));
    for (role, login) in &logins {
        database.psql(&format!("CREATE ROLE {login} LOGIN IN ROLE mainstay_{role}")).expect("psql");
    }
    let users: Vec<String> = logins.iter().map(|(_, login)| login.clone()).chain(["owner".to_owned()]).collect();
    let folder = tempfile::tempdir().expect("a folder");
    let process = pooler(cluster.port(), folder.path(), &users).await;
    let port = port_of(&process).await;
    let url = |user: &str| format!("postgres://{user}@127.0.0.1:{port}/{}", database.name());

    let through = Installation::new().on(&url("owner"));
    let refused = through.run(&["serve"]).await;
    refused.says(
        1,
        &[
            "the address leads to a transaction pooler",
            "database.app_url and database.system_url",
            "database.transaction_pooler = true",
        ],
    );
    let installation = direct
        .with("MAINSTAY_DATABASE__APP_URL", &url(&logins[0].1))
        .with("MAINSTAY_DATABASE__SYSTEM_URL", &url(&logins[1].1))
        .with("MAINSTAY_DATABASE__TRANSACTION_POOLER", "true");
    let server = installation.serve().await;
    chat(&server).await;
    // What it did was done by those two.
    let sessions = "SELECT DISTINCT usename FROM pg_stat_activity WHERE datname = current_database() AND usename LIKE '%_of_%' ORDER BY 1";
    assert_eq!(database.psql(sessions).expect("psql"), [logins[0].1.as_str(), logins[1].1.as_str()]);
    assert_eq!(server.stop().await, Some(0));
}
