//! What somebody is told of their appointment: promised by the transaction that makes, moves or cancels it.

use std::time::Duration;

use mainstay_domain::{
    AppointmentState, ContactId, TenantId, TextMessageId, TextReason, TextState, Timestamp, Zone, reminder_due,
    text_due,
};
use serde::Serialize;
use uuid::Uuid;

use super::settings::{quiet, reminders};
use super::{TEXT_KIND, job};
use crate::deliveries::derived;
use crate::error::{Error, Result};
use crate::jobs::enqueue::enqueue;
use crate::reception::calendar::Appointment;
use crate::sql::statements;
use crate::tx::Tx;
use crate::value::Id;

statements! {
    /// How somebody is told, if they are.
    HOW = both("
        SELECT s.confirms, s.reminders, s.quiet, r.zone, c.phone FROM text_settings s
        JOIN reception r ON r.tenant_id = s.tenant_id JOIN contact c ON c.id = $2 AND c.tenant_id = s.tenant_id
        WHERE s.tenant_id = $1 AND s.enabled = 1 AND c.phone IS NOT NULL");
    PROMISE = insert((id: uuid, tenant_id: uuid, appointment_id: uuid, contact_id: uuid, reason: text, occasion: bigint,
        minutes_before: bigint, service_id: uuid, staff_id: uuid, starts_at: time, phone: text, state: text, due_at: time,
        created_at: time) "
        text_message (id, tenant_id, appointment_id, contact_id, reason, occasion, minutes_before, service_id, staff_id, starts_at,
          phone, state, due_at, attempts, created_at, updated_at)
        SELECT id, tenant_id, appointment_id, contact_id, reason, occasion, minutes_before, service_id, staff_id, starts_at, phone,
          state, due_at, 0, created_at, created_at
        FROM batch WHERE true ON CONFLICT DO NOTHING RETURNING id");
}

#[derive(sqlx::FromRow)]
struct HowRow {
    confirms: i64,
    reminders: String,
    quiet: Option<String>,
    zone: String,
    phone: String,
}

#[derive(Serialize)]
struct TextCells<'a> {
    id: Uuid,
    tenant_id: Uuid,
    appointment_id: Uuid,
    contact_id: Uuid,
    reason: &'static str,
    occasion: i64,
    minutes_before: i64,
    service_id: Uuid,
    staff_id: Uuid,
    starts_at: i64,
    phone: &'a str,
    state: &'static str,
    due_at: i64,
    created_at: i64,
}

/// A message that is to be promised.
struct Wanted {
    reason: TextReason,
    occasion: i64,
    minutes_before: i64,
    due_at: Timestamp,
}

/// What somebody is told when an appointment has become another, or was made; nothing where it concerns nobody.
fn reason(before: Option<&Appointment>, after: &Appointment) -> Option<TextReason> {
    let agreed = |one: &Appointment| matches!(one.state, AppointmentState::Booked | AppointmentState::Confirmed);
    let Some(before) = before.filter(|one| agreed(one)) else {
        return agreed(after).then_some(TextReason::Confirmation);
    };
    if after.state == AppointmentState::Cancelled {
        return Some(TextReason::Cancelled);
    }
    if !agreed(after) {
        return None;
    }
    if before.contact != after.contact {
        return Some(TextReason::Confirmation);
    }
    (before.shown.from() != after.shown.from()).then_some(TextReason::Moved)
}

/// Promises the messages about an appointment that has just been made or changed. `asked` says that whoever it is for has
/// asked for it just now, and is told at once, whatever the hour.
pub(crate) async fn promise(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    (before, after): (Option<&Appointment>, &Appointment),
    asked: bool,
    now: Timestamp,
) -> Result<()> {
    let (Some(reason), Some(contact)) = (reason(before, after), after.contact) else { return Ok(()) };
    let begins = after.shown.from();
    if begins <= now {
        return Ok(());
    }
    let how: Option<HowRow> = tx.query(HOW).bind(tenant.uuid()).bind(contact.uuid()).row().await?;
    let Some(how) = how else { return Ok(()) };
    let zone = Zone::parse(&how.zone).map_err(|_| Error::Corrupt(format!("the zone {}", how.zone)))?;
    let quiet = quiet(how.quiet.as_deref())?;
    let mut wanted = Vec::new();
    if how.confirms == 1 {
        let due_at = if asked { now } else { text_due(now, begins, &zone, quiet) };
        wanted.push(Wanted { reason, occasion: now.as_millis(), minutes_before: 0, due_at });
    }
    if reason != TextReason::Cancelled {
        for minutes in reminders(&how.reminders)? {
            let before = Duration::from_secs(60) * minutes;
            if let Some(due_at) = reminder_due(begins, before, &zone, quiet, now) {
                let occasion = begins.as_millis();
                wanted.push(Wanted { reason: TextReason::Reminder, occasion, minutes_before: minutes.into(), due_at });
            }
        }
    }
    insert(tx, tenant, (after, contact, &how.phone), &wanted, now).await
}

async fn insert(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    (appointment, contact, phone): (&Appointment, ContactId, &str),
    wanted: &[Wanted],
    now: Timestamp,
) -> Result<()> {
    if wanted.is_empty() {
        return Ok(());
    }
    let id_of = |wanted: &Wanted| {
        let numbers = [wanted.occasion.to_be_bytes(), wanted.minutes_before.to_be_bytes()];
        let appointment = appointment.id.uuid();
        let parts: [&[u8]; 4] = [appointment.as_bytes(), wanted.reason.as_str().as_bytes(), &numbers[0], &numbers[1]];
        derived(now, &parts)
    };
    let rows: Vec<_> = wanted
        .iter()
        .map(|wanted| TextCells {
            id: id_of(wanted),
            tenant_id: tenant.uuid(),
            appointment_id: appointment.id.uuid(),
            contact_id: contact.uuid(),
            reason: wanted.reason.as_str(),
            occasion: wanted.occasion,
            minutes_before: wanted.minutes_before,
            service_id: appointment.service.uuid(),
            staff_id: appointment.staff.uuid(),
            starts_at: appointment.shown.from().as_millis(),
            phone,
            state: TextState::Waiting.as_str(),
            due_at: wanted.due_at.as_millis(),
            created_at: now.as_millis(),
        })
        .collect();
    // What was promised before, such as the reminder of a time that somebody has come back to, stays as it is.
    let promised: Vec<Id> = tx.batch(PROMISE, &rows).rows().await?;
    let jobs: Vec<_> = rows
        .iter()
        .zip(wanted)
        .filter(|(row, _)| promised.iter().any(|one| one.id == row.id))
        .map(|(row, wanted)| job(TEXT_KIND, row.id.into(), tenant, TextMessageId(row.id), wanted.due_at))
        .collect();
    enqueue(tx, &jobs, now).await.map(drop)
}
