//! How the reception works, and the days that are not like others.

use mainstay_domain::{
    CalendarDay, CallingCode, Error, Faults, Label, Opening, Result, SpecialDay, StaffId, Step, TenantId, Week, Zone,
};
use mainstay_store::{
    Call, GetReception, ListSpecialDays, NamedDay, PutReception, PutSpecialDay, Reception as Settings, RemoveSpecialDay,
};

use super::availability::not_set_up;
use super::{Reception, read};

/// The most minutes that a time is held.
const LONGEST_HOLD: u32 = 60;
/// The most minutes that an appointment is made before its beginning at the latest: four weeks.
const LONGEST_LEAD: u32 = 28 * 1_440;
/// The most days ahead that one is made.
const FARTHEST: u32 = 730;

/// How somebody wants the reception to work, not looked at yet.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub(super) zone: String,
    pub(super) calling_code: Option<u16>,
    pub(super) week: Week,
    pub(super) step_minutes: u16,
    pub(super) hold_minutes: u32,
    pub(super) lead_minutes: u32,
    pub(super) horizon_days: u32,
}

impl Reception {
    /// How the reception works.
    ///
    /// # Errors
    /// `reception_not_set_up` where nobody has said.
    pub async fn settings(&self, call: &Call, tenant: TenantId) -> Result<Settings> {
        self.store.run(call, GetReception(tenant)).await?.ok_or_else(not_set_up)
    }

    /// Where its clocks are; nothing where nobody has said how the reception works.
    ///
    /// # Errors
    /// As every intent.
    pub async fn zone(&self, call: &Call, tenant: TenantId) -> Result<Option<Zone>> {
        if self.without.contains_key(&tenant) {
            return Ok(None);
        }
        let settings = self.store.run(call, GetReception(tenant)).await?;
        if settings.is_none() {
            self.without.insert(tenant, ());
        }
        Ok(settings.map(|settings| settings.zone))
    }

    /// Says how the reception works.
    ///
    /// # Errors
    /// `invalid_input`.
    pub(super) async fn set_up(&self, call: &Call, tenant: TenantId, wanted: Wanted) -> Result<Settings> {
        let mut faults = Faults::default();
        let zone = faults.keep("time_zone", Zone::parse(&wanted.zone));
        let step = faults.keep("step_minutes", Step::new(wanted.step_minutes));
        let code = wanted.calling_code.map(CallingCode::new).transpose();
        let calling_code = faults.keep("calling_code", code);
        for (field, value, least, most) in [
            ("hold_minutes", wanted.hold_minutes, 1, LONGEST_HOLD),
            ("lead_minutes", wanted.lead_minutes, 0, LONGEST_LEAD),
            ("horizon_days", wanted.horizon_days, 1, FARTHEST),
        ] {
            if !(least..=most).contains(&value) {
                faults.add(field, "out_of_range", format!("Give a number from {least} to {most}."));
            }
        }
        faults.judge()?;
        let reception = Settings {
            zone: read(zone)?,
            calling_code: read(calling_code)?,
            week: wanted.week,
            step: read(step)?,
            hold_minutes: wanted.hold_minutes,
            lead_minutes: wanted.lead_minutes,
            horizon_days: wanted.horizon_days,
        };
        self.store.run(call, PutReception { tenant, reception: reception.clone(), now: self.clock.now() }).await?;
        self.without.invalidate(&tenant);
        Ok(reception)
    }

    /// The days that are not like others, in order.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn special_days(
        &self,
        call: &Call,
        tenant: TenantId,
        (first, last): (CalendarDay, CalendarDay),
    ) -> Result<Vec<NamedDay>> {
        Ok(self.store.run(call, ListSpecialDays { tenant, first, last }).await?)
    }

    /// Says what a day is like: the organisation's, or somebody's.
    ///
    /// # Errors
    /// `invalid_input`; `not_found` for somebody who is not there.
    pub(super) async fn put_special_day(
        &self,
        call: &Call,
        tenant: TenantId,
        (staff, day): (Option<StaffId>, CalendarDay),
        (openings, name): (Vec<Opening>, &str),
    ) -> Result<NamedDay> {
        let mut faults = Faults::default();
        let day = faults.keep("openings", SpecialDay::new(day, openings));
        let name = faults.keep("name", Label::parse(name));
        faults.judge()?;
        if let Some(staff) = staff {
            self.one_of_staff(call, tenant, staff).await?;
        }
        let day = NamedDay { staff, day: read(day)?, name: read(name)?.as_str().to_owned() };
        self.store.run(call, PutSpecialDay { tenant, day: day.clone() }).await?;
        Ok(day)
    }

    /// Makes a day like others again.
    ///
    /// # Errors
    /// `not_found` when it is.
    pub(super) async fn remove_special_day(
        &self,
        call: &Call,
        tenant: TenantId,
        (staff, day): (Option<StaffId>, CalendarDay),
    ) -> Result<()> {
        let removed = self.store.run(call, RemoveSpecialDay { tenant, staff, day }).await?;
        if removed { Ok(()) } else { Err(Error::not_found("special day")) }
    }
}
