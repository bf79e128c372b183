//! Queues as people see them: how much waits, since when; and pausing one.

use std::collections::BTreeMap;

use mainstay_domain::Timestamp;
use uuid::Uuid;

use crate::error::Result;
use crate::intent::Intent;
use crate::sql::statements;
use crate::tx::{Scope, Tx};
use crate::value::{At, count};

statements! {
    PAUSE = both("UPDATE job_queue SET paused_at = $2 WHERE name = $1");
    DEPTHS = both("
        SELECT job_queue.name, job_queue.paused_at,
          (SELECT count(*) FROM (SELECT 1 FROM job j WHERE j.state = 'ready' AND j.queue = job_queue.name LIMIT 100000) counted) AS ready,
          (SELECT count(*) FROM (SELECT 1 FROM job j WHERE j.state = 'running' AND j.queue = job_queue.name LIMIT 100000) counted) AS running
        FROM job_queue ORDER BY job_queue.name");
    SCHEDULED_AND_DEAD = both("
        SELECT (SELECT count(*) FROM (SELECT 1 FROM job j WHERE j.state = 'scheduled' AND j.run_at >= $1 LIMIT 100000) counted) AS scheduled,
               (SELECT count(*) FROM (SELECT 1 FROM job j WHERE j.state = 'dead' AND j.id >= $2 LIMIT 100000) counted) AS dead");
    /// When the oldest that is ready became due, in each queue: the first of each group, for the first thousand groups.
    OLDEST = both("
        WITH RECURSIVE held (queue, priority, group_key, n) AS (
          SELECT job_queue.name, levels.priority,
                 (SELECT min(j.group_key) FROM job j
                  WHERE j.state = 'ready' AND j.queue = job_queue.name AND j.priority = levels.priority), cast(1 AS bigint)
          FROM job_queue
          CROSS JOIN (SELECT cast(0 AS bigint) AS priority UNION ALL SELECT cast(1 AS bigint) UNION ALL SELECT cast(2 AS bigint)) levels
          UNION ALL
          SELECT held.queue, held.priority,
                 (SELECT min(j.group_key) FROM job j WHERE j.state = 'ready' AND j.queue = held.queue
                  AND j.priority = held.priority AND j.group_key > held.group_key), held.n + 1
          FROM held WHERE held.group_key IS NOT NULL AND held.n < 1000)
        SELECT job_queue.name, job_queue.paused_at, min((SELECT min(j.run_at) FROM job j WHERE j.state = 'ready' AND j.queue = held.queue
          AND j.priority = held.priority AND j.group_key = held.group_key)) AS oldest
        FROM job_queue LEFT JOIN held ON held.queue = job_queue.name AND held.group_key IS NOT NULL
        GROUP BY job_queue.name, job_queue.paused_at ORDER BY job_queue.name");
}

/// Pauses a queue, or lets it go on. What runs is not touched.
#[derive(Clone, Debug)]
pub struct PauseQueue {
    /// Which.
    pub queue: String,
    /// Since when; nothing lets it go on.
    pub paused_at: Option<Timestamp>,
}

impl Intent for PauseQueue {
    /// False when there is no such queue.
    type Output = bool;
    const WRITES: bool = true;
    const REPEATABLE: bool = true;

    fn scope(&self) -> Scope {
        Scope::System
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<bool> {
        let changed = tx.query(PAUSE).bind(self.queue.clone()).bind(self.paused_at.map(At)).run().await?;
        tx.enqueued(&self.queue, Timestamp::EPOCH);
        Ok(changed == 1)
    }
}

/// The figures of a queue. Counts end at 100,000.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueDepth {
    /// Its name.
    pub name: String,
    /// Since when it is paused.
    pub paused_at: Option<Timestamp>,
    /// How many jobs wait for a worker.
    pub ready: u32,
    /// How many run.
    pub running: u32,
    /// When the oldest of those that wait became due. Among more than a thousand groups the first thousand are looked at.
    pub oldest: Option<Timestamp>,
}

/// The figures of all queues.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueueDepths {
    /// Each queue.
    pub queues: Vec<QueueDepth>,
    /// How many jobs wait for their time.
    pub scheduled: u32,
    /// How many were given up and are kept.
    pub dead: u32,
}

/// Reads the figures of all queues.
#[derive(Clone, Copy, Debug)]
pub struct ReadQueues;

#[derive(sqlx::FromRow)]
struct DepthRow {
    name: String,
    paused_at: Option<At>,
    ready: i64,
    running: i64,
}

#[derive(sqlx::FromRow)]
struct TotalsRow {
    scheduled: i64,
    dead: i64,
}

/// What of a queue waits longest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueAge {
    /// Its name.
    pub name: String,
    /// Since when it is paused.
    pub paused_at: Option<Timestamp>,
    /// When the oldest of those that wait became due. Among more than a thousand groups the first thousand are looked at.
    pub oldest: Option<Timestamp>,
}

#[derive(sqlx::FromRow)]
struct OldestRow {
    name: String,
    paused_at: Option<At>,
    oldest: Option<At>,
}

async fn oldest(tx: &mut Tx<'_>) -> Result<Vec<QueueAge>> {
    let rows: Vec<OldestRow> = tx.query(OLDEST).rows().await?;
    let age = |row: OldestRow| QueueAge {
        name: row.name,
        paused_at: row.paused_at.map(|at| at.0),
        oldest: row.oldest.map(|at| at.0),
    };
    Ok(rows.into_iter().map(age).collect())
}

/// Reads what waits longest in each queue. It counts nothing, so that it costs little however much waits.
#[derive(Clone, Copy, Debug)]
pub struct ReadAges;

impl Intent for ReadAges {
    type Output = Vec<QueueAge>;
    const WRITES: bool = false;
    const ONE_STATEMENT: bool = true;

    fn scope(&self) -> Scope {
        Scope::System
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output> {
        oldest(tx).await
    }
}

impl Intent for ReadQueues {
    type Output = QueueDepths;
    const WRITES: bool = false;

    fn scope(&self) -> Scope {
        Scope::System
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<QueueDepths> {
        let rows: Vec<DepthRow> = tx.query(DEPTHS).rows().await?;
        let totals: Option<TotalsRow> =
            tx.query(SCHEDULED_AND_DEAD).bind(At(Timestamp::EPOCH)).bind(Uuid::nil()).row().await?;
        let mut oldest: BTreeMap<String, _> =
            oldest(tx).await?.into_iter().map(|queue| (queue.name, queue.oldest)).collect();
        let queues = rows.into_iter().map(|row| QueueDepth {
            paused_at: row.paused_at.map(|at| at.0),
            ready: count(row.ready),
            running: count(row.running),
            oldest: oldest.remove(&row.name).flatten(),
            name: row.name,
        });
        let queues = queues.collect();
        let totals = totals.map_or((0, 0), |row| (count(row.scheduled), count(row.dead)));
        Ok(QueueDepths { queues, scheduled: totals.0, dead: totals.1 })
    }
}
