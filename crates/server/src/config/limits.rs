//! The section `[limits]`.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::schema::Bound;
use super::{Fault, Warning};

/// The highest limit: a log has a moment for each request that it counts.
pub const MOST_LIMIT: u32 = 1_000_000;
const MOST: i64 = MOST_LIMIT as i64;

pub(super) const BOUNDS: &[Bound] = &[
    ("limits.window_seconds", 1, 3_600),
    ("limits.organisation", 0, MOST),
    ("limits.api_key", 0, MOST),
    ("limits.public", 0, MOST),
    ("limits.live_connect_per_address", 0, MOST),
    ("limits.max_keys", 1_000, 10_000_000),
    ("limits.free.messages", 0, MOST),
    ("limits.free.image_analysis", 0, MOST),
    ("limits.free.speech_to_text", 0, MOST),
    ("limits.free.text_to_speech", 0, MOST),
    ("limits.free.live_connect", 0, MOST),
    ("limits.free.sync", 0, MOST),
    ("limits.free.other", 0, MOST),
    ("limits.core.messages", 0, MOST),
    ("limits.core.image_analysis", 0, MOST),
    ("limits.core.speech_to_text", 0, MOST),
    ("limits.core.text_to_speech", 0, MOST),
    ("limits.core.live_connect", 0, MOST),
    ("limits.core.sync", 0, MOST),
    ("limits.core.other", 0, MOST),
    ("limits.studio.messages", 0, MOST),
    ("limits.studio.image_analysis", 0, MOST),
    ("limits.studio.speech_to_text", 0, MOST),
    ("limits.studio.text_to_speech", 0, MOST),
    ("limits.studio.live_connect", 0, MOST),
    ("limits.studio.sync", 0, MOST),
    ("limits.studio.other", 0, MOST),
];

/// How often somebody may ask.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Limits {
    /// The window, in seconds. In no window of this length, wherever it is laid, do more requests pass than a limit says.
    pub window_seconds: u64,
    /// Requests of all members and keys of an organisation together.
    pub organisation: u32,
    /// Requests by one API key in all.
    pub api_key: u32,
    /// Requests from one address to routes that need no token.
    pub public: u32,
    /// Attempts to open a live connection from one address, whoever makes them. Everybody in one office comes from one address.
    pub live_connect_per_address: u32,
    /// The most addresses, and the most people, keys and organisations, whose requests are remembered at once on a node.
    pub max_keys: usize,
    /// What a person may do in an organisation that pays nothing.
    pub free: PlanLimits,
    /// What a person may do in an organisation on the plan core.
    pub core: PlanLimits,
    /// What a person may do in an organisation on the plan studio.
    pub studio: PlanLimits,
}

/// The limits of one person, by class of route.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanLimits {
    /// Messages to the assistant.
    pub messages: u32,
    /// Images that are looked at.
    pub image_analysis: u32,
    /// Speech that is turned into text.
    pub speech_to_text: u32,
    /// Text that is turned into speech.
    pub text_to_speech: u32,
    /// Attempts to open a live connection.
    pub live_connect: u32,
    /// Synchronisations.
    pub sync: u32,
    /// Everything else.
    pub other: u32,
}

impl Limits {
    /// The window.
    #[must_use]
    pub const fn window(&self) -> Duration {
        Duration::from_secs(self.window_seconds)
    }

    pub(super) fn advise(&self, warnings: &mut Vec<Warning>) {
        for (key, limit) in [
            ("limits.organisation", self.organisation),
            ("limits.public", self.public),
            ("limits.free.other", self.free.other),
            ("limits.core.other", self.core.other),
            ("limits.studio.other", self.studio.other),
        ] {
            if limit == 0 {
                let reason = "is 0, which refuses every such request";
                warnings.push(Fault::new(key, reason, "Use a high number to limit nothing"));
            }
        }
    }
}
