//! Everything that is needed to know which times are free, of one moment.
//!
//! What is taken of a calendar is much, and changes seldom. It has a number that is counted up whenever it does: whoever
//! names the number that they know is not told again what they know.

use std::collections::{BTreeMap, HashMap};

use mainstay_domain::{ServiceId, ServiceTimes, Span, SpecialDay, StaffId, TenantId, Timestamp};
use uuid::Uuid;

use super::services::{Service, service_of};
use super::settings::{Reception, days_of, reception_of};
use super::staff::{Staff, who_offers};
use crate::error::{Error, Result};
use crate::intent::Intent;
use crate::sql::statements;
use crate::tx::{Scope, Tx};
use crate::value::{At, Id, moment};

statements! {
    /// What is taken of somebody's time.
    TAKEN = batch((id: uuid) "
        SELECT a.staff_id, a.blocked_from, a.blocked_until, a.expires_at FROM batch b
        JOIN appointment a ON a.tenant_id = $2 AND a.staff_id = b.id AND a.blocked_from > $3 AND a.blocked_from < $4
        WHERE a.state IN ('held', 'booked', 'confirmed', 'done')
        ORDER BY a.staff_id, a.blocked_from");
    /// What something else in their calendars takes of it.
    BUSY = batch((id: uuid) "
        SELECT y.staff_id, y.busy_from, y.busy_until FROM batch b
        JOIN calendar_busy y ON y.tenant_id = $2 AND y.staff_id = b.id AND y.busy_until > $3 AND y.busy_from < $4
        ORDER BY y.staff_id, y.busy_from");
}

/// A stretch of somebody's time that is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TakenTime {
    /// Which.
    pub span: Span,
    /// Until when it is held; nothing when it is booked. From then on it is free.
    pub held_until: Option<Timestamp>,
}

/// Somebody who offers a service, and their time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StaffTime {
    /// Who.
    pub staff: Staff,
    /// Their days that are not like others.
    pub special: Vec<SpecialDay>,
    /// The number of their calendar.
    pub version: i64,
    /// What is taken, in order of its beginnings; nothing when that is known under this number.
    pub taken: Option<Vec<TakenTime>>,
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
    expires_at: Option<At>,
}

#[derive(sqlx::FromRow)]
struct BusyRow {
    staff_id: Uuid,
    busy_from: At,
    busy_until: At,
}

/// Reads it. Nothing where nobody has said how the reception works, or there is no such service.
#[derive(Clone, Debug)]
pub struct ReadAvailability {
    /// The organisation.
    pub tenant: TenantId,
    /// What is to be done.
    pub service: ServiceId,
    /// By whom; nothing for anybody who offers it.
    pub staff: Option<StaffId>,
    /// When.
    pub within: Span,
    /// The numbers of the calendars whose taken times are known for all of that stretch.
    pub known: BTreeMap<StaffId, i64>,
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
        staff.retain(|(one, _)| self.staff.is_none_or(|wanted| wanted == one.id));
        let days = |moment| reception.zone.day_of(moment);
        // What a day of theirs reaches into the stretch that began the day before.
        let first = days(self.within.from()).before();
        let mut special: HashMap<Option<StaffId>, Vec<SpecialDay>> = HashMap::new();
        for day in days_of(tx, self.tenant, first, days(self.within.until())).await? {
            special.entry(day.staff).or_default().push(day.day);
        }
        let unknown = |(staff, version): &&(Staff, i64)| self.known.get(&staff.id) != Some(version);
        let wanted: Vec<StaffId> = staff.iter().filter(unknown).map(|(staff, _)| staff.id).collect();
        let mut taken = self.taken(tx, &wanted).await?;
        let staff = staff
            .into_iter()
            .map(|(staff, version)| StaffTime {
                special: special.remove(&Some(staff.id)).unwrap_or_default(),
                version,
                taken: taken.remove(&staff.id),
                staff,
            })
            .collect();
        Ok(Some(Availability { special: special.remove(&None).unwrap_or_default(), reception, service, staff }))
    }
}

impl ReadAvailability {
    async fn taken(&self, tx: &mut Tx<'_>, staff: &[StaffId]) -> Result<HashMap<StaffId, Vec<TakenTime>>> {
        let mut taken: HashMap<StaffId, Vec<TakenTime>> = staff.iter().map(|staff| (*staff, Vec::new())).collect();
        if staff.is_empty() {
            return Ok(taken);
        }
        let ids: Vec<Id> = staff.iter().map(|staff| Id { id: staff.uuid() }).collect();
        let (from, until) = (self.within.from(), self.within.until());
        // Whoever begins within the stretch may block before it and after it.
        let query = tx
            .batch(TAKEN, &ids)
            .bind(self.tenant.uuid())
            .bind(At(from.minus(ServiceTimes::LONGEST)))
            .bind(At(until.plus(ServiceTimes::LONGEST)));
        let rows: Vec<TakenRow> = query.rows().await?;
        for row in rows {
            let span = Span::new(row.blocked_from.0, row.blocked_until.0);
            let span = span.ok_or_else(|| Error::Corrupt("an appointment ends before it begins".to_owned()))?;
            let one = TakenTime { span, held_until: moment(row.expires_at) };
            taken.entry(StaffId(row.staff_id)).or_default().push(one);
        }
        let busy = tx
            .batch(BUSY, &ids)
            .bind(self.tenant.uuid())
            .bind(At(from.minus(ServiceTimes::LONGEST)))
            .bind(At(until.plus(ServiceTimes::LONGEST)));
        for row in busy.rows::<BusyRow>().await? {
            let span = Span::new(row.busy_from.0, row.busy_until.0);
            let span = span.ok_or_else(|| Error::Corrupt("an event ends before it begins".to_owned()))?;
            taken.entry(StaffId(row.staff_id)).or_default().push(TakenTime { span, held_until: None });
        }
        for taken in taken.values_mut() {
            taken.sort_by_key(|one| one.span);
        }
        Ok(taken)
    }
}
