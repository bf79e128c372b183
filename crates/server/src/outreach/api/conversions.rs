//! What campaigns are for: leads that did it.

use std::sync::Arc;

use axum::extract::State;
use mainstay_domain::CampaignId;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::accounts::Administrator;
use crate::app::App;
use crate::http::{Document, Json, Path, Problem, RequestContext};

/// A lead that did what its campaign is for.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ConversionWish)]
pub struct ConversionWishBody {
    /// The address of the lead.
    #[schema(value_type = crate::openapi::words::EmailAddress)]
    email: String,
}

/// What is noted of a lead.
#[derive(Serialize, ToSchema)]
#[schema(as = Conversion)]
pub struct ConversionBody {
    /// Whether this is the first time: a lead counts once.
    first: bool,
}

/// Notes that a lead did what its campaign is for: it bought, it signed up, it came. A lead counts once, for the last email
/// that was sent to it.
#[utoipa::path(post, path = "/v1/campaigns/{id}/conversions", tag = "outreach", params(("id" = Uuid, Path)),
    request_body = ConversionWishBody,
    responses((status = 200, body = ConversionBody), (status = "default", body = Document<'static>)))]
pub async fn convert(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Administrator(by): Administrator,
    Path(id): Path<Uuid>,
    Json(body): Json<ConversionWishBody>,
) -> Result<Json<ConversionBody>, Problem> {
    let first = app.outreach.convert(&context.call, by.tenant, CampaignId(id), &body.email).await?;
    Ok(Json(ConversionBody { first }))
}
