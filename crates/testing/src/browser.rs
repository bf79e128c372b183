//! Chromium through W3C WebDriver (<https://www.w3.org/TR/webdriver2/>): the few commands that page tests need.
//!
//! Waiting happens inside the page, on its own changes, so nothing here sleeps. A page that is replaced meanwhile
//! interrupts the wait, which then goes on in the new one.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::process::{Process, Program};
use crate::scratch::Scratch;
use crate::{Failure, Result, skip, while_doing};

/// How long [`Browser::find`] waits for an element.
pub const PATIENCE: Duration = Duration::from_secs(10);
/// Starting Chromium takes two seconds; a machine under load needs more.
const START_PATIENCE: Duration = Duration::from_secs(60);
/// No command takes longer, page loads and waits included.
const COMMAND_PATIENCE: Duration = Duration::from_secs(120);
/// The key of an element reference in JSON, fixed by the standard.
const ELEMENT_KEY: &str = "element-6066-11e4-a52e-4f735466cecf";

/// A headless Chromium with a fresh profile. Dropping it kills the browser and its driver and removes the profile.
pub struct Browser {
    session: Arc<Session>,
    // The driver before the profile, so that it is dropped first. Chromium ends when its pipe to the driver closes.
    _driver: Process,
    _profile: Scratch,
}

/// An element of the page that was shown when it was found.
pub struct Element {
    session: Arc<Session>,
    id: String,
}

/// What the page wrote on its console, or what the browser said about it.
#[derive(Clone, Debug)]
pub struct ConsoleLine {
    /// `DEBUG`, `INFO`, `WARNING` or `SEVERE`.
    pub level: String,
    /// `console-api`, `javascript`, `network`, `security` and others.
    pub source: String,
    /// The text, after the address and the line it came from.
    pub message: String,
}

impl Browser {
    /// Starts a browser. `None` where Chromium or its driver is not installed.
    ///
    /// # Panics
    /// When both are installed and do not start, or are missing and [`crate::required`].
    pub async fn start() -> Option<Self> {
        Self::start_with(&[]).await
    }

    /// Starts a browser whose microphone hears what is in a file (WAV), once. `None` where it is not installed.
    ///
    /// # Panics
    /// As [`Browser::start`].
    pub async fn start_with_microphone(file: &Path) -> Option<Self> {
        let capture = format!("--use-file-for-fake-audio-capture={}%noloop", file.display());
        Self::start_with(&["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream", &capture]).await
    }

    async fn start_with(arguments: &[&str]) -> Option<Self> {
        for (path, package) in [("/usr/bin/chromedriver", "chromium-driver"), ("/usr/bin/chromium", "chromium")] {
            if !Path::new(path).exists() {
                skip("Chromium", &format!("{path} is not there (package {package})"));
                return None;
            }
        }
        #[expect(clippy::panic, reason = "a service that is installed and does not start must fail the test")]
        match Self::launch(arguments).await {
            Ok(browser) => Some(browser),
            Err(failure) => panic!("Chromium is installed but did not start: {failure}"),
        }
    }

    async fn launch(arguments: &[&str]) -> Result<Self> {
        let profile = Scratch::new()?;
        let driver = Program::new("/usr/bin/chromedriver")
            .arg("--port=0")
            // Crash reports go beside the profile, and nothing is read from the user's own.
            .env("HOME", profile.path())
            .env("XDG_CONFIG_HOME", profile.path())
            .env("XDG_CACHE_HOME", profile.path())
            .directory(profile.path())
            .start()?;
        let line = driver.wait_for_line("started successfully on port", START_PATIENCE).await?;
        let port: u16 = line
            .trim_end_matches('.')
            .rsplit(' ')
            .next()
            .and_then(|port| port.parse().ok())
            .ok_or_else(|| Failure(format!("no port in what chromedriver said: {line}")))?;
        let mut session = Session { client: http_client()?, url: format!("http://127.0.0.1:{port}/session") };
        let made = session.post("", &capabilities(profile.path(), arguments)).await?;
        let id = made["sessionId"].as_str().ok_or_else(|| Failure(format!("no session in {made}")))?;
        session.url = format!("{}/{id}", session.url);
        // Each wait brings its own deadline; the driver's must not come first.
        let limit = u64::try_from(COMMAND_PATIENCE.as_millis()).unwrap_or(u64::MAX);
        session.post("/timeouts", &json!({"script": limit, "pageLoad": limit})).await?;
        let browser = Self { session: Arc::new(session), _driver: driver, _profile: profile };
        browser.set_window(1280, 900).await?;
        Ok(browser)
    }

    /// Opens an address and waits until it has loaded.
    ///
    /// # Errors
    /// When it cannot be reached.
    pub async fn goto(&self, url: &str) -> Result<()> {
        self.session.post("/url", &json!({"url": url})).await.map(drop)
    }

    /// The address that is shown.
    ///
    /// # Errors
    /// When the browser is gone.
    pub async fn url(&self) -> Result<String> {
        text_of(self.session.get("/url").await?)
    }

    /// Loads the page again.
    ///
    /// # Errors
    /// When it cannot be reached.
    pub async fn refresh(&self) -> Result<()> {
        self.session.post("/refresh", &json!({})).await.map(drop)
    }

    /// The first element that the CSS selector matches, waited for up to [`PATIENCE`].
    ///
    /// # Errors
    /// When none appears.
    pub async fn find(&self, css: &str) -> Result<Element> {
        let script = format!("return document.querySelector({})", json!(css));
        let found = self.session.wait_for(&script, PATIENCE).await;
        let found = found.map_err(|failure| Failure(format!("no element {css}: {failure}")))?;
        let id = found[ELEMENT_KEY].as_str().ok_or_else(|| Failure(format!("{css} gave no element but {found}")))?;
        Ok(Element { session: Arc::clone(&self.session), id: id.to_owned() })
    }

    /// Runs the body of a function in the page and gives what it returns. A promise is waited for.
    ///
    /// # Errors
    /// When it throws, with what it threw.
    pub async fn execute(&self, script: &str, arguments: &[Value]) -> Result<Value> {
        self.session.post("/execute/sync", &json!({"script": script, "args": arguments})).await
    }

    /// Runs the body of a function in the page and gives what it passes to its last argument, a callback.
    ///
    /// # Errors
    /// When it throws, or does not call back within two minutes.
    pub async fn execute_async(&self, script: &str, arguments: &[Value]) -> Result<Value> {
        self.session.post("/execute/async", &json!({"script": script, "args": arguments})).await
    }

    /// Waits until the body of a function returns something truthy, and gives that. It is run again after each
    /// change of the document and at least every 50 ms.
    ///
    /// # Errors
    /// When `within` passes before, or it throws.
    pub async fn wait_for(&self, script: &str, within: Duration) -> Result<Value> {
        self.session.wait_for(script, within).await
    }

    /// A picture of what the window shows, as PNG.
    ///
    /// # Errors
    /// When the browser is gone.
    pub async fn screenshot(&self) -> Result<Vec<u8>> {
        let text = text_of(self.session.get("/screenshot").await?)?;
        BASE64.decode(text).map_err(while_doing("decoding the screenshot"))
    }

    /// Sets the size of the window in CSS pixels; the page gets a little less.
    ///
    /// # Errors
    /// When the browser is gone.
    pub async fn set_window(&self, width: u32, height: u32) -> Result<()> {
        self.session.post("/window/rect", &json!({"width": width, "height": height})).await.map(drop)
    }

    /// Opens another window of the same profile, and gives its handle. Commands still go to the one before.
    ///
    /// # Errors
    /// When the browser is gone.
    pub async fn new_window(&self) -> Result<String> {
        let made = self.session.post("/window/new", &json!({"type": "window"})).await?;
        text_of(made["handle"].clone())
    }

    /// The handle of the window that commands go to.
    ///
    /// # Errors
    /// When it was closed.
    pub async fn window(&self) -> Result<String> {
        text_of(self.session.get("/window").await?)
    }

    /// Sends commands to this window from now on.
    ///
    /// # Errors
    /// When it was closed.
    pub async fn switch_to(&self, window: &str) -> Result<()> {
        self.session.post("/window", &json!({"handle": window})).await.map(drop)
    }

    /// Closes the window that commands go to. Switch to another one then.
    ///
    /// # Errors
    /// When it was closed.
    pub async fn close_window(&self) -> Result<()> {
        self.session.request(self.session.client.delete(format!("{}/window", self.session.url))).await.map(drop)
    }

    /// The console's lines since this was last asked.
    ///
    /// # Errors
    /// When the browser is gone.
    pub async fn console(&self) -> Result<Vec<ConsoleLine>> {
        let lines = self.session.post("/se/log", &json!({"type": "browser"})).await?;
        let field = |line: &Value, name: &str| line[name].as_str().unwrap_or_default().to_owned();
        let lines = lines.as_array().into_iter().flatten();
        Ok(lines
            .map(|line| ConsoleLine {
                level: field(line, "level"),
                source: field(line, "source"),
                message: field(line, "message"),
            })
            .collect())
    }

    /// A command of the DevTools protocol, for what WebDriver lacks: going offline, dark mode, heap figures.
    ///
    /// # Errors
    /// When Chromium refuses it.
    pub async fn devtools(&self, method: &str, parameters: Value) -> Result<Value> {
        self.session.post("/goog/cdp/execute", &json!({"cmd": method, "params": parameters})).await
    }

    /// Closes the browser in the ordinary way, so that pages see it. Dropping kills it instead.
    ///
    /// # Errors
    /// When it is gone already.
    pub async fn quit(self) -> Result<()> {
        self.session.request(self.session.client.delete(&self.session.url)).await.map(drop)
    }
}

impl Element {
    /// Scrolls to it and clicks its middle, as a person would.
    ///
    /// # Errors
    /// When something covers it, or the page no longer has it.
    pub async fn click(&self) -> Result<()> {
        self.post("click", &json!({})).await
    }

    /// Types text into it, key by key. Special keys are code points of the standard: `\u{e007}` is Enter.
    ///
    /// # Errors
    /// When it takes no text, or the page no longer has it.
    pub async fn type_text(&self, text: &str) -> Result<()> {
        self.post("value", &json!({"text": text})).await
    }

    /// Empties a field.
    ///
    /// # Errors
    /// When it is no field, or the page no longer has it.
    pub async fn clear(&self) -> Result<()> {
        self.post("clear", &json!({})).await
    }

    /// The text as it is shown.
    ///
    /// # Errors
    /// When the page no longer has it.
    pub async fn text(&self) -> Result<String> {
        text_of(self.session.get(&format!("/element/{}/text", self.id)).await?)
    }

    /// An attribute as the document says it, or `None` without one. A boolean one that is set is `true`.
    ///
    /// # Errors
    /// When the page no longer has it.
    pub async fn attribute(&self, name: &str) -> Result<Option<String>> {
        let value = self.session.get(&format!("/element/{}/attribute/{name}", self.id)).await?;
        Ok(value.as_str().map(str::to_owned))
    }

    /// The reference to pass as an argument of a script.
    #[must_use]
    pub fn reference(&self) -> Value {
        json!({ELEMENT_KEY: self.id})
    }

    async fn post(&self, command: &str, body: &Value) -> Result<()> {
        self.session.post(&format!("/element/{}/{command}", self.id), body).await.map(drop)
    }
}

struct Session {
    client: reqwest::Client,
    url: String,
}

impl Session {
    async fn get(&self, path: &str) -> Result<Value> {
        self.request(self.client.get(format!("{}{path}", self.url))).await
    }

    async fn post(&self, path: &str, body: &Value) -> Result<Value> {
        self.request(self.client.post(format!("{}{path}", self.url)).json(body)).await
    }

    async fn request(&self, request: reqwest::RequestBuilder) -> Result<Value> {
        let answer = request.timeout(COMMAND_PATIENCE).send().await.map_err(while_doing("talking to chromedriver"))?;
        let refused = !answer.status().is_success();
        let mut body: Value = answer.json().await.map_err(while_doing("reading chromedriver's answer"))?;
        let value = body["value"].take();
        if !refused {
            return Ok(value);
        }
        let mut message = value["error"].as_str().unwrap_or("error without a name").to_owned();
        // What follows the first line is a stack of addresses in Chromium itself.
        let detail = value["message"].as_str().unwrap_or_default().lines().next().unwrap_or_default();
        let _ = write!(message, ": {detail}");
        Err(Failure(message))
    }

    async fn wait_for(&self, script: &str, within: Duration) -> Result<Value> {
        let deadline = Instant::now() + within;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            // Written into the source and not made a function in the page, which a content security policy forbids.
            let whole = format!("const look = () => {{ {script}\n}};{WAIT_IN_PAGE}");
            let body = json!({"script": whole, "args": [left.as_millis()]});
            let outcome = self.post("/execute/async", &body).await;
            match outcome {
                Ok(outcome) if !outcome["found"].is_null() => return Ok(outcome["found"].clone()),
                Ok(outcome) if outcome["thrown"].is_string() => {
                    return Err(Failure(format!("{script}: {}", outcome["thrown"])));
                }
                Err(failure) if !was_interrupted(&failure) => return Err(failure),
                _ if left.is_zero() => return Err(Failure(format!("{script}: nothing truthy within {within:?}"))),
                _ => {}
            }
        }
    }
}

/// Calls `look` until it gives something truthy or the first argument's milliseconds are over. Errors are returned as
/// text: the driver would report them like the loss of the page.
const WAIT_IN_PAGE: &str = r"
const [limit, done] = arguments;
let observer, often, end;
const finish = (outcome) => { observer.disconnect(); clearInterval(often); clearTimeout(end); done(outcome); };
const check = () => {
  try { const found = look(); if (found) finish({found}); } catch (error) { finish({thrown: String(error)}); }
};
observer = new MutationObserver(check);
observer.observe(document, {subtree: true, childList: true, attributes: true, characterData: true});
often = setInterval(check, 50);
end = setTimeout(() => finish({}), limit);
check();
";

/// Whether the page went away under the script, by a link or a reload. Chromedriver reports that mostly as a timeout of
/// the script, at once; a real one comes only in waits that are longer than its limit, and those go on too.
fn was_interrupted(failure: &Failure) -> bool {
    ["script timeout", "aborted by navigation", "document unloaded", "execution context", "detached"]
        .iter()
        .any(|reason| failure.0.contains(reason))
}

fn text_of(value: Value) -> Result<String> {
    match value {
        Value::String(text) => Ok(text),
        other => Err(Failure(format!("the browser gave {other} where text was expected"))),
    }
}

fn capabilities(profile: &Path, more: &[&str]) -> Value {
    let profile = format!("--user-data-dir={}", profile.join("profile").display());
    let arguments = [
        "--headless=new",
        // Root cannot use the sandbox, and the pages are our own.
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        // A mouse, which the machine may lack: pages then look and behave as on a desk.
        "--blink-settings=primaryHoverType=2,availableHoverTypes=2,primaryPointerType=4,availablePointerTypes=4",
        // /dev/shm is tiny in containers.
        "--disable-dev-shm-usage",
        // A pipe instead of a port: it closes with the driver, however that ends, and Chromium ends with it.
        "--remote-debugging-pipe",
        &profile,
    ];
    let arguments: Vec<_> = arguments.into_iter().chain(more.iter().copied()).collect();
    json!({"capabilities": {"alwaysMatch": {
        "goog:loggingPrefs": {"browser": "ALL"},
        "goog:chromeOptions": {"binary": "/usr/bin/chromium", "args": arguments},
    }}})
}

/// An HTTP client for this machine only: no proxy.
///
/// # Errors
/// When it cannot be built.
pub(crate) fn http_client() -> Result<reqwest::Client> {
    // A client is built with a TLS provider even where only plain HTTP is spoken. An error says that one is installed.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().build().map_err(while_doing("building an HTTP client"))
}

#[cfg(test)]
mod tests;
