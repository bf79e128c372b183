//! The store: where an intent meets an engine.

mod options;

use std::future::Future;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use mainstay_domain::{Entropy, TenantId, Timestamp};
use prometheus_client::metrics::histogram::Histogram;
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::audit_trail::{AuditNote, append};
use crate::batcher::{Batcher, Bounds};
use crate::call::Call;
use crate::checkpoints::checkpointer;
use crate::engine::postgres::{Pool, Postgres};
use crate::engine::room::Room;
use crate::engine::sqlite::{self, Sqlite};
use crate::error::{Error, Result};
use crate::inbox::subjects::Tellings;
use crate::inbox::{INBOX, receive::Receipts};
use crate::intent::Intent;
use crate::outreach::{EMAILS, ending::Ends, fencing::Fences};
use crate::stream::Position;
use crate::tasks::Task;
use crate::trace::{Step, Traced};
use crate::turns::Turns;
use crate::tx::{Scope, Tx};
use crate::usage::{LENDINGS, Lending, Lent, Meter, Usage};

pub use options::Options;
use options::{postgres_settings, sqlite_settings};

/// How often an intent is repeated after a deadlock, a serialisation failure or a lost connection.
const REPEATS: u32 = 3;
/// What the database's own deadline is given before ours ends the wait from outside.
const GRACE: Duration = Duration::from_millis(250);

/// Who is told of what was committed, before the caller is: a cache, and whoever follows live.
pub trait Listener: Send + Sync {
    /// These streams stand here now. Calls for one stream may come in another order than its commits: the highest head is
    /// the newest.
    fn committed(&self, positions: &[Position]);
    /// A commit was not confirmed: where the streams of these organisations stand is not known; of all, when there are none.
    fn unconfirmed(&self, tenants: &[TenantId]);
}

/// Who is told of jobs that were promised, after the commit and before the caller is: it must not wait.
pub trait JobListener: Send + Sync {
    /// In these queues something is due from this moment on; the empty name stands for any queue.
    fn promised(&self, queues: &[(String, Timestamp)]);
}

pub(crate) enum Engine {
    Sqlite(Sqlite),
    Postgres(Postgres),
}

pub(crate) struct Inner {
    pub(crate) engine: Engine,
    entropy: Arc<dyn Entropy>,
    /// Who is told of commits that streams have advanced by.
    listener: OnceLock<Arc<dyn Listener>>,
    /// What is written into the audit trail of this process's first change, where no call says anything else.
    command: OnceLock<Call>,
    /// Who is told of jobs: whoever works here, and whoever tells other nodes.
    job_listeners: RwLock<Vec<Arc<dyn JobListener>>>,
    meter: Meter,
    /// How many of the next commits are reported as not confirmed, though they were.
    #[cfg(test)]
    pub(crate) lost_commits: std::sync::atomic::AtomicU32,
    /// Where a transaction can be held between two of its statements.
    #[cfg(test)]
    pub(crate) gate: Arc<crate::conformance::gate::Gate>,
}

/// The open store. Clones share it.
#[derive(Clone)]
pub struct Store {
    pub(crate) inner: Arc<Inner>,
    pub(crate) turns: Batcher<Turns>,
    pub(crate) receipts: Batcher<Receipts>,
    pub(crate) tellings: Batcher<Tellings>,
    pub(crate) fences: Batcher<Fences>,
    pub(crate) ends: Batcher<Ends>,
}

impl Store {
    /// Opens the store, whose schema must be there already. The second value is what must run for as long as the store
    /// is used: the batches' lanes and, on SQLite, the checkpointer.
    ///
    /// # Errors
    /// When the database cannot be reached, is too old, or its roles could bypass row-level security.
    pub async fn open(options: Options, entropy: Arc<dyn Entropy>) -> Result<(Self, Vec<Task>)> {
        let engine = match options.sqlite_path() {
            Some(path) => Engine::Sqlite(Sqlite::open(sqlite_settings(&options, path)).await?),
            None => Engine::Postgres(Postgres::open(postgres_settings(&options)).await?),
        };
        let lanes = if matches!(engine, Engine::Sqlite(_)) { 1 } else { options.batch_lanes };
        let inner = Arc::new(Inner {
            engine,
            entropy,
            listener: OnceLock::new(),
            command: OnceLock::new(),
            job_listeners: RwLock::default(),
            meter: Meter::default(),
            #[cfg(test)]
            lost_commits: std::sync::atomic::AtomicU32::new(0),
            #[cfg(test)]
            gate: Arc::default(),
        });
        let bounds = Bounds {
            lanes,
            size: options.batch_size,
            size_per_tenant: options.batch_size_per_tenant,
            queue: options.batch_queue,
        };
        let (turns, mut tasks) = Batcher::new(&inner, Turns, bounds);
        let receipts = Batcher::with(&inner, Receipts, INBOX, &mut tasks);
        let tellings = Batcher::with(&inner, Tellings, INBOX, &mut tasks);
        let fences = Batcher::with(&inner, Fences, EMAILS, &mut tasks);
        let ends = Batcher::with(&inner, Ends, EMAILS, &mut tasks);
        if matches!(inner.engine, Engine::Sqlite(_)) {
            // The one writer stands still while its lane waits to be run, after every statement.
            tasks = tasks.into_iter().map(Task::on_own_thread).collect();
            tasks.push(checkpointer(Arc::clone(&inner)));
        }
        Ok((Self { inner, turns, receipts, tellings, fences, ends }, tasks))
    }

    /// Runs an intent: one transaction, repeated as a whole after a deadlock, a serialisation failure or a lost
    /// connection while the call's deadline allows.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn run<I: Intent>(&self, call: &Call, intent: I) -> Result<I::Output> {
        self.inner.run_in(call, &intent, Pool::App).await
    }

    /// Names who is told of commits. Once, and before the first write; a second listener is not taken. Without one, every
    /// change of a synced row also counts up a counter in the database, which nodes that serve look at: that is how they
    /// learn of what the command line writes.
    pub fn listen(&self, listener: Arc<dyn Listener>) {
        let _ = self.inner.listener.set(listener);
    }

    /// Says that all of this process is one thing that somebody does, a command: the first of its changes writes this into the
    /// audit trail.
    pub fn audited(&self, note: AuditNote) {
        let command = Call::within(Duration::ZERO);
        command.audited(note);
        let _ = self.inner.command.set(command);
    }

    /// Runs an intent of a worker. On PostgreSQL workers have connections of their own.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn run_for_jobs<I: Intent>(&self, call: &Call, intent: I) -> Result<I::Output> {
        self.inner.run_in(call, &intent, Pool::Jobs).await
    }

    /// Adds somebody who is told of jobs that were promised. It stays for as long as the store does.
    pub fn listen_for_jobs(&self, listener: Arc<dyn JobListener>) {
        self.inner.job_listeners.write().unwrap_or_else(PoisonError::into_inner).push(listener);
    }

    /// Which engine this is: `sqlite` or `postgresql`.
    #[must_use]
    pub fn engine_name(&self) -> &'static str {
        match self.inner.engine {
            Engine::Sqlite(_) => "sqlite",
            Engine::Postgres(_) => "postgresql",
        }
    }

    /// Connections that are lent out now, and the most there may be.
    #[must_use]
    pub fn connections_in_use(&self) -> (usize, usize) {
        match &self.inner.engine {
            Engine::Sqlite(engine) => engine.readers_in_use(),
            Engine::Postgres(engine) => engine.in_use(),
        }
    }

    /// The use of each kind of connections, in the order of [`LENDINGS`].
    #[must_use]
    pub fn usage(&self) -> [Usage; LENDINGS.len()] {
        let sizes = match &self.inner.engine {
            Engine::Sqlite(engine) => [engine.readers_in_use().1, 1, 0, 0],
            Engine::Postgres(engine) => engine.sizes(),
        };
        self.inner.meter.usage(sizes)
    }

    /// Whether the last transaction that wrote found no room on the disk of the database.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.inner.meter.is_full()
    }

    /// Histograms of waits for a connection and of commits, in seconds. What is done with the answers counts on.
    #[must_use]
    pub fn histograms(&self) -> (Histogram, Histogram) {
        (self.inner.meter.waits.clone(), self.inner.meter.commits.clone())
    }

    /// How many connections the server of the database allows, and how many others use; nothing on SQLite, and behind a
    /// transaction pooler, whose connections are its own affair.
    ///
    /// # Errors
    /// When the server cannot be asked.
    pub async fn room(&self) -> Result<Option<Room>> {
        match &self.inner.engine {
            Engine::Sqlite(_) => Ok(None),
            Engine::Postgres(engine) => engine.room().await,
        }
    }

    /// Bytes in SQLite's write-ahead log; 0 on PostgreSQL.
    pub async fn log_bytes(&self) -> u64 {
        match &self.inner.engine {
            Engine::Sqlite(engine) => sqlite::log_size(engine.path()).await,
            Engine::Postgres(_) => 0,
        }
    }

    /// Closes the pools. Calls that are under way end first.
    pub async fn close(&self) {
        if let Engine::Postgres(engine) = &self.inner.engine {
            engine.close().await;
        }
    }
}

impl Inner {
    /// Runs an intent with its repeats, on connections of this pool.
    pub(crate) async fn run_in<I: Intent>(&self, call: &Call, intent: &I, pool: Pool) -> Result<I::Output> {
        let mut attempt = 0;
        let traced = Traced::begin::<I>();
        loop {
            let outcome = self.attempt(call, intent, attempt, pool, &traced).await;
            #[cfg(test)]
            let outcome = self.lose(outcome);
            if I::WRITES && matches!(outcome, Err(Error::OutcomeUnknown)) {
                self.unconfirmed(&intent.scope());
            }
            let again = match &outcome {
                Err(error) if error.is_repeatable() => true,
                Err(Error::OutcomeUnknown) => I::REPEATABLE,
                _ => false,
            };
            if !again || attempt >= REPEATS || !self.pause(call, attempt).await {
                if I::WRITES {
                    self.meter.wrote(outcome.as_ref().err());
                }
                return traced.ended(attempt, outcome);
            }
            attempt += 1;
        }
    }

    #[cfg(test)]
    fn lose<T>(&self, outcome: Result<T>) -> Result<T> {
        use std::sync::atomic::Ordering::SeqCst;
        let lost = self.lost_commits.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1)).is_ok();
        if lost { Err(Error::OutcomeUnknown) } else { outcome }
    }

    /// Waits a little before a repeat; false when the deadline does not allow it.
    async fn pause(&self, call: &Call, attempt: u32) -> bool {
        let mut chance = [0u8; 1];
        self.entropy.fill(&mut chance);
        let wait = (5u64 << (2 * attempt.min(4))) + u64::from(chance[0]) / 16;
        let due = Instant::now() + Duration::from_millis(wait);
        if due >= call.deadline() {
            return false;
        }
        sleep_until(due).await;
        true
    }

    /// Tries an intent once.
    async fn attempt<I: Intent>(
        &self,
        call: &Call,
        intent: &I,
        attempt: u32,
        pool: Pool,
        traced: &Traced,
    ) -> Result<I::Output> {
        let (step, trace) = (&traced.step, traced.context);
        match &self.engine {
            Engine::Sqlite(engine) if I::WRITES => {
                let (mut writer, _lent) = self.lend(step, Lending::Writing, engine.writer(call)).await?;
                let tx = Tx::sqlite(writer.raw()?, true).await?.noted(step, trace);
                let outcome = self.finish(call, intent, tx, attempt).await;
                if is_clean(&outcome) {
                    writer.keep();
                }
                outcome
            }
            Engine::Sqlite(engine) => {
                let (mut reader, _lent) = self.lend(step, Lending::Requests, engine.reader(call)).await?;
                let connection = reader.raw()?;
                let tx =
                    if I::ONE_STATEMENT { Tx::sqlite_bare(connection) } else { Tx::sqlite(connection, false).await? };
                let outcome = self.finish(call, intent, tx.noted(step, trace), attempt).await;
                if is_clean(&outcome) {
                    reader.keep();
                }
                outcome
            }
            Engine::Postgres(engine) => {
                let scope = intent.scope();
                let pool = if matches!(scope, Scope::System) && pool != Pool::Jobs { Pool::System } else { pool };
                let lending = match pool {
                    Pool::App => Lending::Requests,
                    Pool::Lanes => Lending::Writing,
                    Pool::System => Lending::System,
                    Pool::Jobs => Lending::Jobs,
                };
                let (mut loan, _lent) = self.lend(step, lending, engine.connection(pool, call)).await?;
                let (timeout, prepared) = (engine.statement_timeout(call), engine.keeps_statements());
                let scope = match self.noting(call).note().filter(|_| I::WRITES) {
                    Some(note) => scope.and(note.tenant),
                    None => scope,
                };
                let outcome = timeout_at(call.deadline() + GRACE, async {
                    let tx = Tx::postgres(loan.raw()?, &scope, timeout, prepared, I::SNAPSHOT, trace).await?;
                    self.finish(call, intent, tx.noted(step, trace), attempt).await
                })
                .await
                .unwrap_or(Err(if I::WRITES { Error::OutcomeUnknown } else { Error::Timeout }));
                if is_clean(&outcome) {
                    loan.keep();
                }
                outcome
            }
        }
    }

    /// Waits for a connection, and counts it as lent for as long as the second value lives.
    async fn lend<T>(
        &self,
        step: &Step,
        lending: Lending,
        connection: impl Future<Output = Result<T>> + Send,
    ) -> Result<(T, Lent<'_>)> {
        let asked = Instant::now();
        let connection = connection.await;
        step.waited("wait for a connection", asked);
        match connection {
            Ok(connection) => Ok((connection, self.meter.lend(lending, asked))),
            Err(error) => {
                self.meter.refuse(lending, asked);
                Err(error)
            }
        }
    }

    /// Runs the intent inside the transaction, and ends it. Whoever listens hears of a commit before the caller does.
    async fn finish<I: Intent>(&self, call: &Call, intent: &I, mut tx: Tx<'_>, attempt: u32) -> Result<I::Output> {
        tx.attempt = attempt;
        tx.outside = self.listener.get().is_none();
        #[cfg(test)]
        tx.held_by(&self.gate);
        let noting = self.noting(call);
        let note = noting.note().filter(|_| I::WRITES);
        if note.is_some() {
            tx.watch_for_changes();
        }
        let outcome = match intent.run(&mut tx).await {
            // What it wrote last may fail as any statement may, and is rolled back as after any.
            Ok(output) => tx.flush().await.map(|()| output),
            Err(error) => Err(error),
        };
        // What the trail takes is not the intent's.
        call.count(tx.statements());
        let (outcome, noted) = match (outcome, note.filter(|_| tx.has_changed())) {
            (Ok(output), Some(note)) => (append(&mut tx, note).await.map(|()| output), true),
            (outcome, _) => (outcome, false),
        };
        match outcome {
            Ok(output) => {
                let (advanced, promised, begun) = (tx.take_advanced(), tx.take_promised(), Instant::now());
                tx.commit().await?;
                if noted {
                    noting.noted();
                }
                if I::WRITES {
                    self.meter.commits.observe(begun.elapsed().as_secs_f64());
                }
                if let Some(listener) = self.listener.get().filter(|_| !advanced.is_empty()) {
                    listener.committed(&advanced);
                }
                if !promised.is_empty() {
                    let listeners = self.job_listeners.read().unwrap_or_else(PoisonError::into_inner);
                    listeners.iter().for_each(|listener| listener.promised(&promised));
                }
                Ok(output)
            }
            Err(error) => {
                tx.rollback().await?;
                Err(error)
            }
        }
    }

    /// The call whose note is written: this one, or else what all of this process is.
    fn noting<'a>(&'a self, call: &'a Call) -> &'a Call {
        if call.note().is_some() { call } else { self.command.get().unwrap_or(call) }
    }

    /// Says that it is not known whether a transaction has committed.
    fn unconfirmed(&self, scope: &Scope) {
        let Some(listener) = self.listener.get() else { return };
        match scope {
            Scope::Tenant(tenant) => listener.unconfirmed(&[*tenant]),
            Scope::Tenants(tenants) => listener.unconfirmed(tenants),
            Scope::Global | Scope::System => listener.unconfirmed(&[]),
        }
    }
}

/// True when the connection is as good as before: the transaction ended as it should, or broke only a rule.
fn is_clean<T>(outcome: &Result<T>) -> bool {
    matches!(
        outcome,
        Ok(_) | Err(Error::Unique(_) | Error::Missing(_) | Error::Constraint(_) | Error::Fenced | Error::Conflict)
    )
}
