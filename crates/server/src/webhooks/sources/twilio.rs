//! Twilio's callbacks (Twilio docs, messaging status guides and webhooks security): forms, for the most part.
//!
//! They name no kind and have no identity of their own. A status of a message is told apart by message and status; what
//! else arrives by its bytes, since a call posts again and again with the same id and status.

use http::HeaderMap;
use jiff::fmt::rfc2822;
use serde_json::Value;
use serde_json::value::to_raw_value;

use super::identity::{made, of_bytes};
use super::reading::{json, kind, text};
use super::{InboundEvent, UNKNOWN_KIND, Unreadable};
use crate::webhooks::form;

/// A message of ours is in another state.
const MESSAGE_STATUS: &str = "message.status";
/// Somebody wrote to us.
const MESSAGE_RECEIVED: &str = "message.received";
/// A call is in another state, or asks how to go on.
const CALL_STATUS: &str = "call.status";

pub(super) fn event(headers: &HeaderMap, body: &[u8]) -> Result<InboundEvent, Unreadable> {
    if !form::is_form(headers) {
        let (payload, value) = json(body)?;
        let kind = text(&value, &["type"]).map_or_else(|| Ok(UNKNOWN_KIND.to_owned()), kind)?;
        return Ok(InboundEvent { identity: of_bytes(body), kind, version: None, payload });
    }
    let fields = form::fields(body).map_err(|why| Unreadable::NotForm { why })?;
    if fields.is_empty() {
        return Err(Unreadable::NotForm { why: "it has no fields" });
    }
    let object = object(fields);
    let (kind, identity) = told(&object);
    Ok(InboundEvent {
        identity: identity.unwrap_or_else(|| of_bytes(body)),
        kind: kind.to_owned(),
        version: version(&object),
        payload: to_raw_value(&object)?,
    })
}

/// A form as an object. A name that stands there once has a text, one that is repeated a list of texts.
fn object(fields: Vec<(String, String)>) -> Value {
    let mut members = serde_json::Map::new();
    for (name, value) in fields {
        let value = Value::String(value);
        match members.get_mut(&name) {
            None => {
                members.insert(name, value);
            }
            Some(Value::Array(values)) => values.push(value),
            Some(first) => *first = Value::Array(vec![first.take(), value]),
        }
    }
    Value::Object(members)
}

fn told(fields: &Value) -> (&'static str, Option<String>) {
    let message = text(fields, &["MessageSid", "SmsSid"]);
    // What somebody wrote has an `SmsStatus` too, and a text; a status has none.
    let status = text(fields, &["MessageStatus"])
        .or_else(|| if fields.get("Body").is_none() { text(fields, &["SmsStatus"]) } else { None });
    match (message, status) {
        (Some(message), Some(status)) => return (MESSAGE_STATUS, Some(made(&[message, status]))),
        (Some(message), None) if fields.get("Body").is_some() => {
            return (MESSAGE_RECEIVED, Some(made(&[message, "received"])));
        }
        _ => {}
    }
    let Some((call, status)) = text(fields, &["CallSid"]).zip(text(fields, &["CallStatus"])) else {
        return (UNKNOWN_KIND, None);
    };
    (CALL_STATUS, text(fields, &["SequenceNumber"]).map(|number| made(&[call, status, number])))
}

/// Statuses of calls tell when they were so (RFC 2822). Those of messages do not: their order is that of their words.
fn version(fields: &Value) -> Option<i64> {
    let moment = rfc2822::parse(text(fields, &["Timestamp"])?).ok()?.timestamp().as_millisecond();
    (moment >= 0).then_some(moment)
}
