//! The section `[replay]`.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::schema::Bound;

pub(super) const BOUNDS: &[Bound] =
    &[("replay.sample_percent", 0, 100), ("replay.keep_days", 1, 90), ("replay.most_megabytes", 1, 10_240)];

/// Recordings of what pages of the console looked like.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Replay {
    /// Whether people are asked at all, and what they send is taken.
    pub enabled: bool,
    /// Of how many of a hundred sessions everything is sent.
    pub sample_percent: u32,
    /// For how many days a recording is kept after its last chunk.
    pub keep_days: u64,
    /// How much is kept of all organisations together, in millions of bytes.
    pub most_megabytes: u64,
}

impl Replay {
    /// For how long a recording is kept.
    #[must_use]
    pub const fn kept(&self) -> Duration {
        Duration::from_secs(self.keep_days * 86_400)
    }

    /// How many bytes are kept at the most.
    #[must_use]
    pub const fn most_bytes(&self) -> u64 {
        self.most_megabytes * 1_000_000
    }
}
