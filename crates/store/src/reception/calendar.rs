//! Appointments as they are read.

use mainstay_domain::{AppointmentId, AppointmentState, ContactId, ServiceId, Span, StaffId, TenantId, Timestamp};
use uuid::Uuid;

use crate::error::{Error, Result};
use crate::intent::Intent;
use crate::members::word;
use crate::sql::{Sql, statements};
use crate::tx::{Scope, Tx};
use crate::value::{At, END_OF_TIME, moment};

statements! {
    GET = both("
        SELECT id, service_id, staff_id, contact_id, state, starts_at, ends_at, blocked_from, blocked_until, expires_at, note,
          created_at, updated_at
        FROM appointment WHERE id = $1 AND tenant_id = $2");
    LOCKED = pair(sqlite "
        SELECT id, service_id, staff_id, contact_id, state, starts_at, ends_at, blocked_from, blocked_until, expires_at, note,
          created_at, updated_at
        FROM appointment WHERE id = $1 AND tenant_id = $2",
        postgres "
        SELECT id, service_id, staff_id, contact_id, state, starts_at, ends_at, blocked_from, blocked_until, expires_at, note,
          created_at, updated_at
        FROM appointment WHERE id = $1 AND tenant_id = $2 FOR UPDATE",
        differs "SQLite has one writer and no row locks");
    LIST = both("
        SELECT id, service_id, staff_id, contact_id, state, starts_at, ends_at, blocked_from, blocked_until, expires_at, note,
          created_at, updated_at
        FROM appointment WHERE tenant_id = $1 AND starts_at < $2 AND (starts_at, id) > ($3, $4) ORDER BY starts_at, id LIMIT $5");
    OF_CONTACT = both("
        SELECT id, service_id, staff_id, contact_id, state, starts_at, ends_at, blocked_from, blocked_until, expires_at, note,
          created_at, updated_at
        FROM appointment WHERE tenant_id = $1 AND contact_id = $2 AND (starts_at, id) < ($3, $4)
        ORDER BY starts_at DESC, id DESC LIMIT $5");
}

/// A service that is done for a contact by somebody at a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Appointment {
    /// Its id.
    pub id: AppointmentId,
    /// What is done.
    pub service: ServiceId,
    /// Who does it.
    pub staff: StaffId,
    /// For whom; nothing while it is only held.
    pub contact: Option<ContactId>,
    /// Where it is in its life.
    pub state: AppointmentState,
    /// When the contact is there.
    pub shown: Span,
    /// What it takes of somebody's time.
    pub blocked: Span,
    /// Until when it is held.
    pub expires_at: Option<Timestamp>,
    /// What is to be known of it.
    pub note: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

#[derive(sqlx::FromRow)]
struct AppointmentRow {
    id: Uuid,
    service_id: Uuid,
    staff_id: Uuid,
    contact_id: Option<Uuid>,
    state: String,
    starts_at: At,
    ends_at: At,
    blocked_from: At,
    blocked_until: At,
    expires_at: Option<At>,
    note: String,
    created_at: At,
    updated_at: At,
}

impl TryFrom<AppointmentRow> for Appointment {
    type Error = Error;

    fn try_from(row: AppointmentRow) -> Result<Self> {
        let span = |from: At, until: At| {
            Span::new(from.0, until.0).ok_or_else(|| Error::Corrupt("an appointment ends before it begins".to_owned()))
        };
        Ok(Self {
            id: AppointmentId(row.id),
            service: ServiceId(row.service_id),
            staff: StaffId(row.staff_id),
            contact: row.contact_id.map(ContactId),
            state: word(&row.state)?,
            shown: span(row.starts_at, row.ends_at)?,
            blocked: span(row.blocked_from, row.blocked_until)?,
            expires_at: moment(row.expires_at),
            note: row.note,
            created_at: row.created_at.0,
            updated_at: row.updated_at.0,
        })
    }
}

fn all(rows: Vec<AppointmentRow>) -> Result<Vec<Appointment>> {
    rows.into_iter().map(Appointment::try_from).collect()
}

pub(crate) async fn appointment_of(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    id: AppointmentId,
) -> Result<Option<Appointment>> {
    read(tx, GET, tenant, id).await
}

/// The same, and nobody else changes it until the transaction ends.
pub(super) async fn locked_appointment(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    id: AppointmentId,
) -> Result<Option<Appointment>> {
    read(tx, LOCKED, tenant, id).await
}

async fn read(tx: &mut Tx<'_>, sql: Sql, tenant: TenantId, id: AppointmentId) -> Result<Option<Appointment>> {
    let row = tx.query(sql).bind(id.uuid()).bind(tenant.uuid()).row::<AppointmentRow>().await?;
    row.map(Appointment::try_from).transpose()
}

/// Reads an appointment.
#[derive(Clone, Copy, Debug)]
pub struct GetAppointment {
    /// The organisation.
    pub tenant: TenantId,
    /// Which.
    pub id: AppointmentId,
}

impl Intent for GetAppointment {
    type Output = Option<Appointment>;
    const WRITES: bool = false;
    const ONE_STATEMENT: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Option<Appointment>> {
        appointment_of(tx, self.tenant, self.id).await
    }
}

/// Lists the appointments that begin within a stretch of time, in order, whatever became of them.
#[derive(Clone, Copy, Debug)]
pub struct ListAppointments {
    /// The organisation.
    pub tenant: TenantId,
    /// Which stretch.
    pub within: Span,
    /// Those after this one.
    pub after: Option<(Timestamp, AppointmentId)>,
    /// At most so many.
    pub limit: u32,
}

impl Intent for ListAppointments {
    type Output = Vec<Appointment>;
    const WRITES: bool = false;
    const ONE_STATEMENT: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Vec<Appointment>> {
        // No appointment has the nil UUID, so those that begin with the stretch are after it.
        let (at, id) = self.after.map_or((self.within.from(), Uuid::nil()), |(at, id)| (at, id.uuid()));
        let list = tx.query(LIST).bind(self.tenant.uuid()).bind(At(self.within.until())).bind(At(at)).bind(id);
        all(list.bind(i64::from(self.limit)).rows().await?)
    }
}

/// Lists the appointments of a contact, the last first.
#[derive(Clone, Copy, Debug)]
pub struct AppointmentsOf {
    /// The organisation.
    pub tenant: TenantId,
    /// Whose.
    pub contact: ContactId,
    /// Those before this one.
    pub before: Option<(Timestamp, AppointmentId)>,
    /// At most so many.
    pub limit: u32,
}

impl Intent for AppointmentsOf {
    type Output = Vec<Appointment>;
    const WRITES: bool = false;
    const ONE_STATEMENT: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Vec<Appointment>> {
        let (at, id) = self.before.map_or((END_OF_TIME, Uuid::max()), |(at, id)| (at, id.uuid()));
        let list = tx.query(OF_CONTACT).bind(self.tenant.uuid()).bind(self.contact.uuid()).bind(At(at)).bind(id);
        all(list.bind(i64::from(self.limit)).rows().await?)
    }
}
