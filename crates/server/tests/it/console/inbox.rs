//! The page of the inbox, which administrators of an organisation see.

use mainstay_testing::Browser;
use serde_json::json;

use super::view::View;
use crate::inbox::{Sender, events, pause, send, sender, standard};
use crate::support::{Engine, Person, TestApp};

/// What would be seen in the page if any of it were taken for markup.
const HOSTILE: &str = "</pre><script>document.title='taken'</script><img src=x onerror=\"document.title='taken'\">";

struct Page {
    view: View,
    server: TestApp,
    sender: Sender,
}

impl Page {
    /// Something arrives that is about a thing with this name.
    async fn arrives(&self, id: &str, kind: &str, name: serde_json::Value) {
        let body = json!({"type": kind, "data": {"id": name, "note": HOSTILE}}).to_string();
        send(&self.server, &self.sender, id, &body).await.expect(200);
    }

    /// Something arrives and is to be processed once more, which waits while the queue is paused.
    async fn waits(&self, id: &str, kind: &str, name: &str) {
        self.arrives(id, kind, json!(name)).await;
        let all = events(&self.server, &self.sender, "").await;
        let event = all.iter().find(|event| event["identity"] == id).expect("it has arrived");
        let path = format!("/v1/inbox/{}/replay", event["id"].as_str().expect("an id"));
        self.server.send("POST", &path, Some(&self.sender.token), None).await.expect(200);
    }
}

async fn join(server: &TestApp, owner: &Person, person: &Person) {
    let add = json!({"email": person.email, "role": "member"});
    server.send("POST", "/v1/members", Some(&owner.access_token), Some(add)).await.expect(201);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_administrator_sees_what_arrives_and_steers_it() {
    let Some(browser) = Browser::start().await else { return };
    let server = TestApp::start(Engine::Sqlite, &[]).await.expect("SQLite is always there");
    let (ada, bob) = (server.person("ada").await, server.person("bob").await);
    join(&server, &ada, &bob).await;
    let view = View { browser };
    view.browser.goto(&format!("{}/inbox", server.address)).await.unwrap();
    view.shows("document.querySelector('#page .off')?.textContent.includes('Sign in')").await;
    // A member of the organisation is told so once, and sees nothing else.
    view.sign_in(&bob.email, "password of bob", Some(&ada.organisation)).await;
    view.shows("document.querySelector('#page .off')?.textContent.includes('for administrators')").await;
    view.shows("document.querySelectorAll('#page > *').length === 1").await;
    view.sign_in(&ada.email, "password of ada", None).await;
    view.shows("document.querySelector('.listing .nothing')?.textContent.includes('no such events')").await;
    view.counts(".counts", "No sender is set up.").await;

    let sender = standard(&server, &ada).await;
    let page = Page { view, server, sender };
    live_counts(&page, &ada).await;
    one_event_attempt_by_attempt(&page).await;
    steered(&page).await;
    on_a_phone(&page).await;

    // Her menu leads there. She is no operator.
    let view = &page.view;
    view.browser.goto(&page.server.address).await.unwrap();
    view.shows("document.querySelector('#account-menu')?.hidden === false").await;
    view.click("#account-menu").await;
    view.shows("document.querySelector('#show-inbox')?.hidden === false").await;
    view.shows("document.querySelector('#show-jobs').hidden").await;
    view.picture("menu").await;
    view.click("#show-inbox").await;
    view.shows("document.querySelector('.counts .card')").await;
    view.shows("document.querySelector('.operator-head a[href=\"/jobs\"]').hidden").await;
    view.complains_of_nothing_but(&["status of 401", "status of 403"]).await;
}

async fn live_counts(page: &Page, ada: &Person) {
    let view = &page.view;
    page.arrives("msg_<i>1", "order.<b>paid</b>", json!({"not": "a name"})).await;
    page.arrives("msg_2", "order.paid", json!("two")).await;
    page.arrives("msg_3", "order.sent", json!("three")).await;
    let calls =
        sender(&page.server, ada, json!({"name": "<u>Calls", "provider": "vapi", "secrets": ["a-secret"]})).await;
    let refused = page.server.send("POST", &calls.path, None, Some(json!({"message": {}}))).await;
    assert_eq!(refused.status, 401);
    // The page hears of it by itself, of the senders too.
    view.counts("[data-sender='']", "1 dead").await;
    view.counts("[data-sender='']", "2 processed").await;
    view.counts(&format!("[data-sender='{}']", page.sender.id), "1 dead").await;
    view.counts(&format!("[data-sender='{}']", calls.id), "Refused").await;
    view.rows(3).await;
    pause(&page.server, true).await;
    page.waits("msg_4", "order.paid", "four").await;
    view.counts("[data-sender='']", "1 pending").await;
    view.rows(4).await;
    view.picture("inbox").await;
}

async fn one_event_attempt_by_attempt(page: &Page) {
    let view = &page.view;
    view.choose("state", "dead").await;
    view.rows(1).await;
    view.click(".listing tbody a").await;
    view.shows("document.querySelectorAll('.attempts li').length === 1").await;
    let words = ["order.<b>paid</b> dead", "Shop", "msg_<i>1", "Attempt 1", "neither a text nor a number", "<script>"];
    view.item_says(&words).await;
    // What somebody sends is text, whatever it says.
    view.shows("document.querySelectorAll('.item :is(pre, code) *, .item :is(b, i, img, script)').length === 0").await;
    view.shows("document.querySelectorAll('.counts u').length === 0").await;
    view.shows("document.title.startsWith('Inbox')").await;
    view.fits().await;
    view.picture("inbox-event").await;
    // It begins anew and fails again: both attempts are there.
    pause(&page.server, false).await;
    view.click(".item [data-action=replay]").await;
    view.shows("document.querySelectorAll('.attempts li').length === 2").await;
    view.is("dead").await;
    // Going back finds the list as it was.
    view.browser.execute("history.back()", &[]).await.unwrap();
    view.rows(1).await;
    view.shows("document.querySelector('#filter-state').value === 'dead'").await;
}

async fn steered(page: &Page) {
    let view = &page.view;
    view.mean("[data-action=replay-all]").await;
    view.shows("document.querySelector('.bulk')?.textContent.includes('One event is processed again.')").await;
    // One that waits is cancelled, begun anew, and processed before one's eyes.
    pause(&page.server, true).await;
    page.waits("msg_5", "order.late", "five").await;
    view.counts("[data-sender='']", "1 pending").await;
    view.click("[data-sender=''] a[href$='state=pending']").await;
    view.rows(1).await;
    view.click(".listing tbody a").await;
    view.mean(".item [data-action=cancel]").await;
    view.is("cancelled").await;
    view.counts("[data-sender='']", "1 cancelled").await;
    view.click(".item [data-action=replay]").await;
    view.is("pending").await;
    pause(&page.server, false).await;
    view.is("processed").await;
    view.item_says(&["Attempt 1", "done"]).await;
    view.click(".item .back").await;
    view.rows(0).await;
    // The filters find it.
    view.click("[data-action=reset]").await;
    view.rows(5).await;
    view.choose("source", "<u>Calls").await;
    view.rows(0).await;
    view.choose("source", "Shop").await;
    view.rows(5).await;
    view.browser.find("#filter-kind").await.unwrap().type_text("order.late").await.unwrap();
    view.click(".filters [type=submit]").await;
    view.rows(1).await;
}

async fn on_a_phone(page: &Page) {
    let view = &page.view;
    view.click("[data-action=reset]").await;
    view.rows(5).await;
    view.browser.set_window(390, 844).await.unwrap();
    view.fits().await;
    view.picture("inbox-phone").await;
    view.browser.execute("document.querySelector('.listing').scrollIntoView()", &[]).await.unwrap();
    view.picture("inbox-phone-list").await;
    view.choose("state", "dead").await;
    view.rows(1).await;
    view.click(".listing tbody a").await;
    view.shows("document.querySelectorAll('.attempts li').length === 3").await;
    view.fits().await;
    view.picture("inbox-phone-event").await;
    view.browser.set_window(1280, 900).await.unwrap();
}
