//! `POST /hooks/...`: what senders call. No answer says that a webhook was taken before it is on the disk.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{OriginalUri, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use mainstay_domain::{Error, Kind};
use serde::Serialize;
use tokio::time::Instant;
use utoipa::ToSchema;

use super::answers;
use super::inbox::{KnownSource, Taken};
use super::processors::Question;
use super::signature::Incoming;
use super::sources::Source;
use crate::app::App;
use crate::http::{Document, Json, Path, Problem, RawBody, RequestContext};

/// What a sender is told.
#[derive(Serialize, ToSchema)]
pub struct ReceivedBody {
    /// Always true: it is stored.
    received: bool,
    /// Whether all of it was there already.
    duplicate: bool,
}

/// An access token (RFC 6749, section 5.1).
#[derive(Serialize, ToSchema)]
pub struct AccessTokenBody {
    access_token: String,
    /// Always Bearer.
    token_type: &'static str,
    /// In seconds.
    expires_in: u64,
}

/// Takes a webhook in. Its signature is checked over the bytes of the body. 200 says that it is stored; an event that was
/// there already is told so and changes nothing. For an event that needs an answer (tool calls of Vapi) the body is that
/// answer. Twilio is answered with an empty TwiML document.
#[utoipa::path(post, path = "/hooks/{provider}/{key}", tag = "inbox", security(()),
    params(("provider" = String, Path, description = "vapi, twilio, fastspring, standard or generic"),
           ("key" = String, Path, description = "The key of the sender's address")),
    request_body(content = String, description = "Whatever the sender sends, at most 1 MiB"),
    responses((status = 200, body = ReceivedBody),
        (status = 202, description = "FastSpring: the ids of the events that were stored, one on each line", content_type = "text/plain"),
        (status = 401), (status = 410), (status = "default", body = Document<'static>)))]
pub async fn receive(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Path((provider, key)): Path<(String, String)>,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
    RawBody(body): RawBody,
) -> Result<Response, Problem> {
    let source = app.inbox.source(&context.call, &provider, &key).await?;
    let path = uri.path_and_query().map_or("", |path| path.as_str());
    take(&app, &context, &source, path, &headers, body).await
}

/// Takes a webhook of FastSpring in that is about the installation's own customers. It is there when
/// `billing.fastspring.webhook_secrets` is set.
#[utoipa::path(post, path = "/hooks/fastspring", tag = "inbox", security(()),
    request_body(content = String, description = "A batch of events, at most 1 MiB"),
    responses((status = 200, body = ReceivedBody),
        (status = 202, description = "The ids of the events that were stored, one on each line", content_type = "text/plain"),
        (status = 401), (status = 404), (status = 410), (status = "default", body = Document<'static>)))]
pub async fn receive_fastspring(
    State(app): State<Arc<App>>,
    context: RequestContext,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
    RawBody(body): RawBody,
) -> Result<Response, Problem> {
    let source = app.inbox.installation()?;
    let path = uri.path_and_query().map_or("", |path| path.as_str());
    take(&app, &context, &source, path, &headers, body).await
}

/// Gives an access token to a sender that fetches one (mode oauth2 of Vapi): client credentials, of which the secret is
/// looked at.
#[utoipa::path(post, path = "/hooks/{provider}/{key}/token", tag = "inbox", security(()),
    params(("provider" = String, Path, description = "vapi"), ("key" = String, Path, description = "The key of the sender's address")),
    request_body(content = crate::openapi::words::ClientCredentials, content_type = "application/x-www-form-urlencoded"),
    responses((status = 200, body = AccessTokenBody), (status = 401), (status = 410), (status = "default", body = Document<'static>)))]
pub async fn token(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Path((provider, key)): Path<(String, String)>,
    headers: HeaderMap,
    RawBody(body): RawBody,
) -> Result<Response, Problem> {
    let source = app.inbox.source(&context.call, &provider, &key).await?;
    refuse_disabled(&source)?;
    let (token, lasts) = app.inbox.grant(&source, &headers, &body)?;
    let body =
        AccessTokenBody { access_token: token.expose().to_owned(), token_type: "Bearer", expires_in: lasts.as_secs() };
    Ok(([(CACHE_CONTROL, "no-store")], Json(body)).into_response())
}

fn refuse_disabled(source: &KnownSource) -> Result<(), Problem> {
    if source.disabled {
        let detail = "This webhook is switched off. Whoever runs it can switch it on again.";
        return Err(Problem::new(StatusCode::GONE, "webhook_disabled", detail));
    }
    Ok(())
}

async fn take(
    app: &Arc<App>,
    context: &RequestContext,
    source: &KnownSource,
    path: &str,
    headers: &HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    let begun = Instant::now();
    refuse_disabled(source)?;
    let url = app.inbox.signed_url(path);
    let incoming = Incoming { headers, url: &url, body: &body, now: app.inbox.now() };
    let events = app.inbox.read(source, &incoming)?;
    let taken = app.inbox.take(&context.call, source, events, body.len()).await?;
    drop(body);
    let (stored, failed): (Vec<_>, Vec<_>) = taken.iter().partition(|one| one.received.is_ok());
    if let Some(Taken { received: Err(error), .. }) = failed.first() {
        // The sender sends the rest again.
        if source.provider == Source::FastSpring && !stored.is_empty() {
            return Ok(partly(&stored));
        }
        return Err(unavailable(error.clone()));
    }
    app.inbox.acknowledged(source, begun.elapsed());
    let duplicate = !taken.is_empty() && taken.iter().all(|one| matches!(&one.received, Ok(one) if one.duplicate));
    if let Some(answer) = answered(app, context, source, taken, begun).await {
        return Ok(Json(answer).into_response());
    }
    if source.provider == Source::Twilio {
        // Twilio reads what it is answered as TwiML.
        const NOTHING: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Response></Response>";
        return Ok(([(CONTENT_TYPE, HeaderValue::from_static("text/xml"))], NOTHING).into_response());
    }
    Ok(Json(ReceivedBody { received: true, duplicate }).into_response())
}

/// The answer that the sender waits for, if it does. It is stored by now: whoever answers may fail.
async fn answered(
    app: &Arc<App>,
    context: &RequestContext,
    source: &KnownSource,
    taken: Vec<Taken>,
    begun: Instant,
) -> Option<serde_json::Value> {
    let one = taken.into_iter().next()?;
    let (received, payload) = (one.received.ok()?, one.question?);
    context.waits();
    let deadline = begun + Duration::from_millis(app.config.inbox.answer_timeout_ms);
    let question = Question {
        tenant: source.tenant,
        source: source.id,
        event: received.event,
        again: received.duplicate,
        kind: one.kind,
        payload,
        deadline,
    };
    Some(answers::answer(app, app.inbox.processors(), question).await)
}

/// Some of a batch is stored: those are named, one on each line.
fn partly(stored: &[&Taken]) -> Response {
    let lines: String = stored.iter().map(|one| format!("{}\n", one.identity)).collect();
    (StatusCode::ACCEPTED, [(CONTENT_TYPE, "text/plain; charset=utf-8")], lines).into_response()
}

/// Whatever kept it from being stored: the sender is to come again.
fn unavailable(error: mainstay_store::Error) -> Problem {
    let error = Error::from(error);
    let after = error.retry_after.unwrap_or(Duration::from_secs(2));
    match error.kind {
        Kind::Unavailable => error.retry_after(after).into(),
        _ => {
            let detail = "This could not be stored now. Send it again in a moment.";
            Error::new(Kind::Unavailable, "not_stored", detail).retry_after(after).because(error).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_keeps_it_from_being_stored_the_sender_is_told_to_come_again() {
        use mainstay_store::Error as Store;
        for error in [
            Store::QueueFull,
            Store::Busy("x"),
            Store::Unavailable("x".to_owned()),
            Store::Full("x".to_owned()),
            Store::Timeout,
            Store::OutcomeUnknown,
            Store::Conflict,
            Store::Bug("x".to_owned()),
        ] {
            let problem = unavailable(error.clone());
            assert_eq!(problem.status(), StatusCode::SERVICE_UNAVAILABLE, "{error:?}");
            assert!(problem.error().retry_after.is_some(), "{error:?}");
        }
    }
}
