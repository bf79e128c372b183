//! The register of deployments: which build was put where and when, and what came of it. An entry is written when it is known
//! what came of it, and never changed.

use mainstay_domain::{DeploymentKind, DeploymentOutcome, Timestamp};
use uuid::Uuid;

use crate::error::Result;
use crate::intent::Intent;
use crate::members::word;
use crate::sql::statements;
use crate::tx::{Scope, Tx};
use crate::value::At;

statements! {
    RECORD = both("
        INSERT INTO deployment
          (id, environment, version, commit_id, digest, kind, outcome, reason, who, began_at, ended_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT (id) DO NOTHING");
    /// Ids sort by time.
    FORGET = both("
        DELETE FROM deployment WHERE id <= (SELECT id FROM deployment ORDER BY id DESC LIMIT 1 OFFSET $1)");
    ALL = both("
        SELECT id, environment, version, commit_id, digest, kind, outcome, reason, who, began_at, ended_at
        FROM deployment WHERE id < $1 ORDER BY id DESC LIMIT $2");
    OF_ENVIRONMENT = both("
        SELECT id, environment, version, commit_id, digest, kind, outcome, reason, who, began_at, ended_at
        FROM deployment WHERE environment = $1 AND id < $2 ORDER BY id DESC LIMIT $3");
    /// Of each environment the last that succeeded.
    STANDING = both("
        SELECT id, environment, version, commit_id, digest, kind, outcome, reason, who, began_at, ended_at
        FROM deployment WHERE outcome = 'succeeded' AND NOT EXISTS (
          SELECT 1 FROM deployment later
          WHERE later.environment = deployment.environment AND later.outcome = 'succeeded' AND later.id > deployment.id)
        ORDER BY id DESC LIMIT 100");
}

/// How many entries are kept.
pub const KEPT_DEPLOYMENTS: i64 = 2_000;

/// An entry of the register.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deployment {
    /// Its id. Ids sort by the moment at which it was recorded.
    pub id: Uuid,
    /// Where to: `production`, `staging`.
    pub environment: String,
    /// The version of the program.
    pub version: String,
    /// The commit that it was built from, as whoever recorded it told.
    pub commit: String,
    /// SHA-256 of the program, in hexadecimal.
    pub digest: String,
    /// What was done.
    pub kind: DeploymentKind,
    /// What came of it.
    pub outcome: DeploymentOutcome,
    /// Why, in words.
    pub reason: String,
    /// By whom, as they told.
    pub who: String,
    /// When it was begun.
    pub began_at: Timestamp,
    /// When it was known what came of it.
    pub ended_at: Timestamp,
}

#[derive(sqlx::FromRow)]
struct DeploymentRow {
    id: Uuid,
    environment: String,
    version: String,
    commit_id: String,
    digest: String,
    kind: String,
    outcome: String,
    reason: String,
    who: String,
    began_at: At,
    ended_at: At,
}

impl TryFrom<DeploymentRow> for Deployment {
    type Error = crate::error::Error;

    fn try_from(row: DeploymentRow) -> Result<Self> {
        Ok(Self {
            id: row.id,
            environment: row.environment,
            version: row.version,
            commit: row.commit_id,
            digest: row.digest,
            kind: word(&row.kind)?,
            outcome: word(&row.outcome)?,
            reason: row.reason,
            who: row.who,
            began_at: row.began_at.0,
            ended_at: row.ended_at.0,
        })
    }
}

/// Writes an entry, and forgets the oldest beyond [`KEPT_DEPLOYMENTS`].
#[derive(Clone, Debug)]
pub struct RecordDeployment(pub Deployment);

impl Intent for RecordDeployment {
    type Output = ();
    const WRITES: bool = true;
    const REPEATABLE: bool = true;

    fn scope(&self) -> Scope {
        Scope::System
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<()> {
        let one = self.0.clone();
        let query = tx.query(RECORD).bind(one.id).bind(one.environment).bind(one.version).bind(one.commit);
        let query = query.bind(one.digest).bind(one.kind.as_str()).bind(one.outcome.as_str()).bind(one.reason);
        query.bind(one.who).bind(At(one.began_at)).bind(At(one.ended_at)).run().await?;
        tx.query(FORGET).bind(KEPT_DEPLOYMENTS).run().await?;
        Ok(())
    }
}

/// Lists the register, the last entry first.
#[derive(Clone, Debug)]
pub struct ListDeployments {
    /// Only of this environment.
    pub environment: Option<String>,
    /// Before this one; nothing for the last.
    pub before: Option<Uuid>,
    /// At most so many.
    pub limit: u32,
}

impl Intent for ListDeployments {
    type Output = Vec<Deployment>;
    const WRITES: bool = false;
    const ONE_STATEMENT: bool = true;

    fn scope(&self) -> Scope {
        Scope::System
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output> {
        let (before, limit) = (self.before.unwrap_or(Uuid::max()), i64::from(self.limit));
        let rows: Vec<DeploymentRow> = match self.environment.clone() {
            None => tx.query(ALL).bind(before).bind(limit).rows().await?,
            Some(environment) => tx.query(OF_ENVIRONMENT).bind(environment).bind(before).bind(limit).rows().await?,
        };
        rows.into_iter().map(Deployment::try_from).collect()
    }
}

/// Reads what should run: of each environment the last entry that succeeded, a rollback among them.
#[derive(Clone, Copy, Debug)]
pub struct ReadStandingDeployments;

impl Intent for ReadStandingDeployments {
    type Output = Vec<Deployment>;
    const WRITES: bool = false;
    const ONE_STATEMENT: bool = true;

    fn scope(&self) -> Scope {
        Scope::System
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output> {
        let rows: Vec<DeploymentRow> = tx.query(STANDING).rows().await?;
        rows.into_iter().map(Deployment::try_from).collect()
    }
}
