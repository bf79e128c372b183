//! Canaries in every field of every operation of the document, and in what comes in by other ways. None of them may stand in
//! the log, in a trace, in a figure, in an error report or in an alert.
//!
//! Each canary says where it was sent ([`minting`]). Operations come from the document of the running server, so that a new
//! one is looked at without a word here. Answers may repeat what was asked; they are not looked at.

mod echo;
mod minting;
mod others;
mod requests;
mod search;
mod seeding;
mod told;
mod values;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::{StreamExt as _, stream};
use mainstay_testing::postgres::Cluster;
use serde_json::{Value, json};

use self::echo::Echo;
use self::minting::{Kind, Mint};
use self::requests::{Shot, operations};
use self::told::Told;
use self::values::{Known, Maker};
use crate::support::binary::{Installation, Instance};

/// Requests that are made at the same time.
const AT_ONCE: usize = 8;
/// How long an answer is listened to: some never end.
const LONGEST: Duration = Duration::from_secs(20);
const EMAIL: &str = "operator@example.com";
const PASSWORD: &str = "the password of the operator";
/// Operations that cannot be done as they should here, of all of them, in per cent at the most.
const MOST_UNDONE: usize = 20;

/// A server with all its outputs open, and what is known of it.
struct World {
    server: Instance,
    echo: Echo,
    mint: Mint,
    known: Known,
    token: Mutex<String>,
    /// How each operation was answered.
    answers: Mutex<BTreeMap<String, BTreeSet<u16>>>,
}

impl World {
    /// Makes a request, and keeps what its answer names.
    async fn shoot(&self, shot: Shot) -> Option<(u16, Value)> {
        let token = if shot.signed_in { self.token() } else { String::new() };
        let mut request = self.server.request(&shot.method, &shot.path, &token);
        for (name, value) in &shot.headers {
            request = request.header(name, value);
        }
        if let Some((media, body)) = shot.body {
            request = request.header("content-type", media).body(body);
        }
        // What is cut off by the server has no answer.
        let response = tokio::time::timeout(LONGEST, request.send()).await.ok()?.ok()?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let operation = format!("{} {}", shot.method, shot.template);
        self.answers.lock().unwrap().entry(operation).or_default().insert(status);
        let media = headers.get("content-type").and_then(|media| media.to_str().ok()).unwrap_or_default();
        if media.starts_with("text/event-stream") {
            return Some((status, Value::Null));
        }
        let bytes = tokio::time::timeout(LONGEST, response.bytes()).await.ok()?.ok()?;
        let answer = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        if (200..300).contains(&status) {
            self.known.learn(&shot.template, &answer);
        }
        Some((status, answer))
    }

    fn token(&self) -> String {
        self.token.lock().unwrap().clone()
    }

    /// Signs in again: some of what is asked ends the sign-in.
    async fn sign_in(&self) {
        let body = json!({"email": EMAIL, "password": PASSWORD});
        let made = self.server.send("POST", "/v1/auth/sign-in", "", Some(body)).await.expect("an answer").expect(200);
        *self.token.lock().unwrap() = made["access_token"].as_str().expect("a token").to_owned();
    }

    async fn shoot_all(&self, shots: Vec<Shot>) {
        stream::iter(shots).for_each_concurrent(AT_ONCE, |shot| async { drop(self.shoot(shot).await) }).await;
    }

    /// All operations of the document. Their names.
    async fn drive(&self, document: &Value) -> BTreeSet<String> {
        let operations = operations(document);
        for operation in &operations {
            self.sign_in().await;
            let (name, echo) = (operation.name(), format!("http://{}", self.echo.http));
            let maker = Maker { document, mint: &self.mint, known: &self.known, operation: &name, echo: &echo };
            self.shoot_all(operation.shots(&maker)).await;
        }
        operations.iter().map(requests::Operation::name).collect()
    }
}

/// The settings with which every service of others is [`Echo`], and everything is told.
fn open(installation: Installation, echo: &Echo, told: &Told) -> Installation {
    let http = format!("http://{}", echo.http);
    let texts = [
        ("log.format", "json"),
        ("log.level", "trace"),
        ("traces.sample_percent", "100"),
        ("alerts.every_seconds", "1"),
        ("alerts.after_seconds", "0"),
        ("alerts.group_seconds", "0"),
        ("overload.enabled", "false"),
        ("auth.sign_ups", "100000"),
        ("auth.sign_in_failures", "1000"),
        ("deliveries.allow_http", "true"),
        ("deliveries.allow_private", "127.0.0.2/32"),
        ("deliveries.retry_seconds", "0.05"),
        ("outreach.allow_private", "127.0.0.0/8"),
        ("outreach.retry_seconds", "1"),
        ("outreach.connect_timeout_ms", "1000"),
        ("outreach.name_servers", "127.0.0.1:9"),
        ("texts.retry_seconds", "1"),
        ("jobs.poll_ms", "100"),
        ("providers.order", "openai"),
        ("providers.max_retries", "0"),
        ("providers.breaker_failures", "1000"),
        ("billing.fastspring.storefront", "acme.onfastspring.com"),
        ("billing.fastspring.products", "core-monthly = core,studio-monthly = studio"),
        ("billing.fastspring.api_username", "acme"),
        ("billing.fastspring.api_password", "a-password-for-tests"),
        ("billing.fastspring.webhook_secrets", others::FASTSPRING_SECRET),
        ("calendars.google.client_id", "client-1"),
        ("calendars.google.client_secret", "client-secret-1"),
    ];
    let addresses = [
        ("traces.endpoint", format!("http://{}", told.collector.address)),
        ("errors.dsn", format!("http://abcdef0123456789@{}/7", told.reports.address)),
        ("alerts.webhook_url", told.alerts.url()),
        ("providers.openai.base_url", http.clone()),
        ("billing.fastspring.api_url", http.clone()),
        ("texts.twilio_url", http.clone()),
        ("voice.openai.base_url", http.clone()),
        ("calendars.google.authorization_url", format!("{http}/auth")),
        ("calendars.google.token_url", format!("{http}/token")),
        ("calendars.google.revoke_url", format!("{http}/revoke")),
        ("calendars.google.api_url", http.clone()),
        ("outreach.gmail.api_url", http),
        ("backup.to", installation.folder().join("backups").display().to_string()),
    ];
    let installation = texts.iter().fold(installation, |one, (key, value)| one.set(key, value));
    addresses.iter().fold(installation, |one, (key, value)| one.set(key, value))
}

async fn begin(installation: Installation) -> (World, Told, Installation) {
    let (echo, told) = (Echo::start().await, Told::listen().await);
    let installation = open(installation, &echo, &told);
    installation.run(&["migrate", "up"]).await.says(0, &[]);
    let mint = Mint::default();
    let name = mint.canary("the command line", "name").written(Kind::Name);
    let operator = ["user", "create", "--email", EMAIL, "--name", &name, "--operator"];
    installation.run_with_input(&operator, PASSWORD).await.says(0, &[]);
    let limits = ["messages-per-day", "messages-per-month", "images-per-day", "images-per-month", "cost-per-month"];
    let limits = limits.iter().flat_map(|limit| [format!("--{limit}"), "none".to_owned()]);
    let limits: Vec<String> = ["plan", "limits", "free"].into_iter().map(str::to_owned).chain(limits).collect();
    installation.run(&limits.iter().map(String::as_str).collect::<Vec<_>>()).await.says(0, &[]);
    let server = installation.serve().await;
    let world =
        World { server, echo, mint, known: Known::default(), token: Mutex::default(), answers: Mutex::default() };
    world.sign_in().await;
    (world, told, installation)
}

/// Nothing of what was sent is told anywhere.
async fn nothing_gets_out(installation: Installation) {
    let (world, told, _installation) = begin(installation).await;
    let document = world.server.get("/openapi.json", "").await;
    seeding::seed(&world).await;
    let driven = world.drive(&document).await;
    others::send(&world).await;
    world.sign_in().await;
    seeding::settle(&world).await;
    let figures = world.server.send("GET", "/metrics", "", None).await.expect("an answer").text;
    assert_eq!(world.server.stop().await, Some(0));

    let answers = world.answers.lock().unwrap().clone();
    let missing: Vec<_> = driven.iter().filter(|operation| !answers.contains_key(*operation)).collect();
    assert!(missing.is_empty(), "never answered: {missing:?}");
    let undone: Vec<_> = driven.iter().filter(|name| answers[*name].iter().all(|status| *status >= 400)).collect();
    let failed: Vec<_> = answers.iter().filter(|(_, statuses)| statuses.contains(&500)).map(|(name, _)| name).collect();
    assert!(driven.len() > 200 && world.mint.count() > 10_000, "{} in {driven:?}", world.mint.count());
    assert!(failed.is_empty(), "answered 500: {failed:?}");
    assert!(
        undone.len() * 100 <= driven.len() * MOST_UNDONE,
        "{} of {} were never done: {undone:?}",
        undone.len(),
        driven.len()
    );
    told.has_nothing_of(&world.mint, &world.server.process.lines(), &figures);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_of_what_is_sent_is_told_anywhere_on_sqlite() {
    nothing_gets_out(Installation::new()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_of_what_is_sent_is_told_anywhere_on_postgresql() {
    let Some(cluster) = Cluster::shared() else { return };
    let database = cluster.database().expect("a database");
    nothing_gets_out(Installation::new().on(&database.url)).await;
}

/// The search finds what gets out, in each form in which it may.
#[test]
fn a_leak_is_found_in_whatever_form_it_is_written() {
    let mint = Mint::default();
    for _ in 0..70_000 {
        mint.canary("GET /v1/others", "other");
    }
    let canary = mint.canary("POST /v1/contacts", "phone");
    let (word, phone) = (canary.word(), canary.written(Kind::Phone));
    let named = |text: &str| mint.places_in(text).iter().any(|place| place.field == "phone");
    for kind in Kind::ALL {
        let written = canary.written(kind);
        let json = json!({"message": format!("inside: {}", json!({"detail": written}))}).to_string();
        let percent: String = written.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let escaped: String = written.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect();
        for text in [&written, &json, &percent, &escaped, &written.to_uppercase()] {
            assert!(named(text), "{kind:?} is not found in {text}");
        }
    }
    let local = &phone[2..];
    let groups = [&local[..3], &local[3..6], &local[6..]];
    for text in [groups.join("-"), groups.join(" "), format!("({}) {} {}", groups[0], groups[1], groups[2])] {
        assert!(named(&text) && named(&format!("to +1 {text}, twice")), "{text}");
    }
    let part = |text: &str| mint.places_in(text).iter().any(|place| place.operation == "?");
    assert!(part(&word[..8]), "what is cut off");
    assert!(part(&format!("{:?}", word.as_bytes())), "bytes");
    for before in ["", "a", "ab", "abc"] {
        let text = STANDARD.encode(format!("{before}{word}"));
        assert!(part(&text), "{text}");
    }
    for text in ["1796059415005123456", "2026-11-30T17:24:50.763220Z", "0198c5a1-5005-7123-8456-0123456789ab", ""] {
        assert!(mint.places_in(text).is_empty(), "{text}");
    }
}
