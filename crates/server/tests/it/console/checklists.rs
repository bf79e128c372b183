//! The checklist of a campaign: what stands in its way is told with the record that cures it.

use mainstay_testing::{NameServer, RecordType};
use serde_json::json;

use super::office::Office;
use crate::outreach::steps;
use crate::support::text;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_that_is_missing_is_copied_and_looked_for_again() {
    let names = NameServer::start().expect("a name server");
    let servers = json!([names.address().to_string()]).to_string();
    let Some(office) = Office::set(&[("outreach.name_servers", &servers)]).await else { return };
    let view = &office.view;
    let account = office.account("ada@sender.example").await;
    let wish = json!({"name": "Spring", "time_zone": "UTC"});
    let campaign = text(&office.send("POST", "/v1/campaigns", Some(wish), 201).await["id"]);
    let path = format!("/v1/campaigns/{campaign}");
    office.send("PUT", &format!("{path}/steps"), Some(steps("3d")), 200).await;
    office.send("PUT", &format!("{path}/accounts"), Some(json!({"account_ids": [account]})), 200).await;
    office.arrive(&format!("/campaigns?campaign={campaign}")).await;
    view.counts("[data-check=mx_missing]", "stands in the way").await;
    view.shows("document.querySelectorAll('.checks .cures').length === 0").await;
    view.counts("[data-check=spf_missing]", "would harm").await;
    view.counts("[data-check=dmarc_missing] .record", "_dmarc.sender.example").await;
    view.shows("[...document.querySelectorAll('.checks button')].every((one) => /^Copy its (name|value)$/.test(one.getAttribute('aria-label')))").await;
    // What is copied is what is to be published.
    let script = "navigator.clipboard.writeText = async (text) => { window.copied = text; };";
    view.browser.execute(script, &[]).await.unwrap();
    view.click("[data-check=dmarc_missing] li:nth-of-type(2) button").await;
    let copied = text(&view.shows("window.copied").await);
    assert!(copied.starts_with("v=DMARC1"), "{copied}");
    view.picture("campaign-checklist").await;
    let size = json!({"width": 360, "height": 780, "deviceScaleFactor": 1, "mobile": true});
    view.browser.devtools("Emulation.setDeviceMetricsOverride", size).await.unwrap();
    view.fits().await;
    view.picture("campaign-checklist-phone").await;
    view.browser.devtools("Emulation.clearDeviceMetricsOverride", json!({})).await.unwrap();
    names.set("_dmarc.sender.example", RecordType::Txt, &[&copied]).expect("a record");
    names.set("mail.sender.example", RecordType::A, &["192.0.2.1"]).expect("a record");
    names.set("sender.example", RecordType::Mx, &["10 mail.sender.example"]).expect("a record");
    names.set("sender.example", RecordType::Txt, &["v=spf1 mx ~all"]).expect("a record");
    view.click("[data-action=check-again]").await;
    view.counts(".verdict", "Nothing stands in the way.").await;
    view.shows("document.querySelector('[data-check=spf_missing], [data-check=dmarc_missing]') === null").await;
    // Once it runs there is nothing to be looked at before.
    office.send("POST", &format!("{path}/launch"), None, 200).await;
    view.shows("!document.querySelector('[data-part=checklist]').checkVisibility()").await;
    view.complains_of_nothing_but(&["status of 401"]).await;
}
