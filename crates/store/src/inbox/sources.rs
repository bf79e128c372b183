//! Who may send webhooks to an organisation. The address of each ends in a key, which is looked up before the organisation
//! is known.

use mainstay_domain::{InboxSourceId, PersonId, Sealed, TenantId, Timestamp};
use uuid::Uuid;

use crate::error::{Error, Result};
use crate::idempotency::{Claimant, Once, claim};
use crate::intent::Intent;
use crate::sql::statements;
use crate::turns::Claim;
use crate::tx::{Scope, Tx};
use crate::value::At;

statements! {
    COUNT = both("SELECT count(*) AS sources FROM inbox_source WHERE tenant_id = $1 AND created_at >= $2");
    INSERT = both("
        INSERT INTO inbox_source (id, tenant_id, name, provider, scheme, key, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7)");
    INSERT_KEY = both("INSERT INTO inbox_key (key, tenant_id, source_id) VALUES ($1, $2, $3)");
    LOOKUP = both("SELECT tenant_id, source_id FROM inbox_key WHERE key = $1");
    GET = both("
        SELECT id, name, provider, scheme, key, created_at, disabled_at FROM inbox_source WHERE id = $1 AND tenant_id = $2");
    LIST = both("
        SELECT id, name, provider, scheme, key, created_at, disabled_at FROM inbox_source
        WHERE tenant_id = $1 AND (created_at, id) > ($2, $3) ORDER BY created_at, id LIMIT $4");
    CHANGE = both("
        UPDATE inbox_source SET name = coalesce($3, name), scheme = coalesce($4, scheme),
          disabled_at = CASE WHEN $5 = 0 THEN disabled_at WHEN $5 = 1 THEN NULL ELSE coalesce(disabled_at, $6) END
        WHERE id = $1 AND tenant_id = $2 AND ($7 = '' OR scheme = $7)");
    DELETE = both("DELETE FROM inbox_source WHERE id = $1 AND tenant_id = $2 RETURNING key");
    DELETE_KEY = both("DELETE FROM inbox_key WHERE key = $1");
}

/// The most senders of one organisation.
pub const MOST_INBOX_SOURCES: u32 = 100;

/// Somebody who may send webhooks to an organisation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InboxSource {
    /// Its id.
    pub id: InboxSourceId,
    /// What it is called.
    pub name: String,
    /// What kind of sender it is.
    pub provider: String,
    /// How the sender proves who it is, with the secrets for it.
    pub scheme: Sealed,
    /// The end of its address.
    pub key: String,
    /// Since when.
    pub created_at: Timestamp,
    /// Since when nothing of it is taken.
    pub disabled_at: Option<Timestamp>,
}

#[derive(sqlx::FromRow)]
struct SourceRow {
    id: Uuid,
    name: String,
    provider: String,
    scheme: String,
    key: String,
    created_at: At,
    disabled_at: Option<At>,
}

impl From<SourceRow> for InboxSource {
    fn from(row: SourceRow) -> Self {
        Self {
            id: InboxSourceId(row.id),
            name: row.name,
            provider: row.provider,
            scheme: Sealed::of_column(&row.scheme),
            key: row.key,
            created_at: row.created_at.0,
            disabled_at: row.disabled_at.map(|at| at.0),
        }
    }
}

/// Adds a sender.
#[derive(Clone, Debug)]
pub struct CreateInboxSource {
    /// The organisation.
    pub tenant: TenantId,
    /// Who adds it.
    pub person: PersonId,
    /// The sender.
    pub source: InboxSource,
    /// The idempotency key, if there is one.
    pub claim: Option<Claim>,
}

/// What became of a sender that was to be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InboxSourceMade {
    /// It is there.
    Made(InboxSourceId),
    /// The organisation has as many as it may.
    TooMany,
}

#[derive(sqlx::FromRow)]
struct CountRow {
    sources: i64,
}

impl Intent for CreateInboxSource {
    type Output = Once<InboxSourceMade>;
    const WRITES: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output> {
        let (source, tenant) = (&self.source, self.tenant.uuid());
        let most = i64::from(MOST_INBOX_SOURCES);
        let count = tx.query(COUNT).bind(tenant).bind(At(Timestamp::EPOCH)).row::<CountRow>().await?;
        // Before the key is claimed: what is refused is not remembered.
        if count.is_some_and(|count| count.sources >= most) {
            return Ok(Once::Done(InboxSourceMade::TooMany));
        }
        let claimant = Claimant {
            tenant: self.tenant,
            person: self.person,
            operation: "inbox_source",
            claim: self.claim.as_ref(),
            resource: source.id.uuid(),
            now: source.created_at,
        };
        if let Some(used) = claim(tx, claimant).await? {
            return Ok(Once::Repeat(used));
        }
        let insert = tx.query(INSERT).bind(source.id.uuid()).bind(tenant).bind(source.name.clone());
        let insert = insert.bind(source.provider.clone()).bind(source.scheme.as_str().to_owned());
        insert.bind(source.key.clone()).bind(At(source.created_at)).run().await?;
        tx.query(INSERT_KEY).bind(source.key.clone()).bind(tenant).bind(source.id.uuid()).run().await?;
        Ok(Once::Done(InboxSourceMade::Made(source.id)))
    }
}

/// Finds whose an address is, by its key.
#[derive(Clone, Debug)]
pub struct LookUpInboxKey(pub String);

#[derive(sqlx::FromRow)]
struct KeyRow {
    tenant_id: Uuid,
    source_id: Uuid,
}

impl Intent for LookUpInboxKey {
    type Output = Option<(TenantId, InboxSourceId)>;
    const WRITES: bool = false;
    const ONE_STATEMENT: bool = true;

    fn scope(&self) -> Scope {
        Scope::Global
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output> {
        let row: Option<KeyRow> = tx.query(LOOKUP).bind(self.0.clone()).row().await?;
        Ok(row.map(|row| (TenantId(row.tenant_id), InboxSourceId(row.source_id))))
    }
}

/// Reads a sender of an organisation.
#[derive(Clone, Copy, Debug)]
pub struct GetInboxSource {
    /// The organisation.
    pub tenant: TenantId,
    /// The sender.
    pub id: InboxSourceId,
}

impl Intent for GetInboxSource {
    type Output = Option<InboxSource>;
    const WRITES: bool = false;
    const ONE_STATEMENT: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output> {
        let row: Option<SourceRow> = tx.query(GET).bind(self.id.uuid()).bind(self.tenant.uuid()).row().await?;
        Ok(row.map(InboxSource::from))
    }
}

/// Lists the senders of an organisation, the oldest first.
#[derive(Clone, Copy, Debug)]
pub struct ListInboxSources {
    /// The organisation.
    pub tenant: TenantId,
    /// Those after this one.
    pub after: Option<(Timestamp, InboxSourceId)>,
    /// At most so many.
    pub limit: u32,
}

impl Intent for ListInboxSources {
    type Output = Vec<InboxSource>;
    const WRITES: bool = false;
    const ONE_STATEMENT: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output> {
        let (moment, id) = self.after.map_or((Timestamp::EPOCH, Uuid::nil()), |(moment, id)| (moment, id.uuid()));
        let list = tx.query(LIST).bind(self.tenant.uuid()).bind(At(moment)).bind(id).bind(i64::from(self.limit));
        Ok(list.rows::<SourceRow>().await?.into_iter().map(InboxSource::from).collect())
    }
}

/// Changes a sender; what is not named stays as it is. The answer is the sender, if there is one; [`Error::Conflict`] when
/// somebody else has changed how it proves who it is.
#[derive(Clone, Debug)]
pub struct ChangeInboxSource {
    /// The organisation.
    pub tenant: TenantId,
    /// The sender.
    pub id: InboxSourceId,
    /// How it proved who it is when the change was thought of; without it, however it does.
    pub seen: Option<Sealed>,
    /// What it is called.
    pub name: Option<String>,
    /// How it proves who it is.
    pub scheme: Option<Sealed>,
    /// Whether anything of it is taken.
    pub enabled: Option<bool>,
    /// The present moment.
    pub now: Timestamp,
}

impl Intent for ChangeInboxSource {
    type Output = Option<InboxSource>;
    const WRITES: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output> {
        let (id, tenant) = (self.id.uuid(), self.tenant.uuid());
        let enabled: i64 = match self.enabled {
            None => 0,
            Some(true) => 1,
            Some(false) => 2,
        };
        let scheme = self.scheme.as_ref().map(|scheme| scheme.as_str().to_owned());
        let change = tx.query(CHANGE).bind(id).bind(tenant).bind(self.name.clone()).bind(scheme);
        let seen = self.seen.as_ref().map_or_else(String::new, |seen| seen.as_str().to_owned());
        let changed = change.bind(enabled).bind(At(self.now)).bind(seen).run().await?;
        let row: Option<SourceRow> = tx.query(GET).bind(id).bind(tenant).row().await?;
        if changed == 0 && row.is_some() {
            return Err(Error::Conflict);
        }
        Ok(row.map(InboxSource::from))
    }
}

/// Removes a sender and its address; what it has sent stays. The answer is the key of the address.
#[derive(Clone, Copy, Debug)]
pub struct DeleteInboxSource {
    /// The organisation.
    pub tenant: TenantId,
    /// The sender.
    pub id: InboxSourceId,
}

#[derive(sqlx::FromRow)]
struct DeletedRow {
    key: String,
}

impl Intent for DeleteInboxSource {
    type Output = Option<String>;
    const WRITES: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output> {
        let deleted: Option<DeletedRow> = tx.query(DELETE).bind(self.id.uuid()).bind(self.tenant.uuid()).row().await?;
        let Some(DeletedRow { key }) = deleted else { return Ok(None) };
        tx.query(DELETE_KEY).bind(key.clone()).run().await?;
        Ok(Some(key))
    }
}
