use serde_json::json;

use super::*;

fn read(message: &serde_json::Value) -> InboundEvent {
    one(Source::Vapi, &HeaderMap::new(), &json!({ "message": message }).to_string())
}

#[test]
fn a_message_has_a_kind_a_moment_and_its_text() {
    let body = r#" {"message": {"type":"status-update", "timestamp":1767225600000,"status":"in-progress","call":{"id":"call-1"}}}
"#;
    let event = one(Source::Vapi, &HeaderMap::new(), body);
    assert_eq!((event.kind.as_str(), event.version), ("status-update", Some(1_767_225_600_000)));
    assert_eq!(event.identity, "status-update:call-1:in-progress");
    assert_eq!(event.payload.get(), body.trim(), "as it came");
}

#[test]
fn moments_are_read_in_every_form() {
    let version = |moment: serde_json::Value| read(&json!({"type": "hang", "timestamp": moment})).version;
    assert_eq!(version(json!("2024-07-26T22:20:57.931Z")), Some(1_722_032_457_931));
    assert_eq!(version(json!(1.722_115_418_016_999E12)), Some(1_722_115_418_016));
    assert_eq!(version(json!(0)), Some(0));
    for bad in
        [json!("yesterday"), json!(-1), json!(1e300), json!(u64::MAX), json!(null), json!({}), json!("9999-99-99")]
    {
        assert_eq!(version(bad.clone()), None, "{bad}");
    }
}

#[test]
fn a_repeat_has_the_same_identity_although_its_addresses_differ() {
    let report = |url: &str, timestamp: i64| {
        read(&json!({
            "type": "end-of-call-report", "timestamp": timestamp, "call": {"id": "call-1"},
            "artifact": {"presignedMonoUrl": url},
        }))
        .identity
    };
    assert_eq!(report("https://a.example", 1), "end-of-call-report:call-1");
    assert_eq!(report("https://a.example", 1), report("https://b.example", 2));
}

#[test]
fn what_sets_a_message_apart_is_in_its_identity() {
    let identity = |mut message: serde_json::Value, change: (&str, serde_json::Value)| {
        message["call"] = json!({"id": "call-1"});
        message[change.0] = change.1;
        read(&message).identity
    };
    let spoken =
        json!({"type": "transcript", "timestamp": 5, "role": "user", "transcriptType": "final", "transcript": "a"});
    let speech = json!({"type": "speech-update", "timestamp": 5, "role": "user", "status": "started", "turn": 1});
    let function =
        json!({"type": "function-call", "timestamp": 5, "functionCall": {"name": "a", "parameters": {"b": 1}}});
    let output = json!({"type": "model-output", "timestamp": 5, "turnId": "t1", "output": "a"});
    for (message, change) in [
        (json!({"type": "status-update", "status": "ringing"}), ("status", json!("ended"))),
        (json!({"type": "user-interrupted", "turnId": "t1"}), ("turnId", json!("t2"))),
        (json!({"type": "user-interrupted", "timestamp": 5}), ("timestamp", json!(6))),
        (json!({"type": "hang", "timestamp": 5}), ("timestamp", json!(6))),
        (json!({"type": "hang", "timestamp": 5}), ("call", json!({"id": "call-2"}))),
        (json!({"type": "something-new", "timestamp": 5}), ("type", json!("something-newer"))),
        (json!({"type": "something-new", "a": 5}), ("a", json!(6))),
        (json!({"type": "transfer-destination-request", "timestamp": 5}), ("timestamp", json!(6))),
        (spoken.clone(), ("role", json!("assistant"))),
        (spoken.clone(), ("transcriptType", json!("partial"))),
        (spoken.clone(), ("transcript", json!("b"))),
        (spoken, ("timestamp", json!(6))),
        (speech.clone(), ("turn", json!(2))),
        (speech.clone(), ("role", json!("assistant"))),
        (speech, ("status", json!("stopped"))),
        (function.clone(), ("timestamp", json!(6))),
        (function.clone(), ("functionCall", json!({"name": "c", "parameters": {"b": 1}}))),
        (function, ("functionCall", json!({"name": "a", "parameters": {"b": 2}}))),
        (output.clone(), ("turnId", json!("t2"))),
        (output, ("output", json!("b"))),
    ] {
        let same = identity(message.clone(), ("unrelated", json!(1)));
        let aside = identity(message.clone(), ("unrelated", json!(if message.get("a").is_some() { 1 } else { 2 })));
        assert_eq!(same, aside, "{message}");
        assert_ne!(same, identity(message.clone(), change.clone()), "{message} with {change:?}");
    }
}

#[test]
fn words_that_were_spoken_stand_in_no_identity() {
    let message = json!({
        "type": "transcript", "timestamp": 5, "role": "user", "transcriptType": "final", "transcript": "cleaning",
        "call": {"id": "call-1"},
    });
    let identity = read(&message).identity;
    assert!(identity.starts_with("sha256:"), "{identity}");
}

#[test]
fn a_kind_is_the_same_with_a_condition_behind_it() {
    let message = |kind: &str| {
        read(&json!({
            "type": kind, "timestamp": 5, "role": "user", "transcriptType": "final", "transcript": "a", "call": {"id": "c"},
        }))
    };
    let (plain, conditional) = (message("transcript"), message(r#"transcript[transcriptType="final"]"#));
    assert_eq!((conditional.kind.as_str(), conditional.identity), ("transcript", plain.identity));
}

#[test]
fn tool_calls_are_known_by_their_ids_wherever_those_stand() {
    let call = json!({"id": "call_A1", "type": "function", "function": {"name": "book", "arguments": {}}});
    let other = json!({"id": "call_A2", "name": "book", "parameters": {}});
    let identity = |lists: serde_json::Value| {
        let mut message = json!({"type": "tool-calls", "timestamp": 5, "call": {"id": "call-1"}});
        message.as_object_mut().unwrap().extend(lists.as_object().unwrap().clone());
        read(&message).identity
    };
    let expected = "tool-calls:call-1:call_A1";
    assert_eq!(identity(json!({"toolCallList": [call], "toolWithToolCallList": [{"toolCall": call}]})), expected);
    assert_eq!(identity(json!({"toolCalls": [call]})), expected);
    assert_eq!(identity(json!({"toolCallList": [], "toolWithToolCallList": [{"toolCall": call}]})), expected);
    assert_eq!(identity(json!({"toolCallList": [call, other]})), format!("{expected}:call_A2"));
    assert_eq!(identity(json!({"toolCallList": "none"})), "tool-calls:call-1:5");
    let many: Vec<_> = (0..50).map(|at| json!({"id": format!("call_{at}")})).collect();
    let identity = identity(json!({ "toolCallList": many }));
    assert!(identity.starts_with("sha256:") && identity.len() <= MOST_IDENTITY_BYTES, "{identity}");
}

#[test]
fn chats_and_sessions_have_identities_too() {
    let chat = json!({"type": "chat.created", "timestamp": 5, "chat": {"id": "chat-1"}});
    assert_eq!(read(&chat).identity, "chat.created:chat-1:5");
    let session = json!({"type": "session.created", "timestamp": 5, "session": {"id": "s-1"}});
    assert_eq!(read(&session).identity, "session.created:s-1:5");
    assert!(read(&json!({"type": "campaign.predial", "timestamp": 5})).identity.starts_with("sha256:"));
}

#[test]
fn what_is_no_message_is_refused() {
    let fault = |body: &str| fault(Source::Vapi, &HeaderMap::new(), body);
    for body in ["", "{", "\u{feff}{}", r#"{"message":{"type":"a"}} x"#, r#"{"message":{"type":"\ud800"}}"#] {
        assert_eq!(fault(body), "webhook_not_json", "{body:?}");
    }
    for body in ["{}", "[]", "null", r#"{"message":[]}"#, r#"{"message":{}}"#, r#"{"message":{"type":7}}"#] {
        assert_eq!(fault(body), "webhook_shape", "{body:?}");
    }
    let kind = |kind: &str| json!({"message": {"type": kind}}).to_string();
    assert_eq!(fault(&kind(&"x".repeat(MOST_KIND_BYTES + 1))), "webhook_bad_kind");
    assert_eq!(fault(&kind("a\u{0}b")), "webhook_bad_kind");
    assert_eq!(fault(&kind("[x]")), "webhook_bad_kind");
    let deep = format!(r#"{{"message":{{"type":"a","x":{}{}}}}}"#, "[".repeat(5000), "]".repeat(5000));
    assert_eq!(fault(&deep), "webhook_not_json", "nobody could read it later");
}
