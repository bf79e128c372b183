//! A transaction on either engine. It never leaves the store.

mod later;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Duration;

use mainstay_domain::{TenantId, Timestamp, TraceContext};
use sqlx::error::BoxDynError;
use sqlx::postgres::PgArguments;
use sqlx::sqlite::SqliteArguments;
use sqlx::{Arguments, AssertSqlSafe, Connection, PgConnection, Postgres, Sqlite, SqliteConnection};

use crate::error::{Error, Result};
use crate::pack::{CELL, pack};
use crate::sql::Sql;
use crate::stream::Position;
use crate::trace::{Step, StepKind};
use crate::value::{Row, Value};

/// Whose rows a transaction may see.
#[derive(Clone, Debug)]
pub enum Scope {
    /// Only global tables: people, sign-ins, lookups that come before the tenant is known.
    Global,
    /// One organisation's rows, and global tables.
    Tenant(TenantId),
    /// The rows of several organisations: a batch, or a person's memberships.
    Tenants(Vec<TenantId>),
    /// System tables and what the system's role may see of the others, across organisations.
    System,
}

impl Scope {
    /// The rows of these organisations, each named once and in order.
    pub(crate) fn of(tenants: impl IntoIterator<Item = TenantId>) -> Self {
        Self::Tenants(tenants.into_iter().collect::<BTreeSet<_>>().into_iter().collect())
    }

    /// These rows, and those of one more organisation.
    pub(crate) fn and(self, tenant: TenantId) -> Self {
        match self {
            Self::Global | Self::System => Self::Tenant(tenant),
            Self::Tenant(one) => Self::of([one, tenant]),
            Self::Tenants(several) => Self::of(several.into_iter().chain([tenant])),
        }
    }
}

/// An open transaction.
pub struct Tx<'c> {
    engine: Engine<'c>,
    statements: u32,
    /// Whether PostgreSQL keeps the statements prepared under a name.
    prepared: bool,
    /// How often the intent has been tried before this time.
    pub(crate) attempt: u32,
    /// Where the streams stand that it has advanced, should it commit.
    advanced: Vec<Position>,
    /// The queues that jobs were promised in, and when the first of each is due.
    promised: Vec<(String, Timestamp)>,
    /// True when nobody in this process is told of commits.
    pub(crate) outside: bool,
    /// Whether a statement has changed a row, where that is watched for.
    changed: Option<bool>,
    /// Writes that are not sent yet.
    pending: Vec<later::Write>,
    /// What the work belongs to that the intent is run for.
    pub(crate) trace: Option<TraceContext>,
    /// The intent as a step of its trace.
    step: Option<&'c Step>,
    /// Where it can be held, and the number that it is known by there.
    #[cfg(test)]
    gate: Option<crate::conformance::gate::Pass>,
}

enum Engine<'c> {
    /// One statement, which needs no transaction.
    SqliteBare(&'c mut SqliteConnection),
    Sqlite(sqlx::Transaction<'c, Sqlite>),
    Postgres(sqlx::Transaction<'c, Postgres>),
}

impl<'c> Tx<'c> {
    fn new(engine: Engine<'c>, prepared: bool) -> Self {
        let (advanced, promised, pending) = (Vec::new(), Vec::new(), Vec::new());
        let (trace, step) = (None, None);
        Self {
            engine,
            statements: 0,
            prepared,
            attempt: 0,
            advanced,
            promised,
            outside: false,
            changed: None,
            pending,
            trace,
            step,
            #[cfg(test)]
            gate: None,
        }
    }

    /// Notes its statements as parts of this step.
    pub(crate) fn noted(mut self, step: &'c Step, trace: Option<TraceContext>) -> Self {
        (self.step, self.trace) = (step.is_noted().then_some(step), trace);
        self
    }

    /// Names the gate that each of its statements passes.
    #[cfg(test)]
    pub(crate) fn held_by(&mut self, gate: &std::sync::Arc<crate::conformance::gate::Gate>) {
        self.gate = Some(gate.pass());
    }

    /// A statement is sent.
    fn statement(&self, name: &'static str) -> Option<Step> {
        self.step.map(|step| step.part(StepKind::Statement, short(name)))
    }

    /// Begins on SQLite: `BEGIN IMMEDIATE` takes the write lock at once, so that no statement fails half-way for it.
    pub(crate) async fn sqlite(connection: &'c mut SqliteConnection, write: bool) -> Result<Self> {
        let begin = if write { "BEGIN IMMEDIATE" } else { "BEGIN" };
        Ok(Self::new(Engine::Sqlite(connection.begin_with(begin).await?), true))
    }

    /// For one statement that only reads, on SQLite.
    pub(crate) fn sqlite_bare(connection: &'c mut SqliteConnection) -> Self {
        let engine = Engine::SqliteBare(connection);
        Self::new(engine, true)
    }

    /// Begins on PostgreSQL, with the deadline and the tenants in the same round trip. `prepared` says whether statements
    /// may be kept under a name on the server: not behind a transaction pooler, where the next transaction has another
    /// server connection, which lacks the name or knows it from another client. With `snapshot`, all its statements see
    /// one moment, and none writes. The server knows a transaction of a trace that is kept by the trace's id, as the name of
    /// the application, which its log and its list of what runs can show.
    pub(crate) async fn postgres(
        connection: &'c mut PgConnection,
        scope: &Scope,
        timeout: Duration,
        prepared: bool,
        snapshot: bool,
        trace: Option<TraceContext>,
    ) -> Result<Self> {
        let begin = if snapshot { "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY" } else { "BEGIN" };
        let timeout = timeout.as_millis().max(1);
        let mut text = format!("{begin}; SET LOCAL statement_timeout = {timeout}; SET LOCAL app.tenants = '");
        match scope {
            Scope::Global | Scope::System => {}
            Scope::Tenant(tenant) => {
                let _ = write!(text, "{tenant}");
            }
            Scope::Tenants(tenants) => {
                for (position, tenant) in tenants.iter().enumerate() {
                    let _ = write!(text, "{}{tenant}", if position > 0 { "," } else { "" });
                }
            }
        }
        text.push('\'');
        // Not behind a transaction pooler, which keeps such names itself.
        if let Some(context) = trace.filter(|context| context.sampled && prepared) {
            let _ = write!(text, "; SET LOCAL application_name = 'mainstay {}'", context.trace);
        }
        // Only numbers, UUIDs and hexadecimal digits are interpolated.
        let transaction = connection.begin_with(AssertSqlSafe(text)).await?;
        let engine = Engine::Postgres(transaction);
        Ok(Self::new(engine, prepared))
    }

    /// Starts a statement: bind its parameters, then run it.
    pub(crate) fn query(&mut self, sql: Sql) -> Query<'_, 'c> {
        let arguments = match self.engine {
            Engine::Sqlite(_) | Engine::SqliteBare(_) => Bound::Sqlite(SqliteArguments::default()),
            Engine::Postgres(_) => Bound::Postgres(PgArguments::default()),
        };
        Query { tx: self, sql, arguments, blob: None, bad: None }
    }

    /// Starts a set-based statement (`batch` in [`crate::sql::statements`]) over these rows.
    pub(crate) fn batch<T: serde::Serialize>(&mut self, sql: Sql, rows: &[T]) -> Query<'_, 'c> {
        match self.encode(sql, rows) {
            Ok(Rows { list, blob }) => Query { blob, ..self.query(sql) }.bind(list),
            Err(error) => Query { bad: Some(error), ..self.query(sql) },
        }
    }

    /// The rows of a batch as this engine gets them.
    fn encode<T: serde::Serialize>(&self, sql: Sql, rows: &[T]) -> Result<Rows, BoxDynError> {
        match self.engine {
            Engine::Postgres(_) => Ok(Rows { list: serde_json::to_string(rows)?, blob: None }),
            Engine::Sqlite(_) | Engine::SqliteBare(_) => {
                let packed = pack(sql.columns, rows)?;
                Ok(Rows { list: packed.list(), blob: Some(packed.blob) })
            }
        }
    }

    fn count(&mut self, name: &'static str) {
        self.statements += 1;
        #[cfg(test)]
        if let Ok(mut executed) =
            crate::conformance::EXECUTED[usize::from(matches!(self.engine, Engine::Postgres(_)))].lock()
        {
            executed.insert(name);
        }
        #[cfg(not(test))]
        let _ = name;
    }

    /// Notes where streams will stand when it commits.
    pub(crate) fn advanced(&mut self, positions: Vec<Position>) {
        self.advanced.extend(positions);
    }

    /// Whether the nodes that serve must be told in the database of what it writes.
    pub(crate) fn is_outside(&self) -> bool {
        self.outside
    }

    /// Where the streams that it has advanced will stand.
    pub(crate) fn take_advanced(&mut self) -> Vec<Position> {
        std::mem::take(&mut self.advanced)
    }

    /// Notes that a job of a queue is due at a moment, should it commit. The empty name stands for a queue that is not known.
    pub(crate) fn enqueued(&mut self, queue: &str, due: Timestamp) {
        match self.promised.iter_mut().find(|(known, _)| known == queue) {
            Some((_, first)) => *first = due.min(*first),
            None => self.promised.push((queue.to_owned(), due)),
        }
    }

    /// The queues that jobs were promised in.
    pub(crate) fn take_promised(&mut self) -> Vec<(String, Timestamp)> {
        std::mem::take(&mut self.promised)
    }

    /// From here on it is watched for whether a statement changes a row.
    pub(crate) fn watch_for_changes(&mut self) {
        self.changed = Some(false);
    }

    /// Whether one has, since that is watched for.
    pub(crate) fn has_changed(&self) -> bool {
        self.changed == Some(true)
    }

    /// A statement was run that touched so many rows, or gave them back.
    fn touched(&mut self, sql: Sql, rows: u64) {
        if self.changed == Some(false) && rows > 0 && !sql.only_reads() {
            self.changed = Some(true);
        }
    }

    /// How many statements it has run.
    pub(crate) fn statements(&self) -> u32 {
        self.statements
    }

    /// Commits what was sent: flush before.
    ///
    /// # Errors
    /// A connection that is lost here leaves the outcome unknown, and says so.
    pub(crate) async fn commit(self) -> Result<()> {
        if !self.pending.is_empty() {
            return Err(Error::Bug("a commit before everything was written".to_owned()));
        }
        #[cfg(test)]
        if let Some(pass) = self.gate.clone() {
            pass.before("commit").await;
        }
        let bare = matches!(self.engine, Engine::SqliteBare(_));
        let _step = self.step.filter(|_| !bare).map(|step| step.part(StepKind::Statement, "commit"));
        let committed = match self.engine {
            Engine::SqliteBare(_) => Ok(()),
            Engine::Sqlite(transaction) => transaction.commit().await,
            Engine::Postgres(transaction) => transaction.commit().await,
        };
        committed.map_err(|error| match Error::from(error) {
            Error::Unavailable(_) => Error::OutcomeUnknown,
            other => other,
        })
    }
}

impl Tx<'_> {
    /// Rolls back.
    ///
    /// # Errors
    /// When it does not go through; the connection must then be thrown away.
    pub(crate) async fn rollback(self) -> Result<()> {
        let rolled = match self.engine {
            Engine::SqliteBare(_) => Ok(()),
            Engine::Sqlite(transaction) => transaction.rollback().await,
            Engine::Postgres(transaction) => transaction.rollback().await,
        };
        rolled.map_err(|error| Error::Unavailable(format!("a rollback did not go through: {error}")))
    }
}

/// The rows of a batch.
struct Rows {
    /// What `$1` is bound to.
    list: String,
    /// The packed rows (SQLite).
    blob: Option<Vec<u8>>,
}

enum Bound {
    Sqlite(SqliteArguments),
    Postgres(PgArguments),
}

/// The bytes of a packed row.
fn stride(sql: Sql) -> i64 {
    i64::try_from(sql.columns.len() * CELL).unwrap_or(i64::MAX)
}

/// The error for parameters that do not fit their statement.
fn bad_parameters(sql: Sql, error: &BoxDynError) -> Error {
    Error::Bug(format!("{}: {error}", sql.name))
}

/// Parameters of a batch on SQLite that come before the size of a row and the rows.
const BEFORE_THE_BLOB: usize = 7;

/// A statement that is being given its parameters.
pub(crate) struct Query<'t, 'c> {
    tx: &'t mut Tx<'c>,
    sql: Sql,
    arguments: Bound,
    /// The packed rows of a batch on SQLite, which are bound last.
    blob: Option<Vec<u8>>,
    bad: Option<BoxDynError>,
}

impl Query<'_, '_> {
    /// Binds the next parameter.
    pub(crate) fn bind<T: Value>(mut self, value: T) -> Self {
        let added = match &mut self.arguments {
            Bound::Sqlite(arguments) => Arguments::add(arguments, value),
            Bound::Postgres(arguments) => Arguments::add(arguments, value),
        };
        self.bad = self.bad.or(added.err());
        self
    }

    async fn begin(&mut self) -> Result<()> {
        self.tx.flush().await?;
        #[cfg(test)]
        if let Some(pass) = self.tx.gate.clone() {
            pass.before(self.sql.name).await;
        }
        self.tx.count(self.sql.name);
        self.bind_blob();
        if matches!(self.tx.engine, Engine::SqliteBare(_)) && self.tx.statements > 1 {
            self.bad = Some("a second statement where one was announced".into());
        }
        match self.bad.take() {
            Some(error) => Err(bad_parameters(self.sql, &error)),
            None => Ok(()),
        }
    }

    fn bind_blob(&mut self) {
        let (Some(blob), Bound::Sqlite(arguments)) = (self.blob.take(), &mut self.arguments) else { return };
        let mut added = Ok(());
        while added.is_ok() && Arguments::len(arguments) < BEFORE_THE_BLOB {
            added = Arguments::add(arguments, None::<i64>);
        }
        let added = added.and_then(|()| Arguments::add(arguments, stride(self.sql)));
        self.bad = self.bad.take().or(added.and_then(|()| Arguments::add(arguments, blob)).err());
    }

    /// Runs it; the answer is how many rows it touched.
    pub(crate) async fn run(mut self) -> Result<u64> {
        self.begin().await?;
        let step = self.tx.statement(self.sql.name);
        let done = match (&mut self.tx.engine, self.arguments) {
            (Engine::SqliteBare(connection), Bound::Sqlite(arguments)) => {
                let query = sqlx::query_with(self.sql.sqlite, arguments);
                query.execute(&mut **connection).await.map(|done| done.rows_affected())
            }
            (Engine::Sqlite(tx), Bound::Sqlite(arguments)) => {
                sqlx::query_with(self.sql.sqlite, arguments).execute(&mut **tx).await.map(|done| done.rows_affected())
            }
            (Engine::Postgres(tx), Bound::Postgres(arguments)) => {
                let query = sqlx::query_with(self.sql.postgres, arguments).persistent(self.tx.prepared);
                query.execute(&mut **tx).await.map(|done| done.rows_affected())
            }
            _ => return Err(Error::Bug("parameters of one engine for a statement of the other".to_owned())),
        };
        self.tx.touched(self.sql, done.as_ref().map_or(0, |rows| *rows));
        done.map_err(|error| named(self.sql.name, error)).inspect_err(|error| fail(step, error))
    }

    /// Runs it; the answer is its rows.
    pub(crate) async fn rows<R: Row>(mut self) -> Result<Vec<R>> {
        self.begin().await?;
        let step = self.tx.statement(self.sql.name);
        let rows = match (&mut self.tx.engine, self.arguments) {
            (Engine::SqliteBare(connection), Bound::Sqlite(arguments)) => {
                sqlx::query_as_with(self.sql.sqlite, arguments).fetch_all(&mut **connection).await
            }
            (Engine::Sqlite(tx), Bound::Sqlite(arguments)) => {
                sqlx::query_as_with(self.sql.sqlite, arguments).fetch_all(&mut **tx).await
            }
            (Engine::Postgres(tx), Bound::Postgres(arguments)) => {
                let query = sqlx::query_as_with(self.sql.postgres, arguments).persistent(self.tx.prepared);
                query.fetch_all(&mut **tx).await
            }
            _ => return Err(Error::Bug("parameters of one engine for a statement of the other".to_owned())),
        };
        self.tx.touched(self.sql, rows.as_ref().map_or(0, |rows: &Vec<R>| rows.len() as u64));
        rows.map_err(|error| named(self.sql.name, error)).inspect_err(|error| fail(step, error))
    }

    /// Runs it; the answer is its only row, if there is one.
    pub(crate) async fn row<R: Row>(self) -> Result<Option<R>> {
        Ok(self.rows().await?.into_iter().next())
    }
}

/// The name of a statement as it stands in a trace.
fn short(name: &'static str) -> &'static str {
    name.strip_prefix("mainstay_store::").unwrap_or(name)
}

/// A step has failed.
fn fail(step: Option<Step>, error: &Error) {
    if let Some(mut step) = step {
        step.fail(error);
    }
}

/// A failure that is a bug says which statement it was.
fn named(statement: &str, error: sqlx::Error) -> Error {
    match Error::from(error) {
        Error::Bug(cause) => Error::Bug(format!("{statement}: {cause}")),
        Error::Constraint(cause) => Error::Constraint(format!("{statement}: {cause}")),
        Error::Isolation(cause) => Error::Isolation(format!("{statement}: {cause}")),
        other => other,
    }
}
