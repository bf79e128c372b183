//! The first look at the keys: an installation without any gets its first one, a key that is needed and not here stops the
//! start, and what an older release has left plain is sealed.

use mainstay_domain::{Error, KeyState, KeyVersion, Kind, Result};
use mainstay_store::{ActivateKey, Call, CountSealed, ExchangeSealed, ReadPlain, SealedColumn, SealedRow};
use uuid::Uuid;

use super::{Keys, PATIENCE, Place};

/// The most rows that are sealed by one transaction.
pub(super) const BITE: u32 = 500;

/// How often in a row a bite may seal nothing.
const MOST_IN_VAIN: u32 = 20;

impl Place {
    pub(super) fn of(column: SealedColumn, row: &SealedRow) -> Self {
        Self { column, tenant: row.tenant, row: row.id }
    }
}

impl Keys {
    /// Makes the keys ready to be used.
    ///
    /// # Errors
    /// When they cannot be read, one that is needed is missing, or one is not the one that the database knows.
    pub(crate) async fn begin(&self) -> Result<()> {
        self.refresh().await?;
        let known = self.known();
        if known.keyring.is_empty() && known.stored.is_empty() {
            tracing::info!(key = %self.source.place(KeyVersion::FIRST), "the first key is made: keep a copy of it");
            self.add().await?;
        }
        self.activate_first().await?;
        self.refuse_wrong_and_missing().await?;
        self.seal_plain().await.map(|_| ())
    }

    /// Where none seals yet, the newest that is here does.
    async fn activate_first(&self) -> Result<()> {
        let known = self.known();
        let newest = known.stored.iter().rev().find(|key| {
            matches!(key.state, KeyState::Added | KeyState::Retiring) && known.keyring.contains_key(&key.version)
        });
        if let (None, Some(newest)) = (known.active(), newest) {
            let version = newest.version;
            let activate = ActivateKey { version, first: true, job: Uuid::nil(), now: self.clock.now() };
            self.store.run(&Call::within(PATIENCE), activate).await?;
            self.refresh().await?;
        }
        Ok(())
    }

    async fn refuse_wrong_and_missing(&self) -> Result<()> {
        let known = self.known();
        if let Some(version) = known.wrong.first() {
            let detail = format!(
                "Key {version} in {} is another than the one that the database knows under this number. Put the right one \
                 there: a copy from another node, or from where keys are kept. See docs/operations/keys.md.",
                self.source.place(*version)
            );
            return Err(Error::new(Kind::Conflict, "wrong_key", detail));
        }
        for version in known.missing() {
            let seals = known.active().is_some_and(|active| active.version == version);
            if !seals && !self.is_needed(version).await? {
                tracing::warn!(%version, "a key that nothing is sealed under any more is not here: retire it");
                continue;
            }
            let detail = format!(
                "The database has secrets under key {version}, and this node has not got it. Put it into {}: a copy from \
                 another node, or from where keys are kept. If nobody has it any more, see docs/operations/keys.md.",
                self.source.place(version)
            );
            return Err(Error::new(Kind::Conflict, "key_missing", detail));
        }
        if known.sealing.is_none() {
            let detail = "No key may seal. Make one with `mainstay keys add`.";
            return Err(Error::new(Kind::Conflict, "no_key", detail));
        }
        Ok(())
    }

    /// Whether anything is sealed under a key.
    async fn is_needed(&self, key: KeyVersion) -> Result<bool> {
        for column in SealedColumn::ALL {
            if self.store.run(&Call::within(PATIENCE), CountSealed { column: *column, key }).await? > 0 {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Seals what is plain: what an older release has written. The answer is how many rows there were.
    ///
    /// # Errors
    /// As the store, or when nothing can be sealed.
    pub(super) async fn seal_plain(&self) -> Result<u64> {
        let mut sealed = 0;
        for column in SealedColumn::ALL.iter().copied() {
            let mut in_vain = 0;
            loop {
                let rows = self.store.run(&Call::within(PATIENCE), ReadPlain { column, most: BITE }).await?;
                if rows.is_empty() {
                    break;
                }
                let rows = rows.into_iter().map(|row| {
                    let new = self.seal(Place::of(column, &row), &row.stored)?;
                    Ok((row, new))
                });
                let rows = rows.collect::<Result<Vec<_>>>()?;
                let exchange = ExchangeSealed { column, rows };
                let exchanged = self.store.run_for_jobs(&Call::within(PATIENCE), exchange).await?;
                sealed += exchanged;
                // Another node may have sealed the same rows just now, but not each time.
                in_vain = if exchanged == 0 { in_vain + 1 } else { 0 };
                if in_vain >= MOST_IN_VAIN {
                    let inside = format!("rows of {} stay plain", column.table());
                    return Err(Error::new(Kind::Conflict, "not_sealed", "Secrets cannot be sealed.").because(inside));
                }
            }
        }
        if sealed > 0 {
            tracing::info!(sealed, "secrets that an older release had stored plain are sealed");
        }
        Ok(sealed)
    }
}
