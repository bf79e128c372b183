//! A checker of raw messages that shares nothing with the writer: what it finds is what a strict server or reader could find.
//!
//! It is for tests and for looking at a message before it is sent; an empty list is a clean message.

mod fields;
mod structure;
mod words;

use std::fmt;

/// The longest line, without its end (RFC 5322, 2.1.1).
const LONGEST_LINE: usize = 998;
/// Headers that stand exactly once.
const ONCE: [&str; 6] = ["From", "To", "Subject", "Date", "Message-ID", "MIME-Version"];
/// Headers that stand at most once.
const AT_MOST_ONCE: [&str; 13] = [
    "Sender",
    "Reply-To",
    "Cc",
    "Bcc",
    "In-Reply-To",
    "References",
    "Content-Type",
    "Content-Transfer-Encoding",
    "List-Unsubscribe",
    "List-Unsubscribe-Post",
    "List-Id",
    "Feedback-ID",
    "Auto-Submitted",
];
/// More are not told; the first ones say enough.
const MOST_FAULTS: usize = 100;

/// Something that is wrong with a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Stable, `snake_case`: `duplicate_header`, `bare_line_feed`.
    pub code: &'static str,
    /// The header, part or line it is about.
    pub place: String,
    /// What is wrong.
    pub detail: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}: {}", self.code, self.place, self.detail)
    }
}

/// The faults found so far.
#[derive(Default)]
struct Faults(Vec<Fault>);

impl Faults {
    fn add(&mut self, code: &'static str, place: impl Into<String>, detail: impl Into<String>) {
        if self.0.len() < MOST_FAULTS {
            self.0.push(Fault { code, place: place.into(), detail: detail.into() });
        }
    }
}

/// One header as it stands: its name, and its lines without their ends.
struct Field<'a> {
    name: &'a str,
    lines: Vec<&'a str>,
}

impl Field<'_> {
    fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }

    /// The value on one line.
    fn value(&self) -> String {
        self.lines.concat().trim().to_owned()
    }
}

/// Everything that is wrong with a raw message, at most the first hundred.
#[must_use]
pub fn lint(message: &[u8]) -> Vec<Fault> {
    let mut faults = Faults::default();
    check_lines(message, &mut faults);
    let Some(end) = find(message, b"\r\n\r\n") else {
        faults.add("no_body", "message", "no empty line ends the headers");
        return faults.0;
    };
    let head = message.get(..end + 2).unwrap_or_default();
    let body = message.get(end + 4..).unwrap_or_default();
    let fields = read_fields(head, &mut faults);
    check_counts(&fields, &mut faults);
    for field in &fields {
        fields::check(field, &mut faults);
    }
    fields::check_unsubscribe(&fields, &mut faults);
    fields::check_signatures(&fields, &mut faults);
    structure::check(&fields, body, "message", 0, &mut faults);
    faults.0
}

/// Where `needle` first stands.
fn find(text: &[u8], needle: &[u8]) -> Option<usize> {
    text.windows(needle.len()).position(|window| window == needle)
}

fn check_lines(message: &[u8], faults: &mut Faults) {
    let (mut length, mut number) = (0, 1);
    let mut before = 0;
    for (place, &byte) in message.iter().enumerate() {
        let at = || format!("line {number}");
        match byte {
            b'\r' if message.get(place + 1) != Some(&b'\n') => {
                faults.add("bare_carriage_return", at(), "a CR without its LF");
            }
            b'\n' if before != b'\r' => faults.add("bare_line_feed", at(), "an LF without its CR"),
            b'\r' | b'\n' | b'\t' => {}
            0..=31 | 127 => faults.add("control_character", at(), format!("the byte {byte}")),
            _ => {}
        }
        match byte {
            b'\n' => (length, number) = (0, number + 1),
            b'\r' => {}
            _ => {
                length += 1;
                if length == LONGEST_LINE + 1 {
                    faults.add("line_too_long", at(), format!("more than {LONGEST_LINE} bytes"));
                }
            }
        }
        before = byte;
    }
    if !message.ends_with(b"\r\n") {
        faults.add("no_last_line_end", format!("line {number}"), "the message does not end with CRLF");
    }
}

/// Reads the headers of a message or of a part. What cannot be read is a fault and is left out.
fn read_fields<'a>(head: &'a [u8], faults: &mut Faults) -> Vec<Field<'a>> {
    let mut fields: Vec<Field<'a>> = Vec::new();
    for line in head.split(|byte| *byte == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            continue;
        }
        let Ok(line) = std::str::from_utf8(line) else {
            faults.add("eight_bit_header", String::from_utf8_lossy(line), "bytes that are not ASCII");
            continue;
        };
        if !line.is_ascii() {
            faults.add("eight_bit_header", line, "bytes that are not ASCII");
        }
        if line.starts_with([' ', '\t']) {
            if line.trim().is_empty() {
                faults.add("empty_fold", line, "a continued line of white space alone");
            }
            match fields.last_mut() {
                Some(field) => field.lines.push(line),
                None => faults.add("stray_fold", line, "the first line continues nothing"),
            }
            continue;
        }
        match line.split_once(':') {
            Some((name, value)) if !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic()) => {
                fields.push(Field { name, lines: vec![value] });
            }
            _ => faults.add("no_header", line, "a line of the headers without a name and a colon"),
        }
    }
    fields
}

fn check_counts(fields: &[Field<'_>], faults: &mut Faults) {
    let count = |name: &str| fields.iter().filter(|field| field.is(name)).count();
    for name in ONCE {
        match count(name) {
            0 => faults.add("missing_header", name, "it must be there"),
            1 => {}
            many => faults.add("duplicate_header", name, format!("it is there {many} times")),
        }
    }
    for name in AT_MOST_ONCE {
        if count(name) > 1 {
            faults.add("duplicate_header", name, "it may be there once");
        }
    }
}

#[cfg(test)]
mod tests;
