//! The page of the system, which operators of the installation see.

use mainstay_testing::Browser;

use super::experiments::keep_picture;
use super::view::View;
use crate::support::binary::Installation;
use crate::support::receiver::Receiver;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_sees_how_the_system_is_and_tries_whether_messages_arrive() {
    let Some(browser) = Browser::start().await else { return };
    let slack = Receiver::start().await;
    let installation = Installation::new().with("MAINSTAY_ALERTS__SLACK_URL", &slack.url());
    installation.people(2).await;
    installation.run(&["user", "operator", "--email", "writer0@example.com"]).await.says(0, &[]);
    let record = ["deploy", "record", "--environment", "production", "--outcome", "succeeded", "--reason", "a test"];
    installation.run(&record).await.says(0, &["Recorded: deploy"]);
    let server = installation.serve().await;
    let page = View { browser };
    page.open_to_operators(&server, "/system").await;
    page.shows("document.querySelector('[data-part=Wrong]')?.textContent.includes('Nothing is wrong')").await;
    page.shows("document.querySelectorAll('#system [data-node]').length === 1").await;
    page.shows("document.querySelector('[data-figure=\"requests in five minutes\"] strong') !== null").await;
    page.shows("document.querySelector('[data-receiver=slack]')?.textContent.includes('never')").await;
    page.shows("document.querySelector('[data-deployment=succeeded]')?.textContent.includes('a test')").await;
    page.click("[data-action=test]").await;
    page.shows("document.querySelector('.told')?.textContent.includes('took the test message')").await;
    page.shows("document.querySelector('[data-receiver=slack]')?.textContent.includes('took a message')").await;
    assert_eq!(slack.until(1).await.len(), 1);
    keep_picture(&page.browser, "system.png").await;
    page.browser.set_window(390, 844).await.unwrap();
    keep_picture(&page.browser, "system-phone.png").await;
    page.shows("document.documentElement.scrollWidth <= innerWidth").await;
    page.complains_of_nothing_but(&["status of 401", "status of 403"]).await;
    server.stop().await;
}
