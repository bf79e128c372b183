//! One writer and its ledger: what it sent, and what the server has acknowledged of it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::support::binary::{Events, Instance};
use crate::support::chance::Chance;

/// What an acknowledgement names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Acknowledgement {
    pub(super) conversation: String,
    pub(super) message: String,
    pub(super) reply: String,
}

/// A message that was sent, perhaps more than once, always with the same key and body.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) content: String,
    pub(super) conversation: Option<String>,
    pub(super) acknowledged: Option<Acknowledgement>,
}

/// How an attempt ended.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Acknowledged,
    /// The server answered that it cannot now.
    Later,
    /// The connection broke.
    Gone,
}

/// A person who writes.
pub(super) struct Writer {
    pub(super) number: usize,
    pub(super) token: String,
    pub(super) entries: Vec<Entry>,
    /// What the server did that it must not.
    pub(super) faults: Vec<String>,
    conversations: Vec<String>,
    chance: Chance,
}

impl Writer {
    pub(super) fn new(number: usize, token: String, chance: Chance) -> Self {
        Self { number, token, entries: Vec::new(), faults: Vec::new(), conversations: Vec::new(), chance }
    }

    /// Whether something was sent whose outcome is unknown.
    pub(super) fn has_pending(&self) -> bool {
        self.entries.iter().any(|entry| entry.acknowledged.is_none())
    }

    /// Writes until the connection breaks or the stop: what is unknown first, with the key it had. In an outage of the
    /// database a broken connection is a fault, since the server lives.
    pub(super) async fn write(
        &mut self,
        server: &Instance,
        stop: &CancellationToken,
        acknowledged: &AtomicU64,
        outage: bool,
    ) {
        while !stop.is_cancelled() && self.faults.len() < 10 {
            let pending = self.entries.iter().rposition(|entry| entry.acknowledged.is_none());
            let index = pending.unwrap_or_else(|| self.begin());
            let streamed = self.chance.below(2) == 0;
            match self.attempt(server, index, streamed).await {
                Outcome::Acknowledged => {
                    acknowledged.fetch_add(1, Ordering::Relaxed);
                }
                Outcome::Later => sleep(Duration::from_millis(20)).await,
                Outcome::Gone if outage => self.faults.push(format!("{}: the connection broke", self.number)),
                Outcome::Gone => return,
            }
        }
    }

    fn begin(&mut self) -> usize {
        let index = self.entries.len();
        let key = format!("writer-{}-message-{index}", self.number);
        let known = self.conversations.len() as u64;
        let conversation = (known > 0 && self.chance.below(3) > 0)
            .then(|| self.conversations[usize::try_from(self.chance.below(known)).expect("small")].clone());
        let content = format!("{key}: {}", "x".repeat(usize::try_from(self.chance.below(300)).expect("small")));
        self.entries.push(Entry { key, content, conversation, acknowledged: None });
        index
    }

    /// Sends an entry once.
    pub(super) async fn attempt(&mut self, server: &Instance, index: usize, streamed: bool) -> Outcome {
        let entry = &self.entries[index];
        let mut body = json!({"content": entry.content});
        if let Some(conversation) = &entry.conversation {
            body["conversation_id"] = json!(conversation);
        }
        let request = server.request("POST", "/v1/messages", &self.token).header("idempotency-key", &entry.key);
        let request = if streamed { request.header("accept", "text/event-stream") } else { request };
        let Ok(response) = request.json(&body).send().await else { return Outcome::Gone };
        match response.status().as_u16() {
            200 | 201 if streamed => self.follow(index, Events::new(response)).await,
            201 => match response.json::<Value>().await {
                Ok(body) => self.acknowledge(index, &body),
                Err(_) => Outcome::Gone,
            },
            status => self.refused(index, status, response).await,
        }
    }

    async fn refused(&mut self, index: usize, status: u16, response: reqwest::Response) -> Outcome {
        let retry_after = response.headers().contains_key("retry-after");
        let Ok(text) = response.text().await else { return Outcome::Gone };
        let may_pass = match status {
            // Too many replies at once, the key is in use by the attempt before, or not now.
            409 | 429 | 503 => retry_after,
            504 => true,
            _ => false,
        };
        if !may_pass {
            self.faults.push(format!("{}: {status} {text}", self.entries[index].key));
        }
        Outcome::Later
    }

    async fn follow(&mut self, index: usize, mut events: Events) -> Outcome {
        let mut outcome = match events.next().await {
            Ok(Some((event, data))) if event == "start" => self.acknowledge(index, &data),
            Ok(Some((event, data))) => {
                self.faults.push(format!("{}: the first event is {event}: {data}", self.entries[index].key));
                return Outcome::Later;
            }
            Ok(None) | Err(_) => return Outcome::Gone,
        };
        // Some listeners go away after the first event.
        if self.chance.below(4) > 0 {
            loop {
                match events.next().await {
                    Ok(Some((event, _))) if event == "token" => {}
                    Ok(Some(_)) => break,
                    Ok(None) | Err(_) => {
                        outcome = Outcome::Gone;
                        break;
                    }
                }
            }
        }
        outcome
    }

    fn acknowledge(&mut self, index: usize, body: &Value) -> Outcome {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let now = Acknowledgement {
            conversation: text(&body["conversation_id"]),
            message: text(&body["message"]["id"]),
            reply: text(&body["generation_id"]),
        };
        let entry = &mut self.entries[index];
        if body["message"]["content"] != entry.content {
            self.faults.push(format!("{}: acknowledged with another content: {body}", entry.key));
        }
        if entry.conversation.as_ref().is_some_and(|wanted| *wanted != now.conversation) {
            self.faults.push(format!("{}: acknowledged in another conversation: {body}", entry.key));
        }
        match &entry.acknowledged {
            Some(before) if *before != now => {
                self.faults.push(format!("{}: one key, two messages: {before:?} and {now:?}", entry.key));
            }
            Some(_) => {}
            None => {
                if entry.conversation.is_none() {
                    self.conversations.push(now.conversation.clone());
                }
                entry.acknowledged = Some(now);
            }
        }
        Outcome::Acknowledged
    }
}
