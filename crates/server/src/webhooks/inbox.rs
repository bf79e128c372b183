//! The inbox of this node: whose an address is, whether a request is genuine, and taking its events in.
//!
//! Lives in one process. Whose an address is is remembered for five seconds, also that it is nobody's; a change is seen here
//! at once and on other nodes after that time. Why a sender was refused last is known to the node that refused it.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use http::HeaderMap;
use mainstay_domain::{Clock, Error, Ids, InboxEventId, InboxSourceId, Kind, Result, Secret, TenantId, Timestamp};
use mainstay_store::{Call, GetInboxSource, InboxSource, LookUpInboxKey, ReceiveEvent, Received, SealedColumn, Store};
use moka::sync::Cache;
use tokio::sync::{Semaphore, SemaphorePermit};
use uuid::Uuid;

use super::figures::InboxFigures;
use super::processors::Processors;
use super::scheme::{self, Prover};
use super::signature::{FastSpring, Incoming, Refused, Scheme, Secrets};
use super::sources::{self, InboundEvent, Source};
use super::work;
use crate::config::Config;
use crate::controls::{Controls, Part};
use crate::keys::{Keys, Place};

/// For how long it is remembered whose an address is.
const KNOWN_FOR: Duration = Duration::from_secs(5);
/// The most addresses that are remembered.
const MOST_KNOWN: u64 = 20_000;
/// The most addresses that are looked up at once: a flood of made-up ones takes no more of the database than that.
const MOST_LOOKUPS: usize = 16;
/// The most bytes of bodies that wait to be stored, in KiB. Further ones are told to come again.
const MOST_WAITING_KIB: usize = 128 * 1024;
/// The most requests of one sender that wait to be stored.
const MOST_WAITING_OF_ONE: usize = 4_000;
/// For how long it is known why a sender was refused, and of how many senders.
const REFUSALS_LAST: Duration = Duration::from_secs(24 * 3600);
const MOST_REFUSALS: u64 = 10_000;
/// When to come back.
const SOON: Duration = Duration::from_secs(2);
/// The characters of a key.
const KEY_LENGTH: usize = 32;

/// A sender, as requests are held against it.
#[derive(Debug)]
pub(super) struct KnownSource {
    pub(super) tenant: TenantId,
    pub(super) id: InboxSourceId,
    pub(super) provider: Source,
    pub(super) prover: Prover,
    pub(super) disabled: bool,
    waiting: Semaphore,
}

/// Why a sender was refused last.
#[derive(Clone, Debug)]
pub struct LastRefusal {
    /// A stable code.
    pub code: &'static str,
    /// What to look at.
    pub detail: String,
    /// When.
    pub at: Timestamp,
}

/// An event of a request that was taken in.
pub(super) struct Taken {
    pub(super) identity: String,
    pub(super) kind: String,
    /// What it says, where somebody waits for an answer to it.
    pub(super) question: Option<Arc<str>>,
    pub(super) received: mainstay_store::Result<Received>,
}

/// The inbox. One for the process.
pub struct Inbox {
    store: Store,
    keys: Arc<Keys>,
    controls: Arc<Controls>,
    clock: Arc<dyn Clock>,
    ids: Ids,
    figures: InboxFigures,
    processors: Processors,
    known: Cache<Box<str>, Option<Arc<KnownSource>>>,
    lookups: Semaphore,
    waiting: Semaphore,
    refusals: Cache<InboxSourceId, Arc<LastRefusal>>,
    installation: Option<Arc<KnownSource>>,
    address: String,
}

impl std::fmt::Debug for Inbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Inbox")
    }
}

impl Inbox {
    /// The inbox of these settings.
    ///
    /// # Errors
    /// When a secret of the installation cannot be used.
    pub fn new(
        config: &Config,
        (store, keys, controls): (Store, Arc<Keys>, Arc<Controls>),
        (clock, ids): (Arc<dyn Clock>, Ids),
        processors: Processors,
        figures: InboxFigures,
    ) -> Result<Self> {
        let secrets = config.billing.fastspring.secrets();
        let installation = if secrets.is_empty() {
            None
        } else {
            let secrets = Secrets::text(&secrets);
            let secrets = secrets
                .map_err(|bad| Error::invalid_field("billing.fastspring.webhook_secrets", bad.code(), bad.detail()))?;
            Some(Arc::new(KnownSource {
                tenant: TenantId(Uuid::nil()),
                id: InboxSourceId(Uuid::nil()),
                provider: Source::FastSpring,
                prover: Prover::Scheme(Scheme::FastSpring(FastSpring { secrets })),
                disabled: false,
                waiting: Semaphore::new(MOST_WAITING_OF_ONE),
            }))
        };
        Ok(Self {
            store,
            keys,
            controls,
            clock,
            ids,
            figures,
            processors,
            known: Cache::builder().max_capacity(MOST_KNOWN).time_to_live(KNOWN_FOR).build(),
            lookups: Semaphore::new(MOST_LOOKUPS),
            waiting: Semaphore::new(MOST_WAITING_KIB),
            refusals: Cache::builder().max_capacity(MOST_REFUSALS).time_to_live(REFUSALS_LAST).build(),
            installation,
            address: config.http.public_address(config.http.port),
        })
    }

    /// Who processes events, and who answers.
    #[must_use]
    pub fn processors(&self) -> &Processors {
        &self.processors
    }

    /// The address of a sender's webhook.
    #[must_use]
    pub fn url(&self, provider: &str, key: &str) -> String {
        format!("{}/hooks/{provider}/{key}", self.address)
    }

    /// Why a sender was refused last, by this node.
    #[must_use]
    pub fn last_refusal(&self, source: InboxSourceId) -> Option<Arc<LastRefusal>> {
        self.refusals.get(&source)
    }

    /// A sender has changed: what is known of its address is read again.
    pub(super) fn forget(&self, key: &str) {
        self.known.invalidate(key);
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The installation's own sender, where it is set up.
    pub(super) fn installation(&self) -> Result<Arc<KnownSource>> {
        self.installation.clone().ok_or_else(nobody)
    }

    /// Whose an address is.
    pub(super) async fn source(&self, call: &Call, provider: &str, key: &str) -> Result<Arc<KnownSource>> {
        let well_formed = key.len() == KEY_LENGTH && key.bytes().all(|byte| byte.is_ascii_hexdigit());
        let provider = provider.parse::<Source>().ok().filter(|_| well_formed).ok_or_else(nobody)?;
        let known = match self.known.get(key) {
            Some(known) => known,
            None => self.look_up(call, key).await?,
        };
        let source = known.filter(|source| source.provider == provider).ok_or_else(nobody)?;
        Ok(source)
    }

    async fn look_up(&self, call: &Call, key: &str) -> Result<Option<Arc<KnownSource>>> {
        let Ok(_turn) = self.lookups.acquire().await else { return Err(Error::internal("the lookups are closed")) };
        // Somebody else may have asked meanwhile.
        if let Some(known) = self.known.get(key) {
            return Ok(known);
        }
        let found = match self.store.run(call, LookUpInboxKey(key.to_owned())).await? {
            None => None,
            Some((tenant, id)) => {
                let stored = self.store.run(call, GetInboxSource { tenant, id }).await?;
                stored.map(|stored| self.known(tenant, &stored)).transpose()?.map(Arc::new)
            }
        };
        self.known.insert(key.into(), found.clone());
        Ok(found)
    }

    fn known(&self, tenant: TenantId, stored: &mainstay_store::InboxSource) -> Result<KnownSource> {
        let provider: Source = stored.provider.parse().map_err(Error::internal)?;
        let (settings, secrets) = scheme::read(&self.keys.open(place(tenant, stored.id), &stored.scheme)?)?;
        Ok(KnownSource {
            tenant,
            id: stored.id,
            provider,
            prover: Prover::new(provider, &settings, &secrets)?,
            disabled: stored.disabled_at.is_some(),
            waiting: Semaphore::new(MOST_WAITING_OF_ONE),
        })
    }

    /// The address as the sender was given it, with what stood behind it in the request.
    pub(super) fn signed_url(&self, path_and_query: &str) -> String {
        format!("{}{path_and_query}", self.address)
    }

    /// Checks who made a request, and reads its events.
    pub(super) fn read(&self, source: &KnownSource, incoming: &Incoming<'_>) -> Result<Vec<InboundEvent>, Error> {
        if let Err(refused) = source.prover.verify(incoming) {
            self.refuse(source, refused.code(), refused.detail());
            return Err(unauthenticated(&refused));
        }
        sources::events(source.provider, incoming.headers, incoming.body).map_err(|unreadable| {
            self.refuse(source, unreadable.code(), unreadable.detail());
            Error::new(Kind::Invalid, unreadable.code(), unreadable.detail())
        })
    }

    fn refuse(&self, source: &KnownSource, code: &'static str, detail: String) {
        self.figures.count(source.provider, code);
        self.refusals.insert(source.id, Arc::new(LastRefusal { code, detail, at: self.now() }));
    }

    /// An access token for a sender that shows its secret.
    pub(super) fn grant(
        &self,
        source: &KnownSource,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Result<(mainstay_domain::Secret, Duration)> {
        source.prover.grant(headers, body, self.now()).ok_or_else(|| {
            let detail = "Send grant_type=client_credentials and the secret of this webhook as client_secret.";
            self.refuse(source, "invalid_client", detail.to_owned());
            Error::new(Kind::Unauthenticated, "invalid_client", detail)
        })
    }

    /// Stores events. They wait together, and each is answered for itself.
    pub(super) async fn take(
        &self,
        call: &Call,
        source: &KnownSource,
        events: Vec<InboundEvent>,
        bytes: usize,
    ) -> Result<Vec<Taken>> {
        let _room = self.room(source, bytes)?;
        let now = self.now();
        // What waits together shares its statements: they are counted for the first.
        let uncounted = Call::until(call.deadline());
        let call_of = |place| if place == 0 { call } else { &uncounted };
        let takes = events.into_iter().enumerate();
        let takes = takes.map(|(place, event)| self.take_one(call_of(place), source, event, now));
        let taken: Vec<Taken> = join_all(takes).await.into_iter().collect::<Result<_>>()?;
        for one in &taken {
            let outcome = match &one.received {
                Ok(received) if received.duplicate => "duplicate",
                Ok(_) => "stored",
                Err(_) => "failed",
            };
            self.figures.count(source.provider, outcome);
        }
        Ok(taken)
    }

    /// A place for a body among those that wait.
    fn room<'a>(&'a self, source: &'a KnownSource, bytes: usize) -> Result<(SemaphorePermit<'a>, SemaphorePermit<'a>)> {
        let kib = u32::try_from(bytes.div_ceil(1024).max(1)).unwrap_or(u32::MAX);
        let room = source.waiting.try_acquire().and_then(|one| Ok((one, self.waiting.try_acquire_many(kib)?)));
        room.map_err(|_| {
            self.figures.count(source.provider, "overloaded");
            let detail = "More webhooks are waiting than can be taken. Send it again in a moment.";
            Error::new(Kind::Unavailable, "overloaded", detail).retry_after(SOON)
        })
    }

    async fn take_one(&self, call: &Call, source: &KnownSource, event: InboundEvent, now: Timestamp) -> Result<Taken> {
        let InboundEvent { identity, kind, version, payload } = event;
        let payload: Box<str> = payload.into();
        let id: InboxEventId = self.ids.make();
        let arrived = work::Arrived { tenant: source.tenant, id, kind: &kind, payload: &payload };
        let held = self.controls.off_until(Part::Webhooks).is_some();
        let processing = work::processing(&self.processors, source.provider, &arrived, (now, held))?;
        let question = sources::needs_answer(source.provider, &kind).then(|| Arc::from(&*payload));
        let receive = ReceiveEvent {
            id,
            tenant: source.tenant,
            source: source.id,
            provider: source.provider.as_str(),
            identity: identity.clone(),
            kind: kind.clone(),
            version,
            payload,
            processing,
            now,
        };
        let received = self.store.receive_event(call, receive).await;
        Ok(Taken { identity, kind, question, received })
    }

    /// A request has been taken in and can be answered.
    pub(super) fn acknowledged(&self, source: &KnownSource, took: Duration) {
        self.figures.acknowledged(source.provider, took);
    }
}

/// Where the scheme of a sender is sealed.
pub(super) fn place(tenant: TenantId, id: InboxSourceId) -> Place {
    Place { column: SealedColumn::InboxScheme, tenant, row: id.uuid() }
}

/// The secrets of a sender, the newest first.
///
/// # Errors
/// When they cannot be opened here.
pub(crate) fn secrets(keys: &Keys, tenant: TenantId, source: &InboxSource) -> Result<Vec<Secret>> {
    let plain = keys.open(place(tenant, source.id), &source.scheme)?;
    Ok(scheme::read(&plain)?.1)
}

fn nobody() -> Error {
    Error::not_found("webhook")
}

/// The caller learns the code; what to look at is for the log and for whoever set the webhook up.
fn unauthenticated(refused: &Refused) -> Error {
    let detail = "This request is not from the sender that the webhook was set up for, or it is too old.";
    Error::new(Kind::Unauthenticated, refused.code(), detail).because(refused.detail())
}
