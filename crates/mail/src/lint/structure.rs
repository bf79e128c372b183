//! The parts of a message: types, encodings, boundaries.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::words::quoted_printable;
use super::{Faults, Field, find, read_fields};

/// Parts inside parts inside parts.
const DEEPEST: usize = 4;
/// The parts of one multipart.
const MOST_PARTS: usize = 20;

/// A content type: `text/plain`, and its parameters with small names.
struct Type {
    name: String,
    parameters: Vec<(String, String)>,
}

impl Type {
    fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

fn read_type(value: &str) -> Option<Type> {
    let mut parts = value.split(';');
    let name = parts.next()?.trim().to_ascii_lowercase();
    let token = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-+.".contains(&b));
    let (kind, subtype) = name.split_once('/')?;
    if !token(kind) || !token(subtype) {
        return None;
    }
    let mut parameters = Vec::new();
    for part in parts {
        let (name, value) = part.trim().split_once('=')?;
        let value = value.strip_prefix('"').map_or(Some(value), |rest| rest.strip_suffix('"'))?;
        parameters.push((name.to_ascii_lowercase(), value.to_owned()));
    }
    Some(Type { name, parameters })
}

/// Checks one part and those inside it. Gives the type of it.
pub(super) fn check(fields: &[Field<'_>], body: &[u8], place: &str, depth: usize, faults: &mut Faults) -> String {
    let value = |name: &str| fields.iter().find(|field| field.is(name)).map(Field::value);
    let Some(kind) = value("Content-Type").as_deref().and_then(read_type) else {
        faults.add("bad_content_type", place, "no content type that can be read");
        return String::new();
    };
    let encoding = value("Content-Transfer-Encoding").unwrap_or_else(|| "7bit".to_owned()).to_ascii_lowercase();
    if kind.name.starts_with("multipart/") {
        if encoding != "7bit" {
            faults.add("bad_encoding", place, "a multipart has no encoding of its own");
        }
        check_parts(&kind, body, place, depth, faults);
        return kind.name;
    }
    let bytes = match encoding.as_str() {
        "quoted-printable" => quoted_printable(body),
        "base64" => {
            let packed: Vec<u8> = body.iter().copied().filter(|byte| !b"\r\n".contains(byte)).collect();
            STANDARD.decode(packed).map_err(|why| why.to_string())
        }
        "7bit" if body.is_ascii() => Ok(body.to_vec()),
        "7bit" => Err("bytes that are not ASCII in seven bits".to_owned()),
        other => Err(format!("the encoding {other}")),
    };
    match bytes {
        Err(why) => faults.add("bad_encoding", place, why),
        Ok(bytes) if kind.name.starts_with("text/") => check_text(&kind, &bytes, place, faults),
        Ok(_) => {}
    }
    kind.name
}

fn check_text(kind: &Type, bytes: &[u8], place: &str, faults: &mut Faults) {
    match kind.parameter("charset").map(str::to_ascii_lowercase).as_deref() {
        Some("utf-8") => match std::str::from_utf8(bytes) {
            Err(_) => faults.add("bad_charset", place, "it says UTF-8 and is not"),
            Ok(text) if text.chars().any(|c| c.is_control() && !matches!(c, '\r' | '\n' | '\t')) => {
                faults.add("control_character", place, "the text holds one");
            }
            Ok(_) => {}
        },
        Some("us-ascii") if bytes.is_ascii() => {}
        other => faults.add("bad_charset", place, format!("the character set {other:?}")),
    }
}

fn check_parts(kind: &Type, body: &[u8], place: &str, depth: usize, faults: &mut Faults) {
    let boundary = kind.parameter("boundary").unwrap_or_default();
    let fine = |byte: u8| byte.is_ascii_alphanumeric() || b"'()+_,-./:=? ".contains(&byte);
    if boundary.is_empty() || boundary.len() > 70 || boundary.ends_with(' ') || !boundary.bytes().all(fine) {
        faults.add("bad_boundary", place, format!("{boundary:?}"));
        return;
    }
    if depth >= DEEPEST {
        faults.add("too_deep", place, "parts inside parts without end");
        return;
    }
    let Some(parts) = split(body, boundary) else {
        faults.add("bad_boundary", place, "the parts are not begun and ended by it");
        return;
    };
    let mut kinds = Vec::new();
    for (number, part) in parts.iter().enumerate() {
        let place = format!("{place}, part {}", number + 1);
        let (head, body) = if let Some(body) = part.strip_prefix(b"\r\n") {
            (&b""[..], body)
        } else if let Some(end) = find(part, b"\r\n\r\n") {
            (part.get(..end + 2).unwrap_or_default(), part.get(end + 4..).unwrap_or_default())
        } else {
            faults.add("no_body", place, "no empty line ends the headers of the part");
            continue;
        };
        let fields = read_fields(head, faults);
        kinds.push(check(&fields, body, &place, depth + 1, faults));
    }
    if kind.name == "multipart/alternative" {
        if kinds.first().is_none_or(|first| first != "text/plain") {
            faults.add("text_not_first", place, "the plain text comes first");
        }
        if kinds.iter().filter(|kind| *kind == "text/plain").count() > 1 {
            faults.add("two_texts", place, "more than one plain text");
        }
    }
}

/// The parts between the boundaries. `None` when they do not begin, do not end, or something follows.
fn split<'a>(body: &'a [u8], boundary: &str) -> Option<Vec<&'a [u8]>> {
    let opening = format!("--{boundary}\r\n");
    let delimiter = format!("\r\n--{boundary}");
    let mut rest = body.strip_prefix(opening.as_bytes())?;
    let mut parts = Vec::new();
    loop {
        let end = find(rest, delimiter.as_bytes())?;
        parts.push(rest.get(..end)?);
        rest = rest.get(end + delimiter.len()..)?;
        if let Some(after) = rest.strip_prefix(b"--") {
            return (after == b"\r\n" && parts.len() <= MOST_PARTS).then_some(parts);
        }
        rest = rest.strip_prefix(b"\r\n")?;
        if parts.len() > MOST_PARTS {
            return None;
        }
    }
}
