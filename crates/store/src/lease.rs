//! Leases: who works on a thing now.
//!
//! A lease has a name, a holder, an end and a number that only grows over all leases. Whoever works under a lease names
//! its number in every write; that number alone is the fence. A holder renews its lease well before the end; when it does
//! not (killed, paused, cut off), another may take the lease, with a higher number, and what the old holder still writes
//! finds nothing to change.

use std::time::Duration;

use mainstay_domain::Timestamp;

use crate::error::{Error, Result};
use crate::intent::Intent;
use crate::sql::statements;
use crate::tx::{Scope, Tx};
use crate::value::At;

statements! {
    NEXT_NUMBER = both("
        INSERT INTO counter (name, value) VALUES ('lease', 1)
        ON CONFLICT (name) DO UPDATE SET value = counter.value + 1 RETURNING value");
    ACQUIRE = both("
        INSERT INTO lease (name, number, holder, expires_at) VALUES ($1, $2, $3, $4)
        ON CONFLICT (name) DO UPDATE SET number = excluded.number, holder = excluded.holder, expires_at = excluded.expires_at
        WHERE lease.expires_at <= $5
        RETURNING number");
    RENEW = both("UPDATE lease SET expires_at = $3 WHERE name = $1 AND number = $2 AND expires_at > $4");
    RELEASE = both("DELETE FROM lease WHERE name = $1 AND number = $2");
    EXPIRED = both("SELECT name, number FROM lease WHERE name >= $1 AND name < $2 AND expires_at <= $3 ORDER BY name LIMIT 100");
    EXPIRE = both("UPDATE lease SET expires_at = $3 WHERE name >= $1 AND name < $2 AND expires_at > $3");
}

#[derive(sqlx::FromRow)]
struct Number {
    #[sqlx(rename = "value")]
    number: i64,
}

#[derive(sqlx::FromRow)]
struct Taken {
    number: i64,
}

/// Takes a lease that nobody holds. The answer is its number, or nothing when it is held.
#[derive(Clone, Debug)]
pub struct AcquireLease {
    /// What it is for: `housekeeping`, `node:<id>`.
    pub name: String,
    /// Who takes it, for people to read.
    pub holder: String,
    /// The present moment.
    pub now: Timestamp,
    /// How long it holds.
    pub lasts: Duration,
}

impl Intent for AcquireLease {
    type Output = Option<i64>;
    const WRITES: bool = true;

    fn scope(&self) -> Scope {
        Scope::System
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Option<i64>> {
        let next: Option<Number> = tx.query(NEXT_NUMBER).row().await?;
        let number = next.ok_or_else(|| Error::Bug("the counter of leases gave no number".to_owned()))?.number;
        let taken: Option<Taken> = tx
            .query(ACQUIRE)
            .bind(self.name.clone())
            .bind(number)
            .bind(self.holder.clone())
            .bind(At(self.now.plus(self.lasts)))
            .bind(At(self.now))
            .row()
            .await?;
        Ok(taken.map(|taken| taken.number))
    }
}

/// Moves the end of a lease that is still held. The answer is false when it is lost.
#[derive(Clone, Debug)]
pub struct RenewLease {
    /// Its name.
    pub name: String,
    /// Its number.
    pub number: i64,
    /// The present moment.
    pub now: Timestamp,
    /// How long it then holds.
    pub lasts: Duration,
}

impl Intent for RenewLease {
    type Output = bool;
    const WRITES: bool = true;
    const REPEATABLE: bool = true;

    fn scope(&self) -> Scope {
        Scope::System
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<bool> {
        let renewed = tx
            .query(RENEW)
            .bind(self.name.clone())
            .bind(self.number)
            .bind(At(self.now.plus(self.lasts)))
            .bind(At(self.now))
            .run()
            .await?;
        Ok(renewed == 1)
    }
}

/// Gives a lease back. Nothing happens when it is lost already.
#[derive(Clone, Debug)]
pub struct ReleaseLease {
    /// Its name.
    pub name: String,
    /// Its number.
    pub number: i64,
}

impl Intent for ReleaseLease {
    type Output = ();
    const WRITES: bool = true;
    const REPEATABLE: bool = true;

    fn scope(&self) -> Scope {
        Scope::System
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<()> {
        tx.query(RELEASE).bind(self.name.clone()).bind(self.number).run().await?;
        Ok(())
    }
}

/// A lease that was not renewed in time.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct ExpiredLease {
    /// Its name.
    pub name: String,
    /// Its number.
    pub number: i64,
}

/// Lists leases whose end has passed, at most 100, by the beginning of their names.
#[derive(Clone, Debug)]
pub struct ExpiredLeases {
    /// The beginning of the names: `node:`.
    pub prefix: &'static str,
    /// The present moment.
    pub now: Timestamp,
}

impl Intent for ExpiredLeases {
    type Output = Vec<ExpiredLease>;
    const WRITES: bool = false;
    const ONE_STATEMENT: bool = true;

    fn scope(&self) -> Scope {
        Scope::System
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Vec<ExpiredLease>> {
        tx.query(EXPIRED).bind(self.prefix).bind(after(self.prefix)).bind(At(self.now)).rows().await
    }
}

/// Ends all leases with names of this beginning: for a process that knows that no other can be alive.
#[derive(Clone, Debug)]
pub struct ExpireLeases {
    /// The beginning of the names.
    pub prefix: &'static str,
    /// The present moment.
    pub now: Timestamp,
}

impl Intent for ExpireLeases {
    type Output = u64;
    const WRITES: bool = true;
    const REPEATABLE: bool = true;

    fn scope(&self) -> Scope {
        Scope::System
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<u64> {
        tx.query(EXPIRE).bind(self.prefix).bind(after(self.prefix)).bind(At(self.now)).run().await
    }
}

/// The first text after every text that begins with `prefix`, byte by byte.
pub(crate) fn after(prefix: &str) -> String {
    let mut end = prefix.to_owned();
    end.push('\u{10FFFF}');
    end
}
