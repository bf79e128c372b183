//! Overload: how much is worked on at once, who waits for a place, and who is told to come back later.
//!
//! Lives in one process: each node protects itself, and its limit is learnt from its own latency. Several nodes on one
//! database feel it together and shrink together.
//!
//! A request enters when it is known whose it is: with a token, when the token has been checked (which takes no query);
//! without one, by its address, before the handler. While a crowd lasts, a token that was checked a few requests ago is
//! known by its looks, and what is to be refused is refused before the token is checked and the limits are counted. It
//! leaves when the head of its response is made, or earlier, when it begins to wait for something that is not our work
//! ([`RequestContext::waits`](super::RequestContext::waits)).

mod admission;
mod asked;
mod callers;
mod figures;
mod gate;
mod lasting;
mod limiter;
pub mod load;
mod priority;
mod processor;
#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::http::HeaderValue;
use mainstay_domain::{Entropy, Error, Kind};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use self::callers::{Callers, Naming};
use self::figures::Figures;
use self::gate::{Arrival, Bounds, Gate, Refusal};
use self::limiter::{Allowance, Limit, Limiter};
use super::Problem;
use crate::config;

pub(super) use self::admission::{Admission, Leaving};
pub(super) use self::callers::Caller;
pub use self::gate::Key;
pub use self::load::Load;
pub use self::priority::Priority;
pub(crate) use self::processor::Processor;

/// The shortest and the longest time after which a refused client is asked to come back, in seconds. Spread out, so that
/// those who were refused together do not come back together.
const COME_BACK: (u64, u64) = (1, 5);
/// The part of the time for which one that asks for more than all others together has a place at least.
const LEAST_SHARE: f64 = 0.125;
/// How long others are told of refusals in the log at the most: once in this time.
const TOLD_EVERY: Duration = Duration::from_secs(60);

/// The protection of this node. Clones share it.
#[derive(Clone)]
pub struct Overload(Arc<Inner>);

struct Inner {
    enabled: bool,
    /// None of the places is ever lent under this lock, and nothing waits for anything else while it is held.
    state: Mutex<State>,
    figures: Figures,
    naming: Naming,
    chance: AtomicU64,
    told: Mutex<Option<Instant>>,
    load: Load,
}

struct State {
    gate: Gate<oneshot::Sender<Permit>>,
    limiter: Limiter,
    processor: Processor,
    callers: Callers,
}

/// How things stand.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Standing {
    /// How many may be inside at once.
    pub limit: usize,
    /// How many of one organisation while others are about. Below 1, the part of the time for which one that asks for more
    /// than all others together has a place.
    pub share: f64,
    /// How many are inside.
    pub inside: usize,
    /// How many wait.
    pub waiting: usize,
    /// The pressure of the last window: 1 is where the limit begins to shrink.
    pub pressure: f64,
    /// The part of the processors that was used in the last window.
    pub busy: f64,
}

impl Overload {
    /// The protection that these settings ask for.
    #[must_use]
    pub fn new(settings: &config::Overload, entropy: &dyn Entropy) -> Self {
        Self::measuring(settings, entropy, Processor::of_this_process())
    }

    fn measuring(settings: &config::Overload, entropy: &dyn Entropy, processor: Processor) -> Self {
        let bounds = Bounds {
            queue: settings.queue,
            queue_per_tenant: settings.queue_per_tenant,
            patience: settings.queue_timeout(),
        };
        let per_cent = |number: u64| u32::try_from(number).map_or(f64::INFINITY, f64::from) / 100.0;
        let allowance = Allowance {
            target: settings.latency_target().as_secs_f64(),
            tolerance: per_cent(settings.tolerance_percent),
            tenant_tolerance: per_cent(settings.tenant_tolerance_percent),
        };
        let whole = Limit::new(settings.least_in_flight, settings.first_in_flight, settings.most_in_flight);
        let share = Limit::new(1, settings.first_in_flight / 2, settings.most_in_flight).down_to(LEAST_SHARE);
        let limiter = Limiter::new(allowance, whole, share, Instant::now());
        let gate = Gate::new(bounds, limiter.whole.get(), limiter.share.now());
        let mut seed = [0; 8];
        entropy.fill(&mut seed);
        Self(Arc::new(Inner {
            enabled: settings.enabled,
            state: Mutex::new(State { gate, limiter, processor, callers: Callers::default() }),
            figures: Figures::default(),
            naming: Naming::default(),
            chance: AtomicU64::new(u64::from_le_bytes(seed)),
            told: Mutex::new(None),
            load: Load::default(),
        }))
    }

    /// How far the database is used.
    #[must_use]
    pub fn load(&self) -> &Load {
        &self.0.load
    }

    /// How things stand now.
    #[must_use]
    pub fn standing(&self) -> Standing {
        let state = self.state();
        Standing {
            limit: state.limiter.whole.get(),
            share: state.limiter.share.now(),
            inside: state.gate.inside(),
            waiting: state.gate.waiting(),
            pressure: state.limiter.pressure(),
            busy: state.processor.busy(),
        }
    }

    pub(super) fn is_enabled(&self) -> bool {
        self.0.enabled
    }

    /// Who sends this header, while the queue stands: only then it is worth being asked.
    pub(super) fn caller(&self, authorization: &HeaderValue) -> Option<Caller> {
        let standing = self.state().gate.is_standing(Instant::now());
        standing.then(|| self.0.naming.caller(authorization))
    }

    /// Refuses a request that would be refused as well once it is known whose it is.
    pub(super) fn turn_away(&self, caller: Caller, priority: Priority) -> Option<Problem> {
        let refusal = {
            let mut state = self.state();
            let key = state.callers.key_of(caller)?;
            let refusal = state.gate.turns_away(Instant::now(), key, priority)?;
            state.callers.refused(caller);
            refusal
        };
        Some(Problem::from(self.refuse(priority, refusal)).shed())
    }

    /// Waits for a place, for a short time at most. `caller` is known while the queue stands, and whose it is from here on.
    async fn admit(&self, key: Key, caller: Option<Caller>, priority: Priority, work: usize) -> Result<Permit, Error> {
        let now = Instant::now();
        let mut receiver = None;
        let arrival = {
            let mut state = self.state();
            if let Some(caller) = caller {
                state.callers.remember(caller, key);
            }
            state.gate.arrive(now, key, priority, || {
                let (sender, waiting) = oneshot::channel();
                receiver = Some(waiting);
                sender
            })
        };
        let (ticket, due) = match arrival {
            Arrival::In { modest } => return Ok(self.permit(key, work, modest)),
            Arrival::Refused(refusal) => return Err(self.refuse(priority, refusal)),
            // The one that is displaced notices that its sender is gone.
            Arrival::Waits { ticket, due, displaced } => {
                drop(displaced);
                (ticket, due)
            }
        };
        let Some(mut receiver) = receiver else { return Err(self.refuse(priority, Refusal::QueueFull)) };
        // Takes the request out of the queue also when its client goes away.
        let mut place = Place { overload: self, key, ticket, waits: true };
        match timeout_at(due, &mut receiver).await {
            Ok(Ok(permit)) => {
                place.waits = false;
                Ok(permit.begin(work))
            }
            Ok(Err(_)) => {
                place.waits = false;
                let waited = Instant::now() >= due;
                Err(self.refuse(priority, if waited { Refusal::Waited } else { Refusal::Displaced }))
            }
            Err(_) => {
                drop(place);
                // It may have been let in at the very moment.
                receiver.close();
                let late = receiver.try_recv().map_err(|_| self.refuse(priority, Refusal::Waited))?;
                Ok(late.begin(work))
            }
        }
    }

    fn permit(&self, key: Key, work: usize, modest: bool) -> Permit {
        Permit { overload: Some(self.clone()), key, work, modest, since: Instant::now() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every critical section leaves the value whole.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn refuse(&self, priority: Priority, refusal: Refusal) -> Error {
        self.0.figures.refused(priority, refusal);
        self.tell();
        let detail = "There is more to do than this server can do at once. Try again in a moment.";
        Error::new(Kind::Unavailable, "overloaded", detail).retry_after(Duration::from_secs(self.come_back()))
    }

    /// A number of seconds, another one each time (the steps of `SplitMix64`).
    fn come_back(&self) -> u64 {
        let seed = self.0.chance.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
        let mixed = (seed ^ (seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let (least, most) = COME_BACK;
        least + (mixed ^ (mixed >> 31)) % (most - least + 1)
    }

    /// Says in the log that requests are refused: once a minute, and not for each.
    fn tell(&self) {
        let now = Instant::now();
        let mut told = self.0.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.is_some_and(|at| now.saturating_duration_since(at) < TOLD_EVERY) {
            return;
        }
        *told = Some(now);
        drop(told);
        let Standing { limit, inside, waiting, pressure, .. } = self.standing();
        tracing::warn!(
            limit,
            inside,
            waiting,
            pressure,
            "requests are refused: there is more to do than this node can do at once. See docs/overload.md."
        );
    }

    /// A place is free again; those whose turn it is get what is free.
    fn leave(&self, (key, work, modest): (Key, usize, bool), mut took: Option<Duration>) {
        let now = Instant::now();
        let mut leaving = Some(key);
        loop {
            let granted = {
                let mut state = self.state();
                if let Some(key) = leaving.take() {
                    state.gate.leave(now, key);
                }
                if let Some(took) = took.take() {
                    state.limiter.record(work, took, modest);
                }
                state.turn(now);
                state.gate.grant(now)
            };
            let Some(granted) = granted else { return };
            self.0.figures.waited(now.saturating_duration_since(granted.since));
            let next = self.permit(granted.key, 0, granted.modest);
            if let Err(mut unwanted) = granted.waiter.send(next) {
                // It went away just now: its place is the next one's. No drop, which would come back here.
                unwanted.overload = None;
                leaving = Some(unwanted.key);
            }
        }
    }
}

/// The whole part of a number of places.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "places are few, and not below zero")]
fn whole(places: f64) -> usize {
    places as usize
}

/// A count as a number to reckon with.
pub(crate) fn real(number: usize) -> f64 {
    u32::try_from(number).map_or(f64::from(u32::MAX), f64::from)
}

impl State {
    fn turn(&mut self, now: Instant) {
        if self.limiter.is_due(now) {
            let seen = self.gate.take_use(now);
            let busy = self.processor.look(now);
            self.limiter.turn(now, seen, busy);
            self.gate.set(self.limiter.whole.get(), self.limiter.share.now());
        }
    }
}

/// The place of one that waits.
struct Place<'a> {
    overload: &'a Overload,
    key: Key,
    ticket: u64,
    waits: bool,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if self.waits {
            self.overload.state().gate.abandon(self.key, self.ticket);
        }
    }
}

/// A place inside. Dropped, it is free again.
pub(super) struct Permit {
    /// None when the place has gone back already.
    overload: Option<Overload>,
    key: Key,
    /// The kind of work.
    work: usize,
    modest: bool,
    since: Instant,
}

impl Permit {
    /// The work begins now.
    fn begin(mut self, work: usize) -> Self {
        (self.work, self.since) = (work, Instant::now());
        self
    }

    /// The work is done: its time counts.
    fn done(mut self) {
        let took = self.since.elapsed();
        if let Some(overload) = self.overload.take() {
            overload.leave((self.key, self.work, self.modest), Some(took));
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(overload) = self.overload.take() {
            overload.leave((self.key, self.work, self.modest), None);
        }
    }
}
