//! Tools: what a model wants used is used once, and it goes on with what came of it.

use std::sync::Mutex;

use serde_json::{Value, json};

use super::*;
use crate::providers::{Bench, MOST_ROUNDS, ToolAnswer, ToolDefinition, ToolUse, Tools, UseOfTool};

/// Notes what is used, and answers.
struct Notes {
    definitions: Vec<ToolDefinition>,
    used: Mutex<Vec<ToolUse>>,
}

impl Bench for Notes {
    fn definitions(&self) -> &[ToolDefinition] {
        &self.definitions
    }

    fn use_tool<'a>(&'a self, asked: &'a ToolUse) -> UseOfTool<'a> {
        let mut used = self.used.lock().unwrap();
        used.push(asked.clone());
        let text =
            asked.arguments.as_ref().map_or_else(|why| (*why).to_owned(), |_| format!("Booked *{}*.", used.len()));
        Box::pin(std::future::ready(ToolAnswer { text, done: asked.arguments.is_ok() }))
    }
}

fn notes() -> Arc<Notes> {
    let parameters = json!({"type": "object", "properties": {}});
    let definitions = vec![ToolDefinition { name: "book", description: "Books.", parameters }];
    Arc::new(Notes { definitions, used: Mutex::default() })
}

/// Asks once with a tool: how it ended, what was said, and what was used.
async fn ask_with(providers: &Providers, budget: Option<i64>) -> (Result<Completion, Fault>, String, Vec<ToolUse>) {
    let notes = notes();
    let bench: Arc<dyn Bench> = notes.clone();
    let request =
        ReplyRequest { tools: Some(Tools(bench)), budget_micros: budget, max_output_tokens: 10_000, ..request() };
    let mut text = String::new();
    let mut sink = |piece: &str| text.push_str(piece);
    let outcome = providers.reply(&request, in_a_minute(), &mut sink).await;
    let used = notes.used.lock().unwrap().clone();
    (outcome, text, used)
}

fn booking() -> Vec<(String, String)> {
    vec![("book".to_owned(), json!({"name": "Ada"}).to_string())]
}

/// What a request says of the round before: the id and the arguments of the use, and what came of it.
fn round_in(protocol: Protocol, body: &Value) -> (Value, Value, String) {
    let messages = body["messages"].as_array().unwrap();
    let [.., wanted, told] = messages.as_slice() else { panic!("{messages:?}") };
    match protocol {
        Protocol::Anthropic => {
            let (asked, result) = (wanted["content"].as_array().unwrap().last().unwrap(), &told["content"][0]);
            assert_eq!((&asked["type"], &asked["id"]), (&json!("tool_use"), &result["tool_use_id"]), "{messages:?}");
            assert_eq!(body["tools"][0]["input_schema"]["type"], "object");
            (asked["id"].clone(), asked["input"].clone(), text_of(&result["content"]))
        }
        Protocol::OpenAi => {
            let asked = &wanted["tool_calls"][0];
            assert_eq!((&told["role"], &asked["id"]), (&json!("tool"), &told["tool_call_id"]), "{messages:?}");
            assert_eq!(body["tools"][0]["function"]["name"], "book");
            let arguments = serde_json::from_str(asked["function"]["arguments"].as_str().unwrap()).unwrap();
            (asked["id"].clone(), arguments, text_of(&told["content"]))
        }
    }
}

fn text_of(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

#[tokio::test]
async fn what_a_model_wants_is_used_and_it_goes_on() {
    for protocol in BOTH {
        let fake = FakeProvider::start().await;
        fake.push(Behaviour::Uses(pieces("Let me see."), booking()));
        fake.push(Behaviour::words("Done."));
        let providers = build(&pointed(&fake, protocol));
        let (outcome, text, used) = ask_with(&providers, None).await;
        assert_eq!(text, "Let me see.\n\nDone.", "{protocol:?}");
        let given = json!({"name": "Ada"});
        assert_eq!(used, [ToolUse { name: "book".to_owned(), arguments: Ok(given.as_object().unwrap().clone()) }]);
        let received = fake.received();
        let (id, arguments, told) = round_in(protocol, &received[1].body);
        assert_eq!((id, arguments), (json!("use000000"), given), "{protocol:?}");
        assert_eq!(told, json!({"result": "Booked *1*."}).to_string());
        // The tokens of both requests.
        let usage = outcome.unwrap().usage;
        assert_eq!((usage.input_tokens, usage.output_tokens), (32, 84), "{protocol:?}");
        assert!(received[0].body.get("tool_choice").is_none());
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_has_asked_for_nothing() {
    for protocol in BOTH {
        for said in ["", "Let me see."] {
            let (fake, second) = (FakeProvider::start().await, FakeProvider::start().await);
            fake.push(Behaviour::CutAfterUses(pieces(said), booking()));
            let next = if said.is_empty() { &fake } else { &second };
            next.push(Behaviour::Uses(pieces(" I book."), booking()));
            // The next round begins with the first again.
            fake.push(Behaviour::words("Done."));
            let mut settings = pointed(&fake, protocol);
            // Whoever has said something is not asked again.
            match protocol {
                Protocol::Anthropic => settings.openai.base_url = second.openai_url(),
                Protocol::OpenAi => settings.anthropic.base_url = second.anthropic_url(),
            }
            let other = if protocol == Protocol::Anthropic { "openai" } else { "anthropic" };
            settings.order.push(other.to_owned());
            let (outcome, text, used) = ask_with(&build(&settings), None).await;
            assert!(outcome.is_ok(), "{protocol:?} {outcome:?}");
            assert!(text.ends_with(" I book.\n\nDone.") && text.starts_with(said), "{protocol:?} {text:?}");
            assert_eq!(used.len(), 1, "{protocol:?} {said:?}");
        }
    }
}

#[tokio::test]
async fn the_next_provider_is_told_what_was_done() {
    let (first, second) = (FakeProvider::start().await, FakeProvider::start().await);
    first.push(Behaviour::uses("book", &json!({"name": "Ada"})));
    first.usually(Behaviour::status(500, "api_error"));
    second.usually(Behaviour::words("Done."));
    let (outcome, text, used) = ask_with(&build(&chained(&first, &second)), None).await;
    assert_eq!((outcome.unwrap().provider.as_str(), text.as_str(), used.len()), ("openai", "Done.", 1));
    let (_, arguments, told) = round_in(Protocol::OpenAi, &second.received()[0].body);
    assert_eq!((arguments, told), (json!({"name": "Ada"}), json!({"result": "Booked *1*."}).to_string()));
}

#[tokio::test]
async fn what_was_done_is_said_when_nobody_else_can_say_it() {
    for protocol in BOTH {
        // Everybody fails after it.
        let fake = FakeProvider::start().await;
        fake.push(Behaviour::Uses(Vec::new(), booking()));
        fake.usually(Behaviour::status(500, "api_error"));
        let (outcome, text, used) = ask_with(&build(&pointed(&fake, protocol)), None).await;
        assert_eq!((outcome.is_err(), text.as_str(), used.len()), (true, r"Booked \*1\*\.", 1), "{protocol:?}");
        // The model never stops asking.
        let fake = FakeProvider::start().await;
        fake.usually(Behaviour::Uses(Vec::new(), booking()));
        let (outcome, text, used) = ask_with(&build(&pointed(&fake, protocol)), None).await;
        assert!(outcome.is_ok() && text == format!(r"Booked \*{MOST_ROUNDS}\*\."), "{protocol:?} {outcome:?} {text}");
        assert_eq!((used.len(), fake.received().len()), (MOST_ROUNDS, MOST_ROUNDS + 1));
        let last = fake.received().pop().unwrap().body["tool_choice"].clone();
        assert!(last == "none" || last["type"] == "none", "{last}");
        // What was set aside is spent.
        let fake = FakeProvider::start().await;
        fake.usually(Behaviour::Uses(Vec::new(), booking()));
        let spent = if protocol == Protocol::Anthropic { 900 } else { 120 };
        let (outcome, text, used) = ask_with(&build(&pointed(&fake, protocol)), Some(spent)).await;
        assert!(outcome.is_ok() && text.starts_with("Booked"), "{protocol:?} {outcome:?} {text}");
        assert_eq!((used.len(), fake.received().len()), (1, 1), "{protocol:?}");
    }
}

#[tokio::test]
async fn arguments_that_cannot_be_read_are_told_to_the_model() {
    for protocol in BOTH {
        let fake = FakeProvider::start().await;
        for bad in ["{\"name\": \"Ad", &format!("{{\"name\":\"{}\"}}", "x".repeat(40_000))] {
            fake.push(Behaviour::Uses(Vec::new(), vec![("book".to_owned(), bad.to_owned())]));
        }
        fake.push(Behaviour::words("Sorry."));
        let (outcome, text, used) = ask_with(&build(&pointed(&fake, protocol)), None).await;
        assert!(outcome.is_ok() && text == "Sorry.", "{protocol:?} {outcome:?} {text}");
        assert!(used.iter().all(|used| used.arguments.is_err()) && used.len() == 2);
        let (_, arguments, told) = round_in(protocol, &fake.received()[1].body);
        assert_eq!(arguments, json!({}));
        assert!(told.contains("no JSON object"), "{told}");
    }
}

#[tokio::test]
async fn a_server_that_knows_no_tools_answers_without() {
    let fake = FakeProvider::start().await;
    fake.push(Behaviour::status(400, "invalid_request_error"));
    let providers = build(&pointed(&fake, Protocol::OpenAi));
    for asked in [2, 3] {
        let (outcome, text, _) = ask_with(&providers, None).await;
        assert!(outcome.is_ok() && text == "Hello from the fake provider.", "{outcome:?}");
        let received = fake.received();
        assert_eq!(received.len(), asked, "it is not offered tools again");
        assert!(received.last().unwrap().body.get("tools").is_none());
    }
    assert!(fake.received()[0].body.get("tools").is_some());
}
