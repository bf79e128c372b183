//! People, and the organisations they make.

use mainstay_domain::{
    EmailAddress, OrganisationName, PersonId, PersonName, Plan, Role, SessionId, TenantId, Timestamp,
};
use uuid::Uuid;

use crate::error::{Error, Result};
use crate::idempotency::{Claimant, Once, claim};
use crate::intent::Intent;
use crate::members::{self, Membership};
use crate::sessions;
use crate::sql::statements;
use crate::turns::Claim;
use crate::tx::{Scope, Tx};
use crate::value::At;

statements! {
    INSERT_PERSON = both("
        INSERT INTO person (id, email, name, password_hash, operator_since, created_at) VALUES ($1, $2, $3, $4, $5, $6)
        ON CONFLICT (email) DO NOTHING");
    INSERT_ORGANISATION = both("INSERT INTO organisation (tenant_id, name, plan, created_at) VALUES ($1, $2, $3, $4)");
    BY_EMAIL = both("SELECT id, email, name, password_hash, operator_since, disabled_at FROM person WHERE email = $1");
    BY_ID = both("SELECT id, email, name, password_hash, operator_since, disabled_at FROM person WHERE id = $1");
    SET_PASSWORD = both("UPDATE person SET password_hash = $2 WHERE id = $1");
    SET_OPERATOR = both("UPDATE person SET operator_since = $2 WHERE id = $1");
    IDENTITY = both("SELECT person_id FROM outside_identity WHERE issuer = $1 AND subject = $2");
    INSERT_IDENTITY = both("
        INSERT INTO outside_identity (issuer, subject, person_id) VALUES ($1, $2, $3)
        ON CONFLICT (issuer, subject) DO NOTHING");
}

/// A person, as signing in needs them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// Their id.
    pub id: PersonId,
    /// Their address; people of outside issuers may have none.
    pub email: Option<String>,
    /// What they are called; may be empty.
    pub name: String,
    /// The Argon2id hash of their password, in PHC form; nothing for people of outside issuers.
    pub password_hash: Option<String>,
    /// Since when they operate the installation.
    pub operator_since: Option<Timestamp>,
    /// Since when they may not sign in.
    pub disabled_at: Option<Timestamp>,
}

#[derive(sqlx::FromRow)]
struct PersonRow {
    id: Uuid,
    email: Option<String>,
    name: String,
    password_hash: Option<String>,
    operator_since: Option<At>,
    disabled_at: Option<At>,
}

impl From<PersonRow> for Person {
    fn from(row: PersonRow) -> Self {
        Self {
            id: PersonId(row.id),
            email: row.email,
            name: row.name,
            password_hash: row.password_hash,
            operator_since: row.operator_since.map(|at| at.0),
            disabled_at: row.disabled_at.map(|at| at.0),
        }
    }
}

/// A person who is made.
#[derive(Clone, Debug)]
pub struct NewPerson {
    /// Their id.
    pub id: PersonId,
    /// Their address, if known.
    pub email: Option<EmailAddress>,
    /// What they are called.
    pub name: PersonName,
    /// The hash of their password, if they have one.
    pub password_hash: Option<String>,
    /// True for an operator of the installation.
    pub operator: bool,
}

/// A sign-in that is begun.
#[derive(Clone, Copy, Debug)]
pub struct NewSession {
    /// Its id.
    pub id: SessionId,
    /// When it ends unless it is used.
    pub expires_at: Timestamp,
}

/// Makes a person, their personal organisation and their membership in it, and signs them in.
#[derive(Clone, Debug)]
pub struct SignUp {
    /// The person.
    pub person: NewPerson,
    /// Their organisation's id.
    pub tenant: TenantId,
    /// Its name.
    pub organisation: OrganisationName,
    /// The sign-in, unless they are made by an operator.
    pub session: Option<NewSession>,
    /// The present moment.
    pub now: Timestamp,
}

/// What became of a sign-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignedUp {
    /// The person is there now.
    Done,
    /// The address belongs to somebody already.
    EmailTaken,
}

impl Intent for SignUp {
    type Output = SignedUp;
    const WRITES: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<SignedUp> {
        if !insert_person(tx, &self.person, self.now).await? {
            return Ok(SignedUp::EmailTaken);
        }
        insert_organisation(tx, self.tenant, &self.organisation, self.person.id, self.now).await?;
        if let Some(session) = &self.session {
            sessions::insert(tx, session, self.person.id, self.tenant, self.now).await?;
        }
        Ok(SignedUp::Done)
    }
}

async fn insert_person(tx: &mut Tx<'_>, person: &NewPerson, now: Timestamp) -> Result<bool> {
    let made = tx
        .query(INSERT_PERSON)
        .bind(person.id.uuid())
        .bind(person.email.as_ref().map(|email| email.as_str().to_owned()))
        .bind(person.name.as_str().to_owned())
        .bind(person.password_hash.clone())
        .bind(person.operator.then_some(At(now)))
        .bind(At(now))
        .run()
        .await?;
    Ok(made == 1)
}

/// An organisation and its first owner, who is the first row of its stream.
async fn insert_organisation(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    name: &OrganisationName,
    owner: PersonId,
    now: Timestamp,
) -> Result<()> {
    tx.query(INSERT_ORGANISATION)
        .bind(tenant.uuid())
        .bind(name.as_str().to_owned())
        .bind(Plan::Free.as_str())
        .bind(At(now))
        .run()
        .await?;
    members::insert(tx, tenant, owner, Role::Owner, now).await?;
    Ok(())
}

/// Makes another organisation, owned by a person who is there already.
#[derive(Clone, Debug)]
pub struct CreateOrganisation {
    /// Its id.
    pub tenant: TenantId,
    /// Its name.
    pub name: OrganisationName,
    /// Its owner.
    pub owner: PersonId,
    /// The organisation that the caller's token names: its idempotency keys are used.
    pub caller_tenant: TenantId,
    /// The idempotency key, if there is one.
    pub claim: Option<Claim>,
    /// The present moment.
    pub now: Timestamp,
}

impl Intent for CreateOrganisation {
    type Output = Once<TenantId>;
    const WRITES: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenants(vec![self.tenant, self.caller_tenant])
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Once<TenantId>> {
        let claimant = Claimant {
            tenant: self.caller_tenant,
            person: self.owner,
            operation: "organisation",
            claim: self.claim.as_ref(),
            resource: self.tenant.uuid(),
            now: self.now,
        };
        if let Some(used) = claim(tx, claimant).await? {
            return Ok(Once::Repeat(used));
        }
        insert_organisation(tx, self.tenant, &self.name, self.owner, self.now).await?;
        Ok(Once::Done(self.tenant))
    }
}

/// Finds a person by their address.
#[derive(Clone, Debug)]
pub struct FindPersonByEmail(pub EmailAddress);

impl Intent for FindPersonByEmail {
    type Output = Option<Person>;
    const WRITES: bool = false;
    const ONE_STATEMENT: bool = true;

    fn scope(&self) -> Scope {
        Scope::Global
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Option<Person>> {
        let row: Option<PersonRow> = tx.query(BY_EMAIL).bind(self.0.as_str().to_owned()).row().await?;
        Ok(row.map(Person::from))
    }
}

/// Finds a person by their id.
#[derive(Clone, Copy, Debug)]
pub struct FindPerson(pub PersonId);

impl Intent for FindPerson {
    type Output = Option<Person>;
    const WRITES: bool = false;
    const ONE_STATEMENT: bool = true;

    fn scope(&self) -> Scope {
        Scope::Global
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Option<Person>> {
        let row: Option<PersonRow> = tx.query(BY_ID).bind(self.0.uuid()).row().await?;
        Ok(row.map(Person::from))
    }
}

/// Gives a person another password.
#[derive(Clone, Debug)]
pub struct SetPassword {
    /// Who.
    pub person: PersonId,
    /// The hash, in PHC form.
    pub password_hash: String,
}

impl Intent for SetPassword {
    type Output = ();
    const WRITES: bool = true;
    const REPEATABLE: bool = true;

    fn scope(&self) -> Scope {
        Scope::Global
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<()> {
        set_password(tx, self.person, &self.password_hash).await
    }
}

pub(crate) async fn set_password(tx: &mut Tx<'_>, person: PersonId, password_hash: &str) -> Result<()> {
    let changed = tx.query(SET_PASSWORD).bind(person.uuid()).bind(password_hash).run().await?;
    if changed == 1 { Ok(()) } else { Err(Error::Missing("person")) }
}

/// Makes a person an operator of the installation, or ends that. Only the command line does this.
#[derive(Clone, Copy, Debug)]
pub struct SetOperator {
    /// Who.
    pub person: PersonId,
    /// Since when; nothing to end it.
    pub since: Option<Timestamp>,
}

impl Intent for SetOperator {
    type Output = ();
    const WRITES: bool = true;
    const REPEATABLE: bool = true;

    fn scope(&self) -> Scope {
        Scope::Global
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<()> {
        let changed = tx.query(SET_OPERATOR).bind(self.person.uuid()).bind(self.since.map(At)).run().await?;
        if changed == 1 { Ok(()) } else { Err(Error::Missing("person")) }
    }
}

/// Finds the person that an outside issuer's token speaks of.
#[derive(Clone, Debug)]
pub struct FindOutsidePerson {
    /// The `iss` claim.
    pub issuer: String,
    /// The `sub` claim.
    pub subject: String,
}

#[derive(sqlx::FromRow)]
struct Identity {
    person_id: Uuid,
}

impl Intent for FindOutsidePerson {
    type Output = Option<Person>;
    const WRITES: bool = false;

    fn scope(&self) -> Scope {
        Scope::Global
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Option<Person>> {
        let identity: Option<Identity> =
            tx.query(IDENTITY).bind(self.issuer.clone()).bind(self.subject.clone()).row().await?;
        let Some(Identity { person_id }) = identity else { return Ok(None) };
        let row: Option<PersonRow> = tx.query(BY_ID).bind(person_id).row().await?;
        Ok(row.map(Person::from))
    }
}

/// Makes the person that an outside issuer's token speaks of, on first sight, with a personal organisation. Two first
/// sights at once make one person: the second answers [`Error::Unique`], and finds it.
#[derive(Clone, Debug)]
pub struct AdmitOutsidePerson {
    /// The `iss` claim.
    pub issuer: String,
    /// The `sub` claim.
    pub subject: String,
    /// The person. Their address must be one that the issuer has verified; it is left out when somebody has it already.
    pub person: NewPerson,
    /// Their organisation's id.
    pub tenant: TenantId,
    /// Its name.
    pub organisation: OrganisationName,
    /// The present moment.
    pub now: Timestamp,
}

impl Intent for AdmitOutsidePerson {
    type Output = PersonId;
    const WRITES: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<PersonId> {
        let mut person = self.person.clone();
        if !insert_person(tx, &person, self.now).await? {
            person.email = None;
            insert_person(tx, &person, self.now).await?;
        }
        let linked = tx
            .query(INSERT_IDENTITY)
            .bind(self.issuer.clone())
            .bind(self.subject.clone())
            .bind(person.id.uuid())
            .run()
            .await?;
        if linked == 0 {
            // Another request was first. Its person stands; this transaction must leave nothing.
            return Err(Error::Unique("outside_identity".to_owned()));
        }
        insert_organisation(tx, self.tenant, &self.organisation, person.id, self.now).await?;
        Ok(person.id)
    }
}

/// A person's memberships, the oldest first.
#[derive(Clone, Copy, Debug)]
pub struct MembershipsOf(pub PersonId);

impl MembershipsOf {
    /// Finds them: first which organisations, then, within those, the memberships.
    ///
    /// # Errors
    /// As every intent.
    pub async fn find(self, store: &crate::Store, call: &crate::Call) -> Result<Vec<Membership>> {
        let tenants = store.run(call, members::TenantsOf(self.0)).await?;
        if tenants.is_empty() {
            return Ok(Vec::new());
        }
        store.run(call, members::MembershipsIn { person: self.0, tenants }).await
    }
}
