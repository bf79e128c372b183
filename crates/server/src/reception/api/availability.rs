//! `/v1/availability`.

use std::sync::Arc;

use axum::extract::State;
use mainstay_domain::{CalendarDay, Error, ServiceId, StaffId, Timestamp, Zone};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::accounts::Reader;
use crate::app::App;
use crate::http::page::{cursor, cursor_for};
use crate::http::{Document, Json, Problem, Query, RequestContext};
use crate::reception::{Asked, Free, MOST_DAYS};

/// How many days are looked at when nobody says.
const USUAL_DAYS: u32 = 7;
/// How many times are told when nobody says, and the most.
const TIMES: (u32, u32) = (200, 5_000);

/// Which free times.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct AvailabilityQuery {
    /// Of what.
    service_id: Uuid,
    /// By whom; anybody who offers it when it is left out.
    #[serde(default)]
    staff_id: Option<Uuid>,
    /// From which day on, in the zone of the reception; today when it is left out.
    #[serde(default)]
    #[param(value_type = Option<crate::openapi::words::CalendarDay>)]
    from: Option<CalendarDay>,
    /// Of how many days: 1 to 62, 7 when it is left out.
    #[serde(default)]
    #[param(minimum = 1, maximum = 62)]
    days: Option<u32>,
    /// How many times are told: 1 to 5000, 200 when it is left out.
    #[serde(default)]
    #[param(minimum = 1, maximum = 5000)]
    limit: Option<u32>,
    /// `next` of the page before.
    #[serde(default)]
    after: Option<String>,
}

/// The free times of a service. What is free may be gone a moment later: whoever asks for it then is told what is free
/// instead.
#[derive(Serialize, ToSchema)]
pub struct AvailabilityBody {
    /// The zone of the reception.
    time_zone: String,
    data: Vec<FreeBody>,
    /// For `?after=` of the next page; null on the last.
    next: Option<String>,
}

/// A time that is free.
#[derive(Serialize, ToSchema)]
#[schema(as = FreeTime)]
pub struct FreeBody {
    #[schema(value_type = String, format = DateTime)]
    starts_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    ends_at: Timestamp,
    /// What the clock shows there when it begins.
    #[schema(example = "2026-03-02T09:30")]
    local: String,
    /// How many are free then.
    staff: usize,
}

/// What the clock shows: `2026-03-02T09:30`.
pub(super) fn local(zone: &Zone, moment: Timestamp) -> String {
    let (day, minute) = zone.clock(moment);
    format!("{day}T{:02}:{:02}", minute / 60, minute % 60)
}

/// The first moment of a day; of one whose midnight is skipped the first that there is.
fn midnight(zone: &Zone, day: CalendarDay) -> Result<Timestamp, Error> {
    match zone.span(day, 0, 1_440) {
        Some(span) => Ok(span.from()),
        None => Err(Error::invalid_field("from", "out_of_range", "This day does not take place in this zone.")),
    }
}

/// Tells the free times of a service, in order.
#[utoipa::path(get, path = "/v1/availability", tag = "reception", params(AvailabilityQuery),
    responses((status = 200, body = AvailabilityBody), (status = 404), (status = 409), (status = "default", body = Document<'static>)))]
pub async fn get(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Reader(by): Reader,
    Query(query): Query<AvailabilityQuery>,
) -> Result<Json<AvailabilityBody>, Problem> {
    let days = query.days.unwrap_or(USUAL_DAYS);
    if !(1..=MOST_DAYS).contains(&days) {
        let detail = format!("Ask for 1 to {MOST_DAYS} days.");
        return Err(Error::invalid_field("days", "out_of_range", detail).into());
    }
    let (usual, most) = TIMES;
    let limit = query.limit.unwrap_or(usual);
    if !(1..=most).contains(&limit) {
        let detail = format!("Ask for 1 to {most} times.");
        return Err(Error::invalid_field("limit", "out_of_range", detail).into());
    }
    let place = |text: &str| {
        let (from, until) = text.split_once('.')?;
        let moment = |text: &str| text.parse::<i64>().ok().filter(|at| (0..=253_402_300_799_999).contains(at));
        Some((Timestamp::from_millis(moment(from)?), Timestamp::from_millis(moment(until)?)))
    };
    let (from, until) = match cursor(query.after.as_deref(), place)? {
        Some((last, until)) => (Some(Timestamp::from_millis(last.as_millis() + 1)), Some(until)),
        None => match query.from {
            None => (None, None),
            Some(day) => {
                let zone = app.reception.settings(&context.call, by.tenant).await?.zone;
                (Some(midnight(&zone, day)?), None)
            }
        },
    };
    let asked = Asked {
        service: ServiceId(query.service_id),
        staff: query.staff_id.map(StaffId),
        from,
        until,
        days,
        limit: limit as usize,
    };
    let found = app.reception.availability(&context.call, by.tenant, asked).await?;
    let (zone, times) = (&found.known.reception.zone, found.known.service.times);
    let next = found.free.last().filter(|_| found.free.len() >= limit as usize);
    let next = next.map(|last| cursor_for(&format!("{}.{}", last.start.as_millis(), found.until.as_millis())));
    let body = |free: &Free| FreeBody {
        starts_at: free.start,
        ends_at: times.shown(free.start).until(),
        local: local(zone, free.start),
        staff: free.staff.len(),
    };
    let data = found.free.iter().map(body).collect();
    Ok(Json(AvailabilityBody { time_zone: zone.name().to_owned(), data, next }))
}
