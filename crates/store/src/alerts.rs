//! What is or was wrong, since when, and who was told.
//!
//! One node judges at a time: it holds a lease, and what it writes names the number. What it changes and the messages that
//! tell of it are one transaction, so that no message is lost and none is sent for what was not kept.

use mainstay_domain::Timestamp;
use uuid::Uuid;

use crate::error::Result;
use crate::intent::Intent;
use crate::jobs::NewJob;
use crate::jobs::enqueue::enqueue;
use crate::sql::statements;
use crate::tx::{Scope, Tx};
use crate::value::{At, moment};

statements! {
    HELD = both("SELECT number FROM lease WHERE name = $1 AND number = $2 AND expires_at > $3");
    OPEN = both("
        SELECT id, rule, subject, value, threshold, began_at, fired_at, calm_at, told_at, ended_at, end_told_at FROM alert
        WHERE ended_at IS NULL OR (told_at IS NOT NULL AND end_told_at IS NULL) ORDER BY id LIMIT 1000");
    HISTORY = both("
        SELECT id, rule, subject, value, threshold, began_at, fired_at, calm_at, told_at, ended_at, end_told_at FROM alert
        WHERE fired_at IS NOT NULL ORDER BY id DESC LIMIT $1");
    PUT = both("
        INSERT INTO alert (id, rule, subject, value, threshold, began_at, fired_at, calm_at, told_at, ended_at, end_told_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
        ON CONFLICT (id) DO UPDATE SET value = excluded.value, threshold = excluded.threshold, fired_at = excluded.fired_at,
          calm_at = excluded.calm_at, told_at = excluded.told_at, ended_at = excluded.ended_at,
          end_told_at = excluded.end_told_at");
    DROP = both("DELETE FROM alert WHERE id = $1 AND fired_at IS NULL");
    /// Ids sort by time.
    FORGET = both("
        DELETE FROM alert WHERE ended_at IS NOT NULL AND id <= (SELECT id FROM alert ORDER BY id DESC LIMIT 1 OFFSET $1)");
    RECEIPTS = both("SELECT receiver, accepted_at, tested_at, failed_at, failure FROM alert_receipt ORDER BY receiver LIMIT 10");
    ACCEPTED = both("
        INSERT INTO alert_receipt (receiver, accepted_at, tested_at, failure) VALUES ($1, $2, $3, '')
        ON CONFLICT (receiver) DO UPDATE SET accepted_at = excluded.accepted_at,
          tested_at = coalesce(excluded.tested_at, alert_receipt.tested_at)");
    REFUSED = both("
        INSERT INTO alert_receipt (receiver, failed_at, failure) VALUES ($1, $2, $3)
        ON CONFLICT (receiver) DO UPDATE SET failed_at = excluded.failed_at, failure = excluded.failure");
}

/// How many alerts are remembered.
const KEPT: i64 = 1_000;

/// One thing that is or was wrong.
#[derive(Clone, Debug, PartialEq)]
pub struct Alert {
    /// Its id.
    pub id: Uuid,
    /// The rule that it breaks.
    pub rule: String,
    /// What it is about: a node, a queue, a service; empty for the installation.
    pub subject: String,
    /// What was measured last.
    pub value: f64,
    /// What is allowed.
    pub threshold: f64,
    /// Since when it is so.
    pub began_at: Timestamp,
    /// When it had been so for long enough.
    pub fired_at: Option<Timestamp>,
    /// Since when it is well again, while it is waited whether it stays so.
    pub calm_at: Option<Timestamp>,
    /// When somebody was told last.
    pub told_at: Option<Timestamp>,
    /// When it was over.
    pub ended_at: Option<Timestamp>,
    /// When somebody was told that it is over.
    pub end_told_at: Option<Timestamp>,
}

#[derive(sqlx::FromRow)]
struct AlertRow {
    id: Uuid,
    rule: String,
    subject: String,
    value: f64,
    threshold: f64,
    began_at: At,
    fired_at: Option<At>,
    calm_at: Option<At>,
    told_at: Option<At>,
    ended_at: Option<At>,
    end_told_at: Option<At>,
}

impl From<AlertRow> for Alert {
    fn from(row: AlertRow) -> Self {
        Self {
            id: row.id,
            rule: row.rule,
            subject: row.subject,
            value: row.value,
            threshold: row.threshold,
            began_at: row.began_at.0,
            fired_at: moment(row.fired_at),
            calm_at: moment(row.calm_at),
            told_at: moment(row.told_at),
            ended_at: moment(row.ended_at),
            end_told_at: moment(row.end_told_at),
        }
    }
}

/// Reads what is wrong, and what is over without anybody having been told.
#[derive(Clone, Copy, Debug)]
pub struct ReadOpenAlerts;

impl Intent for ReadOpenAlerts {
    type Output = Vec<Alert>;
    const WRITES: bool = false;
    const ONE_STATEMENT: bool = true;

    fn scope(&self) -> Scope {
        Scope::System
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output> {
        let rows: Vec<AlertRow> = tx.query(OPEN).rows().await?;
        Ok(rows.into_iter().map(Alert::from).collect())
    }
}

/// Reads so many alerts that have fired, the last first.
#[derive(Clone, Copy, Debug)]
pub struct ListAlerts(pub u32);

impl Intent for ListAlerts {
    type Output = Vec<Alert>;
    const WRITES: bool = false;
    const ONE_STATEMENT: bool = true;

    fn scope(&self) -> Scope {
        Scope::System
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output> {
        let rows: Vec<AlertRow> = tx.query(HISTORY).bind(i64::from(self.0)).rows().await?;
        Ok(rows.into_iter().map(Alert::from).collect())
    }
}

/// Keeps what has changed, and promises the messages that tell of it.
#[derive(Clone, Debug)]
pub struct RecordAlerts {
    /// The name of the lease of whoever judges, and its number.
    pub lease: (String, i64),
    /// Alerts that are new or have changed, at most 1,000.
    pub changed: Vec<Alert>,
    /// Those that never fired and are over.
    pub dropped: Vec<Uuid>,
    /// The messages.
    pub jobs: Vec<NewJob>,
    /// The present moment.
    pub now: Timestamp,
}

#[derive(sqlx::FromRow)]
#[expect(dead_code, reason = "only that it is there matters")]
struct HeldRow {
    number: i64,
}

impl Intent for RecordAlerts {
    /// False when the lease is lost, and nothing was done.
    type Output = bool;
    const WRITES: bool = true;

    fn scope(&self) -> Scope {
        Scope::System
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<bool> {
        let (name, number) = &self.lease;
        let held: Option<HeldRow> = tx.query(HELD).bind(name.clone()).bind(*number).bind(At(self.now)).row().await?;
        if held.is_none() {
            return Ok(false);
        }
        let at = |at: Option<Timestamp>| at.map(At);
        for alert in &self.changed {
            let query = tx.query(PUT).bind(alert.id).bind(alert.rule.clone()).bind(alert.subject.clone());
            let query = query.bind(alert.value).bind(alert.threshold).bind(At(alert.began_at)).bind(at(alert.fired_at));
            let query = query.bind(at(alert.calm_at)).bind(at(alert.told_at)).bind(at(alert.ended_at));
            query.bind(at(alert.end_told_at)).run().await?;
        }
        for id in &self.dropped {
            tx.query(DROP).bind(*id).run().await?;
        }
        if !self.changed.is_empty() {
            tx.query(FORGET).bind(KEPT).run().await?;
        }
        enqueue(tx, &self.jobs, self.now).await?;
        Ok(true)
    }
}

/// What a receiver of messages did last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlertReceipt {
    /// Which: `slack` or `webhook`.
    pub receiver: String,
    /// When it took a message last.
    pub accepted_at: Option<Timestamp>,
    /// When it took a test message last.
    pub tested_at: Option<Timestamp>,
    /// When it did not take one last.
    pub failed_at: Option<Timestamp>,
    /// Why not.
    pub failure: String,
}

#[derive(sqlx::FromRow)]
struct ReceiptRow {
    receiver: String,
    accepted_at: Option<At>,
    tested_at: Option<At>,
    failed_at: Option<At>,
    failure: String,
}

/// Reads what the receivers of messages did last.
#[derive(Clone, Copy, Debug)]
pub struct ReadAlertReceipts;

impl Intent for ReadAlertReceipts {
    type Output = Vec<AlertReceipt>;
    const WRITES: bool = false;
    const ONE_STATEMENT: bool = true;

    fn scope(&self) -> Scope {
        Scope::System
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output> {
        let rows: Vec<ReceiptRow> = tx.query(RECEIPTS).rows().await?;
        let receipt = |row: ReceiptRow| AlertReceipt {
            receiver: row.receiver,
            accepted_at: moment(row.accepted_at),
            tested_at: moment(row.tested_at),
            failed_at: moment(row.failed_at),
            failure: row.failure,
        };
        Ok(rows.into_iter().map(receipt).collect())
    }
}

/// Keeps what a receiver did with a message.
#[derive(Clone, Debug)]
pub struct RecordAlertReceipt {
    /// Which.
    pub receiver: &'static str,
    /// Why it did not take it; nothing when it did.
    pub failure: Option<String>,
    /// Whether it was a test message.
    pub test: bool,
    /// The present moment.
    pub now: Timestamp,
}

impl Intent for RecordAlertReceipt {
    type Output = ();
    const WRITES: bool = true;
    const REPEATABLE: bool = true;

    fn scope(&self) -> Scope {
        Scope::System
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<()> {
        match &self.failure {
            None => {
                let tested = self.test.then_some(At(self.now));
                tx.query(ACCEPTED).bind(self.receiver).bind(At(self.now)).bind(tested).run().await?;
            }
            Some(failure) => {
                tx.query(REFUSED).bind(self.receiver).bind(At(self.now)).bind(failure.clone()).run().await?;
            }
        }
        Ok(())
    }
}
