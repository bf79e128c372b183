//! Who is stopped, and what becomes of what nobody knows of.

use mainstay_domain::{AccountState, EmailState, LeadId, LeadState, SendingAccountId, StopReason, SuppressionReason};

use super::super::Harness;
use super::super::jobs::worker_of;
use super::{Agency, Made, accepted, said, sender, sums};
use crate::{
    ACCOUNT_KIND, AddLeads, Allow, Became, BringForward, ClaimJobs, EmailEnd, EmailsOf, Ending, Fence, FinishJobs,
    Finished, GetAccount, GetEmail, Keeping, ListEmails, ListSuppressions, OUTREACH, OverallLimits, QueueLimits,
    ReadPlace, Resolution, ResolveEmail, Resolved, RestAccount, StopBy, Suppress,
};

pub(in super::super) async fn whoever_stops_gets_nothing_more(h: &Harness) {
    let agency = Agency::open(h, "agency").await;
    let tenant = agency.tenant;
    let account = agency.account("ada@example.com", sender(1_000)).await;
    let made = agency.campaign("Spring", &[account]).await;
    let other = agency.campaign("Other", &[account]).await;
    // A stop at each step on the way out: before the claim, after it, after the fence, after the first email.
    for (n, reason) in StopReason::ALL.iter().enumerate() {
        let addresses: Vec<String> = (0..4).map(|step| format!("{n}.{step}@x.test")).collect();
        let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
        let leads = agency.add(made.id, &addresses).await;
        let elsewhere = agency.add(other.id, &addresses).await;
        if n == 0 {
            agency.launch(made.id).await;
        }
        assert!(agency.stop(StopBy::Lead(leads[0]), *reason).await);
        let run = agency.begin(account).await;
        let claimed = agency.claim(&run, 10).await;
        let of = |lead: LeadId| claimed.iter().find(|email| email.lead == lead);
        assert!(of(leads[0]).is_none() && claimed.len() == 3);
        let (second, third, fourth) =
            (of(leads[1]).expect("claimed"), of(leads[2]).expect("claimed"), of(leads[3]).expect("claimed"));
        assert!(agency.stop(StopBy::Lead(leads[1]), *reason).await);
        assert!(!agency.fence(&run, second).await);
        assert_eq!(agency.email(second.id).await.state, EmailState::Cancelled);
        assert!(agency.fence(&run, third).await);
        assert!(agency.stop(StopBy::Email(third.id), *reason).await);
        let next = agency.next(&made, third);
        assert!(agency.end(&run, third, true, accepted(next.clone())).await, "it was in flight");
        assert!(agency.run(GetEmail { tenant, id: next.expect("a step").id }).await.is_none(), "and nothing follows");
        assert!(agency.fence(&run, fourth).await);
        let next = agency.next(&made, fourth);
        assert!(agency.end(&run, fourth, true, accepted(next.clone())).await);
        assert!(agency.stop(StopBy::Email(fourth.id), *reason).await);
        let next = next.expect("a step").id;
        assert_eq!(agency.email(next).await.state, EmailState::Cancelled);
        for (lead, elsewhere) in leads.iter().zip(&elsewhere) {
            assert_eq!(agency.lead(*lead).await, reason.lead());
            let goes_on = agency.lead(*elsewhere).await.goes_on();
            assert_eq!(goes_on, reason.suppresses().is_none(), "{reason}: in every campaign or in this one");
        }
        agency.figures(made.id).await;
        agency.figures(other.id).await;
    }
    assert!(!agency.stop(StopBy::Email(h.ids.make()), StopReason::Replied).await);
    assert!(!agency.stop(StopBy::Lead(h.ids.make()), StopReason::Replied).await);
    // Too much of what the account sent came back, or it was let go on: either way somebody has to see it.
    listed(&agency, &made, account).await;
}

/// The list of those whom nobody writes to: by address, by domain, and who is added later.
async fn listed(agency: &Agency<'_>, made: &Made, account: SendingAccountId) {
    let (h, tenant) = (agency.h, agency.tenant);
    let list = |subject: Option<&str>| ListSuppressions {
        tenant,
        subject: subject.map(str::to_owned),
        before: None,
        limit: 100,
    };
    let unsubscribed = agency.run(list(Some("1.0@x.test"))).await;
    assert_eq!(unsubscribed[0].reason, SuppressionReason::Unsubscribed);
    assert_eq!(agency.run(list(None)).await.len(), 12, "three reasons of four people");
    let leads = agency.add(made.id, &["p@late.test", "q@late.test", "r@other.test"]).await;
    let subjects = ["@late.test", "r@other.test"].map(str::to_owned).into_iter().collect();
    assert_eq!(agency.run(Suppress { tenant, subjects, now: h.now() }).await, 2);
    for lead in &leads {
        assert_eq!(agency.lead(*lead).await, LeadState::Stopped);
    }
    let later = agency.leads(&["s@late.test", "1.0@x.test", "t@fine.test"]);
    let added = AddLeads { tenant, campaign: made.id, leads: later, now: h.now() };
    let added = agency.run(added).await.expect("a campaign");
    assert_eq!((added.new.len(), added.suppressed.len()), (2, 1), "one is there already, one is not written to");
    assert!(agency.run(Allow { tenant, subject: "@late.test".to_owned(), digest: String::new() }).await);
    assert!(!agency.run(Allow { tenant, subject: "@late.test".to_owned(), digest: String::new() }).await);
    let run = agency.begin(account).await;
    let claimed = agency.claim(&run, 10).await;
    assert_eq!(claimed.iter().map(|email| email.address.as_str()).collect::<Vec<_>>(), ["t@fine.test"]);
    // Whoever comes onto the list past the leads is seen at the last step.
    let subjects = ["@fine.test".to_owned()].into();
    agency.run(Suppress { tenant, subjects, now: h.now() }).await;
    assert!(!agency.fence(&run, &claimed[0]).await);
    agency.figures(made.id).await;
}

pub(in super::super) async fn what_is_unknown_is_resolved(h: &Harness) {
    let agency = Agency::open(h, "agency").await;
    let tenant = agency.tenant;
    let account = agency.account("ada@example.com", sender(1_000)).await;
    let made = agency.campaign("Spring", &[account]).await;
    let leads = agency.add(made.id, &["a@x.test", "b@x.test", "c@x.test", "d@x.test", "e@x.test"]).await;
    agency.launch(made.id).await;
    let run = agency.begin(account).await;
    let claimed = agency.claim(&run, 10).await;
    for email in &claimed {
        assert!(agency.fence(&run, email).await);
    }
    assert!(agency.end(&run, &claimed[0], true, EmailEnd::Unknown("cut".to_owned())).await);
    let rejected = EmailEnd::Rejected { said: said(554), stop: StopReason::Stopped };
    assert!(agency.end(&run, &claimed[3], true, rejected).await);
    let bounced = EmailEnd::Rejected { said: said(550), stop: StopReason::Bounced };
    assert!(agency.end(&run, &claimed[4], true, bounced).await);
    let run = agency.begin(account).await;
    assert_eq!(run.left, (0, 2));
    let list = |of| ListEmails { tenant, of, before: None, limit: 10 };
    assert_eq!(agency.run(list(EmailsOf::Unknown)).await.len(), 3);
    assert_eq!(agency.run(list(EmailsOf::Rejected)).await.len(), 2);
    assert_eq!(agency.claim(&run, 10).await, [], "nothing of it is sent again by itself");
    let place = agency.run(ReadPlace { tenant, id: claimed[0].id }).await.expect("there");
    assert_eq!((place.lead, place.step, place.account), (leads[0], 1, account));
    let resolve = async |id, resolution| agency.run(ResolveEmail { tenant, id, resolution, now: h.now() }).await;
    // One was sent, one is to be sent again, one has answered: the last word is the truth.
    let next = agency.next(&made, &claimed[0]);
    assert_eq!(resolve(claimed[0].id, Resolution::Sent(next.clone())).await, Resolved::Done);
    assert_eq!(resolve(claimed[0].id, Resolution::Sent(next.clone())).await, Resolved::NotOpen);
    assert_eq!(agency.email(next.expect("a step").id).await.state, EmailState::Scheduled);
    assert_eq!(resolve(claimed[1].id, Resolution::Again).await, Resolved::Done);
    assert!(agency.stop(StopBy::Email(claimed[2].id), StopReason::Replied).await);
    let replied = agency.email(claimed[2].id).await;
    assert_eq!((replied.state, replied.replied_at), (EmailState::Accepted, Some(h.now())));
    assert_eq!(resolve(claimed[3].id, Resolution::Again).await, Resolved::Done, "one that was refused, too");
    assert_eq!(resolve(claimed[4].id, Resolution::Again).await, Resolved::Suppressed);
    agency.run(Allow { tenant, subject: "e@x.test".to_owned(), digest: String::new() }).await;
    assert_eq!(resolve(claimed[4].id, Resolution::Again).await, Resolved::Done);
    let sent = agency.claim(&run, 10).await;
    assert_eq!(sent.iter().map(|email| email.lead).collect::<Vec<_>>().len(), 3);
    for email in &sent {
        assert!(agency.fence(&run, email).await);
        assert!(agency.end(&run, email, true, accepted(None)).await);
    }
    assert_eq!(
        agency.figures(made.id).await,
        sums(&[
            ("accepted", 5),
            ("lead_active", 1),
            ("lead_finished", 3),
            ("lead_replied", 1),
            ("queued", 1),
            ("replied", 1)
        ])
    );
    // Too much comes back: the account rests until somebody has seen to it.
    let many: Vec<String> = (0..60).map(|n| format!("{n}@gone.test")).collect();
    agency.add(made.id, &many.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let run = agency.begin(account).await;
    let mut refused = 0;
    for email in agency.claim(&run, 60).await {
        if !agency.fence(&run, &email).await {
            refused += 1;
            continue;
        }
        let end = match email.address.len() % 2 {
            0 => EmailEnd::Rejected { said: said(550), stop: StopReason::Bounced },
            _ => accepted(None),
        };
        assert!(agency.end(&run, &email, true, end).await);
    }
    let rests = agency.run(GetAccount { tenant, id: account }).await.expect("there");
    assert_eq!((rests.state, rests.reason.is_some()), (AccountState::Paused, true));
    assert!(refused > 0, "from then on nothing goes out");
    agency.figures(made.id).await;
    assert_eq!(Became::MachineOpened.as_str(), "machine_opened");
}

/// The job of an account: promised by whoever gives it something to do, brought forward, and ended only when there is nothing.
pub(in super::super) async fn an_account_is_woken_and_rests(h: &Harness) {
    let agency = Agency::open(h, "agency").await;
    let tenant = agency.tenant;
    let account = agency.account("ada@example.com", sender(100)).await;
    let made = agency.campaign("Spring", &[account]).await;
    agency.add(made.id, &["a@x.test", "b@x.test"]).await;
    let worker = worker_of(h, OUTREACH, "a").await;
    let claim = async || {
        let (limits, overall) = (QueueLimits::default(), OverallLimits::default());
        let claim = ClaimJobs { queue: OUTREACH, worker, most: 10, limits, overall, now: h.now() };
        let mut jobs = Box::pin(h.store.run_for_jobs(&h.call(), claim)).await.expect("claimed").jobs;
        jobs.retain(|job| job.kind == ACCOUNT_KIND);
        jobs.pop()
    };
    let job = claim().await.expect("to name an account is to wake it");
    let seen = agency.begin(account).await.account.wakes;
    let fence = Fence { job: job.id, lease: job.lease, keep_until: h.now() };
    let rest = RestAccount { tenant, account, seen, fence, now: h.now() };
    agency.launch(made.id).await;
    assert!(!agency.run(rest).await, "it was given something meanwhile");
    // It waits for its moment, and is brought forward.
    let ending = Ending::Snoozed { until: h.now().plus(super::HOUR) };
    let finished = Finished { job: job.id, lease: job.lease, attempt: job.attempt, started_at: job.started_at, ending };
    let keeping = Keeping { done: super::HOUR, dead: super::HOUR };
    let finish = FinishJobs { attempts: vec![finished], keeping, now: h.now() };
    assert_eq!(agency.run(finish).await, [job.id]);
    assert!(claim().await.is_none());
    agency.run(BringForward { tenant, account, now: h.now() }).await;
    let job = claim().await.expect("it is due now");
    // A commit that was not confirmed has said that the email goes out: the answer to the repeat is the same.
    let run = agency.begin(account).await;
    let claimed = agency.claim(&run, 2).await;
    h.store.inner.lost_commits.store(1, std::sync::atomic::Ordering::Relaxed);
    assert!(agency.fence(&run, &claimed[0]).await);
    assert_eq!(agency.email(claimed[0].id).await.attempts, 1);
    assert!(agency.end(&run, &claimed[0], true, accepted(None)).await);
    let fence = Fence { job: job.id, lease: job.lease, keep_until: h.now() };
    let rest = RestAccount { tenant, account, seen: run.account.wakes, fence, now: h.now() };
    assert!(agency.run(rest).await);
    assert!(claim().await.is_none());
    // What is added is something to do again.
    agency.add(made.id, &["c@x.test"]).await;
    assert!(claim().await.is_some());
    agency.figures(made.id).await;
}
