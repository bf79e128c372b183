//! How the reception of an organisation works, and the days that are not like others.

use mainstay_domain::{CalendarDay, CallingCode, SpecialDay, StaffId, Step, TenantId, Timestamp, Week, Zone};
use uuid::Uuid;

use super::{openings, week};
use crate::error::{Error, Result};
use crate::intent::Intent;
use crate::sql::statements;
use crate::tx::{Scope, Tx};
use crate::value::{At, count, json, small};

statements! {
    PUT = both("
        INSERT INTO reception (tenant_id, zone, calling_code, week, step_minutes, hold_minutes, lead_minutes, horizon_days, updated_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
        ON CONFLICT (tenant_id) DO UPDATE SET zone = excluded.zone, calling_code = excluded.calling_code, week = excluded.week,
          step_minutes = excluded.step_minutes, hold_minutes = excluded.hold_minutes, lead_minutes = excluded.lead_minutes,
          horizon_days = excluded.horizon_days, updated_at = excluded.updated_at");
    GET = both("
        SELECT zone, calling_code, week, step_minutes, hold_minutes, lead_minutes, horizon_days FROM reception WHERE tenant_id = $1");
    PUT_DAY = both("
        INSERT INTO special_day (owner_id, tenant_id, day, openings, name) VALUES ($1, $2, $3, $4, $5)
        ON CONFLICT (owner_id, day, tenant_id) DO UPDATE SET openings = excluded.openings, name = excluded.name");
    REMOVE_DAY = both("DELETE FROM special_day WHERE owner_id = $1 AND day = $2 AND tenant_id = $3");
    DAYS = both("
        SELECT owner_id, day, openings, name FROM special_day WHERE tenant_id = $1 AND day >= $2 AND day <= $3
        ORDER BY day, owner_id LIMIT $4");
}

/// The most special days that are read at once: of all staff over a year and more.
pub(crate) const MOST_DAYS: i64 = 20_000;

/// How the reception of an organisation works.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reception {
    /// Where it is.
    pub zone: Zone,
    /// What is before numbers of telephones that name no country.
    pub calling_code: Option<CallingCode>,
    /// When it is open.
    pub week: Week,
    /// How far apart the beginnings are that are offered.
    pub step: Step,
    /// For how many minutes a time is held.
    pub hold_minutes: u32,
    /// How many minutes before its beginning an appointment is made at the latest.
    pub lead_minutes: u32,
    /// How many days ahead one is made at the most.
    pub horizon_days: u32,
}

/// A day that is not like others, as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedDay {
    /// Whose; nothing for the organisation's.
    pub staff: Option<StaffId>,
    /// The day and its openings.
    pub day: SpecialDay,
    /// What it is called: a holiday, an absence.
    pub name: String,
}

#[derive(sqlx::FromRow)]
struct ReceptionRow {
    zone: String,
    calling_code: Option<i64>,
    week: String,
    step_minutes: i64,
    hold_minutes: i64,
    lead_minutes: i64,
    horizon_days: i64,
}

#[derive(sqlx::FromRow)]
struct DayRow {
    owner_id: Uuid,
    day: i64,
    openings: String,
    name: String,
}

impl TryFrom<ReceptionRow> for Reception {
    type Error = Error;

    fn try_from(row: ReceptionRow) -> Result<Self> {
        let damaged = |refused: mainstay_domain::Refused| Error::Corrupt(format!("a reception: {}", refused.detail));
        Ok(Self {
            zone: Zone::parse(&row.zone).map_err(damaged)?,
            calling_code: row.calling_code.map(|code| CallingCode::new(small(code))).transpose().map_err(damaged)?,
            week: week(&row.week)?,
            step: Step::new(small(row.step_minutes)).map_err(damaged)?,
            hold_minutes: count(row.hold_minutes),
            lead_minutes: count(row.lead_minutes),
            horizon_days: count(row.horizon_days),
        })
    }
}

impl TryFrom<DayRow> for NamedDay {
    type Error = Error;

    fn try_from(row: DayRow) -> Result<Self> {
        let day = CalendarDay::from_number(row.day).ok_or_else(|| Error::Corrupt(format!("the day {}", row.day)))?;
        let day = SpecialDay::new(day, openings(&row.openings)?)
            .map_err(|refused| Error::Corrupt(format!("a day: {}", refused.detail)))?;
        Ok(Self { staff: (!row.owner_id.is_nil()).then_some(StaffId(row.owner_id)), day, name: row.name })
    }
}

/// The nil UUID stands for the organisation.
fn owner(staff: Option<StaffId>) -> Uuid {
    staff.map_or(Uuid::nil(), StaffId::uuid)
}

/// Says how the reception works.
#[derive(Clone, Debug)]
pub struct PutReception {
    /// The organisation.
    pub tenant: TenantId,
    /// How.
    pub reception: Reception,
    /// The present moment.
    pub now: Timestamp,
}

impl Intent for PutReception {
    type Output = ();
    const WRITES: bool = true;
    const REPEATABLE: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<()> {
        let reception = &self.reception;
        tx.query(PUT)
            .bind(self.tenant.uuid())
            .bind(reception.zone.name().to_owned())
            .bind(reception.calling_code.map(|code| i64::from(code.number())))
            .bind(json(&reception.week)?)
            .bind(i64::from(reception.step.minutes()))
            .bind(i64::from(reception.hold_minutes))
            .bind(i64::from(reception.lead_minutes))
            .bind(i64::from(reception.horizon_days))
            .bind(At(self.now))
            .run()
            .await
            .map(drop)
    }
}

/// Reads how the reception works; nothing where nobody has said.
#[derive(Clone, Copy, Debug)]
pub struct GetReception(pub TenantId);

impl Intent for GetReception {
    type Output = Option<Reception>;
    const WRITES: bool = false;
    const ONE_STATEMENT: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.0)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Option<Reception>> {
        reception_of(tx, self.0).await
    }
}

pub(crate) async fn reception_of(tx: &mut Tx<'_>, tenant: TenantId) -> Result<Option<Reception>> {
    tx.query(GET).bind(tenant.uuid()).row::<ReceptionRow>().await?.map(Reception::try_from).transpose()
}

/// Says what a day is like that is not like others.
#[derive(Clone, Debug)]
pub struct PutSpecialDay {
    /// The organisation.
    pub tenant: TenantId,
    /// The day.
    pub day: NamedDay,
}

impl Intent for PutSpecialDay {
    type Output = ();
    const WRITES: bool = true;
    const REPEATABLE: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<()> {
        let NamedDay { staff, day, name } = &self.day;
        let put = tx.query(PUT_DAY).bind(owner(*staff)).bind(self.tenant.uuid()).bind(day.day.number());
        put.bind(json(day.openings())?).bind(name.clone()).run().await.map(drop)
    }
}

/// Makes a day like others again. False when it was.
#[derive(Clone, Copy, Debug)]
pub struct RemoveSpecialDay {
    /// The organisation.
    pub tenant: TenantId,
    /// Whose day it is; nothing for the organisation's.
    pub staff: Option<StaffId>,
    /// Which.
    pub day: CalendarDay,
}

impl Intent for RemoveSpecialDay {
    type Output = bool;
    const WRITES: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<bool> {
        let remove = tx.query(REMOVE_DAY).bind(owner(self.staff)).bind(self.day.number()).bind(self.tenant.uuid());
        Ok(remove.run().await? > 0)
    }
}

/// Lists the special days of an organisation and of its staff, in order.
#[derive(Clone, Copy, Debug)]
pub struct ListSpecialDays {
    /// The organisation.
    pub tenant: TenantId,
    /// The first day.
    pub first: CalendarDay,
    /// The last day.
    pub last: CalendarDay,
}

impl Intent for ListSpecialDays {
    type Output = Vec<NamedDay>;
    const WRITES: bool = false;
    const ONE_STATEMENT: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Vec<NamedDay>> {
        days_of(tx, self.tenant, self.first, self.last).await
    }
}

pub(crate) async fn days_of(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    first: CalendarDay,
    last: CalendarDay,
) -> Result<Vec<NamedDay>> {
    let list = tx.query(DAYS).bind(tenant.uuid()).bind(first.number()).bind(last.number()).bind(MOST_DAYS);
    list.rows::<DayRow>().await?.into_iter().map(NamedDay::try_from).collect()
}
