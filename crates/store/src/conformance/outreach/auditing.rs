//! What audits look for: accounts and mailboxes, emails that were left, figures that are not their rows, mail after a stop.

use std::collections::BTreeSet;

use mainstay_domain::{AccountState, EmailState};
use uuid::Uuid;

use super::super::Harness;
use super::mailboxes::settings;
use super::{Agency, DAY, HOUR, accepted, sender};
use crate::error::Result;
use crate::intent::Intent;
use crate::outreach::figures::{Kind, Of, Tally};
use crate::tx::{Scope, Tx};
use crate::{
    AuditAccounts, AuditCampaigns, CompareFigures, ComparedFigures, CountSent, EmailEnd, FindLeftEmails,
    FindSentAfterStop, PutMailbox, SetAccountState, Suppress,
};

/// Counts an email that is not there.
#[derive(Clone, Copy, Debug)]
struct Miscount(Of);

impl Intent for Miscount {
    type Output = ();
    const WRITES: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.0.tenant_id.into())
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<()> {
        let mut tally = Tally::default();
        tally.add(self.0, Kind::Email(EmailState::Accepted), 1);
        tally.write(tx).await
    }
}

pub(in super::super) async fn what_audits_look_for_is_found(h: &Harness) {
    let agency = Agency::open(h, "audited").await;
    let tenant = agency.tenant;
    let account = agency.account("ada@example.com", sender(100)).await;
    let idle = agency.account("eve@example.com", sender(100)).await;
    let made = agency.campaign("Spring", &[account]).await;
    agency.add(made.id, &["a@one.test", "b@two.test", "c@three.test", "d@four.test"]).await;
    // Other tests have accounts in the same database.
    let seen = async |id| {
        let all = agency.run(AuditAccounts { limit: 1_000 }).await;
        all.into_iter().find(|one| one.id == id).expect("it is there")
    };
    assert!(!seen(account).await.in_use, "nothing runs");
    agency.launch(made.id).await;
    let used = seen(account).await;
    assert_eq!((used.in_use, used.tenant, used.state), (true, tenant, AccountState::Active));
    assert_eq!((used.address.as_str(), used.mailbox), ("ada@example.com", None));
    assert!(!seen(idle).await.in_use);
    let reason = Some("535".to_owned());
    agency.run(SetAccountState { tenant, id: idle, state: AccountState::Reconnect, reason, now: h.now() }).await;
    let (idle, put_at) = (seen(idle).await, h.now());
    assert_eq!((idle.state, idle.reason.as_deref()), (AccountState::Reconnect, Some("535")));
    agency.run(PutMailbox { tenant, account, settings: settings("imap.example.com"), now: put_at }).await;
    assert_eq!(seen(account).await.mailbox.expect("there").since, put_at);
    let listed = agency.run(AuditCampaigns { limit: 1_000 }).await;
    let listed = listed.into_iter().find(|one| one.id == made.id).expect("it is there");
    assert_eq!((listed.tenant, listed.is_running, listed.name.as_str()), (tenant, true, "Spring"));

    // One goes out, of one nobody knows, one is in flight, and one is taken.
    let run = agency.begin(account).await;
    let claimed = agency.claim(&run, 4).await;
    for email in &claimed[..3] {
        assert!(agency.fence(&run, email).await);
    }
    agency.end(&run, &claimed[0], true, accepted(None)).await;
    agency.end(&run, &claimed[1], true, EmailEnd::Unknown("cut".to_owned())).await;
    let left = FindLeftEmails { held_before: h.now().minus(HOUR), accounts: 1_000 };
    let mine = |left: crate::LeftEmails| {
        let held: BTreeSet<_> = left.held.iter().filter(|(_, of, _)| *of == tenant).map(|(id, ..)| *id).collect();
        let unknown = left.unknown.into_iter().find(|(of, ..)| *of == tenant);
        (held, unknown.map(|(_, number, oldest)| (number, oldest)))
    };
    let begun = h.now();
    assert_eq!(mine(agency.run(left).await), (BTreeSet::new(), Some((1, begun))), "they are worked on");
    h.clock.advance(2 * HOUR);
    let (held, _) = mine(agency.run(FindLeftEmails { held_before: h.now().minus(HOUR), ..left }).await);
    assert_eq!(held, BTreeSet::from([claimed[2].id, claimed[3].id]));

    // What was sent counts; what is only taken does not.
    let sent = CountSent { tenant, campaign: made.id, since: begun.minus(HOUR), limit: 100 };
    assert_eq!(agency.run(sent).await, [(account, 3)]);
    assert_eq!(agency.run(CountSent { since: begun, ..sent }).await, [], "since then nothing");
    sent_after_stop(&agency, claimed[0].address.clone(), claimed[0].id).await;
    exported(&agency, made.id).await;
    miscounted(&agency, made.id.uuid(), account.uuid()).await;
}

/// It went out, and later somebody says that its address was on the list two days before.
async fn sent_after_stop(agency: &Agency<'_>, address: String, id: mainstay_domain::EmailId) {
    let (tenant, now) = (agency.tenant, agency.h.now());
    let find = FindSentAfterStop { under_way: HOUR, limit: 2_000 };
    let mine = async || {
        let found = agency.run(find).await;
        assert!(found.looked_at >= 3);
        found.emails.into_iter().filter(|(_, of)| *of == tenant).map(|(id, _)| id).collect::<Vec<_>>()
    };
    assert_eq!(mine().await, []);
    agency.run(Suppress { tenant, subjects: BTreeSet::from(["@two.test".to_owned()]), now }).await;
    assert_eq!(mine().await, [], "after it went out");
    let subjects = BTreeSet::from([address]);
    agency.run(Suppress { tenant, subjects, now: now.minus(2 * DAY) }).await;
    assert_eq!(mine().await, [id]);
}

async fn miscounted(agency: &Agency<'_>, campaign_id: Uuid, account_id: Uuid) {
    let tenant = agency.tenant;
    let compare = CompareFigures { tenant, campaign: campaign_id.into(), most_rows: 100 };
    let ComparedFigures::Differ(differ, rows) = agency.run(compare).await else { panic!("it is small") };
    assert!(differ.is_empty() && rows == 8, "four leads and four emails: {differ:?} {rows}");
    let few = CompareFigures { most_rows: 7, ..compare };
    assert_eq!(agency.run(few).await, ComparedFigures::TooLarge(8));
    let of = Of { tenant_id: tenant.uuid(), campaign_id, step: 3, variant_id: Uuid::nil(), account_id, day: 1 };
    agency.run(Miscount(of)).await;
    let ComparedFigures::Differ(differ, _) = agency.run(compare).await else { panic!("it is small") };
    let said: Vec<_> = differ.iter().map(|(said, rows)| (said.step, said.kind.as_str(), said.number, *rows)).collect();
    assert_eq!(said, [(3, "accepted", 1, 0)]);
}

/// The same campaign as a table: each lead once, with what came of its emails.
async fn exported(agency: &Agency<'_>, campaign: mainstay_domain::CampaignId) {
    let tenant = agency.tenant;
    let names = agency.run(crate::ReadFieldNames { tenant, campaign, after: None, limit: 10 }).await;
    assert!(names.len() == 4 && names.iter().all(|(_, fields)| *fields == ["first_name"]), "{names:?}");
    let last = names[3].0;
    let page = agency.run(crate::ExportLeads { tenant, campaign, after: None, last, limit: 10 }).await;
    assert_eq!((page.len(), page.iter().map(|(_, came)| came.sent).sum::<u32>()), (4, 1));
    let after = Some(names[2].0);
    let rest = agency.run(crate::ExportLeads { tenant, campaign, after, last, limit: 10 }).await;
    assert_eq!(rest.iter().map(|(lead, _)| lead.id).collect::<Vec<_>>(), [last]);
}
