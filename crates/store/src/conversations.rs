//! Conversations: made, read, renamed, deleted.

use mainstay_domain::{ConversationId, ConversationTitle, PersonId, TenantId, Timestamp};
use uuid::Uuid;

use crate::error::{Error, Result};
use crate::idempotency::{Claimant, Once, claim};
use crate::intent::Intent;
use crate::kinds::{Kind, RowKey};
use crate::sql::statements;
use crate::stream::Changes;
use crate::turns::Claim;
use crate::tx::{Scope, Tx};
use crate::value::{At, END_OF_TIME};

statements! {
    INSERT = both("
        INSERT INTO conversation (id, tenant_id, person_id, title, next_ordinal, seq, created_at, updated_at)
        VALUES ($1, $2, $3, $4, 0, $5, $6, $6)");
    GET = both("
        SELECT id, title, created_at, updated_at FROM conversation
        WHERE id = $1 AND tenant_id = $2 AND person_id = $3 AND deleted_at IS NULL");
    LIST = both("
        SELECT id, title, created_at, updated_at FROM conversation
        WHERE tenant_id = $1 AND person_id = $2 AND deleted_at IS NULL AND (updated_at, id) < ($3, $4)
        ORDER BY updated_at DESC, id DESC LIMIT $5");
    LOCK = pair(sqlite "
        SELECT seq FROM conversation WHERE id = $1 AND tenant_id = $2 AND person_id = $3 AND deleted_at IS NULL",
        postgres "
        SELECT seq FROM conversation WHERE id = $1 AND tenant_id = $2 AND person_id = $3 AND deleted_at IS NULL FOR UPDATE",
        differs "SQLite has one writer and no row locks");
    RENAME = both("
        UPDATE conversation SET title = $3, seq = $4, updated_at = $5 WHERE id = $1 AND tenant_id = $2
        RETURNING id, title, created_at, updated_at");
    /// Whichever node makes a reply in it is asked to stop, and the reply has no place in the stream any more. After the
    /// conversation is locked, so that no reply is begun in it meanwhile.
    STOP = both("
        UPDATE generation SET stop_requested_at = $3, seq = NULL WHERE tenant_id = $1 AND id IN (
          SELECT id FROM message WHERE tenant_id = $1 AND conversation_id = $2)");
    MESSAGES = both("
        SELECT count(*) AS count, cast(coalesce(sum(seq), 0) AS bigint) AS total FROM message
        WHERE conversation_id = $1 AND tenant_id = $2");
    /// The messages go with their conversation, without tombstones of their own.
    VANISH = both("
        DELETE FROM change WHERE stream_id = $3 AND tenant_id = $2 AND seq IN (
          SELECT seq FROM message WHERE conversation_id = $1 AND tenant_id = $2)");
    READ = batch((id: uuid) "
        SELECT c.id, c.title, c.created_at, c.updated_at FROM batch b JOIN conversation c ON c.id = b.id AND c.tenant_id = $2");
    DELETE = both("UPDATE conversation SET title = '', seq = $3, deleted_at = $4 WHERE id = $1 AND tenant_id = $2");
}

/// A conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conversation {
    /// Its id.
    pub id: ConversationId,
    /// What it is called.
    pub title: String,
    /// Since when it is there.
    pub created_at: Timestamp,
    /// When something was last written in it.
    pub updated_at: Timestamp,
}

#[derive(sqlx::FromRow)]
struct ConversationRow {
    id: Uuid,
    title: String,
    created_at: At,
    updated_at: At,
}

impl From<ConversationRow> for Conversation {
    fn from(row: ConversationRow) -> Self {
        Self {
            id: ConversationId(row.id),
            title: row.title,
            created_at: row.created_at.0,
            updated_at: row.updated_at.0,
        }
    }
}

/// Makes an empty conversation.
#[derive(Clone, Debug)]
pub struct CreateConversation {
    /// Its id.
    pub id: ConversationId,
    /// The organisation.
    pub tenant: TenantId,
    /// Whose.
    pub person: PersonId,
    /// What it is called.
    pub title: ConversationTitle,
    /// The idempotency key, if there is one.
    pub claim: Option<Claim>,
    /// The present moment.
    pub now: Timestamp,
}

impl Intent for CreateConversation {
    type Output = Once<Conversation>;
    const WRITES: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Once<Conversation>> {
        let claimant = Claimant {
            tenant: self.tenant,
            person: self.person,
            operation: "conversation",
            claim: self.claim.as_ref(),
            resource: self.id.uuid(),
            now: self.now,
        };
        if let Some(used) = claim(tx, claimant).await? {
            return Ok(Once::Repeat(used));
        }
        let seq = moved(tx, (self.tenant, self.person, self.id), None, self.now).await?;
        tx.query(INSERT)
            .bind(self.id.uuid())
            .bind(self.tenant.uuid())
            .bind(self.person.uuid())
            .bind(self.title.as_str().to_owned())
            .bind(seq)
            .bind(At(self.now))
            .run()
            .await?;
        Ok(Once::Done(Conversation {
            id: self.id,
            title: self.title.as_str().to_owned(),
            created_at: self.now,
            updated_at: self.now,
        }))
    }
}

/// Gives a conversation its next number.
async fn moved(
    tx: &mut Tx<'_>,
    (tenant, person, id): (TenantId, PersonId, ConversationId),
    old: Option<i64>,
    now: Timestamp,
) -> Result<i64> {
    let mut changes = Changes::default();
    changes.put(tenant, person, Kind::Conversation, id.uuid(), old);
    changes.record(tx, now).await?.of(tenant, person, id.uuid())
}

/// Reads conversations for the stream that they are in.
pub(crate) async fn read(tx: &mut Tx<'_>, tenant: TenantId, ids: &[RowKey]) -> Result<Vec<(Uuid, Conversation)>> {
    let rows: Vec<ConversationRow> = tx.batch(READ, ids).bind(tenant.uuid()).rows().await?;
    Ok(rows.into_iter().map(|row| (row.id, row.into())).collect())
}

/// Reads a conversation of this person.
#[derive(Clone, Copy, Debug)]
pub struct GetConversation {
    /// The organisation.
    pub tenant: TenantId,
    /// Whose.
    pub person: PersonId,
    /// Which.
    pub id: ConversationId,
}

impl Intent for GetConversation {
    type Output = Option<Conversation>;
    const WRITES: bool = false;
    const ONE_STATEMENT: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Option<Conversation>> {
        let row: Option<ConversationRow> =
            tx.query(GET).bind(self.id.uuid()).bind(self.tenant.uuid()).bind(self.person.uuid()).row().await?;
        Ok(row.map(Conversation::from))
    }
}

/// Lists a person's conversations, the newest first.
#[derive(Clone, Copy, Debug)]
pub struct ListConversations {
    /// The organisation.
    pub tenant: TenantId,
    /// Whose.
    pub person: PersonId,
    /// Those after (older than) this one.
    pub after: Option<(Timestamp, ConversationId)>,
    /// At most so many.
    pub limit: u32,
}

impl Intent for ListConversations {
    type Output = Vec<Conversation>;
    const WRITES: bool = false;
    const ONE_STATEMENT: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Vec<Conversation>> {
        let (moment, id) = self.after.map_or((END_OF_TIME, Uuid::max()), |(moment, id)| (moment, id.uuid()));
        let rows: Vec<ConversationRow> = tx
            .query(LIST)
            .bind(self.tenant.uuid())
            .bind(self.person.uuid())
            .bind(At(moment))
            .bind(id)
            .bind(i64::from(self.limit))
            .rows()
            .await?;
        Ok(rows.into_iter().map(Conversation::from).collect())
    }
}

#[derive(sqlx::FromRow)]
struct LockedRow {
    seq: i64,
}

/// Locks a conversation; the answer is its number.
pub(crate) async fn lock(tx: &mut Tx<'_>, id: ConversationId, tenant: TenantId, person: PersonId) -> Result<i64> {
    let row: Option<LockedRow> = tx.query(LOCK).bind(id.uuid()).bind(tenant.uuid()).bind(person.uuid()).row().await?;
    row.map(|row| row.seq).ok_or(Error::Missing("conversation"))
}

/// Writes a conversation's number, for tests of transactions that the product does not have.
#[cfg(test)]
pub(crate) async fn set_seq(tx: &mut Tx<'_>, id: ConversationId, tenant: TenantId, seq: i64) -> Result<()> {
    const SET: crate::sql::Sql = crate::sql::Sql::plain(
        "test",
        "UPDATE conversation SET seq = $3 WHERE id = $1 AND tenant_id = $2",
        "UPDATE conversation SET seq = $3 WHERE id = $1 AND tenant_id = $2",
    );
    tx.query(SET).bind(id.uuid()).bind(tenant.uuid()).bind(seq).run().await.map(drop)
}

/// Gives a conversation another title.
#[derive(Clone, Debug)]
pub struct RenameConversation {
    /// The organisation.
    pub tenant: TenantId,
    /// Whose.
    pub person: PersonId,
    /// Which.
    pub id: ConversationId,
    /// What it is called from now on.
    pub title: ConversationTitle,
    /// The idempotency key, if there is one.
    pub claim: Option<Claim>,
    /// The present moment.
    pub now: Timestamp,
}

impl Intent for RenameConversation {
    type Output = Once<Conversation>;
    const WRITES: bool = true;
    const REPEATABLE: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Once<Conversation>> {
        let claimant = Claimant {
            tenant: self.tenant,
            person: self.person,
            operation: "rename",
            claim: self.claim.as_ref(),
            resource: self.id.uuid(),
            now: self.now,
        };
        if let Some(used) = claim(tx, claimant).await? {
            return Ok(Once::Repeat(used));
        }
        let old = lock(tx, self.id, self.tenant, self.person).await?;
        let seq = moved(tx, (self.tenant, self.person, self.id), Some(old), self.now).await?;
        let row: Option<ConversationRow> = tx
            .query(RENAME)
            .bind(self.id.uuid())
            .bind(self.tenant.uuid())
            .bind(self.title.as_str().to_owned())
            .bind(seq)
            .bind(At(self.now))
            .row()
            .await?;
        row.map(|row| Once::Done(row.into())).ok_or(Error::Missing("conversation"))
    }
}

#[derive(sqlx::FromRow)]
struct MessagesRow {
    count: i64,
    total: i64,
}

/// Deletes a conversation: it leaves a tombstone that clients learn of, replies in the making are asked to stop, and its
/// messages are purged later.
#[derive(Clone, Debug)]
pub struct DeleteConversation {
    /// The organisation.
    pub tenant: TenantId,
    /// Whose.
    pub person: PersonId,
    /// Which.
    pub id: ConversationId,
    /// The idempotency key, if there is one.
    pub claim: Option<Claim>,
    /// The present moment.
    pub now: Timestamp,
}

impl Intent for DeleteConversation {
    type Output = Once<()>;
    const WRITES: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Once<()>> {
        let claimant = Claimant {
            tenant: self.tenant,
            person: self.person,
            operation: "delete",
            claim: self.claim.as_ref(),
            resource: self.id.uuid(),
            now: self.now,
        };
        if let Some(used) = claim(tx, claimant).await? {
            return Ok(Once::Repeat(used));
        }
        let (id, tenant, person) = (self.id.uuid(), self.tenant.uuid(), self.person.uuid());
        // Conversations before replies, as the batches of turns lock them.
        let old = lock(tx, self.id, self.tenant, self.person).await?;
        tx.query(STOP).bind(tenant).bind(id).bind(At(self.now)).run().await?;
        let mut changes = Changes::default();
        changes.delete(self.tenant, self.person, Kind::Conversation, id, old);
        // Nobody adds a message to it or settles one in it from here on.
        let messages: Option<MessagesRow> = tx.query(MESSAGES).bind(id).bind(tenant).row().await?;
        let messages = messages.ok_or_else(|| Error::Bug("a count has no row".to_owned()))?;
        let gone = tx.query(VANISH).bind(id).bind(tenant).bind(person).run().await?;
        if i64::try_from(gone) != Ok(messages.count) {
            return Err(Error::Bug("a message was not where its stream has it".to_owned()));
        }
        changes.vanish(self.tenant, self.person, messages.count, messages.total);
        let seq = changes.record(tx, self.now).await?.of(self.tenant, self.person, id)?;
        tx.query(DELETE).bind(id).bind(tenant).bind(seq).bind(At(self.now)).run().await?;
        Ok(Once::Done(()))
    }
}
