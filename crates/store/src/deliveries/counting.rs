//! How the deliveries of an organisation fare, by endpoint: the figures above their list.

use std::collections::BTreeMap;

use mainstay_domain::{DeliveryState, EndpointId, TenantId, Timestamp};
use uuid::Uuid;

use crate::error::Result;
use crate::intent::Intent;
use crate::members::word;
use crate::sql::statements;
use crate::tx::{Scope, Tx};
use crate::value::{At, count};

statements! {
    /// A bounded walk down the ids, so that it costs the same however much is kept.
    NEWEST = both("
        SELECT w.endpoint_id, w.state, count(*) AS deliveries
        FROM (SELECT d.endpoint_id, d.state FROM webhook_delivery d
              WHERE d.tenant_id = $1 AND d.id < $2 ORDER BY d.id DESC LIMIT $3) w
        GROUP BY w.endpoint_id, w.state");
    /// What waits may be older than the newest: it has an index of its own.
    PENDING = both("
        SELECT e.id AS endpoint_id,
          (SELECT count(*) FROM (SELECT 1 FROM webhook_delivery d
             WHERE d.tenant_id = $1 AND d.endpoint_id = e.id AND d.state = 'pending' LIMIT 10000) counted) AS deliveries
        FROM webhook_endpoint e WHERE e.tenant_id = $1 AND e.created_at >= $2");
}

/// How many deliveries are counted: the newest; and at most so many of those that wait for an endpoint.
pub const COUNTED_DELIVERIES: u32 = 10_000;

/// How the deliveries to one endpoint fare.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeliveryCounts {
    /// They are tried, or will be. Older ones than the newest are counted too.
    pub pending: u32,
    /// The endpoint has taken them.
    pub delivered: u32,
    /// Every attempt has failed.
    pub failed: u32,
    /// They were given up before that.
    pub cancelled: u32,
}

/// Counts deliveries of an organisation: of the newest 10,000 how they ended, and what waits for each endpoint.
#[derive(Clone, Copy, Debug)]
pub struct CountDeliveries {
    /// The organisation.
    pub tenant: TenantId,
}

/// The deliveries of an organisation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CountedDeliveries {
    /// By endpoint: all that there are, and those that were removed as far as deliveries to them are among the newest.
    pub endpoints: BTreeMap<EndpointId, DeliveryCounts>,
    /// True when there are more deliveries than were counted.
    pub more: bool,
}

#[derive(sqlx::FromRow)]
struct NewestRow {
    endpoint_id: Uuid,
    state: String,
    deliveries: i64,
}

#[derive(sqlx::FromRow)]
struct PendingRow {
    endpoint_id: Uuid,
    deliveries: i64,
}

impl Intent for CountDeliveries {
    type Output = CountedDeliveries;
    const WRITES: bool = false;
    const SNAPSHOT: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<CountedDeliveries> {
        let tenant = self.tenant.uuid();
        let newest = tx.query(NEWEST).bind(tenant).bind(Uuid::max()).bind(i64::from(COUNTED_DELIVERIES));
        let (mut counted, mut all) = (CountedDeliveries::default(), 0_u32);
        for row in newest.rows::<NewestRow>().await? {
            let endpoint = counted.endpoints.entry(EndpointId(row.endpoint_id)).or_default();
            let place = match word(&row.state)? {
                DeliveryState::Pending => &mut endpoint.pending,
                DeliveryState::Delivered => &mut endpoint.delivered,
                DeliveryState::Failed => &mut endpoint.failed,
                DeliveryState::Cancelled => &mut endpoint.cancelled,
            };
            *place = count(row.deliveries);
            all = all.saturating_add(count(row.deliveries));
        }
        counted.more = all >= COUNTED_DELIVERIES;
        let pending: Vec<PendingRow> = tx.query(PENDING).bind(tenant).bind(At(Timestamp::EPOCH)).rows().await?;
        for row in pending {
            counted.endpoints.entry(EndpointId(row.endpoint_id)).or_default().pending = count(row.deliveries);
        }
        Ok(counted)
    }
}
