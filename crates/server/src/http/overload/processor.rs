//! How far this process uses the processors that it may use.

use std::num::NonZero;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use tokio::time::Instant;

use super::real;

/// Time that all threads have spent on a processor so far.
type Spent = Box<dyn Fn() -> Duration + Send + Sync>;

/// What is used of the processors, from one look to the next.
pub(crate) struct Processor {
    /// How many there are for this process, as its affinity and its control group say.
    count: f64,
    spent: Spent,
    looked: (Instant, Duration),
    busy: f64,
}

impl Processor {
    /// What this process uses.
    pub(crate) fn of_this_process() -> Self {
        let count = std::thread::available_parallelism().map_or(1, NonZero::get);
        Self::new(
            count,
            Box::new(|| {
                let spent = clock_gettime(ClockId::ProcessCPUTime);
                Duration::new(u64::try_from(spent.tv_sec).unwrap_or(0), u32::try_from(spent.tv_nsec).unwrap_or(0))
            }),
        )
    }

    /// Processors of which so much time is spent.
    pub(super) fn new(count: usize, spent: Spent) -> Self {
        let looked = (Instant::now(), spent());
        Self { count: real(count.max(1)), spent, looked, busy: 0.0 }
    }

    /// The part that was used since the last look: 1 is all of them, all the time.
    pub(crate) fn look(&mut self, now: Instant) -> f64 {
        let (at, before) = self.looked;
        let spent = (self.spent)();
        let elapsed = now.saturating_duration_since(at).as_secs_f64();
        if elapsed > 0.0 {
            self.busy = spent.saturating_sub(before).as_secs_f64() / elapsed / self.count;
            self.looked = (now, spent);
        }
        self.busy
    }

    /// What the last look saw.
    pub(super) fn busy(&self) -> f64 {
        self.busy
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    #[test]
    fn what_is_used_is_a_part_of_all_processors() {
        let spent = Arc::new(AtomicU64::new(5_000));
        let clock = Arc::clone(&spent);
        let mut two = Processor::new(2, Box::new(move || Duration::from_millis(clock.load(Ordering::Relaxed))));
        let now = Instant::now() + Duration::from_secs(1);
        two.look(now);
        spent.fetch_add(500, Ordering::Relaxed);
        assert_eq!(two.look(now), two.busy(), "no time has passed");
        let seen = two.look(now + Duration::from_millis(500));
        assert!((seen - 0.5).abs() < 1e-9, "{seen}");
        assert!((two.look(now + Duration::from_secs(5))).abs() < 1e-9);
    }

    #[test]
    fn this_process_is_seen_to_work() {
        let mut ours = Processor::of_this_process();
        while (ours.spent)() < ours.looked.1 + Duration::from_millis(20) {}
        let busy = ours.look(Instant::now());
        // No more than all of them; the clocks of the processors are a little apart.
        assert!(busy > 0.0 && busy < 1.5, "{busy}");
    }
}
