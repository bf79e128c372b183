use std::future::pending;
use std::time::Duration;

use tokio::sync::oneshot;

use super::*;

const LONG: Duration = Duration::from_secs(3600);

fn lucky() -> bool {
    false
}

#[tokio::test(start_paused = true)]
async fn a_task_that_must_last_and_ends_stops_the_process_with_code_one() {
    let lifecycle = Lifecycle::new();
    lifecycle.set_ready(true);
    assert_eq!((lifecycle.ready(), lifecycle.exit_code()), (true, 0));
    lifecycle.spawn("poller", async {});
    lifecycle.stopped().await;
    assert!(!lifecycle.ready());
    assert_eq!(lifecycle.exit_code(), 1);
    assert_eq!(lifecycle.failures(), [Failure { name: "poller", detail: "ended before it was asked to".to_owned() }]);
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_a_failure_of_that_name() {
    let lifecycle = Lifecycle::new();
    lifecycle.spawn("poller", async { assert!(lucky(), "no {}", "luck") });
    lifecycle.stopped().await;
    assert_eq!(lifecycle.failures(), [Failure { name: "poller", detail: "panicked: no luck".to_owned() }]);
}

#[tokio::test(start_paused = true)]
async fn an_error_of_a_task_is_its_failure() {
    let lifecycle = Lifecycle::new();
    lifecycle.spawn("http", async { Err("the address is in use") });
    lifecycle.stopped().await;
    assert_eq!(lifecycle.failures(), [Failure { name: "http", detail: "the address is in use".to_owned() }]);
}

#[tokio::test(start_paused = true)]
async fn work_that_panics_is_reported_and_the_process_goes_on() {
    let lifecycle = Lifecycle::new();
    lifecycle.spawn_work("generation", async { assert!(lucky(), "oh") });
    lifecycle.until(|live| live.total() == 0).await;
    assert_eq!(lifecycle.failures(), [Failure { name: "generation", detail: "panicked: oh".to_owned() }]);
    assert!(!lifecycle.stopping());
    assert_eq!(lifecycle.exit_code(), 0);
}

#[tokio::test]
async fn a_task_on_its_own_thread_is_drained_like_any_other_and_missed_when_it_ends() {
    let lifecycle = Lifecycle::new();
    let (drained, here) = (lifecycle.drained(), std::thread::current().id());
    let (told, elsewhere) = oneshot::channel();
    lifecycle.spawn_on_thread("lane", async move {
        let _ = told.send(std::thread::current().id() != here);
        // A timer of the runtime works there too.
        tokio::time::sleep(Duration::from_millis(1)).await;
        drained.await;
    });
    assert_eq!(elsewhere.await, Ok(true));
    assert_eq!(lifecycle.drain(LONG).await, Drained { finished: 1, cut: Vec::new() });
    assert_eq!((lifecycle.failures(), lifecycle.exit_code()), (Vec::new(), 0));

    let lifecycle = Lifecycle::new();
    lifecycle.spawn_on_thread("lane", async { assert!(lucky(), "no luck") });
    lifecycle.stopped().await;
    assert_eq!(lifecycle.failures(), [Failure { name: "lane", detail: "panicked: no luck".to_owned() }]);
    assert_eq!(lifecycle.exit_code(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_drain_waits_for_work_then_for_those_who_serve_it() {
    let lifecycle = Lifecycle::new();
    let (order_in, order) = std::sync::mpsc::channel();
    let (release, released) = oneshot::channel::<()>();
    let (work, writer) = (order_in.clone(), order_in);
    lifecycle.spawn_work("generation", async move {
        let _ = released.await;
        let _ = work.send("work");
    });
    let drained = lifecycle.drained();
    lifecycle.spawn("writer", async move {
        drained.await;
        let _ = writer.send("writer");
    });
    let (stopped, poller) = (lifecycle.stopped(), lifecycle.clone());
    lifecycle.spawn("poller", async move {
        stopped.await;
        assert!(poller.stopping());
        let _ = release.send(());
    });
    let drained = lifecycle.drain(LONG).await;
    assert_eq!(drained, Drained { finished: 3, cut: Vec::new() });
    assert_eq!(order.iter().collect::<Vec<_>>(), ["work", "writer"]);
    assert_eq!(lifecycle.exit_code(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_drain_cuts_what_does_not_end_in_time_and_says_what_it_was() {
    let lifecycle = Lifecycle::new();
    let (held, dropped) = oneshot::channel::<()>();
    lifecycle.spawn_work("connection", async move {
        pending::<()>().await;
        drop(held);
    });
    lifecycle.spawn_work("connection", pending::<()>());
    lifecycle.spawn_work("generation", pending::<()>());
    let stopped = lifecycle.stopped();
    lifecycle.spawn("poller", stopped);
    let began = Instant::now();
    let drained = lifecycle.drain(Duration::from_secs(20)).await;
    assert_eq!(drained, Drained { finished: 1, cut: vec![("connection", 2), ("generation", 1)] });
    assert_eq!(began.elapsed(), Duration::from_secs(20));
    assert!(dropped.await.is_err(), "what a cut task held is dropped");
    assert!(lifecycle.running().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_hard_stop_ends_a_drain() {
    let lifecycle = Lifecycle::new();
    lifecycle.spawn_work("generation", pending::<()>());
    let other = lifecycle.clone();
    let (drained, ()) = tokio::join!(lifecycle.drain(LONG), async move {
        other.stopped().await;
        other.stop_hard();
    });
    assert!(drained.finished + drained.cut.len() == 1);
}

#[tokio::test(start_paused = true)]
async fn failures_are_bounded() {
    let lifecycle = Lifecycle::new();
    for _ in 0..2 * MOST_FAILURES {
        lifecycle.spawn_work("generation", async { Err("no") });
    }
    lifecycle.until(|live| live.total() == 0).await;
    assert_eq!(lifecycle.failures().len(), MOST_FAILURES);
}

#[tokio::test]
async fn the_first_signal_stops_softly_and_the_second_hard() {
    let lifecycle = Lifecycle::new();
    stop_on_signals(&lifecycle).expect("handlers");
    let raise = || {
        let pid = std::process::id().to_string();
        let done = std::process::Command::new("kill").args(["-TERM", &pid]).status().expect("kill");
        assert!(done.success());
    };
    raise();
    lifecycle.stopped().await;
    assert!(!lifecycle.shared.hard.is_cancelled());
    raise();
    lifecycle.stopped_hard().await;
}
