//! What an event is about, where nobody who knows its sender processes it.

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::sources::Source;

/// The longest name of a subject, in bytes.
pub(super) const MOST_SUBJECT_BYTES: usize = 200;

/// Why the name of a subject cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadSubject {
    /// Longer than any that is kept.
    #[error("The event is about something whose id has more than {MOST_SUBJECT_BYTES} bytes.")]
    TooLong,
    /// It is no line of text.
    #[error("The event is about something whose id has control characters in it.")]
    Control,
    /// It can be neither written nor compared.
    #[error("The event is about something whose id is neither a text nor a number.")]
    Shape,
}

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Data<'a> {
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
}

/// The thing that an event tells of: `data.id`, else `id`. Nothing when it names none.
///
/// # Errors
/// When it names one by what cannot be a name.
pub(super) fn of(provider: Source, payload: &str) -> Result<Option<String>, BadSubject> {
    if !matches!(provider, Source::Standard | Source::Generic) {
        return Ok(None);
    }
    let Some(event) = object::<Event<'_>>(payload) else { return Ok(None) };
    let data = event.data.and_then(|data| object::<Data<'_>>(data.get()));
    let Some(id) = data.and_then(|data| data.id).or(event.id) else { return Ok(None) };
    let name = match serde_json::from_str(id.get()) {
        Ok(Value::String(name)) => name,
        Ok(Value::Number(number)) => number.to_string(),
        Ok(Value::Null) => return Ok(None),
        _ => return Err(BadSubject::Shape),
    };
    if name.len() > MOST_SUBJECT_BYTES {
        return Err(BadSubject::TooLong);
    }
    if name.contains(|character: char| character.is_control()) {
        return Err(BadSubject::Control);
    }
    Ok(Some(name).filter(|name| !name.is_empty()))
}

/// Reads an object. A list would be read as one too, member by member, and names nothing as a whole.
fn object<'a, T: Deserialize<'a>>(text: &'a str) -> Option<T> {
    if text.trim_start().starts_with('{') { serde_json::from_str(text).ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(payload: &str) -> Result<Option<String>, BadSubject> {
        of(Source::Generic, payload)
    }

    #[test]
    fn an_event_is_about_what_its_data_names() {
        let some = |name: &str| Ok(Some(name.to_owned()));
        assert_eq!(named(r#"{"id": "evt", "data": {"id": "order 7", "x": [1]}}"#), some("order 7"));
        assert_eq!(named(r#"{"id": "order 7"}"#), some("order 7"));
        assert_eq!(named(r#"{"data": {"id": 17}, "id": 3}"#), some("17"));
        assert_eq!(named(r#"{"data": [{"id": 17}], "id": "é"}"#), some("é"));
        for none in ["[]", "[{\"id\": 1}]", "{}", r#"{"data": {}}"#, r#"{"id": null}"#, r#"{"id": ""}"#, "7"] {
            assert_eq!(named(none), Ok(None), "{none}");
        }
        assert_eq!(of(Source::Vapi, r#"{"id": "x"}"#), Ok(None), "whoever knows Vapi processes its events");
    }

    #[test]
    fn what_cannot_be_a_name_is_a_fault() {
        let long = "x".repeat(MOST_SUBJECT_BYTES);
        assert_eq!(named(&format!(r#"{{"id": "{long}"}}"#)), Ok(Some(long.clone())));
        assert_eq!(named(&format!(r#"{{"id": "{long}x"}}"#)), Err(BadSubject::TooLong));
        assert_eq!(named(r#"{"id": "a\u0000"}"#), Err(BadSubject::Control));
        assert_eq!(named(r#"{"id": {"a": 1}}"#), Err(BadSubject::Shape));
        assert_eq!(named(r#"{"id": true}"#), Err(BadSubject::Shape));
    }
}
