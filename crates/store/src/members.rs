//! Who belongs to an organisation, and what they may do in it.

use mainstay_domain::{PersonId, Plan, Role, TenantId, Timestamp};
use uuid::Uuid;

use crate::error::{Error, Result};
use crate::intent::Intent;
use crate::kinds::{Kind, RowKey};
use crate::revocations::{self, Revoked};
use crate::sql::statements;
use crate::stream::Changes;
use crate::tx::{Scope, Tx};
use crate::value::At;

statements! {
    INSERT_MEMBERSHIP = both("
        INSERT INTO membership (tenant_id, person_id, role, seq, created_at) VALUES ($1, $2, $3, 0, $4)
        ON CONFLICT (tenant_id, person_id) DO NOTHING");
    SET_SEQ = both("UPDATE membership SET seq = $3 WHERE tenant_id = $1 AND person_id = $2");
    INSERT_PERSON_TENANT = both("
        INSERT INTO person_tenant (person_id, tenant_id) VALUES ($1, $2) ON CONFLICT (person_id, tenant_id) DO NOTHING");
    DELETE_PERSON_TENANT = both("DELETE FROM person_tenant WHERE person_id = $1 AND tenant_id = $2");
    TENANTS_OF = both("SELECT tenant_id FROM person_tenant WHERE person_id = $1 ORDER BY tenant_id LIMIT 100");
    /// One statement, so that the role and the position of the feed are of one snapshot.
    MEMBERSHIPS = batch((tenant_id: uuid) "
        SELECT m.tenant_id, o.name, o.plan, m.role, m.created_at,
               coalesce((SELECT value FROM counter WHERE name = 'revocation'), 0) AS as_of
        FROM batch b JOIN membership m ON m.tenant_id = b.tenant_id JOIN organisation o ON o.tenant_id = m.tenant_id
        WHERE m.person_id = $2 ORDER BY m.created_at, m.tenant_id");
    LIST = both("
        SELECT m.person_id, p.email, p.name, m.role, m.created_at
        FROM membership m JOIN person p ON p.id = m.person_id
        WHERE m.tenant_id = $1 AND m.person_id > $2 ORDER BY m.person_id LIMIT $3");
    /// Locks the owners of an organisation, so that two of them cannot leave at the same moment.
    OWNERS = pair(sqlite "SELECT person_id FROM membership WHERE tenant_id = $1 AND role = 'owner' ORDER BY person_id LIMIT 100",
        postgres "SELECT person_id FROM membership WHERE tenant_id = $1 AND role = 'owner' ORDER BY person_id LIMIT 100 FOR UPDATE",
        differs "SQLite has one writer and no row locks");
    /// Its number, and nobody changes it until the end.
    LOCK = pair(sqlite "SELECT seq FROM membership WHERE tenant_id = $1 AND person_id = $2",
        postgres "SELECT seq FROM membership WHERE tenant_id = $1 AND person_id = $2 FOR UPDATE",
        differs "SQLite has one writer and no row locks");
    READ = batch((id: uuid) "
        SELECT m.person_id, p.email, p.name, m.role, m.created_at
        FROM batch b JOIN membership m ON m.person_id = b.id AND m.tenant_id = $2 JOIN person p ON p.id = m.person_id");
    SET_ROLE = both("UPDATE membership SET role = $3, seq = $4 WHERE tenant_id = $1 AND person_id = $2");
    DELETE = both("DELETE FROM membership WHERE tenant_id = $1 AND person_id = $2");
}

/// A person's place in an organisation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Membership {
    /// The organisation.
    pub tenant: TenantId,
    /// What it is called.
    pub organisation: String,
    /// What it pays for.
    pub plan: Plan,
    /// What the person may do in it.
    pub role: Role,
    /// Since when.
    pub since: Timestamp,
    /// The last position of the feed of revocations when this was read: what is revoked at a later one may not be in it.
    pub as_of: i64,
}

#[derive(sqlx::FromRow)]
struct MembershipRow {
    tenant_id: Uuid,
    name: String,
    plan: String,
    role: String,
    created_at: At,
    as_of: i64,
}

impl TryFrom<MembershipRow> for Membership {
    type Error = Error;
    fn try_from(row: MembershipRow) -> Result<Self> {
        Ok(Self {
            tenant: TenantId(row.tenant_id),
            organisation: row.name,
            plan: word(&row.plan)?,
            role: word(&row.role)?,
            since: row.created_at.0,
            as_of: row.as_of,
        })
    }
}

/// Reads a word that the database can only hold if something is damaged or newer than this program.
pub(crate) fn word<T: std::str::FromStr<Err = mainstay_domain::UnknownWord>>(text: &str) -> Result<T> {
    text.parse().map_err(|error: mainstay_domain::UnknownWord| Error::Corrupt(error.to_string()))
}

/// Inserts a membership and what finds it; false when it is there already.
pub(crate) async fn insert(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    person: PersonId,
    role: Role,
    now: Timestamp,
) -> Result<bool> {
    let made = tx
        .query(INSERT_MEMBERSHIP)
        .bind(tenant.uuid())
        .bind(person.uuid())
        .bind(role.as_str())
        .bind(At(now))
        .run()
        .await?;
    tx.query(INSERT_PERSON_TENANT).bind(person.uuid()).bind(tenant.uuid()).run().await?;
    if made == 0 {
        return Ok(false);
    }
    let mut changes = Changes::default();
    changes.put(tenant, tenant, Kind::Member, person.uuid(), None);
    let seq = changes.record(tx, now).await?.of(tenant, tenant, person.uuid())?;
    tx.query(SET_SEQ).bind(tenant.uuid()).bind(person.uuid()).bind(seq).run().await?;
    Ok(true)
}

/// Reads members for the stream of their organisation.
pub(crate) async fn read(tx: &mut Tx<'_>, tenant: TenantId, ids: &[RowKey]) -> Result<Vec<(Uuid, Member)>> {
    let rows: Vec<MemberRow> = tx.batch(READ, ids).bind(tenant.uuid()).rows().await?;
    rows.into_iter().map(|row| Ok((row.person_id, row.try_into()?))).collect()
}

/// Which organisations a person belongs to, at most 100.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TenantsOf(pub(crate) PersonId);

#[derive(sqlx::FromRow)]
struct TenantRow {
    tenant_id: Uuid,
}

impl Intent for TenantsOf {
    type Output = Vec<TenantId>;
    const WRITES: bool = false;
    const ONE_STATEMENT: bool = true;

    fn scope(&self) -> Scope {
        Scope::Global
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Vec<TenantId>> {
        let rows: Vec<TenantRow> = tx.query(TENANTS_OF).bind(self.0.uuid()).rows().await?;
        Ok(rows.into_iter().map(|row| TenantId(row.tenant_id)).collect())
    }
}

/// A person's memberships in these organisations, the oldest first.
#[derive(Clone, Debug)]
pub struct MembershipsIn {
    /// Who.
    pub person: PersonId,
    /// Where.
    pub tenants: Vec<TenantId>,
}

#[derive(serde::Serialize)]
struct TenantKey {
    tenant_id: Uuid,
}

impl Intent for MembershipsIn {
    type Output = Vec<Membership>;
    const WRITES: bool = false;
    const ONE_STATEMENT: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenants(self.tenants.clone())
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Vec<Membership>> {
        let keys: Vec<_> = self.tenants.iter().map(|tenant| TenantKey { tenant_id: tenant.uuid() }).collect();
        let rows: Vec<MembershipRow> = tx.batch(MEMBERSHIPS, &keys).bind(self.person.uuid()).rows().await?;
        rows.into_iter().map(Membership::try_from).collect()
    }
}

/// A member, as others of the organisation see them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Who.
    pub person: PersonId,
    /// Their address.
    pub email: Option<String>,
    /// What they are called.
    pub name: String,
    /// What they may do.
    pub role: Role,
    /// Since when.
    pub since: Timestamp,
}

#[derive(sqlx::FromRow)]
struct MemberRow {
    person_id: Uuid,
    email: Option<String>,
    name: String,
    role: String,
    created_at: At,
}

impl TryFrom<MemberRow> for Member {
    type Error = Error;
    fn try_from(row: MemberRow) -> Result<Self> {
        Ok(Self {
            person: PersonId(row.person_id),
            email: row.email,
            name: row.name,
            role: word(&row.role)?,
            since: row.created_at.0,
        })
    }
}

/// Lists an organisation's members.
#[derive(Clone, Copy, Debug)]
pub struct ListMembers {
    /// The organisation.
    pub tenant: TenantId,
    /// Those after this one.
    pub after: Option<PersonId>,
    /// At most so many.
    pub limit: u32,
}

impl Intent for ListMembers {
    type Output = Vec<Member>;
    const WRITES: bool = false;
    const ONE_STATEMENT: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Vec<Member>> {
        let after = self.after.map_or(Uuid::nil(), PersonId::uuid);
        let rows: Vec<MemberRow> =
            tx.query(LIST).bind(self.tenant.uuid()).bind(after).bind(i64::from(self.limit)).rows().await?;
        rows.into_iter().map(Member::try_from).collect()
    }
}

/// Adds a person to an organisation; false when they are a member already.
#[derive(Clone, Copy, Debug)]
pub struct AddMember {
    /// The organisation.
    pub tenant: TenantId,
    /// Who.
    pub person: PersonId,
    /// As what.
    pub role: Role,
    /// The present moment.
    pub now: Timestamp,
}

impl Intent for AddMember {
    type Output = bool;
    const WRITES: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<bool> {
        insert(tx, self.tenant, self.person, self.role, self.now).await
    }
}

/// What a change of a membership came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemberChanged {
    /// It is done, and tokens that name the membership are revoked at this position of the feed.
    Done(i64),
    /// There is no such member.
    NoMember,
    /// They are the only owner, and an organisation keeps at least one.
    LastOwner,
}

/// Gives a member another role, or none: then they are no member any more. Tokens that name the membership end.
#[derive(Clone, Copy, Debug)]
pub struct ChangeMember {
    /// The organisation.
    pub tenant: TenantId,
    /// Who.
    pub person: PersonId,
    /// Their role from now on; nothing to remove them.
    pub role: Option<Role>,
    /// The present moment.
    pub now: Timestamp,
    /// When the last token that names the membership has ended by itself.
    pub tokens_end: Timestamp,
}

#[derive(sqlx::FromRow)]
struct SeqRow {
    seq: i64,
}

#[derive(sqlx::FromRow)]
struct OwnerRow {
    person_id: Uuid,
}

impl Intent for ChangeMember {
    type Output = MemberChanged;
    const WRITES: bool = true;
    const REPEATABLE: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<MemberChanged> {
        let owners: Vec<OwnerRow> = tx.query(OWNERS).bind(self.tenant.uuid()).rows().await?;
        let is_last = owners.len() == 1 && owners.first().is_some_and(|row| row.person_id == self.person.uuid());
        if is_last && self.role != Some(Role::Owner) {
            return Ok(MemberChanged::LastOwner);
        }
        let (tenant, person) = (self.tenant.uuid(), self.person.uuid());
        let locked: Option<SeqRow> = tx.query(LOCK).bind(tenant).bind(person).row().await?;
        let Some(SeqRow { seq }) = locked else { return Ok(MemberChanged::NoMember) };
        let mut changes = Changes::default();
        match self.role {
            Some(role) => {
                changes.put(self.tenant, self.tenant, Kind::Member, person, Some(seq));
                let seq = changes.record(tx, self.now).await?.of(self.tenant, self.tenant, person)?;
                tx.query(SET_ROLE).bind(tenant).bind(person).bind(role.as_str()).bind(seq).run().await?;
            }
            None => {
                tx.query(DELETE_PERSON_TENANT).bind(person).bind(tenant).run().await?;
                tx.query(DELETE).bind(tenant).bind(person).run().await?;
                changes.delete(self.tenant, self.tenant, Kind::Member, person, seq);
                changes.record(tx, self.now).await?;
            }
        }
        let revoked = Revoked::Membership { person: self.person, tenant: self.tenant };
        Ok(MemberChanged::Done(revocations::insert(tx, revoked, self.now, self.tokens_end).await?))
    }
}
