//! `/v1/services`.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use mainstay_domain::{Error, ServiceId, Timestamp};
use mainstay_store::{MAKING_A_SERVICE, Service};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::accounts::{Administrator, Reader};
use crate::app::App;
use crate::http::idempotency::Idempotency;
use crate::http::page::{self, Page, PageQuery, moment_and_id};
use crate::http::{Document, Json, Path, Problem, Query, RequestContext};
use crate::reception::ServiceWish;

/// What is done for people at a time.
#[derive(Serialize, ToSchema)]
#[schema(as = Service)]
pub struct ServiceBody {
    id: Uuid,
    name: String,
    /// How long it takes.
    minutes: u64,
    /// What whoever does it needs before it.
    before_minutes: u64,
    /// What whoever does it needs after it.
    after_minutes: u64,
    /// What it costs, in millionths of the currency; null where no price is told.
    price_micros: Option<i64>,
    /// ISO 4217.
    currency: Option<String>,
    /// Since when it is not offered any more.
    #[schema(value_type = Option<String>, format = DateTime)]
    archived_at: Option<Timestamp>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

impl From<Service> for ServiceBody {
    fn from(service: Service) -> Self {
        let minutes = |duration: std::time::Duration| duration.as_secs() / 60;
        let (price_micros, currency) = service.price.unzip();
        Self {
            id: service.id.uuid(),
            name: service.name,
            minutes: minutes(service.times.length()),
            before_minutes: minutes(service.times.before()),
            after_minutes: minutes(service.times.after()),
            price_micros,
            currency,
            archived_at: service.archived_at,
            created_at: service.created_at,
        }
    }
}

/// Adding a service, or changing one: then what is left out stays as it is.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ServiceWish)]
pub struct ServiceWishBody {
    /// One line of 1 to 200 characters.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 200, pattern = r"\S")]
    name: Option<String>,
    /// 5 to 720.
    #[serde(default)]
    #[schema(minimum = 5, maximum = 720)]
    minutes: Option<u16>,
    /// 0 to 240.
    #[serde(default)]
    #[schema(minimum = 0, maximum = 240)]
    before_minutes: Option<u16>,
    /// 0 to 240.
    #[serde(default)]
    #[schema(minimum = 0, maximum = 240)]
    after_minutes: Option<u16>,
    /// In millionths of the currency, with `currency`; null for no price.
    #[serde(default, deserialize_with = "crate::http::present")]
    #[schema(value_type = Option<i64>, minimum = 0, maximum = 1_000_000_000_000_000_i64)]
    price_micros: Option<Option<i64>>,
    /// ISO 4217, such as EUR.
    #[serde(default)]
    #[schema(pattern = r"^[A-Z]{3}$")]
    currency: Option<String>,
    /// Whether it is offered no more.
    #[serde(default)]
    archived: Option<bool>,
}

impl ServiceWishBody {
    fn wish(self) -> Result<ServiceWish, Error> {
        let price = match (self.price_micros, self.currency) {
            (None, None) => None,
            (Some(None), _) => Some(None),
            (Some(Some(micros)), Some(currency)) => Some(Some((micros, currency))),
            (Some(Some(_)), None) => {
                return Err(Error::invalid_field("currency", "missing", "Name the currency of the price."));
            }
            (None, Some(_)) => {
                let detail = "Give the price with its currency, in millionths.";
                return Err(Error::invalid_field("price_micros", "missing", detail));
            }
        };
        let Self { name, minutes, before_minutes, after_minutes, archived, .. } = self;
        Ok(ServiceWish { name, minutes, before_minutes, after_minutes, price, archived })
    }
}

/// Adds a service. An organisation has at most 500.
#[utoipa::path(post, path = "/v1/services", tag = "reception", request_body = ServiceWishBody,
    params(("Idempotency-Key" = Option<String>, Header)),
    responses((status = 201, body = ServiceBody), (status = "default", body = Document<'static>)))]
pub async fn create(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Administrator(by): Administrator,
    idempotency: Idempotency,
    Json(body): Json<ServiceWishBody>,
) -> Result<(StatusCode, Json<ServiceBody>), Problem> {
    let claim = idempotency.claim(MAKING_A_SERVICE, &body)?.map(|claim| (by.person, claim));
    let made = app.reception.create_service(&context.call, by.tenant, body.wish()?, claim).await?;
    Ok((StatusCode::CREATED, Json(made.into())))
}

/// Lists the services, the oldest first.
#[utoipa::path(get, path = "/v1/services", tag = "reception", params(PageQuery),
    responses((status = 200, body = Page<ServiceBody>), (status = "default", body = Document<'static>)))]
pub async fn list(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Reader(by): Reader,
    Query(query): Query<PageQuery>,
) -> Result<Json<Page<ServiceBody>>, Problem> {
    let limit = query.limit()?;
    let after = query.cursor(moment_and_id)?.map(|(moment, id)| (moment, ServiceId(id)));
    let rows = app.reception.services(&context.call, by.tenant, after, limit).await?;
    Ok(Json(Page::of(rows, limit, |row| page::place(row.created_at, row.id))))
}

/// Reads a service.
#[utoipa::path(get, path = "/v1/services/{id}", tag = "reception", params(("id" = Uuid, Path)),
    responses((status = 200, body = ServiceBody), (status = "default", body = Document<'static>)))]
pub async fn get(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Reader(by): Reader,
    Path(id): Path<Uuid>,
) -> Result<Json<ServiceBody>, Problem> {
    Ok(Json(app.reception.service(&context.call, by.tenant, ServiceId(id)).await?.into()))
}

/// Changes a service, or archives it. Appointments that were made keep their times.
#[utoipa::path(patch, path = "/v1/services/{id}", tag = "reception", request_body = ServiceWishBody,
    params(("id" = Uuid, Path)),
    responses((status = 200, body = ServiceBody), (status = "default", body = Document<'static>)))]
pub async fn change(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Administrator(by): Administrator,
    Path(id): Path<Uuid>,
    Json(body): Json<ServiceWishBody>,
) -> Result<Json<ServiceBody>, Problem> {
    Ok(Json(app.reception.change_service(&context.call, by.tenant, ServiceId(id), body.wish()?).await?.into()))
}
