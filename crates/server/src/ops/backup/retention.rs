//! Which backups are kept: all of the last hours, then one of each day, then one of each week.

use std::collections::BTreeSet;
use std::time::Duration;

use mainstay_domain::Timestamp;

use crate::config;

const DAY: i64 = 86_400_000;
/// 1970 began on a Thursday: weeks that begin on Monday are three days off.
const THREE_DAYS: i64 = 3 * DAY;

/// How long backups are kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct Policy {
    all: Duration,
    daily: i64,
    weekly: i64,
}

impl Policy {
    pub(super) fn of(settings: &config::Backup) -> Self {
        Self {
            all: Duration::from_secs(settings.keep_all_hours * 3_600),
            daily: i64::try_from(settings.keep_daily_days).unwrap_or(i64::MAX),
            weekly: i64::try_from(settings.keep_weekly_weeks).unwrap_or(i64::MAX),
        }
    }

    /// Which of these moments are not needed any more. The newest of each day and week stands for it, and the newest of all
    /// is always kept, however old.
    pub(super) fn surplus(self, taken: &[Timestamp], now: Timestamp) -> Vec<Timestamp> {
        let mut newest_first: Vec<Timestamp> = taken.to_vec();
        newest_first.sort_unstable_by(|one, other| other.cmp(one));
        let (mut days, mut weeks) = (BTreeSet::new(), BTreeSet::new());
        let day = |moment: Timestamp| moment.as_millis().div_euclid(DAY);
        let week = |moment: Timestamp| (moment.as_millis() + THREE_DAYS).div_euclid(7 * DAY);
        let mut surplus = Vec::new();
        for (number, moment) in newest_first.into_iter().enumerate() {
            let first_of_day = days.insert(day(moment));
            let first_of_week = weeks.insert(week(moment));
            let kept = number == 0
                || now.since(moment) <= self.all
                || (first_of_day && day(now) - day(moment) < self.daily)
                || (first_of_week && week(now) - week(moment) < self.weekly);
            if !kept {
                surplus.push(moment);
            }
        }
        surplus
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HOUR: i64 = 3_600_000;
    const NOW: i64 = 1_790_000_000_000;

    fn policy(all: u64, daily: i64, weekly: i64) -> Policy {
        Policy { all: Duration::from_secs(all * 3_600), daily, weekly }
    }

    fn kept(policy: Policy, taken: &[i64]) -> Vec<i64> {
        let moments: Vec<_> = taken.iter().copied().map(Timestamp::from_millis).collect();
        let surplus = policy.surplus(&moments, Timestamp::from_millis(NOW));
        taken.iter().copied().filter(|moment| !surplus.contains(&Timestamp::from_millis(*moment))).collect()
    }

    #[test]
    fn hours_then_days_then_weeks() {
        // One an hour for a hundred days.
        let taken: Vec<i64> = (0..2_400).map(|hours| NOW - hours * HOUR).collect();
        let kept = kept(policy(48, 14, 8), &taken);
        assert_eq!(kept.iter().filter(|moment| NOW - **moment <= 48 * HOUR).count(), 49);
        let count = kept.len();
        assert!((49 + 10..=49 + 14 + 8).contains(&count), "{count} are kept");
        assert!(kept.iter().any(|moment| NOW - moment > 40 * DAY), "some are old");
        assert!(kept.iter().all(|moment| NOW - moment < 57 * DAY), "none is older than eight weeks");
    }

    #[test]
    fn the_newest_is_kept_however_old() {
        assert_eq!(kept(policy(1, 1, 0), &[NOW - 900 * DAY, NOW - 901 * DAY]), [NOW - 900 * DAY]);
    }

    proptest! {
        #[test]
        fn thinning_again_and_again_leaves_what_thinning_once_does(
            gaps in prop::collection::vec(1_i64..200, 1..120), all in 1_u64..100, daily in 0_i64..30, weekly in 0_i64..12,
        ) {
            let policy = policy(all, daily, weekly);
            let mut at = NOW;
            let taken: Vec<i64> = gaps.iter().map(|gap| { at -= gap * HOUR; at }).collect();
            let once = kept(policy, &taken);
            prop_assert_eq!(kept(policy, &once), once.clone());
            prop_assert_eq!(once.first(), taken.first());
        }
    }
}
