//! `/v1/webhook-events`, `/v1/webhook-event-types` and `/v1/webhook-deliveries`.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use mainstay_domain::{DeliveryId, DeliveryState, EndpointId, Error, Timestamp};
use mainstay_store::{
    CountedDeliveries, Delivery, DeliveryCounts, DeliveryLog, EMAIL_EVENTS, ENDPOINT_DISABLED, ListDeliveries,
    LoggedAttempt, PUBLISHING, PublishedEvent, TEST_EVENT,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::accounts::Administrator;
use crate::app::App;
use crate::deliveries::service::{LARGEST_PAYLOAD, state};
use crate::http::idempotency::Idempotency;
use crate::http::page::{self, Page};
use crate::http::{Document, Json, Path, Problem, Query, RequestContext};

/// The largest body of an event: its data, its type, and white space.
pub const LARGEST_BODY: usize = LARGEST_PAYLOAD + 64 * 1024;

/// An event to publish.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PublishBody {
    /// What sort of event: words of letters, digits and `_` with dots between them.
    #[serde(rename = "type")]
    #[schema(example = "invoice.paid", value_type = crate::openapi::words::EventType)]
    kind: String,
    /// What there is to say of it; at most 256 KiB as JSON.
    #[schema(value_type = Object)]
    data: Map<String, Value>,
}

/// An event that was published.
#[derive(Serialize, ToSchema)]
pub struct PublishedBody {
    /// What receivers see as `webhook-id`.
    id: Uuid,
    #[serde(rename = "type")]
    kind: String,
    #[schema(value_type = String, format = DateTime)]
    timestamp: Timestamp,
    /// How many deliveries of it there are.
    deliveries: u32,
}

impl From<PublishedEvent> for PublishedBody {
    fn from(event: PublishedEvent) -> Self {
        Self { id: event.id.uuid(), kind: event.kind, timestamp: event.created_at, deliveries: event.deliveries }
    }
}

/// A type of events.
#[derive(Serialize, ToSchema)]
pub struct EventTypeBody {
    #[serde(rename = "type")]
    kind: String,
    /// What it means, for those that this server tells of itself.
    description: Option<&'static str>,
}

/// The types of events.
#[derive(Serialize, ToSchema)]
pub struct EventTypesBody {
    data: Vec<EventTypeBody>,
    /// Always null: there are no further pages.
    next: Option<String>,
}

/// Which deliveries, and which page.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct DeliveriesQuery {
    /// Rows of a page: 1 to 100, 50 when it is left out. There may be fewer although more follow.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u32>,
    /// `next` of the page before.
    after: Option<String>,
    /// To this endpoint.
    endpoint: Option<Uuid>,
    /// Of events of this type.
    #[serde(rename = "type")]
    kind: Option<String>,
    /// pending, delivered, failed or cancelled.
    #[param(value_type = Option<crate::openapi::words::DeliveryState>)]
    state: Option<String>,
}

/// A delivery.
#[derive(Serialize, ToSchema)]
pub struct DeliveryBody {
    id: Uuid,
    event_id: Uuid,
    endpoint_id: Uuid,
    #[serde(rename = "type")]
    kind: String,
    /// pending, delivered, failed or cancelled.
    #[schema(value_type = crate::openapi::words::DeliveryState)]
    state: DeliveryState,
    /// How many attempts were made.
    attempts: u32,
    /// The status of the last answer.
    status: Option<u16>,
    /// What was wrong, or why it was cancelled.
    error: Option<String>,
    /// When it is tried, or tried again.
    #[schema(value_type = Option<String>, format = DateTime)]
    next_at: Option<Timestamp>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = Option<String>, format = DateTime)]
    ended_at: Option<Timestamp>,
}

impl From<Delivery> for DeliveryBody {
    fn from(row: Delivery) -> Self {
        Self {
            id: row.id.uuid(),
            event_id: row.event.uuid(),
            endpoint_id: row.endpoint.uuid(),
            kind: row.kind,
            state: row.state,
            attempts: row.attempts,
            status: row.status,
            error: row.error,
            next_at: row.next_at,
            created_at: row.created_at,
            ended_at: row.ended_at,
        }
    }
}

/// An attempt.
#[derive(Serialize, ToSchema)]
pub struct DeliveryAttemptBody {
    number: u32,
    #[schema(value_type = String, format = DateTime)]
    started_at: Timestamp,
    took_ms: i64,
    status: Option<u16>,
    error: Option<String>,
    /// As they were sent, without signatures.
    #[schema(value_type = Object)]
    request_headers: Value,
    /// `content-type`, `location` and `retry-after`, where they came.
    #[schema(value_type = Object)]
    response_headers: Value,
    /// At most 4096 bytes of it.
    response_body: String,
}

impl From<LoggedAttempt> for DeliveryAttemptBody {
    fn from(row: LoggedAttempt) -> Self {
        let headers = |text: &str| serde_json::from_str(text).unwrap_or(Value::Null);
        Self {
            number: row.number,
            started_at: row.started_at,
            took_ms: row.took_ms,
            status: row.status,
            error: row.error,
            request_headers: headers(&row.request_headers),
            response_headers: headers(&row.response_headers),
            response_body: row.response_body,
        }
    }
}

/// A delivery with its event and its log.
#[derive(Serialize, ToSchema)]
pub struct DeliveryLogBody {
    #[serde(flatten)]
    delivery: DeliveryBody,
    /// When the event was published; null when it was kept long enough.
    #[schema(value_type = Option<String>, format = DateTime)]
    published_at: Option<Timestamp>,
    /// The data of the event; null when it was kept long enough.
    #[schema(value_type = Object)]
    data: Value,
    log: Vec<DeliveryAttemptBody>,
}

impl From<DeliveryLog> for DeliveryLogBody {
    fn from(log: DeliveryLog) -> Self {
        let published_at = log.content.as_ref().map(|content| content.published_at);
        let data = log.content.and_then(|content| serde_json::from_str(&content.payload).ok());
        Self {
            delivery: log.delivery.into(),
            published_at,
            data: data.unwrap_or(Value::Null),
            log: log.attempts.into_iter().map(DeliveryAttemptBody::from).collect(),
        }
    }
}

/// How the deliveries to an endpoint fare.
#[derive(Serialize, ToSchema)]
pub struct EndpointCountsBody {
    /// Where to. It may have been removed.
    endpoint_id: Uuid,
    /// What waits, also when it is older than the newest 10,000 deliveries.
    pending: u32,
    delivered: u32,
    failed: u32,
    cancelled: u32,
}

/// How the newest 10,000 deliveries fare, and what waits.
#[derive(Serialize, ToSchema)]
pub struct DeliveryCountsBody {
    pending: u32,
    delivered: u32,
    failed: u32,
    cancelled: u32,
    /// True when there are older ones, which are not counted unless they wait.
    more: bool,
    /// Endpoints that are there, or that some of the newest deliveries went to.
    endpoints: Vec<EndpointCountsBody>,
}

impl From<CountedDeliveries> for DeliveryCountsBody {
    fn from(counted: CountedDeliveries) -> Self {
        let sum = |of: fn(&DeliveryCounts) -> u32| counted.endpoints.values().map(of).fold(0, u32::saturating_add);
        let row = |(endpoint, counts): (&EndpointId, &DeliveryCounts)| EndpointCountsBody {
            endpoint_id: endpoint.uuid(),
            pending: counts.pending,
            delivered: counts.delivered,
            failed: counts.failed,
            cancelled: counts.cancelled,
        };
        Self {
            pending: sum(|of| of.pending),
            delivered: sum(|of| of.delivered),
            failed: sum(|of| of.failed),
            cancelled: sum(|of| of.cancelled),
            more: counted.more,
            endpoints: counted.endpoints.iter().map(row).collect(),
        }
    }
}

/// A delivery that was made anew.
#[derive(Serialize, ToSchema)]
pub struct DeliveryReplayedBody {
    id: Uuid,
}

/// Publishes an event of your own to the endpoints of the organisation that want it. It is stored with the promise to
/// deliver it: what was answered with 201 is delivered.
#[utoipa::path(post, path = "/v1/webhook-events", tag = "deliveries", request_body = PublishBody,
    params(("Idempotency-Key" = Option<String>, Header)),
    responses((status = 201, body = PublishedBody), (status = "default", body = Document<'static>)))]
pub async fn publish(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Administrator(by): Administrator,
    idempotency: Idempotency,
    Json(body): Json<PublishBody>,
) -> Result<(StatusCode, Json<PublishedBody>), Problem> {
    let claim = idempotency.claim(PUBLISHING, &body)?;
    let payload = serde_json::to_string(&body.data).map_err(Error::internal)?;
    let published = app.deliveries.publish(&context.call, &by, (&body.kind, payload), claim).await?;
    Ok((StatusCode::CREATED, Json(published.into())))
}

/// Lists the types of events: those that this server tells of itself, and those that the organisation has published.
#[utoipa::path(get, path = "/v1/webhook-event-types", tag = "deliveries",
    responses((status = 200, body = EventTypesBody), (status = "default", body = Document<'static>)))]
pub async fn types(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Administrator(by): Administrator,
) -> Result<Json<EventTypesBody>, Problem> {
    let own = [
        (TEST_EVENT, "Somebody sees whether an endpoint works."),
        (ENDPOINT_DISABLED, "Another endpoint of the organisation was disabled, and why."),
    ];
    let own = [own.as_slice(), EMAIL_EVENTS.as_slice()].concat();
    let mut data: Vec<_> = own
        .iter()
        .map(|(kind, description)| EventTypeBody { kind: (*kind).to_owned(), description: Some(description) })
        .collect();
    let published = app.deliveries.types(&context.call, by.tenant).await?;
    let published = published.into_iter().filter(|kind| own.iter().all(|(known, _)| known != kind));
    data.extend(published.map(|kind| EventTypeBody { kind, description: None }));
    Ok(Json(EventTypesBody { data, next: None }))
}

/// Lists deliveries, the newest first.
#[utoipa::path(get, path = "/v1/webhook-deliveries", tag = "deliveries", params(DeliveriesQuery),
    responses((status = 200, body = Page<DeliveryBody>), (status = "default", body = Document<'static>)))]
pub async fn deliveries(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Administrator(by): Administrator,
    Query(query): Query<DeliveriesQuery>,
) -> Result<Json<Page<DeliveryBody>>, Problem> {
    let list = ListDeliveries {
        tenant: by.tenant,
        endpoint: query.endpoint.map(Into::into),
        state: query.state.as_deref().map(state).transpose()?,
        kind: query.kind.unwrap_or_default(),
        after: page::cursor(query.after.as_deref(), |id| id.parse().ok())?,
        limit: page::limit(query.limit)?,
    };
    let found = app.deliveries.list(&context.call, list).await?;
    Ok(Json(Page {
        data: found.deliveries.into_iter().map(DeliveryBody::from).collect(),
        next: found.next.map(|id| page::cursor_for(&id.to_string())),
    }))
}

/// Counts the newest 10,000 deliveries by endpoint and state, and what waits.
#[utoipa::path(get, path = "/v1/webhook-deliveries/counts", tag = "deliveries",
    responses((status = 200, body = DeliveryCountsBody), (status = "default", body = Document<'static>)))]
pub async fn counts(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Administrator(by): Administrator,
) -> Result<Json<DeliveryCountsBody>, Problem> {
    Ok(Json(app.deliveries.counts(&context.call, by.tenant).await?.into()))
}

/// Reads a delivery with the log of its attempts.
#[utoipa::path(get, path = "/v1/webhook-deliveries/{id}", tag = "deliveries", params(("id" = Uuid, Path)),
    responses((status = 200, body = DeliveryLogBody), (status = "default", body = Document<'static>)))]
pub async fn delivery(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Administrator(by): Administrator,
    Path(id): Path<Uuid>,
) -> Result<Json<DeliveryLogBody>, Problem> {
    Ok(Json(app.deliveries.delivery(&context.call, by.tenant, DeliveryId(id)).await?.into()))
}

/// Gives up a delivery that is pending. An attempt that is under way may still be taken; then it is delivered.
#[utoipa::path(post, path = "/v1/webhook-deliveries/{id}/cancel", tag = "deliveries", params(("id" = Uuid, Path)),
    responses((status = 204), (status = "default", body = Document<'static>)))]
pub async fn cancel(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Administrator(by): Administrator,
    Path(id): Path<Uuid>,
) -> Result<StatusCode, Problem> {
    app.deliveries.cancel(&context.call, by.tenant, DeliveryId(id)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Delivers again, as a new delivery of the same event.
#[utoipa::path(post, path = "/v1/webhook-deliveries/{id}/replay", tag = "deliveries", params(("id" = Uuid, Path)),
    responses((status = 202, body = DeliveryReplayedBody), (status = "default", body = Document<'static>)))]
pub async fn replay(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Administrator(by): Administrator,
    Path(id): Path<Uuid>,
) -> Result<(StatusCode, Json<DeliveryReplayedBody>), Problem> {
    let made = app.deliveries.replay_one(&context.call, by.tenant, DeliveryId(id)).await?;
    Ok((StatusCode::ACCEPTED, Json(DeliveryReplayedBody { id: made.uuid() })))
}
