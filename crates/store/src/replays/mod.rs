//! Recordings of what pages of the console looked like, without what stood in them, of people who have agreed to it. They are
//! sent in chunks, kept for some days, and looked at by operators, which is noted.

mod consent;
mod housekeeping;
mod newest;
mod reading;

use mainstay_domain::{PersonId, TenantId, Timestamp};
use uuid::Uuid;

use crate::error::Result;
use crate::intent::Intent;
#[cfg(test)]
use crate::sql::Sql;
use crate::sql::statements;
use crate::tx::{Scope, Tx};
use crate::value::At;

pub use consent::{ForgetReplaysOf, GiveReplayConsent, ReadReplayConsent, WithdrawReplayConsent};
pub use housekeeping::{MeasureReplays, ReplayAmount};
pub use newest::{AuditReplays, FirstChunk};
pub use reading::{FindReplay, KeptReplay, ListReplays, ReadReplay};

#[cfg(test)]
pub(crate) const ALL_STATEMENTS: &[&[Sql]] =
    &[STATEMENTS, consent::STATEMENTS, housekeeping::STATEMENTS, newest::STATEMENTS, reading::STATEMENTS];

statements! {
    /// The row's lock lets one after the other what the browsers of one person send, and what takes the consent back.
    HOLD = both("
        UPDATE replay_consent SET begun = CASE WHEN day = $3 THEN begun ELSE 0 END, day = $3
        WHERE tenant_id = $1 AND person_id = $2 RETURNING begun");
    COUNT = both("UPDATE replay_consent SET begun = begun + 1 WHERE tenant_id = $1 AND person_id = $2");
    STANDS = both("
        SELECT person_id, chunks, bytes,
          (SELECT count(*) FROM replay_chunk c WHERE c.tenant_id = $2 AND c.replay_id = $1 AND c.number = $3) AS seen
        FROM replay WHERE id = $1 AND tenant_id = $2");
    BEGIN = both("
        INSERT INTO replay
          (id, tenant_id, person_id, page, version, reason, begun_at, last_at, first_ms, last_ms, chunks, bytes, errors)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $7, $8, $9, 0, 0, 0)");
    KEEP = both("INSERT INTO replay_chunk (tenant_id, replay_id, number, events) VALUES ($1, $2, $3, $4)");
    GROW = both("
        UPDATE replay SET chunks = chunks + 1, bytes = bytes + $3, errors = errors + $4, last_at = $5,
          reason = CASE WHEN $4 > 0 THEN 'error' ELSE reason END,
          first_ms = CASE WHEN $6 < first_ms THEN $6 ELSE first_ms END,
          last_ms = CASE WHEN $7 > last_ms THEN $7 ELSE last_ms END
        WHERE id = $1 AND tenant_id = $2");
}

/// Milliseconds of a day.
const DAY_MS: i64 = 86_400_000;

/// Why a recording was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplayReason {
    /// Its session is one of those that are looked at.
    Sampled,
    /// Something went wrong in it.
    Error,
}

impl ReplayReason {
    /// Its word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sampled => "sampled",
            Self::Error => "error",
        }
    }
}

/// What is kept at the most.
#[derive(Clone, Copy, Debug)]
pub struct ReplayBounds {
    /// Recordings that one person begins within a day.
    pub a_day: u32,
    /// Chunks of a recording.
    pub chunks: u32,
    /// Bytes of its events.
    pub bytes: u64,
}

/// Keeps a chunk of a recording, once. The first that arrives begins it.
#[derive(Clone, Debug)]
pub struct TakeReplayChunk {
    /// The organisation.
    pub tenant: TenantId,
    /// Whose page it is.
    pub person: PersonId,
    /// The recording, by the id that the browser gave it.
    pub replay: Uuid,
    /// Which chunk.
    pub number: u32,
    /// On which page.
    pub page: String,
    /// Of which version of the program the page was.
    pub version: String,
    /// Why it is sent.
    pub reason: ReplayReason,
    /// The events, as a JSON array.
    pub events: String,
    /// The moments of the first and the last of them, in milliseconds by the clock of the browser.
    pub span: (i64, i64),
    /// How many errors are among them.
    pub errors: u32,
    /// What is kept at the most.
    pub bounds: ReplayBounds,
    /// The present moment.
    pub now: Timestamp,
}

/// What became of a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChunkTaken {
    /// It is kept.
    Kept,
    /// It was there already.
    Known,
    /// Nobody has agreed, or not any more.
    NoConsent,
    /// The id is that of somebody else's.
    Another,
    /// The person has begun as many today as are kept.
    TooManyToday,
    /// The recording is as long as it may be.
    TooLong,
}

#[derive(sqlx::FromRow)]
struct Begun {
    begun: i64,
}

#[derive(sqlx::FromRow)]
struct Stands {
    person_id: Uuid,
    chunks: i64,
    bytes: i64,
    seen: i64,
}

impl TakeReplayChunk {
    /// Begins it, unless there are too many.
    async fn begin(&self, tx: &mut Tx<'_>, begun: i64) -> Result<bool> {
        if begun >= i64::from(self.bounds.a_day) {
            return Ok(false);
        }
        let (first, last) = self.span;
        let begin = tx.query(BEGIN).bind(self.replay).bind(self.tenant.uuid()).bind(self.person.uuid());
        let begin = begin.bind(self.page.as_str()).bind(self.version.as_str()).bind(self.reason.as_str());
        begin.bind(At(self.now)).bind(first).bind(last).run().await?;
        tx.query(COUNT).bind(self.tenant.uuid()).bind(self.person.uuid()).run().await?;
        Ok(true)
    }
}

impl Intent for TakeReplayChunk {
    type Output = ChunkTaken;
    const WRITES: bool = true;
    const REPEATABLE: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<ChunkTaken> {
        let (tenant, number) = (self.tenant.uuid(), i64::from(self.number));
        let day = self.now.as_millis() / DAY_MS;
        let hold = tx.query(HOLD).bind(tenant).bind(self.person.uuid()).bind(day);
        let Some(Begun { begun }) = hold.row().await? else { return Ok(ChunkTaken::NoConsent) };
        let stands = tx.query(STANDS).bind(self.replay).bind(tenant).bind(number).row::<Stands>().await?;
        let size = i64::try_from(self.events.len()).unwrap_or(i64::MAX);
        let most = i64::try_from(self.bounds.bytes).unwrap_or(i64::MAX);
        match stands {
            None if size > most => return Ok(ChunkTaken::TooLong),
            None if !self.begin(tx, begun).await? => return Ok(ChunkTaken::TooManyToday),
            None => (),
            Some(stands) if stands.person_id != self.person.uuid() => return Ok(ChunkTaken::Another),
            Some(stands) if stands.seen > 0 => return Ok(ChunkTaken::Known),
            Some(stands)
                if stands.chunks >= i64::from(self.bounds.chunks) || stands.bytes.saturating_add(size) > most =>
            {
                return Ok(ChunkTaken::TooLong);
            }
            Some(_) => (),
        }
        tx.query(KEEP).bind(tenant).bind(self.replay).bind(number).bind(self.events.as_str()).run().await?;
        let (first, last) = self.span;
        let grow = tx.query(GROW).bind(self.replay).bind(tenant).bind(size).bind(i64::from(self.errors));
        grow.bind(At(self.now)).bind(first).bind(last).run().await?;
        Ok(ChunkTaken::Kept)
    }
}
