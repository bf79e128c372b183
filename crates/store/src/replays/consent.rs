//! Who has agreed to recordings. Whoever takes it back takes what there is of theirs with it.

use mainstay_domain::{PersonId, TenantId, Timestamp};

use crate::error::Result;
use crate::intent::Intent;
use crate::sql::statements;
use crate::tx::{Scope, Tx};
use crate::value::At;

statements! {
    READ = both("SELECT given_at FROM replay_consent WHERE tenant_id = $1 AND person_id = $2");
    GIVE = both("
        INSERT INTO replay_consent (tenant_id, person_id, given_at, day, begun) VALUES ($1, $2, $3, 0, 0)
        ON CONFLICT (tenant_id, person_id) DO NOTHING");
    WITHDRAW = both("DELETE FROM replay_consent WHERE tenant_id = $1 AND person_id = $2");
    FORGET = both("
        DELETE FROM replay WHERE tenant_id = $1 AND id IN (
          SELECT id FROM replay WHERE tenant_id = $1 AND person_id = $2 LIMIT $3)");
}

/// Since when somebody agrees, if they do.
#[derive(Clone, Copy, Debug)]
pub struct ReadReplayConsent {
    /// The organisation.
    pub tenant: TenantId,
    /// Who.
    pub person: PersonId,
}

#[derive(sqlx::FromRow)]
struct Given {
    given_at: At,
}

impl Intent for ReadReplayConsent {
    type Output = Option<Timestamp>;
    const WRITES: bool = false;
    const ONE_STATEMENT: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Option<Timestamp>> {
        let given = tx.query(READ).bind(self.tenant.uuid()).bind(self.person.uuid()).row::<Given>().await?;
        Ok(given.map(|given| given.given_at.0))
    }
}

/// Keeps that somebody agrees.
#[derive(Clone, Copy, Debug)]
pub struct GiveReplayConsent {
    /// The organisation.
    pub tenant: TenantId,
    /// Who.
    pub person: PersonId,
    /// The present moment.
    pub now: Timestamp,
}

impl Intent for GiveReplayConsent {
    type Output = ();
    const WRITES: bool = true;
    const REPEATABLE: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<()> {
        let give = tx.query(GIVE).bind(self.tenant.uuid()).bind(self.person.uuid());
        give.bind(At(self.now)).run().await.map(drop)
    }
}

/// Takes it back: from here on nothing of theirs is kept.
#[derive(Clone, Copy, Debug)]
pub struct WithdrawReplayConsent {
    /// The organisation.
    pub tenant: TenantId,
    /// Who.
    pub person: PersonId,
}

impl Intent for WithdrawReplayConsent {
    type Output = ();
    const WRITES: bool = true;
    const REPEATABLE: bool = true;
    const ONE_STATEMENT: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<()> {
        tx.query(WITHDRAW).bind(self.tenant.uuid()).bind(self.person.uuid()).run().await.map(drop)
    }
}

/// Forgets so many recordings of somebody. The answer is how many there were.
#[derive(Clone, Copy, Debug)]
pub struct ForgetReplaysOf {
    /// The organisation.
    pub tenant: TenantId,
    /// Whose.
    pub person: PersonId,
    /// At most so many.
    pub limit: u32,
}

impl Intent for ForgetReplaysOf {
    type Output = u64;
    const WRITES: bool = true;
    const REPEATABLE: bool = true;
    const ONE_STATEMENT: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<u64> {
        let forget = tx.query(FORGET).bind(self.tenant.uuid()).bind(self.person.uuid());
        forget.bind(i64::from(self.limit)).run().await
    }
}
