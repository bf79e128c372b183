//! Any server that speaks OpenAI's chat completions, streamed (platform.openai.com/docs/api-reference/chat-streaming):
//! OpenAI itself, Ollama, vLLM, llama.cpp and many others, which differ in what they leave out.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use eventsource_stream::Event;
use http::header::AUTHORIZATION;
use mainstay_domain::{Clock, Error};
use reqwest::{RequestBuilder, Response};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::exchange::{Exchange, Place, Reader, Step, Trouble};
use super::fault::{Failure, FaultKind};
use super::timer::{Limits, Timer};
use super::{Completion, Outlet, Picture, Price, ReplyRequest, Turn, alternating};
use crate::config;

/// The name in the configuration.
pub(super) const NAME: &str = "openai";
const KEY_VARIABLE: &str = "OPENAI_API_KEY";
const OPENAI_HOST: &str = "api.openai.com";

/// What is known of a server's view of `stream_options`, which asks it to count tokens and which some refuse.
const OPTIONS_UNTRIED: u8 = 0;
const OPTIONS_TAKEN: u8 = 1;
const OPTIONS_REFUSED: u8 = 2;

/// The provider.
pub(super) struct OpenAi {
    exchange: Exchange,
    is_openai: bool,
    stream_options: AtomicU8,
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
        Ok(Self { exchange, is_openai, stream_options: AtomicU8::new(OPTIONS_UNTRIED) })
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

    /// Sends the request; once more without `stream_options` to a server that may not know it.
    async fn open(&self, request: &ReplyRequest, timer: &Timer) -> Result<Response, Failure> {
        let turns = alternating(&request.turns);
        let known = self.stream_options.load(Ordering::Relaxed);
        if known == OPTIONS_REFUSED {
            return self.exchange.open(self.call(request, &turns, false), timer).await;
        }
        let failure = match self.exchange.open(self.call(request, &turns, true), timer).await {
            Ok(response) => {
                self.stream_options.store(OPTIONS_TAKEN, Ordering::Relaxed);
                return Ok(response);
            }
            Err(failure) => failure,
        };
        let refused = matches!(failure.fault.kind, FaultKind::Refused { status: 400 | 422 });
        if !refused || self.is_openai || known == OPTIONS_TAKEN {
            return Err(failure);
        }
        let response = self.exchange.open(self.call(request, &turns, false), timer).await?;
        self.stream_options.store(OPTIONS_REFUSED, Ordering::Relaxed);
        Ok(response)
    }

    fn call(&self, request: &ReplyRequest, turns: &[Turn], with_options: bool) -> RequestBuilder {
        let instructions = request.instructions();
        let system =
            (!instructions.is_empty()).then_some(Said { role: "system", content: Content::Words(&instructions) });
        let turns = turns.iter().map(Said::of);
        let limit = request.max_output_tokens;
        let body = Body {
            model: &self.exchange.model,
            messages: system.into_iter().chain(turns).collect(),
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

#[derive(Serialize)]
struct Said<'a> {
    role: &'static str,
    content: Content<'a>,
}

/// Words alone, or parts.
#[derive(Serialize)]
#[serde(untagged)]
enum Content<'a> {
    Words(&'a str),
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
    fn of(turn: &'a Turn) -> Self {
        let role = turn.role.as_str();
        if turn.pictures.is_empty() {
            return Self { role, content: Content::Words(&turn.content) };
        }
        let image = |picture: &Picture| Part::ImageUrl { image_url: ImageUrl { url: picture.data_url() } };
        let mut parts: Vec<Part<'a>> = turn.pictures.iter().map(image).collect();
        parts.extend((!turn.content.trim().is_empty()).then_some(Part::Text { text: &turn.content }));
        Self { role, content: Content::Parts(parts) }
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
        let chunk: Chunk = serde_json::from_str(data).map_err(|error| Trouble::Garbage(error.to_string()))?;
        if let Some(error) = chunk.error.filter(|error| !error.is_null()) {
            return Err(Trouble::Reported(kind_of(&error), format!("in the stream: {error}")));
        }
        for choice in chunk.choices {
            if let Some(text) = choice.delta.and_then(|delta| delta.content) {
                outlet.send(&text);
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
