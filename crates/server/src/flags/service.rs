//! The verbs, and the definitions in memory. They are read when the node begins, when the counter of changes has moved
//! (looked at twice a second, with the leases of the nodes), and once a minute in any case. While they cannot be read, the
//! last ones hold.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use mainstay_domain::{
    Error, EventName, ExperimentState, FieldFault, PersonId, Result, TenantId, Timestamp, VariantName,
};
use mainstay_store::{
    Call, Definitions, Exposure, LoadDefinitions, Outcome, RecordOutcomes, ResultsOf, Store, StoredExperiment,
    StoredFlag,
};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::registry::Registry;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};
use uuid::Uuid;

use super::assignment;
use super::exposures::{Exposures, Flushed};
use super::results::Results;
use crate::accounts::Member;
use crate::app::App;
use crate::config;
use crate::ops::metrics::{counter, gauge};

/// How long reading the definitions may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often they are read in any case.
const REREAD: Duration = Duration::from_secs(60);
/// How long it is waited after a reading that failed.
const AGAIN: Duration = Duration::from_secs(1);
/// How long exposures wait for company.
const WRITE_EVERY: Duration = Duration::from_secs(1);
/// How old an outcome may be that a client tells of.
const OLDEST: Duration = Duration::from_secs(30 * 86_400);
/// How far a client's clock may go ahead.
const AHEAD: Duration = Duration::from_secs(300);
/// The largest value of an event, on both sides of zero: a double still tells millionths apart.
const LARGEST: f64 = 1e9;

/// The definitions that a node goes by.
#[derive(Debug, Default)]
pub struct Catalogue {
    version: i64,
    flags: BTreeMap<String, StoredFlag>,
    experiments: Vec<StoredExperiment>,
}

impl From<Definitions> for Catalogue {
    fn from(definitions: Definitions) -> Self {
        let Definitions { version, flags, experiments } = definitions;
        Self { version, flags: flags.into_iter().map(|flag| (flag.key.to_string(), flag)).collect(), experiments }
    }
}

/// What somebody gets.
#[derive(Debug, PartialEq, Eq)]
pub struct Evaluated<'a> {
    /// Each flag, by key.
    pub flags: Vec<(&'a str, bool)>,
    /// The variant of each experiment that they take part in, or whose winner everybody gets.
    pub experiments: Vec<(&'a str, &'a VariantName)>,
}

impl Catalogue {
    /// How often the definitions had been changed when they were read.
    #[must_use]
    pub fn version(&self) -> i64 {
        self.version
    }

    /// Whether a flag is on for somebody. One that is not known is off.
    #[must_use]
    pub fn is_on(&self, key: &str, tenant: TenantId, person: PersonId) -> bool {
        self.flags.get(key).is_some_and(|stored| {
            !stored.killed && assignment::is_on(stored.key.as_str(), &stored.flag, tenant, person)
        })
    }

    /// The variant of an experiment for somebody: while it runs the one that they are assigned, after it the winner.
    #[must_use]
    pub fn variant(&self, key: &str, tenant: TenantId, person: PersonId) -> Option<&VariantName> {
        variant(self.experiments.iter().find(|one| one.key.as_str() == key)?, tenant, person)
    }

    /// Everything that somebody gets.
    #[must_use]
    pub fn evaluate(&self, tenant: TenantId, person: PersonId) -> Evaluated<'_> {
        let flags = self.flags.keys().map(|key| (key.as_str(), self.is_on(key, tenant, person)));
        let experiments = self.experiments.iter();
        let experiments = experiments.filter_map(|one| Some((one.key.as_str(), variant(one, tenant, person)?)));
        Evaluated { flags: flags.collect(), experiments: experiments.collect() }
    }

    /// All experiments.
    #[must_use]
    pub fn experiments(&self) -> &[StoredExperiment] {
        &self.experiments
    }

    fn running(&self) -> impl Iterator<Item = &StoredExperiment> {
        self.experiments.iter().filter(|one| one.state == ExperimentState::Running)
    }
}

fn variant(stored: &StoredExperiment, tenant: TenantId, person: PersonId) -> Option<&VariantName> {
    match stored.state {
        ExperimentState::Draft => None,
        ExperimentState::Running => {
            let place = assigned(stored, tenant, person)?;
            stored.experiment.variants.get(place).map(|variant| &variant.name)
        }
        ExperimentState::Stopped => stored.winner.as_ref(),
    }
}

fn assigned(stored: &StoredExperiment, tenant: TenantId, person: PersonId) -> Option<usize> {
    let unit = assignment::unit(stored.experiment.unit, tenant, person);
    assignment::variant(stored.id, &stored.experiment, unit)
}

/// Something that a person did, as a client tells of it.
#[derive(Clone, Debug)]
pub struct Event {
    /// The id that the client has given to it.
    pub id: Uuid,
    /// What.
    pub name: EventName,
    /// How much.
    pub value: f64,
    /// When; the present moment when it is left out.
    pub at: Option<Timestamp>,
}

/// Flags and experiments of this node.
pub struct Flags {
    store: Store,
    catalogue: watch::Sender<Arc<Catalogue>>,
    outdated: Notify,
    exposures: Exposures,
}

impl Flags {
    /// Nothing is known yet, so every flag is off.
    #[must_use]
    pub fn new(settings: &config::Flags, store: Store) -> Self {
        let (catalogue, _) = watch::channel(Arc::default());
        Self { store, catalogue, outdated: Notify::new(), exposures: Exposures::new(settings) }
    }

    /// The definitions as this node knows them.
    #[must_use]
    pub fn catalogue(&self) -> Arc<Catalogue> {
        Arc::clone(&self.catalogue.borrow())
    }

    /// Follows the definitions.
    #[must_use]
    pub fn follow(&self) -> watch::Receiver<Arc<Catalogue>> {
        self.catalogue.subscribe()
    }

    /// Whether a flag is on for somebody. One that is not known is off.
    #[must_use]
    pub fn is_on(&self, key: &str, tenant: TenantId, person: PersonId) -> bool {
        self.catalogue.borrow().is_on(key, tenant, person)
    }

    /// Tells how often the definitions have been changed. When that is not what this node has read, it reads them.
    pub fn changed(&self, version: i64) {
        if self.catalogue.borrow().version != version {
            self.outdated.notify_one();
        }
    }

    /// Reads the definitions.
    ///
    /// # Errors
    /// As the store.
    pub async fn load(&self, call: &Call) -> Result<()> {
        let definitions = self.store.run(call, LoadDefinitions).await?;
        // A receiver hears only of what is new.
        self.catalogue.send_if_modified(|known| {
            let changed = known.version != definitions.version;
            *known = Arc::new(Catalogue::from(definitions));
            changed
        });
        Ok(())
    }

    /// Notes that somebody was shown their variant of an experiment. The answer is the variant; nothing when they take no
    /// part. It is noted only while the experiment runs, and once for each unit.
    ///
    /// # Errors
    /// `not_found` for an experiment that is not known; `overloaded`.
    pub fn expose(&self, by: &Member, key: &str, at: Timestamp) -> Result<Option<VariantName>> {
        let catalogue = self.catalogue();
        let found = catalogue.experiments.iter().find(|one| one.key.as_str() == key);
        let stored = found.filter(|one| one.state != ExperimentState::Draft);
        let stored = stored.ok_or_else(|| Error::not_found("experiment"))?;
        if stored.state == ExperimentState::Running
            && let Some(variant) = assigned(stored, by.tenant, by.person)
        {
            let unit = assignment::unit(stored.experiment.unit, by.tenant, by.person);
            self.exposures.add(Exposure { experiment: stored.id, tenant: by.tenant, unit, variant, at })?;
        }
        Ok(variant(stored, by.tenant, by.person).cloned())
    }

    /// Records what somebody did, each event once for each running experiment that counts it and that they take part in.
    /// The answer is how many of the events were of use.
    ///
    /// # Errors
    /// `invalid_input`; as the store.
    pub async fn record(&self, call: &Call, by: &Member, events: &[Event], now: Timestamp) -> Result<usize> {
        let faults: Vec<_> = events.iter().enumerate().filter_map(|(place, event)| fault(place, event, now)).collect();
        if !faults.is_empty() {
            return Err(Error::invalid(faults));
        }
        let catalogue = self.catalogue();
        let (mut outcomes, mut of_use) = (Vec::new(), 0);
        for event in events {
            let before = outcomes.len();
            let counted = catalogue.running().filter(|one| one.experiment.metric == event.name);
            outcomes.extend(counted.filter(|one| assigned(one, by.tenant, by.person).is_some()).map(|one| Outcome {
                experiment: one.id,
                unit: assignment::unit(one.experiment.unit, by.tenant, by.person),
                event: event.id,
                value: event.value,
                at: event.at.map_or(now, |at| at.min(now)),
            }));
            of_use += usize::from(outcomes.len() > before);
        }
        if !outcomes.is_empty() {
            self.store.run(call, RecordOutcomes { tenant: by.tenant, person: by.person, outcomes }).await?;
        }
        Ok(of_use)
    }

    /// What an experiment has found so far, over all organisations.
    ///
    /// # Errors
    /// As the store.
    pub async fn results(&self, call: &Call, stored: &StoredExperiment, now: Timestamp) -> Result<Results> {
        let figures = self.store.run(call, ResultsOf(stored.id)).await?;
        Ok(Results::new(stored, &figures, now))
    }

    /// Writes the exposures that wait.
    pub async fn flush(&self) {
        self.exposures.flush(&self.store).await;
    }

    async fn keep_reading(&self) {
        loop {
            tokio::select! {
                () = self.outdated.notified() => {}
                () = sleep(REREAD) => {}
            }
            if let Err(error) = self.load(&Call::within(PATIENCE)).await {
                tracing::warn!(%error, "flags cannot be read; the last ones hold, and it is tried again");
                sleep(AGAIN).await;
                self.outdated.notify_one();
            }
        }
    }

    async fn keep_writing(&self) {
        let mut ticks = interval(WRITE_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            while self.exposures.flush(&self.store).await == Flushed::All {
                tokio::select! {
                    () = self.exposures.enough() => {}
                    _ = ticks.tick() => {}
                }
            }
        }
    }

    /// The last ones, when nobody asks any more.
    async fn write_the_rest(&self) {
        let until = Instant::now() + PATIENCE;
        while self.exposures.flush(&self.store).await == Flushed::Later && Instant::now() < until {
            sleep(Duration::from_millis(100)).await;
        }
        let (left, ..) = self.exposures.figures();
        if left > 0 {
            tracing::error!(left, "exposures could not be written before the end, and are lost");
        }
    }

    /// Adds the figures.
    pub fn register(self: &Arc<Self>, registry: &mut Registry) {
        registry.register_collector(Box::new(Figures(Arc::clone(self))));
    }
}

fn fault(place: usize, event: &Event, now: Timestamp) -> Option<FieldFault> {
    let field = |name: &str| format!("events[{place}].{name}");
    if !event.value.is_finite() || event.value.abs() > LARGEST {
        let detail = "A value is a number from -1000000000 to 1000000000.";
        return Some(FieldFault::new(field("value"), "out_of_range", detail));
    }
    let at = event.at?;
    let in_time = at >= now.minus(OLDEST) && at <= now.plus(AHEAD);
    (!in_time).then(|| {
        let detail = "It must not be more than 30 days ago, or in the future. Leave it out for what happens now.";
        FieldFault::new(field("at"), "out_of_range", detail)
    })
}

/// Reads the definitions for the first time, and starts what keeps them and what writes exposures.
///
/// # Errors
/// When they cannot be read.
pub async fn start(app: &Arc<App>) -> Result<()> {
    app.flags.load(&Call::within(PATIENCE)).await?;
    let reading = Arc::clone(&app.flags);
    app.lifecycle.spawn_until_drained("flags", async move { reading.keep_reading().await });
    let (writing, stopped) = (Arc::clone(&app.flags), app.lifecycle.drained());
    app.lifecycle.spawn("exposures", async move {
        tokio::select! {
            () = writing.keep_writing() => {}
            () = stopped => writing.write_the_rest().await,
        }
    });
    Ok(())
}

struct Figures(Arc<Flags>);

impl std::fmt::Debug for Figures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Figures")
    }
}

impl Collector for Figures {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> std::fmt::Result {
        let encoder = &mut encoder;
        let (waiting, written, lost) = self.0.exposures.figures();
        let version = usize::try_from(self.0.catalogue().version).unwrap_or(0);
        gauge(encoder, "flags_version", "How often flags and experiments were changed before they were read", version)?;
        gauge(encoder, "exposures_waiting", "Exposures that are not written yet", waiting)?;
        counter(encoder, "exposures_written", "Exposures that were written", written)?;
        counter(encoder, "exposures_lost", "Exposures that could not be written", lost)
    }
}
