//! What people are told when a provider of calendars could not be asked.

use mainstay_domain::Error;

use crate::google::{Codes, Fault};

const CODES: Codes =
    Codes { away: "calendar_provider_away", reconnect: "calendar_reconnect", refused: "calendar_provider_refused" };

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        fault.told(&CODES)
    }
}
