//! The figures of deliveries on this node, since its start.

use mainstay_domain::DisabledReason;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// Bounds of the histograms, in seconds.
const BOUNDS: [f64; 13] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 30.0, 60.0];

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct Outcome {
    outcome: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct Reason {
    reason: &'static str,
}

/// What is counted. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct DeliveryFigures {
    attempts: Family<Outcome, Counter>,
    delay: Histogram,
    took: Histogram,
    closed: Gauge,
    rests: Counter,
    disabled: Family<Reason, Counter>,
}

impl DeliveryFigures {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let figures = Self {
            attempts: Family::default(),
            delay: Histogram::new(BOUNDS),
            took: Histogram::new(BOUNDS),
            closed: Gauge::default(),
            rests: Counter::default(),
            disabled: Family::default(),
        };
        let f = &figures;
        registry.register(
            "mainstay_delivery_attempts",
            "Attempts to deliver, by what came of them",
            f.attempts.clone(),
        );
        registry.register(
            "mainstay_delivery_delay_seconds",
            "From the moment that an event was published to the end of the first attempt to deliver it",
            f.delay.clone(),
        );
        registry.register("mainstay_delivery_seconds", "How long attempts to deliver took", f.took.clone());
        registry.register(
            "mainstay_webhook_endpoints_closed",
            "Endpoints of all organisations that are disabled; only the node that keeps house counts them",
            f.closed.clone(),
        );
        registry.register(
            "mainstay_webhook_endpoint_rests",
            "How often an endpoint was left alone because it failed again and again",
            f.rests.clone(),
        );
        registry.register(
            "mainstay_webhook_endpoints_disabled",
            "Endpoints that were disabled because they are gone or failed for too long",
            f.disabled.clone(),
        );
        figures
    }

    /// An attempt has ended.
    pub(super) fn attempt(&self, outcome: &'static str, took: f64) {
        self.attempts.get_or_create(&Outcome { outcome }).inc();
        self.took.observe(took);
    }

    /// A first attempt has ended so long after its event was published.
    pub(super) fn first(&self, delay: f64) {
        self.delay.observe(delay);
    }

    /// So many endpoints are disabled.
    pub(super) fn closed(&self, endpoints: u32) {
        self.closed.set(i64::from(endpoints));
    }

    pub(super) fn rested(&self, endpoints: u32) {
        self.rests.inc_by(u64::from(endpoints));
    }

    pub(super) fn disabled(&self, reason: DisabledReason) {
        self.disabled.get_or_create(&Reason { reason: reason.as_str() }).inc();
    }
}
