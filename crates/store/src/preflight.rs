//! What is so on the side of the database before a new version is deployed to it. Nothing is changed, and the schema need not
//! be that of this program.

use mainstay_domain::Timestamp;
use sqlx::{ConnectOptions as _, Connection as _, PgConnection, Row as _, SqliteConnection};

use crate::engine::postgres::options;
use crate::engine::room::{self, Room};
use crate::engine::sqlite;
use crate::error::Result;
use crate::store::Options;
use crate::value::{At, moment};

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

/// When something was done last; nothing when it never was, or before the migration that makes its table.
macro_rules! last {
    ($connection:expr, $sql:expr) => {{
        let row = sqlx::query($sql).fetch_optional(&mut *$connection).await.ok().flatten();
        moment(row.and_then(|row| row.try_get::<Option<At>, _>("at").ok().flatten()))
    }};
}

impl DatabaseSeen {
    /// Looks.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub async fn look(of: &Options) -> Result<Self> {
        match of.sqlite_path() {
            Some(path) => {
                let mut connection = sqlite::options(&path).connect().await?;
                let seen = look_at_sqlite(&mut connection).await;
                sqlite::close(connection).await;
                seen
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
}

async fn look_at_sqlite(connection: &mut SqliteConnection) -> Result<DatabaseSeen> {
    let row = sqlx::query("SELECT sqlite_version() AS version").fetch_one(&mut *connection).await?;
    Ok(DatabaseSeen {
        version: row.try_get("version")?,
        version_number: None,
        room: None,
        clock: None,
        backup: last!(connection, LAST_BACKUP),
        drill: last!(connection, LAST_DRILL),
    })
}

async fn look_at_postgres(connection: &mut PgConnection, pooler: bool) -> Result<DatabaseSeen> {
    let row = sqlx::query(
        "SELECT current_setting('server_version') AS version, current_setting('server_version_num')::int AS number,
                clock_timestamp() AS clock",
    );
    let row = row.fetch_one(&mut *connection).await?;
    Ok(DatabaseSeen {
        version: row.try_get("version")?,
        version_number: Some(row.try_get("number")?),
        room: if pooler { None } else { Some(room::read(connection).await?) },
        clock: Some(row.try_get::<At, _>("clock")?.0),
        backup: last!(connection, LAST_BACKUP),
        drill: last!(connection, LAST_DRILL),
    })
}
