//! Why a provider of calendars could not be asked, and what follows from it.

use std::time::Duration;

use mainstay_domain::{Error, Kind};

use crate::providers::api::ApiFault;

/// Why an attempt failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fault {
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
    pub(super) const fn code(&self) -> &'static str {
        match self {
            Self::Passing(_) => "failed",
            Self::Busy(_) => "busy",
            Self::Away(_) => "away",
            Self::Reconnect(_) => "reconnect",
            Self::Refused(..) => "refused",
        }
    }

    /// The status, where the request was refused.
    pub(super) const fn status(&self) -> Option<u16> {
        match self {
            Self::Refused(status, _) => Some(*status),
            _ => None,
        }
    }

    /// What people are told.
    pub(super) fn words(&self) -> String {
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

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        let words = fault.words();
        match fault {
            Fault::Passing(_) => Self::new(Kind::Unavailable, "calendar_provider_away", words),
            Fault::Busy(after) => {
                let error = Self::new(Kind::Unavailable, "calendar_provider_away", words);
                match after {
                    Some(after) => error.retry_after(after),
                    None => error,
                }
            }
            Fault::Away(after) => Self::new(Kind::Unavailable, "calendar_provider_away", words).retry_after(after),
            Fault::Reconnect(inside) => Self::new(Kind::Conflict, "calendar_reconnect", words).because(inside),
            Fault::Refused(..) => Self::new(Kind::Upstream, "calendar_provider_refused", words),
        }
    }
}
