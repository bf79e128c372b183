//! Forgetting lists that nobody reads any more.

use mainstay_domain::Timestamp;

use crate::call::Call;
use crate::error::Result;
use crate::places::FindDue;
use crate::sql::statements;
use crate::store::Store;

statements! {
    OLD = both("SELECT id, tenant_id FROM lead_import WHERE updated_at < $1 ORDER BY updated_at LIMIT 10");
    FORGET_FAULTS = batch((id: uuid, tenant_id: uuid) "
        DELETE FROM lead_import_fault WHERE (import_id, tenant_id) IN (SELECT id, tenant_id FROM batch)");
    FORGET = batch((id: uuid, tenant_id: uuid) "
        DELETE FROM lead_import WHERE (id, tenant_id) IN (SELECT id, tenant_id FROM batch)");
}

impl Store {
    /// Forgets lists that were last read from before a moment, with what was wrong in them, at most 10; their leads stay. The
    /// answer is how many there were.
    ///
    /// # Errors
    /// As every intent.
    pub async fn forget_imports(&self, call: &Call, before: Timestamp) -> Result<usize> {
        let old = self.run(call, FindDue(OLD, before)).await?;
        self.forget_places(call, FORGET_FAULTS, old.clone()).await?;
        self.forget_places(call, FORGET, old).await
    }
}
