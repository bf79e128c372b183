//! The page of deliveries, which administrators of an organisation see.

use mainstay_testing::Browser;
use serde_json::{Value, json};

use super::view::View;
use crate::deliveries::{endpoint, get, publish, start, until};
use crate::support::receiver::{Answering, Receiver};
use crate::support::{Engine, Person, TestApp};

/// What would be seen in the page if any of it were taken for markup.
const HOSTILE: &str = "</pre><script>document.title='taken'</script><img src=x onerror=\"document.title='taken'\">";

struct Page {
    view: View,
    server: TestApp,
    ada: Person,
    shop: Receiver,
    desk: Receiver,
    /// Their endpoints.
    ids: [String; 2],
}

impl Page {
    fn card(&self, place: usize) -> String {
        format!("[data-endpoint='{}']", self.ids[place])
    }

    /// Waits until there are so many deliveries in a state.
    async fn until(&self, state: &str, count: usize) {
        let path = format!("/v1/webhook-deliveries?state={state}");
        let there = |list: &Value| list["data"].as_array().is_some_and(|rows| rows.len() == count);
        until(&self.server, &self.ada, &path, there).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_administrator_sees_what_is_delivered_and_steers_it() {
    let Some(browser) = Browser::start().await else { return };
    let settings = [("deliveries.retry_seconds", r#"["0.05"]"#)];
    let server = start(Engine::Sqlite, &settings).await.expect("SQLite is always there");
    let (ada, bob) = (server.person("ada").await, server.person("bob").await);
    let add = json!({"email": bob.email, "role": "member"});
    server.send("POST", "/v1/members", Some(&ada.access_token), Some(add)).await.expect(201);
    let view = View { browser };
    view.browser.goto(&format!("{}/deliveries", server.address)).await.unwrap();
    view.shows("document.querySelector('#page .off')?.textContent.includes('Sign in')").await;
    view.sign_in(&bob.email, "password of bob", Some(&ada.organisation)).await;
    view.shows("document.querySelector('#page .off')?.textContent.includes('for administrators')").await;
    view.shows("document.querySelectorAll('#page > *').length === 1").await;
    view.sign_in(&ada.email, "password of ada", None).await;
    view.shows("document.querySelector('.listing .nothing')?.textContent.includes('no such deliveries')").await;
    view.counts(".counts", "There is no endpoint.").await;

    let (shop, desk) = (Receiver::start().await, Receiver::start().await);
    let (first, _) = endpoint(&server, &ada, json!({"url": shop.url(), "description": "<u>Shop"})).await;
    let (second, _) = endpoint(&server, &ada, json!({"url": desk.url(), "event_types": ["desk.rang"]})).await;
    let page = Page { view, server, ada, shop, desk, ids: [first, second] };
    live_counts(&page).await;
    one_delivery_attempt_by_attempt(&page).await;
    one_that_waits_is_cancelled(&page).await;
    an_endpoint_is_enabled_tried_and_told_again(&page).await;
    filtered(&page).await;
    on_a_phone(&page).await;

    // Her menu leads there.
    let view = &page.view;
    view.browser.goto(&page.server.address).await.unwrap();
    view.shows("document.querySelector('#account-menu')?.hidden === false").await;
    view.click("#account-menu").await;
    view.shows("document.querySelector('#show-deliveries')?.hidden === false").await;
    view.click("#show-deliveries").await;
    view.shows("document.querySelector('.counts .card')").await;
    view.complains_of_nothing_but(&["status of 401", "status of 403"]).await;
}

async fn live_counts(page: &Page) {
    let view = &page.view;
    page.shop.script([Answering::status(500), Answering::status(500)]);
    publish(&page.server, &page.ada, "order.paid", json!({"note": HOSTILE})).await;
    page.until("failed", 1).await;
    publish(&page.server, &page.ada, "order.sent", json!({"n": 1})).await;
    page.until("delivered", 1).await;
    // The page hears of it by itself, of the endpoints too.
    view.counts("[data-endpoint='']", "1 failed").await;
    view.counts("[data-endpoint='']", "1 delivered").await;
    view.counts(&page.card(0), "1 failed").await;
    view.counts(&page.card(0), "enabled").await;
    view.rows(2).await;
}

async fn one_delivery_attempt_by_attempt(page: &Page) {
    let view = &page.view;
    view.choose("state", "failed").await;
    view.rows(1).await;
    view.click(".listing tbody a").await;
    view.shows("document.querySelectorAll('.attempts > li').length === 2").await;
    view.click(".attempts li:first-child summary").await;
    view.shows("document.querySelector('.attempts details').open").await;
    let words = ["order.paid failed", "<u>Shop", "Attempt 2", "answered 500", "webhook-id: ", "understood", "<script>"];
    view.item_says(&words).await;
    // What somebody sends is text, whatever it says.
    view.shows("document.querySelectorAll('.item :is(pre, code) *, .item :is(u, img, script)').length === 0").await;
    view.shows("document.querySelectorAll('.counts u').length === 0").await;
    view.shows("document.title.startsWith('Deliveries')").await;
    view.picture("delivery").await;
    // It is delivered again, as another delivery, which is shown.
    let old = view.shows("new URLSearchParams(location.search).get('id')").await;
    view.click(".item [data-action=replay]").await;
    view.shows(&format!("new URLSearchParams(location.search).get('id') !== {old}")).await;
    view.is("delivered").await;
    view.item_says(&["Attempt 1", "answered 200"]).await;
    page.shop.until(4).await;
    view.click(".item .back").await;
    view.rows(1).await;
}

async fn one_that_waits_is_cancelled(page: &Page) {
    let view = &page.view;
    page.desk.answer(Answering::Status(503, vec![("retry-after", "3600".to_owned())]));
    publish(&page.server, &page.ada, "desk.rang", json!({})).await;
    view.counts(&page.card(1), "resting").await;
    view.counts(&page.card(1), "1 pending").await;
    view.picture("deliveries").await;
    view.click(&format!("{} a[href*='state=pending']", page.card(1))).await;
    view.rows(1).await;
    view.click(".listing tbody a").await;
    view.shows("document.querySelectorAll('.attempts > li').length === 2").await;
    view.item_says(&["Attempt 2 waits", "answered 503"]).await;
    view.mean(".item [data-action=cancel]").await;
    view.is("cancelled").await;
    view.item_says(&["It was cancelled by somebody."]).await;
    view.counts(&page.card(1), "1 cancelled").await;
    view.click(".item .back").await;
    view.rows(0).await;
}

async fn an_endpoint_is_enabled_tried_and_told_again(page: &Page) {
    let (view, [_, desk]) = (&page.view, &page.ids);
    // Whoever changes an endpoint has it tried anew; then nobody listens there.
    let path = format!("/v1/webhook-endpoints/{desk}");
    let token = Some(page.ada.access_token.as_str());
    page.server.send("PATCH", &path, token, Some(json!({"description": ""}))).await.expect(200);
    page.desk.answer(Answering::status(410));
    publish(&page.server, &page.ada, "desk.rang", json!({"n": 2})).await;
    view.counts(&page.card(1), "nobody listens there any more").await;
    view.picture("deliveries-disabled").await;
    page.desk.answer(Answering::status(200));
    let arrived = page.desk.arrivals().len();
    view.click(&format!("[data-action=enable-{desk}]")).await;
    view.counts(".told", "is enabled").await;
    view.shows(&format!("document.querySelector('[data-action=test-{desk}]')?.checkVisibility()")).await;
    assert_eq!(get(&page.server, &page.ada, &path).await["enabled"], true);
    view.click(&format!("[data-action=test-{desk}]")).await;
    view.counts(".told", "A test is on its way").await;
    assert_eq!(page.desk.until(arrived + 1).await[arrived].json()["type"], "webhook.test");
    // What it has missed: both events that rang.
    view.click(&format!("[data-action=range-{desk}]")).await;
    view.shows("document.querySelector('dialog[open] #range-missed')?.checked").await;
    view.picture("deliveries-range").await;
    view.click("dialog[open] [data-answer=yes]").await;
    view.counts(".told", "soon in the list").await;
    page.desk.until(arrived + 3).await;
    // Nothing is left to tell: who leaves the dialog tells nobody.
    view.click(&format!("[data-action=range-{desk}]")).await;
    view.click("dialog[open] [data-answer=no]").await;
    view.shows("document.querySelector('dialog') === null").await;
}

async fn filtered(page: &Page) {
    let view = &page.view;
    view.click("[data-action=reset]").await;
    // Three to the shop and one told again, the two that rang, told again, and a test; the shop heard them ring too.
    view.shows("document.querySelectorAll('.listing tbody tr').length > 6").await;
    view.choose("endpoint", "<u>Shop").await;
    view.shows("document.querySelectorAll('.listing tbody tr').length > 3").await;
    view.browser.find("#filter-type").await.unwrap().type_text("order.paid").await.unwrap();
    view.click(".filters [type=submit]").await;
    view.rows(2).await;
    view.choose("state", "failed").await;
    view.rows(1).await;
}

async fn on_a_phone(page: &Page) {
    let view = &page.view;
    view.browser.set_window(390, 844).await.unwrap();
    view.fits().await;
    view.picture("deliveries-phone").await;
    view.browser.execute("document.querySelector('.filters').scrollIntoView()", &[]).await.unwrap();
    view.picture("deliveries-phone-list").await;
    view.click(".listing tbody a").await;
    view.shows("document.querySelectorAll('.attempts > li').length === 2").await;
    view.click(".attempts li:first-child summary").await;
    view.fits().await;
    view.picture("delivery-phone").await;
    view.browser.set_window(1280, 900).await.unwrap();
}
