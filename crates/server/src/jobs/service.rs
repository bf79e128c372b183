//! The verbs: what operators do with jobs, over the wire and from the command line. Nobody else may, since jobs are those of
//! all organisations, and their arguments may hold personal data.

use std::time::Duration;

use mainstay_domain::{Error, JobId, JobState, Kind, Result};
use mainstay_jobs::Promise;
use mainstay_store::{
    Call, CancelJob, Cancelled, Enqueue, Enqueued, GetJob, JobFilter, JobLife, JobPage, ListJobs, ListProbes,
    ListSchedules, PauseQueue, ProbeEffects, ReadQueues, ReplayJobs,
};
use uuid::Uuid;

use super::body::QueuesBody;
use crate::app::App;
use crate::ops::probe::Probe;

/// How often it is tried to cancel a job that moves on at the same moment.
const TRIES: u32 = 3;
/// The most jobs that one call begins anew.
pub const MOST_REPLAYED: u32 = 500;
/// The most probes that one call promises.
pub const MOST_PROBES: u32 = 1_000;
/// How the key of each probe begins.
pub const PROBE_PREFIX: &str = "probe/";
/// The most characters of a caller's part of a key.
const MOST_KEY: usize = 100;
/// The longest that a probe may work, in milliseconds.
const LONGEST_WORK: u64 = 30_000;
/// Probes fail at most so often: often enough to be given up, so that dead letters can be tried out.
const MOST_FAILURES: u32 = 100;
/// For how long the same key promises nothing twice.
const KEYS_LAST: Duration = Duration::from_secs(24 * 3600);
/// How many probes are listed at once.
const PROBES_OF_A_PAGE: usize = 1_000;

/// Reads the name of a state.
///
/// # Errors
/// `invalid_input` when it is none.
pub fn state(word: &str) -> Result<JobState> {
    word.parse::<JobState>().map_err(|error| Error::invalid_field("state", "unknown", format!("{error}.")))
}

/// Lists jobs, the newest first. A page may be short although more follow.
///
/// # Errors
/// As the store.
pub async fn list(app: &App, call: &Call, filter: JobFilter, after: Option<JobId>, limit: u32) -> Result<JobPage> {
    Ok(app.store.run(call, ListJobs { filter, after, limit }).await?)
}

/// A job with its attempts.
///
/// # Errors
/// `not_found`.
pub async fn find(app: &App, call: &Call, job: JobId) -> Result<JobLife> {
    app.store.run(call, GetJob(job)).await?.ok_or_else(|| Error::not_found("job"))
}

/// Cancels a job. True when it had not begun and never will; false when it runs, and its worker has been asked.
///
/// # Errors
/// `not_found`; `ended` when there is nothing left to cancel; `moving` when it moved on each time that it was tried.
pub async fn cancel(app: &App, call: &Call, job: JobId) -> Result<bool> {
    cancel_and_keep(app, call, job, Duration::ZERO).await
}

/// Cancels a job, and keeps it for at least this long: for whoever reads in it what became of something else.
///
/// # Errors
/// As [`cancel`].
pub(crate) async fn cancel_and_keep(app: &App, call: &Call, job: JobId, kept: Duration) -> Result<bool> {
    for _ in 0..TRIES {
        let now = app.clock.now();
        let keep_until = now.plus(app.config.jobs.keeping().done.max(kept));
        match app.store.run(call, CancelJob { job, keep_until, now }).await? {
            Cancelled::Missing => return Err(Error::not_found("job")),
            Cancelled::Ended(state) => {
                return Err(Error::new(Kind::Conflict, "ended", format!("This job has ended: it is {state}.")));
            }
            Cancelled::Done => return Ok(true),
            Cancelled::Asked => {
                if let Some(worker) = app.worker.get() {
                    worker.cancel(job);
                }
                return Ok(false);
            }
            Cancelled::Moved => {}
        }
    }
    Err(Error::new(Kind::Conflict, "moving", "This job is just moving on. Try again."))
}

/// Begins a job anew that has ended, with all its attempts before it.
///
/// # Errors
/// `not_found`; `not_ended` while it waits or runs.
pub async fn replay(app: &App, call: &Call, job: JobId) -> Result<()> {
    let replayed = app.store.run(call, ReplayJobs { jobs: vec![job], now: app.clock.now() }).await?;
    if replayed.contains(&job) {
        return Ok(());
    }
    let state = find(app, call, job).await?.job.state;
    Err(Error::new(
        Kind::Conflict,
        "not_ended",
        format!("Only a job that has ended is begun anew: this one is {state}."),
    ))
}

/// What became of a bite of jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bite {
    /// How many were begun anew.
    pub replayed: usize,
    /// Where the next bite goes on; nothing at the end.
    pub next: Option<JobId>,
}

/// Begins anew, of the jobs after this one that the filter names, the newest.
///
/// # Errors
/// `invalid_input` unless the filter names those that were given up or cancelled.
pub async fn replay_some(app: &App, call: &Call, filter: JobFilter, after: Option<JobId>, limit: u32) -> Result<Bite> {
    if !matches!(filter.state, Some(JobState::Dead | JobState::Cancelled)) {
        let detail = "Jobs that are dead or cancelled are begun anew by a filter; others one by one.";
        return Err(Error::invalid_field("state", "out_of_range", detail));
    }
    if !(1..=MOST_REPLAYED).contains(&limit) {
        let detail = format!("Begin 1 to {MOST_REPLAYED} jobs anew at a time.");
        return Err(Error::invalid_field("limit", "out_of_range", detail));
    }
    let page = list(app, call, filter, after, limit).await?;
    let jobs = page.jobs.iter().map(|job| job.id).collect();
    let replayed = app.store.run(call, ReplayJobs { jobs, now: app.clock.now() }).await?.len();
    Ok(Bite { replayed, next: page.next })
}

/// All queues and schedules, as they are now.
///
/// # Errors
/// As the store.
pub async fn queues(app: &App, call: &Call) -> Result<QueuesBody> {
    let depths = app.store.run(call, ReadQueues).await?;
    let schedules = app.store.run(call, ListSchedules).await?;
    Ok(QueuesBody::of(depths, schedules, &app.controls, app.clock.now()))
}

/// Pauses a queue, or lets it go on. What runs is not touched.
///
/// # Errors
/// `not_found`.
pub async fn pause(app: &App, call: &Call, queue: &str, paused: bool) -> Result<()> {
    let pause = PauseQueue { queue: queue.to_owned(), paused_at: paused.then(|| app.clock.now()) };
    if app.store.run(call, pause).await? { Ok(()) } else { Err(Error::not_found("queue")) }
}

/// Probes to promise.
#[derive(Clone, Debug)]
pub struct Probes {
    /// What their keys have in common; made up when there is none.
    pub key: Option<String>,
    /// The number of the first.
    pub first: u32,
    /// How many.
    pub count: u32,
    /// How long each works, in milliseconds.
    pub work_ms: u64,
    /// How many attempts of each fail.
    pub failures: u32,
}

impl Probes {
    /// Looks for what cannot be.
    ///
    /// # Errors
    /// `invalid_input`.
    pub fn check(&self) -> Result<()> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        let good = |key: &str| (1..=MOST_KEY).contains(&key.len()) && key.bytes().all(plain);
        let out = |field, detail: String| Err(Error::invalid_field(field, "out_of_range", detail));
        if self.key.as_deref().is_some_and(|key| !good(key)) {
            let detail = format!("A key has 1 to {MOST_KEY} letters, digits, dots, dashes and underscores.");
            return Err(Error::invalid_field("key", "not_plain", detail));
        }
        if !(1..=MOST_PROBES).contains(&self.count) {
            return out("count", format!("Promise 1 to {MOST_PROBES} probes at a time."));
        }
        if self.work_ms > LONGEST_WORK {
            return out("work_ms", format!("A probe works for {LONGEST_WORK} ms at most."));
        }
        if self.failures > MOST_FAILURES {
            return out("failures", format!("A probe fails {MOST_FAILURES} times at most."));
        }
        Ok(())
    }
}

/// What was promised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Promised {
    /// How the keys of these probes begin.
    pub prefix: String,
    /// How many are promised now.
    pub promised: usize,
    /// How many had been promised before by the same key.
    pub existing: usize,
}

/// Promises probes: jobs whose only effect is a row that says how often it took place.
///
/// # Errors
/// `invalid_input`.
pub async fn promise_probes(app: &App, call: &Call, probes: &Probes) -> Result<Promised> {
    probes.check()?;
    let now = app.clock.now();
    let key = probes.key.clone().unwrap_or_else(|| app.ids.make::<Uuid>().to_string());
    let prefix = format!("{PROBE_PREFIX}{key}/");
    let numbers = probes.first..probes.first.saturating_add(probes.count);
    let jobs = numbers.map(|number| {
        let key = format!("{prefix}{number}");
        let probe = Probe { key: key.clone(), work_ms: probes.work_ms, failures: probes.failures };
        // Who asks again with the same key gets no probe twice, also after it was done.
        Ok(Promise::of(app.ids.make(), &probe, now)?.unique_within(&key, KEYS_LAST, now).job())
    });
    let jobs = jobs.collect::<Result<Vec<_>>>()?;
    let enqueued = app.store.run(call, Enqueue { jobs, now }).await?;
    let promised = enqueued.iter().filter(|one| matches!(one, Enqueued::New(_))).count();
    Ok(Promised { prefix, promised, existing: enqueued.len() - promised })
}

/// Probes that took effect, by the beginning of their keys: a page, and the key after which the next one begins.
///
/// # Errors
/// `invalid_input` when it is no beginning of a probe's key.
pub async fn probes(
    app: &App,
    call: &Call,
    prefix: &str,
    after: Option<String>,
) -> Result<(Vec<ProbeEffects>, Option<String>)> {
    if !prefix.starts_with(PROBE_PREFIX) || prefix.len() > 2 * MOST_KEY || prefix.contains('\0') {
        let detail = format!("The keys of probes begin with {PROBE_PREFIX}.");
        return Err(Error::invalid_field("prefix", "unknown", detail));
    }
    let after = after.filter(|after| after.starts_with(prefix)).unwrap_or_else(|| prefix.to_owned());
    let found = app.store.run(call, ListProbes { after, prefix: prefix.to_owned() }).await?;
    let next = found.last().filter(|_| found.len() >= PROBES_OF_A_PAGE).map(|probe| probe.key.clone());
    Ok((found, next))
}
