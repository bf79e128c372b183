//! The feed of what was revoked: every node reads it once a second, so that a token ends everywhere at once.
//!
//! Positions are given under the row lock of one counter, late in the transaction, so that who has read position k has
//! read everything below k, whatever the order of commits.
//!
//! What is revoked is everything that was read before the entry's position. A reading that a token is made from (a
//! membership, a key) therefore brings the counter along, from the same snapshot: who saw the old state saw a counter below
//! the position of the change, because the change and its position are one commit. No clock takes part in that.

use mainstay_domain::{ApiKeyId, PersonId, SessionId, TenantId, Timestamp};
use uuid::Uuid;

use crate::error::{Error, Result};
use crate::intent::Intent;
use crate::sql::statements;
use crate::tx::{Scope, Tx};
use crate::value::At;

statements! {
    NEXT = both("
        INSERT INTO counter (name, value) VALUES ('revocation', 1)
        ON CONFLICT (name) DO UPDATE SET value = counter.value + 1 RETURNING value");
    INSERT = both("
        INSERT INTO revocation (position, kind, subject, tenant_id, revoked_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6)");
    SINCE = both("
        SELECT position, kind, subject, tenant_id, revoked_at, expires_at FROM revocation
        WHERE position > $1 ORDER BY position LIMIT $2");
}

/// What is revoked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Revoked {
    /// The tokens of one sign-in.
    Session(SessionId),
    /// All tokens of a person that were made from what was read before this entry.
    Person(PersonId),
    /// All tokens that name one membership and were made from what was read before this entry.
    Membership {
        /// Whose.
        person: PersonId,
        /// In which organisation.
        tenant: TenantId,
    },
    /// An API key.
    ApiKey(ApiKeyId),
}

/// One entry of the feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Revocation {
    /// Its place in the feed.
    pub position: i64,
    /// What is revoked.
    pub what: Revoked,
    /// When.
    pub at: Timestamp,
    /// When it may be forgotten: everything that it revokes has ended by itself.
    pub expires_at: Timestamp,
}

#[derive(sqlx::FromRow)]
struct Next {
    value: i64,
}

#[derive(sqlx::FromRow)]
struct RevocationRow {
    position: i64,
    kind: String,
    subject: Uuid,
    tenant_id: Option<Uuid>,
    revoked_at: At,
    expires_at: At,
}

/// Adds an entry; the answer is its position. Call it last: it holds the counter's lock until the commit.
pub(crate) async fn insert(tx: &mut Tx<'_>, what: Revoked, now: Timestamp, expires_at: Timestamp) -> Result<i64> {
    let next: Option<Next> = tx.query(NEXT).row().await?;
    let position = next.ok_or_else(|| Error::Bug("the counter of revocations gave no number".to_owned()))?.value;
    let (kind, subject, tenant) = match what {
        Revoked::Session(id) => ("session", id.uuid(), None),
        Revoked::Person(id) => ("person", id.uuid(), None),
        Revoked::Membership { person, tenant } => ("membership", person.uuid(), Some(tenant.uuid())),
        Revoked::ApiKey(id) => ("api_key", id.uuid(), None),
    };
    tx.query(INSERT)
        .bind(position)
        .bind(kind)
        .bind(subject)
        .bind(tenant)
        .bind(At(now))
        .bind(At(expires_at))
        .run()
        .await?;
    Ok(position)
}

/// Reads the feed from a position on, at most 1,000 entries.
#[derive(Clone, Copy, Debug)]
pub struct RevocationsSince(pub i64);

impl RevocationsSince {
    /// The most entries of one answer: a full answer means that there is more.
    pub const MOST: usize = 1000;
}

impl Intent for RevocationsSince {
    type Output = Vec<Revocation>;
    const WRITES: bool = false;
    const ONE_STATEMENT: bool = true;

    fn scope(&self) -> Scope {
        Scope::Global
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Vec<Revocation>> {
        let rows: Vec<RevocationRow> = tx.query(SINCE).bind(self.0).bind(Self::MOST as i64).rows().await?;
        rows.into_iter()
            .map(|row| {
                let what = match (row.kind.as_str(), row.tenant_id) {
                    ("session", _) => Revoked::Session(SessionId(row.subject)),
                    ("person", _) => Revoked::Person(PersonId(row.subject)),
                    ("api_key", _) => Revoked::ApiKey(ApiKeyId(row.subject)),
                    ("membership", Some(tenant)) => {
                        Revoked::Membership { person: PersonId(row.subject), tenant: TenantId(tenant) }
                    }
                    (kind, _) => return Err(Error::Corrupt(format!("a revocation of unknown kind {kind:?}"))),
                };
                Ok(Revocation { position: row.position, what, at: row.revoked_at.0, expires_at: row.expires_at.0 })
            })
            .collect()
    }
}
