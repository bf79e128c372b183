//! What the agent did in a call.

use mainstay_domain::{AppointmentId, PhoneCall, PhoneCallId, TenantId, Timestamp};
use uuid::Uuid;

use super::hearing::HearCall;
use crate::error::Result;
use crate::intent::Intent;
use crate::reception::board::{Happened, count};
use crate::sql::statements;
use crate::tx::{Scope, Tx};
use crate::value::{At, Id};

statements! {
    INSERT = both("
        INSERT INTO phone_call_action (id, tenant_id, call_id, tool, outcome, answer, appointment_id, created_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
        ON CONFLICT (id, tenant_id) DO UPDATE SET outcome = excluded.outcome, answer = excluded.answer,
          appointment_id = excluded.appointment_id
        WHERE phone_call_action.outcome = 'failed' AND excluded.outcome <> 'failed'");
    OF_CALL = both("
        SELECT id, tool, outcome, answer, appointment_id, created_at FROM phone_call_action
        WHERE tenant_id = $1 AND call_id = $2 ORDER BY created_at, id LIMIT 200");
    THESE = batch((id: uuid) "
        SELECT a.id, a.tool, a.outcome, a.answer, a.appointment_id, a.created_at
        FROM batch b JOIN phone_call_action a ON a.id = b.id AND a.tenant_id = $2 ORDER BY b.n");
}

/// The outcome of a use that failed by no fault of whoever asked. It is not final: the next outcome takes its place.
pub const ACTION_FAILED: &str = "failed";

/// One use of a tool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallAction {
    /// Its id: the same when the same use is told again.
    pub id: Uuid,
    /// Which tool.
    pub tool: String,
    /// What came of it: a word, [`ACTION_FAILED`] for what may be tried again.
    pub outcome: String,
    /// What the caller was told.
    pub answer: String,
    /// Which appointment it was about.
    pub appointment: Option<AppointmentId>,
    /// When.
    pub created_at: Timestamp,
}

#[derive(sqlx::FromRow)]
struct ActionRow {
    id: Uuid,
    tool: String,
    outcome: String,
    answer: String,
    appointment_id: Option<Uuid>,
    created_at: At,
}

/// Notes what the agent did in a call, each use once, with what that tells of the call itself.
#[derive(Clone, Debug)]
pub struct NoteActions {
    /// The call, and what is told of it. Its fence is not used.
    pub call: HearCall,
    /// What was done.
    pub actions: Vec<CallAction>,
}

impl Intent for NoteActions {
    type Output = PhoneCall;
    const WRITES: bool = true;
    const REPEATABLE: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.call.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<PhoneCall> {
        let (call, changed) = self.call.hear(tx).await?;
        let mut new = u64::from(changed);
        for action in &self.actions {
            new += tx
                .query(INSERT)
                .bind(action.id)
                .bind(self.call.tenant.uuid())
                .bind(call.id.uuid())
                .bind(action.tool.clone())
                .bind(action.outcome.clone())
                .bind(action.answer.clone())
                .bind(action.appointment.map(AppointmentId::uuid))
                .bind(At(action.created_at))
                .run()
                .await?;
        }
        if new > 0 {
            count(tx, self.call.tenant, Happened::Call, self.call.now).await?;
        }
        Ok(call)
    }
}

pub(super) async fn actions_of(tx: &mut Tx<'_>, tenant: TenantId, call: PhoneCallId) -> Result<Vec<CallAction>> {
    let rows: Vec<ActionRow> = tx.query(OF_CALL).bind(tenant.uuid()).bind(call.uuid()).rows().await?;
    Ok(rows.into_iter().map(CallAction::from).collect())
}

impl From<ActionRow> for CallAction {
    fn from(row: ActionRow) -> Self {
        Self {
            id: row.id,
            tool: row.tool,
            outcome: row.outcome,
            answer: row.answer,
            appointment: row.appointment_id.map(AppointmentId),
            created_at: row.created_at.0,
        }
    }
}

/// Reads those of these uses of tools that were noted.
#[derive(Clone, Debug)]
pub struct FindActions {
    /// The organisation.
    pub tenant: TenantId,
    /// Their ids.
    pub ids: Vec<Uuid>,
}

impl Intent for FindActions {
    type Output = Vec<CallAction>;
    const WRITES: bool = false;
    const ONE_STATEMENT: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Vec<CallAction>> {
        let ids: Vec<Id> = self.ids.iter().map(|id| Id { id: *id }).collect();
        let rows: Vec<ActionRow> = tx.batch(THESE, &ids).bind(self.tenant.uuid()).rows().await?;
        Ok(rows.into_iter().map(CallAction::from).collect())
    }
}
