//! Text messages: what somebody is told of their appointment, by way of a provider (Twilio).
//!
//! A message is promised by the transaction that makes, moves or cancels an appointment, and is there once for each reason.
//! How one is sent is in [`work`]: no transaction is open while the provider takes its time, and where nobody knows whether
//! it has a message, it is asked before anything is sent again. `docs/texts.md` tells users of it.

pub mod api;
mod figures;
mod hear;
pub mod link;
mod service;
mod twilio;
mod wording;
mod work;

use std::sync::Arc;
use std::time::Duration;

use mainstay_domain::{Clock, Entropy, Result, TextMessageId};
use mainstay_jobs::{Job, Queue};
use mainstay_store::{QueueLimits, Store, TEXT_KIND, TEXT_LOOK_KIND, TEXTS};
use prometheus_client::registry::Registry;
use serde::{Deserialize, Serialize};

use crate::accounts::keys::SigningKey;
use crate::app::Outside;
use crate::config::Config;

use figures::TextFigures;
pub use link::Links;
use twilio::TwilioApi;

pub(crate) use hear::{RECEIVED, STATUS, heard, received};
pub(crate) use work::{look, send};

/// How many messages of one organisation are sent at once, over all nodes.
const PER_ORGANISATION: u32 = 4;

/// A message is sent.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SendText {
    text: TextMessageId,
}

impl Job for SendText {
    const KIND: &'static str = TEXT_KIND;
    const QUEUE: &'static str = TEXTS;
}

/// The provider is asked what became of a message.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LookAtText {
    text: TextMessageId,
}

impl Job for LookAtText {
    const KIND: &'static str = TEXT_LOOK_KIND;
    const QUEUE: &'static str = TEXTS;
}

/// The queue of text messages.
#[must_use]
pub fn queue(config: &Config) -> Queue {
    let limits = QueueLimits { running_per_group: Some(PER_ORGANISATION), ..QueueLimits::default() };
    Queue { name: TEXTS, slots: config.texts.slots, limits, oldest: config.jobs.oldest() }
}

/// The text messages of every organisation, as this node sees them.
pub struct Texts {
    store: Store,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    twilio: TwilioApi,
    links: Links,
    /// The longest wait while the provider cannot be reached.
    longest_wait: Duration,
    /// When what is not in the provider's list was not taken.
    not_taken_after: Duration,
    /// Whether the provider can reach this server with its callbacks.
    reachable: bool,
    figures: TextFigures,
}

impl Texts {
    /// Makes it ready.
    ///
    /// # Errors
    /// When the client for the provider cannot be made.
    pub fn new(
        config: &Config,
        (store, key): (Store, &SigningKey),
        Outside { clock, entropy, .. }: &Outside,
        registry: &mut Registry,
    ) -> Result<Self> {
        let address = config.http.public_address(config.http.port);
        Ok(Self {
            store,
            clock: Arc::clone(clock),
            entropy: Arc::clone(entropy),
            twilio: TwilioApi::new(&config.texts, &config.providers, Arc::clone(clock))?,
            longest_wait: config.texts.longest_wait(),
            not_taken_after: config.texts.not_taken_after(),
            reachable: address.starts_with("https://"),
            links: Links::new(key, &address),
            figures: TextFigures::register(registry),
        })
    }

    /// The links to appointments.
    #[must_use]
    pub const fn links(&self) -> &Links {
        &self.links
    }

    /// The provider, for its health.
    pub(crate) const fn provider(&self) -> &TwilioApi {
        &self.twilio
    }
}
