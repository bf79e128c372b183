//! Deliveries: events that organisations are told of at endpoints of their own, signed as Standard Webhooks says.
//!
//! An event, its deliveries and the jobs that make them are one transaction of the store. Each endpoint has a lane of its
//! own: so many deliveries at once over all nodes ([`queue`]), a rate, and a breaker in the database, so that one that is
//! dead or slow holds nobody up. How one delivery goes is in [`work`]; `docs/deliveries.md` tells users of it.

mod answer;
pub mod api;
mod ending;
mod figures;
mod reading;
mod secrets;
mod service;
mod work;

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use mainstay_domain::{Clock, Entropy, Ids, Result, Timestamp};
use mainstay_jobs::{Done, Job, JobContext, JobResult, Queue};
use mainstay_store::{
    CANCELLING_KIND, Call, CancelBite, Cancelling, CountDisabledEndpoints, DELIVERIES, DELIVERY_CHORES, DELIVERY_KIND,
    EndpointPolicy, Keeping, QueueLimits, REPLAY_KIND, Replay, ReplayBite, Store,
};
use prometheus_client::registry::Registry;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use crate::app::{App, Outside};
use crate::config::Config;
use crate::keys::Keys;
use crate::outgoing::{self, Outgoing, Rules};

use ending::Waiting;
use figures::DeliveryFigures;
use reading::Wanted;

/// How much longer than deliveries their events are kept: as long as one that is replayed at the end is tried.
const EVENTS_LAST_LONGER: Duration = Duration::from_secs(4 * 86_400);
/// How long after a bite that was not the last the next one begins.
const NEXT_BITE: Duration = Duration::from_millis(10);
/// How long a delivery waits for which no handler is there: the server stops.
const STOPPING: Duration = Duration::from_secs(1);

/// A delivery. It has the id of its job, and its endpoint is the job's group.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Deliver {}

impl Job for Deliver {
    const KIND: &'static str = DELIVERY_KIND;
    const QUEUE: &'static str = DELIVERIES;
    /// The exchange, and what is read before it and written after it.
    const DEADLINE: Duration = Duration::from_secs(70);
}

/// Events of a range are delivered again.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Replaying(Replay);

impl Job for Replaying {
    const KIND: &'static str = REPLAY_KIND;
    const QUEUE: &'static str = DELIVERY_CHORES;
}

/// What waits for an endpoint is cancelled.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CancellingAll(Cancelling);

impl Job for CancellingAll {
    const KIND: &'static str = CANCELLING_KIND;
    const QUEUE: &'static str = DELIVERY_CHORES;
}

/// The queue of deliveries: a lane for each endpoint.
#[must_use]
pub fn queue(config: &Config) -> Queue {
    let limits = QueueLimits { running_per_group: Some(config.deliveries.per_endpoint), ..QueueLimits::default() };
    Queue { name: DELIVERIES, slots: config.deliveries.slots, limits, oldest: config.jobs.oldest() }
}

/// Whoever delivers on this node.
pub struct Deliveries {
    store: Store,
    keys: Arc<Keys>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    ids: Ids,
    outgoing: Outgoing,
    rules: Rules,
    waits: Vec<Duration>,
    deadline: Duration,
    policy: EndpointPolicy,
    keeping: Keeping,
    kept: Duration,
    figures: DeliveryFigures,
    endings: mpsc::Sender<Waiting>,
    wanted: mpsc::Sender<Wanted>,
    /// For those who read and who end, once they start.
    receivers: Mutex<Option<(mpsc::Receiver<Wanted>, mpsc::Receiver<Waiting>)>>,
}

impl Deliveries {
    /// Makes it ready. Nothing is delivered before [`start`].
    ///
    /// # Errors
    /// When the client for endpoints cannot be made.
    pub fn new(
        config: &Config,
        (store, keys): (Store, Arc<Keys>),
        (Outside { clock, entropy, lookup }, ids): (Outside, Ids),
        registry: &mut Registry,
    ) -> Result<Self> {
        let settings = &config.deliveries;
        let rules =
            Rules { allow_http: settings.allow_http, allowed: settings.private_networks(), refused: Vec::new() };
        let client = outgoing::Settings {
            deadline: settings.deadline(),
            max_body_bytes: settings.most_response_bytes,
            idle_connections: settings.per_endpoint as usize,
            rules: rules.clone(),
            ..outgoing::Settings::default()
        };
        let outgoing = Outgoing::with_lookup(client, lookup)?;
        // One place for each delivery that is under way.
        let places = settings.slots.max(1) as usize;
        let ((endings, ended), (wanted, reading)) = (mpsc::channel(places), mpsc::channel(places));
        Ok(Self {
            store,
            keys,
            clock,
            entropy,
            ids,
            outgoing,
            rules,
            waits: settings.waits(),
            deadline: settings.deadline(),
            policy: settings.policy(),
            keeping: config.jobs.keeping(),
            kept: settings.kept(),
            figures: DeliveryFigures::register(registry),
            endings,
            wanted,
            receivers: Mutex::new(Some((reading, ended))),
        })
    }

    /// Counts the endpoints that are disabled, for the figures.
    ///
    /// # Errors
    /// As every intent.
    pub async fn count_disabled(&self, call: &Call) -> mainstay_store::Result<()> {
        self.figures.closed(self.store.run(call, CountDisabledEndpoints).await?);
        Ok(())
    }

    /// Forgets a bite of what has been kept long enough. The answer is how much there was.
    ///
    /// # Errors
    /// As every intent.
    pub async fn sweep(&self, call: &Call, now: Timestamp) -> mainstay_store::Result<usize> {
        let before = now.minus(self.kept);
        self.store.forget_deliveries(call, before, before.minus(EVENTS_LAST_LONGER)).await
    }
}

/// Starts what reads deliveries and ends attempts, before the first job is claimed.
pub fn start(app: &Arc<App>) {
    let receivers = app.deliveries.receivers.lock().unwrap_or_else(PoisonError::into_inner).take();
    let Some((wanted, ended)) = receivers else { return };
    let reader = Arc::clone(&app.deliveries);
    app.lifecycle.spawn_until_drained("delivery reading", async move { reader.read_all(wanted).await });
    let ender = Arc::clone(&app.deliveries);
    app.lifecycle.spawn_until_drained("delivery endings", async move { ender.end_all(ended).await });
}

/// Makes a delivery.
pub(crate) async fn deliver(app: Weak<App>, context: JobContext, _: Deliver) -> JobResult {
    // The app is not held while the other side takes its time.
    let Some(deliveries) = app.upgrade().map(|app| Arc::clone(&app.deliveries)) else {
        return Ok(Done::Snoozed(STOPPING));
    };
    deliveries.deliver(&context).await
}

/// Takes a bite of a replay.
pub(crate) async fn replay(app: Weak<App>, context: JobContext, job: Replaying) -> JobResult {
    let Some(app) = app.upgrade() else { return Ok(Done::Snoozed(STOPPING)) };
    let bite = ReplayBite { replay: job.0, fence: context.fence, now: app.clock.now() };
    app.store.run_for_jobs(&context.call(), bite).await?;
    Ok(Done::Settled)
}

/// Cancels a bite of what waits for an endpoint.
pub(crate) async fn cancel(app: Weak<App>, context: JobContext, job: CancellingAll) -> JobResult {
    let Some(app) = app.upgrade() else { return Ok(Done::Snoozed(STOPPING)) };
    let bite = CancelBite { cancelling: job.0, fence: context.fence, now: app.clock.now() };
    let all = app.store.run_for_jobs(&context.call(), bite).await?;
    Ok(if all { Done::Settled } else { Done::Snoozed(NEXT_BITE) })
}
