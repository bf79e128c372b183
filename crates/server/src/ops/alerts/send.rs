//! Sending messages: to Slack, and to a receiver of any kind.
//!
//! A message is a job for each receiver, so that it outlives a restart and one that is away does not keep the other from
//! being told. Addresses are secrets: they stand in no job, no line of the log and no error.

use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue};
use mainstay_domain::{Clock, Error, JobPriority, Result};
use mainstay_jobs::{Done, Failure, Job, JobContext, JobResult};
use mainstay_store::{Call, RecordAlertReceipt, Store};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;
use serde::{Deserialize, Serialize};
use url::Url;

use super::message::Message;
use crate::app::App;
use crate::config;
use crate::ops::health::outside::Service;
use crate::ops::log::mask::mask;
use crate::outgoing::{self, Lookup, Outgoing};
use crate::providers::Last;
use crate::providers::breaker::{Breaker, Verdict};
use crate::providers::retry::advice;

/// The queue of messages.
pub const QUEUE: &str = "alerts";
/// How long one attempt may take in all.
const DEADLINE: Duration = Duration::from_secs(10);
/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(3);
/// The most of an answer that is read, in bytes: Slack says in a word what is wrong.
const MOST_ANSWER: usize = 1024;
/// Failures in a row after which a receiver is left alone, and for how long.
const BREAKER: (u32, Duration) = (3, Duration::from_secs(30));
/// The longest that a receiver is waited for that asks for it.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);
/// How long keeping what a receiver did may take.
const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Labels {
    receiver: &'static str,
    outcome: &'static str,
}

/// Which form a receiver takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Slack,
    Webhook,
}

/// Somebody who is told.
struct Receiver {
    name: &'static str,
    form: Form,
    url: Url,
    breaker: Breaker,
    last: Last,
}

/// Sends messages. It lives in one process: each node learns for itself which receiver keeps failing.
pub struct Sender {
    outgoing: Outgoing,
    receivers: Vec<Receiver>,
    store: Store,
    clock: Arc<dyn Clock>,
    sent: Family<Labels, Counter>,
}

/// Why a receiver did not take a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unsent {
    /// It asks to come back later, or is left alone until then.
    Later(Duration),
    /// It failed; in words without its address.
    Failed(String),
}

impl Sender {
    /// Those that are set up.
    ///
    /// # Errors
    /// When the HTTP client cannot be made.
    pub fn new(
        settings: &config::Alerts,
        (store, clock): (Store, Arc<dyn Clock>),
        lookup: Arc<dyn Lookup>,
        registry: &mut Registry,
    ) -> Result<Self> {
        let client = outgoing::Settings::of_the_operator(CONNECT, DEADLINE, MOST_ANSWER);
        let given = [("slack", Form::Slack, &settings.slack_url), ("webhook", Form::Webhook, &settings.webhook_url)];
        let receivers = given.into_iter().filter(|(_, _, url)| !url.is_empty()).map(|(name, form, url)| {
            let url =
                Url::parse(url.expose()).map_err(|_| Error::internal(format!("the address of {name} is none")))?;
            Ok(Receiver { name, form, url, breaker: Breaker::new(name, BREAKER.0, BREAKER.1), last: Last::default() })
        });
        let receivers: Vec<_> = receivers.collect::<Result<_>>()?;
        let sent = Family::default();
        let help = "Attempts to tell a receiver of alerts, by what came of them";
        registry.register("mainstay_alert_messages", help, Family::clone(&sent));
        Ok(Self { outgoing: Outgoing::with_lookup(client, lookup)?, receivers, store, clock, sent })
    }

    /// The names of those who are told.
    #[must_use]
    pub fn receivers(&self) -> Vec<&'static str> {
        self.receivers.iter().map(|receiver| receiver.name).collect()
    }

    /// How they are, for the page of health.
    pub(crate) fn services(&self) -> impl Iterator<Item = Service> {
        self.receivers.iter().map(|receiver| Service {
            name: receiver.name,
            needed_for: None,
            breaker: receiver.breaker.current(),
            last: receiver.last.get(),
        })
    }

    /// Tells one receiver, once, and remembers what it did. One that is not set up any more is told nothing.
    pub(crate) async fn tell(&self, name: &str, message: &Message) -> std::result::Result<(), Unsent> {
        let Some(receiver) = self.receivers.iter().find(|receiver| receiver.name == name) else { return Ok(()) };
        let permit = receiver.breaker.admit().map_err(Unsent::Later)?;
        let (verdict, outcome) = self.post(receiver, message).await;
        permit.settle(verdict);
        let (word, failure) = match &outcome {
            Ok(()) => ("accepted", None),
            Err(Unsent::Later(_)) => ("later", Some("it asks to come back later".to_owned())),
            Err(Unsent::Failed(why)) => ("failed", Some(why.clone())),
        };
        receiver.last.record(failure.as_ref().map(|_| word));
        self.sent.get_or_create(&Labels { receiver: receiver.name, outcome: word }).inc();
        let now = self.clock.now();
        let receipt = RecordAlertReceipt { receiver: receiver.name, failure, test: message.test, now };
        if let Err(error) = self.store.run(&Call::within(PATIENCE), receipt).await {
            tracing::warn!(%error, receiver = receiver.name, "what a receiver of alerts did could not be kept");
        }
        outcome
    }

    async fn post(&self, receiver: &Receiver, message: &Message) -> (Verdict, std::result::Result<(), Unsent>) {
        let body = match receiver.form {
            Form::Slack => message.for_slack(),
            Form::Webhook => message.for_webhook(),
        };
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/json"))]);
        let answer = match self.outgoing.post(&receiver.url, headers, Bytes::from(body.to_string())).await {
            Ok(answer) => answer,
            Err(failure) => return (Verdict::Failed, Err(Unsent::Failed(failure.fault.detail()))),
        };
        if answer.status.is_success() {
            return (Verdict::Healthy, Ok(()));
        }
        let (after, _) = advice(&answer.headers, self.clock.as_ref());
        if let (429 | 503, Some(after)) = (answer.status.as_u16(), after) {
            return (Verdict::Answered, Err(Unsent::Later(after.min(LONGEST_WAIT))));
        }
        let said: String = String::from_utf8_lossy(&answer.body).chars().take(100).collect();
        let why = format!("It answered {}: {}", answer.status.as_u16(), mask(said.trim()));
        let verdict = if answer.status.is_server_error() { Verdict::Failed } else { Verdict::Answered };
        (verdict, Err(Unsent::Failed(why)))
    }
}

/// One receiver is told.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AlertMessage {
    /// Which.
    pub receiver: String,
    /// Of what.
    pub message: Message,
}

impl Job for AlertMessage {
    const KIND: &'static str = "alert_message";
    const QUEUE: &'static str = QUEUE;
    const PRIORITY: JobPriority = JobPriority::High;
    /// About nine hours: what was not told by then is told again by the next message.
    const MOST_ATTEMPTS: u32 = 15;
    const DEADLINE: Duration = Duration::from_secs(30);
}

/// Tells a receiver.
pub(crate) async fn run(app: Weak<App>, _: JobContext, job: AlertMessage) -> JobResult {
    let Some(app) = app.upgrade() else { return Ok(Done::Snoozed(PATIENCE)) };
    match app.watching.alerts.sender.tell(&job.receiver, &job.message).await {
        Ok(()) => Ok(Done::Finished),
        Err(Unsent::Later(after)) => Ok(Done::Snoozed(after)),
        Err(Unsent::Failed(why)) => Err(Failure::new(why)),
    }
}
