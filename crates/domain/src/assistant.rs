//! Conversations and the messages in them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::account::{UnknownWord, words};

/// Who wrote a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MessageRole {
    /// A person.
    User,
    /// A model.
    Assistant,
}
words!(MessageRole { User = "user", Assistant = "assistant" });

/// How far a message is. Only `Streaming` ever changes, and only once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MessageStatus {
    /// The reply is being made.
    Streaming,
    /// Complete.
    Final,
    /// Ended by the person; what had arrived is kept.
    Stopped,
    /// Cut short by a failure of the provider or of the server; what had arrived is kept.
    Interrupted,
    /// No provider answered; there is no content.
    Failed,
}
words!(MessageStatus {
    Streaming = "streaming",
    Final = "final",
    Stopped = "stopped",
    Interrupted = "interrupted",
    Failed = "failed",
});

impl MessageStatus {
    /// True for every status that no longer changes.
    #[must_use]
    pub const fn is_settled(self) -> bool {
        !matches!(self, Self::Streaming)
    }
}

/// How far a use of a tool is, or what came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToolState {
    /// It is under way.
    Running,
    /// It did what it is for.
    Done,
    /// It did nothing, and said why.
    Refused,
    /// It could not be tried now.
    Failed,
    /// Nobody knows whether it was done: it was begun, and what came of it was not heard.
    Unknown,
}
words!(ToolState {
    Running = "running",
    Done = "done",
    Refused = "refused",
    Failed = "failed",
    Unknown = "unknown",
});

/// A tool that the assistant used while it made a reply.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolUsed {
    /// Its name.
    pub name: String,
    /// What came of it.
    pub state: ToolState,
    /// What it said, on one line; empty while it runs.
    pub answer: String,
}

/// Tokens that a reply took, as its provider counted them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Tokens of the history and the question.
    pub input_tokens: u32,
    /// Tokens of the reply.
    pub output_tokens: u32,
}
