//! A page with a list, figures and one item in full, as a person works with it in a browser.

use std::time::Duration;

use mainstay_testing::Browser;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::experiments::keep_picture;
use crate::support::binary::Instance;

/// Generous: the machine may be busy with other tests.
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) struct View {
    pub(super) browser: Browser,
}

impl View {
    /// Waits until an expression is true, and gives its value.
    pub(super) async fn shows(&self, script: &str) -> Value {
        let shown = self.browser.wait_for(&format!("return {script}"), PATIENCE).await;
        match shown {
            Ok(value) => value,
            Err(error) => {
                let page = self.browser.execute("return document.body.innerText", &[]).await;
                panic!("{script}: {error}; the page says {page:?}");
            }
        }
    }

    pub(super) async fn click(&self, css: &str) {
        self.shows(&format!("document.querySelector({})?.checkVisibility()", json!(css))).await;
        // Finding and clicking are two commands, between which the page may draw the thing anew: then it is the new one.
        let until = Instant::now() + PATIENCE;
        while let Err(error) = self.browser.find(css).await.unwrap().click().await {
            assert!(error.to_string().contains("stale element") && Instant::now() < until, "{css}: {error}");
        }
    }

    /// Writes into a field.
    pub(super) async fn write(&self, css: &str, text: &str) {
        let script = "const [css, text] = arguments; document.querySelector(css).value = text;";
        self.browser.execute(script, &[json!(css), json!(text)]).await.unwrap();
    }

    /// Presses a button, and says in the dialog that it is meant.
    pub(super) async fn mean(&self, css: &str) {
        self.click(css).await;
        self.click("dialog[open] [data-answer=yes]").await;
    }

    /// Opens a page that is for operators: one person is told so and nothing else, and another, who is one, signs in.
    pub(super) async fn open_to_operators(&self, server: &Instance, path: &str) {
        self.browser.goto(&format!("{}{path}", server.address)).await.unwrap();
        self.sign_in("writer1@example.com", "password of writer 1", None).await;
        self.shows("document.querySelector('#page .off')?.textContent.includes('for operators')").await;
        self.sign_in("writer0@example.com", "password of writer 0", None).await;
    }

    /// Signs in, goes to an organisation if one is named, and loads the page again.
    pub(super) async fn sign_in(&self, email: &str, password: &str, organisation: Option<&str>) {
        let script = "const [email, password, organisation_id, done] = arguments;
            const post = (path, body, headers = {}) =>
                fetch(path, {method: 'POST', headers: {'content-type': 'application/json', ...headers}, body: JSON.stringify(body)});
            post('/v1/auth/sign-in', {email, password, session: 'cookie'}).then(async (answer) => {
                const authorization = `Bearer ${(await answer.json()).access_token}`;
                if (!organisation_id) return done(answer.status);
                done((await post('/v1/auth/switch', {organisation_id, session: 'cookie'}, {authorization})).status);
            });";
        let who = [json!(email), json!(password), json!(organisation)];
        assert_eq!(self.browser.execute_async(script, &who).await.unwrap(), json!(200));
        self.browser.refresh().await.unwrap();
    }

    /// Moves or presses the mouse at a place of the window, as `Input.dispatchMouseEvent` calls it.
    pub(super) async fn mouse(&self, kind: &str, (x, y): (f64, f64)) {
        let event = json!({"type": kind, "x": x, "y": y, "button": "left", "buttons": 1, "clickCount": 1});
        self.browser.devtools("Input.dispatchMouseEvent", event).await.unwrap();
    }

    /// Presses Enter where the focus is.
    pub(super) async fn press_enter(&self) {
        for kind in ["keyDown", "keyUp"] {
            let text = if kind == "keyDown" { "\r" } else { "" };
            let event =
                json!({"type": kind, "key": "Enter", "code": "Enter", "windowsVirtualKeyCode": 13, "text": text});
            self.browser.devtools("Input.dispatchKeyEvent", event).await.unwrap();
        }
    }

    /// Chooses one of what a filter offers, by the text of it.
    pub(super) async fn choose(&self, filter: &str, text: &str) {
        let script = "const [filter, text] = arguments;
            const select = document.querySelector(`#filter-${filter}`);
            select.value = [...select.options].find((option) => option.text === text).value;
            select.dispatchEvent(new Event('change', {bubbles: true}));
            return select.value;";
        let value = self.browser.execute(script, &[json!(filter), json!(text)]).await.unwrap();
        self.shows(&format!("new URLSearchParams(location.search).get({}) === {value}", json!(filter))).await;
    }

    pub(super) async fn rows(&self, count: usize) {
        self.shows(&format!(
            "document.querySelector('.listing')?.getAttribute('aria-busy') === 'false'
                && document.querySelectorAll('.listing tbody tr').length === {count}"
        ))
        .await;
    }

    /// Waits until the figures in this part of the page say so by themselves.
    pub(super) async fn counts(&self, css: &str, text: &str) {
        let (css, text) = (json!(css), json!(text));
        self.shows(&format!("document.querySelector({css})?.textContent.includes({text})")).await;
    }

    /// Waits until the item that is open is in this state.
    pub(super) async fn is(&self, state: &str) {
        self.shows(&format!("document.querySelector('.item h2 .badge')?.textContent === {}", json!(state))).await;
    }

    /// The item that is open has all these words.
    pub(super) async fn item_says(&self, words: &[&str]) {
        let text = self.shows("document.querySelector('.item').textContent").await;
        for word in words {
            assert!(text.as_str().unwrap().contains(word), "{word:?} is missing in {text}");
        }
    }

    /// Nothing of it is wider than the window.
    pub(super) async fn fits(&self) {
        let script = "return [document.documentElement.scrollWidth, innerWidth]";
        let widths = self.browser.execute(script, &[]).await.unwrap();
        assert!(widths[0].as_u64() <= widths[1].as_u64(), "{widths}");
    }

    /// What stands on the console of the browser, but for what is known.
    pub(super) async fn complains_of_nothing_but(&self, known: &[&str]) {
        for line in self.browser.console().await.unwrap() {
            assert!(known.iter().any(|part| format!("{line:?}").contains(part)), "{line:?}");
        }
    }

    /// A picture for people to look at, in both themes, when they ask for it.
    pub(super) async fn picture(&self, name: &str) {
        if std::env::var_os("MAINSTAY_TEST_SCREENSHOTS").is_none() {
            return;
        }
        for theme in ["dark", "light"] {
            let media = json!({"features": [{"name": "prefers-color-scheme", "value": theme}]});
            self.browser.devtools("Emulation.setEmulatedMedia", media).await.unwrap();
            // Colours change within a moment.
            self.shows("document.getAnimations().every((one) => one.playState !== 'running')").await;
            keep_picture(&self.browser, &format!("{name}-{theme}.png")).await;
        }
    }
}
