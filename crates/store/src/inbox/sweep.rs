//! Forgetting what arrived long ago, in small bites.

use mainstay_domain::Timestamp;

use crate::error::Result;
use crate::intent::Intent;
use crate::sql::statements;
use crate::tx::{Scope, Tx};
use crate::value::At;

statements! {
    /// The oldest thousand, and what is of the same millisecond as the last of them.
    FORGET_EVENTS = both("
        DELETE FROM inbox_event WHERE received_at <= (SELECT max(received_at) FROM (
          SELECT received_at FROM inbox_event WHERE received_at <= $1 ORDER BY received_at LIMIT 1000) oldest)");
    FORGET_SUBJECTS = both("
        DELETE FROM inbox_subject WHERE updated_at <= (SELECT max(updated_at) FROM (
          SELECT updated_at FROM inbox_subject WHERE updated_at <= $1 ORDER BY updated_at LIMIT 1000) oldest)");
}

/// Forgets events that arrived before a moment, and subjects of which nothing newer was told since, about 1,000 of each.
/// Their jobs end and are forgotten by their own rules.
#[derive(Clone, Copy, Debug)]
pub struct ForgetInbox(pub Timestamp);

impl Intent for ForgetInbox {
    /// How many rows.
    type Output = u64;
    const WRITES: bool = true;
    const REPEATABLE: bool = true;

    fn scope(&self) -> Scope {
        Scope::System
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<u64> {
        let events = tx.query(FORGET_EVENTS).bind(At(self.0)).run().await?;
        let subjects = tx.query(FORGET_SUBJECTS).bind(At(self.0)).run().await?;
        Ok(events + subjects)
    }
}
