//! Reading the trail, whether it holds, and letting go of what is too old.

use mainstay_domain::{TenantId, Timestamp};
use uuid::Uuid;

use super::{Digest, Link, as_digest, content_digest};
use crate::error::Result;
use crate::intent::Intent;
use crate::sql::statements;
use crate::tx::{Scope, Tx};
use crate::value::At;

statements! {
    STAND = both("SELECT tenant_id, position, digest, floor, floor_digest FROM audit_trail WHERE tenant_id = $1");
    TRAILS = both("
        SELECT tenant_id, position, digest, floor, floor_digest FROM audit_trail
        WHERE tenant_id > $1 ORDER BY tenant_id LIMIT $2");
    LIST = both("
        SELECT position, at, action, content, salt, content_digest, digest FROM audit_event
        WHERE tenant_id = $1 AND position < $2 ORDER BY position DESC LIMIT $3");
    LINKS = both("
        SELECT position, at, action, content, salt, content_digest, digest FROM audit_event
        WHERE tenant_id = $1 AND position > $2 ORDER BY position LIMIT $3");
    /// Those with the oldest entries of all, some of them more than once.
    OLD = both("SELECT tenant_id, position FROM audit_event WHERE at < $1 ORDER BY at LIMIT $2");
    LOCK = both("UPDATE audit_trail SET floor = floor WHERE tenant_id = $1");
    /// The last that is old, of the first so many. What is younger between them stays, and ends what is let go of.
    OLDEST = both("
        SELECT position, at, action, content, salt, content_digest, digest FROM audit_event
        WHERE tenant_id = $1 ORDER BY position LIMIT $2");
    TRIM = both("DELETE FROM audit_event WHERE tenant_id = $1 AND position <= $2");
    FLOOR = both("UPDATE audit_trail SET floor = $2, floor_digest = $3 WHERE tenant_id = $1");
}

/// Where a chain stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuditTrail {
    /// Whose it is.
    pub tenant: TenantId,
    /// The place of the last entry.
    pub position: i64,
    /// Its digest.
    pub digest: Digest,
    /// The place of the last entry that was too old and is gone; 0 when none is.
    pub floor: i64,
    /// Its digest.
    pub floor_digest: Digest,
}

/// An entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEvent {
    /// Its place in the chain, from 1.
    pub position: i64,
    /// When.
    pub at: Timestamp,
    /// What was done.
    pub action: String,
    /// Who did it, to what and from where, as JSON; nothing when that was erased.
    pub content: Option<String>,
    /// The digest of that.
    pub content_digest: Digest,
    /// Its digest.
    pub digest: Digest,
    /// Whether its digests are those of what it says.
    said_truly: bool,
}

impl AuditEvent {
    /// Whether it is the entry that belongs here, after the one with this digest.
    #[must_use]
    pub fn follows(&self, tenant: TenantId, before: &Digest) -> bool {
        let link =
            Link { tenant, position: self.position, at: self.at, action: &self.action, content: &self.content_digest };
        self.said_truly && link.digest(before) == self.digest
    }
}

#[derive(sqlx::FromRow)]
struct TrailRow {
    tenant_id: Uuid,
    position: i64,
    digest: Vec<u8>,
    floor: i64,
    floor_digest: Vec<u8>,
}

impl From<TrailRow> for AuditTrail {
    fn from(row: TrailRow) -> Self {
        Self {
            tenant: TenantId(row.tenant_id),
            position: row.position,
            digest: as_digest(&row.digest),
            floor: row.floor,
            floor_digest: as_digest(&row.floor_digest),
        }
    }
}

#[derive(sqlx::FromRow)]
struct EventRow {
    position: i64,
    at: At,
    action: String,
    content: Option<String>,
    salt: Option<Vec<u8>>,
    content_digest: Vec<u8>,
    digest: Vec<u8>,
}

impl From<EventRow> for AuditEvent {
    fn from(row: EventRow) -> Self {
        let said = as_digest(&row.content_digest);
        let said_truly = match (&row.salt, &row.content) {
            (Some(salt), Some(content)) => content_digest(salt, content) == said,
            // What was erased says nothing, and so nothing that is untrue.
            (None, None) => true,
            _ => false,
        };
        Self {
            position: row.position,
            at: row.at.0,
            action: row.action,
            content: row.content,
            content_digest: said,
            digest: as_digest(&row.digest),
            said_truly,
        }
    }
}

/// Lists the entries of a chain, the last first.
#[derive(Clone, Copy, Debug)]
pub struct ListAuditEvents {
    /// Whose chain.
    pub tenant: TenantId,
    /// Those before this place.
    pub before: Option<i64>,
    /// At most so many.
    pub limit: u32,
}

impl Intent for ListAuditEvents {
    type Output = Vec<AuditEvent>;
    const WRITES: bool = false;
    const ONE_STATEMENT: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Vec<AuditEvent>> {
        let list = tx.query(LIST).bind(self.tenant.uuid()).bind(self.before.unwrap_or(i64::MAX));
        let rows: Vec<EventRow> = list.bind(i64::from(self.limit)).rows().await?;
        Ok(rows.into_iter().map(Into::into).collect())
    }
}

/// Reads where a chain stands, and the next of its entries in order.
#[derive(Clone, Copy, Debug)]
pub struct ReadAuditLinks {
    /// Whose chain.
    pub tenant: TenantId,
    /// Those after this place.
    pub after: i64,
    /// At most so many.
    pub limit: u32,
}

impl Intent for ReadAuditLinks {
    /// Nothing when nothing was ever written.
    type Output = Option<(AuditTrail, Vec<AuditEvent>)>;
    const WRITES: bool = false;
    const SNAPSHOT: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Option<(AuditTrail, Vec<AuditEvent>)>> {
        let Some(stands) = tx.query(STAND).bind(self.tenant.uuid()).row::<TrailRow>().await? else { return Ok(None) };
        let links = tx.query(LINKS).bind(self.tenant.uuid()).bind(self.after).bind(i64::from(self.limit));
        let rows: Vec<EventRow> = links.rows().await?;
        Ok(Some((stands.into(), rows.into_iter().map(Into::into).collect())))
    }
}

/// Lists where chains stand, by whose they are.
#[derive(Clone, Copy, Debug)]
pub struct ListAuditTrails {
    /// Those after this one; the nil id gives all but the installation's, which is read by itself.
    pub after: TenantId,
    /// At most so many.
    pub limit: u32,
}

impl Intent for ListAuditTrails {
    type Output = Vec<AuditTrail>;
    const WRITES: bool = false;
    const ONE_STATEMENT: bool = true;

    fn scope(&self) -> Scope {
        Scope::System
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Vec<AuditTrail>> {
        let trails = tx.query(TRAILS).bind(self.after.uuid()).bind(i64::from(self.limit));
        Ok(trails.rows::<TrailRow>().await?.into_iter().map(Into::into).collect())
    }
}

/// Which chains have entries from before a moment: those with the oldest.
#[derive(Clone, Copy, Debug)]
pub struct ListOldAuditTrails {
    /// The moment.
    pub before: Timestamp,
    /// So many entries are looked at.
    pub limit: u32,
}

impl Intent for ListOldAuditTrails {
    type Output = Vec<TenantId>;
    const WRITES: bool = false;
    const ONE_STATEMENT: bool = true;

    fn scope(&self) -> Scope {
        Scope::System
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Vec<TenantId>> {
        let old = tx.query(OLD).bind(At(self.before)).bind(i64::from(self.limit));
        let rows: Vec<(Uuid, i64)> = old.rows().await?;
        let tenants: std::collections::BTreeSet<Uuid> = rows.into_iter().map(|(tenant, _)| tenant).collect();
        Ok(tenants.into_iter().map(TenantId).collect())
    }
}

/// Lets go of the first entries of a chain that are from before a moment, at most so many. The chain then begins behind them.
#[derive(Clone, Copy, Debug)]
pub struct TrimAuditTrail {
    /// Whose chain.
    pub tenant: TenantId,
    /// The moment.
    pub before: Timestamp,
    /// At most so many.
    pub limit: u32,
}

impl Intent for TrimAuditTrail {
    /// How many are gone.
    type Output = u64;
    const WRITES: bool = true;
    const REPEATABLE: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<u64> {
        let tenant = self.tenant.uuid();
        tx.query(LOCK).bind(tenant).run().await?;
        let first: Vec<EventRow> = tx.query(OLDEST).bind(tenant).bind(i64::from(self.limit)).rows().await?;
        let Some(last) = first.iter().take_while(|row| row.at.0 < self.before).last() else { return Ok(0) };
        tx.query(FLOOR).bind(tenant).bind(last.position).bind(last.digest.as_slice()).run().await?;
        tx.query(TRIM).bind(tenant).bind(last.position).run().await
    }
}

/// Goes along a chain and sees whether it holds.
#[derive(Clone, Copy, Debug)]
pub struct AuditWalk {
    tenant: TenantId,
    position: i64,
    digest: Digest,
}

/// Where a chain does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BrokenTrail {
    /// An entry is not the one that belongs there: it was changed, or one before it was taken out.
    #[error("entry {0} does not follow from the one before it: it was changed, or what was before it was")]
    At(i64),
    /// The last entries are missing, or others stand there.
    #[error("it ends with entry {found}, and entry {wanted} was written")]
    Ends {
        /// The last entry that is there.
        found: i64,
        /// The last one that was written.
        wanted: i64,
    },
}

impl AuditWalk {
    /// From the first entry that is kept.
    #[must_use]
    pub const fn along(trail: &AuditTrail) -> Self {
        Self { tenant: trail.tenant, position: trail.floor, digest: trail.floor_digest }
    }

    /// The last entry that holds.
    #[must_use]
    pub const fn position(&self) -> i64 {
        self.position
    }

    /// Goes on with the next entries.
    ///
    /// # Errors
    /// When one is not what belongs there.
    pub fn over(&mut self, events: &[AuditEvent]) -> std::result::Result<(), BrokenTrail> {
        for event in events {
            if event.position != self.position + 1 || !event.follows(self.tenant, &self.digest) {
                return Err(BrokenTrail::At(self.position + 1));
            }
            (self.position, self.digest) = (event.position, event.digest);
        }
        Ok(())
    }

    /// Looks whether it ends where the chain does.
    ///
    /// # Errors
    /// When it does not.
    pub fn end(&self, trail: &AuditTrail) -> std::result::Result<(), BrokenTrail> {
        if (self.position, self.digest) == (trail.position, trail.digest) {
            Ok(())
        } else {
            Err(BrokenTrail::Ends { found: self.position, wanted: trail.position })
        }
    }
}
