use serde_json::json;

use super::*;

fn read(body: &str) -> Vec<InboundEvent> {
    events(Source::FastSpring, &HeaderMap::new(), body.as_bytes()).unwrap()
}

#[test]
fn each_member_of_a_batch_is_an_event() {
    let body = r#"{"events":[
        {"id":"evt_1","live":false,"processed":false,"type":"subscription.activated","created":1700000000000,
         "data":{"id":"subABC","subscription":"subABC","state":"active","changed":1700000000123,"price":99.0}},
        {"id":"evt_2","live":true,"type":"order.completed","created":1700000000001,"data":{"account":{"id":"acct1"}}}
    ]}"#;
    let events = read(body);
    let told: Vec<_> = events.iter().map(|e| (e.identity.as_str(), e.kind.as_str(), e.version)).collect();
    assert_eq!(
        told,
        [
            ("evt_1", "subscription.activated", Some(1_700_000_000_123)),
            ("evt_2", "order.completed", Some(1_700_000_000_001)),
        ]
    );
    assert!(body.contains(events[0].payload.get()), "as it came");
    assert!(events[0].payload.get().contains("99.0") && !events[0].payload.get().contains("evt_2"));
}

#[test]
fn an_event_counts_once_in_a_batch() {
    let event = json!({"id": "evt_1", "type": "order.completed"});
    let other = json!({"id": "evt_2", "type": "order.completed"});
    assert_eq!(read(&json!({"events": [event, other, event]}).to_string()).len(), 2);
    assert_eq!(read(r#"{"events":[]}"#).len(), 0);
}

#[test]
fn an_event_without_an_id_is_known_by_its_bytes() {
    let events = read(r#"{"events":[{"type":"a","n":1},{"type":"a","n":2},{"type":"a","n":1}]}"#);
    assert_eq!(events.len(), 2);
    assert!(events.iter().all(|event| event.identity.starts_with("sha256:")));
    let long = read(&json!({"events": [{"id": "x".repeat(1000), "type": "a"}]}).to_string());
    assert!(long[0].identity.len() <= MOST_IDENTITY_BYTES);
}

#[test]
fn a_batch_has_bounds() {
    let batch = |count: usize| {
        let events: Vec<_> = (0..count).map(|at| json!({"id": at.to_string(), "type": "a"})).collect();
        json!({ "events": events }).to_string()
    };
    assert_eq!(read(&batch(MOST_EVENTS)).len(), MOST_EVENTS);
    assert_eq!(fault(Source::FastSpring, &HeaderMap::new(), &batch(MOST_EVENTS + 1)), "webhook_too_many_events");
}

#[test]
fn what_is_no_batch_is_refused() {
    let fault = |body: &str| fault(Source::FastSpring, &HeaderMap::new(), body);
    for body in ["", "{", r#"{"events":[1"#, "x=1"] {
        assert_eq!(fault(body), "webhook_not_json", "{body:?}");
    }
    for body in [
        "{}",
        "7",
        r#"{"events":null}"#,
        r#"{"events":{}}"#,
        r#"{"events":[],"events":[]}"#,
        r#"{"events":[1]}"#,
        r#"{"events":[{"id":"evt_1"}]}"#,
        r#"{"events":[{"type":"a"},{"type":""}]}"#,
    ] {
        assert_eq!(fault(body), "webhook_shape", "{body:?}");
    }
}
