//! Claiming: an account takes what it may send now, in one transaction.
//!
//! First what is due (later steps, and what was put off), then leads that nothing was written to yet: their first email is
//! made here, by the account that sends it, so that no account waits while another has too much. What it takes together with
//! what it has sent in 24 hours is never more than its cap.

use std::collections::{BTreeMap, BTreeSet};

use mainstay_domain::outreach::{StepVariant, variant};
use mainstay_domain::{
    AccountState, CampaignId, EmailId, EmailState, LeadId, LeadState, SendingAccountId, StepVariantId, TenantId,
    Timestamp,
};
use serde::Serialize;
use uuid::Uuid;

use super::accounts::{SendingAccount, account_of};
use super::figures::{Of, Tally};
use super::leads::fields_of;
use super::quota::{Room, room_of};
use super::steps::VariantShare;
use super::turns::{Wanting, turns};
use super::{RunOf, message_id};
use crate::error::{Error, Result};
use crate::intent::Intent;
use crate::sql::statements;
use crate::tx::{Scope, Tx};
use crate::value::{At, Id, count, signed};

statements! {
    LOCK = pair(sqlite "SELECT id, run FROM sending_account WHERE id = $1 AND tenant_id = $2",
        postgres "SELECT id, run FROM sending_account WHERE id = $1 AND tenant_id = $2 FOR NO KEY UPDATE",
        differs "SQLite has one writer and no row locks");
    /// A run may remember a campaign that was paused meanwhile.
    RUNNING = batch((id: uuid) "
        SELECT c.id FROM batch b JOIN campaign c ON c.id = b.id AND c.tenant_id = $2 WHERE c.state = 'running'");
    DUE = pair(sqlite "
        UPDATE email SET state = 'claimed', run = $6, updated_at = $5
        WHERE state = 'scheduled' AND tenant_id = $1 AND id IN (
          SELECT e.id FROM email e WHERE e.tenant_id = $1 AND e.account_id = $2 AND e.campaign_id = $3
            AND e.zone = $4 AND e.state = 'scheduled' AND e.due_at <= $5 ORDER BY e.due_at LIMIT $7)
        RETURNING id, campaign_id, lead_id, step, variant_id, address, domain, zone, message_id, in_turn, attempts, due_at",
        postgres "
        UPDATE email SET state = 'claimed', run = $6, updated_at = $5
        WHERE state = 'scheduled' AND tenant_id = $1 AND id = ANY (ARRAY(
          SELECT e.id FROM email e WHERE e.tenant_id = $1 AND e.account_id = $2 AND e.campaign_id = $3
            AND e.zone = $4 AND e.state = 'scheduled' AND e.due_at <= $5 ORDER BY e.due_at LIMIT $7))
        RETURNING id, campaign_id, lead_id, step, variant_id, address, domain, zone, message_id, in_turn, attempts, due_at",
        differs "PostgreSQL would join the sub-select by reading the whole table; as an array it looks each up");
    /// What concerns whoever it goes to, and what was sent to them before.
    LEADS = batch((id: uuid) "
        SELECT l.id, l.fields FROM batch b JOIN lead l ON l.id = b.id AND l.tenant_id = $2");
    EARLIER = batch((id: uuid, campaign_id: uuid) "
        SELECT e.lead_id, e.step, coalesce(e.sent_message_id, e.message_id) AS message_id, e.variant_id, e.thread FROM batch b
        JOIN email e ON e.tenant_id = $2 AND e.campaign_id = b.campaign_id AND e.lead_id = b.id
        WHERE e.state = 'accepted' ORDER BY e.lead_id, e.step");
    NEW = pair(sqlite "
        SELECT l.id, l.address, l.domain, l.fields,
          EXISTS (SELECT 1 FROM suppression s WHERE s.tenant_id = $1 AND s.subject = l.address)
            OR EXISTS (SELECT 1 FROM suppression s WHERE s.tenant_id = $1 AND s.subject = '@' || l.domain) AS suppressed
        FROM lead l WHERE l.tenant_id = $1 AND l.campaign_id = $2 AND l.zone = $3 AND l.state = 'new' ORDER BY l.id LIMIT $4",
        postgres "
        SELECT l.id, l.address, l.domain, l.fields,
          (EXISTS (SELECT 1 FROM suppression s WHERE s.tenant_id = $1 AND s.subject = l.address)
            OR EXISTS (SELECT 1 FROM suppression s WHERE s.tenant_id = $1 AND s.subject = '@' || l.domain))::int::bigint AS suppressed
        FROM lead l WHERE l.tenant_id = $1 AND l.campaign_id = $2 AND l.zone = $3 AND l.state = 'new' ORDER BY l.id LIMIT $4
        FOR NO KEY UPDATE OF l SKIP LOCKED",
        differs "on PostgreSQL another account may be taking leads of the campaign, and a truth is no number");
    /// Each by its id: an index of new leads alone would be walked for each of them, and is not to be seen here.
    TAKE = update((id: uuid, tenant_id: uuid, state: text, step: bigint, account_id: uuid) "
        lead SET state = b.state, step = b.step, account_id = nullif(b.account_id, $3), updated_at = $2
        FROM batch b WHERE lead.id = b.id AND lead.tenant_id = b.tenant_id AND coalesce(lead.state, '') = 'new'
        RETURNING lead.id");
    FIRST = insert((id: uuid, lead_id: uuid, variant_id: uuid, message_id: text, state: text, due_at: time, in_turn: bigint) "
        email (id, tenant_id, campaign_id, lead_id, step, variant_id, account_id, address, domain, zone, message_id, state, due_at,
          in_turn, attempts, run, day, created_at, updated_at)
        SELECT b.id, l.tenant_id, l.campaign_id, l.id, 1, b.variant_id, l.account_id, l.address, l.domain, l.zone, b.message_id,
          b.state, b.due_at, b.in_turn, 0, $3, 0, $4, $4
        FROM batch b JOIN lead l ON l.id = b.lead_id AND l.tenant_id = $2 WHERE true ORDER BY b.id");
    PUT_OFF = update((id: uuid, due_at: time) "
        email SET state = 'scheduled', due_at = b.due_at, in_turn = 1
        FROM batch b WHERE email.id = b.id AND email.tenant_id = $2 AND email.state = 'claimed'");
    PAUSE_UNTIL = both("UPDATE sending_account SET next_at = $3 WHERE id = $1 AND tenant_id = $2");
}

/// Leads of a campaign that live in one zone, whose window is open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SendingLane {
    /// The campaign.
    pub campaign: CampaignId,
    /// The zone (IANA).
    pub zone: String,
    /// The texts of the first step.
    pub first: Vec<VariantShare>,
}

/// Claims emails for a run.
#[derive(Clone, Debug)]
pub struct ClaimEmails {
    /// The run.
    pub run: RunOf,
    /// What it may send now, in the order in which it is looked at. At most 100.
    pub lanes: Vec<SendingLane>,
    /// The ids of emails that are made. It claims at most as many.
    pub ids: Vec<EmailId>,
    /// No email after these before this; nothing where none has to wait for the one before.
    pub next_at: Option<Timestamp>,
    /// The present moment.
    pub now: Timestamp,
}

/// An email that a run has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimedEmail {
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
    /// The address.
    pub address: String,
    /// Where they live (IANA).
    pub zone: String,
    /// Its Message-ID, without angle brackets.
    pub message_id: String,
    /// How often it was offered to a server before.
    pub attempts: u32,
    /// What templates may name.
    pub fields: BTreeMap<String, String>,
    /// What was sent to the same lead before, in order.
    pub earlier: Vec<EarlierEmail>,
    /// When it became due.
    pub due_at: Timestamp,
}

/// An email that was taken by a server before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EarlierEmail {
    /// The step.
    pub step: u32,
    /// Its Message-ID, without angle brackets.
    pub message_id: String,
    /// The text.
    pub variant: StepVariantId,
    /// Its thread at the provider.
    pub thread: Option<String>,
}

/// What a claim came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EmailClaim {
    /// These are to be sent by this run. Where there are none, there is nothing due in these lanes.
    Claimed(Vec<ClaimedEmail>),
    /// Nothing before this moment: the account has sent as much as it may, or waits between two emails.
    Wait(Timestamp),
    /// All that was due has to wait for its domain; there may be more behind it.
    PutOff,
    /// The account does not send.
    Resting(AccountState),
}

#[derive(sqlx::FromRow)]
struct LockRow {
    run: i64,
}

#[derive(sqlx::FromRow)]
struct DueRow {
    id: Uuid,
    campaign_id: Uuid,
    lead_id: Uuid,
    step: i64,
    variant_id: Uuid,
    address: String,
    domain: String,
    zone: String,
    message_id: String,
    in_turn: i64,
    attempts: i64,
    due_at: At,
}

#[derive(sqlx::FromRow)]
struct FieldsRow {
    id: Uuid,
    fields: String,
}

#[derive(sqlx::FromRow)]
struct EarlierRow {
    lead_id: Uuid,
    step: i64,
    message_id: String,
    variant_id: Uuid,
    thread: Option<String>,
}

#[derive(sqlx::FromRow)]
struct NewRow {
    id: Uuid,
    address: String,
    domain: String,
    fields: String,
    suppressed: i64,
}

#[derive(Serialize)]
struct LeadKey {
    id: Uuid,
    campaign_id: Uuid,
}

#[derive(Serialize)]
struct TakeRow {
    id: Uuid,
    tenant_id: Uuid,
    state: &'static str,
    step: i64,
    /// The nil UUID for none.
    account_id: Uuid,
}

#[derive(Serialize)]
struct FirstRow {
    id: Uuid,
    lead_id: Uuid,
    variant_id: Uuid,
    message_id: String,
    state: &'static str,
    due_at: i64,
    in_turn: i64,
}

#[derive(Serialize)]
struct PutOffRow {
    id: Uuid,
    due_at: i64,
}

/// Holds the row of an account, and says which run has it. Nothing when it is not there.
pub(super) async fn lock(tx: &mut Tx<'_>, tenant: TenantId, account: SendingAccountId) -> Result<Option<i64>> {
    let lock: Option<LockRow> = tx.query(LOCK).bind(account.uuid()).bind(tenant.uuid()).row().await?;
    Ok(lock.map(|row| row.run))
}

impl Intent for ClaimEmails {
    type Output = EmailClaim;
    const WRITES: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.run.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<EmailClaim> {
        let (id, tenant) = (self.run.account.uuid(), self.run.tenant.uuid());
        if lock(tx, self.run.tenant, self.run.account).await? != Some(self.run.run) {
            return Err(Error::Fenced);
        }
        let account = account_of(tx, self.run.tenant, self.run.account).await?.ok_or(Error::Fenced)?;
        if account.state != AccountState::Active {
            return Ok(EmailClaim::Resting(account.state));
        }
        if account.next_at > self.now {
            return Ok(EmailClaim::Wait(account.next_at));
        }
        let room = match room_of(tx, self.run.tenant, &account, self.now).await? {
            Room::More(room) => usize::try_from(room).unwrap_or(usize::MAX).min(self.ids.len()),
            Room::Wait(again) => return Ok(EmailClaim::Wait(again)),
        };
        let campaigns: BTreeSet<Uuid> = self.lanes.iter().map(|lane| lane.campaign.uuid()).collect();
        let campaigns: Vec<_> = campaigns.into_iter().map(|id| Id { id }).collect();
        let running: Vec<Id> = tx.batch(RUNNING, &campaigns).bind(tenant).rows().await?;
        let running = super::ids(&running);
        let lanes = self.lanes.iter().filter(|lane| running.contains(&lane.campaign.uuid())).collect();
        let mut taking =
            Taking { claim: self, lanes, account: &account, room, made: 0, taken: Vec::new(), put_off: false };
        taking.due(tx).await?;
        taking.fresh(tx).await?;
        let Taking { taken, put_off, .. } = taking;
        match (taken.is_empty(), put_off) {
            (true, true) => return Ok(EmailClaim::PutOff),
            (true, false) => {}
            (false, _) => {
                if let Some(next_at) = self.next_at {
                    tx.query(PAUSE_UNTIL).bind(id).bind(tenant).bind(At(next_at)).run().await?;
                }
            }
        }
        Ok(EmailClaim::Claimed(taken))
    }
}

/// A claim under way.
struct Taking<'a> {
    claim: &'a ClaimEmails,
    /// Those of campaigns that run.
    lanes: Vec<&'a SendingLane>,
    account: &'a SendingAccount,
    /// How many more may be taken.
    room: usize,
    /// How many of the ids are used.
    made: usize,
    taken: Vec<ClaimedEmail>,
    put_off: bool,
}

impl Taking<'_> {
    /// Takes what is due.
    async fn due(&mut self, tx: &mut Tx<'_>) -> Result<()> {
        let (claim, mut rows) = (self.claim, Vec::new());
        for lane in &self.lanes {
            let room = self.room - rows.len();
            if room == 0 {
                break;
            }
            let due = tx.query(DUE).bind(claim.run.tenant.uuid()).bind(claim.run.account.uuid());
            let due = due.bind(lane.campaign.uuid()).bind(lane.zone.clone()).bind(At(claim.now));
            let due: Vec<DueRow> = due.bind(claim.run.run).bind(signed(room as u64)).rows().await?;
            rows.extend(due);
        }
        rows.sort_by_key(|row| (row.due_at, row.id));
        let waiting = rows.iter().map(|row| Wanting {
            email: row.id,
            domain: &row.domain,
            turn: (row.in_turn != 0).then_some(row.due_at.0),
        });
        let turns = turns(tx, claim.run, self.account, claim.now, waiting.collect()).await?;
        let off = turns.iter().filter(|(_, at)| **at > claim.now);
        let off: Vec<_> = off.map(|(id, at)| PutOffRow { id: *id, due_at: at.as_millis() }).collect();
        if !off.is_empty() {
            self.put_off = true;
            tx.batch(PUT_OFF, &off).bind(claim.run.tenant.uuid()).run().await?;
        }
        rows.retain(|row| turns.get(&row.id).is_none_or(|at| *at <= claim.now));
        self.room -= rows.len();
        self.claimed(tx, rows).await
    }

    /// Reads what concerns whoever emails that were claimed go to.
    async fn claimed(&mut self, tx: &mut Tx<'_>, rows: Vec<DueRow>) -> Result<()> {
        if rows.is_empty() {
            return Ok(());
        }
        let tenant = self.claim.run.tenant.uuid();
        let leads: Vec<_> = rows.iter().map(|row| LeadKey { id: row.lead_id, campaign_id: row.campaign_id }).collect();
        let ids: Vec<_> = leads.iter().map(|lead| Id { id: lead.id }).collect();
        let fields: Vec<FieldsRow> = tx.batch(LEADS, &ids).bind(tenant).rows().await?;
        let fields: BTreeMap<Uuid, String> = fields.into_iter().map(|row| (row.id, row.fields)).collect();
        let earlier: Vec<EarlierRow> = tx.batch(EARLIER, &leads).bind(tenant).rows().await?;
        for row in rows {
            let before = earlier.iter().filter(|other| other.lead_id == row.lead_id && other.step < row.step);
            self.taken.push(ClaimedEmail {
                id: EmailId(row.id),
                campaign: CampaignId(row.campaign_id),
                lead: LeadId(row.lead_id),
                step: count(row.step),
                variant: StepVariantId(row.variant_id),
                address: row.address,
                zone: row.zone,
                message_id: row.message_id,
                attempts: count(row.attempts),
                fields: fields.get(&row.lead_id).map_or_else(|| Ok(BTreeMap::new()), |text| fields_of(text))?,
                earlier: before.map(EarlierEmail::from).collect(),
                due_at: row.due_at.0,
            });
        }
        Ok(())
    }

    /// Takes leads that nothing was written to yet, and makes their first email.
    async fn fresh(&mut self, tx: &mut Tx<'_>) -> Result<()> {
        let mut tally = Tally::default();
        let claim = self.claim;
        for lane in self.lanes.clone().into_iter().filter(|lane| !lane.first.is_empty()) {
            let most = self.room.min(claim.ids.len() - self.made);
            if most == 0 {
                break;
            }
            let new = tx.query(NEW).bind(claim.run.tenant.uuid()).bind(lane.campaign.uuid()).bind(lane.zone.clone());
            let new: Vec<NewRow> = new.bind(signed(most as u64)).rows().await?;
            if !new.is_empty() {
                self.first(tx, lane, new, &mut tally).await?;
            }
        }
        tally.write(tx).await
    }

    /// Makes the first emails of a lane.
    async fn first(&mut self, tx: &mut Tx<'_>, lane: &SendingLane, new: Vec<NewRow>, tally: &mut Tally) -> Result<()> {
        let (claim, account) = (self.claim, self.account);
        let (tenant, campaign) = (claim.run.tenant.uuid(), lane.campaign.uuid());
        let take = |row: &NewRow| {
            let (state, step, account_id) = match row.suppressed {
                0 => (LeadState::Active, 1, account.id.uuid()),
                _ => (LeadState::Stopped, 0, Uuid::nil()),
            };
            TakeRow { id: row.id, tenant_id: tenant, state: state.as_str(), step, account_id }
        };
        let takes: Vec<_> = new.iter().map(take).collect();
        let taken: Vec<Id> = tx.batch(TAKE, &takes).bind(At(claim.now)).bind(Uuid::nil()).rows().await?;
        let taken = super::ids(&taken);
        let (active, stopped): (Vec<_>, Vec<_>) =
            new.into_iter().filter(|row| taken.contains(&row.id)).partition(|row| row.suppressed == 0);
        tally.leads(tenant, campaign, LeadState::New, -signed(taken.len() as u64));
        tally.leads(tenant, campaign, LeadState::Active, signed(active.len() as u64));
        tally.leads(tenant, campaign, LeadState::Stopped, signed(stopped.len() as u64));
        let ids: Vec<EmailId> = claim.ids.iter().skip(self.made).take(active.len()).copied().collect();
        self.made += ids.len();
        let wanted = ids.iter().zip(&active);
        let wanted = wanted.map(|(id, row)| Wanting { email: id.uuid(), domain: &row.domain, turn: None });
        let turns = turns(tx, claim.run, account, claim.now, wanted.collect()).await?;
        let mut rows = Vec::with_capacity(active.len());
        for (id, row) in ids.into_iter().zip(active) {
            let variant = choose(&lane.first, lane.campaign, 1, LeadId(row.id));
            let variant = variant.ok_or_else(|| Error::Bug("a lane without texts".to_owned()))?;
            let message_id = message_id(id, &account.address);
            let turn = turns.get(&id.uuid()).copied();
            let at = turn.unwrap_or(claim.now);
            let later = at > claim.now;
            rows.push(FirstRow {
                id: id.uuid(),
                lead_id: row.id,
                variant_id: variant.uuid(),
                message_id: message_id.clone(),
                state: if later { EmailState::Scheduled } else { EmailState::Claimed }.as_str(),
                due_at: at.as_millis(),
                in_turn: i64::from(turn.is_some()),
            });
            let account_id = account.id.uuid();
            let of = Of {
                tenant_id: tenant,
                campaign_id: campaign,
                step: 1,
                variant_id: variant.uuid(),
                account_id,
                day: 0,
            };
            tally.add(of, super::figures::Kind::Queued, 1);
            self.put_off |= later;
            if !later {
                self.room = self.room.saturating_sub(1);
                self.taken.push(ClaimedEmail {
                    id,
                    campaign: lane.campaign,
                    lead: LeadId(row.id),
                    step: 1,
                    variant,
                    address: row.address,
                    zone: lane.zone.clone(),
                    message_id,
                    attempts: 0,
                    fields: fields_of(&row.fields)?,
                    earlier: Vec::new(),
                    due_at: claim.now,
                });
            }
        }
        let first = tx.batch(FIRST, &rows).bind(tenant).bind(claim.run.run).bind(At(claim.now));
        first.run().await.map(drop)
    }
}

impl From<&EarlierRow> for EarlierEmail {
    fn from(row: &EarlierRow) -> Self {
        Self {
            step: count(row.step),
            message_id: row.message_id.clone(),
            variant: StepVariantId(row.variant_id),
            thread: row.thread.clone(),
        }
    }
}

/// The text that a lead gets of a step: always the same, whatever else is asked meanwhile. Where no text has a weight, the
/// first.
#[must_use]
pub fn choose(shares: &[VariantShare], campaign: CampaignId, step: u32, lead: LeadId) -> Option<StepVariantId> {
    let weight =
        |weight: u32| u16::try_from(weight).unwrap_or(StepVariant::HIGHEST_WEIGHT).min(StepVariant::HIGHEST_WEIGHT);
    let variants: Vec<_> =
        shares.iter().map(|share| StepVariant { name: &share.name, weight: weight(share.weight) }).collect();
    let step = u16::try_from(step).unwrap_or(u16::MAX);
    let place = variant(campaign.uuid(), step, lead.uuid(), &variants).unwrap_or(0);
    shares.get(place).map(|share| share.id)
}
