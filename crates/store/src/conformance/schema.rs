//! The schema: the page of tables is true, the tenant is in every key, and migrations go up, down and up again.

use std::time::Duration;

use mainstay_domain::Secret;
use mainstay_testing::postgres::Cluster;
use sqlx::{Connection, PgConnection, Row, SqliteConnection};

use super::{EngineKind, Harness, START};
use crate::migrate::StepState;
use crate::{Migrator, Options, Ping, TABLES, TableKind};

pub(super) async fn the_database_answers(h: &Harness) {
    h.store.run(&h.call(), Ping).await.expect("it answers");
    let (used, most) = h.store.connections_in_use();
    assert!(used <= most && most > 0);
    let [requests, writing, ..] = h.store.usage();
    assert!(requests.loans > 0 && requests.most_in_use > 0 && requests.size > 0 && writing.size > 0);
    assert_eq!(requests.in_use, 0, "whatever was lent is back");
    // The server of the database says how many connections it has; a file has none to say.
    match h.store.room().await.expect("it is known") {
        None => assert_eq!(h.store.engine_name(), "sqlite"),
        Some(room) => assert!(room.usable() > 0 && room.usable() + room.reserved == room.most, "{room:?}"),
    }
}

fn tables_of(kind: Option<TableKind>) -> Vec<&'static str> {
    let mut names: Vec<_> =
        TABLES.iter().filter(|table| kind.is_none_or(|kind| table.kind == kind)).map(|table| table.name).collect();
    names.sort_unstable();
    names
}

#[tokio::test]
async fn the_page_of_tables_is_true_on_sqlite() {
    let h = Harness::open(EngineKind::Sqlite).await.expect("SQLite is always there");
    let path = h.options.sqlite_path().expect("a path");
    let mut connection = SqliteConnection::connect(&format!("sqlite:{}", path.display())).await.expect("connected");
    let names = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name";
    let rows = sqlx::query(names).fetch_all(&mut connection).await.expect("read");
    let names: Vec<String> = rows.iter().map(|row| row.get("name")).collect();
    assert_eq!(names, tables_of(None));
    let keys = "SELECT t.name AS tbl, i.name AS idx, group_concat(c.name) AS columns
                FROM sqlite_schema t, pragma_index_list(t.name) i, pragma_index_info(i.name) c
                WHERE t.type = 'table' AND i.\"unique\" = 1 GROUP BY t.name, i.name";
    for row in sqlx::query(keys).fetch_all(&mut connection).await.expect("read") {
        let (table, columns): (String, String) = (row.get("tbl"), row.get("columns"));
        if tables_of(Some(TableKind::Tenant)).contains(&table.as_str()) {
            assert!(columns.split(',').any(|column| column == "tenant_id"), "a unique key of {table} is ({columns})");
        }
    }
}

#[tokio::test]
async fn the_page_of_tables_is_true_on_postgres() {
    let Some(h) = Harness::open(EngineKind::Postgres).await else { return };
    let mut connection = PgConnection::connect(h.options.url.expose()).await.expect("connected");
    let tables = "SELECT c.relname, c.relrowsecurity, c.relforcerowsecurity FROM pg_class c
                  JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = 'public' AND c.relkind = 'r' ORDER BY 1";
    let rows = sqlx::query(tables).fetch_all(&mut connection).await.expect("read");
    let names: Vec<String> = rows.iter().map(|row| row.get("relname")).collect();
    let mut sorted = names.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, tables_of(None));
    for row in &rows {
        let name: String = row.get("relname");
        let tenant = tables_of(Some(TableKind::Tenant)).contains(&name.as_str());
        let secured: (bool, bool) = (row.get("relrowsecurity"), row.get("relforcerowsecurity"));
        assert_eq!(secured, (tenant, tenant), "row-level security of {name}");
    }
    let keys = "SELECT t.relname AS tbl, array_to_string(array_agg(a.attname::text), ',') AS columns
                FROM pg_index i JOIN pg_class t ON t.oid = i.indrelid JOIN pg_namespace n ON n.oid = t.relnamespace
                JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = ANY (i.indkey)
                WHERE n.nspname = 'public' AND i.indisunique GROUP BY i.indexrelid, t.relname";
    for row in sqlx::query(keys).fetch_all(&mut connection).await.expect("read") {
        let (table, columns): (String, String) = (row.get("tbl"), row.get("columns"));
        if tables_of(Some(TableKind::Tenant)).contains(&table.as_str()) {
            assert!(columns.split(',').any(|column| column == "tenant_id"), "a unique key of {table} is ({columns})");
        }
    }
    let privileges = "SELECT grantee || ' ' || table_name AS right FROM information_schema.role_table_grants
                      WHERE grantee = 'mainstay_app' AND table_name IN ('lease', 'schema_migration')";
    assert!(sqlx::query(privileges).fetch_all(&mut connection).await.expect("read").is_empty());
}

async fn goes_up_down_and_up(url: Secret) {
    let options = Options::new(url);
    let patience = Duration::from_secs(10);
    let mut migrator = Migrator::open(&options).await.expect("opened");
    assert!(!migrator.is_current().await.expect("read"));
    let planned = migrator.plan().await.expect("planned");
    assert!(planned.iter().all(|step| !step.statements.is_empty() && step.rehearsed.is_some()));
    assert!(!migrator.is_current().await.expect("read"), "planning changes nothing");
    // Two at once: one does the work.
    let mut second = Migrator::open(&options).await.expect("opened");
    let (one, two) = tokio::join!(migrator.up(START, patience), second.up(START, patience));
    let applied = one.expect("applied").len() + two.expect("applied").len();
    assert_eq!(applied, planned.len());
    assert!(migrator.is_current().await.expect("read"));
    let first = migrator.schema().await.expect("read");
    let undone = migrator.down(0, patience).await.expect("undone");
    assert_eq!(undone.len(), planned.len());
    assert!(!migrator.is_current().await.expect("read"));
    migrator.up(START, patience).await.expect("applied again");
    assert_eq!(migrator.schema().await.expect("read"), first, "up, down and up again gives another schema");
    assert_eq!(migrator.fingerprint().await.expect("read").len(), 64);

    // An edited file is refused, and so is a schema from the future.
    let mut files = super::super::migrate::files_for_tests(&options);
    files[0].up = format!("{} -- edited", files[0].up).into();
    let mut edited = Migrator::with_files(&options.url, files.clone()).await.expect("opened");
    assert!(edited.up(START, patience).await.is_err());
    assert!(edited.status().await.expect("read").iter().any(|step| step.state == StepState::Changed));
    let mut older = Migrator::with_files(&options.url, Vec::new()).await.expect("opened");
    assert!(older.is_current().await.is_err());

    // A file that fails leaves nothing.
    let mut files = super::super::migrate::files_for_tests(&options);
    files.push(super::super::migrate::file_for_tests(
        99,
        "CREATE TABLE half (a integer); SELECT nonsense FROM nowhere;",
    ));
    let mut failing = Migrator::with_files(&options.url, files).await.expect("opened");
    let refused = failing.up(START, patience).await.expect_err("it fails");
    assert!(refused.to_string().contains("0099"), "{refused}");
    assert_eq!(migrator.schema().await.expect("read"), first);
}

#[tokio::test]
async fn migrations_are_reversible_on_sqlite() {
    let folder = tempfile::tempdir().expect("a folder");
    goes_up_down_and_up(Secret::new(format!("sqlite:{}/x/test.db", folder.path().display()))).await;
}

#[tokio::test]
async fn migrations_are_reversible_on_postgres() {
    let Some(cluster) = Cluster::shared() else { return };
    let database = cluster.database().expect("a database");
    goes_up_down_and_up(Secret::new(database.url.clone())).await;
}

#[tokio::test]
async fn a_migration_without_a_transaction_resumes_after_its_last_statement() {
    let Some(cluster) = Cluster::shared() else { return };
    let database = cluster.database().expect("a database");
    let options = Options::new(Secret::new(database.url.clone()));
    let file = |text: &str| super::super::migrate::file_for_tests(1, text);
    let text = "-- no transaction\nCREATE TABLE a (b integer);\nCREATE INDEX CONCURRENTLY a_b ON a (b);\nCREATE TABLE c (d integer)";
    // Something stands in the way of the third statement.
    let mut connection = PgConnection::connect(&database.url).await.expect("connected");
    sqlx::query("CREATE TABLE c (d integer)").execute(&mut connection).await.expect("made");
    let mut migrator = Migrator::with_files(&options.url, vec![file(text)]).await.expect("opened");
    assert!(migrator.up(START, Duration::from_secs(5)).await.is_err());
    assert_eq!(migrator.status().await.expect("read")[0].state, StepState::Unfinished(2));
    sqlx::query("DROP TABLE c").execute(&mut connection).await.expect("dropped");
    assert_eq!(migrator.up(START, Duration::from_secs(5)).await.expect("resumed").len(), 1);
    assert!(migrator.is_current().await.expect("read"));
}

#[tokio::test]
async fn a_role_that_could_bypass_the_policies_is_refused() {
    let Some(h) = Harness::open(EngineKind::Postgres).await else { return };
    let owner = Options { app_url: h.options.url.clone(), system_url: h.options.url.clone(), ..h.options.clone() };
    let entropy = std::sync::Arc::new(super::Counting(std::sync::atomic::AtomicU64::new(9)));
    let refused = crate::Store::open(owner, entropy).await.err().expect("the owner is refused");
    assert!(refused.to_string().contains("owns tables"), "{refused}");
}
