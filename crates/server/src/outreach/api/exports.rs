//! Leads and figures of a campaign as tables.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use mainstay_domain::CampaignId;
use uuid::Uuid;

use super::super::Outreach;
use super::super::exporting::Which;
use crate::accounts::Reader;
use crate::app::App;
use crate::http::{Document, Path, Problem, RequestContext};

async fn table(
    app: &Arc<App>,
    context: &RequestContext,
    Reader(by): Reader,
    (id, which, what): (Uuid, Which, &str),
) -> Result<Response, Problem> {
    let (name, body) = Outreach::table(&context.call, app, (by.tenant, CampaignId(id)), which).await?;
    let head = [
        (CONTENT_TYPE, "text/csv; charset=utf-8".to_owned()),
        (CONTENT_DISPOSITION, format!("attachment; filename=\"{name}-{what}.csv\"")),
        (CACHE_CONTROL, "private, no-store".to_owned()),
    ];
    Ok((head, body).into_response())
}

/// The leads of a campaign as a table, about in the order in which they were added: CSV that spreadsheet programs take for data, with
/// a column for each field of the leads (the first 200 by their names; others stand in `other_fields` as JSON). It is made
/// while it is read; when it breaks off, ask again.
#[utoipa::path(get, path = "/v1/campaigns/{id}/leads.csv", tag = "outreach", params(("id" = Uuid, Path)),
    responses((status = 200, description = "A table", content_type = "text/csv"),
        (status = "default", body = Document<'static>)))]
pub async fn leads(
    State(app): State<Arc<App>>,
    context: RequestContext,
    by: Reader,
    Path(id): Path<Uuid>,
) -> Result<Response, Problem> {
    table(&app, &context, by, (id, Which::Leads, "leads")).await
}

/// The figures of a campaign as a table, a row for each: by day, step, text and account, with what these are called.
#[utoipa::path(get, path = "/v1/campaigns/{id}/figures.csv", tag = "outreach", params(("id" = Uuid, Path)),
    responses((status = 200, description = "A table", content_type = "text/csv"),
        (status = "default", body = Document<'static>)))]
pub async fn figures(
    State(app): State<Arc<App>>,
    context: RequestContext,
    by: Reader,
    Path(id): Path<Uuid>,
) -> Result<Response, Problem> {
    table(&app, &context, by, (id, Which::Figures, "figures")).await
}
