//! Calendars of others: Google's both ways, and feeds for everybody else.
//!
//! What is owed to a calendar is promised by the transaction that changes an appointment; jobs write it, read what has
//! changed, and look after what was left. How it is kept is in the store's `calendars`; `docs/calendars.md` tells users.

pub mod api;
mod connecting;
mod events;
mod fault;
mod feeds;
mod figures;
mod reading;
mod resolving;
mod watching;
mod writing;

use std::fmt::Display;
use std::sync::{Arc, Weak};
use std::time::Duration;

use mainstay_domain::{Clock, Entropy, Ids, Result, Schedule, Secret};
use mainstay_jobs::{Done, Failure, Job, JobContext, JobResult, Missed, Promise, Queue, Scheduled};
use mainstay_store::{
    CALENDAR_ATTEMPTS, CALENDAR_READ_KIND, CALENDAR_WRITE_KIND, CALENDARS, CalendarConnection, CalendarFailed,
    CalendarRead, CalendarStates, CalendarWrite, CountCalendars, FindNeglected, Neglected, PromiseNeglected,
    QueueLimits, SealedColumn, Store,
};
use prometheus_client::registry::Registry;
use serde::{Deserialize, Serialize};

use crate::app::{App, Outside};
use crate::config::{Config, GoogleCalendar};
use crate::google::{Fault, GoogleApi, Use};
use crate::keys::{Keys, Place};
use figures::CalendarFigures;

/// How long a job waits that could not read or store what it needs, or whose work goes on changing.
const LATER: Duration = Duration::from_secs(1);
/// How many jobs ask for one calendar at once, over all nodes.
const PER_CALENDAR: u32 = 4;
/// How long one attempt may take: a whole calendar has many pages.
const LONGEST: Duration = Duration::from_secs(300);
/// The longest wait between two attempts, before jitter.
const LONGEST_WAIT: Duration = Duration::from_secs(300);
/// How often what was left is looked for.
const UPKEEP: Duration = Duration::from_secs(60);
/// How old what is owed must be to have been left: its job is there, if anything is.
const LEFT: Duration = Duration::from_secs(60);
/// How much is promised at once.
const BITE: u32 = 500;
/// How long a job waits when the server stops.
const STOPPING: Duration = Duration::from_secs(1);
/// From when on a calendar that fails, or one whose account is left unconnected, is looked at by the audit.
pub(crate) const TOO_LONG: Duration = Duration::from_secs(86_400);

/// 1 s after the first attempt, then twice as long each time, at most five minutes: an outage is over at some moment.
fn backoff(attempt: u32) -> Duration {
    Duration::from_secs(1 << attempt.saturating_sub(1).min(9)).min(LONGEST_WAIT)
}

/// An appointment is written into a calendar.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct WriteEntry(CalendarWrite);

impl Job for WriteEntry {
    const KIND: &'static str = CALENDAR_WRITE_KIND;
    const QUEUE: &'static str = CALENDARS;
    const MOST_ATTEMPTS: u32 = CALENDAR_ATTEMPTS;
    const DEADLINE: Duration = LONGEST;

    fn backoff(attempt: u32) -> Duration {
        backoff(attempt)
    }
}

/// A calendar is read.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ReadCalendar(CalendarRead);

impl Job for ReadCalendar {
    const KIND: &'static str = CALENDAR_READ_KIND;
    const QUEUE: &'static str = CALENDARS;
    const MOST_ATTEMPTS: u32 = CALENDAR_ATTEMPTS;
    const DEADLINE: Duration = LONGEST;

    fn backoff(attempt: u32) -> Duration {
        backoff(attempt)
    }
}

/// What was left is promised anew: calendars that nobody has read for a while, and entries without a job.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct LookAfterCalendars {}

impl Job for LookAfterCalendars {
    const KIND: &'static str = "calendar_upkeep";
    const QUEUE: &'static str = CALENDARS;
    const MOST_ATTEMPTS: u32 = 3;
}

/// The queue of calendars: a lane for each.
#[must_use]
pub fn queue(config: &Config) -> Queue {
    let limits = QueueLimits { running_per_group: Some(PER_CALENDAR), ..QueueLimits::default() };
    Queue { name: CALENDARS, slots: config.jobs.slots, limits, oldest: config.jobs.oldest() }
}

/// When what was left is looked for; nothing where no calendar can be connected.
#[must_use]
pub fn schedules(config: &Config) -> Vec<Scheduled> {
    if !config.calendars.google.is_set_up() {
        return Vec::new();
    }
    let promise = |id, now| Ok(Promise::of(id, &LookAfterCalendars {}, now)?.unique("only one"));
    let schedule = Schedule::every(UPKEEP).ok();
    let of =
        |schedule| Scheduled { name: "calendar upkeep", schedule, missed: Missed::Latest, promise: Arc::new(promise) };
    schedule.map(of).into_iter().collect()
}

/// The largest answer that is read, in bytes: a page of a thousand events.
const LARGEST: usize = 8 * 1024 * 1024;
/// What is asked for: to write events, and to read calendars and which there are.
const SCOPES: &str =
    "https://www.googleapis.com/auth/calendar.events https://www.googleapis.com/auth/calendar.readonly";

/// Google's API of calendars.
fn google_api(settings: &GoogleCalendar) -> Use<'_> {
    Use {
        name: "google_calendar",
        scopes: SCOPES,
        api_url: &settings.api_url,
        first_byte: settings.first_byte_timeout(),
        largest: LARGEST,
    }
}

/// The calendars of every organisation, as this node sees them.
pub struct Calendars {
    store: Store,
    keys: Arc<Keys>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    ids: Ids,
    google: Option<GoogleApi>,
    poll: Duration,
    /// Where people reach this server.
    address: String,
    figures: CalendarFigures,
}

impl Calendars {
    /// Makes it ready.
    ///
    /// # Errors
    /// When the HTTP client cannot be made.
    pub fn new(
        config: &Config,
        (store, keys): (&Store, &Arc<Keys>),
        (outside, ids): (&Outside, &Ids),
        registry: &mut Registry,
    ) -> Result<Self> {
        let clock = Arc::clone(&outside.clock);
        Ok(Self {
            store: store.clone(),
            keys: Arc::clone(keys),
            google: GoogleApi::new(
                &google_api(&config.calendars.google),
                &config.calendars.google,
                &config.providers,
                Arc::clone(&clock),
            )?,
            clock,
            entropy: Arc::clone(&outside.entropy),
            ids: ids.clone(),
            poll: config.calendars.poll(),
            address: config.http.public_address(config.http.port),
            figures: CalendarFigures::register(registry),
        })
    }

    /// Google's API, where it is set up.
    pub(crate) const fn api(&self) -> Option<&GoogleApi> {
        self.google.as_ref()
    }

    fn google(&self) -> std::result::Result<&GoogleApi, Fault> {
        let missing = || Fault::Passing("calendars.google.client_id is not set".to_owned());
        self.google.as_ref().ok_or_else(missing)
    }

    fn place(connection: &CalendarConnection) -> Place {
        Place { column: SealedColumn::CalendarToken, tenant: connection.tenant, row: connection.id.uuid() }
    }

    /// The secret by which an account is asked. A key that is missing here may come.
    fn refresh_token(&self, connection: &CalendarConnection) -> std::result::Result<Secret, Fault> {
        let opened = self.keys.open(Self::place(connection), &connection.token);
        opened.map_err(|error| {
            tracing::warn!(?error, connection = %connection.id, "a calendar waits for a key");
            Fault::Passing("its token cannot be opened here: the key is missing".to_owned())
        })
    }

    /// What follows from a calendar that could not be read or written: what is known of it stays, and is told to be old;
    /// what is owed to it stays owed.
    async fn failed(&self, context: &JobContext, connection: &CalendarConnection, fault: Fault) -> JobResult {
        let failed = CalendarFailed {
            tenant: connection.tenant,
            id: connection.id,
            reconnect: matches!(fault, Fault::Reconnect(_)),
            error: fault.words(),
            now: self.clock.now(),
        };
        if let Err(error) = self.store.run_for_jobs(&context.call(), failed).await {
            return Ok(self.later(&error));
        }
        match fault {
            // Everything waits for the account.
            Fault::Reconnect(_) => Ok(Done::Finished),
            Fault::Away(wait) | Fault::Busy(Some(wait)) => Ok(Done::Snoozed(self.spread(wait))),
            Fault::Busy(None) | Fault::Passing(_) | Fault::Refused(..) => {
                Err(Failure::new(format_args!("Google has not done it ({})", fault.code())).because(fault.words()))
            }
        }
    }

    /// What fails on our side is no attempt.
    fn later(&self, error: &dyn Display) -> Done {
        tracing::warn!(%error, "a calendar is put off for a moment");
        Done::Snoozed(self.spread(LATER))
    }

    /// A wait, and by chance up to as long again, so that what waits together does not come together.
    fn spread(&self, wait: Duration) -> Duration {
        wait.max(LATER).mul_f64(1.0 + self.entropy.fraction())
    }

    /// Promises what was left, and counts how all calendars are.
    async fn look_after(&self, context: &JobContext) -> JobResult {
        let now = self.clock.now();
        let find = FindNeglected { unread_since: now.minus(self.poll), owed_since: now.minus(LEFT), limit: BITE };
        let neglected = self.store.run_for_jobs(&context.call(), find).await?;
        // What is promised is found again until it has begun, so one bite at a time is enough.
        if neglected != Neglected::default() {
            self.store.run_for_jobs(&context.call(), PromiseNeglected { neglected, now }).await?;
        }
        self.figures.states(&self.states(context.call()).await?, now);
        Ok(Done::Finished)
    }

    /// How the calendars of all organisations are.
    pub(crate) async fn states(&self, call: mainstay_store::Call) -> mainstay_store::Result<CalendarStates> {
        let now = self.clock.now();
        self.store.run(&call, CountCalendars { before: now.minus(TOO_LONG), now }).await
    }
}

/// Writes one appointment into one calendar.
pub(crate) async fn write(app: Weak<App>, context: JobContext, job: WriteEntry) -> JobResult {
    let Some(app) = app.upgrade() else { return Ok(Done::Snoozed(STOPPING)) };
    app.calendars.write(&context, job.0).await
}

/// Reads one calendar.
pub(crate) async fn read(app: Weak<App>, context: JobContext, job: ReadCalendar) -> JobResult {
    let Some(app) = app.upgrade() else { return Ok(Done::Snoozed(STOPPING)) };
    app.calendars.read(&context, job.0).await
}

/// Looks for what was left.
pub(crate) async fn look_after(app: Weak<App>, context: JobContext, _: LookAfterCalendars) -> JobResult {
    let Some(app) = app.upgrade() else { return Ok(Done::Snoozed(STOPPING)) };
    app.calendars.look_after(&context).await.map_err(|failure: Failure| failure)
}
