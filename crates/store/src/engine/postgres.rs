//! PostgreSQL 15 or newer: the pools, the roles they take, and the check that the policies bind them.
//!
//! `DATABASE_URL` alone is enough: each new connection takes its role by `SET ROLE`. Behind a transaction pooler a
//! session setting does not stay with its connection, so there the roles need addresses of their own.

use std::str::FromStr;
use std::time::Duration;

use mainstay_domain::Secret;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor, PgConnection, Postgres as Driver, Row};
use tokio::time::timeout_at;

use crate::call::Call;
use crate::engine::room::Room;
use crate::error::{Error, Result};

/// Connections of the system's role: background work across organisations is rare and must not crowd out requests.
const SYSTEM_POOL: u32 = 2;
/// Connections of workers, with the system's role: one claims while another ends what was claimed before, and one keeps what
/// is newest in the inbox.
const JOBS_POOL: u32 = 4;
/// The oldest server that has all that is used here.
const OLDEST_VERSION: i32 = 150_000;

/// How PostgreSQL is reached.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) url: Secret,
    pub(crate) app_url: Secret,
    pub(crate) system_url: Secret,
    pub(crate) app_role: String,
    pub(crate) system_role: String,
    pub(crate) transaction_pooler: bool,
    pub(crate) pool_size: u32,
    pub(crate) lanes: u32,
    pub(crate) acquire_timeout: Duration,
    pub(crate) idle_timeout: Duration,
    pub(crate) statement_timeout: Duration,
}

/// A PostgreSQL database.
pub(crate) struct Postgres {
    settings: Settings,
    app: PgPool,
    lanes: PgPool,
    system: PgPool,
    jobs: PgPool,
}

/// Which pool a transaction takes its connection from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pool {
    /// Requests.
    App,
    /// Batches.
    Lanes,
    /// Work across organisations.
    System,
    /// Claiming and ending jobs.
    Jobs,
}

impl Postgres {
    pub(crate) async fn open(settings: Settings) -> Result<Self> {
        let own_addresses = !settings.app_url.is_empty();
        if !own_addresses {
            refuse_a_transaction_pooler(&settings.url).await?;
        }
        let app_address = if own_addresses { &settings.app_url } else { &settings.url };
        let system_address = if own_addresses { &settings.system_url } else { &settings.url };
        let take = |role: &str| (!own_addresses).then(|| role.to_owned());
        let lanes = settings.lanes;
        let rest = settings.pool_size.saturating_sub(lanes + SYSTEM_POOL + JOBS_POOL).max(1);
        let engine = Self {
            app: pool(&settings, app_address, rest, take(&settings.app_role))?,
            lanes: pool(&settings, app_address, lanes, take(&settings.app_role))?,
            system: pool(&settings, system_address, SYSTEM_POOL, take(&settings.system_role))?,
            jobs: pool(&settings, system_address, JOBS_POOL, take(&settings.system_role))?,
            settings,
        };
        check_role(&engine.app, &engine.settings.app_role).await?;
        check_role(&engine.system, &engine.settings.system_role).await?;
        Ok(engine)
    }

    /// Lends a connection.
    pub(crate) async fn connection(&self, pool: Pool, call: &Call) -> Result<Loan> {
        let pool = match pool {
            Pool::App => &self.app,
            Pool::Lanes => &self.lanes,
            Pool::System => &self.system,
            Pool::Jobs => &self.jobs,
        };
        match timeout_at(call.deadline(), pool.acquire()).await {
            Ok(connection) => Ok(Loan(Some(connection?))),
            Err(_) => Err(Error::Busy("every connection is in use")),
        }
    }

    /// How long a statement of this call may run.
    pub(crate) fn statement_timeout(&self, call: &Call) -> Duration {
        self.settings.statement_timeout.min(call.remaining())
    }

    /// Whether a statement that was prepared is there the next time.
    pub(crate) fn keeps_statements(&self) -> bool {
        !self.settings.transaction_pooler
    }

    /// Connections in use now, and all there may be.
    pub(crate) fn in_use(&self) -> (usize, usize) {
        let pools = [&self.app, &self.lanes, &self.system, &self.jobs];
        let used = pools.iter().map(|pool| (pool.size() as usize).saturating_sub(pool.num_idle())).sum();
        (used, self.settings.pool_size as usize)
    }

    /// How many connections each pool may have, in the order of [`crate::LENDINGS`].
    pub(crate) fn sizes(&self) -> [usize; 4] {
        let lanes = self.settings.lanes;
        let rest = self.settings.pool_size.saturating_sub(lanes + SYSTEM_POOL + JOBS_POOL).max(1);
        [rest, lanes, SYSTEM_POOL, JOBS_POOL].map(|size| size as usize)
    }

    /// How many connections the server allows; nothing behind a transaction pooler.
    pub(crate) async fn room(&self) -> Result<Option<Room>> {
        if self.settings.transaction_pooler {
            return Ok(None);
        }
        let mut connection = self.app.acquire().await?;
        super::room::read(&mut connection).await.map(Some)
    }

    pub(crate) async fn close(&self) {
        for pool in [&self.app, &self.lanes, &self.system, &self.jobs] {
            pool.close().await;
        }
    }
}

/// A connection on loan. It goes back with [`Loan::keep`]; dropped without it, it is closed, since what runs on it is
/// not known.
pub(crate) struct Loan(Option<PoolConnection<Driver>>);

impl Loan {
    pub(crate) fn raw(&mut self) -> Result<&mut PgConnection> {
        self.0.as_deref_mut().ok_or_else(|| Error::Bug("a connection was used after it went back".to_owned()))
    }

    pub(crate) fn keep(mut self) {
        drop(self.0.take());
    }
}

impl Drop for Loan {
    fn drop(&mut self) {
        if let Some(mut connection) = self.0.take() {
            connection.close_on_drop();
        }
    }
}

/// Reads an address.
pub(crate) fn options(url: &Secret) -> Result<PgConnectOptions> {
    let options = PgConnectOptions::from_str(url.expose())
        .map_err(|error| Error::Unavailable(format!("the address of the database cannot be read: {error}")))?;
    // No statement reads a float, and a pooler may refuse a setting that it does not know.
    Ok(options.application_name("mainstay").extra_float_digits(None).disable_statement_logging())
}

/// Every statement looks its rows up by an index; the tests see to it. But a plan that is made while a table is still
/// small reads all of it, or all that the policy lets it see of it, and is kept until the table is analysed: in the first
/// minute of a busy database each batch would read more and more. So the ways of reading whole tables are closed, and with
/// them compiling plans, which takes longer than any of these statements. Behind a transaction pooler, where no setting
/// stays, `ALTER ROLE ... SET` does the same.
pub(crate) const PLANNER: &str = "SET enable_seqscan = off; SET enable_bitmapscan = off; SET enable_material = off; \
                                  SET enable_hashjoin = off; SET enable_mergejoin = off; SET jit = off";

fn pool(settings: &Settings, url: &Secret, size: u32, role: Option<String>) -> Result<PgPool> {
    // Behind a transaction pooler a prepared statement may not be there the next time: keep none, and give none a name
    // (see `keeps_statements`).
    let prepared = if settings.transaction_pooler { 0 } else { 300 };
    let timeout = settings.statement_timeout.as_millis();
    let setup = match role {
        // A node that is frozen inside a transaction must not hold its locks for ever.
        Some(role) => format!(
            "SET ROLE {}; SET statement_timeout = {timeout}; SET idle_in_transaction_session_timeout = {timeout}; {PLANNER}",
            quoted(&role)
        ),
        None if settings.transaction_pooler => String::new(),
        None => PLANNER.to_owned(),
    };
    let pool = PgPoolOptions::new()
        .max_connections(size)
        .acquire_timeout(settings.acquire_timeout)
        .idle_timeout(settings.idle_timeout)
        // A lost connection shows itself in the first statement, and the intent is repeated: no ping before each use.
        .test_before_acquire(false)
        .after_connect(move |connection, _| {
            let setup = setup.clone();
            Box::pin(async move {
                if !setup.is_empty() {
                    connection.execute(AssertSqlSafe(setup)).await?;
                }
                Ok(())
            })
        })
        .connect_lazy_with(options(url)?.statement_cache_capacity(prepared));
    Ok(pool)
}

/// An identifier as SQL text.
pub(crate) fn quoted(identifier: &str) -> String {
    format!("\"{}\"", identifier.replace('"', "\"\""))
}

/// Refuses a role that row-level security would not bind, with what to do about it.
async fn check_role(pool: &PgPool, wanted: &str) -> Result<()> {
    let mut connection = pool.acquire().await.map_err(|error| match Error::from(error) {
        Error::Bug(cause) if cause.contains("22023") || cause.contains("42501") || cause.contains("does not exist") => {
            Error::Unavailable(format!(
                "the role {wanted} cannot be taken ({cause}). Run `mainstay migrate up` with a login that may create roles, \
                 or create it and grant it to this login."
            ))
        }
        other => other,
    })?;
    // As plain text: a statement prepared outside a transaction may be run on another connection by a pooler.
    let row = sqlx::raw_sql(
        "SELECT current_user::text AS name, r.rolsuper, r.rolbypassrls, current_setting('server_version_num')::int AS version,
                EXISTS (SELECT 1 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                        WHERE c.relkind = 'r' AND n.nspname = current_schema() AND pg_has_role(current_user, c.relowner, 'USAGE')) AS owns
         FROM pg_roles r WHERE r.rolname = current_user",
    )
    .fetch_one(&mut *connection)
    .await?;
    let name: String = row.try_get("name")?;
    let version: i32 = row.try_get("version")?;
    if version < OLDEST_VERSION {
        return Err(Error::Unavailable(format!("the server has version {version}; PostgreSQL 15 or newer is needed")));
    }
    let mut faults = Vec::new();
    if row.try_get("rolsuper")? {
        faults.push("is a superuser");
    }
    if row.try_get("rolbypassrls")? {
        faults.push("has BYPASSRLS");
    }
    if row.try_get("owns")? {
        faults.push("owns tables of the schema");
    }
    if faults.is_empty() {
        return Ok(());
    }
    Err(Error::Unavailable(format!(
        "the role {name} {}: row-level security would not bind it. Use a plain role that owns nothing: leave \
         database.app_url empty, or name a login there that is only a member of {wanted}.",
        faults.join(" and ")
    )))
}

/// Two connections that are open at once have two backends, unless a transaction pooler lends them the same one.
async fn refuse_a_transaction_pooler(url: &Secret) -> Result<()> {
    let options = options(url)?.statement_cache_capacity(0);
    let mut first = options.connect().await?;
    let mut second = options.connect().await?;
    let shared = backend(&mut first).await? == backend(&mut second).await?;
    // Closing politely is not worth failing for.
    let _ = first.close().await;
    let _ = second.close().await;
    if shared {
        return Err(Error::Unavailable(
            "the address leads to a transaction pooler, where a role taken by SET ROLE does not stay with its connection. \
             Set database.app_url and database.system_url to logins that are the two roles themselves, set \
             database.transaction_pooler = true, and let database.url lead to the server directly, for migrations."
                .to_owned(),
        ));
    }
    Ok(())
}

async fn backend(connection: &mut PgConnection) -> Result<i32> {
    // As plain text: preparing and running are two steps, between which a pooler may take another connection.
    let row = sqlx::raw_sql("SELECT pg_backend_pid() AS pid").fetch_one(connection).await?;
    Ok(row.try_get("pid")?)
}
