//! Telling the other nodes of commits, and hearing theirs, through Redis.
//!
//! A message has the name of the node's lease, a number that grows by one, and where streams stand: never a change. Once a
//! second a node that has nothing to tell sends one without streams, so that its silence can be told from its end.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use mainstay_domain::{StreamId, TenantId};
use mainstay_store::Position;
use serde::{Deserialize, Serialize};
use tokio::time::{MissedTickBehavior, interval};
use uuid::Uuid;

use crate::app::App;
use crate::nodes::{Heard, Nodes};
use crate::redis::{Bus, Event};

/// The channel that all nodes of an installation listen to.
const CHANNEL: &str = "mainstay:commits";
/// How often a node gives a sign of life.
const SIGN_OF_LIFE: Duration = Duration::from_secs(1);

#[derive(Serialize, Deserialize)]
struct Hint {
    node: String,
    number: u64,
    /// Tenant, stream, epoch, head, floor, live rows, their sum.
    streams: Vec<(Uuid, Uuid, i64, i64, i64, i64, i64)>,
    /// Organisations of which a commit was not confirmed; all when none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    doubtful: Option<Vec<Uuid>>,
}

/// Tells the other nodes where streams stand.
struct Teller {
    nodes: Arc<Nodes>,
    bus: Bus,
    channel: Arc<str>,
    /// Numbers are given and sent in one order.
    number: Mutex<u64>,
}

impl Teller {
    fn tell(&self, positions: &[Position], doubtful: Option<&[TenantId]>) {
        let node = self.nodes.own();
        // Who has no lease yet is known to nobody: the others ask the database until they hear of this node.
        if node.is_empty() {
            return;
        }
        let streams = positions
            .iter()
            .map(|at| (at.tenant.uuid(), at.stream.uuid(), at.epoch, at.head, at.floor, at.live_rows, at.live_sum))
            .collect();
        let doubtful = doubtful.map(|tenants| tenants.iter().map(|tenant| tenant.uuid()).collect());
        let mut number = self.number.lock().unwrap_or_else(PoisonError::into_inner);
        *number += 1;
        if let Ok(text) = serde_json::to_vec(&Hint { node, number: *number, streams, doubtful }) {
            self.bus.publish(&self.channel, text.into());
        }
    }
}

/// Starts telling and listening, where there is a Redis.
pub(super) fn start(app: &Arc<App>) {
    let Some(redis) = &app.redis else { return };
    let teller = Arc::new(Teller {
        nodes: Arc::clone(&app.nodes),
        bus: redis.bus.clone(),
        channel: CHANNEL.into(),
        number: Mutex::new(0),
    });
    let telling = Arc::clone(&teller);
    app.hub.announce_by(Box::new(move |positions, doubtful| telling.tell(positions, doubtful)));
    app.lifecycle.spawn_until_drained("signs of life", async move {
        let mut ticks = interval(SIGN_OF_LIFE);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            teller.tell(&[], None);
        }
    });
    let listening = Arc::clone(app);
    let bus = redis.bus.clone();
    app.lifecycle.spawn_until_drained("commits of others", async move { listen(&listening, &bus).await });
}

async fn listen(app: &App, bus: &Bus) {
    let mut commits = bus.subscribe(CHANNEL);
    // It ends with the bus only, which ends with the process.
    while let Some(event) = commits.next().await {
        match event {
            Event::Connected => {}
            Event::Lost => {
                app.nodes.deaf();
                app.sync.heads.forget_all();
            }
            Event::Message(text) => match serde_json::from_slice::<Hint>(&text) {
                Ok(hint) => hear(app, &hint).await,
                Err(error) => {
                    tracing::warn!(%error, "a message of another node cannot be read; is its version another?")
                }
            },
        }
    }
    std::future::pending().await
}

async fn hear(app: &App, hint: &Hint) {
    let positions: Vec<Position> = hint
        .streams
        .iter()
        .map(|(tenant, stream, epoch, head, floor, live_rows, live_sum)| Position {
            tenant: TenantId(*tenant),
            stream: StreamId(*stream),
            epoch: *epoch,
            head: *head,
            floor: *floor,
            live_rows: *live_rows,
            live_sum: *live_sum,
        })
        .collect();
    if app.nodes.heard(&hint.node, hint.number) == Heard::Missed {
        super::running::missed(app).await;
    }
    if let Some(doubtful) = &hint.doubtful {
        let tenants: Vec<_> = doubtful.iter().map(|tenant| TenantId(*tenant)).collect();
        app.sync.heads.unconfirmed(&tenants);
        app.hub.doubt(&tenants);
    }
    app.sync.heads.committed(&positions);
    app.hub.moved(&positions);
}
