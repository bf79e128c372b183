//! What is unknown is resolved: by what was found out, or by somebody who decides. Nothing else sends it again.

use mainstay_domain::{
    CampaignId, EmailId, EmailState, LeadId, LeadState, SendingAccountId, StepVariantId, TenantId, Timestamp,
};
use uuid::Uuid;

use super::NextEmail;
use super::advancing::{Advance, advance};
use super::events::{Subject, Told};
use super::figures::{Kind, Of, Tally};
use super::waking::wake_account;
use crate::error::Result;
use crate::intent::Intent;
use crate::sql::statements;
use crate::tx::{Scope, Tx};
use crate::value::At;

statements! {
    SENT = both("
        UPDATE email SET state = 'accepted', accepted_at = coalesce(accepted_at, fenced_at), updated_at = $3
        WHERE id = $1 AND tenant_id = $2 AND state = 'unknown'
        RETURNING tenant_id, campaign_id, step, variant_id, account_id, day, id, lead_id, address");
    FAILED = pair(sqlite "
        SELECT e.lead_id, e.campaign_id, e.step, e.variant_id, e.account_id, e.day, e.tenant_id, e.state,
          EXISTS (SELECT 1 FROM suppression s WHERE s.tenant_id = $2 AND s.subject = e.address)
            OR EXISTS (SELECT 1 FROM suppression s WHERE s.tenant_id = $2 AND s.subject = '@' || e.domain) AS suppressed
        FROM email e WHERE e.id = $1 AND e.tenant_id = $2 AND e.state IN ('unknown', 'rejected')",
        postgres "
        SELECT e.lead_id, e.campaign_id, e.step, e.variant_id, e.account_id, e.day, e.tenant_id, e.state,
          (EXISTS (SELECT 1 FROM suppression s WHERE s.tenant_id = $2 AND s.subject = e.address)
            OR EXISTS (SELECT 1 FROM suppression s WHERE s.tenant_id = $2 AND s.subject = '@' || e.domain))::int::bigint AS suppressed
        FROM email e WHERE e.id = $1 AND e.tenant_id = $2 AND e.state IN ('unknown', 'rejected') FOR NO KEY UPDATE OF e",
        differs "SQLite has one writer and no row locks, and a truth is a number there");
    AGAIN = both("
        UPDATE email SET state = 'scheduled', due_at = $3, in_turn = 0, bounced_at = NULL, updated_at = $3
        WHERE id = $1 AND tenant_id = $2 AND state IN ('unknown', 'rejected')");
    REVIVE = both("
        UPDATE lead SET state = 'active', updated_at = $3
        WHERE id = $1 AND tenant_id = $2 AND state IN ('stopped', 'bounced') RETURNING state");
    LEAD = pair(sqlite "SELECT state, campaign_id FROM lead WHERE id = $1 AND tenant_id = $2",
        postgres "SELECT state, campaign_id FROM lead WHERE id = $1 AND tenant_id = $2 FOR NO KEY UPDATE",
        differs "SQLite has one writer and no row locks");
    PLACE = both("
        SELECT campaign_id, lead_id, step, variant_id, account_id, address, zone, message_id FROM email
        WHERE id = $1 AND tenant_id = $2");
}

#[derive(sqlx::FromRow)]
struct SentRow {
    #[sqlx(flatten)]
    of: Of,
    id: Uuid,
    lead_id: Uuid,
    address: String,
}

#[derive(sqlx::FromRow)]
struct FailedRow {
    #[sqlx(flatten)]
    of: Of,
    lead_id: Uuid,
    state: String,
    suppressed: i64,
}

#[derive(sqlx::FromRow)]
struct LeadRow {
    state: String,
    campaign_id: Uuid,
}

/// What was unknown was sent, it turns out. The answer is whose it is, when it was unknown.
pub(super) async fn sent(
    tx: &mut Tx<'_>,
    (tenant, email): (TenantId, EmailId),
    tally: &mut Tally,
    now: Timestamp,
) -> Result<Option<LeadId>> {
    let sent = tx.query(SENT).bind(email.uuid()).bind(tenant.uuid()).bind(At(now));
    let row: Option<SentRow> = sent.row().await?;
    Ok(row.map(|row| {
        tally.moved(row.of, EmailState::Unknown, EmailState::Accepted);
        let subject = Subject { of: row.of, email: row.id, lead: row.lead_id, address: row.address };
        tally.tell(subject, Told::Sent, now);
        LeadId(row.lead_id)
    }))
}

/// How something is resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resolution {
    /// It was sent: what comes after it is made; nothing after the last step.
    Sent(Option<NextEmail>),
    /// It is to be sent again, whether or not it was sent before: somebody has said so.
    Again,
}

/// What became of a wish to resolve something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resolved {
    /// It is so.
    Done,
    /// There is no such email, or it is neither unknown nor, to be sent again, rejected.
    NotOpen,
    /// Whoever it goes to is on the suppression list.
    Suppressed,
}

/// Resolves an email that is unknown; or has one sent again that was rejected.
#[derive(Clone, Debug)]
pub struct ResolveEmail {
    /// The organisation.
    pub tenant: TenantId,
    /// Which.
    pub id: EmailId,
    /// How.
    pub resolution: Resolution,
    /// The present moment.
    pub now: Timestamp,
}

impl Intent for ResolveEmail {
    type Output = Resolved;
    const WRITES: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Resolved> {
        let mut tally = Tally::default();
        let resolved = match &self.resolution {
            Resolution::Sent(next) => {
                let lead = sent(tx, (self.tenant, self.id), &mut tally, self.now).await?;
                let Some(lead) = lead else { return Ok(Resolved::NotOpen) };
                let on = Advance { tenant: self.tenant, lead, next: next.as_ref(), now: self.now };
                for account in advance(tx, vec![on], &mut tally).await? {
                    wake_account(tx, self.tenant, account, self.now).await?;
                }
                Resolved::Done
            }
            Resolution::Again => self.again(tx, &mut tally).await?,
        };
        tally.write(tx).await?;
        Ok(resolved)
    }
}

impl ResolveEmail {
    async fn again(&self, tx: &mut Tx<'_>, tally: &mut Tally) -> Result<Resolved> {
        let (id, tenant) = (self.id.uuid(), self.tenant.uuid());
        let failed: Option<FailedRow> = tx.query(FAILED).bind(id).bind(tenant).row().await?;
        let Some(failed) = failed else { return Ok(Resolved::NotOpen) };
        if failed.suppressed != 0 {
            return Ok(Resolved::Suppressed);
        }
        let lead: Option<LeadRow> = tx.query(LEAD).bind(failed.lead_id).bind(tenant).row().await?;
        let Some(lead) = lead else { return Ok(Resolved::NotOpen) };
        let before: LeadState = crate::members::word(&lead.state)?;
        let state: EmailState = crate::members::word(&failed.state)?;
        match (before, state) {
            (LeadState::Active, _) => {}
            // It was its being refused that has stopped them.
            (LeadState::Stopped | LeadState::Bounced, EmailState::Rejected) => {
                let revive = tx.query(REVIVE).bind(failed.lead_id).bind(tenant).bind(At(self.now));
                revive.run().await?;
                tally.leads(tenant, lead.campaign_id, before, -1);
                tally.leads(tenant, lead.campaign_id, LeadState::Active, 1);
            }
            _ => return Ok(Resolved::NotOpen),
        }
        tx.query(AGAIN).bind(id).bind(tenant).bind(At(self.now)).run().await?;
        tally.moved(failed.of, state, EmailState::Scheduled);
        if before == LeadState::Bounced {
            tally.add(failed.of, Kind::Became(super::figures::Became::Bounced), -1);
        }
        wake_account(tx, self.tenant, SendingAccountId(failed.of.account_id), self.now).await?;
        Ok(Resolved::Done)
    }
}

/// Where an email stands in its campaign: what is needed to make the one after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EmailPlace {
    /// The campaign.
    pub campaign: CampaignId,
    /// Whom it goes to.
    pub lead: LeadId,
    /// The step.
    pub step: u32,
    /// The text.
    pub variant: StepVariantId,
    /// What sends it.
    pub account: SendingAccountId,
    /// The address.
    pub address: String,
    /// Where they live (IANA).
    pub zone: String,
    /// Its Message-ID, without angle brackets.
    pub message_id: String,
}

#[derive(sqlx::FromRow)]
struct PlaceRow {
    campaign_id: Uuid,
    lead_id: Uuid,
    step: i64,
    variant_id: Uuid,
    account_id: Uuid,
    address: String,
    zone: String,
    message_id: String,
}

/// Reads where an email stands.
#[derive(Clone, Copy, Debug)]
pub struct ReadPlace {
    /// The organisation.
    pub tenant: TenantId,
    /// Which.
    pub id: EmailId,
}

impl Intent for ReadPlace {
    type Output = Option<EmailPlace>;
    const WRITES: bool = false;
    const ONE_STATEMENT: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output> {
        let row: Option<PlaceRow> = tx.query(PLACE).bind(self.id.uuid()).bind(self.tenant.uuid()).row().await?;
        Ok(row.map(|row| EmailPlace {
            campaign: CampaignId(row.campaign_id),
            lead: LeadId(row.lead_id),
            step: crate::value::count(row.step),
            variant: StepVariantId(row.variant_id),
            account: SendingAccountId(row.account_id),
            address: row.address,
            zone: row.zone,
            message_id: row.message_id,
        }))
    }
}
