//! A call as it is kept.

use mainstay_domain::{ContactId, PhoneCall, PhoneCallId};
use uuid::Uuid;

use crate::error::{Error, Result};
use crate::members::word;
use crate::value::{At, moment};

#[derive(sqlx::FromRow)]
pub(super) struct CallRow {
    id: Uuid,
    provider_id: String,
    direction: String,
    state: String,
    number: Option<String>,
    contact_id: Option<Uuid>,
    started_at: Option<At>,
    ended_at: Option<At>,
    heard_at: At,
    ended_reason: Option<String>,
    reported_at: Option<At>,
    summary: Option<String>,
    transcript: Option<String>,
    recording_url: Option<String>,
    cost_micros: Option<i64>,
    outcome: Option<String>,
    created_at: At,
}

impl TryFrom<CallRow> for PhoneCall {
    type Error = Error;

    fn try_from(row: CallRow) -> Result<Self> {
        Ok(Self {
            id: PhoneCallId(row.id),
            provider_id: row.provider_id,
            direction: word(&row.direction)?,
            state: word(&row.state)?,
            number: row.number,
            contact: row.contact_id.map(ContactId),
            started_at: moment(row.started_at),
            ended_at: moment(row.ended_at),
            heard_at: row.heard_at.0,
            ended_reason: row.ended_reason,
            reported_at: moment(row.reported_at),
            summary: row.summary,
            transcript: row.transcript,
            recording_url: row.recording_url,
            cost_micros: row.cost_micros,
            outcome: row.outcome.as_deref().map(word).transpose()?,
            created_at: row.created_at.0,
        })
    }
}
