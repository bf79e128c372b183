//! Taking in what events tell of a call.

use mainstay_domain::{CallState, CallTold, ContactId, PhoneCall, PhoneCallId, TenantId, Timestamp};
use uuid::Uuid;

use super::agent::usual;
use super::row::CallRow;
use super::search::index;
use crate::error::{Error, Result};
use crate::intent::Intent;
use crate::jobs::finish::{Fence, done};
use crate::reception::board::{Happened, count};
use crate::sql::statements;
use crate::tx::{Scope, Tx};
use crate::value::At;

statements! {
    LOCK = pair(sqlite "
        SELECT id, provider_id, direction, state, number, contact_id, started_at, ended_at, heard_at, ended_reason, reported_at,
          summary, transcript, recording_url, cost_micros, outcome, created_at
        FROM phone_call WHERE tenant_id = $1 AND provider_id = $2",
        postgres "
        SELECT id, provider_id, direction, state, number, contact_id, started_at, ended_at, heard_at, ended_reason, reported_at,
          summary, transcript, recording_url, cost_micros, outcome, created_at
        FROM phone_call WHERE tenant_id = $1 AND provider_id = $2 FOR UPDATE",
        differs "SQLite has one writer and no row locks");
    INSERT = both("
        INSERT INTO phone_call (id, tenant_id, provider_id, direction, state, heard_at, created_at, updated_at)
        VALUES ($1, $2, $3, $4, $5, $6, $6, $6) ON CONFLICT DO NOTHING");
    UPDATE = both("
        UPDATE phone_call SET direction = $3, state = $4, number = $5, contact_id = $6, started_at = $7, ended_at = $8,
          heard_at = $9, ended_reason = $10, reported_at = $11, summary = $12, transcript = $13, recording_url = $14,
          cost_micros = $15, updated_at = $16, outcome = $17
        WHERE id = $1 AND tenant_id = $2");
    WHO = both("SELECT id FROM contact WHERE tenant_id = $1 AND phone = $2");
}

/// How often it is looked again when somebody else heard of the same call first at the same moment.
const LOOKS: usize = 3;

/// Takes in what an event tells of a call. Who has the number of the other side is noted, when that is known.
#[derive(Clone, Debug)]
pub struct HearCall {
    /// The organisation.
    pub tenant: TenantId,
    /// The provider's id of the call.
    pub provider_id: String,
    /// The id of a call that nobody has told of before.
    pub id: PhoneCallId,
    /// What is told.
    pub told: CallTold,
    /// Who it is with, where that has just become known.
    pub contact: Option<ContactId>,
    /// The job that ends with it, if there is one.
    pub fence: Option<Fence>,
    /// The present moment.
    pub now: Timestamp,
}

impl Intent for HearCall {
    type Output = PhoneCall;
    const WRITES: bool = true;
    const REPEATABLE: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<PhoneCall> {
        let (call, changed) = self.hear(tx).await?;
        if changed {
            count(tx, self.tenant, Happened::Call, self.now).await?;
        }
        if let Some(fence) = self.fence {
            done(tx, fence, self.now).await?;
        }
        Ok(call)
    }
}

#[derive(sqlx::FromRow)]
struct WhoRow {
    id: Uuid,
}

impl HearCall {
    /// The call with what is told of it, and whether that was news. Who changes nothing else counts it on the board.
    pub(super) async fn hear(&self, tx: &mut Tx<'_>) -> Result<(PhoneCall, bool)> {
        let before = self.locked(tx).await?;
        let mut after = before.clone();
        after.hear(&self.told, self.now);
        after.contact = match (self.contact.or(after.contact), &after.number) {
            (None, Some(number)) => {
                let who = tx.query(WHO).bind(self.tenant.uuid()).bind(number.clone()).row::<WhoRow>().await?;
                who.map(|row| ContactId(row.id))
            }
            (known, _) => known,
        };
        let changed = after != before;
        if changed {
            self.update(tx, &after).await?;
            let told =
                |call: &PhoneCall| (call.contact, call.number.clone(), call.summary.clone(), call.transcript.clone());
            if told(&after) != told(&before) {
                index(tx, self.tenant, &after).await?;
            }
        }
        Ok((after, changed))
    }

    /// The call, which nobody else changes until the transaction ends.
    async fn locked(&self, tx: &mut Tx<'_>) -> Result<PhoneCall> {
        for _ in 0..LOOKS {
            let row = tx.query(LOCK).bind(self.tenant.uuid()).bind(self.provider_id.clone()).row::<CallRow>().await?;
            if let Some(row) = row {
                return row.try_into();
            }
            let new = PhoneCall::new(self.id, self.provider_id.clone(), self.now);
            let insert = tx.query(INSERT).bind(self.id.uuid()).bind(self.tenant.uuid()).bind(self.provider_id.clone());
            let insert = insert.bind(new.direction.as_str()).bind(CallState::Scheduled.as_str());
            if insert.bind(At(self.now)).run().await? == 1 {
                usual(tx, self.tenant, self.now).await?;
            }
        }
        Err(Error::Conflict)
    }

    async fn update(&self, tx: &mut Tx<'_>, call: &PhoneCall) -> Result<()> {
        tx.query(UPDATE)
            .bind(call.id.uuid())
            .bind(self.tenant.uuid())
            .bind(call.direction.as_str())
            .bind(call.state.as_str())
            .bind(call.number.clone())
            .bind(call.contact.map(ContactId::uuid))
            .bind(call.started_at.map(At))
            .bind(call.ended_at.map(At))
            .bind(At(call.heard_at))
            .bind(call.ended_reason.clone())
            .bind(call.reported_at.map(At))
            .bind(call.summary.clone())
            .bind(call.transcript.clone())
            .bind(call.recording_url.clone())
            .bind(call.cost_micros)
            .bind(At(self.now))
            .bind(call.outcome.map(|outcome| outcome.as_str()))
            .run()
            .await
            .map(drop)
    }
}
