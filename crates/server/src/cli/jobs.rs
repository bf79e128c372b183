//! `mainstay jobs`.

mod probe;
mod table;

use std::time::Duration;

use clap::{ArgGroup, Args, Subcommand};
use mainstay_domain::{Error, JobId, JobState, Kind};
use mainstay_store::{Call, JobFilter};

use super::text::{as_json, cut};
use super::{Answer, open};
use crate::app::App;
use crate::config::Config;
use crate::jobs::{JobBody, LifeBody, service};

/// How long one step may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// The most jobs that are asked for at once.
const PAGE: u32 = 500;

#[derive(Debug, Subcommand)]
pub(super) enum JobsCommand {
    /// List jobs, the newest first
    List {
        #[command(flatten)]
        filter: FilterArguments,
        /// At most so many
        #[arg(long, value_name = "NUMBER", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=100_000))]
        limit: u32,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Show a job: what it is to do, and every attempt that failed
    Show {
        /// Its id
        job: JobId,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Begin a job anew that has ended, or all that were given up or cancelled
    ///
    /// By a filter it goes in bites until all are begun that the filter names: those that were there when it began.
    Replay(ReplayArguments),
    /// Cancel a job; one that runs is asked to stop
    Cancel {
        /// Its id
        job: JobId,
    },
    /// Show how much waits in each queue and since when, and the schedules
    Queues {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Pause a queue on all nodes; what runs is not touched
    Pause {
        /// Its name
        queue: String,
    },
    /// Let a queue go on
    Resume {
        /// Its name
        queue: String,
    },
    /// Promise jobs that do nothing but leave a row, to prove that what is promised is done, and done once
    ///
    /// The exit code is 1 when, with --wait, not each of them took effect exactly once in time.
    Probe(probe::ProbeArguments),
}

#[derive(Debug, Args)]
pub(super) struct FilterArguments {
    /// In this state: scheduled, ready, running, done, dead or cancelled
    #[arg(long)]
    state: Option<JobState>,
    /// In this queue
    #[arg(long)]
    queue: Option<String>,
    /// Of this kind
    #[arg(long)]
    kind: Option<String>,
    /// Of this group within the queue
    #[arg(long)]
    group: Option<String>,
}

impl From<FilterArguments> for JobFilter {
    fn from(arguments: FilterArguments) -> Self {
        let FilterArguments { state, queue, kind, group } = arguments;
        let text = Option::unwrap_or_default;
        Self { state, queue: text(queue), kind: text(kind), group: text(group) }
    }
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("which").required(true).args(["job", "state"]))]
pub(super) struct ReplayArguments {
    /// The id of one job
    #[arg(conflicts_with_all = ["queue", "kind", "group"])]
    job: Option<JobId>,
    #[command(flatten)]
    filter: FilterArguments,
}

fn call() -> Call {
    Call::within(PATIENCE)
}

pub(super) async fn run(command: JobsCommand, config: Config) -> Result<Answer, Answer> {
    let app = open(config).await?;
    match command {
        JobsCommand::List { filter, limit, json } => list(&app, filter.into(), limit, json).await,
        JobsCommand::Show { job, json } => {
            let life = LifeBody::from(service::find(&app, &call(), job).await?);
            if json { as_json(&life) } else { Ok(Answer::good(table::life(&life, app.clock.now()))) }
        }
        JobsCommand::Replay(ReplayArguments { job: Some(job), .. }) => {
            service::replay(&app, &call(), job).await?;
            Ok(Answer::good(format!("{job} begins anew.\n")))
        }
        JobsCommand::Replay(ReplayArguments { job: None, filter }) => replay(&app, filter.into()).await,
        JobsCommand::Cancel { job } => {
            let done = service::cancel(&app, &call(), job).await?;
            let words = if done { "is cancelled" } else { "runs, and was asked to stop" };
            Ok(Answer::good(format!("{job} {words}.\n")))
        }
        JobsCommand::Queues { json } => {
            app.controls.read(&app.store, &call()).await?;
            let queues = service::queues(&app, &call()).await?;
            if json { as_json(&queues) } else { Ok(Answer::good(table::queues(&queues, app.clock.now()))) }
        }
        JobsCommand::Pause { queue } => pause(&app, &queue, true).await,
        JobsCommand::Resume { queue } => pause(&app, &queue, false).await,
        JobsCommand::Probe(arguments) => probe::run(&app, arguments).await,
    }
}

async fn list(app: &App, filter: JobFilter, limit: u32, json: bool) -> Result<Answer, Answer> {
    let (mut jobs, mut after, mut left) = (Vec::new(), None, limit);
    loop {
        let page = service::list(app, &call(), filter.clone(), after, left.min(PAGE)).await?;
        left = left.saturating_sub(u32::try_from(page.jobs.len()).unwrap_or(u32::MAX));
        jobs.extend(page.jobs.into_iter().map(JobBody::from));
        after = page.next;
        if after.is_none() || left == 0 {
            break;
        }
    }
    if json {
        return as_json(&jobs);
    }
    let mut text = table::jobs(&jobs, app.clock.now());
    if after.is_some() {
        text.push_str(&cut(limit));
    }
    Ok(Answer::good(text))
}

async fn replay(app: &App, filter: JobFilter) -> Result<Answer, Answer> {
    let (mut replayed, mut after) = (0, None);
    loop {
        // Backwards from the newest, so that what is given up again meanwhile is not begun twice.
        let bite = service::replay_some(app, &call(), filter.clone(), after, service::MOST_REPLAYED).await?;
        replayed += bite.replayed;
        after = bite.next;
        if after.is_none() {
            let jobs = if replayed == 1 { "job begins" } else { "jobs begin" };
            return Ok(Answer::good(format!("{replayed} {jobs} anew.\n")));
        }
    }
}

async fn pause(app: &App, queue: &str, paused: bool) -> Result<Answer, Answer> {
    service::pause(app, &call(), queue, paused).await.map_err(|error| match error.kind {
        Kind::NotFound => Error::new(Kind::NotFound, "not_found", format!("There is no queue {queue}.")),
        _ => error,
    })?;
    let words = if paused { "is paused; what runs is finished" } else { "goes on" };
    Ok(Answer::good(format!("{queue} {words}.\n")))
}
