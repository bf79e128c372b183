//! The wire of controls, for operators of the installation.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use mainstay_domain::{ControlReason, ControlSpan, Error};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::body::{ControlBody, ControlChangeBody, ControlNameBody};
use super::service::{self, Setting};
use crate::accounts::Operator;
use crate::app::App;
use crate::http::page::{Page, PageQuery};
use crate::http::{Document, Json, Path, Problem, Query, RequestContext};

/// What is set, and what can be.
#[derive(Debug, Serialize, ToSchema)]
pub struct ControlsBody {
    /// What is set, by name.
    data: Vec<ControlBody>,
    /// Always null: there are no further pages.
    next: Option<String>,
    /// Every control that there is.
    known: Vec<ControlNameBody>,
}

/// What a control is set to.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SetControlBody {
    /// A whole number as text, or `off`.
    #[schema(example = "50", pattern = r"^([0-9]+|off)$", max_length = 20)]
    value: String,
    /// For how many seconds: 1 to 604800, 3600 when it is left out.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 604_800)]
    seconds: Option<u64>,
    /// Why, in 3 to 200 characters.
    #[schema(min_length = 3, max_length = 200, pattern = r"\S\S\S")]
    reason: String,
}

/// Why a control is cleared.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ClearControlBody {
    /// Why, in 3 to 200 characters.
    #[schema(min_length = 3, max_length = 200, pattern = r"\S\S\S")]
    reason: String,
}

fn reason(text: &str) -> Result<ControlReason, Error> {
    ControlReason::parse(text).map_err(|refused| Error::invalid(vec![refused.of("reason")]))
}

/// Lists what is set, and every control that there is.
#[utoipa::path(get, path = "/v1/controls", tag = "operations",
    responses((status = 200, body = ControlsBody), (status = "default", body = Document<'static>)))]
pub async fn list(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Operator(_): Operator,
) -> Result<Json<ControlsBody>, Problem> {
    let data = service::list(&app, &context.call).await?.into_iter().map(ControlBody::from).collect();
    let known = app.controls.catalogue().all().iter().map(ControlNameBody::from).collect();
    Ok(Json(ControlsBody { data, next: None, known }))
}

/// Sets a control for some time, in place of what was set before. Every node goes by it within five seconds.
#[utoipa::path(put, path = "/v1/controls/{name}", tag = "operations", request_body = SetControlBody,
    params(("name" = String, Path, description = "One of the names of `GET /v1/controls`")),
    responses((status = 200, body = ControlBody), (status = "default", body = Document<'static>)))]
pub async fn set(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Operator(by): Operator,
    Path(name): Path<String>,
    Json(body): Json<SetControlBody>,
) -> Result<Json<ControlBody>, Problem> {
    let span = body.seconds.map_or(Ok(ControlSpan::USUAL), ControlSpan::of);
    let span = span.map_err(|refused| Error::invalid(vec![refused.of("seconds")]))?;
    let set = Setting { name, value: body.value, span, reason: reason(&body.reason)? };
    let author = service::author(&app, &context.call, &by).await?;
    Ok(Json(service::set(&app, &context.call, author, set).await?.into()))
}

/// Clears a control before its end.
#[utoipa::path(post, path = "/v1/controls/{name}/clear", tag = "operations", request_body = ClearControlBody,
    params(("name" = String, Path, description = "The name of a control that is set")),
    responses((status = 204), (status = "default", body = Document<'static>)))]
pub async fn clear(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Operator(by): Operator,
    Path(name): Path<String>,
    Json(body): Json<ClearControlBody>,
) -> Result<StatusCode, Problem> {
    let reason = reason(&body.reason)?;
    let author = service::author(&app, &context.call, &by).await?;
    service::clear(&app, &context.call, author, &name, &reason).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Lists who set and cleared what, when and why, the last first. The last 10,000 changes are kept.
#[utoipa::path(get, path = "/v1/controls/changes", tag = "operations", params(PageQuery),
    responses((status = 200, body = Page<ControlChangeBody>), (status = "default", body = Document<'static>)))]
pub async fn changes(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Operator(_): Operator,
    Query(query): Query<PageQuery>,
) -> Result<Json<Page<ControlChangeBody>>, Problem> {
    let (limit, before) = (query.limit()?, query.cursor(|text| Uuid::try_parse(text).ok())?);
    let found = service::changes(&app, &context.call, before, limit).await?;
    Ok(Json(Page::of(found, limit, |change| change.id.to_string())))
}
