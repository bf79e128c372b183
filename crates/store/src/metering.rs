//! Money-like limits: what was used is counted in the transaction that uses it, and what work may cost is set aside before
//! it begins.
//!
//! [`ledger`] counts. [`admission`] decides, with the counters locked and the plan and the budgets read in the same
//! transaction, so that nobody gets past a limit by asking at the same moment. [`reservation`] holds what is set aside: a row
//! that whoever settles it deletes, so that it is settled once; what nobody settles is swept, which counts all of it as
//! spent, and is corrected should somebody settle it after all.
//!
//! Always true, for each person and each organisation in each month: `reserved_micros` is the sum of their open
//! reservations, and the other counters are the sums of what was posted.

pub(crate) mod admission;
pub(crate) mod ledger;
pub(crate) mod plans;
pub(crate) mod reading;
pub(crate) mod reservation;

#[cfg(test)]
use crate::sql::Sql;

/// The statements of this module.
#[cfg(test)]
pub(crate) const STATEMENTS: &[&[Sql]] =
    &[admission::STATEMENTS, ledger::STATEMENTS, plans::STATEMENTS, reading::STATEMENTS, reservation::STATEMENTS];
