//! Lives in one process: where streams stand, so that "nothing new" is answered without a query. On several nodes it is
//! used only while this node is told of what the others write ([`crate::nodes`]); otherwise the database is asked.
//!
//! What makes it right:
//! - The store tells of each commit before it answers the writer, so nobody who was acknowledged is told of an older head.
//! - Of two positions of a stream the higher head is the newer one, in whatever order they arrive.
//! - Only a reading puts a stream in: it leaves a mark first, reads the database, and is kept only if its mark still stands.
//!   A commit in between is noted on the mark. A late report of a commit finds either the mark or something newer, and
//!   never makes an entry of its own: it could be older than what was evicted.
//! - After a commit that was not confirmed, the streams of its organisation are not kept until it must have been decided.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use mainstay_domain::{PersonId, StreamId, TenantId};
use mainstay_store::{Position, Positions};
use tokio::time::Instant;

/// Parts of the map, so that requests seldom wait for each other.
const SHARDS: usize = 64;
/// For how long a commit that was not confirmed may still come through: longer than any statement may run.
const DOUBT: Duration = Duration::from_secs(60);
/// The most organisations in doubt. Past it nothing is kept at all until the doubt has passed.
const MOST_DOUBTFUL: usize = 10_000;

type Key = (TenantId, StreamId);

#[derive(Clone, Copy, Debug)]
enum Slot {
    /// Somebody is reading the database, and this is what was committed meanwhile.
    Reading {
        mark: u64,
        seen: Option<Position>,
    },
    Known(Position),
}

/// The cache.
#[derive(Debug)]
pub struct Heads {
    shards: Vec<Mutex<HashMap<Key, Slot>>>,
    most_each: usize,
    next_mark: AtomicU64,
    doubtful: Mutex<HashMap<TenantId, Instant>>,
    figures: [AtomicU64; 2],
}

/// A reading of the database that is under way. What it finds is kept by [`Heads::keep`].
#[derive(Debug)]
pub struct Reading {
    marks: [(Key, u64); 2],
}

impl Heads {
    /// An empty cache for at most so many streams.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            most_each: most.div_ceil(SHARDS).max(2),
            next_mark: AtomicU64::new(1),
            doubtful: Mutex::default(),
            figures: [AtomicU64::new(0), AtomicU64::new(0)],
        }
    }

    fn shard<T>(&self, key: &Key, act: impl FnOnce(&mut HashMap<Key, Slot>) -> T) -> T {
        // The last bytes of a UUIDv7 are random.
        let place = usize::from(key.1.uuid().as_bytes()[15]) % SHARDS;
        let mut shard = self.shards[place].lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        act(&mut shard)
    }

    /// Where both streams of a membership stand, if that is known.
    #[must_use]
    pub fn get(&self, tenant: TenantId, person: PersonId) -> Option<Positions> {
        let known = |stream: StreamId| {
            self.shard(&(tenant, stream), |shard| match shard.get(&(tenant, stream)) {
                Some(Slot::Known(position)) => Some(*position),
                _ => None,
            })
        };
        let found = known(person.into())
            .and_then(|membership| Some(Positions { membership, organisation: known(tenant.into())? }));
        self.figures[usize::from(found.is_none())].fetch_add(1, Ordering::Relaxed);
        found
    }

    /// Answers from memory, and readings of the database, since the start.
    #[must_use]
    pub fn figures(&self) -> (u64, u64) {
        (self.figures[0].load(Ordering::Relaxed), self.figures[1].load(Ordering::Relaxed))
    }

    /// Streams that are kept now.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().map_or(0, |shard| shard.len())).sum()
    }

    /// True when nothing is kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// To be called before the database is read.
    #[must_use]
    pub fn reading(&self, tenant: TenantId, person: PersonId) -> Reading {
        let mark = |stream: StreamId| {
            let key = (tenant, stream);
            let mark = self.next_mark.fetch_add(1, Ordering::Relaxed);
            self.shard(&key, |shard| match shard.get_mut(&key) {
                // The newest reading takes over the mark; what was committed meanwhile stays noted.
                Some(Slot::Reading { mark: held, .. }) => *held = mark,
                Some(Slot::Known(_)) => {}
                None => {
                    if shard.len() >= self.most_each
                        && let Some(evicted) = shard.keys().next().copied()
                    {
                        shard.remove(&evicted);
                    }
                    shard.insert(key, Slot::Reading { mark, seen: None });
                }
            });
            (key, mark)
        };
        Reading { marks: [mark(person.into()), mark(tenant.into())] }
    }

    /// Keeps what a reading has found, unless something came in between.
    pub fn keep(&self, reading: &Reading, positions: &Positions) {
        for ((key, mark), found) in reading.marks.iter().zip([positions.membership, positions.organisation]) {
            let in_doubt = self.in_doubt(key.0);
            self.shard(key, |shard| match shard.get_mut(key) {
                Some(Slot::Reading { mark: held, .. }) if held == mark && in_doubt => {
                    shard.remove(key);
                }
                Some(slot @ Slot::Reading { .. }) => {
                    let Slot::Reading { mark: held, seen } = *slot else { return };
                    if held == *mark {
                        *slot = Slot::Known(seen.map_or(found, |seen| newer(seen, found)));
                    }
                }
                Some(Slot::Known(known)) => *known = newer(*known, found),
                None => {}
            });
        }
    }

    /// A commit of this node, or one that another node tells of.
    pub fn committed(&self, positions: &[Position]) {
        for position in positions {
            let key = (position.tenant, position.stream);
            self.shard(&key, |shard| match shard.get_mut(&key) {
                Some(Slot::Known(known)) => *known = newer(*known, *position),
                Some(Slot::Reading { seen, .. }) => {
                    *seen = Some(seen.map_or(*position, |seen| newer(seen, *position)));
                }
                None => {}
            });
        }
    }

    /// Forgets the streams of organisations, and keeps none of them for a while; of all when none is named.
    pub fn unconfirmed(&self, tenants: &[TenantId]) {
        let until = Instant::now() + DOUBT;
        let mut doubtful = self.doubtful.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let now = Instant::now();
        doubtful.retain(|_, until| *until > now);
        for tenant in tenants {
            if doubtful.len() < MOST_DOUBTFUL {
                doubtful.insert(*tenant, until);
            }
        }
        if tenants.is_empty() || doubtful.len() >= MOST_DOUBTFUL {
            // The nil tenant stands for all.
            doubtful.insert(TenantId(uuid::Uuid::nil()), until);
        }
        drop(doubtful);
        for shard in &self.shards {
            let mut shard = shard.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            shard.retain(|(tenant, _), _| !tenants.is_empty() && !tenants.contains(tenant));
        }
    }

    /// Forgets everything: something may have been missed.
    pub fn forget_all(&self) {
        for shard in &self.shards {
            shard.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clear();
        }
    }

    fn in_doubt(&self, tenant: TenantId) -> bool {
        let doubtful = self.doubtful.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if doubtful.is_empty() {
            return false;
        }
        let now = Instant::now();
        [tenant, TenantId(uuid::Uuid::nil())]
            .iter()
            .any(|tenant| doubtful.get(tenant).is_some_and(|until| *until > now))
    }
}

/// The newer of two positions of a stream. One of another history cannot be compared: the one that was read last counts,
/// and a commit in a new history is read by the next miss.
fn newer(known: Position, other: Position) -> Position {
    if other.epoch != known.epoch || (other.head, other.floor) >= (known.head, known.floor) { other } else { known }
}
