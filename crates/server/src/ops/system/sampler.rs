//! Each node tells of itself: what it answered, what it did, and how far it uses what it has.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use mainstay_store::{Call, NodeSample, NodeUses, RecordSample};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;
use tokio::time::{Instant, MissedTickBehavior, interval};
use uuid::Uuid;

use crate::app::App;
use crate::http::AnsweredCounts;
use crate::http::overload::{Processor, real};
use crate::ops::health::outside;
use crate::ops::process::{disk_use, memory_use, open_files};
use crate::providers::BreakerState;
use crate::redis::State;

/// How often a node tells of itself.
const EVERY: Duration = Duration::from_secs(10);
/// How long that may take.
const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OutcomeLabel {
    outcome: &'static str,
}

/// How often this node has told of itself. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct SampleFigures(Family<OutcomeLabel, Counter>);

impl SampleFigures {
    /// Makes them known.
    #[must_use]
    pub fn register(registry: &mut Registry) -> Self {
        let figures = Self::default();
        let help = "Samples by which this node told of itself, kept or not";
        registry.register("mainstay_node_samples", help, figures.0.clone());
        figures
    }

    fn count(&self, outcome: &'static str) {
        self.0.get_or_create(&OutcomeLabel { outcome }).inc();
    }
}

/// What only grows, as it was told last.
#[derive(Clone, Copy, Debug, Default)]
struct Told {
    answered: AnsweredCounts,
    jobs_ended: u64,
    jobs_took: Duration,
}

impl Told {
    fn now(app: &App) -> Self {
        let (jobs_ended, jobs_took) = app.job_figures.totals();
        Self { answered: app.http_metrics.answered(), jobs_ended, jobs_took }
    }
}

struct Sampler {
    node: Uuid,
    told: Told,
    processor: Processor,
    folder: PathBuf,
}

/// Starts telling of this node.
pub fn start(app: &Arc<App>) {
    let folder = app.config.database.folder().unwrap_or_else(|| PathBuf::from("."));
    let mut sampler =
        Sampler { node: app.watching.node, told: Told::now(app), processor: Processor::of_this_process(), folder };
    let (teller, stopped) = (Arc::clone(app), app.lifecycle.stopped());
    app.lifecycle.spawn("node samples", async move {
        let rounds = async {
            let mut ticks = interval(EVERY);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                sampler.tell(&teller, false).await;
            }
        };
        tokio::select! {
            () = rounds => {}
            () = stopped => {}
        }
        // So that nobody takes it for lost.
        sampler.tell(&teller, true).await;
    });
}

impl Sampler {
    /// What could not be kept is told with the next sample.
    async fn tell(&mut self, app: &App, leaves: bool) {
        let (now, sample) = self.look(app, leaves);
        let record = RecordSample { node: self.node, at: app.clock.now(), sample };
        match app.store.run(&Call::within(PATIENCE), record).await {
            Ok(()) => {
                self.told = now;
                app.watching.samples.count("kept");
            }
            Err(error) => {
                app.watching.samples.count("failed");
                tracing::warn!(%error, "this node could not tell of itself; it is told with the next time");
            }
        }
    }

    fn look(&mut self, app: &App, leaves: bool) -> (Told, NodeSample) {
        let (now, before) = (Told::now(app), self.told);
        let (after, earlier) = (now.answered, before.answered);
        let took = now.jobs_took.saturating_sub(before.jobs_took);
        let redis_lost = app.redis.as_ref().is_some_and(|redis| redis.link.state() != State::Up);
        let left_alone = outside::services(app).into_iter().filter(|service| service.breaker == BreakerState::Open);
        let sample = NodeSample {
            requests: after.requests.saturating_sub(earlier.requests),
            errors: after.errors.saturating_sub(earlier.errors),
            refusals: after.refusals.saturating_sub(earlier.refusals),
            timed: after.timed.saturating_sub(earlier.timed),
            within: std::array::from_fn(|at| after.within[at].saturating_sub(earlier.within[at])),
            jobs_ended: now.jobs_ended.saturating_sub(before.jobs_ended),
            jobs_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            jobs_running: app.worker.get().map_or(0, |worker| worker.running() as u64),
            sockets: app.hub.open_sockets() as u64,
            uses: self.uses(app),
            redis_lost,
            left_alone: left_alone.map(|service| service.name.to_owned()).collect(),
            leaves,
        };
        (now, sample)
    }

    fn uses(&mut self, app: &App) -> NodeUses {
        let (mean, _, size) = app.pool_use.last_minute();
        let ratio = |part: f64, whole: usize| (whole > 0).then(|| part / real(whole));
        let open = u32::try_from(app.http_metrics.connections_open()).map_or(0.0, f64::from);
        let files = open_files();
        NodeUses {
            connections: tenths(ratio(open, app.config.http.max_connections)),
            pool: tenths(ratio(mean, size)),
            processor: tenths(Some(self.processor.look(Instant::now()))),
            memory: tenths(memory_use()),
            disk: tenths(disk_use(&self.folder)),
            files: tenths(files.and_then(|files| ratio(real(files.now), files.most))),
        }
    }
}

/// A share as tenths of a per cent.
fn tenths(share: Option<f64>) -> Option<u32> {
    let share = share.filter(|share| share.is_finite())?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is between 0 and 10,000")]
    let tenths = (share * 1000.0).round().clamp(0.0, 10_000.0) as u32;
    Some(tenths)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_told_in_tenths_of_a_per_cent() {
        assert_eq!(tenths(Some(0.8049)), Some(805));
        assert_eq!([tenths(Some(0.0)), tenths(Some(-1.0)), tenths(Some(99.0))], [Some(0), Some(0), Some(10_000)]);
        assert_eq!([tenths(None), tenths(Some(f64::NAN))], [None, None]);
    }
}
