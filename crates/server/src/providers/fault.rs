//! What can go wrong with a provider, in words that a person, a log and a metric can use.

use std::fmt;
use std::time::Duration;

use mainstay_domain::{Error, Kind};

/// The most characters of a provider's own words that are kept for the log.
const MAX_INSIDE_CHARS: usize = 500;

/// Why there is no (whole) reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// No connection within `connect_timeout_ms`.
    ConnectTimeout,
    /// No connection: the name is unknown, the port is closed, or TLS failed.
    Unreachable,
    /// No text within `first_token_timeout_ms` of sending the request.
    FirstTokenTimeout,
    /// No further text within `idle_timeout_ms`.
    IdleTimeout,
    /// The caller's deadline passed.
    Deadline,
    /// The provider does not take the request.
    Refused {
        /// The HTTP status: 3xx or 4xx.
        status: u16,
    },
    /// The provider failed.
    ServerError {
        /// The HTTP status: 5xx.
        status: u16,
    },
    /// 429: the limits of the account are spent.
    RateLimited,
    /// 529 or 503: the provider has too much to do.
    Overloaded,
    /// 401 or 403: the key is not good.
    Unauthorised,
    /// The connection ended before the answer did.
    Cut,
    /// What came is not what the protocol says.
    Garbage,
    /// The answer was complete and had no text.
    Empty,
    /// Too many requests wait for this provider.
    QueueFull,
    /// The request waited longer than `queue_timeout_ms`.
    QueueTimeout,
    /// The provider failed so often that it is left alone for a while.
    BreakerOpen,
}

impl FaultKind {
    /// Every code, in the order of the figures.
    pub const CODES: [&'static str; 16] = [
        "connect_timeout",
        "unreachable",
        "first_token_timeout",
        "idle_timeout",
        "deadline",
        "refused",
        "server_error",
        "rate_limited",
        "overloaded",
        "unauthorised",
        "cut",
        "garbage",
        "empty",
        "queue_full",
        "queue_timeout",
        "breaker_open",
    ];

    /// Where this kind stands in [`FaultKind::CODES`].
    pub(super) const fn index(self) -> usize {
        match self {
            Self::ConnectTimeout => 0,
            Self::Unreachable => 1,
            Self::FirstTokenTimeout => 2,
            Self::IdleTimeout => 3,
            Self::Deadline => 4,
            Self::Refused { .. } => 5,
            Self::ServerError { .. } => 6,
            Self::RateLimited => 7,
            Self::Overloaded => 8,
            Self::Unauthorised => 9,
            Self::Cut => 10,
            Self::Garbage => 11,
            Self::Empty => 12,
            Self::QueueFull => 13,
            Self::QueueTimeout => 14,
            Self::BreakerOpen => 15,
        }
    }

    /// A stable code in `snake_case`, for metrics and logs.
    #[must_use]
    pub const fn code(self) -> &'static str {
        Self::CODES[self.index()]
    }

    /// The kind that an HTTP status stands for.
    pub(super) const fn of_status(status: u16) -> Self {
        match status {
            401 | 403 => Self::Unauthorised,
            429 => Self::RateLimited,
            503 | 529 => Self::Overloaded,
            500.. => Self::ServerError { status },
            _ => Self::Refused { status },
        }
    }

    /// Whether the same request may succeed when it is sent again.
    pub(super) const fn is_passing(self) -> bool {
        match self {
            Self::Refused { status } => matches!(status, 408 | 409),
            Self::ConnectTimeout
            | Self::Unreachable
            | Self::FirstTokenTimeout
            | Self::IdleTimeout
            | Self::ServerError { .. }
            | Self::RateLimited
            | Self::Overloaded
            | Self::Cut
            | Self::Garbage => true,
            Self::Deadline
            | Self::Unauthorised
            | Self::Empty
            | Self::QueueFull
            | Self::QueueTimeout
            | Self::BreakerOpen => false,
        }
    }

    /// What happened, as the end of a sentence that begins with the provider's name.
    fn phrase(self) -> String {
        match self {
            Self::ConnectTimeout => "could not be reached in time".to_owned(),
            Self::Unreachable => "could not be reached".to_owned(),
            Self::FirstTokenTimeout => "did not begin to answer in time".to_owned(),
            Self::IdleTimeout => "stopped in the middle of its answer".to_owned(),
            Self::Deadline => "did not finish within the time of this request".to_owned(),
            Self::Refused { status } => format!("refused the request (status {status})"),
            Self::ServerError { status } => format!("failed (status {status})"),
            Self::RateLimited => "says that its rate limit is reached".to_owned(),
            Self::Overloaded => "is overloaded".to_owned(),
            Self::Unauthorised => "refused its key".to_owned(),
            Self::Cut => "broke off before the end of its answer".to_owned(),
            Self::Garbage => "answered in a form that cannot be read".to_owned(),
            Self::Empty => "gave an answer without text".to_owned(),
            Self::QueueFull => "has too many requests waiting".to_owned(),
            Self::QueueTimeout => "was busy for too long".to_owned(),
            Self::BreakerOpen => "failed several times and is left alone for a while".to_owned(),
        }
    }
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())?;
        match self {
            Self::Refused { status } | Self::ServerError { status } => write!(f, " {status}"),
            _ => Ok(()),
        }
    }
}

/// A failure of one provider, or of all of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Which provider: when all failed, the first one that was asked, or that broke off in the middle of its text.
    pub provider: String,
    /// What happened.
    pub kind: FaultKind,
    /// For the person: what happened and what to do. When several providers failed, what each said.
    pub detail: String,
    /// For the log: bounded, and none of the provider's own words but the type of its error.
    pub inside: String,
    /// When to come back, where that is known.
    pub retry_after: Option<Duration>,
}

impl Fault {
    /// A fault of this kind, in the usual words.
    pub(super) fn new(provider: &str, kind: FaultKind) -> Self {
        let detail = format!("The model provider {provider} {}.", kind.phrase());
        Self { provider: provider.to_owned(), kind, detail, inside: String::new(), retry_after: None }
    }

    /// Adds words for the log: control characters become spaces, and it is cut to its bound.
    pub(super) fn because(mut self, inside: &str) -> Self {
        self.inside = inside
            .chars()
            .take(MAX_INSIDE_CHARS)
            .map(|character| if character.is_control() { ' ' } else { character })
            .collect();
        self
    }

    /// Adds when to come back.
    pub(super) fn retry_after(mut self, after: Option<Duration>) -> Self {
        self.retry_after = after;
        self
    }

    /// One fault for a chain in which every provider failed: the first one's, with what each said. Whoever comes back
    /// is told the earliest moment at which any of them may answer.
    pub(super) fn of_all(faults: Vec<Self>) -> Option<Self> {
        let several = faults.len() > 1;
        let details: Vec<_> = faults.iter().map(|fault| fault.detail.as_str()).collect();
        let detail = details.join(" ");
        let insides: Vec<_> =
            faults.iter().map(|fault| format!("{}: {}: {}", fault.provider, fault.kind, fault.inside)).collect();
        let inside = insides.join("; ");
        let retry_after = faults.iter().filter_map(|fault| fault.retry_after).min();
        let first = faults.into_iter().next()?;
        Some(if several { Self { detail, inside, retry_after, ..first } } else { first })
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.provider, self.kind)?;
        if self.inside.is_empty() { Ok(()) } else { write!(f, ": {}", self.inside) }
    }
}

impl std::error::Error for Fault {}

impl From<Fault> for Error {
    /// As a caller sees it: `provider_busy` (503), `provider_timeout` (504) or `provider_failed` (502).
    fn from(fault: Fault) -> Self {
        let (kind, code) = match fault.kind {
            FaultKind::RateLimited
            | FaultKind::Overloaded
            | FaultKind::QueueFull
            | FaultKind::QueueTimeout
            | FaultKind::BreakerOpen => (Kind::Unavailable, "provider_busy"),
            FaultKind::ConnectTimeout | FaultKind::FirstTokenTimeout | FaultKind::IdleTimeout | FaultKind::Deadline => {
                (Kind::Timeout, "provider_timeout")
            }
            FaultKind::Unreachable
            | FaultKind::Refused { .. }
            | FaultKind::ServerError { .. }
            | FaultKind::Unauthorised
            | FaultKind::Cut
            | FaultKind::Garbage
            | FaultKind::Empty => (Kind::Upstream, "provider_failed"),
        };
        let error = Self { retry_after: fault.retry_after, ..Self::new(kind, code, fault.detail.clone()) };
        error.because(fault)
    }
}

/// A failed attempt, with the provider's advice on whether to try again (`x-should-retry`).
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) fault: Fault,
    pub(super) should_retry: Option<bool>,
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        Self { fault, should_retry: None }
    }
}
