//! The wire of live updates.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::upgrade::OnUpgrade;
use mainstay_domain::{Error, Kind};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::hub::{Figures, Most, NoRoom};
use super::socket::{Seat, serve};
use super::tickets::LIFE;
use crate::accounts::{BearerToken, Member, SignedIn, Standing, challenge};
use crate::app::App;
use crate::controls::Control;
use crate::http::overload::Key;
use crate::http::{Document, Json, Problem, Query, RequestContext};
use crate::limits;

/// What RFC 6455 (1.3) appends to the key of a client.
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// A ticket for one socket.
#[derive(Serialize, ToSchema)]
pub struct TicketBody {
    /// Send it as `?ticket=` of `GET /v1/live`, once.
    ticket: String,
    /// For how many seconds it is good.
    expires_in: u64,
}

/// How to open a socket.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct LiveQuery {
    /// A ticket, for clients that cannot send a header.
    #[serde(default)]
    ticket: Option<String>,
    /// Whether replies also come as safe HTML.
    #[serde(default)]
    html: bool,
}

/// A ticket for opening a socket from a browser.
#[utoipa::path(post, path = "/v1/live/tickets", tag = "live", responses(
    (status = 201, description = "A ticket, good once", body = TicketBody),
    (status = "4XX", description = "A problem", body = Document)))]
pub async fn ticket(
    State(app): State<Arc<App>>,
    SignedIn { .. }: SignedIn,
    BearerToken(token): BearerToken,
) -> Result<(StatusCode, Json<TicketBody>), Problem> {
    let token = token.ok_or_else(|| Error::internal("a caller who is signed in has no token"))?;
    let claims = app.accounts.claims_until(token.expose(), app.clock.now().plus(LIFE))?;
    let ticket = app.tickets.mint(&claims).expose().to_owned();
    Ok((StatusCode::CREATED, Json(TicketBody { ticket, expires_in: LIFE.as_secs() })))
}

/// A WebSocket (RFC 6455) on which changes come as they are committed. The caller is checked before the upgrade.
#[utoipa::path(get, path = "/v1/live", tag = "live", params(LiveQuery), responses(
    (status = 101, description = "A WebSocket"),
    (status = 426, description = "`upgrade_required`: this speaks WebSocket only", body = Document),
    (status = "4XX", description = "A problem", body = Document),
    (status = "5XX", description = "A problem", body = Document)))]
pub async fn live(
    State(app): State<Arc<App>>,
    context: RequestContext,
    BearerToken(token): BearerToken,
    Query(query): Query<LiveQuery>,
    request: Request,
) -> Result<Response, Problem> {
    let (mut parts, _) = request.into_parts();
    let admitted = admitted(&app, &context, token, query.ticket.as_deref()).await;
    let (by, standing) = admitted.map_err(|error| {
        Figures::count(&app.hub.figures.refused, 1);
        challenge(error)
    })?;
    let accept = accept_key(&parts.headers)?;
    let Ok(upgrade) = WantsUpgrade::from_request_parts(&mut parts, &()).await;
    let upgrade = upgrade.0.ok_or_else(|| Problem::from_status(StatusCode::UPGRADE_REQUIRED))?;
    if app.lifecycle.stopping() {
        return Err(later("not_ready", "This node is stopping. Connect again.", Duration::from_secs(1)));
    }
    limits::admit(&app, &context, "GET", &by).await?;
    context.admit(Key::Tenant(by.tenant)).await?;
    if let Err(wait) = app.connects.admit() {
        Figures::count(&app.hub.figures.refused, 1);
        return Err(later("overloaded", "Too many connect at this moment. Come back after the time named.", wait));
    }
    let most = most_sockets(&app);
    let outbox = app.hub.enter(&by, query.html, standing, most).map_err(|no_room| {
        Figures::count(&app.hub.figures.refused, 1);
        let most = most.person;
        match no_room {
            NoRoom::Person => {
                let detail = format!("There are {most} sockets of this person open already. Close one first.");
                Problem::from(Error::new(Kind::TooManyRequests, "too_many_sockets", detail))
            }
            NoRoom::Node => {
                let wait = app.connects.come_back();
                later("overloaded", "This node has as many sockets as it may. Come back after the time named.", wait)
            }
        }
    })?;
    let seat = Seat { hub: Arc::clone(&app.hub), outbox };
    let serving = Arc::clone(&app);
    app.lifecycle.spawn_work("live", async move {
        match upgrade.await {
            Ok(upgraded) => serve(serving, upgraded, by, seat).await,
            Err(error) => tracing::debug!(%error, "a socket was not upgraded"),
        }
    });
    let headers = [
        (header::UPGRADE, HeaderValue::from_static("websocket")),
        (header::CONNECTION, HeaderValue::from_static("upgrade")),
        (header::SEC_WEBSOCKET_ACCEPT, accept),
    ];
    Ok((StatusCode::SWITCHING_PROTOCOLS, headers).into_response())
}

/// How many sockets there may be: by the settings, or by what an operator has set.
fn most_sockets(app: &App) -> Most {
    let set = |control| app.controls.number(control).map(|number| number as usize);
    Most {
        person: set(Control::SocketsPerPerson).unwrap_or(app.config.live.sockets_per_person),
        node: set(Control::SocketsPerNode).unwrap_or(usize::MAX),
    }
}

pub(crate) fn later(code: &'static str, detail: &str, wait: Duration) -> Problem {
    Problem::from(Error::new(Kind::Unavailable, code, detail).retry_after(wait))
}

/// Who wants the socket, by a header or by a ticket.
pub(crate) async fn admitted(
    app: &App,
    context: &RequestContext,
    token: Option<mainstay_domain::Secret>,
    ticket: Option<&str>,
) -> Result<(Member, Standing), Error> {
    match (token, ticket) {
        (Some(token), _) => app.accounts.admit(token.expose(), &context.call).await,
        (None, Some(ticket)) => {
            let alone = app.nodes.count().get() == 1;
            let claims = app.tickets.take(ticket, app.clock.now(), alone, &app.store, &context.call).await?;
            app.accounts.admit_claims(claims)
        }
        (None, None) => {
            let detail = "Send a token in the header Authorization, or a ticket of POST /v1/live/tickets.";
            Err(Error::new(Kind::Unauthenticated, "unauthenticated", detail))
        }
    }
}

/// The socket below the request, when the connection can give it away.
pub(crate) struct WantsUpgrade(pub(crate) Option<OnUpgrade>);

impl<S: Sync> FromRequestParts<S> for WantsUpgrade {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(Self(parts.extensions.remove::<OnUpgrade>()))
    }
}

/// Checks the opening handshake (RFC 6455, section 4.2.1) and answers its key.
pub(crate) fn accept_key(headers: &HeaderMap) -> Result<HeaderValue, Problem> {
    let has = |name: header::HeaderName, word: &str| {
        let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
        values.flat_map(|value| value.split(',')).any(|token| token.trim().eq_ignore_ascii_case(word))
    };
    if !has(header::CONNECTION, "upgrade") || !has(header::UPGRADE, "websocket") {
        return Err(Problem::from_status(StatusCode::UPGRADE_REQUIRED)
            .with_header(header::UPGRADE, HeaderValue::from_static("websocket")));
    }
    if headers.get(header::SEC_WEBSOCKET_VERSION).is_none_or(|version| version != "13") {
        return Err(Problem::from_status(StatusCode::UPGRADE_REQUIRED)
            .with_header(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13")));
    }
    let key = headers.get(header::SEC_WEBSOCKET_KEY).map(HeaderValue::as_bytes).unwrap_or_default();
    if STANDARD.decode(key).ok().is_none_or(|key| key.len() != 16) {
        let cure = "Send 16 random bytes in base64.";
        return Err(Error::invalid_field("Sec-WebSocket-Key", "invalid_key", cure).into());
    }
    let mut context = ring::digest::Context::new(&ring::digest::SHA1_FOR_LEGACY_USE_ONLY);
    context.update(key);
    context.update(GUID);
    let accept = STANDARD.encode(context.finish().as_ref());
    HeaderValue::from_str(&accept).map_err(|error| Error::internal(error).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (header::HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect()
    }

    /// The example of RFC 6455, section 1.3.
    #[test]
    fn the_handshake_of_the_standard_is_answered_as_it_says() {
        let mut good = headers(&[
            ("connection", "keep-alive, Upgrade"),
            ("upgrade", "websocket"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ]);
        assert_eq!(accept_key(&good).ok(), Some(HeaderValue::from_static("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")));
        for (name, bad) in [("connection", "close"), ("upgrade", "h2c"), ("sec-websocket-version", "8")] {
            let mut broken = good.clone();
            broken.insert(name, HeaderValue::from_static(bad));
            assert_eq!(accept_key(&broken).map_err(|problem| problem.status()), Err(StatusCode::UPGRADE_REQUIRED));
        }
        good.insert("sec-websocket-key", HeaderValue::from_static("short"));
        assert_eq!(accept_key(&good).map_err(|problem| problem.status()), Err(StatusCode::BAD_REQUEST));
    }
}
