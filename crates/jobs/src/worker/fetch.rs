//! Claiming for one queue: as many as there are free slots, as soon as something is there.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use mainstay_store::{ClaimJobs, Claims};
use tokio::sync::Semaphore;
use tokio::time::sleep;

use super::Inner;
use crate::list::Queue;

/// The wait after a claim that failed.
const PAUSE: Duration = Duration::from_millis(200);

impl Inner {
    /// Claims and runs jobs of a queue for ever. Wakes up by hints; the poll of upkeep wakes it when none came.
    pub(super) async fn fetch(self: Arc<Self>, queue: Queue) {
        let (Some(slots), Some(wake)) = (self.slots.get(queue.name).cloned(), self.wakes.get(queue.name)) else {
            return;
        };
        loop {
            // Until one is free; taken for good by each job that is claimed.
            let free = tokio::select! {
                free = slots.acquire() => free.is_ok(),
                () = self.stopping.cancelled() => false,
            };
            if !free {
                return std::future::pending().await;
            }
            if !self.is_open(queue.name) {
                tokio::select! {
                    () = wake.notified() => {}
                    () = self.stopping.cancelled() => {}
                }
                continue;
            }
            match self.claim(&queue, &slots).await {
                Some(claims) if claims.more => {}
                Some(claims) => {
                    let pause = claims.next_at.map_or(Duration::MAX, |next| next.since(self.clock.now()));
                    tokio::select! {
                        () = wake.notified() => {}
                        () = self.stopping.cancelled() => {}
                        () = sleep(pause), if claims.next_at.is_some() => {}
                    }
                }
                None => sleep(PAUSE).await,
            }
        }
    }

    /// Claims once, and begins what was claimed; nothing when it failed.
    async fn claim(self: &Arc<Self>, queue: &Queue, slots: &Arc<Semaphore>) -> Option<Claims> {
        let worker = self.lease.load(Ordering::Acquire);
        if worker == 0 {
            self.leased.notified().await;
            return None;
        }
        let lost = self.lost_token();
        let free = u32::try_from(slots.available_permits()).unwrap_or(u32::MAX);
        let claim = ClaimJobs {
            queue: queue.name,
            worker,
            most: free.min(self.settings.batch),
            limits: queue.limits,
            overall: self.settings.overall,
            now: self.clock.now(),
        };
        let mut claims = match self.store.run_for_jobs(&self.call(), claim).await {
            Ok(claims) if claims.lost => {
                self.lose("its end has passed");
                return None;
            }
            Ok(claims) => claims,
            Err(error) => {
                // Whether something was claimed is unknown when the commit was not confirmed: what nobody here runs is
                // handed back by the next looks.
                tracing::warn!(queue = queue.name, %error, "jobs could not be claimed; it is tried again");
                return None;
            }
        };
        let now = self.clock.now();
        if !claims.jobs.is_empty() {
            self.figures.claimed(queue.name, claims.jobs.iter().map(|job| now.since(job.run_at).as_secs_f64()));
        }
        for job in claims.jobs.drain(..) {
            // There are as many permits as were counted above: only this task takes them.
            let permit = Arc::clone(slots).try_acquire_owned().ok();
            self.begin(queue.name, job, permit, &lost);
        }
        Some(claims)
    }
}
