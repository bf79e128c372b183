//! Without a server: the page opens, the history reads, what is written waits and is sent once; and what signing out leaves.

use serde_json::{Value, json};

use super::desk::{Desk, at_the_desk};

/// The network line says something.
const AWAY: &str = "return document.querySelector('#network').textContent";
const WAITS: &str = "return document.querySelector('.message[data-status=waiting]')";
const NOTHING_WAITS: &str =
    "return document.querySelector('.message') && !document.querySelector('.message[data-status=waiting]')";

/// The service worker has kept the page.
async fn is_kept(desk: &Desk) {
    desk.run("await navigator.serviceWorker.ready").await;
    desk.wait("return navigator.serviceWorker.controller").await;
}

/// The device says that its network is back.
async fn back(desk: &Desk) {
    desk.browser.execute("dispatchEvent(new Event('online'))", &[]).await.unwrap();
}

/// Starts a conversation whose reply is final. Its id.
async fn a_conversation(desk: &Desk, question: &str) -> String {
    desk.ask(question).await;
    desk.settled(2).await;
    desk.wait("return document.querySelector('[data-conversation-id]')").await;
    desk.conversation().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_history_reads_without_a_server_and_what_is_written_is_sent_once() {
    at_the_desk(async |desk| {
        desk.open().await;
        desk.sign_up("Joan Clarke", "joan@example.com").await;
        let first = a_conversation(desk, "What is a crib?").await;
        let stored = desk.shows_what_is_stored(&first).await;
        let token = desk.access_token().await;
        is_kept(desk).await;
        desk.stop_server().await;

        // From the beginning, without anybody to ask.
        desk.browser.refresh().await.unwrap();
        desk.wait(AWAY).await;
        desk.settled(2).await;
        let shown = desk.browser.execute("return document.querySelector('.message-content').textContent", &[]).await;
        assert_eq!(shown.unwrap(), stored[0]["content"]);
        desk.ask("Written without a server").await;
        desk.wait(WAITS).await;
        desk.click("#new-conversation").await;
        desk.ask("A new one, without a server").await;
        desk.wait(WAITS).await;
        let made = desk.conversation().await;
        desk.ask("Its second message").await;
        desk.wait("return document.querySelectorAll('.message[data-status=waiting]').length === 2").await;
        rename_offline(desk, &first, "Cribs").await;
        // All of it is still there when the page is loaded again.
        desk.browser.refresh().await.unwrap();
        desk.wait("return document.querySelectorAll('.message[data-status=waiting]').length === 2").await;
        desk.wait("return document.querySelector('#network').textContent.includes('4 things wait')").await;
        desk.wait("return document.querySelectorAll('[data-conversation-id]').length === 2").await;

        desk.start_server().await;
        back(desk).await;
        desk.wait(NOTHING_WAITS).await;
        desk.settled(4).await;
        assert_eq!(desk.questions(&token, &made).await, ["A new one, without a server", "Its second message"]);
        assert_eq!(desk.questions(&token, &first).await, ["What is a crib?", "Written without a server"]);
        let all = desk.get("/v1/conversations", &token).await;
        assert_eq!(all["data"].as_array().unwrap().len(), 2, "{all}");
        assert_eq!(desk.get(&format!("/v1/conversations/{first}"), &token).await["title"], "Cribs");
        desk.shows_what_is_stored(&made).await;
        desk.wait(&format!("return !({})", AWAY.trim_start_matches("return "))).await;
        assert_eq!(kept_of_the_api(desk).await, json!([]), "an answer of the API was kept outside the copy");
    })
    .await;
}

async fn rename_offline(desk: &Desk, id: &str, title: &str) {
    let script = format!("document.querySelector('[data-conversation-id=\"{id}\"] [data-action=rename]').click()");
    desk.browser.execute(&script, &[]).await.unwrap();
    let input = desk.browser.find(".rename-input").await.unwrap();
    input.clear().await.unwrap();
    input.type_text(title).await.unwrap();
    desk.click(".rename [type=submit]").await;
    desk.wait(&format!(
        "return document.querySelector('[data-conversation-id=\"{id}\"] .conversation-title')?.textContent === {}",
        json!(title)
    ))
    .await;
}

/// The addresses in all caches that are neither the shell nor a file of a release.
async fn kept_of_the_api(desk: &Desk) -> Value {
    desk.run(
        "const names = await caches.keys();
        const all = await Promise.all(names.map(async (name) => (await caches.open(name)).keys()));
        const paths = all.flat().map(({url}) => new URL(url).pathname);
        return paths.filter((path) => path !== '/' && !path.startsWith('/assets/'));",
    )
    .await
}

/// The worst case: the server has taken the message, and its answer is lost. Tried again, it must be the same message.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_whose_answer_was_lost_is_not_sent_twice() {
    at_the_desk(async |desk| {
        desk.open().await;
        desk.sign_up("Mavis Batey", "mavis@example.com").await;
        desk.wait("return document.querySelector('#conversations .nothing')").await;
        let token = desk.access_token().await;
        // Requests arrive; what comes back of messages and of the queue does not, once each.
        let script = "window.realFetch = window.fetch;
            const lost = new Set();
            window.fetch = async (url, options) => {
                const path = new URL(url, location).pathname;
                const answer = await window.realFetch(url, options);
                if (options?.method !== 'POST' || !/messages$|sync$/.test(path) || lost.has(path)) return answer;
                lost.add(path);
                throw new TypeError('made up: the answer was lost');
            };";
        desk.browser.execute(script, &[]).await.unwrap();
        desk.ask("Only once, please").await;
        // It went, waits for the way back, and then is where it was made.
        desk.settled(2).await;
        let id = desk.conversation().await;
        assert_eq!(desk.questions(&token, &id).await, ["Only once, please"]);
        // And by the way of what was never tried.
        let script = "const {enqueue} = await part('queue');
            for (const content of ['One', 'Two']) {
                await enqueue({kind: 'message.send', conversation_id: new URLSearchParams(location.search).get('c'), content, isNew: false, key: null});
            }";
        desk.run(script).await;
        desk.settled(6).await;
        desk.wait(NOTHING_WAITS).await;
        assert_eq!(desk.questions(&token, &id).await, ["Only once, please", "One", "Two"]);
        let all = desk.get("/v1/conversations", &token).await;
        assert_eq!(all["data"].as_array().unwrap().len(), 1, "{all}");
        desk.shows_what_is_stored(&id).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_server_refuses_is_shown_and_can_be_written_again_or_dropped() {
    at_the_desk(async |desk| {
        desk.open().await;
        desk.sign_up("Betty Webb", "betty@example.com").await;
        let id = a_conversation(desk, "Hello?").await;
        let script = "const {enqueue} = await part('queue');
            await enqueue({kind: 'message.send', conversation_id: '01900000-0000-7000-8000-000000000000', content: 'To nobody', isNew: false, key: null});
            await enqueue({kind: 'conversation.rename', conversation_id: '01900000-0000-7000-8000-000000000000', title: 'Nothing'});";
        desk.run(script).await;
        desk.wait("return document.querySelectorAll('#unsent [data-code=not_found]').length === 2").await;
        desk.click("#unsent [data-action=rewrite]").await;
        desk.wait("return document.querySelector('#composer-input').value === 'To nobody'").await;
        desk.wait("return document.querySelectorAll('#unsent [data-code=not_found]').length === 1").await;
        desk.click("#unsent [data-action=drop]").await;
        desk.wait("return !document.querySelector('#unsent').childElementCount").await;
        desk.click("#composer-send").await;
        desk.settled(4).await;
        let token = desk.access_token().await;
        assert_eq!(desk.questions(&token, &id).await, ["Hello?", "To nobody"]);

        // A queue has an end, and says so.
        desk.stop_server().await;
        let script = "const {enqueue} = await part('queue');
            const id = new URLSearchParams(location.search).get('c');
            for (let sent = 0; sent < 200; sent += 1) await enqueue({kind: 'conversation.rename', conversation_id: id, title: `Title ${sent}`});";
        desk.run(script).await;
        desk.ask("One too many").await;
        desk.wait("return document.querySelector('#composer-notice [data-code=queue_full]')").await;
        desk.start_server().await;
        back(desk).await;
        let sent = "const {entries} = await part('queue');
            const {events} = await part('bus');
            while ((await entries()).length) await new Promise((go) => events.addEventListener('local:queue', go, {once: true}));";
        desk.run(sent).await;
        assert_eq!(desk.get(&format!("/v1/conversations/{id}"), &token).await["title"], "Title 199");
    })
    .await;
}

/// A limit is reached in the middle of what waits: what was applied is known to be, and the page says why the rest waits.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_limit_that_is_reached_while_the_queue_is_sent_is_said() {
    at_the_desk(async |desk| {
        desk.stop_server().await;
        desk.messages_per_day("3").await;
        desk.start_server().await;
        desk.open().await;
        desk.sign_up("Evelyn Boyd", "evelyn@example.com").await;
        let id = a_conversation(desk, "One").await;
        desk.stop_server().await;
        for content in ["Two", "Three", "Four"] {
            desk.ask(content).await;
        }
        desk.wait("return document.querySelectorAll('.message[data-status=waiting]').length === 3").await;
        desk.start_server().await;
        back(desk).await;
        desk.wait("return document.querySelector('#sync-notice .notice')").await;
        desk.wait("return document.querySelectorAll('.message[data-status=waiting]').length === 1").await;
        desk.wait("return document.querySelectorAll('.message[data-role=user]').length === 4").await;
        let token = desk.access_token().await;
        assert_eq!(desk.questions(&token, &id).await, ["One", "Two", "Three"]);
    })
    .await;
}

/// What the browser holds of anybody.
async fn left_behind(desk: &Desk) -> Value {
    let script = "const bases = (await indexedDB.databases()).map(({name}) => name);
        const texts = (storage) => Object.keys(storage).filter((name) => name !== 'mainstay.drawer' && name !== 'mainstay.theme');
        return {bases, texts: [...texts(localStorage), ...texts(sessionStorage)]};";
    desk.run(script).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn signing_out_leaves_nothing_and_somebody_else_finds_nothing() {
    at_the_desk(async |desk| {
        desk.open().await;
        desk.sign_up("Alice Ball", "alice@example.com").await;
        a_conversation(desk, "Mine alone").await;
        assert_eq!(left_behind(desk).await["bases"].as_array().unwrap().len(), 1);
        // Another window has the same database open; it leaves too.
        let first = desk.browser.window().await.unwrap();
        let second = desk.browser.new_window().await.unwrap();
        desk.browser.switch_to(&second).await.unwrap();
        desk.browser.goto(&desk.address()).await.unwrap();
        desk.wait("return document.querySelector('[data-conversation-id]')").await;
        desk.sign_out().await;
        // Deleting waits for the other window to let go.
        let look = "indexedDB.databases().then((all) => { window.isGone = all.length === 0; }); return window.isGone";
        desk.wait(look).await;
        let nothing = json!({"bases": [], "texts": []});
        assert_eq!(left_behind(desk).await, nothing);
        desk.browser.switch_to(&first).await.unwrap();
        desk.wait("return document.body.dataset.view === 'auth'").await;
        assert_eq!(left_behind(desk).await, nothing);

        // A session that ends by itself keeps what was written for the same person, and nothing that was read.
        desk.sign_in("alice@example.com").await;
        desk.wait("return document.querySelector('[data-conversation-id]')").await;
        desk.browser.devtools("Network.clearBrowserCookies", json!({})).await.unwrap();
        desk.browser.refresh().await.unwrap();
        desk.wait("return document.body.dataset.view === 'auth'").await;
        let rows = "const [{name}] = await indexedDB.databases();
            const db = await new Promise((done) => { const open = indexedDB.open(name); open.onsuccess = () => done(open.result); });
            const count = await new Promise((done) => { const all = db.transaction('rows').objectStore('rows').count(); all.onsuccess = () => done(all.result); });
            db.close();
            return count;";
        assert_eq!(desk.run(rows).await, json!(0));
        // Somebody else signs in: nothing of the one before is left.
        desk.sign_up("Rita Levi", "rita@example.com").await;
        desk.wait("return document.querySelector('#conversations .nothing')").await;
        let left = left_behind(desk).await;
        assert_eq!(left["bases"].as_array().unwrap().len(), 1, "{left}");
        assert_eq!(desk.run(rows).await, json!(1), "the membership alone");
    })
    .await;
}
