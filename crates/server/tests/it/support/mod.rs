//! A whole server inside the test process, on either engine, with a client that speaks to it over a socket.

pub(crate) mod binary;
pub(crate) mod chance;
pub(crate) mod fake_fastspring;
pub(crate) mod fake_gmail;
pub(crate) mod fake_google;
pub(crate) mod fake_twilio;
pub(crate) mod mounted;
// The fake is shared with unit tests, and neither uses all of it.
#[expect(dead_code, reason = "each test binary uses its own part of the fake")]
pub(crate) mod fake_provider;

pub(crate) mod events;

pub(crate) mod receiver;

use std::sync::Arc;
use std::time::Duration;

use mainstay_domain::{Plan, PlanLimits, Timestamp};
use mainstay_server::app::{App, Outside, Service, install_tls, store_options};
use mainstay_server::config::Config;
use mainstay_server::http::{RouteSpec, Settings};
use mainstay_server::lifecycle::Lifecycle;
use mainstay_store::{Call, Migrator, SetPlanLimits, Store};
use mainstay_testing::postgres::{Cluster, Database};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use self::events::Events;

/// Which database a test runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Engine {
    Sqlite,
    Postgres,
}

/// The headers of an opening handshake (RFC 6455, section 1.3).
pub(crate) const UPGRADE: [(&str, &str); 4] = [
    ("connection", "upgrade"),
    ("upgrade", "websocket"),
    ("sec-websocket-version", "13"),
    ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
];

/// A server that runs.
pub(crate) struct TestApp {
    pub(crate) app: Arc<App>,
    pub(crate) address: String,
    pub(crate) client: reqwest::Client,
    pub(crate) settings: Judged,
    pub(crate) table: Vec<RouteSpec>,
    folder: tempfile::TempDir,
    /// The keys that secrets are sealed under: every node of a database has the same.
    keys: Arc<tempfile::TempDir>,
    database: Option<Arc<Database>>,
    own_settings: Vec<(String, String)>,
}

/// Somebody who has signed up.
#[derive(Clone, Debug)]
pub(crate) struct Person {
    pub(crate) email: String,
    pub(crate) id: String,
    pub(crate) organisation: String,
    pub(crate) access_token: String,
    pub(crate) refresh_token: String,
}

/// An answer, read to its end.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    /// The body as JSON; null when it is none.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or(Value::Null)
    }

    /// Demands a status.
    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text);
        self.json()
    }

    /// Demands any answer that is no failure.
    #[track_caller]
    pub(crate) fn expect_ok(self, what: &str) {
        assert!(self.status < 400, "{what}: {} {}", self.status, self.text);
    }

    /// Demands a problem with this status and code.
    #[track_caller]
    pub(crate) fn refused(self, status: u16, code: &str) -> Value {
        let body = self.clone().expect(status);
        assert_eq!(body["code"], code, "{}", self.text);
        assert_eq!(self.headers["content-type"], "application/problem+json");
        body
    }
}

/// The settings of the stack. Whatever a test did: at its end no route has run more statements than it is granted.
pub(crate) struct Judged(Settings);

impl std::ops::Deref for Judged {
    type Target = Settings;

    fn deref(&self) -> &Settings {
        &self.0
    }
}

impl Drop for Judged {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        for (path, method, policy, most) in self.0.statements() {
            assert!(
                most <= policy.statements,
                "{method} {path} ran {most} statements and is granted {}",
                policy.statements
            );
        }
    }
}

impl TestApp {
    /// Starts on this engine; nothing when it is not on this machine. Settings are given as key and TOML value.
    pub(crate) async fn start(engine: Engine, settings: &[(&str, &str)]) -> Option<Self> {
        Self::start_with(engine, settings, Outside::default()).await
    }

    /// The same, with time, chance or names from a test.
    pub(crate) async fn start_with(engine: Engine, settings: &[(&str, &str)], outside: Outside) -> Option<Self> {
        let (folder, keys) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
        let database = match engine {
            Engine::Sqlite => None,
            Engine::Postgres => Some(Arc::new(Cluster::shared()?.database().expect("a database"))),
        };
        Some(Self::start_on((folder, Arc::new(keys)), database, settings, outside).await)
    }

    /// Starts in this database.
    pub(crate) async fn start_in(database: &Arc<Database>, settings: &[(&str, &str)]) -> Self {
        let (folder, keys) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
        Self::start_on((folder, Arc::new(keys)), Some(Arc::clone(database)), settings, Outside::default()).await
    }

    /// Another node on the same PostgreSQL, with the same settings.
    pub(crate) async fn second_node(&self) -> Self {
        let settings: Vec<_> = self.own_settings.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        self.another_node(&settings).await
    }

    /// Another node on the same PostgreSQL, with settings of its own.
    pub(crate) async fn another_node(&self, settings: &[(&str, &str)]) -> Self {
        let database = self.database.clone().expect("several nodes need PostgreSQL");
        let folders = (tempfile::tempdir().expect("a folder"), Arc::clone(&self.keys));
        Self::start_on(folders, Some(database), settings, Outside::default()).await
    }

    async fn start_on(
        (folder, keys): (tempfile::TempDir, Arc<tempfile::TempDir>),
        database: Option<Arc<Database>>,
        settings: &[(&str, &str)],
        outside: Outside,
    ) -> Self {
        let own_settings = settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        install_tls();
        let url = match &database {
            None => format!("sqlite:{}", folder.path().join("test.db").display()),
            Some(database) => database.url.clone(),
        };
        let url = json!(url).to_string();
        let directory = json!(keys.path()).to_string();
        let mut all = vec![
            ("http.port", "0"),
            ("database.url", url.as_str()),
            ("keys.directory", directory.as_str()),
            // Cheap hashes and room for many sign-ups: what is tested here is something else.
            ("auth.password_memory_kib", "64"),
            ("auth.password_passes", "1"),
            ("auth.password_workers", "2"),
            ("auth.sign_ups", "10000"),
            ("auth.sign_in_failures", "1000"),
            ("providers.offline.word_ms", "1"),
            // Nothing goes out of the machine.
            ("outreach.check_domains", "false"),
            ("outreach.name_servers", r#"["127.0.0.1:9"]"#),
            ("texts.twilio_url", r#""http://127.0.0.1:9""#),
            // A machine that runs many tests at once is slow, and nothing is to be refused for that.
            ("overload.least_in_flight", "1024"),
            ("overload.first_in_flight", "1024"),
            ("overload.most_in_flight", "1024"),
            ("overload.queue_timeout_ms", "10000"),
        ];
        let limits = no_limits();
        all.extend(limits.iter().map(|key| (key.as_str(), "1000000")));
        all.retain(|(key, _)| !settings.iter().any(|(own, _)| own == key));
        all.extend_from_slice(settings);
        let config = Config::from_overrides(&all).unwrap_or_else(|faults| panic!("{faults}"));
        let mut migrator = Migrator::open(&store_options(&config.database)).await.expect("the migrator opens");
        let now = outside.clock.now();
        migrator.up(now, Duration::from_secs(30)).await.expect("the schema is made");
        let app = App::open(config, outside, Lifecycle::new()).await.expect("the app opens");
        let service = Service::new(&app).expect("the service is made");
        let (settings, table) = (service.settings.clone(), service.table.routes().to_vec());
        no_plan_limits(&app.store).await;
        app.start().await.expect("the app starts");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = format!("http://{}", listener.local_addr().expect("an address"));
        let serving = Arc::clone(&app);
        app.lifecycle.spawn("server", async move { service.serve(&serving, listener, None).await });
        let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(60)).build().expect("a client");
        Self { app, address, client, settings: Judged(settings), table, folder, keys, database, own_settings }
    }

    /// Stops and starts again on the same database.
    pub(crate) async fn restart(self, settings: &[(&str, &str)]) -> Self {
        self.app.lifecycle.drain(Duration::from_secs(10)).await;
        self.app.store.close().await;
        let Self { app, folder, keys, database, .. } = self;
        drop(app);
        Self::start_on((folder, keys), database, settings, Outside::default()).await
    }

    /// Runs a command in the database, which must be PostgreSQL, as its owner.
    pub(crate) fn psql(&self, command: &str) {
        self.database.as_ref().expect("PostgreSQL").psql(command).expect("it was run");
    }

    /// Demands that these lines stand among the figures.
    pub(crate) async fn tells(&self, lines: &[&str]) {
        let metrics = self.send("GET", "/metrics", None, None).await.text;
        for line in lines {
            assert!(metrics.contains(line), "{line} is missing");
        }
    }

    /// The present moment, as the server sees it.
    pub(crate) fn now(&self) -> Timestamp {
        self.app.clock.now()
    }

    /// Sends a request with JSON, as somebody.
    pub(crate) async fn send(&self, method: &str, path: &str, token: Option<&str>, body: Option<Value>) -> Answer {
        self.send_with(method, path, token, body, &[]).await
    }

    /// Sends a request with JSON and further headers.
    pub(crate) async fn send_with(
        &self,
        method: &str,
        path: &str,
        token: Option<&str>,
        body: Option<Value>,
        headers: &[(&str, &str)],
    ) -> Answer {
        let response = self.request(method, path, token, body, headers).await;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Answer { status, headers, text: response.text().await.expect("a body") }
    }

    /// Uploads a file, as somebody, as what it is said to be.
    pub(crate) async fn upload(&self, path: &str, token: Option<&str>, kind: &str, bytes: Vec<u8>) -> Answer {
        let mut request = self.client.post(format!("{}{path}", self.address)).header("content-type", kind);
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        let response = request.body(bytes).send().await.expect("an answer");
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Answer { status, headers, text: response.text().await.expect("a body") }
    }

    /// Sends a request whose answer is a stream of events.
    pub(crate) async fn events(
        &self,
        method: &str,
        path: &str,
        token: &str,
        body: Option<Value>,
        headers: &[(&str, &str)],
    ) -> Events {
        let mut all = vec![("accept", "text/event-stream")];
        all.extend_from_slice(headers);
        Events::of(self.request(method, path, Some(token), body, &all).await)
    }

    async fn request(
        &self,
        method: &str,
        path: &str,
        token: Option<&str>,
        body: Option<Value>,
        headers: &[(&str, &str)],
    ) -> reqwest::Response {
        let method = method.parse().expect("a method");
        let mut request = self.client.request(method, format!("{}{path}", self.address));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.send().await.expect("an answer")
    }

    /// Signs somebody up.
    pub(crate) async fn person(&self, name: &str) -> Person {
        let email = format!("{name}@example.com");
        let body = json!({"email": email, "password": format!("password of {name}"), "name": name});
        let signed_up = self.send("POST", "/v1/auth/sign-up", None, Some(body)).await.expect(201);
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        Person {
            email,
            id: text(&signed_up["user"]["id"]),
            organisation: text(&signed_up["organisation"]["id"]),
            access_token: text(&signed_up["access_token"]),
            refresh_token: text(&signed_up["refresh_token"]),
        }
    }
}

/// A member that must be a text.
#[track_caller]
pub(crate) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text")).to_owned()
}

/// The settings by which replies are made by a stand-in for Anthropic at this address, as a TOML value.
pub(crate) fn by_anthropic(url: &str) -> [(&str, &str); 3] {
    [
        ("providers.order", r#"["anthropic"]"#),
        ("providers.anthropic.api_key", r#""sk-test""#),
        ("providers.anthropic.base_url", url),
    ]
}

/// For tests that ask many things at once: what is refused is refused by what is tested, however busy the machine is.
pub(crate) const ALL_AT_ONCE: (&str, &str) = ("overload.enabled", "false");

/// Looks again and again, until there is an answer: for what is only seen from outside.
pub(crate) async fn eventually<T>(look: impl AsyncFn() -> Option<T>) -> T {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(tokio::time::Instant::now() < deadline, "it never came");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Plans allow as much as there is unless a test is about them, and sets them itself.
pub(crate) async fn no_plan_limits(store: &Store) {
    for plan in Plan::ALL {
        let set = SetPlanLimits(*plan, PlanLimits::default());
        store.run(&Call::within(Duration::from_secs(10)), set).await.expect("set");
    }
}

/// Every limit on how often somebody may ask: raised unless a test is about them.
pub(crate) fn no_limits() -> Vec<String> {
    let classes = ["messages", "image_analysis", "speech_to_text", "text_to_speech", "live_connect", "sync", "other"];
    let by_plan = ["free", "core", "studio"]
        .into_iter()
        .flat_map(|plan| classes.into_iter().map(move |class| format!("limits.{plan}.{class}")));
    let others = ["organisation", "api_key", "public", "live_connect_per_address"];
    others.into_iter().map(|name| format!("limits.{name}")).chain(by_plan).collect()
}

/// Makes a test of an async function for each engine: `both!(name)` runs `name(engine)`.
macro_rules! both {
    ($($name:ident),+ $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() { super::$name(crate::support::Engine::Sqlite).await; })+
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() { super::$name(crate::support::Engine::Postgres).await; })+
        }
    };
}
pub(crate) use both;
