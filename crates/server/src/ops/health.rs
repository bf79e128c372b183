//! `/healthz`, `/readyz` and `/health/*`: whether the process lives, may serve, and is well.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use mainstay_store::{Call, Ping, Store};
use serde::Serialize;
use tokio::sync::Mutex;
use tokio::time::Instant;
use utoipa::ToSchema;

use crate::app::App;
use crate::http::Json;
use crate::jobs::health as jobs;
use crate::redis::{Redis, State as LinkState};

/// How long the database may take to answer a check.
const DATABASE_DEADLINE: Duration = Duration::from_secs(1);
/// For how long an answer of the database is used again, so that checks cannot become load.
const FRESH: Duration = Duration::from_secs(1);

/// Within what time a node hears of controls that are set.
const CONTROLS_KNOWN: Duration = Duration::from_secs(5);

/// How well something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// As it should be.
    Ok,
    /// It works without something that it should have.
    Degraded,
    /// It does not work.
    Failing,
}

/// One check.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Check {
    status: Status,
    /// What was seen.
    detail: String,
    /// How long the check took, in milliseconds.
    took_ms: u64,
}

/// The answer of a health route.
#[derive(Debug, Serialize, ToSchema)]
pub struct HealthBody {
    status: Status,
    checks: BTreeMap<&'static str, Check>,
}

impl HealthBody {
    fn of<const N: usize>(checks: [(&'static str, Check); N]) -> Response {
        let any = |status| checks.iter().any(|(_, check)| check.status == status);
        let (code, status) = if any(Status::Failing) {
            (StatusCode::SERVICE_UNAVAILABLE, Status::Failing)
        } else {
            (StatusCode::OK, if any(Status::Degraded) { Status::Degraded } else { Status::Ok })
        };
        (code, Json(Self { status, checks: checks.into() })).into_response()
    }
}

/// The checks, with the last answer of each that costs something.
pub struct Health {
    store: Store,
    redis: Option<Redis>,
    database: Mutex<Option<(Instant, Check)>>,
}

impl Health {
    /// Checks of this store, and of the link to Redis where there is one.
    #[must_use]
    pub fn new(store: Store, redis: Option<Redis>) -> Self {
        Self { store, redis, database: Mutex::new(None) }
    }

    /// Whether the database answers a read. Those who ask at the same moment share one answer.
    async fn database(&self) -> Check {
        let mut last = self.database.lock().await;
        if let Some((at, check)) = last.as_ref()
            && at.elapsed() < FRESH
        {
            return check.clone();
        }
        let begun = Instant::now();
        let answer = self.store.run(&Call::within(DATABASE_DEADLINE), Ping).await;
        let (used, most) = self.store.connections_in_use();
        let (status, detail) = match answer {
            // It can still be read: this node is not taken away for it, and takes no harm by it.
            Ok(()) if self.store.is_full() => {
                let name = self.store.engine_name();
                (Status::Degraded, format!("{name} answers, and its disk is full: nothing can be written"))
            }
            Ok(()) => {
                (Status::Ok, format!("{} answers; {used} of {most} connections in use", self.store.engine_name()))
            }
            Err(error) => {
                tracing::warn!(%error, "the database did not answer a health check");
                (Status::Failing, format!("{} does not answer", self.store.engine_name()))
            }
        };
        let check = Check { status, detail, took_ms: millis(begun.elapsed()) };
        *last = Some((Instant::now(), check.clone()));
        check
    }
}

/// What the link to Redis says of itself: it is tried once a second, so nothing is asked here.
fn link(redis: Option<&Redis>, away: Status) -> Check {
    let (status, detail) = match redis.map(|redis| (redis.link.state(), redis.bus.is_connected())) {
        None => (Status::Ok, "not configured"),
        Some((LinkState::Up, true)) => (Status::Ok, "it answers"),
        Some((LinkState::Up, false)) => (away, "it answers, and its messages do not come in"),
        Some((LinkState::Connecting | LinkState::Down, _)) => (away, "it is away; this node goes on without"),
    };
    Check { status, detail: detail.to_owned(), took_ms: 0 }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn told(well: bool, detail: String) -> Check {
    Check { status: if well { Status::Ok } else { Status::Failing }, detail, took_ms: 0 }
}

/// Whether the process lives. It depends on nothing: restarting does not mend a database.
#[utoipa::path(get, path = "/healthz", tag = "operations", security(()), responses((status = 200, body = HealthBody)))]
pub async fn live() -> Response {
    HealthBody::of([("process", told(true, "it answers".to_owned()))])
}

/// What operators have set, and whether this node still hears of it. Without that it goes by what it read last.
fn controls(app: &App) -> Check {
    let set = app.controls.in_force().len();
    let (known, detail) = match app.controls.age() {
        Some(age) => (age < CONTROLS_KNOWN, format!("{set} set, read {} ms ago", age.as_millis())),
        None => (false, "never read".to_owned()),
    };
    Check { status: if known { Status::Ok } else { Status::Degraded }, ..told(known, detail) }
}

/// Whether this node may be sent requests.
#[utoipa::path(get, path = "/readyz", tag = "operations", security(()),
    responses((status = 200, body = HealthBody), (status = 503, body = HealthBody)))]
pub async fn ready(State(app): State<Arc<App>>) -> Response {
    let serving = app.lifecycle.ready() && !app.lifecycle.stopping();
    let server = told(serving, if serving { "it serves" } else { "it is starting or stopping" }.to_owned());
    let lease = app.assistant.has_lease();
    let replies = told(lease, if lease { "this node holds its lease" } else { "this node has no lease" }.to_owned());
    let age = app.accounts.revocations_age();
    let known = age.is_some_and(|age| age < Duration::from_secs(5));
    let detail = age.map_or("never read".to_owned(), |age| format!("read {} ms ago", age.as_millis()));
    let database = app.health.database().await;
    // Too much to do is no reason to send it elsewhere: the others would have it next.
    let stands = app.overload.standing();
    let crowd = format!(
        "{} of {} requests in the works, {} wait; the database is used to {:.0} %",
        stands.inside,
        stands.limit,
        stands.waiting,
        app.overload.load().database() * 100.0
    );
    // Nobody waits for a job in their request: a node without its worker may still serve.
    let (works, worker) = jobs::worker(&app);
    let worker = Check { status: if works { Status::Ok } else { Status::Degraded }, ..told(works, worker) };
    // What is sealed under other keys opens all the same.
    let (has_keys, keys) = crate::keys::check(&app.keys);
    let keys = Check { status: if has_keys { Status::Ok } else { Status::Degraded }, ..told(has_keys, keys) };
    HealthBody::of([
        ("controls", controls(&app)),
        ("jobs", worker),
        ("keys", keys),
        ("overload", told(true, crowd)),
        ("server", server),
        ("database", database),
        ("replies", replies),
        ("revocations", told(known, detail)),
        // Nothing needs it: without it limits are shared out, and changes are noticed later.
        ("redis", link(app.health.redis.as_ref(), Status::Degraded)),
    ])
}

/// Whether the database answers.
#[utoipa::path(get, path = "/health/database", tag = "operations", security(()),
    responses((status = 200, body = HealthBody), (status = 503, body = HealthBody)))]
pub async fn database(State(app): State<Arc<App>>) -> Response {
    HealthBody::of([("database", app.health.database().await)])
}

/// Whether Redis answers. Well, too, where none is configured.
#[utoipa::path(get, path = "/health/redis", tag = "operations", security(()),
    responses((status = 200, body = HealthBody), (status = 503, body = HealthBody)))]
pub async fn redis(State(app): State<Arc<App>>) -> Response {
    HealthBody::of([("redis", link(app.health.redis.as_ref(), Status::Failing))])
}

/// Whether jobs are done: nothing that could run waits longer than its queue allows, and this node works if it should. Queues
/// that are paused are left out.
#[utoipa::path(get, path = "/health/queue", tag = "operations", security(()),
    responses((status = 200, body = HealthBody), (status = 503, body = HealthBody)))]
pub async fn queue(State(app): State<Arc<App>>) -> Response {
    let begun = Instant::now();
    let (moves, queues) = jobs::queues(&app).await;
    let queues = Check { took_ms: millis(begun.elapsed()), ..told(moves, queues) };
    let (works, worker) = jobs::worker(&app);
    HealthBody::of([("queues", queues), ("worker", told(works, worker))])
}
