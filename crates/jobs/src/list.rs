//! Which queues, kinds and schedules there are: one list, on one page of whoever makes it.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use mainstay_domain::{Error, Result, Schedule, Timestamp};
use mainstay_store::QueueLimits;

use crate::BoxFuture;
use crate::context::JobContext;
use crate::failure::{Failure, JobResult};
use crate::kind::{Job, Promise};

/// A queue: jobs that share slots and limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Queue {
    /// Its name.
    pub name: &'static str,
    /// How many of its jobs one node runs at once.
    pub slots: u32,
    /// What holds over all nodes.
    pub limits: QueueLimits,
    /// How old the oldest job that is ready may be until the queue is unhealthy.
    pub oldest: Duration,
}

/// What happens to ticks that nobody was there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missed {
    /// The last of them is taken; the others are passed over.
    Latest,
    /// Each of them is taken.
    Each,
}

/// A schedule and what it promises at each tick.
#[derive(Clone)]
pub struct Scheduled {
    /// Its name. It never changes once it is stored.
    pub name: &'static str,
    /// When it ticks.
    pub schedule: Schedule,
    /// What happens to ticks that nobody was there for.
    pub missed: Missed,
    /// What is promised at a tick: told the id of the job and the tick.
    pub promise: Arc<dyn Fn(mainstay_domain::JobId, Timestamp) -> Result<Promise> + Send + Sync>,
}

type Handler = Arc<dyn Fn(JobContext, &str) -> BoxFuture<JobResult> + Send + Sync>;

/// A kind, without its type.
#[derive(Clone)]
pub(crate) struct Kind {
    pub(crate) deadline: Duration,
    pub(crate) backoff: fn(u32) -> Duration,
    pub(crate) handler: Handler,
}

/// All queues, kinds and schedules of an installation.
#[derive(Clone, Default)]
pub struct JobList {
    pub(crate) queues: Vec<Queue>,
    pub(crate) kinds: BTreeMap<&'static str, Kind>,
    pub(crate) schedules: Vec<Scheduled>,
}

impl JobList {
    /// Nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// With a queue.
    #[must_use]
    pub fn queue(mut self, queue: Queue) -> Self {
        self.queues.push(queue);
        self
    }

    /// With a kind, and who does it.
    #[must_use]
    pub fn kind<J, F>(mut self, handler: impl Fn(JobContext, J) -> F + Send + Sync + 'static) -> Self
    where
        J: Job,
        F: Future<Output = JobResult> + Send + 'static,
    {
        let handler: Handler = Arc::new(move |context, arguments| match serde_json::from_str::<J>(arguments) {
            Ok(job) => {
                // What a handler does before its first wait may panic as well as what comes after.
                let made = std::panic::catch_unwind(AssertUnwindSafe(|| handler(context, job)));
                match made {
                    Ok(future) => Box::pin(future),
                    Err(panic) => Box::pin(async move { std::panic::resume_unwind(panic) }),
                }
            }
            // Another version may have written them: it is tried again, and kept when it never fits.
            Err(error) => {
                Box::pin(async move { Err(Failure::new(format_args!("its arguments cannot be read: {error}"))) })
            }
        });
        self.kinds.insert(J::KIND, Kind { deadline: J::DEADLINE, backoff: J::backoff, handler });
        self
    }

    /// With a schedule.
    #[must_use]
    pub fn schedule(mut self, scheduled: Scheduled) -> Self {
        self.schedules.push(scheduled);
        self
    }

    /// Looks for what cannot work: names that stand twice.
    ///
    /// # Errors
    /// A bug of whoever made the list.
    pub(crate) fn check(&self) -> Result<()> {
        let twice = |names: Vec<&str>| {
            let mut seen = std::collections::BTreeSet::new();
            names.into_iter().find(|name| !seen.insert(*name)).map(str::to_owned)
        };
        let queues = twice(self.queues.iter().map(|queue| queue.name).collect());
        let schedules = twice(self.schedules.iter().map(|scheduled| scheduled.name).collect());
        match queues.or(schedules) {
            Some(name) => Err(Error::internal(format!("{name} stands twice in the list of jobs"))),
            None => Ok(()),
        }
    }
}
