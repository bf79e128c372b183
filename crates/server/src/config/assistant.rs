//! The section `[assistant]`.

use serde::{Deserialize, Serialize};

/// Conversations and replies.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Assistant {
    /// What the assistant is told before each conversation.
    pub system_prompt: String,
    /// Tokens of history that are sent with a message, the newest first (counted as a quarter of the bytes, rounded up).
    pub history_tokens: u32,
    /// The most tokens of one reply.
    pub max_reply_tokens: u32,
    /// How long a reply may take in all, in seconds.
    pub reply_timeout_seconds: u64,
    /// How long a request without streaming waits for its reply, in seconds.
    pub wait_timeout_seconds: u64,
    /// The most replies in the making at once on one node. Further messages are refused with 503.
    pub max_generations: usize,
    /// The most replies in the making at once for one person.
    pub max_generations_per_person: usize,
    /// How often the replies in the making are saved, in milliseconds, all of them together.
    pub checkpoint_interval_ms: u64,
    /// For how long a node's claim on its replies holds without being renewed, in seconds. After that they are marked as interrupted.
    pub lease_seconds: u64,
}
