//! JSON of whoever else signs what it sends.
//!
//! A member `event_id` is taken for the identity. One that is only called `id` is not: for many senders it is that of
//! the thing, and each change of the thing would look like a repeat of the first. Headers are not taken either, since
//! they are not signed. Without `event_id` only the same bytes are a repeat.

use super::identity::{given, of_bytes};
use super::reading::{json, kind, moment, text};
use super::{InboundEvent, UNKNOWN_KIND, Unreadable};

const KINDS: [&str; 6] = ["type", "event_type", "eventType", "event", "triggerEvent", "topic"];
const MOMENTS: [&str; 5] = ["timestamp", "created_at", "createdAt", "created", "time"];

pub(super) fn event(body: &[u8]) -> Result<InboundEvent, Unreadable> {
    let (payload, value) = json(body)?;
    if !value.is_object() && !value.is_array() {
        return Err(Unreadable::Shape { what: "it", expected: "an object or a list" });
    }
    let identity = text(&value, &["event_id", "eventId"]).map_or_else(|| of_bytes(body), given);
    let kind = text(&value, &KINDS).map_or_else(|| Ok(UNKNOWN_KIND.to_owned()), kind)?;
    let version = MOMENTS.iter().find_map(|member| moment(value.get(member)?));
    Ok(InboundEvent { identity, kind, version, payload })
}
