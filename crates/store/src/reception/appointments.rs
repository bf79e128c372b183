//! Appointments: made, held, moved, and what becomes of them.
//!
//! Locks are taken in one order: staff, by their ids; then the appointment. Everything that takes or frees a time holds the
//! lock of whoever's time it is.

use std::collections::BTreeSet;
use std::time::Duration;

use mainstay_domain::{
    AppointmentId, AppointmentState, ContactId, PersonId, ServiceId, ServiceTimes, Span, StaffId, TenantId, Timestamp,
};
use uuid::Uuid;

use super::board::{Happened, count};
use super::calendar::{Appointment, appointment_of, locked_appointment};
use crate::calendars::owing::owe;
use crate::error::{Error, Result};
use crate::idempotency::{Once, Used, claim_with, find};
use crate::intent::Intent;
use crate::sql::statements;
use crate::texts::planning as texts;
use crate::turns::Claim;
use crate::tx::{Scope, Tx};
use crate::value::{At, Id};

statements! {
    /// Whoever's time is taken or freed: one after the other.
    LOCK = locking((id: uuid) "
        SELECT s.id FROM batch b JOIN staff s ON s.id = b.id AND s.tenant_id = $2 WHERE s.archived_at IS NULL ORDER BY s.id",
        "FOR NO KEY UPDATE OF s");
    /// What was held for too long is free.
    EXPIRE = update((id: uuid) "
        appointment SET state = 'cancelled', updated_at = $3 FROM batch b
        WHERE appointment.tenant_id = $2 AND appointment.staff_id = b.id AND appointment.state = 'held'
          AND appointment.expires_at <= $3");
    /// Whose time is taken. What began longer ago than the longest appointment is over.
    TAKEN = batch((id: uuid) "
        SELECT b.id FROM batch b WHERE EXISTS (
          SELECT 1 FROM appointment a WHERE a.tenant_id = $2 AND a.staff_id = b.id AND a.blocked_from > $3 AND a.blocked_from < $4
            AND a.blocked_until > $5 AND a.id <> $6 AND a.state IN ('held', 'booked', 'confirmed', 'done'))
          OR EXISTS (SELECT 1 FROM calendar_busy y WHERE y.tenant_id = $2 AND y.staff_id = b.id AND y.busy_until > $5
            AND y.busy_from < $4)");
    /// How much everybody has to do around a moment.
    LOADS = batch((id: uuid) "
        SELECT b.id, (SELECT count(*) FROM appointment a WHERE a.tenant_id = $2 AND a.staff_id = b.id AND a.blocked_from > $3
            AND a.blocked_from < $4 AND a.state IN ('held', 'booked', 'confirmed', 'done')) AS load
        FROM batch b");
    /// Whoever remembers what is taken of their time sees that it is another.
    TOUCH = update((id: uuid) "
        staff SET calendar_version = staff.calendar_version + 1 FROM batch b WHERE staff.id = b.id AND staff.tenant_id = $2");
    INSERT = both("
        INSERT INTO appointment (id, tenant_id, service_id, staff_id, contact_id, state, starts_at, ends_at, blocked_from,
          blocked_until, expires_at, note, created_at, updated_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $13)");
    MOVE = both("
        UPDATE appointment SET staff_id = $3, starts_at = $4, ends_at = $5, blocked_from = $6, blocked_until = $7, updated_at = $8
        WHERE id = $1 AND tenant_id = $2");
    CHANGE = both("
        UPDATE appointment SET state = $3, contact_id = $4, note = $5, expires_at = $6, updated_at = $7
        WHERE id = $1 AND tenant_id = $2");
}

/// What is around a moment, for who has more to do and who less.
const AROUND: Duration = Duration::from_secs(12 * 3_600);

/// What is to be made.
#[derive(Clone, Debug)]
pub struct BookAppointment {
    /// Its id.
    pub id: AppointmentId,
    /// The organisation.
    pub tenant: TenantId,
    /// What is done.
    pub service: ServiceId,
    /// Who may do it: one, or several of whom the one with the least to do is taken. At most 200.
    pub staff: BTreeSet<StaffId>,
    /// For whom; nothing while it is only held.
    pub contact: Option<ContactId>,
    /// Until when it is held; nothing when it is booked at once.
    pub held_until: Option<Timestamp>,
    /// When the contact is there.
    pub shown: Span,
    /// What it takes of somebody's time.
    pub blocked: Span,
    /// What is to be known of it.
    pub note: String,
    /// The idempotency key, if there is one, and whose it is; the nil UUID for what comes from no person.
    pub claim: Option<(PersonId, Claim)>,
    /// Whether whoever it is for asks for it now, and is told at once, whatever the hour.
    pub asked: bool,
    /// The present moment.
    pub now: Timestamp,
}

/// What became of the wish for a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Booking {
    /// It is theirs.
    Made(Appointment),
    /// It is somebody else's.
    Taken,
    /// The appointment is not what it would have to be for that.
    Refused(AppointmentState),
}

#[derive(sqlx::FromRow)]
struct LoadRow {
    id: Uuid,
    load: i64,
}

fn ids(staff: impl IntoIterator<Item = StaffId>) -> Vec<Id> {
    staff.into_iter().map(|staff| Id { id: staff.uuid() }).collect()
}

/// Locks whoever of these works there, and frees what was held for too long.
pub(crate) async fn lock(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    staff: &BTreeSet<StaffId>,
    now: Timestamp,
) -> Result<Vec<Id>> {
    let staff = ids(staff.iter().copied());
    let there: Vec<Id> = tx.batch(LOCK, &staff).bind(tenant.uuid()).rows().await?;
    if !there.is_empty() {
        tx.batch(EXPIRE, &there).bind(tenant.uuid()).bind(At(now)).run().await?;
    }
    Ok(there)
}

/// Those of them whose time is free, but for an appointment that may be moved.
async fn free(tx: &mut Tx<'_>, tenant: TenantId, staff: Vec<Id>, blocked: Span, but: AppointmentId) -> Result<Vec<Id>> {
    let from = blocked.from();
    let taken = tx
        .batch(TAKEN, &staff)
        .bind(tenant.uuid())
        .bind(At(from.minus(ServiceTimes::LONGEST)))
        .bind(At(blocked.until()));
    let taken: Vec<Id> = taken.bind(At(from)).bind(but.uuid()).rows().await?;
    Ok(staff.into_iter().filter(|one| !taken.iter().any(|other| other.id == one.id)).collect())
}

/// Time of theirs was taken or freed.
pub(crate) async fn touch(tx: &mut Tx<'_>, tenant: TenantId, staff: impl IntoIterator<Item = StaffId>) -> Result<()> {
    let staff: BTreeSet<StaffId> = staff.into_iter().collect();
    tx.batch(TOUCH, &ids(staff)).bind(tenant.uuid()).run().await.map(drop)
}

/// The one of them with the least to do around a moment; of several the one who came first.
async fn least(tx: &mut Tx<'_>, tenant: TenantId, free: &[Id], at: Timestamp) -> Result<Option<StaffId>> {
    if let [] | [_] = free {
        return Ok(free.first().map(|one| StaffId(one.id)));
    }
    let loads = tx.batch(LOADS, free).bind(tenant.uuid()).bind(At(at.minus(AROUND))).bind(At(at.plus(AROUND)));
    let loads: Vec<LoadRow> = loads.rows().await?;
    Ok(loads.into_iter().min_by_key(|row| (row.load, row.id)).map(|row| StaffId(row.id)))
}

impl Intent for BookAppointment {
    type Output = Once<Booking>;
    const WRITES: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Once<Booking>> {
        let there = lock(tx, self.tenant, &self.staff, self.now).await?;
        if there.is_empty() {
            return Err(Error::Missing("member of the staff"));
        }
        // Under the lock: whoever had the same wish before has been served by now. What is refused leaves no key behind.
        if let Some(used) = self.used(tx).await? {
            return Ok(Once::Repeat(used));
        }
        let free = free(tx, self.tenant, there, self.blocked, self.id).await?;
        let Some(staff) = least(tx, self.tenant, &free, self.shown.from()).await? else {
            return Ok(Once::Done(Booking::Taken));
        };
        let appointment = self.appointment(staff);
        insert(tx, self.tenant, &appointment).await?;
        touch(tx, self.tenant, [staff]).await?;
        if self.held_until.is_none() {
            owe(tx, self.tenant, &appointment, [staff], self.now).await?;
        }
        let made = ("appointment", self.id.uuid());
        // The same key for another time: this one is not made, and the next look finds the key.
        if claim_with(tx, self.tenant, self.claim.as_ref(), made, self.now).await?.is_some() {
            return Err(Error::Conflict);
        }
        texts::promise(tx, self.tenant, (None, &appointment), self.asked, self.now).await?;
        count(tx, self.tenant, Happened::Appointment, self.now).await?;
        Ok(Once::Done(Booking::Made(appointment)))
    }
}

impl BookAppointment {
    async fn used(&self, tx: &mut Tx<'_>) -> Result<Option<Used>> {
        match &self.claim {
            Some((person, claim)) => find(tx, self.tenant, *person, &claim.key).await,
            None => Ok(None),
        }
    }

    pub(crate) fn appointment(&self, staff: StaffId) -> Appointment {
        let state = if self.held_until.is_some() { AppointmentState::Held } else { AppointmentState::Booked };
        Appointment {
            id: self.id,
            service: self.service,
            staff,
            contact: self.contact,
            state,
            shown: self.shown,
            blocked: self.blocked,
            expires_at: self.held_until,
            note: self.note.clone(),
            created_at: self.now,
            updated_at: self.now,
        }
    }
}

async fn insert(tx: &mut Tx<'_>, tenant: TenantId, appointment: &Appointment) -> Result<()> {
    let Appointment { id, service, staff, contact, state, shown, blocked, expires_at, note, created_at, .. } =
        appointment;
    tx.query(INSERT)
        .bind(id.uuid())
        .bind(tenant.uuid())
        .bind(service.uuid())
        .bind(staff.uuid())
        .bind(contact.map(ContactId::uuid))
        .bind(state.as_str())
        .bind(At(shown.from()))
        .bind(At(shown.until()))
        .bind(At(blocked.from()))
        .bind(At(blocked.until()))
        .bind(expires_at.map(At))
        .bind(note.clone())
        .bind(At(*created_at))
        .run()
        .await
        .map(drop)
}

/// Moves an appointment to another time, to somebody else, or both: it has the one or the other, and never none.
#[derive(Clone, Debug)]
pub struct MoveAppointment {
    /// The organisation.
    pub tenant: TenantId,
    /// Which.
    pub id: AppointmentId,
    /// Who does it from now on.
    pub staff: StaffId,
    /// When the contact is there from now on.
    pub shown: Span,
    /// What it takes of somebody's time from now on.
    pub blocked: Span,
    /// Whether whoever it is for asks for it now, and is told at once, whatever the hour.
    pub asked: bool,
    /// The present moment.
    pub now: Timestamp,
}

/// Locks an appointment with whoever does it and whoever else is named, and reads it.
async fn locked(
    tx: &mut Tx<'_>,
    (tenant, id): (TenantId, AppointmentId),
    other: Option<StaffId>,
    now: Timestamp,
) -> Result<(Appointment, Vec<Id>)> {
    let missing = || Error::Missing("appointment");
    let before = appointment_of(tx, tenant, id).await?.ok_or_else(missing)?;
    let there = lock(tx, tenant, &[before.staff].into_iter().chain(other).collect(), now).await?;
    let appointment = locked_appointment(tx, tenant, id).await?.ok_or_else(missing)?;
    // It went to somebody else between the two looks, who is not locked.
    if appointment.staff == before.staff { Ok((appointment, there)) } else { Err(Error::Conflict) }
}

/// Reads an appointment that nobody else changes until the transaction ends, nor the time of whoever does it.
pub(crate) async fn locked_appointment_of(
    tx: &mut Tx<'_>,
    which: (TenantId, AppointmentId),
    now: Timestamp,
) -> Result<Appointment> {
    locked(tx, which, None, now).await.map(|(appointment, _)| appointment)
}

impl Intent for MoveAppointment {
    type Output = Booking;
    const WRITES: bool = true;
    const REPEATABLE: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Booking> {
        let booking = self.place(tx).await?;
        if let Booking::Made(_) = &booking {
            count(tx, self.tenant, Happened::Appointment, self.now).await?;
        }
        Ok(booking)
    }
}

impl MoveAppointment {
    /// Moves it. Whoever has moved all that they will counts the board up, once.
    pub(crate) async fn place(&self, tx: &mut Tx<'_>) -> Result<Booking> {
        let (mut appointment, there) = locked(tx, (self.tenant, self.id), Some(self.staff), self.now).await?;
        if !appointment.state.is_ahead() {
            return Ok(Booking::Refused(appointment.state));
        }
        let Some(staff) = there.into_iter().find(|one| one.id == self.staff.uuid()) else {
            return Err(Error::Missing("member of the staff"));
        };
        if free(tx, self.tenant, vec![staff], self.blocked, self.id).await?.is_empty() {
            return Ok(Booking::Taken);
        }
        touch(tx, self.tenant, [appointment.staff, self.staff]).await?;
        let before = appointment.clone();
        (appointment.staff, appointment.shown, appointment.blocked) = (self.staff, self.shown, self.blocked);
        appointment.updated_at = self.now;
        tx.query(MOVE)
            .bind(self.id.uuid())
            .bind(self.tenant.uuid())
            .bind(self.staff.uuid())
            .bind(At(self.shown.from()))
            .bind(At(self.shown.until()))
            .bind(At(self.blocked.from()))
            .bind(At(self.blocked.until()))
            .bind(At(self.now))
            .run()
            .await?;
        texts::promise(tx, self.tenant, (Some(&before), &appointment), self.asked, self.now).await?;
        owe(tx, self.tenant, &appointment, [before.staff, self.staff], self.now).await?;
        Ok(Booking::Made(appointment))
    }
}

/// Says what becomes of an appointment: a held one is booked, one is confirmed or cancelled, somebody came or did not.
#[derive(Clone, Debug)]
pub struct ChangeAppointment {
    /// The organisation.
    pub tenant: TenantId,
    /// Which.
    pub id: AppointmentId,
    /// What it becomes.
    pub state: AppointmentState,
    /// For whom it is, where that becomes known.
    pub contact: Option<ContactId>,
    /// What is to be known of it, where that changes.
    pub note: Option<String>,
    /// Whether whoever it is for asks for it now, and is told at once, whatever the hour.
    pub asked: bool,
    /// The present moment.
    pub now: Timestamp,
}

impl Intent for ChangeAppointment {
    type Output = Booking;
    const WRITES: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Booking> {
        let (mut appointment, _) = locked(tx, (self.tenant, self.id), None, self.now).await?;
        let contact = self.contact.or(appointment.contact);
        let stays = self.state == appointment.state;
        let known = contact.is_some() || matches!(self.state, AppointmentState::Held | AppointmentState::Cancelled);
        if !known || !(stays || appointment.state.may_become(self.state)) {
            return Ok(Booking::Refused(appointment.state));
        }
        if self.state.blocks() && !appointment.state.blocks() {
            let staff = ids([appointment.staff]);
            if free(tx, self.tenant, staff, appointment.blocked, self.id).await?.is_empty() {
                return Ok(Booking::Taken);
            }
        }
        touch(tx, self.tenant, [appointment.staff]).await?;
        let before = appointment.clone();
        (appointment.state, appointment.contact, appointment.updated_at) = (self.state, contact, self.now);
        appointment.expires_at = appointment.expires_at.filter(|_| self.state == AppointmentState::Held);
        if let Some(note) = &self.note {
            appointment.note.clone_from(note);
        }
        tx.query(CHANGE)
            .bind(self.id.uuid())
            .bind(self.tenant.uuid())
            .bind(appointment.state.as_str())
            .bind(contact.map(ContactId::uuid))
            .bind(appointment.note.clone())
            .bind(appointment.expires_at.map(At))
            .bind(At(self.now))
            .run()
            .await?;
        texts::promise(tx, self.tenant, (Some(&before), &appointment), self.asked, self.now).await?;
        owe(tx, self.tenant, &appointment, [appointment.staff], self.now).await?;
        count(tx, self.tenant, Happened::Appointment, self.now).await?;
        Ok(Booking::Made(appointment))
    }
}

/// Stores appointments without a look at others, for tests of what the schema itself refuses.
#[cfg(test)]
pub(crate) struct StoreUnseen {
    pub(crate) tenant: TenantId,
    pub(crate) appointments: Vec<Appointment>,
}

#[cfg(test)]
impl Intent for StoreUnseen {
    type Output = ();
    const WRITES: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<()> {
        for appointment in &self.appointments {
            insert(tx, self.tenant, appointment).await?;
        }
        Ok(())
    }
}
