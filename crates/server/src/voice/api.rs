//! The wire of voice sessions.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::response::Response;
use futures_util::StreamExt as _;
use mainstay_domain::{Error, Kind, Plan, Timestamp};
use mainstay_store::{BeginVoiceSession, Call, FoundVoiceSession, ListVoiceSessions, NewVoiceSession, VoiceSession};
use serde::{Deserialize, Serialize};
use tokio::time::timeout;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::desk::{Place, Seat};
use super::figures::Why;
use super::line::{Dropped, Line};
use super::session::Session;
use super::wire::{self, ClientFrame, Encoding, ServerFrame, Start};
use crate::accounts::{BearerToken, Member, Reader, challenge};
use crate::app::App;
use crate::billing::refusal;
use crate::http::websocket::Handshake;
use crate::http::{Document, Json, Problem, Query, RequestContext};
use crate::live::api::{admitted, let_in};

/// How long a client may take to say how the session begins.
const STARTING: Duration = Duration::from_secs(10);
/// How long storing that it begins may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// Sessions on a page.
const PAGE: u32 = 50;

/// How to open a voice session.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct VoiceQuery {
    /// A ticket of `POST /v1/live/tickets`, for clients that cannot send a header.
    #[serde(default)]
    ticket: Option<String>,
    /// The token of the session that is resumed: it has its place already.
    #[serde(default)]
    resume: Option<String>,
}

/// A WebSocket (RFC 6455) on which one speaks with the assistant. The caller is checked, and has a place, before the upgrade.
#[utoipa::path(get, path = "/v1/voice", tag = "voice", security(("bearer" = []), ("ticket" = [])), params(VoiceQuery), responses(
    (status = 101, description = "A WebSocket"),
    (status = 426, description = "`upgrade_required`: this speaks WebSocket only", body = Document),
    (status = 402), (status = 404), (status = "4XX", description = "A problem", body = Document),
    (status = "5XX", description = "A problem", body = Document)))]
pub async fn voice(
    State(app): State<Arc<App>>,
    context: RequestContext,
    BearerToken(token): BearerToken,
    Query(query): Query<VoiceQuery>,
    request: Request,
) -> Result<Response, Problem> {
    let refused = |why: &'static str| {
        app.voice.figures.refused.get_or_create(&Why { why }).inc();
    };
    let (mut parts, _) = request.into_parts();
    let admitted = admitted(&app, &context, token, query.ticket.as_deref()).await;
    let (by, standing) = admitted.map_err(|error| {
        refused("unauthenticated");
        challenge(error)
    })?;
    let handshake = Handshake::of(&mut parts)?;
    if !app.voice.is_set_up() {
        refused("not_set_up");
        let detail =
            "Nobody is set up here to make text of speech and speech of text. See [voice] in the configuration.";
        return Err(Error::new(Kind::Unavailable, "voice_not_set_up", detail).into());
    }
    let_in(&app, &context, &by, || refused("overloaded")).await?;
    let owner = (by.tenant, by.person);
    let resumes = query.resume.as_deref().is_some_and(|token| app.voice.knows(token, owner));
    let places = places(&app, &context.call, &by).await;
    let place = if resumes { None } else { app.voice.take_place(&context.call, owner, places).await? };
    if place.is_none() && !resumes {
        refused("too_many_sessions");
        let detail = format!(
            "There are {places} voice sessions of this person already, which is what the plan allows. End one first."
        );
        return Err(Error::new(Kind::TooManyRequests, "too_many_voice_sessions", detail).into());
    }
    let serving = Arc::clone(&app);
    let (upgrade, response) = handshake.switch();
    app.lifecycle.spawn_work("voice", async move {
        match upgrade.await {
            Ok(upgraded) => Box::pin(answer(serving, Line::new(upgraded, place, standing), by)).await,
            Err(error) => tracing::debug!(%error, "a voice session was not upgraded"),
        }
    });
    Ok(response)
}

/// How many sessions a member has at once.
async fn places(app: &App, call: &Call, by: &Member) -> u32 {
    match app.accounts.plan_of(call, by).await {
        Plan::Free => app.config.voice.sessions_free,
        _ => app.config.voice.sessions_paid,
    }
}

/// Waits for how the session begins, and serves it.
async fn answer(app: Arc<App>, mut line: Line, by: Member) {
    let start = match timeout(STARTING, first(&mut line)).await {
        Ok(Ok(Some(start))) => start,
        Ok(Ok(None) | Err(Dropped)) => return,
        Err(_) => {
            let error = Error::invalid_field("type", "not_started", "Send a start frame first.");
            return refuse(line, &error, 1008).await;
        }
    };
    let owner = (by.tenant, by.person);
    if let Some(token) = &start.resume {
        line = match app.voice.hand_over(token, owner, line).await {
            Ok(()) => return,
            Err(line) => *line,
        };
        // Not known here: a new session, in the same conversation, on the place that the line has.
    }
    let Some(place) = line.place.take() else {
        let detail = "There is no such session to resume any more. Begin another.";
        return refuse(line, &Error::new(Kind::NotFound, "session_gone", detail), 1008).await;
    };
    match begin(&app, &by, &start, place).await {
        Ok(session) => session.run(line).await,
        Err(error) => refuse(line, &error, if error.kind == Kind::Unavailable { 1013 } else { 1008 }).await,
    }
}

/// The start frame; nothing when the client had none.
async fn first(line: &mut Line) -> Result<Option<Start>, Dropped> {
    let mut told = false;
    while let Some(Ok(message)) = line.socket.next().await {
        if message.is_close() {
            return Ok(None);
        }
        let error = match message.as_text().filter(|_| message.is_text()).map(wire::read) {
            Some(Ok(ClientFrame::Start(start))) => return Ok(Some(start)),
            Some(Err(error)) => error,
            None if message.is_ping() || message.is_pong() => continue,
            _ => Error::invalid_field("type", "not_started", "Send a start frame first."),
        };
        // Once: what follows is the same mistake.
        if !std::mem::replace(&mut told, true) {
            line.say(&error_frame(&error)).await?;
        }
    }
    Err(Dropped)
}

/// Stores that a session begins.
async fn begin(app: &Arc<App>, by: &Member, start: &Start, place: Place) -> Result<Box<Session>, Error> {
    start.check_rate()?;
    let language = start.language()?;
    if start.encoding == Encoding::Opus && app.voice.speech.streams().is_none() {
        let cure = "Opus is only understood here by those who listen as it is said. Send pcm_s16le.";
        return Err(Error::invalid_field("encoding", "not_supported", cure));
    }
    let seat: Option<Seat> = app.voice.enter(app.config.voice.sessions_per_node);
    let seat = seat.ok_or_else(|| {
        let detail = "This node has as many voice sessions as it may. Come back in a moment.";
        Error::new(Kind::Unavailable, "overloaded", detail).retry_after(Duration::from_secs(2))
    })?;
    let session = Session::new(app, by.clone(), start, language, (seat, place));
    let now = app.clock.now();
    let (id, conversation) = (session.id, session.conversation);
    let new = NewVoiceSession { id, tenant: by.tenant, person: by.person, conversation, now };
    match app.store.run(&Call::within(PATIENCE), BeginVoiceSession(new)).await? {
        FoundVoiceSession::Begun => Ok(Box::new(session)),
        FoundVoiceSession::NoConversation => Err(Error::not_found("conversation")),
        FoundVoiceSession::Spent(spent) => Err(refusal(spent, now)),
    }
}

fn error_frame(error: &Error) -> ServerFrame<'_> {
    let message = error.fields.first().map_or(error.detail.as_ref(), |field| field.detail.as_ref());
    let retry_after_ms = error.retry_after.map(|wait| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX));
    ServerFrame::Error { code: error.code, message, retry_after_ms }
}

/// Says why no session begins.
async fn refuse(mut line: Line, error: &Error, code: u16) {
    if line.say(&error_frame(error)).await.is_ok() {
        line.close(code, error.code).await;
    }
}

/// Which sessions.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct SessionsQuery {
    /// Those before this one.
    #[serde(default)]
    after: Option<Uuid>,
}

/// Voice sessions of the caller, the last first.
#[derive(Serialize, ToSchema)]
pub struct VoiceSessionsBody {
    /// The sessions.
    data: Vec<VoiceSessionBody>,
    /// What to give as `after` for those before.
    next: Option<Uuid>,
    /// Whether one can speak with the assistant here.
    available: bool,
}

/// A voice session.
#[derive(Serialize, ToSchema)]
pub struct VoiceSessionBody {
    /// Its id.
    id: Uuid,
    /// In which conversation, once there is one.
    conversation_id: Option<Uuid>,
    /// When it began.
    #[schema(value_type = String, format = DateTime)]
    began_at: Timestamp,
    /// When it ended.
    #[schema(value_type = Option<String>, format = DateTime)]
    ended_at: Option<Timestamp>,
    /// Why it ended: `stopped`, `hung_up`, `dropped`, `idle`, `too_long`, `flood`, `bad_frames`, `spent`, `signed_out`,
    /// `place_lost`, `server_stopping`, `nobody_listens` or `lost`.
    reason: Option<String>,
    /// Speech of the caller, in milliseconds.
    heard_ms: u64,
    /// Characters that were spoken.
    spoken_characters: u64,
    /// Turns.
    turns: u64,
    /// Turns that were interrupted.
    interruptions: u64,
    /// What its speech cost, in millionths of the currency's unit. What the replies cost is with the replies.
    cost_micros: i64,
    /// The median from the end of speech to the first sound, in milliseconds.
    latency_ms: Option<u64>,
}

impl From<VoiceSession> for VoiceSessionBody {
    fn from(session: VoiceSession) -> Self {
        Self {
            id: session.id,
            conversation_id: session.conversation.map(mainstay_domain::ConversationId::uuid),
            began_at: session.began_at,
            ended_at: session.ended_at,
            reason: session.reason,
            heard_ms: session.heard_ms,
            spoken_characters: session.spoken_characters,
            turns: session.turns,
            interruptions: session.interruptions,
            cost_micros: session.cost_micros,
            latency_ms: session.latency_ms,
        }
    }
}

/// The caller's voice sessions, the last first, 50 on a page.
#[utoipa::path(get, path = "/v1/voice/sessions", tag = "voice", params(SessionsQuery), responses(
    (status = 200, description = "The sessions", body = VoiceSessionsBody),
    (status = "4XX", description = "A problem", body = Document)))]
pub async fn sessions(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Reader(by): Reader,
    Query(query): Query<SessionsQuery>,
) -> Result<Json<VoiceSessionsBody>, Problem> {
    let list = ListVoiceSessions { tenant: by.tenant, person: by.person, after: query.after, limit: PAGE };
    let sessions = app.store.run(&context.call, list).await?;
    let next = sessions.last().filter(|_| sessions.len() == PAGE as usize).map(|session| session.id);
    let data = sessions.into_iter().map(VoiceSessionBody::from).collect();
    Ok(Json(VoiceSessionsBody { data, next, available: app.voice.is_set_up() }))
}
