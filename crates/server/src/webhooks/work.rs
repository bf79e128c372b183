//! The job of an event that has arrived.

use std::sync::{Arc, Weak};

use mainstay_domain::{InboxEventId, InboxSourceId, Result, TenantId, Timestamp};
use mainstay_jobs::{Done, Failure, Job, JobContext, JobResult, Promise, Retry};
use mainstay_store::{GetInboxEvent, InboxEvent, InboxSummary, KeepNewest, NewJob, Telling};
use serde::{Deserialize, Serialize};

use super::processors::ToProcess;
use super::sources::Source;
use super::subjects;
use crate::app::App;
use crate::job_list::INBOX;

/// The job of an event. Most of what is needed stands in it, so that nothing has to be read for an event that only its
/// subject is kept of, or nothing at all.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct InboxJob {
    /// Whose it is.
    tenant: TenantId,
    /// The event.
    event: InboxEventId,
    /// What kind of sender sent it.
    provider: String,
    /// What kind of event it is.
    kind: String,
    /// What it is about.
    about: About,
}

/// What an event is about.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum About {
    /// Nothing that is kept.
    Nothing,
    /// It must be read for that.
    Unread,
    /// A thing, of which the newest is kept.
    Subject { source: InboxSourceId, subject: String, version: Option<i64>, identity: String },
}

impl Job for InboxJob {
    const KIND: &'static str = "inbox_event";
    const QUEUE: &'static str = INBOX;
}

/// An event, without what it says.
pub(super) struct Arrived<'a> {
    pub(super) tenant: TenantId,
    pub(super) source: InboxSourceId,
    pub(super) provider: Source,
    pub(super) event: InboxEventId,
    pub(super) kind: &'a str,
    pub(super) version: Option<i64>,
    pub(super) identity: &'a str,
}

/// The job of an event that has just arrived.
///
/// # Errors
/// A bug.
pub(super) fn job(arrived: &Arrived<'_>, payload: &str, now: Timestamp) -> Result<NewJob> {
    let Arrived { tenant, source, provider, event, kind, version, identity } = *arrived;
    let about = match subjects::of(provider, payload) {
        Ok(None) => About::Nothing,
        Ok(Some(subject)) => About::Subject { source, subject, version, identity: identity.to_owned() },
        // Whoever sent it is told that it has arrived; that it is of no use is for the dead letters.
        Err(_) => About::Unread,
    };
    let job = InboxJob { tenant, event, provider: provider.to_string(), kind: kind.to_owned(), about };
    Ok(Promise::of(event.into(), &job, now)?.tenant(tenant).job())
}

/// The job of an event that is to be processed again and whose job is forgotten.
///
/// # Errors
/// A bug.
pub(crate) fn again(tenant: TenantId, event: &InboxSummary, now: Timestamp) -> Result<NewJob> {
    let (provider, kind) = (event.provider.clone(), event.kind.clone());
    let job = InboxJob { tenant, event: event.id, provider, kind, about: About::Unread };
    Ok(Promise::of(event.id.into(), &job, now)?.tenant(tenant).job())
}

/// Processes an event: by whoever has registered for it, else by keeping the newest of what it is about.
pub(crate) async fn run(app: Weak<App>, context: JobContext, job: InboxJob) -> JobResult {
    let Some(app): Option<Arc<App>> = app.upgrade() else { return Err(Failure::new("the server stops")) };
    let Ok(provider) = job.provider.parse::<Source>() else {
        return Err(Failure::new(format_args!("nobody knows senders of the kind {}", job.provider)));
    };
    if let Some(processor) = app.inbox.processors().processor(provider, &job.kind) {
        let event = read(&app, &context, &job).await?;
        return processor(Arc::clone(&app), context, ToProcess { tenant: job.tenant, event }).await;
    }
    let telling = match job.about {
        About::Nothing => return Ok(Done::Finished),
        About::Subject { source, subject, version, identity } => {
            Telling { tenant: job.tenant, source, subject, version, identity, event: job.event }
        }
        About::Unread => match told(provider, job.tenant, read(&app, &context, &job).await?) {
            // It says the same tomorrow.
            Err(bad) => return Err(Failure::new(bad).retry(Retry::Never)),
            Ok(None) => return Ok(Done::Finished),
            Ok(Some(telling)) => telling,
        },
    };
    let keep = KeepNewest { telling, fence: context.fence, now: app.clock.now() };
    app.store.keep_newest(&context.call(), keep).await?;
    Ok(Done::Settled)
}

fn told(provider: Source, tenant: TenantId, read: InboxEvent) -> Result<Option<Telling>, subjects::BadSubject> {
    let InboxSummary { id: event, source, version, identity, .. } = read.event;
    let subject = subjects::of(provider, &read.payload)?;
    Ok(subject.map(|subject| Telling { tenant, source, subject, version, identity, event }))
}

async fn read(app: &App, context: &JobContext, job: &InboxJob) -> Result<InboxEvent, Failure> {
    let get = GetInboxEvent { tenant: job.tenant, id: job.event };
    let event = app.store.run(&context.call(), get).await?;
    event.ok_or_else(|| Failure::new("The event has been forgotten.").retry(Retry::Never))
}
