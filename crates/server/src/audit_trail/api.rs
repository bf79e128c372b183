//! `/v1/audit-trail`.

use std::sync::Arc;

use axum::extract::State;
use mainstay_domain::{TenantId, Timestamp, hexadecimal};
use mainstay_store::{AuditEvent, INSTALLATION, ListAuditEvents};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::accounts::{Administrator, Operator};
use crate::app::App;
use crate::http::page::{Page, PageQuery};
use crate::http::{Document, Json, Problem, Query, RequestContext};

/// An entry of the audit trail.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct AuditEventBody {
    /// Its place in the chain, from 1.
    position: i64,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    /// What was done: a route with its method, a command, or `sign_in`, `sign_in_failed`, `sign_up`, `refresh_token_reused`.
    action: String,
    /// Who did it, to what and from where; nothing when that was erased.
    said: Option<Value>,
    /// SHA-256 over the entry and the digest of the one before, in hexadecimal digits.
    digest: String,
}

impl From<AuditEvent> for AuditEventBody {
    fn from(event: AuditEvent) -> Self {
        let said = event.content.as_deref().and_then(|content| serde_json::from_str(content).ok());
        let digest = hexadecimal(&event.digest);
        Self { position: event.position, at: event.at, action: event.action, said, digest }
    }
}

/// The audit trail of the organisation, the last entry first: who has signed in, and what its owners and admins have changed.
#[utoipa::path(get, path = "/v1/audit-trail", tag = "accounts", params(PageQuery),
    responses((status = 200, body = Page<AuditEventBody>), (status = "default", body = Document<'static>)))]
pub async fn of_organisation(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Administrator(member): Administrator,
    Query(query): Query<PageQuery>,
) -> Result<Json<Page<AuditEventBody>>, Problem> {
    list(&app, &context, member.tenant, &query).await
}

/// The audit trail of the installation, the last entry first: what operators and the command line have changed, and sign-ins
/// that failed.
#[utoipa::path(get, path = "/v1/installation-audit-trail", tag = "operations", params(PageQuery),
    responses((status = 200, body = Page<AuditEventBody>), (status = "default", body = Document<'static>)))]
pub async fn of_installation(
    State(app): State<Arc<App>>,
    context: RequestContext,
    _: Operator,
    Query(query): Query<PageQuery>,
) -> Result<Json<Page<AuditEventBody>>, Problem> {
    list(&app, &context, INSTALLATION, &query).await
}

async fn list(
    app: &App,
    context: &RequestContext,
    tenant: TenantId,
    query: &PageQuery,
) -> Result<Json<Page<AuditEventBody>>, Problem> {
    let (limit, before) = (query.limit()?, query.cursor(|text| text.parse().ok())?);
    let events = app.store.run(&context.call, ListAuditEvents { tenant, before, limit }).await?;
    Ok(Json(Page::of(events, limit, |event| event.position.to_string())))
}
