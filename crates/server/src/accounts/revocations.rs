//! Lives in one process: each node's view of what was revoked. Every node reads one feed in the database, so a view is
//! behind by at most the interval of the poll, and one that cannot read the feed for 5 s says so and refuses.
//!
//! Access tokens are checked without the database, so what ends before its time must be known here: sign-ins, everything
//! that was made from an older state of a person or a membership, and API keys (whose lookups are cached). An entry is kept
//! for as long as the longest token that it can concern.
//!
//! Older is told by positions of the feed and not by clocks, which differ between nodes and stand still while a commit is
//! under way: a token carries the position that was read together with its role, and a change revokes what is below its own.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use mainstay_domain::{ApiKeyId, Error, Kind, PersonId, Result, SessionId, TenantId, Timestamp};
use tokio::time::Instant;

use super::access_token::Claims;

/// How old the last good reading of the feed may be.
pub const MOST_STALE: Duration = Duration::from_secs(5);
/// The most entries of a view. Past it the node refuses, because forgetting an entry would let a revoked token in.
pub const CAPACITY: usize = 1_000_000;

/// What was revoked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Revoked {
    /// A sign-in, with every token of it.
    Session(SessionId),
    /// Every token of a person that was made from what was read before the position of the feed. Tokens of outside
    /// issuers have no position: those issued before the moment.
    Person(PersonId, i64, Timestamp),
    /// Every token of a person for one organisation that was made from what was read before the position of the feed.
    Membership(PersonId, TenantId, i64),
    /// An API key.
    ApiKey(ApiKeyId),
}

/// One entry of the feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Revocation {
    /// What was revoked.
    pub revoked: Revoked,
    /// When the last token that it can concern has expired by itself, leeway included.
    pub until: Timestamp,
}

/// What was revoked, as far as this node knows.
#[derive(Debug)]
pub struct Revocations {
    capacity: usize,
    view: RwLock<View>,
}

#[derive(Debug, Default)]
struct View {
    sessions: HashMap<SessionId, Timestamp>,
    persons: HashMap<PersonId, Cut>,
    memberships: HashMap<(PersonId, TenantId), Cut>,
    api_keys: HashMap<ApiKeyId, Timestamp>,
    position: i64,
    read_at: Option<Instant>,
    /// There was an entry that found no room.
    overflowed: bool,
}

/// What was read before a position of the feed is not good any more, and the entry can go after a moment.
#[derive(Clone, Copy, Debug)]
struct Cut {
    position: i64,
    /// The same for outside tokens, which know only when they were issued. Nothing of a membership is in them.
    before: Timestamp,
    until: Timestamp,
}

impl Default for Revocations {
    fn default() -> Self {
        Self::new(CAPACITY)
    }
}

impl Revocations {
    /// An empty view, which refuses until the feed has been read once.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self { capacity, view: RwLock::default() }
    }

    /// Takes what one reading of the feed gave, which may be nothing. `position` is where the next reading goes on; `at`
    /// is when the reading was begun, because what was revoked later is not in it.
    pub fn apply(&self, batch: &[Revocation], position: i64, at: Instant) {
        let mut view = self.write();
        for entry in batch {
            view.add(entry, self.capacity);
        }
        view.position = view.position.max(position);
        view.read_at = view.read_at.max(Some(at));
    }

    /// Takes what this node itself has just revoked, so that here it holds at once and not only after the next poll. The
    /// same entry comes again with the feed and changes nothing.
    pub fn apply_local(&self, entry: &Revocation) {
        self.write().add(entry, self.capacity);
    }

    /// Where the next reading of the feed goes on: 0 before the first.
    #[must_use]
    pub fn position(&self) -> i64 {
        self.read().position
    }

    /// Whether the token with these claims was revoked.
    #[must_use]
    pub fn is_revoked(&self, claims: &Claims) -> bool {
        let view = self.read();
        view.sessions.contains_key(&claims.session) || view.is_outdated(claims.person, claims.tenant, claims.as_of)
    }

    /// Whether what was read of a membership at this position of the feed was revoked since.
    #[must_use]
    pub fn is_outdated(&self, person: PersonId, tenant: TenantId, as_of: i64) -> bool {
        self.read().is_outdated(person, tenant, as_of)
    }

    /// Whether a token of an outside issuer, which was issued at this moment, was revoked with all that the person held.
    #[must_use]
    pub fn is_outside_revoked(&self, person: PersonId, issued_at: Timestamp) -> bool {
        self.read().persons.get(&person).is_some_and(|cut| issued_at < cut.before)
    }

    /// Whether this API key was revoked.
    #[must_use]
    pub fn is_api_key_revoked(&self, key: ApiKeyId) -> bool {
        self.read().api_keys.contains_key(&key)
    }

    /// Forgets the entries whose tokens have all expired by themselves.
    pub fn prune(&self, now: Timestamp) {
        let mut view = self.write();
        view.sessions.retain(|_, until| *until > now);
        view.persons.retain(|_, cut| cut.until > now);
        view.memberships.retain(|_, cut| cut.until > now);
        view.api_keys.retain(|_, until| *until > now);
    }

    /// How many entries there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.read().len()
    }

    /// True when nothing is known to be revoked.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How long ago the feed was read for the last time; none when it never was.
    #[must_use]
    pub fn freshness(&self, now: Instant) -> Option<Duration> {
        self.read().read_at.map(|at| now.saturating_duration_since(at))
    }

    /// Whether the view can be relied on.
    ///
    /// # Errors
    /// 503 `revocations_unknown` when the feed was never read, or not for 5 s, or holds more than there is room for.
    pub fn ready(&self, now: Instant) -> Result<()> {
        let inside = match self.freshness(now) {
            None => "the feed of revocations was never read".to_owned(),
            Some(age) if age > MOST_STALE => {
                format!("the feed of revocations was last read {:.1} s ago", age.as_secs_f64())
            }
            Some(_) if self.read().overflowed => format!("there are more than {} revocations", self.capacity),
            Some(_) => return Ok(()),
        };
        Err(Error::new(
            Kind::Unavailable,
            "revocations_unknown",
            "It cannot be told at the moment which sign-ins have ended, so none is taken. Try again soon.",
        )
        .because(inside)
        .retry_after(Duration::from_secs(1)))
    }

    fn read(&self) -> RwLockReadGuard<'_, View> {
        self.view.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, View> {
        self.view.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl View {
    fn len(&self) -> usize {
        self.sessions.len() + self.persons.len() + self.memberships.len() + self.api_keys.len()
    }

    fn is_outdated(&self, person: PersonId, tenant: TenantId, as_of: i64) -> bool {
        self.persons.get(&person).is_some_and(|cut| as_of < cut.position)
            || self.memberships.get(&(person, tenant)).is_some_and(|cut| as_of < cut.position)
    }

    fn add(&mut self, entry: &Revocation, capacity: usize) {
        let room = self.len() < capacity;
        let until = entry.until;
        let taken = match entry.revoked {
            Revoked::Session(session) => merge(&mut self.sessions, session, until, room, |known| {
                *known = (*known).max(until);
            }),
            Revoked::ApiKey(key) => merge(&mut self.api_keys, key, until, room, |known| *known = (*known).max(until)),
            Revoked::Person(person, position, before) => {
                let cut = Cut { position, before, until };
                merge(&mut self.persons, person, cut, room, |known| known.widen(cut))
            }
            Revoked::Membership(person, tenant, position) => {
                let cut = Cut { position, before: Timestamp::EPOCH, until };
                merge(&mut self.memberships, (person, tenant), cut, room, |known| known.widen(cut))
            }
        };
        self.overflowed |= !taken;
    }
}

impl Cut {
    fn widen(&mut self, other: Self) {
        self.position = self.position.max(other.position);
        self.before = self.before.max(other.before);
        self.until = self.until.max(other.until);
    }
}

/// Merges with what is known, or inserts where there is room. False when there was none.
fn merge<K: Eq + Hash, V>(map: &mut HashMap<K, V>, key: K, value: V, room: bool, merge: impl FnOnce(&mut V)) -> bool {
    if let Some(known) = map.get_mut(&key) {
        merge(known);
    } else if room {
        map.insert(key, value);
    } else {
        return false;
    }
    true
}

#[cfg(test)]
mod tests;
