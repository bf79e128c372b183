//! The figures of text messages on this node, since its start.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

/// Bounds of the histogram, in seconds.
const BOUNDS: [f64; 10] = [0.1, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0, 1_800.0, 7_200.0];

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OutcomeLabel {
    outcome: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct StateLabel {
    state: &'static str,
}

/// What is counted. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct TextFigures {
    attempts: Family<OutcomeLabel, Counter>,
    delay: Histogram,
    told: Family<StateLabel, Counter>,
    opt_outs: Counter,
}

impl TextFigures {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let figures = Self {
            attempts: Family::default(),
            delay: Histogram::new(BOUNDS),
            told: Family::default(),
            opt_outs: Counter::default(),
        };
        registry.register(
            "mainstay_text_attempts",
            "Attempts to send a text message, by what came of them: accepted, refused, dropped, again or unknown",
            figures.attempts.clone(),
        );
        registry.register_with_unit(
            "mainstay_text_delay",
            "From the moment that a text message was due until the provider had it",
            Unit::Seconds,
            figures.delay.clone(),
        );
        registry.register(
            "mainstay_text_states",
            "What the provider told of text messages, by state",
            figures.told.clone(),
        );
        registry.register("mainstay_text_opt_outs", "Numbers that have said stop", figures.opt_outs.clone());
        figures
    }

    pub(super) fn attempt(&self, outcome: &'static str) {
        self.attempts.get_or_create(&OutcomeLabel { outcome }).inc();
    }

    pub(super) fn accepted(&self, delay: Duration) {
        self.attempt("accepted");
        self.delay.observe(delay.as_secs_f64());
    }

    pub(super) fn told(&self, state: &'static str) {
        self.told.get_or_create(&StateLabel { state }).inc();
    }

    pub(super) fn stopped(&self) {
        self.opt_outs.inc();
    }
}
