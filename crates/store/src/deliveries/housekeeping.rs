//! What has been kept long enough is forgotten in bites; and how many endpoints are disabled. The system looks across
//! organisations; it removes in their name.

use mainstay_domain::{TenantId, Timestamp};

use crate::call::Call;
use crate::error::Result;
use crate::intent::Intent;
use crate::sql::statements;
use crate::store::Store;
use crate::tx::{Scope, Tx};
use crate::value::{At, Place, count};

statements! {
    OLD_DELIVERIES = both("SELECT d.id, d.tenant_id FROM webhook_delivery d WHERE d.created_at <= $1 ORDER BY d.created_at LIMIT 500");
    OLD_EVENTS = both("SELECT v.id, v.tenant_id FROM webhook_event v WHERE v.created_at <= $1 ORDER BY v.created_at LIMIT 500");
    FORGET_ATTEMPTS = batch((id: uuid, tenant_id: uuid) "
        DELETE FROM webhook_attempt WHERE (delivery_id, tenant_id) IN (SELECT id, tenant_id FROM batch)");
    FORGET_DELIVERIES = batch((id: uuid, tenant_id: uuid) "
        DELETE FROM webhook_delivery WHERE (id, tenant_id) IN (SELECT id, tenant_id FROM batch)");
    FORGET_EVENTS = batch((id: uuid, tenant_id: uuid) "
        DELETE FROM webhook_event WHERE (id, tenant_id) IN (SELECT id, tenant_id FROM batch)");
    DISABLED = both("SELECT count(*) AS disabled FROM webhook_endpoint e WHERE e.state = 'disabled'");
}

impl Store {
    /// Forgets deliveries with their logs, and events, from before two moments: at most 500 of each. The answer is how
    /// many there were.
    ///
    /// # Errors
    /// As every intent.
    pub async fn forget_deliveries(
        &self,
        call: &Call,
        deliveries_before: Timestamp,
        events_before: Timestamp,
    ) -> Result<usize> {
        let (deliveries, events) = self.run(call, Old { deliveries_before, events_before }).await?;
        let there = deliveries.len() + events.len();
        if there > 0 {
            // Removing is the workers' right: they have the system's role in the name of organisations.
            self.run_for_jobs(call, Forget { deliveries, events }).await?;
        }
        Ok(there)
    }
}

struct Old {
    deliveries_before: Timestamp,
    events_before: Timestamp,
}

impl Intent for Old {
    type Output = (Vec<Place>, Vec<Place>);
    const WRITES: bool = false;

    fn scope(&self) -> Scope {
        Scope::System
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output> {
        let deliveries = tx.query(OLD_DELIVERIES).bind(At(self.deliveries_before)).rows().await?;
        Ok((deliveries, tx.query(OLD_EVENTS).bind(At(self.events_before)).rows().await?))
    }
}

struct Forget {
    deliveries: Vec<Place>,
    events: Vec<Place>,
}

impl Intent for Forget {
    type Output = ();
    const WRITES: bool = true;
    const REPEATABLE: bool = true;

    fn scope(&self) -> Scope {
        Scope::of(self.deliveries.iter().chain(&self.events).map(|place| TenantId(place.tenant_id)))
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<()> {
        if !self.deliveries.is_empty() {
            tx.batch(FORGET_ATTEMPTS, &self.deliveries).run().await?;
            tx.batch(FORGET_DELIVERIES, &self.deliveries).run().await?;
        }
        if !self.events.is_empty() {
            tx.batch(FORGET_EVENTS, &self.events).run().await?;
        }
        Ok(())
    }
}

/// How many endpoints are disabled, of all organisations.
#[derive(Clone, Copy, Debug)]
pub struct CountDisabledEndpoints;

#[derive(sqlx::FromRow)]
struct CountRow {
    disabled: i64,
}

impl Intent for CountDisabledEndpoints {
    type Output = u32;
    const WRITES: bool = false;
    const ONE_STATEMENT: bool = true;

    fn scope(&self) -> Scope {
        Scope::System
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<u32> {
        let row: Option<CountRow> = tx.query(DISABLED).row().await?;
        Ok(row.map_or(0, |row| count(row.disabled)))
    }
}
