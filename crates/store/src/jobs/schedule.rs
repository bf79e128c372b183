//! Schedules: the tick that is due next is a row, so a restart forgets none.

use mainstay_domain::Timestamp;

use super::NewJob;
use super::enqueue::enqueue;
use crate::error::Result;
use crate::intent::Intent;
use crate::sql::statements;
use crate::tx::{Scope, Tx};
use crate::value::At;

statements! {
    REGISTER = both("
        INSERT INTO job_schedule (name, definition, next_at, updated_at) VALUES ($1, $2, $3, $4)
        ON CONFLICT (name) DO UPDATE SET definition = excluded.definition, next_at = excluded.next_at, updated_at = excluded.updated_at
        WHERE job_schedule.definition <> excluded.definition");
    ALL = both("SELECT name, definition, next_at, last_at FROM job_schedule ORDER BY name LIMIT 1000");
    TICK = both("UPDATE job_schedule SET next_at = $3, last_at = $2 WHERE name = $1 AND next_at = $2");
}

/// Makes a schedule known. One that is known with the same definition keeps its next tick; with another it begins anew.
#[derive(Clone, Debug)]
pub struct RegisterSchedule {
    /// Its name.
    pub name: &'static str,
    /// What it says, as text.
    pub definition: String,
    /// Its next tick, if it is new.
    pub next_at: Timestamp,
    /// The present moment.
    pub now: Timestamp,
}

impl Intent for RegisterSchedule {
    type Output = ();
    const WRITES: bool = true;
    const REPEATABLE: bool = true;

    fn scope(&self) -> Scope {
        Scope::System
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<()> {
        let register = tx.query(REGISTER).bind(self.name).bind(self.definition.clone());
        register.bind(At(self.next_at)).bind(At(self.now)).run().await?;
        Ok(())
    }
}

/// A schedule as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredSchedule {
    /// Its name.
    pub name: String,
    /// What it says, as text.
    pub definition: String,
    /// The tick that is due next.
    pub next_at: Timestamp,
    /// The last tick that was taken.
    pub last_at: Option<Timestamp>,
}

#[derive(sqlx::FromRow)]
struct ScheduleRow {
    name: String,
    definition: String,
    next_at: At,
    last_at: Option<At>,
}

/// Lists all schedules, also those that this version does not know.
#[derive(Clone, Copy, Debug)]
pub struct ListSchedules;

impl Intent for ListSchedules {
    type Output = Vec<StoredSchedule>;
    const WRITES: bool = false;
    const ONE_STATEMENT: bool = true;

    fn scope(&self) -> Scope {
        Scope::System
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output> {
        let rows: Vec<ScheduleRow> = tx.query(ALL).rows().await?;
        Ok(rows
            .into_iter()
            .map(|row| StoredSchedule {
                name: row.name,
                definition: row.definition,
                next_at: row.next_at.0,
                last_at: row.last_at.map(|at| at.0),
            })
            .collect())
    }
}

/// Takes a tick: moves the schedule on and promises the job, in one transaction. Of several nodes that try, one does it.
#[derive(Clone, Debug)]
pub struct TakeTick {
    /// Of which schedule.
    pub name: &'static str,
    /// The tick that is due.
    pub tick: Timestamp,
    /// The one after it.
    pub next_at: Timestamp,
    /// What is to be done; nothing for a tick that was missed and is passed over.
    pub job: Option<NewJob>,
    /// The present moment.
    pub now: Timestamp,
}

impl Intent for TakeTick {
    /// True when it was taken here.
    type Output = bool;
    const WRITES: bool = true;

    fn scope(&self) -> Scope {
        Scope::System
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<bool> {
        let moved = tx.query(TICK).bind(self.name).bind(At(self.tick)).bind(At(self.next_at)).run().await?;
        if moved == 1
            && let Some(job) = &self.job
        {
            enqueue(tx, std::slice::from_ref(job), self.now).await?;
        }
        Ok(moved == 1)
    }
}
