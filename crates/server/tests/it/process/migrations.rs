//! `migrate` and `serve` on PostgreSQL.

use mainstay_testing::postgres::{Cluster, Database};
use serde_json::json;

use crate::support::binary::{Installation, Instance};

fn database() -> Option<Database> {
    Some(Cluster::shared()?.database().expect("a database"))
}

/// A turn of a chat, from signing up on.
pub(super) async fn chat(server: &Instance) {
    let body = json!({"email": "ada@example.com", "password": "password of ada"});
    let ada = server.send("POST", "/v1/auth/sign-up", "", Some(body)).await.expect("an answer");
    assert_eq!(ada.status, 201, "{}\n{}", ada.text, server.process.lines().join("\n"));
    let ada = ada.json();
    let token = ada["access_token"].as_str().expect("a token");
    let body = json!({"content": "Hello"});
    let sent = server.send("POST", "/v1/messages", token, Some(body)).await.expect("an answer").expect(201);
    assert_eq!(sent["reply"]["status"], "final");
    let mut events = server.stream(token, "Hello again").await;
    assert_eq!(events.until("done").await["reply"]["status"], "final");
    assert_eq!(server.list("/v1/conversations", token, 50).await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_migrated_behind_ones_back() {
    let Some(database) = database() else { return };
    let installation = Installation::new().on(&database.url).with("MAINSTAY_PROVIDERS__OFFLINE__WORD_MS", "1");
    let refused = installation.run(&["serve"]).await;
    refused.says(1, &["Migrations are pending", "mainstay migrate plan", "mainstay migrate up", "migrate_on_start"]);
    installation.run(&["token", "--email", "ada@example.com"]).await.says(1, &["Migrations are pending"]);
    installation.run(&["migrate", "status"]).await.says(0, &["0001  accounts", "pending"]);
    let plan = installation.run(&["migrate", "plan"]).await;
    plan.says(0, &["-- 0001 accounts", "CREATE TABLE", "--   locks: ", "nothing was changed"]);
    installation.run(&["migrate", "status"]).await.says(0, &["pending"]);
    installation.run(&["migrate", "up"]).await.says(0, &["applied 0001 accounts in ", "applied 0002 assistant in "]);
    let status = installation.run(&["migrate", "status"]).await;
    assert!(!status.says(0, &["applied 20", "took"]).text.contains("pending"), "{}", status.text);
    installation.run(&["migrate", "up"]).await.says(0, &["Nothing was to be done."]);
    installation.run(&["migrate", "plan"]).await.says(0, &["Nothing is pending."]);
    let server = installation.serve().await;
    assert!(server.process.lines().join("\n").contains("database   PostgreSQL"));
    chat(&server).await;
    assert_eq!(server.stop().await, Some(0));
    installation.run(&["migrate", "down", "--to", "0"]).await.says(1, &["is lost", "--yes"]);
    let down = installation.run(&["migrate", "down", "--to", "0", "--yes"]).await;
    down.says(0, &["undone 0002 assistant", "undone 0001 accounts"]);
    installation.run(&["migrate", "status"]).await.says(0, &["0001  accounts             pending"]);
    assert_eq!(database.psql("SELECT count(*) FROM pg_tables WHERE tablename = 'message'").expect("psql"), ["0"]);
    let installation = installation.with("MAINSTAY_DATABASE__MIGRATE_ON_START", "true");
    let server = installation.serve().await;
    chat(&server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_superuser_is_bound_by_the_policies_too() {
    let Some(database) = database() else { return };
    let installation = Installation::new().on(&database.superuser_url);
    installation.run(&["migrate", "up"]).await.says(0, &["applied 0001"]);
    let server = installation.serve().await;
    chat(&server).await;
    // Other databases of this PostgreSQL are other tests'.
    let roles = "SELECT DISTINCT usename FROM pg_stat_activity \
                 WHERE application_name = 'mainstay' AND datname = current_database()";
    assert_eq!(database.psql(roles).expect("psql"), ["postgres"]);
    // A login of one's own that the policies do not bind is refused: without SET ROLE nothing would hold it.
    let url = |login: &str| database.superuser_url.replace("postgres://postgres@", &format!("postgres://{login}@"));
    let installation = installation
        .with("MAINSTAY_DATABASE__APP_URL", &url("postgres"))
        .with("MAINSTAY_DATABASE__SYSTEM_URL", &url("owner"));
    let refused = installation.run(&["serve"]).await;
    refused.says(1, &["the role postgres is a superuser", "row-level security would not bind it"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schema_from_the_future_is_refused() {
    let Some(database) = database() else { return };
    let installation = Installation::new().on(&database.url);
    installation.run(&["migrate", "up"]).await.says(0, &["applied 0001"]);
    let insert = "INSERT INTO schema_migration VALUES (9999, 'flying', 'sql', 'x', 'done', 0, now(), 0)";
    database.psql(insert).expect("psql");
    installation.run(&["migrate", "status"]).await.says(0, &["9999", "UNKNOWN: this program is older than the schema"]);
    for command in [&["serve"][..], &["migrate", "up"], &["migrate", "down", "--to", "0", "--yes"]] {
        let refused = installation.run(command).await;
        refused.says(1, &["migration 9999 (flying), which this program does not know: it is older than the schema"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_not_there_is_said() {
    let port = mainstay_testing::free_port().expect("a port");
    let installation = Installation::new().on(&format!("postgres://ada:tellnobody@127.0.0.1:{port}/chat"));
    for command in [&["serve"][..], &["migrate", "status"]] {
        let refused = installation.run(command).await;
        refused.says(1, &["the database is not available"]);
        assert!(!refused.text.contains("tellnobody"), "{}", refused.text);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_is_put_back_serves_from_a_newer_schema_when_it_is_allowed() {
    let Some(cluster) = Cluster::shared() else { return };
    let database = cluster.database().expect("a database");
    let installation = Installation::new().on(&database.url);
    installation.run(&["migrate", "up"]).await.says(0, &[]);
    let newer = "INSERT INTO schema_migration SELECT (jsonb_populate_record(m, '{\"version\": 9999}')).* \
                 FROM schema_migration m WHERE version = 33";
    database.psql(newer).expect("inserted");
    installation.run(&["serve"]).await.says(1, &["does not know"]);
    let allowed = installation.with("MAINSTAY_DATABASE__ACCEPT_NEWER_SCHEMA", "true");
    assert_eq!(allowed.serve().await.stop().await, Some(0));
    allowed.run(&["deploy", "list"]).await.says(0, &["Nothing was ever recorded"]);
    // A gap below what the program knows is never allowed.
    database.psql("UPDATE schema_migration SET version = 0 WHERE version = 9999").expect("changed");
    allowed.run(&["serve"]).await.says(1, &["does not know"]);
}
