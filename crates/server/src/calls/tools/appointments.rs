//! Free times, and appointments made, moved and cancelled.

use mainstay_domain::{AppointmentState, CallOutcome, ContactId, Note, Refused, Span, Timestamp, Zone};
use mainstay_store::{Appointment, AppointmentsOf, Reception as Settings};

use super::people;
use super::{Answer, Asking, Given, Refusal, Told, instead};
use crate::calls::speech;
use crate::reception::{Asked, Change, ContactWish, Free, MOST_DAYS, Shift, Wish};

/// How many free times are told at once: more cannot be remembered.
const TIMES: usize = 6;
/// How many free times of a day are looked at to find those around a wanted one.
const OF_A_DAY: usize = 300;
/// How many of a contact's appointments are looked at.
const LOOKED_AT: u32 = 50;

/// The moment that is meant.
fn start(asking: &Asking<'_>, zone: &Zone, given: &Given<'_>) -> Result<Timestamp, Refusal> {
    let both = given.text(&["starts_at", "start", "datetime", "date_time"]);
    let date = given.text(&["date", "day"]).or_else(|| both.clone());
    let time = given.text(&["time"]).or(both);
    let Some(date) = date else { return Err(Refusal::new("missing_date", "On which day?")) };
    let Some(time) = time else { return Err(Refusal::new("missing_time", "At what time?")) };
    let day = asking.day(zone, &date)?;
    let minute = speech::read_time(&time)
        .ok_or_else(|| Refusal::new("invalid_time", "I did not understand the time. When exactly?"))?;
    zone.moment(day, minute).map_err(|refused: Refused| Refusal::new(refused.code, refused.detail))
}

pub(super) async fn check(asking: &Asking<'_>, given: &Given<'_>) -> Answer {
    let service = asking.service_in(given).await?;
    let staff = asking.staff(given.text(&["staff", "staff_name", "provider"]).as_deref()).await?;
    let settings = asking.settings().await?;
    let zone = &settings.zone;
    let day = given.text(&["date", "day"]).map(|text| asking.day(zone, &text)).transpose()?;
    let minute = given.text(&["time"]).as_deref().and_then(speech::read_time);
    let mut asked = Asked {
        service: service.id,
        staff: staff.as_ref().map(|staff| staff.id),
        from: None,
        until: None,
        days: MOST_DAYS,
        limit: TIMES,
    };
    let Some(day) = day else {
        let free = asking.app.reception.availability(asking.call, asking.tenant, asked).await?.free;
        return Ok(Told::answer(next(zone, &service.name, &free)));
    };
    let whole = zone.span(day, 0, 1_440).ok_or_else(|| Refusal::new("invalid_date", "Which date is it?"))?;
    (asked.from, asked.until, asked.limit) = (Some(whole.from()), Some(whole.until()), OF_A_DAY);
    let over = whole.until() <= asking.app.clock.now();
    if !over {
        let free = asking.app.reception.availability(asking.call, asking.tenant, asked).await?.free;
        if !free.is_empty() {
            let wanted = minute.and_then(|minute| zone.moment(day, minute).ok());
            return Ok(Told::answer(of_day(zone, &service.name, wanted, &free)));
        }
    }
    let from = if over { None } else { Some(whole.until()) };
    asked = Asked { from, until: None, limit: TIMES, ..asked };
    let free = asking.app.reception.availability(asking.call, asking.tenant, asked).await?.free;
    Ok(Told::answer(format!("Nothing is free on {}. {}", speech::day(day), next(zone, &service.name, &free))))
}

fn next(zone: &Zone, service: &str, free: &[Free]) -> String {
    let starts: Vec<Timestamp> = free.iter().map(|free| free.start).collect();
    if starts.is_empty() {
        return format!("No time is free for {service} in the next weeks.");
    }
    format!("The next free times for {service} are {}.", speech::moments(zone, &starts))
}

/// The free times of a day: whether the wanted one is among them, and those that are nearest to it; else some that are spread
/// over the day.
fn of_day(zone: &Zone, service: &str, wanted: Option<Timestamp>, free: &[Free]) -> String {
    let starts: Vec<Timestamp> = free.iter().map(|free| free.start).collect();
    let Some(wanted) = wanted else {
        let step = starts.len().div_ceil(TIMES).max(1);
        let some: Vec<Timestamp> = starts.iter().copied().step_by(step).collect();
        return format!("Free for {service}: {}.", speech::moments(zone, &some));
    };
    if starts.contains(&wanted) {
        return format!("Yes, {} is free for {service}.", speech::moment(zone, wanted));
    }
    let distance = |at: &Timestamp| (at.as_millis() - wanted.as_millis()).abs();
    let mut nearest = starts;
    nearest.sort_by_key(distance);
    nearest.truncate(3);
    nearest.sort_unstable();
    let (asked, nearest) = (speech::moment(zone, wanted), speech::moments(zone, &nearest));
    format!("{asked} is not free. The nearest free times are {nearest}.")
}

pub(super) async fn book(asking: &Asking<'_>, given: &Given<'_>) -> Answer {
    let service = asking.service(given.text(&["service", "service_name"]).as_deref()).await?;
    let staff = asking.staff(given.text(&["staff", "staff_name", "provider"]).as_deref()).await?;
    let settings = asking.settings().await?;
    let start = start(asking, &settings.zone, given)?;
    let Some(name) = given.text(people::NAMES) else {
        return Err(Refusal::new("missing_name", "Under which name shall I book it?"));
    };
    let phone = people::number(asking, &settings, given)?;
    let wish = ContactWish {
        name: Some(name),
        phone: phone.map(|phone| Some(phone.as_str().to_owned())),
        email: given.text(&["email"]).map(Some),
        note: None,
    };
    let contact = match people::known_by_name(asking, &wish).await? {
        Some(contact) => contact,
        None => asking.app.reception.know(asking.call, asking.tenant, &wish).await?,
    };
    let note = given.text(&["note", "notes", "reason"]).unwrap_or_default();
    let note: String = note.chars().filter(|one| !one.is_control()).take(Note::MOST).collect();
    let wish = Wish {
        service: service.id,
        staff: staff.as_ref().map(|staff| staff.id),
        start,
        contact: Some(contact.id),
        hold: false,
        note: Note::parse(&note).unwrap_or_default(),
        outside_hours: false,
        asked: true,
    };
    let claim = asking.claim("book")?;
    let made = asking.app.reception.book(asking.call, asking.tenant, &wish, Some(claim)).await;
    let made = made.map_err(|problem| instead(&settings.zone, &problem))?;
    let when = speech::moment(&settings.zone, made.shown.from());
    let (who, _) = asking.app.reception.one_of_staff(asking.call, asking.tenant, made.staff).await?;
    Ok(Told {
        answer: format!("Booked: {} on {when} with {}.", service.name, who.name),
        outcome: Some(CallOutcome::Booked),
        appointment: Some(made.id),
        contact: Some(contact.id),
    })
}

/// The appointments of a contact that are ahead, the next first.
pub(super) async fn ahead(asking: &Asking<'_>, contact: ContactId) -> Result<Vec<Appointment>, Refusal> {
    let list = AppointmentsOf { tenant: asking.tenant, contact, before: None, limit: LOOKED_AT };
    let mut all = asking.app.reception.appointments_of(asking.call, list).await?;
    let now = asking.app.clock.now();
    all.retain(|one| one.state.is_ahead() && one.shown.from() > now);
    all.reverse();
    Ok(all)
}

/// The appointment of the caller that is meant. It stays the one of this use of the tool: after a crash, what is asked again is
/// done to the same one, and told in the same way if it was done.
async fn meant(
    asking: &Asking<'_>,
    settings: &Settings,
    given: &Given<'_>,
    use_of: &str,
) -> Result<Appointment, Refusal> {
    let (reception, claim) = (&asking.app.reception, asking.claim(use_of)?);
    if let Some(chosen) = reception.chosen(asking.call, asking.tenant, &claim).await? {
        return Ok(chosen);
    }
    let found = looked_up(asking, settings, given).await?;
    Ok(reception.choose(asking.call, asking.tenant, found, claim).await?)
}

/// The only appointment of the caller, or the one of a day.
async fn looked_up(asking: &Asking<'_>, settings: &Settings, given: &Given<'_>) -> Result<Appointment, Refusal> {
    let contact = people::caller(asking, settings, given).await?;
    let mut all = ahead(asking, contact.id).await?;
    let zone = &settings.zone;
    if let Some(text) = given.text(&["current_date", "old_date", "appointment_date"]) {
        let day = asking.day(zone, &text)?;
        all.retain(|one| zone.day_of(one.shown.from()) == day);
    }
    let when = |one: &Appointment| speech::moment(zone, one.shown.from());
    match all.len() {
        0 => Err(Refusal::new("no_appointment", "I find no appointment of yours that is still to come.")),
        1 => Ok(all.swap_remove(0)),
        _ => {
            let all: Vec<String> = all.iter().take(TIMES).map(when).collect();
            Err(Refusal::new("which", format!("Which appointment is it: {}?", speech::list(&all, "or"))))
        }
    }
}

pub(super) async fn reschedule(asking: &Asking<'_>, given: &Given<'_>) -> Answer {
    let settings = asking.settings().await?;
    let zone = &settings.zone;
    let start = start(asking, zone, given)?;
    let appointment = meant(asking, &settings, given, "move").await?;
    let told = |moved: &Appointment| Told {
        answer: format!("Moved to {}.", speech::moment(zone, moved.shown.from())),
        outcome: Some(CallOutcome::Rescheduled),
        appointment: Some(moved.id),
        contact: moved.contact,
    };
    if appointment.shown.from() == start {
        return Ok(told(&appointment));
    }
    let reception = &asking.app.reception;
    let (tenant, id) = (asking.tenant, appointment.id);
    let to = |staff| Shift { start, staff, outside_hours: false, asked: true };
    // Whoever does it now, else somebody else who does it then.
    let first = reception.shift(asking.call, tenant, id, to(None)).await;
    let problem = match first {
        Ok(moved) => return Ok(told(&moved)),
        Err(problem) => problem,
    };
    let at = Span::new(start, start.plus(std::time::Duration::from_millis(1)));
    let asked = Asked {
        service: appointment.service,
        staff: None,
        from: Some(start),
        until: at.map(Span::until),
        days: 1,
        limit: 1,
    };
    let free = reception.availability(asking.call, tenant, asked).await.map(|found| found.free).unwrap_or_default();
    for staff in free.iter().filter(|free| free.start == start).flat_map(|free| &free.staff).take(3) {
        if let Ok(moved) = reception.shift(asking.call, tenant, id, to(Some(*staff))).await {
            return Ok(told(&moved));
        }
    }
    Err(instead(zone, &problem))
}

pub(super) async fn cancel(asking: &Asking<'_>, given: &Given<'_>) -> Answer {
    let settings = asking.settings().await?;
    let appointment = meant(asking, &settings, given, "cancel").await?;
    let change = Change { state: Some(AppointmentState::Cancelled), asked: true, ..Change::default() };
    let cancelled = match appointment.state {
        AppointmentState::Cancelled => appointment,
        _ => asking.app.reception.change(asking.call, asking.tenant, appointment.id, &change).await?,
    };
    let when = speech::moment(&settings.zone, cancelled.shown.from());
    Ok(Told {
        answer: format!("The appointment on {when} is cancelled."),
        outcome: Some(CallOutcome::Cancelled),
        appointment: Some(cancelled.id),
        contact: cancelled.contact,
    })
}
