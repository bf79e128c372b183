//! Deliveries as their owners see them: counted by endpoint, and given up one by one.

use std::collections::BTreeMap;

use mainstay_domain::{DeliveryState, JobState};
use uuid::Uuid;

use super::{attempt, claim, end, endpoint, list, listed, log, publish, run, worker};
use crate::conformance::Harness;
use crate::{
    CancelDelivery, CancelledDelivery, CountDeliveries, CountedDeliveries, DELIVERIES, DeliveryAt, DeliveryCounts,
    GetJob, JobFilter, ListDeliveries, ListJobs, ReadDeliveries, Verdict,
};

pub(in crate::conformance) async fn deliveries_are_counted_and_given_up(h: &Harness) {
    let (tenant, person) = h.person("joy").await;
    let (other, _) = h.person("kay").await;
    let worker = worker(h).await;
    assert_eq!(run(h, CountDeliveries { tenant }).await, Ok(CountedDeliveries::default()));
    let (first, second) = (endpoint(h, tenant, person, &[]).await, endpoint(h, tenant, person, &["b"]).await);
    publish(h, tenant, &["a", "b", "a", "a"]).await;
    let jobs = claim(h, worker, DELIVERIES).await;
    let of_first: Vec<_> = jobs.iter().filter(|job| job.group == first.to_string()).collect();
    let later = Verdict::Retry { at: h.now().plus(super::SECOND), rest_until: None };
    let ends = vec![
        attempt(h, tenant, of_first[0], Verdict::Delivered),
        attempt(h, tenant, of_first[1], Verdict::Failed { rest_until: None }),
        attempt(h, tenant, of_first[2], later),
    ];
    end(h, ends).await;
    let counts = async |expected: [(_, DeliveryCounts); 2]| {
        let expected = CountedDeliveries { endpoints: BTreeMap::from(expected), more: false };
        assert_eq!(run(h, CountDeliveries { tenant }).await, Ok(expected));
    };
    let fared = |pending, cancelled| DeliveryCounts { pending, delivered: 1, failed: 1, cancelled };
    let waits = DeliveryCounts { pending: 1, ..DeliveryCounts::default() };
    counts([(first, fared(2, 0)), (second, waits)]).await;
    assert_eq!(run(h, CountDeliveries { tenant: other }).await, Ok(CountedDeliveries::default()));

    let cancel = async |tenant, id: Uuid| {
        run(h, CancelDelivery { tenant, id: id.into(), reason: "It was cancelled.", now: h.now() }).await
    };
    let (taken, waiting, running) = (of_first[0].id.uuid(), of_first[2].id.uuid(), of_first[3]);
    assert_eq!(cancel(other, waiting).await, Ok(CancelledDelivery::Missing));
    assert_eq!(cancel(tenant, taken).await, Ok(CancelledDelivery::Ended(DeliveryState::Delivered)));
    assert_eq!(cancel(tenant, waiting).await, Ok(CancelledDelivery::Done));
    assert_eq!(cancel(tenant, waiting).await, Ok(CancelledDelivery::Ended(DeliveryState::Cancelled)));
    let given_up = log(h, tenant, of_first[2].id).await.delivery;
    assert_eq!((given_up.state, given_up.next_at, given_up.ended_at), (DeliveryState::Cancelled, None, Some(h.now())));
    assert_eq!(given_up.error.as_deref(), Some("It was cancelled."));
    // Whoever begins its job sees that, and sends nothing.
    let place = DeliveryAt { tenant, id: of_first[2].id.into(), endpoint: first };
    let due = super::work(h, ReadDeliveries(vec![place])).await.expect("read").remove(0).expect("it is there");
    assert_eq!(due.state, DeliveryState::Cancelled);
    // One that runs is not tried again; when it was taken after all, it is told so.
    assert_eq!(cancel(tenant, running.id.uuid()).await, Ok(CancelledDelivery::Done));
    counts([(first, fared(0, 2)), (second, waits)]).await;
    end(h, vec![attempt(h, tenant, running, later)]).await;
    counts([(first, fared(0, 2)), (second, waits)]).await;
    let job = run(h, GetJob(running.id)).await.expect("read").expect("it is there");
    assert_eq!(job.job.state, JobState::Scheduled);
    h.clock.advance(10 * super::SECOND);
    let again = claim(h, worker, DELIVERIES).await;
    let again = again.iter().find(|job| job.id == running.id).expect("it is due");
    end(h, vec![attempt(h, tenant, again, Verdict::Delivered)]).await;
    counts([(first, DeliveryCounts { delivered: 2, ..fared(0, 1) }), (second, waits)]).await;

    let of_second = ListDeliveries { endpoint: Some(second), state: Some(DeliveryState::Pending), ..list(tenant) };
    assert_eq!(listed(h, of_second).await.len(), 1);
    let jobs = ListJobs { filter: JobFilter::default(), after: None, limit: 100 };
    assert_eq!(run(h, jobs).await.expect("listed").jobs.len(), 5, "each delivery has one job");
}
