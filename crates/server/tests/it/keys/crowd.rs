//! Many rows with secrets, and clients that read and write some of them while a server comes and goes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::StreamExt as _;
use mainstay_domain::{
    Clock as _, EmailAddress, EndpointId, InboxSourceId, KeyVersion, OrganisationName, PersonId, PersonName, Sealed,
    Secret, TenantId,
};
use mainstay_server::app::{App, Outside};
use mainstay_server::config::Config;
use mainstay_server::keys::Place;
use mainstay_server::lifecycle::Lifecycle;
use mainstay_server::outside::SystemClock;
use mainstay_server::webhooks::signature::{Secrets, sign};
use mainstay_store::{
    Call, CountSealed, CreateEndpoint, CreateInboxSource, EndpointSettings, InboxSource, NewPerson, Options,
    ReadSealed, SealedColumn, SignUp, Store,
};
use serde_json::{Value, json};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::support::binary::PATIENCE;
use crate::support::chance::Chance;

/// Endpoints and senders of one organisation: as many as there may be.
const ENDPOINTS: usize = 50;
const SENDERS: usize = 100;
/// How long a client waits before it tries again, while the server is away.
const AWAY: Duration = Duration::from_millis(50);

/// A store of the test's own on the database of a server.
pub(super) struct Opened {
    pub(super) store: Store,
    tasks: Vec<JoinHandle<()>>,
}

impl Drop for Opened {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

#[expect(clippy::disallowed_methods, reason = "a test has no lifecycle; what it starts ends with it")]
pub(super) async fn open(url: &str) -> Opened {
    let options = Options::new(Secret::new(url.to_owned()));
    let (store, tasks) = Store::open(options, Outside::default().entropy).await.expect("the store opens");
    Opened { store, tasks: tasks.into_iter().map(|task| tokio::spawn(task.future)).collect() }
}

/// The parts of a server, to seal and open with its keys; it serves nothing.
pub(super) async fn app(url: &str, keys: &std::path::Path) -> Arc<App> {
    let (url, keys) = (json!(url).to_string(), json!(keys).to_string());
    let config = Config::from_overrides(&[("database.url", &url), ("keys.directory", &keys)]).expect("settings");
    App::open(config, Outside::default(), Lifecycle::new()).await.expect("the app opens")
}

fn call() -> Call {
    Call::within(PATIENCE)
}

/// The secret of a row: it follows from its id, so that it can be recognised.
fn secret_of(row: Uuid) -> String {
    format!("the secret of {row}")
}

async fn organisation(app: &App, number: usize) -> (TenantId, PersonId) {
    let (tenant, person) = (app.ids.make(), app.ids.make());
    let person_row = NewPerson {
        id: person,
        email: Some(EmailAddress::parse(&format!("owner{number}@crowd.example.com")).expect("an address")),
        name: PersonName::parse("Owner").expect("a name"),
        password_hash: None,
        operator: false,
    };
    let organisation = OrganisationName::parse("Crowd").expect("a name");
    let sign_up = SignUp { person: person_row, tenant, organisation, session: None, now: app.clock.now() };
    app.store.run(&call(), sign_up).await.expect("signed up");
    (tenant, person)
}

async fn endpoint(app: &App, tenant: TenantId, person: PersonId) {
    let id: EndpointId = app.ids.make();
    let plain = Secret::new(secret_of(id.uuid()));
    let place = Place { column: SealedColumn::EndpointSecrets, tenant, row: id.uuid() };
    let secrets = app.keys.seal(place, &plain).expect("sealed");
    let settings = EndpointSettings {
        url: "https://example.com/hook".to_owned(),
        description: String::new(),
        event_types: Vec::new(),
        rate_per_minute: None,
    };
    let create = CreateEndpoint { id, tenant, person, settings, secrets, claim: None, now: app.clock.now() };
    app.store.run(&call(), create).await.expect("made");
}

async fn sender(app: &App, tenant: TenantId, person: PersonId) {
    let id: InboxSourceId = app.ids.make();
    let place = Place { column: SealedColumn::InboxScheme, tenant, row: id.uuid() };
    let scheme = app.keys.seal(place, &Secret::new(secret_of(id.uuid()))).expect("sealed");
    let source = InboxSource {
        id,
        name: "sender".to_owned(),
        provider: "generic".to_owned(),
        scheme,
        key: id.uuid().simple().to_string(),
        created_at: app.clock.now(),
        disabled_at: None,
    };
    app.store.run(&call(), CreateInboxSource { tenant, person, source, claim: None }).await.expect("made");
}

/// Makes so many rows with a secret each, at least.
pub(super) async fn fill(app: &Arc<App>, rows: usize) -> u64 {
    let organisations = rows.div_ceil(ENDPOINTS + SENDERS);
    let made = futures_util::stream::iter(0..organisations).for_each_concurrent(8, |number| async move {
        let (tenant, person) = organisation(app, number).await;
        for _ in 0..ENDPOINTS {
            endpoint(app, tenant, person).await;
        }
        for _ in 0..SENDERS {
            sender(app, tenant, person).await;
        }
    });
    made.await;
    (organisations * (ENDPOINTS + SENDERS)) as u64
}

/// How many rows are sealed under a key.
pub(super) async fn count(store: &Store, key: KeyVersion) -> u64 {
    let mut all = 0;
    for column in SealedColumn::ALL {
        all += u64::from(store.run(&call(), CountSealed { column: *column, key }).await.expect("counted"));
    }
    all
}

/// Opens everything that is sealed under a key. The answer is how many of the rows of [`fill`] there are; each must have its
/// secret.
pub(super) async fn open_all(app: &App, key: KeyVersion) -> u64 {
    let mut whole = 0;
    for column in SealedColumn::ALL.iter().copied() {
        let mut after = None;
        loop {
            let rows = app.store.run(&call(), ReadSealed { column, key, after, most: 1000 }).await.expect("read");
            let Some(last) = rows.last() else { break };
            after = Some((last.tenant, last.id));
            for row in &rows {
                let place = Place { column, tenant: row.tenant, row: row.id };
                let opened = app.keys.open(place, &Sealed::of_column(row.stored.expose())).expect("it opens");
                whole += u64::from(opened.expose() == secret_of(row.id));
            }
        }
    }
    whole
}

/// Where the server is, whether it is meant to be there, and what the clients did.
#[derive(Default)]
pub(super) struct Stage {
    address: std::sync::Mutex<String>,
    pub(super) reads: AtomicU64,
    pub(super) writes: AtomicU64,
    /// Calls that were cut off because the server was killed.
    pub(super) cut: AtomicU64,
}

impl Stage {
    pub(super) fn moved_to(&self, address: &str) {
        address.clone_into(&mut self.address.lock().expect("no panic"));
    }

    fn address(&self) -> String {
        self.address.lock().expect("no panic").clone()
    }
}

/// One client, with a sender and an endpoint of its own.
struct Client {
    http: reqwest::Client,
    token: String,
    chance: Chance,
    source: String,
    hook: String,
    endpoint: String,
    /// The secret that was acknowledged last.
    secret: String,
}

impl Client {
    /// Asks until somebody answers. What is refused is a fault, and so is what nobody answers for too long.
    async fn ask(&self, stage: &Stage, method: &str, path: &str, body: Option<&Value>) -> Value {
        let begun = Instant::now();
        loop {
            let request = self.http.request(method.parse().expect("a method"), format!("{}{path}", stage.address()));
            let request = request.bearer_auth(&self.token);
            let request = if let Some(body) = body { request.json(body) } else { request };
            match answer(request).await {
                Ok((status, text)) => {
                    assert!((200..300).contains(&status), "{method} {path}: {status} {text}");
                    return serde_json::from_str(&text).unwrap_or_default();
                }
                Err(_) => self.wait(stage, begun).await,
            }
        }
    }

    async fn wait(&self, stage: &Stage, begun: Instant) {
        stage.cut.fetch_add(1, Ordering::Relaxed);
        assert!(begun.elapsed() < PATIENCE, "nobody answers");
        sleep(AWAY).await;
    }

    /// Sends a webhook that is signed with the secret: it is taken only if the server opens the same one.
    async fn webhook(&self, stage: &Stage, id: &str) {
        let begun = Instant::now();
        loop {
            let body = format!(r#"{{"type": "order.paid", "data": {{"id": "{id}"}}}}"#);
            let secrets = Secrets::standard(&[Secret::new(self.secret.clone())]).expect("a secret");
            let signed = sign(&secrets, id, SystemClock.now(), body.as_bytes()).expect("signed");
            let mut request = self.http.post(format!("{}{}", stage.address(), self.hook)).body(body);
            for (name, value) in signed.headers() {
                request = request.header(name, value);
            }
            match answer(request).await {
                Ok((status, text)) => return assert_eq!(status, 200, "{}: {text}", self.hook),
                Err(_) => self.wait(stage, begun).await,
            }
        }
    }

    async fn begin(&mut self, stage: &Stage) {
        let body = json!({"name": "mine", "provider": "standard"});
        let made = self.ask(stage, "POST", "/v1/inbox-sources", Some(&body)).await;
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        (self.source, self.secret) = (text(&made["id"]), text(&made["secret"]));
        self.hook = crate::inbox::path_of(&made);
        let body = json!({"url": "https://example.com/hook"});
        let made = self.ask(stage, "POST", "/v1/webhook-endpoints", Some(&body)).await;
        self.endpoint = text(&made["id"]);
    }

    async fn step(&mut self, stage: &Stage, number: u64) {
        let source = format!("/v1/inbox-sources/{}", self.source);
        match self.chance.below(4) {
            0 => {
                // One of our own making, so that a repeat after a lost answer says the same.
                let mut bytes = [0_u8; 32];
                bytes[..8].copy_from_slice(&number.to_be_bytes());
                bytes[8..16].copy_from_slice(&self.chance.below(u64::MAX).to_be_bytes());
                let secret = format!("{}{}", concat!("whsec", "_"), STANDARD.encode(bytes));
                // Both, so that what arrives meanwhile is taken.
                let both = json!({"secrets": [secret, self.secret]});
                self.ask(stage, "PATCH", &source, Some(&both)).await;
                self.secret = secret;
                stage.writes.fetch_add(1, Ordering::Relaxed);
            }
            1 => {
                let path = format!("/v1/webhook-endpoints/{}/secret/rotate", self.endpoint);
                let rotated = self.ask(stage, "POST", &path, None).await;
                assert!(rotated["secret"].is_string(), "{rotated}");
                stage.writes.fetch_add(1, Ordering::Relaxed);
            }
            2 => {
                let read = self.ask(stage, "GET", &source, None).await;
                assert!(read["scheme"].is_object() && read["secrets"].as_u64() >= Some(1), "{read}");
                stage.reads.fetch_add(1, Ordering::Relaxed);
            }
            _ => {
                let id = format!("msg_{number}_{}", self.chance.below(u64::MAX));
                self.webhook(stage, &id).await;
                stage.reads.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

async fn answer(request: reqwest::RequestBuilder) -> reqwest::Result<(u16, String)> {
    let response = request.send().await?;
    Ok((response.status().as_u16(), response.text().await?))
}

/// Clients at work until they are stopped.
pub(super) struct Crowd {
    stop: CancellationToken,
    tasks: JoinSet<Client>,
}

impl Crowd {
    /// One client for each token.
    pub(super) fn start(stage: &Arc<Stage>, tokens: Vec<String>, chance: &mut Chance) -> Self {
        let (stop, mut tasks) = (CancellationToken::new(), JoinSet::new());
        for token in tokens {
            let (stage, stop) = (Arc::clone(stage), stop.clone());
            let http = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build().expect("a client");
            let (source, hook, endpoint, secret) = Default::default();
            let mut client = Client { http, token, chance: chance.fork(), source, hook, endpoint, secret };
            tasks.spawn(async move {
                client.begin(&stage).await;
                for number in 0.. {
                    if stop.is_cancelled() {
                        break;
                    }
                    client.step(&stage, number).await;
                    sleep(Duration::from_millis(client.chance.below(20))).await;
                }
                client
            });
        }
        Self { stop, tasks }
    }

    /// Stops them. Each looks once more whether what was acknowledged to it last is good.
    pub(super) async fn stop(mut self, stage: &Stage) {
        self.stop.cancel();
        while let Some(client) = self.tasks.join_next().await {
            client.expect("no client had a fault").webhook(stage, "msg_last").await;
        }
    }
}
