//! Text messages as they are read, and how long they are kept.

use mainstay_domain::{AppointmentId, AppointmentState, Span, TenantId, TextMessageId, TextState, Timestamp, Zone};
use uuid::Uuid;

use super::{TextMessage, TextRow};
use crate::call::Call;
use crate::error::{Error, Result};
use crate::intent::Intent;
use crate::members::word;
use crate::places::FindDue;
use crate::sql::{Sql, statements};
use crate::store::Store;
use crate::tx::{Query, Scope, Tx};
use crate::value::{At, END_OF_TIME};

statements! {
    LIST = both("
        SELECT id, appointment_id, contact_id, reason, service_id, staff_id, starts_at, phone, state, body, due_at, attempts,
          attempted_at, provider_id, error_code, error, segments, price_micros, currency, created_at, updated_at
        FROM text_message WHERE tenant_id = $1 AND (created_at, id) < ($2, $3) ORDER BY created_at DESC, id DESC LIMIT $4");
    /// A bounded walk: what is in another state is passed over.
    IN_STATE = both("
        SELECT w.id, w.appointment_id, w.contact_id, w.reason, w.service_id, w.staff_id, w.starts_at, w.phone, w.state, w.body,
          w.due_at, w.attempts, w.attempted_at, w.provider_id, w.error_code, w.error, w.segments, w.price_micros, w.currency,
          w.created_at, w.updated_at
        FROM (SELECT t.* FROM text_message t WHERE t.tenant_id = $1 AND (t.created_at, t.id) < ($2, $3)
              ORDER BY t.created_at DESC, t.id DESC LIMIT $4) w
        WHERE w.state = $5 ORDER BY w.created_at DESC, w.id DESC LIMIT $6");
    WALKED = both("
        SELECT id, created_at FROM text_message WHERE tenant_id = $1 AND (created_at, id) < ($2, $3)
        ORDER BY created_at DESC, id DESC LIMIT 1 OFFSET $4");
    OF_APPOINTMENT = both("
        SELECT id, appointment_id, contact_id, reason, service_id, staff_id, starts_at, phone, state, body, due_at, attempts,
          attempted_at, provider_id, error_code, error, segments, price_micros, currency, created_at, updated_at
        FROM text_message WHERE tenant_id = $1 AND appointment_id = $4 AND (created_at, id) < ($2, $3) AND ($6 = '' OR state = $6)
        ORDER BY created_at DESC, id DESC LIMIT $5");
    GET = both("
        SELECT id, appointment_id, contact_id, reason, service_id, staff_id, starts_at, phone, state, body, due_at, attempts,
          attempted_at, provider_id, error_code, error, segments, price_micros, currency, created_at, updated_at
        FROM text_message WHERE id = $1 AND tenant_id = $2");
    SHOWN = both("
        SELECT o.name AS organisation, r.zone, s.name AS service, f.name AS staff, a.state, a.starts_at, a.ends_at, a.created_at,
          a.updated_at
        FROM appointment a
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

/// How many messages one list of those in a state walks over at most; the answer says where the next one goes on.
const WALK: i64 = 2000;

/// Lists text messages, the last first. A page of those in a state looks at 2,000 of them at most.
#[derive(Clone, Copy, Debug)]
pub struct ListTexts {
    /// The organisation.
    pub tenant: TenantId,
    /// Of which appointment; all when it is left out.
    pub appointment: Option<AppointmentId>,
    /// In which state; in any when it is left out.
    pub state: Option<TextState>,
    /// Those before this one.
    pub before: Option<(Timestamp, TextMessageId)>,
    /// At most so many.
    pub limit: u32,
}

/// A page of text messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextPage {
    /// The messages. There may be fewer than were asked for although more follow.
    pub texts: Vec<TextMessage>,
    /// Where the next page goes on; nothing at the end.
    pub next: Option<(Timestamp, TextMessageId)>,
}

impl ListTexts {
    /// A statement that goes on where the page before has ended.
    fn begin<'t, 'c>(&self, tx: &'t mut Tx<'c>, sql: Sql) -> Query<'t, 'c> {
        let (at, id) = self.before.map_or((END_OF_TIME, Uuid::max()), |(at, id)| (at, id.uuid()));
        tx.query(sql).bind(self.tenant.uuid()).bind(At(at)).bind(id)
    }
}

#[derive(sqlx::FromRow)]
struct PlaceRow {
    id: Uuid,
    created_at: At,
}

impl Intent for ListTexts {
    type Output = TextPage;
    const WRITES: bool = false;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<TextPage> {
        let (limit, state) = (i64::from(self.limit), self.state.map_or("", TextState::as_str));
        let rows = match self.appointment {
            Some(appointment) => {
                self.begin(tx, OF_APPOINTMENT).bind(appointment.uuid()).bind(limit).bind(state).rows().await?
            }
            None if self.state.is_some() => self.begin(tx, IN_STATE).bind(WALK).bind(state).bind(limit).rows().await?,
            None => self.begin(tx, LIST).bind(limit).rows().await?,
        };
        let texts = all(rows)?;
        let full = texts.len() >= self.limit as usize;
        let mut next = texts.last().filter(|_| full).map(|text| (text.created_at, text.id));
        if !full && self.state.is_some() && self.appointment.is_none() {
            let walked: Option<PlaceRow> = self.begin(tx, WALKED).bind(WALK - 1).row().await?;
            next = walked.map(|row| (row.created_at.0, TextMessageId(row.id)));
        }
        Ok(TextPage { texts, next })
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
    /// When it is.
    pub span: Span,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

#[derive(sqlx::FromRow)]
struct ShownRow {
    organisation: String,
    zone: String,
    service: String,
    staff: String,
    state: String,
    starts_at: At,
    ends_at: At,
    created_at: At,
    updated_at: At,
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
            let span = Span::new(row.starts_at.0, row.ends_at.0);
            Ok(ShownAppointment {
                organisation: row.organisation,
                zone: Zone::parse(&row.zone).map_err(|_| Error::Corrupt(format!("the zone {}", row.zone)))?,
                service: row.service,
                staff: row.staff,
                state: word(&row.state)?,
                span: span.ok_or_else(|| Error::Corrupt("an appointment ends before it begins".to_owned()))?,
                created_at: row.created_at.0,
                updated_at: row.updated_at.0,
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
