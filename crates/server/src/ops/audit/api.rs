//! The wire of audits, for operators of the installation.

use std::sync::Arc;

use axum::extract::State;
use mainstay_domain::Timestamp;
use mainstay_store::AuditSummary;
use serde::Serialize;
use utoipa::ToSchema;

use super::report::Report;
use super::service;
use crate::accounts::Operator;
use crate::app::App;
use crate::http::{Document, Json, Problem, RequestContext};

/// How many audits the history has.
const HISTORY: u32 = 60;

/// What audits have found.
#[derive(Debug, Serialize, ToSchema)]
pub struct AuditsBody {
    /// The last report; nothing when none was made.
    #[schema(value_type = Option<Report>)]
    last: Option<serde_json::Value>,
    /// The scores of audits, the last first.
    history: Vec<AuditScoreBody>,
}

/// The score of an audit.
#[derive(Debug, Serialize, ToSchema)]
pub struct AuditScoreBody {
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    /// What the installation was taken for: laptop, server or cluster.
    profile: String,
    /// From 0 to 100.
    score: f64,
}

impl From<AuditSummary> for AuditScoreBody {
    fn from(summary: AuditSummary) -> Self {
        Self { at: summary.at, profile: summary.profile, score: f64::from(summary.score) / 10.0 }
    }
}

/// Reads the last report and the history of scores.
#[utoipa::path(get, path = "/v1/audit", tag = "operations",
    responses((status = 200, body = AuditsBody), (status = "default", body = Document<'static>)))]
pub async fn last(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Operator(_): Operator,
) -> Result<Json<AuditsBody>, Problem> {
    let (last, history) = service::history(&app, &context.call, HISTORY).await?;
    Ok(Json(AuditsBody {
        last: last.and_then(|run| serde_json::from_str(&run.report).ok()),
        history: history.into_iter().map(AuditScoreBody::from).collect(),
    }))
}

/// Makes an audit of the node that answers, by looking and nothing else. It takes some seconds.
#[utoipa::path(post, path = "/v1/audit/runs", tag = "operations",
    responses((status = 200, body = Report), (status = "default", body = Document<'static>)))]
pub async fn make(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Operator(_): Operator,
) -> Result<Json<Report>, Problem> {
    // Most of it is waiting for answers of this same server.
    context.waits();
    Ok(Json(service::look_at_oneself(&app).await?))
}
