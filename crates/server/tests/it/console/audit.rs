//! The page of the audit, which operators of the installation see.

use mainstay_testing::Browser;

use super::experiments::keep_picture;
use super::view::View;
use crate::support::binary::Installation;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_sees_what_is_missing_and_audits_again() {
    let Some(browser) = Browser::start().await else { return };
    let installation = Installation::new();
    installation.people(2).await;
    installation.run(&["user", "operator", "--email", "writer0@example.com"]).await.says(0, &[]);
    let server = installation.serve().await;
    let page = View { browser };
    page.open_to_operators(&server, "/audit").await;
    page.shows("document.querySelector('#audit .nothing')?.textContent.includes('No audit')").await;
    page.click("[data-action=audit]").await;
    page.shows("Number(document.querySelector('.audit-score strong')?.textContent) > 50").await;
    page.shows("document.querySelectorAll('#audit [data-group]').length === 7").await;
    page.shows("document.querySelector('[data-check=\"security.forged_tokens\"] .badge')?.textContent === 'passed'")
        .await;
    page.shows(
        "document.querySelector('[data-check=\"security.https\"] .badge')?.textContent === 'not asked for here'",
    )
    .await;
    keep_picture(&page.browser, "audit.png").await;
    page.click("[data-action=audit]").await;
    page.shows("document.querySelector('#audit')?.textContent.includes('Earlier (1)')").await;
    page.browser.set_window(390, 844).await.unwrap();
    keep_picture(&page.browser, "audit-phone.png").await;
    page.shows("document.documentElement.scrollWidth <= innerWidth").await;
    page.complains_of_nothing_but(&["status of 401", "status of 403"]).await;
    server.stop().await;
}
