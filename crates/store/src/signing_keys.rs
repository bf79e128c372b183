//! Keys of the installation: made once, kept in the database under seal, shared by all nodes. One signs tokens when the
//! configuration names none, one makes the digests of whoever was erased and is not to be written to.

use mainstay_domain::{Sealed, Timestamp};
use uuid::Uuid;

use crate::error::{Error, Result};
use crate::intent::Intent;
use crate::sql::statements;
use crate::tx::{Scope, Tx};
use crate::value::At;

statements! {
    INSERT = both("INSERT INTO signing_key (name, secret, created_at, id) VALUES ($1, $2, $3, $4) ON CONFLICT (name) DO NOTHING");
    GET = both("SELECT secret FROM signing_key WHERE name = $1");
}

/// Reads a key, or stores the candidate when there is none. All nodes get the same answer.
#[derive(Clone, Debug)]
pub struct SigningKeyOr {
    /// What it is for: `tokens`, `objections`.
    pub name: &'static str,
    /// Its id, which its seal is made for.
    pub id: Uuid,
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
        tx.query(INSERT)
            .bind(self.name)
            .bind(self.candidate.as_str().to_owned())
            .bind(At(self.now))
            .bind(self.id)
            .run()
            .await?;
        let row: Option<SecretRow> = tx.query(GET).bind(self.name).row().await?;
        row.map(|row| Sealed::of_column(&row.secret)).ok_or(Error::Missing("signing key"))
    }
}
