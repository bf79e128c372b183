//! Fields whose names say what their values are: `password=...`, `"api_key":"..."`.

use super::{EMAIL, Found, PHONE, SECRET};

/// The longest name that is looked at, in bytes.
const LONGEST: usize = 40;

/// Names of fields, whole or behind a `_`, a `-` or a `.`; and what stands in the place of their values.
const NAMES: [(&str, &str); 24] = [
    ("password", SECRET),
    ("passwd", SECRET),
    ("passphrase", SECRET),
    ("pwd", SECRET),
    ("secret", SECRET),
    ("token", SECRET),
    ("api_key", SECRET),
    ("api-key", SECRET),
    ("apikey", SECRET),
    ("private_key", SECRET),
    ("signing_key", SECRET),
    ("access_key", SECRET),
    ("authorization", SECRET),
    ("cookie", SECRET),
    ("credentials", SECRET),
    ("dsn", SECRET),
    ("cvv", SECRET),
    ("iban", SECRET),
    ("ssn", SECRET),
    ("phone", PHONE),
    ("phone_number", PHONE),
    ("mobile", PHONE),
    ("email", EMAIL),
    ("e-mail", EMAIL),
];

/// Values that say nothing.
const EMPTY: [&[u8]; 7] = [b"null", b"None", b"true", b"false", b"***", b"(not set)", b"Some(***"];

/// Which letters the names end with, small ones: one look spares the list for most words.
const LAST: [bool; 256] = {
    let mut last = [false; 256];
    let mut at = 0;
    while at < NAMES.len() {
        let name = NAMES[at].0.as_bytes();
        last[name[name.len() - 1] as usize] = true;
        at += 1;
    }
    last
};

/// What a field of this name hides.
fn hidden(name: &[u8]) -> Option<&'static str> {
    let last = name.last()?.to_ascii_lowercase();
    if !LAST[usize::from(last)] || name.len() > LONGEST || name.len() < 3 {
        return None;
    }
    let matches = |known: &str| {
        if known.as_bytes().last() != Some(&last) {
            return false;
        }
        let Some(at) = name.len().checked_sub(known.len()) else { return false };
        let before = at.checked_sub(1).and_then(|at| name.get(at));
        name[at..].eq_ignore_ascii_case(known.as_bytes()) && matches!(before, None | Some(b'_' | b'-' | b'.'))
    };
    NAMES.iter().find(|(known, _)| matches(known)).map(|(_, instead)| *instead)
}

/// The value of the field whose name is the word from `start` to `end`.
pub(super) fn value(line: &[u8], start: usize, end: usize) -> Option<Found> {
    // Cheap for nearly every word: it is no name of a field, or of none that hides something.
    if !matches!(line.get(end), Some(b'=' | b':' | b'"' | b'\\')) {
        return None;
    }
    let mut at = end;
    let closing = mark(line, at);
    at += closing;
    if !matches!(line.get(at), Some(b'=' | b':')) {
        return None;
    }
    let instead = hidden(&line[start..end])?;
    let is_colon = line.get(at) == Some(&b':');
    at += 1;
    let spaces = line[at..].iter().take_while(|byte| **byte == b' ').count();
    at += spaces;
    let opening = mark(line, at);
    // "password: at least eight characters" is a sentence.
    if is_colon && spaces > 0 && closing == 0 && opening == 0 {
        return None;
    }
    let (first, last) = if opening > 0 {
        let quote = &line[at..at + opening];
        let first = at + opening;
        (first, first + until_quote(&line[first..], quote))
    } else {
        let ends = |byte: &u8| {
            byte.is_ascii_whitespace() || matches!(byte, b',' | b';' | b'&' | b'}' | b')' | b']' | b'"' | b'\\' | 0x1b)
        };
        (at, at + line[at..].iter().position(ends).unwrap_or(line.len() - at))
    };
    let told = &line[first..last];
    // What was replaced before begins with a bracket; so does what is no single value.
    let is_empty =
        EMPTY.contains(&told) || matches!(told.first(), None | Some(b'[' | b'{')) || told.starts_with(b"(not");
    (!is_empty).then_some(Found { start: first, end: last, instead })
}

/// How long the quotation mark is that stands here, with the `\` before it where it is escaped.
fn mark(line: &[u8], at: usize) -> usize {
    let escapes = line[at..].iter().take_while(|byte| **byte == b'\\').count();
    if line.get(at + escapes) == Some(&b'"') { escapes + 1 } else { 0 }
}

/// How long a text is that ends with this quotation mark, which may be escaped itself: `\"`.
fn until_quote(text: &[u8], quote: &[u8]) -> usize {
    let mut at = 0;
    while at < text.len() {
        if text[at..].starts_with(quote) && (quote.len() > 1 || at == 0 || !is_escaped(text, at)) {
            return at;
        }
        at += 1;
    }
    text.len()
}

/// Whether an odd number of `\` stands before a place.
fn is_escaped(text: &[u8], at: usize) -> bool {
    text[..at].iter().rev().take_while(|byte| **byte == b'\\').count() % 2 == 1
}
