//! What the schemes read from headers.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName};
use mainstay_domain::Timestamp;

use super::{Encoding, Refused};
use crate::webhooks::header;

/// What to look at when a signature over the body does not fit.
pub(super) const CURE: &str = "Copy the secret from the sender again, and let nothing on the way change the body.";

/// The longest identity that a sender may sign, in bytes.
const MOST_IDENTITY_BYTES: usize = 256;
/// From here on a number of unknown unit is in milliseconds: as seconds it would be the year 5138.
const FIRST_MILLIS: i64 = 100_000_000_000;

/// The unit of a moment that is written as a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    Seconds,
    /// Seconds or milliseconds, told apart by their size.
    Either,
}

/// The value of a header that must stand there once.
pub(super) fn header<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<&'a str, Refused> {
    match header::one(headers, name) {
        Ok(Some(value)) => Ok(value),
        Ok(None) => Err(Refused::Missing { header: name.clone() }),
        Err(why) => Err(Refused::Malformed { header: name.clone(), why }),
    }
}

/// The moment that a header states, and its text, which is what was signed.
pub(super) fn moment<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
    unit: Unit,
) -> Result<(&'a str, Timestamp), Refused> {
    let text = header(headers, name)?;
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse::<i64>().ok().filter(|_| digits);
    let millis = number.and_then(|number| match unit {
        Unit::Either if number >= FIRST_MILLIS => Some(number),
        Unit::Seconds | Unit::Either => number.checked_mul(1000),
    });
    let Some(millis) = millis else {
        return Err(Refused::Malformed { header: name.clone(), why: "it is not a count of seconds since 1970" });
    };
    Ok((text, Timestamp::from_millis(millis)))
}

/// The identity that a header states. It has no dot: between what is signed before and after it stands one, and with
/// another the border could be moved.
pub(super) fn identity<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<&'a str, Refused> {
    let text = header(headers, name)?;
    if is_identity(text) {
        return Ok(text);
    }
    Err(Refused::Malformed { header: name.clone(), why: "it is empty or too long, or has a space or a dot in it" })
}

/// Whether a text can be signed as an identity.
pub(super) fn is_identity(text: &str) -> bool {
    (1..=MOST_IDENTITY_BYTES).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'.')
}

/// The bytes that a text stands for, if there are exactly so many. Base64 has one way to write them, hexadecimal may be
/// in capitals.
pub(super) fn decoded(text: &str, encoding: Encoding, bytes: usize) -> Option<Vec<u8>> {
    let decoded = match encoding {
        Encoding::Hex => unhex(text)?,
        Encoding::Base64 => STANDARD.decode(text).ok()?,
    };
    (decoded.len() == bytes).then_some(decoded)
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |digit: u8| char::from(digit).to_digit(16);
    let pairs = text.as_bytes().chunks(2).map(|pair| match pair {
        [high, low] => u8::try_from(digit(*high)? * 16 + digit(*low)?).ok(),
        _ => None,
    });
    pairs.collect()
}
