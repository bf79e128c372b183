//! The wire of jobs, queues and probes, for operators of the installation.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use mainstay_domain::JobId;
use mainstay_store::JobFilter;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::body::{CancelledBody, JobBody, LifeBody, QueuesBody, ReplayedBiteBody};
use super::service::{self, MOST_REPLAYED, PROBE_PREFIX, Probes};
use crate::accounts::Operator;
use crate::app::App;
use crate::http::page::{self, Page, cursor_for};
use crate::http::{Document, Json, Path, Problem, Query, RequestContext};

/// Which jobs.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct JobsQuery {
    /// In this state: scheduled, ready, running, done, dead or cancelled.
    #[serde(default)]
    #[param(value_type = Option<crate::openapi::words::JobState>)]
    state: Option<String>,
    /// In this queue.
    #[serde(default)]
    queue: Option<String>,
    /// Of this kind.
    #[serde(default)]
    kind: Option<String>,
    /// Of this group within the queue.
    #[serde(default)]
    group: Option<String>,
    /// Rows of a page: 1 to 100, 50 when it is left out.
    #[serde(default)]
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u32>,
    /// `next` of the page before.
    #[serde(default)]
    after: Option<String>,
}

fn filter(
    state: Option<&str>,
    queue: Option<String>,
    kind: Option<String>,
    group: Option<String>,
) -> Result<JobFilter, Problem> {
    let state = state.filter(|word| !word.is_empty()).map(service::state).transpose()?;
    let text = Option::unwrap_or_default;
    Ok(JobFilter { state, queue: text(queue), kind: text(kind), group: text(group) })
}

/// The job that a cursor names.
fn place(after: Option<&str>) -> Result<Option<JobId>, Problem> {
    Ok(page::cursor(after, |text| Uuid::try_parse(text).ok())?.map(JobId))
}

fn cursor(next: Option<JobId>) -> Option<String> {
    next.map(|job| cursor_for(&job.to_string()))
}

/// Lists jobs of all organisations, the newest first. A page looks at 2,000 jobs: it may be short, or empty, although more
/// follow; `next` says so.
#[utoipa::path(get, path = "/v1/jobs", tag = "jobs", params(JobsQuery),
    responses((status = 200, body = Page<JobBody>), (status = "default", body = Document<'static>)))]
pub async fn list(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Operator(_): Operator,
    Query(query): Query<JobsQuery>,
) -> Result<Json<Page<JobBody>>, Problem> {
    let limit = page::limit(query.limit)?;
    let after = place(query.after.as_deref())?;
    let filter = filter(query.state.as_deref(), query.queue, query.kind, query.group)?;
    let found = service::list(&app, &context.call, filter, after, limit).await?;
    Ok(Json(Page { data: found.jobs.into_iter().map(JobBody::from).collect(), next: cursor(found.next) }))
}

/// A job: what it is to do, and every attempt that failed.
#[utoipa::path(get, path = "/v1/jobs/{id}", tag = "jobs", params(("id" = Uuid, Path)),
    responses((status = 200, body = LifeBody), (status = "default", body = Document<'static>)))]
pub async fn get(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Operator(_): Operator,
    Path(id): Path<Uuid>,
) -> Result<Json<LifeBody>, Problem> {
    Ok(Json(service::find(&app, &context.call, JobId(id)).await?.into()))
}

/// Cancels a job. One that runs is asked to stop, which it does within a second or two.
#[utoipa::path(post, path = "/v1/jobs/{id}/cancel", tag = "jobs", params(("id" = Uuid, Path)),
    responses((status = 200, body = CancelledBody), (status = "default", body = Document<'static>)))]
pub async fn cancel(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Operator(_): Operator,
    Path(id): Path<Uuid>,
) -> Result<Json<CancelledBody>, Problem> {
    Ok(Json(CancelledBody { cancelled: service::cancel(&app, &context.call, JobId(id)).await? }))
}

/// Begins a job anew that has ended, with all its attempts before it.
#[utoipa::path(post, path = "/v1/jobs/{id}/replay", tag = "jobs", params(("id" = Uuid, Path)),
    responses((status = 204), (status = "default", body = Document<'static>)))]
pub async fn replay(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Operator(_): Operator,
    Path(id): Path<Uuid>,
) -> Result<StatusCode, Problem> {
    service::replay(&app, &context.call, JobId(id)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Which jobs are begun anew.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct JobReplaysBody {
    /// dead or cancelled.
    #[schema(example = "dead", value_type = crate::openapi::words::EndedState)]
    state: String,
    /// In this queue.
    #[serde(default)]
    queue: Option<String>,
    /// Of this kind.
    #[serde(default)]
    kind: Option<String>,
    /// Of this group within the queue.
    #[serde(default)]
    group: Option<String>,
    /// At most so many: 1 to 500, 500 when it is left out.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 500)]
    limit: Option<u32>,
    /// `next` of the answer before, so that what fails again at once is not begun twice.
    #[serde(default)]
    after: Option<String>,
}

/// Begins anew, of the jobs that were given up or cancelled, a bite of those that the filter names. Call it with `next` until
/// that is null.
#[utoipa::path(post, path = "/v1/jobs/replays", tag = "jobs", request_body = JobReplaysBody,
    responses((status = 200, body = ReplayedBiteBody), (status = "default", body = Document<'static>)))]
pub async fn replay_some(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Operator(_): Operator,
    Json(body): Json<JobReplaysBody>,
) -> Result<Json<ReplayedBiteBody>, Problem> {
    let after = place(body.after.as_deref())?;
    let filter = filter(Some(&body.state), body.queue, body.kind, body.group)?;
    let limit = body.limit.unwrap_or(MOST_REPLAYED);
    let bite = service::replay_some(&app, &context.call, filter, after, limit).await?;
    Ok(Json(ReplayedBiteBody { replayed: bite.replayed, next: cursor(bite.next) }))
}

/// Probes to promise.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ProbesBody {
    /// What their keys have in common; made up when it is left out. The same key promises nothing twice on one day (UTC).
    #[serde(default)]
    #[schema(min_length = 1, max_length = 100, pattern = r"^[A-Za-z0-9._-]+$")]
    key: Option<String>,
    /// How long each works, in milliseconds.
    #[serde(default)]
    #[schema(maximum = 30_000)]
    work_ms: u64,
    /// How many attempts of each fail before one takes effect; with 20 or more it is given up.
    #[serde(default)]
    #[schema(maximum = 100)]
    failures: u32,
    /// How many: 1 to 1,000.
    #[schema(minimum = 1, maximum = 1_000)]
    count: u32,
}

/// What was promised.
#[derive(Serialize, ToSchema)]
pub struct PromisedBody {
    /// How the keys of these probes begin: for `?prefix=` of the list.
    #[schema(example = "probe/deploy-7/")]
    prefix: String,
    /// How many were promised by this call.
    promised: usize,
    /// How many had been promised before.
    existing: usize,
}

/// Promises probes: jobs that do nothing but leave a row which says how often they took effect. They show, on a system that
/// runs, that what is promised is done, and done once.
#[utoipa::path(post, path = "/v1/jobs/probes", tag = "jobs", request_body = ProbesBody,
    responses((status = 202, body = PromisedBody), (status = "default", body = Document<'static>)))]
pub async fn promise_probes(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Operator(_): Operator,
    Json(body): Json<ProbesBody>,
) -> Result<(StatusCode, Json<PromisedBody>), Problem> {
    let ProbesBody { key, work_ms, failures, count } = body;
    let probes = Probes { key, first: 0, count, work_ms, failures };
    let promised = service::promise_probes(&app, &context.call, &probes).await?;
    let body = PromisedBody { prefix: promised.prefix, promised: promised.promised, existing: promised.existing };
    Ok((StatusCode::ACCEPTED, Json(body)))
}

/// Which probes.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct ProbesQuery {
    /// How their keys begin; `probe/` when it is left out.
    #[serde(default)]
    #[param(pattern = r"^probe/")]
    prefix: Option<String>,
    /// `next` of the page before.
    #[serde(default)]
    after: Option<String>,
}

/// A probe that took effect.
#[derive(Serialize, ToSchema)]
pub struct ProbeBody {
    /// Its key.
    key: String,
    /// How often it took effect: 1 is right.
    effects: i64,
}

/// Lists probes that took effect, by key, a thousand on a page. They are kept for a day.
#[utoipa::path(get, path = "/v1/jobs/probes", tag = "jobs", params(ProbesQuery),
    responses((status = 200, body = Page<ProbeBody>), (status = "default", body = Document<'static>)))]
pub async fn probes(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Operator(_): Operator,
    Query(query): Query<ProbesQuery>,
) -> Result<Json<Page<ProbeBody>>, Problem> {
    let after = page::cursor(query.after.as_deref(), |key| Some(key.to_owned()))?;
    let prefix = query.prefix.as_deref().unwrap_or(PROBE_PREFIX);
    let (found, next) = service::probes(&app, &context.call, prefix, after).await?;
    let data = found.into_iter().map(|probe| ProbeBody { key: probe.key, effects: probe.effects }).collect();
    Ok(Json(Page { data, next: next.map(|key| cursor_for(&key)) }))
}

/// The queues: how much waits, since when, and which are paused; and the schedules.
#[utoipa::path(get, path = "/v1/queues", tag = "jobs",
    responses((status = 200, body = QueuesBody), (status = "default", body = Document<'static>)))]
pub async fn queues(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Operator(_): Operator,
) -> Result<Json<QueuesBody>, Problem> {
    Ok(Json(service::queues(&app, &context.call).await?))
}

/// Pauses a queue on all nodes: nothing of it is begun until it goes on. What runs is not touched, and what is promised
/// waits.
#[utoipa::path(post, path = "/v1/queues/{name}/pause", tag = "jobs", params(("name" = String, Path)),
    responses((status = 204), (status = "default", body = Document<'static>)))]
pub async fn pause(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Operator(_): Operator,
    Path(name): Path<String>,
) -> Result<StatusCode, Problem> {
    service::pause(&app, &context.call, &name, true).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Lets a queue go on that was paused.
#[utoipa::path(post, path = "/v1/queues/{name}/resume", tag = "jobs", params(("name" = String, Path)),
    responses((status = 204), (status = "default", body = Document<'static>)))]
pub async fn resume(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Operator(_): Operator,
    Path(name): Path<String>,
) -> Result<StatusCode, Problem> {
    service::pause(&app, &context.call, &name, false).await?;
    Ok(StatusCode::NO_CONTENT)
}
