//! Days of the calendar, and the zones in which they begin and end.

use std::fmt;
use std::str::FromStr;

use jiff::ToSpan;
use jiff::civil::{Date, date};
use jiff::tz::{AmbiguousOffset, TimeZone};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::schedule::time_zone;
use crate::text::Refused;
use crate::{Span, Timestamp};

/// A day of the calendar, wherever it is lived: `2026-03-29` on the wire (RFC 3339, full-date), days since 1970 in the
/// database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CalendarDay(Date);

impl CalendarDay {
    /// The first day that is taken, and the last.
    const FIRST: Date = date(1970, 1, 1);
    const LAST: Date = date(2200, 12, 31);

    /// From days since 1970; nothing beyond the year 2200.
    #[must_use]
    pub fn from_number(number: i64) -> Option<Self> {
        let date = Self::FIRST.checked_add(i32::try_from(number).ok()?.days()).ok()?;
        (Self::FIRST..=Self::LAST).contains(&date).then_some(Self(date))
    }

    /// Days since 1970.
    #[must_use]
    pub fn number(self) -> i64 {
        Self::FIRST.until(self.0).map_or(0, |span| i64::from(span.get_days()))
    }

    /// The next day; the same at the end of the calendar.
    #[must_use]
    pub fn next(self) -> Self {
        Self::from_number(self.number() + 1).unwrap_or(self)
    }

    /// The day before; the same at the beginning of the calendar.
    #[must_use]
    pub fn before(self) -> Self {
        Self::from_number(self.number() - 1).unwrap_or(self)
    }

    /// The year, the month from 1, and the day of the month from 1.
    #[must_use]
    pub fn parts(self) -> (i16, u8, u8) {
        let part = |number: i8| u8::try_from(number).unwrap_or(1);
        (self.0.year(), part(self.0.month()), part(self.0.day()))
    }

    /// Which day of the week it is, from 0 for Monday.
    #[must_use]
    pub fn weekday(self) -> usize {
        usize::try_from(self.0.weekday().to_monday_zero_offset()).unwrap_or(0)
    }
}

impl fmt::Display for CalendarDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl FromStr for CalendarDay {
    type Err = Refused;

    fn from_str(text: &str) -> Result<Self, Refused> {
        // The library takes other forms too; on the wire there is one.
        let date = (text.len() == 10).then(|| text.parse::<Date>().ok()).flatten();
        date.filter(|date| (Self::FIRST..=Self::LAST).contains(date)).map(Self).ok_or_else(|| Refused {
            code: "invalid_day",
            detail: "Write a day of the calendar as year, month and day, such as 2026-03-29, from 1970 to 2200."
                .to_owned(),
        })
    }
}

impl Serialize for CalendarDay {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for CalendarDay {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(|refused: Refused| de::Error::custom(refused.detail))
    }
}

/// A zone of the IANA database, which is part of the program.
#[derive(Clone, PartialEq, Eq)]
pub struct Zone(TimeZone);

impl Zone {
    /// Reads the name of a zone, such as `Europe/Berlin`.
    ///
    /// # Errors
    /// When there is none of that name.
    pub fn parse(name: &str) -> Result<Self, Refused> {
        time_zone(name).map(Self)
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.iana_name().unwrap_or("UTC")
    }

    /// The day that it is there at a moment.
    #[must_use]
    pub fn day_of(&self, moment: Timestamp) -> CalendarDay {
        let moment = jiff::Timestamp::from_millisecond(moment.as_millis()).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
        CalendarDay(self.0.to_datetime(moment).date().clamp(CalendarDay::FIRST, CalendarDay::LAST))
    }

    /// What the clock shows there at a moment: the day, and the minutes since midnight.
    #[must_use]
    pub fn clock(&self, moment: Timestamp) -> (CalendarDay, u16) {
        let at = jiff::Timestamp::from_millisecond(moment.as_millis()).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
        let time = self.0.to_datetime(at).time();
        let minute = i32::from(time.hour()) * 60 + i32::from(time.minute());
        (self.day_of(moment), u16::try_from(minute).unwrap_or(0))
    }

    /// The moment at which the clock shows so many minutes since midnight on a day, 1,440 for the end of the day; the first
    /// of two, when it shows them twice.
    ///
    /// # Errors
    /// When the clock skips them on that day.
    pub fn moment(&self, day: CalendarDay, minute: u16) -> Result<Timestamp, Refused> {
        let ambiguous = self.0.to_ambiguous_timestamp(wall(day, minute));
        if let AmbiguousOffset::Gap { .. } = ambiguous.offset() {
            let (hours, minutes) = (minute / 60, minute % 60);
            let detail =
                format!("There is no {hours:02}:{minutes:02} on {day} in {}: the clock is set forward.", self.name());
            return Err(Refused { code: "skipped_time", detail });
        }
        Ok(first(ambiguous))
    }

    /// The stretch from one time of the clock to another on a day. What the clock skips is not part of it, and what it shows
    /// twice is the first time only; nothing when nothing is left.
    #[must_use]
    pub fn span(&self, day: CalendarDay, from: u16, until: u16) -> Option<Span> {
        // A time that is skipped stands for the moment after the gap.
        let at = |minute| {
            let ambiguous = self.0.to_ambiguous_timestamp(wall(day, minute));
            let AmbiguousOffset::Gap { before, .. } = ambiguous.offset() else { return first(ambiguous) };
            let shown = before.to_timestamp(wall(day, minute)).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
            // The gap may begin at that very moment.
            let after = shown.saturating_add(1.millisecond()).unwrap_or(shown);
            let change = self.0.preceding(after).next().map_or(shown, |transition| transition.timestamp());
            Timestamp::from_millis(change.as_millisecond())
        };
        Span::new(at(from), at(until))
    }
}

impl fmt::Debug for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Zone({})", self.name())
    }
}

/// What the clock shows.
fn wall(day: CalendarDay, minute: u16) -> jiff::civil::DateTime {
    let midnight = day.0.at(0, 0, 0, 0);
    midnight.saturating_add(i64::from(minute).minutes())
}

/// The first moment at which the clock shows it, or would, had it not been moved.
fn first(ambiguous: jiff::tz::AmbiguousTimestamp) -> Timestamp {
    let moment = ambiguous.earlier().map_or(0, jiff::Timestamp::as_millisecond);
    Timestamp::from_millis(moment)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> CalendarDay {
        text.parse().expect("a day")
    }

    fn berlin() -> Zone {
        Zone::parse("Europe/Berlin").expect("a zone")
    }

    fn moment(text: &str) -> Timestamp {
        text.parse().expect("a moment")
    }

    #[test]
    fn days_are_counted_and_written() {
        assert_eq!((day("1970-01-01").number(), day("2026-03-29").number()), (0, 20_541));
        assert_eq!((day("2026-03-29").weekday(), day("2024-02-28").next().to_string()), (6, "2024-02-29".to_owned()));
        assert_eq!((day("2024-03-01").before(), day("1970-01-01").before()), (day("2024-02-29"), day("1970-01-01")));
        assert_eq!(CalendarDay::from_number(20_541), Some(day("2026-03-29")));
        assert_eq!((CalendarDay::from_number(-1), CalendarDay::from_number(i64::MAX)), (None, None));
        for bad in ["", "2026-02-30", "26-02-03", "2026-2-3", "2026-03-29T10:00", "1969-12-31", "2201-01-01"] {
            assert_eq!(bad.parse::<CalendarDay>().map_err(|refused| refused.code), Err("invalid_day"), "{bad}");
        }
    }

    #[test]
    fn a_skipped_time_is_refused_and_a_doubled_one_is_the_first() {
        let zone = berlin();
        assert_eq!(zone.moment(day("2026-03-29"), 150).map_err(|refused| refused.code), Err("skipped_time"));
        assert_eq!(zone.moment(day("2026-03-29"), 180), Ok(moment("2026-03-29T01:00:00.000Z")));
        assert_eq!(zone.moment(day("2026-10-25"), 150), Ok(moment("2026-10-25T00:30:00.000Z")));
        assert_eq!(zone.moment(day("2026-03-29"), 1_440), Ok(moment("2026-03-29T22:00:00.000Z")));
        assert_eq!(zone.day_of(moment("2026-03-28T23:30:00.000Z")), day("2026-03-29"));
        assert_eq!(zone.clock(moment("2026-03-28T23:30:00.000Z")), (day("2026-03-29"), 30));
        assert_eq!(zone.clock(moment("2026-10-25T01:30:59.999Z")), (day("2026-10-25"), 150), "the second time");
        assert_eq!(day("2026-03-29").parts(), (2026, 3, 29));
    }

    #[test]
    fn a_stretch_leaves_out_what_the_clock_skips() {
        let zone = berlin();
        let hours =
            |day_of: &str, from, until| zone.span(day(day_of), from, until).map(|span| span.length().as_secs() / 60);
        assert_eq!(hours("2026-03-28", 60, 240), Some(180));
        assert_eq!(hours("2026-03-29", 60, 240), Some(120));
        // Its beginning or its end is skipped, or all of it.
        assert_eq!((hours("2026-03-29", 150, 240), hours("2026-03-29", 60, 150)), (Some(60), Some(60)));
        assert_eq!(hours("2026-03-29", 130, 170), None);
        // Twice an hour: only the first of them at the ends, and both between.
        assert_eq!((hours("2026-10-25", 60, 150), hours("2026-10-25", 60, 240)), (Some(90), Some(240)));
    }

    #[test]
    fn a_zone_has_a_name() {
        assert_eq!(berlin().name(), "Europe/Berlin");
        assert_eq!(Zone::parse("Mars/Olympus").map_err(|refused| refused.code), Err("unknown_time_zone"));
    }
}
