//! The wire of delta sync.

use std::sync::Arc;

use axum::extract::State;
use mainstay_domain::{Cursor, Error};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::mutations::{MutationsBody, ResultsBody};
use super::rows::ChangeBody;
use super::service::Answered;
use crate::accounts::{Reader, Writer};
use crate::app::App;
use crate::http::{Document, Json, Problem, Query, RequestContext};

/// Changes of a page when nothing is said.
const USUAL: u32 = 20;
/// Changes of a page at most.
const MOST: u32 = 50;

/// Since when, and how many.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct SyncQuery {
    /// `cursor` of the answer before; without it everything comes, from the beginning.
    #[serde(default)]
    cursor: Option<String>,
    /// Changes of a page: 1 to 50, 20 when it is left out.
    #[serde(default)]
    #[param(minimum = 1, maximum = 50)]
    limit: Option<u32>,
    /// Whether replies also come as safe HTML.
    #[serde(default)]
    html: bool,
}

/// Live rows of both streams, for a client to compare with its own when a page is complete.
#[derive(Serialize, ToSchema)]
pub struct ChecksumBody {
    /// How many.
    count: i64,
    /// The sum of their numbers.
    sum: i64,
}

/// A page of changes.
#[derive(Serialize, ToSchema)]
pub struct SyncBody {
    /// In the order of their numbers within each stream.
    changes: Vec<ChangeBody>,
    /// Send it back for what comes after this page.
    #[schema(example = "1700000000000.42-1700000000000.3")]
    cursor: String,
    /// False when there is more: ask again at once.
    complete: bool,
    /// Of which history the cursor is. After a restore it is another one, and old cursors are answered 410.
    epoch: String,
    checksum: ChecksumBody,
    /// When to sync again, in milliseconds; null when only on demand (the plan free).
    next_sync_after_ms: Option<u64>,
}

impl SyncBody {
    fn new(answered: &Answered, html: bool) -> Result<Self, Error> {
        let page = &answered.page;
        let (own, shared) = (&page.positions.membership, &page.positions.organisation);
        let changes = page.changes.iter().map(|change| ChangeBody::new(change, html));
        Ok(Self {
            changes: changes.collect::<Result<_, _>>().map_err(Error::internal)?,
            cursor: page.cursor.to_string(),
            complete: page.complete,
            epoch: format!("{}-{}", own.epoch, shared.epoch),
            checksum: ChecksumBody { count: own.live_rows + shared.live_rows, sum: own.live_sum + shared.live_sum },
            next_sync_after_ms: answered.next_sync_after_ms,
        })
    }
}

/// What changed for the caller since a cursor.
#[utoipa::path(get, path = "/v1/sync", tag = "sync", params(SyncQuery), responses(
    (status = 200, description = "A page of changes", body = SyncBody),
    (status = 410, description = "`resync_required`: begin again without a cursor", body = Document),
    (status = "4XX", description = "A problem", body = Document)))]
pub async fn sync(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Reader(by): Reader,
    Query(query): Query<SyncQuery>,
) -> Result<Json<SyncBody>, Problem> {
    let after = cursor(query.cursor.as_deref())?;
    let limit = query.limit.unwrap_or(USUAL);
    if !(1..=MOST).contains(&limit) {
        return Err(Error::invalid_field("limit", "out_of_range", "Give a number from 1 to 50.").into());
    }
    let plan = app.accounts.plan_of(&context.call, &by).await;
    match app.sync.page(&context.call, &by, plan, after, limit).await? {
        Ok(answered) => Ok(Json(SyncBody::new(&answered, query.html)?)),
        Err(again) => Err(again.into()),
    }
}

/// Reads a cursor; an absent or empty one is the beginning.
pub fn cursor(text: Option<&str>) -> Result<Cursor, Error> {
    match text {
        None | Some("") => Ok(Cursor::default()),
        Some(text) => text.parse().map_err(|_| {
            let cure = "Send back a cursor as it was given, or none to begin.";
            Error::invalid_field("cursor", "invalid_cursor", cure)
        }),
    }
}

/// What a client wrote while it was offline, each applied once however often it is sent.
#[utoipa::path(post, path = "/v1/sync", tag = "sync", request_body = MutationsBody, responses(
    (status = 200, description = "What became of each", body = ResultsBody),
    (status = "4XX", description = "A problem", body = Document)))]
pub async fn push(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Writer(by): Writer,
    Json(body): Json<MutationsBody>,
) -> Result<Json<ResultsBody>, Problem> {
    Ok(Json(super::mutations::apply(&app, &context.call, &by, body).await?))
}
