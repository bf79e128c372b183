//! The place of one request, from the moment that it is known whose it is until the head of its answer.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::callers::Caller;
use super::{Key, Overload, Permit, Priority};
use crate::http::Problem;

/// One request's way through the gate. Clones share it: the handler's, the stack's, and whatever outlives them.
#[derive(Clone)]
pub(in crate::http) struct Admission(Arc<Shared>);

struct Shared {
    overload: Overload,
    priority: Priority,
    /// The kind of work, as the limiter tells them apart.
    work: usize,
    /// Whose token it carries, while the queue stands.
    caller: Option<Caller>,
    place: Mutex<State>,
}

enum State {
    /// Not come yet: it is not known whose it is.
    Outside,
    /// It has a place.
    Inside(Permit),
    /// It has given its place back while its client sends the body.
    Aside(Key),
    /// It needs no place any more.
    Done,
}

impl Admission {
    /// A request of this priority; nothing for what is never refused.
    pub(in crate::http) fn new(
        overload: &Overload,
        caller: Option<Caller>,
        priority: Priority,
        work: usize,
    ) -> Option<Self> {
        if priority == Priority::Always || !overload.is_enabled() {
            return None;
        }
        let place = Mutex::new(State::Outside);
        Some(Self(Arc::new(Shared { overload: overload.clone(), priority, work, caller, place })))
    }

    /// Takes a place, or waits for one for a moment. Who has one, or needs none any more, passes.
    pub(in crate::http) async fn enter(&self, key: Key) -> Result<(), Problem> {
        if matches!(*self.place(), State::Outside) { self.take(key).await } else { Ok(()) }
    }

    /// Gives the place back until [`Self::resume`]: what comes next is the client's time and not ours.
    pub(in crate::http) fn pause(&self) {
        let mut place = self.place();
        if let State::Inside(permit) = &*place {
            let aside = State::Aside(permit.key);
            let before = std::mem::replace(&mut *place, aside);
            drop(place);
            drop(before);
        }
    }

    /// Takes a place again, if there was one.
    pub(in crate::http) async fn resume(&self) -> Result<(), Problem> {
        let key = match &*self.place() {
            State::Aside(key) => *key,
            _ => return Ok(()),
        };
        self.take(key).await
    }

    /// Gives the place back for good. `counts` tells whether the time that it took says something about the work.
    pub(in crate::http) fn leave(&self, counts: bool) {
        let before = std::mem::replace(&mut *self.place(), State::Done);
        match before {
            State::Inside(permit) if counts => permit.done(),
            _ => drop(before),
        }
    }

    async fn take(&self, key: Key) -> Result<(), Problem> {
        let Shared { overload, priority, work, caller, .. } = &*self.0;
        let admitted = overload.admit(key, *caller, *priority, *work).await;
        let permit = admitted.map_err(|error| Problem::from(error).shed())?;
        let mut place = self.place();
        if !matches!(*place, State::Done) {
            *place = State::Inside(permit);
        } else {
            drop(place);
            drop(permit);
        }
        Ok(())
    }

    fn place(&self) -> MutexGuard<'_, State> {
        self.0.place.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Admission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = match *self.place() {
            State::Outside => "outside",
            State::Inside(_) => "inside",
            State::Aside(_) => "aside",
            State::Done => "done",
        };
        write!(f, "Admission({place})")
    }
}

/// Gives a request's place back, however the request ends: answered, or dropped because its client has left.
pub(in crate::http) struct Leaving(pub(in crate::http) Option<Admission>);

impl Leaving {
    /// The head of the answer is made.
    pub(in crate::http) fn answered(mut self, counts: bool) {
        if let Some(admission) = self.0.take() {
            admission.leave(counts);
        }
    }
}

impl Drop for Leaving {
    fn drop(&mut self) {
        if let Some(admission) = self.0.take() {
            admission.leave(false);
        }
    }
}
