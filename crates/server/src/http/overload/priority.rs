//! What goes last when there is more work than capacity.

use axum::http::Method;

/// How long a route is served while there is too much to do. In the order in which they are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Priority {
    /// Refused first: sign-ups, and lists that read much.
    Heavy,
    /// Other reading.
    Read,
    /// What clients do in the background.
    Sync,
    /// Messages, and other writing.
    Write,
    /// Never refused, and not counted: health, stopping, signing out. They must stay cheap.
    Always,
}

/// The priorities that can be refused, in that order.
pub(super) const REFUSABLE: [Priority; 4] = [Priority::Heavy, Priority::Read, Priority::Sync, Priority::Write];

impl Priority {
    /// The priority of a route that names none: what changes something is worth more than what can be read later.
    #[must_use]
    pub fn of_method(method: &Method) -> Self {
        if *method == Method::GET || *method == Method::HEAD { Self::Read } else { Self::Write }
    }

    /// The word for metrics.
    pub(super) const fn label(self) -> &'static str {
        match self {
            Self::Heavy => "heavy",
            Self::Read => "read",
            Self::Sync => "sync",
            Self::Write => "write",
            Self::Always => "always",
        }
    }

    /// Where it stands among [`REFUSABLE`].
    pub(super) const fn index(self) -> usize {
        match self {
            Self::Heavy => 0,
            Self::Read => 1,
            Self::Sync => 2,
            Self::Write | Self::Always => 3,
        }
    }

    /// How many of `limit` places may be taken when one of this priority enters. What is left free is for those above, so
    /// that they find a place at once while those below are refused.
    pub(super) fn places(self, limit: usize) -> usize {
        let per_cent = match self {
            Self::Heavy => 70,
            Self::Read => 85,
            Self::Sync => 93,
            Self::Write | Self::Always => 100,
        };
        (limit * per_cent / 100).max(1)
    }

    /// What one turn of it costs an organisation.
    pub(super) const fn cost(self) -> u32 {
        match self {
            Self::Read | Self::Sync => 1,
            Self::Heavy | Self::Write | Self::Always => 2,
        }
    }
}

/// What an organisation is given on each turn: enough for the dearest.
pub(super) const TURN: u32 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_priority_leaves_room_for_those_above() {
        for limit in [1, 2, 16, 1000] {
            let places = REFUSABLE.map(|priority| priority.places(limit));
            assert!(places.is_sorted() && places[0] >= 1 && places[3] == limit, "{places:?} of {limit}");
        }
        assert!(REFUSABLE.iter().all(|priority| priority.cost() <= TURN), "a turn serves at least one");
        assert!(REFUSABLE.is_sorted());
    }
}
