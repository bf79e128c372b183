//! What the body of a webhook says: which events, of what kind, and by which identity a repeat of each is known.
//!
//! Read a body only after [`Scheme::verify`](super::signature::Scheme::verify) has taken it. Kinds that nobody knows
//! are kept: the lists of the senders grow. How long a body may be is for the layer in front; what is made of it is
//! bounded here.

mod fastspring;
mod generic;
mod identity;
mod reading;
mod standard;
mod twilio;
mod unreadable;
mod vapi;

use std::collections::HashSet;
use std::fmt;
use std::str::FromStr;

use http::HeaderMap;
use serde_json::value::RawValue;

pub use identity::MOST_IDENTITY_BYTES;
pub use reading::MOST_KIND_BYTES;
pub(crate) use reading::millis;
pub use unreadable::Unreadable;

/// The most events of one body.
pub const MOST_EVENTS: usize = 500;
/// The kind of an event whose sender names none.
pub const UNKNOWN_KIND: &str = "unknown";

/// Who sends webhooks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// Vapi: what happens in a call.
    Vapi,
    /// Twilio: what becomes of a message or a call.
    Twilio,
    /// FastSpring: what is paid for.
    FastSpring,
    /// Whoever follows Standard Webhooks 1.0.0.
    Standard,
    /// Whoever sends JSON.
    Generic,
}

/// A name that is none of the sources.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("There is no such source of webhooks. There are vapi, twilio, fastspring, standard and generic.")]
pub struct UnknownSource;

impl Source {
    /// Every source.
    pub const ALL: [Self; 5] = [Self::Vapi, Self::Twilio, Self::FastSpring, Self::Standard, Self::Generic];

    /// The name in addresses, settings and the database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Vapi => "vapi",
            Self::Twilio => "twilio",
            Self::FastSpring => "fastspring",
            Self::Standard => "standard",
            Self::Generic => "generic",
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Source {
    type Err = UnknownSource;

    fn from_str(name: &str) -> Result<Self, UnknownSource> {
        Self::ALL.into_iter().find(|source| source.as_str() == name).ok_or(UnknownSource)
    }
}

/// One event that arrived.
#[derive(Clone)]
pub struct InboundEvent {
    /// What the same event has when it arrives again, and no other event of this webhook. At most
    /// [`MOST_IDENTITY_BYTES`] bytes, without control characters.
    pub identity: String,
    /// What kind of event it is, in the sender's own word. At most [`MOST_KIND_BYTES`] bytes, without control
    /// characters.
    pub kind: String,
    /// When what it tells was so, by the sender's clock, in milliseconds since 1970: of two events of one thing the one
    /// with the higher number is the newer, whichever arrives last.
    pub version: Option<i64>,
    /// What it says: JSON as it came, or made of a form. Text in it may hold `\u0000`, which is legal in JSON and in no
    /// text of PostgreSQL.
    pub payload: Box<RawValue>,
}

impl fmt::Debug for InboundEvent {
    /// Without the payload: it has names and telephone numbers in it, which belong in no log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InboundEvent")
            .field("identity", &self.identity)
            .field("kind", &self.kind)
            .field("version", &self.version)
            .field("payload_bytes", &self.payload.get().len())
            .finish()
    }
}

/// The events of a body, each identity once. A batch may be empty.
///
/// # Errors
/// Says why the body is not one of this source.
pub fn events(source: Source, headers: &HeaderMap, body: &[u8]) -> Result<Vec<InboundEvent>, Unreadable> {
    let mut events = match source {
        Source::Vapi => vec![vapi::event(body)?],
        Source::Twilio => vec![twilio::event(headers, body)?],
        Source::FastSpring => fastspring::events(body)?,
        Source::Standard => vec![standard::event(headers, body)?],
        Source::Generic => vec![generic::event(body)?],
    };
    let mut seen = HashSet::with_capacity(events.len());
    events.retain(|event| seen.insert(event.identity.clone()));
    Ok(events)
}

/// Whether the sender waits for an answer to an event of this kind and uses it, so that it cannot be put off.
#[must_use]
pub fn needs_answer(source: Source, kind: &str) -> bool {
    source == Source::Vapi && vapi::NEED_ANSWERS.contains(&kind)
}

#[cfg(test)]
mod tests;
