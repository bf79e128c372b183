//! `/v1/calendar-feeds`, and the feeds themselves.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use mainstay_domain::{CalendarFeedId, Error, Label, StaffId, Timestamp};
use mainstay_store::{CalendarFeed, ListCalendarFeeds, MAKING_A_CALENDAR_FEED};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::accounts::Administrator;
use crate::app::App;
use crate::google::hash;
use crate::http::idempotency::Idempotency;
use crate::http::page::{self, Page, PageQuery, moment_and_id};
use crate::http::{Document, Json, Path, Problem, Query, RequestContext, knows};

/// A calendar that other programs read.
#[derive(Serialize, ToSchema)]
pub struct CalendarFeedBody {
    id: Uuid,
    name: String,
    /// Whose appointments; null for everybody's.
    staff_id: Option<Uuid>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

impl From<CalendarFeed> for CalendarFeedBody {
    fn from(feed: CalendarFeed) -> Self {
        Self {
            id: feed.id.uuid(),
            name: feed.name,
            staff_id: feed.staff.map(StaffId::uuid),
            created_at: feed.created_at,
        }
    }
}

/// A feed that was made, with its address.
#[derive(Serialize, ToSchema)]
pub struct NewCalendarFeedBody {
    #[serde(flatten)]
    feed: CalendarFeedBody,
    /// Where it is read. Whoever has it sees the appointments; it is told this once, and null when a request is repeated.
    url: Option<String>,
}

/// Making a feed.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateCalendarFeedBody {
    /// One line of 1 to 200 characters.
    #[schema(min_length = 1, max_length = 200, pattern = r"\S")]
    name: String,
    /// Whose appointments; everybody's when it is left out.
    #[serde(default)]
    staff_id: Option<Uuid>,
}

/// Makes a calendar that other programs read by a secret address.
#[utoipa::path(post, path = "/v1/calendar-feeds", tag = "calendars", request_body = CreateCalendarFeedBody,
    params(("Idempotency-Key" = Option<String>, Header)),
    responses((status = 201, body = NewCalendarFeedBody), (status = "default", body = Document<'static>)))]
pub async fn create(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Administrator(by): Administrator,
    idempotency: Idempotency,
    Json(body): Json<CreateCalendarFeedBody>,
) -> Result<(StatusCode, Json<NewCalendarFeedBody>), Problem> {
    let name = Label::parse(&body.name).map_err(|refused| Error::invalid(vec![refused.of("name")]))?;
    let claim = idempotency.claim(MAKING_A_CALENDAR_FEED, &body)?.map(|claim| (by.person, claim));
    let wish = (name, body.staff_id.map(StaffId));
    let (feed, url) = app.calendars.create_feed(&context.call, by.tenant, wish, claim).await?;
    let url = url.map(|url| url.expose().to_owned());
    Ok((StatusCode::CREATED, Json(NewCalendarFeedBody { feed: feed.into(), url })))
}

/// Lists feeds, the oldest first.
#[utoipa::path(get, path = "/v1/calendar-feeds", tag = "calendars", params(PageQuery),
    responses((status = 200, body = Page<CalendarFeedBody>), (status = "default", body = Document<'static>)))]
pub async fn list(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Administrator(by): Administrator,
    Query(query): Query<PageQuery>,
) -> Result<Json<Page<CalendarFeedBody>>, Problem> {
    let limit = query.limit()?;
    let after = query.cursor(moment_and_id)?.map(|(moment, id)| (moment, CalendarFeedId(id)));
    let rows = app.calendars.feeds(&context.call, ListCalendarFeeds { tenant: by.tenant, after, limit }).await?;
    Ok(Json(Page::of(rows, limit, |row| page::place(row.created_at, row.id))))
}

/// Removes a feed: its address is not there any more.
#[utoipa::path(delete, path = "/v1/calendar-feeds/{id}", tag = "calendars", params(("id" = Uuid, Path)),
    responses((status = 204), (status = "default", body = Document<'static>)))]
pub async fn remove(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Administrator(by): Administrator,
    Path(id): Path<Uuid>,
) -> Result<StatusCode, Problem> {
    app.calendars.delete_feed(&context.call, by.tenant, CalendarFeedId(id)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A feed (RFC 5545): the appointments of the last 30 days, and of as many days ahead as they are made, at most 5,000.
#[utoipa::path(get, path = "/calendars/{file}", tag = "calendars", security(()),
    params(("file" = String, Path, description = "The secret of the address, and .ics")),
    responses((status = 200, body = String, content_type = "text/calendar"), (status = 304),
        (status = "default", body = Document<'static>)))]
pub async fn file(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Path(file): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let text = app.calendars.feed_file(&context.call, &file).await?;
    let tag = format!("\"{}\"", hash(text.as_bytes()));
    let is_known = knows(&headers, &tag);
    let headers = [(CACHE_CONTROL, "private, no-cache".to_owned()), (ETAG, tag)];
    if is_known {
        return Ok((StatusCode::NOT_MODIFIED, headers).into_response());
    }
    Ok((headers, [(CONTENT_TYPE, "text/calendar; charset=utf-8")], text).into_response())
}
