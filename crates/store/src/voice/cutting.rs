//! A reply that was interrupted while it was spoken: it is cut to what its listener heard.

use mainstay_domain::{ConversationId, GenerationId, PersonId, TenantId, Timestamp};

use crate::conversations::lock;
use crate::error::{Error, Result};
use crate::intent::Intent;
use crate::kinds::Kind;
use crate::sql::statements;
use crate::stream::Changes;
use crate::tx::{Scope, Tx};

statements! {
    FIND = both("
        SELECT seq, content FROM message WHERE id = $1 AND tenant_id = $2 AND person_id = $3 AND role = 'assistant'
          AND status <> 'streaming'");
    CUT = both("
        UPDATE message SET content = $3, status = 'stopped', seq = $4 WHERE id = $1 AND tenant_id = $2");
}

/// Cuts a reply that has ended to its first bytes, and marks it as stopped. The answer is false when there is no such reply,
/// it is still made, or there is nothing to cut.
#[derive(Clone, Copy, Debug)]
pub struct CutReply {
    /// The organisation.
    pub tenant: TenantId,
    /// For whom it was made.
    pub person: PersonId,
    /// In which conversation it stands.
    pub conversation: ConversationId,
    /// Which reply.
    pub generation: GenerationId,
    /// How many bytes of it stay. A place inside a character is moved to its beginning.
    pub bytes: usize,
    /// The present moment.
    pub now: Timestamp,
}

#[derive(sqlx::FromRow)]
struct ReplyRow {
    seq: i64,
    content: String,
}

impl Intent for CutReply {
    type Output = bool;
    const WRITES: bool = true;
    const REPEATABLE: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<bool> {
        // Whoever deletes the conversation, or cuts at the same moment, waits.
        match lock(tx, self.conversation, self.tenant, self.person).await {
            Ok(_) => {}
            Err(Error::Missing(_)) => return Ok(false),
            Err(error) => return Err(error),
        }
        let (id, tenant) = (self.generation.uuid(), self.tenant.uuid());
        let row: Option<ReplyRow> = tx.query(FIND).bind(id).bind(tenant).bind(self.person.uuid()).row().await?;
        let Some(row) = row.filter(|row| row.content.len() > self.bytes) else { return Ok(false) };
        let mut changes = Changes::default();
        changes.put(self.tenant, self.person, Kind::Message, id, Some(row.seq));
        let seq = changes.record(tx, self.now).await?.of(self.tenant, self.person, id)?;
        let kept = row.content[..row.content.floor_char_boundary(self.bytes)].trim_end().to_owned();
        tx.query(CUT).bind(id).bind(tenant).bind(kept).bind(seq).run().await?;
        Ok(true)
    }
}
