//! API keys of an organisation. The key itself is never stored, only its digest.

use mainstay_domain::{ApiKeyId, ApiKeyScope, PersonId, Role, TenantId, Timestamp};
use uuid::Uuid;

use crate::error::Result;
use crate::idempotency::{Claimant, Once, claim};
use crate::intent::Intent;
use crate::members::word;
use crate::revocations::{self, Revoked};
use crate::sql::statements;
use crate::turns::Claim;
use crate::tx::{Scope, Tx};
use crate::value::At;

statements! {
    INSERT = both("
        INSERT INTO api_key (id, tenant_id, person_id, name, prefix, hash, scopes, created_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8)");
    INSERT_LOOKUP = both("INSERT INTO api_key_lookup (hash, tenant_id, api_key_id) VALUES ($1, $2, $3)");
    LOOKUP = both("SELECT tenant_id, api_key_id FROM api_key_lookup WHERE hash = $1");
    GET = both("
        SELECT id, person_id, name, prefix, scopes, created_at, revoked_at FROM api_key WHERE id = $1 AND tenant_id = $2");
    /// One statement, so that the role and the position of the feed are of one snapshot.
    AUTHORISE = both("
        SELECT k.id, k.person_id, k.scopes, m.role,
               coalesce((SELECT value FROM counter WHERE name = 'revocation'), 0) AS as_of FROM api_key k
        JOIN membership m ON m.tenant_id = k.tenant_id AND m.person_id = k.person_id
        JOIN person p ON p.id = k.person_id AND p.disabled_at IS NULL
        WHERE k.id = $1 AND k.tenant_id = $2 AND k.revoked_at IS NULL");
    LIST = both("
        SELECT id, person_id, name, prefix, scopes, created_at, revoked_at FROM api_key
        WHERE tenant_id = $1 AND (created_at, id) > ($2, $3) ORDER BY created_at, id LIMIT $4");
    REVOKE = both("
        UPDATE api_key SET revoked_at = $3 WHERE id = $1 AND tenant_id = $2 AND revoked_at IS NULL RETURNING hash");
    DELETE_LOOKUP = both("DELETE FROM api_key_lookup WHERE hash = $1");
}

/// An API key, without the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiKey {
    /// Its id.
    pub id: ApiKeyId,
    /// Who made it, and in whose name it acts.
    pub person: PersonId,
    /// What it is called.
    pub name: String,
    /// How it begins, to tell keys apart.
    pub prefix: String,
    /// What it may do.
    pub scopes: Vec<ApiKeyScope>,
    /// Since when.
    pub created_at: Timestamp,
    /// Since when it is no longer good.
    pub revoked_at: Option<Timestamp>,
}

#[derive(sqlx::FromRow)]
struct ApiKeyRow {
    id: Uuid,
    person_id: Uuid,
    name: String,
    prefix: String,
    scopes: String,
    created_at: At,
    revoked_at: Option<At>,
}

fn scopes(text: &str) -> Result<Vec<ApiKeyScope>> {
    text.split_whitespace().map(word).collect()
}

impl TryFrom<ApiKeyRow> for ApiKey {
    type Error = crate::Error;
    fn try_from(row: ApiKeyRow) -> Result<Self> {
        Ok(Self {
            id: ApiKeyId(row.id),
            person: PersonId(row.person_id),
            name: row.name,
            prefix: row.prefix,
            scopes: scopes(&row.scopes)?,
            created_at: row.created_at.0,
            revoked_at: row.revoked_at.map(|at| at.0),
        })
    }
}

/// Stores a key that was made.
#[derive(Clone, Debug)]
pub struct CreateApiKey {
    /// Its id.
    pub id: ApiKeyId,
    /// The organisation.
    pub tenant: TenantId,
    /// Who makes it.
    pub person: PersonId,
    /// What it is called.
    pub name: String,
    /// How it begins.
    pub prefix: String,
    /// Its digest, in hexadecimal.
    pub hash: String,
    /// What it may do.
    pub scopes: Vec<ApiKeyScope>,
    /// The idempotency key, if there is one.
    pub claim: Option<Claim>,
    /// The present moment.
    pub now: Timestamp,
}

impl Intent for CreateApiKey {
    type Output = Once<ApiKeyId>;
    const WRITES: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Once<ApiKeyId>> {
        let claimant = Claimant {
            tenant: self.tenant,
            person: self.person,
            operation: "api_key",
            claim: self.claim.as_ref(),
            resource: self.id.uuid(),
            now: self.now,
        };
        if let Some(used) = claim(tx, claimant).await? {
            return Ok(Once::Repeat(used));
        }
        let scopes: Vec<_> = self.scopes.iter().map(|scope| scope.as_str()).collect();
        tx.query(INSERT)
            .bind(self.id.uuid())
            .bind(self.tenant.uuid())
            .bind(self.person.uuid())
            .bind(self.name.clone())
            .bind(self.prefix.clone())
            .bind(self.hash.clone())
            .bind(scopes.join(" "))
            .bind(At(self.now))
            .run()
            .await?;
        tx.query(INSERT_LOOKUP).bind(self.hash.clone()).bind(self.tenant.uuid()).bind(self.id.uuid()).run().await?;
        Ok(Once::Done(self.id))
    }
}

/// Finds which organisation a key belongs to, by its digest in hexadecimal.
#[derive(Clone, Debug)]
pub struct LookUpApiKey(pub String);

#[derive(sqlx::FromRow)]
struct LookupRow {
    tenant_id: Uuid,
    api_key_id: Uuid,
}

impl Intent for LookUpApiKey {
    type Output = Option<(TenantId, ApiKeyId)>;
    const WRITES: bool = false;
    const ONE_STATEMENT: bool = true;

    fn scope(&self) -> Scope {
        Scope::Global
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output> {
        let row: Option<LookupRow> = tx.query(LOOKUP).bind(self.0.clone()).row().await?;
        Ok(row.map(|row| (TenantId(row.tenant_id), ApiKeyId(row.api_key_id))))
    }
}

/// What a key that is good may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiKeyAuthority {
    /// The key.
    pub id: ApiKeyId,
    /// In whose name it acts.
    pub person: PersonId,
    /// That person's role now.
    pub role: Role,
    /// What it may do.
    pub scopes: Vec<ApiKeyScope>,
    /// The last position of the feed of revocations when this was read.
    pub as_of: i64,
}

/// Reads what a key may do; nothing when it was revoked or its maker is no member any more.
#[derive(Clone, Copy, Debug)]
pub struct AuthoriseApiKey {
    /// The organisation.
    pub tenant: TenantId,
    /// The key.
    pub id: ApiKeyId,
}

#[derive(sqlx::FromRow)]
struct AuthorityRow {
    id: Uuid,
    person_id: Uuid,
    scopes: String,
    role: String,
    as_of: i64,
}

impl Intent for AuthoriseApiKey {
    type Output = Option<ApiKeyAuthority>;
    const WRITES: bool = false;
    const ONE_STATEMENT: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output> {
        let row: Option<AuthorityRow> = tx.query(AUTHORISE).bind(self.id.uuid()).bind(self.tenant.uuid()).row().await?;
        row.map(|row| {
            Ok(ApiKeyAuthority {
                id: ApiKeyId(row.id),
                person: PersonId(row.person_id),
                role: word(&row.role)?,
                scopes: scopes(&row.scopes)?,
                as_of: row.as_of,
            })
        })
        .transpose()
    }
}

/// Reads one key of an organisation.
#[derive(Clone, Copy, Debug)]
pub struct GetApiKey {
    /// The organisation.
    pub tenant: TenantId,
    /// The key.
    pub id: ApiKeyId,
}

impl Intent for GetApiKey {
    type Output = Option<ApiKey>;
    const WRITES: bool = false;
    const ONE_STATEMENT: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output> {
        let row: Option<ApiKeyRow> = tx.query(GET).bind(self.id.uuid()).bind(self.tenant.uuid()).row().await?;
        row.map(ApiKey::try_from).transpose()
    }
}

/// Lists an organisation's keys, the oldest first.
#[derive(Clone, Copy, Debug)]
pub struct ListApiKeys {
    /// The organisation.
    pub tenant: TenantId,
    /// Those after this one.
    pub after: Option<(Timestamp, ApiKeyId)>,
    /// At most so many.
    pub limit: u32,
}

impl Intent for ListApiKeys {
    type Output = Vec<ApiKey>;
    const WRITES: bool = false;
    const ONE_STATEMENT: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Vec<ApiKey>> {
        let (moment, id) = self.after.map_or((Timestamp::EPOCH, Uuid::nil()), |(moment, id)| (moment, id.uuid()));
        let rows: Vec<ApiKeyRow> = tx
            .query(LIST)
            .bind(self.tenant.uuid())
            .bind(At(moment))
            .bind(id)
            .bind(i64::from(self.limit))
            .rows()
            .await?;
        rows.into_iter().map(ApiKey::try_from).collect()
    }
}

/// Revokes a key on every node; false when there is none, or it was revoked before.
#[derive(Clone, Copy, Debug)]
pub struct RevokeApiKey {
    /// The organisation.
    pub tenant: TenantId,
    /// The key.
    pub id: ApiKeyId,
    /// The present moment.
    pub now: Timestamp,
    /// When every node has forgotten what it knew of the key.
    pub forgotten_at: Timestamp,
}

#[derive(sqlx::FromRow)]
struct HashRow {
    hash: String,
}

impl Intent for RevokeApiKey {
    type Output = bool;
    const WRITES: bool = true;
    const REPEATABLE: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<bool> {
        let row: Option<HashRow> =
            tx.query(REVOKE).bind(self.id.uuid()).bind(self.tenant.uuid()).bind(At(self.now)).row().await?;
        let Some(HashRow { hash }) = row else { return Ok(false) };
        tx.query(DELETE_LOOKUP).bind(hash).run().await?;
        revocations::insert(tx, Revoked::ApiKey(self.id), self.now, self.forgotten_at).await?;
        Ok(true)
    }
}
