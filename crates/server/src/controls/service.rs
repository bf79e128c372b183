//! The verbs, and what this node knows to be set.
//!
//! Lives in one process: the last reading. Every node reads for itself, every two seconds.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mainstay_domain::{Clock, ControlReason, ControlSpan, Entropy, Error, Kind, Result, Timestamp};
use mainstay_jobs::Gate;
use mainstay_store::{
    Call, ChangeControl, ControlAuthor, ControlChange, FindPerson, ListControlChanges, ListControls, Store,
    StoredControl,
};
use prometheus_client::registry::Registry;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use uuid::Uuid;

use super::SWITCHED_OFF;
use super::control::{Catalogue, Control, Part};
use super::figures::Figures;
use super::snapshot::{Active, Snapshot};
use crate::accounts::Member;
use crate::app::App;
use crate::limits::Class;
use crate::locking::lock;

/// When a caller comes back to a part that is off, at most: it may be turned on before its time.
const COME_BACK: Duration = Duration::from_secs(60);
/// By how much of itself that is spread.
const SPREAD: f64 = 0.25;

/// What this node knows to be set.
pub struct Controls {
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    catalogue: Catalogue,
    snapshot: watch::Sender<Arc<Snapshot>>,
    /// Whether there is anything in the snapshot: all that a request looks at while nothing is set.
    any: AtomicBool,
    /// When it was read last.
    read_at: Mutex<Option<Instant>>,
    /// Something was set here.
    pub(super) outdated: Notify,
    pub(super) figures: Figures,
}

impl std::fmt::Debug for Controls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Controls").field("snapshot", &self.snapshot.borrow()).finish_non_exhaustive()
    }
}

impl Controls {
    /// Nothing is known to be set yet.
    #[must_use]
    pub fn new(
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        catalogue: Catalogue,
        registry: &mut Registry,
    ) -> Arc<Self> {
        let (snapshot, _) = watch::channel(Arc::default());
        let (any, read_at) = (AtomicBool::new(false), Mutex::new(None));
        let figures = Figures::register(registry);
        let outdated = Notify::new();
        let controls = Arc::new(Self { clock, entropy, catalogue, snapshot, any, read_at, outdated, figures });
        super::figures::collect(Arc::clone(&controls), registry);
        controls
    }

    /// All controls that there are.
    #[must_use]
    pub const fn catalogue(&self) -> &Catalogue {
        &self.catalogue
    }

    /// Follows what is set. It hears of each reading that differs from the one before.
    #[must_use]
    pub fn follow(&self) -> watch::Receiver<Arc<Snapshot>> {
        self.snapshot.subscribe()
    }

    /// Looks something up in the last reading; nothing when nothing is set.
    fn look<T>(&self, look: impl FnOnce(&Snapshot, Timestamp) -> Option<T>) -> Option<T> {
        if !self.any.load(Ordering::Acquire) {
            return None;
        }
        look(&self.snapshot.borrow(), self.clock.now())
    }

    /// What holds now.
    #[must_use]
    pub fn in_force(&self) -> Vec<Active> {
        self.look(|snapshot, now| Some(snapshot.in_force(now).copied().collect())).unwrap_or_default()
    }

    /// What a control with a number is set to.
    #[must_use]
    pub fn number(&self, control: Control) -> Option<u32> {
        self.look(|snapshot, now| snapshot.number(control, now))
    }

    /// The limit of one person for a class, or of one address for the class public.
    #[must_use]
    pub fn limit(&self, class: Class, configured: u32) -> u32 {
        self.look(|snapshot, now| Some(snapshot.limit(class, configured, now))).unwrap_or(configured)
    }

    /// A limit by the factors alone; without a class it is one on everything that somebody does.
    #[must_use]
    pub fn scaled(&self, class: Option<Class>, configured: u32) -> u32 {
        self.look(|snapshot, now| Some(snapshot.scaled(class, configured, now))).unwrap_or(configured)
    }

    /// Until when a part is off; nothing while it is on.
    #[must_use]
    pub fn off_until(&self, part: Part) -> Option<Timestamp> {
        self.look(|snapshot, now| snapshot.find(Control::Off(part), now)).map(|active| active.until)
    }

    /// Until when the jobs of a queue are not begun; nothing while they are.
    #[must_use]
    pub fn queue_off(&self, queue: &str) -> Option<Timestamp> {
        self.look(|snapshot, now| snapshot.queue_off(queue, now))
    }

    /// Refuses what belongs to a part that is off.
    ///
    /// # Errors
    /// `switched_off`, with when to come back.
    pub fn check(&self, part: Part) -> Result<()> {
        let Some(until) = self.off_until(part) else { return Ok(()) };
        self.figures.refused(part);
        let told = part.told();
        let detail = format!("{told} switched off until {until} by whoever runs this service. Come back later.");
        Err(Error::new(Kind::Unavailable, SWITCHED_OFF, detail).retry_after(self.wait(until)))
    }

    /// When to come back to what is off until then: soon enough to see that it was turned on before its time.
    pub(super) fn wait(&self, until: Timestamp) -> Duration {
        let left = until.since(self.clock.now()).min(COME_BACK);
        left.mul_f64(1.0 + SPREAD * self.entropy.fraction())
    }

    /// How long ago it was read what is set; nothing when it never was.
    #[must_use]
    pub fn age(&self) -> Option<Duration> {
        lock(&self.read_at).map(|at| at.elapsed())
    }

    /// Reads what is set: the answer is all of it, also what this version does not know.
    ///
    /// # Errors
    /// As the store. The last reading holds.
    pub async fn read(&self, store: &Store, call: &Call) -> Result<Vec<StoredControl>> {
        let begun = Instant::now();
        let stored = store.run(call, ListControls { now: self.clock.now() }).await?;
        let read = Snapshot::new(stored.iter().filter_map(|one| self.understood(one)).collect());
        let mut newest = lock(&self.read_at);
        // Two readings may cross: the one that began later counts.
        if newest.is_some_and(|at| at > begun) {
            return Ok(stored);
        }
        *newest = Some(begun);
        let is_new = **self.snapshot.borrow() != read;
        if is_new {
            self.tell_unknown(&stored);
            self.figures.changed();
            self.any.store(!read.is_empty(), Ordering::Release);
            self.snapshot.send_replace(Arc::new(read));
        }
        drop(newest);
        Ok(stored)
    }

    fn understood(&self, stored: &StoredControl) -> Option<Active> {
        let control = self.catalogue.known(&stored.name)?;
        let setting = control.setting(&stored.value).ok()?;
        Some(Active { control, setting, until: stored.expires_at })
    }

    /// A newer version may know what this one does not.
    fn tell_unknown(&self, stored: &[StoredControl]) {
        for one in stored.iter().filter(|one| self.understood(one).is_none()) {
            let (name, value) = (&one.name, &one.value);
            tracing::warn!(name, value, "a control is set that this version does not know; it does nothing here");
        }
    }
}

/// The worker of this node begins no job of a queue that is off.
impl Gate for Controls {
    fn is_open(&self, queue: &'static str) -> bool {
        self.queue_off(queue).is_none()
    }
}

/// Something to be set.
#[derive(Clone, Debug)]
pub struct Setting {
    /// Of what.
    pub name: String,
    /// To what.
    pub value: String,
    /// For how long.
    pub span: ControlSpan,
    /// Why.
    pub reason: ControlReason,
}

/// Sets something, in place of what was set before. Nodes go by it within five seconds, this one at once.
///
/// # Errors
/// `invalid_input` for a name or a value that is none; as the store.
pub async fn set(app: &App, call: &Call, by: ControlAuthor, set: Setting) -> Result<StoredControl> {
    let control = app.controls.catalogue.find(&set.name)?;
    let value = control.setting(&set.value)?.to_string();
    let now = app.clock.now();
    let expires_at = now.plus(set.span.duration());
    let change = ChangeControl {
        id: entry(app),
        name: set.name.clone(),
        to: Some((value, expires_at)),
        reason: set.reason.as_str().to_owned(),
        author: by,
        now,
    };
    tracing::warn!(name = set.name, value = set.value, by = by_whom(&change.author), %expires_at, "a control is set");
    app.store.run(call, change).await?;
    let stored = after(app, call).await?.into_iter().find(|one| one.name == set.name);
    stored.ok_or_else(|| Error::new(Kind::Conflict, "conflict", "Somebody else has cleared it at the same moment."))
}

/// Who it is, for the log: a person by their id, as their name there is their address.
fn by_whom(author: &ControlAuthor) -> String {
    author.person.map_or_else(|| author.name.clone(), |person| person.uuid().to_string())
}

/// Clears what is set.
///
/// # Errors
/// `invalid_input` for a name that is none; `not_found` when it is not set; as the store.
pub async fn clear(app: &App, call: &Call, by: ControlAuthor, name: &str, reason: &ControlReason) -> Result<()> {
    // What a newer version has set can be cleared by this one.
    if app.controls.catalogue.known(name).is_none() && !list(app, call).await?.iter().any(|one| one.name == name) {
        app.controls.catalogue.find(name)?;
    }
    let change = ChangeControl {
        id: entry(app),
        name: name.to_owned(),
        to: None,
        reason: reason.as_str().to_owned(),
        author: by,
        now: app.clock.now(),
    };
    tracing::warn!(name, by = by_whom(&change.author), "a control is cleared");
    if !app.store.run(call, change).await? {
        return Err(Error::new(Kind::NotFound, "not_found", format!("{name} is not set.")));
    }
    after(app, call).await?;
    Ok(())
}

/// An id of the trail.
fn entry(app: &App) -> Uuid {
    app.ids.make()
}

/// This node goes by what was set, and the answer is all of it.
async fn after(app: &App, call: &Call) -> Result<Vec<StoredControl>> {
    let stored = app.controls.read(&app.store, call).await?;
    app.controls.outdated.notify_one();
    Ok(stored)
}

/// Lists what is set.
///
/// # Errors
/// As the store.
pub async fn list(app: &App, call: &Call) -> Result<Vec<StoredControl>> {
    Ok(app.store.run(call, ListControls { now: app.clock.now() }).await?)
}

/// Lists the trail, the last change first.
///
/// # Errors
/// As the store.
pub async fn changes(app: &App, call: &Call, before: Option<Uuid>, limit: u32) -> Result<Vec<ControlChange>> {
    Ok(app.store.run(call, ListControlChanges { before, limit }).await?)
}

/// An operator as the author of a change.
///
/// # Errors
/// As the store.
pub async fn author(app: &App, call: &Call, by: &Member) -> Result<ControlAuthor> {
    let person = app.store.run(call, FindPerson(by.person)).await?;
    let email = person.and_then(|person| person.email);
    Ok(ControlAuthor { person: Some(by.person), name: email.unwrap_or_else(|| by.person.to_string()) })
}
