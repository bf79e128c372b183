//! Lists: each has its bounds, and walking it in pages shows what one page shows.

use serde_json::json;

use super::{deliveries, inbox, jobs, knowledge, text};
use crate::support::{Engine, TestApp, both};

both! { every_list_is_bounded }

/// What is no cursor of any list.
const NO_CURSORS: [&str; 9] =
    ["", "x", "!!", "%00", "MS4y", "LTE", "bnVsbA", "OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTk5", "a%27--"];

/// Nobody works on what is promised, so that no list changes between two pages; and recordings are taken.
const SETTINGS: [(&str, &str); 2] = [("jobs.enabled", "false"), ("replay.enabled", "true")];

async fn every_list_is_bounded(engine: Engine) {
    let Some(server) = TestApp::start(engine, &SETTINGS).await else { return };
    let ada = server.person("ada").await;
    let token = Some(ada.access_token.as_str());
    let mut made = Vec::new();
    for number in 0..5 {
        let title = json!({"title": format!("Number {number}")});
        made.push(text(&server.send("POST", "/v1/conversations", token, Some(title)).await.expect(201)["id"]));
        let key = json!({"name": format!("Key {number}"), "scopes": ["read"]});
        server.send("POST", "/v1/api-keys", token, Some(key)).await.expect(201);
        inbox::arrive(&server, &ada, number).await;
        deliveries::make(&server, token, number).await;
        let document = knowledge::document(&number.to_string());
        server.send("POST", "/v1/documents", token, Some(document)).await.expect(201);
        let other = server.person(&format!("member{number}")).await;
        let member = json!({"email": other.email, "role": "member"});
        server.send("POST", "/v1/members", token, Some(member)).await.expect(201);
        // Who has used nothing is in no list of usage.
        let there = json!({"organisation_id": ada.organisation});
        let switched = server.send("POST", "/v1/auth/switch", Some(&other.access_token), Some(there)).await.expect(200);
        let hello = json!({"content": "Hello"});
        server.send("POST", "/v1/messages", switched["access_token"].as_str(), Some(hello)).await.expect(201);
        let path = format!("/v1/conversations/{}/messages", made[0]);
        server.send("POST", &path, token, Some(json!({"content": format!("{number}")}))).await.expect(201);
    }
    jobs::five(&server, &ada).await;
    let contact = super::reception::five(&server, &ada).await;
    super::calendars::five(&server, &ada).await;
    let (campaign, import) = super::outreach::five(&server, &ada).await;
    // A list is what the document says has a parameter `limit`.
    let document = server.send("GET", "/openapi.json", None, None).await.expect(200);
    let mut lists = Vec::new();
    for (path, operations) in document["paths"].as_object().expect("paths") {
        let parameters = operations["get"]["parameters"].as_array().cloned().unwrap_or_default();
        // Sync and free times have pages of their own form, and tests of their own; what is done here is in the trails.
        if !["/v1/sync", "/v1/availability", "/v1/audit-trail", "/v1/installation-audit-trail"].contains(&path.as_str())
            && parameters.iter().any(|parameter| parameter["name"] == "limit")
        {
            let id = match path.split('/').nth(2) {
                Some("contacts") => &contact,
                Some("campaigns") => &campaign,
                Some("imports") => &import,
                _ => &made[0],
            };
            lists.push(path.replacen("{id}", id, 1));
        }
    }
    assert_eq!(lists.len(), 34, "{lists:?}");
    for path in lists {
        let get = async |query: &str| server.send("GET", &format!("{path}?{query}"), token, None).await;
        let all = get("").await.expect(200);
        let rows = all["data"].as_array().expect("rows").clone();
        assert!(rows.len() >= 5 && all["next"].is_null(), "{path}: {all}");
        for limit in ["1", "2", "3"] {
            let (mut walked, mut after) = (Vec::new(), String::new());
            loop {
                let page = get(&format!("limit={limit}{after}")).await.expect(200);
                let data = page["data"].as_array().expect("rows");
                assert!(data.len() <= limit.parse().unwrap(), "{path}: {page}");
                walked.extend(data.iter().cloned());
                let Some(next) = page["next"].as_str() else { break };
                after = format!("&after={next}");
                assert!(walked.len() <= rows.len(), "{path} never ends");
            }
            assert_eq!(walked, rows, "{path} in pages of {limit}");
        }
        get("limit=100").await.expect(200);
        for limit in ["0", "101", "-1", "4294967296", "1e1", "ten", "", "%00", "1&limit=2"] {
            let problem = get(&format!("limit={limit}")).await.refused(400, "invalid_input");
            assert_eq!(problem["fields"][0]["field"], "limit", "{path}?limit={limit}: {problem}");
        }
        for after in NO_CURSORS.into_iter().chain(["A".repeat(4000).as_str()]) {
            let problem = get(&format!("after={after}")).await.refused(400, "invalid_input");
            assert_eq!(problem["fields"][0]["field"], "after", "{path}?after={after}: {problem}");
        }
        let problem = get("offset=1").await.refused(400, "invalid_input");
        assert_eq!(
            (&problem["fields"][0]["field"], &problem["fields"][0]["code"]),
            (&json!("offset"), &json!("unknown"))
        );
    }
}
