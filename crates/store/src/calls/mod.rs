//! Calls: what happened in them, what the agent did, and what callers want somebody to know; and who has read of it.
//!
//! Events of a call arrive in any order, some twice. [`PhoneCall::hear`](mainstay_domain::PhoneCall::hear) takes them in so
//! that the end is the same; here the row is locked around it.

pub(crate) mod access;
pub(crate) mod actions;
pub(crate) mod agent;
pub(crate) mod hearing;
pub(crate) mod listing;
pub(crate) mod messages;
pub(crate) mod newest;
mod row;
pub(crate) mod search;

#[cfg(test)]
pub(crate) const ALL_STATEMENTS: &[&[crate::sql::Sql]] = &[
    access::STATEMENTS,
    actions::STATEMENTS,
    agent::STATEMENTS,
    hearing::STATEMENTS,
    listing::STATEMENTS,
    messages::STATEMENTS,
    newest::STATEMENTS,
    search::STATEMENTS,
];
