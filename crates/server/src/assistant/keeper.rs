//! What keeps replies safe while they are made: this node's lease, the saving once a second, and the rescue of replies
//! whose node is gone.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::future::join_all;
use mainstay_domain::{Error, GenerationId, Result};
use mainstay_store::{
    AcquireLease, Call, ExpireLeases, ExpiredLeases, LeasesGone, ReleaseLease, RenewLease, RepliesOf, SaveReply, Saved,
    Store,
};
use tokio::time::{Instant, MissedTickBehavior, interval};
use uuid::Uuid;

use super::live::Live;
use super::service::Assistant;

/// How the names of nodes' leases begin.
const NODES: &str = "node:";
/// How long a statement of the keeper may take.
const PATIENCE: Duration = Duration::from_secs(3);
/// How often leases that have ended are looked for.
const RESCUE_EVERY: Duration = Duration::from_secs(2);
/// Between two looks for replies that have this node's lease and that nobody on this node makes. What is found twice is
/// given up. Whoever sent the message waits until then: it was stored, by a commit whose answer did not arrive.
const ORPHANS_EVERY: Duration = Duration::from_secs(5);
/// The most bites, of 500 replies each, that one look takes from one lease. The next look goes on.
const MOST_BITES: usize = 20;

impl Assistant {
    /// Takes this node's lease and starts the keepers. `alone` says that no other process can be serving from this
    /// database: what others have left is then taken up at once.
    ///
    /// # Errors
    /// When the lease cannot be had.
    pub async fn start(self: &Arc<Self>, alone: bool) -> Result<()> {
        if alone {
            let expire = ExpireLeases { prefix: NODES, now: self.clock.now() };
            self.store.run(&Call::within(PATIENCE), expire).await?;
        }
        let mut name = self.lease_name();
        self.acquire(&name).await?;
        let (assistant, drained) = (Arc::clone(self), self.lifecycle.drained());
        self.lifecycle.spawn("node lease", async move {
            tokio::select! {
                () = assistant.hold(&mut name) => {}
                () = drained => {}
            }
            assistant.release(&name).await;
        });
        let assistant = Arc::clone(self);
        self.lifecycle.spawn_until_drained("checkpoints", async move { assistant.save_all().await });
        let assistant = Arc::clone(self);
        self.lifecycle.spawn_until_stopped("rescue", async move { assistant.rescue().await });
        Ok(())
    }

    fn lease_name(&self) -> String {
        format!("{NODES}{}", self.ids.make::<Uuid>())
    }

    async fn acquire(&self, name: &str) -> Result<()> {
        let acquire = AcquireLease {
            name: name.to_owned(),
            holder: format!("process {}", std::process::id()),
            now: self.clock.now(),
            lasts: self.settings.lease(),
        };
        match self.store.run(&Call::within(PATIENCE), acquire).await? {
            Some(number) => {
                self.lease.store(number, Ordering::Release);
                Ok(())
            }
            None => Err(Error::internal("the lease of this node is held by another")),
        }
    }

    /// Renews the lease for ever. When it is lost (a pause of the process, an outage of the database), the replies that
    /// were made under it belong to whoever took them, and a new lease is taken. It has a name of its own: the row of the
    /// lost one stays, because only through it are the replies found that nobody has taken yet.
    async fn hold(&self, name: &mut String) {
        let lasts = self.settings.lease();
        let mut ticks = interval(lasts / 4);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut good_until = Instant::now() + lasts;
        loop {
            ticks.tick().await;
            let number = self.lease.load(Ordering::Acquire);
            let begun = Instant::now();
            let renewed = if number == 0 {
                *name = self.lease_name();
                self.acquire(name).await.map(|()| true)
            } else {
                let renew = RenewLease { name: name.clone(), number, now: self.clock.now(), lasts };
                self.store.run(&Call::within(PATIENCE.min(lasts / 4)), renew).await.map_err(Error::from)
            };
            match renewed {
                Ok(true) => good_until = begun + lasts,
                Ok(false) => {
                    tracing::error!(lease = number, "this node has lost its lease; its replies are given up");
                    self.give_up(number);
                }
                Err(error) => {
                    tracing::warn!(%error, inside = ?error.inside, "the lease of this node could not be renewed; it is tried again");
                    if number != 0 && Instant::now() >= good_until {
                        self.give_up(number);
                    }
                }
            }
        }
    }

    fn give_up(&self, number: i64) {
        self.lease.store(0, Ordering::Release);
        for live in self.registry.all().into_iter().filter(|live| live.lease == number) {
            live.lost.cancel();
        }
    }

    /// Ends the lease. Its row stays for whoever looks next, who finds through it what this node could not settle.
    async fn release(&self, name: &str) {
        let number = self.lease.swap(0, Ordering::AcqRel);
        let end = RenewLease { name: name.to_owned(), number, now: self.clock.now(), lasts: Duration::ZERO };
        if let Err(error) = self.store.run(&Call::within(PATIENCE), end).await {
            tracing::warn!(%error, "the lease of this node could not be given back; it ends by itself");
        }
    }

    /// Saves, once an interval, what all replies in the making have. What has not grown is not sent again, but whether a
    /// stop was asked for is looked at each time.
    async fn save_all(&self) {
        // How many bytes of each reply are saved, and which of the changes of its tools. Both only grow.
        let mut saved: HashMap<GenerationId, (usize, usize)> = HashMap::new();
        let mut ticks = interval(self.settings.checkpoint_interval());
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let now = self.clock.now();
            let due: Vec<_> = self
                .registry
                .all()
                .into_iter()
                .filter(|live| now.since(live.begun_at) >= self.settings.checkpoint_interval())
                .collect();
            let known = |live: &Live| saved.get(&live.generation).copied().unwrap_or_default();
            saved = join_all(due.iter().map(|live| save(&self.store, live, known(live)))).await.into_iter().collect();
        }
    }

    /// Takes up, again and again, what nodes left whose leases have ended, and what this node itself has lost sight of.
    async fn rescue(&self) {
        let mut ticks = interval(RESCUE_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut seen: (HashSet<GenerationId>, Instant) = (HashSet::new(), Instant::now());
        loop {
            ticks.tick().await;
            if let Err(error) = self.rescue_once().await {
                tracing::warn!(%error, "replies of nodes that are gone could not be looked for; it is tried again");
            }
            if seen.1.elapsed() >= ORPHANS_EVERY {
                match self.orphans(&seen.0).await {
                    Ok(unmade) => seen = (unmade, Instant::now()),
                    Err(error) => tracing::warn!(%error, "replies without a maker could not be looked for"),
                }
            }
        }
    }

    /// One look for leases that have ended, and for replies whose lease's row is gone: a save or an acceptance that came
    /// through after the row was taken away, or a row that a person deleted.
    async fn rescue_once(&self) -> mainstay_store::Result<()> {
        let call = || Call::within(PATIENCE);
        let expired = self.store.run(&call(), ExpiredLeases { prefix: NODES, now: self.clock.now() }).await?;
        for lease in expired {
            // The row stays until nothing is left under its number: it is how the rest is found.
            if self.interrupt(lease.number).await? {
                self.store.run(&call(), ReleaseLease { name: lease.name, number: lease.number }).await?;
            }
        }
        for number in self.store.run(&call(), LeasesGone).await? {
            self.interrupt(number).await?;
        }
        Ok(())
    }

    /// Marks the replies of a lease that nobody holds any more as interrupted, a bounded number of them. True when none
    /// is left.
    async fn interrupt(&self, lease: i64) -> mainstay_store::Result<bool> {
        let mut rescued = 0;
        let mut left = true;
        for _ in 0..MOST_BITES {
            let count = self.store.interrupt_replies_of(&Call::within(PATIENCE), lease, self.clock.now()).await?;
            rescued += count;
            left = count > 0;
            if !left {
                break;
            }
        }
        if rescued > 0 {
            tracing::info!(lease, rescued, "replies of a node that is gone were marked as interrupted");
        }
        Ok(!left)
    }

    /// Replies under this node's lease that nobody makes, which a commit that was not confirmed can leave behind. Those
    /// that were without a maker at the look before, too, are marked as interrupted; the others are the answer.
    async fn orphans(&self, seen: &HashSet<GenerationId>) -> mainstay_store::Result<HashSet<GenerationId>> {
        let number = self.lease.load(Ordering::Acquire);
        let stored = self.store.run(&Call::within(PATIENCE), RepliesOf(number)).await?;
        let made: HashSet<_> = self.registry.all().into_iter().map(|live| live.generation).collect();
        let (lost, unmade): (Vec<_>, Vec<_>) = stored
            .into_iter()
            .filter(|reply| !made.contains(&reply.generation))
            .partition(|reply| seen.contains(&reply.generation));
        self.store.interrupt_replies(&Call::within(PATIENCE), &lost, number, self.clock.now()).await?;
        Ok(unmade.into_iter().map(|reply| reply.generation).collect())
    }
}

/// Saves a reply of which so much is saved. The answer is how much is saved then.
async fn save(store: &Store, live: &Live, known: (usize, usize)) -> (GenerationId, (usize, usize)) {
    let changes = live.watch().borrow().tools;
    let text = (live.bytes() > known.0 || changes > known.1).then(|| live.text());
    let now = text.as_ref().map_or(known, |text| (text.len(), changes));
    let tools = if text.is_some() { live.tools() } else { Vec::new() };
    let reply = SaveReply { tenant: live.tenant, generation: live.generation, lease: live.lease, text, tools };
    let saved = match store.save_reply(&Call::within(PATIENCE), reply).await {
        Ok(Saved::GoOn) => now,
        Ok(Saved::StopRequested) => {
            live.stop.cancel();
            now
        }
        // It is settled at this moment, or it belongs to another; the settling finds out.
        Ok(Saved::Gone) => known,
        Err(error) => {
            tracing::warn!(generation = %live.generation, %error, "a reply could not be saved; it is tried again");
            known
        }
    };
    (live.generation, saved)
}
