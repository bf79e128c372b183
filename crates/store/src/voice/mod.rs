//! Voice sessions: places that hold over all nodes, what each session was and cost, and replies that were cut to what was
//! heard.

pub(crate) mod cutting;
pub(crate) mod places;
pub(crate) mod sessions;

#[cfg(test)]
use crate::sql::Sql;

/// The statements of this folder.
#[cfg(test)]
pub(crate) const ALL_STATEMENTS: &[&[Sql]] = &[cutting::STATEMENTS, places::STATEMENTS, sessions::STATEMENTS];
