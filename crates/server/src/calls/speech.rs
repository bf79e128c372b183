//! What a voice can read out: moments, lists, and what a caller says of a day and a time.

use mainstay_domain::{CalendarDay, Timestamp, Zone};

const WEEKDAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// The longest answer, in characters: what is longer is warned of by the provider, and tires whoever listens.
const LONGEST: usize = 1_000;

/// A day: `Monday 2 March`.
pub(crate) fn day(day: CalendarDay) -> String {
    let (_, month, date) = day.parts();
    let month = MONTHS.get(usize::from(month.saturating_sub(1))).unwrap_or(&"");
    format!("{} {date} {month}", WEEKDAYS.get(day.weekday()).unwrap_or(&""))
}

/// Minutes since midnight: `9:30 AM`, `9 AM`, `noon`, `midnight`.
pub(crate) fn time(minute: u16) -> String {
    let (hour, minutes) = (minute / 60 % 24, minute % 60);
    match (hour, minutes) {
        (0, 0) => "midnight".to_owned(),
        (12, 0) => "noon".to_owned(),
        _ => {
            let half = if hour < 12 { "AM" } else { "PM" };
            let shown = if hour % 12 == 0 { 12 } else { hour % 12 };
            if minutes == 0 { format!("{shown} {half}") } else { format!("{shown}:{minutes:02} {half}") }
        }
    }
}

/// A moment: `Monday 2 March at 9:30 AM`.
pub(crate) fn moment(zone: &Zone, at: Timestamp) -> String {
    let (on, minute) = zone.clock(at);
    format!("{} at {}", day(on), time(minute))
}

/// `one`, `one and two`, `one, two and three`.
pub(super) fn list(items: &[String], last: &str) -> String {
    match items {
        [] => String::new(),
        [one] => one.clone(),
        [before @ .., end] => format!("{} {last} {end}", before.join(", ")),
    }
}

/// Moments by their days: `Monday 2 March at 9 AM and 9:30 AM; Tuesday 3 March at 10 AM`.
pub(super) fn moments(zone: &Zone, all: &[Timestamp]) -> String {
    let mut days: Vec<(CalendarDay, Vec<String>)> = Vec::new();
    for at in all {
        let (on, minute) = zone.clock(*at);
        match days.last_mut().filter(|(day, _)| *day == on) {
            Some((_, times)) => times.push(time(minute)),
            None => days.push((on, vec![time(minute)])),
        }
    }
    let spoken = days.into_iter().map(|(on, times)| format!("{} at {}", day(on), list(&times, "and")));
    spoken.collect::<Vec<_>>().join("; ")
}

/// On one line, and no longer than can be listened to.
pub(super) fn line(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= LONGEST {
        return line;
    }
    let mut short: String = line.chars().take(LONGEST - 1).collect();
    short.push('…');
    short
}

/// Reads what a caller says of a day: `2026-03-02`, `today`, `tomorrow`, a day of the week for the next one (today is not
/// it), with or without `next`.
pub(super) fn read_day(text: &str, today: CalendarDay) -> Option<CalendarDay> {
    let text = text.trim().to_lowercase();
    let word = text.strip_prefix("next ").or_else(|| text.strip_prefix("on ")).unwrap_or(&text);
    match word {
        "today" => return Some(today),
        "tomorrow" => return Some(today.next()),
        "day after tomorrow" | "the day after tomorrow" => return Some(today.next().next()),
        _ => {}
    }
    if let Some(weekday) = WEEKDAYS.iter().position(|name| name.to_lowercase() == word) {
        let mut day = today.next();
        while day.weekday() != weekday {
            day = day.next();
        }
        return Some(day);
    }
    // A model may write the time with it.
    word.get(..10).and_then(|day| day.parse().ok())
}

/// Reads what a caller says of a time, in minutes since midnight: `09:30`, `9:30 am`, `9 PM`, `noon`, also behind a day
/// (`2026-03-02T09:30`).
pub(super) fn read_time(text: &str) -> Option<u16> {
    let text = text.trim().to_lowercase();
    let text = text.split_once('t').filter(|(day, _)| day.len() == 10).map_or(text.as_str(), |(_, time)| time);
    match text {
        "noon" | "midday" => return Some(720),
        "midnight" => return Some(0),
        _ => {}
    }
    let plain: String = text.chars().filter(|one| !matches!(one, ' ' | '.')).collect();
    let (digits, half) = match (plain.strip_suffix("am"), plain.strip_suffix("pm")) {
        (Some(rest), _) => (rest, Some(false)),
        (_, Some(rest)) => (rest, Some(true)),
        _ => (plain.as_str(), None),
    };
    let mut parts = digits.split(':');
    let number = |part: Option<&str>| part.filter(|part| (1..=2).contains(&part.len()))?.parse::<u16>().ok();
    let hour = number(parts.next())?;
    let minutes = match parts.next() {
        None => 0,
        some => number(some)?,
    };
    let hour = match half {
        None => hour,
        Some(_) if !(1..=12).contains(&hour) => return None,
        Some(afternoon) => hour % 12 + if afternoon { 12 } else { 0 },
    };
    (hour < 24 && minutes < 60).then_some(hour * 60 + minutes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on(text: &str) -> CalendarDay {
        text.parse().expect("a day")
    }

    #[test]
    fn moments_are_said_as_people_say_them() {
        let zone = Zone::parse("Europe/Berlin").expect("a zone");
        let at = |text: &str| text.parse::<Timestamp>().expect("a moment");
        assert_eq!(moment(&zone, at("2026-03-02T08:30:00.000Z")), "Monday 2 March at 9:30 AM");
        let all = ["2026-03-02T08:00:00.000Z", "2026-03-02T11:00:00.000Z", "2026-03-03T23:00:00.000Z"].map(at);
        assert_eq!(moments(&zone, &all), "Monday 2 March at 9 AM and noon; Wednesday 4 March at midnight");
        assert_eq!(list(&["a", "b", "c"].map(str::to_owned), "or"), "a, b or c");
        assert_eq!(line("one\n two\t three"), "one two three");
        assert_eq!(line(&"x".repeat(2_000)).chars().count(), LONGEST);
    }

    #[test]
    fn days_and_times_are_understood() {
        let today = on("2026-03-04");
        for (text, day) in [
            ("2026-03-09", Some("2026-03-09")),
            ("2026-03-09T09:30:00", Some("2026-03-09")),
            ("Today", Some("2026-03-04")),
            ("tomorrow", Some("2026-03-05")),
            ("wednesday", Some("2026-03-11")),
            ("next Monday", Some("2026-03-09")),
            ("soon", None),
            ("2026-13-40", None),
            ("äöüäöüäöüä", None),
        ] {
            assert_eq!(read_day(text, today), day.map(on), "{text}");
        }
        for (text, minute) in [
            ("09:30", Some(570)),
            ("9:30 AM", Some(570)),
            ("9 p.m.", Some(1_260)),
            ("12 am", Some(0)),
            ("12:15pm", Some(735)),
            ("noon", Some(720)),
            ("14", Some(840)),
            ("2026-03-02T09:30:00", Some(570)),
            ("25:00", None),
            ("13 pm", None),
            ("half past nine", None),
            ("", None),
        ] {
            assert_eq!(read_time(text), minute, "{text}");
        }
    }
}
