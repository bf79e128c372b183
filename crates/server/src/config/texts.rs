//! The section `[texts]`.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::rules::{self, durations};
use super::schema::Bound;
use super::{Fault, Warning};

pub(super) const BOUNDS: &[Bound] = &[
    ("texts.slots", 1, 1_000),
    ("texts.first_byte_timeout_ms", 10, 60_000),
    ("texts.retry_seconds", 1, 3_600),
    ("texts.find_seconds", 1, 3_600),
    ("texts.keep_days", 30, 3_650),
];

/// Text messages.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Texts {
    /// How many text messages a node sends at once.
    pub slots: u32,
    /// Where Twilio's API is.
    pub twilio_url: String,
    /// How long Twilio may take to the beginning of its answer, in milliseconds. Connecting, retries and the breaker are as in [providers].
    pub first_byte_timeout_ms: u64,
    /// The longest wait until a message is tried again while Twilio cannot be reached, in seconds.
    pub retry_seconds: u64,
    /// How long after an attempt of which nobody knows what came of it a message that is not in Twilio's list counts as not taken, in seconds. The list may be some seconds behind: too short, and a message is sent twice.
    pub find_seconds: u64,
    /// For how many days text messages are kept.
    pub keep_days: u64,
}

durations!(Texts {
    first_byte_timeout: from_millis(first_byte_timeout_ms),
    longest_wait: from_secs(retry_seconds),
    not_taken_after: from_secs(find_seconds),
});

impl Texts {
    /// For how long text messages are kept.
    #[must_use]
    pub const fn kept(&self) -> Duration {
        Duration::from_secs(self.keep_days * 86_400)
    }

    pub(super) fn validate(&self, faults: &mut Vec<Fault>) {
        faults.extend(rules::web_address("texts.twilio_url", &self.twilio_url, rules::Path::Any).err());
    }

    pub(super) fn advise(&self, warnings: &mut Vec<Warning>) {
        if rules::is_open(&self.twilio_url) {
            let reason = "is not encrypted: the tokens of accounts can be read on the way";
            warnings.push(Fault::new("texts.twilio_url", reason, "Use https"));
        }
    }
}
