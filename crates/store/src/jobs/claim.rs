//! Claiming: a worker takes what is ready, in turn, within the limits.
//!
//! Claims of one queue are made one after the other, on all nodes together, by the lock of the queue's row. That makes
//! limits exact without a counter: what runs is counted where a limit asks for it. Fair by construction: groups are served
//! in turn, beginning after the last one that was, and a group with a hundred thousand jobs costs as much as one with ten,
//! because groups are found by jumping from one to the next in the index.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use mainstay_domain::{JobId, Timestamp};
use serde::Serialize;
use uuid::Uuid;

use super::rate::{Bucket, Rate};
use super::{Claimed, count, tenant_of};
use crate::error::{Error, Result};
use crate::intent::Intent;
use crate::sql::statements;
use crate::tx::{Scope, Tx};
use crate::value::At;

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
    LEVEL = both("SELECT min(j.priority) AS priority FROM job j WHERE j.state = 'ready' AND j.queue = $1 AND j.priority >= $2");
    /// The next groups with something ready, each found by a jump in the index.
    GROUPS = both("
        WITH RECURSIVE held (group_key, n) AS (
          SELECT (SELECT min(j.group_key) FROM job j
                  WHERE j.state = 'ready' AND j.queue = $1 AND j.priority = $2 AND j.group_key > $3), cast(1 AS bigint)
          UNION ALL
          SELECT (SELECT min(j.group_key) FROM job j
                  WHERE j.state = 'ready' AND j.queue = $1 AND j.priority = $2 AND j.group_key > held.group_key), held.n + 1
          FROM held WHERE held.group_key IS NOT NULL AND held.n < $4)
        SELECT held.group_key,
               CASE WHEN cast($5 AS bigint) = 0 THEN cast(0 AS bigint) ELSE
                 (SELECT count(*) FROM job r WHERE r.state = 'running' AND r.queue = $1 AND r.group_key = held.group_key) END AS running
        FROM held WHERE held.group_key IS NOT NULL");
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
                  job.run_at");
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
const GROUPS_AT_ONCE: i64 = 64;
const MOST_STEPS: usize = 8;

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
struct LevelRow {
    priority: Option<i64>,
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
        let room = self.room(tx).await?;
        let mut search = Search {
            claim: self,
            turns: serde_json::from_str(&queue.turns).unwrap_or_default(),
            rates: BTreeMap::new(),
            found: Vec::new(),
            answer: Claims::default(),
            room,
        };
        search.whole_rate(tx).await?;
        let moved = search.look(tx).await?;
        search.take(tx).await?;
        if moved {
            let turns = serde_json::to_string(&search.turns).map_err(|error| Error::Bug(error.to_string()))?;
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

/// A claim under way.
struct Search<'a> {
    claim: &'a ClaimJobs,
    /// The group that was served last, by priority.
    turns: Vec<String>,
    /// The rates that were looked at, by group; the empty one is the queue's own.
    rates: BTreeMap<String, Bucket>,
    found: Vec<FenceRow>,
    answer: Claims,
    room: usize,
}

impl Search<'_> {
    /// Reads the queue's own rate.
    async fn whole_rate(&mut self, tx: &mut Tx<'_>) -> Result<()> {
        if let Some(rate) = self.claim.limits.rate {
            self.read_rates(tx, rate, vec![String::new()]).await?;
            if let Some(bucket) = self.rates.get("") {
                let allowed = bucket.room(self.claim.now);
                if allowed < self.room {
                    self.room = allowed;
                    self.answer.next_at = Some(bucket.next_at());
                }
            }
        }
        Ok(())
    }

    async fn read_rates(&mut self, tx: &mut Tx<'_>, rate: Rate, groups: Vec<String>) -> Result<()> {
        let list = serde_json::to_string(&groups).map_err(|error| Error::Bug(error.to_string()))?;
        let rows: Vec<RateRow> = tx.query(RATES).bind(self.claim.queue).bind(list).rows().await?;
        let known: BTreeMap<_, _> = rows.into_iter().map(|row| (row.group_key, row.full_at.0)).collect();
        for group in groups {
            let full_at = known.get(&group).copied();
            self.rates.entry(group).or_insert_with(|| Bucket::new(rate, full_at, self.claim.now));
        }
        Ok(())
    }

    /// Goes through the groups of each priority in turn until there is no more room. True when the turns have moved.
    async fn look(&mut self, tx: &mut Tx<'_>) -> Result<bool> {
        let (mut lowest, mut moved) = (0, false);
        let mut seen: BTreeSet<String> = BTreeSet::new();
        for _ in 0..MOST_STEPS {
            if self.left() == 0 {
                self.answer.more = self.room > 0;
                return Ok(moved);
            }
            let level: Option<LevelRow> = tx.query(LEVEL).bind(self.claim.queue).bind(lowest).row().await?;
            let Some(priority) = level.and_then(|level| level.priority) else { return Ok(moved) };
            if priority > lowest {
                seen.clear();
            }
            let place = usize::try_from(priority).map_err(|_| Error::Bug(format!("a priority of {priority}")))?;
            if self.turns.len() <= place {
                self.turns.resize(place + 1, String::new());
            }
            let (mut groups, whole) = self.groups(tx, priority, self.turns[place].clone()).await?;
            groups.retain(|group| seen.insert(group.group_key.clone()));
            let all_seen = whole || groups.is_empty();
            let groups = self.allowances(tx, groups).await?;
            let (served, cut) = self.heads(tx, priority, groups).await?;
            if let Some(served) = served.filter(|served| *served != self.turns[place]) {
                self.turns[place] = served;
                moved = true;
            }
            if cut && self.left() > 0 {
                // Some group has more than its share: it goes before anything of a lower priority.
                self.answer.more = true;
                return Ok(moved);
            }
            lowest = if all_seen { priority + 1 } else { priority };
        }
        self.answer.more = true;
        Ok(moved)
    }

    fn left(&self) -> usize {
        self.room.saturating_sub(self.found.len())
    }

    /// The next groups of a priority that have something ready, after the one that was served last and round the ring; and
    /// whether these are all of them.
    async fn groups(&self, tx: &mut Tx<'_>, priority: i64, turn: String) -> Result<(Vec<GroupRow>, bool)> {
        let counted = i64::from(self.claim.limits.running_per_group.is_some());
        let mut groups = self.groups_after(tx, priority, &turn, GROUPS_AT_ONCE, counted).await?;
        let missing = GROUPS_AT_ONCE - i64::try_from(groups.len()).unwrap_or(GROUPS_AT_ONCE);
        if turn.is_empty() || missing == 0 {
            return Ok((groups, missing > 0));
        }
        let first = self.groups_after(tx, priority, "", missing, counted).await?;
        let whole =
            i64::try_from(first.len()).unwrap_or(missing) < missing || first.iter().any(|row| row.group_key > turn);
        groups.extend(first.into_iter().filter(|row| row.group_key <= turn));
        Ok((groups, whole))
    }

    async fn groups_after(
        &self,
        tx: &mut Tx<'_>,
        priority: i64,
        after: &str,
        most: i64,
        counted: i64,
    ) -> Result<Vec<GroupRow>> {
        let query = tx.query(GROUPS).bind(self.claim.queue).bind(priority).bind(after.to_owned());
        query.bind(most).bind(counted).rows().await
    }

    /// How many of each group may begin.
    async fn allowances(&mut self, tx: &mut Tx<'_>, groups: Vec<GroupRow>) -> Result<Vec<(String, usize)>> {
        let limits = self.claim.limits;
        if let Some(rate) = limits.rate_per_group {
            let unread: Vec<_> = groups
                .iter()
                .map(|row| row.group_key.clone())
                .filter(|group| !self.rates.contains_key(group))
                .collect();
            if !unread.is_empty() {
                self.read_rates(tx, rate, unread).await?;
            }
        }
        let mut allowed = Vec::with_capacity(groups.len());
        for GroupRow { group_key: group, running } in groups {
            let running = count(running);
            let mut most = limits.running_per_group.map_or(usize::MAX, |limit| limit.saturating_sub(running) as usize);
            if limits.rate_per_group.is_some()
                && let Some(bucket) = self.rates.get(&group)
            {
                let room = bucket.room(self.claim.now);
                if room < most {
                    most = room;
                    let next = bucket.next_at();
                    self.answer.next_at = Some(self.answer.next_at.map_or(next, |known| known.min(next)));
                }
            }
            allowed.push((group, most));
        }
        Ok(allowed)
    }

    /// The first jobs of each group, in rounds of one from each, until there is no more room. The answer is the group that
    /// was served last, and whether a group may have more that could begin.
    async fn heads(
        &mut self,
        tx: &mut Tx<'_>,
        priority: i64,
        groups: Vec<(String, usize)>,
    ) -> Result<(Option<String>, bool)> {
        let open: Vec<_> = groups.into_iter().filter(|(_, most)| *most > 0).collect();
        if open.is_empty() {
            return Ok((None, false));
        }
        let share = self.left().div_ceil(open.len());
        let names: Vec<_> = open.iter().map(|(group, _)| group.as_str()).collect();
        let list = serde_json::to_string(&names).map_err(|error| Error::Bug(error.to_string()))?;
        let heads: Vec<HeadRow> = tx
            .query(HEADS)
            .bind(list)
            .bind(self.claim.queue)
            .bind(priority)
            .bind(i64::try_from(share).unwrap_or(i64::MAX))
            .rows()
            .await?;
        let mut piles: BTreeMap<String, VecDeque<FenceRow>> = BTreeMap::new();
        for HeadRow { id, lease, group_key } in heads {
            piles.entry(group_key).or_default().push_back(FenceRow { id, lease });
        }
        let cut =
            open.iter().any(|(group, most)| *most > share && piles.get(group).is_some_and(|pile| pile.len() >= share));
        let mut last = None;
        for round in 0..share {
            for (group, _) in open.iter().filter(|(_, most)| *most > round) {
                if self.left() == 0 {
                    return Ok((last, cut));
                }
                let Some(head) = piles.get_mut(group).and_then(VecDeque::pop_front) else { continue };
                self.found.push(head);
                for bucket in [group.as_str(), ""] {
                    if let Some(bucket) = self.rates.get_mut(bucket) {
                        bucket.spend(1);
                    }
                }
                if round == 0 {
                    last = Some(group.clone());
                }
            }
        }
        Ok((last, cut))
    }

    /// Takes what was found.
    async fn take(&mut self, tx: &mut Tx<'_>) -> Result<()> {
        if self.found.is_empty() {
            return Ok(());
        }
        let now = self.claim.now;
        let rows: Vec<TakenRow> = tx.batch(TAKE, &self.found).bind(self.claim.worker).bind(At(now)).rows().await?;
        let mut jobs: BTreeMap<Uuid, TakenRow> = rows.into_iter().map(|row| (row.id, row)).collect();
        let in_turn = self.found.iter().filter_map(|found| jobs.remove(&found.id));
        self.answer.jobs = in_turn.map(|row| claimed(row, now)).collect();
        let spent: Vec<_> = self
            .rates
            .iter()
            .filter(|(_, bucket)| bucket.is_spent())
            .map(|(group, bucket)| SpendRow { group_key: group.clone(), full_at: bucket.full_at() })
            .collect();
        if !spent.is_empty() {
            tx.batch(SPEND, &spent).bind(self.claim.queue).run().await?;
        }
        Ok(())
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
    }
}
