//! Trying a text before anybody gets it: how it reads for a lead, and how it arrives.
//!
//! An email that tries a text is no row and belongs to no lead. It counts against the cap of its account, it is not sent to
//! whoever wants no mail, and what its server says is told to whoever asked, who is waiting.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use mainstay_domain::{
    CampaignId, EmailAddress, EmailId, Error, Faults, Kind, LeadId, Result, SendingAccountId, StepVariantId, TenantId,
};
use mainstay_mail::smtp::Outcome;
use mainstay_store::{
    Call, ClaimedEmail, GetLead, ReserveTestEmail, SendingAccount, ServerSaid, StepVariant, TestEmailRoom, choose,
    message_id,
};
use tokio::time::timeout;
use uuid::Uuid;

use super::Outreach;
use super::compose::{MOST_SAID, Ready, Text, Unwritable, beginning, fields, ready, subject};
use super::line::NoLine;
use super::sending::{in_words, said_in, said_of};

/// How long somebody waits for a server.
pub(super) const PATIENCE: Duration = Duration::from_secs(25);

/// Which text is tried, and for whom.
#[derive(Clone, Debug)]
pub(super) struct TryWish {
    /// The step, from 1.
    pub(super) step: u32,
    /// Which of its texts; that of the lead, or else the first, when it is left out.
    pub(super) variant: Option<StepVariantId>,
    /// Whose fields are filled in.
    pub(super) lead: Option<LeadId>,
    /// Further fields, which come before those of the lead.
    pub(super) fields: BTreeMap<String, String>,
}

/// How a text reads.
#[derive(Debug)]
pub(super) struct Preview {
    pub(super) variant: StepVariantId,
    pub(super) subject: String,
    pub(super) text: String,
    pub(super) html: Option<String>,
    /// Fields that it names, and that there is nothing for: they stand there as `{{name}}`.
    pub(super) missing: BTreeSet<String>,
}

/// What a server said of an email that tries a text.
#[derive(Debug)]
pub(super) struct Tried {
    /// `accepted`, `refused` or `unknown`.
    pub(super) outcome: &'static str,
    pub(super) said: ServerSaid,
}

/// A text with what is filled in.
struct Draft {
    step: u32,
    variant: StepVariantId,
    text: Text,
    /// The text of the first step, whose subject a later one goes under.
    first: Option<Text>,
    lead: LeadId,
    address: Option<String>,
    fields: BTreeMap<String, String>,
}

impl Draft {
    /// The fields that it names, and that there is nothing for.
    fn missing(&self) -> BTreeSet<String> {
        let of_subject = self.first.as_ref().map(Text::needed_of_subject).unwrap_or_default();
        let needed = self.text.needed().into_iter().chain(of_subject);
        needed.filter(|name| self.fields.get(name).is_none_or(|value| value.trim().is_empty())).collect()
    }
}

fn unwritable(why: Unwritable) -> Error {
    Error::invalid_field("step", "unwritable", why)
}

impl Outreach {
    /// How a text reads for a lead, or for nobody in particular.
    ///
    /// # Errors
    /// `invalid_input` by field.
    pub(super) async fn preview(
        &self,
        call: &Call,
        tenant: TenantId,
        campaign: CampaignId,
        wish: TryWish,
    ) -> Result<Preview> {
        let mut draft = self.draft(call, tenant, campaign, wish).await?;
        let missing = draft.missing();
        for name in &missing {
            draft.fields.insert(name.clone(), format!("{{{{{name}}}}}"));
        }
        let address = draft.address.as_deref().unwrap_or("somebody@example.com");
        let fields = fields(&draft.fields, address, &self.leaving_link(tenant, NOBODY));
        let render = |template: &mainstay_domain::outreach::Template| {
            template.render(&fields, template.escape()).map_err(|fault| unwritable(fault.to_string()))
        };
        Ok(Preview {
            variant: draft.variant,
            subject: subject(&draft.text, draft.first.as_ref(), &fields).map_err(unwritable)?,
            text: render(&draft.text.body)?,
            html: draft.text.html.as_ref().map(render).transpose()?,
            missing,
        })
    }

    /// Sends a text to somebody who wants to see it arrive.
    ///
    /// # Errors
    /// `invalid_input` by field, a conflict where the account does not send or whoever it goes to wants no mail, and
    /// `rate_limited` where the account has sent as much as it may.
    pub(super) async fn send_test(
        &self,
        call: &Call,
        (tenant, campaign): (TenantId, CampaignId),
        wish: TryWish,
        (account, to): (SendingAccountId, &str),
    ) -> Result<Tried> {
        let mut faults = Faults::default();
        let to = faults.keep("to", EmailAddress::parse(to));
        faults.judge()?;
        let to = to.map(|address| address.as_str().to_owned()).unwrap_or_default();
        let draft = self.draft(call, tenant, campaign, wish).await?;
        if let Some(name) = draft.missing().first() {
            let detail = format!("There is nothing for {{{{{name}}}}}: give it here, or name a lead that has one.");
            return Err(Error::invalid_field(&format!("fields.{name}"), "missing_field", detail));
        }
        let now = self.clock.now();
        let reserve = ReserveTestEmail { tenant, account, address: to.clone(), now };
        let account = reserved(self.store.run(call, reserve).await?)?;
        let tried = match timeout(PATIENCE, self.try_out(tenant, &account, campaign, &draft, &to)).await {
            Ok(tried) => tried?,
            Err(_) => {
                let said = in_words(&format!("The server took longer than {} s.", PATIENCE.as_secs()));
                Tried { outcome: "unknown", said }
            }
        };
        self.figures.tried(tried.outcome);
        Ok(tried)
    }

    /// Offers a text to the server of an account, once.
    async fn try_out(
        &self,
        tenant: TenantId,
        account: &SendingAccount,
        campaign: CampaignId,
        draft: &Draft,
        to: &str,
    ) -> Result<Tried> {
        let refused = |said: ServerSaid| Tried { outcome: "refused", said };
        let of_line = |no: NoLine| match no {
            NoLine::Away(why) | NoLine::Account(why) => refused(in_words(&why)),
        };
        let signer = match self.signer(tenant, account) {
            Ok(signer) => signer,
            Err(no) => return Ok(of_line(no)),
        };
        let now = self.clock.now();
        let id: EmailId = self.ids.make();
        let email = ClaimedEmail {
            id,
            campaign,
            lead: draft.lead,
            step: draft.step,
            variant: draft.variant,
            address: to.to_owned(),
            zone: "UTC".to_owned(),
            message_id: message_id(id, &account.address),
            attempts: 0,
            fields: draft.fields.clone(),
            earlier: Vec::new(),
            due_at: now,
        };
        let link = self.leaving_link(tenant, NOBODY);
        let texts = (&draft.text, draft.first.as_ref());
        let Ready { sender, recipient, message } =
            ready((account, signer.as_ref()), &email, texts, &link, now).map_err(unwritable)?;
        let mut session = match self.open(tenant, account).await {
            Ok(session) => session,
            Err(no) => return Ok(of_line(no)),
        };
        let outcome = match session.offer(Some(&sender), &recipient, message.len()).await {
            Ok(offered) => offered.deliver(&message).await,
            Err(no) => Outcome::Refused(no),
        };
        let tried = match outcome {
            Outcome::Accepted(reply) => Tried { outcome: "accepted", said: said_in(&reply) },
            Outcome::Refused(no) => refused(said_of(&no)),
            Outcome::Unknown { why, whole: false } => refused(in_words(&why.to_string())),
            Outcome::Unknown { why, whole: true } => Tried { outcome: "unknown", said: in_words(&why.to_string()) },
        };
        session.quit().await;
        Ok(tried)
    }

    /// Reads a text and what is filled in.
    async fn draft(&self, call: &Call, tenant: TenantId, campaign: CampaignId, wish: TryWish) -> Result<Draft> {
        let (steps, texts) = self.steps(call, tenant, campaign).await?;
        let lead = match wish.lead {
            Some(id) => {
                let lead = self.store.run(call, GetLead { tenant, id }).await?;
                let lead = lead.filter(|lead| lead.campaign == campaign);
                let detail = "The campaign has no such lead.";
                Some(lead.ok_or_else(|| Error::invalid_field("lead_id", "not_found", detail))?)
            }
            None => None,
        };
        let shared = |number: u32| {
            let step = steps.iter().find(|one| one.step == number)?;
            lead.as_ref().and_then(|lead| choose(&step.variants, campaign, number, lead.id))
        };
        let text_of = |number: u32, named: Option<StepVariantId>| {
            let mut mine = texts.iter().filter(|text| text.step == number);
            match named.or_else(|| shared(number)) {
                Some(id) => mine.find(|text| text.id == id),
                None => mine.next(),
            }
        };
        let read = |text: &StepVariant| Text::read(text).map_err(unwritable);
        if !steps.iter().any(|one| one.step == wish.step) {
            let detail = format!("The campaign has {} steps; name one of them, from 1.", steps.len());
            return Err(Error::invalid_field("step", "not_found", detail));
        }
        let detail = "The step has no such text.";
        let variant = text_of(wish.step, wish.variant);
        let variant = variant.ok_or_else(|| Error::invalid_field("variant_id", "not_found", detail))?;
        let first = if wish.step > 1 { text_of(1, None).map(read).transpose()? } else { None };
        let mut fields = lead.as_ref().map(|lead| lead.fields.clone()).unwrap_or_default();
        fields.extend(wish.fields);
        Ok(Draft {
            step: wish.step,
            variant: variant.id,
            text: read(variant)?,
            first,
            lead: lead.as_ref().map_or(LeadId(Uuid::nil()), |lead| lead.id),
            address: lead.map(|lead| lead.address),
            fields,
        })
    }
}

/// What a link to leave names where there is nobody who could.
pub(super) const NOBODY: EmailId = EmailId(Uuid::nil());

fn reserved(room: TestEmailRoom) -> Result<SendingAccount> {
    match room {
        TestEmailRoom::Reserved(account) => Ok(*account),
        TestEmailRoom::Gone => Err(Error::invalid_field("account_id", "not_found", "There is no such account.")),
        TestEmailRoom::Resting(state) => {
            let detail = format!("The account is {state}: let it go on, or name another.");
            Err(Error::new(Kind::Conflict, "account_state", detail))
        }
        TestEmailRoom::Suppressed => {
            let detail = "Whoever that is wants no mail of this organisation: the address is on the suppression list.";
            Err(Error::new(Kind::Conflict, "suppressed", detail))
        }
        TestEmailRoom::Full(again) => {
            let detail = beginning(&format!("The account has sent as much as it may; not before {again}."), MOST_SAID);
            Err(Error::new(Kind::Conflict, "account_full", detail))
        }
    }
}
