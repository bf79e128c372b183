//! Deliveries: events that organisations are told of at endpoints of their own.
//!
//! An event, its deliveries and their jobs are one transaction ([`publish`]): what was committed is delivered, whatever
//! dies. A delivery shares the id of its job; each attempt ends in one transaction that also writes its log and what it
//! says of the endpoint ([`ending`]), so that what is known of an endpoint holds for all nodes.
//!
//! The order of locks: jobs, deliveries, endpoints, each sorted by key.

pub(crate) mod cancelling;
pub(crate) mod counting;
pub(crate) mod ending;
pub(crate) mod endpoints;
pub(crate) mod housekeeping;
pub(crate) mod listing;
pub(crate) mod publish;
pub(crate) mod replay;
pub(crate) mod resting;
pub(crate) mod working;

use mainstay_domain::{DeliveryId, DisabledReason, EndpointId, EventId, EventType, Sealed, TenantId, Timestamp};
use ring::digest::{Context, SHA256};
use uuid::{Builder, Uuid};

use crate::error::{Error, Result};
use crate::members::word;
use crate::value::{At, count, json};

#[cfg(test)]
pub(crate) const ALL_STATEMENTS: &[&[crate::sql::Sql]] = &[
    cancelling::STATEMENTS,
    counting::STATEMENTS,
    ending::STATEMENTS,
    endpoints::STATEMENTS,
    housekeeping::STATEMENTS,
    listing::STATEMENTS,
    publish::STATEMENTS,
    replay::STATEMENTS,
    resting::STATEMENTS,
    working::STATEMENTS,
];

/// The queue that deliveries wait in.
pub const DELIVERIES: &str = "deliveries";
/// The kind of a job that delivers. It takes nothing: the delivery has its id.
pub const DELIVERY_KIND: &str = "webhook_delivery";
/// The queue of what is done for many deliveries at once.
pub const DELIVERY_CHORES: &str = "delivery_chores";
/// The kind of a job that cancels what waits for an endpoint.
pub const CANCELLING_KIND: &str = "webhook_cancelling";
/// The kind of a job that delivers events of a range again.
pub const REPLAY_KIND: &str = "webhook_replay";

/// The type of the event that tells of a disabled endpoint.
pub const ENDPOINT_DISABLED: &str = "webhook_endpoint.disabled";

/// The type of the event that somebody sends to see whether an endpoint works.
pub const TEST_EVENT: &str = "webhook.test";

/// The most endpoints of an organisation.
pub const MOST_ENDPOINTS: u32 = 50;

/// A job may be begun so often, among them attempts whose worker died. How often a delivery is tried is another matter,
/// which whoever delivers decides.
const MOST_STARTS: u32 = 1000;

fn write_types(types: &[EventType]) -> Result<String> {
    json(types)
}

fn read_types(text: &str) -> Result<Vec<EventType>> {
    serde_json::from_str(text).map_err(|_| corrupt("event types"))
}

fn corrupt(what: &str) -> Error {
    Error::Corrupt(format!("the {what} of an endpoint cannot be read"))
}

/// An endpoint that events are delivered to.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// Its id.
    pub id: EndpointId,
    /// The organisation.
    pub tenant: TenantId,
    /// Where it is.
    pub url: String,
    /// What it is for.
    pub description: String,
    /// Which types of events it is told of; all when there is none.
    pub event_types: Vec<EventType>,
    /// What signs.
    pub secrets: Sealed,
    /// The most deliveries in a minute.
    pub rate_per_minute: Option<u32>,
    /// Why it is disabled, and since when; nothing while it is enabled.
    pub disabled: Option<(DisabledReason, Timestamp)>,
    /// How it has been doing.
    pub health: Health,
    /// Since when it is there.
    pub created_at: Timestamp,
    /// When it was last changed by somebody.
    pub updated_at: Timestamp,
}

/// How an endpoint has been doing: the state of its breaker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// Since when nothing has been taken.
    pub failing_since: Option<Timestamp>,
    /// How many attempts in a row have failed.
    pub failures: u32,
    /// How often in a row it was left alone for that.
    pub rests: u32,
    /// Until when nothing is sent.
    pub rest_until: Option<Timestamp>,
    /// Until when one delivery tries whether it is well again.
    pub probe_until: Option<Timestamp>,
}

impl Health {
    /// Until when nothing may be sent, if it is left alone now.
    #[must_use]
    pub fn rests_until(&self, now: Timestamp) -> Option<Timestamp> {
        self.rest_until.filter(|until| *until > now)
    }

    /// Whether one delivery has to try first whether it is well again.
    #[must_use]
    pub const fn needs_probe(&self) -> bool {
        self.rests > 0
    }
}

/// The columns of an endpoint, as every statement that reads one lists them.
#[derive(sqlx::FromRow)]
struct EndpointRow {
    id: Uuid,
    tenant_id: Uuid,
    url: String,
    description: String,
    event_types: String,
    secrets: String,
    rate_per_minute: Option<i64>,
    state: String,
    disabled_reason: Option<String>,
    disabled_at: Option<At>,
    failing_since: Option<At>,
    consecutive_failures: i64,
    rests: i64,
    rest_until: Option<At>,
    probe_until: Option<At>,
    created_at: At,
    updated_at: At,
}

impl TryFrom<EndpointRow> for Endpoint {
    type Error = Error;

    fn try_from(row: EndpointRow) -> Result<Self> {
        let reason = row.disabled_reason.as_deref().map(word::<DisabledReason>).transpose()?;
        Ok(Self {
            id: EndpointId(row.id),
            tenant: TenantId(row.tenant_id),
            url: row.url,
            description: row.description,
            event_types: read_types(&row.event_types)?,
            secrets: Sealed::of_column(&row.secrets),
            rate_per_minute: row.rate_per_minute.map(count),
            disabled: (row.state == DISABLED).then(|| {
                (reason.unwrap_or(DisabledReason::Asked), row.disabled_at.map_or(row.updated_at.0, |at| at.0))
            }),
            health: Health {
                failing_since: row.failing_since.map(|at| at.0),
                failures: count(row.consecutive_failures),
                rests: count(row.rests),
                rest_until: row.rest_until.map(|at| at.0),
                probe_until: row.probe_until.map(|at| at.0),
            },
            created_at: row.created_at.0,
            updated_at: row.updated_at.0,
        })
    }
}

/// The states of an endpoint in the database.
const ENABLED: &str = "enabled";
const DISABLED: &str = "disabled";

/// Whether an endpoint is told of events of a type.
fn wants(types: &[EventType], kind: &str) -> bool {
    types.is_empty() || types.iter().any(|one| one.as_str() == kind)
}

/// An id that follows from what it stands for, so that a transaction that is tried again makes the same one, and needs no
/// chance. It carries the moment as every other id does, so that indices grow at their end.
pub(crate) fn derived(now: Timestamp, parts: &[&[u8]]) -> Uuid {
    let mut context = Context::new(&SHA256);
    for part in parts {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part);
    }
    let digest = context.finish();
    let mut random = [0; 10];
    random.copy_from_slice(&digest.as_ref()[..10]);
    let millis = u64::try_from(now.as_millis()).unwrap_or(0);
    Builder::from_unix_timestamp_millis(millis, &random).into_uuid()
}

/// The id of the delivery of an event to an endpoint. `cause` tells apart those that are made at different times.
fn delivery_id(event: EventId, endpoint: EndpointId, cause: Uuid, now: Timestamp) -> DeliveryId {
    DeliveryId(derived(now, &[event.uuid().as_bytes(), endpoint.uuid().as_bytes(), cause.as_bytes()]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_follows_from_what_it_stands_for() {
        let now = Timestamp::from_millis(1_700_000_000_000);
        let (event, endpoint) = (EventId(Uuid::from_u128(1)), EndpointId(Uuid::from_u128(2)));
        let id = delivery_id(event, endpoint, Uuid::nil(), now);
        assert_eq!(id, delivery_id(event, endpoint, Uuid::nil(), now));
        assert_eq!((id.uuid().get_version_num(), id.uuid().as_u128() >> 80), (7, 1_700_000_000_000));
        assert_ne!(id, delivery_id(event, endpoint, Uuid::max(), now));
        assert_ne!(id, delivery_id(event, EndpointId(Uuid::from_u128(3)), Uuid::nil(), now));
    }
}
