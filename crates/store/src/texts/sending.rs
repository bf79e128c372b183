//! Sending: what is needed to say it, the step before the first byte goes out, and what came of it.

use mainstay_domain::{AppointmentState, ContactId, TenantId, TextMessageId, TextReason, TextState, Timestamp, Zone};
use uuid::Uuid;

use super::listing::text_of;
use super::settings::{TextSettings, settings_of};
use super::{TEXT_LOOK_KIND, TextMessage, job};
use crate::error::{Error, Result};
use crate::intent::Intent;
use crate::jobs::enqueue::enqueue;
use crate::jobs::finish::{Fence, done};
use crate::members::word;
use crate::reception::board::{Happened, count};
use crate::sql::statements;
use crate::tx::{Scope, Tx};
use crate::value::At;

statements! {
    /// What is said of it, and what holds now. Whoever has the appointment now is reminded of it.
    AROUND = both("
        SELECT o.name AS organisation, r.zone, s.name AS service, f.name AS staff, a.state AS appointment_state,
          a.starts_at AS begins_at, a.contact_id AS contact_id, c.phone AS contact_phone,
          (SELECT x.stopped FROM text_opt_out x WHERE x.tenant_id = t.tenant_id AND x.phone =
            CASE WHEN t.reason = 'reminder' THEN c.phone ELSE t.phone END) AS stopped,
          (SELECT count(*) FROM text_message e WHERE e.tenant_id = t.tenant_id AND e.appointment_id = t.appointment_id
            AND e.reason IN ('confirmation', 'moved', 'cancelled') AND e.created_at < t.created_at
            AND e.state IN ('waiting', 'sending', 'unknown')) AS owed_before
        FROM text_message t
        JOIN organisation o ON o.tenant_id = t.tenant_id
        JOIN reception r ON r.tenant_id = t.tenant_id
        JOIN service s ON s.id = t.service_id AND s.tenant_id = t.tenant_id
        JOIN staff f ON f.id = t.staff_id AND f.tenant_id = t.tenant_id
        JOIN appointment a ON a.id = t.appointment_id AND a.tenant_id = t.tenant_id
        LEFT JOIN contact c ON c.id = a.contact_id AND c.tenant_id = a.tenant_id
        WHERE t.id = $1 AND t.tenant_id = $2");
    /// Whoever has said stop meanwhile gets nothing; nor does whoever is to be reminded of what is at another time now.
    BEGIN = both("
        UPDATE text_message SET state = 'sending', contact_id = $3, phone = $4, body = $5, attempts = attempts + 1,
          attempted_at = $6, error = NULL, error_code = NULL, updated_at = $6
        WHERE id = $1 AND tenant_id = $2 AND state = 'waiting' AND attempts = $7
          AND NOT EXISTS (SELECT 1 FROM text_opt_out x WHERE x.phone = $4 AND x.tenant_id = text_message.tenant_id AND x.stopped = 1)
          AND (reason <> 'reminder' OR EXISTS (SELECT 1 FROM appointment a WHERE a.id = text_message.appointment_id
            AND a.tenant_id = text_message.tenant_id AND a.starts_at = text_message.starts_at
            AND a.state IN ('booked', 'confirmed')))");
    ACCEPTED = both("
        UPDATE text_message SET state = $4, provider_id = $5, segments = $6, error = NULL, updated_at = $7
        WHERE id = $1 AND tenant_id = $2 AND attempts = $3 AND state IN ('sending', 'unknown')");
    ENDED = both("
        UPDATE text_message SET state = $4, error_code = $5, error = $6, updated_at = $7
        WHERE id = $1 AND tenant_id = $2 AND attempts = $3 AND state IN ('waiting', 'sending', 'unknown')");
    STOP = both("
        INSERT INTO text_opt_out (phone, tenant_id, stopped, changed_at)
        SELECT t.phone, t.tenant_id, 1, $3 FROM text_message t WHERE t.id = $1 AND t.tenant_id = $2
        ON CONFLICT (phone, tenant_id) DO UPDATE SET stopped = 1, changed_at = excluded.changed_at");
}

/// A message that a worker has, with all that is needed to say it.
#[derive(Clone, Debug)]
pub struct TextDue {
    /// The message.
    pub text: TextMessage,
    /// How the organisation sends them; nothing where nobody has said.
    pub settings: Option<TextSettings>,
    /// What it is about and what holds now; nothing where something of it is gone.
    pub around: Option<TextAround>,
}

/// What a message is about, and what holds now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextAround {
    /// What the organisation is called.
    pub organisation: String,
    /// Where its reception is.
    pub zone: Zone,
    /// What is done.
    pub service: String,
    /// Who does it.
    pub staff: String,
    /// What has become of the appointment.
    pub state: AppointmentState,
    /// When it begins now.
    pub begins_at: Timestamp,
    /// Whose it is now, with a number.
    pub contact: Option<(ContactId, String)>,
    /// Whether whoever it goes to wants none.
    pub stopped: bool,
    /// Whether something that was promised before it is not yet sent.
    pub waits: bool,
}

#[derive(sqlx::FromRow)]
struct AroundRow {
    organisation: String,
    zone: String,
    service: String,
    staff: String,
    appointment_state: String,
    begins_at: At,
    contact_id: Option<Uuid>,
    contact_phone: Option<String>,
    stopped: Option<i64>,
    owed_before: i64,
}

impl TryFrom<AroundRow> for TextAround {
    type Error = Error;

    fn try_from(row: AroundRow) -> Result<Self> {
        Ok(Self {
            organisation: row.organisation,
            zone: Zone::parse(&row.zone).map_err(|_| Error::Corrupt(format!("the zone {}", row.zone)))?,
            service: row.service,
            staff: row.staff,
            state: word(&row.appointment_state)?,
            begins_at: row.begins_at.0,
            contact: row.contact_id.map(ContactId).zip(row.contact_phone),
            stopped: row.stopped == Some(1),
            waits: row.owed_before > 0,
        })
    }
}

/// Reads a message that is to be sent, or of which it is to be found out what became of it.
#[derive(Clone, Copy, Debug)]
pub struct ReadText {
    /// The organisation.
    pub tenant: TenantId,
    /// Which.
    pub id: TextMessageId,
}

impl Intent for ReadText {
    type Output = Option<TextDue>;
    const WRITES: bool = false;
    const SNAPSHOT: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output> {
        let Some(text) = text_of(tx, self.tenant, self.id).await? else { return Ok(None) };
        let settings = settings_of(tx, self.tenant).await?;
        let around: Option<AroundRow> = tx.query(AROUND).bind(self.id.uuid()).bind(self.tenant.uuid()).row().await?;
        Ok(Some(TextDue { text, settings, around: around.map(TextAround::try_from).transpose()? }))
    }
}

/// Says that a message is about to be sent, before the first byte goes out. False when something has changed since it was
/// read: then it is not to be sent.
#[derive(Clone, Debug)]
pub struct BeginText {
    /// The organisation.
    pub tenant: TenantId,
    /// Which.
    pub id: TextMessageId,
    /// How often it was tried when it was read.
    pub seen_attempts: u32,
    /// To whom it goes, and where to.
    pub to: (ContactId, String),
    /// What is said.
    pub body: String,
    /// The present moment.
    pub now: Timestamp,
}

impl Intent for BeginText {
    type Output = bool;
    const WRITES: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<bool> {
        let begin = tx.query(BEGIN).bind(self.id.uuid()).bind(self.tenant.uuid()).bind(self.to.0.uuid());
        let begin = begin.bind(self.to.1.clone()).bind(self.body.clone()).bind(At(self.now));
        Ok(begin.bind(i64::from(self.seen_attempts)).run().await? == 1)
    }
}

/// What came of sending a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TextEnd {
    /// The provider has it.
    Accepted {
        /// The provider's id.
        provider_id: String,
        /// Where it is in its life.
        state: TextState,
        /// How many messages of the network it takes.
        segments: Option<i64>,
        /// The job that asks later what became of it, and when.
        look: (mainstay_domain::JobId, Timestamp),
    },
    /// It will not be sent: the provider has refused it, or there is no reason any more.
    Over {
        /// Failed or dropped.
        state: TextState,
        /// The provider's code.
        code: Option<i64>,
        /// Why.
        error: String,
        /// Whether the provider says that whoever it goes to wants none.
        stopped: bool,
    },
    /// The provider has not got it for certain: it is to be sent again.
    Again(String),
    /// Nobody knows whether the provider has it.
    Unknown(String),
}

/// Keeps what came of sending a message, and ends the job where it is over. What another attempt has said meanwhile stays.
#[derive(Clone, Debug)]
pub struct EndText {
    /// The organisation.
    pub tenant: TenantId,
    /// Which.
    pub id: TextMessageId,
    /// The attempt.
    pub attempts: u32,
    /// What came of it.
    pub end: TextEnd,
    /// The job that ends with it.
    pub fence: Option<Fence>,
    /// The present moment.
    pub now: Timestamp,
}

impl Intent for EndText {
    type Output = ();
    const WRITES: bool = true;
    const REPEATABLE: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<()> {
        let (id, tenant, attempts) = (self.id.uuid(), self.tenant.uuid(), i64::from(self.attempts));
        match &self.end {
            TextEnd::Accepted { provider_id, state, segments, look } => {
                let accepted = tx.query(ACCEPTED).bind(id).bind(tenant).bind(attempts).bind(state.as_str());
                let accepted = accepted.bind(provider_id.clone()).bind(*segments).bind(At(self.now));
                if accepted.run().await? == 1 {
                    let look = job(TEXT_LOOK_KIND, look.0, self.tenant, self.id, look.1);
                    enqueue(tx, &[look], self.now).await?;
                }
            }
            TextEnd::Over { state, code, error, stopped } => {
                self.ended(tx, (*state, *code), error).await?;
                if *stopped {
                    tx.query(STOP).bind(id).bind(tenant).bind(At(self.now)).run().await?;
                }
            }
            TextEnd::Again(error) => self.ended(tx, (TextState::Waiting, None), error).await?,
            TextEnd::Unknown(error) => self.ended(tx, (TextState::Unknown, None), error).await?,
        }
        count(tx, self.tenant, Happened::Appointment, self.now).await?;
        match self.fence {
            Some(fence) => done(tx, fence, self.now).await,
            None => Ok(()),
        }
    }
}

impl EndText {
    async fn ended(&self, tx: &mut Tx<'_>, (state, code): (TextState, Option<i64>), error: &str) -> Result<()> {
        let ended = tx.query(ENDED).bind(self.id.uuid()).bind(self.tenant.uuid()).bind(i64::from(self.attempts));
        let ended = ended.bind(state.as_str()).bind(code).bind(error.to_owned()).bind(At(self.now));
        ended.run().await.map(drop)
    }
}

impl TextDue {
    /// To whom it goes and where to: whoever has the appointment now is reminded of it.
    #[must_use]
    pub fn to(&self) -> Option<(ContactId, String)> {
        match (self.text.reason, &self.around) {
            (TextReason::Reminder, Some(around)) => around.contact.clone(),
            // Whoever was erased has no number any more.
            _ => Some((self.text.contact, self.text.phone.clone())).filter(|(_, phone)| !phone.is_empty()),
        }
    }
}
