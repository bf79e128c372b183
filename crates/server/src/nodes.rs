//! Lives in one process: what this node knows of the others, which decides what it may answer from memory.
//!
//! Every node holds a lease in the database for as long as it serves. Twice a second each looks at the leases and at the
//! counter of writes by processes that serve nobody (the command line). A node is *certain* of where streams stand while it
//! is alone, or while it hears from every other node: hints of commits that are numbered without a gap, and a sign of life
//! once a second. When it is not, it asks the database, and looks by itself where the streams of its sockets stand.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use mainstay_store::Watched;
use tokio::time::Instant;

/// How the names of nodes' leases begin.
pub const PREFIX: &str = "node:";
/// How often the leases are looked at.
pub const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How old the last good look may be.
const MOST_STALE: Duration = Duration::from_secs(3);
/// For how long a node may be silent.
const MOST_SILENT: Duration = Duration::from_secs(3);

/// How many nodes there are, this one included. Clones share it, and whoever knows sets it; until then it is one.
#[derive(Clone, Debug)]
pub struct NodeCount(Arc<AtomicUsize>);

impl Default for NodeCount {
    fn default() -> Self {
        Self(Arc::new(AtomicUsize::new(1)))
    }
}

impl NodeCount {
    /// Sets it. Nothing counts as one.
    pub fn set(&self, nodes: usize) {
        self.0.store(nodes.max(1), Ordering::Relaxed);
    }

    /// How many.
    #[must_use]
    pub fn get(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// What this node knows of the others.
#[derive(Debug)]
pub struct Nodes {
    began: Instant,
    state: Mutex<State>,
    /// Until when it is certain, in milliseconds since it began: also for a process that was stopped for a while.
    certain_until: AtomicU64,
    count: NodeCount,
}

impl Default for Nodes {
    fn default() -> Self {
        Self::new()
    }
}

#[derive(Debug, Default)]
struct State {
    /// The name of this node's own lease; empty until it has one.
    own: String,
    others: HashSet<String>,
    /// The last hint of each node, and when it was heard.
    heard: HashMap<String, (u64, Instant)>,
    outside: Option<i64>,
    looked_at: Option<Instant>,
}

/// What a look or a hint came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// Nothing was missed.
    AsExpected,
    /// Something may have been missed: forget what is known, and look.
    Missed,
}

impl Nodes {
    /// A node that knows of no other.
    #[must_use]
    pub fn new() -> Self {
        Self {
            began: Instant::now(),
            state: Mutex::default(),
            certain_until: AtomicU64::new(0),
            count: NodeCount::default(),
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether everything that was committed anywhere is known here.
    #[must_use]
    pub fn certain(&self) -> bool {
        self.millis(Instant::now()) < self.certain_until.load(Ordering::Acquire)
    }

    /// How many nodes serve, for those who share something out among them.
    #[must_use]
    pub const fn count(&self) -> &NodeCount {
        &self.count
    }

    /// The name of this node's lease; empty until it is known.
    #[must_use]
    pub fn own(&self) -> String {
        self.state().own.clone()
    }

    /// Takes what a look at the database found; `own` is the number of this node's lease.
    pub fn looked(&self, watched: Watched, own: i64, began: Instant) -> Heard {
        let mut state = self.state();
        let missed = state.outside.is_some_and(|known| known != watched.outside);
        state.outside = Some(watched.outside);
        state.looked_at = Some(began);
        let (mine, others): (Vec<_>, Vec<_>) = watched.leases.into_iter().partition(|(_, number)| *number == own);
        state.own = mine.into_iter().next().map(|(name, _)| name).unwrap_or_default();
        state.others = others.into_iter().map(|(name, _)| name).collect();
        let State { others, heard, .. } = &mut *state;
        heard.retain(|name, _| others.contains(name));
        self.count.set(state.others.len() + 1);
        let was = self.certain();
        let certain = self.judge(&state);
        // What was committed while it was not certain was not told.
        if missed || (certain && !was) { Heard::Missed } else { Heard::AsExpected }
    }

    /// Takes a hint or a sign of life of another node.
    pub fn heard(&self, node: &str, number: u64) -> Heard {
        let mut state = self.state();
        if node == state.own {
            return Heard::AsExpected;
        }
        let now = Instant::now();
        let known = state.heard.insert(node.to_owned(), (number, now));
        // The first hint of a node that nobody knew: what came before it was not heard.
        let gap = known.is_none_or(|(last, at)| number != last + 1 || now - at > MOST_SILENT);
        let was = self.certain();
        let certain = self.judge(&state);
        if gap || (certain && !was) { Heard::Missed } else { Heard::AsExpected }
    }

    /// The way by which the others are heard is gone.
    pub fn deaf(&self) {
        let mut state = self.state();
        state.heard.clear();
        self.judge(&state);
    }

    /// Time has passed.
    pub fn tick(&self) -> bool {
        self.judge(&self.state())
    }

    fn judge(&self, state: &State) -> bool {
        let looked = state.looked_at.map(|at| at + MOST_STALE);
        let heard = state.others.iter().map(|name| state.heard.get(name).map(|(_, at)| *at + MOST_SILENT));
        // Nothing, where one of them is missing.
        let until = std::iter::once(looked).chain(heard).try_fold(None, |least: Option<Instant>, until| {
            until.map(|until| Some(least.map_or(until, |least| least.min(until))))
        });
        let until = until.flatten().filter(|_| !state.own.is_empty()).map_or(0, |until| self.millis(until));
        self.certain_until.store(until, Ordering::Release);
        self.certain()
    }

    fn millis(&self, moment: Instant) -> u64 {
        u64::try_from(moment.saturating_duration_since(self.began).as_millis()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watched(outside: i64, leases: &[(&str, i64)]) -> Watched {
        Watched {
            outside,
            flags: 0,
            leases: leases.iter().map(|(name, number)| ((*name).to_owned(), *number)).collect(),
        }
    }

    fn look(nodes: &Nodes, outside: i64, leases: &[(&str, i64)]) -> Heard {
        nodes.looked(watched(outside, leases), 1, Instant::now())
    }

    const ALONE: &[(&str, i64)] = &[("node:a", 1)];
    const TWO: &[(&str, i64)] = &[("node:a", 1), ("node:b", 2)];

    #[tokio::test(start_paused = true)]
    async fn a_node_that_is_alone_is_certain_while_it_looks() {
        let nodes = Nodes::new();
        assert!(!nodes.certain());
        assert_eq!(look(&nodes, 0, ALONE), Heard::Missed, "what was before is not known");
        assert!(nodes.certain());
        assert_eq!(look(&nodes, 0, ALONE), Heard::AsExpected);
        assert_eq!(look(&nodes, 1, ALONE), Heard::Missed, "somebody wrote beside it");
        // A process that was stopped: nothing has run in between, and it is certain no longer.
        tokio::time::advance(Duration::from_secs(4)).await;
        assert!(!nodes.certain());
        assert_eq!(look(&nodes, 1, &[("node:b", 2)]), Heard::AsExpected);
        assert!(!nodes.certain(), "its lease is lost");
    }

    #[tokio::test(start_paused = true)]
    async fn with_others_it_is_certain_while_it_hears_all_of_them_without_a_gap() {
        let nodes = Nodes::new();
        look(&nodes, 0, TWO);
        assert!(!nodes.certain());
        assert_eq!(nodes.count().get(), 2);
        assert_eq!(nodes.heard("node:b", 7), Heard::Missed);
        assert!(nodes.certain());
        assert_eq!(nodes.heard("node:b", 8), Heard::AsExpected);
        assert_eq!(nodes.heard("node:b", 10), Heard::Missed, "a hint was lost");
        assert_eq!(nodes.heard("node:a", 1), Heard::AsExpected, "its own voice");
        for _ in 0..4 {
            tokio::time::advance(Duration::from_secs(1)).await;
            look(&nodes, 0, TWO);
        }
        assert!(!nodes.certain(), "the other has been silent for too long");
        assert_eq!(nodes.heard("node:b", 11), Heard::Missed, "what it did in its silence was not told");
        assert!(nodes.certain());
        nodes.deaf();
        assert!(!nodes.certain());
        look(&nodes, 0, ALONE);
        assert!(nodes.certain(), "the other is gone");
    }
}
