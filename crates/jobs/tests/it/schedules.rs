//! Schedules: each tick once, whatever happens to nodes and clocks.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mainstay_domain::{Clock, JobId, Schedule, Timestamp};
use mainstay_jobs::{Done, Job, JobList, Missed, Promise, Scheduled};
use mainstay_store::{Call, ListSchedules};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep};

use crate::both;
use crate::stage::{Engine, Hired, PATIENCE, Stage, queue};

both! { each_tick_fires_once, a_clock_that_is_set_back_fires_nothing_twice }

#[derive(Serialize, Deserialize)]
struct Report {
    tick: i64,
}

impl Job for Report {
    const KIND: &'static str = "report";
    const QUEUE: &'static str = "work";
}

fn moment(text: &str) -> Timestamp {
    serde_json::from_str(&format!("{text:?}")).expect("a moment")
}

/// The ticks and their jobs. A job may run twice here, because a clock that jumps by months takes every worker for dead.
type Fired = Arc<Mutex<BTreeSet<(Timestamp, JobId)>>>;

fn list(fired: &Fired, cron: &str, zone: &str, missed: Missed) -> JobList {
    let fired = Arc::clone(fired);
    let schedule = Schedule::parse(cron, zone).expect("a schedule");
    let promise = Arc::new(|id, tick: Timestamp| Promise::of(id, &Report { tick: tick.as_millis() }, tick));
    JobList::new()
        .queue(queue("work"))
        .kind(move |context, report: Report| {
            fired.lock().expect("no panic").insert((Timestamp::from_millis(report.tick), context.job));
            async { Ok(Done::Finished) }
        })
        .schedule(Scheduled { name: "report", schedule, missed, promise })
}

/// Waits until the schedule stands beyond a moment, and so many ticks have fired.
async fn until(stage: &Stage, fired: &Fired, beyond: Timestamp, count: usize) {
    let begun = Instant::now();
    loop {
        let stored = stage.store.run(&Call::within(PATIENCE), ListSchedules).await.expect("listed");
        let so_far = fired.lock().expect("no panic").len();
        if stored[0].next_at > beyond && so_far >= count {
            return;
        }
        assert!(begun.elapsed() < PATIENCE, "{so_far} of {count}: {stored:?}");
        sleep(Duration::from_millis(20)).await;
    }
}

/// Two nodes go through a night in which the clock is set back, one in which it is set forward, a leap day and a restart.
async fn each_tick_fires_once(engine: Engine) {
    // (cron, from, to, the ticks)
    let nights: &[(&str, &str, &str, &[&str])] = &[
        // 2024-10-27: 02:30 comes twice in Berlin.
        (
            "30 2 * * *",
            "2024-10-25T22:00:00.000Z",
            "2024-10-28T02:00:00.000Z",
            &["2024-10-26T00:30:00.000Z", "2024-10-27T00:30:00.000Z", "2024-10-28T01:30:00.000Z"],
        ),
        // 2024-03-31: 02:30 does not come.
        (
            "30 2 * * *",
            "2024-03-29T22:00:00.000Z",
            "2024-04-01T02:00:00.000Z",
            &["2024-03-30T01:30:00.000Z", "2024-03-31T01:00:00.000Z", "2024-04-01T00:30:00.000Z"],
        ),
        ("0 12 29 2 *", "2023-12-01T00:00:00.000Z", "2024-12-01T00:00:00.000Z", &["2024-02-29T11:00:00.000Z"]),
    ];
    for (cron, from, to, ticks) in nights {
        let Some(stage) = Stage::set(engine).await else { return };
        let fired = Fired::default();
        stage.clock.set(moment(from));
        let nodes = || async {
            let one = stage.hire(list(&fired, cron, "Europe/Berlin", Missed::Each)).await;
            (one, stage.hire_elsewhere(list(&fired, cron, "Europe/Berlin", Missed::Each)).await)
        };
        let running: (Hired, Hired) = nodes().await;
        let mut expected: Vec<_> = ticks.iter().map(|tick| moment(tick)).collect();
        for (number, tick) in expected.iter().enumerate() {
            stage.clock.set(tick.plus(Duration::from_secs(1)));
            until(&stage, &fired, *tick, number + 1).await;
        }
        drop(running);
        // Nobody is there for a while; each of what was missed fires once when they are back.
        let end = moment(to);
        stage.clock.set(end);
        let running = nodes().await;
        until(&stage, &fired, end, expected.len()).await;
        drop(running);
        let fired: Vec<_> = fired.lock().expect("no panic").iter().map(|(tick, _)| *tick).collect();
        expected.sort_unstable();
        assert_eq!(fired, expected, "{cron}");
    }
    // A tick that fell into a restart, of a schedule of which only the latest counts.
    let Some(stage) = Stage::set(engine).await else { return };
    let fired = Fired::default();
    let begin = moment("2024-05-01T00:00:00.000Z");
    stage.clock.set(begin);
    drop(stage.hire(list(&fired, "0 * * * *", "UTC", Missed::Latest)).await);
    let later = begin.plus(Duration::from_secs(10 * 3600 + 60));
    stage.clock.set(later);
    let _running = stage.hire(list(&fired, "0 * * * *", "UTC", Missed::Latest)).await;
    until(&stage, &fired, later, 1).await;
    let ticks: Vec<_> = fired.lock().expect("no panic").iter().map(|(tick, _)| *tick).collect();
    assert_eq!(ticks, [moment("2024-05-01T10:00:00.000Z")]);
    assert!(stage.clock.now() >= later);
}

/// The clock of the machine was an hour ahead, and is set right: what has fired does not fire again, and the next tick fires
/// at its own time.
async fn a_clock_that_is_set_back_fires_nothing_twice(engine: Engine) {
    let Some(stage) = Stage::set(engine).await else { return };
    let fired = Fired::default();
    let begin = moment("2024-05-01T00:00:00.000Z");
    let at = |minutes: u64| begin.plus(Duration::from_secs(minutes * 60 + 1));
    stage.clock.set(begin);
    let _running = stage.hire(list(&fired, "*/10 * * * *", "UTC", Missed::Each)).await;
    for (number, minutes) in [10, 20, 30].into_iter().enumerate() {
        stage.clock.set(at(minutes));
        until(&stage, &fired, begin.plus(Duration::from_secs(minutes * 60)), number + 1).await;
    }
    // Back by twenty-five minutes. That the worker has looked since is seen by a job that it does.
    stage.clock.set(at(5));
    let promise = Promise::of(stage.ids.make(), &Report { tick: 0 }, stage.clock.now()).expect("a promise");
    stage.promise(vec![promise]).await;
    until(&stage, &fired, begin, 4).await;
    stage.clock.set(at(25));
    let promise = Promise::of(stage.ids.make(), &Report { tick: 1 }, stage.clock.now()).expect("a promise");
    stage.promise(vec![promise]).await;
    until(&stage, &fired, begin, 5).await;
    stage.clock.set(at(40));
    until(&stage, &fired, begin.plus(Duration::from_secs(40 * 60)), 6).await;
    let ticks: Vec<_> = fired.lock().expect("no panic").iter().map(|(tick, _)| *tick).collect();
    let minutes = |minutes: u64| begin.plus(Duration::from_secs(minutes * 60));
    let own = [Timestamp::from_millis(0), Timestamp::from_millis(1)];
    assert_eq!(ticks, [own[0], own[1], minutes(10), minutes(20), minutes(30), minutes(40)]);
}
