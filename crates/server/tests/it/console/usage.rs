//! The sheet with what was used.

use serde_json::json;

use super::desk::{Desk, at_the_desk};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_sees_what_was_used_and_sets_a_budget() {
    at_the_desk(async |desk| {
        desk.open().await;
        desk.sign_up("Ada Lovelace", "ada@example.com").await;
        let token = desk.access_token().await;
        for _ in 0..2 {
            desk.post("/v1/messages", &token, json!({"content": "Hello"})).await;
        }
        desk.click("#account-menu").await;
        desk.click("#show-usage").await;
        shows(desk, "#usage .usage-meters", "Messages today2 of 200").await;
        shows(desk, "#usage .usage-organisation tbody", "Ada Lovelace2").await;
        let script = "const field = document.querySelector('#usage-budget-amount');
            field.value = '12.5';
            field.form.requestSubmit();";
        desk.browser.execute(script, &[]).await.unwrap();
        let saved = "return document.querySelector('#status').textContent.includes('The budget is saved.')";
        desk.wait(saved).await;
        // Closed by its button, and shown again as it is stored.
        desk.click("#usage [data-close]").await;
        desk.wait("return !document.querySelector('#usage').open").await;
        desk.click("#account-menu").await;
        desk.click("#show-usage").await;
        desk.wait("return document.querySelector('#usage-budget-amount').value === '12.5'").await;
        let bad = desk.complaints().await;
        assert!(bad.iter().all(|line| super::is_known(line)), "{bad:?}");
    })
    .await;
}

async fn shows(desk: &Desk, css: &str, text: &str) {
    desk.wait(&format!("return document.querySelector('{css}')?.textContent.includes({})", json!(text))).await;
}
