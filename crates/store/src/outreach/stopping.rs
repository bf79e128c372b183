//! Stopping: whoever answers, wants no more, cannot be reached or calls mail junk is written to no more, and what was queued
//! for them is cancelled in the same transaction.
//!
//! A lead's row is locked before its emails are looked at, here and by whoever makes the next email of a lead. So an email
//! is either seen here and cancelled, or never made.

use std::collections::BTreeMap;

use mainstay_domain::{EmailId, EmailState, LeadId, LeadState, StopReason, TenantId, Timestamp};
use serde::Serialize;
use uuid::Uuid;

use super::events::{Subject, Told};
use super::figures::{Became, Kind, Of, Tally};
use crate::error::Result;
use crate::intent::Intent;
use crate::members::word;
use crate::sql::statements;
use crate::tx::{Scope, Tx};
use crate::value::Place;

statements! {
    SUPPRESS = insert((subject: text, tenant_id: uuid, reason: text, email_id: uuid, at: time) "
        suppression (subject, tenant_id, reason, email_id, created_at)
        SELECT subject, tenant_id, reason, nullif(email_id, $2), at FROM batch WHERE true ORDER BY subject, tenant_id
        ON CONFLICT (subject, tenant_id) DO NOTHING
        RETURNING subject");
    LEAD = locking((id: uuid, tenant_id: uuid) "
        SELECT l.id, l.tenant_id, l.campaign_id, l.state FROM batch b JOIN lead l ON l.id = b.id AND l.tenant_id = b.tenant_id
        ORDER BY l.id", "FOR NO KEY UPDATE OF l");
    /// All of an address that would be written to, in whatever campaign.
    OF_ADDRESS = locking((address: text, tenant_id: uuid) "
        SELECT l.id, l.tenant_id, l.campaign_id, l.state FROM batch b
        JOIN lead l ON l.tenant_id = b.tenant_id AND l.address = b.address
        WHERE l.state IN ('new', 'active') ORDER BY l.id", "FOR NO KEY UPDATE OF l");
    SET = update((id: uuid, tenant_id: uuid, state: text, at: time) "
        lead SET state = b.state, updated_at = b.at FROM batch b WHERE lead.id = b.id AND lead.tenant_id = b.tenant_id");
    CANCEL = update((id: uuid, tenant_id: uuid, campaign_id: uuid, said: text, at: time) "
        email SET state = 'cancelled', said = b.said, updated_at = b.at FROM batch b
        WHERE email.tenant_id = b.tenant_id AND email.campaign_id = b.campaign_id AND email.lead_id = b.id
          AND email.state IN ('scheduled', 'claimed')
        RETURNING email.tenant_id, email.campaign_id, email.step, email.variant_id, email.account_id, email.day");
    /// What becomes of an email is noted the first time.
    MARK = update((id: uuid, tenant_id: uuid, what: text, at: time) "
        email SET
          opened_at = CASE WHEN b.what = 'opened' THEN b.at ELSE email.opened_at END,
          machine_opened_at = CASE WHEN b.what = 'machine_opened' THEN b.at ELSE email.machine_opened_at END,
          clicked_at = CASE WHEN b.what = 'clicked' THEN b.at ELSE email.clicked_at END,
          machine_clicked_at = CASE WHEN b.what = 'machine_clicked' THEN b.at ELSE email.machine_clicked_at END,
          replied_at = CASE WHEN b.what = 'replied' THEN b.at ELSE email.replied_at END,
          bounced_at = CASE WHEN b.what = 'bounced' THEN b.at ELSE email.bounced_at END,
          complained_at = CASE WHEN b.what = 'complained' THEN b.at ELSE email.complained_at END,
          unsubscribed_at = CASE WHEN b.what = 'unsubscribed' THEN b.at ELSE email.unsubscribed_at END,
          converted_at = CASE WHEN b.what = 'converted' THEN b.at ELSE email.converted_at END
        FROM batch b WHERE email.id = b.id AND email.tenant_id = b.tenant_id AND CASE b.what
          WHEN 'opened' THEN email.opened_at WHEN 'machine_opened' THEN email.machine_opened_at
          WHEN 'clicked' THEN email.clicked_at WHEN 'machine_clicked' THEN email.machine_clicked_at
          WHEN 'replied' THEN email.replied_at WHEN 'bounced' THEN email.bounced_at
          WHEN 'complained' THEN email.complained_at WHEN 'unsubscribed' THEN email.unsubscribed_at
          ELSE email.converted_at END IS NULL
        RETURNING email.tenant_id, email.campaign_id, email.step, email.variant_id, email.account_id, email.day, email.id,
          email.lead_id, email.address");
    /// Whoever keeps what a server said of an email holds it before its lead; here it is the same, so that neither waits for
    /// the other for ever.
    CAUSE = pair(sqlite "
        SELECT lead_id, address, campaign_id, state FROM email WHERE id = $1 AND tenant_id = $2",
        postgres "
        SELECT lead_id, address, campaign_id, state FROM email WHERE id = $1 AND tenant_id = $2 FOR NO KEY UPDATE",
        differs "SQLite has one writer and no row locks");
    ADDRESS = both("SELECT address FROM lead WHERE id = $1 AND tenant_id = $2");
}

/// Puts these on the list; the answer is which are new.
pub(super) async fn suppress(tx: &mut Tx<'_>, rows: &[SuppressRow<'_>]) -> Result<usize> {
    let new: Vec<SubjectRow> = tx.batch(SUPPRESS, rows).bind(Uuid::nil()).rows().await?;
    Ok(new.len())
}

/// All leads of these addresses that would be written to, in whatever campaign. Their rows are locked.
pub(super) async fn leads_of(tx: &mut Tx<'_>, addresses: &[AddressKey<'_>]) -> Result<Vec<LeadRow>> {
    if addresses.is_empty() {
        return Ok(Vec::new());
    }
    tx.batch(OF_ADDRESS, addresses).rows().await
}

#[derive(sqlx::FromRow)]
struct SubjectRow {
    #[expect(dead_code, reason = "rows are counted")]
    subject: String,
}

/// Somebody who is to be written to no more.
#[derive(Clone, Debug)]
pub(super) struct Stop {
    pub(super) tenant: TenantId,
    pub(super) lead: LeadId,
    pub(super) address: String,
    pub(super) reason: StopReason,
    pub(super) email: Option<EmailId>,
}

#[derive(Serialize)]
pub(super) struct SuppressRow<'a> {
    pub(super) subject: &'a str,
    pub(super) tenant_id: Uuid,
    pub(super) reason: &'static str,
    /// The nil UUID for none.
    pub(super) email_id: Uuid,
    pub(super) at: i64,
}

#[derive(Serialize)]
pub(super) struct AddressKey<'a> {
    pub(super) address: &'a str,
    pub(super) tenant_id: Uuid,
}

#[derive(Clone, sqlx::FromRow)]
pub(super) struct LeadRow {
    pub(super) id: Uuid,
    pub(super) tenant_id: Uuid,
    pub(super) campaign_id: Uuid,
    pub(super) state: String,
}

#[derive(Serialize)]
struct SetRow {
    id: Uuid,
    tenant_id: Uuid,
    state: &'static str,
    at: i64,
}

#[derive(Serialize)]
struct CancelRow {
    id: Uuid,
    tenant_id: Uuid,
    campaign_id: Uuid,
    said: &'static str,
    at: i64,
}

#[derive(Serialize)]
struct MarkRow {
    id: Uuid,
    tenant_id: Uuid,
    what: &'static str,
    at: i64,
}

#[derive(sqlx::FromRow)]
struct MarkedRow {
    #[sqlx(flatten)]
    of: Of,
    id: Uuid,
    lead_id: Uuid,
    address: String,
}

const fn said(reason: StopReason) -> &'static str {
    match reason {
        StopReason::Replied => "Whoever it goes to has answered.",
        StopReason::Unsubscribed => "Whoever it goes to wants no more mail.",
        StopReason::Bounced => "The address does not take mail.",
        StopReason::Complained => "Whoever it goes to has called an email junk.",
        StopReason::Stopped => "Somebody of the organisation has stopped it.",
    }
}

/// Stops these: they are suppressed where the reason says so, whoever has the address is written to no more, and what is
/// queued for them is cancelled.
pub(super) async fn stop(tx: &mut Tx<'_>, stops: &[Stop], tally: &mut Tally, now: Timestamp) -> Result<()> {
    if stops.is_empty() {
        return Ok(());
    }
    let suppressed = stops.iter().filter_map(|stop| Some((stop, stop.reason.suppresses()?)));
    let mut subjects: BTreeMap<(TenantId, &str), SuppressRow<'_>> = BTreeMap::new();
    for (stop, reason) in suppressed {
        let row = SuppressRow {
            subject: &stop.address,
            tenant_id: stop.tenant.uuid(),
            reason: reason.as_str(),
            email_id: stop.email.map_or(Uuid::nil(), EmailId::uuid),
            at: now.as_millis(),
        };
        subjects.entry((stop.tenant, &stop.address)).or_insert(row);
    }
    let mut leads: BTreeMap<Uuid, (LeadRow, StopReason)> = BTreeMap::new();
    if !subjects.is_empty() {
        let keys = subjects.keys().map(|(tenant, address)| AddressKey { address, tenant_id: tenant.uuid() });
        let keys: Vec<_> = keys.collect();
        suppress(tx, &subjects.into_values().collect::<Vec<_>>()).await?;
        for row in leads_of(tx, &keys).await? {
            leads.insert(row.id, (row, StopReason::Stopped));
        }
    }
    let keys: BTreeMap<Uuid, Place> = stops
        .iter()
        .map(|stop| (stop.lead.uuid(), Place { id: stop.lead.uuid(), tenant_id: stop.tenant.uuid() }))
        .collect();
    let named: Vec<LeadRow> = tx.batch(LEAD, &keys.into_values().collect::<Vec<_>>()).rows().await?;
    for row in named {
        if let Some(stop) = stops.iter().find(|stop| stop.lead.uuid() == row.id) {
            leads.insert(row.id, (row, stop.reason));
        }
    }
    let leads: Vec<_> = leads.into_values().collect();
    end_leads(tx, &leads, tally, now).await
}

/// These leads are written to no more, and what is queued for them is cancelled. Their rows are locked.
pub(super) async fn end_leads(
    tx: &mut Tx<'_>,
    leads: &[(LeadRow, StopReason)],
    tally: &mut Tally,
    now: Timestamp,
) -> Result<()> {
    let (mut sets, mut cancels) = (Vec::new(), Vec::new());
    for (lead, reason) in leads {
        let (before, after): (LeadState, LeadState) = (word(&lead.state)?, reason.lead());
        // What was said first stays, but for an end by itself and by hand.
        let ends = before.goes_on() || (matches!(before, LeadState::Finished | LeadState::Stopped) && before != after);
        if ends {
            tally.leads(lead.tenant_id, lead.campaign_id, before, -1);
            tally.leads(lead.tenant_id, lead.campaign_id, after, 1);
            let (id, tenant_id, at) = (lead.id, lead.tenant_id, now.as_millis());
            sets.push(SetRow { id, tenant_id, state: after.as_str(), at });
        }
        cancels.push(CancelRow {
            id: lead.id,
            tenant_id: lead.tenant_id,
            campaign_id: lead.campaign_id,
            said: said(*reason),
            at: now.as_millis(),
        });
    }
    if !sets.is_empty() {
        tx.batch(SET, &sets).run().await?;
    }
    if !cancels.is_empty() {
        let cancelled: Vec<Of> = tx.batch(CANCEL, &cancels).rows().await?;
        for of in cancelled {
            tally.moved(of, EmailState::Scheduled, EmailState::Cancelled);
        }
    }
    Ok(())
}

/// Notes what became of an email. The first time it tells what it is counted by.
pub(super) async fn mark(
    tx: &mut Tx<'_>,
    (tenant, email): (TenantId, EmailId),
    became: Became,
    tally: &mut Tally,
    at: Timestamp,
) -> Result<Option<Of>> {
    let row = MarkRow { id: email.uuid(), tenant_id: tenant.uuid(), what: became.as_str(), at: at.as_millis() };
    let marked: Option<MarkedRow> = tx.batch(MARK, &[row]).row().await?;
    Ok(marked.map(|MarkedRow { of, id, lead_id, address }| {
        tally.add(of, Kind::Became(became), 1);
        tally.tell(Subject { of, email: id, lead: lead_id, address }, Told::Became(became), at);
        of
    }))
}

/// What stops somebody: an email to them, or their lead itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopBy {
    /// An email that was answered, that came back, whose link was followed.
    Email(EmailId),
    /// The lead.
    Lead(LeadId),
}

/// Stops somebody: nothing more is written to them from the commit on, but for what is in flight. False when there is no such
/// email or lead.
#[derive(Clone, Copy, Debug)]
pub struct StopLead {
    /// The organisation.
    pub tenant: TenantId,
    /// By what.
    pub by: StopBy,
    /// Why.
    pub reason: StopReason,
    /// The present moment.
    pub now: Timestamp,
}

#[derive(sqlx::FromRow)]
struct CauseRow {
    lead_id: Uuid,
    address: String,
    state: String,
}

#[derive(sqlx::FromRow)]
struct AddressRow {
    address: String,
}

impl Intent for StopLead {
    type Output = bool;
    const WRITES: bool = true;
    const REPEATABLE: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<bool> {
        let (tenant, mut tally) = (self.tenant, Tally::default());
        let (lead, address, email, cause) = match self.by {
            StopBy::Email(id) => {
                let cause: Option<CauseRow> = tx.query(CAUSE).bind(id.uuid()).bind(tenant.uuid()).row().await?;
                let Some(cause) = cause else { return Ok(false) };
                (LeadId(cause.lead_id), cause.address.clone(), Some(id), Some(cause))
            }
            StopBy::Lead(id) => {
                let row: Option<AddressRow> = tx.query(ADDRESS).bind(id.uuid()).bind(tenant.uuid()).row().await?;
                let Some(row) = row else { return Ok(false) };
                (id, row.address, None, None)
            }
        };
        let stopped = Stop { tenant, lead, address, reason: self.reason, email };
        stop(tx, &[stopped], &mut tally, self.now).await?;
        if let Some((id, cause)) = email.zip(cause) {
            self.note(tx, id, &cause, &mut tally).await?;
        }
        tally.write(tx).await?;
        Ok(true)
    }
}

impl StopLead {
    /// What became of the email is noted, and weighs on its account.
    async fn note(&self, tx: &mut Tx<'_>, id: EmailId, cause: &CauseRow, tally: &mut Tally) -> Result<()> {
        let became = match self.reason {
            StopReason::Replied => Became::Replied,
            StopReason::Unsubscribed => Became::Unsubscribed,
            StopReason::Bounced => Became::Bounced,
            StopReason::Complained => Became::Complained,
            StopReason::Stopped => return Ok(()),
        };
        let first = mark(tx, (self.tenant, id), became, tally, self.now).await?;
        // That it came back, was answered or was looked at shows that it was sent.
        if word::<EmailState>(&cause.state)? == EmailState::Unknown {
            super::resolving::sent(tx, (self.tenant, id), tally, self.now).await?;
        }
        let (bounced, complained) = match became {
            Became::Bounced => (1, 0),
            Became::Complained => (0, 1),
            _ => return Ok(()),
        };
        if let Some(of) = first {
            let account = mainstay_domain::SendingAccountId(of.account_id);
            super::accounts::weigh(tx, (self.tenant, account), (0, bounced, complained), self.now).await?;
        }
        Ok(())
    }
}
