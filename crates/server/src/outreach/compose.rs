//! An email as it goes out: the text of its step for this lead, with the headers that mail of campaigns must have.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use mainstay_domain::outreach::{Fields, Template, TemplatePart};
use mainstay_domain::{CampaignId, StepVariantId, TenantId, Timestamp};
use mainstay_mail::dkim::{Signer, sign};
use mainstay_mail::message::{Address, Letter, Mailbox, Unsubscribe};
use mainstay_store::{Call, CampaignSettings, ClaimedEmail, EarlierEmail, ReadVariant, SendingAccount, StepVariant};

use super::Outreach;
use super::tracking::Tracking;

/// A text of a campaign, read and ready to be filled in.
#[derive(Debug)]
pub(super) struct Text {
    subject: Template,
    body: Template,
    html: Option<Template>,
}

/// A text that was filled in.
#[derive(Debug)]
pub(super) struct Filled {
    pub(super) subject: String,
    pub(super) text: String,
    pub(super) html: Option<String>,
}

/// What an email is made of, beside its text.
#[derive(Debug)]
pub(super) struct Outgoing<'a> {
    pub(super) campaign: CampaignId,
    /// Whom it goes to.
    pub(super) address: &'a str,
    /// Without angle brackets.
    pub(super) message_id: &'a str,
    /// What templates may name.
    pub(super) fields: &'a BTreeMap<String, String>,
    /// What was sent to the same lead before, in order.
    pub(super) earlier: &'a [EarlierEmail],
    /// The address of whoever sends.
    pub(super) postal_address: Option<&'a str>,
    /// The link by which whoever gets it leaves.
    pub(super) link: &'a str,
    /// What of it is followed; nothing where it is for nobody.
    pub(super) tracking: Option<Tracking<'a>>,
}

/// Why a text cannot be used, or cannot be filled in: what is wrong and what helps.
pub(super) type Unwritable = String;

impl Text {
    /// Reads a text.
    ///
    /// # Errors
    /// Says what is wrong with it, and where.
    pub(super) fn read(variant: &StepVariant) -> Result<Self, Unwritable> {
        let part = |part, source: &str| {
            Template::parse(part, source).map_err(|fault| {
                let (line, column) = (fault.line, fault.column);
                format!("The {}, line {line}, column {column}: {}", TemplatePart::as_str(part), fault.detail)
            })
        };
        Ok(Self {
            subject: part(TemplatePart::Subject, &variant.subject)?,
            body: part(TemplatePart::Text, &variant.body)?,
            html: variant.html.as_deref().map(|html| part(TemplatePart::Html, html)).transpose()?,
        })
    }

    /// The fields that it names and has nothing else for.
    pub(super) fn needed(&self) -> BTreeSet<String> {
        [Some(&self.subject), Some(&self.body), self.html.as_ref()].into_iter().flatten().flat_map(needed).collect()
    }

    /// Whether one of its parts names a field; with `true`, without anything else in its place.
    pub(super) fn names(&self, name: &str, alone: bool) -> bool {
        let parts = [Some(&self.subject), Some(&self.body), self.html.as_ref()];
        let mut fields = parts.into_iter().flatten().flat_map(Template::fields);
        fields.any(|field| field.name == name && !(alone && field.has_fallback))
    }

    /// Those of its subject, under which later steps go.
    pub(super) fn needed_of_subject(&self) -> BTreeSet<String> {
        needed(&self.subject).collect()
    }

    /// Fills it in. A later step goes under the subject of the first, as an answer to it.
    ///
    /// # Errors
    /// Says which field there is nothing for.
    pub(super) fn fill(&self, first: Option<&Self>, fields: &Fields) -> Result<Filled, Unwritable> {
        let render =
            |template: &Template| template.render(fields, template.escape()).map_err(|fault| fault.to_string());
        Ok(Filled {
            subject: match first {
                Some(first) => format!("Re: {}", render(&first.subject)?),
                None => render(&self.subject)?,
            },
            text: render(&self.body)?,
            html: self.html.as_ref().map(render).transpose()?,
        })
    }
}

fn needed(template: &Template) -> impl Iterator<Item = String> {
    let needed = template.fields().into_iter().filter(|field| !field.has_fallback && !OURS.contains(&field.name));
    needed.map(|field| field.name.to_owned())
}

/// Fields that every lead has.
const OURS: [&str; 3] = ["email", Template::UNSUBSCRIBE_URL, POSTAL_ADDRESS];

/// The field for the address of whoever sends.
pub(super) const POSTAL_ADDRESS: &str = "postal_address";

/// A letter that is ready to go.
#[derive(Debug)]
pub(super) struct Ready {
    /// Who it is from, in the envelope.
    pub(super) sender: Address,
    /// Whom it goes to, in the envelope.
    pub(super) recipient: Address,
    /// What goes over the line.
    pub(super) message: Vec<u8>,
}

impl Outreach {
    /// A text by its id. Nothing when it is not there.
    async fn text(&self, call: &Call, tenant: TenantId, id: StepVariantId) -> Result<Arc<Text>, Unwritable> {
        if let Some(text) = self.texts.get(&id.uuid()) {
            return Ok(text);
        }
        let variant = self.store.run_for_jobs(call, ReadVariant { tenant, id }).await;
        let variant = variant.map_err(|error| format!("The text could not be read: {error}"))?;
        let variant = variant.ok_or_else(|| "The text is gone.".to_owned())?;
        let text = Arc::new(Text::read(&variant)?);
        self.texts.insert(id.uuid(), Arc::clone(&text));
        Ok(text)
    }

    /// Writes an email, and signs it where the account has a key.
    ///
    /// # Errors
    /// Says what is wrong with the text or the fields of the lead.
    pub(super) async fn compose(
        &self,
        call: &Call,
        tenant: TenantId,
        (account, signer): (&SendingAccount, Option<&Signer>),
        (email, campaign): (&ClaimedEmail, &CampaignSettings),
    ) -> Result<Ready, Unwritable> {
        let text = self.text(call, tenant, email.variant).await?;
        let now = self.clock.now();
        // A later step goes into the thread of those before it, under the subject of the first.
        let subject = match email.earlier.first() {
            Some(first) => Some(self.text(call, tenant, first.variant).await?),
            None => None,
        };
        let outgoing = Outgoing {
            campaign: email.campaign,
            address: &email.address,
            message_id: &email.message_id,
            fields: &email.fields,
            earlier: &email.earlier,
            postal_address: campaign.postal_address.as_deref(),
            link: &self.leaving_link(tenant, email.id),
            tracking: Some(Tracking {
                links: &self.tracking,
                tenant,
                email: email.id,
                opens: campaign.track_opens,
                clicks: campaign.track_clicks,
                domain: account.settings.tracking_domain.as_deref(),
            }),
        };
        ready((account, signer), &outgoing, (&text, subject.as_deref()), now)
    }
}

/// Fills in the text of an email, and signs it where the account has a key. A later step has the text of the first, whose
/// subject it goes under.
///
/// # Errors
/// Says what is wrong with the text or the fields.
pub(super) fn ready(
    (account, signer): (&SendingAccount, Option<&Signer>),
    email: &Outgoing<'_>,
    (text, first): (&Text, Option<&Text>),
    now: Timestamp,
) -> Result<Ready, Unwritable> {
    let mut filled = text.fill(first, &fields(email.fields, email.address, (email.link, email.postal_address)))?;
    if let Some(tracking) = &email.tracking {
        tracking.put_in(&mut filled, email.link);
    }
    let letter = letter((account, email), filled, now)?;
    let message = letter.write().map_err(|fault| format!("{}: {}", fault.field, fault.detail))?;
    let message = match signer {
        Some(signer) => sign(&message, std::slice::from_ref(signer), now)
            .map_err(|fault| format!("{}: {}", fault.field, fault.detail))?,
        None => message,
    };
    Ok(Ready { sender: letter.from.address, recipient: letter.to.address, message })
}

/// What templates may name of a lead, with the link by which it leaves and the address of whoever sends.
pub(super) fn fields(
    of: &BTreeMap<String, String>,
    address: &str,
    (link, postal_address): (&str, Option<&str>),
) -> Fields {
    let mut fields: Fields = of.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
    fields.set("email", address);
    fields.set(Template::UNSUBSCRIBE_URL, link);
    if let Some(postal_address) = postal_address {
        fields.set(POSTAL_ADDRESS, postal_address);
    }
    fields
}

fn letter(
    (account, email): (&SendingAccount, &Outgoing<'_>),
    filled: Filled,
    now: Timestamp,
) -> Result<Letter, Unwritable> {
    let address = |field: &'static str, text: &str| {
        Address::parse(field, text).map_err(|fault| format!("{}: {}", fault.field, fault.detail))
    };
    let from = Mailbox { name: account.settings.sender_name.clone(), address: address("from", &account.address)? };
    let reply_to = match &account.settings.reply_to {
        Some(reply_to) => Some(Mailbox { name: String::new(), address: address("reply_to", reply_to)? }),
        None => None,
    };
    let https = email.link.starts_with("https://");
    let list_unsubscribe = https.then(|| Unsubscribe { https: email.link.to_owned(), mailto: None });
    Ok(Letter {
        to: Mailbox { name: name_of(email.fields), address: address("to", email.address)? },
        reply_to,
        subject: filled.subject,
        text: filled.text,
        html: filled.html,
        message_id: email.message_id.to_owned(),
        date: now,
        in_reply_to: email.earlier.last().map(|one| one.message_id.clone()),
        references: email.earlier.iter().map(|one| one.message_id.clone()).collect(),
        list_unsubscribe,
        list_id: Some(format!("{}.{}", email.campaign, from.address.domain())),
        feedback_id: None,
        auto_submitted: None,
        from,
    })
}

fn name_of(fields: &BTreeMap<String, String>) -> String {
    let part = |name: &str| fields.get(name).map(String::as_str).unwrap_or_default();
    format!("{} {}", part("first_name"), part("last_name")).trim().to_owned()
}

/// How many bytes of what a server says are kept.
pub(super) const MOST_SAID: usize = 500;

/// The beginning of a text, in whole characters.
pub(super) fn beginning(text: &str, most: usize) -> String {
    text[..text.floor_char_boundary(most)].to_owned()
}
