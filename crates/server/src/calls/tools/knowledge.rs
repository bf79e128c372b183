//! Questions that the organisation's own documents answer.

use super::{Answer, Asking, Given, Refusal, Told};

pub(super) async fn search(asking: &Asking<'_>, given: &Given<'_>) -> Answer {
    let Some(question) = given.text(&["question", "query", "q"]) else {
        return Err(Refusal::new("missing_question", "What would you like to know?"));
    };
    match asking.app.knowledge.answer(asking.call, asking.tenant, &question).await? {
        Some(found) => Ok(Told::answer(found.text)),
        None => Err(Refusal::new("unknown", "I do not know that. I can take a message instead.")),
    }
}
