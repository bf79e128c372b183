//! What is used and what it costs: amounts, the months and days that they are counted in, and what a plan allows.
//!
//! Money is counted in millionths of a currency's unit, as whole numbers. Months and days are those of UTC.

use std::fmt;
use std::ops::{Add, AddAssign, Neg, Sub};
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::Timestamp;
use crate::account::{UnknownWord, words};
use crate::text::Refused;

const DAY_MILLIS: i64 = 86_400_000;

/// What was used. Also a difference of two amounts, whose parts may be below zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct Amounts {
    /// Messages that were accepted.
    pub messages: i64,
    /// Tokens that models read.
    pub input_tokens: i64,
    /// Tokens that models wrote.
    pub output_tokens: i64,
    /// Images that were uploaded.
    pub images: i64,
    /// Seconds of speech.
    pub voice_seconds: i64,
    /// What it cost, in millionths.
    pub cost_micros: i64,
}

impl Amounts {
    /// One message.
    pub const MESSAGE: Self =
        Self { messages: 1, input_tokens: 0, output_tokens: 0, images: 0, voice_seconds: 0, cost_micros: 0 };

    fn each(self, other: Self, join: impl Fn(i64, i64) -> i64) -> Self {
        Self {
            messages: join(self.messages, other.messages),
            input_tokens: join(self.input_tokens, other.input_tokens),
            output_tokens: join(self.output_tokens, other.output_tokens),
            images: join(self.images, other.images),
            voice_seconds: join(self.voice_seconds, other.voice_seconds),
            cost_micros: join(self.cost_micros, other.cost_micros),
        }
    }

    /// What of a meter there is.
    #[must_use]
    pub const fn of(&self, meter: Meter) -> i64 {
        match meter {
            Meter::Messages => self.messages,
            Meter::Images => self.images,
            Meter::VoiceSeconds => self.voice_seconds,
        }
    }
}

impl Add for Amounts {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        self.each(other, i64::saturating_add)
    }
}

impl AddAssign for Amounts {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sub for Amounts {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        self.each(other, i64::saturating_sub)
    }
}

impl Neg for Amounts {
    type Output = Self;
    fn neg(self) -> Self {
        Self::default() - self
    }
}

/// What plans allow so much of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Meter {
    /// Messages that are accepted.
    Messages,
    /// Images that are uploaded.
    Images,
    /// Seconds of speech.
    VoiceSeconds,
}
words!(Meter { Messages = "messages", Images = "images", VoiceSeconds = "voice_seconds" });

/// A month of UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Month {
    year: i16,
    month: i8,
}

impl Month {
    /// The month that a moment is in.
    #[must_use]
    pub fn of(moment: Timestamp) -> Self {
        let date = date(moment);
        Self { year: date.year(), month: date.month() }
    }

    /// As a number of six digits, which the database keeps: 202611.
    #[must_use]
    pub fn number(self) -> i64 {
        i64::from(self.year) * 100 + i64::from(self.month)
    }

    /// The next month.
    #[must_use]
    pub const fn next(self) -> Self {
        if self.month == 12 {
            Self { year: self.year + 1, month: 1 }
        } else {
            Self { year: self.year, month: self.month + 1 }
        }
    }

    /// Its first moment.
    #[must_use]
    pub fn start(self) -> Timestamp {
        let start = jiff::civil::Date::new(self.year, self.month, 1)
            .and_then(|date| date.to_zoned(jiff::tz::TimeZone::UTC))
            .map_or(0, |zoned| zoned.timestamp().as_millisecond());
        Timestamp::from_millis(start)
    }
}

fn date(moment: Timestamp) -> jiff::civil::Date {
    let moment = jiff::Timestamp::from_millisecond(moment.as_millis()).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    moment.to_zoned(jiff::tz::TimeZone::UTC).date()
}

impl fmt::Display for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}", self.year, self.month)
    }
}

impl Serialize for Month {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Month {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(|refused: Refused| D::Error::custom(refused.detail))
    }
}

impl FromStr for Month {
    type Err = Refused;
    fn from_str(text: &str) -> Result<Self, Refused> {
        let refused = || Refused { code: "invalid_month", detail: "Write a month as 2026-11.".to_owned() };
        let (year, month) = text.split_once('-').filter(|_| text.len() == 7 && text.is_ascii()).ok_or_else(refused)?;
        let digits = |part: &str| part.bytes().all(|letter| letter.is_ascii_digit());
        let (Ok(year), Ok(month @ 1..=12)) = (year.parse(), month.parse()) else { return Err(refused()) };
        if digits(&text[..4]) && digits(&text[5..]) { Ok(Self { year, month }) } else { Err(refused()) }
    }
}

/// A day of UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day(i64);

impl Day {
    /// The day that a moment is in.
    #[must_use]
    pub const fn of(moment: Timestamp) -> Self {
        Self(moment.as_millis().div_euclid(DAY_MILLIS))
    }

    /// Days since 1970, which the database keeps.
    #[must_use]
    pub const fn number(self) -> i64 {
        self.0
    }

    /// The first moment of the next day.
    #[must_use]
    pub const fn end(self) -> Timestamp {
        Timestamp::from_millis((self.0 + 1) * DAY_MILLIS)
    }
}

/// How much of something is allowed. Nothing: as much as there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Allowance {
    /// In a day.
    pub per_day: Option<i64>,
    /// In a month.
    pub per_month: Option<i64>,
}

/// What a plan allows each person.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PlanLimits {
    /// Messages.
    pub messages: Allowance,
    /// Images.
    pub images: Allowance,
    /// Seconds of speech.
    pub voice_seconds: Allowance,
    /// What they may cost in a month, in millionths.
    pub cost_micros_per_month: Option<i64>,
}

impl PlanLimits {
    /// What it allows of a meter.
    #[must_use]
    pub const fn of(&self, meter: Meter) -> Allowance {
        match meter {
            Meter::Messages => self.messages,
            Meter::Images => self.images,
            Meter::VoiceSeconds => self.voice_seconds,
        }
    }
}

/// A limit that is spent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spent {
    /// What the plan allows each person in a day.
    Daily(Meter),
    /// What the plan allows each person in a month.
    Monthly(Meter),
    /// What the plan allows each person to cost in a month.
    PlanCost,
    /// What the organisation has set for the person.
    PersonBudget,
    /// What the organisation has set for itself.
    OrganisationBudget,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_and_days_end_where_the_calendar_says() {
        let moment = |text: &str| -> Timestamp {
            Timestamp::from_millis(text.parse::<jiff::Timestamp>().expect("a moment").as_millisecond())
        };
        let last = moment("2026-12-31T23:59:59.999Z");
        assert_eq!(Month::of(last).to_string(), "2026-12");
        assert_eq!(Month::of(last).number(), 202_612);
        assert_eq!(Month::of(last).next().start(), moment("2027-01-01T00:00:00Z"));
        assert_eq!(Day::of(last).end(), moment("2027-01-01T00:00:00Z"));
        assert_eq!(Day::of(last.plus(std::time::Duration::from_millis(1))).number(), Day::of(last).number() + 1);
        assert_eq!("2026-11".parse(), Ok(Month::of(moment("2026-11-01T00:00:00Z"))));
        for bad in
            ["2026-13", "2026-00", "2026-1", "26-11", "2026/11", "+026-11", "2026-+1", "", "2026-11-01", "２０２６-11"]
        {
            assert!(bad.parse::<Month>().is_err(), "{bad:?} was taken");
        }
    }
}
