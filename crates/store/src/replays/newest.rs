//! What the newest recordings hold, and how many are kept for too long: for whoever audits.

use mainstay_domain::{TenantId, Timestamp};
use uuid::Uuid;

use crate::error::Result;
use crate::intent::Intent;
use crate::sql::statements;
use crate::tx::{Scope, Tx};
use crate::value::{At, END_OF_TIME, unsigned};

statements! {
    /// The first chunk has the whole page in it.
    NEWEST = both("
        SELECT c.replay_id AS id, c.tenant_id, c.events FROM (
          SELECT id, tenant_id FROM replay WHERE begun_at < $1 ORDER BY begun_at DESC, id DESC LIMIT 10) w
        JOIN replay_chunk c ON c.tenant_id = w.tenant_id AND c.replay_id = w.id AND c.number = 0");
    OVERDUE = both("SELECT count(*) AS overdue FROM (SELECT 1 AS one FROM replay WHERE last_at < $1 LIMIT 1000) w");
}

/// The first chunk of a recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FirstChunk {
    /// Of which.
    pub id: Uuid,
    /// Whose.
    pub tenant: TenantId,
    /// Its events.
    pub events: String,
}

/// Reads the first chunks of the newest ten recordings, and how many there are that have grown last before a moment, at most a
/// thousand.
#[derive(Clone, Copy, Debug)]
pub struct AuditReplays(pub Timestamp);

#[derive(sqlx::FromRow)]
struct ChunkRow {
    id: Uuid,
    tenant_id: Uuid,
    events: String,
}

#[derive(sqlx::FromRow)]
struct Overdue {
    overdue: i64,
}

impl Intent for AuditReplays {
    type Output = (Vec<FirstChunk>, u64);
    const WRITES: bool = false;

    fn scope(&self) -> Scope {
        Scope::System
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output> {
        let rows: Vec<ChunkRow> = tx.query(NEWEST).bind(At(END_OF_TIME)).rows().await?;
        let overdue = tx.query(OVERDUE).bind(At(self.0)).row::<Overdue>().await?;
        let chunk = |row: ChunkRow| FirstChunk { id: row.id, tenant: TenantId(row.tenant_id), events: row.events };
        Ok((rows.into_iter().map(chunk).collect(), overdue.map_or(0, |row| unsigned(row.overdue))))
    }
}
