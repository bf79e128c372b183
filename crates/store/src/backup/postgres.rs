//! A copy of a PostgreSQL database: every table in the text form of COPY
//! (<https://www.postgresql.org/docs/current/sql-copy.html>).

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use mainstay_domain::Secret;
use sqlx::postgres::PgCopyIn;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, PgConnection, Row as _};
use tokio::time::{Instant, sleep};

use super::Damage;
use super::restoration::{HOLD, Mark, NEW_EPOCHS, WHOLE};
use super::snapshot::Part;
use crate::engine::postgres::{options, quoted};
use crate::error::{Error, Result};
use crate::tables::TABLES;
use crate::value::{At, signed};

/// What the migrations keep by themselves.
const OF_MIGRATIONS: &str = "schema_migration";

/// How values are written down, whatever the server's own settings are; and no bound of time, because a table may be large.
const FORM: &str = "SET LOCAL datestyle = 'ISO, YMD'; SET LOCAL timezone = 'UTC'; SET LOCAL bytea_output = 'hex'; \
                    SET LOCAL extra_float_digits = 3; SET LOCAL client_encoding = 'UTF8'; SET LOCAL statement_timeout = 0; \
                    SET LOCAL idle_in_transaction_session_timeout = 0; SET LOCAL lock_timeout = '10s'";

/// Tables of whose rows this login would see only some, or none, and not be told.
const HIDDEN: &str = "
    SELECT c.relname::text AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = current_schema() AND c.relkind = 'r' AND c.relrowsecurity
      AND (c.relforcerowsecurity OR NOT pg_has_role(current_user, c.relowner, 'USAGE'))
      AND NOT (SELECT r.rolsuper OR r.rolbypassrls FROM pg_roles r WHERE r.rolname = current_user)
      AND NOT EXISTS (SELECT 1 FROM pg_policies p WHERE p.schemaname = n.nspname AND p.tablename = c.relname
        AND p.policyname = 'backup' AND p.qual = 'true' AND p.permissive = 'PERMISSIVE'
        AND EXISTS (SELECT 1 FROM unnest(p.roles) role WHERE pg_has_role(current_user, role, 'USAGE')))
    ORDER BY c.relname";

const COLUMNS: &str = "
    SELECT table_name::text AS name, column_name::text AS column_name FROM information_schema.columns
    WHERE table_schema = current_schema() AND is_generated = 'NEVER' ORDER BY table_name, ordinal_position";

const POINTS: &str = "
    SELECT DISTINCT c.conrelid::regclass::text AS child, c.confrelid::regclass::text AS parent
    FROM pg_constraint c JOIN pg_namespace n ON n.oid = c.connamespace
    WHERE n.nspname = current_schema() AND c.contype = 'f' AND c.conrelid <> c.confrelid";

fn names() -> impl Iterator<Item = &'static str> {
    TABLES.iter().map(|table| table.name).filter(|name| *name != OF_MIGRATIONS)
}

/// A transaction that sees one moment.
pub(super) struct Reading {
    connection: PgConnection,
    rows: Arc<AtomicU64>,
}

/// A connection of the login that owns the tables, in a transaction that sees all rows as they are at one moment.
pub(crate) async fn owner_reads(url: &Secret) -> Result<PgConnection> {
    Reading::begin(url).await.map(|reading| reading.connection)
}

impl Reading {
    pub(super) async fn begin(url: &Secret) -> Result<Self> {
        let mut connection = options(url)?.connect().await?;
        sqlx::raw_sql("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").execute(&mut connection).await?;
        sqlx::raw_sql(FORM).execute(&mut connection).await?;
        let hidden = sqlx::query(HIDDEN).fetch_all(&mut connection).await?;
        let hidden: Vec<String> =
            hidden.iter().map(|row| row.try_get("name")).collect::<std::result::Result<_, _>>()?;
        if !hidden.is_empty() {
            return Err(Error::Isolation(format!(
                "this login would not see all rows of {}, so a backup would lack them. Let database.url be the login that \
                 owns the tables, and run `mainstay migrate up` with it.",
                hidden.join(", ")
            )));
        }
        Ok(Self { connection, rows: Arc::default() })
    }

    /// Every table with its columns; what another points to comes before it.
    pub(super) async fn parts(&mut self) -> Result<Vec<Part>> {
        let mut parts: Vec<Part> = names().map(|name| Part { name: name.to_owned(), columns: Vec::new() }).collect();
        for row in sqlx::query(COLUMNS).fetch_all(&mut self.connection).await? {
            let (name, column): (String, String) = (row.try_get("name")?, row.try_get("column_name")?);
            if let Some(part) = parts.iter_mut().find(|part| part.name == name) {
                part.columns.push(column);
            }
        }
        if let Some(missing) = parts.iter().find(|part| part.columns.is_empty()) {
            return Err(Error::Missing(names().find(|name| *name == missing.name).unwrap_or("table")));
        }
        let mut pointers = Vec::new();
        for row in sqlx::query(POINTS).fetch_all(&mut self.connection).await? {
            pointers.push((row.try_get::<String, _>("child")?, row.try_get::<String, _>("parent")?));
        }
        ordered(parts, &pointers)
    }

    pub(super) async fn read(&mut self, part: &Part) -> Result<BoxStream<'_, Result<Bytes>>> {
        let columns: Vec<_> = part.columns.iter().map(|column| quoted(column)).collect();
        let statement = format!("COPY (SELECT {} FROM {}) TO STDOUT", columns.join(", "), quoted(&part.name));
        let rows = Arc::clone(&self.rows);
        let lines = self.connection.copy_out_raw(&statement).await?;
        let counted = lines.map(move |bytes| {
            let bytes = bytes?;
            // In this form a line is a row: line ends inside of values are escaped.
            rows.fetch_add(lines_in(&bytes), Ordering::Relaxed);
            Ok(bytes)
        });
        Ok(counted.boxed())
    }

    pub(super) fn rows(&self) -> u64 {
        self.rows.load(Ordering::Relaxed)
    }
}

fn lines_in(bytes: &[u8]) -> u64 {
    bytes.iter().filter(|byte| **byte == b'\n').count() as u64
}

/// Puts tables after those that they point to.
fn ordered(mut parts: Vec<Part>, pointers: &[(String, String)]) -> Result<Vec<Part>> {
    let mut order: Vec<Part> = Vec::with_capacity(parts.len());
    while !parts.is_empty() {
        let waiting: BTreeSet<String> = parts.iter().map(|part| part.name.clone()).collect();
        let free =
            |part: &Part| !pointers.iter().any(|(child, parent)| *child == part.name && waiting.contains(parent));
        let (ready, rest): (Vec<Part>, Vec<Part>) = parts.into_iter().partition(free);
        if ready.is_empty() {
            return Err(Error::Bug("tables point to each other in a circle, so none can be restored first".to_owned()));
        }
        order.extend(ready);
        parts = rest;
    }
    Ok(order)
}

/// Looks that there is nothing in the database that a copy could mix with: no tables of others, no people, and nobody who
/// works with it. Empty tables are what a restore that failed, or a first start, has left.
pub(super) async fn refuse_what_is_not_empty(url: &Secret) -> Result<()> {
    let mut connection = options(url)?.connect().await?;
    let why = why_not_empty(&mut connection).await;
    // Closing politely is not worth failing for.
    let _ = connection.close().await;
    match why? {
        None => Ok(()),
        Some(why) => Err(Error::File(format!(
            "The database is not empty: {why}. Make a new one with CREATE DATABASE and name it with --to, or in DATABASE_URL; \
             nothing was changed."
        ))),
    }
}

async fn why_not_empty(connection: &mut PgConnection) -> Result<Option<String>> {
    let tables = there(connection).await?;
    if let Some(other) = tables.iter().find(|table| !TABLES.iter().any(|known| known.name == **table)) {
        return Ok(Some(format!("it has the table {other}")));
    }
    let is_there = |name: &str| tables.iter().any(|table| table == name);
    if is_there("person")
        && sqlx::query("SELECT 1 FROM person LIMIT 1").fetch_optional(&mut *connection).await?.is_some()
    {
        return Ok(Some("there are people in it".to_owned()));
    }
    let end = Instant::now() + LEAVING;
    loop {
        let others = others(connection).await?;
        if others == 0 {
            return Ok(None);
        }
        if Instant::now() >= end {
            return Ok(Some(format!("{others} connections of mainstay work with it")));
        }
        sleep(LOOK_EVERY).await;
    }
}

/// For how long whoever has just left may still be on the server's list, and how often that is looked at: as its own DROP
/// DATABASE has it (`CountOtherDBBackends`). A restore that was refused a moment ago is such a one.
const LEAVING: Duration = Duration::from_secs(5);
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Connections of Mainstay to the same database, beside this one.
async fn others(connection: &mut PgConnection) -> Result<i64> {
    let others = sqlx::query(
        "SELECT count(*) AS others FROM pg_stat_activity
         WHERE datname = current_database() AND application_name LIKE 'mainstay%' AND pid <> pg_backend_pid()",
    );
    Ok(others.fetch_one(connection).await?.try_get("others")?)
}

/// A transaction that fills all tables.
pub(super) struct Writing {
    connection: PgConnection,
    guarded: Vec<String>,
    /// The part that is being written, line by line of SQL text.
    part: Option<(String, String)>,
    /// What has not gone to the server yet.
    pending: Vec<u8>,
    copied: u64,
}

/// Bytes that go to the server at once.
const SEND: usize = 4 << 20;

impl Writing {
    pub(super) async fn begin(url: &Secret) -> Result<Self> {
        let mut connection = options(url)?.connect().await?;
        sqlx::raw_sql("BEGIN").execute(&mut connection).await?;
        sqlx::raw_sql(FORM).execute(&mut connection).await?;
        let rows = sqlx::query(
            "SELECT c.relname::text AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
             WHERE n.nspname = current_schema() AND c.relkind = 'r' AND c.relforcerowsecurity",
        );
        let rows = rows.fetch_all(&mut connection).await?;
        let guarded: Vec<String> = rows.iter().map(|row| row.try_get("name")).collect::<std::result::Result<_, _>>()?;
        // The owner writes; within this transaction, which nobody sees before it ends.
        guard(&mut connection, &guarded, "NO FORCE").await?;
        let all: Vec<_> = there(&mut connection).await?;
        let emptied = format!("TRUNCATE {}", all.iter().map(|name| quoted(name)).collect::<Vec<_>>().join(", "));
        sqlx::raw_sql(AssertSqlSafe(emptied)).execute(&mut connection).await?;
        Ok(Self { connection, guarded, part: None, pending: Vec::with_capacity(SEND), copied: 0 })
    }

    pub(super) async fn part(&mut self, part: &Part) -> Result<()> {
        if !there(&mut self.connection).await?.contains(&part.name) {
            return Err(Error::Corrupt(format!("the backup has a table {} that the schema has not", part.name)));
        }
        let columns: Vec<_> = part.columns.iter().map(|column| quoted(column)).collect();
        let statement = format!("COPY {} ({}) FROM STDIN", quoted(&part.name), columns.join(", "));
        self.part = Some((part.name.clone(), statement));
        self.pending.clear();
        self.copied = 0;
        Ok(())
    }

    pub(super) async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.pending.extend_from_slice(bytes);
        if self.pending.len() >= SEND { self.send().await } else { Ok(()) }
    }

    /// Sends all whole lines that wait: each sending is a statement of its own within the transaction.
    async fn send(&mut self) -> Result<()> {
        let Some((_, statement)) = &self.part else {
            return Err(Error::Bug("rows came before their table".to_owned()));
        };
        let whole = self.pending.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
        if whole == 0 {
            return Ok(());
        }
        let mut copy: PgCopyIn<_> = self.connection.copy_in_raw(statement).await?;
        copy.send(&self.pending[..whole]).await?;
        self.copied += copy.finish().await?;
        self.pending.drain(..whole);
        Ok(())
    }

    pub(super) async fn end_part(&mut self, wanted: u64) -> Result<()> {
        self.send().await?;
        let (name, _) = self.part.take().unwrap_or_default();
        if !self.pending.is_empty() {
            return Err(Damage::Integrity(format!("{name} ends in the middle of a row")).into());
        }
        if self.copied != wanted {
            return Err(Damage::Rows { part: name, found: self.copied, wanted }.into());
        }
        Ok(())
    }

    pub(super) async fn finish(mut self, mark: &Mark) -> Result<()> {
        let connection = &mut self.connection;
        if !mark.knows(canary(connection, &mark.backup).await?.as_deref()) {
            return Err(Damage::Canary.into());
        }
        sqlx::query(NEW_EPOCHS).bind(mark.now.as_millis()).execute(&mut *connection).await?;
        let whole = sqlx::query(WHOLE).bind(mark.backup.clone()).bind(At(mark.now));
        whole.bind(signed(mark.bytes)).bind(signed(mark.rows)).execute(&mut *connection).await?;
        if mark.hold {
            sqlx::query(HOLD).bind(At(mark.now)).execute(&mut *connection).await?;
        }
        guard(connection, &self.guarded, "FORCE").await?;
        sqlx::raw_sql("COMMIT").execute(&mut *connection).await?;
        // Statements are planned by what is in the tables now. A plan of before would be slow, and nothing worse.
        if let Err(error) = sqlx::raw_sql("ANALYZE").execute(&mut *connection).await {
            tracing::warn!(%error, "the restored tables could not be analysed; autovacuum will do it");
        }
        let _ = self.connection.close().await;
        Ok(())
    }
}

async fn there(connection: &mut PgConnection) -> Result<Vec<String>> {
    let rows = sqlx::query(
        "SELECT c.relname::text AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE n.nspname = current_schema() AND c.relkind = 'r' AND c.relname <> 'schema_migration' ORDER BY c.relname",
    );
    let rows = rows.fetch_all(connection).await?;
    Ok(rows.iter().map(|row| row.try_get("name")).collect::<std::result::Result<_, _>>()?)
}

async fn guard(connection: &mut PgConnection, tables: &[String], how: &str) -> Result<()> {
    for table in tables {
        let statement = format!("ALTER TABLE {} {how} ROW LEVEL SECURITY", quoted(table));
        sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut *connection).await?;
    }
    Ok(())
}

async fn canary(connection: &mut PgConnection, backup: &str) -> Result<Option<String>> {
    let row = sqlx::query("SELECT canary FROM backup WHERE id = $1").bind(backup.to_owned());
    let row = row.fetch_optional(connection).await?;
    Ok(row.map(|row| row.try_get("canary")).transpose()?)
}

pub(super) async fn has_canary(url: &Secret, mark: &Mark) -> Result<bool> {
    let mut connection = options(url)?.connect().await?;
    let found = canary(&mut connection, &mark.backup).await;
    let _ = connection.close().await;
    Ok(mark.knows(found?.as_deref()))
}

pub(super) async fn make_database(url: &Secret, name: &str) -> Result<()> {
    let mut connection = options(url)?.connect().await?;
    let made = sqlx::raw_sql(AssertSqlSafe(format!("CREATE DATABASE {} TEMPLATE template0", quoted(name))));
    let made = made.execute(&mut connection).await;
    let _ = connection.close().await;
    made.map(drop).map_err(|error| match Error::from(error) {
        Error::Bug(cause) if cause.contains("permission denied") => Error::File(format!(
            "The login of database.url may not make databases ({cause}), so no scratch copy can be restored. Run ALTER ROLE ... \
             CREATEDB for it, or name an empty database with --to."
        )),
        error => error,
    })
}

pub(super) async fn databases(url: &Secret, beginning: &str) -> Result<Vec<String>> {
    let mut connection = options(url)?.connect().await?;
    let all = sqlx::query(
        "SELECT datname::text AS name FROM pg_database WHERE starts_with(datname::text, $1)
           AND pg_has_role(current_user, datdba, 'USAGE') ORDER BY datname LIMIT 100",
    );
    let rows = all.bind(beginning.to_owned()).fetch_all(&mut connection).await;
    let _ = connection.close().await;
    Ok(rows?.iter().map(|row| row.try_get("name")).collect::<std::result::Result<_, _>>()?)
}

pub(super) async fn drop_database(url: &Secret, name: &str) -> Result<()> {
    let mut connection = options(url)?.connect().await?;
    let dropped = sqlx::raw_sql(AssertSqlSafe(format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", quoted(name))));
    let dropped = dropped.execute(&mut connection).await;
    let _ = connection.close().await;
    dropped?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(name: &str) -> Part {
        Part { name: name.to_owned(), columns: Vec::new() }
    }

    fn of(names: &[&str], pointers: &[(&str, &str)]) -> Option<Vec<String>> {
        let pointers: Vec<_> = pointers.iter().map(|(one, other)| ((*one).to_owned(), (*other).to_owned())).collect();
        let order = ordered(names.iter().map(|name| part(name)).collect(), &pointers).ok()?;
        Some(order.into_iter().map(|part| part.name).collect())
    }

    #[test]
    fn tables_come_after_those_that_they_point_to() {
        let order = of(&["a", "b", "c"], &[("a", "b"), ("b", "c")]).expect("an order");
        assert_eq!(order, ["c", "b", "a"]);
        assert_eq!(of(&["a", "b"], &[("a", "b"), ("b", "a")]), None, "a circle has no first");
    }

    #[test]
    fn a_line_is_a_row() {
        assert_eq!(lines_in(b"a\tb\\nc\nd\te\n"), 2);
    }
}
