//! `/v1/appointments`.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use mainstay_domain::{AppointmentId, AppointmentState, ContactId, Error, Note, ServiceId, Span, StaffId, Timestamp};
use mainstay_store::{Appointment, ListAppointments};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::contacts::ContactWishBody;
use crate::accounts::{Reader, Writer};
use crate::app::App;
use crate::http::idempotency::Idempotency;
use crate::http::page::{self, Page, moment_and_id};
use crate::http::{Document, Json, Path, Problem, Query, RequestContext};
use crate::reception::{BOOKING, Change, Shift, Wish};

/// The most days of appointments that are listed at once.
const MOST_DAYS: u64 = 62;
/// How much of them is listed when nobody says.
const USUALLY: Duration = Duration::from_secs(7 * 86_400);

/// A service that is done for a contact by somebody at a time.
#[derive(Serialize, ToSchema)]
#[schema(as = Appointment)]
pub struct AppointmentBody {
    id: Uuid,
    service_id: Uuid,
    staff_id: Uuid,
    /// Null while it is only held.
    contact_id: Option<Uuid>,
    /// `held`, `booked`, `confirmed`, `cancelled`, `no_show` or `done`.
    #[schema(value_type = crate::openapi::words::AppointmentState)]
    state: AppointmentState,
    #[schema(value_type = String, format = DateTime)]
    starts_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    ends_at: Timestamp,
    /// What it takes of somebody's time, with what is set aside before and after.
    #[schema(value_type = String, format = DateTime)]
    blocked_from: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    blocked_until: Timestamp,
    /// Until when it is held.
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Timestamp>,
    note: String,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

impl From<Appointment> for AppointmentBody {
    fn from(appointment: Appointment) -> Self {
        Self {
            id: appointment.id.uuid(),
            service_id: appointment.service.uuid(),
            staff_id: appointment.staff.uuid(),
            contact_id: appointment.contact.map(ContactId::uuid),
            state: appointment.state,
            starts_at: appointment.shown.from(),
            ends_at: appointment.shown.until(),
            blocked_from: appointment.blocked.from(),
            blocked_until: appointment.blocked.until(),
            expires_at: appointment.expires_at,
            note: appointment.note,
            created_at: appointment.created_at,
            updated_at: appointment.updated_at,
        }
    }
}

/// Making an appointment.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BookBody {
    service_id: Uuid,
    /// By whom; of those who are free the one with the least to do when it is left out.
    #[serde(default)]
    staff_id: Option<Uuid>,
    #[schema(value_type = String, format = DateTime)]
    starts_at: Timestamp,
    /// For whom: a contact that is there,
    #[serde(default)]
    contact_id: Option<Uuid>,
    /// or somebody who is known by this, as by `POST /v1/contacts`.
    #[serde(default)]
    contact: Option<ContactWishBody>,
    /// Whether the time is only held, for as many minutes as the reception says. It then needs no contact.
    #[serde(default)]
    hold: bool,
    /// At most 2000 characters.
    #[serde(default)]
    #[schema(max_length = 2_000)]
    note: String,
    /// Whether it may lie outside the hours and what is offered. `staff_id` must then be given.
    #[serde(default)]
    outside_hours: bool,
}

/// Moving an appointment.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MoveBody {
    #[schema(value_type = String, format = DateTime)]
    starts_at: Timestamp,
    /// To whom; whoever does it now when it is left out.
    #[serde(default)]
    staff_id: Option<Uuid>,
    /// Whether it may lie outside the hours and what is offered.
    #[serde(default)]
    outside_hours: bool,
}

/// What becomes of an appointment. What is left out stays as it is.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangeAppointmentBody {
    /// `booked`, `confirmed`, `cancelled`, `no_show` or `done`.
    #[serde(default)]
    #[schema(value_type = Option<crate::openapi::words::AppointmentChange>)]
    state: Option<AppointmentState>,
    #[serde(default)]
    contact_id: Option<Uuid>,
    /// At most 2000 characters.
    #[serde(default)]
    #[schema(max_length = 2_000)]
    note: Option<String>,
}

/// Which appointments.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct AppointmentsQuery {
    /// Those that begin from this moment on; now when it is left out.
    #[serde(default)]
    #[param(value_type = Option<String>, format = DateTime)]
    from: Option<Timestamp>,
    /// Those that begin before this moment, at most 62 days later; a week later when it is left out.
    #[serde(default)]
    #[param(value_type = Option<String>, format = DateTime)]
    until: Option<Timestamp>,
    /// Rows of a page: 1 to 100, 50 when it is left out.
    #[serde(default)]
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u32>,
    /// `next` of the page before.
    #[serde(default)]
    after: Option<String>,
}

fn note(text: &str) -> Result<Note, Error> {
    Note::parse(text).map_err(|refused| Error::invalid(vec![refused.of("note")]))
}

/// Makes an appointment, or holds a time. 409 `slot_taken` and `not_offered` tell the next free times.
#[utoipa::path(post, path = "/v1/appointments", tag = "reception", request_body = BookBody,
    params(("Idempotency-Key" = Option<String>, Header)),
    responses((status = 201, body = AppointmentBody), (status = 404), (status = "default", body = Document<'static>)))]
pub async fn book(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Writer(by): Writer,
    idempotency: Idempotency,
    Json(body): Json<BookBody>,
) -> Result<(StatusCode, Json<AppointmentBody>), Problem> {
    let claim = idempotency.claim(BOOKING, &body)?.map(|claim| (by.person, claim));
    if body.outside_hours && body.staff_id.is_none() {
        let detail = "Say who does it: outside the hours nobody is there by themselves.";
        return Err(Error::invalid_field("staff_id", "missing", detail).into());
    }
    let note = note(&body.note)?;
    let contact = match (body.contact_id, body.contact) {
        (Some(_), Some(_)) => {
            let detail = "Give either `contact_id` or `contact`.";
            return Err(Error::invalid_field("contact", "ambiguous", detail).into());
        }
        (Some(id), None) => Some(app.reception.contact(&context.call, by.tenant, ContactId(id)).await?.id),
        (None, Some(wish)) => Some(app.reception.know(&context.call, by.tenant, &wish.into()).await?.id),
        (None, None) if body.hold => None,
        (None, None) => {
            let detail = "Say for whom it is, or hold the time only.";
            return Err(Error::invalid_field("contact", "missing", detail).into());
        }
    };
    let wish = Wish {
        service: ServiceId(body.service_id),
        staff: body.staff_id.map(StaffId),
        start: body.starts_at,
        contact,
        hold: body.hold,
        note,
        outside_hours: body.outside_hours,
        asked: false,
    };
    let made = app.reception.book(&context.call, by.tenant, &wish, claim).await?;
    Ok((StatusCode::CREATED, Json(made.into())))
}

/// Lists the appointments that begin within a stretch of time, in order, whatever became of them.
#[utoipa::path(get, path = "/v1/appointments", tag = "reception", params(AppointmentsQuery),
    responses((status = 200, body = Page<AppointmentBody>), (status = "default", body = Document<'static>)))]
pub async fn list(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Reader(by): Reader,
    Query(query): Query<AppointmentsQuery>,
) -> Result<Json<Page<AppointmentBody>>, Problem> {
    let limit = page::limit(query.limit)?;
    let after = page::cursor(query.after.as_deref(), moment_and_id)?.map(|(at, id)| (at, AppointmentId(id)));
    let from = query.from.unwrap_or_else(|| app.clock.now());
    let until = query.until.unwrap_or_else(|| from.plus(USUALLY));
    let within = Span::new(from, until).filter(|span| span.length().as_secs() <= MOST_DAYS * 86_400);
    let Some(within) = within else {
        let detail = format!("Give a moment after `from`, and at most {MOST_DAYS} days after it.");
        return Err(Error::invalid_field("until", "out_of_range", detail).into());
    };
    let list = ListAppointments { tenant: by.tenant, within, after, limit };
    let rows = app.reception.appointments(&context.call, list).await?;
    Ok(Json(Page::of(rows, limit, |row| page::place(row.shown.from(), row.id))))
}

/// Reads an appointment.
#[utoipa::path(get, path = "/v1/appointments/{id}", tag = "reception", params(("id" = Uuid, Path)),
    responses((status = 200, body = AppointmentBody), (status = "default", body = Document<'static>)))]
pub async fn get(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Reader(by): Reader,
    Path(id): Path<Uuid>,
) -> Result<Json<AppointmentBody>, Problem> {
    Ok(Json(app.reception.appointment(&context.call, by.tenant, AppointmentId(id)).await?.into()))
}

/// Says what becomes of an appointment. What was cancelled stays so.
#[utoipa::path(patch, path = "/v1/appointments/{id}", tag = "reception", request_body = ChangeAppointmentBody,
    params(("id" = Uuid, Path)),
    responses((status = 200, body = AppointmentBody), (status = "default", body = Document<'static>)))]
pub async fn change(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Writer(by): Writer,
    Path(id): Path<Uuid>,
    Json(body): Json<ChangeAppointmentBody>,
) -> Result<Json<AppointmentBody>, Problem> {
    let note = body.note.as_deref().map(note).transpose()?;
    let contact = match body.contact_id {
        Some(id) => Some(app.reception.contact(&context.call, by.tenant, ContactId(id)).await?.id),
        None => None,
    };
    let change = Change { state: body.state, contact, note, asked: false };
    Ok(Json(app.reception.change(&context.call, by.tenant, AppointmentId(id), &change).await?.into()))
}

/// Moves an appointment to another time, to somebody else, or both, in one step: it has the one time or the other, and never
/// none. 409 `slot_taken` and `not_offered` tell the next free times.
#[utoipa::path(post, path = "/v1/appointments/{id}/move", tag = "reception", request_body = MoveBody,
    params(("id" = Uuid, Path)),
    responses((status = 200, body = AppointmentBody), (status = "default", body = Document<'static>)))]
pub async fn shift(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Writer(by): Writer,
    Path(id): Path<Uuid>,
    Json(body): Json<MoveBody>,
) -> Result<Json<AppointmentBody>, Problem> {
    let to = Shift {
        start: body.starts_at,
        staff: body.staff_id.map(StaffId),
        outside_hours: body.outside_hours,
        asked: false,
    };
    let moved = app.reception.shift(&context.call, by.tenant, AppointmentId(id), to).await?;
    Ok(Json(moved.into()))
}
