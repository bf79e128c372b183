//! The section `[flags]`.

use serde::{Deserialize, Serialize};

use super::schema::Bound;

pub(super) const BOUNDS: &[Bound] = &[
    ("flags.waiting_exposures", 1_000, 10_000_000),
    ("flags.known_exposures", 0, 100_000_000),
    ("flags.keep_stopped_days", 1, 3_650),
];

/// Feature flags and experiments.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Flags {
    /// The most exposures that wait to be written on a node.
    pub waiting_exposures: usize,
    /// Exposures that a node knows to be written, so that telling of them again costs nothing.
    pub known_exposures: u64,
    /// For how many days what an experiment found is kept after it was stopped.
    pub keep_stopped_days: u64,
}

impl Flags {
    /// For how long what an experiment found is kept.
    #[must_use]
    pub const fn kept(&self) -> std::time::Duration {
        std::time::Duration::from_secs(self.keep_stopped_days * 86_400)
    }
}
