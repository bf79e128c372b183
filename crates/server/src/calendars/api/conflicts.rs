//! `/v1/calendar-conflicts`.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use mainstay_domain::{CalendarConflictId, Error, Timestamp};
use mainstay_store::{CalendarConflict, ConflictEnd, ListCalendarConflicts};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::accounts::{Reader, Writer};
use crate::app::App;
use crate::calendars::resolving::resolve;
use crate::http::page::{self, Page, PageQuery, moment_and_id};
use crate::http::{Document, Json, Path, Problem, Query, RequestContext};

/// A calendar says something else than the reception does.
#[derive(Serialize, ToSchema)]
pub struct CalendarConflictBody {
    id: Uuid,
    appointment_id: Uuid,
    staff_id: Uuid,
    /// `moved`: its event was moved to a time that cannot be had, or while it was changed here too. `deleted`: its event was
    /// deleted. `busy`: something else lies over it.
    kind: &'static str,
    /// Where the appointment lay when it was found.
    #[schema(value_type = String, format = DateTime)]
    ours_from: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    ours_until: Timestamp,
    /// Where the event lies; null for one that was deleted.
    #[schema(value_type = Option<String>, format = DateTime)]
    theirs_from: Option<Timestamp>,
    #[schema(value_type = Option<String>, format = DateTime)]
    theirs_until: Option<Timestamp>,
    #[schema(value_type = String, format = DateTime)]
    found_at: Timestamp,
}

impl From<CalendarConflict> for CalendarConflictBody {
    fn from(conflict: CalendarConflict) -> Self {
        Self {
            id: conflict.id.uuid(),
            appointment_id: conflict.appointment.uuid(),
            staff_id: conflict.staff.uuid(),
            kind: conflict.kind.as_str(),
            ours_from: conflict.ours.from(),
            ours_until: conflict.ours.until(),
            theirs_from: conflict.theirs.map(mainstay_domain::Span::from),
            theirs_until: conflict.theirs.map(mainstay_domain::Span::until),
            found_at: conflict.found_at,
        }
    }
}

/// How a conflict ends.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CalendarResolutionBody {
    /// `ours`: the appointment is written again. `theirs`: it follows the calendar, and is cancelled where its event was
    /// deleted. `seen`: for something that lies over it.
    #[schema(value_type = crate::openapi::words::Keep)]
    keep: String,
}

/// Lists where calendars say something else than the reception does, what was found first first.
#[utoipa::path(get, path = "/v1/calendar-conflicts", tag = "calendars", params(PageQuery),
    responses((status = 200, body = Page<CalendarConflictBody>), (status = "default", body = Document<'static>)))]
pub async fn list(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Reader(by): Reader,
    Query(query): Query<PageQuery>,
) -> Result<Json<Page<CalendarConflictBody>>, Problem> {
    let limit = query.limit()?;
    let after = query.cursor(moment_and_id)?.map(|(moment, id)| (moment, CalendarConflictId(id)));
    let list = ListCalendarConflicts { tenant: by.tenant, after, limit };
    let rows = app.store.run(&context.call, list).await.map_err(Error::from)?;
    Ok(Json(Page::of(rows, limit, |row| page::place(row.found_at, row.id))))
}

/// Ends a conflict. A time that somebody else has cannot be taken over: then the answer tells what is free.
#[utoipa::path(post, path = "/v1/calendar-conflicts/{id}/resolve", tag = "calendars",
    request_body = CalendarResolutionBody, params(("id" = Uuid, Path)),
    responses((status = 204), (status = "default", body = Document<'static>)))]
pub async fn end(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Writer(by): Writer,
    Path(id): Path<Uuid>,
    Json(body): Json<CalendarResolutionBody>,
) -> Result<StatusCode, Problem> {
    let keep = match body.keep.as_str() {
        "ours" => ConflictEnd::Ours,
        "theirs" => ConflictEnd::Theirs,
        "seen" => ConflictEnd::Seen,
        _ => return Err(Error::invalid_field("keep", "unknown_word", "Say `ours`, `theirs` or `seen`.").into()),
    };
    resolve(&app, &context.call, (by.tenant, CalendarConflictId(id)), keep).await?;
    Ok(StatusCode::NO_CONTENT)
}
