//! What a worker needs before it sends: the delivery with its event and its endpoint, and a turn where the endpoint has
//! a rate or is tried after a rest.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use mainstay_domain::{DeliveryId, DeliveryState, EndpointId, EventId, TenantId, Timestamp};
use uuid::Uuid;

use super::resting::put_off;
use super::{DELIVERIES, Endpoint, EndpointRow};
use crate::error::Result;
use crate::intent::Intent;
use crate::jobs::finish::{Ending, Finished, Keeping, finish};
use crate::jobs::rate::{Bucket, Rate};
use crate::members::word;
use crate::sql::statements;
use crate::tx::{Scope, Tx};
use crate::value::{At, Place, count};

statements! {
    READ = batch((id: uuid, tenant_id: uuid) "
        SELECT b.n, d.state AS delivery_state, d.attempts, d.event_id, v.kind, v.payload, v.created_at AS published_at
        FROM batch b JOIN webhook_delivery d ON d.id = b.id AND d.tenant_id = b.tenant_id
        LEFT JOIN webhook_event v ON v.id = d.event_id AND v.tenant_id = d.tenant_id");
    ENDPOINTS = batch((id: uuid, tenant_id: uuid) "
        SELECT e.id, e.tenant_id, e.url, e.description, e.event_types, e.secrets, e.rate_per_minute, e.state, e.disabled_reason,
          e.disabled_at, e.failing_since, e.consecutive_failures, e.rests, e.rest_until, e.probe_until, e.created_at, e.updated_at
        FROM batch b JOIN webhook_endpoint e ON e.id = b.id AND e.tenant_id = b.tenant_id");
    /// One tries whether an endpoint is well again; whoever else comes meanwhile finds this.
    PROBE = both("
        UPDATE webhook_endpoint SET probe_until = $3
        WHERE id = $1 AND tenant_id = $2 AND rests > 0 AND (probe_until IS NULL OR probe_until <= $4)");
    SPENT = pair(sqlite "SELECT r.group_key, r.full_at FROM job_rate r WHERE r.queue = $1 AND r.group_key IN ($2, $3)",
        postgres "SELECT r.group_key, r.full_at FROM job_rate r WHERE r.queue = $1 AND r.group_key IN ($2, $3) FOR UPDATE",
        differs "SQLite has one writer, which is the lock");
    SPEND = both("
        INSERT INTO job_rate (queue, group_key, full_at) VALUES ($1, $2, $3)
        ON CONFLICT (queue, group_key) DO UPDATE SET full_at = excluded.full_at");
    OPEN_RATE = both("
        INSERT INTO job_rate (queue, group_key, full_at) VALUES ($1, $2, $3) ON CONFLICT (queue, group_key) DO NOTHING");
    END_UNSENT = both("
        UPDATE webhook_delivery SET state = 'cancelled', error = $3, next_at = NULL, ended_at = $4
        WHERE id = $1 AND tenant_id = $2 AND state = 'pending'");
}

/// A delivery that is to be made now.
#[derive(Clone, Debug)]
pub struct DeliveryDue {
    /// Where it is in its life.
    pub state: DeliveryState,
    /// How many attempts were made.
    pub attempts: u32,
    /// Its event.
    pub event: EventId,
    /// What sort of event, its data as JSON, and when it was published; nothing when it was kept long enough.
    pub content: Option<EventContent>,
    /// Where to; nothing when it was removed.
    pub endpoint: Option<Endpoint>,
}

/// What an event says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventContent {
    /// What sort of event.
    pub kind: String,
    /// Its data, as JSON.
    pub payload: String,
    /// When it was published.
    pub published_at: Timestamp,
}

#[derive(sqlx::FromRow)]
struct DueRow {
    n: i64,
    delivery_state: String,
    attempts: i64,
    event_id: Uuid,
    kind: Option<String>,
    payload: Option<String>,
    published_at: Option<At>,
}

/// A delivery that a worker has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeliveryAt {
    /// The organisation.
    pub tenant: TenantId,
    /// The delivery.
    pub id: DeliveryId,
    /// Its endpoint.
    pub endpoint: EndpointId,
}

/// Reads what is to be delivered, many at once.
#[derive(Clone, Debug)]
pub struct ReadDeliveries(pub Vec<DeliveryAt>);

impl Intent for ReadDeliveries {
    /// In their order; nothing for what has been kept long enough.
    type Output = Vec<Option<DeliveryDue>>;
    const WRITES: bool = false;

    fn scope(&self) -> Scope {
        Scope::of(self.0.iter().map(|one| one.tenant))
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output> {
        let places: Vec<_> =
            self.0.iter().map(|one| Place { id: one.id.uuid(), tenant_id: one.tenant.uuid() }).collect();
        let rows: Vec<DueRow> = tx.batch(READ, &places).rows().await?;
        let wanted: BTreeSet<_> = self.0.iter().map(|one| (one.endpoint.uuid(), one.tenant.uuid())).collect();
        let wanted: Vec<_> = wanted.into_iter().map(|(id, tenant_id)| Place { id, tenant_id }).collect();
        let endpoints: Vec<EndpointRow> = tx.batch(ENDPOINTS, &wanted).rows().await?;
        let endpoints: Vec<Endpoint> = endpoints.into_iter().map(Endpoint::try_from).collect::<Result<_>>()?;
        let endpoints: BTreeMap<_, _> = endpoints.into_iter().map(|one| ((one.id, one.tenant), one)).collect();
        let mut answer: Vec<_> = self.0.iter().map(|_| None).collect();
        for row in rows {
            let Some((place, wanted)) = usize::try_from(row.n).ok().and_then(|n| Some((n, self.0.get(n)?))) else {
                continue;
            };
            let content = match (row.kind, row.payload, row.published_at) {
                (Some(kind), Some(payload), Some(at)) => Some(EventContent { kind, payload, published_at: at.0 }),
                _ => None,
            };
            answer[place] = Some(DeliveryDue {
                state: word(&row.delivery_state)?,
                attempts: count(row.attempts),
                event: EventId(row.event_id),
                content,
                endpoint: endpoints.get(&(wanted.endpoint, wanted.tenant)).cloned(),
            });
        }
        Ok(answer)
    }
}

/// Asks whether a delivery may be sent now, to an endpoint that has a rate or is tried after a rest.
#[derive(Clone, Copy, Debug)]
pub struct TakeTurn {
    /// The organisation.
    pub tenant: TenantId,
    /// The endpoint.
    pub endpoint: EndpointId,
    /// Until when it is tried whether the endpoint is well again, if it was left alone.
    pub probe_until: Option<Timestamp>,
    /// The most deliveries in a minute.
    pub rate_per_minute: Option<u32>,
    /// The present moment.
    pub now: Timestamp,
}

/// Whether a delivery may be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// It may.
    Now,
    /// Another tries just now whether the endpoint is well again.
    Probed,
    /// The rate is used up: this is its place in the line.
    At(Timestamp),
}

#[derive(sqlx::FromRow)]
struct SpentRow {
    group_key: String,
    full_at: At,
}

/// The longest line: what would stand behind it comes back at its end.
const LONGEST_LINE: Duration = Duration::from_secs(3600);
const MINUTE: Duration = Duration::from_secs(60);

/// So many in a minute, whichever minute: what may begin at once is a second's worth, and the rest of the minute makes up
/// for it.
#[must_use]
fn pace(per_minute: u32) -> Rate {
    let per_minute = per_minute.max(1);
    let at_once = per_minute.div_ceil(60);
    let step = MINUTE / (per_minute - at_once + 1);
    Rate { jobs: at_once, within: step * at_once }
}

impl Intent for TakeTurn {
    type Output = Turn;
    const WRITES: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Turn> {
        if let Some(until) = self.probe_until {
            let (id, tenant) = (self.endpoint.uuid(), self.tenant.uuid());
            let taken = tx.query(PROBE).bind(id).bind(tenant).bind(At(until)).bind(At(self.now)).run().await?;
            if taken == 0 {
                return Ok(Turn::Probed);
            }
        }
        let Some(per_minute) = self.rate_per_minute else { return Ok(Turn::Now) };
        let rate = pace(per_minute);
        // A change of the rate begins another line.
        let (spent, line) = (self.endpoint.to_string(), format!("{}/{per_minute}", self.endpoint));
        // On PostgreSQL a row has to be there to be locked.
        for key in [&spent, &line] {
            tx.query(OPEN_RATE).bind(DELIVERIES).bind(key.clone()).bind(At(self.now)).run().await?;
        }
        let rows: Vec<SpentRow> =
            tx.query(SPENT).bind(DELIVERIES).bind(spent.clone()).bind(line.clone()).rows().await?;
        let at = |key: &str| rows.iter().find(|row| row.group_key == key).map(|row| row.full_at.0);
        let mut bucket = Bucket::new(rate, at(&spent), self.now);
        if bucket.room(self.now) > 0 {
            bucket.spend(1);
            let full_at = At(Timestamp::from_millis(bucket.full_at()));
            tx.query(SPEND).bind(DELIVERIES).bind(spent).bind(full_at).run().await?;
            return Ok(Turn::Now);
        }
        let step = rate.within / rate.jobs;
        let first = at(&line).map_or(bucket.next_at(), |end| end.max(bucket.next_at()));
        let last = self.now.plus(LONGEST_LINE);
        let place = first.min(last);
        // Those that wait with it get their places behind it, so that each is looked at once and not again and again.
        let moved = put_off(tx, self.endpoint, |n| place.plus(step * (n + 1)).min(last)).await?;
        let end = place.plus(step * (moved + 1)).min(last);
        tx.query(SPEND).bind(DELIVERIES).bind(line).bind(At(end)).run().await?;
        Ok(Turn::At(place))
    }
}

/// Ends a delivery that is not sent: its endpoint was disabled or removed, or its event is gone.
#[derive(Clone, Debug)]
pub struct EndUnsent {
    /// The organisation.
    pub tenant: TenantId,
    /// The attempt of its job.
    pub attempt: crate::Fence,
    /// Why, for whoever reads the log.
    pub reason: &'static str,
    /// For how long the job is kept.
    pub keeping: Keeping,
    /// The present moment.
    pub now: Timestamp,
}

impl Intent for EndUnsent {
    type Output = ();
    const WRITES: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<()> {
        let ended = Finished {
            job: self.attempt.job,
            lease: self.attempt.lease,
            attempt: 0,
            started_at: self.now,
            ending: Ending::Done,
        };
        if finish(tx, &[ended], self.keeping, self.now).await?.is_empty() {
            return Ok(());
        }
        let (id, tenant) = (self.attempt.job.uuid(), self.tenant.uuid());
        tx.query(END_UNSENT).bind(id).bind(tenant).bind(self.reason).bind(At(self.now)).run().await?;
        tx.enqueued(DELIVERIES, self.now);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_no_minute_more_than_the_rate_begin() {
        for per_minute in [1, 2, 30, 60, 61, 90, 600, 6000] {
            let (rate, mut full_at) = (pace(per_minute), None);
            let mut begun: Vec<i64> = Vec::new();
            for millis in 0..150_000 {
                let now = Timestamp::from_millis(1_700_000_000_000 + millis);
                let mut bucket = Bucket::new(rate, full_at, now);
                while bucket.room(now) > 0 {
                    bucket.spend(1);
                    begun.push(millis);
                }
                full_at = Some(Timestamp::from_millis(bucket.full_at()));
            }
            for (first, start) in begun.iter().enumerate() {
                let within = begun[first..].iter().take_while(|at| **at < start + 60_000).count();
                assert!(within <= per_minute as usize, "{within} of {per_minute} in the minute from {start}");
            }
            // And not much fewer.
            let least = f64::from(per_minute) * 2.5 * 0.9 - 1.0;
            assert!(begun.len() as f64 >= least, "{} of {per_minute} a minute", begun.len());
        }
    }
}
