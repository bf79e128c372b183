//! Random lives of a calendar against a simple model of it, around the days on which clocks are moved.

use std::collections::BTreeMap;
use std::time::Duration;

use mainstay_domain::{AppointmentId, AppointmentState, Span, StaffId, Timestamp, Zone};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{Config, TestRunner};

use super::super::Harness;
use super::Practice;
use crate::{BookAppointment, Booking};

/// Five zones, each with a day on which its clock is moved: forward, back, by half an hour, late in the evening, for a month.
const MOVED: [(&str, &str); 5] = [
    ("Europe/Berlin", "2026-03-29"),
    ("America/New_York", "2026-11-01"),
    ("Australia/Lord_Howe", "2026-04-05"),
    ("America/Santiago", "2026-09-06"),
    ("Africa/Casablanca", "2026-02-15"),
];
const HELD: Duration = Duration::from_secs(300);

#[derive(Clone, Debug)]
enum Act {
    Book { staff: Option<usize>, slot: u32, held: bool },
    Move { which: usize, staff: usize, slot: u32 },
    Become { which: usize, state: usize },
    Wait,
}

/// What an appointment should be.
#[derive(Clone, Debug)]
struct Expected {
    staff: StaffId,
    blocked: Span,
    state: AppointmentState,
    expires_at: Option<Timestamp>,
}

struct Model<'a> {
    practice: &'a Practice<'a>,
    /// Where the slots begin: quarters of an hour around the change of the clock.
    first: Timestamp,
    expected: BTreeMap<AppointmentId, Expected>,
    order: Vec<AppointmentId>,
}

pub(in super::super) async fn the_model_of_a_calendar_holds(h: &Harness) {
    let act = prop_oneof![
        6 => (proptest::option::of(0usize..3), 0u32..40, any::<bool>())
            .prop_map(|(staff, slot, held)| Act::Book { staff, slot, held }),
        4 => (0usize..64, 0usize..3, 0u32..40).prop_map(|(which, staff, slot)| Act::Move { which, staff, slot }),
        4 => (0usize..64, 0usize..6).prop_map(|(which, state)| Act::Become { which, state }),
        1 => Just(Act::Wait),
    ];
    let lives = proptest::collection::vec(act, 20..60);
    let mut runner = TestRunner::new(Config::default());
    for (round, (zone, day)) in MOVED.iter().enumerate() {
        let practice = Practice::open(h, &format!("clinic{round}"), 3).await;
        let zone = Zone::parse(zone).expect("a zone");
        let midnight =
            zone.moment(day.parse().expect("a day"), 0).or_else(|_| zone.moment(day.parse().expect("a day"), 60));
        let first = midnight.expect("a moment");
        let acts = lives.new_tree(&mut runner).expect("a life").current();
        let mut model = Model { practice: &practice, first, expected: BTreeMap::new(), order: Vec::new() };
        for act in &acts {
            Box::pin(model.follow(act)).await;
        }
        Box::pin(model.compare(&acts)).await;
    }
}

impl Model<'_> {
    fn start(&self, slot: u32) -> Timestamp {
        self.first.plus(Duration::from_secs(900) * slot)
    }

    /// Whether somebody's time is free, but for one appointment. What was held too long is given back first.
    fn free(&mut self, staff: StaffId, blocked: Span, but: Option<AppointmentId>) -> bool {
        let now = self.practice.h.now();
        for one in self.expected.values_mut().filter(|one| one.staff == staff) {
            if one.state == AppointmentState::Held && one.expires_at.is_some_and(|at| at <= now) {
                one.state = AppointmentState::Cancelled;
            }
        }
        let others = self.expected.iter().filter(|(id, one)| Some(**id) != but && one.staff == staff);
        others.filter(|(_, one)| one.state.blocks()).all(|(_, one)| !one.blocked.overlaps(blocked))
    }

    async fn follow(&mut self, act: &Act) {
        let practice = self.practice;
        match act {
            Act::Wait => {
                practice.h.clock.advance(HELD);
            }
            Act::Book { staff, slot, held } => {
                let staff = staff.map_or(practice.staff.clone(), |n| vec![practice.staff[n]]);
                let book = practice.book(&staff, self.start(*slot));
                let held_until = held.then(|| practice.h.now().plus(HELD));
                let book = BookAppointment { held_until, ..book };
                let blocked = book.blocked;
                let free: Vec<StaffId> = staff.into_iter().filter(|one| self.free(*one, blocked, None)).collect();
                match practice.ask(book).await {
                    Booking::Made(made) => {
                        assert!(free.contains(&made.staff), "{act:?}: {made:?} was not free");
                        let expected =
                            Expected { staff: made.staff, blocked, state: made.state, expires_at: made.expires_at };
                        self.expected.insert(made.id, expected);
                        self.order.push(made.id);
                    }
                    other => assert!(free.is_empty(), "{act:?}: {other:?}, though {free:?} are free"),
                }
            }
            Act::Move { which, staff, slot } => {
                let Some(id) = self.order.get(which % self.order.len().max(1)).copied() else { return };
                let (staff, start) = (practice.staff[*staff], self.start(*slot));
                let blocked = practice.times.blocked(start);
                // Whoever's time it was is looked at as well.
                let before = self.expected[&id].clone();
                self.free(before.staff, blocked, Some(id));
                let (free, state) = (self.free(staff, blocked, Some(id)), self.expected[&id].state);
                let expected = match (state.is_ahead(), free) {
                    (false, _) => "refused",
                    (true, false) => "taken",
                    (true, true) => "made",
                };
                let booking = practice.shift(id, staff, start).await;
                assert_eq!(word(&booking), expected, "{act:?}");
                if let (Booking::Made(_), Some(one)) = (booking, self.expected.get_mut(&id)) {
                    (one.staff, one.blocked) = (staff, blocked);
                }
            }
            Act::Become { which, state } => {
                let Some(id) = self.order.get(which % self.order.len().max(1)).copied() else { return };
                let to = AppointmentState::ALL[*state];
                let (staff, blocked) = (self.expected[&id].staff, self.expected[&id].blocked);
                let free = self.free(staff, blocked, Some(id));
                let from = self.expected[&id].state;
                let expected = match (from == to || from.may_become(to), to.blocks() && !from.blocks() && !free) {
                    (false, _) => "refused",
                    (true, true) => "taken",
                    (true, false) => "made",
                };
                let booking = practice.change(id, to).await;
                assert_eq!(word(&booking), expected, "{act:?} from {from}");
                if let (Booking::Made(made), Some(one)) = (booking, self.expected.get_mut(&id)) {
                    (one.state, one.expires_at) = (to, made.expires_at);
                }
            }
        }
    }

    async fn compare(&self, acts: &[Act]) {
        let all = self.practice.nothing_overlaps().await;
        assert_eq!(all.len(), self.expected.len(), "{acts:?}");
        for one in all {
            let expected = &self.expected[&one.id];
            assert_eq!(
                (one.staff, one.blocked, one.state),
                (expected.staff, expected.blocked, expected.state),
                "{acts:?}"
            );
            assert_eq!(one.shown.length(), self.practice.times.length());
        }
    }
}

fn word(booking: &Booking) -> &'static str {
    match booking {
        Booking::Made(_) => "made",
        Booking::Taken => "taken",
        Booking::Refused(_) => "refused",
    }
}
