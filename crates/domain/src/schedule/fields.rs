//! The five fields of a line of crontab.

use jiff::civil::{Date, DateTime, Time};

use crate::text::Refused;

/// What is known of a field before it is read.
struct Kind {
    name: &'static str,
    least: u8,
    most: u8,
    /// The names of the values from `least` on.
    names: &'static [&'static str],
}

const MINUTE: Kind = Kind { name: "minute", least: 0, most: 59, names: &[] };
const HOUR: Kind = Kind { name: "hour", least: 0, most: 23, names: &[] };
const DAY: Kind = Kind { name: "day of the month", least: 1, most: 31, names: &[] };
const MONTH: Kind = Kind {
    name: "month",
    least: 1,
    most: 12,
    names: &["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"],
};
const WEEKDAY: Kind =
    Kind { name: "day of the week", least: 0, most: 6, names: &["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"] };
/// Another number for Sunday, which has 0 here.
const OTHER_SUNDAY: u8 = 7;

/// The most days of each month.
const LONGEST_MONTHS: [u8; 12] = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

fn refused<T>(code: &'static str, detail: String) -> Result<T, Refused> {
    Err(Refused { code, detail })
}

/// The values of a field, as the bits of a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Values {
    bits: u64,
    /// Whether the text begins with `*`.
    starred: bool,
}

impl Values {
    const fn has(self, value: u8) -> bool {
        self.bits & (1 << value) != 0
    }

    /// The first value from one on.
    fn next(self, from: u8) -> Option<u8> {
        let left = self.bits.checked_shr(u32::from(from))?;
        if left == 0 { None } else { u8::try_from(left.trailing_zeros()).ok().map(|more| from + more) }
    }
}

impl Kind {
    fn parse(&self, text: &str) -> Result<Values, Refused> {
        let mut bits = 0_u64;
        for item in text.split(',') {
            let (first, last, step) = self.item(item)?;
            for value in (first..=last).step_by(step) {
                let sunday = self.is_weekday() && value == OTHER_SUNDAY;
                bits |= 1 << if sunday { 0 } else { value };
            }
        }
        Ok(Values { bits, starred: text.starts_with('*') })
    }

    const fn is_weekday(&self) -> bool {
        self.most == WEEKDAY.most
    }

    /// The first and the last value of an item of the list, and the step.
    fn item(&self, item: &str) -> Result<(u8, u8, usize), Refused> {
        let (range, step) = item.split_once('/').map_or((item, None), |(range, step)| (range, Some(step)));
        let (first, last) = match range.split_once('-') {
            Some((first, last)) => self.range(self.value(first)?, self.value(last)?)?,
            None if range == "*" => (self.least, self.most),
            None if step.is_some() => {
                let first = self.value(range)?;
                let detail = format!("{}: a step needs a range; write {first}-{}/… instead.", self.name, self.most);
                return refused("invalid_schedule", detail);
            }
            None => {
                let value = self.value(range)?;
                (value, value)
            }
        };
        let step = step.map_or(Ok(1), |step| self.step(step, last - first))?;
        Ok((first, last, step))
    }

    fn range(&self, first: u8, last: u8) -> Result<(u8, u8), Refused> {
        // A week that begins on Monday ends with Sunday: FRI-SUN.
        let last = if self.is_weekday() && last == 0 && first > 0 { OTHER_SUNDAY } else { last };
        if first <= last {
            return Ok((first, last));
        }
        let cure = format!("write {first}-{},{}-{last}", self.most, self.least);
        refused("invalid_schedule", format!("{}: {first}-{last} runs backwards; {cure} instead.", self.name))
    }

    fn step(&self, text: &str, span: u8) -> Result<usize, Refused> {
        match number(text) {
            Some(step) if (1..=span).contains(&step) => Ok(usize::from(step)),
            _ => {
                let detail = format!("{}: a step is a number from 1 to {span} here, not {text:?}.", self.name);
                refused("invalid_schedule", detail)
            }
        }
    }

    fn value(&self, text: &str) -> Result<u8, Refused> {
        let named = || self.names.iter().zip(self.least..).find(|(name, _)| name.eq_ignore_ascii_case(text));
        let most = if self.is_weekday() { OTHER_SUNDAY } else { self.most };
        if let Some(value) = number(text).or_else(|| named().map(|(_, value)| value))
            && (self.least..=most).contains(&value)
        {
            return Ok(value);
        }
        let names = match self.names {
            [first, .., last] => format!(" or a name from {first} to {last}"),
            _ => String::new(),
        };
        let cure = format!("write a number from {} to {most}{names}, a range, a list or *", self.least);
        refused("invalid_schedule", format!("{}: {text:?} is not known; {cure}.", self.name))
    }
}

/// One or two digits.
fn number(text: &str) -> Option<u8> {
    let digits = matches!(text.len(), 1..=2) && text.bytes().all(|byte| byte.is_ascii_digit());
    if digits { text.parse().ok() } else { None }
}

/// The five fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fields {
    minutes: Values,
    hours: Values,
    days: Values,
    months: Values,
    weekdays: Values,
}

impl Fields {
    pub(super) fn parse(text: &str) -> Result<Self, Refused> {
        let parts: Vec<&str> = text.split_ascii_whitespace().collect();
        let &[minute, hour, day, month, weekday] = parts.as_slice() else {
            let detail = format!(
                "It has {} fields; write five (minute, hour, day of the month, month, day of the week), such as \
                 0 9 * * MON-FRI.",
                parts.len()
            );
            return refused("invalid_schedule", detail);
        };
        let fields = Self {
            minutes: MINUTE.parse(minute)?,
            hours: HOUR.parse(hour)?,
            days: DAY.parse(day)?,
            months: MONTH.parse(month)?,
            weekdays: WEEKDAY.parse(weekday)?,
        };
        if fields.ever() {
            return Ok(fields);
        }
        let detail = format!("No month of {month:?} has a day {day:?}, so it is never due; choose an earlier day.");
        refused("never_due", detail)
    }

    /// Whether there is a day that fits.
    fn ever(&self) -> bool {
        let by_weekday_alone = !self.days.starred && !self.weekdays.starred;
        let first = self.days.next(0).unwrap_or_default();
        by_weekday_alone || (1_u8..).zip(LONGEST_MONTHS).any(|(month, days)| self.months.has(month) && first <= days)
    }

    /// Whether neither minute nor hour is a wildcard.
    pub(super) const fn are_fixed(&self) -> bool {
        self.has_fixed_hour() && !wild(self.minutes, MINUTE.most)
    }

    /// Whether the hour is no wildcard.
    pub(super) const fn has_fixed_hour(&self) -> bool {
        !wild(self.hours, HOUR.most)
    }

    /// The first time on the clock that fits, from one on and before another. Each round is a day or a month.
    pub(super) fn next(&self, from: DateTime, before: DateTime) -> Option<DateTime> {
        let from = whole_minute(from)?;
        let (mut date, mut earliest) = (from.date(), from.time());
        while date <= before.date() {
            if !self.months.has(small(date.month())) {
                date = date.last_of_month();
            } else if self.take(date)
                && let Some(time) = self.time(earliest)
            {
                let found = date.to_datetime(time);
                return (found < before).then_some(found);
            }
            (date, earliest) = (date.tomorrow().ok()?, Time::midnight());
        }
        None
    }

    fn take(&self, date: Date) -> bool {
        let day = self.days.has(small(date.day()));
        let weekday = self.weekdays.has(small(date.weekday().to_sunday_zero_offset()));
        // crontab(5): restricted both, either is enough.
        if self.days.starred || self.weekdays.starred { day && weekday } else { day || weekday }
    }

    /// The first time of a day that fits, from one on.
    fn time(&self, from: Time) -> Option<Time> {
        let hour = small(from.hour());
        let rest_of_hour = if self.hours.has(hour) { self.minutes.next(small(from.minute())) } else { None };
        let (hour, minute) = match rest_of_hour {
            Some(minute) => (hour, minute),
            None => (self.hours.next(hour + 1)?, self.minutes.next(0)?),
        };
        Time::new(hour.cast_signed(), minute.cast_signed(), 0, 0).ok()
    }
}

/// Whether a field means every value: it begins with `*`, or names them all.
const fn wild(values: Values, most: u8) -> bool {
    values.starred || values.bits.count_ones() == most as u32 + 1
}

/// A part of a date or a time, which is never below zero.
fn small(part: i8) -> u8 {
    part.unsigned_abs()
}

/// The first whole minute from a time on.
fn whole_minute(time: DateTime) -> Option<DateTime> {
    let whole = time.with().second(0).subsec_nanosecond(0).build().ok()?;
    if whole == time { Some(time) } else { whole.checked_add(jiff::SignedDuration::from_mins(1)).ok() }
}

#[cfg(test)]
impl Fields {
    /// The values of all, without how they were written.
    pub(super) fn values(self) -> [u64; 5] {
        [self.minutes, self.hours, self.days, self.months, self.weekdays].map(|values| values.bits)
    }
}
