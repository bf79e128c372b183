//! How an attempt ends, as its handler says it.

use std::fmt::Display;
use std::time::Duration;

/// The end of an attempt that went well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Done {
    /// It is done.
    Finished,
    /// It is done, and the transaction of its effect has said so.
    Settled,
    /// Not yet: it is run again after this time, and the attempt does not count.
    Snoozed(Duration),
}

/// When an attempt that failed is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// As its kind says.
    Backoff,
    /// After this time.
    After(Duration),
    /// Never: it is given up, to be looked at.
    Never,
}

/// An attempt that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What went wrong. It is kept with the job and shown to people; the first 4,096 bytes of it.
    pub error: String,
    /// When it is tried again.
    pub retry: Retry,
}

impl Failure {
    /// A failure that is tried again as the kind says.
    #[must_use]
    pub fn new(error: impl Display) -> Self {
        Self { error: error.to_string(), retry: Retry::Backoff }
    }

    /// The same, with another answer to when it is tried again.
    #[must_use]
    pub fn retry(self, retry: Retry) -> Self {
        Self { retry, ..self }
    }
}

impl From<mainstay_store::Error> for Failure {
    fn from(error: mainstay_store::Error) -> Self {
        Self::new(error)
    }
}

impl From<mainstay_domain::Error> for Failure {
    fn from(error: mainstay_domain::Error) -> Self {
        match &error.inside {
            Some(inside) => Self::new(format_args!("{} ({inside})", error.detail)),
            None => Self::new(&error.detail),
        }
    }
}

/// What a handler answers.
pub type JobResult = Result<Done, Failure>;
