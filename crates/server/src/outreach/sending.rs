//! One email on its way out.
//!
//! Up to the fence it is certain that no server has it, and whatever goes wrong puts it back. After the fence only the
//! server's own word makes it certain again.

use std::time::Duration;

use mainstay_domain::outreach::{Delay, SendingWindow, delayed};
use mainstay_domain::{EmailId, StopReason, TenantId, Timestamp, Zone};
use mainstay_mail::dkim::Signer;
use mainstay_mail::smtp::{About, Cause, Outcome, Refused, Reply, Session, Stage, Verdict, verdict};
use mainstay_store::{
    AccountRun, Call, ClaimedEmail, EmailEnd, EndEmail, FenceEmail, NextEmail, RunCampaign, RunOf, ServerSaid, choose,
    message_id,
};
use tokio::time::Instant;

use super::Outreach;
use super::compose::{MOST_SAID, beginning};
use super::figures::Step;
use super::gmail::GMAIL;
use super::line::NoLine;
use super::run::is_open;

/// How long one step on the database may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often storing what came of an email is tried: what cannot be stored is unknown.
const TRIES: u32 = 6;
/// Why an email is put back whose window has closed.
const TOO_LATE: &str = "The window of whoever gets it has closed.";
/// How long an account waits that was told to send less.
const SLOWER: Duration = Duration::from_secs(60);

/// Why an account sends no more for now.
#[derive(Clone, Debug)]
pub(super) enum Halt {
    /// Not before some time: its server cannot be reached, or wants less.
    Later(Duration, String),
    /// Not before somebody has seen to it.
    Account(String),
}

/// What a run sends with.
pub(super) struct Sender<'a> {
    pub(super) outreach: &'a Outreach,
    pub(super) tenant: TenantId,
    pub(super) run: &'a AccountRun,
    pub(super) of: RunOf,
    pub(super) signer: Option<Signer>,
}

impl Sender<'_> {
    pub(super) fn now(&self) -> Timestamp {
        self.outreach.clock.now()
    }

    /// Whether the window of whoever an email goes to has closed since it was claimed: those before it may have taken long.
    fn is_too_late(&self, email: &ClaimedEmail) -> bool {
        let campaign = self.run.campaigns.iter().find(|one| one.campaign.id == email.campaign);
        campaign.is_some_and(|campaign| !is_open(campaign, &email.zone, self.now()))
    }

    /// Sends an email over a line, which is opened where there is none.
    pub(super) async fn send(&self, line: &mut Option<Session>, email: &ClaimedEmail) -> Result<(), Halt> {
        if self.is_too_late(email) {
            self.release(email, TOO_LATE).await;
            return Ok(());
        }
        let began = Instant::now();
        let account = (&self.run.account, self.signer.as_ref());
        let written = match self.run.campaigns.iter().find(|one| one.campaign.id == email.campaign) {
            Some(of) => {
                let of = (email, &of.campaign.settings);
                self.outreach.compose(&Call::within(PATIENCE), self.tenant, account, of).await
            }
            None => Err("The campaign is not sent by this account any more.".to_owned()),
        };
        let ready = match written {
            Ok(ready) => ready,
            Err(why) => {
                let said = in_words(&why);
                self.end(email, false, EmailEnd::Rejected { said, stop: StopReason::Stopped }).await;
                return Ok(());
            }
        };
        self.took(Step::Compose, began);
        if self.run.account.settings.kind == GMAIL {
            return self.send_by_gmail(email, &ready).await;
        }
        let used = line.as_ref().is_some_and(|session| !session.is_spent());
        let session = self.line(line, email).await?;
        let began = Instant::now();
        let offered = session.offer(Some(&ready.sender), &ready.recipient, ready.message.len()).await;
        let offered = match offered {
            Ok(offered) => offered,
            // The server may have ended it since the email before: that says nothing of this one, which has a new line next.
            Err(refused) if used && matches!(refused.cause, Cause::Cut) => {
                self.release(email, &refused.cause.to_string()).await;
                return Ok(());
            }
            Err(refused) => return self.refused(email, false, &refused).await,
        };
        self.took(Step::Offer, began);
        if !self.fence(email).await? {
            return Ok(());
        }
        let began = Instant::now();
        let outcome = offered.deliver(&ready.message).await;
        self.took(Step::Deliver, began);
        self.delivered(email, outcome).await
    }

    /// Says that an email is about to go out. False when it may not.
    pub(super) async fn fence(&self, email: &ClaimedEmail) -> Result<bool, Halt> {
        // What went before may have taken long: a window closes meanwhile.
        if self.is_too_late(email) {
            self.release(email, TOO_LATE).await;
            return Ok(false);
        }
        let began = Instant::now();
        let fence = FenceEmail { run: self.of, id: email.id, attempts: email.attempts, now: self.now() };
        let may = self.outreach.store.fence_email(&Call::within(PATIENCE), fence).await.map_err(|error| {
            // It may be on the disk or not: it does not go out, and the next run sees what it was.
            tracing::warn!(%error, email = %email.id, "an email is not sent: that it goes out could not be stored");
            Halt::Later(Duration::from_secs(1), "The database did not answer.".to_owned())
        })?;
        if may {
            self.took(Step::Fence, began);
        } else {
            self.outreach.figures.email("stopped");
        }
        Ok(may)
    }

    pub(super) fn took(&self, step: Step, since: Instant) {
        self.outreach.figures.step(step, since.elapsed());
    }

    /// The line, opened where there is none that is good.
    async fn line<'l>(&self, line: &'l mut Option<Session>, email: &ClaimedEmail) -> Result<&'l mut Session, Halt> {
        if let Some(session) = line.take().filter(|session| !session.is_spent()) {
            return Ok(line.insert(session));
        }
        let began = Instant::now();
        match self.outreach.open(self.tenant, &self.run.account).await {
            Ok(session) => {
                self.took(Step::Open, began);
                Ok(line.insert(session))
            }
            Err(no) => Err(self.no_line(email, no).await),
        }
    }

    /// Puts an email back that found no line.
    pub(super) async fn no_line(&self, email: &ClaimedEmail, no: NoLine) -> Halt {
        let (halt, why) = match no {
            NoLine::Away(why) => (Halt::Later(self.spread(Duration::from_secs(60)), why.clone()), why),
            NoLine::Account(why) => (Halt::Account(why.clone()), why),
        };
        self.release(email, &why).await;
        halt
    }

    /// Puts an email back that was offered to nobody.
    pub(super) async fn release(&self, email: &ClaimedEmail, why: &str) {
        let (until, why) = (self.now(), beginning(why, MOST_SAID));
        self.end(email, false, EmailEnd::Released { until, why }).await;
    }

    /// A server has said no, and it is certain that it has not taken the email.
    async fn refused(&self, email: &ClaimedEmail, fenced: bool, refused: &Refused) -> Result<(), Halt> {
        let (verdict, said) = (verdict(refused), said_of(refused));
        let Cause::Answer(_) = refused.cause else {
            // The server takes no message of this size: the email is not put back first, for it is not to be claimed again.
            if verdict.about == About::Message {
                return self.rejected(email, fenced, said, StopReason::Stopped).await;
            }
            if verdict.later {
                return self.cut(email, fenced, said).await;
            }
            return self.account_is_wrong(email, fenced, said).await;
        };
        match verdict {
            Verdict { about: About::Account, later: false } => self.account_is_wrong(email, fenced, said).await,
            // Of one email that is refused for the moment nothing follows for the others, but of a line that is.
            Verdict { about: About::Rate, .. } if of_the_line(refused) => {
                self.deferred(email, fenced, said.clone()).await;
                Err(Halt::Later(self.spread(SLOWER), said.text))
            }
            Verdict { later: true, .. } | Verdict { about: About::Rate, .. } => {
                self.deferred(email, fenced, said).await;
                Ok(())
            }
            Verdict { about: About::Recipient, .. } => self.rejected(email, fenced, said, StopReason::Bounced).await,
            Verdict { .. } => self.rejected(email, fenced, said, StopReason::Stopped).await,
        }
    }

    /// The line is gone in the middle of an email, which may be why: it is offered again as after a refusal, later each time
    /// and not for ever. The others wait a moment, for it may be the server.
    async fn cut(&self, email: &ClaimedEmail, fenced: bool, said: ServerSaid) -> Result<(), Halt> {
        self.deferred(email, fenced, said.clone()).await;
        Err(Halt::Later(self.spread(Duration::from_secs(5)), said.text))
    }

    /// The account's settings are not right. The email is put back, and nothing goes out before somebody has seen to it.
    pub(super) async fn account_is_wrong(
        &self,
        email: &ClaimedEmail,
        fenced: bool,
        said: ServerSaid,
    ) -> Result<(), Halt> {
        let until = self.now();
        self.end(email, fenced, EmailEnd::Released { until, why: said.text.clone() }).await;
        Err(Halt::Account(said.text))
    }

    pub(super) async fn rejected(
        &self,
        email: &ClaimedEmail,
        fenced: bool,
        said: ServerSaid,
        stop: StopReason,
    ) -> Result<(), Halt> {
        self.outreach.figures.stopped(stop.as_str());
        self.end(email, fenced, EmailEnd::Rejected { said, stop }).await;
        Ok(())
    }

    /// Is offered again later; or not, when that was often enough.
    pub(super) async fn deferred(&self, email: &ClaimedEmail, fenced: bool, mut said: ServerSaid) {
        let settings = &self.outreach.settings;
        let attempts = email.attempts + 1;
        let end = if attempts >= settings.most_attempts {
            said.text = beginning(&format!("Given up after {attempts} attempts: {}", said.text), MOST_SAID);
            EmailEnd::Rejected { said, stop: StopReason::Stopped }
        } else {
            let until = self.now().plus(self.spread(settings.wait_after(attempts)));
            EmailEnd::Deferred { said, until }
        };
        self.end(email, fenced, end).await;
    }

    /// What came of handing it over.
    async fn delivered(&self, email: &ClaimedEmail, outcome: Outcome) -> Result<(), Halt> {
        match outcome {
            Outcome::Accepted(reply) => {
                let next = self.next(email);
                self.outreach.figures.accepted(self.now().since(email.due_at));
                self.end(email, true, EmailEnd::Accepted { said: said_in(&reply), provider: None, next }).await;
                Ok(())
            }
            Outcome::Refused(refused) => self.refused(email, true, &refused).await,
            // Without the final dot no server that keeps to the protocol has it.
            Outcome::Unknown { why, whole: false } => self.cut(email, true, in_words(&why.to_string())).await,
            Outcome::Unknown { why, whole: true } => {
                self.end(email, true, EmailEnd::Unknown(beginning(&why.to_string(), MOST_SAID))).await;
                Ok(())
            }
        }
    }

    /// The campaign of an email.
    fn campaign(&self, email: &ClaimedEmail) -> Option<&RunCampaign> {
        self.run.campaigns.iter().find(|one| one.campaign.id == email.campaign)
    }

    /// What comes after an email.
    pub(super) fn next(&self, email: &ClaimedEmail) -> Option<NextEmail> {
        let place = (email.step, email.lead, email.zone.as_str());
        let id = self.outreach.ids.make();
        next_email(self.campaign(email)?, place, (id, &self.run.account.address), self.now())
    }

    /// Stores what came of an email. It is tried for as long as it may help: what is not stored is unknown to the next run.
    pub(super) async fn end(&self, email: &ClaimedEmail, fenced: bool, end: EmailEnd) {
        let outcome = match &end {
            EmailEnd::Accepted { .. } => None,
            EmailEnd::Deferred { .. } => Some("deferred"),
            EmailEnd::Released { .. } => Some("released"),
            EmailEnd::Rejected { .. } => Some("rejected"),
            EmailEnd::Unknown(_) => Some("unknown"),
        };
        if let Some(outcome) = outcome {
            self.outreach.figures.email(outcome);
        }
        let began = Instant::now();
        let end = EndEmail { run: self.of, id: email.id, attempts: email.attempts, fenced, end, now: self.now() };
        for attempt in 1..=TRIES {
            match self.outreach.store.end_email(&Call::within(PATIENCE), end.clone()).await {
                Ok(_) => break,
                Err(error) if attempt == TRIES => {
                    tracing::error!(%error, email = %email.id, "what came of an email could not be stored");
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(100 << attempt)).await,
            }
        }
        self.took(Step::End, began);
    }

    /// A wait with some chance in it, so that what waits together does not come back together.
    pub(super) fn spread(&self, wait: Duration) -> Duration {
        wait.mul_f64(0.8 + 0.4 * self.outreach.entropy.fraction())
    }
}

/// The email that comes after a step for a lead; nothing after the last.
pub(super) fn next_email(
    campaign: &RunCampaign,
    (step, lead, zone): (u32, mainstay_domain::LeadId, &str),
    (id, address): (EmailId, &str),
    now: Timestamp,
) -> Option<NextEmail> {
    let next = campaign.steps.iter().find(|one| one.step == step + 1)?;
    let variant = choose(&next.variants, campaign.campaign.id, next.step, lead)?;
    let zone = Zone::parse(zone).or_else(|_| Zone::parse("UTC")).ok()?;
    let window: SendingWindow = campaign.campaign.settings.window.parse().unwrap_or(SendingWindow::ALWAYS);
    let small = |number: u32| u16::try_from(number).unwrap_or(u16::MAX);
    let delay = match (next.delay_days, next.delay_hours) {
        (0, hours) => Delay::Hours(small(hours).min(Delay::MOST_HOURS)),
        (days, _) => Delay::Days(small(days).min(Delay::MOST_DAYS)),
    };
    Some(NextEmail {
        id,
        step: next.step,
        variant,
        message_id: message_id(id, address),
        due_at: delayed(now, delay, &zone, window),
    })
}

/// What a server has said.
pub(super) fn said_in(reply: &Reply) -> ServerSaid {
    ServerSaid {
        code: Some(reply.code),
        enhanced: reply.enhanced.map(|enhanced| enhanced.to_string()),
        text: beginning(&reply.text, MOST_SAID),
    }
}

/// Whether a refusal concerns whatever is sent over the line: it came before a recipient was named, or ends the line.
fn of_the_line(refused: &Refused) -> bool {
    let ends = matches!(&refused.cause, Cause::Answer(reply) if reply.code == 421 || reply.code >= 500);
    ends || refused.stage <= Stage::Sender
}

/// What no server has said.
pub(super) fn in_words(text: &str) -> ServerSaid {
    ServerSaid { code: None, enhanced: None, text: beginning(text, MOST_SAID) }
}

/// What a refusal says.
pub(super) fn said_of(refused: &Refused) -> ServerSaid {
    match &refused.cause {
        Cause::Answer(reply) => said_in(reply),
        cause => in_words(&cause.to_string()),
    }
}
