//! A desk: the binary with a database of its own, and a browser in front of it.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use futures_util::FutureExt as _;
use mainstay_testing::{Browser, Process, Program, Scratch, free_port};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::support::binary::variable;
use crate::support::no_limits;

/// How long a test waits for anything: generous, for a machine under load.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);
const PASSWORD: &str = "correct horse battery";

pub(super) struct Desk {
    pub(super) browser: Browser,
    server: Option<Process>,
    client: reqwest::Client,
    port: u16,
    folder: Scratch,
}

/// Runs a test at a new desk; not where Chromium is missing. When it fails, a picture of the window is kept.
pub(super) async fn at_the_desk(test: impl AsyncFnOnce(&mut Desk)) {
    let Some(browser) = Browser::start().await else { return };
    at_the_desk_with(browser, test).await;
}

/// The same, with a browser that was started for it.
pub(super) async fn at_the_desk_with(browser: Browser, test: impl AsyncFnOnce(&mut Desk)) {
    let mut desk = Desk::new(browser).await;
    // What failed has been said by its own panic; the one below says how things were then.
    if AssertUnwindSafe(test(&mut desk)).catch_unwind().await.is_ok() {
        return;
    }
    let path = std::env::temp_dir().join(format!("mainstay-console-{}-{}.png", std::process::id(), desk.port));
    let window = match desk.browser.screenshot().await.map(|picture| std::fs::write(&path, picture)) {
        Ok(Ok(())) => path.display().to_string(),
        Ok(Err(error)) => format!("not kept: {error}"),
        Err(failure) => failure.to_string(),
    };
    let console = desk.browser.console().await;
    let server = desk.server.as_ref().map(Process::lines);
    panic!("the test above failed; the window: {window}\nthe console: {console:#?}\nthe server: {server:#?}");
}

/// The first look for a session finds none, and the browser says so.
pub(super) fn is_known(line: &str) -> bool {
    line.contains("/v1/auth/refresh") && line.contains("status of 401")
}

/// What a script takes for the text of a message: its blocks, without the heads of its code.
pub(super) const PLAIN: &str = "const plain = (content) => {
    const node = content.cloneNode(true);
    for (const head of node.querySelectorAll('.code-head')) head.remove();
    const blocks = [...node.children].map((block) => block.textContent.trim());
    return blocks.length ? blocks.join('\\n') : node.textContent.trim();
};";

/// The length, in UTF-16 units as the page counts, of the last text.
pub(super) fn length(texts: &[String]) -> usize {
    texts.last().map_or(0, |text| text.encode_utf16().count())
}

impl Desk {
    async fn new(browser: Browser) -> Self {
        let folder = Scratch::new().unwrap();
        let port = free_port().unwrap();
        let client = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build().unwrap();
        let mut desk = Self { browser, server: None, client, port, folder };
        desk.start_server().await;
        desk
    }

    /// Another browser in front of the same server: another profile, so another session.
    pub(super) async fn beside(&self) -> Self {
        let browser = Browser::start().await.expect("there was one before");
        let folder = Scratch::new().unwrap();
        Self { browser, server: None, client: self.client.clone(), port: self.port, folder }
    }

    pub(super) fn address(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    fn program(&self) -> Program {
        Program::new(env!("CARGO_BIN_EXE_mainstay"))
            .directory(self.folder.path())
            .env("PORT", self.port.to_string())
            .env("DATABASE_URL", format!("sqlite:{}", self.folder.path().join("desk.db").display()))
    }

    /// Sets how many messages the plan of whoever signs up allows a day. `none` is as many as they like.
    pub(super) async fn messages_per_day(&self, most: &str) {
        let arguments = ["plan", "limits", "free", "--messages-per-day", most, "--messages-per-month", "none"];
        let exit = self.program().args(arguments).start().unwrap().wait(PATIENCE).await.unwrap();
        assert!(exit.success(), "{exit}");
    }

    /// Starts it, always on the same port and database.
    pub(super) async fn start_server(&mut self) {
        self.start_server_with(&[]).await;
    }

    /// The same, with further settings.
    pub(super) async fn start_server_with(&mut self, settings: &[(&str, &str)]) {
        let program = self
            .program()
            .env("MAINSTAY_PROVIDERS__ORDER", "[\"offline\"]")
            // Slow enough that a reply is still being written when a busy machine gets round to looking at it.
            .env("MAINSTAY_PROVIDERS__OFFLINE__WORD_MS", "150")
            // How full the disk of this machine is does not matter here.
            .env("MAINSTAY_ALERTS__DISK_PERCENT", "100")
            // Cheap hashes: what is tested here is something else.
            .env("MAINSTAY_AUTH__PASSWORD_MEMORY_KIB", "64")
            .env("MAINSTAY_AUTH__PASSWORD_PASSES", "1");
        // People click slower than these tests do.
        let program = no_limits().iter().fold(program, |program, key| program.env(variable(key), "1000000"));
        let program = settings.iter().fold(program, |program, (name, value)| program.env(name, value));
        let server = program.start().unwrap();
        server.wait_for_http(&format!("{}/readyz", self.address()), PATIENCE).await.unwrap();
        self.server = Some(server);
    }

    /// Stops the server as an operator would.
    pub(super) async fn stop_server(&mut self) {
        let server = self.server.take().unwrap();
        server.terminate();
        let exit = server.wait(PATIENCE).await.unwrap();
        assert!(exit.success(), "{exit}: {:?}", server.lines());
    }

    pub(super) async fn open(&self) {
        self.browser.goto(&self.address()).await.unwrap();
        self.wait("return document.body.dataset.view === 'auth'").await;
    }

    pub(super) async fn sign_up(&self, name: &str, email: &str) {
        self.click("#show-sign-up").await;
        for (field, text) in [("name", name), ("email", email), ("password", PASSWORD)] {
            self.browser.find(&format!("#sign-up-{field}")).await.unwrap().type_text(text).await.unwrap();
        }
        self.click("#sign-up-submit").await;
        self.wait("return document.body.dataset.view === 'app'").await;
    }

    pub(super) async fn sign_in(&self, email: &str) {
        for (field, text) in [("email", email), ("password", PASSWORD)] {
            self.browser.find(&format!("#sign-in-{field}")).await.unwrap().type_text(text).await.unwrap();
        }
        self.click("#sign-in-submit").await;
        self.wait("return document.body.dataset.view === 'app'").await;
    }

    pub(super) async fn sign_out(&self) {
        self.click("#account-menu").await;
        self.click("#sign-out").await;
        self.wait("return document.body.dataset.view === 'auth'").await;
    }

    /// Writes a message and sends it with the button.
    pub(super) async fn ask(&self, text: &str) {
        self.browser.find("#composer-input").await.unwrap().type_text(text).await.unwrap();
        self.click("#composer-send").await;
    }

    /// Waits for so many messages, the last of them being a reply that is final.
    pub(super) async fn settled(&self, count: usize) {
        let script = format!(
            "const all = [...document.querySelectorAll('.message')];
            return all.length === {count} && all.at(-1).matches('[data-role=assistant][data-status=final]')"
        );
        self.wait(&script).await;
    }

    /// The contents of what the person wrote in a conversation, the oldest first.
    pub(super) async fn questions(&self, token: &str, conversation: &str) -> Vec<String> {
        let all = self.get(&format!("/v1/conversations/{conversation}/messages?limit=100"), token).await;
        let mine = all["data"].as_array().unwrap().iter().rev().filter(|message| message["role"] == "user");
        mine.map(|message| message["content"].as_str().unwrap().to_owned()).collect()
    }

    pub(super) async fn get(&self, path: &str, token: &str) -> Value {
        let request = self.client.get(format!("{}{path}", self.address())).bearer_auth(token);
        request.send().await.unwrap().error_for_status().unwrap().json().await.unwrap()
    }

    /// Runs the body of an async function in the page, with `part(name)` to import a module of the page.
    pub(super) async fn run(&self, script: &str) -> Value {
        let whole = format!(
            "const part = (name) => import(document.querySelector('script[type=module]').src.replace('main.js', `${{name}}.js`));
            return (async () => {{ {script} }})();"
        );
        self.browser.execute(&whole, &[]).await.unwrap()
    }

    pub(super) async fn wait(&self, script: &str) -> Value {
        self.browser.wait_for(script, PATIENCE).await.unwrap()
    }

    /// Clicks what the selector matches, once it can be seen.
    pub(super) async fn click(&self, css: &str) {
        let css_text = json!(css);
        self.wait(&format!(
            "const found = document.querySelector({css_text}); return found?.checkVisibility() && !found.disabled"
        ))
        .await;
        // Finding and clicking are two commands, between which the page may draw the thing anew: then it is the new one.
        let until = Instant::now() + PATIENCE;
        while let Err(error) = self.browser.find(css).await.unwrap().click().await {
            assert!(error.to_string().contains("stale element") && Instant::now() < until, "{css}: {error}");
        }
    }

    /// The id of the open conversation, once the address has it.
    pub(super) async fn conversation(&self) -> String {
        let id = self.wait("return new URLSearchParams(location.search).get('c')").await;
        id.as_str().unwrap().to_owned()
    }

    /// What the console said at the levels of warnings and errors, and whatever it said about security.
    pub(super) async fn complaints(&self) -> Vec<String> {
        let lines = self.browser.console().await.unwrap();
        let bad = lines
            .into_iter()
            .filter(|line| line.source == "security" || ["WARNING", "SEVERE"].contains(&line.level.as_str()));
        bad.map(|line| format!("{} {} {}", line.level, line.source, line.message)).collect()
    }

    /// Presses a key as a keyboard does.
    pub(super) async fn press(&self, key: &str) {
        let (code, text) = match key {
            "Tab" => (9, ""),
            "Enter" => (13, "\r"),
            other => panic!("no key {other}"),
        };
        let kind = if text.is_empty() { "rawKeyDown" } else { "keyDown" };
        for kind in [kind, "keyUp"] {
            let text = if kind == "keyDown" { text } else { "" };
            let event = json!({"type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code, "text": text});
            self.browser.devtools("Input.dispatchKeyEvent", event).await.unwrap();
        }
    }

    /// Presses Tab until the element with this id has the focus.
    pub(super) async fn tab_to(&self, id: &str) {
        let mut passed = Vec::new();
        for _ in 0..40 {
            self.press("Tab").await;
            let at = self.browser.execute("return document.activeElement?.id", &[]).await.unwrap();
            if at == id {
                return;
            }
            passed.push(at);
        }
        panic!("Tab does not lead to {id}: {passed:?}");
    }

    /// A token of the person at this desk, who signs in once more beside the page.
    pub(super) async fn access_token(&self) -> String {
        let email =
            self.browser.execute("return document.querySelector('.panel-email').textContent", &[]).await.unwrap();
        let body = json!({"email": email, "password": PASSWORD});
        let answer = self.client.post(format!("{}/v1/auth/sign-in", self.address())).json(&body).send().await.unwrap();
        let answer: Value = answer.error_for_status().unwrap().json().await.unwrap();
        answer["access_token"].as_str().unwrap().to_owned()
    }

    pub(super) async fn post(&self, path: &str, token: &str, body: Value) {
        let request = self.client.post(format!("{}{path}", self.address())).bearer_auth(token).json(&body);
        request.send().await.unwrap().error_for_status().unwrap();
    }

    /// Compares every message of the page with the one that the API gives, as text. The messages, the oldest first.
    pub(super) async fn shows_what_is_stored(&self, conversation: &str) -> Vec<Value> {
        let token = self.access_token().await;
        let url = format!("{}/v1/conversations/{conversation}/messages?html=true", self.address());
        let answer = self.client.get(url).bearer_auth(token).send().await.unwrap().error_for_status().unwrap();
        let mut answer: Value = answer.json().await.unwrap();
        let mut stored = std::mem::take(answer["data"].as_array_mut().unwrap());
        stored.reverse();
        let script = PLAIN.to_owned()
            + "const [stored, done] = arguments;
            const of = (html) => plain(new DOMParser().parseFromString(html, 'text/html').body);
            const shown = [...document.querySelectorAll('.message')].map((message) => ({
                id: message.dataset.messageId,
                status: message.dataset.status,
                text: plain(message.querySelector('.message-content')),
            }));
            const told = stored.map(({id, status, html, content}) => ({id, status, text: html ? of(html) : content}));
            done({shown, stored: told});";
        let count = stored.len();
        self.wait(&format!("return document.querySelectorAll('.message').length === {count}")).await;
        let compared = self.browser.execute_async(&script, &[json!(stored)]).await.unwrap();
        assert!(count > 0);
        assert_eq!(compared["shown"], compared["stored"]);
        stored
    }

    /// The page at exactly this size, in light colours.
    pub(super) async fn picture(&self, width: u32, height: u32) -> Vec<u8> {
        let devtools = async |method: &str, parameters: Value| self.browser.devtools(method, parameters).await.unwrap();
        let size = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        devtools("Emulation.setDeviceMetricsOverride", size).await;
        let light = json!({"name": "prefers-color-scheme", "value": "light"});
        devtools("Emulation.setEmulatedMedia", json!({"features": [light]})).await;
        // Two frames, so that the new size has been painted.
        let painted = "const done = arguments[0]; requestAnimationFrame(() => requestAnimationFrame(() => done(true)))";
        self.browser.execute_async(painted, &[]).await.unwrap();
        let picture = devtools("Page.captureScreenshot", json!({"format": "png"})).await;
        BASE64.decode(picture["data"].as_str().unwrap()).unwrap()
    }
}
