//! Publishing: an event, its deliveries and the promise to make them are one transaction.

use mainstay_domain::{EndpointId, EventId, EventType, JobPriority, PersonId, TenantId, Timestamp};
use serde::Serialize;
use uuid::Uuid;

use super::{DELIVERIES, DELIVERY_KIND, MOST_STARTS, delivery_id, read_types, wants};
use crate::error::{Error, Result};
use crate::idempotency::{Once, claim_with};
use crate::intent::Intent;
use crate::jobs::NewJob;
use crate::jobs::enqueue::enqueue;
use crate::sql::statements;
use crate::turns::Claim;
use crate::tx::{Scope, Tx};
use crate::value::{At, count};

statements! {
    EVENTS = insert((id: uuid, tenant_id: uuid, kind: text, payload: text, created_at: time) "
        webhook_event (id, tenant_id, kind, payload, created_at)
        SELECT id, tenant_id, kind, payload, created_at FROM batch");
    /// Whoever is told of events of an organisation.
    LISTENERS = both("
        SELECT e.id, e.event_types, e.rest_until FROM webhook_endpoint e
        WHERE e.tenant_id = $1 AND e.state = 'enabled' ORDER BY e.created_at, e.id LIMIT 100");
    /// Whoever is told of them, or would be if it were enabled.
    ENDPOINTS = both("
        SELECT e.id, e.event_types, e.rest_until, e.state FROM webhook_endpoint e
        WHERE e.tenant_id = $1 ORDER BY e.created_at, e.id LIMIT 100");
    DELIVERIES_OF = insert((id: uuid, tenant_id: uuid, event_id: uuid, endpoint_id: uuid, kind: text, next_at: time, created_at: time) "
        webhook_delivery (id, tenant_id, event_id, endpoint_id, kind, state, attempts, next_at, created_at)
        SELECT id, tenant_id, event_id, endpoint_id, kind, 'pending', 0, next_at, created_at FROM batch");
    FIND = both("
        SELECT v.id, v.kind, v.created_at,
          (SELECT count(*) FROM webhook_delivery d WHERE d.tenant_id = $2 AND d.event_id = $1) AS deliveries
        FROM webhook_event v WHERE v.id = $1 AND v.tenant_id = $2");
    ONE_LISTENER = both("
        SELECT e.id, e.event_types, e.rest_until FROM webhook_endpoint e
        WHERE e.id = $1 AND e.tenant_id = $2 AND e.state = 'enabled'");
    TYPES = both("
        WITH RECURSIVE held (kind, n) AS (
          SELECT (SELECT min(v.kind) FROM webhook_event v WHERE v.tenant_id = $1), cast(1 AS bigint)
          UNION ALL
          SELECT (SELECT min(v.kind) FROM webhook_event v WHERE v.tenant_id = $1 AND v.kind > held.kind), held.n + 1
          FROM held WHERE held.kind IS NOT NULL AND held.n < 500)
        SELECT held.kind FROM held WHERE held.kind IS NOT NULL");
}

/// An event to publish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewEvent {
    /// Its id: what receivers know a repeat by.
    pub id: EventId,
    /// What sort of event.
    pub kind: EventType,
    /// Its data, as JSON. Whoever takes it in has bounded it.
    pub payload: String,
}

#[derive(Serialize)]
struct EventRow<'a> {
    id: Uuid,
    tenant_id: Uuid,
    kind: &'a str,
    payload: &'a str,
    created_at: i64,
}

#[derive(Serialize)]
struct DeliveryRow<'a> {
    id: Uuid,
    tenant_id: Uuid,
    event_id: Uuid,
    endpoint_id: Uuid,
    kind: &'a str,
    next_at: i64,
    created_at: i64,
}

#[derive(sqlx::FromRow)]
struct ListenerRow {
    id: Uuid,
    event_types: String,
    rest_until: Option<At>,
}

/// Whoever may be told.
pub(super) struct Listener {
    id: EndpointId,
    types: Vec<EventType>,
    rest_until: Option<Timestamp>,
}

impl TryFrom<ListenerRow> for Listener {
    type Error = Error;

    fn try_from(row: ListenerRow) -> Result<Self> {
        let types = read_types(&row.event_types)?;
        Ok(Self { id: EndpointId(row.id), types, rest_until: row.rest_until.map(|at| at.0) })
    }
}

/// What is to be delivered where.
pub(super) struct Due<'a> {
    pub(super) event: EventId,
    pub(super) kind: &'a str,
    pub(super) listener: &'a Listener,
    /// What tells this delivery from others of the same event to the same endpoint.
    pub(super) cause: Uuid,
}

/// For so long what waits for an endpoint that is left alone comes back after its rest, one after the other.
const SPREAD_MILLIS: u64 = 2_000;

/// Promises deliveries in this transaction.
pub(super) async fn promise(tx: &mut Tx<'_>, tenant: TenantId, due: &[Due<'_>], now: Timestamp) -> Result<()> {
    if due.is_empty() {
        return Ok(());
    }
    let (mut rows, mut jobs) = (Vec::with_capacity(due.len()), Vec::with_capacity(due.len()));
    for one in due {
        let id = delivery_id(one.event, one.listener.id, one.cause, now);
        // An endpoint that is left alone costs nothing until its rest is over. The id stands in for chance.
        let spread = std::time::Duration::from_millis(u64::from(id.uuid().as_bytes()[15]) * SPREAD_MILLIS / 256);
        let run_at = one.listener.rest_until.filter(|until| *until > now).map_or(now, |until| until.plus(spread));
        rows.push(DeliveryRow {
            id: id.uuid(),
            tenant_id: tenant.uuid(),
            event_id: one.event.uuid(),
            endpoint_id: one.listener.id.uuid(),
            kind: one.kind,
            next_at: run_at.as_millis(),
            created_at: now.as_millis(),
        });
        jobs.push(NewJob {
            id: id.into(),
            queue: DELIVERIES,
            kind: DELIVERY_KIND,
            group: one.listener.id.to_string(),
            tenant: Some(tenant),
            priority: JobPriority::Normal,
            arguments: "{}".to_owned(),
            unique: None,
            run_at,
            most_attempts: MOST_STARTS,
            trace: None,
        });
    }
    tx.batch(DELIVERIES_OF, &rows).run().await?;
    enqueue(tx, &jobs, now).await.map(|_| ())
}

async fn store_events(tx: &mut Tx<'_>, tenant: TenantId, events: &[NewEvent], now: Timestamp) -> Result<()> {
    let rows: Vec<_> = events
        .iter()
        .map(|event| EventRow {
            id: event.id.uuid(),
            tenant_id: tenant.uuid(),
            kind: event.kind.as_str(),
            payload: &event.payload,
            created_at: now.as_millis(),
        })
        .collect();
    tx.batch(EVENTS, &rows).run().await.map(|_| ())
}

/// What is to be delivered to whichever of these wants it, and to how many of them each event goes.
fn due_to<'a>(listeners: &'a [Listener], events: &'a [NewEvent]) -> (Vec<Due<'a>>, Vec<u32>) {
    let mut due = Vec::new();
    let mut counts = Vec::with_capacity(events.len());
    for event in events {
        let before = due.len();
        let wanting = listeners.iter().filter(|listener| wants(&listener.types, event.kind.as_str()));
        due.extend(wanting.map(|listener| Due {
            event: event.id,
            kind: event.kind.as_str(),
            listener,
            cause: Uuid::nil(),
        }));
        counts.push(u32::try_from(due.len() - before).unwrap_or(u32::MAX));
    }
    (due, counts)
}

/// Publishes events of an organisation in this transaction: to whichever of its endpoints want them. The answer is to how
/// many each of them goes.
pub(crate) async fn publish(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    events: &[NewEvent],
    now: Timestamp,
) -> Result<Vec<u32>> {
    store_events(tx, tenant, events, now).await?;
    let listeners: Vec<ListenerRow> = tx.query(LISTENERS).bind(tenant.uuid()).rows().await?;
    let listeners: Vec<Listener> = listeners.into_iter().map(Listener::try_from).collect::<Result<_>>()?;
    let (due, counts) = due_to(&listeners, events);
    promise(tx, tenant, &due, now).await?;
    Ok(counts)
}

#[derive(sqlx::FromRow)]
struct EndpointRow {
    #[sqlx(flatten)]
    listener: ListenerRow,
    state: String,
}

/// Publishes events in this transaction that tell of what is stored elsewhere, too: those that an endpoint wants, be it
/// enabled or not. Of the others there is no trace, so that nobody pays for what they do not listen to.
pub(crate) async fn publish_wanted(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    mut events: Vec<NewEvent>,
    now: Timestamp,
) -> Result<()> {
    let rows: Vec<EndpointRow> = tx.query(ENDPOINTS).bind(tenant.uuid()).rows().await?;
    let (mut wanted, mut listeners) = (Vec::new(), Vec::new());
    for row in rows {
        let enabled = row.state == "enabled";
        let listener = Listener::try_from(row.listener)?;
        wanted.push(listener.types.clone());
        if enabled {
            listeners.push(listener);
        }
    }
    events.retain(|event| wanted.iter().any(|types| wants(types, event.kind.as_str())));
    if events.is_empty() {
        return Ok(());
    }
    store_events(tx, tenant, &events, now).await?;
    let (due, _) = due_to(&listeners, &events);
    promise(tx, tenant, &due, now).await
}

/// Publishes events of an organisation.
#[derive(Clone, Debug)]
pub struct PublishEvents {
    /// The organisation.
    pub tenant: TenantId,
    /// The events, 1 to 100.
    pub events: Vec<NewEvent>,
    /// Who publishes them, and the idempotency key, if there is one: it stands for the first event.
    pub claim: Option<(PersonId, Claim)>,
    /// The present moment.
    pub now: Timestamp,
}

/// What an idempotency key of an event is for.
pub const PUBLISHING: &str = "webhook_event";

impl Intent for PublishEvents {
    /// To how many endpoints each event goes.
    type Output = Once<Vec<u32>>;
    const WRITES: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Once<Vec<u32>>> {
        if let Some(first) = self.events.first() {
            let made = (PUBLISHING, first.id.uuid());
            if let Some(used) = claim_with(tx, self.tenant, self.claim.as_ref(), made, self.now).await? {
                return Ok(Once::Repeat(used));
            }
        }
        publish(tx, self.tenant, &self.events, self.now).await.map(Once::Done)
    }
}

/// Publishes an event to one endpoint only, whatever its filter: a test. False when there is none that is enabled.
#[derive(Clone, Debug)]
pub struct PublishTo {
    /// The organisation.
    pub tenant: TenantId,
    /// The endpoint.
    pub endpoint: EndpointId,
    /// The event.
    pub event: NewEvent,
    /// The present moment.
    pub now: Timestamp,
}

pub(super) async fn one_listener(tx: &mut Tx<'_>, tenant: TenantId, endpoint: EndpointId) -> Result<Option<Listener>> {
    let row: Option<ListenerRow> = tx.query(ONE_LISTENER).bind(endpoint.uuid()).bind(tenant.uuid()).row().await?;
    row.map(Listener::try_from).transpose()
}

impl Intent for PublishTo {
    type Output = bool;
    const WRITES: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<bool> {
        let Some(listener) = one_listener(tx, self.tenant, self.endpoint).await? else { return Ok(false) };
        store_events(tx, self.tenant, std::slice::from_ref(&self.event), self.now).await?;
        let due = Due { event: self.event.id, kind: self.event.kind.as_str(), listener: &listener, cause: Uuid::nil() };
        promise(tx, self.tenant, &[due], self.now).await?;
        Ok(true)
    }
}

impl Listener {
    pub(super) fn wants(&self, kind: &str) -> bool {
        wants(&self.types, kind)
    }
}

/// An event that was published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishedEvent {
    /// Its id.
    pub id: EventId,
    /// What sort of event.
    pub kind: String,
    /// When it was published.
    pub created_at: Timestamp,
    /// How many deliveries of it there are, repeats among them.
    pub deliveries: u32,
}

#[derive(sqlx::FromRow)]
struct PublishedRow {
    id: Uuid,
    kind: String,
    created_at: At,
    deliveries: i64,
}

/// Reads an event that was published, without its data.
#[derive(Clone, Copy, Debug)]
pub struct FindEvent {
    /// The organisation.
    pub tenant: TenantId,
    /// The event.
    pub id: EventId,
}

impl Intent for FindEvent {
    type Output = Option<PublishedEvent>;
    const WRITES: bool = false;
    const ONE_STATEMENT: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output> {
        let row: Option<PublishedRow> = tx.query(FIND).bind(self.id.uuid()).bind(self.tenant.uuid()).row().await?;
        Ok(row.map(|row| PublishedEvent {
            id: EventId(row.id),
            kind: row.kind,
            created_at: row.created_at.0,
            deliveries: count(row.deliveries),
        }))
    }
}

#[derive(sqlx::FromRow)]
struct KindRow {
    kind: String,
}

/// Lists the types of the events that an organisation has published and that are kept, at most 500.
#[derive(Clone, Copy, Debug)]
pub struct ListEventTypes(pub TenantId);

impl Intent for ListEventTypes {
    type Output = Vec<String>;
    const WRITES: bool = false;
    const ONE_STATEMENT: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.0)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Vec<String>> {
        let rows: Vec<KindRow> = tx.query(TYPES).bind(self.0.uuid()).rows().await?;
        Ok(rows.into_iter().map(|row| row.kind).collect())
    }
}
