//! Secrets under keys: the columns that are sealed, which keys there are, and who needs them. The keys themselves are never
//! here; the store moves sealed texts about and cannot open one.

pub(crate) mod holders;
pub(crate) mod retiring;
pub(crate) mod sealed;
pub(crate) mod uses;
pub(crate) mod versions;

#[cfg(test)]
pub(crate) const ALL_STATEMENTS: &[&[crate::sql::Sql]] =
    &[holders::STATEMENTS, retiring::STATEMENTS, sealed::STATEMENTS, uses::STATEMENTS, versions::STATEMENTS];

use mainstay_domain::KeyVersion;

use crate::error::{Error, Result};

/// The number of a key as the database has it.
fn version(number: i64) -> Result<KeyVersion> {
    let version = u32::try_from(number).ok().and_then(KeyVersion::new);
    version.ok_or_else(|| Error::Corrupt(format!("a key has the number {number}")))
}

/// The number of a key for the database.
fn number(version: KeyVersion) -> i64 {
    i64::from(version.number())
}
