//! Many who want the same at once, and one who wants it many times.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::future::join_all;
use mainstay_domain::{AppointmentState, IdempotencyKey, PersonId};
use uuid::Uuid;

use super::super::Harness;
use super::{DAY, MINUTE, Practice, made};
use crate::idempotency::Once;
use crate::{BookAppointment, Booking, Call, Claim, Error};

/// Two hundred callers want one of twenty times: five beginnings that fit each other, and four who work then. So often as
/// `MAINSTAY_TEST_BOOKING_ROUNDS` says, 4 times unless told.
pub(in super::super) async fn two_hundred_callers_have_twenty_times(h: &Harness) {
    let practice = Practice::open(h, "clinic", 4).await;
    let call = Call::within(Duration::from_secs(60));
    let rounds =
        std::env::var("MAINSTAY_TEST_BOOKING_ROUNDS").map_or(4, |text| text.parse().expect("a number of rounds"));
    for round in 0..rounds {
        let first = h.now().plus(DAY * (round + 1));
        let callers = (0..200).map(|caller| {
            let start = first.plus(MINUTE * 45 * (caller % 5));
            h.store.run(&call, practice.book(&practice.staff, start))
        });
        let (mut booked, mut taken) = (0, 0);
        for answer in join_all(callers).await {
            match answer.expect("asked") {
                Once::Done(Booking::Made(_)) => booked += 1,
                Once::Done(Booking::Taken) => taken += 1,
                other => panic!("{other:?}"),
            }
        }
        assert_eq!((booked, taken), (20, 180));
    }
    let all = practice.nothing_overlaps().await;
    let rounds = usize::try_from(rounds).expect("a count");
    assert_eq!(all.len(), 20 * rounds);
    for staff in &practice.staff {
        let theirs = all.iter().filter(|one| one.staff == *staff).count();
        assert_eq!(theirs, 5 * rounds, "everybody has as much to do");
    }
}

pub(in super::super) async fn a_wish_that_is_repeated_is_one(h: &Harness) {
    let practice = Practice::open(h, "clinic", 1).await;
    let start = h.now().plus(DAY);
    let keyed = |key: &str, start| {
        let claim = Claim { key: IdempotencyKey::parse(key).expect("a key"), fingerprint: "f".to_owned() };
        BookAppointment { claim: Some((PersonId(Uuid::nil()), claim)), ..practice.book(&practice.staff, start) }
    };
    let call = h.call();
    let ten = join_all((0..10).map(|_| h.store.run(&call, keyed("call-1/tool-1", start)))).await;
    let mut ids = BTreeSet::new();
    for one in ten {
        match one.expect("asked") {
            Once::Done(booking) => ids.insert(made(booking).id.uuid()),
            Once::Repeat(used) => ids.insert(used.resource_id),
        };
    }
    assert_eq!((ids.len(), practice.nothing_overlaps().await.len()), (1, 1));
    // What is refused leaves no key behind: the same wish is granted once the time is free.
    let wish = || h.store.run(&call, keyed("call-2/tool-1", start));
    assert_eq!(wish().await, Ok(Once::Done(Booking::Taken)));
    let id = practice.all().await[0].id;
    made(practice.change(id, AppointmentState::Cancelled).await);
    assert!(matches!(wish().await, Ok(Once::Done(Booking::Made(_)))));
    // The same key for another time finds what it was used for.
    let other = h.store.run(&call, keyed("call-2/tool-1", start.plus(DAY))).await;
    assert!(matches!(other, Ok(Once::Repeat(_))), "{other:?}");
    let nobody = BookAppointment { staff: BTreeSet::from([h.ids.make()]), ..practice.book(&[], start) };
    assert_eq!(h.store.run(&call, nobody).await, Err(Error::Missing("member of the staff")));
}
