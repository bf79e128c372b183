//! Months of campaigns on a virtual clock, through the days on which clocks are set: what accounts may send is never
//! exceeded, nothing goes out beside its window, and all that was not stopped is sent in the end.
//!
//! What is judged is a plain list of what went out and when, kept here: it knows nothing of how the store reckons. Workers
//! do as those of the server: they end, stand still and are taken over in the middle; lines are slow; servers put off, refuse
//! and fall silent.

mod working;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use jiff::civil;
use mainstay_domain::outreach::SendingWindow;
use mainstay_domain::{
    CampaignId, CampaignState, EmailAddress, EmailId, EmailState, LeadId, LeadState, SendingAccountId, StopReason,
    Timestamp, Zone,
};

use super::super::Harness;
use super::{Agency, DAY, HOUR, sender, settings};
use crate::{
    AccountRun, AccountSettings, AddLeads, CampaignSettings, ClaimedEmail, EmailsOf, ListEmails, NewLead, Once,
    PutCampaign, PutSteps, Ramp, Resolution, ResolveEmail, Resolved, StepVariant, StopBy, UseAccounts,
};

/// How many leads each campaign has; `MAINSTAY_TEST_MONTH_LEADS` says another number. Accounts may send in proportion.
const LEADS: usize = 200;
/// The longest that all of it may take, in days: what is put off, paused and lost has its time beyond the month, and so have
/// more leads, since gaps between emails stay as they are.
const LONGEST_DAYS: i64 = 365;
const MINUTE: Duration = Duration::from_secs(60);
/// Where people live. Clocks are set by an hour, by half an hour, and not at all.
const ZONES: [&str; 5] =
    ["Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "Pacific/Auckland"];
/// The last of these is open at night, when clocks are set.
const WINDOWS: [&str; 3] = ["mon-fri 09:00-17:00", "mon-sat 08:30-19:00", "mon-sun 00:30-03:30"];
/// Each step: how many days, or how many hours, after the one before.
const DELAYS: [(u32, u32); 3] = [(0, 0), (2, 0), (0, 30)];

/// The Australian, the European and the American clocks are set back or forth, the last ones in November.
pub(in super::super) async fn an_autumn_keeps_within_what_it_may(h: &Harness) {
    // 4 October 2024.
    Box::pin(month(h, Timestamp::from_millis(1_728_000_000_000), 1)).await;
}

pub(in super::super) async fn a_spring_keeps_within_what_it_may(h: &Harness) {
    // 6 March 2025.
    Box::pin(month(h, Timestamp::from_millis(1_741_219_200_000), 2)).await;
}

/// Chance that repeats.
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % end
    }

    fn hits(&mut self, of_a_thousand: u64) -> bool {
        self.below(1_000) < of_a_thousand
    }

    fn between(&mut self, least: Duration, most: Duration) -> Duration {
        least + Duration::from_millis(self.below(u64::try_from((most - least).as_millis()).expect("short") + 1))
    }
}

/// A campaign.
struct Course {
    id: CampaignId,
    window: SendingWindow,
    variants: Vec<StepVariant>,
    paused: bool,
}

/// Somebody who is written to.
struct Person {
    course: usize,
    zone: Zone,
    domain: String,
    stopped: bool,
    /// How many steps were taken, and when the last one was.
    taken: u32,
    taken_at: Timestamp,
}

/// An account, and what it has sent.
struct Sending {
    id: SendingAccountId,
    settings: AccountSettings,
    /// Counted up by each worker that begins.
    worker: u64,
    /// When it is looked at next; nothing when there is nothing to do.
    waiting: bool,
    queue: VecDeque<ClaimedEmail>,
    put_off: u32,
    /// What counts: what went out and was not certainly refused.
    sent: Vec<(i64, EmailId)>,
    last: Option<i64>,
    last_to: BTreeMap<String, i64>,
}

/// What happens at a moment.
enum Event {
    /// A worker begins with an account.
    Look(usize),
    /// It goes on with it.
    Go(usize, Arc<AccountRun>),
    /// The line stands and the server waits for the first byte.
    Fence(usize, Arc<AccountRun>, ClaimedEmail),
    /// The server has answered.
    End(usize, Arc<AccountRun>, ClaimedEmail),
    Stop(LeadId),
    Pause(usize),
    Resume(usize),
    /// Somebody settles what nobody knew of.
    Settle(usize, ClaimedEmail),
}

/// What happened, so that no month passes in which nothing did.
#[derive(Debug, Default)]
struct Told {
    went_out: usize,
    deferred: usize,
    rejected: usize,
    unknown: usize,
    stopped: usize,
    taken_over: usize,
    put_off: usize,
    too_late: usize,
    at_cap: usize,
    on_days_of_change: usize,
}

struct Month<'a> {
    agency: &'a Agency<'a>,
    chance: Chance,
    events: BinaryHeap<Reverse<(i64, u64)>>,
    happening: BTreeMap<u64, Event>,
    number: u64,
    courses: Vec<Course>,
    people: BTreeMap<LeadId, Person>,
    accounts: Vec<Sending>,
    /// What was in flight when its worker ended, and whether the server has it.
    lost: BTreeMap<EmailId, bool>,
    /// How often each was taken by a server.
    had: BTreeMap<EmailId, u32>,
    told: Told,
}

async fn month(h: &Harness, from: Timestamp, seed: u64) {
    let began = tokio::time::Instant::now();
    let leads = std::env::var("MAINSTAY_TEST_MONTH_LEADS").map_or(LEADS, |text| text.parse().expect("a number"));
    h.clock.advance(from.since(h.now()));
    let agency = Agency::open(h, "agency").await;
    let mut month = Month::new(&agency, leads, seed).await;
    month.pass(from).await;
    month.judge().await;
    eprintln!(
        "{} leads for each of {} campaigns in {:.1} days and {:.1} s: {:?}",
        leads,
        month.courses.len(),
        h.now().since(from).as_secs_f64() / DAY.as_secs_f64(),
        began.elapsed().as_secs_f64(),
        month.told
    );
}

/// What the accounts may send, for so many leads.
fn accounts(from: Timestamp, leads: usize) -> Vec<AccountSettings> {
    let scaled = |number: usize| u32::try_from((number * leads).div_ceil(LEADS)).expect("few");
    let ramp = |start, step| Some(Ramp { start: scaled(start), step: scaled(step), from });
    let account = |cap| AccountSettings { connections: 1, ..sender(scaled(cap)) };
    vec![
        AccountSettings { ramp: ramp(3, 1), domain_gap: 10 * MINUTE, ..account(25) },
        AccountSettings { ramp: ramp(3, 1), gap: 2 * MINUTE, ..account(30) },
        account(8),
        AccountSettings { ramp: ramp(4, 1), gap: MINUTE, domain_gap: 15 * MINUTE, ..account(20) },
    ]
}

impl<'a> Month<'a> {
    async fn new(agency: &'a Agency<'a>, leads: usize, seed: u64) -> Self {
        let mut month = Self {
            agency,
            chance: Chance(seed),
            events: BinaryHeap::new(),
            happening: BTreeMap::new(),
            number: 0,
            courses: Vec::new(),
            people: BTreeMap::new(),
            accounts: Vec::new(),
            lost: BTreeMap::new(),
            had: BTreeMap::new(),
            told: Told::default(),
        };
        for (number, settings) in accounts(agency.h.now(), leads).into_iter().enumerate() {
            let id = agency.account(&format!("{number}@example.com"), settings.clone()).await;
            month.accounts.push(Sending {
                id,
                settings,
                worker: 0,
                waiting: true,
                queue: VecDeque::new(),
                put_off: 0,
                sent: Vec::new(),
                last: None,
                last_to: BTreeMap::new(),
            });
        }
        for (number, window) in WINDOWS.into_iter().enumerate() {
            month.begin(number, window, leads).await;
        }
        for account in 0..month.accounts.len() {
            month.at(agency.h.now(), Event::Look(account));
        }
        month
    }

    /// A campaign begins. Its leads write to a few large houses and many small ones.
    async fn begin(&mut self, number: usize, window: &str, leads: usize) {
        let (agency, h) = (self.agency, self.agency.h);
        let (tenant, id, now) = (agency.tenant, h.ids.make(), h.now());
        let settings = CampaignSettings { window: window.to_owned(), ..settings(&format!("Campaign {number}")) };
        let put = PutCampaign { tenant, id, new: true, settings, claim: None, now };
        assert_eq!(agency.run(put).await, Once::Done(true));
        let variant = |step| StepVariant {
            id: h.ids.make(),
            step,
            name: "A".to_owned(),
            weight: 1,
            subject: "Hello".to_owned(),
            body: "Hello".to_owned(),
            html: None,
        };
        let variants: Vec<_> = (1..=u32::try_from(DELAYS.len()).expect("few")).map(variant).collect();
        agency.run(PutSteps { tenant, campaign: id, delays: DELAYS.to_vec(), variants: variants.clone(), now }).await;
        let accounts = self.accounts.iter().enumerate().filter(|(place, _)| *place != number).map(|(_, one)| one.id);
        let using = UseAccounts { tenant, campaign: id, accounts: accounts.collect(), now };
        assert_eq!(agency.run(using).await.map(|used| used.len()), Ok(self.accounts.len() - 1));
        let mut new = Vec::new();
        for place in 0..leads {
            let domain = match place % 10 {
                0..=2 => "large.test".to_owned(),
                3 => "other.test".to_owned(),
                _ => format!("d{}.test", place % 67),
            };
            let zone = Zone::parse(ZONES[place % ZONES.len()]).expect("a zone");
            let lead = h.ids.make();
            let address = EmailAddress::parse(&format!("p{number}.{place}@{domain}")).expect("an address");
            new.push(NewLead {
                id: lead,
                address,
                fields: BTreeMap::new(),
                zone: Some(zone.clone()),
                digest: String::new(),
            });
            let (taken, taken_at) = (0, now);
            self.people.insert(lead, Person { course: number, zone, domain, stopped: false, taken, taken_at });
            if self.chance.hits(60) {
                let at = now.plus(self.chance.between(Duration::ZERO, 25 * DAY));
                self.at(at, Event::Stop(lead));
            }
        }
        for leads in new.chunks(100) {
            let added = agency.run(AddLeads { tenant, campaign: id, leads: leads.to_vec(), now }).await;
            assert_eq!(added.expect("a campaign").new.len(), leads.len());
        }
        agency.launch(id).await;
        let window = window.parse().expect("a window");
        self.courses.push(Course { id, window, variants, paused: false });
        let pause = now.plus(self.chance.between(5 * DAY, 15 * DAY));
        self.at(pause, Event::Pause(number));
        self.at(pause.plus(30 * HOUR), Event::Resume(number));
    }

    fn now(&self) -> Timestamp {
        self.agency.h.now()
    }

    fn at(&mut self, at: Timestamp, event: Event) {
        self.number += 1;
        self.events.push(Reverse((at.as_millis(), self.number)));
        self.happening.insert(self.number, event);
    }

    fn after(&mut self, wait: Duration, event: Event) {
        self.at(self.now().plus(wait), event);
    }

    /// Time passes, from one thing that happens to the next.
    async fn pass(&mut self, from: Timestamp) {
        while let Some(Reverse((at, number))) = self.events.pop() {
            self.agency.h.clock.advance(Timestamp::from_millis(at).since(self.now()));
            assert!(at - from.as_millis() < LONGEST_DAYS * 86_400_000, "there is no end to it: {:?}", self.told);
            match self.happening.remove(&number).expect("it happens once") {
                Event::Look(account) => self.look(account).await,
                Event::Go(account, run) => self.go(account, &run).await,
                Event::Fence(account, run, email) => self.fence(account, &run, email).await,
                Event::End(account, run, email) => self.end(account, &run, email).await,
                Event::Stop(lead) => self.stop(lead).await,
                Event::Pause(course) => self.turn(course, true).await,
                Event::Resume(course) => self.turn(course, false).await,
                Event::Settle(account, email) => self.settle(account, &email).await,
            }
        }
    }

    /// Somebody gives an account something to do.
    fn wake(&mut self, account: usize) {
        if !self.accounts[account].waiting {
            self.accounts[account].waiting = true;
            self.after(Duration::from_millis(100), Event::Look(account));
        }
    }

    async fn stop(&mut self, lead: LeadId) {
        let person = self.people.get_mut(&lead).expect("somebody");
        // There is nothing to be stopped after the last step.
        if person.stopped || person.taken == u32::try_from(DELAYS.len()).expect("few") {
            return;
        }
        person.stopped = true;
        self.told.stopped += 1;
        let reasons = [StopReason::Unsubscribed, StopReason::Replied, StopReason::Stopped];
        let reason = reasons[usize::try_from(self.chance.below(3)).expect("few")];
        assert!(self.agency.stop(StopBy::Lead(lead), reason).await);
    }

    async fn turn(&mut self, course: usize, pause: bool) {
        let (running, paused) = (CampaignState::Running, CampaignState::Paused);
        let (seen, state) = if pause { (running, paused) } else { (paused, running) };
        assert!(self.agency.become_(self.courses[course].id, seen, state).await);
        self.courses[course].paused = pause;
        if !pause {
            (0..self.accounts.len()).for_each(|account| self.wake(account));
        }
    }

    /// Somebody has looked whether it was sent.
    async fn settle(&mut self, account: usize, email: &ClaimedEmail) {
        let (agency, now) = (self.agency, self.now());
        let has = self.lost.remove(&email.id).expect("it was lost");
        if agency.email(email.id).await.state == EmailState::InFlight {
            // The worker that had it was not missed yet.
            self.lost.insert(email.id, has);
            return self.after(HOUR, Event::Settle(account, email.clone()));
        }
        let stopped = self.people[&email.lead].stopped;
        let resolution = if has { Resolution::Sent(self.taken(email)) } else { Resolution::Again };
        let resolve = ResolveEmail { tenant: agency.tenant, id: email.id, resolution, now };
        let resolved = agency.run(resolve).await;
        assert!(resolved == Resolved::Done || stopped, "{resolved:?}");
        self.wake(account);
    }

    /// All is over: whoever was not stopped has got each step once, and nothing is left.
    async fn judge(&mut self) {
        let (agency, tenant) = (self.agency, self.agency.tenant);
        assert!(self.lost.is_empty());
        let all = u32::try_from(DELAYS.len()).expect("few");
        for (lead, person) in &self.people {
            let of = EmailsOf::Lead(self.courses[person.course].id, *lead);
            let emails = agency.run(ListEmails { tenant, of, before: None, limit: 9 }).await;
            let steps: BTreeSet<u32> = emails.iter().map(|email| email.step).collect();
            assert_eq!(steps.len(), emails.len(), "one for each step: {emails:#?}");
            for email in &emails {
                let had = self.had.get(&email.id).copied().unwrap_or(0);
                let states = match had {
                    1 => [EmailState::Accepted, EmailState::Accepted],
                    _ => [EmailState::Cancelled, EmailState::Rejected],
                };
                assert!(had <= 1 && states.contains(&email.state), "the server has it {had} times: {email:#?}");
            }
            if !person.stopped {
                assert_eq!((person.taken, emails.len()), (all, DELAYS.len()), "{emails:#?}");
                assert_eq!(agency.lead(*lead).await, LeadState::Finished);
            }
        }
        for course in &self.courses {
            let figures = agency.figures(course.id).await;
            assert_eq!(figures.get("queued"), None, "{figures:?}");
        }
        let Told {
            deferred, rejected, unknown, stopped, taken_over, put_off, too_late, at_cap, on_days_of_change, ..
        } = self.told;
        let met = [deferred, rejected, unknown, stopped, taken_over, put_off, too_late, at_cap, on_days_of_change];
        assert!(met.iter().all(|times| *times > 0), "{:?}", self.told);
    }
}

/// Whether a clock on the wall shows a time of the window. Two hours of one name are both in it, or neither is.
fn is_within(window: SendingWindow, there: civil::DateTime) -> bool {
    let minute = u16::try_from(i32::from(there.hour()) * 60 + i32::from(there.minute())).expect("a day");
    let names = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
    let day = names[usize::try_from(there.weekday().to_monday_zero_offset()).expect("a day")];
    let (days, _) =
        window.to_string().split_once(' ').map(|(days, times)| (days.to_owned(), times.to_owned())).expect("days");
    let days = match days.as_str() {
        "mon-fri" => &names[..5],
        "mon-sat" => &names[..6],
        "mon-sun" => &names[..],
        other => panic!("{other}"),
    };
    days.contains(&day) && (window.from()..window.until()).contains(&minute)
}
