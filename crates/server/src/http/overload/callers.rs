//! Whose the requests with a token are, as far as this was found out while the queue stood: so that the next one can be
//! refused before its token is checked and its limits are counted. Nobody is let in for it.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use axum::http::HeaderValue;

use super::Key;

/// The most that are remembered. When there are more, all are forgotten: the next request of each is remembered again.
const MOST_CALLERS: usize = 16_384;
/// So many requests are refused after one whose token was checked and whose limits had room. Then the next is looked at
/// closely again: the token may have been revoked, or be another organisation's by now, and what a limit would refuse is to
/// count but little as what an organisation asks for.
const REFUSED_EACH: u32 = 8;

/// The value of the header `Authorization`, as a number that nobody outside can foretell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::http) struct Caller(u64);

/// Makes the numbers. Each start of the process makes others.
#[derive(Default)]
pub(super) struct Naming(RandomState);

impl Naming {
    pub(super) fn caller(&self, authorization: &HeaderValue) -> Caller {
        Caller(self.0.hash_one(authorization.as_bytes()))
    }
}

/// What is remembered.
#[derive(Default)]
pub(super) struct Callers(HashMap<Caller, Seen>);

#[derive(Clone, Copy)]
struct Seen {
    key: Key,
    /// Refusals that are left.
    left: u32,
}

impl Callers {
    pub(super) fn remember(&mut self, caller: Caller, key: Key) {
        if self.0.len() >= MOST_CALLERS && !self.0.contains_key(&caller) {
            self.0.clear();
        }
        self.0.insert(caller, Seen { key, left: REFUSED_EACH });
    }

    pub(super) fn key_of(&self, caller: Caller) -> Option<Key> {
        self.0.get(&caller).map(|seen| seen.key)
    }

    /// A request of this caller was refused by what is remembered.
    pub(super) fn refused(&mut self, caller: Caller) {
        if let Some(seen) = self.0.get_mut(&caller) {
            seen.left -= 1;
            if seen.left == 0 {
                self.0.remove(&caller);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use mainstay_domain::TenantId;

    use super::*;

    #[test]
    fn many_callers_do_not_grow_it_and_each_is_known_again() {
        let (naming, mut callers) = (Naming::default(), Callers::default());
        let key = |number: usize| Key::Tenant(TenantId(uuid::Uuid::from_u128(number as u128)));
        for number in 0..MOST_CALLERS * 3 {
            let header = HeaderValue::from_str(&format!("Bearer {number}")).expect("a header");
            let caller = naming.caller(&header);
            callers.remember(caller, key(number));
            assert_eq!(callers.key_of(caller), Some(key(number)));
            assert!(callers.0.len() <= MOST_CALLERS);
        }
    }

    #[test]
    fn after_some_refusals_a_caller_is_looked_at_again() {
        let (naming, mut callers) = (Naming::default(), Callers::default());
        let caller = naming.caller(&HeaderValue::from_static("Bearer a"));
        let key = Key::Tenant(TenantId(uuid::Uuid::from_u128(1)));
        for _ in 0..2 {
            callers.remember(caller, key);
            for _ in 0..REFUSED_EACH {
                assert_eq!(callers.key_of(caller), Some(key));
                callers.refused(caller);
            }
            assert_eq!(callers.key_of(caller), None);
            callers.refused(caller);
        }
    }
}
