//! The step before the first byte goes out that could make a server accept an email: from here on nobody can say for certain
//! that it was not sent, until the server says so. Whoever was stopped meanwhile gets nothing.
//!
//! Who is stopped has their email cancelled, so that one of the two transactions waits for the other at its row. A campaign
//! that is paused or stopped changes none of its emails: its own row is held here, so that whoever pauses it waits for what is
//! about to go out, or this waits and then sees it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use mainstay_domain::{EmailId, EmailState, LeadState, TenantId, Timestamp};
use serde::Serialize;
use uuid::Uuid;

use super::RunOf;
use super::figures::{Of, Tally};
use super::quota::{Charge, bucket_of, charge};
use super::turns::{DomainAt, keep};
use crate::batcher::Batch;
use crate::call::Call;
use crate::engine::postgres::Pool;
use crate::error::Result;
use crate::sql::statements;
use crate::store::Store;
use crate::tx::Tx;
use crate::value::{Id, Place};

statements! {
    /// The campaigns are held as they are; and what there has to be between two emails.
    HOLD = locking((id: uuid, tenant_id: uuid) "
        SELECT e.id, e.domain, a.gap_millis, a.domain_gap_millis FROM batch b
        JOIN email e ON e.id = b.id AND e.tenant_id = b.tenant_id
        JOIN campaign c ON c.id = e.campaign_id AND c.tenant_id = b.tenant_id
        JOIN sending_account a ON a.id = e.account_id AND a.tenant_id = b.tenant_id
        ORDER BY c.id, e.id", "FOR SHARE OF c");
    /// The next email of an account is as far from when this one goes out as from when it was claimed.
    PACE = update((id: uuid, tenant_id: uuid, next_at: time) "
        sending_account SET next_at = b.next_at FROM batch b
        WHERE sending_account.id = b.id AND sending_account.tenant_id = b.tenant_id AND sending_account.next_at < b.next_at");
    FENCE = update((id: uuid, tenant_id: uuid, account_id: uuid, run: bigint, attempts: bigint, at: time, day: bigint) "
        email SET state = 'in_flight', attempts = email.attempts + 1, fenced_at = b.at, day = b.day, updated_at = b.at
        FROM batch b WHERE email.id = b.id AND email.tenant_id = b.tenant_id AND email.state = 'claimed' AND email.run = b.run
          AND email.account_id = b.account_id AND email.attempts = b.attempts
          AND EXISTS (SELECT 1 FROM sending_account a WHERE a.id = b.account_id AND a.tenant_id = b.tenant_id
            AND a.run = b.run AND a.state = 'active')
          AND EXISTS (SELECT 1 FROM lead l WHERE l.id = email.lead_id AND l.tenant_id = b.tenant_id AND l.state = 'active')
          AND EXISTS (SELECT 1 FROM campaign c WHERE c.id = email.campaign_id AND c.tenant_id = b.tenant_id AND c.state = 'running')
          AND NOT EXISTS (SELECT 1 FROM suppression s WHERE s.tenant_id = b.tenant_id AND s.subject = email.address)
          AND NOT EXISTS (SELECT 1 FROM suppression s WHERE s.tenant_id = b.tenant_id AND s.subject = '@' || email.domain)
        RETURNING email.id, email.run");
    /// Only on a repeat: what a commit that was not confirmed has said.
    FENCED = batch((id: uuid, tenant_id: uuid, account_id: uuid, run: bigint, attempts: bigint, at: time, day: bigint) "
        SELECT e.id, e.run FROM batch b JOIN email e ON e.id = b.id AND e.tenant_id = b.tenant_id
        WHERE e.state = 'in_flight' AND e.run = b.run AND e.attempts = b.attempts + 1 AND e.fenced_at = b.at");
    /// Those that are not to go out now but may later: their campaign is paused, or their account rests.
    RELEASE = update((id: uuid, tenant_id: uuid, run: bigint) "
        email SET state = 'scheduled' FROM batch b
        WHERE email.id = b.id AND email.tenant_id = b.tenant_id AND email.state = 'claimed' AND email.run = b.run
          AND NOT EXISTS (SELECT 1 FROM campaign c WHERE c.id = email.campaign_id AND c.tenant_id = b.tenant_id AND c.state = 'stopped')
          AND EXISTS (SELECT 1 FROM lead l WHERE l.id = email.lead_id AND l.tenant_id = b.tenant_id AND l.state = 'active')
          AND NOT EXISTS (SELECT 1 FROM suppression s WHERE s.tenant_id = b.tenant_id AND s.subject = email.address)
          AND NOT EXISTS (SELECT 1 FROM suppression s WHERE s.tenant_id = b.tenant_id AND s.subject = '@' || email.domain)
        RETURNING email.id");
    /// The others: whoever they go to is not to be written to any more.
    CANCEL = update((id: uuid, tenant_id: uuid, run: bigint, at: time) "
        email SET state = 'cancelled', said = 'Whoever it goes to is not written to any more.', updated_at = b.at FROM batch b
        WHERE email.id = b.id AND email.tenant_id = b.tenant_id AND email.state = 'claimed' AND email.run = b.run
        RETURNING email.tenant_id, email.campaign_id, email.step, email.variant_id, email.account_id, email.day, email.lead_id");
    STOP_LEADS = update((id: uuid, tenant_id: uuid, at: time) "
        lead SET state = 'stopped', updated_at = b.at FROM batch b
        WHERE lead.id = b.id AND lead.tenant_id = b.tenant_id AND lead.state = 'active'
        RETURNING lead.id, lead.tenant_id, lead.campaign_id");
}

/// Says that an email is about to go out. Hand it to [`Store::fence_email`].
#[derive(Clone, Copy, Debug)]
pub struct FenceEmail {
    /// The run.
    pub run: RunOf,
    /// Which.
    pub id: EmailId,
    /// How often it was offered to a server before.
    pub attempts: u32,
    /// The present moment.
    pub now: Timestamp,
}

#[derive(Clone, Serialize)]
struct FenceRow {
    id: Uuid,
    tenant_id: Uuid,
    account_id: Uuid,
    run: i64,
    attempts: u32,
    at: i64,
    day: i64,
}

/// An email that may go out, and the run that may send it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, sqlx::FromRow)]
struct FencedRow {
    id: Uuid,
    run: i64,
}

/// What there has to be between an email and the next.
#[derive(sqlx::FromRow)]
struct PaceRow {
    id: Uuid,
    domain: String,
    gap_millis: i64,
    domain_gap_millis: i64,
}

#[derive(Serialize)]
struct NextRow {
    id: Uuid,
    tenant_id: Uuid,
    next_at: i64,
}

#[derive(Serialize)]
struct HeldRow {
    id: Uuid,
    tenant_id: Uuid,
    run: i64,
}

#[derive(Serialize)]
struct CancelRow {
    id: Uuid,
    tenant_id: Uuid,
    run: i64,
    at: i64,
}

#[derive(sqlx::FromRow)]
struct CancelledRow {
    #[sqlx(flatten)]
    of: Of,
    lead_id: Uuid,
}

#[derive(Serialize)]
struct LeadRow {
    id: Uuid,
    tenant_id: Uuid,
    at: i64,
}

#[derive(sqlx::FromRow)]
struct StoppedRow {
    tenant_id: Uuid,
    campaign_id: Uuid,
}

/// Days since 1970.
pub(super) fn day_of(moment: Timestamp) -> i64 {
    moment.as_millis().div_euclid(86_400_000)
}

impl FenceRow {
    fn of(member: &FenceEmail) -> Self {
        Self {
            id: member.id.uuid(),
            tenant_id: member.run.tenant.uuid(),
            account_id: member.run.account.uuid(),
            run: member.run.run,
            attempts: member.attempts,
            at: member.now.as_millis(),
            day: day_of(member.now),
        }
    }

    const fn fenced(&self) -> FencedRow {
        FencedRow { id: self.id, run: self.run }
    }
}

/// Says of what is about to go out that it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fences;

impl Batch for Fences {
    type Member = FenceEmail;
    /// Whether it may go out.
    type Answer = bool;
    const NAME: &'static str = "outreach fences";
    const POOL: Pool = Pool::Jobs;

    fn tenant(member: &FenceEmail) -> TenantId {
        member.run.tenant
    }

    async fn apply(&self, tx: &mut Tx<'_>, members: &[Arc<FenceEmail>]) -> Result<Vec<bool>> {
        let rows: Vec<FenceRow> = members.iter().map(|member| FenceRow::of(member)).collect();
        let mut before = Vec::new();
        if tx.attempt > 0 {
            before = tx.batch(FENCED, &rows).rows::<FencedRow>().await?;
        }
        let mut tally = Tally::default();
        let keys: BTreeSet<(Uuid, Uuid)> = rows.iter().map(|row| (row.id, row.tenant_id)).collect();
        let keys: Vec<_> = keys.into_iter().map(|(id, tenant_id)| Place { id, tenant_id }).collect();
        let paces: Vec<PaceRow> = tx.batch(HOLD, &keys).rows().await?;
        let fresh: BTreeSet<FencedRow> = tx.batch(FENCE, &rows).rows().await?.into_iter().collect();
        let out: Vec<_> = rows.iter().filter(|row| fresh.contains(&row.fenced())).collect();
        pace(tx, &out, &paces).await?;
        let charges = fresh.iter().filter_map(|fenced| rows.iter().find(|row| row.fenced() == *fenced));
        let charges = charges.map(|row| Charge {
            account_id: row.account_id,
            tenant_id: row.tenant_id,
            bucket: bucket_of(Timestamp::from_millis(row.at)),
            sent: 1,
        });
        let charges: Vec<_> = charges.collect();
        // A run that is over may ask for the same email at the same moment: one is told that it may, and one only.
        let mut may = fresh;
        may.extend(before);
        let answers: Vec<bool> = rows.iter().map(|row| may.remove(&row.fenced())).collect();
        let not: Vec<_> = rows.iter().zip(&answers).filter(|(_, may)| !**may).map(|(row, _)| row).collect();
        if !not.is_empty() {
            refuse(tx, &not, &mut tally).await?;
        }
        charge(tx, charges).await?;
        tally.write(tx).await?;
        Ok(answers)
    }
}

/// Nothing of the account, and nothing to the domain, so soon after these. A line may have taken long to stand, so that what
/// the claim has reckoned from is over.
async fn pace(tx: &mut Tx<'_>, out: &[&FenceRow], paces: &[PaceRow]) -> Result<()> {
    let (mut accounts, mut domains) = (BTreeMap::new(), BTreeMap::new());
    for row in out {
        let Some(pace) = paces.iter().find(|pace| pace.id == row.id) else { continue };
        if pace.gap_millis > 0 {
            let next: &mut i64 = accounts.entry((row.account_id, row.tenant_id)).or_default();
            *next = row.at.saturating_add(pace.gap_millis).max(*next);
        }
        if pace.domain_gap_millis > 0 {
            let next: &mut i64 = domains.entry((row.account_id, row.tenant_id, pace.domain.as_str())).or_default();
            *next = row.at.saturating_add(pace.domain_gap_millis).max(*next);
        }
    }
    if !accounts.is_empty() {
        let row = |((id, tenant_id), next_at)| NextRow { id, tenant_id, next_at };
        let rows: Vec<_> = accounts.into_iter().map(row).collect();
        tx.batch(PACE, &rows).run().await?;
    }
    if !domains.is_empty() {
        let row = |((account_id, tenant_id, domain), at)| DomainAt {
            account_id,
            tenant_id,
            domain,
            next_at: at,
            free_at: at,
        };
        let rows: Vec<_> = domains.into_iter().map(row).collect();
        keep(tx, &rows).await?;
    }
    Ok(())
}

/// What is not to go out goes back to the others, or not at all.
async fn refuse(tx: &mut Tx<'_>, rows: &[&FenceRow], tally: &mut Tally) -> Result<()> {
    let held: Vec<_> = rows.iter().map(|row| HeldRow { id: row.id, tenant_id: row.tenant_id, run: row.run }).collect();
    let released: Vec<Id> = tx.batch(RELEASE, &held).rows().await?;
    let released = super::ids(&released);
    let cancel = rows.iter().filter(|row| !released.contains(&row.id));
    let cancel: Vec<_> =
        cancel.map(|row| CancelRow { id: row.id, tenant_id: row.tenant_id, run: row.run, at: row.at }).collect();
    if cancel.is_empty() {
        return Ok(());
    }
    let at = cancel.iter().map(|row| row.at).max().unwrap_or_default();
    let cancelled: Vec<CancelledRow> = tx.batch(CANCEL, &cancel).rows().await?;
    let mut leads = BTreeMap::new();
    for row in &cancelled {
        tally.moved(row.of, EmailState::Claimed, EmailState::Cancelled);
        leads.insert(row.lead_id, LeadRow { id: row.lead_id, tenant_id: row.of.tenant_id, at });
    }
    let leads: Vec<_> = leads.into_values().collect();
    let stopped: Vec<StoppedRow> = tx.batch(STOP_LEADS, &leads).rows().await?;
    for row in stopped {
        tally.leads(row.tenant_id, row.campaign_id, LeadState::Active, -1);
        tally.leads(row.tenant_id, row.campaign_id, LeadState::Stopped, 1);
    }
    Ok(())
}

impl Store {
    /// Says that an email is about to go out, together with others that are at this moment. False when it may not: whoever
    /// it goes to is not written to any more, the campaign or the account rests, or the run is not the account's any more.
    /// When the answer is not known, it must not go out.
    ///
    /// # Errors
    /// See [`crate::Error`].
    pub async fn fence_email(&self, call: &Call, fence: FenceEmail) -> Result<bool> {
        self.fences.call(call, fence).await
    }
}
