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
    /// What the log and the trace say of it: nothing that somebody outside has written.
    pub told: String,
    /// When it is tried again.
    pub retry: Retry,
}

impl Failure {
    /// A failure that is tried again as the kind says.
    #[must_use]
    pub fn new(error: impl Display) -> Self {
        let error = error.to_string();
        Self { told: error.clone(), error, retry: Retry::Backoff }
    }

    /// The same, with what somebody outside has said or written: it is kept with the job, and not told in the log.
    #[must_use]
    pub fn because(self, words: impl Display) -> Self {
        Self { error: format!("{}: {words}", self.error), ..self }
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
        let failure = match &error.inside {
            Some(inside) => Self::new(format_args!("{} ({inside})", error.detail)),
            None => Self::new(&error.detail),
        };
        // What is refused may be told with the value that is refused.
        if error.kind.is_fault() { failure } else { Self { told: error.code.to_owned(), ..failure } }
    }
}

/// What a handler answers.
pub type JobResult = Result<Done, Failure>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_have_said_is_kept_and_not_told() {
        let failure = Failure::new("refused with 400").because("no such address: ada");
        assert_eq!(
            (failure.error.as_str(), failure.told.as_str()),
            ("refused with 400: no such address: ada", "refused with 400")
        );
        let refused = mainstay_domain::Error::not_found("ada");
        let failure = Failure::from(refused);
        assert_eq!((failure.error.as_str(), failure.told.as_str()), ("There is no such ada.", "not_found"));
    }
}
