//! Trying a text before anybody gets it: how it reads for a lead, and how it arrives.
//!
//! An email that tries a text is no row and belongs to no lead. It counts against the cap of its account, it is not sent to
//! whoever wants no mail, and what its server says is told to whoever asked, who is waiting.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use mainstay_domain::{
    CampaignId, EmailAddress, EmailId, Error, Kind, LeadId, Result, SendingAccountId, StepVariantId, TenantId,
};
use mainstay_mail::smtp::{Outcome, Session};
use mainstay_store::{
    Call, GetLead, ReadSteps, ReserveTestEmail, SendingAccount, ServerSaid, StepVariant, TestEmailRoom, choose,
    message_id,
};
use tokio::time::timeout;
use uuid::Uuid;

use super::Outreach;
use super::compose::{Filled, Outgoing, POSTAL_ADDRESS, Ready, Text, Unwritable, fields, ready};
use super::gmail::{GMAIL, said_by_gmail};
use super::line::NoLine;
use super::sending::{in_words, said_in, said_of};
use crate::providers::api::ApiFault;

/// How long somebody waits for a server.
const PATIENCE: Duration = Duration::from_secs(25);
/// How long the server may take to part.
const PARTING: Duration = Duration::from_secs(2);

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
    pub(super) filled: Filled,
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

impl Tried {
    const fn refused(said: ServerSaid) -> Self {
        Self { outcome: "refused", said }
    }

    const fn unknown(said: ServerSaid) -> Self {
        Self { outcome: "unknown", said }
    }
}

impl From<NoLine> for Tried {
    fn from(no: NoLine) -> Self {
        let (NoLine::Away(why) | NoLine::Account(why)) = no;
        Self::refused(in_words(&why))
    }
}

/// A text with what is filled in.
struct Draft {
    variant: StepVariantId,
    text: Text,
    /// The text of the first step, whose subject a later one goes under.
    first: Option<Text>,
    /// That of the lead.
    address: Option<String>,
    fields: BTreeMap<String, String>,
    /// The address of whoever sends.
    postal_address: Option<String>,
}

impl Draft {
    /// The fields that it names, and that there is nothing for.
    fn missing(&self) -> BTreeSet<String> {
        let of_subject = self.first.as_ref().map(Text::needed_of_subject).unwrap_or_default();
        let postal = self.postal_address.is_none() && self.text.names(POSTAL_ADDRESS, true);
        let postal = postal.then(|| POSTAL_ADDRESS.to_owned());
        let needed = self.text.needed().into_iter().chain(of_subject).chain(postal);
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
        let link = self.leaving_link(tenant, NOBODY);
        let fields = fields(&draft.fields, address, (&link, draft.postal_address.as_deref()));
        let filled = draft.text.fill(draft.first.as_ref(), &fields).map_err(unwritable)?;
        Ok(Preview { variant: draft.variant, filled, missing })
    }

    /// Sends a text to somebody who wants to see it arrive.
    ///
    /// # Errors
    /// `invalid_input` by field, and a conflict where the account does not send, has sent as much as it may, or whoever it
    /// goes to wants no mail.
    pub(super) async fn send_test(
        &self,
        call: &Call,
        (tenant, campaign): (TenantId, CampaignId),
        wish: TryWish,
        (account, to): (SendingAccountId, &str),
    ) -> Result<Tried> {
        let to = EmailAddress::parse(to).map_err(|refused| Error::invalid(vec![refused.of("to")]))?;
        let to = to.as_str();
        let draft = self.draft(call, tenant, campaign, wish).await?;
        if let Some(name) = draft.missing().first() {
            let detail = format!("There is nothing for {{{{{name}}}}}: give it here, or name a lead that has one.");
            return Err(Error::invalid_field(&format!("fields.{name}"), "missing_field", detail));
        }
        let now = self.clock.now();
        let reserve =
            ReserveTestEmail { tenant, account, address: to.to_owned(), digest: self.keys.objection(tenant, to), now };
        let account = reserved(self.store.run(call, reserve).await?)?;
        let signer = match self.signer(tenant, &account) {
            Ok(signer) => signer,
            Err(no) => return Ok(self.tried(no.into())),
        };
        let id: EmailId = self.ids.make();
        let outgoing = Outgoing {
            campaign,
            address: to,
            message_id: &message_id(id, &account.address),
            fields: &draft.fields,
            earlier: &[],
            postal_address: draft.postal_address.as_deref(),
            link: &self.leaving_link(tenant, NOBODY),
            tracking: None,
        };
        let texts = (&draft.text, draft.first.as_ref());
        let ready = ready((&account, signer.as_ref()), &outgoing, texts, now).map_err(unwritable)?;
        let mut line = None;
        let tried = match timeout(PATIENCE, self.offer_once(&mut line, tenant, &account, &ready)).await {
            Ok(tried) => tried,
            Err(_) => Tried::unknown(in_words(&format!("The server took longer than {} s.", PATIENCE.as_secs()))),
        };
        // What came of it is known: a server that is slow to part does not change it.
        if let Some(line) = line {
            let _ = timeout(PARTING, line.quit()).await;
        }
        Ok(self.tried(tried))
    }

    /// Counts what came of one.
    fn tried(&self, tried: Tried) -> Tried {
        self.figures.tried(tried.outcome);
        tried
    }

    /// Offers an email to the server of an account, once. The line is left open where there is one.
    async fn offer_once(
        &self,
        line: &mut Option<Session>,
        tenant: TenantId,
        account: &SendingAccount,
        ready: &Ready,
    ) -> Tried {
        if account.settings.kind == GMAIL {
            return self.offer_once_by_gmail(tenant, account, ready).await;
        }
        let session = match self.open(tenant, account).await {
            Ok(session) => line.insert(session),
            Err(no) => return no.into(),
        };
        let outcome = match session.offer(Some(&ready.sender), &ready.recipient, ready.message.len()).await {
            Ok(offered) => offered.deliver(&ready.message).await,
            Err(no) => Outcome::Refused(no),
        };
        match outcome {
            Outcome::Accepted(reply) => Tried { outcome: "accepted", said: said_in(&reply) },
            Outcome::Refused(no) => Tried::refused(said_of(&no)),
            Outcome::Unknown { why, whole: false } => Tried::refused(in_words(&why.to_string())),
            Outcome::Unknown { why, whole: true } => Tried::unknown(in_words(&why.to_string())),
        }
    }

    /// Hands an email to Gmail, once.
    async fn offer_once_by_gmail(&self, tenant: TenantId, account: &SendingAccount, ready: &Ready) -> Tried {
        let leave = match self.gmail_leave(tenant, account).await {
            Ok(leave) => leave,
            Err(no) => return Tried::refused(no.into()),
        };
        match leave.send(&ready.message, None).await {
            Ok(_) => Tried { outcome: "accepted", said: ServerSaid { code: Some(200), ..in_words("Google has it.") } },
            Err(fault) => {
                let said = said_by_gmail(&fault);
                if matches!(fault, ApiFault::Unknown(_)) { Tried::unknown(said) } else { Tried::refused(said) }
            }
        }
    }

    /// Reads a text and what is filled in.
    async fn draft(&self, call: &Call, tenant: TenantId, campaign: CampaignId, wish: TryWish) -> Result<Draft> {
        let postal_address = self.campaign(call, tenant, campaign).await?.settings.postal_address;
        let (steps, texts) = self.store.run(call, ReadSteps { tenant, campaign }).await?;
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
        let address = lead.map(|lead| lead.address);
        Ok(Draft { variant: variant.id, text: read(variant)?, first, address, fields, postal_address })
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
            let detail = format!("The account has sent as much as it may; not before {again}.");
            Err(Error::new(Kind::Conflict, "account_full", detail))
        }
    }
}
