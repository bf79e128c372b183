//! Random lives of a campaign, against what the server that takes the mail has seen.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::join_all;
use mainstay_domain::{CampaignState, Clock, EmailId, LeadId, SendingAccountId, StopReason};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestRunner};

use super::super::{Harness, spawn};
use super::{Agency, Made, accepted, said, sender};
use crate::{
    AccountRun, AccountSettings, ClaimedEmail, EmailClaim, EmailEnd, EmailsOf, Error, ListEmails, Resolution,
    ResolveEmail, StopBy,
};

/// A step of a life.
#[derive(Clone, Debug)]
enum Act {
    /// People are added.
    Add(usize),
    /// A worker begins with an account: what another had is no longer that one's.
    Begin(usize),
    /// The newest worker of an account claims.
    Claim(usize, usize),
    /// A worker, which may be an old one, goes one step on with what it has.
    Step(usize, usize),
    /// Somebody is stopped.
    Stop(usize, usize),
    /// The campaign is paused, or goes on.
    Turn,
    /// Somebody says that what is unknown is to be sent again.
    Again,
    /// Time passes.
    Wait(u64),
}

/// A worker with an account, and what it has.
struct Worker {
    run: AccountRun,
    claimed: Vec<ClaimedEmail>,
    fenced: Vec<ClaimedEmail>,
}

/// What happened, as the server that takes the mail and whoever was told something knows it.
#[derive(Default)]
struct Seen {
    /// How often each email was taken.
    taken: BTreeMap<EmailId, u32>,
    /// How often somebody has said that one is to be sent again.
    again: BTreeMap<EmailId, u32>,
    /// When each account sent.
    moments: BTreeMap<SendingAccountId, Vec<i64>>,
    stopped: BTreeSet<LeadId>,
}

pub(in super::super) async fn the_model_of_outreach_holds(h: &Harness) {
    let act = prop_oneof![
        2 => (1usize..4).prop_map(Act::Add),
        2 => (0usize..2).prop_map(Act::Begin),
        5 => (0usize..2, 1usize..4).prop_map(|(account, most)| Act::Claim(account, most)),
        12 => (0usize..64, 0usize..8).prop_map(|(worker, how)| Act::Step(worker, how)),
        2 => (0usize..64, 0usize..5).prop_map(|(lead, reason)| Act::Stop(lead, reason)),
        1 => Just(Act::Turn),
        1 => Just(Act::Again),
        3 => (1u64..40).prop_map(Act::Wait),
    ];
    let lives = proptest::collection::vec(act, 20..90);
    let mut runner = TestRunner::new(Config::default());
    for round in 0..10 {
        let acts = lives.new_tree(&mut runner).expect("a life").current();
        let agency = Agency::open(h, &format!("agency{round}")).await;
        let capped = |cap| AccountSettings { domain_gap: Duration::from_secs(60), ..sender(cap) };
        let accounts =
            [agency.account("a@example.com", capped(5)).await, agency.account("b@example.com", sender(1_000)).await];
        let made = agency.campaign("Spring", &accounts).await;
        agency.launch(made.id).await;
        let mut life = Life {
            agency: &agency,
            made: &made,
            accounts,
            workers: Vec::new(),
            leads: Vec::new(),
            running: true,
            seen: Seen::default(),
        };
        for act in &acts {
            Box::pin(life.follow(act)).await;
            agency.figures(made.id).await;
        }
        Box::pin(life.come_to_an_end()).await;
        life.judge(&acts);
    }
}

struct Life<'a> {
    agency: &'a Agency<'a>,
    made: &'a Made,
    accounts: [SendingAccountId; 2],
    workers: Vec<Worker>,
    leads: Vec<LeadId>,
    running: bool,
    seen: Seen,
}

impl Life<'_> {
    async fn follow(&mut self, act: &Act) {
        let h = self.agency.h;
        match act {
            Act::Add(number) => {
                let addresses: Vec<String> =
                    (0..*number).map(|n| format!("{}@{}.test", self.leads.len() + n, n % 2)).collect();
                let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
                self.leads.extend(self.agency.add(self.made.id, &addresses).await);
            }
            Act::Begin(account) => {
                let run = self.agency.begin(self.accounts[*account]).await;
                self.workers.push(Worker { run, claimed: Vec::new(), fenced: Vec::new() });
            }
            Act::Claim(account, most) => self.claim(*account, *most).await,
            Act::Step(worker, how) => self.step(*worker, *how).await,
            Act::Stop(lead, reason) => {
                let Some(lead) = self.leads.get(*lead % self.leads.len().max(1)).copied() else { return };
                let reason = StopReason::ALL[*reason];
                assert!(self.agency.stop(StopBy::Lead(lead), reason).await);
                self.seen.stopped.insert(lead);
            }
            Act::Turn => {
                let (seen, state) = match self.running {
                    true => (CampaignState::Running, CampaignState::Paused),
                    false => (CampaignState::Paused, CampaignState::Running),
                };
                assert!(self.agency.become_(self.made.id, seen, state).await);
                self.running = !self.running;
            }
            Act::Again => self.again().await,
            Act::Wait(hours) => h.clock.advance(Duration::from_secs(3_600 * hours)),
        }
    }

    async fn claim(&mut self, account: usize, most: usize) {
        let account = self.accounts[account];
        let Some(worker) = self.workers.iter_mut().rev().find(|worker| worker.run.account.id == account) else {
            return;
        };
        match self.agency.try_claim(&worker.run, most).await.expect("the newest run") {
            EmailClaim::Claimed(emails) => {
                assert!(emails.len() <= most);
                worker.claimed.extend(emails);
            }
            EmailClaim::Wait(_) | EmailClaim::PutOff | EmailClaim::Resting(_) => {}
        }
    }

    /// A worker fences what it has claimed, or tells what came of what it has fenced.
    async fn step(&mut self, worker: usize, how: usize) {
        let count = self.workers.len();
        let Some(worker) = self.workers.get_mut(worker % count.max(1)) else { return };
        let agency = self.agency;
        if let Some(email) = worker.fenced.pop() {
            let end = match how {
                0 => EmailEnd::Deferred { said: said(451), until: agency.h.now().plus(Duration::from_secs(60)) },
                1 => EmailEnd::Rejected { said: said(554), stop: StopReason::Stopped },
                2 => EmailEnd::Unknown("cut".to_owned()),
                _ => accepted(agency.next(self.made, &email)),
            };
            // The server has what it took before anybody writes it down, and may have what nobody knows of.
            if how >= 2 {
                *self.seen.taken.entry(email.id).or_default() += 1;
            }
            if matches!(end, EmailEnd::Rejected { .. }) {
                self.seen.stopped.insert(email.lead);
            }
            agency.end(&worker.run, &email, true, end).await;
            return;
        }
        let Some(email) = worker.claimed.pop() else { return };
        if how == 0 {
            let until = agency.h.now().plus(Duration::from_secs(30));
            let why = "no line".to_owned();
            agency.end(&worker.run, &email, false, EmailEnd::Released { until, why }).await;
            return;
        }
        if agency.fence(&worker.run, &email).await {
            assert!(!self.seen.stopped.contains(&email.lead), "{email:?} goes to whoever was stopped");
            assert!(self.running, "{email:?} goes out while the campaign is paused");
            self.seen.moments.entry(worker.run.account.id).or_default().push(agency.h.clock.now().as_millis());
            worker.fenced.push(email);
        }
    }

    async fn again(&mut self) {
        let agency = self.agency;
        let list = ListEmails { tenant: agency.tenant, of: EmailsOf::Unknown, before: None, limit: 100 };
        if let Some(email) = agency.run(list).await.pop() {
            let resolve = ResolveEmail {
                tenant: agency.tenant,
                id: email.id,
                resolution: Resolution::Again,
                now: agency.h.now(),
            };
            agency.run(resolve).await;
            *self.seen.again.entry(email.id).or_default() += 1;
        }
    }

    /// All goes well from now on: whatever is to be sent is.
    async fn come_to_an_end(&mut self) {
        if !self.running {
            self.follow(&Act::Turn).await;
        }
        let mut quiet = 0;
        while quiet < 4 {
            let mut moved = false;
            for account in 0..2 {
                self.follow(&Act::Begin(account)).await;
                self.claim(account, 50).await;
                let newest = self.workers.len() - 1;
                while !self.workers[newest].claimed.is_empty() || !self.workers[newest].fenced.is_empty() {
                    self.step(newest, 7).await;
                    moved = true;
                }
            }
            quiet = if moved { 0 } else { quiet + 1 };
            self.agency.h.clock.advance(Duration::from_secs(86_400));
        }
        self.agency.figures(self.made.id).await;
    }

    fn judge(&self, acts: &[Act]) {
        for (email, taken) in &self.seen.taken {
            let again = self.seen.again.get(email).copied().unwrap_or(0);
            assert!(*taken <= 1 + again, "{email} was taken {taken} times, {again} of them wished for: {acts:#?}");
        }
        // In no 24 hours more than the cap; what was not taken has given its place back, and is not told here.
        let moments = self.seen.moments.get(&self.accounts[0]).cloned().unwrap_or_default();
        let most = moments.iter().map(|end| moments.iter().filter(|at| **at > end - 86_400_000 && *at <= end).count());
        let deferred = acts.iter().filter(|act| matches!(act, Act::Step(_, 0 | 1))).count();
        assert!(most.max().unwrap_or(0) <= 5 + deferred, "{moments:?}");
    }
}

/// What many workers saw that were killed and begun anew all the time.
#[derive(Default)]
struct Ledger {
    taken: BTreeMap<EmailId, u32>,
}

/// Real concurrency: each account has a worker at any time, and often an old one that does not know that it is over.
pub(in super::super) async fn many_workers_lose_nothing(h: &Harness) {
    const LEADS: usize = 400;
    let agency = Agency::open(h, "crowd").await;
    let mut accounts = Vec::new();
    for n in 0..4 {
        accounts.push(agency.account(&format!("{n}@example.com"), sender(100_000)).await);
    }
    let made = agency.campaign("Spring", &accounts).await;
    let addresses: Vec<String> = (0..LEADS).map(|n| format!("{n}@{}.test", n % 7)).collect();
    let leads = agency.add(made.id, &addresses.iter().map(String::as_str).collect::<Vec<_>>()).await;
    agency.launch(made.id).await;
    let ledger = Arc::new(Mutex::new(Ledger::default()));
    // A few are stopped while the others are being sent.
    let stopping =
        join_all(leads.iter().step_by(10).map(|lead| agency.stop(StopBy::Lead(*lead), StopReason::Unsubscribed)));
    let working = join_all(accounts.iter().map(|account| work(&agency, *account, &ledger)));
    let (stopped, _) = futures_util::future::join(stopping, working).await;
    assert!(stopped.into_iter().all(|stopped| stopped));
    // What is left when all is quiet: nothing to send, and each at most once.
    for account in &accounts {
        let run = agency.begin(*account).await;
        assert_eq!(agency.claim(&run, 10).await, []);
    }
    let figures = agency.figures(made.id).await;
    let number = |kind: &str| figures.get(kind).copied().unwrap_or(0);
    assert_eq!(number("queued"), 0, "{figures:?}");
    assert_eq!(
        number("lead_finished") + number("lead_unsubscribed") + number("lead_active"),
        i64::try_from(LEADS).expect("few"),
        "{figures:?}"
    );
    assert_eq!(number("lead_active"), number("unknown"), "whoever is left waits for what is unknown: {figures:?}");
    let ledger = ledger.lock().expect("no worker panicked");
    assert!(ledger.taken.values().all(|taken| *taken == 1), "{:?}", ledger.taken);
    let taken = i64::try_from(ledger.taken.len()).expect("few");
    assert!(taken >= number("accepted") && taken <= number("accepted") + number("unknown"), "{taken}: {figures:?}");
}

/// Workers of an account, one after the other: each is killed after some emails, in the middle of one.
async fn work(agency: &Agency<'_>, account: SendingAccountId, ledger: &Arc<Mutex<Ledger>>) {
    for killed_after in (1..).map(|round: usize| round % 9 + 3) {
        let run = agency.begin(account).await;
        let claimed = match agency.try_claim(&run, 8).await {
            Ok(EmailClaim::Claimed(claimed)) => claimed,
            Ok(other) => panic!("{other:?}"),
            Err(Error::Fenced) => continue,
            Err(error) => panic!("{error}"),
        };
        if claimed.is_empty() {
            return;
        }
        for (n, email) in claimed.into_iter().enumerate() {
            if n == killed_after {
                break;
            }
            let fence =
                crate::FenceEmail { run: agency.of(&run), id: email.id, attempts: email.attempts, now: agency.h.now() };
            // The worker may die between any two of these.
            let (store, call, ledger) = (agency.h.store.clone(), agency.h.call(), Arc::clone(ledger));
            let end = crate::EndEmail {
                run: agency.of(&run),
                id: email.id,
                attempts: email.attempts,
                fenced: true,
                end: accepted(None),
                now: agency.h.now(),
            };
            let dies = n + 1 == killed_after;
            let sending = spawn(async move {
                if !store.fence_email(&call, fence).await.expect("answered") {
                    return;
                }
                *ledger.lock().expect("no worker panicked").taken.entry(email.id).or_default() += 1;
                if !dies {
                    store.end_email(&call, end).await.expect("answered");
                }
            });
            sending.await.expect("it did not panic");
        }
    }
}
