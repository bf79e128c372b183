//! Ending attempts: what waits at the same moment is stored by one transaction.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use mainstay_domain::{JobId, Timestamp};
use mainstay_store::{Call, Ending, FinishJobs, Finished};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep};

use super::{Inner, PATIENCE};

/// The wait after a batch that could not be stored.
const PAUSE: Duration = Duration::from_millis(100);

/// An attempt that ends: which, and under which number.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ended {
    pub(crate) job: JobId,
    pub(crate) lease: i64,
    pub(crate) attempt: u32,
    pub(crate) started_at: Timestamp,
}

/// An ending that waits to be stored.
pub(super) struct Waiting {
    finished: Finished,
    answer: oneshot::Sender<bool>,
}

impl Inner {
    /// Stores how an attempt ended. False when the job was not ours any more, or could not be stored for as long as the
    /// lease lasts: then it is rescued.
    pub(super) async fn end(&self, ended: Ended, ending: Ending) -> bool {
        let Ended { job, lease, attempt, started_at } = ended;
        let (answer, answered) = oneshot::channel();
        let waiting = Waiting { finished: Finished { job, lease, attempt, started_at, ending }, answer };
        let Some(endings) = self.endings.get() else { return false };
        endings.send(waiting).await.is_ok() && answered.await.unwrap_or(false)
    }

    /// Stores endings until the end, in batches.
    pub(super) async fn end_all(self: Arc<Self>, mut endings: mpsc::Receiver<Waiting>) {
        let most = self.settings.batch as usize;
        let mut batch = Vec::with_capacity(most);
        while endings.recv_many(&mut batch, most).await > 0 {
            let stored = self.store_endings(&batch).await;
            for waiting in batch.drain(..) {
                let mine = stored.contains(&waiting.finished.job);
                // Whoever ended it may be gone; it is stored all the same.
                let _ = waiting.answer.send(mine);
            }
            // What ran may have stood in the way of what waits, by a limit.
            for queue in self.list.queues.iter().filter(|queue| queue.limits != Default::default()) {
                self.wake(queue.name);
            }
        }
    }

    /// Offers a batch to the database until it takes it, for as long as a lease lasts at most.
    async fn store_endings(&self, batch: &[Waiting]) -> BTreeSet<JobId> {
        let give_up = Instant::now() + self.lease_lasts();
        let attempts: Vec<_> = batch.iter().map(|waiting| waiting.finished.clone()).collect();
        loop {
            let finish =
                FinishJobs { attempts: attempts.clone(), keeping: self.settings.keeping, now: self.clock.now() };
            match self.store.run_for_jobs(&Call::within(PATIENCE), finish).await {
                Ok(ended) => return ended.into_iter().collect(),
                Err(error) if Instant::now() < give_up => {
                    tracing::warn!(attempts = batch.len(), %error, "ends of attempts could not be stored; it is tried again");
                    self.figures.retried_endings.inc();
                    sleep(PAUSE).await;
                }
                Err(error) => {
                    tracing::error!(attempts = batch.len(), %error, "ends of attempts could not be stored");
                    return BTreeSet::new();
                }
            }
        }
    }
}
