//! Erasing what old and removed experiments have found, in bites.

use mainstay_domain::{ExperimentId, TenantId, Timestamp};
use uuid::Uuid;

use crate::call::Call;
use crate::error::Result;
use crate::intent::Intent;
use crate::sql::statements;
use crate::store::Store;
use crate::tx::{Scope, Tx};
use crate::value::{At, Id};

statements! {
    ERASABLE = both("
        SELECT id FROM experiment
        WHERE removed_at <= $2 OR (removed_at IS NULL AND erased_at IS NULL AND stopped_at <= $1) ORDER BY id LIMIT 1");
    EXPOSURES = both("
        SELECT experiment_id, tenant_id, unit_id FROM exposure WHERE experiment_id = $1
        ORDER BY experiment_id, tenant_id, unit_id LIMIT 1000");
    OUTCOMES = both("
        SELECT experiment_id, tenant_id, unit_id, person_id, event_id FROM outcome WHERE experiment_id = $1
        ORDER BY experiment_id, tenant_id, unit_id, person_id, event_id LIMIT 1000");
    ERASE_EXPOSURES = batch((experiment_id: uuid, tenant_id: uuid, unit_id: uuid) "
        DELETE FROM exposure WHERE (experiment_id, tenant_id, unit_id) IN (SELECT experiment_id, tenant_id, unit_id FROM batch)");
    ERASE_OUTCOMES = batch((experiment_id: uuid, tenant_id: uuid, unit_id: uuid, person_id: uuid, event_id: uuid) "
        DELETE FROM outcome WHERE (experiment_id, tenant_id, unit_id, person_id, event_id)
        IN (SELECT experiment_id, tenant_id, unit_id, person_id, event_id FROM batch)");
    FORGET = both("DELETE FROM experiment WHERE id = $1 AND removed_at IS NOT NULL");
    ERASED = both("UPDATE experiment SET erased_at = $2 WHERE id = $1");
}

#[derive(Clone, serde::Serialize, sqlx::FromRow)]
struct ExposureKey {
    experiment_id: Uuid,
    tenant_id: Uuid,
    unit_id: Uuid,
}

#[derive(Clone, serde::Serialize, sqlx::FromRow)]
struct OutcomeKey {
    experiment_id: Uuid,
    tenant_id: Uuid,
    unit_id: Uuid,
    person_id: Uuid,
    event_id: Uuid,
}

impl Store {
    /// Erases a bite, at most 1,000 exposures and 1,000 outcomes, of one experiment that was stopped before one moment or
    /// removed before the other. The answer is whether there was one; there may be more then.
    ///
    /// # Errors
    /// As every intent.
    pub async fn erase_experiments(
        &self,
        call: &Call,
        stopped: Timestamp,
        removed: Timestamp,
        now: Timestamp,
    ) -> Result<bool> {
        let Some(id) = self.run(call, Erasable { stopped, removed }).await? else { return Ok(false) };
        let (exposures, outcomes) = self.run(call, KeysOf(id)).await?;
        self.run(call, Erase { id, exposures, outcomes, now }).await?;
        Ok(true)
    }
}

struct Erasable {
    stopped: Timestamp,
    removed: Timestamp,
}

impl Intent for Erasable {
    type Output = Option<ExperimentId>;
    const WRITES: bool = false;
    const ONE_STATEMENT: bool = true;

    fn scope(&self) -> Scope {
        Scope::Global
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output> {
        let row: Option<Id> = tx.query(ERASABLE).bind(At(self.stopped)).bind(At(self.removed)).row().await?;
        Ok(row.map(|row| ExperimentId(row.id)))
    }
}

struct KeysOf(ExperimentId);

impl Intent for KeysOf {
    type Output = (Vec<ExposureKey>, Vec<OutcomeKey>);
    const WRITES: bool = false;

    fn scope(&self) -> Scope {
        Scope::System
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output> {
        let exposures = tx.query(EXPOSURES).bind(self.0.uuid()).rows().await?;
        Ok((exposures, tx.query(OUTCOMES).bind(self.0.uuid()).rows().await?))
    }
}

/// Erases these rows; the experiment is done with when there were none.
struct Erase {
    id: ExperimentId,
    exposures: Vec<ExposureKey>,
    outcomes: Vec<OutcomeKey>,
    now: Timestamp,
}

impl Intent for Erase {
    type Output = ();
    const WRITES: bool = true;
    const REPEATABLE: bool = true;

    fn scope(&self) -> Scope {
        let exposures = self.exposures.iter().map(|key| TenantId(key.tenant_id));
        Scope::of(exposures.chain(self.outcomes.iter().map(|key| TenantId(key.tenant_id))))
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<()> {
        tx.batch(ERASE_EXPOSURES, &self.exposures).run().await?;
        tx.batch(ERASE_OUTCOMES, &self.outcomes).run().await?;
        if self.exposures.is_empty() && self.outcomes.is_empty() {
            tx.query(ERASED).bind(self.id.uuid()).bind(At(self.now)).run().await?;
            tx.query(FORGET).bind(self.id.uuid()).run().await?;
        }
        Ok(())
    }
}
