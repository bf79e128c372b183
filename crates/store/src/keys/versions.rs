//! Which keys there are, and which of them seals.

use mainstay_domain::{JobPriority, KeyState, KeyVersion, Timestamp};
use uuid::Uuid;

use super::{number, version};
use crate::error::{Error, Result};
use crate::intent::Intent;
use crate::jobs::enqueue::enqueue;
use crate::jobs::{NO_GROUP, NewJob, Unique};
use crate::members::word;
use crate::sql::statements;
use crate::tx::{Scope, Tx};
use crate::value::{At, moment};

statements! {
    LIST = both("
        SELECT version, state, check_value, created_at, activated_at, replaced_at, retired_at FROM encryption_key
        ORDER BY version LIMIT 1000");
    MAKE_KNOWN = both("
        INSERT INTO encryption_key (version, state, check_value, created_at) VALUES ($1, 'added', $2, $3)
        ON CONFLICT (version) DO NOTHING");
    CHECK = both("SELECT check_value AS stored FROM encryption_key WHERE version = $1");
    REPLACE = both("UPDATE encryption_key SET state = 'retiring', replaced_at = $2 WHERE state = 'active' AND version <> $1");
    ACTIVATE = both("
        UPDATE encryption_key SET state = 'active', activated_at = $2, replaced_at = NULL
        WHERE version = $1 AND state IN ('added', 'retiring')");
    LOSE = both("UPDATE encryption_key SET state = 'lost' WHERE version = $1 AND state IN ('added', 'retiring', 'active')");
}

/// A key as the database knows it: not the key itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredKey {
    /// Its number.
    pub version: KeyVersion,
    /// Where it is in its life.
    pub state: KeyState,
    /// What follows from the key: another one under this number has another.
    pub check: String,
    /// Since when it is known.
    pub created_at: Timestamp,
    /// When it last began to seal.
    pub activated_at: Option<Timestamp>,
    /// When another took its place.
    pub replaced_at: Option<Timestamp>,
    /// When nothing needed it any more.
    pub retired_at: Option<Timestamp>,
}

#[derive(sqlx::FromRow)]
struct KeyRow {
    version: i64,
    state: String,
    check_value: String,
    created_at: At,
    activated_at: Option<At>,
    replaced_at: Option<At>,
    retired_at: Option<At>,
}

impl TryFrom<KeyRow> for StoredKey {
    type Error = Error;
    fn try_from(row: KeyRow) -> Result<Self> {
        Ok(Self {
            version: version(row.version)?,
            state: word(&row.state)?,
            check: row.check_value,
            created_at: row.created_at.0,
            activated_at: moment(row.activated_at),
            replaced_at: moment(row.replaced_at),
            retired_at: moment(row.retired_at),
        })
    }
}

/// Lists all keys that were ever known, the oldest first.
#[derive(Clone, Copy, Debug)]
pub struct ListKeys;

impl Intent for ListKeys {
    type Output = Vec<StoredKey>;
    const WRITES: bool = false;
    const ONE_STATEMENT: bool = true;

    fn scope(&self) -> Scope {
        Scope::Global
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output> {
        list(tx).await
    }
}

/// All keys, the oldest first.
pub(super) async fn list(tx: &mut Tx<'_>) -> Result<Vec<StoredKey>> {
    tx.query(LIST).rows::<KeyRow>().await?.into_iter().map(StoredKey::try_from).collect()
}

/// Makes a key known. The answer is false when another key has its number.
#[derive(Clone, Debug)]
pub struct MakeKeyKnown {
    /// Its number.
    pub version: KeyVersion,
    /// What follows from it.
    pub check: String,
    /// The present moment.
    pub now: Timestamp,
}

#[derive(sqlx::FromRow)]
struct CheckRow {
    stored: String,
}

impl Intent for MakeKeyKnown {
    type Output = bool;
    const WRITES: bool = true;
    const REPEATABLE: bool = true;

    fn scope(&self) -> Scope {
        Scope::Global
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<bool> {
        let insert = tx.query(MAKE_KNOWN).bind(number(self.version)).bind(self.check.clone());
        insert.bind(At(self.now)).run().await?;
        let row: Option<CheckRow> = tx.query(CHECK).bind(number(self.version)).row().await?;
        Ok(row.is_some_and(|row| row.stored == self.check))
    }
}

/// The queue of what is done with keys.
pub const KEYS: &str = "keys";
/// The kind of a job that seals everything anew.
pub const KEY_ROTATION_KIND: &str = "key_rotation";
/// After how many failed attempts it is given up.
const MOST_ATTEMPTS: u32 = 20;

/// Lets a key seal from now on, in the place of the one that does, and promises that everything is sealed anew.
#[derive(Clone, Copy, Debug)]
pub struct ActivateKey {
    /// The key.
    pub version: KeyVersion,
    /// Only if none seals yet: the first start.
    pub first: bool,
    /// The id of the job.
    pub job: Uuid,
    /// The present moment.
    pub now: Timestamp,
}

/// What became of a key that was to seal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activated {
    /// It seals.
    Now,
    /// It did already; what is left is sealed anew.
    Already,
    /// Another one seals, and this was to be the first.
    Another,
    /// It is not known, retired or lost.
    Impossible,
}

impl Intent for ActivateKey {
    type Output = Activated;
    const WRITES: bool = true;

    fn scope(&self) -> Scope {
        Scope::Global
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Activated> {
        let keys = list(tx).await?;
        let active = keys.iter().find(|key| key.state == KeyState::Active).map(|key| key.version);
        let wanted = keys.iter().find(|key| key.version == self.version).map(|key| key.state);
        let already = wanted == Some(KeyState::Active);
        if active.is_some() && self.first {
            return Ok(if already { Activated::Already } else { Activated::Another });
        }
        if !matches!(wanted, Some(KeyState::Added | KeyState::Retiring | KeyState::Active)) {
            return Ok(Activated::Impossible);
        }
        if !already {
            tx.query(REPLACE).bind(number(self.version)).bind(At(self.now)).run().await?;
            tx.query(ACTIVATE).bind(number(self.version)).bind(At(self.now)).run().await?;
        }
        if !self.first {
            let job = NewJob {
                id: self.job.into(),
                queue: KEYS,
                kind: KEY_ROTATION_KIND,
                group: NO_GROUP.to_owned(),
                tenant: None,
                priority: JobPriority::Normal,
                arguments: format!(r#"{{"to":{}}}"#, self.version),
                unique: Some(Unique { key: format!("to {}", self.version), until: None }),
                run_at: self.now,
                most_attempts: MOST_ATTEMPTS,
                trace: None,
            };
            enqueue(tx, &[job], self.now).await?;
        }
        Ok(if already { Activated::Already } else { Activated::Now })
    }
}

/// Says that nobody has a key any more, so that servers start without it. The answer is false when it is not there or was
/// retired.
#[derive(Clone, Copy, Debug)]
pub struct LoseKey(pub KeyVersion);

impl Intent for LoseKey {
    type Output = bool;
    const WRITES: bool = true;
    const REPEATABLE: bool = true;

    fn scope(&self) -> Scope {
        Scope::Global
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<bool> {
        Ok(tx.query(LOSE).bind(number(self.0)).run().await? == 1)
    }
}
