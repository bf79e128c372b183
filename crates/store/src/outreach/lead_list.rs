//! Leads as people look at them: by pages, sorted, found by a part of their address, their name or their company.
//!
//! What is looked in stands in the indexes that the pages are read from. A search that finds nothing walks over one of them,
//! and over no row.

use mainstay_domain::{CampaignId, LeadId, LeadState, TenantId};
use uuid::Uuid;

use super::leads::{Lead, LeadRow};
use crate::error::Result;
use crate::intent::Intent;
use crate::sql::{Sql, statements};
use crate::tx::{Scope, Tx};

/// The most characters of a lead that are looked in.
const MOST_SEARCHED: usize = 300;

statements! {
    NEWEST = both("
        SELECT l.id, l.campaign_id, l.address, l.fields, l.zone, l.state, l.step, l.account_id, l.created_at, l.updated_at
        FROM (SELECT id FROM lead WHERE tenant_id = $1 AND campaign_id = $2 AND id < $3
          AND searched LIKE $5 ESCAPE '!' ORDER BY id DESC LIMIT $4) w
        JOIN lead l ON l.id = w.id AND l.tenant_id = $1 ORDER BY l.id DESC");
    NEWEST_IN_STATE = both("
        SELECT l.id, l.campaign_id, l.address, l.fields, l.zone, l.state, l.step, l.account_id, l.created_at, l.updated_at
        FROM (SELECT id FROM lead WHERE tenant_id = $1 AND campaign_id = $2 AND id < $3 AND state = $6
          AND searched LIKE $5 ESCAPE '!' ORDER BY id DESC LIMIT $4) w
        JOIN lead l ON l.id = w.id AND l.tenant_id = $1 ORDER BY l.id DESC");
    OLDEST = both("
        SELECT l.id, l.campaign_id, l.address, l.fields, l.zone, l.state, l.step, l.account_id, l.created_at, l.updated_at
        FROM (SELECT id FROM lead WHERE tenant_id = $1 AND campaign_id = $2 AND id > $3
          AND searched LIKE $5 ESCAPE '!' ORDER BY id LIMIT $4) w
        JOIN lead l ON l.id = w.id AND l.tenant_id = $1 ORDER BY l.id");
    OLDEST_IN_STATE = both("
        SELECT l.id, l.campaign_id, l.address, l.fields, l.zone, l.state, l.step, l.account_id, l.created_at, l.updated_at
        FROM (SELECT id FROM lead WHERE tenant_id = $1 AND campaign_id = $2 AND id > $3 AND state = $6
          AND searched LIKE $5 ESCAPE '!' ORDER BY id LIMIT $4) w
        JOIN lead l ON l.id = w.id AND l.tenant_id = $1 ORDER BY l.id");
    BY_ADDRESS = both("
        SELECT l.id, l.campaign_id, l.address, l.fields, l.zone, l.state, l.step, l.account_id, l.created_at, l.updated_at
        FROM (SELECT id FROM lead WHERE tenant_id = $1 AND campaign_id = $2 AND address > $3
          AND searched LIKE $5 ESCAPE '!' ORDER BY address LIMIT $4) w
        JOIN lead l ON l.id = w.id AND l.tenant_id = $1 ORDER BY l.address");
    BY_ADDRESS_IN_STATE = both("
        SELECT l.id, l.campaign_id, l.address, l.fields, l.zone, l.state, l.step, l.account_id, l.created_at, l.updated_at
        FROM (SELECT id FROM lead WHERE tenant_id = $1 AND campaign_id = $2 AND address > $3 AND state = $6
          AND searched LIKE $5 ESCAPE '!' ORDER BY address LIMIT $4) w
        JOIN lead l ON l.id = w.id AND l.tenant_id = $1 ORDER BY l.address");
    BY_ADDRESS_BACK = both("
        SELECT l.id, l.campaign_id, l.address, l.fields, l.zone, l.state, l.step, l.account_id, l.created_at, l.updated_at
        FROM (SELECT id FROM lead WHERE tenant_id = $1 AND campaign_id = $2 AND address < $3
          AND searched LIKE $5 ESCAPE '!' ORDER BY address DESC LIMIT $4) w
        JOIN lead l ON l.id = w.id AND l.tenant_id = $1 ORDER BY l.address DESC");
    BY_ADDRESS_BACK_IN_STATE = both("
        SELECT l.id, l.campaign_id, l.address, l.fields, l.zone, l.state, l.step, l.account_id, l.created_at, l.updated_at
        FROM (SELECT id FROM lead WHERE tenant_id = $1 AND campaign_id = $2 AND address < $3 AND state = $6
          AND searched LIKE $5 ESCAPE '!' ORDER BY address DESC LIMIT $4) w
        JOIN lead l ON l.id = w.id AND l.tenant_id = $1 ORDER BY l.address DESC");
}

/// In which order leads are listed, and after which one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LeadOrder {
    /// The newest first: before this one.
    Newest(Option<LeadId>),
    /// The oldest first: after this one.
    Oldest(Option<LeadId>),
    /// By their addresses: after this one.
    Address(Option<String>),
    /// By their addresses from the last: before this one.
    AddressBack(Option<String>),
}

/// Lists leads of a campaign.
#[derive(Clone, Debug)]
pub struct ListLeads {
    /// The organisation.
    pub tenant: TenantId,
    /// The campaign.
    pub campaign: CampaignId,
    /// In which order, and after which one.
    pub order: LeadOrder,
    /// Those in this state.
    pub state: Option<LeadState>,
    /// Those in whose address, name or company this stands; all when it is empty.
    pub query: String,
    /// At most so many.
    pub limit: u32,
}

/// What is looked in for a lead.
pub(super) fn searched<'a>(address: &str, named: impl Iterator<Item = &'a str>) -> String {
    let mut text = address.to_owned();
    for part in named.filter(|part| !part.is_empty()) {
        text.push(' ');
        text.extend(part.chars().take(MOST_SEARCHED));
    }
    text.to_lowercase().chars().take(MOST_SEARCHED).collect()
}

/// A pattern of texts in which another stands.
fn pattern(query: &str) -> String {
    let mut pattern = "%".to_owned();
    for letter in query.trim().to_lowercase().chars() {
        if matches!(letter, '%' | '_' | '!') {
            pattern.push('!');
        }
        pattern.push(letter);
    }
    pattern.push('%');
    pattern
}

impl ListLeads {
    const fn statement(&self) -> Sql {
        match (&self.order, self.state.is_some()) {
            (LeadOrder::Newest(_), false) => NEWEST,
            (LeadOrder::Newest(_), true) => NEWEST_IN_STATE,
            (LeadOrder::Oldest(_), false) => OLDEST,
            (LeadOrder::Oldest(_), true) => OLDEST_IN_STATE,
            (LeadOrder::Address(_), false) => BY_ADDRESS,
            (LeadOrder::Address(_), true) => BY_ADDRESS_IN_STATE,
            (LeadOrder::AddressBack(_), false) => BY_ADDRESS_BACK,
            (LeadOrder::AddressBack(_), true) => BY_ADDRESS_BACK_IN_STATE,
        }
    }
}

/// Comes after every address: none has a character that is not ASCII.
const AFTER_ALL: &str = "\u{10FFFF}";

impl Intent for ListLeads {
    type Output = Vec<Lead>;
    const WRITES: bool = false;
    const ONE_STATEMENT: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output> {
        let list = tx.query(self.statement()).bind(self.tenant.uuid()).bind(self.campaign.uuid());
        let list = match &self.order {
            LeadOrder::Newest(before) => list.bind(before.map_or(Uuid::max(), LeadId::uuid)),
            LeadOrder::Oldest(after) => list.bind(after.map_or(Uuid::nil(), LeadId::uuid)),
            LeadOrder::Address(after) => list.bind(after.clone().unwrap_or_default()),
            LeadOrder::AddressBack(before) => list.bind(before.clone().unwrap_or_else(|| AFTER_ALL.to_owned())),
        };
        let list = list.bind(i64::from(self.limit)).bind(pattern(&self.query));
        let list = match self.state {
            Some(state) => list.bind(state.as_str()),
            None => list,
        };
        let rows: Vec<LeadRow> = list.rows().await?;
        rows.into_iter().map(Lead::try_from).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_looked_for_is_no_pattern_of_its_own() {
        assert_eq!(pattern(" 100%_A! "), "%100!%!_a!!%");
        assert_eq!(pattern(""), "%%");
    }

    #[test]
    fn what_is_looked_in_is_bounded() {
        let named = ["Ada", "", "Löwe"];
        assert_eq!(searched("a@b.example", named.into_iter()), "a@b.example ada löwe");
        let long = "İ".repeat(400);
        assert_eq!(searched("a@b.example", [long.as_str()].into_iter()).chars().count(), MOST_SEARCHED);
    }
}
