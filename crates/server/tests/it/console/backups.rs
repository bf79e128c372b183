//! The page of backups, which operators of the installation see.

use mainstay_testing::Browser;

use super::experiments::keep_picture;
use super::view::View;
use crate::support::binary::Installation;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_makes_a_backup_and_tries_it() {
    let Some(browser) = Browser::start().await else { return };
    let backups = tempfile::tempdir().expect("a folder");
    let installation = Installation::new();
    installation.people(2).await;
    installation.run(&["user", "operator", "--email", "writer0@example.com"]).await.says(0, &[]);
    let page = View { browser };
    let server = installation.serve().await;
    page.open_to_operators(&server, "/backups").await;
    page.shows("document.querySelector('#backups .off')?.textContent.includes('backup.to')").await;
    server.stop().await;

    let installation = installation.with("MAINSTAY_BACKUP__TO", &backups.path().display().to_string());
    let server = installation.serve().await;
    page.browser.goto(&format!("{}/backups", server.address)).await.unwrap();
    page.sign_in("writer0@example.com", "password of writer 0", None).await;
    page.click("[data-action=backup]").await;
    page.shows("document.querySelector('[data-state=complete]') !== null").await;
    page.click("[data-action=drill]").await;
    page.shows("document.querySelector('[data-drill=passed]') !== null").await;
    keep_picture(&page.browser, "backups.png").await;
    page.browser.set_window(390, 844).await.unwrap();
    keep_picture(&page.browser, "backups-phone.png").await;
    page.shows("document.documentElement.scrollWidth <= innerWidth").await;
    page.complains_of_nothing_but(&["status of 401", "status of 403"]).await;
    server.stop().await;
}
