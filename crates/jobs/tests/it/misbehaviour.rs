//! Jobs that panic, hang, spin or are cancelled, and workers that freeze: nobody else is hurt.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use mainstay_domain::{Clock, JobState};
use mainstay_jobs::{Done, Job, JobList, Promise, Settings};
use mainstay_store::{Call, CancelJob, Cancelled, ExpireLeases, ListProbes, RecordProbe};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::both;
use crate::stage::{Engine, PATIENCE, SETTINGS, Stage, queue};

both! {
    one_that_panics_or_hangs_hurts_no_other,
    one_that_never_waits_loses_its_job,
    one_that_runs_is_cancelled,
    a_frozen_worker_changes_nothing,
    what_another_version_wrote_is_kept,
}

#[derive(Serialize, Deserialize)]
struct Act {
    act: String,
}

impl Job for Act {
    const KIND: &'static str = "act";
    const QUEUE: &'static str = "work";
    const DEADLINE: Duration = Duration::from_millis(300);
    const MOST_ATTEMPTS: u32 = 2;

    fn backoff(_: u32) -> Duration {
        Duration::from_millis(10)
    }
}

fn act(stage: &Stage, act: &str) -> Promise {
    Promise::of(stage.ids.make(), &Act { act: act.to_owned() }, stage.clock.now()).expect("small")
}

async fn one_that_panics_or_hangs_hurts_no_other(engine: Engine) {
    let Some(stage) = Stage::set(engine).await else { return };
    let list = JobList::new().queue(queue("work")).kind(|_, job: Act| {
        assert!(job.act != "panic early", "before the first wait");
        async move {
            tokio::task::yield_now().await;
            assert!(job.act != "panic", "in the middle");
            if job.act == "hang" {
                std::future::pending::<()>().await;
            }
            Ok(Done::Finished)
        }
    });
    let hired = stage.hire(list).await;
    let mut acts: Vec<_> = ["panic early", "panic", "hang"].into_iter().map(|name| act(&stage, name)).collect();
    acts.extend((0..100).map(|_| act(&stage, "well")));
    let jobs = stage.promise(acts).await;
    for job in &jobs[3..] {
        stage.until(*job, JobState::Done).await;
    }
    for (job, error) in
        jobs.iter().zip(["It panicked: before the first wait", "It panicked: in the middle", "It took longer"])
    {
        let dead = stage.until(*job, JobState::Dead).await;
        assert_eq!(dead.attempts.len(), 2);
        assert!(dead.attempts.iter().all(|attempt| attempt.error.starts_with(error)), "{:?}", dead.attempts);
    }
    assert_eq!(hired.worker.running(), 0);
}

async fn one_that_never_waits_loses_its_job(engine: Engine) {
    let Some(stage) = Stage::set(engine).await else { return };
    let (first, enough) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicBool::new(false)));
    let (spinning, ending) = (Arc::clone(&first), Arc::clone(&enough));
    let list = JobList::new().queue(queue("work")).kind(move |_, _: Act| {
        let (spin, ending) = (spinning.swap(false, Ordering::SeqCst), Arc::clone(&ending));
        async move {
            while spin && !ending.load(Ordering::SeqCst) {
                std::hint::spin_loop();
            }
            Ok(Done::Finished)
        }
    });
    let _hired = stage.hire(list).await;
    let jobs = stage.promise(vec![act(&stage, "spin")]).await;
    let done = stage.until(jobs[0], JobState::Done).await;
    enough.store(true, Ordering::SeqCst);
    assert_eq!(done.job.attempt, 2, "another attempt did it while the first one's thread was lost");
    assert!(done.attempts[0].error.starts_with("It did not stop"), "{:?}", done.attempts);
}

async fn one_that_runs_is_cancelled(engine: Engine) {
    let Some(stage) = Stage::set(engine).await else { return };
    #[derive(Serialize, Deserialize)]
    struct Long;
    impl Job for Long {
        const KIND: &'static str = "long";
        const QUEUE: &'static str = "work";
    }
    let dropped = Arc::new(AtomicU32::new(0));
    struct Noted(Arc<AtomicU32>);
    impl Drop for Noted {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
    let noting = Arc::clone(&dropped);
    let begun = Arc::new(tokio::sync::Semaphore::new(0));
    let beginning = Arc::clone(&begun);
    let list = JobList::new().queue(queue("work")).kind(move |_, _: Long| {
        let noted = Noted(Arc::clone(&noting));
        beginning.add_permits(1);
        async move {
            let _noted = noted;
            std::future::pending::<()>().await;
            Ok(Done::Finished)
        }
    });
    let hired = stage.hire(list).await;
    let long = || Promise::of(stage.ids.make(), &Long, stage.clock.now()).expect("small");
    let jobs = stage.promise(vec![long(), long()]).await;
    // One that is cancelled before it is first looked at never begins.
    let _both = begun.acquire_many(2).await.expect("open");
    for (number, job) in jobs.iter().enumerate() {
        stage.until(*job, JobState::Running).await;
        let cancel = CancelJob { job: *job, keep_until: stage.clock.now().plus(PATIENCE), now: stage.clock.now() };
        assert_eq!(stage.store.run(&Call::within(PATIENCE), cancel).await, Ok(Cancelled::Asked));
        // Told at once, or seen by the poll.
        if number == 0 {
            hired.worker.cancel(*job);
        }
        let life = stage.until(*job, JobState::Cancelled).await;
        assert_eq!(life.attempts[0].outcome, "cancelled");
    }
    assert_eq!(dropped.load(Ordering::SeqCst), 2);
}

/// The worker stands still in the middle of its work for longer than its lease; somebody else does the work. When it goes
/// on, it can neither end the job nor leave an effect.
async fn a_frozen_worker_changes_nothing(engine: Engine) {
    let Some(stage) = Stage::set(engine).await else { return };
    let frozen = Arc::new(tokio::sync::Semaphore::new(0));
    let (told, mut heard) = tokio::sync::mpsc::unbounded_channel();
    let list = |name: &'static str, wait: Option<Arc<tokio::sync::Semaphore>>| {
        let (store, clock, told) = (stage.store.clone(), Arc::clone(&stage.clock), told.clone());
        JobList::new().queue(queue("work")).kind(move |context, _: Slow| {
            let (store, clock, told, wait) = (store.clone(), Arc::clone(&clock), told.clone(), wait.clone());
            async move {
                told.send((name, context.attempt)).expect("somebody listens");
                if let Some(wait) = wait {
                    wait.acquire().await.expect("never closed").forget();
                }
                let effect = RecordProbe { key: "probe/frozen".to_owned(), fence: context.fence, now: clock.now() };
                let settled = store.run_for_jobs(&context.call(), effect).await;
                told.send((if settled.is_ok() { "effect" } else { "fenced" }, context.attempt))
                    .expect("somebody listens");
                settled?;
                Ok(Done::Settled)
            }
        })
    };
    // It would hand its job back after its grace, which a busy machine may take to get to the next lines.
    let settings = Settings { grace: PATIENCE, ..SETTINGS };
    let first = stage.hire_with(list("frozen", Some(Arc::clone(&frozen))), settings, stage.store.clone()).await;
    let slow = Promise::of(stage.ids.make(), &Slow, stage.clock.now()).expect("small");
    let job = stage.promise(vec![slow]).await[0];
    assert_eq!(heard.recv().await, Some(("frozen", 1)));
    // Its tasks do not run, but what it has begun will: that is how a frozen process comes back. Its lease has ended.
    first.tasks.stopped.cancel();
    let expire = ExpireLeases { prefix: "worker:", now: stage.clock.now() };
    assert_eq!(stage.store.run(&Call::within(PATIENCE), expire).await, Ok(1));
    let begun = Instant::now();
    let _second = stage.hire_elsewhere(list("awake", None)).await;
    assert_eq!(heard.recv().await, Some(("awake", 2)));
    assert!(begun.elapsed() < Duration::from_secs(4), "rescued after {:?}", begun.elapsed());
    assert_eq!(heard.recv().await, Some(("effect", 2)));
    let done = stage.until(job, JobState::Done).await;
    frozen.add_permits(1);
    if let Ok(Some(last)) = tokio::time::timeout(Duration::from_millis(500), heard.recv()).await {
        assert_eq!(last, ("fenced", 1));
    }
    assert_eq!(stage.life(job).await, done);
    let list = ListProbes { after: "probe/".to_owned(), prefix: "probe/".to_owned() };
    let probes = stage.store.run(&Call::within(PATIENCE), list).await.expect("read");
    assert_eq!(probes.iter().map(|probe| probe.effects).collect::<Vec<_>>(), [1]);
}

#[derive(Serialize, Deserialize)]
struct Slow;

impl Job for Slow {
    const KIND: &'static str = "slow";
    const QUEUE: &'static str = "work";
}

async fn what_another_version_wrote_is_kept(engine: Engine) {
    let Some(stage) = Stage::set(engine).await else { return };
    #[derive(Serialize, Deserialize)]
    struct Newer {
        fields: Vec<u32>,
    }
    impl Job for Newer {
        const KIND: &'static str = "act";
        const QUEUE: &'static str = "work";
    }
    let list = JobList::new().queue(queue("work")).kind(|_, _: Act| async { Ok(Done::Finished) });
    let _hired = stage.hire(list).await;
    let newer = Promise::of(stage.ids.make(), &Newer { fields: vec![1] }, stage.clock.now()).expect("small");
    let slow = Promise::of(stage.ids.make(), &Slow, stage.clock.now()).expect("small");
    let jobs = stage.promise(vec![newer.most_attempts(2), slow]).await;
    let dead = stage.until(jobs[0], JobState::Dead).await;
    assert!(dead.attempts[0].error.contains("its arguments cannot be read"), "{:?}", dead.attempts);
    let unknown = stage.until(jobs[1], JobState::Scheduled).await;
    assert_eq!((unknown.job.attempt, unknown.attempts.len()), (0, 0), "a newer node may know it");
}
