use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use mainstay_domain::{PersonId, TenantId};
use proptest::prelude::*;
use tokio::time::Instant;
use uuid::Uuid;

use super::*;
use crate::limits::Class;

const WINDOW: Duration = Duration::from_micros(1_000);

fn person(number: u128) -> Key {
    Key::new(Subject::Person(TenantId(Uuid::nil()), PersonId(Uuid::from_u128(number))), Class::Other)
}

fn organisation() -> Key {
    Key::overall(Subject::Organisation(TenantId(Uuid::nil())))
}

fn address(number: u32) -> Key {
    Key::new(Subject::Address(IpAddr::V4(Ipv4Addr::from_bits(number)).into()), Class::Public)
}

fn rule(key: Key, limit: u32) -> Rule {
    Rule { key, name: "test", limit }
}

/// The naive model: every pass that ever was.
#[derive(Default)]
struct Model {
    passes: Vec<(Key, u64)>,
}

impl Model {
    fn used(&self, key: Key, now: u64) -> usize {
        self.passes.iter().filter(|(one, at)| *one == key && at + 1_000 > now).count()
    }

    /// Whether a request passes, tried moment by moment.
    fn passes(&self, rules: &[Rule], now: u64) -> bool {
        rules.iter().all(|rule| self.used(rule.key, now) < rule.limit as usize)
    }
}

proptest! {
    #[test]
    fn the_log_agrees_with_a_naive_model(
        requests in prop::collection::vec((0_u64..400, 0_u128..3, any::<bool>()), 1..200),
        limit in 0_u32..6,
        shared in 1_u32..9,
    ) {
        let logs = Logs::new(WINDOW, 1_000);
        let mut model = Model::default();
        let mut now = 5_000;
        for (step, who, both) in requests {
            now += step;
            let mut rules = vec![rule(person(who), limit)];
            if both {
                rules.push(rule(organisation(), shared));
            }
            let verdict = logs.decide(&rules, || now);
            prop_assert_eq!(verdict.passes(), model.passes(&rules, now));
            if verdict.passes() {
                model.passes.extend(rules.iter().map(|rule| (rule.key, now)));
            } else if limit > 0 {
                // The wait is true: then it passes, and a microsecond earlier it does not.
                let wait = micros(verdict.wait());
                prop_assert!(model.passes(&rules, now + wait), "refused after the wait");
                prop_assert!(!model.passes(&rules, now + wait - 1), "could have passed earlier");
            }
            for standing in &verdict.standings {
                let used = model.used(standing.rule.key, now);
                prop_assert_eq!(standing.left as usize, (standing.rule.limit as usize).saturating_sub(used));
            }
        }
        // In no window, wherever it is laid, did more pass.
        for (key, at) in &model.passes {
            let inside = model.passes.iter().filter(|(one, t)| one == key && *t >= *at && *t < at + 1_000).count();
            let most = if *key == organisation() { shared } else { limit };
            prop_assert!(inside <= most as usize);
        }
    }
}

#[test]
fn a_refusal_by_one_limit_is_not_counted_by_the_others() {
    let logs = Logs::new(WINDOW, 1_000);
    let both = [rule(person(1), 1), rule(organisation(), 3)];
    assert!(logs.decide(&both, || 0).passes());
    for _ in 0..100 {
        let verdict = logs.decide(&both, || 1);
        assert_eq!(verdict.violated().count(), 1);
        assert_eq!(verdict.standings[1].left, 2);
    }
    let others = [rule(person(2), 9), rule(organisation(), 3)];
    assert!(logs.decide(&others, || 2).passes() && logs.decide(&others, || 2).passes());
    assert!(!logs.decide(&others, || 2).passes());
}

#[test]
fn threads_at_once_let_exactly_the_limit_pass() {
    let logs = Arc::new(Logs::new(Duration::from_secs(600), 10_000));
    let begun = Instant::now();
    let passed = Arc::new(AtomicUsize::new(0));
    let threads: Vec<_> = (0..8_u128)
        .map(|thread| {
            let (logs, passed) = (Arc::clone(&logs), Arc::clone(&passed));
            std::thread::spawn(move || {
                for number in 0..2_000_u128 {
                    // The rules in both orders: locks are taken in one.
                    let mut rules = vec![rule(person(number % 3), 100_000), rule(organisation(), 1_000)];
                    rules.extend((thread % 2 == 0).then(|| rule(address(1), 100_000)));
                    if thread % 3 == 0 {
                        rules.reverse();
                    }
                    if logs.decide(&rules, || micros(begun.elapsed())).passes() {
                        passed.fetch_add(1, Ordering::Relaxed);
                    }
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().expect("no panic");
    }
    assert_eq!(passed.load(Ordering::Relaxed), 1_000);
}

#[test]
fn a_lowered_limit_waits_for_all_that_are_too_many() {
    let logs = Logs::new(WINDOW, 1_000);
    for at in [0, 100, 200, 300] {
        assert!(logs.decide(&[rule(person(1), 5)], || at).passes());
    }
    let verdict = logs.decide(&[rule(person(1), 2)], || 400);
    assert_eq!((verdict.passes(), verdict.wait()), (false, Duration::from_micros(800)));
    let nothing = logs.decide(&[rule(person(2), 0)], || 400);
    assert_eq!((nothing.passes(), nothing.wait()), (false, WINDOW));
}

#[test]
fn a_flood_of_addresses_is_bounded_said_and_forgets_nobody_who_is_signed_in() {
    let logs = Logs::new(WINDOW, 6_400);
    let mine = [rule(person(1), 1)];
    assert!(logs.decide(&mine, || 0).passes());
    for number in 0..100_000 {
        assert!(logs.decide(&[rule(address(number), 2)], || 1).passes());
    }
    assert!(logs.keys() <= 6_401, "{}", logs.keys());
    assert!(logs.evicted() >= 93_000, "{}", logs.evicted());
    assert!(!logs.decide(&mine, || 2).passes());
}

#[test]
fn who_is_near_its_limit_is_kept_and_what_is_over_goes_in_silence() {
    let logs = Logs::new(WINDOW, 6_400);
    for _ in 0..5 {
        assert!(logs.decide(&[rule(address(7), 5)], || 0).passes());
    }
    for number in 100..20_000 {
        logs.decide(&[rule(address(number), 5)], || 1);
    }
    assert!(!logs.decide(&[rule(address(7), 5)], || 2).passes(), "a busy address was forgotten for idle ones");
    let before = logs.evicted();
    // A window later all of them may go, and nobody is missed.
    for number in 50_000..52_000 {
        logs.decide(&[rule(address(number), 5)], || 2_000);
    }
    assert_eq!(logs.evicted(), before);
    logs.sweep(10_000);
    assert_eq!(logs.keys(), 0);
}

#[test]
fn passes_that_were_decided_elsewhere_are_kept_within_a_bound_and_given_back() {
    let logs = Logs::new(WINDOW, 1_000);
    for at in 0..10 {
        logs.record(person(1), at, 4);
    }
    assert_eq!(logs.moments(&person(1), 10), [6, 7, 8, 9]);
    logs.record(person(1), 3, 5);
    assert_eq!(logs.moments(&person(1), 10), [6, 7, 8, 9, 9], "what comes late counts from the newest on");
    logs.give_back(person(1), 7);
    assert_eq!(logs.moments(&person(1), 10), [6, 8, 9, 9]);
    assert_eq!(logs.moments(&person(1), 1_008), [9, 9]);
}

/// What a check costs: `cargo test --release -p mainstay-server --lib limits::logs -- --ignored --nocapture`.
#[test]
#[ignore = "measures, and shows nothing else"]
fn a_check_costs_this_much() {
    const TIMES: u32 = 200_000;
    let logs = Logs::new(Duration::from_secs(60), 100_000);
    let begun = Instant::now();
    for number in 0..TIMES {
        let rules = [rule(person(u128::from(number % 10_000)), 60), rule(organisation(), 1_000_000)];
        std::hint::black_box(logs.decide(&rules, || micros(begun.elapsed())));
    }
    println!("{} ns for a check of two limits, 10,000 people in turn", begun.elapsed().as_nanos() / u128::from(TIMES));
}
