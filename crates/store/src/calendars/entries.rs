//! Entries: what stands in a calendar for an appointment, read before it is written and kept after.

use mainstay_domain::{AppointmentId, CalendarConnectionId, Span, StaffId, TenantId, Timestamp};
use uuid::Uuid;

use super::conflicts::{ConflictKind, Found, note};
use super::connections::{CalendarConnection, connection};
use super::owing::is_shown;
use super::span;
use crate::error::{Error, Result};
use crate::intent::Intent;
use crate::jobs::finish::{Fence, done};
use crate::reception::calendar::{Appointment, appointment_of};
use crate::sql::statements;
use crate::tx::{Scope, Tx};
use crate::value::At;

statements! {
    GET = both("
        SELECT appointment_id, generation, present, etag, wrote_from, wrote_until, wanted, written, written_at
        FROM calendar_entry WHERE appointment_id = $1 AND connection_id = $2 AND tenant_id = $3");
    GET_TO_CHANGE = pair(sqlite "
        SELECT appointment_id, generation, present, etag, wrote_from, wrote_until, wanted, written, written_at
        FROM calendar_entry WHERE appointment_id = $1 AND connection_id = $2 AND tenant_id = $3",
        postgres "
        SELECT appointment_id, generation, present, etag, wrote_from, wrote_until, wanted, written, written_at
        FROM calendar_entry WHERE appointment_id = $1 AND connection_id = $2 AND tenant_id = $3 FOR UPDATE",
        differs "SQLite has one writer and no row locks");
    /// What an event says is told by: the service, for whom, and the zone of the reception.
    TOLD = both("
        SELECT s.name AS service, c.name AS contact, c.phone, r.zone
        FROM appointment a JOIN service s ON s.id = a.service_id AND s.tenant_id = a.tenant_id
        LEFT JOIN contact c ON c.id = a.contact_id AND c.tenant_id = a.tenant_id
        LEFT JOIN reception r ON r.tenant_id = a.tenant_id
        WHERE a.id = $1 AND a.tenant_id = $2");
    WRITTEN = both("
        UPDATE calendar_entry SET generation = $4, present = $5, etag = $6, wrote_from = $7, wrote_until = $8, written = $9,
          written_at = $10, owed_since = CASE WHEN wanted > $9 THEN owed_since END
        WHERE appointment_id = $1 AND connection_id = $2 AND tenant_id = $3");
    /// What stands there now is owed by nobody, and known.
    ACCEPT = both("
        UPDATE calendar_entry SET present = $4, etag = $5, wrote_from = $6, wrote_until = $7
        WHERE appointment_id = $1 AND connection_id = $2 AND tenant_id = $3");
    /// The coming appointments of somebody, into a calendar that does not know them.
    OWE_UPCOMING = both("
        INSERT INTO calendar_entry (appointment_id, connection_id, tenant_id, generation, present, wanted, written, owed_since)
        SELECT a.id, $3, a.tenant_id, 0, 0, 1, 0, $4 FROM appointment a
        WHERE a.tenant_id = $1 AND a.staff_id = $2 AND a.blocked_from > $4 AND a.state IN ('booked', 'confirmed', 'done', 'no_show')
        ORDER BY a.blocked_from LIMIT 5000
        ON CONFLICT (appointment_id, connection_id, tenant_id) DO NOTHING");
    OWED_TO = both("
        SELECT appointment_id, wanted FROM calendar_entry
        WHERE tenant_id = $1 AND connection_id = $2 AND owed_since IS NOT NULL ORDER BY owed_since LIMIT 200");
}

/// What is known of the event of an appointment in a calendar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CalendarEntry {
    /// Which appointment.
    pub appointment: AppointmentId,
    /// How many ids of events have been used up.
    pub generation: u32,
    /// Whether the event is there.
    pub present: bool,
    /// Its version.
    pub etag: Option<String>,
    /// Its times, as they were last written or taken over.
    pub wrote: Option<Span>,
    /// The number of the last change of the appointment.
    pub wanted: i64,
    /// The number of the change that is there.
    pub written: i64,
    /// When it was last written.
    pub written_at: Option<Timestamp>,
}

#[derive(sqlx::FromRow)]
pub(super) struct EntryRow {
    appointment_id: Uuid,
    generation: i64,
    present: i64,
    etag: Option<String>,
    wrote_from: Option<At>,
    wrote_until: Option<At>,
    wanted: i64,
    written: i64,
    written_at: Option<At>,
}

impl TryFrom<EntryRow> for CalendarEntry {
    type Error = Error;

    fn try_from(row: EntryRow) -> Result<Self> {
        Ok(Self {
            appointment: AppointmentId(row.appointment_id),
            generation: crate::value::count(row.generation),
            present: row.present == 1,
            etag: row.etag,
            wrote: span(row.wrote_from, row.wrote_until)?,
            wanted: row.wanted,
            written: row.written,
            written_at: row.written_at.map(|at| at.0),
        })
    }
}

/// An entry, by the appointment and the calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntryAt {
    /// The organisation.
    pub tenant: TenantId,
    /// Which appointment.
    pub appointment: AppointmentId,
    /// In which calendar.
    pub connection: CalendarConnectionId,
}

pub(super) async fn entry(tx: &mut Tx<'_>, at: EntryAt, locked: bool) -> Result<Option<CalendarEntry>> {
    let get = tx.query(if locked { GET_TO_CHANGE } else { GET });
    let get = get.bind(at.appointment.uuid()).bind(at.connection.uuid()).bind(at.tenant.uuid());
    get.row::<EntryRow>().await?.map(CalendarEntry::try_from).transpose()
}

/// What an event says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToldEvent {
    /// When the contact is there.
    pub shown: Span,
    /// What is done.
    pub service: String,
    /// For whom.
    pub contact: Option<String>,
    /// The contact's number.
    pub phone: Option<String>,
    /// What is to be known of it.
    pub note: String,
    /// The zone of the reception, by its name.
    pub zone: Option<String>,
}

/// What is to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryDue {
    /// What is known of the event.
    pub entry: CalendarEntry,
    /// The calendar.
    pub connection: CalendarConnection,
    /// What the event is to say; nothing when there is to be none.
    pub told: Option<ToldEvent>,
}

#[derive(sqlx::FromRow)]
struct ToldRow {
    service: String,
    contact: Option<String>,
    phone: Option<String>,
    zone: Option<String>,
}

/// Reads what is to be written. Nothing when the calendar is not connected any more.
#[derive(Clone, Copy, Debug)]
pub struct ReadEntryDue(pub EntryAt);

impl Intent for ReadEntryDue {
    type Output = Option<EntryDue>;
    const WRITES: bool = false;
    const SNAPSHOT: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.0.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output> {
        let EntryAt { tenant, appointment, connection: id } = self.0;
        let Some(entry) = entry(tx, self.0, false).await? else { return Ok(None) };
        let Some(connection) = connection(tx, (tenant, id), false).await? else { return Ok(None) };
        let there = appointment_of(tx, tenant, appointment).await?;
        let told = match there.filter(|one| is_in_calendar(one, connection.staff)) {
            None => None,
            Some(one) => {
                let row = tx.query(TOLD).bind(appointment.uuid()).bind(tenant.uuid()).row::<ToldRow>().await?;
                row.map(|ToldRow { service, contact, phone, zone }| ToldEvent {
                    shown: one.shown,
                    service,
                    contact,
                    phone,
                    note: one.note,
                    zone,
                })
            }
        };
        Ok(Some(EntryDue { entry, connection, told }))
    }
}

/// Whether an appointment stands in the calendar of this member of the staff.
pub(super) fn is_in_calendar(appointment: &Appointment, staff: StaffId) -> bool {
    is_shown(appointment.state) && appointment.staff == staff
}

/// What stands in the calendar once something was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventStands {
    /// How many ids of events have been used up.
    pub generation: u32,
    /// Its version; nothing when there is none.
    pub etag: Option<String>,
    /// Its times; nothing when it is not there.
    pub times: Option<Span>,
}

/// What became of an entry that was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryEnd {
    /// Nothing is owed, and the job has ended.
    Settled,
    /// The appointment has changed meanwhile: it is to be written again.
    Again,
    /// The calendar is not connected any more, and the job has ended.
    Gone,
}

/// Keeps what was written. When nothing newer is wanted the job ends in the same transaction, so that a change meets either a
/// job that will see it, or none.
#[derive(Clone, Debug)]
pub struct EntryWritten {
    /// Which entry.
    pub at: EntryAt,
    /// The number of the change that was written.
    pub seen: i64,
    /// What stands there now.
    pub stands: EventStands,
    /// What the calendar says instead, where it was not written for that: the event, and what of it.
    pub conflict: Option<(String, ConflictKind)>,
    /// The job.
    pub fence: Fence,
    /// The present moment.
    pub now: Timestamp,
}

impl Intent for EntryWritten {
    type Output = EntryEnd;
    const WRITES: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.at.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<EntryEnd> {
        let EntryAt { tenant, appointment, connection: id } = self.at;
        let (Some(connection), Some(entry)) =
            (connection(tx, (tenant, id), false).await?, entry(tx, self.at, true).await?)
        else {
            done(tx, self.fence, self.now).await?;
            return Ok(EntryEnd::Gone);
        };
        let EventStands { generation, etag, times } = &self.stands;
        let written = tx.query(WRITTEN).bind(appointment.uuid()).bind(id.uuid()).bind(tenant.uuid());
        let written = written.bind(i64::from(*generation)).bind(i64::from(times.is_some())).bind(etag.clone());
        let written = written.bind(times.map(|times| At(times.from()))).bind(times.map(|times| At(times.until())));
        // Of a rescued job and the one that it was rescued from the later may have written what is older.
        let seen = self.seen.max(entry.written);
        written.bind(seen).bind(At(self.now)).run().await?;
        if entry.wanted > seen {
            return Ok(EntryEnd::Again);
        }
        if let Some((event, kind)) = &self.conflict
            && let Some(there) = appointment_of(tx, tenant, appointment).await?
        {
            let found = Found { appointment: (appointment, there.shown), kind: *kind, event, theirs: *times };
            note(tx, tenant, (id, connection.staff), &[found], self.now).await?;
        }
        done(tx, self.fence, self.now).await?;
        Ok(EntryEnd::Settled)
    }
}

/// What stands in a calendar was seen, and is taken for what is known from now on.
pub(super) async fn accept(tx: &mut Tx<'_>, at: EntryAt, etag: Option<&str>, times: Option<Span>) -> Result<()> {
    let accept = tx.query(ACCEPT).bind(at.appointment.uuid()).bind(at.connection.uuid()).bind(at.tenant.uuid());
    let accept = accept.bind(i64::from(times.is_some())).bind(etag.map(str::to_owned));
    let accept = accept.bind(times.map(|times| At(times.from()))).bind(times.map(|times| At(times.until())));
    accept.run().await.map(drop)
}

#[derive(sqlx::FromRow)]
struct OwedRow {
    appointment_id: Uuid,
    wanted: i64,
}

/// The coming appointments of somebody whose calendar is connected.
pub(super) struct Upcoming {
    pub(super) tenant: TenantId,
    pub(super) staff: StaffId,
    pub(super) connection: CalendarConnectionId,
    pub(super) now: Timestamp,
}

impl Upcoming {
    /// Owes those that it does not know. Call it under the lock of whoever does them.
    pub(super) async fn owe(&self, tx: &mut Tx<'_>) -> Result<()> {
        let owe = tx.query(OWE_UPCOMING).bind(self.tenant.uuid()).bind(self.staff.uuid());
        owe.bind(self.connection.uuid()).bind(At(self.now)).run().await.map(drop)
    }

    /// The first of those that are owed; upkeep promises the others.
    pub(super) async fn owed(&self, tx: &mut Tx<'_>) -> Result<Vec<(AppointmentId, i64)>> {
        let owed = tx.query(OWED_TO).bind(self.tenant.uuid()).bind(self.connection.uuid());
        let rows: Vec<OwedRow> = owed.rows().await?;
        Ok(rows.into_iter().map(|row| (AppointmentId(row.appointment_id), row.wanted)).collect())
    }
}
