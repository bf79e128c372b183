//! The link of a message: whoever has it sees their appointment, takes it into their calendar and can cancel it, without
//! signing in.
//!
//! It names the organisation and the appointment, and is signed; nothing of it is stored. Opening it changes nothing, since
//! programs that look at messages open what is in them.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{Html, IntoResponse, Response};
use mainstay_domain::{
    AppointmentId, AppointmentState, CalendarEvent, CalendarMethod, Error, Kind, Result, TenantId, calendar_file,
};
use mainstay_store::{ShowAppointment, ShownAppointment};

use crate::accounts::keys::{Purpose, SigningKey};
use crate::accounts::signed::SignedLinks;
use crate::app::App;
use crate::calls::speech;
use crate::http::{Document, Path, Problem, RequestContext};
use crate::reception::Change;

/// Makes links, and reads them.
pub struct Links(SignedLinks<12>);

impl Links {
    /// The links of this installation.
    #[must_use]
    pub fn new(key: &SigningKey, address: &str) -> Self {
        Self(SignedLinks::new(key, Purpose::AppointmentLink, format!("{address}/a/")))
    }

    /// The link to an appointment.
    #[must_use]
    pub fn of(&self, tenant: TenantId, appointment: AppointmentId) -> String {
        self.0.of(tenant, appointment.uuid())
    }

    /// What a token names; nothing when it was not made here.
    #[must_use]
    pub fn read(&self, token: &str) -> Option<(TenantId, AppointmentId)> {
        self.0.read(token).map(|(tenant, id)| (tenant, AppointmentId(id)))
    }
}

#[derive(Template)]
#[template(path = "appointment.html")]
struct Page<'a> {
    /// The path of the files: `/assets/<hash>`.
    base: &'a str,
    organisation: &'a str,
    service: &'a str,
    staff: &'a str,
    when: String,
    /// Where the file for a calendar is.
    file: String,
    /// What has become of it, where it is not ahead any more.
    over: &'static str,
}

/// Shows the appointment of a link, as a page. Opening it changes nothing.
#[utoipa::path(get, path = "/a/{token}", tag = "reception", security(()), params(("token" = String, Path)),
    responses((status = 200, description = "A page", content_type = "text/html"),
        (status = "default", body = Document<'static>)))]
pub async fn show(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Path(token): Path<String>,
) -> Result<Response, Problem> {
    let place = named(&app, &token)?;
    Ok(page(&app, &token, &shown(&app, &context, place).await?)?)
}

/// Cancels the appointment of a link, and shows it. Once more does no harm.
#[utoipa::path(post, path = "/a/{token}", tag = "reception", security(()), params(("token" = String, Path)),
    responses((status = 200, description = "A page", content_type = "text/html"),
        (status = 409), (status = "default", body = Document<'static>)))]
pub async fn cancel(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Path(token): Path<String>,
) -> Result<Response, Problem> {
    let (tenant, id) = named(&app, &token)?;
    let mut seen = shown(&app, &context, (tenant, id)).await?;
    if is_ahead(&app, &seen) {
        let change = Change { state: Some(AppointmentState::Cancelled), asked: true, ..Change::default() };
        match app.reception.change(&context.call, tenant, id, &change).await {
            Ok(cancelled) => seen.state = cancelled.state,
            // Somebody was faster: what became of it is shown.
            Err(error) if error.kind == Kind::Conflict => seen = shown(&app, &context, (tenant, id)).await?,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(page(&app, &token, &seen)?)
}

/// The appointment of a link as a file for a calendar (RFC 5545). It is the same event each time: a later file tells that it
/// was moved, or is cancelled.
#[utoipa::path(get, path = "/a/{token}/appointment.ics", tag = "reception", security(()), params(("token" = String, Path)),
    responses((status = 200, body = String, content_type = "text/calendar"),
        (status = "default", body = Document<'static>)))]
pub async fn calendar(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Path(token): Path<String>,
) -> Result<Response, Problem> {
    let (tenant, id) = named(&app, &token)?;
    let file = file(id, &shown(&app, &context, (tenant, id)).await?);
    let headers = [
        (CONTENT_TYPE, "text/calendar; charset=utf-8; method=PUBLISH"),
        (CONTENT_DISPOSITION, "attachment; filename=\"appointment.ics\""),
        (CACHE_CONTROL, "private, no-store"),
    ];
    Ok((headers, file).into_response())
}

/// What the page shows, for a calendar. The link is not in it: calendars are shared, and whoever has it can cancel.
fn file(id: AppointmentId, shown: &ShownAppointment) -> String {
    let event = CalendarEvent {
        // As in the feeds of the organisation.
        uid: &id.to_string(),
        created_at: shown.created_at,
        updated_at: shown.updated_at,
        span: shown.span,
        summary: &format!("{} – {}", shown.service, shown.organisation),
        description: &format!("With {}", shown.staff),
        location: "",
        cancelled: shown.state == AppointmentState::Cancelled,
    };
    calendar_file("", CalendarMethod::Publish, &[event])
}

fn named(app: &App, token: &str) -> Result<(TenantId, AppointmentId)> {
    app.texts.links.read(token).ok_or_else(|| Error::not_found("appointment"))
}

async fn shown(
    app: &App,
    context: &RequestContext,
    (tenant, id): (TenantId, AppointmentId),
) -> Result<ShownAppointment> {
    let shown = app.store.run(&context.call, ShowAppointment { tenant, id }).await?;
    shown.ok_or_else(|| Error::not_found("appointment"))
}

fn is_ahead(app: &App, shown: &ShownAppointment) -> bool {
    shown.state.is_ahead() && shown.span.from() > app.clock.now()
}

fn page(app: &App, token: &str, shown: &ShownAppointment) -> Result<Response> {
    let over = match shown.state {
        AppointmentState::Cancelled => "This appointment is cancelled.",
        _ if !is_ahead(app, shown) => "This appointment is over.",
        _ => "",
    };
    let page = Page {
        base: crate::console::base(),
        organisation: &shown.organisation,
        service: &shown.service,
        staff: &shown.staff,
        when: speech::moment(&shown.zone, shown.span.from()),
        file: format!("/a/{token}/appointment.ics"),
        over,
    };
    Ok(Html(page.render().map_err(Error::internal)?).into_response())
}
