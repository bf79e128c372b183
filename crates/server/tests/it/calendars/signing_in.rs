//! Somebody goes to Google and comes back: only they, once, and with what Google gave them.

use mainstay_domain::Timestamp;
use serde_json::{Value, json};

use super::start;
use crate::reception::Practice;
use crate::support::fake_google::{ACCOUNT, FakeGoogle};
use crate::support::{Engine, TestApp, both, text};

both! {
    only_who_began_comes_back_and_once,
    where_nothing_is_set_up_it_is_said,
}

async fn begin(practice: &Practice<'_>, google: &FakeGoogle) -> Value {
    let begun = practice.send("POST", &format!("/v1/staff/{}/calendar", practice.staff[0]), None).await.expect(200);
    let (state, code) = google.allows(&text(&begun["authorization_url"]));
    assert!(text(&begun["expires_at"]).parse::<Timestamp>().is_ok());
    json!({"state": state, "code": code})
}

async fn only_who_began_comes_back_and_once(engine: Engine) {
    let Some((server, google)) = start(engine, &[]).await else { return };
    let practice = Practice::open(&server, "ada", 1).await;
    let stranger = server.person("bea").await;
    let back = begin(&practice, &google).await;
    let path = "/v1/calendar-sign-ins";
    server.send("POST", path, None, Some(back.clone())).await.expect(401);
    let other = server.send("POST", path, Some(&stranger.access_token), Some(back.clone())).await;
    other.refused(409, "sign_in_expired");
    for (field, value) in [("state", "x"), ("state", ""), ("state", "AAAA")] {
        let mut wrong = back.clone();
        wrong[field] = json!(value);
        practice.send("POST", path, Some(wrong)).await.refused(409, "sign_in_expired");
    }
    // Another code than Google gave: the way is used up, and nothing is connected.
    let wrong = json!({"state": back["state"], "code": "x"});
    practice.send("POST", path, Some(wrong)).await.refused(409, "calendar_reconnect");
    practice.send("POST", path, Some(back)).await.refused(409, "sign_in_expired");
    let calendar = format!("/v1/staff/{}/calendar", practice.staff[0]);
    practice.send("GET", &calendar, None).await.refused(404, "not_found");
    // As it should be.
    let back = begin(&practice, &google).await;
    let connected = practice.send("POST", path, Some(back.clone())).await.expect(200);
    assert_eq!((&connected["account"], &connected["calendar"]), (&json!(ACCOUNT), &json!("primary")));
    practice.send("POST", path, Some(back)).await.refused(409, "sign_in_expired");
    // Nothing of it can be read in any answer.
    let all = practice.send("GET", "/v1/calendar-connections", None).await.expect(200);
    assert_eq!(all["data"].as_array().map(Vec::len), Some(1));
    assert!(!all.to_string().contains("refresh-"));
    // Who only belongs to another organisation sees none of it.
    server.send("GET", &calendar, Some(&stranger.access_token), None).await.refused(404, "not_found");
    server.send("POST", &calendar, Some(&stranger.access_token), None).await.refused(404, "not_found");
    server.send("DELETE", &calendar, Some(&stranger.access_token), None).await.refused(404, "not_found");
}

async fn where_nothing_is_set_up_it_is_said(engine: Engine) {
    let Some(server) = TestApp::start(engine, &[]).await else { return };
    let practice = Practice::open(&server, "ada", 1).await;
    let answer = practice.send("POST", &format!("/v1/staff/{}/calendar", practice.staff[0]), None).await;
    answer.refused(409, "calendars_not_set_up");
}
