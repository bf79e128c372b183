//! Ending an attempt: done, put off, given up, cancelled or handed back, many in one statement.

use std::collections::BTreeSet;
use std::time::Duration;

use mainstay_domain::{JobId, JobState, Timestamp};
use serde::Serialize;
use uuid::Uuid;

use crate::error::{Error, Result};
use crate::intent::Intent;
use crate::sql::statements;
use crate::tx::{Scope, Tx};
use crate::value::{At, Id};

statements! {
    /// What was to begin again and was cancelled meanwhile has ended.
    FINISH = update((id: uuid, lease: bigint, state: text, given_back: bigint, run_at: time, finished_at: time, keep_until: time) "
        job SET lease = job.lease + 1,
          state = CASE WHEN b.finished_at IS NULL AND job.cancel_asked_at IS NOT NULL THEN 'cancelled' ELSE b.state END,
          attempt = job.attempt - b.given_back,
          run_at = coalesce(b.run_at, job.run_at),
          worker = 0,
          finished_at = CASE WHEN b.finished_at IS NULL AND job.cancel_asked_at IS NOT NULL THEN $2 ELSE b.finished_at END,
          keep_until = CASE WHEN b.keep_until > job.keep_until THEN b.keep_until ELSE job.keep_until END,
          unique_key = CASE WHEN job.unique_kept = 1 OR (b.finished_at IS NULL AND job.cancel_asked_at IS NULL) THEN job.unique_key END
        FROM batch b WHERE job.id = b.id AND job.lease = b.lease
        RETURNING job.id");
    DONE = both("
        UPDATE job SET lease = lease + 1, state = 'done', worker = 0, finished_at = $3,
          keep_until = CASE WHEN $4 > keep_until THEN $4 ELSE keep_until END,
          unique_key = CASE WHEN unique_kept = 1 THEN unique_key END
        WHERE id = $1 AND lease = $2");
    /// The same for many.
    DONE_ALL = update((id: uuid, lease: bigint, keep_until: time) "
        job SET lease = job.lease + 1, state = 'done', worker = 0, finished_at = $2,
          keep_until = CASE WHEN b.keep_until > job.keep_until THEN b.keep_until ELSE job.keep_until END,
          unique_key = CASE WHEN job.unique_kept = 1 THEN job.unique_key END
        FROM batch b WHERE job.id = b.id AND job.lease = b.lease
        RETURNING job.id");
    /// Only on a repeat: what a commit that was not confirmed has ended.
    ENDED = batch((id: uuid, lease: bigint) "
        SELECT j.id FROM batch b JOIN job j ON j.id = b.id AND j.lease = b.lease + 1 WHERE j.state = 'done'");
    FAILED = insert((job_id: uuid, lease: bigint, attempt: bigint, outcome: text, error: text, started_at: time, ended_at: time) "
        job_attempt (job_id, lease, attempt, outcome, error, started_at, ended_at)
        SELECT job_id, lease, attempt, outcome, error, started_at, ended_at FROM batch WHERE true
        ON CONFLICT (job_id, lease) DO NOTHING");
}

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It is done.
    Done,
    /// It failed and is tried again at this moment.
    Retry {
        /// When.
        at: Timestamp,
        /// What went wrong.
        error: String,
    },
    /// It failed for good.
    Dead {
        /// What went wrong.
        error: String,
    },
    /// It asked to be run later. The attempt does not count.
    Snoozed {
        /// When.
        until: Timestamp,
    },
    /// It was cancelled while it ran.
    Cancelled,
    /// Its worker stops. It is ready for another at once, and the attempt does not count.
    HandedBack,
}

/// The end of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finished {
    /// Of which job.
    pub job: JobId,
    /// The number it was claimed under: the fence.
    pub lease: i64,
    /// Which attempt.
    pub attempt: u32,
    /// When it began.
    pub started_at: Timestamp,
    /// How it ended.
    pub ending: Ending,
}

/// For how long jobs that have ended are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keeping {
    /// Those that were done, and those that were cancelled.
    pub done: Duration,
    /// Those that were given up.
    pub dead: Duration,
}

/// The name of an outcome that is not success, in `job_attempt`.
const FAILED_OUTCOME: &str = "failed";
const DEAD_OUTCOME: &str = "dead";
const CANCELLED_OUTCOME: &str = "cancelled";

/// The most bytes of an error that are kept; the rest is cut.
const MOST_ERROR: usize = 4096;

#[derive(Serialize)]
struct FinishRow {
    id: Uuid,
    lease: i64,
    state: &'static str,
    given_back: i64,
    run_at: Option<i64>,
    finished_at: Option<i64>,
    keep_until: i64,
}

impl FinishRow {
    fn of(finished: &Finished, keeping: Keeping, now: Timestamp) -> Self {
        let row = |state: JobState, given_back, run_at: Option<Timestamp>, kept: Option<Duration>| Self {
            id: finished.job.uuid(),
            lease: finished.lease,
            state: state.as_str(),
            given_back,
            run_at: run_at.map(Timestamp::as_millis),
            finished_at: kept.map(|_| now.as_millis()),
            // One that is cancelled instead of beginning again is kept as those are.
            keep_until: now.plus(kept.unwrap_or(keeping.done)).as_millis(),
        };
        let later = |at: Timestamp| if at > now { JobState::Scheduled } else { JobState::Ready };
        match &finished.ending {
            Ending::Done => row(JobState::Done, 0, None, Some(keeping.done)),
            Ending::Retry { at, .. } => row(later(*at), 0, Some(*at), None),
            Ending::Dead { .. } => row(JobState::Dead, 0, None, Some(keeping.dead)),
            Ending::Snoozed { until } => row(later(*until), 1, Some(*until), None),
            Ending::Cancelled => row(JobState::Cancelled, 0, None, Some(keeping.done)),
            Ending::HandedBack => row(JobState::Ready, 1, None, None),
        }
    }
}

#[derive(Serialize)]
struct AttemptRow<'a> {
    job_id: Uuid,
    lease: i64,
    attempt: u32,
    outcome: &'static str,
    error: &'a str,
    started_at: i64,
    ended_at: i64,
}

impl<'a> AttemptRow<'a> {
    fn of(finished: &'a Finished, now: Timestamp) -> Option<Self> {
        let (outcome, error) = match &finished.ending {
            Ending::Retry { error, .. } => (FAILED_OUTCOME, cut(error)),
            Ending::Dead { error } => (DEAD_OUTCOME, cut(error)),
            Ending::Cancelled => (CANCELLED_OUTCOME, "It was cancelled while it ran."),
            Ending::Done | Ending::Snoozed { .. } | Ending::HandedBack => return None,
        };
        Some(Self {
            job_id: finished.job.uuid(),
            lease: finished.lease,
            attempt: finished.attempt,
            outcome,
            error,
            started_at: finished.started_at.as_millis(),
            ended_at: now.as_millis(),
        })
    }
}

/// The beginning of an error that is kept.
fn cut(error: &str) -> &str {
    let mut end = error.len().min(MOST_ERROR);
    while !error.is_char_boundary(end) {
        end -= 1;
    }
    &error[..end]
}

/// Ends attempts. The answer is which of the jobs were still theirs to end: the others belong to somebody else by now.
pub(crate) async fn finish(
    tx: &mut Tx<'_>,
    attempts: &[Finished],
    keeping: Keeping,
    now: Timestamp,
) -> Result<Vec<JobId>> {
    if attempts.is_empty() {
        return Ok(Vec::new());
    }
    let rows: Vec<_> = attempts.iter().map(|finished| FinishRow::of(finished, keeping, now)).collect();
    let ended: Vec<Id> = tx.batch(FINISH, &rows).bind(At(now)).rows().await?;
    let ended: BTreeSet<_> = ended.into_iter().map(|row| row.id).collect();
    let mine = attempts.iter().filter(|finished| ended.contains(&finished.job.uuid()));
    let failed: Vec<_> = mine.filter_map(|finished| AttemptRow::of(finished, now)).collect();
    if !failed.is_empty() {
        tx.batch(FAILED, &failed).run().await?;
    }
    for finished in attempts {
        if let Ending::Retry { at, .. } | Ending::Snoozed { until: at } = finished.ending {
            tx.enqueued("", at);
        }
    }
    Ok(ended.into_iter().map(JobId).collect())
}

/// Ends attempts of a worker.
#[derive(Clone, Debug)]
pub struct FinishJobs {
    /// The attempts, at most 1,000, no job twice.
    pub attempts: Vec<Finished>,
    /// For how long what has ended is kept.
    pub keeping: Keeping,
    /// The present moment.
    pub now: Timestamp,
}

impl Intent for FinishJobs {
    type Output = Vec<JobId>;
    const WRITES: bool = true;

    fn scope(&self) -> Scope {
        Scope::System
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Vec<JobId>> {
        finish(tx, &self.attempts, self.keeping, self.now).await
    }
}

/// The right to end a job: its id, and the number that it was claimed under.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fence {
    /// Which job.
    pub job: JobId,
    /// The number.
    pub lease: i64,
    /// Until when the job is kept, once it is done.
    pub keep_until: Timestamp,
}

#[derive(Serialize)]
struct DoneRow {
    id: Uuid,
    lease: i64,
    keep_until: i64,
}

/// Ends jobs as done in the transaction that holds their effects. The answer is which of them were still whose fence was
/// shown: for these, and for no others, the effect may follow. Those that an earlier try of this same transaction has
/// ended, its commit not being confirmed, stand apart: their effects are there.
pub(crate) async fn done_all(
    tx: &mut Tx<'_>,
    fences: &[Fence],
    now: Timestamp,
) -> Result<(BTreeSet<JobId>, BTreeSet<JobId>)> {
    let row =
        |fence: &Fence| DoneRow { id: fence.job.uuid(), lease: fence.lease, keep_until: fence.keep_until.as_millis() };
    let rows: Vec<_> = fences.iter().map(row).collect();
    let ids = |rows: Vec<Id>| rows.into_iter().map(|row| JobId(row.id)).collect();
    let before = if tx.attempt > 0 { ids(tx.batch(ENDED, &rows).rows().await?) } else { BTreeSet::new() };
    let now = ids(tx.batch(DONE_ALL, &rows).bind(At(now)).rows().await?);
    Ok((now, before))
}

/// Ends a job as done in the transaction that holds its effect: either both are there or neither is.
///
/// # Errors
/// [`Error::Fenced`] when the job belongs to somebody else by now; the transaction is then rolled back.
pub(crate) async fn done(tx: &mut Tx<'_>, fence: Fence, now: Timestamp) -> Result<()> {
    let ended =
        tx.query(DONE).bind(fence.job.uuid()).bind(fence.lease).bind(At(now)).bind(At(fence.keep_until)).run().await?;
    if ended == 1 { Ok(()) } else { Err(Error::Fenced) }
}
