//! Deliveries as their owners see them: lists, and the log of one.

use mainstay_domain::{DeliveryId, DeliveryState, EndpointId, EventId, TenantId, Timestamp};
use uuid::Uuid;

use super::working::EventContent;
use crate::error::{Error, Result};
use crate::intent::Intent;
use crate::members::word;
use crate::sql::statements;
use crate::tx::{Scope, Tx};
use crate::value::{At, Id, count};

statements! {
    /// A bounded walk down the ids, which are of the order in which they were made: what does not fit is passed over.
    LIST = both("
        SELECT w.id, w.event_id, w.endpoint_id, w.kind, w.state, w.attempts, w.status, w.error, w.next_at, w.created_at, w.ended_at
        FROM (SELECT d.* FROM webhook_delivery d WHERE d.tenant_id = $1 AND d.id < $2 ORDER BY d.id DESC LIMIT $3) w
        WHERE ($4 = '' OR w.state = $4) AND ($5 = '' OR w.kind = $5) ORDER BY w.id DESC LIMIT $6");
    WALKED = both("
        SELECT d.id FROM webhook_delivery d WHERE d.tenant_id = $1 AND d.id < $2 ORDER BY d.id DESC LIMIT 1 OFFSET $3");
    LIST_OF = both("
        SELECT w.id, w.event_id, w.endpoint_id, w.kind, w.state, w.attempts, w.status, w.error, w.next_at, w.created_at, w.ended_at
        FROM (SELECT d.* FROM webhook_delivery d WHERE d.tenant_id = $1 AND d.endpoint_id = $7 AND d.id < $2
              ORDER BY d.id DESC LIMIT $3) w
        WHERE ($4 = '' OR w.state = $4) AND ($5 = '' OR w.kind = $5) ORDER BY w.id DESC LIMIT $6");
    WALKED_OF = both("
        SELECT d.id FROM webhook_delivery d WHERE d.tenant_id = $1 AND d.endpoint_id = $4 AND d.id < $2
        ORDER BY d.id DESC LIMIT 1 OFFSET $3");
    GET = both("
        SELECT d.id, d.event_id, d.endpoint_id, d.kind, d.state, d.attempts, d.status, d.error, d.next_at, d.created_at, d.ended_at,
          v.kind AS event_kind, v.payload, v.created_at AS published_at
        FROM webhook_delivery d LEFT JOIN webhook_event v ON v.id = d.event_id AND v.tenant_id = d.tenant_id
        WHERE d.id = $1 AND d.tenant_id = $2");
    ATTEMPTS = both("
        SELECT number, started_at, took_ms, status, error, request_headers, response_headers, response_body FROM webhook_attempt
        WHERE delivery_id = $1 AND tenant_id = $2 ORDER BY number LIMIT 100");
}

/// How many deliveries one list walks over at most; the answer says where the next one goes on.
const WALK: i64 = 2000;

/// A delivery as it is listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Its id.
    pub id: DeliveryId,
    /// Of which event.
    pub event: EventId,
    /// To where.
    pub endpoint: EndpointId,
    /// What sort of event.
    pub kind: String,
    /// Where it is in its life.
    pub state: DeliveryState,
    /// How many attempts were made.
    pub attempts: u32,
    /// The status of the last answer.
    pub status: Option<u16>,
    /// What was wrong with it.
    pub error: Option<String>,
    /// When it is tried, or tried again.
    pub next_at: Option<Timestamp>,
    /// When it was promised.
    pub created_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
}

#[derive(sqlx::FromRow)]
struct DeliveryRow {
    id: Uuid,
    event_id: Uuid,
    endpoint_id: Uuid,
    kind: String,
    state: String,
    attempts: i64,
    status: Option<i64>,
    error: Option<String>,
    next_at: Option<At>,
    created_at: At,
    ended_at: Option<At>,
}

fn status(number: Option<i64>) -> Option<u16> {
    number.and_then(|number| u16::try_from(number).ok())
}

impl TryFrom<DeliveryRow> for Delivery {
    type Error = Error;

    fn try_from(row: DeliveryRow) -> Result<Self> {
        Ok(Self {
            id: DeliveryId(row.id),
            event: EventId(row.event_id),
            endpoint: EndpointId(row.endpoint_id),
            kind: row.kind,
            state: word(&row.state)?,
            attempts: count(row.attempts),
            status: status(row.status),
            error: row.error,
            next_at: row.next_at.map(|at| at.0),
            created_at: row.created_at.0,
            ended_at: row.ended_at.map(|at| at.0),
        })
    }
}

/// Lists deliveries of an organisation, the newest first. A page looks at 2,000 of them at most.
#[derive(Clone, Debug)]
pub struct ListDeliveries {
    /// The organisation.
    pub tenant: TenantId,
    /// To this endpoint.
    pub endpoint: Option<EndpointId>,
    /// In this state.
    pub state: Option<DeliveryState>,
    /// Of events of this type; the empty text stands for all.
    pub kind: String,
    /// After this one.
    pub after: Option<DeliveryId>,
    /// At most so many.
    pub limit: u32,
}

/// A page of deliveries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliveryPage {
    /// The deliveries. There may be fewer than were asked for although more follow.
    pub deliveries: Vec<Delivery>,
    /// Where the next page goes on; nothing at the end.
    pub next: Option<DeliveryId>,
}

impl Intent for ListDeliveries {
    type Output = DeliveryPage;
    const WRITES: bool = false;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<DeliveryPage> {
        let after = self.after.map_or(Uuid::max(), DeliveryId::uuid);
        let mut query = tx
            .query(if self.endpoint.is_some() { LIST_OF } else { LIST })
            .bind(self.tenant.uuid())
            .bind(after)
            .bind(WALK)
            .bind(self.state.map_or("", DeliveryState::as_str))
            .bind(self.kind.clone())
            .bind(i64::from(self.limit));
        if let Some(endpoint) = self.endpoint {
            query = query.bind(endpoint.uuid());
        }
        let rows: Vec<DeliveryRow> = query.rows().await?;
        let deliveries: Vec<Delivery> = rows.into_iter().map(Delivery::try_from).collect::<Result<_>>()?;
        if deliveries.len() >= self.limit as usize {
            let next = deliveries.last().map(|delivery| delivery.id);
            return Ok(DeliveryPage { deliveries, next });
        }
        let mut walked = tx
            .query(if self.endpoint.is_some() { WALKED_OF } else { WALKED })
            .bind(self.tenant.uuid())
            .bind(after)
            .bind(WALK - 1);
        if let Some(endpoint) = self.endpoint {
            walked = walked.bind(endpoint.uuid());
        }
        let next = walked.row::<Id>().await?.map(|row| DeliveryId(row.id));
        Ok(DeliveryPage { deliveries, next })
    }
}

/// An attempt as it was logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoggedAttempt {
    /// Which attempt, from 1.
    pub number: u32,
    /// When it began.
    pub started_at: Timestamp,
    /// How long it took, in milliseconds.
    pub took_ms: i64,
    /// The status of the answer.
    pub status: Option<u16>,
    /// What was wrong.
    pub error: Option<String>,
    /// The headers of the request, as JSON, without signatures.
    pub request_headers: String,
    /// Headers of the answer, as JSON.
    pub response_headers: String,
    /// The beginning of the answer's body.
    pub response_body: String,
}

#[derive(sqlx::FromRow)]
struct AttemptRow {
    number: i64,
    started_at: At,
    took_ms: i64,
    status: Option<i64>,
    error: Option<String>,
    request_headers: String,
    response_headers: String,
    response_body: String,
}

impl From<AttemptRow> for LoggedAttempt {
    fn from(row: AttemptRow) -> Self {
        Self {
            number: count(row.number),
            started_at: row.started_at.0,
            took_ms: row.took_ms,
            status: status(row.status),
            error: row.error,
            request_headers: row.request_headers,
            response_headers: row.response_headers,
            response_body: row.response_body,
        }
    }
}

/// A delivery with its event and its log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliveryLog {
    /// The delivery.
    pub delivery: Delivery,
    /// Its event; nothing when it was kept long enough.
    pub content: Option<EventContent>,
    /// The attempts, the first 100.
    pub attempts: Vec<LoggedAttempt>,
}

#[derive(sqlx::FromRow)]
struct LogRow {
    #[sqlx(flatten)]
    delivery: DeliveryRow,
    event_kind: Option<String>,
    payload: Option<String>,
    published_at: Option<At>,
}

/// Reads a delivery and its log.
#[derive(Clone, Copy, Debug)]
pub struct GetDelivery {
    /// The organisation.
    pub tenant: TenantId,
    /// The delivery.
    pub id: DeliveryId,
}

impl Intent for GetDelivery {
    type Output = Option<DeliveryLog>;
    const WRITES: bool = false;
    const SNAPSHOT: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output> {
        let (id, tenant) = (self.id.uuid(), self.tenant.uuid());
        let Some(row) = tx.query(GET).bind(id).bind(tenant).row::<LogRow>().await? else { return Ok(None) };
        let attempts: Vec<AttemptRow> = tx.query(ATTEMPTS).bind(id).bind(tenant).rows().await?;
        let content = match (row.event_kind, row.payload, row.published_at) {
            (Some(kind), Some(payload), Some(at)) => Some(EventContent { kind, payload, published_at: at.0 }),
            _ => None,
        };
        Ok(Some(DeliveryLog {
            delivery: row.delivery.try_into()?,
            content,
            attempts: attempts.into_iter().map(LoggedAttempt::from).collect(),
        }))
    }
}
