//! Vapi's server messages (VapiAI/docs, `fern/server-url/events.mdx`, and its OpenAPI).
//!
//! They have no identity of their own, and a repeat may differ in the addresses of its recordings, so it is made of what
//! sets a message apart: its kind, its call, and the tool calls, status or turn that it is about. Where there is none of
//! these, of its moment.

use serde_json::Value;

use super::identity::{made, of_bytes};
use super::reading::{json, kind, millis, text};
use super::{InboundEvent, Unreadable};

/// The kinds for whose answer Vapi waits. `function-call` is the old form of `tool-calls`.
pub(super) const NEED_ANSWERS: [&str; 9] = [
    "assistant-request",
    "tool-calls",
    "function-call",
    "transfer-destination-request",
    "handoff-destination-request",
    "knowledge-base-request",
    "call.endpointing.request",
    "voice-request",
    "campaign.predial",
];

pub(super) fn event(body: &[u8]) -> Result<InboundEvent, Unreadable> {
    let (payload, value) = json(body)?;
    let message = value.get("message").filter(|message| message.is_object());
    let message = message.ok_or(Unreadable::Shape { what: "its member message", expected: "an object" })?;
    let named =
        text(message, &["type"]).ok_or(Unreadable::Shape { what: "the type of its message", expected: "a text" })?;
    // The same kind is also written with a condition behind it, as in `transcript[transcriptType="final"]`.
    let kind = kind(named.split('[').next().unwrap_or(named))?;
    let version = message.get("timestamp").and_then(millis);
    let identity = identity(&kind, message, version).unwrap_or_else(|| of_bytes(body));
    Ok(InboundEvent { identity, kind, version, payload })
}

fn identity(kind: &str, message: &Value, version: Option<i64>) -> Option<String> {
    let about = ["call", "chat", "session"].iter().find_map(|member| text(message.get(member)?, &["id"]))?;
    let moment = version.map(|version| version.to_string());
    let member = |name| text(message, &[name]);
    let mut parts = vec![kind, about];
    // What somebody said is told apart by its digest: identities stand in logs.
    let digest = |name| Some(of_bytes(message.get(name)?.as_str()?.as_bytes()));
    let (tool_calls, turn, words);
    match kind {
        // There is one of these for each call.
        "assistant-request" | "end-of-call-report" => {}
        "tool-calls" => {
            tool_calls = tool_call_ids(message);
            if tool_calls.is_empty() {
                parts.push(moment.as_deref()?);
            }
            parts.extend(&tool_calls);
        }
        // Its function has no id of its own.
        "function-call" => {
            words = of_bytes(message.get("functionCall")?.to_string().as_bytes());
            parts.extend([moment.as_deref()?, &words]);
        }
        "status-update" => parts.push(member("status")?),
        "speech-update" => {
            // A turn is a number. Without it the same person begins to speak many times in a call.
            turn = message.get("turn").filter(|turn| turn.is_number()).map(Value::to_string);
            parts.extend([member("role")?, member("status")?, turn.as_deref().or(moment.as_deref())?]);
        }
        // Both people speak at once, and parts come many in a second.
        "transcript" => {
            words = digest("transcript")?;
            parts.extend([member("role")?, member("transcriptType")?, moment.as_deref()?, &words]);
        }
        "model-output" => {
            words = digest("output")?;
            parts.extend([moment.as_deref()?, member("turnId")?, &words]);
        }
        "user-interrupted" => parts.push(member("turnId").or(moment.as_deref())?),
        _ => parts.push(moment.as_deref()?),
    }
    Some(made(&parts))
}

/// The ids of the tool calls, from whichever of the three places has them.
fn tool_call_ids(message: &Value) -> Vec<&str> {
    let list = |name: &str| message.get(name).and_then(Value::as_array).into_iter().flatten();
    let plain = |name| list(name).filter_map(|call| text(call, &["id"])).collect::<Vec<_>>();
    let mut ids = plain("toolCallList");
    if ids.is_empty() {
        ids = plain("toolCalls");
    }
    if ids.is_empty() {
        ids = list("toolWithToolCallList").filter_map(|tool| text(tool.get("toolCall")?, &["id"])).collect();
    }
    ids
}
