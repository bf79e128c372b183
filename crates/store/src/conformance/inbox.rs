//! The inbox: what arrives is stored once, processed by a job, and the newest of each thing is kept.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join_all;
use mainstay_domain::{InboxEventId, InboxSourceId, InboxState, JobPriority, PersonId, TenantId};

use super::jobs::{KEEPING, worker_of};
use super::{Harness, sealed};
use crate::{
    CancelJob, Cancelled, ChangeInboxSource, ClaimJobs, Claimed, CountInbox, CreateInboxSource, DeleteInboxSource,
    Ending, Error, EventCounts, Fence, FinishJobs, Finished, ForgetInbox, GetInboxEvent, GetInboxSource, InboxFilter,
    InboxPage, InboxSource, InboxSourceMade, InboxSubject, Intent, KeepNewest, ListInbox, ListInboxSources,
    ListSubjects, LookUpInboxKey, MOST_INBOX_SOURCES, NewJob, Once, OverallLimits, Processing, QueueLimits,
    ReceiveEvent, Received, ReplayEvents, Result, Telling,
};

const QUEUE: &str = "inbox";

fn job(h: &Harness, tenant: TenantId, event: InboxEventId) -> NewJob {
    NewJob {
        id: event.into(),
        queue: QUEUE,
        kind: "inbox_event",
        group: tenant.to_string(),
        tenant: Some(tenant),
        priority: JobPriority::Normal,
        arguments: "{}".to_owned(),
        unique: None,
        run_at: h.now(),
        most_attempts: 3,
        trace: None,
    }
}

fn event(h: &Harness, tenant: TenantId, source: InboxSourceId, identity: &str) -> ReceiveEvent {
    let id = h.ids.make();
    ReceiveEvent {
        id,
        tenant,
        source,
        provider: "standard",
        identity: identity.to_owned(),
        kind: "invoice.paid".to_owned(),
        version: Some(7),
        payload: r#"{"id": "é \u0000"}"#.into(),
        processing: Processing::Job(Box::new(job(h, tenant, id))),
        now: h.now(),
    }
}

/// On the heap: all of a case in one future would not fit on a stack.
async fn run<I: Intent>(h: &Harness, intent: I) -> Result<I::Output> {
    Box::pin(h.store.run(&h.call(), intent)).await
}

async fn receive(h: &Harness, event: ReceiveEvent) -> Received {
    Box::pin(h.store.receive_event(&h.call(), event)).await.expect("received")
}

async fn claim(h: &Harness, worker: i64) -> Vec<Claimed> {
    let claim = ClaimJobs {
        queue: QUEUE,
        worker,
        most: 500,
        limits: QueueLimits::default(),
        overall: OverallLimits::default(),
        now: h.now(),
    };
    Box::pin(h.store.run_for_jobs(&h.call(), claim)).await.expect("claimed").jobs
}

/// A page.
async fn list(h: &Harness, tenant: TenantId, filter: InboxFilter, limit: u32) -> InboxPage {
    run(h, ListInbox { tenant, filter, after: None, limit }).await.expect("listed")
}

async fn end(h: &Harness, claimed: &Claimed, ending: Ending) {
    let (job, lease, attempt, started_at) = (claimed.id, claimed.lease, claimed.attempt, claimed.started_at);
    let attempts = vec![Finished { job, lease, attempt, started_at, ending }];
    let finish = FinishJobs { attempts, keeping: KEEPING, now: h.now() };
    assert_eq!(Box::pin(h.store.run_for_jobs(&h.call(), finish)).await, Ok(vec![claimed.id]));
}

pub(super) async fn an_event_is_taken_once_whoever_brings_it(h: &Harness) {
    let worker = worker_of(h, QUEUE, "inbox").await;
    let (tenant, _) = h.person("ivy").await;
    let (other, _) = h.person("jan").await;
    let source: InboxSourceId = h.ids.make();
    let elsewhere: InboxSourceId = h.ids.make();
    // A thousand copies at once, beside others.
    let copies = (0..1000).map(|_| receive(h, event(h, tenant, source, "evt 1")));
    let others = [(tenant, source, "evt 2"), (tenant, elsewhere, "evt 1"), (other, source, "evt 1")];
    let others = others.map(|(tenant, source, identity)| receive(h, event(h, tenant, source, identity)));
    let (copies, others) = tokio::join!(join_all(copies), join_all(others));
    assert_eq!(copies.iter().filter(|copy| !copy.duplicate).count(), 1);
    assert!(copies.iter().all(|copy| copy.event == copies[0].event), "all are told of the same one");
    assert!(others.iter().all(|other| !other.duplicate), "another event, sender or organisation is another");
    let again = receive(h, event(h, tenant, source, "evt 1")).await;
    assert_eq!(again, Received { event: copies[0].event, duplicate: true });
    assert_eq!(claim(h, worker).await.len(), 4, "one job for each that was new");

    // A commit that was not confirmed: the repeat finds what it has stored, and says that it is new.
    let unlucky = event(h, tenant, source, "evt 3");
    h.store.inner.lost_commits.store(1, std::sync::atomic::Ordering::SeqCst);
    assert_eq!(receive(h, unlucky.clone()).await, Received { event: unlucky.id, duplicate: false });
    assert_eq!(claim(h, worker).await.len(), 1);

    let read = run(h, GetInboxEvent { tenant, id: unlucky.id }).await.expect("read").expect("there");
    assert_eq!((read.payload.as_str(), read.event.version), (&*unlucky.payload, Some(7)));
    assert_eq!((read.event.identity.as_str(), read.event.state), ("evt 3", InboxState::Pending));
    assert_eq!(run(h, GetInboxEvent { tenant: other, id: unlucky.id }).await, Ok(None));
    // The installation's own events belong to no organisation.
    let nil = TenantId(uuid::Uuid::nil());
    let own = receive(h, ReceiveEvent { version: None, ..event(h, nil, source, "own") }).await;
    assert!(run(h, GetInboxEvent { tenant: nil, id: own.event }).await.expect("read").is_some());
    // What is long gone is forgotten, and taken as new.
    h.clock.advance(Duration::from_secs(60));
    assert!(run(h, ForgetInbox(h.now())).await.expect("swept") >= 5);
    assert!(!receive(h, event(h, tenant, source, "evt 1")).await.duplicate);
}

fn telling(event: &ReceiveEvent, subject: &str, version: Option<i64>) -> Telling {
    let ReceiveEvent { id, tenant, source, identity, .. } = event.clone();
    Telling { tenant, source, subject: subject.to_owned(), version, identity, event: id }
}

fn keep(h: &Harness, claimed: &[Claimed], telling: Telling) -> KeepNewest {
    let claimed = claimed.iter().find(|job| job.id == telling.event.into()).expect("it was claimed");
    let fence = Fence { job: claimed.id, lease: claimed.lease, keep_until: h.now().plus(Duration::from_secs(60)) };
    KeepNewest { telling, fence, now: h.now() }
}

pub(super) async fn the_newest_is_kept_whatever_the_order(h: &Harness) {
    let worker = worker_of(h, QUEUE, "newest").await;
    let (tenant, _) = h.person("kim").await;
    // Versions of one thing, two of them the same, one without; and another thing.
    let versions = [Some(3), Some(9), None, Some(9), Some(1), Some(4)];
    let orders = [[0, 1, 2, 3, 4, 5], [5, 4, 3, 2, 1, 0], [2, 3, 0, 1, 5, 4]];
    for (round, order) in orders.into_iter().enumerate() {
        let source: InboxSourceId = h.ids.make();
        let mut events = Vec::new();
        for number in 0..versions.len() {
            let event = event(h, tenant, source, &format!("e{number}"));
            receive(h, event.clone()).await;
            events.push(event);
        }
        let other = event(h, tenant, source, "other");
        receive(h, other.clone()).await;
        let claimed = claim(h, worker).await;
        // One after the other, and all in one batch.
        let keeps = order.map(|number| keep(h, &claimed, telling(&events[number], "order 7", versions[number])));
        let other = keep(h, &claimed, telling(&other, "order 8", None));
        let all = keeps.iter().chain([&other]);
        let calls = all.map(|keep| async { Box::pin(h.store.keep_newest(&h.call(), keep.clone())).await });
        if round == 0 {
            for call in calls {
                call.await.expect("kept");
            }
        } else {
            assert!(join_all(calls).await.iter().all(Result::is_ok));
        }
        let subjects = ListSubjects { tenant, source, after: String::new(), limit: 10 };
        let subjects = run(h, subjects).await.expect("listed");
        let newest = InboxSubject {
            subject: "order 7".to_owned(),
            version: Some(9),
            event: events[3].id,
            payload: Some(events[3].payload.to_string()),
        };
        assert_eq!((subjects.len(), &subjects[0], subjects[1].version), (2, &newest, None), "{order:?}");
        // Each fence holds once: the effect cannot take place a second time.
        assert_eq!(h.store.keep_newest(&h.call(), keeps[0].clone()).await, Err(Error::Fenced));
        let states = list(h, tenant, InboxFilter { source: Some(source), ..InboxFilter::default() }, 100).await;
        assert!(states.events.len() == 7 && states.events.iter().all(|event| event.state == InboxState::Processed));
    }
    // A commit that was not confirmed is found by the repeat.
    let unlucky = event(h, tenant, h.ids.make(), "unlucky");
    receive(h, unlucky.clone()).await;
    let claimed = claim(h, worker).await;
    h.store.inner.lost_commits.store(1, std::sync::atomic::Ordering::SeqCst);
    assert!(h.store.keep_newest(&h.call(), keep(h, &claimed, telling(&unlucky, "s", Some(1)))).await.is_ok());
    h.clock.advance(Duration::from_secs(60));
    let swept = run(h, ForgetInbox(h.now())).await.expect("swept");
    assert!(swept >= 22 + 7, "events and subjects: {swept}");
}

pub(super) async fn an_event_without_a_job_has_its_effect_where_it_is_stored(h: &Harness) {
    let (tenant, _) = h.person("noa").await;
    let source: InboxSourceId = h.ids.make();
    let of = |identity: &str, version, processing| ReceiveEvent {
        version,
        processing,
        ..event(h, tenant, source, identity)
    };
    let about = |subject: &str| Processing::Newest(subject.to_owned());
    let newest = of("new", Some(9), about("order 7"));
    // Copies, older and newer ones and another thing, all in one batch; an old one that comes late; one that says nothing.
    let all = [
        newest.clone(),
        of("old", Some(3), about("order 7")),
        of("new", Some(9), about("order 7")),
        of("other", None, about("order 8")),
    ];
    let taken = join_all(all.into_iter().map(|event| receive(h, event))).await;
    assert_eq!(taken.iter().filter(|one| one.duplicate).count(), 1);
    receive(h, of("late", Some(5), about("order 7"))).await;
    receive(h, of("kept", Some(99), Processing::Kept)).await;
    // A commit that was not confirmed: the repeat finds it, and changes nothing.
    h.store.inner.lost_commits.store(1, std::sync::atomic::Ordering::SeqCst);
    receive(h, of("unlucky", Some(1), about("order 9"))).await;
    let subjects = run(h, ListSubjects { tenant, source, after: String::new(), limit: 10 }).await.expect("listed");
    let known: Vec<_> = subjects.iter().map(|one| (one.subject.as_str(), one.version)).collect();
    assert_eq!(known, [("order 7", Some(9)), ("order 8", None), ("order 9", Some(1))]);
    assert_eq!(taken.iter().filter(|one| one.event == subjects[0].event).count(), 2, "the one and its copy");
    let events = list(h, tenant, InboxFilter::default(), 100).await.events;
    assert_eq!(events.len(), 6);
    assert!(events.iter().all(|event| event.state == InboxState::Processed));
    let id = events[0].id.into();
    assert_eq!(run(h, crate::GetJob(id)).await.expect("read"), None, "nothing is left to do");
}

pub(super) async fn events_are_listed_and_processed_again(h: &Harness) {
    let worker = worker_of(h, QUEUE, "list").await;
    let (tenant, _) = h.person("lea").await;
    let source: InboxSourceId = h.ids.make();
    let mut events = Vec::new();
    for number in 0..5 {
        let event = event(h, tenant, source, &format!("l{number}"));
        let kind = if number % 2 == 0 { "even" } else { "odd" };
        receive(h, ReceiveEvent { kind: kind.to_owned(), ..event.clone() }).await;
        // Ids of one millisecond stand in any order.
        h.clock.advance(Duration::from_millis(1));
        events.push(event.id);
    }
    let claimed = claim(h, worker).await;
    let of = |id: InboxEventId| claimed.iter().find(|job| job.id == id.into()).expect("claimed");
    end(h, of(events[0]), Ending::Dead { error: "poison".to_owned() }).await;
    end(h, of(events[1]), Ending::Done).await;
    let ids = |page: &InboxPage| page.events.iter().map(|event| event.id).collect::<Vec<_>>();
    let all = list(h, tenant, InboxFilter::default(), 10).await;
    assert_eq!((ids(&all), all.next), (events.iter().rev().copied().collect(), None));
    let state = |state| InboxFilter { state: Some(state), ..InboxFilter::default() };
    assert_eq!(ids(&list(h, tenant, state(InboxState::Dead), 10).await), [events[0]]);
    assert_eq!(ids(&list(h, tenant, state(InboxState::Processed), 10).await), [events[1]]);
    assert_eq!(ids(&list(h, tenant, state(InboxState::Pending), 10).await), [events[4], events[3], events[2]]);
    assert_eq!(ids(&list(h, tenant, state(InboxState::Cancelled), 10).await), []);
    let odd = InboxFilter { kind: "odd".to_owned(), ..InboxFilter::default() };
    assert_eq!(ids(&list(h, tenant, odd, 10).await), [events[3], events[1]]);
    let first = list(h, tenant, InboxFilter::default(), 2).await;
    assert_eq!(first.next, Some(events[3]));
    let rest = ListInbox { tenant, filter: InboxFilter::default(), after: first.next, limit: 10 };
    assert_eq!(ids(&run(h, rest).await.expect("listed")), [events[2], events[1], events[0]]);
    cancelled_and_counted(h, tenant, source, (events[2], events[4])).await;

    // Done or dead, they begin anew; what runs does not. One whose job is forgotten gets a new one.
    let gone = events[1];
    h.clock.advance(KEEPING.done);
    while run(h, crate::ForgetJobs { now: h.now() }).await.expect("swept") > 0 {}
    assert_eq!(ids(&list(h, tenant, state(InboxState::Processed), 10).await), [gone]);
    let jobs = events.iter().map(|event| job(h, tenant, *event)).collect();
    let mut again = run(h, ReplayEvents { jobs, now: h.now() }).await.expect("begun");
    again.sort_unstable();
    assert_eq!(again, [events[0], gone]);
    // The worker's lease has ended meanwhile.
    let worker = worker_of(h, QUEUE, "list again").await;
    let claimed = claim(h, worker).await;
    assert_eq!(claimed.iter().map(|job| job.attempt).collect::<Vec<_>>(), [1, 1]);
}

/// Five events of a sender: one is dead, one done, three run. One of these is asked to stop, beside one that waits.
async fn cancelled_and_counted(
    h: &Harness,
    tenant: TenantId,
    source: InboxSourceId,
    (running, newest): (InboxEventId, InboxEventId),
) {
    let newest = run(h, GetInboxEvent { tenant, id: newest }).await.expect("read").expect("there").event.received_at;
    let elsewhere: InboxSourceId = h.ids.make();
    let waits = event(h, tenant, elsewhere, "waits");
    receive(h, waits.clone()).await;
    let cancel = async |id: InboxEventId, keep: Duration| {
        run(h, CancelJob { job: id.into(), keep_until: h.now().plus(keep), now: h.now() }).await.expect("asked")
    };
    // It is known as cancelled for as long as it is kept, not only as long as jobs that are done.
    assert_eq!(cancel(waits.id, KEEPING.dead).await, Cancelled::Done);
    assert_eq!(cancel(running, KEEPING.dead).await, Cancelled::Asked);
    let mut expected = BTreeMap::from([
        (source, EventCounts { pending: 3, processed: 1, dead: 1, cancelled: 0, newest_at: Some(newest) }),
        (elsewhere, EventCounts { cancelled: 1, newest_at: Some(waits.now), ..EventCounts::default() }),
    ]);
    assert_eq!(run(h, CountInbox { tenant }).await, Ok(expected.clone()));
    assert_eq!(expected[&source].all(), 5);
    let (other, _) = h.person("lou").await;
    assert_eq!(run(h, CountInbox { tenant: other }).await, Ok(BTreeMap::new()));
    // It is begun anew, and counted as what it is then.
    let jobs = vec![job(h, tenant, waits.id)];
    assert_eq!(run(h, ReplayEvents { jobs, now: h.now() }).await, Ok(vec![waits.id]));
    if let Some(counts) = expected.get_mut(&elsewhere) {
        *counts = EventCounts { pending: 1, cancelled: 0, ..*counts };
    }
    assert_eq!(run(h, CountInbox { tenant }).await, Ok(expected));
    assert_eq!(cancel(waits.id, KEEPING.dead).await, Cancelled::Done);
    h.clock.advance(KEEPING.done);
    while run(h, crate::ForgetJobs { now: h.now() }).await.expect("swept") > 0 {}
    let read = run(h, GetInboxEvent { tenant, id: waits.id }).await.expect("read").expect("there");
    assert_eq!(read.event.state, InboxState::Cancelled);
}

fn source(h: &Harness, name: &str) -> InboxSource {
    let id: InboxSourceId = h.ids.make();
    InboxSource {
        id,
        name: name.to_owned(),
        provider: "generic".to_owned(),
        scheme: sealed("first"),
        key: format!("key of {id}"),
        created_at: h.now(),
        disabled_at: None,
    }
}

pub(super) async fn senders_come_change_and_go(h: &Harness) {
    let (tenant, person) = h.person("mia").await;
    let (other, _) = h.person("ned").await;
    let create = async |source: InboxSource, person: PersonId| {
        let create = CreateInboxSource { tenant, person, source, claim: None };
        run(h, create).await.expect("asked")
    };
    let first = source(h, "first");
    assert_eq!(create(first.clone(), person).await, Once::Done(InboxSourceMade::Made(first.id)));
    let found = run(h, LookUpInboxKey(first.key.clone())).await;
    assert_eq!(found, Ok(Some((tenant, first.id))));
    assert_eq!(run(h, LookUpInboxKey("none".to_owned())).await, Ok(None));
    assert_eq!(run(h, GetInboxSource { tenant, id: first.id }).await, Ok(Some(first.clone())));
    assert_eq!(run(h, GetInboxSource { tenant: other, id: first.id }).await, Ok(None));

    let unchanged =
        ChangeInboxSource { tenant, id: first.id, seen: None, name: None, scheme: None, enabled: None, now: h.now() };
    assert_eq!(run(h, unchanged.clone()).await, Ok(Some(first.clone())));
    let renamed = ChangeInboxSource {
        name: Some("renamed".to_owned()),
        scheme: Some(sealed("second")),
        enabled: Some(false),
        seen: Some(first.scheme.clone()),
        ..unchanged.clone()
    };
    let raced = ChangeInboxSource { seen: Some(sealed("another")), ..renamed.clone() };
    assert_eq!(run(h, raced).await, Err(Error::Conflict));
    let changed = run(h, renamed).await.expect("changed").expect("there");
    assert_eq!(
        (changed.name.as_str(), changed.scheme.body(), changed.disabled_at),
        ("renamed", "second", Some(h.now()))
    );
    h.clock.advance(Duration::from_secs(1));
    let again = ChangeInboxSource { enabled: Some(false), now: h.now(), ..unchanged.clone() };
    let again = run(h, again).await.expect("changed").expect("there");
    assert_eq!(again.disabled_at, changed.disabled_at, "it is known since when");
    let enabled = ChangeInboxSource { enabled: Some(true), ..unchanged.clone() };
    assert_eq!(run(h, enabled).await.expect("changed").expect("there").disabled_at, None);
    assert_eq!(run(h, ChangeInboxSource { tenant: other, ..unchanged }).await, Ok(None));

    let list = async |after| {
        let list = ListInboxSources { tenant, after, limit: 100 };
        run(h, list).await.expect("listed").into_iter().map(|source| source.id).collect::<Vec<_>>()
    };
    let mut all = vec![first.id];
    for number in 1..MOST_INBOX_SOURCES {
        h.clock.advance(Duration::from_millis(1));
        let one = source(h, &number.to_string());
        assert_eq!(create(one.clone(), person).await, Once::Done(InboxSourceMade::Made(one.id)));
        all.push(one.id);
    }
    assert_eq!(create(source(h, "one more"), person).await, Once::Done(InboxSourceMade::TooMany));
    assert_eq!(list(None).await, all);
    assert_eq!(list(Some((first.created_at, first.id))).await, all[1..]);

    assert_eq!(run(h, DeleteInboxSource { tenant: other, id: first.id }).await, Ok(None));
    assert_eq!(run(h, DeleteInboxSource { tenant, id: first.id }).await, Ok(Some(first.key.clone())));
    assert_eq!(run(h, LookUpInboxKey(first.key)).await, Ok(None));
    assert_eq!(list(None).await, all[1..]);
}
