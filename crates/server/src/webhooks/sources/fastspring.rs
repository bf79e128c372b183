//! FastSpring's batches (developer.fastspring.com, "Webhooks overview" and "Processed and unprocessed webhook events").
//!
//! A retry has the same id, a batch of its own, and may come after newer events. When somebody sends an event again by
//! hand it has a new id, so that whoever acts on it must also look at the state that it tells.

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::identity::{given, of_bytes};
use super::reading::{kind, millis, text};
use super::{InboundEvent, MOST_EVENTS, Unreadable};

#[derive(Deserialize)]
struct Batch {
    events: Vec<Box<RawValue>>,
}

pub(super) fn events(body: &[u8]) -> Result<Vec<InboundEvent>, Unreadable> {
    let batch: Batch = serde_json::from_slice(body).map_err(|fault| {
        let shape = Unreadable::Shape { what: "its member events", expected: "a list that stands there once" };
        if fault.is_data() { shape } else { fault.into() }
    })?;
    if batch.events.len() > MOST_EVENTS {
        return Err(Unreadable::TooManyEvents);
    }
    batch.events.into_iter().map(event).collect()
}

fn event(payload: Box<RawValue>) -> Result<InboundEvent, Unreadable> {
    let value: Value = serde_json::from_str(payload.get())?;
    let kind = text(&value, &["type"]).ok_or(Unreadable::Shape { what: "the type of an event", expected: "a text" })?;
    let kind = self::kind(kind)?;
    let identity = text(&value, &["id"]).map_or_else(|| of_bytes(payload.get().as_bytes()), given);
    // When the thing changed, not when it was told: a late event tells of an old state.
    let changed = value.get("data").and_then(|data| millis(data.get("changed")?));
    let version = changed.or_else(|| value.get("created").and_then(millis));
    Ok(InboundEvent { identity, kind, version, payload })
}
