//! A whole server in simulated time: one processor, many organisations, and one that asks a hundred times as much.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use axum::http::HeaderValue;
use futures_util::future::join_all;
use tokio::sync::Semaphore;
use tokio::time::sleep;

use super::*;

/// Each request takes one processor for a millisecond.
const WORK: Duration = Duration::from_millis(1);
const QUIET: u128 = 10;
/// How long each measurement is, half of it for warming up.
const LASTS: Duration = Duration::from_secs(40);

struct Server {
    overload: Overload,
    /// How long answers may take on average before fewer are let in.
    target: Duration,
    processor: Semaphore,
    /// Microseconds of it that were used.
    used: Arc<AtomicU64>,
}

impl Server {
    fn new() -> Self {
        let settings = config::Config::from_overrides(&[]).expect("the defaults").overload;
        let used = Arc::new(AtomicU64::new(0));
        let spent = Arc::clone(&used);
        let clock = Box::new(move || Duration::from_micros(spent.load(Ordering::Relaxed)));
        let overload = Overload::measuring(&settings, &Seven, Processor::new(1, clock));
        Self { overload, target: settings.latency_target(), processor: Semaphore::new(1), used }
    }

    /// One request; how long it took, unless it was refused.
    async fn ask(&self, number: u128) -> Option<Duration> {
        let begun = Instant::now();
        let token = HeaderValue::from_str(&format!("Bearer {number}")).expect("a header");
        let caller = self.overload.caller(&token);
        if caller.is_some_and(|caller| self.overload.turn_away(caller, Priority::Write).is_some()) {
            return None;
        }
        let admission = Admission::new(&self.overload, caller, Priority::Write, 0).expect("a place is needed");
        overload_error(admission.enter(tenant(number)).await).ok()?;
        let leaving = Leaving(Some(admission));
        let turn = self.processor.acquire().await.expect("it is open");
        sleep(WORK).await;
        self.used.fetch_add(1_000, Ordering::Relaxed);
        drop(turn);
        leaving.answered(true);
        Some(begun.elapsed())
    }

    /// Asks every so often, in the first half for warming up: the times of the second, and how many were refused in it.
    async fn ask_every(&self, tenant: u128, pause: Duration) -> (Vec<Duration>, usize) {
        let (mut times, mut refused) = (Vec::new(), 0);
        let half = Instant::now() + LASTS / 2;
        let end = Instant::now() + LASTS;
        sleep(pause.mul_f64(f64::from(u32::try_from(tenant % 10).expect("small")) / 10.0)).await;
        while Instant::now() < end {
            let answer = self.ask(tenant).await;
            if Instant::now() > half {
                times.extend(answer);
                refused += usize::from(answer.is_none());
            }
            sleep(pause).await;
        }
        (times, refused)
    }

    /// The quiet ones, twenty requests a second each: their 99th percentile, and how many were refused.
    async fn quiet(&self) -> (Duration, usize) {
        let all = join_all((1..=QUIET).map(|tenant| self.ask_every(tenant, Duration::from_millis(50)))).await;
        let refused = all.iter().map(|(_, refused)| refused).sum();
        let mut times: Vec<Duration> = all.into_iter().flat_map(|(times, _)| times).collect();
        times.sort_unstable();
        (times[times.len() * 99 / 100], refused)
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_asks_a_hundred_times_as_much_does_not_slow_the_others() {
    let server = Server::new();
    let (alone, refused) = server.quiet().await;
    assert_eq!(refused, 0);
    beside(&server, alone * 2 + Duration::from_millis(3)).await;
    // Where there was never a quiet moment to learn from, the smallest share makes one that is not quite so quiet.
    beside(&Server::new(), alone * 2 + Duration::from_millis(8)).await;
}

async fn beside(server: &Server, most: Duration) {
    // 400 clients of one organisation, 2,000 requests a second: twice what the processor can do.
    let loud = join_all((0..400).map(|_| server.ask_every(99, Duration::from_millis(200))));
    let ((beside, refused), loud) = tokio::join!(server.quiet(), loud);
    let (served, turned_away) = loud.iter().fold((0, 0), |(a, b), (times, refused)| (a + times.len(), b + refused));
    assert!(beside <= most, "{beside:?} beside the loud one, {most:?} at the most");
    assert_eq!(refused, 0, "nobody else is refused");
    // What the others leave is not wasted: 800 a second for 20 seconds.
    assert!(served > 800 * 20 * 8 / 10, "{served} served, {turned_away} refused");
    assert_eq!(stands(&server.overload), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_few_that_ask_as_much_as_each_other_are_not_held_to_less() {
    let server = Server::new();
    let all = join_all((0..300).map(|client| server.ask_every(client % 3, Duration::from_millis(200)))).await;
    let served: usize = all.iter().map(|(times, _)| times.len()).sum();
    assert!(served > 1000 * 20 * 9 / 10, "{served} in 20 s of 1,000 a second");
    let share = server.overload.standing().share;
    assert!(share >= 16.0, "{share} places for each of three");
}

#[tokio::test(start_paused = true)]
async fn twice_the_capacity_costs_nothing_of_what_is_served() {
    let server = Server::new();
    let all = join_all((0..400).map(|client| server.ask_every(client % 40, Duration::from_millis(200)))).await;
    let served: usize = all.iter().map(|(times, _)| times.len()).sum();
    let mut times: Vec<Duration> = all.into_iter().flat_map(|(times, _)| times).collect();
    times.sort_unstable();
    let tail = times[times.len() * 99 / 100];
    assert!(served > 1000 * 20 * 9 / 10, "{served} in 20 s of 1,000 a second");
    // The target, and a wait in the queue.
    assert!(tail < server.target * 3 + Duration::from_millis(20), "{tail:?}");
}
