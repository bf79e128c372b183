//! The providers in their order: the next one is asked when the one before cannot answer, and goes on when the one before
//! broke off in the middle of its text.

use std::fmt;
use std::sync::Arc;

use mainstay_domain::{Clock, Entropy, Error};
use tokio::time::Instant;

use super::link::{Link, Parts};
use super::openai::OpenAi;
use super::retry::Backoff;
use super::{Completion, Fault, FaultKind, Figures, Outlet, Price, ReplyRequest, anthropic, offline, openai};
use crate::config;

/// The model providers of this process.
pub struct Providers {
    links: Vec<Link>,
}

impl Providers {
    /// The providers of the configuration, each with its own HTTP client.
    ///
    /// An empty order means those that are configured, Anthropic first: one with a key, or an OpenAI-compatible server
    /// at an address of its own. When none is, the offline responder answers. The TLS provider of the process must be
    /// installed before.
    ///
    /// # Errors
    /// `invalid_input` when the order names a provider twice or one that there is not, when a named one has no key, or
    /// when an address or a key is not well formed.
    pub fn new(config: &config::Providers, clock: Arc<dyn Clock>, entropy: Arc<dyn Entropy>) -> Result<Self, Error> {
        Self::with_backoff(config, clock, entropy, Backoff::default())
    }

    pub(super) fn with_backoff(
        config: &config::Providers,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        backoff: Backoff,
    ) -> Result<Self, Error> {
        let parts = Parts { config, clock, entropy, backoff };
        let order = order(config);
        let mut links: Vec<Link> = Vec::with_capacity(order.len());
        for name in order {
            if links.iter().any(|link| link.name() == name) {
                let detail = format!("\"{name}\" is named twice");
                return Err(Error::invalid_field("providers.order", "duplicate", detail));
            }
            let Some(link) = Link::new(name, &parts) else {
                let detail = format!("there is no provider \"{name}\"; there are anthropic, openai and offline");
                return Err(Error::invalid_field("providers.order", "unknown", detail));
            };
            links.push(link?);
        }
        Ok(Self { links })
    }

    /// One answer of the providers, the first that can give it; what is asked for is in the outlet then.
    pub(super) async fn round(
        &self,
        request: &ReplyRequest,
        deadline: Instant,
        outlet: &mut Outlet<'_>,
    ) -> Result<Completion, Fault> {
        let mut faults = Vec::new();
        let mut links = self.links.iter();
        let mut next = links.next();
        while let Some(link) = next {
            let sent = outlet.said();
            let alone = !links.as_slice().iter().any(|link| sent == 0 || link.is_model());
            let fault = match link.reply(request, deadline, alone, outlet).await {
                Ok(completion) => return Ok(completion),
                Err(fault) => fault,
            };
            let has_text = outlet.said() > 0;
            if has_text && sent == 0 {
                // Why the text broke off matters more than why somebody before could not begin.
                faults.clear();
            }
            next = links.find(|link| !has_text || link.is_model()).filter(|_| Instant::now() < deadline);
            if let Some(next) = next {
                let does = if has_text { "asking the next provider to go on" } else { "asking the next provider" };
                tracing::warn!(provider = link.name(), %fault, next = next.name(), "{does}");
            }
            faults.push(fault);
        }
        Err(Fault::of_all(faults).unwrap_or_else(|| Fault::new("none", FaultKind::Unreachable)))
    }

    /// The highest price among them: what a reply costs at most for each token, whoever makes it.
    #[must_use]
    pub fn highest_price(&self) -> Price {
        self.links.iter().map(Link::price).fold(Price::default(), Price::max)
    }

    /// The providers in their order.
    #[must_use]
    pub fn names(&self) -> Vec<&'static str> {
        self.links.iter().map(Link::name).collect()
    }

    /// What each provider did and does, in their order.
    #[must_use]
    pub fn figures(&self) -> Vec<Figures> {
        self.links.iter().map(Link::figures).collect()
    }
}

impl fmt::Debug for Providers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Providers").field(&self.names()).finish()
    }
}

fn order(config: &config::Providers) -> Vec<&str> {
    if !config.order.is_empty() {
        return config.order.iter().map(String::as_str).collect();
    }
    let mut order = Vec::new();
    if !config.anthropic.api_key.expose().trim().is_empty() {
        order.push(anthropic::NAME);
    }
    if OpenAi::is_configured(&config.openai) {
        order.push(openai::NAME);
    }
    if order.is_empty() {
        order.push(offline::NAME);
    }
    order
}
