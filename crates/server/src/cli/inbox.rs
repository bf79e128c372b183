//! `mainstay inbox`.

use std::fmt::Write as _;
use std::time::Duration;

use clap::{Args, Subcommand};
use mainstay_domain::{Error, InboxEventId, InboxSourceId, InboxState, TenantId};
use mainstay_store::{Call, GetInboxEvent, GetJob, InboxFilter, InboxSummary, ListInbox, ReplayEvents};
use uuid::Uuid;

use super::{Answer, open};
use crate::app::App;
use crate::config::Config;
use crate::webhooks::work;

/// How long one step may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// How many events one step reads, and begins anew.
const BITE: u32 = 500;

#[derive(Debug, Subcommand)]
pub(super) enum InboxCommand {
    /// List events that have arrived, the newest first
    List {
        #[command(flatten)]
        filter: FilterArguments,
        /// How many at most
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
        limit: u32,
    },
    /// Show an event: what it says, and how its processing went
    Show {
        /// Its id
        id: InboxEventId,
        #[command(flatten)]
        owner: OwnerArguments,
    },
    /// Process events again: one, or all of a filter
    ///
    /// Servers that run begin with them within a second.
    Replay {
        /// Its id; without one, all that fit --state, --kind and --source
        id: Option<InboxEventId>,
        #[command(flatten)]
        filter: FilterArguments,
    },
}

#[derive(Debug, Args)]
pub(super) struct OwnerArguments {
    /// The id of the organisation; without it, the installation's own events
    #[arg(long, value_name = "ID")]
    organisation: Option<TenantId>,
}

impl OwnerArguments {
    fn tenant(&self) -> TenantId {
        self.organisation.unwrap_or(TenantId(Uuid::nil()))
    }
}

#[derive(Debug, Args)]
pub(super) struct FilterArguments {
    #[command(flatten)]
    owner: OwnerArguments,
    /// In this state: pending, processed, dead or cancelled
    #[arg(long)]
    state: Option<InboxState>,
    /// Of this kind, in the sender's word
    #[arg(long)]
    kind: Option<String>,
    /// From the sender with this id
    #[arg(long, value_name = "ID")]
    source: Option<InboxSourceId>,
}

impl FilterArguments {
    fn filter(&self) -> InboxFilter {
        InboxFilter { source: self.source, kind: self.kind.clone().unwrap_or_default(), state: self.state }
    }
}

pub(super) async fn run(command: InboxCommand, config: Config) -> Result<Answer, Answer> {
    let app = open(config).await?;
    match command {
        InboxCommand::List { filter, limit } => list(&app, &filter, limit).await,
        InboxCommand::Show { id, owner } => show(&app, owner.tenant(), id).await,
        InboxCommand::Replay { id: Some(id), filter } => {
            let tenant = filter.owner.tenant();
            let get = GetInboxEvent { tenant, id };
            let event = app.store.run(&call(), get).await?.ok_or_else(|| Error::not_found("event"))?;
            let begun = again(&app, tenant, &[event.event]).await?;
            Ok(Answer::good(format!("{begun} of 1 is processed again.\n")))
        }
        InboxCommand::Replay { id: None, filter } => replay_all(&app, &filter).await,
    }
}

fn call() -> Call {
    Call::within(PATIENCE)
}

async fn list(app: &App, arguments: &FilterArguments, limit: u32) -> Result<Answer, Answer> {
    let (mut text, mut left, mut after) = (String::new(), limit, None);
    while left > 0 {
        let (tenant, filter) = (arguments.owner.tenant(), arguments.filter());
        let list = ListInbox { tenant, filter, after, limit: left.min(BITE) };
        let page = app.store.run(&call(), list).await?;
        left -= u32::try_from(page.events.len()).unwrap_or(left).min(left);
        for event in page.events {
            let InboxSummary { id, provider, kind, identity, received_at, state, .. } = event;
            let _ = writeln!(text, "{id}  {received_at}  {state:<9}  {provider:<10}  {kind}  {identity}");
        }
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    Ok(Answer::good(if text.is_empty() { "There are no such events.\n".to_owned() } else { text }))
}

async fn show(app: &App, tenant: TenantId, id: InboxEventId) -> Result<Answer, Answer> {
    let found = app.store.run(&call(), GetInboxEvent { tenant, id }).await?;
    let found = found.ok_or_else(|| Error::not_found("event"))?;
    let job = app.store.run(&call(), GetJob(id.into())).await?;
    let InboxSummary { source, provider, kind, identity, version, received_at, state, .. } = found.event;
    let mut text = format!(
        "{id} of {provider}, sender {source}\nkind      {kind}\nidentity  {identity}\nreceived  {received_at}\n\
         version   {}\nstate     {state}\n",
        version.map_or_else(|| "none".to_owned(), |version| version.to_string())
    );
    for attempt in job.into_iter().flat_map(|job| job.attempts) {
        let _ = writeln!(
            text,
            "attempt {} at {}: {} {}",
            attempt.attempt, attempt.ended_at, attempt.outcome, attempt.error
        );
    }
    let _ = writeln!(text, "\n{}", found.payload);
    Ok(Answer::good(text))
}

/// Begins events anew; the answer is how many.
async fn again(app: &App, tenant: TenantId, events: &[InboxSummary]) -> Result<usize, Answer> {
    let now = app.clock.now();
    let jobs: mainstay_domain::Result<Vec<_>> = events.iter().map(|event| work::again(tenant, event, now)).collect();
    Ok(app.store.run(&call(), ReplayEvents { jobs: jobs?, now }).await?.len())
}

async fn replay_all(app: &App, arguments: &FilterArguments) -> Result<Answer, Answer> {
    let (mut begun, mut after) = (0, None);
    loop {
        let (tenant, filter) = (arguments.owner.tenant(), arguments.filter());
        let page = app.store.run(&call(), ListInbox { tenant, filter, after, limit: BITE }).await?;
        if !page.events.is_empty() {
            begun += again(app, tenant, &page.events).await?;
        }
        after = page.next;
        if after.is_none() {
            return Ok(Answer::good(format!("{begun} events are processed again.\n")));
        }
    }
}
