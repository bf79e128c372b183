//! The whole database as it was at one moment, part by part.

use std::path::PathBuf;

use bytes::Bytes;
use futures_util::stream::BoxStream;

use super::{Applied, postgres, sqlite};
use crate::error::Result;
use crate::migrate::Migrator;
use crate::store::Options;

/// A part of a copy: the file on SQLite, a table on PostgreSQL.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Part {
    /// What it is called: a table, or `database`.
    pub name: String,
    /// The columns in the order of the text; none on SQLite.
    pub columns: Vec<String>,
}

enum Engine {
    Sqlite(sqlite::Copy),
    Postgres(Box<postgres::Reading>),
}

/// The database as it was at one moment. It is read once, and gone with the value.
pub struct Snapshot {
    engine: Engine,
    /// What was applied to the schema.
    pub schema: Vec<Applied>,
    /// The parts, in an order in which they can be restored.
    pub parts: Vec<Part>,
}

impl std::fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Snapshot({} parts)", self.parts.len())
    }
}

impl Snapshot {
    /// Holds the moment. On SQLite the whole copy is written to `scratch` first, which needs as much room as the database;
    /// while that runs, the write-ahead log grows. On PostgreSQL nothing is written, and a transaction stays open for as long
    /// as the value lives.
    ///
    /// # Errors
    /// When the schema is not that of this program, the database cannot be read, or the disk is full.
    pub async fn hold(options: &Options, scratch: PathBuf) -> Result<Self> {
        let schema = Migrator::open(options).await?.applied().await?;
        if let Some(path) = options.sqlite_path() {
            let copy = sqlite::Copy::of(&path, scratch).await?;
            let parts = vec![Part { name: sqlite::PART.to_owned(), columns: Vec::new() }];
            return Ok(Self { engine: Engine::Sqlite(copy), schema, parts });
        }
        let mut reading = postgres::Reading::begin(&options.url).await?;
        let parts = reading.parts().await?;
        Ok(Self { engine: Engine::Postgres(Box::new(reading)), schema, parts })
    }

    /// Reads a part, some tens of KiB at a time.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn read(&mut self, part: &Part) -> Result<BoxStream<'_, Result<Bytes>>> {
        match &mut self.engine {
            Engine::Sqlite(copy) => copy.read().await,
            Engine::Postgres(reading) => reading.read(part).await,
        }
    }

    /// How many rows were read so far; 0 on SQLite, where they are counted by [`Self::rows`].
    #[must_use]
    pub fn rows_read(&self) -> u64 {
        match &self.engine {
            Engine::Sqlite(_) => 0,
            Engine::Postgres(reading) => reading.rows(),
        }
    }

    /// How many rows there are in all. On SQLite they are counted here.
    ///
    /// # Errors
    /// When they cannot be counted.
    pub async fn rows(&mut self) -> Result<u64> {
        match &mut self.engine {
            Engine::Sqlite(copy) => copy.rows().await,
            Engine::Postgres(reading) => Ok(reading.rows()),
        }
    }
}
