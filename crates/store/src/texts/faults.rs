//! Whether text messages keep what is promised of them, in all organisations: for whoever audits.

use mainstay_domain::{JobState, TenantId, TextMessageId, TextState, Timestamp};
use uuid::Uuid;

use crate::error::Result;
use crate::intent::Intent;
use crate::members::word;
use crate::sql::statements;
use crate::tx::{Scope, Tx};
use crate::value::{At, Number, count, moment};

statements! {
    /// The message and its job have one id. How many are looked at is named here, so that PostgreSQL knows that it is few.
    OWED = both("
        SELECT t.id, t.tenant_id, t.state, t.due_at, j.state AS job_state, j.run_at FROM text_message t
        LEFT JOIN job j ON j.id = t.id
        WHERE t.state IN ('waiting', 'sending', 'unknown') AND t.due_at < $1 ORDER BY t.due_at, t.id LIMIT 2000");
    NEWEST = both("
        SELECT count(*) AS number FROM (
          SELECT id FROM text_message WHERE created_at <= $1 ORDER BY created_at DESC LIMIT 2000) w");
    TWICE = both("
        SELECT w.appointment_id AS id, w.tenant_id FROM (
          SELECT tenant_id, appointment_id, reason, occasion, minutes_before, provider_id FROM text_message
          WHERE created_at <= $1 ORDER BY created_at DESC LIMIT 2000) w
        WHERE w.provider_id IS NOT NULL
        GROUP BY w.tenant_id, w.appointment_id, w.reason, w.occasion, w.minutes_before HAVING count(*) > 1 LIMIT 20");
    /// What was said is looked up for each: joined, PostgreSQL would read all that was ever said.
    AFTER_STOP = both("
        SELECT walked.id, walked.tenant_id, walked.attempted_at, walked.changed_at FROM (
          SELECT w.id, w.tenant_id, w.attempted_at, (SELECT x.changed_at FROM text_opt_out x
            WHERE x.phone = w.phone AND x.tenant_id = w.tenant_id AND x.stopped = 1) AS changed_at FROM (
            SELECT id, tenant_id, phone, attempted_at FROM text_message
            WHERE created_at <= $1 ORDER BY created_at DESC LIMIT 2000) w) walked
        WHERE walked.attempted_at > walked.changed_at ORDER BY walked.id");
    GUARDS = pair(sqlite "
        SELECT count(*) AS number FROM sqlite_schema
        WHERE type = 'table' AND name = 'text_message' AND sql LIKE '%text_message_once UNIQUE%'",
        postgres "
        SELECT count(*) AS number FROM pg_constraint
        WHERE conname = 'text_message_once' AND contype = 'u' AND convalidated",
        differs "each engine tells its constraints in its own way");
}

#[derive(sqlx::FromRow)]
struct OwedRow {
    id: Uuid,
    tenant_id: Uuid,
    state: String,
    due_at: At,
    job_state: Option<String>,
    run_at: Option<At>,
}

#[derive(sqlx::FromRow)]
struct TwiceRow {
    id: Uuid,
    tenant_id: Uuid,
}

#[derive(sqlx::FromRow)]
struct StopRow {
    id: Uuid,
    tenant_id: Uuid,
    attempted_at: At,
    changed_at: At,
}

/// Looks through the text messages of all organisations: 2,000 that are overdue, and the newest 2,000.
#[derive(Clone, Copy, Debug)]
pub struct FindTextFaults {
    /// Messages that were due before this moment are overdue.
    pub due_before: Timestamp,
    /// The present moment.
    pub now: Timestamp,
}

/// A message that the provider should have been told of by now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OverdueText {
    /// Which.
    pub id: TextMessageId,
    /// Whose.
    pub tenant: TenantId,
    /// Waiting, sending or unknown.
    pub state: TextState,
    /// Since when it is due.
    pub due_at: Timestamp,
    /// The job that sends it, and when that is to run; nothing when it is gone.
    pub job: Option<(JobState, Timestamp)>,
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TextFaults {
    /// Those that are overdue, the oldest first.
    pub overdue: Vec<OverdueText>,
    /// How many of the newest were looked through for what follows.
    pub looked_at: u32,
    /// Appointments of which the provider has taken two messages for one reason.
    pub twice: Vec<(Uuid, TenantId)>,
    /// Messages that were sent to whoever had said stop: when they were, and when it was said.
    pub after_stop: Vec<(TextMessageId, TenantId, Timestamp, Timestamp)>,
    /// Whether the schema refuses a second message for a reason.
    pub is_guarded: bool,
}

impl Intent for FindTextFaults {
    type Output = TextFaults;
    const WRITES: bool = false;
    const SNAPSHOT: bool = true;

    fn scope(&self) -> Scope {
        Scope::System
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<TextFaults> {
        let now = At(self.now);
        let owed: Vec<OwedRow> = tx.query(OWED).bind(At(self.due_before)).rows().await?;
        let newest: Option<Number> = tx.query(NEWEST).bind(now).row().await?;
        let twice: Vec<TwiceRow> = tx.query(TWICE).bind(now).rows().await?;
        let stops: Vec<StopRow> = tx.query(AFTER_STOP).bind(now).rows().await?;
        let guards: Option<Number> = tx.query(GUARDS).row().await?;
        let after =
            |row: StopRow| (TextMessageId(row.id), TenantId(row.tenant_id), row.attempted_at.0, row.changed_at.0);
        Ok(TextFaults {
            overdue: owed.into_iter().map(OwedRow::told).collect::<Result<_>>()?,
            looked_at: newest.map_or(0, |row| count(row.number)),
            twice: twice.into_iter().map(|row| (row.id, TenantId(row.tenant_id))).collect(),
            after_stop: stops.into_iter().map(after).collect(),
            is_guarded: guards.is_some_and(|row| row.number > 0),
        })
    }
}

impl OwedRow {
    fn told(self) -> Result<OverdueText> {
        let job = self.job_state.as_deref().map(word).transpose()?;
        Ok(OverdueText {
            id: TextMessageId(self.id),
            tenant: TenantId(self.tenant_id),
            state: word(&self.state)?,
            due_at: self.due_at.0,
            job: job.zip(moment(self.run_at)),
        })
    }
}
