//! Whether a campaign can begin: what would go wrong in an email is said before, and what the DNS says of its senders.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::future::join_all;
use mainstay_domain::outreach::Template;
use mainstay_domain::{CampaignId, CampaignState, Error, FieldFault, Result, SendingAccountId, TenantId};
use mainstay_mail::dkim::PublicKey;
use mainstay_mail::domain_check::{DkimKey, Finding, Publish, Sender, Severity, check};
use mainstay_store::{AccountsInUse, Call, Campaign, FindLacking, ReadSteps, SendingAccount, StepVariant};
use tokio::time::timeout;

use super::Outreach;
use super::compose::{POSTAL_ADDRESS, Text};
use super::service::of_state;

/// The most leads that are told of.
const MOST_LEADS: u32 = 20;
/// The most senders whose domains are asked about.
const MOST_SENDERS: usize = 20;
/// How long asking about domains may take. What is not answered by then is said not to be.
const ASKING: Duration = Duration::from_secs(15);

/// Something to know before a campaign begins.
#[derive(Clone, Debug)]
pub(super) struct Check {
    /// Stable.
    pub(super) code: &'static str,
    /// Whether the campaign can begin with it.
    pub(super) severity: Severity,
    /// What it is about: a field of the campaign, or a name of the DNS.
    pub(super) about: String,
    /// What is found and what to do, for people.
    pub(super) detail: String,
    /// The accounts that it is about.
    pub(super) accounts: Vec<SendingAccountId>,
    /// The record of the DNS that cures it.
    pub(super) publish: Option<Publish>,
}

impl Check {
    fn new(code: &'static str, severity: Severity, about: &str, detail: impl Into<String>) -> Self {
        let (about, detail) = (about.to_owned(), detail.into());
        Self { code, severity, about, detail, accounts: Vec::new(), publish: None }
    }
}

impl From<Finding> for Check {
    fn from(finding: Finding) -> Self {
        Self { publish: finding.publish, ..Self::new(finding.code, finding.severity, &finding.name, finding.detail) }
    }
}

/// What tells apart senders of which the DNS may say different things.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct SenderKey {
    domain: String,
    dkim: Option<(String, String)>,
    tracking_domain: Option<String>,
    host: String,
}

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
        let accounts = self.store.run(call, self.in_use(tenant, id)).await?;
        let (mut problems, _) = self.problems(call, tenant, &campaign, &accounts).await?;
        if problems.is_empty() && self.settings.check_domains {
            let found = self.domains(tenant, &accounts).await;
            let blocks = found.into_iter().filter(|check| check.severity == Severity::Blocks);
            problems.extend(blocks.map(|check| FieldFault::new("account_ids", check.code, check.detail)));
        }
        if !problems.is_empty() {
            return Err(Error::invalid(problems));
        }
        self.become_(call, tenant, &campaign, CampaignState::Running).await
    }

    /// Everything to know before a campaign begins: what would go wrong in its emails, what its texts lack, and what the
    /// DNS says of its senders.
    ///
    /// # Errors
    /// When there is no such campaign.
    pub(super) async fn checklist(&self, call: &Call, tenant: TenantId, id: CampaignId) -> Result<Vec<Check>> {
        let campaign = self.campaign(call, tenant, id).await?;
        let accounts = self.store.run(call, self.in_use(tenant, id)).await?;
        let (problems, texts) = self.problems(call, tenant, &campaign, &accounts).await?;
        let problem = |fault: FieldFault| Check::new(fault.code, Severity::Blocks, &fault.field, fault.detail);
        let mut checks: Vec<Check> = problems.into_iter().map(problem).collect();
        checks.extend(lacks(&campaign, &texts));
        checks.extend(self.domains(tenant, &accounts).await);
        checks.sort_by_key(|check| std::cmp::Reverse(check.severity));
        Ok(checks)
    }

    const fn in_use(&self, tenant: TenantId, campaign: CampaignId) -> AccountsInUse {
        AccountsInUse { tenant, campaign, limit: 200 }
    }

    /// What would go wrong if the campaign began now, and its texts.
    async fn problems(
        &self,
        call: &Call,
        tenant: TenantId,
        campaign: &Campaign,
        accounts: &[SendingAccount],
    ) -> Result<(Vec<FieldFault>, Vec<StepVariant>)> {
        let (steps, texts) = self.store.run(call, ReadSteps { tenant, campaign: campaign.id }).await?;
        let mut problems = Vec::new();
        if steps.is_empty() {
            problems.push(FieldFault::new("steps", "missing", "Write at least one step."));
        }
        for step in steps.iter().filter(|step| step.variants.iter().all(|variant| variant.weight == 0)) {
            let field = format!("steps[{}]", step.step - 1);
            problems.push(FieldFault::new(field, "no_weight", "Give one of its texts a weight."));
        }
        if accounts.is_empty() {
            problems.push(FieldFault::new("account_ids", "missing", "Name an account that sends."));
        }
        // Where each field is named that has nothing else in its place.
        let mut needed: BTreeMap<String, String> = BTreeMap::new();
        for variant in &texts {
            let Ok(text) = Text::read(variant) else { continue };
            let place = format!("step {}, {}", variant.step, variant.name);
            if campaign.settings.postal_address.is_none() && text.names(POSTAL_ADDRESS, true) {
                let detail = format!("The text of {place} names {{{{postal_address}}}}: give the campaign one.");
                problems.push(FieldFault::new("postal_address", "missing", detail));
            }
            needed.extend(text.needed().into_iter().map(|field| (field, place.clone())));
        }
        if needed.is_empty() {
            return Ok((problems, texts));
        }
        let fields: BTreeSet<String> = needed.keys().cloned().collect();
        let lacking = FindLacking { tenant, campaign: campaign.id, fields, limit: MOST_LEADS };
        for (lead, field) in self.store.run(call, lacking).await? {
            let place = needed.get(&field).map_or("a text", String::as_str);
            let detail = format!(
                "The lead {lead} has no {field}, which {place} names. Give the lead one, or write {{{{{field} | \"...\"}}}}."
            );
            problems.push(FieldFault::new(format!("leads.{field}"), "missing_field", detail));
        }
        Ok((problems, texts))
    }

    /// What the DNS says of the accounts that send, those together of which it says the same.
    pub(super) async fn domains(&self, tenant: TenantId, accounts: &[SendingAccount]) -> Vec<Check> {
        let mut senders: BTreeMap<SenderKey, Vec<&SendingAccount>> = BTreeMap::new();
        for account in accounts {
            let key = SenderKey {
                domain: account.address.rsplit_once('@').map(|(_, domain)| domain.to_owned()).unwrap_or_default(),
                dkim: account.settings.dkim.clone(),
                tracking_domain: account.settings.tracking_domain.clone(),
                host: account.settings.host.clone(),
            };
            senders.entry(key).or_default().push(account);
        }
        let mut checks = Vec::new();
        if senders.len() > MOST_SENDERS {
            let detail = format!("The first {MOST_SENDERS} of {} senders were asked about.", senders.len());
            checks.push(Check::new("not_all_asked", Severity::Informs, "account_ids", detail));
        }
        let asked = senders.iter().take(MOST_SENDERS).map(|(key, of)| self.domain(tenant, key, of));
        checks.extend(join_all(asked).await.into_iter().flatten());
        checks
    }

    async fn domain(&self, tenant: TenantId, key: &SenderKey, accounts: &[&SendingAccount]) -> Vec<Check> {
        let signer = accounts.first().and_then(|account| self.signer(tenant, account).ok()).flatten();
        let public_key: Option<PublicKey> = signer.as_ref().map(mainstay_mail::dkim::Signer::public_key);
        let dkim =
            key.dkim.as_ref().map(|(selector, domain)| DkimKey { selector, domain, public_key: public_key.as_ref() });
        let sender = Sender {
            domain: &key.domain,
            envelope_domain: &key.domain,
            dkim,
            tracking_domain: key.tracking_domain.as_deref(),
            tracking_target: self.host.as_deref(),
            // Google sends from wherever it likes; its records say so.
            sends_through: Some(key.host.as_str()).filter(|host| !host.is_empty()),
        };
        let mut checks: Vec<Check> = match timeout(ASKING, check(&self.resolver, &sender)).await {
            Ok(findings) => findings.into_iter().map(Check::from).collect(),
            Err(_) => {
                let detail = "The name servers did not answer in time. Ask again later.";
                vec![Check::new("dns_unanswered", Severity::Warns, &key.domain, detail)]
            }
        };
        for check in &mut checks {
            check.accounts = accounts.iter().map(|account| account.id).collect();
        }
        checks
    }
}

/// What texts should have, and do not.
fn lacks(campaign: &Campaign, texts: &[StepVariant]) -> Vec<Check> {
    let mut checks = Vec::new();
    let without = |name: &str| {
        let lacks = |variant: &&StepVariant| Text::read(variant).is_ok_and(|text| !text.names(name, false));
        let places: Vec<String> =
            texts.iter().filter(lacks).map(|one| format!("step {}, {}", one.step, one.name)).collect();
        places.join("; ")
    };
    let places = without(Template::UNSUBSCRIBE_URL);
    if !places.is_empty() {
        let detail = format!(
            "No link to leave in the text of {places}. Mail programs have one in the headers; many people look for it in the text: write {{{{unsubscribe_url}}}}."
        );
        checks.push(Check::new("unsubscribe_link_missing", Severity::Warns, "steps", detail));
    }
    let places = without(POSTAL_ADDRESS);
    if campaign.settings.postal_address.is_none() {
        let detail = "The law of many countries wants the address of whoever sends in each email. Give the campaign its postal_address, and write {{postal_address}} in its texts.";
        checks.push(Check::new("postal_address_missing", Severity::Warns, "postal_address", detail));
    } else if !places.is_empty() {
        let detail =
            format!("The address of whoever sends is not in the text of {places}: write {{{{postal_address}}}}.");
        checks.push(Check::new("postal_address_unused", Severity::Warns, "steps", detail));
    }
    checks
}
