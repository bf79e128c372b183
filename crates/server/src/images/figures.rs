//! The figures of images on this node, since its start.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// Bounds of the histogram, in seconds.
const BOUNDS: [f64; 9] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct Why {
    why: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct FormLabel {
    form: &'static str,
}

/// What is counted. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct ImageFigures {
    stored: Counter,
    bytes: Counter,
    refused: Family<Why, Counter>,
    unpacked: Family<FormLabel, Counter>,
    took: Histogram,
}

impl ImageFigures {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let figures = Self {
            stored: Counter::default(),
            bytes: Counter::default(),
            refused: Family::default(),
            unpacked: Family::default(),
            took: Histogram::new(BOUNDS),
        };
        let f = &figures;
        registry.register("mainstay_images", "Images that were stored", f.stored.clone());
        registry.register("mainstay_image_bytes", "Bytes of images that were stored", f.bytes.clone());
        registry.register(
            "mainstay_image_refusals",
            "Images that were not taken, or not shown, by why",
            f.refused.clone(),
        );
        registry.register(
            "mainstay_images_unpacked",
            "Images that were unpacked and made anew, by form",
            f.unpacked.clone(),
        );
        registry.register(
            "mainstay_image_seconds",
            "From the arrival of an image until it was made anew, with the wait for a place",
            f.took.clone(),
        );
        figures
    }

    pub(super) fn stored(&self, bytes: u32) {
        self.stored.inc();
        self.bytes.inc_by(u64::from(bytes));
    }

    pub(super) fn refused(&self, why: &'static str) {
        self.refused.get_or_create(&Why { why }).inc();
    }

    pub(super) fn unpacked(&self, form: &'static str, took: Duration) {
        self.unpacked.get_or_create(&FormLabel { form }).inc();
        self.took.observe(took.as_secs_f64());
    }
}
