//! Who does it, and who offers what.

use std::collections::{BTreeSet, HashMap};

use mainstay_domain::{PersonId, ServiceId, StaffId, TenantId, Timestamp, Week};
use serde::Serialize;
use uuid::Uuid;

use super::week;
use crate::error::{Error, Result};
use crate::idempotency::{Once, claim_with};
use crate::intent::Intent;
use crate::sql::statements;
use crate::turns::Claim;
use crate::tx::{Scope, Tx};
use crate::value::{At, Id, Place, json, moment};

statements! {
    CREATE = both("
        INSERT INTO staff (id, tenant_id, name, week, calendar_version, archived_at, created_at, updated_at)
        SELECT $1, $2, $3, $4, 0, NULL, $5, $5
        WHERE (SELECT count(*) FROM (SELECT 1 FROM staff WHERE tenant_id = $2 LIMIT 200) counted) < 200");
    GET = both("SELECT id, name, week, archived_at, created_at FROM staff WHERE id = $1 AND tenant_id = $2");
    KNOWN = batch((id: uuid) "
        SELECT s.id FROM batch b JOIN service s ON s.id = b.id AND s.tenant_id = $2");
    CHANGE = both("
        UPDATE staff SET name = $3, week = $4, archived_at = $5, updated_at = $6 WHERE id = $1 AND tenant_id = $2");
    LIST = both("
        SELECT id, name, week, archived_at, created_at FROM staff
        WHERE tenant_id = $1 AND (created_at, id) > ($2, $3) ORDER BY created_at, id LIMIT $4");
    CLEAR = both("DELETE FROM staff_service WHERE staff_id = $1 AND tenant_id = $2");
    OFFER = insert((staff_id: uuid, service_id: uuid, tenant_id: uuid) "
        staff_service (staff_id, service_id, tenant_id) SELECT staff_id, service_id, tenant_id FROM batch");
    OFFERS = batch((id: uuid, tenant_id: uuid) "
        SELECT o.staff_id, o.service_id FROM batch b JOIN staff_service o ON o.staff_id = b.id AND o.tenant_id = b.tenant_id
        ORDER BY o.service_id");
    /// Those who offer a service and are not archived. What a calendar holds that has never been read is not known, and is
    /// not taken for free.
    WHO_OFFERS = both("
        SELECT s.id, s.name, s.week, s.archived_at, s.created_at, s.calendar_version FROM staff_service o
        JOIN staff s ON s.id = o.staff_id AND s.tenant_id = o.tenant_id
        WHERE o.tenant_id = $1 AND o.service_id = $2 AND s.archived_at IS NULL
          AND NOT EXISTS (SELECT 1 FROM calendar_connection c WHERE c.tenant_id = s.tenant_id AND c.staff_id = s.id
            AND c.synced_at IS NULL)
        ORDER BY s.created_at, s.id");
}

/// What adding one of the staff is called beside its idempotency key.
pub const MAKING_STAFF: &str = "staff";

/// The most people of an organisation's staff, with those who do not work there any more.
pub const MOST_STAFF: u32 = 200;

/// Somebody who does what is offered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Staff {
    /// Their id.
    pub id: StaffId,
    /// What they are called.
    pub name: String,
    /// When they work; the hours of the organisation without it.
    pub week: Option<Week>,
    /// Since when they do not work there any more.
    pub archived_at: Option<Timestamp>,
    /// Since when they are there.
    pub created_at: Timestamp,
}

#[derive(sqlx::FromRow)]
struct StaffRow {
    id: Uuid,
    name: String,
    week: Option<String>,
    archived_at: Option<At>,
    created_at: At,
}

impl TryFrom<StaffRow> for Staff {
    type Error = Error;

    fn try_from(row: StaffRow) -> Result<Self> {
        Ok(Self {
            id: StaffId(row.id),
            name: row.name,
            week: row.week.as_deref().map(week).transpose()?,
            archived_at: moment(row.archived_at),
            created_at: row.created_at.0,
        })
    }
}

#[derive(Serialize, sqlx::FromRow)]
struct OfferRow {
    staff_id: Uuid,
    service_id: Uuid,
    tenant_id: Uuid,
}

#[derive(sqlx::FromRow)]
struct OfferedRow {
    staff_id: Uuid,
    service_id: Uuid,
}

/// Adds somebody. False when there are [`MOST_STAFF`].
#[derive(Clone, Debug)]
pub struct CreateStaff {
    /// The organisation.
    pub tenant: TenantId,
    /// Who.
    pub staff: Staff,
    /// The idempotency key, if there is one, and whose it is.
    pub claim: Option<(PersonId, Claim)>,
}

impl Intent for CreateStaff {
    type Output = Once<bool>;
    const WRITES: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Once<bool>> {
        let made = (MAKING_STAFF, self.staff.id.uuid());
        if let Some(used) = claim_with(tx, self.tenant, self.claim.as_ref(), made, self.staff.created_at).await? {
            return Ok(Once::Repeat(used));
        }
        let Staff { id, name, week, created_at, .. } = &self.staff;
        let create = tx.query(CREATE).bind(id.uuid()).bind(self.tenant.uuid()).bind(name.clone());
        create
            .bind(week.as_ref().map(json).transpose()?)
            .bind(At(*created_at))
            .run()
            .await
            .map(|made| Once::Done(made == 1))
    }
}

/// Changes what is known of somebody. Appointments that were made stay.
#[derive(Clone, Debug)]
pub struct ChangeStaff {
    /// The organisation.
    pub tenant: TenantId,
    /// As it is from now on.
    pub staff: Staff,
    /// The present moment.
    pub now: Timestamp,
}

impl Intent for ChangeStaff {
    type Output = ();
    const WRITES: bool = true;
    const REPEATABLE: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<()> {
        let Staff { id, name, week, archived_at, .. } = &self.staff;
        let change = tx.query(CHANGE).bind(id.uuid()).bind(self.tenant.uuid()).bind(name.clone());
        let change = change.bind(week.as_ref().map(json).transpose()?).bind(archived_at.map(At)).bind(At(self.now));
        if change.run().await? == 1 { Ok(()) } else { Err(Error::Missing("member of the staff")) }
    }
}

/// Says what somebody offers: these services and no others. False, and nothing is done, when one of them is not known.
#[derive(Clone, Debug)]
pub struct SetOffers {
    /// The organisation.
    pub tenant: TenantId,
    /// Who.
    pub staff: StaffId,
    /// What, at most 500.
    pub services: BTreeSet<ServiceId>,
}

impl Intent for SetOffers {
    type Output = bool;
    const WRITES: bool = true;
    const REPEATABLE: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<bool> {
        let ids: Vec<Id> = self.services.iter().map(|service| Id { id: service.uuid() }).collect();
        let known: Vec<Id> = tx.batch(KNOWN, &ids).bind(self.tenant.uuid()).rows().await?;
        if known.len() < ids.len() {
            return Ok(false);
        }
        tx.query(CLEAR).bind(self.staff.uuid()).bind(self.tenant.uuid()).run().await?;
        let (staff_id, tenant_id) = (self.staff.uuid(), self.tenant.uuid());
        let rows: Vec<OfferRow> =
            self.services.iter().map(|service| OfferRow { staff_id, service_id: service.uuid(), tenant_id }).collect();
        if !rows.is_empty() {
            tx.batch(OFFER, &rows).run().await?;
        }
        Ok(true)
    }
}

/// Reads somebody, and what they offer.
#[derive(Clone, Copy, Debug)]
pub struct GetStaff {
    /// The organisation.
    pub tenant: TenantId,
    /// Who.
    pub id: StaffId,
}

impl Intent for GetStaff {
    type Output = Option<(Staff, Vec<ServiceId>)>;
    const WRITES: bool = false;
    const SNAPSHOT: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output> {
        let row = tx.query(GET).bind(self.id.uuid()).bind(self.tenant.uuid()).row::<StaffRow>().await?;
        let Some(staff) = row.map(Staff::try_from).transpose()? else { return Ok(None) };
        let mut offers = offers(tx, self.tenant, &[Id { id: self.id.uuid() }]).await?;
        let services = offers.remove(&self.id.uuid()).unwrap_or_default();
        Ok(Some((staff, services)))
    }
}

/// What each of these offers.
async fn offers(tx: &mut Tx<'_>, tenant: TenantId, ids: &[Id]) -> Result<HashMap<Uuid, Vec<ServiceId>>> {
    let mut offers: HashMap<Uuid, Vec<ServiceId>> = HashMap::new();
    let keys: Vec<_> = ids.iter().map(|Id { id }| Place { id: *id, tenant_id: tenant.uuid() }).collect();
    for offer in tx.batch(OFFERS, &keys).rows::<OfferedRow>().await? {
        offers.entry(offer.staff_id).or_default().push(ServiceId(offer.service_id));
    }
    Ok(offers)
}

/// Lists the staff with what each offers, who came first first.
#[derive(Clone, Copy, Debug)]
pub struct ListStaff {
    /// The organisation.
    pub tenant: TenantId,
    /// Those after this one.
    pub after: Option<(Timestamp, StaffId)>,
    /// At most so many.
    pub limit: u32,
}

impl Intent for ListStaff {
    type Output = Vec<(Staff, Vec<ServiceId>)>;
    const WRITES: bool = false;
    const SNAPSHOT: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output> {
        let (at, id) = self.after.map_or((Timestamp::EPOCH, Uuid::nil()), |(at, id)| (at, id.uuid()));
        let list = tx.query(LIST).bind(self.tenant.uuid()).bind(At(at)).bind(id).bind(i64::from(self.limit));
        let staff: Vec<Staff> =
            list.rows::<StaffRow>().await?.into_iter().map(Staff::try_from).collect::<Result<_>>()?;
        let ids: Vec<Id> = staff.iter().map(|staff| Id { id: staff.id.uuid() }).collect();
        let mut offers = offers(tx, self.tenant, &ids).await?;
        let with_offers = |staff: Staff| {
            let services = offers.remove(&staff.id.uuid()).unwrap_or_default();
            (staff, services)
        };
        Ok(staff.into_iter().map(with_offers).collect())
    }
}

#[derive(sqlx::FromRow)]
struct OfferingRow {
    #[sqlx(flatten)]
    staff: StaffRow,
    calendar_version: i64,
}

/// Who offers a service, each with the number of their calendar.
pub(crate) async fn who_offers(tx: &mut Tx<'_>, tenant: TenantId, service: ServiceId) -> Result<Vec<(Staff, i64)>> {
    let rows = tx.query(WHO_OFFERS).bind(tenant.uuid()).bind(service.uuid()).rows::<OfferingRow>().await?;
    rows.into_iter().map(|row| Ok((row.staff.try_into()?, row.calendar_version))).collect()
}
