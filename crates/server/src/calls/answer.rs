//! What the provider waits for: who answers a call, what its tools say, and to whom it is passed on.

use std::sync::Arc;

use mainstay_domain::{CallOutcome, CallState, CallTold, ContactId, Error, Kind, PhoneNumber, Result};
use mainstay_store::{ACTION_FAILED, Call, CallAction, FindActions, HearCall, NoteActions, PhoneAgent};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::speech::line;
use super::tools::{Asking, Refusal, TOOLS, Told, one_use, use_tool};
use super::vapi::{ToolCall, arguments, call_id, told, tool_calls};
use crate::app::App;
use crate::webhooks::processors::Question;

/// The word of a use of a tool that did something, in the log of its call.
const DONE: &str = "done";
/// What the agent is told beside what its organisation says.
const MANNERS: &str = "You answer the phone. Be brief: one or two short sentences, one question at a time. Use the tools for \
    everything about times, appointments, hours and messages, and never make up what they did not say. Today is {{now}}.";

/// Answers a question of the provider, in the form that it has for it.
pub(crate) async fn answer(app: Arc<App>, question: Question) -> Result<Value> {
    let body: Value = serde_json::from_str(&question.payload)
        .map_err(|error| Error::new(Kind::Invalid, "unreadable", "This cannot be read.").because(error))?;
    let message = &body["message"];
    let call = Call::until(question.deadline);
    match question.kind.as_str() {
        "tool-calls" => use_tools(&app, &call, &question, message).await,
        "function-call" => use_function(&app, &call, &question, message).await,
        "assistant-request" => who_answers(&app, &call, &question, message).await,
        "transfer-destination-request" => pass_on(&app, &call, &question, message).await,
        kind => {
            tracing::debug!(kind, "a question that is not answered here");
            Err(Error::new(Kind::Invalid, "not_answered", "This is not answered here."))
        }
    }
}

/// What a message tells of its call; nothing when it names none.
fn hearing(app: &App, question: &Question, message: &Value, told: CallTold) -> Option<HearCall> {
    let (tenant, now) = (question.tenant, app.clock.now());
    let provider_id = call_id(message)?.to_owned();
    Some(HearCall { tenant, provider_id, id: app.ids.make(), told, contact: None, fence: None, now })
}

/// One id for one use of a tool, however often it is told.
fn once(question: &Question, id: &str) -> Uuid {
    one_use(&[question.event.uuid().as_bytes(), id.as_bytes()])
}

/// What the use of a tool came to.
struct Used {
    action: CallAction,
    answer: std::result::Result<String, String>,
    outcome: Option<CallOutcome>,
    contact: Option<ContactId>,
}

async fn use_tools(app: &App, call: &Call, question: &Question, message: &Value) -> Result<Value> {
    let uses = tool_calls(message);
    let used = use_all(app, call, question, message, &uses).await?;
    let result = |(asked, used): (&ToolCall, &Used)| match &used.answer {
        Ok(text) => json!({"name": asked.name, "toolCallId": asked.id, "result": text}),
        Err(text) => json!({"name": asked.name, "toolCallId": asked.id, "error": text}),
    };
    Ok(json!({"results": uses.iter().zip(&used).map(result).collect::<Vec<_>>()}))
}

/// The old form, of one tool and without an id.
async fn use_function(app: &App, call: &Call, question: &Question, message: &Value) -> Result<Value> {
    let function = &message["functionCall"];
    let name = function["name"].as_str().unwrap_or_default().to_owned();
    let given = function.get("parameters").or_else(|| function.get("arguments"));
    let uses = [ToolCall { id: String::new(), name, arguments: arguments(given) }];
    let used = use_all(app, call, question, message, &uses).await?;
    let text = used.into_iter().next().map(|used| used.answer.unwrap_or_else(|text| text));
    Ok(json!({"result": text}))
}

/// Uses tools one after the other, and notes what was done.
async fn use_all(app: &App, call: &Call, question: &Question, message: &Value, uses: &[ToolCall]) -> Result<Vec<Used>> {
    let heard = told(&question.kind, message);
    let number = heard.number.as_deref().and_then(|number| PhoneNumber::parse(number, None).ok());
    let in_call = match hearing(app, question, message, heard.clone()) {
        Some(hear) => Some(app.calls.hear(call, hear).await?.id),
        None => None,
    };
    let before = before(app, call, question, uses).await?;
    let mut all = Vec::with_capacity(uses.len());
    for asked in uses {
        let once = once(question, &asked.id);
        if let Some(action) = before.iter().find(|action| action.id == once) {
            let text = action.answer.clone();
            let answer = if action.outcome == DONE { Ok(text) } else { Err(text) };
            all.push(Used { action: action.clone(), answer, outcome: None, contact: None });
            continue;
        }
        let asking = Asking { app, call, tenant: question.tenant, by: None, in_call, number: number.clone(), once };
        let told = match &asked.arguments {
            Ok(given) => Box::pin(use_tool(&asking, &asked.name, given)).await,
            Err(why) => Err(unreadable(why)),
        };
        all.push(used(app, asked, once, told));
    }
    let outcome = all.iter().filter_map(|used| used.outcome).max();
    let contact = all.iter().find_map(|used| used.contact);
    let heard = CallTold { state: Some(CallState::InProgress), outcome, ..heard };
    if let Some(hear) = hearing(app, question, message, heard) {
        let actions = all.iter().map(|used| used.action.clone()).collect();
        app.calls.note(call, NoteActions { call: HearCall { contact, ..hear }, actions }).await?;
    }
    Ok(all)
}

/// What was done for these before, should they be asked again. What failed by a fault of ours is tried again: nothing was told
/// that would not hold any more.
async fn before(app: &App, call: &Call, question: &Question, uses: &[ToolCall]) -> Result<Vec<CallAction>> {
    if !question.again {
        return Ok(Vec::new());
    }
    let ids = uses.iter().map(|asked| once(question, &asked.id)).collect();
    let mut found = app.store.run(call, FindActions { tenant: question.tenant, ids }).await?;
    found.retain(|action| action.outcome != ACTION_FAILED);
    Ok(found)
}

fn unreadable(why: &str) -> Refusal {
    tracing::debug!(why, "the arguments of a tool cannot be read");
    Refusal { code: "unreadable", answer: "The arguments are no JSON object. Send them again, and shorter.".to_owned() }
}

fn used(app: &App, asked: &ToolCall, once: Uuid, told: std::result::Result<Told, Refusal>) -> Used {
    let (word, answer, told) = match told {
        Ok(told) => (DONE, Ok(line(&told.answer)), Some(told)),
        Err(refusal) => (refusal.code, Err(line(&refusal.answer)), None),
    };
    let action = CallAction {
        id: once,
        tool: asked.name.replace('\0', "").chars().take(100).collect(),
        outcome: word.to_owned(),
        answer: answer.clone().unwrap_or_else(|text| text),
        appointment: told.as_ref().and_then(|told| told.appointment),
        created_at: app.clock.now(),
    };
    let (outcome, contact) = told.map_or((None, None), |told| (told.outcome, told.contact));
    Used { action, answer, outcome, contact }
}

/// Who answers a call: the assistant that was made at the provider, or one that is described here.
async fn who_answers(app: &App, call: &Call, question: &Question, message: &Value) -> Result<Value> {
    let agent = app.calls.agent(call, question.tenant).await?;
    if agent.assistant_id.is_none() && agent.greeting.is_empty() {
        return Ok(json!({"error": "This line is not set up yet. Please call again later."}));
    }
    let told = CallTold { state: Some(CallState::Ringing), ..told(&question.kind, message) };
    if let Some(hear) = hearing(app, question, message, told) {
        app.calls.hear(call, hear).await?;
    }
    Ok(match &agent.assistant_id {
        Some(id) => json!({"assistantId": id}),
        None => json!({"assistant": described(&agent)}),
    })
}

fn described(agent: &PhoneAgent) -> Value {
    let mut tools: Vec<Value> =
        TOOLS.iter().map(|tool| json!({"type": "function", "function": tool.definition()})).collect();
    if agent.transfer_number.is_some() {
        tools.push(json!({"type": "transferCall", "destinations": []}));
    }
    let instructions =
        if agent.instructions.is_empty() { MANNERS.to_owned() } else { format!("{MANNERS}\n\n{}", agent.instructions) };
    let mut assistant = Map::new();
    assistant.insert("firstMessage".to_owned(), json!(agent.greeting));
    let messages = json!([{"role": "system", "content": instructions}]);
    let model = json!({"provider": "openai", "model": "gpt-4o-mini", "messages": messages, "tools": tools});
    assistant.insert("model".to_owned(), model);
    Value::Object(assistant)
}

/// To whom a caller is passed on.
async fn pass_on(app: &App, call: &Call, question: &Question, message: &Value) -> Result<Value> {
    let Some(number) = app.calls.agent(call, question.tenant).await?.transfer_number else {
        return Ok(json!({"error": "Nobody can be reached at the moment. Shall I take a message?"}));
    };
    let told = CallTold { outcome: Some(CallOutcome::Transferred), ..told(&question.kind, message) };
    if let Some(hear) = hearing(app, question, message, told) {
        app.calls.hear(call, hear).await?;
    }
    Ok(json!({"destination": {"type": "number", "number": number, "message": "I am passing you on."}}))
}
