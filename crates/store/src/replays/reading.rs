//! Looking at recordings, across organisations.

use mainstay_domain::{PersonId, TenantId, Timestamp};
use uuid::Uuid;

use crate::calls::access::{Reading, note};
use crate::error::Result;
use crate::intent::Intent;
use crate::sql::statements;
use crate::tx::{Scope, Tx};
use crate::value::{At, END_OF_TIME, Place};

statements! {
    LIST = both("
        SELECT id, tenant_id, person_id, page, version, reason, begun_at, last_at, first_ms, last_ms, chunks, bytes, errors
        FROM replay WHERE (begun_at, id) < ($1, $2) ORDER BY begun_at DESC, id DESC LIMIT $3");
    WITH_ERRORS = both("
        SELECT id, tenant_id, person_id, page, version, reason, begun_at, last_at, first_ms, last_ms, chunks, bytes, errors
        FROM replay WHERE errors > 0 AND (begun_at, id) < ($1, $2) ORDER BY begun_at DESC, id DESC LIMIT $3");
    FIND = both("SELECT id, tenant_id FROM replay WHERE id = $1 LIMIT 1");
    ONE = both("
        SELECT id, tenant_id, person_id, page, version, reason, begun_at, last_at, first_ms, last_ms, chunks, bytes, errors
        FROM replay WHERE id = $1 AND tenant_id = $2");
    EVENTS = both("SELECT events FROM replay_chunk WHERE tenant_id = $1 AND replay_id = $2 ORDER BY number LIMIT $3");
}

/// What is known of a recording without looking at it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptReplay {
    /// Its id.
    pub id: Uuid,
    /// Whose browser: the organisation.
    pub tenant: TenantId,
    /// Whose browser: the person.
    pub person: PersonId,
    /// On which page.
    pub page: String,
    /// Of which version of the program the page was.
    pub version: String,
    /// Why it was sent: `sampled` or `error`.
    pub reason: String,
    /// When its first chunk came.
    pub begun_at: Timestamp,
    /// When its last chunk came.
    pub last_at: Timestamp,
    /// The first and the last moment in it, in milliseconds by the clock of the browser.
    pub span: (i64, i64),
    /// How many chunks it has.
    pub chunks: i64,
    /// How many bytes its events have.
    pub bytes: i64,
    /// How many errors are in it.
    pub errors: i64,
}

#[derive(sqlx::FromRow)]
struct ReplayRow {
    id: Uuid,
    tenant_id: Uuid,
    person_id: Uuid,
    page: String,
    version: String,
    reason: String,
    begun_at: At,
    last_at: At,
    first_ms: i64,
    last_ms: i64,
    chunks: i64,
    bytes: i64,
    errors: i64,
}

impl From<ReplayRow> for KeptReplay {
    fn from(row: ReplayRow) -> Self {
        Self {
            id: row.id,
            tenant: TenantId(row.tenant_id),
            person: PersonId(row.person_id),
            page: row.page,
            version: row.version,
            reason: row.reason,
            begun_at: row.begun_at.0,
            last_at: row.last_at.0,
            span: (row.first_ms, row.last_ms),
            chunks: row.chunks,
            bytes: row.bytes,
            errors: row.errors,
        }
    }
}

/// Lists recordings of all organisations, the last first.
#[derive(Clone, Copy, Debug)]
pub struct ListReplays {
    /// Those before this one.
    pub before: Option<(Timestamp, Uuid)>,
    /// Only those with errors.
    pub with_errors: bool,
    /// At most so many.
    pub limit: u32,
}

impl Intent for ListReplays {
    type Output = Vec<KeptReplay>;
    const WRITES: bool = false;
    const ONE_STATEMENT: bool = true;

    fn scope(&self) -> Scope {
        Scope::System
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Vec<KeptReplay>> {
        let (at, id) = self.before.unwrap_or((END_OF_TIME, Uuid::max()));
        let list = tx.query(if self.with_errors { WITH_ERRORS } else { LIST });
        let rows = list.bind(At(at)).bind(id).bind(i64::from(self.limit)).rows::<ReplayRow>().await?;
        Ok(rows.into_iter().map(KeptReplay::from).collect())
    }
}

/// Finds out of which organisation a recording is.
#[derive(Clone, Copy, Debug)]
pub struct FindReplay(pub Uuid);

impl Intent for FindReplay {
    type Output = Option<TenantId>;
    const WRITES: bool = false;
    const ONE_STATEMENT: bool = true;

    fn scope(&self) -> Scope {
        Scope::System
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Option<TenantId>> {
        let found = tx.query(FIND).bind(self.0).row::<Place>().await?;
        Ok(found.map(|place| TenantId(place.tenant_id)))
    }
}

/// Reads a recording with its events, and notes in the access log of its organisation who did.
#[derive(Clone, Copy, Debug)]
pub struct ReadReplay {
    /// The organisation.
    pub tenant: TenantId,
    /// Which.
    pub id: Uuid,
    /// At most so many chunks.
    pub chunks: u32,
    /// Who reads.
    pub reading: Reading,
}

#[derive(sqlx::FromRow)]
struct Events {
    events: String,
}

impl Intent for ReadReplay {
    type Output = Option<(KeptReplay, Vec<String>)>;
    const WRITES: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output> {
        let tenant = self.tenant.uuid();
        let one = tx.query(ONE).bind(self.id).bind(tenant).row::<ReplayRow>().await?;
        let Some(replay) = one.map(KeptReplay::from) else { return Ok(None) };
        note(tx, self.tenant, self.reading, ("replay", Some(self.id))).await?;
        let chunks = tx.query(EVENTS).bind(tenant).bind(self.id).bind(i64::from(self.chunks));
        let chunks = chunks.rows::<Events>().await?;
        Ok(Some((replay, chunks.into_iter().map(|chunk| chunk.events).collect())))
    }
}
