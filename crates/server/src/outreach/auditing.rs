//! What an audit tries of outreach: links as they stand in emails, an email as a campaign would send it, and what the DNS says
//! of senders. Nothing is sent, and no row changes.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::future::join_all;
use mainstay_domain::{AccountState, CampaignId, EmailId, Result, SendingAccountId, StepVariantId, TenantId};
use mainstay_mail::domain_check::Severity;
use mainstay_mail::lint::lint;
use mainstay_store::{
    AccountSettings, AccountsInUse, Call, Campaign, CampaignSettings, EarlierEmail, GetAccount, LeadOrder, ListLeads,
    ReadSteps, SendingAccount, StepVariant, message_id,
};

pub(crate) use super::accounts::BY_SOMEBODY;

use super::Outreach;
use super::compose::{Outgoing, Text, ready};
use super::tracking::Tracking;
use super::trying::NOBODY;

/// The most texts of a campaign that are written out.
const MOST_TEXTS: usize = 20;

/// Links as they stand in emails, each as the path on this server.
pub(crate) struct TrialLinks {
    /// By which somebody leaves; of an email that tries a text, so that nobody does.
    pub(crate) leaving: String,
    /// The image of an email that is not there.
    pub(crate) image: String,
    /// A link of an email that is not there, and where it leads.
    pub(crate) click: (String, &'static str),
}

/// What a name server said of an account that is in use.
pub(crate) struct SenderFinding {
    /// Stable.
    pub(crate) code: &'static str,
    /// How much it matters.
    pub(crate) severity: Severity,
    /// What is found, and the record that cures it.
    pub(crate) detail: String,
}

/// What is wrong with emails as they would go out.
#[derive(Debug, Default)]
pub(crate) struct MailFaults {
    /// How many were written.
    pub(crate) written: usize,
    /// Each says what it is about.
    pub(crate) faults: Vec<String>,
}

/// What comes after the public address of this server in a link, as a path.
fn path(link: &str, place: &str) -> String {
    let token = link.rsplit_once(place).map_or(link, |(_, token)| token);
    format!("{place}{token}")
}

impl Outreach {
    /// Links of emails that nobody has.
    pub(crate) fn trial_links(&self) -> TrialLinks {
        let (tenant, email): (TenantId, EmailId) = (self.ids.make(), self.ids.make());
        let leads_to = "https://audit.example/?a=1&b=2";
        TrialLinks {
            leaving: path(&self.leaving_link(tenant, NOBODY), "/u/"),
            image: path(&self.image_link(tenant, email), "/t/"),
            click: (path(&self.tracking.link(tenant, email, leads_to), "/t/"), leads_to),
        }
    }

    /// The path of the link by which whoever got an email leaves.
    pub(crate) fn leaving_path(&self, tenant: TenantId, email: EmailId) -> String {
        path(&self.leaving_link(tenant, email), "/u/")
    }

    /// How long after a mailbox was read to its end it is read again.
    pub(crate) const fn mailbox_interval(&self) -> Duration {
        self.settings.mailbox()
    }

    /// What the DNS says of accounts.
    ///
    /// # Errors
    /// When the database does not answer.
    pub(crate) async fn sender_findings(
        &self,
        call: &Call,
        accounts: &[(TenantId, SendingAccountId)],
    ) -> Result<Vec<SenderFinding>> {
        let mut of_tenant: BTreeMap<TenantId, Vec<SendingAccount>> = BTreeMap::new();
        for (tenant, id) in accounts {
            let account = self.store.run(call, GetAccount { tenant: *tenant, id: *id }).await?;
            of_tenant.entry(*tenant).or_default().extend(account);
        }
        let asked = join_all(of_tenant.iter().map(|(tenant, accounts)| self.domains(*tenant, accounts))).await;
        let finding = |check: super::readiness::Check| {
            let cure =
                check.publish.map(|record| format!(" Publish {} {}: {}", record.kind, record.name, record.value));
            let detail = format!("{}: {}{}", check.about, check.detail, cure.unwrap_or_default());
            SenderFinding { code: check.code, severity: check.severity, detail }
        };
        Ok(asked.into_iter().flatten().map(finding).collect())
    }

    /// Writes each text of a campaign as an email to its newest lead, by the first of its accounts that sends, and looks for
    /// what is wrong with it.
    ///
    /// # Errors
    /// When the database does not answer.
    pub(crate) async fn mail_of(&self, call: &Call, tenant: TenantId, id: CampaignId) -> Result<MailFaults> {
        let campaign = self.campaign(call, tenant, id).await?;
        let accounts = self.store.run(call, AccountsInUse { tenant, campaign: id, limit: 200 }).await?;
        let (_, texts) = self.store.run(call, ReadSteps { tenant, campaign: id }).await?;
        let (order, query) = (LeadOrder::Newest(None), String::new());
        let lead =
            self.store.run(call, ListLeads { tenant, campaign: id, order, state: None, query, limit: 1 }).await?;
        let sends = accounts.iter().find(|account| account.state == AccountState::Active);
        let Some(account) = sends.or_else(|| accounts.first()) else {
            let faults = vec![format!("campaign {id} of {tenant} runs without an account")];
            return Ok(MailFaults { written: 0, faults });
        };
        let fields = lead.into_iter().next().map(|lead| lead.fields).unwrap_or_default();
        Ok(self.written(tenant, &campaign, account, (&texts, &fields)))
    }

    /// The same of an email that stands for those of a campaign, where none runs.
    pub(crate) fn sample_mail(&self) -> MailFaults {
        let (tenant, now): (TenantId, _) = (self.ids.make(), self.clock.now());
        let (id, account) = (self.ids.make(), sample_account(self.ids.make(), now));
        let settings = CampaignSettings {
            name: "Audit".to_owned(),
            zone: "UTC".to_owned(),
            window: String::new(),
            starts_at: None,
            track_opens: true,
            track_clicks: true,
            stop_on_reply: true,
            goal_url: None,
            postal_address: Some("1 Main Street".to_owned()),
        };
        let (launched_at, created_at, updated_at) = (None, now, now);
        let state = mainstay_domain::CampaignState::Draft;
        let campaign = Campaign { id, settings, state, launched_at, created_at, updated_at };
        let text = StepVariant {
            id: self.ids.make::<StepVariantId>(),
            step: 1,
            name: "A".to_owned(),
            weight: 1,
            subject: "Grüße, {{first_name | \"there\"}}".to_owned(),
            body: "Hello\n.\nhttps://example.com/ü\n{{postal_address}}\n{{unsubscribe_url}}\n".to_owned(),
            html: Some(
                "<p>Hello <a href=\"https://example.com/\">there</a> <a href=\"{{unsubscribe_url}}\">leave</a></p>"
                    .to_owned(),
            ),
        };
        self.written(tenant, &campaign, &account, (&[text], &BTreeMap::new()))
    }

    fn written(
        &self,
        tenant: TenantId,
        campaign: &Campaign,
        account: &SendingAccount,
        (texts, fields): (&[StepVariant], &BTreeMap<String, String>),
    ) -> MailFaults {
        let mut all = MailFaults::default();
        let first = texts.iter().find(|text| text.step == 1);
        for text in texts.iter().take(MOST_TEXTS) {
            let place = format!("campaign {} of {tenant}, step {}, {}", campaign.id, text.step, text.name);
            let earlier = first.filter(|first| text.step > first.step);
            let faults = match self.write_one(tenant, (campaign, account), (text, earlier), fields) {
                Ok(message) => faults_of(&message, account),
                Err(why) => vec![why],
            };
            all.written += 1;
            all.faults.extend(faults.into_iter().map(|fault| format!("{place}: {fault}")));
        }
        all
    }

    fn write_one(
        &self,
        tenant: TenantId,
        (campaign, account): (&Campaign, &SendingAccount),
        (variant, first): (&StepVariant, Option<&StepVariant>),
        fields: &BTreeMap<String, String>,
    ) -> std::result::Result<Vec<u8>, String> {
        let signer = self.signer(tenant, account).map_err(|no| match no {
            super::line::NoLine::Away(why) | super::line::NoLine::Account(why) => why,
        })?;
        let (text, first_text) = (Text::read(variant)?, first.map(Text::read).transpose()?);
        let needed = text.needed().into_iter().chain(first_text.iter().flat_map(Text::needed_of_subject));
        let mut fields = fields.clone();
        for name in needed.collect::<BTreeSet<_>>() {
            // What a lead lacks is said before a campaign begins; here the mail itself is looked at.
            fields.entry(name).or_insert_with(|| "Ädä".to_owned());
        }
        let earlier: Vec<EarlierEmail> = first
            .map(|first| EarlierEmail {
                step: first.step,
                message_id: message_id(self.ids.make(), &account.address),
                variant: first.id,
                thread: None,
            })
            .into_iter()
            .collect();
        let outgoing = Outgoing {
            campaign: campaign.id,
            address: "somebody@example.com",
            message_id: &message_id(self.ids.make(), &account.address),
            fields: &fields,
            earlier: &earlier,
            postal_address: campaign.settings.postal_address.as_deref(),
            link: &self.leaving_link(tenant, NOBODY),
            tracking: Some(Tracking {
                links: &self.tracking,
                tenant,
                email: NOBODY,
                opens: campaign.settings.track_opens,
                clicks: campaign.settings.track_clicks,
                domain: account.settings.tracking_domain.as_deref(),
            }),
        };
        let ready = ready((account, signer.as_ref()), &outgoing, (&text, first_text.as_ref()), self.clock.now())?;
        Ok(ready.message)
    }
}

/// What is wrong with a message, and what it lacks.
fn faults_of(message: &[u8], account: &SendingAccount) -> Vec<String> {
    let mut faults: Vec<String> = lint(message).iter().map(ToString::to_string).collect();
    let end = message.windows(4).position(|window| window == b"\r\n\r\n").unwrap_or(message.len());
    let head = String::from_utf8_lossy(message.get(..end).unwrap_or_default()).into_owned();
    let has = |name: &str| head.lines().any(|line| line.to_ascii_lowercase().starts_with(&format!("{name}:")));
    if !(has("list-unsubscribe") && has("list-unsubscribe-post")) {
        faults.push("no List-Unsubscribe for one click: set http.public_url to an https address".to_owned());
    }
    if account.settings.dkim.is_some() && !has("dkim-signature") {
        faults.push("no DKIM-Signature although the account has a key".to_owned());
    }
    faults
}

/// An account that is in no database.
fn sample_account(id: SendingAccountId, now: mainstay_domain::Timestamp) -> SendingAccount {
    let settings = AccountSettings {
        sender_name: "Ada, \"Countess\" Löwe".to_owned(),
        reply_to: Some("team@example.com".to_owned()),
        kind: "smtp".to_owned(),
        host: "smtp.example.com".to_owned(),
        port: 587,
        security: "start_tls".to_owned(),
        user_name: String::new(),
        secret: None,
        dkim: None,
        dkim_key: None,
        daily_cap: 1,
        ramp: None,
        gap: Duration::ZERO,
        domain_gap: Duration::ZERO,
        connections: 1,
        tracking_domain: None,
    };
    SendingAccount {
        id,
        address: "ada@example.com".to_owned(),
        settings,
        state: AccountState::Active,
        reason: None,
        run: 0,
        wakes: 0,
        next_at: now,
        health: (0, 0, 0),
        created_at: now,
        updated_at: now,
    }
}

/// A token that differs from a good one in its last letter but one, which all of its bits stand in.
pub(crate) fn forged(path: &str) -> String {
    let mut letters: Vec<char> = path.chars().collect();
    let place = letters.len().saturating_sub(2);
    if let Some(letter) = letters.get_mut(place) {
        *letter = if *letter == 'A' { 'B' } else { 'A' };
    }
    letters.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_link_is_asked_for_by_its_path_and_a_forged_one_differs() {
        assert_eq!(path("https://x.example/u/abc", "/u/"), "/u/abc");
        assert_eq!(path("https://x.example/under/u/abc", "/u/"), "/u/abc");
        assert_eq!((forged("/u/abc").as_str(), forged("/u/aAc").as_str()), ("/u/aAc", "/u/aBc"));
    }

    #[test]
    fn a_message_without_a_way_to_leave_or_a_signature_is_told() {
        let now = mainstay_domain::Timestamp::EPOCH;
        let mut account = sample_account(SendingAccountId(Uuid::nil()), now);
        account.settings.dkim = Some(("s".to_owned(), "example.com".to_owned()));
        let faults = faults_of(b"From: a@example.com\r\n\r\nList-Unsubscribe: <https://x.example/>\r\n", &account);
        for wanted in ["no List-Unsubscribe", "no DKIM-Signature", "missing"] {
            assert!(faults.iter().any(|fault| fault.contains(wanted)), "{wanted}: {faults:?}");
        }
    }
}
