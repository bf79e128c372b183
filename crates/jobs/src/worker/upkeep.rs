//! What a worker does beside working: it wakes queues, makes due jobs ready, rescues, forgets, and watches its own.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use mainstay_domain::{JobId, Timestamp};
use mainstay_store::{
    Ending, ExpiredLeases, FinishJobs, ForgetJobs, ForgetProbes, JobsOf, LookForJobs, PromoteJobs, ReleaseLease,
    RescueJobs,
};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};

use super::Inner;
use super::lease::WORKERS;
use crate::kind::jittered;

/// The most jobs that one statement makes ready.
const PROMOTED_AT_ONCE: u32 = 500;
/// A full bite of forgetting: there is more.
const BITE: usize = 1000;
/// How often it is looked for what can be forgotten.
const FORGET_EVERY: Duration = Duration::from_secs(10);
/// How often attempts are looked at that should have ended.
const WATCH_EVERY: Duration = Duration::from_secs(1);
/// How long after its deadline an attempt that does not stop is ended for it.
const STUCK_AFTER: Duration = Duration::from_secs(5);
/// How long a lease that has ended is kept, so that its number is known in the rows that are rescued.
const LEASES_KEPT: Duration = Duration::from_secs(600);
/// For how long probes are kept.
const PROBES_KEPT: Duration = Duration::from_secs(24 * 3600);

impl Inner {
    /// Looks for work once a poll, when something is due, and when it is told to.
    pub(super) async fn keep_moving(self: Arc<Self>) {
        loop {
            self.next_look.store(u64::MAX, Ordering::Release);
            let next = match self.look().await {
                Ok(next) => next,
                Err(error) => {
                    tracing::warn!(%error, "jobs could not be looked for; it is tried again");
                    None
                }
            };
            if let Some(next) = next {
                self.next_look.fetch_min(u64::try_from(next.as_millis()).unwrap_or(0), Ordering::AcqRel);
            }
            loop {
                let now = u64::try_from(self.clock.now().as_millis()).unwrap_or(0);
                let due = Duration::from_millis(self.next_look.load(Ordering::Acquire).saturating_sub(now));
                // Nodes that began together do not look together.
                let poll = jittered(self.settings.poll, self.entropy.as_ref());
                if due.is_zero() || timeout(due.min(poll), self.upkeep.notified()).await.is_err() {
                    break;
                }
            }
        }
    }

    /// One look. The answer is when something is due next.
    async fn look(&self) -> mainstay_store::Result<Option<Timestamp>> {
        let tick = self.tick().await?;
        let worker = self.lease.load(Ordering::Acquire);
        let waiting = self.store.run_for_jobs(&self.call(), LookForJobs { worker }).await?;
        for queue in &waiting.queues {
            self.wake(queue);
        }
        for job in waiting.to_cancel {
            self.cancel(job);
        }
        let mut next = waiting.next_at;
        while next.is_some_and(|next| next <= self.clock.now()) {
            let promote = PromoteJobs { most: PROMOTED_AT_ONCE, now: self.clock.now() };
            let mut queues = self.store.run_for_jobs(&self.call(), promote).await?;
            let more = queues.len() >= PROMOTED_AT_ONCE as usize;
            queues.sort_unstable();
            queues.dedup();
            for queue in &queues {
                self.wake(queue);
            }
            if !more {
                next = self.store.run_for_jobs(&self.call(), LookForJobs { worker }).await?.next_at;
                if queues.is_empty() {
                    // Another node is making them ready at this moment.
                    break;
                }
            }
        }
        Ok([next, tick].into_iter().flatten().min())
    }

    /// Takes back what workers have left that have died, and forgets their leases.
    pub(super) async fn rescue(self: Arc<Self>) {
        let mut ticks = interval(self.rescue_every());
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut unrun = BTreeSet::new();
        loop {
            ticks.tick().await;
            if let Err(error) = self.rescue_once().await {
                tracing::warn!(%error, "jobs of workers that have died could not be looked for; it is tried again");
            }
            match self.hand_back_unrun(&unrun).await {
                Ok(found) => unrun = found,
                Err(error) => tracing::warn!(%error, "jobs that nobody runs could not be looked for"),
            }
        }
    }

    /// Hands back what has this worker's lease though nobody here runs it, which a claim whose commit was not confirmed
    /// leaves behind: what was found so twice. What was found once is the answer.
    async fn hand_back_unrun(&self, seen: &BTreeSet<(JobId, i64)>) -> mainstay_store::Result<BTreeSet<(JobId, i64)>> {
        let (worker, now) = (self.lease.load(Ordering::Acquire), self.clock.now());
        if worker == 0 {
            return Ok(BTreeSet::new());
        }
        let stored = self.store.run_for_jobs(&self.call(), JobsOf { worker, now }).await?;
        let unrun: Vec<_> = {
            let running = self.running();
            stored.into_iter().filter(|attempt| !running.contains_key(&(attempt.job, attempt.lease))).collect()
        };
        let (twice, once): (Vec<_>, Vec<_>) =
            unrun.into_iter().partition(|attempt| seen.contains(&(attempt.job, attempt.lease)));
        for bite in twice.chunks(1000) {
            let finish = FinishJobs { attempts: bite.to_vec(), keeping: self.settings.keeping, now };
            let back = self.store.run_for_jobs(&self.call(), finish).await?;
            tracing::warn!(jobs = back.len(), "jobs that were claimed and that nobody ran were handed back");
            self.wakes.values().for_each(tokio::sync::Notify::notify_one);
        }
        Ok(once.into_iter().map(|attempt| (attempt.job, attempt.lease)).collect())
    }

    async fn rescue_once(&self) -> mainstay_store::Result<()> {
        loop {
            let rescue = RescueJobs { keeping: self.settings.keeping, now: self.clock.now() };
            let rescued = self.store.run_for_jobs(&self.call(), rescue).await?;
            if rescued == 0 {
                break;
            }
            tracing::info!(rescued, "jobs were taken back from workers that have died");
            self.figures.rescued.inc_by(rescued as u64);
            self.wakes.values().for_each(tokio::sync::Notify::notify_one);
        }
        let long_ago = self.clock.now().minus(LEASES_KEPT);
        for lease in self.store.run_for_jobs(&self.call(), ExpiredLeases { prefix: WORKERS, now: long_ago }).await? {
            let release = ReleaseLease { name: lease.name, number: lease.number };
            self.store.run_for_jobs(&self.call(), release).await?;
        }
        Ok(())
    }

    /// Forgets, in small bites, what has been kept long enough. Between two bites it rests for as long as one took.
    pub(super) async fn forget(self: Arc<Self>) {
        loop {
            sleep(jittered(FORGET_EVERY, self.entropy.as_ref())).await;
            loop {
                let begun = Instant::now();
                let now = self.clock.now();
                let probes = self.store.run_for_jobs(&self.call(), ForgetProbes(now.minus(PROBES_KEPT))).await;
                match self.store.run_for_jobs(&self.call(), ForgetJobs { now }).await {
                    Ok(forgotten) => {
                        self.figures.forgotten.inc_by(forgotten as u64);
                        if forgotten < BITE && probes.is_ok_and(|probes| (probes as usize) < BITE) {
                            break;
                        }
                    }
                    Err(error) => {
                        tracing::warn!(%error, "old jobs could not be forgotten; it is tried again");
                        break;
                    }
                }
                sleep(begun.elapsed()).await;
            }
        }
    }

    /// Ends, on their behalf, attempts that did not stop at their deadline because they never wait: their thread is lost,
    /// their job is not.
    pub(super) async fn watch(self: Arc<Self>) {
        let mut ticks = interval(WATCH_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let late = Instant::now().checked_sub(STUCK_AFTER);
            let stuck: Vec<_> = {
                let running = self.running();
                let stuck = running.values().filter(|attempt| late.is_some_and(|late| attempt.deadline < late));
                stuck.map(|attempt| (attempt.queue, attempt.kind, attempt.ended)).collect()
            };
            for (queue, kind, ended) in stuck {
                tracing::error!(queue, kind, job = %ended.job, "an attempt does not stop; its job is given to another");
                let error = "It did not stop at its deadline, and was given up.".to_owned();
                let ending = Ending::Retry { at: self.clock.now(), error };
                if self.end(ended, ending).await {
                    self.figures.stuck.inc();
                }
                self.running().remove(&(ended.job, ended.lease));
            }
        }
    }
}
