//! Reading mailboxes: what comes back stops whoever answers, cannot be reached, or wants no more.
//!
//! A job reads each mailbox for as long as there is one. It hears one message after the other, and says how far it is after
//! what was heard is stored, so that whatever ends in between is heard again. What is written by strangers is believed only
//! where it names an email that was sent, or comes from an address that was written to. Nothing in the mailbox is changed.

use std::sync::{Arc, Weak};
use std::time::Duration;

use mainstay_domain::{AccountState, EmailAddress, EmailId, EmailState, SendingAccountId, StopReason, TenantId};
use mainstay_jobs::{Done, Failure, JobContext, JobResult, Retry};
use mainstay_mail::heard::{Action, Bounce, BounceKind, Heard, Reply, hear};
use mainstay_mail::imap::{Failed, Folder, Server, Session, SignIn, Timeouts};
use mainstay_store::{
    Became, Call, FindByMessage, FindByThread, FindLastTo, GetAccount, GetEmail, GetMailbox, ListUnknown, MailboxRead,
    NoteBecame, NoteMailbox, SealedColumn, StopBy, StoredMailbox,
};
use tokio::time::Instant;

use super::gmail::{GMAIL, GmailReading};
use super::line::{NoLine, security};
use super::{Outreach, ReadMailbox};
use crate::app::App;
use crate::keys::Place;

/// How long one step on the database may take.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);
/// How many messages are taken at a time.
const AT_A_TIME: usize = 50;
/// How many emails that nobody knows of are looked for at a time.
pub(super) const MOST_UNKNOWN: u32 = 20;
/// How long a mailbox is read before others have their turn.
pub(super) const TURN: Duration = Duration::from_secs(120);

/// Reads a mailbox.
pub(crate) async fn read(app: Weak<App>, context: JobContext, job: ReadMailbox) -> JobResult {
    let Some(app) = app.upgrade() else { return Err(Failure::new("the server stops")) };
    let Some(tenant) = context.tenant else {
        return Err(Failure::new("a mailbox of no organisation").retry(Retry::Never));
    };
    let outreach = &app.outreach;
    let again = outreach.settings.mailbox();
    let get = GetMailbox { tenant, account: job.account };
    let mailbox = match outreach.store.run_for_jobs(&Call::within(PATIENCE), get).await {
        Ok(Some(mailbox)) if mailbox.created_at == job.made_at => mailbox,
        Ok(_) => return Ok(Done::Finished),
        Err(error) => {
            tracing::warn!(%error, account = %job.account, "a mailbox cannot be read");
            return Ok(Done::Snoozed(again));
        }
    };
    // Somebody has to see to it first; whoever does is noticed the next time.
    if mailbox.state != AccountState::Active {
        return Ok(Done::Snoozed(again));
    }
    let read = match outreach.read_mailbox(&context, tenant, &mailbox).await {
        Ok(true) => return Ok(Done::Snoozed(Duration::ZERO)),
        Ok(false) => return Ok(Done::Snoozed(again)),
        Err(NoLine::Away(why)) => MailboxRead::Away(why),
        Err(NoLine::Account(why)) => MailboxRead::Halted(why),
    };
    if let MailboxRead::Away(_) | MailboxRead::Halted(_) = &read {
        tracing::warn!(account = %job.account, "a mailbox was not read; it is kept with it why");
        outreach.figures.heard("failed");
    }
    let note = NoteMailbox { tenant, account: job.account, read, now: outreach.clock.now() };
    if let Err(error) = outreach.store.run_for_jobs(&Call::within(PATIENCE), note).await {
        tracing::warn!(%error, account = %job.account, "why a mailbox was not read could not be noted");
    }
    Ok(Done::Snoozed(again))
}

impl From<Failed> for NoLine {
    fn from(failed: Failed) -> Self {
        let why = failed.to_string();
        if failed.needs_a_person() { Self::Account(why) } else { Self::Away(why) }
    }
}

impl From<mainstay_store::Error> for NoLine {
    fn from(error: mainstay_store::Error) -> Self {
        Self::Away(format!("The database did not answer: {error}"))
    }
}

impl From<mainstay_domain::Error> for NoLine {
    fn from(error: mainstay_domain::Error) -> Self {
        Self::Away(error.to_string())
    }
}

/// A mailbox that is being read.
struct Reading<'a> {
    outreach: &'a Outreach,
    context: &'a JobContext,
    tenant: TenantId,
    mailbox: &'a StoredMailbox,
}

impl Outreach {
    /// Reads what is new in a mailbox. True when there is more to read at once.
    async fn read_mailbox(
        &self,
        context: &JobContext,
        tenant: TenantId,
        mailbox: &StoredMailbox,
    ) -> Result<bool, NoLine> {
        let get = GetAccount { tenant, id: mailbox.account };
        let account = self.store.run_for_jobs(&Call::within(PATIENCE), get).await?;
        if account.is_some_and(|account| account.settings.kind == GMAIL) {
            return GmailReading::of(self, context, tenant, mailbox)?.read().await;
        }
        Reading { outreach: self, context, tenant, mailbox }.read().await
    }

    /// Opens a mailbox, with its folder.
    async fn open_mailbox(&self, tenant: TenantId, mailbox: &StoredMailbox) -> Result<(Session, Folder), NoLine> {
        let settings = &mailbox.settings;
        let place = Place { column: SealedColumn::MailboxSecret, tenant, row: mailbox.account.uuid() };
        let password = self.keys.open(place, &settings.secret);
        let password =
            password.map_err(|_| NoLine::Away("The password of the mailbox cannot be opened here.".to_owned()))?;
        let stream = self.dial((&settings.host, settings.port)).await?;
        let server = Server {
            name: settings.host.clone(),
            security: security(&settings.security),
            tls: Arc::clone(&self.tls),
            sign_in: SignIn::Password { user: settings.user_name.clone(), password },
        };
        let mut session = Session::sign_in(stream, &server, &Timeouts::default()).await?;
        let folder = session.open(&settings.folder).await?;
        Ok((session, folder))
    }
}

impl Reading<'_> {
    /// Reads what is new. True when there is more to read at once.
    async fn read(&self) -> Result<bool, NoLine> {
        let ends = Instant::now() + TURN;
        let (mut session, folder) = self.outreach.open_mailbox(self.tenant, self.mailbox).await?;
        let mut last = match self.mailbox.read {
            Some((validity, last)) if validity == folder.uid_validity => last,
            // Other numbers: everything may be new. To hear something twice changes nothing.
            Some(_) => 0,
            // What came before somebody wanted it read is no answer to anything of ours.
            None => folder.uid_next.saturating_sub(1),
        };
        loop {
            let letters = session.newer(last, AT_A_TIME).await?;
            let Some(newest) = letters.iter().map(|letter| letter.uid).max() else { break };
            for letter in &letters {
                self.hearing().hear(&letter.raw).await?;
            }
            last = newest;
            self.note(MailboxRead::To(folder.uid_validity, last)).await?;
            if Instant::now() >= ends || self.context.cancelled.is_cancelled() {
                session.sign_out().await;
                return Ok(true);
            }
        }
        self.note(MailboxRead::ToTheEnd(folder.uid_validity, last)).await?;
        self.look_for_unknown(&mut session).await?;
        session.sign_out().await;
        Ok(false)
    }

    const fn hearing(&self) -> Hearing<'_> {
        Hearing { outreach: self.outreach, tenant: self.tenant, account: self.mailbox.account, thread: None }
    }

    async fn note(&self, read: MailboxRead) -> Result<(), NoLine> {
        let now = self.outreach.clock.now();
        let note = NoteMailbox { tenant: self.tenant, account: self.mailbox.account, read, now };
        Ok(self.outreach.store.run_for_jobs(&Call::within(PATIENCE), note).await?)
    }

    /// What nobody knows of may be kept where sent mail is kept.
    async fn look_for_unknown(&self, session: &mut Session) -> Result<(), NoLine> {
        let list = ListUnknown { tenant: self.tenant, account: self.mailbox.account, limit: MOST_UNKNOWN };
        let unknown = self.outreach.store.run_for_jobs(&Call::within(PATIENCE), list).await?;
        if unknown.is_empty() {
            return Ok(());
        }
        let Some(folder) = session.sent_folder().await? else { return Ok(()) };
        session.open(&folder).await?;
        for (email, message_id) in unknown {
            if session.find_message_id(&message_id).await?.is_some() {
                self.hearing().was_sent(email).await;
                self.outreach.figures.heard("found_sent");
            }
        }
        Ok(())
    }
}

/// A message that is heard.
pub(super) struct Hearing<'a> {
    pub(super) outreach: &'a Outreach,
    pub(super) tenant: TenantId,
    /// The account into whose mailbox it came.
    pub(super) account: SendingAccountId,
    /// The thread that its provider has put it into, where it has such.
    pub(super) thread: Option<&'a str>,
}

impl Hearing<'_> {
    /// Hears it.
    pub(super) async fn hear(&self, raw: &[u8]) -> Result<(), NoLine> {
        let heard = hear(raw);
        let kind = match heard {
            Heard::Bounce(bounce) => self.bounced(bounce).await?,
            Heard::Complaint(complaint) => {
                let found = self.find(complaint.message_ids, None).await?;
                self.stops(found, StopReason::Complained, "complaint").await?
            }
            Heard::AutoReply(reply) => match self.find(reply.message_ids, None).await? {
                Some(email) => {
                    self.was_sent_if_unknown(email).await?;
                    "automatic"
                }
                None => "unmatched",
            },
            Heard::Reply(reply) => self.replied(reply).await?,
            Heard::Unsubscribe(wish) => {
                let found = self.find(Vec::new(), Some(&wish.from)).await?;
                self.stops(found, StopReason::Unsubscribed, "unsubscribe").await?
            }
            Heard::Other => "other",
        };
        self.outreach.figures.heard(kind);
        Ok(())
    }

    async fn bounced(&self, bounce: Bounce) -> Result<&'static str, NoLine> {
        let Some(email) = self.find(bounce.message_ids, None).await? else { return Ok("unmatched") };
        match (bounce.action, bounce.kind) {
            (Action::Failed, BounceKind::Hard) => self.stops(Some(email), StopReason::Bounced, "bounce").await,
            // It came back for good, and says nothing against the address.
            (Action::Failed, _) => {
                self.became(email, Became::Bounced).await?;
                Ok("soft_bounce")
            }
            (Action::Delayed, _) => Ok("delayed"),
        }
    }

    async fn replied(&self, reply: Reply) -> Result<&'static str, NoLine> {
        let Some(email) = self.find(reply.message_ids, Some(&reply.from)).await? else { return Ok("unmatched") };
        if reply.unsubscribe_wish {
            return self.stops(Some(email), StopReason::Unsubscribed, "unsubscribe").await;
        }
        let get = GetEmail { tenant: self.tenant, id: email };
        let found = self.outreach.store.run_for_jobs(&Call::within(PATIENCE), get).await?;
        let Some(found) = found else { return Ok("unmatched") };
        let campaign = self.outreach.campaign(&Call::within(PATIENCE), self.tenant, found.campaign).await?;
        if campaign.settings.stop_on_reply {
            return self.stops(Some(email), StopReason::Replied, "reply").await;
        }
        self.became(email, Became::Replied).await?;
        if found.state == EmailState::Unknown {
            self.was_sent(email).await;
        }
        Ok("reply")
    }

    /// The email that a message is about: that which it names, the last one of its thread, or the last one to whoever wrote
    /// it.
    async fn find(&self, mut message_ids: Vec<String>, from: Option<&str>) -> Result<Option<EmailId>, NoLine> {
        message_ids.truncate(100);
        let (tenant, call) = (self.tenant, Call::within(PATIENCE));
        if !message_ids.is_empty() {
            let found = self.outreach.store.run_for_jobs(&call, FindByMessage { tenant, message_ids }).await?;
            if let Some(found) = found {
                return Ok(Some(found.id));
            }
        }
        if let Some(thread) = self.thread {
            let in_thread = FindByThread { tenant, account: self.account, thread: thread.to_owned() };
            if let Some(found) = self.outreach.store.run_for_jobs(&call, in_thread).await? {
                return Ok(Some(found));
            }
        }
        let Some(Ok(address)) = from.map(EmailAddress::parse) else { return Ok(None) };
        let address = address.as_str().to_owned();
        let last = FindLastTo { tenant, account: self.account, address };
        Ok(self.outreach.store.run_for_jobs(&call, last).await?)
    }

    async fn stops(
        &self,
        email: Option<EmailId>,
        reason: StopReason,
        kind: &'static str,
    ) -> Result<&'static str, NoLine> {
        let Some(email) = email else { return Ok("unmatched") };
        self.outreach.stop_by(&Call::within(PATIENCE), self.tenant, StopBy::Email(email), reason).await?;
        Ok(kind)
    }

    async fn became(&self, email: EmailId, became: Became) -> Result<(), NoLine> {
        let note = NoteBecame { tenant: self.tenant, email, became, now: self.outreach.clock.now() };
        self.outreach.store.run_for_jobs(&Call::within(PATIENCE), note).await?;
        Ok(())
    }

    async fn was_sent_if_unknown(&self, email: EmailId) -> Result<(), NoLine> {
        let get = GetEmail { tenant: self.tenant, id: email };
        let found = self.outreach.store.run_for_jobs(&Call::within(PATIENCE), get).await?;
        if found.is_some_and(|found| found.state == EmailState::Unknown) {
            self.was_sent(email).await;
        }
        Ok(())
    }

    /// What was unknown was sent, it turns out: its lead goes on.
    pub(super) async fn was_sent(&self, email: EmailId) {
        if let Err(error) = self.outreach.resolve(&Call::within(PATIENCE), self.tenant, email, false).await {
            tracing::debug!(%error, %email, "an email stays unknown");
        }
    }
}
