//! What the sources read from JSON. Each of these takes what senders are known to write for the same thing.

use jiff::Timestamp;
use serde_json::Value;
use serde_json::value::RawValue;

use super::Unreadable;

/// The longest kind, in bytes.
pub const MOST_KIND_BYTES: usize = 100;
/// The end of the year 9999, in milliseconds since 1970: what lies beyond is no moment.
const LAST_MILLIS: i64 = 253_402_300_799_999;
/// From here on a number of unknown unit is in milliseconds: as seconds it would be the year 5138.
const FIRST_MILLIS: i64 = 100_000_000_000;

/// A body that is JSON: its text as it came, and what it says. All of it is read, so that nothing is taken in that
/// cannot be read later.
pub(super) fn json(body: &[u8]) -> Result<(Box<RawValue>, Value), Unreadable> {
    let raw: Box<RawValue> = serde_json::from_slice(body)?;
    let value = serde_json::from_str(raw.get())?;
    Ok((raw, value))
}

/// A kind, if it is a short line.
pub(super) fn kind(text: &str) -> Result<String, Unreadable> {
    let fits = (1..=MOST_KIND_BYTES).contains(&text.len()) && !text.contains(|c: char| c.is_control());
    if fits { Ok(text.to_owned()) } else { Err(Unreadable::BadKind) }
}

/// The text of the first of these members that has some.
pub(super) fn text<'a>(value: &'a Value, members: &[&str]) -> Option<&'a str> {
    members.iter().filter_map(|member| value.get(member)?.as_str()).find(|text| !text.is_empty())
}

/// A moment: milliseconds since 1970 as a number, also with a fraction or an exponent, or a text of ISO 8601.
pub(crate) fn millis(value: &Value) -> Option<i64> {
    let millis = match value {
        Value::Number(number) => whole(number)?,
        Value::String(text) => text.parse::<Timestamp>().ok()?.as_millisecond(),
        _ => return None,
    };
    (0..=LAST_MILLIS).contains(&millis).then_some(millis)
}

/// The same where a number may also be in seconds.
pub(super) fn moment(value: &Value) -> Option<i64> {
    let seconds = value.as_number().and_then(whole).filter(|number| (0..FIRST_MILLIS).contains(number));
    seconds.map_or_else(|| millis(value), |seconds| seconds.checked_mul(1000))
}

fn whole(number: &serde_json::Number) -> Option<i64> {
    let fraction = || number.as_f64().filter(|number| number.abs() <= LAST_MILLIS as f64).map(|number| number as i64);
    number.as_i64().or_else(fraction)
}
