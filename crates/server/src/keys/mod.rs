//! Secrets at rest: sealed before the store sees them, opened after it has given them out.
//!
//! The keys are files of a folder or a setting, never in the database ([`keyring`]); the database knows their numbers, which
//! one seals, and which are needed. A sealed text is bound to its organisation, table, column and row ([`envelope`]).
//! `docs/operations/keys.md` tells operators of it.
//!
//! Lives in one process: the keys that this node has, and which of them seals, as it was read last (`keys.poll_ms`). Another
//! node may seal with a newer one already; what it sealed opens here as soon as the key is here, which `mainstay keys rotate`
//! waits for.

pub(crate) mod derive;
mod envelope;
mod figures;
mod health;
mod keyring;
mod objections;
mod rotation;
pub(crate) mod service;
mod start;
mod watch;

use std::path::Path;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use mainstay_domain::{Clock, Entropy, Error, KeyState, KeyVersion, Kind, Result, Sealed, Secret, TenantId};
use mainstay_store::{Call, ListKeys, MakeKeyKnown, Store, StoredKey};
use prometheus_client::registry::Registry;
use uuid::Uuid;

use crate::app::Outside;
use crate::config::Config;

pub use envelope::Place;
pub(crate) use health::check;
pub use keyring::check_ring;
pub(crate) use objections::ObjectionKey;
pub(crate) use rotation::rotate;
pub(crate) use watch::start;

use figures::KeyFigures;
use keyring::{Keyring, Source};

/// How long one step on the database may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// When to come back for a secret whose key is missing.
const MISSING_FOR: Duration = Duration::from_secs(30);

/// What is known of keys at one moment.
struct Known {
    /// Those that this process has, each the one that the database knows under its number.
    keyring: Keyring,
    /// Those that the database knows.
    stored: Vec<StoredKey>,
    /// The one that seals here.
    sealing: Option<KeyVersion>,
    /// Keys that are here and are not those that the database knows.
    wrong: Vec<KeyVersion>,
    /// Keys that were taken away while something may need them: they are here until this process ends.
    taken_away: Vec<KeyVersion>,
}

impl Known {
    fn new(mut keyring: Keyring, stored: Vec<StoredKey>, before: &Keyring) -> Self {
        // A folder that is away for a moment, or a file that was deleted too early, ends nothing.
        let mut taken_away = Vec::new();
        for key in stored.iter().filter(|key| key.state.is_needed() && !keyring.contains_key(&key.version)) {
            taken_away.extend(before.contains_key(&key.version).then_some(key.version));
        }
        let kept = taken_away.iter().filter_map(|version| Some((*version, Arc::clone(before.get(version)?))));
        keyring.extend(kept.collect::<Vec<_>>());
        let of = |version: &KeyVersion| stored.iter().find(|key| key.version == *version);
        let (good, bad): (Keyring, Keyring) =
            keyring.into_iter().partition(|(version, held)| of(version).is_none_or(|key| key.check == held.check));
        // Where the one that seals elsewhere is not here yet, the one before it goes on for that time.
        let newest = |state| {
            let mut here = stored.iter().rev().filter(|key| good.contains_key(&key.version));
            here.find(|key| key.state == state).map(|key| key.version)
        };
        let sealing = newest(KeyState::Active).or_else(|| newest(KeyState::Retiring));
        Self { sealing, keyring: good, stored, wrong: bad.into_keys().collect(), taken_away }
    }

    /// The key that seals, as the database says.
    fn active(&self) -> Option<&StoredKey> {
        self.stored.iter().find(|key| key.state == KeyState::Active)
    }

    /// Keys that something may be sealed under and that are not here.
    fn missing(&self) -> Vec<KeyVersion> {
        let missing =
            self.stored.iter().filter(|key| key.state.is_needed() && !self.keyring.contains_key(&key.version));
        missing.map(|key| key.version).collect()
    }
}

/// Why a secret does not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenFault {
    /// It was never sealed: an older release has written it since this one started.
    #[error("a secret is not sealed; an older release has written it. Run `mainstay keys rotate`")]
    NotSealed,
    /// Its key is not here.
    #[error(
        "a secret is sealed under key {0}, which this node has not got. Give it the key, as docs/operations/keys.md says"
    )]
    Missing(KeyVersion),
    /// It was changed, or belongs elsewhere.
    #[error("a secret under key {0} does not open in its place: it was changed, or moved there from another row")]
    Refused(KeyVersion),
}

impl OpenFault {
    /// A stable word.
    const fn reason(self) -> &'static str {
        match self {
            Self::NotSealed => "not_sealed",
            Self::Missing(_) => "key_missing",
            Self::Refused(_) => "refused",
        }
    }
}

impl From<OpenFault> for Error {
    fn from(fault: OpenFault) -> Self {
        let detail =
            "A secret that this needs cannot be opened here now. Whoever runs the server finds the reason in its log.";
        let error = Error::new(Kind::Unavailable, "secret_not_opened", detail).because(fault);
        error.retry_after(MISSING_FOR)
    }
}

/// Seals and opens. One for the process.
pub struct Keys {
    store: Store,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    source: Source,
    poll: Duration,
    /// How long after a key was replaced nobody writes with it any more: a request that had sealed is over by then.
    settle: Duration,
    /// What this process is called among those that have keys.
    holder: String,
    known: RwLock<Arc<Known>>,
    /// What makes the digests of whoever was erased.
    objections: OnceLock<ObjectionKey>,
    figures: KeyFigures,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keys")
    }
}

impl Keys {
    /// What is needed to seal and open, without a look at the keys.
    pub(crate) fn new(config: &Config, store: &Store, outside: &Outside, name: Uuid, registry: &mut Registry) -> Self {
        let poll = config.keys.poll();
        Self {
            store: store.clone(),
            clock: Arc::clone(&outside.clock),
            entropy: Arc::clone(&outside.entropy),
            source: Source::of(config),
            poll,
            settle: config.http.request_timeout() + 2 * poll,
            holder: format!("process {} ({name})", std::process::id()),
            known: RwLock::new(Arc::new(Known::new(Keyring::new(), Vec::new(), &Keyring::new()))),
            objections: OnceLock::new(),
            figures: KeyFigures::register(registry),
        }
    }

    /// The folder with the keys, if they are in one.
    #[must_use]
    pub fn folder(&self) -> Option<&Path> {
        self.source.folder.as_deref()
    }

    fn known(&self) -> Arc<Known> {
        Arc::clone(&self.known.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// From here on these digests are made. Once, at the start.
    pub(crate) fn object_by(&self, key: ObjectionKey) {
        self.objections.get_or_init(|| key);
    }

    /// What is kept of an address or a number of somebody who was erased, so that the organisation does not write to them
    /// again: a keyed digest of it, another for each organisation.
    pub(crate) fn objection(&self, tenant: TenantId, subject: &str) -> String {
        self.objections.get().map_or_else(String::new, |key| key.digest(tenant, subject))
    }

    /// Seals a secret for its place.
    ///
    /// # Errors
    /// When no key that may seal is here.
    pub fn seal(&self, place: Place, plain: &Secret) -> Result<Sealed> {
        let known = self.known();
        let held = known.sealing.and_then(|version| Some((version, known.keyring.get(&version)?)));
        let Some((version, held)) = held else {
            let detail = "Secrets cannot be stored now. Whoever runs the server finds the reason in its log.";
            let error = Error::new(Kind::Unavailable, "no_key", detail).because("this node has no key that may seal");
            return Err(error.retry_after(MISSING_FOR));
        };
        held.key
            .seal(version, place, plain, self.entropy.as_ref())
            .map_err(|_| Error::internal("a secret cannot be sealed"))
    }

    /// Opens a secret of its place.
    ///
    /// # Errors
    /// Says why it does not open. It is counted.
    pub fn open(&self, place: Place, sealed: &Sealed) -> Result<Secret, OpenFault> {
        let known = self.known();
        let opened = match sealed.key() {
            None => Err(OpenFault::NotSealed),
            Some(version) => match known.keyring.get(&version) {
                None => Err(OpenFault::Missing(version)),
                Some(held) => held.key.open(version, place, sealed).map_err(|_| OpenFault::Refused(version)),
            },
        };
        opened.inspect_err(|fault| self.figures.refused(fault.reason()))
    }

    /// Whether nobody has the key any more that a secret is sealed under.
    pub(crate) fn is_lost(&self, sealed: &Sealed) -> bool {
        let known = self.known();
        known.stored.iter().any(|key| key.state == KeyState::Lost && sealed.key() == Some(key.version))
    }

    /// Reads the keys and what the database knows of them. Keys that are new here become known.
    ///
    /// # Errors
    /// When either cannot be read; what was known before stays.
    pub(crate) async fn refresh(&self) -> Result<()> {
        let keyring = self.source.read().await?;
        let call = Call::within(PATIENCE);
        let mut stored = self.store.run(&call, ListKeys).await?;
        let is_new = |version: &KeyVersion| stored.iter().all(|key| key.version != *version);
        let new: Vec<_> = keyring.iter().filter(|(version, _)| is_new(version)).collect();
        if !new.is_empty() {
            for (version, held) in new {
                let known = MakeKeyKnown { version: *version, check: held.check.clone(), now: self.clock.now() };
                self.store.run(&call, known).await?;
            }
            stored = self.store.run(&call, ListKeys).await?;
        }
        let known = Known::new(keyring, stored, &self.known().keyring);
        self.figures.known(known.sealing, known.missing().len());
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(known);
        Ok(())
    }
}
