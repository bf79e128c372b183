//! An answer that is used again for a moment, so that checks cannot become load.

use std::future::Future;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

/// For how long an answer is used again.
pub(crate) const FRESH: Duration = Duration::from_secs(1);

/// The last answer of something that costs something. However many ask, one answer is made at a time, and those who ask
/// meanwhile are given it too.
#[derive(Debug)]
pub(crate) struct Kept<T>(Mutex<Option<(Instant, T)>>);

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Self(Mutex::new(None))
    }
}

impl<T: Clone> Kept<T> {
    /// The last answer and its age, or what `make` answers when that is a second old. A caller who gives up in the middle
    /// leaves the making to the next.
    pub(crate) async fn get(&self, make: impl Future<Output = T>) -> (T, Duration) {
        let mut last = self.0.lock().await;
        if let Some((at, answer)) = last.as_ref()
            && at.elapsed() < FRESH
        {
            return (answer.clone(), at.elapsed());
        }
        let answer = make.await;
        *last = Some((Instant::now(), answer.clone()));
        (answer, Duration::ZERO)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::future::join_all;
    use tokio::time::{advance, sleep};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_thousand_who_ask_at_once_cost_one_answer_a_second() {
        let (kept, made, at_once) = (Kept::default(), AtomicUsize::new(0), AtomicUsize::new(0));
        let ask = || {
            kept.get(async {
                assert_eq!(at_once.fetch_add(1, Ordering::SeqCst), 0, "two are made at once");
                sleep(Duration::from_millis(300)).await;
                at_once.fetch_sub(1, Ordering::SeqCst);
                made.fetch_add(1, Ordering::SeqCst) + 1
            })
        };
        let answers = join_all((0..1000).map(|_| ask())).await;
        assert!(answers.iter().all(|(answer, age)| *answer == 1 && *age == Duration::ZERO));
        advance(Duration::from_millis(900)).await;
        assert_eq!(ask().await, (1, Duration::from_millis(900)));
        advance(Duration::from_millis(100)).await;
        assert_eq!(ask().await, (2, Duration::ZERO));
    }

    #[tokio::test(start_paused = true)]
    async fn who_gives_up_leaves_the_making_to_the_next() {
        let kept = Kept::default();
        let never = tokio::time::timeout(Duration::from_millis(10), kept.get(std::future::pending())).await;
        assert!(never.is_err());
        assert_eq!(kept.get(async { 7 }).await.0, 7);
    }
}
