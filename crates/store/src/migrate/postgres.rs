//! Migrating a PostgreSQL database.

use std::time::Duration;

use mainstay_domain::{Secret, Timestamp};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection, Row};
use tokio::time::{Instant, sleep};

use super::files::Migration;
use super::{Record, record, split};
use crate::engine::postgres::options;
use crate::error::{Error, Result};
use crate::value::At;

const CREATE: &str = record::create!("bigint", "text", "timestamptz", ")");

/// The advisory lock's key: the bytes of `mainstay`.
const LOCK_KEY: i64 = i64::from_be_bytes(*b"mainstay");
/// How often a lock that is held is asked for again.
const ASK_AGAIN: Duration = Duration::from_millis(100);
/// How long a statement of a migration waits for a lock on a table: longer would make every request behind it wait too.
const LOCK_TIMEOUT: &str = "SET LOCAL lock_timeout = '1s'";
/// How often a file is tried again after that.
const LOCK_TRIES: u32 = 10;

/// A connection of the owner.
pub(super) struct Engine {
    connection: PgConnection,
}

impl Engine {
    pub(super) async fn open(url: &Secret) -> Result<Self> {
        Ok(Self { connection: options(url)?.connect().await? })
    }

    /// Takes the lock of migrations, asking until `patience` has passed.
    pub(super) async fn lock(&mut self, patience: Duration) -> Result<()> {
        let due = Instant::now() + patience;
        loop {
            let row = sqlx::query("SELECT pg_try_advisory_lock($1) AS taken")
                .bind(LOCK_KEY)
                .fetch_one(&mut self.connection)
                .await?;
            if row.try_get("taken")? {
                return Ok(());
            }
            if Instant::now() + ASK_AGAIN > due {
                return Err(Error::Busy("another node is migrating"));
            }
            sleep(ASK_AGAIN).await;
        }
    }

    pub(super) async fn unlock(&mut self) {
        let unlocked = sqlx::query("SELECT pg_advisory_unlock($1)").bind(LOCK_KEY).execute(&mut self.connection).await;
        if let Err(error) = unlocked {
            // The server gives it back when the connection ends.
            tracing::debug!(%error, "the lock of migrations was not given back");
        }
    }

    async fn has_table(&mut self) -> Result<bool> {
        let row = sqlx::query("SELECT to_regclass('schema_migration') IS NOT NULL AS there")
            .fetch_one(&mut self.connection)
            .await?;
        Ok(row.try_get("there")?)
    }

    pub(super) async fn records(&mut self) -> Result<Vec<Record>> {
        if !self.has_table().await? {
            return Ok(Vec::new());
        }
        Ok(sqlx::query_as(record::ALL).fetch_all(&mut self.connection).await?)
    }

    pub(super) async fn apply(&mut self, file: &Migration, now: Timestamp) -> Result<Option<Duration>> {
        sqlx::query(CREATE).execute(&mut self.connection).await?;
        if !file.in_transaction() {
            return self.apply_stepwise(file, now).await.map(Some);
        }
        let mut tries = 0;
        loop {
            match self.apply_whole(file, now).await {
                Err(Error::Busy(_)) if tries < LOCK_TRIES => {
                    tries += 1;
                    sleep(ASK_AGAIN * tries).await;
                }
                other => return other.map(Some),
            }
        }
    }

    async fn apply_whole(&mut self, file: &Migration, now: Timestamp) -> Result<Duration> {
        let begun = Instant::now();
        let mut tx = self.connection.begin().await?;
        sqlx::query(LOCK_TIMEOUT).execute(&mut *tx).await?;
        sqlx::raw_sql(AssertSqlSafe(file.up.to_string())).execute(&mut *tx).await?;
        let took = begun.elapsed();
        record::done!(tx, file, now, took)?;
        tx.commit().await?;
        Ok(took)
    }

    /// Statement by statement, recording each, so that a crash is resumed after the last one that is done.
    async fn apply_stepwise(&mut self, file: &Migration, now: Timestamp) -> Result<Duration> {
        let begun = Instant::now();
        sqlx::query(
            "INSERT INTO schema_migration VALUES ($1, $2, 'sql', $3, 'running', 0, $4, 0) ON CONFLICT (version) DO NOTHING",
        )
        .bind(file.version)
        .bind(file.description)
        .bind(file.checksum())
        .bind(At(now))
        .execute(&mut self.connection)
        .await?;
        let row = sqlx::query("SELECT progress FROM schema_migration WHERE version = $1").bind(file.version);
        let progress: i64 = row.fetch_one(&mut self.connection).await?.try_get("progress")?;
        let skip = usize::try_from(progress).unwrap_or(0);
        for (done, statement) in split::statements(&file.up).into_iter().enumerate().skip(skip) {
            sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut self.connection).await?;
            sqlx::query("UPDATE schema_migration SET progress = $2 WHERE version = $1")
                .bind(file.version)
                .bind(i64::try_from(done + 1).unwrap_or(i64::MAX))
                .execute(&mut self.connection)
                .await?;
        }
        let took = begun.elapsed();
        sqlx::query("UPDATE schema_migration SET state = 'done', took_ms = $2 WHERE version = $1")
            .bind(file.version)
            .bind(i64::try_from(took.as_millis()).unwrap_or(i64::MAX))
            .execute(&mut self.connection)
            .await?;
        Ok(took)
    }

    pub(super) async fn undo(&mut self, file: &Migration) -> Result<Duration> {
        let begun = Instant::now();
        let mut tx = self.connection.begin().await?;
        sqlx::query(LOCK_TIMEOUT).execute(&mut *tx).await?;
        record::undo!(tx, file)?;
        tx.commit().await?;
        Ok(begun.elapsed())
    }

    /// Runs the files in a transaction that is rolled back, and times them. What follows a file that cannot run in a
    /// transaction is not rehearsed.
    pub(super) async fn rehearse(&mut self, files: &[Migration]) -> Result<Vec<Option<Duration>>> {
        let mut times = Vec::with_capacity(files.len());
        let mut tx = self.connection.begin().await?;
        sqlx::query(LOCK_TIMEOUT).execute(&mut *tx).await?;
        for file in files {
            if !file.in_transaction() {
                break;
            }
            let begun = Instant::now();
            sqlx::raw_sql(AssertSqlSafe(file.up.to_string())).execute(&mut *tx).await?;
            times.push(Some(begun.elapsed()));
        }
        tx.rollback().await?;
        times.resize(files.len(), None);
        Ok(times)
    }

    pub(super) async fn schema(&mut self) -> Result<String> {
        let rows = sqlx::query(SCHEMA).fetch_all(&mut self.connection).await?;
        let lines: std::result::Result<Vec<String>, _> = rows.iter().map(|row| row.try_get("line")).collect();
        Ok(lines?.join("\n"))
    }
}

/// Columns, indexes, constraints, policies and rights of the schema, one a line.
const SCHEMA: &str = "
SELECT line FROM (
  SELECT 'column ' || table_name || '.' || column_name || ' ' || data_type || ' ' || is_nullable || ' ' || coalesce(column_default, '') AS line
  FROM information_schema.columns WHERE table_schema = current_schema()
  UNION ALL SELECT 'index ' || indexdef FROM pg_indexes WHERE schemaname = current_schema()
  UNION ALL SELECT 'constraint ' || c.conrelid::regclass || ' ' || c.conname || ' ' || pg_get_constraintdef(c.oid)
  FROM pg_constraint c JOIN pg_namespace n ON n.oid = c.connamespace WHERE n.nspname = current_schema() AND c.conrelid <> 0
  UNION ALL SELECT 'policy ' || tablename || ' ' || policyname || ' ' || roles::text || ' ' || cmd || ' ' || coalesce(qual, '')
  FROM pg_policies WHERE schemaname = current_schema()
  UNION ALL SELECT 'security ' || c.relname || ' ' || c.relrowsecurity || ' ' || c.relforcerowsecurity
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = current_schema() AND c.relkind = 'r'
  UNION ALL SELECT 'right ' || table_name || ' ' || grantee || ' ' || privilege_type
  FROM information_schema.role_table_grants WHERE table_schema = current_schema()
  UNION ALL SELECT 'column right ' || table_name || '.' || column_name || ' ' || grantee || ' ' || privilege_type
  FROM information_schema.column_privileges WHERE table_schema = current_schema()
) AS lines WHERE line NOT LIKE '%schema_migration%' ORDER BY line";
