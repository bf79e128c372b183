//! What is said.

use std::collections::BTreeMap;

use mainstay_domain::{Faults, TextReason, Timestamp, Zone};

use crate::calls::speech;

/// The longest text that the provider takes, in characters.
const LONGEST: usize = 1_600;
/// The longest wording, in characters: what stands for its parts has room beside it.
const LONGEST_WORDING: usize = 500;
/// The most of a name that is said, in characters.
const LONGEST_NAME: usize = 100;
/// What may stand in a wording, in braces.
const PARTS: [&str; 6] = ["organisation", "service", "staff", "day", "time", "link"];

/// What a message is about.
pub(super) struct About<'a> {
    pub(super) organisation: &'a str,
    pub(super) service: &'a str,
    pub(super) staff: &'a str,
    pub(super) zone: &'a Zone,
    pub(super) starts_at: Timestamp,
    pub(super) link: &'a str,
}

/// The usual words.
const fn usual(reason: TextReason) -> &'static str {
    match reason {
        TextReason::Confirmation => {
            "{organisation}: {service} with {staff} on {day} at {time}. Cancel: {link} Reply STOP for no more texts."
        }
        TextReason::Moved => "{organisation}: your {service} is now on {day} at {time} with {staff}. Cancel: {link}",
        TextReason::Cancelled => "{organisation}: your {service} on {day} at {time} is cancelled.",
        TextReason::Reminder => {
            "{organisation}: reminder of your {service} with {staff} on {day} at {time}. Cancel: {link}"
        }
    }
}

/// The places of a wording that stand for something: what is before each, and its name; and what is after the last.
fn places(wording: &str) -> (Vec<(&str, &str)>, &str) {
    let (mut places, mut rest) = (Vec::new(), wording);
    while let Some((before, after)) = rest.split_once('{') {
        let Some((name, left)) = after.split_once('}') else { break };
        places.push((before, name));
        rest = left;
    }
    (places, rest)
}

/// Judges the words of an organisation.
pub(super) fn check(wording: &BTreeMap<TextReason, String>, faults: &mut Faults) {
    for (reason, words) in wording {
        let field = format!("wording.{reason}");
        if words.trim().is_empty() || words.chars().count() > LONGEST_WORDING {
            let detail = format!("Write from 1 to {LONGEST_WORDING} characters, or leave it out for the usual words.");
            faults.add(&field, "invalid_length", detail);
        }
        let (places, rest) = places(words);
        let unknown = places.iter().map(|(_, name)| *name).find(|name| !PARTS.contains(name));
        if unknown.is_some() || rest.contains(['{', '}']) || places.iter().any(|(before, _)| before.contains('}')) {
            let known = PARTS.map(|part| format!("{{{part}}}")).join(", ");
            faults.add(&field, "unknown_part", format!("In braces there may stand {known}."));
        }
        if words.chars().any(|one| one.is_control() && one != '\n') {
            faults.add(&field, "control_character", "Leave out control characters.");
        }
    }
}

/// The text of a message.
pub(super) fn text(reason: TextReason, wording: &BTreeMap<TextReason, String>, about: &About<'_>) -> String {
    let words = wording.get(&reason).map_or(usual(reason), String::as_str);
    let (day, minute) = about.zone.clock(about.starts_at);
    let (day, time) = (speech::day(day), speech::time(minute));
    let (places, rest) = places(words);
    let mut text = String::new();
    for (before, name) in places {
        text.push_str(before);
        match name {
            "organisation" => text.push_str(&short(about.organisation)),
            "service" => text.push_str(&short(about.service)),
            "staff" => text.push_str(&short(about.staff)),
            "day" => text.push_str(&day),
            "time" => text.push_str(&time),
            "link" => text.push_str(about.link),
            // It was taken by an older release.
            _ => {}
        }
    }
    text.push_str(rest);
    text.chars().take(LONGEST).collect()
}

/// A name in one line.
fn short(name: &str) -> String {
    name.chars().map(|one| if one.is_control() { ' ' } else { one }).take(LONGEST_NAME).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn about<'a>(zone: &'a Zone, organisation: &'a str) -> About<'a> {
        About {
            organisation,
            service: "Cleaning",
            staff: "Dr. Ada",
            zone,
            starts_at: "2026-03-02T08:30:00.000Z".parse().expect("a moment"),
            link: "https://x.example/a/t",
        }
    }

    #[test]
    fn it_is_said_in_the_zone_of_the_reception() {
        let zone = Zone::parse("Europe/Berlin").expect("a zone");
        let said = |reason, wording: &[(TextReason, &str)], organisation| {
            let wording = wording.iter().map(|(reason, text)| (*reason, (*text).to_owned())).collect();
            text(reason, &wording, &about(&zone, organisation))
        };
        assert_eq!(
            said(TextReason::Reminder, &[], "Clinic"),
            "Clinic: reminder of your Cleaning with Dr. Ada on Monday 2 March at 9:30 AM. Cancel: https://x.example/a/t"
        );
        let own = [(TextReason::Moved, "Neu: {day}, {time}")];
        assert_eq!(said(TextReason::Moved, &own, "Clinic"), "Neu: Monday 2 March, 9:30 AM");
        // What a name says is not read as a wording.
        assert!(said(TextReason::Cancelled, &[], "{link}\n{day}").starts_with("{link} {day}: your"));
        assert!(said(TextReason::Cancelled, &[], &"x".repeat(5_000)).chars().count() < 200);
    }

    #[test]
    fn words_that_cannot_be_said_are_refused() {
        let faults = |text: &str| {
            let mut faults = Faults::default();
            check(&BTreeMap::from([(TextReason::Moved, text.to_owned())]), &mut faults);
            faults.judge().err().map(|error| error.fields).unwrap_or_default()
        };
        assert!(faults("At {time}.").is_empty());
        for bad in ["", " ", "{name}", "{time", "time}", "{{time}}", "a\u{7}b", &"x".repeat(501)] {
            assert_eq!(faults(bad).first().map(|fault| fault.field.as_str()), Some("wording.moved"), "{bad}");
        }
    }
}
