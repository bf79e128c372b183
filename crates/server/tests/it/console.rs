//! The console as a person meets it: Chromium against the real binary.

mod audit;
mod backups;
mod calendar;
mod calendars;
mod calls;
mod campaign_walk;
mod campaigns;
mod checklists;
mod contacts;
mod controls;
mod deliveries;
mod desk;
mod experiments;
mod gmail;
mod images;
mod inbox;
mod jobs;
mod knowledge;
mod memory;
mod office;
mod offline;
mod plan;
mod recordings;
mod releases;
mod replica;
mod security;
mod sending_accounts;
mod system;
mod texts;
mod tools;
mod usage;
mod view;
mod voice;
mod windows;

use std::collections::BTreeSet;

use serde_json::{Value, json};

use self::desk::{Desk, PLAIN, at_the_desk, is_known};

const QUESTION: &str = "What time is it in Lisbon when it is noon in Tokyo?";
/// What the first load of the page may take from the network, compressed.
const FIRST_LOAD_BYTES: u64 = 150 * 1024;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_chats_reloads_stops_and_finds_everything_after_a_restart() {
    at_the_desk(async |desk| {
        desk.open().await;
        the_first_load_is_small(desk).await;
        desk.sign_up("Ada Lovelace", "ada@example.com").await;
        let first = a_reply_survives_a_reload(desk).await;
        desk.click("#new-conversation").await;
        desk.wait("return document.querySelector('#empty').checkVisibility()").await;
        let second = a_reply_is_stopped(desk).await;
        nothing_was_wrong(desk).await;

        desk.stop_server().await;
        the_list_comes_back_by_itself(desk).await;
        desk.browser.refresh().await.unwrap();
        for id in [&first, &second] {
            desk.click(&format!("[data-conversation-id=\"{id}\"] a")).await;
            desk.wait(&format!("return new URLSearchParams(location.search).get('c') === {}", json!(id))).await;
            desk.shows_what_is_stored(id).await;
        }
        let script = "const rows = [...document.querySelectorAll('[data-conversation-id]')];
            return rows.length && rows.map(row => row.dataset.conversationId)";
        let listed = desk.wait(script).await;
        let listed: BTreeSet<_> = listed.as_array().unwrap().iter().filter_map(Value::as_str).collect();
        assert_eq!(listed, BTreeSet::from([first.as_str(), second.as_str()]));
        nothing_was_wrong(desk).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_part_that_crashes_leaves_the_rest_and_the_keyboard_is_enough() {
    at_the_desk(async |desk| {
        desk.open().await;
        desk.sign_up("Grace Hopper", "grace@example.com").await;
        desk.wait("return document.querySelector('#conversations .nothing')").await;
        // An answer that no server gives, to one part only.
        let script = "window.realFetch = window.fetch;
            window.fetch = (url, options) => String(url).includes('/v1/conversations?')
                ? Promise.resolve(Response.json({data: null, next: null})) : window.realFetch(url, options);
            const search = document.querySelector('#conversation-search');
            search.value = 'x';
            search.dispatchEvent(new Event('input'));";
        desk.browser.execute(script, &[]).await.unwrap();
        desk.wait("return document.querySelector('[data-part=drawer]')").await;
        send_by_keyboard(desk, "Still here?").await;
        partial(desk, 0).await;
        desk.browser.execute("window.fetch = window.realFetch", &[]).await.unwrap();
        desk.click("[data-part=drawer] [data-action=reload-part]").await;
        desk.wait("return document.querySelector('[data-conversation-id]')").await;
        stop_by_keyboard(desk).await;

        let lines = desk.complaints().await;
        let crash = "The part \\\"drawer\\\" failed.";
        assert!(lines.iter().any(|line| line.contains(crash)), "{lines:?}");
        let others: Vec<_> = lines.iter().filter(|line| !is_known(line) && !line.contains(crash)).collect();
        assert!(others.is_empty(), "{others:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reply_of_the_largest_length_says_so_without_alarm() {
    at_the_desk(async |desk| {
        desk.stop_server().await;
        desk.start_server_with(&[("MAINSTAY_ASSISTANT__MAX_REPLY_TOKENS", "20")]).await;
        desk.open().await;
        desk.sign_up("Mary Somerville", "mary@example.com").await;
        ask(desk, QUESTION).await;
        // Once as it comes, and once as it is stored.
        for _ in 0..2 {
            let script = "const reply = document.querySelector('[data-role=assistant][data-status=final]');
                const notice = reply?.querySelector('.message-notice');
                return notice && {text: notice.textContent, buttons: notice.querySelectorAll('button').length}";
            let notice = desk.wait(script).await;
            let text = notice["text"].as_str().unwrap();
            assert!(text.starts_with("Not whole. The reply was cut because it reached its largest length"), "{text}");
            assert_eq!(notice["buttons"], 0, "there is nothing to repeat");
            desk.browser.refresh().await.unwrap();
        }
        nothing_was_wrong(desk).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_title_is_shown_as_it_was_written() {
    at_the_desk(async |desk| {
        desk.open().await;
        desk.sign_up("Mary Jackson", "mary@example.com").await;
        let token = desk.access_token().await;
        let title = "Is a < b? <img src=x onerror=document.title='x'>";
        desk.post("/v1/conversations", &token, json!({"title": title})).await;
        desk.browser.refresh().await.unwrap();
        desk.wait("return document.querySelector('#conversations .conversation-title')").await;
        desk.click("[data-conversation-id] a").await;
        let shown = format!("return document.querySelector('#conversation-title').textContent === {}", json!(title));
        desk.wait(&shown).await;
        let script = "const listed = document.querySelector('#conversations .conversation-title');
            return [listed.textContent, listed.children.length, document.querySelectorAll('h1 *').length]";
        assert_eq!(desk.browser.execute(script, &[]).await.unwrap(), json!([title, 0, 0]));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_a_fault_of_the_server_shows_an_id_to_ask_by() {
    at_the_desk(async |desk| {
        desk.open().await;
        desk.sign_up("Dorothy Vaughan", "dorothy@example.com").await;
        desk.wait("return document.querySelector('#conversations .nothing')").await;
        for (status, id) in [(422, Value::Null), (500, json!("Request r-500")), (404, Value::Null)] {
            // An answer that no server gives here.
            let script = format!(
                "window.realFetch ??= window.fetch;
                window.fetch = (url, options) => String(url).includes('/v1/conversations?')
                    ? Promise.resolve(Response.json({{code: 'made_up_{status}', detail: 'Made up.', request_id: 'r-{status}'}}, {{status: {status}}}))
                    : window.realFetch(url, options);
                const search = document.querySelector('#conversation-search');
                search.value = '{status}';
                search.dispatchEvent(new Event('input'));"
            );
            desk.browser.execute(&script, &[]).await.unwrap();
            desk.wait(&format!("return document.querySelector('#conversations [data-code=made_up_{status}]')")).await;
            let shown = "return document.querySelector('#conversations .notice-id')?.textContent ?? null";
            assert_eq!(desk.browser.execute(shown, &[]).await.unwrap(), id, "{status}");
        }
    })
    .await;
}

/// The picture of the README. It is made only when a folder for it is named.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_picture_of_the_readme() {
    let Some(folder) = std::env::var_os("MAINSTAY_TEST_SCREENSHOTS").map(std::path::PathBuf::from) else { return };
    at_the_desk(async |desk| {
        desk.open().await;
        desk.sign_up("Ines Duarte", "ines@example.com").await;
        let token = desk.access_token().await;
        for title in [
            "Names for a small bakery",
            "A reminder about invoice 2041",
            "SQLite or PostgreSQL?",
            "Reading list on coordination",
            "What a mainstay is on a brig",
        ] {
            desk.post("/v1/conversations", &token, json!({"title": title})).await;
        }
        ask(desk, QUESTION).await;
        desk.wait("return document.querySelector('[data-role=assistant][data-status=final]')").await;
        desk.wait("return document.querySelectorAll('[data-conversation-id]').length === 6").await;
        let picture = desk.picture(1280, 860).await;
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("chat.png"), picture).unwrap();
    })
    .await;
}

/// Everything that the first visit fetched, as the browser counted it.
async fn the_first_load_is_small(desk: &Desk) {
    let script =
        "const entries = [...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')];
        const sum = (name) => entries.reduce((all, entry) => all + entry[name], 0);
        return {count: entries.length, transferred: sum('transferSize'), decoded: sum('decodedBodySize')};";
    let load = desk.browser.execute(script, &[]).await.unwrap();
    let (transferred, decoded) = (load["transferred"].as_u64().unwrap(), load["decoded"].as_u64().unwrap());
    assert!(load["count"].as_u64() > Some(10) && transferred > 0, "{load}");
    assert!(transferred <= FIRST_LOAD_BYTES, "the first load took {transferred} bytes");
    assert!(transferred < decoded, "nothing is compressed: {load}");
}

/// Looks something up while nobody answers, starts the server again, and touches nothing more.
async fn the_list_comes_back_by_itself(desk: &mut Desk) {
    desk.browser.find("#conversation-search").await.unwrap().type_text("tell").await.unwrap();
    // The copy in the browser answers instead.
    desk.wait("return document.querySelectorAll('[data-conversation-id]').length === 1").await;
    desk.wait("return document.querySelector('#network').textContent").await;
    desk.browser.execute("const search = document.querySelector('#conversation-search'); search.value = ''; search.dispatchEvent(new Event('input'))", &[]).await.unwrap();
    desk.start_server().await;
    // The page looks by itself every ten seconds, and whenever the device says that it has a network.
    desk.browser.execute("dispatchEvent(new Event('online'))", &[]).await.unwrap();
    desk.wait("return document.querySelector('#network').textContent === ''").await;
    desk.wait("return document.querySelectorAll('[data-conversation-id]').length === 2").await;
    let refused = "net::ERR_CONNECTION_REFUSED";
    let others: Vec<_> = desk.complaints().await.into_iter().filter(|line| !line.contains(refused)).collect();
    assert!(others.is_empty(), "{others:?}");
}

/// Types a message and sends it with the button.
async fn ask(desk: &Desk, text: &str) {
    desk.browser.find("#composer-input").await.unwrap().type_text(text).await.unwrap();
    desk.click("#composer-send").await;
}

/// The text of the reply while it is made, as soon as it is longer than this. It is drawn as it will look.
async fn partial(desk: &Desk, longer_than: usize) -> String {
    let script = format!(
        "{PLAIN}
         const content = document.querySelector('[data-role=assistant][data-status=streaming] .message-content');
         const text = content && plain(content);
         return text?.length > {longer_than} && text;"
    );
    let text = desk.wait(&script).await.as_str().unwrap().to_owned();
    assert!(!text.contains("**") && !text.contains("```"), "marks are drawn and not shown: {text}");
    text
}

/// The text of the reply with this status.
async fn text_of(desk: &Desk, status: &str) -> String {
    let script = format!(
        "{PLAIN}
         const content = document.querySelector('[data-role=assistant][data-status={status}] .message-content');
         return content && plain(content);"
    );
    desk.wait(&script).await.as_str().unwrap().to_owned()
}

/// Sends the question, sees the reply grow, loads the page again in the middle, and sees it grow on to its end. The id
/// of the conversation.
async fn a_reply_survives_a_reload(desk: &Desk) -> String {
    ask(desk, QUESTION).await;
    let mut seen = vec![partial(desk, 0).await];
    for _ in 0..3 {
        let next = partial(desk, desk::length(&seen)).await;
        seen.push(next);
    }
    let id = desk.conversation().await;
    desk.browser.refresh().await.unwrap();
    let at_reload = desk::length(&seen);
    for longer_than in [0, at_reload, at_reload + 100] {
        let next = partial(desk, longer_than).await;
        seen.push(next);
    }
    desk.wait("return document.querySelector('[data-role=assistant][data-status=final]')").await;
    desk.click("[data-action=copy-code]").await;
    desk.wait("return document.querySelector('[data-action=copy-code]').textContent === 'Copied'").await;
    desk.wait("return document.querySelector('[data-action=copy-code]').textContent === 'Copy'").await;
    let stored = desk.shows_what_is_stored(&id).await;
    assert_eq!(
        stored.iter().map(|message| message["status"].as_str().unwrap()).collect::<Vec<_>>(),
        ["final", "final"]
    );
    assert_eq!(stored[0]["content"], QUESTION);
    // A word that was repeated or lost on the way would make one of these something else than a beginning of the whole.
    let whole = text_of(desk, "final").await;
    for text in &seen {
        assert!(whole.starts_with(text.as_str()), "{text:?} is no beginning of {whole:?}");
    }
    id
}

/// Sends a question and stops its reply; what had arrived is kept. The id of the conversation.
async fn a_reply_is_stopped(desk: &Desk) -> String {
    ask(desk, "Tell me something long.").await;
    let seen = partial(desk, 20).await;
    desk.click("#composer-stop").await;
    desk.wait("return document.querySelector('[data-role=assistant][data-status=stopped]')").await;
    let id = desk.conversation().await;
    let stored = desk.shows_what_is_stored(&id).await;
    let kept = text_of(desk, "stopped").await;
    assert_eq!(stored[1]["status"], "stopped");
    assert!(kept.starts_with(&seen), "{kept:?} does not begin with {seen:?}");
    id
}

/// Reaches the field by Tab alone, from the beginning of the page, and sends with Enter.
async fn send_by_keyboard(desk: &Desk, text: &str) {
    desk.browser.execute("document.activeElement?.blur()", &[]).await.unwrap();
    desk.tab_to("composer-input").await;
    desk.browser.devtools("Input.insertText", json!({"text": text})).await.unwrap();
    desk.press("Enter").await;
}

async fn stop_by_keyboard(desk: &Desk) {
    desk.tab_to("composer-stop").await;
    desk.press("Enter").await;
    desk.wait("return document.querySelector('[data-role=assistant][data-status=stopped]')").await;
    desk.wait("return document.activeElement.id === 'composer-input'").await;
}

/// No error on the console but the known one, and nothing that the policy of the page refused.
async fn nothing_was_wrong(desk: &Desk) {
    let lines: Vec<_> = desk.complaints().await.into_iter().filter(|line| !is_known(line)).collect();
    assert!(lines.is_empty(), "{lines:?}");
}
