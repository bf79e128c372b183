//! Telling the other nodes of jobs that were promised here, and hearing theirs, through Redis. A message holds names of
//! queues and never a job; without it, or without Redis, a node finds the same with its next poll.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use mainstay_domain::{Clock, Timestamp};
use mainstay_store::JobListener;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use tokio::time::sleep;
use uuid::Uuid;

use crate::app::App;
use crate::redis::{Bus, Event};

/// The channel that all nodes of an installation listen to.
const CHANNEL: &str = "mainstay:jobs";
/// The least time between two messages: what is promised meanwhile goes with the next one.
const REST: Duration = Duration::from_millis(10);
/// The most names of a message. A message is bounded by the queues that there are; this is for a sender that errs.
const MOST_NAMES: usize = 256;

#[derive(Serialize, Deserialize)]
struct Hint {
    /// Who says so: a node has no use for its own.
    node: Uuid,
    queues: BTreeSet<String>,
}

/// What was promised here and not told yet.
struct Teller {
    clock: Arc<dyn Clock>,
    waiting: Mutex<BTreeSet<String>>,
    wake: Notify,
}

impl JobListener for Teller {
    fn promised(&self, queues: &[(String, Timestamp)]) {
        // What is due later is found by the poll of whoever works then.
        let now = self.clock.now();
        let due: Vec<_> = queues.iter().filter(|(name, due)| !name.is_empty() && *due <= now).collect();
        if due.is_empty() {
            return;
        }
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        for (name, _) in due {
            if !waiting.contains(name) {
                waiting.insert(name.clone());
            }
        }
        drop(waiting);
        self.wake.notify_one();
    }
}

impl Teller {
    async fn tell(&self, bus: &Bus, node: Uuid) {
        let channel: Arc<str> = CHANNEL.into();
        loop {
            self.wake.notified().await;
            let queues = std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
            if !queues.is_empty()
                && let Ok(text) = serde_json::to_vec(&Hint { node, queues })
            {
                bus.publish(&channel, text.into());
            }
            sleep(REST).await;
        }
    }
}

/// Starts telling and listening, where there is a Redis.
pub(super) fn start(app: &Arc<App>) {
    let Some(redis) = &app.redis else { return };
    let node: Uuid = app.ids.make();
    let teller = Arc::new(Teller { clock: Arc::clone(&app.clock), waiting: Mutex::default(), wake: Notify::new() });
    app.store.listen_for_jobs(Arc::clone(&teller) as Arc<dyn JobListener>);
    let bus = redis.bus.clone();
    app.lifecycle.spawn_until_drained("job hints", async move { teller.tell(&bus, node).await });
    if !app.config.jobs.enabled {
        return;
    }
    let (listening, bus) = (Arc::clone(app), redis.bus.clone());
    app.lifecycle.spawn_until_stopped("jobs of others", async move { listen(&listening, &bus, node).await });
}

async fn listen(app: &App, bus: &Bus, node: Uuid) {
    let mut hints = bus.subscribe(CHANNEL);
    // It ends with the bus only, which ends with the process.
    while let Some(event) = hints.next().await {
        // Until the worker has begun there is nobody to tell; it begins by looking.
        let Some(worker) = app.worker.get() else { continue };
        match event {
            // What was promised while nothing was heard.
            Event::Connected => worker.hint(&[]),
            Event::Lost => {}
            Event::Message(text) => match serde_json::from_slice::<Hint>(&text) {
                Ok(hint) if hint.node == node || hint.queues.is_empty() => {}
                Ok(hint) => {
                    let queues: Vec<String> = hint.queues.into_iter().take(MOST_NAMES).collect();
                    worker.hint(&queues);
                }
                Err(error) => {
                    tracing::warn!(%error, "a hint of another node cannot be read; is its version another?");
                }
            },
        }
    }
    std::future::pending().await
}
