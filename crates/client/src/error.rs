//! What can go wrong with a call.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::live::Closure;

/// Why a call has no answer. Cheap to copy, so that one failure can be told to all who wait for the same thing.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The server refused, or failed, and said why (RFC 9457).
    #[error("{0}")]
    Problem(Box<Problem>),
    /// There was no whole answer.
    #[error("{fault}: {cause}")]
    Transport {
        /// At what point.
        fault: TransportFault,
        /// What the layer below says.
        cause: Arc<str>,
    },
    /// The answer is not what this client understands.
    #[error("{what} could not be read: {detail}")]
    Decode {
        /// What was read.
        what: &'static str,
        /// What is wrong with it.
        detail: String,
    },
    /// The sign-in has ended: its refresh token is not good any more. Sign in again.
    #[error("the sign-in has ended: {0}")]
    SignedOut(Box<Problem>),
    /// The live socket was closed by the server, which does not want it back.
    #[error("the socket was closed for good: {0}")]
    Closed(Closure),
    /// The client cannot be made with this setting, or the call with this argument.
    #[error("{0}")]
    Setting(String),
}

/// At what point there was no whole answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TransportFault {
    /// No connection was made: nothing was sent.
    Connect,
    /// The answer did not begin in time.
    FirstByte,
    /// The answer stood still for too long.
    Idle,
    /// The connection broke, or what came was no HTTP.
    Broken,
    /// The answer is larger than the client takes.
    TooLarge,
}

impl TransportFault {
    /// The word for it, for figures by kind.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::FirstByte => "first_byte_timeout",
            Self::Idle => "idle_timeout",
            Self::Broken => "broken",
            Self::TooLarge => "answer_too_large",
        }
    }
}

impl fmt::Display for TransportFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connect => "no connection was made",
            Self::FirstByte => "the answer did not begin in time",
            Self::Idle => "the answer stood still",
            Self::Broken => "the connection broke",
            Self::TooLarge => "the answer is too large",
        })
    }
}

/// A problem document (RFC 9457), as the server wrote it.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[non_exhaustive]
pub struct Problem {
    /// The status of the answer.
    #[serde(default)]
    pub status: u16,
    /// Stable, in `snake_case`: branch on it.
    #[serde(default)]
    pub code: String,
    /// What happened and what to do.
    #[serde(default)]
    pub detail: String,
    /// The request, as the server's log names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<Uuid>,
    /// For bad input: every field that is wrong.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<FieldFault>,
    /// When to come back, from the header `Retry-After`.
    #[serde(skip)]
    pub retry_after: Option<Duration>,
    /// Whatever else the document holds: `type`, `title`, and what belongs to the code, like `reason`.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

/// One field of the input that was refused.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct FieldFault {
    /// Its path: `content`, `items[3].name`.
    pub field: String,
    /// Stable, in `snake_case`.
    pub code: String,
    /// What is wrong and how to mend it.
    #[serde(default)]
    pub detail: String,
}

impl Problem {
    /// Reads the body of a refusal. What is no problem document (a proxy's page) is told by its status alone.
    pub(crate) fn read(status: u16, retry_after: Option<Duration>, body: &[u8]) -> Self {
        let mut problem: Self = serde_json::from_slice(body).unwrap_or_default();
        problem.status = status;
        if problem.code.is_empty() {
            problem.code = format!("http_{status}");
        }
        Self { retry_after, ..problem }
    }

    /// A text member of the document beside those that have a field of their own.
    #[must_use]
    pub fn text(&self, member: &str) -> Option<&str> {
        self.more.get(member).and_then(Value::as_str)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.status, self.code)?;
        if !self.detail.is_empty() {
            write!(f, ": {}", self.detail)?;
        }
        self.request_id.map_or(Ok(()), |id| write!(f, " (request {id})"))
    }
}

impl Error {
    pub(crate) fn transport(fault: TransportFault, cause: impl fmt::Display) -> Self {
        Self::Transport { fault, cause: cause.to_string().into() }
    }

    pub(crate) fn decode(what: &'static str, detail: impl fmt::Display) -> Self {
        Self::Decode { what, detail: detail.to_string() }
    }

    /// The problem, when the server told one.
    #[must_use]
    pub fn problem(&self) -> Option<&Problem> {
        match self {
            Self::Problem(problem) | Self::SignedOut(problem) => Some(problem),
            _ => None,
        }
    }

    /// The status of the answer, when there was one.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        self.problem().map(|problem| problem.status)
    }

    /// The stable code of the problem, when there was one.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        self.problem().map(|problem| problem.code.as_str())
    }

    /// When the server wants to be asked again.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.problem().and_then(|problem| problem.retry_after)
    }

    /// True when the replica must be forgotten and read from the beginning (410 `resync_required`).
    #[must_use]
    pub fn is_resync(&self) -> bool {
        self.code() == Some("resync_required")
    }

    /// True when the same call may well succeed later, without the caller changing anything.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Problem(problem) => matches!(problem.status, 408 | 429 | 502 | 503 | 504),
            Self::Transport { fault, .. } => *fault != TransportFault::TooLarge,
            _ => false,
        }
    }

    /// A short stable word for figures by kind: the problem's code, or what broke.
    #[must_use]
    pub fn kind(&self) -> &str {
        match self {
            Self::Problem(problem) => &problem.code,
            Self::Transport { fault, .. } => fault.as_str(),
            Self::Decode { .. } => "decode",
            Self::SignedOut(_) => "signed_out",
            Self::Closed(_) => "closed",
            Self::Setting(_) => "setting",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_read_with_what_belongs_to_its_code() {
        let body = br#"{"type":"urn:mainstay:problem:resync_required","title":"Resync required","status":410,
            "code":"resync_required","detail":"Begin again.","reason":"floor",
            "request_id":"00000000-0000-0000-0000-000000000007",
            "fields":[{"field":"cursor","code":"stale","detail":"too old"}]}"#;
        let problem = Problem::read(410, Some(Duration::from_secs(3)), body);
        assert_eq!(problem.text("reason"), Some("floor"));
        assert_eq!(problem.fields[0].field, "cursor");
        let error = Error::Problem(Box::new(problem));
        assert!(error.is_resync() && !error.is_passing());
        assert_eq!((error.status(), error.retry_after()), (Some(410), Some(Duration::from_secs(3))));
    }

    #[test]
    fn what_is_no_document_is_told_by_its_status() {
        let problem = Problem::read(502, None, b"<html>Bad Gateway</html>");
        assert_eq!((problem.status, problem.code.as_str()), (502, "http_502"));
        assert!(Error::Problem(Box::new(problem)).is_passing());
    }
}
