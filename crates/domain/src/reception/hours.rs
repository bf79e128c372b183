//! When an organisation is open, and when each of its people works.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::day::{CalendarDay, Zone};
use super::slots::Span;
use crate::text::Refused;

/// The most openings of one day.
const MOST_OPENINGS: usize = 8;
/// Minutes of a day.
pub(crate) const DAY: u16 = 1_440;

/// From one time of the clock to a later one, in minutes since midnight: `09:00-12:30` on the wire, `24:00` for the end of
/// the day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Opening {
    from: u16,
    until: u16,
}

impl Opening {
    /// When it begins, in minutes since midnight.
    #[must_use]
    pub const fn from(self) -> u16 {
        self.from
    }

    /// When it ends, in minutes since midnight.
    #[must_use]
    pub const fn until(self) -> u16 {
        self.until
    }

    /// What is in both.
    fn and(self, other: Self) -> Option<Self> {
        let (from, until) = (self.from.max(other.from), self.until.min(other.until));
        (from < until).then_some(Self { from, until })
    }
}

/// Reads `09:30-24:00`, each end in minutes since midnight.
pub(crate) fn ends(text: &str) -> Option<(u16, u16)> {
    let (from, until) = text.split_once('-')?;
    Some((minute(from)?, minute(until)?))
}

/// Writes ends as [`ends`] reads them.
pub(crate) fn write_ends(f: &mut fmt::Formatter<'_>, from: u16, until: u16) -> fmt::Result {
    write!(f, "{:02}:{:02}-{:02}:{:02}", from / 60, from % 60, until / 60, until % 60)
}

/// Reads `09:30`, in minutes since midnight.
fn minute(text: &str) -> Option<u16> {
    let (hours, minutes) = text.split_once(':')?;
    let number =
        |part: &str| (part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit())).then(|| part.parse().ok());
    let (hours, minutes): (u16, u16) = (number(hours)??, number(minutes)??);
    let all = hours * 60 + minutes;
    (minutes < 60 && all <= DAY).then_some(all)
}

impl FromStr for Opening {
    type Err = Refused;

    fn from_str(text: &str) -> Result<Self, Refused> {
        match ends(text) {
            Some((from, until)) if from < until => Ok(Self { from, until }),
            _ => Err(Refused {
                code: "invalid_opening",
                detail:
                    "Write from when until when, such as 09:00-12:30, the end of the day as 24:00. What goes on after \
                         midnight is an opening of the next day."
                        .to_owned(),
            }),
        }
    }
}

impl fmt::Display for Opening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_ends(f, self.from, self.until)
    }
}

impl Serialize for Opening {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Opening {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(|refused: Refused| de::Error::custom(refused.detail))
    }
}

/// The openings of one day, in order. They do not overlap.
fn in_order(mut openings: Vec<Opening>) -> Result<Vec<Opening>, Refused> {
    if openings.len() > MOST_OPENINGS {
        let detail = format!("There are {} openings on one day; at most {MOST_OPENINGS} are allowed.", openings.len());
        return Err(Refused { code: "too_many", detail });
    }
    openings.sort_unstable();
    for pair in openings.windows(2) {
        if let [one, other] = pair
            && one.until > other.from
        {
            let detail = format!("{one} and {other} overlap. Write them as one.");
            return Err(Refused { code: "overlap", detail });
        }
    }
    Ok(openings)
}

/// When it is open in a week without exceptions, Monday first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Week([Vec<Opening>; 7]);

impl Week {
    /// A week of these days, Monday first.
    ///
    /// # Errors
    /// When there are more than eight openings on a day, or some that overlap.
    pub fn new(days: [Vec<Opening>; 7]) -> Result<Self, Refused> {
        let mut week = Self::default();
        for (place, openings) in week.0.iter_mut().zip(days) {
            *place = in_order(openings)?;
        }
        Ok(week)
    }

    /// The openings on a day of the week.
    #[must_use]
    pub fn on(&self, day: CalendarDay) -> &[Opening] {
        self.0.get(day.weekday()).map_or(&[], Vec::as_slice)
    }
}

impl<'de> Deserialize<'de> for Week {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let days = <[Vec<Opening>; 7]>::deserialize(deserializer)?;
        Self::new(days).map_err(|refused| de::Error::custom(refused.detail))
    }
}

/// A day that is not like others: a holiday, an absence, a long Thursday.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpecialDay {
    /// Which day.
    pub day: CalendarDay,
    /// When it is open all the same, in order.
    openings: Vec<Opening>,
}

impl SpecialDay {
    /// A day with these openings; none for a day on which it is closed.
    ///
    /// # Errors
    /// When there are more than eight, or some that overlap.
    pub fn new(day: CalendarDay, openings: Vec<Opening>) -> Result<Self, Refused> {
        Ok(Self { day, openings: in_order(openings)? })
    }

    /// When it is open all the same, in order.
    #[must_use]
    pub fn openings(&self) -> &[Opening] {
        &self.openings
    }
}

/// The hours of somebody: what the organisation's are, and what their own.
#[derive(Clone, Copy, Debug)]
pub struct StaffHours<'a> {
    /// The organisation's.
    pub week: &'a Week,
    /// Its days that are not like others.
    pub special: &'a [SpecialDay],
    /// Those of the person; the organisation's without them.
    pub own: Option<&'a Week>,
    /// The days of the person that are not like others.
    pub own_special: &'a [SpecialDay],
}

impl StaffHours<'_> {
    /// When somebody works on a day. A day of their own counts before everything; on a day of the organisation they work
    /// when it is open and they would; else they work in their own week, which may be longer than the organisation's.
    #[must_use]
    pub fn on(&self, day: CalendarDay) -> Vec<Opening> {
        let of = |days: &[SpecialDay]| days.iter().position(|one| one.day == day);
        if let Some(own) = of(self.own_special).and_then(|place| self.own_special.get(place)) {
            return own.openings.clone();
        }
        let usual = self.own.unwrap_or(self.week).on(day);
        match of(self.special).and_then(|place| self.special.get(place)) {
            None => usual.to_vec(),
            // Somebody without hours of their own is there whenever it is open.
            Some(special) if self.own.is_none() => special.openings.clone(),
            Some(special) => {
                let both = usual.iter().flat_map(|one| special.openings.iter().filter_map(|other| one.and(*other)));
                both.collect()
            }
        }
    }

    /// When somebody works, from the first day to the last, in order. Openings that touch, as over midnight, are one.
    #[must_use]
    pub fn spans(&self, zone: &Zone, first: CalendarDay, last: CalendarDay) -> Vec<Span> {
        let mut spans: Vec<Span> = Vec::new();
        let mut day = first;
        loop {
            for opening in self.on(day) {
                let Some(span) = zone.span(day, opening.from, opening.until) else { continue };
                match spans.last_mut().and_then(|before| before.joined(span)) {
                    Some(both) => {
                        spans.pop();
                        spans.push(both);
                    }
                    None => spans.push(span),
                }
            }
            if day >= last || day.next() == day {
                return spans;
            }
            day = day.next();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn openings(texts: &[&str]) -> Vec<Opening> {
        texts.iter().map(|text| text.parse().expect("an opening")).collect()
    }

    fn day(text: &str) -> CalendarDay {
        text.parse().expect("a day")
    }

    fn week(each: &[&str]) -> Week {
        Week::new(std::array::from_fn(|day| if day < 5 { openings(each) } else { Vec::new() })).expect("a week")
    }

    fn special(on: &str, texts: &[&str]) -> SpecialDay {
        SpecialDay::new(day(on), openings(texts)).expect("a day")
    }

    #[test]
    fn openings_are_read_and_written() {
        for text in ["09:00-12:30", "00:00-24:00", "23:59-24:00"] {
            assert_eq!(text.parse::<Opening>().expect("an opening").to_string(), text);
        }
        for bad in
            ["", "9:00-12:00", "09:00", "12:00-09:00", "09:00-09:00", "09:00-24:01", "09:60-10:00", "+9:00-10:00"]
        {
            assert_eq!(bad.parse::<Opening>().map_err(|refused| refused.code), Err("invalid_opening"), "{bad}");
        }
    }

    #[test]
    fn a_week_is_in_order_and_without_overlaps() {
        let mut days: [Vec<Opening>; 7] = Default::default();
        days[2] = openings(&["13:00-17:00", "09:00-12:00"]);
        let week = Week::new(days.clone()).expect("a week");
        assert_eq!(week.on(day("2026-03-04")), openings(&["09:00-12:00", "13:00-17:00"]));
        let text = serde_json::to_string(&week).expect("JSON");
        assert_eq!(serde_json::from_str::<Week>(&text).expect("a week"), week);
        days[2].extend(openings(&["11:30-14:00"]));
        assert_eq!(Week::new(days).map_err(|refused| refused.code), Err("overlap"));
        let many = SpecialDay::new(day("2026-03-04"), vec![openings(&["09:00-10:00"])[0]; 9]);
        assert_eq!(many.map_err(|refused| refused.code), Err("too_many"));
    }

    #[test]
    fn who_works_when() {
        let (house, own) = (week(&["09:00-18:00"]), week(&["07:00-12:00"]));
        let holidays = [special("2026-04-06", &[]), special("2026-04-07", &["10:00-14:00"])];
        let absences = [special("2026-04-07", &["20:00-21:00"]), special("2026-04-08", &[])];
        let on =
            |own, own_special, at: &str| StaffHours { week: &house, special: &holidays, own, own_special }.on(day(at));
        assert_eq!(on(None, &[], "2026-04-09"), openings(&["09:00-18:00"]));
        assert_eq!(on(Some(&own), &[], "2026-04-09"), openings(&["07:00-12:00"]), "longer than the house");
        assert_eq!(on(Some(&own), &[], "2026-04-06"), [], "a holiday is everybody's");
        assert_eq!(on(None, &[], "2026-04-07"), openings(&["10:00-14:00"]));
        assert_eq!(on(Some(&own), &[], "2026-04-07"), openings(&["10:00-12:00"]));
        assert_eq!(on(Some(&own), &absences, "2026-04-07"), openings(&["20:00-21:00"]), "what is agreed with somebody");
        assert_eq!(on(Some(&own), &absences, "2026-04-08"), []);
        assert_eq!(on(None, &[], "2026-04-11"), [], "a Saturday");
    }

    #[test]
    fn a_night_shift_is_one_stretch() {
        let night = Week::new(std::array::from_fn(|_| openings(&["00:00-06:00", "22:00-24:00"]))).expect("a week");
        let hours = StaffHours { week: &night, special: &[], own: None, own_special: &[] };
        let zone = Zone::parse("Europe/Berlin").expect("a zone");
        let spans = hours.spans(&zone, day("2026-03-28"), day("2026-03-29"));
        let lengths: Vec<u64> = spans.iter().map(|span| span.length().as_secs() / 3_600).collect();
        // In the night on Sunday an hour is missing.
        assert_eq!(lengths, [6, 7, 2]);
    }
}
