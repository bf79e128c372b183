//! What each source says, from bodies of the shapes that their pages show.

mod fastspring;
mod others;
mod properties;
mod twilio;
mod vapi;

use http::HeaderValue;
use http::header::CONTENT_TYPE;

use super::*;

fn one(source: Source, headers: &HeaderMap, body: &str) -> InboundEvent {
    let events = events(source, headers, body.as_bytes()).unwrap();
    assert_eq!(events.len(), 1, "{body}");
    events.into_iter().next().unwrap()
}

fn fault(source: Source, headers: &HeaderMap, body: &str) -> &'static str {
    events(source, headers, body.as_bytes())
        .map(|events| panic!("{body} was read: {events:?}"))
        .unwrap_or_else(|fault| fault.code())
}

fn form() -> HeaderMap {
    let kind = HeaderValue::from_static("application/x-www-form-urlencoded");
    HeaderMap::from_iter([(CONTENT_TYPE, kind)])
}

#[test]
fn sources_have_names() {
    for source in Source::ALL {
        assert_eq!(source.to_string().parse(), Ok(source));
    }
    for bad in ["", "Vapi", "vapi ", "stripe"] {
        assert_eq!(bad.parse::<Source>(), Err(UnknownSource), "{bad:?}");
    }
    for source in Source::ALL {
        assert!(UnknownSource.to_string().contains(source.as_str()), "{source}");
    }
}

#[test]
fn those_who_wait_for_an_answer() {
    for kind in [
        "assistant-request",
        "tool-calls",
        "function-call",
        "transfer-destination-request",
        "handoff-destination-request",
        "knowledge-base-request",
        "call.endpointing.request",
        "voice-request",
        "campaign.predial",
    ] {
        assert!(needs_answer(Source::Vapi, kind), "{kind}");
        assert!(!needs_answer(Source::Generic, kind), "{kind}");
    }
    for kind in ["status-update", "end-of-call-report", "transcript", "hang", "unknown", ""] {
        assert!(!needs_answer(Source::Vapi, kind), "{kind}");
    }
}

#[test]
fn an_event_prints_without_what_it_says() {
    let event = one(Source::Generic, &HeaderMap::new(), r#"{"event_id":"e1","from":"+15005550100"}"#);
    let printed = format!("{event:?}");
    assert!(printed.contains("e1") && !printed.contains("5005550100"), "{printed}");
}

#[test]
fn what_cannot_be_read_never_quotes_the_body() {
    for (source, body) in [
        (Source::Vapi, r#"{"message":"+15005550100"}"#),
        (Source::FastSpring, r#"{"events":"+15005550100"}"#),
        (Source::Generic, r#""+15005550100""#),
        (Source::Generic, r#"{"type":"+15005550100"#),
    ] {
        let fault = events(source, &HeaderMap::new(), body.as_bytes()).unwrap_err();
        assert!(!format!("{} {fault:?}", fault.detail()).contains("5005550100"), "{fault}");
        assert_eq!(fault.to_string(), fault.detail());
    }
}

#[test]
fn parts_of_an_identity_cannot_be_mistaken_for_others() {
    use super::identity::{given, made};
    assert_eq!(made(&["a", "b"]), "a:b");
    let all = [made(&["a", "b", "c"]), made(&["a:b", "c"]), made(&["a", "b:c"]), made(&["", "a"]), made(&["a", ""])];
    let apart: std::collections::HashSet<_> = all.iter().collect();
    assert_eq!(apart.len(), all.len(), "{all:?}");
    assert_eq!(given("evt:1"), "evt:1");
    for long in [&"x".repeat(MOST_IDENTITY_BYTES + 1), "a\nb", ""] {
        assert!(given(long).starts_with("sha256:"), "{long:?}");
    }
    assert_eq!(given(&"x".repeat(MOST_IDENTITY_BYTES)).len(), MOST_IDENTITY_BYTES);
}
