//! `/v1/staff/{id}/calendar`, and where somebody comes back who has been to Google.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use mainstay_domain::{Error, Span, StaffId, Timestamp};
use mainstay_store::{BusyTime, CalendarConnection, ListBusyTimes, ListCalendarConnections};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::accounts::{Administrator, Reader, Writer};
use crate::app::App;
use crate::calendars::connecting::Choice;
use crate::http::page::{Page, PageQuery};
use crate::http::{Document, Json, Path, Problem, Query, RequestContext};

/// The most days of times that are listed at once.
const MOST_DAYS: u64 = 62;
/// How much of them is listed when nobody says.
const USUALLY: Duration = Duration::from_secs(7 * 86_400);
/// The most times that are listed.
const MOST_TIMES: u32 = 2_000;

/// The calendar of a member of the staff.
#[derive(Serialize, ToSchema)]
pub struct CalendarBody {
    staff_id: Uuid,
    /// Always `google`.
    provider: &'static str,
    /// The account's address.
    account: String,
    /// The provider's id of the calendar; `primary` for the account's own.
    calendar: String,
    /// `connecting` until it was read for the first time, `connected`, `stale` when what is known of it is old, or
    /// `reconnect` when the account has to be connected again.
    state: &'static str,
    /// When it was read last.
    #[schema(value_type = Option<String>, format = DateTime)]
    synced_at: Option<Timestamp>,
    /// What went wrong last, while something does.
    error: Option<String>,
    /// Since when something goes wrong.
    #[schema(value_type = Option<String>, format = DateTime)]
    failing_since: Option<Timestamp>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

impl CalendarBody {
    fn of(app: &App, connection: CalendarConnection) -> Self {
        let state = match &connection {
            one if one.reconnect => "reconnect",
            one if one.synced_at.is_none() => "connecting",
            one if app.calendars.is_stale(one) => "stale",
            _ => "connected",
        };
        Self {
            staff_id: connection.staff.uuid(),
            provider: "google",
            account: connection.account,
            calendar: connection.calendar,
            state,
            synced_at: connection.synced_at,
            error: connection.error,
            failing_since: connection.failing_since,
            created_at: connection.created_at,
        }
    }
}

/// Where to go to connect a calendar.
#[derive(Serialize, ToSchema)]
pub struct CalendarSignInBody {
    /// Open it in the browser in which you are signed in here.
    authorization_url: String,
    /// Until when you may come back.
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
}

/// What the provider gave to whoever comes back.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CalendarReturnBody {
    /// As it stands in the address.
    state: String,
    /// As it stands in the address.
    code: String,
}

/// Which calendar of the account is used.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CalendarChangeBody {
    /// The provider's id of it, or `primary`.
    #[schema(min_length = 1, max_length = 200)]
    calendar: String,
}

/// A calendar of an account.
#[derive(Serialize, ToSchema)]
pub struct CalendarChoiceBody {
    /// The provider's id of it.
    id: String,
    name: String,
}

impl From<Choice> for CalendarChoiceBody {
    fn from(choice: Choice) -> Self {
        Self { id: choice.id, name: choice.name }
    }
}

/// The calendars of an account.
#[derive(Serialize, ToSchema)]
pub struct CalendarChoicesBody {
    data: Vec<CalendarChoiceBody>,
}

/// Begins to connect the calendar of a member of the staff: you go to Google with the address, and come back.
#[utoipa::path(post, path = "/v1/staff/{id}/calendar", tag = "calendars", params(("id" = Uuid, Path)),
    responses((status = 200, body = CalendarSignInBody), (status = "default", body = Document<'static>)))]
pub async fn connect(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Administrator(by): Administrator,
    Path(id): Path<Uuid>,
) -> Result<Json<CalendarSignInBody>, Problem> {
    let staff = StaffId(id);
    app.reception.one_of_staff(&context.call, by.tenant, staff).await?;
    let (authorization_url, expires_at) = app.calendars.begin(&context.call, &by, staff).await?;
    Ok(Json(CalendarSignInBody { authorization_url, expires_at }))
}

/// Ends what was begun, with what Google gave: the calendar is connected. Only whoever began it may, once, within ten
/// minutes. Until it was read for the first time no times of theirs are offered.
#[utoipa::path(post, path = "/v1/calendar-sign-ins", tag = "calendars", request_body = CalendarReturnBody,
    responses((status = 200, body = CalendarBody), (status = 404), (status = 502), (status = "default", body = Document<'static>)))]
pub async fn finish(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Administrator(by): Administrator,
    Json(body): Json<CalendarReturnBody>,
) -> Result<Json<CalendarBody>, Problem> {
    let connection = app.calendars.finish(&context.call, &by, &body.state, &body.code).await?;
    Ok(Json(CalendarBody::of(&app, connection)))
}

/// Reads how the calendar of a member of the staff is.
#[utoipa::path(get, path = "/v1/staff/{id}/calendar", tag = "calendars", params(("id" = Uuid, Path)),
    responses((status = 200, body = CalendarBody), (status = "default", body = Document<'static>)))]
pub async fn get(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Reader(by): Reader,
    Path(id): Path<Uuid>,
) -> Result<Json<CalendarBody>, Problem> {
    let connection = app.calendars.of(&context.call, by.tenant, StaffId(id)).await?;
    Ok(Json(CalendarBody::of(&app, connection)))
}

/// Takes another calendar of the account. The coming appointments are written into it; what was written into the one before
/// stays there.
#[utoipa::path(patch, path = "/v1/staff/{id}/calendar", tag = "calendars", request_body = CalendarChangeBody,
    params(("id" = Uuid, Path)),
    responses((status = 200, body = CalendarBody), (status = 502), (status = "default", body = Document<'static>)))]
pub async fn change(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Administrator(by): Administrator,
    Path(id): Path<Uuid>,
    Json(body): Json<CalendarChangeBody>,
) -> Result<Json<CalendarBody>, Problem> {
    let connection = app.calendars.switch(&context.call, by.tenant, StaffId(id), &body.calendar).await?;
    Ok(Json(CalendarBody::of(&app, connection)))
}

/// Disconnects the calendar of a member of the staff. What it took of their time is free; what was written stays there.
#[utoipa::path(delete, path = "/v1/staff/{id}/calendar", tag = "calendars", params(("id" = Uuid, Path)),
    responses((status = 204), (status = 502), (status = "default", body = Document<'static>)))]
pub async fn disconnect(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Administrator(by): Administrator,
    Path(id): Path<Uuid>,
) -> Result<StatusCode, Problem> {
    app.calendars.disconnect(&context.call, by.tenant, StaffId(id)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Has the calendar of a member of the staff read now.
#[utoipa::path(post, path = "/v1/staff/{id}/calendar/sync", tag = "calendars", params(("id" = Uuid, Path)),
    responses((status = 202), (status = "default", body = Document<'static>)))]
pub async fn sync(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Writer(by): Writer,
    Path(id): Path<Uuid>,
) -> Result<StatusCode, Problem> {
    app.calendars.sync(&context.call, by.tenant, StaffId(id)).await?;
    Ok(StatusCode::ACCEPTED)
}

/// Asks which calendars the account has that may be written to.
#[utoipa::path(get, path = "/v1/staff/{id}/calendar/choices", tag = "calendars", params(("id" = Uuid, Path)),
    responses((status = 200, body = CalendarChoicesBody), (status = 409), (status = 502), (status = "default", body = Document<'static>)))]
pub async fn choices(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Administrator(by): Administrator,
    Path(id): Path<Uuid>,
) -> Result<Json<CalendarChoicesBody>, Problem> {
    let choices = app.calendars.choices(&context.call, by.tenant, StaffId(id)).await?;
    Ok(Json(CalendarChoicesBody { data: choices.into_iter().map(CalendarChoiceBody::from).collect() }))
}

/// A connection with the app, by which it is told whether it is old.
struct Seen<'a>(&'a App, CalendarConnection);

impl From<Seen<'_>> for CalendarBody {
    fn from(Seen(app, connection): Seen<'_>) -> Self {
        Self::of(app, connection)
    }
}

/// Lists the calendars that are connected.
#[utoipa::path(get, path = "/v1/calendar-connections", tag = "calendars", params(PageQuery),
    responses((status = 200, body = Page<CalendarBody>), (status = "default", body = Document<'static>)))]
pub async fn list(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Reader(by): Reader,
    Query(query): Query<PageQuery>,
) -> Result<Json<Page<CalendarBody>>, Problem> {
    let limit = query.limit()?;
    let after = query.cursor(|place| Uuid::try_parse(place).ok())?.map(StaffId);
    let list = ListCalendarConnections { tenant: by.tenant, after, limit };
    let rows = app.calendars.list(&context.call, list).await?;
    let rows = rows.into_iter().map(|row| Seen(&app, row)).collect();
    Ok(Json(Page::of(rows, limit, |Seen(_, row)| row.staff.to_string())))
}

/// Whose times, and when.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct BusyQuery {
    /// Whose.
    staff_id: Uuid,
    /// From when on; now when it is left out.
    #[serde(default)]
    #[param(value_type = Option<String>, format = DateTime)]
    from: Option<Timestamp>,
    /// Until when, at most 62 days later; seven days later when it is left out.
    #[serde(default)]
    #[param(value_type = Option<String>, format = DateTime)]
    until: Option<Timestamp>,
}

/// Time that is taken by something else in somebody's calendar. What it is stays there.
#[derive(Serialize, ToSchema)]
pub struct BusyBody {
    staff_id: Uuid,
    #[schema(value_type = String, format = DateTime)]
    starts_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    ends_at: Timestamp,
}

impl From<BusyTime> for BusyBody {
    fn from(busy: BusyTime) -> Self {
        Self { staff_id: busy.staff.uuid(), starts_at: busy.span.from(), ends_at: busy.span.until() }
    }
}

/// Times that are taken.
#[derive(Serialize, ToSchema)]
pub struct BusyTimesBody {
    data: Vec<BusyBody>,
}

/// Lists what something else takes of somebody's time, at most 2,000.
#[utoipa::path(get, path = "/v1/busy-times", tag = "calendars", params(BusyQuery),
    responses((status = 200, body = BusyTimesBody), (status = "default", body = Document<'static>)))]
pub async fn busy(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Reader(by): Reader,
    Query(query): Query<BusyQuery>,
) -> Result<Json<BusyTimesBody>, Problem> {
    let from = query.from.unwrap_or_else(|| app.clock.now());
    let until = query.until.unwrap_or_else(|| from.plus(USUALLY));
    let longest = Duration::from_secs(MOST_DAYS * 86_400);
    let within = Span::new(from, until).filter(|span| span.length() <= longest).ok_or_else(|| {
        Error::invalid_field(
            "until",
            "out_of_range",
            format!("Name a moment after `from`, at most {MOST_DAYS} days later."),
        )
    })?;
    let list = ListBusyTimes { tenant: by.tenant, staff: StaffId(query.staff_id), within, limit: MOST_TIMES };
    let times = app.calendars.busy(&context.call, list).await?;
    Ok(Json(BusyTimesBody { data: times.into_iter().map(BusyBody::from).collect() }))
}
