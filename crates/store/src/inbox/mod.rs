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

#[cfg(test)]
pub(crate) const ALL_STATEMENTS: &[&[crate::sql::Sql]] = &[
    counting::STATEMENTS,
    listing::STATEMENTS,
    receive::STATEMENTS,
    sources::STATEMENTS,
    subjects::STATEMENTS,
    sweep::STATEMENTS,
];
