//! What is set, as a node goes by it.

use mainstay_domain::Timestamp;

use super::control::{Control, Setting};
use crate::config::MOST_LIMIT;
use crate::limits::Class;

/// Something that is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Active {
    /// Of what.
    pub control: Control,
    /// To what.
    pub setting: Setting,
    /// When it ends.
    pub until: Timestamp,
}

/// Everything that was set when it was read. What ends is in it until the next reading, and counts no longer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot(Vec<Active>);

impl Snapshot {
    /// Of these.
    #[must_use]
    pub const fn new(active: Vec<Active>) -> Self {
        Self(active)
    }

    /// True when nothing was set.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What holds at a moment.
    pub fn in_force(&self, now: Timestamp) -> impl Iterator<Item = &Active> {
        self.0.iter().filter(move |active| now < active.until)
    }

    /// What one control is set to at a moment.
    #[must_use]
    pub fn find(&self, control: Control, now: Timestamp) -> Option<Active> {
        self.in_force(now).find(|active| active.control == control).copied()
    }

    /// What a control with a number is set to.
    #[must_use]
    pub fn number(&self, control: Control, now: Timestamp) -> Option<u32> {
        match self.find(control, now)?.setting {
            Setting::Number(number) => Some(number),
            Setting::Off => None,
        }
    }

    /// A limit of a class by the factors that are set; without a class it is one on everything that somebody does. What the
    /// settings forbid stays forbidden, and a factor alone forbids nothing.
    #[must_use]
    pub fn scaled(&self, class: Option<Class>, configured: u32, now: Timestamp) -> u32 {
        let of_class = class.and_then(|class| self.number(Control::ClassPercent(class), now));
        let Some(percent) = of_class.or_else(|| self.number(Control::Percent, now)) else { return configured };
        if configured == 0 {
            return 0;
        }
        let scaled = u64::from(configured) * u64::from(percent) / 100;
        u32::try_from(scaled.clamp(1, u64::from(MOST_LIMIT))).unwrap_or(MOST_LIMIT)
    }

    /// The limit of one person for a class, or of one address for the class public.
    #[must_use]
    pub fn limit(&self, class: Class, configured: u32, now: Timestamp) -> u32 {
        self.number(Control::ClassLimit(class), now).unwrap_or_else(|| self.scaled(Some(class), configured, now))
    }

    /// Until when the jobs of a queue are not begun; nothing when they are.
    #[must_use]
    pub fn queue_off(&self, queue: &str, now: Timestamp) -> Option<Timestamp> {
        self.in_force(now).filter(|active| active.control.stops(queue)).map(|active| active.until).max()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controls::Part;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1000)
    }

    fn snapshot(set: &[(Control, Setting, i64)]) -> Snapshot {
        Snapshot::new(
            set.iter()
                .map(|(control, setting, until)| Active { control: *control, setting: *setting, until: at(*until) })
                .collect(),
        )
    }

    #[test]
    fn the_nearest_of_what_is_set_for_a_limit_counts_until_it_ends() {
        let percent = |number| Setting::Number(number);
        let all = snapshot(&[
            (Control::ClassLimit(Class::Sync), percent(7), 10),
            (Control::ClassPercent(Class::Sync), percent(300), 20),
            (Control::Percent, percent(50), 30),
        ]);
        let limits: Vec<_> = [9, 10, 20, 30].map(|now| all.limit(Class::Sync, 60, at(now))).into();
        assert_eq!(limits, [7, 180, 30, 60], "each in its turn, and none at its own end");
        assert_eq!((all.limit(Class::Other, 60, at(0)), all.scaled(None, 6_001, at(0))), (30, 3_000));
        assert_eq!(all.scaled(Some(Class::Sync), 60, at(0)), 180, "an address is no person");
    }

    #[test]
    fn a_factor_forbids_nothing_and_allows_nothing_that_is_forbidden() {
        let of = |percent| snapshot(&[(Control::Percent, Setting::Number(percent), 1)]);
        assert_eq!(of(1).scaled(None, 3, at(0)), 1);
        assert_eq!(of(1_000).scaled(None, 0, at(0)), 0);
        assert_eq!(of(1_000).scaled(None, 900_000, at(0)), MOST_LIMIT);
    }

    #[test]
    fn a_queue_is_off_until_its_control_ends() {
        let off = snapshot(&[
            (Control::QueueOff("probes"), Setting::Off, 5),
            (Control::Off(Part::Webhooks), Setting::Off, 9),
        ]);
        assert_eq!((off.queue_off("probes", at(4)), off.queue_off("probes", at(5))), (Some(at(5)), None));
        assert_eq!(
            (off.queue_off(crate::job_list::INBOX, at(8)), off.queue_off("billing", at(0))),
            (Some(at(9)), None)
        );
        assert_eq!((off.in_force(at(5)).count(), off.number(Control::SyncInterval, at(0))), (1, None));
    }
}
