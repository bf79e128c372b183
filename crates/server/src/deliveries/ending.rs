//! Ending attempts: what waits at the same moment is stored by one transaction, with what it says of the endpoints.

use std::collections::BTreeSet;
use std::time::Duration;

use mainstay_domain::JobId;
use mainstay_store::{AttemptEnd, Call, EndAttempts, EndedAttempts, Error};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep};

use super::Deliveries;

/// The most attempts that one transaction ends.
const TOGETHER: usize = 250;
/// How long a transaction may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// The wait after one that failed, and for how long it is tried: less than the time that a handler has after its
/// exchange.
const PAUSE: Duration = Duration::from_millis(100);
const GIVE_UP: Duration = Duration::from_secs(10);

/// An attempt that waits to be stored.
pub(super) struct Waiting {
    end: AttemptEnd,
    answer: oneshot::Sender<bool>,
}

impl Deliveries {
    /// Stores how an attempt ended. False when the job was not ours any more, or could not be ended for too long.
    pub(super) async fn end(&self, end: AttemptEnd) -> bool {
        let (answer, answered) = oneshot::channel();
        self.endings.send(Waiting { end, answer }).await.is_ok() && answered.await.unwrap_or(false)
    }

    /// Stores ends of attempts until the end, in batches.
    pub(super) async fn end_all(&self, mut ended: mpsc::Receiver<Waiting>) {
        let mut batch = Vec::with_capacity(TOGETHER);
        while ended.recv_many(&mut batch, TOGETHER).await > 0 {
            let ends: Vec<_> = batch.iter().map(|waiting: &Waiting| waiting.end.clone()).collect();
            let stored = self.store_ends(&ends).await;
            for waiting in batch.drain(..) {
                let mine = stored.contains(&waiting.end.job);
                // Whoever made the attempt may be gone; it is stored all the same.
                let _ = waiting.answer.send(mine);
            }
        }
    }

    /// Offers a batch to the database for a while. When the fault lies in one of them, each is offered alone.
    async fn store_ends(&self, ends: &[AttemptEnd]) -> BTreeSet<JobId> {
        let give_up = Instant::now() + GIVE_UP;
        loop {
            match self.try_ends(ends).await {
                Ok(stored) => return stored,
                Err(error) if is_of_the_rows(&error) => {
                    tracing::error!(%error, attempts = ends.len(), "ends of attempts cannot be stored");
                    let mut stored = BTreeSet::new();
                    for end in ends.iter().filter(|_| ends.len() > 1) {
                        stored.extend(self.try_ends(std::slice::from_ref(end)).await.unwrap_or_default());
                    }
                    return stored;
                }
                Err(error) if Instant::now() < give_up => {
                    tracing::warn!(%error, attempts = ends.len(), "ends of attempts could not be stored; it is tried again");
                    sleep(PAUSE).await;
                }
                Err(error) => {
                    tracing::error!(%error, attempts = ends.len(), "ends of attempts could not be stored");
                    return BTreeSet::new();
                }
            }
        }
    }

    async fn try_ends(&self, ends: &[AttemptEnd]) -> Result<BTreeSet<JobId>, Error> {
        let end =
            EndAttempts { attempts: ends.to_vec(), policy: self.policy, keeping: self.keeping, now: self.clock.now() };
        let EndedAttempts { ended, rested, disabled } = self.store.run_for_jobs(&Call::within(PATIENCE), end).await?;
        self.figures.rested(rested);
        for (tenant, endpoint, reason) in disabled {
            tracing::info!(%tenant, %endpoint, %reason, "an endpoint was disabled");
            self.figures.disabled(reason);
        }
        Ok(ended.into_iter().collect())
    }
}

fn is_of_the_rows(error: &Error) -> bool {
    matches!(
        error,
        Error::Unique(_)
            | Error::Missing(_)
            | Error::Constraint(_)
            | Error::Isolation(_)
            | Error::Corrupt(_)
            | Error::Bug(_)
    )
}
