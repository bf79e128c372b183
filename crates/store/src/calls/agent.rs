//! Who answers the phone, and for how long calls are kept.

use mainstay_domain::{CallMask, TenantId, Timestamp};
use uuid::Uuid;

use crate::error::Result;
use crate::intent::Intent;
use crate::sql::statements;
use crate::tx::{Scope, Tx};
use crate::value::{At, Id, count};

statements! {
    PUT = both("
        INSERT INTO phone_agent (tenant_id, assistant_id, greeting, instructions, transfer_number, keep_days, updated_at, mask)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
        ON CONFLICT (tenant_id) DO UPDATE SET assistant_id = excluded.assistant_id, greeting = excluded.greeting,
          instructions = excluded.instructions, transfer_number = excluded.transfer_number, keep_days = excluded.keep_days,
          updated_at = excluded.updated_at, mask = excluded.mask");
    GET = both("
        SELECT tenant_id, assistant_id, greeting, instructions, transfer_number, keep_days, mask FROM phone_agent
        WHERE tenant_id = $1");
    /// What a call that was heard of before anybody said who answers goes by.
    USUAL = both("
        INSERT INTO phone_agent (tenant_id, greeting, instructions, keep_days, updated_at) VALUES ($1, '', '', $2, $3)
        ON CONFLICT DO NOTHING");
    /// Those that have calls which are older than they keep them: the oldest of each is looked up.
    KEEPING = pair(sqlite "
        SELECT a.tenant_id, a.keep_days FROM phone_agent a WHERE a.tenant_id > $1
          AND (SELECT min(c.created_at) FROM phone_call c WHERE c.tenant_id = a.tenant_id) < $2 - a.keep_days * 86400000
        ORDER BY a.tenant_id LIMIT $3",
        postgres "
        SELECT a.tenant_id, a.keep_days FROM phone_agent a WHERE a.tenant_id > $1
          AND (SELECT min(c.created_at) FROM phone_call c WHERE c.tenant_id = a.tenant_id)
            < CAST($2 AS timestamptz) - a.keep_days * interval '1 day'
        ORDER BY a.tenant_id LIMIT $3",
        differs "moments are milliseconds on SQLite");
    OLD = both("SELECT id FROM phone_call WHERE tenant_id = $1 AND created_at < $2 ORDER BY created_at, id LIMIT 500");
    FORGET_ACTIONS = batch((id: uuid) "
        DELETE FROM phone_call_action WHERE tenant_id = $2 AND call_id IN (SELECT id FROM batch)");
    FORGET_TERMS = batch((id: uuid) "
        DELETE FROM phone_call_term WHERE tenant_id = $2 AND call_id IN (SELECT id FROM batch)");
    FORGET_CALLS = batch((id: uuid) "
        DELETE FROM phone_call WHERE tenant_id = $2 AND id IN (SELECT id FROM batch)");
}

/// For how many days calls are kept where nobody has said.
const USUALLY_KEPT: u32 = 90;

impl Default for PhoneAgent {
    fn default() -> Self {
        let (greeting, instructions) = (String::new(), String::new());
        Self {
            assistant_id: None,
            greeting,
            instructions,
            transfer_number: None,
            keep_days: USUALLY_KEPT,
            mask: CallMask::default(),
        }
    }
}

/// Sees to it that calls of an organisation are not kept for ever, where nobody has said for how long.
pub(super) async fn usual(tx: &mut Tx<'_>, tenant: TenantId, now: Timestamp) -> Result<()> {
    let usual = tx.query(USUAL).bind(tenant.uuid()).bind(i64::from(USUALLY_KEPT)).bind(At(now));
    usual.run().await.map(drop)
}

/// Who answers the phone of an organisation. Nobody does where there is neither an assistant nor a greeting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PhoneAgent {
    /// The provider's id of an assistant that was made there; nothing for one that is described here.
    pub assistant_id: Option<String>,
    /// What is said first.
    pub greeting: String,
    /// How the agent is to behave, beside what every agent is told.
    pub instructions: String,
    /// To whom callers are passed on (E.164).
    pub transfer_number: Option<String>,
    /// For how many days calls are kept.
    pub keep_days: u32,
    /// What is replaced in what was said before it is kept.
    pub mask: CallMask,
}

#[derive(sqlx::FromRow)]
struct AgentRow {
    assistant_id: Option<String>,
    greeting: String,
    instructions: String,
    transfer_number: Option<String>,
    keep_days: i64,
    mask: String,
}

impl From<AgentRow> for PhoneAgent {
    fn from(row: AgentRow) -> Self {
        Self {
            assistant_id: row.assistant_id,
            greeting: row.greeting,
            instructions: row.instructions,
            transfer_number: row.transfer_number,
            keep_days: count(row.keep_days),
            mask: CallMask::of_words(&row.mask),
        }
    }
}

/// Says who answers the phone.
#[derive(Clone, Debug)]
pub struct PutPhoneAgent {
    /// The organisation.
    pub tenant: TenantId,
    /// Who.
    pub agent: PhoneAgent,
    /// The present moment.
    pub now: Timestamp,
}

impl Intent for PutPhoneAgent {
    type Output = ();
    const WRITES: bool = true;
    const REPEATABLE: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<()> {
        let PhoneAgent { assistant_id, greeting, instructions, transfer_number, keep_days, mask } = &self.agent;
        let put = tx.query(PUT).bind(self.tenant.uuid()).bind(assistant_id.clone()).bind(greeting.clone());
        let put = put.bind(instructions.clone()).bind(transfer_number.clone());
        put.bind(i64::from(*keep_days)).bind(At(self.now)).bind(mask.to_words()).run().await.map(drop)
    }
}

/// Reads who answers the phone; nothing where nobody has said.
#[derive(Clone, Copy, Debug)]
pub struct GetPhoneAgent(pub TenantId);

impl Intent for GetPhoneAgent {
    type Output = Option<PhoneAgent>;
    const WRITES: bool = false;
    const ONE_STATEMENT: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.0)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Option<PhoneAgent>> {
        Ok(tx.query(GET).bind(self.0.uuid()).row::<AgentRow>().await?.map(PhoneAgent::from))
    }
}

/// Lists the organisations that have calls which are older than they keep them, and for how many days they do, in order of
/// their ids.
#[derive(Clone, Copy, Debug)]
pub struct ListCallKeeping {
    /// The present moment.
    pub now: Timestamp,
    /// Those after this one.
    pub after: Option<TenantId>,
    /// At most so many.
    pub limit: u32,
}

#[derive(sqlx::FromRow)]
struct KeepingRow {
    tenant_id: Uuid,
    keep_days: i64,
}

impl Intent for ListCallKeeping {
    type Output = Vec<(TenantId, u32)>;
    const WRITES: bool = false;
    const ONE_STATEMENT: bool = true;

    fn scope(&self) -> Scope {
        Scope::System
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output> {
        let after = self.after.map_or(Uuid::nil(), TenantId::uuid);
        let rows: Vec<KeepingRow> =
            tx.query(KEEPING).bind(after).bind(At(self.now)).bind(i64::from(self.limit)).rows().await?;
        Ok(rows.into_iter().map(|row| (TenantId(row.tenant_id), count(row.keep_days))).collect())
    }
}

/// Forgets calls that began before a moment, and what was done in them, at most 500. The answer is how many there were.
#[derive(Clone, Copy, Debug)]
pub struct ForgetCalls {
    /// The organisation.
    pub tenant: TenantId,
    /// The moment.
    pub before: Timestamp,
}

impl Intent for ForgetCalls {
    type Output = usize;
    const WRITES: bool = true;
    const REPEATABLE: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<usize> {
        let old: Vec<Id> = tx.query(OLD).bind(self.tenant.uuid()).bind(At(self.before)).rows().await?;
        if !old.is_empty() {
            tx.batch(FORGET_ACTIONS, &old).bind(self.tenant.uuid()).run().await?;
            tx.batch(FORGET_TERMS, &old).bind(self.tenant.uuid()).run().await?;
            tx.batch(FORGET_CALLS, &old).bind(self.tenant.uuid()).run().await?;
        }
        Ok(old.len())
    }
}
