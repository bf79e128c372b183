//! A run of an account: it takes what it may send now and sends it, for a while; then it says when to come again.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError, Weak};
use std::time::Duration;

use futures_util::future::join_all;
use mainstay_domain::outreach::SendingWindow;
use mainstay_domain::{AccountState, EmailId, Timestamp, Zone};
use mainstay_jobs::{Done, Failure, JobContext, JobResult, Retry};
use mainstay_mail::smtp::Session;
use mainstay_store::{
    AccountRun, BeginRun, BringForward, Call, ClaimEmails, ClaimedEmail, EmailClaim, GetAccount, LaneDue, ReadDue,
    RestAccount, RunCampaign, RunOf, SendingLane, SetAccountState,
};
use tokio::time::Instant;

use super::figures::Step;
use super::line::NoLine;
use super::sending::{Halt, Sender};
use super::{Outreach, WakeAccount, WorkAccount};
use crate::app::App;

/// How long one step on the database may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long an account waits when something of ours does not work.
const LATER: Duration = Duration::from_secs(2);
/// The longest that an account is not looked at while it has something to send.
const LOOK_AGAIN: Duration = Duration::from_secs(60);
/// The most lanes of one claim.
const MOST_LANES: usize = 100;
/// How many emails a claim takes for each connection.
const EACH: usize = 8;
/// How often in a row a claim may find that all that is due has to wait for its domain.
const MOST_PUT_OFF: u32 = 20;

/// Works on an account.
pub(crate) async fn run(app: Weak<App>, context: JobContext, job: WorkAccount) -> JobResult {
    let Some(app) = app.upgrade() else { return Err(Failure::new("the server stops")) };
    let Some(tenant) = context.tenant else {
        return Err(Failure::new("an account of no organisation").retry(Retry::Never));
    };
    let outreach = &app.outreach;
    let begin = BeginRun { tenant, account: job.account, now: outreach.clock.now() };
    let begun = match outreach.store.run_for_jobs(&Call::within(PATIENCE), begin).await {
        Ok(Some(begun)) => begun,
        Ok(None) => return Ok(Done::Finished),
        Err(error) => {
            tracing::warn!(%error, account = %job.account, "an account cannot be worked on");
            return Ok(Done::Snoozed(LATER));
        }
    };
    outreach.figures.left(begun.left);
    let of = RunOf { tenant, account: job.account, run: begun.account.run };
    Run { outreach, context: &context, begun: &begun, of }.work().await
}

/// Brings the job of an account forward.
pub(crate) async fn wake(app: Weak<App>, context: JobContext, job: WakeAccount) -> JobResult {
    let Some(app) = app.upgrade() else { return Err(Failure::new("the server stops")) };
    let Some(tenant) = context.tenant else {
        return Err(Failure::new("an account of no organisation").retry(Retry::Never));
    };
    let forward = BringForward { tenant, account: job.account, now: app.clock.now() };
    app.store.run_for_jobs(&Call::within(PATIENCE), forward).await?;
    Ok(Done::Finished)
}

/// A run under way.
struct Run<'a> {
    outreach: &'a Outreach,
    context: &'a JobContext,
    begun: &'a AccountRun,
    of: RunOf,
}

/// Why a run ends.
enum Ended {
    /// Nothing is due in the lanes that are open.
    Nothing,
    /// Others have their turn.
    Turn,
    /// Not before this moment.
    Until(Timestamp),
    /// Something has halted it.
    Halted(Halt),
}

impl Run<'_> {
    fn now(&self) -> Timestamp {
        self.outreach.clock.now()
    }

    async fn work(&self) -> JobResult {
        if self.begun.account.state != AccountState::Active || self.begun.campaigns.is_empty() {
            return self.rest().await;
        }
        let signer = match self.outreach.signer(self.of.tenant, &self.begun.account) {
            Ok(signer) => signer,
            Err(NoLine::Away(_)) => return self.waits(LOOK_AGAIN),
            Err(NoLine::Account(why)) => return self.pause(why).await,
        };
        let sender = Sender { outreach: self.outreach, tenant: self.of.tenant, run: self.begun, of: self.of, signer };
        match self.send(&sender).await {
            Ok(Ended::Nothing) => self.come_again().await,
            Ok(Ended::Turn) => Ok(Done::Snoozed(Duration::ZERO)),
            Ok(Ended::Until(moment)) => Ok(Done::Snoozed(self.until(moment))),
            Ok(Ended::Halted(Halt::Later(wait, _))) => self.waits(wait),
            Ok(Ended::Halted(Halt::Account(why))) => self.pause(why).await,
            // Another run has begun: the job is not ours any more, and what we say of it has no effect.
            Err(mainstay_store::Error::Fenced) => Ok(Done::Snoozed(LATER)),
            Err(error) => self.later(&error),
        }
    }

    /// Why is not for the log: servers say in it whom they do not know, and people name the servers.
    fn waits(&self, wait: Duration) -> JobResult {
        tracing::warn!(account = %self.of.account, "an account waits for its server");
        Ok(Done::Snoozed(wait))
    }

    fn later(&self, error: &mainstay_store::Error) -> JobResult {
        tracing::warn!(%error, account = %self.of.account, "an account waits");
        Ok(Done::Snoozed(LATER))
    }

    fn until(&self, moment: Timestamp) -> Duration {
        moment.since(self.now()).min(LOOK_AGAIN)
    }

    /// The lanes whose windows are open, those of each campaign by turns so that none is always first.
    fn open_lanes(&self) -> Vec<SendingLane> {
        let now = self.now();
        let mut lanes = Vec::new();
        for campaign in &self.begun.campaigns {
            if campaign.campaign.settings.starts_at.is_some_and(|at| at > now) {
                continue;
            }
            let first = campaign.steps.first().map(|step| step.variants.clone()).unwrap_or_default();
            let open = campaign.zones.iter().filter(|zone| is_open(campaign, zone, now));
            lanes.extend(open.map(|zone| SendingLane {
                campaign: campaign.campaign.id,
                zone: zone.clone(),
                first: first.clone(),
            }));
        }
        if !lanes.is_empty() {
            let turn = usize::try_from(self.of.run.unsigned_abs()).unwrap_or(0) % lanes.len();
            lanes.rotate_left(turn);
        }
        lanes.truncate(MOST_LANES);
        lanes
    }

    /// Takes and sends, for as long as a run lasts.
    async fn send(&self, sender: &Sender<'_>) -> Result<Ended, mainstay_store::Error> {
        let ends = Instant::now() + self.outreach.settings.run();
        let settings = &self.begun.account.settings;
        let connections = usize::try_from(settings.connections.clamp(1, 20)).unwrap_or(1);
        let most = if settings.gap.is_zero() { connections * EACH } else { 1 };
        let mut lines: Vec<Option<Session>> = (0..connections).map(|_| None).collect();
        let (mut put_off, mut claims) = (0, 0_usize);
        let ended = loop {
            let mut lanes = self.open_lanes();
            if lanes.is_empty() {
                break Ended::Nothing;
            }
            let turn = claims % lanes.len();
            lanes.rotate_left(turn);
            claims += 1;
            let began = Instant::now();
            let claimed = match self.claim(lanes, most).await? {
                EmailClaim::Claimed(claimed) if claimed.is_empty() => break Ended::Nothing,
                EmailClaim::Claimed(claimed) => claimed,
                EmailClaim::Wait(until) => break Ended::Until(until),
                EmailClaim::PutOff if put_off < MOST_PUT_OFF => {
                    put_off += 1;
                    continue;
                }
                EmailClaim::PutOff => break Ended::Turn,
                EmailClaim::Resting(_) => break Ended::Nothing,
            };
            put_off = 0;
            self.outreach.figures.step(Step::Claim, began.elapsed());
            if let Some(halt) = self.send_all(sender, &mut lines, claimed).await {
                break Ended::Halted(halt);
            }
            if Instant::now() >= ends || self.context.cancelled.is_cancelled() {
                break Ended::Turn;
            }
        };
        for line in lines.into_iter().flatten().filter(|line| !line.is_spent()) {
            line.quit().await;
        }
        Ok(ended)
    }

    async fn claim(&self, lanes: Vec<SendingLane>, most: usize) -> Result<EmailClaim, mainstay_store::Error> {
        let now = self.now();
        let gap = self.begun.account.settings.gap;
        // Between three quarters of the gap more and none less: nobody sends to the second.
        let next_at = (!gap.is_zero()).then(|| now.plus(gap.mul_f64(1.0 + 0.75 * self.outreach.entropy.fraction())));
        let ids: Vec<EmailId> = (0..most).map(|_| self.outreach.ids.make()).collect();
        let claim = ClaimEmails { run: self.of, lanes, ids, next_at, now };
        self.outreach.store.run_for_jobs(&Call::within(PATIENCE), claim).await
    }

    /// Sends what was claimed, over as many lines as the account may have. What is left when something halts it is put back.
    async fn send_all(
        &self,
        sender: &Sender<'_>,
        lines: &mut [Option<Session>],
        claimed: Vec<ClaimedEmail>,
    ) -> Option<Halt> {
        let waiting = Mutex::new(VecDeque::from(claimed));
        let halted: Mutex<Option<Halt>> = Mutex::new(None);
        let next = || {
            let is_halted = halted.lock().unwrap_or_else(PoisonError::into_inner).is_some();
            let stops = is_halted || self.context.cancelled.is_cancelled();
            (!stops).then(|| waiting.lock().unwrap_or_else(PoisonError::into_inner).pop_front()).flatten()
        };
        join_all(lines.iter_mut().map(|line| async {
            while let Some(email) = next() {
                if let Err(halt) = sender.send(line, &email).await {
                    halted.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(halt);
                }
            }
        }))
        .await;
        let halted = halted.into_inner().unwrap_or_else(PoisonError::into_inner);
        let left = waiting.into_inner().unwrap_or_else(PoisonError::into_inner);
        let why = match &halted {
            Some(Halt::Later(_, why) | Halt::Account(why)) => why.clone(),
            None => "The server that was to send it stopped.".to_owned(),
        };
        join_all(left.iter().map(|email| sender.release(email, &why))).await;
        halted
    }

    /// Somebody has to see to the account. What it owes waits.
    async fn pause(&self, why: String) -> JobResult {
        // Whoever has changed it while this run knew it as it was has seen to it.
        let get = GetAccount { tenant: self.of.tenant, id: self.of.account };
        match self.outreach.store.run_for_jobs(&Call::within(PATIENCE), get).await {
            Ok(Some(now)) if now.settings == self.begun.account.settings => {}
            Ok(_) => return Ok(Done::Snoozed(Duration::ZERO)),
            Err(error) => return self.later(&error),
        }
        tracing::warn!(account = %self.of.account, "an account cannot send; it is kept with it why");
        let pause = SetAccountState {
            tenant: self.of.tenant,
            id: self.of.account,
            state: AccountState::Reconnect,
            reason: Some(why),
            now: self.now(),
        };
        match self.outreach.store.run_for_jobs(&Call::within(PATIENCE), pause).await {
            Ok(_) => self.rest().await,
            Err(error) => self.later(&error),
        }
    }

    /// Nothing is due now: when is something?
    async fn come_again(&self) -> JobResult {
        let lanes = self
            .begun
            .campaigns
            .iter()
            .flat_map(|campaign| campaign.zones.iter().map(|zone| (campaign.campaign.id, zone.clone())));
        let due = ReadDue { run: self.of, lanes: lanes.collect() };
        let due = match self.outreach.store.run_for_jobs(&Call::within(PATIENCE), due).await {
            Ok(due) => due,
            Err(error) => return self.later(&error),
        };
        match due.iter().filter_map(|lane| self.opens(lane)).min() {
            Some(moment) => Ok(Done::Snoozed(self.until(moment))),
            None => self.rest().await,
        }
    }

    /// When something of a lane is to be sent; nothing when there is nothing in it.
    fn opens(&self, lane: &LaneDue) -> Option<Timestamp> {
        let campaign = self.begun.campaigns.iter().find(|one| one.campaign.id == lane.campaign)?;
        let has_texts = campaign.steps.first().is_some_and(|step| !step.variants.is_empty());
        let now = self.now();
        let fresh = (lane.fresh && has_texts).then_some(now);
        let first = [lane.due_at, fresh].into_iter().flatten().min()?.max(now);
        let first = campaign.campaign.settings.starts_at.map_or(first, |starts| first.max(starts));
        Some(window_of(campaign).next_open(first, &zone_of(&lane.zone)?))
    }

    /// There is nothing to do until somebody says so: the job ends, unless somebody just did.
    async fn rest(&self) -> JobResult {
        let rest = RestAccount {
            tenant: self.of.tenant,
            account: self.of.account,
            seen: self.begun.account.wakes,
            fence: self.context.fence,
            now: self.now(),
        };
        match self.outreach.store.run_for_jobs(&Call::within(PATIENCE), rest).await {
            Ok(true) => Ok(Done::Settled),
            Ok(false) => Ok(Done::Snoozed(Duration::ZERO)),
            Err(mainstay_store::Error::Fenced) => Ok(Done::Settled),
            Err(error) => self.later(&error),
        }
    }
}

/// When a campaign may send.
fn window_of(campaign: &RunCampaign) -> SendingWindow {
    campaign.campaign.settings.window.parse().unwrap_or(SendingWindow::ALWAYS)
}

/// Whether a campaign may write at a moment to whoever lives in a zone.
pub(super) fn is_open(campaign: &RunCampaign, zone: &str, now: Timestamp) -> bool {
    zone_of(zone).is_some_and(|zone| window_of(campaign).is_open(now, &zone))
}

fn zone_of(name: &str) -> Option<Zone> {
    Zone::parse(name).ok()
}
