//! The figures of keys on this node.

use mainstay_domain::KeyVersion;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct Reason {
    reason: &'static str,
}

/// What is counted. Clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct KeyFigures {
    refused: Family<Reason, Counter>,
    rotated: Counter,
    sealing: Gauge,
    missing: Gauge,
}

impl KeyFigures {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let figures = Self::default();
        let f = &figures;
        registry.register("mainstay_secrets_refused", "Secrets that could not be opened, by why", f.refused.clone());
        registry.register("mainstay_secrets_rotated", "Secrets that were sealed anew", f.rotated.clone());
        registry.register("mainstay_key_sealing", "The number of the key that this node seals with", f.sealing.clone());
        registry.register(
            "mainstay_keys_missing",
            "Keys that secrets may be sealed under and that this node has not got",
            f.missing.clone(),
        );
        figures
    }

    pub(super) fn refused(&self, reason: &'static str) {
        self.refused.get_or_create(&Reason { reason }).inc();
    }

    pub(super) fn rotated(&self, rows: u64) {
        self.rotated.inc_by(rows);
    }

    pub(super) fn known(&self, sealing: Option<KeyVersion>, missing: usize) {
        self.sealing.set(sealing.map_or(0, |version| i64::from(version.number())));
        self.missing.set(i64::try_from(missing).unwrap_or(i64::MAX));
    }
}
