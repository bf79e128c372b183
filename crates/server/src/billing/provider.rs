//! Lives in one process: what is known of the health of FastSpring's API, which people change and cancel their plan by.
//!
//! Each call has a time to connect, to the beginning of the answer and between its parts; what fails is tried once more
//! within a budget; and an API that keeps failing is left alone for a while. On several nodes each learns for itself.
//! Nothing here holds a transaction: what FastSpring did is told by its events.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{AUTHORIZATION, HeaderValue};
use mainstay_domain::{Clock, Error, Kind, Result};
use mainstay_store::trace::{Step, StepKind};
use reqwest::{Method, Response, Url};
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use crate::config::{self, FastSpring};
use crate::providers::breaker::{Breaker, Verdict};
use crate::providers::retry::{Budget, advice};
use crate::providers::{BreakerState, Last, LastOutcome};

/// How long an answer may pause once it has begun.
const IDLE: Duration = Duration::from_secs(5);
/// The largest answer that is read, in bytes.
const LARGEST: usize = 256 * 1024;
/// How long after a failure it is tried again.
const PAUSE: Duration = Duration::from_millis(250);
/// Attempts in all.
const ATTEMPTS: u32 = 2;
/// Connections that are kept for further requests.
const IDLE_CONNECTIONS: usize = 4;

/// FastSpring's API (<https://developer.fastspring.com/reference>).
pub struct FastSpringApi {
    client: reqwest::Client,
    base: String,
    authorisation: HeaderValue,
    first_byte: Duration,
    breaker: Breaker,
    retries: Budget,
    last: Last,
    clock: Arc<dyn Clock>,
}

/// Who pays.
pub(super) enum Payer<'a> {
    /// Somebody with an account there.
    Account(&'a str),
    /// Somebody who gets one: their address, and what they are called.
    Contact(&'a str, &'a str),
}

/// Why an attempt failed.
enum Fault {
    /// The network or the server; trying again may help.
    Passing(String),
    /// It asks to come back later.
    Busy(Option<Duration>),
    /// It refused the request.
    Refused(u16, String),
}

impl Fault {
    const fn code(&self) -> &'static str {
        match self {
            Self::Passing(_) => "failed",
            Self::Busy(_) => "busy",
            Self::Refused(..) => "refused",
        }
    }
}

impl FastSpringApi {
    /// The API, if there are credentials for it.
    ///
    /// # Errors
    /// When the HTTP client cannot be made.
    pub fn new(settings: &FastSpring, shared: &config::Providers, clock: Arc<dyn Clock>) -> Result<Option<Self>> {
        if !settings.has_api() {
            return Ok(None);
        }
        let pair = format!("{}:{}", settings.api_username, settings.api_password.expose());
        let encoded = STANDARD.encode(pair);
        let mut authorisation = HeaderValue::from_str(&format!("Basic {encoded}")).map_err(Error::internal)?;
        authorisation.set_sensitive(true);
        let base = settings.api_url.trim_end_matches('/').to_owned();
        let mut builder = reqwest::Client::builder()
            .connect_timeout(shared.connect_timeout())
            .pool_max_idle_per_host(IDLE_CONNECTIONS)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .user_agent(concat!("mainstay/", env!("CARGO_PKG_VERSION")));
        let host = Url::parse(&base).map_err(Error::internal)?;
        if matches!(host.host_str(), Some("localhost" | "127.0.0.1" | "[::1]")) {
            builder = builder.no_proxy();
        }
        Ok(Some(Self {
            client: builder.build().map_err(Error::internal)?,
            base,
            authorisation,
            first_byte: settings.first_byte_timeout(),
            breaker: Breaker::new("fastspring", shared.breaker_failures, shared.breaker_open()),
            retries: Budget::new(shared.retry_budget_percent),
            last: Last::default(),
            clock,
        }))
    }

    /// What its breaker does with the next request, and what the last one came to.
    pub(crate) fn standing(&self) -> (BreakerState, Option<LastOutcome>) {
        (self.breaker.current(), self.last.get())
    }

    /// Prepares an order of a product that carries a reference. The answer is the id of its session.
    pub(super) async fn open_session(&self, payer: Payer<'_>, product: &str, tags: Value) -> Result<String> {
        let mut body = json!({ "items": [{ "product": product, "quantity": 1 }], "tags": tags });
        match payer {
            Payer::Account(account) => body["account"] = json!(account),
            Payer::Contact(email, name) => {
                // A name is asked for in two parts, and people may have none here.
                let name = if name.trim().is_empty() { email } else { name.trim() };
                let (first, last) = name.split_once(' ').unwrap_or((name, name));
                body["contact"] = json!({ "email": email, "first": first, "last": last });
            }
        }
        let answer = self.call(Method::POST, "/sessions", Some(&body)).await?;
        let id = answer["id"].as_str().filter(|id| !id.is_empty() && id.bytes().all(is_id_byte));
        id.map(str::to_owned).ok_or_else(|| garbled("a session without an id"))
    }

    /// Changes what is subscribed to; what was paid ahead is counted against the new price.
    pub(super) async fn change_product(&self, subscription: &str, product: &str) -> Result<()> {
        self.update(json!({ "subscription": subscription, "product": product, "prorate": true })).await
    }

    /// Takes a cancellation back.
    pub(super) async fn keep(&self, subscription: &str) -> Result<()> {
        self.update(json!({ "subscription": subscription, "deactivation": null })).await
    }

    async fn update(&self, subscription: Value) -> Result<()> {
        let body = json!({ "subscriptions": [subscription] });
        accepted(&self.call(Method::POST, "/subscriptions", Some(&body)).await?)
    }

    /// Cancels at the end of the period.
    pub(super) async fn cancel(&self, subscription: &str) -> Result<()> {
        if !subscription.bytes().all(is_id_byte) {
            return Err(garbled("a subscription whose id fits into no address"));
        }
        accepted(&self.call(Method::DELETE, &format!("/subscriptions/{subscription}"), None).await?)
    }

    async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value> {
        self.retries.request();
        let mut tried = 0;
        loop {
            let permit = self.breaker.admit().map_err(|wait| away("it keeps failing").retry_after(wait))?;
            tried += 1;
            let mut step = Step::begin(StepKind::Outgoing, "fastspring");
            let outcome = self.attempt(method.clone(), path, body).await;
            if let Err(fault) = &outcome {
                step.fail(fault.code());
            }
            drop(step);
            self.last.record(outcome.as_ref().err().map(Fault::code));
            permit.settle(match &outcome {
                Ok(_) => Verdict::Healthy,
                Err(Fault::Refused(..) | Fault::Busy(_)) => Verdict::Answered,
                Err(Fault::Passing(_)) => Verdict::Failed,
            });
            match outcome {
                Ok(answer) => return Ok(answer),
                // Each call says how things shall be, so that saying it twice does no harm.
                Err(Fault::Passing(_)) if tried < ATTEMPTS && self.retries.spend() => sleep(PAUSE).await,
                Err(fault) => return Err(fault.into()),
            }
        }
    }

    async fn attempt(&self, method: Method, path: &str, body: Option<&Value>) -> std::result::Result<Value, Fault> {
        let mut request = self.client.request(method, format!("{}{path}", self.base));
        request = request.header(AUTHORIZATION, &self.authorisation);
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = match timeout(self.first_byte, request.send()).await {
            Err(_) => return Err(Fault::Passing("no answer in time".to_owned())),
            Ok(Err(error)) => return Err(Fault::Passing(error.without_url().to_string())),
            Ok(Ok(response)) => response,
        };
        let status = response.status();
        let (after, _) = advice(response.headers(), self.clock.as_ref());
        let text = read(response).await?;
        match status.as_u16() {
            200..=299 => serde_json::from_slice(&text).map_err(|error| Fault::Passing(format!("no JSON: {error}"))),
            429 => Err(Fault::Busy(after)),
            500..=599 => Err(Fault::Passing(format!("status {status}"))),
            refused => Err(Fault::Refused(refused, String::from_utf8_lossy(&text).chars().take(500).collect())),
        }
    }
}

async fn read(mut response: Response) -> std::result::Result<Vec<u8>, Fault> {
    let mut body = Vec::new();
    loop {
        match timeout(IDLE, response.chunk()).await {
            Err(_) => return Err(Fault::Passing("the answer stood still".to_owned())),
            Ok(Err(error)) => return Err(Fault::Passing(format!("the answer broke off: {}", error.without_url()))),
            Ok(Ok(None)) => return Ok(body),
            Ok(Ok(Some(chunk))) if body.len() + chunk.len() > LARGEST => {
                return Err(Fault::Passing("the answer is too large".to_owned()));
            }
            Ok(Ok(Some(chunk))) => body.extend_from_slice(&chunk),
        }
    }
}

const fn is_id_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
}

/// Whether the change was made: FastSpring also says so inside an answer of 200.
fn accepted(answer: &Value) -> Result<()> {
    let results = answer["subscriptions"].as_array();
    let refused = results.and_then(|results| results.iter().find(|one| one["result"] == "error"));
    match (refused, results) {
        (Some(refused), _) => Err(Fault::Refused(200, refused["error"].to_string()).into()),
        (None, Some(results)) if !results.is_empty() => Ok(()),
        (None, _) => Err(garbled("no subscription in the answer")),
    }
}

const DETAIL: &str =
    "The provider of billing cannot be asked just now. Nothing was changed here; try again in a moment.";

fn away(inside: &str) -> Error {
    Error::new(Kind::Unavailable, "billing_provider_away", DETAIL).because(inside.to_owned())
}

fn garbled(inside: &str) -> Error {
    let detail =
        "The provider of billing gave an answer that cannot be used. Look at the plan again before you repeat this.";
    Error::new(Kind::Upstream, "billing_provider_failed", detail).because(inside.to_owned())
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Passing(inside) => away(&inside),
            Fault::Busy(after) => {
                let error = away("it asks to come back later");
                match after {
                    Some(after) => error.retry_after(after),
                    None => error,
                }
            }
            Fault::Refused(status, body) => {
                let detail = match status {
                    401 | 403 => {
                        "The provider of billing refused this installation. Whoever runs it must check \
                         billing.fastspring.api_username and api_password."
                    }
                    _ => "The provider of billing refused the change. Nothing was changed here.",
                };
                Self::new(Kind::Upstream, "billing_provider_refused", detail)
                    .because(format!("status {status}: {body}"))
            }
        }
    }
}
