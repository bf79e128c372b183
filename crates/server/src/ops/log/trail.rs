//! What is known of the work under way: for which request or job it is done, in which trace, and for whom. Each line of the
//! log that is written meanwhile says so.
//!
//! It follows the task and needs no argument: whoever writes a line deep in the store does not know of requests. Work that a
//! request leaves behind ([`spawn_work`](crate::lifecycle::Lifecycle::spawn_work)) keeps its trail.

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, OnceLock};

use mainstay_domain::{JobId, PersonId, RequestId, TenantId, Timestamp, TraceId};
use mainstay_store::trace::{Attribute, Trace};
use tokio::task::futures::TaskLocalFuture;
use uuid::Uuid;

use crate::locking::lock;

tokio::task_local! {
    static CURRENT: Trail;
}

/// Work under a trail.
pub type Within<F> = TaskLocalFuture<Trace, TaskLocalFuture<Trail, F>>;

/// For what work is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// For a request.
    Request(RequestId),
    /// For a job.
    Job(JobId),
}

/// How many lines are remembered of one request or job.
const MOST_CRUMBS: usize = 30;

/// A line that was written for a request or a job, as an error report has it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Crumb {
    /// When.
    pub(crate) at: Timestamp,
    /// How bad it was: `info` or `warning`.
    pub(crate) level: &'static str,
    /// The part of the program that wrote it.
    pub(crate) target: String,
    /// What it says, masked.
    pub(crate) message: String,
}

/// Whose work it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Whom {
    /// The organisation.
    pub tenant: TenantId,
    /// The person, where one asked.
    pub person: Option<PersonId>,
}

/// What is known of the work under way. Clones share it.
#[derive(Clone, Debug)]
pub struct Trail {
    inner: Arc<Inner>,
    trace: Trace,
}

/// An id that a line of the log says.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Named {
    /// Of anything.
    Id(Uuid),
    /// Of a trace, which is written without hyphens.
    Trace(TraceId),
}

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => id.fmt(f),
            Self::Trace(trace) => trace.fmt(f),
        }
    }
}

#[derive(Debug)]
struct Inner {
    cause: Cause,
    whom: OnceLock<Whom>,
    crumbs: Mutex<VecDeque<Crumb>>,
}

impl Trail {
    /// Of work that begins, within this trace.
    #[must_use]
    pub fn of(cause: Cause, trace: Trace) -> Self {
        Self { inner: Arc::new(Inner { cause, whom: OnceLock::new(), crumbs: Mutex::default() }), trace }
    }

    /// The same, for work that is left behind when this one ends: its steps are handed over by themselves.
    #[must_use]
    pub fn child(&self) -> Self {
        Self { inner: Arc::clone(&self.inner), trace: self.trace.child() }
    }

    /// The trace that it is done in.
    #[must_use]
    pub fn trace(&self) -> &Trace {
        &self.trace
    }

    /// The trail of the task that asks, if it has one.
    #[must_use]
    pub fn current() -> Option<Self> {
        CURRENT.try_with(Clone::clone).ok()
    }

    /// Does work under this trail.
    pub fn within<F: Future>(self, work: F) -> Within<F> {
        self.trace.clone().within(CURRENT.scope(self, work))
    }

    /// It has become known whose work it is. Who is known first counts.
    pub fn is_of(&self, whom: Whom) {
        let _ = self.inner.whom.set(whom);
    }

    /// For what it is done.
    #[must_use]
    pub fn cause(&self) -> Cause {
        self.inner.cause
    }

    /// Whose it is, once that is known.
    #[must_use]
    pub fn whom(&self) -> Option<Whom> {
        self.inner.whom.get().copied()
    }

    /// Remembers a line, and forgets the oldest beyond 30.
    pub(crate) fn leave(&self, crumb: Crumb) {
        let mut crumbs = lock(&self.inner.crumbs);
        if crumbs.len() >= MOST_CRUMBS {
            crumbs.pop_front();
        }
        crumbs.push_back(crumb);
    }

    /// The lines that are remembered, the oldest first.
    pub(crate) fn crumbs(&self) -> Vec<Crumb> {
        lock(&self.inner.crumbs).iter().cloned().collect()
    }

    /// The names and values that a line of the log is given.
    pub(crate) fn fields(&self) -> impl Iterator<Item = (&'static str, Named)> {
        let trace = ("trace_id", Named::Trace(self.trace.context().trace));
        self.ids().map(|(name, id)| (name, Named::Id(id))).chain([trace])
    }

    /// The same without the trace.
    fn ids(&self) -> impl Iterator<Item = (&'static str, Uuid)> {
        let cause = match self.inner.cause {
            Cause::Request(id) => ("request_id", id.uuid()),
            Cause::Job(id) => ("job_id", id.uuid()),
        };
        let whom = self.whom();
        let tenant = whom.map(|whom| ("tenant_id", whom.tenant.uuid()));
        let person = whom.and_then(|whom| whom.person).map(|person| ("person_id", person.uuid()));
        [Some(cause), tenant, person].into_iter().flatten()
    }

    /// What the end of its trace says of it; nothing where nobody hears of it.
    pub(crate) fn attributes(&self) -> Vec<(&'static str, Attribute)> {
        let name = |name| match name {
            "request_id" => "mainstay.request_id",
            "job_id" => "mainstay.job_id",
            "tenant_id" => "mainstay.tenant_id",
            _ => "user.id",
        };
        let noted = self.trace.is_noted().then(|| self.ids());
        noted.into_iter().flatten().map(|(field, id)| (name(field), id.to_string().into())).collect()
    }
}

/// Says whose the work of this task is, where it has a trail.
pub fn is_of(tenant: TenantId, person: Option<PersonId>) {
    if let Some(trail) = Trail::current() {
        trail.is_of(Whom { tenant, person });
    }
}
