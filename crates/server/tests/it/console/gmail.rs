//! An account at Gmail on the page of what sends: made, signed in to through a stand-in for Google, and signed in to again.

use mainstay_testing::Browser;
use serde_json::json;

use super::view::View;
use crate::support::fake_google::FakeGoogle;
use crate::support::{Engine, TestApp, eventually, text};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_administrator_signs_in_to_an_account_at_gmail() {
    let Some(browser) = Browser::start().await else { return };
    let google = FakeGoogle::start().await;
    let own = google.settings();
    let settings: Vec<(&str, &str)> = own.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    let server = TestApp::start(Engine::Sqlite, &settings).await.expect("SQLite is always there");
    google.leads_back_to(&server.address);
    google.is_signed_in("bob@example.com");
    let owner = server.person("ada").await;
    let view = View { browser };
    view.browser.set_window(1280, 900).await.unwrap();
    view.browser.goto(&format!("{}/sending-accounts", server.address)).await.unwrap();
    view.shows("document.querySelector('#page .off')?.textContent.includes('Sign in')").await;
    view.sign_in(&owner.email, "password of ada", None).await;
    view.click("[data-action=add-gmail]").await;
    view.shows("document.activeElement.name === 'address'").await;
    view.shows("[...document.querySelectorAll('[data-form=gmail] input')].every((one) => one.labels.length === 1)")
        .await;
    view.browser.find("[data-form=gmail] [name=address]").await.unwrap().type_text("ada@example.com").await.unwrap();
    view.picture("gmail-form").await;
    // By way of Google, where somebody else is signed in.
    view.click("[data-form=gmail] [type=submit]").await;
    view.counts("#page", "You signed in to Google as bob@example.com").await;
    view.shows("!location.search.includes('code')").await;
    view.counts(".account h2", "ada@example.com not let in").await;
    view.counts(".account", "Sign in to it at Google").await;
    google.is_signed_in("ada@example.com");
    let token = Some(owner.access_token.as_str());
    let listed = server.send("GET", "/v1/sending-accounts", token, None).await.expect(200);
    let account = text(&listed["data"][0]["id"]);
    view.click(&format!("[data-action=sign-in-{account}]")).await;
    view.counts(".account h2", "ada@example.com active").await;
    view.counts(".account", "Gmail").await;
    view.picture("gmail-account").await;
    // It is changed with a form of its own.
    view.click(&format!("[data-action=change-{account}]")).await;
    view.browser.find("[data-form=gmail] [name=sender_name]").await.unwrap().type_text("Ada").await.unwrap();
    view.click("[data-form=gmail] [type=submit]").await;
    eventually(async || {
        let shown = server.send("GET", &format!("/v1/sending-accounts/{account}"), token, None).await.expect(200);
        (shown["sender_name"] == "Ada").then_some(())
    })
    .await;
    let shown = server.send("GET", &format!("/v1/sending-accounts/{account}"), token, None).await.expect(200);
    assert_eq!(
        (&shown["kind"], &shown["state"], &shown["ramp_up"]),
        (&json!("gmail"), &json!("active"), &json!({"start": 10, "step": 5}))
    );
    view.complains_of_nothing_but(&["status of 400", "status of 401"]).await;
}
