//! Delivering again: one delivery, or all that an endpoint has missed, in bites.

use mainstay_domain::{DeliveryId, EndpointId, EventId, JobId, JobPriority, TenantId, Timestamp};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::endpoints::Cancelling;
use super::publish::{Due, one_listener, promise};
use super::{DELIVERY_CHORES, MOST_STARTS, REPLAY_KIND, TEST_EVENT, delivery_id};
use crate::error::Result;
use crate::intent::Intent;
use crate::jobs::NewJob;
use crate::jobs::enqueue::enqueue;
use crate::jobs::finish::{Fence, done};
use crate::sql::statements;
use crate::tx::{Scope, Tx};
use crate::value::{At, first_id_of, json};

statements! {
    WHAT = both("
        SELECT d.event_id, d.endpoint_id, v.kind FROM webhook_delivery d
        LEFT JOIN webhook_event v ON v.id = d.event_id AND v.tenant_id = d.tenant_id WHERE d.id = $1 AND d.tenant_id = $2");
    /// The next events of a range, and whether the endpoint has each of them or is about to.
    NEXT = both("
        SELECT v.id, v.kind, v.created_at,
          (SELECT count(*) FROM webhook_delivery d WHERE d.tenant_id = $1 AND d.event_id = v.id AND d.endpoint_id = $5
             AND d.state IN ('delivered', 'pending')) AS had
        FROM webhook_event v WHERE v.tenant_id = $1 AND (v.created_at, v.id) > ($2, $3) AND v.created_at < $4
        ORDER BY v.created_at, v.id LIMIT 200");
    CANCEL = both("
        UPDATE webhook_delivery SET state = 'cancelled', error = $3, next_at = NULL, ended_at = $4
        WHERE (id, tenant_id) IN (
          SELECT d.id, d.tenant_id FROM webhook_delivery d
          WHERE d.tenant_id = $1 AND d.endpoint_id = $2 AND d.state = 'pending' AND d.id < $5 ORDER BY d.id LIMIT 500)");
}

/// How many events a bite looks at.
const BITE: usize = 200;

#[derive(sqlx::FromRow)]
struct WhatRow {
    event_id: Uuid,
    endpoint_id: Uuid,
    kind: Option<String>,
}

/// Delivers again what was delivered before, or should have been. The event keeps its id, so that a receiver knows it.
#[derive(Clone, Copy, Debug)]
pub struct ReplayDelivery {
    /// The organisation.
    pub tenant: TenantId,
    /// The delivery.
    pub id: DeliveryId,
    /// What tells this replay from others.
    pub cause: Uuid,
    /// The present moment.
    pub now: Timestamp,
}

/// What became of a replay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replayed {
    /// It is promised, as this delivery.
    Promised(DeliveryId),
    /// There is no such delivery.
    Unknown,
    /// Its event has been kept long enough.
    EventGone,
    /// Its endpoint is disabled or was removed.
    EndpointClosed,
}

impl Intent for ReplayDelivery {
    type Output = Replayed;
    const WRITES: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Replayed> {
        let what: Option<WhatRow> = tx.query(WHAT).bind(self.id.uuid()).bind(self.tenant.uuid()).row().await?;
        let Some(what) = what else { return Ok(Replayed::Unknown) };
        let Some(kind) = what.kind else { return Ok(Replayed::EventGone) };
        let (event, endpoint) = (EventId(what.event_id), EndpointId(what.endpoint_id));
        let Some(listener) = one_listener(tx, self.tenant, endpoint).await? else {
            return Ok(Replayed::EndpointClosed);
        };
        let due = Due { event, kind: &kind, listener: &listener, cause: self.cause };
        promise(tx, self.tenant, &[due], self.now).await?;
        Ok(Replayed::Promised(delivery_id(event, endpoint, self.cause, self.now)))
    }
}

/// A range of events that an endpoint is to be told of again: what the job needs to know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replay {
    /// What it is known by.
    pub id: Uuid,
    /// The organisation.
    pub tenant: TenantId,
    /// The endpoint.
    pub endpoint: EndpointId,
    /// Events that were published after this one at that moment: what a bite has looked at is behind it.
    pub after: (Timestamp, EventId),
    /// Events that were published before this.
    pub until: Timestamp,
    /// Only what the endpoint has not taken and is not about to be told of.
    pub only_missed: bool,
}

impl Replay {
    fn job(&self, now: Timestamp) -> Result<NewJob> {
        let (moment, event) = self.after;
        let (moment, event) = (moment.as_millis().to_be_bytes(), event.uuid());
        let id = super::derived(now, &[b"replay", self.id.as_bytes(), &moment, event.as_bytes()]);
        Ok(NewJob {
            id: JobId(id),
            queue: DELIVERY_CHORES,
            kind: REPLAY_KIND,
            group: self.tenant.to_string(),
            tenant: Some(self.tenant),
            priority: JobPriority::Normal,
            arguments: json(self)?,
            unique: None,
            run_at: now,
            most_attempts: MOST_STARTS,
            trace: None,
        })
    }
}

/// Promises a replay. False when there is no such endpoint that is enabled.
#[derive(Clone, Debug)]
pub struct RequestReplay {
    /// What.
    pub replay: Replay,
    /// The present moment.
    pub now: Timestamp,
}

impl Intent for RequestReplay {
    type Output = bool;
    const WRITES: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.replay.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<bool> {
        if one_listener(tx, self.replay.tenant, self.replay.endpoint).await?.is_none() {
            return Ok(false);
        }
        enqueue(tx, &[self.replay.job(self.now)?], self.now).await?;
        Ok(true)
    }
}

#[derive(sqlx::FromRow)]
struct NextRow {
    id: Uuid,
    kind: String,
    created_at: At,
    had: i64,
}

/// One bite of a replay: the deliveries, the promise of the next bite and the end of this one are one transaction.
#[derive(Clone, Debug)]
pub struct ReplayBite {
    /// What is left of the replay.
    pub replay: Replay,
    /// The job of this bite.
    pub fence: Fence,
    /// The present moment.
    pub now: Timestamp,
}

impl Intent for ReplayBite {
    /// How many deliveries were promised.
    type Output = usize;
    const WRITES: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.replay.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<usize> {
        let replay = &self.replay;
        let mut promised = 0;
        // An endpoint that was closed meanwhile ends the replay.
        if let Some(listener) = one_listener(tx, replay.tenant, replay.endpoint).await? {
            let (moment, event) = replay.after;
            let query = tx.query(NEXT).bind(replay.tenant.uuid()).bind(At(moment)).bind(event.uuid());
            let rows: Vec<NextRow> = query.bind(At(replay.until)).bind(replay.endpoint.uuid()).rows().await?;
            let wanted = |row: &&NextRow| {
                row.kind != TEST_EVENT && listener.wants(&row.kind) && (row.had == 0 || !replay.only_missed)
            };
            let due: Vec<_> = rows
                .iter()
                .filter(wanted)
                .map(|row| Due { event: EventId(row.id), kind: &row.kind, listener: &listener, cause: replay.id })
                .collect();
            promised = due.len();
            promise(tx, replay.tenant, &due, self.now).await?;
            if let Some(last) = rows.last().filter(|_| rows.len() >= BITE) {
                let rest = Replay { after: (last.created_at.0, EventId(last.id)), ..replay.clone() };
                enqueue(tx, &[rest.job(self.now)?], self.now).await?;
            }
        }
        done(tx, self.fence, self.now).await?;
        Ok(promised)
    }
}

/// Cancels what waits for an endpoint that was closed, at most 500, and ends the job when that was all.
#[derive(Clone, Debug)]
pub struct CancelBite {
    /// What.
    pub cancelling: Cancelling,
    /// The job.
    pub fence: Fence,
    /// The present moment.
    pub now: Timestamp,
}

impl Intent for CancelBite {
    /// True when there is no more.
    type Output = bool;
    const WRITES: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.cancelling.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<bool> {
        let Cancelling { tenant, endpoint, reason, before } = &self.cancelling;
        let query = tx.query(CANCEL).bind(tenant.uuid()).bind(endpoint.uuid()).bind(reason.clone()).bind(At(self.now));
        let cancelled = query.bind(first_id_of(before.plus(std::time::Duration::from_millis(1)))).run().await?;
        let all = cancelled < 500;
        if all {
            done(tx, self.fence, self.now).await?;
        }
        Ok(all)
    }
}
