//! Stretches of time, and the beginnings that fit between them.

use std::time::Duration;

use super::service::{ServiceTimes, Step};
use crate::Timestamp;

/// A stretch of time: from a moment up to another, which is not part of it. It is never empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    from: Timestamp,
    until: Timestamp,
}

impl Span {
    /// From a moment up to another; nothing when that is not later.
    #[must_use]
    pub fn new(from: Timestamp, until: Timestamp) -> Option<Self> {
        (from < until).then_some(Self { from, until })
    }

    /// Where it begins.
    #[must_use]
    pub const fn from(self) -> Timestamp {
        self.from
    }

    /// Where it ends: the first moment that is not part of it.
    #[must_use]
    pub const fn until(self) -> Timestamp {
        self.until
    }

    /// How long it is.
    #[must_use]
    pub fn length(self) -> Duration {
        self.until.since(self.from)
    }

    /// Whether the two have a moment in common. Those that touch have none.
    #[must_use]
    pub fn overlaps(self, other: Self) -> bool {
        self.from < other.until && other.from < self.until
    }

    /// Whether all of another is part of it.
    #[must_use]
    pub fn holds(self, other: Self) -> bool {
        self.from <= other.from && other.until <= self.until
    }

    /// Both as one, when they overlap or touch.
    #[must_use]
    pub fn joined(self, other: Self) -> Option<Self> {
        let meet = self.from <= other.until && other.from <= self.until;
        meet.then(|| Self { from: self.from.min(other.from), until: self.until.max(other.until) })
    }
}

impl ServiceTimes {
    /// When the person is there who comes at a moment.
    #[must_use]
    pub fn shown(self, start: Timestamp) -> Span {
        Span { from: start, until: start.plus(self.length()) }
    }

    /// What of somebody's time it takes: with what is set aside before and after.
    #[must_use]
    pub fn blocked(self, start: Timestamp) -> Span {
        Span { from: start.minus(self.before()), until: start.plus(self.length()).plus(self.after()) }
    }
}

/// The moments at which a service may begin, in order: each a number of steps after the beginning of an opening, all of the
/// service within the opening, and nothing that is taken within what it blocks. What is set aside before and after may lie
/// outside the opening. Only those within a stretch are given.
///
/// `open` and `taken` are in order of their beginnings. Openings do not overlap; what is taken may.
pub fn free_starts<'a>(
    open: &'a [Span],
    taken: &'a [Span],
    times: ServiceTimes,
    step: Step,
    within: Span,
) -> impl Iterator<Item = Timestamp> + 'a {
    let mut taken = Taken { all: taken, next: 0, until: None };
    open.iter().flat_map(move |opening| grid(*opening, times, step, within)).filter(move |start| {
        let blocked = times.blocked(*start);
        !taken.meets(blocked)
    })
}

/// The beginnings of an opening, whatever is taken.
fn grid(opening: Span, times: ServiceTimes, step: Step, within: Span) -> impl Iterator<Item = Timestamp> {
    let millis = i64::try_from(step.length().as_millis()).unwrap_or(i64::MAX);
    // The first that is not before the stretch.
    let missed = within.from.as_millis().saturating_sub(opening.from.as_millis()).max(0);
    let first = missed.div_euclid(millis) + i64::from(missed.rem_euclid(millis) > 0);
    let start = move |number: i64| Timestamp::from_millis(opening.from.as_millis().saturating_add(number * millis));
    (first..).map(start).take_while(move |start| opening.holds(times.shown(*start)) && *start < within.until)
}

/// What is taken, looked through once from its beginning to its end: the stretches that are asked for begin one after the
/// other.
struct Taken<'a> {
    all: &'a [Span],
    /// The first that begins too late for all stretches so far.
    next: usize,
    /// Until when what begins before that lasts.
    until: Option<Timestamp>,
}

impl Taken<'_> {
    fn meets(&mut self, blocked: Span) -> bool {
        while let Some(one) = self.all.get(self.next).filter(|one| one.from < blocked.until) {
            self.until = self.until.max(Some(one.until));
            self.next += 1;
        }
        self.until.is_some_and(|until| until > blocked.from)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{CalendarDay, SpecialDay, StaffHours, Week, Zone};

    const MINUTE: i64 = 60_000;

    fn span(from: i64, until: i64) -> Span {
        Span::new(Timestamp::from_millis(from * MINUTE), Timestamp::from_millis(until * MINUTE)).expect("a stretch")
    }

    fn starts(open: &[Span], taken: &[Span], times: ServiceTimes, step: u16, within: Span) -> Vec<i64> {
        let step = Step::new(step).expect("a step");
        free_starts(open, taken, times, step, within).map(|start| start.as_millis() / MINUTE).collect()
    }

    fn times(minutes: u16, before: u16, after: u16) -> ServiceTimes {
        ServiceTimes::new(minutes, before, after).expect("times")
    }

    #[test]
    fn what_is_offered_fits() {
        let (morning, all) = ([span(540, 720)], span(0, 10_000));
        assert_eq!(starts(&morning, &[], times(60, 0, 0), 30, all), [540, 570, 600, 630, 660]);
        // What touches does not overlap; the step goes on from the opening.
        let taken = [span(600, 645)];
        assert_eq!(starts(&morning, &taken, times(60, 0, 0), 30, all), [540, 660]);
        assert_eq!(starts(&morning, &taken, times(30, 0, 15), 15, all), [540, 555, 645, 660, 675, 690]);
        // What is set aside may lie outside the opening, and not on what is taken.
        assert_eq!(starts(&morning, &[span(500, 530)], times(60, 20, 0), 30, all), [570, 600, 630, 660]);
        assert_eq!(starts(&morning, &[], times(60, 0, 0), 30, span(601, 660)), [630]);
        assert_eq!(starts(&morning, &[], times(240, 0, 0), 30, all), [0_i64; 0]);
    }

    #[test]
    fn spans_meet_touch_and_join() {
        let (one, touching, over) = (span(0, 10), span(10, 20), span(9, 20));
        assert_eq!((one.overlaps(touching), one.overlaps(over)), (false, true));
        assert_eq!((one.joined(touching), one.joined(span(11, 12))), (Some(span(0, 20)), None));
        assert!(over.holds(touching) && !touching.holds(over));
        assert_eq!(Span::new(Timestamp::EPOCH, Timestamp::EPOCH), None);
    }

    fn spans(most: usize) -> impl Strategy<Value = Vec<Span>> {
        proptest::collection::vec((0..3_000_i64, 1..400_i64), 0..most).prop_map(|pairs| {
            let mut spans: Vec<Span> = pairs.into_iter().map(|(from, length)| span(from, from + length)).collect();
            spans.sort_unstable();
            spans
        })
    }

    /// The same stretches, none of which overlaps another.
    fn apart(spans: Vec<Span>) -> Vec<Span> {
        spans.into_iter().fold(Vec::new(), |mut apart: Vec<Span>, one| {
            if apart.last().is_none_or(|before| before.until <= one.from) {
                apart.push(one);
            }
            apart
        })
    }

    proptest! {
        #[test]
        fn the_quick_way_finds_what_the_plain_way_finds(
            open in spans(6), taken in spans(30), minutes in 5..200_u16, before in 0..60_u16, after in 0..60_u16,
            step in proptest::sample::select(Step::ALL.to_vec()), from in 0..3_000_i64, length in 1..3_000_i64,
        ) {
            let (open, within, times) = (apart(open), span(from, from + length), times(minutes, before, after));
            let mut plain = Vec::new();
            for opening in &open {
                let mut start = opening.from;
                while opening.holds(times.shown(start)) {
                    let fits = within.from <= start && start < within.until;
                    if fits && !taken.iter().any(|one| one.overlaps(times.blocked(start))) {
                        plain.push(start.as_millis() / MINUTE);
                    }
                    start = start.plus(Step::new(step).expect("a step").length());
                }
            }
            prop_assert_eq!(starts(&open, &taken, times, step, within), plain);
        }

        /// Around the days on which clocks are moved, in five zones: what is offered shows a time of the clock within the
        /// hours, at its beginning and at its end.
        #[test]
        fn what_is_offered_is_within_the_hours_as_the_clock_shows_them(
            zone in proptest::sample::select(vec!["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/St_Johns", "Africa/Casablanca"]),
            first in 20_440..20_805_i64, from in 0..1_380_u16, length in 30..600_u16, minutes in 5..90_u16,
        ) {
            let zone = Zone::parse(zone).expect("a zone");
            let first = CalendarDay::from_number(first).expect("a day");
            let until = (from + length).min(1_440);
            let opening = format!("{:02}:{:02}-{:02}:{:02}", from / 60, from % 60, until / 60, until % 60);
            let openings = vec![opening.parse().expect("an opening")];
            let week = Week::new(std::array::from_fn(|_| openings.clone())).expect("a week");
            let special = [SpecialDay::new(first.next(), Vec::new()).expect("a day")];
            let hours = StaffHours { week: &week, special: &special, own: None, own_special: &[] };
            let open = hours.spans(&zone, first, first.next().next());
            let all = span(0, 400 * 1_440 * 100);
            let step = Step::new(15).expect("a step");
            for start in free_starts(&open, &[], times(minutes, 0, 0), step, all) {
                let day = zone.day_of(start);
                prop_assert_ne!(day, first.next(), "it is closed");
                let whole = zone.span(day, from, until).expect("it is open");
                prop_assert!(whole.holds(times(minutes, 0, 0).shown(start)));
            }
        }
    }
}
