//! Leads: added in batches, one for each address of a campaign.

use std::collections::{BTreeMap, BTreeSet};

use mainstay_domain::{CampaignId, CampaignState, EmailAddress, LeadId, LeadState, TenantId, Timestamp, Zone};
use serde::Serialize;
use uuid::Uuid;

use super::campaigns::campaign_of;
use super::domain_of;
use super::figures::Tally;
use super::lead_list::searched;
use super::waking::wake;
use crate::error::{Error, Result};
use crate::intent::Intent;
use crate::members::word;
use crate::sql::statements;
use crate::tx::{Scope, Tx};
use crate::value::{At, Id, count, json};

statements! {
    /// Whoever has said that they want no mail is there, and is never written to. Whoever was erased is not even there.
    ADD = insert((id: uuid, address: text, domain: text, fields: text, searched: text, zone: text, digest: text) "
        lead (id, tenant_id, campaign_id, address, domain, fields, searched, zone, state, step, created_at, updated_at)
        SELECT b.id, $2, $3, b.address, b.domain, b.fields, b.searched, b.zone,
          CASE WHEN EXISTS (SELECT 1 FROM suppression s WHERE s.tenant_id = $2 AND s.subject = b.address)
            OR EXISTS (SELECT 1 FROM suppression s WHERE s.tenant_id = $2 AND s.subject = '@' || b.domain)
            THEN 'stopped' ELSE 'new' END, 0, $4, $4
        FROM batch b WHERE NOT EXISTS (SELECT 1 FROM suppression s WHERE s.tenant_id = $2 AND s.subject = b.digest)
        ORDER BY b.address
        ON CONFLICT (tenant_id, campaign_id, address) DO NOTHING
        RETURNING id, state");
    /// Whoever was erased and is not to be written to.
    OBJECTED = batch((id: uuid, digest: text) "
        SELECT b.id FROM batch b JOIN suppression s ON s.subject = b.digest AND s.tenant_id = $2");
    ZONES = insert((zone: text) "
        campaign_zone (campaign_id, tenant_id, zone) SELECT $3, $2, zone FROM batch WHERE true ORDER BY zone
        ON CONFLICT (campaign_id, zone, tenant_id) DO NOTHING");
    LACKING = pair(sqlite "
        SELECT l.id, b.value AS name FROM lead l JOIN json_each($3) b
        WHERE l.tenant_id = $1 AND l.campaign_id = $2 AND l.state IN ('new', 'active')
          AND NOT EXISTS (SELECT 1 FROM json_each(l.fields) w WHERE w.key = b.value) LIMIT $4",
        postgres "
        SELECT l.id, n.value AS name FROM lead l JOIN json_array_elements_text($3::json) n (value)
          ON NOT jsonb_exists(l.fields::jsonb, n.value)
        WHERE l.tenant_id = $1 AND l.campaign_id = $2 AND l.state IN ('new', 'active') LIMIT $4",
        differs "each engine reads JSON in its own way");
    GET = both("
        SELECT id, campaign_id, address, fields, zone, state, step, account_id, created_at, updated_at
        FROM lead WHERE id = $1 AND tenant_id = $2");
}

/// The fields by which leads are found, beside their address.
const NAMED: [&str; 3] = ["first_name", "last_name", "company"];

/// The most leads that are added at once.
pub const MOST_LEADS: usize = 1_000;

/// A lead to add.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewLead {
    /// Its id.
    pub id: LeadId,
    /// Its address.
    pub address: EmailAddress,
    /// What templates may name.
    pub fields: BTreeMap<String, String>,
    /// Where it lives; nothing where nobody knows.
    pub zone: Option<Zone>,
    /// What is kept of its address when somebody was erased.
    pub digest: String,
}

/// What became of leads that were to be added.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AddedLeads {
    /// Those that are new.
    pub new: BTreeSet<LeadId>,
    /// Of those: whose address or domain is suppressed. They are kept and not written to.
    pub suppressed: BTreeSet<LeadId>,
    /// Who was erased, and is not to be written to: they are not kept.
    pub erased: BTreeSet<LeadId>,
}

/// Adds leads to a campaign, at most [`MOST_LEADS`]. Whose address is there already is passed over: the first stays as it
/// is. Nothing when there is no such campaign, or it has stopped.
#[derive(Clone, Debug)]
pub struct AddLeads {
    /// The organisation.
    pub tenant: TenantId,
    /// The campaign.
    pub campaign: CampaignId,
    /// Whom.
    pub leads: Vec<NewLead>,
    /// The present moment.
    pub now: Timestamp,
}

#[derive(Serialize)]
struct LeadInsert<'a> {
    id: Uuid,
    address: &'a str,
    domain: &'a str,
    fields: String,
    searched: String,
    zone: &'a str,
    digest: &'a str,
}

#[derive(Serialize)]
struct DigestKey<'a> {
    id: Uuid,
    digest: &'a str,
}

#[derive(Serialize)]
struct ZoneRow<'a> {
    zone: &'a str,
}

#[derive(sqlx::FromRow)]
struct AddedRow {
    id: Uuid,
    state: String,
}

impl Intent for AddLeads {
    type Output = Option<AddedLeads>;
    const WRITES: bool = true;
    const REPEATABLE: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output> {
        add(tx, (self.tenant, self.campaign), &self.leads, self.now).await
    }
}

/// Adds leads to a campaign. Nothing when there is no such campaign, or it has stopped.
pub(super) async fn add(
    tx: &mut Tx<'_>,
    (tenant, campaign): (TenantId, CampaignId),
    leads: &[NewLead],
    now: Timestamp,
) -> Result<Option<AddedLeads>> {
    let Some(campaign) = campaign_of(tx, tenant, campaign).await?.filter(|one| one.state != CampaignState::Stopped)
    else {
        return Ok(None);
    };
    let (mut answer, mut tally) = (AddedLeads::default(), Tally::default());
    if leads.is_empty() {
        return Ok(Some(answer));
    }
    // Of two with one address in a batch the first stands for both.
    let mut firsts: BTreeMap<&str, &NewLead> = BTreeMap::new();
    for lead in leads {
        firsts.entry(lead.address.as_str()).or_insert(lead);
    }
    let mut rows = Vec::with_capacity(firsts.len());
    for (address, lead) in &firsts {
        let zone = lead.zone.as_ref().map_or(campaign.settings.zone.as_str(), Zone::name);
        let fields = json(&lead.fields)?;
        let named = NAMED.iter().filter_map(|name| lead.fields.get(*name).map(String::as_str));
        let searched = searched(address, named);
        let (domain, digest) = (domain_of(address), lead.digest.as_str());
        rows.push(LeadInsert { id: lead.id.uuid(), address, domain, fields, searched, zone, digest });
    }
    let id = campaign.id.uuid();
    let added: Vec<AddedRow> = tx.batch(ADD, &rows).bind(tenant.uuid()).bind(id).bind(At(now)).rows().await?;
    if added.len() < rows.len() {
        let keys: Vec<_> = rows.iter().map(|row| DigestKey { id: row.id, digest: row.digest }).collect();
        let erased: Vec<Id> = tx.batch(OBJECTED, &keys).bind(tenant.uuid()).rows().await?;
        answer.erased = erased.into_iter().map(|row| LeadId(row.id)).collect();
    }
    let names: BTreeSet<&str> = rows.iter().map(|row| row.zone).collect();
    let zones: Vec<_> = names.into_iter().map(|zone| ZoneRow { zone }).collect();
    tx.batch(ZONES, &zones).bind(tenant.uuid()).bind(id).run().await?;
    for row in added {
        let state: LeadState = word(&row.state)?;
        tally.leads(tenant.uuid(), id, state, 1);
        answer.new.insert(LeadId(row.id));
        if state == LeadState::Stopped {
            answer.suppressed.insert(LeadId(row.id));
        }
    }
    tally.write(tx).await?;
    if campaign.state == CampaignState::Running && !answer.new.is_empty() {
        wake(tx, tenant, campaign.id, now).await?;
    }
    Ok(Some(answer))
}

/// A lead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lead {
    /// Its id.
    pub id: LeadId,
    /// Its campaign.
    pub campaign: CampaignId,
    /// Its address.
    pub address: String,
    /// What templates may name.
    pub fields: BTreeMap<String, String>,
    /// Where it lives (IANA).
    pub zone: String,
    /// Where it is in its campaign.
    pub state: LeadState,
    /// The last step that there is an email for; 0 before the first.
    pub step: u32,
    /// When it was added.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

#[derive(sqlx::FromRow)]
pub(super) struct LeadRow {
    id: Uuid,
    campaign_id: Uuid,
    address: String,
    fields: String,
    zone: String,
    state: String,
    step: i64,
    created_at: At,
    updated_at: At,
}

/// The fields of a lead, read again.
pub(super) fn fields_of(text: &str) -> Result<BTreeMap<String, String>> {
    serde_json::from_str(text).map_err(|_| Error::Corrupt("the fields of a lead are no object of texts".to_owned()))
}

impl TryFrom<LeadRow> for Lead {
    type Error = Error;

    fn try_from(row: LeadRow) -> Result<Self> {
        Ok(Self {
            id: LeadId(row.id),
            campaign: CampaignId(row.campaign_id),
            address: row.address,
            fields: fields_of(&row.fields)?,
            zone: row.zone,
            state: word(&row.state)?,
            step: count(row.step),
            created_at: row.created_at.0,
            updated_at: row.updated_at.0,
        })
    }
}

/// Reads a lead.
#[derive(Clone, Copy, Debug)]
pub struct GetLead {
    /// The organisation.
    pub tenant: TenantId,
    /// Which.
    pub id: LeadId,
}

impl Intent for GetLead {
    type Output = Option<Lead>;
    const WRITES: bool = false;
    const ONE_STATEMENT: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output> {
        let row: Option<LeadRow> = tx.query(GET).bind(self.id.uuid()).bind(self.tenant.uuid()).row().await?;
        row.map(Lead::try_from).transpose()
    }
}

/// Finds leads that lack a field: at most so many, each with the name of what it lacks.
#[derive(Clone, Debug)]
pub struct FindLacking {
    /// The organisation.
    pub tenant: TenantId,
    /// The campaign.
    pub campaign: CampaignId,
    /// The fields that each lead is to have.
    pub fields: BTreeSet<String>,
    /// At most so many.
    pub limit: u32,
}

#[derive(sqlx::FromRow)]
struct LackingRow {
    id: Uuid,
    name: String,
}

impl Intent for FindLacking {
    type Output = Vec<(LeadId, String)>;
    const WRITES: bool = false;
    const ONE_STATEMENT: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output> {
        let find = tx.query(LACKING).bind(self.tenant.uuid()).bind(self.campaign.uuid()).bind(json(&self.fields)?);
        let rows: Vec<LackingRow> = find.bind(i64::from(self.limit)).rows().await?;
        Ok(rows.into_iter().map(|row| (LeadId(row.id), row.name)).collect())
    }
}
