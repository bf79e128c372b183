//! `/v1/inbox`.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use mainstay_domain::{Error, InboxEventId, InboxSourceId, Timestamp};
use mainstay_store::{COUNTED_EVENTS, EventCounts, InboxEvent, InboxSummary, JobLife};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::accounts::Administrator;
use crate::app::App;
use crate::http::page::{self, Page, cursor_for};
use crate::http::{Document, Json, Path, Problem, Query, RequestContext};
use crate::jobs::{CancelledBody, JobAttemptBody, ReplayedBiteBody};
use crate::webhooks::service;

/// Which events, and which page.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct InboxQuery {
    /// From this sender.
    source: Option<Uuid>,
    /// Of this kind, in the sender's word.
    kind: Option<String>,
    /// pending, processed, dead or cancelled.
    #[param(value_type = Option<crate::openapi::words::InboxState>)]
    state: Option<String>,
    /// Rows of a page: 1 to 100, 50 when it is left out. With a filter a page may have fewer although more follow.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u32>,
    /// `next` of the page before.
    after: Option<String>,
}

/// An event that has arrived.
#[derive(Serialize, ToSchema)]
pub struct InboxEventBody {
    id: Uuid,
    /// Who sent it.
    source_id: Uuid,
    #[schema(example = "vapi")]
    provider: String,
    /// The sender's own word for what it is.
    #[schema(example = "end-of-call-report")]
    kind: String,
    /// What the same event has when it arrives again.
    identity: String,
    /// When what it tells was so, by the sender's clock, in milliseconds since 1970.
    version: Option<i64>,
    #[schema(value_type = String, format = DateTime)]
    received_at: Timestamp,
    /// pending, processed, dead or cancelled.
    #[schema(example = "processed")]
    state: &'static str,
}

impl From<InboxSummary> for InboxEventBody {
    fn from(event: InboxSummary) -> Self {
        Self {
            id: event.id.uuid(),
            source_id: event.source.uuid(),
            provider: event.provider,
            kind: event.kind,
            identity: event.identity,
            version: event.version,
            received_at: event.received_at,
            state: event.state.as_str(),
        }
    }
}

/// The processing of an event.
#[derive(Serialize, ToSchema)]
pub struct InboxJobBody {
    /// scheduled, ready, running, done, dead or cancelled.
    state: &'static str,
    /// How many attempts were begun.
    attempt: u32,
    most_attempts: u32,
    /// When the next one is due, or the last was.
    #[schema(value_type = String, format = DateTime)]
    run_at: Timestamp,
    /// When the last one began.
    #[schema(value_type = Option<String>, format = DateTime)]
    started_at: Option<Timestamp>,
    /// When somebody asked the one that runs to stop.
    #[schema(value_type = Option<String>, format = DateTime)]
    cancel_asked_at: Option<Timestamp>,
    #[schema(value_type = Option<String>, format = DateTime)]
    finished_at: Option<Timestamp>,
    /// Those that failed.
    attempts: Vec<JobAttemptBody>,
}

impl From<JobLife> for InboxJobBody {
    fn from(life: JobLife) -> Self {
        Self {
            state: life.job.state.as_str(),
            attempt: life.job.attempt,
            most_attempts: life.job.most_attempts,
            run_at: life.job.run_at,
            started_at: life.job.started_at,
            cancel_asked_at: life.job.cancel_asked_at,
            finished_at: life.job.finished_at,
            attempts: life.attempts.into_iter().map(JobAttemptBody::from).collect(),
        }
    }
}

/// An event with all that is known of it.
#[derive(Serialize, ToSchema)]
pub struct WholeInboxEventBody {
    #[serde(flatten)]
    event: InboxEventBody,
    /// Its processing; nothing once that is long over.
    job: Option<InboxJobBody>,
    /// What it says, as it came.
    #[schema(value_type = Object)]
    payload: Box<RawValue>,
}

impl WholeInboxEventBody {
    /// An event and, while there is one, its job.
    ///
    /// # Errors
    /// A bug: what is stored is JSON.
    pub fn of(found: InboxEvent, job: Option<JobLife>) -> Result<Self, Error> {
        let payload = RawValue::from_string(found.payload).map_err(Error::internal)?;
        Ok(Self { event: found.event.into(), job: job.map(InboxJobBody::from), payload })
    }
}

/// How the events of a sender fare.
#[derive(Serialize, ToSchema)]
pub struct SenderCountsBody {
    /// Who sent them. It may have been removed.
    source_id: Uuid,
    pending: u32,
    processed: u32,
    dead: u32,
    cancelled: u32,
    /// When the newest arrived.
    #[schema(value_type = Option<String>, format = DateTime)]
    newest_at: Option<Timestamp>,
}

/// How the newest 10,000 events fare.
#[derive(Serialize, ToSchema)]
pub struct InboxCountsBody {
    pending: u32,
    processed: u32,
    dead: u32,
    cancelled: u32,
    /// True when there are older ones, which are not counted.
    more: bool,
    /// Senders of which there are events.
    senders: Vec<SenderCountsBody>,
}

impl From<BTreeMap<InboxSourceId, EventCounts>> for InboxCountsBody {
    fn from(counts: BTreeMap<InboxSourceId, EventCounts>) -> Self {
        let sum = |of: fn(&EventCounts) -> u32| counts.values().map(of).sum::<u32>();
        let row = |(source, counts): (&InboxSourceId, &EventCounts)| SenderCountsBody {
            source_id: source.uuid(),
            pending: counts.pending,
            processed: counts.processed,
            dead: counts.dead,
            cancelled: counts.cancelled,
            newest_at: counts.newest_at,
        };
        Self {
            pending: sum(|of| of.pending),
            processed: sum(|of| of.processed),
            dead: sum(|of| of.dead),
            cancelled: sum(|of| of.cancelled),
            more: sum(EventCounts::all) >= COUNTED_EVENTS,
            senders: counts.iter().map(row).collect(),
        }
    }
}

/// Which events to process again.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReplayFilterBody {
    #[serde(default)]
    source: Option<Uuid>,
    #[serde(default)]
    kind: Option<String>,
    /// pending, processed, dead or cancelled.
    #[serde(default)]
    #[schema(example = "dead", value_type = Option<crate::openapi::words::InboxState>)]
    state: Option<String>,
}

/// Processing many events again.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct InboxReplaysBody {
    filter: ReplayFilterBody,
    /// `next` of the answer before.
    #[serde(default)]
    after: Option<String>,
}

fn place(after: Option<&str>) -> Result<Option<InboxEventId>, Error> {
    page::cursor(after, |id| id.parse().ok())
}

fn next(id: Option<InboxEventId>) -> Option<String> {
    id.map(|id| cursor_for(&id.to_string()))
}

/// Lists the events that have arrived, the newest first. A page looks at 2,000 events at most.
#[utoipa::path(get, path = "/v1/inbox", tag = "inbox", params(InboxQuery),
    responses((status = 200, body = Page<InboxEventBody>), (status = "default", body = Document<'static>)))]
pub async fn list(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Administrator(by): Administrator,
    Query(query): Query<InboxQuery>,
) -> Result<Json<Page<InboxEventBody>>, Problem> {
    let limit = page::limit(query.limit)?;
    let after = place(query.after.as_deref())?;
    let filter = service::filter(query.source.map(InboxSourceId), query.kind, query.state.as_deref())?;
    let found = service::events(&app, &context.call, by.tenant, filter, (after, limit)).await?;
    let data = found.events.into_iter().map(InboxEventBody::from).collect();
    Ok(Json(Page { data, next: next(found.next) }))
}

/// Reads an event, what it says, and how its processing went.
#[utoipa::path(get, path = "/v1/inbox/{id}", tag = "inbox", params(("id" = Uuid, Path)),
    responses((status = 200, body = WholeInboxEventBody), (status = "default", body = Document<'static>)))]
pub async fn get(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Administrator(by): Administrator,
    Path(id): Path<Uuid>,
) -> Result<Json<WholeInboxEventBody>, Problem> {
    let (found, job) = service::event(&app, &context.call, by.tenant, InboxEventId(id)).await?;
    Ok(Json(WholeInboxEventBody::of(found, job)?))
}

/// Counts the newest 10,000 events by sender and state.
#[utoipa::path(get, path = "/v1/inbox/counts", tag = "inbox",
    responses((status = 200, body = InboxCountsBody), (status = "default", body = Document<'static>)))]
pub async fn counts(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Administrator(by): Administrator,
) -> Result<Json<InboxCountsBody>, Problem> {
    Ok(Json(service::counts(&app, &context.call, by.tenant).await?.into()))
}

/// Cancels the processing of an event that is pending. One that is processed just now is asked to stop, which it does within
/// a second or two.
#[utoipa::path(post, path = "/v1/inbox/{id}/cancel", tag = "inbox", params(("id" = Uuid, Path)),
    responses((status = 200, body = CancelledBody), (status = "default", body = Document<'static>)))]
pub async fn cancel(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Administrator(by): Administrator,
    Path(id): Path<Uuid>,
) -> Result<Json<CancelledBody>, Problem> {
    let cancelled = service::cancel(&app, &context.call, by.tenant, InboxEventId(id)).await?;
    Ok(Json(CancelledBody { cancelled }))
}

/// Processes an event again, with all attempts before it. It must have been processed, given up or cancelled.
#[utoipa::path(post, path = "/v1/inbox/{id}/replay", tag = "inbox", params(("id" = Uuid, Path)),
    responses((status = 200, body = ReplayedBiteBody), (status = "default", body = Document<'static>)))]
pub async fn replay(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Administrator(by): Administrator,
    Path(id): Path<Uuid>,
) -> Result<Json<ReplayedBiteBody>, Problem> {
    service::replay(&app, &context.call, by.tenant, InboxEventId(id)).await?;
    Ok(Json(ReplayedBiteBody { replayed: 1, next: None }))
}

/// Processes the events of a filter again, the newest first, at most 500 in one call. Call it with `next` until that is
/// null.
#[utoipa::path(post, path = "/v1/inbox/replays", tag = "inbox", request_body = InboxReplaysBody,
    responses((status = 200, body = ReplayedBiteBody), (status = "default", body = Document<'static>)))]
pub async fn replay_all(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Administrator(by): Administrator,
    Json(body): Json<InboxReplaysBody>,
) -> Result<Json<ReplayedBiteBody>, Problem> {
    let ReplayFilterBody { source, kind, state } = body.filter;
    let after = place(body.after.as_deref())?;
    let filter = service::filter(source.map(InboxSourceId), kind, state.as_deref())?;
    let (replayed, last) = service::replay_all(&app, &context.call, by.tenant, filter, after).await?;
    Ok(Json(ReplayedBiteBody { replayed, next: next(last) }))
}
