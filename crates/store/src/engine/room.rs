//! How many connections a PostgreSQL server allows, and how many others use.

use sqlx::{PgConnection, Row};

use crate::error::Result;

/// The server's own limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// `max_connections`, or what this database or this role may have, if that is less.
    pub most: usize,
    /// What of `max_connections` is kept for superusers and for reserved roles.
    pub reserved: usize,
    /// Connections of others than Mainstay at this moment.
    pub others: usize,
}

impl Room {
    /// What there is for everybody without privileges.
    #[must_use]
    pub fn usable(&self) -> usize {
        self.most.saturating_sub(self.reserved)
    }
}

pub(crate) async fn read(connection: &mut PgConnection) -> Result<Room> {
    // `reserved_connections` is there since version 16. Limits of a database or a role do not keep any back.
    let row = sqlx::raw_sql(
        "SELECT current_setting('max_connections')::int AS most,
                current_setting('superuser_reserved_connections')::int
                    + coalesce(nullif(current_setting('reserved_connections', true), '')::int, 0) AS reserved,
                (SELECT datconnlimit FROM pg_database WHERE datname = current_database()) AS of_database,
                (SELECT rolconnlimit FROM pg_roles WHERE rolname = session_user) AS of_role,
                (SELECT count(*)::int FROM pg_stat_activity
                 WHERE datid IS NOT NULL AND coalesce(application_name, '') NOT LIKE 'mainstay%') AS others",
    )
    .fetch_one(connection)
    .await?;
    let count = |name: &str| row.try_get::<i32, _>(name).map(|number| usize::try_from(number).ok());
    let (most, reserved) = (count("most")?.unwrap_or(0), count("reserved")?.unwrap_or(0));
    let usable = [count("of_database")?, count("of_role")?].into_iter().flatten().min();
    let others = count("others")?.unwrap_or(0);
    Ok(match usable {
        Some(own) if own < most.saturating_sub(reserved) => Room { most: own, reserved: 0, others: 0 },
        _ => Room { most, reserved, others },
    })
}
