//! Accounts that send by the Gmail API (<https://developers.google.com/workspace/gmail/api>).
//!
//! Somebody signs in once ([`signing_in`]); what is sent goes through the same steps as by SMTP ([`sending`]); and what comes
//! back is read from the same account ([`reading`]). An access token is fetched before it is said that an email is in flight:
//! what can fail before that fails there.

mod reading;
mod sending;
mod signing_in;

use std::time::Duration;

use mainstay_domain::{Clock, EmailId, Error, Kind, Result, Secret, TenantId};
use mainstay_store::{Call, NoteProvider, SealedColumn, SendingAccount};
use serde_json::Value;

use super::Outreach;
use super::line::NoLine;
use crate::config::Config;
use crate::google::{Ask, Fault, GoogleApi, Holder, Use};

pub(super) use reading::GmailReading;
pub(super) use sending::said_of as said_by_gmail;

/// The word of such accounts.
pub(super) const GMAIL: &str = "gmail";
/// The most emails that Google takes of an account in any 24 hours.
pub(super) const MOST_A_DAY: u32 = 2_000;
/// The least seconds between two emails: sending one takes 100 of the 6,000 units that a minute has.
pub(super) const LEAST_GAP: u64 = 1;
/// What is asked for when somebody signs in: to send, and to read what comes back and what was sent.
const SCOPES: &str = "https://www.googleapis.com/auth/gmail.send https://www.googleapis.com/auth/gmail.readonly";
/// The largest answer that is read, in bytes: a message in base64.
const LARGEST: usize = 8 * 1024 * 1024;
/// How long one step on the database may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// The API, where there is an OAuth client.
///
/// # Errors
/// When the HTTP client cannot be made.
pub(super) fn api(config: &Config, clock: std::sync::Arc<dyn Clock>) -> Result<Option<GoogleApi>> {
    let settings = &config.outreach.gmail;
    let of = Use {
        name: "gmail",
        scopes: SCOPES,
        api_url: &settings.api_url,
        first_byte: settings.first_byte_timeout(),
        largest: LARGEST,
    };
    GoogleApi::new(&of, &config.calendars.google, &config.providers, clock)
}

/// The path of something of the account that is asked for.
fn path<'a>(parts: &[&'a str]) -> Vec<&'a str> {
    ["gmail", "v1", "users", "me"].into_iter().chain(parts.iter().copied()).collect()
}

impl From<Fault> for NoLine {
    fn from(fault: Fault) -> Self {
        let words = fault.words();
        match fault {
            Fault::Reconnect(_) | Fault::Refused(400 | 403, _) => Self::Account(words),
            Fault::Passing(_) | Fault::Busy(_) | Fault::Away(_) | Fault::Refused(..) => Self::Away(words),
        }
    }
}

/// What a message is called, in what Gmail tells of it: without angle brackets.
fn message_id_in(message: &Value) -> Option<String> {
    let headers = message["payload"]["headers"].as_array()?;
    let named = |header: &&Value| header["name"].as_str().is_some_and(|name| name.eq_ignore_ascii_case("message-id"));
    let value = headers.iter().find(named)?["value"].as_str()?;
    let inner = value.trim().strip_prefix('<')?.strip_suffix('>')?;
    (!inner.is_empty() && inner.len() <= 900).then(|| inner.to_owned())
}

impl Outreach {
    /// The Gmail API, where it is set up.
    pub(crate) const fn gmail(&self) -> Option<&GoogleApi> {
        self.gmail.as_ref()
    }

    fn gmail_or_conflict(&self) -> Result<&GoogleApi> {
        let detail =
            "Whoever runs this installation has not set it up for Gmail: calendars.google.client_id is missing.";
        self.gmail().ok_or_else(|| Error::new(Kind::Conflict, "gmail_not_set_up", detail))
    }

    fn gmail_or_wait(&self) -> std::result::Result<&GoogleApi, NoLine> {
        self.gmail().ok_or_else(|| NoLine::Away("calendars.google.client_id is not set.".to_owned()))
    }

    /// By what an account is asked for.
    fn gmail_secret(&self, tenant: TenantId, account: &SendingAccount) -> std::result::Result<Secret, NoLine> {
        let sealed = account.settings.secret.as_ref();
        let sealed = sealed.ok_or_else(|| NoLine::Account("Nobody has signed in to it yet.".to_owned()))?;
        let opened = self.keys.open(Self::place(tenant, account, SealedColumn::AccountSecret), sealed);
        opened.map_err(|_| NoLine::Away("The token of the account cannot be opened here.".to_owned()))
    }

    /// Keeps what Google calls a message where that is not what we call it: answers name it. Best effort: they come into its
    /// thread too.
    async fn learn_message_id(&self, holder: &Holder<'_>, (tenant, email): (TenantId, EmailId), of: (&str, &str)) {
        let (id, ours) = of;
        let Some(google) = self.gmail() else { return };
        let query = [("format", "metadata"), ("metadataHeaders", "Message-ID")];
        let told = match google.ask(holder, &Ask::get(&path(&["messages", id]), &query)).await {
            Ok(message) => message_id_in(&message),
            Err(fault) => {
                tracing::debug!(code = fault.code(), %email, "nobody knows what Google calls an email");
                None
            }
        };
        let Some(message_id) = told.filter(|told| told != ours) else { return };
        self.note_provider(NoteProvider {
            tenant,
            id: email,
            provider_id: None,
            thread: None,
            message_id: Some(message_id),
        })
        .await;
    }

    async fn note_provider(&self, note: NoteProvider) {
        let email = note.id;
        if let Err(error) = self.store.run_for_jobs(&Call::within(PATIENCE), note).await {
            tracing::warn!(%error, %email, "what Google calls an email could not be stored");
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::message_id_in;

    fn told(value: &str) -> Option<String> {
        let headers = json!([{"name": "Subject", "value": "Hi"}, {"name": "Message-Id", "value": value}]);
        message_id_in(&json!({"payload": {"headers": headers}}))
    }

    #[test]
    fn a_message_id_is_read_whatever_its_header_is_written_like() {
        assert_eq!(told("<a@mail.gmail.com>").as_deref(), Some("a@mail.gmail.com"));
        assert_eq!(told(" <a@b> ").as_deref(), Some("a@b"));
        for bad in ["", "<>", "a@b", "<a@b"] {
            assert_eq!(told(bad), None, "{bad}");
        }
        assert_eq!(told(&format!("<{}@b>", "a".repeat(1_000))), None);
        assert_eq!(message_id_in(&json!({})), None);
    }
}
