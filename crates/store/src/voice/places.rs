//! Places of voice sessions: a lease for each, so that a person has so many over all nodes, and none that a dead node took.

use std::collections::BTreeSet;
use std::time::Duration;

use mainstay_domain::{PersonId, TenantId, Timestamp};
use serde::Serialize;

use crate::error::{Error, Result};
use crate::intent::Intent;
use crate::lease::after;
use crate::sql::statements;
use crate::tx::{Scope, Tx};
use crate::value::At;

/// How the names of these leases begin.
const PREFIX: &str = "voice:";

statements! {
    NEXT_NUMBER = both("
        INSERT INTO counter (name, value) VALUES ('lease', 1)
        ON CONFLICT (name) DO UPDATE SET value = counter.value + 1 RETURNING value AS number");
    TAKE = both("
        INSERT INTO lease (name, number, holder, expires_at) VALUES ($1, $2, 'voice', $3)
        ON CONFLICT (name) DO UPDATE SET number = excluded.number, holder = excluded.holder, expires_at = excluded.expires_at
        WHERE lease.expires_at <= $4
        RETURNING number");
    RENEW = update((name: text, number: bigint, until: time, now: time) "
        lease SET expires_at = b.until FROM batch b
        WHERE lease.name = b.name AND lease.number = b.number AND lease.expires_at > b.now RETURNING lease.number");
    FORGET = both("
        DELETE FROM lease WHERE name IN (
          SELECT name FROM lease WHERE name >= $1 AND name < $2 AND expires_at <= $3 ORDER BY name LIMIT 500)
        AND expires_at <= $3");
}

#[derive(sqlx::FromRow)]
struct Number {
    number: i64,
}

/// Takes one of the places that a member of an organisation has for voice sessions. The answer is the name and the number of
/// its lease, or nothing when all are taken.
#[derive(Clone, Copy, Debug)]
pub struct TakeVoicePlace {
    /// The organisation.
    pub tenant: TenantId,
    /// Who wants it.
    pub person: PersonId,
    /// How many places there are.
    pub places: u32,
    /// The present moment.
    pub now: Timestamp,
    /// How long it holds without renewal.
    pub lasts: Duration,
}

impl Intent for TakeVoicePlace {
    type Output = Option<(String, i64)>;
    const WRITES: bool = true;

    fn scope(&self) -> Scope {
        Scope::System
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output> {
        let next: Option<Number> = tx.query(NEXT_NUMBER).row().await?;
        let number = next.ok_or_else(|| Error::Bug("the counter of leases gave no number".to_owned()))?.number;
        for place in 0..self.places {
            let name = format!("{PREFIX}{}:{}:{place}", self.tenant, self.person);
            let query = tx.query(TAKE).bind(name.clone()).bind(number);
            let taken: Option<Number> = query.bind(At(self.now.plus(self.lasts))).bind(At(self.now)).row().await?;
            if taken.is_some() {
                return Ok(Some((name, number)));
            }
        }
        Ok(None)
    }
}

/// Renews places, at most 500. The answer is the numbers of those that are still held.
#[derive(Clone, Debug)]
pub struct RenewVoicePlaces {
    /// Names and numbers.
    pub places: Vec<(String, i64)>,
    /// The present moment.
    pub now: Timestamp,
    /// How long they then hold.
    pub lasts: Duration,
}

#[derive(Serialize)]
struct Renewal<'a> {
    name: &'a str,
    number: i64,
    until: i64,
    now: i64,
}

impl Intent for RenewVoicePlaces {
    type Output = BTreeSet<i64>;
    const WRITES: bool = true;
    const REPEATABLE: bool = true;

    fn scope(&self) -> Scope {
        Scope::System
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output> {
        let (now, until) = (self.now.as_millis(), self.now.plus(self.lasts).as_millis());
        let mut rows: Vec<_> =
            self.places.iter().map(|(name, number)| Renewal { name, number: *number, until, now }).collect();
        rows.sort_by_key(|row| row.name);
        let held: Vec<Number> = tx.batch(RENEW, &rows).rows().await?;
        Ok(held.into_iter().map(|row| row.number).collect())
    }
}

/// Forgets places that nobody holds any more, at most 500.
#[derive(Clone, Copy, Debug)]
pub struct ForgetVoicePlaces(pub Timestamp);

impl Intent for ForgetVoicePlaces {
    type Output = u64;
    const WRITES: bool = true;
    const REPEATABLE: bool = true;

    fn scope(&self) -> Scope {
        Scope::System
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<u64> {
        tx.query(FORGET).bind(PREFIX).bind(after(PREFIX)).bind(At(self.0)).run().await
    }
}
