//! What a change of an appointment owes to calendars, promised by the transaction that changes it.

use std::collections::BTreeSet;

use mainstay_domain::{AppointmentState, CalendarConnectionId, StaffId, TenantId, Timestamp};
use serde::Serialize;
use uuid::Uuid;

use super::{CalendarWrite, conflicts, write_job};
use crate::error::Result;
use crate::jobs::enqueue::enqueue;
use crate::reception::calendar::Appointment;
use crate::sql::statements;
use crate::tx::Tx;
use crate::value::Id;

statements! {
    /// The calendars of these people that know of an appointment, or are to.
    CONCERNED = batch((id: uuid) "
        SELECT c.id, c.staff_id, (SELECT e.wanted FROM calendar_entry e
            WHERE e.appointment_id = $3 AND e.connection_id = c.id AND e.tenant_id = $2) AS wanted
        FROM batch b JOIN calendar_connection c ON c.tenant_id = $2 AND c.staff_id = b.id ORDER BY c.id");
    WANT = insert((appointment_id: uuid, connection_id: uuid, tenant_id: uuid, at: time) "
        calendar_entry (appointment_id, connection_id, tenant_id, generation, present, wanted, written, owed_since)
        SELECT appointment_id, connection_id, tenant_id, 0, 0, 1, 0, at FROM batch WHERE true
        ORDER BY connection_id, appointment_id
        ON CONFLICT (appointment_id, connection_id, tenant_id) DO UPDATE SET wanted = calendar_entry.wanted + 1,
          owed_since = coalesce(calendar_entry.owed_since, excluded.owed_since)
        RETURNING connection_id, wanted");
}

#[derive(sqlx::FromRow)]
struct ConcernedRow {
    id: Uuid,
    staff_id: Uuid,
    wanted: Option<i64>,
}

#[derive(Serialize)]
struct WantRow {
    appointment_id: Uuid,
    connection_id: Uuid,
    tenant_id: Uuid,
    at: i64,
}

#[derive(sqlx::FromRow)]
struct WantedRow {
    connection_id: Uuid,
    wanted: i64,
}

/// Whether an appointment stands in the calendar of whoever does it.
pub(crate) const fn is_shown(state: AppointmentState) -> bool {
    !matches!(state, AppointmentState::Held | AppointmentState::Cancelled)
}

/// An appointment is another now: whoever did it and whoever does it has it written. Call it under the locks of both, and
/// before the board is counted up. Where a calendar said something else of it, this change is newer.
pub(crate) async fn owe(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    appointment: &Appointment,
    staff: impl IntoIterator<Item = StaffId>,
    now: Timestamp,
) -> Result<()> {
    let staff: BTreeSet<StaffId> = staff.into_iter().collect();
    let ids: Vec<Id> = staff.into_iter().map(|one| Id { id: one.uuid() }).collect();
    let concerned = tx.batch(CONCERNED, &ids).bind(tenant.uuid()).bind(appointment.id.uuid());
    let concerned: Vec<ConcernedRow> = concerned.rows().await?;
    let shown_by = |row: &ConcernedRow| is_shown(appointment.state) && row.staff_id == appointment.staff.uuid();
    let rows: Vec<WantRow> = concerned
        .into_iter()
        .filter(|row| row.wanted.is_some() || shown_by(row))
        .map(|row| WantRow {
            appointment_id: appointment.id.uuid(),
            connection_id: row.id,
            tenant_id: tenant.uuid(),
            at: now.as_millis(),
        })
        .collect();
    if rows.is_empty() {
        return Ok(());
    }
    conflicts::overtake(tx, tenant, appointment, now).await?;
    let wanted: Vec<WantedRow> = tx.batch(WANT, &rows).rows().await?;
    let jobs = wanted.into_iter().map(|row| {
        let connection = CalendarConnectionId(row.connection_id);
        write_job(tenant, CalendarWrite { appointment: appointment.id, connection }, row.wanted, now)
    });
    let jobs = jobs.collect::<Result<Vec<_>>>()?;
    enqueue(tx, &jobs, now).await.map(drop)
}
