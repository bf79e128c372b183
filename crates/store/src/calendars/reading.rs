//! What a calendar tells: what something else takes of somebody's time, and what became of our own events. What was read and
//! the place from where it goes on are one transaction.

use std::collections::BTreeMap;
use std::time::Duration;

use mainstay_domain::{AppointmentId, CalendarConnectionId, ServiceTimes, Span, StaffId, TenantId, Timestamp};
use serde::Serialize;
use uuid::Uuid;

use super::conflicts::{ConflictKind, Found, note, overtake};
use super::connections::{CalendarConnection, connection};
use super::entries::{CalendarEntry, EntryAt, EntryRow, accept, is_in_calendar};
use super::events::event_id;
use crate::error::{Error, Result};
use crate::intent::Intent;
use crate::jobs::finish::{Fence, done};
use crate::reception::appointments::{Booking, MoveAppointment, lock, touch};
use crate::reception::board::{Happened, count};
use crate::reception::calendar::appointment_of;
use crate::sql::statements;
use crate::tx::{Scope, Tx};
use crate::value::At;

statements! {
    LOOK = both("UPDATE calendar_connection SET looked_at = $3 WHERE id = $1 AND tenant_id = $2");
    FORGET_ALL = both("DELETE FROM calendar_busy WHERE connection_id = $1 AND tenant_id = $2");
    FORGET = batch((event_id: text) "
        DELETE FROM calendar_busy WHERE tenant_id = $2 AND connection_id = $3 AND event_id IN (SELECT b.event_id FROM batch b)");
    KEEP = insert((connection_id: uuid, event_id: text, tenant_id: uuid, staff_id: uuid, busy_from: time, busy_until: time) "
        calendar_busy (connection_id, event_id, tenant_id, staff_id, busy_from, busy_until)
        SELECT connection_id, event_id, tenant_id, staff_id, busy_from, busy_until FROM batch WHERE true
        ON CONFLICT (connection_id, event_id, tenant_id) DO UPDATE SET busy_from = excluded.busy_from,
          busy_until = excluded.busy_until");
    /// Appointments under what has been found. What began longer ago than the longest appointment is over.
    UNDER = batch((event_id: text, earliest: time, busy_from: time, busy_until: time) "
        SELECT a.id, b.event_id, b.busy_from, b.busy_until, a.starts_at, a.ends_at FROM batch b
        JOIN appointment a ON a.tenant_id = $2 AND a.staff_id = $3 AND a.blocked_from > b.earliest AND a.blocked_from < b.busy_until
          AND a.blocked_until > b.busy_from
        WHERE a.blocked_until > $4 AND a.state IN ('booked', 'confirmed')");
    /// What was found over appointments, and lies elsewhere now.
    CLEARED = update((event_id: text, busy_from: time, busy_until: time) "
        calendar_conflict SET resolved_at = $4, resolution = 'overtaken' FROM batch b
        WHERE calendar_conflict.tenant_id = $2 AND calendar_conflict.connection_id = $3
          AND calendar_conflict.event_id = b.event_id AND calendar_conflict.kind = 'busy'
          AND calendar_conflict.resolved_at IS NULL
          AND (b.busy_from IS NULL OR b.busy_from <> calendar_conflict.theirs_from
            OR b.busy_until <> calendar_conflict.theirs_until)");
    CLEARED_ALL = both("
        UPDATE calendar_conflict SET resolved_at = $3, resolution = 'overtaken'
        WHERE tenant_id = $1 AND connection_id = $2 AND kind = 'busy' AND resolved_at IS NULL
          AND NOT EXISTS (SELECT 1 FROM calendar_busy y WHERE y.connection_id = $2 AND y.tenant_id = $1
            AND y.event_id = calendar_conflict.event_id AND y.busy_from = calendar_conflict.theirs_from
            AND y.busy_until = calendar_conflict.theirs_until)");
    ENTRIES = batch((appointment_id: uuid) "
        SELECT e.appointment_id, e.generation, e.present, e.etag, e.wrote_from, e.wrote_until, e.wanted, e.written, e.written_at
        FROM batch b JOIN calendar_entry e ON e.appointment_id = b.appointment_id AND e.connection_id = $3 AND e.tenant_id = $2");
    /// Those whose event is to come, and so must be in whatever is read of the whole calendar.
    TO_COME = both("
        SELECT appointment_id, generation, present, etag, wrote_from, wrote_until, wanted, written, written_at
        FROM calendar_entry WHERE tenant_id = $1 AND connection_id = $2 AND wrote_until > $3 ORDER BY wrote_until LIMIT 5000");
    FORGET_ENDED = both("DELETE FROM calendar_conflict WHERE tenant_id = $1 AND connection_id = $2 AND resolved_at <= $3");
    SYNCED = both("
        UPDATE calendar_connection SET sync_token = CASE WHEN $3 = 1 THEN $4 ELSE sync_token END, synced = $5, synced_at = $6,
          full_at = CASE WHEN $7 = 1 THEN $6 ELSE full_at END, error = NULL, failing_since = NULL
        WHERE id = $1 AND tenant_id = $2");
}

/// An event that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenEvent {
    /// The provider's id of it.
    pub id: String,
    /// Its version.
    pub etag: Option<String>,
    /// What time it takes; nothing when it takes none, or is gone.
    pub busy: Option<Span>,
    /// Whether it is there, though it may take no time; and its times.
    pub there: Option<Span>,
    /// The appointment and the generation, where its id is one of ours.
    pub ours: Option<(AppointmentId, u32)>,
}

/// Begins to read a calendar: how it stands. Nothing when it is not connected any more.
#[derive(Clone, Copy, Debug)]
pub struct BeginCalendarRead {
    /// The organisation.
    pub tenant: TenantId,
    /// Which.
    pub id: CalendarConnectionId,
    /// The present moment.
    pub now: Timestamp,
}

impl Intent for BeginCalendarRead {
    type Output = Option<CalendarConnection>;
    const WRITES: bool = true;
    const REPEATABLE: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output> {
        tx.query(LOOK).bind(self.id.uuid()).bind(self.tenant.uuid()).bind(At(self.now)).run().await?;
        connection(tx, (self.tenant, self.id), false).await
    }
}

/// What was read of a calendar.
#[derive(Clone, Debug)]
pub struct CalendarWasRead {
    /// The organisation.
    pub tenant: TenantId,
    /// Which.
    pub id: CalendarConnectionId,
    /// The number of the wish that was there when the reading began.
    pub seen: i64,
    /// When the reading began: what was written since is not judged by it.
    pub began_at: Timestamp,
    /// Whether all of it was read, so that what is not there is gone.
    pub whole: bool,
    /// What was read: each event once.
    pub events: Vec<SeenEvent>,
    /// From where the next reading goes on.
    pub sync_token: Option<String>,
    /// The job that ends with it, if there is one.
    pub fence: Option<Fence>,
    /// The present moment.
    pub now: Timestamp,
}

/// What became of a reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadEnd {
    /// All is known, and the job has ended.
    Settled,
    /// There is more to read by now, or something was on its way that could not be judged: it is read again.
    Again,
    /// The calendar is not connected any more, and the job has ended.
    Gone,
}

#[derive(Serialize)]
struct EventId<'a> {
    event_id: &'a str,
}

#[derive(Serialize)]
struct BusyRow<'a> {
    connection_id: Uuid,
    event_id: &'a str,
    tenant_id: Uuid,
    staff_id: Uuid,
    busy_from: i64,
    busy_until: i64,
}

#[derive(Serialize)]
struct OverRow<'a> {
    event_id: &'a str,
    earliest: i64,
    busy_from: i64,
    busy_until: i64,
}

#[derive(Serialize)]
struct ClearRow<'a> {
    event_id: &'a str,
    busy_from: Option<i64>,
    busy_until: Option<i64>,
}

#[derive(Serialize)]
struct AppointmentRow {
    appointment_id: Uuid,
}

#[derive(sqlx::FromRow)]
struct UnderRow {
    id: Uuid,
    event_id: String,
    busy_from: At,
    busy_until: At,
    starts_at: At,
    ends_at: At,
}

/// For how long conflicts are kept that have ended.
const KEPT: Duration = Duration::from_secs(90 * 86_400);
/// How many rows go into one statement.
const BITE: usize = 500;

/// Forgets whatever something else takes of a calendar.
pub(super) async fn forget_all(tx: &mut Tx<'_>, tenant: TenantId, id: CalendarConnectionId) -> Result<()> {
    tx.query(FORGET_ALL).bind(id.uuid()).bind(tenant.uuid()).run().await.map(drop)
}

impl Intent for CalendarWasRead {
    type Output = ReadEnd;
    const WRITES: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<ReadEnd> {
        // Whose it is never changes, so that the locks can be taken in their order.
        let Some(there) = connection(tx, (self.tenant, self.id), false).await? else { return self.gone(tx).await };
        lock(tx, self.tenant, &[there.staff].into(), self.now).await?;
        let Some(there) = connection(tx, (self.tenant, self.id), true).await? else { return self.gone(tx).await };
        let (foreign, unsure, moved) = self.own(tx, there.staff).await?;
        self.keep(tx, there.staff, &foreign).await?;
        if self.whole || there.synced_at.is_none() || !foreign.is_empty() {
            touch(tx, self.tenant, [there.staff]).await?;
        }
        let ended = tx.query(FORGET_ENDED).bind(self.tenant.uuid()).bind(self.id.uuid());
        ended.bind(At(self.now.minus(KEPT))).run().await?;
        let synced = tx.query(SYNCED).bind(self.id.uuid()).bind(self.tenant.uuid()).bind(i64::from(!unsure));
        let synced = synced.bind(self.sync_token.clone()).bind(self.seen).bind(At(self.now));
        synced.bind(i64::from(self.whole && !unsure)).run().await?;
        if moved {
            count(tx, self.tenant, Happened::Appointment, self.now).await?;
        }
        if unsure || there.wanted > self.seen {
            return Ok(ReadEnd::Again);
        }
        self.done(tx).await?;
        Ok(ReadEnd::Settled)
    }
}

impl CalendarWasRead {
    async fn gone(&self, tx: &mut Tx<'_>) -> Result<ReadEnd> {
        self.done(tx).await?;
        Ok(ReadEnd::Gone)
    }

    async fn done(&self, tx: &mut Tx<'_>) -> Result<()> {
        match self.fence {
            Some(fence) => done(tx, fence, self.now).await,
            None => Ok(()),
        }
    }

    /// Judges our own events. The others; whether one could not be judged, since it is on its way; whether something was
    /// moved.
    async fn own(&self, tx: &mut Tx<'_>, staff: StaffId) -> Result<(Vec<&SeenEvent>, bool, bool)> {
        let named = self.events.iter().filter_map(|event| event.ours.map(|(id, _)| id));
        let ids: Vec<_> = named.map(|id| AppointmentRow { appointment_id: id.uuid() }).collect();
        let mut entries = BTreeMap::new();
        for bite in ids.chunks(BITE) {
            let rows = tx.batch(ENTRIES, bite).bind(self.tenant.uuid()).bind(self.id.uuid());
            for row in rows.rows::<EntryRow>().await? {
                let entry = CalendarEntry::try_from(row)?;
                entries.insert(entry.appointment, entry);
            }
        }
        let (mut foreign, mut unsure, mut moved) = (Vec::new(), false, false);
        let mut met = std::collections::BTreeSet::new();
        for event in &self.events {
            let entry =
                event.ours.and_then(|(id, generation)| entries.get(&id).filter(|entry| entry.generation == generation));
            let Some(entry) = entry else {
                foreign.push(event);
                continue;
            };
            met.insert(entry.appointment);
            match self.judge(tx, staff, entry, Some(event)).await? {
                Judged::Known => {}
                Judged::Moved => moved = true,
                Judged::Unsure => unsure = true,
                Judged::Foreign => foreign.push(event),
            }
        }
        if self.whole {
            let to_come = tx.query(TO_COME).bind(self.tenant.uuid()).bind(self.id.uuid()).bind(At(self.now));
            for row in to_come.rows::<EntryRow>().await? {
                let entry = CalendarEntry::try_from(row)?;
                if entry.present && !met.contains(&entry.appointment) {
                    unsure |= matches!(self.judge(tx, staff, &entry, None).await?, Judged::Unsure);
                }
            }
        }
        Ok((foreign, unsure, moved))
    }

    /// Compares what is there of one of our events with the appointment.
    async fn judge(
        &self,
        tx: &mut Tx<'_>,
        staff: StaffId,
        entry: &CalendarEntry,
        event: Option<&SeenEvent>,
    ) -> Result<Judged> {
        // What is on its way, or was when this was read, is judged by a later reading.
        if entry.wanted > entry.written || entry.written_at.is_some_and(|at| at >= self.began_at) {
            return Ok(Judged::Unsure);
        }
        let etag = event.and_then(|event| event.etag.as_deref());
        let theirs = event.and_then(|event| event.there);
        if entry.present && theirs.is_some() && etag.is_some() && etag == entry.etag.as_deref() {
            return Ok(Judged::Known);
        }
        let appointment = appointment_of(tx, self.tenant, entry.appointment).await?;
        let Some(appointment) = appointment.filter(|one| is_in_calendar(one, staff)) else {
            return Ok(Judged::Foreign);
        };
        let at = EntryAt { tenant: self.tenant, appointment: entry.appointment, connection: self.id };
        if theirs == entry.wrote && entry.present == theirs.is_some() {
            accept(tx, at, etag, theirs).await?;
            return Ok(Judged::Known);
        }
        accept(tx, at, etag, theirs).await?;
        if theirs == Some(appointment.shown) {
            overtake(tx, self.tenant, &appointment, self.now).await?;
            return Ok(Judged::Known);
        }
        if let Some(theirs) = theirs.filter(|theirs| theirs.length() == appointment.shown.length()) {
            let before = appointment.shown.from().since(appointment.blocked.from());
            let after = appointment.blocked.until().since(appointment.shown.until());
            let blocked = Span::new(theirs.from().minus(before), theirs.until().plus(after));
            let blocked = blocked.ok_or_else(|| Error::Bug("a stretch that was moved ends".to_owned()))?;
            let (id, tenant, now) = (appointment.id, self.tenant, self.now);
            let shift = MoveAppointment { tenant, id, staff, shown: theirs, blocked, asked: false, now };
            if let Booking::Made(_) = shift.place(tx).await? {
                return Ok(Judged::Moved);
            }
        }
        let kind = if theirs.is_some() { ConflictKind::Moved } else { ConflictKind::Deleted };
        let event_id = event.map_or_else(|| own_id(entry), |event| event.id.clone());
        let found = Found { appointment: (appointment.id, appointment.shown), kind, event: &event_id, theirs };
        note(tx, self.tenant, (self.id, staff), &[found], self.now).await?;
        Ok(Judged::Known)
    }

    /// Keeps what something else takes, and finds what lies under it.
    async fn keep(&self, tx: &mut Tx<'_>, staff: StaffId, foreign: &[&SeenEvent]) -> Result<()> {
        let (tenant, connection) = (self.tenant.uuid(), self.id.uuid());
        if self.whole {
            forget_all(tx, self.tenant, self.id).await?;
        } else {
            let ids: Vec<_> = self.events.iter().map(|event| EventId { event_id: &event.id }).collect();
            for bite in ids.chunks(BITE) {
                tx.batch(FORGET, bite).bind(tenant).bind(connection).run().await?;
            }
        }
        let busy: Vec<(&str, Span)> =
            foreign.iter().filter_map(|event| Some((event.id.as_str(), event.busy?))).collect();
        for bite in busy.chunks(BITE) {
            let rows: Vec<_> = bite
                .iter()
                .map(|(event_id, span)| BusyRow {
                    connection_id: connection,
                    event_id,
                    tenant_id: tenant,
                    staff_id: staff.uuid(),
                    busy_from: span.from().as_millis(),
                    busy_until: span.until().as_millis(),
                })
                .collect();
            tx.batch(KEEP, &rows).run().await?;
        }
        if self.whole {
            tx.query(CLEARED_ALL).bind(tenant).bind(connection).bind(At(self.now)).run().await?;
        } else {
            let span_of = |event: &SeenEvent| busy.iter().find(|(id, _)| *id == event.id).map(|(_, span)| *span);
            let rows: Vec<_> = self
                .events
                .iter()
                .map(|event| {
                    let span = span_of(event);
                    let busy_from = span.map(|span| span.from().as_millis());
                    ClearRow { event_id: &event.id, busy_from, busy_until: span.map(|span| span.until().as_millis()) }
                })
                .collect();
            for bite in rows.chunks(BITE) {
                tx.batch(CLEARED, bite).bind(tenant).bind(connection).bind(At(self.now)).run().await?;
            }
        }
        self.find_under(tx, staff, &busy).await
    }

    async fn find_under(&self, tx: &mut Tx<'_>, staff: StaffId, busy: &[(&str, Span)]) -> Result<()> {
        for bite in busy.chunks(BITE) {
            let rows: Vec<_> = bite
                .iter()
                .map(|(event_id, span)| OverRow {
                    event_id,
                    earliest: span.from().minus(ServiceTimes::LONGEST).as_millis(),
                    busy_from: span.from().as_millis(),
                    busy_until: span.until().as_millis(),
                })
                .collect();
            let under = tx.batch(UNDER, &rows).bind(self.tenant.uuid()).bind(staff.uuid()).bind(At(self.now));
            let under: Vec<UnderRow> = under.rows().await?;
            let mut found = Vec::with_capacity(under.len());
            for row in &under {
                let (Some(ours), Some(theirs)) =
                    (Span::new(row.starts_at.0, row.ends_at.0), Span::new(row.busy_from.0, row.busy_until.0))
                else {
                    return Err(Error::Corrupt("a time ends before it begins".to_owned()));
                };
                found.push(Found {
                    appointment: (AppointmentId(row.id), ours),
                    kind: ConflictKind::Busy,
                    event: &row.event_id,
                    theirs: Some(theirs),
                });
            }
            note(tx, self.tenant, (self.id, staff), &found, self.now).await?;
        }
        Ok(())
    }
}

/// What one of our events is found to be.
enum Judged {
    /// Nothing is to be done, or it is noted.
    Known,
    /// The appointment follows it.
    Moved,
    /// It is on its way.
    Unsure,
    /// The appointment is not to stand there, so it is something else that takes time.
    Foreign,
}

/// The id of an event that was not read.
fn own_id(entry: &CalendarEntry) -> String {
    event_id(entry.appointment, entry.generation)
}
