//! Leaving an endpoint alone: what waits for it is put off in bulk, so that it costs nothing meanwhile.

use std::time::Duration;

use mainstay_domain::{EndpointId, JobPriority, TenantId, Timestamp};
use serde::Serialize;
use uuid::Uuid;

use super::DELIVERIES;
use crate::error::Result;
use crate::intent::Intent;
use crate::sql::statements;
use crate::tx::{Scope, Tx};

statements! {
    /// What is ready for an endpoint. What is with a worker, or being claimed, is not waited for.
    READY = pair(sqlite "
        SELECT j.id, j.lease FROM job j WHERE j.state = 'ready' AND j.queue = $1 AND j.priority = $2 AND j.group_key = $3
        ORDER BY j.run_at, j.id LIMIT 500",
        postgres "
        SELECT j.id, j.lease FROM job j WHERE j.state = 'ready' AND j.queue = $1 AND j.priority = $2 AND j.group_key = $3
        ORDER BY j.run_at, j.id LIMIT 500 FOR UPDATE SKIP LOCKED",
        differs "on PostgreSQL somebody may be claiming them at this moment");
    PUT_OFF = update((id: uuid, lease: bigint, run_at: time) "
        job SET state = 'scheduled', lease = job.lease + 1, run_at = b.run_at
        FROM batch b WHERE job.id = b.id AND job.lease = b.lease");
}

#[derive(sqlx::FromRow)]
struct ReadyRow {
    id: Uuid,
    lease: i64,
}

#[derive(Serialize)]
struct LaterRow {
    id: Uuid,
    lease: i64,
    run_at: i64,
}

/// Puts off what is ready for an endpoint, at most 500: each to the moment for its place, from 0. The answer is how many.
pub(super) async fn put_off(
    tx: &mut Tx<'_>,
    endpoint: EndpointId,
    moment: impl Fn(u32) -> Timestamp + Send,
) -> Result<u32> {
    let query = tx.query(READY).bind(DELIVERIES).bind(JobPriority::Normal.number()).bind(endpoint.to_string());
    let ready: Vec<ReadyRow> = query.rows().await?;
    let later: Vec<_> = (0..)
        .zip(ready)
        .map(|(n, row)| LaterRow { id: row.id, lease: row.lease, run_at: moment(n).as_millis() })
        .collect();
    let Some(first) = later.first() else { return Ok(0) };
    tx.enqueued("", Timestamp::from_millis(first.run_at));
    tx.batch(PUT_OFF, &later).run().await?;
    Ok(u32::try_from(later.len()).unwrap_or(u32::MAX))
}

/// Puts off what is ready for an endpoint until its rest is over, spread over a time. The answer is how many there were;
/// there may be more when it is 500.
#[derive(Clone, Copy, Debug)]
pub struct PutOffDeliveries {
    /// The organisation.
    pub tenant: TenantId,
    /// The endpoint.
    pub endpoint: EndpointId,
    /// Until when.
    pub until: Timestamp,
    /// After that they come back one after the other within this time.
    pub spread: Duration,
}

/// The moment of the n-th of those that come back within a time after a rest. A full bite fills it.
pub(super) fn spread(until: Timestamp, spread: Duration, n: u32) -> Timestamp {
    until.plus(spread.mul_f64(f64::from(n.min(500)) / 500.0))
}

impl Intent for PutOffDeliveries {
    type Output = u32;
    const WRITES: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<u32> {
        put_off(tx, self.endpoint, |n| spread(self.until, self.spread, n)).await
    }
}
