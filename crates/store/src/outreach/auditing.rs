//! What whoever audits looks at, over all organisations: the newest accounts and campaigns, emails that nobody goes on with,
//! emails that went out after their lead had stopped, and whether figures equal their rows.
//!
//! Each look is bounded by a number of rows that it reads by their keys, the newest first.

use std::collections::BTreeSet;

use mainstay_domain::{AccountState, CampaignId, EmailId, LeadId, SendingAccountId, TenantId, Timestamp};
use serde::Serialize;
use uuid::Uuid;

use super::figures::{CountFigures, OutreachFigure, ReadFigures};
use crate::error::Result;
use crate::intent::Intent;
use crate::members::word;
use crate::sql::statements;
use crate::tx::{Scope, Tx};
use crate::value::{At, Id, Place, count, moment};

statements! {
    ACCOUNTS = both("
        SELECT id, tenant_id, address, state, reason, updated_at FROM sending_account WHERE id < $1 ORDER BY id DESC LIMIT $2");
    IN_USE = batch((id: uuid, tenant_id: uuid) "
        SELECT DISTINCT u.account_id AS id FROM batch b
        JOIN campaign_account u ON u.account_id = b.id AND u.tenant_id = b.tenant_id
        JOIN campaign c ON c.id = u.campaign_id AND c.tenant_id = u.tenant_id WHERE c.state = 'running'");
    MAILBOXES = batch((id: uuid, tenant_id: uuid) "
        SELECT m.id, m.state, m.reason, m.looked_at, m.created_at FROM batch b JOIN mailbox m ON m.id = b.id AND m.tenant_id = b.tenant_id");
    HELD = batch((id: uuid, tenant_id: uuid) "
        SELECT e.id, e.tenant_id, e.updated_at FROM batch b CROSS JOIN email e
        WHERE e.account_id = b.id AND e.tenant_id = b.tenant_id AND e.state IN ('claimed', 'in_flight') AND e.updated_at <= $2 ORDER BY e.updated_at LIMIT 100");
    /// The states are those of the index, which SQLite does not see in the one.
    UNKNOWN = batch((id: uuid) "
        SELECT b.id AS tenant_id, (SELECT count(*) FROM (SELECT 1 FROM email WHERE tenant_id = b.id AND state IN ('rejected', 'unknown') AND state = 'unknown'
            ORDER BY id LIMIT 1000) counted) AS number,
          (SELECT w.updated_at FROM (SELECT updated_at FROM email WHERE tenant_id = b.id AND state IN ('rejected', 'unknown') AND state = 'unknown'
            ORDER BY id LIMIT 1) w) AS oldest
        FROM batch b");
    CAMPAIGNS = both("
        SELECT id, tenant_id, name, state FROM campaign WHERE id < $1 ORDER BY id DESC LIMIT $2");
    /// The ids of emails are in the order of time.
    NEWEST = both("
        SELECT id, tenant_id, lead_id, address, domain, fenced_at FROM (
          SELECT id, tenant_id, lead_id, address, domain, fenced_at, state FROM email WHERE id < $1 ORDER BY id DESC LIMIT $2) w
        WHERE fenced_at IS NOT NULL AND state IN ('in_flight', 'accepted', 'unknown')");
    STOPPED = batch((id: uuid, tenant_id: uuid, lead_id: uuid, before: time) "
        SELECT b.id, b.tenant_id FROM batch b JOIN lead l ON l.id = b.lead_id AND l.tenant_id = b.tenant_id
        WHERE l.state IN ('replied', 'unsubscribed', 'bounced', 'complained', 'stopped') AND l.updated_at < b.before");
    SUPPRESSED = batch((id: uuid, tenant_id: uuid, subject: text, before: time) "
        SELECT b.id, b.tenant_id FROM batch b JOIN suppression s ON s.subject = b.subject AND s.tenant_id = b.tenant_id
        WHERE s.created_at < b.before");
    SENT = both("
        SELECT account_id, count(*) AS number FROM (
          SELECT account_id, state, fenced_at FROM email WHERE tenant_id = $1 AND campaign_id = $2 AND id < $3
          ORDER BY id DESC LIMIT $4) w
        WHERE state IN ('in_flight', 'accepted', 'unknown') AND fenced_at > $5 GROUP BY account_id ORDER BY account_id");
}

/// An account as whoever audits sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditedAccount {
    /// Which.
    pub id: SendingAccountId,
    /// Whose.
    pub tenant: TenantId,
    /// The address that it sends from.
    pub address: String,
    /// Whether it sends.
    pub state: AccountState,
    /// Why it does not.
    pub reason: Option<String>,
    /// When somebody or something last changed it.
    pub updated_at: Timestamp,
    /// Whether a campaign that runs sends by it.
    pub in_use: bool,
    /// Its mailbox; nothing where it has none.
    pub mailbox: Option<AuditedMailbox>,
}

/// The mailbox of an account as whoever audits sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditedMailbox {
    /// Whether it is read.
    pub state: AccountState,
    /// Why it is not, or was not the last time.
    pub reason: Option<String>,
    /// When it was last read to its end; when it was made where it never was.
    pub since: Timestamp,
}

#[derive(sqlx::FromRow)]
struct AccountRow {
    id: Uuid,
    tenant_id: Uuid,
    address: String,
    state: String,
    reason: Option<String>,
    updated_at: At,
}

#[derive(sqlx::FromRow)]
struct MailboxRow {
    id: Uuid,
    state: String,
    reason: Option<String>,
    looked_at: Option<At>,
    created_at: At,
}

/// Reads the newest accounts of all organisations, with their mailboxes.
#[derive(Clone, Copy, Debug)]
pub struct AuditAccounts {
    /// At most so many.
    pub limit: u32,
}

async fn newest_accounts(tx: &mut Tx<'_>, limit: u32) -> Result<(Vec<AccountRow>, Vec<Place>)> {
    let rows: Vec<AccountRow> = tx.query(ACCOUNTS).bind(Uuid::max()).bind(i64::from(limit)).rows().await?;
    let keys = rows.iter().map(|row| Place { id: row.id, tenant_id: row.tenant_id }).collect();
    Ok((rows, keys))
}

impl Intent for AuditAccounts {
    type Output = Vec<AuditedAccount>;
    const WRITES: bool = false;

    fn scope(&self) -> Scope {
        Scope::System
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output> {
        let (rows, keys) = newest_accounts(tx, self.limit).await?;
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let in_use: Vec<Id> = tx.batch(IN_USE, &keys).rows().await?;
        let in_use: BTreeSet<Uuid> = in_use.into_iter().map(|row| row.id).collect();
        let mailboxes: Vec<MailboxRow> = tx.batch(MAILBOXES, &keys).rows().await?;
        let account = |row: AccountRow| {
            let mailbox = mailboxes.iter().find(|one| one.id == row.id).map(|one| {
                let since = moment(one.looked_at).unwrap_or(one.created_at.0);
                Ok::<_, crate::error::Error>(AuditedMailbox {
                    state: word(&one.state)?,
                    reason: one.reason.clone(),
                    since,
                })
            });
            Ok(AuditedAccount {
                id: SendingAccountId(row.id),
                tenant: TenantId(row.tenant_id),
                address: row.address,
                state: word(&row.state)?,
                reason: row.reason,
                updated_at: row.updated_at.0,
                in_use: in_use.contains(&row.id),
                mailbox: mailbox.transpose()?,
            })
        };
        rows.into_iter().map(account).collect()
    }
}

/// Emails that nobody goes on with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeftEmails {
    /// How many accounts were looked at.
    pub accounts: usize,
    /// Those that a run has had since before the moment that was asked for, the oldest first; at most 100.
    pub held: Vec<(EmailId, TenantId, Timestamp)>,
    /// Organisations with emails of which nobody knows what became of them: how many, at most 1,000 of each are counted, and
    /// since when the oldest is.
    pub unknown: Vec<(TenantId, u32, Timestamp)>,
}

#[derive(sqlx::FromRow)]
struct HeldRow {
    id: Uuid,
    tenant_id: Uuid,
    updated_at: At,
}

#[derive(sqlx::FromRow)]
struct UnknownRow {
    tenant_id: Uuid,
    number: i64,
    oldest: Option<At>,
}

/// Finds emails that nobody goes on with, of the newest accounts of all organisations.
#[derive(Clone, Copy, Debug)]
pub struct FindLeftEmails {
    /// Those that a run has had since before this.
    pub held_before: Timestamp,
    /// Of so many accounts.
    pub accounts: u32,
}

impl Intent for FindLeftEmails {
    type Output = LeftEmails;
    const WRITES: bool = false;

    fn scope(&self) -> Scope {
        Scope::System
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output> {
        let (_, keys) = newest_accounts(tx, self.accounts).await?;
        if keys.is_empty() {
            return Ok(LeftEmails::default());
        }
        let held: Vec<HeldRow> = tx.batch(HELD, &keys).bind(At(self.held_before)).rows().await?;
        let tenants: BTreeSet<Uuid> = keys.iter().map(|key| key.tenant_id).collect();
        let tenants: Vec<Id> = tenants.into_iter().map(|id| Id { id }).collect();
        let unknown: Vec<UnknownRow> = tx.batch(UNKNOWN, &tenants).rows().await?;
        let unknown = unknown
            .into_iter()
            .filter_map(|row| Some((TenantId(row.tenant_id), count(row.number), moment(row.oldest)?)));
        Ok(LeftEmails {
            accounts: keys.len(),
            held: held.into_iter().map(|row| (EmailId(row.id), TenantId(row.tenant_id), row.updated_at.0)).collect(),
            unknown: unknown.collect(),
        })
    }
}

/// A campaign as whoever audits sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditedCampaign {
    /// Which.
    pub id: CampaignId,
    /// Whose.
    pub tenant: TenantId,
    /// What it is called.
    pub name: String,
    /// Whether it sends.
    pub is_running: bool,
}

#[derive(sqlx::FromRow)]
struct CampaignRow {
    id: Uuid,
    tenant_id: Uuid,
    name: String,
    state: String,
}

/// Reads the newest campaigns of all organisations.
#[derive(Clone, Copy, Debug)]
pub struct AuditCampaigns {
    /// At most so many.
    pub limit: u32,
}

impl Intent for AuditCampaigns {
    type Output = Vec<AuditedCampaign>;
    const WRITES: bool = false;
    const ONE_STATEMENT: bool = true;

    fn scope(&self) -> Scope {
        Scope::System
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output> {
        let rows = tx.query(CAMPAIGNS).bind(Uuid::max()).bind(i64::from(self.limit));
        let rows: Vec<CampaignRow> = rows.rows().await?;
        let campaign = |row: CampaignRow| AuditedCampaign {
            id: CampaignId(row.id),
            tenant: TenantId(row.tenant_id),
            name: row.name,
            is_running: row.state == "running",
        };
        Ok(rows.into_iter().map(campaign).collect())
    }
}

/// Emails that went out though whoever they went to was to get nothing more.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SentAfterStop {
    /// How many emails that went out were looked at.
    pub looked_at: usize,
    /// Those.
    pub emails: BTreeSet<(EmailId, TenantId)>,
}

#[derive(sqlx::FromRow)]
struct NewestRow {
    id: Uuid,
    tenant_id: Uuid,
    lead_id: Uuid,
    address: String,
    domain: String,
    fenced_at: At,
}

#[derive(Serialize)]
struct LeadKey {
    id: Uuid,
    tenant_id: Uuid,
    lead_id: LeadId,
    before: i64,
}

#[derive(Serialize)]
struct SubjectKey {
    id: Uuid,
    tenant_id: Uuid,
    subject: String,
    before: i64,
}

/// Finds, among the newest emails of all organisations, those that went out after their lead had stopped, or after its address
/// or domain had been put on the suppression list.
#[derive(Clone, Copy, Debug)]
pub struct FindSentAfterStop {
    /// Who stops while an email goes out gets that one: by so much later it must have been.
    pub under_way: std::time::Duration,
    /// Of so many emails.
    pub limit: u32,
}

impl Intent for FindSentAfterStop {
    type Output = SentAfterStop;
    const WRITES: bool = false;

    fn scope(&self) -> Scope {
        Scope::System
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output> {
        let newest: Vec<NewestRow> = tx.query(NEWEST).bind(Uuid::max()).bind(i64::from(self.limit)).rows().await?;
        if newest.is_empty() {
            return Ok(SentAfterStop::default());
        }
        let before = |row: &NewestRow| row.fenced_at.0.minus(self.under_way).as_millis();
        let leads: Vec<LeadKey> = newest
            .iter()
            .map(|row| LeadKey {
                id: row.id,
                tenant_id: row.tenant_id,
                lead_id: LeadId(row.lead_id),
                before: before(row),
            })
            .collect();
        let subjects: Vec<SubjectKey> = newest
            .iter()
            .flat_map(|row| {
                [row.address.clone(), format!("@{}", row.domain)].map(|subject| SubjectKey {
                    id: row.id,
                    tenant_id: row.tenant_id,
                    subject,
                    before: before(row),
                })
            })
            .collect();
        let mut after: Vec<Place> = tx.batch(STOPPED, &leads).rows().await?;
        after.extend(tx.batch(SUPPRESSED, &subjects).rows::<Place>().await?);
        let emails = after.into_iter().map(|row| (EmailId(row.id), TenantId(row.tenant_id))).collect();
        Ok(SentAfterStop { looked_at: newest.len(), emails })
    }
}

#[derive(sqlx::FromRow)]
struct SentRow {
    account_id: Uuid,
    number: i64,
}

/// Counts what each account has sent for a campaign, from the newest rows themselves.
#[derive(Clone, Copy, Debug)]
pub struct CountSent {
    /// The organisation.
    pub tenant: TenantId,
    /// The campaign.
    pub campaign: CampaignId,
    /// Since this moment.
    pub since: Timestamp,
    /// Among so many emails at most.
    pub limit: u32,
}

impl Intent for CountSent {
    type Output = Vec<(SendingAccountId, u32)>;
    const WRITES: bool = false;
    const ONE_STATEMENT: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output> {
        let sent = tx.query(SENT).bind(self.tenant.uuid()).bind(self.campaign.uuid()).bind(Uuid::max());
        let rows: Vec<SentRow> = sent.bind(i64::from(self.limit)).bind(At(self.since)).rows().await?;
        Ok(rows.into_iter().map(|row| (SendingAccountId(row.account_id), count(row.number))).collect())
    }
}

/// What the figures of a campaign are beside what they count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ComparedFigures {
    /// Those that differ: the figure, and what was counted. So many rows were counted.
    Differ(Vec<(OutreachFigure, i64)>, u64),
    /// So many rows are more than were to be counted.
    TooLarge(u64),
}

/// Counts the rows of a campaign and compares them with its figures, both as they are at one moment.
#[derive(Clone, Copy, Debug)]
pub struct CompareFigures {
    /// The organisation.
    pub tenant: TenantId,
    /// The campaign.
    pub campaign: CampaignId,
    /// Where there are more rows, nothing is counted.
    pub most_rows: u64,
}

impl Intent for CompareFigures {
    type Output = ComparedFigures;
    const WRITES: bool = false;
    const SNAPSHOT: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output> {
        let (tenant, campaign) = (self.tenant, self.campaign);
        let figures = ReadFigures { tenant, campaign }.run(tx).await?;
        let rows = |figures: &[OutreachFigure]| figures.iter().filter(|one| is_state(&one.kind)).map(sum).sum::<u64>();
        let said = rows(&figures);
        if said > self.most_rows {
            return Ok(ComparedFigures::TooLarge(said));
        }
        let counted = CountFigures { tenant, campaign }.run(tx).await?;
        let number = rows(&counted);
        let of = |figure: &OutreachFigure| OutreachFigure { number: 0, ..figure.clone() };
        let mut both = std::collections::BTreeMap::<OutreachFigure, (i64, i64)>::new();
        for figure in &figures {
            both.entry(of(figure)).or_default().0 += figure.number;
        }
        for figure in &counted {
            both.entry(of(figure)).or_default().1 += figure.number;
        }
        let differ = both.into_iter().filter(|(_, (said, counted))| said != counted);
        let differ = differ.map(|(figure, (said, counted))| (OutreachFigure { number: said, ..figure }, counted));
        Ok(ComparedFigures::Differ(differ.collect(), number))
    }
}

/// Whether a figure counts rows by their state, so that each row is in one of these.
fn is_state(kind: &str) -> bool {
    kind.starts_with("lead_") || matches!(kind, "queued" | "accepted" | "rejected" | "unknown" | "cancelled")
}

fn sum(figure: &OutreachFigure) -> u64 {
    u64::try_from(figure.number).unwrap_or(0)
}
