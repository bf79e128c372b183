//! Limits over all queues together, for whoever must not be asked too much by all of them: the database, or one upstream.
//!
//! Claims of different queues meet in one row, which each takes after that of its own queue: so the limits are exact. A queue
//! of which nothing runs finds a place that the others may not take, or a busy queue would never let it begin.

use std::time::Duration;

use mainstay_domain::Timestamp;

use super::super::rate::{Bucket, Rate};
use crate::error::Result;
use crate::sql::statements;
use crate::tx::Tx;
use crate::value::{At, count};

statements! {
    /// The lock of all claims, and how far the rate is used up.
    OVERALL = both("
        INSERT INTO job_rate (queue, group_key, full_at) VALUES ('', '', $1)
        ON CONFLICT (queue, group_key) DO UPDATE SET full_at = job_rate.full_at RETURNING full_at");
    /// The orders are those of the indexes: without them a planner may hope to find one by walking the table.
    PLACES = both("
        SELECT (SELECT count(*) FROM job r WHERE r.state = 'running' AND r.queue > '') AS running,
          (SELECT count(*) FROM job r WHERE r.state = 'running' AND r.queue = $1) AS own,
          (SELECT count(*) FROM job_queue WHERE job_queue.name <> $1 AND job_queue.paused_at IS NULL
            AND coalesce((SELECT 1 FROM job r WHERE r.state = 'running' AND r.queue = job_queue.name ORDER BY r.group_key LIMIT 1), 0) = 0
            AND coalesce((SELECT 1 FROM job j WHERE j.state = 'ready' AND j.queue = job_queue.name ORDER BY j.priority LIMIT 1), 0) = 1) AS waiting");
    SPEND_OVERALL = both("UPDATE job_rate SET full_at = $1 WHERE queue = '' AND group_key = ''");
}

/// When to look again for a place: nobody is told when a job of another queue ends.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// What holds over all queues and nodes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OverallLimits {
    /// How many jobs run at once. With fewer places than queues some queues may wait long.
    pub running: Option<u32>,
    /// How many jobs begin.
    pub rate: Option<Rate>,
}

#[derive(sqlx::FromRow)]
struct RateRow {
    full_at: At,
}

#[derive(sqlx::FromRow)]
struct PlacesRow {
    running: i64,
    own: i64,
    waiting: i64,
}

/// What the limits over all queues leave to one claim.
pub(super) struct Overall {
    bucket: Option<Bucket>,
    /// How many may begin.
    pub(super) room: usize,
    /// When there may be more room.
    pub(super) next_at: Timestamp,
}

impl Overall {
    /// Reads what is left, and keeps all other claims out until the transaction ends; nothing when there is no such limit.
    pub(super) async fn read(
        tx: &mut Tx<'_>,
        limits: OverallLimits,
        queue: &str,
        now: Timestamp,
    ) -> Result<Option<Self>> {
        if limits == OverallLimits::default() {
            return Ok(None);
        }
        let row: Option<RateRow> = tx.query(OVERALL).bind(At(now)).row().await?;
        let mut overall = Self { bucket: None, room: usize::MAX, next_at: now.plus(LOOK_AGAIN) };
        if let Some(limit) = limits.running {
            let places: Option<PlacesRow> = tx.query(PLACES).bind(queue).row().await?;
            overall.room = places.map_or(0, |places| places.left(limit));
        }
        if let Some(rate) = limits.rate {
            let bucket = Bucket::new(rate, row.map(|row| row.full_at.0), now);
            if bucket.room(now) < overall.room {
                overall.room = bucket.room(now);
                overall.next_at = bucket.next_at();
            }
            overall.bucket = Some(bucket);
        }
        Ok(Some(overall))
    }

    /// Counts what was taken.
    pub(super) async fn spend(&mut self, tx: &mut Tx<'_>, jobs: usize) -> Result<()> {
        if let Some(bucket) = self.bucket.as_mut().filter(|_| jobs > 0) {
            bucket.spend(jobs);
            tx.query(SPEND_OVERALL).bind(At(Timestamp::from_millis(bucket.full_at()))).run().await?;
        }
        Ok(())
    }
}

impl PlacesRow {
    /// How many of these places a queue may take: those that no other queue waits for, and one if it has none itself.
    fn left(&self, limit: u32) -> usize {
        let free = limit.saturating_sub(count(self.running));
        let least = u32::from(self.own == 0);
        free.min(free.saturating_sub(count(self.waiting)).max(least)) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_queue_takes_the_last_places_of_those_that_have_none() {
        let left = |running, own, waiting| PlacesRow { running, own, waiting }.left(5);
        assert_eq!(left(0, 0, 0), 5);
        assert_eq!(left(2, 2, 1), 2, "one is for the queue that waits");
        assert_eq!(left(4, 4, 1), 0);
        assert_eq!(left(4, 0, 1), 1, "the first of its own, though another waits too");
        assert_eq!(left(0, 0, 9), 1, "more queues than places: somebody begins");
        assert_eq!(left(5, 0, 0), 0);
        assert_eq!(left(7, 0, 0), 0, "the limit was lowered");
    }
}
