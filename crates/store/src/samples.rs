//! How each node was, every ten seconds, and what that says of the installation: the views `system_health` and
//! `system_health_node`, which look back five minutes by the clock of the database.

use std::time::Duration;

use mainstay_domain::Timestamp;
use uuid::Uuid;

use crate::error::Result;
use crate::intent::Intent;
use crate::sql::statements;
use crate::tx::{Scope, Tx};
use crate::value::{At, count, moment, signed, unsigned};

statements! {
    RECORD = both("
        INSERT INTO node_sample (at, node, requests, errors, refusals, timed, within_5, within_10, within_25, within_50,
          within_100, within_250, within_500, within_1000, within_5000, jobs_ended, jobs_ms, jobs_running, sockets,
          connections_use, pool_use, processor_use, memory_use, disk_use, files_use, redis_lost, left_alone, leaves)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24,
          $25, $26, $27, $28)
        ON CONFLICT (at, node) DO NOTHING");
    FORGET = both("
        DELETE FROM node_sample
        WHERE (at, node) IN (SELECT at, node FROM node_sample WHERE at < $1 ORDER BY at, node LIMIT 1000)");
    WHOLE = both("
        SELECT nodes, last_seen, requests, errors, refusals, error_percent, p50_ms, p95_ms, p99_ms, active_jobs, mean_job_ms,
          sockets, pool_percent
        FROM system_health");
    NODES = both("
        SELECT node, last_seen, requests, errors, refusals, jobs_running, sockets, connections_use, pool_use, processor_use,
          memory_use, disk_use, files_use, redis_lost, left_alone, leaves
        FROM system_health_node ORDER BY node LIMIT 1000");
}

/// For how long samples are kept: longer than any look back.
const KEPT: Duration = Duration::from_secs(2 * 3600);

/// The bounds of the time that an answer took, in milliseconds; the last group has no bound.
pub const SAMPLE_BOUNDS_MS: [u64; 9] = [5, 10, 25, 50, 100, 250, 500, 1000, 5000];

/// How one node was, and what it did since its last sample.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeSample {
    /// Requests that were answered.
    pub requests: u64,
    /// Those of them that failed here.
    pub errors: u64,
    /// Those that were refused for a limit or a crowd.
    pub refusals: u64,
    /// Those whose time counts.
    pub timed: u64,
    /// How many of them took no longer than each of [`SAMPLE_BOUNDS_MS`].
    pub within: [u64; SAMPLE_BOUNDS_MS.len()],
    /// Attempts at jobs that ended.
    pub jobs_ended: u64,
    /// How long they took together, in milliseconds.
    pub jobs_ms: u64,
    /// Jobs that run.
    pub jobs_running: u64,
    /// Live sockets.
    pub sockets: u64,
    /// How far things are used.
    pub uses: NodeUses,
    /// True when Redis is configured and away.
    pub redis_lost: bool,
    /// Services of others that are left alone for their failures.
    pub left_alone: Vec<String>,
    /// True for the last sample of a node that stops as it should.
    pub leaves: bool,
}

/// How far a node uses what it has, each in per cent; nothing where the system does not tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NodeUses {
    /// Connections of clients, in tenths of a per cent of those that are let in; so are all of these.
    pub connections: Option<u32>,
    /// Connections to the database.
    pub pool: Option<u32>,
    /// Processors.
    pub processor: Option<u32>,
    /// Memory of the machine or of the group, whichever is nearer to its end.
    pub memory: Option<u32>,
    /// The disk of the database or of the working directory.
    pub disk: Option<u32>,
    /// Open files.
    pub files: Option<u32>,
}

/// Keeps the sample of a node, and forgets those that are old.
#[derive(Clone, Debug)]
pub struct RecordSample {
    /// The node.
    pub node: Uuid,
    /// The present moment.
    pub at: Timestamp,
    /// How it is.
    pub sample: NodeSample,
}

impl Intent for RecordSample {
    type Output = ();
    const WRITES: bool = true;
    const REPEATABLE: bool = true;

    fn scope(&self) -> Scope {
        Scope::System
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<()> {
        let NodeSample {
            requests, errors, refusals, timed, within, jobs_ended, jobs_ms, jobs_running, sockets, ..
        } = &self.sample;
        let NodeSample { uses, redis_lost, left_alone, leaves, .. } = &self.sample;
        let mut query = tx.query(RECORD).bind(At(self.at)).bind(self.node);
        for count in [requests, errors, refusals, timed].into_iter().chain(within) {
            query = query.bind(signed(*count));
        }
        for count in [jobs_ended, jobs_ms, jobs_running, sockets] {
            query = query.bind(signed(*count));
        }
        for share in [uses.connections, uses.pool, uses.processor, uses.memory, uses.disk, uses.files] {
            query = query.bind(share.map(i64::from));
        }
        query.bind(i64::from(*redis_lost)).bind(left_alone.join(",")).bind(i64::from(*leaves)).run().await?;
        tx.query(FORGET).bind(At(self.at.minus(KEPT))).run().await?;
        Ok(())
    }
}

/// The installation over the last five minutes.
#[derive(Clone, Debug, PartialEq)]
pub struct SystemHealth {
    /// Nodes that have told of themselves and have not left.
    pub nodes: u32,
    /// When the last one told.
    pub last_seen: Option<Timestamp>,
    /// Requests that were answered.
    pub requests: u64,
    /// Those that failed here.
    pub errors: u64,
    /// Those that were refused for a limit or a crowd.
    pub refusals: u64,
    /// How many of a hundred failed.
    pub error_percent: f64,
    /// Half of the answers took no longer than this, in milliseconds; nothing when there were none.
    pub p50_ms: Option<u64>,
    /// 95 of a hundred took no longer.
    pub p95_ms: Option<u64>,
    /// 99 of a hundred took no longer.
    pub p99_ms: Option<u64>,
    /// Jobs that run.
    pub active_jobs: u64,
    /// How long an attempt at a job took on average, in milliseconds.
    pub mean_job_ms: Option<f64>,
    /// Live sockets.
    pub sockets: u64,
    /// How far the connections to the database are used, of the node that uses them most.
    pub pool_percent: Option<f64>,
}

#[derive(sqlx::FromRow)]
struct WholeRow {
    nodes: i64,
    last_seen: Option<At>,
    requests: i64,
    errors: i64,
    refusals: i64,
    error_percent: f64,
    p50_ms: Option<i64>,
    p95_ms: Option<i64>,
    p99_ms: Option<i64>,
    active_jobs: i64,
    mean_job_ms: Option<f64>,
    sockets: i64,
    pool_percent: Option<f64>,
}

/// Reads how the installation is.
#[derive(Clone, Copy, Debug)]
pub struct ReadSystemHealth;

impl Intent for ReadSystemHealth {
    type Output = SystemHealth;
    const WRITES: bool = false;
    const ONE_STATEMENT: bool = true;

    fn scope(&self) -> Scope {
        Scope::System
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<SystemHealth> {
        let row: Option<WholeRow> = tx.query(WHOLE).row().await?;
        let row = row.ok_or_else(|| crate::error::Error::Bug("the view of the system's health is empty".to_owned()))?;
        Ok(SystemHealth {
            nodes: count(row.nodes),
            last_seen: moment(row.last_seen),
            requests: unsigned(row.requests),
            errors: unsigned(row.errors),
            refusals: unsigned(row.refusals),
            error_percent: row.error_percent,
            p50_ms: row.p50_ms.map(unsigned),
            p95_ms: row.p95_ms.map(unsigned),
            p99_ms: row.p99_ms.map(unsigned),
            active_jobs: unsigned(row.active_jobs),
            mean_job_ms: row.mean_job_ms,
            sockets: unsigned(row.sockets),
            pool_percent: row.pool_percent,
        })
    }
}

/// A node as its newest sample has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeHealth {
    /// The node.
    pub node: Uuid,
    /// When it told of itself last.
    pub last_seen: Timestamp,
    /// Requests that it answered in the last five minutes.
    pub requests: u64,
    /// Those that failed here.
    pub errors: u64,
    /// Those that were refused.
    pub refusals: u64,
    /// Jobs that run on it.
    pub jobs_running: u64,
    /// Live sockets.
    pub sockets: u64,
    /// How far things are used.
    pub uses: NodeUses,
    /// True when Redis is configured and away.
    pub redis_lost: bool,
    /// Services of others that are left alone for their failures.
    pub left_alone: Vec<String>,
    /// True when it stopped as it should.
    pub leaves: bool,
}

#[derive(sqlx::FromRow)]
struct NodeRow {
    node: Uuid,
    last_seen: At,
    requests: i64,
    errors: i64,
    refusals: i64,
    jobs_running: i64,
    sockets: i64,
    connections_use: Option<i64>,
    pool_use: Option<i64>,
    processor_use: Option<i64>,
    memory_use: Option<i64>,
    disk_use: Option<i64>,
    files_use: Option<i64>,
    redis_lost: i64,
    left_alone: String,
    leaves: i64,
}

/// Reads how each node is that has told of itself within five minutes.
#[derive(Clone, Copy, Debug)]
pub struct ReadNodeHealth;

impl Intent for ReadNodeHealth {
    type Output = Vec<NodeHealth>;
    const WRITES: bool = false;
    const ONE_STATEMENT: bool = true;

    fn scope(&self) -> Scope {
        Scope::System
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output> {
        let rows: Vec<NodeRow> = tx.query(NODES).rows().await?;
        let node = |row: NodeRow| NodeHealth {
            node: row.node,
            last_seen: row.last_seen.0,
            requests: unsigned(row.requests),
            errors: unsigned(row.errors),
            refusals: unsigned(row.refusals),
            jobs_running: unsigned(row.jobs_running),
            sockets: unsigned(row.sockets),
            uses: NodeUses {
                connections: row.connections_use.map(count),
                pool: row.pool_use.map(count),
                processor: row.processor_use.map(count),
                memory: row.memory_use.map(count),
                disk: row.disk_use.map(count),
                files: row.files_use.map(count),
            },
            redis_lost: row.redis_lost != 0,
            left_alone: row.left_alone.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect(),
            leaves: row.leaves != 0,
        };
        Ok(rows.into_iter().map(node).collect())
    }
}
