//! Leads go on: whoever stores that an email was taken makes the next one of its lead in the same transaction, under the lock
//! of the lead's row.

use std::collections::BTreeSet;

use mainstay_domain::{LeadId, LeadState, SendingAccountId, TenantId, Timestamp};
use serde::Serialize;
use uuid::Uuid;

use super::NextEmail;
use super::figures::{Kind, Of, Tally};
use crate::error::Result;
use crate::sql::statements;
use crate::tx::Tx;

statements! {
    /// Step 0 is behind the last one.
    ADVANCE = update((id: uuid, tenant_id: uuid, step: bigint, at: time) "
        lead SET step = CASE WHEN b.step = 0 THEN lead.step ELSE b.step END,
          state = CASE WHEN b.step = 0 THEN 'finished' ELSE lead.state END, updated_at = b.at
        FROM batch b WHERE lead.id = b.id AND lead.tenant_id = b.tenant_id AND lead.state = 'active'
        RETURNING lead.id, lead.tenant_id, lead.campaign_id, lead.state");
    NEXT = insert((id: uuid, tenant_id: uuid, lead_id: uuid, step: bigint, variant_id: uuid, message_id: text, due_at: time,
        at: time) "
        email (id, tenant_id, campaign_id, lead_id, step, variant_id, account_id, address, domain, zone, message_id, state, due_at,
          in_turn, attempts, run, day, created_at, updated_at)
        SELECT b.id, l.tenant_id, l.campaign_id, l.id, b.step, b.variant_id, l.account_id, l.address, l.domain, l.zone,
          b.message_id, 'scheduled', b.due_at, 0, 0, 0, 0, b.at, b.at
        FROM batch b JOIN lead l ON l.id = b.lead_id AND l.tenant_id = b.tenant_id WHERE true ORDER BY b.id
        ON CONFLICT (tenant_id, campaign_id, lead_id, step) DO NOTHING
        RETURNING tenant_id, campaign_id, step, variant_id, account_id, day");
}

/// A lead whose email was taken.
pub(super) struct Advance<'a> {
    pub(super) tenant: TenantId,
    pub(super) lead: LeadId,
    /// What comes after it; nothing after the last step.
    pub(super) next: Option<&'a NextEmail>,
    pub(super) now: Timestamp,
}

#[derive(Serialize)]
struct AdvanceRow {
    id: Uuid,
    tenant_id: Uuid,
    step: u32,
    at: i64,
}

#[derive(sqlx::FromRow)]
struct AdvancedRow {
    id: Uuid,
    tenant_id: Uuid,
    campaign_id: Uuid,
    state: String,
}

#[derive(Serialize)]
struct NextRow<'a> {
    id: Uuid,
    tenant_id: Uuid,
    lead_id: Uuid,
    step: u32,
    variant_id: Uuid,
    message_id: &'a str,
    due_at: i64,
    at: i64,
}

/// Leads go on to their next step, or are through; those that were stopped do neither. The answer is the accounts that have
/// something to send by it.
pub(super) async fn advance(
    tx: &mut Tx<'_>,
    mut advances: Vec<Advance<'_>>,
    tally: &mut Tally,
) -> Result<BTreeSet<SendingAccountId>> {
    if advances.is_empty() {
        return Ok(BTreeSet::new());
    }
    advances.sort_by_key(|one| one.lead);
    let row = |one: &Advance<'_>| AdvanceRow {
        id: one.lead.uuid(),
        tenant_id: one.tenant.uuid(),
        step: one.next.map_or(0, |next| next.step),
        at: one.now.as_millis(),
    };
    let rows: Vec<_> = advances.iter().map(row).collect();
    let advanced: Vec<AdvancedRow> = tx.batch(ADVANCE, &rows).rows().await?;
    for row in advanced.iter().filter(|row| row.state == LeadState::Finished.as_str()) {
        tally.leads(row.tenant_id, row.campaign_id, LeadState::Active, -1);
        tally.leads(row.tenant_id, row.campaign_id, LeadState::Finished, 1);
    }
    let on: BTreeSet<Uuid> = advanced.iter().map(|row| row.id).collect();
    let next = advances.iter().filter(|one| on.contains(&one.lead.uuid()));
    let next = next.filter_map(|one| Some((one, one.next?)));
    let next: Vec<_> = next
        .map(|(one, next)| NextRow {
            id: next.id.uuid(),
            tenant_id: one.tenant.uuid(),
            lead_id: one.lead.uuid(),
            step: next.step,
            variant_id: next.variant.uuid(),
            message_id: &next.message_id,
            due_at: next.due_at.as_millis(),
            at: one.now.as_millis(),
        })
        .collect();
    if next.is_empty() {
        return Ok(BTreeSet::new());
    }
    let made: Vec<Of> = tx.batch(NEXT, &next).rows().await?;
    for of in &made {
        tally.add(*of, Kind::Queued, 1);
    }
    Ok(made.into_iter().map(|of| SendingAccountId(of.account_id)).collect())
}
