//! Waking: whoever gives an account something to do counts up a number of its row and sees to it that its job is there and
//! due. A job that ends looks at that number under the same lock, so that nothing is given to one that has just ended.

use mainstay_domain::{CampaignId, JobId, JobPriority, SendingAccountId, TenantId, Timestamp};
use serde::Serialize;
use uuid::Uuid;

use super::{ACCOUNT_KIND, ACCOUNT_WAKE_KIND, OUTREACH};
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
    WAKE_CAMPAIGN = both("
        UPDATE sending_account SET wakes = wakes + 1 WHERE tenant_id = $2 AND id IN (
          SELECT u.account_id FROM campaign_account u WHERE u.campaign_id = $1 AND u.tenant_id = $2)
        RETURNING id, wakes");
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
    let woken: Vec<WokenRow> = tx.query(WAKE).bind(account.uuid()).bind(tenant.uuid()).rows().await?;
    promise(tx, tenant, &woken, now).await
}

/// The accounts of a campaign have something to do.
pub(super) async fn wake(tx: &mut Tx<'_>, tenant: TenantId, campaign: CampaignId, now: Timestamp) -> Result<()> {
    let woken: Vec<WokenRow> = tx.query(WAKE_CAMPAIGN).bind(campaign.uuid()).bind(tenant.uuid()).rows().await?;
    promise(tx, tenant, &woken, now).await
}

/// The job of each is there, and due.
async fn promise(tx: &mut Tx<'_>, tenant: TenantId, woken: &[WokenRow], now: Timestamp) -> Result<()> {
    let job = |row: &WokenRow| {
        let account = SendingAccountId(row.id);
        Ok(NewJob {
            id: JobId(derived(now, &[row.id.as_bytes(), b"wake", &row.wakes.to_be_bytes()])),
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
        })
    };
    let jobs = woken.iter().map(job).collect::<Result<Vec<_>>>()?;
    let enqueued = enqueue(tx, &jobs, now).await?;
    let there = jobs.into_iter().zip(enqueued).filter(|(job, enqueued)| enqueued.job() != Some(job.id));
    // Those that are there and wait for their moment are brought forward by whoever may change jobs.
    let wakes: Vec<_> = there
        .map(|(job, _)| NewJob {
            id: JobId(derived(now, &[job.id.uuid().as_bytes(), b"forward"])),
            kind: ACCOUNT_WAKE_KIND,
            most_attempts: 20,
            ..job
        })
        .collect();
    enqueue(tx, &wakes, now).await.map(drop)
}

/// Brings the job of an account forward, if it is there and was to be later.
#[derive(Clone, Copy, Debug)]
pub struct BringForward {
    /// The organisation.
    pub tenant: TenantId,
    /// Which.
    pub account: SendingAccountId,
    /// The present moment.
    pub now: Timestamp,
}

impl Intent for BringForward {
    type Output = ();
    const WRITES: bool = true;
    const REPEATABLE: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<()> {
        hasten(tx, ACCOUNT_KIND, &key(self.tenant, self.account), OUTREACH, self.now).await
    }
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
