//! What an operator needs: health, figures, housekeeping.

pub mod alerts;
pub mod audit;
pub mod backup;
pub mod build;
pub mod client_reports;
pub mod deployments;
pub mod errors;
pub mod health;
pub mod housekeeping;
pub mod log;
pub mod metrics;
pub mod pools;
pub mod preflight;
pub mod probe;
pub mod process;
pub mod replays;
pub mod smoke;
pub mod system;
pub mod traces;

use std::sync::Arc;

use mainstay_domain::{Ids, Result};
use mainstay_store::Store;
use prometheus_client::registry::Registry;
use uuid::Uuid;

use self::alerts::Alerts;
use self::client_reports::ClientReports;
use self::errors::ErrorReports;
use self::replays::Replays;
use self::system::SampleFigures;
use self::traces::Traces;
use crate::app::Outside;
use crate::config::Config;

/// What tells people how an installation is.
#[derive(Debug)]
pub struct Watching {
    /// By what this process is told from others, in samples and in traces.
    pub node: Uuid,
    /// What is wrong.
    pub alerts: Alerts,
    /// What browsers tell of themselves.
    pub client_reports: ClientReports,
    /// Errors, for a server of error reports.
    pub error_reports: ErrorReports,
    /// Recordings of pages of the console.
    pub replays: Replays,
    /// What requests and jobs did, step by step.
    pub traces: Traces,
    /// How often this node has told of itself.
    pub samples: SampleFigures,
}

impl Watching {
    /// Makes it ready, and its figures known.
    ///
    /// # Errors
    /// When an HTTP client cannot be made.
    pub fn new(config: &Config, store: &Store, ids: &Ids, outside: &Outside, registry: &mut Registry) -> Result<Self> {
        log::register(registry);
        build::register(registry);
        let parts = (store.clone(), Arc::clone(&outside.clock));
        let node = ids.make();
        Ok(Self {
            node,
            alerts: Alerts::new(&config.alerts, parts, Arc::clone(&outside.lookup), registry)?,
            client_reports: ClientReports::register(registry),
            error_reports: ErrorReports::new(&config.errors, outside, registry)?,
            replays: Replays::new(&config.replay, (store.clone(), Arc::clone(&outside.clock), ids.clone()), registry),
            traces: Traces::new(config, (node, store.engine_name()), outside, registry)?,
            samples: SampleFigures::register(registry),
        })
    }
}
