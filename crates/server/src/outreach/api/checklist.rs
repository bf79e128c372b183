//! What is to be known before a campaign begins.

use std::sync::Arc;

use axum::extract::State;
use mainstay_domain::CampaignId;
use mainstay_mail::domain_check::Severity;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::super::readiness::Check;
use crate::accounts::Reader;
use crate::app::App;
use crate::http::{Document, Json, Path, Problem, RequestContext};

/// A record of the DNS.
#[derive(Serialize, ToSchema)]
#[schema(as = DnsRecord)]
pub struct PublishBody {
    name: String,
    /// `TXT` or `CNAME`.
    kind: &'static str,
    value: String,
}

/// Something to know before a campaign begins.
#[derive(Serialize, ToSchema)]
#[schema(as = LaunchCheck)]
pub struct CheckBody {
    code: &'static str,
    /// `blocks`, `warns` or `informs`.
    severity: &'static str,
    /// What it is about: a field of the campaign, or a name of the DNS.
    about: String,
    /// What is found, and what helps.
    detail: String,
    /// The accounts that it is about.
    account_ids: Vec<Uuid>,
    /// The record of the DNS that cures it.
    publish: Option<PublishBody>,
}

/// Everything to know before a campaign begins.
#[derive(Serialize, ToSchema)]
#[schema(as = LaunchChecklist)]
pub struct ChecklistBody {
    /// Whether nothing blocks.
    ready: bool,
    /// The worst first.
    data: Vec<CheckBody>,
}

impl From<Check> for CheckBody {
    fn from(check: Check) -> Self {
        Self {
            code: check.code,
            severity: check.severity.as_str(),
            about: check.about,
            detail: check.detail,
            account_ids: check.accounts.into_iter().map(|id| id.uuid()).collect(),
            publish: check.publish.map(|one| PublishBody { name: one.name, kind: one.kind, value: one.value }),
        }
    }
}

/// Tells what stands in the way of a campaign and what would harm it: steps, texts and fields, the link to leave, the address
/// of whoever sends, and what the DNS says of the domains of its accounts (SPF, DKIM, DMARC, MX, tracking), with the records
/// that cure it. Name servers are asked anew each time.
#[utoipa::path(get, path = "/v1/campaigns/{id}/checklist", tag = "outreach", params(("id" = Uuid, Path)),
    responses((status = 200, body = ChecklistBody), (status = "default", body = Document<'static>)))]
pub async fn get(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Reader(by): Reader,
    Path(id): Path<Uuid>,
) -> Result<Json<ChecklistBody>, Problem> {
    let checks = app.outreach.checklist(&context.call, by.tenant, CampaignId(id)).await?;
    let ready = checks.iter().all(|check| check.severity != Severity::Blocks);
    Ok(Json(ChecklistBody { ready, data: checks.into_iter().map(CheckBody::from).collect() }))
}
