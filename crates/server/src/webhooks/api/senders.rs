//! `/v1/inbox-sources`.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use mainstay_domain::{Error, InboxSourceId, Secret, Timestamp};
use mainstay_store::InboxSource;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::accounts::{Administrator, Member};
use crate::app::App;
use crate::http::idempotency::Idempotency;
use crate::http::page::{self, Page, PageQuery, cursor_for, moment_and_id};
use crate::http::{Document, Json, Path, Problem, Query, RequestContext};
use crate::webhooks::inbox::place;
use crate::webhooks::scheme::{self, SchemeSettings};
use crate::webhooks::service::{self, NewSender, Sender, SenderChange};
use crate::webhooks::sources::Source;

/// Adding a sender.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateSenderBody {
    /// 1 to 100 characters.
    #[schema(example = "Phone calls", min_length = 1, max_length = 100, pattern = r"\S")]
    name: String,
    /// vapi, twilio, fastspring, standard or generic.
    #[schema(example = "vapi", value_type = crate::openapi::words::Source)]
    provider: String,
    /// How it proves who it is; left out, as it does unless told otherwise.
    #[serde(default)]
    scheme: Option<SchemeSettings>,
    /// The secrets that it has; each is good. Left out, one is made, where the sender takes one.
    #[serde(default)]
    #[schema(min_items = 1, max_items = 10, value_type = Option<Vec<crate::openapi::words::SenderSecret>>)]
    secrets: Option<Vec<Secret>>,
}

/// Changing a sender. What is left out stays as it is.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangeSenderBody {
    #[serde(default)]
    #[schema(min_length = 1, max_length = 100, pattern = r"\S")]
    name: Option<String>,
    /// False: its requests are answered 410.
    #[serde(default)]
    enabled: Option<bool>,
    #[serde(default)]
    scheme: Option<SchemeSettings>,
    /// In place of the secrets before.
    #[serde(default)]
    #[schema(min_items = 1, max_items = 10, value_type = Option<Vec<crate::openapi::words::SenderSecret>>)]
    secrets: Option<Vec<Secret>>,
    /// Makes a new secret beside those that are there. Set `secrets` to it alone once the sender uses it.
    #[serde(default)]
    rotate: bool,
}

/// Why a sender was refused.
#[derive(Serialize, ToSchema)]
pub struct RefusalOfSenderBody {
    #[schema(example = "signature_mismatch")]
    code: &'static str,
    /// What to look at.
    detail: String,
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
}

/// A sender, without its secrets.
#[derive(Serialize, ToSchema)]
pub struct SenderBody {
    id: Uuid,
    name: String,
    provider: String,
    /// Null where it cannot be opened: the key that it is sealed under is missing on the server.
    scheme: Option<SchemeSettings>,
    /// How many secrets it has; 0 where they cannot be opened.
    secrets: usize,
    /// Its address: set it as the webhook's at the sender. Whoever knows it can send, and is refused without the secret.
    url: String,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// Since when nothing of it is taken.
    #[schema(value_type = Option<String>, format = DateTime)]
    disabled_at: Option<Timestamp>,
    /// The last time within a day that the node which answers has refused one of its requests.
    last_refusal: Option<RefusalOfSenderBody>,
}

/// A sender, and the secret that was made for it: shown this once. A repeat with the same `Idempotency-Key` has none.
#[derive(Serialize, ToSchema)]
pub struct SenderWithSecretBody {
    #[serde(flatten)]
    sender: SenderBody,
    secret: Option<String>,
}

fn body(app: &App, by: &Member, source: InboxSource) -> Result<SenderBody, Error> {
    // One that cannot be opened does not hide the others of a list.
    let opened = app.keys.open(place(by.tenant, source.id), &source.scheme);
    let opened =
        opened.inspect_err(|fault| tracing::warn!(%fault, sender = %source.id, "a sender cannot be shown whole"));
    let (settings, secrets) = match opened {
        Ok(plain) => scheme::read(&plain).map(|(settings, secrets)| (Some(settings), secrets.len()))?,
        Err(_) => (None, 0),
    };
    let refusal = app.inbox.last_refusal(source.id);
    Ok(SenderBody {
        id: source.id.uuid(),
        url: app.inbox.url(&source.provider, &source.key),
        name: source.name,
        provider: source.provider,
        scheme: settings,
        secrets,
        created_at: source.created_at,
        disabled_at: source.disabled_at,
        last_refusal: refusal.map(|refusal| RefusalOfSenderBody {
            code: refusal.code,
            detail: refusal.detail.clone(),
            at: refusal.at,
        }),
    })
}

fn with_secret(app: &App, by: &Member, sender: Sender) -> Result<SenderWithSecretBody, Error> {
    let secret = sender.made.map(|made| made.expose().to_owned());
    Ok(SenderWithSecretBody { sender: body(app, by, sender.source)?, secret })
}

/// Adds a sender: the answer has the address that it sends to.
#[utoipa::path(post, path = "/v1/inbox-sources", tag = "inbox", request_body = CreateSenderBody,
    params(("Idempotency-Key" = Option<String>, Header)),
    responses((status = 201, body = SenderWithSecretBody), (status = "default", body = Document<'static>)))]
pub async fn create(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Administrator(by): Administrator,
    idempotency: Idempotency,
    Json(body): Json<CreateSenderBody>,
) -> Result<(StatusCode, Json<SenderWithSecretBody>), Problem> {
    let provider: Source = body.provider.parse().map_err(|unknown: crate::webhooks::sources::UnknownSource| {
        Error::invalid_field("provider", "unknown_word", unknown.to_string())
    })?;
    let secrets = body.secrets.unwrap_or_default();
    // A secret does not print, and another one is another request.
    let exposed: Vec<_> = secrets.iter().map(Secret::expose).collect();
    let claim = idempotency.claim("inbox_source", &(&body.name, provider.as_str(), &body.scheme, exposed))?;
    let new = NewSender { name: body.name, provider, settings: body.scheme, secrets };
    let made = service::create(&app, &context.call, &by, new, claim).await?;
    Ok((StatusCode::CREATED, Json(with_secret(&app, &by, made)?)))
}

/// Lists the senders of the organisation, the oldest first.
#[utoipa::path(get, path = "/v1/inbox-sources", tag = "inbox", params(PageQuery),
    responses((status = 200, body = Page<SenderBody>), (status = "default", body = Document<'static>)))]
pub async fn list(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Administrator(by): Administrator,
    Query(query): Query<PageQuery>,
) -> Result<Json<Page<SenderBody>>, Problem> {
    let limit = query.limit()?;
    let after = query.cursor(moment_and_id)?.map(|(moment, id)| (moment, InboxSourceId(id)));
    let rows = service::list(&app, &context.call, &by, after, limit).await?;
    let last = rows.last().filter(|_| rows.len() >= limit as usize);
    let next = last.map(|last| cursor_for(&page::place(last.created_at, last.id)));
    let data: Result<Vec<_>, Error> = rows.into_iter().map(|source| body(&app, &by, source)).collect();
    Ok(Json(Page { data: data?, next }))
}

/// Reads a sender.
#[utoipa::path(get, path = "/v1/inbox-sources/{id}", tag = "inbox", params(("id" = Uuid, Path)),
    responses((status = 200, body = SenderBody), (status = "default", body = Document<'static>)))]
pub async fn get(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Administrator(by): Administrator,
    Path(id): Path<Uuid>,
) -> Result<Json<SenderBody>, Problem> {
    let source = service::get(&app, &context.call, &by, InboxSourceId(id)).await?;
    Ok(Json(body(&app, &by, source)?))
}

/// Changes a sender: its name, whether anything of it is taken, how it proves who it is. Other nodes go by it within five
/// seconds.
#[utoipa::path(patch, path = "/v1/inbox-sources/{id}", tag = "inbox", params(("id" = Uuid, Path)),
    request_body = ChangeSenderBody,
    responses((status = 200, body = SenderWithSecretBody), (status = "default", body = Document<'static>)))]
pub async fn change(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Administrator(by): Administrator,
    Path(id): Path<Uuid>,
    Json(body): Json<ChangeSenderBody>,
) -> Result<Json<SenderWithSecretBody>, Problem> {
    let ChangeSenderBody { name, enabled, scheme: settings, secrets, rotate } = body;
    let wish = SenderChange { name, enabled, settings, secrets, rotate };
    let changed = service::change(&app, &context.call, &by, InboxSourceId(id), wish).await?;
    Ok(Json(with_secret(&app, &by, changed)?))
}

/// Removes a sender: its address is nobody's within five seconds. What it has sent stays.
#[utoipa::path(delete, path = "/v1/inbox-sources/{id}", tag = "inbox", params(("id" = Uuid, Path)),
    responses((status = 204), (status = "default", body = Document<'static>)))]
pub async fn remove(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Administrator(by): Administrator,
    Path(id): Path<Uuid>,
) -> Result<StatusCode, Problem> {
    service::remove(&app, &context.call, &by, InboxSourceId(id)).await?;
    Ok(StatusCode::NO_CONTENT)
}
