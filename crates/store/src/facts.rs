//! What is so in the database, for whoever audits it: settings, integrity, who may see which rows, what waits.

use std::collections::BTreeMap;

use crate::error::Result;
use crate::intent::Intent;
use crate::sql::statements;
use crate::tables::{TABLES, TableKind};
use crate::tx::{Scope, Tx};
use crate::value::{At, count};

statements! {
    SETTINGS = pair(sqlite "
        SELECT 'journal_mode' AS name, cast(journal_mode AS text) AS value FROM pragma_journal_mode
        UNION ALL SELECT 'synchronous', cast(synchronous AS text) FROM pragma_synchronous
        UNION ALL SELECT 'foreign_keys', cast(foreign_keys AS text) FROM pragma_foreign_keys",
        postgres "
        SELECT name, setting AS value FROM pg_settings WHERE name IN ('fsync', 'full_page_writes', 'synchronous_commit',
          'data_checksums', 'archive_mode', 'autovacuum', 'server_version', 'wal_level', 'max_connections')",
        differs "each engine has its own settings");
    FAULTS = pair(sqlite "SELECT quick_check AS fault FROM pragma_quick_check WHERE quick_check <> 'ok' LIMIT 20",
        postgres "
        SELECT 'the index ' || c.relname || ' is not valid' AS fault FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
        JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = current_schema() AND NOT (i.indisvalid AND i.indisready)
        ORDER BY c.relname LIMIT 20",
        differs "SQLite reads its pages; PostgreSQL knows which of its indexes are not whole");
    GUARDS = pair(sqlite "SELECT name AS name, 0 AS guarded FROM sqlite_schema WHERE 1 = 0",
        postgres "
        SELECT c.relname::text AS name, (CASE WHEN c.relrowsecurity AND c.relforcerowsecurity
          AND EXISTS (SELECT 1 FROM pg_policy p WHERE p.polrelid = c.oid AND p.polname <> 'backup') THEN 1 ELSE 0 END)::bigint AS guarded
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname = current_schema() AND c.relkind = 'r'",
        differs "SQLite has no row-level security: one process owns the file");
    ARCHIVE = pair(sqlite "SELECT 0 AS archived, 0 AS failed, 0 AS standbys WHERE 1 = 0",
        postgres "
        SELECT a.archived_count AS archived, a.failed_count AS failed,
          (SELECT count(*) FROM pg_stat_replication r WHERE r.state = 'streaming') AS standbys FROM pg_stat_archiver a",
        differs "SQLite has neither");
    OPERATORS = both("
        SELECT count(*) AS count FROM (
          SELECT id FROM person WHERE operator_since IS NOT NULL AND id > $1 AND disabled_at IS NULL ORDER BY id LIMIT 1000) w");
    OLDEST_EVENT = both("SELECT min(received_at) AS at FROM inbox_event");
    OLDEST_ENDED = both("SELECT min(keep_until) AS at FROM job WHERE finished_at IS NOT NULL");
}

#[derive(sqlx::FromRow)]
struct SettingRow {
    name: String,
    value: String,
}

#[derive(sqlx::FromRow)]
struct FaultRow {
    fault: String,
}

#[derive(sqlx::FromRow)]
struct GuardRow {
    name: String,
    guarded: i64,
}

#[derive(sqlx::FromRow)]
struct ArchiveRow {
    archived: i64,
    failed: i64,
    standbys: i64,
}

#[derive(sqlx::FromRow)]
struct CountRow {
    count: i64,
}

#[derive(sqlx::FromRow)]
struct MomentRow {
    at: Option<At>,
}

/// Reads what the database keeps its promises by: on SQLite the settings of the writer's connection, on PostgreSQL those of the
/// server.
#[derive(Clone, Copy, Debug)]
pub struct ReadSettings;

impl Intent for ReadSettings {
    /// The settings by name.
    type Output = BTreeMap<String, String>;
    // It changes nothing; but it is the writer whose settings matter.
    const WRITES: bool = true;
    const REPEATABLE: bool = true;

    fn scope(&self) -> Scope {
        Scope::Global
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output> {
        let rows: Vec<SettingRow> = tx.query(SETTINGS).rows().await?;
        Ok(rows.into_iter().map(|row| (row.name, row.value)).collect())
    }
}

/// Looks for what is broken in the database itself: on SQLite every page is read, on PostgreSQL the state of the indexes.
#[derive(Clone, Copy, Debug)]
pub struct FindFaults;

impl Intent for FindFaults {
    /// What was found, 20 of it at most.
    type Output = Vec<String>;
    const WRITES: bool = false;
    const ONE_STATEMENT: bool = true;

    fn scope(&self) -> Scope {
        Scope::Global
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output> {
        let rows: Vec<FaultRow> = tx.query(FAULTS).rows().await?;
        Ok(rows.into_iter().map(|row| row.fault).collect())
    }
}

/// Looks whether row-level security guards every table whose rows belong to organisations.
#[derive(Clone, Copy, Debug)]
pub struct FindUnguarded;

impl Intent for FindUnguarded {
    /// The tables without; nothing on SQLite, which has no such thing.
    type Output = Option<Vec<String>>;
    const WRITES: bool = false;
    const ONE_STATEMENT: bool = true;

    fn scope(&self) -> Scope {
        Scope::Global
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output> {
        let rows: Vec<GuardRow> = tx.query(GUARDS).rows().await?;
        if rows.is_empty() {
            return Ok(None);
        }
        let guarded: BTreeMap<_, _> = rows.into_iter().map(|row| (row.name, row.guarded == 1)).collect();
        let of_tenants = TABLES.iter().filter(|table| table.kind == TableKind::Tenant);
        let unguarded = of_tenants.filter(|table| guarded.get(table.name) != Some(&true));
        Ok(Some(unguarded.map(|table| table.name.to_owned()).collect()))
    }
}

/// Where the log of PostgreSQL goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Archive {
    /// Segments that were archived since the figures were reset.
    pub archived: u32,
    /// Attempts that failed.
    pub failed: u32,
    /// Standbys that follow at this moment, as far as the role may see them.
    pub standbys: u32,
}

/// Reads where the log of PostgreSQL goes; nothing on SQLite.
#[derive(Clone, Copy, Debug)]
pub struct ReadArchive;

impl Intent for ReadArchive {
    type Output = Option<Archive>;
    const WRITES: bool = false;
    const ONE_STATEMENT: bool = true;

    fn scope(&self) -> Scope {
        Scope::Global
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output> {
        let row: Option<ArchiveRow> = tx.query(ARCHIVE).row().await?;
        Ok(row.map(|row| Archive {
            archived: count(row.archived),
            failed: count(row.failed),
            standbys: count(row.standbys),
        }))
    }
}

/// Counts the operators of the installation who may sign in, up to 1,000.
#[derive(Clone, Copy, Debug)]
pub struct CountOperators;

impl Intent for CountOperators {
    type Output = u32;
    const WRITES: bool = false;
    const ONE_STATEMENT: bool = true;

    fn scope(&self) -> Scope {
        Scope::Global
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<u32> {
        let row: Option<CountRow> = tx.query(OPERATORS).bind(uuid::Uuid::nil()).row().await?;
        Ok(row.map_or(0, |row| count(row.count)))
    }
}

/// Reads how old the oldest is of what is swept.
#[derive(Clone, Copy, Debug)]
pub struct ReadLeftovers;

/// The oldest of what is swept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Leftovers {
    /// When the oldest event of the inbox arrived.
    pub event: Option<mainstay_domain::Timestamp>,
    /// Until when the job was to be kept that should have gone first.
    pub job: Option<mainstay_domain::Timestamp>,
}

impl Intent for ReadLeftovers {
    type Output = Leftovers;
    const WRITES: bool = false;

    fn scope(&self) -> Scope {
        Scope::System
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Leftovers> {
        let event: Option<MomentRow> = tx.query(OLDEST_EVENT).row().await?;
        let job: Option<MomentRow> = tx.query(OLDEST_ENDED).row().await?;
        let at = |row: Option<MomentRow>| row.and_then(|row| row.at).map(|at| at.0);
        Ok(Leftovers { event: at(event), job: at(job) })
    }
}
