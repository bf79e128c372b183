//! Calls as they are read, and those of which nothing is heard any more.

use mainstay_domain::{PhoneCall, PhoneCallId, TenantId, Timestamp};
use uuid::Uuid;

use super::access::{Reading, note};
use super::actions::{CallAction, actions_of};
use super::row::CallRow;
use crate::error::Result;
use crate::intent::Intent;
use crate::sql::statements;
use crate::tx::{Scope, Tx};
use crate::value::{At, END_OF_TIME};

statements! {
    GET = both("
        SELECT id, provider_id, direction, state, number, contact_id, started_at, ended_at, heard_at, ended_reason, reported_at,
          summary, transcript, recording_url, cost_micros, outcome, created_at
        FROM phone_call WHERE id = $1 AND tenant_id = $2");
    /// Without what was said.
    LIST = both("
        SELECT id, provider_id, direction, state, number, contact_id, started_at, ended_at, heard_at, ended_reason, reported_at,
          summary, NULL AS transcript, recording_url, cost_micros, outcome, created_at
        FROM phone_call WHERE tenant_id = $1 AND (created_at, id) < ($2, $3) ORDER BY created_at DESC, id DESC LIMIT $4");
    LIVE = both("
        SELECT id, provider_id, direction, state, number, contact_id, started_at, ended_at, heard_at, ended_reason, reported_at,
          summary, NULL AS transcript, recording_url, cost_micros, outcome, created_at
        FROM phone_call WHERE tenant_id = $1 AND state NOT IN ('ended', 'lost') AND heard_at > $2
        ORDER BY heard_at DESC, id DESC LIMIT $3");
    SILENT = both("
        SELECT tenant_id, provider_id FROM phone_call WHERE state NOT IN ('ended', 'lost') AND heard_at < $1
        ORDER BY heard_at, id LIMIT $2");
}

/// Which calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhichCalls {
    /// All, the last first, those before this one.
    All(Option<(Timestamp, PhoneCallId)>),
    /// Those that go on, of which something was heard since this moment, what was heard last first.
    Live(Timestamp),
}

/// Lists calls, without what was said.
#[derive(Clone, Copy, Debug)]
pub struct ListCalls {
    /// The organisation.
    pub tenant: TenantId,
    /// Which.
    pub which: WhichCalls,
    /// At most so many.
    pub limit: u32,
}

impl Intent for ListCalls {
    type Output = Vec<PhoneCall>;
    const WRITES: bool = false;
    const ONE_STATEMENT: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Vec<PhoneCall>> {
        let tenant = self.tenant.uuid();
        let list = match self.which {
            WhichCalls::All(before) => {
                let (at, id) = before.map_or((END_OF_TIME, Uuid::max()), |(at, id)| (at, id.uuid()));
                tx.query(LIST).bind(tenant).bind(At(at)).bind(id)
            }
            WhichCalls::Live(since) => tx.query(LIVE).bind(tenant).bind(At(since)),
        };
        let rows: Vec<CallRow> = list.bind(i64::from(self.limit)).rows().await?;
        rows.into_iter().map(PhoneCall::try_from).collect()
    }
}

/// Reads a call with what was said and done, and notes who did.
#[derive(Clone, Copy, Debug)]
pub struct ReadCall {
    /// The organisation.
    pub tenant: TenantId,
    /// Which.
    pub id: PhoneCallId,
    /// Who reads.
    pub reading: Reading,
}

impl Intent for ReadCall {
    type Output = Option<(PhoneCall, Vec<CallAction>)>;
    const WRITES: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output> {
        let row = tx.query(GET).bind(self.id.uuid()).bind(self.tenant.uuid()).row::<CallRow>().await?;
        let Some(call) = row.map(PhoneCall::try_from).transpose()? else { return Ok(None) };
        let actions = actions_of(tx, self.tenant, self.id).await?;
        note(tx, self.tenant, self.reading, ("call", Some(self.id.uuid()))).await?;
        Ok(Some((call, actions)))
    }
}

/// Lists calls that go on and of which nothing was heard for too long, of all organisations: each with its organisation and
/// the provider's id of it.
#[derive(Clone, Copy, Debug)]
pub struct ListSilentCalls {
    /// Nothing was heard since.
    pub since: Timestamp,
    /// At most so many.
    pub limit: u32,
}

#[derive(sqlx::FromRow)]
struct SilentRow {
    tenant_id: Uuid,
    provider_id: String,
}

impl Intent for ListSilentCalls {
    type Output = Vec<(TenantId, String)>;
    const WRITES: bool = false;
    const ONE_STATEMENT: bool = true;

    fn scope(&self) -> Scope {
        Scope::System
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output> {
        let rows: Vec<SilentRow> = tx.query(SILENT).bind(At(self.since)).bind(i64::from(self.limit)).rows().await?;
        Ok(rows.into_iter().map(|row| (TenantId(row.tenant_id), row.provider_id)).collect())
    }
}
