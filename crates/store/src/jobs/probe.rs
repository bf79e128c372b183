//! Probes: jobs whose only effect is a row that says how often it took place. They show, on a running system, that what is
//! promised is done, and done once.

use mainstay_domain::Timestamp;

use super::finish::{Fence, done};
use crate::error::Result;
use crate::intent::Intent;
use crate::sql::statements;
use crate::tx::{Scope, Tx};
use crate::value::At;

statements! {
    EFFECT = both("
        INSERT INTO job_probe (key, effects, happened_at) VALUES ($1, 1, $2)
        ON CONFLICT (key) DO UPDATE SET effects = job_probe.effects + 1, happened_at = excluded.happened_at");
    EFFECTS = both("SELECT key, effects FROM job_probe WHERE key > $1 AND key < $2 ORDER BY key LIMIT 1000");
    FORGET = pair(sqlite "
        DELETE FROM job_probe WHERE key IN (SELECT p.key FROM job_probe p WHERE p.happened_at <= $1 ORDER BY p.happened_at LIMIT 1000)",
        postgres "
        DELETE FROM job_probe WHERE key = ANY (ARRAY(SELECT p.key FROM job_probe p WHERE p.happened_at <= $1 ORDER BY p.happened_at LIMIT 1000))",
        differs "PostgreSQL would join the sub-select by reading the whole table; as an array it looks each up");
}

/// The effect of a probe and the end of its job, in one transaction.
#[derive(Clone, Debug)]
pub struct RecordProbe {
    /// The key of the probe.
    pub key: String,
    /// The job.
    pub fence: Fence,
    /// The present moment.
    pub now: Timestamp,
}

impl Intent for RecordProbe {
    type Output = ();
    const WRITES: bool = true;

    fn scope(&self) -> Scope {
        Scope::System
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<()> {
        tx.query(EFFECT).bind(self.key.clone()).bind(At(self.now)).run().await?;
        done(tx, self.fence, self.now).await
    }
}

/// How often a probe took effect.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct ProbeEffects {
    /// Its key.
    pub key: String,
    /// How often; 1 is right.
    pub effects: i64,
}

/// Lists probes by the beginning of their keys, at most 1,000.
#[derive(Clone, Debug)]
pub struct ListProbes {
    /// After this key, which has the beginning.
    pub after: String,
    /// The beginning.
    pub prefix: String,
}

impl Intent for ListProbes {
    type Output = Vec<ProbeEffects>;
    const WRITES: bool = false;
    const ONE_STATEMENT: bool = true;

    fn scope(&self) -> Scope {
        Scope::System
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output> {
        tx.query(EFFECTS).bind(self.after.clone()).bind(crate::lease::after(&self.prefix)).rows().await
    }
}

/// Forgets probes from before a moment, at most 1,000.
#[derive(Clone, Copy, Debug)]
pub struct ForgetProbes(pub Timestamp);

impl Intent for ForgetProbes {
    type Output = u64;
    const WRITES: bool = true;
    const REPEATABLE: bool = true;

    fn scope(&self) -> Scope {
        Scope::System
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<u64> {
        tx.query(FORGET).bind(At(self.0)).run().await
    }
}
