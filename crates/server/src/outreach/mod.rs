//! Outreach: campaigns that write to leads by email, through accounts of the organisation.
//!
//! An account is worked on by one job at a time ([`run`]). It claims what it may send now, and each email goes through the
//! same steps ([`sending`]): it is written ([`compose`]), offered to the account's server, said to be in flight, handed over,
//! and what the server said is stored together with all that follows. No transaction is open while a server takes its time.
//! Where nobody knows whether a server has an email, it is shown as unknown and never sent again by itself.
//! `docs/outreach.md` tells users of it.

mod accounts;
pub mod api;
pub(crate) mod auditing;
mod clearing;
mod compose;
mod converting;
mod exporting;
mod figures;
mod gmail;
mod hearing;
mod importing;
pub mod leaving;
mod line;
mod mailboxes;
mod readiness;
mod run;
mod sending;
mod service;
pub mod tracking;
mod trying;

use std::sync::Arc;

use ipnet::IpNet;
use mainstay_domain::{CampaignId, Clock, EmailId, Entropy, Ids, Result, SendingAccountId, TenantId, Timestamp};
use mainstay_jobs::{Job, Queue};
use mainstay_mail::dns::Resolver;
use mainstay_store::{
    ACCOUNT_KIND, ACCOUNT_WAKE_KIND, CLEAR_KIND, MAILBOX_KIND, MAILBOXES, OUTREACH, QueueLimits, Store,
};
use moka::sync::Cache;
use prometheus_client::registry::Registry;
use rustls::ClientConfig;
use serde::{Deserialize, Serialize};

use crate::accounts::keys::{Purpose, SigningKey};
use crate::accounts::signed::SignedLinks;
use crate::app::Outside;
use crate::config::{self, Config};
use crate::google::GoogleApi;
use crate::keys::Keys;
use crate::outgoing::{Lookup, Rules};

use compose::Text;
use exporting::Exports;
use figures::OutreachFigures;
use tracking::TrackingLinks;

pub(crate) use clearing::clear;
pub(crate) use hearing::read;
pub(crate) use run::{run, wake};

/// How many texts of campaigns are kept in memory. One is at most some hundred KiB.
const MOST_TEXTS: u64 = 200;

/// An account is worked on.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct WorkAccount {
    account: SendingAccountId,
}

impl Job for WorkAccount {
    const KIND: &'static str = ACCOUNT_KIND;
    const QUEUE: &'static str = OUTREACH;
    const MOST_ATTEMPTS: u32 = u32::MAX;
    /// The last email of a run may wait for a server for a quarter of an hour.
    const DEADLINE: std::time::Duration = std::time::Duration::from_secs(25 * 60);
}

/// The job of an account is brought forward.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct WakeAccount {
    account: SendingAccountId,
}

impl Job for WakeAccount {
    const KIND: &'static str = ACCOUNT_WAKE_KIND;
    const QUEUE: &'static str = OUTREACH;
}

/// A mailbox is read.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ReadMailbox {
    account: SendingAccountId,
    made_at: Timestamp,
}

impl Job for ReadMailbox {
    const KIND: &'static str = MAILBOX_KIND;
    const QUEUE: &'static str = MAILBOXES;
    const MOST_ATTEMPTS: u32 = u32::MAX;
    /// One command of a slow server may take minutes.
    const DEADLINE: std::time::Duration = std::time::Duration::from_secs(15 * 60);
}

/// What a campaign that was stopped has left is cleared.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ClearLeft {
    campaign: CampaignId,
}

impl Job for ClearLeft {
    const KIND: &'static str = CLEAR_KIND;
    const QUEUE: &'static str = OUTREACH;
}

/// The queue of accounts that have something to send.
#[must_use]
pub fn queue(config: &Config) -> Queue {
    Queue { name: OUTREACH, slots: config.outreach.slots, limits: QueueLimits::default(), oldest: config.jobs.oldest() }
}

/// The queue of mailboxes that are read.
#[must_use]
pub fn mailboxes_queue(config: &Config) -> Queue {
    let slots = config.outreach.mailbox_slots;
    Queue { name: MAILBOXES, slots, limits: QueueLimits::default(), oldest: config.jobs.oldest() }
}

/// The campaigns of every organisation, as this node sees them.
pub struct Outreach {
    store: Store,
    keys: Arc<Keys>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    ids: Ids,
    lookup: Arc<dyn Lookup>,
    rules: Rules,
    tls: Arc<ClientConfig>,
    /// What asks name servers about the domains of senders.
    resolver: Resolver,
    settings: config::Outreach,
    /// By what name mail servers are greeted.
    hello: String,
    /// The host of the public address.
    host: Option<String>,
    /// By which somebody says that they want no more mail.
    links: SignedLinks<16>,
    /// By which it is noted what readers do.
    tracking: TrackingLinks,
    /// Where machines ask from that look into mail.
    machine_ranges: Vec<IpNet>,
    /// The Gmail API, where it is set up.
    gmail: Option<GoogleApi>,
    /// Where people reach this server.
    address: String,
    /// Texts never change under their id.
    texts: Cache<uuid::Uuid, Arc<Text>>,
    /// The tables that are being made.
    exports: Exports,
    figures: OutreachFigures,
}

/// What asks the name servers that are set, or those of the system.
fn resolver(settings: &config::Outreach, entropy: &Arc<dyn Entropy>) -> Resolver {
    let set = settings.name_servers();
    if !set.is_empty() {
        return Resolver::new(set, Arc::clone(entropy));
    }
    Resolver::system(Arc::clone(entropy)).unwrap_or_else(|error| {
        tracing::warn!(%error, "the name servers of this system are not known: set outreach.name_servers");
        Resolver::new(Vec::new(), Arc::clone(entropy))
    })
}

impl Outreach {
    /// Makes it ready.
    ///
    /// # Errors
    /// When TLS or the HTTP client cannot be set up.
    pub fn new(
        config: &Config,
        (store, keys, key): (&Store, &Arc<Keys>, &SigningKey),
        (outside, ids): (&Outside, &Ids),
        registry: &mut Registry,
    ) -> Result<Self> {
        let address = config.http.public_address(config.http.port);
        let host = url::Url::parse(&address).ok().and_then(|url| url.host_str().map(str::to_owned));
        let hello = match config.outreach.hello.as_str() {
            "" => host.clone().unwrap_or_else(|| "localhost".to_owned()),
            hello => hello.to_owned(),
        };
        let rules = Rules { allow_http: false, allowed: config.outreach.private_networks(), refused: Vec::new() };
        Ok(Self {
            store: store.clone(),
            keys: Arc::clone(keys),
            clock: Arc::clone(&outside.clock),
            entropy: Arc::clone(&outside.entropy),
            ids: ids.clone(),
            lookup: Arc::clone(&outside.lookup),
            rules,
            tls: line::tls()?,
            resolver: resolver(&config.outreach, &outside.entropy),
            settings: config.outreach.clone(),
            hello,
            host,
            links: SignedLinks::new(key, Purpose::UnsubscribeLink, format!("{address}/u/")),
            tracking: TrackingLinks::new(key, &address),
            machine_ranges: config.outreach.machine_ranges(),
            gmail: gmail::api(config, Arc::clone(&outside.clock))?,
            address,
            texts: Cache::new(MOST_TEXTS),
            exports: Exports::default(),
            figures: OutreachFigures::register(registry),
        })
    }

    /// The address of the image of an email, by which it is noted that it was opened.
    #[must_use]
    pub fn image_link(&self, tenant: TenantId, email: EmailId) -> String {
        self.tracking.image(tenant, email)
    }

    /// The link by which whoever got an email says that they want no more.
    #[must_use]
    pub fn leaving_link(&self, tenant: TenantId, email: EmailId) -> String {
        self.links.of(tenant, email.uuid())
    }
}
