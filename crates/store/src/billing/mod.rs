//! What organisations pay for, as the provider of billing tells it: subscriptions, the plan that follows from them, why it
//! changed, and invoices.
//!
//! [`apply`] takes in an event or the passing of time. [`organisation`] changes the plan, whoever says so: the row syncs, the
//! nodes are told, and the history says why, all in the transaction of the cause.

pub(crate) mod apply;
pub(crate) mod invoices;
pub(crate) mod organisation;
pub(crate) mod reading;

#[cfg(test)]
pub(crate) const ALL_STATEMENTS: &[&[crate::sql::Sql]] =
    &[apply::STATEMENTS, invoices::STATEMENTS, organisation::STATEMENTS, reading::STATEMENTS];
