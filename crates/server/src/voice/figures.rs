//! What `/metrics` says of voice sessions.

use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use super::desk::Desk;
use crate::ops::metrics::gauge;

/// Bounds of the latencies, in seconds.
const BOUNDS: [f64; 12] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 0.75, 1.0, 1.5, 2.5, 5.0];

/// One label with a fixed set of values.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct Why {
    pub(super) why: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct Stage {
    stage: &'static str,
}

/// Counts over all sessions of this node.
#[derive(Clone)]
pub(super) struct VoiceFigures {
    pub(super) ended: Family<Why, Counter>,
    pub(super) refused: Family<Why, Counter>,
    pub(super) shed: Family<Why, Counter>,
    pub(super) dropped: Counter,
    pub(super) turns: Counter,
    pub(super) interruptions: Counter,
    pub(super) resumed: Counter,
    latency: Family<Stage, Histogram>,
}

impl VoiceFigures {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let latency: fn() -> Histogram = || Histogram::new(BOUNDS);
        let all = Self {
            ended: Family::default(),
            refused: Family::default(),
            shed: Family::default(),
            dropped: Counter::default(),
            turns: Counter::default(),
            interruptions: Counter::default(),
            resumed: Counter::default(),
            latency: Family::new_with_constructor(latency),
        };
        let help = "Voice sessions that ended, by why";
        registry.register("mainstay_voice_sessions_ended", help, all.ended.clone());
        let help = "Attempts to begin a voice session that were refused, by why";
        registry.register("mainstay_voice_sessions_refused", help, all.refused.clone());
        let help = "Chunks of sound that were not taken, by why";
        registry.register("mainstay_voice_chunks_shed", help, all.shed.clone());
        let help = "Milliseconds of sound that were dropped because those who listen were too slow";
        registry.register("mainstay_voice_sound_dropped_milliseconds", help, all.dropped.clone());
        registry.register("mainstay_voice_turns", "Turns of callers", all.turns.clone());
        registry.register(
            "mainstay_voice_interruptions",
            "Answers that callers interrupted",
            all.interruptions.clone(),
        );
        registry.register("mainstay_voice_sessions_resumed", "Lines that took up a session again", all.resumed.clone());
        let help = "From the end of a caller's speech to each stage of the answer";
        registry.register_with_unit("mainstay_voice_latency", help, Unit::Seconds, all.latency.clone());
        all
    }

    pub(super) fn stage(&self, stage: &'static str, ms: u64) {
        self.latency.get_or_create(&Stage { stage }).observe(ms as f64 / 1000.0);
    }
}

/// What is read when it is asked for.
pub(super) struct Read(pub(super) Arc<Desk>);

impl fmt::Debug for Read {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Read")
    }
}

impl Collector for Read {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let encoder = &mut encoder;
        let (open, waiting) = self.0.counts();
        gauge(encoder, "voice_sessions", "Voice sessions, with those that wait to be resumed", open)?;
        gauge(
            encoder,
            "voice_sessions_waiting",
            "Voice sessions whose line dropped, and that wait to be resumed",
            waiting,
        )?;
        gauge(encoder, "voice_places", "Places of voice sessions that this node holds", self.0.places())
    }
}
