//! What readers and machines do with emails, and how leads are found.

use std::time::Duration;

use futures_util::future::join_all;
use mainstay_domain::outreach::{Asked, HitMethod, IMAGE, MachineReason, Visitor};
use mainstay_domain::{EmailState, LeadState, StopReason};

use super::super::Harness;
use super::{Agency, HOUR, Made, accepted, sender, sums};
use crate::{AccountRun, ClaimedEmail, Conversion, ConvertLead, LeadOrder, ListLeads, NoteHit, NotedHit, StopBy};

const BROWSER: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0";

impl Agency<'_> {
    fn asked(&self, email: &ClaimedEmail, link: u16) -> NoteHit {
        let asked = Asked {
            link,
            links: 3,
            method: HitMethod::Get,
            user_agent: BROWSER.to_owned(),
            prefetch: false,
            from_machine_range: false,
            at: self.h.now(),
        };
        NoteHit { tenant: self.tenant, email: email.id, asked, url: Some("https://example.com/".to_owned()) }
    }

    async fn hit(&self, email: &ClaimedEmail, link: u16) -> NotedHit {
        self.run(self.asked(email, link)).await.expect("there is such an email")
    }

    /// A campaign of which these have got the first email.
    async fn sent(&self, addresses: &[&str]) -> (Made, AccountRun, Vec<ClaimedEmail>) {
        let account = self.account("ada@example.com", sender(1_000)).await;
        let made = self.campaign("Spring", &[account]).await;
        self.add(made.id, addresses).await;
        self.launch(made.id).await;
        let run = self.begin(account).await;
        let claimed = self.claim(&run, addresses.len()).await;
        for email in &claimed {
            assert!(self.fence(&run, email).await);
        }
        (made, run, claimed)
    }
}

pub(in super::super) async fn what_readers_do_is_counted(h: &Harness) {
    let agency = Agency::open(h, "agency").await;
    let (made, run, claimed) = agency.sent(&["a@one.test", "b@two.test"]).await;
    let (first, second) = (&claimed[0], &claimed[1]);
    let early = agency.hit(first, IMAGE).await;
    assert_eq!(early.visitor, Visitor::Machine(MachineReason::TooSoon), "it is still on its way");
    assert_eq!(early.state, EmailState::InFlight);
    for email in [first, second] {
        assert!(agency.end(&run, email, true, accepted(None)).await);
    }
    h.clock.advance(HOUR);
    // Whoever opens it at once in several places counts once.
    let opened = join_all((0..8).map(|_| agency.hit(first, IMAGE))).await;
    assert_eq!(opened.iter().filter(|hit| hit.first).count(), 1);
    assert!(opened.iter().all(|hit| hit.visitor == Visitor::Human));
    let clicked = agency.hit(first, 1).await;
    assert!(clicked.first && !clicked.converted);
    assert!(!agency.hit(first, 2).await.first, "the first link counts");
    let email = agency.email(first.id).await;
    assert_eq!((email.opened_at.0, email.clicked_at.0), (Some(h.now()), Some(h.now())));
    assert!(email.opened_at.1.is_some() && email.clicked_at.1.is_none());
    assert_eq!(
        agency.figures(made.id).await,
        sums(&[("accepted", 2), ("clicked", 1), ("lead_finished", 2), ("machine_opened", 1), ("opened", 1)])
    );
    // What seemed to be a person follows all links.
    for link in 1..=3 {
        agency.hit(second, link).await;
        h.clock.advance(Duration::from_secs(1));
    }
    let email = agency.email(second.id).await;
    assert!(email.clicked_at.0.is_none() && email.clicked_at.1.is_some() && email.opened_at.0.is_none());
    let figures = agency.figures(made.id).await;
    assert_eq!((figures["clicked"], figures["machine_clicked"], figures["opened"]), (1, 1, 1));
    let nowhere = NoteHit { email: h.ids.make(), ..agency.asked(first, 1) };
    assert_eq!(agency.run(nowhere).await, None);
    let other = Agency::open(h, "other").await;
    assert_eq!(other.run(NoteHit { tenant: other.tenant, ..agency.asked(first, 1) }).await, None);
}

pub(in super::super) async fn a_lead_is_converted_once(h: &Harness) {
    let agency = Agency::open(h, "agency").await;
    let (made, run, claimed) = agency.sent(&["a@one.test", "b@two.test", "c@three.test"]).await;
    let goal = |email: &ClaimedEmail| NoteHit {
        url: Some("https://example.com/thanks?from=mail".to_owned()),
        ..agency.asked(email, 1)
    };
    let convert = |address: &str| ConvertLead {
        tenant: agency.tenant,
        campaign: made.id,
        address: address.to_owned(),
        now: h.now(),
    };
    let next = agency.next(&made, &claimed[0]);
    assert!(agency.end(&run, &claimed[0], true, accepted(next)).await);
    assert!(agency.end(&run, &claimed[1], true, accepted(None)).await);
    h.clock.advance(HOUR);
    // By the link and by the event, at once.
    let (by_link, by_event) =
        futures_util::future::join(agency.run(goal(&claimed[0])), agency.run(convert("a@one.test"))).await;
    let converted =
        u32::from(by_link.expect("there is such an email").converted) + u32::from(by_event == Some(Conversion::First));
    assert_eq!(converted, 1);
    assert_eq!(agency.run(convert("b@two.test")).await, Some(Conversion::First));
    assert_eq!(agency.run(convert("b@two.test")).await, Some(Conversion::Again));
    assert_eq!(agency.run(convert("nobody@two.test")).await, None);
    agency.add(made.id, &["d@four.test"]).await;
    assert_eq!(agency.run(convert("d@four.test")).await, Some(Conversion::NothingSent));
    let scanner = goal(&claimed[2]);
    let scanner = NoteHit { asked: Asked { user_agent: "curl/8".to_owned(), ..scanner.asked }, ..scanner };
    assert!(!agency.run(scanner).await.expect("there is such an email").converted, "machines want nothing");
    assert_eq!(agency.figures(made.id).await["converted"], 2);
}

pub(in super::super) async fn leads_are_found_and_sorted(h: &Harness) {
    let agency = Agency::open(h, "agency").await;
    let made = agency.campaign("Spring", &[]).await;
    let addresses = ["c_1@x.test", "a@x.test", "b%@y.test", "d@y.test"];
    let leads = agency.add(made.id, &addresses).await;
    assert!(agency.stop(StopBy::Lead(leads[1]), StopReason::Stopped).await);
    let list = |order: LeadOrder, state: Option<LeadState>, query: &str| ListLeads {
        tenant: agency.tenant,
        campaign: made.id,
        order,
        state,
        query: query.to_owned(),
        limit: 2,
    };
    let found = async |list: ListLeads| -> Vec<String> {
        agency.run(list).await.into_iter().map(|lead| lead.address).collect()
    };
    assert_eq!(found(list(LeadOrder::Newest(None), None, "")).await, ["d@y.test", "b%@y.test"]);
    assert_eq!(found(list(LeadOrder::Newest(Some(leads[2])), None, "")).await, ["a@x.test", "c_1@x.test"]);
    assert_eq!(found(list(LeadOrder::Oldest(None), None, "")).await, ["c_1@x.test", "a@x.test"]);
    assert_eq!(found(list(LeadOrder::Oldest(Some(leads[1])), None, "")).await, ["b%@y.test", "d@y.test"]);
    assert_eq!(found(list(LeadOrder::Address(None), None, "")).await, ["a@x.test", "b%@y.test"]);
    let after = LeadOrder::Address(Some("b%@y.test".to_owned()));
    assert_eq!(found(list(after, None, "")).await, ["c_1@x.test", "d@y.test"]);
    assert_eq!(found(list(LeadOrder::AddressBack(None), None, "")).await, ["d@y.test", "c_1@x.test"]);
    let before = LeadOrder::AddressBack(Some("c_1@x.test".to_owned()));
    assert_eq!(found(list(before, None, "")).await, ["b%@y.test", "a@x.test"]);
    for order in
        [LeadOrder::Newest(None), LeadOrder::Oldest(None), LeadOrder::Address(None), LeadOrder::AddressBack(None)]
    {
        assert_eq!(found(list(order.clone(), Some(LeadState::Stopped), "")).await, ["a@x.test"]);
        assert_eq!(found(list(order.clone(), Some(LeadState::New), "X.test")).await, ["c_1@x.test"]);
        assert_eq!(found(list(order.clone(), None, "%")).await, ["b%@y.test"], "no pattern of its own");
        assert_eq!(found(list(order.clone(), None, "_")).await, ["c_1@x.test"]);
        assert_eq!(found(list(order.clone(), None, "ada")).await.len(), 2, "by their names");
        assert!(found(list(order, None, "nobody")).await.is_empty());
    }
}
