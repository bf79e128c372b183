//! The key that signs tokens, when the configuration names none: made once, kept in the database
//! under seal, shared by all nodes.

use mainstay_domain::{Sealed, Timestamp};

use crate::error::{Error, Result};
use crate::intent::Intent;
use crate::sql::statements;
use crate::tx::{Scope, Tx};
use crate::value::At;

statements! {
    INSERT = both("INSERT INTO signing_key (name, secret, created_at) VALUES ($1, $2, $3) ON CONFLICT (name) DO NOTHING");
    GET = both("SELECT secret FROM signing_key WHERE name = $1");
}

/// Reads a key, or stores the candidate when there is none. All nodes get the same answer.
#[derive(Clone, Debug)]
pub struct SigningKeyOr {
    /// What it is for: `tokens`.
    pub name: &'static str,
    /// The key to store when there is none.
    pub candidate: Sealed,
    /// The present moment.
    pub now: Timestamp,
}

#[derive(sqlx::FromRow)]
struct SecretRow {
    secret: String,
}

impl Intent for SigningKeyOr {
    type Output = Sealed;
    const WRITES: bool = true;
    const REPEATABLE: bool = true;

    fn scope(&self) -> Scope {
        Scope::Global
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Sealed> {
        tx.query(INSERT).bind(self.name).bind(self.candidate.as_str().to_owned()).bind(At(self.now)).run().await?;
        let row: Option<SecretRow> = tx.query(GET).bind(self.name).row().await?;
        row.map(|row| Sealed::of_column(&row.secret)).ok_or(Error::Missing("signing key"))
    }
}
