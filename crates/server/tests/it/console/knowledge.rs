//! The page of what an organisation knows.

use mainstay_testing::Browser;
use serde_json::json;

use super::view::View;
use crate::support::{Engine, TestApp};

const HOSTILE: &str = "# Hours <img src=x onerror=alert(1)>\n\nOn Saturday we open at ten. <script>alert(1)</script>";

/// Chooses a file, as a person would: its bytes, whatever its name says.
async fn choose_file(view: &View, name: &str, expression: &str) {
    let script = format!(
        "const transfer = new DataTransfer();
         transfer.items.add(new File([{expression}], {}));
         const input = document.querySelector('[name=file]');
         input.files = transfer.files;
         input.dispatchEvent(new Event('change', {{bubbles: true}}));",
        json!(name)
    );
    view.browser.execute(&script, &[]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_administrator_writes_what_is_known_and_tries_it() {
    let Some(browser) = Browser::start().await else { return };
    let server = TestApp::start(Engine::Sqlite, &[]).await.expect("SQLite is always there");
    let (ada, bob) = (server.person("ada").await, server.person("bob").await);
    let add = json!({"email": bob.email, "role": "member"});
    server.send("POST", "/v1/members", Some(&ada.access_token), Some(add)).await.expect(201);
    let view = View { browser };
    view.browser.goto(&format!("{}/knowledge", server.address)).await.unwrap();
    view.shows("document.querySelector('#page .off')?.textContent.includes('Sign in')").await;
    view.sign_in(&ada.email, "password of ada", None).await;
    view.shows("document.querySelector('#documents .nothing')?.textContent.includes('There are no documents')").await;

    // Written by hand, with markup that must stay text.
    view.click("[data-action=add]").await;
    view.write("[name=title]", "Our <b>practice").await;
    view.write("[name=content]", HOSTILE).await;
    view.picture("knowledge-add").await;
    view.click("[data-action=save]").await;
    view.shows("document.querySelector('#documents tbody th')?.textContent === 'Our <b>practice'").await;
    view.shows("document.querySelector('form.document') === null").await;

    // A question, and what would be said.
    view.write("[name=q]", "What time do you open on Saturday?").await;
    view.click("[data-action=try]").await;
    view.shows("document.querySelector('#found .said')?.textContent.includes('On Saturday we open at ten.')").await;
    view.click("#found summary").await;
    view.shows("document.querySelector('#found pre')?.textContent.includes('<script>')").await;
    view.shows("document.querySelectorAll('#found :is(img, script, b), #documents b').length === 0").await;
    view.picture("knowledge-answer").await;
    view.write("[name=q]", "Who wrote Ulysses?").await;
    view.click("[data-action=try]").await;
    view.shows("document.querySelector('#found .nothing')?.textContent.includes('Nothing here answers')").await;

    // From a file: what is no text or too large is refused, and a good one fills the form.
    view.click("[data-action=add]").await;
    choose_file(&view, "bad.txt", "new Uint8Array([0xff, 0xfe, 0x00])").await;
    view.shows("document.querySelector('.item .notice')?.textContent.includes('no text in UTF-8')").await;
    choose_file(&view, "large.md", "'x'.repeat(256 * 1024 + 1)").await;
    view.shows("document.querySelector('.item .notice')?.textContent.includes('at most 256 KB')").await;
    choose_file(&view, "prices.md", "'# Prices\\n\\nA cleaning costs 80 euros.'").await;
    view.shows("document.querySelector('[name=title]').value === 'prices'").await;
    view.shows("document.querySelector('[name=content]').value.includes('80 euros')").await;
    view.click("[data-action=save]").await;
    view.shows("document.querySelectorAll('#documents tbody tr').length === 2").await;

    // Changed; and refused when somebody else was first.
    view.click("#documents tbody tr:nth-child(2) button").await;
    view.shows("document.querySelector('[name=content]')?.value.includes('80 euros')").await;
    let list = server.send("GET", "/v1/documents", Some(&ada.access_token), None).await.expect(200);
    let path = format!("/v1/documents/{}", list["data"][1]["id"].as_str().expect("an id"));
    let first = json!({"content": "A cleaning costs 90 euros."});
    server.send("PATCH", &path, Some(&ada.access_token), Some(first)).await.expect(200);
    view.write("[name=content]", "A cleaning costs 95 euros.").await;
    view.click("[data-action=save]").await;
    view.shows("document.querySelector('.item .notice')?.textContent.includes('Somebody else has changed')").await;
    view.click("[data-action=leave]").await;
    view.click("#documents tbody tr:nth-child(2) button").await;
    view.shows("document.querySelector('[name=content]')?.value.includes('90 euros')").await;
    view.mean("[data-action=delete]").await;
    view.shows("document.querySelectorAll('#documents tbody tr').length === 1").await;

    view.browser.set_window(390, 844).await.unwrap();
    view.fits().await;
    view.picture("knowledge-phone").await;
    view.browser.set_window(1280, 900).await.unwrap();
    view.picture("knowledge").await;

    // Her menu leads there; a member reads and tries, and has no buttons that change.
    view.browser.goto(&server.address).await.unwrap();
    view.shows("document.querySelector('#account-menu')?.hidden === false").await;
    view.click("#account-menu").await;
    view.shows("document.querySelector('#show-knowledge')?.hidden === false").await;
    view.click("#show-knowledge").await;
    view.shows("document.querySelector('#documents tbody')").await;
    view.sign_in(&bob.email, "password of bob", Some(&ada.organisation)).await;
    view.shows("document.querySelector('#documents tbody th')?.textContent === 'Our <b>practice'").await;
    view.shows("document.querySelectorAll('[data-action=add], #documents tbody button').length === 0").await;
    view.complains_of_nothing_but(&["status of 401", "status of 409"]).await;
}
