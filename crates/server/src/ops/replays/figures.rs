//! The figures of recordings on this node, since its start.

use std::sync::atomic::AtomicU64;

use mainstay_store::ReplayAmount;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct Why {
    why: &'static str,
}

#[derive(Clone, Debug)]
pub(super) struct ReplayFigures {
    chunks: Counter,
    bytes: Counter,
    refused: Family<Why, Counter>,
    kept: Gauge<u64, AtomicU64>,
    kept_bytes: Gauge<u64, AtomicU64>,
}

impl ReplayFigures {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let figures = Self {
            chunks: Counter::default(),
            bytes: Counter::default(),
            refused: Family::default(),
            kept: Gauge::default(),
            kept_bytes: Gauge::default(),
        };
        let f = &figures;
        registry.register("mainstay_replay_chunks", "Chunks of recordings that were taken", f.chunks.clone());
        registry.register("mainstay_replay_bytes", "Bytes of recordings that were taken", f.bytes.clone());
        registry.register(
            "mainstay_replay_refusals",
            "Chunks of recordings that were not taken, by why",
            f.refused.clone(),
        );
        let help = "Recordings that are kept, of all nodes, when this one looked last";
        registry.register("mainstay_replays_kept", help, f.kept.clone());
        let help = "Bytes of recordings that are kept, of all nodes, when this one looked last";
        registry.register("mainstay_replay_kept_bytes", help, f.kept_bytes.clone());
        figures
    }

    pub(super) fn took(&self, bytes: usize) {
        self.chunks.inc();
        self.bytes.inc_by(bytes as u64);
    }

    pub(super) fn refused(&self, why: &'static str) {
        self.refused.get_or_create(&Why { why }).inc();
    }

    pub(super) fn measured(&self, amount: ReplayAmount) {
        self.kept.set(u64::try_from(amount.replays).unwrap_or_default());
        self.kept_bytes.set(u64::try_from(amount.bytes).unwrap_or_default());
    }
}
