//! `mainstay deliveries`.

mod table;

use std::time::Duration;

use clap::{ArgGroup, Args, Subcommand};
use mainstay_domain::{DeliveryId, DeliveryState, EndpointId, TenantId, Timestamp};
use mainstay_store::{Call, ListDeliveries, MOST_ENDPOINTS};

use super::text::{as_json, cut};
use super::{Answer, open};
use crate::app::App;
use crate::config::Config;
use crate::deliveries::api::endpoints::EndpointBody;
use crate::deliveries::api::events::{DeliveryBody, DeliveryLogBody};

/// How long one step may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// The most deliveries that are asked for at once.
const PAGE: u32 = 500;

#[derive(Debug, Subcommand)]
pub(super) enum DeliveriesCommand {
    /// List deliveries, the newest first
    List {
        #[command(flatten)]
        owner: OwnerArguments,
        #[command(flatten)]
        filter: FilterArguments,
        /// At most so many
        #[arg(long, value_name = "NUMBER", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=100_000))]
        limit: u32,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Show a delivery: what it says, and every attempt with its answer
    Show {
        /// Its id
        id: DeliveryId,
        #[command(flatten)]
        owner: OwnerArguments,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Deliver again: one delivery, or what an endpoint has missed since a moment
    ///
    /// Servers that run begin with it within a second.
    Replay(ReplayArguments),
    /// Give up a delivery that is pending; an attempt that is under way may still be taken
    Cancel {
        /// Its id
        id: DeliveryId,
        #[command(flatten)]
        owner: OwnerArguments,
    },
    /// Show the endpoints of an organisation and how they fare
    Endpoints {
        #[command(flatten)]
        owner: OwnerArguments,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Args)]
pub(super) struct OwnerArguments {
    /// The id of the organisation
    #[arg(long, value_name = "ID")]
    organisation: TenantId,
}

#[derive(Debug, Args)]
pub(super) struct FilterArguments {
    /// In this state: pending, delivered, failed or cancelled
    #[arg(long)]
    state: Option<DeliveryState>,
    /// To the endpoint with this id
    #[arg(long, value_name = "ID")]
    endpoint: Option<EndpointId>,
    /// Of events of this type
    #[arg(long = "type", value_name = "TYPE")]
    kind: Option<String>,
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("which").required(true).args(["id", "endpoint"]))]
pub(super) struct ReplayArguments {
    /// The id of one delivery
    #[arg(conflicts_with_all = ["since", "until", "all"])]
    id: Option<DeliveryId>,
    #[command(flatten)]
    owner: OwnerArguments,
    /// The id of the endpoint that is told again
    #[arg(long, value_name = "ID", requires = "since")]
    endpoint: Option<EndpointId>,
    /// Events that were published from this moment on, as 2026-11-01T00:00:00Z
    #[arg(long, value_name = "TIME")]
    since: Option<Timestamp>,
    /// Events that were published before this moment; now when it is left out
    #[arg(long, value_name = "TIME")]
    until: Option<Timestamp>,
    /// Also what the endpoint has taken
    #[arg(long)]
    all: bool,
}

fn call() -> Call {
    Call::within(PATIENCE)
}

pub(super) async fn run(command: DeliveriesCommand, config: Config) -> Result<Answer, Answer> {
    let app = open(config).await?;
    match command {
        DeliveriesCommand::List { owner, filter, limit, json } => {
            list(&app, owner.organisation, filter, limit, json).await
        }
        DeliveriesCommand::Show { id, owner, json } => {
            let log = app.deliveries.delivery(&call(), owner.organisation, id).await?;
            if json {
                return as_json(&DeliveryLogBody::from(log));
            }
            Ok(Answer::good(table::log(&log, app.clock.now())))
        }
        DeliveriesCommand::Replay(arguments) => replay(&app, arguments).await,
        DeliveriesCommand::Cancel { id, owner } => {
            app.deliveries.cancel(&call(), owner.organisation, id).await?;
            Ok(Answer::good(format!("{id} is cancelled.\n")))
        }
        DeliveriesCommand::Endpoints { owner, json } => endpoints(&app, owner.organisation, json).await,
    }
}

async fn list(app: &App, tenant: TenantId, filter: FilterArguments, limit: u32, json: bool) -> Result<Answer, Answer> {
    let FilterArguments { state, endpoint, kind } = filter;
    let kind = kind.unwrap_or_default();
    let (mut deliveries, mut left, mut after) = (Vec::new(), limit, None);
    loop {
        let list = ListDeliveries { tenant, endpoint, state, kind: kind.clone(), after, limit: left.min(PAGE) };
        let page = app.deliveries.list(&call(), list).await?;
        left = left.saturating_sub(u32::try_from(page.deliveries.len()).unwrap_or(u32::MAX));
        deliveries.extend(page.deliveries);
        after = page.next;
        if after.is_none() || left == 0 {
            break;
        }
    }
    if json {
        return as_json(&deliveries.into_iter().map(DeliveryBody::from).collect::<Vec<_>>());
    }
    let mut text = table::deliveries(&deliveries, app.clock.now());
    if after.is_some() {
        text.push_str(&cut(limit));
    }
    Ok(Answer::good(text))
}

async fn replay(app: &App, arguments: ReplayArguments) -> Result<Answer, Answer> {
    let ReplayArguments { id, owner, endpoint, since, until, all } = arguments;
    let tenant = owner.organisation;
    if let Some(id) = id {
        let made = app.deliveries.replay_one(&call(), tenant, id).await?;
        return Ok(Answer::good(format!("{id} is delivered again, as {made}.\n")));
    }
    // Both are there: the arguments say so.
    if let (Some(endpoint), Some(since)) = (endpoint, since) {
        app.deliveries.replay_range(&call(), (tenant, endpoint), (since, until), !all).await?;
    }
    Ok(Answer::good("What it delivers again is soon in the list of deliveries.\n"))
}

async fn endpoints(app: &App, tenant: TenantId, json: bool) -> Result<Answer, Answer> {
    let found = app.deliveries.endpoints(&call(), tenant, None, MOST_ENDPOINTS).await?;
    if json {
        return as_json(&found.into_iter().map(|one| EndpointBody::of(&app.deliveries, one)).collect::<Vec<_>>());
    }
    let counts = app.deliveries.counts(&call(), tenant).await?;
    Ok(Answer::good(table::endpoints(&found, &counts, app.clock.now())))
}
