//! Whether the database answers.

use crate::error::Result;
use crate::intent::Intent;
use crate::sql::statements;
use crate::tx::{Scope, Tx};

statements! {
    PING = both("SELECT value FROM counter WHERE name = 'lease'");
}

/// Reads one row, on a connection like any request's.
#[derive(Clone, Copy, Debug)]
pub struct Ping;

#[derive(sqlx::FromRow)]
#[expect(dead_code, reason = "only that it can be read matters")]
struct CounterRow {
    value: i64,
}

impl Intent for Ping {
    type Output = ();
    const WRITES: bool = false;
    const ONE_STATEMENT: bool = true;

    fn scope(&self) -> Scope {
        Scope::Global
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<()> {
        tx.query(PING).row::<CounterRow>().await.map(drop)
    }
}
