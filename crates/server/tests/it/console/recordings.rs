//! Recordings of pages: somebody agrees, something goes wrong, an operator looks, and nothing that could be read is in it.

use std::time::Duration;

use mainstay_testing::Browser;
use serde_json::{Value, json};

use super::view::View;
use crate::support::{Engine, Person, TestApp};

/// What must be nowhere in a recording, whatever its letters are called in.
const SECRETS: [&str; 4] = ["zaubernuss", "seidelbast", "hasenglöckchen", "blauregen"];

async fn operator(server: &TestApp, name: &str) -> Person {
    let person = server.person(name).await;
    let email = mainstay_domain::EmailAddress::parse(&person.email).expect("an address");
    let call = mainstay_store::Call::within(Duration::from_secs(20));
    server.app.accounts.set_operator(&call, &email, true).await.expect("marked");
    person
}

async fn recordings(server: &TestApp, operator: &Person) -> Vec<Value> {
    let listed = server.send("GET", "/v1/replays", Some(&operator.access_token), None).await.expect(200);
    listed["data"].as_array().expect("a list").clone()
}

/// How many chunks this page has sent.
const SENT: &str = "performance.getEntriesByType('resource').filter(({name, initiatorType}) =>
    initiatorType === 'fetch' && new URL(name).pathname === '/v1/replays').length";

async fn agrees(view: &View, server: &TestApp) {
    view.browser.goto(&format!("{}/security", server.address)).await.unwrap();
    view.shows("document.querySelector('[data-recordings]')?.textContent.includes('You do not agree')").await;
    // Whoever has not agreed does not fetch a byte of it.
    view.shows("!performance.getEntriesByType('resource').some(({name}) => name.includes('/vendor/'))").await;
    view.click("[data-action=agree-to-recordings]").await;
    view.shows("document.querySelector('[data-recordings]').textContent.includes('You agree')").await;
    view.shows("performance.getEntriesByType('resource').some(({name}) => name.includes('/vendor/'))").await;
    view.picture("recordings-agreed").await;
}

/// Writes what must not leave wherever something can be written, and then something goes wrong.
async fn goes_wrong(view: &View, server: &TestApp) {
    view.browser.goto(&server.address).await.unwrap();
    view.shows("window.rrweb !== undefined && document.querySelector('#composer-input')?.checkVisibility()").await;
    let input = view.browser.find("#composer-input").await.unwrap();
    input.type_text(&format!("Is {} a {}?", SECRETS[0], SECRETS[1])).await.unwrap();
    view.shows("!document.querySelector('#composer-send').disabled").await;
    view.click("#composer-send").await;
    view.shows("document.querySelectorAll('.message').length >= 2").await;
    view.shows("document.title.toLowerCase().includes('zaubernuss')").await;
    // What leaves the browser, before the server has judged it.
    let script = "const send = window.fetch;
        window.told = [];
        window.fetch = (url, options) => {
            if (new URL(url, location).pathname === '/v1/replays') window.told.push(options.body);
            return send(url, options);
        };";
    view.browser.execute(script, &[]).await.unwrap();
    // Attributes of what is there and of what is added, and what stands in fields and frames and pictures.
    let script = "const [title, name] = arguments;
        const main = document.querySelector('#main');
        main.title = title;
        main.setAttribute('aria-label', title);
        main.dataset.id = title;
        main.className += ` ${name}7`;
        const form = document.createElement('form');
        for (const [tag, attributes] of [
            ['input', {placeholder: title, value: title, name: title}],
            ['input', {type: 'password', value: title}],
            ['textarea', {'aria-description': title}],
            ['a', {href: `/?q=${title}#${title}`}],
            ['img', {alt: title, src: `/v1/images/${title}`}],
            ['iframe', {title, srcdoc: `<p>${title}</p>`}],
            ['option', {label: title, value: title}],
            ['p', {style: `background: url(/${title}); height: 3px`, id: `of-${title}-7`, lang: title}],
        ]) {
            const element = document.createElement(tag);
            for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
            element.textContent = title;
            form.append(element);
        }
        form.append(document.createComment(title));
        document.querySelector('#status').append(form);
        document.querySelector('#status input').value = name;
        document.querySelector('#status input').dispatchEvent(new Event('input', {bubbles: true}));
        requestAnimationFrame(() => {
            main.title = `${title} again`;
            form.querySelector('p').firstChild.data = `${name}, once more`;
            setTimeout(() => { throw new Error(`${title} and ${name}`); });
        });";
    view.browser.execute(script, &[json!(SECRETS[2]), json!(SECRETS[3])]).await.unwrap();
    view.shows(&format!("{SENT} > 0")).await;
    let told = view.shows("window.told.length > 0 && window.told.join()").await;
    is_unreadable(told.as_str().expect("text"));
}

#[track_caller]
fn is_unreadable(text: &str) {
    let text = text.to_lowercase();
    for secret in SECRETS {
        assert!(!text.contains(secret) && !text.contains(&secret.replace('ö', "\\u00f6")), "{secret} is in it");
    }
}

async fn holds_nothing_readable(server: &TestApp, operator: &Person, id: &str) {
    let answer = server.send("GET", &format!("/v1/replays/{id}"), Some(&operator.access_token), None).await;
    is_unreadable(&answer.text);
    let chunks = answer.expect(200)["chunks"].take();
    let events: Vec<&Value> =
        chunks.as_array().expect("chunks").iter().flat_map(|one| one.as_array().expect("events")).collect();
    let kinds: std::collections::BTreeSet<_> = events.iter().filter_map(|event| event["type"].as_u64()).collect();
    assert!([2, 3, 4, 5].iter().all(|kind| kinds.contains(kind)), "{kinds:?}");
    let told = chunks.to_string();
    assert!(told.contains("composer-input") && told.contains("****"), "the shape of the page is in it");
}

async fn is_played(view: &View, server: &TestApp) {
    view.browser.goto(&format!("{}/replays", server.address)).await.unwrap();
    view.rows(1).await;
    view.picture("recordings").await;
    view.click(".listing tbody a[data-id]").await;
    view.click(".replay [data-action=play]").await;
    let inside = "document.querySelector('.replay iframe')?.contentDocument";
    view.shows(&format!("{inside}?.querySelector('#composer-input') !== null")).await;
    view.shows("document.querySelector('.replay input[type=range]').value > 0").await;
    view.shows(&format!("{inside}.querySelectorAll('.message').length >= 2")).await;
    // It looks like the page: its sheets are there. And it can run nothing.
    view.shows(&format!("[...{inside}.styleSheets].some(({{href}}) => href?.endsWith('/chat.css'))")).await;
    view.shows("document.querySelector('.replay iframe').getAttribute('sandbox') === 'allow-same-origin'").await;
    view.shows("document.querySelectorAll('.replay-mark').length === 1").await;
    view.picture("recording").await;
    // The end comes, and it can be looked at from the error on.
    view.shows("document.querySelector('.replay [data-action=play]').textContent === 'Play'").await;
    view.click(".replay-mark").await;
    let said = view.shows(&format!("{inside}.body.innerText")).await;
    assert!(said.as_str().is_some_and(|said| said.contains("****")), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_agrees_is_recorded_around_an_error_and_nothing_of_it_can_be_read() {
    let Some(browser) = Browser::start().await else { return };
    let settings = [("replay.enabled", "true"), ("replay.sample_percent", "0")];
    let server = TestApp::start(Engine::Sqlite, &settings).await.expect("SQLite is always there");
    let (ada, watcher) = (server.person("ada").await, operator(&server, "watcher").await);
    let view = View { browser };
    view.browser.goto(&format!("{}/security", server.address)).await.unwrap();
    view.sign_in(&ada.email, "password of ada", None).await;
    agrees(&view, &server).await;
    goes_wrong(&view, &server).await;
    let listed = recordings(&server, &watcher).await;
    let [one] = listed.as_slice() else { panic!("{listed:?}") };
    assert_eq!((&one["page"], &one["reason"], &one["errors"]), (&json!("/"), &json!("error"), &json!(1)));
    assert_eq!((&one["organisation_id"], &one["person_id"]), (&json!(ada.organisation), &json!(ada.id)));
    holds_nothing_readable(&server, &watcher, one["id"].as_str().expect("an id")).await;
    // Whoever looked is in the access log of the organisation.
    let log = server.send("GET", "/v1/access-log", Some(&ada.access_token), None).await.expect(200);
    assert_eq!(
        (&log["data"][0]["what"], &log["data"][0]["person_id"]),
        (&json!("replay"), &json!(watcher.id)),
        "{log}"
    );

    view.sign_in(&watcher.email, "password of watcher", None).await;
    // What was made wrong on purpose is known.
    view.browser.console().await.unwrap();
    is_played(&view, &server).await;
    // Nobody was signed in for a moment, and what the person before had copied is not this one's.
    view.complains_of_nothing_but(&["status of 401", "status of 410"]).await;

    // Whoever does not agree any more is gone from it.
    view.sign_in(&ada.email, "password of ada", None).await;
    view.browser.goto(&format!("{}/security", server.address)).await.unwrap();
    view.click("[data-action=withdraw-from-recordings]").await;
    view.shows("document.querySelector('[data-recordings]').textContent.includes('Nothing is recorded')").await;
    assert_eq!(recordings(&server, &watcher).await, Vec::<Value>::new());
    view.shows("localStorage.getItem('mainstay.replay') === null").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sampled_session_is_sent_as_it_goes_and_stops_in_every_window_at_once() {
    let Some(browser) = Browser::start().await else { return };
    let settings = [("replay.enabled", "true"), ("replay.sample_percent", "100")];
    let server = TestApp::start(Engine::Sqlite, &settings).await.expect("SQLite is always there");
    let (ada, bob, watcher) =
        (server.person("ada").await, server.person("bob").await, operator(&server, "watcher").await);
    let view = View { browser };
    view.browser.goto(&format!("{}/security", server.address)).await.unwrap();
    view.sign_in(&ada.email, "password of ada", None).await;
    agrees(&view, &server).await;
    let recording = "document.documentElement.dataset.recording";
    view.shows(&format!("{recording} === 'sent'")).await;
    view.shows(&format!("{SENT} > 0")).await;
    view.complains_of_nothing_but(&["status of 401", "recommendation"]).await;
    let first = view.browser.window().await.unwrap();
    // Another window is recorded by itself; what is taken back there is taken back here.
    let second = view.browser.new_window().await.unwrap();
    view.browser.switch_to(&second).await.unwrap();
    view.browser.goto(&format!("{}/security", server.address)).await.unwrap();
    view.shows(&format!("{recording} === 'sent'")).await;
    let listed = recordings(&server, &watcher).await;
    assert!(listed.iter().all(|one| one["page"] == "/security" && one["reason"] == "sampled"), "{listed:?}");
    view.click("[data-action=withdraw-from-recordings]").await;
    view.shows(&format!("{recording} === undefined")).await;
    view.browser.switch_to(&first).await.unwrap();
    view.shows(&format!("{recording} === undefined")).await;
    assert_eq!(recordings(&server, &watcher).await, Vec::<Value>::new());
    // Somebody else in this browser has not agreed to anything, though it still says that somebody has.
    view.browser.execute("localStorage.setItem('mainstay.replay', 'yes')", &[]).await.unwrap();
    view.sign_in(&bob.email, "password of bob", None).await;
    view.shows("document.querySelector('[data-recordings]')?.textContent.includes('You do not agree')").await;
    view.shows(&format!("{recording} === undefined && window.rrweb === undefined")).await;
}
