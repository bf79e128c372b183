//! Bodies of `application/x-www-form-urlencoded`, read strictly.
//!
//! The usual readers put a replacement character where bytes are not text, and pass over empty names. Two bodies could
//! then mean the same to a signature, so here both are refused.

use http::header::{CONTENT_TYPE, HeaderMap};

use super::header;

/// The most fields of a body. A message with ten media has some forty.
const MOST_FIELDS: usize = 500;

/// Whether the headers say that the body is a form.
pub(super) fn is_form(headers: &HeaderMap) -> bool {
    let Ok(Some(kind)) = header::one(headers, &CONTENT_TYPE) else { return false };
    let media = kind.split(';').next().unwrap_or_default();
    media.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded")
}

/// The fields of a body, decoded, in the order in which they stand.
///
/// # Errors
/// Says what keeps the body from being a form.
pub(super) fn fields(body: &[u8]) -> Result<Vec<(String, String)>, &'static str> {
    if body.is_empty() {
        return Ok(Vec::new());
    }
    let mut fields = Vec::new();
    for field in body.split(|byte| *byte == b'&') {
        if fields.len() == MOST_FIELDS {
            return Err("it has too many fields");
        }
        let middle = field.iter().position(|byte| *byte == b'=').unwrap_or(field.len());
        let name = decoded(&field[..middle])?;
        if name.is_empty() {
            return Err("a field has no name");
        }
        fields.push((name, decoded(field.get(middle + 1..).unwrap_or_default())?));
    }
    Ok(fields)
}

fn decoded(text: &[u8]) -> Result<String, &'static str> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.iter();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || rest.next().and_then(|digit| char::from(*digit).to_digit(16));
                let (Some(high), Some(low)) = (digit(), digit()) else {
                    return Err("a percent sign is not followed by two hexadecimal digits");
                };
                u8::try_from(high * 16 + low).unwrap_or_default()
            }
            other => *other,
        });
    }
    String::from_utf8(bytes).map_err(|_| "a field is not UTF-8")
}

#[cfg(test)]
mod tests;
