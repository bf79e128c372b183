//! Whose the requests with a token are, as far as this was found out while the queue stood: so that the next one can be
//! refused before its token is checked and its limits are counted. Nobody is let in for it.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use axum::http::HeaderValue;

use super::Key;

/// The most that are remembered. When there are more, all are forgotten: the next request of each is remembered again.
const MOST: usize = 16_384;

/// The value of the header `Authorization`, as a number that nobody outside can foretell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Caller(u64);

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
pub(super) struct Callers(HashMap<Caller, Key>);

impl Callers {
    pub(super) fn remember(&mut self, caller: Caller, key: Key) {
        if self.0.len() >= MOST && !self.0.contains_key(&caller) {
            self.0.clear();
        }
        self.0.insert(caller, key);
    }

    pub(super) fn key_of(&self, caller: Caller) -> Option<Key> {
        self.0.get(&caller).copied()
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
        for number in 0..MOST * 3 {
            let header = HeaderValue::from_str(&format!("Bearer {number}")).expect("a header");
            let caller = naming.caller(&header);
            callers.remember(caller, key(number));
            assert_eq!(callers.key_of(caller), Some(key(number)));
            assert!(callers.0.len() <= MOST);
        }
    }
}
