//! What a handler knows of its attempt.

use mainstay_domain::{JobId, TenantId, Timestamp, TraceContext};
use mainstay_store::{Call, Fence};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// An attempt of a job.
#[derive(Clone, Debug)]
pub struct JobContext {
    /// Which job.
    pub job: JobId,
    /// Whose it is; nothing for the installation's own.
    pub tenant: Option<TenantId>,
    /// The group within its queue.
    pub group: String,
    /// Which attempt, from 1. A job that is rescued, or begun anew, counts on or from the start.
    pub attempt: u32,
    /// After how many it is given up.
    pub most_attempts: u32,
    /// When the job became due.
    pub run_at: Timestamp,
    /// When the attempt began.
    pub started_at: Timestamp,
    /// For what the job was promised; nothing for what came of no request.
    pub trace: Option<TraceContext>,
    /// When it is stopped.
    pub deadline: Instant,
    /// The right to end the job: hand it to an intent that ends it in the transaction of its effect, and answer
    /// [`crate::Done::Settled`].
    pub fence: Fence,
    /// Cancelled when the attempt is to stop. It is dropped at that moment, wherever it waits; what runs beside it can
    /// follow this.
    pub cancelled: CancellationToken,
}

impl JobContext {
    /// A call of the store that lasts as long as the attempt may.
    #[must_use]
    pub fn call(&self) -> Call {
        Call::until(self.deadline)
    }

    /// True when a failure of this attempt is the last.
    #[must_use]
    pub const fn is_last(&self) -> bool {
        self.attempt >= self.most_attempts
    }
}
