//! A run begins: it gets a number, and finds what the one before it has left.

use mainstay_domain::{EmailState, SendingAccountId, TenantId, Timestamp};
use uuid::Uuid;

use super::accounts::{SendingAccount, account_of};
use super::campaigns::{Campaign, CampaignRow};
use super::events::{Subject, Told};
use super::figures::{Of, Tally};
use super::quota::forget;
use super::steps::{CampaignStep, steps_of};
use crate::error::Result;
use crate::intent::Intent;
use crate::members::word;
use crate::sql::statements;
use crate::tx::{Scope, Tx};
use crate::value::At;

statements! {
    BEGIN = both("UPDATE sending_account SET run = run + 1 WHERE id = $1 AND tenant_id = $2");
    /// What the run before has left. There is as much of it as one run holds.
    RECOVER = both("
        UPDATE email SET state = CASE WHEN state = 'claimed' THEN 'scheduled' ELSE 'unknown' END, updated_at = $3,
          said = CASE WHEN state = 'claimed' THEN said ELSE 'The server that was sending it ended.' END
        WHERE account_id = $1 AND tenant_id = $2 AND state IN ('claimed', 'in_flight')
        RETURNING tenant_id, campaign_id, step, variant_id, account_id, day, state, id, lead_id, address");
    CAMPAIGNS = both("
        SELECT c.id, c.name, c.state, c.zone, c.sending_window, c.starts_at, c.track_opens, c.track_clicks, c.stop_on_reply,
          c.goal_url, c.postal_address, c.launched_at, c.created_at, c.updated_at
        FROM campaign_account a JOIN campaign c ON c.id = a.campaign_id AND c.tenant_id = a.tenant_id
        WHERE a.account_id = $1 AND a.tenant_id = $2 AND c.state = 'running' ORDER BY c.id LIMIT 200");
    ZONES = both("
        SELECT zone FROM campaign_zone WHERE campaign_id = $1 AND tenant_id = $2 ORDER BY zone LIMIT 600");
}

/// A campaign that a run sends for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunCampaign {
    /// The campaign.
    pub campaign: Campaign,
    /// Where its leads live (IANA).
    pub zones: Vec<String>,
    /// Its steps.
    pub steps: Vec<CampaignStep>,
}

/// A run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountRun {
    /// The account, with the number of the run.
    pub account: SendingAccount,
    /// What it sends for.
    pub campaigns: Vec<RunCampaign>,
    /// How many emails were left claimed, which are to be sent, and how many in flight, which are unknown now.
    pub left: (usize, usize),
}

/// Begins a run of an account. Nothing when there is no such account.
#[derive(Clone, Copy, Debug)]
pub struct BeginRun {
    /// The organisation.
    pub tenant: TenantId,
    /// Which.
    pub account: SendingAccountId,
    /// The present moment.
    pub now: Timestamp,
}

#[derive(sqlx::FromRow)]
struct ZoneRow {
    zone: String,
}

#[derive(sqlx::FromRow)]
struct RecoveredRow {
    #[sqlx(flatten)]
    of: Of,
    state: String,
    id: Uuid,
    lead_id: Uuid,
    address: String,
}

impl Intent for BeginRun {
    type Output = Option<AccountRun>;
    const WRITES: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output> {
        let (id, tenant) = (self.account.uuid(), self.tenant.uuid());
        if tx.query(BEGIN).bind(id).bind(tenant).run().await? == 0 {
            return Ok(None);
        }
        let left = recover(tx, (id, tenant), self.now).await?;
        forget(tx, (self.tenant, self.account), self.now).await?;
        let Some(account) = account_of(tx, self.tenant, self.account).await? else { return Ok(None) };
        let rows: Vec<CampaignRow> = tx.query(CAMPAIGNS).bind(id).bind(tenant).rows().await?;
        let mut campaigns = Vec::with_capacity(rows.len());
        for row in rows {
            let campaign = Campaign::try_from(row)?;
            let zones = tx.query(ZONES).bind(campaign.id.uuid()).bind(tenant);
            let zones = zones.rows::<ZoneRow>().await?.into_iter().map(|row| row.zone).collect();
            let steps = steps_of(tx, self.tenant, campaign.id).await?;
            campaigns.push(RunCampaign { campaign, zones, steps });
        }
        Ok(Some(AccountRun { account, campaigns, left }))
    }
}

/// Of what the run before has left, what was claimed is to be sent, and of what was in flight nobody knows.
async fn recover(tx: &mut Tx<'_>, (account, tenant): (Uuid, Uuid), now: Timestamp) -> Result<(usize, usize)> {
    let recover = tx.query(RECOVER).bind(account).bind(tenant).bind(At(now));
    let rows: Vec<RecoveredRow> = recover.rows().await?;
    let (mut claimed, mut in_flight, mut tally) = (0, 0, Tally::default());
    for row in rows {
        match word(&row.state)? {
            EmailState::Unknown => {
                in_flight += 1;
                tally.moved(row.of, EmailState::InFlight, EmailState::Unknown);
                let subject = Subject { of: row.of, email: row.id, lead: row.lead_id, address: row.address };
                tally.tell(subject, Told::Unknown, now);
            }
            _ => claimed += 1,
        }
    }
    tally.write(tx).await?;
    Ok((claimed, in_flight))
}
