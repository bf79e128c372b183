//! The chat shows what was looked up and done for a reply.

use mainstay_testing::Browser;
use serde_json::json;

use super::view::View;
use crate::calls::given;
use crate::reception::Practice;
use crate::support::fake_provider::{Behaviour, FakeProvider};
use crate::support::{Engine, TestApp, by_anthropic};

async fn ask(view: &View, text: &str) {
    view.shows("document.querySelector('#composer-input')?.checkVisibility()").await;
    view.browser.find("#composer-input").await.unwrap().type_text(text).await.unwrap();
    view.shows("!document.querySelector('#composer-send').disabled").await;
    view.click("#composer-send").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_books_by_chat_and_sees_what_was_done() {
    let Some(browser) = Browser::start().await else { return };
    let provider = FakeProvider::start().await;
    let url = json!(provider.anthropic_url()).to_string();
    let server = TestApp::start(Engine::Sqlite, &by_anthropic(&url)).await.expect("SQLite is always there");
    let practice = Practice::open(&server, "ada", 1).await;
    let (day, time) = given(&practice.free("&limit=1").await[0]);
    let wish = json!({"date": day, "time": time, "name": "Bea <b>Moss</b>"});
    provider.push(Behaviour::uses("check_availability", &json!({})));
    provider.push(Behaviour::uses("book_appointment", &wish));
    provider.push(Behaviour::words("It is booked."));
    let view = View { browser };
    view.browser.goto(&server.address).await.unwrap();
    view.sign_in(&practice.owner.email, "password of ada", None).await;
    ask(&view, "Book the next free time for Bea, please.").await;
    view.shows("document.querySelectorAll('.message-uses li[data-state=done]').length === 2").await;
    view.shows("document.querySelector('.message-uses li')?.textContent.startsWith('Free times The next free times')")
        .await;
    view.shows("[...document.querySelectorAll('.message-content')].at(-1)?.textContent.includes('It is booked.')")
        .await;
    view.shows("document.querySelectorAll('.message-uses b').length === 0").await;
    view.browser.refresh().await.unwrap();
    view.shows("document.querySelectorAll('.message-uses li[data-state=done]').length === 2").await;
    view.shows("document.querySelectorAll('.message-uses li')[1].textContent.startsWith('Booking Booked: Cleaning')")
        .await;
    view.picture("tools").await;
    view.browser.set_window(390, 844).await.unwrap();
    view.fits().await;
    view.picture("tools-phone").await;
    view.complains_of_nothing_but(&["status of 401"]).await;
}
