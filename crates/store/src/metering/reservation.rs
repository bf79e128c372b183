//! What is set aside for work whose cost is not known yet: reserved, settled, and swept when nobody settles it.

use std::collections::HashMap;

use mainstay_domain::{Amounts, PersonId, TenantId, Timestamp};
use serde::Serialize;
use uuid::Uuid;

use super::ledger::Ledger;
use crate::call::Call;
use crate::error::Result;
use crate::intent::Intent;
use crate::places::FindDue;
use crate::sql::statements;
use crate::store::Store;
use crate::tx::{Scope, Tx};
use crate::value::{At, Place};

statements! {
    RESERVE = insert((id: uuid, tenant_id: uuid, person_id: uuid, amount_micros: bigint, reserved_at: time, expires_at: time) "
        reservation (id, tenant_id, person_id, amount_micros, reserved_at, expires_at)
        SELECT id, tenant_id, person_id, amount_micros, reserved_at, expires_at FROM batch");
    /// Only on a repeat: what a commit that was not confirmed has set aside.
    HELD = batch((id: uuid, tenant_id: uuid) "
        SELECT r.id, r.amount_micros FROM batch b JOIN reservation r ON r.id = b.id AND r.tenant_id = b.tenant_id");
    /// Whoever deletes the row settles it.
    RELEASE = batch((id: uuid, tenant_id: uuid) "
        DELETE FROM reservation WHERE (id, tenant_id) IN (SELECT id, tenant_id FROM batch)
        RETURNING id, tenant_id, person_id, amount_micros, reserved_at, swept_at");
    OVERDUE = both("
        SELECT id, tenant_id FROM reservation WHERE swept_at IS NULL AND expires_at <= $1 ORDER BY expires_at LIMIT 500");
    SWEEP = batch((id: uuid, tenant_id: uuid, swept_at: time) "
        UPDATE reservation SET swept_at = b.swept_at FROM batch b
        WHERE reservation.id = b.id AND reservation.tenant_id = b.tenant_id AND reservation.swept_at IS NULL
        RETURNING reservation.id, reservation.tenant_id, reservation.person_id, reservation.amount_micros,
          reservation.reserved_at, reservation.swept_at");
    /// The oldest five hundred, and what is of the same millisecond as the last of them.
    FORGET = both("
        DELETE FROM reservation WHERE swept_at <= (SELECT max(swept_at) FROM (
          SELECT swept_at FROM reservation WHERE swept_at <= $1 ORDER BY swept_at LIMIT 500) oldest)");
}

/// What work turned out to cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cost {
    /// Nothing, and nothing was set aside for it.
    Free,
    /// So many millionths. What was set aside is given back.
    Known(i64),
    /// Nobody knows: all that was set aside counts as spent.
    AllReserved,
}

#[derive(Serialize)]
pub(super) struct Reserve {
    pub(super) id: Uuid,
    pub(super) tenant_id: Uuid,
    pub(super) person_id: Uuid,
    pub(super) amount_micros: i64,
    pub(super) reserved_at: i64,
    pub(super) expires_at: i64,
}

/// Sets aside what the ledger counts as reserved.
pub(super) async fn reserve(tx: &mut Tx<'_>, rows: &[Reserve]) -> Result<()> {
    if !rows.is_empty() {
        tx.batch(RESERVE, rows).run().await?;
    }
    Ok(())
}

#[derive(sqlx::FromRow)]
struct Held {
    id: Uuid,
    amount_micros: i64,
}

/// What is set aside under these ids, by a commit that was not confirmed.
pub(crate) async fn held(tx: &mut Tx<'_>, places: &[(Uuid, TenantId)]) -> Result<HashMap<Uuid, i64>> {
    let rows: Vec<_> = places.iter().map(|(id, tenant)| Place { id: *id, tenant_id: tenant.uuid() }).collect();
    let held: Vec<Held> = tx.batch(HELD, &rows).rows().await?;
    Ok(held.into_iter().map(|row| (row.id, row.amount_micros)).collect())
}

#[derive(sqlx::FromRow)]
struct Taken {
    id: Uuid,
    tenant_id: Uuid,
    person_id: Uuid,
    amount_micros: i64,
    reserved_at: At,
    swept_at: Option<At>,
}

/// Work that has ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settlement {
    /// The id of the work, and of what was set aside for it.
    pub(crate) id: Uuid,
    /// The organisation.
    pub(crate) tenant: TenantId,
    /// The person it was done for.
    pub(crate) person: PersonId,
    /// When it was accepted: it counts in that month.
    pub(crate) at: Timestamp,
    /// What it took, without its cost.
    pub(crate) amounts: Amounts,
    /// What it cost.
    pub(crate) cost: Cost,
}

/// Gives back what was set aside and counts what it was. The answer is what each cost, in their order.
pub(crate) async fn settle(tx: &mut Tx<'_>, ledger: &mut Ledger, settlements: &[Settlement]) -> Result<Vec<i64>> {
    let mut places: Vec<_> = settlements
        .iter()
        .filter(|settlement| settlement.cost != Cost::Free)
        .map(|settlement| Place { id: settlement.id, tenant_id: settlement.tenant.uuid() })
        .collect();
    places.sort_by_key(|place| place.id);
    let released: Vec<Taken> = if places.is_empty() { Vec::new() } else { tx.batch(RELEASE, &places).rows().await? };
    let mut released: HashMap<_, _> = released.into_iter().map(|row| (row.id, row)).collect();
    let mut costs = Vec::with_capacity(settlements.len());
    for settlement in settlements {
        let held = released.remove(&settlement.id);
        let set_aside = held.as_ref().map_or(0, |held| held.amount_micros);
        let cost = match settlement.cost {
            Cost::Free => 0,
            Cost::Known(cost) => cost,
            Cost::AllReserved => set_aside,
        };
        let Settlement { tenant, person, at, .. } = *settlement;
        ledger.add(tenant, person, at, Amounts { cost_micros: cost, ..settlement.amounts }, 0);
        if let Some(held) = held {
            let at = held.reserved_at.0;
            if held.swept_at.is_some() {
                // All of it was counted as spent when it was swept.
                ledger.add(tenant, person, at, Amounts { cost_micros: -set_aside, ..Amounts::default() }, 0);
            } else {
                ledger.add(tenant, person, at, Amounts::default(), -set_aside);
            }
        }
        costs.push(cost);
    }
    Ok(costs)
}

/// Counts as spent what nobody has settled in its time.
struct Sweep {
    places: Vec<Place>,
    now: Timestamp,
}

#[derive(Serialize)]
struct Swept {
    id: Uuid,
    tenant_id: Uuid,
    swept_at: i64,
}

impl Intent for Sweep {
    type Output = usize;
    const WRITES: bool = true;
    const REPEATABLE: bool = true;

    fn scope(&self) -> Scope {
        Scope::of(self.places.iter().map(|place| TenantId(place.tenant_id)))
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<usize> {
        let swept_at = self.now.as_millis();
        let rows: Vec<_> =
            self.places.iter().map(|place| Swept { id: place.id, tenant_id: place.tenant_id, swept_at }).collect();
        let swept: Vec<Taken> = tx.batch(SWEEP, &rows).rows().await?;
        let mut ledger = Ledger::default();
        for row in &swept {
            let spent = Amounts { cost_micros: row.amount_micros, ..Amounts::default() };
            let (tenant, person) = (TenantId(row.tenant_id), PersonId(row.person_id));
            ledger.add(tenant, person, row.reserved_at.0, spent, -row.amount_micros);
        }
        ledger.post(tx).await?;
        Ok(swept.len())
    }
}

/// Forgets what was swept before a moment, about 500: nobody settles it any more.
#[derive(Clone, Copy, Debug)]
pub struct ForgetSwept(pub Timestamp);

impl Intent for ForgetSwept {
    type Output = u64;
    const WRITES: bool = true;
    const REPEATABLE: bool = true;

    fn scope(&self) -> Scope {
        Scope::System
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<u64> {
        tx.query(FORGET).bind(At(self.0)).run().await
    }
}

impl Store {
    /// Counts as spent what was set aside and not settled in its time, at most 500 of it. The answer is how many there
    /// were. What is settled afterwards all the same is corrected then.
    ///
    /// # Errors
    /// As every intent.
    pub async fn sweep_reservations(&self, call: &Call, now: Timestamp) -> Result<usize> {
        let places = self.run(call, FindDue(OVERDUE, now)).await?;
        if places.is_empty() { Ok(0) } else { self.run(call, Sweep { places, now }).await }
    }
}
