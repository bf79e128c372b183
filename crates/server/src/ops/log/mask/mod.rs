//! The last look at a line before it is written: what has the form of a secret or of personal data is replaced.
//!
//! Types keep such things out of the log in the first place (`Secret` never prints, neither do the texts that people write). This
//! is for what gets around them: an error of a library, an address with a password in it, the answer of a provider. It goes
//! once over the bytes of a line and looks closer only where a word begins: about a microsecond for a line of a request.
//!
//! Replaced are: addresses of electronic mail, phone numbers, numbers of payment cards that pass the check of Luhn, tokens
//! after `Bearer` and `Basic`, signed tokens (`eyJ...`), keys that begin as ours or as those of known providers do, the user
//! part of a URL, and the value of a field whose name says that it is secret ([`fields`]). Identifiers, moments and numbers
//! stay as they are; a test tries that.

mod fields;
mod numbers;
mod shapes;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

/// In the place of an address of electronic mail.
pub const EMAIL: &str = "[email]";
/// In the place of a phone number.
pub const PHONE: &str = "[phone]";
/// In the place of the number of a payment card.
pub const CARD: &str = "[card]";
/// In the place of a key, a token, a password.
pub const SECRET: &str = "[secret]";

/// A place of the line, and what stands there instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Found {
    start: usize,
    end: usize,
    instead: &'static str,
}

/// What a byte may be part of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    /// It ends a word.
    Between,
    /// A word may begin with it and go on with it.
    Word,
    /// `@`, part of a word.
    At,
    /// `%`, part of a word: what follows may be a byte that is written with two digits.
    Percent,
    /// The beginning of what tells a terminal about colours.
    Escape,
}

const CLASSES: [Class; 256] = {
    let mut classes = [Class::Between; 256];
    let mut byte = 0;
    while byte < 256 {
        let letter = byte as u8;
        classes[byte] = match letter {
            b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' | b'_' | b'-' | b'.' | b'+' | b'~' | 0x80.. => Class::Word,
            b'@' => Class::At,
            b'%' => Class::Percent,
            0x1b => Class::Escape,
            _ => Class::Between,
        };
        byte += 1;
    }
    classes
};

fn class(byte: u8) -> Class {
    CLASSES[usize::from(byte)]
}

/// A run of bytes that belong together.
#[derive(Clone, Copy)]
struct Word {
    start: usize,
    end: usize,
    has_at: bool,
    has_percent: bool,
}

impl Word {
    fn at(line: &[u8], start: usize) -> Self {
        let (mut end, mut has_at, mut has_percent) = (start, false, false);
        while let Some(byte) = line.get(end) {
            match class(*byte) {
                Class::Word => {}
                Class::At => has_at = true,
                Class::Percent => has_percent = true,
                Class::Between | Class::Escape => break,
            }
            end += 1;
        }
        Self { start, end, has_at, has_percent }
    }
}

/// The line without what nobody must read in it.
#[must_use]
pub fn mask(line: &str) -> Cow<'_, str> {
    match mask_bytes(line.as_bytes()) {
        None => Cow::Borrowed(line),
        // What is cut out begins and ends at characters of ASCII.
        Some((bytes, _)) => Cow::Owned(String::from_utf8_lossy(&bytes).into_owned()),
    }
}

/// A text in which only what is wanted is replaced: [`CARD`], [`EMAIL`], [`PHONE`] or [`SECRET`].
#[must_use]
pub fn mask_only(text: &str, wanted: &[&str]) -> String {
    let line = text.as_bytes();
    let mut out = Vec::with_capacity(line.len());
    let (mut copied, mut position) = (0, 0);
    while let Some(found) = next(line, position) {
        if wanted.contains(&found.instead) {
            out.extend_from_slice(&line[copied..found.start]);
            out.extend_from_slice(found.instead.as_bytes());
            (copied, position) = (found.end, found.end);
        } else {
            // What is wanted may stand inside of what a field's name says is secret.
            position = if found.start > position && found.instead == SECRET { found.start } else { found.end };
        }
    }
    out.extend_from_slice(&line[copied..]);
    // What is cut out begins and ends at characters of ASCII.
    String::from_utf8_lossy(&out).into_owned()
}

/// The same over bytes, with how much was replaced; nothing when the line is fine as it is.
pub(super) fn mask_bytes(line: &[u8]) -> Option<(Vec<u8>, usize)> {
    let mut out = Vec::new();
    let (mut copied, mut position, mut count) = (0, 0, 0);
    while let Some(found) = next(line, position) {
        if out.is_empty() {
            out.reserve(line.len() + SECRET.len());
        }
        out.extend_from_slice(&line[copied..found.start]);
        let quoted = is_bare_number(line, found);
        if quoted {
            out.push(b'"');
        }
        out.extend_from_slice(found.instead.as_bytes());
        if quoted {
            out.push(b'"');
        }
        (copied, position) = (found.end, found.end);
        count += 1;
    }
    if count == 0 {
        return None;
    }
    out.extend_from_slice(&line[copied..]);
    Some((out, count))
}

/// A value of JSON without quotation marks: what stands in its place needs them.
fn is_bare_number(line: &[u8], found: Found) -> bool {
    let before = found.start.checked_sub(1).and_then(|at| line.get(at));
    let after = line.get(found.end);
    matches!(before, Some(b':' | b'[' | b','))
        && matches!(after, Some(b',' | b']' | b'}'))
        && line[found.start..found.end].iter().all(|byte| byte.is_ascii_digit() || *byte == b'.' || *byte == b'-')
}

/// The first thing from here on that is to be replaced.
fn next(line: &[u8], from: usize) -> Option<Found> {
    let mut position = from;
    while let Some(&byte) = line.get(position) {
        match class(byte) {
            Class::Between => {
                // The user part of a URL; and a number may begin with a bracket.
                let found = match byte {
                    b':' => shapes::user_part(line, position),
                    b'(' => numbers::number(line, position),
                    _ => None,
                };
                if found.is_some() {
                    return found;
                }
                position += 1;
            }
            Class::Escape => position = after_escape(line, position),
            Class::Word | Class::At | Class::Percent => {
                let word = Word::at(line, position);
                let found = look(line, word);
                if found.is_some() {
                    return found;
                }
                position = word.end;
            }
        }
    }
    None
}

/// Behind a sequence such as `ESC [ 0 m`.
fn after_escape(line: &[u8], position: usize) -> usize {
    let rest = line.get(position + 1..).unwrap_or_default();
    match rest.split_first() {
        Some((b'[', rest)) => {
            let letters = rest.iter().take_while(|byte| !byte.is_ascii_alphabetic()).count();
            (position + 2 + letters + 1).min(line.len())
        }
        _ => position + 1,
    }
}

/// What is wrong with a word, if anything is.
fn look(line: &[u8], word: Word) -> Option<Found> {
    let text = &line[word.start..word.end];
    if let Some(found) = fields::value(line, word.start, word.end) {
        return Some(found);
    }
    if let Some(found) = shapes::credentials(line, word.start, word.end) {
        return Some(found);
    }
    if let Some(found) = shapes::key(line, word.start, word.end) {
        return Some(found);
    }
    if (word.has_at || word.has_percent)
        && let Some(found) = shapes::email(line, word.start, word.end)
    {
        return Some(found);
    }
    if word.has_percent {
        // What is written as in a URL: the word goes on behind each `%22`.
        let places = text.iter().enumerate().filter(|(_, byte)| **byte == b'%').map(|(at, _)| word.start + at + 3);
        let mut inner = places.filter(|place| *place < word.end);
        return inner.find_map(|place| {
            let plus = line[place - 3..place].eq_ignore_ascii_case(b"%2b");
            let number = if plus { numbers::international(line, place) } else { numbers::number(line, place) };
            shapes::key(line, place, word.end).or(number)
        });
    }
    let first = text.first().copied().unwrap_or_default();
    if first.is_ascii_digit() || first == b'+' { numbers::number(line, word.start) } else { None }
}

#[cfg(test)]
pub(super) fn replaced(line: &str) -> usize {
    mask_bytes(line.as_bytes()).map_or(0, |(_, count)| count)
}
