//! What audits have found, so that a report can say what has changed.

use mainstay_domain::Timestamp;
use uuid::Uuid;

use crate::error::Result;
use crate::intent::Intent;
use crate::sql::statements;
use crate::tx::{Scope, Tx};
use crate::value::{At, count};

statements! {
    RECORD = both("INSERT INTO audit_run (id, at, profile, score, report) VALUES ($1, $2, $3, $4, $5) ON CONFLICT (id) DO NOTHING");
    /// Ids sort by time.
    FORGET = both("
        DELETE FROM audit_run WHERE id <= (SELECT id FROM audit_run ORDER BY id DESC LIMIT 1 OFFSET $1)");
    HISTORY = both("SELECT at, profile, score FROM audit_run ORDER BY id DESC LIMIT $1");
    LATEST = both("
        SELECT id, at, profile, score, report FROM audit_run WHERE id < $1 ORDER BY id DESC LIMIT $2");
}

/// How many audits are remembered.
const KEPT: i64 = 400;

/// An audit that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditRun {
    /// Its id.
    pub id: Uuid,
    /// When.
    pub at: Timestamp,
    /// What the installation was taken for.
    pub profile: String,
    /// In tenths: 0 to 1000.
    pub score: u32,
    /// The report, as JSON.
    pub report: String,
}

#[derive(sqlx::FromRow)]
struct RunRow {
    id: Uuid,
    at: At,
    profile: String,
    score: i64,
    report: String,
}

/// An audit without its report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditSummary {
    /// When it was made.
    pub at: Timestamp,
    /// What the installation was taken for.
    pub profile: String,
    /// In tenths: 0 to 1000.
    pub score: u32,
}

#[derive(sqlx::FromRow)]
struct SummaryRow {
    at: At,
    profile: String,
    score: i64,
}

/// Lists so many audits, the last first.
#[derive(Clone, Copy, Debug)]
pub struct ListAudits(pub u32);

impl Intent for ListAudits {
    type Output = Vec<AuditSummary>;
    const WRITES: bool = false;
    const ONE_STATEMENT: bool = true;

    fn scope(&self) -> Scope {
        Scope::System
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output> {
        let rows: Vec<SummaryRow> = tx.query(HISTORY).bind(i64::from(self.0)).rows().await?;
        let summary = |row: SummaryRow| AuditSummary { at: row.at.0, profile: row.profile, score: count(row.score) };
        Ok(rows.into_iter().map(summary).collect())
    }
}

/// Remembers an audit, and forgets the oldest beyond 400.
#[derive(Clone, Debug)]
pub struct RecordAudit(pub AuditRun);

impl Intent for RecordAudit {
    type Output = ();
    const WRITES: bool = true;
    const REPEATABLE: bool = true;

    fn scope(&self) -> Scope {
        Scope::System
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<()> {
        let AuditRun { id, at, profile, score, report } = self.0.clone();
        let query = tx.query(RECORD).bind(id).bind(At(at)).bind(profile).bind(i64::from(score));
        query.bind(report).run().await?;
        tx.query(FORGET).bind(KEPT).run().await?;
        Ok(())
    }
}

/// Reads audits, the last first.
#[derive(Clone, Copy, Debug)]
pub struct ReadAudits {
    /// Before this one; nothing for the last.
    pub before: Option<Uuid>,
    /// At most so many.
    pub limit: u32,
}

impl Intent for ReadAudits {
    type Output = Vec<AuditRun>;
    const WRITES: bool = false;
    const ONE_STATEMENT: bool = true;

    fn scope(&self) -> Scope {
        Scope::System
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output> {
        let query = tx.query(LATEST).bind(self.before.unwrap_or(Uuid::max())).bind(i64::from(self.limit));
        let rows: Vec<RunRow> = query.rows().await?;
        let run = |row: RunRow| AuditRun {
            id: row.id,
            at: row.at.0,
            profile: row.profile,
            score: count(row.score),
            report: row.report,
        };
        Ok(rows.into_iter().map(run).collect())
    }
}
