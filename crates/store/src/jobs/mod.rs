//! Jobs: work that a transaction promised, and every step of its life.
//!
//! A job is a row. Each transition of it (claimed, done, put off, rescued, cancelled) names the number in `lease` that was
//! read with the row, and adds one to it: that number alone is the fence. A worker that was frozen, taken for dead and
//! overtaken finds no row to change, whatever it does. No other condition stands beside the number, because PostgreSQL would
//! then choose a partial index for it and wade through what has left that index.
//!
//! Workers hold a lease each ([`crate::lease`]), named on the rows that they run; what names a lease that has ended is
//! rescued. So a heartbeat is one row for each worker, and not one for each job.

pub(crate) mod claim;
pub(crate) mod enqueue;
pub(crate) mod finish;
pub(crate) mod listing;
pub(crate) mod probe;
pub(crate) mod queues;
pub(crate) mod rate;
pub(crate) mod schedule;
pub(crate) mod upkeep;

use mainstay_domain::{JobId, JobPriority, TenantId, Timestamp, TraceContext};
use uuid::Uuid;

#[cfg(test)]
pub(crate) const ALL_STATEMENTS: &[&[crate::sql::Sql]] = &[
    claim::STATEMENTS,
    claim::overall::STATEMENTS,
    enqueue::STATEMENTS,
    finish::STATEMENTS,
    listing::STATEMENTS,
    probe::STATEMENTS,
    queues::STATEMENTS,
    schedule::STATEMENTS,
    upkeep::STATEMENTS,
];

/// The group of jobs that name none.
pub const NO_GROUP: &str = "all";

/// That there is one job of a kind with a key, and until when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unique {
    /// The key, at most 200 bytes.
    pub key: String,
    /// The key stays until then even when the job has ended before; without it, until the job has ended.
    pub until: Option<Timestamp>,
}

/// A job to enqueue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewJob {
    /// Its id.
    pub id: JobId,
    /// In which queue.
    pub queue: &'static str,
    /// What is to be done.
    pub kind: &'static str,
    /// What its limits and its turn are counted by within the queue.
    pub group: String,
    /// Whose it is; nothing for the installation's own.
    pub tenant: Option<TenantId>,
    /// What goes first.
    pub priority: JobPriority,
    /// What its kind needs to know, as JSON.
    pub arguments: String,
    /// That there is only one.
    pub unique: Option<Unique>,
    /// Not before this.
    pub run_at: Timestamp,
    /// After how many attempts it is given up.
    pub most_attempts: u32,
    /// For what it is promised, where the transaction that promises it does not know.
    pub trace: Option<TraceContext>,
}

/// A job that this worker has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claimed {
    /// Its id.
    pub id: JobId,
    /// What is to be done.
    pub kind: String,
    /// The group it belongs to.
    pub group: String,
    /// Whose it is; nothing for the installation's own.
    pub tenant: Option<TenantId>,
    /// What its kind needs to know, as JSON.
    pub arguments: String,
    /// Which attempt this is, from 1.
    pub attempt: u32,
    /// After how many it is given up.
    pub most_attempts: u32,
    /// The fence: every transition names it.
    pub lease: i64,
    /// When it became due.
    pub run_at: Timestamp,
    /// When this attempt began.
    pub started_at: Timestamp,
    /// For what it was promised; nothing for what came of no request.
    pub trace: Option<TraceContext>,
}

/// The nil UUID stands for the installation itself.
pub(crate) fn tenant_of(id: Uuid) -> Option<TenantId> {
    (!id.is_nil()).then_some(TenantId(id))
}

/// See [`tenant_of`].
pub(crate) fn tenant_id(tenant: Option<TenantId>) -> Uuid {
    tenant.map_or(Uuid::nil(), TenantId::uuid)
}
