//! Whom nobody of the organisation writes to.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use mainstay_domain::{EmailAddress, Error, Faults, SuppressionReason, Timestamp};
use mainstay_store::{Allow, ListSuppressions, Suppress, Suppression};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::accounts::{Administrator, Reader};
use crate::app::App;
use crate::http::page::{self, Page, PageQuery, moment_and};
use crate::http::{Document, Json, Path, Problem, Query, RequestContext};

/// An address, or a whole domain.
#[derive(Serialize, ToSchema)]
#[schema(as = Suppression)]
pub struct SuppressionBody {
    /// An address, or a domain as `@example.com`.
    subject: String,
    /// `unsubscribed`, `bounced`, `complained` or `manual`.
    #[schema(value_type = crate::openapi::words::SuppressionReason)]
    reason: SuppressionReason,
    /// The email that it came of.
    email_id: Option<Uuid>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

impl From<Suppression> for SuppressionBody {
    fn from(row: Suppression) -> Self {
        Self {
            subject: row.subject,
            reason: row.reason,
            email_id: row.email.map(|email| email.uuid()),
            created_at: row.created_at,
        }
    }
}

/// Whom nobody is to write to.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = SuppressionsWish)]
pub struct SuppressionsBody {
    /// 1 to 100 addresses, or domains as `@example.com`.
    #[schema(value_type = Vec<crate::openapi::words::SuppressionSubject>, min_items = 1, max_items = 100)]
    subjects: Vec<String>,
}

/// How many are new.
#[derive(Serialize, ToSchema)]
#[schema(as = SuppressionsAdded)]
pub struct AddedBody {
    added: usize,
}

/// Reads an address, or a domain as `@example.com`.
fn subject(text: &str) -> Result<String, mainstay_domain::Refused> {
    match text.trim().strip_prefix('@') {
        Some(domain) => EmailAddress::parse(&format!("x@{domain}")).map(|address| address.as_str()[1..].to_owned()),
        None => EmailAddress::parse(text).map(|address| address.as_str().to_owned()),
    }
}

/// Lists whom nobody writes to, the newest first.
#[utoipa::path(get, path = "/v1/suppressions", tag = "outreach", params(PageQuery),
    responses((status = 200, body = Page<SuppressionBody>), (status = "default", body = Document<'static>)))]
pub async fn list(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Reader(by): Reader,
    Query(query): Query<PageQuery>,
) -> Result<Json<Page<SuppressionBody>>, Problem> {
    let limit = query.limit()?;
    let before = query.cursor(|text| moment_and(text, |text| subject(text).ok().filter(|read| read == text)))?;
    let list = ListSuppressions { tenant: by.tenant, subject: None, before, limit };
    let rows = app.store.run(&context.call, list).await?;
    Ok(Json(Page::of(rows, limit, |row: &Suppression| page::place(row.created_at, &row.subject))))
}

/// Puts addresses and domains on the list. What is queued for them is not sent.
#[utoipa::path(post, path = "/v1/suppressions", tag = "outreach", request_body = SuppressionsBody,
    responses((status = 201, body = AddedBody), (status = "default", body = Document<'static>)))]
pub async fn add(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Administrator(by): Administrator,
    Json(body): Json<SuppressionsBody>,
) -> Result<(StatusCode, Json<AddedBody>), Problem> {
    let mut faults = Faults::default();
    if body.subjects.is_empty() || body.subjects.len() > 100 {
        faults.add("subjects", "out_of_range", "Give 1 to 100 addresses or domains.");
    }
    let read = body.subjects.iter().enumerate();
    let subjects: BTreeSet<String> =
        read.filter_map(|(n, text)| faults.keep(&format!("subjects[{n}]"), subject(text))).collect();
    faults.judge()?;
    let suppress = Suppress { tenant: by.tenant, subjects, now: app.clock.now() };
    let added = app.store.run(&context.call, suppress).await?;
    Ok((StatusCode::CREATED, Json(AddedBody { added })))
}

/// Takes an address or a domain off the list. Leads that were stopped stay so.
#[utoipa::path(delete, path = "/v1/suppressions/{subject}", tag = "outreach", params(("subject" = crate::openapi::words::SuppressionSubject, Path)),
    responses((status = 204), (status = "default", body = Document<'static>)))]
pub async fn remove(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Administrator(by): Administrator,
    Path(text): Path<String>,
) -> Result<StatusCode, Problem> {
    let subject = subject(&text).map_err(|refused| Error::invalid(vec![refused.of("subject")]))?;
    match app
        .store
        .run(&context.call, Allow { tenant: by.tenant, digest: app.keys.objection(by.tenant, &subject), subject })
        .await?
    {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(Error::not_found("suppression").into()),
    }
}
