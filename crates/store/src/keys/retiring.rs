//! Retiring a key: only when no row and no kept backup needs it, and no process seals with it.

use mainstay_domain::{KeyState, KeyVersion, Timestamp};

use super::holders::holders;
use super::number;
use super::sealed::{SealedColumn, count_sealed};
use super::versions::list;
use crate::error::Result;
use crate::intent::Intent;
use crate::sql::statements;
use crate::tx::{Scope, Tx};
use crate::value::At;

statements! {
    /// Locks the row on PostgreSQL: a backup that registers itself at this moment waits.
    HOLD = both("UPDATE encryption_key SET retired_at = NULL WHERE version = $1 AND state IN ('added', 'retiring', 'lost')");
    USES = both("SELECT holder AS name FROM key_use WHERE version = $1 ORDER BY since, holder LIMIT 20");
    RETIRE = both("UPDATE encryption_key SET state = 'retired', retired_at = $2 WHERE version = $1");
}

/// Retires a key.
#[derive(Clone, Copy, Debug)]
pub struct RetireKey {
    /// The key.
    pub version: KeyVersion,
    /// A key that was replaced later than this may still be written with by whoever had not heard.
    pub replaced_before: Timestamp,
    /// Processes that were heard after this are there.
    pub heard_after: Timestamp,
    /// The present moment.
    pub now: Timestamp,
}

/// What became of a key that was to be retired.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Retired {
    /// Nothing needs it: it is retired.
    Now,
    /// It was retired before.
    Already,
    /// It seals: another must take its place first.
    Active,
    /// There is no such key.
    Unknown,
    /// It was replaced a moment ago: from this moment on it can be retired.
    TooEarly(Timestamp),
    /// This is sealed under it: the columns with how many rows each, at least.
    Rows(Vec<(SealedColumn, u32)>),
    /// These backups need it.
    Backups(Vec<String>),
    /// These processes still seal with it.
    Sealing(Vec<String>),
}

#[derive(sqlx::FromRow)]
struct NameRow {
    name: String,
}

impl Intent for RetireKey {
    type Output = Retired;
    const WRITES: bool = true;

    fn scope(&self) -> Scope {
        Scope::System
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Retired> {
        let held = tx.query(HOLD).bind(number(self.version)).run().await?;
        let key = list(tx).await?.into_iter().find(|key| key.version == self.version);
        let replaced_at = match key {
            None => return Ok(Retired::Unknown),
            Some(key) if key.state == KeyState::Active => return Ok(Retired::Active),
            Some(key) if key.state == KeyState::Retired || held == 0 => return Ok(Retired::Already),
            Some(key) => key.replaced_at,
        };
        if let Some(replaced_at) = replaced_at.filter(|at| *at > self.replaced_before) {
            return Ok(Retired::TooEarly(self.now.plus(replaced_at.since(self.replaced_before))));
        }
        let holders = holders(tx, self.heard_after).await?;
        let sealing = holders.into_iter().filter(|holder| holder.sealing == self.version);
        let sealing: Vec<_> = sealing.map(|holder| holder.holder).collect();
        if !sealing.is_empty() {
            return Ok(Retired::Sealing(sealing));
        }
        let mut rows = Vec::new();
        for column in SealedColumn::ALL {
            let count = count_sealed(tx, *column, self.version, 10_000).await?;
            if count > 0 {
                rows.push((*column, count));
            }
        }
        if !rows.is_empty() {
            return Ok(Retired::Rows(rows));
        }
        let uses: Vec<NameRow> = tx.query(USES).bind(number(self.version)).rows().await?;
        if !uses.is_empty() {
            return Ok(Retired::Backups(uses.into_iter().map(|row| row.name).collect()));
        }
        tx.query(RETIRE).bind(number(self.version)).bind(At(self.now)).run().await?;
        Ok(Retired::Now)
    }
}
