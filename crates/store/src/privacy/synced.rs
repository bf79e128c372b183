//! What is erased in rows that clients hold copies of: their streams tell of it, so that the copies change, too.

use mainstay_domain::{PersonId, TenantId, Timestamp};
use uuid::Uuid;

use crate::error::Result;
use crate::intent::Intent;
use crate::kinds::Kind;
use crate::sql::statements;
use crate::stream::Changes;
use crate::tx::{Scope, Tx};

statements! {
    /// Its number, and whether clients have it. Conversations are locked before messages, as everywhere.
    CONVERSATION = pair(sqlite "
        SELECT seq, CASE WHEN deleted_at IS NULL THEN 1 ELSE 0 END AS live FROM conversation
        WHERE id = $1 AND tenant_id = $2 AND person_id = $3",
        postgres "
        SELECT seq, CASE WHEN deleted_at IS NULL THEN 1::bigint ELSE 0::bigint END AS live FROM conversation
        WHERE id = $1 AND tenant_id = $2 AND person_id = $3 FOR UPDATE",
        differs "SQLite has one writer and no row locks");
    TITLE = both("UPDATE conversation SET title = $3, seq = $4 WHERE id = $1 AND tenant_id = $2");
    /// A reply in the making is written by whoever makes it; its turn comes when it is made.
    MESSAGE = pair(sqlite "
        SELECT seq FROM message WHERE id = $1 AND tenant_id = $2 AND conversation_id = $3 AND status <> 'streaming'",
        postgres "
        SELECT seq FROM message WHERE id = $1 AND tenant_id = $2 AND conversation_id = $3 AND status <> 'streaming' FOR UPDATE",
        differs "SQLite has one writer and no row locks");
    WORDS = both("
        UPDATE message SET content = $3, error_detail = $4, images = $5, tools = $6, seq = $7 WHERE id = $1 AND tenant_id = $2");
}

/// What becomes of a row that is synced. Its words are written once by whoever has said them, and so they are as they were
/// read, except that a title may have been changed meanwhile; it is then looked at again.
#[derive(Clone, Debug)]
pub(super) struct EraseInSynced {
    pub tenant: TenantId,
    pub person: PersonId,
    pub conversation: Uuid,
    pub words: Words,
    pub now: Timestamp,
}

#[derive(Clone, Debug)]
pub(super) enum Words {
    Title(String),
    Message { id: Uuid, content: String, error_detail: Option<String>, images: Option<String>, tools: Option<String> },
}

#[derive(sqlx::FromRow)]
struct ConversationRow {
    seq: i64,
    live: i64,
}

#[derive(sqlx::FromRow)]
struct SeqRow {
    seq: i64,
}

impl Intent for EraseInSynced {
    /// Whether it was changed.
    type Output = bool;
    const WRITES: bool = true;
    const REPEATABLE: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<bool> {
        let (tenant, conversation) = (self.tenant.uuid(), self.conversation);
        let lock = tx.query(CONVERSATION).bind(conversation).bind(tenant).bind(self.person.uuid());
        let Some(of) = lock.row::<ConversationRow>().await? else { return Ok(false) };
        let (id, kind, old) = match &self.words {
            Words::Title(_) => (conversation, Kind::Conversation, of.seq),
            Words::Message { id, .. } => {
                let lock = tx.query(MESSAGE).bind(*id).bind(tenant).bind(conversation);
                let Some(row) = lock.row::<SeqRow>().await? else { return Ok(false) };
                (*id, Kind::Message, row.seq)
            }
        };
        let mut seq = old;
        if of.live == 1 {
            let mut changes = Changes::default();
            changes.put(self.tenant, self.person, kind, id, Some(old));
            seq = changes.record(tx, self.now).await?.of(self.tenant, self.person, id)?;
        }
        let changed = match &self.words {
            Words::Title(title) => tx.query(TITLE).bind(id).bind(tenant).bind(title.clone()).bind(seq).run().await?,
            Words::Message { content, error_detail, images, tools, .. } => {
                let words = tx.query(WORDS).bind(id).bind(tenant).bind(content.clone()).bind(error_detail.clone());
                words.bind(images.clone()).bind(tools.clone()).bind(seq).run().await?
            }
        };
        Ok(changed == 1)
    }
}
