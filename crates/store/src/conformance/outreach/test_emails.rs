//! Emails that try a text: they count against their account, and whoever wants no mail gets none.

use std::collections::BTreeSet;

use mainstay_domain::AccountState;

use super::super::Harness;
use super::{Agency, sender};
use crate::{ReserveTestEmail, SetAccountState, Suppress, TestEmailRoom};

pub(in super::super) async fn a_test_email_counts_against_its_account(h: &Harness) {
    let agency = Agency::open(h, "tries-texts").await;
    let account = agency.account("ada@example.com", sender(2)).await;
    let reserve = async |account, address: &str| {
        let address = address.to_owned();
        let digest = format!("erased1:{address}");
        agency.run(ReserveTestEmail { tenant: agency.tenant, account, address, digest, now: h.now() }).await
    };
    let subjects = BTreeSet::from(["no@lead.example".to_owned(), "@no.example".to_owned()]);
    let (tenant, now) = (agency.tenant, h.now());
    agency.run(Suppress { tenant, subjects, now }).await;
    for address in ["no@lead.example", "anybody@no.example"] {
        assert!(matches!(reserve(account, address).await, TestEmailRoom::Suppressed), "{address}");
    }
    for _ in 0..2 {
        let room = reserve(account, "me@lead.example").await;
        assert!(matches!(room, TestEmailRoom::Reserved(of) if of.id == account));
    }
    let room = reserve(account, "me@lead.example").await;
    assert!(matches!(room, TestEmailRoom::Full(again) if again > h.now()), "the cap is two");
    // Of two at once, one has the last place.
    let other = agency.account("eve@example.com", sender(1)).await;
    let (one, two) = tokio::join!(reserve(other, "me@lead.example"), reserve(other, "me@lead.example"));
    let reserved = [one, two].iter().filter(|room| matches!(room, TestEmailRoom::Reserved(_))).count();
    assert_eq!(reserved, 1);
    let (id, now) = (other, h.now());
    let reason = None;
    agency.run(SetAccountState { tenant, id, state: AccountState::Paused, reason, now }).await;
    assert!(matches!(reserve(other, "me@lead.example").await, TestEmailRoom::Resting(AccountState::Paused)));
    assert!(matches!(reserve(h.ids.make(), "me@lead.example").await, TestEmailRoom::Gone));
}
