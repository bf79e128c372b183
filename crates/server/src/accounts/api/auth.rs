//! `/v1/auth/*` and `/v1/me`.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header::{COOKIE, SET_COOKIE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use mainstay_domain::{Error, Kind, OrganisationName, Secret, TenantId};
use mainstay_store::Person;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{MembershipBody, OrganisationBody, UserBody};
use crate::accounts::{Credential, PasswordChange, Reader, SignInRequest, SignUpRequest, SignedIn, SignedInPerson};
use crate::app::App;
use crate::http::idempotency::Idempotency;
use crate::http::{Document, Json, Problem, RequestContext};

/// The cookie that holds a refresh token for the console: out of reach of scripts, sent to our own pages only. By its prefix a
/// browser takes it over https only, from nobody who listens on the way (RFC 6265bis, section 4.1.3).
const SECURE_COOKIE: &str = "__Secure-mainstay_refresh";
/// The same where people come by http: on their own machine.
const PLAIN_COOKIE: &str = "mainstay_refresh";

fn cookie_name(app: &App) -> &'static str {
    if app.config.http.is_https() { SECURE_COOKIE } else { PLAIN_COOKIE }
}

/// Where the refresh token goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SessionForm {
    /// Into the answer.
    #[default]
    Token,
    /// Into a cookie that scripts cannot read: for pages of this server only.
    Cookie,
}

/// Signing up.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SignUpBody {
    /// The address that signs in.
    #[schema(example = "ada@example.com", value_type = crate::openapi::words::EmailAddress)]
    email: String,
    /// 10 to 200 characters.
    #[schema(value_type = String, min_length = 10, max_length = 200)]
    password: Secret,
    /// What the person is called.
    #[serde(default)]
    #[schema(max_length = 200)]
    name: Option<String>,
    /// Where the refresh token goes.
    #[serde(default)]
    session: SessionForm,
}

/// Signing in.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SignInBody {
    /// The address.
    email: String,
    /// The password.
    #[schema(value_type = String)]
    password: Secret,
    /// Where the refresh token goes.
    #[serde(default)]
    session: SessionForm,
}

/// Refreshing. Without a token, the cookie is used, and only for a page of this server.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RefreshBody {
    /// The refresh token.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    refresh_token: Option<Secret>,
}

/// Changing the organisation.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SwitchBody {
    /// The organisation that the new tokens name.
    organisation_id: Uuid,
    /// Where the refresh token goes.
    #[serde(default)]
    session: SessionForm,
}

/// A pair of tokens, and whose it is.
#[derive(Serialize, ToSchema)]
pub struct SignedInBody {
    user: UserBody,
    organisation: OrganisationBody,
    /// For `Authorization: Bearer`.
    access_token: String,
    /// For the next pair; nothing when it is in the cookie.
    refresh_token: Option<String>,
    /// How long the access token is good, in seconds.
    expires_in: u64,
}

/// Who is signed in.
#[derive(Serialize, ToSchema)]
pub struct MeBody {
    user: UserBody,
    /// The organisation that the token names.
    organisation: OrganisationBody,
    /// What the person may do in it.
    #[schema(value_type = crate::openapi::words::Role)]
    role: mainstay_domain::Role,
    /// True for an operator of the installation.
    operator: bool,
    memberships: Vec<MembershipBody>,
}

/// A further organisation.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateOrganisationBody {
    /// 1 to 200 characters.
    #[schema(min_length = 1, max_length = 200, pattern = r"\S")]
    name: String,
}

/// The organisation that was made.
#[derive(Serialize, ToSchema)]
pub struct CreatedOrganisationBody {
    id: Uuid,
    name: String,
}

fn user(person: &Person) -> UserBody {
    UserBody { id: person.id.uuid(), email: person.email.clone(), name: person.name.clone() }
}

/// The answer with its pair, and the cookie when it was asked for.
fn signed_in(app: &App, status: StatusCode, signed_in: SignedInPerson, form: SessionForm) -> Response {
    let cookie = (form == SessionForm::Cookie)
        .then(|| cookie(app, signed_in.refresh_token.expose(), app.config.auth.refresh_token_seconds));
    let body = SignedInBody {
        user: user(&signed_in.person),
        organisation: (&signed_in.membership).into(),
        access_token: signed_in.access_token.expose().to_owned(),
        refresh_token: cookie.is_none().then(|| signed_in.refresh_token.expose().to_owned()),
        expires_in: signed_in.expires_in,
    };
    let mut response = (status, Json(body)).into_response();
    if let Some(cookie) = cookie.flatten() {
        response.headers_mut().insert(SET_COOKIE, cookie);
    }
    response
}

fn cookie(app: &App, value: &str, seconds: u64) -> Option<HeaderValue> {
    let secure = if app.config.http.is_https() { "; Secure" } else { "" };
    let name = cookie_name(app);
    let text = format!("{name}={value}; Path=/v1/auth; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}");
    HeaderValue::try_from(text).ok()
}

/// The refresh token of the cookie. Cookies count only for our own pages: a request without an origin has to bring a token.
fn from_cookie(app: &App, headers: &HeaderMap, context: &RequestContext) -> Option<Secret> {
    if !context.same_origin {
        return None;
    }
    let prefix = format!("{}=", cookie_name(app));
    let pairs = headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok()).flat_map(|line| line.split(';'));
    pairs.filter_map(|pair| pair.trim().strip_prefix(&prefix)).next().map(|value| Secret::new(value.to_owned()))
}

/// Whoever signs in where they were signed in already leaves the sign-in before: its cookie is overwritten, and nobody would
/// end it.
async fn leave_the_one_before(app: &App, context: &RequestContext, headers: &HeaderMap, form: SessionForm) {
    let before = (form == SessionForm::Cookie).then(|| from_cookie(app, headers, context)).flatten();
    let Some(session) = before.and_then(|token| app.accounts.session_of(&token)) else { return };
    if let Err(error) = app.accounts.sign_out(&context.call, session).await {
        tracing::warn!(%error, "the sign-in before could not be ended");
    }
}

/// Only a page of ours may ask for the cookie: elsewhere it would not come back.
fn check_form(form: SessionForm, context: &RequestContext) -> Result<(), Problem> {
    if form == SessionForm::Cookie && !context.same_origin {
        let detail = "A cookie is for pages of this server. Leave it out, and keep the refresh token.";
        return Err(Error::invalid_field("session", "not_same_origin", detail).into());
    }
    Ok(())
}

/// Signs up: makes a person with a personal organisation.
#[utoipa::path(post, path = "/v1/auth/sign-up", tag = "accounts", request_body = SignUpBody, security(()),
    responses((status = 201, body = SignedInBody), (status = 403), (status = 409), (status = "default", body = Document<'static>)))]
pub async fn sign_up(
    State(app): State<Arc<App>>,
    context: RequestContext,
    headers: HeaderMap,
    Json(body): Json<SignUpBody>,
) -> Result<Response, Problem> {
    check_form(body.session, &context)?;
    let request = SignUpRequest { email: body.email, password: body.password, name: body.name.unwrap_or_default() };
    let person = app.accounts.sign_up(&context.call, request, context.client_address).await?;
    leave_the_one_before(&app, &context, &headers, body.session).await;
    Ok(signed_in(&app, StatusCode::CREATED, person, body.session))
}

/// Signs in with a password.
#[utoipa::path(post, path = "/v1/auth/sign-in", tag = "accounts", request_body = SignInBody, security(()),
    responses((status = 200, body = SignedInBody), (status = 401), (status = 403), (status = "default", body = Document<'static>)))]
pub async fn sign_in(
    State(app): State<Arc<App>>,
    context: RequestContext,
    headers: HeaderMap,
    Json(body): Json<SignInBody>,
) -> Result<Response, Problem> {
    check_form(body.session, &context)?;
    let request = SignInRequest { email: body.email, password: body.password };
    let person = app.accounts.sign_in(&context.call, request, context.client_address).await?;
    leave_the_one_before(&app, &context, &headers, body.session).await;
    Ok(signed_in(&app, StatusCode::OK, person, body.session))
}

/// Exchanges a refresh token for the next pair. Each is good once.
#[utoipa::path(post, path = "/v1/auth/refresh", tag = "accounts", request_body = RefreshBody, security(()),
    responses((status = 200, body = SignedInBody), (status = 401), (status = 403), (status = "default", body = Document<'static>)))]
pub async fn refresh(
    State(app): State<Arc<App>>,
    context: RequestContext,
    headers: HeaderMap,
    Json(body): Json<RefreshBody>,
) -> Result<Response, Problem> {
    let (token, form) = match body.refresh_token {
        Some(token) => (Some(token), SessionForm::Token),
        None => (from_cookie(&app, &headers, &context), SessionForm::Cookie),
    };
    let token =
        token.ok_or_else(|| Error::new(Kind::Unauthenticated, "signed_out", "There is no refresh token. Sign in."))?;
    let person = app.accounts.refresh(&context.call, &token, context.client_address).await?;
    Ok(signed_in(&app, StatusCode::OK, person, form))
}

/// Signs out: ends the sign-in of the token, and with it all of its tokens.
#[utoipa::path(post, path = "/v1/auth/sign-out", tag = "accounts",
    responses((status = 204), (status = "default", body = Document<'static>)))]
pub async fn sign_out(
    State(app): State<Arc<App>>,
    context: RequestContext,
    signed_in: SignedIn,
) -> Result<Response, Problem> {
    app.accounts.sign_out(&context.call, signed_in.session).await?;
    Ok(signed_out_here(&app))
}

/// The answer that takes the cookie away.
fn signed_out_here(app: &App) -> Response {
    let mut response = StatusCode::NO_CONTENT.into_response();
    if let Some(cookie) = cookie(app, "", 0) {
        response.headers_mut().insert(SET_COOKIE, cookie);
    }
    response
}

/// Another password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PasswordBody {
    /// The password until now.
    #[schema(value_type = String)]
    current_password: Secret,
    /// The one from now on: 10 to 200 characters.
    #[schema(value_type = String, min_length = 10, max_length = 200)]
    new_password: Secret,
    /// Where the refresh token goes.
    #[serde(default)]
    session: SessionForm,
}

/// Changes the password. All sign-ins of the person end, on all devices, and with them all their tokens; the answer is a new
/// one. A wrong current password counts as a failed sign-in.
#[utoipa::path(post, path = "/v1/auth/password", tag = "accounts", request_body = PasswordBody,
    responses((status = 200, body = SignedInBody), (status = "default", body = Document<'static>)))]
pub async fn change_password(
    State(app): State<Arc<App>>,
    context: RequestContext,
    SignedIn { member, .. }: SignedIn,
    Json(body): Json<PasswordBody>,
) -> Result<Response, Problem> {
    check_form(body.session, &context)?;
    let change = PasswordChange { current: body.current_password, new: body.new_password };
    let person = app.accounts.change_password(&context.call, &member, change, context.client_address).await?;
    Ok(signed_in(&app, StatusCode::OK, person, body.session))
}

/// Signs out everywhere: ends all sign-ins of the person, on all devices, and all their tokens.
#[utoipa::path(post, path = "/v1/auth/sign-out-everywhere", tag = "accounts",
    responses((status = 204), (status = "default", body = Document<'static>)))]
pub async fn sign_out_everywhere(
    State(app): State<Arc<App>>,
    context: RequestContext,
    SignedIn { member, .. }: SignedIn,
) -> Result<Response, Problem> {
    app.accounts.sign_out_everywhere(&context.call, member.person).await?;
    Ok(signed_out_here(&app))
}

/// Moves the sign-in to another organisation of the person.
#[utoipa::path(post, path = "/v1/auth/switch", tag = "accounts", request_body = SwitchBody,
    responses((status = 200, body = SignedInBody), (status = 404), (status = "default", body = Document<'static>)))]
pub async fn switch(
    State(app): State<Arc<App>>,
    context: RequestContext,
    SignedIn { member, session }: SignedIn,
    Json(body): Json<SwitchBody>,
) -> Result<Response, Problem> {
    check_form(body.session, &context)?;
    let tenant = TenantId(body.organisation_id);
    let person = app.accounts.switch(&context.call, session, member.person, tenant).await?;
    Ok(signed_in(&app, StatusCode::OK, person, body.session))
}

/// Who the token stands for.
#[utoipa::path(get, path = "/v1/me", tag = "accounts",
    responses((status = 200, body = MeBody), (status = 404), (status = "default", body = Document<'static>)))]
pub async fn me(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Reader(member): Reader,
) -> Result<Json<MeBody>, Problem> {
    let (person, memberships) = app.accounts.profile(&context.call, member.person).await?;
    let here = memberships.iter().find(|membership| membership.tenant == member.tenant);
    let here = here.ok_or_else(|| Error::not_found("membership"))?;
    Ok(Json(MeBody {
        user: user(&person),
        organisation: here.into(),
        role: here.role,
        operator: person.operator_since.is_some() && matches!(member.credential, Credential::Session(_)),
        memberships: memberships.iter().map(MembershipBody::from).collect(),
    }))
}

/// Makes a further organisation, owned by the caller. `POST /v1/auth/switch` then leads into it.
#[utoipa::path(post, path = "/v1/organisations", tag = "accounts", request_body = CreateOrganisationBody,
    params(("Idempotency-Key" = Option<String>, Header)),
    responses((status = 201, body = CreatedOrganisationBody), (status = "default", body = Document<'static>)))]
pub async fn create_organisation(
    State(app): State<Arc<App>>,
    context: RequestContext,
    SignedIn { member, .. }: SignedIn,
    idempotency: Idempotency,
    Json(body): Json<CreateOrganisationBody>,
) -> Result<(StatusCode, Json<CreatedOrganisationBody>), Problem> {
    let name = OrganisationName::parse(&body.name).map_err(|refused| Error::invalid(vec![refused.of("name")]))?;
    let claim = idempotency.claim("organisation", &body)?;
    let tenant = app.accounts.create_organisation(&context.call, &member, name.clone(), claim).await?;
    let body = CreatedOrganisationBody { id: tenant.uuid(), name: name.as_str().to_owned() };
    Ok((StatusCode::CREATED, Json(body)))
}
