//! The section `[inbox]`.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::schema::Bound;

pub(super) const BOUNDS: &[Bound] = &[("inbox.keep_days", 1, 3_650), ("inbox.answer_timeout_ms", 100, 19_000)];

/// Webhooks that arrive.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Inbox {
    /// For how many days events that arrived are kept. An event that its sender repeats later than that is taken as new.
    pub keep_days: u64,
    /// How long a sender that waits for an answer waits at most, in milliseconds.
    pub answer_timeout_ms: u64,
}

impl Inbox {
    /// For how long events are kept.
    #[must_use]
    pub const fn kept(&self) -> Duration {
        Duration::from_secs(self.keep_days * 86_400)
    }
}
