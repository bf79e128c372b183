//! Who makes the replies: the model providers behind one interface.
//!
//! [`Providers::reply`] asks the providers of the configuration in their order and passes text to the caller as it
//! arrives. Each is protected by a fair queue, a circuit breaker, timeouts and a budget of retries. While no text has
//! arrived, a failure is tried again or passed to the next provider; once text has arrived, a failure is returned and
//! the caller keeps what it has, so that nothing is said twice and nothing is paid twice.
//!
//! Queues, breakers and budgets live in this process only: with several nodes, each has its own, and the limits of a
//! provider's account must allow for their sum.

mod anthropic;
mod breaker;
mod chain;
mod exchange;
mod fault;
mod figures;
mod link;
mod offline;
mod openai;
mod queue;
mod retry;
mod sse;
mod timer;

#[cfg(test)]
#[path = "../../tests/it/support/fake_provider.rs"]
mod fake;
#[cfg(test)]
mod tests;

pub use breaker::BreakerState;
pub use chain::Providers;
pub use fault::{Fault, FaultKind};
pub use figures::Figures;

use mainstay_domain::{MessageRole, TenantId, Usage};

/// One turn of a conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Turn {
    /// Who spoke.
    pub role: MessageRole,
    /// What was said.
    pub content: String,
}

/// What a reply is asked for.
#[derive(Clone, Debug)]
pub struct ReplyRequest {
    /// The organisation that asks: the queues serve organisations in turn.
    pub tenant: TenantId,
    /// Instructions to the model. Empty: none.
    pub system: String,
    /// The conversation, oldest first; the last turn is the person's.
    pub turns: Vec<Turn>,
    /// The most tokens that the reply may have.
    pub max_output_tokens: u32,
    /// Whether the offline responder keeps its pace, word by word. It answers at once otherwise.
    pub paced: bool,
}

/// A whole reply, whose text has gone to the caller's sink.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Completion {
    /// Which provider made it: `anthropic`, `openai` or `offline`.
    pub provider: String,
    /// The model, as it is named in the configuration.
    pub model: String,
    /// What it took, as the provider counted it; estimated where the provider does not say.
    pub usage: Usage,
    /// True when the reply ends because a limit of its length was reached.
    pub truncated: bool,
}

/// Where the text of a reply goes, and how much has gone there.
struct Outlet<'a> {
    sink: &'a mut (dyn FnMut(&str) + Send),
    sent: usize,
}

impl<'a> Outlet<'a> {
    fn new(sink: &'a mut (dyn FnMut(&str) + Send)) -> Self {
        Self { sink, sent: 0 }
    }

    /// Passes text on. Empty text is nothing.
    fn send(&mut self, text: &str) {
        if !text.is_empty() {
            self.sent += text.len();
            (self.sink)(text);
        }
    }

    /// Bytes of text that have reached the caller.
    fn sent(&self) -> usize {
        self.sent
    }
}

/// The turns as every server accepts them: none empty, the person first, the two in alternation. Turns of one side that
/// follow each other become one. The Messages API demands it; so do the chat templates of many local models.
fn alternating(turns: &[Turn]) -> Vec<Turn> {
    let mut shaped: Vec<Turn> = Vec::with_capacity(turns.len());
    for turn in turns.iter().filter(|turn| !turn.content.trim().is_empty()) {
        match shaped.last_mut() {
            Some(last) if last.role == turn.role => {
                last.content.push_str("\n\n");
                last.content.push_str(&turn.content);
            }
            None if turn.role == MessageRole::Assistant => {}
            _ => shaped.push(turn.clone()),
        }
    }
    shaped
}

/// A guess at the number of tokens, for servers that do not count: a token for every four bytes, rounded up.
fn estimated_tokens(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(4)).unwrap_or(u32::MAX)
}

/// A guess at the tokens of what is sent.
fn estimated_input_tokens(request: &ReplyRequest) -> u32 {
    estimated_tokens(request.system.len() + request.turns.iter().map(|turn| turn.content.len()).sum::<usize>())
}
