//! What is done with an event that has arrived: at once where it is stored, or by a job.

use std::sync::{Arc, Weak};

use mainstay_domain::{InboxEventId, Result, TenantId, Timestamp};
use mainstay_jobs::{Done, Failure, Job, JobContext, JobResult, Promise, Retry};
use mainstay_store::{GetInboxEvent, InboxEvent, InboxSummary, KeepNewest, NewJob, Processing, Telling};
use serde::{Deserialize, Serialize};

use super::processors::{Processors, ToProcess};
use super::sources::Source;
use super::subjects;
use crate::app::App;
use crate::job_list::INBOX;

/// The job of an event. It says what is needed to find who processes it.
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
}

impl Job for InboxJob {
    const KIND: &'static str = "inbox_event";
    const QUEUE: &'static str = INBOX;
}

/// How an event that has just arrived is processed: by a job where somebody has registered for it, else where it is stored.
/// While processing is `held`, that waits too: by a job, of a queue that nobody works on now.
///
/// # Errors
/// A bug.
pub(super) fn processing(
    processors: &Processors,
    provider: Source,
    event: &Arrived<'_>,
    (now, held): (Timestamp, bool),
) -> Result<Processing> {
    if processors.processor(provider, event.kind).is_none() {
        match subjects::of(provider, event.payload) {
            Ok(None) => return Ok(Processing::Kept),
            Ok(Some(subject)) if !held => return Ok(Processing::Newest(subject)),
            Ok(Some(_)) => {}
            // Whoever sent it is told that it has arrived; that it is of no use is for the dead letters.
            Err(_) => {}
        }
    }
    let job =
        InboxJob { tenant: event.tenant, event: event.id, provider: provider.to_string(), kind: event.kind.to_owned() };
    Ok(Processing::Job(Box::new(Promise::of(event.id.into(), &job, now)?.tenant(event.tenant).job())))
}

/// An event that has just arrived.
pub(super) struct Arrived<'a> {
    pub(super) tenant: TenantId,
    pub(super) id: InboxEventId,
    pub(super) kind: &'a str,
    pub(super) payload: &'a str,
}

/// The job of an event that is to be processed again, and has none: it was processed without, or its job is forgotten.
///
/// # Errors
/// A bug.
pub(crate) fn again(tenant: TenantId, event: &InboxSummary, now: Timestamp) -> Result<NewJob> {
    let (provider, kind) = (event.provider.clone(), event.kind.clone());
    let job = InboxJob { tenant, event: event.id, provider, kind };
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
    let telling = match told(provider, job.tenant, read(&app, &context, &job).await?) {
        // It says the same tomorrow.
        Err(bad) => return Err(Failure::new(bad).retry(Retry::Never)),
        Ok(None) => return Ok(Done::Finished),
        Ok(Some(telling)) => telling,
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
