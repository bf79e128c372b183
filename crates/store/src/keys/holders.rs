//! Which processes have which keys, and with which of them they seal: told by each for itself, every few seconds.

use mainstay_domain::{KeyVersion, Timestamp};

use super::{number, version};
use crate::error::{Error, Result};
use crate::intent::Intent;
use crate::sql::statements;
use crate::tx::{Scope, Tx};
use crate::value::{At, json};

statements! {
    TELL = both("
        INSERT INTO key_holder (holder, versions, sealing, seen_at) VALUES ($1, $2, $3, $4)
        ON CONFLICT (holder) DO UPDATE SET versions = excluded.versions, sealing = excluded.sealing, seen_at = excluded.seen_at");
    FORGET_OLD = both("DELETE FROM key_holder WHERE seen_at <= $1");
    FORGET = both("DELETE FROM key_holder WHERE holder = $1");
    LIST = both("SELECT holder, versions, sealing, seen_at FROM key_holder WHERE seen_at > $1 ORDER BY holder LIMIT 1000");
}

/// A process that seals and opens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyHolder {
    /// What it is called.
    pub holder: String,
    /// The keys that it has.
    pub versions: Vec<KeyVersion>,
    /// The key that it seals with.
    pub sealing: KeyVersion,
    /// When it told.
    pub seen_at: Timestamp,
}

#[derive(sqlx::FromRow)]
struct HolderRow {
    holder: String,
    versions: String,
    sealing: i64,
    seen_at: At,
}

impl TryFrom<HolderRow> for KeyHolder {
    type Error = Error;
    fn try_from(row: HolderRow) -> Result<Self> {
        let versions = serde_json::from_str(&row.versions);
        Ok(Self {
            versions: versions.map_err(|_| Error::Corrupt("the keys of a process cannot be read".to_owned()))?,
            holder: row.holder,
            sealing: version(row.sealing)?,
            seen_at: row.seen_at.0,
        })
    }
}

/// Tells which keys a process has, and forgets those that have told nothing for long.
#[derive(Clone, Debug)]
pub struct TellKeys {
    /// The process, as it is now.
    pub holder: KeyHolder,
    /// Who was last heard before this is gone.
    pub gone_before: Timestamp,
}

impl Intent for TellKeys {
    type Output = ();
    const WRITES: bool = true;
    const REPEATABLE: bool = true;

    fn scope(&self) -> Scope {
        Scope::Global
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<()> {
        let KeyHolder { holder, versions, sealing, seen_at } = &self.holder;
        tx.query(FORGET_OLD).bind(At(self.gone_before)).run().await?;
        let tell = tx.query(TELL).bind(holder.clone()).bind(json(versions)?).bind(number(*sealing));
        tell.bind(At(*seen_at)).run().await?;
        Ok(())
    }
}

/// A process stops.
#[derive(Clone, Debug)]
pub struct ForgetKeyHolder(pub String);

impl Intent for ForgetKeyHolder {
    type Output = ();
    const WRITES: bool = true;
    const REPEATABLE: bool = true;

    fn scope(&self) -> Scope {
        Scope::Global
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<()> {
        tx.query(FORGET).bind(self.0.clone()).run().await?;
        Ok(())
    }
}

/// Lists the processes that were heard after a moment.
#[derive(Clone, Copy, Debug)]
pub struct ListKeyHolders(pub Timestamp);

impl Intent for ListKeyHolders {
    type Output = Vec<KeyHolder>;
    const WRITES: bool = false;
    const ONE_STATEMENT: bool = true;

    fn scope(&self) -> Scope {
        Scope::Global
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output> {
        holders(tx, self.0).await
    }
}

/// See [`ListKeyHolders`].
pub(super) async fn holders(tx: &mut Tx<'_>, heard_after: Timestamp) -> Result<Vec<KeyHolder>> {
    let rows: Vec<HolderRow> = tx.query(LIST).bind(At(heard_after)).rows().await?;
    rows.into_iter().map(KeyHolder::try_from).collect()
}
