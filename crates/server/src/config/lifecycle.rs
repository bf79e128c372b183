//! The section `[lifecycle]`.

use serde::{Deserialize, Serialize};

/// Stopping.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Lifecycle {
    /// How long a stopping server waits for its requests and replies, in seconds.
    pub drain_seconds: u64,
}
