//! The accounts that send.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use mainstay_domain::{AccountState, Secret, SendingAccountId, Timestamp};
use mainstay_store::{ListAccounts, SendingAccount};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::super::accounts::AccountWish;
use crate::accounts::{Administrator, Reader};
use crate::app::App;
use crate::http::page::{self, Page, PageQuery, moment_and_id};
use crate::http::{Document, Json, Path, Problem, Query, RequestContext};

/// How an account warms up.
#[derive(Clone, Copy, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = RampUp)]
pub struct RampBody {
    /// The cap of the first day.
    start: u32,
    /// What each day adds, up to the daily cap.
    step: u32,
}

/// What mail of an account is signed with (RFC 6376).
#[derive(Clone, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = DkimWish)]
pub struct DkimBody {
    selector: String,
    domain: String,
    /// The private key, in PEM: RSA of at least 2048 bits, or Ed25519. It is stored sealed and never shown; leave it out to
    /// keep the one that is there.
    #[serde(default, skip_serializing)]
    private_key: Option<String>,
}

/// How an account sends.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = SendingAccountWish)]
pub struct AccountWishBody {
    /// `smtp`, or `gmail` for one that sends by the Gmail API once somebody has signed in to it. It never changes.
    #[serde(default = "smtp")]
    #[schema(value_type = crate::openapi::words::AccountKind)]
    kind: String,
    /// The address that it sends from. It never changes.
    #[schema(value_type = crate::openapi::words::EmailAddress)]
    address: String,
    /// The name beside it.
    #[serde(default)]
    #[schema(max_length = 200)]
    sender_name: String,
    /// Where answers go; to the address itself when it is left out.
    #[serde(default)]
    #[schema(value_type = Option<crate::openapi::words::EmailAddress>)]
    reply_to: Option<String>,
    /// The server, for SMTP.
    #[serde(default)]
    #[schema(value_type = crate::openapi::words::HostName)]
    host: String,
    #[serde(default = "submission")]
    #[schema(minimum = 1)]
    port: u16,
    /// `start_tls`, `tls` or `none`. No password goes over a line that is not protected.
    #[serde(default = "start_tls")]
    #[schema(value_type = crate::openapi::words::Security)]
    security: String,
    #[serde(default)]
    #[schema(max_length = 254)]
    user_name: String,
    /// It is stored sealed and never shown; leave it out to keep the one that is there.
    #[serde(default, skip_serializing)]
    password: Option<String>,
    #[serde(default)]
    dkim: Option<DkimBody>,
    /// The most emails in any 24 hours; at Gmail at most 2,000.
    #[schema(maximum = 1_000_000)]
    daily_cap: u32,
    #[serde(default)]
    ramp_up: Option<RampBody>,
    /// The least seconds between two emails; up to three quarters more by chance. At Gmail never less than 1.
    #[serde(default)]
    #[schema(maximum = 86_400)]
    gap_seconds: u64,
    /// The least seconds between two emails to one domain.
    #[serde(default)]
    #[schema(maximum = 86_400)]
    domain_gap_seconds: u64,
    /// How many connections it may have at once: 1 to 20, and 1 at Gmail.
    #[serde(default = "one")]
    #[schema(minimum = 1, maximum = 20)]
    connections: u32,
    /// The name under which links of its emails are followed, such as `links.example.com`: it leads to this server, by HTTPS.
    /// Links have the name of this server when it is left out.
    #[serde(default)]
    #[schema(value_type = Option<crate::openapi::words::DomainName>)]
    tracking_domain: Option<String>,
}

fn smtp() -> String {
    "smtp".to_owned()
}

const fn submission() -> u16 {
    587
}

fn start_tls() -> String {
    "start_tls".to_owned()
}

const fn one() -> u32 {
    1
}

impl From<AccountWishBody> for AccountWish {
    fn from(body: AccountWishBody) -> Self {
        let dkim_key = body.dkim.as_ref().and_then(|dkim| dkim.private_key.clone()).map(Secret::new);
        Self {
            kind: body.kind,
            address: body.address,
            sender_name: body.sender_name,
            reply_to: body.reply_to,
            host: body.host,
            port: body.port,
            security: body.security,
            user_name: body.user_name,
            password: body.password.map(Secret::new),
            dkim: body.dkim.map(|dkim| (dkim.selector, dkim.domain)),
            dkim_key,
            daily_cap: body.daily_cap,
            ramp: body.ramp_up.map(|ramp| (ramp.start, ramp.step)),
            gap_seconds: body.gap_seconds,
            domain_gap_seconds: body.domain_gap_seconds,
            connections: body.connections,
            tracking_domain: body.tracking_domain,
        }
    }
}

/// What a signature names.
#[derive(Serialize, ToSchema)]
#[schema(as = Dkim)]
pub struct KeptDkimBody {
    selector: String,
    domain: String,
}

/// An account.
#[derive(Serialize, ToSchema)]
#[schema(as = SendingAccount)]
pub struct AccountBody {
    id: Uuid,
    /// `smtp` or `gmail`.
    kind: String,
    address: String,
    sender_name: String,
    reply_to: Option<String>,
    host: String,
    port: u16,
    security: String,
    user_name: String,
    /// Whether there is a password, or somebody has signed in at Gmail.
    has_password: bool,
    dkim: Option<KeptDkimBody>,
    /// `active`, `paused`, or `reconnect` while its server does not let it in, or somebody has to sign in.
    #[schema(value_type = crate::openapi::words::AccountState)]
    state: AccountState,
    /// Why it does not send.
    reason: Option<String>,
    daily_cap: u32,
    /// The cap of the 24 hours that end now.
    cap_now: u32,
    ramp_up: Option<RampBody>,
    gap_seconds: u64,
    domain_gap_seconds: u64,
    connections: u32,
    tracking_domain: Option<String>,
    /// Of what it has sent since it was last told to: what servers took, what came back for good, what was called junk.
    sent: u32,
    bounced: u32,
    complained: u32,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

fn body(account: SendingAccount, now: Timestamp) -> AccountBody {
    let cap_now = account.cap(now);
    let settings = account.settings;
    AccountBody {
        id: account.id.uuid(),
        kind: settings.kind,
        address: account.address,
        sender_name: settings.sender_name,
        reply_to: settings.reply_to,
        host: settings.host,
        port: settings.port,
        security: settings.security,
        user_name: settings.user_name,
        has_password: settings.secret.is_some(),
        dkim: settings.dkim.map(|(selector, domain)| KeptDkimBody { selector, domain }),
        state: account.state,
        reason: account.reason,
        daily_cap: settings.daily_cap,
        cap_now,
        ramp_up: settings.ramp.map(|ramp| RampBody { start: ramp.start, step: ramp.step }),
        gap_seconds: settings.gap.as_secs(),
        domain_gap_seconds: settings.domain_gap.as_secs(),
        connections: settings.connections,
        tracking_domain: settings.tracking_domain,
        sent: account.health.0,
        bounced: account.health.1,
        complained: account.health.2,
        created_at: account.created_at,
        updated_at: account.updated_at,
    }
}

/// Lists the accounts that send, the oldest first.
#[utoipa::path(get, path = "/v1/sending-accounts", tag = "outreach", params(PageQuery),
    responses((status = 200, body = Page<AccountBody>), (status = "default", body = Document<'static>)))]
pub async fn list(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Reader(by): Reader,
    Query(query): Query<PageQuery>,
) -> Result<Json<Page<AccountBody>>, Problem> {
    let limit = query.limit()?;
    let after = query.cursor(moment_and_id)?.map(|(at, id)| (at, SendingAccountId(id)));
    let rows = app.store.run(&context.call, ListAccounts { tenant: by.tenant, after, limit }).await?;
    let now = app.clock.now();
    let rows: Vec<_> = rows.into_iter().map(|account| body(account, now)).collect();
    Ok(Json(Page::of(rows, limit, |row: &AccountBody| page::place(row.created_at, row.id))))
}

/// Makes an account. There is one for each address: making it again is a conflict.
#[utoipa::path(post, path = "/v1/sending-accounts", tag = "outreach", request_body = AccountWishBody,
    responses((status = 201, body = AccountBody), (status = "default", body = Document<'static>)))]
pub async fn create(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Administrator(by): Administrator,
    Json(wish): Json<AccountWishBody>,
) -> Result<(StatusCode, Json<AccountBody>), Problem> {
    let made = app.outreach.create_account(&context.call, by.tenant, wish.into()).await?;
    Ok((StatusCode::CREATED, Json(body(made, app.clock.now()))))
}

/// Reads an account.
#[utoipa::path(get, path = "/v1/sending-accounts/{id}", tag = "outreach", params(("id" = Uuid, Path)),
    responses((status = 200, body = AccountBody), (status = "default", body = Document<'static>)))]
pub async fn get(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Reader(by): Reader,
    Path(id): Path<Uuid>,
) -> Result<Json<AccountBody>, Problem> {
    let account = app.outreach.account(&context.call, by.tenant, SendingAccountId(id)).await?;
    Ok(Json(body(account, app.clock.now())))
}

/// Changes how an account sends.
#[utoipa::path(put, path = "/v1/sending-accounts/{id}", tag = "outreach", params(("id" = Uuid, Path)),
    request_body = AccountWishBody,
    responses((status = 200, body = AccountBody), (status = "default", body = Document<'static>)))]
pub async fn change(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Administrator(by): Administrator,
    Path(id): Path<Uuid>,
    Json(wish): Json<AccountWishBody>,
) -> Result<Json<AccountBody>, Problem> {
    let id = SendingAccountId(id);
    let changed = app.outreach.change_account(&context.call, by.tenant, id, wish.into()).await?;
    Ok(Json(body(changed, app.clock.now())))
}

/// Has an account rest. What it owes waits.
#[utoipa::path(post, path = "/v1/sending-accounts/{id}/pause", tag = "outreach", params(("id" = Uuid, Path)),
    responses((status = 200, body = AccountBody), (status = "default", body = Document<'static>)))]
pub async fn pause(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Administrator(by): Administrator,
    Path(id): Path<Uuid>,
) -> Result<Json<AccountBody>, Problem> {
    let id = SendingAccountId(id);
    let paused = app.outreach.set_account(&context.call, by.tenant, id, AccountState::Paused).await?;
    Ok(Json(body(paused, app.clock.now())))
}

/// Has an account send again. What it has sent before weighs on it no more.
#[utoipa::path(post, path = "/v1/sending-accounts/{id}/resume", tag = "outreach", params(("id" = Uuid, Path)),
    responses((status = 200, body = AccountBody), (status = "default", body = Document<'static>)))]
pub async fn resume(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Administrator(by): Administrator,
    Path(id): Path<Uuid>,
) -> Result<Json<AccountBody>, Problem> {
    let id = SendingAccountId(id);
    let resumed = app.outreach.set_account(&context.call, by.tenant, id, AccountState::Active).await?;
    Ok(Json(body(resumed, app.clock.now())))
}

/// Where to go to sign in to an account.
#[derive(Serialize, ToSchema)]
#[schema(as = AccountSignIn)]
pub struct SignInBody {
    /// Open it in the browser in which you are signed in here.
    authorization_url: String,
    /// Until when you may come back.
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
}

/// What Google gave to whoever comes back.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = AccountReturn)]
pub struct ReturnBody {
    /// As it stands in the address.
    state: String,
    /// As it stands in the address.
    code: String,
}

/// Begins to sign in to an account at Gmail, for the first time or again: you go to Google with the address, and come back.
#[utoipa::path(post, path = "/v1/sending-accounts/{id}/sign-in", tag = "outreach", params(("id" = Uuid, Path)),
    responses((status = 200, body = SignInBody), (status = "default", body = Document<'static>)))]
pub async fn sign_in(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Administrator(by): Administrator,
    Path(id): Path<Uuid>,
) -> Result<Json<SignInBody>, Problem> {
    let begun = app.outreach.begin_sign_in(&context.call, &by, SendingAccountId(id)).await?;
    let (authorization_url, expires_at) = begun;
    Ok(Json(SignInBody { authorization_url, expires_at }))
}

/// Ends what was begun, with what Google gave: the account sends, and what comes back to it is read. Only whoever began it
/// may, once, within ten minutes, and signed in to Google as the address of the account.
#[utoipa::path(post, path = "/v1/gmail-sign-ins", tag = "outreach", request_body = ReturnBody,
    responses((status = 200, body = AccountBody), (status = 404), (status = 502), (status = "default", body = Document<'static>)))]
pub async fn finish_sign_in(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Administrator(by): Administrator,
    Json(back): Json<ReturnBody>,
) -> Result<Json<AccountBody>, Problem> {
    let account = app.outreach.finish_sign_in(&context.call, &by, (&back.state, &back.code)).await?;
    Ok(Json(body(account, app.clock.now())))
}
