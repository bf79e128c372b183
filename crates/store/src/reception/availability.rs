//! Everything that is needed to know which times are free, of one moment.

use std::collections::HashMap;

use mainstay_domain::{CalendarDay, ServiceId, Span, SpecialDay, StaffId, TenantId, Timestamp};
use uuid::Uuid;

use super::services::{Service, service_of};
use super::settings::{Reception, days_of, reception_of};
use super::staff::{Staff, who_offers};
use crate::error::{Error, Result};
use crate::intent::Intent;
use crate::sql::statements;
use crate::tx::{Scope, Tx};
use crate::value::{At, Id};

statements! {
    /// What is taken of somebody's time. What is held too long is free.
    TAKEN = batch((id: uuid) "
        SELECT a.staff_id, a.blocked_from, a.blocked_until FROM batch b
        JOIN appointment a ON a.tenant_id = $2 AND a.staff_id = b.id AND a.blocked_from > $3 AND a.blocked_from < $4
        WHERE a.blocked_until > $5 AND a.state IN ('held', 'booked', 'confirmed', 'done')
          AND (a.state <> 'held' OR a.expires_at > $6)
        ORDER BY a.staff_id, a.blocked_from");
}

/// No appointment blocks more.
const LONGEST: std::time::Duration = std::time::Duration::from_secs(20 * 3_600);

/// Somebody who offers a service, and their time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StaffTime {
    /// Who.
    pub staff: Staff,
    /// Their days that are not like others.
    pub special: Vec<SpecialDay>,
    /// What is taken, in order of its beginnings.
    pub taken: Vec<Span>,
}

/// What is needed to know which times are free.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Availability {
    /// How the reception works.
    pub reception: Reception,
    /// What is to be done.
    pub service: Service,
    /// The days of the organisation that are not like others.
    pub special: Vec<SpecialDay>,
    /// Who offers it.
    pub staff: Vec<StaffTime>,
}

#[derive(sqlx::FromRow)]
struct TakenRow {
    staff_id: Uuid,
    blocked_from: At,
    blocked_until: At,
}

/// Reads it. Nothing where nobody has said how the reception works, or there is no such service.
#[derive(Clone, Copy, Debug)]
pub struct ReadAvailability {
    /// The organisation.
    pub tenant: TenantId,
    /// What is to be done.
    pub service: ServiceId,
    /// By whom; nothing for anybody who offers it.
    pub staff: Option<StaffId>,
    /// When.
    pub within: Span,
    /// The present moment.
    pub now: Timestamp,
}

impl Intent for ReadAvailability {
    type Output = Option<Availability>;
    const WRITES: bool = false;
    const SNAPSHOT: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Option<Availability>> {
        let Some(reception) = reception_of(tx, self.tenant).await? else { return Ok(None) };
        let Some(service) = service_of(tx, self.tenant, self.service).await? else { return Ok(None) };
        let mut staff = who_offers(tx, self.tenant, self.service).await?;
        staff.retain(|one| self.staff.is_none_or(|wanted| wanted == one.id));
        let days = |moment| reception.zone.day_of(moment);
        // What a day of theirs reaches into the stretch that began the day before.
        let first = CalendarDay::from_number(days(self.within.from()).number() - 1).unwrap_or(days(self.within.from()));
        let mut special: HashMap<Option<StaffId>, Vec<SpecialDay>> = HashMap::new();
        for day in days_of(tx, self.tenant, first, days(self.within.until())).await? {
            special.entry(day.staff).or_default().push(day.day);
        }
        let mut taken = self.taken(tx, &staff).await?;
        let staff = staff
            .into_iter()
            .map(|staff| StaffTime {
                special: special.remove(&Some(staff.id)).unwrap_or_default(),
                taken: taken.remove(&staff.id).unwrap_or_default(),
                staff,
            })
            .collect();
        Ok(Some(Availability { special: special.remove(&None).unwrap_or_default(), reception, service, staff }))
    }
}

impl ReadAvailability {
    async fn taken(&self, tx: &mut Tx<'_>, staff: &[Staff]) -> Result<HashMap<StaffId, Vec<Span>>> {
        let ids: Vec<Id> = staff.iter().map(|staff| Id { id: staff.id.uuid() }).collect();
        let (from, until) = (self.within.from(), self.within.until());
        // Whoever begins within the stretch may block before it and after it.
        let query =
            tx.batch(TAKEN, &ids).bind(self.tenant.uuid()).bind(At(from.minus(LONGEST))).bind(At(until.plus(LONGEST)));
        let rows: Vec<TakenRow> = query.bind(At(from.minus(LONGEST))).bind(At(self.now)).rows().await?;
        let mut taken: HashMap<StaffId, Vec<Span>> = HashMap::new();
        for row in rows {
            let span = Span::new(row.blocked_from.0, row.blocked_until.0);
            let span = span.ok_or_else(|| Error::Corrupt("an appointment ends before it begins".to_owned()))?;
            taken.entry(StaffId(row.staff_id)).or_default().push(span);
        }
        Ok(taken)
    }
}
