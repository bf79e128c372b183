//! `/v1/staff`.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use mainstay_domain::{ServiceId, StaffId, Timestamp, Week};
use mainstay_store::{MAKING_STAFF, Staff};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::accounts::{Administrator, Reader};
use crate::app::App;
use crate::http::idempotency::Idempotency;
use crate::http::page::{self, Page, PageQuery, moment_and_id};
use crate::http::{Document, Json, Path, Problem, Query, RequestContext};
use crate::reception::StaffWish;

/// Somebody who does what is offered. Staff need no account.
#[derive(Serialize, ToSchema)]
#[schema(as = Staff)]
pub struct StaffBody {
    id: Uuid,
    name: String,
    /// When they work on each day of the week, Monday first; null for the hours of the organisation.
    #[schema(value_type = Option<Vec<Vec<String>>>)]
    week: Option<Week>,
    /// What they offer.
    #[schema(value_type = Vec<Uuid>)]
    services: Vec<ServiceId>,
    /// Since when they do not work there any more.
    #[schema(value_type = Option<String>, format = DateTime)]
    archived_at: Option<Timestamp>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

impl From<(Staff, Vec<ServiceId>)> for StaffBody {
    fn from((staff, services): (Staff, Vec<ServiceId>)) -> Self {
        Self {
            id: staff.id.uuid(),
            name: staff.name,
            week: staff.week,
            services,
            archived_at: staff.archived_at,
            created_at: staff.created_at,
        }
    }
}

/// Adding one of the staff, or changing one: then what is left out stays as it is.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = StaffWish)]
pub struct StaffWishBody {
    /// One line of 1 to 200 characters.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 200, pattern = r"\S")]
    name: Option<String>,
    /// When they work; null for the hours of the organisation.
    #[serde(default, deserialize_with = "crate::http::present")]
    #[schema(value_type = Option<Vec<Vec<crate::openapi::words::Opening>>>, min_items = 7, max_items = 7)]
    week: Option<Option<Week>>,
    /// What they offer: these services and no others.
    #[serde(default)]
    services: Option<Vec<Uuid>>,
    /// Whether they work there no more.
    #[serde(default)]
    archived: Option<bool>,
}

impl From<StaffWishBody> for StaffWish {
    fn from(body: StaffWishBody) -> Self {
        let services = body.services.map(|ids| ids.into_iter().map(ServiceId).collect());
        Self { name: body.name, week: body.week, services, archived: body.archived }
    }
}

/// Adds one of the staff. An organisation has at most 200.
#[utoipa::path(post, path = "/v1/staff", tag = "reception", request_body = StaffWishBody,
    params(("Idempotency-Key" = Option<String>, Header)),
    responses((status = 201, body = StaffBody), (status = "default", body = Document<'static>)))]
pub async fn create(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Administrator(by): Administrator,
    idempotency: Idempotency,
    Json(body): Json<StaffWishBody>,
) -> Result<(StatusCode, Json<StaffBody>), Problem> {
    let claim = idempotency.claim(MAKING_STAFF, &body)?.map(|claim| (by.person, claim));
    let made = app.reception.create_staff(&context.call, by.tenant, body.into(), claim).await?;
    Ok((StatusCode::CREATED, Json(made.into())))
}

/// Lists the staff, who came first first.
#[utoipa::path(get, path = "/v1/staff", tag = "reception", params(PageQuery),
    responses((status = 200, body = Page<StaffBody>), (status = "default", body = Document<'static>)))]
pub async fn list(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Reader(by): Reader,
    Query(query): Query<PageQuery>,
) -> Result<Json<Page<StaffBody>>, Problem> {
    let limit = query.limit()?;
    let after = query.cursor(moment_and_id)?.map(|(moment, id)| (moment, StaffId(id)));
    let rows = app.reception.staff(&context.call, by.tenant, after, limit).await?;
    Ok(Json(Page::of(rows, limit, |(row, _)| page::place(row.created_at, row.id))))
}

/// Reads one of the staff.
#[utoipa::path(get, path = "/v1/staff/{id}", tag = "reception", params(("id" = Uuid, Path)),
    responses((status = 200, body = StaffBody), (status = "default", body = Document<'static>)))]
pub async fn get(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Reader(by): Reader,
    Path(id): Path<Uuid>,
) -> Result<Json<StaffBody>, Problem> {
    Ok(Json(app.reception.one_of_staff(&context.call, by.tenant, StaffId(id)).await?.into()))
}

/// Changes what is known of one of the staff. Appointments that were made stay.
#[utoipa::path(patch, path = "/v1/staff/{id}", tag = "reception", request_body = StaffWishBody,
    params(("id" = Uuid, Path)),
    responses((status = 200, body = StaffBody), (status = "default", body = Document<'static>)))]
pub async fn change(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Administrator(by): Administrator,
    Path(id): Path<Uuid>,
    Json(body): Json<StaffWishBody>,
) -> Result<Json<StaffBody>, Problem> {
    Ok(Json(app.reception.change_staff(&context.call, by.tenant, StaffId(id), body.into()).await?.into()))
}
