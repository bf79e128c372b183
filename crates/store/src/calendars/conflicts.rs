//! Where a calendar says something else than the reception does. Nothing is decided in silence: people see it and say which
//! of the two holds.

use mainstay_domain::{AppointmentId, CalendarConflictId, CalendarConnectionId, Span, StaffId, TenantId, Timestamp};
use serde::Serialize;
use uuid::Uuid;

use super::owing::owe;
use super::span;
use crate::deliveries::derived;
use crate::error::{Error, Result};
use crate::intent::Intent;
use crate::reception::appointments::locked_appointment_of;
use crate::reception::calendar::Appointment;
use crate::sql::statements;
use crate::tx::{Scope, Tx};
use crate::value::At;

statements! {
    /// What was seen and is as it was is not brought up again.
    NOTE = insert((id: uuid, tenant_id: uuid, connection_id: uuid, appointment_id: uuid, staff_id: uuid, kind: text,
        event_id: text, theirs_from: time, theirs_until: time, ours_from: time, ours_until: time, at: time) "
        calendar_conflict (id, tenant_id, connection_id, appointment_id, staff_id, kind, event_id, theirs_from, theirs_until,
          ours_from, ours_until, found_at)
        SELECT id, tenant_id, connection_id, appointment_id, staff_id, kind, event_id, theirs_from, theirs_until, ours_from,
          ours_until, at FROM batch b
        WHERE NOT EXISTS (SELECT 1 FROM calendar_conflict k WHERE k.tenant_id = b.tenant_id AND k.connection_id = b.connection_id
          AND k.event_id = b.event_id AND k.appointment_id = b.appointment_id AND k.resolution = 'seen'
          AND k.theirs_from = b.theirs_from AND k.theirs_until = b.theirs_until AND k.ours_from = b.ours_from)
        ON CONFLICT (tenant_id, appointment_id, event_id) WHERE resolved_at IS NULL DO UPDATE SET kind = excluded.kind,
          theirs_from = excluded.theirs_from, theirs_until = excluded.theirs_until, ours_from = excluded.ours_from,
          ours_until = excluded.ours_until");
    /// What was open of an appointment that has changed. What lies over it elsewhere than it is now is over too.
    OVERTAKE = both("
        UPDATE calendar_conflict SET resolved_at = $3, resolution = 'overtaken'
        WHERE tenant_id = $1 AND appointment_id = $2 AND resolved_at IS NULL
          AND (kind <> 'busy' OR $4 = 0 OR theirs_from >= $6 OR theirs_until <= $5)");
    RESOLVE = both("
        UPDATE calendar_conflict SET resolved_at = $3, resolution = $4 WHERE id = $1 AND tenant_id = $2 AND resolved_at IS NULL");
    GET = both("
        SELECT id, connection_id, appointment_id, staff_id, kind, event_id, theirs_from, theirs_until, ours_from, ours_until,
          found_at, resolved_at, resolution
        FROM calendar_conflict WHERE id = $1 AND tenant_id = $2");
    LIST = both("
        SELECT id, connection_id, appointment_id, staff_id, kind, event_id, theirs_from, theirs_until, ours_from, ours_until,
          found_at, resolved_at, resolution
        FROM calendar_conflict WHERE tenant_id = $1 AND resolved_at IS NULL AND (found_at, id) > ($2, $3)
        ORDER BY found_at, id LIMIT $4");
}

/// What a calendar says of an appointment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConflictKind {
    /// Its event was moved to a time that cannot be had, or while it was changed here too.
    Moved,
    /// Its event was deleted.
    Deleted,
    /// Something else lies over it.
    Busy,
}

impl ConflictKind {
    /// Its word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Moved => "moved",
            Self::Deleted => "deleted",
            Self::Busy => "busy",
        }
    }

    fn read(word: &str) -> Result<Self> {
        match word {
            "moved" => Ok(Self::Moved),
            "deleted" => Ok(Self::Deleted),
            "busy" => Ok(Self::Busy),
            other => Err(Error::Corrupt(format!("a conflict of the kind {other}"))),
        }
    }
}

/// How a conflict ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConflictEnd {
    /// What the reception says holds.
    Ours,
    /// What the calendar says holds.
    Theirs,
    /// Somebody knows of it.
    Seen,
    /// One of the two was changed again.
    Overtaken,
}

impl ConflictEnd {
    /// Its word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::Theirs => "theirs",
            Self::Seen => "seen",
            Self::Overtaken => "overtaken",
        }
    }
}

/// A calendar says something else than the reception does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CalendarConflict {
    /// Its id.
    pub id: CalendarConflictId,
    /// Which calendar.
    pub connection: CalendarConnectionId,
    /// Of which appointment.
    pub appointment: AppointmentId,
    /// Whose.
    pub staff: StaffId,
    /// What it says.
    pub kind: ConflictKind,
    /// The event.
    pub event: String,
    /// Where the event lies; nothing for one that was deleted.
    pub theirs: Option<Span>,
    /// Where the appointment lay when it was found.
    pub ours: Span,
    /// When it was found.
    pub found_at: Timestamp,
    /// When it ended.
    pub resolved_at: Option<Timestamp>,
}

#[derive(sqlx::FromRow)]
struct ConflictRow {
    id: Uuid,
    connection_id: Uuid,
    appointment_id: Uuid,
    staff_id: Uuid,
    kind: String,
    event_id: String,
    theirs_from: Option<At>,
    theirs_until: Option<At>,
    ours_from: At,
    ours_until: At,
    found_at: At,
    resolved_at: Option<At>,
}

impl TryFrom<ConflictRow> for CalendarConflict {
    type Error = Error;

    fn try_from(row: ConflictRow) -> Result<Self> {
        let ours = span(Some(row.ours_from), Some(row.ours_until))?;
        Ok(Self {
            id: CalendarConflictId(row.id),
            connection: CalendarConnectionId(row.connection_id),
            appointment: AppointmentId(row.appointment_id),
            staff: StaffId(row.staff_id),
            kind: ConflictKind::read(&row.kind)?,
            event: row.event_id,
            theirs: span(row.theirs_from, row.theirs_until)?,
            ours: ours.ok_or_else(|| Error::Corrupt("a conflict about no time".to_owned()))?,
            found_at: row.found_at.0,
            resolved_at: row.resolved_at.map(|at| at.0),
        })
    }
}

#[derive(Serialize)]
struct NoteRow<'a> {
    id: Uuid,
    tenant_id: Uuid,
    connection_id: Uuid,
    appointment_id: Uuid,
    staff_id: Uuid,
    kind: &'static str,
    event_id: &'a str,
    theirs_from: Option<i64>,
    theirs_until: Option<i64>,
    ours_from: i64,
    ours_until: i64,
    at: i64,
}

/// What was found of one appointment.
pub(crate) struct Found<'a> {
    pub(crate) appointment: (AppointmentId, Span),
    pub(crate) kind: ConflictKind,
    pub(crate) event: &'a str,
    pub(crate) theirs: Option<Span>,
}

fn row<'a>(
    one: &'a Found<'_>,
    tenant: TenantId,
    (connection, staff): (CalendarConnectionId, StaffId),
    now: Timestamp,
) -> NoteRow<'a> {
    let (appointment, ours) = one.appointment;
    let theirs = one.theirs.map(|span| (span.from().as_millis(), span.until().as_millis()));
    let of = theirs.map(|(from, _)| from.to_be_bytes()).unwrap_or_default();
    NoteRow {
        // Of one event and one appointment there is one open conflict.
        id: derived(now, &[appointment.uuid().as_bytes(), one.event.as_bytes(), &of]),
        tenant_id: tenant.uuid(),
        connection_id: connection.uuid(),
        appointment_id: appointment.uuid(),
        staff_id: staff.uuid(),
        kind: one.kind.as_str(),
        event_id: one.event,
        theirs_from: theirs.map(|(from, _)| from),
        theirs_until: theirs.map(|(_, until)| until),
        ours_from: ours.from().as_millis(),
        ours_until: ours.until().as_millis(),
        at: now.as_millis(),
    }
}

/// Notes conflicts of the calendar of a member of the staff.
pub(crate) async fn note(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    (connection, staff): (CalendarConnectionId, StaffId),
    found: &[Found<'_>],
    now: Timestamp,
) -> Result<()> {
    if found.is_empty() {
        return Ok(());
    }
    // Two of one key in one statement are an error on PostgreSQL.
    let mut rows: Vec<_> = found.iter().map(|one| row(one, tenant, (connection, staff), now)).collect();
    rows.sort_by(|one, other| (one.appointment_id, one.event_id).cmp(&(other.appointment_id, other.event_id)));
    rows.dedup_by(|one, other| (one.appointment_id, one.event_id) == (other.appointment_id, other.event_id));
    tx.batch(NOTE, &rows).run().await.map(drop)
}

/// The appointment was changed here: what a calendar said of it before is over.
pub(crate) async fn overtake(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    appointment: &Appointment,
    now: Timestamp,
) -> Result<()> {
    let update = tx.query(OVERTAKE).bind(tenant.uuid()).bind(appointment.id.uuid()).bind(At(now));
    let update = update.bind(i64::from(appointment.state.blocks()));
    update.bind(At(appointment.blocked.from())).bind(At(appointment.blocked.until())).run().await.map(drop)
}

/// Ends a conflict. False when it has ended before.
pub(crate) async fn resolve(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    id: CalendarConflictId,
    end: ConflictEnd,
    now: Timestamp,
) -> Result<bool> {
    let update = tx.query(RESOLVE).bind(id.uuid()).bind(tenant.uuid()).bind(At(now)).bind(end.as_str());
    Ok(update.run().await? == 1)
}

/// Reads a conflict.
#[derive(Clone, Copy, Debug)]
pub struct GetCalendarConflict {
    /// The organisation.
    pub tenant: TenantId,
    /// Which.
    pub id: CalendarConflictId,
}

impl Intent for GetCalendarConflict {
    type Output = Option<CalendarConflict>;
    const WRITES: bool = false;
    const ONE_STATEMENT: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output> {
        let row: Option<ConflictRow> = tx.query(GET).bind(self.id.uuid()).bind(self.tenant.uuid()).row().await?;
        row.map(CalendarConflict::try_from).transpose()
    }
}

/// Lists the conflicts that nobody has resolved, the oldest first.
#[derive(Clone, Copy, Debug)]
pub struct ListCalendarConflicts {
    /// The organisation.
    pub tenant: TenantId,
    /// After this one.
    pub after: Option<(Timestamp, CalendarConflictId)>,
    /// At most so many.
    pub limit: u32,
}

impl Intent for ListCalendarConflicts {
    type Output = Vec<CalendarConflict>;
    const WRITES: bool = false;
    const ONE_STATEMENT: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output> {
        let (at, id) = self.after.map_or((Timestamp::EPOCH, Uuid::nil()), |(at, id)| (at, id.uuid()));
        let list = tx.query(LIST).bind(self.tenant.uuid()).bind(At(at)).bind(id).bind(i64::from(self.limit));
        list.rows::<ConflictRow>().await?.into_iter().map(CalendarConflict::try_from).collect()
    }
}

/// Ends a conflict with what the reception says: it is written again. False when it has ended before.
#[derive(Clone, Copy, Debug)]
pub struct KeepOurs {
    /// The organisation.
    pub tenant: TenantId,
    /// Which.
    pub id: CalendarConflictId,
    /// How: [`ConflictEnd::Ours`] or [`ConflictEnd::Seen`].
    pub end: ConflictEnd,
    /// The present moment.
    pub now: Timestamp,
}

impl Intent for KeepOurs {
    type Output = bool;
    const WRITES: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<bool> {
        let row: Option<ConflictRow> = tx.query(GET).bind(self.id.uuid()).bind(self.tenant.uuid()).row().await?;
        let conflict = row.map(CalendarConflict::try_from).transpose()?.ok_or(Error::Missing("conflict"))?;
        // The locks of the reception come first.
        let appointment = locked_appointment_of(tx, (self.tenant, conflict.appointment), self.now).await?;
        if !resolve(tx, self.tenant, self.id, self.end, self.now).await? {
            return Ok(false);
        }
        if self.end == ConflictEnd::Ours {
            owe(tx, self.tenant, &appointment, [appointment.staff], self.now).await?;
        }
        Ok(true)
    }
}
