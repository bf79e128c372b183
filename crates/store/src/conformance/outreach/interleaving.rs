//! Whoever stops while their email is on its way gets nothing more, wherever it is: a stop is put before and after each step,
//! and, where transactions run at the same time, between each two statements of each transaction.
//!
//! What holds: when the stop has committed before the fence has, the email does not go out; when the fence was first, this
//! one may, and nothing after it.

pub(in super::super) mod held;

use std::fmt::Debug;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::future::join_all;
use mainstay_domain::{CampaignState, EmailId, EmailState, LeadId, LeadState, SendingAccountId, StopReason};
use sqlx::{Connection as _, PgConnection};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::super::gate::{Held, PATIENCE};
use super::super::{Harness, spawn};
use super::{Agency, DAY, Made, accepted, said, sender};
use crate::{
    AccountRun, ClaimedEmail, ClearCampaign, EmailClaim, EmailEnd, EmailsOf, EndEmail, FenceEmail, Intent, ListEmails,
    NextEmail, SetCampaignState, StopBy, StopLead, Suppress,
};

/// What stops somebody, or everybody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// By the link of an earlier email.
    Unsubscribed,
    /// An earlier email was answered.
    Replied,
    /// An earlier email was called junk.
    Complained,
    /// An earlier email came back.
    Bounced,
    /// The server refuses another email to the same address, which is being sent at the same time.
    Refused,
    /// Their address is put on the list.
    Suppressed,
    /// Their domain is.
    DomainSuppressed,
    /// Somebody stops the lead.
    Stopped,
    /// The campaign is paused.
    Paused,
    /// The campaign is stopped.
    Ended,
}

const KINDS: [Kind; 10] = [
    Kind::Unsubscribed,
    Kind::Replied,
    Kind::Complained,
    Kind::Bounced,
    Kind::Refused,
    Kind::Suppressed,
    Kind::DomainSuppressed,
    Kind::Stopped,
    Kind::Paused,
    Kind::Ended,
];

/// Which email is on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// The first, which the claim makes.
    First,
    /// The second, which is there and due.
    Second,
}

/// Each of the emails with each of the stops that there are for it: of a first email none was answered before.
fn pairs() -> impl Iterator<Item = (Step, Kind)> {
    let pairs = [Step::First, Step::Second].into_iter().flat_map(|step| KINDS.map(|kind| (step, kind)));
    pairs.filter(|pair| *pair != (Step::First, Kind::Replied))
}

/// Somebody whom an email is on its way to.
struct Scene<'a> {
    agency: &'a Agency<'a>,
    kind: Kind,
    step: Step,
    made: Made,
    lead: LeadId,
    address: String,
    run: AccountRun,
    /// An email to them that was sent before: of the same campaign, or of another.
    earlier: Option<EmailId>,
    /// An email of another campaign to them that is in flight, and the run that sends it, where the stop comes by that.
    elsewhere: Option<(AccountRun, ClaimedEmail)>,
}

/// Where scenes play: accounts and campaigns, of which each uses some leads.
#[derive(Clone)]
struct Stage {
    ours: SendingAccountId,
    other: SendingAccountId,
    made: Made,
    besides: Made,
}

impl Stage {
    async fn new(agency: &Agency<'_>) -> Self {
        let number = agency.h.ids.make::<EmailId>();
        let ours = agency.account(&format!("a.{number}@example.com"), sender(1_000)).await;
        let other = agency.account(&format!("b.{number}@example.com"), sender(1_000)).await;
        let (made, besides) = (agency.campaign("Spring", &[ours]).await, agency.campaign("Other", &[other]).await);
        agency.launch(made.id).await;
        agency.launch(besides.id).await;
        Self { ours, other, made, besides }
    }
}

type Task<T> = Pin<Box<dyn Future<Output = T> + Send>>;

impl<'a> Scene<'a> {
    /// On a stage that others have used, where nothing that this stop leaves behind is in their way.
    async fn on(agency: &'a Agency<'a>, stage: &Stage, step: Step, kind: Kind) -> Self {
        match kind {
            // A campaign that was stopped stays so, and an account rests when too much comes back.
            Kind::Ended | Kind::Bounced | Kind::Refused => Self::alone(agency, step, kind).await,
            _ => Self::new(agency, stage, step, kind).await,
        }
    }

    async fn alone(agency: &'a Agency<'a>, step: Step, kind: Kind) -> Self {
        Self::new(agency, &Stage::new(agency).await, step, kind).await
    }

    async fn new(agency: &'a Agency<'a>, stage: &Stage, step: Step, kind: Kind) -> Self {
        let number = agency.h.ids.make::<EmailId>().uuid().as_u128();
        let address = format!("p{number}@d{number}.test");
        let made = stage.made.clone();
        let lead = agency.add(made.id, &[&address]).await[0];
        let mut earlier = None;
        let by_email = matches!(kind, Kind::Unsubscribed | Kind::Complained | Kind::Bounced);
        let mut elsewhere = None;
        if kind == Kind::Refused || (by_email && step == Step::First) {
            agency.add(stage.besides.id, &[&address]).await;
            let run = agency.begin(stage.other).await;
            let email = agency.claim(&run, 1).await.remove(0);
            assert!(agency.fence(&run, &email).await);
            earlier = Some(email.id);
            elsewhere = Some((run, email));
        }
        if step == Step::Second {
            let run = agency.begin(stage.ours).await;
            let email = agency.claim(&run, 1).await.remove(0);
            assert!(agency.fence(&run, &email).await);
            assert!(agency.end(&run, &email, true, accepted(agency.next(&made, &email))).await);
            earlier = Some(email.id);
            agency.h.clock.advance(2 * DAY);
        }
        let run = agency.begin(stage.ours).await;
        Self { agency, kind, step, made, lead, address, run, earlier, elsewhere }
    }

    /// Nothing of it is in the way of another scene.
    async fn over(&self) {
        assert!(self.agency.stop(StopBy::Lead(self.lead), StopReason::Stopped).await);
    }

    /// An intent on its own.
    fn task<I: Intent + Send + Sync + 'static>(&self, intent: I, right: I::Output) -> Task<()>
    where
        I::Output: PartialEq + Debug + Send,
    {
        let (store, call) = (self.agency.h.store.clone(), self.agency.h.call());
        Box::pin(async move {
            assert_eq!(Box::pin(store.run_for_jobs(&call, intent)).await.expect("done"), right);
        })
    }

    fn by_email(&self) -> StopBy {
        StopBy::Email(self.earlier.expect("there was one before"))
    }

    /// The stop.
    fn stop(&self) -> Task<()> {
        let (tenant, now) = (self.agency.tenant, self.agency.h.now());
        let by = |by, reason| self.task(StopLead { tenant, by, reason, now }, true);
        let suppress = |subject: String| self.task(Suppress { tenant, subjects: [subject].into(), now }, 1);
        let become_ = |state| {
            let set = SetCampaignState { tenant, id: self.made.id, seen: CampaignState::Running, state, now };
            self.task(set, true)
        };
        match self.kind {
            Kind::Unsubscribed => by(self.by_email(), StopReason::Unsubscribed),
            Kind::Replied => by(self.by_email(), StopReason::Replied),
            Kind::Complained => by(self.by_email(), StopReason::Complained),
            Kind::Bounced => by(self.by_email(), StopReason::Bounced),
            Kind::Refused => {
                let (run, email) = self.elsewhere.as_ref().expect("one is in flight");
                let rejected = EmailEnd::Rejected { said: said(550), stop: StopReason::Bounced };
                self.end(run, email, rejected)
            }
            Kind::Suppressed => suppress(self.address.clone()),
            Kind::DomainSuppressed => {
                suppress(format!("@{}", self.address.rsplit('@').next().expect("an address has a domain")))
            }
            Kind::Stopped => by(StopBy::Lead(self.lead), StopReason::Stopped),
            Kind::Paused => become_(CampaignState::Paused),
            Kind::Ended => become_(CampaignState::Stopped),
        }
    }

    fn claim(&self) -> Task<Option<ClaimedEmail>> {
        let intent = self.agency.claiming(&self.run, 1);
        let (store, call) = (self.agency.h.store.clone(), self.agency.h.call());
        Box::pin(async move {
            match Box::pin(store.run_for_jobs(&call, intent)).await.expect("claimed") {
                EmailClaim::Claimed(mut emails) => emails.pop(),
                other => panic!("{other:?}"),
            }
        })
    }

    fn fence(&self, email: &ClaimedEmail) -> Task<bool> {
        let (run, now) = (self.agency.of(&self.run), self.agency.h.now());
        let fence = FenceEmail { run, id: email.id, attempts: email.attempts, now };
        let (store, call) = (self.agency.h.store.clone(), self.agency.h.call());
        Box::pin(async move { store.fence_email(&call, fence).await.expect("answered") })
    }

    /// An email that was fenced ends.
    fn end(&self, run: &AccountRun, email: &ClaimedEmail, end: EmailEnd) -> Task<()> {
        let (id, attempts, now) = (email.id, email.attempts, self.agency.h.now());
        let end = EndEmail { run: self.agency.of(run), id, attempts, fenced: true, end, now };
        let (store, call) = (self.agency.h.store.clone(), self.agency.h.call());
        Box::pin(async move { assert!(store.end_email(&call, end).await.expect("answered")) })
    }

    /// What the server says of an email that was in flight before the stop is kept. What comes after it.
    async fn went_out(&self, email: &ClaimedEmail) -> Option<NextEmail> {
        assert_eq!(self.agency.email(email.id).await.state, EmailState::InFlight);
        let next = self.agency.next(&self.made, email);
        assert!(self.agency.end(&self.run, email, true, accepted(next.clone())).await, "it was in flight");
        next
    }

    /// After the stop nothing is on its way, nothing is made, and nothing is claimed, however long one waits; and after a
    /// pause what was not sent is. The emails that were sent are these.
    async fn nothing_more(&self, sent: &[EmailId], place: &str) {
        let (agency, tenant) = (self.agency, self.agency.tenant);
        let about = format!("{:?} {:?} {place}", self.step, self.kind);
        let mut sent = sent.to_vec();
        if self.step == Step::Second {
            sent.extend(self.earlier);
        }
        if self.kind == Kind::Paused {
            let claimed = agency.claim(&agency.begin(self.run.account.id).await, 9).await;
            assert_eq!(claimed, [], "{about}");
            assert!(agency.become_(self.made.id, CampaignState::Paused, CampaignState::Running).await);
            let run = agency.begin(self.run.account.id).await;
            for email in agency.claim(&run, 9).await {
                assert!(!sent.contains(&email.id), "{about}: {email:?} goes out twice");
                assert!(agency.fence(&run, &email).await, "{about}: it was held up, and not for ever");
                assert!(agency.end(&run, &email, true, accepted(None)).await);
                sent.push(email.id);
            }
            let steps = if self.step == Step::First { 1 } else { 2 };
            assert_eq!(sent.len(), steps, "{about}");
        } else {
            if self.kind == Kind::Ended {
                assert!(!agency.run(ClearCampaign { tenant, id: self.made.id, now: agency.h.now() }).await);
            }
            agency.h.clock.advance(9 * DAY);
            assert_eq!(agency.claim(&agency.begin(self.run.account.id).await, 9).await, [], "{about}");
            let lead = match (self.kind, self.step) {
                (Kind::Unsubscribed, Step::Second) => LeadState::Unsubscribed,
                (Kind::Replied, _) => LeadState::Replied,
                (Kind::Complained, Step::Second) => LeadState::Complained,
                (Kind::Bounced, Step::Second) => LeadState::Bounced,
                // Its last email was out, and was taken before the campaign was cleared.
                (Kind::Ended, Step::Second) if sent.len() == 2 => LeadState::Finished,
                _ => LeadState::Stopped,
            };
            assert_eq!(agency.lead(self.lead).await, lead, "{about}");
        }
        let of = EmailsOf::Lead(self.made.id, self.lead);
        let emails = agency.run(ListEmails { tenant, of, before: None, limit: 9 }).await;
        for email in &emails {
            let right = if sent.contains(&email.id) {
                EmailState::Accepted
            } else if self.kind == Kind::Paused {
                EmailState::Scheduled
            } else {
                EmailState::Cancelled
            };
            assert_eq!(email.state, right, "{about}: {email:?}, and these were sent: {sent:?}");
        }
        agency.figures(self.made.id).await;
        self.over().await;
    }
}

/// Sees in PostgreSQL whether somebody waits for somebody else's lock.
struct Watch(PgConnection);

impl Watch {
    /// Nothing on SQLite, where one transaction writes at a time and there is nothing to be put inside it.
    async fn of(h: &Harness) -> Option<Self> {
        let database = h.database.as_ref()?;
        Some(Self(PgConnection::connect(&database.url).await.expect("a connection")))
    }

    /// Whether a task ends, or comes to wait for the transaction that is held. One of both it does.
    async fn ends<T>(&mut self, task: &JoinHandle<T>) -> bool {
        const WAITING: &str = "
            SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'
              AND cardinality(pg_blocking_pids(pid)) > 0";
        let until = Instant::now() + PATIENCE;
        loop {
            if task.is_finished() {
                return true;
            }
            let waiting: i64 = sqlx::query_scalar(WAITING).fetch_one(&mut self.0).await.expect("an answer");
            if waiting > 0 {
                return false;
            }
            assert!(Instant::now() < until, "it neither ends nor waits");
        }
    }
}

/// How often each was first, so that no case passes because nothing met.
#[derive(Default)]
struct Met {
    went: usize,
    waited: usize,
}

impl Met {
    fn count(&mut self, went: bool) {
        *(if went { &mut self.went } else { &mut self.waited }) += 1;
    }

    fn both(&self) {
        assert!(self.went > 0 && self.waited > 0, "{} went through and {} waited", self.went, self.waited);
    }
}

/// The statements of a transaction that is run as it is without anybody beside it.
async fn statements_of<T>(h: &Harness, task: Task<T>) -> (T, Vec<&'static str>) {
    h.store.inner.gate.note();
    let done = task.await;
    (done, h.store.inner.gate.noted())
}

/// Holds a transaction before its statement of this number.
async fn held<T: Send + 'static>(h: &Harness, at: usize, task: Task<T>) -> (JoinHandle<T>, Held) {
    let mut held = h.store.inner.gate.hold(at);
    let task = spawn(task);
    held.reached().await;
    (task, held)
}

pub(in super::super) async fn a_stop_before_or_after_each_step_holds(h: &Harness) {
    let agency = Agency::open(h, "agency").await;
    let stage = Stage::new(&agency).await;
    for (step, kind) in pairs() {
        let scene = Scene::on(&agency, &stage, step, kind).await;
        scene.stop().await;
        let claimed = scene.claim().await;
        assert_eq!(claimed, None, "{step:?} {kind:?}");
        scene.nothing_more(&[], "before the claim").await;

        let scene = Scene::on(&agency, &stage, step, kind).await;
        let email = scene.claim().await.expect("an email");
        scene.stop().await;
        assert!(!scene.fence(&email).await, "{step:?} {kind:?}");
        scene.nothing_more(&[], "before the fence").await;

        let scene = Scene::on(&agency, &stage, step, kind).await;
        let email = scene.claim().await.expect("an email");
        assert!(scene.fence(&email).await);
        scene.stop().await;
        scene.went_out(&email).await;
        scene.nothing_more(&[email.id], "before the end").await;

        let scene = Scene::on(&agency, &stage, step, kind).await;
        let email = scene.claim().await.expect("an email");
        assert!(scene.fence(&email).await);
        let next = scene.went_out(&email).await;
        if next.is_some() {
            scene.stop().await;
            scene.nothing_more(&[email.id], "after the end").await;
        } else {
            scene.over().await;
        }
    }
}

pub(in super::super) async fn a_stop_within_a_claim_holds(h: &Harness) {
    let Some(mut watch) = Watch::of(h).await else { return };
    let (agency, mut met) = (Agency::open(h, "agency").await, Met::default());
    let stage = Stage::new(&agency).await;
    for (step, kind) in pairs() {
        let scene = Scene::on(&agency, &stage, step, kind).await;
        let (claimed, statements) = statements_of(h, scene.claim()).await;
        assert!(claimed.is_some() && statements.len() > 6, "{statements:?}");
        scene.over().await;
        for (at, name) in statements.iter().enumerate() {
            let scene = Scene::on(&agency, &stage, step, kind).await;
            let (claim, held) = held(h, at, scene.claim()).await;
            let stop = spawn(scene.stop());
            met.count(watch.ends(&stop).await);
            held.open();
            let claimed = claim.await.expect("it did not panic");
            stop.await.expect("it did not panic");
            if let Some(email) = claimed {
                assert!(!scene.fence(&email).await, "{step:?} {kind:?} before {name}");
            }
            scene.nothing_more(&[], &format!("in the claim before {name}")).await;
        }
    }
    met.both();
}

/// Without anybody who holds anything: many at once, on either engine.
pub(in super::super) async fn stops_that_race_with_fences_hold(h: &Harness) {
    const ROUNDS: usize = 3;
    let agency = Agency::open(h, "agency").await;
    for _ in 0..ROUNDS {
        let mut scenes = Vec::new();
        for (step, kind) in pairs() {
            let scene = Scene::alone(&agency, step, kind).await;
            let email = scene.claim().await.expect("an email");
            scenes.push((scene, email));
        }
        let races = scenes.iter().map(|(scene, email)| {
            let stopped = Arc::new(AtomicBool::new(false));
            let (stop, fence, seen) = (scene.stop(), scene.fence(email), Arc::clone(&stopped));
            let stop = spawn(async move {
                stop.await;
                stopped.store(true, Ordering::SeqCst);
            });
            let fence = spawn(async move { (seen.load(Ordering::SeqCst), fence.await) });
            async move {
                stop.await.expect("it did not panic");
                fence.await.expect("it did not panic")
            }
        });
        let outcomes = join_all(races).await;
        for ((scene, email), (stopped, may)) in scenes.iter().zip(outcomes) {
            assert!(!(stopped && may), "{:?} {:?} had committed before", scene.step, scene.kind);
            let mut sent = Vec::new();
            if may {
                scene.went_out(email).await;
                sent.push(email.id);
            }
            scene.nothing_more(&sent, "in a race").await;
        }
    }
}
