//! Standard Webhooks 1.0.0 (standard-webhooks/standard-webhooks, `spec/standard-webhooks.md`): the identity stands in a
//! header that is signed and stays the same in each attempt; the body has `type`, `timestamp` and `data`.

use http::HeaderMap;

use super::identity::given;
use super::reading::{json, kind, moment, text};
use super::{InboundEvent, UNKNOWN_KIND, Unreadable};
use crate::webhooks::header;
use crate::webhooks::signature::HeaderNames;

pub(super) fn event(headers: &HeaderMap, body: &[u8]) -> Result<InboundEvent, Unreadable> {
    let identity = given(id(headers)?);
    let (payload, value) = json(body)?;
    let kind = text(&value, &["type"]).map_or_else(|| Ok(UNKNOWN_KIND.to_owned()), kind)?;
    // The header has the moment of the attempt, which a retry changes.
    let version = value.get("timestamp").and_then(moment);
    Ok(InboundEvent { identity, kind, version, payload })
}

/// The identity under either name. Only one of them was checked, and which one is not known here: were both there and
/// different, whoever repeats a request could add the other and pass for something new.
fn id(headers: &HeaderMap) -> Result<&str, Unreadable> {
    let unusable = |why| Unreadable::Header { header: "webhook-id", why };
    let under = |names: HeaderNames| header::one(headers, &names.id()).map_err(unusable);
    match (under(HeaderNames::Webhook)?, under(HeaderNames::Svix)?) {
        (Some(id), None) | (None, Some(id)) if !id.is_empty() => Ok(id),
        (Some(id), Some(same)) if id == same && !id.is_empty() => Ok(id),
        (Some(_), Some(_)) => Err(unusable("svix-id is there too and says something else")),
        _ => Err(unusable("it is missing or empty")),
    }
}
