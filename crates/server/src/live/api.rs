//! The wire of live updates.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
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
use crate::http::websocket::Handshake;
use crate::http::{Document, Json, Problem, Query, RequestContext};
use crate::limits;

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
#[utoipa::path(get, path = "/v1/live", tag = "live", security(("bearer" = []), ("ticket" = [])), params(LiveQuery), responses(
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
    let handshake = Handshake::of(&mut parts)?;
    let_in(&app, &context, &by, || Figures::count(&app.hub.figures.refused, 1)).await?;
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
    let (upgrade, response) = handshake.switch();
    app.lifecycle.spawn_work("live", async move {
        match upgrade.await {
            Ok(upgraded) => serve(serving, upgraded, by, seat).await,
            Err(error) => tracing::debug!(%error, "a socket was not upgraded"),
        }
    });
    Ok(response)
}

/// How many sockets there may be: by the settings, or by what an operator has set.
fn most_sockets(app: &App) -> Most {
    let set = |control| app.controls.number(control).map(|number| number as usize);
    Most {
        person: set(Control::SocketsPerPerson).unwrap_or(app.config.live.sockets_per_person),
        node: set(Control::SocketsPerNode).unwrap_or(usize::MAX),
    }
}

/// Whether this node takes one more socket of a member now. Those that come too fast are told to `refused` too.
pub(crate) async fn let_in(
    app: &App,
    context: &RequestContext,
    by: &Member,
    refused: impl FnOnce(),
) -> Result<(), Problem> {
    if app.lifecycle.stopping() {
        return Err(later("not_ready", "This node is stopping. Connect again.", Duration::from_secs(1)));
    }
    limits::admit(app, context, "GET", by).await?;
    context.admit(Key::Tenant(by.tenant)).await?;
    app.connects.admit().map_err(|wait| {
        refused();
        later("overloaded", "Too many connect at this moment. Come back after the time named.", wait)
    })
}

fn later(code: &'static str, detail: &str, wait: Duration) -> Problem {
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
