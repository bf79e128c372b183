//! Who makes the replies: the model providers behind one interface.
//!
//! [`Providers::reply`] asks the providers of the configuration in their order and passes text to the caller as it
//! arrives. Each is protected by a fair queue, a circuit breaker, timeouts and a budget of retries. While no text has
//! arrived, a failure is tried again or passed to the next provider. Once text has arrived, the next model is asked to
//! go on exactly where it ends, so that nothing is said twice; the offline responder never goes on with what a model
//! began. When nobody can go on, the failure is returned and the caller keeps what it has.
//!
//! Queues, breakers and budgets live in this process only: with several nodes, each has its own, and the limits of a
//! provider's account must allow for their sum.

mod anthropic;
pub(crate) mod api;
pub(crate) mod breaker;
mod chain;
mod exchange;
mod fault;
mod figures;
mod link;
mod offline;
mod openai;
mod outlet;
mod picture;
mod price;
mod queue;
pub(crate) mod retry;
mod rounds;
mod sse;
mod timer;
mod tools;

#[cfg(test)]
#[path = "../../tests/it/support/fake_provider.rs"]
mod fake;
#[cfg(test)]
mod tests;

pub use breaker::BreakerState;
pub use chain::Providers;
pub use fault::{Fault, FaultKind};
pub(crate) use figures::Last;
pub use figures::{Figures, LastOutcome};
pub use outlet::Sink;
pub use picture::Picture;
pub use price::Price;
pub use tools::{Bench, MOST_ROUNDS, MOST_USES, Round, ToolAnswer, ToolDefinition, ToolUse, Tools, UseOfTool};

use outlet::Outlet;

use mainstay_domain::{MessageRole, TenantId, Usage};

/// The most text that a reply may have, in bytes, whatever the providers send. Past it the reply is cut, at the end of a
/// character.
pub const MAX_REPLY_BYTES: usize = 256 * 1024;

/// With less than so many tokens of output a reply, or a round of one, is not begun.
pub(crate) const LEAST_REPLY: u32 = 64;

/// How the person's last turn asks a model to go on with a reply that another one began, which stands before it as a
/// turn of the assistant. A conversation that ends with the assistant's turn would ask for the same with fewer words, but
/// newer models refuse it (platform.claude.com/docs/en/about-claude/models/migration-guide).
const GO_ON: &str = "Your last message was cut off. Go on exactly where it ends: in the same language, style and format, \
    beginning with the very next characters, even in the middle of a word. Repeat nothing of it, and do not mention that it \
    was cut off.";

/// One turn of a conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Turn {
    /// Who spoke.
    pub role: MessageRole,
    /// What was said.
    pub content: String,
    /// What was shown with it.
    pub pictures: Vec<Picture>,
}

impl Turn {
    /// A turn of words alone.
    pub(crate) fn said(role: MessageRole, content: impl Into<String>) -> Self {
        Self { role, content: content.into(), pictures: Vec::new() }
    }
}

/// What is known of the answer to the last question, from documents of the organisation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// One or two sentences of them that answer it.
    pub answer: String,
    /// The title of the document that these are from.
    pub title: String,
    /// For a model: the passages that fit, as data, with how to take them.
    pub instructions: String,
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
    /// What the organisation knows of the last question, if anything.
    pub known: Option<Known>,
    /// What the model may use while it makes the reply.
    pub tools: Option<Tools>,
    /// What was said and used for this reply before.
    pub rounds: Vec<Round>,
    /// What was said in this round before its maker broke off, and how the next one is asked to go on.
    pub(crate) go_on: Vec<Turn>,
    /// The most that the reply may cost, in millionths; nothing when nothing costs anything.
    pub budget_micros: Option<i64>,
    /// The most tokens that the reply may have.
    pub max_output_tokens: u32,
    /// Whether the offline responder keeps its pace, word by word. It answers at once otherwise.
    pub paced: bool,
}

/// A whole reply, whose text has gone to the caller's sink.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Completion {
    /// Which provider made it, or its end: `anthropic`, `openai` or `offline`.
    pub provider: String,
    /// The model, as it is named in the configuration.
    pub model: String,
    /// What it took, over all requests that were accepted for it, as the providers counted it; estimated where they do
    /// not say.
    pub usage: Usage,
    /// True when the reply ends because a limit of its length was reached.
    pub truncated: bool,
}

/// The turns as every server accepts them: none empty, the person first, the two in alternation. Turns of one side that
/// follow each other become one. The Messages API demands it; so do the chat templates of many local models.
fn alternating(turns: &[Turn]) -> Vec<Turn> {
    let mut shaped: Vec<Turn> = Vec::with_capacity(turns.len());
    for turn in turns.iter().filter(|turn| !turn.content.trim().is_empty() || !turn.pictures.is_empty()) {
        match shaped.last_mut() {
            Some(last) if last.role == turn.role => {
                last.content.push_str("\n\n");
                last.content.push_str(&turn.content);
                last.pictures.extend_from_slice(&turn.pictures);
            }
            None if turn.role == MessageRole::Assistant => {}
            _ => shaped.push(turn.clone()),
        }
    }
    shaped
}

impl ReplyRequest {
    /// What is asked for of a conversation, without tools and whatever it costs.
    #[must_use]
    pub fn of(tenant: TenantId, system: String, turns: Vec<Turn>, max_output_tokens: u32) -> Self {
        Self {
            tenant,
            system,
            turns,
            known: None,
            tools: None,
            rounds: Vec::new(),
            go_on: Vec::new(),
            budget_micros: None,
            max_output_tokens,
            paced: false,
        }
    }

    /// Whether the model may want something used in the answer that is asked for.
    fn may_use(&self) -> bool {
        self.rounds.len() < MOST_ROUNDS
    }

    /// What a model is told before the conversation: its instructions, and what the organisation knows.
    fn instructions(&self) -> String {
        let known = self.known.as_ref().map_or("", |known| known.instructions.as_str());
        let parts = [self.system.trim(), known];
        parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("\n\n")
    }

    /// The request to go on after `text`, with what it leaves of the most tokens.
    fn to_go_on(&self, text: &str) -> Self {
        let mut request = self.clone();
        // A text without a visible character is not worth a turn, and some servers refuse one.
        if !text.trim().is_empty() {
            let last = if self.rounds.is_empty() { &mut request.turns } else { &mut request.go_on };
            last.push(Turn::said(MessageRole::Assistant, text));
            last.push(Turn::said(MessageRole::User, GO_ON));
        }
        request.max_output_tokens = request.max_output_tokens.saturating_sub(estimated_tokens(text.len())).max(1);
        request
    }
}

/// A guess at the number of tokens, for servers that do not count: a token for every four bytes, rounded up.
pub(crate) fn estimated_tokens(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(4)).unwrap_or(u32::MAX)
}

/// A guess at the tokens of what is sent.
pub(crate) fn estimated_input_tokens(request: &ReplyRequest) -> u32 {
    let known = request.known.as_ref().map_or(0, |known| known.instructions.len());
    let pictures =
        request.turns.iter().flat_map(|turn| &turn.pictures).map(Picture::tokens).fold(0, u32::saturating_add);
    let words = request.turns.iter().map(|turn| turn.content.len()).sum::<usize>();
    let words = words + request.go_on.iter().map(|turn| turn.content.len()).sum::<usize>();
    let tools = tools::estimated(request);
    estimated_tokens(request.system.len() + known + words).saturating_add(pictures).saturating_add(tools)
}
