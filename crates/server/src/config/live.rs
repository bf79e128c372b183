//! The section `[live]`.

use serde::{Deserialize, Serialize};

use super::rules::durations;
use super::schema::Bound;

pub(super) const BOUNDS: &[Bound] = &[
    ("live.sockets_per_person", 1, 1_000),
    ("live.connects_per_second", 1, 100_000),
    ("live.readers", 1, 64),
    ("live.safety_sync_seconds", 1, 86_400),
];

/// Live updates.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Live {
    /// The most sockets that one member of an organisation has open on a node.
    pub sockets_per_person: usize,
    /// Sockets that are let in each second. Past it clients are told when to come back.
    pub connects_per_second: u32,
    /// Streams that are read at the same time for those who follow them.
    pub readers: usize,
    /// How often a connected client syncs all the same, in seconds.
    pub safety_sync_seconds: u64,
}

durations!(Live { safety_sync: from_secs(safety_sync_seconds) });
