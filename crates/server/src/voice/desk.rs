//! Lives in one process: the voice sessions of this node, the places that they hold, and who waits to be resumed. Places
//! themselves are leases in the database: what is here only renews them and gives them back.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mainstay_domain::{Clock, PersonId, Result, TenantId};
use mainstay_store::{Call, ReleaseLease, RenewVoicePlaces, Store, TakeVoicePlace};
use prometheus_client::registry::Registry;
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::figures::{Read, VoiceFigures};
use super::line::Line;
use super::speech::{Speech, SpeechFigures};
use crate::app::App;
use crate::config::Config;
use crate::lifecycle::Lifecycle;
use crate::locking::lock;

/// How long a statement may take.
const PATIENCE: Duration = Duration::from_secs(3);
/// Places that are renewed in one statement.
const RENEWED_AT_ONCE: usize = 500;

/// The voice sessions of this node.
pub struct Desk {
    pub(super) speech: Speech,
    pub(super) figures: VoiceFigures,
    store: Store,
    clock: Arc<dyn Clock>,
    lifecycle: Lifecycle,
    lease: Duration,
    sessions: Mutex<HashMap<String, Known>>,
    open: AtomicUsize,
    waiting: AtomicUsize,
    places: Mutex<HashMap<i64, (String, CancellationToken)>>,
}

/// How a session is reached by a line that wants to resume it.
struct Known {
    owner: (TenantId, PersonId),
    lines: mpsc::Sender<Line>,
}

impl Desk {
    /// The desk of this node, without sessions.
    ///
    /// # Errors
    /// When a setting of a provider cannot be used.
    pub fn new(
        config: &Config,
        (store, clock, lifecycle): (&Store, &Arc<dyn Clock>, &Lifecycle),
        metrics: &mut Registry,
    ) -> Result<Arc<Self>> {
        let desk = Arc::new(Self {
            speech: Speech::new(config, &SpeechFigures::register(metrics))?,
            figures: VoiceFigures::register(metrics),
            store: store.clone(),
            clock: Arc::clone(clock),
            lifecycle: lifecycle.clone(),
            lease: config.voice.lease(),
            sessions: Mutex::default(),
            open: AtomicUsize::new(0),
            waiting: AtomicUsize::new(0),
            places: Mutex::default(),
        });
        metrics.register_collector(Box::new(Read(Arc::clone(&desk))));
        Ok(desk)
    }

    /// Whether somebody can speak with the assistant here.
    #[must_use]
    pub fn is_set_up(&self) -> bool {
        self.speech.is_set_up()
    }

    /// Sessions, and those of them whose line dropped.
    #[must_use]
    pub fn counts(&self) -> (usize, usize) {
        (self.open.load(Ordering::Relaxed), self.waiting.load(Ordering::Relaxed))
    }

    /// Places that this node holds.
    #[must_use]
    pub fn places(&self) -> usize {
        lock(&self.places).len()
    }

    /// Takes one of the places of a member.
    pub(super) async fn take_place(
        self: &Arc<Self>,
        call: &Call,
        (tenant, person): (TenantId, PersonId),
        places: u32,
    ) -> Result<Option<Place>> {
        let take = TakeVoicePlace { tenant, person, places, now: self.clock.now(), lasts: self.lease };
        let taken = self.store.run(call, take).await?;
        Ok(taken.map(|(name, number)| {
            let lost = CancellationToken::new();
            lock(&self.places).insert(number, (name.clone(), lost.clone()));
            Place { desk: Arc::clone(self), name, number, lost }
        }))
    }

    /// Whether a session of this member can be resumed here by this token.
    pub(super) fn knows(&self, token: &str, owner: (TenantId, PersonId)) -> bool {
        lock(&self.sessions).get(token).is_some_and(|known| known.owner == owner)
    }

    /// Hands a line to the session that it wants to resume. The line comes back where there is none.
    pub(super) async fn hand_over(
        &self,
        token: &str,
        owner: (TenantId, PersonId),
        line: Line,
    ) -> std::result::Result<(), Box<Line>> {
        let known =
            lock(&self.sessions).get(token).filter(|known| known.owner == owner).map(|known| known.lines.clone());
        let Some(lines) = known else { return Err(Box::new(line)) };
        lines.send(line).await.map_err(|refused| Box::new(refused.0))
    }

    /// A session begins, if there is room for it on this node.
    pub(super) fn enter(self: &Arc<Self>, most: usize) -> Option<Seat> {
        let entered =
            self.open.fetch_update(Ordering::AcqRel, Ordering::Acquire, |open| (open < most).then_some(open + 1));
        entered.ok().map(|_| Seat { desk: Arc::clone(self), token: None, waits: false })
    }

    /// Renews the places of this node, for ever. Sessions whose place is lost are told.
    async fn renew(&self) {
        let mut ticks = interval(self.lease / 4);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let held: Vec<_> = lock(&self.places).iter().map(|(number, (name, _))| (name.clone(), *number)).collect();
            for some in held.chunks(RENEWED_AT_ONCE) {
                let renew = RenewVoicePlaces { places: some.to_vec(), now: self.clock.now(), lasts: self.lease };
                match self.store.run(&Call::within(PATIENCE), renew).await {
                    Ok(renewed) => {
                        let places = lock(&self.places);
                        let lost = some.iter().filter(|(_, number)| !renewed.contains(number));
                        for (_, lost) in lost.filter_map(|(_, number)| places.get(number)) {
                            lost.cancel();
                        }
                    }
                    Err(error) => {
                        tracing::warn!(%error, "the places of voice sessions could not be renewed; it is tried again")
                    }
                }
            }
        }
    }
}

/// Starts what runs for as long as the node serves.
pub fn start(app: &Arc<App>) {
    let desk = Arc::clone(&app.voice);
    app.lifecycle.spawn_until_drained("voice places", async move { desk.renew().await });
}

/// The place of a line. It is given back when this is dropped, however the line ends.
pub(super) struct Place {
    desk: Arc<Desk>,
    name: String,
    number: i64,
    /// Somebody else has it.
    pub(super) lost: CancellationToken,
}

impl Drop for Place {
    fn drop(&mut self) {
        lock(&self.desk.places).remove(&self.number);
        let (store, name, number) = (self.desk.store.clone(), std::mem::take(&mut self.name), self.number);
        self.desk.lifecycle.spawn_work("voice place", async move {
            // When this fails the place ends by itself.
            if let Err(error) = store.run(&Call::within(PATIENCE), ReleaseLease { name, number }).await {
                tracing::warn!(%error, "the place of a voice session could not be given back; it ends by itself");
            }
        });
    }
}

/// What counts a session among those of this node, and makes it known. All of it ends when this is dropped.
pub(super) struct Seat {
    desk: Arc<Desk>,
    token: Option<String>,
    waits: bool,
}

impl Seat {
    /// From here on a line can resume the session.
    pub(super) fn make_known(&mut self, token: &str, owner: (TenantId, PersonId), lines: mpsc::Sender<Line>) {
        lock(&self.desk.sessions).insert(token.to_owned(), Known { owner, lines });
        self.token = Some(token.to_owned());
    }

    /// Whether the session waits for a line.
    pub(super) fn set_waiting(&mut self, waits: bool) {
        match (self.waits, waits) {
            (false, true) => drop(self.desk.waiting.fetch_add(1, Ordering::Relaxed)),
            (true, false) => drop(self.desk.waiting.fetch_sub(1, Ordering::Relaxed)),
            _ => {}
        }
        self.waits = waits;
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.set_waiting(false);
        if let Some(token) = &self.token {
            lock(&self.desk.sessions).remove(token);
        }
        self.desk.open.fetch_sub(1, Ordering::AcqRel);
    }
}
