//! Feeds: appointments as a calendar that other programs read by a secret address.

use mainstay_domain::{AppointmentId, AppointmentState, CalendarFeedId, PersonId, Span, StaffId, TenantId, Timestamp};
use uuid::Uuid;

use crate::error::{Error, Result};
use crate::idempotency::{Once, claim_with};
use crate::intent::Intent;
use crate::members::word;
use crate::sql::{Sql, statements};
use crate::turns::Claim;
use crate::tx::{Scope, Tx};
use crate::value::At;

statements! {
    CREATE = both("
        INSERT INTO calendar_feed (id, tenant_id, staff_id, name, hash, created_at) SELECT $1, $2, $3, $4, $5, $6
        WHERE (SELECT count(*) FROM (SELECT 1 FROM calendar_feed WHERE tenant_id = $2 LIMIT 500) counted) < 500");
    GET = both("SELECT id, staff_id, name, hash, created_at FROM calendar_feed WHERE id = $1 AND tenant_id = $2");
    LIST = both("
        SELECT id, staff_id, name, hash, created_at FROM calendar_feed
        WHERE tenant_id = $1 AND (created_at, id) > ($2, $3) ORDER BY created_at, id LIMIT $4");
    DELETE = both("DELETE FROM calendar_feed WHERE id = $1 AND tenant_id = $2");
    OF_ALL = both("
        SELECT a.id, a.state, a.starts_at, a.ends_at, a.created_at, a.updated_at, a.note, s.name AS service, p.name AS staff,
          c.name AS contact, c.phone
        FROM appointment a JOIN service s ON s.id = a.service_id AND s.tenant_id = a.tenant_id
        JOIN staff p ON p.id = a.staff_id AND p.tenant_id = a.tenant_id
        LEFT JOIN contact c ON c.id = a.contact_id AND c.tenant_id = a.tenant_id
        WHERE a.tenant_id = $1 AND a.starts_at >= $2 AND a.starts_at < $3 AND a.state <> 'held'
        ORDER BY a.starts_at, a.id LIMIT $4");
    OF_STAFF = both("
        SELECT a.id, a.state, a.starts_at, a.ends_at, a.created_at, a.updated_at, a.note, s.name AS service, p.name AS staff,
          c.name AS contact, c.phone
        FROM appointment a JOIN service s ON s.id = a.service_id AND s.tenant_id = a.tenant_id
        JOIN staff p ON p.id = a.staff_id AND p.tenant_id = a.tenant_id
        LEFT JOIN contact c ON c.id = a.contact_id AND c.tenant_id = a.tenant_id
        WHERE a.tenant_id = $1 AND a.staff_id = $5 AND a.blocked_from >= $6 AND a.blocked_from < $3 AND a.starts_at >= $2
          AND a.state <> 'held'
        ORDER BY a.starts_at, a.id LIMIT $4");
}

/// The most feeds of an organisation.
pub const MOST_CALENDAR_FEEDS: u32 = 500;

/// A calendar that other programs read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CalendarFeed {
    /// Its id.
    pub id: CalendarFeedId,
    /// Whose appointments; nothing for everybody's.
    pub staff: Option<StaffId>,
    /// What it is called.
    pub name: String,
    /// SHA-256 of the secret in its address, in hexadecimal.
    pub hash: String,
    /// When it was made.
    pub created_at: Timestamp,
}

#[derive(sqlx::FromRow)]
struct FeedRow {
    id: Uuid,
    staff_id: Option<Uuid>,
    name: String,
    hash: String,
    created_at: At,
}

impl From<FeedRow> for CalendarFeed {
    fn from(row: FeedRow) -> Self {
        Self {
            id: CalendarFeedId(row.id),
            staff: row.staff_id.map(StaffId),
            name: row.name,
            hash: row.hash,
            created_at: row.created_at.0,
        }
    }
}

/// Makes a feed. False when there are [`MOST_CALENDAR_FEEDS`].
#[derive(Clone, Debug)]
pub struct CreateCalendarFeed {
    /// The organisation.
    pub tenant: TenantId,
    /// The feed.
    pub feed: CalendarFeed,
    /// The idempotency key, if there is one, and whose it is.
    pub claim: Option<(PersonId, Claim)>,
}

/// What making a feed is called beside its idempotency key.
pub const MAKING_A_CALENDAR_FEED: &str = "calendar_feed";

impl Intent for CreateCalendarFeed {
    type Output = Once<bool>;
    const WRITES: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Once<bool>> {
        let made = (MAKING_A_CALENDAR_FEED, self.feed.id.uuid());
        if let Some(used) = claim_with(tx, self.tenant, self.claim.as_ref(), made, self.feed.created_at).await? {
            return Ok(Once::Repeat(used));
        }
        let CalendarFeed { id, staff, name, hash, created_at } = &self.feed;
        let create = tx.query(CREATE).bind(id.uuid()).bind(self.tenant.uuid()).bind(staff.map(StaffId::uuid));
        let create = create.bind(name.clone()).bind(hash.clone()).bind(At(*created_at));
        Ok(Once::Done(create.run().await? == 1))
    }
}

/// Reads a feed.
#[derive(Clone, Copy, Debug)]
pub struct GetCalendarFeed {
    /// The organisation.
    pub tenant: TenantId,
    /// Which.
    pub id: CalendarFeedId,
}

impl Intent for GetCalendarFeed {
    type Output = Option<CalendarFeed>;
    const WRITES: bool = false;
    const ONE_STATEMENT: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output> {
        let row: Option<FeedRow> = tx.query(GET).bind(self.id.uuid()).bind(self.tenant.uuid()).row().await?;
        Ok(row.map(CalendarFeed::from))
    }
}

/// Lists feeds, the oldest first.
#[derive(Clone, Copy, Debug)]
pub struct ListCalendarFeeds {
    /// The organisation.
    pub tenant: TenantId,
    /// After this one.
    pub after: Option<(Timestamp, CalendarFeedId)>,
    /// At most so many.
    pub limit: u32,
}

impl Intent for ListCalendarFeeds {
    type Output = Vec<CalendarFeed>;
    const WRITES: bool = false;
    const ONE_STATEMENT: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output> {
        let (at, id) = self.after.map_or((Timestamp::EPOCH, Uuid::nil()), |(at, id)| (at, id.uuid()));
        let list = tx.query(LIST).bind(self.tenant.uuid()).bind(At(at)).bind(id).bind(i64::from(self.limit));
        Ok(list.rows::<FeedRow>().await?.into_iter().map(CalendarFeed::from).collect())
    }
}

/// Removes a feed: its address is not there any more. False when there was none.
#[derive(Clone, Copy, Debug)]
pub struct DeleteCalendarFeed {
    /// The organisation.
    pub tenant: TenantId,
    /// Which.
    pub id: CalendarFeedId,
}

impl Intent for DeleteCalendarFeed {
    type Output = bool;
    const WRITES: bool = true;
    const REPEATABLE: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<bool> {
        Ok(tx.query(DELETE).bind(self.id.uuid()).bind(self.tenant.uuid()).run().await? == 1)
    }
}

/// An appointment as a feed tells of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedAppointment {
    /// Its id.
    pub id: AppointmentId,
    /// Where it is in its life.
    pub state: AppointmentState,
    /// When the contact is there.
    pub shown: Span,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// What is to be known of it.
    pub note: String,
    /// What is done.
    pub service: String,
    /// By whom.
    pub staff: String,
    /// For whom.
    pub contact: Option<String>,
    /// The contact's number.
    pub phone: Option<String>,
}

#[derive(sqlx::FromRow)]
struct ToldRow {
    id: Uuid,
    state: String,
    starts_at: At,
    ends_at: At,
    created_at: At,
    updated_at: At,
    note: String,
    service: String,
    staff: String,
    contact: Option<String>,
    phone: Option<String>,
}

impl TryFrom<ToldRow> for FeedAppointment {
    type Error = Error;

    fn try_from(row: ToldRow) -> Result<Self> {
        let shown = Span::new(row.starts_at.0, row.ends_at.0);
        Ok(Self {
            id: AppointmentId(row.id),
            state: word(&row.state)?,
            shown: shown.ok_or_else(|| Error::Corrupt("an appointment ends before it begins".to_owned()))?,
            created_at: row.created_at.0,
            updated_at: row.updated_at.0,
            note: row.note,
            service: row.service,
            staff: row.staff,
            contact: row.contact,
            phone: row.phone,
        })
    }
}

/// Reads the appointments of a feed, by their beginnings; those that are only held are not among them.
#[derive(Clone, Copy, Debug)]
pub struct ReadCalendarFeed {
    /// The organisation.
    pub tenant: TenantId,
    /// Whose; nothing for everybody's.
    pub staff: Option<StaffId>,
    /// Those that begin within.
    pub within: Span,
    /// At most so many.
    pub limit: u32,
}

impl Intent for ReadCalendarFeed {
    type Output = Vec<FeedAppointment>;
    const WRITES: bool = false;
    const ONE_STATEMENT: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output> {
        let sql: Sql = if self.staff.is_some() { OF_STAFF } else { OF_ALL };
        let read = tx.query(sql).bind(self.tenant.uuid()).bind(At(self.within.from())).bind(At(self.within.until()));
        let mut read = read.bind(i64::from(self.limit));
        if let Some(staff) = self.staff {
            // What is set aside before an appointment lies before it, by less than the longest.
            let earliest = self.within.from().minus(mainstay_domain::ServiceTimes::LONGEST);
            read = read.bind(staff.uuid()).bind(At(earliest));
        }
        read.rows::<ToldRow>().await?.into_iter().map(FeedAppointment::try_from).collect()
    }
}
