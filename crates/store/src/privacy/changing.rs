//! How rows are changed by the login that owns them, whosesoever they are.

use std::collections::BTreeSet;
use std::time::Duration;

use mainstay_domain::Secret;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, PgConnection, Row as _, SqliteConnection};
use tokio::time::{Instant, sleep};

use super::rules::Blank;
use crate::engine::postgres::{self, quoted};
use crate::engine::sqlite;
use crate::error::{Error, Result};
use crate::store::Options;

/// How long a statement may wait for others, in milliseconds.
const PATIENCE_MILLIS: u64 = 10_000;
/// How long it is waited for transactions that had begun before. Theirs are bounded by shorter ones.
const LONGEST_TRANSACTION: Duration = Duration::from_secs(120);
/// How often it is looked whether they have ended.
const LOOK: Duration = Duration::from_millis(50);
/// The largest file that is written anew beside a server, in bytes: its writers wait for that long, a second or so.
const LARGEST_BESIDE: u64 = 128 * 1024 * 1024;
/// How often it is tried to empty the log of a file that others read.
const TRIES: u32 = 20;
const BETWEEN_TRIES: Duration = Duration::from_millis(200);

/// What takes the place of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum New {
    /// Instead of this text, if it is still the one.
    Text { old: String, new: Option<String> },
    /// Instead of bytes.
    Bytes(Blank),
}

/// What came of changing a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Done,
    /// It had changed since it was read, or is gone.
    Missed,
    /// Another one would be the same.
    Clash,
}

/// A connection that may change all rows.
pub(super) enum Owner {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

impl Owner {
    pub(super) async fn open(options: &Options) -> Result<Self> {
        match options.sqlite_path() {
            Some(path) => {
                let all = sqlite::options(&path).create_if_missing(false);
                // What is taken away is overwritten, also in pages that nothing is left in.
                let all = all.busy_timeout(Duration::from_millis(PATIENCE_MILLIS)).pragma("secure_delete", "ON");
                Ok(Self::Sqlite(all.connect().await?))
            }
            None => {
                let mut connection = owner(&options.url).await?;
                let text = format!(
                    "SET app.erasing = 'on'; SET statement_timeout = {PATIENCE_MILLIS}; SET lock_timeout = {PATIENCE_MILLIS}"
                );
                sqlx::raw_sql(AssertSqlSafe(text)).execute(&mut connection).await?;
                Ok(Self::Postgres(connection))
            }
        }
    }

    /// Puts new values in the place of the old ones.
    pub(super) async fn update(&mut self, table: &str, key: &str, columns: &[(&str, New)]) -> Result<Change> {
        let (mut sets, mut same, mut texts) = (Vec::new(), Vec::new(), Vec::new());
        let no_bytes = if matches!(self, Self::Sqlite(_)) { "x''" } else { "''::bytea" };
        for (column, new) in columns {
            let own = quoted(column);
            match new {
                New::Text { old, new } => {
                    texts.push(new.clone());
                    sets.push(format!("{own} = ${}", texts.len()));
                    texts.push(Some(old.clone()));
                    same.push(format!(" AND {own} = ${}", texts.len()));
                }
                New::Bytes(Blank::Null) => sets.push(format!("{own} = NULL")),
                New::Bytes(_) => sets.push(format!("{own} = {no_bytes}")),
            }
        }
        let text = format!("UPDATE {} SET {} WHERE {key}{}", quoted(table), sets.join(", "), same.concat());
        self.run(text, &texts).await
    }

    pub(super) async fn delete(&mut self, table: &str, key: &str) -> Result<Change> {
        self.run(format!("DELETE FROM {} WHERE {key}", quoted(table)), &[]).await
    }

    /// Each statement by itself: it holds no lock that somebody else could wait for with another in hand.
    async fn run(&mut self, text: String, texts: &[Option<String>]) -> Result<Change> {
        macro_rules! run {
            ($connection:expr) => {{
                let mut query = sqlx::query(AssertSqlSafe(text)).persistent(false);
                for one in texts {
                    query = query.bind(one.clone());
                }
                query.execute($connection).await.map(|done| done.rows_affected())
            }};
        }
        let done = match self {
            Self::Sqlite(connection) => run!(&mut *connection),
            Self::Postgres(connection) => run!(&mut *connection),
        };
        match done {
            Ok(1) => Ok(Change::Done),
            Ok(_) => Ok(Change::Missed),
            Err(error) if error.as_database_error().is_some_and(|fault| fault.is_unique_violation()) => {
                Ok(Change::Clash)
            }
            Err(error) => Err(error.into()),
        }
    }

    pub(super) async fn close(self) {
        match self {
            Self::Sqlite(connection) => sqlite::close(connection).await,
            // All that it did is committed.
            Self::Postgres(connection) => drop(connection.close().await),
        }
    }
}

async fn owner(url: &Secret) -> Result<PgConnection> {
    Ok(postgres::options(url)?.connect().await?)
}

/// Waits until every transaction has ended that was open at this moment and may have seen what was before it. In a file one
/// writes after the other, so there is none.
///
/// # Errors
/// When the database cannot be reached; when one has not ended after two minutes.
pub async fn writers_have_ended(options: &Options) -> Result<()> {
    if options.sqlite_path().is_some() {
        return Ok(());
    }
    let mut connection = owner(&options.url).await?;
    let mut before = open_transactions(&mut connection).await?;
    let patience = Instant::now() + LONGEST_TRANSACTION;
    while !before.is_empty() {
        if Instant::now() > patience {
            return Err(Error::Busy("a transaction that began before has not ended"));
        }
        sleep(LOOK).await;
        let open = open_transactions(&mut connection).await?;
        before.retain(|one| open.contains(one));
    }
    drop(connection.close().await);
    Ok(())
}

/// The transactions of others on this database, each by a name that no later one has.
async fn open_transactions(connection: &mut PgConnection) -> Result<BTreeSet<String>> {
    let rows = sqlx::query(
        "SELECT l.virtualxid AS name FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
         WHERE l.locktype = 'virtualxid' AND l.granted AND l.pid <> pg_backend_pid() AND a.datname = current_database()",
    );
    let rows = rows.fetch_all(connection).await?;
    rows.iter().map(|row| Ok(row.try_get("name")?)).collect()
}

/// Overwrites what was taken out of these tables, and what is known of their contents for planning. A file is written anew,
/// since pages that were divided or freed long ago keep what stood in them; one that is large only when that is wanted, since
/// nobody writes meanwhile. Whether nothing of it is left: the log of a file can only be emptied while nobody reads.
///
/// # Errors
/// When the database cannot be reached or refuses.
pub async fn leave_no_trace(options: &Options, tables: &BTreeSet<&'static str>, however_large: bool) -> Result<bool> {
    match options.sqlite_path() {
        Some(path) => {
            let options = sqlite::options(&path).create_if_missing(false);
            let mut connection = options.clone().connect().await?;
            let is_small = std::fs::metadata(&path).is_ok_and(|file| file.len() <= LARGEST_BESIDE);
            let is_new = is_small || however_large;
            if is_new {
                sqlx::raw_sql("VACUUM").execute(&mut connection).await?;
            }
            sqlite::close(connection).await;
            // It holds the writers' lock while it waits for readers, so it waits for none.
            let mut connection = options.busy_timeout(Duration::ZERO).connect().await?;
            let mut is_empty = false;
            for _ in 0..TRIES {
                let log = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").fetch_one(&mut connection).await?;
                is_empty = log.try_get::<i64, _>(0)? == 0;
                if is_empty {
                    break;
                }
                sleep(BETWEEN_TRIES).await;
            }
            sqlite::close(connection).await;
            Ok(is_new && is_empty)
        }
        None => {
            let mut connection = owner(&options.url).await?;
            for table in tables {
                let text = format!("VACUUM (ANALYZE) {}", quoted(table));
                sqlx::raw_sql(AssertSqlSafe(text)).execute(&mut connection).await?;
            }
            drop(connection.close().await);
            Ok(true)
        }
    }
}
