//! Whether a crowd passes or lasts.
//!
//! A queue that empties now and then tells nothing: where a hundred are answered at the same moment, because they have
//! waited for the same commit, there is room for all who wait, and none for most of those who come next.

use std::time::Duration;

use tokio::time::Instant;

/// After so many crowded windows one behind the other, it lasts.
const WINDOWS: u32 = 2;
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

    /// A window is over. It was crowded when every second one that came found no place.
    pub(super) fn turn(&mut self, now: Instant) {
        let crowded = self.without_place > self.came / 2;
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
        (0..came).for_each(|number| crowd.count(number < without_place));
        crowd.turn(now);
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
        assert!(!window(&mut crowd, now, 100, 50), "every second one found a place at once");
        assert!(!window(&mut crowd, now, 100, 100));
        assert!(window(&mut crowd, now, 100, 100));
        assert!(!window(&mut crowd, now, 0, 0), "nobody came");
    }
}
