//! Deliveries: published, made, ended, replayed, forgotten.

pub(super) mod listing;

use std::time::Duration;

use futures_util::future::BoxFuture;
use mainstay_domain::{
    DeliveryId, DeliveryState, DisabledReason, EndpointId, EventType, IdempotencyKey, JobId, PersonId, TenantId,
    Timestamp,
};
use uuid::Uuid;

use super::{Harness, sealed};
use crate::{
    AcquireLease, AttemptEnd, AttemptLog, CancelBite, Cancelling, ChangeEndpoint, ChangeSecrets, Claim, ClaimJobs,
    Claimed, CountDisabledEndpoints, CreateEndpoint, DELIVERIES, DELIVERY_CHORES, DeleteEndpoint, Delivery, DeliveryAt,
    DeliveryLog, EndAttempts, EndUnsent, EndedAttempts, Endpoint, EndpointMade, EndpointPolicy, EndpointSettings,
    Error, Fence, FindEvent, GetDelivery, GetEndpoint, Intent, Keeping, ListDeliveries, ListEndpoints, ListEventTypes,
    NewEvent, Once, OpenQueues, OverallLimits, PromoteJobs, PublishEvents, PublishTo, PutOffDeliveries, QueueLimits,
    ReadDeliveries, Replay, ReplayBite, ReplayDelivery, Replayed, RequestReplay, Result, SecretsChanged, TakeTurn,
    Turn, Verdict,
};

const KEEPING: Keeping = Keeping { done: Duration::from_secs(60), dead: Duration::from_secs(600) };
const POLICY: EndpointPolicy = EndpointPolicy {
    failures: 2,
    first_rest: Duration::from_secs(5),
    longest_rest: Duration::from_secs(300),
    disable_after: Duration::from_secs(3600),
};
const SECOND: Duration = Duration::from_secs(1);

/// Boxed, because all the intents of a case in one future would not fit on a stack.
fn run<'a, I: Intent + 'a>(h: &'a Harness, intent: I) -> BoxFuture<'a, Result<I::Output>> {
    Box::pin(async move { h.store.run(&h.call(), intent).await })
}

/// The same, as a worker.
fn work<'a, I: Intent + 'a>(h: &'a Harness, intent: I) -> BoxFuture<'a, Result<I::Output>> {
    Box::pin(async move { h.store.run_for_jobs(&h.call(), intent).await })
}

fn forget(h: &Harness, deliveries: Timestamp, events: Timestamp) -> BoxFuture<'_, Result<usize>> {
    Box::pin(async move { h.store.forget_deliveries(&h.call(), deliveries, events).await })
}

fn create(h: &Harness, tenant: TenantId, person: PersonId, types: &[&str]) -> CreateEndpoint {
    CreateEndpoint {
        id: h.ids.make(),
        tenant,
        person,
        settings: EndpointSettings {
            url: "https://example.com/hook".to_owned(),
            description: "for tests".to_owned(),
            event_types: types.iter().map(|kind| EventType::parse(kind).expect("a type")).collect(),
            rate_per_minute: None,
        },
        secrets: sealed("one"),
        claim: None,
        now: h.now(),
    }
}

async fn endpoint(h: &Harness, tenant: TenantId, person: PersonId, types: &[&str]) -> EndpointId {
    let create = create(h, tenant, person, types);
    let id = create.id;
    assert_eq!(run(h, create).await, Ok(Once::Done(EndpointMade::Made)));
    id
}

async fn get(h: &Harness, tenant: TenantId, id: EndpointId) -> Endpoint {
    run(h, GetEndpoint { tenant, id }).await.expect("read").expect("it is there")
}

fn event(h: &Harness, kind: &str) -> NewEvent {
    let kind = EventType::parse(kind).expect("a type");
    NewEvent { id: h.ids.make(), kind, payload: r#"{"text": "Ada 🦀"}"#.to_owned() }
}

async fn publish(h: &Harness, tenant: TenantId, kinds: &[&str]) -> Vec<u32> {
    let events = kinds.iter().map(|kind| event(h, kind)).collect();
    let publish = PublishEvents { tenant, events, claim: None, now: h.now() };
    match run(h, publish).await.expect("published") {
        Once::Done(counts) => counts,
        Once::Repeat(used) => panic!("{used:?}"),
    }
}

async fn worker(h: &Harness) -> i64 {
    run(h, OpenQueues(vec![DELIVERIES, DELIVERY_CHORES])).await.expect("opened");
    let lasts = Duration::from_secs(100_000);
    let acquire =
        AcquireLease { name: format!("worker:{}", h.ids.make::<Uuid>()), holder: "w".to_owned(), now: h.now(), lasts };
    run(h, acquire).await.expect("asked").expect("free")
}

async fn claim(h: &Harness, worker: i64, queue: &'static str) -> Vec<Claimed> {
    work(h, PromoteJobs { most: 1000, now: h.now() }).await.expect("promoted");
    let claim = ClaimJobs {
        queue,
        worker,
        most: 100,
        limits: QueueLimits::default(),
        overall: OverallLimits::default(),
        now: h.now(),
    };
    work(h, claim).await.expect("claimed").jobs
}

fn attempt(h: &Harness, tenant: TenantId, job: &Claimed, verdict: Verdict) -> AttemptEnd {
    AttemptEnd {
        tenant,
        endpoint: job.group.parse().expect("an endpoint"),
        job: job.id,
        lease: job.lease,
        start: job.attempt,
        number: 1,
        started_at: h.now(),
        verdict,
        log: AttemptLog {
            took_ms: 7,
            status: Some(500),
            error: (verdict != Verdict::Delivered).then(|| "no".to_owned()),
            request_headers: "{}".to_owned(),
            response_headers: "{}".to_owned(),
            response_body: "body".to_owned(),
        },
    }
}

async fn end(h: &Harness, attempts: Vec<AttemptEnd>) -> EndedAttempts {
    let end = EndAttempts { attempts, policy: POLICY, keeping: KEEPING, now: h.now() };
    work(h, end).await.expect("ended")
}

fn list(tenant: TenantId) -> ListDeliveries {
    ListDeliveries { tenant, endpoint: None, state: None, kind: String::new(), after: None, limit: 100 }
}

async fn listed(h: &Harness, list: ListDeliveries) -> Vec<Delivery> {
    run(h, list).await.expect("listed").deliveries
}

async fn log(h: &Harness, tenant: TenantId, id: impl Into<DeliveryId>) -> DeliveryLog {
    let get = GetDelivery { tenant, id: id.into() };
    run(h, get).await.expect("read").expect("it is there")
}

fn fence(job: &Claimed) -> Fence {
    Fence { job: job.id, lease: job.lease, keep_until: job.started_at.plus(KEEPING.done) }
}

pub(super) async fn endpoints_are_made_changed_and_removed(h: &Harness) {
    let (tenant, person) = h.person("ena").await;
    let (other, _) = h.person("else").await;
    let key = IdempotencyKey::parse("one").expect("a key");
    let first = CreateEndpoint {
        claim: Some(Claim { key, fingerprint: "f".to_owned() }),
        ..create(h, tenant, person, &["a", "b.c"])
    };
    let id = first.id;
    assert_eq!(run(h, first.clone()).await, Ok(Once::Done(EndpointMade::Made)));
    let again = CreateEndpoint { id: h.ids.make(), ..first };
    assert!(matches!(run(h, again).await, Ok(Once::Repeat(used)) if used.resource_id == id.uuid()));
    let made = get(h, tenant, id).await;
    assert_eq!((made.url.as_str(), made.event_types.len()), ("https://example.com/hook", 2));
    assert!(run(h, GetEndpoint { tenant: other, id }).await.expect("read").is_none());
    h.clock.advance(SECOND);
    let change = ChangeEndpoint {
        tenant,
        id,
        url: None,
        description: Some("changed".to_owned()),
        event_types: Some(Vec::new()),
        rate_per_minute: Some(Some(60)),
        enabled: None,
        now: h.now(),
    };
    let changed = run(h, change.clone()).await.expect("changed").expect("it is there");
    let read = get(h, tenant, id).await;
    assert_eq!(format!("{changed:?}"), format!("{read:?}"), "what is answered is what is stored");
    assert_eq!((read.description.as_str(), read.rate_per_minute, read.updated_at), ("changed", Some(60), h.now()));
    let theirs = ChangeEndpoint { tenant: other, ..change };
    assert!(run(h, theirs).await.expect("tried").is_none());
    // Secrets are changed by who has seen those before.
    let seen = get(h, tenant, id).await.secrets;
    assert_eq!(seen, sealed("one"));
    let change = ChangeSecrets { tenant, id, seen, secrets: sealed("two"), now: h.now() };
    assert_eq!(run(h, ChangeSecrets { tenant: other, ..change.clone() }).await, Ok(SecretsChanged::Unknown));
    assert_eq!(run(h, change.clone()).await, Ok(SecretsChanged::Done));
    assert_eq!(run(h, change).await, Ok(SecretsChanged::Meanwhile));
    assert_eq!(get(h, tenant, id).await.secrets, sealed("two"));
    // There is a bound.
    for _ in 0..49 {
        endpoint(h, tenant, person, &[]).await;
        h.clock.advance(Duration::from_millis(1));
    }
    let one_more = create(h, tenant, person, &[]);
    assert_eq!(run(h, one_more).await, Ok(Once::Done(EndpointMade::TooMany)));
    let first = run(h, ListEndpoints { tenant, after: None, limit: 20 }).await.expect("listed");
    let after = first.last().map(|last| (last.created_at, last.id));
    let second = run(h, ListEndpoints { tenant, after, limit: 100 }).await.expect("listed");
    assert_eq!((first.len(), second.len(), first[0].id), (20, 30, id));
    let remove = DeleteEndpoint { tenant, id, now: h.now() };
    assert_eq!(run(h, DeleteEndpoint { tenant: other, ..remove }).await, Ok(false));
    assert_eq!(run(h, remove).await, Ok(true));
    assert_eq!(run(h, remove).await, Ok(false));
    assert_eq!(run(h, CountDisabledEndpoints).await, Ok(0));
}

pub(super) async fn an_event_and_its_deliveries_are_one_transaction(h: &Harness) {
    let (tenant, person) = h.person("pia").await;
    let (other, other_person) = h.person("others").await;
    let worker = worker(h).await;
    let all = endpoint(h, tenant, person, &[]).await;
    endpoint(h, tenant, person, &["a"]).await;
    endpoint(h, other, other_person, &[]).await;
    assert_eq!(publish(h, tenant, &["a", "b"]).await, [2, 1]);
    let types = run(h, ListEventTypes(tenant)).await.expect("listed");
    assert_eq!(types, ["a", "b"]);
    assert_eq!(listed(h, list(other)).await, []);
    // A key is used once, and what fails leaves nothing.
    let once = event(h, "once");
    let key = IdempotencyKey::parse("once").expect("a key");
    let claimed = Some((person, Claim { key, fingerprint: "f".to_owned() }));
    let with_key = PublishEvents { tenant, events: vec![once.clone()], claim: claimed, now: h.now() };
    assert_eq!(run(h, with_key.clone()).await, Ok(Once::Done(vec![1])));
    assert!(matches!(run(h, with_key).await, Ok(Once::Repeat(_))));
    let fresh = event(h, "fresh");
    let twice = PublishEvents { tenant, events: vec![fresh.clone(), once.clone()], claim: None, now: h.now() };
    assert!(matches!(run(h, twice).await, Err(Error::Unique(_))));
    let find = |id| FindEvent { tenant, id };
    assert_eq!(run(h, find(fresh.id)).await, Ok(None));
    assert_eq!(run(h, find(once.id)).await.map(|found| found.map(|one| one.deliveries)), Ok(Some(1)));
    // A test goes to one endpoint whatever its filter.
    let test = PublishTo { tenant, endpoint: all, event: event(h, "webhook.test"), now: h.now() };
    assert_eq!(run(h, test.clone()).await, Ok(true));
    let nowhere = PublishTo { endpoint: h.ids.make(), event: event(h, "webhook.test"), ..test };
    assert_eq!(run(h, nowhere).await, Ok(false));
    let jobs = claim(h, worker, DELIVERIES).await;
    assert_eq!(jobs.len(), 5, "a job for each delivery");
    let mut groups: Vec<_> = jobs.iter().map(|job| job.group.clone()).collect();
    groups.dedup();
    assert!(groups.contains(&all.to_string()) && jobs.iter().all(|job| job.tenant == Some(tenant)));
    // What a worker reads, and what somebody of another organisation does not.
    let read = DeliveryAt { tenant, id: jobs[0].id.into(), endpoint: all };
    let unknown = DeliveryAt { id: h.ids.make(), ..read };
    let both = work(h, ReadDeliveries(vec![unknown, read])).await.expect("read");
    assert!(both[0].is_none());
    let due = both[1].clone().expect("it is there");
    let content = due.content.expect("it is kept");
    assert_eq!(
        (due.state, due.attempts, content.payload.as_str()),
        (DeliveryState::Pending, 0, r#"{"text": "Ada 🦀"}"#)
    );
    let theirs = DeliveryAt { tenant: other, ..read };
    assert!(work(h, ReadDeliveries(vec![theirs])).await.expect("read")[0].is_none());
    // Lists: pages, filters.
    let everything = listed(h, list(tenant)).await;
    assert_eq!(everything.len(), 5);
    let page = run(h, ListDeliveries { limit: 2, ..list(tenant) }).await.expect("listed");
    let rest = listed(h, ListDeliveries { after: page.next, ..list(tenant) }).await;
    assert_eq!([page.deliveries, rest].concat(), everything);
    let of = |kind: &str, endpoint| ListDeliveries { kind: kind.to_owned(), endpoint, ..list(tenant) };
    assert_eq!(listed(h, of("a", None)).await.len(), 2);
    assert_eq!(listed(h, of("a", Some(all))).await.len(), 1);
    let done = ListDeliveries { state: Some(DeliveryState::Delivered), ..list(tenant) };
    assert_eq!(listed(h, done).await, []);
}

pub(super) async fn an_attempt_ends_with_its_log_and_what_it_says_of_the_endpoint(h: &Harness) {
    let (tenant, person) = h.person("eve").await;
    let worker = worker(h).await;
    let (id, watcher) =
        (endpoint(h, tenant, person, &["a"]).await, endpoint(h, tenant, person, &["webhook_endpoint.disabled"]).await);
    publish(h, tenant, &["a"; 6]).await;
    let jobs = claim(h, worker, DELIVERIES).await;
    let taken = attempt(h, tenant, &jobs[0], Verdict::Delivered);
    assert_eq!(end(h, vec![taken.clone()]).await.ended, [jobs[0].id]);
    assert_eq!(end(h, vec![taken]).await, EndedAttempts::default(), "an end is told once");
    let delivered = log(h, tenant, jobs[0].id).await;
    assert_eq!((delivered.delivery.state, delivered.delivery.ended_at), (DeliveryState::Delivered, Some(h.now())));
    assert_eq!((delivered.attempts.len(), delivered.attempts[0].took_ms), (1, 7));
    // Two failures in a row: the endpoint is left alone, and what is ready for it is put off.
    publish(h, tenant, &["a"; 3]).await;
    let later = h.now().plus(SECOND);
    let retry = Verdict::Retry { at: later, rest_until: None };
    let failed = Verdict::Failed { rest_until: None };
    let ends = vec![attempt(h, tenant, &jobs[1], retry), attempt(h, tenant, &jobs[2], failed)];
    assert_eq!(end(h, ends).await.rested, 1);
    let resting = get(h, tenant, id).await.health;
    assert_eq!((resting.failures, resting.rests, resting.rest_until), (2, 1, Some(h.now().plus(SECOND * 5))));
    let tried = log(h, tenant, jobs[1].id).await.delivery;
    assert_eq!((tried.state, tried.next_at, tried.error.as_deref()), (DeliveryState::Pending, Some(later), Some("no")));
    assert_eq!(log(h, tenant, jobs[2].id).await.delivery.state, DeliveryState::Failed);
    assert_eq!(claim(h, worker, DELIVERIES).await, [], "nothing is ready");
    publish(h, tenant, &["a"]).await;
    assert_eq!(claim(h, worker, DELIVERIES).await, [], "nor what comes meanwhile");
    h.clock.advance(SECOND * 8);
    let ready = claim(h, worker, DELIVERIES).await;
    assert_eq!(ready.len(), 5, "the retry, the three that were put off, and the new one");
    // One tries whether it is well again.
    let probe = TakeTurn {
        tenant,
        endpoint: id,
        probe_until: Some(h.now().plus(SECOND * 50)),
        rate_per_minute: None,
        now: h.now(),
    };
    assert_eq!(work(h, probe).await, Ok(Turn::Now));
    assert_eq!(work(h, probe).await, Ok(Turn::Probed));
    end(h, vec![attempt(h, tenant, &ready[0], Verdict::Delivered)]).await;
    assert_eq!(get(h, tenant, id).await.health, crate::Health::default());
    // A stranger's fence changes nothing, and the others of the batch end all the same.
    let lost = AttemptEnd { lease: 77, ..attempt(h, tenant, &ready[1], failed) };
    assert_eq!(end(h, vec![lost, attempt(h, tenant, &ready[2], Verdict::Delivered)]).await.ended, [ready[2].id]);
    assert_eq!(log(h, tenant, ready[1].id).await.attempts, []);
    // 410: disabled, told, and what waits is cancelled.
    let gone = end(h, vec![attempt(h, tenant, &ready[3], Verdict::Gone)]).await;
    assert_eq!(gone.disabled, [(tenant, id, DisabledReason::Gone)]);
    assert_eq!(get(h, tenant, id).await.disabled, Some((DisabledReason::Gone, h.now())));
    let notice = claim(h, worker, DELIVERIES).await;
    assert_eq!(notice.iter().map(|job| job.group.clone()).collect::<Vec<_>>(), [watcher.to_string()]);
    assert_eq!(publish(h, tenant, &["a"]).await, [0]);
    let chores = claim(h, worker, DELIVERY_CHORES).await;
    let cancelling: Cancelling = serde_json::from_str(&chores[0].arguments).expect("arguments");
    let bite = CancelBite { cancelling, fence: fence(&chores[0]), now: h.now() };
    assert_eq!(work(h, bite).await, Ok(true));
    let cancelled = listed(h, ListDeliveries { state: Some(DeliveryState::Cancelled), ..list(tenant) }).await;
    assert_eq!(cancelled.len(), 5);
    assert!(cancelled.iter().all(|one| one.error.as_deref().is_some_and(|error| error.contains("410"))));
    // What was under way when it was cancelled: delivered if it was taken.
    let both = vec![attempt(h, tenant, &ready[4], Verdict::Delivered), attempt(h, tenant, &jobs[3], retry)];
    end(h, both).await;
    assert_eq!(log(h, tenant, ready[4].id).await.delivery.state, DeliveryState::Delivered);
    assert_eq!(log(h, tenant, jobs[3].id).await.delivery.state, DeliveryState::Cancelled);
    let unsent = EndUnsent {
        tenant,
        attempt: fence(&jobs[4]),
        reason: "The endpoint was removed.",
        keeping: KEEPING,
        now: h.now(),
    };
    assert_eq!(work(h, unsent).await, Ok(()));
    assert_eq!(run(h, CountDisabledEndpoints).await, Ok(1));
}

pub(super) async fn an_endpoint_is_told_at_its_own_pace(h: &Harness) {
    let (tenant, person) = h.person("rae").await;
    let worker = worker(h).await;
    let id = endpoint(h, tenant, person, &[]).await;
    let take = |now: Timestamp| TakeTurn { tenant, endpoint: id, probe_until: None, rate_per_minute: Some(60), now };
    let turn = async |now| work(h, take(now)).await.expect("taken");
    publish(h, tenant, &["a"; 4]).await;
    assert_eq!(turn(h.now()).await, Turn::Now);
    // The next one stands first in the line, and what is ready stands behind it.
    let Turn::At(place) = turn(h.now()).await else { panic!("there was room") };
    assert!(place > h.now() && place <= h.now().plus(SECOND + Duration::from_millis(5)), "{place}");
    assert_eq!(claim(h, worker, DELIVERIES).await, []);
    let Turn::At(last) = turn(h.now()).await else { panic!("there was room") };
    assert!(last >= place.plus(SECOND * 5), "behind the four: {last}");
    h.clock.advance(SECOND * 4);
    assert_eq!(claim(h, worker, DELIVERIES).await.len(), 2);
    assert_eq!(turn(h.now()).await, Turn::Now);
    assert!(matches!(turn(h.now()).await, Turn::At(_)));
    // What is left alone comes back after that, one after the other.
    publish(h, tenant, &["a"; 3]).await;
    let put_off = PutOffDeliveries { tenant, endpoint: id, until: h.now().plus(SECOND * 100), spread: SECOND };
    assert_eq!(work(h, put_off).await, Ok(3));
    h.clock.advance(SECOND * 102);
    assert_eq!(claim(h, worker, DELIVERIES).await.len(), 5);
}

pub(super) async fn what_was_missed_is_delivered_again(h: &Harness) {
    let (tenant, person) = h.person("mia").await;
    let worker = worker(h).await;
    let since = h.now();
    publish(h, tenant, &["early"]).await;
    h.clock.advance(SECOND);
    let id = endpoint(h, tenant, person, &[]).await;
    publish(h, tenant, &["a", "b"]).await;
    let jobs = claim(h, worker, DELIVERIES).await;
    let ends = vec![
        attempt(h, tenant, &jobs[0], Verdict::Delivered),
        attempt(h, tenant, &jobs[1], Verdict::Failed { rest_until: None }),
    ];
    end(h, ends).await;
    // One.
    let cause: Uuid = h.ids.make();
    let again = ReplayDelivery { tenant, id: jobs[0].id.into(), cause, now: h.now() };
    let Ok(Replayed::Promised(new)) = run(h, again).await else { panic!("it is promised") };
    let claimed = claim(h, worker, DELIVERIES).await;
    assert_eq!(claimed.iter().map(|job| job.id).collect::<Vec<_>>(), [JobId::from(new)]);
    assert_eq!(log(h, tenant, new).await.delivery.event, log(h, tenant, jobs[0].id).await.delivery.event);
    let unknown = ReplayDelivery { id: h.ids.make::<Uuid>().into(), ..again };
    assert_eq!(run(h, unknown).await, Ok(Replayed::Unknown));
    // A range: what failed, and what was published before the endpoint was there.
    h.clock.advance(SECOND);
    let replay = Replay {
        id: h.ids.make(),
        tenant,
        endpoint: id,
        after: (since, Uuid::nil().into()),
        until: h.now(),
        only_missed: true,
    };
    let request = RequestReplay { replay: replay.clone(), now: h.now() };
    assert_eq!(run(h, request).await, Ok(true));
    let nowhere = Replay { endpoint: h.ids.make(), ..replay.clone() };
    assert_eq!(run(h, RequestReplay { replay: nowhere, now: h.now() }).await, Ok(false));
    let chore = claim(h, worker, DELIVERY_CHORES).await;
    let asked: Replay = serde_json::from_str(&chore[0].arguments).expect("arguments");
    assert_eq!(asked, replay);
    let bite = ReplayBite { replay: asked, fence: fence(&chore[0]), now: h.now() };
    assert_eq!(work(h, bite.clone()).await, Ok(2));
    assert!(work(h, bite).await.is_err(), "a bite is taken once");
    let mut kinds: Vec<_> = Vec::new();
    for job in claim(h, worker, DELIVERIES).await {
        kinds.push(log(h, tenant, job.id).await.delivery.kind);
    }
    kinds.sort();
    assert_eq!(kinds.len(), 2);
    assert!(kinds.contains(&"early".to_owned()), "{kinds:?}");
    // A large range goes on in a further job.
    let many: Vec<_> = (0..250).map(|_| "many").collect();
    for some in many.chunks(100) {
        publish(h, tenant, some).await;
    }
    let rest = Replay { id: h.ids.make(), only_missed: false, until: h.now().plus(SECOND), ..replay };
    assert_eq!(run(h, RequestReplay { replay: rest, now: h.now() }).await, Ok(true));
    let mut promised = Vec::new();
    while let Some(chore) = claim(h, worker, DELIVERY_CHORES).await.first() {
        let replay = serde_json::from_str(&chore.arguments).expect("arguments");
        let bite = ReplayBite { replay, fence: fence(chore), now: h.now() };
        promised.push(work(h, bite).await.expect("promised"));
    }
    assert_eq!(promised, [200, 53]);
}

pub(super) async fn what_was_kept_long_enough_is_forgotten(h: &Harness) {
    let (tenant, person) = h.person("fay").await;
    let worker = worker(h).await;
    let id = endpoint(h, tenant, person, &[]).await;
    publish(h, tenant, &["a", "b"]).await;
    let jobs = claim(h, worker, DELIVERIES).await;
    end(h, vec![attempt(h, tenant, &jobs[0], Verdict::Delivered)]).await;
    let old = h.now();
    h.clock.advance(SECOND);
    publish(h, tenant, &["c"]).await;
    // Events last longer.
    let before = old.minus(SECOND);
    assert_eq!(forget(h, old, before).await, Ok(2));
    assert_eq!(listed(h, list(tenant)).await.len(), 1);
    let get = GetDelivery { tenant, id: jobs[0].id.into() };
    assert_eq!(run(h, get).await, Ok(None));
    assert_eq!(run(h, ListEventTypes(tenant)).await.map(|types| types.len()), Ok(3));
    assert_eq!(forget(h, old, old).await, Ok(2));
    assert_eq!(run(h, ListEventTypes(tenant)).await, Ok(vec!["c".to_owned()]));
    assert_eq!(forget(h, old, old).await, Ok(0));
    let read = DeliveryAt { tenant, id: jobs[1].id.into(), endpoint: id };
    assert!(work(h, ReadDeliveries(vec![read])).await.expect("read")[0].is_none());
}
