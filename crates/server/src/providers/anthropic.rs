//! The Anthropic Messages API, streamed (platform.claude.com/docs/en/api/messages-streaming).

use std::sync::Arc;

use eventsource_stream::Event;
use http::HeaderName;
use mainstay_domain::{Clock, Error, MessageRole};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::exchange::{ErrorBody, Exchange, Place, Reader, Step, Trouble, known, unreadable};
use super::fault::{Failure, FaultKind};
use super::timer::{Limits, Timer};
use super::{Completion, Outlet, Picture, Price, ReplyRequest, Round, ToolDefinition, Turn, alternating};
use crate::config;

/// The name in the configuration.
pub(super) const NAME: &str = "anthropic";
const KEY_VARIABLE: &str = "ANTHROPIC_API_KEY";
const KEY_HEADER: HeaderName = HeaderName::from_static("x-api-key");
const VERSION: &str = "2023-06-01";

/// The provider.
pub(super) struct Anthropic {
    exchange: Exchange,
}

impl Anthropic {
    /// The provider of this configuration, which must have a key.
    pub(super) fn new(config: &config::Providers, clock: Arc<dyn Clock>) -> Result<Self, Error> {
        let settings = &config.anthropic;
        let place = Place {
            name: NAME,
            model: &settings.model,
            price: settings.price(),
            base_url: &settings.base_url,
            path: "v1/messages",
            key: &settings.api_key,
            key_header: (KEY_HEADER, ""),
            key_variable: KEY_VARIABLE,
        };
        let exchange = Exchange::new(&place, config, clock)?;
        if !exchange.has_key() {
            let detail = format!("anthropic needs a key: set {KEY_VARIABLE}");
            return Err(Error::invalid_field("providers.anthropic.api_key", "missing", detail));
        }
        Ok(Self { exchange })
    }

    pub(super) fn price(&self) -> Price {
        self.exchange.price
    }

    pub(super) fn model(&self) -> &str {
        &self.exchange.model
    }

    /// One attempt.
    pub(super) async fn reply(
        &self,
        request: &ReplyRequest,
        limits: Limits,
        outlet: &mut Outlet<'_>,
    ) -> Result<Completion, Failure> {
        let timer = Timer::start(limits);
        let turns = alternating(&request.turns);
        let instructions = request.instructions();
        let body = Body {
            model: &self.exchange.model,
            max_tokens: request.max_output_tokens,
            system: (!instructions.is_empty()).then_some(&instructions),
            messages: turns
                .iter()
                .map(Said::of)
                .chain(request.rounds.iter().enumerate().flat_map(|(number, round)| Said::of_round(number, round)))
                .chain(request.go_on.iter().map(Said::of))
                .collect(),
            tools: request.tools.as_ref().map(|tools| tools.0.definitions().iter().map(Offered::of).collect()),
            tool_choice: (request.tools.is_some() && !request.may_use()).then_some(Choice { kind: "none" }),
            stream: true,
        };
        let call = self.exchange.post(&body).header("anthropic-version", VERSION);
        let response = self.exchange.open(call, &timer).await?;
        self.exchange.complete(request, response, timer, &mut Answer::default(), outlet).await
    }
}

#[derive(Serialize)]
struct Body<'a> {
    model: &'a str,
    max_tokens: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    system: Option<&'a String>,
    messages: Vec<Said<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tools: Option<Vec<Offered<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_choice: Option<Choice>,
    stream: bool,
}

/// A tool that may be used.
#[derive(Serialize)]
struct Offered<'a> {
    name: &'static str,
    description: &'static str,
    input_schema: &'a Value,
}

impl<'a> Offered<'a> {
    fn of(tool: &'a ToolDefinition) -> Self {
        Self { name: tool.name, description: tool.description, input_schema: &tool.parameters }
    }
}

#[derive(Serialize)]
struct Choice {
    #[serde(rename = "type")]
    kind: &'static str,
}

#[derive(Serialize)]
struct Said<'a> {
    role: &'static str,
    content: Content<'a>,
}

/// Words alone, or blocks.
#[derive(Serialize)]
#[serde(untagged)]
enum Content<'a> {
    Words(&'a str),
    Blocks(Vec<Part<'a>>),
}

/// A block of what is sent.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Part<'a> {
    Image { source: Source<'a> },
    Text { text: &'a str },
    ToolUse { id: String, name: &'a str, input: Map<String, Value> },
    ToolResult { tool_use_id: String, content: String, is_error: bool },
}

#[derive(Serialize)]
struct Source<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    media_type: &'static str,
    data: &'a str,
}

impl<'a> Said<'a> {
    fn of(turn: &'a Turn) -> Self {
        let role = turn.role.as_str();
        if turn.pictures.is_empty() {
            return Self { role, content: Content::Words(&turn.content) };
        }
        let image = |picture: &'a Picture| Part::Image {
            source: Source { kind: "base64", media_type: picture.media_type(), data: picture.base64() },
        };
        // Pictures first: models read them better so.
        let mut blocks: Vec<Part<'a>> = turn.pictures.iter().map(image).collect();
        blocks.extend((!turn.content.trim().is_empty()).then_some(Part::Text { text: &turn.content }));
        Self { role, content: Content::Blocks(blocks) }
    }

    /// A round before: what the model wanted, and what came of it.
    fn of_round(number: usize, round: &'a Round) -> [Self; 2] {
        let id = |index| Round::id(number, index);
        let text = (!round.text.is_empty()).then_some(Part::Text { text: &round.text });
        let uses = round.uses.iter().enumerate();
        let wanted = uses.clone().map(|(index, (asked, _))| Part::ToolUse {
            id: id(index),
            name: &asked.name,
            input: asked.given(),
        });
        let wanted = text.into_iter().chain(wanted).collect();
        let told = uses.map(|(index, (_, answer))| Part::ToolResult {
            tool_use_id: id(index),
            content: answer.told(),
            is_error: !answer.done,
        });
        let said = |role: MessageRole, blocks| Self { role: role.as_str(), content: Content::Blocks(blocks) };
        [said(MessageRole::Assistant, wanted), said(MessageRole::User, told.collect())]
    }
}

/// What a stream says, as far as it matters here. New kinds of events and blocks appear over time and are passed over.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum StreamEvent {
    MessageStart {
        message: Opening,
    },
    ContentBlockStart {
        index: Option<u64>,
        content_block: Block,
    },
    ContentBlockDelta {
        index: Option<u64>,
        delta: Delta,
    },
    MessageDelta {
        delta: Closing,
        usage: Option<Counted>,
    },
    MessageStop,
    Error {
        error: ErrorBody,
    },
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
struct Opening {
    usage: Option<Counted>,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Block {
    Text {
        #[serde(default)]
        text: String,
    },
    ToolUse {
        #[serde(default)]
        id: String,
        #[serde(default)]
        name: String,
        /// Empty, and in pieces after it; some servers give it at once.
        #[serde(default)]
        input: Map<String, Value>,
    },
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Delta {
    #[serde(rename = "text_delta")]
    Text { text: String },
    #[serde(rename = "input_json_delta")]
    InputJson { partial_json: String },
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
struct Closing {
    stop_reason: Option<String>,
}

#[derive(Deserialize)]
struct Counted {
    input_tokens: Option<u32>,
    cache_creation_input_tokens: Option<u32>,
    cache_read_input_tokens: Option<u32>,
    output_tokens: Option<u32>,
}

impl Counted {
    /// Everything that was read, from the cache or not. None when the event does not speak of input.
    fn input(&self) -> Option<u32> {
        let cached =
            self.cache_creation_input_tokens.unwrap_or(0).saturating_add(self.cache_read_input_tokens.unwrap_or(0));
        Some(self.input_tokens?.saturating_add(cached))
    }
}

/// What has been read of one answer.
#[derive(Default)]
struct Answer {
    stop_reason: Option<String>,
    stopped: bool,
}

impl Reader for Answer {
    fn event(&mut self, event: &Event, outlet: &mut Outlet<'_>) -> Result<Step, Trouble> {
        let said = serde_json::from_str(&event.data).map_err(|error| unreadable(&error))?;
        match said {
            // Its count of output is of what was made before the text began, and says nothing of a text that is cut.
            StreamEvent::MessageStart { message } => {
                outlet.count(message.usage.as_ref().and_then(Counted::input), None);
            }
            StreamEvent::ContentBlockStart { content_block: Block::Text { text }, .. }
            | StreamEvent::ContentBlockDelta { delta: Delta::Text { text }, .. } => outlet.send(&text),
            StreamEvent::ContentBlockStart { index, content_block: Block::ToolUse { id, name, input } } => {
                outlet.use_begins(index, &id, &name, input);
            }
            StreamEvent::ContentBlockDelta { index, delta: Delta::InputJson { partial_json } } => {
                outlet.use_grows(index, &partial_json);
            }
            StreamEvent::MessageDelta { delta, usage } => {
                let usage = usage.as_ref();
                outlet.count(usage.and_then(Counted::input), usage.and_then(|usage| usage.output_tokens));
                self.stop_reason = delta.stop_reason.or(self.stop_reason.take());
            }
            StreamEvent::MessageStop => {
                self.stopped = true;
                return Ok(Step::Done);
            }
            StreamEvent::Error { error } => {
                let words = format!("in the stream: {}", known(&error.kind));
                return Err(Trouble::Reported(kind_of(&error.kind), words));
            }
            StreamEvent::ContentBlockStart { content_block: Block::Other, .. }
            | StreamEvent::ContentBlockDelta { delta: Delta::Other, .. }
            | StreamEvent::Other => {}
        }
        Ok(Step::More)
    }

    /// A reason to stop comes after all of the text: what is lost behind it is nothing that was said.
    fn is_whole(&self) -> bool {
        self.stopped || self.stop_reason.is_some()
    }

    fn end_reason(&self) -> Option<&str> {
        self.stop_reason.as_deref()
    }
}

/// The kind of an error that comes inside a stream, by the status that it would have had outside
/// (platform.claude.com/docs/en/api/errors).
fn kind_of(error_type: &str) -> FaultKind {
    FaultKind::of_status(match error_type {
        "invalid_request_error" => 400,
        "authentication_error" => 401,
        "billing_error" => 402,
        "permission_error" => 403,
        "not_found_error" => 404,
        "request_too_large" => 413,
        "rate_limit_error" => 429,
        "timeout_error" => 504,
        "overloaded_error" => 529,
        _ => 500,
    })
}
