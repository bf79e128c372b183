//! What workers do in a month, as those of the server do it, and what is written down of each email that goes out.

use std::sync::Arc;
use std::time::Duration;

use mainstay_domain::outreach::{Delay, SendingWindow, delayed};
use mainstay_domain::{StopReason, Timestamp, Zone};

use super::super::{HOUR, accepted, said};
use super::{DELAYS, Event, MINUTE, Month, Sending, is_within};
use crate::{
    AccountRun, ClaimEmails, ClaimedEmail, EmailClaim, EmailEnd, EndEmail, FenceEmail, LaneDue, NextEmail, ReadDue,
    RunCampaign, SendingLane, message_id,
};

impl Month<'_> {
    pub(super) async fn look(&mut self, account: usize) {
        let run = Arc::new(self.agency.begin(self.accounts[account].id).await);
        let one = &mut self.accounts[account];
        (one.waiting, one.put_off, one.worker) = (true, 0, run.account.run.unsigned_abs());
        one.queue.clear();
        self.go(account, &run).await;
    }

    fn is_current(&self, account: usize, run: &AccountRun) -> bool {
        self.accounts[account].worker == run.account.run.unsigned_abs()
    }

    /// A worker ends without a word, or stands still: after some time another begins. Of one that only stood still, what it
    /// does afterwards has no effect.
    fn gone(&mut self, account: usize, run: &Arc<AccountRun>) {
        let wait = self.chance.between(MINUTE, 14 * HOUR);
        self.after(wait, Event::Look(account));
        if let Some(email) = self.accounts[account].queue.front().cloned() {
            self.after(wait + 5 * MINUTE, Event::Fence(account, Arc::clone(run), email));
        }
        self.told.taken_over += 1;
    }

    /// The next email, or the next claim.
    pub(super) async fn go(&mut self, account: usize, run: &Arc<AccountRun>) {
        if !self.is_current(account, run) {
            return;
        }
        if self.chance.hits(8) {
            self.gone(account, run);
            return;
        }
        if let Some(email) = self.accounts[account].queue.pop_front() {
            let slow = self.chance.hits(40);
            let (least, most) = if slow { (MINUTE, 40 * MINUTE) } else { (MINUTE / 100, MINUTE / 20) };
            let wait = self.chance.between(least, most);
            self.after(wait, Event::Fence(account, Arc::clone(run), email));
            return;
        }
        match self.claim(account, run).await {
            None => self.come_again(account, run).await,
            Some(EmailClaim::Claimed(emails)) if emails.is_empty() => self.come_again(account, run).await,
            Some(EmailClaim::Claimed(emails)) => {
                self.accounts[account].put_off = 0;
                self.accounts[account].queue.extend(emails);
                self.after(Duration::from_millis(5), Event::Go(account, Arc::clone(run)));
            }
            Some(EmailClaim::Wait(until)) => {
                self.told.at_cap += usize::from(until.since(self.now()) > HOUR);
                self.at(until.max(self.now().plus(Duration::from_millis(1))), Event::Go(account, Arc::clone(run)));
            }
            Some(EmailClaim::PutOff) => {
                self.told.put_off += 1;
                self.accounts[account].put_off += 1;
                self.after(Duration::from_millis(20), Event::Go(account, Arc::clone(run)));
            }
            Some(EmailClaim::Resting(state)) => panic!("the account is {state}"),
        }
    }

    /// What is open now; nothing when there is nothing.
    async fn claim(&mut self, account: usize, run: &AccountRun) -> Option<EmailClaim> {
        let (h, now) = (self.agency.h, self.now());
        let mut lanes = Vec::new();
        for one in &run.campaigns {
            let window: SendingWindow = one.campaign.settings.window.parse().expect("a window");
            let first = one.steps[0].variants.clone();
            let open = one.zones.iter().filter(|zone| window.is_open(now, &Zone::parse(zone).expect("a zone")));
            let lane =
                |zone: &String| SendingLane { campaign: one.campaign.id, zone: zone.clone(), first: first.clone() };
            lanes.extend(open.map(lane));
        }
        if lanes.is_empty() {
            return None;
        }
        let turn = usize::try_from(self.chance.below(lanes.len() as u64)).expect("few");
        lanes.rotate_left(turn);
        let gap = self.accounts[account].settings.gap;
        let most = if gap.is_zero() { 8 } else { 1 };
        let next_at = (!gap.is_zero()).then(|| now.plus(self.chance.between(gap, gap.mul_f64(1.75))));
        let ids = (0..most).map(|_| h.ids.make()).collect();
        Some(self.agency.run(ClaimEmails { run: self.agency.of(run), lanes, ids, next_at, now }).await)
    }

    /// Nothing is due: when is something?
    async fn come_again(&mut self, account: usize, run: &AccountRun) {
        let zones =
            |one: &RunCampaign| one.zones.iter().map(|zone| (one.campaign.id, zone.clone())).collect::<Vec<_>>();
        let lanes = run.campaigns.iter().flat_map(zones).collect();
        let due = self.agency.run(ReadDue { run: self.agency.of(run), lanes }).await;
        let opens = |lane: &LaneDue| {
            let course = self.courses.iter().find(|course| course.id == lane.campaign)?;
            let first = [lane.due_at, lane.fresh.then_some(self.now())].into_iter().flatten().min()?;
            Some(course.window.next_open(first.max(self.now()), &Zone::parse(&lane.zone).expect("a zone")))
        };
        match due.iter().filter_map(opens).min() {
            Some(at) => self.at(at.max(self.now().plus(Duration::from_millis(500))), Event::Look(account)),
            None => self.accounts[account].waiting = false,
        }
    }

    pub(super) async fn fence(&mut self, account: usize, run: &Arc<AccountRun>, email: ClaimedEmail) {
        let (agency, now) = (self.agency, self.now());
        let current = self.is_current(account, run);
        let person = &self.people[&email.lead];
        let course = &self.courses[person.course];
        if current && !course.window.is_open(now, &person.zone) {
            // The line was so slow that the window has closed.
            let until = course.window.next_open(now, &person.zone);
            let end = EmailEnd::Released { until, why: "the window has closed".to_owned() };
            assert!(agency.end(run, &email, false, end).await);
            self.told.too_late += 1;
            return self.go(account, run).await;
        }
        let fence = FenceEmail { run: agency.of(run), id: email.id, attempts: email.attempts, now };
        if agency.h.store.fence_email(&agency.h.call(), fence).await.expect("answered") {
            assert!(current, "{email:?} goes out by a worker that was taken over");
            self.goes_out(account, &email);
            let wait = self.chance.between(MINUTE / 600, MINUTE / 10);
            self.after(wait, Event::End(account, Arc::clone(run), email));
        } else {
            assert!(person.stopped || course.paused || !current, "{email:?} was held up for nothing");
            self.go(account, run).await;
        }
    }

    /// The judgement on an email that goes out now.
    fn goes_out(&mut self, account: usize, email: &ClaimedEmail) {
        let (at, person) = (self.agency.h.now(), &self.people[&email.lead]);
        let (one, course) = (&mut self.accounts[account], &self.courses[person.course]);
        let about = format!("{email:?} at {at:?} by account {account}");
        assert!(!person.stopped && !course.paused, "{about}: stopped");
        let local = |at: Timestamp| {
            let at = jiff::Timestamp::from_millisecond(at.as_millis()).expect("a moment");
            at.in_tz(person.zone.name()).expect("a zone")
        };
        let there = local(at);
        assert!(is_within(course.window, there.datetime()), "{about}: it is {there} there");
        self.told.on_days_of_change += usize::from(there.start_of_day().expect("a day").tomorrow().is_ok_and(|next| {
            next.timestamp().as_second() - there.start_of_day().expect("a day").timestamp().as_second() != 86_400
        }));
        assert_eq!(email.step, person.taken + 1, "{about}: in order");
        let (days, hours) = DELAYS[email.step as usize - 1];
        if email.step > 1 {
            let since = local(person.taken_at).datetime();
            let waited = there.datetime() >= since.saturating_add(jiff::Span::new().days(i64::from(days)));
            assert!(waited && at.since(person.taken_at) >= hours * HOUR, "{about}: since {since}");
        }
        let at = at.as_millis();
        let millis = |wait: Duration| i64::try_from(wait.as_millis()).expect("short");
        let gap = one.last.map(|last| at - last);
        assert!(gap.is_none_or(|gap| gap >= millis(one.settings.gap)), "{about}: {gap:?} ms after the one before");
        let gap = one.last_to.get(&person.domain).map(|last| at - last);
        assert!(gap.is_none_or(|gap| gap >= millis(one.settings.domain_gap)), "{about}: {gap:?} ms after the domain");
        one.last = Some(at);
        one.last_to.insert(person.domain.clone(), at);
        one.sent.push((at, email.id));
        let cap = match one.settings.ramp {
            Some(ramp) => {
                let day = (at - ramp.from.as_millis()) / 86_400_000;
                (i64::from(ramp.start) + i64::from(ramp.step) * day).min(i64::from(one.settings.daily_cap))
            }
            None => i64::from(one.settings.daily_cap),
        };
        let within = one.sent.iter().rev().take_while(|(sent, _)| *sent > at - 86_400_000).count();
        assert!(i64::try_from(within).expect("few") <= cap, "{about}: {within} in 24 hours, and {cap} are allowed");
        self.told.went_out += 1;
    }

    /// The server has answered, or has not.
    pub(super) async fn end(&mut self, account: usize, run: &Arc<AccountRun>, email: ClaimedEmail) {
        let now = self.now();
        let chance = self.chance.below(1_000);
        let not_taken = |one: &mut Sending| one.sent.retain(|(_, id)| *id != email.id);
        let end = match chance {
            0..15 => {
                // The worker ends before it hears, or before it says what it has heard.
                let has = self.chance.hits(500);
                *self.had.entry(email.id).or_default() += u32::from(has);
                self.lost.insert(email.id, has);
                self.told.unknown += 1;
                let wait = self.chance.between(15 * HOUR, 60 * HOUR);
                self.after(wait, Event::Settle(account, email));
                return self.gone(account, run);
            }
            15..35 => {
                let has = self.chance.hits(500);
                *self.had.entry(email.id).or_default() += u32::from(has);
                self.lost.insert(email.id, has);
                self.told.unknown += 1;
                let wait = self.chance.between(HOUR, 60 * HOUR);
                self.after(wait, Event::Settle(account, email.clone()));
                EmailEnd::Unknown("silence".to_owned())
            }
            35..95 => {
                not_taken(&mut self.accounts[account]);
                self.told.deferred += 1;
                EmailEnd::Deferred { said: said(451), until: now.plus(self.chance.between(MINUTE, 5 * HOUR)) }
            }
            95..105 => {
                not_taken(&mut self.accounts[account]);
                self.told.rejected += 1;
                self.people.get_mut(&email.lead).expect("somebody").stopped = true;
                EmailEnd::Rejected { said: said(554), stop: StopReason::Stopped }
            }
            _ => {
                *self.had.entry(email.id).or_default() += 1;
                accepted(self.taken(&email))
            }
        };
        let end = EndEmail { run: self.agency.of(run), id: email.id, attempts: email.attempts, fenced: true, end, now };
        assert!(self.agency.h.store.end_email(&self.agency.h.call(), end).await.expect("answered"));
        self.go(account, run).await;
    }

    /// It is known that the server has it: what comes next.
    pub(super) fn taken(&mut self, email: &ClaimedEmail) -> Option<NextEmail> {
        let (h, now) = (self.agency.h, self.now());
        let person = self.people.get_mut(&email.lead).expect("somebody");
        (person.taken, person.taken_at) = (email.step, now);
        let (days, hours) = *DELAYS.get(email.step as usize)?;
        let small = |number: u32| u16::try_from(number).expect("small");
        let delay = if days > 0 { Delay::Days(small(days)) } else { Delay::Hours(small(hours)) };
        let course = &self.courses[person.course];
        let id = h.ids.make();
        Some(NextEmail {
            id,
            step: email.step + 1,
            variant: course.variants[email.step as usize].id,
            message_id: message_id(id, "0@example.com"),
            due_at: delayed(now, delay, &person.zone, course.window),
        })
    }
}
