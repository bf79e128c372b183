//! Idempotency keys: stored by the transaction that does the work, pointing to what was made.

use mainstay_domain::{IdempotencyKey, PersonId, TenantId, Timestamp};
use uuid::Uuid;

use crate::error::Result;
use crate::intent::Intent;
use crate::sql::statements;
use crate::turns::Claim;
use crate::tx::{Scope, Tx};
use crate::value::At;

statements! {
    CLAIM = both("
        INSERT INTO idempotency (tenant_id, person_id, key, operation, fingerprint, resource_id, created_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (tenant_id, person_id, key) DO NOTHING");
    FIND = both("
        SELECT operation, fingerprint, resource_id FROM idempotency WHERE tenant_id = $1 AND person_id = $2 AND key = $3");
}

/// What a key was used for.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Used {
    /// The operation: `message`, `conversation`, `api_key`, `organisation`.
    pub operation: String,
    /// The digest of the request that used it.
    pub fingerprint: String,
    /// What was made.
    pub resource_id: Uuid,
}

/// What became of an intent that carries an idempotency key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Once<T> {
    /// It was done now.
    Done(T),
    /// The key was used before.
    Repeat(Used),
}

/// Who claims a key, for which operation, and what will be made.
pub(crate) struct Claimant<'a> {
    pub(crate) tenant: TenantId,
    pub(crate) person: PersonId,
    pub(crate) operation: &'static str,
    pub(crate) claim: Option<&'a Claim>,
    pub(crate) resource: Uuid,
    pub(crate) now: Timestamp,
}

/// Claims a key inside the transaction that does the work; the answer is what it was used for before.
pub(crate) async fn claim(tx: &mut Tx<'_>, claimant: Claimant<'_>) -> Result<Option<Used>> {
    let Some(claim) = claimant.claim else { return Ok(None) };
    let stored = tx
        .query(CLAIM)
        .bind(claimant.tenant.uuid())
        .bind(claimant.person.uuid())
        .bind(claim.key.as_str().to_owned())
        .bind(claimant.operation)
        .bind(claim.fingerprint.clone())
        .bind(claimant.resource)
        .bind(At(claimant.now))
        .run()
        .await?;
    if stored == 1 {
        return Ok(None);
    }
    find(tx, claimant.tenant, claimant.person, &claim.key).await
}

/// Claims a key that comes with whose it is, if there is one, for an operation and what will be made.
pub(crate) async fn claim_with(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    by: Option<&(PersonId, Claim)>,
    (operation, resource): (&'static str, Uuid),
    now: Timestamp,
) -> Result<Option<Used>> {
    match by {
        Some((person, key)) => {
            claim(tx, Claimant { tenant, person: *person, operation, claim: Some(key), resource, now }).await
        }
        None => Ok(None),
    }
}

pub(crate) async fn find(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    person: PersonId,
    key: &IdempotencyKey,
) -> Result<Option<Used>> {
    tx.query(FIND).bind(tenant.uuid()).bind(person.uuid()).bind(key.as_str().to_owned()).row().await
}

/// Claims a key for something that is there, or for nothing. The answer is what it was claimed for before.
#[derive(Clone, Debug)]
pub struct ClaimOnce {
    /// The organisation.
    pub tenant: TenantId,
    /// Who claims it.
    pub person: PersonId,
    /// The key.
    pub key: IdempotencyKey,
    /// What for.
    pub operation: &'static str,
    /// The id of what is there; nil for nothing.
    pub resource: Uuid,
    /// The present moment.
    pub now: Timestamp,
}

impl Intent for ClaimOnce {
    type Output = Option<Used>;
    const WRITES: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Option<Used>> {
        let claim_of = Claim { key: self.key.clone(), fingerprint: String::new() };
        let claimant = Claimant {
            tenant: self.tenant,
            person: self.person,
            operation: self.operation,
            claim: Some(&claim_of),
            resource: self.resource,
            now: self.now,
        };
        claim(tx, claimant).await
    }
}

/// Looks up what a key was used for.
#[derive(Clone, Debug)]
pub struct FindUsed {
    /// The organisation.
    pub tenant: TenantId,
    /// Who used it.
    pub person: PersonId,
    /// The key.
    pub key: IdempotencyKey,
}

impl Intent for FindUsed {
    type Output = Option<Used>;
    const WRITES: bool = false;
    const ONE_STATEMENT: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Option<Used>> {
        find(tx, self.tenant, self.person, &self.key).await
    }
}
