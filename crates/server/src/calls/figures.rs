//! The figures of calls on this node, since its start.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

/// Bounds of the histogram, in seconds.
const BOUNDS: [f64; 10] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 7.5];

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ToolLabels {
    tool: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ToolLabel {
    tool: &'static str,
}

/// What is counted. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct CallFigures {
    uses: Family<ToolLabels, Counter>,
    took: Family<ToolLabel, Histogram>,
    lost: Counter,
    forgotten: Counter,
    indexed: Counter,
}

impl CallFigures {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let histogram = || Histogram::new(BOUNDS);
        let figures = Self {
            uses: Family::default(),
            took: Family::new_with_constructor(histogram as fn() -> Histogram),
            lost: Counter::default(),
            forgotten: Counter::default(),
            indexed: Counter::default(),
        };
        registry.register(
            "mainstay_tool_uses",
            "Tools that the agent on the phone and the assistant used, by what came of it: done, refused or failed",
            figures.uses.clone(),
        );
        registry.register_with_unit(
            "mainstay_tool_use",
            "How long a tool took until its answer was there",
            Unit::Seconds,
            figures.took.clone(),
        );
        registry.register("mainstay_calls_lost", "Calls of which nothing was heard any more", figures.lost.clone());
        registry.register("mainstay_calls_forgotten", "Calls that were kept long enough", figures.forgotten.clone());
        let indexed = figures.indexed.clone();
        registry.register("mainstay_calls_indexed", "Calls that were made findable afterwards", indexed);
        figures
    }

    pub(super) fn used(&self, tool: &'static str, outcome: &'static str, took: Duration) {
        self.uses.get_or_create(&ToolLabels { tool, outcome }).inc();
        self.took.get_or_create(&ToolLabel { tool }).observe(took.as_secs_f64());
    }

    pub(super) fn lost(&self) {
        self.lost.inc();
    }

    pub(super) fn indexed(&self) {
        self.indexed.inc();
    }

    pub(super) fn forgotten(&self, calls: usize) {
        self.forgotten.inc_by(calls as u64);
    }
}
