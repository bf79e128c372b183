//! Campaigns: made, changed, begun, paused and stopped.

use mainstay_domain::{
    CampaignId, CampaignState, EmailState, JobId, JobPriority, LeadState, PersonId, SendingAccountId, TenantId,
    Timestamp,
};
use serde::Serialize;
use uuid::Uuid;

use super::figures::{Of, Tally};
use super::waking::wake;
use super::{CLEAR_KIND, OUTREACH};
use crate::deliveries::derived;
use crate::error::{Error, Result};
use crate::idempotency::{Once, claim_with};
use crate::intent::Intent;
use crate::jobs::enqueue::enqueue;
use crate::jobs::{NewJob, Unique};
use crate::members::word;
use crate::sql::statements;
use crate::turns::Claim;
use crate::tx::{Scope, Tx};
use crate::value::{At, Id, json, moment};

/// At most so many rows are changed at once when a campaign stops; what is left is never claimed.
const MOST_AT_ONCE: i64 = 1_000;

/// The operation that keys are used for.
pub const MAKING_A_CAMPAIGN: &str = "campaign";

statements! {
    INSERT = both("
        INSERT INTO campaign (id, tenant_id, name, state, zone, sending_window, starts_at, track_opens, track_clicks, stop_on_reply,
          goal_url, postal_address, created_at, updated_at)
        VALUES ($1, $2, $3, 'draft', $4, $5, $6, $7, $8, $9, $10, $11, $12, $12) ON CONFLICT (id, tenant_id) DO NOTHING");
    UPDATE = both("
        UPDATE campaign SET name = $3, zone = $4, sending_window = $5, starts_at = $6, track_opens = $7, track_clicks = $8,
          stop_on_reply = $9, goal_url = $10, postal_address = $11, updated_at = $12
        WHERE id = $1 AND tenant_id = $2 AND state <> 'stopped'");
    GET = both("
        SELECT id, name, state, zone, sending_window, starts_at, track_opens, track_clicks, stop_on_reply, goal_url, postal_address,
          launched_at, created_at, updated_at
        FROM campaign WHERE id = $1 AND tenant_id = $2");
    LIST = both("
        SELECT id, name, state, zone, sending_window, starts_at, track_opens, track_clicks, stop_on_reply, goal_url, postal_address,
          launched_at, created_at, updated_at
        FROM campaign WHERE tenant_id = $1 AND (created_at, id) < ($2, $3) ORDER BY created_at DESC, id DESC LIMIT $4");
    SET_STATE = both("
        UPDATE campaign SET state = $4, updated_at = $5,
          launched_at = CASE WHEN $4 = 'running' THEN coalesce(launched_at, $5) ELSE launched_at END
        WHERE id = $1 AND tenant_id = $2 AND state = $3");
    ACCOUNTS = both("
        SELECT account_id AS id FROM campaign_account WHERE campaign_id = $1 AND tenant_id = $2 ORDER BY account_id LIMIT 1000");
    THERE = batch((id: uuid) "
        SELECT a.id FROM batch b JOIN sending_account a ON a.id = b.id AND a.tenant_id = $2");
    FORGET_ACCOUNTS = both("DELETE FROM campaign_account WHERE campaign_id = $1 AND tenant_id = $2");
    USE_ACCOUNT = insert((id: uuid) "
        campaign_account (campaign_id, account_id, tenant_id)
        SELECT $2, b.id, $3 FROM batch b JOIN sending_account a ON a.id = b.id AND a.tenant_id = $3 WHERE true ORDER BY b.id
        ON CONFLICT (campaign_id, account_id, tenant_id) DO NOTHING
        RETURNING account_id AS id");
    CANCEL = pair(sqlite "
        UPDATE email SET state = 'cancelled', said = 'The campaign was stopped.', updated_at = $3
        WHERE state IN ('scheduled', 'claimed') AND tenant_id = $2 AND id IN (SELECT e.id FROM email e WHERE e.tenant_id = $2 AND e.campaign_id = $1
            AND e.state IN ('scheduled', 'claimed') LIMIT $4)
        RETURNING tenant_id, campaign_id, step, variant_id, account_id, day",
        postgres "
        UPDATE email SET state = 'cancelled', said = 'The campaign was stopped.', updated_at = $3
        WHERE state IN ('scheduled', 'claimed') AND tenant_id = $2 AND id = ANY (ARRAY(SELECT e.id FROM email e WHERE e.tenant_id = $2 AND e.campaign_id = $1
            AND e.state IN ('scheduled', 'claimed') LIMIT $4))
        RETURNING tenant_id, campaign_id, step, variant_id, account_id, day",
        differs "PostgreSQL would join the sub-select by reading the whole table; as an array it looks each up");
    STOP_LEADS = pair(sqlite "
        UPDATE lead SET state = 'stopped', updated_at = $3
        WHERE state = $5 AND tenant_id = $2 AND id IN (SELECT l.id FROM lead l WHERE l.tenant_id = $2 AND l.campaign_id = $1
            AND l.state = $5 LIMIT $4)
        RETURNING id",
        postgres "
        UPDATE lead SET state = 'stopped', updated_at = $3
        WHERE state = $5 AND tenant_id = $2 AND id = ANY (ARRAY(SELECT l.id FROM lead l WHERE l.tenant_id = $2 AND l.campaign_id = $1
            AND l.state = $5 LIMIT $4))
        RETURNING id",
        differs "PostgreSQL would join the sub-select by reading the whole table; as an array it looks each up");
}

/// What a campaign is told to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CampaignSettings {
    /// What it is called.
    pub name: String,
    /// Where its days are counted for leads of which nobody knows the zone (IANA).
    pub zone: String,
    /// When it may send.
    pub window: String,
    /// Nothing is sent before this.
    pub starts_at: Option<Timestamp>,
    /// Whether it is told who opens an email.
    pub track_opens: bool,
    /// Whether it is told who follows a link.
    pub track_clicks: bool,
    /// Whether a lead that answers is written to no more.
    pub stop_on_reply: bool,
    /// A link that leads there, or below it, is what the campaign is for.
    pub goal_url: Option<String>,
    /// The address of whoever sends, as it stands in emails.
    pub postal_address: Option<String>,
}

/// A campaign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Campaign {
    /// Its id.
    pub id: CampaignId,
    /// What it is told to do.
    pub settings: CampaignSettings,
    /// Where it is in its life.
    pub state: CampaignState,
    /// When it first ran.
    pub launched_at: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

#[derive(sqlx::FromRow)]
pub(super) struct CampaignRow {
    id: Uuid,
    name: String,
    state: String,
    zone: String,
    sending_window: String,
    starts_at: Option<At>,
    track_opens: i64,
    track_clicks: i64,
    stop_on_reply: i64,
    goal_url: Option<String>,
    postal_address: Option<String>,
    launched_at: Option<At>,
    created_at: At,
    updated_at: At,
}

impl TryFrom<CampaignRow> for Campaign {
    type Error = Error;

    fn try_from(row: CampaignRow) -> Result<Self> {
        Ok(Self {
            id: CampaignId(row.id),
            settings: CampaignSettings {
                name: row.name,
                zone: row.zone,
                window: row.sending_window,
                starts_at: moment(row.starts_at),
                track_opens: row.track_opens == 1,
                track_clicks: row.track_clicks == 1,
                stop_on_reply: row.stop_on_reply == 1,
                goal_url: row.goal_url,
                postal_address: row.postal_address,
            },
            state: word(&row.state)?,
            launched_at: moment(row.launched_at),
            created_at: row.created_at.0,
            updated_at: row.updated_at.0,
        })
    }
}

/// Makes a campaign, or changes what one is told to do. False when there is none, or it has stopped.
#[derive(Clone, Debug)]
pub struct PutCampaign {
    /// The organisation.
    pub tenant: TenantId,
    /// Which.
    pub id: CampaignId,
    /// Whether it is a new one.
    pub new: bool,
    /// What it is told to do.
    pub settings: CampaignSettings,
    /// The idempotency key of whoever makes it, if there is one.
    pub claim: Option<(PersonId, Claim)>,
    /// The present moment.
    pub now: Timestamp,
}

impl Intent for PutCampaign {
    type Output = Once<bool>;
    const WRITES: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Once<bool>> {
        let made = (MAKING_A_CAMPAIGN, self.id.uuid());
        if let Some(used) = claim_with(tx, self.tenant, self.claim.as_ref(), made, self.now).await? {
            return Ok(Once::Repeat(used));
        }
        let settings = &self.settings;
        let put = tx.query(if self.new { INSERT } else { UPDATE }).bind(self.id.uuid()).bind(self.tenant.uuid());
        let put = put.bind(settings.name.clone()).bind(settings.zone.clone()).bind(settings.window.clone());
        let put = put.bind(settings.starts_at.map(At)).bind(i64::from(settings.track_opens));
        let put = put.bind(i64::from(settings.track_clicks)).bind(i64::from(settings.stop_on_reply));
        if put.bind(settings.goal_url.clone()).bind(settings.postal_address.clone()).bind(At(self.now)).run().await?
            == 0
        {
            return Ok(Once::Done(false));
        }
        if !self.new {
            wake(tx, self.tenant, self.id, self.now).await?;
        }
        Ok(Once::Done(true))
    }
}

/// Reads a campaign.
#[derive(Clone, Copy, Debug)]
pub struct GetCampaign {
    /// The organisation.
    pub tenant: TenantId,
    /// Which.
    pub id: CampaignId,
}

impl Intent for GetCampaign {
    type Output = Option<Campaign>;
    const WRITES: bool = false;
    const ONE_STATEMENT: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output> {
        campaign_of(tx, self.tenant, self.id).await
    }
}

pub(super) async fn campaign_of(tx: &mut Tx<'_>, tenant: TenantId, id: CampaignId) -> Result<Option<Campaign>> {
    let row: Option<CampaignRow> = tx.query(GET).bind(id.uuid()).bind(tenant.uuid()).row().await?;
    row.map(Campaign::try_from).transpose()
}

/// Lists campaigns, the newest first.
#[derive(Clone, Copy, Debug)]
pub struct ListCampaigns {
    /// The organisation.
    pub tenant: TenantId,
    /// Those before this one.
    pub before: Option<(Timestamp, CampaignId)>,
    /// At most so many.
    pub limit: u32,
}

impl Intent for ListCampaigns {
    type Output = Vec<Campaign>;
    const WRITES: bool = false;
    const ONE_STATEMENT: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output> {
        let (at, id) = self.before.unwrap_or((crate::value::END_OF_TIME, CampaignId(Uuid::max())));
        let list = tx.query(LIST).bind(self.tenant.uuid()).bind(At(at)).bind(id.uuid()).bind(i64::from(self.limit));
        let rows: Vec<CampaignRow> = list.rows().await?;
        rows.into_iter().map(Campaign::try_from).collect()
    }
}

/// Names the accounts that send for a campaign, in place of those before. Nothing changes when one is not there.
#[derive(Clone, Debug)]
pub struct UseAccounts {
    /// The organisation.
    pub tenant: TenantId,
    /// The campaign.
    pub campaign: CampaignId,
    /// The accounts, at most 1,000.
    pub accounts: Vec<SendingAccountId>,
    /// The present moment.
    pub now: Timestamp,
}

impl Intent for UseAccounts {
    /// Those that send, or the first that is not there.
    type Output = std::result::Result<Vec<SendingAccountId>, SendingAccountId>;
    const WRITES: bool = true;
    const REPEATABLE: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output> {
        let (campaign, tenant) = (self.campaign.uuid(), self.tenant.uuid());
        let rows: Vec<_> = self.accounts.iter().map(|account| Id { id: account.uuid() }).collect();
        let there: Vec<Id> = tx.batch(THERE, &rows).bind(tenant).rows().await?;
        let there = super::ids(&there);
        if let Some(missing) = self.accounts.iter().find(|account| !there.contains(&account.uuid())) {
            return Ok(Err(*missing));
        }
        tx.query(FORGET_ACCOUNTS).bind(campaign).bind(tenant).run().await?;
        let used: Vec<Id> = tx.batch(USE_ACCOUNT, &rows).bind(campaign).bind(tenant).rows().await?;
        wake(tx, self.tenant, self.campaign, self.now).await?;
        Ok(Ok(used.into_iter().map(|row| SendingAccountId(row.id)).collect()))
    }
}

/// The accounts that send for a campaign.
#[derive(Clone, Copy, Debug)]
pub struct AccountsOf {
    /// The organisation.
    pub tenant: TenantId,
    /// The campaign.
    pub campaign: CampaignId,
}

impl Intent for AccountsOf {
    type Output = Vec<SendingAccountId>;
    const WRITES: bool = false;
    const ONE_STATEMENT: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output> {
        let accounts = tx.query(ACCOUNTS).bind(self.campaign.uuid()).bind(self.tenant.uuid());
        let accounts: Vec<Id> = accounts.rows().await?;
        Ok(accounts.into_iter().map(|row| SendingAccountId(row.id)).collect())
    }
}

/// Begins, pauses or stops a campaign. From the commit on nothing of a campaign that does not run goes out but what was in
/// flight. False when it is no longer in the state that it was seen in.
#[derive(Clone, Copy, Debug)]
pub struct SetCampaignState {
    /// The organisation.
    pub tenant: TenantId,
    /// Which.
    pub id: CampaignId,
    /// The state that it was seen in.
    pub seen: CampaignState,
    /// What it is to be.
    pub state: CampaignState,
    /// The present moment.
    pub now: Timestamp,
}

impl Intent for SetCampaignState {
    type Output = bool;
    const WRITES: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<bool> {
        let set = tx.query(SET_STATE).bind(self.id.uuid()).bind(self.tenant.uuid()).bind(self.seen.as_str());
        if set.bind(self.state.as_str()).bind(At(self.now)).run().await? == 0 {
            return Ok(false);
        }
        match self.state {
            CampaignState::Running => wake(tx, self.tenant, self.id, self.now).await?,
            CampaignState::Stopped => {
                let clear = clear_job(self.tenant, self.id, self.now)?;
                enqueue(tx, std::slice::from_ref(&clear), self.now).await?;
            }
            CampaignState::Draft | CampaignState::Paused => {}
        }
        Ok(true)
    }
}

/// What the job that clears a campaign knows.
#[derive(Serialize)]
struct ClearArguments {
    campaign: CampaignId,
}

/// The job that clears a campaign that was stopped.
fn clear_job(tenant: TenantId, campaign: CampaignId, now: Timestamp) -> Result<NewJob> {
    Ok(NewJob {
        id: JobId(derived(now, &[campaign.uuid().as_bytes(), b"clear"])),
        queue: OUTREACH,
        kind: CLEAR_KIND,
        group: tenant.to_string(),
        tenant: Some(tenant),
        priority: JobPriority::Normal,
        arguments: json(&ClearArguments { campaign })?,
        unique: Some(Unique { key: format!("{tenant}/{campaign}"), until: None }),
        run_at: now,
        most_attempts: 20,
        trace: None,
    })
}

/// Cancels what a stopped campaign has left, a thousand rows of each sort at a time. The answer is whether there may be more.
#[derive(Clone, Copy, Debug)]
pub struct ClearCampaign {
    /// The organisation.
    pub tenant: TenantId,
    /// Which.
    pub id: CampaignId,
    /// The present moment.
    pub now: Timestamp,
}

impl Intent for ClearCampaign {
    type Output = bool;
    const WRITES: bool = true;
    const REPEATABLE: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<bool> {
        let campaign = campaign_of(tx, self.tenant, self.id).await?;
        if campaign.is_none_or(|campaign| campaign.state != CampaignState::Stopped) {
            return Ok(false);
        }
        let (id, tenant, mut tally, mut more) = (self.id.uuid(), self.tenant.uuid(), Tally::default(), false);
        for state in [LeadState::New, LeadState::Active] {
            let stop = tx.query(STOP_LEADS).bind(id).bind(tenant).bind(At(self.now)).bind(MOST_AT_ONCE);
            let stopped: Vec<Id> = stop.bind(state.as_str()).rows().await?;
            let number = crate::value::signed(stopped.len() as u64);
            tally.leads(tenant, id, state, -number);
            tally.leads(tenant, id, LeadState::Stopped, number);
            more |= number == MOST_AT_ONCE;
        }
        let cancel = tx.query(CANCEL).bind(id).bind(tenant).bind(At(self.now)).bind(MOST_AT_ONCE);
        let cancelled: Vec<Of> = cancel.rows().await?;
        more |= crate::value::signed(cancelled.len() as u64) == MOST_AT_ONCE;
        for of in cancelled {
            tally.moved(of, EmailState::Scheduled, EmailState::Cancelled);
        }
        tally.write(tx).await?;
        Ok(more)
    }
}
