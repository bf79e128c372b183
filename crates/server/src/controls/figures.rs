//! The figures of controls.

use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use super::Controls;
use super::control::Part;
use crate::ops::metrics::gauge;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PartLabels {
    part: &'static str,
}

/// What is counted. Clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct Figures {
    refusals: Family<PartLabels, Counter>,
    changes: Counter,
}

impl Figures {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let figures = Self::default();
        let help = "Requests refused because a part is switched off";
        registry.register("mainstay_controls_refusals", help, figures.refusals.clone());
        let help = "Readings of this node that found something else set than the one before";
        registry.register("mainstay_controls_changes", help, figures.changes.clone());
        figures
    }

    pub(super) fn refused(&self, part: Part) {
        self.refusals.get_or_create(&PartLabels { part: part.as_str() }).inc();
    }

    pub(super) fn changed(&self) {
        self.changes.inc();
    }
}

/// Adds the figures that are read when they are asked for.
pub(super) fn collect(controls: Arc<Controls>, registry: &mut Registry) {
    registry.register_collector(Box::new(Reading(controls)));
}

#[derive(Debug)]
struct Reading(Arc<Controls>);

impl Collector for Reading {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        gauge(&mut encoder, "controls_active", "Controls that are set and have not ended", self.0.in_force().len())?;
        let Some(age) = self.0.age() else { return Ok(()) };
        let (name, help) = ("mainstay_controls_age_seconds", "How long ago this node has read which controls are set");
        ConstGauge::new(age.as_secs_f64()).encode(encoder.encode_descriptor(name, help, None, MetricType::Gauge)?)
    }
}
