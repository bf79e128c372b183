//! How many nodes share the limits.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

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
