//! The verbs of outreach for people, and their rules.

use std::collections::{BTreeMap, BTreeSet};

use mainstay_domain::outreach::{Delay, SendingWindow};
use mainstay_domain::{
    CampaignId, CampaignState, EmailAddress, EmailId, EmailState, Error, Faults, Kind, Label, LeadId, PersonId, Result,
    SendingAccountId, StopReason, TenantId, Timestamp, Zone,
};
use mainstay_store::{
    AddLeads, AddedLeads, Call, Campaign, CampaignSettings, CampaignStep, Claim, GetCampaign, GetEmail, NewLead, Once,
    PutCampaign, PutSteps, ReadPlace, ReadSteps, Resolution, ResolveEmail, Resolved, RunCampaign, SetCampaignState,
    StepVariant, StopBy, StopLead, UseAccounts,
};

use super::Outreach;
use super::compose::Text;
use super::sending::next_email;

/// The most steps of a campaign, and texts of a step.
const MOST_STEPS: usize = 20;
const MOST_VARIANTS: usize = 10;
/// The most accounts that send for a campaign.
const MOST_ACCOUNTS: usize = 200;

/// How a campaign is wanted.
#[derive(Clone, Debug)]
pub(super) struct CampaignWish {
    pub(super) name: String,
    pub(super) zone: String,
    pub(super) window: String,
    pub(super) starts_at: Option<Timestamp>,
    pub(super) track_opens: bool,
    pub(super) track_clicks: bool,
    pub(super) stop_on_reply: bool,
    pub(super) goal_url: Option<String>,
    pub(super) postal_address: Option<String>,
}

/// How a step is wanted.
#[derive(Clone, Debug)]
pub(super) struct StepWish {
    pub(super) delay: String,
    pub(super) variants: Vec<VariantWish>,
}

/// How a text of a step is wanted.
#[derive(Clone, Debug)]
pub(super) struct VariantWish {
    pub(super) name: String,
    pub(super) weight: u32,
    pub(super) subject: String,
    pub(super) text: String,
    pub(super) html: Option<String>,
}

/// How a lead is wanted.
#[derive(Clone, Debug)]
pub(super) struct LeadWish {
    pub(super) address: String,
    pub(super) zone: Option<String>,
    pub(super) fields: BTreeMap<String, String>,
}

/// Whether a link may lead there.
fn is_web_address(text: &str) -> bool {
    let web = |url: url::Url| matches!(url.scheme(), "https" | "http") && url.host().is_some();
    text.len() <= 2_000 && !text.chars().any(char::is_control) && url::Url::parse(text).is_ok_and(web)
}

pub(super) fn missing(what: &'static str) -> Error {
    Error::not_found(what)
}

/// The refusal of a campaign that is in another state.
pub(super) fn of_state(campaign: &Campaign, wanted: CampaignState) -> Error {
    let detail = format!("The campaign is {}: it cannot become {wanted}.", campaign.state);
    Error::new(Kind::Conflict, "campaign_state", detail)
}

impl Outreach {
    /// A campaign.
    pub(super) async fn campaign(&self, call: &Call, tenant: TenantId, id: CampaignId) -> Result<Campaign> {
        self.store.run(call, GetCampaign { tenant, id }).await?.ok_or_else(|| missing("campaign"))
    }

    fn campaign_settings(wish: CampaignWish) -> Result<CampaignSettings> {
        let mut faults = Faults::default();
        faults.keep("name", Label::parse(&wish.name));
        let zone = faults.keep("time_zone", Zone::parse(&wish.zone));
        let window: Option<SendingWindow> = faults.keep("sending_window", wish.window.parse());
        if let Some(goal) = &wish.goal_url
            && !is_web_address(goal)
        {
            faults.add("goal_url", "invalid_url", "Write it as https://example.com/thanks, with at most 2,000 bytes.");
        }
        let address = wish.postal_address.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
        if address
            .as_ref()
            .is_some_and(|text| text.len() > 500 || text.chars().any(|one| one.is_control() && one != '\n'))
        {
            faults.add("postal_address", "invalid_text", "It has at most 500 bytes, and no control characters.");
        }
        faults.judge()?;
        Ok(CampaignSettings {
            name: wish.name.trim().to_owned(),
            zone: zone.map(|zone| zone.name().to_owned()).unwrap_or_default(),
            window: window.unwrap_or(SendingWindow::ALWAYS).to_string(),
            starts_at: wish.starts_at,
            track_opens: wish.track_opens,
            track_clicks: wish.track_clicks,
            stop_on_reply: wish.stop_on_reply,
            goal_url: wish.goal_url,
            postal_address: address,
        })
    }

    /// Makes a campaign.
    ///
    /// # Errors
    /// `invalid_input` by field.
    pub(super) async fn create_campaign(
        &self,
        call: &Call,
        tenant: TenantId,
        wish: CampaignWish,
        claim: Option<(PersonId, Claim)>,
    ) -> Result<Campaign> {
        let settings = Self::campaign_settings(wish)?;
        let (id, now) = (self.ids.make(), self.clock.now());
        let fingerprint = claim.as_ref().map(|(_, claim)| claim.fingerprint.clone());
        let id = match self.store.run(call, PutCampaign { tenant, id, new: true, settings, claim, now }).await? {
            Once::Done(_) => id,
            Once::Repeat(used) => CampaignId(crate::http::idempotency::same(
                &used,
                mainstay_store::MAKING_A_CAMPAIGN,
                fingerprint.as_deref(),
            )?),
        };
        self.campaign(call, tenant, id).await
    }

    /// Changes what a campaign is told to do.
    ///
    /// # Errors
    /// `invalid_input` by field, and a conflict once it has stopped.
    pub(super) async fn change_campaign(
        &self,
        call: &Call,
        tenant: TenantId,
        id: CampaignId,
        wish: CampaignWish,
    ) -> Result<Campaign> {
        let settings = Self::campaign_settings(wish)?;
        let campaign = self.campaign(call, tenant, id).await?;
        let put = PutCampaign { tenant, id, new: false, settings, claim: None, now: self.clock.now() };
        match self.store.run(call, put).await? {
            Once::Done(true) => self.campaign(call, tenant, id).await,
            _ => Err(of_state(&campaign, CampaignState::Draft)),
        }
    }

    /// The steps of a campaign with their texts.
    pub(super) async fn steps(
        &self,
        call: &Call,
        tenant: TenantId,
        campaign: CampaignId,
    ) -> Result<(Vec<CampaignStep>, Vec<StepVariant>)> {
        self.campaign(call, tenant, campaign).await?;
        Ok(self.store.run(call, ReadSteps { tenant, campaign }).await?)
    }

    /// Writes the steps of a campaign. A text that is as it was keeps its id, and with it its figures.
    ///
    /// # Errors
    /// `invalid_input` by field, with the line and column of a template that cannot be read.
    pub(super) async fn put_steps(
        &self,
        call: &Call,
        tenant: TenantId,
        campaign: CampaignId,
        wish: Vec<StepWish>,
    ) -> Result<(Vec<CampaignStep>, Vec<StepVariant>)> {
        let (_, known) = self.steps(call, tenant, campaign).await?;
        let mut faults = Faults::default();
        if wish.is_empty() || wish.len() > MOST_STEPS {
            faults.add("steps", "out_of_range", format!("A campaign has 1 to {MOST_STEPS} steps."));
        }
        let (mut delays, mut variants) = (Vec::new(), Vec::new());
        for (place, step) in wish.iter().enumerate() {
            let field = format!("steps[{place}]");
            delays.push(match faults.keep(&format!("{field}.delay"), step.delay.parse::<Delay>()) {
                Some(Delay::Days(days)) => (u32::from(days), 0),
                Some(Delay::Hours(hours)) => (0, u32::from(hours)),
                None => (0, 0),
            });
            if step.variants.is_empty() || step.variants.len() > MOST_VARIANTS {
                faults.add(&field, "out_of_range", format!("A step has 1 to {MOST_VARIANTS} variants."));
            }
            let names: BTreeSet<&str> = step.variants.iter().map(|variant| variant.name.as_str()).collect();
            if names.len() < step.variants.len() {
                faults.add(&field, "not_unique", "Each variant of a step has a name of its own.");
            }
            for (n, variant) in step.variants.iter().enumerate() {
                let number = u32::try_from(place + 1).unwrap_or(u32::MAX);
                variants.push(self.variant(&mut faults, &format!("{field}.variants[{n}]"), number, variant, &known));
            }
        }
        faults.judge()?;
        self.store.run(call, PutSteps { tenant, campaign, delays, variants, now: self.clock.now() }).await?;
        Ok(self.store.run(call, ReadSteps { tenant, campaign }).await?)
    }

    fn variant(
        &self,
        faults: &mut Faults,
        field: &str,
        step: u32,
        wish: &VariantWish,
        known: &[StepVariant],
    ) -> StepVariant {
        faults.keep(&format!("{field}.name"), Label::parse(&wish.name));
        if wish.weight > 10_000 {
            faults.add(&format!("{field}.weight"), "out_of_range", "A weight is 0 to 10,000.");
        }
        let mut variant = StepVariant {
            id: self.ids.make(),
            step,
            name: wish.name.clone(),
            weight: wish.weight,
            subject: wish.subject.clone(),
            body: wish.text.clone(),
            html: wish.html.clone(),
        };
        if let Err(why) = Text::read(&variant) {
            faults.add(field, "invalid_template", why);
        }
        let same = |one: &&StepVariant| {
            (one.step, &one.name, &one.subject, &one.body, &one.html)
                == (step, &wish.name, &wish.subject, &wish.text, &wish.html)
        };
        if let Some(one) = known.iter().find(same) {
            variant.id = one.id;
        }
        variant
    }

    /// Names the accounts that send for a campaign.
    ///
    /// # Errors
    /// `invalid_input` when one of them is not there.
    pub(super) async fn use_accounts(
        &self,
        call: &Call,
        tenant: TenantId,
        campaign: CampaignId,
        accounts: Vec<SendingAccountId>,
    ) -> Result<Vec<SendingAccountId>> {
        self.campaign(call, tenant, campaign).await?;
        if accounts.len() > MOST_ACCOUNTS {
            let detail = format!("At most {MOST_ACCOUNTS} accounts send for a campaign.");
            return Err(Error::invalid_field("account_ids", "out_of_range", detail));
        }
        let used = self.store.run(call, UseAccounts { tenant, campaign, accounts, now: self.clock.now() }).await?;
        used.map_err(|missing| {
            Error::invalid_field("account_ids", "not_found", format!("There is no account {missing}."))
        })
    }

    /// Pauses a campaign: nothing of it goes out but what is in flight.
    ///
    /// # Errors
    /// A conflict of its state.
    pub(super) async fn pause(&self, call: &Call, tenant: TenantId, id: CampaignId) -> Result<Campaign> {
        let campaign = self.campaign(call, tenant, id).await?;
        self.become_(call, tenant, &campaign, CampaignState::Paused).await
    }

    /// Ends a campaign: what was not sent never will be. A job says so of each row.
    ///
    /// # Errors
    /// A conflict of its state.
    pub(super) async fn stop(&self, call: &Call, tenant: TenantId, id: CampaignId) -> Result<Campaign> {
        let campaign = self.campaign(call, tenant, id).await?;
        self.become_(call, tenant, &campaign, CampaignState::Stopped).await
    }

    /// Brings a campaign from the state that it was seen in to another.
    pub(super) async fn become_(
        &self,
        call: &Call,
        tenant: TenantId,
        campaign: &Campaign,
        state: CampaignState,
    ) -> Result<Campaign> {
        let (id, seen) = (campaign.id, campaign.state);
        if !seen.may_become(state) {
            return Err(of_state(campaign, state));
        }
        let set = SetCampaignState { tenant, id, seen, state, now: self.clock.now() };
        if !self.store.run(call, set).await? {
            return Err(of_state(&self.campaign(call, tenant, id).await?, state));
        }
        self.campaign(call, tenant, id).await
    }

    /// Adds leads to a campaign.
    ///
    /// # Errors
    /// `invalid_input` by field and place.
    pub(super) async fn add_leads(
        &self,
        call: &Call,
        tenant: TenantId,
        campaign: CampaignId,
        wish: Vec<LeadWish>,
    ) -> Result<(Vec<LeadId>, AddedLeads)> {
        let mut faults = Faults::default();
        if wish.is_empty() || wish.len() > 100 {
            faults.add("leads", "out_of_range", "Give 1 to 100 leads; more come in by an import.");
        }
        let mut leads = Vec::with_capacity(wish.len());
        for (place, lead) in wish.into_iter().enumerate() {
            let address = faults.keep(&format!("leads[{place}].email"), EmailAddress::parse(&lead.address));
            let zone = match &lead.zone {
                Some(zone) => faults.keep(&format!("leads[{place}].time_zone"), Zone::parse(zone)),
                None => None,
            };
            if lead.fields.len() > 50 || lead.fields.iter().any(|(name, value)| name.len() > 64 || value.len() > 10_000)
            {
                let detail = "A lead has at most 50 fields, with names of 64 and values of 10,000 bytes.";
                faults.add(&format!("leads[{place}].fields"), "too_long", detail);
            }
            if let Some(address) = address {
                let digest = self.keys.objection(tenant, address.as_str());
                leads.push(NewLead { id: self.ids.make(), address, fields: lead.fields, zone, digest });
            }
        }
        faults.judge()?;
        let ids = leads.iter().map(|lead| lead.id).collect();
        let added = self.store.run(call, AddLeads { tenant, campaign, leads, now: self.clock.now() }).await?;
        match added {
            Some(added) => Ok((ids, added)),
            None => Err(of_state(&self.campaign(call, tenant, campaign).await?, CampaignState::Running)),
        }
    }

    /// Stops a lead by hand.
    ///
    /// # Errors
    /// When there is none.
    pub(super) async fn stop_lead(&self, call: &Call, tenant: TenantId, lead: LeadId) -> Result<()> {
        self.stop_by(call, tenant, StopBy::Lead(lead), StopReason::Stopped).await
    }

    /// Somebody wants no more mail.
    ///
    /// # Errors
    /// When the email is not kept any more.
    pub(super) async fn leave(&self, call: &Call, tenant: TenantId, email: EmailId) -> Result<()> {
        self.stop_by(call, tenant, StopBy::Email(email), StopReason::Unsubscribed).await
    }

    pub(super) async fn stop_by(&self, call: &Call, tenant: TenantId, by: StopBy, reason: StopReason) -> Result<()> {
        let stop = StopLead { tenant, by, reason, now: self.clock.now() };
        if !self.store.run(call, stop).await? {
            return Err(missing(match by {
                StopBy::Email(_) => "email",
                StopBy::Lead(_) => "lead",
            }));
        }
        self.figures.stopped(reason.as_str());
        Ok(())
    }

    /// Says what became of an email of which nobody knows: it was sent, or is to be sent again.
    ///
    /// # Errors
    /// A conflict when it is not open, or whoever it goes to is not written to any more.
    pub(super) async fn resolve(
        &self,
        call: &Call,
        tenant: TenantId,
        id: EmailId,
        again: bool,
    ) -> Result<mainstay_store::Email> {
        let place = self.store.run(call, ReadPlace { tenant, id }).await?.ok_or_else(|| missing("email"))?;
        let now = self.clock.now();
        let resolution = if again {
            Resolution::Again
        } else {
            let campaign = self.campaign(call, tenant, place.campaign).await?;
            let steps = self.steps(call, tenant, place.campaign).await?.0;
            let campaign = RunCampaign { campaign, zones: Vec::new(), steps };
            let account = self.account(call, tenant, place.account).await?;
            let of = (place.step, place.lead, place.zone.as_str());
            Resolution::Sent(next_email(&campaign, of, (self.ids.make(), &account.address), now))
        };
        match self.store.run(call, ResolveEmail { tenant, id, resolution, now }).await? {
            Resolved::Done => {}
            Resolved::NotOpen => {
                let detail = "What became of it is known, or its lead is written to no more.";
                return Err(Error::new(Kind::Conflict, "not_open", detail));
            }
            Resolved::Suppressed => {
                let detail = "Whoever it goes to is on the suppression list. Take the address off it first.";
                return Err(Error::new(Kind::Conflict, "suppressed", detail));
            }
        }
        self.store.run(call, GetEmail { tenant, id }).await?.ok_or_else(|| missing("email"))
    }
}

/// Which emails are listed by their state alone.
pub(super) fn listed_state(state: EmailState) -> Result<mainstay_store::EmailsOf> {
    match state {
        EmailState::Unknown => Ok(mainstay_store::EmailsOf::Unknown),
        EmailState::Rejected => Ok(mainstay_store::EmailsOf::Rejected),
        _ => {
            let detail = "Name a campaign, or one of the states unknown and rejected.";
            Err(Error::invalid_field("state", "not_listed", detail))
        }
    }
}
