//! How one message goes: read, judge whether there is still a reason, say that it is being sent, send, and store what came of
//! it.
//!
//! Sending is the one thing here that cannot be said twice. So whoever finds a message that was being sent, after a crash or an
//! answer that did not come, looks for it in the provider's list first. Only when it is not there, some time after it was sent,
//! is it sent again.

use std::fmt::Display;
use std::sync::{Arc, Weak};
use std::time::Duration;

use mainstay_domain::{AppointmentState, Secret, TenantId, TextMessageId, TextReason, TextState, Timestamp, text_due};
use mainstay_jobs::{Done, Failure, JobContext, JobResult, Retry};
use mainstay_store::{
    BeginText, Call, EndText, HearText, InboxSource, KnownTexts, ReadText, TextAround, TextDue, TextEnd, TextSettings,
    WasSilenced,
};

use super::twilio::{Account, Found, Letter, STOPPED};
use super::wording::{self, About};
use super::{LookAtText, SendText, Texts};
use crate::app::App;
use crate::providers::api::ApiFault;

/// How long one step on the database may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a message waits that could not be read or stored.
const LATER: Duration = Duration::from_secs(1);
/// How long a message waits for one before it.
const NEXT: Duration = Duration::from_secs(3);
/// How long a message may have been due and still go out as it was planned. What is later is judged by the hour that it is.
const PLANNED: Duration = Duration::from_secs(3_600);
/// How far the provider's clock may be from ours.
const CLOCKS: Duration = Duration::from_secs(60);
/// When the provider is asked what became of a message, after it took it: it tells of it by itself, but may not be heard, and
/// the price is known late.
const LOOKS: [Duration; 5] = [
    Duration::from_secs(600),
    Duration::from_secs(3_600),
    Duration::from_secs(6 * 3_600),
    Duration::from_secs(24 * 3_600),
    Duration::from_secs(72 * 3_600),
];

fn call() -> Call {
    Call::within(PATIENCE)
}

/// Sends a message.
pub(crate) async fn send(app: Weak<App>, context: JobContext, job: SendText) -> JobResult {
    let Some(app) = app.upgrade() else { return Err(Failure::new("the server stops")) };
    let Some(tenant) = context.tenant else {
        return Err(Failure::new("a message of no organisation").retry(Retry::Never));
    };
    let sending = Sending { app: &app, texts: &app.texts, context: &context, tenant, id: job.text };
    sending.run().await
}

/// Asks the provider what became of a message.
pub(crate) async fn look(app: Weak<App>, context: JobContext, job: LookAtText) -> JobResult {
    let Some(app) = app.upgrade() else { return Err(Failure::new("the server stops")) };
    let Some(tenant) = context.tenant else {
        return Err(Failure::new("a message of no organisation").retry(Retry::Never));
    };
    let sending = Sending { app: &app, texts: &app.texts, context: &context, tenant, id: job.text };
    sending.look().await
}

struct Sending<'a> {
    app: &'a Arc<App>,
    texts: &'a Texts,
    context: &'a JobContext,
    tenant: TenantId,
    id: TextMessageId,
}

/// Why a message is not sent.
enum Not {
    /// There is no reason any more.
    Dropped(&'static str),
    /// Not now.
    Yet(Duration),
}

impl Sending<'_> {
    async fn run(&self) -> JobResult {
        let due = match self.texts.store.run(&call(), ReadText { tenant: self.tenant, id: self.id }).await {
            Ok(Some(due)) => due,
            // It has been kept long enough.
            Ok(None) => return Ok(Done::Finished),
            Err(error) => return Ok(self.later(&error)),
        };
        match due.text.state {
            TextState::Waiting => {}
            TextState::Sending => {
                // Whoever was sending it is gone.
                self.end(due.text.attempts, TextEnd::Unknown("It was interrupted.".to_owned()), false).await?;
                return Ok(Done::Snoozed(LATER));
            }
            TextState::Unknown => return self.find(&due).await,
            _ => return Ok(Done::Finished),
        }
        let (settings, around, to) = match self.judge(&due) {
            Ok(ready) => ready,
            Err(Not::Yet(wait)) => return Ok(Done::Snoozed(wait)),
            Err(Not::Dropped(why)) => return self.dropped(&due, why).await,
        };
        let known = WasSilenced { tenant: self.tenant, digest: self.app.keys.objection(self.tenant, &to.1) };
        match self.texts.store.run(&call(), known).await {
            Ok(false) => {}
            Ok(true) => return self.dropped(&due, "Whoever it goes to wants no text messages.").await,
            Err(error) => return Ok(self.later(&error)),
        }
        let Some((source, token)) = self.account(&settings).await? else {
            return self
                .dropped(&due, "The sender of the kind twilio that is named in the settings was removed.")
                .await;
        };
        if let Err(wait) = self.texts.twilio.api().ready() {
            return Ok(Done::Snoozed(self.spread(wait)));
        }
        let body = self.body(&due, &settings, &around);
        let begin = BeginText {
            tenant: self.tenant,
            id: self.id,
            seen_attempts: due.text.attempts,
            to: to.clone(),
            body: body.clone(),
            now: self.texts.clock.now(),
        };
        match self.texts.store.run(&call(), begin).await {
            Ok(true) => {}
            // Something has changed since it was read.
            Ok(false) => return Ok(Done::Snoozed(LATER)),
            Err(error) => return Ok(self.later(&error)),
        }
        let letter = Letter { to: &to.1, sender: &settings.sender, body: &body, callback: self.callback(&source) };
        let account = Account { id: &settings.account, token: &token };
        let sent = self.texts.twilio.send(&account, &letter).await;
        self.sent(&due, sent).await
    }

    /// Whether a message is to be sent now, with what, and to whom.
    fn judge(&self, due: &TextDue) -> Result<(TextSettings, TextAround, (mainstay_domain::ContactId, String)), Not> {
        let (text, now) = (&due.text, self.texts.clock.now());
        let settings = due.settings.clone().filter(|settings| settings.enabled);
        let settings = settings.ok_or(Not::Dropped("Text messages are switched off."))?;
        let around = due.around.clone().ok_or(Not::Dropped("What it is about is gone."))?;
        if text.reason == TextReason::Reminder {
            if !matches!(around.state, AppointmentState::Booked | AppointmentState::Confirmed) {
                return Err(Not::Dropped("The appointment does not take place."));
            }
            if around.begins_at != text.starts_at {
                return Err(Not::Dropped("The appointment is at another time."));
            }
        }
        if text.starts_at <= now {
            return Err(Not::Dropped("The appointment has begun."));
        }
        let to = due.to().ok_or(Not::Dropped("There is no number."))?;
        if around.stopped {
            return Err(Not::Dropped("Whoever it goes to wants no text messages."));
        }
        if around.waits {
            return Err(Not::Yet(NEXT));
        }
        let planned = now.since(text.due_at) < PLANNED;
        let at = if planned { now } else { text_due(now, text.starts_at, &around.zone, settings.quiet) };
        if at > now {
            return Err(Not::Yet(at.since(now)));
        }
        Ok((settings, around, to))
    }

    fn body(&self, due: &TextDue, settings: &TextSettings, around: &TextAround) -> String {
        let text = &due.text;
        let about = About {
            organisation: &around.organisation,
            service: &around.service,
            staff: &around.staff,
            zone: &around.zone,
            starts_at: text.starts_at,
            link: &self.texts.links.of(self.tenant, text.appointment),
        };
        wording::text(text.reason, &settings.wording, &about)
    }

    fn callback(&self, source: &InboxSource) -> Option<String> {
        // The provider refuses a message whose callback it cannot reach. It is asked what became of those.
        self.texts.reachable.then(|| self.app.inbox.url(&source.provider, &source.key))
    }

    async fn account(&self, settings: &TextSettings) -> Result<Option<(InboxSource, Secret)>, Failure> {
        Ok(self.texts.account(&call(), &self.app.keys, (self.tenant, settings.source)).await?)
    }

    /// Stores what came of sending.
    async fn sent(&self, due: &TextDue, sent: Result<Found, ApiFault>) -> JobResult {
        let attempts = due.text.attempts + 1;
        let (end, next) = match sent {
            Ok(found) => return self.accepted(due, attempts, found).await,
            Err(ApiFault::Refused(status @ (401 | 403 | 404), said)) => {
                // The account is not right, which is no fault of the message: it waits until somebody has seen to it.
                let failure =
                    Failure::new(format_args!("the provider refuses the account: status {status}")).because(said);
                self.texts.figures.attempt("again");
                (TextEnd::Again(failure.error.clone()), Err(failure))
            }
            Err(ApiFault::Refused(_, said)) => {
                let code = serde_json::from_str::<serde_json::Value>(&said).ok().and_then(|said| said["code"].as_i64());
                self.texts.figures.attempt("refused");
                let stopped = code == Some(STOPPED);
                (TextEnd::Over { state: TextState::Failed, code, error: said, stopped }, Ok(Done::Settled))
            }
            Err(ApiFault::Unknown(why)) => {
                self.texts.figures.attempt("unknown");
                (TextEnd::Unknown(why), Ok(Done::Snoozed(self.listed_after())))
            }
            Err(fault) => {
                self.texts.figures.attempt("again");
                let wait = match &fault {
                    ApiFault::LeftAlone(wait) | ApiFault::Busy(Some(wait)) => *wait,
                    _ => Duration::from_secs(1 << attempts.min(6)),
                };
                (TextEnd::Again(fault.to_string()), Ok(Done::Snoozed(self.spread(wait.min(self.texts.longest_wait)))))
            }
        };
        let over = matches!(next, Ok(Done::Settled));
        self.end(attempts, end, over).await?;
        next
    }

    async fn accepted(&self, due: &TextDue, attempts: u32, found: Found) -> JobResult {
        let now = self.texts.clock.now();
        let end = TextEnd::Accepted {
            provider_id: found.id,
            state: found.told.state.unwrap_or(TextState::Accepted).max(TextState::Accepted),
            segments: found.told.segments,
            look: (self.app.ids.make(), now.plus(LOOKS[0])),
        };
        self.end(attempts, end, true).await?;
        self.texts.figures.accepted(now.since(due.text.due_at));
        Ok(Done::Settled)
    }

    async fn dropped(&self, due: &TextDue, why: &str) -> JobResult {
        self.texts.figures.attempt("dropped");
        let end = TextEnd::Over { state: TextState::Dropped, code: None, error: why.to_owned(), stopped: false };
        self.end(due.text.attempts, end, true).await?;
        Ok(Done::Settled)
    }

    /// Stores what an attempt has ended with; of the job too, where that is over.
    async fn end(&self, attempts: u32, end: TextEnd, over: bool) -> Result<(), Failure> {
        let end = EndText {
            tenant: self.tenant,
            id: self.id,
            attempts,
            end,
            fence: over.then_some(self.context.fence),
            now: self.texts.clock.now(),
        };
        self.texts.store.run_for_jobs(&call(), end).await?;
        Ok(())
    }

    /// Finds out whether the provider has a message.
    async fn find(&self, due: &TextDue) -> JobResult {
        let (text, now) = (&due.text, self.texts.clock.now());
        let began = text.attempted_at.unwrap_or(text.created_at);
        let age = now.since(began);
        let (listed_after, not_taken_after) = (self.listed_after(), self.texts.not_taken_after);
        if age < listed_after {
            return Ok(Done::Snoozed(listed_after.saturating_sub(age)));
        }
        let Some(settings) = &due.settings else {
            return self.dropped(due, "Nobody says any more how text messages are sent.").await;
        };
        let Some((_, token)) = self.account(settings).await? else {
            return self.dropped(due, "The sender of the kind twilio that is named in the settings was removed.").await;
        };
        let account = Account { id: &settings.account, token: &token };
        let since = began.minus(CLOCKS);
        let listed = match self.texts.twilio.list(&account, &text.phone, since).await {
            Ok(listed) => listed,
            Err(ApiFault::Refused(status, said)) => {
                return Err(Failure::new(format_args!("the provider shows no list: status {status}")).because(said));
            }
            Err(fault) => return Ok(self.put_off(&fault)),
        };
        match self.ours(text.body.as_deref(), since, listed).await? {
            Some(found) => self.accepted(due, text.attempts, found).await,
            None if age < not_taken_after => Ok(Done::Snoozed(not_taken_after.saturating_sub(age))),
            None => {
                self.end(text.attempts, TextEnd::Again("The provider has not got it.".to_owned()), false).await?;
                Ok(Done::Snoozed(LATER))
            }
        }
    }

    /// Of the messages in the provider's list the one that says this and is not known as another.
    async fn ours(&self, body: Option<&str>, since: Timestamp, listed: Vec<Found>) -> Result<Option<Found>, Failure> {
        let ours = |found: &Found| {
            found.outbound && Some(found.body.as_str()) == body && found.created_at.is_none_or(|at| at >= since)
        };
        let mut alike: Vec<Found> = listed.into_iter().filter(ours).collect();
        if alike.is_empty() {
            return Ok(None);
        }
        let provider_ids = alike.iter().map(|found| found.id.clone()).collect();
        let known = self.texts.store.run(&call(), KnownTexts { tenant: self.tenant, provider_ids }).await?;
        alike.retain(|found| !known.contains(&found.id));
        Ok(alike.pop())
    }

    async fn look(&self) -> JobResult {
        let due = self.texts.store.run(&call(), ReadText { tenant: self.tenant, id: self.id }).await?;
        let Some((due, id)) = due.and_then(|due| due.text.provider_id.clone().map(|id| (due, id))) else {
            return Ok(Done::Finished);
        };
        let Some(settings) = &due.settings else { return Ok(Done::Finished) };
        let Some((_, token)) = self.account(settings).await? else { return Ok(Done::Finished) };
        let account = Account { id: &settings.account, token: &token };
        let found = match self.texts.twilio.fetch(&account, &id).await {
            Ok(found) => found,
            Err(ApiFault::Refused(404, _)) => return Ok(Done::Finished),
            Err(ApiFault::Refused(status, said)) => {
                return Err(Failure::new(format_args!("the provider does not show it: status {status}")).because(said));
            }
            Err(fault) => return Ok(self.put_off(&fault)),
        };
        let now = self.texts.clock.now();
        let settled = found.told.state.is_some_and(TextState::is_final) && found.told.price.is_some();
        let hear = HearText { tenant: self.tenant, provider_id: id, told: found.told, phone: None, fence: None, now };
        self.texts.store.run_for_jobs(&call(), hear).await?;
        let age = now.since(due.text.attempted_at.unwrap_or(due.text.created_at));
        match LOOKS.iter().find(|look| **look > age) {
            Some(next) if !settled => Ok(Done::Snoozed(*next - age)),
            _ => Ok(Done::Finished),
        }
    }

    /// How long after an attempt of which nobody knows what came of it the provider's list is looked at first.
    fn listed_after(&self) -> Duration {
        self.texts.not_taken_after / 6
    }

    /// A wait with some chance in it, so that what waits together does not come back together.
    fn spread(&self, wait: Duration) -> Duration {
        wait.mul_f64(1.0 + 0.2 * self.texts.entropy.fraction())
    }

    fn put_off(&self, fault: &ApiFault) -> Done {
        let wait = match fault {
            ApiFault::LeftAlone(wait) | ApiFault::Busy(Some(wait)) => (*wait).min(self.texts.longest_wait),
            _ => self.listed_after(),
        };
        Done::Snoozed(self.spread(wait))
    }

    /// What fails on our side is no attempt.
    fn later(&self, error: &impl Display) -> Done {
        tracing::warn!(%error, text = %self.id, "a text message is put off");
        Done::Snoozed(self.spread(LATER))
    }
}
