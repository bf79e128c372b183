//! Answers to those who wait for one: in time, and in the form that the sender understands.

use std::sync::Arc;

use mainstay_domain::Error;
use serde_json::{Value, json};
use tokio::time::{Instant, timeout_at};

use super::processors::{Processors, Question};
use crate::app::App;
use crate::calls::vapi;
use crate::controls::Part;

/// What is told when nobody has registered for a question.
const NOBODY: &str = "Nothing here knows how to answer this yet.";
/// What is told while an operator has turned the processing of webhooks off.
const OFF: &str = "This is switched off for now. Please try again later.";
/// What is told when the answer was not there in time.
const LATE: &str = "This takes longer than it should. Please try again.";

/// The answer to a question, within its deadline: by whoever has registered for it, else an error in the sender's form.
pub(super) async fn answer(app: &Arc<App>, processors: &Processors, question: Question) -> Value {
    let source = super::sources::Source::Vapi;
    let (kind, payload, deadline) = (question.kind.clone(), Arc::clone(&question.payload), question.deadline);
    if app.controls.off_until(Part::Webhooks).is_some() {
        return failed(&kind, &payload, OFF);
    }
    let Some(answerer) = processors.answerer(source, &kind) else { return failed(&kind, &payload, NOBODY) };
    in_time(&kind, &payload, deadline, answerer(Arc::clone(app), question)).await
}

async fn in_time(
    kind: &str,
    payload: &str,
    deadline: Instant,
    answer: impl Future<Output = Result<Value, Error>>,
) -> Value {
    match timeout_at(deadline, answer).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => {
            let Error { code, detail, inside, kind: of, .. } = error;
            // What is refused may be told with the value that is refused.
            let told = if of.is_fault() { detail.as_str() } else { "" };
            tracing::warn!(kind, code, detail = told, ?inside, "a question could not be answered");
            failed(kind, payload, &detail)
        }
        Err(_) => {
            tracing::warn!(kind, "a question was not answered in time");
            failed(kind, payload, LATE)
        }
    }
}

/// That a question has no answer, as Vapi takes it (VapiAI/docs, `fern/tools/custom-tools.mdx`): one entry for each tool
/// call, and every text on one line.
fn failed(kind: &str, payload: &str, why: &str) -> Value {
    let why = why.split_whitespace().collect::<Vec<_>>().join(" ");
    match kind {
        "tool-calls" => {
            let calls = tool_calls(payload);
            let result = |(id, name): (String, String)| json!({"name": name, "toolCallId": id, "error": why});
            if calls.is_empty() {
                json!({"results": [], "error": why})
            } else {
                json!({"results": calls.into_iter().map(result).collect::<Vec<_>>()})
            }
        }
        // The old form has no place for an error.
        "function-call" => json!({"result": why}),
        _ => json!({"error": why}),
    }
}

/// The tool calls of a message and the names of their tools, in their order.
fn tool_calls(payload: &str) -> Vec<(String, String)> {
    let Ok(body) = serde_json::from_str::<Value>(payload) else { return Vec::new() };
    vapi::tool_calls(&body["message"]).into_iter().map(|call| (call.id, call.name)).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_is_late_or_fails_is_an_error_in_the_form_of_the_sender() {
        let body = r#"{"message": {"toolCallList": [{"id": "call_A", "name": "book"}]}}"#;
        let deadline = Instant::now() + Duration::from_secs(7);
        let slow = async {
            tokio::time::sleep(Duration::from_secs(8)).await;
            Ok(json!({}))
        };
        let told = in_time("tool-calls", body, deadline, slow).await;
        assert_eq!(told["results"][0]["error"], LATE);
        assert_eq!(Instant::now(), deadline, "not a moment later");
        let fails = async { Err(Error::not_found("calendar")) };
        let deadline = Instant::now() + Duration::from_secs(7);
        let told = in_time("tool-calls", body, deadline, fails).await;
        assert_eq!(told["results"][0]["error"], "There is no such calendar.");
        let good = async { Ok(json!({"results": []})) };
        assert_eq!(in_time("tool-calls", body, deadline, good).await, json!({"results": []}));
    }

    #[test]
    fn each_tool_call_is_told_on_one_line() {
        let body = r#"{"message": {"type": "tool-calls", "toolCallList": [
            {"id": "call_A", "function": {"name": "book"}}, {"id": "call_B", "name": "cancel"}]}}"#;
        let told = failed("tool-calls", body, "not\n  now");
        let expected = json!({"results": [
            {"name": "book", "toolCallId": "call_A", "error": "not now"},
            {"name": "cancel", "toolCallId": "call_B", "error": "not now"}]});
        assert_eq!(told, expected);
        let elsewhere = r#"{"message": {"toolWithToolCallList": [
            {"function": {"name": "book"}, "toolCall": {"id": "call_C"}}]}}"#;
        assert_eq!(
            failed("tool-calls", elsewhere, "x")["results"][0],
            json!({"name": "book", "toolCallId": "call_C", "error": "x"})
        );
        assert_eq!(failed("tool-calls", "{}", "x"), json!({"results": [], "error": "x"}));
        assert_eq!(failed("assistant-request", "{}", "x"), json!({"error": "x"}));
        assert_eq!(failed("function-call", "{}", "x"), json!({"result": "x"}));
    }
}
