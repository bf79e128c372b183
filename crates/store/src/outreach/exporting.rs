//! Leads as a table: page by page in the order of their ids, with what came of their emails. Each page is a transaction of its
//! own, so that none is open while whoever reads the table takes their time.

use std::collections::BTreeMap;

use mainstay_domain::{CampaignId, LeadId, TenantId};
use serde::Serialize;
use uuid::Uuid;

use super::leads::{Lead, LeadRow};
use crate::error::Result;
use crate::intent::Intent;
use crate::sql::statements;
use crate::tx::{Scope, Tx};
use crate::value::count;

statements! {
    FIELDS = both("
        SELECT id, fields FROM lead WHERE tenant_id = $1 AND campaign_id = $2 AND id > $3 ORDER BY id LIMIT $4");
    LEADS = both("
        SELECT id, campaign_id, address, fields, zone, state, step, account_id, created_at, updated_at
        FROM lead WHERE tenant_id = $1 AND campaign_id = $2 AND id > $3 AND id <= $4 ORDER BY id LIMIT $5");
    CAME_OF = batch((id: uuid, tenant_id: uuid, campaign_id: uuid) "
        SELECT e.lead_id, count(e.accepted_at) AS sent, count(e.opened_at) AS opened, count(e.clicked_at) AS clicked,
          count(e.replied_at) AS replied, count(e.bounced_at) AS bounced, count(e.converted_at) AS converted
        FROM batch b JOIN email e ON e.tenant_id = b.tenant_id AND e.campaign_id = b.campaign_id AND e.lead_id = b.id
        GROUP BY e.lead_id");
}

#[derive(sqlx::FromRow)]
struct FieldsRow {
    id: Uuid,
    fields: String,
}

#[derive(sqlx::FromRow)]
struct CameRow {
    lead_id: Uuid,
    sent: i64,
    opened: i64,
    clicked: i64,
    replied: i64,
    bounced: i64,
    converted: i64,
}

#[derive(Serialize)]
struct LeadKey {
    id: Uuid,
    tenant_id: Uuid,
    campaign_id: Uuid,
}

/// What came of the emails to a lead: so many of them were taken by a server, opened by a person, and so on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CameOfLead {
    /// A server took them.
    pub sent: u32,
    /// People opened them.
    pub opened: u32,
    /// People followed a link of them.
    pub clicked: u32,
    /// They were answered.
    pub replied: u32,
    /// They came back.
    pub bounced: u32,
    /// They led to what the campaign is for.
    pub converted: u32,
}

/// Reads what the fields of leads are called, in the order of the ids of their leads.
#[derive(Clone, Copy, Debug)]
pub struct ReadFieldNames {
    /// The organisation.
    pub tenant: TenantId,
    /// The campaign.
    pub campaign: CampaignId,
    /// Of leads after this one.
    pub after: Option<LeadId>,
    /// Of so many leads at most.
    pub limit: u32,
}

impl Intent for ReadFieldNames {
    type Output = Vec<(LeadId, Vec<String>)>;
    const WRITES: bool = false;
    const ONE_STATEMENT: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output> {
        let after = self.after.map_or(Uuid::nil(), LeadId::uuid);
        let list = tx.query(FIELDS).bind(self.tenant.uuid()).bind(self.campaign.uuid()).bind(after);
        let rows: Vec<FieldsRow> = list.bind(i64::from(self.limit)).rows().await?;
        let names = |row: FieldsRow| Ok((LeadId(row.id), super::leads::fields_of(&row.fields)?.into_keys().collect()));
        rows.into_iter().map(names).collect()
    }
}

/// Reads a page of leads, in the order of their ids, with what came of their emails.
#[derive(Clone, Copy, Debug)]
pub struct ExportLeads {
    /// The organisation.
    pub tenant: TenantId,
    /// The campaign.
    pub campaign: CampaignId,
    /// Those after this one.
    pub after: Option<LeadId>,
    /// Up to this one.
    pub last: LeadId,
    /// At most so many.
    pub limit: u32,
}

impl Intent for ExportLeads {
    type Output = Vec<(Lead, CameOfLead)>;
    const WRITES: bool = false;
    const SNAPSHOT: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output> {
        let (tenant, campaign) = (self.tenant.uuid(), self.campaign.uuid());
        let after = self.after.map_or(Uuid::nil(), LeadId::uuid);
        let list = tx.query(LEADS).bind(tenant).bind(campaign).bind(after).bind(self.last.uuid());
        let rows: Vec<LeadRow> = list.bind(i64::from(self.limit)).rows().await?;
        let leads: Vec<Lead> = rows.into_iter().map(Lead::try_from).collect::<Result<_>>()?;
        let key = |lead: &Lead| LeadKey { id: lead.id.uuid(), tenant_id: tenant, campaign_id: campaign };
        let keys: Vec<LeadKey> = leads.iter().map(key).collect();
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let came: Vec<CameRow> = tx.batch(CAME_OF, &keys).rows().await?;
        let came: BTreeMap<Uuid, CameOfLead> = came
            .into_iter()
            .map(|row| {
                let came = CameOfLead {
                    sent: count(row.sent),
                    opened: count(row.opened),
                    clicked: count(row.clicked),
                    replied: count(row.replied),
                    bounced: count(row.bounced),
                    converted: count(row.converted),
                };
                (row.lead_id, came)
            })
            .collect();
        let of = |lead: &Lead| came.get(&lead.id.uuid()).copied().unwrap_or_default();
        Ok(leads
            .into_iter()
            .map(|lead| {
                let came = of(&lead);
                (lead, came)
            })
            .collect())
    }
}
