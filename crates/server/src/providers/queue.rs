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

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::FutureExt;
    use futures_util::stream::{FuturesUnordered, StreamExt};
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    fn tenant(number: u128) -> TenantId {
        TenantId(Uuid::from_u128(number))
    }

    fn later() -> Instant {
        Instant::now() + Duration::from_secs(3600)
    }

    fn queue(max_in_flight: usize, max_waiting: usize) -> Arc<Queue> {
        Queue::new(max_in_flight, max_waiting, Duration::from_secs(10))
    }

    /// Lets everything that wants to wait take its place.
    async fn settle<F: Future>(waiting: &mut FuturesUnordered<F>) -> Option<F::Output> {
        tokio::select! {
            biased;
            next = waiting.next() => next,
            () = std::future::ready(()) => None,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn one_tenant_with_many_waiting_does_not_delay_the_first_of_another() {
        let queue = queue(1, 300);
        let held = queue.enter(tenant(0), later()).await.unwrap();
        let mut waiting: FuturesUnordered<_> = (0..200)
            .map(|_| 1)
            .chain([2, 3, 3])
            .map(|number| {
                let queue = Arc::clone(&queue);
                async move { (number, queue.enter(tenant(number), later()).await.unwrap()) }
            })
            .collect();
        assert!(settle(&mut waiting).await.is_none());
        assert_eq!(queue.load(), (1, 203));
        drop(held);
        let mut order = Vec::new();
        while let Some((number, slot)) = waiting.next().await {
            order.push(number);
            drop(slot);
        }
        assert_eq!(order[..6], [1, 2, 3, 1, 3, 1]);
        assert_eq!((order.len(), queue.load()), (203, (0, 0)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_queue_refuses_the_one_who_fills_it() {
        let queue = queue(1, 4);
        let _held = queue.enter(tenant(0), later()).await.unwrap();
        let enter = |number: u128| {
            let queue = Arc::clone(&queue);
            async move { (number, queue.enter(tenant(number), later()).await.map(drop)) }
        };
        let mut waiting: FuturesUnordered<_> = (0..4).map(|_| enter(1)).collect();
        assert!(settle(&mut waiting).await.is_none());
        assert_eq!(enter(1).await.1, Err(Refusal::Full));
        waiting.push(enter(2));
        assert_eq!(settle(&mut waiting).await, Some((1, Err(Refusal::Full))), "the longest line makes room");
        assert_eq!(queue.load(), (1, 4));
        waiting.push(enter(3));
        assert_eq!(settle(&mut waiting).await, Some((1, Err(Refusal::Full))));
        assert_eq!(enter(2).await.1, Err(Refusal::Full), "two lines of two: nobody has more than a fair part");
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_has_its_bound_and_leaves_nothing_behind() {
        let queue = queue(1, 4);
        let held = queue.enter(tenant(0), later()).await.unwrap();
        let start = Instant::now();
        assert_eq!(queue.enter(tenant(1), later()).await.map(drop), Err(Refusal::TimedOut));
        assert_eq!(start.elapsed(), Duration::from_secs(10));
        let soon = Instant::now() + Duration::from_secs(1);
        assert_eq!(queue.enter(tenant(1), soon).await.map(drop), Err(Refusal::Deadline));
        assert_eq!(queue.load(), (1, 0));
        drop(held);
        assert_eq!(queue.load(), (0, 0));
        let state = queue.state();
        assert!(state.lines.is_empty() && state.turns.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_slot_for_one_who_has_just_gone_goes_to_the_next() {
        let queue = queue(1, 4);
        let held = queue.enter(tenant(0), later()).await.unwrap();
        // The moment in which a dropped waiter no longer listens and has not yet left its line.
        let Ok(Arrival::Waiting(place, told)) = queue.arrive(tenant(1)) else { panic!("there is no room") };
        drop(told);
        let Ok(Arrival::Waiting(_place, mut next)) = queue.arrive(tenant(2)) else { panic!("there is no room") };
        drop(held);
        drop(place);
        let slot = next.try_recv().unwrap();
        assert_eq!(queue.load(), (1, 0));
        drop(slot);
        assert_eq!(queue.load(), (0, 0));
    }

    /// Real threads, so that a hand-over and a departure meet in the same moment.
    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn no_slot_is_lost_when_departures_race_with_hand_overs() {
        let queue = queue(3, 1000);
        let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let mut tasks = tokio::task::JoinSet::new();
        for number in 0_u64..2000 {
            let (queue, running, most) = (Arc::clone(&queue), Arc::clone(&running), Arc::clone(&most));
            tasks.spawn(async move {
                let patience = Duration::from_micros(number * 7919 % 3000);
                let entering = queue.enter(tenant(u128::from(number % 5)), later());
                if let Ok(Ok(slot)) = tokio::time::timeout(patience, entering).await {
                    most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    tokio::task::yield_now().await;
                    running.fetch_sub(1, Ordering::SeqCst);
                    drop(slot);
                }
            });
        }
        while let Some(ended) = tasks.join_next().await {
            ended.unwrap();
        }
        assert!((1..=3).contains(&most.load(Ordering::SeqCst)));
        assert_eq!(queue.load(), (0, 0));
    }

    /// What one step of a schedule does: somebody comes, somebody who waits goes away, or somebody who runs ends.
    #[derive(Clone, Debug)]
    enum Act {
        Come(u128),
        GoAway(usize),
        End(usize),
    }

    fn act() -> impl Strategy<Value = Act> {
        prop_oneof![
            3 => (0_u128..4).prop_map(Act::Come),
            2 => any::<usize>().prop_map(Act::GoAway),
            2 => any::<usize>().prop_map(Act::End),
        ]
    }

    type Entering = Pin<Box<dyn Future<Output = Result<Slot, Refusal>>>>;

    fn poll(entering: &mut Entering) -> Option<Result<Slot, Refusal>> {
        entering.as_mut().now_or_never()
    }

    proptest! {
        /// Futures are polled and dropped at random, also between the hand-over of a slot and the moment that its new
        /// owner notices. The queue never runs more than it may, never idles while somebody waits, and loses no slot.
        #[test]
        fn no_slot_is_lost_whoever_goes_away(acts in prop::collection::vec(act(), 1..200)) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
            let _guard = runtime.enter();
            let queue = queue(2, 6);
            let (mut waiting, mut running): (Vec<Entering>, Vec<Slot>) = (Vec::new(), Vec::new());
            for act in acts {
                match act {
                    Act::Come(number) => {
                        let queue = Arc::clone(&queue);
                        let mut entering: Entering = Box::pin(async move { queue.enter(tenant(number), later()).await });
                        match poll(&mut entering) {
                            Some(Ok(slot)) => running.push(slot),
                            Some(Err(refusal)) => prop_assert_eq!(refusal, Refusal::Full),
                            None => waiting.push(entering),
                        }
                    }
                    Act::GoAway(index) if !waiting.is_empty() => drop(waiting.swap_remove(index % waiting.len())),
                    Act::End(index) if !running.is_empty() => {
                        drop(running.swap_remove(index % running.len()));
                        // Every second time nobody looks at once: the slot is under way.
                        if index % 2 == 0 {
                            waiting.retain_mut(|entering| match poll(entering) {
                                Some(Ok(slot)) => { running.push(slot); false }
                                Some(Err(_)) => false,
                                None => true,
                            });
                        }
                    }
                    Act::GoAway(_) | Act::End(_) => {}
                }
                let (in_flight, queued) = queue.load();
                prop_assert!(running.len() <= in_flight && in_flight <= 2 && queued <= 6);
                prop_assert!(queued == 0 || in_flight == 2, "somebody waits although there is room");
                let state = queue.state();
                prop_assert_eq!(state.lines.values().map(VecDeque::len).sum::<usize>(), queued);
                prop_assert_eq!(state.lines.len(), state.turns.len());
            }
            drop(waiting);
            drop(running);
            prop_assert_eq!(queue.load(), (0, 0));
        }
    }
}
