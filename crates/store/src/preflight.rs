//! What is so on the side of the database before a new version is deployed to it. Nothing is changed, and the schema need not
//! be that of this program.

use mainstay_domain::Timestamp;
use sqlx::{ConnectOptions as _, Connection as _, PgConnection, Row as _};

use crate::engine::postgres::options;
use crate::engine::room::{self, Room};
use crate::engine::sqlite;
use crate::error::Result;
use crate::store::Options;
use crate::value::At;

/// What was seen.
#[derive(Clone, Debug)]
pub struct DatabaseSeen {
    /// The version of the engine, as it says it.
    pub version: String,
    /// The same as a number, on PostgreSQL: 150003 for 15.3.
    pub version_number: Option<i32>,
    /// Connections that the server allows, on PostgreSQL.
    pub room: Option<Room>,
    /// The server's clock, on PostgreSQL.
    pub clock: Option<Timestamp>,
    /// When the newest backup that is whole began.
    pub backup: Option<Timestamp>,
    /// When a backup was last restored for trial, and that passed.
    pub drill: Option<Timestamp>,
}

const LAST_BACKUP: &str = "SELECT max(started_at) AS at FROM backup WHERE state = 'complete'";
const LAST_DRILL: &str = "SELECT max(at) AS at FROM restore_drill WHERE passed";

impl DatabaseSeen {
    /// Looks.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub async fn look(of: &Options) -> Result<Self> {
        match of.sqlite_path() {
            Some(path) => {
                let mut connection = sqlite::options(&path).connect().await?;
                let row = sqlx::query("SELECT sqlite_version() AS version").fetch_one(&mut connection).await?;
                let mut seen = Self::new(row.try_get("version")?);
                // Before the migration that makes them there are none.
                let last = sqlx::query(LAST_BACKUP).fetch_optional(&mut connection).await.ok().flatten();
                seen.backup = last.and_then(|row| row.try_get::<Option<At>, _>("at").ok().flatten()).map(|at| at.0);
                let last = sqlx::query(LAST_DRILL).fetch_optional(&mut connection).await.ok().flatten();
                seen.drill = last.and_then(|row| row.try_get::<Option<At>, _>("at").ok().flatten()).map(|at| at.0);
                sqlite::close(connection).await;
                Ok(seen)
            }
            None => {
                let mut connection = options(&of.url)?.connect().await?;
                let seen = look_at_postgres(&mut connection, of.transaction_pooler).await;
                // Closing politely is not worth failing for.
                let _ = connection.close().await;
                seen
            }
        }
    }

    const fn new(version: String) -> Self {
        Self { version, version_number: None, room: None, clock: None, backup: None, drill: None }
    }
}

async fn look_at_postgres(connection: &mut PgConnection, pooler: bool) -> Result<DatabaseSeen> {
    let row = sqlx::query(
        "SELECT current_setting('server_version') AS version, current_setting('server_version_num')::int AS number,
                clock_timestamp() AS clock",
    );
    let row = row.fetch_one(&mut *connection).await?;
    let mut seen = DatabaseSeen::new(row.try_get("version")?);
    seen.version_number = Some(row.try_get("number")?);
    seen.clock = Some(row.try_get::<At, _>("clock")?.0);
    seen.room = if pooler { None } else { Some(room::read(connection).await?) };
    let last = sqlx::query(LAST_BACKUP).fetch_optional(&mut *connection).await.ok().flatten();
    seen.backup = last.and_then(|row| row.try_get::<Option<At>, _>("at").ok().flatten()).map(|at| at.0);
    let last = sqlx::query(LAST_DRILL).fetch_optional(&mut *connection).await.ok().flatten();
    seen.drill = last.and_then(|row| row.try_get::<Option<At>, _>("at").ok().flatten()).map(|at| at.0);
    Ok(seen)
}
