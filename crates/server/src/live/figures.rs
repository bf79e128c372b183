//! What `/metrics` says of sync and of live updates.

use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::registry::Registry;

use super::Hub;
use crate::nodes::Nodes;
use crate::ops::metrics::{counter, gauge};
use crate::sync::heads::Heads;
use crate::sync::pacing::Pacing;

struct Read {
    hub: Arc<Hub>,
    heads: Arc<Heads>,
    pacing: Arc<Pacing>,
    nodes: Arc<Nodes>,
}

impl fmt::Debug for Read {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Read")
    }
}

/// Adds them.
pub fn register(registry: &mut Registry, hub: &Arc<Hub>, heads: &Arc<Heads>, pacing: &Arc<Pacing>, nodes: &Arc<Nodes>) {
    let (hub, heads) = (Arc::clone(hub), Arc::clone(heads));
    let (pacing, nodes) = (Arc::clone(pacing), Arc::clone(nodes));
    registry.register_collector(Box::new(Read { hub, heads, pacing, nodes }));
}

impl Collector for Read {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let encoder = &mut encoder;
        gauge(encoder, "live_sockets", "Sockets that are open", self.hub.open_sockets())?;
        gauge(encoder, "live_streams_waiting", "Streams that wait to be read for sockets", self.hub.waiting_streams())?;
        let [opened, refused, pushed, resyncs, readings] = self.hub.figures();
        counter(encoder, "live_sockets_opened", "Sockets that were opened", opened)?;
        counter(encoder, "live_sockets_refused", "Attempts to open a socket that were refused", refused)?;
        counter(encoder, "live_changes_pushed", "Changes that were given to sockets", pushed)?;
        counter(encoder, "live_resyncs", "Times that a slow socket was told to sync", resyncs)?;
        counter(encoder, "live_readings", "Readings of streams for sockets", readings)?;
        let (from_memory, asked) = self.heads.figures();
        counter(encoder, "sync_heads_known", "Times that the memory knew where streams stand", from_memory)?;
        counter(encoder, "sync_heads_asked", "Times that it did not, and the database was asked", asked)?;
        gauge(encoder, "sync_heads_kept", "Streams whose position is kept in memory", self.heads.len())?;
        gauge(
            encoder,
            "sync_stretch",
            "By how much the intervals of sync are stretched",
            self.pacing.stretch() as usize,
        )?;
        let overfull = u64::from(self.pacing.overfull());
        counter(encoder, "sync_cohorts_overfull", "Clients that found no place in a cohort", overfull)?;
        gauge(encoder, "nodes", "Nodes that serve, as this one sees them", self.nodes.count().get())?;
        let help = "1 while this node knows of every commit, and may answer from memory";
        gauge(encoder, "nodes_certain", help, usize::from(self.nodes.certain()))
    }
}
