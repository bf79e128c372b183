//! Why Google could not be asked, and what follows from it.

use std::time::Duration;

use mainstay_domain::{Error, Kind};

use crate::providers::api::ApiFault;

/// Why an attempt failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The network or the server; trying again may help.
    Passing(String),
    /// It asks to come back later.
    Busy(Option<Duration>),
    /// It is left alone for so long, since it keeps failing.
    Away(Duration),
    /// The account has to be connected again.
    Reconnect(String),
    /// It refused this request: the status, and its word for the reason.
    Refused(u16, String),
}

impl Fault {
    /// Its word in the figures.
    pub(crate) const fn code(&self) -> &'static str {
        match self {
            Self::Passing(_) => "failed",
            Self::Busy(_) => "busy",
            Self::Away(_) => "away",
            Self::Reconnect(_) => "reconnect",
            Self::Refused(..) => "refused",
        }
    }

    /// The status, where the request was refused.
    pub(crate) const fn status(&self) -> Option<u16> {
        match self {
            Self::Refused(status, _) => Some(*status),
            _ => None,
        }
    }

    /// What people are told.
    pub(crate) fn words(&self) -> String {
        match self {
            Self::Passing(inside) => format!("Google could not be reached: {inside}."),
            Self::Busy(_) => "Google asks to come back later.".to_owned(),
            Self::Away(_) => "Google keeps failing and is left alone for a while.".to_owned(),
            Self::Reconnect(_) => "Google does not let us in any more. Connect the account again.".to_owned(),
            Self::Refused(status, reason) => format!("Google refused the request with {status} {reason}."),
        }
    }
}

impl From<ApiFault> for Fault {
    fn from(fault: ApiFault) -> Self {
        match fault {
            ApiFault::LeftAlone(wait) => Self::Away(wait),
            ApiFault::NotSent(inside) | ApiFault::Unknown(inside) => Self::Passing(inside),
            ApiFault::Busy(after) => Self::Busy(after),
            ApiFault::Refused(status, reason) => Self::Refused(status, reason),
        }
    }
}

/// What errors are called that people are told of one of its APIs.
pub(crate) struct Codes {
    pub(crate) away: &'static str,
    pub(crate) reconnect: &'static str,
    pub(crate) refused: &'static str,
}

impl Fault {
    /// What people are told, by the names of an API.
    pub(crate) fn told(self, codes: &Codes) -> Error {
        let words = self.words();
        match self {
            Self::Passing(_) | Self::Busy(None) => Error::new(Kind::Unavailable, codes.away, words),
            Self::Busy(Some(after)) | Self::Away(after) => {
                Error::new(Kind::Unavailable, codes.away, words).retry_after(after)
            }
            Self::Reconnect(inside) => Error::new(Kind::Conflict, codes.reconnect, words).because(inside),
            Self::Refused(status, _) => {
                Error::new(Kind::Upstream, codes.refused, words).because(format!("status {status}"))
            }
        }
    }
}
