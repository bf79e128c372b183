//! What is done for people at a time.

use mainstay_domain::{PersonId, ServiceId, ServiceTimes, TenantId, Timestamp};
use uuid::Uuid;

use crate::error::{Error, Result};
use crate::idempotency::{Once, claim_with};
use crate::intent::Intent;
use crate::sql::statements;
use crate::turns::Claim;
use crate::tx::{Scope, Tx};
use crate::value::{At, moment, small};

statements! {
    CREATE = both("
        INSERT INTO service (id, tenant_id, name, minutes, before_minutes, after_minutes, price_micros, currency, archived_at,
          created_at, updated_at)
        SELECT $1, $2, $3, $4, $5, $6, $7, $8, NULL, $9, $9
        WHERE (SELECT count(*) FROM (SELECT 1 FROM service WHERE tenant_id = $2 LIMIT 500) counted) < 500");
    CHANGE = both("
        UPDATE service SET name = $3, minutes = $4, before_minutes = $5, after_minutes = $6, price_micros = $7, currency = $8,
          archived_at = $9, updated_at = $10 WHERE id = $1 AND tenant_id = $2");
    LIST = both("
        SELECT id, name, minutes, before_minutes, after_minutes, price_micros, currency, archived_at, created_at FROM service
        WHERE tenant_id = $1 AND (created_at, id) > ($2, $3) ORDER BY created_at, id LIMIT $4");
    GET = both("
        SELECT id, name, minutes, before_minutes, after_minutes, price_micros, currency, archived_at, created_at FROM service
        WHERE id = $1 AND tenant_id = $2");
}

/// What making a service is called beside its idempotency key.
pub const MAKING_A_SERVICE: &str = "service";

/// The most services of an organisation, with those that are archived.
pub const MOST_SERVICES: u32 = 500;

/// A service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Its id.
    pub id: ServiceId,
    /// What it is called.
    pub name: String,
    /// How long it takes.
    pub times: ServiceTimes,
    /// What it costs, in millionths of a currency (ISO 4217), where that is told.
    pub price: Option<(i64, String)>,
    /// Since when it is not offered any more.
    pub archived_at: Option<Timestamp>,
    /// Since when it is there.
    pub created_at: Timestamp,
}

#[derive(sqlx::FromRow)]
struct ServiceRow {
    id: Uuid,
    name: String,
    minutes: i64,
    before_minutes: i64,
    after_minutes: i64,
    price_micros: Option<i64>,
    currency: Option<String>,
    archived_at: Option<At>,
    created_at: At,
}

impl TryFrom<ServiceRow> for Service {
    type Error = Error;

    fn try_from(row: ServiceRow) -> Result<Self> {
        let times = ServiceTimes::new(small(row.minutes), small(row.before_minutes), small(row.after_minutes));
        Ok(Self {
            id: ServiceId(row.id),
            name: row.name,
            times: times
                .map_err(|(field, refused)| Error::Corrupt(format!("a service, {field}: {}", refused.detail)))?,
            price: row.price_micros.zip(row.currency),
            archived_at: moment(row.archived_at),
            created_at: row.created_at.0,
        })
    }
}

/// Minutes, as they are kept.
fn minutes(duration: std::time::Duration) -> i64 {
    i64::try_from(duration.as_secs() / 60).unwrap_or(i64::MAX)
}

/// Adds a service. False when there are [`MOST_SERVICES`].
#[derive(Clone, Debug)]
pub struct CreateService {
    /// The organisation.
    pub tenant: TenantId,
    /// The service.
    pub service: Service,
    /// The idempotency key, if there is one, and whose it is.
    pub claim: Option<(PersonId, Claim)>,
}

impl Intent for CreateService {
    type Output = Once<bool>;
    const WRITES: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Once<bool>> {
        let made = (MAKING_A_SERVICE, self.service.id.uuid());
        if let Some(used) = claim_with(tx, self.tenant, self.claim.as_ref(), made, self.service.created_at).await? {
            return Ok(Once::Repeat(used));
        }
        let Service { id, name, times, price, created_at, .. } = &self.service;
        let (price, currency) = price.clone().unzip();
        tx.query(CREATE)
            .bind(id.uuid())
            .bind(self.tenant.uuid())
            .bind(name.clone())
            .bind(minutes(times.length()))
            .bind(minutes(times.before()))
            .bind(minutes(times.after()))
            .bind(price)
            .bind(currency)
            .bind(At(*created_at))
            .run()
            .await
            .map(|made| Once::Done(made == 1))
    }
}

/// Changes a service. Appointments that were made keep their times.
#[derive(Clone, Debug)]
pub struct ChangeService {
    /// The organisation.
    pub tenant: TenantId,
    /// The service as it is from now on.
    pub service: Service,
    /// The present moment.
    pub now: Timestamp,
}

impl Intent for ChangeService {
    type Output = ();
    const WRITES: bool = true;
    const REPEATABLE: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<()> {
        let Service { id, name, times, price, archived_at, .. } = &self.service;
        let (price, currency) = price.clone().unzip();
        let changed = tx
            .query(CHANGE)
            .bind(id.uuid())
            .bind(self.tenant.uuid())
            .bind(name.clone())
            .bind(minutes(times.length()))
            .bind(minutes(times.before()))
            .bind(minutes(times.after()))
            .bind(price)
            .bind(currency)
            .bind(archived_at.map(At))
            .bind(At(self.now))
            .run()
            .await?;
        if changed == 1 { Ok(()) } else { Err(Error::Missing("service")) }
    }
}

/// Lists services, the oldest first.
#[derive(Clone, Copy, Debug)]
pub struct ListServices {
    /// The organisation.
    pub tenant: TenantId,
    /// Those after this one.
    pub after: Option<(Timestamp, ServiceId)>,
    /// At most so many.
    pub limit: u32,
}

impl Intent for ListServices {
    type Output = Vec<Service>;
    const WRITES: bool = false;
    const ONE_STATEMENT: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Vec<Service>> {
        let (at, id) = self.after.map_or((Timestamp::EPOCH, Uuid::nil()), |(at, id)| (at, id.uuid()));
        let list = tx.query(LIST).bind(self.tenant.uuid()).bind(At(at)).bind(id).bind(i64::from(self.limit));
        list.rows::<ServiceRow>().await?.into_iter().map(Service::try_from).collect()
    }
}

/// Reads a service.
#[derive(Clone, Copy, Debug)]
pub struct GetService {
    /// The organisation.
    pub tenant: TenantId,
    /// Which.
    pub id: ServiceId,
}

impl Intent for GetService {
    type Output = Option<Service>;
    const WRITES: bool = false;
    const ONE_STATEMENT: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Option<Service>> {
        service_of(tx, self.tenant, self.id).await
    }
}

pub(crate) async fn service_of(tx: &mut Tx<'_>, tenant: TenantId, id: ServiceId) -> Result<Option<Service>> {
    let row = tx.query(GET).bind(id.uuid()).bind(tenant.uuid()).row::<ServiceRow>().await?;
    row.map(Service::try_from).transpose()
}
