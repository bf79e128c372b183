//! What is offered, and who does it.

use std::collections::BTreeSet;

use mainstay_domain::{
    Error, Faults, Kind, Label, PersonId, Result, ServiceId, ServiceTimes, StaffId, TenantId, Timestamp, Week,
};
use mainstay_store::{
    Call, ChangeService, ChangeStaff, Claim, CreateService, CreateStaff, GetService, GetStaff, ListServices, ListStaff,
    MAKING_A_SERVICE, MAKING_STAFF, MOST_SERVICES, MOST_STAFF, Once, Service, SetOffers, Staff,
};

use super::{Reception, read};
use crate::http::idempotency::same;

/// The largest price: a billion, in millionths.
const HIGHEST_PRICE: i64 = 1_000_000_000_000_000;

/// What somebody says of a service, not looked at yet. What is left out stays as it is.
#[derive(Clone, Debug, Default)]
pub struct ServiceWish {
    /// What it is called.
    pub name: Option<String>,
    /// How many minutes it takes.
    pub minutes: Option<u16>,
    /// How many are set aside before it.
    pub before_minutes: Option<u16>,
    /// How many are set aside after it.
    pub after_minutes: Option<u16>,
    /// What it costs, in millionths of a currency, or that no price is told.
    pub price: Option<Option<(i64, String)>>,
    /// Whether it is offered no more.
    pub archived: Option<bool>,
}

/// What somebody says of one of the staff, not looked at yet. What is left out stays as it is.
#[derive(Clone, Debug, Default)]
pub struct StaffWish {
    /// What they are called.
    pub name: Option<String>,
    /// When they work, or that they have the hours of the organisation.
    pub week: Option<Option<Week>>,
    /// What they offer: these services and no others.
    pub services: Option<Vec<ServiceId>>,
    /// Whether they work there no more.
    pub archived: Option<bool>,
}

fn minutes(duration: std::time::Duration) -> u16 {
    u16::try_from(duration.as_secs() / 60).unwrap_or(u16::MAX)
}

fn price(faults: &mut Faults, price: &(i64, String)) {
    let (micros, currency) = price;
    if !(0..=HIGHEST_PRICE).contains(micros) {
        faults.add("price_micros", "out_of_range", "Give millionths of the currency, from 0 to 10^15.");
    }
    if currency.len() != 3 || !currency.bytes().all(|byte| byte.is_ascii_uppercase()) {
        faults.add("currency", "invalid_currency", "Name a currency by its three letters (ISO 4217), such as EUR.");
    }
}

impl Reception {
    /// Adds a service.
    ///
    /// # Errors
    /// `invalid_input`; `too_many_services`.
    pub async fn create_service(
        &self,
        call: &Call,
        tenant: TenantId,
        wish: ServiceWish,
        claim: Option<(PersonId, Claim)>,
    ) -> Result<Service> {
        let id = self.ids.make();
        let service = Service {
            id,
            name: String::new(),
            times: ServiceTimes::new(30, 0, 0).map_err(|(_, refused)| Error::internal(refused.detail))?,
            price: None,
            archived_at: None,
            created_at: self.clock.now(),
        };
        let mut faults = Faults::default();
        if wish.name.is_none() {
            faults.add("name", "missing", "Say what it is called.");
        }
        if wish.minutes.is_none() {
            faults.add("minutes", "missing", "Say how many minutes it takes.");
        }
        faults.judge()?;
        let service = self.with(service, wish)?;
        let fingerprint = claim.as_ref().map(|(_, claim)| claim.fingerprint.clone());
        match self.store.run(call, CreateService { tenant, service: service.clone(), claim }).await? {
            Once::Done(true) => Ok(service),
            Once::Done(false) => {
                let detail = format!("There are {MOST_SERVICES} services. Change one that is not offered any more.");
                Err(Error::new(Kind::Conflict, "too_many_services", detail))
            }
            Once::Repeat(used) => {
                let id = ServiceId(same(&used, MAKING_A_SERVICE, fingerprint.as_deref())?);
                self.service(call, tenant, id).await
            }
        }
    }

    fn with(&self, mut service: Service, wish: ServiceWish) -> Result<Service> {
        let mut faults = Faults::default();
        if let Some(name) = wish.name.as_deref().and_then(|name| faults.keep("name", Label::parse(name))) {
            name.as_str().clone_into(&mut service.name);
        }
        let old = service.times;
        let times = ServiceTimes::new(
            wish.minutes.unwrap_or_else(|| minutes(old.length())),
            wish.before_minutes.unwrap_or_else(|| minutes(old.before())),
            wish.after_minutes.unwrap_or_else(|| minutes(old.after())),
        );
        match times {
            Ok(times) => service.times = times,
            Err((field, refused)) => faults.add(field, refused.code, refused.detail),
        }
        if let Some(wanted) = wish.price {
            wanted.iter().for_each(|wanted| price(&mut faults, wanted));
            service.price = wanted;
        }
        if let Some(archived) = wish.archived {
            service.archived_at = archived.then(|| service.archived_at.unwrap_or_else(|| self.clock.now()));
        }
        faults.judge()?;
        Ok(service)
    }

    /// Reads a service.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn service(&self, call: &Call, tenant: TenantId, id: ServiceId) -> Result<Service> {
        let found = self.store.run(call, GetService { tenant, id }).await?;
        found.ok_or_else(|| Error::not_found("service"))
    }

    /// Lists services, the oldest first.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn services(
        &self,
        call: &Call,
        tenant: TenantId,
        after: Option<(Timestamp, ServiceId)>,
        limit: u32,
    ) -> Result<Vec<Service>> {
        Ok(self.store.run(call, ListServices { tenant, after, limit }).await?)
    }

    /// Changes a service. Appointments that were made keep their times.
    ///
    /// # Errors
    /// `not_found`; `invalid_input`.
    pub async fn change_service(
        &self,
        call: &Call,
        tenant: TenantId,
        id: ServiceId,
        wish: ServiceWish,
    ) -> Result<Service> {
        let service = self.with(self.service(call, tenant, id).await?, wish)?;
        self.store.run(call, ChangeService { tenant, service: service.clone(), now: self.clock.now() }).await?;
        Ok(service)
    }

    /// Adds somebody.
    ///
    /// # Errors
    /// `invalid_input`; `too_many_staff`; `unknown_service`.
    pub async fn create_staff(
        &self,
        call: &Call,
        tenant: TenantId,
        wish: StaffWish,
        claim: Option<(PersonId, Claim)>,
    ) -> Result<(Staff, Vec<ServiceId>)> {
        let mut faults = Faults::default();
        let name = wish.name.as_deref().unwrap_or_default();
        let name = faults.keep("name", Label::parse(name));
        faults.judge()?;
        let staff = Staff {
            id: self.ids.make(),
            name: read(name)?.as_str().to_owned(),
            week: wish.week.flatten(),
            archived_at: None,
            created_at: self.clock.now(),
        };
        let fingerprint = claim.as_ref().map(|(_, claim)| claim.fingerprint.clone());
        match self.store.run(call, CreateStaff { tenant, staff: staff.clone(), claim }).await? {
            Once::Done(true) => {
                let services = self.set_offers(call, tenant, staff.id, wish.services.unwrap_or_default()).await?;
                Ok((staff, services))
            }
            Once::Done(false) => {
                let detail = format!("There are {MOST_STAFF} people. Change one who does not work there any more.");
                Err(Error::new(Kind::Conflict, "too_many_staff", detail))
            }
            Once::Repeat(used) => {
                let id = StaffId(same(&used, MAKING_STAFF, fingerprint.as_deref())?);
                self.one_of_staff(call, tenant, id).await
            }
        }
    }

    async fn set_offers(
        &self,
        call: &Call,
        tenant: TenantId,
        staff: StaffId,
        services: Vec<ServiceId>,
    ) -> Result<Vec<ServiceId>> {
        let services: BTreeSet<ServiceId> = services.into_iter().collect();
        if self.store.run(call, SetOffers { tenant, staff, services: services.clone() }).await? {
            return Ok(services.into_iter().collect());
        }
        Err(Error::invalid_field("services", "unknown_service", "One of these is no service of this organisation."))
    }

    /// Reads somebody, and what they offer.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn one_of_staff(&self, call: &Call, tenant: TenantId, id: StaffId) -> Result<(Staff, Vec<ServiceId>)> {
        let found = self.store.run(call, GetStaff { tenant, id }).await?;
        found.ok_or_else(|| Error::not_found("member of the staff"))
    }

    /// Lists the staff, who came first first.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn staff(
        &self,
        call: &Call,
        tenant: TenantId,
        after: Option<(Timestamp, StaffId)>,
        limit: u32,
    ) -> Result<Vec<(Staff, Vec<ServiceId>)>> {
        Ok(self.store.run(call, ListStaff { tenant, after, limit }).await?)
    }

    /// Changes what is known of somebody. Appointments that were made stay.
    ///
    /// # Errors
    /// `not_found`; `invalid_input`; `unknown_service`.
    pub async fn change_staff(
        &self,
        call: &Call,
        tenant: TenantId,
        id: StaffId,
        wish: StaffWish,
    ) -> Result<(Staff, Vec<ServiceId>)> {
        let (mut staff, mut services) = self.one_of_staff(call, tenant, id).await?;
        let mut faults = Faults::default();
        if let Some(name) = wish.name.as_deref().and_then(|name| faults.keep("name", Label::parse(name))) {
            name.as_str().clone_into(&mut staff.name);
        }
        faults.judge()?;
        if let Some(week) = wish.week {
            staff.week = week;
        }
        let now = self.clock.now();
        if let Some(archived) = wish.archived {
            staff.archived_at = archived.then(|| staff.archived_at.unwrap_or(now));
        }
        self.store.run(call, ChangeStaff { tenant, staff: staff.clone(), now }).await?;
        if let Some(wanted) = wish.services {
            services = self.set_offers(call, tenant, id, wanted).await?;
        }
        Ok((staff, services))
    }
}
