//! Parts of a message on the wire.

use mainstay_domain::{MessageStatus, ToolState, ToolUsed, Usage};
use mainstay_store::Message;
use serde::Serialize;
use utoipa::ToSchema;

/// Tokens of a reply.
#[derive(Serialize, ToSchema)]
pub struct MessageUsageBody {
    input_tokens: u32,
    output_tokens: u32,
}

impl From<Usage> for MessageUsageBody {
    fn from(usage: Usage) -> Self {
        Self { input_tokens: usage.input_tokens, output_tokens: usage.output_tokens }
    }
}

/// Why a reply ended early.
#[derive(Serialize, ToSchema)]
pub struct FaultBody {
    pub(super) code: String,
    pub(super) detail: String,
}

/// A tool that was used while a reply was made.
#[derive(Serialize, ToSchema)]
pub struct ToolUsedBody {
    /// Which tool: `check_availability`, `book_appointment` and so on.
    name: String,
    /// running; done; refused, when it did nothing and says why; failed, when it could not be tried; unknown, when nobody knows
    /// whether it was done.
    #[schema(value_type = crate::openapi::words::ToolState, example = "done")]
    state: ToolState,
    /// What it said, on one line, plain text. Empty while it runs.
    answer: String,
}

impl ToolUsedBody {
    /// A use of a message. One that runs when its reply has ended was cut off, and nobody knows what came of it.
    pub(super) fn of(status: MessageStatus, used: &ToolUsed) -> Self {
        let is_lost = used.state == ToolState::Running && status.is_settled();
        let state = if is_lost { ToolState::Unknown } else { used.state };
        Self { name: used.name.clone(), state, answer: used.answer.clone() }
    }

    /// Those of a message.
    pub(crate) fn all(message: &Message) -> Vec<Self> {
        message.tools.iter().map(|used| Self::of(message.status, used)).collect()
    }
}
