//! The inbox: who may send webhooks to an organisation, what has arrived, and the newest that was told of each thing.
//!
//! An event is a row that never changes, and a job with the same id, promised by the transaction that stored it. What
//! became of the event is where its job stands. The unique key of an event is the sender's own identity of it, so that one
//! that arrives again is found however many nodes are told of it at once.

pub(crate) mod counting;
pub(crate) mod listing;
pub(crate) mod receive;
pub(crate) mod sources;
pub(crate) mod subjects;
pub(crate) mod sweep;

use crate::batcher::Bounds;

/// The batches of the inbox. They are large, because a sender's burst is one organisation's; how many bytes wait is bounded
/// by whoever hands them in. One lane: the next batch fills while one is being committed.
pub(crate) const INBOX: Bounds = Bounds { lanes: 1, size: 1_000, size_per_tenant: 500, queue: 20_000 };

#[cfg(test)]
pub(crate) const ALL_STATEMENTS: &[&[crate::sql::Sql]] = &[
    counting::STATEMENTS,
    listing::STATEMENTS,
    receive::STATEMENTS,
    sources::STATEMENTS,
    subjects::STATEMENTS,
    sweep::STATEMENTS,
];
