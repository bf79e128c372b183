//! Whose an event is, and how an organisation stands.

use mainstay_domain::{Plan, Subscription, TenantId};
use uuid::Uuid;

use super::organisation::PlanChange;
use crate::error::{Error, Result};
use crate::intent::Intent;
use crate::members::word;
use crate::sql::statements;
use crate::tx::{Scope, Tx};
use crate::value::At;

statements! {
    FIND = both("
        SELECT kind, tenant_id FROM billing_lookup WHERE kind = 'account' AND provider_id = $1
        UNION ALL SELECT kind, tenant_id FROM billing_lookup WHERE kind = 'subscription' AND provider_id = $2");
    ACCOUNT = both("
        SELECT o.plan, a.provider_id AS account FROM organisation o
        LEFT JOIN billing_account a ON a.tenant_id = o.tenant_id WHERE o.tenant_id = $1");
    /// One organisation has few; the bound only keeps a broken provider from filling the memory.
    SUBSCRIPTIONS = both("
        SELECT provider_id, state FROM subscription WHERE tenant_id = $1 ORDER BY provider_id LIMIT 1000");
    HISTORY = both("
        SELECT seq, from_plan, to_plan, cause, event_id, changed_at FROM plan_change
        WHERE tenant_id = $1 ORDER BY seq DESC LIMIT $2");
}

/// Whose an event of the provider is, as far as its ids were seen before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Payer {
    /// Whose the subscription is.
    pub by_subscription: Option<TenantId>,
    /// Whose the account is.
    pub by_account: Option<TenantId>,
}

/// Finds out whose an account and a subscription of the provider are.
#[derive(Clone, Debug)]
pub struct FindPayer {
    /// The provider's id of the account.
    pub account: Option<String>,
    /// The provider's id of the subscription.
    pub subscription: Option<String>,
}

#[derive(sqlx::FromRow)]
struct LookupRow {
    kind: String,
    tenant_id: Uuid,
}

impl Intent for FindPayer {
    type Output = Payer;
    const WRITES: bool = false;
    const ONE_STATEMENT: bool = true;

    fn scope(&self) -> Scope {
        Scope::Global
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Payer> {
        let find = tx.query(FIND).bind(self.account.clone()).bind(self.subscription.clone());
        let rows: Vec<LookupRow> = find.rows().await?;
        let of = |kind: &str| rows.iter().find(|row| row.kind == kind).map(|row| TenantId(row.tenant_id));
        Ok(Payer { by_subscription: of("subscription"), by_account: of("account") })
    }
}

#[derive(sqlx::FromRow)]
struct SubscriptionRow {
    provider_id: String,
    state: String,
}

/// All subscriptions of an organisation.
pub(super) async fn subscriptions(tx: &mut Tx<'_>, tenant: TenantId) -> Result<Vec<Subscription>> {
    let rows: Vec<SubscriptionRow> = tx.query(SUBSCRIPTIONS).bind(tenant.uuid()).rows().await?;
    let read = |row: SubscriptionRow| {
        serde_json::from_str(&row.state)
            .map_err(|error| Error::Corrupt(format!("the subscription {}: {error}", row.provider_id)))
    };
    rows.into_iter().map(read).collect()
}

/// How an organisation stands with the provider of billing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BillingOf {
    /// What it pays for.
    pub plan: Plan,
    /// Its account at the provider.
    pub account: Option<String>,
    /// Its subscriptions, also those that have ended.
    pub subscriptions: Vec<Subscription>,
    /// The latest changes of its plan, the last first.
    pub history: Vec<PlanChange>,
}

/// Reads how an organisation stands. Nothing, when there is no such organisation.
#[derive(Clone, Copy, Debug)]
pub struct GetBilling {
    /// The organisation.
    pub tenant: TenantId,
    /// How many changes of the plan at most: 1 to 1,000.
    pub history: u32,
}

#[derive(sqlx::FromRow)]
struct AccountRow {
    plan: String,
    account: Option<String>,
}

impl Intent for GetBilling {
    type Output = Option<BillingOf>;
    const WRITES: bool = false;
    const SNAPSHOT: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Option<BillingOf>> {
        let row: Option<AccountRow> = tx.query(ACCOUNT).bind(self.tenant.uuid()).row().await?;
        let Some(AccountRow { plan, account }) = row else { return Ok(None) };
        Ok(Some(BillingOf {
            plan: word(&plan)?,
            account,
            subscriptions: subscriptions(tx, self.tenant).await?,
            history: history(tx, self.tenant, self.history).await?,
        }))
    }
}

#[derive(sqlx::FromRow)]
struct ChangeRow {
    seq: i64,
    from_plan: String,
    to_plan: String,
    cause: String,
    event_id: Option<String>,
    changed_at: At,
}

async fn history(tx: &mut Tx<'_>, tenant: TenantId, limit: u32) -> Result<Vec<PlanChange>> {
    let rows: Vec<ChangeRow> = tx.query(HISTORY).bind(tenant.uuid()).bind(i64::from(limit)).rows().await?;
    let read = |row: ChangeRow| {
        Ok(PlanChange {
            seq: row.seq,
            from: word(&row.from_plan)?,
            to: word(&row.to_plan)?,
            cause: row.cause,
            event: row.event_id,
            at: row.changed_at.0,
        })
    };
    rows.into_iter().map(read).collect()
}

/// Lists the changes of a plan, the last first.
#[derive(Clone, Copy, Debug)]
pub struct ListPlanChanges {
    /// The organisation.
    pub tenant: TenantId,
    /// How many at most: 1 to 1,000.
    pub limit: u32,
}

impl Intent for ListPlanChanges {
    type Output = Vec<PlanChange>;
    const WRITES: bool = false;
    const ONE_STATEMENT: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Vec<PlanChange>> {
        history(tx, self.tenant, self.limit).await
    }
}
