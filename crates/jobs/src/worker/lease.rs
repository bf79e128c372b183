//! The worker's lease: how the others know that it lives, and how it knows that it may claim.

use std::sync::Arc;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::Duration;

use mainstay_domain::Result;
use mainstay_store::{AcquireLease, FinishJobs, JobsOf, ReleaseLease, RenewLease};
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::{Inner, PATIENCE};

/// How the names of workers' leases begin.
pub(super) const WORKERS: &str = "worker:";

impl Inner {
    /// How long the lease lasts: with the time between two looks it makes the time after which work is rescued.
    pub(super) fn lease_lasts(&self) -> Duration {
        self.settings.rescue_after - self.rescue_every()
    }

    /// How often it is looked for workers that have died.
    pub(super) fn rescue_every(&self) -> Duration {
        self.settings.rescue_after / 8
    }

    /// Takes a lease under a new name, and gives the name.
    pub(super) async fn acquire(&self) -> Result<String> {
        let name = format!("{WORKERS}{}", self.ids.make::<uuid::Uuid>());
        let acquire = AcquireLease {
            name: name.clone(),
            holder: format!("process {}", std::process::id()),
            now: self.clock.now(),
            lasts: self.lease_lasts(),
        };
        let number = self.store.run_for_jobs(&self.call(), acquire).await?;
        let number = number.ok_or_else(|| mainstay_domain::Error::internal("a lease with a new name is held"))?;
        *self.lost.lock().unwrap_or_else(PoisonError::into_inner) = CancellationToken::new();
        self.lease.store(number, Ordering::Release);
        self.leased.notify_waiters();
        Ok(name)
    }

    /// Renews the lease until the work that was begun has ended; then what is left is handed back, and the lease ends.
    pub(super) async fn hold(self: Arc<Self>, name: String) {
        let drained = self.spawn.drained();
        let held = std::sync::Mutex::new(name);
        tokio::select! {
            () = self.renew(&held) => {}
            () = drained => {}
        }
        let name = held.into_inner().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = self.hand_over(name).await {
            tracing::warn!(%error, "a worker's lease could not be given back; it ends by itself");
        }
    }

    async fn hand_over(&self, name: String) -> mainstay_store::Result<()> {
        let number = self.lease.swap(0, Ordering::AcqRel);
        let now = self.clock.now();
        loop {
            let attempts = self.store.run_for_jobs(&self.call(), JobsOf { worker: number, now }).await?;
            if attempts.is_empty() {
                break;
            }
            for bite in attempts.chunks(1000) {
                let finish = FinishJobs { attempts: bite.to_vec(), keeping: self.settings.keeping, now };
                self.store.run_for_jobs(&self.call(), finish).await?;
            }
        }
        self.store.run_for_jobs(&self.call(), ReleaseLease { name, number }).await
    }

    /// Renews the lease for ever. When it is lost, what runs here belongs to whoever takes it: the attempts are
    /// dropped, and a new lease is taken. The row of the lost one stays until it is swept up.
    async fn renew(&self, held: &std::sync::Mutex<String>) {
        let lasts = self.lease_lasts();
        let mut ticks = interval(lasts / 4);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut good_until = Instant::now() + lasts;
        loop {
            ticks.tick().await;
            let number = self.lease.load(Ordering::Acquire);
            let begun = Instant::now();
            if number == 0 {
                match self.acquire().await {
                    Ok(taken) => {
                        *held.lock().unwrap_or_else(PoisonError::into_inner) = taken;
                        good_until = begun + lasts;
                    }
                    Err(error) => tracing::warn!(%error, "a worker's lease could not be taken; it is tried again"),
                }
                continue;
            }
            let name = held.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let renew = RenewLease { name, number, now: self.clock.now(), lasts };
            let call = mainstay_store::Call::within(PATIENCE.min(lasts / 4));
            match self.store.run_for_jobs(&call, renew).await {
                Ok(true) => good_until = begun + lasts,
                Ok(false) => self.lose("somebody took it for dead"),
                Err(error) => {
                    tracing::warn!(%error, "the lease of a worker could not be renewed; it is tried again");
                    if Instant::now() >= good_until {
                        self.lose("the database could not be reached for as long as the lease lasts");
                    }
                }
            }
        }
    }

    /// Gives up what runs here.
    pub(super) fn lose(&self, why: &'static str) {
        tracing::error!(why, "this worker has lost its lease; its attempts are given up");
        self.lease.store(0, Ordering::Release);
        self.lost_token().cancel();
    }
}
