use super::*;

fn read(body: &str) -> InboundEvent {
    one(Source::Twilio, &form(), body)
}

#[test]
fn a_status_of_a_message_is_known_by_message_and_status() {
    let body =
        "SmsSid=SM1&SmsStatus=delivered&MessageStatus=delivered&To=%2B15005550006&MessageSid=SM1&ApiVersion=2010-04-01";
    let event = read(body);
    assert_eq!((event.kind.as_str(), event.identity.as_str()), ("message.status", "SM1:delivered"));
    assert_eq!(event.version, None);
    let payload: serde_json::Value = serde_json::from_str(event.payload.get()).unwrap();
    assert_eq!(payload["To"], "+15005550006");
    assert_eq!(
        read(&format!("{body}&RawDlrDoneDate=2603020930")).identity,
        event.identity,
        "fields are added now and then"
    );
    assert_eq!(read("SmsSid=SM1&SmsStatus=sent").identity, "SM1:sent");
}

#[test]
fn what_somebody_wrote_is_no_status() {
    let event = read("MessageSid=SM2&SmsSid=SM2&SmsStatus=received&From=%2B15005550006&Body=Yes+please&NumMedia=0");
    assert_eq!((event.kind.as_str(), event.identity.as_str()), ("message.received", "SM2:received"));
    assert_eq!(read("MessageSid=SM2&Body=").kind, "message.received", "a picture without words");
}

#[test]
fn a_call_that_goes_on_is_not_a_repeat() {
    let event =
        read("CallSid=CA1&CallStatus=completed&SequenceNumber=3&Timestamp=Mon%2C+02+Mar+2026+09%3A00%3A00+%2B0000");
    assert_eq!((event.kind.as_str(), event.identity.as_str()), ("call.status", "CA1:completed:3"));
    assert_eq!(event.version, Some(1_772_442_000_000));
    // A menu posts again in the same state, with other digits.
    let (first, second) =
        (read("CallSid=CA1&CallStatus=in-progress&Digits=1"), read("CallSid=CA1&CallStatus=in-progress&Digits=2"));
    assert_ne!(first.identity, second.identity);
    assert_eq!(first.kind, "call.status");
    assert_eq!(read("CallSid=CA1&CallStatus=ringing&Timestamp=soon").version, None);
}

#[test]
fn other_forms_are_kept() {
    let event = read("a=1&b=&a=2&a=3&c=%00");
    assert_eq!((event.kind.as_str(), event.version), ("unknown", None));
    assert_eq!(event.payload.get(), r#"{"a":["1","2","3"],"b":"","c":"\u0000"}"#);
    assert!(event.identity.starts_with("sha256:"));
    assert_eq!(
        read("MessageSid=SM1&MessageSid=SM2&MessageStatus=sent").kind,
        "unknown",
        "which of the two is not said"
    );
}

#[test]
fn json_is_kept_as_it_came() {
    let event = one(Source::Twilio, &HeaderMap::new(), r#"{"type":"com.example.sent", "n":1}"#);
    assert_eq!(
        (event.kind.as_str(), event.payload.get()),
        ("com.example.sent", r#"{"type":"com.example.sent", "n":1}"#)
    );
    assert_eq!(one(Source::Twilio, &HeaderMap::new(), r#"[{"n":1}]"#).kind, "unknown");
}

#[test]
fn what_is_neither_is_refused() {
    for body in ["", "&", "=1", "a=%zz", "a=%FF"] {
        assert_eq!(fault(Source::Twilio, &form(), body), "webhook_not_form", "{body:?}");
    }
    assert_eq!(fault(Source::Twilio, &HeaderMap::new(), "MessageSid=SM1&MessageStatus=sent"), "webhook_not_json");
}
