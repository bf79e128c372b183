//! `/v1/webhook-endpoints`.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use mainstay_domain::{DisabledReason, EndpointId, EventId, EventType, Timestamp};
use mainstay_store::Endpoint;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::accounts::Administrator;
use crate::app::App;
use crate::deliveries::Deliveries;
use crate::deliveries::service::Wanted;
use crate::http::idempotency::Idempotency;
use crate::http::page::{self, Page, PageQuery, moment_and_id};
use crate::http::{Document, Json, Path, Problem, Query, RequestContext};

/// Making an endpoint.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateEndpointBody {
    /// Where events are posted to: https, and a public host.
    #[schema(example = "https://example.com/hooks", value_type = crate::openapi::words::Url)]
    url: String,
    /// What it is for; at most 200 characters.
    #[serde(default)]
    #[schema(max_length = 200)]
    description: String,
    /// Which types of events it is told of; all when there is none.
    #[serde(default)]
    #[schema(value_type = Vec<crate::openapi::words::EventType>)]
    event_types: Vec<String>,
    /// The most deliveries in any minute, 1 to 6000; no limit when it is left out.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 6_000)]
    rate_per_minute: Option<u32>,
}

/// Changing an endpoint. What is left out stays as it is; what it failed at before is forgotten.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangeEndpointBody {
    #[serde(default)]
    #[schema(value_type = Option<crate::openapi::words::Url>)]
    url: Option<String>,
    #[serde(default)]
    #[schema(max_length = 200)]
    description: Option<String>,
    #[serde(default)]
    #[schema(value_type = Option<Vec<crate::openapi::words::EventType>>)]
    event_types: Option<Vec<String>>,
    /// Null removes the limit.
    #[serde(default, deserialize_with = "crate::http::present")]
    #[schema(value_type = Option<u32>, minimum = 1, maximum = 6_000)]
    rate_per_minute: Option<Option<u32>>,
    /// Whether it is told of anything. What waits for an endpoint that is disabled is cancelled.
    #[serde(default)]
    enabled: Option<bool>,
}

/// An endpoint.
#[derive(Serialize, ToSchema)]
pub struct EndpointBody {
    id: Uuid,
    url: String,
    description: String,
    /// All types when it is empty.
    #[schema(value_type = Vec<crate::openapi::words::EventType>)]
    event_types: Vec<EventType>,
    rate_per_minute: Option<u32>,
    enabled: bool,
    /// Why it is not: `asked`, `gone` (it answered 410) or `failing` (nothing was taken for too long).
    #[schema(value_type = Option<crate::openapi::words::DisabledReason>)]
    disabled_reason: Option<DisabledReason>,
    #[schema(value_type = Option<String>, format = DateTime)]
    disabled_at: Option<Timestamp>,
    /// Since when nothing has been taken.
    #[schema(value_type = Option<String>, format = DateTime)]
    failing_since: Option<Timestamp>,
    /// How many attempts in a row have failed.
    consecutive_failures: u32,
    /// Until when it is left alone because it failed again and again, or has asked for it.
    #[schema(value_type = Option<String>, format = DateTime)]
    resting_until: Option<Timestamp>,
    /// Until when the secret before the present one signs beside it.
    #[schema(value_type = Option<String>, format = DateTime)]
    old_secret_until: Option<Timestamp>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

impl EndpointBody {
    pub(crate) fn of(deliveries: &Deliveries, endpoint: Endpoint) -> Self {
        let old_secret_until = deliveries.old_secret_until(&endpoint);
        Self {
            id: endpoint.id.uuid(),
            url: endpoint.url,
            description: endpoint.description,
            event_types: endpoint.event_types,
            rate_per_minute: endpoint.rate_per_minute,
            enabled: endpoint.disabled.is_none(),
            disabled_reason: endpoint.disabled.map(|(reason, _)| reason),
            disabled_at: endpoint.disabled.map(|(_, since)| since),
            failing_since: endpoint.health.failing_since,
            consecutive_failures: endpoint.health.failures,
            resting_until: endpoint.health.rest_until,
            old_secret_until,
            created_at: endpoint.created_at,
            updated_at: endpoint.updated_at,
        }
    }
}

/// A new endpoint with its secret, shown this once. A repeat with the same `Idempotency-Key` has no `secret`.
#[derive(Serialize, ToSchema)]
pub struct NewEndpointBody {
    #[serde(flatten)]
    endpoint: EndpointBody,
    /// What verifies the signatures: `whsec_` and base64.
    secret: Option<String>,
}

/// A new secret, shown this once.
#[derive(Serialize, ToSchema)]
pub struct NewSecretBody {
    secret: String,
    /// Until when the old secret signs beside it.
    #[schema(value_type = String, format = DateTime)]
    old_secret_until: Timestamp,
}

/// A test that is on its way.
#[derive(Serialize, ToSchema)]
pub struct TestBody {
    /// The event, as the receiver sees it in `webhook-id`.
    #[schema(value_type = Uuid)]
    event_id: EventId,
}

/// Which events are delivered again.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReplayBody {
    /// Events that were published from this moment on.
    #[schema(value_type = String, format = DateTime)]
    since: Timestamp,
    /// Events that were published before this moment; now when it is left out.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    until: Option<Timestamp>,
    /// Only what the endpoint has not taken and is not about to be told of; true when it is left out.
    #[serde(default = "yes")]
    only_failed: bool,
}

const fn yes() -> bool {
    true
}

/// A replay that is on its way. What it delivers is in the list of deliveries.
#[derive(Serialize, ToSchema)]
pub struct ReplayStartedBody {
    id: Uuid,
}

/// Makes an endpoint. An organisation has at most 50.
#[utoipa::path(post, path = "/v1/webhook-endpoints", tag = "deliveries", request_body = CreateEndpointBody,
    params(("Idempotency-Key" = Option<String>, Header)),
    responses((status = 201, body = NewEndpointBody), (status = "default", body = Document<'static>)))]
pub async fn create(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Administrator(by): Administrator,
    idempotency: Idempotency,
    Json(body): Json<CreateEndpointBody>,
) -> Result<(StatusCode, Json<NewEndpointBody>), Problem> {
    let claim = idempotency.claim(mainstay_store::MAKING_AN_ENDPOINT, &body)?;
    let wanted = Wanted {
        url: Some(body.url),
        description: Some(body.description),
        event_types: Some(body.event_types),
        rate_per_minute: Some(body.rate_per_minute),
        enabled: None,
    };
    let made = app.deliveries.create(&context.call, &by, &wanted, claim).await?;
    let secret = made.secret.map(|secret| secret.expose().to_owned());
    Ok((
        StatusCode::CREATED,
        Json(NewEndpointBody { endpoint: EndpointBody::of(&app.deliveries, made.endpoint), secret }),
    ))
}

/// Lists the endpoints of the organisation, the oldest first.
#[utoipa::path(get, path = "/v1/webhook-endpoints", tag = "deliveries", params(PageQuery),
    responses((status = 200, body = Page<EndpointBody>), (status = "default", body = Document<'static>)))]
pub async fn list(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Administrator(by): Administrator,
    Query(query): Query<PageQuery>,
) -> Result<Json<Page<EndpointBody>>, Problem> {
    let limit = query.limit()?;
    let after = query.cursor(moment_and_id)?.map(|(moment, id)| (moment, EndpointId(id)));
    let rows = app.deliveries.endpoints(&context.call, by.tenant, after, limit).await?;
    let rows: Vec<_> = rows.into_iter().map(|row| EndpointBody::of(&app.deliveries, row)).collect();
    Ok(Json(Page::of(rows, limit, |row| page::place(row.created_at, row.id))))
}

/// Reads an endpoint.
#[utoipa::path(get, path = "/v1/webhook-endpoints/{id}", tag = "deliveries", params(("id" = Uuid, Path)),
    responses((status = 200, body = EndpointBody), (status = "default", body = Document<'static>)))]
pub async fn get(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Administrator(by): Administrator,
    Path(id): Path<Uuid>,
) -> Result<Json<EndpointBody>, Problem> {
    let endpoint = app.deliveries.endpoint(&context.call, by.tenant, EndpointId(id)).await?;
    Ok(Json(EndpointBody::of(&app.deliveries, endpoint)))
}

/// Changes an endpoint, or enables or disables it.
#[utoipa::path(patch, path = "/v1/webhook-endpoints/{id}", tag = "deliveries", request_body = ChangeEndpointBody,
    params(("id" = Uuid, Path)),
    responses((status = 200, body = EndpointBody), (status = "default", body = Document<'static>)))]
pub async fn change(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Administrator(by): Administrator,
    Path(id): Path<Uuid>,
    Json(body): Json<ChangeEndpointBody>,
) -> Result<Json<EndpointBody>, Problem> {
    let ChangeEndpointBody { url, description, event_types, rate_per_minute, enabled } = body;
    let wanted = Wanted { url, description, event_types, rate_per_minute, enabled };
    let changed = app.deliveries.change(&context.call, by.tenant, EndpointId(id), &wanted).await?;
    Ok(Json(EndpointBody::of(&app.deliveries, changed)))
}

/// Removes an endpoint. What waits for it is cancelled.
#[utoipa::path(delete, path = "/v1/webhook-endpoints/{id}", tag = "deliveries", params(("id" = Uuid, Path)),
    responses((status = 204), (status = "default", body = Document<'static>)))]
pub async fn delete(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Administrator(by): Administrator,
    Path(id): Path<Uuid>,
) -> Result<StatusCode, Problem> {
    app.deliveries.delete(&context.call, by.tenant, EndpointId(id)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Makes a new secret. The old one signs beside it for 24 hours, so that a receiver can change over at any time.
#[utoipa::path(post, path = "/v1/webhook-endpoints/{id}/secret/rotate", tag = "deliveries", params(("id" = Uuid, Path)),
    responses((status = 200, body = NewSecretBody), (status = "default", body = Document<'static>)))]
pub async fn rotate(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Administrator(by): Administrator,
    Path(id): Path<Uuid>,
) -> Result<Json<NewSecretBody>, Problem> {
    let (secret, old_secret_until) = app.deliveries.rotate(&context.call, by.tenant, EndpointId(id)).await?;
    Ok(Json(NewSecretBody { secret: secret.expose().to_owned(), old_secret_until }))
}

/// Sends an event of the type `webhook.test` to this endpoint, whatever its filter.
#[utoipa::path(post, path = "/v1/webhook-endpoints/{id}/test", tag = "deliveries", params(("id" = Uuid, Path)),
    responses((status = 202, body = TestBody), (status = "default", body = Document<'static>)))]
pub async fn test(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Administrator(by): Administrator,
    Path(id): Path<Uuid>,
) -> Result<(StatusCode, Json<TestBody>), Problem> {
    let event_id = app.deliveries.test(&context.call, by.tenant, EndpointId(id)).await?;
    Ok((StatusCode::ACCEPTED, Json(TestBody { event_id })))
}

/// Delivers events of a range again, or for the first time: those that the endpoint wants now.
#[utoipa::path(post, path = "/v1/webhook-endpoints/{id}/replays", tag = "deliveries", request_body = ReplayBody,
    params(("id" = Uuid, Path)),
    responses((status = 202, body = ReplayStartedBody), (status = "default", body = Document<'static>)))]
pub async fn replay(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Administrator(by): Administrator,
    Path(id): Path<Uuid>,
    Json(body): Json<ReplayBody>,
) -> Result<(StatusCode, Json<ReplayStartedBody>), Problem> {
    let (place, range) = ((by.tenant, EndpointId(id)), (body.since, body.until));
    let id = app.deliveries.replay_range(&context.call, place, range, body.only_failed).await?;
    Ok((StatusCode::ACCEPTED, Json(ReplayStartedBody { id })))
}
