//! What is to be known before a campaign begins: what the DNS says of its senders, and what its texts lack.

use std::collections::BTreeMap;

use mainstay_testing::smtp_sink::SinkOptions;
use mainstay_testing::{NameFault, NameServer, RecordType};
use serde_json::{Value, json};

use super::{Agency, signed};
use crate::support::{Engine, both, text};

both! {
    what_the_names_say_is_told_with_its_cure,
}

async fn what_the_names_say_is_told_with_its_cure(engine: Engine) {
    let names = NameServer::start().expect("a name server");
    let servers = json!([names.address().to_string()]).to_string();
    let settings = [("outreach.check_domains", "true"), ("outreach.name_servers", servers.as_str())];
    let Some(agency) = Agency::set(engine, SinkOptions::default(), &settings).await else { return };
    let mut more = signed("sender.example");
    more["tracking_domain"] = json!("links.sender.example");
    let account = agency.account("ada@sender.example", &more).await;
    let campaign = agency.campaign("Spring", &[&account], "1d").await;
    agency.add(&campaign, &["eve@lead.example".to_owned()]).await;
    let path = format!("/v1/campaigns/{campaign}/checklist");
    let checks = async || -> (bool, BTreeMap<String, Value>) {
        let list = agency.send("GET", &path, None).await.expect(200);
        let data = list["data"].as_array().expect("rows").iter().map(|check| (text(&check["code"]), check.clone()));
        (list["ready"].as_bool().expect("a truth"), data.collect())
    };
    // Nothing is published: nobody would take such mail, and links would lead nowhere.
    let (ready, found) = checks().await;
    assert!(!ready, "{found:?}");
    for (code, severity) in [
        ("spf_missing", "blocks"),
        ("dkim_missing", "blocks"),
        ("dmarc_missing", "warns"),
        ("tracking_domain_missing", "blocks"),
        ("unsubscribe_link_missing", "warns"),
        ("postal_address_missing", "warns"),
    ] {
        assert_eq!(
            found.get(code).map(|check| text(&check["severity"])),
            Some(severity.to_owned()),
            "{code}: {found:?}"
        );
    }
    assert_eq!(found["spf_missing"]["account_ids"], json!([account]));
    let launch = format!("/v1/campaigns/{campaign}/launch");
    let refused = agency.send("POST", &launch, None).await.expect(400);
    assert!(refused.to_string().contains("spf_missing"), "{refused}");
    // Each cure is published as it is told, and helps.
    for check in found.values().filter(|check| check["publish"].is_object()) {
        let record = &check["publish"];
        let kind = if record["kind"] == "TXT" { RecordType::Txt } else { RecordType::Cname };
        names.set(&text(&record["name"]), kind, &[text(&record["value"]).as_str()]).expect("a record");
    }
    names.set("mail.example.com", RecordType::A, &["192.0.2.1"]).expect("a record");
    names.set("sender.example", RecordType::Mx, &["10 mail.example.com"]).expect("a record");
    let spf = "v=spf1 mx ~all";
    names.set("sender.example", RecordType::Txt, &[spf]).expect("a record");
    let (ready, found) = checks().await;
    assert!(ready, "{found:?}");
    let cured = ["spf_missing", "dkim_missing", "dmarc_missing", "mx_missing", "tracking_domain_missing"];
    assert!(cured.iter().all(|code| !found.contains_key(*code)), "{found:?}");
    // A name server that does not answer stops nobody.
    names.fault("*", NameFault::Code(2));
    let (ready, found) = checks().await;
    assert!(ready && found.contains_key("dns_unanswered"), "{found:?}");
    agency.send("POST", &launch, None).await.expect(200);

    // The address of whoever sends: a text that names it needs one.
    let other = agency.campaign("Summer", &[&account], "1d").await;
    let steps = json!({"steps": [{"delay": "0d", "variants": [
        {"name": "A", "subject": "Hello", "text": "Hello\n{{postal_address}}\n{{unsubscribe_url}}"}]}]});
    agency.send("PUT", &format!("/v1/campaigns/{other}/steps"), Some(steps)).await.expect(200);
    agency.add(&other, &["bob@lead.example".to_owned()]).await;
    let launch = format!("/v1/campaigns/{other}/launch");
    let refused = agency.send("POST", &launch, None).await.expect(400);
    assert_eq!(refused["fields"][0]["field"], "postal_address");
    let wish = json!({"name": "Summer", "time_zone": "UTC", "postal_address": "1 Main Street\n10115 Berlin"});
    agency.send("PUT", &format!("/v1/campaigns/{other}"), Some(wish)).await.expect(200);
    let preview = agency.send("POST", &format!("/v1/campaigns/{other}/preview"), Some(json!({"step": 1}))).await;
    assert!(text(&preview.expect(200)["text"]).starts_with("Hello\n1 Main Street\n10115 Berlin\n"));
    agency.send("POST", &launch, None).await.expect(200);
}
