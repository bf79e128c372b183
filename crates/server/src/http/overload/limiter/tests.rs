//! A simulated server with a known capacity, in simulated time: what the limiter makes of it.

use super::*;

const MS: f64 = 0.001;

fn allowance() -> Allowance {
    Allowance { target: 0.025, tolerance: 3.0, tenant_tolerance: 2.0 }
}

/// A server that serves `capacity` requests a second however many are inside, and takes `alone` seconds for one.
struct Simulated {
    limiter: Limiter,
    now: Instant,
    capacity: f64,
    alone: f64,
}

impl Simulated {
    fn new(capacity: f64, alone: f64) -> Self {
        let now = Instant::now();
        let limiter = Limiter::new(allowance(), Limit::new(16, 256, 1024), Limit::new(4, 128, 1024), now);
        Self { limiter, now, capacity, alone }
    }

    /// How long a request takes with so many inside (Little's law, once the server is busy).
    fn latency(&self, inside: usize) -> f64 {
        (real(inside) / self.capacity).max(self.alone)
    }

    /// One window in which `offered` would like to be inside at once.
    fn window(&mut self, offered: usize) {
        let limit = self.limiter.whole.get();
        let inside = offered.min(limit);
        let took = Duration::from_secs_f64(self.latency(inside));
        for _ in 0..100 {
            self.limiter.record(0, took, false);
        }
        self.now += WINDOW;
        assert!(self.limiter.is_due(self.now));
        self.limiter.turn(self.now, Use { most_inside: inside, full: offered > limit, ..Use::default() }, 0.5);
    }

    fn seconds(&mut self, seconds: u32, offered: usize) -> usize {
        for _ in 0..seconds * 2 {
            self.window(offered);
        }
        self.limiter.whole.get()
    }
}

#[test]
fn it_finds_the_limit_that_keeps_answers_within_the_target() {
    for (capacity, alone) in [(1000.0, 2.0 * MS), (4000.0, MS), (20_000.0, 0.2 * MS)] {
        let mut server = Simulated::new(capacity, alone);
        server.seconds(5, 2);
        let limit = server.seconds(30, 100_000);
        // Little: as many as the capacity takes within the target, give or take a step.
        let right = (capacity * 0.025).clamp(16.0, 1024.0);
        assert!((0.6 * right..=1.35 * right).contains(&real(limit)), "{limit} for {right}");
        assert!(server.latency(limit) < 0.035);
    }
}

#[test]
fn an_overload_from_the_first_moment_on_is_not_taken_for_normal() {
    let mut server = Simulated::new(1000.0, 2.0 * MS);
    let limit = server.seconds(60, 100_000);
    assert!((16..=34).contains(&limit), "{limit}");
}

#[test]
fn work_that_is_slow_by_itself_is_measured_by_its_own_time() {
    // 40 ms alone is more than the target: three times that is allowed.
    let mut server = Simulated::new(500.0, 40.0 * MS);
    server.seconds(30, 3);
    let limit = server.seconds(40, 100_000);
    let right = 500.0 * 0.12;
    assert!((0.6 * right..=1.35 * right).contains(&real(limit)), "{limit} for {right}");
}

#[test]
fn light_load_does_not_move_it_however_slow_the_answers_are() {
    let mut server = Simulated::new(1.0, 500.0 * MS);
    assert_eq!(server.seconds(60, 3), 256);
    // Nor does it grow where nobody needs it.
    let mut fast = Simulated::new(100_000.0, MS);
    assert_eq!(fast.seconds(60, 3), 256);
}

#[test]
fn after_an_overload_it_is_back_within_half_a_minute() {
    let mut server = Simulated::new(4000.0, MS);
    server.seconds(5, 2);
    let before = server.seconds(30, 100_000);
    // The database becomes ten times slower, and then mends.
    server.capacity = 400.0;
    let during = server.seconds(30, 100_000);
    assert!(during <= 20, "{during}");
    server.capacity = 4000.0;
    let after = server.seconds(20, 100_000);
    assert!(after * 10 >= before * 8, "{after} after {before}");
}

#[test]
fn it_stays_between_its_bounds() {
    let mut slow = Simulated::new(1.0, MS);
    // At its least the limit makes the moment that the time alone is learnt from; it goes no further from there.
    let limit = slow.seconds(600, 100_000);
    assert!((16..=48).contains(&limit), "{limit}");
    let mut fast = Simulated::new(1e7, MS);
    assert_eq!(fast.seconds(120, 100_000), 1024);
}

#[test]
fn a_few_answers_decide_nothing() {
    let now = Instant::now();
    let mut limiter = Limiter::new(allowance(), Limit::new(16, 256, 1024), Limit::new(4, 128, 1024), now);
    for _ in 0..FEWEST - 1 {
        limiter.record(3, Duration::from_secs(30), true);
    }
    assert!(!limiter.is_due(now + WINDOW * 100));
    limiter.record(3, Duration::from_secs(30), true);
    assert!(!limiter.is_due(now + WINDOW / 2) && limiter.is_due(now + WINDOW));
}

/// Windows in which one organisation holds all that it may while modest ones take this long for what takes 2 ms alone.
fn share_after(windows: u32, modest: f64) -> f64 {
    share_after_holding(windows, modest, usize::MAX, 0.5)
}

/// The same, of one that holds so many at most, where this part of the processors is used.
fn share_after_holding(windows: u32, modest: f64, holds: usize, busy: f64) -> f64 {
    let mut now = Instant::now();
    let mut limiter =
        Limiter::new(allowance(), Limit::new(16, 256, 1024), Limit::new(1, 128, 1024).down_to(0.125), now);
    for _ in 0..10 {
        (0..50).for_each(|_| limiter.record(0, Duration::from_millis(2), false));
        now += WINDOW;
        limiter.turn(now, Use { most_inside: 1, ..Use::default() }, 0.1);
    }
    for _ in 0..windows {
        (0..50).for_each(|_| limiter.record(0, Duration::from_secs_f64(modest), true));
        let share = limiter.share.get().clamp(1, holds);
        now += WINDOW;
        let seen = Use { most_inside: share + 5, most_of_one: share, one_held_back: true, ..Use::default() };
        limiter.turn(now, seen, busy);
    }
    limiter.share.now()
}

#[test]
fn one_that_slows_the_others_is_given_less_and_one_that_does_not_is_given_more() {
    assert!(share_after(40, 20.0 * MS) <= 6.0, "{}", share_after(40, 20.0 * MS));
    // It is what it holds that is taken from, and not what it may: 30 of 128 are fewer within a second.
    assert!(share_after_holding(2, 20.0 * MS, 30, 0.5) <= 20.0);
    assert!(share_after(40, 3.0 * MS) >= 256.0, "{}", share_after(40, 3.0 * MS));
}

#[test]
fn only_where_the_processors_are_busy_it_is_less_than_a_few_places() {
    // Something else makes the others slow.
    assert_eq!(share_after_holding(80, 20.0 * MS, usize::MAX, 0.4).floor(), 2.0);
    assert_eq!(share_after_holding(80, 20.0 * MS, usize::MAX, 0.95), 0.125);
}

#[test]
fn a_share_may_be_a_part_of_a_place_and_grows_from_there_by_a_quarter() {
    let mut share = Limit::new(1, 4, 64).down_to(0.125);
    (0..40).for_each(|_| share.follow(2.0));
    assert!(share.at_least() && share.now() == 0.125);
    for _ in 0..4 {
        let before = share.now();
        share.follow(0.5);
        assert_eq!(share.now(), before * 1.25);
    }
}

#[test]
fn kinds_of_work_are_compared_each_with_itself() {
    let mut now = Instant::now();
    let mut limiter = Limiter::new(allowance(), Limit::new(16, 256, 1024), Limit::new(4, 128, 1024), now);
    let mut window = |limiter: &mut Limiter, fast: u32, slow: u32, inside: usize| {
        (0..fast).for_each(|_| limiter.record(0, Duration::from_millis(1), false));
        (0..slow).for_each(|_| limiter.record(1, Duration::from_millis(60), false));
        now += WINDOW;
        limiter.turn(now, Use { most_inside: inside, ..Use::default() }, 0.5);
        limiter.pressure()
    };
    for _ in 0..10 {
        window(&mut limiter, 50, 50, 2);
    }
    // The mix changes, and nothing has become slower.
    for (fast, slow) in [(100, 0), (50, 50), (0, 100)] {
        assert!(window(&mut limiter, fast, slow, 200) < 0.5, "{}", limiter.pressure());
    }
    assert!(limiter.whole.get() >= 256);
}
