//! Outreach: each email goes out once, within what its account may send, and not to whoever has stopped; and the figures are
//! the rows.

pub(super) mod auditing;
pub(super) mod gmail;
pub(super) mod importing;
pub(super) mod interleaving;
pub(super) mod mailboxes;
pub(super) mod model;
pub(super) mod month;
pub(super) mod stopping;
mod sums;
pub(super) mod test_emails;
pub(super) mod tracking;

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join_all;
use mainstay_domain::{
    AccountState, CampaignId, CampaignState, EmailAddress, EmailId, EmailState, LeadId, LeadState, SendingAccountId,
    StepVariantId, StopReason, TenantId,
};

use super::{Harness, sealed};
use crate::{
    AccountRun, AccountSettings, AccountsOf, AddLeads, BeginRun, CampaignSettings, ClaimEmails, ClaimedEmail,
    ClearCampaign, Email, EmailClaim, EmailEnd, EmailsOf, EndEmail, Error, FenceEmail, FindByMessage, FindLacking,
    GetAccount, GetCampaign, GetEmail, GetLead, LeadOrder, ListAccounts, ListCampaigns, ListEmails, ListLeads, NewLead,
    NextEmail, Once, PutAccount, PutCampaign, PutSteps, Ramp, ReadDue, ReadSteps, ReadVariant, RunOf, SendingLane,
    ServerSaid, SetAccountState, SetCampaignState, StepVariant, StopBy, StopLead, SumFigures, UseAccounts,
};

pub(super) const HOUR: Duration = Duration::from_secs(3_600);
pub(super) const DAY: Duration = Duration::from_secs(86_400);

/// An organisation that writes to people.
pub(super) struct Agency<'a> {
    pub(super) h: &'a Harness,
    pub(super) tenant: TenantId,
}

/// A campaign with two steps, the first of which has two texts.
#[derive(Clone)]
pub(super) struct Made {
    pub(super) id: CampaignId,
    pub(super) variants: Vec<StepVariant>,
}

pub(super) fn settings(name: &str) -> CampaignSettings {
    CampaignSettings {
        name: name.to_owned(),
        zone: "Europe/Berlin".to_owned(),
        window: "mon-fri 09:00-17:00".to_owned(),
        starts_at: None,
        track_opens: true,
        track_clicks: false,
        stop_on_reply: true,
        goal_url: Some("https://example.com/thanks".to_owned()),
        postal_address: Some("1 Main Street".to_owned()),
    }
}

pub(super) fn sender(cap: u32) -> AccountSettings {
    AccountSettings {
        sender_name: "Ada".to_owned(),
        reply_to: None,
        kind: "smtp".to_owned(),
        host: "mail.example.com".to_owned(),
        port: 587,
        security: "start_tls".to_owned(),
        user_name: "ada".to_owned(),
        secret: Some(sealed("secret")),
        dkim: Some(("s1".to_owned(), "example.com".to_owned())),
        dkim_key: Some(sealed("key")),
        daily_cap: cap,
        ramp: None,
        gap: Duration::ZERO,
        domain_gap: Duration::ZERO,
        connections: 2,
        tracking_domain: Some("links.example.com".to_owned()),
    }
}

impl<'a> Agency<'a> {
    pub(super) async fn open(h: &'a Harness, name: &str) -> Self {
        let (tenant, _) = h.person(name).await;
        Self { h, tenant }
    }

    pub(super) async fn run<I: crate::Intent>(&self, intent: I) -> I::Output {
        Box::pin(self.h.store.run_for_jobs(&self.h.call(), intent)).await.expect("done")
    }

    pub(super) async fn account(&self, address: &str, settings: AccountSettings) -> SendingAccountId {
        let (id, tenant, now) = (self.h.ids.make(), self.tenant, self.h.now());
        let put = PutAccount { tenant, id, address: address.to_owned(), new: true, settings, now };
        assert!(self.run(put).await);
        id
    }

    pub(super) async fn campaign(&self, name: &str, accounts: &[SendingAccountId]) -> Made {
        let (h, tenant, id) = (self.h, self.tenant, self.h.ids.make());
        let put = PutCampaign { tenant, id, new: true, settings: settings(name), claim: None, now: h.now() };
        assert_eq!(self.run(put).await, Once::Done(true));
        let text = |step, name: &str, weight| StepVariant {
            id: h.ids.make(),
            step,
            name: name.to_owned(),
            weight,
            subject: format!("Hello {step}{name}"),
            body: "Hello {{first_name}}".to_owned(),
            html: (step == 2).then(|| "<p>Hello</p>".to_owned()),
        };
        let variants = vec![text(1, "A", 1), text(1, "B", 1), text(2, "A", 1)];
        let delays = vec![(0, 0), (2, 1)];
        self.run(PutSteps { tenant, campaign: id, delays, variants: variants.clone(), now: h.now() }).await;
        let used = self.run(UseAccounts { tenant, campaign: id, accounts: accounts.to_vec(), now: h.now() }).await;
        assert_eq!(used.map(|used| used.len()), Ok(accounts.len()));
        Made { id, variants }
    }

    pub(super) async fn become_(&self, campaign: CampaignId, seen: CampaignState, state: CampaignState) -> bool {
        let (tenant, now) = (self.tenant, self.h.now());
        self.run(SetCampaignState { tenant, id: campaign, seen, state, now }).await
    }

    pub(super) async fn launch(&self, campaign: CampaignId) {
        assert!(self.become_(campaign, CampaignState::Draft, CampaignState::Running).await);
    }

    pub(super) fn leads(&self, addresses: &[&str]) -> Vec<NewLead> {
        // Ids of one millisecond are in no order, and leads are taken in that of their ids.
        let mut ids: Vec<LeadId> = addresses.iter().map(|_| self.h.ids.make()).collect();
        ids.sort_unstable();
        let lead = |(id, address): (LeadId, &&str)| NewLead {
            id,
            address: EmailAddress::parse(address).expect("an address"),
            fields: BTreeMap::from([("first_name".to_owned(), "Ada".to_owned())]),
            zone: None,
            digest: format!("erased1:{address}"),
        };
        ids.into_iter().zip(addresses).map(lead).collect()
    }

    pub(super) async fn add(&self, campaign: CampaignId, addresses: &[&str]) -> Vec<LeadId> {
        let leads = self.leads(addresses);
        let ids = leads.iter().map(|lead| lead.id).collect();
        let (tenant, now) = (self.tenant, self.h.now());
        self.run(AddLeads { tenant, campaign, leads, now }).await.expect("there is such a campaign");
        ids
    }

    pub(super) async fn begin(&self, account: SendingAccountId) -> AccountRun {
        let (tenant, now) = (self.tenant, self.h.now());
        self.run(BeginRun { tenant, account, now }).await.expect("there is such an account")
    }

    pub(super) fn of(&self, run: &AccountRun) -> RunOf {
        RunOf { tenant: self.tenant, account: run.account.id, run: run.account.run }
    }

    /// A claim of all that a run sends for.
    pub(super) fn claiming(&self, run: &AccountRun, most: usize) -> ClaimEmails {
        let mut lanes = Vec::new();
        for one in &run.campaigns {
            let first = one.steps.first().map(|step| step.variants.clone()).unwrap_or_default();
            let lane =
                |zone: &String| SendingLane { campaign: one.campaign.id, zone: zone.clone(), first: first.clone() };
            lanes.extend(one.zones.iter().map(lane));
        }
        let ids = (0..most).map(|_| self.h.ids.make()).collect();
        let gap = run.account.settings.gap;
        let next_at = (!gap.is_zero()).then(|| self.h.now().plus(gap));
        ClaimEmails { run: self.of(run), lanes, ids, next_at, now: self.h.now() }
    }

    pub(super) async fn try_claim(&self, run: &AccountRun, most: usize) -> Result<EmailClaim, Error> {
        Box::pin(self.h.store.run_for_jobs(&self.h.call(), self.claiming(run, most))).await
    }

    pub(super) async fn claim(&self, run: &AccountRun, most: usize) -> Vec<ClaimedEmail> {
        match self.try_claim(run, most).await.expect("claimed") {
            EmailClaim::Claimed(emails) => emails,
            other => panic!("{other:?}"),
        }
    }

    pub(super) async fn fence(&self, run: &AccountRun, email: &ClaimedEmail) -> bool {
        let fence = FenceEmail { run: self.of(run), id: email.id, attempts: email.attempts, now: self.h.now() };
        self.h.store.fence_email(&self.h.call(), fence).await.expect("answered")
    }

    pub(super) async fn end(&self, run: &AccountRun, email: &ClaimedEmail, fenced: bool, end: EmailEnd) -> bool {
        let end =
            EndEmail { run: self.of(run), id: email.id, attempts: email.attempts, fenced, end, now: self.h.now() };
        self.h.store.end_email(&self.h.call(), end).await.expect("answered")
    }

    /// What comes after an email of a campaign with two steps.
    pub(super) fn next(&self, made: &Made, email: &ClaimedEmail) -> Option<NextEmail> {
        let id: EmailId = self.h.ids.make();
        (email.step == 1).then(|| NextEmail {
            id,
            step: 2,
            variant: made.variants[2].id,
            message_id: format!("{id}@example.com"),
            due_at: self.h.now().plus(2 * DAY),
        })
    }

    pub(super) async fn email(&self, id: EmailId) -> Email {
        self.run(GetEmail { tenant: self.tenant, id }).await.expect("it is there")
    }

    pub(super) async fn lead(&self, id: LeadId) -> LeadState {
        self.run(GetLead { tenant: self.tenant, id }).await.expect("it is there").state
    }

    pub(super) async fn stop(&self, by: StopBy, reason: StopReason) -> bool {
        self.run(StopLead { tenant: self.tenant, by, reason, now: self.h.now() }).await
    }
}

pub(super) fn said(code: u16) -> ServerSaid {
    ServerSaid { code: Some(code), enhanced: Some("2.0.0".to_owned()), text: "said".to_owned() }
}

pub(super) fn accepted(next: Option<NextEmail>) -> EmailEnd {
    EmailEnd::Accepted { said: said(250), provider: None, next }
}

pub(super) fn sums(pairs: &[(&str, i64)]) -> BTreeMap<String, i64> {
    pairs.iter().map(|(kind, number)| ((*kind).to_owned(), *number)).collect()
}

pub(super) async fn an_email_goes_out_once(h: &Harness) {
    let agency = Agency::open(h, "agency").await;
    let account = agency.account("ada@example.com", sender(100)).await;
    let made = agency.campaign("Spring", &[account]).await;
    let leads = agency.add(made.id, &["a@one.test", "b@two.test", "c@two.test"]).await;
    agency.add(made.id, &["A@one.test", "a@one.test"]).await;
    assert_eq!(agency.figures(made.id).await, sums(&[("lead_new", 3)]), "one for each address");
    assert_eq!(agency.begin(account).await.campaigns, [], "nothing of a draft is sent");
    agency.launch(made.id).await;
    let run = agency.begin(account).await;
    assert_eq!(run.campaigns[0].zones, ["Europe/Berlin"]);
    assert_eq!(run.campaigns[0].steps[1].delay_days, 2);
    let claimed = agency.claim(&run, 2).await;
    assert_eq!(
        claimed.iter().map(|email| (email.lead, email.step)).collect::<Vec<_>>(),
        [(leads[0], 1), (leads[1], 1)]
    );
    assert_eq!(claimed[0].fields["first_name"], "Ada");
    assert_eq!(claimed[0].message_id, format!("{}@example.com", claimed[0].id));
    assert_eq!(agency.claim(&run, 5).await.len(), 1, "the others have been taken");
    // One goes out, one is refused for now before anything went out, the third is not known of.
    assert!(agency.fence(&run, &claimed[0]).await);
    assert!(!agency.fence(&run, &claimed[0]).await, "it is in flight already");
    let next = agency.next(&made, &claimed[0]).expect("a second step");
    assert!(agency.end(&run, &claimed[0], true, accepted(Some(next.clone()))).await);
    assert!(!agency.end(&run, &claimed[0], true, accepted(Some(next.clone()))).await, "once");
    let later = h.now().plus(HOUR);
    assert!(agency.end(&run, &claimed[1], false, EmailEnd::Deferred { said: said(451), until: later }).await);
    let of_lead = ListEmails { tenant: agency.tenant, of: EmailsOf::Lead(made.id, leads[2]), before: None, limit: 9 };
    let third = agency.run(of_lead).await.remove(0);
    assert_eq!(third.state, EmailState::Claimed);
    assert_eq!(agency.figures(made.id).await, sums(&[("accepted", 1), ("lead_active", 3), ("queued", 3)]));
    // A worker that begins finds what the one before has left: what was claimed is to be sent.
    let again = agency.begin(account).await;
    assert_eq!(again.left, (1, 0));
    assert_eq!(agency.try_claim(&run, 1).await, Err(Error::Fenced), "the run before has no more to say");
    let due = ReadDue { run: agency.of(&again), lanes: vec![(made.id, "Europe/Berlin".to_owned())] };
    let due = agency.run(due).await;
    assert_eq!((due[0].due_at, due[0].fresh), (Some(third.due_at), false));
    let claimed = agency.claim(&again, 5).await;
    assert_eq!(claimed.iter().map(|email| email.lead).collect::<Vec<_>>(), [leads[2]], "the other waits for its hour");
    // What was in flight is not known of, and is not sent again.
    assert!(agency.fence(&again, &claimed[0]).await);
    let third = agency.begin(account).await;
    assert_eq!(third.left, (0, 1));
    h.clock.advance(HOUR);
    let claimed = agency.claim(&third, 5).await;
    assert_eq!(claimed.iter().map(|email| (email.lead, email.attempts)).collect::<Vec<_>>(), [(leads[1], 1)]);
    assert!(agency.fence(&third, &claimed[0]).await);
    assert!(agency.end(&third, &claimed[0], true, accepted(None)).await);
    assert_eq!(agency.lead(leads[1]).await, LeadState::Finished);
    assert_eq!(
        agency.figures(made.id).await,
        sums(&[("accepted", 2), ("lead_active", 2), ("lead_finished", 1), ("queued", 1), ("unknown", 1)])
    );
    // The second step goes by the same account, and knows the first.
    h.clock.advance(2 * DAY);
    let claimed = agency.claim(&third, 5).await;
    assert_eq!((claimed.len(), claimed[0].id, claimed[0].step), (1, next.id, 2));
    assert_eq!(claimed[0].earlier[0].step, 1);
    assert!(agency.fence(&third, &claimed[0]).await);
    assert!(agency.end(&third, &claimed[0], true, accepted(None)).await);
    assert_eq!(
        agency.figures(made.id).await,
        sums(&[("accepted", 3), ("lead_active", 1), ("lead_finished", 2), ("unknown", 1)])
    );
    let (empty, all) = (agency.campaign("Summer", &[]).await.id, agency.figures(made.id).await);
    let added_up = SumFigures { tenant: agency.tenant, campaigns: vec![empty, made.id] };
    assert_eq!(agency.run(added_up).await, BTreeMap::from([(made.id, all)]), "and nothing of one that has none");
    let found = FindByMessage {
        tenant: agency.tenant,
        message_ids: vec!["x@y".to_owned(), next.message_id.clone(), claimed[0].earlier[0].message_id.clone()],
    };
    assert_eq!(agency.run(found).await.expect("one of ours").id, next.id, "the likeliest first");
}

/// A run that is over and does not know it speaks at the same moment as the one that has its emails now.
pub(super) async fn of_two_runs_one_is_heard(h: &Harness) {
    let agency = Agency::open(h, "agency").await;
    let account = agency.account("ada@example.com", sender(100)).await;
    let made = agency.campaign("Spring", &[account]).await;
    agency.add(made.id, &["a@one.test"]).await;
    agency.launch(made.id).await;
    let over = agency.begin(account).await;
    let before = agency.claim(&over, 1).await.remove(0);
    let run = agency.begin(account).await;
    let email = agency.claim(&run, 1).await.remove(0);
    assert_eq!(email.id, before.id);
    // While the first goes to the database, the others come to be asked together.
    let asked = [&over, &over, &over, &run, &over, &run];
    let may = join_all(asked.map(|run| agency.fence(run, &email))).await;
    let told: Vec<_> = may.iter().zip(asked).filter(|(may, _)| **may).map(|(_, run)| run.account.run).collect();
    assert_eq!(told, [run.account.run], "one may send it, and one only");
    let put_back = EmailEnd::Released { until: h.now(), why: "gone".to_owned() };
    let said = [(&over, false), (&over, false), (&over, false), (&run, true), (&over, false)];
    let kept = join_all(said.map(|(run, fenced)| {
        let end = if fenced { accepted(None) } else { put_back.clone() };
        agency.end(run, &email, fenced, end)
    }));
    assert_eq!(kept.await, [false, false, false, true, false], "what the server said is kept");
    assert_eq!(agency.figures(made.id).await, sums(&[("accepted", 1), ("lead_finished", 1)]));
}

pub(super) async fn what_is_made_is_read_again(h: &Harness) {
    let agency = Agency::open(h, "agency").await;
    let tenant = agency.tenant;
    let account = agency.account("ada@example.com", sender(100)).await;
    let taken = PutAccount {
        tenant,
        id: h.ids.make(),
        address: "ada@example.com".to_owned(),
        new: true,
        settings: sender(1),
        now: h.now(),
    };
    assert!(!agency.run(taken.clone()).await, "one account for each address");
    // A secret that is not said stays.
    let changed = AccountSettings { secret: None, dkim_key: None, gap: HOUR, ..sender(7) };
    let change = PutAccount { id: account, new: false, settings: changed.clone(), ..taken };
    assert!(agency.run(change).await);
    let read = agency.run(GetAccount { tenant, id: account }).await.expect("there");
    let kept = AccountSettings { secret: Some(sealed("secret")), dkim_key: Some(sealed("key")), ..changed };
    assert_eq!((read.settings, read.state), (kept, AccountState::Active));
    let list = |after| ListAccounts { tenant, after, limit: 10 };
    let listed = agency.run(list(None)).await;
    assert_eq!(listed.iter().map(|one| one.id).collect::<Vec<_>>(), [account]);
    assert_eq!(agency.run(list(Some((listed[0].created_at, account)))).await, []);
    let made = agency.campaign("Spring", &[account]).await;
    assert_eq!(agency.run(AccountsOf { tenant, campaign: made.id }).await, [account]);
    let (steps, texts) = agency.run(ReadSteps { tenant, campaign: made.id }).await;
    assert_eq!((steps.len(), steps[0].variants.len(), texts), (2, 2, made.variants.clone()));
    // A text that is written anew has another id; the old one is still what it was.
    let mut variants = made.variants.clone();
    variants[0] = StepVariant { id: h.ids.make(), body: "Anew".to_owned(), ..variants[0].clone() };
    let put =
        PutSteps { tenant, campaign: made.id, delays: vec![(0, 0), (3, 0)], variants: variants.clone(), now: h.now() };
    agency.run(put).await;
    assert_eq!(agency.run(ReadSteps { tenant, campaign: made.id }).await.1, variants);
    let old: StepVariantId = made.variants[0].id;
    assert_eq!(agency.run(ReadVariant { tenant, id: old }).await.expect("kept").body, "Hello {{first_name}}");
    let changed = CampaignSettings { starts_at: Some(h.now()), track_clicks: true, ..settings("Summer") };
    let change = PutCampaign { tenant, id: made.id, new: false, settings: changed.clone(), claim: None, now: h.now() };
    assert_eq!(agency.run(change.clone()).await, Once::Done(true));
    let campaign = agency.run(GetCampaign { tenant, id: made.id }).await.expect("there");
    assert_eq!((campaign.settings, campaign.state), (changed.clone(), CampaignState::Draft));
    let listed = agency.run(ListCampaigns { tenant, before: None, limit: 10 }).await;
    assert_eq!(listed.iter().map(|one| one.id).collect::<Vec<_>>(), [made.id]);
    let leads = agency.add(made.id, &["a@one.test", "b@one.test"]).await;
    let list = ListLeads {
        tenant,
        campaign: made.id,
        order: LeadOrder::Newest(None),
        state: None,
        query: String::new(),
        limit: 1,
    };
    let first = agency.run(list.clone()).await;
    let second = agency.run(ListLeads { order: LeadOrder::Newest(Some(first[0].id)), ..list }).await;
    assert_eq!((first[0].id, second[0].id, first[0].zone.as_str()), (leads[1], leads[0], "Europe/Berlin"));
    let fields = ["first_name", "pet\"s name"].map(str::to_owned).into();
    let lacking = FindLacking { tenant, campaign: made.id, fields, limit: 10 };
    let lacking: std::collections::BTreeSet<_> = agency.run(lacking).await.into_iter().collect();
    assert_eq!(lacking, leads.iter().map(|lead| (*lead, "pet\"s name".to_owned())).collect());
    let all = ListEmails { tenant, of: EmailsOf::All, before: None, limit: 10 };
    assert_eq!(agency.run(all).await, []);
    // One that is over stays over, and what it had left is cleared.
    agency.launch(made.id).await;
    let run = agency.begin(account).await;
    agency.claim(&run, 1).await;
    assert!(agency.become_(made.id, CampaignState::Running, CampaignState::Stopped).await);
    assert!(!agency.run(ClearCampaign { tenant, id: made.id, now: h.now() }).await, "all of it at once");
    assert_eq!(agency.figures(made.id).await, sums(&[("cancelled", 1), ("lead_stopped", 2)]));
    assert_eq!(agency.run(change).await, Once::Done(false));
    assert_eq!(
        agency.run(AddLeads { tenant, campaign: made.id, leads: agency.leads(&["x@y.test"]), now: h.now() }).await,
        None
    );
    let of = EmailsOf::Campaign(made.id);
    let listed = agency.run(ListEmails { tenant, of, before: None, limit: 10 }).await;
    assert_eq!(listed.iter().map(|email| email.state).collect::<Vec<_>>(), [EmailState::Cancelled]);
}

pub(super) async fn an_account_sends_no_more_than_it_may(h: &Harness) {
    let agency = Agency::open(h, "agency").await;
    let ramp = Some(Ramp { start: 2, step: 1, from: h.now() });
    let account = agency.account("ada@example.com", AccountSettings { ramp, ..sender(4) }).await;
    let made = agency.campaign("Spring", &[account]).await;
    let addresses: Vec<String> = (0..20).map(|n| format!("{n}@{}.test", n % 3)).collect();
    agency.add(made.id, &addresses.iter().map(String::as_str).collect::<Vec<_>>()).await;
    agency.launch(made.id).await;
    let run = agency.begin(account).await;
    // What is claimed counts like what was sent.
    let claimed = agency.claim(&run, 10).await;
    assert_eq!(claimed.len(), 2, "the first day");
    assert!(matches!(agency.try_claim(&run, 10).await, Ok(EmailClaim::Wait(_))));
    for email in &claimed {
        assert!(agency.fence(&run, email).await);
        agency.end(&run, email, true, accepted(None)).await;
    }
    let Ok(EmailClaim::Wait(until)) = agency.try_claim(&run, 10).await else { panic!("there is no room") };
    assert!(until.since(h.now()) > DAY && until.since(h.now()) <= DAY + Duration::from_secs(300));
    h.clock.advance(DAY - HOUR);
    assert!(matches!(agency.try_claim(&run, 10).await, Ok(EmailClaim::Wait(_))), "any 24 hours, and not each day");
    h.clock.advance(HOUR + Duration::from_secs(300));
    let claimed = agency.claim(&run, 10).await;
    assert_eq!(claimed.len(), 3, "a day adds one");
    // What was not taken for certain gives its place back.
    assert!(agency.fence(&run, &claimed[0]).await);
    agency.end(&run, &claimed[0], true, EmailEnd::Deferred { said: said(451), until: h.now().plus(DAY) }).await;
    assert_eq!(agency.claim(&run, 10).await.len(), 1);
    // One email after the other, and not two to one domain at once.
    let careful = AccountSettings { domain_gap: HOUR, ..sender(100) };
    let other = agency.account("eve@example.com", careful).await;
    let use_both =
        UseAccounts { tenant: agency.tenant, campaign: made.id, accounts: vec![account, other], now: h.now() };
    assert_eq!(agency.run(use_both).await.map(|used| used.len()), Ok(2));
    let unknown = UseAccounts { tenant: agency.tenant, campaign: made.id, accounts: vec![h.ids.make()], now: h.now() };
    assert!(agency.run(unknown).await.is_err(), "there is no such account, and nothing changes");
    let run = agency.begin(other).await;
    let claimed = agency.claim(&run, 9).await;
    let domains: std::collections::BTreeSet<_> =
        claimed.iter().map(|email| email.address.rsplit('@').next().map(str::to_owned)).collect();
    assert_eq!((claimed.len(), domains.len()), (3, 3), "one for each domain");
    assert!(matches!(agency.try_claim(&run, 9).await, Ok(EmailClaim::PutOff | EmailClaim::Claimed(_))));
    h.clock.advance(HOUR);
    let later = agency.claim(&run, 9).await;
    assert_eq!(later.len(), 3, "the next turn of each domain");
    let gap = AccountSettings { gap: HOUR, secret: None, dkim_key: None, ..sender(100) };
    let put = PutAccount {
        tenant: agency.tenant,
        id: other,
        address: "eve@example.com".to_owned(),
        new: false,
        settings: gap,
        now: h.now(),
    };
    assert!(agency.run(put).await);
    let run = agency.begin(other).await;
    assert_eq!(agency.claim(&run, 1).await.len(), 1);
    assert_eq!(agency.try_claim(&run, 1).await, Ok(EmailClaim::Wait(h.now().plus(HOUR))));
    // One that rests sends nothing.
    let rest = SetAccountState {
        tenant: agency.tenant,
        id: other,
        state: AccountState::Paused,
        reason: Some("asked".to_owned()),
        now: h.now(),
    };
    assert!(agency.run(rest.clone()).await);
    assert_eq!(agency.try_claim(&run, 1).await, Ok(EmailClaim::Resting(AccountState::Paused)));
    assert!(agency.run(SetAccountState { state: AccountState::Active, reason: None, ..rest }).await);
    h.clock.advance(5 * DAY);
    assert_eq!(agency.claim(&agency.begin(other).await, 1).await.len(), 1, "a new day");
    agency.figures(made.id).await;
}
