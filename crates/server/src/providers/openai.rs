//! Any server that speaks OpenAI's chat completions, streamed (platform.openai.com/docs/api-reference/chat-streaming):
//! OpenAI itself, Ollama, vLLM, llama.cpp and many others, which differ in what they leave out.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use eventsource_stream::Event;
use http::header::AUTHORIZATION;
use mainstay_domain::{Clock, Error, MessageRole};
use reqwest::{RequestBuilder, Response};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::exchange::{Exchange, Place, Reader, Step, Trouble, known, unreadable};
use super::fault::{Failure, FaultKind};
use super::timer::{Limits, Timer};
use super::{Completion, Outlet, Picture, Price, ReplyRequest, Round, ToolDefinition, Turn, alternating};
use crate::config;

/// The name in the configuration.
pub(super) const NAME: &str = "openai";
const KEY_VARIABLE: &str = "OPENAI_API_KEY";
const OPENAI_HOST: &str = "api.openai.com";

/// What is known of a server's view of `stream_options`, which asks it to count tokens, and of tools. Some refuse the one or
/// the other.
const UNTRIED: u8 = 0;
const TAKEN: u8 = 1;
const REFUSED: u8 = 2;

/// The provider.
pub(super) struct OpenAi {
    exchange: Exchange,
    is_openai: bool,
    stream_options: AtomicU8,
    tools: AtomicU8,
}

impl OpenAi {
    /// The provider of this configuration. Only OpenAI itself must have a key.
    pub(super) fn new(config: &config::Providers, clock: Arc<dyn Clock>) -> Result<Self, Error> {
        let settings = &config.openai;
        let place = Place {
            name: NAME,
            model: &settings.model,
            price: settings.price(),
            base_url: &settings.base_url,
            path: "chat/completions",
            key: &settings.api_key,
            key_header: (AUTHORIZATION, "Bearer "),
            key_variable: KEY_VARIABLE,
        };
        let exchange = Exchange::new(&place, config, clock)?;
        let is_openai = exchange.url.host_str() == Some(OPENAI_HOST);
        if is_openai && !exchange.has_key() {
            let detail = format!("openai needs a key: set {KEY_VARIABLE}, or OPENAI_BASE_URL for another server");
            return Err(Error::invalid_field("providers.openai.api_key", "missing", detail));
        }
        Ok(Self { exchange, is_openai, stream_options: AtomicU8::new(UNTRIED), tools: AtomicU8::new(UNTRIED) })
    }

    pub(super) fn price(&self) -> Price {
        self.exchange.price
    }

    pub(super) fn model(&self) -> &str {
        &self.exchange.model
    }

    /// Whether this configuration names a server to speak to: one with a key, or one that is not OpenAI itself.
    pub(super) fn is_configured(settings: &config::OpenAi) -> bool {
        let elsewhere = reqwest::Url::parse(settings.base_url.trim())
            .is_ok_and(|url| url.host_str().is_some_and(|host| host != OPENAI_HOST));
        !settings.api_key.expose().trim().is_empty() || elsewhere
    }

    /// One attempt.
    pub(super) async fn reply(
        &self,
        request: &ReplyRequest,
        limits: Limits,
        outlet: &mut Outlet<'_>,
    ) -> Result<Completion, Failure> {
        let timer = Timer::start(limits);
        let response = self.open(request, &timer).await?;
        self.exchange.complete(request, response, timer, &mut Answer::default(), outlet).await
    }

    /// Sends the request; once more without tools or `stream_options` to a server that may not know them.
    async fn open(&self, request: &ReplyRequest, timer: &Timer) -> Result<Response, Failure> {
        let turns = alternating(&request.turns);
        let known = |state: &AtomicU8| state.load(Ordering::Relaxed);
        let (options, tools) = (known(&self.stream_options), known(&self.tools));
        let ways = [(true, true), (true, false), (false, true), (false, false)];
        let mut ways = ways.into_iter().filter(|(with_options, with_tools)| {
            let fits = |with: bool, state: u8| if with { state != REFUSED } else { state != TAKEN && !self.is_openai };
            let of_tools = if request.tools.is_some() { fits(*with_tools, tools) } else { !*with_tools };
            fits(*with_options, options) && of_tools
        });
        let mut way = ways.next().unwrap_or((true, request.tools.is_some()));
        loop {
            let (with_options, with_tools) = way;
            let failure = match self.exchange.open(self.call(request, &turns, with_options, with_tools), timer).await {
                Ok(response) => {
                    let state = |with| if with { TAKEN } else { REFUSED };
                    self.stream_options.store(state(with_options), Ordering::Relaxed);
                    if request.tools.is_some() {
                        self.tools.store(state(with_tools), Ordering::Relaxed);
                    }
                    return Ok(response);
                }
                Err(failure) => failure,
            };
            let refused = matches!(failure.fault.kind, FaultKind::Refused { status: 400 | 422 });
            match ways.next().filter(|_| refused) {
                Some(next) => way = next,
                None => return Err(failure),
            }
        }
    }

    fn call(&self, request: &ReplyRequest, turns: &[Turn], with_options: bool, with_tools: bool) -> RequestBuilder {
        let instructions = request.instructions();
        let system =
            (!instructions.is_empty()).then_some(Said::words("system", Content::Words(Cow::Borrowed(&instructions))));
        let turns = turns.iter().map(Said::of);
        let round = |(number, round)| if with_tools { Said::of_round(number, round) } else { Said::of_told(round) };
        let rounds = request.rounds.iter().enumerate().flat_map(round);
        let limit = request.max_output_tokens;
        let tools = request.tools.as_ref().filter(|_| with_tools);
        let body = Body {
            model: &self.exchange.model,
            messages: system.into_iter().chain(turns).chain(rounds).chain(request.go_on.iter().map(Said::of)).collect(),
            tools: tools.map(|tools| tools.0.definitions().iter().map(Offered::of).collect()),
            tool_choice: tools.filter(|_| !request.may_use()).map(|_| "none"),
            stream: true,
            stream_options: with_options.then_some(StreamOptions { include_usage: true }),
            max_tokens: (!self.is_openai).then_some(limit),
            max_completion_tokens: self.is_openai.then_some(limit),
        };
        self.exchange.post(&body)
    }
}

#[derive(Serialize)]
struct Body<'a> {
    model: &'a str,
    messages: Vec<Said<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tools: Option<Vec<Offered<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_choice: Option<&'static str>,
    stream: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream_options: Option<StreamOptions>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_completion_tokens: Option<u32>,
}

#[derive(Serialize)]
struct StreamOptions {
    include_usage: bool,
}

/// A tool that may be used.
#[derive(Serialize)]
struct Offered<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    function: Function<'a>,
}

#[derive(Serialize)]
struct Function<'a> {
    name: &'static str,
    description: &'static str,
    parameters: &'a Value,
}

impl<'a> Offered<'a> {
    fn of(tool: &'a ToolDefinition) -> Self {
        let function = Function { name: tool.name, description: tool.description, parameters: &tool.parameters };
        Self { kind: "function", function }
    }
}

/// A use of a tool that the model wanted.
#[derive(Serialize)]
struct Wanted<'a> {
    id: String,
    #[serde(rename = "type")]
    kind: &'static str,
    function: WantedFunction<'a>,
}

#[derive(Serialize)]
struct WantedFunction<'a> {
    name: &'a str,
    arguments: String,
}

#[derive(Serialize)]
struct Said<'a> {
    role: &'static str,
    content: Option<Content<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<Wanted<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_call_id: Option<String>,
}

/// Words alone, or parts.
#[derive(Serialize)]
#[serde(untagged)]
enum Content<'a> {
    Words(Cow<'a, str>),
    Parts(Vec<Part<'a>>),
}

/// A part of what is sent.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Part<'a> {
    ImageUrl { image_url: ImageUrl },
    Text { text: &'a str },
}

#[derive(Serialize)]
struct ImageUrl {
    url: String,
}

impl<'a> Said<'a> {
    fn words(role: &'static str, content: Content<'a>) -> Self {
        Self { role, content: Some(content), tool_calls: Vec::new(), tool_call_id: None }
    }

    /// A round before: what the model wanted, and what came of it.
    fn of_round(number: usize, round: &'a Round) -> Vec<Self> {
        let uses = round.uses.iter().enumerate();
        let wanted = uses.clone().map(|(index, (asked, _))| Wanted {
            id: Round::id(number, index),
            kind: "function",
            function: WantedFunction { name: &asked.name, arguments: Value::Object(asked.given()).to_string() },
        });
        let content = (!round.text.is_empty()).then_some(Content::Words(Cow::Borrowed(round.text.as_str())));
        let role = MessageRole::Assistant.as_str();
        let wanted = Self { role, content, tool_calls: wanted.collect(), tool_call_id: None };
        let told = uses.map(|(index, (_, answer))| Self {
            tool_call_id: Some(Round::id(number, index)),
            ..Self::words("tool", Content::Words(Cow::Owned(answer.told())))
        });
        std::iter::once(wanted).chain(told).collect()
    }

    /// The same for a server that knows no tools: in words.
    fn of_told(round: &'a Round) -> Vec<Self> {
        let text = if round.text.is_empty() { "Let me look." } else { round.text.as_str() };
        let told: Vec<String> =
            round.uses.iter().map(|(asked, answer)| format!("{}: {}", asked.name, answer.told())).collect();
        let told = format!("What was found and done for it, as data:\n{}", told.join("\n"));
        let said = |role: MessageRole, words| Self::words(role.as_str(), Content::Words(words));
        vec![said(MessageRole::Assistant, Cow::Borrowed(text)), said(MessageRole::User, Cow::Owned(told))]
    }

    fn of(turn: &'a Turn) -> Self {
        let role = turn.role.as_str();
        if turn.pictures.is_empty() {
            return Self::words(role, Content::Words(Cow::Borrowed(turn.content.as_str())));
        }
        let image = |picture: &Picture| Part::ImageUrl { image_url: ImageUrl { url: picture.data_url() } };
        let mut parts: Vec<Part<'a>> = turn.pictures.iter().map(image).collect();
        parts.extend((!turn.content.trim().is_empty()).then_some(Part::Text { text: &turn.content }));
        Self::words(role, Content::Parts(parts))
    }
}

#[derive(Deserialize)]
struct Chunk {
    #[serde(default)]
    choices: Vec<Choice>,
    usage: Option<Counted>,
    error: Option<Value>,
}

#[derive(Deserialize)]
struct Choice {
    delta: Option<Delta>,
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct Delta {
    content: Option<String>,
    tool_calls: Option<Vec<ToolDelta>>,
}

/// A piece of a use of a tool: its head first, then what it is given.
#[derive(Deserialize)]
struct ToolDelta {
    index: Option<u64>,
    id: Option<String>,
    function: Option<FunctionDelta>,
}

#[derive(Deserialize)]
struct FunctionDelta {
    name: Option<String>,
    arguments: Option<Value>,
}

impl ToolDelta {
    fn pass(self, outlet: &mut Outlet<'_>) {
        let Some(FunctionDelta { name, arguments }) = self.function else { return };
        let id = self.id.unwrap_or_default();
        if !id.is_empty() || name.as_ref().is_some_and(|name| !name.is_empty()) {
            outlet.use_begins(self.index, &id, &name.unwrap_or_default(), Map::new());
        }
        match arguments {
            Some(Value::String(piece)) => outlet.use_grows(self.index, &piece),
            // Some servers give an object at once.
            Some(whole @ Value::Object(_)) => outlet.use_grows(self.index, &whole.to_string()),
            _ => {}
        }
    }
}

#[derive(Deserialize)]
struct Counted {
    prompt_tokens: Option<u32>,
    completion_tokens: Option<u32>,
}

/// What has been read of one answer.
#[derive(Default)]
struct Answer {
    finish_reason: Option<String>,
    done: bool,
}

impl Reader for Answer {
    fn event(&mut self, event: &Event, outlet: &mut Outlet<'_>) -> Result<Step, Trouble> {
        let data = event.data.trim();
        if data == "[DONE]" {
            self.done = true;
            return Ok(Step::Done);
        }
        let chunk: Chunk = serde_json::from_str(data).map_err(|error| unreadable(&error))?;
        if let Some(error) = chunk.error.filter(|error| !error.is_null()) {
            let words = format!("in the stream: {}", known(error["type"].as_str().unwrap_or_default()));
            return Err(Trouble::Reported(kind_of(&error), words));
        }
        for choice in chunk.choices {
            if let Some(Delta { content, tool_calls }) = choice.delta {
                outlet.send(&content.unwrap_or_default());
                tool_calls.into_iter().flatten().for_each(|piece| piece.pass(outlet));
            }
            self.finish_reason = choice.finish_reason.or(self.finish_reason.take());
        }
        if let Some(counted) = chunk.usage {
            outlet.count(counted.prompt_tokens, counted.completion_tokens);
        }
        Ok(Step::More)
    }

    fn is_whole(&self) -> bool {
        self.done || self.finish_reason.is_some()
    }

    fn end_reason(&self) -> Option<&str> {
        self.finish_reason.as_deref()
    }
}

/// The kind of an error that comes inside a stream: some servers give a status as `code`, others a type.
fn kind_of(error: &Value) -> FaultKind {
    let status = error.get("code").and_then(Value::as_u64).and_then(|code| u16::try_from(code).ok());
    let word = |name| error.get(name).and_then(Value::as_str).unwrap_or_default();
    FaultKind::of_status(match (status, word("type"), word("code")) {
        (Some(status @ 400..=599), ..) => status,
        (_, "rate_limit_error" | "tokens" | "requests", _) | (_, _, "rate_limit_exceeded") => 429,
        (_, _, "insufficient_quota") | (_, "insufficient_quota", _) => 402,
        (_, "overloaded_error", _) => 529,
        (_, "invalid_request_error", _) => 400,
        (_, "authentication_error", _) | (_, _, "invalid_api_key") => 401,
        _ => 500,
    })
}
