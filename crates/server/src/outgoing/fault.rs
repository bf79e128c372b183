//! Why there is no answer.

use std::error::Error;
use std::io;
use std::iter::successors;
use std::time::Duration;

use http::StatusCode;

use super::address::NotPublic;
use super::phase::Phase;
use super::resolver::Undialled;
use super::rules::BadUrl;

/// The most characters that are kept for the log.
const MAX_INSIDE_CHARS: usize = 500;

/// What went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The URL may not be called. Nothing was sent.
    BadUrl(BadUrl),
    /// The name stands for addresses that may not be called, and for no other. Nothing was sent.
    Refused(NotPublic),
    /// The name has no address. Nothing was sent.
    Unresolvable,
    /// Nobody took the connection. Nothing was sent.
    ConnectFailed,
    /// TLS failed: the certificate is not good for this name, or the other side does not speak it. Nothing was sent.
    TlsFailed,
    /// It took too long. From [`Phase::Answer`] on, the request may have been acted on.
    TimedOut(Phase),
    /// The connection ended before the answer was whole. The request may have been acted on.
    ConnectionLost,
    /// What came is not HTTP. The request may have been acted on.
    NotHttp,
    /// The request could not be made. This is a fault of ours.
    Unsendable,
}

impl Fault {
    /// A stable code in `snake_case`, for metrics, logs and whoever owns the endpoint.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::BadUrl(_) => "url_refused",
            Self::Refused(_) => "address_refused",
            Self::Unresolvable => "unresolvable",
            Self::ConnectFailed => "connect_failed",
            Self::TlsFailed => "tls_failed",
            Self::TimedOut(Phase::Resolve) => "resolve_timeout",
            Self::TimedOut(Phase::Connect) => "connect_timeout",
            Self::TimedOut(Phase::Answer) => "answer_timeout",
            Self::TimedOut(Phase::Body) => "body_timeout",
            Self::ConnectionLost => "connection_lost",
            Self::NotHttp => "not_http",
            Self::Unsendable => "unsendable",
        }
    }

    /// What happened, for whoever owns the endpoint. It names no address and no net: a name in the operator's own network
    /// tells nobody what it stands for.
    #[must_use]
    pub fn detail(self) -> String {
        match self {
            Self::BadUrl(bad) => return format!("The URL may not be called: {bad}."),
            Self::Refused(_) => "The host has no address that may be called: it must be public.",
            Self::Unresolvable => "The name of the host could not be resolved.",
            Self::ConnectFailed => "The host did not accept a connection.",
            Self::TlsFailed => {
                "No secure connection could be made: check the certificate and that the port speaks TLS."
            }
            Self::TimedOut(Phase::Resolve) => "The name of the host was not resolved in time.",
            Self::TimedOut(Phase::Connect) => "No connection could be made in time.",
            Self::TimedOut(Phase::Answer) => "The host took the connection and did not answer in time.",
            Self::TimedOut(Phase::Body) => "The host began its answer and did not end it in time.",
            Self::ConnectionLost => "The connection ended before the answer did.",
            Self::NotHttp => "What the host answered is not HTTP.",
            Self::Unsendable => "The request could not be made. It has been recorded.",
        }
        .to_owned()
    }
}

/// An exchange without a whole answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What went wrong.
    pub fault: Fault,
    /// The status, when the head of an answer had come.
    pub status: Option<StatusCode>,
    /// For the log only: it may name addresses.
    pub inside: String,
    /// How long it took.
    pub took: Duration,
}

/// A fault with its words for the log.
pub(super) type Cause = (Fault, String);

/// What an error of the HTTP client means, in this phase.
pub(super) fn cause(error: reqwest::Error, phase: Phase) -> Cause {
    // The URL may carry a secret.
    let error = error.without_url();
    let words = successors(Some(&error as &(dyn Error + 'static)), |error| (*error).source()).map(ToString::to_string);
    let inside = words.collect::<Vec<_>>().join(": ").chars().take(MAX_INSIDE_CHARS).collect();
    (fault(&error, phase), inside)
}

fn fault(error: &reqwest::Error, phase: Phase) -> Fault {
    let causes = || successors(Some(error as &(dyn Error + 'static)), |error| beneath(*error));
    if let Some(undialled) = causes().find_map(|cause| cause.downcast_ref::<Undialled>()) {
        return match undialled {
            Undialled::Unresolvable(_) => Fault::Unresolvable,
            Undialled::Refused { why, .. } => Fault::Refused(*why),
        };
    }
    if error.is_builder() {
        return Fault::Unsendable;
    }
    if error.is_timeout() {
        return Fault::TimedOut(phase);
    }
    if error.is_connect() {
        return if causes().any(|cause| cause.is::<rustls::Error>()) || is_broken_handshake(error) {
            Fault::TlsFailed
        } else {
            Fault::ConnectFailed
        };
    }
    if causes().filter_map(|cause| cause.downcast_ref::<hyper::Error>()).any(hyper::Error::is_parse) {
        return Fault::NotHttp;
    }
    Fault::ConnectionLost
}

/// The cause of an error. An I/O error passes over what it carries, which is what says that TLS failed.
fn beneath<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        Some(carried) => Some(carried),
        None => error.source(),
    }
}

/// Whether the connection was made and lost in the handshake of TLS. The connector hands on an I/O error of the handshake
/// as it is; one of TCP comes in an error of its own.
fn is_broken_handshake(error: &reqwest::Error) -> bool {
    error.source().and_then(Error::source).is_some_and(|cause| cause.is::<io::Error>())
}
