//! How many recordings there are, and forgetting those that are old, across organisations.

use mainstay_domain::Timestamp;

use crate::call::Call;
use crate::error::Result;
use crate::intent::Intent;
use crate::places::FindDue;
use crate::sql::statements;
use crate::store::Store;
use crate::tx::{Scope, Tx};
use crate::value::At;

statements! {
    /// All that there is: what is older is forgotten.
    MEASURE = both("
        SELECT count(*) AS replays, CAST(coalesce(sum(bytes), 0) AS bigint) AS bytes FROM replay WHERE last_at > $1");
    OLD = both("SELECT id, tenant_id FROM replay WHERE last_at < $1 ORDER BY last_at LIMIT 50");
    EXPIRE = batch((id: uuid, tenant_id: uuid) "
        DELETE FROM replay WHERE (id, tenant_id) IN (SELECT id, tenant_id FROM batch)");
}

/// How much is kept, of all organisations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, sqlx::FromRow)]
pub struct ReplayAmount {
    /// How many recordings.
    pub replays: i64,
    /// How many bytes of events.
    pub bytes: i64,
}

/// Measures what came after a moment.
#[derive(Clone, Copy, Debug)]
pub struct MeasureReplays(pub Timestamp);

impl Intent for MeasureReplays {
    type Output = ReplayAmount;
    const WRITES: bool = false;
    const ONE_STATEMENT: bool = true;

    fn scope(&self) -> Scope {
        Scope::System
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<ReplayAmount> {
        Ok(tx.query(MEASURE).bind(At(self.0)).row().await?.unwrap_or_default())
    }
}

impl Store {
    /// Forgets recordings that have grown last before a moment, at most 50. The answer is how many there were.
    ///
    /// # Errors
    /// As every intent.
    pub async fn forget_replays(&self, call: &Call, before: Timestamp) -> Result<usize> {
        let old = self.run(call, FindDue(OLD, before)).await?;
        self.forget_places(call, EXPIRE, old).await
    }
}
