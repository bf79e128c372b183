//! Two windows of the same person follow each other live, without being loaded again.

use serde_json::json;

use super::desk::{Desk, at_the_desk};
use super::nothing_was_wrong;

/// How often this window asked for a ticket to a socket.
const TICKETS: &str =
    "return performance.getEntriesByType('resource').filter(({name}) => name.endsWith('/v1/live/tickets')).length";

/// Sees in this window what the other one does: `see` looks, and nothing was loaded again meanwhile.
async fn mark(desk: &Desk) {
    desk.browser.execute("window.neverLeft = true", &[]).await.unwrap();
}

async fn is_marked(desk: &Desk) {
    assert_eq!(desk.browser.execute("return window.neverLeft", &[]).await.unwrap(), json!(true));
}

/// Waits until the list has these titles.
async fn lists(desk: &Desk, titles: &[&str]) {
    let script = format!(
        "const shown = [...document.querySelectorAll('#conversations .conversation-title')].map((title) => title.textContent);
        return JSON.stringify(shown) === JSON.stringify({})",
        json!(titles)
    );
    desk.wait(&script).await;
}

async fn rename(desk: &Desk, title: &str) {
    desk.browser.execute("document.querySelector('[data-action=rename]').click()", &[]).await.unwrap();
    let input = desk.browser.find(".rename-input").await.unwrap();
    input.clear().await.unwrap();
    input.type_text(title).await.unwrap();
    desk.click(".rename [type=submit]").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_windows_of_a_browser_follow_each_other_over_one_socket() {
    at_the_desk(async |desk| {
        desk.open().await;
        desk.sign_up("Hedy Lamarr", "hedy@example.com").await;
        mark(desk).await;
        let first = desk.browser.window().await.unwrap();
        desk.wait(TICKETS).await;
        let second = desk.browser.new_window().await.unwrap();
        desk.browser.switch_to(&second).await.unwrap();
        desk.browser.goto(&desk.address()).await.unwrap();
        desk.wait("return document.querySelector('#conversations .nothing')").await;
        mark(desk).await;
        desk.ask("How does a frequency hop?").await;
        desk.settled(2).await;

        desk.browser.switch_to(&first).await.unwrap();
        lists(desk, &["How does a frequency hop?"]).await;
        desk.click("[data-conversation-id] a").await;
        desk.settled(2).await;
        desk.ask("And why?").await;
        desk.settled(4).await;
        rename(desk, "Hopping").await;
        lists(desk, &["Hopping"]).await;

        desk.browser.switch_to(&second).await.unwrap();
        desk.settled(4).await;
        lists(desk, &["Hopping"]).await;
        desk.wait("return document.querySelector('#conversation-title').textContent === 'Hopping'").await;
        assert_eq!(desk.browser.execute(TICKETS, &[]).await.unwrap(), json!(0), "one window holds the socket for both");
        desk.browser.execute("document.querySelector('[data-action=delete]').click()", &[]).await.unwrap();
        desk.click("#confirm-yes").await;
        lists(desk, &[]).await;

        desk.browser.switch_to(&first).await.unwrap();
        lists(desk, &[]).await;
        desk.wait("return document.querySelector('#chat-notice [data-code=not_found]')").await;
        is_marked(desk).await;

        // Whoever leads may go: the other one takes over.
        desk.browser.close_window().await.unwrap();
        desk.browser.switch_to(&second).await.unwrap();
        is_marked(desk).await;
        desk.wait(TICKETS).await;
        let token = desk.access_token().await;
        desk.post("/v1/conversations", &token, json!({"title": "From elsewhere"})).await;
        lists(desk, &["From elsewhere"]).await;
        nothing_was_wrong(desk).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_sessions_of_a_person_follow_each_other_and_a_reply_grows_in_both() {
    at_the_desk(async |desk| {
        desk.open().await;
        desk.sign_up("Emmy Noether", "emmy@example.com").await;
        desk.wait("return document.querySelector('#conversations .nothing')").await;
        let other = desk.beside().await;
        other.open().await;
        other.sign_in("emmy@example.com").await;
        other.wait("return document.querySelector('#conversations .nothing')").await;
        mark(&other).await;

        desk.ask("What is conserved?").await;
        lists(&other, &["What is conserved?"]).await;
        other.click("[data-conversation-id] a").await;
        let growing =
            "const reply = document.querySelector('[data-role=assistant][data-status=streaming] .message-content');
            return reply?.textContent.length > 10";
        other.wait(growing).await;
        desk.settled(2).await;
        other.settled(2).await;
        desk.ask("And what is not?").await;
        // The question at once, and the reply while it is made.
        other.wait("return document.querySelectorAll('.message').length === 4").await;
        other.wait(growing).await;
        desk.settled(4).await;
        other.settled(4).await;
        let id = desk.conversation().await;
        desk.shows_what_is_stored(&id).await;
        other.shows_what_is_stored(&id).await;

        rename(&other, "Symmetry").await;
        lists(desk, &["Symmetry"]).await;
        desk.wait("return document.querySelector('#conversation-title').textContent === 'Symmetry'").await;
        is_marked(&other).await;
        nothing_was_wrong(desk).await;
        nothing_was_wrong(&other).await;
    })
    .await;
}
