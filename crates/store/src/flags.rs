//! What an operator says about flags, and the one reading of all definitions that a node keeps in memory. A counter tells
//! nodes that something was written: they look at it twice a second ([`crate::WatchNodes`]).

use mainstay_domain::{Flag, FlagKey, Timestamp};

use crate::error::Result;
use crate::experiments::{self, StoredExperiment};
use crate::intent::Intent;
use crate::sql::{Sql, statements};
use crate::tx::{Scope, Tx};
use crate::value::{At, Number, json};

statements! {
    /// First in each transaction that changes a definition: its row lock lets one after the other do so.
    CHANGED = both("
        INSERT INTO counter (name, value) VALUES ('flags', 1) ON CONFLICT (name) DO UPDATE SET value = counter.value + 1");
    VERSION = both("SELECT value AS number FROM counter WHERE name = 'flags'");
    FLAGS = both("SELECT key, definition, killed_at, updated_at FROM flag ORDER BY key LIMIT 1000");
    OTHERS = both("SELECT count(*) AS number FROM flag WHERE key <> $1");
    PUT = both("
        INSERT INTO flag (key, definition, updated_at) VALUES ($1, $2, $3)
        ON CONFLICT (key) DO UPDATE SET definition = excluded.definition, updated_at = excluded.updated_at");
    KILL = both("UPDATE flag SET killed_at = $2, updated_at = $3 WHERE key = $1");
    REMOVE = both("DELETE FROM flag WHERE key = $1");
}

/// The most flags of an installation: all of them are evaluated for a client that asks.
pub const MOST_FLAGS: i64 = 500;

/// What writing a definition came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    /// It is stored.
    Done,
    /// There are as many as there may be.
    TooMany,
    /// An experiment that has been started is not changed any more.
    NotDraft,
}

/// A flag as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredFlag {
    /// What it is asked for by.
    pub key: FlagKey,
    /// For whom it is on.
    pub flag: Flag,
    /// True when it was switched off for everybody, whatever it says.
    pub killed: bool,
    /// When it was changed last.
    pub updated_at: Timestamp,
}

/// All flags and experiments.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Definitions {
    /// How often they were changed so far.
    pub version: i64,
    /// The flags, by key.
    pub flags: Vec<StoredFlag>,
    /// The experiments, by key.
    pub experiments: Vec<StoredExperiment>,
}

#[derive(sqlx::FromRow)]
struct FlagRow {
    key: String,
    definition: String,
    killed_at: Option<At>,
    updated_at: At,
}

impl FlagRow {
    /// Nothing when this program cannot read it: it must not keep the others from being read.
    fn read(self) -> Option<StoredFlag> {
        let Self { key, definition, killed_at, updated_at } = self;
        let flag = serde_json::from_str(&definition).map_err(|error| {
            tracing::error!(key, %error, "a flag cannot be read, and is off; was it written by a newer program?");
        });
        let key = FlagKey::parse(&key).ok()?;
        Some(StoredFlag { key, flag: flag.ok()?, killed: killed_at.is_some(), updated_at: updated_at.0 })
    }
}

/// Counts a change of definitions, and lets nobody else make one until the end.
pub(crate) async fn changed(tx: &mut Tx<'_>) -> Result<()> {
    tx.query(CHANGED).run().await?;
    Ok(())
}

/// Whether there are as many as there may be beside the one of this key; `others` counts those.
pub(crate) async fn is_full(tx: &mut Tx<'_>, others: Sql, key: &FlagKey, most: i64) -> Result<bool> {
    let others: Option<Number> = tx.query(others).bind(key.as_str().to_owned()).row().await?;
    Ok(others.is_some_and(|row| row.number >= most))
}

/// Reads all definitions.
#[derive(Clone, Copy, Debug)]
pub struct LoadDefinitions;

impl Intent for LoadDefinitions {
    type Output = Definitions;
    const WRITES: bool = false;
    const SNAPSHOT: bool = true;

    fn scope(&self) -> Scope {
        Scope::Global
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Definitions> {
        let version: Option<Number> = tx.query(VERSION).row().await?;
        let flags: Vec<FlagRow> = tx.query(FLAGS).rows().await?;
        let experiments = experiments::all(tx).await?;
        let version = version.map_or(0, |row| row.number);
        Ok(Definitions { version, flags: flags.into_iter().filter_map(FlagRow::read).collect(), experiments })
    }
}

/// Stores a flag, in place of one with the same key. Whether it is killed stays.
#[derive(Clone, Debug)]
pub struct PutFlag {
    /// What it is asked for by.
    pub key: FlagKey,
    /// For whom it is on.
    pub flag: Flag,
    /// The present moment.
    pub now: Timestamp,
}

impl Intent for PutFlag {
    type Output = Put;
    const WRITES: bool = true;
    const REPEATABLE: bool = true;

    fn scope(&self) -> Scope {
        Scope::Global
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Put> {
        changed(tx).await?;
        if is_full(tx, OTHERS, &self.key, MOST_FLAGS).await? {
            return Ok(Put::TooMany);
        }
        let definition = json(&self.flag)?;
        tx.query(PUT).bind(self.key.as_str().to_owned()).bind(definition).bind(At(self.now)).run().await?;
        Ok(Put::Done)
    }
}

/// Switches a flag off for everybody, whatever it says, or ends that. False when there is no such flag.
#[derive(Clone, Debug)]
pub struct KillFlag {
    /// Which one.
    pub key: FlagKey,
    /// True to kill it.
    pub killed: bool,
    /// The present moment.
    pub now: Timestamp,
}

impl Intent for KillFlag {
    type Output = bool;
    const WRITES: bool = true;
    const REPEATABLE: bool = true;

    fn scope(&self) -> Scope {
        Scope::Global
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<bool> {
        changed(tx).await?;
        let killed_at = self.killed.then_some(At(self.now));
        let done = tx.query(KILL).bind(self.key.as_str().to_owned()).bind(killed_at).bind(At(self.now)).run().await?;
        Ok(done > 0)
    }
}

/// Removes a flag; false when there is none. Who asks for it gets "off".
#[derive(Clone, Debug)]
pub struct RemoveFlag(pub FlagKey);

impl Intent for RemoveFlag {
    type Output = bool;
    const WRITES: bool = true;

    fn scope(&self) -> Scope {
        Scope::Global
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<bool> {
        changed(tx).await?;
        Ok(tx.query(REMOVE).bind(self.0.as_str().to_owned()).run().await? > 0)
    }
}
