//! One streamed exchange with a provider over HTTP: the timers, the errors and the reading, whatever the protocol says.

use std::sync::Arc;
use std::time::Duration;

use eventsource_stream::Event;
use http::{HeaderName, HeaderValue};
use mainstay_domain::{Clock, Error, Kind, Secret};
use reqwest::{RequestBuilder, Response, Url};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, timeout, timeout_at};

use super::fault::{Failure, Fault, FaultKind};
use super::retry;
use super::sse::{Broken, Events};
use super::timer::Timer;
use super::{Completion, Outlet, Price, ReplyRequest, estimated_input_tokens};
use crate::config;

/// The most of an error's body that is read, in bytes.
const MAX_ERROR_BYTES: usize = 64 * 1024;
/// How long the body of an error may take: its status says enough.
const ERROR_BODY_TIME: Duration = Duration::from_secs(2);
/// How long the end of the body may take, so that the connection can be used again.
const DRAIN_TIME: Duration = Duration::from_millis(50);
/// Connections that are kept for further requests.
const IDLE_CONNECTIONS: usize = 50;

/// Whether a stream has more to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    More,
    Done,
}

/// What is wrong with an event.
#[derive(Debug)]
pub(super) enum Trouble {
    /// It is not what the protocol says.
    Garbage(String),
    /// It is an error of the provider, inside a stream that had begun well.
    Reported(FaultKind, String),
}

/// Reads the events of one protocol.
pub(super) trait Reader: Send {
    /// Takes one event and passes on its text.
    fn event(&mut self, event: &Event, outlet: &mut Outlet<'_>) -> Result<Step, Trouble>;

    /// True when the text is whole, even if the stream should end here.
    fn is_whole(&self) -> bool;

    /// Why the text ended, in the protocol's word.
    fn end_reason(&self) -> Option<&str>;
}

/// The reasons that stand for a limit of length, in either protocol.
const LIMIT_REASONS: [&str; 3] = ["max_tokens", "model_context_window_exceeded", "length"];

/// A server that speaks one of the protocols.
pub(super) struct Exchange {
    pub(super) name: &'static str,
    pub(super) model: String,
    pub(super) price: Price,
    pub(super) url: Url,
    client: reqwest::Client,
    key: Secret,
    /// The header that carries the key; none without a key.
    key_header: Option<(HeaderName, HeaderValue)>,
    key_variable: &'static str,
    clock: Arc<dyn Clock>,
}

/// Where a provider is and how it is spoken to.
pub(super) struct Place<'a> {
    pub(super) name: &'static str,
    pub(super) model: &'a str,
    pub(super) price: Price,
    pub(super) base_url: &'a str,
    /// What is added to the base: `v1/messages`.
    pub(super) path: &'a str,
    pub(super) key: &'a Secret,
    /// The header that carries the key, and what stands before the key in it.
    pub(super) key_header: (HeaderName, &'static str),
    /// The environment variable that sets the key.
    pub(super) key_variable: &'static str,
}

impl Exchange {
    pub(super) fn new(place: &Place<'_>, config: &config::Providers, clock: Arc<dyn Clock>) -> Result<Self, Error> {
        let url = endpoint(place)?;
        let client = client(&url, Duration::from_millis(config.connect_timeout_ms))?;
        let key = place.key.expose().trim();
        let (name, before) = &place.key_header;
        let key_header = match key {
            "" => None,
            key => Some((name.clone(), secret_header(place.name, &format!("{before}{key}"))?)),
        };
        Ok(Self {
            name: place.name,
            model: place.model.to_owned(),
            price: place.price,
            client,
            url,
            key: Secret::new(key.to_owned()),
            key_header,
            key_variable: place.key_variable,
            clock,
        })
    }

    /// Whether there is a key.
    pub(super) fn has_key(&self) -> bool {
        self.key_header.is_some()
    }

    /// A request with this body and the key.
    pub(super) fn post(&self, body: &impl Serialize) -> RequestBuilder {
        let call = self.client.post(self.url.clone()).json(body);
        match &self.key_header {
            Some((name, key)) => call.header(name, key),
            None => call,
        }
    }

    /// Sends the request and waits for a status that promises a stream.
    pub(super) async fn open(&self, call: RequestBuilder, timer: &Timer) -> Result<Response, Failure> {
        let response = match timer.hold(call.send()).await {
            Err(kind) => return Err(self.fault(kind, "").into()),
            Ok(Err(error)) => return Err(self.transport_fault(error).into()),
            Ok(Ok(response)) => response,
        };
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status().as_u16();
        let (retry_after, should_retry) = retry::advice(response.headers(), self.clock.as_ref());
        let body = beginning_of(response, timer.deadline()).await;
        let fault = self.status_fault(status, &body).retry_after(retry_after);
        Err(Failure { fault, should_retry })
    }

    /// The reply that an accepted request brings.
    pub(super) async fn complete(
        &self,
        request: &ReplyRequest,
        response: Response,
        timer: Timer,
        reader: &mut dyn Reader,
        outlet: &mut Outlet<'_>,
    ) -> Result<Completion, Failure> {
        outlet.accepted(self.name, &self.model, self.price, estimated_input_tokens(request));
        let before = outlet.sent();
        self.read(response, timer, reader, outlet).await?;
        let reason = reader.end_reason();
        // After tools a model may have nothing to add.
        let is_empty = outlet.sent() == before && !outlet.wants_tools() && request.rounds.is_empty();
        if is_empty && !outlet.is_full() {
            return Err(self.fault(FaultKind::Empty, &format!("end reason {reason:?}")).into());
        }
        Ok(outlet.completion(reason.is_some_and(|reason| LIMIT_REASONS.contains(&reason))))
    }

    /// Reads the stream to its end and passes its text on.
    async fn read(
        &self,
        response: Response,
        mut timer: Timer,
        reader: &mut dyn Reader,
        outlet: &mut Outlet<'_>,
    ) -> Result<(), Failure> {
        let content_type = response.headers().get(http::header::CONTENT_TYPE).cloned();
        let mut events = Events::new(response.bytes_stream());
        let mut understood = false;
        loop {
            let next = match timer.hold(events.next()).await {
                Ok(next) => next,
                Err(_) if reader.is_whole() => return Ok(()),
                Err(kind) => return Err(self.fault(kind, "").into()),
            };
            let event = match next {
                Some(Ok(event)) => event,
                _ if reader.is_whole() => return Ok(()),
                None if understood => return Err(self.fault(FaultKind::Cut, "the stream ended early").into()),
                None => {
                    let inside = format!("no event in a body of type {content_type:?}");
                    return Err(self.fault(FaultKind::Garbage, &inside).into());
                }
                Some(Err(broken)) => return Err(self.broken_fault(broken).into()),
            };
            let before = outlet.progress();
            match reader.event(&event, outlet) {
                Ok(Step::Done) => break,
                Ok(Step::More) => understood = true,
                Err(Trouble::Reported(kind, words)) => return Err(self.reported_fault(kind, &words).into()),
                Err(Trouble::Garbage(_)) if reader.is_whole() => return Ok(()),
                Err(Trouble::Garbage(_)) if understood && events.ended() => {
                    return Err(self.fault(FaultKind::Cut, "the stream ended in the middle of an event").into());
                }
                Err(Trouble::Garbage(words)) => return Err(self.fault(FaultKind::Garbage, &words).into()),
            }
            if outlet.progress() > before {
                timer.text_came();
            }
            if reader.is_whole() {
                timer.text_is_whole();
            }
            if outlet.is_full() {
                return Ok(());
            }
        }
        let _ = timeout(DRAIN_TIME, async { while let Some(Ok(_)) = events.next().await {} }).await;
        Ok(())
    }

    /// A fault, with the key taken out of the words for the log.
    pub(super) fn fault(&self, kind: FaultKind, inside: &str) -> Fault {
        let inside = if self.key.is_empty() { inside.to_owned() } else { inside.replace(self.key.expose(), "***") };
        Fault::new(self.name, kind).because(&inside)
    }

    fn status_fault(&self, status: u16, body: &str) -> Fault {
        match (FaultKind::of_status(status), ErrorBody::read(body)) {
            // OpenAI says 429 when the account is empty, which no waiting mends.
            (FaultKind::RateLimited, Some(error)) if error.kind == "insufficient_quota" => {
                self.reported_fault(FaultKind::Refused { status: 402 }, &format!("status {status}: {}", error.kind))
            }
            // Some servers repeat the key, or most of it, when they refuse it: only the type is kept.
            (FaultKind::Unauthorised, error) => self.reported_fault(
                FaultKind::Unauthorised,
                &format!("status {status}: {}", error.map(|error| known(&error.kind)).unwrap_or_default()),
            ),
            // What it says beside the type may be what somebody wrote: servers quote what they refuse.
            (kind, Some(error)) => self.reported_fault(kind, &format!("status {status}: {}", known(&error.kind))),
            (kind, None) => self.reported_fault(kind, &format!("status {status}")),
        }
    }

    /// A fault that the provider reports, with what the operator can do about it.
    fn reported_fault(&self, kind: FaultKind, words: &str) -> Fault {
        let mut fault = self.fault(kind, words);
        let (name, variable, model) = (self.name, self.key_variable, &self.model);
        match kind {
            FaultKind::Unauthorised if self.key.is_empty() => {
                fault.detail = format!("The model provider {name} asks for a key: set {variable}.");
            }
            FaultKind::Unauthorised => {
                fault.detail = format!("The key of provider {name} was refused: set {variable}.");
            }
            FaultKind::Refused { status: 402 } => {
                fault.detail = format!("The account at the model provider {name} has no credit left.");
            }
            FaultKind::Refused { status: 404 } => {
                fault.detail = format!(
                    "The model provider {name} does not know the model {model} or the address: \
                     check providers.{name}.model and providers.{name}.base_url."
                );
            }
            FaultKind::Refused { status: 413 } => {
                fault.detail = format!("The conversation is too long for the model provider {name}.");
            }
            _ => {}
        }
        fault
    }

    fn transport_fault(&self, error: reqwest::Error) -> Fault {
        let kind = match (error.is_connect(), error.is_timeout()) {
            (true, true) => FaultKind::ConnectTimeout,
            (true, false) => FaultKind::Unreachable,
            (false, _) => FaultKind::Cut,
        };
        self.fault(kind, &chain_of(&error.without_url()))
    }

    fn broken_fault(&self, broken: Broken<reqwest::Error>) -> Fault {
        match broken {
            Broken::Transport(error) => self.fault(FaultKind::Cut, &chain_of(&error.without_url())),
            Broken::TooLarge => self.fault(FaultKind::Garbage, "an event is larger than 1 MiB"),
            Broken::NotText => self.fault(FaultKind::Garbage, "the stream is not UTF-8"),
        }
    }
}

/// An error with all its causes: the outermost one says little.
fn chain_of(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// The beginning of an error's body, as text.
async fn beginning_of(mut response: Response, deadline: Instant) -> String {
    let mut body = Vec::new();
    let until = deadline.min(Instant::now() + ERROR_BODY_TIME);
    while let Ok(Ok(Some(chunk))) = timeout_at(until, response.chunk()).await {
        let room = MAX_ERROR_BYTES - body.len();
        body.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if body.len() == MAX_ERROR_BYTES {
            break;
        }
    }
    String::from_utf8_lossy(&body).into_owned()
}

/// What both protocols say in `error`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ErrorBody {
    #[serde(rename = "type", deserialize_with = "text_or_nothing")]
    pub(super) kind: String,
}

impl ErrorBody {
    fn read(body: &str) -> Option<Self> {
        #[derive(Deserialize)]
        struct Envelope {
            error: ErrorBody,
        }
        serde_json::from_str::<Envelope>(body).ok().map(|envelope| envelope.error)
    }
}

/// The types of errors that providers have, as their documentation lists them.
const TYPES: [&str; 14] = [
    "api_error",
    "authentication_error",
    "billing_error",
    "insufficient_quota",
    "invalid_request_error",
    "not_found_error",
    "overloaded_error",
    "permission_error",
    "rate_limit_error",
    "request_too_large",
    "requests",
    "server_error",
    "timeout_error",
    "tokens",
];

/// A type of error, as the log may have it: a server of somebody's own may put anything there.
pub(super) fn known(kind: &str) -> &'static str {
    TYPES.into_iter().find(|known| *known == kind).unwrap_or("an error of another type")
}

/// Where an event cannot be read. What stands there is somebody's text.
pub(super) fn unreadable(error: &serde_json::Error) -> Trouble {
    Trouble::Garbage(format!("{:?} error at line {}, column {}", error.classify(), error.line(), error.column()))
}

fn text_or_nothing<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Ok(match serde_json::Value::deserialize(deserializer)? {
        serde_json::Value::String(text) => text,
        _ => String::new(),
    })
}

/// A key as a header that does not print.
fn secret_header(provider: &str, value: &str) -> Result<HeaderValue, Error> {
    let mut header = HeaderValue::from_str(value).map_err(|_| {
        let detail = "the key has characters that no header may have: copy it again";
        Error::invalid_field(&format!("providers.{provider}.api_key"), "not_a_key", detail)
    })?;
    header.set_sensitive(true);
    Ok(header)
}

/// The address of the route. A base that already ends in the version does not get it twice.
fn endpoint(place: &Place<'_>) -> Result<Url, Error> {
    let field = format!("providers.{}.base_url", place.name);
    let base = place.base_url.trim().trim_end_matches('/');
    let path = match place.path.strip_prefix("v1/") {
        Some(rest) if base.ends_with("/v1") => rest,
        _ => place.path,
    };
    let url = Url::parse(&format!("{base}/{path}"))
        .map_err(|error| Error::invalid_field(&field, "not_a_url", format!("this is not a URL: {error}")))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err(Error::invalid_field(&field, "not_http", "the URL must begin with http:// or https://"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Error::invalid_field(&field, "has_credentials", "put the key in api_key, not in the URL"));
    }
    Ok(url)
}

/// The client of one provider. It follows no redirect, which could carry the key elsewhere.
fn client(url: &Url, connect_timeout: Duration) -> Result<reqwest::Client, Error> {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        return Err(Error::internal("the TLS provider must be installed before the model providers are made"));
    }
    let mut builder = reqwest::Client::builder()
        .connect_timeout(connect_timeout)
        .pool_max_idle_per_host(IDLE_CONNECTIONS)
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .user_agent(concat!("mainstay/", env!("CARGO_PKG_VERSION")));
    if matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]")) {
        builder = builder.no_proxy();
    }
    builder.build().map_err(|error| {
        Error::new(Kind::Internal, "internal", "The HTTP client of a model provider could not be made.").because(error)
    })
}
