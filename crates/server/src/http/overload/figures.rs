//! What is counted: who was refused and why, how long those who got in had waited, and how things stand.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use super::gate::{REASONS, Refusal};
use super::priority::{Priority, REFUSABLE};
use super::{Overload, Standing, real};

/// Bounds of the histogram of waits in the queue, in seconds.
const WAITS: [f64; 8] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25];

/// Counters of the gate.
pub(super) struct Figures {
    refused: [[AtomicU64; REASONS.len()]; REFUSABLE.len()],
    waits: Histogram,
}

impl Default for Figures {
    fn default() -> Self {
        Self { refused: Default::default(), waits: Histogram::new(WAITS) }
    }
}

impl Figures {
    pub(super) fn refused(&self, priority: Priority, refusal: Refusal) {
        let counter = self.refused.get(priority.index()).and_then(|reasons| reasons.get(refusal.index()));
        if let Some(counter) = counter {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[cfg(test)]
    pub(super) fn count(&self, priority: Priority, reason: usize) -> u64 {
        self.refused[priority.index()][reason].load(Ordering::Relaxed)
    }

    pub(super) fn waited(&self, wait: Duration) {
        self.waits.observe(wait.as_secs_f64());
    }
}

impl Overload {
    /// Names the figures in the registry.
    pub fn register(&self, registry: &mut Registry) {
        registry.register_with_unit(
            "mainstay_overload_wait",
            "Time in the queue of requests that found a place after waiting",
            Unit::Seconds,
            self.0.figures.waits.clone(),
        );
        registry.register_collector(Box::new(self.clone()));
    }
}

impl fmt::Debug for Overload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Overload({:?})", self.standing())
    }
}

impl Collector for Overload {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let Standing { limit, share, inside, waiting, pressure, busy } = self.standing();
        for (name, help, value) in [
            ("limit", "Requests that may be worked on at once", real(limit)),
            ("tenant_limit", "Of one organisation, while others are about", share),
            ("in_flight", "Requests that are worked on", real(inside)),
            ("queued", "Requests that wait for a place", real(waiting)),
            ("pressure", "Latency against what is allowed: above 1 the limit shrinks", pressure),
            ("processor", "Part of the processors that this process uses", busy),
        ] {
            let name = format!("mainstay_overload_{name}");
            let gauge = ConstGauge::new(value);
            gauge.encode(encoder.encode_descriptor(&name, help, None, MetricType::Gauge)?)?;
        }
        let help = "How far the database is used of what it can do: 0.8 is where background work slows down";
        let gauge = ConstGauge::new(self.load().database());
        gauge.encode(encoder.encode_descriptor("mainstay_database_load", help, None, MetricType::Gauge)?)?;
        let help = "Requests refused with 503, by priority and reason";
        let mut family = encoder.encode_descriptor("mainstay_overload_refused", help, None, MetricType::Counter)?;
        for (priority, reasons) in REFUSABLE.into_iter().zip(&self.0.figures.refused) {
            for (reason, count) in REASONS.into_iter().zip(reasons) {
                let labels = [("priority", priority.label()), ("reason", reason)];
                let counter = ConstCounter::new(count.load(Ordering::Relaxed));
                counter.encode(family.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }
}
