//! Whether two appointments of one person overlap anywhere, and whether the schema would refuse it: for whoever audits.

use mainstay_domain::{StaffId, TenantId};
use serde::Serialize;
use uuid::Uuid;

use crate::error::Result;
use crate::intent::Intent;
use crate::sql::statements;
use crate::tx::{Scope, Tx};
use crate::value::count;

statements! {
    STAFF = both("SELECT id, tenant_id FROM staff WHERE (id, tenant_id) > ($1, $2) ORDER BY id, tenant_id LIMIT $3");
    /// Of overlapping stretches some two overlap that follow each other in the order of their beginnings.
    OVERLAPS = batch((staff_id: uuid, tenant_id: uuid) "
        SELECT b.staff_id, b.tenant_id FROM batch b WHERE EXISTS (
          SELECT 1 FROM appointment a WHERE a.tenant_id = b.tenant_id AND a.staff_id = b.staff_id
            AND a.state IN ('held', 'booked', 'confirmed', 'done') AND EXISTS (
              SELECT 1 FROM appointment o WHERE o.tenant_id = a.tenant_id AND o.staff_id = a.staff_id AND o.id <> a.id
                AND o.blocked_from >= a.blocked_from AND o.blocked_from < a.blocked_until
                AND o.state IN ('held', 'booked', 'confirmed', 'done')))");
    GUARDS = pair(sqlite "
        SELECT count(*) AS guards FROM sqlite_schema
        WHERE type = 'trigger' AND name IN ('appointment_overlap_insert', 'appointment_overlap_update')",
        postgres "
        SELECT 2 * count(*) AS guards FROM pg_constraint
        WHERE conname = 'appointment_overlap' AND contype = 'x' AND convalidated",
        differs "SQLite has no exclusion constraints: two triggers stand for one");
}

/// What an overlap would be refused by.
const GUARDS_WANTED: i64 = 2;

#[derive(sqlx::FromRow)]
struct StaffRow {
    id: Uuid,
    tenant_id: Uuid,
}

#[derive(sqlx::FromRow)]
struct OverlapRow {
    staff_id: Uuid,
    tenant_id: Uuid,
}

#[derive(sqlx::FromRow)]
struct GuardRow {
    guards: i64,
}

#[derive(Serialize)]
struct Whose {
    staff_id: Uuid,
    tenant_id: Uuid,
}

/// Looks through the appointments of so many people, of all organisations, in the order of their ids.
#[derive(Clone, Copy, Debug)]
pub struct FindOverlaps {
    /// Those after this one.
    pub after: Option<(StaffId, TenantId)>,
    /// At most so many people.
    pub limit: u32,
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overlaps {
    /// Whose appointments overlap.
    pub of: Vec<(StaffId, TenantId)>,
    /// How many people were looked at.
    pub looked_at: u32,
    /// The last of them; nothing when there was nobody.
    pub last: Option<(StaffId, TenantId)>,
    /// Whether the schema refuses overlaps.
    pub is_guarded: bool,
}

impl Intent for FindOverlaps {
    type Output = Overlaps;
    const WRITES: bool = false;
    const SNAPSHOT: bool = true;

    fn scope(&self) -> Scope {
        Scope::System
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Overlaps> {
        let (id, tenant) = self.after.map_or((Uuid::nil(), Uuid::nil()), |(id, tenant)| (id.uuid(), tenant.uuid()));
        let staff: Vec<StaffRow> = tx.query(STAFF).bind(id).bind(tenant).bind(i64::from(self.limit)).rows().await?;
        let whose: Vec<Whose> = staff.iter().map(|row| Whose { staff_id: row.id, tenant_id: row.tenant_id }).collect();
        let found: Vec<OverlapRow> =
            if whose.is_empty() { Vec::new() } else { tx.batch(OVERLAPS, &whose).rows().await? };
        let guards = tx.query(GUARDS).row::<GuardRow>().await?.map_or(0, |row| row.guards);
        Ok(Overlaps {
            of: found.into_iter().map(|row| (StaffId(row.staff_id), TenantId(row.tenant_id))).collect(),
            looked_at: count(i64::try_from(staff.len()).unwrap_or(i64::MAX)),
            last: staff.last().map(|row| (StaffId(row.id), TenantId(row.tenant_id))),
            is_guarded: guards >= GUARDS_WANTED,
        })
    }
}
