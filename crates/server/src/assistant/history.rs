//! What of a conversation is sent to the model: the newest messages that fit a budget of tokens.

use mainstay_domain::{MessageImage, MessageRole};
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
    for Said { role, content, images } in newest_first {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn said(role: MessageRole, content: &str) -> Said {
        Said { role, content: content.to_owned(), images: Vec::new() }
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
