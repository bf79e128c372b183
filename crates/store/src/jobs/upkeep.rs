//! What keeps jobs moving: those that are due become ready, those whose worker has died are taken back, those that have
//! ended are forgotten in small bites.

use mainstay_domain::{JobId, Timestamp};
use uuid::Uuid;

use super::finish::{Ending, Finished, Keeping, finish};
use crate::error::Result;
use crate::intent::Intent;
use crate::sql::statements;
use crate::tx::{Scope, Tx};
use crate::value::{At, Id, count};

statements! {
    PROMOTE = pair(sqlite "
        UPDATE job SET state = 'ready', lease = lease + 1 WHERE id IN (
          SELECT j.id FROM job j WHERE j.state = 'scheduled' AND j.run_at <= $1 ORDER BY j.run_at, j.id LIMIT $2)
        RETURNING queue",
        postgres "
        UPDATE job SET state = 'ready', lease = lease + 1 WHERE id = ANY (ARRAY(
          SELECT j.id FROM job j WHERE j.state = 'scheduled' AND j.run_at <= $1 ORDER BY j.run_at, j.id LIMIT $2
          FOR UPDATE SKIP LOCKED))
        RETURNING queue",
        differs "on PostgreSQL another node may be at it, and as an array each id is looked up");
    HASTEN = both("
        UPDATE job SET run_at = $3, state = 'ready', lease = lease + 1
        WHERE kind = $1 AND unique_key = $2 AND state = 'scheduled' AND run_at > $3");
    NEXT = both("SELECT min(j.run_at) AS next_at FROM job j WHERE j.state = 'scheduled' AND j.run_at >= $1");
    WAITING = both("
        SELECT job_queue.name FROM job_queue
        WHERE (SELECT min(j.priority) FROM job j WHERE j.state = 'ready' AND j.queue = job_queue.name) IS NOT NULL");
    ASKED = both("
        SELECT j.id FROM job j
        WHERE j.worker = $1 AND j.cancel_asked_at IS NOT NULL AND j.state = 'running' LIMIT 500");
    /// Jobs of workers that have no lease any more. What runs is walked: there is as much of it as there are slots.
    LOST = pair(sqlite "
        SELECT j.id, j.lease, j.attempt, j.most_attempts, j.started_at
        FROM job j WHERE j.state = 'running' AND j.queue > '' AND NOT EXISTS (SELECT 1 FROM lease l WHERE l.number = j.worker AND l.expires_at > $1) LIMIT 500",
        postgres "
        SELECT j.id, j.lease, j.attempt, j.most_attempts, j.started_at
        FROM job j WHERE j.state = 'running' AND j.queue > '' AND NOT EXISTS (SELECT 1 FROM lease l WHERE l.number = j.worker AND l.expires_at > $1) LIMIT 500
        FOR UPDATE OF j SKIP LOCKED",
        differs "on PostgreSQL another node may be at it, or the worker may be ending the job at this moment");
    OWN = both("
        SELECT j.id, j.lease, j.attempt, j.most_attempts, j.started_at
        FROM job j WHERE j.state = 'running' AND j.queue > '' AND j.worker = $1 LIMIT 10000");
    FORGET = pair(sqlite "
        DELETE FROM job WHERE id IN (
          SELECT j.id FROM job j WHERE j.finished_at IS NOT NULL AND j.keep_until <= $1 ORDER BY j.keep_until LIMIT $2)
        RETURNING id",
        postgres "
        DELETE FROM job WHERE id = ANY (ARRAY(
          SELECT j.id FROM job j WHERE j.finished_at IS NOT NULL AND j.keep_until <= $1 ORDER BY j.keep_until LIMIT $2
          FOR UPDATE SKIP LOCKED))
        RETURNING id",
        differs "on PostgreSQL somebody may be beginning one anew, and as an array each id is looked up");
    FORGET_ATTEMPTS = batch((id: uuid) "DELETE FROM job_attempt WHERE job_id IN (SELECT id FROM batch)");
    FORGET_RATES = pair(sqlite "
        DELETE FROM job_rate WHERE (queue, group_key) IN (
          SELECT r.queue, r.group_key FROM job_rate r WHERE r.full_at <= $1 ORDER BY r.full_at LIMIT 1000)",
        postgres "
        DELETE FROM job_rate WHERE ctid = ANY (ARRAY(
          SELECT r.ctid FROM job_rate r WHERE r.full_at <= $1 ORDER BY r.full_at LIMIT 1000))",
        differs "PostgreSQL would join the sub-select by reading the whole table; as an array it looks each up");
}

/// Makes jobs ready whose time has come.
#[derive(Clone, Copy, Debug)]
pub struct PromoteJobs {
    /// At most so many.
    pub most: u32,
    /// The present moment.
    pub now: Timestamp,
}

#[derive(sqlx::FromRow)]
struct QueueRow {
    queue: String,
}

impl Intent for PromoteJobs {
    /// The queues of those that became ready, one for each job.
    type Output = Vec<String>;
    const WRITES: bool = true;
    const REPEATABLE: bool = true;

    fn scope(&self) -> Scope {
        Scope::System
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Vec<String>> {
        let rows: Vec<QueueRow> = tx.query(PROMOTE).bind(At(self.now)).bind(i64::from(self.most)).rows().await?;
        Ok(rows.into_iter().map(|row| row.queue).collect())
    }
}

/// Makes the job of a kind with a key ready now, if it is one that was to be later.
pub(crate) async fn hasten(
    tx: &mut Tx<'_>,
    kind: &'static str,
    key: &str,
    queue: &'static str,
    now: Timestamp,
) -> Result<()> {
    tx.query(HASTEN).bind(kind).bind(key.to_owned()).bind(At(now)).run().await?;
    tx.enqueued(queue, now);
    Ok(())
}

/// Which queues have something ready, and when the next job is due.
#[derive(Clone, Copy, Debug)]
pub struct LookForJobs {
    /// The number of the worker's lease.
    pub worker: i64,
}

/// What a look found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobsWaiting {
    /// The queues that have something ready.
    pub queues: Vec<String>,
    /// When the next job is due that waits for its time.
    pub next_at: Option<Timestamp>,
    /// Jobs of this worker that are to be cancelled.
    pub to_cancel: Vec<JobId>,
}

#[derive(sqlx::FromRow)]
struct NameRow {
    name: String,
}

#[derive(sqlx::FromRow)]
struct NextRow {
    next_at: Option<At>,
}

impl Intent for LookForJobs {
    type Output = JobsWaiting;
    const WRITES: bool = false;

    fn scope(&self) -> Scope {
        Scope::System
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<JobsWaiting> {
        let queues: Vec<NameRow> = tx.query(WAITING).rows().await?;
        let next: Option<NextRow> = tx.query(NEXT).bind(At(Timestamp::EPOCH)).row().await?;
        let asked: Vec<Id> = tx.query(ASKED).bind(self.worker).rows().await?;
        Ok(JobsWaiting {
            queues: queues.into_iter().map(|row| row.name).collect(),
            next_at: next.and_then(|row| row.next_at).map(|at| at.0),
            to_cancel: asked.into_iter().map(|row| JobId(row.id)).collect(),
        })
    }
}

/// Takes back jobs whose worker has died, at most 500. Those that were at their last attempt are given up.
#[derive(Clone, Copy, Debug)]
pub struct RescueJobs {
    /// For how long what has ended is kept.
    pub keeping: Keeping,
    /// The present moment.
    pub now: Timestamp,
}

#[derive(sqlx::FromRow)]
struct LostRow {
    id: Uuid,
    lease: i64,
    attempt: i64,
    most_attempts: i64,
    started_at: Option<At>,
}

/// Lists what runs under a worker's lease, at most 10,000 attempts, each as one that is handed back.
#[derive(Clone, Copy, Debug)]
pub struct JobsOf {
    /// The number of the lease.
    pub worker: i64,
    /// The present moment.
    pub now: Timestamp,
}

impl Intent for JobsOf {
    type Output = Vec<Finished>;
    const WRITES: bool = false;
    const ONE_STATEMENT: bool = true;

    fn scope(&self) -> Scope {
        Scope::System
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Vec<Finished>> {
        let rows: Vec<LostRow> = tx.query(OWN).bind(self.worker).rows().await?;
        let handed_back = |row: LostRow| Finished {
            job: JobId(row.id),
            lease: row.lease,
            attempt: count(row.attempt),
            started_at: row.started_at.map_or(self.now, |at| at.0),
            ending: Ending::HandedBack,
        };
        Ok(rows.into_iter().map(handed_back).collect())
    }
}

/// What is written for an attempt whose worker died.
const WORKER_DIED: &str = "Its worker died, or was cut off from the database for longer than its lease lasts.";

impl Intent for RescueJobs {
    type Output = usize;
    const WRITES: bool = true;
    const REPEATABLE: bool = true;

    fn scope(&self) -> Scope {
        Scope::System
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<usize> {
        let lost: Vec<LostRow> = tx.query(LOST).bind(At(self.now)).rows().await?;
        let attempts: Vec<_> = lost
            .into_iter()
            .map(|row| Finished {
                job: JobId(row.id),
                lease: row.lease,
                attempt: count(row.attempt),
                started_at: row.started_at.map_or(self.now, |at| at.0),
                ending: if row.attempt >= row.most_attempts {
                    Ending::Dead { error: WORKER_DIED.to_owned() }
                } else {
                    Ending::Retry { at: self.now, error: WORKER_DIED.to_owned() }
                },
            })
            .collect();
        finish(tx, &attempts, self.keeping, self.now).await.map(|rescued| rescued.len())
    }
}

/// Forgets jobs that have been kept long enough, at most 1,000, and rates that are not used any more.
#[derive(Clone, Copy, Debug)]
pub struct ForgetJobs {
    /// The present moment.
    pub now: Timestamp,
}

/// The most jobs that one bite forgets.
const BITE: i64 = 1000;

impl Intent for ForgetJobs {
    /// How many jobs.
    type Output = usize;
    const WRITES: bool = true;
    const REPEATABLE: bool = true;

    fn scope(&self) -> Scope {
        Scope::System
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<usize> {
        let forgotten: Vec<Id> = tx.query(FORGET).bind(At(self.now)).bind(BITE).rows().await?;
        if !forgotten.is_empty() {
            tx.batch(FORGET_ATTEMPTS, &forgotten).run().await?;
        }
        tx.query(FORGET_RATES).bind(At(self.now)).run().await?;
        Ok(forgotten.len())
    }
}
