//! Calendars as files: iCalendar (RFC 5545), and with it what mails carry to invite somebody (iTIP, RFC 5546).
//!
//! Times are in UTC, so that no zone has to be described. Lines end with CR and LF and are folded after 75 bytes at the most,
//! never inside of a character.

use std::fmt::Write as _;

use super::slots::Span;
use crate::Timestamp;

/// The most bytes of a line (RFC 5545, section 3.1).
const LONGEST_LINE: usize = 75;

/// What whoever gets the file is to do with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CalendarMethod<'a> {
    /// Nothing is said: a calendar that is read again and again.
    None,
    /// To take it over; nobody is asked.
    Publish,
    /// Somebody invites somebody, each known by an address of email.
    Request {
        /// Who invites.
        organizer: &'a str,
        /// Who is invited.
        attendee: &'a str,
    },
    /// What somebody was invited to does not take place.
    Cancel {
        /// Who had invited.
        organizer: &'a str,
        /// Who was invited.
        attendee: &'a str,
    },
}

/// An event of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CalendarEvent<'a> {
    /// What the same event has for ever.
    pub uid: &'a str,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed: whoever has an older one takes this.
    pub updated_at: Timestamp,
    /// When it is.
    pub span: Span,
    /// What it is called.
    pub summary: &'a str,
    /// What else is to be known; nothing is written for an empty one.
    pub description: &'a str,
    /// Where it is; nothing is written for an empty one.
    pub location: &'a str,
    /// Whether it does not take place.
    pub cancelled: bool,
}

/// A calendar as a file, of the type `text/calendar; charset=utf-8`. The name is that of the whole; nothing is written for an
/// empty one. The same events make the same bytes.
#[must_use]
pub fn calendar_file(name: &str, method: CalendarMethod<'_>, events: &[CalendarEvent<'_>]) -> String {
    let mut file = File(String::with_capacity(256 + 512 * events.len()));
    file.line("BEGIN", "VCALENDAR");
    file.line("VERSION", "2.0");
    file.line("PRODID", "-//Mainstay//Calendar//EN");
    file.line("CALSCALE", "GREGORIAN");
    let (word, people) = match method {
        CalendarMethod::None => (None, None),
        CalendarMethod::Publish => (Some("PUBLISH"), None),
        CalendarMethod::Request { organizer, attendee } => (Some("REQUEST"), Some((organizer, attendee))),
        CalendarMethod::Cancel { organizer, attendee } => (Some("CANCEL"), Some((organizer, attendee))),
    };
    if let Some(word) = word {
        file.line("METHOD", word);
    }
    if !name.is_empty() {
        file.text("NAME", name);
        file.text("X-WR-CALNAME", name);
    }
    if word.is_none() {
        file.line("REFRESH-INTERVAL;VALUE=DURATION", "PT15M");
    }
    for event in events {
        file.event(event, people);
    }
    file.line("END", "VCALENDAR");
    file.0
}

struct File(String);

impl File {
    fn event(&mut self, event: &CalendarEvent<'_>, people: Option<(&str, &str)>) {
        self.line("BEGIN", "VEVENT");
        self.text("UID", event.uid);
        self.line("DTSTAMP", &moment(event.updated_at));
        self.line("CREATED", &moment(event.created_at));
        self.line("LAST-MODIFIED", &moment(event.updated_at));
        // It grows with each change, and needs no counter.
        self.line("SEQUENCE", &event.updated_at.since(event.created_at).as_secs().to_string());
        self.line("DTSTART", &moment(event.span.from()));
        self.line("DTEND", &moment(event.span.until()));
        self.text("SUMMARY", event.summary);
        for (name, text) in [("DESCRIPTION", event.description), ("LOCATION", event.location)] {
            if !text.is_empty() {
                self.text(name, text);
            }
        }
        self.line("STATUS", if event.cancelled { "CANCELLED" } else { "CONFIRMED" });
        self.line("TRANSP", if event.cancelled { "TRANSPARENT" } else { "OPAQUE" });
        if let Some((organizer, attendee)) = people {
            self.line("ORGANIZER", &address(organizer));
            self.line("ATTENDEE;ROLE=REQ-PARTICIPANT;PARTSTAT=NEEDS-ACTION;RSVP=FALSE", &address(attendee));
        }
        self.line("END", "VEVENT");
    }

    /// A value of the type TEXT (section 3.3.11): characters with a meaning are escaped, and those that control are left
    /// out.
    fn text(&mut self, name: &str, text: &str) {
        let mut escaped = String::with_capacity(text.len() + 8);
        for letter in text.replace("\r\n", "\n").chars() {
            match letter {
                '\\' | ';' | ',' => escaped.extend(['\\', letter]),
                '\n' | '\r' | '\u{2028}' | '\u{2029}' => escaped.push_str("\\n"),
                '\t' => escaped.push(' '),
                letter if letter.is_control() => {}
                letter => escaped.push(letter),
            }
        }
        self.line(name, &escaped);
    }

    fn line(&mut self, name: &str, value: &str) {
        let line = format!("{name}:{value}");
        let mut rest = line.as_str();
        // What goes on begins with a space, which counts.
        let mut room = LONGEST_LINE;
        while rest.len() > room {
            let mut end = room;
            while !rest.is_char_boundary(end) {
                end -= 1;
            }
            self.0.push_str(&rest[..end]);
            self.0.push_str("\r\n ");
            rest = &rest[end..];
            room = LONGEST_LINE - 1;
        }
        self.0.push_str(rest);
        self.0.push_str("\r\n");
    }
}

/// An address as a URI. What has no place in one is written by its number.
fn address(email: &str) -> String {
    let mut uri = String::from("mailto:");
    for byte in email.bytes() {
        if byte.is_ascii_alphanumeric() || b"@.!$&'*+-/=^_`{|}~".contains(&byte) {
            uri.push(char::from(byte));
        } else {
            let _ = write!(uri, "%{byte:02X}");
        }
    }
    uri
}

/// A moment in UTC (section 3.3.5), whole seconds.
fn moment(moment: Timestamp) -> String {
    // Of 2026-03-02T09:30:00.000Z the digits and letters are kept up to the point.
    let text = moment.to_string();
    let whole = text.split('.').next().unwrap_or_default();
    let mut short: String = whole.chars().filter(|letter| letter.is_ascii_alphanumeric()).collect();
    if !short.ends_with('Z') {
        short.push('Z');
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a moment")
    }

    fn event<'a>(summary: &'a str, description: &'a str) -> CalendarEvent<'a> {
        CalendarEvent {
            uid: "3f2504e0-4f89-11d3-9a0c-0305e82c3301",
            created_at: at("2026-03-01T08:00:00Z"),
            updated_at: at("2026-03-01T08:01:40.500Z"),
            span: Span::new(at("2026-03-02T09:30:00Z"), at("2026-03-02T10:00:00Z")).expect("half an hour"),
            summary,
            description,
            location: "",
            cancelled: false,
        }
    }

    #[test]
    fn an_event_is_written_as_the_standard_says() {
        let file = calendar_file("Dr. 0", CalendarMethod::None, &[event("Cleaning", "")]);
        let lines = [
            "BEGIN:VCALENDAR",
            "VERSION:2.0",
            "PRODID:-//Mainstay//Calendar//EN",
            "CALSCALE:GREGORIAN",
            "NAME:Dr. 0",
            "X-WR-CALNAME:Dr. 0",
            "REFRESH-INTERVAL;VALUE=DURATION:PT15M",
            "BEGIN:VEVENT",
            "UID:3f2504e0-4f89-11d3-9a0c-0305e82c3301",
            "DTSTAMP:20260301T080140Z",
            "CREATED:20260301T080000Z",
            "LAST-MODIFIED:20260301T080140Z",
            "SEQUENCE:100",
            "DTSTART:20260302T093000Z",
            "DTEND:20260302T100000Z",
            "SUMMARY:Cleaning",
            "STATUS:CONFIRMED",
            "TRANSP:OPAQUE",
            "END:VEVENT",
            "END:VCALENDAR",
            "",
        ];
        assert_eq!(file, lines.join("\r\n"));
    }

    #[test]
    fn what_has_a_meaning_is_escaped_and_nothing_is_smuggled_in() {
        let file =
            calendar_file("", CalendarMethod::Publish, &[event("a;b,c\\d", "x\r\nEND:VEVENT\ny\u{7}\tz\u{2028}q")]);
        assert!(file.contains("\r\nSUMMARY:a\\;b\\,c\\\\d\r\n"), "{file}");
        assert!(file.contains("\r\nDESCRIPTION:x\\nEND:VEVENT\\ny z\\nq\r\n"), "{file}");
        assert_eq!(file.matches("\r\nEND:VEVENT").count(), 1);
        assert!(file.contains("\r\nMETHOD:PUBLISH\r\n") && !file.contains("NAME"));
    }

    #[test]
    fn long_lines_are_folded_between_characters() {
        for letter in ["a", "ü", "🦷"] {
            let long = letter.repeat(200);
            let file = calendar_file("", CalendarMethod::None, &[event(&long, "")]);
            assert!(file.split("\r\n").all(|line| line.len() <= LONGEST_LINE), "{file}");
            assert!(file.replace("\r\n ", "").contains(&format!("SUMMARY:{long}\r\n")));
            assert!(!file.replace("\r\n", "").contains(['\r', '\n']));
        }
    }

    #[test]
    fn an_invitation_names_who_invites_and_who_is_invited() {
        let method = CalendarMethod::Request { organizer: "a@example.com", attendee: "b c;d@example.com" };
        let file = calendar_file("", method, &[event("Cleaning", "")]).replace("\r\n ", "");
        assert!(file.contains("\r\nMETHOD:REQUEST\r\n") && file.contains("\r\nORGANIZER:mailto:a@example.com\r\n"));
        assert!(file.contains("RSVP=FALSE:mailto:b%20c%3Bd@example.com\r\n"), "{file}");
        let method = CalendarMethod::Cancel { organizer: "a@example.com", attendee: "b@example.com" };
        let off = CalendarEvent { cancelled: true, ..event("Cleaning", "") };
        let file = calendar_file("", method, &[off]);
        assert!(file.contains("\r\nMETHOD:CANCEL\r\n") && file.contains("\r\nSTATUS:CANCELLED\r\n"));
    }
}
