//! The page of contacts: found by name, with what they have and had.

use mainstay_testing::Browser;
use serde_json::json;

use super::calendar::HOSTILE;
use super::view::View;
use crate::calls::{NUMBER, given, line_of, use_tool};
use crate::reception::Practice;
use crate::support::text;
use crate::support::{Engine, TestApp};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_contact_is_found_read_and_changed() {
    let Some(browser) = Browser::start().await else { return };
    let server = TestApp::start(Engine::Sqlite, &[]).await.expect("SQLite is always there");
    let practice = Practice::open(&server, "ada", 1).await;
    for number in 0..3 {
        let body = json!({"name": format!("Zoe {number} {HOSTILE}"), "email": format!("zoe{number}@example.com")});
        practice.send("POST", "/v1/contacts", Some(body)).await.expect(200);
    }
    let view = View { browser };
    view.browser.set_window(1280, 900).await.unwrap();
    view.browser.goto(&format!("{}/contacts", server.address)).await.unwrap();
    view.shows("document.querySelector('#page .off')?.textContent.includes('Sign in')").await;
    view.sign_in(&practice.owner.email, "password of ada", None).await;
    let rows = async |count: usize| {
        view.shows(&format!("document.querySelectorAll('.listing tbody tr').length === {count}")).await;
    };
    rows(3).await;
    view.shows("document.querySelectorAll('#page img').length === 0").await;
    // Somebody calls and books: they are there without a reload.
    let line = line_of(&practice).await;
    let (day, time) = given(&practice.free("&limit=9").await[8]);
    let wish = json!({"date": day, "time": time, "name": "Grace Hopper"});
    use_tool(&server, &line, ("call-1", "t1"), "book_appointment", wish).await.expect("booked");
    rows(4).await;
    view.picture("contacts").await;
    view.browser.find("#contact-search").await.unwrap().type_text("hopp").await.unwrap();
    rows(1).await;
    view.click(".listing tbody a").await;
    view.shows("document.querySelectorAll('[data-part=appointments] li').length === 1").await;
    view.shows("document.querySelectorAll('[data-part=calls] li').length === 1").await;
    view.shows(&format!("document.querySelector('[data-form=contact] [name=phone]').value === '{NUMBER}'")).await;
    view.fits().await;
    view.picture("contacts-contact").await;
    view.browser.find("[name=note]").await.unwrap().type_text("Likes mornings").await.unwrap();
    view.browser.find("[name=email]").await.unwrap().type_text("grace@example.com").await.unwrap();
    view.click("[data-form=contact] [type=submit]").await;
    view.shows("document.querySelector('.item .told')").await;
    let id = view.shows("new URLSearchParams(location.search).get('id')").await;
    let stored = practice.send("GET", &format!("/v1/contacts/{}", text(&id)), None).await.expect(200);
    assert_eq!((&stored["note"], &stored["email"]), (&json!("Likes mornings"), &json!("grace@example.com")));
    view.browser.set_window(390, 844).await.unwrap();
    view.fits().await;
    view.picture("contacts-phone-contact").await;
    view.click(".item .back").await;
    let clear = "const search = document.querySelector('#contact-search'); search.value = ''; search.dispatchEvent(new Event('input'))";
    view.browser.execute(clear, &[]).await.unwrap();
    rows(4).await;
    view.fits().await;
    view.picture("contacts-phone").await;
    view.browser.set_window(1280, 900).await.unwrap();
    view.complains_of_nothing_but(&["status of 401"]).await;
}
