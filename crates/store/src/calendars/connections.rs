//! The calendars of members of the staff at a provider: connected, found to need it again, removed.

use mainstay_domain::{CalendarConnectionId, Sealed, StaffId, TenantId, Timestamp};
use uuid::Uuid;

use super::entries::Upcoming;
use super::reading::forget_all;
use super::{CalendarWrite, read_job, write_job};
use crate::error::{Error, Result};
use crate::intent::Intent;
use crate::jobs::enqueue::enqueue;
use crate::reception::appointments::{lock, touch};
use crate::sql::statements;
use crate::tx::{Scope, Tx};
use crate::value::{At, moment};

statements! {
    OF_STAFF = both("
        SELECT id, tenant_id, staff_id, account, calendar, token, state, sync_token, wanted, synced, synced_at, full_at, error,
          failing_since, channel_id, channel_resource, channel_hash, channel_expires_at, looked_at, created_at
        FROM calendar_connection WHERE tenant_id = $1 AND staff_id = $2");
    GET = both("
        SELECT id, tenant_id, staff_id, account, calendar, token, state, sync_token, wanted, synced, synced_at, full_at, error,
          failing_since, channel_id, channel_resource, channel_hash, channel_expires_at, looked_at, created_at
        FROM calendar_connection WHERE id = $1 AND tenant_id = $2");
    GET_TO_CHANGE = pair(sqlite "
        SELECT id, tenant_id, staff_id, account, calendar, token, state, sync_token, wanted, synced, synced_at, full_at, error,
          failing_since, channel_id, channel_resource, channel_hash, channel_expires_at, looked_at, created_at
        FROM calendar_connection WHERE id = $1 AND tenant_id = $2",
        postgres "
        SELECT id, tenant_id, staff_id, account, calendar, token, state, sync_token, wanted, synced, synced_at, full_at, error,
          failing_since, channel_id, channel_resource, channel_hash, channel_expires_at, looked_at, created_at
        FROM calendar_connection WHERE id = $1 AND tenant_id = $2 FOR NO KEY UPDATE",
        differs "SQLite has one writer and no row locks");
    LIST = both("
        SELECT id, tenant_id, staff_id, account, calendar, token, state, sync_token, wanted, synced, synced_at, full_at, error,
          failing_since, channel_id, channel_resource, channel_hash, channel_expires_at, looked_at, created_at
        FROM calendar_connection WHERE tenant_id = $1 AND staff_id > $2 ORDER BY staff_id LIMIT $3");
    INSERT = both("
        INSERT INTO calendar_connection (id, tenant_id, staff_id, account, calendar, token, state, wanted, synced, looked_at,
          created_at, updated_at)
        VALUES ($1, $2, $3, $4, $5, $6, 'connected', 1, 0, $7, $7, $7)");
    CONNECT_AGAIN = both("
        UPDATE calendar_connection SET token = $3, state = 'connected', error = NULL, failing_since = NULL, wanted = wanted + 1,
          updated_at = $4
        WHERE id = $1 AND tenant_id = $2");
    FAIL = both("
        UPDATE calendar_connection SET state = CASE WHEN $3 = 1 THEN 'reconnect' ELSE state END, error = $4, failing_since = coalesce(failing_since, $5)
        WHERE id = $1 AND tenant_id = $2");
    WANT = both("
        UPDATE calendar_connection SET wanted = wanted + 1 WHERE id = $1 AND tenant_id = $2 RETURNING wanted");
    SET_CHANNEL = both("
        UPDATE calendar_connection SET channel_id = $3, channel_resource = $4, channel_hash = $5, channel_expires_at = $6
        WHERE id = $1 AND tenant_id = $2");
    CLEAR_ENTRIES = both("DELETE FROM calendar_entry WHERE tenant_id = $1 AND connection_id = $2");
    END_CONFLICTS = both("
        UPDATE calendar_conflict SET resolved_at = $3, resolution = 'overtaken'
        WHERE tenant_id = $1 AND connection_id = $2 AND resolved_at IS NULL");
    DELETE = both("DELETE FROM calendar_connection WHERE id = $1 AND tenant_id = $2");
}

/// The channel that a provider notifies by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CalendarChannel {
    /// Our id of it.
    pub id: Uuid,
    /// The provider's id of what is watched.
    pub resource: String,
    /// SHA-256 of the token that each notification carries, in hexadecimal.
    pub hash: String,
    /// When it ends.
    pub expires_at: Timestamp,
}

/// The calendar of a member of the staff at a provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CalendarConnection {
    /// Its id.
    pub id: CalendarConnectionId,
    /// The organisation.
    pub tenant: TenantId,
    /// Whose.
    pub staff: StaffId,
    /// The account's address.
    pub account: String,
    /// The provider's id of the calendar.
    pub calendar: String,
    /// The refresh token.
    pub token: Sealed,
    /// Whether the account has to be connected again.
    pub reconnect: bool,
    /// From where the next reading goes on; nothing when all of it is to be read.
    pub sync_token: Option<String>,
    /// The number of the last wish that it be read.
    pub wanted: i64,
    /// The number of the wish that was read last.
    pub synced: i64,
    /// When it was read last; nothing when never.
    pub synced_at: Option<Timestamp>,
    /// When all of it was read last.
    pub full_at: Option<Timestamp>,
    /// What went wrong last, while something does.
    pub error: Option<String>,
    /// Since when something goes wrong.
    pub failing_since: Option<Timestamp>,
    /// The channel that notifies of changes.
    pub channel: Option<CalendarChannel>,
    /// Since when it is connected.
    pub created_at: Timestamp,
}

#[derive(sqlx::FromRow)]
pub(super) struct ConnectionRow {
    id: Uuid,
    tenant_id: Uuid,
    staff_id: Uuid,
    account: String,
    calendar: String,
    token: String,
    state: String,
    sync_token: Option<String>,
    wanted: i64,
    synced: i64,
    synced_at: Option<At>,
    full_at: Option<At>,
    error: Option<String>,
    failing_since: Option<At>,
    channel_id: Option<Uuid>,
    channel_resource: Option<String>,
    channel_hash: Option<String>,
    channel_expires_at: Option<At>,
    created_at: At,
}

impl From<ConnectionRow> for CalendarConnection {
    fn from(row: ConnectionRow) -> Self {
        let channel = match (row.channel_id, row.channel_resource, row.channel_hash, row.channel_expires_at) {
            (Some(id), Some(resource), Some(hash), Some(at)) => {
                Some(CalendarChannel { id, resource, hash, expires_at: at.0 })
            }
            _ => None,
        };
        Self {
            id: CalendarConnectionId(row.id),
            tenant: TenantId(row.tenant_id),
            staff: StaffId(row.staff_id),
            account: row.account,
            calendar: row.calendar,
            token: Sealed::of_column(&row.token),
            reconnect: row.state == RECONNECT,
            sync_token: row.sync_token,
            wanted: row.wanted,
            synced: row.synced,
            synced_at: moment(row.synced_at),
            full_at: moment(row.full_at),
            error: row.error,
            failing_since: moment(row.failing_since),
            channel,
            created_at: row.created_at.0,
        }
    }
}

const RECONNECT: &str = "reconnect";
/// The most bytes of an error that are kept.
const MOST_ERROR: usize = 500;

pub(super) async fn connection(
    tx: &mut Tx<'_>,
    (tenant, id): (TenantId, CalendarConnectionId),
    locked: bool,
) -> Result<Option<CalendarConnection>> {
    let sql = if locked { GET_TO_CHANGE } else { GET };
    let row: Option<ConnectionRow> = tx.query(sql).bind(id.uuid()).bind(tenant.uuid()).row().await?;
    Ok(row.map(CalendarConnection::from))
}

pub(super) async fn connection_of(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    staff: StaffId,
) -> Result<Option<CalendarConnection>> {
    let row: Option<ConnectionRow> = tx.query(OF_STAFF).bind(tenant.uuid()).bind(staff.uuid()).row().await?;
    Ok(row.map(CalendarConnection::from))
}

/// Connects the calendar of a member of the staff, or connects its account again. The coming appointments are owed to it, and
/// it is read. Another account than before has to be disconnected first: nothing then.
#[derive(Clone, Debug)]
pub struct ConnectCalendar {
    /// Its id, should it be new.
    pub id: CalendarConnectionId,
    /// The organisation.
    pub tenant: TenantId,
    /// Whose.
    pub staff: StaffId,
    /// The account's address.
    pub account: String,
    /// The provider's id of the calendar.
    pub calendar: String,
    /// The refresh token: sealed for the id that it will have, so name that of the one that is there.
    pub token: Sealed,
    /// The present moment.
    pub now: Timestamp,
}

impl Intent for ConnectCalendar {
    type Output = Option<CalendarConnection>;
    const WRITES: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output> {
        if lock(tx, self.tenant, &[self.staff].into(), self.now).await?.is_empty() {
            return Err(Error::Missing("member of the staff"));
        }
        let before = connection_of(tx, self.tenant, self.staff).await?;
        match &before {
            Some(before) if before.account != self.account => return Ok(None),
            // It was made meanwhile, and this token was sealed for another row.
            Some(before) if before.id != self.id => return Err(Error::Conflict),
            Some(_) => {
                let again = tx.query(CONNECT_AGAIN).bind(self.id.uuid()).bind(self.tenant.uuid());
                again.bind(self.token.as_str().to_owned()).bind(At(self.now)).run().await?;
            }
            None => {
                let insert = tx.query(INSERT).bind(self.id.uuid()).bind(self.tenant.uuid()).bind(self.staff.uuid());
                let insert = insert.bind(self.account.clone()).bind(self.calendar.clone());
                insert.bind(self.token.as_str().to_owned()).bind(At(self.now)).run().await?;
                // It is not offered any more, until it has been read.
                touch(tx, self.tenant, [self.staff]).await?;
            }
        }
        let upcoming = Upcoming { tenant: self.tenant, staff: self.staff, connection: self.id, now: self.now };
        upcoming.owe(tx).await?;
        let connection = connection_of(tx, self.tenant, self.staff).await?.ok_or(Error::Conflict)?;
        let mut jobs = vec![read_job(self.tenant, self.id, connection.wanted, self.now)?];
        for (appointment, wanted) in upcoming.owed(tx).await? {
            jobs.push(write_job(self.tenant, CalendarWrite { appointment, connection: self.id }, wanted, self.now)?);
        }
        enqueue(tx, &jobs, self.now).await?;
        Ok(Some(connection))
    }
}

/// Reads the calendar of a member of the staff.
#[derive(Clone, Copy, Debug)]
pub struct GetCalendarOf {
    /// The organisation.
    pub tenant: TenantId,
    /// Whose.
    pub staff: StaffId,
}

impl Intent for GetCalendarOf {
    type Output = Option<CalendarConnection>;
    const WRITES: bool = false;
    const ONE_STATEMENT: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output> {
        connection_of(tx, self.tenant, self.staff).await
    }
}

/// Reads a calendar by its id.
#[derive(Clone, Copy, Debug)]
pub struct GetCalendar {
    /// The organisation.
    pub tenant: TenantId,
    /// Which.
    pub id: CalendarConnectionId,
}

impl Intent for GetCalendar {
    type Output = Option<CalendarConnection>;
    const WRITES: bool = false;
    const ONE_STATEMENT: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output> {
        connection(tx, (self.tenant, self.id), false).await
    }
}

/// Lists the calendars of an organisation, by the ids of whose they are.
#[derive(Clone, Copy, Debug)]
pub struct ListCalendarConnections {
    /// The organisation.
    pub tenant: TenantId,
    /// After this one's.
    pub after: Option<StaffId>,
    /// At most so many.
    pub limit: u32,
}

impl Intent for ListCalendarConnections {
    type Output = Vec<CalendarConnection>;
    const WRITES: bool = false;
    const ONE_STATEMENT: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output> {
        let after = self.after.map_or(Uuid::nil(), StaffId::uuid);
        let list = tx.query(LIST).bind(self.tenant.uuid()).bind(after).bind(i64::from(self.limit));
        Ok(list.rows::<ConnectionRow>().await?.into_iter().map(CalendarConnection::from).collect())
    }
}

/// Notes that a calendar could not be asked. What is known of it stays; it is shown that it is old.
#[derive(Clone, Debug)]
pub struct CalendarFailed {
    /// The organisation.
    pub tenant: TenantId,
    /// Which.
    pub id: CalendarConnectionId,
    /// Whether the account has to be connected again.
    pub reconnect: bool,
    /// What went wrong.
    pub error: String,
    /// The present moment.
    pub now: Timestamp,
}

impl Intent for CalendarFailed {
    type Output = ();
    const WRITES: bool = true;
    const REPEATABLE: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<()> {
        let error: String = self.error.chars().take(MOST_ERROR).collect();
        let fail =
            tx.query(FAIL).bind(self.id.uuid()).bind(self.tenant.uuid()).bind(i64::from(self.reconnect)).bind(error);
        fail.bind(At(self.now)).run().await.map(drop)
    }
}

/// Something says that there is something to read: one reading is promised. False when there is no such calendar.
#[derive(Clone, Copy, Debug)]
pub struct WantCalendarRead {
    /// The organisation.
    pub tenant: TenantId,
    /// Which.
    pub id: CalendarConnectionId,
    /// The present moment.
    pub now: Timestamp,
}

#[derive(sqlx::FromRow)]
struct WantedRow {
    wanted: i64,
}

impl Intent for WantCalendarRead {
    type Output = bool;
    const WRITES: bool = true;
    const REPEATABLE: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<bool> {
        let row: Option<WantedRow> = tx.query(WANT).bind(self.id.uuid()).bind(self.tenant.uuid()).row().await?;
        let Some(WantedRow { wanted }) = row else { return Ok(false) };
        enqueue(tx, &[read_job(self.tenant, self.id, wanted, self.now)?], self.now).await?;
        Ok(true)
    }
}

/// Remembers the channel that notifies of changes from now on.
#[derive(Clone, Debug)]
pub struct SetCalendarChannel {
    /// The organisation.
    pub tenant: TenantId,
    /// Of which calendar.
    pub id: CalendarConnectionId,
    /// The channel.
    pub channel: CalendarChannel,
}

impl Intent for SetCalendarChannel {
    type Output = ();
    const WRITES: bool = true;
    const REPEATABLE: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<()> {
        let CalendarChannel { id, resource, hash, expires_at } = &self.channel;
        let set = tx.query(SET_CHANNEL).bind(self.id.uuid()).bind(self.tenant.uuid()).bind(*id);
        set.bind(resource.clone()).bind(hash.clone()).bind(At(*expires_at)).run().await.map(drop)
    }
}

/// Disconnects the calendar of a member of the staff: what was read of it is forgotten. What it was, for who tells the
/// provider; nothing when there is none.
#[derive(Clone, Copy, Debug)]
pub struct DisconnectCalendar {
    /// The organisation.
    pub tenant: TenantId,
    /// Whose.
    pub staff: StaffId,
    /// The present moment.
    pub now: Timestamp,
}

impl Intent for DisconnectCalendar {
    type Output = Option<CalendarConnection>;
    const WRITES: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output> {
        lock(tx, self.tenant, &[self.staff].into(), self.now).await?;
        let Some(was) = connection_of(tx, self.tenant, self.staff).await? else { return Ok(None) };
        touch(tx, self.tenant, [self.staff]).await?;
        let (tenant, id) = (self.tenant.uuid(), was.id.uuid());
        connection(tx, (self.tenant, was.id), true).await?;
        tx.query(END_CONFLICTS).bind(tenant).bind(id).bind(At(self.now)).run().await?;
        forget_all(tx, self.tenant, was.id).await?;
        tx.query(CLEAR_ENTRIES).bind(tenant).bind(id).run().await?;
        tx.query(DELETE).bind(id).bind(tenant).run().await?;
        Ok(Some(was))
    }
}

/// Takes another calendar of the same account: what was read of the one before is forgotten, and everything is owed to this
/// one. Nothing when there is none.
#[derive(Clone, Debug)]
pub struct SwitchCalendar {
    /// Its id from now on.
    pub id: CalendarConnectionId,
    /// The organisation.
    pub tenant: TenantId,
    /// Whose.
    pub staff: StaffId,
    /// The provider's id of the calendar.
    pub calendar: String,
    /// The refresh token, sealed for that id.
    pub token: Sealed,
    /// The present moment.
    pub now: Timestamp,
}

impl Intent for SwitchCalendar {
    type Output = Option<(CalendarConnection, CalendarConnection)>;
    const WRITES: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output> {
        let (tenant, staff, now) = (self.tenant, self.staff, self.now);
        let Some(was) = (DisconnectCalendar { tenant, staff, now }).run(tx).await? else { return Ok(None) };
        let connect = ConnectCalendar {
            id: self.id,
            tenant,
            staff,
            account: was.account.clone(),
            calendar: self.calendar.clone(),
            token: self.token.clone(),
            now,
        };
        Ok(connect.run(tx).await?.map(|is| (was, is)))
    }
}
