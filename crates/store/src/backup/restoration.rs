//! Writing a copy into an empty database: all of it or nothing.

use mainstay_domain::Timestamp;

use super::snapshot::Part;
use super::{Applied, Damage, postgres, sqlite};
use crate::error::{Error, Result};
use crate::migrate::{Migrator, digest};
use crate::store::Options;

/// Cursors of before point into another history: whoever holds one reads anew.
pub(super) const NEW_EPOCHS: &str = "UPDATE stream SET epoch = $1 WHERE epoch < $1";
/// What was being made when the copy was, has become this copy.
pub(super) const WHOLE: &str =
    "UPDATE backup SET state = 'complete', ended_at = $2, bytes = $3, rows = $4 WHERE id = $1 AND state = 'running'";
/// Jobs that were done since would be done once more: somebody looks first.
pub(super) const HOLD: &str = "UPDATE job_queue SET paused_at = $1 WHERE paused_at IS NULL";

/// What a copy must turn out to be.
#[derive(Clone, Debug)]
pub struct Mark {
    /// The name of the backup.
    pub backup: String,
    /// The digest of its canary (SHA-256, hexadecimal).
    pub canary_digest: String,
    /// How many rows were read, in all.
    pub rows: u64,
    /// Its size as stored, in bytes.
    pub bytes: u64,
    /// The present moment.
    pub now: Timestamp,
    /// Whether all queues of jobs are paused in the copy.
    pub hold: bool,
}

impl Mark {
    /// The digest that stands for a canary.
    #[must_use]
    pub fn digest_of(canary: &str) -> String {
        digest(canary)
    }

    /// Whether this is its canary.
    pub(super) fn knows(&self, canary: Option<&str>) -> bool {
        canary.is_some_and(|canary| Self::digest_of(canary) == self.canary_digest)
    }
}

enum Engine {
    Sqlite(Box<sqlite::Writing>),
    Postgres(Box<postgres::Writing>),
}

/// An empty database that a copy is being written into. Dropped before it is finished, it leaves nothing of the copy.
pub struct Restoration {
    engine: Engine,
}

impl std::fmt::Debug for Restoration {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Restoration")
    }
}

impl Restoration {
    /// Begins. On SQLite the copy grows beside the file and takes its place at the end; on PostgreSQL the tables are made, and
    /// filled in one transaction.
    ///
    /// # Errors
    /// When the copy is of another engine or a newer schema, or the target is not empty (PostgreSQL).
    pub async fn begin(target: &Options, engine: &str, schema: &[Applied], now: Timestamp) -> Result<Self> {
        let here = if target.sqlite_path().is_some() { "sqlite" } else { "postgresql" };
        if engine != here {
            return Err(Damage::Engine(engine.to_owned(), here).into());
        }
        Migrator::knows(target, schema)?;
        let engine = match target.sqlite_path() {
            Some(path) => Engine::Sqlite(Box::new(sqlite::Writing::begin(path).await?)),
            None => {
                let last = schema.iter().map(|applied| applied.version).max().unwrap_or(0);
                postgres::refuse_what_is_not_empty(&target.url).await?;
                Migrator::open(target).await?.up_to(last, now).await?;
                Engine::Postgres(Box::new(postgres::Writing::begin(&target.url).await?))
            }
        };
        Ok(Self { engine })
    }

    /// Begins a part.
    ///
    /// # Errors
    /// When the target has no such table.
    pub async fn part(&mut self, part: &Part) -> Result<()> {
        match &mut self.engine {
            Engine::Sqlite(_) if part.name == sqlite::PART => Ok(()),
            Engine::Sqlite(_) => Err(Error::Corrupt(format!("a copy of SQLite has no part {}", part.name))),
            Engine::Postgres(writing) => writing.part(part).await,
        }
    }

    /// Writes the next bytes of the part.
    ///
    /// # Errors
    /// When they cannot be written.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        match &mut self.engine {
            Engine::Sqlite(writing) => writing.write(bytes).await,
            Engine::Postgres(writing) => writing.write(bytes).await,
        }
    }

    /// Ends the part, which must have so many rows (PostgreSQL; a file is counted at the end).
    ///
    /// # Errors
    /// When it has another number.
    pub async fn end_part(&mut self, rows: u64) -> Result<()> {
        match &mut self.engine {
            Engine::Sqlite(_) => Ok(()),
            Engine::Postgres(writing) => writing.end_part(rows).await,
        }
    }

    /// Looks whether the whole is what was read, and makes it the database.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when it is not; then nothing is left of it.
    pub async fn finish(self, mark: &Mark) -> Result<()> {
        match self.engine {
            Engine::Sqlite(writing) => writing.finish(mark).await,
            Engine::Postgres(writing) => writing.finish(mark).await,
        }
    }

    /// Looks whether a database that a copy was restored into has its canary.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn has_canary(target: &Options, mark: &Mark) -> Result<bool> {
        match target.sqlite_path() {
            Some(path) => sqlite::has_canary(&path, mark).await,
            None => postgres::has_canary(&target.url, mark).await,
        }
    }

    /// Makes an empty database on the server of another, for a copy that is thrown away, and gives its name (PostgreSQL).
    ///
    /// # Errors
    /// When the login may not make databases.
    pub async fn make_scratch(server: &Options, name: &str) -> Result<()> {
        postgres::make_database(&server.url, name).await
    }

    /// The databases on a server whose names begin so, at most 100; none on SQLite.
    ///
    /// # Errors
    /// When the server does not tell.
    pub async fn scratches(server: &Options, beginning: &str) -> Result<Vec<String>> {
        if server.sqlite_path().is_some() { Ok(Vec::new()) } else { postgres::databases(&server.url, beginning).await }
    }

    /// Drops such a database.
    ///
    /// # Errors
    /// When the server does not do it.
    pub async fn drop_scratch(server: &Options, name: &str) -> Result<()> {
        postgres::drop_database(&server.url, name).await
    }
}
