//! Leases, against a model.

use std::time::Duration;

use futures_util::future::join_all;
use mainstay_domain::Timestamp;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{Config, TestRunner};

use super::Harness;
use crate::{AcquireLease, ExpireLeases, ExpiredLeases, ReleaseLease, RenewLease};

const LASTS: Duration = Duration::from_secs(10);

fn acquire(name: &str, holder: &str, now: Timestamp) -> AcquireLease {
    AcquireLease { name: name.to_owned(), holder: holder.to_owned(), now, lasts: LASTS }
}

pub(super) async fn a_lease_has_one_holder(h: &Harness) {
    let call = h.call();
    let now = h.now();
    let rush = join_all((0..12).map(|n| h.store.run(&call, acquire("race", &format!("holder {n}"), now)))).await;
    let winners: Vec<i64> = rush.into_iter().filter_map(|taken| taken.expect("asked")).collect();
    assert_eq!(winners.len(), 1);
    let first = winners[0];
    let later = now.plus(LASTS);
    let renew = |number, now| RenewLease { name: "race".to_owned(), number, now, lasts: LASTS };
    assert_eq!(h.store.run(&call, renew(first, now)).await, Ok(true));
    assert_eq!(h.store.run(&call, renew(first, later)).await, Ok(false), "its end has passed");
    let expired = h.store.run(&call, ExpiredLeases { prefix: "ra", now: later }).await.expect("listed");
    assert_eq!(expired.len(), 1);
    assert_eq!(h.store.run(&call, ExpiredLeases { prefix: "rb", now: later }).await, Ok(vec![]));
    let second = h.store.run(&call, acquire("race", "next", later)).await.expect("asked").expect("free");
    assert!(second > first);
    assert_eq!(h.store.run(&call, renew(first, later)).await, Ok(false), "somebody else holds it");
    assert_eq!(h.store.run(&call, ExpireLeases { prefix: "ra", now: later }).await, Ok(1));
    assert_eq!(h.store.run(&call, renew(second, later)).await, Ok(false));
    let third = h.store.run(&call, acquire("race", "after", later)).await.expect("asked").expect("free");
    h.store.run(&call, ReleaseLease { name: "race".to_owned(), number: second }).await.expect("nothing to release");
    assert_eq!(h.store.run(&call, acquire("race", "late", later)).await, Ok(None));
    h.store.run(&call, ReleaseLease { name: "race".to_owned(), number: third }).await.expect("released");
    assert!(h.store.run(&call, acquire("race", "late", later)).await.expect("asked").is_some());
}

#[derive(Clone, Debug)]
enum Act {
    Acquire,
    RenewMine(usize),
    Release(usize),
    Wait(u64),
}

/// Random schedules of three holders, compared step by step with what a lease means.
pub(super) async fn the_model_of_a_lease_holds(h: &Harness) {
    let act = prop_oneof![
        3 => Just(Act::Acquire),
        3 => (0usize..8).prop_map(Act::RenewMine),
        1 => (0usize..8).prop_map(Act::Release),
        3 => (1u64..9).prop_map(Act::Wait),
    ];
    let schedules = proptest::collection::vec(act, 1..40);
    let mut runner = TestRunner::new(Config::default());
    for round in 0..12 {
        let schedule = schedules.new_tree(&mut runner).expect("a schedule").current();
        follow(h, &format!("model {round}"), &schedule).await;
    }
}

async fn follow(h: &Harness, name: &str, schedule: &[Act]) {
    let call = h.call();
    let mut given: Vec<i64> = Vec::new();
    // The model: the number that holds now and its end.
    let mut held: Option<(i64, Timestamp)> = None;
    for act in schedule {
        let now = h.now();
        let holds = held.filter(|(_, end)| *end > now);
        match act {
            Act::Wait(seconds) => h.clock.advance(Duration::from_secs(*seconds)),
            Act::Acquire => {
                let taken = h.store.run(&call, acquire(name, "x", now)).await.expect("asked");
                assert_eq!(taken.is_none(), holds.is_some(), "{schedule:?}");
                if let Some(number) = taken {
                    assert!(given.iter().all(|earlier| *earlier < number), "a number must grow: {schedule:?}");
                    given.push(number);
                    held = Some((number, now.plus(LASTS)));
                }
            }
            Act::RenewMine(index) if !given.is_empty() => {
                let number = given[index % given.len()];
                let renew = RenewLease { name: name.to_owned(), number, now, lasts: LASTS };
                let renewed = h.store.run(&call, renew).await.expect("asked");
                assert_eq!(renewed, holds.is_some_and(|(holder, _)| holder == number), "{schedule:?}");
                if renewed {
                    held = Some((number, now.plus(LASTS)));
                }
            }
            Act::Release(index) if !given.is_empty() => {
                let number = given[index % given.len()];
                h.store.run(&call, ReleaseLease { name: name.to_owned(), number }).await.expect("released");
                held = held.filter(|(holder, _)| *holder != number);
            }
            Act::RenewMine(_) | Act::Release(_) => {}
        }
    }
}
