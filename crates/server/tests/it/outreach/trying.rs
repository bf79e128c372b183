//! Trying the texts of a campaign: previews, and emails to oneself.

use mainstay_testing::smtp_sink::{SinkAct, SinkFault, SinkStage, When};
use serde_json::{Value, json};

use super::Agency;
use crate::support::{Engine, both, text};

both! {
    a_text_is_seen_before_anybody_gets_it,
    a_test_email_tells_what_its_server_said,
}

/// A campaign of two steps, the first of which names a company, with one lead that has one.
async fn with_a_company(agency: &Agency, account: &str) -> (String, String) {
    let campaign = agency.campaign("Spring", &[account], "1d").await;
    let steps = json!({"steps": [
        {"delay": "0d", "variants": [{"name": "A", "subject": "For {{company}}", "text": "Dear {{first_name | \"friend\"}}",
            "html": "<p>{{company}} <a href=\"{{unsubscribe_url}}\">leave</a></p>"}]},
        {"delay": "1d", "variants": [{"name": "A", "subject": "not used", "text": "Again"}]}]});
    agency.send("PUT", &format!("/v1/campaigns/{campaign}/steps"), Some(steps)).await.expect(200);
    let lead = json!({"leads": [{"email": "eve@lead.example", "fields": {"company": "<Acme>", "first_name": "Eve"}}]});
    let added = agency.send("POST", &format!("/v1/campaigns/{campaign}/leads"), Some(lead)).await.expect(201);
    (campaign, text(&added["data"][0]["id"]))
}

async fn a_text_is_seen_before_anybody_gets_it(engine: Engine) {
    let Some(agency) = Agency::open(engine).await else { return };
    let account = agency.account("ada@example.com", &json!({"daily_cap": 2})).await;
    let (campaign, lead) = with_a_company(&agency, &account).await;
    let preview =
        async |wish: Value| agency.send("POST", &format!("/v1/campaigns/{campaign}/preview"), Some(wish)).await;
    let seen = preview(json!({"step": 1})).await.expect(200);
    assert_eq!((&seen["subject"], &seen["missing_fields"]), (&json!("For {{company}}"), &json!(["company"])));
    let seen = preview(json!({"step": 1, "lead_id": lead})).await.expect(200);
    assert_eq!((&seen["subject"], &seen["text"]), (&json!("For <Acme>"), &json!("Dear Eve")));
    assert!(text(&seen["html"]).starts_with("<p>&lt;Acme&gt; <a href=\"https://mail.example.com/u/"), "{seen}");
    let seen = preview(json!({"step": 2, "lead_id": lead, "fields": {"company": "Another"}})).await.expect(200);
    assert_eq!((&seen["subject"], &seen["missing_fields"]), (&json!("Re: For Another"), &json!([])));
    for (wish, field) in [
        (json!({"step": 3}), "step"),
        (json!({"step": 0}), "step"),
        (json!({"step": 1, "lead_id": campaign}), "lead_id"),
        (json!({"step": 2, "variant_id": campaign}), "variant_id"),
    ] {
        assert_eq!(preview(wish).await.expect(400)["fields"][0]["field"], field);
    }

    let path = format!("/v1/campaigns/{campaign}/test-emails");
    let test = async |to: &str, more: Value| {
        let mut wish = json!({"to": to, "account_id": account, "step": 1});
        wish.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        agency.send("POST", &path, Some(wish)).await
    };
    assert_eq!(test("me@example.com", json!({})).await.expect(400)["fields"][0]["field"], "fields.company");
    assert_eq!(test("nobody", json!({"lead_id": lead})).await.expect(400)["fields"][0]["field"], "to");
    let stranger = json!({"lead_id": lead, "account_id": campaign});
    assert_eq!(test("me@example.com", stranger).await.expect(400)["fields"][0]["field"], "account_id");
    let tried = test("me@example.com", json!({"lead_id": lead})).await.expect(200);
    assert_eq!((&tried["outcome"], &tried["code"]), (&json!("accepted"), &json!(250)));
    let kept = agency.sink.kept();
    assert_eq!((kept.len(), kept[0].recipients[0].as_str()), (1, "me@example.com"));
    assert_eq!(agency.figures(&campaign).await, *json!({"lead_new": 1}).as_object().expect("an object"));

    // Its link takes nobody off the list.
    let unfolded = String::from_utf8_lossy(kept[0].bytes.as_deref().expect("bytes")).replace("\r\n ", " ");
    let link = unfolded
        .split_once("https://mail.example.com")
        .expect("a link")
        .1
        .split_once('>')
        .expect("its end")
        .0
        .to_owned();
    for method in ["GET", "POST"] {
        let page = agency.server.send(method, &link, None, None).await;
        assert!(page.status == 200 && page.text.contains("sent as a test"), "{}", page.text);
    }
    // Whoever wants no mail gets none of these either, and the cap holds for them.
    let suppress = json!({"subjects": ["@no.example"]});
    agency.send("POST", "/v1/suppressions", Some(suppress)).await.expect(201);
    assert_eq!(test("me@no.example", json!({"lead_id": lead})).await.expect(409)["code"], "suppressed");
    test("me@example.com", json!({"lead_id": lead, "step": 2})).await.expect(200);
    assert_eq!(test("me@example.com", json!({"lead_id": lead})).await.expect(409)["code"], "account_full");
    agency.send("POST", &format!("/v1/sending-accounts/{account}/pause"), None).await.expect(200);
    assert_eq!(test("me@example.com", json!({"lead_id": lead})).await.expect(409)["code"], "account_state");
    assert_eq!(agency.sink.count(), 2);
}

async fn a_test_email_tells_what_its_server_said(engine: Engine) {
    let Some(agency) = Agency::open(engine).await else { return };
    let account = agency.account("ada@example.com", &json!({})).await;
    let (campaign, lead) = with_a_company(&agency, &account).await;
    agency.sink.fault(SinkFault::for_recipient("gone@", "550 5.1.1 no such user"));
    let body = |act, who: &str| SinkFault { stage: SinkStage::Body, act, when: When::Recipient(who.to_owned()) };
    agency.sink.fault(body(SinkAct::KeepAndCut, "cut@"));
    let test = async |to: &str| {
        let wish = json!({"to": to, "account_id": account, "step": 1, "lead_id": lead});
        agency.send("POST", &format!("/v1/campaigns/{campaign}/test-emails"), Some(wish)).await.expect(200)
    };
    let gone = test("gone@example.com").await;
    assert_eq!(gone, json!({"outcome": "refused", "code": 550, "enhanced": "5.1.1", "said": gone["said"]}));
    assert_eq!(test("cut@example.com").await["outcome"], "unknown");
    // What a test comes to says nothing of whoever it went to.
    assert_eq!(agency.send("GET", "/v1/suppressions", None).await.expect(200)["data"], json!([]));
}
