//! Standard Webhooks, and JSON of whoever else.

use super::*;

fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        headers.append(*name, HeaderValue::from_static(value));
    }
    headers
}

#[test]
fn the_identity_of_the_standard_stands_in_its_header() {
    let body = r#"{"type":"invoice.paid","timestamp":"2022-11-03T20:26:10.344522Z","data":{"id":"1f81eb52"}}"#;
    let event = one(Source::Standard, &headers(&[("webhook-id", "msg_1"), ("webhook-timestamp", "1700000000")]), body);
    assert_eq!((event.identity.as_str(), event.kind.as_str()), ("msg_1", "invoice.paid"));
    assert_eq!(event.version, Some(1_667_507_170_344));
    assert_eq!(event.payload.get(), body);
    let bare = one(Source::Standard, &headers(&[("svix-id", "msg_2")]), r#"{"test": 2432232314}"#);
    assert_eq!((bare.identity.as_str(), bare.kind.as_str(), bare.version), ("msg_2", "unknown", None));
}

#[test]
fn an_identity_that_was_not_checked_cannot_pass_for_the_one_that_was() {
    let both = |webhook, svix| headers(&[("webhook-id", webhook), ("svix-id", svix)]);
    assert_eq!(one(Source::Standard, &both("msg_1", "msg_1"), "{}").identity, "msg_1");
    for bad in [
        both("msg_1", "msg_2"),
        both("msg_1", ""),
        both("", ""),
        headers(&[]),
        headers(&[("webhook-id", "")]),
        headers(&[("webhook-id", "msg_1"), ("webhook-id", "msg_1")]),
    ] {
        assert_eq!(fault(Source::Standard, &bad, "{}"), "webhook_bad_header", "{bad:?}");
    }
    assert_eq!(fault(Source::Standard, &headers(&[("webhook-id", "msg_1")]), "hello"), "webhook_not_json");
}

#[test]
fn json_of_others_is_known_by_its_event_id_or_its_bytes() {
    let read = |body: &str| one(Source::Generic, &HeaderMap::new(), body);
    let event = read(r#"{"event_id":"e-1","event":"booking.made","created_at":"2026-03-02T09:00:00Z"}"#);
    assert_eq!((event.identity.as_str(), event.kind.as_str()), ("e-1", "booking.made"));
    assert_eq!(event.version, Some(1_772_442_000_000));
    // The id of a thing is the same in each of its changes.
    let (first, second) = (read(r#"{"id":"order-1","n":1}"#), read(r#"{"id":"order-1","n":2}"#));
    assert_ne!(first.identity, second.identity);
    assert_eq!(first.identity, read(r#"{"id":"order-1","n":1}"#).identity);
    assert_eq!((first.kind.as_str(), first.version), ("unknown", None));
    assert_eq!(read("[1]").kind, "unknown");
}

#[test]
fn a_moment_of_others_is_in_seconds_or_milliseconds() {
    let version = |body: &str| one(Source::Generic, &HeaderMap::new(), body).version;
    assert_eq!(version(r#"{"timestamp":1700000000}"#), Some(1_700_000_000_000));
    assert_eq!(version(r#"{"timestamp":1700000000123}"#), Some(1_700_000_000_123));
    assert_eq!(version(r#"{"timestamp":"later","created":1700000000}"#), Some(1_700_000_000_000));
    assert_eq!(version(r#"{"timestamp":-5}"#), None);
}

#[test]
fn what_is_neither_an_object_nor_a_list_is_refused() {
    let fault = |body: &str| fault(Source::Generic, &HeaderMap::new(), body);
    assert_eq!((fault("7"), fault("null"), fault("\"x\"")), ("webhook_shape", "webhook_shape", "webhook_shape"));
    assert_eq!((fault(""), fault("a=1")), ("webhook_not_json", "webhook_not_json"));
    assert_eq!(fault(&format!(r#"{{"type":"{}"}}"#, "x".repeat(MOST_KIND_BYTES + 1))), "webhook_bad_kind");
}
