//! Why a request was refused, in words for whoever set the webhook up.

use std::time::Duration;

use http::HeaderName;

/// Why a request was refused. None of it holds a secret, a signature or a part of the body.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.detail())]
pub enum Refused {
    /// A header that the scheme needs is not there.
    Missing {
        /// Which.
        header: HeaderName,
    },
    /// A header, or what it stands for, is not of the form that the scheme has.
    Malformed {
        /// Which.
        header: HeaderName,
        /// The end of a sentence that begins with the header.
        why: &'static str,
    },
    /// It is genuine, and older than is allowed: a repeat, or a clock that is wrong.
    Stale {
        /// Where the moment stands.
        header: HeaderName,
        /// How far beyond what is allowed.
        by: Duration,
    },
    /// It is genuine, and its moment lies further ahead than is allowed.
    Future {
        /// Where the moment stands.
        header: HeaderName,
        /// How far beyond what is allowed.
        by: Duration,
    },
    /// It was made with another secret, or changed on its way.
    Mismatch {
        /// Where the signature or token stands.
        header: HeaderName,
        /// What to look at, as a sentence.
        cure: &'static str,
    },
}

impl Refused {
    /// A stable code, for metrics and logs.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Missing { .. } => "signature_missing",
            Self::Malformed { .. } => "signature_malformed",
            Self::Stale { .. } => "signature_stale",
            Self::Future { .. } => "signature_in_future",
            Self::Mismatch { .. } => "signature_mismatch",
        }
    }

    /// What happened, and what to do about it.
    #[must_use]
    pub fn detail(&self) -> String {
        match self {
            Self::Missing { header } => format!(
                "The header {header} is missing. Turn signing on at the sender, and let no proxy on the way remove it."
            ),
            Self::Malformed { header, why } => format!(
                "The header {header} cannot be used: {why}. Compare the settings of this webhook with those of the sender."
            ),
            Self::Stale { header, by } => format!(
                "What the header {header} says ran out {} s ago. Check the clocks of both sides. A sender that tries \
                 again must sign again; an old request that somebody repeats is refused rightly.",
                by.as_secs_f64()
            ),
            Self::Future { header, by } => format!(
                "The moment in the header {header} lies {} s too far ahead. Check the clocks of both sides.",
                by.as_secs_f64()
            ),
            Self::Mismatch { header, cure } => {
                format!("The header {header} does not fit any secret that is kept for this webhook. {cure}")
            }
        }
    }
}
