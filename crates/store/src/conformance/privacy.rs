//! A person is found in whatever table they are named.

use std::collections::BTreeSet;

use mainstay_domain::{CallTold, EmailAddress, InboxSourceId, PhoneNumber, TenantId};

use super::Harness;
use crate::privacy::{Found, Identifiers, find, learn};
use crate::{HearCall, KnowContact, Processing, ReceiveEvent};

async fn found(h: &Harness, identifiers: &Identifiers, tenant: Option<TenantId>) -> Vec<Found> {
    let mut all = Vec::new();
    let mut take = |one| {
        all.push(one);
        Ok(())
    };
    let rows = find(&h.options, identifiers, tenant, &mut take).await.expect("walked");
    assert!(rows > all.len() as u64);
    all
}

fn tables(found: &[Found]) -> BTreeSet<&str> {
    found.iter().map(|one| one.table).collect()
}

pub(super) async fn a_person_is_found_in_whatever_table_they_are_named(h: &Harness) {
    let (tenant, _) = h.person("gwen").await;
    let (other, _) = h.person("hugo").await;
    let know = |tenant, name: &str, email: &str| KnowContact {
        tenant,
        id: h.ids.make(),
        name: name.to_owned(),
        phone: Some(PhoneNumber::parse("+4930901877", None).expect("a number")),
        email: Some(EmailAddress::parse(email).expect("an address")),
        now: h.now(),
    };
    h.store.run(&h.call(), know(tenant, "Iris Murdoch", "iris@example.net")).await.expect("known");
    h.store.run(&h.call(), know(other, "Iris Elsewhere", "iris@example.net")).await.expect("known");
    let told = CallTold {
        number: Some("+4930901877".to_owned()),
        summary: Some("She wants a cleaning.".to_owned()),
        ..CallTold::default()
    };
    let call = HearCall {
        tenant,
        provider_id: "privacy".to_owned(),
        id: h.ids.make(),
        told,
        contact: None,
        fence: None,
        now: h.now(),
    };
    h.store.run(&h.call(), call).await.expect("heard");
    let source: InboxSourceId = h.ids.make();
    let event = ReceiveEvent {
        id: h.ids.make(),
        tenant,
        source,
        provider: "generic",
        identity: "privacy".to_owned(),
        kind: "k".to_owned(),
        version: None,
        // Written by numbers, as some senders do.
        payload: r#"{"from": "\u0069ris@example.net"}"#.into(),
        processing: Processing::Kept,
        now: h.now(),
    };
    h.store.receive_event(&h.call(), event).await.expect("received");

    // By the address alone: where it stands. Then by what these rows say of her: the call from her number, too.
    let mut iris = Identifiers::default().text("IRIS@example.net").expect("an address");
    let direct = found(h, &iris, Some(tenant)).await;
    assert_eq!(tables(&direct), BTreeSet::from(["contact", "inbox_event"]));
    assert!(direct.iter().all(|one| one.row.get("tenant_id").is_none_or(|id| *id == tenant.to_string())));
    learn(&h.options, &mut iris, Some(tenant)).await.expect("learnt");
    let all = found(h, &iris, Some(tenant)).await;
    assert_eq!(tables(&all), BTreeSet::from(["contact", "inbox_event", "phone_call", "phone_call_term"]));
    let contact = all.iter().find(|one| one.table == "contact").expect("hers");
    assert_eq!((&contact.row["name"], &contact.row["phone"]), (&"Iris Murdoch".into(), &"+4930901877".into()));
    // Over all organisations there is one more of her.
    assert_eq!(found(h, &iris, None).await.iter().filter(|one| one.table == "contact").count(), 2);
    // Nobody has this address.
    let nobody = Identifiers::default().text("nobody@example.net").expect("an address");
    assert_eq!(found(h, &nobody, None).await, []);
    // A password is a hash, and its owner is found by who they are.
    let gwen = Identifiers::default().text("gwen@example.com").expect("an address");
    assert!(tables(&found(h, &gwen, None).await).contains("person"));
}
