//! How many jobs may begin within a time.

use std::time::Duration;

use mainstay_domain::Timestamp;

/// So many jobs may begin within a time, all at once or spread over it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How many; at least 1.
    pub jobs: u32,
    /// Within this time.
    pub within: Duration,
}

/// A rate as the moment until which it is used up (the generic cell rate algorithm, ITU-T I.371): each job moves it on by
/// the time that one may take, and it may lie ahead by as much as all of them take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bucket {
    /// In microseconds since 1970.
    full_at: i64,
    rate: Rate,
    spent: bool,
}

impl Bucket {
    pub(crate) fn new(rate: Rate, full_at: Option<Timestamp>, now: Timestamp) -> Self {
        let full_at = full_at.map_or(i64::MIN, Timestamp::as_millis).max(now.as_millis()).saturating_mul(1000);
        Self { full_at, rate, spent: false }
    }

    /// The time that one job takes, in microseconds.
    fn step(self) -> i64 {
        let within = i64::try_from(self.rate.within.as_micros()).unwrap_or(i64::MAX);
        (within / i64::from(self.rate.jobs.max(1))).max(1)
    }

    fn end(self, now: Timestamp) -> i64 {
        now.plus(self.rate.within).as_millis().saturating_mul(1000)
    }

    /// How many may begin now.
    pub(crate) fn room(self, now: Timestamp) -> usize {
        usize::try_from((self.end(now) - self.full_at) / self.step()).unwrap_or(0)
    }

    /// Whether something was taken from it.
    pub(crate) fn is_spent(self) -> bool {
        self.spent
    }

    pub(crate) fn spend(&mut self, jobs: usize) {
        self.full_at += self.step() * i64::try_from(jobs).unwrap_or(0);
        self.spent = true;
    }

    pub(crate) fn full_at(self) -> i64 {
        // Rounded up: never more than the rate.
        self.full_at.div_euclid(1000) + i64::from(self.full_at.rem_euclid(1000) != 0)
    }

    /// When the next one may begin.
    pub(crate) fn next_at(self) -> Timestamp {
        Timestamp::from_millis(self.full_at() + self.step() / 1000 + 1).minus(self.rate.within)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);
    const START: Timestamp = Timestamp::from_millis(1_700_000_000_000);

    #[test]
    fn no_more_than_the_rate_begin_at_once_and_then_one_after_the_other() {
        let rate = Rate { jobs: 60, within: MINUTE };
        let mut bucket = Bucket::new(rate, None, START);
        assert_eq!(bucket.room(START), 60);
        bucket.spend(60);
        assert_eq!(bucket.room(START), 0);
        let next = bucket.next_at();
        assert!(next > START && next <= START.plus(Duration::from_millis(1001)), "{next}");
        assert_eq!(bucket.room(next), 1);
        assert_eq!(bucket.room(START.plus(MINUTE)), 60, "after its time all of them again");
    }

    #[test]
    fn what_is_stored_is_never_less_than_what_was_spent() {
        let rate = Rate { jobs: 7, within: Duration::from_secs(1) };
        let mut begun = 0;
        let mut full_at = None;
        for millis in 0..3000 {
            let now = START.plus(Duration::from_millis(millis));
            let mut bucket = Bucket::new(rate, full_at, now);
            let room = bucket.room(now);
            bucket.spend(room);
            begun += room;
            full_at = Some(Timestamp::from_millis(bucket.full_at()));
        }
        // Seven at once, and three seconds' worth.
        assert!((26..=28).contains(&begun), "{begun}");
    }
}
