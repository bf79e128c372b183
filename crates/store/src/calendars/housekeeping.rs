//! What is to be looked after, over all organisations: calendars that nobody has read for a while, entries that are owed
//! though their job is gone, and how many of each there are.

use mainstay_domain::{AppointmentId, CalendarConnectionId, TenantId, Timestamp};
use uuid::Uuid;

use super::{CalendarWrite, read_job, write_job};
use crate::error::Result;
use crate::intent::Intent;
use crate::jobs::enqueue::enqueue;
use crate::sql::statements;
use crate::tx::{Scope, Tx};
use crate::value::{At, count, moment};

statements! {
    UNREAD = both("
        SELECT id, tenant_id, wanted FROM calendar_connection
        WHERE state = 'connected' AND looked_at <= $1 ORDER BY looked_at LIMIT $2");
    OWED = both("
        SELECT e.appointment_id, e.connection_id, e.tenant_id, e.wanted FROM calendar_entry e
        JOIN calendar_connection c ON c.id = e.connection_id AND c.tenant_id = e.tenant_id
        WHERE e.owed_since IS NOT NULL AND e.owed_since <= $1 AND c.state = 'connected' ORDER BY e.owed_since LIMIT $2");
    /// Each is walked in the order of its index, up to a bound.
    STATES = both("
        SELECT (SELECT count(*) FROM (SELECT 1 FROM calendar_connection WHERE state = 'connected'
            ORDER BY looked_at LIMIT 1000) counted) AS connected,
          (SELECT count(*) FROM (SELECT 1 FROM calendar_connection WHERE state = 'reconnect'
            ORDER BY looked_at LIMIT 1000) counted) AS reconnect,
          (SELECT count(*) FROM (SELECT 1 FROM calendar_connection WHERE state = 'connected' AND looked_at <= $1
            ORDER BY looked_at LIMIT 1000) counted) AS unread,
          (SELECT count(*) FROM (SELECT 1 FROM calendar_connection WHERE state = 'connected' AND failing_since IS NOT NULL
            AND failing_since <= $1 ORDER BY failing_since LIMIT 1000) counted) AS failing,
          (SELECT count(*) FROM (SELECT 1 FROM calendar_connection WHERE state = 'reconnect' AND failing_since IS NOT NULL
            AND failing_since <= $1 ORDER BY failing_since LIMIT 1000) counted) AS left_alone,
          (SELECT w.owed_since FROM (SELECT e.owed_since FROM calendar_entry e
             JOIN calendar_connection c ON c.id = e.connection_id AND c.tenant_id = e.tenant_id
             WHERE e.owed_since IS NOT NULL AND e.owed_since <= $2 AND c.state = 'connected'
             ORDER BY e.owed_since LIMIT 1) w) AS owed_since");
}

#[derive(sqlx::FromRow)]
struct UnreadRow {
    id: Uuid,
    tenant_id: Uuid,
    wanted: i64,
}

#[derive(sqlx::FromRow)]
struct OwedRow {
    appointment_id: Uuid,
    connection_id: Uuid,
    tenant_id: Uuid,
    wanted: i64,
}

/// Finds what has been left: jobs for it are to be promised.
#[derive(Clone, Copy, Debug)]
pub struct FindNeglected {
    /// Calendars that nobody has begun to read since.
    pub unread_since: Timestamp,
    /// Entries that are owed since before.
    pub owed_since: Timestamp,
    /// At most so many of each.
    pub limit: u32,
}

/// What has been left.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Neglected {
    /// Calendars to read, with the number of what is wanted.
    pub unread: Vec<(TenantId, CalendarConnectionId, i64)>,
    /// Entries to write, with the number of what is wanted.
    pub owed: Vec<(TenantId, CalendarWrite, i64)>,
}

impl Intent for FindNeglected {
    type Output = Neglected;
    const WRITES: bool = false;

    fn scope(&self) -> Scope {
        Scope::System
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Neglected> {
        let unread = tx.query(UNREAD).bind(At(self.unread_since)).bind(i64::from(self.limit));
        let unread: Vec<UnreadRow> = unread.rows().await?;
        let owed = tx.query(OWED).bind(At(self.owed_since)).bind(i64::from(self.limit));
        let owed: Vec<OwedRow> = owed.rows().await?;
        let write = |row: &OwedRow| CalendarWrite {
            appointment: AppointmentId(row.appointment_id),
            connection: CalendarConnectionId(row.connection_id),
        };
        Ok(Neglected {
            unread: unread
                .into_iter()
                .map(|row| (TenantId(row.tenant_id), CalendarConnectionId(row.id), row.wanted))
                .collect(),
            owed: owed.iter().map(|row| (TenantId(row.tenant_id), write(row), row.wanted)).collect(),
        })
    }
}

/// Promises a job for each of them that has none.
#[derive(Clone, Debug)]
pub struct PromiseNeglected {
    /// What was found.
    pub neglected: Neglected,
    /// The present moment.
    pub now: Timestamp,
}

impl Intent for PromiseNeglected {
    type Output = ();
    const WRITES: bool = true;
    const REPEATABLE: bool = true;

    fn scope(&self) -> Scope {
        Scope::Global
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<()> {
        let Neglected { unread, owed } = &self.neglected;
        let reads = unread.iter().map(|(tenant, id, wanted)| read_job(*tenant, *id, *wanted, self.now));
        let writes = owed.iter().map(|(tenant, write, wanted)| write_job(*tenant, *write, *wanted, self.now));
        let jobs = reads.chain(writes).collect::<Result<Vec<_>>>()?;
        enqueue(tx, &jobs, self.now).await.map(drop)
    }
}

/// How the calendars of all organisations are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CalendarStates {
    /// Those that are connected, up to 1,000, as are all of these.
    pub connected: u32,
    /// Those whose account has to be connected again.
    pub reconnect: u32,
    /// Of those that are connected, those that nobody has begun to read for as long as was asked.
    pub unread: u32,
    /// Those that have failed for as long.
    pub failing: u32,
    /// Those that have had to be connected again for as long.
    pub left_alone: u32,
    /// Since when the oldest change is owed that could be written.
    pub owed_since: Option<Timestamp>,
}

/// Counts them.
#[derive(Clone, Copy, Debug)]
pub struct CountCalendars {
    /// What is before this has lasted for long.
    pub before: Timestamp,
    /// The present moment.
    pub now: Timestamp,
}

#[derive(sqlx::FromRow)]
struct StatesRow {
    connected: i64,
    reconnect: i64,
    unread: i64,
    failing: i64,
    left_alone: i64,
    owed_since: Option<At>,
}

impl Intent for CountCalendars {
    type Output = CalendarStates;
    const WRITES: bool = false;
    const ONE_STATEMENT: bool = true;

    fn scope(&self) -> Scope {
        Scope::System
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<CalendarStates> {
        let Some(row) = tx.query(STATES).bind(At(self.before)).bind(At(self.now)).row::<StatesRow>().await? else {
            return Ok(CalendarStates::default());
        };
        Ok(CalendarStates {
            connected: count(row.connected),
            reconnect: count(row.reconnect),
            unread: count(row.unread),
            failing: count(row.failing),
            left_alone: count(row.left_alone),
            owed_since: moment(row.owed_since),
        })
    }
}
