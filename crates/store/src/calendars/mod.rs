//! Calendars of others: what is owed to them, what they tell, and where they say something else.
//!
//! Writing is level-triggered. Whatever changes an appointment counts up what is wanted of its entry, in its own
//! transaction, and promises one job. The job writes the appointment as it is by then, and stores which number it has
//! written; while one is behind the other there is a job, or upkeep promises one. So an outage of any length ends in the
//! state of the last change.
//!
//! Locks are taken in the order of the reception (staff, appointment), then connection, then entries, then jobs.

pub(crate) mod conflicts;
pub(crate) mod connections;
pub(crate) mod entries;
pub(crate) mod events;
pub(crate) mod feeds;
pub(crate) mod housekeeping;
pub(crate) mod owing;
pub(crate) mod reading;
pub(crate) mod sign_ins;

#[cfg(test)]
pub(crate) const ALL_STATEMENTS: &[&[crate::sql::Sql]] = &[
    conflicts::STATEMENTS,
    connections::STATEMENTS,
    entries::STATEMENTS,
    events::STATEMENTS,
    feeds::STATEMENTS,
    housekeeping::STATEMENTS,
    owing::STATEMENTS,
    reading::STATEMENTS,
    sign_ins::STATEMENTS,
];

use mainstay_domain::{AppointmentId, CalendarConnectionId, JobId, JobPriority, Span, TenantId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::deliveries::derived;
use crate::error::{Error, Result};
use crate::jobs::{NewJob, Unique};
use crate::value::{At, json};

/// The queue of everything that asks a provider of calendars.
pub const CALENDARS: &str = "calendars";
/// The kind of a job that writes one appointment.
pub const CALENDAR_WRITE_KIND: &str = "calendar_write";
/// The kind of a job that reads one calendar.
pub const CALENDAR_READ_KIND: &str = "calendar_read";
/// An outage of days is no reason to give a job up; upkeep would promise it again.
pub const CALENDAR_ATTEMPTS: u32 = 1_000;

/// What the job that writes an appointment needs to know. Its organisation is that of the job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CalendarWrite {
    /// Which appointment.
    pub appointment: AppointmentId,
    /// Into which calendar.
    pub connection: CalendarConnectionId,
}

/// What the job that reads a calendar needs to know. Its organisation is that of the job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CalendarRead {
    /// Which calendar.
    pub connection: CalendarConnectionId,
}

/// The job that writes what is owed by a change. There is one for each entry; the lane is that of the calendar.
pub(crate) fn write_job(tenant: TenantId, write: CalendarWrite, wanted: i64, now: Timestamp) -> Result<NewJob> {
    let CalendarWrite { appointment, connection } = write;
    let cause = [appointment.uuid(), connection.uuid()];
    let id = derived(now, &[cause[0].as_bytes(), cause[1].as_bytes(), &wanted.to_be_bytes()]);
    let key = format!("{tenant}/{appointment}/{connection}");
    job(tenant, (CALENDAR_WRITE_KIND, key), connection, (JobId(id), json(&write)?), now)
}

/// The job that reads a calendar. There is one for each.
pub(crate) fn read_job(
    tenant: TenantId,
    connection: CalendarConnectionId,
    wanted: i64,
    now: Timestamp,
) -> Result<NewJob> {
    let id = derived(now, &[connection.uuid().as_bytes(), b"read", &wanted.to_be_bytes()]);
    let arguments = json(&CalendarRead { connection })?;
    job(tenant, (CALENDAR_READ_KIND, format!("{tenant}/{connection}")), connection, (JobId(id), arguments), now)
}

fn job(
    tenant: TenantId,
    (kind, key): (&'static str, String),
    connection: CalendarConnectionId,
    (id, arguments): (JobId, String),
    now: Timestamp,
) -> Result<NewJob> {
    Ok(NewJob {
        id,
        queue: CALENDARS,
        kind,
        group: connection.to_string(),
        tenant: Some(tenant),
        priority: JobPriority::Normal,
        arguments,
        unique: Some(Unique { key, until: None }),
        run_at: now,
        most_attempts: CALENDAR_ATTEMPTS,
        trace: None,
    })
}

/// A stretch of time from two columns, where both are there.
fn span(from: Option<At>, until: Option<At>) -> Result<Option<Span>> {
    match (from, until) {
        (Some(from), Some(until)) => Span::new(from.0, until.0)
            .map(Some)
            .ok_or_else(|| Error::Corrupt("an event ends before it begins".to_owned())),
        _ => Ok(None),
    }
}
