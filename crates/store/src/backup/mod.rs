//! Backups: reading the whole database as it was at one moment while others write, and writing such a copy into an empty one.
//!
//! On SQLite a copy is the file, which the engine itself writes anew (`VACUUM INTO`). On PostgreSQL it is the rows of every
//! table in the text form of COPY, read in one transaction; the tables themselves are made by the migrations that this program
//! has inside. So a copy can be restored into another major version of PostgreSQL, and neither side needs a tool.

pub(crate) mod catalogue;
mod postgres;
pub(crate) mod restoration;
pub(crate) mod snapshot;
mod sqlite;

pub(crate) use postgres::owner_reads;

/// A migration as a backup knows it: a copy is restored only by a program that has the same.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Applied {
    /// Its number.
    pub version: i64,
    /// The digest of its text.
    pub checksum: String,
}

/// Why a copy is not taken for good.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// A table, or the whole, has not as many rows as were read.
    #[error("{part} has {found} rows, and {wanted} were read into the backup")]
    Rows {
        /// Which part.
        part: String,
        /// How many were restored.
        found: u64,
        /// How many should have been.
        wanted: u64,
    },
    /// The engine itself says so.
    #[error("the database that came of it is damaged: {0}")]
    Integrity(String),
    /// The row that was written before the backup began is not in it.
    #[error("the canary is not in it: it is not a copy of the moment that it claims")]
    Canary,
    /// It is for the other engine.
    #[error("it is a backup of {0}, and the target is {1}")]
    Engine(String, &'static str),
    /// The schema is not known.
    #[error(
        "it was made by another version: it has migration {0}, which this program does not have. Restore it with the version \
         that made it, or a newer one"
    )]
    Newer(i64),
}

impl From<Damage> for crate::error::Error {
    fn from(damage: Damage) -> Self {
        Self::Corrupt(damage.to_string())
    }
}
