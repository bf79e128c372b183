//! Whether a campaign can begin: what would go wrong in an email is said before.

use std::collections::{BTreeMap, BTreeSet};

use mainstay_domain::{CampaignId, CampaignState, Error, FieldFault, Result, TenantId};
use mainstay_store::{AccountsOf, Call, Campaign, FindLacking};

use super::Outreach;
use super::compose::Text;
use super::service::of_state;

/// The most leads that are told of.
const MOST_LEADS: u32 = 20;

impl Outreach {
    /// Begins a campaign, or lets it go on. What would go wrong in an email is said now.
    ///
    /// # Errors
    /// `invalid_input` with every problem, or a conflict of its state.
    pub(super) async fn launch(&self, call: &Call, tenant: TenantId, id: CampaignId) -> Result<Campaign> {
        let campaign = self.campaign(call, tenant, id).await?;
        if !campaign.state.may_become(CampaignState::Running) {
            return Err(of_state(&campaign, CampaignState::Running));
        }
        let problems = self.problems(call, tenant, id).await?;
        if !problems.is_empty() {
            return Err(Error::invalid(problems));
        }
        self.become_(call, tenant, &campaign, CampaignState::Running).await
    }

    /// What would go wrong if the campaign began now.
    async fn problems(&self, call: &Call, tenant: TenantId, campaign: CampaignId) -> Result<Vec<FieldFault>> {
        let (steps, texts) = self.store.run(call, mainstay_store::ReadSteps { tenant, campaign }).await?;
        let mut problems = Vec::new();
        if steps.is_empty() {
            problems.push(FieldFault::new("steps", "missing", "Write at least one step."));
        }
        for step in steps.iter().filter(|step| step.variants.iter().all(|variant| variant.weight == 0)) {
            let field = format!("steps[{}]", step.step - 1);
            problems.push(FieldFault::new(field, "no_weight", "Give one of its texts a weight."));
        }
        if self.store.run(call, AccountsOf { tenant, campaign }).await?.is_empty() {
            problems.push(FieldFault::new("account_ids", "missing", "Name an account that sends."));
        }
        // Where each field is named that has nothing else in its place.
        let mut needed: BTreeMap<String, String> = BTreeMap::new();
        for variant in &texts {
            let Ok(text) = Text::read(variant) else { continue };
            let place = format!("step {}, {}", variant.step, variant.name);
            needed.extend(text.needed().into_iter().map(|field| (field, place.clone())));
        }
        if needed.is_empty() {
            return Ok(problems);
        }
        let fields: BTreeSet<String> = needed.keys().cloned().collect();
        let lacking = FindLacking { tenant, campaign, fields, limit: MOST_LEADS };
        for (lead, field) in self.store.run(call, lacking).await? {
            let place = needed.get(&field).map_or("a text", String::as_str);
            let detail = format!(
                "The lead {lead} has no {field}, which {place} names. Give the lead one, or write {{{{{field} | \"...\"}}}}."
            );
            problems.push(FieldFault::new(format!("leads.{field}"), "missing_field", detail));
        }
        Ok(problems)
    }
}
