//! The wire of recordings: a person agrees and sends, and operators look.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use mainstay_domain::{Error, Timestamp};
use mainstay_store::{KeptReplay, ListReplays, ReplayReason};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::{Chunk, MOST_CHUNKS};
use crate::accounts::{Operator, Reader, Writer};
use crate::app::App;
use crate::http::page::{self, Page, cursor, limit, moment_and_id};
use crate::http::{Document, Json, Path, Problem, Query, RequestContext};

/// The longest texts, in characters.
const LONGEST_VERSION: usize = 64;
const LONGEST_PAGE: usize = 200;

/// Why a recording is sent.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = ReplayReason)]
pub enum ReasonBody {
    /// Its session is one of those that are looked at.
    Sampled,
    /// Something went wrong in it.
    Error,
}

/// A chunk of a recording.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReplayChunkBody {
    /// The recording: an id that the browser makes.
    replay_id: Uuid,
    /// Which chunk, from 0. The same one again is taken once.
    #[schema(minimum = 0, maximum = 399)]
    number: u32,
    /// The path of the page.
    #[schema(max_length = 200)]
    page: String,
    /// The release that the page is of.
    #[serde(default)]
    #[schema(max_length = 64, pattern = r"^[0-9A-Za-z.-]*$")]
    version: String,
    /// Why it is sent.
    reason: ReasonBody,
    /// A JSON array of events of rrweb, as text of at most 1,000,000 bytes. Whatever could be read in it must be masked with
    /// asterisks, and of names and attributes only those of the console are taken.
    #[schema(max_length = 1_000_000, format = "replay-events")]
    events: String,
}

/// What became of a chunk.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReplayChunkTakenBody {
    /// False when it was there already.
    kept: bool,
}

/// Takes a chunk of a recording of somebody who has agreed.
#[utoipa::path(post, path = "/v1/replays", tag = "operations", request_body = ReplayChunkBody,
    responses((status = 202, body = ReplayChunkTakenBody), (status = "default", body = Document<'static>)))]
pub async fn take(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Writer(by): Writer,
    Json(body): Json<ReplayChunkBody>,
) -> Result<(StatusCode, Json<ReplayChunkTakenBody>), Problem> {
    let ReplayChunkBody { replay_id, number, page, version, reason, events } = body;
    if number >= MOST_CHUNKS {
        let detail = format!("Chunks are numbered from 0 to {}.", MOST_CHUNKS - 1);
        return Err(Error::invalid_field("number", "out_of_range", detail).into());
    }
    if page.chars().count() > LONGEST_PAGE {
        let detail = format!("The path has at most {LONGEST_PAGE} characters.");
        return Err(Error::invalid_field("page", "too_long", detail).into());
    }
    let is_sound = |letter: char| letter.is_ascii_alphanumeric() || ".-".contains(letter);
    if version.len() > LONGEST_VERSION || !version.chars().all(is_sound) {
        let detail = format!("A release has at most {LONGEST_VERSION} letters, digits, dots and hyphens.");
        return Err(Error::invalid_field("version", "malformed", detail).into());
    }
    let reason = match reason {
        ReasonBody::Sampled => ReplayReason::Sampled,
        ReasonBody::Error => ReplayReason::Error,
    };
    let chunk = Chunk { replay: replay_id, number, page, version, reason, events };
    let kept = app.watching.replays.take(&context.call, &by, chunk).await?;
    Ok((StatusCode::ACCEPTED, Json(ReplayChunkTakenBody { kept })))
}

/// Whether somebody agrees to recordings.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReplayConsentBody {
    /// Whether this installation takes recordings.
    available: bool,
    /// Since when the person agrees; null when they do not.
    #[schema(value_type = Option<String>, format = DateTime)]
    given_at: Option<Timestamp>,
    /// Of how many of a hundred sessions everything is sent.
    sample_percent: u32,
    /// For how many days a recording is kept.
    keep_days: u64,
}

/// Tells whether the caller agrees to recordings, and what becomes of them.
#[utoipa::path(get, path = "/v1/replay-consent", tag = "operations",
    responses((status = 200, body = ReplayConsentBody), (status = "default", body = Document<'static>)))]
pub async fn consent(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Reader(by): Reader,
) -> Result<Json<ReplayConsentBody>, Problem> {
    let given_at = app.watching.replays.consent(&context.call, &by).await?;
    let settings = &app.config.replay;
    Ok(Json(ReplayConsentBody {
        available: settings.enabled,
        given_at,
        sample_percent: settings.sample_percent,
        keep_days: settings.keep_days,
    }))
}

/// The caller agrees to recordings.
#[utoipa::path(put, path = "/v1/replay-consent", tag = "operations",
    responses((status = 204), (status = "default", body = Document<'static>)))]
pub async fn agree(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Writer(by): Writer,
) -> Result<StatusCode, Problem> {
    app.watching.replays.agree(&context.call, &by).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What was forgotten.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReplaysForgottenBody {
    /// How many recordings.
    forgotten: u64,
}

/// The caller does not agree any more: their recordings are removed, and no others are taken.
#[utoipa::path(delete, path = "/v1/replays", tag = "operations",
    responses((status = 200, body = ReplaysForgottenBody), (status = "default", body = Document<'static>)))]
pub async fn withdraw(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Writer(by): Writer,
) -> Result<Json<ReplaysForgottenBody>, Problem> {
    let forgotten = app.watching.replays.withdraw(&context.call, by.tenant, by.person).await?;
    Ok(Json(ReplaysForgottenBody { forgotten }))
}

/// Which recordings.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct ReplaysQuery {
    /// Rows of a page: 1 to 100, 50 when it is left out.
    #[serde(default)]
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u32>,
    /// `next` of the page before.
    #[serde(default)]
    after: Option<String>,
    /// Only those in which something went wrong.
    #[serde(default)]
    with_errors: bool,
}

/// A recording, without what was seen.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Replay)]
pub struct ReplayBody {
    /// Its id.
    id: Uuid,
    /// Whose browser: the organisation.
    organisation_id: Uuid,
    /// Whose browser: the person.
    person_id: Uuid,
    /// On which page; `other` for those that are not the console's.
    page: String,
    /// Of which release the page was.
    version: String,
    /// Why it was sent: `sampled` or `error`.
    reason: String,
    /// When its first chunk came.
    #[schema(value_type = String, format = DateTime)]
    begun_at: Timestamp,
    /// When its last chunk came.
    #[schema(value_type = String, format = DateTime)]
    last_at: Timestamp,
    /// How long it is, in milliseconds.
    duration_ms: i64,
    /// How many bytes it has.
    bytes: i64,
    /// How many errors are in it.
    errors: i64,
}

impl From<KeptReplay> for ReplayBody {
    fn from(replay: KeptReplay) -> Self {
        Self {
            id: replay.id,
            organisation_id: replay.tenant.uuid(),
            person_id: replay.person.uuid(),
            page: replay.page,
            version: replay.version,
            reason: replay.reason,
            begun_at: replay.begun_at,
            last_at: replay.last_at,
            duration_ms: replay.span.1.saturating_sub(replay.span.0),
            bytes: replay.bytes,
            errors: replay.errors,
        }
    }
}

/// Lists recordings of all organisations, the last first.
#[utoipa::path(get, path = "/v1/replays", tag = "operations", params(ReplaysQuery),
    responses((status = 200, body = Page<ReplayBody>), (status = "default", body = Document<'static>)))]
pub async fn list(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Operator(_): Operator,
    Query(query): Query<ReplaysQuery>,
) -> Result<Json<Page<ReplayBody>>, Problem> {
    let (limit, before) = (limit(query.limit)?, cursor(query.after.as_deref(), moment_and_id)?);
    let list = ListReplays { before, with_errors: query.with_errors, limit };
    let found = app.store.run(&context.call, list).await?;
    Ok(Json(Page::of(found, limit, |one| page::place(one.begun_at, one.id))))
}

/// A recording with its events.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = WholeReplay)]
pub struct WholeReplayBody {
    #[serde(flatten)]
    replay: ReplayBody,
    /// Its chunks in their order, each a list of events of rrweb.
    #[schema(value_type = Vec<Vec<serde_json::Value>>)]
    chunks: Vec<Box<RawValue>>,
}

/// Reads a recording. This is noted in the access log of its organisation.
#[utoipa::path(get, path = "/v1/replays/{id}", tag = "operations", params(("id" = Uuid, Path)),
    responses((status = 200, body = WholeReplayBody), (status = "default", body = Document<'static>)))]
pub async fn get(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Operator(by): Operator,
    Path(id): Path<Uuid>,
) -> Result<Json<WholeReplayBody>, Problem> {
    let (replay, chunks) = app.watching.replays.read(&context.call, &by, id).await?;
    let chunks = chunks.into_iter().map(RawValue::from_string).collect::<Result<_, _>>().map_err(Error::internal)?;
    Ok(Json(WholeReplayBody { replay: replay.into(), chunks }))
}
