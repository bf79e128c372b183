//! Lives in one process: how many sockets are opened in a second. After a restart all clients come back at once; what is
//! let in beyond a fixed rate would only make everybody wait for the database.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use mainstay_domain::Entropy;
use tokio::time::Instant;

/// Sockets of how much time may be opened at once.
const BURST: Duration = Duration::from_millis(500);
/// Whoever is refused comes back after the first of these, and within the second from then.
const COME_BACK: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(4));

/// Lets sockets in at a fixed rate (the virtual scheduling form of GCRA).
pub struct Connects {
    each: Duration,
    entropy: Arc<dyn Entropy>,
    /// When the next one is due, were they to come evenly.
    due: Mutex<Instant>,
}

impl Connects {
    /// So many in a second, and a burst of half of them.
    #[must_use]
    pub fn new(per_second: u32, entropy: Arc<dyn Entropy>) -> Self {
        Self { each: Duration::from_secs(1) / per_second.max(1), entropy, due: Mutex::new(Instant::now()) }
    }

    /// Lets one in.
    ///
    /// # Errors
    /// When to come back, spread out.
    pub fn admit(&self) -> Result<(), Duration> {
        let now = Instant::now();
        let mut due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        let next = (*due).max(now) + self.each;
        if next > now + BURST + self.each {
            return Err(self.come_back());
        }
        *due = next;
        Ok(())
    }

    /// When to come back, spread out.
    #[must_use]
    pub fn come_back(&self) -> Duration {
        COME_BACK.0 + COME_BACK.1.mul_f64(self.entropy.fraction())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outside::SystemEntropy;

    #[tokio::test(start_paused = true)]
    async fn a_storm_is_let_in_at_the_rate_and_everybody_gets_in() {
        let connects = Connects::new(200, Arc::new(SystemEntropy));
        let began = Instant::now();
        // 10,000 that come at once; whoever is refused comes back when told.
        let mut waiting: std::collections::BinaryHeap<_> =
            (0..10_000).map(|_| std::cmp::Reverse(Duration::ZERO)).collect();
        let mut per_second = vec![0u32; 120];
        while let Some(std::cmp::Reverse(at)) = waiting.pop() {
            tokio::time::advance(at.saturating_sub(began.elapsed())).await;
            match connects.admit() {
                Ok(()) => per_second[began.elapsed().as_secs() as usize] += 1,
                Err(wait) => waiting.push(std::cmp::Reverse(began.elapsed() + wait)),
            }
        }
        assert!(per_second.iter().all(|count| *count <= 301), "{per_second:?}");
        assert!(began.elapsed() < Duration::from_secs(60), "{:?}", began.elapsed());
    }
}
