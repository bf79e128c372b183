//! What of a conversation is sent to the model: the newest messages that fit a budget of tokens.

use mainstay_domain::{MessageRole, MessageStatus};
use mainstay_store::Message;

use crate::providers::Turn;

/// Tokens of a text, roughly: a quarter of its bytes, rounded up.
pub(super) fn tokens(text: &str) -> usize {
    text.len().div_ceil(4)
}

/// The turns for the model, oldest first. `newest_first` are the messages before the question. Replies that failed or were
/// not finished before anything arrived are left out, and so is everything older than the first message that does not fit.
pub(super) fn turns(newest_first: Vec<Message>, question: &str, budget: usize) -> Vec<Turn> {
    let mut left = budget.saturating_sub(tokens(question));
    let mut turns = vec![Turn { role: MessageRole::User, content: question.to_owned() }];
    for message in newest_first {
        let usable = !matches!(message.status, MessageStatus::Streaming | MessageStatus::Failed);
        if !usable || message.content.trim().is_empty() {
            continue;
        }
        let cost = tokens(&message.content);
        if cost > left {
            break;
        }
        left -= cost;
        turns.push(Turn { role: message.role, content: message.content });
    }
    turns.reverse();
    turns
}

#[cfg(test)]
mod tests {
    use super::*;
    use mainstay_domain::{ConversationId, MessageId, Timestamp};
    use uuid::Uuid;

    fn message(role: MessageRole, status: MessageStatus, content: &str) -> Message {
        Message {
            id: MessageId(Uuid::nil()),
            conversation: ConversationId(Uuid::nil()),
            role,
            status,
            content: content.to_owned(),
            ordinal: 0,
            provider: None,
            model: None,
            usage: None,
            cost_micros: 0,
            fault: None,
            created_at: Timestamp::EPOCH,
        }
    }

    #[test]
    fn the_newest_that_fit_are_sent_oldest_first() {
        let messages = vec![
            message(MessageRole::Assistant, MessageStatus::Failed, "no"),
            message(MessageRole::Assistant, MessageStatus::Stopped, "half"),
            message(MessageRole::User, MessageStatus::Final, "four"),
            message(MessageRole::Assistant, MessageStatus::Final, "a long answer"),
            message(MessageRole::User, MessageStatus::Final, "a"),
        ];
        let contents = |budget| -> Vec<String> {
            turns(messages.clone(), "question", budget).into_iter().map(|turn| turn.content).collect()
        };
        assert_eq!(contents(4), ["four", "half", "question"]);
        assert_eq!(contents(0), ["question"], "the question itself is always sent");
        assert_eq!(contents(100), ["a", "a long answer", "four", "half", "question"]);
    }
}
