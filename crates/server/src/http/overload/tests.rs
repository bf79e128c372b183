//! Places under a runtime: waited for, given back, and never lost, whatever becomes of those who asked.

mod crowd;
mod wrapped;

use std::future::Future;
use std::pin::pin;
use std::task::Poll;

use futures_util::future::join_all;
use mainstay_domain::TenantId;
use uuid::Uuid;

use super::*;

struct Seven;
impl Entropy for Seven {
    fn fill(&self, buffer: &mut [u8]) {
        buffer.fill(7);
    }
}

fn overload(first: usize) -> Overload {
    let settings = config::Overload {
        enabled: true,
        least_in_flight: 1,
        first_in_flight: first,
        most_in_flight: 100,
        latency_target_ms: 25,
        tolerance_percent: 300,
        tenant_tolerance_percent: 200,
        queue: 4,
        queue_per_tenant: 2,
        queue_timeout_ms: 100,
        pool_warning_percent: 80,
    };
    Overload::new(&settings, &Seven)
}

fn tenant(number: u128) -> Key {
    Key::Tenant(TenantId(Uuid::from_u128(number)))
}

fn admission(overload: &Overload) -> Admission {
    Admission::new(overload, None, Priority::Write, 0).expect("writing is refusable")
}

async fn enter(overload: &Overload, number: u128) -> Result<Admission, Error> {
    let admission = admission(overload);
    overload_error(admission.enter(tenant(number)).await)?;
    Ok(admission)
}

fn overload_error(entered: Result<(), crate::http::Problem>) -> Result<(), Error> {
    entered.map_err(|problem| {
        let error = problem.error();
        assert_eq!((error.kind, error.code), (Kind::Unavailable, "overloaded"));
        let after = error.retry_after.expect("when to come back");
        assert!((Duration::from_secs(1)..=Duration::from_secs(5)).contains(&after));
        Error::new(error.kind, error.code, "")
    })
}

/// Inside and waiting.
fn stands(overload: &Overload) -> (usize, usize) {
    let Standing { inside, waiting, .. } = overload.standing();
    (inside, waiting)
}

async fn poll_once<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    std::future::poll_fn(|cx| Poll::Ready(std::pin::Pin::new(&mut *future).poll(cx))).await
}

#[tokio::test(start_paused = true)]
async fn who_finds_no_place_waits_for_one_and_is_let_in() {
    let overload = overload(1);
    let first = enter(&overload, 1).await.expect("there is room");
    let mut second = pin!(enter(&overload, 2));
    assert!(poll_once(&mut second).await.is_pending());
    assert_eq!(stands(&overload), (1, 1));
    first.leave(true);
    let second = second.await.expect("its turn has come");
    assert_eq!(stands(&overload), (1, 0));
    second.leave(true);
    assert_eq!(stands(&overload), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_longer_than_the_queue_allows() {
    let overload = overload(1);
    let first = enter(&overload, 1).await.expect("there is room");
    let begun = Instant::now();
    assert!(enter(&overload, 2).await.is_err());
    assert_eq!(begun.elapsed(), Duration::from_millis(100));
    assert_eq!(stands(&overload), (1, 0));
    // The third of one organisation is refused at once.
    let (a, b, c) = tokio::join!(enter(&overload, 2), enter(&overload, 2), async {
        let begun = Instant::now();
        let refused = enter(&overload, 2).await;
        assert_eq!(begun.elapsed(), Duration::ZERO);
        refused
    });
    assert!(a.is_err() && b.is_err() && c.is_err());
    first.leave(false);
    assert_eq!(stands(&overload), (0, 0));
    let refused = |reason: usize| overload.0.figures.count(Priority::Write, reason);
    assert_eq!([0, 1, 2, 3].map(refused), [0, 1, 3, 0]);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_goes_away_leaves_no_trace_waiting_or_served() {
    let overload = overload(1);
    let first = enter(&overload, 1).await.expect("there is room");
    {
        let mut gone = pin!(enter(&overload, 2));
        assert!(poll_once(&mut gone).await.is_pending());
        assert_eq!(stands(&overload), (1, 1));
    }
    assert_eq!(stands(&overload), (1, 0), "it has left the queue");
    {
        let mut late = pin!(enter(&overload, 2));
        assert!(poll_once(&mut late).await.is_pending());
        first.leave(true);
        assert_eq!(stands(&overload), (1, 0), "it is let in, and goes away before it knows");
    }
    assert_eq!(stands(&overload), (0, 0));
    // Served, and dropped without a word.
    drop(Leaving(Some(enter(&overload, 3).await.expect("there is room"))));
    assert_eq!(stands(&overload), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_place_that_nobody_takes_any_more_goes_to_the_next() {
    let overload = overload(1);
    let first = enter(&overload, 1).await.expect("there is room");
    let mut gone = Box::pin(enter(&overload, 2));
    assert!(poll_once(&mut gone).await.is_pending());
    let mut next = pin!(enter(&overload, 3));
    assert!(poll_once(&mut next).await.is_pending());
    first.leave(true);
    drop(gone);
    next.await.expect("the place went on").leave(true);
    assert_eq!(stands(&overload), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_request_has_one_place_and_none_while_its_body_is_on_its_way() {
    let overload = overload(1);
    let first = enter(&overload, 1).await.expect("there is room");
    overload_error(first.enter(tenant(1)).await).expect("it has a place");
    assert_eq!(stands(&overload), (1, 0));
    first.pause();
    assert_eq!(stands(&overload), (0, 0));
    let other = enter(&overload, 2).await.expect("the place was free meanwhile");
    assert!(first.resume().await.is_err(), "and is not now");
    other.leave(true);
    overload_error(first.resume().await).expect("there is room again");
    assert_eq!(stands(&overload), (1, 0));
    first.leave(true);
    first.pause();
    overload_error(first.resume().await).expect("it needs none any more");
    overload_error(first.enter(tenant(1)).await).expect("nor here");
    assert_eq!(stands(&overload), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn what_is_never_refused_and_what_is_switched_off_takes_no_place() {
    assert!(Admission::new(&overload(1), None, Priority::Always, 0).is_none());
    let off = overload(1);
    let off = Overload(Arc::new(match Arc::try_unwrap(off.0) {
        Ok(inner) => Inner { enabled: false, ..inner },
        Err(_) => panic!("it is shared"),
    }));
    assert!(Admission::new(&off, None, Priority::Heavy, 0).is_none());
}

/// Many organisations, clients that give up, handlers of any length: at the end every place is free.
#[tokio::test(start_paused = true)]
async fn a_crowd_leaves_every_place_free() {
    let overload = overload(8);
    let one = |number: u64| {
        let overload = overload.clone();
        async move {
            tokio::time::sleep(Duration::from_millis(number * 7 % 400)).await;
            let patience = Duration::from_millis(number * 13 % 60 + 1);
            let work = async {
                let leaving = Leaving(Some(enter(&overload, u128::from(number % 11)).await?));
                assert!(overload.standing().inside <= 100);
                tokio::time::sleep(Duration::from_millis(number * 29 % 50)).await;
                leaving.answered(true);
                Ok::<(), Error>(())
            };
            // Some clients go away.
            match tokio::time::timeout(patience, work).await {
                Ok(Ok(())) => (1, 0, 0),
                Ok(Err(_)) => (0, 1, 0),
                Err(_) => (0, 0, 1),
            }
        }
    };
    let ends = join_all((0..2000).map(one)).await;
    let sum = |pick: fn(&(u32, u32, u32)) -> u32| ends.iter().map(pick).sum::<u32>();
    let (served, refused, gone) = (sum(|end| end.0), sum(|end| end.1), sum(|end| end.2));
    assert!(served > 50 && refused > 50 && gone > 50, "{served} {refused} {gone}");
    assert_eq!(stands(&overload), (0, 0));
}

#[test]
fn those_who_are_refused_together_come_back_apart() {
    let overload = overload(1);
    let times: std::collections::BTreeSet<u64> = (0..200).map(|_| overload.come_back()).collect();
    assert_eq!(times.into_iter().collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
}
