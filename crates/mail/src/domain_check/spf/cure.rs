//! The record of SPF to publish.

use super::record::{Record, terms};
use crate::dns::Name;

/// What providers ask to be included, by the end of the name of the server that mail is handed to.
const INCLUDES: [(&str, &str); 9] = [
    ("gmail.com", "_spf.google.com"),
    ("googlemail.com", "_spf.google.com"),
    ("google.com", "_spf.google.com"),
    ("office365.com", "spf.protection.outlook.com"),
    ("outlook.com", "spf.protection.outlook.com"),
    ("amazonaws.com", "amazonses.com"),
    ("sendgrid.net", "sendgrid.net"),
    ("mailgun.org", "mailgun.org"),
    ("messagingengine.com", "spf.messagingengine.com"),
];

/// The most terms of a record that is made from several.
const MOST_TERMS: usize = 100;

fn include(host: &Name) -> Option<&'static str> {
    let of = |ending: &str| Name::parse(ending).is_some_and(|ending| host.is_within(&ending));
    INCLUDES.iter().find(|(ending, _)| of(ending)).map(|(_, include)| *include)
}

fn host(sends_through: Option<&str>) -> Option<Name> {
    sends_through.and_then(Name::parse).filter(|host| host.labels().count() > 1)
}

/// A first record for whoever sends through this server.
pub(super) fn proposal(sends_through: Option<&str>) -> String {
    match host(sends_through) {
        Some(host) => match include(&host) {
            Some(include) => format!("v=spf1 include:{include} ~all"),
            None => format!("v=spf1 a:{host} ~all"),
        },
        None => "v=spf1 mx ~all".to_owned(),
    }
}

/// What to know before the proposal is published.
pub(super) fn advice(sends_through: Option<&str>) -> String {
    match host(sends_through) {
        Some(host) if include(&host).is_some() => "Name everybody else who sends for the domain in it, too.".to_owned(),
        Some(host) => format!(
            "Where the provider behind {host} names an include of its own, put that in place of a:{host}; name everybody else \
             who sends for the domain, too."
        ),
        None => {
            "Put in what your provider names in place of mx, and everybody else who sends for the domain.".to_owned()
        }
    }
}

/// One record with the terms of several, each once. Those that are none are left out.
pub(super) fn merged(records: &[&[u8]]) -> String {
    let texts: Vec<String> = records.iter().map(|text| String::from_utf8_lossy(text).into_owned()).collect();
    let mut merged: Vec<String> = vec!["v=spf1".to_owned()];
    for term in texts.iter().flat_map(|text| terms(text)) {
        // A record may lead elsewhere once and as a whole; among others that is an include.
        let term = match term.split_once('=') {
            Some((name, target)) if name.eq_ignore_ascii_case("redirect") => format!("include:{target}"),
            _ => term.to_owned(),
        };
        let all = term.trim_start_matches(['+', '-', '~', '?']).eq_ignore_ascii_case("all");
        let good = Record::read(&format!("v=spf1 {term}")).is_ok();
        if good && !all && merged.len() <= MOST_TERMS && !merged.contains(&term) {
            merged.push(term);
        }
    }
    merged.push("~all".to_owned());
    merged.join(" ")
}

/// A record that does not allow everybody any more, where that is in its own terms.
pub(super) fn closed(own: &str) -> String {
    let mut closed = vec!["v=spf1"];
    for term in terms(own) {
        let plain = term.strip_prefix('+').unwrap_or(term);
        let of_all = plain.eq_ignore_ascii_case("all") || plain.ends_with("/0");
        if !of_all && !plain.to_ascii_lowercase().trim_start_matches(['-', '~', '?']).eq("all") {
            closed.push(term);
        }
    }
    closed.push("~all");
    closed.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_first_record_fits_the_server() {
        assert_eq!(proposal(Some("smtp.gmail.com")), "v=spf1 include:_spf.google.com ~all");
        assert_eq!(proposal(Some("email-smtp.eu-central-1.amazonaws.com")), "v=spf1 include:amazonses.com ~all");
        assert_eq!(proposal(Some("Smtp.Example.org")), "v=spf1 a:smtp.example.org ~all");
        assert_eq!(proposal(Some("notgmail.com")), "v=spf1 a:notgmail.com ~all");
        for host in [None, Some("192.0.2.1"), Some("localhost")] {
            assert_eq!(proposal(host), "v=spf1 mx ~all");
        }
        for host in [None, Some("smtp.gmail.com"), Some("smtp.example.org")] {
            assert!(Record::read(&proposal(host)).is_ok() && !advice(host).is_empty());
        }
    }

    #[test]
    fn records_are_made_one_and_closed() {
        let several: [&[u8]; 3] = [
            b"v=spf1 mx include:a.example -all",
            b"v=spf1 include:a.example ip4:192.0.2.1 x\x07 ?all",
            b"v=spf1 redirect=b.example",
        ];
        assert_eq!(merged(&several), "v=spf1 mx include:a.example ip4:192.0.2.1 include:b.example ~all");
        assert_eq!(closed("v=spf1 mx +all"), "v=spf1 mx ~all");
        assert_eq!(closed("v=spf1 ip4:0.0.0.0/0 mx -all"), "v=spf1 mx ~all");
    }
}
