//! The wire of the assistant.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use mainstay_domain::{
    ConversationId, ConversationTitle, Error, GenerationId, ImageId, MessageRole, MessageStatus, MessageText, Timestamp,
};
use mainstay_store::{Conversation, Message};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, timeout_at};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::events::{Beginning, events};
use super::following::{EventsQuery, Following};
use super::parts::{FaultBody, MessageUsageBody, ToolUsedBody};
use super::render::{to_html, unfinished_to_html};
use super::service::{SendRequest, Sent};
use crate::accounts::{Member, Reader, Writer};
use crate::app::App;
use crate::http::idempotency::Idempotency;
use crate::http::page::{self, Page, cursor_for, moment_and_id};
use crate::http::{Document, Json, LastEventId, Path, Problem, Query, RequestContext, event_stream};
use crate::images::api::MessageImageBody;

/// What the last look at a reply may take, after waiting for it.
const LAST_LOOK: Duration = Duration::from_secs(5);

/// A conversation.
#[derive(Serialize, ToSchema)]
pub struct ConversationBody {
    id: Uuid,
    title: String,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

impl From<Conversation> for ConversationBody {
    fn from(conversation: Conversation) -> Self {
        Self {
            id: conversation.id.uuid(),
            title: conversation.title,
            created_at: conversation.created_at,
            updated_at: conversation.updated_at,
        }
    }
}

/// A message.
#[derive(Serialize, ToSchema)]
pub struct MessageBody {
    id: Uuid,
    #[schema(value_type = crate::openapi::words::MessageRole, example = "assistant")]
    role: MessageRole,
    /// Markdown.
    content: String,
    /// The same as safe HTML, where it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    html: Option<String>,
    /// streaming, final, stopped, interrupted or failed.
    #[schema(value_type = crate::openapi::words::MessageStatus, example = "final")]
    status: MessageStatus,
    /// Why it ended early. A reply that reached its largest length is final and says `max_tokens` here.
    error: Option<FaultBody>,
    /// Who made it, or its end, however it ended. Left out when nobody had begun.
    #[serde(skip_serializing_if = "Option::is_none")]
    provider: Option<String>,
    /// With what.
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<MessageUsageBody>,
    /// What it cost, in millionths of the currency's unit. Left out when nothing.
    #[serde(skip_serializing_if = "is_zero")]
    cost_micros: i64,
    /// What it carries. Left out when nothing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    images: Vec<MessageImageBody>,
    /// What tools did while it was made, in order. Left out when nothing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<ToolUsedBody>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands fields over by reference")]
fn is_zero(number: &i64) -> bool {
    *number == 0
}

impl MessageBody {
    /// The message as it is.
    pub(crate) fn plain(message: &Message) -> Self {
        Self {
            id: message.id.uuid(),
            role: message.role,
            content: message.content.clone(),
            html: None,
            status: message.status,
            error: message.fault.clone().map(|(code, detail)| FaultBody { code, detail }),
            provider: message.provider.clone(),
            model: message.model.clone(),
            usage: message.usage.map(MessageUsageBody::from),
            cost_micros: message.cost_micros,
            images: message.images.iter().map(MessageImageBody::from).collect(),
            tools: ToolUsedBody::all(message),
            created_at: message.created_at,
        }
    }

    /// With its text as HTML, when it is a reply.
    pub(crate) fn rendered(message: &Message) -> Self {
        let whole = message.status == MessageStatus::Final && message.fault.is_none();
        let render = if whole { to_html } else { unfinished_to_html };
        let html = (message.role == MessageRole::Assistant).then(|| render(&message.content));
        Self { html, ..Self::plain(message) }
    }
}

/// A message that was sent, and its reply.
#[derive(Serialize, ToSchema)]
pub struct SentBody {
    conversation_id: Uuid,
    message: MessageBody,
    reply: MessageBody,
    generation_id: Uuid,
}

impl From<&Sent> for SentBody {
    fn from(sent: &Sent) -> Self {
        Self {
            conversation_id: sent.message.conversation.uuid(),
            message: MessageBody::plain(&sent.message),
            reply: MessageBody::plain(&sent.reply),
            generation_id: sent.reply.id.uuid(),
        }
    }
}

/// Sending a message.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SendBody {
    /// 1 to 10,000 characters.
    #[schema(min_length = 1, max_length = 10_000, pattern = r"\S")]
    content: String,
    /// Into which conversation; without it one is made.
    #[serde(default)]
    conversation_id: Option<Uuid>,
    /// At most 4 images that were uploaded and not sent before, by their ids.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 4)]
    images: Vec<Uuid>,
}

/// Sending a message into a conversation.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SendIntoBody {
    /// 1 to 10,000 characters.
    #[schema(min_length = 1, max_length = 10_000, pattern = r"\S")]
    content: String,
    /// At most 4 images that were uploaded and not sent before, by their ids.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 4)]
    images: Vec<Uuid>,
}

/// Making a conversation.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateConversationBody {
    /// 1 to 200 characters, plain text.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 200, pattern = r"\S")]
    title: Option<String>,
}

/// Renaming a conversation.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RenameBody {
    /// 1 to 200 characters, plain text.
    #[schema(min_length = 1, max_length = 200, pattern = r"\S")]
    title: String,
}

/// Which page of conversations.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct ConversationsQuery {
    /// Rows of a page: 1 to 100, 50 when it is left out.
    #[serde(default)]
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u32>,
    /// `next` of the page before.
    #[serde(default)]
    after: Option<String>,
    /// Words that the title must have, whatever their case: at most 200 characters. A page may then be short or empty and
    /// still have a next one.
    #[serde(default)]
    #[param(max_length = 200)]
    search: Option<String>,
}

/// Which page of messages.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct MessagesQuery {
    /// Rows of a page: 1 to 100, 50 when it is left out.
    #[serde(default)]
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u32>,
    /// `next` of the page before.
    #[serde(default)]
    after: Option<String>,
    /// Whether replies also come as safe HTML.
    #[serde(default)]
    html: bool,
}

fn title(text: &str) -> Result<ConversationTitle, Error> {
    ConversationTitle::parse(text).map_err(|refused| Error::invalid(vec![refused.of("title")]))
}

/// Makes an empty conversation. `POST /v1/messages` makes one by itself.
#[utoipa::path(post, path = "/v1/conversations", tag = "assistant", request_body = CreateConversationBody,
    params(("Idempotency-Key" = Option<String>, Header)),
    responses((status = 201, body = ConversationBody), (status = "default", body = Document<'static>)))]
pub async fn create_conversation(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Writer(by): Writer,
    idempotency: Idempotency,
    Json(body): Json<CreateConversationBody>,
) -> Result<(StatusCode, Json<ConversationBody>), Problem> {
    let title = title(body.title.as_deref().unwrap_or("New conversation"))?;
    let claim = idempotency.claim("conversation", &body)?;
    let conversation = app.assistant.create_conversation(&context.call, &by, title, claim).await?;
    Ok((StatusCode::CREATED, Json(conversation.into())))
}

/// Lists conversations, the newest first.
#[utoipa::path(get, path = "/v1/conversations", tag = "assistant", params(ConversationsQuery),
    responses((status = 200, body = Page<ConversationBody>), (status = "default", body = Document<'static>)))]
pub async fn list_conversations(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Reader(by): Reader,
    Query(query): Query<ConversationsQuery>,
) -> Result<Json<Page<ConversationBody>>, Problem> {
    let limit = page::limit(query.limit)?;
    let after = page::cursor(query.after.as_deref(), moment_and_id)?.map(|(at, id)| (at, ConversationId(id)));
    if query.search.as_ref().is_some_and(|search| search.chars().count() > ConversationTitle::MOST) {
        return Err(Error::invalid_field("search", "too_long", "At most 200 characters.").into());
    }
    let search = query.search.as_deref();
    let (rows, next) = app.assistant.conversations(&context.call, &by, after, limit, search).await?;
    let next = next.map(|(at, id)| cursor_for(&format!("{}.{id}", at.as_millis())));
    Ok(Json(Page { data: rows.into_iter().map(ConversationBody::from).collect(), next }))
}

/// Reads a conversation.
#[utoipa::path(get, path = "/v1/conversations/{id}", tag = "assistant", params(("id" = Uuid, Path)),
    responses((status = 200, body = ConversationBody), (status = "default", body = Document<'static>)))]
pub async fn get_conversation(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Reader(by): Reader,
    Path(id): Path<Uuid>,
) -> Result<Json<ConversationBody>, Problem> {
    Ok(Json(app.assistant.conversation(&context.call, &by, ConversationId(id)).await?.into()))
}

/// Renames a conversation.
#[utoipa::path(patch, path = "/v1/conversations/{id}", tag = "assistant", request_body = RenameBody,
    params(("id" = Uuid, Path)),
    responses((status = 200, body = ConversationBody), (status = "default", body = Document<'static>)))]
pub async fn rename_conversation(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Writer(by): Writer,
    Path(id): Path<Uuid>,
    Json(body): Json<RenameBody>,
) -> Result<Json<ConversationBody>, Problem> {
    let title = title(&body.title)?;
    Ok(Json(app.assistant.rename(&context.call, &by, ConversationId(id), title).await?.into()))
}

/// Deletes a conversation with all its messages.
#[utoipa::path(delete, path = "/v1/conversations/{id}", tag = "assistant", params(("id" = Uuid, Path)),
    responses((status = 204), (status = "default", body = Document<'static>)))]
pub async fn delete_conversation(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Writer(by): Writer,
    Path(id): Path<Uuid>,
) -> Result<StatusCode, Problem> {
    app.assistant.delete(&context.call, &by, ConversationId(id)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Lists the messages of a conversation, the newest first.
#[utoipa::path(get, path = "/v1/conversations/{id}/messages", tag = "assistant",
    params(("id" = Uuid, Path), MessagesQuery),
    responses((status = 200, body = Page<MessageBody>), (status = "default", body = Document<'static>)))]
pub async fn list_messages(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Reader(by): Reader,
    Path(id): Path<Uuid>,
    Query(query): Query<MessagesQuery>,
) -> Result<Json<Page<MessageBody>>, Problem> {
    let limit = page::limit(query.limit)?;
    let after = page::cursor(query.after.as_deref(), |text| text.parse().ok().filter(|ordinal| *ordinal >= 0i64))?;
    let rows = app.assistant.messages(&context.call, &by, ConversationId(id), after, limit).await?;
    let next = rows.last().filter(|_| rows.len() >= limit as usize).map(|row| cursor_for(&row.ordinal.to_string()));
    let body = if query.html { MessageBody::rendered } else { MessageBody::plain };
    Ok(Json(Page { data: rows.iter().map(body).collect(), next }))
}

/// Sends a message, and makes its conversation when none is named. Without `Accept: text/event-stream` the answer waits
/// for the reply; with it, the reply comes as the events start, token, tool, done and error. A `tool {index, name, state,
/// answer}` says that a tool is used (`running`), and later what came of it; whoever does not know it passes it over.
#[utoipa::path(post, path = "/v1/messages", tag = "assistant", request_body = SendBody,
    params(EventsQuery, ("Idempotency-Key" = Option<String>, Header)),
    responses((status = 201, body = SentBody),
        (status = 200, description = "The reply as events", content_type = "text/event-stream"),
        (status = 402), (status = 404), (status = "default", body = Document<'static>)))]
pub async fn send_message(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Writer(by): Writer,
    following: Following,
    idempotency: Idempotency,
    Json(body): Json<SendBody>,
) -> Result<Response, Problem> {
    // Boxed, so that a request that is refused does not carry the size of it about.
    Box::pin(send(app, context, by, following, idempotency, body)).await
}

/// Sends a message into a conversation. The answer is as that of `POST /v1/messages`.
#[utoipa::path(post, path = "/v1/conversations/{id}/messages", tag = "assistant", request_body = SendIntoBody,
    params(("id" = Uuid, Path), EventsQuery, ("Idempotency-Key" = Option<String>, Header)),
    responses((status = 201, body = SentBody),
        (status = 200, description = "The reply as events", content_type = "text/event-stream"),
        (status = 402), (status = "default", body = Document<'static>)))]
pub async fn send_into(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Writer(by): Writer,
    Path(id): Path<Uuid>,
    following: Following,
    idempotency: Idempotency,
    Json(body): Json<SendIntoBody>,
) -> Result<Response, Problem> {
    let body = SendBody { content: body.content, conversation_id: Some(id), images: body.images };
    // Boxed, so that a request that is refused does not carry the size of it about.
    Box::pin(send(app, context, by, following, idempotency, body)).await
}

async fn send(
    app: Arc<App>,
    context: RequestContext,
    by: Member,
    Following(as_events): Following,
    idempotency: Idempotency,
    body: SendBody,
) -> Result<Response, Problem> {
    let claim = idempotency.claim("message", &body)?;
    let content = MessageText::parse(body.content).map_err(|refused| Error::invalid(vec![refused.of("content")]))?;
    let conversation = body.conversation_id.map(ConversationId);
    let images = body.images.into_iter().map(ImageId).collect();
    let request = SendRequest { new: false, conversation, content, images, claim, paced: as_events.is_some() };
    let begun = Instant::now();
    let sent = app.assistant.send(&context.call, &by, request).await?;
    let generation = GenerationId::from(sent.reply.id);
    if let Some(EventsQuery { html }) = as_events {
        let start = Some((&sent).into());
        let assistant = Arc::clone(&app.assistant);
        return Ok(event_stream(events(
            assistant,
            by,
            generation,
            context.request_id,
            Beginning { start, live: sent.live, seen: 0, html },
        )));
    }
    // From here on a model works, not this server.
    context.waits();
    let wait = begun + app.config.assistant.wait_timeout();
    let reply = app.assistant.wait(&context.call, &by, &sent, wait).await?;
    let body = SentBody { reply: MessageBody::plain(&reply), ..(&sent).into() };
    Ok((StatusCode::CREATED, Json(body)).into_response())
}

impl super::Assistant {
    /// Waits until a reply has ended, until `due` at most: then it is shown as far as it is.
    async fn wait(
        &self,
        call: &mainstay_store::Call,
        by: &Member,
        sent: &Sent,
        due: Instant,
    ) -> mainstay_domain::Result<Message> {
        if sent.reply.status.is_settled() {
            return Ok(sent.reply.clone());
        }
        let generation = GenerationId::from(sent.reply.id);
        let found = sent.live.clone().or_else(|| self.registry.find(by.tenant, by.person, generation));
        if let Some(live) = found {
            let mut progress = live.watch();
            // A reply that takes longer is shown unfinished.
            let _ = timeout_at(due, progress.wait_for(|progress| progress.ended)).await;
            if let Some(ending) = live.ending() {
                return Ok(Message {
                    status: ending.status,
                    content: live.text(),
                    usage: ending.usage,
                    cost_micros: ending.cost_micros(),
                    provider: ending.provider,
                    model: ending.model,
                    fault: ending.fault,
                    tools: live.tools(),
                    ..sent.reply.clone()
                });
            }
        }
        let look = call.extended(call.deadline().max(Instant::now() + LAST_LOOK));
        Ok(self.exchange(&look, by, generation).await?.reply)
    }
}

/// Reads a reply and its question, with the text that has arrived until now.
#[utoipa::path(get, path = "/v1/generations/{id}", tag = "assistant", params(("id" = Uuid, Path)),
    responses((status = 200, body = SentBody), (status = "default", body = Document<'static>)))]
pub async fn get_generation(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Reader(by): Reader,
    Path(id): Path<Uuid>,
) -> Result<Json<SentBody>, Problem> {
    let exchange = app.assistant.exchange(&context.call, &by, GenerationId(id)).await?;
    Ok(Json((&Sent::from(exchange)).into()))
}

/// Follows a reply as events. `Last-Event-ID` names how far the client has come; without it the text comes from its
/// beginning.
#[utoipa::path(get, path = "/v1/generations/{id}/events", tag = "assistant",
    params(("id" = Uuid, Path), EventsQuery, ("Last-Event-ID" = Option<String>, Header, description = "The `id` of the last event that has come; what is no such id is as none")),
    responses((status = 200, content_type = "text/event-stream"), (status = "default", body = Document<'static>)))]
pub async fn generation_events(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Reader(by): Reader,
    Path(id): Path<Uuid>,
    Query(query): Query<EventsQuery>,
    LastEventId(seen): LastEventId,
) -> Result<Response, Problem> {
    // That it is there, and theirs, is said by the status and not in the stream.
    app.assistant.exchange(&context.call, &by, GenerationId(id)).await?;
    let seen = usize::try_from(seen.unwrap_or(0)).unwrap_or(usize::MAX);
    let assistant = Arc::clone(&app.assistant);
    Ok(event_stream(events(
        assistant,
        by,
        GenerationId(id),
        context.request_id,
        Beginning { start: None, live: None, seen, html: query.html },
    )))
}

/// Stops a reply. What has arrived is kept.
#[utoipa::path(post, path = "/v1/generations/{id}/stop", tag = "assistant", params(("id" = Uuid, Path)),
    responses((status = 200, body = SentBody), (status = "default", body = Document<'static>)))]
pub async fn stop_generation(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Writer(by): Writer,
    Path(id): Path<Uuid>,
) -> Result<Json<SentBody>, Problem> {
    let exchange = app.assistant.stop(&context.call, &by, GenerationId(id)).await?;
    Ok(Json((&Sent::from(exchange)).into()))
}
