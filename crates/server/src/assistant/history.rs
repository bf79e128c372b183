//! What of a conversation is sent to the model: the newest messages that fit a budget of tokens.

use mainstay_domain::{MessageImage, MessageRole, ToolState, ToolUsed};
use mainstay_store::Said;

use crate::providers::Turn;

/// A turn, and the images that it came with.
pub(super) type Heard = (Turn, Vec<MessageImage>);

/// Tokens of a text, roughly: a quarter of its bytes, rounded up.
pub(super) fn tokens(text: &str) -> usize {
    text.len().div_ceil(4)
}

/// The turns for the model, oldest first. `newest_first` is what was said before the question. What is empty is left out,
/// and so is everything older than the first that does not fit.
pub(super) fn turns(
    newest_first: Vec<Said>,
    (question, images): (&str, Vec<MessageImage>),
    budget: usize,
) -> Vec<Heard> {
    let mut left = budget.saturating_sub(tokens(question));
    let mut turns = vec![(Turn::said(MessageRole::User, question), images)];
    for Said { role, content, images, tools } in newest_first {
        let content = with_tools(content, &tools);
        if content.trim().is_empty() {
            continue;
        }
        let cost = tokens(&content);
        if cost > left {
            break;
        }
        left -= cost;
        turns.push((Turn::said(role, content), images));
    }
    turns.reverse();
    turns
}

/// A reply that broke off, with what was done for it: the text may not tell it.
fn with_tools(content: String, tools: &[ToolUsed]) -> String {
    let did = |used: &&ToolUsed| matches!(used.state, ToolState::Done | ToolState::Running | ToolState::Unknown);
    let lines: Vec<String> = tools
        .iter()
        .filter(did)
        .map(|used| match used.state {
            ToolState::Done => format!("{}: {}", used.name, used.answer),
            _ => format!("{}: it is not known whether this was done", used.name),
        })
        .collect();
    if lines.is_empty() {
        content
    } else {
        format!("{content}\n\n(It broke off. Tools that were used: {})", lines.join("; "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(role: MessageRole, content: &str) -> Said {
        Said { role, content: content.to_owned(), images: Vec::new(), tools: Vec::new() }
    }

    #[test]
    fn what_was_done_for_a_reply_that_broke_off_is_told() {
        let used = |state| ToolUsed { name: "book".to_owned(), state, answer: "Booked.".to_owned() };
        let told = |state| with_tools("I".to_owned(), &[used(state)]);
        assert!(told(ToolState::Done).ends_with("(It broke off. Tools that were used: book: Booked.)"));
        assert!(told(ToolState::Running).contains("not known"));
        assert_eq!(told(ToolState::Refused), "I");
    }

    #[test]
    fn the_newest_that_fit_are_sent_oldest_first() {
        let messages = vec![
            said(MessageRole::Assistant, " "),
            said(MessageRole::Assistant, "half"),
            said(MessageRole::User, "four"),
            said(MessageRole::Assistant, "a long answer"),
            said(MessageRole::User, "a"),
        ];
        let contents = |budget| -> Vec<String> {
            turns(messages.clone(), ("question", Vec::new()), budget)
                .into_iter()
                .map(|(turn, _)| turn.content)
                .collect()
        };
        assert_eq!(contents(4), ["four", "half", "question"]);
        assert_eq!(contents(0), ["question"], "the question itself is always sent");
        assert_eq!(contents(100), ["a", "a long answer", "four", "half", "question"]);
    }
}
