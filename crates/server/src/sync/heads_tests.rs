//! The races that the cache of heads must not lose, against a model of a database that commits and is read.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use mainstay_domain::{PersonId, StreamId, TenantId};
use mainstay_store::{Position, Positions};
use uuid::Uuid;

use super::heads::Heads;

const TENANT: TenantId = TenantId(Uuid::from_u128(1));
const PERSON: PersonId = PersonId(Uuid::from_u128(2));

fn at(stream: impl Into<StreamId>, head: i64) -> Position {
    Position { tenant: TENANT, stream: stream.into(), epoch: 1, head, floor: 0, live_rows: head, live_sum: head }
}

fn positions(head: i64) -> Positions {
    Positions { membership: at(PERSON, head), organisation: at(TENANT, 0) }
}

fn head(heads: &Heads) -> Option<i64> {
    heads.get(TENANT, PERSON).map(|positions| positions.membership.head)
}

#[tokio::test]
async fn a_reading_is_kept_and_a_commit_moves_it() {
    let heads = Heads::new(1000);
    assert_eq!(head(&heads), None);
    heads.committed(&[at(PERSON, 3)]);
    assert_eq!(head(&heads), None, "a commit makes no entry of its own");
    let reading = heads.reading(TENANT, PERSON);
    heads.keep(&reading, &positions(3));
    assert_eq!(head(&heads), Some(3));
    heads.committed(&[at(PERSON, 5)]);
    heads.committed(&[at(PERSON, 4)]);
    assert_eq!(head(&heads), Some(5), "reports of commits come in any order");
    heads.forget_all();
    assert!(heads.is_empty());
}

#[tokio::test]
async fn a_reading_that_raced_with_a_write_does_not_hide_it() {
    let heads = Heads::new(1000);
    let reading = heads.reading(TENANT, PERSON);
    heads.committed(&[at(PERSON, 6)]);
    assert_eq!(head(&heads), None, "what was noted is no answer before the reading is done");
    heads.keep(&reading, &positions(5));
    assert_eq!(head(&heads), Some(6));

    let old = heads.reading(TENANT, PERSON);
    heads.forget_all();
    heads.keep(&old, &positions(6));
    assert_eq!(head(&heads), None, "what was forgotten meanwhile is not kept");

    // Two readings at once: the newer one decides, and the older one adds nothing.
    let (first, second) = (heads.reading(TENANT, PERSON), heads.reading(TENANT, PERSON));
    heads.keep(&first, &positions(6));
    assert_eq!(head(&heads), None);
    heads.keep(&second, &positions(7));
    assert_eq!(head(&heads), Some(7));
}

#[tokio::test(start_paused = true)]
async fn after_a_commit_that_was_not_confirmed_nothing_is_kept_for_a_while() {
    let heads = Heads::new(1000);
    let reading = heads.reading(TENANT, PERSON);
    heads.keep(&reading, &positions(1));
    heads.unconfirmed(&[TENANT]);
    assert_eq!(head(&heads), None);
    for (wait, kept) in [(0, None), (61, Some(1))] {
        tokio::time::advance(Duration::from_secs(wait)).await;
        let reading = heads.reading(TENANT, PERSON);
        heads.keep(&reading, &positions(1));
        assert_eq!(head(&heads), kept);
    }
    heads.unconfirmed(&[]);
    let reading = heads.reading(TENANT, PERSON);
    heads.keep(&reading, &positions(1));
    assert_eq!(head(&heads), None, "of all organisations");
}

#[tokio::test]
async fn it_does_not_grow_past_its_bound() {
    let heads = Heads::new(640);
    for number in 0..10_000u128 {
        let person = PersonId(Uuid::from_u128(number));
        let reading = heads.reading(TENANT, person);
        heads.keep(&reading, &Positions { membership: at(person, 1), organisation: at(TENANT, 1) });
    }
    assert!(heads.len() <= 640, "{}", heads.len());
}

/// Writers commit and report, late and out of order; readings are slow; entries are evicted and forgotten. No answer from
/// memory is ever older than a commit that was acknowledged before the question.
#[test]
fn no_answer_is_older_than_what_was_acknowledged() {
    let heads = Arc::new(Heads::new(1));
    let (committed, acknowledged) = (Arc::new(AtomicI64::new(0)), Arc::new(AtomicI64::new(0)));
    let over = Arc::new(AtomicBool::new(false));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            let (heads, committed, acknowledged, over) = (&heads, &committed, &acknowledged, &over);
            scope.spawn(move || {
                for _ in 0..50_000 {
                    let number = committed.fetch_add(1, Ordering::SeqCst) + 1;
                    if number % 7 == 0 {
                        std::thread::yield_now();
                    }
                    heads.committed(&[at(PERSON, number)]);
                    // Acknowledged is the lowest number that everything below is reported of, too: at least this one.
                    acknowledged.fetch_max(number, Ordering::SeqCst);
                    if number % 501 == 0 {
                        heads.forget_all();
                    }
                }
                over.store(true, Ordering::SeqCst);
            });
        }
        for reader in 0..2u32 {
            let (heads, committed, acknowledged, over) = (&heads, &committed, &acknowledged, &over);
            scope.spawn(move || {
                let mut answers = 0u64;
                while !over.load(Ordering::SeqCst) {
                    let before = acknowledged.load(Ordering::SeqCst);
                    if let Some(known) = head(heads) {
                        assert!(known >= before, "{known} was answered after {before} was acknowledged");
                        answers += 1;
                    } else {
                        let reading = heads.reading(TENANT, PERSON);
                        let found = committed.load(Ordering::SeqCst);
                        if reader == 0 {
                            std::thread::yield_now();
                        }
                        heads.keep(&reading, &positions(found));
                    }
                }
                assert!(answers > 0, "the memory never answered");
            });
        }
    });
}
