//! `/healthz`, `/readyz`, `/health` and below: whether the process lives, may serve, and is well.
//!
//! What costs something is asked under a deadline of its own, and the answer is used again for a second ([`kept`]). What a
//! check says is for everybody to read: it names no address and no secret.

pub(crate) mod kept;
pub(crate) mod outside;

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use mainstay_domain::Timestamp;
use mainstay_store::{Call, Ping, Store};
use serde::Serialize;
use tokio::time::{Instant, timeout};
use utoipa::ToSchema;

use self::kept::Kept;
use super::{build, process};
use crate::app::App;
use crate::controls::KNOWN_WITHIN;
use crate::http::{Json, MOST_SPENT_PERCENT};
use crate::jobs::health as jobs;
use crate::redis::{Redis, State as LinkState};

/// How long the database may take to answer a check.
const DATABASE_DEADLINE: Duration = Duration::from_secs(1);
/// How long everything that `/health` asks for may take: more than its slowest part.
const WHOLE_DEADLINE: Duration = Duration::from_secs(2);
/// How old what this node knows of revoked tokens may be.
const MOST_AGE_OF_REVOCATIONS: Duration = Duration::from_secs(5);

/// How well something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
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
    /// How old what was seen is, in milliseconds.
    age_ms: u64,
}

impl Check {
    fn of(status: Status, detail: impl Into<String>) -> Self {
        Self { status, detail: detail.into(), took_ms: 0, age_ms: 0 }
    }

    fn told(well: bool, detail: impl Into<String>) -> Self {
        Self::of(if well { Status::Ok } else { Status::Failing }, detail)
    }

    /// The same, where the installation goes on without what is checked.
    fn at_worst_degraded(self) -> Self {
        Self { status: self.status.min(Status::Degraded), ..self }
    }

    fn aged(self, age: Duration) -> Self {
        Self { age_ms: self.age_ms.saturating_add(millis(age)), ..self }
    }
}

/// Checks by name.
type Checks = BTreeMap<&'static str, Check>;

/// The answer of a health route.
#[derive(Debug, Serialize, ToSchema)]
pub struct HealthBody {
    status: Status,
    checks: Checks,
}

impl HealthBody {
    fn of(checks: impl Into<Checks>) -> Response {
        let checks = checks.into();
        let status = worst(&checks);
        (code_of(status), Json(Self { status, checks })).into_response()
    }
}

fn worst(checks: &Checks) -> Status {
    checks.values().map(|check| check.status).max().unwrap_or(Status::Ok)
}

const fn code_of(status: Status) -> StatusCode {
    match status {
        Status::Ok | Status::Degraded => StatusCode::OK,
        Status::Failing => StatusCode::SERVICE_UNAVAILABLE,
    }
}

/// Everything that is known of this node.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct WholeHealthBody {
    status: Status,
    checks: Checks,
    /// The version of the program.
    version: &'static str,
    /// The commit that it was built from; `unknown` where the build was not told.
    commit: &'static str,
    /// SHA-256 of the program's file, in hexadecimal: by it a deployment sees that what answers is what was deployed. Nothing
    /// while the file is being read.
    digest: Option<String>,
    /// The server's time.
    #[schema(value_type = String, format = DateTime)]
    server_time: Timestamp,
    /// For how long the process has run, in seconds.
    uptime_seconds: u64,
    /// Memory that is resident, in bytes; nothing where the system does not tell.
    memory_bytes: Option<usize>,
    /// Open files, sockets among them; nothing where the system does not tell.
    open_files: Option<usize>,
    /// Requests whose answer has not begun.
    requests_in_flight: i64,
    /// Live sockets.
    sockets: usize,
}

/// The checks, with the last answer of each that costs something.
pub struct Health {
    store: Store,
    redis: Option<Redis>,
    started: Instant,
    database: Kept<Check>,
    whole: Kept<WholeHealthBody>,
}

impl Health {
    /// Checks of this store, and of the link to Redis where there is one.
    #[must_use]
    pub fn new(store: Store, redis: Option<Redis>) -> Self {
        Self { store, redis, started: Instant::now(), database: Kept::default(), whole: Kept::default() }
    }

    /// Whether the database answers a read. Those who ask at the same moment share one answer.
    async fn database(&self) -> Check {
        let (check, age) = self.database.get(timed(DATABASE_DEADLINE, self.ask_the_database())).await;
        check.aged(age)
    }

    async fn ask_the_database(&self) -> Check {
        let answer = self.store.run(&Call::within(DATABASE_DEADLINE), Ping).await;
        let ((used, most), engine) = (self.store.connections_in_use(), self.store.engine_name());
        match answer {
            // It can still be read: this node is not taken away for it, and takes no harm by it.
            Ok(()) if self.store.is_full() => {
                Check::of(Status::Degraded, format!("{engine} answers, and its disk is full: nothing can be written"))
            }
            Ok(()) => Check::told(true, format!("{engine} answers; {used} of {most} connections in use")),
            Err(error) => {
                tracing::warn!(%error, "the database did not answer a health check");
                Check::told(false, format!("{engine} does not answer"))
            }
        }
    }
}

/// A check under its deadline, with the time that it took.
async fn timed(deadline: Duration, check: impl Future<Output = Check>) -> Check {
    let begun = Instant::now();
    let check = timeout(deadline, check)
        .await
        .unwrap_or_else(|_| Check::told(false, format!("no answer within {} ms", deadline.as_millis())));
    Check { took_ms: millis(begun.elapsed()), ..check }
}

/// What the link to Redis says of itself: it is tried once a second, so nothing is asked here.
fn link(redis: Option<&Redis>, away: Status) -> Check {
    let (status, detail) = match redis.map(|redis| (redis.link.state(), redis.bus.is_connected())) {
        None => (Status::Ok, "not configured"),
        Some((LinkState::Up, true)) => (Status::Ok, "it answers"),
        Some((LinkState::Up, false)) => (away, "it answers, and its messages do not come in"),
        Some((LinkState::Connecting | LinkState::Down, _)) => (away, "it is away; this node goes on without"),
    };
    Check::of(status, detail)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// What operators have set, and whether this node still hears of it. Without that it goes by what it read last.
fn controls(app: &App) -> Check {
    let set = app.controls.in_force().len();
    let (known, detail) = match app.controls.age() {
        Some(age) => (age < KNOWN_WITHIN, format!("{set} set, read {} ms ago", age.as_millis())),
        None => (false, "never read".to_owned()),
    };
    Check::told(known, detail).at_worst_degraded()
}

/// What a node needs to serve, beside the database.
fn of_this_node(app: &App) -> Checks {
    let serving = app.lifecycle.ready() && !app.lifecycle.stopping();
    let lease = app.assistant.has_lease();
    let age = app.accounts.revocations_age();
    let known = age.is_some_and(|age| age < MOST_AGE_OF_REVOCATIONS);
    let read = age.map_or("never read".to_owned(), |age| format!("read {} ms ago", age.as_millis()));
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
    let (works, worker) = jobs::worker(app);
    // What is sealed under other keys opens all the same.
    let (has_keys, keys) = crate::keys::check(&app.keys);
    Checks::from([
        ("controls", controls(app)),
        ("jobs", Check::told(works, worker).at_worst_degraded()),
        ("keys", Check::told(has_keys, keys).at_worst_degraded()),
        ("overload", Check::told(true, crowd)),
        ("server", Check::told(serving, if serving { "it serves" } else { "it is starting or stopping" })),
        ("replies", Check::told(lease, if lease { "this node holds its lease" } else { "this node has no lease" })),
        ("revocations", Check::told(known, read)),
        // Nothing needs it: without it limits are shared out, and changes are noticed later.
        ("redis", link(app.health.redis.as_ref(), Status::Degraded)),
    ])
}

/// The tasks that ended as they must not.
fn tasks(app: &App) -> Check {
    let failures = app.lifecycle.failures();
    let names: std::collections::BTreeSet<_> = failures.iter().map(|failure| failure.name).collect();
    if names.is_empty() {
        return Check::told(true, "none has failed");
    }
    let names: Vec<_> = names.into_iter().collect();
    Check::of(Status::Degraded, format!("{} have failed since the start: {}", failures.len(), names.join(", ")))
}

/// The certificate of the server's own, where it has one.
fn certificate(app: &App) -> Option<Check> {
    let tls = app.tls.get()?;
    let known = tls.certificate();
    let spent = known.spent_percent(app.clock.now());
    let until = known.until;
    let (well, detail) = match tls.fault() {
        Some(_) => {
            (false, format!("its files cannot be used any more, see the log; what is shown is good until {until}"))
        }
        None if spent > 100.0 => (false, format!("it has ended: {until}")),
        None => (spent <= MOST_SPENT_PERCENT, format!("good until {until}; {spent:.0} % of its life are over")),
    };
    // This node serves, to who takes no offence; the others have the same one.
    Some(Check::told(well, detail).at_worst_degraded())
}

async fn waiting_work(app: &Arc<App>) -> Check {
    let begun = Instant::now();
    let ((moves, words), age) = jobs::queues(app).await;
    Check { took_ms: millis(begun.elapsed()), ..Check::told(moves, words) }.aged(age)
}

async fn look_at_everything(app: &Arc<App>) -> WholeHealthBody {
    let mut checks = of_this_node(app);
    let (database, queues) = tokio::join!(app.health.database(), timed(WHOLE_DEADLINE, waiting_work(app)));
    checks.insert("database", database);
    // Jobs that wait are no reason to take a node away: `/health/queue` fails for them.
    checks.insert("queues", queues.at_worst_degraded());
    checks.insert("tasks", tasks(app));
    checks.extend(certificate(app).map(|check| ("certificate", check)));
    checks.extend(outside::judge(&outside::services(app)));
    WholeHealthBody {
        status: worst(&checks),
        checks,
        version: build::VERSION,
        commit: build::COMMIT,
        digest: build::digest().await,
        server_time: app.clock.now(),
        uptime_seconds: app.health.started.elapsed().as_secs(),
        memory_bytes: process::resident_bytes(),
        open_files: process::open_files().map(|files| files.now),
        requests_in_flight: app.http_metrics.in_flight(),
        sockets: app.hub.open_sockets(),
    }
}

/// Whether the process lives. It depends on nothing: restarting does not mend a database.
#[utoipa::path(get, path = "/healthz", tag = "operations", security(()), responses((status = 200, body = HealthBody)))]
pub async fn live() -> Response {
    HealthBody::of([("process", Check::told(true, "it answers"))])
}

/// Whether this node may be sent requests.
#[utoipa::path(get, path = "/readyz", tag = "operations", security(()),
    responses((status = 200, body = HealthBody), (status = 503, body = HealthBody)))]
pub async fn ready(State(app): State<Arc<App>>) -> Response {
    let mut checks = of_this_node(&app);
    checks.insert("database", app.health.database().await);
    HealthBody::of(checks)
}

/// Everything: each check with its state, how long it took and how old it is; memory, time and version. It is looked at once a
/// second at the most, however many ask.
#[utoipa::path(get, path = "/health", tag = "operations", security(()),
    responses((status = 200, body = WholeHealthBody), (status = 503, body = WholeHealthBody)))]
pub async fn whole(State(app): State<Arc<App>>) -> Response {
    let (mut body, age) = app.health.whole.get(look_at_everything(&app)).await;
    body.checks = body.checks.into_iter().map(|(name, check)| (name, check.aged(age))).collect();
    body.server_time = app.clock.now();
    (code_of(body.status), Json(body)).into_response()
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

/// Whether the services of others that are needed can be asked: models, payments. It tells what the last requests to them came
/// to, and asks nobody.
#[utoipa::path(get, path = "/health/providers", tag = "operations", security(()),
    responses((status = 200, body = HealthBody), (status = 503, body = HealthBody)))]
pub async fn providers(State(app): State<Arc<App>>) -> Response {
    HealthBody::of(outside::judge(&outside::services(&app)).into_iter().collect::<Checks>())
}

/// The same as `/health/providers`.
#[utoipa::path(get, path = "/health/external-apis", tag = "operations", security(()),
    responses((status = 200, body = HealthBody), (status = 503, body = HealthBody)))]
pub async fn external_apis(state: State<Arc<App>>) -> Response {
    providers(state).await
}

/// Whether jobs are done: nothing that could run waits longer than its queue allows, and this node works if it should. Queues
/// that are paused are left out.
#[utoipa::path(get, path = "/health/queue", tag = "operations", security(()),
    responses((status = 200, body = HealthBody), (status = 503, body = HealthBody)))]
pub async fn queue(State(app): State<Arc<App>>) -> Response {
    let queues = waiting_work(&app).await;
    let (works, worker) = jobs::worker(&app);
    HealthBody::of([("queues", queues), ("worker", Check::told(works, worker))])
}
