//! Deliveries: what organisations are told of at endpoints of their own.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, de};

use crate::account::{UnknownWord, words};
use crate::text::Refused;

/// The most characters of a type of events.
const LONGEST_TYPE: usize = 128;

/// What sort of event it is: words of letters, digits and `_` with dots between them (Standard Webhooks 1.0.0, "Event
/// types").
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct EventType(String);

impl EventType {
    /// The type as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Reads a type.
    ///
    /// # Errors
    /// When it is longer than 128 characters, or not words of letters, digits and `_` with dots between them.
    pub fn parse(text: &str) -> Result<Self, Refused> {
        let word =
            |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if text.len() > LONGEST_TYPE || !text.split('.').all(word) {
            let detail = "It has 1 to 128 characters: words of letters, digits and _, with dots between them.";
            return Err(Refused { code: "invalid_event_type", detail: detail.to_owned() });
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for EventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for EventType {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(|refused| de::Error::custom(refused.detail))
    }
}

/// Where a delivery is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryState {
    /// It is tried, or will be.
    Pending,
    /// The endpoint has taken it.
    Delivered,
    /// Every attempt has failed.
    Failed,
    /// It was given up before that: the endpoint was disabled or removed.
    Cancelled,
}

words!(DeliveryState { Pending = "pending", Delivered = "delivered", Failed = "failed", Cancelled = "cancelled" });

/// Why an endpoint is disabled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DisabledReason {
    /// Somebody has disabled it.
    Asked,
    /// It has answered 410: nobody listens there any more.
    Gone,
    /// Everything that was delivered to it has failed for too long.
    Failing,
}

words!(DisabledReason { Asked = "asked", Gone = "gone", Failing = "failing" });

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_words_with_dots_between_them() {
        for good in ["a", "user.created", "Invoice_2.paid.v1", &"a".repeat(128)] {
            assert_eq!(EventType::parse(good).map(|kind| kind.to_string()), Ok(good.to_owned()));
        }
        for bad in ["", ".", "a.", ".a", "a..b", "a b", "a-b", "\u{fc}", &"a".repeat(129)] {
            assert!(EventType::parse(bad).is_err(), "{bad:?} was taken");
        }
    }
}
