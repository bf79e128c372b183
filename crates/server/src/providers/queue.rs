//! The queue in front of a provider: so many requests at once, so many waiting, organisations served in turn.
//!
//! In this process only: with several nodes, each sends at most its own share.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use mainstay_domain::TenantId;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// Why a request did not get a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Too many wait already.
    Full,
    /// It waited as long as it may.
    TimedOut,
    /// The caller's deadline passed first.
    Deadline,
}

#[derive(Debug)]
struct Waiter {
    id: u64,
    tell: oneshot::Sender<Slot>,
}

#[derive(Debug, Default)]
struct State {
    in_flight: usize,
    waiting: usize,
    next_id: u64,
    lines: HashMap<TenantId, VecDeque<Waiter>>,
    /// Whose turn it is: every tenant with a line, once.
    turns: VecDeque<TenantId>,
}

impl State {
    fn push(&mut self, tenant: TenantId, waiter: Waiter) {
        let line = self.lines.entry(tenant).or_default();
        if line.is_empty() {
            self.turns.push_back(tenant);
        }
        line.push_back(waiter);
        self.waiting += 1;
    }

    /// The first of the next tenant's line. The tenant goes to the end of the turns.
    fn pop(&mut self) -> Option<Waiter> {
        let tenant = self.turns.pop_front()?;
        let line = self.lines.get_mut(&tenant)?;
        let waiter = line.pop_front()?;
        if line.is_empty() {
            self.lines.remove(&tenant);
        } else {
            self.turns.push_back(tenant);
        }
        self.waiting -= 1;
        Some(waiter)
    }

    /// Takes one waiter out of the line of `tenant`.
    fn remove(&mut self, tenant: TenantId, which: impl FnOnce(&VecDeque<Waiter>) -> Option<usize>) {
        let Some(line) = self.lines.get_mut(&tenant) else { return };
        let Some(index) = which(line) else { return };
        line.remove(index);
        self.waiting -= 1;
        if line.is_empty() {
            self.lines.remove(&tenant);
            self.turns.retain(|other| *other != tenant);
        }
    }

    /// Makes room for `tenant` at the cost of the longest line, so that one tenant cannot fill the queue for all.
    fn make_room(&mut self, tenant: TenantId) -> bool {
        let own = self.lines.get(&tenant).map_or(0, VecDeque::len);
        let longest = self.lines.iter().max_by_key(|(_, line)| line.len()).map(|(tenant, line)| (*tenant, line.len()));
        match longest {
            Some((other, length)) if length > own + 1 => {
                self.remove(other, |line| line.len().checked_sub(1));
                true
            }
            _ => false,
        }
    }
}

/// The queue of one provider.
#[derive(Debug)]
pub(super) struct Queue {
    max_in_flight: usize,
    max_waiting: usize,
    max_wait: Duration,
    state: Mutex<State>,
}

enum Arrival {
    Served(Slot),
    Waiting(Place, oneshot::Receiver<Slot>),
}

impl Queue {
    /// A queue that lets `max_in_flight` (at least one) run and `max_waiting` wait, each for at most `max_wait`.
    pub(super) fn new(max_in_flight: usize, max_waiting: usize, max_wait: Duration) -> Arc<Self> {
        Arc::new(Self { max_in_flight: max_in_flight.max(1), max_waiting, max_wait, state: Mutex::default() })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn arrive(self: &Arc<Self>, tenant: TenantId) -> Result<Arrival, Refusal> {
        let mut state = self.state();
        if state.in_flight < self.max_in_flight {
            state.in_flight += 1;
            return Ok(Arrival::Served(Slot(Some(Arc::clone(self)))));
        }
        if state.waiting >= self.max_waiting && !state.make_room(tenant) {
            return Err(Refusal::Full);
        }
        let (tell, told) = oneshot::channel();
        let id = state.next_id;
        state.next_id += 1;
        state.push(tenant, Waiter { id, tell });
        Ok(Arrival::Waiting(Place { queue: Arc::clone(self), tenant, id }, told))
    }

    /// Waits for a slot. A caller that stops waiting leaves the queue, and a slot that was on its way to it goes on to
    /// the next.
    pub(super) async fn enter(self: &Arc<Self>, tenant: TenantId, deadline: Instant) -> Result<Slot, Refusal> {
        let (place, told) = match self.arrive(tenant)? {
            Arrival::Served(slot) => return Ok(slot),
            Arrival::Waiting(place, told) => (place, told),
        };
        let patience = Instant::now() + self.max_wait;
        let outcome = tokio::time::timeout_at(patience.min(deadline), told).await;
        drop(place);
        match outcome {
            Ok(Ok(slot)) => Ok(slot),
            Ok(Err(_)) => Err(Refusal::Full),
            Err(_) if deadline <= patience => Err(Refusal::Deadline),
            Err(_) => Err(Refusal::TimedOut),
        }
    }

    /// Hands a slot that has become free to the next who waits.
    fn release(self: Arc<Self>) {
        loop {
            let next = {
                let mut state = self.state();
                let next = state.pop();
                if next.is_none() {
                    state.in_flight -= 1;
                }
                next
            };
            let Some(waiter) = next else { return };
            match waiter.tell.send(Slot(Some(Arc::clone(&self)))) {
                Ok(()) => return,
                // That one has just gone: the slot is not lost, the next one gets it.
                Err(mut slot) => slot.0 = None,
            }
        }
    }

    /// Requests that hold a slot, and requests that wait.
    pub(super) fn load(&self) -> (usize, usize) {
        let state = self.state();
        (state.in_flight, state.waiting)
    }
}

/// A place in the line. Dropped, it is given up.
struct Place {
    queue: Arc<Queue>,
    tenant: TenantId,
    id: u64,
}

impl Drop for Place {
    fn drop(&mut self) {
        let id = self.id;
        self.queue.state().remove(self.tenant, |line| line.iter().position(|waiter| waiter.id == id));
    }
}

/// The right to run. Dropped, it goes to the next who waits.
#[derive(Debug)]
pub(super) struct Slot(Option<Arc<Queue>>);

impl Drop for Slot {
    fn drop(&mut self) {
        if let Some(queue) = self.0.take() {
            queue.release();
        }
    }
}
