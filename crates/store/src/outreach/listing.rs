//! Emails as people look at them, and as something that came back is matched with them.

use mainstay_domain::{CampaignId, EmailId, EmailState, LeadId, SendingAccountId, StepVariantId, TenantId, Timestamp};
use serde::Serialize;
use uuid::Uuid;

use crate::error::{Error, Result};
use crate::intent::Intent;
use crate::members::word;
use crate::sql::statements;
use crate::tx::{Scope, Tx};
use crate::value::{At, count, moment};

statements! {
    GET = both("
        SELECT id, campaign_id, lead_id, step, variant_id, account_id, address, message_id, state, due_at, attempts, fenced_at,
          accepted_at, code, enhanced, said, opened_at, machine_opened_at, clicked_at, machine_clicked_at, replied_at, bounced_at,
          complained_at, unsubscribed_at, converted_at, created_at, updated_at
        FROM email WHERE id = $1 AND tenant_id = $2");
    OF_CAMPAIGN = both("
        SELECT id, campaign_id, lead_id, step, variant_id, account_id, address, message_id, state, due_at, attempts, fenced_at,
          accepted_at, code, enhanced, said, opened_at, machine_opened_at, clicked_at, machine_clicked_at, replied_at, bounced_at,
          complained_at, unsubscribed_at, converted_at, created_at, updated_at
        FROM email WHERE tenant_id = $1 AND campaign_id = $2 AND id < $3 ORDER BY id DESC LIMIT $4");
    ALL = both("
        SELECT id, campaign_id, lead_id, step, variant_id, account_id, address, message_id, state, due_at, attempts, fenced_at,
          accepted_at, code, enhanced, said, opened_at, machine_opened_at, clicked_at, machine_clicked_at, replied_at, bounced_at,
          complained_at, unsubscribed_at, converted_at, created_at, updated_at
        FROM email WHERE tenant_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3");
    OF_LEAD = both("
        SELECT id, campaign_id, lead_id, step, variant_id, account_id, address, message_id, state, due_at, attempts, fenced_at,
          accepted_at, code, enhanced, said, opened_at, machine_opened_at, clicked_at, machine_clicked_at, replied_at, bounced_at,
          complained_at, unsubscribed_at, converted_at, created_at, updated_at
        FROM email WHERE tenant_id = $1 AND campaign_id = $2 AND lead_id = $3 ORDER BY step LIMIT 100");
    /// The states are those of the index, which SQLite does not see in the one.
    UNKNOWN = both("
        SELECT id, campaign_id, lead_id, step, variant_id, account_id, address, message_id, state, due_at, attempts, fenced_at,
          accepted_at, code, enhanced, said, opened_at, machine_opened_at, clicked_at, machine_clicked_at, replied_at, bounced_at,
          complained_at, unsubscribed_at, converted_at, created_at, updated_at
        FROM email WHERE tenant_id = $1 AND state IN ('rejected', 'unknown') AND state = 'unknown' AND id < $2 ORDER BY id DESC LIMIT $3");
    REJECTED = both("
        SELECT id, campaign_id, lead_id, step, variant_id, account_id, address, message_id, state, due_at, attempts, fenced_at,
          accepted_at, code, enhanced, said, opened_at, machine_opened_at, clicked_at, machine_clicked_at, replied_at, bounced_at,
          complained_at, unsubscribed_at, converted_at, created_at, updated_at
        FROM email WHERE tenant_id = $1 AND state IN ('rejected', 'unknown') AND state = 'rejected' AND id < $2 ORDER BY id DESC LIMIT $3");
    BY_MESSAGE = batch((message_id: text) "
        SELECT b.n, e.id, e.lead_id, e.campaign_id, e.address, e.state FROM batch b
        JOIN email e ON e.tenant_id = $2 AND e.message_id = b.message_id
        UNION ALL
        SELECT b.n, e.id, e.lead_id, e.campaign_id, e.address, e.state FROM batch b
        JOIN email e ON e.tenant_id = $2 AND e.sent_message_id = b.message_id ORDER BY n");
}

/// An email.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Email {
    /// Its id.
    pub id: EmailId,
    /// Its campaign.
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
    /// Its Message-ID, without angle brackets.
    pub message_id: String,
    /// Where it is in its life.
    pub state: EmailState,
    /// When it is to be sent, or was.
    pub due_at: Timestamp,
    /// How often it was offered to a server.
    pub attempts: u32,
    /// When it was last about to go out.
    pub fenced_at: Option<Timestamp>,
    /// When a server took it.
    pub accepted_at: Option<Timestamp>,
    /// The code that the server said, and the enhanced one.
    pub code: (Option<u32>, Option<String>),
    /// Its words, or why it was not sent.
    pub said: Option<String>,
    /// The first time that somebody opened it, and that a machine did.
    pub opened_at: (Option<Timestamp>, Option<Timestamp>),
    /// The first time that somebody followed a link, and that a machine did.
    pub clicked_at: (Option<Timestamp>, Option<Timestamp>),
    /// When it was answered.
    pub replied_at: Option<Timestamp>,
    /// When it came back.
    pub bounced_at: Option<Timestamp>,
    /// When it was called junk.
    pub complained_at: Option<Timestamp>,
    /// When somebody said by it that they want no more.
    pub unsubscribed_at: Option<Timestamp>,
    /// When it led to what the campaign is for.
    pub converted_at: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When something of it last changed.
    pub updated_at: Timestamp,
}

#[derive(sqlx::FromRow)]
struct EmailRow {
    id: Uuid,
    campaign_id: Uuid,
    lead_id: Uuid,
    step: i64,
    variant_id: Uuid,
    account_id: Uuid,
    address: String,
    message_id: String,
    state: String,
    due_at: At,
    attempts: i64,
    fenced_at: Option<At>,
    accepted_at: Option<At>,
    code: Option<i64>,
    enhanced: Option<String>,
    said: Option<String>,
    opened_at: Option<At>,
    machine_opened_at: Option<At>,
    clicked_at: Option<At>,
    machine_clicked_at: Option<At>,
    replied_at: Option<At>,
    bounced_at: Option<At>,
    complained_at: Option<At>,
    unsubscribed_at: Option<At>,
    converted_at: Option<At>,
    created_at: At,
    updated_at: At,
}

impl TryFrom<EmailRow> for Email {
    type Error = Error;

    fn try_from(row: EmailRow) -> Result<Self> {
        Ok(Self {
            id: EmailId(row.id),
            campaign: CampaignId(row.campaign_id),
            lead: LeadId(row.lead_id),
            step: count(row.step),
            variant: StepVariantId(row.variant_id),
            account: SendingAccountId(row.account_id),
            address: row.address,
            message_id: row.message_id,
            state: word(&row.state)?,
            due_at: row.due_at.0,
            attempts: count(row.attempts),
            fenced_at: moment(row.fenced_at),
            accepted_at: moment(row.accepted_at),
            code: (row.code.map(count), row.enhanced),
            said: row.said,
            opened_at: (moment(row.opened_at), moment(row.machine_opened_at)),
            clicked_at: (moment(row.clicked_at), moment(row.machine_clicked_at)),
            replied_at: moment(row.replied_at),
            bounced_at: moment(row.bounced_at),
            complained_at: moment(row.complained_at),
            unsubscribed_at: moment(row.unsubscribed_at),
            converted_at: moment(row.converted_at),
            created_at: row.created_at.0,
            updated_at: row.updated_at.0,
        })
    }
}

/// Reads an email.
#[derive(Clone, Copy, Debug)]
pub struct GetEmail {
    /// The organisation.
    pub tenant: TenantId,
    /// Which.
    pub id: EmailId,
}

impl Intent for GetEmail {
    type Output = Option<Email>;
    const WRITES: bool = false;
    const ONE_STATEMENT: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output> {
        let row: Option<EmailRow> = tx.query(GET).bind(self.id.uuid()).bind(self.tenant.uuid()).row().await?;
        row.map(Email::try_from).transpose()
    }
}

/// Which emails are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EmailsOf {
    /// All of the organisation.
    All,
    /// Those of a campaign.
    Campaign(CampaignId),
    /// Those to a lead, at most 100, by their steps.
    Lead(CampaignId, LeadId),
    /// Those of which nobody knows what became of them.
    Unknown,
    /// Those that were refused for good.
    Rejected,
}

/// Lists emails, the newest first.
#[derive(Clone, Copy, Debug)]
pub struct ListEmails {
    /// The organisation.
    pub tenant: TenantId,
    /// Which.
    pub of: EmailsOf,
    /// Those before this one.
    pub before: Option<EmailId>,
    /// At most so many.
    pub limit: u32,
}

impl Intent for ListEmails {
    type Output = Vec<Email>;
    const WRITES: bool = false;
    const ONE_STATEMENT: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output> {
        let (tenant, limit) = (self.tenant.uuid(), i64::from(self.limit));
        let before = self.before.map_or(Uuid::max(), EmailId::uuid);
        let list = match self.of {
            EmailsOf::Campaign(id) => tx.query(OF_CAMPAIGN).bind(tenant).bind(id.uuid()).bind(before).bind(limit),
            EmailsOf::Lead(campaign, lead) => tx.query(OF_LEAD).bind(tenant).bind(campaign.uuid()).bind(lead.uuid()),
            EmailsOf::All => tx.query(ALL).bind(tenant).bind(before).bind(limit),
            EmailsOf::Unknown => tx.query(UNKNOWN).bind(tenant).bind(before).bind(limit),
            EmailsOf::Rejected => tx.query(REJECTED).bind(tenant).bind(before).bind(limit),
        };
        let rows: Vec<EmailRow> = list.rows().await?;
        rows.into_iter().map(Email::try_from).collect()
    }
}

/// Finds the email that something answers or reports: the first of these Message-IDs that is one of ours, or one that a
/// provider has put in the place of ours.
#[derive(Clone, Debug)]
pub struct FindByMessage {
    /// The organisation.
    pub tenant: TenantId,
    /// Message-IDs without angle brackets, the likeliest first; at most 100.
    pub message_ids: Vec<String>,
}

/// An email that was found by its Message-ID.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundEmail {
    /// Its id.
    pub id: EmailId,
    /// Whom it goes to.
    pub lead: LeadId,
    /// Its campaign.
    pub campaign: CampaignId,
    /// The address that it went to.
    pub address: String,
    /// Where it is in its life.
    pub state: EmailState,
}

#[derive(Serialize)]
struct MessageRow<'a> {
    message_id: &'a str,
}

#[derive(sqlx::FromRow)]
struct FoundRow {
    id: Uuid,
    lead_id: Uuid,
    campaign_id: Uuid,
    address: String,
    state: String,
}

impl Intent for FindByMessage {
    type Output = Option<FoundEmail>;
    const WRITES: bool = false;
    const ONE_STATEMENT: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output> {
        let rows: Vec<_> = self.message_ids.iter().map(|message_id| MessageRow { message_id }).collect();
        let found: Option<FoundRow> = tx.batch(BY_MESSAGE, &rows).bind(self.tenant.uuid()).row().await?;
        let found = found.map(|row| {
            Ok(FoundEmail {
                id: EmailId(row.id),
                lead: LeadId(row.lead_id),
                campaign: CampaignId(row.campaign_id),
                address: row.address,
                state: word(&row.state)?,
            })
        });
        found.transpose()
    }
}
