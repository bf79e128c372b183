//! Jobs: promised, claimed, ended, rescued.

pub(super) mod limits;
pub(super) mod model;

use std::time::Duration;

use futures_util::future::join_all;
use mainstay_domain::{JobId, JobPriority, JobState, TenantId, Timestamp};

use super::Harness;
use crate::{
    AcquireLease, CancelJob, Cancelled, ClaimJobs, Claimed, Claims, Ending, Enqueue, Enqueued, Error, ExpireLeases,
    Fence, FinishJobs, Finished, ForgetJobs, ForgetProbes, GetJob, JobFilter, JobLife, JobsOf, Keeping, ListJobs,
    ListProbes, ListSchedules, LookForJobs, NO_GROUP, NewJob, OpenQueues, OverallLimits, PauseQueue, PromoteJobs,
    QueueAge, QueueLimits, ReadAges, ReadQueues, RecordProbe, RegisterSchedule, ReplayJobs, RescueJobs, TakeTick,
    Unique,
};

const QUEUE: &str = "work";
pub(super) const KEEPING: Keeping = Keeping { done: Duration::from_secs(60), dead: Duration::from_secs(600) };
const LASTS: Duration = Duration::from_secs(30);

pub(super) fn job(h: &Harness) -> NewJob {
    NewJob {
        id: h.ids.make(),
        queue: QUEUE,
        kind: "greet",
        group: NO_GROUP.to_owned(),
        tenant: None,
        priority: JobPriority::Normal,
        arguments: "{}".to_owned(),
        unique: None,
        run_at: h.now(),
        most_attempts: 3,
        trace: None,
    }
}

async fn promise(h: &Harness, jobs: Vec<NewJob>) -> Vec<Enqueued> {
    Box::pin(h.store.run(&h.call(), Enqueue { jobs, now: h.now() })).await.expect("enqueued")
}

/// A worker's lease.
pub(super) async fn worker(h: &Harness, name: &str) -> i64 {
    worker_of(h, QUEUE, name).await
}

/// A worker's lease, for a queue.
pub(super) async fn worker_of(h: &Harness, queue: &'static str, name: &str) -> i64 {
    h.store.run(&h.call(), OpenQueues(vec![queue])).await.expect("opened");
    let acquire = AcquireLease { name: format!("worker:{name}"), holder: name.to_owned(), now: h.now(), lasts: LASTS };
    h.store.run(&h.call(), acquire).await.expect("asked").expect("free")
}

async fn claim_with(h: &Harness, worker: i64, most: u32, limits: QueueLimits) -> Claims {
    let claim = ClaimJobs { queue: QUEUE, worker, most, limits, overall: OverallLimits::default(), now: h.now() };
    Box::pin(h.store.run_for_jobs(&h.call(), claim)).await.expect("claimed")
}

pub(super) async fn claim(h: &Harness, worker: i64, most: u32) -> Vec<Claimed> {
    claim_with(h, worker, most, QueueLimits::default()).await.jobs
}

fn finished(job: &Claimed, ending: Ending) -> Finished {
    Finished { job: job.id, lease: job.lease, attempt: job.attempt, started_at: job.started_at, ending }
}

async fn finish(h: &Harness, job: &Claimed, ending: Ending) -> bool {
    let finish = FinishJobs { attempts: vec![finished(job, ending)], keeping: KEEPING, now: h.now() };
    Box::pin(h.store.run_for_jobs(&h.call(), finish)).await.expect("ended") == [job.id]
}

async fn life(h: &Harness, job: JobId) -> JobLife {
    Box::pin(h.store.run(&h.call(), GetJob(job))).await.expect("read").expect("it is there")
}

async fn state(h: &Harness, job: JobId) -> JobState {
    life(h, job).await.job.state
}

pub(super) async fn a_job_is_promised_claimed_and_done(h: &Harness) {
    let worker = worker(h, "a").await;
    let tenant: TenantId = h.ids.make();
    let new = NewJob { arguments: r#"{"name": "Ada 🦀"}"#.to_owned(), tenant: Some(tenant), ..job(h) };
    assert_eq!(promise(h, vec![new.clone()]).await, [Enqueued::New(new.id)]);
    assert_eq!(state(h, new.id).await, JobState::Ready);
    let look = h.store.run(&h.call(), LookForJobs { worker }).await.expect("looked");
    assert_eq!((look.queues, look.next_at), (vec![QUEUE.to_owned()], None));
    h.clock.advance(Duration::from_secs(1));
    let jobs = claim(h, worker, 10).await;
    let [claimed] = jobs.as_slice() else { panic!("{jobs:?}") };
    assert_eq!((claimed.id, claimed.attempt, claimed.tenant), (new.id, 1, Some(tenant)));
    assert_eq!((claimed.kind.as_str(), claimed.arguments.as_str()), ("greet", new.arguments.as_str()));
    assert_eq!((claimed.run_at, claimed.started_at), (new.run_at, h.now()));
    assert_eq!(claim(h, worker, 10).await, []);
    assert!(finish(h, claimed, Ending::Done).await);
    assert!(!finish(h, claimed, Ending::Done).await, "an end is told once");
    let ended = life(h, new.id).await;
    assert_eq!((ended.job.state, ended.job.finished_at), (JobState::Done, Some(h.now())));
    assert_eq!(ended.attempts, []);
    // What was promised by a transaction that did not commit is not there.
    let twice = Enqueue { jobs: vec![job(h), new], now: h.now() };
    assert!(matches!(h.store.run(&h.call(), twice).await, Err(Error::Unique(_))));
    assert_eq!(claim(h, worker, 10).await, []);
}

pub(super) async fn a_key_is_promised_once(h: &Harness) {
    let worker = worker(h, "keys").await;
    let keyed = |until| NewJob { unique: Some(Unique { key: "k".to_owned(), until }), ..job(h) };
    let (first, second) = (keyed(None), keyed(None));
    let other = NewJob { kind: "other", ..keyed(None) };
    // In bulk too, and beside what has no key.
    let plain = job(h);
    let answers = promise(h, vec![first.clone(), second, plain.clone(), other.clone()]).await;
    assert_eq!(answers[0].job(), answers[1].job());
    assert_eq!(answers.iter().filter(|answer| matches!(answer, Enqueued::New(_))).count(), 3);
    assert_eq!(answers[2..], [Enqueued::New(plain.id), Enqueued::New(other.id)]);
    let kept = answers[0].job().expect("one of them");
    // Sixteen at once: one more exists only when the first has ended.
    let rush = || async { join_all((0..16).map(|_| promise(h, vec![keyed(None)]))).await.concat() };
    assert!(rush().await.iter().all(|answer| *answer == Enqueued::Existing(Some(kept))));
    for job in claim(h, worker, 10).await {
        assert!(finish(h, &job, Ending::Done).await);
    }
    let again = rush().await;
    assert_eq!(again.iter().filter(|answer| matches!(answer, Enqueued::New(_))).count(), 1);
    // A window outlasts the job.
    let until = h.now().plus(Duration::from_secs(3600));
    let window = || NewJob { kind: "window", ..keyed(Some(until)) };
    let in_window = window();
    promise(h, vec![in_window.clone()]).await;
    let jobs = claim(h, worker, 10).await;
    let claimed = jobs.iter().find(|job| job.id == in_window.id).expect("claimed");
    assert!(finish(h, claimed, Ending::Done).await);
    h.clock.advance(Duration::from_secs(3000));
    h.store.run(&h.call(), ForgetJobs { now: h.now() }).await.expect("swept");
    assert_eq!(promise(h, vec![window()]).await, [Enqueued::Existing(Some(in_window.id))]);
    h.clock.advance(Duration::from_secs(601));
    h.store.run(&h.call(), ForgetJobs { now: h.now() }).await.expect("swept");
    assert!(matches!(promise(h, vec![window()]).await[..], [Enqueued::New(_)]));
}

pub(super) async fn every_ending_is_what_it_says(h: &Harness) {
    let worker = worker(h, "b").await;
    let new = NewJob { unique: Some(Unique { key: "one".to_owned(), until: None }), ..job(h) };
    promise(h, vec![new.clone()]).await;
    let take = || async { claim(h, worker, 10).await.into_iter().next().expect("it is ready") };
    let first = take().await;
    let at = h.now().plus(Duration::from_secs(5));
    assert!(finish(h, &first, Ending::Retry { at, error: "no luck ".repeat(1000) }).await);
    assert_eq!(state(h, new.id).await, JobState::Scheduled);
    assert_eq!(claim(h, worker, 10).await, [], "not before its time");
    let look = h.store.run(&h.call(), LookForJobs { worker }).await.expect("looked");
    assert_eq!(look.next_at, Some(at));
    let promote = |most| PromoteJobs { most, now: h.now() };
    assert_eq!(h.store.run(&h.call(), promote(10)).await, Ok(vec![]));
    h.clock.advance(Duration::from_secs(5));
    assert_eq!(h.store.run(&h.call(), promote(10)).await, Ok(vec![QUEUE.to_owned()]));
    let second = take().await;
    assert_eq!((second.attempt, second.run_at), (2, at));
    assert!(!finish(h, &first, Ending::Done).await, "the first attempt is long over");
    // A snooze and a hand-over do not count.
    assert!(finish(h, &second, Ending::Snoozed { until: h.now() }).await);
    let third = take().await;
    assert_eq!(third.attempt, 2);
    assert!(finish(h, &third, Ending::HandedBack).await);
    let fourth = take().await;
    assert_eq!(fourth.attempt, 2);
    assert!(finish(h, &fourth, Ending::Dead { error: "never".to_owned() }).await);
    let dead = life(h, new.id).await;
    assert_eq!((dead.job.state, dead.unique_key), (JobState::Dead, None));
    let told: Vec<_> = dead.attempts.iter().map(|a| (a.attempt, a.outcome.as_str(), a.error.len())).collect();
    assert_eq!(told, [(1, "failed", 4096), (2, "dead", 5)]);
    // It begins anew with all its attempts.
    assert_eq!(
        h.store.run(&h.call(), ReplayJobs { jobs: vec![new.id, h.ids.make()], now: h.now() }).await,
        Ok(vec![new.id])
    );
    assert_eq!(h.store.run(&h.call(), ReplayJobs { jobs: vec![new.id], now: h.now() }).await, Ok(vec![]));
    let anew = take().await;
    assert_eq!(anew.attempt, 1);
    assert!(finish(h, &anew, Ending::Done).await);
    assert_eq!(life(h, new.id).await.attempts.len(), 2, "what went wrong is kept");
}

pub(super) async fn jobs_are_cancelled_wherever_they_are(h: &Harness) {
    let worker = worker(h, "c").await;
    let later = NewJob { run_at: h.now().plus(Duration::from_secs(60)), ..job(h) };
    let (waiting, running, over) = (job(h), job(h), job(h));
    promise(h, vec![later.clone(), running.clone(), over.clone()]).await;
    let mut jobs = claim(h, worker, 10).await;
    jobs.sort_by_key(|job| job.id != running.id);
    assert!(finish(h, &jobs[1], Ending::Done).await);
    promise(h, vec![waiting.clone()]).await;
    let cancel = async |job| {
        let cancel = CancelJob { job, keep_until: h.now(), now: h.now() };
        Box::pin(h.store.run(&h.call(), cancel)).await
    };
    assert_eq!(cancel(later.id).await, Ok(Cancelled::Done));
    assert_eq!(cancel(waiting.id).await, Ok(Cancelled::Done));
    assert_eq!(cancel(running.id).await, Ok(Cancelled::Asked));
    assert_eq!(cancel(over.id).await, Ok(Cancelled::Ended(JobState::Done)));
    assert_eq!(cancel(h.ids.make()).await, Ok(Cancelled::Missing));
    assert_eq!(claim(h, worker, 10).await, []);
    let look = h.store.run(&h.call(), LookForJobs { worker }).await.expect("looked");
    assert_eq!(look.to_cancel, [running.id]);
    // It would have begun again: it has ended instead, and its key is free.
    assert!(finish(h, &jobs[0], Ending::Retry { at: h.now(), error: "late".to_owned() }).await);
    let ended = life(h, running.id).await.job;
    assert_eq!((ended.state, ended.finished_at), (JobState::Cancelled, Some(h.now())));
    // One that is begun anew is not cancelled any more.
    assert_eq!(h.store.run(&h.call(), ReplayJobs { jobs: vec![running.id], now: h.now() }).await, Ok(vec![running.id]));
    let jobs = claim(h, worker, 10).await;
    assert!(finish(h, &jobs[0], Ending::Cancelled).await);
    assert_eq!(state(h, running.id).await, JobState::Cancelled);
}

pub(super) async fn what_a_dead_worker_left_is_taken_back_and_stays_taken(h: &Harness) {
    let (dead, alive) = (worker(h, "dead").await, worker(h, "alive").await);
    let (plain, last) = (job(h), NewJob { most_attempts: 1, ..job(h) });
    let unlucky = job(h);
    promise(h, vec![plain.clone(), last.clone()]).await;
    let frozen = claim(h, dead, 10).await;
    assert_eq!(frozen.len(), 2);
    promise(h, vec![unlucky.clone()]).await;
    let kept = claim(h, alive, 10).await;
    let rescue =
        async || Box::pin(h.store.run_for_jobs(&h.call(), RescueJobs { keeping: KEEPING, now: h.now() })).await;
    assert_eq!(rescue().await, Ok(0), "both live");
    let own = h.store.run(&h.call(), JobsOf { worker: dead, now: h.now() }).await.expect("listed");
    assert_eq!(own.len(), 2);
    let expire = ExpireLeases { prefix: "worker:dead", now: h.now() };
    assert_eq!(h.store.run(&h.call(), expire).await, Ok(1));
    // Dead, it claims nothing any more.
    assert!(claim_with(h, dead, 10, QueueLimits::default()).await.lost);
    assert_eq!(rescue().await, Ok(2));
    assert_eq!(rescue().await, Ok(0));
    assert_eq!((state(h, plain.id).await, state(h, last.id).await), (JobState::Ready, JobState::Dead));
    assert!(life(h, last.id).await.attempts[0].error.contains("worker died"));
    let again = claim(h, alive, 10).await;
    assert_eq!(again.iter().map(|job| (job.id, job.attempt)).collect::<Vec<_>>(), [(plain.id, 2)]);
    // The frozen one comes back: nothing that it says or does changes anything.
    for job in &frozen {
        for ending in [Ending::Done, Ending::Dead { error: "x".to_owned() }, Ending::HandedBack] {
            assert!(!finish(h, job, ending).await);
        }
        let fence = Fence { job: job.id, lease: job.lease, keep_until: h.now() };
        let effect = RecordProbe { key: "probe/frozen".to_owned(), fence, now: h.now() };
        assert_eq!(h.store.run_for_jobs(&h.call(), effect).await, Err(Error::Fenced));
    }
    assert_eq!(state(h, plain.id).await, JobState::Running);
    let effects = |prefix: &str| ListProbes { after: prefix.to_owned(), prefix: prefix.to_owned() };
    assert_eq!(h.store.run(&h.call(), effects("probe/")).await, Ok(vec![]), "the effect went with the fence");
    let fence = Fence { job: plain.id, lease: again[0].lease, keep_until: h.now() };
    let effect = RecordProbe { key: "probe/mine".to_owned(), fence, now: h.now() };
    assert_eq!(h.store.run_for_jobs(&h.call(), effect.clone()).await, Ok(()));
    assert_eq!(h.store.run_for_jobs(&h.call(), effect).await, Err(Error::Fenced), "and it takes place once");
    let probes = h.store.run(&h.call(), effects("probe/")).await.expect("read");
    assert_eq!(probes.iter().map(|probe| (probe.key.as_str(), probe.effects)).collect::<Vec<_>>(), [("probe/mine", 1)]);
    assert_eq!(state(h, plain.id).await, JobState::Done);
    assert!(finish(h, &kept[0], Ending::Done).await, "the living one was left alone");
    assert_eq!(h.store.run(&h.call(), ForgetProbes(h.now())).await, Ok(1));
}

pub(super) async fn queues_are_read_paused_and_swept(h: &Harness) {
    let worker = worker(h, "d").await;
    let begin = h.now();
    let groups = |n: usize| NewJob { group: format!("g{n}"), priority: JobPriority::ALL[n % 3], ..job(h) };
    promise(h, (0..6).map(groups).collect()).await;
    h.clock.advance(Duration::from_secs(7));
    promise(h, vec![job(h), NewJob { run_at: h.now().plus(LASTS), ..job(h) }]).await;
    let claimed = claim(h, worker, 2).await;
    assert_eq!(claimed.len(), 2);
    let read = || async { h.store.run(&h.call(), ReadQueues).await.expect("read") };
    let depths = read().await;
    let queue = &depths.queues[0];
    assert_eq!((queue.name.as_str(), queue.ready, queue.running, depths.scheduled), (QUEUE, 5, 2, 1));
    assert_eq!(queue.oldest, Some(begin));
    let ages = h.store.run(&h.call(), ReadAges).await.expect("read");
    assert_eq!(ages, [QueueAge { name: QUEUE.to_owned(), paused_at: None, oldest: Some(begin) }]);
    let pause = |paused_at| PauseQueue { queue: QUEUE.to_owned(), paused_at };
    assert_eq!(h.store.run(&h.call(), pause(Some(begin))).await, Ok(true));
    assert_eq!(read().await.queues[0].paused_at, Some(begin));
    assert_eq!(claim(h, worker, 10).await, []);
    assert_eq!(h.store.run(&h.call(), pause(None)).await, Ok(true));
    assert_eq!(h.store.run(&h.call(), PauseQueue { queue: "none".to_owned(), paused_at: None }).await, Ok(false));
    assert!(finish(h, &claimed[0], Ending::Done).await);
    assert!(finish(h, &claimed[1], Ending::Dead { error: "x".to_owned() }).await);
    assert_eq!(read().await.dead, 1);
    listed(h, claimed[1].id).await;
    // What has ended goes in its time, with its attempts; what has not stays.
    h.clock.advance(KEEPING.done);
    assert_eq!(h.store.run(&h.call(), ForgetJobs { now: h.now() }).await, Ok(1));
    h.clock.advance(KEEPING.dead);
    assert_eq!(h.store.run(&h.call(), ForgetJobs { now: h.now() }).await, Ok(1));
    assert_eq!(h.store.run(&h.call(), GetJob(claimed[1].id)).await, Ok(None));
    assert_eq!(h.store.run(&h.call(), ForgetJobs { now: h.now() }).await, Ok(0));
}

/// Lists with filters, in pages.
async fn listed(h: &Harness, dead: JobId) {
    let list = async |filter: JobFilter, after, limit| {
        Box::pin(h.store.run(&h.call(), ListJobs { filter, after, limit })).await
    };
    let all = list(JobFilter::default(), None, 100).await.expect("listed");
    assert_eq!((all.jobs.len(), all.next), (8, None));
    assert!(all.jobs.is_sorted_by(|one, next| one.id > next.id), "the newest first");
    let mut pages = Vec::new();
    let mut after = None;
    loop {
        let page = list(JobFilter::default(), after, 3).await.expect("listed");
        pages.extend(page.jobs);
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(pages, all.jobs);
    let group = JobFilter { group: "g3".to_owned(), ..JobFilter::default() };
    assert_eq!(list(group, None, 10).await.expect("listed").jobs.len(), 1);
    let scheduled = JobFilter { state: Some(JobState::Scheduled), kind: "greet".to_owned(), ..JobFilter::default() };
    assert_eq!(list(scheduled, None, 10).await.expect("listed").jobs.len(), 1);
    let dead_ones = JobFilter { state: Some(JobState::Dead), queue: QUEUE.to_owned(), ..JobFilter::default() };
    let page = list(dead_ones, None, 10).await.expect("listed");
    assert_eq!(page.jobs.iter().map(|job| job.id).collect::<Vec<_>>(), [dead]);
    let elsewhere = JobFilter { state: Some(JobState::Dead), queue: "other".to_owned(), ..JobFilter::default() };
    assert_eq!(list(elsewhere, None, 10).await.expect("listed").jobs, []);
}

pub(super) async fn a_tick_is_taken_once(h: &Harness) {
    let worker = worker(h, "e").await;
    let tick = h.now().plus(Duration::from_secs(10));
    let register = |definition: &str, next_at| RegisterSchedule {
        name: "daily",
        definition: definition.to_owned(),
        next_at,
        now: h.now(),
    };
    h.store.run(&h.call(), register("0 9 * * *", tick)).await.expect("registered");
    // A restart with the same meaning forgets no tick.
    h.store.run(&h.call(), register("0 9 * * *", tick.plus(LASTS))).await.expect("registered");
    let stored = || async { h.store.run(&h.call(), ListSchedules).await.expect("listed").remove(0) };
    assert_eq!((stored().await.next_at, stored().await.last_at), (tick, None));
    h.clock.advance(Duration::from_secs(12));
    let next = tick.plus(LASTS);
    let take = |tick: Timestamp, next_at| TakeTick { name: "daily", tick, next_at, job: Some(job(h)), now: h.now() };
    let rush = join_all((0..8).map(|_| async { h.store.run_for_jobs(&h.call(), take(tick, next)).await })).await;
    assert_eq!(rush.iter().filter(|taken| **taken == Ok(true)).count(), 1, "{rush:?}");
    assert_eq!(claim(h, worker, 10).await.len(), 1, "one job for the tick");
    assert_eq!((stored().await.next_at, stored().await.last_at), (next, Some(tick)));
    h.store.run(&h.call(), register("0 8 * * *", tick.plus(2 * LASTS))).await.expect("registered");
    assert_eq!(stored().await.next_at, tick.plus(2 * LASTS), "another meaning begins anew");
}
