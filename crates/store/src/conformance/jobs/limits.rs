//! Who goes first, and how many at once.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::future::join_all;
use mainstay_domain::JobPriority;

use super::super::Harness;
use super::{QUEUE, claim, claim_with, finish, job, promise, worker};
use crate::{ClaimJobs, Claimed, Ending, NewJob, OpenQueues, OverallLimits, QueueLimits, Rate};

pub(in super::super) async fn groups_take_turns_and_priorities_go_first(h: &Harness) {
    let worker = worker(h, "turns").await;
    let of = |group: &str, priority| NewJob { group: group.to_owned(), priority, ..job(h) };
    let mut jobs: Vec<_> = (0..500).map(|_| of("loud", JobPriority::Normal)).collect();
    for quiet in 0..20 {
        jobs.push(of(&format!("quiet {quiet:02}"), JobPriority::Normal));
    }
    jobs.push(of("urgent", JobPriority::High));
    jobs.push(of("idle", JobPriority::Low));
    promise(h, jobs).await;
    let first = claim_with(h, worker, 42, QueueLimits::default()).await;
    assert_eq!(first.jobs[0].group, "urgent");
    let quiet = first.jobs.iter().filter(|job| job.group.starts_with("quiet")).count();
    assert_eq!(
        (first.jobs.len(), quiet, first.more),
        (42, 20, true),
        "each group has its share before the loud one has the rest"
    );
    // The others have nothing left: all of the room is the loud one's, and the low priority still waits.
    let second = claim(h, worker, 400).await;
    assert_eq!((second.len(), second.iter().all(|job| job.group == "loud")), (400, true));
    let third = claim(h, worker, 400).await;
    assert_eq!(third.last().map(|job| job.group.as_str()), Some("idle"));
    assert_eq!(first.jobs.len() + second.len() + third.len(), 522, "all of them");
}

pub(in super::super) async fn many_groups_are_served_round_the_ring(h: &Harness) {
    let worker = worker(h, "ring").await;
    let jobs: Vec<_> =
        (0..3).flat_map(|_| (0..150).map(|n| NewJob { group: format!("group {n:03}"), ..job(h) })).collect();
    promise(h, jobs).await;
    // 150 groups, ten at a time: each is served once before any is served twice.
    let mut served: BTreeMap<String, usize> = BTreeMap::new();
    for _ in 0..15 {
        for job in claim(h, worker, 10).await {
            *served.entry(job.group).or_default() += 1;
        }
    }
    let counts: BTreeSet<_> = served.values().copied().collect();
    assert_eq!((served.len(), counts), (150, BTreeSet::from([1])));
    let rest = claim(h, worker, 1000).await;
    assert_eq!(rest.len(), 300, "and all of them come");
}

pub(in super::super) async fn limits_hold_over_all_nodes(h: &Harness) {
    let workers = [worker(h, "one").await, worker(h, "two").await];
    let limits = QueueLimits { running: Some(12), running_per_group: Some(3), ..QueueLimits::default() };
    let jobs: Vec<_> = (0..400).map(|n| NewJob { group: format!("g{}", n % 8), ..job(h) }).collect();
    promise(h, jobs).await;
    let mut seen = BTreeSet::new();
    for round in 0..60 {
        // Eight claims at once on two nodes.
        let claims = join_all((0..8).map(|n| {
            let overall = OverallLimits::default();
            let claim = ClaimJobs { queue: QUEUE, worker: workers[n % 2], most: 5, limits, overall, now: h.now() };
            async { h.store.run_for_jobs(&h.call(), claim).await.expect("claimed") }
        }))
        .await;
        let running: Vec<_> = claims.into_iter().flat_map(|claims| claims.jobs).collect();
        let mut by_group: BTreeMap<&str, usize> = BTreeMap::new();
        for job in &running {
            assert!(seen.insert(job.id), "claimed twice");
            *by_group.entry(&job.group).or_default() += 1;
        }
        assert!(running.len() <= 12 && by_group.values().all(|count| *count <= 3), "round {round}: {by_group:?}");
        assert!(running.len() == 12 || seen.len() == 400, "round {round}: there was room for more");
        for job in &running {
            assert!(finish(h, job, Ending::Done).await);
        }
        if seen.len() == 400 {
            return;
        }
    }
    panic!("{} of 400 were claimed", seen.len());
}

pub(in super::super) async fn rates_hold_over_all_nodes(h: &Harness) {
    let workers = [worker(h, "one").await, worker(h, "two").await];
    let minute = Duration::from_secs(60);
    let limits = QueueLimits {
        rate: Some(Rate { jobs: 10, within: minute }),
        rate_per_group: Some(Rate { jobs: 4, within: minute }),
        ..QueueLimits::default()
    };
    let jobs: Vec<_> = (0..60).map(|n| NewJob { group: format!("g{}", n % 5), ..job(h) }).collect();
    promise(h, jobs).await;
    let mut begun: Vec<(mainstay_domain::Timestamp, String)> = Vec::new();
    let begin = h.now();
    for _ in 0..240 {
        for worker in workers {
            let claims = claim_with(h, worker, 100, limits).await;
            if claims.jobs.is_empty() {
                assert!(claims.next_at.is_none_or(|next| next > h.now()), "{claims:?}");
            }
            begun.extend(claims.jobs.into_iter().map(|job| (h.now(), job.group)));
        }
        if begun.len() == 60 {
            break;
        }
        h.clock.advance(Duration::from_secs(2));
        let renewals = ["one", "two"];
        for (name, number) in renewals.into_iter().zip(workers) {
            let renew = crate::RenewLease { name: format!("worker:{name}"), number, now: h.now(), lasts: super::LASTS };
            assert_eq!(h.store.run(&h.call(), renew).await, Ok(true));
        }
    }
    assert_eq!(begun.iter().filter(|(at, _)| *at == begin).count(), 10);
    assert_eq!(begun.len(), 60, "all of them come in the end");
    for (at, _) in &begun {
        let within = |group: Option<&str>| {
            let end = at.plus(minute);
            begun.iter().filter(|(t, g)| t >= at && *t < end && group.is_none_or(|group| g == group)).count()
        };
        // A full bucket and what flows in meanwhile.
        assert!(within(None) <= 20, "{at}: {}", within(None));
        assert!(within(Some("g0")) <= 8);
    }
    let took = begun.last().map(|(at, _)| at.since(begin)).expect("some");
    assert!(took >= Duration::from_secs(290), "60 at 10 a minute take five minutes after the first ten: {took:?}");
}

/// Another queue, which shares what holds over all of them.
const OTHER: &str = "q2";

async fn claim_under(h: &Harness, queue: &'static str, worker: i64, overall: OverallLimits) -> Vec<Claimed> {
    let claim = ClaimJobs { queue, worker, most: 5, limits: QueueLimits::default(), overall, now: h.now() };
    let claims = h.store.run_for_jobs(&h.call(), claim).await.expect("claimed");
    assert!(!claims.jobs.is_empty() || claims.next_at.is_none_or(|next| next > h.now()), "{claims:?}");
    claims.jobs
}

pub(in super::super) async fn limits_hold_over_all_queues(h: &Harness) {
    let workers = [worker(h, "one").await, worker(h, "two").await];
    h.store.run(&h.call(), OpenQueues(vec![OTHER])).await.expect("opened");
    let busy = (0..200).map(|_| job(h));
    promise(h, busy.chain((0..40).map(|_| NewJob { queue: OTHER, ..job(h) })).collect()).await;
    let overall = OverallLimits { running: Some(6), rate: None };
    // Whoever comes first leaves a place for the other queue, of which nothing runs.
    let first = claim_under(h, QUEUE, workers[0], OverallLimits { running: Some(4), rate: None }).await;
    assert_eq!(first.len(), 3);
    assert_eq!(claim_under(h, QUEUE, workers[1], OverallLimits { running: Some(4), rate: None }).await, []);
    for job in &first {
        assert!(finish(h, job, Ending::Done).await);
    }
    let (mut seen, mut others) = (first.len(), 0);
    for round in 0..120 {
        let claims = join_all((0..8).map(|n| {
            // The other queue asks seldom, and must come through all the same.
            let queue = if n == 7 { OTHER } else { QUEUE };
            claim_under(h, queue, workers[n % 2], overall)
        }))
        .await;
        others += claims[7].len();
        let running: Vec<_> = claims.into_iter().flatten().collect();
        assert!(running.len() <= 6, "round {round}: {} at once", running.len());
        assert!(!running.is_empty() || seen == 240, "round {round}: nobody began");
        seen += running.len();
        for job in &running {
            assert!(finish(h, job, Ending::Done).await);
        }
        if seen == 240 {
            break;
        }
        assert!(others > round.min(39), "round {round}: the other queue waited, {others} began");
    }
    assert_eq!((seen, others), (240, 40), "all of them come in the end");
}

pub(in super::super) async fn a_rate_holds_over_all_queues(h: &Harness) {
    let worker = worker(h, "one").await;
    h.store.run(&h.call(), OpenQueues(vec![OTHER])).await.expect("opened");
    promise(h, (0..20).map(|_| job(h)).chain((0..20).map(|_| NewJob { queue: OTHER, ..job(h) })).collect()).await;
    let rate = Rate { jobs: 8, within: Duration::from_secs(60) };
    let overall = OverallLimits { running: None, rate: Some(rate) };
    let mut begun = 0;
    for queue in [QUEUE, OTHER, QUEUE, OTHER] {
        begun += claim_under(h, queue, worker, overall).await.len();
    }
    assert_eq!(begun, 8, "of both queues together");
    h.clock.advance(Duration::from_secs(8));
    assert_eq!(claim_under(h, OTHER, worker, overall).await.len(), 1, "one each seven and a half seconds");
    assert_eq!(claim_under(h, QUEUE, worker, overall).await.len(), 0);
}
