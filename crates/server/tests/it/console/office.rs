//! Where outreach is worked on: a browser in front of a server, and the mail server that takes what it sends.

use mainstay_testing::Browser;
use mainstay_testing::smtp_sink::{SinkOptions, SmtpSink};
use serde_json::{Value, json};

use super::view::View;
use crate::outreach::account;
use crate::support::{Engine, Person, TestApp, text};

/// Somebody's browser in front of a server, and the mail server that takes what it sends.
pub(super) struct Office {
    pub(super) view: View,
    pub(super) server: TestApp,
    pub(super) owner: Person,
    pub(super) sink: SmtpSink,
}

impl Office {
    /// Opens it with an owner, ada, who is not signed in yet. Not where Chromium is missing.
    pub(super) async fn open() -> Option<Self> {
        Self::set(&[]).await
    }

    /// The same with further settings.
    pub(super) async fn set(further: &[(&str, &str)]) -> Option<Self> {
        let browser = Browser::start().await?;
        let sink = SmtpSink::start(SinkOptions { keep_bytes: true, ..SinkOptions::default() }).expect("a sink");
        let settings = [
            ("outreach.allow_private", r#"["127.0.0.0/8"]"#),
            ("outreach.retry_seconds", "1"),
            ("http.public_url", r#""https://mail.example.com""#),
            ("jobs.poll_ms", "100"),
        ];
        let server =
            TestApp::start(Engine::Sqlite, &[&settings, further].concat()).await.expect("SQLite is always there");
        let owner = server.person("ada").await;
        let view = View { browser };
        view.browser.set_window(1280, 900).await.unwrap();
        Some(Self { view, server, owner, sink })
    }

    /// Opens a page of it, and is told to sign in there.
    pub(super) async fn arrive(&self, path: &str) {
        self.goto(path).await;
        self.view.shows("document.querySelector('#page .off')?.textContent.includes('Sign in')").await;
        self.view.sign_in(&self.owner.email, "password of ada", None).await;
    }

    pub(super) async fn goto(&self, path: &str) {
        self.view.browser.goto(&format!("{}{path}", self.server.address)).await.unwrap();
    }

    pub(super) async fn send(&self, method: &str, path: &str, body: Option<Value>, status: u16) -> Value {
        self.server.send(method, path, Some(&self.owner.access_token), body).await.expect(status)
    }

    pub(super) async fn account(&self, address: &str) -> String {
        let wish = account(&self.sink, address, &json!({}));
        text(&self.send("POST", "/v1/sending-accounts", Some(wish), 201).await["id"])
    }

    /// Writes into a field as somebody who types does.
    pub(super) async fn write(&self, css: &str, words: &str) {
        self.view.shows(&format!("document.querySelector({})?.checkVisibility()", json!(css))).await;
        let script = "const [css, words] = arguments;
            const field = document.querySelector(css);
            field.value = words;
            field.dispatchEvent(new Event('input', {bubbles: true}));
            field.dispatchEvent(new Event('change', {bubbles: true}));";
        self.view.browser.execute(script, &[json!(css), json!(words)]).await.unwrap();
    }

    /// Chooses a file of this content, which is an expression.
    pub(super) async fn choose_file(&self, name: &str, content: &str) {
        self.view.shows("document.querySelector('[name=file]')").await;
        let script = format!(
            "const transfer = new DataTransfer();
             transfer.items.add(new File([{content}], {}));
             const input = document.querySelector('[name=file]');
             input.files = transfer.files;
             input.dispatchEvent(new Event('change', {{bubbles: true}}));",
            json!(name)
        );
        self.view.browser.execute(&script, &[]).await.unwrap();
    }

    pub(super) async fn part(&self, name: &str) {
        self.view.click(&format!(".parts [data-part={name}]")).await;
        self.view.shows(&format!("document.querySelector('.parts [data-part={name}][aria-current]')")).await;
    }

    /// Waits until what is told beside a field says so, and the field is marked.
    pub(super) async fn refuses(&self, css: &str, words: &str) {
        let (css, words) = (json!(css), json!(words));
        let script = format!(
            "(() => {{
                const control = document.querySelector({css});
                const said = control && document.getElementById(`${{control.id}}-error`).textContent;
                return control?.getAttribute('aria-invalid') === 'true' && said.includes({words});
            }})()"
        );
        self.view.shows(&script).await;
    }

    /// Waits until a figure of the campaign that is open says so by itself.
    pub(super) async fn figure(&self, name: &str, words: &str) {
        self.view.counts(&format!("[data-figure={name}]"), words).await;
    }
}
