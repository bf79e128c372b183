//! Running one attempt, and judging how it ended.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use mainstay_domain::panic_message;
use mainstay_store::{Claimed, Ending, Fence};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use super::{Ended, Inner, Running};
use crate::context::JobContext;
use crate::failure::{Done, Failure, Retry};
use crate::figures::Outcome;
use crate::kind::jittered;
use crate::list::Kind;

/// For how long a job waits whose kind this version does not know: another node may be newer.
const UNKNOWN_WAITS: Duration = Duration::from_secs(15);
/// What stands for a kind that is not known, in the figures.
const UNKNOWN: &str = "unknown";

/// What an attempt came to.
enum End {
    /// Its handler answered.
    Answered(Result<Done, Failure>),
    /// It panicked.
    Panicked(String),
    /// It took too long.
    TimedOut,
    /// It was cancelled.
    Cancelled,
    /// The worker stops.
    HandedBack,
    /// The worker has lost its lease, so that the job is not its own any more.
    Lost,
}

impl Inner {
    /// Begins an attempt as a task of its own.
    pub(super) fn begin(
        self: &Arc<Self>,
        queue: &'static str,
        job: Claimed,
        permit: Option<OwnedSemaphorePermit>,
        lost: &CancellationToken,
    ) {
        let known = self.list.kinds.get_key_value(job.kind.as_str()).map(|(name, kind)| (*name, kind.clone()));
        let name = known.as_ref().map_or(UNKNOWN, |(name, _)| *name);
        let deadline = Instant::now() + known.as_ref().map_or(UNKNOWN_WAITS, |(_, kind)| kind.deadline);
        let cancel = CancellationToken::new();
        let ended = Ended { job: job.id, lease: job.lease, attempt: job.attempt, started_at: job.started_at };
        let running = Running { queue, kind: name, ended, deadline, cancel: cancel.clone() };
        self.running().insert((job.id, job.lease), running);
        let (inner, lost) = (Arc::clone(self), lost.clone());
        self.spawn.work(
            "job",
            Box::pin(async move {
                let begun = Instant::now();
                // Taken off the list however this future ends.
                let _listed = Listed { inner: Arc::clone(&inner), key: (ended.job, ended.lease) };
                let end = match known {
                    Some((_, kind)) => inner.attempt(&kind, job.clone(), deadline, (cancel, lost)).await,
                    None => End::Answered(Ok(Done::Snoozed(UNKNOWN_WAITS))),
                };
                let kind = inner.list.kinds.get(name);
                let (ending, outcome) = inner.judge(end, &job, kind);
                let mine = match ending {
                    Some(ending) => inner.end(ended, ending).await,
                    None => true,
                };
                // Where it was not ours to end any more, somebody has taken it for dead.
                let outcome = if mine { outcome } else { Outcome::Lost };
                inner.figures.ended(queue, name, outcome, begun.elapsed().as_secs_f64());
                drop(permit);
            }),
        );
    }

    async fn attempt(
        &self,
        kind: &Kind,
        job: Claimed,
        deadline: Instant,
        (cancel, lost): (CancellationToken, CancellationToken),
    ) -> End {
        let context = JobContext {
            job: job.id,
            tenant: job.tenant,
            group: job.group,
            attempt: job.attempt,
            most_attempts: job.most_attempts,
            run_at: job.run_at,
            started_at: job.started_at,
            trace: job.trace,
            deadline,
            fence: Fence {
                job: job.id,
                lease: job.lease,
                keep_until: job.started_at.plus(kind.deadline).plus(self.settings.keeping.done),
            },
            cancelled: cancel.clone(),
        };
        let handled = AssertUnwindSafe(async { (kind.handler)(context, &job.arguments).await }).catch_unwind();
        tokio::select! {
            biased;
            () = lost.cancelled() => End::Lost,
            () = cancel.cancelled() => End::Cancelled,
            () = self.hand_back.cancelled() => End::HandedBack,
            answer = timeout_at(deadline, handled) => match answer {
                Err(_) => End::TimedOut,
                Ok(Ok(answer)) => End::Answered(answer),
                Ok(Err(panic)) => End::Panicked(panic_message(&*panic).to_owned()),
            },
        }
    }

    /// What is stored for an end; nothing when it is stored already, or not ours to store.
    fn judge(&self, end: End, job: &Claimed, kind: Option<&Kind>) -> (Option<Ending>, Outcome) {
        let now = self.clock.now();
        let failure = match end {
            End::Lost => return (None, Outcome::Lost),
            End::Cancelled => return (Some(Ending::Cancelled), Outcome::Cancelled),
            End::HandedBack => return (Some(Ending::HandedBack), Outcome::HandedBack),
            End::Answered(Ok(Done::Settled)) => return (None, Outcome::Done),
            End::Answered(Ok(Done::Finished)) => return (Some(Ending::Done), Outcome::Done),
            End::Answered(Ok(Done::Snoozed(wait))) => {
                return (Some(Ending::Snoozed { until: now.plus(wait) }), Outcome::Snoozed);
            }
            End::Answered(Err(failure)) => failure,
            End::Panicked(words) => Failure::new(format_args!("It panicked: {words}")),
            End::TimedOut => {
                let deadline = kind.map_or(Duration::ZERO, |kind| kind.deadline);
                Failure::new(format_args!("It took longer than {deadline:?} and was stopped."))
            }
        };
        let Failure { error, told, retry } = failure;
        tracing::warn!(job = %job.id, kind = job.kind, attempt = job.attempt, error = told, "an attempt of a job failed");
        let wait = match retry {
            Retry::Never => return (Some(Ending::Dead { error }), Outcome::Dead),
            _ if job.attempt >= job.most_attempts => return (Some(Ending::Dead { error }), Outcome::Dead),
            Retry::After(wait) => wait,
            Retry::Backoff => {
                let wait = kind.map_or(UNKNOWN_WAITS, |kind| (kind.backoff)(job.attempt));
                jittered(wait, self.entropy.as_ref())
            }
        };
        (Some(Ending::Retry { at: now.plus(wait), error }), Outcome::Failed)
    }
}

/// Takes an attempt off the list.
struct Listed {
    inner: Arc<Inner>,
    key: (mainstay_domain::JobId, i64),
}

impl Drop for Listed {
    fn drop(&mut self) {
        self.inner.running().remove(&self.key);
    }
}
