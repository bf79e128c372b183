//! What operators do with keys.

use std::collections::BTreeMap;
use std::time::Duration;

use mainstay_domain::{Error, KeyState, KeyVersion, Kind, Result, Secret, Timestamp};
use mainstay_store::{
    ActivateKey, Activated, Call, CountSealed, ListKeyHolders, ListKeyUses, ListKeys, LoseKey, MOST_COUNTED,
    MakeKeyKnown, ReadPlain, RetireKey, Retired, SealedColumn,
};
use serde::Serialize;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::keyring::{check_of, generate};
use super::watch::HEARD_FOR;
use super::{Keys, PATIENCE};

/// How long it is waited until every process has a key: each looks every few seconds.
const SPREADING: Duration = Duration::from_secs(10);
/// How often it is looked whether they have.
const LOOKS_EVERY: Duration = Duration::from_millis(200);
/// How many numbers are tried, should others make keys at the same moment.
const TRIES: u32 = 20;
/// The most rows that are counted of those that are not sealed.
const MOST_PLAIN: u32 = 1_000;

fn call() -> Call {
    Call::within(PATIENCE)
}

/// A key, and what needs it.
#[derive(Debug, Serialize)]
pub(crate) struct KeyStatus {
    pub(crate) version: KeyVersion,
    pub(crate) state: &'static str,
    pub(crate) created_at: Timestamp,
    pub(crate) activated_at: Option<Timestamp>,
    pub(crate) retired_at: Option<Timestamp>,
    /// Whether this process has it.
    pub(crate) here: bool,
    /// How many rows are sealed under it, by table and column, up to a million of each.
    pub(crate) rows: BTreeMap<String, u32>,
    /// The backups that need it.
    pub(crate) backups: Vec<String>,
    /// Processes that serve and have not got it.
    pub(crate) missing_on: Vec<String>,
}

/// All keys.
#[derive(Debug, Serialize)]
pub(crate) struct Status {
    pub(crate) keys: Vec<KeyStatus>,
    /// Rows that are not sealed, up to a thousand of each column.
    pub(crate) not_sealed: usize,
    /// Rows that are sealed under another key than the one that seals: what a rotation has left to do.
    pub(crate) left: u64,
    /// True where a count has reached its bound, so that there may be more.
    pub(crate) at_least: bool,
}

impl Keys {
    /// Makes a new key and puts it into the folder. Nothing is sealed with it yet.
    ///
    /// # Errors
    /// When the folder cannot be written, or the keys come from the settings.
    pub(crate) async fn add(&self) -> Result<KeyVersion> {
        for _ in 0..TRIES {
            self.refresh().await?;
            let version = self.next()?;
            let key = generate(self.entropy.as_ref());
            if !self.source.write(version, &key).await? {
                continue;
            }
            let known = MakeKeyKnown { version, check: check_of(&key)?, now: self.clock.now() };
            if self.store.run(&call(), known).await? {
                self.refresh().await?;
                return Ok(version);
            }
            // Somebody else has made one with this number at the same moment, in another folder.
            self.source.remove(version).await;
        }
        Err(Error::new(Kind::Conflict, "conflict", "Others make keys at the same moment. Try it again."))
    }

    /// Makes a new key for the setting, without keeping it.
    ///
    /// # Errors
    /// When the keys cannot be read.
    pub(crate) async fn draft(&self) -> Result<(KeyVersion, Secret)> {
        self.refresh().await?;
        Ok((self.next()?, generate(self.entropy.as_ref())))
    }

    /// The number of the next key.
    fn next(&self) -> Result<KeyVersion> {
        let known = self.known();
        let versions = known.stored.iter().map(|key| key.version).chain(known.keyring.keys().copied());
        let last = versions.chain(known.wrong.iter().copied()).max();
        let next = last.map_or(Some(KeyVersion::FIRST), KeyVersion::next);
        next.ok_or_else(|| Error::internal("there are no more numbers for keys"))
    }

    /// Lets a key seal from now on, and promises that everything is sealed anew: the newest that was added, unless one is
    /// named. Where it seals already, what is left is sealed anew. The answer is the key.
    ///
    /// # Errors
    /// When there is no such key, or a process that serves has not got it.
    pub(crate) async fn rotate(&self, to: Option<KeyVersion>, job: Uuid) -> Result<KeyVersion> {
        self.refresh().await?;
        let known = self.known();
        let newest = known.stored.iter().rev().find(|key| key.state == KeyState::Added).map(|key| key.version);
        let to = to.or(newest).or(known.active().map(|key| key.version));
        let to = to.ok_or_else(|| {
            Error::new(Kind::NotFound, "not_found", "There is no key. Make one with `mainstay keys add`.")
        })?;
        if !known.keyring.contains_key(&to) {
            let detail =
                format!("Key {to} is not here. Put it into {}, or run this where it is.", self.source.place(to));
            return Err(Error::new(Kind::Conflict, "key_missing", detail));
        }
        self.wait_until_spread(to).await?;
        let activate = ActivateKey { version: to, first: false, job, now: self.clock.now() };
        match self.store.run(&call(), activate).await? {
            Activated::Now | Activated::Already => Ok(to),
            Activated::Another | Activated::Impossible => {
                let detail =
                    format!("Key {to} is retired or lost: it cannot seal. Make a new one with `mainstay keys add`.");
                Err(Error::new(Kind::Conflict, "key_retired", detail))
            }
        }
    }

    /// Waits until every process that serves has a key.
    async fn wait_until_spread(&self, version: KeyVersion) -> Result<()> {
        let end = Instant::now() + SPREADING;
        loop {
            let without = self.without(version).await?;
            if without.is_empty() {
                return Ok(());
            }
            if Instant::now() >= end {
                let detail = format!(
                    "Not every server has key {version}: {} has not. Give it the key first, so that it can open what others seal; \
                     a server that was killed is forgotten after {} s.",
                    without.join(", "),
                    HEARD_FOR.as_secs()
                );
                return Err(Error::new(Kind::Conflict, "key_not_everywhere", detail));
            }
            sleep(LOOKS_EVERY).await;
        }
    }

    async fn without(&self, version: KeyVersion) -> Result<Vec<String>> {
        let heard_after = self.clock.now().minus(HEARD_FOR);
        let holders = self.store.run(&call(), ListKeyHolders(heard_after)).await?;
        let without = holders.into_iter().filter(|holder| !holder.versions.contains(&version));
        Ok(without.map(|holder| holder.holder).collect())
    }

    /// What there is and what needs it.
    ///
    /// # Errors
    /// As the store.
    pub(crate) async fn status(&self) -> Result<Status> {
        self.refresh().await?;
        let known = self.known();
        let uses = self.store.run(&call(), ListKeyUses).await?;
        let (mut keys, mut left, mut at_least) = (Vec::new(), 0, false);
        for key in self.store.run(&call(), ListKeys).await? {
            let mut rows = BTreeMap::new();
            for column in SealedColumn::ALL.iter().copied() {
                let count = self.store.run(&call(), CountSealed { column, key: key.version }).await?;
                at_least |= count >= MOST_COUNTED;
                let counts = !matches!(key.state, KeyState::Active | KeyState::Lost);
                left += if counts { u64::from(count) } else { 0 };
                rows.insert(format!("{}.{}", column.table(), column.column()), count);
            }
            let backups = uses.iter().filter(|one| one.version == key.version).map(|one| one.holder.clone()).collect();
            let in_use = key.state.is_needed() || key.state == KeyState::Added;
            keys.push(KeyStatus {
                version: key.version,
                state: key.state.as_str(),
                created_at: key.created_at,
                activated_at: key.activated_at,
                retired_at: key.retired_at,
                here: known.keyring.contains_key(&key.version),
                rows,
                backups,
                missing_on: if in_use { self.without(key.version).await? } else { Vec::new() },
            });
        }
        let mut not_sealed = 0;
        for column in SealedColumn::ALL.iter().copied() {
            not_sealed += self.store.run(&call(), ReadPlain { column, most: MOST_PLAIN }).await?.len();
        }
        Ok(Status { keys, not_sealed, left, at_least })
    }

    /// Retires a key that nothing needs.
    ///
    /// # Errors
    /// Says what needs it.
    pub(crate) async fn retire(&self, version: KeyVersion) -> Result<()> {
        let now = self.clock.now();
        let (replaced_before, heard_after) = (now.minus(self.settle), now.minus(HEARD_FOR));
        let retire = RetireKey { version, replaced_before, heard_after, now };
        let detail = match self.store.run(&call(), retire).await? {
            Retired::Now | Retired::Already => return Ok(()),
            Retired::Unknown => return Err(Error::not_found("key")),
            Retired::Active => {
                format!("Key {version} seals. Let another take its place first: `mainstay keys rotate`.")
            }
            Retired::TooEarly(at) => format!(
                "Key {version} was replaced a moment ago, and a request may still be writing with it. Try it again after {at}."
            ),
            Retired::Sealing(who) => {
                format!("{} still seals with key {version}. Try it again in a moment.", who.join(", "))
            }
            Retired::Rows(rows) => {
                let rows: Vec<_> =
                    rows.iter().map(|(column, rows)| format!("{rows} rows of {}", column.table())).collect();
                format!(
                    "Key {version} is needed: {} are sealed under it. `mainstay keys rotate` seals them anew; `mainstay jobs list \
                     --kind key_rotation` shows how that goes.",
                    rows.join(", ")
                )
            }
            Retired::Backups(backups) => format!(
                "Key {version} is needed to restore {}. It can be retired when they have been deleted.",
                backups.join(", ")
            ),
        };
        Err(Error::new(Kind::Conflict, "key_needed", detail))
    }

    /// Says that nobody has a key any more.
    ///
    /// # Errors
    /// When it is here after all, or there is none.
    pub(crate) async fn lose(&self, version: KeyVersion) -> Result<()> {
        self.refresh().await?;
        if self.known().keyring.contains_key(&version) {
            let detail = format!("Key {version} is here: it is not lost. Rotate to another key, then retire it.");
            return Err(Error::new(Kind::Conflict, "key_is_here", detail));
        }
        if self.store.run(&call(), LoseKey(version)).await? { Ok(()) } else { Err(Error::not_found("key")) }
    }
}
