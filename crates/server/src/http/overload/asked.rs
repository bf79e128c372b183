//! Who asks for how much, which tells one that crowds the others out from a crowd of equals.
//!
//! Counted is what is asked for and not what is let in: one that is held back asks for no less.

use std::collections::HashMap;

use tokio::time::Instant;

use super::gate::{ABOUT, Key};

/// Keys that are counted in one window. Further ones ask little, or they would have been among the first.
const MOST_KEYS: usize = 4096;
/// Whoever asks for no more than this part of what the one asks for that asks most is modest.
const MODEST: u32 = 4;
/// Whoever asks for more than so many times what all others ask for together is loud. There is one at most.
const LOUD: u64 = 4;

/// What was asked for, in this window and in the one before.
#[derive(Default)]
pub(super) struct Asked {
    now: HashMap<Key, u32>,
    before: HashMap<Key, u32>,
    most: u32,
    loud: Option<(Key, Instant)>,
}

impl Asked {
    /// One asks for something of this cost.
    pub(super) fn count(&mut self, key: Key, cost: u32) {
        if self.now.len() < MOST_KEYS || self.now.contains_key(&key) {
            let asked = self.now.entry(key).or_default();
            *asked = asked.saturating_add(cost);
        }
    }

    /// Ends a window.
    pub(super) fn turn(&mut self, now: Instant) {
        std::mem::swap(&mut self.now, &mut self.before);
        self.now.clear();
        let most = self.before.iter().max_by_key(|(_, asked)| **asked);
        let (key, asked) = most.map_or((None, 0), |(key, asked)| (Some(*key), *asked));
        let all: u64 = self.before.values().copied().map(u64::from).sum();
        let others = all - u64::from(asked);
        let loud = others > 0 && u64::from(asked) > LOUD * others;
        (self.most, self.loud) = (asked, key.filter(|_| loud).map(|key| (key, now)));
    }

    /// Whether it asked for little, beside one that asked for much.
    pub(super) fn is_modest(&self, key: Key) -> bool {
        let asked = self.before.get(&key).copied().unwrap_or(0);
        self.most > 0 && asked.saturating_mul(MODEST) <= self.most
    }

    /// Whether it is the one that asks for more than all others.
    pub(super) fn is_loud(&self, key: Key, now: Instant) -> bool {
        self.loud.is_some_and(|(loud, at)| loud == key && now.saturating_duration_since(at) < ABOUT)
    }
}

#[cfg(test)]
mod tests {
    use mainstay_domain::TenantId;
    use uuid::Uuid;

    use super::*;

    fn tenant(number: u128) -> Key {
        Key::Tenant(TenantId(Uuid::from_u128(number)))
    }

    fn after(asked: &[(u128, u32)]) -> (Asked, Instant) {
        let (mut all, now) = (Asked::default(), Instant::now());
        asked.iter().for_each(|(who, cost)| all.count(tenant(*who), *cost));
        all.turn(now);
        (all, now)
    }

    #[test]
    fn one_that_asks_for_more_than_all_others_is_loud_for_a_while() {
        let (all, now) = after(&[(1, 900), (1, 101), (2, 100), (3, 150)]);
        assert!(all.is_loud(tenant(1), now) && !all.is_loud(tenant(2), now));
        assert_eq!([1, 2, 3, 4].map(|who| all.is_modest(tenant(who))), [false, true, true, true]);
        assert!(!all.is_loud(tenant(1), now + ABOUT), "that was long ago");
    }

    #[test]
    fn a_crowd_of_equals_is_neither_loud_nor_modest() {
        let (all, now) = after(&[(1, 1000), (2, 900), (3, 300)]);
        for who in [1, 2, 3] {
            assert!(!all.is_loud(tenant(who), now) && !all.is_modest(tenant(who)));
        }
        // Two that ask much are a crowd, beside which others ask little.
        let (all, now) = after(&[(1, 1000), (2, 900), (3, 20)]);
        assert!([1, 2, 3].iter().all(|who| !all.is_loud(tenant(*who), now)));
        assert!(all.is_modest(tenant(3)));
        let (alone, now) = after(&[(1, 1000)]);
        assert!(!alone.is_loud(tenant(1), now) && !alone.is_modest(tenant(1)));
        assert!(!Asked::default().is_modest(tenant(1)), "nothing is known yet");
    }

    #[test]
    fn a_flood_of_keys_takes_bounded_memory() {
        let mut all = Asked::default();
        (0..3 * MOST_KEYS as u128).for_each(|who| all.count(tenant(who), 1));
        (0..10).for_each(|_| all.count(tenant(1), 100));
        assert_eq!((all.now.len(), all.now[&tenant(1)]), (MOST_KEYS, 1001));
        all.turn(Instant::now());
        assert!(all.now.is_empty() && all.is_modest(tenant(2)));
    }
}
