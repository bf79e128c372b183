//! The verbs of text messages for people, and their rules.

use std::collections::BTreeMap;

use mainstay_domain::{
    Error, Faults, InboxSourceId, PhoneNumber, QuietHours, Result, Secret, TenantId, TextMessageId, TextReason,
    Timestamp,
};
use mainstay_store::{
    Call, GetInboxSource, GetText, GetTextSettings, InboxSource, ListOptOuts, ListTexts, PutTextSettings, TextMessage,
    TextPage, TextSettings,
};

use super::{Texts, wording};
use crate::keys::Keys;
use crate::webhooks::{self, sources::Source};

/// The most reminders of one appointment.
const MOST_REMINDERS: usize = 3;
/// The longest before an appointment that somebody is reminded: 30 days, in minutes.
const LONGEST_BEFORE: u32 = 43_200;
const SHORTEST_BEFORE: u32 = 15;

/// How an organisation wants to send text messages.
#[derive(Clone, Debug)]
pub(super) struct Wish {
    pub(super) source: InboxSourceId,
    pub(super) account: String,
    pub(super) sender: String,
    pub(super) enabled: bool,
    pub(super) confirms: bool,
    pub(super) reminders: Vec<u32>,
    pub(super) quiet: Option<String>,
    pub(super) wording: BTreeMap<TextReason, String>,
}

/// Two letters and 32 hexadecimal digits, as the provider writes its ids.
fn is_sid(text: &str, prefix: &str) -> bool {
    text.strip_prefix(prefix).is_some_and(|rest| rest.len() == 32 && rest.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

impl Texts {
    /// How an organisation sends text messages; nothing where nobody has said.
    pub(super) async fn settings(&self, call: &Call, tenant: TenantId) -> Result<Option<TextSettings>> {
        Ok(self.store.run(call, GetTextSettings(tenant)).await?)
    }

    /// Says how an organisation sends text messages.
    ///
    /// # Errors
    /// `invalid_input` by field.
    pub(super) async fn put_settings(&self, call: &Call, tenant: TenantId, wish: Wish) -> Result<TextSettings> {
        let mut faults = Faults::default();
        let source = self.store.run(call, GetInboxSource { tenant, id: wish.source }).await?;
        if source.is_none_or(|source| source.provider != Source::Twilio.to_string()) {
            let detail = "Give the id of a sender of the kind twilio, whose secret is the auth token of the account.";
            faults.add("sender_id", "not_found", detail);
        }
        if !is_sid(&wish.account, "AC") {
            faults.add("account_sid", "invalid_id", "Give the id of the account: AC and 32 hexadecimal digits.");
        }
        let is_number = PhoneNumber::parse(&wish.sender, None).is_ok_and(|number| number.as_str() == wish.sender);
        if !is_number && !is_sid(&wish.sender, "MG") {
            let detail =
                "Give a number as +15005550006, or the id of a messaging service: MG and 32 hexadecimal digits.";
            faults.add("from", "invalid_sender", detail);
        }
        let mut reminders = wish.reminders;
        reminders.sort_unstable_by(|one, other| other.cmp(one));
        reminders.dedup();
        let fit = reminders.iter().all(|minutes| (SHORTEST_BEFORE..=LONGEST_BEFORE).contains(minutes));
        if !fit || reminders.len() > MOST_REMINDERS {
            let detail =
                format!("Give at most {MOST_REMINDERS} numbers of minutes from {SHORTEST_BEFORE} to {LONGEST_BEFORE}.");
            faults.add("reminder_minutes", "out_of_range", detail);
        }
        let quiet = wish.quiet.as_deref().and_then(|text| faults.keep("quiet_hours", text.parse::<QuietHours>()));
        wording::check(&wish.wording, &mut faults);
        faults.judge()?;
        let settings = TextSettings {
            source: wish.source,
            account: wish.account,
            sender: wish.sender,
            enabled: wish.enabled,
            confirms: wish.confirms,
            reminders,
            quiet,
            wording: wish.wording,
        };
        let put = PutTextSettings { tenant, settings: settings.clone(), now: self.clock.now() };
        self.store.run(call, put).await?;
        Ok(settings)
    }

    pub(super) async fn list(&self, call: &Call, list: ListTexts) -> Result<TextPage> {
        Ok(self.store.run(call, list).await?)
    }

    /// Reads a message.
    ///
    /// # Errors
    /// `not_found`.
    pub(super) async fn get(&self, call: &Call, tenant: TenantId, id: TextMessageId) -> Result<TextMessage> {
        let found = self.store.run(call, GetText { tenant, id }).await?;
        found.ok_or_else(|| Error::not_found("text message"))
    }

    pub(super) async fn opt_outs(&self, call: &Call, list: ListOptOuts) -> Result<Vec<(String, Timestamp)>> {
        Ok(self.store.run(call, list).await?)
    }

    /// The sender that the provider's callbacks come by, and the token of the account, which is its newest secret; nothing when
    /// it was removed.
    pub(super) async fn account(
        &self,
        call: &Call,
        keys: &Keys,
        (tenant, id): (TenantId, InboxSourceId),
    ) -> Result<Option<(InboxSource, Secret)>> {
        let Some(source) = self.store.run(call, GetInboxSource { tenant, id }).await? else { return Ok(None) };
        let secret = webhooks::secrets(keys, tenant, &source)?.into_iter().next();
        Ok(secret.map(|secret| (source, secret)))
    }
}
