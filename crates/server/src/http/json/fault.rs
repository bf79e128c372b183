//! What a refusal of input says: which field, a stable code, and what is expected. Values are never repeated, since one of
//! them may be a password in the wrong place and the detail is logged.

use std::fmt::{Display, Write as _};

use mainstay_domain::{Error, FieldFault, Kind};
use serde_path_to_error::{Path, Segment};

/// The longest path that is repeated to the caller, in bytes.
const LONGEST_PATH: usize = 200;

/// The longest text of a refusal from serde that is repeated, in characters.
const LONGEST_DETAIL: usize = 300;

/// The body is not JSON at all.
pub(super) fn malformed(detail: String) -> Error {
    Error::new(Kind::Invalid, "invalid_json", detail)
}

/// The body is JSON, and not what is expected.
pub(super) fn mismatch(error: serde_path_to_error::Error<serde_json::Error>) -> Error {
    let path = written(error.path());
    refusal(path, &error.into_inner().to_string())
}

/// Reads what serde says about one field.
pub(in crate::http) fn refusal(mut path: String, text: &str) -> Error {
    // serde_json adds where it stood in the text, which the path says better.
    let text = text.rfind(" at line ").map_or(text, |end| &text[..end]);
    let (code, detail) = if let Some(key) = quoted(text, "missing field `") {
        push_key(&mut path, key);
        ("missing", "the field is missing".to_owned())
    } else if let Some(key) = quoted(text, "unknown field `") {
        // The path names the key already when it was read before it was refused.
        if !path.ends_with(key) {
            push_key(&mut path, key);
        }
        ("unknown", known("there is no such field", text))
    } else if let Some(key) = quoted(text, "duplicate field `") {
        if !path.ends_with(key) {
            push_key(&mut path, key);
        }
        ("duplicate", "it stands there more than once".to_owned())
    } else if quoted(text, "unknown variant `").is_some() {
        ("unknown_value", known("there is no such value", text))
    } else if let Some(rest) = text.strip_prefix("invalid type: ") {
        ("invalid_type", expectation(rest))
    } else if let Some(rest) = text.strip_prefix("invalid value: ") {
        let number = rest.starts_with("integer") || rest.starts_with("floating point");
        (if number { "out_of_range" } else { "invalid_value" }, expectation(rest))
    } else if let Some(rest) = text.strip_prefix("invalid length ") {
        ("invalid_length", expectation(rest))
    } else {
        ("invalid", text.chars().take(LONGEST_DETAIL).collect())
    };
    Error::invalid(vec![FieldFault::new(shown(path), code, detail)])
}

fn quoted<'a>(text: &'a str, before: &str) -> Option<&'a str> {
    text.strip_prefix(before)?.split('`').next()
}

/// Adds which names there are, where serde says so.
fn known(what: &str, text: &str) -> String {
    match text.rsplit_once(", expected ").map(|(_, names)| names.replace('`', "")) {
        Some(names) if names.len() <= LONGEST_DETAIL => format!("{what}; expected {names}"),
        _ => what.to_owned(),
    }
}

/// `string "secret", expected u32` without the value and without Rust's names.
fn expectation(text: &str) -> String {
    let (found, expected) = text.rsplit_once(", expected ").unwrap_or((text, "something else"));
    let found = found.split(['`', '"', ':']).next().unwrap_or_default().trim();
    let found = match found {
        "map" => "an object",
        "sequence" => "an array",
        "string" | "character" => "text",
        "boolean" => "true or false",
        "integer" => "a whole number",
        "floating point" => "a number",
        other => other,
    };
    let expected = match expected {
        "u8" => "a whole number from 0 to 255".to_owned(),
        "u16" => "a whole number from 0 to 65535".to_owned(),
        "u32" => "a whole number from 0 to 4294967295".to_owned(),
        "u64" | "usize" => "a whole number from 0 to 18446744073709551615".to_owned(),
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number that fits".to_owned(),
        "f32" | "f64" => "a number".to_owned(),
        "a boolean" => "true or false".to_owned(),
        "a string" | "a borrowed string" => "text".to_owned(),
        "a sequence" => "an array".to_owned(),
        "a map" => "an object".to_owned(),
        other if other.starts_with("struct ") => "an object".to_owned(),
        other => other.chars().take(LONGEST_DETAIL).collect(),
    };
    if found.is_empty() { format!("expected {expected}") } else { format!("expected {expected}, found {found}") }
}

/// The path as the client would write it: `items[3].name`.
pub(in crate::http) fn written(path: &Path) -> String {
    let mut text = String::new();
    for segment in path {
        match segment {
            Segment::Seq { index } => push_index(&mut text, *index),
            Segment::Map { key } => push_key(&mut text, key),
            Segment::Enum { variant } => push_key(&mut text, variant),
            Segment::Unknown => push_key(&mut text, "?"),
        }
    }
    text
}

pub(super) fn push_key(path: &mut String, key: impl Display) {
    let dot = if path.is_empty() { "" } else { "." };
    let _ = write!(path, "{dot}{key}");
}

pub(super) fn push_index(path: &mut String, index: usize) {
    let _ = write!(path, "[{index}]");
}

/// A path that is fit to be shown: the client chose the keys, so it is bounded and without control characters.
pub(super) fn shown(path: String) -> String {
    if path.is_empty() {
        return "(body)".to_owned();
    }
    let mut end = path.len().min(LONGEST_PATH);
    while !path.is_char_boundary(end) {
        end -= 1;
    }
    let cut = if end < path.len() { "…" } else { "" };
    path[..end].replace(char::is_control, "\u{fffd}") + cut
}
