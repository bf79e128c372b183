//! Promising jobs, inside the transaction that is their cause.

use std::borrow::Borrow;
use std::collections::BTreeMap;

use mainstay_domain::{JobId, JobState, Timestamp, TraceContext};
use serde::Serialize;
use uuid::Uuid;

use super::{NewJob, tenant_id};
use crate::error::{Error, Result};
use crate::intent::Intent;
use crate::sql::statements;
use crate::tx::{Scope, Tx};
use crate::value::Id;

statements! {
    ENQUEUE = insert((id: uuid, queue: text, kind: text, group_key: text, tenant_id: uuid, state: text, priority: bigint,
        arguments: text, unique_key: text, unique_kept: bigint, run_at: time, most_attempts: bigint, keep_until: time,
        created_at: time, traceparent: text) "
        job (id, queue, kind, group_key, tenant_id, state, priority, arguments, unique_key, unique_kept, run_at, attempt,
             most_attempts, lease, worker, keep_until, created_at, traceparent)
        SELECT id, queue, kind, group_key, tenant_id, state, priority, arguments, unique_key, unique_kept, run_at, 0,
               most_attempts, 0, 0, keep_until, created_at, traceparent
        FROM batch WHERE true
        ON CONFLICT (kind, unique_key) WHERE unique_key IS NOT NULL DO NOTHING
        RETURNING id");
    TAKEN = batch((kind: text, unique_key: text) "
        SELECT b.n, j.id FROM batch b JOIN job j ON j.kind = b.kind AND j.unique_key = b.unique_key");
}

#[derive(Serialize)]
struct JobRow<'a> {
    id: Uuid,
    queue: &'a str,
    kind: &'a str,
    group_key: &'a str,
    tenant_id: Uuid,
    state: &'static str,
    priority: i64,
    arguments: &'a str,
    unique_key: Option<&'a str>,
    unique_kept: i64,
    run_at: i64,
    most_attempts: u32,
    keep_until: i64,
    created_at: i64,
    traceparent: Option<String>,
}

impl<'a> JobRow<'a> {
    fn of(job: &'a NewJob, now: Timestamp, trace: Option<TraceContext>) -> Self {
        let state = if job.run_at > now { JobState::Scheduled } else { JobState::Ready };
        let until = job.unique.as_ref().and_then(|unique| unique.until);
        Self {
            id: job.id.uuid(),
            queue: job.queue,
            kind: job.kind,
            group_key: &job.group,
            tenant_id: tenant_id(job.tenant),
            state: state.as_str(),
            priority: job.priority.number(),
            arguments: &job.arguments,
            unique_key: job.unique.as_ref().map(|unique| unique.key.as_str()),
            unique_kept: i64::from(until.is_some()),
            run_at: job.run_at.as_millis(),
            most_attempts: job.most_attempts,
            keep_until: until.unwrap_or(now).as_millis(),
            created_at: now.as_millis(),
            traceparent: job.trace.or(trace).map(|context| context.to_string()),
        }
    }
}

#[derive(Serialize)]
struct KeyRow<'a> {
    kind: &'a str,
    unique_key: &'a str,
}

#[derive(sqlx::FromRow)]
struct TakenRow {
    n: i64,
    id: Uuid,
}

/// What became of a job that was to be enqueued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Enqueued {
    /// It is promised.
    New(JobId),
    /// One of its kind with its key was there already: this one, unless it has gone meanwhile.
    Existing(Option<JobId>),
}

impl Enqueued {
    /// The job that is there now.
    #[must_use]
    pub const fn job(self) -> Option<JobId> {
        match self {
            Self::New(id) => Some(id),
            Self::Existing(id) => id,
        }
    }
}

/// Promises jobs in this transaction: they are there when it commits, and only then. The answers stand in the order of the
/// jobs. Who waits for work hears of it after the commit.
pub(crate) async fn enqueue<J: Borrow<NewJob> + Sync>(
    tx: &mut Tx<'_>,
    jobs: &[J],
    now: Timestamp,
) -> Result<Vec<Enqueued>> {
    if jobs.is_empty() {
        return Ok(Vec::new());
    }
    let jobs: Vec<&NewJob> = jobs.iter().map(Borrow::borrow).collect();
    let trace = tx.trace;
    let mut rows: Vec<_> = jobs.iter().map(|job| JobRow::of(job, now, trace)).collect();
    // Two transactions that promise the same keys wait for each other in one order.
    rows.sort_by(|one, other| (one.kind, one.unique_key, one.id).cmp(&(other.kind, other.unique_key, other.id)));
    let inserted: Vec<Id> = tx.batch(ENQUEUE, &rows).rows().await?;
    for job in &jobs {
        tx.enqueued(job.queue, job.run_at);
    }
    if inserted.len() == jobs.len() {
        return Ok(jobs.iter().map(|job| Enqueued::New(job.id)).collect());
    }
    let new: std::collections::BTreeSet<_> = inserted.into_iter().map(|row| row.id).collect();
    let refused: Vec<_> = jobs.iter().filter(|job| !new.contains(&job.id.uuid())).collect();
    let keys: Vec<_> = refused
        .iter()
        .filter_map(|job| Some(KeyRow { kind: job.kind, unique_key: &job.unique.as_ref()?.key }))
        .collect();
    if keys.len() != refused.len() {
        return Err(Error::Bug("a job without a key was refused for its key".to_owned()));
    }
    let taken: Vec<TakenRow> = tx.batch(TAKEN, &keys).rows().await?;
    let mut existing = BTreeMap::new();
    for row in taken {
        if let Some(job) = usize::try_from(row.n).ok().and_then(|n| refused.get(n)) {
            existing.insert(job.id, JobId(row.id));
        }
    }
    Ok(jobs
        .iter()
        .map(|job| {
            if new.contains(&job.id.uuid()) {
                Enqueued::New(job.id)
            } else {
                Enqueued::Existing(existing.get(&job.id).copied())
            }
        })
        .collect())
}

/// Promises jobs that no other change belongs to.
#[derive(Clone, Debug)]
pub struct Enqueue {
    /// The jobs, at most 1,000.
    pub jobs: Vec<NewJob>,
    /// The present moment.
    pub now: Timestamp,
}

impl Intent for Enqueue {
    type Output = Vec<Enqueued>;
    const WRITES: bool = true;

    fn scope(&self) -> Scope {
        Scope::Global
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output> {
        enqueue(tx, &self.jobs, self.now).await
    }
}
