//! Forgetting what was never sent.

use mainstay_domain::{TenantId, Timestamp};

use crate::call::Call;
use crate::error::Result;
use crate::intent::Intent;
use crate::sql::statements;
use crate::store::Store;
use crate::tx::{Scope, Tx};
use crate::value::{At, Place};

statements! {
    OLD = both("
        SELECT id, tenant_id FROM image WHERE message_id IS NULL AND created_at < $1 ORDER BY created_at LIMIT 100");
    /// Unless somebody has sent it meanwhile. Said in this way so that PostgreSQL looks each up by its key, and not by the
    /// index of what was not sent.
    FORGET = batch((id: uuid, tenant_id: uuid) "
        DELETE FROM image WHERE (id, tenant_id) IN (SELECT id, tenant_id FROM batch)
          AND coalesce(message_id, conversation_id) IS NULL");
}

/// Which images from before a moment were never sent, across organisations.
struct Old(Timestamp);

impl Intent for Old {
    type Output = Vec<Place>;
    const WRITES: bool = false;
    const ONE_STATEMENT: bool = true;

    fn scope(&self) -> Scope {
        Scope::System
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output> {
        tx.query(OLD).bind(At(self.0)).rows().await
    }
}

/// Forgets these, in the name of their organisations.
struct Forget(Vec<Place>);

impl Intent for Forget {
    type Output = ();
    const WRITES: bool = true;
    const REPEATABLE: bool = true;

    fn scope(&self) -> Scope {
        Scope::of(self.0.iter().map(|place| TenantId(place.tenant_id)))
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<()> {
        tx.batch(FORGET, &self.0).run().await?;
        Ok(())
    }
}

impl Store {
    /// Forgets images from before a moment that were never sent, at most 100. The answer is how many there were.
    ///
    /// # Errors
    /// As every intent.
    pub async fn forget_unsent_images(&self, call: &Call, before: Timestamp) -> Result<usize> {
        let old = self.run(call, Old(before)).await?;
        let there = old.len();
        if there > 0 {
            self.run_for_jobs(call, Forget(old)).await?;
        }
        Ok(there)
    }
}
