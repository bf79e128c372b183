//! When mail may be sent to somebody, by the clock where they are.
//!
//! On a day on which clocks are moved, the window is open from the first moment at which the clock shows its beginning or
//! something later, until the first at which it shows its end or something later. So a window whose beginning is skipped
//! opens after the gap; one that lies in the gap altogether does not open on that day; and one that the clock shows twice
//! is open once. Two hours that are shown alike in the middle of a window are both part of it.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::reception::{DAY, ends, write_ends};
use crate::text::Refused;
use crate::{CalendarDay, Span, Timestamp, Zone};

/// How they are written, Monday first.
const NAMES: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
/// How many days are looked at for the next opening. A window of one day of the week is missed once where it lies in a gap,
/// and no clock is set forward at that hour two weeks in a row.
const LOOKED_AT: usize = 23;

/// Days of the week, at least one: `mon-fri`, `mon,wed,sat-sun` on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Weekdays(u8);

impl Weekdays {
    /// Whether a day is one of them.
    #[must_use]
    pub fn holds(self, day: CalendarDay) -> bool {
        self.has(day.weekday())
    }

    /// By the number of the day, from 0 for Monday.
    fn has(self, day: usize) -> bool {
        self.0 >> day & 1 == 1
    }
}

fn refused(code: &'static str, detail: &str) -> Refused {
    Refused { code, detail: detail.to_owned() }
}

impl FromStr for Weekdays {
    type Err = Refused;

    fn from_str(text: &str) -> Result<Self, Refused> {
        let bad = || refused("invalid_weekdays", "Write days of the week, such as mon-fri or mon,wed,sat.");
        let number = |name: &str| NAMES.iter().position(|one| *one == name).ok_or_else(bad);
        let mut days = 0;
        for part in text.split(',') {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (first, last) = (number(first)?, number(last)?);
            if first > last {
                return Err(bad());
            }
            for day in first..=last {
                days |= 1 << day;
            }
        }
        Ok(Self(days))
    }
}

impl fmt::Display for Weekdays {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts: Vec<String> = Vec::new();
        let mut day = 0;
        while let Some(name) = NAMES.get(day) {
            let length = (day..NAMES.len()).take_while(|day| self.has(*day)).count();
            match NAMES.get((day + length).saturating_sub(1)) {
                // Two days are a list, three or more a stretch.
                Some(last) if length > 2 => {
                    parts.push(format!("{name}-{last}"));
                    day += length;
                    continue;
                }
                _ if length > 0 => parts.push((*name).to_owned()),
                _ => {}
            }
            day += 1;
        }
        f.write_str(&parts.join(","))
    }
}

/// When mail may be sent: on which days, and from when until when, as the clock shows it where the lead is.
/// `mon-fri 09:00-17:00` on the wire, `24:00` for the end of the day. It does not go on after midnight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SendingWindow {
    days: Weekdays,
    from: u16,
    until: u16,
}

impl SendingWindow {
    /// At any time.
    pub const ALWAYS: Self = Self { days: Weekdays(0b111_1111), from: 0, until: DAY };

    /// The days of the week.
    #[must_use]
    pub const fn days(self) -> Weekdays {
        self.days
    }

    /// When it opens, in minutes since midnight.
    #[must_use]
    pub const fn from(self) -> u16 {
        self.from
    }

    /// When it closes, in minutes since midnight.
    #[must_use]
    pub const fn until(self) -> u16 {
        self.until
    }

    /// When it is open on a day; nothing when it is not.
    fn on(self, day: CalendarDay, zone: &Zone) -> Option<Span> {
        self.days.holds(day).then(|| zone.span(day, self.from, self.until)).flatten()
    }

    /// The stretch of time that a moment is in, or the first after it.
    fn stretch(self, at: Timestamp, zone: &Zone) -> Option<Span> {
        // A clock that is set back over midnight shows the day before again.
        let first = zone.day_of(at).before();
        let days = std::iter::successors(Some(first), |day| Some(day.next()));
        days.take(LOOKED_AT).filter_map(|day| self.on(day, zone)).find(|span| span.until() > at)
    }

    /// Whether it is open at a moment.
    #[must_use]
    pub fn is_open(self, at: Timestamp, zone: &Zone) -> bool {
        self.stretch(at, zone).is_some_and(|span| span.from() <= at)
    }

    /// The first moment from this one on at which it is open. At the end of the calendar (2200) it is the moment itself.
    #[must_use]
    pub fn next_open(self, at: Timestamp, zone: &Zone) -> Timestamp {
        self.stretch(at, zone).map_or(at, |span| span.from().max(at))
    }

    /// When it closes, if it is open at a moment.
    #[must_use]
    pub fn closes_at(self, at: Timestamp, zone: &Zone) -> Option<Timestamp> {
        self.stretch(at, zone).filter(|span| span.from() <= at).map(Span::until)
    }
}

impl FromStr for SendingWindow {
    type Err = Refused;

    fn from_str(text: &str) -> Result<Self, Refused> {
        let bad = || {
            refused(
                "invalid_window",
                "Write days and from when until when, such as mon-fri 09:00-17:00, the end of the day as 24:00. A window \
                 ends on the day on which it begins.",
            )
        };
        let (days, times) = text.split_once(' ').ok_or_else(bad)?;
        let (from, until) = ends(times).filter(|(from, until)| from < until).ok_or_else(bad)?;
        Ok(Self { days: days.parse()?, from, until })
    }
}

impl fmt::Display for SendingWindow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.days)?;
        write_ends(f, self.from, self.until)
    }
}

/// How long after the step before a follow-up is due: `3d` or `12h` on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Delay {
    /// At the same time of the clock so many days later, 0 to 365.
    Days(u16),
    /// So many hours later, whatever the clock shows, 0 to 8,760.
    Hours(u16),
}

impl Delay {
    /// The most days.
    pub const MOST_DAYS: u16 = 365;
    /// The most hours.
    pub const MOST_HOURS: u16 = 24 * Self::MOST_DAYS;
}

impl FromStr for Delay {
    type Err = Refused;

    fn from_str(text: &str) -> Result<Self, Refused> {
        let bad = || refused("invalid_delay", "Write days or hours, such as 3d or 12h, at most 365d or 8760h.");
        let digits = text.get(..text.len().saturating_sub(1)).unwrap_or_default();
        let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        let number: u16 = digits.parse().ok().filter(|_| plain).ok_or_else(bad)?;
        match text.chars().next_back() {
            Some('d') if number <= Self::MOST_DAYS => Ok(Self::Days(number)),
            Some('h') if number <= Self::MOST_HOURS => Ok(Self::Hours(number)),
            _ => Err(bad()),
        }
    }
}

impl fmt::Display for Delay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Days(days) => write!(f, "{days}d"),
            Self::Hours(hours) => write!(f, "{hours}h"),
        }
    }
}

macro_rules! as_text {
    ($($name:ident),+) => { $(
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(|refused: Refused| de::Error::custom(refused.detail))
            }
        }
    )+ };
}

as_text!(Weekdays, SendingWindow, Delay);

/// When a follow-up is due: so long after a moment, and then when the window is open. Days are days of the calendar where
/// the lead is, at the same time of the clock; a time that is skipped is the first moment after the gap, one that is shown
/// twice the first of both. It is never before the moment.
#[must_use]
pub fn delayed(from: Timestamp, delay: Delay, zone: &Zone, window: SendingWindow) -> Timestamp {
    let due = match delay {
        Delay::Hours(hours) => from.plus(Duration::from_secs(u64::from(hours) * 3_600)),
        Delay::Days(days) => after_days(from, days, zone),
    };
    window.next_open(due, zone)
}

fn after_days(from: Timestamp, days: u16, zone: &Zone) -> Timestamp {
    let (day, minute) = zone.clock(from);
    let Some(mut target) = CalendarDay::from_number(day.number() + i64::from(days)) else { return from };
    // What is left of the minute is kept, unless the clock skips it.
    let rest = u64::try_from(from.as_millis().rem_euclid(60_000)).unwrap_or(0);
    if let Ok(moment) = zone.moment(target, minute) {
        return moment.plus(Duration::from_millis(rest)).max(from);
    }
    let mut minute = minute;
    // A whole day may be skipped, where the date line was moved.
    for _ in 0..2 {
        if let Some(span) = zone.span(target, minute, DAY) {
            return span.from().max(from);
        }
        (target, minute) = (target.next(), 0);
    }
    from
}

#[cfg(test)]
mod tests;
