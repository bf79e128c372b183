//! The figures of all queues, read from the database in the background, for `/metrics`. Each node reads for itself, so that
//! scraping any one of them is enough.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use mainstay_domain::Timestamp;
use mainstay_store::{Call, QueueDepth, QueueDepths, ReadQueues};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::app::App;
use crate::ops::metrics::gauge;

/// How often they are read.
const EVERY: Duration = Duration::from_secs(5);
/// How long a reading may take.
const PATIENCE: Duration = Duration::from_secs(4);
/// For how long a reading is told. What is older is left out: no figure is better than one that is not true any more.
const FRESH: Duration = Duration::from_secs(15);

/// One reading.
#[derive(Clone, Debug)]
struct Reading {
    depths: QueueDepths,
    at: Timestamp,
    taken: Instant,
}

/// The last reading. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Depths(Arc<Mutex<Option<Reading>>>);

impl Depths {
    fn set(&self, depths: QueueDepths, at: Timestamp) {
        let reading = Reading { depths, at, taken: Instant::now() };
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(reading);
    }

    fn fresh(&self) -> Option<Reading> {
        let reading = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        reading.filter(|reading| reading.taken.elapsed() < FRESH)
    }

    /// How many jobs were given up and are kept; nothing while it is not known.
    #[must_use]
    pub fn dead(&self) -> Option<u32> {
        self.fresh().map(|reading| reading.depths.dead)
    }

    /// Adds the figures.
    pub fn register(&self, registry: &mut Registry) {
        registry.register_collector(Box::new(self.clone()));
    }
}

/// Starts reading.
pub(super) fn start(app: &Arc<App>) {
    let reader = Arc::clone(app);
    app.lifecycle.spawn_until_drained("job figures", async move { keep_reading(&reader).await });
}

async fn keep_reading(app: &App) {
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let at = app.clock.now();
        match app.store.run(&Call::within(PATIENCE), ReadQueues).await {
            Ok(depths) => app.jobs.depths.set(depths, at),
            Err(error) => tracing::warn!(%error, "the figures of the queues could not be read; it is tried again"),
        }
    }
}

type OfQueue = fn(&QueueDepth, Timestamp) -> f64;

/// The gauges of each queue.
const GAUGES: [(&str, &str, OfQueue); 3] = [
    ("mainstay_job_ready", "Jobs that wait for a worker, up to 100,000", |queue, _| f64::from(queue.ready)),
    ("mainstay_job_oldest_seconds", "For how long the oldest job that could run has been due", |queue, at| {
        queue.oldest.map_or(0.0, |oldest| at.since(oldest).as_secs_f64())
    }),
    ("mainstay_job_queue_paused", "Whether the queue is paused", |queue, _| f64::from(queue.paused_at.is_some())),
];

impl Collector for Depths {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let Some(Reading { depths, at, .. }) = self.fresh() else { return Ok(()) };
        for (name, help, value) in GAUGES {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            for queue in &depths.queues {
                let labels = [("queue", queue.name.as_str())];
                ConstGauge::new(value(queue, at)).encode(family.encode_family(&labels)?)?;
            }
        }
        let (scheduled, dead) = (depths.scheduled as usize, depths.dead as usize);
        gauge(&mut encoder, "job_scheduled", "Jobs that wait for their time, up to 100,000", scheduled)?;
        gauge(&mut encoder, "job_dead", "Jobs that were given up and are kept, up to 100,000", dead)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(depths: &Depths) -> String {
        let mut registry = Registry::default();
        depths.register(&mut registry);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).expect("written");
        text
    }

    #[tokio::test(start_paused = true)]
    async fn a_reading_is_told_while_it_is_fresh() {
        let depths = Depths::default();
        assert!(!text(&depths).contains("mainstay_job"), "nothing is known yet");
        let queue =
            |name: &str, oldest| QueueDepth { name: name.to_owned(), paused_at: None, ready: 7, running: 1, oldest };
        let now = Timestamp::from_millis(10_000);
        let queues = vec![queue("mail", Some(Timestamp::from_millis(7_500))), queue("\"", None)];
        depths.set(QueueDepths { queues, scheduled: 3, dead: 2 }, now);
        let told = text(&depths);
        for line in [
            "mainstay_job_ready{queue=\"mail\"} 7.0",
            "mainstay_job_oldest_seconds{queue=\"mail\"} 2.5",
            "mainstay_job_oldest_seconds{queue=\"\\\"\"} 0.0",
            "mainstay_job_queue_paused{queue=\"mail\"} 0.0",
            "mainstay_job_scheduled 3",
            "mainstay_job_dead 2",
        ] {
            assert!(told.lines().any(|found| found == line), "{line} is missing in\n{told}");
        }
        assert_eq!(depths.dead(), Some(2));
        tokio::time::advance(FRESH).await;
        assert!(!text(&depths).contains("mainstay_job"), "what is old is no figure");
        assert_eq!(depths.dead(), None);
    }
}
