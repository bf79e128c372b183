//! Taking in what the provider tells, and what time alone changes.

use std::collections::BTreeMap;
use std::time::Duration;

use mainstay_domain::{Change, Plan, Subscription, SubscriptionEvent, TenantId, Timestamp};
use uuid::Uuid;

use super::invoices::{self, Invoice};
use super::organisation::{Cause, Locked, change_plan, lock};
use super::reading::subscriptions;
use crate::error::{Error, Result};
use crate::intent::Intent;
use crate::jobs::enqueue::enqueue;
use crate::jobs::finish::{Fence, done};
use crate::jobs::{NewJob, Unique};
use crate::sql::statements;
use crate::tx::{Scope, Tx};
use crate::value::{At, json};

statements! {
    /// Whose it is: who is named first stays. Writing the same again locks the row and gives it back.
    CLAIM = both("
        INSERT INTO billing_lookup (kind, provider_id, tenant_id) VALUES ($1, $2, $3)
        ON CONFLICT (kind, provider_id) DO UPDATE SET tenant_id = billing_lookup.tenant_id RETURNING tenant_id");
    PUT_ACCOUNT = both("
        INSERT INTO billing_account (tenant_id, provider_id) VALUES ($1, $2) ON CONFLICT (tenant_id) DO NOTHING");
    PUT_SUBSCRIPTION = both("
        INSERT INTO subscription (tenant_id, provider_id, state, updated_at) VALUES ($1, $2, $3, $4)
        ON CONFLICT (tenant_id, provider_id) DO UPDATE SET state = excluded.state, updated_at = excluded.updated_at");
}

/// By which rules the plan follows from subscriptions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BillingRules {
    /// For how long a plan is kept after a payment has failed.
    pub grace: Duration,
    /// The plan of each product.
    pub plans: BTreeMap<String, Plan>,
}

/// What is common to whatever may change a plan.
#[derive(Clone, Debug)]
struct Turn<'a> {
    rules: &'a BillingRules,
    review: &'a NewJob,
    now: Timestamp,
}

impl Turn<'_> {
    /// Sets the best plan of all subscriptions, and promises a look at the next moment when time alone may change it. The
    /// answer is the plans of before and after, if they differ.
    async fn settle(
        &self,
        tx: &mut Tx<'_>,
        (tenant, locked): (TenantId, &Locked),
        subscriptions: &[Subscription],
        (words, event): (&str, Option<&str>),
    ) -> Result<Option<(Plan, Plan)>> {
        let BillingRules { grace, plans } = self.rules;
        let next = subscriptions.iter().filter_map(|known| known.next_turn(self.now, *grace)).min();
        if let Some(moment) = next {
            // One for each organisation and moment, however often it is promised.
            let key = format!("{tenant}/{}", moment.as_millis());
            let unique = Some(Unique { key, until: None });
            let review = NewJob { run_at: moment, unique, ..self.review.clone() };
            enqueue(tx, &[review], self.now).await?;
        }
        let best = subscriptions.iter().map(|known| known.effective_plan(self.now, *grace, plans)).max();
        let to = best.unwrap_or_default();
        let cause = Cause { words, event, now: self.now };
        Ok(change_plan(tx, locked, to, &cause).await?.map(|from| (from, to)))
    }
}

/// What an event says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EventOf {
    /// Something about a subscription.
    Subscription(SubscriptionEvent),
    /// Something about an order alone.
    Order,
}

/// Takes in an event of an organisation: the subscription, the plan that follows, the history, the invoice, and the end of
/// the job that brought it. The same event twice changes nothing, and the order of events does not matter.
#[derive(Clone, Debug)]
pub struct ApplyBillingEvent {
    /// Whose it is.
    pub tenant: TenantId,
    /// What it says.
    pub event: EventOf,
    /// The customer's account at the provider.
    pub account: Option<String>,
    /// The invoice that it tells of.
    pub invoice: Option<Invoice>,
    /// By which rules the plan follows.
    pub rules: BillingRules,
    /// The look that is promised at the moment when time alone may change the plan; its moment and its key are set here.
    pub review: NewJob,
    /// The job that brought the event.
    pub fence: Option<Fence>,
    /// The present moment.
    pub now: Timestamp,
}

/// What came of an event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AppliedEvent {
    /// What is different of the subscription.
    pub change: Option<Change>,
    /// The plans of before and after, if they differ.
    pub plan: Option<(Plan, Plan)>,
}

impl Intent for ApplyBillingEvent {
    /// [`Error::Missing`] when there is no such organisation, [`Error::Conflict`] when the subscription is another's.
    type Output = AppliedEvent;
    const WRITES: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<AppliedEvent> {
        if let Some(fence) = self.fence {
            done(tx, fence, self.now).await?;
        }
        let locked = lock(tx, self.tenant).await?.ok_or(Error::Missing("organisation"))?;
        if let Some(account) = &self.account {
            // Another organisation may have paid with it before; this one has it too.
            claim(tx, "account", account, self.tenant).await?;
            tx.query(PUT_ACCOUNT).bind(self.tenant.uuid()).bind(account.clone()).run().await?;
        }
        if let Some(invoice) = &self.invoice {
            invoices::put(tx, self.tenant, invoice).await?;
        }
        let EventOf::Subscription(event) = &self.event else { return Ok(AppliedEvent::default()) };
        if claim(tx, "subscription", &event.subscription, self.tenant).await? != self.tenant {
            return Err(Error::Conflict);
        }
        let mut known = subscriptions(tx, self.tenant).await?;
        let (change, new) = take(&mut known, event);
        let Some(subscription) = new else {
            // Nothing was learnt, so what an operator may have set meanwhile stays.
            return Ok(AppliedEvent { change: Some(change), plan: None });
        };
        let state = json(&subscription)?;
        let put = tx.query(PUT_SUBSCRIPTION).bind(self.tenant.uuid()).bind(event.subscription.clone());
        put.bind(state).bind(At(self.now)).run().await?;
        let turn = Turn { rules: &self.rules, review: &self.review, now: self.now };
        let cause = (change.to_string(), event.id.as_str());
        let plan = turn.settle(tx, (self.tenant, &locked), &known, (&cause.0, Some(cause.1))).await?;
        Ok(AppliedEvent { change: Some(change), plan })
    }
}

#[derive(sqlx::FromRow)]
struct ClaimedRow {
    tenant_id: Uuid,
}

async fn claim(tx: &mut Tx<'_>, kind: &'static str, id: &str, tenant: TenantId) -> Result<TenantId> {
    let claimed: Option<ClaimedRow> = tx.query(CLAIM).bind(kind).bind(id.to_owned()).bind(tenant.uuid()).row().await?;
    claimed.map(|row| TenantId(row.tenant_id)).ok_or_else(|| Error::Bug("a claim gave no row".to_owned()))
}

/// Takes the event in where its subscription is, or makes that. The second answer is what is to be written, if anything is
/// new: also that what was known was said again later, which no difference tells.
fn take(known: &mut Vec<Subscription>, event: &SubscriptionEvent) -> (Change, Option<Subscription>) {
    let place = known.iter().position(|known| known.id() == event.subscription);
    let before = place.map(|place| known.swap_remove(place));
    let mut after = before.clone().unwrap_or_else(|| Subscription::new(event.subscription.clone()));
    let change = after.apply(event);
    known.push(after.clone());
    (change, (before.as_ref() != Some(&after)).then_some(after))
}

/// Ends the job of an event that has no effect.
#[derive(Clone, Copy, Debug)]
pub struct IgnoreBillingEvent {
    /// The job.
    pub fence: Fence,
    /// The present moment.
    pub now: Timestamp,
}

impl Intent for IgnoreBillingEvent {
    type Output = ();
    const WRITES: bool = true;

    fn scope(&self) -> Scope {
        Scope::System
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<()> {
        done(tx, self.fence, self.now).await
    }
}

/// Looks at an organisation again, whose plan time alone may have changed, or the settings, and ends the job that does so.
#[derive(Clone, Debug)]
pub struct ReviewPlan {
    /// Whose.
    pub tenant: TenantId,
    /// By which rules the plan follows.
    pub rules: BillingRules,
    /// The next look, should there be one; its moment and its key are set here.
    pub review: NewJob,
    /// The job, if one does this.
    pub fence: Option<Fence>,
    /// The present moment.
    pub now: Timestamp,
}

impl Intent for ReviewPlan {
    /// The plans of before and after, if they differ.
    type Output = Option<(Plan, Plan)>;
    const WRITES: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output> {
        // First: the key of this job is free for the next one from here on.
        if let Some(fence) = self.fence {
            done(tx, fence, self.now).await?;
        }
        let Some(locked) = lock(tx, self.tenant).await? else { return Ok(None) };
        let known = subscriptions(tx, self.tenant).await?;
        let ended: Vec<_> = known.iter().filter_map(|known| known.run_out(self.now, self.rules.grace)).collect();
        let words = if ended.is_empty() { "The settings are others.".to_owned() } else { ended.join("; ") };
        let turn = Turn { rules: &self.rules, review: &self.review, now: self.now };
        turn.settle(tx, (self.tenant, &locked), &known, (&words, None)).await
    }
}
