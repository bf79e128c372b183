//! The figures of the reception on this node, since its start.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

/// Bounds of the histogram, in seconds.
const BOUNDS: [f64; 9] = [0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 2.5];

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OutcomeLabel {
    outcome: &'static str,
}

/// What is counted. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct ReceptionFigures {
    asked: Histogram,
    bookings: Family<OutcomeLabel, Counter>,
}

impl ReceptionFigures {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let figures = Self { asked: Histogram::new(BOUNDS), bookings: Family::default() };
        registry.register_with_unit(
            "mainstay_availability",
            "How long finding the free times of a service took",
            Unit::Seconds,
            figures.asked.clone(),
        );
        registry.register(
            "mainstay_bookings",
            "Times that were asked for, by what became of it: made, held, repeated, slot_taken, not_offered, moved, cancelled, changed or refused",
            figures.bookings.clone(),
        );
        figures
    }

    pub(super) fn asked(&self, took: Duration) {
        self.asked.observe(took.as_secs_f64());
    }

    pub(super) fn booking(&self, outcome: &'static str) {
        self.bookings.get_or_create(&OutcomeLabel { outcome }).inc();
    }
}
