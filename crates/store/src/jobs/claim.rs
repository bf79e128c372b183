//! Claiming: a worker takes what is ready, in turn, within the limits.
//!
//! Claims of one queue are made one after the other, on all nodes together, by the lock of the queue's row. That makes
//! limits exact without a counter: what runs is counted where a limit asks for it. Fair by construction: groups are served
//! in turn, beginning after the last one that was, and a group with a hundred thousand jobs costs as much as one with ten,
//! because groups are found by jumping from one to the next in the index.

pub(crate) mod overall;
mod search;

use mainstay_domain::{JobId, Timestamp, TraceContext};
use serde::Serialize;
use uuid::Uuid;

use self::overall::Overall;
pub use self::overall::OverallLimits;
use self::search::Search;
use super::rate::Rate;
use super::{Claimed, tenant_of};
use crate::error::{Error, Result};
use crate::intent::Intent;
use crate::sql::statements;
use crate::tx::{Scope, Tx};
use crate::value::{At, count, json};

statements! {
    OPEN_QUEUE = both("INSERT INTO job_queue (name, turns) VALUES ($1, '[]') ON CONFLICT (name) DO NOTHING");
    QUEUE = pair(sqlite "
        SELECT q.turns, q.paused_at, (SELECT count(*) FROM lease l WHERE l.number = $2 AND l.expires_at > $3) AS held
        FROM job_queue q WHERE q.name = $1",
        postgres "
        SELECT q.turns, q.paused_at, (SELECT count(*) FROM lease l WHERE l.number = $2 AND l.expires_at > $3) AS held
        FROM job_queue q WHERE q.name = $1 FOR UPDATE OF q",
        differs "SQLite has one writer, which is the lock");
    RUNNING = both("SELECT count(*) AS running FROM job WHERE state = 'running' AND queue = $1");
    /// The first that are ready, group after group round a part of the ring.
    RING = both("
        SELECT j.id, j.lease, j.group_key FROM job j
        WHERE j.state = 'ready' AND j.queue = $1 AND j.priority = $2 AND j.group_key > $3 AND j.group_key <= $4
        ORDER BY j.group_key, j.run_at, j.id LIMIT $5");
    /// The next groups with something ready in a part of the ring, each found by a jump in the index.
    GROUPS = both("
        WITH RECURSIVE held (group_key, n) AS (
          SELECT (SELECT min(j.group_key) FROM job j
                  WHERE j.state = 'ready' AND j.queue = $1 AND j.priority = $2 AND j.group_key > $3), cast(1 AS bigint)
          UNION ALL
          SELECT (SELECT min(j.group_key) FROM job j
                  WHERE j.state = 'ready' AND j.queue = $1 AND j.priority = $2 AND j.group_key > held.group_key), held.n + 1
          FROM held WHERE held.group_key <= $4 AND held.n < $5)
        SELECT held.group_key FROM held WHERE held.group_key <= $4");
    RUNNING_OF = pair(sqlite "
        SELECT b.value AS group_key, (SELECT count(*) FROM job r WHERE r.state = 'running' AND r.queue = $1 AND r.group_key = b.value) AS running
        FROM json_each($2) b",
        postgres "
        SELECT b.value AS group_key, (SELECT count(*) FROM job r WHERE r.state = 'running' AND r.queue = $1 AND r.group_key = b.value) AS running
        FROM json_array_elements_text($2::json) AS b (value)",
        differs "each engine has its own way to read a list");
    HEADS = pair(sqlite "
        SELECT j.id, j.lease, j.group_key FROM json_each($1) b JOIN job j ON j.id IN (
          SELECT i.id FROM job i WHERE i.state = 'ready' AND i.queue = $2 AND i.priority = $3 AND i.group_key = b.value
          ORDER BY i.run_at, i.id LIMIT $4) ORDER BY j.run_at, j.id",
        postgres "
        SELECT j.id, j.lease, j.group_key FROM json_array_elements_text($1::json) AS b (value) CROSS JOIN LATERAL (
          SELECT i.id, i.lease, i.group_key, i.run_at FROM job i
          WHERE i.state = 'ready' AND i.queue = $2 AND i.priority = $3 AND i.group_key = b.value
          ORDER BY i.run_at, i.id LIMIT $4) j",
        differs "SQLite has no LATERAL, and PostgreSQL would look each id up twice");
    TAKE = update((id: uuid, lease: bigint) "
        job SET state = 'running', lease = job.lease + 1, attempt = job.attempt + 1, worker = $2, started_at = $3
        FROM batch b WHERE job.id = b.id AND job.lease = b.lease
        RETURNING job.id, job.kind, job.group_key, job.tenant_id, job.arguments, job.attempt, job.most_attempts, job.lease,
                  job.run_at, job.traceparent");
    SERVED = both("UPDATE job_queue SET turns = $2 WHERE name = $1");
    RATES = pair(sqlite "
        SELECT r.group_key, r.full_at FROM json_each($2) b JOIN job_rate r ON r.queue = $1 AND r.group_key = b.value",
        postgres "
        SELECT r.group_key, r.full_at FROM json_array_elements_text($2::json) AS b (value)
        JOIN job_rate r ON r.queue = $1 AND r.group_key = b.value",
        differs "each engine has its own way to read a list");
    SPEND = batch((group_key: text, full_at: time) "
        INSERT INTO job_rate (queue, group_key, full_at) SELECT $2, group_key, full_at FROM batch WHERE true
        ON CONFLICT (queue, group_key) DO UPDATE SET full_at = excluded.full_at");
}

/// The most groups that are looked at in one step, and the most steps of one claim.
const GROUPS_AT_ONCE: usize = 64;
const MOST_STEPS: usize = 8;
/// What no group sorts behind: the end of the ring.
const LAST_GROUP: &str = "\u{10FFFF}";

/// The limits of a queue, over all nodes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueLimits {
    /// How many of its jobs run at once.
    pub running: Option<u32>,
    /// How many of each group run at once.
    pub running_per_group: Option<u32>,
    /// How many of its jobs begin.
    pub rate: Option<Rate>,
    /// How many of each group begin.
    pub rate_per_group: Option<Rate>,
}

/// Makes sure that queues are known. Doing it again changes nothing.
#[derive(Clone, Debug)]
pub struct OpenQueues(pub Vec<&'static str>);

impl Intent for OpenQueues {
    type Output = ();
    const WRITES: bool = true;
    const REPEATABLE: bool = true;

    fn scope(&self) -> Scope {
        Scope::System
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<()> {
        for queue in &self.0 {
            tx.query(OPEN_QUEUE).bind(*queue).run().await?;
        }
        Ok(())
    }
}

/// Takes jobs of a queue that are ready.
#[derive(Clone, Debug)]
pub struct ClaimJobs {
    /// Of which queue.
    pub queue: &'static str,
    /// The number of the worker's lease. Without it nothing is claimed.
    pub worker: i64,
    /// At most so many.
    pub most: u32,
    /// What holds over all nodes.
    pub limits: QueueLimits,
    /// What holds over all nodes and queues.
    pub overall: OverallLimits,
    /// The present moment.
    pub now: Timestamp,
}

/// What a claim came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Claims {
    /// The jobs, the first to begin first.
    pub jobs: Vec<Claimed>,
    /// True when there may be more that could begin at once.
    pub more: bool,
    /// True when the worker's lease has ended: it must take a new one before it can claim.
    pub lost: bool,
    /// When a rate allows the next one, where a rate stood in the way.
    pub next_at: Option<Timestamp>,
}

#[derive(sqlx::FromRow)]
struct QueueRow {
    turns: String,
    paused_at: Option<At>,
    held: i64,
}

#[derive(sqlx::FromRow)]
struct RunningRow {
    running: i64,
}

#[derive(sqlx::FromRow)]
struct NameRow {
    group_key: String,
}

#[derive(sqlx::FromRow)]
struct GroupRow {
    group_key: String,
    running: i64,
}

#[derive(sqlx::FromRow)]
struct HeadRow {
    id: Uuid,
    lease: i64,
    group_key: String,
}

#[derive(sqlx::FromRow)]
struct RateRow {
    group_key: String,
    full_at: At,
}

#[derive(sqlx::FromRow)]
struct TakenRow {
    id: Uuid,
    kind: String,
    group_key: String,
    tenant_id: Uuid,
    arguments: String,
    attempt: i64,
    most_attempts: i64,
    lease: i64,
    run_at: At,
    traceparent: Option<String>,
}

#[derive(Serialize)]
struct FenceRow {
    id: Uuid,
    lease: i64,
}

#[derive(Serialize)]
struct SpendRow {
    group_key: String,
    full_at: i64,
}

impl Intent for ClaimJobs {
    type Output = Claims;
    const WRITES: bool = true;

    fn scope(&self) -> Scope {
        Scope::System
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Claims> {
        let queue: Option<QueueRow> =
            tx.query(QUEUE).bind(self.queue).bind(self.worker).bind(At(self.now)).row().await?;
        let queue = queue.ok_or_else(|| Error::Bug(format!("the queue {} was never opened", self.queue)))?;
        if queue.held == 0 {
            return Ok(Claims { lost: true, ..Claims::default() });
        }
        if queue.paused_at.is_some() {
            return Ok(Claims::default());
        }
        let mut overall = Overall::read(tx, self.overall, self.queue, self.now).await?;
        let room = self.room(tx).await?;
        let narrower = overall.as_ref().filter(|overall| overall.room < room);
        let (room, next_at) = narrower.map_or((room, None), |overall| (overall.room, Some(overall.next_at)));
        let turns = serde_json::from_str(&queue.turns).unwrap_or_default();
        let mut search = Search::new(self, turns, room);
        search.answer.next_at = next_at;
        search.whole_rate(tx).await?;
        let moved = search.look(tx).await?;
        search.take(tx).await?;
        if let Some(overall) = &mut overall {
            overall.spend(tx, search.answer.jobs.len()).await?;
        }
        if moved {
            let turns = json(&search.turns)?;
            tx.query(SERVED).bind(self.queue).bind(turns).run().await?;
        }
        Ok(search.answer)
    }
}

impl ClaimJobs {
    /// How many the number of running ones allows.
    async fn room(&self, tx: &mut Tx<'_>) -> Result<usize> {
        let most = self.most as usize;
        let Some(limit) = self.limits.running else { return Ok(most) };
        let running: Option<RunningRow> = tx.query(RUNNING).bind(self.queue).row().await?;
        let running = running.map_or(0, |row| count(row.running));
        Ok(most.min(limit.saturating_sub(running) as usize))
    }
}

fn claimed(row: TakenRow, now: Timestamp) -> Claimed {
    Claimed {
        id: JobId(row.id),
        kind: row.kind,
        group: row.group_key,
        tenant: tenant_of(row.tenant_id),
        arguments: row.arguments,
        attempt: count(row.attempt),
        most_attempts: count(row.most_attempts),
        lease: row.lease,
        run_at: row.run_at.0,
        started_at: now,
        trace: row.traceparent.as_deref().and_then(TraceContext::parse),
    }
}
