//! Whatever arrives, nothing panics, and what is read keeps its bounds.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

/// Bodies that come near to being good: the members of all sources with values of every type.
fn bodies() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(|number| json!(number)),
        ".{0,12}".prop_map(Value::from),
        "[a-z:]{90,240}".prop_map(Value::from),
        prop::sample::select(vec!["tool-calls", "transcript[", "status-update", "speech-update", "evt_1"])
            .prop_map(Value::from),
    ];
    let member = prop::sample::select(vec![
        "message",
        "type",
        "timestamp",
        "call",
        "id",
        "toolCallList",
        "toolCall",
        "toolWithToolCallList",
        "status",
        "role",
        "turn",
        "events",
        "data",
        "changed",
        "created",
        "event_id",
        "transcript",
        "transcriptType",
        "turnId",
        "output",
    ]);
    leaf.prop_recursive(4, 40, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((member.clone(), inner), 0..8)
                .prop_map(|members| members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()),
        ]
    })
}

/// Reads a body as that of each source.
fn check(body: &[u8], headers: &HeaderMap) -> Result<(), TestCaseError> {
    for source in Source::ALL {
        let Ok(events) = events(source, headers, body) else { continue };
        prop_assert!(events.len() <= MOST_EVENTS);
        for event in &events {
            let line = |text: &str, most| !text.is_empty() && text.len() <= most && !text.contains(char::is_control);
            prop_assert!(line(&event.identity, MOST_IDENTITY_BYTES), "{event:?}");
            prop_assert!(line(&event.kind, MOST_KIND_BYTES), "{event:?}");
            prop_assert!(event.version.is_none_or(|version| version >= 0), "{event:?}");
            prop_assert!(serde_json::from_str::<Value>(event.payload.get()).is_ok());
        }
        // The same bytes are the same events.
        let again = super::events(source, headers, body).unwrap();
        let identities =
            |events: &[InboundEvent]| events.iter().map(|event| event.identity.clone()).collect::<Vec<_>>();
        prop_assert_eq!(identities(&events), identities(&again));
    }
    Ok(())
}

fn all_headers(id: &[u8], is_form: bool) -> HeaderMap {
    let mut headers = if is_form { form() } else { HeaderMap::new() };
    if let Ok(id) = HeaderValue::from_bytes(id) {
        headers.insert("webhook-id", id);
    }
    headers
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_make_it_panic(
        body in prop::collection::vec(any::<u8>(), 0..200),
        id in prop::collection::vec(any::<u8>(), 0..300),
        is_form in any::<bool>(),
    ) {
        check(&body, &all_headers(&id, is_form))?;
    }

    #[test]
    fn no_json_makes_it_panic(body in bodies(), message in any::<bool>()) {
        let body = if message { json!({ "message": body }) } else { json!({ "events": [body] }) };
        check(body.to_string().as_bytes(), &all_headers(b"msg_1", false))?;
    }

    #[test]
    fn no_form_makes_it_panic(fields in prop::collection::vec((
        prop::sample::select(vec!["MessageSid", "MessageStatus", "SmsStatus", "CallSid", "CallStatus", "Body", "Timestamp"]),
        ".{0,12}",
    ), 0..8)) {
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(&fields).finish();
        check(body.as_bytes(), &all_headers(b"msg_1", true))?;
    }
}
