//! The section `[assistant]`.

use serde::{Deserialize, Serialize};

use super::Fault;
use super::rules::durations;
use super::schema::Bound;

pub(super) const BOUNDS: &[Bound] = &[
    ("assistant.history_tokens", 0, 1_000_000),
    ("assistant.max_reply_tokens", 1, 128_000),
    ("assistant.reply_timeout_seconds", 1, 3_600),
    ("assistant.wait_timeout_seconds", 1, 3_600),
    ("assistant.max_generations", 1, 1_000_000),
    ("assistant.max_generations_per_person", 1, 10_000),
    ("assistant.checkpoint_interval_ms", 10, 10_000),
    ("assistant.lease_seconds", 1, 300),
];

/// The longest system prompt, in bytes: it is sent with every message.
const SYSTEM_PROMPT_BYTES: usize = 65_536;

/// Conversations and replies.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Assistant {
    /// What the assistant is told before each conversation.
    pub system_prompt: String,
    /// Tokens of history that are sent with a message, the newest first (counted as a quarter of the bytes, rounded up).
    pub history_tokens: u32,
    /// The most tokens of one reply. One that reaches them is cut, and says so. No reply is longer than 256 KiB.
    pub max_reply_tokens: u32,
    /// How long a reply may take in all, in seconds.
    pub reply_timeout_seconds: u64,
    /// How long a request without streaming waits for its reply, in seconds.
    pub wait_timeout_seconds: u64,
    /// The most replies in the making at once on one node. Further messages are refused with 503.
    pub max_generations: usize,
    /// The most replies in the making at once for one person on one node. Further messages are refused with 429.
    pub max_generations_per_person: usize,
    /// How often the replies in the making are saved, in milliseconds, all of them together.
    pub checkpoint_interval_ms: u64,
    /// For how long a node's claim on its replies holds without being renewed, in seconds. After that whichever node looks next marks them as interrupted.
    pub lease_seconds: u64,
}

durations!(Assistant {
    reply_timeout: from_secs(reply_timeout_seconds),
    wait_timeout: from_secs(wait_timeout_seconds),
    checkpoint_interval: from_millis(checkpoint_interval_ms),
    lease: from_secs(lease_seconds),
});

impl Assistant {
    pub(super) fn validate(&self, faults: &mut Vec<Fault>) {
        if self.system_prompt.len() > SYSTEM_PROMPT_BYTES {
            let reason = format!("is {} bytes long, more than {SYSTEM_PROMPT_BYTES}", self.system_prompt.len());
            faults.push(Fault::new("assistant.system_prompt", reason, "Shorten it: it is sent with every message"));
        }
        if self.lease() < self.checkpoint_interval() * 3 {
            let reason = format!(
                "is {} s, less than three times checkpoint_interval_ms ({}): one slow save would lose the claim",
                self.lease_seconds, self.checkpoint_interval_ms
            );
            let cure = "Raise it, or lower assistant.checkpoint_interval_ms";
            faults.push(Fault::new("assistant.lease_seconds", reason, cure));
        }
    }
}
