//! Schedules: each tick is taken by one node, in the transaction that promises its job.

use mainstay_domain::{Result, Timestamp};
use mainstay_store::{Call, ListSchedules, RegisterSchedule, TakeTick};

use super::{Inner, PATIENCE};
use crate::list::{Missed, Scheduled};

/// The most ticks of one schedule that are taken in one look. The next look goes on.
const MOST_TICKS: usize = 1000;

impl Inner {
    /// Makes the schedules of the list known.
    pub(super) async fn register_schedules(&self) -> Result<()> {
        let now = self.clock.now();
        for scheduled in &self.list.schedules {
            let Some(next_at) = scheduled.schedule.next_after(now) else { continue };
            let definition = scheduled.schedule.to_string();
            let register = RegisterSchedule { name: scheduled.name, definition, next_at, now };
            self.store.run(&Call::within(PATIENCE), register).await?;
        }
        Ok(())
    }

    /// Takes the ticks that are due. The answer is when the next one is.
    pub(super) async fn tick(&self) -> mainstay_store::Result<Option<Timestamp>> {
        if self.list.schedules.is_empty() {
            return Ok(None);
        }
        let stored = self.store.run_for_jobs(&self.call(), ListSchedules).await?;
        let mut next: Option<Timestamp> = None;
        for scheduled in &self.list.schedules {
            // Another version may have given it another meaning: that one ticks it.
            let mine = scheduled.schedule.to_string();
            let known = stored.iter().find(|row| row.name == scheduled.name && row.definition == mine);
            if let Some(row) = known {
                let after = self.take_ticks(scheduled, row.next_at).await?;
                next = [next, after].into_iter().flatten().min();
            }
        }
        Ok(next)
    }

    /// Takes the ticks of a schedule from this one to the present moment.
    async fn take_ticks(
        &self,
        scheduled: &Scheduled,
        mut tick: Timestamp,
    ) -> mainstay_store::Result<Option<Timestamp>> {
        for _ in 0..MOST_TICKS {
            let now = self.clock.now();
            if tick > now {
                return Ok(Some(tick));
            }
            let Some(mut following) = scheduled.schedule.next_after(tick) else { return Ok(None) };
            let mut due = tick;
            if scheduled.missed == Missed::Latest {
                for _ in 0..MOST_TICKS {
                    if following > now {
                        break;
                    }
                    due = following;
                    match scheduled.schedule.next_after(following) {
                        Some(later) => following = later,
                        None => break,
                    }
                }
            }
            let promise = (scheduled.promise)(self.ids.make(), due);
            let job = promise.map_err(|error| mainstay_store::Error::Bug(error.to_string()))?.job();
            let take = TakeTick { name: scheduled.name, tick, next_at: following, job: Some(job), now };
            if !self.store.run_for_jobs(&self.call(), take).await? {
                // Another node has it; the next look sees where the schedule stands.
                return Ok(None);
            }
            self.figures.ticks.inc();
            tick = following;
        }
        Ok(Some(tick))
    }
}
