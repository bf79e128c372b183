//! Who was shown what, and what they did. Both are written in sets, and a repeat changes nothing.

use mainstay_domain::{ExperimentId, PersonId, TenantId, Timestamp};
use serde::Serialize;
use uuid::Uuid;

use crate::error::Result;
use crate::intent::Intent;
use crate::sql::statements;
use crate::tx::{Scope, Tx};

statements! {
    /// Of two nodes that tell of the same unit the earlier moment stays, whichever is written first.
    EXPOSE = batch((experiment_id: uuid, tenant_id: uuid, unit_id: uuid, variant: bigint, exposed_at: time) "
        INSERT INTO exposure (experiment_id, tenant_id, unit_id, variant, exposed_at)
        SELECT experiment_id, tenant_id, unit_id, variant, exposed_at FROM batch
        WHERE true ORDER BY experiment_id, tenant_id, unit_id
        ON CONFLICT (experiment_id, tenant_id, unit_id) DO UPDATE SET exposed_at = excluded.exposed_at
        WHERE excluded.exposed_at < exposure.exposed_at");
    RECORD = batch((experiment_id: uuid, tenant_id: uuid, unit_id: uuid, person_id: uuid, event_id: uuid, value: float8, happened_at: time) "
        INSERT INTO outcome (experiment_id, tenant_id, unit_id, person_id, event_id, value, happened_at)
        SELECT experiment_id, tenant_id, unit_id, person_id, event_id, value, happened_at FROM batch
        WHERE true ORDER BY experiment_id, tenant_id, unit_id, person_id, event_id
        ON CONFLICT (experiment_id, tenant_id, unit_id, person_id, event_id) DO NOTHING");
}

/// A unit that was shown its variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exposure {
    /// Of which experiment.
    pub experiment: ExperimentId,
    /// Where.
    pub tenant: TenantId,
    /// The person or the organisation.
    pub unit: Uuid,
    /// The place of the variant in the experiment, from 0.
    pub variant: usize,
    /// When.
    pub at: Timestamp,
}

#[derive(Serialize)]
struct ExposureRow {
    experiment_id: Uuid,
    tenant_id: Uuid,
    unit_id: Uuid,
    variant: usize,
    exposed_at: i64,
}

/// Records exposures of any organisations: each unit once, and of several moments the first.
#[derive(Clone, Debug)]
pub struct RecordExposures(pub Vec<Exposure>);

impl Intent for RecordExposures {
    type Output = ();
    const WRITES: bool = true;
    const REPEATABLE: bool = true;

    fn scope(&self) -> Scope {
        Scope::of(self.0.iter().map(|exposure| exposure.tenant))
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<()> {
        let rows: Vec<_> = self
            .0
            .iter()
            .map(|exposure| ExposureRow {
                experiment_id: exposure.experiment.uuid(),
                tenant_id: exposure.tenant.uuid(),
                unit_id: exposure.unit,
                variant: exposure.variant,
                exposed_at: exposure.at.as_millis(),
            })
            .collect();
        tx.batch(EXPOSE, &rows).run().await?;
        Ok(())
    }
}

/// Something that a person did, as one experiment counts it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Outcome {
    /// The experiment.
    pub experiment: ExperimentId,
    /// The person or the organisation that it counts for.
    pub unit: Uuid,
    /// The id that the client has given to the event.
    pub event: Uuid,
    /// How much; finite.
    pub value: f64,
    /// When.
    pub at: Timestamp,
}

#[derive(Serialize)]
struct OutcomeRow {
    experiment_id: Uuid,
    tenant_id: Uuid,
    unit_id: Uuid,
    person_id: Uuid,
    event_id: Uuid,
    value: f64,
    happened_at: i64,
}

/// Records what a person did, each event once for each experiment.
#[derive(Clone, Debug)]
pub struct RecordOutcomes {
    /// Where.
    pub tenant: TenantId,
    /// Who.
    pub person: PersonId,
    /// What.
    pub outcomes: Vec<Outcome>,
}

impl Intent for RecordOutcomes {
    type Output = ();
    const WRITES: bool = true;
    const REPEATABLE: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<()> {
        let rows: Vec<_> = self
            .outcomes
            .iter()
            .map(|outcome| OutcomeRow {
                experiment_id: outcome.experiment.uuid(),
                tenant_id: self.tenant.uuid(),
                unit_id: outcome.unit,
                person_id: self.person.uuid(),
                event_id: outcome.event,
                value: outcome.value,
                happened_at: outcome.at.as_millis(),
            })
            .collect();
        tx.batch(RECORD, &rows).run().await?;
        Ok(())
    }
}
