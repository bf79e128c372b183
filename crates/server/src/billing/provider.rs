//! FastSpring's API, which people change and cancel their plan by. Nothing here holds a transaction: what FastSpring did is
//! told by its events.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{AUTHORIZATION, HeaderValue};
use mainstay_domain::{Clock, Error, Kind, Result};
use reqwest::Method;
use serde_json::{Value, json};

use crate::config::{self, FastSpring};
use crate::providers::api::{Api, ApiFault, Saying, Service};
use crate::providers::{BreakerState, LastOutcome};

/// The largest answer that is read, in bytes.
const LARGEST: usize = 256 * 1024;

/// FastSpring's API (<https://developer.fastspring.com/reference>).
pub struct FastSpringApi {
    api: Api,
    authorisation: HeaderValue,
}

/// Who pays.
pub(super) enum Payer<'a> {
    /// Somebody with an account there.
    Account(&'a str),
    /// Somebody who gets one: their address, and what they are called.
    Contact(&'a str, &'a str),
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
        let service = Service::new("fastspring", &settings.api_url, settings.first_byte_timeout(), LARGEST);
        Ok(Some(Self { api: Api::new(&service, shared, clock)?, authorisation }))
    }

    /// What its breaker does with the next request, and what the last one came to.
    pub(crate) fn standing(&self) -> (BreakerState, Option<LastOutcome>) {
        self.api.standing()
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
        let mut request = self.api.request(method, path).header(AUTHORIZATION, &self.authorisation);
        if let Some(body) = body {
            request = request.json(body);
        }
        // Each call says how things shall be, so that saying it twice does no harm.
        self.api.call(request, Saying::Again).await.map_err(told)
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
        (Some(refused), _) => Err(told(ApiFault::Refused(200, refused["error"].to_string()))),
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

fn told(fault: ApiFault) -> Error {
    let inside = fault.to_string();
    match fault {
        ApiFault::NotSent(_) | ApiFault::Unknown(_) | ApiFault::Busy(None) => away(&inside),
        ApiFault::LeftAlone(after) | ApiFault::Busy(Some(after)) => away(&inside).retry_after(after),
        ApiFault::Refused(status, _) => {
            let detail = match status {
                401 | 403 => {
                    "The provider of billing refused this installation. Whoever runs it must check \
                     billing.fastspring.api_username and api_password."
                }
                _ => "The provider of billing refused the change. Nothing was changed here.",
            };
            Error::new(Kind::Upstream, "billing_provider_refused", detail).because(inside)
        }
    }
}
