//! The statements of the last release, on the schema of this one: while a new version is deployed, and after a rollback, the
//! old program works with it.
//!
//! They are kept in a file, which is written at a release by `cargo test -p mainstay-store -- --ignored
//! write_down_what_is_released` and then stays as it is until the next.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection, Row as _, SqlSafeStr as _, SqliteConnection};

use super::{EngineKind, Harness};
use crate::registry::statements;

/// What PostgreSQL says when it knows everything in a statement but the kind of a parameter, which the program tells it.
const KIND_OF_PARAMETER: &str = "42P18";

#[derive(Serialize, Deserialize)]
struct Released {
    /// The last migration that it knew.
    schema: i64,
    statements: BTreeMap<String, Texts>,
    /// All columns of each table. They are the same on both engines.
    columns: BTreeMap<String, Vec<String>>,
}

#[derive(Serialize, Deserialize)]
struct Texts {
    sqlite: String,
    /// Where it is another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    postgres: Option<String>,
}

impl Texts {
    fn postgres(&self) -> &str {
        self.postgres.as_deref().unwrap_or(&self.sqlite)
    }
}

fn file() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("released.json")
}

fn released() -> Released {
    let text = std::fs::read_to_string(file()).expect("what was released is in a file");
    serde_json::from_str(&text).expect("JSON")
}

async fn sqlite(h: &Harness) -> SqliteConnection {
    let path = h.options.sqlite_path().expect("a path");
    SqliteConnection::connect(&format!("sqlite:{}", path.display())).await.expect("connected")
}

/// Every column by its table, and whether a row needs it to be given.
async fn columns_of_sqlite(connection: &mut SqliteConnection) -> BTreeMap<(String, String), bool> {
    let text = "SELECT t.name AS tbl, c.name AS col, c.\"notnull\" = 1 AND c.dflt_value IS NULL AS needed
                FROM sqlite_schema t, pragma_table_info(t.name) c WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite_%'";
    let rows = sqlx::query(text).fetch_all(connection).await.expect("read");
    rows.iter().map(|row| ((row.get("tbl"), row.get("col")), row.get::<i64, _>("needed") == 1)).collect()
}

async fn columns_of_postgres(connection: &mut PgConnection) -> BTreeMap<(String, String), bool> {
    let text = "SELECT table_name::text AS tbl, column_name::text AS col,
                  is_nullable = 'NO' AND column_default IS NULL AND is_identity = 'NO' AND is_generated = 'NEVER' AS needed
                FROM information_schema.columns WHERE table_schema = 'public'";
    let rows = sqlx::query(text).fetch_all(connection).await.expect("read");
    rows.iter().map(|row| ((row.get("tbl"), row.get("col")), row.get("needed"))).collect()
}

/// A column that is new may be left out by who does not know it.
fn nothing_new_is_needed(released: &Released, columns: &BTreeMap<(String, String), bool>) {
    for ((table, column), needed) in columns {
        let known = released.columns.get(table).is_none_or(|known| known.contains(column));
        assert!(known || !needed, "{table}.{column} is new and must be given: what was released does not know it");
    }
}

#[tokio::test]
async fn the_schema_takes_the_statements_of_the_last_release_on_sqlite() {
    let h = Harness::open(EngineKind::Sqlite).await.expect("SQLite is always there");
    let mut connection = sqlite(&h).await;
    let released = released();
    for (name, texts) in &released.statements {
        let prepared = connection.prepare(AssertSqlSafe(texts.sqlite.clone()).into_sql_str()).await;
        assert!(prepared.is_ok(), "{name}: {:?}", prepared.err());
    }
    nothing_new_is_needed(&released, &columns_of_sqlite(&mut connection).await);
    let latest = super::super::migrate::files_for_tests(&h.options).last().expect("a migration").version;
    assert!(released.schema <= latest, "it was released before this");
    // It can fail.
    let gone = AssertSqlSafe("SELECT nickname FROM person".to_owned());
    assert!(connection.prepare(gone.into_sql_str()).await.is_err());
}

#[tokio::test]
async fn the_schema_takes_the_statements_of_the_last_release_on_postgres() {
    let Some(h) = Harness::open(EngineKind::Postgres).await else { return };
    let mut connection = PgConnection::connect(h.options.url.expose()).await.expect("connected");
    let released = released();
    for (name, texts) in &released.statements {
        let prepared = connection.prepare(AssertSqlSafe(texts.postgres().to_owned()).into_sql_str()).await;
        if let Err(error) = prepared {
            let code = error.as_database_error().and_then(|error| error.code().map(|code| code.into_owned()));
            assert_eq!(code.as_deref(), Some(KIND_OF_PARAMETER), "{name}: {error}");
        }
    }
    nothing_new_is_needed(&released, &columns_of_postgres(&mut connection).await);
    let gone = AssertSqlSafe("SELECT nickname FROM person".to_owned());
    assert!(connection.prepare(gone.into_sql_str()).await.is_err());
}

#[tokio::test]
#[ignore = "writes a file, at a release: cargo test -p mainstay-store -- --ignored write_down_what_is_released"]
async fn write_down_what_is_released() {
    let h = Harness::open(EngineKind::Sqlite).await.expect("SQLite is always there");
    let schema = super::super::migrate::files_for_tests(&h.options).last().expect("a migration").version;
    let texts = |sql: &crate::sql::Sql| Texts {
        sqlite: sql.sqlite.to_owned(),
        postgres: (sql.postgres != sql.sqlite).then(|| sql.postgres.to_owned()),
    };
    let statements = statements().map(|sql| (sql.name.to_owned(), texts(sql))).collect();
    let mut columns: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (table, column) in columns_of_sqlite(&mut sqlite(&h).await).await.into_keys() {
        columns.entry(table).or_default().push(column);
    }
    let released = Released { schema, statements, columns };
    let text = serde_json::to_string_pretty(&released).expect("JSON");
    std::fs::write(file(), format!("{text}\n")).expect("written");
}
