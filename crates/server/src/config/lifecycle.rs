//! The section `[lifecycle]`.

use serde::{Deserialize, Serialize};

use super::rules::durations;
use super::schema::Bound;

pub(super) const BOUNDS: &[Bound] = &[("lifecycle.drain_seconds", 0, 3_600)];

/// Stopping.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Lifecycle {
    /// How long a stopping server waits for its requests and replies, in seconds.
    pub drain_seconds: u64,
}

durations!(Lifecycle { drain: from_secs(drain_seconds) });
