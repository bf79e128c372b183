//! What needs keys beside the rows: backups that are kept. Whoever makes one registers it before its first byte is read,
//! and releases it when it has been deleted; no key that it may need is retired in between.

use mainstay_domain::{KeyVersion, Timestamp};

use super::version;
use crate::error::Result;
use crate::intent::Intent;
use crate::sql::statements;
use crate::tx::{Scope, Tx};
use crate::value::At;

statements! {
    /// Every key that something may be sealed under now. The row of a key is locked by its foreign key on PostgreSQL.
    REGISTER = both("
        INSERT INTO key_use (holder, version, since)
        SELECT $1, version, $2 FROM encryption_key WHERE state IN ('active', 'retiring', 'lost')
        ON CONFLICT (holder, version) DO NOTHING");
    USED = both("SELECT version FROM key_use WHERE holder = $1 ORDER BY version LIMIT 1000");
    RELEASE = both("DELETE FROM key_use WHERE holder = $1");
    LIST = both("SELECT holder, version, since FROM key_use ORDER BY version, since, holder LIMIT 1000");
}

/// Registers a backup that is about to be made. The answer is the keys that it will need: whoever restores it must have them.
#[derive(Clone, Debug)]
pub struct RegisterKeyUse {
    /// What the backup is known by, for people too: `backup 2026-11-28T21:00:00Z`.
    pub holder: String,
    /// The present moment.
    pub now: Timestamp,
}

#[derive(sqlx::FromRow)]
struct VersionRow {
    version: i64,
}

impl Intent for RegisterKeyUse {
    type Output = Vec<KeyVersion>;
    const WRITES: bool = true;
    const REPEATABLE: bool = true;

    fn scope(&self) -> Scope {
        Scope::Global
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output> {
        tx.query(REGISTER).bind(self.holder.clone()).bind(At(self.now)).run().await?;
        let rows: Vec<VersionRow> = tx.query(USED).bind(self.holder.clone()).rows().await?;
        rows.into_iter().map(|row| version(row.version)).collect()
    }
}

/// A backup has been deleted: it needs no key any more. The answer is false when it was not known.
#[derive(Clone, Debug)]
pub struct ReleaseKeyUse(pub String);

impl Intent for ReleaseKeyUse {
    type Output = bool;
    const WRITES: bool = true;
    const REPEATABLE: bool = true;

    fn scope(&self) -> Scope {
        Scope::Global
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<bool> {
        Ok(tx.query(RELEASE).bind(self.0.clone()).run().await? > 0)
    }
}

/// A backup that needs a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyUse {
    /// What it is known by.
    pub holder: String,
    /// The key.
    pub version: KeyVersion,
    /// Since when.
    pub since: Timestamp,
}

#[derive(sqlx::FromRow)]
struct UseRow {
    holder: String,
    version: i64,
    since: At,
}

/// Lists what needs keys beside the rows, at most 1,000.
#[derive(Clone, Copy, Debug)]
pub struct ListKeyUses;

impl Intent for ListKeyUses {
    type Output = Vec<KeyUse>;
    const WRITES: bool = false;
    const ONE_STATEMENT: bool = true;

    fn scope(&self) -> Scope {
        Scope::Global
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output> {
        let rows: Vec<UseRow> = tx.query(LIST).rows().await?;
        let read = |row: UseRow| Ok(KeyUse { holder: row.holder, version: version(row.version)?, since: row.since.0 });
        rows.into_iter().map(read).collect()
    }
}
