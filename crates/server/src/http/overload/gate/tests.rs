//! The gate against a model: random requests, departures and clients that go away.

use std::collections::{HashMap, VecDeque};

use mainstay_domain::TenantId;
use proptest::prelude::*;
use uuid::Uuid;

use super::*;

const PATIENCE: Duration = Duration::from_millis(100);

fn tenant(number: u128) -> Key {
    Key::Tenant(TenantId(Uuid::from_u128(number)))
}

fn gate(limit: usize, share: f64, queue: usize, queue_per_tenant: usize) -> Gate<u32> {
    Gate::new(Bounds { queue, queue_per_tenant, patience: PATIENCE }, limit, share)
}

fn is_in<W>(arrival: &Arrival<W>) -> bool {
    matches!(arrival, Arrival::In { .. })
}

/// Who is let in one after the other, when one leaves each time.
fn order(gate: &mut Gate<u32>, now: Instant, leaver: Key) -> Vec<u32> {
    let mut order = Vec::new();
    let mut leaver = leaver;
    loop {
        gate.leave(now, leaver);
        let Some(granted) = gate.grant(now) else { return order };
        order.push(granted.waiter);
        leaver = granted.key;
    }
}

#[test]
fn organisations_take_turns_and_the_one_with_most_waiting_is_not_served_first() {
    let now = Instant::now();
    let mut gate = gate(1, 1.0, 64, 16);
    assert!(is_in(&gate.arrive(now, tenant(9), Priority::Write, || 0)));
    for number in 0..6 {
        assert!(!is_in(&gate.arrive(now, tenant(1), Priority::Write, || 10 + number)));
    }
    for other in 2..5 {
        assert!(!is_in(&gate.arrive(now, tenant(u128::from(other)), Priority::Write, || other * 10)));
    }
    assert_eq!(order(&mut gate, now, tenant(9)), [10, 20, 30, 40, 11, 12, 13, 14, 15]);
    assert_eq!((gate.inside(), gate.waiting(), gate.tenants.len()), (0, 0, 0));
}

#[test]
fn a_turn_buys_two_reading_requests_or_one_that_writes() {
    let now = Instant::now();
    let mut gate = gate(1, 1.0, 64, 16);
    gate.arrive(now, tenant(9), Priority::Write, || 0);
    // With one place only reading enters when nobody is inside.
    for number in 0..4 {
        gate.arrive(now, tenant(1), Priority::Read, || 10 + number);
        gate.arrive(now, tenant(2), Priority::Write, || 20 + number);
    }
    assert_eq!(order(&mut gate, now, tenant(9)), [10, 11, 20, 12, 13, 21, 22, 23]);
}

#[test]
fn what_is_worth_more_goes_first_within_an_organisation_and_finds_room_in_a_full_queue() {
    let now = Instant::now();
    let mut gate = gate(1, 1.0, 3, 3);
    gate.arrive(now, tenant(9), Priority::Write, || 0);
    for (priority, number) in [(Priority::Heavy, 1), (Priority::Read, 2), (Priority::Heavy, 3)] {
        assert!(matches!(gate.arrive(now, tenant(1), priority, || number), Arrival::Waits { displaced: None, .. }));
    }
    assert!(matches!(gate.arrive(now, tenant(1), Priority::Heavy, || 4), Arrival::Refused(Refusal::TenantQueueFull)));
    assert!(matches!(gate.arrive(now, tenant(1), Priority::Write, || 5), Arrival::Waits { displaced: Some(3), .. }));
    // Another organisation finds a place even for what is worth least.
    assert!(matches!(gate.arrive(now, tenant(2), Priority::Heavy, || 6), Arrival::Waits { displaced: Some(1), .. }));
    assert_eq!(order(&mut gate, now, tenant(9)), [5, 6, 2]);
}

#[test]
fn the_last_places_are_kept_for_what_is_worth_more() {
    let now = Instant::now();
    let mut gate = gate(100, 100.0, 64, 16);
    let mut enter = |priority| {
        let mut entered = 0;
        while is_in(&gate.arrive(now, tenant(1), priority, || 0)) {
            entered += 1;
        }
        entered
    };
    assert_eq!(REFUSABLE.map(&mut enter), [70, 15, 8, 7]);
}

#[test]
fn one_organisation_has_its_share_only_while_others_are_about() {
    let now = Instant::now();
    let mut gate = gate(10, 3.0, 64, 16);
    for _ in 0..10 {
        assert!(is_in(&gate.arrive(now, tenant(1), Priority::Write, || 0)), "alone it may have all");
    }
    for _ in 0..10 {
        gate.leave(now, tenant(1));
    }
    assert!(is_in(&gate.arrive(now, tenant(2), Priority::Write, || 0)));
    for _ in 0..3 {
        assert!(is_in(&gate.arrive(now, tenant(1), Priority::Write, || 0)));
    }
    assert!(!is_in(&gate.arrive(now, tenant(1), Priority::Write, || 0)), "six places are free, and not for this one");
    assert!(is_in(&gate.arrive(now, tenant(3), Priority::Write, || 0)));
    let seen = gate.take_use(now);
    assert!(seen.one_held_back && !seen.full && seen.most_of_one == 3);
    let later = now + ABOUT + Duration::from_millis(1);
    gate.arrive(later, tenant(1), Priority::Write, || 0);
    assert!(is_in(&gate.arrive(later, tenant(1), Priority::Write, || 0)), "the others are gone");
}

#[test]
fn one_that_asks_for_more_than_all_others_has_a_place_for_a_part_of_the_time() {
    let ms = Duration::from_millis;
    let now = Instant::now();
    let mut gate = gate(10, 0.25, 64, 16);
    let asks = |gate: &mut Gate<u32>, now, who| is_in(&gate.arrive(now, tenant(who), Priority::Write, || 0));
    // Nothing is known of it yet: it has two places, as anybody has.
    assert!(asks(&mut gate, now, 2));
    assert_eq!((0..9).filter(|_| asks(&mut gate, now, 1)).count(), 2);
    gate.take_use(now);
    for who in [1, 1, 2] {
        gate.leave(now, tenant(who));
    }
    // From now on it has one, for a quarter of the time.
    assert!(asks(&mut gate, now, 1) && !asks(&mut gate, now, 1));
    let left = now + ms(10);
    gate.leave(left, tenant(1));
    assert!(!asks(&mut gate, left + ms(29), 1), "it was inside for 10 ms and stays outside for 30");
    assert!(asks(&mut gate, left + ms(29), 2) && asks(&mut gate, left + ms(29), 2), "nobody else does");
    assert!(asks(&mut gate, left + ms(30), 1));
    // When the others are gone, all is its own.
    let later = left + ABOUT + ms(60);
    assert!(asks(&mut gate, later, 1) && asks(&mut gate, later, 1) && asks(&mut gate, later, 1));
}

#[test]
fn while_the_queue_stands_patience_is_short_and_the_newest_goes_first() {
    let start = Instant::now();
    let mut gate = gate(1, 1.0, 64, 16);
    gate.arrive(start, tenant(9), Priority::Write, || 0);
    let due = |arrival| match arrival {
        Arrival::Waits { due, .. } => due,
        other => panic!("{other:?}"),
    };
    assert_eq!(due(gate.arrive(start, tenant(1), Priority::Write, || 1)), start + PATIENCE);
    let mid = start + PATIENCE / 2;
    assert_eq!(due(gate.arrive(mid, tenant(1), Priority::Write, || 2)), mid + PATIENCE);
    // The queue has not been empty for longer than the patience.
    let late = start + PATIENCE + Duration::from_millis(1);
    assert_eq!(due(gate.arrive(late, tenant(1), Priority::Write, || 3)), late + PATIENCE / STANDING_SHARE);
    // The first has waited its time.
    assert_eq!(order(&mut gate, late, tenant(9)), [3, 2]);
}

#[test]
fn while_the_queue_stands_as_many_wait_as_are_let_in_soon() {
    let start = Instant::now();
    let mut gate = gate(1, 1.0, 1_000, 16);
    gate.take_use(start);
    // A thousand a second: twenty in a fifth of the patience.
    for _ in 0..500 {
        gate.arrive(start, tenant(9), Priority::Write, || 0);
        gate.leave(start, tenant(9));
    }
    let now = start + Duration::from_millis(500);
    gate.take_use(now);
    gate.arrive(now, tenant(9), Priority::Write, || 0);
    let arrive = |gate: &mut Gate<u32>, now, number: u32| {
        gate.arrive(now, tenant(u128::from(number)), Priority::Write, || number)
    };
    let waits = |arrival: &Arrival<u32>| matches!(arrival, Arrival::Waits { .. });
    assert!(waits(&arrive(&mut gate, now, 10)));
    let mid = now + PATIENCE / 2;
    assert!((0..30).all(|number| waits(&arrive(&mut gate, mid, 20 + number))), "a crowd may be gone in a moment");
    let late = now + PATIENCE + Duration::from_millis(1);
    assert!(matches!(arrive(&mut gate, late, 50), Arrival::Refused(Refusal::QueueFull)), "this one stays");
    // Fifteen are let in, and the one that came first has given up: fifteen are left.
    for _ in 0..15 {
        gate.leave(now, tenant(9));
        assert!(gate.grant(late).is_some());
    }
    let taken = (0..30).filter(|number| waits(&arrive(&mut gate, late, 60 + number))).count();
    assert_eq!((taken, gate.waiting()), (5, 20));
}

/// How long one may wait that finds no place, in each of four windows: so many come at the same moment, four times in each,
/// and those who are inside are answered together, four at a time.
fn patience_of_bursts(size: u128, queue: usize) -> [Option<Duration>; 4] {
    let mut now = Instant::now();
    let mut gate = gate(4, 4.0, queue, queue);
    [(); 4].map(|()| {
        let mut patience = None;
        for _ in 0..4 {
            now += Duration::from_millis(20);
            for number in 0..size {
                if let Arrival::Waits { due, .. } = gate.arrive(now, tenant(number), Priority::Write, || 0) {
                    patience = Some(due.duration_since(now));
                }
            }
            let mut inside: VecDeque<Key> = (0..4).map(tenant).collect();
            while let Some(key) = inside.pop_front() {
                gate.leave(now, key);
                while let Some(granted) = gate.grant(now) {
                    inside.push_back(granted.key);
                }
            }
            assert_eq!((gate.inside(), gate.waiting()), (0, 0));
        }
        gate.take_use(now);
        patience
    })
}

#[test]
fn a_crowd_that_lasts_is_known_although_the_queue_empties_with_each_commit() {
    let (long, short) = (Some(PATIENCE), Some(PATIENCE / STANDING_SHARE));
    assert_eq!(patience_of_bursts(20, 3), [long, long, short, short], "13 of 20 go without each time");
    assert_eq!(patience_of_bursts(20, 64), [long; 4], "they come in bursts, and all are served");
}

#[test]
fn one_that_is_turned_away_has_asked_all_the_same() {
    let mut now = Instant::now();
    let mut gate = gate(1, 1.0, 2, 2);
    gate.arrive(now, tenant(9), Priority::Write, || 0);
    for _ in 0..2 {
        now += PATIENCE * 3 / 5;
        gate.grant(now);
        gate.arrive(now, tenant(2), Priority::Write, || 0);
    }
    now += PATIENCE / 2;
    gate.arrive(now, tenant(1), Priority::Write, || 0);
    gate.take_use(now);
    assert!(gate.is_standing(now) && !gate.asked.is_loud(tenant(1), now));
    gate.arrive(now, tenant(2), Priority::Write, || 0);
    for _ in 0..50 {
        assert_eq!(gate.turns_away(now, tenant(1), Priority::Write), Some(Refusal::QueueFull));
    }
    gate.take_use(now);
    assert!(gate.asked.is_loud(tenant(1), now));
}

#[test]
fn ipv6_addresses_of_one_network_take_turns_together() {
    let key = |text: &str| Key::address(text.parse().expect("an address"));
    assert_eq!(key("2001:db8::1"), key("2001:db8::ffff:1"));
    assert_ne!(key("2001:db8::1"), key("2001:db8:0:1::1"));
    assert_eq!(key("::ffff:10.0.0.1"), key("10.0.0.1"));
}

#[derive(Clone, Debug)]
enum Step {
    Arrive { tenant: u128, priority: usize },
    Leave(prop::sample::Index),
    Abandon(prop::sample::Index),
    Later(u64),
    Limit { limit: usize, share: f64 },
    Window,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..6_u128, 0..4_usize).prop_map(|(tenant, priority)| Step::Arrive { tenant, priority }),
        4 => any::<prop::sample::Index>().prop_map(Step::Leave),
        1 => any::<prop::sample::Index>().prop_map(Step::Abandon),
        2 => (1..60_u64).prop_map(Step::Later),
        1 => (1..12_usize, 0.1..6.0_f64).prop_map(|(limit, share)| Step::Limit { limit, share }),
        1 => Just(Step::Window),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Never more inside than the limit (nor let in past a share while others are about), nobody is lost or served twice,
    /// the queues keep their bounds, who is turned away would have been refused, and when all have left nothing is
    /// remembered.
    #[test]
    fn the_model_of_the_gate_holds(
        steps in prop::collection::vec(step(), 1..200),
        // With the longer one it also matters how many are let in soon.
        (queue, queue_per_tenant) in prop::sample::select(vec![(8, 3), (24, 6)]),
    ) {
        let mut limit = 4_usize;
        let mut gate = gate(limit, 2.0, queue, queue_per_tenant);
        let mut now = Instant::now();
        let mut inside: VecDeque<Key> = VecDeque::new();
        let mut waiting: HashMap<u64, (Key, u32, Instant)> = HashMap::new();
        let mut name = 0;
        for step in steps {
            match step {
                Step::Arrive { tenant: number, priority } => {
                    name += 1;
                    let before = inside.len();
                    let standing = gate.is_standing(now);
                    let turned_away = gate.turns_away(now, tenant(number), REFUSABLE[priority]);
                    let arrival = gate.arrive(now, tenant(number), REFUSABLE[priority], || name);
                    // While the queue stands, it is known before whether it is refused.
                    let refused = if let Arrival::Refused(refusal) = &arrival { Some(*refusal) } else { None };
                    prop_assert_eq!(turned_away, refused.filter(|_| standing));
                    match arrival {
                        Arrival::In { .. } => {
                            prop_assert!(before < REFUSABLE[priority].places(limit));
                            inside.push_back(tenant(number));
                        }
                        Arrival::Waits { ticket, due, displaced } => {
                            if let Some(displaced) = displaced {
                                waiting.retain(|_, (_, name, _)| *name != displaced);
                            }
                            waiting.insert(ticket, (tenant(number), name, due));
                        }
                        Arrival::Refused(_) => prop_assert!(gate.waiting() >= queue_per_tenant),
                    }
                }
                Step::Leave(index) if !inside.is_empty() => {
                    let key = inside.remove(index.index(inside.len())).expect("it is there");
                    gate.leave(now, key);
                }
                Step::Abandon(index) if !waiting.is_empty() => {
                    let mut tickets: Vec<u64> = waiting.keys().copied().collect();
                    tickets.sort_unstable();
                    let ticket = tickets[index.index(tickets.len())];
                    let (key, _, due) = waiting.remove(&ticket).expect("it is there");
                    prop_assert!(gate.abandon(key, ticket) || due <= now);
                }
                Step::Later(millis) => now += Duration::from_millis(millis),
                Step::Limit { limit: new, share } => {
                    limit = new;
                    gate.set(limit, share);
                }
                Step::Window => {
                    gate.take_use(now);
                }
                Step::Leave(_) | Step::Abandon(_) => {}
            }
            while let Some(granted) = gate.grant(now) {
                prop_assert!(inside.len() < limit, "let in past the limit");
                let place = waiting.iter().find(|(_, (_, name, _))| *name == granted.waiter).map(|(ticket, _)| *ticket);
                let (key, _, due) = waiting.remove(&place.expect("it waited")).expect("it is there");
                prop_assert_eq!(key, granted.key);
                prop_assert!(due > now, "let in after its time");
                inside.push_back(key);
            }
            prop_assert_eq!(gate.inside(), inside.len());
            prop_assert!(gate.waiting() <= queue);
            let mut own: HashMap<Key, usize> = HashMap::new();
            waiting.values().filter(|(_, _, due)| *due > now).for_each(|(key, ..)| *own.entry(*key).or_default() += 1);
            prop_assert!(own.values().all(|count| *count <= queue_per_tenant));
            // Whoever waits in time is known to the gate.
            prop_assert!(gate.waiting() >= own.values().sum());
        }
        for key in inside {
            gate.leave(now, key);
        }
        now += PATIENCE + Duration::from_millis(1);
        prop_assert!(gate.grant(now).is_none());
        prop_assert_eq!((gate.inside(), gate.waiting(), gate.tenants.len(), gate.turns.len()), (0, 0, 0, 0));
    }

    /// However much one asks for, another that waits is let in before anybody is let in twice more.
    #[test]
    fn nobody_is_kept_waiting_by_another(crowd in 1..16_u32, quiet in 2..6_u128) {
        let now = Instant::now();
        let mut gate = gate(1, 1.0, 64, 16);
        gate.arrive(now, tenant(0), Priority::Write, || 0);
        for _ in 0..crowd {
            gate.arrive(now, tenant(1), Priority::Write, || 1);
        }
        for number in 2..=quiet {
            gate.arrive(now, tenant(number), Priority::Write, || u32::try_from(number).expect("small"));
        }
        let order = order(&mut gate, now, tenant(0));
        for number in 2..=quiet {
            let place = order.iter().position(|who| u128::from(*who) == number).expect("it is let in");
            prop_assert!(place <= usize::try_from(quiet).expect("small"), "{number} came at {place}: {order:?}");
        }
    }
}
