//! Text messages as they are read, and how long they are kept.

use mainstay_domain::{AppointmentId, AppointmentState, TenantId, TextMessageId, Timestamp, Zone};
use uuid::Uuid;

use super::{TextMessage, TextRow};
use crate::call::Call;
use crate::error::{Error, Result};
use crate::intent::Intent;
use crate::members::word;
use crate::places::FindDue;
use crate::sql::statements;
use crate::store::Store;
use crate::tx::{Scope, Tx};
use crate::value::{At, END_OF_TIME};

statements! {
    LIST = both("
        SELECT id, appointment_id, contact_id, reason, service_id, staff_id, starts_at, phone, state, body, due_at, attempts,
          attempted_at, provider_id, error_code, error, segments, price_micros, currency, created_at, updated_at
        FROM text_message WHERE tenant_id = $1 AND (created_at, id) < ($2, $3) ORDER BY created_at DESC, id DESC LIMIT $4");
    OF_APPOINTMENT = both("
        SELECT id, appointment_id, contact_id, reason, service_id, staff_id, starts_at, phone, state, body, due_at, attempts,
          attempted_at, provider_id, error_code, error, segments, price_micros, currency, created_at, updated_at
        FROM text_message WHERE tenant_id = $1 AND appointment_id = $4 AND (created_at, id) < ($2, $3)
        ORDER BY created_at DESC, id DESC LIMIT $5");
    GET = both("
        SELECT id, appointment_id, contact_id, reason, service_id, staff_id, starts_at, phone, state, body, due_at, attempts,
          attempted_at, provider_id, error_code, error, segments, price_micros, currency, created_at, updated_at
        FROM text_message WHERE id = $1 AND tenant_id = $2");
    SHOWN = both("
        SELECT o.name AS organisation, r.zone, s.name AS service, f.name AS staff, a.state, a.starts_at FROM appointment a
        JOIN organisation o ON o.tenant_id = a.tenant_id JOIN reception r ON r.tenant_id = a.tenant_id
        JOIN service s ON s.id = a.service_id AND s.tenant_id = a.tenant_id
        JOIN staff f ON f.id = a.staff_id AND f.tenant_id = a.tenant_id
        WHERE a.id = $1 AND a.tenant_id = $2");
    OLD = both("SELECT id, tenant_id FROM text_message WHERE created_at < $1 ORDER BY created_at LIMIT 500");
    FORGET = batch((id: uuid, tenant_id: uuid) "
        DELETE FROM text_message WHERE (id, tenant_id) IN (SELECT id, tenant_id FROM batch)");
}

fn all(rows: Vec<TextRow>) -> Result<Vec<TextMessage>> {
    rows.into_iter().map(TextMessage::try_from).collect()
}

/// Lists text messages, the last first.
#[derive(Clone, Copy, Debug)]
pub struct ListTexts {
    /// The organisation.
    pub tenant: TenantId,
    /// Of which appointment; all when it is left out.
    pub appointment: Option<AppointmentId>,
    /// Those before this one.
    pub before: Option<(Timestamp, TextMessageId)>,
    /// At most so many.
    pub limit: u32,
}

impl Intent for ListTexts {
    type Output = Vec<TextMessage>;
    const WRITES: bool = false;
    const ONE_STATEMENT: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output> {
        let (at, id) = self.before.map_or((END_OF_TIME, Uuid::max()), |(at, id)| (at, id.uuid()));
        let limit = i64::from(self.limit);
        let rows = match self.appointment {
            None => tx.query(LIST).bind(self.tenant.uuid()).bind(At(at)).bind(id).bind(limit).rows().await?,
            Some(appointment) => {
                let of = tx.query(OF_APPOINTMENT).bind(self.tenant.uuid()).bind(At(at)).bind(id);
                of.bind(appointment.uuid()).bind(limit).rows().await?
            }
        };
        all(rows)
    }
}

/// Reads a text message.
#[derive(Clone, Copy, Debug)]
pub struct GetText {
    /// The organisation.
    pub tenant: TenantId,
    /// Which.
    pub id: TextMessageId,
}

impl Intent for GetText {
    type Output = Option<TextMessage>;
    const WRITES: bool = false;
    const ONE_STATEMENT: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output> {
        text_of(tx, self.tenant, self.id).await
    }
}

pub(super) async fn text_of(tx: &mut Tx<'_>, tenant: TenantId, id: TextMessageId) -> Result<Option<TextMessage>> {
    let row: Option<TextRow> = tx.query(GET).bind(id.uuid()).bind(tenant.uuid()).row().await?;
    row.map(TextMessage::try_from).transpose()
}

/// Reads what whoever has the link of an appointment is shown.
#[derive(Clone, Copy, Debug)]
pub struct ShowAppointment {
    /// The organisation.
    pub tenant: TenantId,
    /// Which.
    pub id: AppointmentId,
}

/// What whoever has the link of an appointment is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShownAppointment {
    /// What the organisation is called.
    pub organisation: String,
    /// Where its reception is.
    pub zone: Zone,
    /// What is done.
    pub service: String,
    /// Who does it.
    pub staff: String,
    /// What has become of it.
    pub state: AppointmentState,
    /// When it begins.
    pub starts_at: Timestamp,
}

#[derive(sqlx::FromRow)]
struct ShownRow {
    organisation: String,
    zone: String,
    service: String,
    staff: String,
    state: String,
    starts_at: At,
}

impl Intent for ShowAppointment {
    type Output = Option<ShownAppointment>;
    const WRITES: bool = false;
    const ONE_STATEMENT: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output> {
        let row: Option<ShownRow> = tx.query(SHOWN).bind(self.id.uuid()).bind(self.tenant.uuid()).row().await?;
        let shown = |row: ShownRow| {
            Ok(ShownAppointment {
                organisation: row.organisation,
                zone: Zone::parse(&row.zone).map_err(|_| Error::Corrupt(format!("the zone {}", row.zone)))?,
                service: row.service,
                staff: row.staff,
                state: word(&row.state)?,
                starts_at: row.starts_at.0,
            })
        };
        row.map(shown).transpose()
    }
}

impl Store {
    /// Forgets text messages from before a moment, at most 500. The answer is how many there were.
    ///
    /// # Errors
    /// As every intent.
    pub async fn forget_texts(&self, call: &Call, before: Timestamp) -> Result<usize> {
        let old = self.run(call, FindDue(OLD, before)).await?;
        self.forget_places(call, FORGET, old).await
    }
}
