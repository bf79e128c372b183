//! Somebody is on the way to a provider, to connect a calendar or an account that sends, and comes back.

use mainstay_domain::{CalendarSignInId, PersonId, TenantId, Timestamp};
use uuid::Uuid;

use crate::error::Result;
use crate::intent::Intent;
use crate::sql::statements;
use crate::tx::{Scope, Tx};
use crate::value::{At, Id};

statements! {
    FORGET_SIGN_INS = both("DELETE FROM calendar_sign_in WHERE tenant_id = $1 AND expires_at <= $2");
    SIGN_IN = both("
        INSERT INTO calendar_sign_in (id, tenant_id, person_id, staff_id, hash, expires_at) VALUES ($1, $2, $3, $4, $5, $6)");
    /// Whoever comes back does so once.
    TAKE_SIGN_IN = both("
        DELETE FROM calendar_sign_in WHERE id = $1 AND tenant_id = $2 AND person_id = $3 AND hash = $4 AND expires_at > $5
        RETURNING staff_id AS id");
}

/// Remembers that somebody is on the way to the provider. Those who did not come back are forgotten.
#[derive(Clone, Debug)]
pub struct BeginSignIn {
    /// Its id.
    pub id: CalendarSignInId,
    /// The organisation.
    pub tenant: TenantId,
    /// Who asks.
    pub person: PersonId,
    /// What it is about: whose calendar, or which account.
    pub subject: Uuid,
    /// SHA-256 of the secret that comes back, in hexadecimal.
    pub hash: String,
    /// Until when they may come back.
    pub expires_at: Timestamp,
    /// The present moment.
    pub now: Timestamp,
}

impl Intent for BeginSignIn {
    type Output = ();
    const WRITES: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<()> {
        tx.query(FORGET_SIGN_INS).bind(self.tenant.uuid()).bind(At(self.now)).run().await?;
        let insert = tx.query(SIGN_IN).bind(self.id.uuid()).bind(self.tenant.uuid()).bind(self.person.uuid());
        let insert = insert.bind(self.subject).bind(self.hash.clone()).bind(At(self.expires_at));
        insert.run().await.map(drop)
    }
}

/// Somebody comes back: what it is about. Nothing when nobody is on the way with that secret, or somebody else.
#[derive(Clone, Debug)]
pub struct TakeSignIn {
    /// Its id.
    pub id: CalendarSignInId,
    /// The organisation.
    pub tenant: TenantId,
    /// Who comes.
    pub person: PersonId,
    /// SHA-256 of the secret, in hexadecimal.
    pub hash: String,
    /// The present moment.
    pub now: Timestamp,
}

impl Intent for TakeSignIn {
    type Output = Option<Uuid>;
    const WRITES: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output> {
        let take = tx.query(TAKE_SIGN_IN).bind(self.id.uuid()).bind(self.tenant.uuid()).bind(self.person.uuid());
        let row: Option<Id> = take.bind(self.hash.clone()).bind(At(self.now)).row().await?;
        Ok(row.map(|row| row.id))
    }
}
