//! The figures of the inbox on this node, since its start.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use super::sources::Source;

/// Bounds of the histogram, in seconds.
const BOUNDS: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OutcomeLabels {
    provider: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ProviderLabel {
    provider: &'static str,
}

/// What is counted. Clones share it.
#[derive(Clone, Debug)]
pub struct InboxFigures {
    webhooks: Family<OutcomeLabels, Counter>,
    acknowledged: Family<ProviderLabel, Histogram>,
}

impl InboxFigures {
    /// Makes them known.
    #[must_use]
    pub fn register(registry: &mut Registry) -> Self {
        let histogram = || Histogram::new(BOUNDS);
        let figures = Self {
            webhooks: Family::default(),
            acknowledged: Family::new_with_constructor(histogram as fn() -> Histogram),
        };
        registry.register(
            "mainstay_webhooks",
            "Events that arrived, by what became of them: stored, duplicate, or the code that they were refused with",
            figures.webhooks.clone(),
        );
        registry.register_with_unit(
            "mainstay_webhook_acknowledged",
            "From the last byte of a webhook until its sender could be told that it is stored",
            Unit::Seconds,
            figures.acknowledged.clone(),
        );
        figures
    }

    /// An event was stored, or was there already; or a request was refused with a code.
    pub(super) fn count(&self, provider: Source, outcome: &'static str) {
        self.webhooks.get_or_create(&OutcomeLabels { provider: provider.as_str(), outcome }).inc();
    }

    /// A request is answered: all of it is stored.
    pub(super) fn acknowledged(&self, provider: Source, took: Duration) {
        self.acknowledged.get_or_create(&ProviderLabel { provider: provider.as_str() }).observe(took.as_secs_f64());
    }
}
