//! The page of security: one's own password and sign-ins, and the audit trail.

use mainstay_testing::Browser;
use serde_json::json;

use super::view::View;
use crate::support::{Engine, TestApp};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_changes_the_password_sees_who_did_what_and_leaves_everywhere() {
    let Some(browser) = Browser::start().await else { return };
    let server = TestApp::start(Engine::Sqlite, &[]).await.expect("SQLite is always there");
    let ada = server.person("ada").await;
    let email = mainstay_domain::EmailAddress::parse(&ada.email).expect("an address");
    let call = mainstay_store::Call::within(std::time::Duration::from_secs(20));
    server.app.accounts.set_operator(&call, &email, true).await.expect("marked");
    let key = json!({"name": "k", "scopes": ["read"]});
    server.send("POST", "/v1/api-keys", Some(&ada.access_token), Some(key)).await.expect(201);
    let view = View { browser };
    view.browser.goto(&format!("{}/security", server.address)).await.unwrap();
    view.shows("document.querySelector('#page .off')?.textContent.includes('Sign in')").await;
    view.sign_in(&ada.email, "password of ada", None).await;

    // The trail of the organisation and that of the installation, the last entry first.
    let first = "[...document.querySelectorAll('[data-trail=organisation] tbody tr')].map((row) => row.textContent)";
    view.shows(&format!("{first}.length >= 3 && {first}[0].includes('sign_in') && {first}.at(-1).includes('sign_up')"))
        .await;
    view.shows(&format!("{first}.some((text) => text.includes('POST /v1/api-keys') && text.includes('ada') && text.includes('127.0.0.1'))")).await;
    view.shows("document.querySelector('[data-trail=installation]') !== null").await;
    view.picture("security").await;

    // A password that is not right, one that is not taken, and one that is.
    let password = "form[data-form=password]";
    let change = async |current: &str, new: &str| {
        view.write(&format!("{password} [name=current_password]"), current).await;
        view.write(&format!("{password} [name=new_password]"), new).await;
        view.click(&format!("{password} [type=submit]")).await;
    };
    change("not her password", "another of hers").await;
    view.shows("document.querySelector('form[data-form=password]').textContent.includes('This is not your password')")
        .await;
    change("password of ada", "1234567890").await;
    view.shows(
        "document.querySelector('form[data-form=password]').textContent.includes('among the first that are guessed')",
    )
    .await;
    change("password of ada", "another of hers").await;
    view.shows(
        "document.querySelector('form[data-form=password]').parentElement.textContent.includes('It is changed')",
    )
    .await;
    server.send("GET", "/v1/me", Some(&ada.access_token), None).await.refused(401, "unauthenticated");
    // The page goes on with its new sign-in, and so does a new one.
    view.browser.goto(&format!("{}/security", server.address)).await.unwrap();
    view.shows(&format!("{first}[0]?.includes('POST /v1/auth/password')")).await;

    view.click("[data-action=sign-out-everywhere]").await;
    view.shows("document.querySelector('dialog[open]') !== null").await;
    view.click("dialog [data-answer=yes]").await;
    view.shows("document.querySelector('#sign-in-form') !== null").await;
    let old = json!({"email": ada.email, "password": "password of ada"});
    server.send("POST", "/v1/auth/sign-in", None, Some(old)).await.refused(401, "wrong_credentials");
}
