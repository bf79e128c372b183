//! The reception: what is offered, by whom and when, and the appointments that are made.
//!
//! Two appointments of one person never overlap. Whoever makes or moves one locks the row of whoever does it, looks, and
//! writes; so a time that is taken is an answer and not an error. Should that ever be forgotten, the schema refuses: an
//! exclusion constraint on PostgreSQL, triggers on SQLite, which has one writer.
//!
//! No key points from what is here to people of the organisation: staff need no account.

pub(crate) mod appointments;
pub(crate) mod availability;
pub(crate) mod board;
pub(crate) mod calendar;
pub(crate) mod contacts;
pub(crate) mod overlaps;
pub(crate) mod services;
pub(crate) mod settings;
pub(crate) mod staff;

#[cfg(test)]
pub(crate) const ALL_STATEMENTS: &[&[crate::sql::Sql]] = &[
    appointments::STATEMENTS,
    availability::STATEMENTS,
    board::STATEMENTS,
    calendar::STATEMENTS,
    contacts::STATEMENTS,
    overlaps::STATEMENTS,
    services::STATEMENTS,
    settings::STATEMENTS,
    staff::STATEMENTS,
];

use mainstay_domain::{Opening, Week};
use serde::de::DeserializeOwned;

use crate::error::{Error, Result};

/// What stands in a column as JSON.
fn stored<T: DeserializeOwned>(text: &str, what: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|error| Error::Corrupt(format!("{what}: {error}")))
}

fn week(text: &str) -> Result<Week> {
    stored(text, "the hours of a week")
}

fn openings(text: &str) -> Result<Vec<Opening>> {
    stored(text, "the openings of a day")
}
