//! When it is open.

use mainstay_domain::{CalendarDay, Opening, SpecialDay, StaffHours};
use mainstay_store::Reception as Settings;

use super::{Answer, Asking, Given, Told};
use crate::calls::speech;

pub(super) async fn tell(asking: &Asking<'_>, given: &Given<'_>) -> Answer {
    let settings = asking.settings().await?;
    let today = asking.today(&settings.zone);
    let day = given.text(&["date", "day"]).map(|text| asking.day(&settings.zone, &text)).transpose()?;
    let (first, last) = match day {
        Some(day) => (day, day),
        None => (today, CalendarDay::from_number(today.number() + 6).unwrap_or(today)),
    };
    let days = asking.app.reception.special_days(asking.call, asking.tenant, (first, last)).await?;
    let special: Vec<_> = days.into_iter().filter(|day| day.staff.is_none()).collect();
    let of_house: Vec<SpecialDay> = special.iter().map(|day| day.day.clone()).collect();
    let name = |day: CalendarDay| special.iter().find(|one| one.day.day == day).map(|one| one.name.clone());
    if let Some(day) = day {
        let why = name(day).map_or_else(String::new, |name| format!(" ({name})"));
        let text = match open(&settings, &of_house, day) {
            None => format!("On {} it is closed{why}.", speech::day(day)),
            Some(hours) => format!("On {} it is open {hours}{why}.", speech::day(day)),
        };
        return Ok(Told::answer(text));
    }
    let mut lines = Vec::new();
    let mut next = first;
    while next <= last {
        let hours = open(&settings, &of_house, next).unwrap_or_else(|| "closed".to_owned());
        lines.push(format!("{} {hours}", speech::day(next)));
        if next == next.next() {
            break;
        }
        next = next.next();
    }
    Ok(Told::answer(format!("{}.", lines.join("; "))))
}

/// When it is open on a day, in words; nothing when it is closed.
fn open(settings: &Settings, special: &[SpecialDay], day: CalendarDay) -> Option<String> {
    let hours = StaffHours { week: &settings.week, special, own: None, own_special: &[] }.on(day);
    let spoken = |one: &Opening| match (one.from(), one.until()) {
        (0, 1_440) => "all day".to_owned(),
        (from, until) => format!("from {} to {}", speech::time(from), speech::time(until)),
    };
    let spoken: Vec<String> = hours.iter().map(spoken).collect();
    (!spoken.is_empty()).then(|| speech::list(&spoken, "and"))
}
