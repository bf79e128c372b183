//! The plan of an organisation, and the history that says why it changed.

use mainstay_domain::{Plan, TenantId, Timestamp};
use uuid::Uuid;

use crate::error::{Error, Result};
use crate::intent::Intent;
use crate::kinds::{Kind, RowKey};
use crate::members::word;
use crate::sql::statements;
use crate::stream::{Changes, written_outside};
use crate::tx::{Scope, Tx};
use crate::value::At;

statements! {
    /// Whoever changes the plan waits here for the others.
    LOCK = pair(sqlite "SELECT plan, seq FROM organisation WHERE tenant_id = $1",
        postgres "SELECT plan, seq FROM organisation WHERE tenant_id = $1 FOR NO KEY UPDATE",
        differs "SQLite has one writer and no row locks");
    SET_PLAN = both("UPDATE organisation SET plan = $2, seq = $3 WHERE tenant_id = $1");
    EXPLAIN = both("
        INSERT INTO plan_change (tenant_id, seq, from_plan, to_plan, cause, event_id, changed_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7)");
    READ = batch((id: uuid) "
        SELECT o.tenant_id, o.name, o.plan FROM batch b JOIN organisation o ON o.tenant_id = b.id AND o.tenant_id = $2");
}

/// An organisation, as all its members see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Organisation {
    /// Its id.
    pub tenant: TenantId,
    /// What it is called.
    pub name: String,
    /// What it pays for.
    pub plan: Plan,
}

#[derive(sqlx::FromRow)]
struct OrganisationRow {
    tenant_id: Uuid,
    name: String,
    plan: String,
}

/// Reads organisations for their own stream.
pub(crate) async fn read(tx: &mut Tx<'_>, tenant: TenantId, ids: &[RowKey]) -> Result<Vec<(Uuid, Organisation)>> {
    let rows: Vec<OrganisationRow> = tx.batch(READ, ids).bind(tenant.uuid()).rows().await?;
    let read = |row: OrganisationRow| {
        let plan = word(&row.plan)?;
        Ok((row.tenant_id, Organisation { tenant: TenantId(row.tenant_id), name: row.name, plan }))
    };
    rows.into_iter().map(read).collect()
}

/// A change of a plan, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanChange {
    /// Its number: it grows from one change to the next.
    pub seq: i64,
    /// What was paid for before.
    pub from: Plan,
    /// What is paid for since.
    pub to: Plan,
    /// Why, in words.
    pub cause: String,
    /// The provider's id of the event; nothing where time or an operator was the cause.
    pub event: Option<String>,
    /// When.
    pub at: Timestamp,
}

/// An organisation whose plan nobody else changes until the end of the transaction.
pub(super) struct Locked {
    tenant: TenantId,
    pub(super) plan: Plan,
    seq: Option<i64>,
}

#[derive(sqlx::FromRow)]
struct LockedRow {
    plan: String,
    seq: Option<i64>,
}

/// Locks an organisation. Nothing, when there is none.
pub(super) async fn lock(tx: &mut Tx<'_>, tenant: TenantId) -> Result<Option<Locked>> {
    let row: Option<LockedRow> = tx.query(LOCK).bind(tenant.uuid()).row().await?;
    row.map(|row| Ok(Locked { tenant, plan: word(&row.plan)?, seq: row.seq })).transpose()
}

/// Why a plan changes.
pub(super) struct Cause<'a> {
    pub(super) words: &'a str,
    pub(super) event: Option<&'a str>,
    pub(super) now: Timestamp,
}

/// Changes the plan, if it is another: its row moves in the stream, the history says why, and the nodes, which remember
/// plans for what is no money, are told. The answer is the plan of before. Call it after every other lock has been taken.
pub(super) async fn change_plan(tx: &mut Tx<'_>, locked: &Locked, to: Plan, cause: &Cause<'_>) -> Result<Option<Plan>> {
    if locked.plan == to {
        return Ok(None);
    }
    let tenant = locked.tenant.uuid();
    let mut changes = Changes::default();
    changes.put(locked.tenant, locked.tenant, Kind::Organisation, tenant, locked.seq);
    let seq = changes.record(tx, cause.now).await?.of(locked.tenant, locked.tenant, tenant)?;
    if tx.query(SET_PLAN).bind(tenant).bind(to.as_str()).bind(seq).run().await? != 1 {
        return Err(Error::Bug("an organisation went while it was locked".to_owned()));
    }
    let explain = tx.query(EXPLAIN).bind(tenant).bind(seq).bind(locked.plan.as_str()).bind(to.as_str());
    let explain = explain.bind(cause.words.to_owned()).bind(cause.event.map(str::to_owned));
    explain.bind(At(cause.now)).run().await?;
    written_outside(tx).await?;
    Ok(Some(locked.plan))
}

/// Sets the plan of an organisation, by hand. False when there is no such organisation. It holds for the next thing that is
/// used, and until billing has a reason to change it.
#[derive(Clone, Debug)]
pub struct SetPlan {
    /// The organisation.
    pub tenant: TenantId,
    /// What it pays for from now on.
    pub plan: Plan,
    /// Why, in words, for the history.
    pub cause: String,
    /// The present moment.
    pub now: Timestamp,
}

impl Intent for SetPlan {
    type Output = bool;
    const WRITES: bool = true;
    const REPEATABLE: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<bool> {
        let Some(locked) = lock(tx, self.tenant).await? else { return Ok(false) };
        let cause = Cause { words: &self.cause, event: None, now: self.now };
        change_plan(tx, &locked, self.plan, &cause).await?;
        Ok(true)
    }
}
