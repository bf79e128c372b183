//! The figures of knowledge on this node, since its start.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// Bounds of the histogram, in seconds.
const BOUNDS: [f64; 9] = [0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 1.0];

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct OutcomeLabel {
    outcome: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct ChangeLabel {
    change: &'static str,
}

/// What came of a search.
#[derive(Clone, Copy, Debug)]
pub(super) enum Outcome {
    Found,
    Nothing,
    Failed,
}

/// What was done to a document.
#[derive(Clone, Copy, Debug)]
pub(super) enum Change {
    Made,
    Changed,
    Removed,
}

/// What is counted. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct KnowledgeFigures {
    searches: Family<OutcomeLabel, Counter>,
    took: Histogram,
    changes: Family<ChangeLabel, Counter>,
}

impl KnowledgeFigures {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let figures = Self { searches: Family::default(), took: Histogram::new(BOUNDS), changes: Family::default() };
        let f = &figures;
        registry.register(
            "mainstay_knowledge_searches",
            "Searches in what organisations know, by what came of them",
            f.searches.clone(),
        );
        registry.register(
            "mainstay_knowledge_search_seconds",
            "How long a search in what an organisation knows took",
            f.took.clone(),
        );
        registry.register(
            "mainstay_document_changes",
            "Documents of organisations that were made, changed or removed",
            f.changes.clone(),
        );
        figures
    }

    pub(super) fn searched(&self, outcome: Outcome, took: Duration) {
        let outcome = match outcome {
            Outcome::Found => "found",
            Outcome::Nothing => "nothing",
            Outcome::Failed => "failed",
        };
        self.searches.get_or_create(&OutcomeLabel { outcome }).inc();
        self.took.observe(took.as_secs_f64());
    }

    pub(super) fn changed(&self, change: Change) {
        let change = match change {
            Change::Made => "made",
            Change::Changed => "changed",
            Change::Removed => "removed",
        };
        self.changes.get_or_create(&ChangeLabel { change }).inc();
    }
}
