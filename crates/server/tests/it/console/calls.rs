//! The page of calls: what happens on the phone is seen as it happens, and what was said is text.

use mainstay_testing::Browser;
use serde_json::json;

use super::calendar::HOSTILE;
use super::view::View;
use crate::calls::{NUMBER, SECRET, given, line_of, message, tell, use_tool};
use crate::reception::Practice;
use crate::support::text;
use crate::support::{Engine, TestApp};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_is_seen_live_and_read_in_full() {
    let Some(browser) = Browser::start().await else { return };
    let server = TestApp::start(Engine::Sqlite, &[]).await.expect("SQLite is always there");
    let practice = Practice::open(&server, "ada", 1).await;
    let line = line_of(&practice).await;
    let view = View { browser };
    view.browser.set_window(1280, 900).await.unwrap();
    view.browser.goto(&format!("{}/calls", server.address)).await.unwrap();
    view.shows("document.querySelector('#page .off')?.textContent.includes('Sign in')").await;
    view.sign_in(&practice.owner.email, "password of ada", None).await;
    view.shows("document.querySelector('[data-part=live] .nothing')").await;
    view.rows(0).await;
    // It rings, and is there without a reload.
    let tells = async |kind: &str, more| tell(&server, &line, SECRET, &message(kind, "call-1", more)).await.expect(200);
    let at = server.now().as_millis();
    tells("status-update", json!({"status": "in-progress", "timestamp": at})).await;
    view.counts("[data-part=live] .card", NUMBER).await;
    view.counts("[data-figure=calls]", "1").await;
    view.rows(1).await;
    // The agent books, and takes a message.
    let (day, time) = given(&practice.free("&limit=9").await[8]);
    let wish = json!({"date": day, "time": time, "name": format!("Bea {HOSTILE}")});
    use_tool(&server, &line, ("call-1", "t1"), "book_appointment", wish).await.expect("booked");
    view.counts("[data-part=live] .card", "booked").await;
    view.counts("[data-part=live] .card", HOSTILE).await;
    view.counts("[data-figure=bookings]", "1").await;
    let wish = json!({"message": format!("Please call back {HOSTILE}"), "name": "Bea"});
    use_tool(&server, &line, ("call-1", "t2"), "take_message", wish).await.expect("taken");
    view.counts("[data-part=messages]", "1 open").await;
    view.picture("calls").await;
    let report = json!({"endedReason": "customer-ended-call", "cost": 0.25, "timestamp": at + 60_000,
        "startedAt": server.now().to_string(), "analysis": {"summary": format!("She booked. {HOSTILE}")},
        "artifact": {"recordingUrl": "https://recordings.invalid/rec.wav", "messages": [
            {"role": "bot", "message": "Hello, this is the practice.", "secondsFromStart": 0.5},
            {"role": "user", "message": format!("Good day <script>document.title='taken'</script>{HOSTILE}"), "secondsFromStart": 3.2}]}});
    tells("end-of-call-report", report).await;
    view.shows("document.querySelector('[data-part=live] .nothing')").await;
    view.counts(".listing tbody", "ended").await;
    // In full: what was said and done.
    view.click(".listing tbody a").await;
    view.shows("document.querySelectorAll('.transcript li').length === 2").await;
    view.item_says(&["Hello, this is the practice.", "<script>", "She booked.", "Booked", "Took a message", NUMBER])
        .await;
    view.shows("document.querySelector('.transcript [data-role=caller]').textContent.includes('Good day <script>')")
        .await;
    view.shows("document.querySelectorAll('#page :is(img, script)').length === 0").await;
    view.shows("document.title.startsWith('Calls')").await;
    view.shows("document.querySelector('audio') === null").await;
    view.fits().await;
    view.picture("calls-call").await;
    heard(&view).await;
    view.browser.set_window(390, 844).await.unwrap();
    view.fits().await;
    view.picture("calls-phone-call").await;
    view.click(".item .back").await;
    view.rows(1).await;
    view.fits().await;
    view.picture("calls-phone").await;
    view.browser.set_window(1280, 900).await.unwrap();
    taken_care_of(&view, &practice).await;
    answered_by(&view, &practice).await;
    view.complains_of_nothing_but(&["status of 401", "status of 404", "recordings.invalid"]).await;
}

/// The recording is asked for when somebody wants to hear it, and the page's policy lets it be.
async fn heard(view: &View) {
    let policy = "const [done] = arguments;
        fetch('/calls').then((answer) => done(['content-security-policy', 'cross-origin-embedder-policy'].map((name) => answer.headers.get(name))))";
    let policy = view.browser.execute_async(policy, &[]).await.unwrap();
    assert!(text(&policy[0]).ends_with("; media-src https:"), "{policy}");
    assert_eq!(policy[1], "credentialless");
    view.click("[data-action=listen]").await;
    view.shows("document.querySelector('audio[controls]')?.src === 'https://recordings.invalid/rec.wav'").await;
    // Nobody is at that address.
    view.shows("document.querySelector('.player .off')?.textContent.includes('cannot be played')").await;
}

async fn taken_care_of(view: &View, practice: &Practice<'_>) {
    view.click("[data-part=messages] [data-action=handle]").await;
    view.shows("document.querySelector('[data-part=messages] h2').textContent === 'Messages'").await;
    let messages = practice.send("GET", "/v1/phone-messages", None).await.expect(200);
    assert!(messages["data"][0]["handled_at"].is_string(), "{messages}");
    view.click("[data-part=messages] summary").await;
    view.click("[data-part=messages] [data-action=open-again]").await;
    view.counts("[data-part=messages]", "1 open").await;
}

/// An administrator says who answers.
async fn answered_by(view: &View, practice: &Practice<'_>) {
    view.click("[data-part=agent] summary").await;
    view.shows("document.querySelector('[data-form=agent]') && document.querySelector('[data-part=agent] code')?.textContent.includes('/hooks/vapi/')").await;
    for (field, words) in [("greeting", "Hello, this is the practice."), ("transfer_number", "030 901820")] {
        view.browser.find(&format!("[name={field}]")).await.unwrap().type_text(words).await.unwrap();
    }
    view.picture("calls-agent").await;
    view.click("[data-form=agent] [type=submit]").await;
    view.shows("document.querySelector('[data-part=agent] .told')").await;
    let agent = practice.send("GET", "/v1/phone-agent", None).await.expect(200);
    assert_eq!(
        (&agent["greeting"], &agent["transfer_number"]),
        (&json!("Hello, this is the practice."), &json!("+4930901820"))
    );
}
