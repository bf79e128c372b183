//! Forgetting what was never sent.

use mainstay_domain::Timestamp;

use crate::call::Call;
use crate::error::Result;
use crate::places::FindDue;
use crate::sql::statements;
use crate::store::Store;

statements! {
    OLD = both("
        SELECT id, tenant_id FROM image WHERE message_id IS NULL AND created_at < $1 ORDER BY created_at LIMIT 100");
    /// Unless somebody has sent it meanwhile. Said in this way so that PostgreSQL looks each up by its key, and not by the
    /// index of what was not sent.
    FORGET = batch((id: uuid, tenant_id: uuid) "
        DELETE FROM image WHERE (id, tenant_id) IN (SELECT id, tenant_id FROM batch)
          AND coalesce(message_id, conversation_id) IS NULL");
}

impl Store {
    /// Forgets images from before a moment that were never sent, at most 100. The answer is how many there were.
    ///
    /// # Errors
    /// As every intent.
    pub async fn forget_unsent_images(&self, call: &Call, before: Timestamp) -> Result<usize> {
        let old = self.run(call, FindDue(OLD, before)).await?;
        self.forget_places(call, FORGET, old).await
    }
}
