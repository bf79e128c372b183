//! Vapi's messages as what they tell of a call (VapiAI/docs, `fern/server-url/events.mdx`, its OpenAPI, and what was seen of
//! it in the wild since 2024): old and new shapes are both read.

use std::sync::Arc;

use mainstay_domain::{CallDirection, CallState, CallTold, PhoneNumber, Timestamp};
use mainstay_jobs::{Done, Failure, JobContext, JobResult, Retry};
use mainstay_store::{GetPhoneAgent, HearCall};
use serde::Serialize;
use serde_json::{Map, Value};

use super::masking::masked;
use crate::app::App;
use crate::webhooks::processors::ToProcess;
use crate::webhooks::sources::millis;

/// The events that tell of a call what is kept. The others are of the moment.
pub(crate) const KINDS: [&str; 2] = ["status-update", "end-of-call-report"];
/// The most that is kept of what was said, in bytes, and of a summary, in characters.
const MOST_TRANSCRIPT: usize = 200 * 1024;
const MOST_SUMMARY: usize = 4_000;
/// The longest id of a call, in bytes.
const MOST_ID: usize = 200;
/// The longest address of a recording, in bytes.
const MOST_URL: usize = 2_000;
/// The most tool calls of one message.
const MOST_TOOL_CALLS: usize = 20;

/// The use of a tool that an agent asks for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ToolCall {
    /// The provider's id of it.
    pub(crate) id: String,
    /// Which tool.
    pub(crate) name: String,
    /// What it is given; why that cannot be read otherwise.
    pub(crate) arguments: Result<Map<String, Value>, String>,
}

/// A text without what PostgreSQL cannot store.
fn clean(text: &str) -> String {
    text.replace('\0', "")
}

fn text<'a>(value: &'a Value, pointers: &[&str]) -> Option<&'a str> {
    pointers.iter().filter_map(|pointer| value.pointer(pointer)?.as_str()).find(|text| !text.trim().is_empty())
}

fn moment(value: &Value, pointers: &[&str]) -> Option<Timestamp> {
    pointers.iter().filter_map(|pointer| millis(value.pointer(pointer)?)).map(Timestamp::from_millis).next()
}

/// The provider's id of the call that a message is about.
pub(super) fn call_id(message: &Value) -> Option<&str> {
    text(message, &["/call/id"]).filter(|id| id.len() <= MOST_ID && !id.contains(char::is_control))
}

/// What a message tells of its call.
pub(super) fn told(kind: &str, message: &Value) -> CallTold {
    let at = moment(message, &["/timestamp"]);
    let number = text(message, &["/customer/number", "/call/customer/number"]);
    let mut told = CallTold {
        direction: text(message, &["/call/type"]).and_then(direction),
        number: number
            .and_then(|number| PhoneNumber::parse(number, None).ok())
            .map(|number| number.as_str().to_owned()),
        at,
        ..CallTold::default()
    };
    match kind {
        "status-update" => {
            // That of the call inside the message may be old.
            told.state = text(message, &["/status"]).and_then(state);
            told.started_at = at.filter(|_| told.state == Some(CallState::InProgress));
            told.ended_at = at.filter(|_| told.state == Some(CallState::Ended));
        }
        "end-of-call-report" => report(message, &mut told),
        // Whoever uses a tool speaks.
        _ => told.state = Some(CallState::InProgress),
    }
    told.ended_reason = text(message, &["/endedReason"]).map(|reason| clean(reason).chars().take(200).collect());
    told
}

fn direction(word: &str) -> Option<CallDirection> {
    match word {
        "inboundPhoneCall" => Some(CallDirection::Inbound),
        "outboundPhoneCall" => Some(CallDirection::Outbound),
        "webCall" | "vapi.websocketCall" => Some(CallDirection::Web),
        _ => None,
    }
}

fn state(word: &str) -> Option<CallState> {
    match word {
        "in-progress" => Some(CallState::InProgress),
        word => word.parse().ok().filter(|state| *state != CallState::Lost),
    }
}

/// The report that is made after a call. What it says stands under `artifact` and `analysis` today, and stood beside them
/// before, when `artifact` was there and empty.
fn report(message: &Value, told: &mut CallTold) {
    told.report = true;
    told.state = Some(CallState::Ended);
    told.started_at = moment(message, &["/startedAt", "/call/startedAt"]);
    told.ended_at = moment(message, &["/endedAt", "/call/endedAt"]);
    let summary = text(message, &["/analysis/summary", "/summary", "/artifact/summary"]);
    told.summary = summary.map(|text| clean(text).chars().take(MOST_SUMMARY).collect());
    let recording = [
        "/artifact/recordingUrl",
        "/artifact/recording/mono/combinedUrl",
        "/artifact/recording/stereoUrl",
        "/recordingUrl",
        "/artifact/stereoRecordingUrl",
        "/stereoRecordingUrl",
    ];
    let recording = text(message, &recording).filter(|url| url.starts_with("https://") && url.len() <= MOST_URL);
    told.recording_url = recording.map(clean);
    let dollars = ["/cost", "/call/cost"].iter().find_map(|pointer| message.pointer(pointer)?.as_f64());
    let micros = dollars.map(|dollars| dollars * 1e6).filter(|micros| (0.0..1e15).contains(micros));
    told.cost_micros = micros.map(|micros| micros.round() as i64);
    told.transcript = transcript(message);
}

/// What somebody said.
#[derive(Serialize)]
struct Said {
    /// `agent` or `caller`.
    role: &'static str,
    text: String,
    /// When after the beginning, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    at_ms: Option<i64>,
}

/// What was said: by messages where there are some, else by lines.
fn transcript(message: &Value) -> Option<String> {
    let messages = ["/artifact/messages", "/messages"].iter().find_map(|pointer| {
        let list = message.pointer(pointer)?.as_array()?;
        (!list.is_empty()).then_some(list)
    });
    let mut said: Vec<Said> = messages.into_iter().flatten().filter_map(said).collect();
    if said.is_empty() {
        let lines = text(message, &["/artifact/transcript", "/transcript"]).unwrap_or_default().lines();
        said = lines.filter_map(spoken).collect();
    }
    let mut left = MOST_TRANSCRIPT;
    said.retain(|one| {
        left = left.saturating_sub(one.text.len() + 64);
        left > 0
    });
    (!said.is_empty()).then(|| serde_json::to_string(&said).unwrap_or_default())
}

fn said(message: &Value) -> Option<Said> {
    let role = match message["role"].as_str()? {
        "bot" | "assistant" => "agent",
        "user" => "caller",
        _ => return None,
    };
    let text = text(message, &["/message", "/content"])?;
    let at = message["secondsFromStart"].as_f64().filter(|seconds| (0.0..1e6).contains(seconds));
    Some(Said { role, text: clean(text), at_ms: at.map(|seconds| (seconds * 1e3) as i64) })
}

/// A line of the transcript: `AI: Hello` or `User: Hello`.
fn spoken(line: &str) -> Option<Said> {
    let (role, text) = line.split_once(':')?;
    let role = match role.trim().to_lowercase().as_str() {
        "ai" | "bot" | "assistant" => "agent",
        "user" => "caller",
        _ => return None,
    };
    let text = text.trim();
    (!text.is_empty()).then(|| Said { role, text: clean(text), at_ms: None })
}

/// The tool calls of a message, from whichever of the places has them, in their order.
pub(crate) fn tool_calls(message: &Value) -> Vec<ToolCall> {
    let list = |place: &str| message[place].as_array().map_or(&[][..], Vec::as_slice);
    let plain = |place| list(place).iter().filter_map(|call| tool_call(call, None)).collect::<Vec<_>>();
    let with_tools = || {
        let of = |tool: &Value| tool_call(&tool["toolCall"], tool.pointer("/function/name").and_then(Value::as_str));
        list("toolWithToolCallList").iter().filter_map(of).collect::<Vec<_>>()
    };
    let found = [plain("toolCallList"), plain("toolCalls"), with_tools()].into_iter().find(|calls| !calls.is_empty());
    let mut found = found.unwrap_or_default();
    found.truncate(MOST_TOOL_CALLS);
    found
}

fn tool_call(call: &Value, named: Option<&str>) -> Option<ToolCall> {
    let id = call["id"].as_str()?.to_owned();
    let name = text(call, &["/function/name", "/name"]).or(named).unwrap_or_default().to_owned();
    let given = ["/function/arguments", "/function/parameters", "/arguments", "/parameters"];
    let given = given.iter().find_map(|pointer| call.pointer(pointer));
    Some(ToolCall { id, name, arguments: arguments(given) })
}

/// What a tool is given: an object, or the text of one, which may be cut off.
pub(super) fn arguments(given: Option<&Value>) -> Result<Map<String, Value>, String> {
    match given {
        None | Some(Value::Null) => Ok(Map::new()),
        Some(Value::Object(map)) => Ok(map.clone()),
        Some(Value::String(text)) if text.trim().is_empty() => Ok(Map::new()),
        Some(Value::String(text)) => serde_json::from_str(text).map_err(|error| error.to_string()),
        Some(_) => Err("they are no object".to_owned()),
    }
}

/// Takes in what an event tells of a call.
pub(crate) async fn process(app: Arc<App>, context: JobContext, event: ToProcess) -> JobResult {
    let body: Value = serde_json::from_str(&event.event.payload)
        .map_err(|error| Failure::new(format_args!("what arrived cannot be read: {error}")).retry(Retry::Never))?;
    let message = &body["message"];
    let Some(provider_id) = call_id(message) else {
        return Err(Failure::new("the event does not say of which call it tells").retry(Retry::Never));
    };
    let mut told = told(&event.event.event.kind, message);
    if told.summary.is_some() || told.transcript.is_some() {
        let agent = app.store.run_for_jobs(&context.call(), GetPhoneAgent(event.tenant)).await?;
        told = masked(told, agent.unwrap_or_default().mask);
    }
    let hear = HearCall {
        tenant: event.tenant,
        provider_id: provider_id.to_owned(),
        id: app.ids.make(),
        told,
        contact: None,
        fence: Some(context.fence),
        now: app.clock.now(),
    };
    app.store.run_for_jobs(&context.call(), hear).await?;
    Ok(Done::Settled)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn at(text: &str) -> Option<Timestamp> {
        text.parse().ok()
    }

    #[test]
    fn reports_old_and_new_say_the_same() {
        let new = json!({"type": "end-of-call-report", "timestamp": 1_767_225_900_000_i64, "endedReason": "customer-ended-call",
            "startedAt": "2026-03-01T10:00:02.000Z", "endedAt": "2026-03-01T10:03:10.000Z", "cost": 0.1421,
            "analysis": {"summary": "A cleaning was booked."},
            "artifact": {"transcript": "AI: Hello\nUser: A cleaning, please.\n", "recordingUrl": "https://storage.example/rec.wav",
                "messages": [{"role": "system", "message": "You are"}, {"role": "bot", "message": "Hello", "secondsFromStart": 1.5},
                    {"role": "user", "message": "A cleaning, please.", "time": 1.722115418016999E12},
                    {"role": "tool_calls", "message": ""}]},
            "customer": {"number": "+15005550100"}, "call": {"id": "c1", "type": "inboundPhoneCall", "status": "ringing"}});
        let old = json!({"type": "end-of-call-report", "timestamp": "2026-01-01T00:05:00.000Z", "endedReason": "customer-ended-call",
            "artifact": {"messages": []}, "summary": "A cleaning was booked.", "transcript": "AI: Hello\nUser: A cleaning, please.\n",
            "recordingUrl": "https://storage.example/rec.wav", "cost": 0.1421,
            "call": {"id": "c1", "type": "inboundPhoneCall", "customer": {"number": "+15005550100"},
                "startedAt": "2026-03-01T10:00:02.000Z", "endedAt": "2026-03-01T10:03:10.000Z"}});
        let (new, old) = (told("end-of-call-report", &new), told("end-of-call-report", &old));
        assert_eq!((new.state, new.direction), (Some(CallState::Ended), Some(CallDirection::Inbound)));
        assert_eq!((new.started_at, new.ended_at), (at("2026-03-01T10:00:02.000Z"), at("2026-03-01T10:03:10.000Z")));
        assert_eq!((new.cost_micros, new.number.as_deref()), (Some(142_100), Some("+15005550100")));
        let said = r#"[{"role":"agent","text":"Hello","at_ms":1500},{"role":"caller","text":"A cleaning, please."}]"#;
        assert_eq!(new.transcript.as_deref(), Some(said));
        let plain = r#"[{"role":"agent","text":"Hello"},{"role":"caller","text":"A cleaning, please."}]"#;
        assert_eq!(old.transcript.as_deref(), Some(plain));
        assert_eq!(CallTold { transcript: new.transcript.clone(), at: new.at, ..old }, new);
    }

    #[test]
    fn a_status_counts_and_not_that_of_the_call_inside() {
        let update = |status: &str| json!({"status": status, "timestamp": 5, "call": {"id": "c", "status": "ringing"}});
        let told = |status| told("status-update", &update(status));
        assert_eq!(told("in-progress").state, Some(CallState::InProgress));
        assert_eq!(told("in-progress").started_at, Some(Timestamp::from_millis(5)));
        assert_eq!((told("ended").ended_at, told("ended").started_at), (Some(Timestamp::from_millis(5)), None));
        assert_eq!((told("lost").state, told("deletion-failed").state, told("\u{1F980}").state), (None, None, None));
    }

    #[test]
    fn tool_calls_are_read_in_every_shape() {
        let arguments = json!({"date": "2026-03-02"});
        let text = arguments.to_string();
        let shapes = [
            json!({"toolCallList": [{"id": "a", "type": "function", "function": {"name": "book", "arguments": arguments}}]}),
            json!({"toolCallList": [{"id": "a", "function": {"name": "book", "arguments": text}}]}),
            json!({"toolCallList": [{"id": "a", "name": "book", "arguments": arguments}]}),
            json!({"toolCallList": [{"id": "a", "name": "book", "parameters": arguments}]}),
            json!({"toolCalls": [{"id": "a", "function": {"name": "book", "parameters": text}}], "toolCallList": []}),
            json!({"toolWithToolCallList": [{"function": {"name": "book"}, "toolCall": {"id": "a", "function": {"parameters": arguments}}}]}),
        ];
        for shape in shapes {
            let calls = tool_calls(&shape);
            assert_eq!((calls.len(), calls[0].id.as_str(), calls[0].name.as_str()), (1, "a", "book"), "{shape}");
            assert_eq!(calls[0].arguments.as_ref().ok(), arguments.as_object(), "{shape}");
        }
        let cut = json!({"toolCallList": [{"id": "a", "name": "book", "arguments": "{\"date\": \"2026-0"}, {"name": "no id"}]});
        let calls = tool_calls(&cut);
        assert!(calls.len() == 1 && calls[0].arguments.is_err());
        assert_eq!(tool_calls(&json!({"toolCallList": "x"})), []);
    }
}
