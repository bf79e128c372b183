//! Giving up one delivery that waits. Its job stays where it is: whoever begins it finds that there is nothing to do, as with
//! all that waits for an endpoint which was disabled. An attempt that is under way may still be taken, and then it was.

use mainstay_domain::{DeliveryId, DeliveryState, TenantId, Timestamp};

use crate::error::Result;
use crate::intent::Intent;
use crate::members::word;
use crate::sql::statements;
use crate::tx::{Scope, Tx};
use crate::value::At;

statements! {
    CANCEL = both("
        UPDATE webhook_delivery SET state = 'cancelled', error = $3, next_at = NULL, ended_at = $4
        WHERE id = $1 AND tenant_id = $2 AND state = 'pending'");
    STATE = both("SELECT d.state FROM webhook_delivery d WHERE d.id = $1 AND d.tenant_id = $2");
}

/// Gives up a delivery that waits.
#[derive(Clone, Debug)]
pub struct CancelDelivery {
    /// The organisation.
    pub tenant: TenantId,
    /// The delivery.
    pub id: DeliveryId,
    /// Why, for whoever reads the log.
    pub reason: &'static str,
    /// The present moment.
    pub now: Timestamp,
}

/// What became of the wish to give up a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CancelledDelivery {
    /// There is no such delivery.
    Missing,
    /// It is not tried again.
    Done,
    /// It had ended already.
    Ended(DeliveryState),
}

#[derive(sqlx::FromRow)]
struct StateRow {
    state: String,
}

impl Intent for CancelDelivery {
    type Output = CancelledDelivery;
    const WRITES: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<CancelledDelivery> {
        let (id, tenant) = (self.id.uuid(), self.tenant.uuid());
        if tx.query(CANCEL).bind(id).bind(tenant).bind(self.reason).bind(At(self.now)).run().await? > 0 {
            return Ok(CancelledDelivery::Done);
        }
        let row: Option<StateRow> = tx.query(STATE).bind(id).bind(tenant).row().await?;
        Ok(match row {
            Some(row) => CancelledDelivery::Ended(word(&row.state)?),
            None => CancelledDelivery::Missing,
        })
    }
}
