//! The gate: who is inside, who waits, and whose turn it is. It knows no clock and no task, so that a model can hold it to
//! its promises: never more inside than the limit, no organisation kept waiting by another, nobody lost.
//!
//! Each organisation (or address, for what needs no token) has its own short queue. They take turns (deficit round robin:
//! a turn buys one writing request or two reading ones); within one, the higher priority goes first. An organisation may
//! have a bounded number of requests waiting, and while others are about, a bounded number inside. One that asks for more
//! than all others together may then be held to less than one place: it has the place for a part of the time.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use mainstay_domain::TenantId;
use tokio::time::Instant;

use super::asked::Asked;
use super::lasting::Crowd;
use super::priority::{Priority, REFUSABLE, TURN};
use super::whole;
use crate::limits::Network;

/// For how long others count as being about after their last request.
pub(super) const ABOUT: Duration = Duration::from_secs(1);
/// While the queue stands, as many may wait as are let in within this part of the patience.
const STANDING_SHARE: u32 = 5;
/// As many may wait at least, so that those who ask little find a place in the queue beside one that asks much.
const FEWEST_WAITING: usize = 16;

/// The fewest places that an organisation has, unless it asks for more than all others together.
pub(super) const FEWEST_PLACES: usize = 2;
/// The longest that such a one stays outside for its last request.
const LONGEST_REST: Duration = Duration::from_millis(250);

/// Who takes turns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Key {
    /// An organisation.
    Tenant(TenantId),
    /// Where a request without a token comes from.
    Address(Network),
}

impl Key {
    /// The key of an address.
    #[must_use]
    pub fn address(address: IpAddr) -> Self {
        Self::Address(address.into())
    }
}

/// How many may wait, and for how long.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) queue: usize,
    pub(super) queue_per_tenant: usize,
    pub(super) patience: Duration,
}

/// Why a request was not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Too many wait already.
    QueueFull,
    /// Too many of the same organisation wait already.
    TenantQueueFull,
    /// It waited its time.
    Waited,
    /// It gave its place in the queue to one that is worth more.
    Displaced,
}

/// The words for metrics, in the order of [`Refusal::index`].
pub(super) const REASONS: [&str; 4] = ["queue_full", "tenant_queue_full", "waited", "displaced"];

impl Refusal {
    pub(super) const fn index(self) -> usize {
        match self {
            Self::QueueFull => 0,
            Self::TenantQueueFull => 1,
            Self::Waited => 2,
            Self::Displaced => 3,
        }
    }
}

/// What became of a request that came.
#[derive(Debug)]
pub(super) enum Arrival<W> {
    /// It is inside. Whether it came from one that asks little while others are about: how such a one fares tells whether
    /// others slow it down.
    In { modest: bool },
    /// It waits until `due`, under this number. Somebody else may have had to leave the queue for it.
    Waits { ticket: u64, due: Instant, displaced: Option<W> },
    /// It is refused.
    Refused(Refusal),
}

/// One that waited and is now inside.
#[derive(Debug)]
pub(super) struct Granted<W> {
    pub(super) key: Key,
    pub(super) waiter: W,
    pub(super) since: Instant,
    pub(super) modest: bool,
}

struct Waiting<W> {
    ticket: u64,
    since: Instant,
    due: Instant,
    waiter: W,
}

struct Tenant<W> {
    inside: usize,
    deficit: u32,
    waiting: [VecDeque<Waiting<W>>; REFUSABLE.len()],
}

impl<W> Default for Tenant<W> {
    fn default() -> Self {
        Self { inside: 0, deficit: 0, waiting: Default::default() }
    }
}

impl<W> Tenant<W> {
    fn count(&self) -> usize {
        self.waiting.iter().map(VecDeque::len).sum()
    }

    /// The highest priority that waits.
    fn next(&self) -> Option<Priority> {
        REFUSABLE.into_iter().rev().find(|priority| !self.waiting[priority.index()].is_empty())
    }

    /// The lowest priority that waits.
    fn lowest(&self) -> Option<Priority> {
        REFUSABLE.into_iter().find(|priority| !self.waiting[priority.index()].is_empty())
    }
}

/// The two keys seen last, which is enough to tell whether anybody but one of them is about.
#[derive(Default)]
struct About {
    newest: Option<(Key, Instant)>,
    other: Option<(Key, Instant)>,
}

impl About {
    fn see(&mut self, key: Key, now: Instant) {
        if self.newest.is_some_and(|(newest, _)| newest != key) {
            self.other = self.newest;
        }
        self.newest = Some((key, now));
    }

    fn others_than(&self, key: Key, now: Instant) -> bool {
        let seen = [self.newest, self.other];
        seen.into_iter().flatten().any(|(other, at)| other != key && now.saturating_duration_since(at) < ABOUT)
    }
}

/// What happened since it was last asked.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Use {
    /// The most that were inside at once.
    pub(super) most_inside: usize,
    /// Whether somebody found no place.
    pub(super) full: bool,
    /// The most that one organisation held while others were about.
    pub(super) most_of_one: usize,
    /// Whether an organisation was held back because it had its share.
    pub(super) one_held_back: bool,
}

pub(super) struct Gate<W> {
    bounds: Bounds,
    /// How many may be inside.
    limit: usize,
    /// How many of one organisation may be inside while others are about. Below 1, the part of the time for which one is.
    share: f64,
    asked: Asked,
    /// When the loud one was let in last, and until when it stays outside.
    entered: Option<Instant>,
    rests_until: Option<Instant>,
    inside: usize,
    waiting: usize,
    tenants: HashMap<Key, Tenant<W>>,
    /// Those who have somebody waiting, in the order of their turns.
    turns: VecDeque<Key>,
    about: About,
    /// When nobody waited last.
    empty_at: Option<Instant>,
    crowd: Crowd,
    tickets: u64,
    seen: Use,
    /// Since when it was seen, and how many places were given back since then.
    seen_since: Option<Instant>,
    left: u32,
    /// How many are let in soon, as it went last: in the part of the patience that counts while the queue stands.
    soon: Option<usize>,
}

impl<W> Gate<W> {
    pub(super) fn new(bounds: Bounds, limit: usize, share: f64) -> Self {
        Self {
            bounds,
            limit: limit.max(1),
            share,
            asked: Asked::default(),
            entered: None,
            rests_until: None,
            inside: 0,
            waiting: 0,
            tenants: HashMap::new(),
            turns: VecDeque::new(),
            about: About::default(),
            empty_at: None,
            crowd: Crowd::default(),
            tickets: 0,
            seen: Use::default(),
            seen_since: None,
            left: 0,
            soon: None,
        }
    }

    pub(super) fn inside(&self) -> usize {
        self.inside
    }

    pub(super) fn waiting(&self) -> usize {
        self.waiting
    }

    /// Sets how many may be inside, in all and of one organisation. Those who are inside stay.
    pub(super) fn set(&mut self, limit: usize, share: f64) {
        (self.limit, self.share) = (limit.max(1), share);
    }

    /// What happened since it was last asked.
    pub(super) fn take_use(&mut self, now: Instant) -> Use {
        self.asked.turn(now);
        let left = std::mem::take(&mut self.left);
        self.crowd.turn(now, left);
        let since = self.seen_since.replace(now).map(|since| now.saturating_duration_since(since));
        if let Some(since) = since.filter(|since| !since.is_zero()) {
            let soon = (self.bounds.patience / STANDING_SHARE).as_micros() * u128::from(left) / since.as_micros();
            self.soon = usize::try_from(soon).ok();
        }
        std::mem::replace(&mut self.seen, Use { most_inside: self.inside, ..Use::default() })
    }

    /// A request comes. `waiter` is made only when it has to wait.
    pub(super) fn arrive(
        &mut self,
        now: Instant,
        key: Key,
        priority: Priority,
        waiter: impl FnOnce() -> W,
    ) -> Arrival<W> {
        self.count_arrival(now, key, priority);
        if self.waiting == 0 {
            self.empty_at = Some(now);
        }
        // Those who wait do so because they may not enter now; this one may if it stands above them.
        if self.may_enter(now, key, priority) {
            return Arrival::In { modest: self.enter(now, key) };
        }
        let displaced = match self.room(now, key, priority) {
            Ok(displaced) => displaced.and_then(|key| self.displace(key)),
            Err(refusal) => return Arrival::Refused(refusal),
        };
        let patience = if self.stands(now) { self.bounds.patience / STANDING_SHARE } else { self.bounds.patience };
        let (ticket, due) = (self.tickets, now + patience);
        self.tickets += 1;
        self.waiting += 1;
        let tenant = self.tenants.entry(key).or_default();
        if tenant.count() == 0 {
            self.turns.push_back(key);
        }
        tenant.waiting[priority.index()].push_back(Waiting { ticket, since: now, due, waiter: waiter() });
        Arrival::Waits { ticket, due, displaced }
    }

    /// Why a request would be refused now, were it to come: it counts as one that came then. Only while the queue stands,
    /// when most are refused and it pays to ask before anything else is done for a request.
    pub(super) fn turns_away(&mut self, now: Instant, key: Key, priority: Priority) -> Option<Refusal> {
        if !self.is_standing(now) || self.may_enter(now, key, priority) {
            return None;
        }
        let refusal = self.room(now, key, priority).err()?;
        self.count_arrival(now, key, priority);
        Some(refusal)
    }

    fn count_arrival(&mut self, now: Instant, key: Key, priority: Priority) {
        self.about.see(key, now);
        self.asked.count(key, priority.cost());
        self.crowd.count(self.inside >= priority.places(self.limit));
    }

    /// Whether somebody waits, and the queue stands.
    pub(super) fn is_standing(&self, now: Instant) -> bool {
        self.waiting > 0 && self.stands(now)
    }

    /// Whether it is no passing crowd: the queue has not been empty for longer than anybody waits, or there has been a crowd
    /// for some windows.
    fn stands(&self, now: Instant) -> bool {
        self.crowd.lasts(now)
            || self.empty_at.is_some_and(|at| now.saturating_duration_since(at) > self.bounds.patience)
    }

    /// How many may wait. In a queue that stands, whoever comes last would wait for as long as all others together take:
    /// it is told at once, which costs less than to let it wait in vain.
    fn most_waiting(&self, now: Instant) -> usize {
        let soon = self.soon.filter(|_| self.stands(now)).unwrap_or(usize::MAX);
        soon.max(FEWEST_WAITING).min(self.bounds.queue)
    }

    /// One that is inside leaves.
    pub(super) fn leave(&mut self, now: Instant, key: Key) {
        if self.share < 1.0 && self.asked.is_loud(key, now) {
            // The place for a part of the time: as much longer outside than inside as the share says.
            let held = self.entered.map_or(Duration::ZERO, |at| now.saturating_duration_since(at)).min(LONGEST_REST);
            let rest = held.as_secs_f64() * (1.0 / self.share - 1.0);
            self.rests_until = Some(now + Duration::from_secs_f64(rest.min(LONGEST_REST.as_secs_f64())));
        }
        self.inside = self.inside.saturating_sub(1);
        self.left = self.left.saturating_add(1);
        if let Some(tenant) = self.tenants.get_mut(&key) {
            tenant.inside = tenant.inside.saturating_sub(1);
        }
        self.forget(key);
    }

    /// One that waits goes away. False when it does not wait any more.
    pub(super) fn abandon(&mut self, key: Key, ticket: u64) -> bool {
        let Some(tenant) = self.tenants.get_mut(&key) else { return false };
        for queue in &mut tenant.waiting {
            if let Some(place) = queue.iter().position(|waiting| waiting.ticket == ticket) {
                queue.remove(place);
                self.waiting -= 1;
                self.forget(key);
                return true;
            }
        }
        false
    }

    /// Lets in the next of those who wait, if one may enter now. To be called until it answers nothing, whenever somebody
    /// has left or the limit has changed.
    pub(super) fn grant(&mut self, now: Instant) -> Option<Granted<W>> {
        let standing = self.stands(now);
        for _ in 0..self.turns.len() {
            let key = *self.turns.front()?;
            let Some(priority) = self.next_of(now, key).filter(|priority| self.may_enter(now, key, *priority)) else {
                if self.tenants.get(&key).is_some_and(|tenant| tenant.count() > 0) {
                    self.turns.rotate_left(1);
                } else {
                    self.forget(key);
                }
                continue;
            };
            let tenant = self.tenants.get_mut(&key)?;
            if tenant.deficit < priority.cost() {
                tenant.deficit += TURN;
            }
            tenant.deficit = tenant.deficit.saturating_sub(priority.cost());
            let queue = &mut tenant.waiting[priority.index()];
            // While the queue stands, whoever came last has the best chance of being answered in time.
            let waiting = if standing { queue.pop_back() } else { queue.pop_front() }?;
            self.waiting -= 1;
            // Its turn is over when what is left does not pay for the next one.
            if tenant.next().is_none_or(|next| tenant.deficit < next.cost()) {
                self.turns.rotate_left(1);
            }
            let modest = self.enter(now, key);
            self.forget(key);
            return Some(Granted { key, waiter: waiting.waiter, since: waiting.since, modest });
        }
        None
    }

    /// The highest priority that waits of this organisation, after those who have waited their time are gone.
    fn next_of(&mut self, now: Instant, key: Key) -> Option<Priority> {
        let tenant = self.tenants.get_mut(&key)?;
        for queue in &mut tenant.waiting {
            let before = queue.len();
            queue.retain(|waiting| waiting.due > now);
            self.waiting -= before - queue.len();
        }
        tenant.next()
    }

    fn may_enter(&mut self, now: Instant, key: Key, priority: Priority) -> bool {
        let own = self.tenants.get(&key).map_or(0, |tenant| tenant.inside);
        if self.inside >= priority.places(self.limit) {
            self.seen.full = true;
            return false;
        }
        if self.about.others_than(key, now) && self.has_its_share(now, key, own) {
            self.seen.one_held_back = true;
            return false;
        }
        true
    }

    /// Whether one that has so many inside has all that it may while others are about.
    fn has_its_share(&self, now: Instant, key: Key, own: usize) -> bool {
        let loud = self.asked.is_loud(key, now);
        let places = whole(self.share).max(if loud { 1 } else { FEWEST_PLACES });
        own >= places || (loud && self.share < 1.0 && self.rests_until.is_some_and(|until| now < until))
    }

    fn enter(&mut self, now: Instant, key: Key) -> bool {
        self.inside += 1;
        self.seen.most_inside = self.seen.most_inside.max(self.inside);
        let tenant = self.tenants.entry(key).or_default();
        tenant.inside += 1;
        let inside = tenant.inside;
        if self.asked.is_loud(key, now) {
            self.entered = Some(now);
        }
        let others = self.about.others_than(key, now);
        if others {
            self.seen.most_of_one = self.seen.most_of_one.max(inside);
        }
        others && self.asked.is_modest(key)
    }

    /// Whether there is a place in the queue, and which organisation gives one up for it where there is none free: one that
    /// has many waiting, or the same with a request that is worth less.
    fn room(&self, now: Instant, key: Key, priority: Priority) -> Result<Option<Key>, Refusal> {
        let count = |key: &Key| self.tenants.get(key).map_or(0, Tenant::count);
        let own = count(&key);
        if own >= self.bounds.queue_per_tenant {
            return if self.gives_way(key, priority) { Ok(Some(key)) } else { Err(Refusal::TenantQueueFull) };
        }
        if self.waiting < self.most_waiting(now) {
            return Ok(None);
        }
        let longest = self.turns.iter().copied().max_by_key(count).ok_or(Refusal::QueueFull)?;
        // Whoever has two more waiting than this one gives a place up even to an equal.
        let below = if count(&longest) > own + 1 { Priority::Always } else { priority };
        if self.gives_way(longest, below) { Ok(Some(longest)) } else { Err(Refusal::QueueFull) }
    }

    /// Whether this organisation has one waiting of a priority below this one.
    fn gives_way(&self, key: Key, below: Priority) -> bool {
        self.tenants.get(&key).and_then(Tenant::lowest).is_some_and(|lowest| lowest < below)
    }

    /// Takes the newest of the lowest priority out of an organisation's queue.
    fn displace(&mut self, key: Key) -> Option<W> {
        let tenant = self.tenants.get_mut(&key)?;
        let lowest = tenant.lowest()?;
        let waiting = tenant.waiting[lowest.index()].pop_back()?;
        self.waiting -= 1;
        self.forget(key);
        Some(waiting.waiter)
    }

    /// Drops what need not be known of an organisation any more.
    fn forget(&mut self, key: Key) {
        let Some(tenant) = self.tenants.get_mut(&key) else { return };
        if tenant.count() > 0 {
            return;
        }
        tenant.deficit = 0;
        if tenant.inside == 0 {
            self.tenants.remove(&key);
        }
        if let Some(place) = self.turns.iter().position(|other| *other == key) {
            self.turns.remove(place);
        }
    }
}

#[cfg(test)]
mod tests;
