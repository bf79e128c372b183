//! Conversations and replies, over the wire, with a model provider that does as it is told.

mod faults;
mod following;
mod idempotency;
mod lifecycle;
mod limits;
mod lists;
mod nodes;
mod sending;
mod stopping;
mod tools;

use std::time::Duration;

use mainstay_domain::{GenerationId, PersonId, TenantId};
use mainstay_store::{Call, GetExchange, Message};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::support::events::{Events, ServerEvent};
use crate::support::fake_provider::{Behaviour, FakeProvider, Gate, pieces};
use crate::support::{Answer, Engine, Person, TestApp};

/// How long anything is waited for that no signal tells of.
const PATIENCE: Duration = Duration::from_secs(30);

/// A text in four pieces, with characters of one to four bytes.
const TEXT: &str = "Olá mundo € 🦀";

/// A server with a fake provider behind it, and somebody who uses it.
struct Stage {
    server: TestApp,
    provider: FakeProvider,
    ada: Person,
}

impl Stage {
    /// Starts all of it; nothing when the engine is not on this machine.
    async fn set(engine: Engine, settings: &[(&str, &str)]) -> Option<Self> {
        let provider = FakeProvider::start().await;
        let url = json!(provider.anthropic_url()).to_string();
        let mut all = vec![
            ("providers.order", r#"["anthropic"]"#),
            ("providers.anthropic.api_key", r#""sk-test""#),
            ("providers.anthropic.base_url", url.as_str()),
            ("providers.breaker_failures", "1000"),
        ];
        all.retain(|(key, _)| !settings.iter().any(|(own, _)| own == key));
        all.extend_from_slice(settings);
        let server = TestApp::start(engine, &all).await?;
        let ada = server.person("ada").await;
        Some(Self { server, provider, ada })
    }

    /// The settings that a server on the same provider needs after a restart.
    async fn restart(self, settings: &[(&str, &str)]) -> Self {
        Self { server: self.server.restart(settings).await, ..self }
    }

    async fn get(&self, path: &str) -> Answer {
        self.server.send("GET", path, Some(&self.ada.access_token), None).await
    }

    /// Sends a message and waits for the reply.
    async fn say(&self, body: Value) -> Answer {
        self.say_with(body, &[]).await
    }

    async fn say_with(&self, body: Value, headers: &[(&str, &str)]) -> Answer {
        self.server.send_with("POST", "/v1/messages", Some(&self.ada.access_token), Some(body), headers).await
    }

    /// Sends a message and follows the reply.
    async fn stream(&self, body: Value, headers: &[(&str, &str)]) -> Events {
        self.server.events("POST", "/v1/messages", &self.ada.access_token, Some(body), headers).await
    }

    /// Has a gate before each piece of [`TEXT`], and sends a message: what is there when the first event has come.
    async fn gated(&self) -> Gated {
        let gate = Gate::new();
        let before = self.provider.counts().requests;
        self.provider.push(Behaviour::Gated(pieces(TEXT), gate.clone()));
        let mut events = self.stream(json!({"content": "Hello"}), &[]).await;
        let start = events.next().await.expect("a first event");
        assert_eq!(start.event, "start");
        // So that the next behaviour is not taken by this request.
        self.provider.until(|counts| counts.requests > before).await;
        Gated { gate, events, generation: id(&start.data["generation_id"]), start }
    }

    /// Follows a reply, from where the client has come to.
    async fn follow(&self, generation: &str, seen: Option<&str>) -> Events {
        follow(&self.server, &self.ada, generation, seen).await
    }

    async fn stop(&self, generation: &str) -> Answer {
        stop(&self.server, &self.ada, generation).await
    }

    /// A reply, as `GET /v1/generations/{id}` shows it.
    async fn reply(&self, generation: &str) -> Value {
        reply(&self.server, &self.ada, generation).await
    }
}

/// A reply whose pieces wait at a gate.
struct Gated {
    gate: Gate,
    events: Events,
    generation: String,
    start: ServerEvent,
}

impl Gated {
    /// Lets the first two pieces pass and reads them.
    async fn half(&mut self) -> String {
        self.gate.release(2);
        self.events.text_of("Olá mundo ".len()).await
    }

    /// Lets everything pass.
    fn open(&self) {
        self.gate.release(10);
    }
}

async fn follow(server: &TestApp, person: &Person, generation: &str, seen: Option<&str>) -> Events {
    let path = format!("/v1/generations/{generation}/events");
    let headers: Vec<_> = seen.map(|seen| ("last-event-id", seen)).into_iter().collect();
    server.events("GET", &path, &person.access_token, None, &headers).await
}

async fn stop(server: &TestApp, person: &Person, generation: &str) -> Answer {
    let path = format!("/v1/generations/{generation}/stop");
    server.send("POST", &path, Some(&person.access_token), None).await
}

async fn reply(server: &TestApp, person: &Person, generation: &str) -> Value {
    let path = format!("/v1/generations/{generation}");
    server.send("GET", &path, Some(&person.access_token), None).await.expect(200)["reply"].clone()
}

/// An id as text.
#[track_caller]
fn id(value: &Value) -> String {
    value.as_str().expect("an id").to_owned()
}

/// A reply as the database has it, without what the node that makes it knows.
async fn stored(server: &TestApp, person: &Person, generation: &str) -> Message {
    let uuid = |text: &str| text.parse().expect("an id");
    let get = GetExchange {
        tenant: TenantId(uuid(&person.organisation)),
        person: PersonId(uuid(&person.id)),
        generation: GenerationId(uuid(generation)),
    };
    let call = Call::within(PATIENCE);
    server.app.store.run(&call, get).await.expect("the store answers").expect("the reply is there").reply
}

/// Waits for what no signal tells of.
async fn eventually<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    let give_up = Instant::now() + PATIENCE;
    while !holds().await {
        assert!(Instant::now() < give_up, "never: {what}");
        sleep(Duration::from_millis(10)).await;
    }
}

/// Waits until so many bytes of a reply are saved.
async fn saved(server: &TestApp, person: &Person, generation: &str, text: &str) {
    eventually("the text is saved", || async { stored(server, person, generation).await.content == text }).await;
}
