//! Text messages: promised by the transaction that is their cause, sent once, and heard of again.
//!
//! The id of a message follows from why it is sent, so that there is one for each reason. Before the first byte goes out it
//! says that it is being sent; whoever finds it so after a crash finds out first what became of it, and sends nothing twice.

pub(crate) mod faults;
pub(crate) mod hearing;
pub(crate) mod listing;
pub(crate) mod opting;
pub(crate) mod planning;
pub(crate) mod sending;
pub(crate) mod settings;

#[cfg(test)]
pub(crate) const ALL_STATEMENTS: &[&[crate::sql::Sql]] = &[
    faults::STATEMENTS,
    hearing::STATEMENTS,
    listing::STATEMENTS,
    opting::STATEMENTS,
    planning::STATEMENTS,
    sending::STATEMENTS,
    settings::STATEMENTS,
];

use mainstay_domain::{
    AppointmentId, ContactId, JobId, JobPriority, ServiceId, StaffId, TenantId, TextMessageId, TextReason, TextState,
    Timestamp,
};
use uuid::Uuid;

use crate::error::{Error, Result};
use crate::jobs::NewJob;
use crate::members::word;
use crate::value::{At, count, moment};

/// The queue of text messages.
pub const TEXTS: &str = "texts";
/// The job that sends one. It has the id of the message.
pub const TEXT_KIND: &str = "text_message";
/// The job that asks the provider what became of one.
pub const TEXT_LOOK_KIND: &str = "text_message_look";
/// After how many attempts a message is given up: two days.
const MOST_ATTEMPTS: u32 = 20;

/// A text message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextMessage {
    /// Its id.
    pub id: TextMessageId,
    /// Of which appointment it tells.
    pub appointment: AppointmentId,
    /// Whom.
    pub contact: ContactId,
    /// Why.
    pub reason: TextReason,
    /// What is done, as it was when the message was promised.
    pub service: ServiceId,
    /// By whom.
    pub staff: StaffId,
    /// When.
    pub starts_at: Timestamp,
    /// Where to (E.164).
    pub phone: String,
    /// Where it is in its life.
    pub state: TextState,
    /// What was said; nothing before it is sent for the first time.
    pub body: Option<String>,
    /// When it is to be sent.
    pub due_at: Timestamp,
    /// How often it was tried.
    pub attempts: u32,
    /// When it was last tried.
    pub attempted_at: Option<Timestamp>,
    /// The provider's id.
    pub provider_id: Option<String>,
    /// The provider's code of what went wrong.
    pub error_code: Option<i64>,
    /// What went wrong, or why it was dropped.
    pub error: Option<String>,
    /// How many messages of the network it took.
    pub segments: Option<i64>,
    /// What it cost, in millionths of the currency, and the currency (ISO 4217).
    pub price: Option<(i64, String)>,
    /// When it was promised.
    pub created_at: Timestamp,
    /// When something of it last changed.
    pub updated_at: Timestamp,
}

#[derive(sqlx::FromRow)]
struct TextRow {
    id: Uuid,
    appointment_id: Uuid,
    contact_id: Uuid,
    reason: String,
    service_id: Uuid,
    staff_id: Uuid,
    starts_at: At,
    phone: String,
    state: String,
    body: Option<String>,
    due_at: At,
    attempts: i64,
    attempted_at: Option<At>,
    provider_id: Option<String>,
    error_code: Option<i64>,
    error: Option<String>,
    segments: Option<i64>,
    price_micros: Option<i64>,
    currency: Option<String>,
    created_at: At,
    updated_at: At,
}

impl TryFrom<TextRow> for TextMessage {
    type Error = Error;

    fn try_from(row: TextRow) -> Result<Self> {
        Ok(Self {
            id: TextMessageId(row.id),
            appointment: AppointmentId(row.appointment_id),
            contact: ContactId(row.contact_id),
            reason: word(&row.reason)?,
            service: ServiceId(row.service_id),
            staff: StaffId(row.staff_id),
            starts_at: row.starts_at.0,
            phone: row.phone,
            state: word(&row.state)?,
            body: row.body,
            due_at: row.due_at.0,
            attempts: count(row.attempts),
            attempted_at: moment(row.attempted_at),
            provider_id: row.provider_id,
            error_code: row.error_code,
            error: row.error,
            segments: row.segments,
            price: row.price_micros.zip(row.currency),
            created_at: row.created_at.0,
            updated_at: row.updated_at.0,
        })
    }
}

fn job(kind: &'static str, id: JobId, tenant: TenantId, text: TextMessageId, run_at: Timestamp) -> NewJob {
    NewJob {
        id,
        queue: TEXTS,
        kind,
        group: tenant.to_string(),
        tenant: Some(tenant),
        priority: JobPriority::Normal,
        arguments: format!("{{\"text\":\"{text}\"}}"),
        unique: None,
        run_at,
        most_attempts: MOST_ATTEMPTS,
        trace: None,
    }
}
