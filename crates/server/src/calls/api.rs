//! `/v1/calls`, `/v1/phone-messages`, `/v1/phone-agent` and `/v1/access-log`. Who reads a call is in the access log.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use mainstay_domain::{
    CallDirection, CallMask, CallOutcome, CallState, ContactId, Error, PhoneCall, PhoneCallId, PhoneMessageId,
    Timestamp,
};
use mainstay_store::{AccessEntry, CallAction, ListCalls, ListPhoneMessages, PhoneAgent, PhoneMessage, WhichCalls};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::accounts::{Administrator, Reader, Writer};
use crate::app::App;
use crate::http::page::{self, Page, PageQuery, moment_and_id};
use crate::http::{Document, Json, Path, Problem, Query, RequestContext};

/// A call of which nothing was heard for so long is not shown as one that goes on.
const LIVE: Duration = Duration::from_secs(2 * 3_600);

/// A call, without what was said.
#[derive(Serialize, ToSchema)]
#[schema(as = Call)]
pub struct CallBody {
    id: Uuid,
    /// The provider's id of it.
    provider_id: String,
    /// `inbound`, `outbound` or `web`.
    #[schema(value_type = crate::openapi::words::CallDirection)]
    direction: CallDirection,
    /// `scheduled`, `queued`, `ringing`, `in_progress`, `forwarding`, `ended`, or `lost` when nothing was heard of it any
    /// more.
    #[schema(value_type = crate::openapi::words::CallState)]
    state: CallState,
    /// The number of the other side (E.164).
    number: Option<String>,
    #[schema(value_type = Option<Uuid>)]
    contact_id: Option<ContactId>,
    #[schema(value_type = Option<String>, format = DateTime)]
    started_at: Option<Timestamp>,
    #[schema(value_type = Option<String>, format = DateTime)]
    ended_at: Option<Timestamp>,
    /// Null before it has ended, and where nobody spoke.
    duration_ms: Option<u64>,
    /// In the provider's word.
    ended_reason: Option<String>,
    /// The most that the agent did: `answered`, `transferred`, `message_taken`, `cancelled`, `rescheduled` or `booked`.
    #[schema(value_type = Option<crate::openapi::words::CallOutcome>)]
    outcome: Option<CallOutcome>,
    summary: Option<String>,
    /// Whether there is a recording; its address is told with the call itself.
    has_recording: bool,
    /// In millionths of a dollar.
    cost_micros: Option<i64>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

impl From<PhoneCall> for CallBody {
    fn from(call: PhoneCall) -> Self {
        Self {
            duration_ms: call.duration_millis(),
            id: call.id.uuid(),
            provider_id: call.provider_id,
            direction: call.direction,
            state: call.state,
            number: call.number,
            contact_id: call.contact,
            started_at: call.started_at,
            ended_at: call.ended_at,
            ended_reason: call.ended_reason,
            outcome: call.outcome,
            summary: call.summary,
            has_recording: call.recording_url.is_some(),
            cost_micros: call.cost_micros,
            created_at: call.created_at,
        }
    }
}

/// One use of a tool by the agent.
#[derive(Serialize, ToSchema)]
#[schema(as = CallAction)]
pub struct ActionBody {
    tool: String,
    /// `done`, or why not.
    outcome: String,
    /// What the caller was told.
    answer: String,
    appointment_id: Option<Uuid>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

impl From<CallAction> for ActionBody {
    fn from(action: CallAction) -> Self {
        Self {
            tool: action.tool,
            outcome: action.outcome,
            answer: action.answer,
            appointment_id: action.appointment.map(mainstay_domain::AppointmentId::uuid),
            created_at: action.created_at,
        }
    }
}

/// A call with what was said and done.
#[derive(Serialize, ToSchema)]
pub struct WholeCallBody {
    #[serde(flatten)]
    call: CallBody,
    /// What was said: a list of `role` (`agent` or `caller`), `text`, and `at_ms` after the beginning where that is known.
    #[schema(value_type = Option<Vec<Object>>)]
    transcript: Option<Box<RawValue>>,
    /// Where it can be heard.
    recording_url: Option<String>,
    actions: Vec<ActionBody>,
}

/// Which calls.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct CallsQuery {
    /// Only those that go on now.
    #[serde(default)]
    live: bool,
    /// Words that a call must have in what was said, in its summary or in the caller's name, or the end of the caller's number
    /// from four digits on; at most eight words, of at most 200 characters together. Which calls are looked for is noted in the
    /// access log. A page may then be short or empty and still have a next one.
    #[serde(default)]
    #[param(max_length = 200)]
    q: Option<String>,
    /// Rows of a page: 1 to 100, 50 when it is left out.
    #[serde(default)]
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u32>,
    /// `next` of the page before.
    #[serde(default)]
    after: Option<String>,
}

/// What a caller wants somebody to know.
#[derive(Serialize, ToSchema)]
#[schema(as = PhoneMessage)]
pub struct PhoneMessageBody {
    id: Uuid,
    call_id: Option<Uuid>,
    contact_id: Option<Uuid>,
    name: String,
    phone: Option<String>,
    body: String,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When somebody took care of it.
    #[schema(value_type = Option<String>, format = DateTime)]
    handled_at: Option<Timestamp>,
    /// Who did.
    handled_by: Option<Uuid>,
}

impl From<PhoneMessage> for PhoneMessageBody {
    fn from(message: PhoneMessage) -> Self {
        Self {
            id: message.id.uuid(),
            call_id: message.call.map(PhoneCallId::uuid),
            contact_id: message.contact.map(ContactId::uuid),
            name: message.name,
            phone: message.phone,
            body: message.body,
            created_at: message.created_at,
            handled_at: message.handled.map(|(at, _)| at),
            handled_by: message.handled.map(|(_, by)| by.uuid()),
        }
    }
}

/// Whether somebody has taken care of a message.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct HandleMessageBody {
    handled: bool,
}

/// Who answers the phone.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PhoneAgent)]
pub struct PhoneAgentBody {
    /// The provider's id of an assistant that was made there; null for one that is described here.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 200, pattern = r"^[!-~]+$")]
    assistant_id: Option<String>,
    /// What is said first; at most 500 characters.
    #[serde(default)]
    #[schema(max_length = 500)]
    greeting: String,
    /// How the agent is to behave; at most 2000 characters.
    #[serde(default)]
    #[schema(max_length = 2_000)]
    instructions: String,
    /// To whom callers are passed on.
    #[serde(default)]
    #[schema(value_type = Option<crate::openapi::words::PhoneNumber>)]
    transfer_number: Option<String>,
    /// For how many days calls are kept: 1 to 3650.
    #[serde(default = "quarter")]
    #[schema(minimum = 1, maximum = 3_650)]
    keep_days: u32,
    /// What is replaced in transcripts and summaries before they are kept.
    #[serde(default)]
    mask: CallMaskBody,
}

/// What is replaced in transcripts and summaries before they are kept, from the next call on. What is spelt out in words is
/// not found.
#[derive(Deserialize, Serialize, ToSchema)]
#[schema(as = CallMask)]
#[serde(deny_unknown_fields)]
pub struct CallMaskBody {
    /// Numbers of payment cards; true when it is left out.
    #[serde(default = "yes")]
    cards: bool,
    /// Addresses of electronic mail.
    #[serde(default)]
    emails: bool,
    /// Numbers of telephones.
    #[serde(default)]
    phones: bool,
}

const fn yes() -> bool {
    true
}

impl Default for CallMaskBody {
    fn default() -> Self {
        CallMask::default().into()
    }
}

impl From<CallMask> for CallMaskBody {
    fn from(CallMask { cards, emails, phones }: CallMask) -> Self {
        Self { cards, emails, phones }
    }
}

const fn quarter() -> u32 {
    90
}

impl From<PhoneAgent> for PhoneAgentBody {
    fn from(agent: PhoneAgent) -> Self {
        let PhoneAgent { assistant_id, greeting, instructions, transfer_number, keep_days, mask } = agent;
        Self { assistant_id, greeting, instructions, transfer_number, keep_days, mask: mask.into() }
    }
}

/// That somebody has read something that is said in confidence.
#[derive(Serialize, ToSchema)]
#[schema(as = AccessEntry)]
pub struct AccessBody {
    id: Uuid,
    person_id: Uuid,
    /// `call`, `contact`, `replay` for a recording of the console, or `calls` or `contacts` for a list.
    what: String,
    subject_id: Option<Uuid>,
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
}

impl From<AccessEntry> for AccessBody {
    fn from(entry: AccessEntry) -> Self {
        let AccessEntry { id, person, what, subject, at } = entry;
        Self { id, person_id: person.uuid(), what, subject_id: subject, at }
    }
}

/// Lists the calls, the last first, without what was said.
#[utoipa::path(get, path = "/v1/calls", tag = "calls", params(CallsQuery),
    responses((status = 200, body = Page<CallBody>), (status = "default", body = Document<'static>)))]
pub async fn list(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Reader(by): Reader,
    Query(query): Query<CallsQuery>,
) -> Result<Json<Page<CallBody>>, Problem> {
    let limit = page::limit(query.limit)?;
    let before = page::cursor(query.after.as_deref(), moment_and_id)?.map(|(at, id)| (at, PhoneCallId(id)));
    if let Some(q) = &query.q {
        let live_since = query.live.then(|| app.clock.now().minus(LIVE));
        let (rows, next) = app.calls.search(&context.call, &by, q, (live_since, before), limit).await?;
        let next = next.map(|(at, id)| page::cursor_for(&page::place(at, id)));
        return Ok(Json(Page { data: rows.into_iter().map(CallBody::from).collect(), next }));
    }
    let which = if query.live { WhichCalls::Live(app.clock.now().minus(LIVE)) } else { WhichCalls::All(before) };
    let rows = app.calls.list(&context.call, ListCalls { tenant: by.tenant, which, limit }).await?;
    let mut page = Page::of(rows, limit, |row: &PhoneCall| page::place(row.created_at, row.id));
    // Of those that go on there is one page.
    page.next = page.next.filter(|_| !query.live);
    Ok(Json(page))
}

/// Reads a call with what was said and done. This is noted in the access log.
#[utoipa::path(get, path = "/v1/calls/{id}", tag = "calls", params(("id" = Uuid, Path)),
    responses((status = 200, body = WholeCallBody), (status = "default", body = Document<'static>)))]
pub async fn get(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Reader(by): Reader,
    Path(id): Path<Uuid>,
) -> Result<Json<WholeCallBody>, Problem> {
    let (mut call, actions) = app.calls.read(&context.call, &by, PhoneCallId(id)).await?;
    let transcript = call.transcript.take().map(RawValue::from_string).transpose().map_err(Error::internal)?;
    let recording_url = call.recording_url.clone();
    let actions = actions.into_iter().map(ActionBody::from).collect();
    Ok(Json(WholeCallBody { call: call.into(), transcript, recording_url, actions }))
}

/// Lists what callers want somebody to know, the last first.
#[utoipa::path(get, path = "/v1/phone-messages", tag = "calls", params(PageQuery),
    responses((status = 200, body = Page<PhoneMessageBody>), (status = "default", body = Document<'static>)))]
pub async fn messages(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Reader(by): Reader,
    Query(query): Query<PageQuery>,
) -> Result<Json<Page<PhoneMessageBody>>, Problem> {
    let limit = query.limit()?;
    let before = query.cursor(moment_and_id)?.map(|(at, id)| (at, PhoneMessageId(id)));
    let rows = app.calls.messages(&context.call, ListPhoneMessages { tenant: by.tenant, before, limit }).await?;
    Ok(Json(Page::of(rows, limit, |row| page::place(row.created_at, row.id))))
}

/// Says whether somebody has taken care of a message.
#[utoipa::path(patch, path = "/v1/phone-messages/{id}", tag = "calls", request_body = HandleMessageBody,
    params(("id" = Uuid, Path)),
    responses((status = 200, body = PhoneMessageBody), (status = "default", body = Document<'static>)))]
pub async fn handle(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Writer(by): Writer,
    Path(id): Path<Uuid>,
    Json(body): Json<HandleMessageBody>,
) -> Result<Json<PhoneMessageBody>, Problem> {
    Ok(Json(app.calls.handle(&context.call, &by, PhoneMessageId(id), body.handled).await?.into()))
}

/// Who answers the phone: nobody, while there is neither an assistant nor a greeting.
#[utoipa::path(get, path = "/v1/phone-agent", tag = "calls",
    responses((status = 200, body = PhoneAgentBody), (status = "default", body = Document<'static>)))]
pub async fn agent(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Administrator(by): Administrator,
) -> Result<Json<PhoneAgentBody>, Problem> {
    Ok(Json(app.calls.agent(&context.call, by.tenant).await?.into()))
}

/// Says who answers the phone.
#[utoipa::path(put, path = "/v1/phone-agent", tag = "calls", request_body = PhoneAgentBody,
    responses((status = 200, body = PhoneAgentBody), (status = "default", body = Document<'static>)))]
pub async fn put_agent(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Administrator(by): Administrator,
    Json(body): Json<PhoneAgentBody>,
) -> Result<Json<PhoneAgentBody>, Problem> {
    let PhoneAgentBody { assistant_id, greeting, instructions, transfer_number, keep_days, mask } = body;
    let CallMaskBody { cards, emails, phones } = mask;
    let mask = CallMask { cards, emails, phones };
    let agent = PhoneAgent { assistant_id, greeting, instructions, transfer_number, keep_days, mask };
    Ok(Json(app.calls.put_agent(&context.call, by.tenant, agent).await?.into()))
}

/// Lists who has read transcripts, recordings and contacts, the last first.
#[utoipa::path(get, path = "/v1/access-log", tag = "calls", params(PageQuery),
    responses((status = 200, body = Page<AccessBody>), (status = "default", body = Document<'static>)))]
pub async fn accesses(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Administrator(by): Administrator,
    Query(query): Query<PageQuery>,
) -> Result<Json<Page<AccessBody>>, Problem> {
    let limit = query.limit()?;
    let before = query.cursor(moment_and_id)?;
    let rows = app.calls.accesses(&context.call, by.tenant, before, limit).await?;
    Ok(Json(Page::of(rows, limit, |row| page::place(row.at, row.id))))
}
