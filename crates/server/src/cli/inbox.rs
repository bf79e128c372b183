//! `mainstay inbox`.

mod table;

use std::time::Duration;

use clap::{Args, Subcommand};
use mainstay_domain::{InboxEventId, InboxSourceId, InboxState, TenantId};
use mainstay_store::{Call, InboxFilter};
use uuid::Uuid;

use super::text::{as_json, cut};
use super::{Answer, open};
use crate::app::App;
use crate::config::Config;
use crate::jobs::JobAttemptBody;
use crate::webhooks::api::events::{InboxEventBody, WholeInboxEventBody};
use crate::webhooks::service;

/// How long one step may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// The most events that are asked for at once.
const PAGE: u32 = 500;

#[derive(Debug, Subcommand)]
pub(super) enum InboxCommand {
    /// List events that have arrived, the newest first
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
    /// Show an event: what it says, and how its processing went
    Show {
        /// Its id
        id: InboxEventId,
        #[command(flatten)]
        owner: OwnerArguments,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Process events again: one, or all of a filter
    ///
    /// Servers that run begin with them within a second.
    Replay {
        /// Its id; without one, all that fit --state, --kind and --source
        #[arg(conflicts_with_all = ["state", "kind", "source"])]
        id: Option<InboxEventId>,
        #[command(flatten)]
        filter: FilterArguments,
    },
    /// Cancel the processing of an event that is pending; what is processed just now is asked to stop
    Cancel {
        /// Its id
        id: InboxEventId,
        #[command(flatten)]
        owner: OwnerArguments,
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
        InboxCommand::List { filter, limit, json } => list(&app, &filter, limit, json).await,
        InboxCommand::Show { id, owner, json } => show(&app, owner.tenant(), id, json).await,
        InboxCommand::Replay { id: Some(id), filter } => {
            service::replay(&app, &call(), filter.owner.tenant(), id).await?;
            Ok(Answer::good(format!("{id} is processed again.\n")))
        }
        InboxCommand::Replay { id: None, filter } => replay_all(&app, &filter).await,
        InboxCommand::Cancel { id, owner } => {
            let done = service::cancel(&app, &call(), owner.tenant(), id).await?;
            let words = if done { "is cancelled" } else { "is processed just now, and that was asked to stop" };
            Ok(Answer::good(format!("{id} {words}.\n")))
        }
    }
}

fn call() -> Call {
    Call::within(PATIENCE)
}

async fn list(app: &App, arguments: &FilterArguments, limit: u32, json: bool) -> Result<Answer, Answer> {
    let (mut events, mut left, mut after) = (Vec::new(), limit, None);
    loop {
        let (tenant, filter) = (arguments.owner.tenant(), arguments.filter());
        let page = service::events(app, &call(), tenant, filter, (after, left.min(PAGE))).await?;
        left = left.saturating_sub(u32::try_from(page.events.len()).unwrap_or(u32::MAX));
        events.extend(page.events);
        after = page.next;
        if after.is_none() || left == 0 {
            break;
        }
    }
    if json {
        return as_json(&events.into_iter().map(InboxEventBody::from).collect::<Vec<_>>());
    }
    let mut text = table::events(&events, app.clock.now());
    if after.is_some() {
        text.push_str(&cut(limit));
    }
    Ok(Answer::good(text))
}

async fn show(app: &App, tenant: TenantId, id: InboxEventId, json: bool) -> Result<Answer, Answer> {
    let (found, job) = service::event(app, &call(), tenant, id).await?;
    if json {
        return as_json(&WholeInboxEventBody::of(found, job)?);
    }
    let attempts = job.iter().flat_map(|job| job.attempts.clone()).map(JobAttemptBody::from).collect::<Vec<_>>();
    let job = job.as_ref().map(|life| &life.job);
    Ok(Answer::good(table::event(&found, job, &attempts, app.clock.now())))
}

async fn replay_all(app: &App, arguments: &FilterArguments) -> Result<Answer, Answer> {
    let (mut replayed, mut after) = (0, None);
    loop {
        // Backwards from the newest, so that what is given up again meanwhile is not begun twice.
        let (tenant, filter) = (arguments.owner.tenant(), arguments.filter());
        let (begun, next) = service::replay_all(app, &call(), tenant, filter, after).await?;
        replayed += begun;
        after = next;
        if after.is_none() {
            let events = if replayed == 1 { "event is" } else { "events are" };
            return Ok(Answer::good(format!("{replayed} {events} processed again.\n")));
        }
    }
}
