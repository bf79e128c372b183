//! When something is due again and again: by the calendar of a place, or every so often.
//!
//! The calendar is a line of crontab in the dialect of Vixie cron (crontab(5),
//! <https://man7.org/linux/man-pages/man5/crontab.5.html>), read in a zone of the IANA database. That database is part
//! of the program, so every node agrees about it, whatever the machine has.
//!
//! Twice a year a clock is moved, and then these rules hold, which are those of cron(8)
//! (<https://man7.org/linux/man-pages/man8/cron.8.html>) made exact:
//!
//! - A time that the clock skips is due once, at the first moment after the gap, if minute and hour are both fixed. With
//!   a wildcard in one of them there is nothing to make up for: it goes on with the next time that exists.
//! - A time that the clock shows twice is due the first time only, if the hour is fixed, and both times if it is a
//!   wildcard.

mod fields;

use std::fmt;
use std::time::Duration;

use jiff::SignedDuration;
use jiff::civil::DateTime;
use jiff::tz::{Offset, TimeZone, TimeZoneDatabase};

use crate::Timestamp;
use crate::text::Refused;
use fields::Fields;

/// How far ahead a time is looked for, in days: 41 years. The rarest that can be written, a 29 February on given days of
/// the week, comes after 40 years at most.
const HORIZON_DAYS: i64 = 41 * 366;

/// When something is due again and again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule(Ticks);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Ticks {
    /// At the multiples of so many milliseconds since 1970.
    Every(i64),
    /// By the calendar and the clock of a zone.
    Calendar { text: String, fields: Fields, zone: TimeZone },
}

impl Schedule {
    /// The most characters of an expression.
    pub const LONGEST: usize = 200;
    /// The shortest time between two ticks of [`Schedule::every`].
    pub const SHORTEST_PERIOD: Duration = Duration::from_secs(1);
    /// The longest time between two ticks of [`Schedule::every`].
    pub const LONGEST_PERIOD: Duration = Duration::from_secs(366 * 86_400);

    /// Reads five fields (minute, hour, day of the month, month, day of the week) and the name of a zone.
    ///
    /// A field is `*`, a number, a range `1-5`, a step in all or in a range `*/15` or `9-17/2`, or a list of these. Months
    /// and days of the week have names of three letters. Sunday is 0 or 7. If both day fields are given, a day is taken
    /// that fits either; a field that begins with `*` is not given.
    ///
    /// # Errors
    /// When the expression cannot be read, names a date that never comes, or the zone is unknown.
    pub fn parse(expression: &str, zone: &str) -> Result<Self, Refused> {
        let length = expression.chars().count();
        if length > Self::LONGEST {
            let detail = format!("It has {length} characters; at most {} are allowed.", Self::LONGEST);
            return Err(Refused { code: "too_long", detail });
        }
        let fields = Fields::parse(expression)?;
        let text = expression.split_ascii_whitespace().collect::<Vec<_>>().join(" ");
        Ok(Self(Ticks::Calendar { text, fields, zone: time_zone(zone)? }))
    }

    /// At fixed moments: the multiples of a period since 1970. Whoever asks, and whenever, they are the same.
    ///
    /// # Errors
    /// When the period is not from a second to 366 days, in whole milliseconds.
    pub fn every(period: Duration) -> Result<Self, Refused> {
        let whole = period.subsec_nanos().is_multiple_of(1_000_000);
        let bounds = Self::SHORTEST_PERIOD..=Self::LONGEST_PERIOD;
        match i64::try_from(period.as_millis()) {
            Ok(millis) if whole && bounds.contains(&period) => Ok(Self(Ticks::Every(millis))),
            _ => {
                let detail = "Give a period from 1 second to 366 days, in whole milliseconds.".to_owned();
                Err(Refused { code: "invalid_period", detail })
            }
        }
    }

    /// When it is due next, strictly after a moment. Nothing, when that is beyond the calendar (the year 9999).
    ///
    /// It takes a bounded number of steps, whatever is asked: at most 15,006 days and the changes of the clock on them.
    #[must_use]
    pub fn next_after(&self, moment: Timestamp) -> Option<Timestamp> {
        match &self.0 {
            Ticks::Every(period) => {
                let tick = moment.as_millis().div_euclid(*period).checked_add(1)?.checked_mul(*period)?;
                Some(Timestamp::from_millis(tick))
            }
            Ticks::Calendar { fields, zone, .. } => {
                let moment = jiff::Timestamp::from_millisecond(moment.as_millis()).ok()?;
                let tick = next_by_calendar(fields, zone, moment)?;
                Some(Timestamp::from_millis(tick.as_millisecond()))
            }
        }
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Ticks::Every(period) => write!(f, "every {:?}", Duration::from_millis(period.unsigned_abs())),
            Ticks::Calendar { text, zone, .. } => write!(f, "{text} {}", zone.iana_name().unwrap_or("UTC")),
        }
    }
}

pub(crate) fn time_zone(name: &str) -> Result<TimeZone, Refused> {
    // "Etc/Unknown" is known to the library, and stands for no place.
    TimeZoneDatabase::bundled().get(name).ok().filter(|zone| !zone.is_unknown()).ok_or_else(|| Refused {
        code: "unknown_time_zone",
        detail: "There is no such time zone. Write a name of the IANA database, such as Europe/Berlin, or UTC."
            .to_owned(),
    })
}

/// A stretch of time in which the clock of a zone runs on without being moved.
struct Stretch {
    /// What the clock shows in it, against UTC.
    offset: Offset,
    /// Where it begins, with the offset before; nothing when it always was so.
    begin: Option<(jiff::Timestamp, Offset)>,
    /// Where the next one begins.
    end: Option<jiff::Timestamp>,
}

impl Stretch {
    /// The one that a moment is in.
    fn of(zone: &TimeZone, moment: jiff::Timestamp) -> Self {
        const NANOSECOND: SignedDuration = SignedDuration::from_nanos(1);
        let just_after = moment.saturating_add(NANOSECOND).unwrap_or(moment);
        let begin = zone.preceding(just_after).next().map(|change| {
            let at = change.timestamp();
            let just_before = at.saturating_sub(NANOSECOND).unwrap_or(at);
            (at, zone.to_offset(just_before))
        });
        Self {
            offset: zone.to_offset(moment),
            begin,
            end: zone.following(moment).next().map(|change| change.timestamp()),
        }
    }

    /// What clocks showed at its beginning, had they not been moved.
    fn old_clock(&self) -> Option<DateTime> {
        self.begin.map(|(at, before)| before.to_datetime(at))
    }

    /// Whether a time that the clock skipped at its beginning was due.
    fn makes_up_for(&self, fields: &Fields) -> bool {
        let Some((at, before)) = self.begin else { return false };
        let (old, new) = (before.to_datetime(at), self.offset.to_datetime(at));
        fields.are_fixed() && old < new && fields.next(old, new).is_some()
    }

    /// The first time that is due from a moment of it on, before a limit.
    fn next(&self, fields: &Fields, from: jiff::Timestamp, limit: jiff::Timestamp) -> Option<jiff::Timestamp> {
        let mut clock = self.offset.to_datetime(from);
        if fields.has_fixed_hour() {
            // What the clock shows again was due when it showed it first.
            clock = clock.max(self.old_clock().unwrap_or(clock));
        }
        let end = self.end.unwrap_or(limit).min(limit);
        let due = fields.next(clock, self.offset.to_datetime(end))?;
        self.offset.to_timestamp(due).ok()
    }
}

fn next_by_calendar(fields: &Fields, zone: &TimeZone, moment: jiff::Timestamp) -> Option<jiff::Timestamp> {
    let horizon = SignedDuration::from_hours(HORIZON_DAYS * 24);
    let limit = moment.checked_add(horizon).unwrap_or(jiff::Timestamp::MAX);
    let mut from = moment.checked_add(SignedDuration::from_millis(1)).ok()?;
    while from < limit {
        let stretch = Stretch::of(zone, from);
        if stretch.begin.is_some_and(|(at, _)| at == from) && stretch.makes_up_for(fields) {
            return Some(from);
        }
        if let Some(due) = stretch.next(fields, from, limit) {
            return Some(due);
        }
        from = stretch.end?;
    }
    None
}

#[cfg(test)]
mod tests;
