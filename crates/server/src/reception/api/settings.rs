//! `/v1/reception` and `/v1/special-days`.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use mainstay_domain::{CalendarDay, Error, Opening, Refused, StaffId, Week};
use mainstay_store::{NamedDay, Reception as Settings};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::accounts::{Administrator, Reader};
use crate::app::App;
use crate::http::{Document, Json, Path, Problem, Query, RequestContext};
use crate::reception::settings::Wanted;

/// How many days are listed when nobody says.
const USUAL_DAYS: i64 = 366;

/// How the reception works.
#[derive(Clone, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Reception)]
pub struct ReceptionBody {
    /// The zone in which it is, by its name in the IANA database.
    #[schema(example = "Europe/Berlin", value_type = crate::openapi::words::TimeZone)]
    time_zone: String,
    /// What is before numbers of telephones that name no country, such as 49; nothing where all name one.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 999)]
    calling_code: Option<u16>,
    /// When it is open on each day of the week, Monday first: up to eight openings, such as `09:00-12:30`, the end of the day
    /// as `24:00`.
    #[schema(value_type = Vec<Vec<crate::openapi::words::Opening>>, min_items = 7, max_items = 7)]
    week: Week,
    /// How far apart the beginnings are that are offered: 5, 10, 15, 20, 30, 45 or 60 minutes.
    #[serde(default = "quarter")]
    #[schema(value_type = crate::openapi::words::Step)]
    step_minutes: u16,
    /// For how many minutes a time is held for somebody who thinks about it: 1 to 60.
    #[serde(default = "five")]
    #[schema(minimum = 1, maximum = 60)]
    hold_minutes: u32,
    /// How many minutes before its beginning an appointment is made at the latest: 0 to 40320.
    #[serde(default = "hour")]
    #[schema(minimum = 0, maximum = 40_320)]
    lead_minutes: u32,
    /// How many days ahead one is made at the most: 1 to 730.
    #[serde(default = "two_months")]
    #[schema(minimum = 1, maximum = 730)]
    horizon_days: u32,
}

const fn quarter() -> u16 {
    15
}

const fn five() -> u32 {
    5
}

const fn hour() -> u32 {
    60
}

const fn two_months() -> u32 {
    60
}

impl From<Settings> for ReceptionBody {
    fn from(settings: Settings) -> Self {
        Self {
            time_zone: settings.zone.name().to_owned(),
            calling_code: settings.calling_code.map(mainstay_domain::CallingCode::number),
            week: settings.week,
            step_minutes: settings.step.minutes(),
            hold_minutes: settings.hold_minutes,
            lead_minutes: settings.lead_minutes,
            horizon_days: settings.horizon_days,
        }
    }
}

/// A day that is not like others.
#[derive(Serialize, ToSchema)]
#[schema(as = SpecialDay)]
pub struct SpecialDayBody {
    #[schema(value_type = crate::openapi::words::CalendarDay)]
    day: CalendarDay,
    /// Whose day it is; null for the organisation's, which is everybody's.
    #[schema(value_type = Option<Uuid>)]
    staff_id: Option<StaffId>,
    name: String,
    /// When it is open all the same; empty for a day on which it is closed.
    #[schema(value_type = Vec<crate::openapi::words::Opening>)]
    openings: Vec<Opening>,
}

impl From<NamedDay> for SpecialDayBody {
    fn from(day: NamedDay) -> Self {
        Self { day: day.day.day, staff_id: day.staff, openings: day.day.openings().to_vec(), name: day.name }
    }
}

/// What a day is like.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PutSpecialDayBody {
    /// What it is called: a holiday, an absence.
    #[schema(min_length = 1, max_length = 200, pattern = r"\S")]
    name: String,
    /// When it is open all the same; none for a day on which it is closed.
    #[serde(default)]
    #[schema(value_type = Vec<crate::openapi::words::Opening>, max_items = 8)]
    openings: Vec<Opening>,
}

/// Whose day.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct WhoseQuery {
    /// One of the staff; the organisation when it is left out.
    #[serde(default)]
    staff_id: Option<Uuid>,
}

/// Which days.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct DaysQuery {
    /// The first day; today's when it is left out.
    #[serde(default)]
    #[param(value_type = Option<crate::openapi::words::CalendarDay>)]
    from: Option<CalendarDay>,
    /// The last day; a year later when it is left out.
    #[serde(default)]
    #[param(value_type = Option<crate::openapi::words::CalendarDay>)]
    until: Option<CalendarDay>,
}

/// The days that are not like others.
#[derive(Serialize, ToSchema)]
pub struct SpecialDaysBody {
    data: Vec<SpecialDayBody>,
}

/// How the reception works. 409 `reception_not_set_up` where nobody has said.
#[utoipa::path(get, path = "/v1/reception", tag = "reception",
    responses((status = 200, body = ReceptionBody), (status = 409), (status = "default", body = Document<'static>)))]
pub async fn get(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Reader(by): Reader,
) -> Result<Json<ReceptionBody>, Problem> {
    Ok(Json(app.reception.settings(&context.call, by.tenant).await?.into()))
}

/// Says how the reception works.
#[utoipa::path(put, path = "/v1/reception", tag = "reception", request_body = ReceptionBody,
    responses((status = 200, body = ReceptionBody), (status = "default", body = Document<'static>)))]
pub async fn put(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Administrator(by): Administrator,
    Json(body): Json<ReceptionBody>,
) -> Result<Json<ReceptionBody>, Problem> {
    let wanted = Wanted {
        zone: body.time_zone,
        calling_code: body.calling_code,
        week: body.week,
        step_minutes: body.step_minutes,
        hold_minutes: body.hold_minutes,
        lead_minutes: body.lead_minutes,
        horizon_days: body.horizon_days,
    };
    Ok(Json(app.reception.set_up(&context.call, by.tenant, wanted).await?.into()))
}

/// Lists the days that are not like others: the organisation's and those of its staff, in order. At most two years are asked
/// for at once.
#[utoipa::path(get, path = "/v1/special-days", tag = "reception", params(DaysQuery),
    responses((status = 200, body = SpecialDaysBody), (status = 409), (status = "default", body = Document<'static>)))]
pub async fn days(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Reader(by): Reader,
    Query(query): Query<DaysQuery>,
) -> Result<Json<SpecialDaysBody>, Problem> {
    let zone = app.reception.settings(&context.call, by.tenant).await?.zone;
    let first = query.from.unwrap_or_else(|| zone.day_of(app.clock.now()));
    let usual = || CalendarDay::from_number(first.number() + USUAL_DAYS).unwrap_or(first);
    let last = query.until.unwrap_or_else(usual);
    if last < first || last.number() - first.number() > 2 * USUAL_DAYS {
        let detail = "Give a day that is not before `from`, and at most two years after it.";
        return Err(Error::invalid_field("until", "out_of_range", detail).into());
    }
    let days = app.reception.special_days(&context.call, by.tenant, (first, last)).await?;
    Ok(Json(SpecialDaysBody { data: days.into_iter().map(SpecialDayBody::from).collect() }))
}

fn day(text: &str) -> Result<CalendarDay, Problem> {
    text.parse().map_err(|refused: Refused| Error::invalid(vec![refused.of("day")]).into())
}

/// Says what a day is like: the organisation's, or that of one of the staff.
#[utoipa::path(put, path = "/v1/special-days/{day}", tag = "reception", request_body = PutSpecialDayBody,
    params(("day" = crate::openapi::words::CalendarDay, Path, description = "Such as 2026-12-24"), WhoseQuery),
    responses((status = 200, body = SpecialDayBody), (status = "default", body = Document<'static>)))]
pub async fn put_day(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Administrator(by): Administrator,
    Path(text): Path<String>,
    Query(query): Query<WhoseQuery>,
    Json(body): Json<PutSpecialDayBody>,
) -> Result<Json<SpecialDayBody>, Problem> {
    let which = (query.staff_id.map(StaffId), day(&text)?);
    let put = app.reception.put_special_day(&context.call, by.tenant, which, (body.openings, &body.name)).await?;
    Ok(Json(put.into()))
}

/// Makes a day like others again.
#[utoipa::path(delete, path = "/v1/special-days/{day}", tag = "reception",
    params(("day" = crate::openapi::words::CalendarDay, Path, description = "Such as 2026-12-24"), WhoseQuery),
    responses((status = 204), (status = "default", body = Document<'static>)))]
pub async fn remove_day(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Administrator(by): Administrator,
    Path(text): Path<String>,
    Query(query): Query<WhoseQuery>,
) -> Result<StatusCode, Problem> {
    let which = (query.staff_id.map(StaffId), day(&text)?);
    app.reception.remove_special_day(&context.call, by.tenant, which).await?;
    Ok(StatusCode::NO_CONTENT)
}
