//! What was said in the newest calls of all organisations, and what they want masked in it: for whoever audits.

use mainstay_domain::{CallMask, PhoneCallId, TenantId, Timestamp};
use uuid::Uuid;

use crate::error::Result;
use crate::intent::Intent;
use crate::sql::statements;
use crate::tx::{Scope, Tx};
use crate::value::{At, moment};

statements! {
    /// The ids of calls are in the order of time. So many are named here, and how they are masked is looked up for each, so
    /// that PostgreSQL knows that there are few and reads no table whole.
    NEWEST = both("
        SELECT w.id, w.tenant_id, w.summary, w.transcript, w.reported_at,
          (SELECT a.mask FROM phone_agent a WHERE a.tenant_id = w.tenant_id) AS mask,
          (SELECT a.updated_at FROM phone_agent a WHERE a.tenant_id = w.tenant_id) AS told_at FROM (
          SELECT id, tenant_id, summary, transcript, reported_at FROM phone_call WHERE id < $1 ORDER BY id DESC LIMIT 20) w
        ORDER BY w.id DESC");
}

/// How many calls are read at once: what was said in one may be long.
pub const NEWEST_CALLS: usize = 20;

#[derive(sqlx::FromRow)]
struct NewestRow {
    id: Uuid,
    tenant_id: Uuid,
    summary: Option<String>,
    transcript: Option<String>,
    reported_at: Option<At>,
    mask: Option<String>,
    told_at: Option<At>,
}

/// Reads what was said in the newest calls, the last first, at most [`NEWEST_CALLS`].
#[derive(Clone, Copy, Debug)]
pub struct ReadNewestCalls {
    /// Those before this one.
    pub before: Option<PhoneCallId>,
}

/// What was said in a call.
#[derive(Clone, PartialEq, Eq)]
pub struct SaidInCall {
    /// Which.
    pub id: PhoneCallId,
    /// Whose.
    pub tenant: TenantId,
    /// In short.
    pub summary: Option<String>,
    /// All of it, as JSON.
    pub transcript: Option<String>,
    /// When that was told.
    pub reported_at: Option<Timestamp>,
    /// What the organisation wants masked, and since when it is sure that it does; what is usual where it has not said.
    pub mask: (CallMask, Option<Timestamp>),
}

impl std::fmt::Debug for SaidInCall {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SaidInCall({})", self.id)
    }
}

impl Intent for ReadNewestCalls {
    type Output = Vec<SaidInCall>;
    const WRITES: bool = false;
    const ONE_STATEMENT: bool = true;

    fn scope(&self) -> Scope {
        Scope::System
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output> {
        let before = self.before.map_or(Uuid::max(), PhoneCallId::uuid);
        let rows: Vec<NewestRow> = tx.query(NEWEST).bind(before).rows().await?;
        let said = |row: NewestRow| SaidInCall {
            id: PhoneCallId(row.id),
            tenant: TenantId(row.tenant_id),
            summary: row.summary,
            transcript: row.transcript,
            reported_at: moment(row.reported_at),
            mask: (row.mask.map_or_else(CallMask::default, |mask| CallMask::of_words(&mask)), moment(row.told_at)),
        };
        Ok(rows.into_iter().map(said).collect())
    }
}
