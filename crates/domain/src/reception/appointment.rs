//! What becomes of an appointment.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::account::{UnknownWord, words};

/// Where an appointment is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AppointmentState {
    /// Somebody is thinking about it: the time is theirs for some minutes.
    Held,
    /// It is agreed.
    Booked,
    /// Whoever comes has said so again.
    Confirmed,
    /// It does not take place.
    Cancelled,
    /// Nobody came.
    NoShow,
    /// It took place.
    Done,
}

words!(AppointmentState {
    Held = "held",
    Booked = "booked",
    Confirmed = "confirmed",
    Cancelled = "cancelled",
    NoShow = "no_show",
    Done = "done",
});

impl AppointmentState {
    /// Whether nobody else may have the time.
    #[must_use]
    pub const fn blocks(self) -> bool {
        matches!(self, Self::Held | Self::Booked | Self::Confirmed | Self::Done)
    }

    /// Whether it may still take place.
    #[must_use]
    pub const fn is_ahead(self) -> bool {
        matches!(self, Self::Held | Self::Booked | Self::Confirmed)
    }

    /// Whether it may become another. What was cancelled stays so, since its time may be somebody else's by now; whether
    /// somebody came may be corrected.
    #[must_use]
    pub const fn may_become(self, next: Self) -> bool {
        match self {
            Self::Held => matches!(next, Self::Booked | Self::Cancelled),
            Self::Booked => matches!(next, Self::Confirmed | Self::Cancelled | Self::NoShow | Self::Done),
            Self::Confirmed => matches!(next, Self::Cancelled | Self::NoShow | Self::Done),
            Self::Done => matches!(next, Self::NoShow),
            // Its time blocks again with that, and may be somebody else's.
            Self::NoShow => matches!(next, Self::Done),
            Self::Cancelled => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_appointment_goes_forward_and_is_corrected_at_its_end() {
        let next = |state: AppointmentState| {
            AppointmentState::ALL
                .iter()
                .filter(|next| state.may_become(**next))
                .map(|next| next.as_str())
                .collect::<Vec<_>>()
        };
        assert_eq!(next(AppointmentState::Held), ["booked", "cancelled"]);
        assert_eq!(next(AppointmentState::Booked), ["confirmed", "cancelled", "no_show", "done"]);
        assert_eq!(next(AppointmentState::Confirmed), ["cancelled", "no_show", "done"]);
        assert_eq!((next(AppointmentState::Done), next(AppointmentState::NoShow)), (vec!["no_show"], vec!["done"]));
        assert_eq!(next(AppointmentState::Cancelled), [""; 0]);
        // Whatever is ahead has its time.
        assert!(AppointmentState::ALL.iter().all(|state| !state.is_ahead() || state.blocks()));
    }
}
