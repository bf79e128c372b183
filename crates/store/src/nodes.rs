//! What a node looks at to know whether it is alone, and whether somebody wrote beside the nodes.

use mainstay_domain::{StreamId, TenantId, Timestamp};
use serde::Serialize;
use uuid::Uuid;

use crate::error::Result;
use crate::intent::Intent;
use crate::sql::statements;
use crate::stream::{Position, PositionRow};
use crate::tx::{Scope, Tx};
use crate::value::At;

statements! {
    /// The counters first: one without a name, and that of definitions, whose name is before those of nodes.
    WATCH = both("
        SELECT '' AS name, coalesce((SELECT value FROM counter WHERE name = 'outside'), 0) AS number
        UNION ALL SELECT 'flags', coalesce((SELECT value FROM counter WHERE name = 'flags'), 0)
        UNION ALL SELECT l.name, l.number FROM lease l WHERE l.name >= $1 AND l.name < $2 AND l.expires_at > $3
        ORDER BY 1 LIMIT 1002");
    POSITIONS = batch((tenant_id: uuid, stream_id: uuid) "
        SELECT s.tenant_id, s.stream_id, s.head, s.epoch, s.floor, s.live_rows, s.live_sum
        FROM batch b JOIN stream s ON s.stream_id = b.stream_id AND s.tenant_id = b.tenant_id");
}

/// Which nodes there are, and how often somebody wrote beside them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watched {
    /// Counts changes of synced rows by processes that serve nobody.
    pub outside: i64,
    /// Counts changes of flags and experiments.
    pub flags: i64,
    /// The names and numbers of the leases that are held.
    pub leases: Vec<(String, i64)>,
}

/// Looks at the leases of nodes and at the counter of outside writes.
#[derive(Clone, Copy, Debug)]
pub struct WatchNodes {
    /// How the names of the leases begin.
    pub prefix: &'static str,
    /// The present moment.
    pub now: Timestamp,
}

#[derive(sqlx::FromRow)]
struct WatchRow {
    name: String,
    number: i64,
}

impl Intent for WatchNodes {
    type Output = Watched;
    const WRITES: bool = false;
    const ONE_STATEMENT: bool = true;

    fn scope(&self) -> Scope {
        Scope::System
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Watched> {
        let end = crate::lease::after(self.prefix);
        let rows: Vec<WatchRow> = tx.query(WATCH).bind(self.prefix).bind(end).bind(At(self.now)).rows().await?;
        let (counters, leases): (Vec<_>, Vec<_>) = rows.into_iter().partition(|row| !row.name.starts_with(self.prefix));
        let counter = |name: &str| counters.iter().find(|row| row.name == name).map_or(0, |row| row.number);
        let (outside, flags) = (counter(""), counter("flags"));
        Ok(Watched { outside, flags, leases: leases.into_iter().map(|row| (row.name, row.number)).collect() })
    }
}

/// Reads where many streams stand, across organisations: for a node that is not told of what the others write.
#[derive(Clone, Debug)]
pub struct PositionsOf(pub Vec<(TenantId, StreamId)>);

#[derive(Serialize)]
struct StreamKey {
    tenant_id: Uuid,
    stream_id: Uuid,
}

impl Intent for PositionsOf {
    type Output = Vec<Position>;
    const WRITES: bool = false;
    const ONE_STATEMENT: bool = true;

    fn scope(&self) -> Scope {
        Scope::System
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Vec<Position>> {
        let keys: Vec<_> = self
            .0
            .iter()
            .map(|(tenant, stream)| StreamKey { tenant_id: tenant.uuid(), stream_id: stream.uuid() })
            .collect();
        let rows: Vec<PositionRow> = tx.batch(POSITIONS, &keys).rows().await?;
        Ok(rows.into_iter().map(Position::from).collect())
    }
}
