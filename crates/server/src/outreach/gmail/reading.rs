//! Reading the mailbox of an account at Gmail: what is new by its history, what was missed by a search, and what nobody knows
//! of by its Message-ID. Nothing in it is changed.

use base64::Engine as _;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use mainstay_domain::{Secret, TenantId};
use mainstay_jobs::JobContext;
use mainstay_store::{Call, ListUnknown, MailboxRead, NoteProvider, SealedColumn, StoredMailbox};
use serde_json::Value;
use tokio::time::Instant;

use super::path;
use crate::google::{Ask, Fault, GoogleApi, Holder};
use crate::keys::Place;
use crate::outreach::Outreach;
use crate::outreach::hearing::{Hearing, MOST_UNKNOWN, PATIENCE, TURN};
use crate::outreach::line::NoLine;

/// How many records of the history are asked for at a time.
const AT_A_TIME: &str = "100";
/// The largest message that is read whole, in bytes; of a larger one only its headers are.
const LARGEST_LETTER: u64 = 4 * 1024 * 1024;
/// The most messages that are read of the time that the history does not reach.
const MOST_CAUGHT_UP: usize = 500;
/// The most days of it.
const MOST_DAYS: u64 = 30;
/// Base64 as Google writes it, with padding and without.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A mailbox that is being read.
pub(in crate::outreach) struct GmailReading<'a> {
    outreach: &'a Outreach,
    context: &'a JobContext,
    tenant: TenantId,
    mailbox: &'a StoredMailbox,
    google: &'a GoogleApi,
    refresh_token: Secret,
}

/// Whether a message was written here: it is no answer.
fn is_ours(message: &Value) -> bool {
    let labels = message["labelIds"].as_array().map(Vec::as_slice).unwrap_or_default();
    labels.iter().any(|label| label == "SENT" || label == "DRAFT")
}

/// A message of which only the headers are known.
fn headers_alone(message: &Value) -> Vec<u8> {
    let headers = message["payload"]["headers"].as_array().map(Vec::as_slice).unwrap_or_default();
    let line = |header: &Value| {
        let (name, value) = (header["name"].as_str()?, header["value"].as_str()?);
        let value: String = value.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect();
        Some(format!("{name}: {value}\r\n"))
    };
    let lines: String = headers.iter().filter_map(line).collect();
    format!("{lines}\r\n").into_bytes()
}

impl<'a> GmailReading<'a> {
    /// Makes ready to read a mailbox.
    ///
    /// # Errors
    /// When Gmail is not set up, or the key of the token is not here.
    pub(in crate::outreach) fn of(
        outreach: &'a Outreach,
        context: &'a JobContext,
        tenant: TenantId,
        mailbox: &'a StoredMailbox,
    ) -> Result<Self, NoLine> {
        let google = outreach.gmail_or_wait()?;
        let place = Place { column: SealedColumn::MailboxSecret, tenant, row: mailbox.account.uuid() };
        let refresh_token = outreach.keys.open(place, &mailbox.settings.secret);
        let refresh_token =
            refresh_token.map_err(|_| NoLine::Away("The token of the mailbox cannot be opened here.".to_owned()))?;
        Ok(Self { outreach, context, tenant, mailbox, google, refresh_token })
    }

    async fn ask(&self, parts: &[&str], query: &[(&str, &str)]) -> Result<Value, Fault> {
        let holder = Holder { id: self.mailbox.account.uuid(), refresh_token: &self.refresh_token };
        self.google.ask(&holder, &Ask::get(&path(parts), query)).await
    }

    /// Reads what is new. True when there is more to read at once.
    pub(in crate::outreach) async fn read(&self) -> Result<bool, NoLine> {
        let ends = Instant::now() + TURN;
        // What came before somebody wanted it read is no answer to anything of ours.
        let Some(mut history) = self.mailbox.history.clone() else {
            self.note(self.present().await?, true).await?;
            self.look_for_unknown().await?;
            return Ok(false);
        };
        loop {
            let query =
                [("startHistoryId", history.as_str()), ("historyTypes", "messageAdded"), ("maxResults", AT_A_TIME)];
            let page = match self.ask(&["history"], &query).await {
                // It does not reach as far back.
                Err(Fault::Refused(404, _)) => {
                    self.catch_up().await?;
                    break;
                }
                page => page?,
            };
            let records = page["history"].as_array().map(Vec::as_slice).unwrap_or_default();
            let added = records.iter().flat_map(|record| record["messagesAdded"].as_array().into_iter().flatten());
            for added in added {
                self.hear(&added["message"]).await?;
            }
            let last = records.last().and_then(|record| record["id"].as_str());
            let is_whole = page["nextPageToken"].as_str().is_none_or(str::is_empty);
            match (last, page["historyId"].as_str()) {
                (Some(last), _) if !is_whole && last != history => last.clone_into(&mut history),
                (_, Some(present)) => {
                    self.note(present.to_owned(), true).await?;
                    break;
                }
                _ => return Err(NoLine::Away("Google did not say how far its history goes.".to_owned())),
            }
            self.note(history.clone(), false).await?;
            if Instant::now() >= ends || self.context.cancelled.is_cancelled() {
                return Ok(true);
            }
        }
        self.look_for_unknown().await?;
        Ok(false)
    }

    /// How far the history goes now.
    async fn present(&self) -> Result<String, NoLine> {
        let profile = self.ask(&["profile"], &[]).await?;
        let present = profile["historyId"].as_str().map(str::to_owned);
        present.ok_or_else(|| NoLine::Away("Google did not say how far its history goes.".to_owned()))
    }

    async fn note(&self, history: String, end: bool) -> Result<(), NoLine> {
        let (now, read) = (self.outreach.clock.now(), MailboxRead::History(history, end));
        let note = mainstay_store::NoteMailbox { tenant: self.tenant, account: self.mailbox.account, read, now };
        Ok(self.outreach.store.run_for_jobs(&Call::within(PATIENCE), note).await?)
    }

    /// Reads what came since the mailbox was last read to its end, the newest first. To hear something twice changes nothing.
    async fn catch_up(&self) -> Result<(), NoLine> {
        let present = self.present().await?;
        let since = self.mailbox.looked_at.unwrap_or(self.mailbox.created_at);
        let missed = self.outreach.clock.now().since(since);
        let days = missed.as_secs().div_ceil(86_400).clamp(1, MOST_DAYS);
        let (search, mut next, mut heard) = (format!("newer_than:{days}d"), String::new(), 0);
        while heard < MOST_CAUGHT_UP && !self.context.cancelled.is_cancelled() {
            let mut query = vec![("q", search.as_str()), ("maxResults", AT_A_TIME)];
            if !next.is_empty() {
                query.push(("pageToken", &next));
            }
            let page = self.ask(&["messages"], &query).await?;
            let messages = page["messages"].as_array().map(Vec::as_slice).unwrap_or_default();
            for message in messages {
                self.hear(message).await?;
            }
            heard += messages.len();
            match page["nextPageToken"].as_str().filter(|token| !token.is_empty()) {
                Some(token) if !messages.is_empty() => next = token.to_owned(),
                _ => break,
            }
        }
        self.note(present, true).await
    }

    /// Hears one message.
    async fn hear(&self, message: &Value) -> Result<(), NoLine> {
        let Some(id) = message["id"].as_str().filter(|_| !is_ours(message)) else { return Ok(()) };
        let parts = ["messages", id];
        let known = match self.ask(&parts, &[("format", "metadata")]).await {
            // Somebody has deleted it meanwhile.
            Err(Fault::Refused(404, _)) => return Ok(()),
            known => known?,
        };
        if is_ours(&known) {
            return Ok(());
        }
        let raw = if known["sizeEstimate"].as_u64().is_none_or(|size| size > LARGEST_LETTER) {
            headers_alone(&known)
        } else {
            let whole = match self.ask(&parts, &[("format", "raw")]).await {
                Err(Fault::Refused(404, _)) => return Ok(()),
                whole => whole?,
            };
            let raw = whole["raw"].as_str().and_then(|raw| BASE64.decode(raw).ok());
            raw.unwrap_or_else(|| headers_alone(&known))
        };
        let (outreach, tenant, account) = (self.outreach, self.tenant, self.mailbox.account);
        let thread = known["threadId"].as_str();
        Hearing { outreach, tenant, account, thread }.hear(&raw).await
    }

    /// What nobody knows of may be among what was sent. That it is not found says nothing: it may be on its way.
    async fn look_for_unknown(&self) -> Result<(), NoLine> {
        let (outreach, tenant, account) = (self.outreach, self.tenant, self.mailbox.account);
        let list = ListUnknown { tenant, account, limit: MOST_UNKNOWN };
        let unknown = outreach.store.run_for_jobs(&Call::within(PATIENCE), list).await?;
        for (email, message_id) in unknown {
            let search = format!("rfc822msgid:{message_id} in:sent");
            let found = self.ask(&["messages"], &[("q", &search), ("maxResults", "1")]).await?;
            let message = &found["messages"][0];
            let Some(id) = message["id"].as_str() else { continue };
            // What follows goes into the same thread.
            let thread = message["threadId"].as_str().map(str::to_owned);
            let note = NoteProvider { tenant, id: email, provider_id: Some(id.to_owned()), thread, message_id: None };
            outreach.note_provider(note).await;
            Hearing { outreach, tenant, account, thread: None }.was_sent(email).await;
            outreach.figures.heard("found_sent");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{headers_alone, is_ours};

    #[test]
    fn what_was_written_here_is_no_answer() {
        assert!(is_ours(&json!({"labelIds": ["SENT", "INBOX"]})));
        assert!(is_ours(&json!({"labelIds": ["DRAFT"]})));
        assert!(!is_ours(&json!({"labelIds": ["INBOX", "UNREAD"]})));
        assert!(!is_ours(&json!({})));
    }

    #[test]
    fn no_header_of_a_large_message_brings_another() {
        let headers = json!([{"name": "From", "value": "a@b.example\r\nIn-Reply-To: <x@y>"}, {"name": "Odd"}]);
        let raw = headers_alone(&json!({"payload": {"headers": headers}}));
        assert_eq!(raw, b"From: a@b.example  In-Reply-To: <x@y>\r\n\r\n");
    }
}
