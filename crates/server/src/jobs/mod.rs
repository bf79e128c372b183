//! Jobs as people see and steer them. [`service`] has the verbs, which the wire ([`api`]) and the command line share; the
//! background keeps figures of all queues ([`figures`]) and tells other nodes of what was promised here ([`hints`]);
//! [`health`] says whether work stands still.
//!
//! How jobs are done is elsewhere: `crates/jobs` runs them, `crates/store/src/jobs` keeps them, and `job_list.rs` has every
//! queue and kind. `docs/jobs.md` tells how they are looked after.

pub mod api;
mod body;
mod figures;
pub(crate) mod health;
mod hints;
pub mod service;

use std::sync::Arc;

use prometheus_client::registry::Registry;

pub use self::body::{
    CancelledBody, JobAttemptBody, JobBody, LifeBody, QueueBody, QueuesBody, ReplayedBiteBody, ScheduleBody,
};
pub use self::figures::Depths;
use self::health::Standing;
use crate::app::App;

/// What this node knows of all jobs.
#[derive(Debug, Default)]
pub struct Jobs {
    /// The figures of all queues.
    pub depths: Depths,
    /// Whether work stands still, as it was seen last.
    pub(crate) standing: Standing,
}

impl Jobs {
    /// Makes the figures known.
    pub fn register(registry: &mut Registry) -> Self {
        let jobs = Self::default();
        jobs.depths.register(registry);
        jobs
    }
}

/// Starts what runs in the background. Before the first promise of this process, so that none goes untold.
pub fn start(app: &Arc<App>) {
    figures::start(app);
    hints::start(app);
}
