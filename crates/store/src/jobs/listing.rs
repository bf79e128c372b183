//! Jobs as people see them: lists and lives; and what people may do with them: cancel, begin anew.

use std::collections::BTreeSet;

use mainstay_domain::{JobId, JobPriority, JobState, TenantId, Timestamp, TraceContext};
use serde::Serialize;
use uuid::Uuid;

use super::enqueue::{Enqueued, enqueue};
use super::{NewJob, tenant_of};
use crate::error::{Error, Result};
use crate::intent::Intent;
use crate::members::word;
use crate::sql::statements;
use crate::tx::{Scope, Tx};
use crate::value::{At, Id, count};

statements! {
    /// A bounded walk down the ids: what does not fit the filter is passed over.
    LIST = both("
        SELECT walked.id, walked.queue, walked.kind, walked.group_key, walked.tenant_id, walked.state, walked.priority, walked.run_at, walked.attempt, walked.most_attempts,
               walked.created_at, walked.started_at, walked.finished_at, walked.cancel_asked_at, walked.traceparent
        FROM (SELECT j.* FROM job j WHERE j.id < $1 ORDER BY j.id DESC LIMIT $2) walked
        WHERE ($3 = '' OR walked.state = $3) AND ($4 = '' OR walked.queue = $4) AND ($5 = '' OR walked.kind = $5)
          AND ($6 = '' OR walked.group_key = $6)
        ORDER BY walked.id DESC LIMIT $7");
    WALKED = both("SELECT j.id FROM job j WHERE j.id < $1 ORDER BY j.id DESC LIMIT 1 OFFSET $2");
    DEAD = both("
        SELECT walked.id, walked.queue, walked.kind, walked.group_key, walked.tenant_id, walked.state, walked.priority, walked.run_at, walked.attempt, walked.most_attempts,
               walked.created_at, walked.started_at, walked.finished_at, walked.cancel_asked_at, walked.traceparent
        FROM (SELECT j.* FROM job j WHERE j.state = 'dead' AND j.id < $1 ORDER BY j.id DESC LIMIT $2) walked
        WHERE ($3 = '' OR walked.queue = $3) AND ($4 = '' OR walked.kind = $4) AND ($5 = '' OR walked.group_key = $5)
        ORDER BY walked.id DESC LIMIT $6");
    DEAD_WALKED = both("SELECT j.id FROM job j WHERE j.state = 'dead' AND j.id < $1 ORDER BY j.id DESC LIMIT 1 OFFSET $2");
    GET = both("
        SELECT id, queue, kind, group_key, tenant_id, state, priority, run_at, attempt, most_attempts, created_at, started_at,
               finished_at, cancel_asked_at, traceparent, arguments, unique_key, lease FROM job WHERE id = $1");
    ATTEMPTS = both("
        SELECT attempt, outcome, error, started_at, ended_at FROM job_attempt WHERE job_id = $1 ORDER BY lease LIMIT 200");
    CANCEL = both("
        UPDATE job SET state = 'cancelled', lease = lease + 1, finished_at = $3, keep_until = CASE WHEN $4 > keep_until THEN $4 ELSE keep_until END,
          unique_key = CASE WHEN unique_kept = 1 THEN unique_key END
        WHERE id = $1 AND lease = $2");
    /// Whether each has ended is looked at here and not there: with that condition SQLite would read all that have.
    FENCES = batch((id: uuid) "SELECT j.id, j.lease, j.finished_at FROM batch b JOIN job j ON j.id = b.id");
    /// It ends later, and is kept at least as long as one that is cancelled here.
    ASK_TO_CANCEL = both("
        UPDATE job SET cancel_asked_at = $3, keep_until = CASE WHEN $4 > keep_until THEN $4 ELSE keep_until END
        WHERE id = $1 AND lease = $2");
    /// Which of these there are, and whether they have ended.
    STAND = batch((id: uuid) "
        SELECT j.id, j.lease, cast(CASE WHEN j.finished_at IS NULL THEN 0 ELSE 1 END AS bigint) AS ended FROM batch b JOIN job j ON j.id = b.id");
    ANEW = batch((id: uuid, lease: bigint) "
        UPDATE job SET state = 'ready', lease = job.lease + 1, attempt = 0, worker = 0, run_at = $2, finished_at = NULL,
          cancel_asked_at = NULL
        FROM batch b WHERE job.id = b.id AND job.lease = b.lease RETURNING job.id, job.queue");
}

/// How many rows one list walks over at most; the answer says where the next one goes on.
const WALK: i64 = 2000;

/// A job as it is listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobSummary {
    /// Its id.
    pub id: JobId,
    /// Its queue.
    pub queue: String,
    /// What is to be done.
    pub kind: String,
    /// Its group within the queue.
    pub group: String,
    /// Whose it is; nothing for the installation's own.
    pub tenant: Option<TenantId>,
    /// Where it is in its life.
    pub state: JobState,
    /// What goes first.
    pub priority: JobPriority,
    /// When it is or was due.
    pub run_at: Timestamp,
    /// How many attempts were begun.
    pub attempt: u32,
    /// After how many it is given up.
    pub most_attempts: u32,
    /// When it was promised.
    pub created_at: Timestamp,
    /// When the last attempt began.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// When somebody asked to cancel it.
    pub cancel_asked_at: Option<Timestamp>,
    /// For what it was promised; nothing for what came of no request.
    pub trace: Option<TraceContext>,
}

#[derive(sqlx::FromRow)]
struct SummaryRow {
    id: Uuid,
    queue: String,
    kind: String,
    group_key: String,
    tenant_id: Uuid,
    state: String,
    priority: i64,
    run_at: At,
    attempt: i64,
    most_attempts: i64,
    created_at: At,
    started_at: Option<At>,
    finished_at: Option<At>,
    cancel_asked_at: Option<At>,
    traceparent: Option<String>,
}

impl TryFrom<SummaryRow> for JobSummary {
    type Error = Error;

    fn try_from(row: SummaryRow) -> Result<Self> {
        Ok(Self {
            id: JobId(row.id),
            queue: row.queue,
            kind: row.kind,
            group: row.group_key,
            tenant: tenant_of(row.tenant_id),
            state: word(&row.state)?,
            priority: JobPriority::from_number(row.priority),
            run_at: row.run_at.0,
            attempt: count(row.attempt),
            most_attempts: count(row.most_attempts),
            created_at: row.created_at.0,
            started_at: row.started_at.map(|at| at.0),
            finished_at: row.finished_at.map(|at| at.0),
            cancel_asked_at: row.cancel_asked_at.map(|at| at.0),
            trace: row.traceparent.as_deref().and_then(TraceContext::parse),
        })
    }
}

/// Which jobs. An empty text stands for all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JobFilter {
    /// In this state.
    pub state: Option<JobState>,
    /// In this queue.
    pub queue: String,
    /// Of this kind.
    pub kind: String,
    /// Of this group.
    pub group: String,
}

/// A page of jobs, the newest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobPage {
    /// The jobs. There may be fewer than were asked for although more follow.
    pub jobs: Vec<JobSummary>,
    /// Where the next page goes on; nothing at the end.
    pub next: Option<JobId>,
}

/// Lists jobs, the newest first. A page looks at 2,000 jobs at most.
#[derive(Clone, Debug)]
pub struct ListJobs {
    /// Which.
    pub filter: JobFilter,
    /// After this one.
    pub after: Option<JobId>,
    /// At most so many.
    pub limit: u32,
}

impl Intent for ListJobs {
    type Output = JobPage;
    const WRITES: bool = false;

    fn scope(&self) -> Scope {
        Scope::System
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<JobPage> {
        let after = self.after.map_or(Uuid::max(), JobId::uuid);
        let (filter, limit) = (&self.filter, i64::from(self.limit));
        let dead = filter.state == Some(JobState::Dead);
        let mut query = tx.query(if dead { DEAD } else { LIST }).bind(after).bind(WALK);
        if !dead {
            query = query.bind(filter.state.map_or("", JobState::as_str));
        }
        let query = query.bind(filter.queue.clone()).bind(filter.kind.clone()).bind(filter.group.clone()).bind(limit);
        let rows: Vec<SummaryRow> = query.rows().await?;
        let jobs: Vec<JobSummary> = rows.into_iter().map(JobSummary::try_from).collect::<Result<_>>()?;
        let next = if jobs.len() >= self.limit as usize {
            jobs.last().map(|job| job.id)
        } else {
            let walked = tx.query(if dead { DEAD_WALKED } else { WALKED }).bind(after).bind(WALK - 1);
            walked.row::<Id>().await?.map(|row| JobId(row.id))
        };
        Ok(JobPage { jobs, next })
    }
}

/// An attempt that did not end in success.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobAttempt {
    /// Which attempt.
    pub attempt: u32,
    /// How it ended: `failed`, `dead` or `cancelled`.
    pub outcome: String,
    /// What went wrong.
    pub error: String,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended.
    pub ended_at: Timestamp,
}

/// A job with all that is known of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobLife {
    /// The job.
    pub job: JobSummary,
    /// What its kind needs to know, as JSON.
    pub arguments: String,
    /// The key that it is unique by, while it is.
    pub unique_key: Option<String>,
    /// The number of its last transition.
    pub lease: i64,
    /// Attempts that failed, the first 200.
    pub attempts: Vec<JobAttempt>,
}

#[derive(sqlx::FromRow)]
struct LifeRow {
    #[sqlx(flatten)]
    summary: SummaryRow,
    arguments: String,
    unique_key: Option<String>,
    lease: i64,
}

#[derive(sqlx::FromRow)]
struct AttemptRow {
    attempt: i64,
    outcome: String,
    error: String,
    started_at: At,
    ended_at: At,
}

/// Reads a job and its attempts.
#[derive(Clone, Copy, Debug)]
pub struct GetJob(pub JobId);

impl Intent for GetJob {
    type Output = Option<JobLife>;
    const WRITES: bool = false;
    const SNAPSHOT: bool = true;

    fn scope(&self) -> Scope {
        Scope::System
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output> {
        let Some(row) = tx.query(GET).bind(self.0.uuid()).row::<LifeRow>().await? else { return Ok(None) };
        let attempts: Vec<AttemptRow> = tx.query(ATTEMPTS).bind(self.0.uuid()).rows().await?;
        let attempts = attempts.into_iter().map(|row| JobAttempt {
            attempt: count(row.attempt),
            outcome: row.outcome,
            error: row.error,
            started_at: row.started_at.0,
            ended_at: row.ended_at.0,
        });
        Ok(Some(JobLife {
            job: row.summary.try_into()?,
            arguments: row.arguments,
            unique_key: row.unique_key,
            lease: row.lease,
            attempts: attempts.collect(),
        }))
    }
}

/// What became of the wish to cancel a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cancelled {
    /// There is no such job.
    Missing,
    /// It had not begun, and never will.
    Done,
    /// It is running: its worker has been asked.
    Asked,
    /// It had ended already.
    Ended(JobState),
    /// It moved on at this moment: look again.
    Moved,
}

/// Cancels a job. One that runs is asked to stop.
#[derive(Clone, Copy, Debug)]
pub struct CancelJob {
    /// Which.
    pub job: JobId,
    /// Until when it is kept.
    pub keep_until: Timestamp,
    /// The present moment.
    pub now: Timestamp,
}

impl Intent for CancelJob {
    type Output = Cancelled;
    const WRITES: bool = true;

    fn scope(&self) -> Scope {
        Scope::System
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Cancelled> {
        let Some(row) = tx.query(GET).bind(self.job.uuid()).row::<LifeRow>().await? else {
            return Ok(Cancelled::Missing);
        };
        let lease = row.lease;
        let job = JobSummary::try_from(row.summary)?;
        let statement = match job.state {
            state if state.is_end() => return Ok(Cancelled::Ended(state)),
            JobState::Running => ASK_TO_CANCEL,
            _ => CANCEL,
        };
        let cancel = tx.query(statement).bind(self.job.uuid()).bind(lease).bind(At(self.now));
        let changed = cancel.bind(At(self.keep_until)).run().await?;
        Ok(match (changed, job.state) {
            (0, _) => Cancelled::Moved,
            (_, JobState::Running) => Cancelled::Asked,
            _ => Cancelled::Done,
        })
    }
}

#[derive(sqlx::FromRow)]
struct StandRow {
    id: Uuid,
    lease: i64,
    ended: i64,
}

/// Begins these jobs anew where they have ended, and promises those that are not there any more. The answer is which of
/// them will be done: the others have not ended yet.
pub(crate) async fn again(tx: &mut Tx<'_>, jobs: &[NewJob], now: Timestamp) -> Result<BTreeSet<JobId>> {
    let rows: Vec<_> = jobs.iter().map(|job| Id { id: job.id.uuid() }).collect();
    let stand: Vec<StandRow> = tx.batch(STAND, &rows).rows().await?;
    let known: BTreeSet<_> = stand.iter().map(|row| row.id).collect();
    let ended = stand.into_iter().filter(|row| row.ended != 0);
    let ended: Vec<_> = ended.map(|row| FenceRow { id: row.id, lease: row.lease }).collect();
    let mut begun = BTreeSet::new();
    if !ended.is_empty() {
        let anew: Vec<AnewRow> = tx.batch(ANEW, &ended).bind(At(now)).rows().await?;
        anew.iter().for_each(|row| tx.enqueued(&row.queue, now));
        begun.extend(anew.into_iter().map(|row| JobId(row.id)));
    }
    let gone: Vec<_> = jobs.iter().filter(|job| !known.contains(&job.id.uuid())).collect();
    begun.extend(enqueue(tx, &gone, now).await?.into_iter().filter_map(Enqueued::job));
    Ok(begun)
}

/// Begins jobs anew that have ended, with all their attempts before them.
#[derive(Clone, Debug)]
pub struct ReplayJobs {
    /// Which, at most 500.
    pub jobs: Vec<JobId>,
    /// The present moment.
    pub now: Timestamp,
}

#[derive(Serialize)]
struct WantedRow {
    id: Uuid,
}

#[derive(sqlx::FromRow)]
struct FoundRow {
    id: Uuid,
    lease: i64,
    finished_at: Option<At>,
}

#[derive(Serialize)]
struct FenceRow {
    id: Uuid,
    lease: i64,
}

#[derive(sqlx::FromRow)]
struct AnewRow {
    id: Uuid,
    queue: String,
}

impl Intent for ReplayJobs {
    /// Which were begun anew: the others are not there, or have not ended.
    type Output = Vec<JobId>;
    const WRITES: bool = true;

    fn scope(&self) -> Scope {
        Scope::System
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Vec<JobId>> {
        let wanted: BTreeSet<_> = self.jobs.iter().map(|job| job.uuid()).collect();
        let wanted: Vec<_> = wanted.into_iter().map(|id| WantedRow { id }).collect();
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        let found: Vec<FoundRow> = tx.batch(FENCES, &wanted).rows().await?;
        let ended = found.into_iter().filter(|row| row.finished_at.is_some());
        let ended: Vec<_> = ended.map(|row| FenceRow { id: row.id, lease: row.lease }).collect();
        if ended.is_empty() {
            return Ok(Vec::new());
        }
        let anew: Vec<AnewRow> = tx.batch(ANEW, &ended).bind(At(self.now)).rows().await?;
        for row in &anew {
            tx.enqueued(&row.queue, self.now);
        }
        Ok(anew.into_iter().map(|row| JobId(row.id)).collect())
    }
}
