//! The providers against a server that misbehaves on demand, in both protocols.

mod chain;
mod continuing;
mod faults;
mod protection;
mod replies;
mod tools;

use std::sync::Arc;
use std::time::Duration;

use mainstay_domain::{Clock, Entropy, ManualClock, MessageRole, Secret, TenantId, Timestamp, Usage};
use tokio::time::Instant;
use uuid::Uuid;

use super::fake::{Behaviour, FakeProvider, Gate, pieces};
use super::retry::Backoff;
use super::{Completion, Fault, FaultKind, Figures, GO_ON, MAX_REPLY_BYTES, Providers, ReplyRequest, Sink, Turn};
use crate::config;

const KEY: &str = "sk-test-0123456789-very-secret";

/// The protocols, which every fault is tried in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Protocol {
    Anthropic,
    OpenAi,
}

const BOTH: [Protocol; 2] = [Protocol::Anthropic, Protocol::OpenAi];

impl Protocol {
    fn name(self) -> &'static str {
        match self {
            Self::Anthropic => "anthropic",
            Self::OpenAi => "openai",
        }
    }
}

struct Zeros;
impl Entropy for Zeros {
    fn fill(&self, buffer: &mut [u8]) {
        buffer.fill(0);
    }
}

fn clock() -> Arc<dyn Clock> {
    Arc::new(ManualClock::new(Timestamp::from_millis(1_700_000_000_000)))
}

/// Settings with timers so long that none of them strikes by accident.
fn settings(order: &[&str]) -> config::Providers {
    let long = 30_000;
    config::Providers {
        order: order.iter().map(|name| (*name).to_owned()).collect(),
        connect_timeout_ms: long,
        first_token_timeout_ms: long,
        idle_timeout_ms: long,
        max_retries: 2,
        retry_budget_percent: 100,
        breaker_failures: 1000,
        breaker_open_ms: long,
        max_concurrency: 64,
        max_queue: 256,
        queue_timeout_ms: long,
        anthropic: config::Anthropic {
            api_key: Secret::new(KEY.to_owned()),
            api_key_file: String::new(),
            base_url: "https://api.anthropic.com".to_owned(),
            model: "claude-test".to_owned(),
            input_price_micros: 3_000_000,
            output_price_micros: 15_000_000,
        },
        openai: config::OpenAi {
            api_key: Secret::new(KEY.to_owned()),
            api_key_file: String::new(),
            base_url: "https://api.openai.com/v1".to_owned(),
            model: "gpt-test".to_owned(),
            input_price_micros: 400_000,
            output_price_micros: 1_600_000,
        },
        offline: config::Offline { word_ms: 40 },
    }
}

/// Settings for one protocol that point at the fake.
fn pointed(fake: &FakeProvider, protocol: Protocol) -> config::Providers {
    let mut settings = settings(&[protocol.name()]);
    settings.anthropic.base_url = fake.anthropic_url();
    settings.openai.base_url = fake.openai_url();
    settings
}

/// Settings for both: Anthropic at one fake, then OpenAI at the other.
fn chained(first: &FakeProvider, second: &FakeProvider) -> config::Providers {
    let mut settings = settings(&["anthropic", "openai"]);
    settings.anthropic.base_url = first.anthropic_url();
    settings.openai.base_url = second.openai_url();
    settings
}

fn build(settings: &config::Providers) -> Providers {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let backoff = Backoff { base: Duration::from_millis(1), cap: Duration::from_millis(2) };
    Providers::with_backoff(settings, clock(), Arc::new(Zeros), backoff).unwrap()
}

fn tenant(number: u128) -> TenantId {
    TenantId(Uuid::from_u128(number))
}

fn turn(role: MessageRole, content: &str) -> Turn {
    Turn::said(role, content)
}

fn request() -> ReplyRequest {
    ReplyRequest::of(tenant(1), "Be brief.".to_owned(), vec![turn(MessageRole::User, "Hello?")], 100)
}

fn in_a_minute() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

/// A sink that only wants the text.
impl<F: FnMut(&str) + Send> Sink for F {
    fn text(&mut self, text: &str) {
        self(text);
    }

    fn maker(&mut self, _: &str, _: &str) {}

    fn usage(&mut self, _: Usage, _: i64) {}
}

/// Asks once, and says what reached the sink.
async fn ask(providers: &Providers) -> (Result<Completion, Fault>, String) {
    ask_until(providers, in_a_minute()).await
}

async fn ask_until(providers: &Providers, deadline: Instant) -> (Result<Completion, Fault>, String) {
    let mut text = String::new();
    let mut sink = |piece: &str| text.push_str(piece);
    let outcome = providers.reply(&request(), deadline, &mut sink).await;
    (outcome, text)
}

fn figures(providers: &Providers, name: &str) -> Figures {
    providers.figures().into_iter().find(|figures| figures.provider == name).unwrap()
}

fn count_of(figures: &Figures, code: &str) -> u64 {
    figures.faults.iter().find(|(other, _)| *other == code).unwrap().1
}
