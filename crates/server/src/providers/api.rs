//! Lives in one process: what is known of the health of an outside service that has an HTTP API.
//!
//! Each request has a time to connect, to the beginning of the answer and between its parts; what may be said twice is tried
//! once more within a budget; and an API that keeps failing is left alone for a while. On several nodes each learns for
//! itself. Whether a request may have been acted on is said at each [`ApiFault`].

use std::sync::Arc;
use std::time::Duration;

use mainstay_domain::{Clock, Error, Result};
use mainstay_store::trace::{Step, StepKind};
use reqwest::{IntoUrl, Method, RequestBuilder, Response, StatusCode, Url};
use serde_json::Value;
use tokio::time::{sleep, timeout};

use super::breaker::{Breaker, Verdict};
use super::figures::Last;
use super::retry::{Budget, advice};
use super::{BreakerState, LastOutcome};
use crate::config;

/// How long an answer may pause once it has begun.
const IDLE: Duration = Duration::from_secs(5);
/// How long after a failure it is tried again.
const PAUSE: Duration = Duration::from_millis(250);
/// Attempts in all, for what may be said twice.
const ATTEMPTS: u32 = 2;
/// The most of a refusal that is kept, in characters.
const MOST_OF_A_REFUSAL: usize = 500;

/// Why a request has no answer that can be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ApiFault {
    /// It was not sent: the service keeps failing and is left alone for so long.
    LeftAlone(Duration),
    /// It was not sent: there was no connection.
    NotSent(String),
    /// The service had no time for it, and may have said when to come back. It has not acted on it.
    Busy(Option<Duration>),
    /// It may have been acted on: there was no whole answer, or the service failed.
    Unknown(String),
    /// The service has refused it: the status and the beginning of what it says.
    Refused(u16, String),
}

impl ApiFault {
    /// A stable word.
    pub(crate) const fn code(&self) -> &'static str {
        match self {
            Self::LeftAlone(_) => "left_alone",
            Self::NotSent(_) => "not_sent",
            Self::Busy(_) => "busy",
            Self::Unknown(_) => "failed",
            Self::Refused(..) => "refused",
        }
    }

    const fn verdict(&self) -> Verdict {
        match self {
            Self::Refused(..) | Self::Busy(_) => Verdict::Answered,
            Self::LeftAlone(_) | Self::NotSent(_) | Self::Unknown(_) => Verdict::Failed,
        }
    }
}

impl std::fmt::Display for ApiFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::LeftAlone(_) => f.write_str("it keeps failing and is left alone for a while"),
            Self::NotSent(inside) | Self::Unknown(inside) => f.write_str(inside),
            Self::Busy(_) => f.write_str("it asks to come back later"),
            // What it says may be what somebody wrote: it is for those who ask, and not for the log.
            Self::Refused(status, _) => write!(f, "status {status}"),
        }
    }
}

/// Whether a request may be made again when nobody knows what became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Saying {
    /// Said twice it means the same.
    Again,
    /// Each time counts.
    Once,
}

/// An answer, of whatever status.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    /// When the service says to come back.
    pub(crate) after: Option<Duration>,
    /// What it says, where that came whole.
    pub(crate) body: Result<Vec<u8>, ApiFault>,
}

impl Answer {
    /// Its JSON, where it is 2xx, as it means at most services: whoever promises JSON sends some.
    ///
    /// # Errors
    /// When it is of another status, or is no JSON.
    pub(crate) fn json(self) -> Result<Value, ApiFault> {
        let Self { status, after, body } = self;
        match status.as_u16() {
            200..=299 => serde_json::from_slice(&body?).map_err(|error| ApiFault::Unknown(format!("no JSON: {error}"))),
            429 => Err(ApiFault::Busy(after)),
            500..=599 => Err(ApiFault::Unknown(format!("status {status}"))),
            refused => {
                let body = body.unwrap_or_default();
                let beginning = String::from_utf8_lossy(&body).chars().take(MOST_OF_A_REFUSAL).collect();
                Err(ApiFault::Refused(refused, beginning))
            }
        }
    }
}

/// What is to be known of an outside service.
pub(crate) struct Service<'a> {
    /// What its breaker, its health and its figures are called.
    pub(crate) name: &'static str,
    /// The address that the paths of requests are behind.
    pub(crate) base: &'a str,
    /// How long an answer may take to begin.
    pub(crate) first_byte: Duration,
    /// The largest answer that is read, in bytes.
    pub(crate) largest: usize,
    /// Connections that are kept for further requests.
    pub(crate) connections: usize,
    /// What an answer means.
    pub(crate) meaning: fn(Answer) -> Result<Value, ApiFault>,
    /// Whether refusals are part of its use, and so tell nothing of how it does: its health does not name them.
    pub(crate) refuses_by_the_way: bool,
}

impl<'a> Service<'a> {
    /// As most are: it answers with JSON, and a refusal says that something is wrong.
    pub(crate) const fn new(name: &'static str, base: &'a str, first_byte: Duration, largest: usize) -> Self {
        Self { name, base, first_byte, largest, connections: 4, meaning: Answer::json, refuses_by_the_way: false }
    }
}

/// An outside service.
pub(crate) struct Api {
    name: &'static str,
    client: reqwest::Client,
    base: String,
    first_byte: Duration,
    largest: usize,
    meaning: fn(Answer) -> Result<Value, ApiFault>,
    refuses_by_the_way: bool,
    breaker: Breaker,
    retries: Budget,
    last: Last,
    clock: Arc<dyn Clock>,
}

impl Api {
    /// The client of a service.
    ///
    /// # Errors
    /// When the address cannot be read or the HTTP client cannot be made.
    pub(crate) fn new(service: &Service<'_>, shared: &config::Providers, clock: Arc<dyn Clock>) -> Result<Self> {
        let base = service.base.trim_end_matches('/').to_owned();
        let mut builder = reqwest::Client::builder()
            .connect_timeout(shared.connect_timeout())
            .pool_max_idle_per_host(service.connections)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .user_agent(concat!("mainstay/", env!("CARGO_PKG_VERSION")));
        let host = Url::parse(&base).map_err(Error::internal)?;
        if matches!(host.host_str(), Some("localhost" | "127.0.0.1" | "[::1]")) {
            builder = builder.no_proxy();
        }
        Ok(Self {
            name: service.name,
            client: builder.build().map_err(Error::internal)?,
            base,
            first_byte: service.first_byte,
            largest: service.largest,
            meaning: service.meaning,
            refuses_by_the_way: service.refuses_by_the_way,
            breaker: Breaker::new(service.name, shared.breaker_failures, shared.breaker_open()),
            retries: Budget::new(shared.retry_budget_percent),
            last: Last::default(),
            clock,
        })
    }

    /// What its breaker does with the next request, and what the last one came to.
    pub(crate) fn standing(&self) -> (BreakerState, Option<LastOutcome>) {
        (self.breaker.current(), self.last.get())
    }

    /// Whether a request would be made now; else how long the service is still left alone.
    pub(crate) fn ready(&self) -> Result<(), Duration> {
        self.breaker.look()
    }

    /// A request to a path, which begins with a slash.
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.request_to(method, format!("{}{path}", self.base))
    }

    /// A request to a whole address.
    pub(crate) fn request_to(&self, method: Method, url: impl IntoUrl) -> RequestBuilder {
        self.client.request(method, url)
    }

    /// Makes a request, once more when that may help, and reads its answer.
    ///
    /// # Errors
    /// When there is no answer of 2xx, or it is no JSON.
    pub(crate) async fn call(&self, mut request: RequestBuilder, saying: Saying) -> Result<Value, ApiFault> {
        self.retries.request();
        let mut tried = 0;
        loop {
            tried += 1;
            // What cannot be copied is sent once.
            let copy = if tried < ATTEMPTS { request.try_clone() } else { None };
            let outcome = self.guarded(request).await;
            let worthwhile = match &outcome {
                Err(ApiFault::NotSent(_)) => true,
                Err(ApiFault::Unknown(_)) => saying == Saying::Again,
                _ => false,
            };
            match copy.filter(|_| worthwhile && self.retries.spend()) {
                Some(copy) => request = copy,
                None => return outcome,
            }
            sleep(PAUSE).await;
        }
    }

    /// Makes a request a single time, whatever comes of it, and reads its answer.
    ///
    /// # Errors
    /// When there is no answer of 2xx, or it is no JSON.
    pub(crate) async fn once(&self, request: RequestBuilder) -> Result<Value, ApiFault> {
        self.retries.request();
        self.guarded(request).await
    }

    /// One attempt, by leave of the breaker.
    async fn guarded(&self, request: RequestBuilder) -> Result<Value, ApiFault> {
        let permit = self.breaker.admit().map_err(ApiFault::LeftAlone)?;
        let mut step = Step::begin(StepKind::Outgoing, self.name);
        let outcome = self.attempt(request).await;
        self.note(&mut step, permit, &outcome);
        outcome
    }

    fn note(&self, step: &mut Step, permit: super::breaker::Permit<'_>, outcome: &Result<Value, ApiFault>) {
        let fault = outcome.as_ref().err();
        if let Some(fault) = fault {
            step.fail(fault.code());
        }
        let told = fault.filter(|fault| !(self.refuses_by_the_way && matches!(fault, ApiFault::Refused(..))));
        self.last.record(told.map(ApiFault::code));
        permit.settle(fault.map_or(Verdict::Healthy, ApiFault::verdict));
    }

    async fn attempt(&self, request: RequestBuilder) -> Result<Value, ApiFault> {
        let response = match timeout(self.first_byte, request.send()).await {
            Err(_) => return Err(ApiFault::Unknown("no answer in time".to_owned())),
            Ok(Err(error)) if error.is_connect() || error.is_builder() => {
                return Err(ApiFault::NotSent(error.without_url().to_string()));
            }
            Ok(Err(error)) => return Err(ApiFault::Unknown(error.without_url().to_string())),
            Ok(Ok(response)) => response,
        };
        let status = response.status();
        let (after, _) = advice(response.headers(), self.clock.as_ref());
        (self.meaning)(Answer { status, after, body: self.read(response).await })
    }

    async fn read(&self, mut response: Response) -> Result<Vec<u8>, ApiFault> {
        let broken = |inside: String| Err(ApiFault::Unknown(inside));
        let mut body = Vec::new();
        loop {
            match timeout(IDLE, response.chunk()).await {
                Err(_) => return broken("the answer stood still".to_owned()),
                Ok(Err(error)) => return broken(format!("the answer broke off: {}", error.without_url())),
                Ok(Ok(None)) => return Ok(body),
                Ok(Ok(Some(chunk))) if body.len() + chunk.len() > self.largest => {
                    return broken("the answer is too large".to_owned());
                }
                Ok(Ok(Some(chunk))) => body.extend_from_slice(&chunk),
            }
        }
    }
}
