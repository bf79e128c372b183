//! What arrives from outside.

use std::fmt;
use std::str::FromStr;

use crate::account::{UnknownWord, words};
use crate::job::JobState;

/// What became of an event that arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum InboxState {
    /// It is stored, and will be processed.
    Pending,
    /// It has been processed.
    Processed,
    /// It could not be processed; its errors are kept.
    Dead,
    /// Somebody has cancelled its job.
    Cancelled,
}

words!(InboxState { Pending = "pending", Processed = "processed", Dead = "dead", Cancelled = "cancelled" });

impl InboxState {
    /// What the state of its job says of an event. Only a job that was done is ever forgotten before its event.
    #[must_use]
    pub const fn of_job(job: Option<JobState>) -> Self {
        match job {
            Some(JobState::Scheduled | JobState::Ready | JobState::Running) => Self::Pending,
            Some(JobState::Dead) => Self::Dead,
            Some(JobState::Cancelled) => Self::Cancelled,
            Some(JobState::Done) | None => Self::Processed,
        }
    }
}
