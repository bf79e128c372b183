//! Taking in what FastSpring tells: whose an event is, and what follows from it.
//!
//! An event finds its organisation by its subscription, when that is known; else by the reference that the checkout link
//! carried; else by the customer's account. An account may pay for several organisations, so what only mentions a
//! subscription that nobody has told of yet waits until somebody has.

use std::sync::{Arc, Weak};
use std::time::Duration;

use mainstay_domain::{Error, Plan, Result as DomainResult, TenantId, Timestamp};
use mainstay_jobs::{Done, Failure, Job, JobContext, JobResult, Promise, Retry};
use mainstay_store::{
    ApplyBillingEvent, BillingRules, Call, EventOf, Fence, FindPayer, IgnoreBillingEvent, Invoice, NewJob, Payer,
    ReviewPlan,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::fastspring::{self, Notice, Unreadable};
use super::orders;
use crate::app::App;
use crate::job_list::BILLING;

/// The tag of an order that names the organisation that pays.
pub const ORGANISATION_TAG: &str = "organisation";

/// How long taking in one event may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// What came of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {
    /// Something is known now that was not known before.
    Taken,
    /// It was known already.
    Known,
    /// It is of a kind that says nothing about plans and invoices.
    OfNoUse,
    /// It tells of a test order, which gives nothing.
    Test,
}

impl Applied {
    const fn word(self) -> &'static str {
        match self {
            Self::Taken => "taken",
            Self::Known => "known",
            Self::OfNoUse => "of_no_use",
            Self::Test => "test",
        }
    }
}

/// Why an event was not taken in.
#[derive(Debug, thiserror::Error)]
pub enum NotApplied {
    /// It does not say what it must; trying again does not help.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    /// Nobody knows whose it is; trying again does not help.
    #[error("no organisation is known for this event")]
    NoOrganisation(String),
    /// It is about a subscription that is not known yet; another event will tell whose that is.
    #[error("its subscription is not known yet")]
    TooEarly(String),
    /// The store failed; trying again may help.
    #[error(transparent)]
    Store(#[from] mainstay_store::Error),
    /// A bug.
    #[error("{0}")]
    Internal(String),
}

impl NotApplied {
    /// True when no repetition helps, so that somebody has to look at the event.
    #[must_use]
    pub const fn is_poison(&self) -> bool {
        matches!(self, Self::Unreadable(_) | Self::NoOrganisation(_))
    }

    const fn word(&self) -> &'static str {
        match self {
            Self::Unreadable(_) | Self::NoOrganisation(_) => "poison",
            Self::TooEarly(_) => "too_early",
            Self::Store(_) | Self::Internal(_) => "failed",
        }
    }
}

impl From<NotApplied> for Failure {
    fn from(fault: NotApplied) -> Self {
        let retry = if fault.is_poison() { Retry::Never } else { Retry::Backoff };
        let failure = Self::new(&fault).retry(retry);
        match fault {
            NotApplied::NoOrganisation(why) | NotApplied::TooEarly(why) => failure.because(why),
            _ => failure,
        }
    }
}

/// What of an event concerns an organisation.
struct Matter {
    event: EventOf,
    account: Option<String>,
    subscription: Option<String>,
    organisation: Option<String>,
    invoice: Option<Invoice>,
    live: bool,
    /// Whether it tells what the subscription is, or only mentions it.
    whole: bool,
}

/// Takes in one element of FastSpring's `events`. With a fence the job ends in the transaction of the effect, also where
/// there is none; without, nothing but the effect takes place. The same event twice changes nothing, and the order of
/// events does not matter.
///
/// # Errors
/// See [`NotApplied`]; the job has then not ended.
pub async fn apply_fastspring(app: &App, fence: Option<Fence>, event: &Value) -> Result<Applied, NotApplied> {
    let applied = Box::pin(apply(app, fence, event)).await;
    // What the sender calls it and its product is in the inbox; the line has the id of the job.
    let kind = super::figures::known(event["type"].as_str().unwrap_or_default());
    match &applied {
        Ok(applied) => {
            app.billing.event(kind, applied.word());
            tracing::debug!(kind, outcome = applied.word(), "an event of billing");
        }
        Err(fault) => {
            app.billing.event(kind, fault.word());
            tracing::warn!(kind, error = %fault, "an event of billing was not taken in");
        }
    }
    applied
}

async fn apply(app: &App, fence: Option<Fence>, event: &Value) -> Result<Applied, NotApplied> {
    let call = Call::within(PATIENCE);
    let Some(matter) = matter(event)? else { return ignore(app, &call, fence, Applied::OfNoUse).await };
    if !matter.live && !app.config.billing.fastspring.test_orders {
        return ignore(app, &call, fence, Applied::Test).await;
    }
    let tenant = payer(app, &call, &matter).await?;
    if let EventOf::Subscription(said) = &matter.event
        && said.product.as_deref().is_some_and(|product| !rules(app).plans.contains_key(product))
    {
        tracing::warn!(organisation = %tenant, "what is subscribed to gives no plan: it is not in billing.fastspring.products");
    }
    let now = app.clock.now();
    let review = review(app, tenant, now).map_err(|error| NotApplied::Internal(error.to_string()))?;
    let (account, invoice, is_order) = (matter.account, matter.invoice, matter.event == EventOf::Order);
    let intent =
        ApplyBillingEvent { tenant, event: matter.event, account, invoice, rules: rules(app), review, fence, now };
    let applied = match fence {
        Some(_) => Box::pin(app.store.run_for_jobs(&call, intent)).await,
        None => Box::pin(app.store.run(&call, intent)).await,
    };
    let applied = applied.map_err(|error| match error {
        mainstay_store::Error::Missing(_) => NotApplied::NoOrganisation(format!("there is no organisation {tenant}")),
        other => other.into(),
    })?;
    if let Some((from, to)) = applied.plan {
        changed(app, tenant, from, to);
    }
    let is_new = is_order || applied.change.is_some_and(|change| !change.is_nothing());
    Ok(if is_new { Applied::Taken } else { Applied::Known })
}

/// Ends the job of an event that has no effect.
async fn ignore(app: &App, call: &Call, fence: Option<Fence>, applied: Applied) -> Result<Applied, NotApplied> {
    if let Some(fence) = fence {
        app.store.run_for_jobs(call, IgnoreBillingEvent { fence, now: app.clock.now() }).await?;
    }
    Ok(applied)
}

fn matter(event: &Value) -> Result<Option<Matter>, Unreadable> {
    let order = orders::read(event)?;
    if let Some(Notice { event: said, live, account, mut tags }) = fastspring::read(event)? {
        return Ok(Some(Matter {
            account,
            subscription: Some(said.subscription.clone()),
            organisation: tags.remove(ORGANISATION_TAG),
            invoice: order.map(|order| order.invoice),
            live,
            whole: said.product.is_some(),
            event: EventOf::Subscription(said),
        }));
    }
    Ok(order.map(|order| Matter {
        event: EventOf::Order,
        account: order.account,
        subscription: order.subscription,
        organisation: order.organisation,
        invoice: Some(order.invoice),
        live: order.live,
        whole: true,
    }))
}

async fn payer(app: &App, call: &Call, matter: &Matter) -> Result<TenantId, NotApplied> {
    let find = FindPayer { account: matter.account.clone(), subscription: matter.subscription.clone() };
    let Payer { by_subscription, by_account } = app.store.run(call, find).await?;
    if let Some(tenant) = by_subscription {
        return Ok(tenant);
    }
    if let Some(reference) = &matter.organisation {
        let refused =
            |_| NotApplied::NoOrganisation(format!("its reference {reference:?} is no id of an organisation"));
        return reference.parse().map_err(refused);
    }
    let subscription = matter.subscription.as_deref().unwrap_or("none");
    if !matter.whole {
        return Err(NotApplied::TooEarly(subscription.to_owned()));
    }
    by_account.ok_or_else(|| {
        let account = matter.account.as_deref().unwrap_or("none");
        NotApplied::NoOrganisation(format!(
            "it carries no reference, and neither its account ({account}) nor its subscription ({subscription}) was seen before"
        ))
    })
}

/// By which rules plans follow from subscriptions here.
pub(super) fn rules(app: &App) -> BillingRules {
    let fastspring = &app.config.billing.fastspring;
    BillingRules { grace: fastspring.grace(), plans: fastspring.plans() }
}

/// A plan has changed, and what this node remembers of plans is old. The other nodes are told in the database.
fn changed(app: &App, tenant: TenantId, from: Plan, to: Plan) {
    app.accounts.forget_plans();
    app.billing.plan_changed(from, to);
    tracing::info!(organisation = %tenant, %from, %to, "the plan of an organisation changed");
}

/// The look at an organisation at the moment when time alone may change its plan: a grace or a period has ended.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct BillingReview {
    /// Which.
    pub organisation: TenantId,
}

impl Job for BillingReview {
    const KIND: &'static str = "billing_review";
    const QUEUE: &'static str = BILLING;
}

/// The promise of such a look. The store sets its moment and its key.
fn review(app: &App, tenant: TenantId, now: Timestamp) -> DomainResult<NewJob> {
    Ok(Promise::of(app.ids.make(), &BillingReview { organisation: tenant }, now)?.tenant(tenant).job())
}

/// Looks.
pub(crate) async fn run_review(app: Weak<App>, context: JobContext, job: BillingReview) -> JobResult {
    let Some(app): Option<Arc<App>> = app.upgrade() else { return Err(Failure::new("the server stops")) };
    look(&app, &context.call(), job.organisation, Some(context.fence)).await?;
    Ok(Done::Settled)
}

/// Sets the plan that follows now from what is known and from the settings. The answer is the plans of before and after, if
/// they differ.
///
/// # Errors
/// As every intent.
pub async fn look(
    app: &App,
    call: &Call,
    tenant: TenantId,
    fence: Option<Fence>,
) -> DomainResult<Option<(Plan, Plan)>> {
    let now = app.clock.now();
    let look = ReviewPlan { tenant, rules: rules(app), review: review(app, tenant, now)?, fence, now };
    let changes = match fence {
        Some(_) => Box::pin(app.store.run_for_jobs(call, look)).await,
        None => Box::pin(app.store.run(call, look)).await,
    };
    let changes = changes.map_err(Error::from)?;
    if let Some((from, to)) = changes {
        changed(app, tenant, from, to);
    }
    Ok(changes)
}
