use std::collections::HashSet;
use std::sync::Barrier;

use proptest::prelude::*;

use super::*;

const WINDOW: Duration = Duration::from_secs(60);

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

#[test]
fn a_window_slides_with_each_entry() {
    let (throttle, start) = (Throttle::new(2, WINDOW, 10), Instant::now());
    for at in [0, 50] {
        throttle.reserve("ada", start + seconds(at)).unwrap().failure();
    }
    assert_eq!(throttle.reserve("ada", start + seconds(55)).err(), Some(seconds(5)));
    assert_eq!(throttle.check("ada", start + seconds(59)), Err(seconds(1)));
    assert_eq!(throttle.check("grace", start + seconds(59)), Ok(()));
    // The first entry ends at 60, the second at 110; what was refused in between was not counted.
    throttle.reserve("ada", start + seconds(60)).unwrap().failure();
    assert_eq!(throttle.check("ada", start + seconds(60)), Err(seconds(50)));
    throttle.forgive("ada");
    assert_eq!((throttle.check("ada", start + seconds(60)), throttle.keys()), (Ok(()), 0));
}

#[test]
fn a_success_gives_its_place_back_and_a_drop_does_not() {
    let (throttle, now) = (Throttle::new(1, WINDOW, 10), Instant::now());
    for _ in 0..3 {
        throttle.reserve("ada", now).unwrap().success();
    }
    assert_eq!(throttle.keys(), 0);
    drop(throttle.reserve("ada", now).unwrap());
    assert_eq!(throttle.reserve("ada", now).err(), Some(WINDOW));
}

#[test]
fn a_success_after_forgiving_or_eviction_changes_nothing() {
    let (throttle, now) = (Throttle::new(1, WINDOW, 1), Instant::now());
    let forgiven = throttle.reserve("ada", now).unwrap();
    throttle.forgive("ada");
    forgiven.success();
    let evicted = throttle.reserve("ada", now).unwrap();
    throttle.record("grace", now);
    evicted.success();
    assert_eq!((throttle.keys(), throttle.evicted()), (1, 1));
    assert_eq!(throttle.check("grace", now), Err(WINDOW));
}

#[test]
fn one_that_comes_late_counts_from_the_newest_entry() {
    let (throttle, start) = (Throttle::new(2, WINDOW, 10), Instant::now());
    throttle.record("ada", start + seconds(10));
    throttle.record("ada", start);
    assert_eq!(throttle.check("ada", start + seconds(60)), Err(seconds(10)));
}

#[test]
fn a_flood_of_keys_evicts_the_least_recent_and_says_so() {
    let (throttle, start) = (Throttle::new(3, seconds(1_000_000), 100), Instant::now());
    throttle.record("kept", start);
    for key in 0..1000 {
        throttle.record(&format!("key {key}"), start + seconds(key));
        if key % 50 == 0 && key < 150 {
            throttle.record("kept", start + seconds(key));
        }
    }
    assert_eq!((throttle.keys(), throttle.evicted()), (100, 901));
    assert_eq!(throttle.check("kept", start + seconds(1000)), Ok(()), "it was not used for 100 keys and is forgotten");
    throttle.record("key 900", start + seconds(1000));
    assert_eq!(throttle.evicted(), 901, "a key that is known needs no room");
}

#[test]
fn keys_whose_entries_are_past_make_room_by_themselves() {
    let (throttle, start) = (Throttle::new(3, WINDOW, 100), Instant::now());
    for key in 0..10_000 {
        throttle.record(&format!("key {key}"), start + seconds(key));
        assert!(throttle.keys() <= 61, "{} keys", throttle.keys());
    }
    assert_eq!(throttle.evicted(), 0);
}

#[test]
fn of_many_threads_at_once_exactly_the_limit_gets_through() {
    let throttle = Throttle::new(5, WINDOW, 10);
    let (barrier, now) = (Barrier::new(64), Instant::now());
    let through: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..64)
            .map(|_| {
                scope.spawn(|| {
                    barrier.wait();
                    throttle.reserve("ada", now).map(Reservation::failure).is_ok()
                })
            })
            .collect();
        threads.into_iter().map(|thread| usize::from(thread.join().unwrap())).sum()
    });
    assert_eq!(through, 5);
}

#[test]
fn threads_that_give_back_leave_nothing_behind() {
    let throttle = Throttle::new(5, WINDOW, 10);
    let now = Instant::now();
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let throttle = &throttle;
            scope.spawn(move || {
                for turn in 0..2000 {
                    if let Ok(reservation) = throttle.reserve("ada", now + Duration::from_nanos(turn * (thread + 1))) {
                        reservation.success();
                    }
                }
            });
        }
    });
    assert_eq!((throttle.keys(), throttle.state().order.len()), (0, 0));
}

#[test]
fn addresses_count_by_network() {
    let key = |text: &str| address_key(text.parse().unwrap());
    assert_eq!(key("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::/64");
    assert_eq!(key("2001:db8:1:2::1"), key("2001:db8:1:2:ffff::"));
    assert_ne!(key("2001:db8:1:2::1"), key("2001:db8:1:3::1"));
    assert_eq!(key("::ffff:192.0.2.1"), "192.0.2.1");
    assert_eq!(key("192.0.2.1"), "192.0.2.1");
    assert_ne!(key("192.0.2.1"), key("192.0.2.2"));
}

#[derive(Clone, Debug)]
enum Step {
    Reserve(u8),
    Settle { which: usize, success: bool },
    Check(u8),
    Forgive(u8),
    Advance(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..4_u8).prop_map(Step::Reserve),
        3 => (any::<usize>(), any::<bool>()).prop_map(|(which, success)| Step::Settle { which, success }),
        1 => (0..4_u8).prop_map(Step::Check),
        1 => (0..4_u8).prop_map(Step::Forgive),
        3 => (0..25_u64).prop_map(Step::Advance),
    ]
}

/// Everything that was ever admitted and not given back or forgiven, in a plain list.
#[derive(Default)]
struct Model(Vec<(u8, Instant)>);

impl Model {
    fn wait(&self, limit: usize, key: u8, now: Instant) -> Option<Duration> {
        let mut live: Vec<Instant> =
            self.0.iter().filter(|(of, at)| *of == key && *at + WINDOW > now).map(|(_, at)| *at).collect();
        live.sort();
        let full = live.len() >= limit;
        full.then(|| live[live.len() - limit] + WINDOW - now)
    }

    fn give_back(&mut self, key: u8, at: Instant) {
        if let Some(found) = self.0.iter().position(|entry| *entry == (key, at)) {
            self.0.remove(found);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn agrees_with_a_plain_list(limit in 1..4_usize, steps in proptest::collection::vec(step(), 1..200)) {
        let throttle = Throttle::new(limit, WINDOW, 100);
        let (mut model, mut now) = (Model::default(), Instant::now());
        let mut open: Vec<(u8, Instant, Reservation<'_>)> = Vec::new();
        for step in steps {
            match step {
                Step::Advance(by) => now += seconds(by),
                Step::Check(key) => {
                    prop_assert_eq!(throttle.check(&key.to_string(), now).err(), model.wait(limit, key, now));
                }
                Step::Forgive(key) => {
                    throttle.forgive(&key.to_string());
                    model.0.retain(|(of, _)| *of != key);
                    open.retain(|(of, _, _)| *of != key);
                }
                Step::Reserve(key) => match throttle.reserve(&key.to_string(), now) {
                    Err(wait) => prop_assert_eq!(Some(wait), model.wait(limit, key, now)),
                    Ok(reservation) => {
                        prop_assert_eq!(None, model.wait(limit, key, now));
                        model.0.push((key, now));
                        open.push((key, now, reservation));
                    }
                },
                Step::Settle { which, success } if !open.is_empty() => {
                    let (key, at, reservation) = open.swap_remove(which % open.len());
                    if success {
                        reservation.success();
                        model.give_back(key, at);
                    } else {
                        reservation.failure();
                    }
                }
                Step::Settle { .. } => {}
            }
            let state = throttle.state();
            let places: HashSet<_> = state.logs.values().map(|log| log.place).collect();
            prop_assert_eq!(places.len(), state.order.len());
            prop_assert!(state.logs.values().all(|log| log.entries.back() == Some(&log.place.0)));
            prop_assert!(state.logs.values().all(|log| log.entries.len() <= limit));
        }
    }
}
