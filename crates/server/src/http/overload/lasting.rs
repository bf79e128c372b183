//! Whether a crowd passes or lasts.
//!
//! A queue that empties now and then tells nothing: where a hundred are answered at the same moment, because they have
//! waited for the same commit, there is room for all who wait, and none for most of those who come next.

use std::time::Duration;

use tokio::time::Instant;

/// After so many crowded windows one behind the other, it lasts.
const WINDOWS: u32 = 2;
/// At least one in so many has to have gone without.
const UNSERVED: u32 = 8;
/// For how long after a window what it showed is believed. Without answers there are no windows.
const BELIEVED: Duration = Duration::from_secs(2);

/// How many came, and how many of them found no place free.
#[derive(Debug, Default)]
pub(super) struct Crowd {
    came: u32,
    without_place: u32,
    crowded: u32,
    turned: Option<Instant>,
}

impl Crowd {
    pub(super) fn count(&mut self, without_place: bool) {
        self.came = self.came.saturating_add(1);
        self.without_place = self.without_place.saturating_add(u32::from(without_place));
    }

    /// A window is over, in which so many were served. It was crowded when more than half of those who came found no place,
    /// and clearly more came than were served: a burst of whom all are served in time is none.
    pub(super) fn turn(&mut self, now: Instant, served: u32) {
        let unserved = self.came.saturating_sub(served);
        let crowded = self.without_place > self.came / 2 && unserved > self.came / UNSERVED;
        self.crowded = if crowded { self.crowded.saturating_add(1) } else { 0 };
        (self.came, self.without_place, self.turned) = (0, 0, Some(now));
    }

    pub(super) fn lasts(&self, now: Instant) -> bool {
        self.crowded >= WINDOWS && self.turned.is_some_and(|at| now.saturating_duration_since(at) < BELIEVED)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(crowd: &mut Crowd, now: Instant, came: u32, without_place: u32) -> bool {
        window_serving(crowd, now, came, without_place, came / 2)
    }

    fn window_serving(crowd: &mut Crowd, now: Instant, came: u32, without_place: u32, served: u32) -> bool {
        (0..came).for_each(|number| crowd.count(number < without_place));
        crowd.turn(now, served);
        crowd.lasts(now)
    }

    #[test]
    fn it_lasts_after_two_windows_until_one_is_quiet_or_long_ago() {
        let now = Instant::now();
        let mut crowd = Crowd::default();
        assert!(!crowd.lasts(now));
        assert!(!window(&mut crowd, now, 100, 60), "a crowd may pass");
        assert!(window(&mut crowd, now, 100, 60));
        assert!(window(&mut crowd, now, 3, 2));
        assert!(!crowd.lasts(now + BELIEVED));
        assert!(!window(&mut crowd, now, 100, 50), "half found a place at once");
        assert!(!window(&mut crowd, now, 100, 100));
        assert!(window(&mut crowd, now, 100, 100));
        assert!(!window(&mut crowd, now, 0, 0), "nobody came");
        for _ in 0..4 {
            assert!(!window_serving(&mut crowd, now, 40, 30, 40), "all were served");
            assert!(!window_serving(&mut crowd, now, 40, 30, 35), "nearly all were");
        }
    }
}
