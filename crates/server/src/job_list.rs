//! Every queue, every kind of job and every schedule on one page.

use std::sync::{Arc, Weak};
use std::time::Duration;

use mainstay_domain::Result;
use mainstay_jobs::{BoxFuture, Gate, Job, JobContext, JobList, JobResult, Queue, Spawn, Worker};
use mainstay_store::{Call, DELIVERY_CHORES, KEYS, OpenQueues, QueueLimits};

use crate::app::App;
use crate::billing;
use crate::calendars;
use crate::config::{Config, Engine};
use crate::deliveries;
use crate::keys;
use crate::lifecycle::Lifecycle;
use crate::ops::alerts::send as alerts;
use crate::ops::log::trail::{Whom, Within};
use crate::ops::traces::Attempt;
use crate::ops::{backup, probe};
use crate::outreach;
use crate::texts;
use crate::webhooks::work;

/// How long making the queues known may take.
const OPENING: Duration = Duration::from_secs(5);
/// Probes, which show that jobs are done.
pub const PROBES: &str = "probes";
/// What follows from payments.
pub const BILLING: &str = "billing";
/// Events that have arrived.
pub const INBOX: &str = "inbox";

/// The queues, with their bounds.
#[must_use]
pub fn queues(config: &Config) -> [Queue; 12] {
    let jobs = &config.jobs;
    let queue = |name| Queue { name, slots: jobs.slots, limits: QueueLimits::default(), oldest: jobs.oldest() };
    let backups = Queue { slots: 1, ..queue(backup::BACKUPS) };
    [
        queue(PROBES),
        queue(INBOX),
        queue(BILLING),
        deliveries::queue(config),
        queue(DELIVERY_CHORES),
        queue(KEYS),
        backups,
        texts::queue(config),
        queue(alerts::QUEUE),
        calendars::queue(config),
        outreach::queue(config),
        outreach::mailboxes_queue(config),
    ]
}

/// All of it.
fn list(app: &Arc<App>) -> JobList {
    let list = queues(&app.config)
        .into_iter()
        .fold(JobList::new(), JobList::queue)
        .kind(with(app, probe::run))
        .kind(with(app, work::run))
        .kind(with(app, billing::run_review))
        .kind(with(app, deliveries::deliver))
        .kind(with(app, deliveries::replay))
        .kind(with(app, deliveries::cancel))
        .kind(with(app, keys::rotate))
        .kind(with(app, backup::back_up))
        .kind(with(app, backup::try_backup))
        .kind(with(app, texts::send))
        .kind(with(app, texts::look))
        .kind(with(app, outreach::run))
        .kind(with(app, outreach::wake))
        .kind(with(app, outreach::clear))
        .kind(with(app, outreach::read))
        .kind(with(app, alerts::run))
        .kind(with(app, calendars::write))
        .kind(with(app, calendars::read))
        .kind(with(app, calendars::look_after));
    let schedules = backup::schedules(&app.config).into_iter().chain(calendars::schedules(&app.config));
    schedules.fold(list, JobList::schedule)
}

/// A handler that is given the app, and whose trace and lines in the log name the job. It holds no share in the app, so that
/// that can end while jobs are still listed.
fn with<J, F>(
    app: &Arc<App>,
    handler: impl Fn(Weak<App>, JobContext, J) -> F + Send + Sync + 'static,
) -> impl Fn(JobContext, J) -> Within<BoxFuture<JobResult>> + Send + Sync + 'static
where
    J: Job,
    F: Future<Output = JobResult> + Send + 'static,
{
    let (traces, app) = (app.watching.traces.clone(), Arc::downgrade(app));
    move |context, job| {
        let trail = traces.of_job(context.job, context.attempt, context.trace);
        if let Some(tenant) = context.tenant {
            trail.is_of(Whom { tenant, person: None });
        }
        let attempt = Attempt::begin(trail.clone(), J::KIND, &context);
        let work = handler(app.clone(), context, job);
        trail.within(Box::pin(async move {
            let result = work.await;
            attempt.answered(&result);
            result
        }))
    }
}

/// Makes the queues known, and begins to work on jobs, if this node does.
///
/// # Errors
/// When the worker's lease cannot be had, or the database cannot be reached.
pub async fn start(app: &Arc<App>) -> Result<()> {
    if !app.config.jobs.enabled {
        // Others do the work; that a queue waits, or is to be paused, is seen from here too.
        let names = queues(&app.config).iter().map(|queue| queue.name).collect();
        app.store.run(&Call::within(OPENING), OpenQueues(names)).await?;
        return Ok(());
    }
    let outside = (Arc::clone(&app.clock), app.ids.clone(), Arc::clone(&app.entropy));
    let spawn: Arc<dyn Spawn> = Arc::new(Tasks(app.lifecycle.clone()));
    let settings = app.config.jobs.settings();
    let worker = Worker::new(list(app), settings, app.store.clone(), outside, app.job_figures.clone(), spawn)?;
    let worker = worker.behind(Arc::clone(&app.controls) as Arc<dyn Gate>);
    worker.start(app.config.database.engine() == Engine::Sqlite).await?;
    let _ = app.worker.set(worker);
    Ok(())
}

/// The tasks of a worker, under the names that the lifecycle knows.
struct Tasks(Lifecycle);

impl Spawn for Tasks {
    fn forever(&self, name: &'static str, task: BoxFuture<()>) {
        self.0.spawn(name, task);
    }

    fn work(&self, name: &'static str, task: BoxFuture<()>) {
        self.0.spawn_work(name, task);
    }

    fn stopped(&self) -> BoxFuture<()> {
        Box::pin(self.0.stopped())
    }

    fn drained(&self) -> BoxFuture<()> {
        Box::pin(self.0.drained())
    }
}
