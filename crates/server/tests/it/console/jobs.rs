//! The page of jobs, which operators of the installation see.

use std::ops::Deref;

use mainstay_testing::Browser;
use serde_json::{Value, json};

use super::experiments::keep_picture;
use super::view::View;
use crate::support::binary::{Installation, Instance};

/// The key of a keyboard that presses a button.
const ENTER: &str = "\u{E007}";

/// The page in a browser, beside a client of the API.
struct Page {
    view: View,
    server: Instance,
    token: String,
}

impl Deref for Page {
    type Target = View;

    fn deref(&self) -> &View {
        &self.view
    }
}

impl Page {
    async fn sign_in(&self, number: u32) {
        let (email, password) = (format!("writer{number}@example.com"), format!("password of writer {number}"));
        self.view.sign_in(&email, &password, None).await;
    }

    async fn probes(&self, body: Value) {
        let answer = self.server.send("POST", "/v1/jobs/probes", &self.token, Some(body)).await.expect("an answer");
        answer.expect(202);
    }

    /// Waits until the page says so many of the queue by itself, without being loaded again.
    async fn counts(&self, word: &str, count: u32) {
        self.view.counts(".counts", &format!("{count} {word}")).await;
    }

    async fn choose(&self, state: &str) {
        self.view.choose("state", state).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_sees_jobs_live_and_steers_them() {
    let Some(browser) = Browser::start().await else { return };
    let installation = Installation::new();
    let token = installation.people(2).await.remove(0);
    installation.run(&["user", "operator", "--email", "writer0@example.com"]).await.says(0, &[]);
    let server = installation.serve().await;
    let page = Page { view: View { browser }, server, token };
    page.browser.goto(&format!("{}/jobs", page.server.address)).await.unwrap();
    page.shows("document.querySelector('#page .off')?.textContent.includes('Sign in')").await;
    page.sign_in(1).await;
    page.shows("document.querySelector('#page .off')?.textContent.includes('for operators')").await;
    page.sign_in(0).await;
    page.shows("document.querySelector('.listing .nothing')?.textContent.includes('no such jobs')").await;

    live_counts(&page).await;
    one_job_attempt_by_attempt(&page).await;
    steered(&page).await;
    on_a_phone(&page).await;

    // Her menu leads there.
    page.browser.goto(&page.server.address).await.unwrap();
    page.shows("document.querySelector('#account-menu')?.hidden === false").await;
    page.click("#account-menu").await;
    page.shows("document.querySelector('#show-jobs')?.hidden === false").await;
    page.click("#show-jobs").await;
    page.shows("document.querySelector('.counts .card')").await;
    // Being refused is said on the console of the browser, and nothing else.
    page.complains_of_nothing_but(&["status of 401", "status of 403"]).await;
    page.server.stop().await;
}

async fn live_counts(page: &Page) {
    page.probes(json!({"key": "given-up", "count": 2, "failures": 25})).await;
    page.probes(json!({"key": "told", "count": 1, "failures": 2})).await;
    page.probes(json!({"key": "done", "count": 3})).await;
    // The page hears of it by itself.
    page.counts("dead", 2).await;
    page.rows(6).await;
    page.mean("[data-action=pause-probes]").await;
    page.shows("document.querySelector('[data-queue=probes] .badge')?.textContent === 'paused'").await;
    page.probes(json!({"key": "waits", "count": 2})).await;
    page.counts("ready", 2).await;
    keep_picture(&page.browser, "jobs.png").await;
}

async fn one_job_attempt_by_attempt(page: &Page) {
    page.choose("dead").await;
    page.rows(2).await;
    keep_picture(&page.browser, "jobs-dead.png").await;
    page.click(".listing tbody a").await;
    page.shows("document.querySelectorAll('.attempts li').length === 20").await;
    page.item_says(&["probe dead", "20 of 20", "Attempt 20", "attempt 20 was told to fail", "probe/given-up/"]).await;
    keep_picture(&page.browser, "job.png").await;
    // Going back finds the list as it was.
    page.browser.execute("history.back()", &[]).await.unwrap();
    page.rows(2).await;
    page.shows("document.querySelector('#filter-state').value === 'dead'").await;
}

async fn steered(page: &Page) {
    page.mean("[data-action=replay-all]").await;
    page.shows("document.querySelector('.bulk')?.textContent.includes('2 jobs begin anew.')").await;
    page.rows(0).await;
    // The figure above leads into the list.
    page.counts("ready", 4).await;
    page.click("[data-queue=probes] a[data-filter]").await;
    page.rows(4).await;
    page.click(".listing tbody a").await;
    page.mean(".item [data-action=cancel]").await;
    page.is("cancelled").await;
    page.click(".item [data-action=replay]").await;
    page.is("ready").await;
    // With the keyboard alone: the queue goes on, and what is open changes before one's eyes.
    page.browser.execute("document.querySelector('[data-action=pause-probes]').focus()", &[]).await.unwrap();
    page.browser.find("[data-action=pause-probes]").await.unwrap().type_text(ENTER).await.unwrap();
    page.shows("document.querySelector('[data-queue=probes] .badge') === null").await;
    let focused = "document.activeElement?.dataset.action === 'pause-probes'";
    page.shows(focused).await;
    page.shows(
        "['done', 'dead', 'scheduled', 'running'].includes(document.querySelector('.item h2 .badge')?.textContent)",
    )
    .await;
    page.click(".item .back").await;
    page.rows(0).await;
}

async fn on_a_phone(page: &Page) {
    page.click("[data-action=reset]").await;
    page.rows(8).await;
    page.browser.set_window(390, 844).await.unwrap();
    page.fits().await;
    keep_picture(&page.browser, "jobs-phone.png").await;
    page.browser.execute("document.querySelector('.listing').scrollIntoView()", &[]).await.unwrap();
    keep_picture(&page.browser, "jobs-phone-list.png").await;
    page.choose("dead").await;
    page.rows(2).await;
    page.click(".listing tbody a").await;
    page.shows("document.querySelectorAll('.attempts li').length > 20").await;
    page.fits().await;
    keep_picture(&page.browser, "job-phone.png").await;
    page.browser.set_window(1280, 900).await.unwrap();
}
