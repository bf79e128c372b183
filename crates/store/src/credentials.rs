//! What ends everything that somebody is known by: another password, and being disabled.

use mainstay_domain::{PersonId, TenantId, Timestamp};

use crate::accounts::{NewSession, set_password};
use crate::error::{Error, Result};
use crate::intent::Intent;
use crate::revocations::{self, Revoked};
use crate::sessions;
use crate::sql::statements;
use crate::tx::{Scope, Tx};
use crate::value::At;

statements! {
    DISABLE = both("UPDATE person SET disabled_at = coalesce(disabled_at, $2) WHERE id = $1");
    ENABLE = both("UPDATE person SET disabled_at = NULL WHERE id = $1");
}

/// Gives a person another password. All their sign-ins and tokens until now end, and the one that is named begins.
#[derive(Clone, Debug)]
pub struct ChangePassword {
    /// Whose.
    pub person: PersonId,
    /// The hash, in PHC form.
    pub password_hash: String,
    /// The sign-in that begins, and for which organisation; none when somebody else has set it.
    pub begins: Option<(NewSession, TenantId)>,
    /// The present moment.
    pub now: Timestamp,
    /// When the last token has ended by itself.
    pub tokens_end: Timestamp,
}

impl Intent for ChangePassword {
    /// The position of the feed of revocations.
    type Output = i64;
    const WRITES: bool = true;

    fn scope(&self) -> Scope {
        Scope::Global
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<i64> {
        set_password(tx, self.person, &self.password_hash).await?;
        sessions::end_all(tx, self.person, "password changed", self.now).await?;
        if let Some((session, tenant)) = &self.begins {
            sessions::insert(tx, session, self.person, *tenant, self.now).await?;
        }
        revocations::insert(tx, Revoked::Person(self.person), self.now, self.tokens_end).await
    }
}

/// Disables a person: nothing that they are known by is good from then on. Or ends that; who was disabled signs in anew.
#[derive(Clone, Copy, Debug)]
pub struct DisablePerson {
    /// Who.
    pub person: PersonId,
    /// Whether they are to be disabled.
    pub disabled: bool,
    /// The present moment.
    pub now: Timestamp,
    /// When the last token has ended by itself.
    pub tokens_end: Timestamp,
}

impl Intent for DisablePerson {
    type Output = ();
    const WRITES: bool = true;
    const REPEATABLE: bool = true;

    fn scope(&self) -> Scope {
        Scope::Global
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<()> {
        let id = self.person.uuid();
        let changed = if self.disabled {
            tx.query(DISABLE).bind(id).bind(At(self.now)).run().await?
        } else {
            tx.query(ENABLE).bind(id).run().await?
        };
        if changed != 1 {
            return Err(Error::Missing("person"));
        }
        if self.disabled {
            sessions::end_all(tx, self.person, "disabled", self.now).await?;
            revocations::insert(tx, Revoked::Person(self.person), self.now, self.tokens_end).await?;
        }
        Ok(())
    }
}
