//! Events of Google's calendars: how an appointment is written as one, and what one that was read means.

use mainstay_domain::{AppointmentId, CalendarDay, Span, TenantId, Timestamp, Zone};
use mainstay_store::{SeenEvent, ToldEvent, appointment_of_event};
use serde_json::{Value, json};

/// Kinds of events that say where somebody is or who was born, and take no time.
const TAKES_NO_TIME: [&str; 2] = ["workingLocation", "birthday"];

/// The event of an appointment.
pub(super) fn body(tenant: TenantId, appointment: AppointmentId, told: &ToldEvent) -> Value {
    let summary = match &told.contact {
        Some(contact) => format!("{} – {contact}", told.service),
        None => told.service.clone(),
    };
    let lines = [told.phone.as_deref(), Some(told.note.as_str())];
    let description: Vec<_> = lines.into_iter().flatten().filter(|line| !line.is_empty()).collect();
    let zone = told.zone.as_deref().unwrap_or("UTC");
    let moment = |moment: Timestamp| json!({"dateTime": moment.to_string(), "timeZone": zone, "date": null});
    json!({
        "summary": summary,
        "description": description.join("\n"),
        "start": moment(told.shown.from()),
        "end": moment(told.shown.until()),
        "status": "confirmed",
        "transparency": "opaque",
        "visibility": "private",
        "extendedProperties": {"private": {
            "appointmentId": appointment.to_string(), "organisationId": tenant.to_string()}},
    })
}

/// Whether an event that was read is that of an appointment.
pub(super) fn is_of(event: &Value, tenant: TenantId, appointment: AppointmentId) -> bool {
    let private = &event["extendedProperties"]["private"];
    private["appointmentId"] == appointment.to_string() && private["organisationId"] == tenant.to_string()
}

/// Whether it was deleted.
pub(super) fn is_gone(event: &Value) -> bool {
    event["status"] == "cancelled"
}

/// Its version.
pub(super) fn version(event: &Value) -> Option<String> {
    event["etag"].as_str().map(str::to_owned)
}

/// When an event is. Days without hours are those of the calendar's zone.
pub(super) fn times(event: &Value, zone: &Zone) -> Option<Span> {
    let moment = |end: &Value| match end["dateTime"].as_str() {
        Some(moment) => moment.parse::<Timestamp>().ok(),
        None => {
            let day: CalendarDay = end["date"].as_str()?.parse().ok()?;
            // Where the day begins later for once, it begins with its first minute that there is.
            (0..24 * 60).step_by(15).find_map(|minute| zone.moment(day, minute).ok())
        }
    };
    Span::new(moment(&event["start"])?, moment(&event["end"])?)
}

/// What an event that was read says. Nothing for what has no id, which cannot be kept.
pub(super) fn read(event: &Value, zone: &Zone) -> Option<SeenEvent> {
    let id = event["id"].as_str().filter(|id| !id.is_empty() && id.len() <= 1_024)?;
    let there = if is_gone(event) { None } else { times(event, zone) };
    let declined = event["attendees"]
        .as_array()
        .is_some_and(|all| all.iter().any(|one| one["self"] == true && one["responseStatus"] == "declined"));
    let kind = event["eventType"].as_str().unwrap_or("default");
    let takes = event["transparency"] != "transparent" && !declined && !TAKES_NO_TIME.contains(&kind);
    Some(SeenEvent {
        id: id.to_owned(),
        etag: version(event),
        busy: there.filter(|_| takes),
        there,
        ours: appointment_of_event(id),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zone() -> Zone {
        Zone::parse("America/New_York").expect("a zone")
    }

    #[test]
    fn what_takes_time_is_told_from_what_does_not() {
        let times = json!({"start": {"dateTime": "2026-03-02T09:30:00-05:00"}, "end": {"dateTime": "2026-03-02T10:00:00-05:00"}});
        let with = |more: Value| {
            let mut event = json!({"id": "abcde", "status": "confirmed"});
            for part in [&times, &more] {
                event.as_object_mut().expect("an object").extend(part.as_object().expect("an object").clone());
            }
            read(&event, &zone()).expect("an event")
        };
        let span =
            Span::new("2026-03-02T14:30:00Z".parse().expect("a time"), "2026-03-02T15:00:00Z".parse().expect("a time"));
        assert_eq!(with(json!({})).busy, span);
        let free = [
            json!({"transparency": "transparent"}),
            json!({"eventType": "workingLocation"}),
            json!({"attendees": [{"email": "a"}, {"self": true, "responseStatus": "declined"}]}),
        ];
        for more in free {
            let event = with(more.clone());
            assert_eq!((event.busy, event.there), (None, span), "{more}");
        }
        assert_eq!(with(json!({"attendees": [{"responseStatus": "declined"}]})).busy, span);
        let gone = with(json!({"status": "cancelled"}));
        assert_eq!((gone.busy, gone.there), (None, None));
        assert_eq!(read(&json!({"status": "cancelled"}), &zone()), None);
    }

    #[test]
    fn days_are_those_of_the_calendar() {
        let event = json!({"id": "abcde", "start": {"date": "2026-03-08"}, "end": {"date": "2026-03-09"}});
        let span = read(&event, &zone()).and_then(|event| event.busy).expect("a day");
        // Clocks are set forward on that day.
        assert_eq!(span.length().as_secs(), 23 * 3_600);
        assert_eq!(span.from().to_string(), "2026-03-08T05:00:00.000Z");
        let cairo = Zone::parse("Africa/Cairo").expect("a zone");
        let event = json!({"id": "abcde", "start": {"date": "2026-04-24"}, "end": {"date": "2026-04-25"}});
        let span = read(&event, &cairo).and_then(|event| event.busy).expect("a day whose first hour is skipped");
        assert_eq!(span.length().as_secs(), 23 * 3_600);
    }
}
