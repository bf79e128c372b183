//! Waking: whoever gives an account something to do counts up a number of its row and sees to it that its job is there and
//! due. A job that ends looks at that number under the same lock, so that nothing is given to one that has just ended.

use mainstay_domain::{CampaignId, JobId, JobPriority, SendingAccountId, TenantId, Timestamp};
use serde::Serialize;
use uuid::Uuid;

use super::{ACCOUNT_KIND, OUTREACH};
use crate::deliveries::derived;
use crate::error::Result;
use crate::intent::Intent;
use crate::jobs::NewJob;
use crate::jobs::Unique;
use crate::jobs::enqueue::enqueue;
use crate::jobs::finish::{Fence, done};
use crate::jobs::upkeep::hasten;
use crate::sql::statements;
use crate::tx::{Scope, Tx};
use crate::value::json;

statements! {
    WAKE = both("
        UPDATE sending_account SET wakes = wakes + 1 WHERE id = $1 AND tenant_id = $2 RETURNING id, wakes");
    OF_CAMPAIGN = both("
        SELECT account_id AS id FROM campaign_account WHERE campaign_id = $1 AND tenant_id = $2 ORDER BY account_id LIMIT 1000");
    REST = both("
        UPDATE sending_account SET wakes = wakes WHERE id = $1 AND tenant_id = $2 RETURNING id, wakes");
}

#[derive(sqlx::FromRow)]
struct WokenRow {
    id: Uuid,
    wakes: i64,
}

/// What the job of an account knows.
#[derive(Serialize)]
struct Arguments {
    account: SendingAccountId,
}

/// The key that there is one job by.
fn key(tenant: TenantId, account: SendingAccountId) -> String {
    format!("{tenant}/{account}")
}

/// An account has something to do.
pub(super) async fn wake_account(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    account: SendingAccountId,
    now: Timestamp,
) -> Result<()> {
    let woken: Option<WokenRow> = tx.query(WAKE).bind(account.uuid()).bind(tenant.uuid()).row().await?;
    let Some(WokenRow { id, wakes }) = woken else { return Ok(()) };
    let job = NewJob {
        id: JobId(derived(now, &[id.as_bytes(), b"wake", &wakes.to_be_bytes()])),
        queue: OUTREACH,
        kind: ACCOUNT_KIND,
        group: account.to_string(),
        tenant: Some(tenant),
        priority: JobPriority::Normal,
        arguments: json(&Arguments { account })?,
        unique: Some(Unique { key: key(tenant, account), until: None }),
        run_at: now,
        most_attempts: u32::MAX,
        trace: None,
    };
    if enqueue(tx, std::slice::from_ref(&job), now).await?.first().and_then(|enqueued| enqueued.job()) == Some(job.id) {
        return Ok(());
    }
    hasten(tx, ACCOUNT_KIND, &key(tenant, account), OUTREACH, now).await
}

/// The accounts of a campaign have something to do.
pub(super) async fn wake(tx: &mut Tx<'_>, tenant: TenantId, campaign: CampaignId, now: Timestamp) -> Result<()> {
    let accounts: Vec<crate::value::Id> =
        tx.query(OF_CAMPAIGN).bind(campaign.uuid()).bind(tenant.uuid()).rows().await?;
    for account in accounts {
        wake_account(tx, tenant, SendingAccountId(account.id), now).await?;
    }
    Ok(())
}

/// Ends the job of an account that has nothing to do. False when it was given something since `seen`: then it is to look
/// again.
#[derive(Clone, Copy, Debug)]
pub struct RestAccount {
    /// The organisation.
    pub tenant: TenantId,
    /// Which.
    pub account: SendingAccountId,
    /// How often it had been given something to do when it was looked at.
    pub seen: i64,
    /// The job.
    pub fence: Fence,
    /// The present moment.
    pub now: Timestamp,
}

impl Intent for RestAccount {
    type Output = bool;
    const WRITES: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<bool> {
        let rest: Option<WokenRow> = tx.query(REST).bind(self.account.uuid()).bind(self.tenant.uuid()).row().await?;
        if rest.is_some_and(|row| row.wakes != self.seen) {
            return Ok(false);
        }
        done(tx, self.fence, self.now).await?;
        Ok(true)
    }
}
