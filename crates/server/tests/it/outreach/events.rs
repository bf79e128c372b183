//! Endpoints of an organisation are told what becomes of its emails.

use mainstay_testing::smtp_sink::{SinkFault, SinkOptions};
use serde_json::{Value, json};

use super::{Agency, PATIENCE, leaving};
use crate::deliveries::{SETTINGS, endpoint};
use crate::support::receiver::Receiver;
use crate::support::{Engine, both};

both! {
    endpoints_are_told_what_becomes_of_emails,
}

async fn endpoints_are_told_what_becomes_of_emails(engine: Engine) {
    let options = SinkOptions { keep_bytes: true, ..SinkOptions::default() };
    let settings: Vec<_> = SETTINGS.into_iter().filter(|(key, _)| key.starts_with("deliveries.")).collect();
    let Some(agency) = Agency::set(engine, options, &settings).await else { return };
    let (all, some) = (Receiver::start().await, Receiver::start().await);
    endpoint(&agency.server, &agency.owner, json!({"url": all.url()})).await;
    endpoint(&agency.server, &agency.owner, json!({"url": some.url(), "event_types": ["email.bounced"]})).await;
    agency.sink.fault(SinkFault::for_recipient("gone@", "550 5.1.1 no such user"));
    let account = agency.account("ada@example.com", &json!({})).await;
    let campaign = agency.campaign("Spring", &[&account], "9d").await;
    agency.add(&campaign, &["eve@lead.example".to_owned(), "gone@lead.example".to_owned()]).await;
    agency.launch(&campaign).await;
    assert!(agency.sink.wait_for(1, PATIENCE).await);
    let told = |arrivals: &[crate::support::receiver::Arrival]| {
        let mut kinds: Vec<Value> = arrivals.iter().map(|one| one.json()["type"].clone()).collect();
        kinds.sort_by_key(ToString::to_string);
        kinds
    };
    assert_eq!(told(&all.until(3).await), ["email.bounced", "email.rejected", "email.sent"]);
    let bounced = some.until(1).await[0].json();
    assert_eq!((&bounced["type"], &bounced["data"]["email"]), (&json!("email.bounced"), &json!("gone@lead.example")));
    for name in ["email_id", "campaign_id", "lead_id", "variant_id", "account_id"] {
        assert!(bounced["data"][name].is_string(), "{name}: {bounced}");
    }
    // Whoever leaves is told of once, however often they say so.
    let path = leaving(&agency.sink.kept()[0]);
    for _ in 0..2 {
        assert_eq!(agency.server.send("POST", &path, None, None).await.status, 200);
    }
    let convert = json!({"email": "eve@lead.example"});
    agency.send("POST", &format!("/v1/campaigns/{campaign}/conversions"), Some(convert)).await.expect(200);
    let arrivals = all.until(5).await;
    assert_eq!(told(&arrivals[3..]), ["email.converted", "email.unsubscribed"]);
    assert_eq!(some.arrivals().len(), 1, "what it does not want it is not told");
    // Nobody else tells of emails.
    let forged = json!({"type": "email.sent", "data": {}});
    assert_eq!(
        agency.send("POST", "/v1/webhook-events", Some(forged)).await.expect(400)["fields"][0]["code"],
        "reserved"
    );
}
