//! The wire of the system's health, for operators of the installation.

use std::sync::Arc;

use axum::extract::State;
use mainstay_domain::Timestamp;
use mainstay_store::{NodeHealth, ReadNodeHealth, ReadSystemHealth, SystemHealth};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::accounts::Operator;
use crate::app::App;
use crate::http::{Document, Json, Problem, RequestContext};

/// How the installation is, over the last five minutes.
#[derive(Debug, Serialize, ToSchema)]
pub struct SystemHealthBody {
    /// Requests that were answered.
    requests: u64,
    /// Those that failed here.
    errors: u64,
    /// Those that were refused for a limit or a crowd.
    refusals: u64,
    /// How many of a hundred failed.
    error_percent: f64,
    /// Half of the answers took no longer than this, in milliseconds, rounded up to 5, 10, 25, 50, 100, 250, 500, 1000, 5000 or
    /// 30000; null when there were none.
    p50_ms: Option<u64>,
    /// 95 of a hundred took no longer.
    p95_ms: Option<u64>,
    /// 99 of a hundred took no longer.
    p99_ms: Option<u64>,
    /// Jobs that run.
    active_jobs: u64,
    /// How long an attempt at a job took on average, in milliseconds; null when none ended.
    mean_job_ms: Option<f64>,
    /// Live sockets.
    sockets: u64,
    /// How far the connections to the database are used, of the node that uses them most.
    pool_percent: Option<f64>,
    /// When a node told of itself last.
    #[schema(value_type = Option<String>, format = DateTime)]
    last_seen: Option<Timestamp>,
    /// Each node that has told of itself.
    nodes: Vec<NodeHealthBody>,
}

/// A node.
#[derive(Debug, Serialize, ToSchema)]
pub struct NodeHealthBody {
    /// Its id, which is new with each start.
    id: Uuid,
    /// When it told of itself last.
    #[schema(value_type = String, format = DateTime)]
    last_seen: Timestamp,
    /// True when it has stopped as it should.
    left: bool,
    /// Requests that it answered.
    requests: u64,
    /// Those that failed here.
    errors: u64,
    /// Those that were refused.
    refusals: u64,
    /// Jobs that run on it.
    active_jobs: u64,
    /// Live sockets.
    sockets: u64,
    /// How far its connections to the database are used.
    pool_percent: Option<f64>,
    /// How far it uses its processors.
    processor_percent: Option<f64>,
    /// How far memory is used.
    memory_percent: Option<f64>,
    /// How far the disk is used.
    disk_percent: Option<f64>,
    /// How many of the open files that the system allows there are.
    files_percent: Option<f64>,
    /// How many of the connections that are let in there are.
    connections_percent: Option<f64>,
    /// True when Redis is configured and away.
    redis_lost: bool,
    /// Services of others that it leaves alone for their failures.
    left_alone: Vec<String>,
}

impl From<NodeHealth> for NodeHealthBody {
    fn from(node: NodeHealth) -> Self {
        let percent = |tenths: Option<u32>| tenths.map(|tenths| f64::from(tenths) / 10.0);
        let uses = node.uses;
        Self {
            id: node.node,
            last_seen: node.last_seen,
            left: node.leaves,
            requests: node.requests,
            errors: node.errors,
            refusals: node.refusals,
            active_jobs: node.jobs_running,
            sockets: node.sockets,
            pool_percent: percent(uses.pool),
            processor_percent: percent(uses.processor),
            memory_percent: percent(uses.memory),
            disk_percent: percent(uses.disk),
            files_percent: percent(uses.files),
            connections_percent: percent(uses.connections),
            redis_lost: node.redis_lost,
            left_alone: node.left_alone,
        }
    }
}

impl SystemHealthBody {
    fn of(health: SystemHealth, nodes: Vec<NodeHealth>) -> Self {
        Self {
            requests: health.requests,
            errors: health.errors,
            refusals: health.refusals,
            error_percent: health.error_percent,
            p50_ms: health.p50_ms,
            p95_ms: health.p95_ms,
            p99_ms: health.p99_ms,
            active_jobs: health.active_jobs,
            mean_job_ms: health.mean_job_ms,
            sockets: health.sockets,
            pool_percent: health.pool_percent,
            last_seen: health.last_seen,
            nodes: nodes.into_iter().map(NodeHealthBody::from).collect(),
        }
    }
}

/// Reads how the installation is: requests, failures and refusals of the last five minutes, jobs, sockets, and each node.
#[utoipa::path(get, path = "/v1/system-health", tag = "operations",
    responses((status = 200, body = SystemHealthBody), (status = "default", body = Document<'static>)))]
pub async fn system_health(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Operator(_): Operator,
) -> Result<Json<SystemHealthBody>, Problem> {
    let health = app.store.run(&context.call, ReadSystemHealth).await?;
    let nodes = app.store.run(&context.call, ReadNodeHealth).await?;
    Ok(Json(SystemHealthBody::of(health, nodes)))
}
