//! `/v1/text-messages`, `/v1/text-settings` and `/v1/text-opt-outs`.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use mainstay_domain::{
    AppointmentId, Error, InboxSourceId, PhoneNumber, TextMessageId, TextReason, TextState, Timestamp,
};
use mainstay_store::{ListOptOuts, ListTexts, TextMessage, TextSettings};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::service::Wish;
use crate::accounts::{Administrator, Reader};
use crate::app::App;
use crate::http::page::{self, Page, PageQuery, cursor_for, moment_and, moment_and_id};
use crate::http::{Document, Json, Path, Problem, Query, RequestContext};

/// A text message to somebody who has an appointment.
#[derive(Serialize, ToSchema)]
#[schema(as = TextMessage)]
pub struct TextMessageBody {
    id: Uuid,
    appointment_id: Uuid,
    contact_id: Uuid,
    /// `confirmation`, `moved`, `cancelled` or `reminder`.
    #[schema(value_type = crate::openapi::words::TextReason)]
    reason: TextReason,
    /// E.164.
    phone: String,
    /// `waiting`, `sending`, `unknown`, `accepted`, `sent`, `failed`, `undelivered`, `delivered`, `read` or `dropped`.
    #[schema(value_type = crate::openapi::words::TextState)]
    state: TextState,
    /// What was said; null before it is sent for the first time.
    body: Option<String>,
    /// When the appointment begins of which it tells.
    #[schema(value_type = String, format = DateTime)]
    starts_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    due_at: Timestamp,
    attempts: u32,
    #[schema(value_type = Option<String>, format = DateTime)]
    attempted_at: Option<Timestamp>,
    /// The provider's id.
    provider_id: Option<String>,
    /// The provider's code of what went wrong.
    error_code: Option<i64>,
    /// What went wrong, or why it was dropped.
    error: Option<String>,
    /// How many messages of the network it took.
    segments: Option<i64>,
    /// What it cost, in millionths of the currency; null until the provider tells.
    price_micros: Option<i64>,
    currency: Option<String>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

impl From<TextMessage> for TextMessageBody {
    fn from(text: TextMessage) -> Self {
        let (price_micros, currency) = text.price.unzip();
        Self {
            id: text.id.uuid(),
            appointment_id: text.appointment.uuid(),
            contact_id: text.contact.uuid(),
            reason: text.reason,
            phone: text.phone,
            state: text.state,
            body: text.body,
            starts_at: text.starts_at,
            due_at: text.due_at,
            attempts: text.attempts,
            attempted_at: text.attempted_at,
            provider_id: text.provider_id,
            error_code: text.error_code,
            error: text.error,
            segments: text.segments,
            price_micros,
            currency,
            created_at: text.created_at,
            updated_at: text.updated_at,
        }
    }
}

/// How an organisation sends text messages, by way of Twilio.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = TextSettings)]
pub struct TextSettingsBody {
    /// The sender of the kind `twilio` (`/v1/inbox-sources`) by which the callbacks come. Its first secret is the auth token of
    /// the account.
    sender_id: Uuid,
    #[schema(pattern = r"^AC[0-9a-f]{32}$")]
    account_sid: String,
    /// A number (E.164), or the id of a messaging service.
    #[schema(pattern = r"^(\+[1-9][0-9]{6,14}|MG[0-9a-f]{32})$")]
    from: String,
    /// Whether anything is sent.
    #[serde(default = "yes")]
    enabled: bool,
    /// Whether it is told that an appointment was made, moved or cancelled.
    #[serde(default = "yes")]
    confirmations: bool,
    /// How many minutes before an appointment somebody is reminded, at most 3 times; a day before when it is left out.
    #[serde(default = "a_day")]
    #[schema(value_type = Vec<crate::openapi::words::ReminderMinutes>, max_items = 3)]
    reminder_minutes: Vec<u32>,
    /// When nobody is disturbed, as the clock of the reception shows it: `21:00-08:00`. Whoever asks for something by phone is
    /// told at once all the same.
    #[serde(default)]
    #[schema(pattern = r"^([01][0-9]|2[0-3]):[0-5][0-9]-([01][0-9]|2[0-3]):[0-5][0-9]$")]
    quiet_hours: Option<String>,
    /// What is said, by the reason, with {organisation}, {service}, {staff}, {day}, {time} and {link}; what is left out is said
    /// in the usual words.
    #[serde(default)]
    #[schema(value_type = BTreeMap<crate::openapi::words::TextReason, crate::openapi::words::Wording>)]
    wording: BTreeMap<TextReason, String>,
}

const fn yes() -> bool {
    true
}

fn a_day() -> Vec<u32> {
    vec![1_440]
}

impl From<TextSettings> for TextSettingsBody {
    fn from(settings: TextSettings) -> Self {
        Self {
            sender_id: settings.source.uuid(),
            account_sid: settings.account,
            from: settings.sender,
            enabled: settings.enabled,
            confirmations: settings.confirms,
            reminder_minutes: settings.reminders,
            quiet_hours: settings.quiet.map(|quiet| quiet.to_string()),
            wording: settings.wording,
        }
    }
}

impl From<TextSettingsBody> for Wish {
    fn from(body: TextSettingsBody) -> Self {
        Self {
            source: InboxSourceId(body.sender_id),
            account: body.account_sid,
            sender: body.from,
            enabled: body.enabled,
            confirms: body.confirmations,
            reminders: body.reminder_minutes,
            quiet: body.quiet_hours,
            wording: body.wording,
        }
    }
}

/// A number that wants no text messages.
#[derive(Serialize, ToSchema)]
#[schema(as = TextOptOut)]
pub struct OptOutBody {
    /// E.164.
    phone: String,
    /// Since when.
    #[schema(value_type = String, format = DateTime)]
    stopped_at: Timestamp,
}

/// Which text messages.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct TextsQuery {
    /// Those of one appointment.
    #[serde(default)]
    appointment_id: Option<Uuid>,
    /// Those in a state.
    #[serde(default)]
    #[param(value_type = Option<crate::openapi::words::TextState>)]
    state: Option<TextState>,
    /// Rows of a page: 1 to 100, 50 when it is left out. There may be fewer although more follow.
    #[serde(default)]
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u32>,
    /// `next` of the page before.
    #[serde(default)]
    after: Option<String>,
}

/// Lists text messages, the last first.
#[utoipa::path(get, path = "/v1/text-messages", tag = "text messages", params(TextsQuery),
    responses((status = 200, body = Page<TextMessageBody>), (status = "default", body = Document<'static>)))]
pub async fn list(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Reader(by): Reader,
    Query(query): Query<TextsQuery>,
) -> Result<Json<Page<TextMessageBody>>, Problem> {
    let limit = page::limit(query.limit)?;
    let before = page::cursor(query.after.as_deref(), moment_and_id)?.map(|(at, id)| (at, TextMessageId(id)));
    let (appointment, state) = (query.appointment_id.map(AppointmentId), query.state);
    let list = ListTexts { tenant: by.tenant, appointment, state, before, limit };
    let found = app.texts.list(&context.call, list).await?;
    Ok(Json(Page {
        data: found.texts.into_iter().map(TextMessageBody::from).collect(),
        next: found.next.map(|(at, id)| cursor_for(&page::place(at, id))),
    }))
}

/// Reads a text message.
#[utoipa::path(get, path = "/v1/text-messages/{id}", tag = "text messages", params(("id" = Uuid, Path)),
    responses((status = 200, body = TextMessageBody), (status = "default", body = Document<'static>)))]
pub async fn get(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Reader(by): Reader,
    Path(id): Path<Uuid>,
) -> Result<Json<TextMessageBody>, Problem> {
    Ok(Json(app.texts.get(&context.call, by.tenant, TextMessageId(id)).await?.into()))
}

/// How text messages are sent. 404 while nobody has said.
#[utoipa::path(get, path = "/v1/text-settings", tag = "text messages",
    responses((status = 200, body = TextSettingsBody), (status = 404), (status = "default", body = Document<'static>)))]
pub async fn settings(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Administrator(by): Administrator,
) -> Result<Json<TextSettingsBody>, Problem> {
    let settings = app.texts.settings(&context.call, by.tenant).await?;
    Ok(Json(settings.ok_or_else(|| Error::not_found("setting of text messages"))?.into()))
}

/// Says how text messages are sent.
#[utoipa::path(put, path = "/v1/text-settings", tag = "text messages", request_body = TextSettingsBody,
    responses((status = 200, body = TextSettingsBody), (status = "default", body = Document<'static>)))]
pub async fn put_settings(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Administrator(by): Administrator,
    Json(body): Json<TextSettingsBody>,
) -> Result<Json<TextSettingsBody>, Problem> {
    Ok(Json(app.texts.put_settings(&context.call, by.tenant, body.into()).await?.into()))
}

/// Lists the numbers that want no text messages, the last first.
#[utoipa::path(get, path = "/v1/text-opt-outs", tag = "text messages", params(PageQuery),
    responses((status = 200, body = Page<OptOutBody>), (status = "default", body = Document<'static>)))]
pub async fn opt_outs(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Administrator(by): Administrator,
    Query(query): Query<PageQuery>,
) -> Result<Json<Page<OptOutBody>>, Problem> {
    let limit = query.limit()?;
    let before = query.cursor(moment_and_phone)?;
    let rows = app.texts.opt_outs(&context.call, ListOptOuts { tenant: by.tenant, before, limit }).await?;
    let rows: Vec<_> = rows.into_iter().map(|(phone, stopped_at)| OptOutBody { phone, stopped_at }).collect();
    Ok(Json(Page::of(rows, limit, |row: &OptOutBody| page::place(row.stopped_at, &row.phone))))
}

fn moment_and_phone(text: &str) -> Option<(Timestamp, String)> {
    moment_and(text, |phone| {
        let read = PhoneNumber::parse(phone, None).ok().filter(|read| read.as_str() == phone)?;
        Some(read.as_str().to_owned())
    })
}
