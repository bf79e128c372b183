//! Work that goes as it should.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mainstay_domain::{Clock, JobState};
use mainstay_jobs::{Done, Failure, Job, JobList, Promise, Retry};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::both;
use crate::stage::{Engine, Stage, queue};

both! {
    what_is_promised_is_done_at_once,
    a_job_that_fails_is_tried_again,
    a_job_waits_for_its_time,
    two_workers_share_the_work,
    a_stop_finishes_or_hands_back,
}

#[derive(Serialize, Deserialize)]
struct Greet {
    name: String,
}

impl Job for Greet {
    const KIND: &'static str = "greet";
    const QUEUE: &'static str = "work";

    fn backoff(_: u32) -> Duration {
        Duration::from_millis(50)
    }
}

fn greet(stage: &Stage, name: &str) -> Promise {
    Promise::of(stage.ids.make(), &Greet { name: name.to_owned() }, stage.clock.now()).expect("small")
}

async fn what_is_promised_is_done_at_once(engine: Engine) {
    let Some(stage) = Stage::set(engine).await else { return };
    let (told, mut heard) = tokio::sync::mpsc::unbounded_channel();
    let list = JobList::new().queue(queue("work")).kind(move |context, job: Greet| {
        let told = told.clone();
        async move {
            told.send((job.name, context.attempt)).expect("somebody listens");
            Ok(Done::Finished)
        }
    });
    let hired = stage.hire(list).await;
    let begun = Instant::now();
    let jobs = stage.promise(vec![greet(&stage, "Ada"), greet(&stage, "Grace")]).await;
    let mut names = [heard.recv().await.expect("one"), heard.recv().await.expect("another")];
    // The poll is half a second: this was the hint.
    assert!(begun.elapsed() < Duration::from_millis(400), "{:?}", begun.elapsed());
    names.sort();
    assert_eq!(names, [("Ada".to_owned(), 1), ("Grace".to_owned(), 1)]);
    for job in jobs {
        stage.until(job, JobState::Done).await;
    }
    assert_eq!(hired.worker.running(), 0);
}

async fn a_job_that_fails_is_tried_again(engine: Engine) {
    let Some(stage) = Stage::set(engine).await else { return };
    let list = JobList::new().queue(queue("work")).kind(|context, job: Greet| async move {
        match (job.name.as_str(), context.attempt) {
            ("third time lucky", 1 | 2) => Err(Failure::new(format_args!("attempt {} failed", context.attempt))),
            ("hopeless", _) => Err(Failure::new("it makes no sense").retry(Retry::Never)),
            ("always", _) => Err(Failure::new("no").retry(Retry::After(Duration::ZERO))),
            _ => Ok(Done::Finished),
        }
    });
    let _hired = stage.hire(list).await;
    let promises = ["third time lucky", "hopeless", "always"].map(|name| greet(&stage, name).most_attempts(4));
    let jobs = stage.promise(promises.into()).await;
    let lucky = stage.until(jobs[0], JobState::Done).await;
    assert_eq!(lucky.job.attempt, 3);
    assert_eq!(
        lucky.attempts.iter().map(|attempt| attempt.error.as_str()).collect::<Vec<_>>(),
        ["attempt 1 failed", "attempt 2 failed"]
    );
    let hopeless = stage.until(jobs[1], JobState::Dead).await;
    assert_eq!((hopeless.job.attempt, hopeless.attempts.len()), (1, 1));
    let always = stage.until(jobs[2], JobState::Dead).await;
    assert_eq!((always.job.attempt, always.attempts.len()), (4, 4));
}

async fn a_job_waits_for_its_time(engine: Engine) {
    let Some(stage) = Stage::set(engine).await else { return };
    let begun = Arc::new(Mutex::new(Vec::new()));
    let (noting, clock) = (Arc::clone(&begun), Arc::clone(&stage.clock));
    let list = JobList::new().queue(queue("work")).kind(move |_, job: Greet| {
        noting.lock().expect("no panic").push((job.name, clock.now()));
        async { Ok(Done::Finished) }
    });
    let _hired = stage.hire(list).await;
    let due = stage.clock.now().plus(Duration::from_millis(700));
    let jobs = stage.promise(vec![greet(&stage, "later").at(due), greet(&stage, "now")]).await;
    stage.until(jobs[0], JobState::Done).await;
    let begun = begun.lock().expect("no panic").clone();
    assert_eq!(begun.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["now", "later"]);
    let late = begun[1].1.since(due);
    assert!(begun[1].1 >= due && late < Duration::from_millis(300), "{late:?} late: it was known when it is due");
}

async fn two_workers_share_the_work(engine: Engine) {
    let Some(stage) = Stage::set(engine).await else { return };
    let counts: [Arc<Mutex<BTreeMap<String, u32>>>; 2] = Default::default();
    // Whoever begins first waits for the other, so that it cannot do all of it before the other has looked.
    let both = CancellationToken::new();
    let list = |own: usize| {
        let (counts, both) = (counts.clone(), both.clone());
        JobList::new().queue(queue("work")).kind(move |_, job: Greet| {
            *counts[own].lock().expect("no panic").entry(job.name).or_default() += 1;
            if counts.iter().all(|counts| !counts.lock().expect("no panic").is_empty()) {
                both.cancel();
            }
            let both = both.clone();
            async move {
                both.cancelled().await;
                Ok(Done::Finished)
            }
        })
    };
    let _one = stage.hire(list(0)).await;
    let _two = stage.hire_elsewhere(list(1)).await;
    let jobs = stage.promise((0..600).map(|n| greet(&stage, &n.to_string())).collect()).await;
    for job in jobs {
        stage.until(job, JobState::Done).await;
    }
    let [one, two] = counts.clone().map(|counts| counts.lock().expect("no panic").clone());
    assert!(one.values().chain(two.values()).all(|count| *count == 1), "each once");
    assert_eq!(one.len() + two.len(), 600);
    // The other is told of nothing: it finds work by its poll.
    assert!(!one.is_empty() && !two.is_empty(), "{} and {}", one.len(), two.len());
}

async fn a_stop_finishes_or_hands_back(engine: Engine) {
    let Some(stage) = Stage::set(engine).await else { return };
    let begun = Arc::new(AtomicU32::new(0));
    let (finish, counting) = (Arc::new(tokio::sync::Notify::new()), Arc::clone(&begun));
    let finishing = Arc::clone(&finish);
    let list = JobList::new().queue(queue("work")).kind(move |_, job: Greet| {
        counting.fetch_add(1, Ordering::SeqCst);
        let finishing = Arc::clone(&finishing);
        async move {
            if job.name == "long" {
                std::future::pending::<()>().await;
            }
            finishing.notified().await;
            Ok(Done::Finished)
        }
    });
    let hired = stage.hire(list).await;
    let jobs = stage.promise(vec![greet(&stage, "short"), greet(&stage, "long")]).await;
    for job in &jobs {
        stage.until(*job, JobState::Running).await;
    }
    while begun.load(Ordering::SeqCst) < 2 {
        tokio::task::yield_now().await;
    }
    hired.tasks.stopped.cancel();
    finish.notify_one();
    stage.until(jobs[0], JobState::Done).await;
    let back = stage.until(jobs[1], JobState::Ready).await;
    assert_eq!(back.job.attempt, 0, "an attempt that was handed back does not count");
    assert_eq!(back.attempts, []);
    // Nothing new is begun.
    let late = stage.promise(vec![greet(&stage, "late")]).await;
    hired.tasks.drained.cancel();
    while hired.worker.has_lease() {
        tokio::task::yield_now().await;
    }
    assert_eq!(stage.life(late[0]).await.job.state, JobState::Ready);
}
